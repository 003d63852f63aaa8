"""Who watches a training run: progress, notes, and a stop that loses nothing."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback

from mrtlab.training.processes import Team, team


@dataclass(frozen=True)
class Step:
    """How far a run is. `loss` is None before the first one is known; `rate` is in prompts a second."""

    step: int
    steps: int
    loss: float | None
    rate: float
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told what, and who may stop the run.

    Attributes:
        began: called when training begins or goes on.
        step: called after every step.
        logged: called with a step and its loss whenever one is known, those of a run's earlier parts included.
        measuring: called with a name, how many prompts are measured and how many there are.
        note: called with each sentence that the user should read.
        stopped: asked after every step; True saves a checkpoint and leaves.
        ended: called when training is over, stopped or done; not if it failed.
    """

    began: Callable[[], None] = lambda: None

    step: Callable[[Step], None] = lambda step: None
    logged: Callable[[int, float], None] = lambda step, loss: None
    measuring: Callable[[str, int, int], None] = lambda name, done, of: None
    note: Callable[[str], None] = lambda sentence: None
    stopped: Callable[[], bool] = lambda: False
    ended: Callable[[], None] = lambda: None


def heard(watch: Watch | None, processes: Team) -> Watch:
    """The watch, on the main process; on the others one that is told nothing, and may still ask to stop.

    >>> said = []
    >>> for rank in (0, 1):
    ...     heard(Watch(note=said.append), Team(rank=rank, size=2)).note(f"from process {rank}")
    >>> said
    ['from process 0']
    """
    watch = watch or Watch()
    return watch if processes.main else Watch(stopped=watch.stopped)


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and did, after saving what it had."""


class Watching(TrainerCallback):
    """Tells the watch about every step, keeps the time that a run has taken over all its parts, and stops it.

    Args:
        watch: who is told.
        batch_prompts: prompts in a step, for the rate; None reads them off the trainer's arguments.
    """

    def __init__(self, watch: Watch, batch_prompts: int | None = None) -> None:
        self.watch, self.prompts = watch, batch_prompts
        self.loss: float | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock, where an earlier part of the run left it."""
        self.clock = _Clock(max((entry.get("seconds", 0.0) for entry in state.log_history), default=0.0))
        self.first = state.global_step
        if self.prompts is None:
            self.prompts = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        self.watch.began()
        if self.first:
            self.watch.note(f"The run goes on after step {self.first:,} of {state.max_steps:,}.")
        for entry in state.log_history:
            if "loss" in entry:
                self.watch.logged(entry["step"], entry["loss"])

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Note loss and time; refuse to go on with a loss that is no number."""
        self.loss = (logs or {}).get("loss", self.loss)
        if self.loss is not None and not math.isfinite(self.loss):
            raise ValueError(
                f"training went astray, the loss at step {state.global_step} is {self.loss}: try again with a smaller "
                "lr and in another folder"
            )
        state.log_history[-1]["seconds"] = self.clock.total()
        if "loss" in (logs or {}):
            self.watch.logged(state.global_step, self.loss)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell, and stop if asked to."""
        done = state.global_step - self.first
        seconds = self.clock.here() / done
        left = seconds * (state.max_steps - state.global_step)
        self.watch.step(Step(state.global_step, state.max_steps, self.loss, self.prompts / seconds, left))
        if team().any(self.watch.stopped()):  # all, after the same step
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say that it is over."""
        self.watch.ended()


class AtFirst(TrainerCallback):
    """Does something with the model as the trainer has wrapped it, before the first step.

    Args:
        do: called with the model.
    """

    def __init__(self, do: Callable[[Any], None]) -> None:
        self.do = do

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Do it."""
        self.do(model)


class _Clock:
    """Seconds since now, and those spent before."""

    def __init__(self, before: float) -> None:
        self.before, self.start = before, time.perf_counter()

    def here(self) -> float:
        return max(time.perf_counter() - self.start, 1e-9)

    def total(self) -> float:
        return self.before + self.here()
