// variance.js: what the variance of the estimated loss is made of, and which part more answers can remove.

import { NARROW, box, define, fixed, line, percent, tag, ticks, words } from "./core.js";
import { effectiveK, variance } from "./theory.js";

const MOST = 32; // answers per prompt on the axis
const FEWEST = 100; // prompts at the left end of their slider, which sets the height of the plot

/** In units of V_x: from prompts, from what the answers to a prompt share, and from each answer's own luck. */
function parts({ n, v, s }, k) {
  const total = variance({ prompt: 1, response: v }, n, effectiveK(k, s));
  return { total, prompts: 1 / n, shared: (v * s) / n };
}

export function compute(state) {
  const { k, n } = state;
  const curve = Array.from({ length: MOST }, (_, i) => parts(state, i + 1).total);
  const here = parts(state, k);
  const twice = parts(state, 2 * k).total;
  return {
    curve,
    from_prompts: here.prompts,
    from_shared: here.shared,
    total: here.total,
    effective_k: effectiveK(k, state.s),
    twice_answers: twice,
    twice_prompts: parts({ ...state, n: 2 * n }, k).total,
    saved: 1 - twice / here.total,
    floor_share: (here.prompts + here.shared) / here.total,
  };
}

function sentence(data, { k, s }) {
  const saved = data.saved < 0.005 ? "less than 1\u00a0%" : percent(data.saved);
  const worth = s > 0 && k > 1 ? `Your ${k} answers are worth <b>${fixed(data.effective_k, 1)}</b>. ` : "";
  return (
    `${worth}Going from K = ${k} to ${2 * k} removes <b>${saved}</b> of the variance, twice the prompts half. ` +
    `${percent(data.floor_share)} is beyond any number of answers.`
  );
}

function alt(data, { n, k, v, s }) {
  const [first, last] = [data.curve[0], data.curve[MOST - 1]].map((value) => fixed(value, 4));
  return (
    `Stacked areas of the variance of the estimated loss against K, for ${n} prompts, a variance within ` +
    `prompts ${v} times that between and answers of similarity ${fixed(s, 2)}. It falls from ` +
    `${first} at K = 1 to ${last} at K = ${MOST}, in units of Vₓ; ${fixed(data.from_prompts, 4)} of it comes from ` +
    `prompts at every K. At K = ${k} it is ${fixed(data.total, 4)}.`
  );
}

const table = (data, state) => ({
  columns: ["K", "worth", "from prompts", "from answers", "variance, in Vₓ"],
  rows: [1, 2, 4, 8, 16, 32].map((k) => {
    const total = data.curve[k - 1];
    const made = [data.from_prompts, total - data.from_prompts, total].map((value) => fixed(value, 4));
    return [String(k), fixed(effectiveK(k, state.s), 1), ...made];
  }),
});

// --- drawing --------------------------------------------------------------------------------------------

/** The areas and, beside or under them, what twice the answers or twice the prompts would do. */
function layout({ width, height }) {
  if (width < NARROW)
    return {
      plot: { x: 46, y: 34, width: width - 52, height: height - 34 - 246 },
      bars: { x: 0, y: height - 158, width, height: 150, head: height - 176 },
    };
  const side = Math.round(width * 0.32);
  return {
    plot: { x: 46, y: 34, width: width - side - 46 - 56, height: height - 34 - 46 },
    bars: { x: width - side, y: 56, width: side, height: 180, head: 16 },
  };
}

function drawAreas(data, state, panel, most) {
  const { k } = state;
  const [right, bottom] = [panel.x + panel.width, panel.y + panel.height];
  const x = (count) => panel.x + (panel.width * Math.log2(count)) / Math.log2(MOST);
  const y = (value) => bottom - (panel.height * value) / most;
  const steps = Array.from({ length: 61 }, (_, i) => MOST ** (i / 60));
  const point = (value, count) => `${x(count).toFixed(2)},${y(value(count)).toFixed(2)}`;
  const area = (low, high, kind) => {
    const points = [...steps.map((c) => point(high, c)), ...steps.toReversed().map((c) => point(low, c))];
    return tag("polygon", { points: points.join(" "), class: kind });
  };
  const floor = () => data.from_prompts;
  const shared = () => data.from_prompts + data.from_shared;
  const total = (count) => parts(state, count).total;
  const axis = ticks(most).map(
    ([value, text]) =>
      line(panel.x, y(value), right, y(value), value ? "grid" : "axis") +
      words(panel.x - 8, y(value) + 4, text, "muted small", "end"),
  );
  const counts = [1, 2, 4, 8, 16, 32].map(
    (c) =>
      line(x(c), bottom, x(c), bottom + 5, "axis") +
      words(x(c), bottom + 20, String(c), "muted small", "middle"),
  );
  return [
    words(0, 16, "variance of the estimated loss, in units of Vₓ"),
    ...axis,
    area(() => 0, floor, "from-prompts"),
    data.from_shared ? area(floor, shared, "from-shared") : "",
    area(shared, total, "from-answers"),
    tag("polyline", { points: steps.map((count) => point(total, count)).join(" "), class: "curve multi-line" }),
    ...counts,
    words(right, bottom + 38, "K, answers per prompt (log scale)", "muted small", "end"),
    line(x(k), bottom, x(k), y(data.total), "now"),
    tag("circle", { cx: x(k), cy: y(data.total), r: 6.5, class: `dot ${k === 1 ? "single" : "multi"}` }),
    words(x(k) + (k > 12 ? 4 : 11), y(data.total) - 11, `K = ${k}`, "strong halo", k > 12 ? "end" : "start"),
  ];
}

/** Three bars over one scale: now, twice the answers, twice the prompts. */
function drawBars(data, { k, n }, panel) {
  const rows = [ // label, variance, and how many times as many prompts as now
    [`now: ${n} prompts × ${k}`, data.total, 1],
    [`twice the answers: ${n} × ${2 * k}`, data.twice_answers, 1],
    [`twice the prompts: ${2 * n} × ${k}`, data.twice_prompts, 2],
  ];
  const step = panel.height / 3;
  const long = (value) => ((panel.width - 52) * value) / data.total;
  const drawn = rows.map(([label, total, times], i) => {
    const [y, prompts, shared] = [panel.y + step * i, data.from_prompts / times, data.from_shared / times];
    const after = prompts + shared;
    return [
      words(panel.x, y + 12, label, "small"),
      box(panel.x, y + 19, long(prompts), 17, "from-prompts"),
      box(panel.x + long(prompts), y + 19, long(shared), 17, "from-shared"),
      box(panel.x + long(after), y + 19, long(total - after), 17, "from-answers"),
      words(panel.x + long(total) + 8, y + 32, percent(total / data.total), "small strong"),
    ].join("");
  });
  const { x, head } = panel;
  const key = [
    ["prompts", "from-prompts"],
    ["answers", "from-answers"],
    ...(data.from_shared ? [["alike", "from-shared"]] : []),
  ].map(([label, kind], i) => box(x + 78 * i, head - 9, 10, 10, kind) + words(x + 78 * i + 16, head, label, "small"));
  return [...key, ...drawn];
}

function draw(data, state, size) {
  const { plot, bars } = layout(size);
  const most = (1.12 * (1 + state.v)) / FEWEST;
  return [...drawAreas(data, state, plot, most), ...drawBars(data, state, bars)].join("");
}

define({
  name: "variance",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: { v: (v) => `${v} ×`, s: (s) => (s === 0 ? "independent" : s === 1 ? "copies" : fixed(s, 2)) },
});
