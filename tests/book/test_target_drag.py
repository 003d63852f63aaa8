"""The draggable target in a real browser: pointer, finger, keyboard, links, and time."""

from urllib.parse import urlencode

import pytest
from test_explorables_parity import SET_AS_INTER, write_page

from mrtlab.show.explorables import REGISTRY, explorable, html, parity_vectors

DEFAULT = REGISTRY["target"].default
HOSTILE = "9<img src=x onerror='window.hacked=1'>"


@pytest.fixture
def page(visit, tmp_path):
    return visit(write_page(tmp_path, [explorable("target")]))


def shares(page) -> list[int]:
    """The target in whole percent, as the sliders on the bars say it."""
    texts = page.locator(".mrt-hands input").evaluate_all("all => all.map((i) => i.getAttribute('aria-valuetext'))")
    return [int(text.removesuffix("\u00a0%")) for text in texts]


def place(page, number: int, share: float, top: float = 0.6) -> tuple[float, float]:
    """Where on the screen this number's bar has this share."""
    box = page.locator(".mrt-hands").bounding_box()
    return box["x"] + box["width"] * (number - 0.5) / 10, box["y"] + box["height"] * (1 - share / top)


def test_a_bar_follows_the_pointer_and_the_others_make_room(page):
    before = page.locator("svg.mrt-stage").inner_html()
    page.mouse.move(*place(page, 3, 0.1))
    page.mouse.down()
    page.mouse.move(*place(page, 3, 0.46), steps=5)
    assert shares(page) == [6, 6, 46, 6, 6, 6, 6, 6, 6, 6]
    assert page.evaluate("location.hash") == ""  # kept when the bar is let go
    page.mouse.move(*place(page, 8, 0.28), steps=5)  # the bar that was taken stays the one that is held
    page.mouse.up()
    assert shares(page) == [8, 8, 28, 8, 8, 8, 8, 8, 8, 8]
    assert "target=own" in page.evaluate("location.hash")
    assert page.locator("select[name=target]").input_value() == "own"
    assert page.locator("svg.mrt-stage").inner_html() != before
    page.mouse.move(*place(page, 1, 0.5))  # nothing is held any more
    assert shares(page)[2] == 28


def test_a_bar_pulled_out_of_the_picture_takes_all_and_comes_back(page):
    x, y = place(page, 5, 1.4)
    page.mouse.move(*place(page, 5, 0.1))
    page.mouse.down()
    page.mouse.move(x, y, steps=3)
    assert shares(page) == [0, 0, 0, 0, 100, 0, 0, 0, 0, 0]
    page.mouse.up()
    assert "floor 0.00" in page.locator(".mrt-sentence").inner_text()
    page.mouse.move(*place(page, 5, 0.5, top=1))  # the axis now reaches 100 %
    page.mouse.down()
    page.mouse.up()
    assert shares(page) == [6, 6, 6, 6, 50, 6, 6, 6, 6, 6]


def test_a_finger_drags_and_the_page_stays_where_it_is(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("target")]), width=360, has_touch=True, is_mobile=True)
    page.locator("svg.mrt-stage").scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    lane = page.locator(".mrt-hands").bounding_box()["width"] / 10
    assert lane >= 22
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    touch("touchStart", place(page, 10, 0.1))
    for share in (0.2, 0.3, 0.4):
        touch("touchMove", place(page, 10, share))
    touch("touchEnd")
    page.wait_for_function("location.hash.includes('target=own')")
    assert shares(page) == pytest.approx([7] * 9 + [40], abs=1)
    assert page.evaluate("scrollY") == scrolled
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_bar_is_a_named_slider_for_the_keyboard(page):
    page.locator("select[name=target]").select_option("pairs")
    bar = page.get_by_role("slider", name="Target of 4")
    assert bar.get_attribute("aria-valuetext") == "20\u00a0%"
    bar.focus()
    for _ in range(5):
        page.keyboard.press("ArrowUp")
    assert shares(page)[3] == 25
    assert shares(page)[1] == 19
    assert "target=own" in page.evaluate("location.hash")
    page.keyboard.press("Home")
    assert shares(page) == [0, 25, 0, 0, 0, 25, 0, 25, 0, 25]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Target of 4"
    page.get_by_role("slider", name="Target of 2").press("End")
    assert shares(page) == [0, 100, 0, 0, 0, 0, 0, 0, 0, 0]
    page.get_by_role("slider", name="Target of 2").press("ArrowDown")  # all others were 0: they share the rest
    assert page.locator(".mrt-hands input").nth(1).input_value() == "99"


def test_a_menu_sets_the_bars_and_reset_brings_them_back(page):
    for name, first in (("zipf", 34), ("binomial", 30), ("one", 0), ("own", 22)):
        page.locator("select[name=target]").select_option(name)
        assert shares(page)[0] == first
    page.locator("button:has-text('Reset')").click()
    assert shares(page) == [10] * 10
    assert page.evaluate("location.hash") == ""


def test_steps_are_taken_one_by_one_or_to_the_end(page):
    page.locator("button:has-text('One step')").click()
    assert page.locator(".mrt-sentence").inner_text().startswith("After one step the loss is")
    page.locator("button:has-text('Train on')").click()
    page.wait_for_function("location.hash.includes('steps=50')")
    page.emulate_media(reduced_motion="reduce")
    page.locator("button:has-text('Train on')").click()  # once more from the start
    assert page.locator("input[name=steps]").input_value() == "50"


def test_a_link_brings_back_the_bars_and_junk_in_it_does_no_harm(visit, page):
    page.get_by_role("slider", name="Target of 7").press("PageUp")
    page.locator("input[name=steps]").press("ArrowRight")
    again = visit(page.evaluate("location.href"))
    assert shares(again) == shares(page)
    assert again.locator("svg.mrt-stage").inner_html() == page.locator("svg.mrt-stage").inner_html()
    link = page.evaluate("location.href.split('#')[0]") + "#target:" + urlencode({"target": "own", "own": HOSTILE})
    opened = visit(link)
    assert opened.evaluate("window.hacked") is None
    assert opened.locator("figure img").count() == 0
    assert shares(opened) == [90, 10, 0, 0, 0, 0, 0, 0, 0, 0]  # the 9, and the 1 that it would have set


def test_surprises_are_the_listed_ones_and_never_the_same_twice(page):
    before = shares(page)
    for _ in range(5):
        page.locator("button:has-text('Surprise me')").click()
        state = page.evaluate("location.hash")
        assert (shares(page), state) != (before, "")
        before = shares(page)
    assert "target=" in state


def test_an_update_takes_less_than_a_frame(page):
    spent = page.evaluate("""() => {
      const bar = document.querySelector(".mrt-hands input");
      const times = Array.from({ length: 40 }, (_, i) => {
        bar.value = 10 + i;
        const start = performance.now();
        bar.dispatchEvent(new Event("input"));
        document.querySelector(".mrt-sentence").offsetHeight;
        return performance.now() - start;
      });
      return Math.min(...times); // a busy machine only makes them longer
    }""")
    assert spent < 16


@pytest.mark.parametrize("width", [290, 320, 360, 480, 600, 640, 700, 820, 1200])
def test_nothing_moves_at_any_setting(visit, tmp_path, width):
    figure = explorable("target")
    still = visit(write_page(tmp_path, [figure], alive=False), width=width)
    page = visit(write_page(tmp_path, [figure]), width=width)
    for opened in (still, page):
        opened.evaluate(SET_AS_INTER)
    height = "document.querySelector('figure').offsetHeight"
    reserved = still.evaluate(height)
    for vector in parity_vectors("target"):
        page.evaluate("(hash) => history.replaceState(null, '', hash)", f"#target:{urlencode(vector['state'])}")
        page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
        assert page.evaluate(height) == reserved, vector["state"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_javascript_the_numbers_stand_in_the_page(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("target")]), java_script_enabled=False)
    assert "validity 0.06, shape 0.70" in page.locator("#target").inner_text()
    assert page.locator("#target tbody tr").count() == 11
    assert "off the list" in html(explorable("target").spec)
