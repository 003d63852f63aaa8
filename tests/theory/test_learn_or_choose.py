"""Closed forms of best-of-N against simulation, and the order of the arms in each case."""

import numpy as np
import pytest
from scipy.stats import binomtest

from mrtlab.theory.learn_or_choose import (
    BitTask,
    any_correct,
    candidates_needed,
    collapse_length,
    noisy_verifier,
    noisy_verifier_limit,
    run_bit_trial,
)


def trial(task: BitTask, n: int, *, candidates: int = 16, repetitions: int = 100, seed: int = 0):
    rng = np.random.default_rng(seed)
    return run_bit_trial(task, n, candidates=candidates, repetitions=repetitions, n_test=50, rng=rng)


def wins(a: np.ndarray, b: np.ndarray) -> bool:
    """Is a above b by more than three standard errors of the paired difference?"""
    return bool((a - b).mean() > 3 * (a - b).std() / np.sqrt(len(a)))


@pytest.mark.parametrize(("coverage", "printed"), [(0.5, 5), (0.1, 29), (0.01, 299)])
def test_bon_03_candidates_needed(coverage: float, printed: int) -> None:
    needed = int(np.ceil(candidates_needed(coverage)))
    assert needed == printed
    assert any_correct(coverage, needed) >= 0.95 > any_correct(coverage, needed - 1)


def test_bon_03_and_07_the_oracle_arm_follows_the_closed_form() -> None:
    fixed = trial(BitTask(coverage=0.1), 2, candidates=29).oracle
    falling = trial(BitTask(accuracy=0.9, length=16), 2, candidates=12).oracle
    for share, expected in ((fixed, any_correct(0.1, 29)), (falling, any_correct(0.9**16, 12))):
        hits = round(float(share.sum()) * 50)
        assert binomtest(hits, 50 * len(share), float(expected)).pvalue > 1e-4


def test_bon_07_collapse_near_the_predicted_length() -> None:
    c, n = 0.9, np.array([10, 100, 1000])
    length = collapse_length(c, n)
    np.testing.assert_allclose(c**length * n, 1, rtol=1e-12)
    np.testing.assert_allclose(any_correct(c**length, n), 1 - (1 - 1 / n) ** n, rtol=1e-12)
    assert np.all(any_correct(c ** (length / 2), n) > 0.95)
    assert np.all(any_correct(c ** (2 * length), n) < 0.1)


def test_any_correct_is_exact_for_tiny_coverage_and_at_the_ends() -> None:
    assert float(any_correct(1e-18, 10)) == pytest.approx(1e-17, rel=1e-12)
    np.testing.assert_array_equal(any_correct(np.array([0.0, 1.0, 1.0]), np.array([5, 3, 0])), [0, 1, 0])


@pytest.mark.parametrize(
    ("coverage", "false_accept", "printed"),
    [(0.1, 0.01, 0.917), (0.1, 0.1, 0.526), (0.01, 0.01, 0.503), (0.01, 0.1, 0.092)],
)
def test_bon_05_limit_of_a_noisy_verifier(coverage: float, false_accept: float, printed: float) -> None:
    limit = float(noisy_verifier_limit(coverage, false_accept))
    assert limit == pytest.approx(printed, abs=5e-4)
    assert float(noisy_verifier(coverage, false_accept, 10**5)) == pytest.approx(limit, rel=1e-9)
    growing = noisy_verifier(coverage, false_accept, np.arange(1, 200))
    assert growing[0] == pytest.approx(coverage)
    assert np.all(np.diff(growing) >= 0)


@pytest.mark.parametrize("candidates", [1, 3, 40])
def test_bon_05_simulation_with_false_accepts(candidates: int) -> None:
    """64 labels suffice to learn the reward without error at d = 4, so only the false accepts are left."""
    task = BitTask(width=4, prompt_bits=4, length=8, coverage=0.2, false_accept=0.2)
    share = trial(task, 64, candidates=candidates).best_of_n
    expected = float(noisy_verifier(0.2, 0.2, candidates))
    assert binomtest(round(float(share.sum()) * 50), 50 * len(share), expected).pvalue > 1e-4


def test_noisy_verifier_ends() -> None:
    assert float(noisy_verifier(0.3, 0.0, 4)) == pytest.approx(float(any_correct(0.3, 4)))
    assert float(noisy_verifier(0.3, 1.0, 4)) == pytest.approx(0.3)
    assert float(noisy_verifier_limit(0.0, 0.0)) == 0.0


def test_bon_06_realizable_learning_wins() -> None:
    outcome = trial(BitTask(coverage=0.5, length=4), 4)
    assert wins(outcome.sft, outcome.best_of_n)


def test_bon_06_choosing_wins_when_the_next_bit_class_is_too_small() -> None:
    outcome = trial(BitTask(coverage=0.5, length=8, model_width=7), 32)
    assert wins(outcome.best_of_n, outcome.sft)
    assert wins(outcome.best_of_n, outcome.distilled)  # the third arm inherits the learner's class


def test_bon_06_learning_wins_when_the_reward_class_is_too_small() -> None:
    outcome = trial(BitTask(coverage=0.5, length=8, reward_width=7), 32)
    assert wins(outcome.sft, outcome.best_of_n)


def test_bon_07_falling_coverage_takes_best_of_n_down_but_not_learning() -> None:
    outcome = trial(BitTask(accuracy=0.8, length=32), 12)
    assert outcome.sft.mean() > 0.95
    assert outcome.oracle.mean() < 0.05
    assert BitTask(accuracy=0.8, length=32).alpha == pytest.approx(0.8**32)


def test_the_arms_all_reach_one_with_plenty_of_data() -> None:
    outcome = trial(BitTask(width=4, prompt_bits=4, length=6, coverage=0.5), 60, candidates=40, repetitions=20)
    for name, share in vars(outcome).items():
        assert np.all(share == 1), name


def test_refusals() -> None:
    with pytest.raises(ValueError, match="exactly one of"):
        BitTask()
    with pytest.raises(ValueError, match="label_noise"):
        BitTask(coverage=0.5, label_noise=2.0)
    with pytest.raises(ValueError, match="cannot fill a window"):
        BitTask(coverage=0.5, model_width=9)
    with pytest.raises(ValueError, match="1 or more"):
        trial(BitTask(coverage=0.5), 0)
    with pytest.raises(ValueError, match=r"\(0, 1\)"):
        candidates_needed(1.0)
    with pytest.raises(ValueError, match=r"\(0, 1\)"):
        collapse_length(1.0, 4)
    with pytest.raises(ValueError, match="0 or more"):
        any_correct(0.5, -1)
    with pytest.raises(ValueError, match="1 or more"):
        noisy_verifier(0.5, 0.5, 0)
