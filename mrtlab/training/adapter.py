"""A fresh LoRA adapter on a model: where `mrtlab train` starts from, and what a large model is measured with."""

import warnings
from typing import Any

import torch
from torch import nn


def with_adapter(model: Any, *, rank: int, seed: int) -> Any:
    """LoRA on all linear layers but the head; its B is zero, so the model is still the one it was.

    Args:
        model: of transformers. It is changed in place; `unload()` of what comes back undoes that.
        rank: r of the adapter; its scale is 2, alpha is 2r.
        seed: of the matrices A. Torch's global generator is set to it.

    Returns:
        the model of peft's, in which the adapter's weights alone are trainable.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers, about what peft asks it
        wrapped = get_peft_model(model, config)
    wrapped.peft_config["default"].base_model_name_or_path = ""  # else every checkpoint asks the hub about the base
    return wrapped


def second_factors(wrapped: Any) -> list[nn.Parameter]:
    """The matrices B of a fresh adapter. The gradient of every A is zero while B is, so theirs is all there is."""
    return [weight for name, weight in wrapped.named_parameters() if "lora_B" in name and weight.requires_grad]
