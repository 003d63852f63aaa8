// lottery.js: one prompt with several valid answers, a model that remembers the K answers it is shown,
// and what happens when it is trained again.

import { NARROW, asLikely, box, define, fixed, line, percent, words } from "./core.js";
import { drawCounts, effectiveSupport, expectedCoverage, expectedDisagreement } from "./theory.js";
import { expectedTv, ladder, sum } from "./theory.js";

const FRUITS = ["apple", "pear", "plum", "cherry", "mango", "fig", "lemon", "peach"];
const SHOWN = 40; // trainings that the strip has room for

/** Everything the figure shows. The memory of a training is the share of each answer in what it was shown. */
export function compute({ n, d, k, seed, trainings }) {
  const truth = ladder(n, d);
  const first = Math.max(1, trainings - SHOWN + 1);
  const history = [];
  for (let training = first; training <= trainings; training++)
    history.push(drawCounts(truth, k, seed, training));
  return {
    names: FRUITS.slice(0, n),
    truth,
    first,
    history,
    memory: history.at(-1).map((count) => count / k),
    known: history.at(-1).filter((count) => count > 0).length,
    different_models: new Set(history.map(String)).size,
    expected_coverage: expectedCoverage(truth, k),
    effective_support: effectiveSupport(truth),
    expected_tv: expectedTv(truth, k),
    expected_disagreement: expectedDisagreement(truth, k),
    same_top: sum(truth.map((p) => p * p)),
  };
}

function sentence(data, { n, k, trainings }) {
  const again = percent(data.same_top);
  if (k > 1)
    return (
      `Shown K = ${k} answers, a model knows <b>${fixed(data.expected_coverage, 1)} of the ${n}</b> on average; ` +
      `this one knows ${data.known}. Two trainings disagree on <b>${percent(data.expected_disagreement)}</b> of ` +
      `what they say; with K = 1 it is ${percent(1 - data.same_top)}.`
    );
  const says = `Shown one answer, this model says <b>${data.names[data.memory.indexOf(1)]}</b> and nothing else.`;
  if (trainings === 1) return `${says} Train it again: it will remember the same answer ${again} of the time.`;
  const models = data.different_models === 1 ? "one model" : `<b>${data.different_models} different models</b>`;
  const which = data.first > 1 ? `The last ${data.history.length} trainings` : `${trainings} trainings`;
  return `${says} ${which} on the same prompt gave ${models}; any two agree only ${again} of the time.`;
}

function alt(data, { k, trainings }) {
  const list = (shares) => data.names.map((name, i) => `${name} ${percent(shares[i])}`).join(", ");
  return (
    `Bars. The truth: ${list(data.truth)}. The model after training ${trainings}, shown K = ${k}: ` +
    `${list(data.memory)}. A strip beside them shows trainings ${data.first} to ${trainings}, one column each.`
  );
}

function table(data) {
  const mean = (i) => sum(data.history.map((counts) => counts[i] / sum(counts))) / data.history.length;
  return {
    columns: ["answer", "truth", "this model", "all models in the strip, on average"],
    rows: data.names.map((name, i) => [name, ...[data.truth[i], data.memory[i], mean(i)].map(percent)]),
  };
}

// --- drawing --------------------------------------------------------------------------------------------

const NAMES_WIDTH = 62;

/** Two panels that share one row per answer: side by side, or one above the other on a phone. */
function layout({ width, height }) {
  if (width < NARROW) {
    const bars = { x: NAMES_WIDTH, y: 78, width: width - NAMES_WIDTH - 48, height: 160 };
    return { bars, strip: { x: NAMES_WIDTH, y: 308, width: width - NAMES_WIDTH, height: height - 308 - 28 } };
  }
  const panel = { y: 84, height: height - 84 - 28 };
  const split = Math.round(width * 0.46);
  return {
    bars: { x: NAMES_WIDTH, width: split - NAMES_WIDTH - 64, ...panel },
    strip: { x: split, width: width - split - 1, ...panel },
  };
}

const rowsOf = (panel, n) => ({ step: panel.height / n, middle: (i) => panel.y + (panel.height * (i + 0.5)) / n });

const nameLabels = (data, panel) =>
  data.names.map((name, i) => words(panel.x - 12, rowsOf(panel, data.names.length).middle(i) + 5, name, "", "end"));

function drawBars(data, state, panel, kind) {
  const { step, middle } = rowsOf(panel, data.names.length);
  const thick = Math.min(26, step * 0.62);
  const right = (share) => panel.x + panel.width * share;
  const bottom = panel.y + panel.height;
  const axis = [0, 0.5, 1].map(
    (share) =>
      line(right(share), panel.y, right(share), bottom, "grid") +
      words(right(share), bottom + 19, percent(share), "muted small", "middle"),
  );
  const rows = data.names.map((_, i) => {
    const [p, share, y] = [data.truth[i], data.memory[i], middle(i) - thick / 2];
    const filled = share ? box(panel.x, y + 4, panel.width * share, thick - 8, kind, 2) : "";
    const outlined = box(panel.x, y, panel.width * p, thick, "truth", 2);
    const label = words(right(Math.max(p, share)) + 8, middle(i) + 5, percent(share), share ? "strong" : "muted");
    return filled + outlined + label;
  });
  const y = panel.y - 16;
  const legend = [
    box(0.75, y - 10, 18, 11, "truth", 2),
    words(26, y, "truth"),
    box(78, y - 9, 18, 9, kind, 2),
    words(103, y, `this model (training ${state.trainings})`),
  ];
  return [...nameLabels(data, panel), ...axis, ...rows, ...legend];
}

function drawStrip(data, state, panel, kind) {
  const { step, middle } = rowsOf(panel, data.names.length);
  const thick = step * 0.86;
  const column = panel.width / SHOWN;
  const gap = Math.min(1.5, column * 0.18);
  const rows = data.truth.map((p, i) => {
    const lane = box(panel.x, middle(i) - thick / 2, panel.width, thick, "lane", 3);
    return lane + box(panel.x, middle(i) - (thick * p) / 2, panel.width, thick * p, "truth faint", 2);
  });
  const latest = data.history.length - 1;
  const cells = data.history.map((counts, t) =>
    counts.map((count, i) => {
      const tall = (thick * count) / state.k;
      if (!count) return "";
      return box(panel.x + t * column + gap / 2, middle(i) - tall / 2, column - gap, tall, kind, 1);
    }),
  );
  const x = panel.x + latest * column;
  const frame = box(x - 1, panel.y - 2, column + 2, panel.height + 4, "frame", 3);
  const bottom = panel.y + panel.height + 20;
  const edge = latest < 4 ? "start" : latest > SHOWN - 5 ? "end" : "middle";
  const at = { start: x, middle: x + column / 2, end: x + column }[edge];
  const first = latest > 12 ? words(panel.x, bottom, `training ${data.first}`, "muted small") : "";
  return [
    words(panel.x, panel.y - 16, "all trainings so far, one column each"),
    ...rows,
    ...cells.flat(),
    frame,
    first,
    words(at, bottom, "this model", "small", edge),
  ];
}

function draw(data, state, size) {
  const { bars, strip } = layout(size);
  const kind = state.k === 1 ? "single" : "multi";
  const stacked = strip.y > bars.y;
  return [
    words(0, 22, "Prompt", "muted small"),
    words(52, 22, "“Name a fruit.”", "prompt"),
    ...drawBars(data, state, bars, kind),
    ...(stacked ? nameLabels(data, strip) : []),
    ...drawStrip(data, state, strip, kind),
  ].join("");
}

/** Train this many more times; the states in between let the strip fill before the reader's eyes. */
const trainMore = (times) => (state) =>
  Array.from({ length: times }, (_, i) => ({ ...state, trainings: state.trainings + i + 1 }));

define({
  name: "lottery",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: { d: asLikely },
  actions: [
    { label: "Train again", run: trainMore(1) },
    { label: "Train 20 times", run: trainMore(20) },
  ],
});
