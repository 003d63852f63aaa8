"""The token tree in a real browser: typing, pointing, links, and text that wants to be markup."""

from urllib.parse import urlencode

import pytest
from test_explorables_parity import write_page

from mrtlab.show.explorables import REGISTRY, explorable

DEFAULT = REGISTRY["tree"].default
HOSTILE = "<img src=x onerror='window.hacked=1'></text></svg><script>window.hacked=1</script>\"&amp;"


@pytest.fixture
def page(visit, tmp_path):
    return visit(write_page(tmp_path, [explorable("tree")]))


def chips(page) -> list[str]:
    return page.locator("svg.mrt-stage g:has(.touch) text").all_text_contents()


def test_typing_redraws_the_tree_and_keeps_the_cursor(page):
    prompt = page.locator("input[name=prompt]")
    prompt.focus()
    page.keyboard.press("Home")
    page.keyboard.type("Now ")
    assert prompt.input_value() == "Now Name a fruit :"
    assert prompt.evaluate("field => field.selectionStart") == 4
    assert chips(page)[:3] == ["Now", "Name", "a"]
    assert "<b>10 tokens</b>" in page.locator(".mrt-sentence").inner_html()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "answers"
    assert "prompt=Now+Name+a+fruit+%3A" in page.evaluate("location.hash")
    page.keyboard.press("Control+A")
    page.keyboard.type("x\ny;z")
    assert chips(page)[-3:] == ["x", "y", "z"]


def test_text_that_wants_to_be_markup_stays_text(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("tree")]))
    page.locator("input[name=prompt]").fill(HOSTILE)
    page.locator("textarea").fill(f"{HOSTILE}\n{HOSTILE} b")
    link = page.evaluate("location.href.split('#')[0]") + "#tree:" + urlencode({"prompt": HOSTILE, "answers": HOSTILE})
    for opened in (page, visit(link), visit(write_page(tmp_path, [explorable("tree", prompt=HOSTILE)]))):
        assert opened.locator("figure :is(img, script)").count() == 0
        assert opened.evaluate("window.hacked") is None
        assert opened.locator("input[name=prompt]").input_value() == HOSTILE
        assert opened.locator("figure svg").count() == 1
        assert "<img" in opened.locator("svg.mrt-stage").get_attribute("aria-label")


def test_a_link_brings_back_text_of_every_kind(visit, page):
    answers = "50% off / #1 + a=b & c\né 水 🍎\n~tree:at=1/coverage:k=3"
    page.locator("textarea").fill(answers)
    page.locator("input[name=prompt]").fill("Why? / and #")
    page.locator("input[name=prompt]").blur()
    again = visit(page.evaluate("location.href"))
    assert again.locator("textarea").input_value() == answers
    assert again.locator("input[name=prompt]").input_value() == "Why? / and #"
    assert again.locator("svg.mrt-stage").inner_html() == page.locator("svg.mrt-stage").inner_html()
    page.locator("button:has-text('Reset')").click()
    assert page.evaluate("location.hash") == ""
    assert page.locator("textarea").input_value() == DEFAULT["answers"]


def test_text_that_is_too_long_is_cut_whole_characters_at_a_time(visit, page):
    link = page.evaluate("location.href") + "#tree:" + urlencode({"prompt": "🍎" * 5000, "by": "characters"})
    opened = visit(link)
    assert opened.locator("input[name=prompt]").input_value() == "🍎" * 200
    assert "Your text is longer" in opened.locator(".mrt-sentence").inner_text()
    opened.locator("textarea").fill("\n".join(f"answer number {i} is long" for i in range(200)))
    assert "12 answers" in opened.locator(".mrt-sentence").inner_text()
    assert len(opened.locator("svg.mrt-stage g:has(.touch)").all()) <= 24 + 12 * 12


def test_an_empty_field_gets_a_hint_and_the_slider_rests(page):
    page.locator("textarea").fill(" ; ")
    assert page.locator("svg.mrt-stage").text_content() == "Type an answer below"
    assert "at least one answer" in page.locator(".mrt-sentence").inner_text()
    assert page.locator("input[name=at]").get_attribute("aria-valuetext") == "none"
    page.locator("textarea").fill("plum")
    assert "plum" in chips(page)


def test_pointing_at_a_token_lights_its_path_and_so_does_the_slider(page):
    first = page.locator("svg.mrt-stage > text").first
    assert first.text_content() == "“pear”, position 6, looks at 7 of 9 tokens"
    page.locator("svg.mrt-stage g:has(.touch)", has_text="plum").hover()
    assert first.text_content() == "“plum”, position 5, looks at 6 of 9 tokens"
    slider = page.locator("input[name=at]")
    assert (slider.input_value(), slider.get_attribute("max")) == ("9", "9")
    slider.press("Home")
    assert slider.get_attribute("aria-valuetext") == "none"
    slider.press("ArrowRight")
    assert first.text_content() == "“Name”, position 0, looks at 1 of 9 tokens"
    page.locator("svg.mrt-stage g:has(.touch)", has_text="apple").click()
    assert "at=7" in page.evaluate("location.hash")
    page.locator("svg.mrt-stage g[data-at='6']:not(:has(.touch))").hover()  # a row of the mask
    assert first.text_content() == "“ripe”, position 5, looks at 6 of 9 tokens"


def test_surprise_me_brings_a_prompt_with_its_own_answers(page):
    known = {(example["prompt"], example["answers"]) for example in REGISTRY["tree"].examples}
    seen = set()
    for _ in range(12):
        page.locator("button:has-text('Surprise me')").click()
        seen.add((page.locator("input[name=prompt]").input_value(), page.locator("textarea").input_value()))
    assert seen <= known
    assert len(seen) > 1


def test_fields_are_named_and_large_enough_for_a_finger(visit, tmp_path):
    page = visit(write_page(tmp_path, [explorable("tree")]), width=360, has_touch=True, is_mobile=True)
    roles = {"Prompt": "textbox", "Answers, one a line": "textbox", "Tokens are": "combobox", "Light a token": "slider"}
    for name, role in roles.items():
        assert page.get_by_role(role, name=name).bounding_box()["height"] >= 44
    assert page.locator("textarea").evaluate("field => getComputedStyle(field).fontSize") == "16px"  # no zooming in
    page.locator("svg.mrt-stage g:has(.touch)", has_text="plum").tap()
    assert page.locator("input[name=at]").input_value() == "9"
