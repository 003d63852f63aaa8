"""Figures of chapter 4: drawn from the committed artifact, small, described, and true to their titles."""

import copy
import json

import numpy as np
import pytest

from mrtlab.lab import artifacts
from mrtlab.show.figures import ch4, theme


@pytest.fixture(scope="module")
def results():
    return artifacts.load("bandit_race", "book").results


@pytest.fixture(scope="module")
def figures(results):
    return {
        "race": ch4.race_over_rounds(results),
        "race-all": ch4.race_over_rounds(results, peak="aligned", reuse=5, rules=tuple(ch4.NAMES)),
        "offline": ch4.offline_ceiling(results),
        "offline-aligned": ch4.offline_ceiling(results, peak="aligned", prompts=20),
        "stale": ch4.staleness(results),
        "freed": ch4.freed_mass(results),
        "freed-aligned": ch4.freed_mass(results, peak="aligned"),
        "frontier": ch4.frontier(results),
    }


def about(fig):
    return fig.layout.meta["mrtlab"]


def test_every_figure_is_small_plain_and_described(figures):
    for name, fig in figures.items():
        text = fig.to_json()
        assert len(text.encode()) < 25 * 1024, name
        assert "bdata" not in text, name
        assert len(about(fig)["table"]["columns"]) == len(about(fig)["table"]["rows"][0])
        assert "nan" not in json.dumps(about(fig)).lower()
        assert len(about(fig)["claim"]) < 100
        assert about(fig)["artifact"] == "bandit_race.book"


def test_colours_say_what_a_rule_learns_from():
    assert {ch4.colour_of(rule) for rule in ("pref_ft", "best_of_n")} == {theme.REWARD}
    assert {ch4.colour_of(rule) for rule in ch4.NAMES if rule not in ("pref_ft", "best_of_n")} == {theme.MULTI}


def test_no_path_passes_the_tilt(figures):
    tilt, *paths = figures["frontier"].data
    for path in paths:
        allowed = np.interp(path.x, tilt.x, tilt.y)
        assert (np.array(path.y) <= allowed + 0.01).all()


def test_mass_is_all_there(figures):
    for bars in figures["freed"].data:
        assert sum(bars.y) == pytest.approx(1, abs=0.01)


def test_titles_follow_the_numbers(results):
    changed = copy.deepcopy(results)
    changed["push"]["far"]["offline_100"]["dpo"]["lo"] = -0.1
    assert about(ch4.offline_ceiling(results))["claim"] != about(ch4.offline_ceiling(changed))["claim"]
    block = changed["races"]["fresh_t1"]["far"]["dpo"]["final"]
    block["lo"] = 0.0
    assert about(ch4.race_over_rounds(changed))["claim"] == "With fresh answers 3 of 4 rules pass the ceiling"
    dpo = changed["races"]["offline_100"]["far"]["dpo"]
    dpo["mass"] = results["reference"]
    assert about(ch4.freed_mass(changed))["claim"] == "Where the mass is after training"
    stale = changed["races"]["stale_b1000"]["far"]["ppo"]["final"]
    stale["mean"] = 1.0
    assert about(ch4.staleness(changed))["claim"] == "Reward and the age of the data"
