// bins.js: a policy over three bins, and six methods that move its mass. Every step is the exact, expected one.

import { NARROW, box, define, fixed, line, tag, ticks, words } from "./core.js";
import { sum } from "./theory.js";

const BINS = ["poor", "fair", "good"];
const METHODS = {
  imitate: "imitate a fair sample",
  "best-of-n": "best-of-4 SFT",
  reinforce: "REINFORCE",
  dpo: "DPO: good over fair",
  forward: "forward KL",
  reverse: "reverse KL",
};
const BY_REWARD = { "best-of-n": "best", reinforce: "best", dpo: "best" };
const COLOUR = { ...BY_REWARD, imitate: "single", forward: "multi", reverse: "multi" };
const MOST = 200; // steps
const N = 4; // draws that best-of-n chooses from
const RATE = 1; // step size, on the logits
const BETA = 1; // of DPO
const REWARD = [0, 0.5, 1];
const TARGET = [0.1, 0.3, 0.6];
const ENDS = { imitate: [0, 1, 0], reinforce: [0, 0, 1], dpo: [0, 0, 1], forward: TARGET, reverse: TARGET };
const LESSONS = {
  imitate: "One answer was seen, a fair one: in the end nothing else is left.",
  reinforce: "A bin is pulled in proportion to its own mass: the rare one waits.",
  forward: "The pull is target minus model: a rare bin waits for nothing.",
  reverse: "Its own mass multiplies the pull on a bin: the rare one waits.",
};

/** Exact law of the best of N draws; the bins are in the order of their rewards. */
function bestOfN(p) {
  const upTo = [0, p[0], p[0] + p[1], 1];
  return p.map((_, i) => upTo[i + 1] ** N - upTo[i] ** N);
}

/** Signed weights of the method on the three bins. */
function weights(method, p, start) {
  if (method === "best-of-n") return bestOfN(start);
  if (method === "reinforce") return p.map((x, i) => x * REWARD[i]);
  if (method === "reverse") return p.map((x, i) => x * Math.log(TARGET[i] / x));
  if (method !== "dpo") return ENDS[method];
  const margin = Math.log(p[2] / p[1]) - Math.log(start[2] / start[1]);
  const pull = BETA / (1 + Math.exp(BETA * margin));
  return [0, -pull, pull];
}

/** Nine decimals: more than anybody sees, and none of the last bits in which two languages differ. */
const nine = (values) => values.map((value) => Math.floor(1e9 * value + 0.5) / 1e9);

export function compute({ method, rare, steps }) {
  const start = [((1 - rare) * 7) / 9, ((1 - rare) * 2) / 9, rare];
  const path = [nine(start)];
  let [p, push, after] = [start];
  for (let step = 0; step <= steps; step++) {
    const weight = weights(method, p, start);
    push = weight.map((w, i) => w - p[i] * sum(weight));
    const raised = p.map((x, i) => x * Math.exp(RATE * push[i]));
    after = raised.map((x) => x / sum(raised));
    if (step === steps) break;
    p = after;
    path.push(nine(p));
  }
  return {
    path,
    push: nine(push),
    next: nine(after),
    end: nine(ENDS[method] ?? bestOfN(start)),
  };
}

const share = (value) => `${fixed(100 * value, 1)}\u00a0%`;
const verb = (before, after) => (Math.abs(after - before) < 5e-4 ? "kept" : after > before ? "rose to" : "fell to");

function lesson({ end, next, path }, { method }) {
  if (method === "best-of-n")
    return `It ends at the law of the best of four first draws: good gets ${share(end[2])}, no more.`;
  if (method !== "dpo") return LESSONS[method];
  const rises = next[0] > path.at(-1)[0];
  return `The next step ${rises ? "lifts" : "lowers"} poor${rises ? " too" : ""}, which is in no pair.`;
}

function sentence(data, state) {
  const [first, last] = [data.path[0], data.path.at(-1)];
  if (state.steps === 0) return `Before the first step, good has <b>${share(first[2])}</b>. ${lesson(data, state)}`;
  const moved = BINS.map((name, i) => `${name} ${verb(first[i], last[i])} <b>${share(last[i])}</b>`);
  return `${state.steps === 1 ? "One step" : `${state.steps} steps`}: ${moved.join(", ")}. ${lesson(data, state)}`;
}

function alt({ path, end }, { method, steps }) {
  const bars = BINS.map((name, i) => {
    const [from, to, target, last] = [path[0], path.at(-1), TARGET, end].map((law) => share(law[i]));
    return `${name} from ${from} to ${to} (target ${target}, end ${last})`;
  });
  return (
    `Three bins, their rewards 0, ½ and 1. Method: ${METHODS[method]}. Mass at the start and after ` +
    `${steps} steps: ${bars.join("; ")}. Beside them, the three masses after every step.`
  );
}

const table = ({ path, push, end }, { steps }) => ({
  columns: ["bin", "reward", "start", `after ${steps}`, "next move of its logit", "target", "method’s end"],
  rows: BINS.map((name, i) => {
    const move = fixed(push[i], 3).replace("-", "−");
    return [name, fixed(REWARD[i], 1), share(path[0][i]), share(path.at(-1)[i]), move, share(TARGET[i]), share(end[i])];
  }),
});

// --- drawing --------------------------------------------------------------------------------------------

/** The bins and, beside or under them, the path. */
function layout({ width, height }) {
  if (width < NARROW)
    return {
      bars: { x: 34, y: 44, width: width - 38, height: height - 44 - 272 },
      path: { x: 34, y: height - 172, width: width - 82, height: 132, head: height - 190 },
    };
  const side = Math.round(width * 0.4);
  return {
    bars: { x: 40, y: 44, width: width - side - 88, height: height - 44 - 46 },
    path: { x: width - side + 34, y: 44, width: side - 82, height: height - 44 - 46, head: 18 },
  };
}

const scale = ({ x, y, width, height }, at) =>
  ticks(1).map(
    ([value, text]) =>
      line(x, at(value), x + width, at(value), value ? "grid" : "axis") +
      words(x - 8, at(value) + 4, text, "muted small", "end"),
  );

/** An arrow from the old mass to the new one; none where it would be shorter than its own head. */
function arrow(x, from, to, kind) {
  if (Math.abs(to - from) < 7) return "";
  const back = to > from ? -6 : 6;
  return (
    line(x, from, x, to, `arrow ${kind}`) +
    tag("polyline", { points: `${x - 4},${to + back} ${x},${to} ${x + 4},${to + back}`, class: `arrow ${kind}` })
  );
}

function drawBins({ path, end }, { method }, panel) {
  const bottom = panel.y + panel.height;
  const y = (value) => bottom - panel.height * value;
  const lane = panel.width / 3;
  const wide = Math.min(72, lane * 0.5);
  const bars = BINS.flatMap((name, i) => {
    const [from, to, middle] = [path[0][i], path.at(-1)[i], panel.x + lane * (i + 0.5)];
    const left = middle - wide / 2;
    const side = left + wide + 10;
    return [
      box(left, y(to), wide, bottom - y(to), COLOUR[method]),
      box(left, y(TARGET[i]), wide, bottom - y(TARGET[i]), "truth"),
      line(left - 5, y(end[i]), left + wide + 5, y(end[i]), "goal"),
      line(left + wide, y(from), side + 4, y(from), "before"),
      arrow(side, y(from), y(to), "axis"),
      words(middle, Math.min(y(to), y(TARGET[i])) - 7, share(to), "strong halo", "middle"),
      words(middle, bottom + 19, name, "", "middle"),
      words(middle, bottom + 36, `reward ${["0", "½", "1"][i]}`, "muted small", "middle"),
    ];
  });
  const title = "outlined: the target · dashed: the method’s end";
  return [words(0, 18, title, "muted small"), ...scale(panel, y), ...bars];
}

function drawPath({ path }, { method, steps }, panel) {
  const bottom = panel.y + panel.height;
  const y = (value) => bottom - panel.height * value;
  const most = Math.max(20, steps);
  const x = (step) => panel.x + (panel.width * step) / most;
  const last = path.at(-1);
  const order = [0, 1, 2].sort((i, j) => last[j] - last[i]);
  let floor = -Infinity; // names keep 14 pixels apart, from the top down
  const names = order.map((i, place) => {
    floor = Math.max(floor + 14, Math.min(y(last[i]) + 4, bottom + 4 - 14 * (2 - place)));
    return words(x(steps) + 9, floor, BINS[i], "small halo");
  });
  const lines = BINS.map((_, i) => {
    const points = path.map((p, step) => `${x(step).toFixed(2)},${y(p[i]).toFixed(2)}`).join(" ");
    const kind = ["thin", "middling", ""][i];
    return (
      tag("polyline", { points, class: `curve ${COLOUR[method]}-line ${kind}` }) +
      tag("circle", { cx: x(steps), cy: y(last[i]), r: 4.5, class: `dot ${COLOUR[method]}` })
    );
  });
  return [
    words(panel.x - 34, panel.head, "mass after every step", "muted small"),
    ...scale(panel, y),
    words(panel.x, bottom + 19, "0", "muted small", "middle"),
    words(panel.x + panel.width, bottom + 19, `${most} steps`, "muted small", "middle"),
    ...lines,
    ...names,
  ];
}

function draw(data, state, size) {
  const { bars, path } = layout(size);
  return [...drawBins(data, state, bars), ...drawPath(data, state, path)].join("");
}

const forward = (state, count) =>
  Array.from({ length: count }, (_, i) => ({ ...state, steps: Math.min(MOST, state.steps + i + 1) }));

define({
  name: "bins",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: { method: (method) => METHODS[method], rare: share },
  actions: [
    { label: "One step", run: (state) => forward(state, 1) },
    { label: "20 steps", run: (state) => forward(state, 20) },
  ],
});
