"""Several processes that train one model together: who speaks, who waits, and how all of them stop at the same step.

`torchrun` and `accelerate launch` start the processes and tell each its number through the environment. What is
agreed on here goes over a group of its own on the CPU: it waits as long as it must, so that nobody is cut off while
one process measures for an hour, and asking it every step does not hold up a GPU.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch

from mrtlab.training.watch import Watch

T = TypeVar("T")
_PATIENCE = timedelta(days=7)  # how long a process waits for the others; a launcher ends all if one fails


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Attributes:
        rank: number of this one; 0 is the main process, which prints and writes.
        size: how many there are.
        sharded: whether each keeps only a part of the weights (FSDP), so that every pass needs them all.
        group: of torch.distributed, None for one process.
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
        torch.distributed.all_reduce(said, op=torch.distributed.ReduceOp.MAX, group=self.group)
        return bool(said)

    def from_main(self, make: Callable[[], T]) -> T:
        """What the main process makes, for all; the others wait for it. All must call it.

        >>> Team().from_main(lambda: 3)
        3
        """
        made = [make() if self.main else None]
        if self.size > 1:
            torch.distributed.broadcast_object_list(made, src=0, group=self.group)
        return made[0]

    def quiet(self, watch: Watch) -> Watch:
        """The watch for the main process; for the others one that is told nothing, and may still ask to stop."""
        return watch if self.main else replace(Watch(), stopped=watch.stopped)


def launched() -> tuple[int, int]:
    """Number of this process and how many there are, as the launcher said; (0, 1) without one. Costs no import."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def sharded() -> bool:
    """Whether accelerate was told to cut the weights into parts, one for each process."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def team() -> Team:
    """The processes that were launched together; this one alone if there was no launcher.

    The first call of each process meets the others', and gives each its own GPU where there are any.

    >>> team().size
    1
    """
    rank, size = launched()
    return _met(rank, size) if size > 1 or sharded() else Team()


@cache
def _met(rank: int, size: int) -> Team:
    from accelerate import PartialState

    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true" or not torch.cuda.is_available()
    PartialState(cpu=on_cpu, timeout=_PATIENCE)
    group = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
    return Team(rank, size, sharded(), group)
