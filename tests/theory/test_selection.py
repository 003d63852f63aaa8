"""selection: hand values, greedy against brute force, both implementations, and every odd input."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.theory import (
    cosine_similarity01,
    dpp_greedy,
    facility_location,
    facility_value,
    greedy,
    random_k,
    softmax_k,
    top_k,
)

BOTH_WAYS = pytest.mark.parametrize("no_numba", ["0", "1"], ids=["compiled", "numpy"])


def embeddings(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def best_value(similarity: np.ndarray, k: int, **options) -> float:
    sets = itertools.combinations(range(len(similarity)), k)
    return max(float(facility_value(similarity, np.array(s), **options)) for s in sets)


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 4), st.booleans(), st.sampled_from([0.0, 0.75, 3.0]))
@settings(max_examples=40, deadline=None)
def test_greedy_reaches_its_share_of_the_best_set(seed, n, k, rewarded, alpha):
    k = min(k, n)
    similarity = np.random.default_rng(seed).random((n, n))  # need not be symmetric
    options = {"reward": np.random.default_rng(seed + 1).random(n), "alpha": alpha} if rewarded else {}
    value = float(facility_value(similarity, facility_location(similarity, k, **options), **options))
    assert (1 - 1 / np.e) * best_value(similarity, k, **options) <= value + 1e-12
    assert value <= best_value(similarity, k, **options) + 1e-12


@given(st.integers(0, 10_000), st.integers(3, 9))
@settings(max_examples=40, deadline=None)
def test_value_is_monotone_and_submodular(seed, n):
    rng = np.random.default_rng(seed)
    similarity, reward = rng.random((n, n)), rng.standard_normal(n)
    order = rng.permutation(n)
    small, large, extra = order[:1], order[: n - 1], order[n - 1 :]

    def value(chosen):
        return float(facility_value(similarity, chosen, reward=reward))

    gain_small = value(np.concatenate([small, extra])) - value(small)
    gain_large = value(np.concatenate([large, extra])) - value(large)
    assert gain_small >= gain_large - 1e-12
    assert gain_large >= -1e-12
    assert value(np.array([], dtype=int)) == 0


@BOTH_WAYS
def test_facility_location_is_the_plain_greedy(no_numba, monkeypatch):
    monkeypatch.setenv("MRTLAB_NO_NUMBA", no_numba)
    similarity = cosine_similarity01(embeddings(0, 7, 13, 4))
    reward = embeddings(1, 7, 13)
    picks = facility_location(similarity, 6, reward=reward, alpha=0.5)
    for prompt in range(7):
        chosen: list[int] = []
        for _ in range(6):
            free = [j for j in range(13) if j not in chosen]
            values = [
                facility_value(similarity[prompt], np.array([*chosen, j]), reward=reward[prompt], alpha=0.5)
                for j in free
            ]
            chosen.append(free[int(np.argmax(values))])
        assert picks[prompt].tolist() == chosen


@pytest.mark.parametrize("shape", [(3, 1), (40, 8), (11, 37), (4, 130)])
def test_both_implementations_pick_the_same(shape, monkeypatch):
    pytest.importorskip("numba")
    similarity = cosine_similarity01(embeddings(2, *shape, 5))
    similarity[0] = similarity[0].round(1)  # many exact ties
    reward = embeddings(3, *shape).round(1)
    k = min(shape[1], 9)

    def picks():
        return (
            facility_location(similarity, k),
            facility_location(similarity, k, reward=reward),
            dpp_greedy(similarity + 0.1 * np.eye(shape[1]), k),
            dpp_greedy(similarity, k),  # rank 6: the volume runs out before k
        )

    monkeypatch.setenv("MRTLAB_NO_NUMBA", "0")
    assert greedy.compiled() is not None
    with_numba = picks()
    monkeypatch.setenv("MRTLAB_NO_NUMBA", "1")
    assert greedy.compiled() is None
    for fast, plain in zip(with_numba, picks(), strict=True):
        np.testing.assert_array_equal(fast, plain)


def test_numba_is_not_imported_before_it_is_needed():
    code = "import sys, mrtlab.theory; print([m for m in ('numba', 'rapidfuzz', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@BOTH_WAYS
def test_ties_duplicates_and_nothing_to_gain(no_numba, monkeypatch):
    monkeypatch.setenv("MRTLAB_NO_NUMBA", no_numba)
    assert facility_location(np.zeros((4, 4)), 3).tolist() == [0, 1, 2]
    assert facility_location(np.ones((4, 4)), 3).tolist() == [0, 1, 2]
    twins = np.kron(np.eye(3), np.ones((2, 2)))  # 0=1, 2=3, 4=5
    assert facility_location(twins, 4).tolist() == [0, 2, 4, 1]
    assert dpp_greedy(twins, 4).tolist() == [0, 2, 4, 1]
    ring = cosine_similarity01(np.stack([np.cos(t := 2 * np.pi * np.arange(12) / 12), np.sin(t)], axis=1))
    assert facility_location(ring, 2).tolist()[0] == 0  # all equal but for rounding: the lowest index
    assert dpp_greedy(np.zeros((3, 3)), 2).tolist() == [0, 1]
    assert facility_location(np.eye(3), 3).tolist() == [0, 1, 2]
    assert facility_location(np.zeros((0, 3, 3)), 2).shape == (0, 2)


def test_reward_shapes_the_choice():
    similarity = cosine_similarity01(embeddings(4, 5, 10, 3))
    reward = embeddings(5, 5, 10)
    plain = facility_location(similarity, 4)
    np.testing.assert_array_equal(facility_location(similarity, 4, reward=reward, alpha=0.0), plain)
    np.testing.assert_array_equal(facility_location(similarity, 4, reward=np.full((5, 10), 7.0)), plain)
    greedy_for_reward = facility_location(similarity, 1, reward=reward, alpha=50.0)
    np.testing.assert_array_equal(greedy_for_reward, top_k(reward, 1))
    shifted = facility_location(
        similarity, 4, reward=100 * reward - 3
    )  # only the ranking within a prompt's range counts
    np.testing.assert_array_equal(shifted, facility_location(similarity, 4, reward=reward))


def test_value_by_hand_with_reward():
    similarity = np.array([[1.0, 0.5], [0.5, 1.0]])
    # a = (1, max(0, 1e-4)^1), b = (1, 1e-4): the first serves itself fully and the second by half
    assert facility_value(similarity, np.array([0]), reward=np.array([3.0, 1.0]), alpha=1.0) == pytest.approx(1.00005)
    batch = facility_value(np.stack([similarity] * 2), np.array([[0, 1], [0, 0]]))
    assert batch.tolist() == [2.0, 1.5]


@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_dpp_maximises_the_determinant_step_by_step(seed, n, k):
    k = min(n, k)
    factor = np.random.default_rng(seed).standard_normal((n, n))
    kernel = factor @ factor.T + 0.1 * np.eye(n)
    picks = dpp_greedy(kernel, k).tolist()
    for step in range(k):
        gains = [
            np.linalg.det(kernel[np.ix_([*picks[:step], j], [*picks[:step], j])]) if j not in picks[:step] else -1.0
            for j in range(n)
        ]
        assert gains[picks[step]] >= max(gains) * (1 - 1e-8)


def test_random_k_is_unbiased_and_without_replacement():
    picks = random_k(5, 2, rng=np.random.default_rng(0), size=40_000)
    assert np.all(picks[:, 0] != picks[:, 1])
    pairs = np.bincount(5 * picks.min(1) + picks.max(1), minlength=25)
    pairs = pairs[pairs > 0]
    assert len(pairs) == 10
    assert np.all(np.abs(pairs - 4000) < 5 * np.sqrt(4000 * 0.9))
    assert random_k(4, 2, rng=np.random.default_rng(0), size=(2, 3)).shape == (2, 3, 2)


def test_softmax_k_draws_from_the_softmax():
    reward = np.array([0.0, 1.0, 2.0])
    picks = softmax_k(np.tile(reward, (40_000, 1)), 2, temperature=2.0, rng=np.random.default_rng(0))
    p = np.exp(reward / 2) / np.exp(reward / 2).sum()
    first = np.bincount(picks[:, 0], minlength=3) / 40_000
    assert np.all(np.abs(first - p) < 5 * np.sqrt(p * (1 - p) / 40_000))
    after_2 = picks[picks[:, 0] == 2, 1]  # then 0 or 1, in proportion to what is left
    assert abs(np.mean(after_2 == 1) - p[1] / (p[0] + p[1])) < 5 * np.sqrt(0.25 / len(after_2))
    cold = softmax_k(reward, 3, temperature=1e-300, rng=np.random.default_rng(1))
    assert cold.tolist() == [2, 1, 0]


def test_top_k_orders_and_breaks_ties_low():
    np.testing.assert_array_equal(top_k(np.array([[1.0, 2.0, 2.0], [5.0, -1.0, 0.0]]), 2), [[1, 2], [0, 2]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: top_k(np.ones(3), 4), "k must be between 1 and the number of candidates, 3, got 4"),
        (lambda: random_k(3, 0, rng=np.random.default_rng(0)), "got 0"),
        (lambda: top_k(np.array([[1.0, 2.0], [np.nan, 1.0]]), 1), "reward of prompt row 1 holds a NaN"),
        (lambda: top_k(np.array([[[1.0, np.inf]]]), 1), r"prompt row \(0, 0\)"),
        (
            lambda: softmax_k(np.ones(2), 1, temperature=0.0, rng=np.random.default_rng(0)),
            "temperature must be positive",
        ),
        (lambda: facility_location(np.eye(3), 4), "k must be between"),
        (lambda: facility_location(-np.eye(3), 1), "similarity of the prompt holds a negative"),
        (lambda: facility_location(np.eye(2), 1, reward=np.ones(3)), r"expected \(2,\)"),
        (lambda: facility_location(np.eye(2), 1, reward=np.array([np.nan, 1.0])), "reward of the prompt"),
        (lambda: facility_location(np.eye(2), 1, alpha=-1.0), "alpha must be"),
        (lambda: facility_value(np.eye(2), np.array([2])), "outside 0 to 1"),
        (lambda: dpp_greedy(-np.eye(2), 1), "negative diagonal"),
        (lambda: cosine_similarity01(np.array([[np.nan]])), "NaN"),
    ],
)
def test_bad_input_is_one_clear_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@BOTH_WAYS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5])
def test_a_bad_similarity_is_named_by_its_prompt(no_numba, bad, monkeypatch):
    monkeypatch.setenv("MRTLAB_NO_NUMBA", no_numba)
    similarity = np.tile(np.eye(6), (5, 1, 1))
    similarity[3, 5, 2] = bad
    with pytest.raises(ValueError, match="similarity of prompt row 3"):
        facility_location(similarity, 2, reward=np.tile(np.arange(6.0), (5, 1)))


@BOTH_WAYS
def test_a_bad_kernel_is_named_by_its_prompt(no_numba, monkeypatch):
    monkeypatch.setenv("MRTLAB_NO_NUMBA", no_numba)
    kernel = np.tile(np.diag([1.0, 2.0, 3.0]), (5, 1, 1))
    kernel[3, 2, 0] = np.nan  # in the row of the first pick
    with pytest.raises(ValueError, match="kernel of prompt row 3"):
        dpp_greedy(kernel, 2)


def test_cosine_of_a_zero_vector():
    similarity = cosine_similarity01(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(similarity, [[0.5, 0.5], [0.5, 1.0]])
