"""Elimination over GF(2) against enumeration of all assignments."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.theory.gf2 import parity, solve


def all_bits(d: int) -> np.ndarray:
    return np.array(list(itertools.product([0, 1], repeat=d)), np.uint8)


def brute_force(equations: np.ndarray, rhs: np.ndarray) -> set[tuple[int, ...]]:
    every = all_bits(equations.shape[1])
    fits = np.all((every @ equations.T) % 2 == rhs, axis=1)
    return {tuple(int(b) for b in w) for w in every[fits]}


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), m=st.integers(0, 7), d=st.integers(1, 5))
def test_the_solution_set_is_the_enumerated_one(seed: int, m: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    equations = rng.integers(2, size=(m, d), dtype=np.uint8)
    rhs = rng.integers(2, size=m, dtype=np.uint8)
    expected = brute_force(equations, rhs)
    found = solve(equations, rhs)
    assert bool(found.consistent) == bool(expected)
    if not expected:
        assert int(found.log2_size) == -1
        return
    assert 2 ** int(found.log2_size) == len(expected)
    drawn = {tuple(int(b) for b in found.sample(rng=rng)) for _ in range(30)}
    assert drawn <= expected


def test_samples_reach_every_solution_equally_often() -> None:
    equations = np.tile(np.array([[1, 1, 0, 1]], np.uint8), (4000, 1, 1))
    found = solve(equations, np.ones((4000, 1), np.uint8))
    drawn = found.sample(rng=np.random.default_rng(0))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 8
    # 500 expected each; binomial sd 20.9, so 5 sd on either side
    assert np.all(np.abs(counts - 500) < 105)


def test_a_batch_equals_its_members() -> None:
    rng = np.random.default_rng(3)
    equations = rng.integers(2, size=(2, 5, 4, 6), dtype=np.uint8)
    rhs = rng.integers(2, size=(2, 5, 4), dtype=np.uint8)
    together = solve(equations, rhs)
    for i, j in itertools.product(range(2), range(5)):
        alone = solve(equations[i, j], rhs[i, j])
        np.testing.assert_array_equal(together.rows[i, j], alone.rows)
        np.testing.assert_array_equal(together.rhs[i, j], alone.rhs)
        assert together.consistent[i, j] == alone.consistent
        assert together.rank[i, j] == alone.rank


def test_rank_of_random_square_systems() -> None:
    """A random 8 × 8 matrix over GF(2) is invertible with probability Π (1 − 2⁻ⁱ) = 0.2899."""
    rng = np.random.default_rng(1)
    found = solve(rng.integers(2, size=(4000, 8, 8), dtype=np.uint8), np.zeros((4000, 8), np.uint8))
    exact = np.prod(1 - 0.5 ** np.arange(1, 9))
    assert abs(np.mean(found.rank == 8) - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000)


def test_input_is_left_alone_and_padding_says_nothing() -> None:
    rng = np.random.default_rng(5)
    equations, rhs = rng.integers(2, size=(3, 5), dtype=np.uint8), np.zeros(3, np.uint8)
    before = equations.copy()
    padded = solve(np.vstack([equations, np.zeros((4, 5), np.uint8)]), np.zeros(7, np.uint8))
    np.testing.assert_array_equal(padded.rows, solve(equations, rhs).rows)
    np.testing.assert_array_equal(equations, before)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="zeros and ones"):
        solve(np.array([[2]], np.uint8), np.array([0], np.uint8))
    contradiction = solve(np.array([[1], [1]], np.uint8), np.array([0, 1], np.uint8))
    with pytest.raises(ValueError, match="no solution"):
        contradiction.sample(rng=np.random.default_rng(0))


def test_parity_is_the_dot_product_mod_two() -> None:
    rng = np.random.default_rng(2)
    bits, mask = rng.integers(2, size=(20, 9), dtype=np.uint8), rng.integers(2, size=9, dtype=np.uint8)
    np.testing.assert_array_equal(parity(bits, mask), bits.astype(int) @ mask.astype(int) % 2)
