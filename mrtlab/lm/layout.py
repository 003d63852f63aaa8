"""Where every token of many trees goes: three layouts, one for each way to run them. NumPy only.

- `RowLayout`: whole trees side by side in rows; who may look at whom is a mask over the row.
- `PathLayout`: one tree a row, prompts first, then the answers' tokens; each answer looks along its own path.
- `BranchLayout`: the prompts alone, then every answer as a row of its own.

Each says for every edge where its log-probability is read: `score_at`, the flat place of the token before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from mrtlab.lm.tree import ROOT, TokenTree

PAD = 0  # any id will do: nobody looks at a padded place and nothing is read there


@dataclass(frozen=True, eq=False)
class RowLayout:
    """Trees packed into rows of one length. All arrays (B, L), one entry per place.

    In depth-first order a token's descendants are one run, so place q may look at place k exactly if
    k ≤ q < end[k], and that one array is the whole mask.
    """

    tokens: Int[np.ndarray, "B L"]
    positions: Int[np.ndarray, "B L"]
    end: Int[np.ndarray, "B L"]
    score_at: Int[np.ndarray, "E"]  # of all trees, one after the other


@dataclass(frozen=True, eq=False)
class PathLayout:
    """One tree a row: the prompt in the first P places, its answers' tokens in the N after them.

    A *chain* is a way from the prompt to a token that nothing follows. Every answer token belongs to the first chain
    that visits it, as one of its *own*. Numbers of answer tokens count through the flat (B, N) block.
    """

    tokens: Int[np.ndarray, "B L"]
    positions: Int[np.ndarray, "B L"]
    prompt_length: Int[np.ndarray, "B"]
    chain: Int[np.ndarray, "C D"]  # the answer tokens along each chain, first tokens first
    own: Int[np.ndarray, "C Q"]  # the chain's own tokens
    own_step: Int[np.ndarray, "C Q"]  # how far along the chain each of them stands, 0 for first tokens
    slot: Int[np.ndarray, "nodes"]  # where in the flat (C, Q) block each answer token is
    score_at: Int[np.ndarray, "E"]


@dataclass(frozen=True, eq=False)
class BranchLayout:
    """Prompts as rows, and every different answer as a row that continues one of them."""

    prompts: Int[np.ndarray, "T P"]
    prompt_length: Int[np.ndarray, "T"]
    answers: Int[np.ndarray, "A R"]  # inputs only: an answer's last token is not among them
    owner: Int[np.ndarray, "A"]  # the prompt that each answer continues
    score_at: Int[np.ndarray, "E"]  # place 0 … T − 1: ends of prompts; then the flat (A, R) block


@dataclass(frozen=True)
class PathSize:
    """How large a `PathLayout` is: P, N, C, Q and D of its arrays."""

    prompt: int
    nodes: int
    chains: int
    own: int
    longest: int


@dataclass(frozen=True)
class BranchSize:
    """How large a `BranchLayout` is: P, A and R of its arrays."""

    prompt: int
    rows: int
    steps: int


def row_length(trees: Sequence[TokenTree]) -> int:
    """The shortest row that holds the largest of the trees."""
    return max(tree.n_fed for tree in trees)


def fill_rows(trees: Sequence[TokenTree], *, length: int) -> list[list[int]]:
    """Which trees share a row: largest first, each into the first row with room (first-fit decreasing).

    Raises:
        ValueError: a tree is longer than a row.

    >>> small, large = TokenTree.build([1], [[2]]), TokenTree.build([1, 1, 1], [[2]])
    >>> fill_rows([small, large, small], length=4)
    [[1, 0], [2]]
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(trees)), key=lambda i: -trees[i].n_fed):
        need = trees[i].n_fed
        if need > length:
            raise ValueError(f"tree {i} feeds {need} tokens, more than a row of {length}")
        row = next((row for row, left in enumerate(room) if left >= need), None)
        if row is None:
            rows.append([])
            room.append(length)
            row = len(rows) - 1
        rows[row].append(i)
        room[row] -= need
    return rows


def row_layout(trees: Sequence[TokenTree]) -> RowLayout:
    """Pack trees into rows, each as long as the largest tree."""
    length = row_length(trees)
    rows = fill_rows(trees, length=length)
    tokens = np.full((len(rows), length), PAD)
    positions = np.zeros((len(rows), length), dtype=np.int64)
    end = np.tile(np.arange(1, length + 1), (len(rows), 1))  # a padded place sees itself: no empty softmax
    score_at: list[Int[np.ndarray, e]] = [np.empty(0, dtype=np.int64)] * len(trees)
    for row, members in enumerate(rows):
        start = 0
        for i in members:
            tree, place = trees[i], slice(start, start + trees[i].n_fed)
            tokens[row, place] = np.concatenate([tree.prompt, tree.token[tree.fed]])
            positions[row, place] = _positions(tree)
            end[row, place] = start + _row_ends(tree)
            score_at[i] = row * length + start + _before(tree)
            start += tree.n_fed
    return RowLayout(tokens, positions, end, np.concatenate(score_at))


def path_layout(trees: Sequence[TokenTree]) -> PathLayout:
    """One tree a row, prompts and answers padded to their largest."""
    n_prompt = max(len(tree.prompt) for tree in trees)
    n_nodes = max(tree.n_fed - len(tree.prompt) for tree in trees)
    tokens = np.full((len(trees), n_prompt + n_nodes), PAD)
    positions = np.zeros_like(tokens)
    score_at, chains, owns, steps = [], [], [], []
    for row, tree in enumerate(trees):
        p, fed = len(tree.prompt), tree.fed
        n = int(fed.sum())
        tokens[row, :p], tokens[row, n_prompt : n_prompt + n] = tree.prompt, tree.token[fed]
        positions[row, :p], positions[row, n_prompt : n_prompt + n] = np.arange(p), p + tree.depth[fed] - 1
        before = _before(tree)
        score_at.append(row * (n_prompt + n_nodes) + np.where(before < p, before, before - p + n_prompt))
        for chain, first_own in _chains(tree.depth[fed]):
            chains.append(row * n_nodes + chain)
            owns.append(row * n_nodes + chain[first_own:])
            steps.append(np.arange(first_own, len(chain)))
    chain, own, own_step = _padded(chains), _padded(owns), _padded(steps)
    slot = np.zeros(len(trees) * n_nodes, dtype=np.int64)
    for c, nodes in enumerate(owns):
        slot[nodes] = c * own.shape[1] + np.arange(len(nodes))
    lengths = np.array([len(tree.prompt) for tree in trees])
    return PathLayout(tokens, positions, lengths, chain, own, own_step, slot, np.concatenate(score_at))


def path_size(trees: Sequence[TokenTree]) -> PathSize:
    """The sizes of `path_layout(trees)`, without laying anything out.

    >>> path_size([TokenTree.build([7, 7], [[1, 2, 9], [1, 3, 9], [4, 9]])])  # chains 1 2, 1 3 and 4
    PathSize(prompt=2, nodes=4, chains=3, own=2, longest=2)
    """
    depths = [tree.depth[tree.fed] for tree in trees]
    # A chain ends where the next token is not deeper, and what lies between two ends is the later chain's own.
    own = [np.diff(np.flatnonzero(np.diff(depth, append=0) <= 0), prepend=-1) for depth in depths]
    return PathSize(
        prompt=max(len(tree.prompt) for tree in trees),
        nodes=max(len(depth) for depth in depths),
        chains=sum(len(lengths) for lengths in own),
        own=max(int(lengths.max(initial=0)) for lengths in own),
        longest=max(int(depth.max(initial=0)) for depth in depths),
    )


def branch_size(trees: Sequence[TokenTree]) -> BranchSize:
    """The sizes of `branch_layout(trees)`, without laying anything out.

    >>> branch_size([TokenTree.build([7, 7], [[1, 2, 9], [4, 9], [4, 9]])])  # rows 1 2 and 4
    BranchSize(prompt=2, rows=2, steps=2)
    """
    return BranchSize(
        prompt=max(len(tree.prompt) for tree in trees),
        rows=sum(len(set(tree.path[tree.offset[1:] - 1].tolist())) for tree in trees),
        steps=max(int(tree.depth.max()) for tree in trees) - 1,
    )


def branch_layout(trees: Sequence[TokenTree]) -> BranchLayout:
    """Prompts padded to the longest, and every different answer as a row of its own inputs."""
    score_at, rows, owner = [], [], []
    for t, tree in enumerate(trees):
        where = np.full((tree.n_edges, 2), -1)  # for each fed edge: its first (row, step)
        for path in dict.fromkeys(tuple(path.tolist()) for path in tree.paths()):
            inputs = np.array(path[:-1], dtype=np.int64)
            new = inputs[where[inputs, 0] < 0]
            where[new, 0], where[new, 1] = len(rows), tree.depth[new] - 1
            rows.append(tree.token[inputs])
            owner.append(t)
        score_at.append((tree.parent, where, t))
    answers = _padded(rows)
    flat = [
        np.where(parent == ROOT, t, len(trees) + where[parent, 0] * answers.shape[1] + where[parent, 1])
        for parent, where, t in score_at
    ]
    lengths = np.array([len(tree.prompt) for tree in trees])
    return BranchLayout(
        _padded([tree.prompt for tree in trees]), lengths, answers, np.array(owner), np.concatenate(flat)
    )


def sees(layout: RowLayout, *, window: int | None = None) -> Bool[np.ndarray, "B L L"]:
    """The tree mask as a table: may the token at place q look at place k?

    k ≤ q < end[k], and with a sliding window also position[q] − position[k] < window: by position, since places in a
    packed row say nothing about distance.

    >>> tree = TokenTree.build([7], [[1, 9], [2, 9]])  # fed: the prompt token, 1 and 2
    >>> sees(row_layout([tree]))[0].astype(int).tolist()  # 1 and 2 see the prompt, not each other
    [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    """
    place = np.arange(layout.end.shape[1])
    allowed = (place[None, None, :] <= place[None, :, None]) & (place[None, :, None] < layout.end[:, None, :])
    if window is not None:
        allowed &= layout.positions[:, :, None] - layout.positions[:, None, :] < window
    return allowed


def _positions(tree: TokenTree) -> Int[np.ndarray, "n"]:
    """Every branch restarts where the prompt stops."""
    p = len(tree.prompt)
    return np.concatenate([np.arange(p), p + tree.depth[tree.fed] - 1])


def _row_ends(tree: TokenTree) -> Int[np.ndarray, "n"]:
    """For each fed token, one past the last fed token that may look at it."""
    p = len(tree.prompt)
    fed_before = np.concatenate([[0], np.cumsum(tree.fed)])
    return np.concatenate([np.full(p, tree.n_fed), p + fed_before[tree.end[tree.fed]]])


def _before(tree: TokenTree) -> Int[np.ndarray, "E"]:
    """For each edge, the place among the fed tokens of the token that it follows."""
    p = len(tree.prompt)
    place = p - 1 + np.cumsum(tree.fed)
    return np.where(tree.parent == ROOT, p - 1, place[tree.parent])


def _chains(depth: Int[np.ndarray, "n"]) -> list[tuple[Int[np.ndarray, "d"], int]]:
    """The chains of a tree of fed tokens in depth-first order, each with the step at which its own tokens begin."""
    found: list[tuple[np.ndarray, int]] = []
    path: list[int] = []
    first_own = 0
    for node, level in enumerate(depth.tolist()):
        if level <= len(path):
            found.append((np.array(path), first_own))
            del path[level - 1 :]
            first_own = level - 1
        path.append(node)
    if path:
        found.append((np.array(path), first_own))
    return found


def _padded(rows: Sequence[Int[np.ndarray, "_n"]]) -> Int[np.ndarray, "rows width"]:
    """Ragged rows as one table, filled up with `PAD` on the right."""
    table = np.full((len(rows), max((len(row) for row in rows), default=0)), PAD)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table
