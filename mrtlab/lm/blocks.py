"""The tree mask for FlexAttention: a rule instead of a table, and whole blocks that nobody looks at are skipped."""

from typing import Any

import torch

from mrtlab.lm.layout import RowLayout


def block_mask(layout: RowLayout, *, device: torch.device, window: int | None = None) -> Any:
    """A `BlockMask` of a packed row: place q looks at place k if k ≤ q < end[k], and within the window by position."""
    from torch.nn.attention.flex_attention import create_block_mask

    end = torch.as_tensor(layout.end, device=device)
    position = torch.as_tensor(layout.positions, device=device)

    n_rows, length = layout.end.shape
    reach = length if window is None else window  # nothing in a row is further away than its length
    return create_block_mask(
        # A lambda: torch traces it, and the wrapper that a type checker puts around named functions cannot be traced.
        lambda b, _, q, k: (k <= q) & (q < end[b, k]) & (position[b, q] - position[b, k] < reach),
        n_rows,
        None,
        length,
        length,
        device=str(device),
    )
