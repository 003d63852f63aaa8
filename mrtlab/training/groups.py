"""Records as trees, and batches that keep a prompt's responses together and cost about the same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from mrtlab.data.records import Record
from mrtlab.lm.encode import encode
from mrtlab.lm.tree import TokenTree
from mrtlab.training.choose import Choice, choose_all


@dataclass(frozen=True, eq=False)
class Group:
    """One prompt with the responses that this step learns from.

    Attributes:
        tree: their tokens.
        weights: (K,) weight of each response, 1 unless the record says otherwise.
        lengths: (K,) tokens of each response, its end included.
    """

    tree: TokenTree
    weights: np.ndarray
    lengths: np.ndarray


class GroupSet(Dataset[Group]):
    """Groups that batches are made of, the same ones in every epoch.

    Args:
        groups: the groups.
        seed: of the order in which batches come.
    """

    def __init__(self, groups: Sequence[Group], *, seed: int) -> None:
        self._groups, self.seed = list(groups), seed

    def set_epoch(self, epoch: int) -> None:
        """Nothing changes from one epoch to the next."""

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, i: int) -> Group:
        return self._groups[i]

    def cost(self, i: int) -> int:
        """Tokens that group i feeds: the prompt once and its responses."""
        return self._groups[i].tree.n_fed


class Groups(GroupSet):
    """The records of a training set, tokenised once, K of N chosen again at every epoch if asked for.

    Args:
        records: prompts with responses; their `weights` or `targets` become the responses' weights.
        tokenizer: of the model.
        choice: which K of N.
        redraw: whether a rule with chance in it draws anew at every epoch.
        seed: of the draws.
        max_length: responses that make the string longer than this are left out; a record that loses all is an error.

    Raises:
        ValueError: there is no record, or one has no response that fits.
    """

    def __init__(
        self,
        records: Sequence[Record],
        tokenizer: Any,
        *,
        choice: Choice,
        redraw: bool = True,
        seed: int = 0,
        max_length: int | None = None,
    ) -> None:
        if not records:
            raise ValueError("there are no records to train on: expected at least one prompt with a response")
        self.records = [_fitting(record, tokenizer, max_length) for record in records]
        super().__init__((), seed=seed)
        self.choice, self.redraw = choice, redraw
        self._drawn: int | None = None
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the responses of an epoch. Depends on the seed and the epoch only, so a resumed run sees the same."""
        drawn = epoch if self.redraw and self.choice.draws else 0
        if drawn == self._drawn:  # the same responses, so the same trees
            return
        self._drawn = drawn
        kept = choose_all([record for record, _ in self.records], self.choice, seed=self.seed, epoch=drawn)
        self._groups = [_group(*one, places) for one, places in zip(self.records, kept, strict=True)]


class GroupBatches(Sampler[list[int]]):
    """Batches of whole groups, of similar cost, in an order that depends on the seed and the epoch only.

    Groups are shuffled, a window of steps is sorted by cost, and its steps are shuffled again: neighbours are alike in
    size, so little is padded. Steps are made first and then cut: into parts that run one after the other, neighbours
    together, and each part among processes that run side by side, equal in number and nearly equal in cost (`deal`).
    So a step holds the same groups however many processes there are. Where the last part of an epoch has fewer groups
    than processes, some get an empty batch.

    Args:
        groups: what to batch.
        step: groups in a step.
        seed: of the order.
        parts: batches of a step that a process runs one after the other.
        team: processes.
        rank: number of this one, whose batches are made.

    Raises:
        ValueError: a step has fewer groups than parts.
    """

    WINDOW = 32  # steps that are sorted together; more means less padding and less chance

    def __init__(self, groups: GroupSet, *, step: int, seed: int, parts: int = 1, team: int = 1, rank: int = 0) -> None:
        if not 1 <= parts <= step:
            raise ValueError(f"a step must have a prompt for each of its parts, got {step} prompts in {parts} parts")
        self.groups, self.step, self.seed, self.parts, self.team, self.rank = groups, step, seed, parts, team, rank
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order, and the responses, of an epoch."""
        self.epoch = epoch
        self.groups.set_epoch(epoch)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.groups), self.step)
        return whole * self.parts + self._parts(rest)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps():
            parts = self.parts if len(step) == self.step else self._parts(len(step))
            for i in range(parts):
                part = step[len(step) * i // parts : len(step) * (i + 1) // parts]
                yield deal(part, [self.groups.cost(j) for j in part], self.team)[self.rank]

    def steps(self) -> Iterator[list[int]]:
        """The groups of every step of an epoch, by cost; a last one that is not whole comes last."""
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.groups))
        span = self.WINDOW * self.step
        for start in range(0, len(order), span):
            window = sorted(order[start : start + span].tolist(), key=self.groups.cost)
            steps = [window[i : i + self.step] for i in range(0, len(window), self.step)]
            last = [steps.pop()] if len(steps) > 1 and len(steps[-1]) < self.step else []
            yield from (steps[i] for i in rng.permutation(len(steps)))
            yield from last

    def _parts(self, n: int) -> int:
        """Parts of a last step with n groups: none of them larger than in a whole step."""
        return -(-n // -(-self.step // self.parts))


def deal(groups: Sequence[int], costs: Sequence[int], hands: int) -> list[list[int]]:
    """Split groups among processes: numbers differ by one at most, and sums of cost as little as dealing can make it.

    The largest first, each to the hand with the least so far that may still take one. A step lasts as long as its
    slowest process, so what counts is the largest sum.

    Args:
        groups: numbers of the groups.
        costs: of each, in tokens: P + KR, with shared beginnings counted once.
        hands: processes.

    Returns:
        for each process its groups, in the order given.

    >>> deal([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 9, 11], 2)
    [[0, 2, 5], [1, 3, 4]]
    >>> deal([7], [5], 3)
    [[7], [], []]
    """
    if hands == 1:
        return [list(groups)]
    least, extra = divmod(len(groups), hands)
    held: list[list[int]] = [[] for _ in range(hands)]
    sums = [0] * hands
    for place in sorted(range(len(groups)), key=lambda place: -costs[place]):
        room = least + (sum(len(hand) > least for hand in held) < extra)
        hand = min((h for h in range(hands) if len(held[h]) < room), key=lambda h: sums[h])
        held[hand].append(place)
        sums[hand] += costs[place]
    return [[groups[place] for place in sorted(hand)] for hand in held]


@dataclass(frozen=True, eq=False)
class Batch:
    """Groups that one step learns from."""

    groups: list[Group]


def collator(normalisation: Literal["token", "response", "prompt"]) -> Callable[[list[Group]], dict[str, Any]]:
    """Groups as a batch for the trainer, which divides a step's loss by the number of its labels.

    The labels only count: one for each response token, for each response, or for each prompt. Transformers adds them
    up over micro-batches and processes, so a step's loss does not depend on how it was cut up.
    """

    def collate(groups: list[Group]) -> dict[str, Any]:
        counted = {
            "token": (group.lengths.sum() for group in groups),
            "response": (len(group.lengths) for group in groups),
            "prompt": (1 for _ in groups),
        }[normalisation]
        labels = torch.zeros(int(sum(counted)), dtype=torch.long)
        return {"groups": Batch(groups), "labels": labels, "shift_labels": labels}

    return collate


def _fitting(record: Record, tokenizer: Any, max_length: int | None) -> tuple[Record, Any]:
    encoded = encode(tokenizer, record.prompt, record.responses)
    if max_length is None:
        return record, encoded
    fits = [i for i, ids in enumerate(encoded.answer_ids) if len(encoded.prompt_ids) + len(ids) <= max_length]
    if not fits:
        shortest = len(encoded.prompt_ids) + min(len(ids) for ids in encoded.answer_ids)
        raise ValueError(
            f"no response of the prompt {str(record.prompt)[:40]!r} fits into {max_length} tokens, the shortest needs "
            f"{shortest}: raise max_length, or drop the prompt"
        )
    if len(fits) == len(record.responses):
        return record, encoded
    kept = record.keep(fits)
    return kept, encode(tokenizer, kept.prompt, kept.responses)


def _group(record: Record, encoded: Any, kept: np.ndarray) -> Group:
    answers = [encoded.answer_ids[i] for i in kept]
    given = record.weights or record.targets
    weights = np.ones(len(kept)) if given is None else np.array([given[i] for i in kept])
    return Group(TokenTree.build(encoded.prompt_ids, answers), weights, np.array([len(ids) for ids in answers]))
