"""Greedy loops of selection, in plain NumPy. `selection.py` calls `facility` and `dpp`; users call `selection.py`.

Where numba is installed the same loops run compiled (`greedy_compiled.py`), with equal picks. Set the environment
variable MRTLAB_NO_NUMBA=1 to do without it.

Both loops share one rule for ties: gains closer than a tiny share of the first gain count as equal, and the
lowest index wins. Sums in another order differ in their last digit, so without the rule two equal answers could
change places from one machine to the next.
"""

import functools
import importlib.util
import os
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

FACILITY_TIE = 1e-12  # of the first gain: a thousand times the rounding of a sum of 64 terms
DPP_TIE = 1e-10  # of the largest diagonal: below it, what is left is rounding of the factorisation
_TILE = 1 << 15  # numbers per working array, 256 KiB: stays in the cache of one core


def compiled() -> ModuleType | None:
    """The compiled loops, or None if numba is not installed or MRTLAB_NO_NUMBA is set."""
    return None if os.environ.get("MRTLAB_NO_NUMBA") not in (None, "", "0") else _load_compiled()


@functools.cache
def _load_compiled() -> ModuleType | None:
    """Import numba only when a selection is asked for: it takes half a second."""
    if importlib.util.find_spec("numba") is None:
        return None
    from mrtlab.theory import greedy_compiled

    return greedy_compiled


def facility(similarity: NDArray, seek: NDArray | None, serve: NDArray | None, k: int) -> tuple[NDArray, int]:
    """Greedy facility location, K steps per prompt: pick the j that adds most to Σ_i b_i max_{j∈S} a_j s_ij.

    Args:
        similarity: s, (B, N, N), float64 and C-contiguous; candidate j serves candidate i.
        seek: b, weight of being served, (B, N); None together with `serve` for weights of 1.
        serve: a, how well a candidate serves, (B, N).
        k: picks per prompt.

    Returns:
        the picks in order, (B, K), and the first prompt whose similarity is negative or not finite (−1: none).
    """
    kernels = compiled()
    picks = np.zeros((len(similarity), k), dtype=np.int64)
    if kernels is not None:
        ones = np.empty((0, 0))
        weighted = seek is not None
        bad = kernels.facility(similarity, seek if weighted else ones, serve if weighted else ones, weighted, picks)
        return picks, int(bad)
    return facility_plain(similarity, seek, serve, k)


def facility_plain(similarity: NDArray, seek: NDArray | None, serve: NDArray | None, k: int) -> tuple[NDArray, int]:
    """`facility` without numba: the same picks, prompts in batches that fit the cache."""
    picks = np.zeros((len(similarity), k), dtype=np.int64)
    tile = max(1, _TILE // max(1, similarity.shape[-1] ** 2))
    for start in range(0, len(similarity), tile):
        part = slice(start, start + tile)
        value = similarity[part]
        wrong = ~(np.isfinite(value) & (value >= 0)).all(axis=(1, 2))
        if wrong.any():
            return picks, start + int(np.argmax(wrong))
        if seek is not None and serve is not None:
            value = value * serve[part, None, :] * seek[part, :, None]
        picks[part] = _facility_tile(value, k)
    return picks, -1


def _facility_tile(value: NDArray, k: int) -> NDArray:
    """Plain greedy on weighted similarities b_i a_j s_ij, (B, N, N); a few prompts at a time."""
    rows = np.arange(len(value))
    picks = np.zeros((len(value), k), dtype=np.int64)
    served = np.zeros(value.shape[:2])  # how well each i is served so far
    taken = np.zeros(value.shape[:2], dtype=bool)
    tolerance = np.zeros((len(value), 1))
    for step in range(k):
        gain = np.maximum(value, served[:, :, None]).sum(1) - served.sum(1)[:, None]
        gain[taken] = -np.inf
        best = gain.max(1, keepdims=True)
        if step == 0:
            tolerance = FACILITY_TIE * best
        pick = np.argmax(gain >= best - tolerance, axis=1)  # argmax of booleans: the first True
        picks[:, step], taken[rows, pick] = pick, True
        served = np.maximum(served, value[rows, :, pick])
    return picks


def dpp(kernel: NDArray, k: int) -> tuple[NDArray, int]:
    """Greedy MAP of a determinantal point process, K steps per prompt, by incremental Cholesky.

    Args:
        kernel: L, (B, N, N), float64, C-contiguous, symmetric positive semi-definite.
        k: picks per prompt.

    Returns:
        the picks in order, (B, K), and the first prompt whose kernel has a negative diagonal or a non-finite entry
        among those that were looked at, the diagonal and the rows of the picks but the last (−1: none).
    """
    picks = np.zeros((len(kernel), k), dtype=np.int64)
    diagonal = np.diagonal(kernel, axis1=1, axis2=2)
    wrong = ~((diagonal >= 0) & (diagonal < np.inf)).all(1)
    kernels = compiled()
    if wrong.any():
        return picks, int(np.argmax(wrong))
    if kernels is not None:
        return picks, int(kernels.dpp(kernel, picks))
    tile = max(1, _TILE // max(1, kernel.shape[-1] * max(k, 1)))
    for start in range(0, len(kernel), tile):
        picks[start : start + tile], wrong = _dpp_tile(kernel[start : start + tile], k)
        if wrong.any():
            return picks, start + int(np.argmax(wrong))
    return picks, -1


def _dpp_tile(kernel: NDArray, k: int) -> tuple[NDArray, NDArray]:
    """Fast greedy MAP, O(K²N) per prompt, a few prompts at a time: the picks, and which prompts are not finite."""
    rows = np.arange(len(kernel))
    picks = np.zeros((len(kernel), k), dtype=np.int64)
    left = np.diagonal(kernel, axis1=1, axis2=2).copy()  # squared distance of j from the span of the picks
    factor = np.zeros((len(kernel), k, kernel.shape[-1]))  # rows of the Cholesky factor
    tolerance = DPP_TIE * left.max(1, initial=0.0, keepdims=True)
    wrong = np.zeros(len(kernel), dtype=bool)
    for step in range(k):
        best = left.max(1, keepdims=True)
        pick = np.argmax(left >= best - tolerance, axis=1)
        height = left[rows, pick]
        picks[:, step] = pick
        if step + 1 == k:
            break
        wrong |= ~np.isfinite(kernel[rows, pick]).all(1)
        if wrong.any():
            break
        known = factor[:, :step]
        row = kernel[rows, pick] - (known * known[rows, :, pick][:, :, None]).sum(1)
        alive = height[:, None] > tolerance  # otherwise the volume is used up and nothing changes any more
        row = np.where(alive, row / np.sqrt(np.where(alive, height[:, None], 1.0)), 0.0)
        factor[:, step] = row
        left = np.maximum(left - row**2, 0.0)
        left[rows, picks[:, :step].T] = -np.inf
        left[rows, pick] = -np.inf
    return picks, wrong
