"""The token tree: one prompt is the trunk, each answer a path to a leaf, shared beginnings stand once.

No torch here: a tree is a handful of integer arrays that can be drawn, counted and tested on their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

ROOT = -1  # the parent of an answer's first token: the last token of the prompt


@dataclass(frozen=True, eq=False)
class TokenTree:
    """A prompt and its answers as a tree of tokens.

    An *edge* is one token of at least one answer: the step from what was said so far to the next token. It has one
    log-probability, log p(token | prompt, tokens before it), and an answer's is the sum along its path. Edges stand in
    depth-first order, so whatever follows an edge is one unbroken run: `end[e]` is where it stops.

    A token must be fed to the model only if something follows it. The last token of an answer is therefore an edge
    but, unless a longer answer goes on from it, no input: `fed` tells.

    Attributes:
        prompt: (P,) token ids, at least one.
        token: (E,) the token of every edge.
        parent: (E,) the edge before it, `ROOT` for first tokens.
        depth: (E,) 1 for first tokens.
        end: (E,) one past the last edge that follows it.
        path: (ΣR,) the edges of every input answer, one answer after the other, duplicates included.
        offset: (M + 1,) answer i owns path[offset[i]:offset[i + 1]].
    """

    prompt: Int[np.ndarray, "P"]
    token: Int[np.ndarray, "E"]
    parent: Int[np.ndarray, "E"]
    depth: Int[np.ndarray, "E"]
    end: Int[np.ndarray, "E"]
    path: Int[np.ndarray, "steps"]
    offset: Int[np.ndarray, "bounds"]

    @classmethod
    def build(cls, prompt_ids: Any, answers: Sequence[Any]) -> "TokenTree":
        """The tree of a prompt and its answers, given as sequences of token ids.

        Args:
            prompt_ids: (P,) at least one token; a beginning-of-text token will do.
            answers: M sequences of at least one token each, in any order. Duplicates and shared beginnings are
                merged inside and keep their place outside: what is returned per answer has M entries.

        Raises:
            ValueError: no prompt token, no answer, an empty answer, or something that is not a token id.

        >>> tree = TokenTree.build([5, 6], [[1, 2, 9], [1, 3, 9], [1, 2, 9]])
        >>> tree.token.tolist()  # 1, then 2 and 3 after it, each with its end token 9
        [1, 2, 9, 3, 9]
        >>> [path.tolist() for path in tree.paths()]
        [[0, 1, 2], [0, 3, 4], [0, 1, 2]]
        >>> tree.n_fed, tree.n_fed_apart  # tokens that go through the model: as a tree, and answer by answer
        (5, 12)
        """
        prompt = _ids(prompt_ids, "prompt_ids")
        if not len(answers):
            raise ValueError("answers is empty: expected at least one sequence of token ids")
        strings = [tuple(_ids(answer, f"answers[{i}]").tolist()) for i, answer in enumerate(answers)]
        token, parent, depth = [], [], []
        path_of: dict[tuple[int, ...], list[int]] = {}
        before: tuple[int, ...] = ()
        # In sorted order every answer shares its beginning with its neighbour: one comparison finds the fork.
        for string in sorted(set(strings)):
            shared = _common_length(before, string)
            path = path_of.get(before, [])[:shared]
            for step in range(shared, len(string)):
                parent.append(path[-1] if path else ROOT)
                token.append(string[step])
                depth.append(step + 1)
                path.append(len(token) - 1)
            path_of[string] = path
            before = string
        return cls(
            prompt=prompt,
            token=np.array(token),
            parent=np.array(parent),
            depth=np.array(depth),
            end=_ends(np.array(depth)),
            path=np.concatenate([path_of[string] for string in strings]),
            offset=np.cumsum([0, *(len(string) for string in strings)]),
        )

    def __repr__(self) -> str:
        return (
            f"TokenTree({len(self.prompt)} prompt tokens, {self.n_answers} answers, {self.n_edges} edges; "
            f"feeds {self.n_fed} tokens instead of {self.n_fed_apart})"
        )

    @property
    def n_answers(self) -> int:
        """M, the number of input answers, duplicates included."""
        return len(self.offset) - 1

    @property
    def n_edges(self) -> int:
        """E, the number of different answer beginnings: one log-probability each."""
        return len(self.token)

    @cached_property
    def fed(self) -> Bool[np.ndarray, "E"]:
        """(E,) which edges' tokens are inputs: those that something follows."""
        return self.end > np.arange(self.n_edges) + 1

    @cached_property
    def n_fed(self) -> int:
        """Tokens that go through the model in one pass over the tree."""
        return len(self.prompt) + int(self.fed.sum())

    @cached_property
    def n_fed_apart(self) -> int:
        """Tokens that go through the model when every answer brings its own copy of the prompt."""
        return self.n_answers * (len(self.prompt) - 1) + len(self.path)

    @cached_property
    def longest(self) -> int:
        """Positions that the longest answer needs, prompt included; its last token is never fed."""
        return len(self.prompt) + int(self.depth.max()) - 1

    def paths(self) -> Iterator[Int[np.ndarray, "R"]]:
        """The edges of every input answer, in the order in which the answers came."""
        for start, stop in zip(self.offset[:-1], self.offset[1:], strict=True):
            yield self.path[start:stop]

    def answers(self) -> list[list[int]]:
        """The answers as token ids, as they came."""
        return [self.token[path].tolist() for path in self.paths()]

    def take(self, answers: Sequence[int] | Int[np.ndarray, "m"]) -> "TokenTree":
        """The tree of some of the answers, by their numbers.

        >>> TokenTree.build([5], [[1, 2], [3]]).take([1]).answers()
        [[3]]
        """
        every = self.answers()
        return TokenTree.build(self.prompt, [every[i] for i in answers])


def _ids(values: Any, name: str) -> Int[np.ndarray, "n"]:
    found = np.asarray(values.tolist() if hasattr(values, "tolist") else values)
    if found.ndim != 1 or not found.size:
        raise ValueError(f"{name} must be a sequence of at least one token id, got {values!r}")
    if found.dtype.kind not in "iu" or found.min() < 0:
        raise ValueError(f"{name} must hold token ids, whole numbers from 0 on, got {values!r}")
    return found.astype(np.int64)


def _common_length(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def _ends(depth: Int[np.ndarray, "E"]) -> Int[np.ndarray, "E"]:
    """In depth-first order an edge's run stops at the next edge that is not deeper.

    >>> _ends(np.array([1, 2, 3, 2, 1])).tolist()
    [4, 3, 3, 4, 5]
    """
    end = np.full(len(depth), len(depth))
    still_open: list[int] = []
    for edge, level in enumerate(depth):
        while still_open and depth[still_open[-1]] >= level:
            end[still_open.pop()] = edge
        still_open.append(edge)
    return end
