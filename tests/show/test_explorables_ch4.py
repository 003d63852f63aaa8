"""The opening machine of chapter 4: its steps by hand, its ends, and what its sentence claims."""

import numpy as np
import pytest

from mrtlab.show.explorables.twins_bins import METHODS, bins, bins_sentence, weights
from mrtlab.theory import best_of_n

STATE = {"method": "dpo", "rare": 0.1, "steps": 0}  # starts at .7, .2, .1


def after(method: str, steps: int, rare: float = 0.1) -> list[float]:
    return bins({"method": method, "rare": rare, "steps": steps})["path"][-1]


@pytest.mark.parametrize(
    ("method", "push"),
    [
        ("imitate", [-0.7, 0.8, -0.1]),  # one-hot minus p
        ("best-of-n", [0.7**4 - 0.7, 0.9**4 - 0.7**4 - 0.2, 1 - 0.9**4 - 0.1]),
        ("reinforce", [-0.7 * 0.2, 0.2 * 0.3, 0.1 * 0.8]),  # p·(r − r̄), r̄ = 0.2
        ("dpo", [0, -0.5, 0.5]),  # ± β/2 at the reference
        ("forward", [-0.6, 0.1, 0.5]),  # target − p
        ("reverse", [p * (np.log(q / p) + 1.10187) for p, q in ((0.7, 0.1), (0.2, 0.3), (0.1, 0.6))]),
    ],
)
def test_the_first_push_by_hand(method, push):
    # 1.10187 = .7 ln 7 − .2 ln 1.5 − .1 ln 6 is the divergence of the start from the target
    data = bins(STATE | {"method": method})
    assert data["push"] == pytest.approx(push, abs=1e-5)
    raised = np.array([0.7, 0.2, 0.1]) * np.exp(data["push"])
    assert data["next"] == pytest.approx(raised / raised.sum(), abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_the_path_is_made_of_laws_and_goes_on_where_it_was(method):
    long, short = (bins(STATE | {"method": method, "steps": steps}) for steps in (30, 29))
    assert np.array(long["path"]).sum(1) == pytest.approx(np.ones(31))
    assert long["path"][:-1] == short["path"]
    assert long["path"][-1] == short["next"]


@pytest.mark.parametrize("method", ["imitate", "best-of-n", "forward", "reverse"])
def test_a_method_with_an_end_reaches_it(method):
    assert after(method, 200) == pytest.approx(bins(STATE | {"method": method})["end"], abs=0.006)


def test_best_of_n_is_capped_by_what_the_first_policy_draws():
    cap = best_of_n(np.array([0.7, 0.2, 0.1]), np.array([0.0, 0.5, 1.0]), 4)
    assert after("best-of-n", 200) == pytest.approx(cap, abs=1e-6)
    state = STATE | {"method": "best-of-n"}
    assert "34.4\u00a0%, no more" in bins_sentence(bins(state), state)


def test_a_pair_lifts_the_third_bin_while_its_loser_is_the_likelier_one():
    low, high = (bins(STATE | {"rare": rare}) for rare in (0.05, 0.4))
    assert low["next"][0] > low["path"][0][0]  # fair .21, good .05
    assert high["next"][0] < high["path"][0][0]  # fair .13, good .40
    assert "lifts poor too" in bins_sentence(low, STATE)
    assert "lowers poor," in bins_sentence(high, STATE)


def test_a_rare_bin_waits_where_its_own_mass_is_a_factor():
    forward, reverse, reinforce = (after(method, 3, 0.001)[2] for method in ("forward", "reverse", "reinforce"))
    assert forward > 10 * reverse
    assert reverse > reinforce
    p = np.array([0.7, 0.299, 0.001])
    for method in ("reinforce", "reverse"):
        assert abs(weights(method, p, p)[2]) < 0.01  # of its own mass .001
    assert weights("forward", p, p)[2] == 0.6


def test_the_sentence_says_what_moved():
    state = STATE | {"method": "imitate", "steps": 20}
    said = bins_sentence(bins(state), state)
    assert said.startswith("20 steps: poor fell to <b>")
    assert "fair rose to" in said
