"""Training a table by sampled answers: many rules, learning rates and seeds at once, along three axes.

A policy over m arms is a table of logits. Each run draws answers, weighs them by one of the objectives and moves its
logits by Adam. The three axes of "Preference Fine-Tuning of LLMs Should Leverage Suboptimal, On-Policy Data" are
three arguments of `race`: who drew the answers (`on_policy`, and with `batch` how stale they get), how often they
are used (`reuse`), and whether a rule pushes answers down (`Rule.negative_gradient`).

All runs of a race live in one array (rules, rates, seeds, arms). Runs of one seed share their random numbers, so rules
are compared on equal luck. Prompts differ only in what was drawn for them: the bandit's reward ignores the prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from mrtlab.theory.distributions import _check
from mrtlab.theory.objectives import (
    best_of_n_sft,
    dpo,
    ipo,
    ipo_tau,
    logit_descent,
    pairs_by_reward,
    ppo,
    reinforce,
    rloo_advantage,
)

Method = Literal["pref_ft", "best_of_n", "dpo", "ipo", "reinforce", "ppo"]

_MOMENTUM, _SCALE, _TINY = 0.9, 0.999, 1e-8  # Adam's usual constants

Runs = Float[np.ndarray, "rates seeds m"]
Listed = Float[np.ndarray, "rates seeds prompts answers"]
Arms = Int[np.ndarray, "rates seeds prompts answers"]
Weigh = Callable[[Runs, int], Runs]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A training rule with its settings; settings that its method does not read change nothing.

    Attributes:
        method: "pref_ft", likelihood of the preferred answer of every pair; "best_of_n", likelihood of the best
            answer of each prompt; "dpo" and "ipo" on all pairs of a prompt; "reinforce" with the leave-one-out
            baseline (RLOO); "ppo", the same advantages, clipped.
        beta: DPO's pull back to the reference, > 0.
        margin: IPO's target margin in nats, > 0; the published τ is 1/(2·margin).
        clip: PPO's ε, between 0 and 1.

    Raises:
        ValueError: an unknown method.

    >>> Rule(method="dpo").negative_gradient, Rule(method="best_of_n").negative_gradient
    (True, False)
    """

    method: Method
    beta: float = 0.1
    margin: float = 10.0
    clip: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a method that does not exist."""
        if self.method not in get_args(Method):
            raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {self.method!r}")

    @property
    def negative_gradient(self) -> bool:
        """Whether the rule puts negative weights on answers."""
        return self.method not in ("pref_ft", "best_of_n")


@dataclass(frozen=True)
class Race:
    """What `race` saw on the way.

    Attributes:
        step: gradient steps taken at each look, shape (looks,); the first is 0.
        policy: probabilities then, shape (looks, rules, rates, seeds, m).
    """

    step: Int[np.ndarray, " looks"]
    policy: Float[np.ndarray, "looks rules rates seeds m"]


def race(
    rules: Sequence[Rule],
    *,
    reference: Float[np.ndarray, " m"],
    reward: Float[np.ndarray, " m"],
    rates: Sequence[float],
    rngs: Sequence[np.random.Generator],
    steps: int,
    batch: int = 10,
    minibatch: int | None = None,
    answers: int = 10,
    reuse: int = 1,
    on_policy: bool = True,
    look_every: int | None = None,
) -> Race:
    """Train one table per rule, learning rate and seed, all from the same reference policy.

    A round draws `answers` for `batch` prompts from the current policy, then takes (batch/minibatch)·reuse steps on
    them, `minibatch` prompts per step. So `batch` up at a fixed `minibatch` means staler data (the paper's B), and
    `reuse` is its T. With `on_policy=False` there is one round, drawn from the reference, and steps go through it
    again and again.

    Args:
        rules: what to train with.
        reference: the policy at the start and the reference of DPO and IPO, every entry > 0.
        reward: reward of every arm.
        rates: Adam's learning rates, each > 0.
        rngs: one generator for each seed; a seed's runs do not depend on the other seeds.
        steps: gradient steps, ≥ 0.
        batch: B, prompts drawn in a round.
        minibatch: M, prompts per step, a divisor of batch; None takes the whole batch.
        answers: N, answers drawn for each prompt, ≥ 2.
        reuse: T, how often each prompt of a round is used.
        on_policy: whether rounds after the first exist.
        look_every: steps between two recorded policies; None records the start and the end only.

    Returns:
        the policies at each look.

    Raises:
        ValueError: reference is no distribution or has zeros, shapes do not fit, or a number is out of range.

    Source: Algorithm 1 of Tajwar et al. (2024), PRF-01 to PRF-07; a table in place of its small networks.

    >>> moved = race(  # Adam's first step moves each logit by the rate: odds of e^(2·rate) = 3
    ...     [Rule(method="best_of_n")], reference=np.array([0.5, 0.5]), reward=np.array([0.0, 1.0]),
    ...     rates=[float(np.log(3)) / 2], rngs=[np.random.default_rng(0)], steps=1)
    >>> moved.policy[-1, 0, 0, 0].round(6)
    array([0.25, 0.75])
    """
    _check(reference, "reference")
    minibatch = minibatch or batch
    if not (reference > 0).all() or reward.shape != reference.shape:
        raise ValueError("every arm needs some mass under the reference, and a reward")
    if min(batch, minibatch, reuse) < 1 or answers < 2 or steps < 0 or batch % minibatch:
        raise ValueError(
            "expected batch, minibatch and reuse of at least 1, answers of at least 2, steps of at least 0, and a "
            f"minibatch that divides the batch; got {batch}, {minibatch}, {reuse}, {answers}, {steps}"
        )
    if not rules or not rngs or not rates or min(rates) <= 0:
        raise ValueError("expected at least one rule, one generator, and one rate, rates above 0")
    if look_every is not None and look_every < 1:
        raise ValueError(f"look_every must be at least 1 step, got {look_every}")
    reference_logp = np.log(reference)
    shape = (len(rules), len(rates), len(rngs), len(reference))
    logits = np.broadcast_to(reference_logp, shape).copy()
    adam = _Adam(shape, np.asarray(rates, dtype=float)[:, None, None])
    looks, policies, weighers = [0], [np.exp(logits)], []
    minibatches = batch // minibatch
    for step in range(steps):
        logp = logits - logsumexp(logits, axis=-1, keepdims=True)
        if step == 0 or (on_policy and step % (minibatches * reuse) == 0):
            luck = np.stack([rng.random((batch, answers)) for rng in rngs])
            drawn = draw_arms(np.exp(logp), luck)
            weighers = [
                _weigher(rule, arms, now, reference_logp, reward, minibatch)
                for rule, arms, now in zip(rules, drawn, logp, strict=True)
            ]
        weight = np.stack([weigh(now, step % minibatches) for weigh, now in zip(weighers, logp, strict=True)])
        logits += adam.move(logit_descent(weight, logp))
        if step + 1 == steps or (look_every and (step + 1) % look_every == 0):
            looks.append(step + 1)
            policies.append(np.exp(logits - logsumexp(logits, axis=-1, keepdims=True)))
    return Race(np.array(looks), np.stack(policies))


def draw_arms(
    policy: Float[np.ndarray, "*runs seeds m"], luck: Float[np.ndarray, "seeds prompts answers"]
) -> Int[np.ndarray, "*runs seeds prompts answers"]:
    """Turn uniform numbers into arms, by the inverse of each policy's distribution function.

    Args:
        policy: probabilities, shape (..., seeds, m).
        luck: numbers in [0, 1), shape (seeds, prompts, answers); used again for every run of a seed.

    Returns:
        arms, shape (..., seeds, prompts, answers).

    >>> draw_arms(np.array([[0.5, 0.25, 0.25]]), np.array([[[0.1, 0.6, 0.8]]]))
    array([[[0, 1, 2]]])
    """
    m = policy.shape[-1]
    cumulative = policy.cumsum(-1)
    cumulative /= cumulative[..., -1:]
    run = np.arange(policy.size // m)
    # Run i's function is lifted by i: one sorted row holds all of them, and one search serves all runs.
    row = (cumulative.reshape(-1, m) + run[:, None]).ravel()
    wanted = np.broadcast_to(luck, (*policy.shape[:-1], *luck.shape[1:])).reshape(len(run), -1)
    found = np.searchsorted(row, wanted + run[:, None], side="right") - m * run[:, None]
    return np.clip(found, 0, m - 1).reshape(*policy.shape[:-1], *luck.shape[1:])


def _weigher(
    rule: Rule, arms: Arms, logp: Runs, reference_logp: Float[np.ndarray, " m"], reward: np.ndarray, minibatch: int
) -> Weigh:
    """A function of the log-probabilities and the minibatch's number that gives weights on arms."""
    m, prizes, listed = logp.shape[-1], reward[arms], _listed(logp, arms)
    parts = [slice(start, start + minibatch) for start in range(0, arms.shape[2], minibatch)]

    def moving(weigh: Callable[[Listed, slice], Listed]) -> Weigh:
        """Weights that depend on where the policy is."""

        def at(now: Runs, number: int) -> Runs:
            some = arms[:, :, parts[number]]
            return _on_arms(weigh(_listed(now, some), parts[number]), some, m)

        return at

    if rule.method == "ppo":
        advantage = rloo_advantage(prizes)
        return moving(lambda now, k: ppo(now, listed[:, :, k], advantage[:, :, k], clip=rule.clip).weight)
    if rule.method == "reinforce":
        fixed = reinforce(listed, prizes, baseline="leave_one_out").weight
    elif rule.method == "best_of_n":
        fixed = best_of_n_sft(listed, prizes).weight
    else:
        pairs = pairs_by_reward(prizes)
        if rule.method == "pref_ft":
            fixed = pairs.sum(-1)  # mle on the winners: each answer's share of the pairs it won
        else:
            old = reference_logp[arms]
            if rule.method == "dpo":
                return moving(lambda now, k: dpo(now, old[:, :, k], pairs[:, :, k], beta=rule.beta).weight)
            tau = ipo_tau(rule.margin)
            return moving(lambda now, k: ipo(now, old[:, :, k], pairs[:, :, k], tau=tau).weight)
    tables = [_on_arms(fixed[:, :, k], arms[:, :, k], m) for k in parts]  # these weights do not move in a round
    return lambda _, number: tables[number]


def _listed(values: Runs, arms: Arms) -> Listed:
    """Each run's value at its drawn arms."""
    return np.take_along_axis(values, arms.reshape(*arms.shape[:2], -1), axis=-1).reshape(arms.shape)


def _on_arms(weight: Listed, arms: Arms, m: int) -> Runs:
    """Mean over prompts of the weights, added up for each arm."""
    rates, seeds, prompts, _ = arms.shape
    place = arms + m * np.arange(rates * seeds).reshape(rates, seeds, 1, 1)
    total = np.bincount(place.ravel(), weights=weight.ravel(), minlength=rates * seeds * m)
    return total.reshape(rates, seeds, m) / prompts


class _Adam:
    """Adam for all runs at once, each with its own rate."""

    def __init__(self, shape: tuple[int, ...], rate: np.ndarray) -> None:
        self._mean, self._square, self._rate, self._step = np.zeros(shape), np.zeros(shape), rate, 0

    def move(self, descent: np.ndarray) -> np.ndarray:
        """The change of the logits for this direction of descent."""
        self._step += 1
        self._mean += (1 - _MOMENTUM) * (descent - self._mean)
        self._square += (1 - _SCALE) * (descent**2 - self._square)
        mean = self._mean / (1 - _MOMENTUM**self._step)
        square = self._square / (1 - _SCALE**self._step)
        return self._rate * mean / (np.sqrt(square) + _TINY)
