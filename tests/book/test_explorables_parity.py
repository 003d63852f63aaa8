"""The explorables in a real browser: the same numbers and words as Python, and a figure that behaves."""

import math
from pathlib import Path
from urllib.parse import urlencode

import pytest

from mrtlab.show.explorables import (
    REGISTRY,
    Explorable,
    bundle,
    explorable,
    html,
    parity_vectors,
    predict,
    stylesheet,
)

QUESTION = predict(
    "agree",
    "How often do two models that saw *one* answer agree?",
    ["always", "half the time", "one time in five"],
    2,
    "Σ p² is `0.2` for five equally likely answers.",
    hint_per_option=["They saw different answers.", "That fits two answers.", ""],
)


def write_page(folder: Path, figures: list[Explorable], *, alive: bool = True, root: str = "<html>") -> str:
    """A bare page with these figures; its file:// address."""
    script = f'<script type="module">{bundle(f.spec["name"] for f in figures)}</script>' if alive else ""
    path = folder / ("page.html" if alive else "still.html")
    path.write_text(
        f"<!doctype html>{root}<head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<style>body{{margin:8px}}{stylesheet()}</style></head><body><h2 id='section'>A section</h2>"
        f"{''.join(html(f.spec) for f in figures)}<p id='end'>The end.</p>{script}</body>",
        encoding="utf-8",
    )
    return path.as_uri()


@pytest.fixture
def url(tmp_path):
    return write_page(tmp_path, [explorable("lottery"), explorable("coverage"), QUESTION])


def assert_close(js, py, where: str) -> None:
    """Equal structure and text; numbers within 1e-12 relative."""
    if isinstance(py, dict):
        assert js.keys() == py.keys(), where
        for key in py:
            assert_close(js[key], py[key], f"{where}.{key}")
    elif isinstance(py, list):
        assert len(js) == len(py), where
        for i, (a, b) in enumerate(zip(js, py, strict=True)):
            assert_close(a, b, f"{where}[{i}]")
    elif isinstance(py, float):
        assert math.isclose(js, py, rel_tol=1e-12, abs_tol=1e-300), f"{where}: {js!r} in the page, {py!r} in Python"
    else:
        assert js == py, where


ASK = """([name, state]) => {
  const { compute, ...module } = window.mrtlab.modules[name];
  const data = window.mrtlab.compute[name](state);
  const said = Object.fromEntries(["sentence", "alt", "table"].map((part) => [part, module[part](data, state)]));
  return { data, ...said };
}"""


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_page_computes_and_says_what_python_does(visit, tmp_path, name):
    page = visit(write_page(tmp_path, [explorable(name)]))
    for vector in parity_vectors(name):
        said = page.evaluate(ASK, [name, vector["state"]])
        assert_close(said, {key: vector[key] for key in said}, f"{name} at {vector['state']}")


def test_every_figure_is_mounted_once_even_if_the_script_runs_twice(visit, tmp_path):
    figures = [explorable("lottery"), explorable("lottery", id="second", k=4)]
    address = write_page(tmp_path, figures)
    path = tmp_path / "page.html"
    text = path.read_text("utf-8")
    path.write_text(text + text[text.index("<script") : text.index("</script>") + 9], "utf-8")
    page = visit(address)
    assert page.evaluate("window.mrtlab.mounted") == 2
    assert page.locator("#second input[name=k]").input_value() == "4"
    assert page.locator("#lottery svg").count() == 1


def test_a_key_press_changes_figure_sentence_and_address(visit, url):
    page = visit(url)
    before = page.locator("#lottery .mrt-sentence").inner_text()
    slider = page.locator("#lottery input[name=k]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "2"
    assert page.evaluate("location.hash") == "#lottery:k=2&n=5&d=1&seed=1&trainings=24"
    assert "K\u00a0=\u00a02" in page.locator("#lottery .mrt-sentence").inner_text() != before
    assert page.locator("#lottery svg").get_attribute("aria-label").count("K = 2") == 1
    page.keyboard.press("ArrowLeft")  # back at the default: nothing left to remember
    assert page.evaluate("location.hash") == ""


def test_a_link_restores_both_figures_to_the_same_picture(visit, url):
    page = visit(url)
    page.locator("#coverage input[name=b]").press("ArrowRight")
    page.locator("#lottery button:has-text('Surprise me')").click()
    page.locator("#lottery button:has-text('Train again')").click()
    address = page.evaluate("location.href")
    assert "#lottery:" in address
    assert "/coverage:k=8&n=5&d=0.5&b=0.05" in address
    pictures = page.locator("svg.mrt-stage").evaluate_all("all => all.map((svg) => svg.outerHTML)")
    assert len(pictures) == 2
    for other in (visit(address), page):
        other.reload()
        assert other.locator("svg.mrt-stage").evaluate_all("all => all.map((svg) => svg.outerHTML)") == pictures
    page.locator("#lottery button:has-text('Reset')").click()
    assert page.evaluate("location.hash").startswith("#coverage:")


def test_a_link_shows_its_figure_and_ordinary_anchors_still_work(visit, url):
    page = visit(f"{url}#coverage:k=64")
    assert page.locator("#coverage input[name=k]").input_value() == "64"
    assert abs(page.locator("#coverage").bounding_box()["y"]) < 200
    page.evaluate("location.hash = '#section'")
    page.wait_for_function("Math.abs(document.querySelector('#section').getBoundingClientRect().y) < 30")
    assert page.locator("#coverage input[name=k]").input_value() == "64"  # an anchor is no state: nothing is reset
    page.evaluate("location.hash = '#coverage:k=3/nobody:k=1'")
    page.wait_for_function("document.querySelector('#coverage input[name=k]').value === '3'")


def test_copy_link_names_this_figure_even_at_its_default(visit, url):
    page = visit(url)
    page.locator("#coverage input[name=k]").press("ArrowRight")
    page.locator("#lottery button:has-text('Copy link')").click()
    page.wait_for_function("document.querySelector('#lottery .mrt-note').textContent !== ''")
    assert page.evaluate("location.hash") == "#lottery:k=1&n=5&d=1&seed=1&trainings=24"


def test_a_state_off_the_scale_is_brought_back_to_it(visit, url):
    page = visit(f"{url}#lottery:k=999&n=abc&d=0.512&trainings=0")
    values = {key: page.locator(f"#lottery input[name={key}]").input_value() for key in ("k", "n", "d")}
    assert values == {"k": "16", "n": "5", "d": "0.5"}
    assert "training 1)" in page.locator("#lottery svg").inner_html()


def test_train_buttons_add_one_training_or_twenty(visit, url):
    page = visit(url)
    page.locator("#lottery button:has-text('Train again')").click()
    assert "training 25)" in page.locator("#lottery svg").inner_html()
    page.locator("#lottery button:has-text('Train 20 times')").click()
    page.wait_for_function("location.hash.endsWith('trainings=45')")
    assert "The last 40 trainings" in page.locator("#lottery .mrt-sentence").inner_text()


def test_a_slider_over_doublings_and_a_menu_keep_their_values_in_the_address(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("budget"), explorable("selection")]))
    cost = page.locator("#budget input[name=c]")
    cost.press("ArrowRight")
    assert page.evaluate("location.hash") == "#budget:k=1&b=400&c=8&v=7"
    assert cost.get_attribute("aria-valuetext") == "as much as 8 answers"
    page.locator("#selection select[name=by]").select_option("best")
    assert "by=best" in page.evaluate("location.hash")
    assert page.locator("#selection .mrt-sentence").inner_text().startswith("The best K")
    page.evaluate("location.hash = '#budget:c=11&v=x/selection:by=worst&k=3'")  # off the scale: brought back to it
    page.wait_for_function("location.hash && document.querySelector('#selection input[name=k]').value === '3'")
    assert cost.get_attribute("aria-valuetext") == "as much as 12 answers"
    assert page.locator("#selection select[name=by]").input_value() == "quality-diversity"


def test_drawing_at_random_switches_the_rule(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("selection")]))
    page.locator("button:has-text('Pick at random')").click()
    assert page.locator("select[name=by]").input_value() == "random"
    first = page.locator("svg.mrt-stage").inner_html()
    page.locator("button:has-text('Pick at random')").click()
    assert page.locator("svg.mrt-stage").inner_html() != first
    page.locator("button:has-text('New answers')").click()
    assert page.evaluate("location.hash").endswith("by=random&seed=2&draw=3")


def test_the_race_runs_from_the_start_to_the_last_step(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("race", steps=40)]))
    page.locator("button:has-text('Run the race')").click()
    page.wait_for_function("Number(document.querySelector('input[name=steps]').value) < 40")
    page.wait_for_function("location.hash === '#race:peak=70&steps=200&rule=old'")
    page.locator("input[name=peak]").press("ArrowLeft")
    assert page.evaluate("location.hash") == "#race:peak=69&steps=200&rule=old"
    assert page.locator(".mrt-sentence").inner_text().startswith("Step 200 of best-of-10, old data")


def test_readers_who_want_less_motion_get_no_film(visit, url):
    page = visit(url, reduced_motion="reduce")
    page.locator("#lottery button:has-text('Train 20 times')").click()
    assert page.evaluate("location.hash").endswith("trainings=44")


def test_a_prediction_is_revealed_in_place_and_kept(visit, url):
    page = visit(url)
    options = page.locator("#predict-agree [role=radio]")
    assert page.locator("#predict-agree .mrt-verdict").inner_text() == ""
    options.nth(0).focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("[aria-checked=true]").count() == 0  # arrows look around, they do not commit
    page.keyboard.press("Enter")
    assert options.nth(1).get_attribute("aria-checked") == "true"
    page.reload()
    assert options.nth(1).get_attribute("aria-checked") == "true"
    said = page.locator("#predict-agree .mrt-verdict").inner_text()
    assert said.startswith("It turns out otherwise. That fits two answers. Σ p²")
    options.nth(2).dispatch_event("click")  # decided is decided …
    assert options.nth(1).get_attribute("aria-checked") == "true"
    page.locator("#predict-agree button:has-text('Change my mind')").click()  # … until the reader says so
    options.nth(2).click()
    assert page.locator("#predict-agree .mrt-verdict").inner_text().startswith("That fits. Σ p²")


@pytest.mark.parametrize("width", [320, 360, 480, 660, 700, 1200])
def test_no_width_overflows_and_nothing_moves(visit, tmp_path, width):
    figures = [*map(explorable, REGISTRY), QUESTION]
    still = visit(write_page(tmp_path, figures, alive=False), width=width)
    page = visit(write_page(tmp_path, figures), width=width, dark=True)
    for opened in (still, page):
        opened.evaluate(SET_AS_INTER)
    heights = "all => all.map((figure) => figure.offsetHeight)"
    before, after = (p.locator("figure").evaluate_all(heights) for p in (still, page))
    assert after == before
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in REGISTRY:
        for vector in parity_vectors(name):
            page.evaluate("(hash) => history.replaceState(null, '', hash)", f"#{name}:{_query(vector['state'])}")
            page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
            assert page.locator("figure").evaluate_all(heights) == before, vector["state"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


SET_AS_INTER = """() => {
  // Heights are reserved for text as wide as Inter's: where a wider font stands in, close it up (bold even more).
  const context = document.createElement("canvas").getContext("2d");
  context.font = `15px ${getComputedStyle(document.querySelector("figure")).fontFamily}`;
  const sample = "Shown K = 4 answers, a model knows 3.0 of the 5";
  const excess = context.measureText(sample).width - 353.9;
  const style = document.head.appendChild(document.createElement("style"));
  if (excess > 0) style.textContent = `.mrt-explorable { letter-spacing: ${(-2 * excess) / sample.length}px; }`;
}"""


def _query(state: dict) -> str:
    return urlencode(state)


@pytest.mark.parametrize(
    ("root", "system_dark", "dark"),
    [
        ("<html>", False, False),
        ("<html>", True, True),
        ("<html data-theme='dark'>", False, True),
        ("<html data-theme='light'>", True, False),
    ],
)
def test_texts_are_readable_in_both_schemes(visit, tmp_path, root, system_dark, dark):
    page = visit(write_page(tmp_path, [explorable("lottery"), QUESTION], root=root), dark=system_dark)
    paper = _luminance(page, "#lottery", "backgroundColor")
    assert (paper < 0.1) is dark
    for selector, attribute in [
        (".mrt-title", "color"),
        (".mrt-caption", "color"),
        (".mrt-label", "color"),
        (".mrt-tools button", "color"),
        ("svg text.muted", "fill"),
        ("svg text:not(.muted)", "fill"),
    ]:
        text = _luminance(page, f"#lottery {selector}", attribute)
        light, low = max(text, paper), min(text, paper)
        assert (light + 0.05) / (low + 0.05) >= 4.5, selector


def _luminance(page, selector: str, attribute: str) -> float:
    """Relative luminance (WCAG) of a computed colour."""
    script = f"""(element) => {{
      const context = document.createElement("canvas").getContext("2d");
      context.fillStyle = getComputedStyle(element).{attribute};
      context.fillRect(0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255);
    }}"""
    rgb = page.locator(selector).first.evaluate(script)
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_targets_are_large_enough_for_a_finger(visit, url):
    page = visit(url, width=360, has_touch=True, is_mobile=True)
    targets = page.locator("figure :is(button, input, summary):visible")
    assert targets.count() > 12
    for box in [target.bounding_box() for target in targets.all()]:
        assert box["height"] >= 44


def test_without_javascript_the_page_still_tells_the_story(visit, url):
    page = visit(url, java_script_enabled=False)
    assert "5 different models" in page.locator("#lottery").inner_text()
    assert page.locator("#coverage tbody tr").count() == 7
    page.locator("#predict-agree summary").click()
    assert "Σ p²" in page.locator("#predict-agree").inner_text()


WIDGET = """async ([esm, spec, html]) => {
  const values = { html, spec, state: spec.state };
  const listeners = [];
  const model = {
    get: (key) => values[key],
    set: (key, value) => { values[key] = value; },
    save_changes: () => {},
    on: (event, listener) => listeners.push(listener),
    off: (event, listener) => listeners.splice(listeners.indexOf(listener), 1),
  };
  const module = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  const el = document.body.appendChild(document.createElement("div"));
  const stop = module.default.render({ model, el });
  window.widget = { values, el, listeners, stop };
}"""


def test_as_a_widget_the_state_goes_to_the_model_and_comes_back(visit, url):
    page = visit(url)
    page.evaluate("document.body.innerHTML = ''")
    figure = explorable("lottery", k=2)
    page.evaluate(WIDGET, [str(figure.widget._esm), figure.spec, html(figure.spec)])
    page.locator("#lottery input[name=k]").press("ArrowRight")
    assert page.evaluate("widget.values.state.k") == 3
    assert page.evaluate("location.hash") == ""  # a notebook's address is not ours
    assert page.locator("button:has-text('Copy link')").count() == 0
    page.evaluate("widget.values.state = { ...widget.values.state, k: 7 }; widget.listeners[0]()")
    assert page.locator("#lottery input[name=k]").input_value() == "7"
    page.evaluate("widget.stop()")
    assert page.evaluate("widget.listeners.length") == 0
