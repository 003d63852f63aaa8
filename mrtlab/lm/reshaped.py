"""Exact laws of decoding rules: what temperature, top-k and top-p make of every answer's probability."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from mrtlab.lm.sampling import Sampler
from mrtlab.lm.support import check_length
from mrtlab.lm.tree import TokenTree


@torch.no_grad()
def decoded_logprobs(
    model: nn.Module, trees: Sequence[TokenTree], samplers: Sequence[Sampler], *, rows: int = 64
) -> list[Float[np.ndarray, "_S _M"]]:
    """log-probability that each sampler writes each answer: nothing is drawn.

    A sampler changes the law of every next token, so along an answer y

        log s(y | x) = Σ_t log s(y_t | x, y_<t),   s(· | x, y_<t) = sampler.law(logits at that place),

    which differs from scaling the answer's own log-probability: every place is normalised by itself.

    Args:
        model: a causal language model of transformers, peft-wrapped or not, in evaluation mode.
        trees: prompts with their answers.
        samplers: S decoding rules; the logits are computed once for all of them.
        rows: answers that pass through the model at once.

    Returns:
        (S, M) for each tree, nats; −inf where a sampler never writes the answer.

    Raises:
        ValueError: an answer does not fit into the model.
    """
    found = []
    for tree in trees:
        check_length(model, tree.longest)
        answers = tree.answers()
        parts = [_rows(model, tree, answers[i : i + rows], samplers) for i in range(0, len(answers), rows)]
        found.append(np.concatenate(parts, axis=1))
    return found


def _rows(
    model: Any, tree: TokenTree, answers: Sequence[Sequence[int]], samplers: Sequence[Sampler]
) -> Float[np.ndarray, "_S _M"]:
    """Some answers, each a row behind its own copy of the prompt, padded on the right."""
    device = next(model.parameters()).device
    n_prompt, longest = len(tree.prompt), max(map(len, answers))
    written = torch.zeros((len(answers), longest), dtype=torch.long, device=device)
    real = torch.zeros_like(written, dtype=torch.bool)
    for row, answer in enumerate(answers):
        written[row, : len(answer)] = torch.tensor(answer, device=device)
        real[row, : len(answer)] = True
    prompt = torch.as_tensor(tree.prompt, device=device).expand(len(answers), -1)
    tokens = torch.cat([prompt, written], dim=1)
    logits = model(input_ids=tokens[:, :-1], use_cache=False).logits[:, n_prompt - 1 :]
    logp = []
    for sampler in samplers:
        token = sampler.law(logits).gather(-1, written[..., None])[..., 0]
        logp.append(token.double().log().masked_fill(~real, 0.0).sum(1).cpu().numpy())
    return np.array(logp)
