"""Prompts or responses: what a budget buys, and how many responses to keep for each prompt.

The mean loss over N_p prompts with K responses each has variance V_x/N_p + V_{y|x}/(N_p K). Prompts shrink both
parts, responses only the second, and the two cost different amounts. Everything here follows from that line. It
speaks of the estimate at a *fixed* model, not of the model that training ends with.

Functions broadcast: components, counts and costs may be numbers or arrays.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mrtlab.theory.checks import Numbers, cost, count, number, positive
from mrtlab.theory.components import Components

_SLACK = 1e-9  # 400/(4 + 4·1) must count as 50 prompts, however the division rounds
_MOST_PROMPTS = 2**53  # beyond this, whole numbers run out of digits


def variance(components: Components, n_prompts: Numbers, k: Numbers) -> Numbers:
    """Variance of the mean loss over N_p fresh prompts with K fresh responses each, V_x/N_p + V_{y|x}/(N_p K).

    Args:
        components: V_x and V_{y|x}, in the squared unit of the loss.
        n_prompts: N_p ≥ 1.
        k: K ≥ 1.

    Returns:
        the variance, in the same unit; it has a floor of V_x/N_p however large K is.

    Raises:
        ValueError: a count is below 1.

    Source: multi-response training, the estimator's variance (claim MRT-01).

    >>> float(variance(Components(1.0, 4.0), n_prompts=8, k=2))  # 1/8 + 4/16
    0.375
    """
    prompts, kept = count(n_prompts, "n_prompts"), count(k, "k")
    return number(components.prompt) / prompts + number(components.response) / (prompts * kept)


def variance_frozen_pool(components: Components, n_prompts: Numbers, k: Numbers, pool: Numbers) -> Numbers:
    """Variance that is left when only the choice is redrawn: K of N candidates, prompts and pools staying put.

    Drawing without replacement around the pool's own mean gives V_{y|x}/(N_p K)·(1 − K/N), on average over pools.
    It is 0 at K = N and has no V_x in it, because the prompts do not change. It is *not* the distance to the truth:
    the pools miss that by `variance(components, n_prompts, pool)`, and the two add up to
    `variance(components, n_prompts, k)`. An experiment that redraws prompts and pools sees no such factor.

    Args:
        components: V_x (which plays no part) and V_{y|x}, the variance under the law the pool was drawn from.
        n_prompts: N_p ≥ 1, each with a pool of its own.
        k: K, from 1 to N.
        pool: N candidates per prompt.

    Raises:
        ValueError: a count is below 1 or K is larger than N.

    Source: sampling from a finite population; the trap named in claim MRT-01.

    >>> float(variance_frozen_pool(Components(1.0, 4.0), n_prompts=8, k=2, pool=8))  # 4/16 · (1 − 2/8)
    0.1875
    """
    prompts, kept, size = count(n_prompts, "n_prompts"), count(k, "k"), count(pool, "pool")
    if np.any(kept > size):
        raise ValueError(f"cannot choose k={k} of a pool of {pool} candidates without replacement")
    return number(components.response) / prompts * (1 / kept - 1 / size)


def optimal_k(components: Components, prompt_cost: Numbers, response_cost: Numbers) -> Numbers:
    """The K of least variance for a given total cost, K* = √(V_{y|x}/V_x · C_p/C_r), as a real number.

    With N_p (C_p + K C_r) = B the variance is (V_x + V_{y|x}/K)(C_p + K C_r)/B, least where V_x C_r = V_{y|x} C_p/K².
    Below 1 it means: keep one response.

    Args:
        components: V_x and V_{y|x}.
        prompt_cost: C_p ≥ 0, the cost of a prompt before its first response.
        response_cost: C_r ≥ 0, the cost of a response, same unit.

    Returns:
        K*, from 0 to inf. It is 0 when V_{y|x} or C_p is 0 (a second response buys nothing that a new prompt
        would not), otherwise inf when V_x or C_r is 0.

    Raises:
        ValueError: a cost is negative or not finite.

    Source: multi-response training, the optimum at fixed total cost (claim MRT-02).

    >>> float(optimal_k(Components(1.0, 4.0), prompt_cost=9.0, response_cost=1.0))  # √(4 · 9)
    6.0
    >>> float(optimal_k(Components(0.0, 4.0), prompt_cost=9.0, response_cost=1.0))
    inf
    """
    dear = number(components.response) * cost(prompt_cost, "prompt_cost")
    cheap = number(components.prompt) * cost(response_cost, "response_cost")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(dear == 0, 0.0, np.sqrt(dear / cheap))[()]


def minimum_variance(components: Components, prompt_cost: Numbers, response_cost: Numbers, budget: Numbers) -> Numbers:
    """Variance at the real-valued K*, (√(V_x C_p) + √(V_{y|x} C_r))²/B: no plan at this cost does better.

    Args:
        components: V_x and V_{y|x}.
        prompt_cost: C_p ≥ 0.
        response_cost: C_r ≥ 0.
        budget: B > 0, the total cost, same unit.

    Raises:
        ValueError: a cost is negative, or the budget is not positive.

    Source: our algebra on claim MRT-02. For K* < 1 it lies below what K = 1 can reach.

    >>> float(minimum_variance(Components(1.0, 4.0), prompt_cost=9.0, response_cost=1.0, budget=100.0))  # (3 + 2)²/100
    0.25
    """
    between = np.sqrt(number(components.prompt) * cost(prompt_cost, "prompt_cost"))
    within = np.sqrt(number(components.response) * cost(response_cost, "response_cost"))
    return (between + within) ** 2 / positive(budget, "budget")


def pair_matched_variance(components: Components, n_pairs: Numbers, k: Numbers) -> Numbers:
    """Variance when prompt–answer *pairs* are what is scarce, (K V_x + V_{y|x})/M with M = N_p K pairs.

    It rises with K: at equal pairs, distinct prompts with one answer each are never worse. The case C_p = 0 of
    the law, and a prediction the paper does not spell out.

    Args:
        components: V_x and V_{y|x}.
        n_pairs: M ≥ 1 pairs in all.
        k: K ≥ 1.

    Raises:
        ValueError: a count is below 1.

    Source: our corollary of the law (claim MRT-04).

    >>> pair_matched_variance(Components(1.0, 4.0), n_pairs=10, k=np.array([1, 2, 6]))
    array([0.5, 0.6, 1. ])
    """
    kept = count(k, "k")
    return (kept * number(components.prompt) + number(components.response)) / count(n_pairs, "n_pairs")


@dataclass(frozen=True)
class TokenVariance:
    """Variance × tokens: divide by the tokens of the budget to get the variance.

    Attributes:
        copies: every response is run with its own copy of the prompt.
        shared: the prompt is run once for its K responses.
    """

    copies: Numbers
    shared: Numbers


def token_variance(
    components: Components, k: Numbers, *, prompt_tokens: Numbers, response_tokens: Numbers
) -> TokenVariance:
    """What K responses cost in tokens, in both ways of running them.

    Copies: (V_x + V_{y|x}/K)·K(P + R) = (K V_x + V_{y|x})(P + R), least at K = 1 whatever the variances.
    Shared: (V_x + V_{y|x}/K)·(P + K R), least at `optimal_k(components, P, R)`, that is at
    K* = √(P·V_{y|x} / (R·V_x)). At K = 1 the two are the same.

    Args:
        components: V_x and V_{y|x}.
        k: K ≥ 1.
        prompt_tokens: P ≥ 0, tokens of a prompt.
        response_tokens: R ≥ 0, tokens of a response.

    Raises:
        ValueError: K is below 1 or a length is negative.

    Source: our algebra on claims MRT-02 and MRT-04.

    >>> price = token_variance(Components(1.0, 4.0), np.array([1, 2, 4]), prompt_tokens=40, response_tokens=10)
    >>> price.copies  # 50 tokens a pair: 5·50, 3·100, 2·200
    array([250., 300., 400.])
    >>> price.shared  # 5·50, 3·60, 2·80
    array([250., 180., 160.])
    """
    kept = count(k, "k")
    once = number(components.prompt) + number(components.response) / kept
    p, r = cost(prompt_tokens, "prompt_tokens"), cost(response_tokens, "response_tokens")
    return TokenVariance(copies=once * kept * (p + r), shared=once * (p + kept * r))


@dataclass(frozen=True)
class Curve:
    """What each K would give, one entry per K from 1 up.

    Attributes:
        k: responses per prompt.
        n_prompts: prompts the budget then pays for.
        cost: what that spends; the rest of the budget does not reach for another prompt.
        variance: variance of the mean loss.
        regret: variance over the best one, minus 1; about the share of extra budget the same error would take.
    """

    k: Int[np.ndarray, " ks"]
    n_prompts: Int[np.ndarray, " ks"]
    cost: Float[np.ndarray, " ks"]
    variance: Float[np.ndarray, " ks"]
    regret: Float[np.ndarray, " ks"]


@dataclass(frozen=True)
class Plan:
    """What to collect, and what other choices would cost.

    Attributes:
        components: the V_x and V_{y|x} it was made for.
        prompt_cost: C_p.
        response_cost: C_r.
        budget: B.
        k: best whole K.
        n_prompts: prompts to collect.
        variance: of the mean loss under this plan.
        real_k: K* of the law, a real number that knows no limits; see `optimal_k`.
        limited: K is as large as `max_k` allowed, and larger might be better.
        curve: every K that was looked at.
    """

    components: Components
    prompt_cost: float
    response_cost: float
    budget: float
    k: int
    n_prompts: int
    variance: float
    real_k: float
    limited: bool
    curve: Curve

    @property
    def standard_error(self) -> float:
        """Square root of the variance, in the unit of the loss."""
        return float(np.sqrt(self.variance))

    @property
    def cost(self) -> float:
        """What the plan spends, at most the budget."""
        return float(self.curve.cost[self.k - 1])

    def regret_if(self, components: Components) -> float:
        """What this K would cost beyond the best one, as a share, if the components were others.

        >>> chosen = plan(Components(1.0, 8.0), prompt_cost=4, response_cost=1, budget=80)
        >>> round(chosen.regret_if(Components(8.0, 1.0)), 3)  # (8 + 1/6)/8 where (8 + 1)/16 was to be had
        0.815
        """
        curve = self.curve
        var = variance(components, curve.n_prompts, curve.k)
        return float(var[self.k - 1] / var.min() - 1) if var.min() > 0 else 0.0

    @property
    def advice(self) -> str:
        """The plan in one sentence."""
        if self.k > 1:
            extra = f"with one response each the variance would be {100 * self.curve.regret[0]:.0f} % higher"
            text = f"Collect {self.k} responses for each of {_of(self.n_prompts, 'prompt')}; {extra}."
            return f"{text} This is the largest K that was allowed." if self.limited else text
        if len(self.curve.k) == 1:
            why = "there is no room for a second response"
        elif self.components.response == 0:
            why = "the responses to a prompt do not differ"
        elif self.prompt_cost == 0:
            why = "a response to a new prompt costs no more than a second one to an old prompt, and tells more"
        else:
            why = "at these costs a new prompt lowers the variance more than second responses would"
        return f"Keep one response per prompt and collect {_of(self.n_prompts, 'prompt')}: {why}."


def plan(
    components: Components,
    prompt_cost: float | int,
    response_cost: float | int,
    budget: float | int,
    *,
    max_k: int = 64,
    max_prompts: int | None = None,
) -> Plan:
    """The whole K and N_p of least variance that a budget pays for.

    For each K the budget pays for N_p = ⌊B/(C_p + K C_r)⌋ prompts, at most `max_prompts`; the K of least
    V_x/N_p + V_{y|x}/(N_p K) wins, the smaller one if two are equal. Whole prompts make the curve a little uneven,
    so the winner may differ by one or two from K*, at next to no cost: the optimum is flat.

    Args:
        components: V_x and V_{y|x}, two numbers.
        prompt_cost: C_p ≥ 0, what a prompt costs before its first response.
        response_cost: C_r ≥ 0, what a response costs, same unit.
        budget: B > 0, same unit.
        max_k: largest K to consider, such as the number of candidates you have.
        max_prompts: prompts that exist, if they are fewer than money could buy.

    Raises:
        ValueError: a cost or a limit does not make sense, or the budget does not pay for one prompt with one response.

    Source: multi-response training, the optimum at fixed total cost (claims MRT-02 and MRT-04).

    >>> plan(Components(1.0, 8.0), prompt_cost=4, response_cost=1, budget=80).advice  # √(8·4) = 5.7 in real numbers
    'Collect 6 responses for each of 8 prompts; with one response each the variance would be 93 % higher.'
    >>> plan(Components(8.0, 1.0), prompt_cost=4, response_cost=1, budget=80).k
    1
    """
    c_p, c_r = float(cost(prompt_cost, "prompt_cost")), float(cost(response_cost, "response_cost"))
    total = float(positive(budget, "budget"))
    if c_p == 0 and c_r == 0:
        raise ValueError("prompt_cost and response_cost are both 0: without a cost there is nothing to plan")
    if max_k < 1 or (max_prompts is not None and max_prompts < 1):
        raise ValueError(f"limits must be 1 or more, got max_k={max_k}, max_prompts={max_prompts}")
    k = np.arange(1, max_k + 1)
    each = c_p + k * c_r
    n_prompts = np.minimum(np.floor(total / each * (1 + _SLACK)), max_prompts or _MOST_PROMPTS).astype(np.int64)
    paid = n_prompts >= 1
    if not paid[0]:
        raise ValueError(
            f"a budget of {total:g} does not pay for one prompt with one response, which cost {each[0]:g} together"
        )
    k, n_prompts, each = k[paid], n_prompts[paid], each[paid]
    var = variance(components, n_prompts, k)
    best = int(np.argmax(var <= var.min() * (1 + _SLACK)))
    regret = var / var[best] - 1 if var[best] > 0 else np.zeros_like(var)
    return Plan(
        components=components,
        prompt_cost=c_p,
        response_cost=c_r,
        budget=total,
        k=int(k[best]),
        n_prompts=int(n_prompts[best]),
        variance=float(var[best]),
        real_k=float(optimal_k(components, c_p, c_r)),
        limited=bool(k[best] == max_k and max_k > 1),
        curve=Curve(k=k, n_prompts=n_prompts, cost=n_prompts * each, variance=var, regret=np.maximum(regret, 0.0)),
    )


def _of(n: int, thing: str) -> str:
    """ "1 prompt", "50 prompts"."""
    return f"{n:,} {thing}" + ("" if n == 1 else "s")
