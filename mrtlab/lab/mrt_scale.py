"""Chapter 10: several responses to a prompt against one, with as many pairs and as many steps, on a model of your own.

Three arms, which all read the same number of pairs in the same number of steps:

- one: N prompts with one response each, read K times;
- many: the same prompts with K responses each, read once;
- matched: N·K prompts with one response each, read once. It is the control that tells responses from data.

What is measured is the exact loss on held-out prompts with all their responses, before and after.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrtlab.data.records import Record
from mrtlab.lab.callings_data import groups, prompts
from mrtlab.lab.recipes import settings_of
from mrtlab.lab.registry import MissingInput, Table
from mrtlab.lab.scale_run import forget_peak, kept_folder, model_name, most_memory, peak_gib, started
from mrtlab.lab.seed_means import over_seeds

RECIPE = "mrt-scale"
ARMS = ("one", "many", "matched")
DATA = "MRTLAB_DATA"  # a data set in place of the recipe's


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a scale trains on, see the recipe.

    Attributes:
        model: "embedded", a folder, or a hub name.
        data: "callings", a data set of `mrtlab.data.published`, or a file of records.
        prompts: N.
        k: responses of a prompt, K.
        held_out: prompts that are measured.
        seeds: how many.
        batch_pairs: prompt–response pairs in a step, a multiple of K.
        lora_rank: of the adapter.
        lr: peak learning rate.
        max_length: tokens of prompt and response; None takes what the model has positions for.
        accumulate: parts that a step is run in, for less memory.

    Raises:
        ValueError: numbers that do not fit each other.
    """

    model: str
    data: str
    prompts: int
    k: int
    held_out: int
    seeds: int
    batch_pairs: int
    lora_rank: int
    lr: float
    max_length: int | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        if self.batch_pairs % self.k:
            raise ValueError(f"batch_pairs must be a multiple of k, got {self.batch_pairs} and {self.k}")
        if self.prompts * self.k % self.batch_pairs:
            raise ValueError(
                f"prompts times k must be a multiple of batch_pairs, got {self.prompts}, {self.k}, {self.batch_pairs}"
            )

    @property
    def steps(self) -> int:
        """Of every arm."""
        return self.prompts * self.k // self.batch_pairs


@dataclass(frozen=True, kw_only=True)
class MrtScaleCell:
    """One training run."""

    arm: str
    seed: int
    plan: Plan

    @property
    def label(self) -> str:
        """Such as "matched-seed3"."""
        return f"{self.arm}-seed{self.seed}"


def cells(scale: str) -> Sequence[MrtScaleCell]:
    """Every arm, seed by seed."""
    plan = settings_of(RECIPE, scale, Plan)
    chosen = {"model": model_name(plan.model), "data": os.environ.get(DATA) or plan.data}
    plan = Plan(**asdict(plan) | chosen)
    return [MrtScaleCell(arm=arm, seed=seed, plan=plan) for seed in range(plan.seeds) for arm in ARMS]


def run_cell(cell: MrtScaleCell) -> dict[str, Any]:
    """Train one arm and measure it.

    Returns:
        before, after: nats per token on held-out prompts; per_prompt: both for each prompt, nats per response;
        loss: the curve; cost: tokens, steps, seconds; peak: memory, GiB.
    """
    from mrtlab.data.records_io import load_records
    from mrtlab.training.fine_tune import HELD_OUT, fine_tune

    forget_peak()
    model, tokenizer = started(cell.plan.model)
    shown, held_out = data_of(cell)
    digest = hashlib.sha256(repr((cell, [r.prompt for r in shown])).encode()).hexdigest()
    with kept_folder("mrt_scale", cell.label, digest) as folder:
        found = fine_tune(
            model, tokenizer, shown, folder, settings=settings_for(cell), held_out=held_out,
            base=cell.plan.model, source={"name": cell.plan.data, "sha256": digest},
        )  # fmt: skip
        tokens = tokens_of(tokenizer, load_records(folder / HELD_OUT))  # without those that were too long
    nll = {when: np.array(found[when]["held_out"]["nll"]) for when in ("before", "after")}
    return {
        **{when: float(values.sum() / tokens.sum()) for when, values in nll.items()},
        "per_prompt": {when: values.round(5).tolist() for when, values in nll.items()},
        "loss": found["loss"],
        "cost": found["cost"],
        "peak": peak_gib(),
    }


def settings_for(cell: MrtScaleCell) -> Any:
    """How the arm is trained: the same steps, pairs and rates for all three."""
    from mrtlab.training.choose import Choice
    from mrtlab.training.fine_tune import Settings

    plan, several = cell.plan, cell.arm == "many"
    return Settings(
        choice=Choice(rule="all"),
        lora_rank=plan.lora_rank,
        epochs=plan.k if cell.arm == "one" else 1,
        batch_prompts=plan.batch_pairs // plan.k if several else plan.batch_pairs,
        accumulate=plan.accumulate,
        lr=plan.lr,
        max_length=plan.max_length,
        seed=cell.seed,
    )


def data_of(cell: MrtScaleCell) -> tuple[list[Record], list[Record]]:
    """What an arm is shown, and what all arms are measured on. Prompts and responses come in an order of the seed.

    Raises:
        MissingInput: the data cannot be had, or are too few.
    """
    plan = cell.plan
    several = _pool(plan, cell.seed)
    held_out, rest = several[: plan.held_out], several[plan.held_out :]
    if cell.arm == "matched":
        return [record.keep([0]) for record in rest[: plan.prompts * plan.k]], held_out
    kept = list(range(plan.k)) if cell.arm == "many" else [0]
    return [record.keep(kept) for record in rest[: plan.prompts]], held_out


def _pool(plan: Plan, seed: int) -> list[Record]:
    """Prompts with K responses each, enough for every arm."""
    n = plan.held_out + plan.prompts * plan.k
    if plan.data == "callings":
        try:
            return groups(prompts(n, seed=seed), plan.k, seed=seed)
        except ValueError as error:
            raise MissingInput(f"callings: {error}") from error
    found = [record for record in _read(plan.data, n, plan.k) if len(record) >= plan.k]
    if len(found) < n:
        raise MissingInput(
            f"{plan.data} has {len(found):,} prompts with {plan.k} responses; the three arms and the held-out prompts "
            f"need {n:,}"
        )
    rng = np.random.default_rng([101, seed])
    picked = [found[i] for i in rng.permutation(len(found))[:n]]
    return [record.keep(rng.permutation(len(record))[: plan.k].tolist()) for record in picked]


def _read(name: str, n: int, least: int) -> list[Record]:
    from mrtlab.data.published import PUBLISHED, NoData, published
    from mrtlab.data.records import RecordError
    from mrtlab.data.records_io import load_records

    try:
        if name in PUBLISHED:
            return published(name, n, least=least)
        if not Path(name).is_file():
            raise MissingInput(f"there is no file {name}: name one of {', '.join(PUBLISHED)}, or a file of records")
        return load_records(Path(name))
    except (NoData, RecordError, ValueError) as error:
        raise MissingInput(str(error)) from error


def tokens_of(tokenizer: Any, records: Sequence[Record]) -> np.ndarray:
    """Mean tokens of the different responses of each prompt, their ends included."""
    import warnings

    from mrtlab.lm.encode import encode

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the seam; the trainer says it
        each = [encode(tokenizer, record.prompt, list(dict.fromkeys(record.responses))) for record in records]
    return np.array([np.mean([len(ids) for ids in one.answer_ids]) for one in each])


def summarise(results: Sequence[tuple[MrtScaleCell, dict[str, Any]]]) -> dict[str, Any]:
    """Means over seeds.

    Returns:
        design; base: the loss before training, nats per token;
        arms.ARM: loss, less_one, less_matched (paired by seed), seconds, tokens;
        curves.ARM: [[step, loss], …] of the first seed; peak: most memory of any run, GiB.
    """
    plan = results[0][0].plan
    rows = {arm: [found for cell, found in results if cell.arm == arm] for arm in ARMS}
    after = {arm: np.array([row["after"] for row in some]) for arm, some in rows.items()}
    arms = {
        arm: {
            "loss": over_seeds(after[arm]),
            **{f"less_{other}": over_seeds(after[arm] - after[other]) for other in ("one", "matched") if other != arm},
            "seconds": over_seeds(np.array([row["cost"]["seconds"] for row in some])),
            "tokens": over_seeds(np.array([float(row["cost"]["tokens_tree"]) for row in some])),
        }
        for arm, some in rows.items()
    }
    return {
        "design": asdict(plan) | {"steps": plan.steps},
        "base": over_seeds(np.array([row["before"] for row in rows["one"]])),
        "arms": arms,
        "curves": {arm: some[0]["loss"] for arm, some in rows.items()},
        "peak": most_memory(found for _, found in results),
    }


def table(results: dict[str, Any]) -> Table:
    """The losses, arm by arm."""
    base = results["base"]["mean"]
    rows = [("before training", f"{base:.3f}", "–", "–")]
    for arm in ARMS:
        one = results["arms"][arm]
        rows.append((arm, _band(one["loss"], ""), *(_band(one.get(f"less_{o}"), "+") for o in ("one", "matched"))))
    design = results["design"]
    return Table(
        title=f"{design['model']}: exact loss on {design['held_out']} held-out prompts, nats per token, after "
        f"{design['steps']} steps (95 % over {design['seeds']} seeds).",
        columns=("arm", "loss", "less one", "less matched"),
        rows=tuple(rows),
    )


def _band(found: dict[str, float] | None, sign: str) -> str:
    if found is None:
        return "–"
    return f"{found['mean']:{sign}.3f} ({found['lo']:{sign}.3f} to {found['hi']:{sign}.3f})"
