"""The answers of chapter 5's exercises, worked out another way."""

from fractions import Fraction

import numpy as np
import pytest
from solutions import answer_of

from mrtlab.show.exercises import EXERCISES
from mrtlab.theory.bitstrings import rollout, version_space


def test_the_candidates_are_the_first_that_reach_95_percent():
    n = answer_of("ch5.candidates")
    assert Fraction(97, 100) ** n <= Fraction(5, 100) < Fraction(97, 100) ** (n - 1)


def test_the_power_by_drawing():
    right = np.all(np.random.default_rng(3).random((20_000, 64)) < 0.98, axis=1)
    assert abs(right.mean() - answer_of("ch5.power")) < 3.3 * right.std() / np.sqrt(20_000)  # once in a thousand


def test_the_kind_verifier_by_drawing():
    rng = np.random.default_rng(3)
    right = rng.random(200_000) < 0.05
    accepted = right | (rng.random(200_000) < 0.1)
    share = right[accepted]
    assert abs(share.mean() - answer_of("ch5.noisy_limit")) < 3.3 * share.std() / np.sqrt(share.size)


def test_seven_strings_leave_one_rule():
    n, rng = answer_of("ch5.strings"), np.random.default_rng(3)
    rules = rng.integers(2, size=(2000, 8), dtype=np.uint8)
    prompts = rng.integers(2, size=(2000, n, 8), dtype=np.uint8)
    several = np.mean(version_space(prompts, rollout(rules, prompts, 32), 8).log2_size > 0)
    assert abs(several - 1 / 128) < 3.3 * np.sqrt(1 / 128 / 2000)
    assert 1 / 2**n <= 0.01 < 1 / 2 ** (n - 1)


def test_half_of_the_replies_are_free_of_slips():
    assert (1 - 0.01) ** answer_of("ch5.compounding") == pytest.approx(0.5)


def test_at_the_equal_length_both_ways_succeed_alike():
    names: dict = {}
    exec("\n".join(EXERCISES["ch5.equal_length"].solution.strip().splitlines()[:-1]), names)
    length = names["equal_length"](4, 0.9, 64)
    assert 1 - (1 - 0.9**length) ** 64 == pytest.approx(1 - 2**-4)
