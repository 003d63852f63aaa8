// parts.js: drag queries on a map of gradient features; see which pairs each of them gets, and how even the parts are.
// GIVEN, the measured map, stands before this text in the page (Entry.given in registry.py).

import { NARROW, box, define, fixed, line, percent, tag, whole, words } from "./core.js";

const sum = (values) => values.reduce((total, value) => total + value, 0);

const HOW = { raw: "as they come", standardised: "standardised", even: "standardised, equal sizes" };
const LETTERS = "ABCDEFGH";
const LIMIT = 1200; // how far out a query may stand
const N = GIVEN.x.length;

/** Where all eight queries stand: the pairs of numbers of a text, and for what is missing the place at first. */
function placesOf({ at }) {
  const found = (at.match(/-?[0-9]+/g) ?? []).map((text) => Math.max(-LIMIT, Math.min(LIMIT, Number(text))));
  return GIVEN.home.map((home, i) => (found.length > 2 * i + 1 ? [found[2 * i], found[2 * i + 1]] : home));
}

const write = (places) => places.map(([x, y]) => `${x}.${y}`).join("_");
const sameSpot = (a, b) => a[0] === b[0] && a[1] === b[1];

/** Nine decimals: scores that are equal are equal in both languages, and of equals the first wins. */
const nine = (value) => Math.floor(1e9 * value + 0.5) / 1e9;

function standardised(column) {
  const mean = sum(column) / N;
  const off = column.map((score) => score - mean);
  const spread = Math.sqrt(sum(off.map((gap) => gap * gap)) / N) || 1;
  return off.map((gap) => nine(gap / spread));
}

/** A column of scores for each query: products on the map, or these standardised. */
function columnsOf(places, how) {
  const raw = places.map(([x, y]) => GIVEN.x.map((across, i) => across * x + GIVEN.y[i] * y));
  return how === "raw" ? raw : raw.map(standardised);
}

/** Each pair to its largest score; of equals to the first. */
function argMax(columns) {
  return GIVEN.x.map((_, i) => {
    let best = 0;
    for (let k = 1; k < columns.length; k++) if (columns[k][i] > columns[best][i]) best = k;
    return best;
  });
}

const countOf = (part, k) => part.reduce((sizes, one) => (sizes[one]++, sizes), Array(k).fill(0));

/** What the cheapest move from each part to each other loses, and whose move it is, kept up while pairs move. */
function movesOf(columns, part) {
  const k = columns.length;
  const loss = new Float64Array(k * k).fill(Infinity);
  const who = new Int32Array(k * k).fill(-1);
  const offer = (i, a, b) => {
    const [lost, at] = [columns[a][i] - columns[b][i], a * k + b];
    if (lost < loss[at] || (lost === loss[at] && i < who[at])) [loss[at], who[at]] = [lost, i];
  };
  const others = (a, use) => columns.forEach((_, b) => b !== a && use(b));
  part.forEach((a, i) => others(a, (b) => offer(i, a, b)));

  /** Take a pair from part a to part b: whose best it was looks again, and in b it is one more to choose from. */
  function move(i, a, b) {
    part[i] = b;
    others(a, (c) => {
      const at = a * k + c;
      if (who[at] !== i) return;
      [loss[at], who[at]] = [Infinity, -1];
      for (let j = 0; j < N; j++) if (part[j] === a) offer(j, a, c);
    });
    others(b, (c) => offer(i, b, c));
  }
  return { loss, who, move };
}

/** The parts on the cheapest way from one that is too full to one with room (Bellman–Ford). */
function cheapestChain(loss, sizes, capacity) {
  const k = sizes.length;
  let cost = sizes.map((size) => (size > capacity ? 0 : Infinity));
  const before = Array(k).fill(-1);
  for (let round = 1; round < k; round++) {
    const old = cost;
    let shorter = false;
    cost = old.map((now, b) => {
      let best = 0;
      for (let a = 1; a < k; a++) if (old[a] + loss[a * k + b] < old[best] + loss[best * k + b]) best = a;
      const through = old[best] + loss[best * k + b];
      if (!(through < now - 1e-12)) return now; // round-off makes no way shorter
      before[b] = best;
      shorter = true;
      return through;
    });
    if (!shorter) break;
  }
  const ends = cost.map((way, b) => (sizes[b] < capacity ? way : Infinity));
  const chain = [ends.indexOf(Math.min(...ends))];
  while (before[chain[0]] >= 0) chain.unshift(before[chain[0]]);
  return chain;
}

/** The largest total score in which no part holds more than its capacity: a minimum-cost flow, as in mrtlab.spa. */
function argMaxWithin(columns) {
  const k = columns.length;
  const capacity = Math.ceil(N / k);
  const part = argMax(columns);
  const sizes = countOf(part, k);
  const { loss, who, move } = movesOf(columns, part);
  while (Math.max(...sizes) > capacity) {
    const chain = cheapestChain(loss, sizes, capacity);
    const steps = chain.slice(1).map((b, step) => [who[chain[step] * k + b], chain[step], b]);
    for (const step of steps) move(...step); // all chosen before the first one moves
    sizes[chain[0]] -= 1;
    sizes[chain.at(-1)] += 1;
  }
  return part;
}

/** The most frequent specification of each part, of equals the first by name; "" if it is empty. */
function mostOf(part, k) {
  const counts = Array.from({ length: k }, () => GIVEN.names.map(() => 0));
  part.forEach((one, i) => (counts[one][GIVEN.of[i]] += 1));
  return counts.map((count) => {
    const most = Math.max(...count);
    return most ? GIVEN.names[count.indexOf(most)] : "";
  });
}

function spotOf(at) {
  for (let a = 0; a < at.length; a++)
    for (let b = a + 1; b < at.length; b++) if (sameSpot(at[a], at[b])) return [a, b];
  return null;
}

export function compute(state) {
  const { k, how } = state;
  const at = placesOf(state).slice(0, k);
  const columns = columnsOf(at, how);
  const part = how === "even" ? argMaxWithin(columns) : argMax(columns);
  const sizes = countOf(part, k);
  const free = how === "even" ? sum(argMax(columns).map((one, i) => columns[one][i])) : 0;
  const total = sum(part.map((one, i) => columns[one][i]));
  const home = k === LETTERS.length && at.every((place, i) => sameSpot(place, GIVEN.home[i]));
  const real = [...GIVEN.real[how]].map(Number);
  const counts = countOf(real, LETTERS.length);
  return {
    at,
    part,
    sizes,
    largest: sizes.indexOf(Math.max(...sizes)),
    smallest: sizes.indexOf(Math.min(...sizes)),
    over: (Math.max(...sizes) * k) / N,
    given_up: free > 0 ? nine(1 - total / free) : 0,
    spot: spotOf(at),
    same: home ? part.filter((one, i) => one === real[i]).length / N : null,
    chance: home ? sum(sizes.map((size, i) => size * counts[i])) / N ** 2 : null,
    mostly: mostOf(part, k),
  };
}

// --- words ----------------------------------------------------------------------------------------------

function howEven({ sizes, largest, smallest, over }, { how }) {
  const [most, least] = [Math.max(...sizes), Math.min(...sizes)];
  if (how === "even") return `No part holds more than <b>${most}</b> of the ${N} pairs, an even share.`;
  if (most - least <= 1) return `Every part holds <b>${percent(most / N)}</b> of the ${N} pairs.`;
  return (
    `The largest part, ${LETTERS[largest]}, holds <b>${percent(most / N)}</b> of the ${N} pairs, the smallest, ` +
    `${LETTERS[smallest]}, <b>${least ? percent(least / N) : "nothing"}</b>: ${fixed(over, 1)} times an even share.`
  );
}

function lesson({ sizes, spot, given_up }, { how }) {
  const empty = sizes.filter((size) => !size).length;
  if (spot) {
    const [a, b] = spot.map((i) => LETTERS[i]);
    const shared = "equal sizes share its pairs out.";
    return `${a} and ${b} stand on one spot: ${how === "even" ? shared : `of equals the first wins, so ${b} has nothing.`}`;
  }
  if (how === "even") return `Equal sizes give up ${percent(given_up)} of the total score.`;
  if (how === "standardised") return "How far out a query stands no longer counts, only its direction.";
  if (!empty) return "A query far out has large scores and takes from those nearer the middle.";
  return `${empty === 1 ? "One query has" : `${empty} queries have`} nothing: for every pair another one scores more.`;
}

const sentence = (data, state) => `${howEven(data, state)} ${lesson(data, state)}`;

/** How much of the real partition the map keeps. */
const keeps = ({ same, chance }) => `All directions agree on ${percent(same)} of the pairs (chance: ${percent(chance)}).`;

const placeOf = ([x, y]) => `${x}, ${y}`.replaceAll("-", "−");

function alt(data, { k, how }) {
  const { at, sizes, same } = data;
  const each = sizes.map((size, i) => `${LETTERS[i]} at ${placeOf(at[i])} has ${size} (${percent(size / N)})`);
  return (
    `Map of ${N} training pairs by the two main directions of their gradients, and ${k} queries on it, with the pairs ` +
    `that each gets. Scores ${HOW[how]}: ${each.join("; ")}. Beside the map a bar for each part, with a line at the ` +
    `even share.${same === null ? "" : ` ${keeps(data)}`}`
  );
}

const table = ({ at, sizes, mostly }, { k }) => ({
  columns: ["query", "at first", "place", "pairs", "share", "of an even share", "most frequent"],
  rows: sizes.map((size, i) => {
    const shares = [String(size), percent(size / N), fixed((size * k) / N, 2)];
    return [LETTERS[i], GIVEN.asked[i], placeOf(at[i]), ...shares, mostly[i] || "none"];
  }),
});

// --- drawing --------------------------------------------------------------------------------------------

// A mark for each part, as a path from its middle: colour is never alone.
const MARKS = [
  "m-3,0a3,3 0 1,0 6,0a3,3 0 1,0-6,0z",
  "m-2.8-2.8h5.6v5.6h-5.6z",
  "m0-3.9l3.7,6.4h-7.4z",
  "m0-4l4,4-4,4-4-4z",
  "m-1.2-3.7h2.4v2.5h2.5v2.4h-2.5v2.5h-2.4v-2.5h-2.5v-2.4h2.5z",
  "m0,3.9l3.7-6.4h-7.4z",
  "m0-1.8l2-2 1.8,1.8-2,2 2,2-1.8,1.8-2-2-2,2-1.8-1.8 2-2-2-2 1.8-1.8z",
  "m-3.4-3.4h6.8l-6.8,6.8h6.8z",
];
const GRIP = 11; // radius of a query's disc

/** The map, a square, and the bars beside or below it. */
function layout({ width, height }) {
  const narrow = width < NARROW;
  const side = narrow ? Math.min(width, 340) : Math.min(height, Math.round(width * 0.56));
  const map = { x: narrow ? Math.round((width - side) / 2) : 0, y: 0, side };
  const bars = narrow
    ? { x: 0, y: side + 18, width, height: height - side - 18 }
    : { x: side + 36, y: 4, width: width - side - 36, height: height - 8 };
  return { map, bars };
}

const toScreen = ({ x, y, side }, across, up) => [
  x + (side * (across + LIMIT)) / (2 * LIMIT),
  y + (side * (LIMIT - up)) / (2 * LIMIT),
];

function drawMap(data, map) {
  const { at, part, same } = data;
  const { x, y, side } = map;
  const middle = toScreen(map, 0, 0);
  const paths = at.map(() => []);
  part.forEach((one, i) => {
    const [left, top] = toScreen(map, GIVEN.x[i], GIVEN.y[i]);
    paths[one].push(`M${left.toFixed(1)},${top.toFixed(1)}${MARKS[one]}`);
  });
  const names = GIVEN.marks.map(([name, across, up]) => {
    const [left, top] = toScreen(map, across, up);
    const inside = Math.min(x + side - 48, Math.max(x + 48, left));
    return words(inside, Math.max(y + 34, top - 13), name, "muted small halo", "middle");
  });
  const rays = at.map((place, i) => line(...middle, ...toScreen(map, ...place), `ray part-${i}`));
  const discs = at.map((place, i) => {
    const [cx, cy] = toScreen(map, ...place);
    const disc = tag("circle", { cx, cy, r: GRIP, class: `disc part-${i}` });
    return disc + words(cx, cy + 5, LETTERS[i], "strong", "middle");
  });
  const held = `2 of ${whole(GIVEN.directions)} directions, ${percent(GIVEN.held)} of the variance.`;
  return [
    box(x, y, side, side, "lane", 6),
    line(x, middle[1], x + side, middle[1], "grid"),
    line(middle[0], y, middle[0], y + side, "grid"),
    ...paths.map((marks, i) => tag("path", { d: marks.join(""), class: `mark part-${i}` })),
    ...names,
    ...rays,
    ...discs.toReversed(),
    words(x + 8, y + 16, held, "muted small halo"),
    same === null ? "" : words(x + 8, y + side - 8, keeps(data), "muted small halo"),
  ];
}

function drawBars({ sizes, mostly }, panel, narrow) {
  const { x, y, width, height } = panel;
  const head = 34;
  const pitch = Math.min(narrow ? 30 : 44, (height - head) / sizes.length);
  const left = x + 44;
  const most = Math.max(...sizes) > N / 2 ? N : N / 2; // a bar's end: half of all, or all
  const at = (size) => left + ((width - 44) * size) / most;
  const even = N / sizes.length;
  const rows = sizes.map((size, i) => {
    const top = y + head + pitch * i;
    const beside = top + 13;
    const text = `${size} · ${percent(size / N)}`;
    const wide = at(size) + 8 > x + width - 76;
    return [
      tag("path", { d: `M${x + 8},${top + 8}${MARKS[i]}`, class: `mark part-${i}` }),
      words(x + 20, beside, LETTERS[i], "strong"),
      box(left, top, at(size) - left, 16, `bar part-${i}`),
      words(wide ? x + width : at(size) + 8, beside, text, "small halo", wide ? "end" : "start"),
      narrow || pitch < 38 ? "" : words(left, top + 30, mostly[i] ? `mostly “${mostly[i]}”` : "", "muted small halo"),
    ].join("");
  });
  const end = y + head + pitch * sizes.length - (narrow ? 8 : 14);
  return [
    words(x, y + 12, "pairs", "muted small"),
    line(at(even), y + 18, at(even), end, "goal"),
    ...rows,
    words(at(even), y + 12, `even: ${fixed(even, 0)}`, "small halo", at(even) > x + width - 60 ? "end" : "middle"),
  ];
}

function draw(data, state, size) {
  const { map, bars } = layout(size);
  return [...drawMap(data, map), ...drawBars(data, bars, size.width < NARROW)].join("");
}

// --- dragging -------------------------------------------------------------------------------------------

const STEP = 20; // of an arrow key; with Shift it is five times as much
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** A button on every query: for the pointer to drag, and for the arrow keys. */
function hold({ stage, state, update, settle }) {
  const grips = stage.parentElement.insertBefore(document.createElement("div"), stage.nextSibling);
  grips.className = "mrt-grips";
  grips.innerHTML = [...LETTERS].map(() => '<button type="button"></button>').join("");
  const buttons = [...grips.children];
  let [map, grabbed] = [null, null];

  const set = (i, place) => {
    const places = placesOf(state());
    places[i] = place.map((value) => Math.round(Math.max(-LIMIT, Math.min(LIMIT, value))));
    update({ ...state(), at: places.every((one, j) => sameSpot(one, GIVEN.home[j])) ? "" : write(places) });
  };
  buttons.forEach((button, i) => {
    button.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow) return;
      event.preventDefault();
      const far = event.shiftKey ? 5 * STEP : STEP;
      set(i, placesOf(state())[i].map((value, axis) => value + far * arrow[axis]));
    });
    button.addEventListener("keyup", (event) => ARROWS[event.key] && settle(state()));
    button.addEventListener("pointermove", ({ clientX, clientY }) => {
      if (grabbed?.i !== i) return;
      const { left, top } = stage.getBoundingClientRect();
      const across = (clientX + grabbed.x - left - map.x) / map.side;
      const down = (clientY + grabbed.y - top - map.y) / map.side;
      set(i, [LIMIT * (2 * across - 1), LIMIT * (1 - 2 * down)]);
    });
    button.addEventListener("lostpointercapture", () => {
      grabbed = null;
      settle(state());
    });
  });

  grips.addEventListener("pointerdown", (event) => {
    if (event.button || grabbed) return;
    const { left, top } = stage.getBoundingClientRect();
    const aways = placesOf(state()).slice(0, state().k).map((place) => {
      const [x, y] = toScreen(map, ...place);
      return { x: left + x - event.clientX, y: top + y - event.clientY }; // kept while it is dragged
    });
    const far = aways.map(({ x, y }) => Math.hypot(x, y));
    const i = far.indexOf(Math.min(...far)); // buttons are wider than discs and overlap: the nearest is meant
    grabbed = { i, ...aways[i] };
    buttons[i].setPointerCapture(event.pointerId);
    buttons[i].focus({ preventScroll: true });
    event.preventDefault();
  });

  return ({ at }, size) => {
    map = layout(size).map;
    buttons.forEach((button, i) => {
      button.hidden = i >= at.length;
      if (button.hidden) return;
      const [left, top] = toScreen(map, ...at[i]);
      button.style.cssText = `left:${left}px;top:${top}px`;
      button.setAttribute("aria-label", `Query ${LETTERS[i]} at ${placeOf(at[i])}; arrow keys move it`);
    });
  };
}

define({ name: "parts", compute, draw, sentence, alt, table, hold, format: { how: (how) => HOW[how] } });
