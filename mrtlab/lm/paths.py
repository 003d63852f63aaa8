"""Attention along the paths of a tree: a packed body, and no pair of tokens looked at in vain.

A dense mask over a row of n tokens computes n² scores and throws most of them away when a prompt has hundreds of
answers. Here the prompt looks at itself, every answer token looks at the whole prompt and at its own path, and one
softmax spans both. Registered with transformers under the name `PATHS`; it acts on calls that carry a `tree_paths`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from transformers import AttentionInterface

from mrtlab.lm.layout import PathLayout
from mrtlab.lm.support import PATHS, inner, text_config


@dataclass(frozen=True, eq=False)
class TreePaths:
    """A `PathLayout` on the device of the model, with the masks that every layer needs."""

    n_prompt: int
    chain: Int[torch.Tensor, "C D"]
    own: Int[torch.Tensor, "C Q"]
    slot: Int[torch.Tensor, "nodes"]
    prompt_mask: Bool[torch.Tensor, "B 1 N P"] | None  # None: every answer token sees the whole prompt
    path_mask: Bool[torch.Tensor, "C 1 Q D"]
    sliding_self: Bool[torch.Tensor, "1 1 P P"] | None  # None: plain causal
    sliding_prompt: Bool[torch.Tensor, "B 1 N P"] | None
    sliding_path: Bool[torch.Tensor, "C 1 Q D"] | None


def tree_paths(layout: PathLayout, *, device: torch.device, window: int | None) -> TreePaths:
    """Move a layout to a device and draw its masks.

    Args:
        window: of the sliding layers, None where there are none or where nothing is out of their sight.
    """
    chain, own, step, slot, lengths = (
        torch.as_tensor(array, device=device)
        for array in (layout.chain, layout.own, layout.own_step, layout.slot, layout.prompt_length)
    )
    n_prompt = int(layout.prompt_length.max())  # of the layout, not of the device: a GPU would have to be waited for
    n_nodes = layout.tokens.shape[1] - n_prompt
    places = torch.arange(n_prompt, device=device)
    inside = (places[None] < lengths[:, None])[:, None, None].expand(-1, 1, n_nodes, -1)
    distance = step[:, :, None] - torch.arange(chain.shape[1], device=device)
    path_mask = (distance >= 0)[:, None]
    sliding_self = sliding_prompt = sliding_path = None
    if window is not None:
        away = places[:, None] - places[None]
        sliding_self = ((away >= 0) & (away < window))[None, None]
        position = torch.as_tensor(layout.positions[:, n_prompt:], device=device)
        sliding_prompt = inside & (position[:, None, :, None] - places < window)
        sliding_path = path_mask & (distance < window)[:, None]
    even = bool((layout.prompt_length == n_prompt).all())
    return TreePaths(
        n_prompt, chain, own, slot, None if even else inside, path_mask, sliding_self, sliding_prompt, sliding_path
    )


@contextmanager
def path_attention(model: nn.Module) -> Iterator[None]:
    """Let every layer of a model attend along tree paths. Backward passes that recompute must happen inside."""
    configs = {id(config): config for config in (inner(model).config, text_config(model))}.values()
    before = [config._attn_implementation_internal for config in configs]
    try:
        for config in configs:
            config._attn_implementation_internal = PATHS
        yield
    finally:
        for config, implementation in zip(configs, before, strict=True):
            config._attn_implementation_internal = implementation


def attend(
    module: nn.Module,
    query: Float[torch.Tensor, "B H L d"],
    key: Float[torch.Tensor, "B G L d"],
    value: Float[torch.Tensor, "B G L e"],
    attention_mask: Any,
    *,
    tree_paths: TreePaths,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Float[torch.Tensor, "B L H e"], None]:
    """One layer of attention over a `PathLayout`; the interface that transformers calls.

    Raises:
        ValueError: the model uses attention sinks, which this form does not know.
    """
    if _.get("s_aux") is not None:
        raise ValueError("this model uses attention sinks: run its trees with form='row'")
    t, groups = tree_paths, query.shape[1] // key.shape[1]
    slides = sliding_window is not None and t.sliding_path is not None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    key, value = (x.repeat_interleave(groups, dim=1) if groups > 1 else x for x in (key, value))
    (q_prompt, q), (k_prompt, k), (v_prompt, v) = (_split(x, t.n_prompt) for x in (query, key, value))
    out_prompt = _prompt_attention(
        q_prompt, k_prompt, v_prompt, mask=t.sliding_self if slides else None, scale=scale, softcap=softcap
    )
    if not q.shape[2]:
        return out_prompt.transpose(1, 2), None

    q = q * scale
    to_prompt = _capped(q @ k_prompt.transpose(-1, -2), softcap)
    to_path = _capped(_gathered(q, t.own) @ _gathered(k, t.chain).transpose(-1, -2), softcap)
    prompt_mask = t.sliding_prompt if slides else t.prompt_mask
    if prompt_mask is not None:
        to_prompt = to_prompt.masked_fill(~prompt_mask, -torch.inf)
    to_path = to_path.masked_fill(~(t.sliding_path if slides else t.path_mask), -torch.inf)

    scores = torch.cat([to_prompt, _scattered(to_path, t.slot, q.shape)], dim=-1)
    share = _shares(scores)
    share = nn.functional.dropout(share, p=dropout, training=module.training)
    from_path = _gathered(share[..., t.n_prompt :], t.own) @ _gathered(v, t.chain)
    out = share[..., : t.n_prompt] @ v_prompt + _scattered(from_path, t.slot, q.shape)
    return torch.cat([out_prompt, out], dim=2).transpose(1, 2), None


def _prompt_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, mask: torch.Tensor | None, scale: float, softcap: float | None
) -> torch.Tensor:
    """The trunk: plain causal attention of the prompt on itself."""
    if softcap is None:
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale)
    n = q.shape[2]
    causal = torch.ones(n, n, dtype=torch.bool, device=q.device).tril()
    scores = _capped(q * scale @ k.transpose(-1, -2), softcap)
    scores = scores.masked_fill(~(causal if mask is None else mask), -torch.inf)
    return _shares(scores) @ v


def _capped(scores: torch.Tensor, softcap: float | None) -> torch.Tensor:
    return scores if softcap is None else softcap * torch.tanh(scores / softcap)


def _shares(scores: torch.Tensor) -> torch.Tensor:
    """Softmax in single precision at least."""
    return scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)


def _split(x: torch.Tensor, n_prompt: int) -> tuple[torch.Tensor, torch.Tensor]:
    return x[:, :, :n_prompt], x[:, :, n_prompt:]


def _gathered(x: Float[torch.Tensor, "B H N d"], nodes: Int[torch.Tensor, "C W"]) -> Float[torch.Tensor, "C H W d"]:
    """Answer tokens, chain by chain."""
    return x.transpose(1, 2).flatten(0, 1)[nodes].transpose(1, 2)


def _scattered(x: Float[torch.Tensor, "C H Q d"], slot: Int[torch.Tensor, "nodes"], shape: Any) -> torch.Tensor:
    """Chain by chain, back to answer tokens: (B, H, N, d)."""
    flat = x.transpose(1, 2).flatten(0, 1)[slot]
    return flat.unflatten(0, (shape[0], shape[2])).transpose(1, 2)


AttentionInterface.register(PATHS, attend)
