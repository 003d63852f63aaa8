"""Cells of benchmarks/gpu.py: an epoch of training, data loader and optimiser included, beside TRL on K copies."""

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PrinterCallback, TrainingArguments

from benchmarks import _lm
from benchmarks._gpu_models import MODELS
from benchmarks._gpu_tools import attending, device_of, now, on_gpu, optimiser_that_fits, peak, release, reset_peak, why
from benchmarks._lm import MAX_GRAD_NORM, Batch
from mrtlab.lm import bound
from mrtlab.training.groups import Group, GroupBatches, GroupSet
from mrtlab.training.multiresponse import MultiResponseTrainer

LR = 1e-6
SEED = 0
SPREAD = 0.5  # lengths are even between this much below and above their mean
TOLERANCE = {"single": 1e-3, "bf16": 0.02}  # of a step's loss, relative
AGREEMENT = """The same prompts stand in every step of both sides, in the same order. They agree if no step's loss
differs by more than `bf16`, or `single` for a model in single precision, relative to TRL's."""


@dataclass(frozen=True)
class Case:
    """An epoch: mean lengths P and R, K answers to each prompt, prompts in a step, steps."""

    prompt: int
    answer: int
    k: int
    prompts: int
    steps: int

    def batches(self, vocabulary: int) -> list[Batch]:
        """The data: chance tokens, lengths spread evenly around their means."""
        rng = np.random.default_rng(SEED)

        def length(mean: int) -> int:
            return int(rng.integers(max(1, round((1 - SPREAD) * mean)), round((1 + SPREAD) * mean) + 1))

        def ids(mean: int) -> list[int]:
            return rng.integers(_lm.FIRST_WORD, vocabulary, length(mean)).tolist()

        return [
            Batch(ids(self.prompt), [ids(self.answer) for _ in range(self.k)]) for _ in range(self.prompts * self.steps)
        ]


CASES = {"512-128-8": Case(512, 128, 8, prompts=4, steps=16), "256-32-8": Case(256, 32, 8, prompts=16, steps=16)}
TINY_CASES = {"8-4-3": Case(8, 4, 3, prompts=2, steps=3)}
LORA = ("qwen3-4b", "llama31-8b")  # with all weights they leave TRL too little memory beside AdamW


@dataclass(frozen=True)
class Several:
    """The prompts of a step as one batch of rows, for TRL."""

    batches: list[Batch]

    @property
    def answers(self) -> list[list[int]]:
        """Of all prompts."""
        return [answer for batch in self.batches for answer in batch.answers]

    def rows(self) -> list[dict[str, list[int]]]:
        """One for every answer."""
        return [row for batch in self.batches for row in batch.rows()]


@dataclass(frozen=True)
class Epoch:
    """One model, trained in full or by an adapter, on one data set."""

    model: str
    method: str
    case: str

    @property
    def path(self) -> tuple[str, ...]:
        """Where the artifact keeps it."""
        return "epoch", self.model, self.method, self.case

    def __str__(self) -> str:
        return "/".join(self.path)

    def measure(self, *, tiny: bool, device: torch.device, rate: float) -> dict[str, Any]:
        """An epoch by each side from the same weights."""
        model = MODELS[self.model].make(tiny=tiny, device=device)
        if self.method == "lora":
            with _lm.quiet():
                model = _lm.with_lora(model)
        return measure(model, (TINY_CASES if tiny else CASES)[self.case])

    def line(self, found: dict[str, Any]) -> str:
        """What was found, in one line."""
        if found["best"] is None:
            return "; ".join(f"{name}: {side['failed']}" for name, side in found["sides"].items())
        best = found["sides"][found["best"]]
        said = [f"{found['best']} {best['seconds']:.1f} s, {best['peak_gib']:.1f} GiB"]
        if "ratio_trl" in found:
            trl = found["sides"]["trl"]
            said.append(f"TRL ÷ ours {found['ratio_trl']:.2f}, {trl['peak_gib']:.1f} GiB; bound {found['bound']:.2f}")
            said.append("losses agree" if found["agrees"] else f"losses DIFFER by {found['loss_gap']:.1e}")
        said += [f"{name}: {side['failed']}" for name, side in found["sides"].items() if "failed" in side]
        return "; ".join(said)


class Ours(MultiResponseTrainer):
    """`MultiResponseTrainer` on token ids that are there already, as TRL's rows are; it notes its losses."""

    def __init__(self, model: nn.Module, args: TrainingArguments, groups: GroupSet, **more: Any) -> None:
        self._ready, self.losses = groups, []
        super().__init__(model, args, records=[], tokenizer=None, **more)

    def make_groups(self, *_: Any, **__: Any) -> GroupSet:
        """The trees as they are."""
        return self._ready

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """As always; noted."""
        loss = super().compute_loss(*args, **kwargs)
        self.losses.append(loss.detach())
        return loss


def measure(model: nn.Module, case: Case) -> dict[str, Any]:
    """Seconds, peak memory and losses of each side.

    Returns:
        sides: ours with SDPA, ours with FlexAttention on a GPU, TRL; the rest compares the faster of ours with TRL's.
    """
    batches = case.batches(model.config.vocab_size)
    groups = GroupSet([_group(batch) for batch in batches], seed=SEED)
    order = list(GroupBatches(groups, step=case.prompts, seed=SEED).steps())
    steps = [Several([batches[i] for i in step]) for step in order]
    start = [p.detach().cpu().clone() for p in _lm.trainable(model)]
    optimiser = optimiser_that_fits(model)
    sides: dict[str, dict[str, Any]] = {}
    attentions = {"ours": "sdpa"} | ({"ours-flex": "flex_attention"} if on_gpu(model) else {})
    for name, attention in attentions.items():
        sides[name] = _side(
            model, start, lambda parts, a=attention: _ours(model, groups, case, optimiser, a, parts), case.prompts
        )
    if importlib.util.find_spec("trl") is None:
        sides["trl"] = {"failed": "TRL is not installed"}
    else:
        rows = case.prompts * case.k
        sides["trl"] = _side(model, start, lambda parts: _trl(model, steps, optimiser, parts), rows)
    return {
        "sides": sides,
        "optimiser": optimiser,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in _lm.trainable(model)),
        "bound": bound(model, [batch.tree() for batch in batches]),
        "prompts": len(batches),
        "steps": case.steps,
    } | _ratios(model, sides)


def _side(
    model: nn.Module, start: Sequence[torch.Tensor], run: Callable[[int], list[float]], most: int
) -> dict[str, Any]:
    """One epoch, cut into as few parts a step as memory asks for; the first run, which compiles, is not counted."""
    device = device_of(model)
    for parts in (1 << i for i in range(most.bit_length())):
        release()  # a trainer's cycles hold its optimiser until they are collected
        try:
            _restore(model, start)
            if on_gpu(model):
                run(parts)
                _restore(model, start)
            reset_peak(device)
            began = now(device)
            losses = run(parts)
            seconds = now(device) - began
        except torch.OutOfMemoryError:
            pass
        except Exception as error:  # what one side refuses must not cost the other its numbers
            model.zero_grad()
            release()
            return {"failed": why(error)}
        else:
            return {"seconds": seconds, "peak_gib": peak(device) / 2**30, "parts": parts, "losses": losses}
        model.zero_grad()
        release()  # out here: inside the handler the error still holds on to what was allocated
    return {"failed": "out of memory"}


def _ours(model: nn.Module, groups: GroupSet, case: Case, optimiser: str, attention: str, parts: int) -> list[float]:
    with _lm.quiet(), attending(model, attention), tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=max(1, case.prompts // parts),
            gradient_accumulation_steps=parts,
            learning_rate=LR,
            lr_scheduler_type="constant",
            optim=optimiser,
            weight_decay=0.0,
            max_grad_norm=MAX_GRAD_NORM,
            seed=SEED,
            bf16=False,
            use_cpu=not on_gpu(model),
            dataloader_pin_memory=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Ours(model, args, groups)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return _by_step(trainer.losses, parts)


def _trl(model: nn.Module, steps: Sequence[Several], optimiser: str, parts: int) -> list[float]:
    with _lm.quiet(), attending(model, "sdpa"):
        return _lm.trl_turns(model, steps, lr=LR, optim=optimiser, accumulate=parts).losses


def _by_step(losses: Sequence[torch.Tensor], parts: int) -> list[float]:
    return [float(sum(losses[i : i + parts])) for i in range(0, len(losses), parts)]


def _restore(model: nn.Module, start: Sequence[torch.Tensor]) -> None:
    with torch.no_grad():
        for weight, before in zip(_lm.trainable(model), start, strict=True):
            weight.copy_(before)


def _group(batch: Batch) -> Group:
    return Group(batch.tree(), np.ones(len(batch.answers)), np.array([len(answer) for answer in batch.answers]))


def _ratios(model: nn.Module, sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The faster of ours beside TRL, by time, memory and losses."""
    ours = {name: side["seconds"] for name, side in sides.items() if name != "trl" and "seconds" in side}
    best = min(ours, key=ours.__getitem__) if ours else None
    if best is None or "seconds" not in sides["trl"]:
        return {"best": best}
    mine, theirs = sides[best], sides["trl"]
    gap = max(abs(a - b) / b for a, b in zip(mine["losses"], theirs["losses"], strict=True))
    tolerance = TOLERANCE["bf16" if model.dtype == torch.bfloat16 else "single"]
    memory = {"memory_ratio": theirs["peak_gib"] / mine["peak_gib"]} if mine["peak_gib"] else {}
    return {
        "best": best,
        "ratio_trl": theirs["seconds"] / mine["seconds"],
        "loss_gap": gap,
        "agrees": gap <= tolerance,
    } | memory


def cells(*, tiny: bool) -> list[Epoch]:
    """Those that matter most first: long answers, small models before large ones."""

    def of(case: str) -> list[Epoch]:
        return [Epoch(model, "lora" if model in LORA else "full", case) for model in MODELS]

    if tiny:
        first = next(iter(MODELS))
        return [Epoch(first, method, case) for case in TINY_CASES for method in ("full", "lora")]
    return [cell for case in CASES for cell in of(case)]
