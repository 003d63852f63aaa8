// target.js: drag the target's bars; see the loss in its parts, the gradient of every leaf, and what training does.
// GIVEN, the embedded model's measured law, stands before this text in the page (Entry.given in registry.py).

import { NARROW, box, define, fixed, line, percent, tag, ticks, words } from "./core.js";
import { sum } from "./theory.js";

const TARGETS = {
  even: "even over all ten",
  binomial: "Binomial(10, 0.2)",
  zipf: "Zipf: 1/k",
  pairs: "2, 4, 6, 8, 10 only",
  model: "what the model does",
  one: "one answer: 3",
  own: "your own",
};
const MOST = 50; // steps
const N = 10; // answers on the list; the leaf after them is all that is off it
const NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

function scaled(values, total = 1) {
  const whole = sum(values);
  return values.map((x) => (x / whole) * total);
}

/** The model before training; with off > 0 that much is off the list, and the rest keeps its shape. */
const startOf = (off) => (off ? [...scaled(GIVEN.law.slice(0, N), 1 - off), off] : scaled(GIVEN.law));

/** The first ten numbers of a text; what is missing is 0, and nothing at all means even. */
function read(text) {
  const found = (text.match(/[0-9]+(?:\.[0-9]+)?/g) ?? []).map(Number);
  return sum(found.slice(0, N)) > 0 ? NUMBERS.map((_, i) => found[i] ?? 0) : NUMBERS.map(() => 1);
}

const choose = (k) => NUMBERS.slice(0, k).reduce((ways, j) => (ways * (N - j + 1)) / j, 1);

const WEIGHTS = {
  even: () => 1,
  binomial: (k) => choose(k) * 0.2 ** k * 0.8 ** (N - k),
  zipf: (k) => 1 / k,
  pairs: (k) => Number(k % 2 === 0),
  model: (k) => startOf(0)[k - 1],
  one: (k) => Number(k === 3),
};

const targetOf = ({ target, own }) => scaled(target === "own" ? read(own) : NUMBERS.map(WEIGHTS[target]));

/** Nine decimals: more than anybody sees, and none of the last bits in which two languages differ. */
const nine = (values) => values.map((value) => Math.floor(1e9 * value + 0.5) / 1e9);

/** Validity −log m and shape KL(p* ‖ p/m); m is the mass on the list. */
function partsOf(p, aim) {
  const m = sum(p.slice(0, N));
  return [-Math.log(m), sum(aim.map((q, i) => (q ? q * Math.log((q * m) / p[i]) : 0)))];
}

export function compute(state) {
  const aim = targetOf(state);
  const leaves = [...aim, 0];
  const start = startOf(state.off);
  const pullOf = (p) => p.map((x, i) => x - leaves[i]);
  const path = [];
  let p = start;
  let model = start;
  for (let step = 0; step <= MOST; step++) {
    if (step === state.steps) model = p;
    path.push(partsOf(p, aim));
    const pull = pullOf(p); // a step of size 1 on the logits
    p = scaled(p.map((x, i) => x * Math.exp(-pull[i])));
  }
  const entropy = -sum(aim.map((q) => (q ? q * Math.log(q) : 0)));
  const totals = path.map((parts) => entropy + sum(parts));
  const stop = totals.findIndex((total) => total <= (1 + state.stop) * entropy);
  const [floor, validity, shape, loss] = nine([entropy, ...path[state.steps], totals[state.steps]]);
  return {
    target: nine(aim),
    start: nine(start),
    model: nine(model),
    pull: nine(pullOf(model)),
    floor,
    validity,
    shape,
    loss,
    path: path.map(nine),
    stop: stop < 0 ? null : stop,
    most: nine([Math.max(...pullOf(start).map(Math.abs))])[0],
  };
}

// --- words ----------------------------------------------------------------------------------------------

const signed = (value) => (Number(fixed(value, 2)) ? fixed(value, 2).replace("-", "−") : "0.00");
const when = (steps) => (steps === 0 ? "Before the first step" : steps === 1 ? "After one step" : `After ${steps} steps`);

function pulled({ path, validity, shape, pull }, { target }) {
  if (target === "model")
    return shape < 0.005
      ? "The shape is the model’s own: only validity is missing."
      : "The shape was right at first: mass that comes from off the list bends it for a while.";
  const [first] = path[0];
  if (validity > first + 0.005)
    return `Validity rose from ${fixed(first, 2)}: off the list, the pull is no more than its own mass.`;
  const sizes = pull.map(Math.abs);
  const most = sizes.indexOf(Math.max(...sizes));
  if (sizes[most] < 0.02) return "No pull is left that is larger than 0.02.";
  const who = most === N ? "off the list there is" : `${most + 1} has`;
  return `The largest pull: ${who} ${fixed(sizes[most], 2)} too ${pull[most] > 0 ? "much" : "little"}.`;
}

function stops({ floor, stop }, { stop: gamma }) {
  const at = `Early stop, γ = ${gamma}:`;
  if (floor < 1e-9) return `${at} never, for one answer has floor 0.`;
  if (stop === null) return `${at} not in ${MOST} steps.`;
  return stop ? `${at} at step ${stop}.` : `${at} before the first step.`;
}

const sentence = (data, state) =>
  `${when(state.steps)} the loss is <b>${fixed(data.loss, 2)}</b> nats: floor ${fixed(data.floor, 2)}, ` +
  `validity <b>${fixed(data.validity, 2)}</b>, shape <b>${fixed(data.shape, 2)}</b>. ` +
  `${pulled(data, state)} ${stops(data, state)}`;

const NAMES = [...NUMBERS.map(String), "off the list"];

function alt({ model, target, pull, loss }, state) {
  const bars = NAMES.map(
    (name, i) => `${name} ${percent(model[i])} (target ${percent(target[i] ?? 0)}, p − p* ${signed(pull[i])})`,
  );
  return (
    `Eleven leaves, the numbers 1 to 10 and all that is off the list. Target: ${TARGETS[state.target]}. The model ` +
    `after ${state.steps} steps: ${bars.join("; ")}. Beside them the loss, ${fixed(loss, 2)} nats, and its parts ` +
    "validity and shape, step by step."
  );
}

const table = ({ start, model, target, pull }, { steps }) => ({
  columns: ["answer", "model at first", `after ${steps}`, "target", "p − p*"],
  rows: NAMES.map((name, i) => {
    const shares = [start[i], model[i], target[i] ?? 0].map(percent);
    return [name, ...shares, signed(pull[i])];
  }),
});

// --- drawing --------------------------------------------------------------------------------------------

const PAD = 46; // names of the rows, at the left

/** Bars, the gradient under them, and the loss beside or below. */
function layout({ width, height }) {
  const narrow = width < NARROW;
  const side = narrow ? width : Math.round(width * 0.6);
  const lane = (side - PAD) / (N + 1.3); // the last leaf stands a little apart
  const bars = { x: PAD, end: side, y: 28, lane, height: narrow ? 174 : height - 28 - 172 };
  const foot = bars.y + bars.height;
  const pull = { y: foot + 68, height: narrow ? 76 : height - foot - 70 };
  const left = narrow ? 0 : side + 40;
  const loss = { x: left, y: narrow ? foot + 184 : 14, width: width - left };
  const path = { x: left + 32, y: loss.y + 134, width: width - left - 62, height: height - loss.y - 134 - 22 };
  return { bars, pull, loss, path };
}

/** Left edge and width of a leaf's bar. */
function barOf({ x, lane }, i) {
  const wide = Math.min(lane * 0.66, 30);
  return [x + lane * (i < N ? i : i + 0.3) + (lane - wide) / 2, wide];
}

let held = 0; // top of the axis while a bar is held: it must not move under the finger
const topOf = ({ target, start }) => held || (Math.max(...target, ...start) > 0.6 ? 1 : 0.6);

function drawBars(data, panel) {
  const { x, y, end, height } = panel;
  const bottom = y + height;
  const top = topOf(data);
  const at = (value) => bottom - height * Math.min(value / top, 1 + 8 / height);
  const grid = ticks(top).map(
    ([value]) =>
      line(x, at(value), end, at(value), value ? "grid" : "axis") +
      words(x - 7, at(value) + 4, percent(value), "muted small", "end"),
  );
  const leaves = data.model.map((p, i) => {
    const [left, wide] = barOf(panel, i);
    const below = (down, text, kind) => words(left + wide / 2, bottom + down, text, kind, "middle");
    const q = data.target[i];
    return [
      i < N ? box(left - 2, y, wide + 4, height, "lane") : "",
      box(left, at(p), wide, bottom - at(p), "multi"),
      i < N ? box(left, at(q), wide, bottom - at(q), "truth") + box(left - 2, at(q) - 3, wide + 4, 6, "grip", 3) : "",
      below(18, i < N ? String(i + 1) : "off", "strong"),
      below(36, fixed(100 * (q ?? 0), 0), "small"),
      below(53, fixed(100 * p, 0), "small blue"),
    ].join("");
  });
  return [
    words(0, 14, `“${GIVEN.prompt}”`, "strong"),
    ...grid,
    ...leaves,
    words(0, bottom + 36, "target", "small"),
    words(0, bottom + 53, "model", "small blue"),
  ];
}

function drawPull({ pull, most }, panel, { y, height }) {
  const { end } = panel;
  const scale = [0.25, 0.5, 0.75].find((value) => value >= most) ?? 1;
  const zero = y + height / 2;
  const leaves = pull.map((g, i) => {
    const [left, wide] = barOf(panel, i);
    const tall = (Math.abs(g) / scale) * (height / 2);
    return box(left, g > 0 ? zero - tall : zero, wide, tall, "from-answers");
  });
  const edge = (at, text) => line(PAD, at, end, at, "grid") + words(PAD - 7, at + 4, text, "muted small", "end");
  return [
    edge(y, `+${scale}`),
    edge(y + height, `−${scale}`),
    ...leaves,
    line(PAD, zero, end, zero, "axis"),
    words(0, zero + 4, "p − p*", "small"),
    words(end, y + 12, "too much", "muted small halo", "end"),
    words(end, y + height - 6, "too little: it will rise", "muted small halo", "end"),
  ];
}

function drawLoss({ floor, validity, shape, loss, path }, { stop }, { x, y, width }) {
  const most = floor + Math.max(...path.map(sum));
  const at = (nats) => x + (width * nats) / most;
  const mark = at((1 + stop) * floor);
  const parts = [["truth", floor, "floor H(p*)"], ["from-prompts", validity, "validity"], ["from-answers", shape, "shape"]];
  let from = 0;
  const blocks = parts.map(([kind, nats]) => {
    from += nats;
    return box(at(from - nats), y + 12, at(from) - at(from - nats), 20, kind);
  });
  const rows = parts.map(([kind, nats, name], i) => {
    const row = y + 68 + 17 * i;
    return box(x + 1, row - 10, 10, 10, kind) + words(x + 18, row, `${name} ${fixed(nats, 2)}`, "small");
  });
  return [
    words(x, y, `loss ${fixed(loss, 2)} nats`, "strong"),
    ...blocks,
    floor && mark <= x + width ? line(mark, y + 7, mark, y + 37, "goal") + words(mark, y + 49, "stop: (1 + γ) H(p*)", "small", mark > x + width * 0.6 ? "end" : "start") : "",
    ...rows,
  ];
}

function drawPath({ path, floor, stop }, state, { x, y, width, height }) {
  const most = Math.max(0.02, ...path.map(sum)) * 1.04;
  const bottom = y + height;
  const right = (step) => x + (width * step) / MOST;
  const up = (nats) => bottom - (height * nats) / most;
  const edge = (of) => path.map((parts, step) => `${right(step).toFixed(1)},${up(of(parts)).toFixed(1)}`);
  const [zero, first, both] = [() => 0, ([validity]) => validity, sum].map(edge);
  const area = (low, high, kind) => tag("polygon", { points: [...high, ...low.reverse()].join(" "), class: kind });
  const now = right(state.steps);
  const threshold = state.stop * floor;
  const shown = floor && threshold < most;
  return [
    words(x - 32, y - 12, "validity + shape, step by step", "muted small"),
    ...ticks(most).map(
      ([nats, text]) =>
        line(x, up(nats), x + width, up(nats), nats ? "grid" : "axis") +
        words(x - 7, up(nats) + 4, text, "muted small", "end"),
    ),
    area([...first], both, "from-answers"),
    area(zero, first, "from-prompts"),
    box(now, y, x + width - now, height - 0.5, "veil"),
    shown ? line(x, up(threshold), x + width, up(threshold), "goal") : "",
    shown ? words(x + width + 4, up(threshold) + 4, "stop", "small") : "",
    stop ? tag("circle", { cx: right(stop), cy: up(sum(path[stop])), r: 4, class: "dot candidate" }) : "",
    line(now, y, now, bottom, "now"),
    tag("circle", { cx: now, cy: up(sum(path[state.steps])), r: 5, class: "dot multi-dot" }),
    words(x, bottom + 17, "0", "muted small", "middle"),
    words(x + width, bottom + 17, `${MOST} steps`, "muted small", "middle"),
  ];
}

function draw(data, state, size) {
  const { bars, pull, loss, path } = layout(size);
  const parts = [drawBars(data, bars), drawPull(data, bars, pull), drawLoss(data, state, loss), drawPath(data, state, path)];
  return parts.flat().join("");
}

// --- dragging -------------------------------------------------------------------------------------------

/** One bar at a share; the others give or take in proportion, so that all add up to 1. */
function moved(base, i, share) {
  const rest = 1 - base[i];
  const shares = base.map((q, j) => (j === i ? share : (1 - share) * (rest > 1e-6 ? q / rest : 1 / (N - 1))));
  return shares.map((q) => Math.round(1000 * q) / 10).join("-");
}

/** A native slider on every bar, for the keyboard and for screen readers; over them one surface for the pointer. */
function hold({ stage, state, update, settle }) {
  const hands = stage.parentElement.insertBefore(document.createElement("div"), stage.nextSibling);
  hands.className = "mrt-hands";
  hands.innerHTML = NUMBERS.map(
    (k) => `<input type="range" min="0" max="100" aria-orientation="vertical" aria-label="Target of ${k}">`,
  ).join("");
  const inputs = [...hands.children];
  let [data, panel, grabbed] = [null, null, null];
  const set = (i, share, base) => update({ ...state(), target: "own", own: moved(base, i, share) });

  inputs.forEach((input, i) => {
    input.addEventListener("input", () => set(i, input.value / 100, data.target));
    input.addEventListener("change", () => settle(state()));
  });
  const drag = ({ clientY }) => {
    const share = held * (1 - (clientY - hands.getBoundingClientRect().top) / panel.height);
    set(grabbed.i, Math.min(1, Math.max(0, share)), grabbed.base);
  };
  hands.addEventListener("pointerdown", (event) => {
    if (event.button || grabbed) return;
    const along = (event.clientX - hands.getBoundingClientRect().left) / panel.lane;
    grabbed = { i: Math.min(N - 1, Math.max(0, Math.floor(along))), base: data.target };
    held = topOf(data);
    hands.setPointerCapture(event.pointerId);
    inputs[grabbed.i].focus({ preventScroll: true });
    event.preventDefault();
    drag(event);
  });
  hands.addEventListener("pointermove", (event) => grabbed && drag(event));
  hands.addEventListener("lostpointercapture", () => {
    [grabbed, held] = [null, 0];
    settle(state());
  });

  return (now, size) => {
    data = now;
    panel = layout(size).bars;
    hands.style.cssText = `left:${PAD}px;top:${panel.y}px;width:${panel.lane * N}px;height:${panel.height}px`;
    inputs.forEach((input, i) => {
      input.value = Math.round(100 * data.target[i]);
      input.setAttribute("aria-valuetext", percent(data.target[i]));
    });
  };
}

const forward = (state, count) => {
  const from = state.steps < MOST ? state.steps : 0;
  return Array.from({ length: count }, (_, i) => ({ ...state, steps: Math.min(MOST, from + i + 1) }));
};

define({
  name: "target",
  compute,
  draw,
  sentence,
  alt,
  table,
  hold,
  format: { target: (name) => TARGETS[name], off: (off) => (off ? percent(off) : `${percent(startOf(0)[N])}, as measured`) },
  actions: [
    { label: "One step", run: (state) => forward(state, 1) },
    { label: "Train on", run: (state) => forward(state, MOST - (state.steps % MOST)) },
  ],
});
