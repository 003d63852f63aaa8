// tree.js: type a prompt and answers; see the token tree, its mask, and what goes through the model.

import { NARROW, box, define, fixed, tag, words } from "./core.js";
import { sum } from "./theory.js";

const [MOST_PROMPT, MOST_ANSWERS, MOST_STEPS] = [24, 12, 12]; // the rest is cut
const ROOT = -1;
const END = "⏎";
const BLANKS = /[ \t\r\n\u00a0\u3000]+/;
const BETWEEN = /[\n,;]+/;

function tokensOf(text, by) {
  const found = text.split(BLANKS).filter(Boolean);
  return by === "words" ? found : [...found.join(" ")].map((char) => (char === " " ? "␣" : char));
}

const commonLength = (a, b) => {
  const fork = a.findIndex((id, i) => id !== b[i]);
  return fork < 0 ? a.length : fork;
};

/** mrtlab.lm.TokenTree: in sorted order every answer shares its beginning with its neighbour. */
function buildEdges(strings, said) {
  const order = strings.map((_, i) => i).sort((i, j) => {
    const fork = commonLength(strings[i], strings[j]);
    return (strings[i][fork] ?? 0) - (strings[j][fork] ?? 0) || i - j;
  });
  const edges = [];
  let [before, path] = [[], []];
  for (const i of order) {
    path = path.slice(0, commonLength(before, strings[i]));
    for (let step = path.length; step < strings[i].length; step++) {
      edges.push({ token: said[strings[i][step]], parent: path.at(-1) ?? ROOT, depth: step + 1, answers: [] });
      path.push(edges.length - 1);
    }
    for (const edge of path) edges[edge].answers.push(i + 1);
    before = strings[i];
  }
  for (const { answers } of edges) answers.sort((a, b) => a - b);
  return edges;
}

export function compute({ prompt: typed, answers: lines, by, at }) {
  const every = tokensOf(typed, by);
  const prompt = every.slice(0, MOST_PROMPT);
  const answers = lines.split(BETWEEN).map((answer) => tokensOf(answer, by)).filter((answer) => answer.length);
  const kept = answers.slice(0, MOST_ANSWERS).map((answer) => answer.slice(0, MOST_STEPS));
  const cut = every.length > MOST_PROMPT || sum(answers.map((a) => a.length)) > sum(kept.map((a) => a.length));
  const missing = [...(prompt.length ? [] : ["prompt"]), ...(kept.length ? [] : ["answers"])];
  if (missing.length) {
    const empty = { prompt, edges: [], fed: [], positions: [], end: [], lengths: [] };
    return { ...empty, n_fed: 0, n_apart: 0, ratio: 0, at: 0, cut, missing };
  }
  const names = [...new Set([prompt, ...kept].flat())]; // a token's id is its place here, from 1; 0 ends an answer
  const ids = new Map(names.map((name, i) => [name, i + 1]));
  const strings = kept.map((answer) => [...answer.map((token) => ids.get(token)), 0]);
  const edges = buildEdges(strings, [END, ...names]);
  const fed = edges.flatMap((_, e) => (edges[e + 1]?.parent === e ? [e] : []));
  const ends = fed.map((e, i) => {
    const next = fed.findIndex((other, j) => j > i && edges[other].depth <= edges[e].depth);
    return prompt.length + (next < 0 ? fed.length : next);
  });
  const lengths = strings.map((string) => string.length);
  const nFed = prompt.length + fed.length;
  const nApart = sum(lengths.map((length) => prompt.length + length - 1));
  return {
    prompt,
    edges,
    fed,
    positions: [...prompt.keys(), ...fed.map((e) => prompt.length + edges[e].depth - 1)],
    end: [...prompt.map(() => nFed), ...ends],
    lengths,
    n_fed: nFed,
    n_apart: nApart,
    ratio: nApart / nFed,
    at: Math.min(at, nFed),
    cut,
    missing,
  };
}

// --- words ----------------------------------------------------------------------------------------------

const different = ({ edges, fed }) => edges.length - fed.length;
const tokensFed = ({ prompt, fed, edges }) => [...prompt, ...fed.map((e) => edges[e].token)];
const seen = ({ end }, place) => [...end.keys()].filter((k) => k <= place && end[k] > place);

function lesson(data) {
  const [count, distinct] = [data.lengths.length, different(data)];
  if (data.cut)
    return (
      `Your text is longer: only ${MOST_PROMPT} tokens of the prompt, ${MOST_ANSWERS} answers and ` +
      `${MOST_STEPS} tokens of each are used.`
    );
  if (count === 1) return "One answer is a tree without a branch: nothing to save.";
  if (distinct === 1) return `All ${count} answers are the same: each is scored, one is computed.`;
  const fed = new Set(data.fed);
  const parents = (kind) => data.edges.flatMap(({ parent }, e) => (fed.has(e) === kind ? [parent] : []));
  const ended = parents(false);
  if (parents(true).some((edge) => ended.includes(edge)))
    return "An answer that begins another one costs nothing more: only its end ⏎ is its own.";
  const equal = distinct < count ? "Equal answers are computed once. " : "";
  return `${equal}The longer the prompt, the nearer to ${count} times.`;
}

function sentence(data) {
  const wanted = { prompt: "a prompt, the trunk", answers: "at least one answer, a branch" };
  if (data.missing.length)
    return `There is no tree yet. Type ${data.missing.map((name) => wanted[name]).join(" and ")}.`;
  return (
    `As a tree, <b>${data.n_fed} tokens</b> go through the model. With a copy of the prompt for each answer it ` +
    `would be <b>${data.n_apart}</b>, <b>${fixed(data.ratio, 1)} times</b> as many. ${lesson(data)}`
  );
}

function alt(data) {
  if (data.missing.length) return `No tree: the ${data.missing.join(" and the ")} field is empty.`;
  const tokens = tokensFed(data);
  const place = data.at - 1;
  const shown = tokens.map((token, i) => `${token} ${data.positions[i]}`).join(", ");
  const looks = seen(data, place).map((k) => tokens[k]);
  const lit = place < 0 ? "" : ` Lit: ${tokens[place]}, which looks at: ${looks.join(" ")}.`;
  return (
    `Token tree of a prompt with ${data.prompt.length} tokens and ${data.lengths.length} answers, ` +
    `${different(data)} of them different. Tokens in the order in which they are fed, with their positions: ` +
    `${shown}.${lit} Each looks at the prompt up to itself, at the tokens before it on its own branch, and at itself.`
  );
}

function table(data) {
  const start = data.prompt.length;
  const trunk = data.prompt.map((token, i) => [token, "the prompt", String(i), i ? `${i + 1} tokens` : "itself"]);
  const branches = data.edges.map(({ token, answers, depth }, e) => {
    const place = start + data.fed.indexOf(e);
    const looks = place < start ? "not fed" : `${seen(data, place).length} tokens`;
    const whose = `answer${answers.length > 1 ? "s" : ""} ${answers.join(", ")}`;
    return [token, whose, String(start + depth - 1), looks];
  });
  return { columns: ["token", "part of", "position", "looks at"], rows: [...trunk, ...branches] };
}

// --- drawing --------------------------------------------------------------------------------------------

const BARS = 58; // height of the two bars at the foot

/** The tree, the mask beside or under it, and the bars. */
function layout({ width, height }) {
  const bars = { x: 0, y: height - BARS, width };
  if (width < NARROW) {
    const top = 302; // of the mask
    const side = Math.min(width - 58, height - top - BARS - 16);
    return { tree: { x: 0, y: 32, width, height: 216 }, mask: { x: 54, y: top, side }, bars };
  }
  const side = Math.min(Math.round(width * 0.32), height - BARS - 88);
  const tree = { x: 0, y: 40, width: width - side - 96, height: height - BARS - 66 };
  return { tree, mask: { x: width - side, y: 62, side }, bars };
}

const LETTER = 7.3; // px, about as wide as a letter is
const wide = (text) => LETTER * sum([...text].map((char) => (char > "\u2e80" ? 1.9 : 1)));

/** As much of a text as fits. */
function fitted(text, room) {
  if (wide(text) <= room) return text;
  const letters = [...text];
  while (letters.length && wide(letters.join("")) > room - LETTER) letters.pop();
  return letters.length ? `${letters.join("")}…` : "";
}

/** Widths that add up to the room or less: the wanted ones, or with the widest cut to one cap. */
function capped(wanted, room) {
  if (sum(wanted) <= room) return wanted;
  let [low, high] = [0, Math.max(...wanted)];
  for (let halving = 0; halving < 30; halving++) {
    const cap = (low + high) / 2;
    if (sum(wanted.map((want) => Math.min(want, cap))) > room) high = cap;
    else low = cap;
  }
  return wanted.map((want) => Math.min(want, low));
}

/** Column widths: what is left over is spread; where room is short, the trunk gives way down to 45 %. */
function columnWidths(wanted, start, room) {
  const spare = (room - sum(wanted)) / wanted.length;
  if (spare >= 0) return wanted.map((want) => want + Math.min(spare, 26));
  const trunk = capped(wanted.slice(0, start), Math.max(0.45 * room, room - sum(wanted.slice(start))));
  return [...trunk, ...capped(wanted.slice(start), room - sum(trunk))];
}

const times = ({ answers }) => (answers.length > 1 ? ` ×${answers.length}` : "");

/** Every token of the tree: text, column, height, what it hangs on, and its place among the fed ones (−1: not fed). */
function placed(data, panel) {
  const start = data.prompt.length;
  const isFed = new Map(data.fed.map((e, i) => [e, start + i]));
  const leaves = data.edges.flatMap((_, e) => (isFed.has(e) ? [] : [e]));
  const lane = panel.height / leaves.length;
  const height = data.edges.map(() => 0);
  leaves.forEach((e, i) => (height[e] = panel.y + lane * (i + 0.5)));
  const children = (parent) => data.edges.flatMap((edge, e) => (edge.parent === parent ? [e] : []));
  const middle = (all) => (height[all[0]] + height[all.at(-1)]) / 2;
  for (let e = data.edges.length - 1; e >= 0; e--) if (isFed.has(e)) height[e] = middle(children(e));
  const trunk = data.prompt.map((text, i) => ({ text, column: i, y: middle(children(ROOT)), from: i - 1, place: i }));
  const branches = data.edges.map((edge, e) => ({
    text: isFed.has(e) ? edge.token : END + times(edge),
    column: start + edge.depth - 1,
    y: height[e],
    from: edge.parent === ROOT ? start - 1 : start + edge.parent,
    place: isFed.get(e) ?? -1,
  }));
  return { tokens: [...trunk, ...branches], lane };
}

function drawTree(data, panel) {
  const { tokens, lane } = placed(data, panel);
  const lit = new Set(data.at ? seen(data, data.at - 1) : []);
  const columns = Math.max(...tokens.map(({ column }) => column)) + 1;
  const wanted = Array.from({ length: columns }, (_, i) =>
    Math.max(...tokens.filter(({ column }) => column === i).map(({ text }) => wide(text) + 24)),
  );
  const widths = columnWidths(wanted, data.prompt.length, panel.width);
  const left = widths.map((_, i) => panel.x + sum(widths.slice(0, i)));
  const tall = Math.min(24, lane - 4);
  const chipWidth = ({ text, column: i }) => Math.min(wide(text) + 14, widths[i] - Math.min(10, widths[i] / 4));
  const links = tokens.map(({ column, y, from, place }) => {
    if (from < 0) return "";
    const [x1, y1, x2] = [left[column - 1] + chipWidth(tokens[from]), tokens[from].y, left[column]];
    const half = Math.min(30, (x2 - x1) / 2);
    const d = `M${x1} ${y1}H${x2 - 2 * half}C${x2 - half} ${y1} ${x2 - half} ${y} ${x2} ${y}`;
    return tag("path", { d, class: lit.has(place) ? "link lit" : "link" });
  });
  const chips = tokens.map((token) => {
    const { text, column, y, place } = token;
    const kind = place < 0 ? "end" : place < data.prompt.length ? "trunk" : "branch";
    const now = lit.has(place) ? `${kind} lit` : kind;
    const [x, room] = [left[column], chipWidth(token)];
    const inside =
      box(x - 3, y - lane / 2, room + 6, lane, "touch") +
      box(x, y - tall / 2, room, tall, `chip ${now}`, Math.min(5, room / 3)) +
      (place >= 0 && place === data.at - 1 ? box(x - 2, y - tall / 2 - 2, room + 4, tall + 4, "frame", 6) : "") +
      words(x + room / 2, y + 4.5, fitted(text, room - 3), `small on-${now}`, "middle");
    return place < 0 ? inside : tag("g", { "data-at": place + 1 }, inside);
  });
  const foot = panel.y + panel.height + 16;
  const every = Math.ceil(20 / Math.min(...widths));
  const numbers = widths.map((_, i) =>
    i % every ? "" : words(left[i] + Math.min(widths[i] / 2, 14), foot, String(i), "muted small", "middle"),
  );
  return [...links, ...chips, ...numbers];
}

/** Row by row, whom each fed token may look at. */
function drawMask(data, { x, y, side }) {
  const cell = side / data.n_fed;
  const inner = cell > 5 ? cell - 1.5 : cell * 0.85;
  const rows = tokensFed(data).map((token, q) => {
    const now = q === data.at - 1;
    const top = y + q * cell;
    const squares = (kind, places) => {
      const d = places.map((k) => `M${(x + k * cell).toFixed(2)} ${top.toFixed(2)}h${inner}v${inner}h${-inner}z`);
      return tag("path", { d: d.join(""), class: `chip ${kind}${now ? " lit" : ""}` });
    };
    const looks = seen(data, q);
    const start = data.prompt.length;
    const name = words(x - 7, top + cell / 2 + 4, fitted(token, 46), now ? "small strong" : "muted small", "end");
    return tag(
      "g",
      { "data-at": q + 1 },
      box(x, top, side, cell, "lane") +
        squares("trunk", looks.filter((k) => k < start)) +
        squares("branch", looks.filter((k) => k >= start)) +
        (now ? box(x - 1.5, top - 1.5, side + 1.5, inner + 3, "frame", 2) : "") +
        (cell > 11 ? name : ""),
    );
  });
  return [words(x + side, y - 10, "who looks at whom", "muted small", "end"), ...rows];
}

/** Tokens that go through the model, one bar for each way. */
function drawBars({ prompt, lengths, n_fed: nFed, n_apart: nApart }, { x, y, width }) {
  const left = x + 122;
  const unit = (width - 122 - 34) / nApart;
  const bar = (name, parts, count, top) => {
    let at = left;
    const blocks = parts.map(([kind, tokens]) => {
      at += tokens * unit;
      return box(at - tokens * unit, top, Math.max(tokens * unit - (unit > 2 ? 1 : 0), 0), 18, `chip lit ${kind}`);
    });
    return words(x, top + 14, name, "small") + blocks.join("") + words(at + 7, top + 14, String(count), "small strong");
  };
  const copies = lengths.flatMap((length) => [["trunk", prompt.length], ["branch", length - 1]]);
  return [
    bar("fed as a tree", [["trunk", prompt.length], ["branch", nFed - prompt.length]], nFed, y + 8),
    bar("prompt copied", copies, nApart, y + 34),
  ];
}

function readout(data, narrow) {
  if (!data.at) return "Point at a token: what does it look at?";
  const place = data.at - 1;
  const name = fitted(tokensFed(data)[place], narrow ? 70 : 160);
  return `“${name}”, position ${data.positions[place]}, looks at ${seen(data, place).length} of ${data.n_fed} tokens`;
}

function draw(data, state, size) {
  const { tree, mask, bars } = layout(size);
  if (data.missing.length) {
    const hint = `Type ${data.missing.includes("prompt") ? "a prompt" : "an answer"} below`;
    return words(size.width / 2, size.height / 2, hint, "prompt", "middle");
  }
  return [
    words(0, 16, readout(data, size.width < NARROW)),
    ...drawTree(data, tree),
    ...drawMask(data, mask),
    ...drawBars(data, bars),
  ].join("");
}

define({
  name: "tree",
  compute,
  draw,
  sentence,
  alt,
  table,
  format: {
    at: (_, data) => (data.at ? `${fitted(tokensFed(data)[data.at - 1], 64)} (${data.at} of ${data.n_fed})` : "none"),
  },
  most: { at: (data) => data.n_fed },
  pick: "at",
});
