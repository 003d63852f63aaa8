"""Rules, bases and learners of the bit-string world against enumeration, and the sheet's table for BON-01."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from mrtlab.theory.bitstrings import (
    accepts,
    choose,
    draw_base,
    fit_consistent,
    fit_erm,
    fit_reward,
    fit_reward_by_position,
    rollout,
    slip_response,
    version_space,
    windows,
)
from mrtlab.theory.gf2 import parity

# claim BON-01: d = 8, exact match on fresh prompts over 60 repetitions, by T and n
COUNTS = (1, 2, 4, 8, 12)
SHEET = {
    1: (0.49, 0.50, 0.55, 0.80, 1.00),
    4: (0.15, 0.78, 0.99, 1.00, 1.00),
    16: (0.76, 0.93, 0.99, 1.00, 1.00),
    64: (0.70, 0.92, 0.99, 1.00, 1.00),
}
SHEET_REPETITIONS = 60


def bits(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(2, size=shape, dtype=np.uint8)


def all_rules(width: int) -> np.ndarray:
    return np.array(list(itertools.product([0, 1], repeat=width)), np.uint8)


def sft_exact_match(n: int, length: int, *, repetitions: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rule, prompts = bits(rng, repetitions, 8), bits(rng, repetitions, n, 8)
    learned = fit_consistent(prompts, rollout(rule, prompts, length), 8, rng=rng)
    test = bits(rng, repetitions, 200, 8)
    return np.all(rollout(rule, test, length) == rollout(learned, test, length), axis=2).mean(1)


@pytest.mark.parametrize("length", SHEET)
def test_bon_01_table_of_the_sheet(length: int) -> None:
    """Our mean over 300 repetitions lies in the 99 % Clopper–Pearson interval of the sheet's 60 repetitions.

    A share in [0, 1] varies at most as much as a coin of the same mean, so the interval is on the wide side.
    """
    for n, printed in zip(COUNTS, SHEET[length], strict=True):
        interval = binomtest(round(printed * SHEET_REPETITIONS), SHEET_REPETITIONS).proportion_ci(0.99)
        ours = sft_exact_match(n, length, repetitions=300, seed=100 * length + n).mean()
        assert interval.low <= ours <= interval.high, (n, printed, ours)


@pytest.mark.parametrize("n", COUNTS)
def test_bon_01_one_bit_replies_follow_the_rank_law(n: int) -> None:
    """T = 1: right if the drawn rule is the truth, 2^(rank − 8), and half the time otherwise."""
    rng = np.random.default_rng(n)
    log2_size = version_space(bits(rng, 20_000, n, 8), np.zeros((20_000, n, 1), np.uint8), 8).log2_size
    expected = np.mean(0.5 + 0.5 * 0.5**log2_size)
    ours = sft_exact_match(n, 1, repetitions=1000, seed=n)
    assert abs(ours.mean() - expected) < 4 * ours.std() / np.sqrt(len(ours))


def test_bon_01_longer_replies_help_and_then_stop_mattering() -> None:
    short, long, longer = (sft_exact_match(2, t, repetitions=600, seed=t) for t in (1, 16, 64))
    assert long.mean() - short.mean() > 0.3
    spread = np.sqrt(long.var() / len(long) + longer.var() / len(longer))
    assert abs(long.mean() - longer.mean()) < 4 * spread


def test_rollout_by_hand_and_its_windows() -> None:
    rng = np.random.default_rng(0)
    rule, prompts = bits(rng, 3, 4), bits(rng, 3, 5, 6)
    replies = rollout(rule, prompts, 7)
    for r, i in itertools.product(range(3), range(5)):
        text = [int(b) for b in prompts[r, i]]
        for t in range(7):
            np.testing.assert_array_equal(windows(prompts, replies, 4)[r, i, t], text[-4:])
            text.append(int(np.dot(rule[r].astype(int), text[-4:])) % 2)
        np.testing.assert_array_equal(replies[r, i], text[6:])


def test_bon_04_a_slip_never_heals_unless_the_rule_ignores_everything() -> None:
    rng = np.random.default_rng(1)
    for rule in all_rules(4):
        pattern = slip_response(rule, 40)
        slips = np.zeros((1, 1, 40), np.uint8)
        slips[..., 0] = 1
        prompt = bits(rng, 1, 1, 4)
        differs = rollout(rule[None], prompt, 40) ^ rollout(rule[None], prompt, 40, slips=slips)
        np.testing.assert_array_equal(pattern, differs[0, 0])
        assert bool(pattern[-4:].any()) == bool(rule.any())


def test_base_with_fixed_coverage_is_right_that_often_for_every_length() -> None:
    rng = np.random.default_rng(2)
    rule, prompts = bits(rng, 20, 6), bits(rng, 20, 200, 6)
    for length in (1, 5, 30):
        good = accepts(rule, prompts, draw_base(rule, prompts, length, coverage=0.3, rng=rng))
        assert binomtest(int(good.sum()), good.size, 0.3).pvalue > 1e-4
    assert not accepts(rule, prompts, draw_base(rule, prompts, 9, coverage=0.0, rng=rng)).any()
    assert accepts(rule, prompts, draw_base(rule, prompts, 9, coverage=1.0, rng=rng)).all()


def test_bon_04_and_07_coverage_of_a_per_bit_base_falls_as_a_power() -> None:
    rng = np.random.default_rng(3)
    rule, prompts = bits(rng, 20, 6), bits(rng, 20, 200, 6)
    for length in (1, 5, 16):
        good = accepts(rule, prompts, draw_base(rule, prompts, length, accuracy=0.9, rng=rng))
        assert binomtest(int(good.sum()), good.size, 0.9**length).pvalue > 1e-4


def test_erm_finds_the_fewest_mistakes() -> None:
    rng = np.random.default_rng(4)
    prompts, replies = bits(rng, 12, 5, 6), bits(rng, 12, 5, 7)
    learned = fit_erm(prompts, replies, 4, rng=rng)
    seen = windows(prompts, replies, 4).astype(int)
    mistakes = np.array([((seen @ w) % 2 != replies).sum((1, 2)) for w in all_rules(4).astype(int)])
    chosen = learned @ np.array([8, 4, 2, 1])
    np.testing.assert_array_equal(mistakes[chosen, np.arange(12)], mistakes.min(0))


def test_erm_without_noise_draws_evenly_from_the_version_space() -> None:
    rng = np.random.default_rng(5)
    one_prompt = np.tile(np.array([[[1, 0, 1]]], np.uint8), (4000, 1, 1))
    one_reply = np.ones((4000, 1, 1), np.uint8)
    assert np.all(version_space(one_prompt, one_reply, 3).log2_size == 2)
    for learned in (fit_erm(one_prompt, one_reply, 3, rng=rng), fit_consistent(one_prompt, one_reply, 3, rng=rng)):
        assert np.all((learned[:, 0] ^ learned[:, 2]) == 1)
        _, counts = np.unique(learned, axis=0, return_counts=True)
        assert len(counts) == 4
        assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(4000 * 0.25 * 0.75))


def test_noise_in_the_training_strings_is_overcome_by_more_of_them() -> None:
    rng = np.random.default_rng(6)
    rule, prompts = bits(rng, 30, 8), bits(rng, 30, 60, 8)
    noisy = draw_base(rule, prompts, 8, accuracy=0.8, rng=rng)
    np.testing.assert_array_equal(fit_erm(prompts, noisy, 8, rng=rng), rule)
    with pytest.raises(ValueError, match="use fit_erm"):
        fit_consistent(prompts, noisy, 8, rng=rng)


def test_bon_04_too_small_a_window_fails_exactly_when_the_truth_uses_the_oldest_bit() -> None:
    """Then a teacher-forced bit is a coin toss, yet exact match stops falling: the errors are not independent."""
    rng = np.random.default_rng(7)
    rule, prompts, test = bits(rng, 400, 8), bits(rng, 400, 64, 8), bits(rng, 400, 50, 8)
    rule[:, 0] = np.arange(400) % 2  # the oldest bit counts in every other truth
    for length, independent in ((2, True), (16, False)):
        right = rollout(rule, test, length)
        short = fit_erm(prompts, rollout(rule, prompts, length), 7, rng=rng)
        match = np.all(rollout(short, test, length) == right, axis=2).mean(1)
        assert np.all(match[rule[:, 0] == 0] == 1)
        missed = match[rule[:, 0] == 1]
        forced = parity(windows(test, right, 7), short[:, None, None, :]) != right
        assert abs(forced[rule[:, 0] == 1].mean() - 0.5) < 0.03
        assert (abs(missed.mean() - 0.5**length) < 0.03) == independent
        assert missed.mean() < 0.3


def test_reward_learner_makes_the_fewest_mistakes_on_its_labels() -> None:
    rng = np.random.default_rng(8)
    prompts, replies, labels = bits(rng, 6, 9, 4), bits(rng, 6, 9, 2), bits(rng, 6, 9) == 1
    learned = fit_reward(prompts, replies, labels, 4, rng=rng)
    mistakes = np.array([np.sum(accepts(np.tile(w, (6, 1)), prompts, replies) != labels, axis=1) for w in all_rules(4)])
    made = np.sum(accepts(learned, prompts, replies) != labels, axis=1)
    np.testing.assert_array_equal(made, mistakes.min(0))


def test_bon_02_reward_error_does_not_grow_with_length_at_fixed_coverage() -> None:
    """The natural guess, error ~ T·d/n, is not what these two classes show; the larger one pays a constant factor.

    A string labelled correct says T bits at once, and in a roll-out the windows of all positions are linear images
    of the same prompt, so the positions are learned together.
    """
    error = {}
    for length in (4, 32):
        rng = np.random.default_rng(length)
        rule, prompts, test = bits(rng, 300, 6), bits(rng, 300, 10, 6), bits(rng, 300, 60, 6)
        seen = draw_base(rule, prompts, length, coverage=0.5, rng=rng)
        labels = accepts(rule, prompts, seen)
        fresh = draw_base(rule, test, length, coverage=0.5, rng=rng)
        truth = accepts(rule, test, fresh)
        for fit in (fit_reward, fit_reward_by_position):
            wrong = accepts(fit(prompts, seen, labels, 6, rng=rng), test, fresh) != truth
            error[fit.__name__, length] = wrong.mean(1)
    spread = {key: e.std() / np.sqrt(len(e)) for key, e in error.items()}
    for name in ("fit_reward", "fit_reward_by_position"):
        short, long = (name, 4), (name, 32)
        assert error[long].mean() - error[short].mean() < 3 * np.hypot(spread[long], spread[short])
    for length in (4, 32):
        by_position, shared = ("fit_reward_by_position", length), ("fit_reward", length)
        assert error[by_position].mean() > error[shared].mean() + 5 * spread[by_position]


def test_rules_by_position_agree_with_the_strings_labelled_correct() -> None:
    rng = np.random.default_rng(9)
    rule, prompts = bits(rng, 5, 6), bits(rng, 5, 10, 6)
    replies = draw_base(rule, prompts, 7, coverage=0.5, rng=rng)
    labels = accepts(rule, prompts, replies)
    learned = fit_reward_by_position(prompts, replies, labels, 6, rng=rng)
    assert learned.shape == (5, 7, 6)
    assert np.all(accepts(learned, prompts, replies)[labels])
    repeated = np.tile(rule[:, None, :], (1, 7, 1))
    np.testing.assert_array_equal(accepts(repeated, prompts, replies), labels)


def test_choose_is_fair_among_the_accepted() -> None:
    rng = np.random.default_rng(10)
    picked = choose(np.tile([True, False, True], (3000, 1)), rng=rng)
    assert set(picked.tolist()) == {0, 2}
    assert binomtest(int((picked == 0).sum()), 3000, 0.5).pvalue > 1e-4
    assert set(choose(np.zeros((300, 3), bool), rng=rng).tolist()) == {0, 1, 2}


def test_refusals() -> None:
    rng = np.random.default_rng(0)
    rule, prompts = bits(rng, 1, 4), bits(rng, 1, 2, 4)
    with pytest.raises(ValueError, match="cannot fill a window"):
        rollout(bits(rng, 1, 5), prompts, 3)
    with pytest.raises(ValueError, match="at least one bit"):
        rollout(rule, prompts, 0)
    with pytest.raises(ValueError, match="exactly one of"):
        draw_base(rule, prompts, 3, rng=rng)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        draw_base(rule, prompts, 3, accuracy=1.5, rng=rng)
    with pytest.raises(ValueError, match="too many to list"):
        fit_erm(bits(rng, 1, 2, 20), bits(rng, 1, 2, 3), 20, rng=rng)
