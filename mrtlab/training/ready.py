"""A model made ready to train on the card that is here: formats, four bits, checkpointing, autocast."""

from typing import Any

import torch

from mrtlab.lm.cards import Card, precision, this_card
from mrtlab.lm.models import load_model
from mrtlab.training.method import Method


def load_to_train(name: str, *, method: Method, card: Card | None = None, device: str = "auto") -> tuple[Any, Any]:
    """A model and its tokenizer in the formats that suit a card and a method, see `mrtlab.lm.cards.precision`.

    Args:
        name: as `load_model` takes it.
        method: "lora", "full" or "4bit"; its attention and its checkpointing are set, too. The adapter is put on later.
        card: None looks which one is here.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: as `load_model`; or four bits without a GPU or without bitsandbytes.

    >>> model, tokenizer = load_to_train("embedded", method=Method(kind="lora", rank=4), device="cpu")
    >>> model.dtype, model.config._attn_implementation
    (torch.float32, 'sdpa')
    """
    chosen = precision(card or this_card(device), method.kind)
    model, tokenizer = load_model(name, device=device, dtype=chosen.weights, attention=method.attention)
    if method.checkpointing:
        recomputing(model)
    return model, tokenizer


def recomputing(model: Any) -> None:
    """Let layers be computed again in the backward pass; transformers has had two names for it."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def autocast_of(model: torch.nn.Module) -> dict[str, bool]:
    """What `TrainingArguments` are told about formats: products in bfloat16 where the card knows it, else in float16
    with loss scaling; on a CPU everything as it is.

    >>> autocast_of(torch.nn.Linear(1, 1))
    {}
    """
    if next(model.parameters()).device.type != "cuda":
        return {}
    return {"bf16": True} if torch.cuda.is_bf16_supported(including_emulation=False) else {"fp16": True}


def keep_small_steps(model: torch.nn.Module) -> torch.nn.Module:
    """Weights in single precision, changed in place, if all of them are to be trained: in sixteen bits a step of AdamW
    is often smaller than the distance to the next number.

    >>> keep_small_steps(torch.nn.Linear(1, 1).bfloat16()).weight.dtype
    torch.float32
    """
    return model.float()
