// budget.js: a budget spent on prompts and answers. The variance it leaves, for every K, and the data set it buys.

import { NARROW, box, define, fixed, line, percent, tag, ticks, whole, words } from "./core.js";
import { optimalK, variance } from "./theory.js";

const MOST = 32; // answers per prompt on the axis
const FLAT = 0.05; // what counts as near the best
const SLACK = 1e-12; // two K may tie exactly: rounding must not choose

/** Variance for this budget, in units of V_x; an answer costs 1, a prompt c, and N_p may be a fraction here. */
const lawAt = ({ b, c, v }, k) => variance({ prompt: 1, response: v }, b / (c + k), k);

export function compute(state) {
  const { b, c, v, k } = state;
  const curve = Array.from({ length: MOST }, (_, i) => lawAt(state, i + 1));
  const least = Math.min(...curve);
  const near = (share) => curve.map((value) => value <= least * (1 + share + SLACK));
  return {
    curve,
    best_k: near(0).indexOf(true) + 1,
    k_star: optimalK({ prompt: 1, response: v }, c, 1),
    low: near(FLAT).indexOf(true) + 1,
    high: near(FLAT).lastIndexOf(true) + 1,
    excess: curve[k - 1] / least - 1,
    n_prompts: Math.floor(b / (c + k)),
  };
}

const answers = (k) => (k === 1 ? "one answer" : `${k} answers`);

function sentence({ n_prompts, best_k, k_star, low, high, excess }, { c, v, k }) {
  const buys = `With K = ${k} you buy <b>${whole(n_prompts)} prompts</b>, ${answers(k)} each; `;
  const worse = excess < 0.005 ? "less than 1\u00a0%" : percent(excess);
  const star = `K* = ${fixed(k_star, 1)}`;
  const above = `the variance is <b>${worse} above the best</b> (${star}).`;
  const here = k === best_k ? `no other K leaves <b>less variance</b> (${star}).` : above;
  if (v === 0) return `${buys}${here} Answers to one prompt are all alike here, so one is enough.`;
  if (c === 0) return `${buys}${here} A prompt costs nothing here, so a new one beats a second answer.`;
  if (low === high) return `${buys}${here} Only K = ${low} is within 5\u00a0% of the best.`;
  return `${buys}${here} Any K from ${low} to ${high} is within 5\u00a0% of the best.`;
}

function alt(data, { b, c, v, k }) {
  const [first, here, last] = [data.curve[0], data.curve[k - 1], data.curve[MOST - 1]].map((value) => fixed(value, 3));
  return (
    `Curve of the variance of the estimated loss against K, for a budget of ${whole(b)} answers where a prompt costs ` +
    `${c} and the variance within prompts is ${v} times that between. It is ${first} at K = 1, ${here} at K = ${k} ` +
    `and ${last} at K = ${MOST}, in units of Vₓ; it is least at K = ${data.best_k}. Beside it the data set: ` +
    `${whole(data.n_prompts)} columns, one per prompt, of ${answers(k)}.`
  );
}

const table = (data, { b, c }) => ({
  columns: ["K", "prompts bought", "pairs", "variance, in Vₓ", "above the best"],
  rows: [1, 2, 4, 8, 16, 32].map((k) => {
    const prompts = Math.floor(b / (c + k));
    const value = data.curve[k - 1];
    const above = value / data.curve[data.best_k - 1] - 1;
    return [String(k), whole(prompts), whole(prompts * k), fixed(value, 4), percent(above)];
  }),
});

// --- drawing --------------------------------------------------------------------------------------------

/** The curve and, beside or under it, the data set. */
function layout({ width, height }) {
  if (width < NARROW)
    return {
      plot: { x: 44, y: 34, width: width - 50, height: height - 34 - 256 },
      set: { x: 0, y: height - 178, width, height: 176, head: height - 190 },
    };
  const side = Math.round(width * 0.37);
  return {
    plot: { x: 44, y: 34, width: width - side - 44 - 48, height: height - 34 - 46 },
    set: { x: width - side, y: 38, width: side, height: height - 38 - 8, head: 18 },
  };
}

function drawCurve(data, state, panel) {
  const { k } = state;
  const [right, bottom] = [panel.x + panel.width, panel.y + panel.height];
  const most = 1.06 * Math.max(...data.curve);
  const x = (n) => panel.x + (panel.width * Math.log2(n)) / Math.log2(MOST);
  const y = (value) => bottom - (panel.height * value) / most;
  const at = (n) => y(lawAt(state, n)); // the law holds between whole K too
  const kAt = (pixel) => MOST ** Math.min(1, Math.max(0, (pixel - panel.x) / panel.width));

  const axes = [
    ...ticks(most).map(
      ([value, text]) =>
        line(panel.x, y(value), right, y(value), value ? "grid" : "axis") +
        words(panel.x - 8, y(value) + 4, text, "muted small", "end"),
    ),
    ...[1, 2, 4, 8, 16, 32].map(
      (n) =>
        line(x(n), bottom, x(n), bottom + 5, "axis") +
        words(x(n), bottom + 20, String(n), "muted small", "middle"),
    ),
    words(right, bottom + 38, "K, answers per prompt (log scale)", "muted small", "end"),
    words(0, 16, "variance of the estimated loss, in units of Vₓ"),
  ];

  // where the law stays within 5 % of its least: K + cv/K = m
  const m = (1 + FLAT) * data.curve[data.best_k - 1] * state.b - state.c - state.v;
  const root = Math.sqrt(Math.max(0, m * m - 4 * state.c * state.v));
  const [from, to] = [(m - root) / 2, (m + root) / 2].map((edge) => x(Math.min(MOST, Math.max(1, edge))));
  const starred = data.k_star > 1 && data.k_star < MOST;
  const star = x(Math.min(MOST, Math.max(1, data.k_star)));

  const steps = Array.from({ length: 81 }, (_, i) => MOST ** (i / 80));
  const points = steps.map((n) => `${x(n).toFixed(2)},${at(n).toFixed(2)}`).join(" ");
  const kind = k === 1 ? "single" : "multi";

  const text = k === data.best_k ? `K = ${k}: the best` : `K = ${k}: ${percent(data.excess)} above the best`;
  const wide = 7.4 * text.length;
  const start = x(k) + 10 + wide > right ? x(k) - 10 - wide : x(k) + 10;
  const near = [start, start + wide].map(kAt);
  const over = [...near, k, Math.max(1, data.k_star)].map(at); // the curve near the label
  const labelY = bottom - Math.max(...over) > 44 ? bottom - 12 : Math.min(...over) - 16;
  return [
    box(from, panel.y, Math.max(2, to - from), panel.height, "flat"),
    ...axes,
    starred ? line(star, panel.y + 24, star, bottom, "goal") : "",
    tag("polyline", { points, class: "curve multi-line" }),
    line(x(k), bottom, x(k), at(k), `stem ${kind}-line`),
    tag("circle", { cx: x(k), cy: at(k), r: 6.5, class: `dot ${kind}` }),
    starred
      ? words((from + to) / 2, panel.y + 16, `K* = ${fixed(data.k_star, 1)}`, "small halo", "middle")
      : words(from + 4, panel.y + 16, "best: K = 1", "small halo"),
    words(start, labelY, text, "strong halo"),
  ];
}

/** One column per prompt: a grey block as tall as the prompt costs, then its answers. The area is the budget. */
function drawSet({ n_prompts }, { c, k }, panel) {
  let unit = 24;
  let columns, shelves;
  do {
    unit -= 0.25;
    columns = Math.min(n_prompts, Math.floor(panel.width / unit));
    shelves = Math.ceil(n_prompts / columns);
  } while (unit > 2 && shelves * ((c + k) * unit + unit * 0.7) > panel.height);
  const side = unit * (unit > 5 ? 0.84 : 0.76);
  const tenths = (value) => value.toFixed(1);
  const square = (x, y, tall) => `M${tenths(x)} ${tenths(y)}h${tenths(side)}v${tenths(tall)}h${tenths(-side)}z`;
  const [prompts, squares] = [[], []];
  for (let i = 0; i < n_prompts; i++) {
    const x = panel.x + (i % columns) * unit;
    const y = panel.y + Math.floor(i / columns) * ((c + k) * unit + unit * 0.7);
    if (c) prompts.push(square(x, y, c * unit - (unit - side)));
    for (let j = 0; j < k; j++) squares.push(square(x, y + (c + j) * unit, side));
  }
  const title = `${whole(n_prompts)} prompts × ${answers(k)}`;
  return [
    words(panel.x, panel.head, title, "strong"),
    tag("path", { d: prompts.join(""), class: "prompt-block" }),
    tag("path", { d: squares.join(""), class: k === 1 ? "single" : "multi" }),
  ];
}

function draw(data, state, size) {
  const { plot, set } = layout(size);
  return [...drawCurve(data, state, plot), ...drawSet(data, state, set)].join("");
}

define({
  name: "budget",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: { b: (b) => `${whole(b)} answers’ worth`, c: answersWorth, v: (v) => `${v} ×` },
});

function answersWorth(c) {
  return c === 0 ? "nothing" : c === 1 ? "as much as an answer" : `as much as ${c} answers`;
}
