"""What a table of losses says about the next data set: the facts that terminal, JSON and report all show."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.tables import LossTable
from mrtlab.theory import (
    Components,
    Estimate,
    GaussianModes,
    Interval,
    Plan,
    estimate_components,
    optimal_k,
    plan,
    token_variance,
    variance,
)

_WIDE = 3.0  # an interval of K* whose ends differ by more than this factor is worth a remark
_DEAR = 0.10  # regret beyond which a wrong K is worth a warning
_SHOWN = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Prices:
    """What a prompt and a response cost.

    Attributes:
        prompt: C_p.
        response: C_r.
        unit: of both and of the budget, "" if it was not said.
        tokens: prompt and response length if the prices were made from them.
        copies: the prompt is run anew with every response, so its tokens count as the response's.
    """

    prompt: float
    response: float
    unit: str = ""
    tokens: tuple[float, float] | None = None
    copies: bool = False

    @classmethod
    def of_tokens(cls, prompt_tokens: float, response_tokens: float, *, copies: bool) -> "Prices":
        """Prices in tokens, with the prompt run once for all its responses or copied for each.

        >>> Prices.of_tokens(100.0, 20.0, copies=True).response
        120.0
        """
        both = (prompt_tokens, response_tokens)
        if copies:
            return cls(0.0, prompt_tokens + response_tokens, "tokens", both, copies=True)
        return cls(prompt_tokens, response_tokens, "tokens", both)


@dataclass(frozen=True)
class Study:
    """A table, what it says, and the plan that follows.

    Attributes:
        source: where the table is from, for people.
        table: the losses.
        estimate: its variance components.
        prices: what things cost.
        plan: what to collect.
        gradient: variance components of the gradient (traces), if the table has gradients.
    """

    source: str
    table: LossTable
    estimate: Estimate
    prices: Prices
    plan: Plan
    gradient: Estimate | None = None

    @property
    def k_interval(self) -> Interval:
        """95 % interval of K*, from that of V_{y|x}/V_x; the upper end is inf if V_x may be 0."""
        return self._best_k(self._ratios)

    @property
    def gradient_k(self) -> tuple[float, Interval] | None:
        """K* of the gradient's variance with its 95 % interval, if the table has gradients."""
        if self.gradient is None:
            return None
        value, _ = self._best_k((self.gradient.components.ratio,) * 2)
        return value, self._best_k(self.gradient.intervals.ratio)

    def _best_k(self, ratios: Interval) -> Interval:
        """K* at both ends of an interval of V_{y|x}/V_x."""
        low, high = (optimal_k(_with_ratio(r), self.prices.prompt, self.prices.response) for r in ratios)
        return float(low), float(high)

    @property
    def worst_regret(self) -> float:
        """Excess variance of the plan's K at the worse end of the interval of V_{y|x}/V_x."""
        return max(self.plan.regret_if(_with_ratio(r)) for r in self._ratios)

    @property
    def cautious_k(self) -> int:
        """The K whose excess variance is smallest at the worse end of the interval of V_{y|x}/V_x."""
        curve = self.plan.curve
        ends = [variance(_with_ratio(r), curve.n_prompts, curve.k) for r in self._ratios]
        regret = np.maximum(*(end / end.min() for end in ends))
        return int(curve.k[np.argmin(regret)])

    @property
    def _ratios(self) -> Interval:
        return self.estimate.intervals.ratio

    @property
    def remarks(self) -> list[str]:
        """Warnings and asides, a sentence or two each."""
        found = [self.estimate.remark] if self.estimate.remark else []
        low, high = self.k_interval
        if high > _WIDE * max(low, 1.0):
            found.append(self._about_range())
        if self.gradient:
            found.append(self._about_gradient(self.gradient.components))
        if self.prices.copies:
            found.append(self._about_sharing())
        if self.plan.limited:
            found.append(f"K = {self.plan.k} is the largest K that was tried; allow more with --max-k.")
        return found

    def _about_range(self) -> str:
        """What it means that the best K could be almost anything."""
        k, most = self.plan.k, percent(self.worst_regret)
        known = f"these data allow {k_between(self.k_interval)}"
        if self.worst_regret <= _DEAR:
            return (
                f"The best K is uncertain ({known}), but K = {k} is safe: at most {most} more variance than the best."
            )
        cautious = self.cautious_k
        instead = f" K = {cautious} is the cautious choice until then." if cautious != k else ""
        return (
            f"The best K is uncertain: {known}. At the worse end K = {k} would have {most} more variance than "
            f"the best choice. A table with more prompts would tell.{instead}"
        )

    def _about_gradient(self, known: Components) -> str:
        """What the plan, made for the loss, means for the gradient."""
        regret = self.plan.regret_if(known)
        best = int(self.plan.curve.k[np.argmin(variance(known, self.plan.curve.n_prompts, self.plan.curve.k))])
        start = "The plan is for the mean loss; training follows the gradient."
        if regret <= _DEAR:
            return f"{start} For the gradient K = {self.plan.k} is a good choice too."
        return (
            f"{start} For the gradient K = {best} is best, and K = {self.plan.k} has {percent(regret)} more variance."
        )

    def _about_sharing(self) -> str:
        """What running the prompt once would change, for those who copy it."""
        assert self.prices.tokens is not None
        p, r = self.prices.tokens
        known = self.plan.components
        k = max(1, round(min(float(optimal_k(known, p, r)), 64.0)))
        cost = token_variance(known, np.array([1.0, float(k)]), prompt_tokens=p, response_tokens=r)
        always = "With a copy of the prompt for every response, K = 1 is always best per token."
        if k == 1 or not cost.copies[0] > 0:
            return always
        saved = 1 - cost.shared[1] / cost.copies[0]
        return f"{always} Running the prompt once and keeping K = {k} would have {percent(saved)} less variance."

    @property
    def measured(self) -> list[tuple[str, str, str]]:
        """What was measured: name, estimate, 95 % interval, in words."""
        known, sure = self.estimate.components, self.estimate.intervals
        found = [
            ("V_x, between prompts", f"{known.prompt:.3g}", between(sure.prompt)),
            ("V_y|x, among responses to a prompt", f"{known.response:.3g}", between(sure.response)),
            ("best K of the law", k_in_words(self.plan.real_k), k_between(self.k_interval)),
        ]
        if self.gradient_k:
            value, interval = self.gradient_k
            found.append(("best K for the gradient", k_in_words(value), k_between(interval)))
        return found

    @property
    def rows(self) -> list[int]:
        """Positions in the plan's curve worth a line: K = 1, 2, 4, 8, … and the best K with its neighbours."""
        k = self.plan.k
        shown = sorted({*_SHOWN, k - 1, k, k + 1} & set(self.plan.curve.k.tolist()))
        return [each - 1 for each in shown]

    def as_json(self) -> dict[str, Any]:
        """Everything for programs; a number without bound is null."""
        chosen, curve = self.plan, self.plan.curve
        return {
            "source": self.source,
            "n_prompts": self.estimate.n_prompts,
            "n_responses": self.estimate.n_responses,
            "components": _components_json(self.estimate),
            "gradient": {
                "components": _components_json(self.gradient),
                "optimal_k": _measured(*self.gradient_k),
            }
            if self.gradient and self.gradient_k
            else None,
            "costs": {
                "prompt": self.prices.prompt,
                "response": self.prices.response,
                "budget": chosen.budget,
                "unit": self.prices.unit or None,
            },
            "optimal_k": _measured(chosen.real_k, self.k_interval),
            "plan": {
                "k": chosen.k,
                "n_prompts": chosen.n_prompts,
                "cost": chosen.cost,
                "variance": chosen.variance,
                "standard_error": chosen.standard_error,
                "worst_regret": self.worst_regret,
            },
            "curve": [
                {
                    "k": int(curve.k[i]),
                    "n_prompts": int(curve.n_prompts[i]),
                    "cost": float(curve.cost[i]),
                    "standard_error": float(np.sqrt(curve.variance[i])),
                    "regret": float(curve.regret[i]),
                }
                for i in range(len(curve.k))
            ],
            "advice": chosen.advice,
            "remarks": self.remarks,
        }


def study(
    table: LossTable,
    source: str,
    prices: Prices,
    budget: float | int,
    *,
    max_k: int = 64,
    max_prompts: int | None = None,
) -> Study:
    """Measure the variances of a table and plan with them.

    Raises:
        ValueError: the table does not show both variances, or the plan is impossible; one sentence.
    """
    estimate = estimate_components(table.values, names=table.prompts)
    chosen = plan(estimate.components, prices.prompt, prices.response, budget, max_k=max_k, max_prompts=max_prompts)
    gradient = estimate_components(table.gradients, names=table.prompts) if table.gradients else None
    return Study(source=source, table=table, estimate=estimate, prices=prices, plan=chosen, gradient=gradient)


def demo_table() -> LossTable:
    """Losses in the toy world of the book: 60 prompts, 2 to 8 responses each, scored by a single bell curve.

    The model ignores the prompt, so prompts differ (some are far from the middle) and so do the responses.
    """
    rng = np.random.default_rng(2)
    world = GaussianModes()
    _, y = world.sample(60, 8, rng=rng)
    spread = np.exp(2 * world.constant_gaussian_loss) / (2 * np.pi * np.e)  # variance of that bell curve
    losses = 0.5 * np.log(2 * np.pi * spread) + y**2 / (2 * spread)
    kept = rng.integers(2, 9, size=60)
    return LossTable([f"toy-{i:02}" for i in range(60)], [row[:k] for row, k in zip(losses, kept, strict=True)])


def percent(share: float) -> str:
    """A share as a percentage with as many digits as help.

    >>> percent(0.463), percent(0.004), percent(float("inf"))
    ('46 %', '0.4 %', 'without limit')
    """
    if np.isinf(share):
        return "without limit"
    return f"{100 * share:.1g} %" if share < 0.01 else f"{100 * share:.0f} %"


def between(interval: Interval) -> str:
    """An interval in words.

    >>> between((1.0, 2.5)), between((0.4, float("inf")))
    ('1 to 2.5', '0.4 or more')
    """
    low, high = interval
    return f"{low:.3g} or more" if np.isinf(high) else f"{low:.3g} to {high:.3g}"


def k_in_words(k: float) -> str:
    """A real-valued K* for people.

    >>> k_in_words(5.333), k_in_words(0.4), k_in_words(float("inf"))
    ('5.3', 'below 1: keep one', 'no limit')
    """
    if np.isinf(k):
        return "no limit"
    return "below 1: keep one" if k < 1 else f"{k:.2g}" if k < 100 else f"{k:.0f}"


def k_between(interval: Interval) -> str:
    """An interval of K* for people.

    >>> k_between((0.3, 0.8)), k_between((0.3, 4.0)), k_between((2.0, float("inf"))), k_between((0.0, float("inf")))
    ('below 1', 'below 1 to 4', '2 or more', 'any K')
    """
    low, high = interval
    if low < 1 and np.isinf(high):
        return "any K"
    if high < 1:
        return "below 1"
    start = "below 1" if low < 1 else k_in_words(low)
    return f"{start} or more" if np.isinf(high) else f"{start} to {k_in_words(high)}"


def _with_ratio(ratio: float) -> Components:
    """Components of a given V_{y|x}/V_x; only their ratio means something."""
    return Components(0.0, 1.0) if np.isinf(ratio) else Components(1.0, ratio)


def _components_json(estimate: Estimate) -> dict[str, Any]:
    """Both variances and their ratio, with intervals."""
    known, sure = estimate.components, estimate.intervals
    return {
        "prompt": _measured(known.prompt, sure.prompt) | {"clipped": estimate.clipped},
        "response": _measured(known.response, sure.response),
        "ratio": _measured(known.ratio, sure.ratio),
    }


def _measured(value: Any, interval: Interval) -> dict[str, Any]:
    """A number with its interval, with null for what has no bound."""
    numbers = (float(value), *interval)
    names = ("value", "lo", "hi")
    return {name: number if np.isfinite(number) else None for name, number in zip(names, numbers, strict=True)}
