"""The draggable queries of chapter 8 in a real browser: pointer, finger, keyboard, links, exactness and time."""

from urllib.parse import urlencode

import numpy as np
import pytest
from test_explorables_parity import ASK, SET_AS_INTER, assert_close, write_page

from mrtlab.show.explorables import REGISTRY, explorable, html, parity_vectors
from mrtlab.show.explorables.twins_parts import LIMIT, given, parts

HOSTILE = "9.9<img src=x onerror='window.hacked=1'>"


@pytest.fixture
def page(visit, tmp_path):
    return visit(write_page(tmp_path, [explorable("parts")]))


def place_of(page, letter: str) -> list[int]:
    """Where a query stands, as its button says it."""
    label = page.get_by_role("button", name=f"Query {letter} at").get_attribute("aria-label")
    numbers = label.removeprefix(f"Query {letter} at ").partition(";")[0].replace("−", "-")
    return [int(number) for number in numbers.split(", ")]


def on_screen(page, x: float, y: float) -> tuple[float, float]:
    """Where on the screen a place of the map is."""
    box = page.locator("svg.mrt-stage rect.lane").first.bounding_box()
    return box["x"] + box["width"] * (x + LIMIT) / (2 * LIMIT), box["y"] + box["height"] * (LIMIT - y) / (2 * LIMIT)


def drag(page, letter: str, *ways: tuple[int, int]) -> None:
    """Take a query where it stands and lead it over these places; it is still held then."""
    page.mouse.move(*on_screen(page, *place_of(page, letter)))
    page.mouse.down()
    for way in ways:
        page.mouse.move(*on_screen(page, *way), steps=3)


def test_a_query_follows_the_pointer_and_pairs_change_hands(page):
    before = page.locator("svg.mrt-stage").inner_html()
    said = page.locator(".mrt-sentence").inner_text()
    drag(page, "D", (700, -600))
    assert place_of(page, "D") == pytest.approx([700, -600], abs=8)
    assert page.evaluate("location.hash") == ""  # kept when it is let go
    drag_on = on_screen(page, -900, 900)
    page.mouse.move(*drag_on, steps=3)
    page.mouse.up()
    assert place_of(page, "D") == pytest.approx([-900, 900], abs=8)
    assert "at=" in page.evaluate("location.hash")
    assert page.locator("svg.mrt-stage").inner_html() != before
    assert page.locator(".mrt-sentence").inner_text() != said
    page.mouse.move(*on_screen(page, 0, 0))  # nothing is held any more
    assert place_of(page, "D") == pytest.approx([-900, 900], abs=8)


def test_a_query_stays_on_the_map(page):
    drag(page, "D", (5000, 5000))
    page.mouse.up()
    assert place_of(page, "D") == [LIMIT, LIMIT]


def test_a_finger_drags_and_the_page_stays_where_it_is(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("parts")]), width=360, has_touch=True, is_mobile=True)
    page.locator("svg.mrt-stage").scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    grip = page.get_by_role("button", name="Query D at").bounding_box()
    assert min(grip["width"], grip["height"]) >= 44
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    way = [on_screen(page, 700, y) for y in (400, 600, 900)]  # asked before: the drawing changes under the finger
    touch("touchStart", on_screen(page, *place_of(page, "D")))
    for place in way:
        touch("touchMove", place)
    touch("touchEnd")
    page.wait_for_function("location.hash.includes('at=')")
    assert place_of(page, "D") == pytest.approx([700, 900], abs=12)
    assert page.evaluate("scrollY") == scrolled
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_arrow_keys_move_a_query_and_shift_moves_it_faster(page):
    x, y = place_of(page, "B")
    page.get_by_role("button", name="Query B at").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert place_of(page, "B") == [x + 20, y + 20]
    assert "at=" in page.evaluate("location.hash")
    page.keyboard.press("Shift+ArrowUp")
    assert place_of(page, "B") == [x + 20, y + 120]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Query B at")
    for key in ("ArrowLeft", "ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert place_of(page, "B") == [x, y]
    assert page.evaluate("location.hash") == ""  # back where it stood: nothing left to remember


def test_fewer_queries_have_fewer_handles(page):
    handles = page.locator(".mrt-grips button:visible")
    assert handles.count() == 8
    page.locator("input[name=k]").press("Home")
    assert handles.count() == 2
    assert page.locator(".mrt-numbers tbody tr").count() == 2


def test_a_menu_changes_the_scores_and_reset_brings_all_back(page):
    first = page.locator(".mrt-sentence").inner_text()
    page.locator("select[name=how]").select_option("even")
    assert page.locator(".mrt-sentence").inner_text().startswith("No part holds more than 64 of the 512 pairs")
    drag(page, "A", (900, 900))
    page.mouse.up()
    page.locator("button:has-text('Reset')").click()
    assert page.locator(".mrt-sentence").inner_text() == first
    assert place_of(page, "A") == given()["home"][0]
    assert page.evaluate("location.hash") == ""


def test_any_places_give_the_parts_that_python_gives(page):
    rng = np.random.default_rng(8)
    for trial in range(30):
        near = 10 ** rng.uniform(0.5, 3)  # from on top of each other to all over the map
        at = "_".join(f"{x}.{y}" for x, y in (near * rng.uniform(-1.2, 1.2, (8, 2))).astype(int))
        state = {"k": int(rng.integers(2, 9)), "how": ("raw", "standardised", "even", "even")[trial % 4], "at": at}
        assert_close(page.evaluate(ASK, ["parts", state])["data"], parts(state), str(state))


def test_a_link_brings_back_the_map_and_junk_in_it_does_no_harm(visit, page):
    drag(page, "A", (-700, 800))
    page.mouse.up()
    page.locator("select[name=how]").select_option("standardised")
    again = visit(page.evaluate("location.href"))
    assert again.locator("svg.mrt-stage").inner_html() == page.locator("svg.mrt-stage").inner_html()
    link = page.evaluate("location.href.split('#')[0]") + "#parts:" + urlencode({"at": HOSTILE})
    opened = visit(link)
    assert opened.evaluate("window.hacked") is None
    assert opened.locator("figure img").count() == 0
    assert place_of(opened, "A") == [9, 9]


def test_surprises_are_the_listed_ones_and_never_the_same_twice(page):
    before = page.evaluate("location.hash")
    for _ in range(5):
        page.locator("button:has-text('Surprise me')").click()
        now = page.evaluate("location.hash")
        assert now != before
        before = now


@pytest.mark.parametrize("how", ["raw", "standardised", "even"])
def test_an_update_takes_less_than_a_frame(page, how):
    page.locator("select[name=how]").select_option(how)
    spent = page.evaluate("""() => {
      const grip = document.querySelector(".mrt-grips button");
      const times = Array.from({ length: 60 }, () => {
        const start = performance.now();
        grip.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp" }));
        document.querySelector(".mrt-sentence").offsetHeight;
        return performance.now() - start;
      });
      return Math.min(...times); // a busy machine only makes them longer
    }""")
    assert spent < 16


@pytest.mark.parametrize("width", [290, 320, 360, 480, 600, 640, 700, 820, 1200])
def test_nothing_moves_at_any_setting(visit, tmp_path, width):
    figure = explorable("parts")
    still = visit(write_page(tmp_path, [figure], alive=False), width=width)
    page = visit(write_page(tmp_path, [figure]), width=width)
    for opened in (still, page):
        opened.evaluate(SET_AS_INTER)
    height = "document.querySelector('figure').offsetHeight"
    reserved = still.evaluate(height)
    for vector in parity_vectors("parts"):
        page.evaluate("(hash) => history.replaceState(null, '', hash)", f"#parts:{urlencode(vector['state'])}")
        page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
        assert page.evaluate(height) == reserved, vector["state"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("dark", [False, True])
def test_parts_differ_by_colour_and_by_mark_and_stand_out(visit, tmp_path, dark):
    page = visit(write_page(tmp_path, [explorable("parts", how="even")]), dark=dark)
    marks = page.locator("svg.mrt-stage path.mark").evaluate_all("""all => all.slice(0, 8).map((path) => ({
      shape: path.getAttribute("d").match(/^M[^m]+([^M]+)/)[1], colour: getComputedStyle(path).fill }))""")
    assert len({mark["shape"] for mark in marks}) == len({mark["colour"] for mark in marks}) == 8
    lane = page.locator("svg.mrt-stage rect.lane").first.evaluate("(box) => getComputedStyle(box).fill")
    for mark in marks:
        light, low = sorted((luminance(mark["colour"]), luminance(lane)), reverse=True)
        assert (light + 0.05) / (low + 0.05) >= 3, mark["colour"]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG) of "rgb(r, g, b)"."""
    rgb = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_without_javascript_the_numbers_stand_in_the_page(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("parts")]), java_script_enabled=False)
    assert "The largest part" in page.locator("#parts").inner_text()
    assert page.locator("#parts tbody tr").count() == 8
    assert "most frequent" in html(explorable("parts").spec)
    assert REGISTRY["parts"].default == {"k": 8, "how": "raw", "at": ""}
