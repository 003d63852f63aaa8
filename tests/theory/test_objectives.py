"""objectives: weights against autograd and finite differences, exact against sampled, hand values of pairs."""

from itertools import product

import numpy as np
import pytest
import torch

from mrtlab.theory import best_of_n, kl, tilt
from mrtlab.theory import objectives as rules

RNG = np.random.default_rng(4)
SHAPE = (3, 5)  # three prompts, five listed answers


def listed(mass: float = 0.7, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Log-probabilities of answers that hold `mass` together; the rest is off the list."""
    return np.log(mass * RNG.dirichlet(np.ones(shape[-1]), size=shape[:-1]))


LOGP, OLD = listed(), listed()
TARGET = RNG.dirichlet(np.ones(5), size=3)
REWARD = RNG.normal(size=SHAPE)
PAIRS = rules.pairs_by_reward(REWARD)
LENGTHS = np.array([1.0, 2.0, 3.0, 4.0, 7.0])
MASK = np.arange(4) < np.array([4, 1, 3, 2, 4])[:, None]
TOKENS = np.log(RNG.uniform(0.3, 1.0, size=(*SHAPE, 4)))
OLD_TOKENS = TOKENS + RNG.normal(scale=0.3, size=TOKENS.shape)

RULES = {
    "mle": (rules.mle, LOGP, (), {}),
    "reward_weighted": (rules.reward_weighted, LOGP, (REWARD,), {"beta": 0.7}),
    "best_of_n_sft": (rules.best_of_n_sft, LOGP, (REWARD,), {}),
    "forward_kl": (rules.forward_kl, LOGP, (TARGET,), {}),
    "reverse_kl": (rules.reverse_kl, LOGP, (TARGET,), {}),
    "reinforce": (rules.reinforce, LOGP, (REWARD,), {}),
    "reinforce, mean": (rules.reinforce, LOGP, (REWARD,), {"baseline": "mean"}),
    "reinforce, leave one out": (rules.reinforce, LOGP, (REWARD,), {"baseline": "leave_one_out"}),
    "reinforce_exact": (rules.reinforce_exact, LOGP, (REWARD,), {"baseline": 0.3}),
    "ppo": (rules.ppo, LOGP, (OLD, REWARD), {}),
    "ppo_tokens": (rules.ppo_tokens, TOKENS, (OLD_TOKENS, REWARD, MASK), {}),
    "ppo_tokens, token": (rules.ppo_tokens, TOKENS, (OLD_TOKENS, REWARD, MASK), {"average": "token"}),
    "dpo": (rules.dpo, LOGP, (OLD, PAIRS), {"beta": 0.8}),
    "ipo": (rules.ipo, LOGP, (OLD, PAIRS), {"tau": 0.2}),
    "ipo_per_token": (rules.ipo_per_token, LOGP, (OLD, PAIRS, LENGTHS), {"beta": 0.2}),
    **{
        f"f_dpo, {name}": (rules.f_dpo, LOGP, (OLD, PAIRS), {"beta": 0.8, "divergence": name})
        for name in ("reverse_kl", "forward_kl", "js", "alpha")
    },
}
every_rule = pytest.mark.parametrize("name", RULES)


def on_numpy(name: str) -> rules.Objective:
    rule, logp, arguments, options = RULES[name]
    return rule(logp, *arguments, **options)


def test_thirty_percent_of_the_mass_is_off_the_list():
    np.testing.assert_allclose(np.exp(LOGP).sum(-1), 0.7)


@every_rule
def test_weight_is_minus_the_automatic_derivative_of_the_loss(name):
    rule, logp, arguments, options = RULES[name]
    leaf = torch.tensor(logp, requires_grad=True)
    found = rule(leaf, *(torch.tensor(a) for a in arguments), **options)
    (gradient,) = torch.autograd.grad(found.loss.sum(), leaf)
    np.testing.assert_allclose(found.weight.detach().numpy(), -gradient.numpy(), rtol=0, atol=1e-10)


@every_rule
def test_weight_is_minus_the_finite_difference_of_the_loss(name):
    rule, logp, arguments, options = RULES[name]
    weight, step = on_numpy(name).weight, 1e-6
    for place in np.ndindex(logp.shape):
        shift = np.zeros_like(logp)
        shift[place] = step
        up = rule(logp + shift, *arguments, **options).loss.sum()
        down = rule(logp - shift, *arguments, **options).loss.sum()
        assert weight[place] == pytest.approx(-(up - down) / (2 * step), abs=1e-7)


@every_rule
def test_numpy_and_torch_give_equal_numbers(name):
    rule, logp, arguments, options = RULES[name]
    numbers = on_numpy(name)
    for convert in (torch.tensor, lambda a: np.broadcast_to(a, a.shape)):  # constants as tensors, or read-only arrays
        tensors = rule(torch.tensor(logp), *(convert(a) for a in arguments), **options)
        assert isinstance(tensors.loss, torch.Tensor)
        assert tensors.weight.dtype == torch.float64
        np.testing.assert_allclose(tensors.loss.numpy(), numbers.loss, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(tensors.weight.numpy(), numbers.weight, rtol=1e-12, atol=1e-14)


@every_rule
def test_a_row_alone_is_the_row_in_a_batch(name):
    rule, logp, arguments, options = RULES[name]
    alone = rule(logp[1], *(a[1] if len(a) == 3 else a for a in arguments), **options)
    np.testing.assert_allclose(alone.loss, on_numpy(name).loss[1])
    np.testing.assert_allclose(alone.weight, on_numpy(name).weight[1])
    assert alone.loss.shape == ()


@pytest.mark.parametrize("name", [n for n in RULES if "tokens" not in n])
def test_logits_move_by_weight_minus_p_times_the_sum_of_weights(name):
    """The listed answers are five of six; autograd goes through the softmax over all six."""
    rule, logp, arguments, options = RULES[name]
    full = np.concatenate([logp, np.log1p(-np.exp(logp).sum(-1, keepdims=True))], axis=-1)
    logits = torch.tensor(full + 1.7, requires_grad=True)
    scored = torch.log_softmax(logits, dim=-1)[..., :5]
    (gradient,) = torch.autograd.grad(rule(scored, *arguments, **options).loss.sum(), logits)
    weight = on_numpy(name).weight
    np.testing.assert_allclose(rules.logit_descent(weight, logp), -gradient[..., :5].numpy(), atol=1e-10)
    everything = rules.logit_descent(np.concatenate([weight, np.zeros((3, 1))], axis=-1), full)
    np.testing.assert_allclose(everything, -gradient.numpy(), atol=1e-10)


# ---- likelihood and KL


def test_mle_expects_forward_kl():
    q = np.array([0.5, 0.3, 0.2])
    logp = np.log(np.array([0.1, 0.4, 0.2]))
    expected = np.zeros(3)
    for pair in product(range(3), repeat=2):
        np.add.at(expected, list(pair), q[list(pair)].prod() * rules.mle(logp[list(pair)]).weight)
    np.testing.assert_allclose(expected, rules.forward_kl(logp, q).weight)


def test_reward_weighted_answers_drawn_in_proportion_give_the_tilt():
    base, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])
    drawn = np.repeat(np.arange(3), [5, 3, 2])
    weight = rules.reward_weighted(np.log(base)[drawn], reward[drawn], beta=0.5).weight
    np.testing.assert_allclose(np.bincount(drawn, weights=weight), tilt(base, reward, 0.5))


def test_best_of_n_sft_expects_the_best_of_n_law():
    base, reward = np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.0, 1.0])  # with a tie
    law = np.zeros(3)
    for draw in map(list, product(range(3), repeat=3)):
        np.add.at(law, draw, base[draw].prod() * rules.best_of_n_sft(np.log(base)[draw], reward[draw]).weight)
    np.testing.assert_allclose(law, best_of_n(base, reward, 3))


def test_kl_losses_are_the_known_divergences_when_all_mass_is_listed():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    assert rules.forward_kl(np.log(p), q).loss == pytest.approx(kl(q, p))
    assert rules.reverse_kl(np.log(p), q).loss == pytest.approx(kl(p, q))
    assert rules.forward_kl(np.log(p), np.array([1.0, 0.0, 0.0])).loss == pytest.approx(np.log(2))


def settled(weight_of, q: np.ndarray) -> np.ndarray:
    """Follow the logits of three listed answers and one outside to where the weights leave them."""
    logits = np.log(np.array([0.3, 0.2, 0.2, 0.3]))
    for _ in range(4000):
        logp = logits - np.log(np.exp(logits).sum())
        weight = np.append(weight_of(logp[:3], q), 0.0)
        logits = logits + 1.5 * rules.logit_descent(weight, logp)
    return np.exp(logp[:3])


def test_ordinary_reverse_kl_drives_the_valid_mass_to_one_over_e_and_the_generalised_one_does_not():
    q = np.array([0.5, 0.3, 0.2])

    def ordinary(logp, q):  # −d/dlogp of Σ p log(p/q)
        return -np.exp(logp) * (logp - np.log(q) + 1)

    drained = settled(ordinary, q)
    np.testing.assert_allclose(drained, q / np.e, atol=1e-6)
    kept = settled(lambda logp, q: rules.reverse_kl(logp, q).weight, q)
    assert kept.sum() > 0.99
    np.testing.assert_allclose(kept / kept.sum(), q, atol=0.01)
    for mass in (0.7, 1 / np.e, 1.0):  # the right shape with mass m: m log m − m + 1
        found = rules.reverse_kl(np.log(mass * q), q).loss
        assert found == pytest.approx(mass * np.log(mass) - mass + 1, abs=1e-12)


# ---- advantages


def test_exact_and_sampled_reinforce_differ_by_the_factor_p():
    sampled, exact = rules.reinforce(LOGP, REWARD), rules.reinforce_exact(LOGP, REWARD)
    np.testing.assert_allclose(exact.weight, np.exp(LOGP) * sampled.weight * LOGP.shape[-1])


@pytest.mark.parametrize(("baseline", "shrink"), [("none", None), ("leave_one_out", 1.0), ("mean", 2 / 3)])
def test_expected_sampled_weight_by_listing_every_draw_of_three(baseline, shrink):
    p, reward = np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.0, 3.0])
    expected = np.zeros(3)
    for draw in map(list, product(range(3), repeat=3)):
        weight = rules.reinforce(np.log(p)[draw], reward[draw], baseline=baseline).weight
        np.add.at(expected, draw, p[draw].prod() * weight)
    if baseline == "none":
        np.testing.assert_allclose(expected, rules.reinforce_exact(np.log(p), reward).weight)
    else:
        centred = rules.reinforce_exact(np.log(p), reward, baseline=p @ reward).weight
        np.testing.assert_allclose(expected, shrink * centred, atol=1e-12)


def test_exact_baseline_matters_only_when_mass_is_unlisted():
    for mass, matters in ((1.0, False), (0.7, True)):
        p, reward = mass * np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.0, 3.0])
        plain, shifted = (
            rules.logit_descent(rules.reinforce_exact(np.log(p), reward, baseline=b).weight, np.log(p))
            for b in (0.0, 2.0)
        )
        assert np.allclose(plain, shifted) is not matters
    assert rules.reinforce_exact(np.log(p), reward, baseline=(p @ reward) / p.sum()).weight.sum() == pytest.approx(0)


def test_group_advantages():
    reward = np.array([[1.0, 0.0, 0.0, 3.0], [2.0, 2.0, 2.0, 2.0]])
    others = np.array([r - np.delete(reward[0], i).mean() for i, r in enumerate(reward[0])])
    np.testing.assert_allclose(rules.rloo_advantage(reward)[0], others)
    np.testing.assert_allclose(rules.grpo_advantage(reward)[0], (reward[0] - 1) / (np.std(reward[0], ddof=1) + 1e-4))
    np.testing.assert_array_equal(rules.grpo_advantage(reward, epsilon=0.0)[1], np.zeros(4))
    p = 0.25  # one right answer of four
    binary = rules.grpo_advantage(np.array([1.0, 0, 0, 0]), correction=0, epsilon=0.0)
    np.testing.assert_allclose(binary[:2], [np.sqrt((1 - p) / p), -np.sqrt(p / (1 - p))])
    np.testing.assert_allclose(rules.grpo_advantage(torch.tensor(reward)).numpy(), rules.grpo_advantage(reward))


def test_ppo_starts_as_reinforce_and_stops_where_the_clip_bites():
    advantage = rules.rloo_advantage(REWARD)
    start = rules.ppo(LOGP, LOGP, advantage).weight
    np.testing.assert_allclose(start, rules.reinforce(LOGP, REWARD, baseline="leave_one_out").weight)
    ratio = np.array([1.3, 1.3, 0.7, 0.7])
    sign = np.array([1.0, -1.0, 1.0, -1.0])
    moved = rules.ppo(np.log(0.2 * ratio), np.log(np.full(4, 0.2)), sign)
    np.testing.assert_allclose(moved.weight, np.array([0.0, -1.3, 0.7, 0.0]) / 4)
    assert moved.loss == pytest.approx(-(1.2 - 1.3 + 0.7 - 0.8) / 4)


def test_per_token_ppo_by_hand_and_with_anything_in_the_padding():
    old = np.log(np.full((2, 3), 0.4))
    logp = old + np.log(np.array([[1.0, 1.5, 1.1], [0.9, 1.0, 1.0]]))
    mask = np.array([[1, 1, 1], [1, 0, 0]])
    logp[1, 1:] = np.inf
    by_answer = rules.ppo_tokens(logp, old, np.array([1.0, -2.0]), mask)
    np.testing.assert_allclose(by_answer.weight, [[1 / 6, 0, 1.1 / 6], [-0.9, 0, 0]])
    assert by_answer.loss == pytest.approx(-(1 + 1.2 + 1.1) / 6 + 0.9)
    by_token = rules.ppo_tokens(logp, old, np.array([1.0, -2.0]), mask, average="token")
    np.testing.assert_allclose(by_token.weight, [[0.25, 0, 0.275], [-0.45, 0, 0]])


def test_one_token_answers_make_both_forms_of_ppo_equal():
    tokens = rules.ppo_tokens(LOGP[..., None], OLD[..., None], REWARD, np.ones((*SHAPE, 1)))
    np.testing.assert_allclose(tokens.weight[..., 0], rules.ppo(LOGP, OLD, REWARD).weight)


# ---- pairs

ONE_PAIR = np.array([[0.0, 1.0], [0.0, 0.0]])


def test_dpo_by_hand():
    """Ratios 2 and ½ make h = log 4; β = ½ makes σ(βh) = 2/3."""
    logp, reference = np.log([0.4, 0.1]), np.log([0.2, 0.2])
    found = rules.dpo(logp, reference, ONE_PAIR, beta=0.5)
    assert found.loss == pytest.approx(np.log(1.5))
    np.testing.assert_allclose(found.weight, [1 / 6, -1 / 6])


def test_ipo_by_hand_turns_round_at_its_margin():
    logp, reference = np.log([0.4, 0.1]), np.log([0.2, 0.2])
    found = rules.ipo(logp, reference, ONE_PAIR, tau=0.25)  # margin 2
    assert found.loss == pytest.approx((np.log(4) - 2) ** 2)
    np.testing.assert_allclose(found.weight, np.array([2, -2]) * (2 - np.log(4)))
    there = rules.ipo(logp, reference, ONE_PAIR, tau=rules.ipo_tau(np.log(4)))
    np.testing.assert_allclose([there.loss, *there.weight], 0, atol=1e-12)
    assert rules.ipo(logp, reference, ONE_PAIR, tau=rules.ipo_tau(1.0)).weight[0] < 0


def test_ipo_parametrisations_agree():
    assert rules.ipo_margin(rules.ipo_tau(7.0, tokens=12), tokens=12) == pytest.approx(7.0)
    per_token = rules.ipo_per_token(LOGP, OLD, PAIRS, 6.0, beta=0.3)
    published = rules.ipo(LOGP, OLD, PAIRS, tau=rules.ipo_tau(rules.ipo_margin(0.3, tokens=6)))
    np.testing.assert_allclose(per_token.loss, published.loss / 36)
    np.testing.assert_allclose(per_token.weight, published.weight / 36)


def test_a_table_of_pairs_is_the_mean_over_its_pairs():
    winner, loser = np.array([0, 0, 3]), np.array([1, 2, 0])
    table = rules.dpo(LOGP, OLD, rules.listed_pairs(winner, loser, n_answers=5))
    single = [rules.dpo(LOGP[:, [w, el]], OLD[:, [w, el]], ONE_PAIR) for w, el in zip(winner, loser, strict=True)]
    np.testing.assert_allclose(table.loss, np.mean([s.loss for s in single], axis=0))
    np.testing.assert_allclose(table.weight.sum(-1), 0, atol=1e-12)


def test_one_pair_moves_the_logits_along_winner_minus_loser():
    """PRF-10: in a table, third answers' logits do not move, whatever the margin."""
    pairs = rules.listed_pairs(np.array([2]), np.array([4]), n_answers=5)
    direction = rules.logit_descent(rules.dpo(LOGP, OLD, pairs).weight, LOGP)
    np.testing.assert_allclose(direction[:, [0, 1, 3]], 0, atol=1e-12)
    np.testing.assert_allclose(direction[:, 2], -direction[:, 4])
    assert np.all(direction[:, 2] > 0)


def test_pairs_by_reward_counts_gaps():
    np.testing.assert_allclose(PAIRS.sum((-2, -1)), 1)
    wide = rules.pairs_by_reward(np.array([0.0, 0.3, 1.0]), gap=0.5)
    np.testing.assert_allclose(wide, [[0, 0, 0], [0, 0, 0], [0.5, 0.5, 0]])
    ties = rules.pairs_by_reward(np.zeros(3))
    assert not ties.any()
    assert rules.dpo(LOGP[0, :3], OLD[0, :3], ties).loss == 0


def test_f_dpo_limits():
    near = rules.f_dpo(LOGP, OLD, PAIRS, divergence="alpha", alpha=1 + 1e-7).weight
    np.testing.assert_allclose(near, rules.dpo(LOGP, OLD, PAIRS).weight, atol=1e-6)
    exact = rules.f_dpo(LOGP, OLD, PAIRS, divergence="alpha", alpha=1.0).weight
    np.testing.assert_array_equal(exact, rules.dpo(LOGP, OLD, PAIRS).weight)
    forward = rules.f_dpo(LOGP, OLD, PAIRS, divergence="forward_kl")  # α = 0 is 1 − 1/t
    np.testing.assert_allclose(forward.weight, rules.f_dpo(LOGP, OLD, PAIRS, divergence="alpha", alpha=0.0).weight)


def test_extreme_margins_stay_finite():
    logp, reference = np.array([-1e-9, -2000.0]), np.array([-2000.0, -1e-9])
    for one, other in ((logp, reference), (reference, logp)):
        found = rules.dpo(one, other, ONE_PAIR, beta=1.0)
        assert np.isfinite(found.loss)
        assert np.all(np.isfinite(found.weight))


# ---- what is refused

ONE = np.log(np.array([0.5, 0.5]))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rules.mle(np.array([])), "logp is empty"),
        (lambda: rules.mle(np.array([0.5, 0.5])), "0 or less"),
        (lambda: rules.mle(np.array([-np.inf, -1.0])), "non-finite"),
        (lambda: rules.reward_weighted(ONE, np.zeros(3), beta=1.0), "reward has shape"),
        (lambda: rules.reward_weighted(ONE, np.zeros(2), beta=0.0), "beta must be"),
        (lambda: rules.reward_weighted(ONE, np.array([np.nan, 0.0]), beta=1.0), "reward holds a non-finite"),
        (lambda: rules.forward_kl(ONE, np.array([0.5, 0.6])), "sum to 1"),
        (lambda: rules.reverse_kl(ONE, np.array([0.0, 1.0])), "no mass"),
        (lambda: rules.reinforce(ONE[:1], np.zeros(1), baseline="leave_one_out"), "at least 2"),
        (lambda: rules.grpo_advantage(np.zeros(2), epsilon=-1.0), "epsilon must be"),
        (lambda: rules.ppo(ONE, ONE, 1.0, clip=1.0), "clip must lie"),
        (lambda: rules.ppo_tokens(ONE[None], ONE, 1.0, np.zeros((1, 2))), "without tokens"),
        (lambda: rules.ppo_tokens(np.zeros((0, 2)), 0.0, 1.0, 1), "axis of answers"),
        (lambda: rules.dpo(ONE, ONE, np.eye(2)), "meets itself"),
        (lambda: rules.dpo(ONE, ONE, -ONE_PAIR), "0 or more"),
        (lambda: rules.ipo(ONE, ONE, ONE_PAIR, tau=-1.0), "tau must be"),
        (lambda: rules.ipo_per_token(ONE, ONE, ONE_PAIR, 0.0), "1 token or more"),
        (lambda: rules.listed_pairs(np.array([2]), np.array([0]), n_answers=2), "outside 0..1"),
        (lambda: rules.listed_pairs(np.array([], dtype=int), np.array([], dtype=int), n_answers=2), "as many winners"),
        (lambda: rules.pairs_by_reward(np.zeros(2), gap=-1.0), "gap must be"),
    ],
)
def test_bad_input_gets_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()
