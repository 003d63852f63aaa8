"""Shapes of published models, to be filled with random weights: benchmarks/gpu.py needs no network."""

from dataclasses import dataclass

import torch
from torch import nn

from benchmarks import _lm


@dataclass(frozen=True)
class Model:
    """The shape of a published model."""

    kind: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool

    def make(self, *, tiny: bool, device: torch.device) -> nn.Module:
        """The model with random weights: bf16, on the device; or tiny, in single precision."""
        from transformers import AutoConfig, AutoModelForCausalLM

        sizes = {
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_size,
            "vocab_size": self.vocabulary,
        }
        if tiny:
            sizes |= {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}
            sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64}
        config = AutoConfig.for_model(
            self.kind, **sizes, max_position_embeddings=8192, tie_word_embeddings=self.tied,
            pad_token_id=0, bos_token_id=1, eos_token_id=_lm.EOS,
        )  # fmt: skip
        torch.manual_seed(0)
        with device:
            return AutoModelForCausalLM.from_config(
                config, dtype=torch.float32 if tiny else torch.bfloat16, attn_implementation="sdpa"
            )


MODELS = {
    "qwen25-15b": Model("qwen2", 1536, 8960, 28, 12, 2, 128, 151936, True),
    "qwen25-05b": Model("qwen2", 896, 4864, 24, 14, 2, 64, 151936, True),
    "qwen3-4b": Model("qwen3", 2560, 9728, 36, 32, 8, 128, 151936, True),
    "llama31-8b": Model("llama", 4096, 14336, 32, 32, 8, 128, 128256, False),
}
