// race.js: four rules race from one reference policy over 100 arms, by exact expected steps.

import { NARROW, define, fixed, line, percent, tag, ticks, words } from "./core.js";
import { bestOfN, sum } from "./theory.js";

const RULES = {
  old: "best-of-10, old data",
  fresh: "best-of-10, fresh data",
  pairs: "IPO pairs, old data",
  gradient: "REINFORCE, fresh data",
};
const short = (rule) => RULES[rule].replace(" data", "");
const isOld = (rule) => RULES[rule].endsWith("old data");
const colourOf = (rule) => (RULES[rule].startsWith("best") ? "best" : "multi");
const MOST = 200; // steps
const RATE = 4; // step size, on the logits
const MARGIN = 10; // of IPO, nats

const ARMS = Array.from({ length: 100 }, (_, arm) => arm);
const below = (edge) => 0.5 + Math.atan((Math.atanh(edge / 100) + 0.7) / 0.4) / Math.PI;
const REFERENCE = ARMS.map((arm) => below(2 * arm - 98) - below(2 * arm - 100));

const mean = (p, values) => p.reduce((total, x, i) => total + x * values[i], 0);

/** IPO on all pairs of first draws whose rewards differ: linear in the log-ratios, so sums will do. */
function pairWeights(p, levels) {
  const ratio = p.map((x, arm) => Math.log(x / REFERENCE[arm]));
  const all = mean(REFERENCE, ratio);
  const weight = [];
  let [under, ties] = [0, 0];
  for (const level of levels) {
    let [mass, own] = [0, 0];
    for (const arm of level) {
      mass += REFERENCE[arm];
      own += REFERENCE[arm] * ratio[arm];
    }
    const wins = MARGIN * (2 * under + mass - 1); // mass below minus mass above
    for (const arm of level) weight[arm] = REFERENCE[arm] * (wins - ratio[arm] * (1 - mass) + all - own);
    under += mass;
    ties += mass ** 2;
  }
  return weight.map((w) => (4 * w) / (1 - ties));
}

/** Six decimals: none of the last bits in which two languages differ. */
const six = (value) => Math.floor(1e6 * value + 0.5) / 1e6;

const rewardOf = (peak) => ARMS.map((arm) => Math.exp(-(((arm - peak) / 10) ** 2)));

function run(rule, steps, reward, levels) {
  let [p, weight] = [REFERENCE, bestOfN(REFERENCE, levels, 10)];
  const rewards = [six(mean(p, reward))];
  while (rewards.length <= steps) {
    if (rule === "fresh") weight = bestOfN(p, levels, 10);
    if (rule === "pairs") weight = pairWeights(p, levels);
    if (rule === "gradient") weight = p.map((x, arm) => x * reward[arm]);
    const all = sum(weight);
    const raised = p.map((x, arm) => x * Math.exp(RATE * (weight[arm] - x * all)));
    const total = sum(raised);
    p = raised.map((x) => x / total);
    rewards.push(six(mean(p, reward)));
  }
  return { p, rewards };
}

export function compute({ peak, steps, rule: name }) {
  const reward = rewardOf(peak);
  const levels = ARMS.map((i) => ARMS.filter((arm) => Math.abs(arm - peak) === 99 - i));
  const ceiling = six(mean(bestOfN(REFERENCE, levels, 10), reward));
  const near = (p) => six(sum(p.slice(Math.max(0, peak - 10), peak + 11)));
  let policy, chosen;
  const rules = Object.keys(RULES).map((rule) => {
    const { p, rewards } = run(rule, steps, reward, levels);
    const passed = rewards.findIndex((value) => value > ceiling);
    const found = { rule, rewards, near: near(p), passed: passed < 0 ? null : passed };
    if (rule === name) [chosen, policy] = [found, p.map(six)];
    return found;
  });
  return { ceiling, near: near(REFERENCE), reference: REFERENCE.map(six), policy, chosen, rules };
}

const now = ({ rewards }) => fixed(rewards.at(-1), 2);

function lesson({ ceiling, policy, chosen: { rule, passed } }, peak) {
  const most = Math.max(...policy);
  const top = policy.indexOf(most);
  const limit = `the ceiling of ${fixed(ceiling, 2)}`;
  if (most > 0.5 && Math.abs(top - peak) > 5)
    return `Arm ${top} took ${percent(most)}: the reference is often there, and it pays a little.`;
  if (passed !== null) return `It passed ${limit} at step ${passed}${isOld(rule) ? ", without a new answer" : ""}.`;
  return rule === "old" ? `Its data ends at ${limit}: more steps do not help.` : `It is not yet past ${limit}.`;
}

function sentence(data, { steps, peak }) {
  const { chosen } = data;
  const before = percent(data.near);
  if (steps === 0)
    return (
      `Before the first step all four are the reference: reward <b>${now(chosen)}</b>, ${before} of the mass near ` +
      `the peak. One round of best-of-10 reaches ${fixed(data.ceiling, 2)}.`
    );
  return (
    `Step ${steps} of ${RULES[chosen.rule]}: reward <b>${now(chosen)}</b>, ` +
    `<b>${percent(chosen.near)}</b> of the mass near the peak (at first ${before}). ${lesson(data, peak)}`
  );
}

const alt = (data, state) =>
  `Expected reward of four rules, peak at arm ${state.peak}. After ${state.steps} of ${MOST} steps: ` +
  `${data.rules.map((one) => `${RULES[one.rule]} ${now(one)}`).join("; ")}. Dotted: one round of best-of-10, ` +
  `${fixed(data.ceiling, 2)}. Beside it the mass on the arms; within 10 of the peak ${RULES[state.rule]} has ` +
  `${percent(data.chosen.near)}, the reference ${percent(data.near)}.`;

const table = ({ rules }, { steps }) => ({
  columns: ["rule", `reward after ${steps}`, "passed the ceiling at step", "mass near the peak (±10)"],
  rows: rules.map(({ rule, rewards, near, passed }) => [
    RULES[rule],
    fixed(rewards.at(-1), 3),
    `${passed ?? "not yet"}`,
    percent(near),
  ]),
});

// --- drawing --------------------------------------------------------------------------------------------

function layout({ width, height }) {
  if (width < NARROW)
    return {
      lines: { x: 34, y: 34, width: width - 154, height: height - 260 },
      arms: { x: 34, y: height - 146, width: width - 40, height: 120 },
    };
  const side = 0.42 * width;
  const rest = { y: 44, height: height - 74 };
  return {
    lines: { x: 34, width: width - side - 168, ...rest },
    arms: { x: width - side + 36, width: side - 40, ...rest },
  };
}

const scale = ({ x, y, width, height }, most) =>
  ticks(most).map(([value, text]) => {
    const level = y + height * (1 - value / most);
    const kind = value ? "grid" : "axis";
    return line(x, level, x + width, level, kind) + words(x - 7, level + 4, text, "muted small", "end");
  });

const mark = (x, bottom, text) => words(x, bottom + 19, text, "muted small", "middle");

const points = (pairs) => pairs.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");

function drawLines({ rules, ceiling }, { steps, rule: chosen }, panel) {
  const bottom = panel.y + panel.height;
  const right = panel.x + panel.width;
  const x = (step) => panel.x + (panel.width * step) / MOST;
  const y = (reward) => bottom - panel.height * reward;
  const end = ({ rewards }) => y(rewards.at(-1));
  let floor = -Infinity; // names keep 16 pixels apart
  const order = rules.toSorted((a, b) => end(a) - end(b));
  const names = order.map((one, place) => {
    floor = Math.max(floor + 16, Math.min(end(one) + 4, bottom - 16 * (3 - place)));
    const name = words(right + 12, floor, short(one.rule), `small ${one.rule === chosen ? "strong" : ""}`);
    return line(x(steps), end(one), right + 9, floor - 4, "grid") + name;
  });
  const curves = rules.map(({ rule, rewards }) => {
    const kind = `${isOld(rule) ? "old" : ""} ${rule === chosen ? "" : "thin"}`;
    const path = points(rewards.map((reward, step) => [x(step), y(reward)]));
    return (
      tag("polyline", { points: path, class: `curve ${colourOf(rule)}-line ${kind}` }) +
      tag("circle", { cx: x(steps), cy: y(rewards.at(-1)), r: rule === chosen ? 6 : 4, class: `dot ${colourOf(rule)}` })
    );
  });
  return [
    words(0, panel.y - 20, "expected reward (dashes: old data)", "muted small"),
    ...scale(panel, 1),
    mark(panel.x, bottom, "0"),
    mark(right, bottom, `${MOST} steps`),
    line(panel.x, y(ceiling), right, y(ceiling), "goal"),
    ...names,
    ...curves,
    words(panel.x + 4, y(ceiling) - 7, `ceiling: ${fixed(ceiling, 2)}`, "small halo"),
  ];
}

function drawArms({ policy, reference }, { peak, rule }, panel) {
  const bottom = panel.y + panel.height;
  const most = Math.max(0.1, Math.max(...policy) * 1.05);
  const x = (arm) => panel.x + (panel.width * arm) / 100;
  const y = (share) => bottom - panel.height * share;
  const stairs = (masses) => points(masses.flatMap((m, arm) => [arm, arm + 1].map((edge) => [x(edge), y(m / most)])));
  const bell = points(rewardOf(peak).map((reward, arm) => [x(arm + 0.5), y(reward)]));
  return [
    words(panel.x - 36, panel.y - 20, "mass · grey: reference · outlined: reward", "muted small"),
    ...scale(panel, most),
    tag("polygon", { points: `${x(0)},${bottom} ${stairs(policy)} ${x(100)},${bottom}`, class: colourOf(rule) }),
    tag("polyline", { points: stairs(reference), class: "curve thin base" }),
    tag("polyline", { points: bell, class: "truth" }),
    ...[0, 20, 50, 70, 99].map((arm) => mark(x(arm + 0.5), bottom, arm ? `${arm}` : "arm 0")),
  ];
}

function draw(data, state, size) {
  const { lines, arms } = layout(size);
  return [...drawLines(data, state, lines), ...drawArms(data, state, arms)].join("");
}

define({
  name: "race",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: { peak: (peak) => `arm ${peak}`, rule: (rule) => RULES[rule] },
  actions: [
    { label: "Run the race", run: (state) => Array.from({ length: 51 }, (_, i) => ({ ...state, steps: 4 * i })) },
  ],
});
