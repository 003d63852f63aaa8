"""What reward costs in divergence: best-of-n beside the exponential tilt, the cheapest law at every reward.

All on one prompt, shape (m,): a reference policy p and a reward for each answer. KL is always from the reference,
KL(π‖p), in nats. "log n − (n − 1)/n" is a *bound* on best-of-n's KL; `best_of_n_kl_gap` says by how much it misses.

Ties matter here, although they never change the expected reward. `best_of_n` lets equal draws share their level in
proportion to p, which costs the least divergence; breaking ties by the order of the arms costs a little more.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq

from mrtlab.theory.distributions import PerRow, Probs, _check, best_of_n, kl, tilt

Law = Float[np.ndarray, " m"]


def best_of_n_kl(p: Probs, reward: Float[np.ndarray, "*#batch m"], n: int) -> PerRow:
    """Exact divergence of the best of n draws from one draw, KL(π_n‖p).

    Args:
        p: probabilities of one draw, shape (..., m).
        reward: reward of each answer, broadcastable to p.
        n: number of draws, ≥ 1.

    Returns:
        shape (...), nats; at most log n − (n − 1)/n, and at most −log of the best level's mass.

    Raises:
        ValueError: p is not a distribution, or n < 1.

    Source: best_of_n sheet, section 6 (Beirami et al., arXiv 2401.01879, for the bound).

    >>> float(best_of_n_kl(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 2).round(4))  # ¼ log ½ + ¾ log 3/2
    0.1308
    """
    return kl(best_of_n(p, reward, n), p)


def best_of_n_kl_bound(n: int | Int[np.ndarray, "*rows"]) -> PerRow:
    """Best-of-n's divergence if no two draws could tie, log n − (n − 1)/n.

    Exact for a reward with a continuous law; an upper bound for any law with atoms, so for any finite set of answers.

    Args:
        n: number of draws, ≥ 1, an integer or an array of integers.

    Returns:
        the shape of n, nats.

    Raises:
        ValueError: n < 1.

    Source: best_of_n sheet, section 6.

    >>> round(float(best_of_n_kl_bound(2)), 4)  # log 2 − ½
    0.1931
    """
    draws = np.asarray(n, dtype=float)
    if np.any(draws < 1):
        raise ValueError(f"n must be at least 1 draw, got {np.min(n)}")
    return np.log(draws) - (draws - 1) / draws


def best_of_n_kl_gap(p: Probs, reward: Float[np.ndarray, "*#batch m"], n: int) -> PerRow:
    """How much the bound overstates best-of-n's divergence, log n − (n − 1)/n − KL(π_n‖p) ≥ 0.

    By the chain rule the gap is what ties hide: Σ_levels π_n(level) · KL(law of the winner's rank inside the level ‖
    uniform). Small atoms hide little; one atom with most of the best mass hides nearly everything as n grows.

    Args:
        p: probabilities of one draw, shape (..., m).
        reward: reward of each answer, broadcastable to p.
        n: number of draws, ≥ 1.

    Returns:
        shape (...), nats, ≥ 0 up to rounding.

    Raises:
        ValueError: p is not a distribution, or n < 1.

    Source: best_of_n sheet, section 6; the chain-rule form is ours.

    >>> float(best_of_n_kl_gap(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 2).round(4))  # 0.1931 − 0.1308
    0.0623
    """
    return best_of_n_kl_bound(n) - best_of_n_kl(p, reward, n)


@dataclass(frozen=True)
class Frontier:
    """The tilt's reward and cost along a path of β.

    Attributes:
        beta: strength of the pull back to the reference, in the unit of the reward, (n_points,).
        reward: expected reward of the tilt at each β, (n_points,).
        kl: its divergence from the reference, nats, (n_points,).
    """

    beta: Float[np.ndarray, " n_points"]
    reward: Float[np.ndarray, " n_points"]
    kl: Float[np.ndarray, " n_points"]


def tilt_frontier(p: Law, reward: Law, betas: Float[np.ndarray, " n_points"]) -> Frontier:
    """Reward against divergence of the tilts p·exp(r/β)/Z: no policy has more reward at the same divergence.

    Args:
        p: reference probabilities, shape (m,).
        reward: reward of each answer, shape (m,).
        betas: strengths of the pull back to p, each > 0, shape (n_points,).

    Returns:
        the frontier, one point for each β, in the given order.

    Raises:
        ValueError: p is not a distribution, or a β ≤ 0.

    Source: preference sheet, section 6 (Lemma 6.1's identity); best_of_n sheet, section 6.

    >>> tilt_frontier(np.array([0.5, 0.5]), np.array([0.0, 1.0]), np.array([1 / np.log(3)])).reward  # weights 1 : 3
    array([0.75])
    """
    tilts = np.stack([tilt(p, reward, float(beta)) for beta in betas])
    return Frontier(betas, tilts @ reward, np.asarray(kl(tilts, np.broadcast_to(p, tilts.shape))))


def tilt_beta_for_reward(p: Law, reward: Law, target: float) -> float:
    """The β whose tilt earns the target: the least divergence that buys this much reward.

    Args:
        p: reference probabilities, shape (m,).
        reward: reward of each answer, shape (m,).
        target: wanted expected reward, from that of p up to (not including) the best answer's that p can give.

    Returns:
        β > 0 in the unit of the reward; `inf` when p already earns the target.

    Raises:
        ValueError: p is not a distribution, or no tilt with β > 0 earns the target.

    >>> round(tilt_beta_for_reward(np.array([0.5, 0.5]), np.array([0.0, np.log(3.0)]), 0.75 * np.log(3.0)), 9)
    1.0
    """
    _check(p, "p")
    best = float(reward[p > 0].max())
    return _solve(lambda beta: float(tilt(p, reward, beta) @ reward), target, float(p @ reward), best, reward, "reward")


def tilt_beta_for_kl(p: Law, reward: Law, budget: float) -> float:
    """The β whose tilt spends the budget: the most reward at this divergence.

    Args:
        p: reference probabilities, shape (m,).
        reward: reward of each answer, shape (m,).
        budget: KL to spend, nats, from 0 up to (not including) −log of the mass p gives to the best answers.

    Returns:
        β > 0 in the unit of the reward; `inf` for a budget of 0.

    Raises:
        ValueError: p is not a distribution, or no tilt with β > 0 spends the budget.

    >>> p, reward = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    >>> beta = tilt_beta_for_kl(p, reward, 0.25 * np.log(0.5) + 0.75 * np.log(1.5))  # that of (¼, ¾)
    >>> tilt(p, reward, beta).round(6)
    array([0.25, 0.75])
    """
    _check(p, "p")
    allowed = p > 0
    most = -np.log(p[allowed & (reward == reward[allowed].max())].sum())
    return _solve(lambda beta: float(kl(tilt(p, reward, beta), p)), budget, 0.0, float(most), reward, "KL")


def _solve(curve: Callable[[float], float], target: float, start: float, end: float, reward: Law, name: str) -> float:
    """Invert a curve that grows from start (β = ∞) to end (β → 0); searches in 1/β, where it is smooth."""
    rounding = 1e-12 * max(abs(start), abs(end), end - start)
    if abs(target - start) <= rounding:
        return float("inf")
    if not start < target < end - rounding:
        raise ValueError(f"the tilt's {name} goes from {start:.6g} up to, not including, {end:.6g}; got {target:.6g}")
    unit = 1 / float(np.ptp(reward))  # start < end, so the rewards differ
    upper = unit
    while curve(1 / upper) < target:
        upper *= 2
    inverse = brentq(lambda s: curve(1 / s if s else float("inf")) - target, 0.0, upper, xtol=1e-13 * unit)
    return 1 / float(inverse)


@dataclass(frozen=True)
class Comparison:
    """Best-of-n beside the two tilts it can be compared with.

    Attributes:
        reward: expected reward of best-of-n.
        kl: its divergence from the reference, nats.
        least_kl: divergence of the tilt with the same reward, nats.
        most_reward: expected reward of the tilt with the same divergence.
    """

    reward: float
    kl: float
    least_kl: float
    most_reward: float

    @property
    def excess_kl(self) -> float:
        """Divergence that best-of-n spends beyond need for its reward, nats, ≥ 0."""
        return self.kl - self.least_kl

    @property
    def missed_reward(self) -> float:
        """Reward that its divergence could have bought and did not, ≥ 0."""
        return self.most_reward - self.reward


def compare_with_tilt(p: Law, reward: Law, n: int) -> Comparison:
    """Distance of best-of-n from the frontier, along both axes.

    With the tilt at equal reward, KL(π_n‖p) − KL(tilt‖p) = KL(π_n‖tilt): the excess is itself a divergence. Best-of-n
    is optimal for the *rank* of an answer, not for its reward, so the excess depends on the reward's shape.

    Args:
        p: reference probabilities, shape (m,).
        reward: reward of each answer, shape (m,).
        n: number of draws, ≥ 1.

    Returns:
        the comparison.

    Raises:
        ValueError: p is not a distribution, n < 1, or n is so large that best-of-n is only ever the best answer.

    Source: best_of_n sheet, section 6.

    >>> two = compare_with_tilt(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 2)  # two levels: every law is a tilt
    >>> abs(two.excess_kl) < 1e-9, abs(two.missed_reward) < 1e-9
    (True, True)
    """
    law = best_of_n(p, reward, n)
    earned, spent = float(law @ reward), float(kl(law / law.sum(), p))
    same_reward = tilt(p, reward, tilt_beta_for_reward(p, reward, earned))
    same_kl = tilt(p, reward, tilt_beta_for_kl(p, reward, spent))
    return Comparison(earned, spent, float(kl(same_reward, p)), float(same_kl @ reward))
