"""The keeper: a small process that forks, for each trial, one process for the program and one for its tests.

It is started with an empty environment in a folder of its own, loads what programs may import, becomes nobody if it was
started as root, and then waits for orders on one socket. Starting Python anew for each program would cost a tenth of a
second; a fork of the keeper costs a few thousandths. The keeper itself never reads a program, a test or a verdict: they
go straight to the two processes, so no program finds in its memory what an earlier one was asked.

Descriptors of a guarded process: 0 is empty, 1 and 2 are its output, 3 is read from and 4 written to. In the process of
the tests there is a fifth, to whoever ordered the trial.
"""

import contextlib
import fcntl
import gc
import json
import os
import random
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from mrtlab.data.guard_checker import run_checker
from mrtlab.data.guard_kernel import LockError, die_with, drop_privileges, seal
from mrtlab.data.guard_probe import FAILED, NOT_SEALED, POSSIBLE, attempts, environment_given, seen_from_outside
from mrtlab.data.guard_program import close_imports, load_offered, serve

READ, WRITE, JOB = 3, 4, 5
_LOWEST = 16  # the keeper's own descriptors start here, out of the way of those of the processes it forks
MAX_ORDER = 1 << 16  # bytes of one order
MAX_DESCRIPTORS = 1024
KEPT_OUTPUT = 4096  # bytes of what was printed that are reported


class Ended:
    """How a process ended: its exit code (negative: the signal), and the CPU time it took, in seconds."""

    def __init__(self, status: int, usage: Any):
        self.code = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def report(self) -> list[float]:
        """As plain data."""
        return [self.code, self.cpu_seconds]


class Keeper:
    """Carries out the orders that come over the socket, one at a time."""

    def __init__(self, control: socket.socket):
        self.control = control
        self.environment = environment_given()
        self.woken, wake = (_high(descriptor) for descriptor in os.pipe())
        for descriptor in (self.woken, wake):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)

    def serve(self) -> None:
        """Until the other end closes."""
        while True:
            order, given, _, _ = socket.recv_fds(self.control, MAX_ORDER, 4)
            if not order:
                return
            given = [_high(descriptor) for descriptor in given]
            report = getattr(self, f"do_{(request := json.loads(order)).pop('order')}")(*given, **request)
            self.control.send(json.dumps(report).encode())

    def do_trial(self, job: int, *, limits: dict[str, Any]) -> dict[str, Any]:
        """Fork the two processes, watch them, and report how they ended and what they printed."""
        asked, ask = (_high(descriptor) for descriptor in os.pipe())
        heard, answer = (_high(descriptor) for descriptor in os.pipe())
        printed, output = (_high(descriptor) for descriptor in os.pipe())
        sealing = {name: limits[name] for name in ("cpu_seconds", "memory_mb")}
        program = _fork([output, asked, answer], lambda: serve(READ, WRITE), sealing)
        tests = _fork([output, heard, ask, job], lambda: run_checker(JOB, WRITE, READ), sealing)
        for descriptor in (asked, ask, heard, answer, output, job):
            os.close(descriptor)
        try:
            return self._watch({"program": program, "tests": tests}, printed, limits)
        finally:
            os.close(printed)

    def do_probe(self, *, folder: str, memory_mb: int) -> dict[str, Any]:
        """Try each attempt in a sealed process of its own. Reports exit codes, and what is seen of a sealed one."""
        sealing = {"cpu_seconds": 1, "memory_mb": memory_mb}
        codes = {
            name: _wait(_fork([], lambda attempt=attempt: _attempt(attempt), sealing))
            for name, attempt in attempts(folder, memory_mb).items()
        }
        waiting, go = (_high(descriptor) for descriptor in os.pipe())
        ready, say = (_high(descriptor) for descriptor in os.pipe())
        sitter = _fork([say, waiting, say], lambda: os.write(WRITE, b".") and os.read(READ, 1), sealing)
        os.close(say)
        try:
            os.read(ready, 1)  # it is sealed, or it has ended
            outside = seen_from_outside(sitter, **sealing)
        except (OSError, KeyError, ValueError) as error:
            outside = [f"a view of its own locks ({error})"]
        finally:
            os.kill(sitter, signal.SIGKILL)
            _wait(sitter)
            for descriptor in (waiting, go, ready):
                os.close(descriptor)
        return {"codes": codes, "outside": outside, "environment": self.environment}

    def _watch(self, pids: dict[str, int], printed: int, limits: dict[str, Any]) -> dict[str, Any]:
        """Until both have ended; end them when time, output or whoever gave the order runs out."""
        deadline = time.monotonic() + limits["wall_seconds"]
        ended: dict[str, Ended] = {}
        text, stopped, open_end = b"", None, [printed]
        while len(ended) < len(pids):
            wait = max(deadline - time.monotonic(), 0)
            ready, _, _ = select.select([self.woken, self.control, *open_end], [], [], wait)
            if printed in ready:
                part = os.read(printed, 1 << 16)
                text += part
                open_end = [printed] if part else []
            if self.woken in ready:
                os.read(self.woken, 1024)
            if self.control in ready:  # nobody speaks during a trial: the other end has closed
                stopped = stopped or "closed"
            elif len(text) > limits["output_bytes"]:
                stopped = stopped or "output"
            elif not ready and time.monotonic() >= deadline:
                stopped = stopped or "time"
            if stopped or "tests" in ended:  # once the tests have ended, nobody asks the program any more
                _kill(pids, ended)
            _reap(pids, ended)
        while open_end and len(text) <= limits["output_bytes"] and (part := os.read(printed, 1 << 16)):
            text += part  # what was still in the pipe when its writers ended
        if len(text) > limits["output_bytes"]:
            stopped = stopped or "output"
        kept = text[: min(limits["output_bytes"], KEPT_OUTPUT)].decode("utf-8", "replace")
        return {"stopped": stopped, "output": kept} | {name: end.report() for name, end in ended.items()}


def _kill(pids: dict[str, int], ended: dict[str, Ended]) -> None:
    for name in pids.keys() - ended.keys():
        os.kill(pids[name], signal.SIGKILL)


def _reap(pids: dict[str, int], ended: dict[str, Ended]) -> None:
    for name in pids.keys() - ended.keys():
        pid, status, usage = os.wait4(pids[name], os.WNOHANG)
        if pid:
            ended[name] = Ended(status, usage)


def _fork(given: list[int], run: Callable[[], Any], sealing: dict[str, int]) -> int:
    """A sealed process that runs this and ends. Its descriptors from 1 on are those given; it sees no others."""
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = NOT_SEALED
    with contextlib.suppress(BaseException):
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _arrange(given)
        close_imports()
        random.seed(0)  # the same trial goes the same way every time
        die_with(keeper)
        seal(**sealing)
        code = FAILED
        code = run() or 0
    os._exit(code)


def _arrange(given: list[int]) -> None:
    """Output to 1 and 2, the others from 3 on, and everything else closed."""
    nothing = os.open(os.devnull, os.O_RDWR) if not given else given[0]
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    for place, descriptor in enumerate(given[1:], READ):
        os.dup2(descriptor, place)
    os.closerange(READ + len(given[1:]), MAX_DESCRIPTORS)


def _attempt(attempt: Callable[[], Any]) -> int:
    try:
        attempt()
    except (OSError, RuntimeError, MemoryError):
        return FAILED
    return POSSIBLE


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _high(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    os.close(descriptor)
    return moved


def main(control: int) -> None:
    """The life of the keeper."""
    load_offered()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = MAX_DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.stdout.reconfigure(line_buffering=True)  # what a program printed is there, however it ends
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    with socket.socket(fileno=_high(control)) as line:
        keeper = Keeper(line)
        try:
            drop_privileges()
        except LockError as error:
            line.send(json.dumps({"failed": str(error)}).encode())
            return
        os.environ.clear()
        gc.collect()
        gc.freeze()  # what is here is shared with every fork; the collector need not touch, and so copy, it
        line.send(json.dumps({"ready": sys.version_info[:2]}).encode())
        keeper.serve()
