"""The 100-arm bandit: the fact sheet's numbers, brute force, automatic differentiation and sampled training runs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mrtlab.theory import (
    ALIGNED_PEAK,
    FAR_PEAK,
    bandit_reference,
    bandit_reward,
    best_of_n,
    compounded_best_of_n,
    entropy,
    expected_reward,
    expected_token_reward,
    gradient_alignment,
    logit_step,
    pair_rates,
    pair_step,
    sequence_logprob,
    token_reward,
)

REFERENCE = bandit_reference()
FAR, ALIGNED = bandit_reward(peak=FAR_PEAK), bandit_reward(peak=ALIGNED_PEAK)  # R4, R5
LAST_DIGIT = 0.51e-4  # the sheet prints four decimals


def probabilities(size: int = 5):
    return arrays(float, size, elements=st.floats(1e-6, 1.0)).map(lambda w: w / w.sum())


# the machine ------------------------------------------------------------------------------------------------------


def test_the_reference_has_the_sheets_bins():
    arms = [0, 10, 16, 20, 30, 50, 60, 70, 80, 90, 99]
    printed = [0.07809, 0.02273, 0.02681, 0.02433, 0.01236, 0.00384, 0.00268, 0.00211, 0.00189, 0.00212, 0.04223]
    assert REFERENCE[arms] == pytest.approx(printed, abs=0.51e-5)
    assert REFERENCE.sum() == pytest.approx(1.0, abs=1e-14)
    assert REFERENCE[1:-1].argmax() + 1 == 16
    assert REFERENCE.argmin() == 81
    assert entropy(REFERENCE) == pytest.approx(4.117, abs=0.51e-3)
    assert (REFERENCE**2).sum() == pytest.approx(0.0228, abs=LAST_DIGIT)


def test_the_reference_is_the_limit_of_the_papers_histogram():
    n = 400_000
    draws = np.tanh(-0.7 + 0.4 * np.random.default_rng(0).standard_cauchy(n))
    share = np.histogram(draws, bins=100, range=(-1, 1))[0] / n
    errors = (share - REFERENCE) / np.sqrt(REFERENCE * (1 - REFERENCE) / n)
    assert np.abs(errors).max() < 4.5  # 100 z-scores: a correct law fails once in about 1,500 seeds
    assert 60 < (errors**2).sum() < 150  # chi-square with 99 degrees of freedom: about three standard deviations


def test_mean_rewards_and_masses():
    rewards = [FAR, ALIGNED, bandit_reward(peak=FAR_PEAK, width=20.0), bandit_reward(peak=FAR_PEAK, width=30.0)]
    means = [expected_reward(REFERENCE, reward) for reward in rewards]
    assert means == pytest.approx([0.0390, 0.3772, 0.0955, 0.1876], abs=LAST_DIGIT)
    assert REFERENCE[60:81].sum() == pytest.approx(0.0457, abs=LAST_DIGIT)
    assert REFERENCE[10:31].sum() == pytest.approx(0.454, abs=0.51e-3)


# PRF-01, PRF-02: the cap of offline best-of-n and its compounding -------------------------------------------------


def test_offline_best_of_n_is_capped():
    caps = [expected_reward(best_of_n(REFERENCE, r, n), r) for r in (FAR, ALIGNED) for n in (10, 64)]
    assert caps == pytest.approx([0.3135, 0.8387, 0.9401, 0.9977], abs=LAST_DIGIT)


def test_rounds_compound():
    far = expected_reward(compounded_best_of_n(REFERENCE, FAR, 10, rounds=3), FAR)
    assert far[1:] == pytest.approx([0.3135, 0.9153, 0.9987], abs=LAST_DIGIT)
    aligned = expected_reward(compounded_best_of_n(REFERENCE, ALIGNED, 10, rounds=2), ALIGNED)
    assert aligned[1:] == pytest.approx([0.9401, 0.9991], abs=LAST_DIGIT)
    assert [far[2] - far[1], aligned[2] - aligned[1]] == pytest.approx([0.60, 0.06], abs=0.005)


@given(probabilities(), st.integers(1, 5), st.integers(0, 4))
def test_k_rounds_are_one_best_of_n_to_the_k(p, n, rounds):
    reward = np.array([0.0, 2.0, 1.0, 2.0, -1.0])  # with a tie
    assert compounded_best_of_n(p, reward, n, rounds=rounds)[-1] == pytest.approx(best_of_n(p, reward, n**rounds))


def test_best_of_n_by_listing_every_draw():
    p, reward, n = np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.0, 1.0]), 3
    law = np.zeros(3)
    for draws in itertools.product(range(3), repeat=n):
        law[max(draws, key=lambda a: reward[a])] += np.prod(p[list(draws)])  # `max` keeps the first of equals
    assert best_of_n(p, reward, n) == pytest.approx(law)


def test_the_cap_against_simulation():
    for reward in (FAR, ALIGNED):
        best = reward[np.random.default_rng(1).choice(100, size=(40_000, 10), p=REFERENCE)].max(1)
        exact = expected_reward(best_of_n(REFERENCE, reward, 10), reward)
        assert abs(best.mean() - exact) < 4 * best.std() / np.sqrt(len(best))


# PRF-03 to PRF-05: sampled runs, Adam on the logits of one softmax ------------------------------------------------


def trained_reward(reward, *, rounds: int, prompts: int, reuse: int, rate: float, seed: int) -> float:
    """Exact E[r] after best-of-10 fits: each round draws afresh from the policy, then takes `reuse` Adam steps."""
    rng, logits = np.random.default_rng(seed), np.log(REFERENCE)
    first, second, step = np.zeros(100), np.zeros(100), 0
    for _ in range(rounds):
        policy = logit_step(np.full(100, 0.01), logits, step=1.0)
        draws = rng.choice(100, size=(prompts, 10), p=policy)
        winners = draws[np.arange(prompts), reward[draws].argmax(1)]
        target = np.bincount(winners, minlength=100) / prompts
        for _ in range(reuse):
            gradient = logit_step(np.full(100, 0.01), logits, step=1.0) - target
            step += 1
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            logits = logits - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return float(expected_reward(logit_step(np.full(100, 0.01), logits, step=1.0), reward))


@pytest.mark.parametrize(
    ("reward", "settings", "printed", "tolerance"),
    [
        (FAR, {"rounds": 100, "prompts": 10, "reuse": 5, "rate": 0.05}, 0.996, 0.003),  # PRF-03
        (ALIGNED, {"rounds": 100, "prompts": 10, "reuse": 5, "rate": 0.05}, 0.998, 0.003),
        (FAR, {"rounds": 100, "prompts": 10, "reuse": 15, "rate": 0.01}, 0.989, 0.006),  # PRF-04, fresh
        (FAR, {"rounds": 1, "prompts": 1000, "reuse": 1500, "rate": 0.01}, 0.309, 0.020),  # PRF-04, offline
        (FAR, {"rounds": 25, "prompts": 10, "reuse": 1, "rate": 0.05}, 0.106, 0.015),  # PRF-05
        (FAR, {"rounds": 25, "prompts": 10, "reuse": 5, "rate": 0.05}, 0.932, 0.035),
        (FAR, {"rounds": 25, "prompts": 10, "reuse": 15, "rate": 0.05}, 0.992, 0.012),
    ],
)
def test_sampled_runs_agree_with_the_sheet(reward, settings, printed, tolerance):
    # tolerances: about three standard errors of the difference of two 5-seed means, plus the printed rounding
    runs = [trained_reward(reward, seed=seed, **settings) for seed in range(5)]
    assert np.mean(runs) == pytest.approx(printed, abs=tolerance)


# the token form ---------------------------------------------------------------------------------------------------


def test_token_rewards_by_formula_and_by_simulation():
    exact = [expected_token_reward(REFERENCE, reward) for reward in (FAR, ALIGNED)]
    # the sheet's .0528 is .05287 cut off, not rounded
    assert exact == pytest.approx([0.0528, 0.3572], abs=1e-4)
    rng, n = np.random.default_rng(2), 20_000
    prompt, new = rng.integers(100, size=(n, 1)), rng.choice(100, size=(n, 9), p=REFERENCE)
    for peak, mean in zip((FAR_PEAK, ALIGNED_PEAK), exact, strict=True):
        seen = token_reward(np.concatenate([prompt, new], axis=1), peak=peak)
        assert abs(seen.mean() - mean) < 4 * seen.std() / np.sqrt(n)
    new_only = expected_token_reward(REFERENCE, FAR, score_prompt=False)
    assert new_only == expected_reward(REFERENCE, FAR)


def test_the_scored_prompt_caps_the_token_reward():
    for peak, reward in ((70, FAR), (20, ALIGNED)):
        assert reward.mean() == pytest.approx(0.177, abs=0.51e-3)
        assert expected_token_reward(np.eye(100)[peak], reward) == pytest.approx(0.9177, abs=LAST_DIGIT)


def test_the_bell_agrees_with_the_table():
    assert token_reward(np.arange(100)[:, None], peak=FAR_PEAK) == pytest.approx(FAR)


def test_sequence_probabilities_add_up_and_copying_does_not_pay():
    rng, vocab = np.random.default_rng(3), 3
    table = rng.normal(size=(vocab, vocab))  # logits of the next token given this one
    sequences = np.array([[1, *rest] for rest in itertools.product(range(vocab), repeat=3)])
    assert np.exp(sequence_logprob(table[sequences], sequences)).sum() == pytest.approx(1.0)
    # a model that only copies scores 0 when read at the token's own position, and very badly when read rightly
    uniform = rng.integers(100, size=(50, 10))
    copier = 20.0 * np.eye(100)[uniform]
    own_position = np.take_along_axis(copier, uniform[..., None], -1)[..., 0] - np.log(np.exp(copier).sum(-1))
    assert np.abs(own_position).max() < 1e-6
    assert np.mean(sequence_logprob(copier, uniform)) / 9 < -np.log(100)


# PRF-08, PRF-10: one step of a softmax ----------------------------------------------------------------------------


@settings(deadline=None)  # the first case imports torch
@given(probabilities())
def test_alignment_and_rates_are_the_autograd_ones(p):
    torch = pytest.importorskip("torch")
    logits = torch.log(torch.tensor(p)).requires_grad_()
    rows = [torch.autograd.grad(torch.log_softmax(logits, 0)[i], logits)[0].numpy() for i in range(5)]
    jacobian = np.stack(rows)
    assert gradient_alignment(p, 1, 3) == pytest.approx(rows[1] @ rows[3], abs=1e-12)
    assert pair_rates(p, 1, 3) == pytest.approx(jacobian @ (np.eye(5)[1] - np.eye(5)[3]), abs=1e-12)
    # the DPO gradient is a multiple of that direction
    margin = torch.log_softmax(logits, 0)[1] - torch.log_softmax(logits, 0)[3]
    gradient = torch.autograd.grad(torch.nn.functional.logsigmoid(0.1 * margin), logits)[0].numpy()
    assert gradient / gradient[1] == pytest.approx(np.eye(5)[1] - np.eye(5)[3], abs=1e-12)


@given(probabilities())
def test_the_sign_rule_says_whether_pushing_the_loser_lifts_the_winner(p):
    alignment = gradient_alignment(p, 0, 1)
    step = 1e-5
    change = np.log(logit_step(p, p - np.eye(5)[1], step=step)[0] / p[0])
    assert change == pytest.approx(-step * alignment, abs=4 * step**2)


def test_the_sign_rule_fails_for_two_rare_arms():
    assert gradient_alignment(REFERENCE, 70, 71) > 0
    assert gradient_alignment(REFERENCE, 16, 20) < 0


def test_the_rule_fails_for_over_a_third_of_random_pairs():
    # the sheet: 36 % of pairs, Dirichlet(1) policies of 3 to 9 answers
    rng, fails = np.random.default_rng(4), []
    for size in range(3, 10):
        fails.append(gradient_alignment(rng.dirichlet(np.ones(size), size=6000), 0, 1) > 0)
    share = np.mean(fails)
    assert abs(share - 0.36) < 0.005 + 3 * np.sqrt(0.36 * 0.64 / np.size(fails))


@given(probabilities(), st.floats(0.01, 3.0))
def test_one_pair_step(p, step):
    after = pair_step(p, 1, 3, step=step)
    gains = np.log(after / p)
    assert after.sum() == pytest.approx(1.0)
    assert gains[1] > 0 > gains[3]
    others = gains[[0, 2, 4]]
    assert others == pytest.approx(np.repeat(others[0], 3), abs=1e-9)  # all third answers scale together
    assert np.sign(others[0]) == np.sign(p[3] - p[1] * np.exp(step)) or abs(others[0]) < 1e-9
    tiny = np.log(pair_step(p, 1, 3, step=1e-6) / p) / 1e-6
    assert tiny == pytest.approx(pair_rates(p, 1, 3), abs=1e-5)


def test_pushing_down_alone_squeezes():
    p = np.exp([3.0, 2.0, 1.0, 0.0, -1.0])
    p /= p.sum()
    assert p == pytest.approx([0.636, 0.234, 0.086, 0.032, 0.012], abs=0.51e-3)
    after = logit_step(p, p - np.eye(5)[3], step=0.5)
    assert after == pytest.approx([0.695, 0.209, 0.071, 0.016, 0.009], abs=0.51e-3)
    assert entropy(after) - entropy(p) == pytest.approx(-0.123, abs=0.51e-3)


def test_tables_of_policies():
    table = np.stack([REFERENCE, REFERENCE[::-1]])
    assert compounded_best_of_n(table, FAR, 10, rounds=2).shape == (3, 2, 100)
    assert pair_rates(table, 3, 9)[1] == pytest.approx(pair_rates(REFERENCE[::-1], 3, 9))
    assert pair_step(table, 3, 9, step=1.0).sum(-1) == pytest.approx([1.0, 1.0])


P = np.array([0.5, 0.3, 0.2])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bandit_reference(n_arms=0), "n_arms"),
        (lambda: bandit_reference(scale=0.0), "scale"),
        (lambda: bandit_reward(peak=1.0, width=0.0), "width"),
        (lambda: bandit_reward(peak=1.0, n_arms=0), "n_arms"),
        (lambda: token_reward(np.zeros((2, 0), int), peak=1.0), "at least one token"),
        (lambda: expected_reward(P + 1, P), "sums to"),
        (lambda: expected_token_reward(P, P, n_new=0), "n_new"),
        (lambda: sequence_logprob(np.zeros((1, 3)), np.zeros(1, int)), "prompt token"),
        (lambda: sequence_logprob(np.zeros((2, 3)), np.array([0, 3])), "0 … 2"),
        (lambda: compounded_best_of_n(P, P, 2, rounds=-1), "rounds"),
        (lambda: gradient_alignment(P, 1, 1), "different"),
        (lambda: pair_rates(P, 0, 3), "different"),
        (lambda: pair_step(P, -1, 0, step=1.0), "different"),
        (lambda: logit_step(P + 1, P, step=1.0), "sums to"),
    ],
)
def test_bad_options_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
