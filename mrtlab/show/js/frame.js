// What the page frame needs of Bootstrap, which is a hundred times this size: a menu that opens and tooltips.
// The browser shows tooltips from the title attribute by itself; the theme only asks for this constructor.
window.bootstrap = {
  Tooltip: class {
    constructor(element, { title } = {}) { if (title && !element.title) element.title = title; }
    show() {}
    hide() {}
    dispose() {}
  },
};
(() => {
  const close = (except) => {
    for (const open of document.querySelectorAll(".dropdown-menu.show")) {
      if (open === except) continue;
      open.classList.remove("show");
      open.parentElement.querySelector("[data-bs-toggle=dropdown]")?.setAttribute("aria-expanded", "false");
    }
  };
  addEventListener("click", (event) => {
    const button = event.target.closest("[data-bs-toggle=dropdown]");
    const menu = button?.parentElement.querySelector(".dropdown-menu");
    close(menu);
    if (menu) button.setAttribute("aria-expanded", String(menu.classList.toggle("show")));
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
})();
