"""Distributions over a finite set of answers: how spread they are, how far apart, how selection bends them.

Every function works on the **last axis** and broadcasts over the others, so one call serves a single prompt
``(m,)`` or a table of prompts ``(n_prompts, m)``. Logs are natural: results are in nats.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

Probs = Float[np.ndarray, "*batch m"]
PerRow = Float[np.ndarray, "*rows"] | Float[np.floating, ""] | float

_SUM_TOLERANCE = 1e-6  # probabilities written with six digits should still be accepted


def _check(p: NDArray, name: str) -> None:
    """Refuse what is not a distribution over the last axis, in one sentence."""
    if not p.ndim or not p.shape[-1]:
        raise ValueError(f"{name} is empty: expected at least one probability on the last axis")
    if not np.all(np.isfinite(p)) or np.any(p < 0):
        raise ValueError(f"{name} holds a negative or non-finite entry: expected probabilities")
    total = p.sum(-1)
    if np.any(np.abs(total - 1) > _SUM_TOLERANCE):
        worst = float(np.ravel(total)[np.argmax(np.abs(np.ravel(total) - 1))])
        raise ValueError(f"{name} sums to {worst:.6g} on its last axis: expected 1")


def _xlogx(p: NDArray) -> NDArray:
    """p·log p with the limit 0·log 0 = 0."""
    return np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0)


def entropy(p: Probs) -> PerRow:
    """Shannon entropy in nats, H(p) = −Σ p log p.

    Args:
        p: probabilities, shape (..., m); zeros are allowed.

    Returns:
        shape (...), between 0 (one sure answer) and log m (all equally likely).

    Raises:
        ValueError: p is empty, negative, not finite, or does not sum to 1.

    >>> round(float(entropy(np.array([0.5, 0.25, 0.25]))), 4)  # 1.5 bits
    1.0397
    """
    _check(p, "p")
    return -_xlogx(p).sum(-1) + 0.0  # + 0.0 turns −0.0 into 0.0


def effective_support(p: Probs) -> PerRow:
    """How many equally likely answers would be this uncertain: exp H(p).

    Args:
        p: probabilities, shape (..., m).

    Returns:
        shape (...), a number of answers between 1 and m.

    Raises:
        ValueError: as `entropy`.

    >>> float(round(effective_support(np.array([0.25] * 4)), 6))
    4.0
    """
    return np.exp(entropy(p))


def kl(p: Probs, q: Probs) -> PerRow:
    """Kullback–Leibler divergence in nats, KL(p‖q) = Σ p log(p/q).

    Args:
        p: the distribution that answers are drawn from, shape (..., m).
        q: the distribution that is charged for them, broadcastable to p.

    Returns:
        shape (...); `inf` where q gives nothing to an answer that p gives.

    Raises:
        ValueError: p or q is not a distribution.

    >>> float(round(kl(np.array([1.0, 0.0]), np.array([0.5, 0.5])), 6))  # log 2
    0.693147
    """
    _check(p, "p")
    _check(q, "q")
    with np.errstate(divide="ignore"):
        log_ratio = np.log(np.where(p > 0, p, 1.0)) - np.log(np.where(p > 0, q, 1.0))
    total = np.where(p > 0, p * log_ratio, 0.0).sum(-1)
    return np.maximum(total, 0.0)  # rounding can leave a hair below 0 where p and q are equal


def tv(p: Probs, q: Probs) -> PerRow:
    """Total variation distance, ½ Σ |p − q|: the mass that must move to turn one into the other.

    Args:
        p: probabilities, shape (..., m).
        q: probabilities, broadcastable to p.

    Returns:
        shape (...), between 0 (equal) and 1 (nothing in common).

    Raises:
        ValueError: p or q is not a distribution.

    >>> float(tv(np.array([0.5, 0.5]), np.array([1.0, 0.0])))
    0.5
    """
    _check(p, "p")
    _check(q, "q")
    return 0.5 * np.abs(p - q).sum(-1)


def expected_coverage(p: Probs, n: int | Int[np.ndarray, "*rows"]) -> PerRow:
    """Expected number of *different* answers among n independent draws, Σ 1 − (1 − p)ⁿ.

    An answer is missed by all n draws with probability (1 − p)ⁿ; add up the answers that are not missed.
    Computed as −expm1(n·log1p(−p)), which stays exact when p is tiny.

    Args:
        p: probabilities, shape (..., m).
        n: number of draws, an integer ≥ 0, or an integer array of shape (...).

    Returns:
        shape (...), a number of answers between 0 and min(n, m).

    Raises:
        ValueError: p is not a distribution or n is negative.

    >>> float(expected_coverage(np.array([0.5, 0.5]), 2))  # one answer half the time, both the other half
    1.5
    """
    _check(p, "p")
    draws = np.asarray(n, dtype=float)[..., None]
    if np.any(draws < 0):
        raise ValueError(f"n must be 0 or more draws, got {np.min(n)}")
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = np.where(draws == 0, 0.0, draws * np.log1p(-np.minimum(p, 1.0)))
    return -np.expm1(missed).sum(-1)


def tilt(p: Probs, reward: Float[np.ndarray, "*#batch m"], beta: float) -> Probs:
    """Exponential tilt of p by a reward, p(y)·exp(r(y)/β) / Z: the optimum of E[r] − β·KL(·‖p).

    Args:
        p: reference probabilities, shape (..., m).
        reward: reward of each answer, broadcastable to p, any unit.
        beta: strength of the pull back to p, > 0, in the unit of the reward.

    Returns:
        probabilities, shape (..., m). β → ∞ gives p back; β → 0 keeps only the best answers p can give.

    Raises:
        ValueError: p is not a distribution, or β ≤ 0.

    >>> tilt(np.array([0.5, 0.5]), np.array([0.0, np.log(3.0)]), beta=1.0)
    array([0.25, 0.75])
    """
    _check(p, "p")
    if not beta > 0:
        raise ValueError(f"beta must be positive, got {beta}")
    with np.errstate(divide="ignore"):
        logits = np.log(p) + reward / beta
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def best_of_n(p: Probs, reward: Float[np.ndarray, "*#batch m"], n: int) -> Probs:
    """Exact law of the best of n draws: answer y wins with probability F(r_y)ⁿ − F(r_y⁻)ⁿ, shared among ties.

    F is the reward's distribution function under p. Answers with the same reward split their level's mass in
    proportion to p, as picking the first of equal draws does.

    Args:
        p: probabilities of one draw, shape (..., m).
        reward: reward of each answer, broadcastable to p.
        n: number of draws, ≥ 1.

    Returns:
        probabilities, shape (..., m); n = 1 gives p back.

    Raises:
        ValueError: p is not a distribution, or n < 1.

    >>> best_of_n(np.array([0.5, 0.5]), np.array([0.0, 1.0]), n=2)  # the worse one only if drawn twice
    array([0.25, 0.75])
    """
    _check(p, "p")
    if n < 1:
        raise ValueError(f"n must be at least 1 draw, got {n}")
    rewards = np.broadcast_to(reward, p.shape)
    same = rewards[..., :, None] == rewards[..., None, :]  # (..., y, z): is z at y's level?
    below = rewards[..., None, :] < rewards[..., :, None]  # (..., y, z): is z worse than y?
    level = np.where(same, p[..., None, :], 0.0).sum(-1)
    under = np.minimum(np.where(below, p[..., None, :], 0.0).sum(-1), 1.0)
    level_wins = np.minimum(under + level, 1.0) ** n - under**n
    return np.where(level > 0, p / np.where(level > 0, level, 1.0) * level_wins, 0.0)
