"""Linear equations over GF(2), where 1 + 1 = 0: all solutions at once, for many systems at once.

A parity of bits is a linear function over GF(2), so the parities that agree with some labelled examples are the
solutions of linear equations. `solve` returns all of them as one `SolutionSet`, batched over leading axes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8

Bits = UInt8[np.ndarray, "..."]


@dataclass(frozen=True)
class SolutionSet:
    """Every solution of a batch of systems A·w = b over GF(2).

    Unknown j is a *pivot* when an equation fixes it given the free ones: w_j = rhs_j + Σ_free rows[j, k]·w_k.

    Attributes:
        rows: the reduced equation of each pivot, zeros for free unknowns, (*batch, d, d).
        rhs: its right-hand side, zeros for free unknowns, (*batch, d).
        pivot: which unknowns are pivots, (*batch, d).
        consistent: does the system have a solution at all, (*batch,).
    """

    rows: UInt8[np.ndarray, "*batch d d"]
    rhs: UInt8[np.ndarray, "*batch d"]
    pivot: Bool[np.ndarray, "*batch d"]
    consistent: Bool[np.ndarray, "*batch"]

    @property
    def rank(self) -> Int[np.ndarray, "*batch"]:
        """Number of independent equations, (*batch,)."""
        return np.asarray(self.pivot.sum(-1))

    @property
    def log2_size(self) -> Int[np.ndarray, "*batch"]:
        """log₂ of the number of solutions, d − rank, in bits; −1 where there is none."""
        return np.where(self.consistent, self.pivot.shape[-1] - self.rank, -1)

    def sample(self, *, rng: np.random.Generator) -> UInt8[np.ndarray, "*batch d"]:
        """Draw one solution of each system, all equally likely: toss a coin for each free unknown.

        Raises:
            ValueError: some system has no solution.

        >>> both = solve(np.array([[1, 1]], np.uint8), np.array([1], np.uint8))  # w₁ + w₂ = 1
        >>> bool(both.sample(rng=np.random.default_rng(0)).sum() == 1)
        True
        """
        if not np.all(self.consistent):
            raise ValueError(f"{int(np.sum(~self.consistent))} of the systems have no solution: nothing to draw from")
        free = rng.integers(2, size=self.pivot.shape, dtype=np.uint8) * ~self.pivot
        return np.where(self.pivot, self.rhs ^ parity(self.rows, free[..., None, :]), free)


def parity(bits: Bits, mask: Bits) -> Bits:
    """Parity of the chosen bits, Σ bits·mask mod 2 over the last axis; the other axes broadcast.

    Args:
        bits: zeros and ones, uint8, shape (..., d).
        mask: which bits count, uint8, broadcastable to bits.

    Returns:
        zeros and ones, uint8, shape (...).

    >>> parity(np.array([[1, 1, 1], [1, 0, 1]], np.uint8), np.array([1, 1, 0], np.uint8))
    array([0, 1], dtype=uint8)
    """
    return np.asarray(np.bitwise_xor.reduce(bits & mask, axis=-1))


def solve(equations: UInt8[np.ndarray, "*batch m d"], rhs: UInt8[np.ndarray, "*batch m"]) -> SolutionSet:
    """Solve A·w = b over GF(2) by Gauss–Jordan elimination, keeping every solution.

    A row of zeros with right-hand side 0 says nothing, so ragged systems can be padded with it.
    Work and memory grow as m·d per column of A, times the batch.

    Args:
        equations: A, one equation per row, zeros and ones, (*batch, m, d).
        rhs: b, (*batch, m).

    Returns:
        the set of all solutions, with `rank`, `log2_size` and `sample`.

    Raises:
        ValueError: an entry is not 0 or 1.

    >>> found = solve(np.array([[1, 1, 0], [0, 1, 1]], np.uint8), np.array([1, 0], np.uint8))
    >>> int(found.rank), int(found.log2_size)  # two equations, three unknowns: 2¹ solutions, 100 and 011
    (2, 1)
    """
    if np.any(equations > 1) or np.any(rhs > 1):
        raise ValueError("equations over GF(2) hold only zeros and ones")
    *batch, m, d = equations.shape
    table = np.concatenate([equations, rhs[..., None]], axis=-1).reshape(int(np.prod(batch)), m, d + 1)
    systems = np.arange(len(table))
    unused = np.ones((len(table), m), bool)
    pivot = np.zeros((len(table), d), bool)
    row_of = np.zeros((len(table), d), int)
    for column in range(d if m else 0):
        usable = (table[:, :, column] == 1) & unused
        row = usable.argmax(1)
        found = usable[systems, row]
        clear = (table[:, :, column] == 1) & found[:, None]
        clear[systems, row] = False
        table ^= clear[:, :, None] * table[systems, row][:, None, :]
        unused[systems[found], row[found]] = False
        pivot[:, column], row_of[:, column] = found, row
    # rows that gave no pivot are zero on the left by now; a 1 on the right is the equation 0 = 1
    consistent = ~np.any(unused & (table[:, :, d] == 1), axis=1)
    reduced = table[systems[:, None], row_of] * pivot[:, :, None] if m else np.zeros((len(table), d, d + 1), np.uint8)
    return SolutionSet(
        rows=reduced[:, :, :d].reshape(*batch, d, d),
        rhs=reduced[:, :, d].reshape(*batch, d),
        pivot=pivot.reshape(*batch, d),
        consistent=consistent.reshape(tuple(batch)),
    )
