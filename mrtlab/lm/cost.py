"""What a pass over token trees costs, predicted before it runs, and the saving that arithmetic allows.

One forward pass, in multiply–add FLOPs: 2·B per token in the body of B weights, 2·H per place where the head of H
weights is read, and 4·L·a per pair of places that attention scores, for L layers of width a. A backward pass
multiplies every term by about the same factor, so ratios carry over to training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from mrtlab.lm.layout import branch_layout, fill_rows, path_layout, row_length
from mrtlab.lm.support import checkpointing, inner, text_config, why_not_paths
from mrtlab.lm.tree import TokenTree

# Time per pair relative to a fused kernel's, which also computes the pairs that its mask forbids. Matrix products, a
# softmax and gathers written out were measured to take as long: `python -m benchmarks.cpu_lm --calibrate`.
UNFUSED = 1.0


@dataclass(frozen=True)
class Shape:
    """The numbers of a model that cost depends on.

    Attributes:
        body: B, weights that every token is multiplied by.
        head: H, weights of the head.
        layers: L.
        width: a, number of query heads times their size.
    """

    body: int
    head: int
    layers: int
    width: int

    def flops(self, *, tokens: float, reads: float, pairs: float) -> float:
        """FLOPs of one forward pass.

        >>> Shape(body=10, head=5, layers=1, width=1).flops(tokens=2, reads=1, pairs=3)
        62
        """
        return 2 * self.body * tokens + 2 * self.head * reads + 4 * self.layers * self.width * pairs


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


def shape_of(model: nn.Module) -> Shape:
    """Count a model's weights."""
    config = text_config(model)
    embeddings = {id(inner(model).get_input_embeddings().weight), id(inner(model).get_output_embeddings().weight)}
    heads = config.num_attention_heads
    return Shape(
        body=sum(p.numel() for p in model.parameters() if id(p) not in embeddings and p.ndim > 1),
        head=inner(model).get_output_embeddings().weight.numel(),
        layers=config.num_hidden_layers,
        width=heads * (getattr(config, "head_dim", None) or config.hidden_size // heads),
    )


def costs(model: nn.Module, trees: Sequence[TokenTree]) -> list[Cost]:
    """The forms that can serve this model as it stands, cheapest first."""
    shape = shape_of(model)
    reads = _reads(trees)
    found = []

    def add(form: str, tokens: int, pairs: int, unfused: int = 0) -> None:
        flops = shape.flops(tokens=tokens, reads=reads, pairs=pairs + UNFUSED * unfused)
        found.append(Cost(form, tokens, pairs + unfused, flops))

    length = row_length(trees)
    n_rows = len(fill_rows(trees, length=length))
    sparse = text_config(model)._attn_implementation == "flex_attention"
    add("row", n_rows * length, _exact_pairs(trees) if sparse else n_rows * length**2)
    if why_not_paths(model) is None:
        paths = path_layout(trees)
        n_prompt = int(paths.prompt_length.max())
        nodes = paths.tokens.shape[1] - n_prompt
        add(
            "paths",
            paths.tokens.size,
            len(trees) * n_prompt**2 // 2,
            len(trees) * nodes * n_prompt + paths.own.size * paths.chain.shape[1],
        )
    if not checkpointing(model):
        branch = branch_layout(trees)
        rows, steps = branch.answers.shape
        width = branch.prompts.shape[1]
        add(
            "branches", branch.prompts.size + rows * steps, branch.prompts.size * width + rows * steps * (width + steps)
        )
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
