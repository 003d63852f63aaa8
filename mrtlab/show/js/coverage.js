// coverage.js: how many different answers K draws are expected to show, for any world of answers.

import { NARROW, asLikely, box, define, fixed, line, percent, tag, whole, words } from "./core.js";
import { chanceSeen, drawsNeeded, effectiveSupport, expectedCoverage, ladder, sum } from "./theory.js";

const MOST = 64; // draws on the axis
const LABEL_WIDTH = 146; // pixels that "K = 64: 20.0 answers" needs
const GOAL = 0.9; // the share of the answers that the figure asks for

/** The generator writes its pet answer (the likeliest one) in a share b of the draws, else the truth. */
export function compute({ n, d, b, k }) {
  const truth = ladder(n, d);
  const generator = truth.map((p, i) => (1 - b) * p + (i === 0 ? b : 0));
  const even = ladder(n, 1);
  const draws = Array.from({ length: MOST }, (_, i) => i + 1);
  return {
    truth,
    generator,
    seen: generator.map((q) => chanceSeen(q, k)),
    curve: draws.map((draw) => expectedCoverage(generator, draw)),
    even_curve: draws.map((draw) => expectedCoverage(even, draw)),
    covered_mass: sum(truth.map((p, i) => p * chanceSeen(generator[i], k))),
    effective_support: effectiveSupport(generator),
    truth_effective_support: effectiveSupport(truth),
    draws_needed: drawsNeeded(generator, GOAL),
    even_draws_needed: drawsNeeded(even, GOAL),
  };
}

function sentence(data, { n, k }) {
  const draws = k > 1 ? "draws show" : "draw shows";
  const here =
    `K = ${k} ${draws} <b>${fixed(data.curve[k - 1], 1)} of the ${n} answers</b> on average, ` +
    `which hold ${percent(data.covered_mass)} of the truth.`;
  const [needed, even] = [data.draws_needed, data.even_draws_needed];
  if (needed === null) return `${here} No K shows the others: the generator never writes them.`;
  const goal = `You need <b>K = ${whole(needed)}</b> to expect 90\u00a0% of them`;
  if (needed === even) return `${here} ${goal}; equal chances are the easiest case.`;
  return `${here} ${goal}; equally likely answers need K = ${even}.`;
}

function alt(data, { n, k }) {
  const [here, even, most] = [data.curve[k - 1], data.even_curve[k - 1], data.curve[MOST - 1]];
  return (
    `Curve of the expected number of different answers against K, from 1 to ${MOST}. It starts at 1.0, passes ` +
    `${fixed(here, 1)} at K = ${k} and reaches ${fixed(most, 1)} of ${n} at K = ${MOST}. ` +
    `For equally likely answers it passes ${fixed(even, 1)} at K = ${k}. ` +
    `Effective support: ${fixed(data.effective_support, 1)} answers.`
  );
}

const table = (data, { n }) => ({
  columns: ["K", "different answers", "share of the answers", "if equally likely"],
  rows: [1, 2, 4, 8, 16, 32, 64].map((k) => {
    const [here, even] = [data.curve[k - 1], data.even_curve[k - 1]];
    return [String(k), fixed(here, 2), percent(here / n), fixed(even, 2)];
  }),
});

// --- drawing --------------------------------------------------------------------------------------------

/** The curve and, beside or under it, how likely each answer is to have been seen. */
function layout({ width, height }) {
  const left = 30;
  if (width < NARROW)
    return {
      plot: { x: left, y: 44, width: width - left - 6, height: height - 44 - 214 },
      cells: { x: 0, y: height - 118, width, height: 76, head: height - 146 },
    };
  const side = Math.round(width * 0.3);
  return {
    plot: { x: left, y: 44, width: width - side - left - 44, height: height - 44 - 46 },
    cells: { x: width - side, y: 58, width: side, height: height - 58 - 46, head: 20 },
  };
}

/** Pixels of a number of draws and of a number of answers, and back. */
function scales(panel, n) {
  const octaves = Math.log2(MOST);
  const tallest = n * 1.1; // leaves room for the label above the top line
  return {
    x: (draws) => panel.x + (panel.width * Math.log2(draws)) / octaves,
    y: (answers) => panel.y + panel.height * (1 - answers / tallest),
    drawsAt: (x) => 2 ** ((octaves * (x - panel.x)) / panel.width),
    left: panel.x,
    right: panel.x + panel.width,
    bottom: panel.y + panel.height,
  };
}

function drawAxes(n, { x, y, left, right, bottom }) {
  const marks = [1, 2, 4, 8, 16, 32, 64].map(
    (draws) =>
      line(x(draws), bottom, x(draws), bottom + 5, "axis") +
      words(x(draws), bottom + 20, String(draws), "muted small", "middle"),
  );
  for (let level = 0; level <= n; level += Math.ceil(n / 5))
    marks.push(
      line(left, y(level), right, y(level), level ? "grid" : "axis"),
      words(left - 8, y(level) + 4, String(level), "muted small", "end"),
    );
  return [...marks, words(right, bottom + 38, "K, answers drawn (log scale)", "muted small", "end")];
}

function drawCurves(data, { n, k }, panel) {
  const scale = scales(panel, n);
  const { x, y, left, right, bottom } = scale;
  const path = (law, kind) => {
    // the formula holds between whole numbers too, which keeps the line smooth where the log scale is wide
    const draws = Array.from({ length: 73 }, (_, i) => MOST ** (i / 72));
    const points = draws.map((draw) => `${x(draw).toFixed(2)},${y(expectedCoverage(law, draw)).toFixed(2)}`);
    return tag("polyline", { points: points.join(" "), class: kind });
  };
  const dot = (answers, r, kind) => tag("circle", { cx: x(k), cy: y(answers), r, class: `dot ${kind}` });
  const onAxis = data.draws_needed !== null && data.draws_needed <= MOST;
  const goal = onAxis ? data.draws_needed : null; // where 90 % are reached
  const support = y(data.effective_support);
  return [
    ...drawAxes(n, scale),
    line(left, y(n), right, y(n), "limit"),
    line(left, support, right, support, "support"),
    goal && line(x(goal), bottom, x(goal), y(GOAL * n), "goal"),
    line(x(k), bottom, x(k), y(data.curve[k - 1]), "stem"),
    path(ladder(n, 1), "curve reference"),
    path(data.generator, "curve multi-line"),
    dot(data.even_curve[k - 1], 4, "reference-dot"),
    dot(data.curve[k - 1], 6.5, "multi-dot"),
    ...labels(data, { n, k }, goal, scale),
  ];
}

/** Labels stand on top of the lines; the one of K under the curve, where there is most room. */
function labels(data, { n, k }, goal, { x, y, drawsAt, left, right, bottom }) {
  const support = y(data.effective_support);
  const tight = support - y(n) < 20; // then the label of the effective support goes under its line
  const goalSide = goal && x(goal) > right - 110 ? -1 : 1;
  const here = data.curve[k - 1];
  const labelX = Math.min(x(k) + 10, right - LABEL_WIDTH);
  const under = Math.max(y(here), y(expectedCoverage(data.generator, Math.max(1, drawsAt(labelX)))));
  const crowded = goal && Math.abs(x(goal) - labelX) < LABEL_WIDTH; // stay above the label of K90
  const room = under + 22 <= bottom - 6; // else the sentence under the figure has to do
  const labelY = Math.min(under + 22, bottom - (crowded ? 28 : 6));
  const supportText = `effective support ${fixed(data.effective_support, 1)}`;
  const goalText = `${percent(GOAL)} at K = ${goal}`;
  return [
    words(left + 6, y(n) - 7, `all ${n} answers`, "small halo"),
    words(left + 6, support + (tight ? 17 : -7), supportText, "muted small halo"),
    goal && words(x(goal) + 6 * goalSide, bottom - 8, goalText, "small halo", goalSide < 0 ? "end" : "start"),
    room && words(labelX, labelY, `K = ${k}: ${fixed(here, 1)} answers`, "halo strong"),
  ];
}

function drawCells(data, { k }, panel) {
  const n = data.seen.length;
  const column = panel.width / n;
  const wide = Math.min(44, column * 0.72);
  const bottom = panel.y + panel.height;
  const cells = data.seen.map((chance, i) => {
    const x = panel.x + column * i + (column - wide) / 2;
    const tall = panel.height * chance;
    const ranked = n <= 12 || i === 0 || i % 5 === 4; // room for every number, or for 1, 5, 10 …
    const written = (text, y, kind) => words(x + wide / 2, y, text, kind, "middle");
    return [
      box(x, panel.y, wide, panel.height, "lane", 2),
      tall >= 0.5 ? box(x, bottom - tall, wide, tall, "multi", 2) : "",
      n <= 8 ? written(percent(chance), bottom - tall - 6, "small") : "",
      ranked ? written(String(i + 1), bottom + 18, "muted small") : "",
    ].join("");
  });
  return [
    words(panel.x, panel.head, `chance that K = ${k} shows it`),
    ...cells,
    words(panel.x + panel.width, bottom + 38, "answers, likeliest first", "muted small", "end"),
  ];
}

function draw(data, state, size) {
  const { plot, cells } = layout(size);
  const key = (x, kind, label) => line(x, 15, x + 22, 15, `curve ${kind}`) + words(x + 30, 20, label);
  return [
    key(1, "multi-line", "this world"),
    key(116, "reference", "equally likely answers"),
    ...drawCurves(data, state, plot),
    ...drawCells(data, state, cells),
  ]
    .filter(Boolean)
    .join("");
}

define({
  name: "coverage",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: {
    d: asLikely,
    b: (b) => (b === 0 ? "never" : `${percent(b)} of draws`),
  },
});
