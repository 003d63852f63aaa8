"""Several processes that train one model together: who speaks, who waits, and how all of them stop at the same step.

`torchrun` and `accelerate launch` start the processes and tell each its number through the environment. What is
agreed on here goes over a group of its own on the CPU: it waits as long as it must, so that nobody is cut off while
one process measures for an hour, and to ask it after every step does not hold up a GPU.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
from torch import distributed

from mrtlab.training.launch import launched, sharded

T = TypeVar("T")
_PATIENCE = timedelta(days=7)  # how long a process waits for the others; a launcher ends all if one fails
_GOODBYE = timedelta(seconds=10)  # how long it waits for them when it leaves


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Attributes:
        rank: number of this one; 0 is the main process, which prints and writes.
        size: how many there are.
        sharded: whether each keeps a part of the weights alone (FSDP), so that every pass needs them all.
        group: of torch.distributed, on the CPU; None for one process.
    """

    rank: int = 0
    size: int = 1
    sharded: bool = False
    group: Any = None

    @property
    def main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def any(self, asked: bool) -> bool:
        """Whether any process says so. All must call it.

        >>> Team().any(True), Team().any(False)
        (True, False)
        """
        if self.size == 1:
            return asked
        said = torch.tensor([int(asked)])
        distributed.all_reduce(said, op=distributed.ReduceOp.MAX, group=self.group)
        return bool(said)

    def agree(self, find: Callable[[], T]) -> T:
        """What the main process finds, for all. The others wait for it; where weights are spread, all must help.

        All must call it. What is found must be something that pickle can send.

        >>> Team().agree(lambda: 3)
        3
        """
        found = [find() if self.main or self.sharded else None]
        if self.size > 1:
            distributed.broadcast_object_list(found, src=0, group=self.group)
        return found[0]


def team() -> Team:
    """The processes that were launched together; this one alone if there was no launcher.

    The first call meets the others', and gives every process its own GPU where there are any.

    Raises:
        ValueError: weights cannot be spread as the configuration of accelerate asks.

    >>> team().size
    1
    """
    rank, size = launched()
    return _met(rank, size) if size > 1 or sharded() else Team()


def idle(together: int, processes: int) -> str | None:
    """A sentence on processes that wait for the others, None if all have something to do.

    >>> idle(8, 4) is None, idle(1, 2)[:52]
    (True, 'There are 2 processes for 1 prompt at a time, so som')
    """
    if together >= processes:
        return None
    return (
        f"There are {processes} processes for {together} prompt{'s' * (together > 1)} at a time, so some wait for the "
        "others: raise batch_prompts, or start fewer processes."
    )


def leave() -> None:
    """Let the processes of a run that is over end together: a launcher ends those that are slower."""
    if distributed.is_initialized():
        with suppress(RuntimeError, ValueError):
            distributed.monitored_barrier(group=team().group, timeout=_GOODBYE)
        distributed.destroy_process_group()


@cache
def _met(rank: int, size: int) -> Team:
    from accelerate import PartialState

    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true" or not torch.cuda.is_available()
    if sharded() and on_cpu:
        raise ValueError(
            "accelerate spreads weights over GPUs only, and on CPUs would keep whole copies without a word: take "
            "recipes/accelerate/ddp_cpu.yaml"
        )
    if sharded() and os.environ.get("FSDP_VERSION", "1") != "2":
        raise ValueError("weights are spread with FSDP 2 only: write fsdp_version: 2 into accelerate's configuration")
    PartialState(cpu=on_cpu)
    return Team(rank, size, sharded(), distributed.new_group(backend="gloo", timeout=_PATIENCE))
