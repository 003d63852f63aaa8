"""All adapters in one batch: their matrices stacked, one product for all, every row with its own adapter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from transformers import DynamicCache

from mrtlab.lm.encode import Prompt, encode_prompt
from mrtlab.lm.sampling import Sampler, end_tokens, pick, said, to_its_end
from mrtlab.lm.support import check_length, text_config
from mrtlab.spa.gradients import lora_factors


@contextmanager
def stacked(model: Any, adapters: Sequence[str]) -> Iterator[None]:
    """While this is open, the rows of a batch are K equal runs and run k goes through adapter k.

    y_k = W x_k + s_k·B_k A_k x_k for all k at once: A is (K, r, in), B is (K, out, r), two batched products for each
    layer, no gathering of rows and no loop over adapters. Smaller ranks are filled up with zeros.

    Args:
        model: of peft's, with these adapters loaded.
        adapters: their names.

    Raises:
        ValueError: there is no name, or an adapter is missing or no plain LoRA (see `lora_factors`). Inside: a layer is
            not fed K equal runs of rows.

    Source: the SPA sheet, section 8; claim SPA-12.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> with stacked(model, ["default", "default"]), torch.no_grad():  # the same one twice: two rows alike
    ...     one, two = model(input_ids=torch.tensor([[3, 4], [3, 4]])).logits
    >>> torch.allclose(one, two)
    True
    """
    from peft.tuners.lora import LoraLayer

    if not len(adapters):
        raise ValueError("there are no adapters: name at least one")
    for name in adapters:
        lora_factors(model, adapter=name)  # refuses what two matrices do not describe
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    try:
        for layer in layers:
            layer.forward = _stack(layer, adapters)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)  # the class's own comes back


@torch.no_grad()
def sample_each(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    adapters: Sequence[str],
    seed: int,
    n: int = 1,
    sampler: Sampler | None = None,
    max_new_tokens: int = 128,
    batch: int = 256,
) -> list[list[list[str]]]:
    """Answers of every adapter to every prompt, all adapters decoded side by side in one batch.

    Prompts with the same number of tokens share a batch, too: nothing is padded. Adapter k writes what
    `mrtlab.lm.sampling.sample` writes while it is the active one, with `seed + k`: token by token, up to a draw within
    round-off of the next token.

    Args:
        model: of peft's, see `load_adapters`.
        tokenizer: of the model.
        prompts: texts, or chat messages.
        adapters: K names.
        seed: of the draws.
        n: answers of each adapter to each prompt.
        sampler: how tokens are drawn; by default the likeliest is taken, as SPA does.
        max_new_tokens: an answer that is not over by then is cut there.
        batch: answers written side by side at most, if one prompt has no more.

    Returns:
        for each prompt and each adapter its n answers, without the token that ends them.

    Raises:
        ValueError: n, max_new_tokens or batch is below 1, a prompt is too long for the model, or as `stacked`.

    Source: SPA, section 4.3, at temperature 0 (section 5.2); claim SPA-12.

    >>> from peft import LoraConfig
    >>> from mrtlab.lm.models import load_model
    >>> from mrtlab.lm.sampling import sample
    >>> from mrtlab.training.adapter import with_adapter
    >>> model, tokenizer = load_model(device="cpu")
    >>> expected = sample(model, tokenizer, ["Name a fruit."], n=1, seed=0, sampler=Sampler(temperature=0))
    >>> adapted = with_adapter(model, rank=1, seed=0)
    >>> adapted.add_adapter("two", LoraConfig(r=2, target_modules=["v_proj"]))  # B is 0: both are still the base
    >>> sample_each(adapted, tokenizer, ["Name a fruit."], adapters=["default", "two"], seed=0) == [expected * 2]
    True
    """
    if n < 1 or max_new_tokens < 1 or batch < 1:
        raise ValueError(f"n, max_new_tokens and batch must be 1 or more, got {n}, {max_new_tokens} and {batch}")
    sampler = sampler or Sampler(temperature=0)
    device = model.get_input_embeddings().weight.device
    stops = end_tokens(model, tokenizer)
    stop = torch.tensor(stops, device=device)
    encoded = [tuple(encode_prompt(tokenizer, prompt)) for prompt in prompts]
    check_length(model, max(map(len, encoded), default=0) + max_new_tokens)
    answers: list[list[list[str]]] = [[] for _ in prompts]
    with stacked(model, adapters):
        for places in _of_one_length(encoded, most=max(1, batch // (len(adapters) * n))):
            runs = [(k, encoded[i]) for k in range(len(adapters)) for i in places]
            luck = np.concatenate(
                [np.random.default_rng(((seed + k) % 2**63, *ids)).random((n, max_new_tokens)) for k, ids in runs]
            )
            start = torch.tensor([ids for _, ids in runs], device=device)
            rows = _write(model, start, torch.from_numpy(luck), sampler, stop)
            texts = [said(tokenizer, to_its_end(row, stop), set(stops)) for row in rows]
            for number, i in enumerate(places):
                first = [(k * len(places) + number) * n for k in range(len(adapters))]
                answers[i] = [texts[row : row + n] for row in first]
    return answers


def _of_one_length(rows: Sequence[Sequence[int]], *, most: int) -> Iterator[list[int]]:
    """Places of rows in bundles of one length, `most` in a bundle at most."""
    by_length: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(place)
    for places in by_length.values():
        for start in range(0, len(places), most):
            yield places[start : start + most]


def _write(
    model: Any,
    prompts: Int[torch.Tensor, "runs P"],
    luck: Float[torch.Tensor, "rows limit"],
    sampler: Sampler,
    stop: Int[torch.Tensor, "S"],
) -> Int[torch.Tensor, "rows T"]:
    """The same number of answers to each row of the prompts, token by token; rows that are over repeat their end.

    Every adapter needs a prompt's cache of its own, so each prompt goes through K times, in one batch.
    """
    n = len(luck) // len(prompts)
    cache = DynamicCache(config=text_config(model))
    logits = model(input_ids=prompts, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
    logits = logits.repeat_interleave(n, dim=0)
    if n > 1:
        cache.batch_repeat_interleave(n)
    over = torch.zeros(len(luck), dtype=torch.bool, device=prompts.device)
    written = []
    for place, u in enumerate(luck.to(prompts.device).T):
        if place:
            logits = model(input_ids=written[-1], past_key_values=cache, use_cache=True).logits[:, -1]
        token = torch.where(over[:, None], stop[0], pick(sampler.law(logits), u))
        written.append(token)
        over |= torch.isin(token[:, 0], stop)
        if bool(over.all()):
            break
    return torch.cat(written, dim=1)


def _stack(layer: Any, adapters: Sequence[str]) -> Any:
    """What a layer does for K runs of rows: its base, and each run's own two matrices."""
    held = [name for name in adapters if name in layer.lora_A]
    if not held:
        return layer.base_layer.forward
    rank = max(layer.lora_A[name].weight.shape[0] for name in held)

    def fill(factor: nn.ModuleDict, dim: int) -> torch.Tensor:
        """(K, …) weights, filled up to the largest rank; zeros for an adapter that has none in this layer."""
        some = factor[held[0]].weight
        shape = [*some.shape]
        shape[dim] = rank
        table = some.new_zeros(len(adapters), *shape)
        for k, name in enumerate(adapters):
            if name in held:
                weight = factor[name].weight.detach()
                table[k].narrow(dim, 0, weight.shape[dim]).copy_(weight)
        return table.transpose(1, 2).contiguous()

    down, up = fill(layer.lora_A, 0), fill(layer.lora_B, 1)
    scale = torch.tensor([layer.scaling.get(name, 0.0) for name in adapters], device=down.device, dtype=down.dtype)

    def forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if x.dim() != 3 or len(x) % len(adapters):
            raise ValueError(
                f"a layer with {len(adapters)} stacked adapters is fed {tuple(x.shape)}, expected (rows, tokens, "
                f"width) with the same number of rows for each adapter"
            )
        result = layer.base_layer(x, *args, **kwargs)
        runs = x.to(down.dtype).reshape(len(adapters), -1, x.shape[-1])
        added = torch.bmm(torch.bmm(runs, down), up) * scale[:, None, None]
        return (result + added.reshape(result.shape)).to(result.dtype)

    return forward
