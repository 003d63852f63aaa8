"""One diffuse fine-tuning run from targets to a folder: measure, train, measure again, save. Resumable after a kill."""

import copy
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback

from mrtlab.data.records_io import write_jsonl
from mrtlab.data.targets import Target, Targets, with_casings
from mrtlab.lm.evaluate import band
from mrtlab.training.adapter import with_adapter
from mrtlab.training.aimed import NUMBERS, Aimed, aim
from mrtlab.training.anchor import AnchorRows, Law, anchor_rows, base_law, kept, remembered
from mrtlab.training.diffuse import DiffuseConfig, DiffuseTrainer, floor
from mrtlab.training.folder import CHECKPOINTS, RUN, read_run, run_arguments, save_model
from mrtlab.training.mixing import mix
from mrtlab.training.processes import Team, idle, team
from mrtlab.training.watch import Stopped, Watch, Watching, heard

_SMALL = 50_000_000  # weights; larger models take smaller steps
_FREE = 4  # every so many-th anchor is kept out of training, to see whether what is not anchored stays, too
_ENOUGH_ANCHORS = 8  # before any is kept out
_HOW = "`mrtlab train diffuse`, towards target laws"


@dataclass(frozen=True, kw_only=True)
class DiffuseSettings:
    """What decides the result of a run. Two runs with the same settings and data on one CPU end at the same weights.

    The defaults are the settings of Zhang et al.: LoRA of rank 4 on all linear layers, 50 passes, one prompt in a
    step, constant learning rate.

    Attributes:
        lora_rank: of the adapter; None trains every weight.
        passes: over the prompts.
        batch_prompts: prompts in a step, each with all its answers.
        lr: learning rate of AdamW, constant; None leaves it to `constant_lr`.
        stop: γ of the early stop, see `DiffuseConfig`; None for none.
        anchor_weight: see `DiffuseConfig`; without anchors it has no effect.
        anchor_rows: anchor prompts in a step.
        mix: λ, the share of every target that is left to the base model, see `mrtlab.training.mixing`.
        mix_draws: draws for a prompt whose target has a pattern of valid answers.
        casings: whether other letter case and a full stop count as the same answer when a model is scored.
        seed: of all that is drawn.

    Raises:
        ValueError: a number out of its range.
    """

    lora_rank: int | None = 4
    passes: int = 50
    batch_prompts: int = 1
    lr: float | None = None
    stop: float | None = None
    anchor_weight: float = 1.0
    anchor_rows: int = 8
    mix: float = 0.0
    mix_draws: int = 200
    casings: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("lora_rank", "passes", "batch_prompts", "mix_draws"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        if self.lr is not None and not 0 < self.lr < float("inf"):
            raise ValueError(f"lr must be a positive number, got {self.lr:g}")
        if not 0 <= self.mix < 1:
            raise ValueError(f"mix must be 0 or more and below 1, got {self.mix:g}")
        self.config()

    def config(self) -> DiffuseConfig:
        """What the trainer takes of them."""
        return DiffuseConfig(
            stop=self.stop,
            anchor_weight=self.anchor_weight,
            anchor_rows=self.anchor_rows,
            step_prompts=self.batch_prompts,
        )

    def constant_lr(self, parameters: int) -> float:
        """The learning rate for a model of so many weights: that of the paper, more for small models.

        >>> DiffuseSettings().constant_lr(2_000_000), DiffuseSettings().constant_lr(7_000_000_000)
        (0.002, 5e-05)
        """
        if self.lr is not None:
            return self.lr
        small = parameters < _SMALL
        return (2e-3 if small else 5e-5) if self.lora_rank else (3e-4 if small else 1e-5)


def train_diffuse(
    model: Any,
    tokenizer: Any,
    targets: Targets,
    folder: Path,
    *,
    settings: DiffuseSettings,
    base: str,
    source: dict[str, str],
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Train, or go on with a run of the same settings that was stopped in this folder, and save the result there.

    Args:
        model, tokenizer: as `load_model` returns them; an adapter is put on the model here.
        targets: what to learn and what to measure beside it, and the anchors.
        folder: becomes a folder of peft's, or with `lora_rank=None` of transformers'.
        settings: what decides the result.
        base: the model's name, written into the adapter's configuration.
        source: name and fingerprint of the data, kept with the results.
        watch: who is told what.

    Returns:
        the results, as they also stand in run.json: settings, notes; prompts, each with its target, the model's law
        before and after, and `NUMBERS` of both; change by use ("train", "measure"); anchors, those "held" and those
        left "free"; loss curve, passes, cost.

    Raises:
        ValueError: no prompt to train on, something does not fit the model, or the loss is no number.
        Stopped: `watch.stopped` said so; the folder goes on from there.
        OSError: the folder cannot be written to.
    """
    processes = team()
    watch = heard(watch, processes)
    if not targets.trained:
        raise ValueError("there is no prompt to train on: give at least one entry without a use, or with use 'train'")
    if processes.sharded:
        raise ValueError(
            "diffuse fine-tuning measures the whole law of a model on every card, so weights cannot be spread over "
            "cards (FSDP): take recipes/accelerate/ddp.yaml"
        )
    scored = [with_casings(target) if settings.casings else target for target in targets.targets]
    notes = _notes(targets, settings)
    for sentence in notes:
        watch.note(sentence)
    if sentence := idle(settings.batch_prompts, processes.size):
        watch.note(sentence)
    lr = settings.constant_lr(sum(p.numel() for p in model.parameters()))
    frozen = None
    if settings.lora_rank:
        model = with_adapter(model, rank=settings.lora_rank, seed=settings.seed)
    elif targets.anchors:
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
    rows = None
    if targets.anchors:  # one draws the base model's answers for all, as cards may differ in the last bit
        rows = processes.agree(lambda: anchor_rows(model, tokenizer, targets.anchors, seed=settings.seed))
    law = remembered(base_law(model, frozen), rows) if rows is not None else None
    held, free = _held_and_free(rows, settings.seed)
    aims = processes.agree(lambda: _mixed(model, tokenizer, targets.trained, settings))

    def begun() -> dict[str, Any]:
        """What the folder says of this run, and if nothing, what is measured before it, written there."""
        found = read_run(folder) or {}
        if "before" not in found:
            before = [_row(one) for one in _aim(model, tokenizer, scored, watch)]
            found = {"settings": asdict(settings), "base": base, "source": source, "notes": notes, "before": before}
            found["anchors_before"] = _kept(model, law, held, free)
            folder.mkdir(parents=True, exist_ok=True)
            write_jsonl(folder / RUN, [found])
        return found

    found = processes.agree(begun)
    trainer = _trainer(model, tokenizer, aims, held, law, folder, settings, lr, watch, processes)
    trainer.train(resume_from_checkpoint=True)
    if trainer.state.global_step < trainer.state.max_steps and not trainer.stopped_early:
        raise Stopped
    after = processes.agree(lambda: [_row(one) for one in _aim(model, tokenizer, scored, watch)])
    anchors_after = processes.agree(lambda: _kept(model, law, held, free))
    if processes.main:
        save_model(model, tokenizer, folder, base=base, adapter=settings.lora_rank is not None, how=_HOW)
    log = trainer.state.log_history
    prompts = [_prompt(*each) for each in zip(scored, found.pop("before"), after, strict=True)]
    results = found | {
        "after": True,
        "prompts": prompts,
        "change": changes(prompts, seed=settings.seed),
        "anchors": {
            name: {"before": found["anchors_before"][name], "after": anchors_after[name]} for name in anchors_after
        },
        "mixed": [_shown(target) for target in aims] if settings.mix else [],
        "loss": [[entry["step"], entry["loss"]] for entry in log if "loss" in entry],
        "passes": [[entry["pass"], entry["losses"]] for entry in log if "pass" in entry],
        "floor": floor(aims),
        "stopped_early": trainer.stopped_early,
        "cost": _cost(trainer) | {"seconds": max((entry.get("seconds", 0.0) for entry in log), default=0.0)},
        "used": {"lr": lr, "processes": processes.size},
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    results.pop("anchors_before")
    if processes.main:
        write_jsonl(folder / RUN, [results])
        shutil.rmtree(folder / CHECKPOINTS)
    return results


def changes(prompts: Sequence[dict[str, Any]], *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Mean and 95 % bootstrap interval over prompts of every number: before, after, and of the difference.

    >>> numbers = {name: 1.0 for name in NUMBERS}
    >>> changes([{"use": "train", "before": numbers, "after": numbers}])["train"]["kl"]["change"]
    [0.0, 0.0, 0.0]
    """
    found: dict[str, dict[str, Any]] = {}
    for use in ("train", "measure"):
        rows = [row for row in prompts if row["use"] == use]
        for name in NUMBERS if rows else ():
            old, new = (np.array([row[when][name] for row in rows]) for when in ("before", "after"))
            what = (("before", old), ("after", new), ("change", new - old))
            found.setdefault(use, {})[name] = {when: list(band(values, seed=seed)) for when, values in what}
    return found


def _notes(targets: Targets, settings: DiffuseSettings) -> list[str]:
    """What the user should know before it starts."""
    notes = []
    if not any(target.use == "measure" for target in targets.targets):
        notes.append(
            "No prompt has use 'measure', so nothing will be known about prompts that were not trained: "
            "other wordings of the same question would tell."
        )
    if not targets.anchors:
        notes.append("There are no anchors, so what else the model knows may be damaged, and that will not be seen.")
    taught = {target.prompt for target in targets.trained}
    if both := sum(anchor.prompt in taught for anchor in targets.anchors):
        notes.append(
            f"Anchors that are trained prompts, too: {both}. There the anchor holds what training is to change; "
            "leave one of the two out."
        )
    if settings.mix and not any(target.valid for target in targets.trained):
        notes.append(
            "No target has a pattern of valid answers, so mixing keeps the base model's favourites among the listed "
            "answers and nothing off the list."
        )
    return notes


def _held_and_free(rows: AnchorRows | None, seed: int) -> tuple[AnchorRows | None, AnchorRows | None]:
    """Rows to hold the model on, and rows that are only watched: does what is not anchored stay, too?"""
    if rows is None or len(rows) < _ENOUGH_ANCHORS:
        return rows, None
    order = np.random.default_rng((seed, 4)).permutation(len(rows))
    cut = len(rows) // _FREE
    return rows.take(torch.as_tensor(np.sort(order[cut:]))), rows.take(torch.as_tensor(np.sort(order[:cut])))


def _kept(
    model: Any, law: Law | None, held: AnchorRows | None, free: AnchorRows | None
) -> dict[str, dict[str, list[float]]]:
    """What is left of the base model on anchors, those held and those left free."""
    rows = {"held": held, "free": free}
    return {name: kept(model, law, some) for name, some in rows.items() if some is not None and law is not None}


def _mixed(model: Any, tokenizer: Any, targets: Sequence[Target], settings: DiffuseSettings) -> list[Target]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the seam; `_aim` says it once
        return mix(model, tokenizer, targets, share=settings.mix, draws=settings.mix_draws, seed=settings.seed)


def _aim(model: Any, tokenizer: Any, targets: Sequence[Target], watch: Watch) -> list[Aimed]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return aim(model, tokenizer, targets, report=lambda done, of: watch.measuring("prompts", done, of))


def _row(one: Aimed) -> dict[str, Any]:
    """The model's law and its numbers, for JSON."""
    return {"p": one.p.tolist()} | one.numbers()


def _shown(target: Target) -> dict[str, Any]:
    prompt = target.prompt if isinstance(target.prompt, str) else [dict(message) for message in target.prompt]
    return {"prompt": prompt, "family": target.family, "answers": list(target.answers), "target": target.law.tolist()}


def _prompt(target: Target, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return _shown(target) | {"use": target.use, "floor": target.entropy, "before": before, "after": after}


def _trainer(
    model: Any,
    tokenizer: Any,
    targets: Sequence[Target],
    held: AnchorRows | None,
    law: Law | None,
    folder: Path,
    settings: DiffuseSettings,
    lr: float,
    watch: Watch,
    processes: Team,
) -> DiffuseTrainer:
    steps = settings.passes * -(-len(targets) // settings.batch_prompts)
    args = run_arguments(
        model,
        folder,
        steps=steps,
        seed=settings.seed,
        num_train_epochs=settings.passes,
        per_device_train_batch_size=-(-settings.batch_prompts // processes.size),
        learning_rate=lr,
        lr_scheduler_type="constant",
        adam_epsilon=1e-5,
        weight_decay=0.01,
        max_grad_norm=1.0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = DiffuseTrainer(
            model,
            args,
            targets=targets,
            tokenizer=tokenizer,
            config=settings.config(),
            anchors=held,
            base=law,
            callbacks=[Watching(watch, settings.batch_prompts)],
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _cost(trainer: DiffuseTrainer) -> dict[str, int]:
    """Steps, and tokens fed to the model for the targets in all of them, as trees and as copies of the prompt."""
    trees = [trainer.train_dataset[i].tree for i in range(len(trainer.targets))]
    passes = round(trainer.state.epoch or 0)
    return {
        "steps": trainer.state.global_step,
        "tokens_tree": passes * sum(tree.n_fed for tree in trees),
        "tokens_copies": passes * sum(tree.n_fed_apart for tree in trees),
    }
