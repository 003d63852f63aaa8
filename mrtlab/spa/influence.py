"""How much training on each example helps each query: any number of queries, from one gradient pass.

Sign: everywhere here a positive score means *helpful*. A small step of gradient descent on the example lowers the
query's loss, S = +g_queryᵀ H⁻¹ g_example. (The formula that SPA prints has a minus, and its partition takes the largest
score; taken at its word that hands each example to the query it helps least.)

G is (n, p), a row for each example, and may be a memory map; V is (m, p), a row for each query. Scores are (n, m).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg

Rows = Float[np.ndarray, "n p"]
Queries = Float[np.ndarray, "m _p"]  # as wide as G: checked below, with a remedy
Scores = Float[np.ndarray, "n m"]

DAMPING = 0.1  # of the mean diagonal of the curvature, as DataInf takes it
_CHUNK = 2**23  # numbers in double precision at once: 64 MB
_LARGEST = 20_000  # rows of a matrix that is solved: 3.2 GB


def grad_dot(gradients: Rows, queries: Queries) -> Scores:
    """C = G Vᵀ: by how much a step of size one on the example lowers the query's loss, to first order.

    Raises:
        ValueError: rows of different widths.

    >>> grad_dot(np.array([[1.0, 0.0], [1.0, -1.0]]), np.array([[2.0, 3.0]])).tolist()
    [[2.0], [-1.0]]
    """
    _check(gradients, queries)
    return _times(gradients, np.asarray(queries, dtype=np.float64).T)


def cosine(gradients: Rows, queries: Queries) -> Scores:
    """Products of directions, ⟨g, v⟩ / (|g||v|), from −1 to 1; 0 where a gradient is zero.

    Raises:
        ValueError: rows of different widths.

    >>> cosine(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[1.0, 0.0]])).tolist()
    [[0.6], [0.0]]
    """
    sizes = np.sqrt(_square_norms(gradients))[:, None] * np.sqrt(_square_norms(queries))
    dot = grad_dot(gradients, queries)
    return np.divide(dot, sizes, out=np.zeros_like(dot), where=sizes > 0)


def datainf(
    gradients: Rows, queries: Queries, *, damping: float = DAMPING, blocks: Sequence[slice] | None = None
) -> Scores:
    """DataInf: the mean of the inverses in place of the inverse of the mean, block by block.

    S = Σ_blocks (1/λ)·[C − (1/n)·K·diag(λ + diag K)⁻¹·C],   C = G Vᵀ,  K = G Gᵀ,  λ = damping · mean(G²),

    which swaps the order in (1/n Σ g gᵀ + λI)⁻¹ and is exact for n = 1. K is never built: the cost is linear in n.

    Args:
        gradients: G.
        queries: V.
        damping: λ relative to the mean square of a block's gradients.
        blocks: columns of each block; by default one block. A block whose gradients are all zero counts nothing.

    Raises:
        ValueError: rows of different widths, or damping is not positive.

    Source: DataInf (ICLR 2024) as in the SPA sheet, sections 7 and 9; claim SPA-09.

    >>> datainf(np.array([[2.0]]), np.array([[1.0]]), damping=0.25).round(6).tolist()  # 2·1/(4 + 1)
    [[0.4]]
    """
    total = np.zeros((len(gradients), len(queries)))
    for g, v, lam in _blocks(gradients, queries, damping, blocks):
        dot = _times(g, v.T)
        shrunk = dot / (lam + _square_norms(g))[:, None]
        total += (dot - _times(g, _transposed_times(g, shrunk)) / len(g)) / lam
    return total


def fisher(
    gradients: Rows, queries: Queries, *, damping: float = DAMPING, blocks: Sequence[slice] | None = None
) -> Scores:
    """Influence under the damped empirical Fisher matrix, exact, solved on its smaller side.

    S = G·(GᵀG/n + λI)⁻¹·Vᵀ = n·(K + nλI)⁻¹·C,   K = G Gᵀ,  C = G Vᵀ,  λ = damping · mean(G²).

    The left side is the primal, a p × p system; the right one the dual, n × n. Both are the same numbers.

    Args:
        gradients: G.
        queries: V.
        damping: λ relative to the mean diagonal of GᵀG/n.
        blocks: columns of each block of a block-diagonal matrix; by default one block, the whole matrix. A block whose
            gradients are all zero counts nothing.

    Raises:
        ValueError: rows of different widths, damping is not positive, or both sides are too large to solve.

    Source: the SPA sheet, section 9, step 3; claim SPA-09.

    >>> fisher(np.array([[2.0]]), np.array([[1.0]]), damping=0.25).round(6).tolist()  # 2·1/(4 + 1)
    [[0.4]]
    """
    total = np.zeros((len(gradients), len(queries)))
    for g, v, lam in _blocks(gradients, queries, damping, blocks):
        n, p = g.shape
        if min(n, p) > _LARGEST:
            raise ValueError(
                f"{n:,} examples with {p:,} numbers each: the smaller side may be {_LARGEST:,} at most. Project the "
                "gradients to fewer features, or use datainf, which solves nothing"
            )
        if n <= p:
            matrix = gram(g)
            matrix[np.diag_indices(n)] += n * lam
            total += n * linalg.solve(matrix, _times(g, v.T), assume_a="pos", overwrite_a=True)
        else:
            matrix = _transposed_times(g, g) / n
            matrix[np.diag_indices(p)] += lam
            total += _times(g, linalg.solve(matrix, v.T, assume_a="pos", overwrite_a=True))
    return total


def gram(gradients: Rows) -> Float[np.ndarray, "n n"]:
    """K = G Gᵀ in double precision, a few columns of G at a time.

    >>> gram(np.array([[1.0, 2.0], [0.0, 3.0]])).tolist()
    [[5.0, 6.0], [6.0, 9.0]]
    """
    n, p = gradients.shape
    matrix = np.zeros((n, n))
    step = max(1, _CHUNK // n)
    for start in range(0, p, step):
        part = np.asarray(gradients[:, start : start + step], dtype=np.float64)
        matrix += part @ part.T
    return matrix


def most_varied(scores: Scores, k: int) -> Int[np.ndarray, "k"]:
    """Places of the k queries whose scores vary most over the examples, in order: which queries SPA keeps.

    Raises:
        ValueError: k is below 1, or there are fewer queries.

    Source: SPA, section 5.1: 8 of 12.

    >>> most_varied(np.array([[0.0, 5.0, 1.0], [0.0, 9.0, 2.0]]), 2).tolist()
    [1, 2]
    """
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k must lie between 1 and the number of queries, {scores.shape[1]}, got {k}")
    return np.sort(np.argsort(-scores.var(axis=0), kind="stable")[:k])


def _blocks(
    gradients: Rows, queries: Queries, damping: float, blocks: Sequence[slice] | None
) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """For each block that has any gradient its part of G and of V, and its λ."""
    _check(gradients, queries)
    if not 0 < damping < np.inf:
        raise ValueError(f"damping must be a positive number, got {damping}")
    found = []
    for columns in blocks or [slice(None)]:
        part = gradients[:, columns]
        mean = _square_norms(part).sum() / part.size
        if mean > 0:
            found.append((part, np.asarray(queries[:, columns], dtype=np.float64), float(damping * mean)))
    return found


def _check(gradients: Rows, queries: Queries) -> None:
    if gradients.shape[1] != queries.shape[1]:
        raise ValueError(
            f"gradients have {gradients.shape[1]:,} numbers and queries {queries.shape[1]:,}: collect both with the "
            "same adapter, number of features and seed"
        )


def _chunks(rows: Rows) -> list[slice]:
    step = max(1, _CHUNK // rows.shape[1])
    return [slice(start, start + step) for start in range(0, len(rows), step)]


def _square_norms(rows: Rows) -> Float[np.ndarray, "n"]:
    return np.concatenate([np.square(np.asarray(rows[at], dtype=np.float64)).sum(1) for at in _chunks(rows)])


def _times(rows: Rows, right: Float[np.ndarray, "p m"]) -> Scores:
    """G·X in double precision, a few rows of G at a time."""
    return np.concatenate([np.asarray(rows[at], dtype=np.float64) @ right for at in _chunks(rows)])


def _transposed_times(rows: Rows, right: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "p m"]:
    """Gᵀ·X in double precision, a few rows at a time."""
    total = np.zeros((rows.shape[1], right.shape[1]))
    for at in _chunks(rows):
        total += np.asarray(rows[at], dtype=np.float64).T @ right[at]
    return total
