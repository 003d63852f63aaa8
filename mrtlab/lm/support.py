"""Which models can run a token tree, and with which attention windows. What cannot is refused by name."""

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import nn

_LAYERS = {"full_attention", "sliding_attention"}
PATHS = "mrtlab_tree_paths"  # the name of our own attention along paths, see `mrtlab.lm.paths`
_MASKED = {"sdpa", "eager", "flex_attention", PATHS}


@dataclass(frozen=True)
class Windows:
    """How far back a model's layers look.

    Attributes:
        window: positions a sliding layer sees, its own included; None if every layer sees everything.
        mixed: True if some layers slide and others see everything.
    """

    window: int | None = None
    mixed: bool = False

    def matter(self, longest: int) -> bool:
        """Whether any layer misses something of a path of `longest` tokens."""
        return self.window is not None and longest > self.window


def text_config(model: nn.Module) -> Any:
    """The configuration of the text decoder, also where a model has others beside it."""
    return inner(model).config.get_text_config(decoder=True)


def windows(model: nn.Module) -> Windows:
    """What a model's layers look at.

    Raises:
        ValueError: the model cannot run a token tree; the message names the reason and the remedy.
    """
    config = text_config(model)
    name = f"{type(inner(model)).__name__} ({config.model_type})"
    if getattr(inner(model).config, "is_encoder_decoder", False):
        raise ValueError(f"{name} is an encoder-decoder: a token tree needs a causal decoder")
    kinds = set(_layer_types(config))
    if strange := sorted(kinds - _LAYERS):
        raise ValueError(
            f"{name} has layers of type {', '.join(strange)}: their state cannot branch under a mask, only full and "
            "sliding attention can. Score one string at a time with model(...), or choose another model"
        )
    if getattr(config, "alibi", False):
        raise ValueError(
            f"{name} biases attention by distances that it reads off the places in a row (alibi): choose a model with "
            "rotary or learned positions"
        )
    if "local" in (getattr(config, "attention_layers", None) or ()):
        raise ValueError(
            f"{name} has local attention layers whose window counts places, not positions: choose another model"
        )
    if getattr(inner(model), "_is_stateful", False):
        raise ValueError(f"{name} carries a recurrent state, which cannot branch under a mask: choose another model")
    if not _takes_positions(type(inner(model))):
        raise ValueError(
            f"{name} takes no position_ids, so positions cannot restart at a branch: choose a model with rotary or "
            "learned positions"
        )
    used = config._attn_implementation or "eager"
    if used not in _MASKED:
        raise ValueError(
            f"{name} was loaded with attn_implementation={used!r}, which ignores tree masks: "
            "load it with attn_implementation='sdpa' (or 'flex_attention' on a GPU)"
        )
    window = getattr(config, "sliding_window", None) if "sliding_attention" in kinds else None
    return Windows(window, mixed=window is not None and len(kinds) > 1)


def check_length(model: nn.Module, longest: int) -> None:
    """Refuse paths longer than the model has positions for.

    Raises:
        ValueError: a prompt with its longest answer does not fit.
    """
    limit = getattr(text_config(model), "max_position_embeddings", None)
    if limit is not None and longest > limit:
        raise ValueError(
            f"the longest answer needs {longest} positions with its prompt, the model has {limit}: "
            "shorten the prompt or the answers"
        )


def active_dropout(model: nn.Module) -> str | None:
    """The name of a module whose dropout would act in the next pass, None if there is none."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and module.training and module.p > 0:
            return name
        if module.training and float(getattr(module, "attention_dropout", 0.0) or 0.0) > 0:
            return f"{name}.attention_dropout"
    return None


def inner(model: nn.Module) -> nn.Module:
    """The transformers model inside: without peft, without `torch.compile`, without a wrapper for many processes.

    The wrapper is still what must be *called*, since it has work to do in every pass; the model inside is what one
    asks for its shape.
    """
    while True:
        if hasattr(model, "get_base_model"):
            return model.get_base_model()
        held = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if not isinstance(held, nn.Module):
            return model
        model = held


@cache  # a class does not change, and to read a signature takes longer than all else here
def _takes_positions(kind: type[nn.Module]) -> bool:
    return "position_ids" in inspect.signature(kind.forward).parameters


def _layer_types(config: Any) -> list[str]:
    named = getattr(config, "layer_types", None)
    if named is not None:
        return list(named)
    return ["sliding_attention" if getattr(config, "sliding_window", None) else "full_attention"]
