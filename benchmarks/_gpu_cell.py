"""One cell of benchmarks/gpu.py: a model, a way to train it, one prompt and its answers; every side timed."""

import copy
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks import _lm
from benchmarks._gpu_tools import (
    attending,
    device_of,
    fits,
    most_that_fit,
    now,
    on_gpu,
    optimiser_that_fits,
    peak,
    release,
    reset_peak,
    saved_bytes,
    why,
)
from benchmarks._lm import Batch
from mrtlab.lm import backward, bound, leaf_logprobs
from mrtlab.lm.traits import Shape, shape_of

# name: (form, attention the model is loaded with)
TREES = {
    "flex": ("row", "flex_attention"),
    "row": ("row", "sdpa"),
    "paths": ("paths", "sdpa"),
    "branches": ("branches", "sdpa"),
}
SAMPLED = 20_000_000  # entries of the gradient that are compared
TOLERANCE = {"cosine": 0.999, "against_copies": 0.03, "against_single_precision": 1.2}
TOLERANCE_SINGLE = {"cosine": 0.99999, "against_copies": 1e-4, "against_single_precision": 1.2}
AGREEMENT = """A side's gradient agrees if its cosine with that of the copies is at least `cosine` and its relative
distance from it at most `against_copies`; or, where a gradient in single precision was computed (`error`), if its
distance from that is at most `against_single_precision` times the copies' own. `noise` is the distance between copies
in one pass and the same copies in two halves: what the order of adding up does by itself. Every n-th parameter is
compared, 20 million at most."""


@dataclass(frozen=True)
class Effort:
    """How much a cell may take."""

    seconds: float
    most_repeats: int
    trl: bool
    truth: bool
    matrix_rate: float  # FLOP/s of a large matrix product here


def measure(model: nn.Module, batch: Batch, *, lora: bool, effort: Effort) -> dict[str, Any]:
    """Time every side, weigh its memory, compare its gradient.

    Args:
        model: with LoRA in place if `lora`; its weights are used up.
        batch: one step's work.
        lora: whether only adapters learn.
        effort: limits, and what else to measure.

    Returns:
        a JSON-able tree; a side that could not run says why in place of its numbers.
    """
    model.train()  # without dropout or checkpointing this changes nothing but FlexAttention's choice of kernel
    started, k = time.perf_counter(), len(batch.answers)
    sides: dict[str, dict[str, Any]] = {}
    gradients: dict[str, torch.Tensor] = {}
    with attending(model, "sdpa"):
        rows = _most_rows(model, batch)
    runs: dict[str, tuple[str, Callable[[], Any]]] = {
        name: (attention, lambda form=form: backward(model, [batch.tree()], [batch.token_mean()], form=form))
        for name, (form, attention) in TREES.items()
        if name != "flex" or on_gpu(model)
    }
    if rows:
        runs = {"copies": ("sdpa", lambda: _lm.copies_backward(model, batch, rows=rows)), **runs}
    else:
        sides["copies"] = {"failed": "out of memory with a single row"}
    for name, (attention, run) in list(runs.items()):
        sides[name], gradient = _first_look(model, attention, run, _forward(model, batch, name, rows))
        if gradient is None:
            del runs[name]
        else:
            gradients[name] = gradient
    if not on_gpu(model):
        sides["flex"] = _flex_forward_only(model, batch)
    if rows and "copies" in sides:
        sides["copies"]["rows_in_one_pass"] = rows
    agreement = _agreement(model, batch, gradients, rows=rows, truth=effort.truth)
    del gradients
    _timed(model, runs, sides, effort=effort, until=started + effort.seconds)
    step_s, optimiser = _optimiser_step(model)
    _rates(sides, model, batch, lora=lora, effort=effort)
    found: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in _lm.trainable(model)),
        "bound": bound(model, [batch.tree()]),
        "sides": sides,
        "gradient": agreement,
        "optimiser": optimiser,
        "optimiser_s": step_s,
    }
    if effort.trl:
        sides["trl"] = _trl(model, batch, optimiser=optimiser, repeats=min(effort.most_repeats, 5))
    found |= _ratios(found, k)
    found["wall_s"] = time.perf_counter() - started
    return found


def _most_rows(model: nn.Module, batch: Batch) -> int:
    found = most_that_fit(lambda rows: _lm.copies_backward(model, batch, rows=rows), len(batch.answers))
    model.zero_grad()
    return found


def _first_look(
    model: nn.Module, attention: str, run: Callable[[], Any], forward: Callable[[], torch.Tensor]
) -> tuple[dict[str, Any], torch.Tensor | None]:
    """Run a side twice, once to compile, once for peak memory and the gradient; then its forward pass for what it
    saves. A side that fails says why: what a library refuses must not cost the others their numbers."""
    device = device_of(model)
    start = now(device)
    gradient = None
    try:
        with attending(model, attention):
            run()
            first_s = now(device) - start
            model.zero_grad()
            reset_peak(device)
            loss = run()
            side = {
                "loss": float(torch.as_tensor(loss).sum()),
                "first_call_s": first_s,
                "peak_gib": peak(device) / 2**30,
            }
            gradient = _sample(model)
            model.zero_grad()
            side["saved_activations_gib"] = saved_bytes(model, forward) / 2**30
    except Exception as error:
        side, gradient = {"failed": why(error)}, None
    if gradient is None:
        model.zero_grad()
        release()
    return side, gradient


def _forward(model: nn.Module, batch: Batch, name: str, rows: int) -> Callable[[], torch.Tensor]:
    if name == "copies":
        return lambda: _lm.copies_loss(model, batch, _lm.copies(model, batch)[:rows])
    form = TREES[name][0]
    return lambda: leaf_logprobs(model, [batch.tree()], form=form)[0].sum()


def _flex_forward_only(model: nn.Module, batch: Batch) -> dict[str, Any]:
    """FlexAttention has no backward pass on a CPU: check its values there, and nothing else."""
    with torch.no_grad(), _lm.quiet():
        with attending(model, "sdpa"):
            expected = leaf_logprobs(model, [batch.tree()], form="row")[0]
        with attending(model, "flex_attention"):
            found = leaf_logprobs(model, [batch.tree()], form="row")[0]
    return {"failed": "no backward pass on a CPU", "forward_gap_nats": float((found - expected).abs().max())}


def _agreement(
    model: nn.Module, batch: Batch, gradients: dict[str, torch.Tensor], *, rows: int, truth: bool
) -> dict[str, Any]:
    """How far each side's gradient is from that of the copies, and both from single precision."""
    tolerance = TOLERANCE if model.dtype == torch.bfloat16 else TOLERANCE_SINGLE
    found: dict[str, Any] = {"tolerance": tolerance, "sides": {}}
    reference = gradients.get("copies")
    if reference is None:
        return found | {"failed": "copies did not run, so there is nothing to compare with"}
    with attending(model, "sdpa"):
        _lm.copies_backward(model, batch, rows=max(1, rows // 2))
        found["noise"] = _distance(_sample(model), reference)
    model.zero_grad()
    exact = _exact_gradient(model, batch) if truth else None
    if exact is not None:
        found["copies_error"] = _distance(reference, exact)
    for name, gradient in gradients.items():
        if name == "copies":
            continue
        cosine = float(nn.functional.cosine_similarity(gradient, reference, dim=0))
        distance = _distance(gradient, reference)
        agrees = cosine >= tolerance["cosine"] and distance <= tolerance["against_copies"]
        side = {"cosine": cosine, "distance": distance}
        if exact is not None:
            side["error"] = _distance(gradient, exact)
            agrees |= side["error"] <= tolerance["against_single_precision"] * found["copies_error"]
        found["sides"][name] = side | {"agrees": agrees}
    return found


def _exact_gradient(model: nn.Module, batch: Batch) -> torch.Tensor | None:
    """The same gradient in single precision, row by row; None if there is no room for it."""
    found: list[torch.Tensor] = []

    def compute(rows: int) -> None:
        single = copy.deepcopy(model).float()
        with attending(single, "sdpa"):
            _lm.copies_backward(single, batch, rows=rows)
        found.append(_sample(single))

    there_was_room = fits(compute, 1)
    release()
    return found[0] if there_was_room else None


def _sample(model: nn.Module) -> torch.Tensor:
    """Gradients of parameters evenly spread over the model, at most `SAMPLED` numbers, as one vector."""
    learning = [p for p in _lm.trainable(model) if p.grad is not None]
    stride = max(1, -(-sum(p.numel() for p in learning) // SAMPLED))
    return _lm.flat([p.grad.flatten()[::stride] for p in learning]).cpu()  # out of the way of peak memory


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def _timed(
    model: nn.Module, runs: dict[str, tuple[str, Callable[[], Any]]], sides: dict[str, dict[str, Any]], *,
    effort: Effort, until: float,
) -> None:  # fmt: skip
    """Forward and backward, side by side in turn; medians. At least two rounds, more while there is time."""
    device, seconds = device_of(model), {name: [] for name in runs}
    for round_ in range(effort.most_repeats):
        if round_ >= 2 and time.perf_counter() > until:
            break
        for name, (attention, run) in runs.items():
            with attending(model, attention):
                start = now(device)
                run()
                seconds[name].append(now(device) - start)
            model.zero_grad()
    for name, times in seconds.items():
        sides[name] |= {"seconds": statistics.median(times), "repeats": len(times)}


def _optimiser_step(model: nn.Module) -> tuple[float, str]:
    """Seconds of clipping and an optimiser step, and which optimiser the memory leaves room for."""
    device, learning = device_of(model), _lm.trainable(model)
    name = optimiser_that_fits(model)
    for p in learning:
        p.grad = torch.zeros_like(p)
    kind = torch.optim.AdamW if name == "adamw_torch_fused" else torch.optim.SGD
    optimiser = kind(learning, lr=1e-6, weight_decay=0.0, fused=True)
    seconds = []
    for _ in range(4):
        for p in learning:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        start = now(device)
        _lm.finish(model, optimiser)
        seconds.append(now(device) - start)
    model.zero_grad()
    del optimiser
    release()
    return statistics.median(seconds[1:]), name


def _trl(model: nn.Module, batch: Batch, *, optimiser: str, repeats: int) -> dict[str, Any]:
    """Whole steps of TRL's `SFTTrainer` at its best here: SDPA, no checkpointing, as many rows at once as fit."""
    if importlib.util.find_spec("trl") is None:
        return {"failed": "TRL is not installed"}
    device, turns, k = device_of(model), {}, len(batch.answers)
    reset_peak(device)

    def train(rows: int) -> None:
        with _lm.quiet(), attending(model, "sdpa"):
            batches = [batch] * (repeats + 2)
            turns["last"] = _lm.trl_turns(model, batches, lr=1e-6, optim=optimiser, accumulate=k // rows)

    try:
        rows = most_that_fit(train, k)
    except Exception as error:  # TRL's own refusals are a result too
        return {"failed": why(error)}
    if not rows:
        return {"failed": "out of memory with a single row"}
    seconds = [s.wall for s in turns["last"].seconds[2:]]
    return {
        "step_s": statistics.median(seconds),
        "loss": turns["last"].losses[0],
        "peak_gib": peak(device) / 2**30,
        "rows_in_one_pass": rows,
    }


def _rates(sides: dict[str, dict[str, Any]], model: nn.Module, batch: Batch, *, lora: bool, effort: Effort) -> None:
    """Answer tokens per second; and useful FLOPs per second, of which padding and masked pairs are no part."""
    shape, tree, p = shape_of(model), batch.tree(), len(batch.prompt)
    passes = 2 if lora else 3  # frozen weights need no gradient of their own
    n_answers = sum(len(answer) for answer in batch.answers)
    tree_pairs = p * (p + 1) // 2 + int((p + tree.depth[tree.fed]).sum())
    shared = shape.flops(tokens=tree.n_fed, reads=1 + int(tree.fed.sum()), pairs=tree_pairs)
    apart = _apart(shape, batch)
    for name, side in sides.items():
        if "seconds" not in side:
            continue
        rate = passes * (apart if name == "copies" else shared) / side["seconds"]
        side["answer_tokens_per_s"] = n_answers / side["seconds"]
        side["prompt_and_answer_tokens_per_s"] = (n_answers + p * len(batch.answers)) / side["seconds"]
        side["tflops"] = rate / 1e12
        side["share_of_matrix_rate"] = rate / effort.matrix_rate


def _apart(shape: Shape, batch: Batch) -> float:
    lengths = [len(batch.prompt) + len(answer) - 1 for answer in batch.answers]
    return shape.flops(
        tokens=sum(lengths), reads=sum(map(len, batch.answers)), pairs=sum(n * (n + 1) // 2 for n in lengths)
    )


def _ratios(found: dict[str, Any], k: int) -> dict[str, Any]:
    """The fastest tree against the copies and against TRL."""
    sides = found["sides"]
    trees = {name: sides[name]["seconds"] for name in TREES if "seconds" in sides.get(name, {})}
    if not trees:
        return {"best": None}
    best = min(trees, key=trees.__getitem__)
    ratios: dict[str, Any] = {"best": best}
    if "seconds" in sides["copies"]:
        ratios["ratio"] = sides["copies"]["seconds"] / trees[best]
        ratios["share_of_bound"] = ratios["ratio"] / found["bound"]
        ratios["ratio_with_optimiser"] = (sides["copies"]["seconds"] + found["optimiser_s"]) / (
            trees[best] + found["optimiser_s"]
        )
        passes = k / sides["copies"]["rows_in_one_pass"]
        ratios["saved_activations_ratio"] = (
            sides["copies"]["saved_activations_gib"] * passes / sides[best]["saved_activations_gib"]
        )
    if "step_s" in sides.get("trl", {}):
        ratios["ratio_trl"] = sides["trl"]["step_s"] / (trees[best] + found["optimiser_s"])
    return ratios
