"""Figures of chapter 5: drawn from the committed artifact, small, described, and true to their titles."""

import copy
import json

import numpy as np
import pytest

from mrtlab.lab import artifacts
from mrtlab.show.figures import ch5, theme


@pytest.fixture(scope="module")
def found():
    return artifacts.load("crossover", "book").results


@pytest.fixture(scope="module")
def figures(found):
    return {
        **{world: ch5.success_by_strings(found, world=world) for world in ch5.WORLDS},
        "map": ch5.crossover_map(found),
        "coverage": ch5.coverage_hides_length(found),
        "noisy": ch5.noisy_verifier_ceiling(found),
        "cost": ch5.cost_by_queries(found),
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
        assert about(fig)["artifact"] == "crossover.book"


def test_colours_keep_their_meaning():
    colours = {arm: colour for arm, (_, colour, _) in ch5.ARMS.items()}
    assert colours["sft"] == theme.SINGLE
    assert colours["best_of_n"] == theme.REWARD
    assert len({(colour, dash) for _, colour, dash in ch5.ARMS.values()}) == len(ch5.ARMS)  # never colour alone


def test_titles_say_what_the_numbers_say(found, figures):
    titles = {name: about(fig)["claim"] for name, fig in figures.items()}
    longest = f"t{found['design']['lengths'][-1]}"
    gap = {w: found["worlds"][w][longest]["sft_minus_best_of_n"] for w in ch5.WORLDS}
    assert titles["realizable"] == "Learning needs fewer strings, if they are correct ones"
    assert max(gap["realizable"]["lo"]) > 0.1
    assert max(found["worlds"]["realizable"][longest]["filtered_minus_best_of_n"]["hi"][:2]) < 0  # "correct ones"
    assert titles["small_model"] == "Choosing overtakes learning once strings are plenty"
    assert gap["small_model"]["hi"][-1] < 0
    assert titles["map"] == "Which class is wrong decides who wins"
    assert titles["noisy"] == "A noisy judge sets a ceiling, not a fall"
    noisy = found["laws"]["noisy"]
    assert noisy["lo"][-1] < noisy["expected"][-1] < noisy["hi"][-1]


def test_the_noisy_title_follows_the_numbers(found):
    falling = copy.deepcopy(found)
    falling["laws"]["noisy"]["hi"][-1] = 0.1
    assert "worse" in about(ch5.noisy_verifier_ceiling(falling))["claim"]


@pytest.mark.parametrize(
    ("lo", "hi", "title"),
    [([0.3, 0.2], [0.5, 0.4], "stays ahead"), ([0.1, -0.3], [0.2, -0.1], "overtakes"),
     ([0.3, -0.1], [0.5, 0.1], "fewer strings"), ([-0.1, -0.1], [0.1, 0.1], "keep level")],
)  # fmt: skip
def test_the_title_of_the_curves_follows_them(lo, hi, title):
    results = {"worlds": {"realizable": {"t4": {"sft_minus_best_of_n": {"lo": lo, "hi": hi}}}}}
    assert title in ch5._success_claim(results, "realizable", [4])


def test_the_map_prints_only_gaps_beyond_three_standard_errors(found, figures):
    gaps = [found["worlds"]["realizable"][f"t{t}"]["sft_minus_best_of_n"] for t in found["design"]["lengths"]]
    for cells, gap in zip(figures["map"].data, gaps, strict=False):  # the first panel, a row of cells per length
        for text, lo, hi in zip(cells.text, gap["lo"], gap["hi"], strict=True):
            assert (text == "·") == (lo <= 0 <= hi)


def test_the_book_can_draw_every_figure(figures):
    assert {trace.type for fig in figures.values() for trace in fig.data} <= {"scatter", "bar"}


def test_the_map_is_vermillion_where_learning_wins(figures):
    for cells in figures["map"].data:
        for colour, gap in zip(cells.marker.color, cells.customdata, strict=True):
            assert colour.startswith(theme.tint(theme.SINGLE if gap > 0 else theme.REWARD, 0)[:-2]) or gap == 0


def test_points_lie_on_the_closed_form(figures):
    _, line, points = figures["coverage"].data
    curve = dict(zip(line.x, line.y, strict=True))
    for t, share in zip(points.x, points.y, strict=True):
        assert share == pytest.approx(curve[t], abs=0.03)


def test_cost_by_hand():
    assert ch5.bits_processed(length=16, queries=0, learn=2) == 96  # 3 passes over 2 · 16 bits
    both = ch5.bits_processed(length=16, queries=np.array([0, 1]), fit=1, draw=3, candidates=4)
    assert both.tolist() == [48 + 96, 48 + 96 + 128]


def test_what_was_chosen_is_worth_learning_after_a_while(figures):
    learned, chosen, distilled = (np.array(trace.y) for trace in figures["cost"].data)
    assert np.all(learned < chosen)
    assert distilled[0] > chosen[0]
    assert distilled[-1] < chosen[-1]
