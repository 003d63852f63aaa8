// selection.js: 24 candidate answers on a map, of three kinds. Which K of them does a rule keep?

import { NARROW, box, define, fixed, line, percent, tag, words } from "./core.js";
import { expectedKinds, facilityLocation, facilityValue, mulberry32, sum } from "./theory.js";

const KINDS = [ // where they lie on the map, how far they spread, and what the reward thinks of them
  { name: "a walk", count: 12, x: 0.3, y: 0.36, spread: 0.26, reward: 0.55 },
  { name: "a museum", count: 8, x: 0.74, y: 0.3, spread: 0.2, reward: 0.8 },
  { name: "cooking", count: 4, x: 0.58, y: 0.82, spread: 0.14, reward: 0.45 },
];
const REACH = 0.25; // distance at which two answers are alike by a factor e less
const RULES = {
  random: "at random",
  best: "best reward",
  diverse: "diverse",
  "quality-diversity": "quality–diversity",
};
const COLOUR = { random: "multi", best: "best", diverse: "quality", "quality-diversity": "quality" };

const generator = (seed, draw) => mulberry32(Math.imul(seed, 0x9e3779b1) + Math.imul(draw, 0x85ebca77));

function candidates(seed) {
  const random = generator(seed, 0);
  return KINDS.flatMap(({ count, x, y, spread, reward }, kind) =>
    Array.from({ length: count }, () => {
      const [dx, dy] = [0, 1].map(() => spread * (random() + random() + random() - 1.5));
      return { kind, x: x + dx, y: y + dy, reward: reward + 0.2 * (random() + random() - 1) };
    }),
  );
}

const order = (values) => values.map((_, i) => i).sort((i, j) => values[j] - values[i]);

function picksOf(by, all, similarity, { k, alpha, seed, draw }) {
  const reward = all.map((one) => one.reward);
  if (by === "best") return order(reward).slice(0, k);
  if (by === "diverse") return facilityLocation(similarity, k);
  if (by === "quality-diversity") return facilityLocation(similarity, k, reward, alpha);
  const random = generator(seed, draw);
  return order(all.map(() => -random())).slice(0, k);
}

export function compute(state) {
  const all = candidates(state.seed);
  const apart = (a, b) => (a.x - b.x) ** 2 + (a.y - b.y) ** 2;
  const similarity = all.map((a) => all.map((b) => Math.exp(-apart(a, b) / REACH ** 2)));
  const rules = Object.keys(RULES).map((by) => {
    const picks = picksOf(by, all, similarity, state);
    return {
      by,
      picks,
      kinds: new Set(picks.map((j) => all[j].kind)).size,
      reward: sum(picks.map((j) => all[j].reward)) / state.k,
      coverage: facilityValue(similarity, picks) / all.length,
    };
  });
  const chosen = rules.find(({ by }) => by === state.by);
  const nearest = (row) => chosen.picks.reduce((a, b) => (row[b] > row[a] ? b : a));
  return {
    x: all.map(({ x }) => x),
    y: all.map(({ y }) => y),
    kind: all.map(({ kind }) => kind),
    reward: all.map(({ reward }) => reward),
    rules,
    chosen,
    stands_for: similarity.map(nearest),
    mean_reward: sum(all.map(({ reward }) => reward)) / all.length,
    expected_kinds: expectedKinds(KINDS.map(({ count }) => count), state.k),
  };
}

const ofKinds = (kinds) => (kinds === 1 ? "one kind" : `${kinds} of the 3 kinds`);
const ruleOf = (data, name) => data.rules.find(({ by }) => by === name);

function sentence(data, { by, k, alpha }) {
  const { kinds, reward } = data.chosen;
  const [best, only] = [ruleOf(data, "best"), k === 1];
  const gets = `<b>${only ? "one answer" : ofKinds(kinds)}</b>, mean reward <b>${fixed(reward, 2)}</b>`;
  const bestGets = `best-K has ${fixed(best.reward, 2)} from ${ofKinds(best.kinds)}`;
  if (by === "random")
    return (
      `K = ${k} at random: ${gets}. On average it finds ${fixed(data.expected_kinds, 1)} kinds and the mean ` +
      `reward of all 24, ${fixed(data.mean_reward, 2)}: no bias, only luck.`
    );
  if (by === "best")
    return (
      `The best K = ${k}: ${gets}. The mean of all 24 is ${fixed(data.mean_reward, 2)}, ` +
      `so this is not what people answer.`
    );
  if (by === "diverse")
    return `Diverse with K = ${k}: ${gets}. It looks at the map and never at the reward; ${bestGets}.`;
  if (alpha === 0)
    return `Quality–diversity with α = 0: ${gets}. At 0 the reward does not count: this is the diverse rule.`;
  return `Quality–diversity with α = ${fixed(alpha, 2)} and K = ${k}: ${gets}; ${bestGets}.`;
}

const listed = (data, picks) => picks.map((j) => `${KINDS[data.kind[j]].name} ${fixed(data.reward[j], 2)}`).join(", ");

const alt = (data, { by, k }) =>
  `Map of 24 candidate answers in three groups: 12 say a walk, 8 a museum, 4 cooking. Rule: ${RULES[by]}. ` +
  `The ${k} kept, with their rewards: ${listed(data, data.chosen.picks)}. A line ties each candidate to the kept ` +
  `answer most like it. Beside the map, the rewards of each kind.`;

const table = (data) => ({
  columns: ["rule", "kinds kept", "mean reward", "how alike, on average, is the nearest kept answer"],
  rows: data.rules.map((rule) => [RULES[rule.by], String(rule.kinds), fixed(rule.reward, 2), percent(rule.coverage)]),
});

// --- drawing --------------------------------------------------------------------------------------------

/** The map and, beside or under it, the rewards. */
function layout({ width, height }) {
  if (width < NARROW)
    return {
      map: { x: 4, y: 56, width: width - 8, height: height - 56 - 190 },
      lanes: { x: 0, y: height - 152, width, height: 120, head: height - 170 },
    };
  const side = Math.round(width * 0.3);
  return {
    map: { x: 6, y: 50, width: width - side - 70, height: height - 52 },
    lanes: { x: width - side, y: 40, width: side, height: height - 40 - 34, head: 20 },
  };
}

const size = (reward) => 3 + 6.5 * reward;

/** A candidate as a dot, larger and darker with its reward; a kept one in colour, with its number. */
function dot(data, j, cx, cy, colour) {
  const place = data.chosen.picks.indexOf(j);
  const reward = Math.min(1, Math.max(0, data.reward[j]));
  if (place < 0) return tag("circle", { cx, cy, r: size(reward), class: "candidate", opacity: 0.2 + 0.55 * reward });
  const disc = tag("circle", { cx, cy, r: 11, class: `dot ${colour}` });
  return disc + words(cx, cy + 4.5, String(place + 1), `on-${colour}`, "middle");
}

/** All candidates, the kept ones at the end: they are drawn over the others, the first one on top. */
const keptLast = ({ kind, chosen: { picks } }) => [
  ...kind.map((_, j) => j).filter((j) => !picks.includes(j)),
  ...picks.toReversed(),
];

function drawMap(data, colour, panel) {
  const x = (value) => panel.x + panel.width * value;
  const y = (value) => panel.y + panel.height * value;
  const ties = data.stands_for.map((j, i) =>
    i === j ? "" : line(x(data.x[i]), y(data.y[i]), x(data.x[j]), y(data.y[j]), `tie ${colour}-line`),
  );
  const names = KINDS.map(({ name, count }, kind) => {
    const mine = data.kind.flatMap((one, i) => (one === kind ? [i] : []));
    const top = Math.min(...mine.map((i) => data.y[i]));
    const middle = sum(mine.map((i) => data.x[i])) / mine.length;
    const above = Math.max(y(top) - 17, panel.y - 10);
    return words(x(middle), above, `“${name}”, ${count}`, "muted small halo", "middle");
  });
  return [...ties, ...names, ...keptLast(data).map((j) => dot(data, j, x(data.x[j]), y(data.y[j]), colour))];
}

function drawRewards(data, colour, panel) {
  const bottom = panel.y + panel.height;
  const y = (reward) => bottom - panel.height * reward;
  const left = panel.x + 30;
  const lane = (panel.x + panel.width - left) / KINDS.length;
  const seen = KINDS.map(() => 0);
  const places = data.kind.map((kind) => {
    const place = seen[kind]++;
    return left + lane * (kind + 0.5) + ((place % 3) - 1) * Math.min(17, lane * 0.22);
  });
  const levels = [0, 0.5, 1].map(
    (reward) =>
      line(left, y(reward), panel.x + panel.width, y(reward), reward ? "grid" : "axis") +
      words(left - 8, y(reward) + 4, fixed(reward, 1), "muted small", "end"),
  );
  const { reward } = data.chosen;
  // Narrow lanes: every second name one line lower, or they would run into each other.
  const drop = (kind) => (lane < 66 && kind % 2 ? 14 : 0);
  const names = KINDS.map(({ name }, kind) =>
    words(left + lane * (kind + 0.5), bottom + 18 + drop(kind), name, "small", "middle"),
  );
  return [
    words(panel.x, panel.head, `reward; mean of the kept ${fixed(reward, 2)}`),
    ...levels,
    ...names,
    ...keptLast(data).map((j) => dot(data, j, places[j], y(data.reward[j]), colour)),
    line(left, y(reward), panel.x + panel.width, y(reward), `kept ${colour}-line`),
  ];
}

function draw(data, state, size) {
  const { map, lanes } = layout(size);
  const colour = COLOUR[state.by];
  return [
    words(0, 20, "Prompt", "muted small"),
    words(52, 20, "“What shall we do on Sunday?”", "prompt"),
    ...drawMap(data, colour, map),
    ...drawRewards(data, colour, lanes),
  ].join("");
}

define({
  name: "selection",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: { by: (by) => RULES[by], alpha: (alpha) => fixed(alpha, 2) },
  actions: [
    { label: "New answers", run: (state) => [{ ...state, seed: (state.seed % 9999) + 1 }] },
    { label: "Pick at random", run: (state) => [{ ...state, by: "random", draw: (state.draw % 9999) + 1 }] },
  ],
});
