"""frontier: the fact sheet's numbers, the chain rule behind the gap, and optimality of the tilt."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.optimize import minimize

from mrtlab.theory import (
    ALIGNED_PEAK,
    FAR_PEAK,
    bandit_reference,
    bandit_reward,
    best_of_n,
    best_of_n_kl,
    best_of_n_kl_bound,
    best_of_n_kl_gap,
    compare_with_tilt,
    kl,
    tilt,
    tilt_beta_for_kl,
    tilt_beta_for_reward,
    tilt_frontier,
)

REFERENCE = bandit_reference()
FAR, ALIGNED = bandit_reward(peak=FAR_PEAK), bandit_reward(peak=ALIGNED_PEAK)  # R4, R5
P, REWARD = np.array([0.5, 0.25, 0.15, 0.1]), np.array([0.0, 1.0, 1.0, 3.0])


def probabilities(size: int = 4):
    return arrays(float, size, elements=st.floats(0.01, 1.0)).map(lambda w: w / w.sum())


def test_the_bound_is_no_identity_two_equal_answers():
    coin, pays = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    ns = [2, 4, 8, 16, 64]
    exact = [best_of_n_kl(coin, pays, n) for n in ns]
    assert exact == pytest.approx([0.131, 0.459, 0.668, 0.693, 0.693], abs=0.51e-3)
    assert best_of_n_kl_bound(np.array(ns)) == pytest.approx([0.193, 0.636, 1.204, 1.835, 3.175], abs=0.51e-3)
    # the bound grows for ever; the truth stops at log 2
    assert best_of_n_kl(coin, pays, 10_000) == pytest.approx(np.log(2))


def test_the_bandit_breaking_ties_as_the_sheet_did():
    """The sheet's three numbers order tied arms by index; sharing a level in proportion to p costs less."""
    for reward, n, printed in ((FAR, 10, 1.4018), (FAR, 64, 3.1737), (ALIGNED, 64, 3.0801)):
        rank = np.argsort(np.lexsort((np.arange(100), reward))).astype(float)  # no ties; the later arm wins them
        assert best_of_n_kl(REFERENCE, rank, n) == pytest.approx(printed, abs=0.51e-4)
        assert best_of_n(REFERENCE, rank, n) @ reward == pytest.approx(best_of_n(REFERENCE, reward, n) @ reward)
        assert best_of_n_kl(REFERENCE, reward, n) < best_of_n_kl(REFERENCE, rank, n) < best_of_n_kl_bound(n)


@given(probabilities(), st.integers(1, 200))
def test_the_bound_holds_and_so_does_the_other_one(p, n):
    exact = best_of_n_kl(p, REWARD, n)
    assert best_of_n_kl_gap(p, REWARD, n) >= -1e-12
    assert -1e-12 <= exact <= -np.log(p[3]) + 1e-9


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_the_gap_is_what_ties_hide(n):
    """Chain rule, by quadrature: inside a level (a, b] the winner's rank has density n u^(n−1)/(bⁿ − aⁿ)."""
    hidden, below = 0.0, 0.0
    for level in np.unique(REWARD):
        above = below + P[level == REWARD].sum()
        wins = above**n - below**n

        def inside(u, a=below, b=above, w=wins):
            density = n * u ** (n - 1) / w
            return density * np.log(density * (b - a)) if density > 0 else 0.0

        hidden += wins * quad(inside, below, above)[0]
        below = above
    assert best_of_n_kl_gap(P, REWARD, n) == pytest.approx(hidden, abs=1e-7)


def test_small_atoms_close_the_gap():
    gaps = [best_of_n_kl_gap(np.full(m, 1 / m), np.arange(m, dtype=float), 8) for m in (10, 100, 1000)]
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2] > 0


def test_the_kl_against_simulation():
    rng, n, repeats = np.random.default_rng(0), 10, 100_000
    draws = rng.choice(100, size=(repeats, n), p=REFERENCE)
    winners = draws[np.arange(repeats), FAR[draws].argmax(1)]
    surprise = np.log(best_of_n(REFERENCE, FAR, n) / REFERENCE)[winners]  # its mean over winners is the KL
    assert abs(surprise.mean() - best_of_n_kl(REFERENCE, FAR, n)) < 4 * surprise.std() / np.sqrt(repeats)


def test_tilt_frontier_has_the_sheets_point():
    frontier = tilt_frontier(REFERENCE, FAR, np.array([np.inf, 1.0, 0.3, 0.1]))
    assert frontier.reward[2] == pytest.approx(0.3415, abs=0.51e-4)
    assert frontier.kl[2] == pytest.approx(0.656, abs=0.51e-3)
    assert (frontier.reward[0], frontier.kl[0]) == (pytest.approx(REFERENCE @ FAR), pytest.approx(0.0, abs=1e-12))
    # the frontier rises, and its slope dE/dKL is β: reward gets dearer
    assert np.all(np.diff(frontier.reward) > 0)
    fine = tilt_frontier(REFERENCE, FAR, np.array([0.3001, 0.2999]))
    assert np.diff(fine.reward)[0] / np.diff(fine.kl)[0] == pytest.approx(0.3, rel=1e-5)


@settings(deadline=None)  # two root searches a case
@given(probabilities(), st.floats(0.05, 20.0))
def test_both_searches_find_the_beta_back(p, beta):
    wanted = tilt(p, REWARD, beta)
    assume(wanted[3] < 1 - 1e-9)  # beyond this the end of the curve is reached within rounding
    by_reward = tilt_beta_for_reward(p, REWARD, float(wanted @ REWARD))
    by_kl = tilt_beta_for_kl(p, REWARD, float(kl(wanted, p)))
    assert tilt(p, REWARD, by_reward) == pytest.approx(wanted, abs=1e-8)
    assert tilt(p, REWARD, by_kl) == pytest.approx(wanted, abs=1e-6)


def test_no_policy_earns_the_same_for_less():
    """A general-purpose optimiser over all four probabilities finds the tilt's divergence, not less."""
    target = 1.2
    found = minimize(
        lambda q: float(np.sum(q * np.log(q / P))),
        np.array([0.3, 0.2, 0.2, 0.3]),
        bounds=[(1e-9, 1.0)] * 4,
        constraints=[
            {"type": "eq", "fun": lambda q: q.sum() - 1},
            {"type": "eq", "fun": lambda q: q @ REWARD - target},
        ],
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    assert found.success
    least = kl(tilt(P, REWARD, tilt_beta_for_reward(P, REWARD, target)), P)
    assert found.fun == pytest.approx(float(least), abs=1e-7)


@settings(deadline=None)  # two root searches a case
@given(probabilities(), st.integers(1, 30))
def test_the_excess_is_a_divergence(p, n):
    law = best_of_n(p, REWARD, n)
    assume(law.max() < 1 - 1e-9)  # beyond that it is only ever the best answer, which compare_with_tilt refuses
    comparison = compare_with_tilt(p, REWARD, n)
    same_reward = tilt(p, REWARD, tilt_beta_for_reward(p, REWARD, float(law @ REWARD)))
    assert comparison.excess_kl == pytest.approx(float(kl(law / law.sum(), same_reward)), abs=1e-9)
    assert comparison.excess_kl >= -1e-9
    assert comparison.missed_reward >= -1e-6


def test_best_of_ten_is_far_from_the_frontier_where_the_reward_is_peaked():
    far, aligned = compare_with_tilt(REFERENCE, FAR, 10), compare_with_tilt(REFERENCE, ALIGNED, 10)
    assert far.reward == pytest.approx(0.3135, abs=0.51e-4)
    assert far.least_kl < 0.656 < far.kl  # the sheet's tilt earns more and still spends less than half
    assert far.excess_kl > 30 * aligned.excess_kl
    assert far.missed_reward > 0.2 > aligned.missed_reward


def test_best_of_n_is_near_optimal_for_the_log_rank():
    """For the reward log F the tilt with β = 1/(n − 1) is best-of-n up to the size of the atoms."""
    m, n = 2000, 6
    p, log_rank = np.full(m, 1 / m), np.log((np.arange(m) + 0.5) / m)
    assert kl(best_of_n(p, log_rank, n), tilt(p, log_rank, 1 / (n - 1))) < 1e-5
    assert compare_with_tilt(p, log_rank, n).excess_kl < 1e-5


def test_edges():
    assert tilt_beta_for_reward(P, REWARD, float(P @ REWARD)) == np.inf
    assert tilt_beta_for_kl(P, REWARD, 0.0) == np.inf
    flat = compare_with_tilt(P, np.ones(4), 5)  # nothing to choose
    assert (flat.reward, flat.kl, flat.excess_kl) == pytest.approx((1.0, 0.0, 0.0), abs=1e-12)
    unreachable = np.array([0.6, 0.4, 0.0, 0.0])  # the best answer has no mass, so the end is the second best
    assert tilt(unreachable, REWARD, tilt_beta_for_reward(unreachable, REWARD, 0.9)) @ REWARD == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: best_of_n_kl_bound(0), "at least 1"),
        (lambda: best_of_n_kl(P, REWARD, 0), "at least 1"),
        (lambda: tilt_frontier(P, REWARD, np.array([0.0])), "beta"),
        (lambda: tilt_beta_for_reward(P, REWARD, 3.0), "not including, 3"),
        (lambda: tilt_beta_for_reward(P, REWARD, 0.1), "reward goes from 0.7"),
        (lambda: tilt_beta_for_kl(P, REWARD, -0.1), "KL goes from 0"),
        (lambda: tilt_beta_for_kl(P, REWARD, 2.4), "not including, 2.3"),
        (lambda: compare_with_tilt(P, REWARD, 100_000), "not including"),
    ],
)
def test_bad_options_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
