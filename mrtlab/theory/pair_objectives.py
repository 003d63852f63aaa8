"""Objectives on pairs of answers: DPO, IPO and f-DPO, with weights of both signs ("negative gradient").

Pairs are given as a table of shares: pairs[w, l] is the share of preference pairs in which answer w was preferred to
answer l. So one call covers a single pair, all pairs of N drawn answers, and the exact law of pairs.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from array_api_compat import array_namespace
from jaxtyping import Float, Int

from mrtlab.theory.signed_weights import (
    Constant,
    LogProbs,
    Objective,
    checked,
    constant,
    positive_number,
    sigmoid,
    softplus,
)

Divergence = Literal["reverse_kl", "forward_kl", "js", "alpha"]
PairShares = Float[Any, "*rows m m"]


def listed_pairs(winner: Int[np.ndarray, "pairs"], loser: Int[np.ndarray, "pairs"], *, n_answers: int) -> PairShares:
    """Table of shares from a list of pairs: each pair adds 1/pairs at [winner, loser].

    Args:
        winner: index of the preferred answer of each pair, shape (pairs,).
        loser: index of the other one, shape (pairs,).
        n_answers: m, how many answers are listed.

    Returns:
        shares that sum to 1, shape (m, m).

    Raises:
        ValueError: no pair, lists of different length, or an index outside 0..m−1.

    >>> listed_pairs(np.array([0, 0]), np.array([1, 2]), n_answers=3)
    array([[0. , 0.5, 0.5], [0. , 0. , 0. ], [0. , 0. , 0. ]])
    """
    if winner.shape != loser.shape or not winner.size:
        raise ValueError(f"expected as many winners as losers, at least one, got {winner.size} and {loser.size}")
    both = np.concatenate([winner, loser])
    if both.min() < 0 or both.max() >= n_answers:
        raise ValueError(f"a pair names an answer outside 0..{n_answers - 1}")
    shares = np.zeros((n_answers, n_answers))
    np.add.at(shares, (winner, loser), 1 / winner.size)
    return shares


def pairs_by_reward(reward: Float[Any, "*rows m"], *, gap: float = 0.0) -> PairShares:
    """All pairs whose rewards differ by more than `gap`, with equal shares.

    Args:
        reward: rewards of the listed answers, shape (..., m).
        gap: smallest difference that counts as a preference, in the unit of the reward, ≥ 0.

    Returns:
        shares, shape (..., m, m), summing to 1 in each row; all 0 where no pair differs enough.

    Raises:
        ValueError: gap is negative.

    Source: "all pairs, optional reward-gap threshold" of Tajwar et al.'s code (PRF sheet, section 2.4).

    >>> pairs_by_reward(np.array([1.0, 0.0, 0.0]))
    array([[0. , 0.5, 0.5], [0. , 0. , 0. ], [0. , 0. , 0. ]])
    """
    if not gap >= 0:
        raise ValueError(f"gap must be 0 or more, got {gap}")
    xp = array_namespace(reward)
    preferred = xp.astype(reward[..., :, None] - reward[..., None, :] > gap, reward.dtype)
    count = xp.sum(preferred, axis=(-2, -1), keepdims=True)
    return preferred / xp.where(count > 0, count, xp.ones_like(count))


def _pairwise(
    score: Any, slope: Any, pairs: Constant, loss_of: Callable[[Any], Any], descent_of: Callable[[Any], Any]
) -> Objective:
    """Σ pairs[w, l]·loss(s_w − s_l); descent_of is −loss′, and slope is ds/dlogp."""
    xp, m = array_namespace(score), score.shape[-1]
    shares = constant(pairs, score, "pairs", shape=(*score.shape, m))
    if bool(xp.any(shares < 0)) or bool(xp.any(xp.linalg.diagonal(shares) != 0)):
        raise ValueError("pairs must be shares of 0 or more, and 0 where an answer meets itself")
    margin = score[..., :, None] - score[..., None, :]
    pull = shares * descent_of(margin)
    weight = slope * (xp.sum(pull, axis=-1) - xp.sum(pull, axis=-2))  # as a winner, minus as a loser
    return Objective(xp.sum(shares * loss_of(margin), axis=(-2, -1)), weight)


def _log_ratio(logp: Any, reference_logp: Constant) -> Any:
    _, logp = checked(logp)
    return logp - constant(reference_logp, logp, "reference_logp")


def f_dpo(
    logp: LogProbs,
    reference_logp: Constant,
    pairs: Constant,
    *,
    beta: float = 0.1,
    divergence: Divergence = "reverse_kl",
    alpha: float = 0.5,
) -> Objective:
    """DPO with another divergence as regulariser: loss = −log σ(β[f′(t_w) − f′(t_l)]), t = p/p_ref.

    f′ is log t for reverse KL (this is `dpo`), 1 − 1/t for forward KL, log(2t/(1+t)) for Jensen–Shannon and
    (t^(α−1) − 1)/(α−1) for an alpha divergence (log t in the limit α → 1).

    Measure: whoever drew the pairs, the data as a rule; the policy need not. Coefficient: with u = log t and the
    margin h between the two f′, ± β·σ(−βh)·df′/du; the slope df′/du is 1, 1/t, 1/(1+t) and t^(α−1).

    Args:
        logp: log-probabilities of the listed answers, shape (..., m).
        reference_logp: the same under the reference, broadcastable to logp, computed without a graph.
        pairs: shares, broadcastable to (..., m, m); see `pairs_by_reward` and `listed_pairs`.
        beta: pull back to the reference, > 0.
        divergence: which f.
        alpha: order of the alpha divergence; read by that one only.

    Returns:
        loss in nats, shape (...), and signed weights, shape (..., m).

    Raises:
        ValueError: β ≤ 0, an unknown divergence, a bad table of pairs, or shapes that do not fit.

    Source: Wang et al., arXiv 2309.16240, formulas as in TRL 1.16 (PRF sheet, section 9).

    >>> same = np.log(np.array([0.5, 0.2]))
    >>> f_dpo(same, same, np.array([[0.0, 1.0], [0.0, 0.0]]), beta=1.0, divergence="js").weight  # 1/(1+t) = ½
    array([ 0.25, -0.25])
    """
    u = _log_ratio(logp, reference_logp)
    xp = array_namespace(u)
    if divergence == "reverse_kl" or (divergence == "alpha" and alpha == 1):
        score, slope = u, xp.ones_like(u)
    elif divergence == "forward_kl":
        score, slope = -xp.expm1(-u), xp.exp(-u)
    elif divergence == "js":
        score, slope = float(np.log(2)) - softplus(-u), sigmoid(-u)
    elif divergence == "alpha":
        score, slope = xp.expm1((alpha - 1) * u) / (alpha - 1), xp.exp((alpha - 1) * u)
    else:
        raise ValueError(f"divergence must be 'reverse_kl', 'forward_kl', 'js' or 'alpha', got {divergence!r}")
    scale = positive_number(beta, "beta")
    return _pairwise(score, slope, pairs, lambda h: softplus(-scale * h), lambda h: scale * sigmoid(-scale * h))


def dpo(logp: LogProbs, reference_logp: Constant, pairs: Constant, *, beta: float = 0.1) -> Objective:
    """Direct preference optimisation: loss = −log σ(βh), h = log(p_w/p_l) − log(p_ref,w/p_ref,l).

    Measure: whoever drew the pairs, the data as a rule; the policy need not. Coefficient: +β·σ(−βh) on the preferred
    answer and the same with a minus on the other. It fades as the margin grows and never changes sign.

    Args:
        logp: log-probabilities of the listed answers, shape (..., m).
        reference_logp: the same under the reference, broadcastable to logp, computed without a graph.
        pairs: shares, broadcastable to (..., m, m); see `pairs_by_reward` and `listed_pairs`.
        beta: pull back to the reference, > 0.

    Returns:
        loss in nats, shape (...), and signed weights that sum to 0, shape (..., m).

    Raises:
        ValueError: β ≤ 0, a bad table of pairs, or shapes that do not fit.

    Source: DPO in Tajwar et al. (PRF-06, PRF-10).

    >>> same = np.log(np.array([0.5, 0.2]))
    >>> dpo(same, same, np.array([[0.0, 1.0], [0.0, 0.0]]), beta=0.1).weight  # h = 0: β/2
    array([ 0.05, -0.05])
    """
    return f_dpo(logp, reference_logp, pairs, beta=beta)


def ipo_margin(tau: float, *, tokens: float | int = 1) -> float:
    """The margin h at which the IPO loss is 0, in nats: tokens / (2τ).

    With `tokens=1`, the margin of the published loss. TRL's loss takes means per token: between answers of equal
    length R it asks for the margin `ipo_margin(beta, tokens=R)`.

    Raises:
        ValueError: tau or tokens is not above 0.

    >>> ipo_margin(0.05)  # Tajwar et al.'s code writes this margin as β = 10
    10.0
    """
    return positive_number(tokens, "tokens") / (2 * positive_number(tau, "tau"))


def ipo_tau(margin: float, *, tokens: float | int = 1) -> float:
    """The τ that asks for a margin in nats, tokens / (2·margin): the inverse of `ipo_margin`.

    With `tokens=R` it is the `beta` to give to TRL for answers of R tokens.

    Raises:
        ValueError: margin or tokens is not above 0.

    >>> ipo_tau(10.0)
    0.05
    """
    return positive_number(tokens, "tokens") / (2 * positive_number(margin, "margin"))


def _squared(score: Any, slope: Any, pairs: Constant, target: float) -> Objective:
    return _pairwise(score, slope, pairs, lambda h: (h - target) ** 2, lambda h: 2 * (target - h))


def ipo(logp: LogProbs, reference_logp: Constant, pairs: Constant, *, tau: float = 0.1) -> Objective:
    """Identity preference optimisation as published: loss = (h − 1/(2τ))², h as in `dpo`.

    Measure: whoever drew the pairs, the data as a rule. Coefficient: ±2(1/(2τ) − h). It falls to 0 at the target
    margin and *changes sign* beyond: a margin that is too wide is pulled back.

    Args:
        logp: log-probabilities of the listed answers, shape (..., m).
        reference_logp: the same under the reference, broadcastable to logp, computed without a graph.
        pairs: shares, broadcastable to (..., m, m); see `pairs_by_reward` and `listed_pairs`.
        tau: regularisation, > 0; `ipo_tau(margin)` gives it for a target margin.

    Returns:
        loss in nats², shape (...), and signed weights that sum to 0, shape (..., m).

    Raises:
        ValueError: τ ≤ 0, a bad table of pairs, or shapes that do not fit.

    Source: IPO; parametrisations compared in the PRF sheet, sections 2.4 and 8 (PRF-06).

    >>> same = np.log(np.array([0.5, 0.2]))
    >>> ipo(same, same, np.array([[0.0, 1.0], [0.0, 0.0]]), tau=0.25).weight  # target margin 2, h = 0
    array([ 4., -4.])
    """
    u = _log_ratio(logp, reference_logp)
    return _squared(u, array_namespace(u).ones_like(u), pairs, ipo_margin(tau))


def ipo_per_token(
    logp: LogProbs, reference_logp: Constant, pairs: Constant, lengths: Constant, *, beta: float = 0.1
) -> Objective:
    """IPO on means per token, as TRL computes it: loss = (u_w/R_w − u_l/R_l − 1/(2β))², u = log(p/p_ref).

    Measure and sign as `ipo`. Coefficient: that of `ipo` at this margin, divided by the answer's own length, so the
    weights of a pair sum to 0 only at equal lengths. There it is `ipo` with τ = β/R, times 1/R².

    Args:
        logp: log-probabilities of the listed answers, summed over tokens, shape (..., m).
        reference_logp: the same under the reference, broadcastable to logp, computed without a graph.
        pairs: shares, broadcastable to (..., m, m).
        lengths: tokens of each answer, ≥ 1, broadcastable to logp.
        beta: TRL's name for τ, > 0.

    Returns:
        loss in nats² per token², shape (...), and signed weights, shape (..., m).

    Raises:
        ValueError: β ≤ 0, a length below 1, a bad table of pairs, or shapes that do not fit.

    Source: TRL 1.16, loss_type "ipo" (PRF sheet, section 10).

    >>> same = np.log(np.array([0.5, 0.2]))
    >>> ipo_per_token(same, same, np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([2, 4]), beta=0.25).weight
    array([ 2., -1.])
    """
    u = _log_ratio(logp, reference_logp)
    xp = array_namespace(u)
    tokens = constant(lengths, u, "lengths")
    if not bool(xp.all(tokens >= 1)):
        raise ValueError("lengths must be 1 token or more for each answer")
    return _squared(u / tokens, 1 / tokens, pairs, ipo_margin(beta))
