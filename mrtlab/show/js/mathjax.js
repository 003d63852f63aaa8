// Fetch MathJax from this site, once, when the first formula comes near the window.
// It must take no settings from storage: another site on the same origin may have left some there that ask for
// files we do not ship.
window.MathJax = {
  ...window.MathJax,
  startup: {
    ready() {
      MathJax._.ui.menu.Menu.Menu.prototype.mergeUserSettings = () => {};
      MathJax.startup.defaultReady();
    },
  },
};
const root = document.documentElement.dataset.content_root ?? "./";
let script;
function load() {
  if (script) return;
  script = document.createElement("script");
  script.src = `${root}vendor/mathjax/tex-svg.js`;
  document.head.append(script);
}
const watch = new IntersectionObserver((seen) => {
  if (!seen.some((entry) => entry.isIntersecting)) return;
  watch.disconnect();
  load();
}, { rootMargin: "1500px" });
document.querySelectorAll(".math").forEach((formula) => watch.observe(formula));
addEventListener("beforeprint", load); // paper has no scroll
