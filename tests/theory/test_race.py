"""The sampled training loop: its axes, its randomness, and where its rules must end."""

import numpy as np
import pytest

from mrtlab.theory.bandit import bandit_reference, bandit_reward
from mrtlab.theory.race import Rule, draw_arms, race

REFERENCE, REWARD = bandit_reference(n_arms=12), bandit_reward(peak=8.0, width=2.0, n_arms=12)
ALL = [Rule(method=m) for m in ("pref_ft", "best_of_n", "dpo", "ipo", "reinforce", "ppo")]


def run(rules=ALL, seeds=(0, 1), **options):
    settings = {"reference": REFERENCE, "reward": REWARD, "rates": [0.05, 0.2], "steps": 6, "answers": 4} | options
    return race(rules, rngs=[np.random.default_rng(seed) for seed in seeds], **settings)


def test_offline_best_of_n_ends_at_the_winners_it_was_shown():
    found = run([Rule(method="best_of_n")], rates=[0.05], steps=1500, batch=6, on_policy=False, seeds=[5])
    drawn = draw_arms(REFERENCE[None], np.random.default_rng(5).random((1, 6, 4)))[0]
    best = drawn[np.arange(6), REWARD[drawn].argmax(1)]
    np.testing.assert_allclose(found.policy[-1, 0, 0, 0], np.bincount(best, minlength=12) / 6, atol=5e-3)


def test_a_seed_does_not_see_the_others():
    both, alone = run(seeds=(0, 1), batch=3), run(seeds=(1,), batch=3)
    np.testing.assert_allclose(both.policy[:, :, :, 1:], alone.policy, rtol=1e-12)


def test_runs_do_not_see_other_rules_and_rates():
    whole, part = run(), run(ALL[2:3], rates=[0.2])
    np.testing.assert_allclose(whole.policy[:, 2:3, 1:], part.policy, rtol=1e-12)


def test_data_are_drawn_again_when_their_use_is_over():
    options = {"batch": 4, "minibatch": 2, "reuse": 3, "steps": 7, "look_every": 1}  # 6 steps for each round
    fresh, stale = run(on_policy=True, **options), run(on_policy=False, **options)
    np.testing.assert_array_equal(fresh.step, np.arange(8))
    np.testing.assert_array_equal(fresh.policy[:7], stale.policy[:7])
    assert (np.abs(fresh.policy[7] - stale.policy[7]).max(-1) > 1e-6).all()


def test_minibatches_take_turns():
    drawn = draw_arms(REFERENCE[None], np.random.default_rng(0).random((1, 2, 4)))[0]
    found = run(ALL[1:2], seeds=[0], rates=[0.1], batch=2, minibatch=1, steps=1)
    best = drawn[0, REWARD[drawn[0]].argmax()]  # the first prompt alone decides the first step
    moved = np.log(found.policy[-1, 0, 0, 0]) - np.log(REFERENCE)
    assert moved.argmax() == best
    np.testing.assert_allclose(moved - moved[best], np.where(np.arange(12) == best, 0, -0.2), atol=1e-6)


def test_ppo_on_fresh_data_is_reinforce():
    found = run(ALL[4:], reuse=1, steps=20)
    np.testing.assert_allclose(found.policy[-1, 0], found.policy[-1, 1], rtol=1e-9)
    reused = run(ALL[4:], reuse=10, steps=20, rates=[0.2, 0.4])
    assert np.abs(reused.policy[-1, 0] - reused.policy[-1, 1]).max() > 1e-3


def test_only_pushing_down_passes_the_ceiling_of_offline_winners():
    options = {"batch": 40, "steps": 400, "rates": [0.2], "on_policy": False, "seeds": range(3)}
    reached = (run(ALL[:4], **options).policy[-1] * REWARD).sum(-1).mean((-1, -2))
    assert reached[2:].min() > reached[1] + 0.03
    assert [rule.negative_gradient for rule in ALL] == [False, False, True, True, True, True]


def test_settings_of_a_rule_matter():
    rules = [Rule(method="dpo", beta=1.0), Rule(method="ipo", margin=1.0), Rule(method="ppo", clip=0.01)]
    plain, other = run([ALL[2], ALL[3], ALL[5]], reuse=6, steps=12), run(rules, reuse=6, steps=12)
    assert (np.abs(plain.policy[-1] - other.policy[-1]).max(axis=(1, 2, 3)) > 1e-3).all()


def test_draws_follow_the_policy():
    even = (np.arange(1000) + 0.5)[None, None] / 1000  # one number from each thousandth
    counts = np.bincount(draw_arms(np.array([[[0.5, 0.0, 0.125, 0.375]]]), even).ravel(), minlength=4)
    np.testing.assert_array_equal(counts, [500, 0, 125, 375])


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": np.array([0.5, 0.5, 0.0]), "reward": np.zeros(3)},
        {"reference": np.array([0.5, 0.6]), "reward": np.zeros(2)},
        {"batch": 10, "minibatch": 3},
        {"answers": 1},
        {"reuse": 0},
        {"rates": [0.0]},
        {"rates": []},
        {"rules": []},
        {"steps": -1},
        {"look_every": 0},
    ],
)
def test_impossible_races_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|needs|must|sum"):
        run(**wrong)


def test_an_unknown_method_is_refused():
    rule = object.__new__(Rule)  # past the type checker, which would refuse it first
    object.__setattr__(rule, "method", "bon")
    with pytest.raises(ValueError, match="best_of_n"):
        rule.__post_init__()
