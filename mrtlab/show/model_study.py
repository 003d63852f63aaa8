"""What a model makes of a data set, and what that means for the next one: the plan for loss and gradient, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mrtlab.data.records import Record
from mrtlab.data.tables import LossTable
from mrtlab.show.study import Prices, Study, between, k_between, k_in_words, percent
from mrtlab.theory import Estimate, plan

if TYPE_CHECKING:
    from mrtlab.training.variances import Variances

_FEW = 10  # prompts; with fewer the intervals were not tried
_DEAR = 0.10  # excess variance that is worth a different K

LOSSES = {
    "token": "nats for a token, long responses weigh more",
    "response": "a response's mean over its tokens, nats",
    "prompt": "−log p of a response, nats",
}


@dataclass(frozen=True)
class ModelStudy:
    """A plan for the loss and one for the gradient, from the same responses, prices and budget.

    Attributes:
        model: its name.
        variances: what was measured.
        loss: the plan that the scalar loss alone would give.
        gradient: the plan for what training follows. Its table holds the losses, too.
        n_prompts, n_responses: of the whole data set, of which not all may have been measured.
        own_budget: no budget was given, so it is what this data set costs.
        weighted: some records have weights or targets, which play no part here.
    """

    model: str
    variances: "Variances"
    loss: Study
    gradient: Study
    n_prompts: int
    n_responses: int
    own_budget: bool
    weighted: bool

    @property
    def source(self) -> str:
        """Where the responses are from."""
        return self.gradient.source

    @property
    def prices(self) -> Prices:
        """What a prompt and a response cost."""
        return self.gradient.prices

    @property
    def headline(self) -> str:
        """The plan that is advised: the gradient's."""
        return self.gradient.plan.advice

    @property
    def comparison(self) -> str:
        """Whether loss and gradient agree, and which one matters if not."""
        k, other = self.gradient.plan.k, self.loss.plan.k
        if k == other:
            return f"Loss and gradient agree on K = {k}."
        curve = self.gradient.plan.curve
        dearer = float(curve.regret[other - 1])
        there = f"at K = {other} the gradient's variance is {percent(dearer)} higher than at K = {k}"
        if dearer <= _DEAR:
            return f"The loss alone would say K = {other}. The difference is small: {there}."
        but = f"The loss alone would say K = {other}, but training follows the gradient"
        return f"{but}." if other == 1 else f"{but}: {there}."  # the headline has said what K = 1 costs

    @property
    def pairs(self) -> str:
        """When the advice does not hold: where pairs are scarce and not tokens. Empty if it says K = 1 anyway."""
        if self.gradient.plan.k == 1 or self.prices.prompt == 0 or self.prices.tokens is None:
            return ""
        return (
            "Costs are tokens that training runs through the model. If pairs of prompt and response are what is scarce "
            "instead, and a new prompt costs no more than a second response, one response for each of more prompts is "
            "best, whatever the variances."
        )

    @property
    def too_early(self) -> str:
        """A warning where prompts differ more than responses: mostly a model that does not know the task yet."""
        parts = self.gradient.estimate.components
        if parts.prompt <= parts.response:
            return ""
        return (
            "Prompts differ more than the responses to one of them. Often that means that the model does not know this "
            "kind of question yet; then the plan speaks of its first steps, and a short training can turn it round "
            "(chapter 6). Train briefly, mrtlab train mrt FILE --epochs 1 --out FOLDER, and plan again with "
            "--model FOLDER."
        )

    @property
    def remarks(self) -> list[str]:
        """What else to keep in mind, a sentence or two each."""
        own = (self.too_early, self.pairs)
        found = [*self.gradient.remarks, *(remark for remark in own if remark)]
        measured = self.gradient.estimate.n_prompts
        if measured < _FEW:
            found.append(
                f"With {measured} prompts the intervals themselves are rough; they were tried with {_FEW} or more. "
                "What tells V_x is more prompts, not more responses to these."
            )
        if self.weighted:
            found.append("The weights or targets of the file play no part here: every response counts as one draw.")
        return [*found, *self.variances.measured.notes]

    @property
    def facts(self) -> list[str]:
        """What was measured on what, at which prices: a sentence each."""
        found, known = self.variances, self.gradient.estimate
        prices, budget = self.prices, self.gradient.plan.budget
        unit = f" {prices.unit}" if prices.unit else ""
        why = ", which is what this file costs" if self.own_budget else ""
        lengths = f"{found.prompt_tokens:.3g} tokens, a response {found.response_tokens:.3g}, means over prompts"
        if prices.tokens == (found.prompt_tokens, found.response_tokens):
            way = "with a copy of the prompt for every response" if prices.copies else "with the prompt run once"
            costs = f"Costs are these tokens, {way}"
        else:
            costs = f"A prompt costs {prices.prompt:.3g}{unit}, a response {prices.response:.3g}"
        return [
            f"{self.source} on {self.model}: {known.n_prompts:,} prompts and {known.n_responses:,} responses measured.",
            f"Loss: {LOSSES[found.normalisation]}. Gradient: of {found.measured.weights}, "
            f"{found.measured.n_weights:,} numbers.",
            f"A prompt has {lengths}. {costs}; budget {budget:,.12g}{unit}{why}.",
        ]

    @property
    def measured(self) -> list[tuple[str, str, str]]:
        """Rows of name, gradient and loss, with 95 % intervals."""
        both = (self.gradient, self.loss)

        def row(name: str, cell: Any) -> tuple[str, str, str]:
            first, second = (cell(study) for study in both)
            return name, first, second

        return [
            row("V_x, between prompts", lambda s: _with(s.estimate.components.prompt, s.estimate.intervals.prompt)),
            row(
                "V_y|x, within a prompt",
                lambda s: _with(s.estimate.components.response, s.estimate.intervals.response),
            ),
            row("V_y|x / V_x", lambda s: _with(s.estimate.components.ratio, s.estimate.intervals.ratio)),
            row("best K of the law", _best),
            row("best for this budget", lambda s: f"{s.plan.k}, {s.plan.n_prompts:,} prompts"),
        ]

    @property
    def choices(self) -> list[tuple[str, str, str, str, str]]:
        """Rows of K, prompts, cost, and the excess variance of gradient and loss."""
        rows = sorted({*self.gradient.rows, *self.loss.rows})
        curve, other = self.gradient.plan.curve, self.loss.plan.curve
        return [
            (
                str(curve.k[i]),
                f"{curve.n_prompts[i]:,}",
                f"{curve.cost[i]:,.0f}",
                _excess(self.gradient, curve.regret[i], i),
                _excess(self.loss, other.regret[i], i),
            )
            for i in rows
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything for programs; a number without bound is null."""
        found = self.variances
        kept = ("components", "optimal_k", "plan", "curve")
        gradient, loss = (study.as_json() for study in (self.gradient, self.loss))
        return {
            "source": self.source,
            "model": self.model,
            "n_prompts": gradient["n_prompts"],
            "n_responses": gradient["n_responses"],
            "prompt_tokens": found.prompt_tokens,
            "response_tokens": found.response_tokens,
            "normalisation": found.normalisation,
            "weights": found.measured.weights,
            "n_weights": found.measured.n_weights,
            "features": int(found.measured.gradients[0].shape[1]),
            "costs": gradient["costs"],
            "gradient": {name: gradient[name] for name in kept},
            "loss": {name: loss[name] for name in kept},
            "advice": f"{self.headline} {self.comparison}",
            "remarks": self.remarks,
        }


CHOICE_COLUMNS = ("K", "prompts", "spent", "gradient", "loss")
MEASURED_COLUMNS = ("measured", "gradient", "loss")


def model_study(
    variances: "Variances",
    records: Sequence[Record],
    *,
    model: str,
    source: str,
    prices: Prices | None = None,
    copies: bool = False,
    budget: float | int | None = None,
    max_k: int = 64,
    max_prompts: int | None = None,
) -> ModelStudy:
    """Plan with what was measured on a model.

    Args:
        variances: of `mrtlab.training.variances.measure_variances`.
        records: the whole data set.
        model, source: names for people.
        prices: of a prompt and a response; left out they are their mean numbers of tokens.
        copies: without prices: the prompt is run anew with every response.
        budget: in the unit of the prices; left out it is what this data set costs.
        max_k, max_prompts: as `mrtlab.theory.plan`.

    Raises:
        ValueError: the plan is impossible; one sentence.
    """
    prices = prices or Prices.of_tokens(variances.prompt_tokens, variances.response_tokens, copies=copies)
    n_responses = sum(len(record) for record in records)
    total = float(round(len(records) * prices.prompt + n_responses * prices.response)) if budget is None else budget
    table = LossTable(variances.measured.prompts, variances.measured.losses(variances.normalisation))

    def planned(estimate: Estimate) -> Study:
        chosen = plan(estimate.components, prices.prompt, prices.response, total, max_k=max_k, max_prompts=max_prompts)
        return Study(source=source, table=table, estimate=estimate, prices=prices, plan=chosen)

    return ModelStudy(
        model=model,
        variances=variances,
        loss=planned(variances.loss),
        gradient=planned(variances.gradient),
        n_prompts=len(records),
        n_responses=n_responses,
        own_budget=budget is None,
        weighted=any(record.weights is not None or record.targets is not None for record in records),
    )


def _with(value: Any, interval: tuple[float, float]) -> str:
    """An estimate and its interval."""
    return f"{float(value):.3g} ({between(interval)})"


def _best(study: Study) -> str:
    """K* of the law and its interval; below 1 it has no more to say."""
    k, interval = study.plan.real_k, k_between(study.k_interval)
    words = "below 1" if k < 1 else k_in_words(k)
    return words if words == interval else f"{words} ({interval})"


def _excess(study: Study, regret: Any, row: int) -> str:
    return "best" if study.plan.curve.k[row] == study.plan.k else f"+{percent(float(regret))}"
