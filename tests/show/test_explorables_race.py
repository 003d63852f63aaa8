"""Chapter 4's race: its first steps by hand, its ceilings, its edge lessons, and the experiment it stands beside."""

import numpy as np
import pytest

from mrtlab.lab import artifacts
from mrtlab.show.explorables.twins_race import MARGIN, MOST, RULES, race, race_sentence, weights
from mrtlab.theory import best_of_n
from mrtlab.theory.bandit import ALIGNED_PEAK, FAR_PEAK, bandit_reference, bandit_reward, expected_reward

STATE = {"peak": 70, "steps": MOST, "rule": "old"}


def ends(**changes) -> dict[str, float]:
    """Every rule's reward at the last step."""
    return {rule["rule"]: rule["rewards"][-1] for rule in race(STATE | changes)["rules"]}


def said(**changes) -> str:
    state = STATE | changes
    return race_sentence(race(state), state)


def test_the_first_weights_by_hand():
    p, reward = bandit_reference(), bandit_reward(peak=70)
    assert weights("gradient", p, 70) == pytest.approx(p * reward)
    assert weights("fresh", p, 70) == pytest.approx(best_of_n(p, reward, 10))
    # At the reference all log-ratios are 0: IPO's weight on an arm is 2·margin·(share of pairs won − lost).
    below, above = reward[None, :] < reward[:, None], reward[None, :] > reward[:, None]
    won, lost = p * (below @ p), p * (above @ p)
    assert weights("pairs", p, 70) == pytest.approx(2 * MARGIN * (won - lost) / won.sum())


@pytest.mark.parametrize("rule", ["old", "pairs"])
def test_old_data_does_not_move_with_the_policy(rule):
    elsewhere = np.full(100, 0.01)
    now, first = (weights("old", p, 70) for p in (elsewhere, bandit_reference()))
    assert now == pytest.approx(first)
    assert not np.allclose(weights("fresh", elsewhere, 70), first)


@pytest.mark.parametrize("rule", RULES)
def test_the_scrubber_shows_one_race(rule):
    short, long = (race(STATE | {"rule": rule, "steps": steps}) for steps in (30, MOST))
    for a, b in zip(short["rules"], long["rules"], strict=True):
        assert a["rewards"] == b["rewards"][:31]
    assert sum(long["policy"]) == pytest.approx(1, abs=1e-4)
    shown = next(one for one in long["rules"] if one["rule"] == rule)
    assert long["chosen"] == shown
    reward = bandit_reward(peak=70)
    assert float(np.dot(long["policy"], reward)) == pytest.approx(shown["rewards"][-1], abs=1e-4)
    assert sum(long["policy"][60:81]) == pytest.approx(shown["near"], abs=1e-4)


def test_old_best_of_ten_stops_at_its_ceiling_wherever_the_peak_is():
    for peak in range(0, 100, 9):
        data = race(STATE | {"peak": peak})
        old = data["rules"][0]["rewards"]
        assert max(old) <= data["ceiling"]
        assert old[-1] > 0.97 * data["ceiling"]


def test_far_from_the_reference_only_imitation_of_old_data_stays_below():
    data = race(STATE)
    assert {one["rule"] for one in data["rules"] if one["passed"] is None} == {"old"}
    found = ends()
    assert min(found["fresh"], found["gradient"]) > 0.95 > 0.7 > found["pairs"] > data["ceiling"]


def test_where_the_reference_is_old_data_nearly_suffices():
    assert ends(peak=20)["old"] > 0.9
    assert ends()["old"] < 0.32


def test_ipo_ends_where_its_loss_is_least():
    """With all pairs the loss is a least-squares problem in the log-ratios; the race has nearly solved it."""
    p, reward = bandit_reference(), bandit_reward(peak=20)
    shares = np.outer(p, p) * (reward[:, None] != reward)
    pull = shares * np.sign(reward[:, None] - reward)
    graph = np.diag(shares.sum(1)) - shares
    best = p * np.exp(np.linalg.lstsq(graph, MARGIN * pull.sum(1), rcond=None)[0])
    least = float(expected_reward(best / best.sum(), reward))
    assert ends(peak=20)["pairs"] == pytest.approx(least, abs=0.005)


def test_with_adam_and_drawn_answers_best_of_n_and_ipo_end_alike():
    races = artifacts.load("bandit_race", "book").results["races"]
    for name, peak in (("far", FAR_PEAK), ("aligned", ALIGNED_PEAK)):
        found = ends(peak=int(peak))
        offline, fresh = races["offline_100"][name], races["fresh_t1"][name]
        assert found["old"] == pytest.approx(offline["best_of_n"]["final"]["mean"], abs=0.02)
        assert found["pairs"] == pytest.approx(offline["ipo10"]["final"]["mean"], abs=0.05)
        assert found["fresh"] == pytest.approx(fresh["best_of_n"]["final"]["mean"], abs=0.02)
        assert found["gradient"] == pytest.approx(fresh["reinforce"]["final"]["mean"], abs=0.02)


def test_a_spike_of_the_reference_can_take_the_mass():
    assert "Arm 99 took 99\u00a0%" in said(peak=87, rule="gradient")
    assert "Arm 0 took 99\u00a0%" in said(peak=6, rule="gradient")
    assert "Arm" not in said(peak=87, rule="fresh")


def test_the_sentence_says_where_the_ceiling_is():
    assert "Its data ends at the ceiling of 0.31: more steps do not help." in said()
    assert "passed the ceiling of 0.31 at step 30, without a new answer" in said(rule="pairs")
    assert said(rule="fresh").endswith("passed the ceiling of 0.31 at step 13.")
    assert "not yet past the ceiling of 0.31" in said(rule="gradient", steps=60)
    assert said(steps=0).startswith("Before the first step all four are the reference: reward <b>0.04</b>, 5\u00a0%")
