"""Chapter 7, biographies: a few even beginnings, and what becomes of whole lives, of jobs that nobody taught, and of
the data that the model then writes.

Kinds of run, on the embedded model, which was pre-trained on uneven biographies (and on even ones where the wording
asks for chance, which no prompt of ours that is taught does):

- before: no training.
- stage1: 11 even prompts of other families, 10 passes.
- stage2: beginnings of biographies (Name, Gender, Age, Home; two wordings, 120 each, open at the end), 10 passes.
- both: stage 1, and from there stage 2 with the same adapter, as in the paper.
- both-anchored: the same with an anchor of weight 1 on 40 facts in both stages.
- tilted: the same with an uneven target: three women to one man, every other country twice as often.
- long: both, with 20 passes of stage 2 and a look along the way.

Cost: at one thread about 25 CPU-seconds for a run, 60 for a long one; at book scale, five seeds, about 18 CPU-minutes.
Estimated from runs with a seed that no run uses (99).
"""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mrtlab.data.targets import Target
from mrtlab.lab import diffuse_biographies_data as data
from mrtlab.lab import diffuse_data, subject
from mrtlab.lab.diffuse_biographies_look import MET, look
from mrtlab.lab.diffuse_biographies_worth import SIZES, worth
from mrtlab.lab.diffuse_learn import look as examine

KINDS = ("before", "stage1", "stage2", "both", "both-anchored", "tilted", "long")
GROUPS = ("taught", "new")
LR = 2e-3
FIRST = 10  # passes of stage 1
MARKS = (0, 1, 2, 5, 10, 20)  # passes of stage 2 after which a long run is looked at
EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class BiographyCell:
    """One run.

    Attributes:
        first, passes: of stage 1 and of stage 2; 0 for none.
        draws: biographies drawn in each taught wording.
        exact: of these, followed line by line.
    """

    kind: str
    first: int
    passes: int
    draws: int
    exact: int
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "both-anchored-seed3"."""
        return f"{self.kind}-seed{self.seed}"


def cells(scale: str) -> Sequence[BiographyCell]:
    """Every kind, seed by seed."""
    smoke = scale == "smoke"
    seeds = {"smoke": 2, "book": 5, "full": 20}[scale]
    first = {"before": 0, "stage2": 0}
    passes = {"before": 0, "stage1": 0, "long": MARKS[-1]}
    return [
        BiographyCell(
            kind=kind,
            first=min(first.get(kind, FIRST), 1 if smoke else FIRST),
            passes=min(passes.get(kind, 10), 1 if smoke else MARKS[-1]),
            draws=MET if smoke else 200,
            exact=4 if smoke else 30,
            seed=seed,
            weights=subject.fingerprint(),
        )
        for seed in range(seeds)
        for kind in KINDS
    ]


def run_cell(cell: BiographyCell) -> dict[str, Any]:
    """Train, then look.

    Returns:
        GROUP: see `look`, without the texts; facts: log-probability of every fact; worth: {n: see `worth`} of the
        first n draws in taught wordings, in turn; examples: three of them; trace: {pass: fields} of a long run.
        Before training also: fair, as a group, with worth and examples of its own; truth.worth.
    """
    model, tokenizer, trace = _trained(cell)
    prompts = data.asked(cell.seed)
    sizes = {n: min(n, data.WORDINGS * cell.draws) for n in SIZES}

    def seen(group: str, n: int) -> dict[str, Any]:
        return look(model, tokenizer, prompts[group], n=n, exact=cell.exact, seed=cell.seed)

    def valued(texts: Sequence[Sequence[str]]) -> dict[str, Any]:
        mixed = [text for pair in zip(*texts, strict=True) for text in pair]
        return {
            "worth": {f"n{n}": worth(mixed[:size], seed=cell.seed) for n, size in sizes.items()},
            "examples": mixed[:EXAMPLES],
        }

    found: dict[str, Any] = {"taught": seen("taught", cell.draws), "new": seen("new", MET)}
    found |= valued(found["taught"]["texts"]) | {"trace": trace}
    found["facts"] = examine(model, tokenizer, {})["facts"]
    if cell.kind == "before":
        found["fair"] = seen("fair", cell.draws)
        found["fair"] |= valued(found["fair"]["texts"])
        true = data.truth(data.WORDINGS * cell.draws, seed=1000 + cell.seed)
        found["truth"] = valued([true[::2], true[1::2]])
    for group in ("taught", "new", "fair"):
        found.get(group, {}).pop("texts", None)
    return found


def _trained(cell: BiographyCell) -> tuple[Any, Any, dict[str, Any]]:
    """The model after both stages, one adapter for both, and what was seen along a long run."""
    from mrtlab.training.adapter import with_adapter
    from mrtlab.training.anchor import anchor_rows

    model, tokenizer = subject.load()
    if not cell.first and not cell.passes:
        return model, tokenizer, {}
    anchors = None
    if cell.kind == "both-anchored":
        anchors = anchor_rows(model, tokenizer, diffuse_data.facts()[::2], seed=cell.seed)
    model = with_adapter(model, rank=4, seed=cell.seed)
    trace: dict[str, Any] = {}

    def on_pass(number: int, laws: Any = None) -> None:
        if number in MARKS:
            prompts = data.asked(cell.seed)["taught"][:1]
            trace[str(number)] = look(model, tokenizer, prompts, n=cell.exact, exact=cell.exact, seed=cell.seed)[
                "fields"
            ]

    if cell.first:
        teach(model, tokenizer, diffuse_data.mixed(cell.seed), passes=cell.first, seed=cell.seed, anchors=anchors)
    if cell.passes:
        watched = on_pass if cell.kind == "long" else None
        if watched:
            watched(0)
        targets = data.beginnings(cell.seed, tilted=cell.kind == "tilted")
        teach(model, tokenizer, targets, passes=cell.passes, seed=cell.seed, anchors=anchors, on_pass=watched)
    return model.eval(), tokenizer, trace


def teach(
    model: Any,
    tokenizer: Any,
    targets: Sequence[Target],
    *,
    passes: int,
    seed: int,
    anchors: Any = None,
    on_pass: Callable[..., None] | None = None,
) -> None:
    """Diffuse fine-tuning of an adapter that is there already, one prompt a step, with a fresh optimizer."""
    from transformers import PrinterCallback, TrainingArguments

    from mrtlab.training.diffuse import DiffuseConfig, DiffuseTrainer

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # about the seam of prompt and answer
        args = TrainingArguments(
            output_dir=folder,
            num_train_epochs=passes,
            per_device_train_batch_size=1,
            learning_rate=LR,
            lr_scheduler_type="constant",
            adam_epsilon=1e-5,
            weight_decay=0.01,
            save_strategy="no",
            logging_strategy="no",
            seed=seed,
            use_cpu=subject.on_cpu(),
            dataloader_pin_memory=False,
            disable_tqdm=True,
            report_to="none",
        )
        config = DiffuseConfig(anchor_weight=0.0 if anchors is None else 1.0)
        trainer = DiffuseTrainer(
            model, args, targets=targets, tokenizer=tokenizer, config=config, anchors=anchors, on_pass=on_pass
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
