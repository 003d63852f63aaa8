"""Which adapter learns from which example: parts by chance, by place, and by scores against queries.

A partition by scores is a composition: scores of `mrtlab.spa.influence` or of `bm25_plus`, then `standardised` or
`centred` columns or neither, then `arg_max` or `arg_max_within`. Parts by likeness alone are in
`mrtlab.spa.clusters`. Choose scores whose larger values mean more helpful: then a part belongs to a query.
"""

import heapq
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

Scores = Float[np.ndarray, "n k"]


@dataclass(frozen=True, eq=False)
class Partition:
    """Every example in one of k parts.

    Attributes:
        part: (n,) the part of every example, 0 to k − 1.
        k: how many parts there are; some may be empty.
        how: what made it, for tables and records.

    Raises:
        ValueError: k is below 1, there is no example, or a part is outside its range.

    >>> partition = Partition(np.array([0, 1, 0, 0]), 2, "by hand")
    >>> partition.sizes.tolist(), partition.balance, [members.tolist() for members in partition.members()]
    ([3, 1], 3.0, [[0, 2, 3], [1]])
    """

    part: Int[np.ndarray, "n"]
    k: int
    how: str

    def __post_init__(self) -> None:
        if self.k < 1 or not len(self.part):
            raise ValueError(f"expected at least one part and one example, got {self.k} and {len(self.part)}")
        if self.part.min() < 0 or self.part.max() >= self.k:
            raise ValueError(f"parts must lie between 0 and {self.k - 1}, got {self.part.min()} to {self.part.max()}")

    @property
    def sizes(self) -> Int[np.ndarray, "k"]:
        """(k,) examples in each part."""
        return np.bincount(self.part, minlength=self.k)

    @property
    def balance(self) -> float:
        """The largest part's size over the smallest's: 1 if all are equal, infinite if one is empty (SPA-08)."""
        sizes = self.sizes
        return float(sizes.max() / sizes.min()) if sizes.min() else float("inf")

    def members(self) -> list[Int[np.ndarray, "_m"]]:
        """For each part the places of its examples, in order."""
        return [np.flatnonzero(self.part == part) for part in range(self.k)]


def random_parts(n: int, k: int, *, rng: np.random.Generator) -> Partition:
    """Parts by chance, of sizes that differ by one at most.

    Raises:
        ValueError: k is below 1, or there are fewer examples than parts.

    Source: SPA's random partition (section 5.1).

    >>> sorted(random_parts(5, 2, rng=np.random.default_rng(0)).sizes.tolist())
    [2, 3]
    """
    check_k(n, k)
    return Partition(rng.permutation(np.arange(n) % k), k, "random")


def consecutive_parts(n: int, k: int) -> Partition:
    """Neighbours in the file together: slices of sizes that differ by one at most.

    Raises:
        ValueError: as `random_parts`.

    Source: the slices train[a%:b%] of the first author's training script (SPA sheet, section 1).

    >>> consecutive_parts(5, 2).part.tolist()
    [0, 0, 0, 1, 1]
    """
    check_k(n, k)
    return Partition(np.arange(n) * k // n, k, "consecutive")


def deal(answers: Sequence[Hashable], groups: Int[np.ndarray, "n"], k: int) -> Partition:
    """Different answers to like prompts into different parts: what a prompt's many answers ask for, and no gradient.

    Within a group equal answers stay together. The group's answers, the most frequent first, go one by one to the
    smallest part that holds none of the group yet; once every part holds some, the round begins again.

    Args:
        answers: (n,) of the examples; what is equal is the same answer.
        groups: (n,) which examples have like prompts, such as clusters of embedded prompts.
        k: parts.

    Raises:
        ValueError: k is below 1 or above n, or answers and groups differ in length.

    Source: ours; beside SPA's partitions it asks which of their properties matters (SPA-10).

    >>> deal(["a", "a", "b", "b", "c"], np.array([0, 0, 0, 1, 1]), 2).part.tolist()  # a apart from b, b apart from c
    [0, 0, 1, 1, 0]
    """
    check_k(len(answers), k)
    if len(answers) != len(groups):
        raise ValueError(f"{len(answers)} answers and groups of {len(groups)} examples do not belong together")
    part, sizes = np.zeros(len(answers), dtype=int), np.zeros(k, dtype=int)
    for group in np.unique(groups):
        same: dict[Hashable, list[int]] = {}
        for i in np.flatnonzero(groups == group).tolist():
            same.setdefault(answers[i], []).append(i)
        free = set(range(k))
        for members in sorted(same.values(), key=len, reverse=True):
            free = free or set(range(k))
            home = min(free, key=lambda j: (sizes[j], j))
            free.remove(home)
            part[members] = home
            sizes[home] += len(members)
    return Partition(part, k, "dealt")


def centred(scores: Scores) -> Scores:
    """Columns less their means.

    >>> centred(np.array([[1.0, 10.0], [3.0, 10.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    return scores - scores.mean(axis=0)


def standardised(scores: Scores) -> Scores:
    """Columns less their means and divided by their standard deviations; a column without spread becomes zero.

    Without it the query with the widest column takes both the best and, from the others, nearly everything: SPA
    normalises before the arg max (App. A) without saying how, and this is our reading of it (SPA-08).

    >>> standardised(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    spread = scores.std(axis=0)
    return centred(scores) / np.where(spread > 0, spread, 1.0)


def arg_max(scores: Scores, *, how: str = "arg max") -> Partition:
    """Each example to the query it helps most; of equals to the first.

    Args:
        scores: (n, k), larger is more helpful.
        how: what the scores are, for records.

    Raises:
        ValueError: a score is no number.

    Source: SPA, section 5.1, with the sign that its text means (see `mrtlab.spa.influence`).

    >>> arg_max(np.array([[1.0, 2.0], [3.0, -1.0]])).part.tolist()
    [1, 0]
    """
    _check_scores(scores)
    return Partition(scores.argmax(axis=1), scores.shape[1], how)


def arg_max_within(
    scores: Scores, *, capacity: int | None = None, how: str = "arg max within equal sizes"
) -> Partition:
    """The assignment of the largest total score in which no part holds more than its capacity.

        maximise Σ_i S[i, part(i)]   subject to   |{i : part(i) = k}| ≤ capacity

    Exact: examples start at their arg max, and what is too much moves on along the cheapest chain of moves from a full
    part to one with room (a minimum-cost flow by successive shortest paths). Standardise the columns first, or the
    widest one decides.

    Args:
        scores: (n, k), larger is more helpful.
        capacity: of each part; by default ⌈n/k⌉, as equal as it gets.
        how: for records.

    Raises:
        ValueError: a score is no number, or k·capacity is less than n.

    Source: the SPA sheet, section 9, step 4; claim SPA-08.

    >>> scores = np.array([[5.0, 0.0], [4.0, 3.0], [9.0, 1.0], [6.0, 2.0]])
    >>> arg_max_within(scores).part.tolist()  # all want the first part; these two lose least
    [0, 1, 0, 1]
    """
    _check_scores(scores)
    n, k = scores.shape
    capacity = -(-n // k) if capacity is None else capacity
    if k * capacity < n:
        raise ValueError(f"{k} parts of at most {capacity} cannot hold {n} examples: raise the capacity")
    part = scores.argmax(axis=1)
    sizes = np.bincount(part, minlength=k)
    moves = _Moves(scores, part)
    while sizes.max() > capacity:
        chain = _cheapest_chain(moves.losses(), sizes > capacity, sizes < capacity)
        steps = [(a, b, moves.best(a, b)) for a, b in pairwise(chain)]
        for a, b, i in steps:  # all chosen before the first one moves: an example moves once
            moves.move(i, a, b)
        sizes[chain[0]] -= 1
        sizes[chain[-1]] += 1
    return Partition(part, k, how)


def bm25_plus(texts: Sequence[str], queries: Sequence[str]) -> Scores:
    """Lexical likeness of each text to each query, columns centred.

    Σ_{t ∈ q} log((N + 1)/N_t)·((k₁ + 1)·f / (k₁·(1 − b + b·L/L_avg) + f) + 1) with k₁ = 1.5 and b = 0.75: BM25+ as the
    rank_bm25 package has it. The last + 1 counts for words that a text has not, so it lifts a query's whole column,
    most for the longest query; that is why the columns are centred. Words are split at white space, letter case
    does not count.

    Args:
        texts: (n,) training examples, prompt and response.
        queries: (k,) texts.

    Returns:
        (n, k), larger is more alike.

    Raises:
        ValueError: there is no text, or none has a word.

    Source: SPA Eq. 5 and App. A.

    >>> scores = bm25_plus(["red plum", "green fig", "red fig"], ["plum", "fig tree"])
    >>> scores.argmax(axis=0).tolist(), bool(np.allclose(scores.sum(axis=0), 0))
    ([0, 1], True)
    """
    from rank_bm25 import BM25Plus

    words = [text.lower().split() for text in texts]
    if not any(words):
        raise ValueError("no text has a word: give at least one")
    index = BM25Plus(words)
    return centred(np.stack([index.get_scores(query.lower().split()) for query in queries], axis=1))


def agreement(first: Partition, second: Partition) -> float:
    """The share of examples in the same part, after the renaming of parts that makes it largest.

    Raises:
        ValueError: the partitions are of different numbers of examples.

    >>> agreement(Partition(np.array([0, 0, 1, 1]), 2, ""), Partition(np.array([1, 1, 0, 1]), 2, ""))
    0.75
    """
    if len(first.part) != len(second.part):
        raise ValueError(f"partitions of {len(first.part)} and {len(second.part)} examples cannot be compared")
    table = np.zeros((first.k, second.k), dtype=int)
    np.add.at(table, (first.part, second.part), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(first.part))


def stability(
    make: Callable[[Int[np.ndarray, "_m"]], Partition],
    n: int,
    *,
    rng: np.random.Generator,
    share: float = 0.8,
    draws: int = 20,
) -> Float[np.ndarray, "draws"]:
    """How much of a partition survives when some examples are left out.

    Args:
        make: from the places of m examples to a partition of those m.
        n: how many examples there are.
        rng: which are kept.
        share: of the examples that a draw keeps.
        draws: how often.

    Returns:
        (draws,) the agreement of the partition of some with that of all, on those some.

    Raises:
        ValueError: the share is not above 0 and at most 1, or draws is below 1.

    >>> made = stability(lambda kept: Partition(kept % 2, 2, ""), 10, rng=np.random.default_rng(0), draws=3)
    >>> made.tolist()  # a part that depends on the example alone
    [1.0, 1.0, 1.0]
    """
    if not 0 < share <= 1 or draws < 1:
        raise ValueError(f"share must be above 0 and at most 1, draws 1 or more; got {share} and {draws}")
    whole = make(np.arange(n))
    found = []
    for _ in range(draws):
        kept = np.sort(rng.permutation(n)[: max(1, round(share * n))])
        found.append(agreement(Partition(whole.part[kept], whole.k, whole.how), make(kept)))
    return np.array(found)


def check_k(n: int, k: int) -> None:
    """See that n examples can be k parts.

    Raises:
        ValueError: k is below 1 or above n.

    >>> check_k(8, 2)
    """
    if not 1 <= k <= n:
        raise ValueError(f"k must lie between 1 and the number of examples, {n}, got {k}")


class _Moves:
    """What the cheapest move from each part to each other loses, kept up while examples move.

    A heap for each pair of parts. An entry of an example that has moved on stays until it comes up, and is dropped
    then.
    """

    def __init__(self, scores: Scores, part: Int[np.ndarray, "n"]) -> None:
        self._scores, self._part = scores, part
        k = scores.shape[1]
        self._heaps: list[list[list[tuple[float, int]]]] = [[[] for _ in range(k)] for _ in range(k)]
        for a in range(k):
            members = np.flatnonzero(part == a)
            for b in range(k):
                if b != a:
                    lost = scores[members, a] - scores[members, b]
                    self._heaps[a][b] = list(zip(lost.tolist(), members.tolist(), strict=True))
                    heapq.heapify(self._heaps[a][b])

    def losses(self) -> Float[np.ndarray, "k k"]:
        """The loss of the cheapest move; infinite where there is none."""
        k = len(self._heaps)
        found = np.full((k, k), np.inf)
        for a in range(k):
            for b in range(k):
                heap = self._heaps[a][b]
                while heap and self._part[heap[0][1]] != a:
                    heapq.heappop(heap)
                if heap:
                    found[a, b] = heap[0][0]
        return found

    def best(self, a: int, b: int) -> int:
        """The example of the cheapest move, right after `losses`."""
        return self._heaps[a][b][0][1]

    def move(self, i: int, a: int, b: int) -> None:
        """Take an example from part a to part b."""
        self._part[i] = b
        for c, heap in enumerate(self._heaps[b]):
            if c != b:
                heapq.heappush(heap, (float(self._scores[i, b] - self._scores[i, c]), i))


def _cheapest_chain(losses: Float[np.ndarray, "k k"], full: np.ndarray, roomy: np.ndarray) -> list[int]:
    """The parts on the cheapest way from one that is too full to one with room (Bellman–Ford)."""
    k = len(losses)
    cost, before = np.where(full, 0.0, np.inf), np.full(k, -1)
    for _ in range(k - 1):
        through = cost[:, None] + losses
        best = through.argmin(axis=0)
        better = through[best, np.arange(k)] < cost - 1e-12  # round-off makes no way shorter
        cost = np.where(better, through[best, np.arange(k)], cost)
        before = np.where(better, best, before)
    chain = [int(np.where(roomy, cost, np.inf).argmin())]
    while before[chain[0]] >= 0:
        chain.insert(0, int(before[chain[0]]))
    return chain


def _check_scores(scores: Scores) -> None:
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError("scores must be finite numbers, with at least one example and one query")
