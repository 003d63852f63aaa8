"""One standard job on published shapes: the tables of the page *Which card, how long, how much*.

A thousand prompts of 256 tokens with eight answers of 64, eight prompts in a step, one epoch. Everything here is
predicted from shapes and data sheets; `python -m mrtlab.lab.step_cost_standard` prints the tables.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrtlab.training.estimate_said import Estimate

P, R, K, PROMPTS, BATCH = 256, 64, 8, 1000, 8
# kind, width, inner width, layers, heads, heads of keys, size of a head, vocabulary, whether the head is the embedding
MODELS = {
    "Qwen3-0.6B": ("qwen3", 1024, 3072, 28, 16, 8, 128, 151936, True),
    "Qwen2.5-1.5B": ("qwen2", 1536, 8960, 28, 12, 2, 128, 151936, True),
    "Qwen3-4B": ("qwen3", 2560, 9728, 36, 32, 8, 128, 151936, True),
    "Llama-3.1-8B": ("llama", 4096, 14336, 32, 32, 8, 128, 128256, False),
}
WAYS = {
    "LoRA": {"kind": "lora"},
    "LoRA, layers again": {"kind": "lora", "checkpointing": True},
    "4 bits, layers again": {"kind": "4bit", "checkpointing": True},
    "full, layers again": {"kind": "full", "checkpointing": True},
}
SHOWN = "LoRA, layers again"  # the way of the table over cards


def config_of(name: str) -> Any:
    """The configuration of a model of `MODELS`."""
    from transformers import AutoConfig

    kind, width, inner, layers, heads, keys, size, vocabulary, tied = MODELS[name]
    return AutoConfig.for_model(
        kind, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=keys, head_dim=size, vocab_size=vocabulary, tie_word_embeddings=tied,
        max_position_embeddings=8192, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip


def estimates(name: str, way: str, cards: Sequence[str] | None = None) -> list["Estimate"]:
    """The standard job on a model, in a way of `WAYS`, on some cards or all."""
    from mrtlab.lm.cards import CARDS
    from mrtlab.training.estimate import estimate_cards
    from mrtlab.training.estimate_job import star_job
    from mrtlab.training.method import Method

    job = star_job(P, R, K, vocabulary=MODELS[name][7], prompts=PROMPTS, batch=BATCH)
    method = Method(**WAYS[way])
    return estimate_cards(config_of(name), job, method=method, cards=[CARDS[c] for c in cards or CARDS])


def memory_row(name: str, way: str) -> str:
    """A row of the first table: a step of `BATCH` prompts on a card that knows bfloat16, in GB."""
    memory = estimates(name, way, ["H100"])[0].memory
    numbers = (*memory.parts().values(), memory.peak)
    return f"| {name} | {way} | " + " | ".join(gb(n) for n in numbers) + " |"


def cards_column(name: str) -> list[str]:
    """A column of the second table: on every card, how many prompts fit at once, and how long the job takes."""
    return [_cell(one) for one in estimates(name, SHOWN)]


def tables() -> str:
    """Both tables in Markdown."""
    from mrtlab.lm.cards import CARDS

    first = [
        "| model | trained as | weights | gradients | AdamW | left behind | for a moment | at the peak |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
        *(memory_row(name, way) for name in MODELS for way in WAYS),
    ]
    columns = [list(CARDS), *(cards_column(name) for name in MODELS)]
    second = [
        "| card | " + " | ".join(MODELS) + " |",
        "|---|" + "--:|" * len(MODELS),
        *("| " + " | ".join(row) + " |" for row in zip(*columns, strict=True)),
    ]
    return "\n".join([*first, "", *second])


def gb(n: float) -> str:
    """Bytes in GB, two digits that matter.

    >>> gb(1.234e9), gb(4.04e7), gb(1.3e11)
    ('1.2', '0.04', '130')
    """
    return f"{float(f'{n / 1e9:.2g}'):.10g}"


def _cell(found: "Estimate") -> str:
    if not found.largest:
        return "no room"
    return f"{found.largest}: {found.run}"


if __name__ == "__main__":
    print(tables())
