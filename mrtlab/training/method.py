"""How a model is trained, as far as memory and time depend on it."""

from dataclasses import dataclass

from mrtlab.lm.cards import METHODS


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a model is trained, as far as memory and time depend on it.

    Attributes:
        kind: "lora", "full" or "4bit", an adapter over weights of four bits.
        rank: of the adapter.
        checkpointing: whether layers are computed again in the backward pass.
        attention: "sdpa" or "flex_attention".
        form: how trees are run, see `mrtlab.lm.forms`; "auto" takes the cheapest.

    Raises:
        ValueError: an unknown kind or attention, or a rank below 1.
    """

    kind: str = "lora"
    rank: int = 16
    checkpointing: bool = False
    attention: str = "sdpa"
    form: str = "auto"

    def __post_init__(self) -> None:
        if self.kind not in METHODS:
            raise ValueError(f"method must be lora, full or 4bit, got {self.kind!r}")
        if self.attention not in ("sdpa", "flex_attention"):
            raise ValueError(f"attention must be sdpa or flex_attention, got {self.attention!r}")
        if self.rank < 1:
            raise ValueError(f"rank must be 1 or more, got {self.rank}")

    @property
    def adapter(self) -> int | None:
        """Rank of the adapter, None where every weight is trained."""
        return None if self.kind == "full" else self.rank
