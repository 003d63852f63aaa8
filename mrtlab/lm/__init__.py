"""Language models: token trees, exact scoring of many answers, and what the rest of the house builds on them.

Needs the `lm` extra: pip install "mrtlab[lm]".
"""

from mrtlab.lm.cost import bound, costs
from mrtlab.lm.encode import Encoded, encode
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
from mrtlab.lm.tree import TokenTree

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
