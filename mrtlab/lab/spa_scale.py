"""Chapter 10: several adapters on parts of the data, on a model of your own. The code of chapter 8."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mrtlab.data.tasks import Question
from mrtlab.lab.recipes import settings_of
from mrtlab.lab.registry import Table
from mrtlab.lab.scale_run import forget_peak, kept_folder, model_name, most_memory, peak_gib, started
from mrtlab.lab.seed_means import over_seeds
from mrtlab.lab.spa_data import LENGTH, draw_by, exam, family_of, pairs, queries
from mrtlab.lab.spa_world import records_of
from mrtlab.spa.rules import dealing_rows, make_parts

RECIPE = "spa-scale"
ARMS = ("one", "seeds", "random", "products", "dealt")
DOMAIN = "programs"
HEAT = 0.7  # of the one adapter
NUMBERS = ("pass@1", "distinct_right", "pair_share")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a scale trains, see the recipe.

    Attributes:
        model: "embedded", a folder, or a hub name.
        pairs: of a task and a right program, drawn from the model itself.
        k: adapters.
        steps: of each adapter; base_steps: of the one that is trained on all pairs and differentiated.
        questions: of the exam.
        seeds: how many.
        batch: pairs in a step.
        lora_rank, lr: of every adapter.
    """

    model: str
    pairs: int
    k: int
    steps: int
    base_steps: int
    questions: int
    seeds: int
    batch: int
    lora_rank: int
    lr: float


@dataclass(frozen=True, kw_only=True)
class SpaScaleCell:
    """All arms of one seed: they share the data, the adapter on all of them, and its gradients."""

    seed: int
    plan: Plan

    @property
    def label(self) -> str:
        """Such as "seed3"."""
        return f"seed{self.seed}"


def cells(scale: str) -> Sequence[SpaScaleCell]:
    """One for each seed."""
    plan = settings_of(RECIPE, scale, Plan)
    plan = replace(plan, model=model_name(plan.model))
    return [SpaScaleCell(seed=seed, plan=plan) for seed in range(plan.seeds)]


def run_cell(cell: SpaScaleCell) -> dict[str, Any]:
    """Draw the data, train the adapters of every arm, ask them all, and execute what they wrote.

    Returns:
        arms: {arm: `NUMBERS`}, means over questions; sizes: {arm: pairs in each part}; example: one question with what
        every arm answers; peak: memory, GiB.
    """
    from mrtlab.lm.sampling import Sampler, sample
    from mrtlab.spa.adapters import adapter_name, load_adapters, train_adapters
    from mrtlab.spa.stacked import sample_each

    forget_peak()
    plan = cell.plan
    asked = exam(DOMAIN, seed=cell.seed)[: plan.questions]
    prompts = [question.text for question in asked]
    digest = hashlib.sha256(repr(cell).encode()).hexdigest()
    answers: dict[str, list[list[str]]] = {}
    with kept_folder("spa_scale", cell.label, digest) as folder:
        model, tokenizer = started(plan.model)
        data = records_of(pairs(DOMAIN, plan.pairs, seed=cell.seed, draw=draw_by(model, tokenizer)))
        whole = train_adapters(
            model,
            tokenizer,
            [data],
            folder / "all",
            base=plan.model,
            settings=_settings(plan, cell.seed, all_data=True),
        )
        parts = {"seeds": None} | _parts(cell, whole, data)
        model = load_adapters(started(plan.model)[0], whole)
        model.set_adapter(adapter_name(whole[0]))
        answers["one"] = sample(
            model, tokenizer, prompts, n=plan.k, seed=cell.seed, sampler=Sampler(temperature=HEAT),
            max_new_tokens=LENGTH,
        )  # fmt: skip
        for arm, part in parts.items():
            sets = [data] * plan.k if part is None else [[data[i] for i in some] for some in part if len(some)]
            model, tokenizer = started(plan.model)
            made = train_adapters(
                model, tokenizer, sets, folder / arm, base=plan.model, settings=_settings(plan, cell.seed)
            )
            model = load_adapters(started(plan.model)[0], made)
            names = [adapter_name(one) for one in made]
            said = sample_each(model, tokenizer, prompts, adapters=names, seed=cell.seed, max_new_tokens=LENGTH)
            answers[arm] = [[answer for (answer,) in some] for some in said]
    return {
        "arms": {arm: _numbers(asked, answers[arm]) for arm in ARMS},
        "sizes": {arm: [len(some) for some in part] for arm, part in parts.items() if part is not None},
        "example": {"question": prompts[0], "answers": {arm: list(answers[arm][0]) for arm in ARMS}},
        "peak": peak_gib(),
    }


def _settings(plan: Plan, seed: int, *, all_data: bool = False) -> Any:
    from mrtlab.spa.adapters import AdaptSettings

    return AdaptSettings(
        steps=plan.base_steps if all_data else plan.steps,
        batch_prompts=plan.batch,
        lora_rank=plan.lora_rank,
        lr=plan.lr,
        seed=1000 * seed,
    )


def _parts(cell: SpaScaleCell, whole: Sequence[Any], data: Sequence[Any]) -> dict[str, list[np.ndarray]]:
    """The members of every part, by three rules: chance, plain products of gradients, and dealing."""
    from mrtlab.spa.adapters import adapter_name, load_adapters
    from mrtlab.spa.gradients import examples_of, gradients_of
    from mrtlab.spa.influence import grad_dot

    model, tokenizer = started(cell.plan.model)
    model = load_adapters(model.float(), whole)  # gradients are taken in single precision
    model.set_adapter(adapter_name(whole[0]))
    gradients = gradients_of(model, examples_of(data, tokenizer))
    targets = gradients_of(model, examples_of(records_of(queries(DOMAIN, seed=cell.seed)), tokenizer))
    rows = {"random": None, "products": grad_dot(gradients, targets), "dealt": dealing_rows(data)}
    rule_of = {"random": "random", "products": "influence", "dealt": "dealt"}
    n, k = len(data), cell.plan.k
    return {
        arm: list(make_parts(rule_of[arm], some, n=n, k=k, seed=cell.seed).partition.members())
        for arm, some in rows.items()
    }


def _numbers(asked: Sequence[Question], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Means over questions; every program is executed."""
    from mrtlab.spa.diversity import judge_answers

    valid = family_of(DOMAIN).valid
    found = [
        judge_answers(some, [valid(question, answer) for answer in some]).numbers
        for question, some in zip(asked, answers, strict=True)
    ]
    return {name: float(np.mean([one[name] for one in found])) for name in NUMBERS}


def summarise(results: Sequence[tuple[SpaScaleCell, dict[str, Any]]]) -> dict[str, Any]:
    """Means over seeds.

    Returns:
        design; arms.ARM.NUMBER, and less_seeds.NUMBER paired by seed; largest.ARM: the largest part over an even one;
        example: of the first seed; peak: GiB.
    """
    plan = results[0][0].plan
    values = {
        arm: {name: np.array([found["arms"][arm][name] for _, found in results]) for name in NUMBERS} for arm in ARMS
    }
    return {
        "design": asdict(plan),
        "arms": {
            arm: {
                **{name: over_seeds(row) for name, row in some.items()},
                "less_seeds": {name: over_seeds(row - values["seeds"][name]) for name, row in some.items()},
            }
            for arm, some in values.items()
        },
        "largest": {
            arm: over_seeds(np.array([max(found["sizes"][arm]) * plan.k / plan.pairs for _, found in results]))
            for arm in results[0][1]["sizes"]
        },
        "example": results[0][1]["example"],
        "peak": most_memory(found for _, found in results),
    }


def table(results: dict[str, Any]) -> Table:
    """Right and different answers, arm by arm."""
    design = results["design"]

    def band(found: dict[str, float]) -> str:
        return f"{found['mean']:.2f} ({found['lo']:.2f} to {found['hi']:.2f})"

    return Table(
        title=f"{design['model']}: {design['k']} answers to each of {design['questions']} questions, programs executed "
        f"(95 % over {design['seeds']} seeds).",
        columns=("arm", "pass@1", f"different right of {design['k']}", "pairs that differ"),
        rows=tuple((arm, *(band(some[name]) for name in NUMBERS)) for arm, some in results["arms"].items()),
    )
