"""Run programs that a model wrote, against tests, each in processes of its own behind the guard.

A `Trial` is a program and its tests; its `Outcome` is one of a few named verdicts with a sentence of detail. The
program and its tests live in two processes and meet over a pipe, across which only plain data goes. So what a program
may do to its own Python (replace `print`, override `==`, end the process, patch whatever looks at it) is done to
itself: the verdict is made where it is not, and "passed" means that the tests were run to their end and held.

A program can compute, print, and import what is loaded beforehand (`OFFERED` in `guard_program`). It can open no file,
not even to read what everybody may read, start no process or thread, reach no network and see nothing of the
environment.

Without a verified guard nothing runs (`GuardError`). The grammar of our own `programs` family needs none: `sandbox`
walks it without running Python.

>>> double = "def f(x):\\n    return 2 * x"
>>> run_trial(Trial(double, "assert f(3) == 6")).verdict
'passed'
>>> run_trial(Trial("import os\\nos._exit(0)", "assert f(3) == 6"))  # doctest: +ELLIPSIS
Outcome(verdict='error', detail='it ended itself (exit code 0) before the tests did', ...)
"""

import contextlib
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Literal, get_args

from mrtlab.data.guard import GuardError, require_guard
from mrtlab.data.guard_keeper import KeeperError, KeeperProcess
from mrtlab.data.guard_probe import NOT_SEALED
from mrtlab.data.guard_wire import FrameError, read_frame, write_frame

Verdict = Literal["passed", "failed", "error", "timeout", "memory", "output", "forbidden", "crashed", "refused"]
VERDICTS: dict[str, str] = {
    "passed": "Every test ran, and held.",
    "failed": "It ran, and a test did not hold.",
    "error": "It is not Python, does not define what is tested, raised an exception, or ended itself.",
    "timeout": "It took more CPU time or more time on the clock than it may.",
    "memory": "It asked for more memory than it may have.",
    "output": "It printed or answered more than it may.",
    "forbidden": "It tried what the guard forbids, or imports what the guard does not offer.",
    "crashed": "The interpreter itself fell over, or something outside ended it.",
    "refused": "It was not run to an end: the text is too long, or the tests themselves cannot be run.",
}
MAX_CHARACTERS = 1 << 18  # of a program, and of its tests
_MAX_DETAIL = 400


@dataclass(frozen=True)
class Limits:
    """What one trial may use.

    Attributes:
        cpu_seconds: CPU time of the program; and again of its tests. Whole seconds, since the kernel counts so.
        wall_seconds: time on the clock for both together. Generous, so that a busy machine fails no program.
        memory_mb: address space of each of the two processes, the interpreter's own 30 MB included.
        output_bytes: what may be printed.
    """

    cpu_seconds: int = 5
    wall_seconds: float = 30.0
    memory_mb: int = 512
    output_bytes: int = 1 << 16

    def __post_init__(self):
        if self.cpu_seconds < 1 or self.wall_seconds <= 0 or self.memory_mb < 64 or self.output_bytes < 0:
            raise ValueError(
                f"cpu_seconds must be at least 1, wall_seconds above 0, memory_mb at least 64 and output_bytes at "
                f"least 0; got {self}"
            )


DEFAULT = Limits()


@dataclass(frozen=True)
class Trial:
    """A program and its tests.

    Attributes:
        program: the text of a Python program. It is run where the tests are not.
        tests: Python statements; the program passes if they run to the end. The names that they use and do not define
            are the program's.
        helpers: Python statements that the tests stand on; run before, on the side of the tests.
        names: which names are the program's, where it should not be found out; these win over the helpers'.
    """

    program: str
    tests: str
    helpers: str = ""
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a trial went.

    Attributes:
        verdict: one of VERDICTS.
        detail: one sentence; it may quote the program, with what is not printable replaced.
        cpu_seconds: CPU time of the program.
        wall_seconds: time on the clock.
        output: the first 4 KiB of what the program and its tests printed, as it came: do not send it to a terminal.
    """

    verdict: Verdict
    detail: str
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    output: str = field(default="", repr=False)

    @property
    def passed(self) -> bool:
        """Whether the verdict is "passed"."""
        return self.verdict == "passed"


def run_trial(trial: Trial, *, limits: Limits = DEFAULT) -> Outcome:
    """Run one program against its tests. For several, `run_trials` is much faster.

    Raises:
        GuardError: the guard does not hold on this machine; nothing was run.

    >>> run_trial(Trial("def f(x): return x + 1", "assert f(3) == 6")).detail
    'this does not hold: assert f(3) == 6'
    """
    return run_trials([trial], limits=limits)[0]


def run_trials(
    trials: Sequence[Trial],
    *,
    limits: Limits = DEFAULT,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Run many programs, several at once.

    Args:
        trials: what to run.
        limits: for each trial.
        workers: how many at once; by default one per CPU, at most eight.
        progress: called with how many are done and how many there are, after each.

    Returns:
        One outcome per trial, in their order.

    Raises:
        GuardError: the guard does not hold on this machine; nothing was run.

    >>> programs = [f"def f(x): return {n} * x" for n in (1, 2)]
    >>> [outcome.verdict for outcome in run_trials([Trial(p, "assert f(3) == 6") for p in programs])]
    ['failed', 'passed']
    """
    if not trials:
        require_guard()
        return []
    with Pool(workers=min(workers or _cpus(), len(trials)), limits=limits) as pool:
        return pool.run(trials, progress=progress)


class Pool:
    """Several keepers, ready to run trials. Use it in a `with`, or close it.

    Args:
        workers: how many trials run at once.
        limits: for each trial.

    Raises:
        GuardError: the guard does not hold on this machine.
        ValueError: no workers.

    >>> with Pool(workers=1) as pool:
    ...     [pool.run([Trial(f"f = {n}", "assert f > 1")])[0].verdict for n in (1, 2)]
    ['failed', 'passed']
    """

    def __init__(self, *, workers: int = 1, limits: Limits = DEFAULT):
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        require_guard()
        self.workers, self.limits = workers, limits
        self._idle: list[KeeperProcess] = []

    def run(self, trials: Sequence[Trial], *, progress: Callable[[int, int], None] | None = None) -> list[Outcome]:
        """Run these, several at once; one outcome per trial, in their order.

        Raises:
            GuardError: a keeper could not be started, or a process could not be sealed.
        """
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[int, Outcome | BaseException]] = queue.SimpleQueue()
        for place in range(len(trials)):
            todo.put(place)
        threads = [
            threading.Thread(target=self._work, args=(trials, todo, done), daemon=True)
            for _ in range(min(self.workers, len(trials)))
        ]
        for thread in threads:
            thread.start()
        outcomes: dict[int, Outcome] = {}
        try:
            while len(outcomes) < len(trials):
                place, outcome = done.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                outcomes[place] = outcome
                if progress is not None:
                    progress(len(outcomes), len(trials))
        finally:
            with contextlib.suppress(queue.Empty):  # where one went wrong, the others end after what they have in hand
                while True:
                    todo.get_nowait()
            for thread in threads:
                thread.join()
        return [outcomes[place] for place in range(len(trials))]

    def close(self) -> None:
        """End the keepers."""
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self, trials: Sequence[Trial], todo: queue.SimpleQueue, done: queue.SimpleQueue) -> None:
        """One thread: it takes a keeper, and trials while there are any."""
        keeper, place = None, -1
        try:
            while True:
                place = todo.get_nowait()
                keeper = keeper or (self._idle.pop() if self._idle else KeeperProcess())
                try:
                    outcome = _outcome(keeper, trials[place], self.limits)
                except KeeperError:  # no program can end its keeper, but the system can; with another one, once more
                    keeper = KeeperProcess()
                    outcome = _outcome(keeper, trials[place], self.limits)
                done.put((place, outcome))
        except queue.Empty:
            if keeper is not None:
                self._idle.append(keeper)
        except KeeperError as error:
            done.put((place, GuardError(f"Programs are refused: a guarded process did not hold out ({error})")))
        except BaseException as error:  # handed to whoever waits
            if keeper is not None:
                keeper.close()
            done.put((place, error))


def _outcome(keeper: KeeperProcess, trial: Trial, limits: Limits) -> Outcome:
    """Run one trial with this keeper."""
    start = time.monotonic()
    if max(map(len, (trial.program, trial.tests, trial.helpers))) > MAX_CHARACTERS:
        return Outcome("refused", f"longer than {MAX_CHARACTERS:,} characters")
    ours, theirs = socket.socketpair()
    with ours:
        sender = threading.Thread(target=_send, args=(ours, asdict(trial)), daemon=True)
        sender.start()  # beside the order: a long job waits until somebody reads it
        try:
            report = keeper.order("trial", seconds=limits.wall_seconds, given=(theirs.detach(),), limits=asdict(limits))
            said = _said(ours)
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            sender.join()
    verdict, detail = _decide(report, said, limits)
    return Outcome(
        verdict, _printable(detail), report["program"][1], round(time.monotonic() - start, 4), report["output"]
    )


def _send(line: socket.socket, job: dict[str, Any]) -> None:
    with contextlib.suppress(OSError, FrameError):
        write_frame(line.fileno(), job)


def _said(line: socket.socket) -> list[str] | None:
    """What the process of the tests said last; it has ended, so this does not wait."""
    try:
        said = read_frame(line.fileno())
    except (FrameError, OSError):
        return None
    well_formed = isinstance(said, list) and len(said) == 2 and all(isinstance(part, str) for part in said)
    return said if well_formed and said[0] in (*get_args(Verdict), "gone") else None


def _decide(report: dict[str, Any], said: list[str] | None, limits: Limits) -> tuple[Verdict, str]:
    """The verdict, from how the two processes ended and what the tests said.

    Raises:
        GuardError: one of the two could not be sealed, and so read nothing.
    """
    program, tests = report["program"][0], report["tests"][0]
    if NOT_SEALED in (program, tests):
        raise GuardError("Programs are refused: a process could not be sealed, though one could before.")
    if report["stopped"] == "output":
        return "output", f"more than {limits.output_bytes:,} bytes were printed"
    if report["stopped"] == "time":
        return "timeout", f"it took more than {limits.wall_seconds:g} seconds on the clock"
    if said is not None and said[0] != "gone" and tests == 0:
        return said[0], said[1]
    whose, code, cpu_seconds = ("the tests", *report["tests"]) if said is None else ("it", *report["program"])
    if code == -signal.SIGXCPU or (code == -signal.SIGKILL and cpu_seconds >= limits.cpu_seconds):
        return "timeout", f"{whose} took more than {limits.cpu_seconds} seconds of CPU time"
    if code == -signal.SIGSYS:
        return "forbidden", f"{whose} made a system call that the guard forbids"
    if code == -signal.SIGKILL and said is not None:  # by the keeper, after the tests had given up on it
        return "error", f"what it sent is no answer ({said[1]})"
    if code < 0:
        return "crashed", f"{whose} ended by {_signal(-code)}"
    if said is None:
        return "refused", f"the tests ended themselves (exit code {code})"
    return "error", f"it ended itself (exit code {code}) before the tests did"


def _signal(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _printable(text: str) -> str:
    """Without what could move the cursor of a terminal, on one line, and short."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 2 * _MAX_DETAIL])
    return shown if len(shown) <= _MAX_DETAIL else shown[: _MAX_DETAIL - 1] + "…"


def _cpus() -> int:
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)
