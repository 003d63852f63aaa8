"""Small tools of benchmarks/gpu.py: the clock, memory, which attention a model uses, what fits."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def matrix_rate(device: torch.device, *, size: int, dtype: torch.dtype) -> float:
    """FLOP/s of a square matrix product: the rate that shares are taken of."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(15):
        start = now(device)
        a @ b
        seconds.append(now(device) - start)
    return 2 * size**3 / statistics.median(seconds[5:])


def seed_flex(*, compiled: bool) -> None:
    """One FlexAttention kernel for all lengths. Transformers would compile again for the first new length, seconds
    each time, and past dynamo's limit of recompilations fall back to an uncompiled one."""
    from torch.nn.attention.flex_attention import flex_attention
    from transformers.integrations.flex_attention import WrappedFlexAttention

    if compiled:
        torch._dynamo.config.recompile_limit = 64
    kernel = torch.compile(flex_attention, dynamic=True) if compiled else flex_attention
    WrappedFlexAttention(True)._compiled_flex_attention = kernel


def most_that_fit(run: Callable[[int], Any], k: int) -> int:
    """The largest of k, k/2, k/4, … that divides k and with which `run` does not run out of memory; 0 if none does."""
    for size in (k >> i for i in range(k.bit_length())):
        if k % size == 0 and fits(run, size):
            return size
    return 0


def fits(run: Callable[[int], Any], size: int) -> bool:
    """Whether `run(size)` gets by with the memory there is."""
    try:
        run(size)
        return True
    except torch.OutOfMemoryError:
        pass
    release()  # out here: inside the handler the error still holds on to what was allocated
    return False


def why(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


def saved_bytes(model: nn.Module, forward: Callable[[], torch.Tensor]) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters not counted, shared storage once."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()  # the graph goes with the result
    return sum(kept.values())


@contextmanager
def attending(model: nn.Module, implementation: str) -> Iterator[None]:
    """While this is open the model attends with another implementation."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = inner.config._attn_implementation
    inner.set_attn_implementation(implementation)
    try:
        yield
    finally:
        inner.set_attn_implementation(before)


def device_of(model: nn.Module) -> torch.device:
    """Where a model is."""
    return model.get_input_embeddings().weight.device


def on_gpu(model: nn.Module) -> bool:
    """Whether a model is on a GPU."""
    return device_of(model).type == "cuda"


def now(device: torch.device) -> float:
    """The time, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def in_turn(runs: Mapping[str, Callable[[], Any]], device: torch.device, repeats: int) -> dict[str, list[float]]:
    """Seconds of every run, taken in turn so that a slow minute of the machine falls on all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = now(device)
            run()
            seconds[name].append(now(device) - start)
    return seconds


def optimiser_that_fits(model: nn.Module) -> str:
    """The optimiser that memory leaves room for beside weights and gradients: AdamW with its two moments, or SGD."""
    device, learning = device_of(model), [p for p in model.parameters() if p.requires_grad]
    weights = sum(p.numel() * p.element_size() for p in learning)
    room = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else float("inf")
    frozen = sum(p.numel() * p.element_size() for p in model.parameters()) - weights
    return "adamw_torch_fused" if frozen + 4 * weights < 0.6 * room else "sgd"


def reset_peak(device: torch.device) -> None:
    """Forget the peak of memory so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: torch.device) -> int:
    """Bytes at the peak; 0 on a CPU, which does not count them."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def release() -> None:
    """Give memory of the GPU back that nothing holds any more."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
