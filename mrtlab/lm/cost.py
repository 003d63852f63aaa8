"""What a pass over token trees costs, predicted before it runs, and the saving that arithmetic allows.

One forward pass, in multiply–add FLOPs: 2·B per token in the body of B weights, 2·H per place where the head of H
weights is read, and 4·L·a per pair of places that attention scores, for L layers of width a. A backward pass
multiplies every term by about the same factor, so ratios carry over to training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from mrtlab.lm.layout import branch_size, fill_rows, path_size, row_length
from mrtlab.lm.support import text_config
from mrtlab.lm.traits import Traits, shape_of, traits_of
from mrtlab.lm.tree import TokenTree

# Time per pair relative to a fused kernel's, which also computes the pairs that its mask forbids. Matrix products, a
# softmax and gathers written out were measured to take as long: `python -m benchmarks.cpu_lm --calibrate`.
UNFUSED = 1.0


@dataclass(frozen=True)
class Cost:
    """What one form would do with a batch of trees.

    Attributes:
        form: its name.
        tokens: places that go through the body, padding included.
        pairs: pairs of places that attention scores, masked ones included where the form computes them.
        flops: predicted FLOPs of one forward pass; unfused pairs count `UNFUSED` times.
    """

    form: str
    tokens: int
    pairs: int
    flops: float


def costs(model: nn.Module, trees: Sequence[TokenTree], *, traits: Traits | None = None) -> list[Cost]:
    """The forms that can serve this model as it stands, cheapest first.

    Args:
        traits: of the model, where they are known already.

    Raises:
        ValueError: the model cannot run trees.
    """
    traits = traits or traits_of(model)
    reads = _reads(trees)
    found = []

    def add(form: str, tokens: int, pairs: int, unfused: int = 0) -> None:
        flops = traits.shape.flops(tokens=tokens, reads=reads, pairs=pairs + UNFUSED * unfused)
        found.append(Cost(form, tokens, pairs + unfused, flops))

    length = row_length(trees)
    n_rows = len(fill_rows(trees, length=length))
    sparse = text_config(model)._attn_implementation == "flex_attention"
    add("row", n_rows * length, _exact_pairs(trees) if sparse else n_rows * length**2)
    if traits.no_paths is None:
        size = path_size(trees)
        add(
            "paths",
            len(trees) * (size.prompt + size.nodes),
            len(trees) * size.prompt**2 // 2,
            len(trees) * size.nodes * size.prompt + size.chains * size.own * size.longest,
        )
    if not traits.checkpointing:
        size = branch_size(trees)
        prompts, answers = len(trees) * size.prompt, size.rows * size.steps
        add("branches", prompts + answers, prompts * size.prompt + answers * (size.prompt + size.steps))
    return sorted(found, key=lambda cost: cost.flops)


def bound(model: nn.Module, trees: Sequence[TokenTree], *, every_place: bool = False) -> float:
    """How many times cheaper the trees can be than one pass per answer, by FLOPs: the ratio nobody can beat.

    Args:
        every_place: the other side's head reads every place, as trainers do that keep all logits.
    """
    shape = shape_of(model)
    apart = [(len(tree.prompt) + len(path) - 1, len(path)) for tree in trees for path in tree.paths()]
    tokens = sum(n for n, _ in apart)
    alone = shape.flops(
        tokens=tokens,
        reads=tokens if every_place else sum(r for _, r in apart),
        pairs=sum(n * (n + 1) // 2 for n, _ in apart),
    )
    shared = shape.flops(tokens=sum(tree.n_fed for tree in trees), reads=_reads(trees), pairs=_exact_pairs(trees))
    return alone / shared


def _reads(trees: Sequence[TokenTree]) -> int:
    """Different places whose logits are needed: the prompt's end and every fed token."""
    return sum(1 + int(tree.fed.sum()) for tree in trees)


def _exact_pairs(trees: Sequence[TokenTree]) -> int:
    """Pairs that a tree really needs: every fed token with the prompt, its ancestors and itself."""
    prompts = np.array([len(tree.prompt) for tree in trees])
    own = sum(int((len(tree.prompt) + tree.depth[tree.fed]).sum()) for tree in trees)
    return int((prompts * (prompts + 1) // 2).sum()) + own
