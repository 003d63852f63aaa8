"""Drawing answers: the prompt goes through the model once, then all draws are written side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from transformers import DynamicCache

from mrtlab.lm.encode import Prompt, closing_ids, encode_prompt
from mrtlab.lm.support import check_length, text_config


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How the next token is drawn from the model's law. The defaults draw from the law itself.

    Attributes:
        temperature: divides the logits; 0 takes the likeliest token always.
        top_k: keep this many of the likeliest tokens.
        top_p: keep the likeliest tokens until they hold this much of the mass.
        min_p: keep tokens at least this many times as likely as the likeliest.

    Raises:
        ValueError: a setting is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be 1 or more, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be from 0 to 1, got {self.min_p}")

    def law(self, logits: Float[torch.Tensor, "*rows V"]) -> Float[torch.Tensor, "*rows V"]:
        """Probabilities of the next token.

        >>> logits = torch.log(torch.tensor([0.5, 0.3, 0.2]))
        >>> Sampler(top_k=2).law(logits)
        tensor([0.6250, 0.3750, 0.0000])
        """
        logits = logits.float()
        if self.temperature == 0:
            return nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        p = (logits / self.temperature).softmax(-1)
        if self.top_k is None and self.top_p == 1 and self.min_p == 0:
            return p  # nothing to cut, so nothing to sort, which would take thirty times as long
        ordered, place = p.sort(dim=-1, descending=True)
        kept = (ordered.cumsum(-1) - ordered < self.top_p) & (ordered >= self.min_p * ordered[..., :1])
        if self.top_k is not None:
            kept[..., self.top_k :] = False
        kept[..., 0] = True
        p = torch.zeros_like(p).scatter(-1, place, ordered * kept)
        return p / p.sum(-1, keepdim=True)


@torch.no_grad()
def sample(
    model: nn.Module,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    n: int,
    seed: int,
    sampler: Sampler | None = None,
    max_new_tokens: int = 128,
    batch: int = 256,
) -> list[list[str]]:
    """n independent answers to every prompt.

    Each prompt is computed once and its cache repeated n times. The same seed gives the same answers to a prompt,
    whatever else is asked in the same call and however many are written side by side; more draws go on where fewer
    stopped. (Round-off of the forward pass may turn a draw that falls within it of another token.)

    Args:
        model, tokenizer: as `load_model` returns them.
        prompts: texts, or chat messages.
        n: answers for each.
        seed: of the draws.
        sampler: how tokens are drawn; by default from the model's own law.
        max_new_tokens: an answer that is not over by then is cut there.
        batch: answers written side by side at most.

    Returns:
        for each prompt its n answers, without the token that ends them.

    Raises:
        ValueError: n or max_new_tokens is below 1, or a prompt is too long for the model.
    """
    stops = set(end_tokens(model, tokenizer))
    options = {"n": n, "seed": seed, "sampler": sampler, "max_new_tokens": max_new_tokens, "batch": batch}
    drawn = sample_ids(model, tokenizer, prompts, **options)
    return [[said(tokenizer, ids, stops) for ids in answers] for answers in drawn]


@torch.no_grad()
def sample_ids(
    model: nn.Module,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    n: int,
    seed: int,
    sampler: Sampler | None = None,
    max_new_tokens: int = 128,
    batch: int = 256,
) -> list[list[list[int]]]:
    """The draws of `sample` as token ids, each with the token that ends it if it came to its end.

    Arguments and errors as `sample`.
    """
    if n < 1 or max_new_tokens < 1:
        raise ValueError(f"n and max_new_tokens must be 1 or more, got {n} and {max_new_tokens}")
    sampler = sampler or Sampler()
    device = model.get_input_embeddings().weight.device
    stop = torch.tensor(end_tokens(model, tokenizer), device=device)
    answers = []
    for prompt in prompts:
        prompt_ids = encode_prompt(tokenizer, prompt)
        ids = torch.tensor([prompt_ids], device=device)
        check_length(model, ids.shape[1] + max_new_tokens)
        rng = np.random.default_rng((seed % 2**63, *prompt_ids))
        written: list[list[int]] = []
        while len(written) < n:
            luck = torch.from_numpy(rng.random((min(batch, n - len(written)), max_new_tokens)))
            written += [to_its_end(row, stop) for row in _write(model, ids, luck, sampler, stop)]
        answers.append(written)
    return answers


def _write(
    model: nn.Module,
    prompt: Int[torch.Tensor, "1 P"],
    luck: Float[torch.Tensor, "n limit"],
    sampler: Sampler,
    stop: Int[torch.Tensor, "S"],
) -> Int[torch.Tensor, "n T"]:
    """n answers to one prompt, token by token; rows that are over repeat their end.

    `luck` holds a uniform number in [0, 1) for each answer and place. It picks the token whose stretch of the
    cumulated law it falls into.
    """
    n = len(luck)
    cache = DynamicCache(config=text_config(model))
    logits = model(input_ids=prompt, past_key_values=cache, use_cache=True).logits[:, -1].expand(n, -1)
    cache.batch_repeat_interleave(n)
    over: Bool[torch.Tensor, n] = torch.zeros(n, dtype=torch.bool, device=prompt.device)
    written = []
    for u in luck.to(prompt.device).T:
        token = pick(sampler.law(logits), u)
        token = torch.where(over[:, None], stop[0], token)
        written.append(token)
        over |= torch.isin(token[:, 0], stop)
        if bool(over.all()):
            break
        logits = model(input_ids=token, past_key_values=cache, use_cache=True).logits[:, -1]
    return torch.cat(written, dim=1)


def pick(p: Float[torch.Tensor, "n V"], u: Float[torch.Tensor, "n"]) -> Int[torch.Tensor, "n 1"]:
    """The first token up to which the law holds more than u of the mass: never one of probability 0.

    Args:
        p: next-token laws, one row each; they need not sum to 1.
        u: a number from 0 to below 1 for each row.

    >>> pick(torch.tensor([[0.5, 0.0, 0.5], [0.5, 0.0, 0.5]]), torch.tensor([0.4, 0.6]))[:, 0].tolist()
    [0, 2]
    """
    total = p.double().cumsum(-1)
    return torch.searchsorted(total, (u * total[:, -1])[:, None].contiguous(), right=True)


def end_tokens(model: nn.Module, tokenizer: Any) -> list[int]:
    """Every token that ends an answer: what the template says, and what the model was saved with."""
    more = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = [more] if isinstance(more, int) else list(more or [])
    return list(dict.fromkeys([*closing_ids(tokenizer), *more]))


def to_its_end(row: Int[torch.Tensor, "T"], stop: Int[torch.Tensor, "S"]) -> list[int]:
    """A row up to its first end, which is kept.

    >>> to_its_end(torch.tensor([7, 8, 2, 9, 2]), torch.tensor([2]))
    [7, 8, 2]
    """
    ends = torch.isin(row, stop).nonzero()
    return row[: int(ends[0]) + 1].tolist() if len(ends) else row.tolist()


def said(tokenizer: Any, ids: list[int], stops: set[int]) -> str:
    """The text of an answer's tokens, without the one that ends it."""
    return tokenizer.decode(ids[:-1] if ids[-1] in stops else ids, skip_special_tokens=True)
