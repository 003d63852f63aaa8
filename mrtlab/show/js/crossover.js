// crossover.js: learn the rule from n strings, or choose among N candidates? Closed forms over a reply's length.

import { NARROW, define, fixed, line, percent, tag, ticks, whole, words } from "./core.js";
import { chanceSeen } from "./theory.js";

const [SHORTEST, LONGEST] = [8, 64]; // bits in a reply; the true rule reads 8
const LENGTHS = Array.from({ length: (LONGEST - SHORTEST) / 4 + 1 }, (_, i) => SHORTEST + 4 * i);
const MARKS = [8, 16, 24, 32, 48, 64]; // rows of the table

/** Candidates for a perfect verifier to find a right one with this probability. */
const candidatesNeeded = (alpha, confidence) => Math.log1p(-confidence) / Math.log1p(-alpha);

export function compute({ n, t, c, m }) {
  const learn = 1 - 2 ** -n;
  return {
    learn,
    alpha: c ** t,
    choose: chanceSeen(c ** t, m),
    curve: LENGTHS.map((length) => chanceSeen(c ** length, m)),
    crossover: Math.log(-Math.expm1((-n * Math.log(2)) / m)) / Math.log(c),
    needed: candidatesNeeded(c ** t, learn),
    needed_curve: LENGTHS.map((length) => candidatesNeeded(c ** length, learn)),
  };
}

function candidates(needed) {
  const count = Math.max(1, Math.ceil(needed - 1e-9));
  return count > 1e6 ? "over a million" : whole(count);
}

/** Whole percent, but never 0 or 100. */
function chance(share) {
  if (share < 0.005) return "under 1\u00a0%";
  return share >= 0.995 ? "over 99\u00a0%" : percent(share);
}

function sentence({ learn, choose, crossover, needed }, { n, m }) {
  const strings = n === 1 ? "one string" : `${n} strings`;
  const among = m === 1 ? "taking the only candidate" : `choosing among ${whole(m)}`;
  const first = `Learning from ${strings}: <b>${chance(learn)}</b>; ${among}: <b>${chance(choose)}</b>.`;
  if (learn > choose) {
    const since = crossover < SHORTEST ? "at all these lengths" : `from T = ${Math.ceil(crossover)} on`;
    return `${first} Learning wins ${since}; here, choosing needs ${candidates(needed)} to match it.`;
  }
  const until = crossover > LONGEST ? "at all these lengths" : `up to T = ${Math.floor(crossover)}`;
  return `${first} Choosing wins ${until}; here, ${candidates(needed)} would do to match learning.`;
}

const alt = (data, { n, c, m }) =>
  `Chance of a right reply against its length T, from ${SHORTEST} to ${LONGEST} bits. Learning from n = ` +
  `${n}: ${chance(data.learn)} at every length. Choosing among N = ${whole(m)} with c = ` +
  `${fixed(c, 2)} falls from ${chance(data.curve[0])} to ${chance(data.curve.at(-1))}. They meet ` +
  `at T = ${fixed(data.crossover, 1)}. Beside it, the candidates needed to match learning: ` +
  `${candidates(data.needed_curve[0])} at T = ${SHORTEST}, ${candidates(data.needed_curve.at(-1))} at T = ${LONGEST}.`;

/** As Python writes 1.23e−05. */
const scientific = (value) => value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2").replace("-", "−");

const table = (data, { c }) => ({
  columns: ["T", "learning", "choosing", "coverage α = cᵀ", "candidates to match"],
  rows: MARKS.map((length) => {
    const at = (length - SHORTEST) / 4;
    const chances = [chance(data.learn), chance(data.curve[at])];
    return [String(length), ...chances, scientific(c ** length), candidates(data.needed_curve[at])];
  }),
});

// --- drawing ---

/** The chances and, beside or under them, the candidates needed. */
function layout({ width, height }) {
  if (width < NARROW)
    return {
      chances: { x: 40, y: 46, width: width - 46, height: height - 316, head: 16 },
      needed: { x: 40, y: height - 180, width: width - 46, height: 134, head: height - 202 },
    };
  const side = Math.round(width * 0.36);
  return {
    chances: { x: 40, y: 46, width: width - side - 84, height: height - 92, head: 16 },
    needed: { x: width - side + 44, y: 46, width: side - 50, height: height - 92, head: 16 },
  };
}

const corners = (points) => points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");
const along = (panel) => (t) => panel.x + (panel.width * (t - SHORTEST)) / (LONGEST - SHORTEST);

function axis(panel, x) {
  const bottom = panel.y + panel.height;
  return [
    ...[8, 16, 32, 48, 64].map((t) => {
      const name = words(x(t), bottom + 20, String(t), "muted small", "middle");
      return line(x(t), bottom, x(t), bottom + 5, "axis") + name;
    }),
    words(panel.x + panel.width, bottom + 38, "T, bits in a reply", "muted small", "end"),
  ];
}

const rung = (panel, y, text) =>
  line(panel.x, y, panel.x + panel.width, y, y < panel.y + panel.height - 1 ? "grid" : "axis") +
  words(panel.x - 8, y + 4, text, "muted small", "end");

/** Where both ways are equal: a line; given names, words on its free side. */
function meeting({ crossover }, panel, x, names) {
  if (crossover < SHORTEST || crossover > LONGEST) return "";
  const [at, foot] = [x(crossover), panel.y + panel.height];
  const upright = line(at, panel.y, at, foot, "goal");
  if (!names) return upright;
  const left = at + 114 > panel.x + panel.width || names.some(({ y, right }) => y > foot - 26 && right > at);
  const text = `equal at T = ${fixed(crossover, 1)}`;
  return upright + words(at + (left ? -7 : 7), foot - 10, text, "small halo", left ? "end" : "start");
}

// Where names may stand: right and down of the point, and what share lies to the left.
const PLACES = [[10, -10, 0], [-10, 19, 1], [10, 19, 0], [-10, -10, 1], [5, -13, 0], [8, 25, 1], [0, 23, 0.5]];

/** The place with the least in its way: a name above, points with weights. */
function beside([text, atX, atY], panel, marks, above) {
  const places = PLACES.map(([dx, dy, share], rank) => {
    const [y, wide] = [atY + dy, 7.3 * text.length];
    const left = atX + dx - wide * share;
    const right = left + wide;
    const wider = left < panel.x || right > panel.x + panel.width + 10;
    const higher = y < panel.head + 15 || y > panel.y + panel.height - 4;
    const mixed = above ? y < above.y + (left < above.right && above.left < right ? 16 : 0) : dy > 0;
    const hit = ([px, py]) => left - 4 < px && px < right + 4 && y - 14 < py && py < y + 6;
    const hits = marks.reduce((sum, [weight, points]) => sum + weight * points.some(hit), 0);
    return { text, y, left, right, cost: (wider || higher || mixed ? 20 : 0) + hits + rank / 10 };
  });
  return places.sort((one, other) => one.cost - other.cost)[0];
}

function drawChances(data, { t, c, m }, panel) {
  const bottom = panel.y + panel.height;
  const x = along(panel);
  const y = (value) => bottom - panel.height * value;
  const fine = Array.from({ length: 113 }, (_, i) => SHORTEST + i / 2);
  const curve = fine.map((length) => [x(length), y(chanceSeen(c ** length, m))]);
  const [upper, lower] = ["learn", "choose"]
    .map((way) => [`${way} ${chance(data[way])}`, x(t), y(data[way])])
    .sort((one, other) => one[2] - other[2]);
  const marks = [
    [8, [upper.slice(1), lower.slice(1)]],
    [4, fine.map((_, i) => [x(data.crossover), panel.y + 4 * i])],
    [3, [...curve, ...curve.map(([place]) => [place, y(data.learn)])]],
  ];
  const first = beside(upper, panel, marks);
  const names = [first, beside(lower, panel, marks, first)];
  return [
    words(0, panel.head, "chance of a right reply"),
    ...ticks(1).map(([value, text]) => rung(panel, y(value), text)),
    ...axis(panel, x),
    meeting(data, panel, x, names),
    line(panel.x, y(data.learn), panel.x + panel.width, y(data.learn), "curve single-line"),
    tag("polyline", { points: corners(curve), class: "curve best-line" }),
    line(x(t), y(data.learn), x(t), y(data.choose), "axis"),
    tag("circle", { cx: x(t), cy: y(data.learn), r: 6.5, class: "dot single" }),
    tag("circle", { cx: x(t), cy: y(data.choose), r: 6.5, class: "dot best" }),
    ...names.map((box) => words((box.left + box.right) / 2, box.y, box.text, "strong halo", "middle")),
  ];
}

function drawNeeded(data, { t, m }, panel) {
  const bottom = panel.y + panel.height;
  const x = along(panel);
  const most = Math.max(4, Math.ceil(Math.log10(data.needed_curve.at(-1))));
  const y = (value) => bottom - (panel.height * Math.max(0, Math.log10(value))) / most;
  const every = Math.ceil(most / 4);
  const powers = Array.from({ length: Math.floor(most / every) + 1 }, (_, i) => i * every);
  const raised = (power) => [...String(power)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");
  const points = corners(LENGTHS.map((length, i) => [x(length), y(data.needed_curve[i])]));
  const text = `N = ${whole(m)}`;
  return [
    words(panel.x - 40, panel.head, "candidates to match learning (log)"),
    ...powers.map((power) => rung(panel, y(10 ** power), power ? `10${raised(power)}` : "1")),
    ...axis(panel, x),
    meeting(data, panel, x),
    line(panel.x, y(m), panel.x + panel.width, y(m), "reference"),
    words(panel.x + panel.width, y(m) + (y(m) > bottom - 20 ? -7 : 16), text, "small halo", "end"),
    tag("polyline", { points, class: "curve best-line" }),
    tag("circle", { cx: x(t), cy: y(data.needed), r: 6.5, class: "dot best" }),
  ];
}

function draw(data, state, size) {
  const { chances, needed } = layout(size);
  return [...drawChances(data, state, chances), ...drawNeeded(data, state, needed)].join("");
}

define({
  name: "crossover",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: { n: whole, t: (t) => `${t} bits`, c: (c) => fixed(c, 2), m: whole },
});
