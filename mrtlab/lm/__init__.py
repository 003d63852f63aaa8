"""Language models: token trees, exact scoring of many answers, and what the rest of the house builds on them.

Needs the `lm` extra: pip install "mrtlab[lm]". Trees and encoding need NumPy alone, so they can be drawn and counted
without it: what runs a model, and with it torch, is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mrtlab.lm.encode import Encoded, encode
from mrtlab.lm.tree import TokenTree

if TYPE_CHECKING:
    from mrtlab.lm.cost import bound, costs
    from mrtlab.lm.scoring import (
        answer_logprobs,
        answer_tokens,
        backward,
        backward_tokens,
        leaf_logprobs,
        plain_logprob,
        self_check,
        token_logprobs,
    )

_HOME = {"bound": "cost", "costs": "cost"} | dict.fromkeys(
    (
        "answer_logprobs",
        "answer_tokens",
        "backward",
        "backward_tokens",
        "leaf_logprobs",
        "plain_logprob",
        "self_check",
        "token_logprobs",
    ),
    "scoring",
)

__all__ = [
    "Encoded",
    "TokenTree",
    "answer_logprobs",
    "answer_tokens",
    "backward",
    "backward_tokens",
    "bound",
    "costs",
    "encode",
    "leaf_logprobs",
    "plain_logprob",
    "self_check",
    "token_logprobs",
]


def __getattr__(name: str) -> Any:
    """Import what runs a model when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
