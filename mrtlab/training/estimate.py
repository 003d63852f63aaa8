"""What a training run will take, said before it starts: memory, time, and which card has room for it.

From the model's configuration and the trees of the data alone; no weight is read and nothing is computed.

    peak   = weights + AdamW's averages + max(activations + gradients so far, all gradients + what still stands)
    FLOPs  = forward · (1 + 1 for the inputs' gradients + 1 for the weights' where all are trained + 1 if recomputed)
    time   = FLOPs / (matrix rate · share), and never below what memory and the start of kernels take

Memory is arithmetic and was checked against what PyTorch allocates. The share is an assumption on a GPU, which is why
an answer about one is an interval and says *not yet measured*. On a CPU it was measured: see `step_cost` in the lab.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.data.records import Record
from mrtlab.lm.cards import DTYPE_BYTES, Card, Precision, precision, this_card
from mrtlab.lm.cost import Cost, costs
from mrtlab.lm.support import inner
from mrtlab.lm.traits import Shape, Traits, traits_of
from mrtlab.lm.tree import TokenTree
from mrtlab.training.estimate_job import Job, job_of
from mrtlab.training.estimate_said import Beside, Estimate, Memory, Range, room
from mrtlab.training.estimate_trace import Trace, hollow, trace
from mrtlab.training.fine_tune import Settings
from mrtlab.training.method import Method

GPU_SHARE = (0.25, 0.5)  # of the matrix rate: an assumption. Tuned LoRA runs on one H100 report 0.41 (NeMo AutoModel)
GPU_LAUNCH_S = (5e-6, 20e-6)  # between two kernels where the processor cannot start them faster: an assumption
GPU_TRAFFIC = (1.0, 2.0)  # times the roof of products at full rate plus all else read and written at full bandwidth
ADAM = 40  # bytes that clipping and a fused AdamW step move for each trained weight in float32
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)  # four bits, a byte for every 64 weights, four for every 256 such bytes


@dataclass(frozen=True, kw_only=True)
class CpuRate:
    """What a CPU's step takes: FLOPs / (share · matrix rate) + bytes / (traffic · bandwidth) + per_kernel · kernels.

    Attributes:
        share: of the rate of a large matrix product.
        traffic: of the bandwidth of a large copy, for all that is no product.
        per_kernel: seconds to start an operation.
        error: largest part by which held-out shapes were mispredicted, for nine in ten of them.
    """

    share: float
    traffic: float
    per_kernel: float
    error: float


# Fitted by `mrtlab run step_cost --scale book`; a test compares these with its artifact.
CPU_RATE = CpuRate(share=1.16, traffic=0.381, per_kernel=1.3e-5, error=0.129)


def measured_beside(estimate: Estimate, seconds_per_step: float, peak_bytes: float | None = None) -> Beside:
    """A prediction and what came of it, to be printed.

    Args:
        estimate: made before the run.
        seconds_per_step: measured.
        peak_bytes: measured, `torch.cuda.max_memory_allocated()`; None where nobody counted.

    Raises:
        ValueError: a number that is not positive.
    """
    if not seconds_per_step > 0 or (peak_bytes is not None and not peak_bytes > 0):
        raise ValueError(f"expected positive numbers, got {seconds_per_step} seconds and {peak_bytes} bytes")
    return Beside(estimate, seconds_per_step, peak_bytes)


def estimate_run(
    model: Any,
    tokenizer: Any,
    records: Sequence[Record],
    settings: Settings,
    card: Card | None = None,
    *,
    method: Method | None = None,
) -> Estimate:
    """What `fine_tune` with these settings will take.

    Args:
        model: of transformers, or only its configuration.
        tokenizer: of it.
        records: as `fine_tune` is given them.
        settings: as `fine_tune` is given them.
        card: None takes this machine's.
        method: None takes LoRA or full training as the settings say, without checkpointing, and SDPA.

    Raises:
        ValueError: nothing is left to train on, or the model cannot run trees.
    """
    chosen = method or Method(kind="lora" if settings.lora_rank else "full", rank=settings.lora_rank or 1)
    job = job_of(_config(model), tokenizer, records, settings)
    return estimate(_config(model), job, method=chosen, card=card or this_card())


def estimate(config: Any, job: Job, *, method: Method, card: Card) -> Estimate:
    """`estimate_cards` for one card."""
    return estimate_cards(config, job, method=method, cards=[card])[0]


def estimate_cards(config: Any, job: Job, *, method: Method, cards: Sequence[Card]) -> list[Estimate]:
    """What a job would take on each of some cards.

    Args:
        config: of a causal language model of transformers.
        job: the trees.
        method: how it is trained.
        cards: which.

    Raises:
        ValueError: the model cannot run trees, or a card cannot serve the method.
    """
    seen: dict[Precision, Outline] = {}
    found = []
    for card in cards:
        chosen = precision(card, method.kind)
        if chosen not in seen:
            seen[chosen] = outline(config, job, method=method, precision=chosen)
        found.append(_on(card, seen[chosen], job, method, chosen))
    return found


@dataclass(frozen=True, eq=False)
class Outline:
    """All about a job that does not depend on the card; arrays have an entry for every pass of an epoch.

    Attributes:
        parameters, trained: numbers of weights.
        memory: of the largest pass; `prompts` are in it and `form` is how it runs.
        trace: what that pass keeps.
        flops: of each pass, forward and backward.
        traffic: bytes of each pass that are read and written by what is no matrix product.
    """

    parameters: int
    trained: int
    memory: Memory
    prompts: int
    form: str
    trace: Trace
    flops: Float[np.ndarray, "passes"]
    traffic: Float[np.ndarray, "passes"]


def outline(config: Any, job: Job, *, method: Method, precision: Precision) -> Outline:
    """Look at every pass of a job, and closely at the largest."""
    plain = hollow(
        config, precision=precision, rank=None, attention=method.attention, checkpointing=method.checkpointing
    )
    traits = traits_of(plain)
    weights = sum(p.numel() for p in plain.parameters())
    stored = _stored(plain, precision, traits.shape)
    passes = job.passes()
    chosen = [_cheapest(plain, trees, method.form, traits) for trees in passes]
    tokens = np.array([cost.tokens for cost in chosen], dtype=float)
    most = int(np.argmax(tokens))
    found = trace(
        config, passes[most], precision=precision, rank=method.adapter, checkpointing=method.checkpointing,
        attention=method.attention, form=chosen[most].form,
    )  # fmt: skip
    adapter = 0 if method.adapter is None else found.trained
    gradients = DTYPE_BYTES[precision.trained] * found.trained
    own = 0 if method.adapter is None else gradients
    return Outline(
        parameters=weights,
        trained=found.trained,
        memory=_memory(found, stored + own, gradients, 2 * gradients, held=job.parts > 1),
        prompts=len(passes[most]),
        form=chosen[most].form,
        trace=found,
        flops=np.array([pass_flops(cost, traits.shape, method, adapter) for cost in chosen]),
        traffic=found.traffic * tokens / tokens[most],
    )


def pass_flops(cost: Cost, shape: Shape, method: Method, adapter: int) -> float:
    """FLOPs of a forward and backward pass.

    Products with frozen weights are done twice, forward and for their inputs' gradient; with trained ones three times;
    attention, which has two products and no weight, takes twice its forward again. Checkpointing adds another forward
    pass of the layers, not of the head.

    Args:
        cost: of the forward pass, without the adapter.
        shape: of the model.
        method: how it is trained.
        adapter: weights of the adapter, 0 for none.

    >>> shape = Shape(body=10, head=5, layers=1, width=1)
    >>> cost = Cost("row", tokens=2, pairs=3, flops=shape.flops(tokens=2, reads=1, pairs=3))  # 50 for products, 12
    >>> pass_flops(cost, shape, Method(kind="full"), 0), pass_flops(cost, shape, Method(kind="lora"), 1)
    (186, 148)
    """
    attention = 4 * shape.layers * shape.width * cost.pairs
    body = 2 * shape.body * cost.tokens
    head = cost.flops - attention - body
    own = 2 * adapter * cost.tokens
    again = int(method.checkpointing)
    times = 3 if method.kind == "full" else 2
    return times * (body + head) + 3 * (attention + own) + again * (body + attention + own)


def seconds(
    card: Card, formats: Precision, *, flops: float, traffic: float, kernels: float, trained: float = 0.0
) -> Range:
    """How long a pass takes on a card, from the good case to the bad one.

    Args:
        card: it.
        formats: which decide the rate.
        flops: of the pass.
        traffic: bytes that what is no product reads and writes.
        kernels: operations that are started.
        trained: weights that AdamW moves at the end, 0 where the step goes on.
    """
    rate = card.rate(formats.products)
    adam = ADAM * trained / card.bandwidth
    if card.kind == "cpu":
        fit = CPU_RATE
        mid = flops / (fit.share * rate) + traffic / (fit.traffic * card.bandwidth) + fit.per_kernel * kernels + adam
        return Range(mid / (1 + fit.error), mid * (1 + fit.error))
    roof = flops / rate + traffic / card.bandwidth
    lo, hi = (
        max(flops / (share * rate), times * roof, launch * kernels) + adam
        for share, times, launch in zip(GPU_SHARE[::-1], GPU_TRAFFIC, GPU_LAUNCH_S, strict=True)
    )
    return Range(lo, hi)


def _on(card: Card, found: Outline, job: Job, method: Method, chosen: Precision) -> Estimate:
    """An outline on a card."""
    passes = [
        seconds(card, chosen, flops=float(f), traffic=float(t), kernels=found.trace.kernels)
        for f, t in zip(found.flops, found.traffic, strict=True)
    ]
    n = len(job.steps)
    adam = seconds(card, chosen, flops=0.0, traffic=0.0, kernels=0.0, trained=found.trained)
    lo, hi = sum(p.lo for p in passes) + n * adam.lo, sum(p.hi for p in passes) + n * adam.hi
    return Estimate(
        card=card,
        method=method,
        precision=chosen,
        parameters=found.parameters,
        trained=found.trained,
        form=found.form,
        prompts=found.prompts,
        largest=_largest(card, found, held=job.parts > 1),
        memory=found.memory,
        flops=float(found.flops.sum()) * job.epochs,
        steps=n * job.epochs,
        step=Range(lo / n, hi / n),
        run=Range(lo * job.epochs, hi * job.epochs),
        measured=card.kind == "cpu",
    )


def _cheapest(model: Any, trees: Sequence[TokenTree], form: str, traits: Traits) -> Cost:
    """The form that a trainer would take: paths not under checkpointing, which they would not survive."""
    for cost in costs(model, trees, traits=traits):
        if cost.form == form or (form == "auto" and not (traits.checkpointing and cost.form == "paths")):
            return cost
    raise ValueError(f"form {form!r} cannot serve this model, or not under gradient checkpointing")


def _stored(model: Any, formats: Precision, shape: Shape) -> float:
    """Bytes of the weights. Of four-bit ones only the body's matrices are packed, and one at a time is unpacked."""
    if formats.weights != "nf4":
        return sum(p.nbytes for p in model.parameters())
    rest = sum(p.numel() for p in model.parameters()) - shape.body
    ends = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    unpacked = max(p.numel() for p in model.parameters() if p.ndim > 1 and id(p) not in ends)
    return NF4_BYTES * shape.body + DTYPE_BYTES[formats.products] * (rest + unpacked)


def _memory(found: Trace, weights: float, gradients: float, optimiser: float, *, held: bool) -> Memory:
    """The parts, and the most of them at once; gradients are held all the time where a step has several passes."""
    early = found.peak + (gradients if held else found.gradients_at_peak)
    late = gradients + found.tail
    return Memory(
        weights=weights,
        gradients=gradients,
        optimiser=optimiser,
        saved=found.saved,
        temporaries=found.peak - found.saved,
        peak=weights + optimiser + max(early, late),
    )


def _largest(card: Card, found: Outline, *, held: bool) -> int:
    """Prompts that one pass has room for; what they keep grows in proportion."""
    memory, kept = found.memory, found.trace
    free = room(card) - memory.weights - memory.optimiser
    early = (free - (memory.gradients if held else kept.gradients_at_peak)) / kept.peak
    late = (free - memory.gradients) / kept.tail if kept.tail else float("inf")
    if free < memory.gradients:
        return 0
    return max(int(found.prompts * min(early, late)), 0)


def _config(model: Any) -> Any:
    return inner(model).config if hasattr(model, "parameters") else model
