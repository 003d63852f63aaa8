"""Chapter 10: evenness on numbers and names, and how far it reaches, on a model of your own. The code of chapter 7."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mrtlab.data.targets import Target, Targets
from mrtlab.lab import diffuse_data
from mrtlab.lab.recipes import settings_of
from mrtlab.lab.registry import Table
from mrtlab.lab.scale_run import forget_peak, kept_folder, model_name, most_memory, peak_gib, started
from mrtlab.lab.seed_means import over_seeds

RECIPE = "diffuse-scale"
ARMS = ("plain", "anchored")
TRAINED = "trained"
NUMBERS = ("kl", "mass", "entropy", "top")  # of the exact law beside the target


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a scale trains, see the recipe.

    Attributes:
        model: "embedded", a folder, or a hub name.
        passes: over the eleven prompts.
        seeds: how many; a seed decides families, wordings and ranges.
        lora_rank: of the adapter.
        lr: constant.
        few: take two prompts and two groups, to see that it works.
    """

    model: str
    passes: int
    seeds: int
    lora_rank: int
    lr: float
    few: bool = False


@dataclass(frozen=True, kw_only=True)
class DiffuseScaleCell:
    """One training run."""

    arm: str
    seed: int
    plan: Plan

    @property
    def label(self) -> str:
        """Such as "anchored-seed3"."""
        return f"{self.arm}-seed{self.seed}"


def cells(scale: str) -> Sequence[DiffuseScaleCell]:
    """Both arms, seed by seed."""
    plan = settings_of(RECIPE, scale, Plan)
    plan = replace(plan, model=model_name(plan.model))
    return [DiffuseScaleCell(arm=arm, seed=seed, plan=plan) for seed in range(plan.seeds) for arm in ARMS]


def run_cell(cell: DiffuseScaleCell) -> dict[str, Any]:
    """Train one arm and measure every group exactly.

    Returns:
        groups: {group: {"before": `NUMBERS`, "after": `NUMBERS`}}, means over prompts, "trained" among them;
        facts: share of facts whose right answer has more than half of the mass, before and after;
        loss: the curve; cost; peak: memory, GiB.
    """
    from mrtlab.training.diffuse_run import DiffuseSettings, train_diffuse

    forget_peak()
    model, tokenizer = started(cell.plan.model)
    targets, group_of = asked(cell)
    settings = DiffuseSettings(lora_rank=cell.plan.lora_rank, passes=cell.plan.passes, lr=cell.plan.lr, seed=cell.seed)
    digest = hashlib.sha256(repr((cell, [target.prompt for target in targets.targets])).encode()).hexdigest()
    with kept_folder("diffuse_scale", cell.label, digest) as folder:
        found = train_diffuse(
            model, tokenizer, targets, folder, settings=settings, base=cell.plan.model,
            source={"name": "families of mrtlab.data.tasks", "sha256": digest},
        )  # fmt: skip
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in found["prompts"]:
        rows.setdefault(group_of[str(row["prompt"])], []).append(row)
    facts = rows.pop("facts")
    return {
        "groups": {name: {when: _means(some, when) for when in ("before", "after")} for name, some in rows.items()},
        "facts": {when: float(np.mean([row[when]["mass"] > 0.5 for row in facts])) for when in ("before", "after")},
        "loss": found["loss"],
        "cost": found["cost"],
        "peak": peak_gib(),
    }


def asked(cell: DiffuseScaleCell) -> tuple[Targets, dict[str, str]]:
    """What is taught, what is only measured, what is anchored; and the group of every prompt.

    Facts at even places are anchored in the arm "anchored"; those at odd places are measured in both.
    """
    taught = diffuse_data.mixed(cell.seed)
    groups = diffuse_data.exam(cell.seed)
    facts = diffuse_data.facts()
    if cell.plan.few:
        taught, facts = taught[:2], facts[:6]
        groups = {name: groups[name][:2] for name in ("wordings_new", "families")}
    groups = {TRAINED: taught} | groups | {"facts": [Target.of(fact.prompt, [fact.right]) for fact in facts[1::2]]}
    group_of: dict[str, str] = {}
    found = []
    for name, some in groups.items():
        for target in some:
            if str(target.prompt) not in group_of:
                group_of[str(target.prompt)] = name
                found.append(replace(target, use="train" if name == TRAINED else "measure"))
    anchors = tuple(facts[::2]) if cell.arm == "anchored" else ()
    return Targets(tuple(found), anchors), group_of


def _means(rows: Sequence[dict[str, Any]], when: str) -> dict[str, float]:
    """Means over prompts; the entropy over that of the target, so that 1 is even."""
    found = {name: float(np.mean([row[when][name] for row in rows])) for name in NUMBERS}
    return found | {"entropy": float(np.mean([row[when]["entropy"] / row["floor"] for row in rows]))}


def summarise(results: Sequence[tuple[DiffuseScaleCell, dict[str, Any]]]) -> dict[str, Any]:
    """Means over seeds.

    Returns:
        design; arms.ARM.groups.GROUP.{before, after}.NUMBER; arms.ARM.facts.{before, after, change};
        curves.ARM: of the first seed; peak: GiB; seconds of a run.
    """
    arms: dict[str, Any] = {}
    for arm in ARMS:
        rows = [found for cell, found in results if cell.arm == arm]
        arms[arm] = {
            "groups": {
                name: {
                    when: {
                        number: over_seeds(np.array([row["groups"][name][when][number] for row in rows]))
                        for number in NUMBERS
                    }
                    for when in ("before", "after")
                }
                for name in rows[0]["groups"]
            },
            "facts": _facts([row["facts"] for row in rows]),
            "seconds": over_seeds(np.array([row["cost"]["seconds"] for row in rows])),
        }
    return {
        "design": asdict(results[0][0].plan),
        "arms": arms,
        "curves": {arm: next(found["loss"] for cell, found in results if cell.arm == arm) for arm in ARMS},
        "peak": most_memory(found for _, found in results),
    }


def _facts(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    was, now = (np.array([row[when] for row in rows]) for when in ("before", "after"))
    return {"before": over_seeds(was), "after": over_seeds(now), "change": over_seeds(now - was)}


def table(results: dict[str, Any]) -> Table:
    """Entropy before and after, group by group; facts last."""
    rows = []
    groups = results["arms"]["plain"]["groups"]
    for name, one in groups.items():
        after = [results["arms"][arm]["groups"][name]["after"]["entropy"]["mean"] for arm in ARMS]
        rows.append((name, f"{one['before']['entropy']['mean']:.2f}", *(f"{value:.2f}" for value in after)))
    facts = [results["arms"][arm]["facts"] for arm in ARMS]
    rows.append(("facts right", f"{facts[0]['before']['mean']:.2f}", *(f"{f['after']['mean']:.2f}" for f in facts)))
    design = results["design"]
    return Table(
        title=f"{design['model']}: exact entropy over that of the target, 1 is even, after {design['passes']} passes "
        f"(means over {design['seeds']} seeds).",
        columns=("prompts", "before", *ARMS),
        rows=tuple(rows),
    )
