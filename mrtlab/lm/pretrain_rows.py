"""Batches of pre-training: documents side by side in rows, made ahead by a thread or by processes."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from mrtlab.data.tasks.corpus import Corpus

IGNORED = -100  # transformers' label for places without a loss
_AHEAD = 4  # batches that each process has ready

Arrays = dict[str, Int[np.ndarray, "rows length"]]


@runtime_checkable
class Rows(Protocol):
    """What decides the shape of a batch: a `Recipe`."""

    rows: int
    length: int


def rows(recipe: Rows, tokenizer: Any, corpus: Corpus, step: int) -> Arrays:
    """The batch of a step: documents side by side, positions restarting at each, a loss on answers only.

    transformers keeps documents apart by the restarts where no mask is given. Step s reads the documents from
    s·rows·length on, more than it can use; so each step is known without the ones before it.
    """
    stream = _encoded(tokenizer, corpus.documents(start=step * recipe.rows * recipe.length))
    shape = (recipe.rows, recipe.length)
    ids = np.full(shape, tokenizer.pad_token_id)
    labels, positions = np.full(shape, IGNORED), np.zeros(shape, dtype=np.int64)
    document = next(stream)
    for row in range(recipe.rows):
        place = 0
        while place < recipe.length:
            prompt, answer = document
            both = np.array(prompt + answer)[: recipe.length - place]
            end = place + len(both)
            ids[row, place:end] = both
            labels[row, place + len(prompt) : end] = both[len(prompt) :]
            positions[row, place:end] = np.arange(len(both))
            place, document = end, next(stream)
    return {"input_ids": ids, "labels": labels, "position_ids": positions}


@dataclass(frozen=True)
class Steps:
    """The batches of a run by the number of their step, as torch's `DataLoader` asks for them."""

    recipe: Rows
    tokenizer: Any
    corpus: Corpus

    def __getitem__(self, step: int) -> Arrays:
        return rows(self.recipe, self.tokenizer, self.corpus, step)


def batches(steps: Steps, numbers: Sequence[int], *, workers: int) -> Iterator[tuple[int, Arrays]]:
    """(step, its batch) in order; what comes does not depend on the workers.

    Args:
        steps: all batches.
        numbers: which of them.
        workers: processes that make batches while others are used; 0 makes the next one in a thread, which is enough
            where a step takes longer than a batch.
    """
    if workers:
        yield from zip(numbers, _by_processes(steps, numbers, workers), strict=True)
    else:
        yield from _by_thread(steps.__getitem__, numbers)


def _by_processes(steps: Steps, numbers: Sequence[int], workers: int) -> Iterator[Arrays]:
    from torch.utils.data import DataLoader

    return iter(
        DataLoader(
            steps,
            sampler=numbers,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=_AHEAD,
            worker_init_fn=_alone,
            multiprocessing_context="spawn",  # a fork of a process with threads, such as a tokenizer's, may hang
            collate_fn=_as_it_is,
        )
    )


def _as_it_is(arrays: Arrays) -> Arrays:
    return arrays


def _alone(_: int) -> None:
    """One thread for each process; and Ctrl-C, which reaches them all, is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _by_thread(make: Callable[[int], Arrays], numbers: Sequence[int]) -> Iterator[tuple[int, Arrays]]:
    """The next batch is made while the present one is used."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = [pool.submit(make, step) for step in numbers[:1]]
        for i, step in enumerate(numbers):
            arrays = coming.pop().result()
            coming = [pool.submit(make, after) for after in numbers[i + 1 : i + 2]]
            yield step, arrays


def _encoded(tokenizer: Any, documents: Iterator[tuple[str, str]]) -> Iterator[tuple[list[int], list[int]]]:
    """Token ids of documents, a few hundred at a time."""
    while True:
        some = [next(documents) for _ in range(256)]
        prompts = tokenizer([f"<bos><user>{prompt}<bot>" for prompt, _ in some], add_special_tokens=False)["input_ids"]
        answers = tokenizer([f"{answer}<end>" for _, answer in some], add_special_tokens=False)["input_ids"]
        yield from zip(prompts, answers, strict=True)
