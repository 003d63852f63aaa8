// crossover.js: learn the rule from n strings, or choose among N candidates? Closed forms, over the length of a reply.

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

// --- drawing --------------------------------------------------------------------------------------------

/** The chances and, beside or under them, the candidates needed. */
function layout({ width, height }) {
  if (width < NARROW)
    return {
      chances: { x: 40, y: 46, width: width - 46, height: height - 46 - 270, head: 16 },
      needed: { x: 40, y: height - 180, width: width - 46, height: 134, head: height - 202 },
    };
  const side = Math.round(width * 0.36);
  return {
    chances: { x: 40, y: 46, width: width - side - 84, height: height - 46 - 46, head: 16 },
    needed: { x: width - side + 44, y: 46, width: side - 50, height: height - 46 - 46, head: 16 },
  };
}

const corners = (points) => points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");
const along = (panel) => (t) => panel.x + (panel.width * (t - SHORTEST)) / (LONGEST - SHORTEST);

function axis(panel, x) {
  const bottom = panel.y + panel.height;
  return [
    ...[8, 16, 32, 48, 64].map(
      (t) =>
        line(x(t), bottom, x(t), bottom + 5, "axis") +
        words(x(t), bottom + 20, String(t), "muted small", "middle"),
    ),
    words(panel.x + panel.width, bottom + 38, "T, bits in a reply", "muted small", "end"),
  ];
}

const shown = (crossover) => crossover >= SHORTEST && crossover <= LONGEST;

/** A vertical line where both ways are equal. */
function meeting({ crossover }, panel, x) {
  return shown(crossover) ? line(x(crossover), panel.y, x(crossover), panel.y + panel.height, "goal") : "";
}

// --- names beside their points, clear of lines and of each other ------------------------------------------

const LETTER = 7.3; // px, as wide as a letter of a bold name is on average

/** A text that starts, ends or is centred at (x, y), and the box it fills. */
function place(text, x, y, anchor) {
  const wide = text.length * LETTER;
  const left = anchor === "start" ? x : anchor === "end" ? x - wide : x - wide / 2;
  return { text, x, y, anchor, left, right: left + wide, top: y - 12, bottom: y + 4 };
}

/** Right, left, above or below of a point, the place we like best first. */
const around = (text, x, y) => [
  place(text, x + 10, y - 10, "start"),
  place(text, x - 10, y + 19, "end"),
  place(text, x + 10, y + 19, "start"),
  place(text, x - 10, y - 10, "end"),
  place(text, x + 5, y - 13, "start"),
  place(text, x + 8, y + 25, "end"),
  place(text, x - 8, y - 16, "start"),
  place(text, x, y - 14, "middle"),
  place(text, x, y + 23, "middle"),
];

const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const covers = (box, x, y) => box.left - 4 < x && x < box.right + 4 && box.top - 2 < y && y < box.bottom + 2;

/** How bad a place is: off the panel, on a point, on a line, or far down the list. */
function blame(box, rank, { panel, dots, uprights, lines }) {
  const wide = box.left < panel.x || box.right > panel.x + panel.width + 10;
  const high = box.top < panel.head + 3 || box.bottom > panel.y + panel.height;
  return (
    20 * (wide || high) +
    8 * dots.some(([x, y]) => covers(box, x, y)) +
    4 * uprights.some((x) => covers(box, x, box.y)) +
    3 * lines.some(([x, y]) => covers(box, x, y)) +
    0.1 * rank
  );
}

/** The pair of places with the least blame; the upper point keeps the upper name. */
function placeNames(upper, lower, drawn) {
  const pairs = upper.flatMap((a, i) =>
    lower.map((b, j) => ({
      boxes: [a, b],
      cost: 20 * (overlap(a, b) || a.y > b.y) + blame(a, i, drawn) + blame(b, j, drawn),
    })),
  );
  return pairs.reduce((best, pair) => (pair.cost < best.cost ? pair : best)).boxes;
}

/** Where both ways are equal, in words at the foot of that line, on its free side. */
function meetingName({ crossover }, panel, x, names) {
  if (!shown(crossover)) return "";
  const text = `equal at T = ${fixed(crossover, 1)}`;
  const foot = panel.y + panel.height - 10;
  const right = place(text, x(crossover) + 7, foot, "start");
  const left = place(text, x(crossover) - 7, foot, "end");
  const free = (box) => box.right < panel.x + panel.width + 6 && !names.some((name) => overlap(box, name));
  const { x: at, y, anchor } = free(right) ? right : left;
  return words(at, y, text, "small halo", anchor);
}

function drawChances(data, { t, c, m }, panel) {
  const bottom = panel.y + panel.height;
  const x = along(panel);
  const y = (value) => bottom - panel.height * value;
  const curve = Array.from({ length: 113 }, (_, i) => SHORTEST + i / 2).map((length) => [
    x(length),
    y(chanceSeen(c ** length, m)),
  ]);
  const level = ticks(1).map(
    ([value, text]) =>
      line(panel.x, y(value), panel.x + panel.width, y(value), value ? "grid" : "axis") +
      words(panel.x - 8, y(value) + 4, text, "muted small", "end"),
  );
  const dots = [
    { text: `learn ${chance(data.learn)}`, value: data.learn },
    { text: `choose ${chance(data.choose)}`, value: data.choose },
  ].sort((one, other) => other.value - one.value);
  const between = [0.25, 0.5, 0.75].map((share) => [x(t), y(data.learn + share * (data.choose - data.learn))]);
  const learning = curve.map(([place]) => [place, y(data.learn)]);
  const names = placeNames(...dots.map(({ text, value }) => around(text, x(t), y(value))), {
    panel,
    dots: dots.map(({ value }) => [x(t), y(value)]),
    uprights: shown(data.crossover) ? [x(data.crossover)] : [],
    lines: [...curve, ...learning, ...between],
  });
  return [
    words(0, panel.head, "chance of a right reply"),
    ...level,
    ...axis(panel, x),
    meeting(data, panel, x),
    line(panel.x, y(data.learn), panel.x + panel.width, y(data.learn), "curve single-line"),
    tag("polyline", { points: corners(curve), class: "curve best-line" }),
    line(x(t), y(data.learn), x(t), y(data.choose), "axis"),
    tag("circle", { cx: x(t), cy: y(data.learn), r: 6.5, class: "dot single" }),
    tag("circle", { cx: x(t), cy: y(data.choose), r: 6.5, class: "dot best" }),
    meetingName(data, panel, x, names),
    ...names.map((box) => words(box.x, box.y, box.text, "strong halo", box.anchor)),
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
    ...powers.map(
      (power) =>
        line(panel.x, y(10 ** power), panel.x + panel.width, y(10 ** power), power ? "grid" : "axis") +
        words(panel.x - 8, y(10 ** power) + 4, power ? `10${raised(power)}` : "1", "muted small", "end"),
    ),
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
