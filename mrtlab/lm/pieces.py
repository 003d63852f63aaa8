"""Cutting a batch of trees into pieces that fit: whole trees together, a large one by its answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mrtlab.lm.layout import branch_size, path_size, row_length
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


def places(trees: Sequence[TokenTree], *, form: str) -> int:
    """Places that trees take up at once in a form of `mrtlab.lm.forms`, padding included.

    >>> ragged = TokenTree.build([1, 1], [[2, 3, 4, 9], [5, 9], [6, 9]])  # a prompt of 2, answers of 3, 1 and 1
    >>> [places([ragged], form=form) for form in ("row", "paths", "branches")]
    [7, 7, 11]
    """
    if form == "row":
        return len(trees) * row_length(trees)
    if form == "paths":
        size = path_size(trees)
        return len(trees) * (size.prompt + size.nodes)
    size = branch_size(trees)
    return len(trees) * size.prompt + size.rows * size.steps


def cut(trees: Sequence[TokenTree], *, max_tokens: int | None, form: str = "row") -> Iterator[list[Part]]:
    """Pieces that take up at most `max_tokens` places in a form, neighbours of similar size together.

    Raises:
        ValueError: a single answer with its prompt is larger than `max_tokens`.

    >>> large = TokenTree.build([1, 1], [[2, 9], [3, 9], [4, 9]])  # feeds 2 + 3 tokens
    >>> [[part.answers.tolist() for part in piece] for piece in cut([large], max_tokens=4)]
    [[[0, 1]], [[2]]]
    """
    parts = [part for i, tree in enumerate(trees) for part in _parts(i, tree, max_tokens, form)]
    if max_tokens is None:
        yield parts
        return
    parts.sort(key=lambda part: -part.tree.n_fed)  # rows of one piece are padded to its largest
    piece: list[Part] = []
    for part in parts:
        if piece and places([other.tree for other in (*piece, part)], form=form) > max_tokens:
            yield piece
            piece = []
        piece.append(part)
    yield piece


def _parts(index: int, tree: TokenTree, max_tokens: int | None, form: str) -> list[Part]:
    whole = Part(index, tree, np.arange(tree.n_answers), np.arange(tree.n_edges))
    if max_tokens is None or places([tree], form=form) <= max_tokens:
        return [whole]
    p, paths = len(tree.prompt), list(tree.paths())
    last = np.array([path[-1] for path in paths])  # one number per different answer, in depth-first order
    groups: list[list[int]] = []
    held: set[int] = set()  # answer tokens of the last group
    steps = 0  # of its longest answer
    for edge in np.unique(last):
        path = tree.path[tree.offset[i := int(np.argmax(last == edge))] : tree.offset[i + 1]]
        needs = set(path[:-1].tolist())
        if p + len(needs) > max_tokens:
            raise ValueError(
                f"tree {index}: one answer with its prompt feeds {p + len(needs)} tokens, more than "
                f"max_tokens={max_tokens}: raise max_tokens or shorten the prompt"
            )
        rows = len(groups[-1]) + 1 if groups else 1
        grown = rows * max(steps, len(needs)) if form == "branches" else len(held | needs)
        if not groups or p + grown > max_tokens:
            groups.append([])
            held, steps = set(), 0
        groups[-1].append(int(edge))
        held |= needs
        steps = max(steps, len(needs))
    return [_part(index, tree, np.flatnonzero(np.isin(last, group)), paths) for group in groups]


def _part(index: int, tree: TokenTree, answers: Int[np.ndarray, "m"], paths: list[Int[np.ndarray, "_R"]]) -> Part:
    small = tree.take(answers)
    edges = np.zeros(small.n_edges, dtype=np.int64)
    edges[small.path] = np.concatenate([paths[i] for i in answers])
    return Part(index, small, answers, edges)
