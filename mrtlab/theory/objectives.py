"""An objective is a rule that turns log-probabilities into signed weights.

Each rule takes the log-probabilities of the listed answers, shape (..., m), and returns `Objective(loss, weight)`
with weight = −∂loss/∂logp. The same rule drives a table of logits (`logit_descent`) and a language model (multiply
the weights into the gradient of each answer's log-probability). The answers on the list need not hold all the mass.

Two things are kept apart in every docstring. The *measure* says who drew the answers: the data, a teacher, the
policy, or nobody, where every answer is listed. The *coefficient* is what the rule puts on each answer then. A rule
under a sampled measure and its exact form differ by a factor p, the chance that the answer is drawn at all.

This file holds the rules with weights of likelihood and KL; `policy_objectives` those with advantages and
`pair_objectives` those with pairs. All of them can be imported from here.
"""

from typing import Any

from jaxtyping import Float

from mrtlab.theory.pair_objectives import (
    dpo,
    f_dpo,
    ipo,
    ipo_margin,
    ipo_per_token,
    ipo_tau,
    listed_pairs,
    pairs_by_reward,
)
from mrtlab.theory.policy_objectives import (
    grpo_advantage,
    ppo,
    ppo_tokens,
    reinforce,
    reinforce_exact,
    rloo_advantage,
)
from mrtlab.theory.signed_weights import (
    Constant,
    LogProbs,
    Objective,
    checked,
    constant,
    logit_descent,
    positive_number,
)

__all__ = [
    "Objective",
    "best_of_n_sft",
    "dpo",
    "f_dpo",
    "forward_kl",
    "grpo_advantage",
    "ipo",
    "ipo_margin",
    "ipo_per_token",
    "ipo_tau",
    "listed_pairs",
    "logit_descent",
    "mle",
    "pairs_by_reward",
    "ppo",
    "ppo_tokens",
    "reinforce",
    "reinforce_exact",
    "reverse_kl",
    "reward_weighted",
    "rloo_advantage",
]

_SUM_TOLERANCE = 1e-5  # targets written in single precision should still be accepted


def mle(logp: LogProbs) -> Objective:
    """Maximum likelihood on K given answers: loss = −(1/K) Σ log p.

    Measure: the data drew the answers (or a teacher: Pref-FT lists the preferred ones). An answer drawn twice is
    listed twice. Coefficient: 1/K each. K = 1 is single-response training, K > 1 multi-response training.

    Args:
        logp: log-probabilities of the K answers, shape (..., K).

    Returns:
        loss in nats, shape (...), and weights, shape (..., K).

    Raises:
        ValueError: logp is empty or no log-probability.

    Source: Amin et al. (multi-response training); Tajwar et al., section 2.4 of our notes for Pref-FT.

    >>> import numpy as np
    >>> mle(np.log(np.array([0.5, 0.125]))).weight
    array([0.5, 0.5])
    >>> round(float(mle(np.log(np.array([0.5, 0.125]))).loss / np.log(2)), 6)  # 1 bit and 3 bits
    2.0
    """
    xp, logp = checked(logp)
    return Objective(-xp.mean(logp, axis=-1), xp.ones_like(logp) / logp.shape[-1])


def reward_weighted(logp: LogProbs, reward: Constant, *, beta: float) -> Objective:
    """Reward-weighted regression: likelihood with weights softmax(r/β) over the n drawn answers.

    loss = −Σ w log p, w = exp(r/β) / Σ exp(r/β). Never negative.

    Measure: n answers drawn from a base or an older policy. Coefficient: exp(r/β), normalised within the row so
    that rows count alike; unnormalised weights point the same way for each prompt, longer by the sum. With many
    draws this is `forward_kl` to the base law tilted by the reward (`tilt`).

    Args:
        logp: log-probabilities of the drawn answers, shape (..., n); duplicates stay listed.
        reward: their rewards, broadcastable to logp.
        beta: temperature in the unit of the reward, > 0. Large: plain likelihood. Small: best of n.

    Returns:
        loss in nats, shape (...), and weights ≥ 0 that sum to 1, shape (..., n).

    Raises:
        ValueError: β ≤ 0, the shapes do not fit, or logp is no log-probability.

    Source: RWR in Tajwar et al. (PRF sheet, section 2.4).

    >>> import numpy as np
    >>> reward_weighted(np.log(np.array([0.5, 0.5])), np.array([0.0, np.log(3.0)]), beta=1.0).weight
    array([0.25, 0.75])
    """
    xp, logp = checked(logp)
    score = constant(reward, logp, "reward") / positive_number(beta, "beta")
    unnormalised = xp.exp(score - xp.max(score, axis=-1, keepdims=True))
    weight = unnormalised / xp.sum(unnormalised, axis=-1, keepdims=True)
    return Objective(-xp.sum(weight * logp, axis=-1), weight)


def best_of_n_sft(logp: LogProbs, reward: Constant) -> Objective:
    """Likelihood on the best of n drawn answers: loss = −log p(best).

    Measure: n answers drawn from a base or an older policy. Coefficient: 1 on the answer with the highest reward
    (the first of equals), 0 on the others. The expected weights are the exact law `best_of_n` of the base: training
    on them from one batch is capped there (PRF-01). For exact expectations use `forward_kl(logp, best_of_n(...))`.

    Args:
        logp: log-probabilities of the n drawn answers, shape (..., n).
        reward: their rewards, broadcastable to logp.

    Returns:
        loss in nats, shape (...), and weights, shape (..., n): one 1 in each row.

    Raises:
        ValueError: the shapes do not fit, or logp is no log-probability.

    Source: offline Best-of-N in Tajwar et al. (PRF-01, PRF-02).

    >>> import numpy as np
    >>> best_of_n_sft(np.log(np.array([0.5, 0.2, 0.3])), np.array([0.0, 2.0, 2.0])).weight
    array([0., 1., 0.])
    """
    xp, logp = checked(logp)
    reward = constant(reward, logp, "reward")
    place = constant([float(i) for i in range(logp.shape[-1])], logp, "place")
    is_best = reward == xp.max(reward, axis=-1, keepdims=True)
    behind = xp.full_like(place, float(logp.shape[-1]))  # argmax does not promise the first of equals everywhere
    first = xp.min(xp.where(is_best, place, behind), axis=-1, keepdims=True)
    weight = xp.astype(place == first, logp.dtype)
    return Objective(-xp.sum(weight * logp, axis=-1), weight)


def forward_kl(logp: LogProbs, target: Constant) -> Objective:
    """KL from a known target to the model, Σ q log(q/p): diffuse fine-tuning.

    Measure: exact; every answer that the target gives mass to is listed. Coefficient: q(y). It is also the expected
    weight of `mle` when the answers are drawn from q.

    Args:
        logp: log-probabilities of the listed answers, shape (..., m); they need not hold all the model's mass.
        target: probabilities q, broadcastable to logp, each row summing to 1; zeros are allowed.

    Returns:
        loss in nats, shape (...), and weights ≥ 0, shape (..., m).

    Raises:
        ValueError: a row of the target is negative or does not sum to 1, or logp is no log-probability.

    Source: Zhang et al. (diffuse fine-tuning); one-step calculus PRF-09.

    >>> import numpy as np
    >>> forward_kl(np.log(np.array([0.35, 0.35])), np.array([0.5, 0.5])).weight  # 30 % of the mass is elsewhere
    array([0.5, 0.5])
    """
    xp, logp = checked(logp)
    q = _target(target, logp)
    log_q = xp.log(xp.where(q > 0, q, xp.ones_like(q)))  # 0·log 0 = 0
    return Objective(xp.sum(q * (log_q - logp), axis=-1), q)


def reverse_kl(logp: LogProbs, target: Constant) -> Objective:
    """Generalised KL from the model to a known target, Σ p log(p/q) − p + q, over the listed answers.

    Measure: exact; every answer of the target is listed. Coefficient: −p·log(p/q), signed. Over *all* answers the
    last two terms cancel and this is the ordinary reverse KL. Over a list that leaves mass out they are needed:
    with m the listed (valid) mass and the right shape, the ordinary formula is m log m, lowest at m = 1/e; this one
    is m log m − m + 1, lowest at m = 1.

    Args:
        logp: log-probabilities of the listed answers, shape (..., m).
        target: probabilities q > 0, broadcastable to logp, each row summing to 1.

    Returns:
        loss in nats, ≥ 0 and 0 only at p = q, shape (...); weights, shape (..., m).

    Raises:
        ValueError: a target entry is 0 or negative, a row does not sum to 1, or logp is no log-probability.

    Source: one-step calculus of PRF-09, extended to a list without all the mass (our own).

    >>> import numpy as np
    >>> reverse_kl(np.log(np.array([0.25, 0.5])), np.array([0.5, 0.5])).weight / np.log(2)  # up, and stay
    array([0.25, 0. ])
    """
    xp, logp = checked(logp)
    q = _target(target, logp)
    if not bool(xp.all(q > 0)):
        raise ValueError("target gives an answer no mass: reverse KL would be infinite, list only answers with q > 0")
    p, log_ratio = xp.exp(logp), xp.log(q) - logp  # of q to p
    return Objective(xp.sum(q - p - p * log_ratio, axis=-1), p * log_ratio)


def _target(target: Constant, logp: Any) -> Float[Any, "*rows m"]:
    """A distribution over the listed answers."""
    q = constant(target, logp, "target")
    xp = checked(logp)[0]
    total = xp.sum(q, axis=-1)
    if bool(xp.any(q < 0)) or bool(xp.any(xp.abs(total - 1) > _SUM_TOLERANCE)):
        raise ValueError("target must be 0 or more and sum to 1 over the listed answers of each row")
    return q
