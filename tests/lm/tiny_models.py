"""Random models of every family that the token tree serves, small enough to run hundreds of plain passes."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

VOCAB = 48
WINDOW = 5  # shorter than most test strings, so that sliding layers do miss something
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    **ENDS,
}
SHARED_KEYS = {**COMMON, "num_key_value_heads": 2}
GEMMA = {**SHARED_KEYS, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": WINDOW}
MIXED = ["sliding_attention", "full_attention"]

CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SHARED_KEYS),
    "qwen2": lambda: Qwen2Config(**SHARED_KEYS),
    "qwen3": lambda: Qwen3Config(**SHARED_KEYS, head_dim=8),
    "gemma2": lambda: Gemma2Config(**GEMMA, layer_types=MIXED, attn_logit_softcapping=0.5),
    "gemma3": lambda: Gemma3TextConfig(**GEMMA, layer_types=MIXED),
    "mistral": lambda: MistralConfig(**SHARED_KEYS, sliding_window=WINDOW),
    "phi3": lambda: Phi3Config(**SHARED_KEYS),
    "olmo2": lambda: Olmo2Config(**SHARED_KEYS),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCAB,
        n_positions=128,
        n_embd=16,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **ENDS,
    ),
    "gpt_neox": lambda: GPTNeoXConfig(**COMMON, hidden_dropout=0.0, attention_dropout=0.0),
}
EAGER = {"gemma2"}  # its cap on attention scores is not in SDPA


def build(name: str, *, dtype: torch.dtype = torch.float32, attention: str | None = None, scale: float = 3.0) -> Any:
    """A model whose weights are `scale` times their usual start: attention is sharp, so a leak between answers shows.

    At the usual start attention is nearly flat and every token nearly equally likely: a wrong mask would hide in
    round-off.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        used = attention or ("eager" if name in EAGER else "sdpa")
        model = AutoModelForCausalLM.from_config(CONFIGS[name](), attn_implementation=used).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale if weight.ndim > 1 else 1.0)
    return model.to(dtype)


@cache
def model_of(name: str) -> nn.Module:
    """A model that tests share: they leave its weights and its mode alone."""
    return build(name)


def checkpointed(model: Any, *, reentrant: bool = False) -> Any:
    """The model in training mode, recomputing each layer's forward pass in the backward pass."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": reentrant})
    if reentrant:  # re-entrant checkpoints pass a gradient on only if their input asks for one
        model.enable_input_require_grads()
    return model.train()
