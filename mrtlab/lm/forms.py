"""Three exact ways to run token trees through a model, each returning the log-probability of every edge.

- `row`: whole trees in packed rows under a tree mask. SDPA with a dense mask, FlexAttention with a block mask.
- `paths`: the same packed body, and attention that looks along paths only (`mrtlab.lm.paths`).
- `branches`: the prompt once with a live cache, then every answer as a row that continues it.

Whatever runs, the head computes logits only where an edge is read.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from transformers import DynamicCache

from mrtlab.lm.layout import BranchLayout, RowLayout, branch_layout, path_layout, row_layout, sees
from mrtlab.lm.paths import path_attention, tree_paths
from mrtlab.lm.support import PATHS, Windows, inner, text_config, windows
from mrtlab.lm.traits import Traits, traits_of
from mrtlab.lm.tree import TokenTree

EdgeLogProbs = Float[torch.Tensor, "_E"]


def run_row(model: nn.Module, trees: Sequence[TokenTree], *, traits: Traits | None = None) -> EdgeLogProbs:
    """Log-probabilities of all edges, trees packed into rows under a mask.

    Args:
        traits: of the model, where they are known already; so in the other forms.
    """
    limits = traits.windows if traits else windows(model)
    layout = row_layout(trees)
    longest = max(tree.longest for tree in trees)
    with _head_at(model, layout.score_at) as reader:
        output = model(
            input_ids=_on(model, layout.tokens),
            position_ids=_on(model, layout.positions),
            attention_mask=_row_masks(model, layout, limits, longest=longest),
            use_cache=False,
        )
    return _read(output.logits[0], reader.row, trees)


def run_paths(model: nn.Module, trees: Sequence[TokenTree], *, traits: Traits | None = None) -> EdgeLogProbs:
    """Log-probabilities of all edges, attention along paths. Call it inside `path_attention` to back-propagate
    through a checkpointed model.

    Raises:
        ValueError: the model's attention cannot be led along paths, or the backward pass would recompute outside
            `path_attention`.
    """
    traits = traits or traits_of(model)
    if traits.no_paths:
        raise ValueError(f"form='paths' cannot serve this model: {traits.no_paths}. Use form='row' or form='branches'")
    inside = text_config(model)._attn_implementation == PATHS
    if not inside:
        if traits.checkpointing and torch.is_grad_enabled():
            raise ValueError(
                "form='paths' under gradient checkpointing needs mrtlab.lm.backward, which keeps its attention in "
                "place while layers are recomputed: call that, or use form='row'"
            )
        with path_attention(model):
            return run_paths(model, trees, traits=traits)
    layout = path_layout(trees)
    seen = _seen_windows(model, max(tree.longest for tree in trees))
    with _head_at(model, layout.score_at) as reader:
        output = model(
            input_ids=_on(model, layout.tokens),
            position_ids=_on(model, layout.positions),
            attention_mask=None,
            use_cache=False,
            tree_paths=tree_paths(layout, device=_device(model), window=seen),
        )
    return _read(output.logits[0], reader.row, trees)


def run_branches(model: nn.Module, trees: Sequence[TokenTree], *, traits: Traits | None = None) -> EdgeLogProbs:
    """Log-probabilities of all edges, prompts once with a live cache and every answer as a row of its own.

    Raises:
        ValueError: gradient checkpointing is on, under which transformers drops the cache and with it the prompt.
    """
    traits = traits or traits_of(model)
    if traits.checkpointing:
        raise ValueError(
            "form='branches' needs the prompt's cache, which gradient checkpointing drops: "
            "use form='row' or form='paths', or turn checkpointing off"
        )
    layout = branch_layout(trees)
    cache = DynamicCache()  # without a config: sliding layers must keep what their masks still need
    trunk = _run_trunk(model, layout, cache, traits.windows)
    later = layout.score_at >= len(trees)
    if not later.any():
        return _read(trunk, layout.score_at, trees)
    cache.batch_select_indices(_on(model, layout.owner))
    length = torch.as_tensor(layout.prompt_length[layout.owner])[:, None]
    place, step = torch.arange(layout.prompts.shape[1]), torch.arange(layout.answers.shape[1])
    n_rows, longest = len(layout.owner), max(tree.longest for tree in trees)
    in_prompt = (place < length)[:, None].expand(-1, len(step), -1)
    in_answer = (step <= step[:, None]).expand(n_rows, -1, -1)
    position = length + step
    before = torch.cat([place.expand(n_rows, -1), position], dim=1)
    mask = torch.cat([in_prompt, in_answer], dim=2)[:, None]
    with _head_at(model, layout.score_at[later] - len(trees)) as reader:
        output = model(
            input_ids=_on(model, layout.answers),
            position_ids=_on(model, position),
            attention_mask=_window_masks(model, mask, position, before, traits.windows, longest=longest),
            past_key_values=cache,
            use_cache=True,
        )
    row = layout.score_at.copy()
    row[later] = len(trees) + reader.row
    return _read(torch.cat([trunk, output.logits[0]]), row, trees)


def _run_trunk(
    model: nn.Module, layout: BranchLayout, cache: DynamicCache, limits: Windows
) -> Float[torch.Tensor, "T V"]:
    """Fill the cache with the prompts; the logits at their ends."""
    n_trees, n_prompt = layout.prompts.shape
    place = torch.arange(n_prompt)
    position = place.expand(n_trees, -1)
    mask = (place <= place[:, None]).expand(n_trees, 1, -1, -1)  # padding on the right: causal is enough
    with _head_at(model, np.arange(n_trees) * n_prompt + layout.prompt_length - 1):
        output = model(
            input_ids=_on(model, layout.prompts),
            position_ids=_on(model, position),
            attention_mask=_window_masks(model, mask, position, position, limits, longest=n_prompt),
            past_key_values=cache,
            use_cache=True,
        )
    return output.logits[0]


FORMS: dict[str, Callable[..., EdgeLogProbs]] = {
    "row": run_row,
    "paths": run_paths,
    "branches": run_branches,
}


class _Reader:
    """The places that logits are wanted for, each once, and for every edge the row it is read from."""

    def __init__(self, score_at: Int[np.ndarray, "E"]) -> None:
        self.places, self.row = np.unique(score_at, return_inverse=True)


def _read(logits: Float[torch.Tensor, "U V"], row: Int[np.ndarray, "E"], trees: Sequence[TokenTree]) -> EdgeLogProbs:
    """log softmax of the row's logits at the edge's token, in single precision at least."""
    at = torch.as_tensor(row, device=logits.device)
    token = torch.as_tensor(np.concatenate([tree.token for tree in trees]), device=logits.device)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits[at, token] - logits.logsumexp(dim=-1)[at]


@contextmanager
def _head_at(model: nn.Module, score_at: Int[np.ndarray, "E"]) -> Iterator[_Reader]:
    """While this is open the head sees only the places that edges are read from, as one row."""
    reader = _Reader(score_at)

    def only_those(_: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        at = torch.as_tensor(reader.places, device=args[0].device)
        return (args[0].flatten(0, 1)[at][None], *args[1:])

    hook = inner(model).get_output_embeddings().register_forward_pre_hook(only_those)
    try:
        yield reader
    finally:
        hook.remove()


def _row_masks(model: nn.Module, layout: RowLayout, limits: Windows, *, longest: int) -> Any:
    """What `attention_mask` takes: a block mask for FlexAttention, else a dense one."""
    if text_config(model)._attn_implementation == "flex_attention":
        from mrtlab.lm.blocks import block_mask

        full = block_mask(layout, device=_device(model))
        slid = block_mask(layout, device=_device(model), window=limits.window) if limits.matter(longest) else full
        return _for_layers(limits, full, slid, longest=longest)
    full = torch.as_tensor(sees(layout))[:, None]
    position = torch.as_tensor(layout.positions)
    return _window_masks(model, full, position, position, limits, longest=longest)


def _window_masks(
    model: nn.Module, full: torch.Tensor, query: torch.Tensor, key: torch.Tensor, limits: Windows, *, longest: int
) -> Any:
    """A dense mask, narrowed for sliding layers: by position, never by place."""
    slid = full
    if limits.matter(longest):
        slid = full & (query[:, :, None] - key[:, None, :] < limits.window)[:, None]
    ready = {id(mask): _as_attention(model, mask) for mask in (full, slid)}
    return _for_layers(limits, ready[id(full)], ready[id(slid)], longest=longest)


def _for_layers(limits: Windows, full: Any, slid: Any, *, longest: int) -> Any:
    """One mask where all layers agree; models with both kinds of layer take one for each."""
    if not limits.matter(longest):
        return full
    return {"full_attention": full, "sliding_attention": slid} if limits.mixed else slid


def _as_attention(model: nn.Module, mask: torch.Tensor) -> torch.Tensor:
    """A table of yes and no for SDPA; numbers to add for eager attention."""
    mask = mask.to(_device(model))
    if text_config(model)._attn_implementation == "sdpa":
        return mask
    dtype = inner(model).dtype
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


def _seen_windows(model: nn.Module, longest: int) -> int | None:
    config = text_config(model)
    window = getattr(config, "sliding_window", None)
    return window if window is not None and longest > window else None


def _on(model: nn.Module, array: Any) -> torch.Tensor:
    return torch.as_tensor(array, device=_device(model))


def _device(model: nn.Module) -> torch.device:
    return inner(model).get_input_embeddings().weight.device
