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

    Groups are shuffled, a window of steps is sorted by cost, and its steps are shuffled again: neighbours in a batch
    are alike in size, so little is padded, and the `team` batches of a step cost about the same. Steps are made first
    and then cut, so a step holds the same groups into however many batches it is cut.

    Args:
        groups: what to batch.
        size: groups in a batch.
        seed: of the order.
        team: batches that make up one step, side by side or one after the other.
    """

    WINDOW = 32  # steps that are sorted together; more means less padding and less chance

    def __init__(self, groups: GroupSet, *, size: int, seed: int, team: int = 1) -> None:
        if size < 1:
            raise ValueError(f"a batch holds at least one prompt, got {size}")
        self.groups, self.batch_size, self.seed, self.team = groups, size, seed, team
        self.drop_last = False
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order, and the responses, of an epoch."""
        self.epoch = epoch
        self.groups.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-len(self.groups) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.groups))
        whole = self.batch_size * self.team
        span = self.WINDOW * whole
        for start in range(0, len(order), span):
            window = sorted(order[start : start + span].tolist(), key=self.groups.cost)
            steps = [window[i : i + whole] for i in range(0, len(window), whole)]
            last = [steps.pop()] if len(steps) > 1 and len(steps[-1]) < whole else []
            for step in [*(steps[i] for i in rng.permutation(len(steps))), *last]:
                for i in range(0, len(step), self.batch_size):
                    yield step[i : i + self.batch_size]


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
