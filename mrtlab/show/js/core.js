// core.js: what all explorables share. Plain modern JavaScript, no library, no network.
//
// A module describes one figure with define({
//   name,
//   compute(state) -> data               pure; equal to its Python twin in mrtlab/show/explorables/twins.py
//   draw(data, state, {width, height})   -> SVG text, one unit = one CSS pixel
//   sentence(data, state) -> HTML        the line under the figure
//   alt(data, state) -> text             what a reader who cannot see the figure is told
//   table(data, state) -> {columns, rows}
//   format: {key: (value, data) -> text} how a control shows its value
//   most: {key: (data) -> number}        optional: where a slider ends at this state
//   pick: key                            optional: the control that takes data-at of what the reader points at
//   actions: [{label, run(state) -> states}]   optional buttons; several states play as a short film
//   hold({stage, state, update, settle}) -> (data, size) => …   optional: lays handles over the picture, and is called
//                                        after each drawing to place them
//   mount(figure, spec, host)            optional: a figure without sliders builds itself
// })
// Ranges, steps and defaults of the controls come with the page, in data-mrt: Python states them once. A control with
// `values` steps through these: a slider over numbers (its position is the index), a menu over words. A control with
// a `length` is a text field. What is typed reaches the page through `escape` and `words`, never as markup.

export const NARROW = 600; // below this width panels stand one above the other, as in explorables.css
const FRAME_MS = 70; // of a film: slow enough to see each training, twenty of them in a second and a half

const modules = new Map(); // name -> module
const live = new Map(); // id -> figure on this page whose state belongs in the address

const shared = (globalThis.mrtlab ??= { compute: {}, modules: {}, mounted: 0 }); // for the tests

export function define(module) {
  modules.set(module.name, module);
  shared.modules[module.name] = module;
  if (module.compute) shared.compute[module.name] = module.compute;
}

// --- words and shapes -----------------------------------------------------------------------------------

const NUDGE = 1e-9; // so that 12.5 rounds the same way here and in Python

export const fixed = (value, digits) => (value + NUDGE).toFixed(digits);
export const percent = (value) => `${fixed(100 * value, 0)}\u00a0%`;
export const asLikely = (ratio) => (ratio === 1 ? "just as likely" : `${fixed(ratio, 2)} × as likely`);
export const whole = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");

const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
export const escape = (text) => String(text).replace(/[&<>"]/g, (char) => escapes[char]);

/** One SVG element as text; numbers are rounded to a hundredth of a pixel. */
export function tag(name, attributes, inside = "") {
  const written = Object.entries(attributes).map(([key, value]) => {
    const text = typeof value === "number" ? Math.round(value * 100) / 100 : escape(value);
    return ` ${key}="${text}"`;
  });
  return `<${name}${written.join("")}>${inside}</${name}>`;
}

export const words = (x, y, text, kind = "", anchor = "start") =>
  tag("text", { x, y, class: kind, "text-anchor": anchor }, escape(text));

export const box = (x, y, width, height, kind, rx = 0) => tag("rect", { x, y, width, height, rx, class: kind });

export const line = (x1, y1, x2, y2, kind) => tag("line", { x1, y1, x2, y2, class: kind });

/** Four round values or so from 0 up to a maximum, each with its text. */
export function ticks(most) {
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = power * [1, 2, 5, 10].find((unit) => unit * power >= most / 4.5);
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => [i * step, fixed(i * step, digits)]);
}

// --- state ----------------------------------------------------------------------------------------------

const isMenu = ({ values }) => typeof values[0] === "string";

/** The nearest value that a control allows, a text cut to its length; its default for what is not a number. */
function snap(control, value) {
  if (control.length)
    return typeof value === "string" ? [...value].slice(0, control.length).join("") : control.default;
  if (isMenu(control)) return control.values.includes(value) ? value : control.default;
  const number = Number.parseFloat(value);
  if (!Number.isFinite(number)) return control.default;
  const gap = (allowed) => Math.abs(allowed - number);
  if (control.values.length) return control.values.reduce((a, b) => (gap(b) < gap(a) ? b : a));
  const steps = Math.round((number - control.min) / control.step);
  const kept = Math.min(control.max, Math.max(control.min, control.min + steps * control.step));
  return Number(kept.toFixed(10));
}

const tidy = (controls, raw) =>
  Object.fromEntries(controls.map((control) => [control.key, snap(control, raw?.[control.key])]));

const same = (a, b) => Object.keys(a).every((key) => a[key] === b[key]);

function surprise({ controls, examples }, state) {
  const draw = (count) => Math.floor(Math.random() * count);
  const others = examples.filter((example) => Object.keys(example).some((key) => example[key] !== state[key]));
  const next = { ...state, ...others[draw(others.length)] };
  for (const { key, min, max, step, values, surprise: free } of examples.length ? [] : controls) {
    if (free) next[key] = values.length ? values[draw(values.length)] : min + step * draw((max - min) / step + 1);
  }
  return tidy(controls, next);
}

// --- the address of the page ----------------------------------------------------------------------------
// #lottery:k=4&n=5/coverage:k=8 holds the state of two figures. Anything else (#section) is left alone.

export function readFragment(hash) {
  const found = {};
  for (const piece of hash.replace(/^#/, "").split("/")) {
    const parts = /^([a-z0-9-]+)(?::|%3A)(.*)$/i.exec(piece);
    if (parts) found[parts[1]] = Object.fromEntries(new URLSearchParams(parts[2]));
  }
  return found;
}

const piece = (id, state) => `${id}:${new URLSearchParams(state)}`;

/** The host of a figure is where its state is kept: the page's address here, the model in a notebook. */
const address = {
  load: (id) => readFragment(location.hash)[id],
  save(id) {
    const moved = [...live].filter(([, figure]) => !same(figure.state(), figure.defaults));
    moved.sort(([a], [b]) => (b === id) - (a === id)); // the figure touched last leads
    const pieces = moved.map(([key, figure]) => piece(key, figure.state()));
    if (pieces.length || Object.keys(readFragment(location.hash)).length) this.write(pieces);
  },
  write(pieces) {
    const page = location.href.split("#")[0];
    try {
      history.replaceState(history.state, "", pieces.length ? `${page}#${pieces.join("/")}` : page);
    } catch {
      // some hosts forbid it; the figure works all the same
    }
  },
  async link(id, state) {
    this.write([piece(id, state)]);
    try {
      await navigator.clipboard.writeText(location.href);
      return "Link copied";
    } catch {
      return "Copy it from the address bar";
    }
  },
};

/** After the address changed: hand each figure its state, and show the first one that is named. */
function followAddress(scroll) {
  const wanted = readFragment(location.hash);
  const named = Object.keys(wanted).filter((id) => live.has(id));
  for (const id of named) live.get(id).restore(wanted[id]);
  if (named.length && scroll) live.get(named[0]).figure.scrollIntoView();
}

// --- a figure with sliders ------------------------------------------------------------------------------

function controlRow(control, shown = String) {
  const { key, values } = control;
  const label = `<label class="mrt-control"><span class="mrt-label">${escape(control.label)}</span>`;
  if (isMenu(control)) {
    const options = values.map((value) => `<option value="${value}">${escape(shown(value))}</option>`);
    return `${label}<select name="${key}">${options.join("")}</select></label>`;
  }
  if (control.length) {
    const typed = `name="${key}" maxlength="${control.length}" spellcheck="false" autocomplete="off"`;
    const field = control.lines > 1 ? `<textarea ${typed}></textarea>` : `<input type="text" ${typed}>`;
    return `${label}${field}</label>`;
  }
  const { min, max, step } = values.length ? { min: 0, max: values.length - 1, step: 1 } : control;
  return `${label}<span class="mrt-value"></span><input type="range" name="${key}" min="${min}" max="${max}" step="${step}"></label>`;
}

function bodyOf(module, controls, linkable) {
  const buttons = (module.actions ?? []).map(
    (action, i) => `<button type="button" class="${i ? "" : "mrt-primary"}">${escape(action.label)}</button>`,
  );
  const visible = controls.filter((control) => !control.hidden);
  const rows = visible.map((control) => controlRow(control, module.format?.[control.key]));
  return `<svg class="mrt-stage" role="img"></svg>
    <p class="mrt-sentence" aria-live="polite"></p>
    ${buttons.length ? `<div class="mrt-actions">${buttons.join("")}</div>` : ""}
    <div class="mrt-controls" data-count="${visible.length}">${rows.join("")}</div>
    <div class="mrt-tools"><button type="button" data-tool="reset">Reset</button>
      <button type="button" data-tool="surprise">Surprise me</button>
      ${linkable ? '<button type="button" data-tool="link">Copy link</button>' : ""}
      <span class="mrt-note" role="status"></span></div>
    <details class="mrt-data"><summary>The numbers</summary><div class="mrt-numbers"></div></details>`;
}

function tableHtml({ columns, rows }) {
  const cells = (kind, values) => values.map((value) => `<${kind}>${escape(value)}</${kind}>`).join("");
  const body = rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("");
  return `<table><thead><tr>${cells("th", columns)}</tr></thead><tbody>${body}</tbody></table>`;
}

function mountSliders(figure, spec, module, host) {
  const { id, controls } = spec;
  const defaults = tidy(controls, spec.state); // reset returns to what this page shows first
  let state = tidy(controls, { ...defaults, ...host.load(id) });
  let film = 0; // timer of a film that is playing

  const find = (selector) => figure.querySelector(selector);
  find(".mrt-body").innerHTML = bodyOf(module, controls, Boolean(host.link));
  const stage = find(".mrt-stage");
  const inputs = [...figure.querySelectorAll(".mrt-control :is(input, select, textarea)")];
  const controlOf = (input) => controls.find(({ key }) => key === input.name);
  const note = find(".mrt-note");

  function draw(data = module.compute(state)) {
    const { width, height } = stage.getBoundingClientRect();
    if (!width) return; // folded away; the observer calls again when it is shown
    const size = { width: Math.round(width), height: Math.round(height) };
    stage.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    stage.innerHTML = module.draw(data, state, size);
    placeHandles?.(data, size);
  }

  function update(next, { spoken = true } = {}) {
    state = next;
    const data = module.compute(state);
    draw(data);
    for (const input of inputs) {
      const { values } = controlOf(input);
      const value = state[input.name];
      const ladder = values.length && input.type === "range"; // the slider stands at the value's place in the list
      const standing = String(ladder ? values.indexOf(value) : value);
      if (module.most?.[input.name]) input.max = module.most[input.name](data);
      if (input.value !== standing) input.value = standing; // setting what stands there would move a cursor
      if (input.type !== "range") continue;
      const shown = (module.format?.[input.name] ?? String)(value, data);
      const along = (input.value - input.min) / (input.max - input.min) || 0;
      input.style.setProperty("--along", along);
      input.setAttribute("aria-valuetext", shown);
      input.parentElement.querySelector(".mrt-value").textContent = shown;
    }
    if (!spoken) return;
    const unbroken = module.sentence(data, state).replaceAll(" = ", "\u00a0=\u00a0"); // no line ends in K =
    find(".mrt-sentence").innerHTML = unbroken;
    stage.setAttribute("aria-label", module.alt(data, state));
    find(".mrt-numbers").innerHTML = tableHtml(module.table(data, state));
    note.textContent = "";
  }

  function settle(next) {
    clearInterval(film);
    update(next);
    host.save(id, state);
  }

  /** Show several states one after the other; readers who asked for less motion see the last one. */
  function play(states) {
    const last = states.at(-1);
    clearInterval(film);
    if (states.length === 1 || matchMedia("(prefers-reduced-motion: reduce)").matches) return settle(last);
    let frame = 0;
    film = setInterval(() => {
      if (frame === states.length - 1) settle(last);
      else update(states[frame++], { spoken: false });
    }, FRAME_MS);
  }

  for (const input of inputs) {
    input.addEventListener("input", () => {
      clearInterval(film);
      const { values } = controlOf(input);
      const value = values.length && input.type === "range" ? values[input.value] : input.value;
      update(tidy(controls, { ...state, [input.name]: value }));
    });
    input.addEventListener("change", () => host.save(id, state)); // once, when the thumb is let go
  }
  figure.querySelectorAll(".mrt-actions button").forEach((button, i) => {
    button.addEventListener("click", () => play(module.actions[i].run(state).map((s) => tidy(controls, s))));
  });
  for (const kind of module.pick ? ["pointermove", "click"] : [])
    stage.addEventListener(kind, ({ target }) => {
      const at = target.closest("[data-at]")?.dataset.at;
      if (!at || (kind === "pointermove" && at === String(state[module.pick]))) return;
      (kind === "click" ? settle : update)(tidy(controls, { ...state, [module.pick]: at }));
    });
  const tools = {
    reset: () => settle(defaults),
    surprise: () => settle(surprise(spec, state)),
    link: async () => (note.textContent = await host.link(id, state)),
  };
  for (const button of figure.querySelectorAll("[data-tool]"))
    button.addEventListener("click", tools[button.dataset.tool]);

  const placeHandles = module.hold?.({
    stage,
    state: () => state,
    update: (next) => (clearInterval(film), update(tidy(controls, next))),
    settle: (next) => settle(tidy(controls, next)),
  });
  update(state);
  const watch = new ResizeObserver(() => draw());
  watch.observe(stage);
  return {
    figure,
    defaults,
    state: () => state,
    restore(raw) {
      clearInterval(film);
      update(tidy(controls, { ...state, ...raw }));
    },
    stop: () => (watch.disconnect(), clearInterval(film)),
  };
}

// --- entry points ---------------------------------------------------------------------------------------

/** Bring one figure to life; does nothing when it lives already or its module is not on this page. */
export function mount(figure, host = address) {
  const spec = JSON.parse(figure.dataset.mrt);
  const module = modules.get(spec.name);
  if (!module || figure.dataset.live) return null;
  figure.dataset.live = "yes";
  shared.mounted += 1;
  if (module.mount) return module.mount(figure, spec, host);
  const handle = mountSliders(figure, spec, module, host);
  if (host === address) live.set(spec.id, handle);
  return handle;
}

/** Bring all figures of a page to life. */
export function mountPage() {
  document.querySelectorAll(".mrt-explorable").forEach((figure) => mount(figure));
  const reloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
  followAddress(!reloaded); // a reload keeps the reader's place, a fresh link goes to its figure
  addEventListener("hashchange", () => followAddress(true));
}

/** The same figure as an anywidget: its state lives in the model, so Python can read and set it. */
export function render({ model, el }) {
  el.innerHTML = model.get("html");
  const host = {
    load: () => model.get("state"),
    save: (id, state) => {
      model.set("state", state);
      model.save_changes();
    },
  };
  const handle = mount(el.querySelector(".mrt-explorable"), host);
  const follow = () => handle.restore(model.get("state"));
  model.on("change:state", follow);
  return () => {
    model.off("change:state", follow);
    handle.stop();
  };
}
