// predict.js: "Before you look". The reader commits to an answer, then sees in the same place whether it fits.
// The choice stays in this browser (localStorage), so that it is still there on the next visit.

import { define } from "./core.js";

const storageKey = (id) => `mrtlab.${id}`;

/** What is remembered of an earlier visit, or null; some browsers forbid storage to local files. */
function recall(id) {
  try {
    const kept = localStorage.getItem(storageKey(id));
    return kept === null ? null : Number(kept);
  } catch {
    return null;
  }
}

function remember(id, choice) {
  try {
    if (choice === null) localStorage.removeItem(storageKey(id));
    else localStorage.setItem(storageKey(id), String(choice));
  } catch {
    // then it is forgotten when the page closes
  }
}

// The texts of spec.config are HTML already: Python escaped them and marked *emphasis* and `code`.
function bodyOf({ question, options }) {
  const option = (text) =>
    `<button type="button" role="radio" class="mrt-option"><span class="mrt-mark" aria-hidden="true"></span>
      <span>${text}</span><span class="mrt-tag"></span></button>`;
  return `<p class="mrt-question">${question}</p>
    <div class="mrt-options" role="radiogroup" aria-label="Your guess">${options.map(option).join("")}</div>
    <div class="mrt-verdict" aria-live="polite"></div>`;
}

function verdict({ answer, because, hints }, choice) {
  const fits = choice === answer;
  const hint = hints?.[choice] ? `${hints[choice]} ` : "";
  return `<p><b>${fits ? "That fits." : "It turns out otherwise."}</b> ${hint}${because}</p>
    <button type="button" class="mrt-again">Change my mind</button>`;
}

function mount(figure, { id, config, state }, host) {
  const body = figure.querySelector(".mrt-body");
  body.innerHTML = bodyOf(config);
  const options = [...figure.querySelectorAll(".mrt-option")];
  const place = figure.querySelector(".mrt-verdict");
  let choice = null;

  function show(next) {
    choice = Number.isInteger(next) && next >= 0 && next < options.length ? next : null;
    const decided = choice !== null;
    options.forEach((option, i) => {
      const [chosen, right] = [i === choice, decided && i === config.answer];
      option.setAttribute("aria-checked", chosen);
      option.setAttribute("aria-disabled", decided);
      option.tabIndex = i === (choice ?? 0) ? 0 : -1;
      option.classList.toggle("mrt-right", right);
      option.querySelector(".mrt-mark").textContent = right ? "✓" : chosen ? "✗" : "";
      option.querySelector(".mrt-tag").textContent = chosen ? "your guess" : right ? "what happens" : "";
    });
    place.innerHTML = decided ? verdict(config, choice) : "";
    place.querySelector("button")?.addEventListener("click", () => {
      choose(null);
      options[0].focus();
    });
  }

  function choose(next) {
    show(next);
    remember(id, next);
    if (!host.link) host.save(id, { choice: next }); // in a notebook, where Python may read it
  }

  options.forEach((option, i) => {
    option.addEventListener("click", () => choice === null && choose(i));
    option.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault(); // arrows move along the options without deciding; Enter or space commits
      options[(i + step + options.length) % options.length].focus();
    });
  });

  show(host.load(id)?.choice ?? state.choice ?? recall(id));
  return { figure, state: () => ({ choice }), restore: (raw) => show(raw?.choice ?? null), stop() {} };
}

define({ name: "predict", mount });
