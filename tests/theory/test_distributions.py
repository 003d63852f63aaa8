"""distributions: hand values, limits, and Monte Carlo against closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mrtlab.theory import best_of_n, effective_support, entropy, expected_coverage, kl, tilt, tv


def probabilities(size: int = 5):
    positive = arrays(float, size, elements=st.floats(1e-6, 1.0))
    return positive.map(lambda w: w / w.sum())


P = np.array([0.5, 0.3, 0.2])


def test_hand_values():
    assert entropy(np.array([1.0, 0.0])) == 0.0
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(3 * np.log(2))
    assert effective_support(np.array([0.5, 0.5, 0.0])) == pytest.approx(2.0)
    assert kl(P, np.array([0.2, 0.3, 0.5])) == pytest.approx(0.5 * np.log(2.5) + 0.2 * np.log(0.4))
    assert kl(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == np.inf
    assert kl(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0.0
    assert kl(np.full(5, 0.2), np.ones(5) / 5 * (1 + 1e-16)) >= 0.0
    assert tv(P, np.array([0.2, 0.3, 0.5])) == pytest.approx(0.3)
    assert expected_coverage(P, 2) == pytest.approx(0.75 + 0.51 + 0.36)


@given(probabilities(), probabilities())
def test_pinsker_and_ranges(p, q):
    assert 0 <= entropy(p) <= np.log(5) + 1e-12
    assert tv(p, q) == pytest.approx(tv(q, p))
    assert tv(p, q) <= np.sqrt(kl(p, q) / 2) + 1e-9


@given(probabilities(), st.integers(0, 60))
def test_coverage_matches_the_naive_form_and_grows(p, n):
    assert expected_coverage(p, n) == pytest.approx(np.sum(1 - (1 - p) ** n), abs=1e-9)
    assert expected_coverage(p, n) <= expected_coverage(p, n + 1) + 1e-12


def test_coverage_of_sure_and_tiny_answers():
    assert expected_coverage(np.array([1.0, 0.0]), 7) == 1.0
    tiny = np.array([1e-18, 1 - 1e-18])
    assert expected_coverage(tiny, 10) == pytest.approx(1.0)
    assert expected_coverage(np.array([1e-12, 1.0 - 1e-12]), 1) - 1 == pytest.approx(0.0, abs=1e-15)


def test_coverage_against_simulation():
    draws = np.random.default_rng(0).choice(3, size=(20_000, 4), p=P)
    seen = np.array([len(set(row)) for row in draws])
    standard_error = seen.std() / np.sqrt(len(seen))
    assert abs(seen.mean() - expected_coverage(P, 4)) < 4 * standard_error


def test_batches_and_per_row_counts():
    table = np.stack([P, P[::-1]])
    assert expected_coverage(table, np.array([1, 3])) == pytest.approx([1.0, expected_coverage(P, 3)])
    assert entropy(table).shape == (2,)


@given(probabilities(), st.integers(1, 20))
def test_best_of_n_is_a_distribution_and_telescopes(p, n):
    reward = np.array([0.0, 1.0, 1.0, 2.0, -1.0])
    law = best_of_n(p, reward, n)
    assert law.sum() == pytest.approx(1.0)
    assert best_of_n(p, reward, 1) == pytest.approx(p)
    # best of n, then best of 3 of those, is best of 3n
    assert best_of_n(law / law.sum(), reward, 3) == pytest.approx(best_of_n(p, reward, 3 * n), abs=1e-9)


def test_best_of_n_against_simulation():
    rng, reward, n = np.random.default_rng(1), np.array([0.0, 1.0, 2.0]), 3
    wins = rng.choice(3, size=(40_000, n), p=P)
    best = wins[np.arange(len(wins)), reward[wins].argmax(1)]
    seen = np.bincount(best, minlength=3) / len(best)
    assert np.all(np.abs(seen - best_of_n(P, reward, n)) < 4 * np.sqrt(0.25 / len(best)))


def test_tilt_limits():
    reward = np.array([0.0, 1.0, 1.0])
    assert tilt(P, reward, 1e9) == pytest.approx(P)
    assert tilt(P, reward, 1e-3) == pytest.approx([0.0, 0.6, 0.4])
    assert tilt(np.array([1.0, 0.0, 0.0]), reward, 0.1) == pytest.approx([1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.array([0.5, 0.6]), "sums to 1.1"),
        (np.array([-0.1, 1.1]), "negative"),
        (np.array([np.nan, 1.0]), "non-finite"),
        (np.zeros(0), "empty"),
    ],
)
def test_what_is_no_distribution_is_refused(bad, words):
    with pytest.raises(ValueError, match=words):
        entropy(bad)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        best_of_n(P, P, 0)
    with pytest.raises(ValueError, match="beta"):
        tilt(P, P, 0.0)
    with pytest.raises(ValueError, match="0 or more"):
        expected_coverage(P, -1)
