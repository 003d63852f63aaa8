// Draw the page's plotly figures when they come near the window, in the colours of the page's scheme.
// The library is fetched once, from this site. Colours have meanings; each has a twin for dark pages.
const DARK = {
  "#1a1a1a": "#f0f0f0", // truth, text
  "#d55e00": "#ff8a47", // single response
  "#0072b2": "#5ab4e6", // multi-response
  "#e69f00": "#f0b93a", // reward-selected
  "#009e73": "#3fc79a", // quality and diversity
  "#6b6b6b": "#a5a5a5", // reference
  "#cc79a7": "#e39bc4", // answers dealt apart
  "#e4e4e4": "#3a3a3a", // grid
  "#ffffff": "#121212", // page
};
const page = document.documentElement;
const root = page.dataset.content_root ?? "./";
const isDark = () =>
  page.dataset.theme === "dark" || (!page.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);

let library;
function fetchPlotly() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${root}vendor/plotly-basic.min.js`;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("the plot library did not load; the numbers below are complete"));
    document.head.append(script);
  });
  return library;
}

/** The figure's JSON with every meaningful colour exchanged for its twin. */
function read(text) {
  if (!isDark()) return JSON.parse(text);
  return JSON.parse(text.replace(/#[0-9a-fA-F]{6}\b/g, (colour) => DARK[colour.toLowerCase()] ?? colour)
    .replace(/rgba\((\d+),\s*(\d+),\s*(\d+),/g, (whole, r, g, b) => {
      const hex = "#" + [r, g, b].map((v) => Number(v).toString(16).padStart(2, "0")).join("");
      const twin = DARK[hex];
      if (!twin) return whole;
      return `rgba(${[1, 3, 5].map((i) => parseInt(twin.slice(i, i + 2), 16)).join(",")},`;
    }));
}

/** Narrow pages get smaller margins and stacked panels where the figure says how (layout.meta is not needed). */
function fit(layout, width) {
  const fitted = { ...layout, autosize: true, width: undefined };
  if (width < 560) {
    fitted.margin = { ...layout.margin, l: Math.min(layout.margin?.l ?? 60, 52), r: Math.min(layout.margin?.r ?? 20, 14) };
    fitted.font = { ...layout.font, size: 12 };
  }
  return fitted;
}

const drawn = [];
async function draw(box) {
  const text = box.parentElement.querySelector(".mrt-plot-data").textContent;
  try {
    const Plotly = await fetchPlotly();
    const figure = read(text);
    box.replaceChildren();
    await Plotly.newPlot(box, figure.data, fit(figure.layout, box.clientWidth), {
      responsive: true, displayModeBar: false, scrollZoom: false,
    });
    if (figure.frames.length) await Plotly.addFrames(box, figure.frames);
    box.dataset.drawn = "yes";
    drawn.push([box, text]);
  } catch (error) {
    box.dataset.drawn = "no";
    box.append(Object.assign(document.createElement("p"), { className: "mrt-wait", textContent: error.message }));
  }
}

const near = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    draw(target);
  }
}, { rootMargin: "600px" });
const boxes = [...document.querySelectorAll(".mrt-plot")];
boxes.forEach((box) => near.observe(box));

// Paper has no scroll: draw everything before the page is printed.
addEventListener("beforeprint", () => boxes.filter((box) => !box.dataset.drawn).forEach(draw));

function recolour() {
  for (const [box, text] of drawn) {
    const figure = read(text);
    window.Plotly.react(box, figure.data, fit(figure.layout, box.clientWidth));
  }
}
new MutationObserver(recolour).observe(page, { attributes: true, attributeFilter: ["data-theme"] });
