"""What a training step keeps in memory, counted without computing anything.

The step runs on *fake* tensors: they have a shape, a format and a life, but no numbers, so an 8B model costs nothing
here. While it runs, every piece of memory is noted as it comes and goes. Layers are alike, so a model of one layer and
one of two tell what any number of layers needs: each further layer adds what the second one added. Where layers are of
several kinds, the shorter model has one of each.
"""

import contextlib
import copy
import warnings
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM

from mrtlab.lm.cards import Precision
from mrtlab.lm.scoring import leaf_logprobs
from mrtlab.lm.tree import TokenTree
from mrtlab.training.adapter import with_adapter
from mrtlab.training.ready import recomputing

_VIEWS = {"detach", "t", "transpose", "view", "_unsafe_view", "expand", "permute", "slice", "select", "alias"}
_VIEWS |= {"unsqueeze", "squeeze", "split", "split_with_sizes", "as_strided", "unbind", "chunk"}
_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "_scaled_dot_product_flash_attention_for_cpu"}
_PRODUCTS |= {"_scaled_dot_product_flash_attention_for_cpu_backward"}


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One forward and backward pass over a batch; bytes, but for the kernels.

    Attributes:
        saved: what the forward pass leaves for the backward pass.
        peak: the most that stands at any moment beside weights and gradients.
        gradients_at_peak: gradients that stand already at that moment, the head's for example.
        tail: what still stands when all gradients do.
        kernels: operations that are started, views not counted.
        traffic: read and written by operations that are no matrix products.
        trained: weights that are trained; a number, too.
    """

    saved: float
    peak: float
    gradients_at_peak: float
    tail: float
    kernels: float
    traffic: float
    trained: int

    def grown(self, second: "Trace", more: int) -> "Trace":
        """What a model with so many more layers needs, from what this one needs and one with one more.

        >>> one = Trace(saved=10, peak=15, gradients_at_peak=1, tail=3, kernels=7, traffic=20, trained=5)
        >>> two = Trace(saved=14, peak=19, gradients_at_peak=1, tail=2, kernels=9, traffic=30, trained=8)
        >>> four = one.grown(two, 3)
        >>> four.saved, four.peak, four.tail, four.kernels, four.traffic, four.trained
        (22, 27, 2, 13, 50, 14)
        """
        return Trace(
            saved=self.saved + more * (second.saved - self.saved),
            peak=self.peak + more * (second.peak - self.peak),
            gradients_at_peak=self.gradients_at_peak,
            tail=min(self.tail, second.tail),
            kernels=self.kernels + more * (second.kernels - self.kernels),
            traffic=self.traffic + more * (second.traffic - self.traffic),
            trained=self.trained + more * (second.trained - self.trained),
        )


def trace(
    config: Any,
    trees: Sequence[TokenTree],
    *,
    precision: Precision,
    rank: int | None,
    checkpointing: bool,
    attention: str,
    form: str,
) -> Trace:
    """What a step over these trees keeps, whatever the number of layers.

    Args:
        config: of a causal language model of transformers.
        trees: of one forward pass.
        precision: formats.
        rank: of the adapter, None where every weight is trained.
        checkpointing: whether layers are computed again in the backward pass.
        attention: "sdpa", which is given a mask, or "flex_attention", which needs none.
        form: how the trees are run, "row", "paths" or "branches".

    Raises:
        ValueError: the model cannot run trees, or not in this form.
    """
    fewest = len(_kinds(config)) + (form == "branches")  # whose last layer differs from the others
    first, second = (
        _one(shortened(config, n), trees, precision, rank, checkpointing, attention, form) for n in (fewest, fewest + 1)
    )
    return first.grown(second, text_config(config).num_hidden_layers - fewest)


def hollow(
    config: Any, *, precision: Precision, rank: int | None, attention: str = "sdpa", checkpointing: bool = False
) -> Any:
    """The model on the meta device: every shape, no number. Adapter, formats and checkpointing as they would be."""
    kept = "float32" if precision.weights == "float32" else precision.products
    with _quiet(), torch.device("meta"), torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(
            copy.deepcopy(config), dtype=getattr(torch, kept), attn_implementation=attention
        )
        if checkpointing:
            recomputing(model)
        if rank is not None:
            model = with_adapter(model, rank=rank, seed=0)
    return model.train()


def text_config(config: Any) -> Any:
    """The configuration of the text decoder."""
    return config.get_text_config(decoder=True)


def shortened(config: Any, layers: int) -> Any:
    """The same configuration with fewer layers, one of each kind first."""
    short = copy.deepcopy(config)
    inner = text_config(short)
    inner.num_hidden_layers = layers
    if getattr(inner, "layer_types", None) is not None:
        kinds = _kinds(config)
        inner.layer_types = (kinds + kinds[:1] * layers)[:layers]
    return short


def _kinds(config: Any) -> list[str]:
    """The kinds of layers, each once."""
    return list(dict.fromkeys(getattr(text_config(config), "layer_types", None) or ["all alike"]))


def _one(
    config: Any,
    trees: Sequence[TokenTree],
    precision: Precision,
    rank: int | None,
    checkpointing: bool,
    attention: str,
    form: str,
) -> Trace:
    model = hollow(config, precision=precision, rank=rank, checkpointing=checkpointing)
    unmasked = contextlib.nullcontext()
    if attention == "flex_attention" and form == "row":
        heads = text_config(config).num_attention_heads
        unmasked = _Unmasked(heads // (getattr(text_config(config), "num_key_value_heads", None) or heads))
    dtype = getattr(torch, precision.products)
    with _quiet(), FakeTensorMode(allow_non_fake_inputs=True):
        _fill(model)
        life = _Life(model)
        with life, unmasked:
            with torch.autocast("cpu", dtype, enabled=precision.autocast is not None):
                loss = -sum(logp.sum() for logp in leaf_logprobs(model, trees, form=form))
            saved = life.live
            loss.backward()
        grads = {id(p.grad.untyped_storage()): p.grad.nbytes for p in model.parameters() if p.grad is not None}
        peak, beside, both = life.most(without=set(grads))
        life.close()
    return Trace(
        saved=saved,
        peak=peak,
        gradients_at_peak=beside,
        tail=max(both - sum(grads.values()), 0),
        kernels=life.kernels,
        traffic=life.traffic,
        trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
    )


class _Life(TorchDispatchMode):
    """Notes every storage as it comes and goes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._old = {id(t.untyped_storage()) for t in (*model.parameters(), *model.buffers())}
        self._known: dict[int, Any] = {}
        self._events: list[tuple[int, int]] = []
        self._open = True
        self.live = self.kernels = self.traffic = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = [t for t in torch.utils._pytree.tree_leaves(out) if isinstance(t, torch.Tensor)]
        for tensor in made:
            self._note(tensor.untyped_storage())
        room, _, name = func._schema.name.partition("::")
        if room == "aten" and name not in _VIEWS:
            self.kernels += 1
            if name not in _PRODUCTS:
                given = [t for t in torch.utils._pytree.tree_leaves(args) if isinstance(t, torch.Tensor)]
                self.traffic += sum(t.nbytes for t in (*given, *made))
        return out

    def _note(self, storage: Any) -> None:
        key = id(storage)
        if key in self._old or key in self._known:
            return
        size = storage.nbytes()
        self._events.append((key, size))
        self.live += size
        self._known[key] = weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        if self._open:
            self._events.append((key, -size))
            self.live -= size
            del self._known[key]

    def close(self) -> None:
        """What goes from now on goes unnoticed."""
        self._open = False

    def most(self, *, without: set[int]) -> tuple[int, int, int]:
        """The most bytes alive at once, those of some storages not counted; how many of these stood beside at that
        moment; and the most of both together."""
        alive, beside, both, best = 0, 0, 0, (0, 0)
        last = {key: i for i, (key, size) in enumerate(self._events) if size > 0}  # an id may be used again
        for i, (key, size) in enumerate(self._events):
            if key in without and i == last[key]:
                beside += size
            else:
                alive += size
            best, both = max(best, (alive, beside)), max(both, alive + beside)
        return *best, both


class _Unmasked(TorchFunctionMode):
    """Attention as FlexAttention keeps it: no table of who sees whom, and keys and values not repeated for heads."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups  # heads that share a key

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query, key, value = args[:3]
        key, value = (x[:, :: self.groups].contiguous() for x in (key, value))
        return func(query, key, value, is_causal=True, scale=(kwargs or {}).get("scale"), enable_gqa=self.groups > 1)


def _fill(model: nn.Module) -> None:
    """Fake tensors in place of those on the meta device; shared ones stay shared."""
    made: dict[int, torch.Tensor] = {}

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            new = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
            is_weight = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(new, requires_grad=tensor.requires_grad) if is_weight else new
        return made[id(tensor)]

    olds = []  # kept until all are replaced, so that no id is used twice
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    olds.append(tensor)
                    held[name] = fake(tensor)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about ids of end tokens, and about autocast on a CPU
        yield
