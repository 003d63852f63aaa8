"""One fine-tuning run from a file to a folder: split, measure, train, measure again, save. Resumable after a kill."""

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PrinterCallback

from mrtlab.data.describe import describe
from mrtlab.data.records import Record
from mrtlab.data.records_io import write_jsonl, write_records
from mrtlab.lm.encode import encode
from mrtlab.lm.support import text_config
from mrtlab.training.adapter import with_adapter
from mrtlab.training.before_after import FEW, Measured, change, measure
from mrtlab.training.choose import Choice
from mrtlab.training.folder import CHECKPOINTS, RUN, read_run, run_arguments, save_model
from mrtlab.training.groups import Groups
from mrtlab.training.multiresponse import (
    MultiResponseConfig,
    MultiResponseTrainer,
    Normalisation,
)
from mrtlab.training.processes import Team, idle, team
from mrtlab.training.ready import keep_small_steps
from mrtlab.training.watch import AtFirst, Stopped, Watch, Watching, heard

HELD_OUT = "held_out.jsonl"
_MEASURED = 64  # training prompts that are measured, too; more would only narrow the interval
_SMALL = 50_000_000  # weights; larger models take smaller steps
_HOW = "`mrtlab train mrt`, several responses to each prompt at once"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides the result of a run. Two runs with the same settings and data on one CPU end at the same weights.

    Attributes:
        choice: which K of N responses an epoch shows.
        redraw: whether chance chooses anew at every epoch.
        lora_rank: of the adapter on all linear layers; None trains every weight.
        epochs: passes over the prompts.
        batch_prompts: prompts in a step.
        accumulate: parts that a step is run in, one after the other, for less memory. A prompt's responses stay in one
            part. The sum of the parts is the step: weights differ by round-off alone.
        lr: peak learning rate of AdamW; None leaves it to `peak_lr`.
        normalisation: "token" or "response", see `MultiResponseConfig`.
        max_length: longest prompt with response, in tokens; None takes what the model has positions for.
        seed: of the split, the draws, the order and the adapter's first weights.
        eval_share: share of the prompts that is held out.

    Raises:
        ValueError: a number out of its range.
    """

    choice: Choice = field(default_factory=lambda: Choice(rule="random", k=8))
    redraw: bool = True
    lora_rank: int | None = 16
    epochs: int = 3
    batch_prompts: int = 8
    accumulate: int = 1
    lr: float | None = None
    normalisation: Normalisation = "token"
    max_length: int | None = None
    seed: int = 0
    eval_share: float = 0.1

    def __post_init__(self) -> None:
        for name, value in (
            ("lora_rank", self.lora_rank),
            ("epochs", self.epochs),
            ("batch_prompts", self.batch_prompts),
            ("accumulate", self.accumulate),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        if self.batch_prompts % self.accumulate:
            raise ValueError(
                f"batch_prompts must be a multiple of accumulate, got {self.batch_prompts} and {self.accumulate}"
            )
        if not 0 <= self.eval_share < 1:
            raise ValueError(f"eval_share must be 0 or more and below 1, got {self.eval_share:g}")
        if self.lr is not None and not 0 < self.lr < float("inf"):
            raise ValueError(f"lr must be a positive number, got {self.lr:g}")
        if self.max_length is not None and self.max_length < 2:
            raise ValueError(f"max_length must be 2 or more, got {self.max_length}")
        MultiResponseConfig(normalisation=self.normalisation)

    def peak_lr(self, parameters: int) -> float:
        """The learning rate for a model of so many weights, chosen by size if none was given.

        >>> Settings().peak_lr(2_000_000), Settings(lora_rank=None).peak_lr(600_000_000)
        (0.001, 2e-05)
        """
        if self.lr is not None:
            return self.lr
        small = parameters < _SMALL
        return (1e-3 if small else 2e-4) if self.lora_rank else (3e-4 if small else 2e-5)


def split(records: Sequence[Record], *, share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Records to train on and records to hold out, drawn by prompt; at least one of each if the share is above 0.

    Raises:
        ValueError: there are too few prompts to hold one out.

    >>> train, held_out = split([Record.of(str(i), ["yes"]) for i in range(10)], share=0.2, seed=0)
    >>> len(train), len(held_out)
    (8, 2)
    """
    if share == 0:
        return list(records), []
    if len(records) < 2:
        raise ValueError(
            "there is one prompt, so none can be held out: collect more prompts, or measure on the training prompt "
            "alone with eval_share 0"
        )
    n = min(max(round(share * len(records)), 1), len(records) - 1)
    out = set(np.random.default_rng((seed, 1)).permutation(len(records))[:n].tolist())
    return [r for i, r in enumerate(records) if i not in out], [records[i] for i in sorted(out)]


def fitting(records: Sequence[Record], tokenizer: Any, max_length: int | None) -> tuple[list[Record], list[str]]:
    """The records without responses that are too long, and a sentence on what was left out, if anything was."""
    kept, lost, dropped, merged = [], 0, 0, 0
    for record in records:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the seam; counted and said once below
            encoded = encode(tokenizer, record.prompt, record.responses)
        merged += len(encoded.merged)
        lengths = [len(encoded.prompt_ids) + len(ids) for ids in encoded.answer_ids]
        places = [i for i, length in enumerate(lengths) if max_length is None or length <= max_length]
        lost += len(lengths) - len(places)
        dropped += not places
        if places:
            kept.append(record if len(places) == len(lengths) else record.keep(places))
    notes = []
    if lost:
        gone = f", and with them {dropped:,} prompts that have no other" if dropped else ""
        notes.append(f"Responses longer than {max_length} tokens with their prompt were left out: {lost:,}{gone}.")
    if merged:
        notes.append(
            f"Responses that would share a token with the end of their prompt: {merged:,}. They are kept apart, as the "
            "model meets them when it answers."
        )
    return kept, notes


def fine_tune(
    model: Any,
    tokenizer: Any,
    records: Sequence[Record],
    folder: Path,
    *,
    settings: Settings,
    base: str,
    source: dict[str, str],
    held_out: Sequence[Record] = (),
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Train, or go on with a run of the same settings that was stopped in this folder, and save the result there.

    Args:
        model, tokenizer: as `load_model` returns them; an adapter is put on the model here.
        records: all of them; some are held out, unless `held_out` says which.
        folder: becomes a folder of peft's, or with `lora_rank=None` of transformers'.
        settings: what decides the result.
        base: the model's name, written into the adapter's configuration.
        source: name and fingerprint of the data, kept with the results.
        held_out: what to measure in place of a share of the records, so that several runs are measured on the same.
        watch: who is told what.

    Returns:
        the results, as they also stand in run.json: settings, notes, before, after and change on "held_out" prompts
        and on some of the "train" prompts, loss curve, cost.

    Raises:
        ValueError: nothing is left to train on, the records do not fit the model or the rule, or the loss is no number.
        Stopped: `watch.stopped` said so; the folder goes on from there.
        OSError: the folder cannot be written to.
    """
    processes = team()
    watch = heard(watch, processes)
    limit = getattr(text_config(model), "max_position_embeddings", None)
    longest = min((n for n in (settings.max_length, limit) if n is not None), default=None)
    usable, notes = fitting(records, tokenizer, longest)
    for sentence in notes:  # first: what was left out may be why the rest is too little
        watch.note(sentence)
    told = len(notes)
    if not usable:
        raise ValueError(f"no response fits into {longest} tokens with its prompt: shorten them, or raise max_length")
    if held_out:
        train, held_out = usable, fitting(held_out, tokenizer, longest)[0]
    else:
        train, held_out = split(usable, share=settings.eval_share, seed=settings.seed)
    weights = sum(p.numel() for p in model.parameters())
    lr = settings.peak_lr(weights)
    notes += _notes(usable, train, held_out, settings, weights)
    for sentence in notes[told:]:
        watch.note(sentence)
    if sentence := idle(settings.batch_prompts // settings.accumulate, processes.size):
        watch.note(sentence)
    if settings.lora_rank:
        model = with_adapter(model, rank=settings.lora_rank, seed=settings.seed)
    else:
        model = keep_small_steps(model)
    measured = {"held_out": held_out, "train": _some(train, settings.seed)}

    def measure_all(network: Any) -> dict[str, Measured]:
        return processes.agree(
            lambda: {name: _measure(network, tokenizer, some, watch, name) for name, some in measured.items()}
        )

    def begin(network: Any) -> None:
        kept.update(settings=asdict(settings), base=base, source=source, notes=notes, before=measure_all(network))
        if processes.main:
            folder.mkdir(parents=True, exist_ok=True)
            write_jsonl(folder / RUN, [kept])
            if held_out:
                write_records(folder / HELD_OUT, held_out)

    kept = processes.agree(lambda: read_run(folder) or {})
    first = "before" not in kept
    if first and not processes.sharded:
        begin(model)
    trainer = _trainer(model, tokenizer, train, folder, settings, lr, watch, processes)
    if first and processes.sharded:  # then the model may be too large for one card, and is first whole in parts
        trainer.add_callback(AtFirst(begin))
    trainer.train(resume_from_checkpoint=True)
    if trainer.state.global_step < trainer.state.max_steps:
        raise Stopped
    after, before = measure_all(trainer.model), kept["before"]
    gathered = trainer.accelerator.get_state_dict(trainer.model) if processes.sharded else None
    if processes.main:
        about = {"base": base, "adapter": settings.lora_rank is not None, "how": _HOW}
        save_model(trainer.model, tokenizer, folder, weights=gathered, **about)
    log = trainer.state.log_history
    results = kept | {
        "prompts": {name: len(some) for name, some in (("train", train), ("held_out", held_out))},
        "after": after,
        "change": {name: change(before[name], after[name], seed=settings.seed) for name in measured if measured[name]},
        "loss": [[entry["step"], entry["loss"]] for entry in log if "loss" in entry],
        "cost": _cost(trainer.train_dataset, settings.epochs)
        | {"seconds": max(entry.get("seconds", 0.0) for entry in log), "steps": trainer.state.max_steps},
        "used": {"lr": lr, "max_length": longest, "processes": processes.size},
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    if processes.main:
        write_jsonl(folder / RUN, [results])
        shutil.rmtree(folder / CHECKPOINTS)
    return results


def _notes(
    usable: Sequence[Record], train: Sequence[Record], held_out: Sequence[Record], settings: Settings, weights: int
) -> list[str]:
    """What the user should know before it starts."""
    notes = []
    if all(len(record) == 1 for record in train):
        notes.append("Every training prompt has one response, so a K above 1 has no effect.")
    else:
        notes += describe(usable).notes()
    if 0 < len(held_out) < FEW:
        notes.append(
            f"Prompts held out: {len(held_out)}. That is too few to say whether training helped; collect more prompts, "
            "or hold out a larger share."
        )
    if settings.lr is None and weights >= _SMALL:
        notes.append(
            f"The peak learning rate, {settings.peak_lr(weights):g}, is what people commonly take for a model of this "
            "size; it was not tuned here. If the loss climbs, or hardly moves, try another."
        )
    return notes


def _some(records: Sequence[Record], seed: int) -> list[Record]:
    """Records to measure, drawn without looking at them, in their order."""
    drawn = np.random.default_rng((seed, 2)).permutation(len(records))[:_MEASURED]
    return [records[i] for i in sorted(drawn.tolist())]


def _measure(model: Any, tokenizer: Any, records: Sequence[Record], watch: Watch, name: str) -> Measured:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return measure(model, tokenizer, records, report=lambda done, of: watch.measuring(name, done, of))


def _trainer(
    model: Any,
    tokenizer: Any,
    train: Sequence[Record],
    folder: Path,
    settings: Settings,
    lr: float,
    watch: Watch,
    processes: Team,
) -> MultiResponseTrainer:
    steps = settings.epochs * -(-len(train) // settings.batch_prompts)
    args = run_arguments(
        model,
        folder,
        steps=steps,
        seed=settings.seed,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=-(-settings.batch_prompts // (settings.accumulate * processes.size)),
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=lr,
        lr_scheduler_type="cosine",
        warmup_steps=min(steps // 20, 100),  # none in a short run: the first step of a warm-up learns nothing
        weight_decay=0.0,
    )
    config = MultiResponseConfig(
        choice=settings.choice,
        redraw=settings.redraw,
        normalisation=settings.normalisation,
        step_prompts=settings.batch_prompts,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = MultiResponseTrainer(
            model,
            args,
            records=train,
            tokenizer=tokenizer,
            config=config,
            callbacks=[Watching(watch, settings.batch_prompts)],
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _cost(groups: Groups, epochs: int) -> dict[str, int]:
    """Tokens fed to the model in all epochs, as trees and as one copy of the prompt for each response."""
    counts = {"tokens_tree": 0, "tokens_copies": 0, "responses": 0}
    for epoch in range(epochs):
        groups.set_epoch(epoch)
        for i in range(len(groups)):
            tree = groups[i].tree
            counts["tokens_tree"] += tree.n_fed
            counts["tokens_copies"] += tree.n_fed_apart
            counts["responses"] += tree.n_answers
    return counts
