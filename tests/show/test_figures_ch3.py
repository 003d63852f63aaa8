"""Figures of chapter 3: drawn from the committed artifacts, small, described, and true to their titles."""

import json

import numpy as np
import pytest

from mrtlab.lab import artifacts
from mrtlab.show.figures import ch3, ch3_generator, theme


@pytest.fixture(scope="module")
def found():
    names = ("selection_bias", "gradient_similarity", "greedy_quality", "biased_generator")
    return {name: artifacts.load(name, "book").results for name in names}


@pytest.fixture(scope="module")
def figures(found):
    bias, generator = found["selection_bias"], found["biased_generator"]
    return {
        **{f"error-{r}": ch3.error_bars(bias, reward=r) for r in (*ch3.REWARDS, "noise")},
        "cos-one": ch3.cosine_along_training(bias),
        "cos-all": ch3.cosine_along_training(bias, view="cos_batch"),
        "heads": ch3.head_split(bias),
        "heads-upper": ch3.head_split(bias, reward="upper"),
        "favourite": ch3.favourite_limit(),
        "similarity": ch3.similarity_scatter(found["gradient_similarity"]),
        "greedy": ch3.greedy_histogram(found["greedy_quality"]),
        "learned": ch3_generator.learned_shares(generator),
        "alpha": ch3_generator.alpha_sweep(generator),
    }


def about(fig):
    return fig.layout.meta["mrtlab"]


def test_every_figure_is_small_plain_and_described(figures):
    for name, fig in figures.items():
        text = fig.to_json()
        assert len(text.encode()) < 25 * 1024, name
        assert "bdata" not in text, name  # numpy arrays travel as base64; ours are lists
        assert len(about(fig)["table"]["columns"]) == len(about(fig)["table"]["rows"][0])
        assert "nan" not in json.dumps(about(fig)).lower()
        assert len(about(fig)["claim"]) < 100
        assert (about(fig)["artifact"] is None) == (name == "favourite")


def test_colours_keep_their_meaning():
    assert ch3.colour_of("random") == theme.MULTI
    assert {ch3.colour_of(n) for n in ("top_k", "softmax_warm", "softmax_cool")} == {theme.REWARD}
    assert {ch3.colour_of(n) for n in ("dkon", "dbkon_a75", "spread_of_best")} == {theme.QUALITY_DIVERSITY}


def test_the_error_bars_add_up(found, figures):
    fig = figures["error-middle"]
    bias, variance = fig.data
    for name, b, v in zip(bias.y, bias.x, variance.x, strict=True):
        key = {title: key for key, title in ch3.NAMES.items()}[name]
        group = "free" if key in found["selection_bias"]["free"] else "middle"
        mse = found["selection_bias"][group][key]["mse"]["mean"][0]
        assert b + v == pytest.approx(mse, abs=0.004)
    assert bias.y[-1] in about(fig)["alt"]  # the shortest bar is on top and is named


def test_titles_say_what_the_numbers_say(found, figures):
    bias, steps = found["selection_bias"], found["selection_bias"]["design"]["checkpoints"]
    mse = {n: bias["free" if n in bias["free"] else "middle"][n]["mse"] for n in ch3.NAMES}
    assert "too much of it" in about(figures["error-middle"])["claim"]
    assert mse["dbkon_a25"]["hi"][0] < mse["random"]["lo"][0] < mse["dbkon_a75"]["lo"][0]
    negative = {
        (r, s) for r in ch3.REWARDS for s, hi in zip(steps, bias[r]["top_k"]["cos_prompt"]["hi"], strict=True) if hi < 0
    }
    assert about(figures["cos-one"])["claim"] == "The alarming sign belongs to one reward and to the first step"
    assert negative == {("middle", 0)}
    assert "one head" in about(figures["heads"])["claim"]
    top = bias["middle"]["top_k"]
    assert top["part_scale"]["hi"][0] < 0 < top["without_scale"]["lo"][0]
    assert "one head" not in about(figures["heads-upper"])["claim"]
    sweep = found["biased_generator"]["sweep"]["flat"]["kl"]
    assert sweep["lo"][-1] > found["biased_generator"]["k4"]["random"]["kl"]["mean"] > sweep["hi"][0]


@pytest.mark.parametrize(
    ("below", "one", "title"),
    [
        ({}, True, "never points away"),
        ({"middle": [0]}, True, "first step"),
        ({"middle": [0, 50]}, False, "only when the reward likes the middle"),
        ({"middle": [0], "upper": [10]}, True, "more than one reward"),
    ],
)
def test_the_title_of_the_cosines_follows_them(below, one, title):
    assert title in ch3._cosine_claim(below, one=one)


@pytest.mark.parametrize(
    ("a25", "a75", "dkon", "title"),
    [(0.1, 0.5, 0.1, "too much"), (0.5, 0.5, 0.1, "does not beat"), (0.1, 0.1, 0.1, "adds little"),
     (0.1, 0.1, 0.2, "Quality with diversity beats")],
)  # fmt: skip
def test_the_title_of_the_errors_follows_them(a25, a75, dkon, title):
    mse = {"random": 0.3, "dbkon_a25": a25, "dbkon_a75": a75, "dbkon_a200": 0.6, "dkon": dkon, "top_k": 0.5}
    assert title in ch3._error_claim(mse)


def test_the_head_bars_add_up_to_the_cosine(figures):
    for bars in figures["heads"].data:
        values = dict(zip(bars.y, bars.x, strict=True))
        parts = sum(values[n] for n in ("weights head", "means head", "widths head", "shared layers"))
        assert parts == pytest.approx(values["<b>together</b>"], abs=0.003)


def test_the_favourite_turns_at_its_fair_share(figures):
    full = figures["favourite"].data[-1]
    cos = dict(zip(full.x, full.y, strict=True))
    assert all((c < 0) == (share > 1 / 3) for share, c in cos.items())
    fewest = figures["favourite"].data[0]
    assert min(fewest.y) > 0  # with little valid mass any right answer is good news


def test_the_scatter_shows_at_most_300_pairs(figures):
    assert sum(len(t.x) for t in figures["similarity"].data if t.mode == "markers") <= 300


def test_the_histogram_counts_all_pools(figures):
    for bars in figures["greedy"].data:
        assert sum(bars.y) == pytest.approx(1, abs=0.01)
        assert min(x for x, y in zip(bars.x, bars.y, strict=True) if y > 0) > 1 - np.exp(-1)


def test_learned_shares_are_distributions(figures):
    learned = [t for t in figures["learned"].data if t.text is not None]
    assert len(learned) == 4
    for bars in learned:
        assert sum(bars.y) == pytest.approx(1, abs=0.003)
