"""Objectives whose weights are advantages: REINFORCE, RLOO, GRPO and PPO.

All are signed: an answer below its baseline is pushed down. Rewards, advantages and the log-probabilities of an
older policy are constants: compute the latter without a graph.
"""

from typing import Any, Literal

from array_api_compat import array_namespace
from jaxtyping import Float

from mrtlab.theory.signed_weights import Constant, LogProbs, Objective, checked, constant

TokenLogProbs = Float[Any, "*rows n tokens"]
Rewards = Float[Any, "*rows n"]


def _group(reward: Rewards, rule: str) -> tuple[Any, int]:
    if not reward.ndim or reward.shape[-1] < 2:
        raise ValueError(f"{rule} compares the answers to one prompt: expected at least 2 on the last axis")
    return array_namespace(reward), reward.shape[-1]


def rloo_advantage(reward: Rewards) -> Rewards:
    """Reward minus the mean reward of the *other* answers, A_i = r_i − (1/(n−1)) Σ_{j≠i} r_j = n/(n−1)·(r_i − r̄).

    The baseline of an answer does not depend on the answer, so the expected gradient is the exact one.

    Args:
        reward: rewards of the n answers to each prompt, shape (..., n), n ≥ 2.

    Returns:
        advantages in the unit of the reward, shape (..., n); each row sums to 0.

    Raises:
        ValueError: fewer than two answers.

    Source: RLOO (PRF sheet, section 9).

    >>> import numpy as np
    >>> rloo_advantage(np.array([1.0, 0.0, 0.0]))
    array([ 1. , -0.5, -0.5])
    """
    xp, n = _group(reward, "rloo_advantage")
    return (reward - xp.mean(reward, axis=-1, keepdims=True)) * (n / (n - 1))


def grpo_advantage(reward: Rewards, *, correction: int = 1, epsilon: float = 1e-4) -> Rewards:
    """Reward standardised within the group, A_i = (r_i − r̄) / (s + ε).

    A prompt with nearly equal rewards gets advantages as large as any other: the division by s forgets how much
    was at stake. With rewards 0 and 1 and a share p of ones, A₊ = √((1−p)/p) and A₋ = −√(p/(1−p)) at
    `correction=0` and ε = 0.

    Args:
        reward: rewards of the n answers to each prompt, shape (..., n), n ≥ 2.
        correction: 1 divides the variance by n − 1, as TRL does; 0 divides by n.
        epsilon: keeps a group of equal rewards at 0, in the unit of the reward, ≥ 0.

    Returns:
        advantages without unit, shape (..., n); each row sums to 0.

    Raises:
        ValueError: fewer than two answers, or epsilon is negative.

    Source: GRPO (PRF sheet, section 9).

    >>> import numpy as np
    >>> grpo_advantage(np.array([1.0, 0.0, 0.0, 0.0, 0.0]), correction=0, epsilon=0.0)  # √(.8/.2), −√(.2/.8)
    array([ 2. , -0.5, -0.5, -0.5, -0.5])
    """
    xp, _ = _group(reward, "grpo_advantage")
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be 0 or more, got {epsilon}")
    centred = reward - xp.mean(reward, axis=-1, keepdims=True)
    spread = xp.std(reward, axis=-1, correction=correction, keepdims=True) + epsilon
    return xp.where(spread > 0, centred / xp.where(spread > 0, spread, xp.ones_like(spread)), xp.zeros_like(centred))


def reinforce(
    logp: LogProbs, reward: Constant, *, baseline: Literal["none", "mean", "leave_one_out"] = "none"
) -> Objective:
    """Policy gradient from n drawn answers: loss = −(1/n) Σ A log p, with A = reward − baseline.

    Measure: the policy itself drew the answers; an answer drawn twice is listed twice. Coefficient: A/n. The loss is
    a surrogate: its value means nothing, its gradient estimates that of −E[r]. In expectation an answer's
    weight is p·A, what `reinforce_exact` puts on it. `leave_one_out` keeps that expectation (RLOO); `mean` counts
    the answer in its own baseline and shrinks it by (n − 1)/n; `none` is right on average and noisy.

    Args:
        logp: log-probabilities of the drawn answers, shape (..., n).
        reward: their rewards, broadcastable to logp. To pull towards a reference, subtract β·log(p/p_ref) as a number.
        baseline: what is subtracted, computed within each row.

    Returns:
        loss in the unit of the reward times nats, shape (...), and signed weights, shape (..., n).

    Raises:
        ValueError: an unknown baseline, leave-one-out with one answer, or shapes that do not fit.

    Source: REINFORCE in Tajwar et al. (PRF-07); on the baseline, PRF sheet section 1.

    >>> import numpy as np
    >>> reinforce(np.log(np.array([0.5, 0.2])), np.array([1.0, 0.0]), baseline="leave_one_out").weight
    array([ 0.5, -0.5])
    """
    xp, logp = checked(logp)
    advantage = constant(reward, logp, "reward")
    if baseline == "mean":
        advantage = advantage - xp.mean(advantage, axis=-1, keepdims=True)
    elif baseline == "leave_one_out":
        advantage = rloo_advantage(advantage)
    elif baseline != "none":
        raise ValueError(f"baseline must be 'none', 'mean' or 'leave_one_out', got {baseline!r}")
    return Objective(-xp.mean(advantage * logp, axis=-1), advantage / logp.shape[-1])


def reinforce_exact(logp: LogProbs, reward: Constant, *, baseline: Constant = 0.0) -> Objective:
    """Expected reward over the listed answers, without sampling: loss = −Σ p·(r − b).

    Measure: exact; every answer that can earn a reward is listed. Coefficient: p·(r − b), the sampled one times p.
    An unlisted answer gets weight 0: it counts as if its reward were b. So b = 0 rewards listed mass as such, and b
    = Σpr/Σp makes the weights sum to 0: they move the shape within the list and leave unlisted logits alone.

    Args:
        logp: log-probabilities of the listed answers, shape (..., m).
        reward: their rewards, broadcastable to logp.
        baseline: b, held fixed in the gradient; a number, or an array broadcastable to logp.

    Returns:
        loss in the unit of the reward, shape (...), and signed weights, shape (..., m).

    Raises:
        ValueError: the shapes do not fit, or logp is no log-probability.

    Source: on-policy RL in Tajwar et al. (PRF-07), its exact expectation.

    >>> import numpy as np
    >>> reinforce_exact(np.log(np.array([0.5, 0.2])), np.array([1.0, 3.0]), baseline=1.0).weight.round(12)
    array([0. , 0.4])
    """
    xp, logp = checked(logp)
    weight = xp.exp(logp) * (constant(reward, logp, "reward") - constant(baseline, logp, "baseline"))
    return Objective(-xp.sum(weight, axis=-1), weight)


def _clipped(logp: Any, old_logp: Any, advantage: Any, clip: float) -> tuple[Any, Any]:
    """min(ρA, clip(ρ)A) entry by entry, and its derivative by logp: ρA where the clip does not bite, else 0."""
    if not 0 < clip < 1:
        raise ValueError(f"clip must lie between 0 and 1, got {clip}")
    xp = array_namespace(logp)
    ratio = xp.exp(logp - old_logp)
    gain = xp.minimum(ratio * advantage, xp.clip(ratio, 1 - clip, 1 + clip) * advantage)
    bites = ((advantage > 0) & (ratio > 1 + clip)) | ((advantage < 0) & (ratio < 1 - clip))
    return gain, xp.where(bites, xp.zeros_like(ratio), ratio * advantage)


def ppo(logp: LogProbs, old_logp: Constant, advantage: Constant, *, clip: float = 0.2) -> Objective:
    """Clipped policy gradient, one ratio for each answer: loss = −(1/n) Σ min(ρA, clip(ρ, 1−ε, 1+ε)·A).

    Measure: an older policy drew the answers. Coefficient: ρA/n with ρ = p/p_old, and 0 once the ratio has moved
    past the clip in the direction that the advantage asks for. At ρ = 1 it is `reinforce`.

    Args:
        logp: log-probabilities of the drawn answers now, shape (..., n).
        old_logp: the same when they were drawn, broadcastable to logp.
        advantage: for example `rloo_advantage(reward)`, broadcastable to logp.
        clip: ε, between 0 and 1.

    Returns:
        loss in the unit of the advantage, shape (...), and signed weights, shape (..., n).

    Raises:
        ValueError: ε out of range, or shapes that do not fit.

    Source: PPO in Tajwar et al. without its critic; the ratio per answer is that of TRL's RLOO (PRF sheet, section 10).

    >>> import numpy as np
    >>> ppo(np.log(np.array([0.5, 0.2])), np.log(np.array([0.25, 0.2])), np.array([1.0, -1.0])).weight  # ρ = 2 and 1
    array([ 0. , -0.5])
    """
    xp, logp = checked(logp)
    gain, slope = _clipped(logp, constant(old_logp, logp, "old_logp"), constant(advantage, logp, "advantage"), clip)
    return Objective(-xp.mean(gain, axis=-1), slope / logp.shape[-1])


def ppo_tokens(
    logp: TokenLogProbs,
    old_logp: Constant,
    advantage: Constant,
    mask: Constant,
    *,
    clip: float = 0.2,
    average: Literal["answer", "token"] = "answer",
) -> Objective:
    """Clipped policy gradient, one ratio for each token: loss = −Σ c·min(ρ_t A, clip(ρ_t)·A) over the real tokens.

    Measure: an older policy drew the answers. Coefficient: c·ρ_t A, 0 where the clip bites. `average="answer"` takes
    the mean over an answer's tokens and then over answers, c = 1/(n·R_i), so a token of a long answer weighs less
    (GRPO, TRL's "grpo"); `average="token"` weighs all tokens alike, c = 1/ΣR_i (TRL's "bnpo").

    Args:
        logp: log-probabilities of the tokens now, shape (..., n, tokens); anything where the mask is 0.
        old_logp: the same when they were drawn, broadcastable to logp; any finite number where the mask is 0.
        advantage: one number for each answer, broadcastable to (..., n).
        mask: 1 or True on the tokens of the answer, 0 on padding, broadcastable to logp.
        clip: ε, between 0 and 1.
        average: whose mean is taken.

    Returns:
        loss in the unit of the advantage, shape (...), and signed weights, shape (..., n, tokens), 0 on padding.

    Raises:
        ValueError: an answer without tokens, an unknown average, ε out of range, or shapes that do not fit.

    Source: per-token clip of Tajwar et al.'s code (PRF sheet, section 2.4) and of TRL's GRPO.

    >>> import numpy as np
    >>> logp = np.log(np.array([[0.5, 0.5], [0.5, 1.0]]))  # the second answer has one token
    >>> ppo_tokens(logp, logp, np.array([1.0, -1.0]), np.array([[1, 1], [1, 0]])).weight
    array([[ 0.25,  0.25], [-0.5 ,  0.  ]])
    """
    if logp.ndim < 2 or not logp.shape[-2]:
        raise ValueError("logp needs an axis of answers and an axis of tokens, each with at least one entry")
    xp = array_namespace(logp)
    real = constant(mask, logp, "mask") != 0
    zero = xp.zeros_like(logp)
    xp, logp = checked(xp.where(real, logp, zero))  # padding may hold anything, infinities too
    old = xp.where(real, constant(old_logp, logp, "old_logp"), zero)
    per_answer = constant(advantage, logp, "advantage", shape=tuple(logp.shape[:-1]))
    tokens = xp.sum(xp.astype(real, logp.dtype), axis=-1, keepdims=True)
    if not bool(xp.all(tokens > 0)):
        raise ValueError("mask leaves an answer without tokens: expected at least one for each answer")
    if average == "answer":
        share = 1 / (tokens * logp.shape[-2])
    elif average == "token":
        share = 1 / xp.sum(tokens, axis=-2, keepdims=True)
    else:
        raise ValueError(f"average must be 'answer' or 'token', got {average!r}")
    gain, slope = _clipped(logp, old, per_answer[..., None], clip)
    counted = xp.where(real, share + zero, zero)
    return Objective(-xp.sum(counted * gain, axis=(-2, -1)), xp.where(real, counted * slope, zero))
