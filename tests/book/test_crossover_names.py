"""The crossover of chapter 5, as a browser lays it out: its names stay clear of lines and of each other."""

import pytest

from mrtlab.show.explorables import bundle, explorable, html, stylesheet

# where every name has room beside its point: the default, both ends, just before and just behind the crossover
SETTINGS = [{}, {"t": 8}, {"t": 36}, {"t": 24}, {"n": 2, "t": 44}, {"c": 0.99}, {"c": 0.5, "m": 1, "n": 1, "t": 8}]

BOXES = """() => {
  const inside = (selector) => [...document.querySelectorAll(`.mrt-stage ${selector}`)];
  const box = (element) => { const r = element.getBoundingClientRect(); return [r.left, r.right, r.top, r.bottom]; };
  const stage = document.querySelector(".mrt-stage");
  return { names: inside("text.strong").map(box), upright: inside("line.goal").map(box), stage: box(stage) };
}"""


@pytest.mark.parametrize("width", [360, 760])
@pytest.mark.parametrize("state", SETTINGS)
def test_names_touch_neither_the_dotted_line_nor_each_other(visit, tmp_path, state, width):
    spec = explorable("crossover", **state).spec
    page_file = tmp_path / "page.html"
    page_file.write_text(
        "<!doctype html><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<style>body{{margin:8px}}{stylesheet()}</style></head><body>{html(spec)}"
        f"<script type='module'>{bundle(['crossover'])}</script></body>",
        encoding="utf-8",
    )
    page = visit(page_file.as_uri(), width=width)
    page.wait_for_selector(".mrt-stage text.strong")
    seen = page.evaluate(BOXES)
    (left, right, top, bottom), (left2, right2, top2, bottom2) = seen["names"]
    assert right < left2 or right2 < left or bottom - 3 < top2 or bottom2 - 3 < top
    for start, end, upper, lower in seen["names"]:
        assert seen["stage"][0] <= start < end <= seen["stage"][1] + 8  # the card's padding takes the rest
        for place, _, head, foot in seen["upright"]:
            assert not (start < place < end and upper < foot and head < lower)
