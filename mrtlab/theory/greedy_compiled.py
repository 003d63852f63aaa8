"""The greedy loops of `greedy.py`, compiled by numba: one prompt after another, nothing allocated in between.

Facility location keeps the gains and *updates* them. A new pick raises the service of some candidates i from
`low` to `high`; every gain falls by clip(value_ij, low, high) − low for these i and for no other. After the first
pick few i improve, so a step costs |improved|·N instead of N². The loop over j is innermost and runs over
contiguous memory, so that it becomes vector instructions; four rows at a time save three of four loads and stores
of the gains. Double precision throughout.
"""

from typing import no_type_check  # numba compiles bare functions: the tests' type checks must not wrap them

import numpy as np
from numba import njit

from mrtlab.theory.greedy import DPP_TIE, FACILITY_TIE


@njit(cache=True, nogil=True)
@no_type_check
def facility(similarity, seek, serve, weighted, picks):
    """Fill `picks`, (B, K); return the first prompt with a negative or non-finite similarity, or −1."""
    n_prompts, n = similarity.shape[:2]
    k = picks.shape[1]
    buffer = np.empty((n, n) if weighted else (0, 0))
    gain, lowest = np.empty(n), np.empty(n)
    served, improved = np.empty(n), np.empty(n, dtype=np.int64)
    for prompt in range(n_prompts):
        raw = similarity[prompt]
        if weighted:
            for i in range(n):
                for j in range(n):
                    buffer[i, j] = raw[i, j] * serve[prompt, j] * seek[prompt, i]
            value = buffer
        else:
            value = raw
        _column_sums(value, gain, lowest)
        for j in range(n):
            if not (lowest[j] >= 0 and gain[j] < np.inf):
                return prompt
        served[:] = 0.0
        tolerance = 0.0
        for step in range(k):
            best = _largest(gain)
            if step == 0:
                tolerance = FACILITY_TIE * best
            pick = 0
            while gain[pick] < best - tolerance:
                pick += 1
            picks[prompt, step] = pick
            if step + 1 == k:
                break
            count = 0
            for i in range(n):  # no branch: half of them would be mispredicted, at 15 cycles each
                improved[count] = i
                count += 1 if value[i, pick] > served[i] else 0
            _lower_gains(value, improved, count, pick, served, gain)
            gain[pick] = -np.inf
    return -1


@njit(cache=True, nogil=True)
@no_type_check
def _column_sums(value, total, lowest):
    """total_j = Σ_i value_ij; lowest_j = min_i value_ij."""
    n = len(total)
    total[:], lowest[:] = 0.0, np.inf
    for first in range(0, n - n % 4, 4):
        v0, v1, v2, v3 = value[first], value[first + 1], value[first + 2], value[first + 3]
        for j in range(n):
            total[j] += (v0[j] + v1[j]) + (v2[j] + v3[j])
            small = _smaller(_smaller(v0[j], v1[j]), _smaller(v2[j], v3[j]))
            lowest[j] = _smaller(small, lowest[j])
    for i in range(n - n % 4, n):
        for j in range(n):
            total[j] += value[i, j]
            lowest[j] = _smaller(value[i, j], lowest[j])


@njit(cache=True, nogil=True)
@no_type_check
def _lower_gains(value, improved, count, pick, served, gain):
    """gain_j −= Σ clip(value_ij, low, high) over the improved i, whose service rises from low to high.

    The constant Σ low is left out: it changes no order.
    """
    for at in range(0, count - count % 4, 4):
        i0, i1, i2, i3 = improved[at], improved[at + 1], improved[at + 2], improved[at + 3]
        v0, v1, v2, v3 = value[i0], value[i1], value[i2], value[i3]
        l0, l1, l2, l3 = served[i0], served[i1], served[i2], served[i3]
        h0, h1, h2, h3 = v0[pick], v1[pick], v2[pick], v3[pick]
        served[i0], served[i1], served[i2], served[i3] = h0, h1, h2, h3
        for j in range(len(gain)):
            pair = _clip(v0[j], l0, h0) + _clip(v1[j], l1, h1)
            gain[j] -= pair + (_clip(v2[j], l2, h2) + _clip(v3[j], l3, h3))
    for at in range(count - count % 4, count):
        row, low = value[improved[at]], served[improved[at]]
        high = row[pick]
        served[improved[at]] = high
        for j in range(len(gain)):
            gain[j] -= _clip(row[j], low, high)


@njit(cache=True, nogil=True)
@no_type_check
def _largest(x):
    """max x, in four strands: a single running maximum waits for itself at every entry."""
    m0 = m1 = m2 = m3 = x[0]
    for j in range(0, len(x) - len(x) % 4, 4):
        m0, m1 = _larger(x[j], m0), _larger(x[j + 1], m1)
        m2, m3 = _larger(x[j + 2], m2), _larger(x[j + 3], m3)
    for j in range(len(x) - len(x) % 4, len(x)):
        m0 = _larger(x[j], m0)
    return _larger(_larger(m0, m1), _larger(m2, m3))


@njit(inline="always")
@no_type_check
def _larger(x, y):
    return x if x > y else y


@njit(inline="always")
@no_type_check
def _smaller(x, y):
    """The smaller one, as one machine instruction; the builtin min takes more care of NaN than is needed here."""
    return x if x < y else y


@njit(inline="always")
@no_type_check
def _clip(x, lo, hi):
    """x limited to [lo, hi]."""
    x = x if x > lo else lo
    return x if x < hi else hi


@njit(cache=True, nogil=True)
@no_type_check
def dpp(kernel, picks):
    """Fill `picks`, (B, K), by fast greedy MAP; return the first prompt with a non-finite row, or −1."""
    n_prompts, n = kernel.shape[:2]
    k = picks.shape[1]
    factor, left = np.empty((k, n)), np.empty(n)
    for prompt in range(n_prompts):
        largest = 0.0
        for j in range(n):
            left[j] = kernel[prompt, j, j]
            largest = max(largest, left[j])
        tolerance = DPP_TIE * largest
        for step in range(k):
            best = _largest(left)
            pick = 0
            while left[pick] < best - tolerance:
                pick += 1
            picks[prompt, step] = pick
            if step + 1 < k and not _project_out(kernel[prompt, pick], factor, left, pick, step, tolerance):
                return prompt
            left[pick] = -np.inf
    return -1


@njit(cache=True, nogil=True)
@no_type_check
def _project_out(given, factor, left, pick, step, tolerance):
    """Take the direction of the pick out of every other candidate; False if the pick's row is not finite."""
    n, row, size = len(left), factor[step], 0.0
    for j in range(n):
        row[j] = given[j]
        size += abs(given[j])
    if not size < np.inf:
        return False
    if not left[pick] > tolerance:  # the volume is used up: nothing changes any more
        row[:] = 0.0
        return True
    scale = 1 / np.sqrt(left[pick])
    for t in range(step):
        known, weight = factor[t], factor[t, pick]
        for j in range(n):
            row[j] -= weight * known[j]
    for j in range(n):
        row[j] *= scale
        rest = left[j] - row[j] * row[j]
        left[j] = rest if rest > 0 or left[j] == -np.inf else 0.0
    return True
