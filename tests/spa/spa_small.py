"""A small model with an adapter that has learnt something, and examples of several lengths: shared by tests of SPA."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mrtlab.spa.gradients import Example
from mrtlab.training.adapter import with_adapter


def base(*, layers: int = 2, seed: int = 0) -> LlamaForCausalLM:
    """The same weights at every call."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def adapted(*, rank: int = 2, layers: int = 2, seed: int = 0):
    """An adapter whose B is not zero, so that both of its matrices have a gradient."""
    return stirred(with_adapter(base(layers=layers), rank=rank, seed=seed), seed=seed)


def stirred(model, *, seed: int = 0, size: float = 0.1):
    """Chance numbers in every B of the adapter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.add_(size * torch.randn(weight.shape, generator=generator))
    return model


def examples(n: int, *, seed: int = 0, longest: int = 7) -> list[Example]:
    """Prompts and answers of chance tokens and lengths."""
    generator = torch.Generator().manual_seed(seed)

    def ids() -> tuple[int, ...]:
        length = int(torch.randint(1, longest + 1, (1,), generator=generator))
        return tuple(torch.randint(3, 40, (length,), generator=generator).tolist())

    return [Example(ids(), (*ids(), 2)) for _ in range(n)]
