"""Which card, how long, how much: is a step's time and memory foretold by arithmetic? Measured on this CPU.

Every cell is a model of random weights, one batch of equal trees, and a way to train it. Memory is foretold from the
configuration alone (`mrtlab.training.estimate`) and held against PyTorch's own count of what it allocates. Time is
foretold by three constants,

    seconds = FLOPs / (share · matrix rate) + bytes / (traffic · bandwidth) + per_kernel · kernels,

which are fitted on some shapes of models and judged on others. One thread; process CPU time, so that neighbours on the
machine count little; medians over repeats.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.lab.registry import Table

# name: (kind, width, inner width, layers, heads, heads of keys, vocabulary)
FITTED = {
    "llama-128": ("llama", 128, 384, 4, 4, 2, 1000),
    "llama-256": ("llama", 256, 768, 4, 4, 2, 4000),
    "qwen3-384": ("qwen3", 384, 1024, 3, 6, 2, 2000),
}
HELD_OUT = {
    "llama-192": ("llama", 192, 512, 6, 6, 2, 3000),
    "qwen2-320": ("qwen2", 320, 960, 4, 5, 1, 6000),
    "qwen3-512": ("qwen3", 512, 1280, 3, 8, 4, 1500),
}
SHAPES = FITTED | HELD_OUT
RANK, PROMPTS = 8, 2
_BOOTSTRAP = 4000


@dataclass(frozen=True, kw_only=True)
class StepCell:
    """A shape, a case P, R, K, a way to train."""

    shape: str
    case: tuple[int, int, int]
    kind: str
    checkpointing: bool
    repeats: int
    seed: int

    @property
    def label(self) -> str:
        """Such as "qwen3-384-64-16-8-lora-again"."""
        again = "-again" if self.checkpointing else ""
        return f"{self.shape}-{'-'.join(map(str, self.case))}-{self.kind}{again}"


def cells(scale: str) -> Sequence[StepCell]:
    """Every shape in every case, adapter and whole model, layers kept and layers computed again."""
    shapes, cases, repeats = {
        "smoke": (("llama-128", "llama-192"), ((16, 4, 4),), 2),
        "book": (tuple(SHAPES), ((64, 16, 8), (192, 16, 4)), 7),
        "full": (tuple(SHAPES), ((64, 16, 8), (192, 16, 4), (32, 6, 24), (128, 32, 8), (256, 8, 16)), 15),
    }[scale]
    return [
        StepCell(shape=shape, case=case, kind=kind, checkpointing=checkpointing, repeats=repeats, seed=0)
        for shape in shapes
        for case in cases
        for kind in ("lora", "full")
        for checkpointing in (False, True)
    ]


def run_cell(cell: StepCell) -> dict[str, Any]:
    """Foretell a step, then take some.

    Returns:
        seconds: CPU time of every repeat; bytes: the most that was allocated in a step beside weights and AdamW's
        averages; said: flops, traffic, kernels, trained and bytes; machine: matrix rate and bandwidth at this moment.
    """
    import torch

    from mrtlab.lm.cards import this_card

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        card = this_card("cpu")
        said = _said(cell, card)
        model, trees, optimiser = _made(cell)
        peak = allocated(model, trees)
        seconds = []
        for _ in range(cell.repeats + 1):
            begun = time.process_time()
            _step(model, trees, optimiser)
            seconds.append(time.process_time() - begun)
    finally:
        torch.set_num_threads(threads)
    machine = {"rate": card.float32, "bandwidth": card.bandwidth}
    return {"seconds": seconds[1:], "bytes": peak, "said": said, "machine": machine}


def _config(cell: StepCell) -> Any:
    from transformers import AutoConfig

    kind, width, inner, layers, heads, keys, vocabulary = SHAPES[cell.shape]
    return AutoConfig.for_model(
        kind, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=keys, head_dim=width // heads, vocab_size=vocabulary, max_position_embeddings=1024,
        tie_word_embeddings=kind == "llama", pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip


def _method(cell: StepCell) -> Any:
    from mrtlab.training.method import Method

    return Method(kind=cell.kind, rank=RANK, checkpointing=cell.checkpointing)


def _job(cell: StepCell) -> Any:
    from mrtlab.training.estimate_job import star_job

    prompt, response, k = cell.case
    vocabulary = SHAPES[cell.shape][-1]
    return star_job(prompt, response, k, vocabulary=vocabulary, prompts=PROMPTS, batch=PROMPTS)


def _said(cell: StepCell, card: Any) -> dict[str, float]:
    """What arithmetic says of a step."""
    from mrtlab.lm.cards import precision
    from mrtlab.training.estimate import outline

    method = _method(cell)
    found = outline(_config(cell), _job(cell), method=method, precision=precision(card, method.kind))
    memory = found.memory
    return {
        "flops": float(found.flops[0]),
        "traffic": float(found.traffic[0]),
        "kernels": float(found.trace.kernels),
        "trained": float(found.trained),
        "bytes": memory.peak - memory.weights - memory.optimiser,
    }


def _made(cell: StepCell) -> tuple[Any, Any, Any]:
    """The model with random weights, ready to train; its batch; AdamW."""
    import torch
    from transformers import AutoModelForCausalLM

    from mrtlab.training.adapter import with_adapter
    from mrtlab.training.estimate_trace import recomputing

    with torch.random.fork_rng():
        torch.manual_seed(cell.seed)
        model = AutoModelForCausalLM.from_config(_config(cell), attn_implementation="sdpa", dtype=torch.float32)
        if cell.checkpointing:
            recomputing(model)
        if cell.kind == "lora":
            model = with_adapter(model, rank=RANK, seed=cell.seed)
    learning = [p for p in model.parameters() if p.requires_grad]
    return model.train(), list(_job(cell).steps[0]), torch.optim.AdamW(learning, lr=1e-4, fused=True)


def _backward(model: Any, trees: Sequence[Any]) -> None:
    from mrtlab.lm.scoring import leaf_logprobs

    (-sum(logp.sum() for logp in leaf_logprobs(model, trees))).backward()


def _step(model: Any, trees: Sequence[Any], optimiser: Any) -> None:
    """As a trainer's: forward, backward, clip, AdamW."""
    import torch

    _backward(model, trees)
    learning = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(learning, 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def allocated(model: Any, trees: Sequence[Any]) -> int:
    """The most bytes that PyTorch had allocated at once in a forward and backward pass, by its own count.

    Args:
        model: in training mode, without gradients; it is left without any.
        trees: the batch.
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        _backward(model, trees)
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    model.zero_grad(set_to_none=True)
    return int(alive.max())


def summarise(outcomes: Sequence[tuple[StepCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        constants of the fit; time and memory, for fitted and held-out shapes: typical and 90 % error with intervals;
        cells: what was said and measured in each; machine; design.
    """
    rate = statistics.median(result["machine"]["rate"] for _, result in outcomes)
    bandwidth = statistics.median(result["machine"]["bandwidth"] for _, result in outcomes)
    measured = np.array([statistics.median(result["seconds"]) for _, result in outcomes])
    terms = np.array([_terms(result["said"], rate, bandwidth) for _, result in outcomes])
    held = np.array([cell.shape in HELD_OUT for cell, _ in outcomes])
    constants = fit(terms[~held], measured[~held])
    predicted = foretold(terms, constants)
    said = np.array([result["said"]["bytes"] for _, result in outcomes])
    kept = np.array([result["bytes"] for _, result in outcomes], dtype=float)
    groups = np.array([cell.shape for cell, _ in outcomes])
    spread = [statistics.stdev(r["seconds"]) / statistics.mean(r["seconds"]) for _, r in outcomes]
    both = {"fitted": ~held, "held_out": held}
    return {
        "constants": dict(zip(("share", "traffic", "per_kernel"), constants.tolist(), strict=True)),
        "time": {name: errors(predicted[at], measured[at], groups[at]) for name, at in both.items()},
        "memory": {name: errors(said[at], kept[at], groups[at]) for name, at in both.items()},
        "cells": {
            cell.label: {
                "held_out": bool(held[i]), "seconds": float(measured[i]), "predicted_s": float(predicted[i]),
                "bytes": float(kept[i]), "predicted_bytes": float(said[i]),
            }
            for i, (cell, _) in enumerate(outcomes)
        },
        "repeats_spread": statistics.median(spread),
        "machine": {"gflops": rate / 1e9, "gb_per_s": bandwidth / 1e9, "threads": 1},
        "design": {
            "cells": len(outcomes), "cells_held_out": int(held.sum()), "repeats": outcomes[0][0].repeats,
            "shapes_fitted": len(set(groups[~held])), "shapes_held_out": len(set(groups[held])),
            "prompts": PROMPTS, "rank": RANK,
        },
    }  # fmt: skip


def _terms(said: dict[str, float], rate: float, bandwidth: float) -> list[float]:
    """Seconds at the full rate, seconds at the full bandwidth, kernels, and AdamW's seconds, which are not fitted."""
    from mrtlab.training.estimate import ADAM

    return [said["flops"] / rate, said["traffic"] / bandwidth, said["kernels"], ADAM * said["trained"] / bandwidth]


def fit(terms: Float[np.ndarray, "n 4"], measured: Float[np.ndarray, "n"]) -> Float[np.ndarray, "3"]:
    """share, traffic and per_kernel, all positive, that make the squared log ratio of foretold to measured least.

    >>> rng = np.random.default_rng(0)
    >>> terms = rng.uniform(1, 2, size=(20, 4)) * [1e-2, 1e-2, 1e3, 0]
    >>> truth = np.array([0.5, 0.25, 1e-5])
    >>> bool(np.allclose(fit(terms, foretold(terms, truth)), truth, rtol=1e-3))
    True
    """
    from scipy.optimize import least_squares

    found = least_squares(
        lambda log: np.log(foretold(terms, np.exp(log)) / measured),
        np.log([0.7, 0.5, 1e-5]),
        bounds=(np.log([0.05, 0.02, 1e-8]), np.log([1.5, 5.0, 1e-3])),
        xtol=1e-12, ftol=1e-12, gtol=1e-12,
    )  # fmt: skip
    return np.exp(found.x)


def foretold(terms: Float[np.ndarray, "n 4"], constants: Float[np.ndarray, "3"]) -> Float[np.ndarray, "n"]:
    """Seconds of steps.

    >>> foretold(np.array([[1.0, 1.0, 10.0, 0.5]]), np.array([0.5, 0.25, 0.1])).tolist()  # 2 + 4 + 1 + ½
    [7.5]
    """
    share, traffic, per_kernel = constants
    return terms[:, 0] / share + terms[:, 1] / traffic + per_kernel * terms[:, 2] + terms[:, 3]


def errors(
    predicted: Float[np.ndarray, "n"], measured: Float[np.ndarray, "n"], groups: np.ndarray
) -> dict[str, dict[str, float]]:
    """How far off predictions are.

    Args:
        predicted, measured: positive.
        groups: the shape that each belongs to; the bootstrap redraws cells within shapes.

    Returns:
        typical: median of |predicted/measured − 1|; nine_in_ten: its 90 % quantile; bias: geometric mean of
        predicted/measured − 1. Each with mean, lo and hi, a 95 % interval by bootstrap over cells.

    >>> found = errors(np.array([1.1, 1.1, 1.1]), np.ones(3), np.array(["a", "a", "b"]))
    >>> round(found["typical"]["mean"], 3), round(found["bias"]["hi"], 3)
    (0.1, 0.1)
    """
    ratio = predicted / measured
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == name) for name in dict.fromkeys(groups.tolist())]
    drawn = np.concatenate([rng.choice(at, size=(_BOOTSTRAP, len(at))) for at in members], axis=1)
    statistics_ = {
        "typical": lambda r: np.median(np.abs(r - 1), axis=-1),
        "nine_in_ten": lambda r: np.quantile(np.abs(r - 1), 0.9, axis=-1),
        "bias": lambda r: np.exp(np.log(r).mean(axis=-1)) - 1,
    }
    found = {}
    for name, of in statistics_.items():
        lo, hi = np.quantile(of(ratio[drawn]), [0.025, 0.975])
        found[name] = {"mean": float(of(ratio)), "lo": float(lo), "hi": float(hi)}
    return found


def table(results: dict[str, Any]) -> Table:
    """Errors, time and memory, on the shapes of the fit and on the others."""
    rows = []
    for what in ("time", "memory"):
        for where in ("fitted", "held_out"):
            found = results[what][where]
            rows.append(
                (what, where.replace("_", " "), *(_percent(found[n]) for n in ("typical", "nine_in_ten", "bias")))
            )
    return Table(
        title="How far a step's time and memory are from what was foretold, in per cent.",
        columns=("what", "shapes", "typical error", "nine in ten below", "bias"),
        rows=tuple(rows),
    )


def _percent(found: dict[str, float]) -> str:
    return f"{100 * found['mean']:.1f} ({100 * found['lo']:.1f} to {100 * found['hi']:.1f})"
