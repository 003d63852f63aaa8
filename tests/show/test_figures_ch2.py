"""Figures of chapter 2: drawn from the committed artifacts, with words and numbers, light enough for a page."""

import json

import pytest

from mrtlab.lab import artifacts
from mrtlab.show.figures import ch2, ch2_redundancy
from mrtlab.theory.budget import token_variance
from mrtlab.theory.components import Components


def results(experiment):
    return artifacts.load(experiment, "book").results


FIGURES = {
    "variance_curve": lambda: ch2.variance_curve(results("variance_law")),
    "cost_curve": lambda: ch2.cost_curve(results("variance_law")),
    "scalar_or_gradient": lambda: ch2.scalar_or_gradient(results("variance_law")),
    "trained_cost": lambda: ch2.trained_loss(results("budget_mdn"), claim="A claim"),
    "trained_matched": lambda: ch2.trained_loss(results("budget_mdn"), arm="matched", claim="A claim"),
    "copies_or_shared": lambda: ch2.copies_or_shared(Components(1.0, 7.0), prompt_tokens=200, response_tokens=50),
    "triad": lambda: ch2_redundancy.triad(results("redundancy")),
    "gain_lines": lambda: ch2_redundancy.gain_lines(results("redundancy")),
    "published_fits": lambda: ch2_redundancy.published_fits(results("published")),
    "published_curve": lambda: ch2_redundancy.published_curve(results("published")),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_its_words_its_numbers_and_a_light_file(name):
    text = FIGURES[name]().to_json()
    about = json.loads(text)["layout"]["meta"]["mrtlab"]
    assert len(text) < 25 * 1024
    assert "bdata" not in text  # typed arrays cannot be read where the page has no plotly yet
    assert len(about["alt"]) > 60
    assert "<" not in about["how"] + about["alt"] + about["claim"]  # plain text is shown as it is
    assert "nan" not in text.lower().replace("nanowire", "")
    assert all(len(row) == len(about["table"]["columns"]) for row in about["table"]["rows"])


def test_the_table_holds_the_numbers_of_the_artifact():
    fresh = results("variance_law")["fresh"]
    rows = ch2.variance_curve(results("variance_law")).layout.meta["mrtlab"]["table"]["rows"]
    assert [row[0] for row in rows] == [1, 2, 4, 8, 16, 32]
    assert [row[2] for row in rows] == [fresh[f"k{row[0]}"]["measured"] for row in rows]


def test_the_flat_band_is_the_one_of_the_artifact():
    cost = results("variance_law")["cost"]
    band = ch2.cost_curve(results("variance_law")).layout.shapes[0]
    assert (band.x0, band.x1) == (cost["flat_lo"], cost["flat_hi"])


def test_token_prices_are_those_of_the_theory():
    parts = Components(1.0, 7.0)
    figure = ch2.copies_or_shared(parts, prompt_tokens=200, response_tokens=50, ks=(1, 4))
    exact = token_variance(parts, 4, prompt_tokens=200, response_tokens=50)
    one = token_variance(parts, 1, prompt_tokens=200, response_tokens=50)
    row = figure.layout.meta["mrtlab"]["table"]["rows"][1]
    assert row[1] == pytest.approx(exact.copies / one.copies)
    assert row[2] == pytest.approx(exact.shared / one.shared)


def test_long_responses_leave_no_optimum_to_mark():
    figure = ch2.copies_or_shared(Components(7.0, 1.0), prompt_tokens=10, response_tokens=500)
    assert not any("K*" in a.text for a in figure.layout.annotations)


def test_published_points_are_the_published_ones():
    series = results("published")["series"]["qwen3-5-2b"]
    figure = ch2_redundancy.published_curve(results("published"), series="qwen3-5-2b")
    assert list(figure.data[-1].y) == series["loss"]


def test_single_and_explicit_stand_at_nothing_and_all():
    rows = ch2_redundancy.triad(results("redundancy")).layout.meta["mrtlab"]["table"]["rows"]
    shares = {row[1]: row[4] for row in rows if row[2] == 0}
    assert shares["one response"] == 0
    assert shares["1 wording, 4 responses"] == pytest.approx(1)
