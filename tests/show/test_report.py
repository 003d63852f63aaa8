"""The plan's report: offline, honest about the numbers, safe with any prompt, readable by a machine."""

import re
from datetime import date
from html.parser import HTMLParser

import numpy as np
import pytest

from mrtlab.data.tables import LossTable
from mrtlab.show.report import plan_report
from mrtlab.show.study import Prices, demo_table, study
from mrtlab.show.svg import Axes, chart, dot, round_steps

VOID = {"meta", "line", "circle", "rect", "polyline"}


class Page(HTMLParser):
    """Tags in balance, and what is inside them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def page(table=None, prices=None, budget=400.0, **options):
    found = study(table or demo_table(), "losses.csv", prices or Prices(4.0, 1.0), budget, **options)
    return found, plan_report(found, command="mrtlab plan losses.csv", today=date(2026, 1, 2))


def test_one_file_without_scripts_or_addresses():
    _, text = page()
    tags = Page(text).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?://|url\(|@import", text)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags


def test_it_says_what_the_plan_says():
    found, text = page()
    words = "".join(Page(text).words)
    assert found.plan.advice in words
    assert all(remark in words for remark in found.remarks)
    assert f"{found.plan.standard_error:.3g}" in words
    assert f"{found.estimate.components.response:.3g}" in words
    assert "02 January 2026" in words
    assert "mrtlab plan losses.csv" in words


def test_figures_have_words_and_numbers():
    _, text = page()
    drawings = [attrs for tag, attrs in Page(text).tags if tag == "svg"]
    assert len(drawings) == 3
    assert all(len(attrs["aria-label"]) > 40 for attrs in drawings)
    assert text.count("<table>") == 4
    assert text.count("<figcaption>") == 3


def test_the_curve_is_drawn_where_the_numbers_are():
    found, text = page()
    points = re.search(r'<polyline class="curve" points="([^"]+)"', text).group(1).split()
    heights = [float(point.split(",")[1]) for point in points]
    errors = np.sqrt(found.plan.curve.variance[: len(heights)])
    assert np.corrcoef(heights, errors)[0, 1] < -0.9999  # down the page is a smaller error
    assert int(np.argmax(heights)) + 1 == found.plan.k


def test_prompts_cannot_break_the_page():
    nasty = "<script>alert('x')</script> & \"quotes\" V_x"
    table = LossTable([nasty, "b", "c"], [np.array([1.0, 2.0]), np.array([3.0, 5.0]), np.array([0.0])])
    _, text = page(table)
    assert "<script>" not in text
    Page(text)


@pytest.mark.parametrize(
    "values",
    [
        [[1.0, 1.0], [1.0, 1.0]],
        [[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]],
        [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
        [[1e-9, 2e-9], [5e-9]],
        [[-1e9, 1e9], [5e8, 1.0, 2.0]],
    ],
)
@pytest.mark.parametrize("budget", [5.0, 1e9])
def test_odd_tables_still_give_a_page(values, budget):
    table = LossTable([str(i) for i in range(len(values))], [np.array(row) for row in values])
    _, text = page(table, budget=budget)
    assert "nan" not in text
    assert not re.search(r"[\"=\s]inf\b", text)
    Page(text)


def test_the_words_of_copies():
    found, text = page(prices=Prices.of_tokens(300.0, 60.0, copies=True), budget=1e5)
    assert found.plan.k == 1
    assert "Keep one response per prompt" in text
    assert "K = 1 is always best per token" in text


def test_round_steps_cover_what_they_show():
    for low, high in ((0.0, 0.37), (2.0, 2.01), (-3.0, 1e6), (5.0, 5.0)):
        steps = round_steps(high, low=low)
        assert steps[0] <= low
        assert steps[-1] >= high
        assert 2 <= len(steps) <= 8


def test_drawing_escapes_its_words():
    assert 'aria-label="a &lt;b&gt;"' in chart([dot(0.5, 0.5, Axes((0.0, 1.0), (0.0, 1.0)), kind="k")], alt="a <b>")
