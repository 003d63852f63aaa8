"""What running trees needs to know of a model, read off in one walk over its modules.

A pass asks several times: which forms serve, what they cost, whether layers are recomputed. A step of a small model
takes tens of milliseconds and a walk over a model with an adapter takes half a one, so a call walks once and hands on
what it found. Nothing is kept from call to call: adapters come and go, and so does checkpointing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from mrtlab.lm.support import Windows, inner, text_config, windows


@dataclass(frozen=True)
class Shape:
    """The numbers of a model that cost depends on.

    Attributes:
        body: B, weights that every token is multiplied by.
        head: H, weights of the head.
        layers: L.
        width: a, number of query heads times their size.
    """

    body: int
    head: int
    layers: int
    width: int

    def flops(self, *, tokens: float, reads: float, pairs: float) -> float:
        """FLOPs of one forward pass.

        >>> Shape(body=10, head=5, layers=1, width=1).flops(tokens=2, reads=1, pairs=3)
        62
        """
        return 2 * self.body * tokens + 2 * self.head * reads + 4 * self.layers * self.width * pairs


@dataclass(frozen=True)
class Traits:
    """A model as it stands at this moment.

    Attributes:
        windows: how far back its layers look.
        shape: its weights, counted.
        no_paths: why its attention cannot be led along tree paths, None if it can.
        checkpointing: whether the next backward pass recomputes the forward pass.
    """

    windows: Windows
    shape: Shape
    no_paths: str | None
    checkpointing: bool


def traits_of(model: nn.Module) -> Traits:
    """Look a model over.

    Raises:
        ValueError: the model cannot run a token tree, as `mrtlab.lm.support.windows`.
    """
    found = windows(model)  # first: what cannot run trees at all may lack the rest, too
    modules = list(_modules(model))
    return Traits(found, _shape(model, modules), _why_not_paths(model, modules), _checkpointing(model, modules))


def shape_of(model: nn.Module) -> Shape:
    """Count a model's weights."""
    return _shape(model, list(_modules(model)))


def _modules(model: nn.Module) -> Iterator[nn.Module]:
    """Every module once, in any order. `nn.Module.modules` also spells out their names, at twice the price."""
    seen, waiting = {id(model)}, [model]
    while waiting:
        module = waiting.pop()
        yield module
        for child in module._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)


def _shape(model: nn.Module, modules: list[nn.Module]) -> Shape:
    config, found = text_config(model), inner(model)
    head = found.get_output_embeddings().weight
    weights = {id(p): p for module in modules for p in module._parameters.values() if p is not None and p.ndim > 1}
    for embedding in (found.get_input_embeddings().weight, head):
        weights.pop(id(embedding), None)
    heads = config.num_attention_heads
    return Shape(
        body=sum(p.numel() for p in weights.values()),
        head=head.numel(),
        layers=config.num_hidden_layers,
        width=heads * (getattr(config, "head_dim", None) or config.hidden_size // heads),
    )


def _why_not_paths(model: nn.Module, modules: list[nn.Module]) -> str | None:
    """A model that does not take its attention from transformers' registry would go on with its own, and answers would
    see each other without a word of warning.
    """
    found = inner(model)
    if not getattr(found, "_supports_attention_backend", False):
        return f"{type(found).__name__} does not let its attention be replaced"
    if any("sinks" in module._parameters for module in modules):
        return f"{type(found).__name__} uses attention sinks"
    return None


def _checkpointing(model: nn.Module, modules: list[nn.Module]) -> bool:
    # Not getattr on the module: where nothing is found, torch makes an exception of it, at ten times the price.
    name = "gradient_checkpointing"
    return model.training and any(vars(m).get(name) or getattr(type(m), name, False) for m in modules)
