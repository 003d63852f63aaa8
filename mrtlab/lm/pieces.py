"""Cutting a batch of trees into pieces that fit: whole trees together, a large one by its answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mrtlab.lm.tree import TokenTree


@dataclass(frozen=True, eq=False)
class Part:
    """A tree of the batch, or some answers of one.

    Attributes:
        index: which tree of the batch.
        tree: the part itself.
        answers: (m,) the answers it holds, as numbers in the whole tree.
        edges: (e,) for each of its edges, the same edge's number in the whole tree.
    """

    index: int
    tree: TokenTree
    answers: Int[np.ndarray, "m"]
    edges: Int[np.ndarray, "e"]


def cut(trees: Sequence[TokenTree], *, max_tokens: int | None) -> Iterator[list[Part]]:
    """Pieces of at most `max_tokens` fed tokens, neighbours of similar size together.

    Raises:
        ValueError: a single answer with its prompt is larger than `max_tokens`.

    >>> large = TokenTree.build([1, 1], [[2, 9], [3, 9], [4, 9]])  # feeds 2 + 3 tokens
    >>> [[part.answers.tolist() for part in piece] for piece in cut([large], max_tokens=4)]
    [[[0, 1]], [[2]]]
    """
    parts = [part for i, tree in enumerate(trees) for part in _parts(i, tree, max_tokens)]
    if max_tokens is None:
        yield parts
        return
    parts.sort(key=lambda part: -part.tree.n_fed)  # rows of one piece are padded to its largest
    piece: list[Part] = []
    for part in parts:
        if piece and (len(piece) + 1) * piece[0].tree.n_fed > max_tokens:
            yield piece
            piece = []
        piece.append(part)
    yield piece


def _parts(index: int, tree: TokenTree, max_tokens: int | None) -> list[Part]:
    whole = Part(index, tree, np.arange(tree.n_answers), np.arange(tree.n_edges))
    if max_tokens is None or tree.n_fed <= max_tokens:
        return [whole]
    p, paths = len(tree.prompt), list(tree.paths())
    last = np.array([path[-1] for path in paths])  # one number per different answer, in depth-first order
    groups: list[list[int]] = []
    held: set[int] = set()
    for edge in np.unique(last):
        path = tree.path[tree.offset[i := int(np.argmax(last == edge))] : tree.offset[i + 1]]
        needs = set(path[:-1].tolist())
        if p + len(needs) > max_tokens:
            raise ValueError(
                f"tree {index}: one answer with its prompt feeds {p + len(needs)} tokens, more than "
                f"max_tokens={max_tokens}: raise max_tokens or shorten the prompt"
            )
        if not groups or p + len(held | needs) > max_tokens:
            groups.append([])
            held = set()
        groups[-1].append(int(edge))
        held |= needs
    return [_part(index, tree, np.flatnonzero(np.isin(last, group)), paths) for group in groups]


def _part(index: int, tree: TokenTree, answers: Int[np.ndarray, "m"], paths: list[Int[np.ndarray, "_R"]]) -> Part:
    small = tree.take(answers)
    edges = np.zeros(small.n_edges, dtype=np.int64)
    edges[small.path] = np.concatenate([paths[i] for i in answers])
    return Part(index, small, answers, edges)
