"""budget: the law against simulation, the optimum against brute force, plans against every integer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtlab.theory import (
    ClusterComponents,
    Components,
    effective_k,
    minimum_variance,
    optimal_k,
    pair_matched_variance,
    plan,
    token_variance,
    variance,
    variance_frozen_pool,
    variance_redundant,
    variance_same_response,
)

amounts = st.floats(0.01, 100.0)


def chi_square_close(sample: np.ndarray, expected: float) -> None:
    """A simulated variance of normal values within 4.5 standard errors, √(2/(n − 1)) of the expected one each."""
    assert sample.var(ddof=1) == pytest.approx(expected, rel=4.5 * np.sqrt(2 / (len(sample) - 1)))


def test_the_law_against_simulation():
    rng = np.random.default_rng(0)
    known = Components(0.5, 3.0)
    for k in (1, 4, 16):
        means = np.sqrt(0.5) * rng.standard_normal((4000, 20)) + np.sqrt(3.0 / k) * rng.standard_normal((4000, 20))
        chi_square_close(means.mean(axis=1), float(variance(known, 20, k)))


def test_a_frozen_pool_against_simulation():
    """Prompts and pools stay; only the choice of K of N is redrawn. Averaged over pools, as the formula is."""
    rng = np.random.default_rng(1)
    known, n_prompts, pool, k = Components(2.0, 3.0), 5, 8, 3
    found = []
    for _ in range(400):
        losses = rng.normal(0, np.sqrt(2.0), (n_prompts, 1)) + rng.normal(0, np.sqrt(3.0), (n_prompts, pool))
        picks = rng.permuted(np.broadcast_to(losses, (60, n_prompts, pool)), axis=2)[:, :, :k]
        found.append(picks.mean(axis=(1, 2)).var(ddof=1))
    error = np.std(found) / np.sqrt(len(found))
    expected = float(variance_frozen_pool(known, n_prompts, k, pool))
    assert np.mean(found) == pytest.approx(expected, abs=4.5 * error)
    assert error < 0.05 * expected


def test_choice_and_pool_add_up_to_the_law():
    known, k = Components(2.0, 3.0), np.arange(1, 9)
    parts = variance_frozen_pool(known, 7, k, 8) + variance(known, 7, 8)
    assert parts == pytest.approx(variance(known, 7, k))
    assert variance_frozen_pool(known, 7, 8, 8) == 0


@given(amounts, amounts, amounts, amounts)
def test_no_k_beats_the_optimum(v_x, v, prompt_cost, response_cost):
    known = Components(v_x, v)
    best = float(optimal_k(known, prompt_cost, response_cost))
    least = float(minimum_variance(known, prompt_cost, response_cost, 1.0))
    k = best * np.exp(np.linspace(-2, 2, 41))
    at = (v_x + v / k) * (prompt_cost + k * response_cost)
    assert np.all(at >= least * (1 - 1e-9))
    assert at[20] == pytest.approx(least)


def test_limits_of_the_optimum():
    assert optimal_k(Components(0.0, 1.0), 4, 1) == np.inf
    assert optimal_k(Components(1.0, 1.0), 4, 0) == np.inf
    assert optimal_k(Components(1.0, 0.0), 4, 1) == 0
    assert optimal_k(Components(0.0, 0.0), 4, 1) == 0
    assert optimal_k(Components(1.0, 1.0), 0, 1) == 0


def test_functions_broadcast():
    known = Components(np.array([[1.0], [2.0]]), np.array([[4.0], [8.0]]))
    assert optimal_k(known, np.array([1.0, 4.0, 9.0]), 1.0).shape == (2, 3)
    assert variance(known, 10, np.arange(1, 6)).shape == (2, 5)


def test_the_papers_budget():
    """V_{y|x}/V_x = 1.3286/.1874 at C_p = 4, C_r = 1: K* = 5.33, and K from 4 to 8 within 5 % of the minimum."""
    known = Components(0.1874, 1.3286)
    assert float(optimal_k(known, 4, 1)) == pytest.approx(5.33, abs=0.01)
    k = np.arange(4.0, 8.0)
    at = (known.prompt + known.response / k) * (4 + k) / 400
    assert np.all(at < 1.05 * float(minimum_variance(known, 4, 1, 400)))


@given(amounts, amounts, st.integers(1, 200), st.integers(1, 500))
def test_equal_pairs_never_favour_more_responses(v_x, v, k, pairs):
    known = Components(v_x, v)
    one, more = (float(pair_matched_variance(known, pairs, each)) for each in (k, k + 1))
    assert one <= more
    assert float(pair_matched_variance(known, 10 * k, k)) == pytest.approx(float(variance(known, 10, k)))


@given(amounts, amounts, st.floats(1, 1000), st.floats(1, 1000))
def test_tokens(v_x, v, prompt_tokens, response_tokens):
    known, k = Components(v_x, v), np.arange(1, 50)
    cost = token_variance(known, k, prompt_tokens=prompt_tokens, response_tokens=response_tokens)
    assert np.argmin(cost.copies) == 0
    assert cost.shared[0] == pytest.approx(cost.copies[0])
    assert np.all(cost.shared <= cost.copies * (1 + 1e-12))
    best = float(optimal_k(known, prompt_tokens, response_tokens))
    if 2 < best < 48:
        assert abs(k[np.argmin(cost.shared)] - best) <= 1


def brute_force(known, prompt_cost, response_cost, budget, max_k):
    """Every K with every number of prompts that can be paid."""
    best = (np.inf, 0, 0)
    for k in range(1, max_k + 1):
        for n in range(1, int(budget) + 1):
            if n * (prompt_cost + k * response_cost) <= budget * (1 + 1e-12):
                best = min(best, (known.prompt / n + known.response / (n * k), k, n))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_plans_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    known = Components(*rng.exponential(1.0, 2).round(2))
    prompt_cost, response_cost = rng.integers(0, 8), rng.integers(1, 4)
    budget = int(rng.integers(12, 90))
    found = plan(known, float(prompt_cost), float(response_cost), budget, max_k=12)
    value, k, n = brute_force(known, prompt_cost, response_cost, budget, 12)
    assert (found.k, found.n_prompts) == (k, n)
    assert found.variance == pytest.approx(value)
    assert found.cost <= budget
    assert found.curve.regret[found.k - 1] == 0
    assert np.all(found.curve.regret >= 0)


def test_division_that_does_not_come_out_even():
    assert plan(Components(1.0, 1.0), 0.1, 0.1, 0.6, max_k=1).n_prompts == 3  # 0.6/0.2 is 2.9999999999999996


def test_scarce_prompts_raise_k():
    known = Components(1.0, 2.0)
    free, scarce = plan(known, 1, 1, 300), plan(known, 1, 1, 300, max_prompts=10)
    assert free.k == 1
    assert (scarce.k, scarce.n_prompts) == (29, 10)


def test_advice_says_why():
    assert "responses to a prompt do not differ" in plan(Components(1.0, 0.0), 4, 1, 100).advice
    assert "costs no more than a second one" in plan(Components(1.0, 9.0), 0, 1, 100).advice
    assert "at these costs a new prompt" in plan(Components(9.0, 1.0), 1, 1, 100).advice
    assert "no room" in plan(Components(1.0, 9.0), 4, 1, 5).advice
    many = plan(Components(0.0, 1.0), 4, 1, 400, max_k=16)
    assert many.limited
    assert many.advice.startswith("Collect 16 responses for each of 20 prompts; with one response")
    assert "largest K" in many.advice


def test_nothing_varies():
    found = plan(Components(0.0, 0.0), 4, 1, 100)
    assert (found.k, found.variance, found.regret_if(Components(0.0, 0.0))) == (1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 4.9}, "does not pay for one prompt with one response, which cost 5 together"),
        ({"budget": 0}, "budget must be more than 0"),
        ({"budget": float("nan")}, "budget must be"),
        ({"prompt_cost": -1}, "prompt_cost must be 0 or more"),
        ({"response_cost": float("inf")}, "response_cost must be"),
        ({"prompt_cost": 0, "response_cost": 0}, "both 0"),
        ({"max_k": 0}, "max_k=0"),
        ({"max_prompts": 0}, "max_prompts=0"),
    ],
)
def test_plans_that_make_no_sense(options, message):
    sensible = {"components": Components(1.0, 1.0), "prompt_cost": 4, "response_cost": 1, "budget": 100}
    with pytest.raises(ValueError, match=message):
        plan(**(sensible | options))


def test_counts_are_checked():
    known = Components(1.0, 1.0)
    for call in (
        lambda: variance(known, 0, 1),
        lambda: variance(known, 1, np.array([1.0, 0.5])),
        lambda: variance_frozen_pool(known, 1, 9, 8),
        lambda: pair_matched_variance(known, 0, 1),
        lambda: minimum_variance(known, 1, 1, 0),
        lambda: token_variance(known, 1, prompt_tokens=-1, response_tokens=1),
        lambda: effective_k(0, 0.5),
        lambda: effective_k(2, 1.5),
        lambda: effective_k(2, float("nan")),
        lambda: ClusterComponents(1.0, -1.0, 1.0),
        lambda: variance_redundant(ClusterComponents(1.0, 1.0, 1.0), 1, 0, 1),
    ):
        with pytest.raises(ValueError, match=r"must be|cannot choose"):
            call()


def test_effective_k_is_what_correlated_responses_are_worth():
    """Variance of a mean of K values with pairwise correlation s̄ is σ²/k_eff, from its covariance matrix."""
    for k, s in ((2, 0.3), (5, 0.8), (7, 0.0)):
        covariance = np.full((k, k), s) + (1 - s) * np.eye(k)
        assert 1 / covariance.mean() == pytest.approx(float(effective_k(k, s)))


def test_redundancy_against_simulation():
    rng = np.random.default_rng(2)
    known, c, p, k = ClusterComponents(1.0, 0.3, 4.0), 10, 3, 2
    shape = (4000, c, p, k)
    cluster = rng.standard_normal((4000, c, 1, 1))
    wording = np.sqrt(0.3) * rng.standard_normal((4000, c, p, 1))
    fresh = cluster + wording + 2.0 * rng.standard_normal(shape)
    chi_square_close(fresh.mean(axis=(1, 2, 3)), float(variance_redundant(known, c, p, k)))
    same = cluster + wording + 2.0 * rng.standard_normal((4000, c, 1, 1))
    chi_square_close(same.mean(axis=(1, 2, 3)), float(variance_same_response(known, c, p)))


def test_one_wording_is_the_plain_law():
    known = ClusterComponents(1.0, 0.5, 4.0)
    assert float(variance_redundant(known, 10, 1, 4)) == pytest.approx(float(variance(Components(1.5, 4.0), 10, 4)))
