"""What a sealed process tries, to see whether its locks hold: the things that a hostile program would do.

Each attempt runs in a process of its own, sealed as any program's is, and answers whether it was *possible*. An attempt
that the kernel cuts short never answers; that is what we hope for. One attempt, `compute`, must succeed: where
everything fails, nothing has been shown.
"""

import _thread
import contextlib
import ctypes
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mrtlab.data.guard_kernel import NOBODY

with contextlib.suppress(ImportError):  # not on every system; nothing of this runs there
    import resource

POSSIBLE, FAILED, NOT_SEALED = 70, 71, 72  # exit codes that Python never uses by itself
_PTRACE_SEIZE = 0x4206
_ALLOWED_ENVIRONMENT = {"PYTHONHASHSEED", "LC_CTYPE"}  # the second is Python's own, where no language is set
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def attempts(folder: str, memory_mb: int) -> dict[str, Callable[[], Any]]:
    """Each attempt by name; it returns if it was possible, and raises if it was not.

    Args:
        folder: one in which anybody may write, with a file `readable`.
        memory_mb: the limit on memory; the attempt asks for more.
    """
    keeper = os.getpid()  # the process that forks the programs: the parent of whoever runs the attempt
    libc = ctypes.CDLL(None, use_errno=True)  # C's own functions where Python's make other calls besides
    here, write, pair = folder.encode(), os.O_WRONLY | os.O_CREAT, (ctypes.c_int * 2)()
    return {
        "compute": lambda: sum(range(1000)),
        "socket": lambda: _succeeds(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)),
        "socketpair": lambda: _succeeds(libc.socketpair(socket.AF_UNIX, socket.SOCK_STREAM, 0, pair)),
        "fork": _fork,
        "thread": lambda: _thread.start_new_thread(lambda: None, ()),
        "exec": lambda: os.execv("/bin/sh", ["sh", "-c", f"exit {POSSIBLE}"]),
        "write a file": lambda: _succeeds(libc.open(here + b"/written", write, 0o600)),
        "write a file here": lambda: _succeeds(libc.open(b"written", write, 0o600)),
        "make a link": lambda: _succeeds(libc.symlink(b"/etc", here + b"/link")),
        "read a file": lambda: _succeeds(libc.open(here + b"/readable", os.O_RDONLY)),
        "read another's environment": lambda: _succeeds(libc.open(b"/proc/%d/environ" % keeper, os.O_RDONLY)),
        "signal the parent": lambda: os.kill(keeper, 0),
        "signal everybody": lambda: os.killpg(0, 0),
        "trace the parent": lambda: _succeeds(libc.ptrace(_PTRACE_SEIZE, keeper, None, None)),
        "become root": lambda: os.setresuid(0, 0, 0),
        "leave the group": lambda: os.setsid(),
        "use an open file of another": _use_open_files,
        "allocate memory": lambda: bytearray((memory_mb + 64) << 20),
    }


def seen_from_outside(pid: int, *, cpu_seconds: int, memory_mb: int) -> list[str]:
    """The locks that a sealed process should have, and has not, as the kernel reports them to others; by name.

    Raises:
        OSError: the system does not tell, for example because /proc is not mounted.
    """
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    users, groups = status["Uid"].split(), status["Gid"].split() + status["Groups"].split()
    dropped = str(NOBODY) in users
    locks = {
        "unprivileged user": "0" not in users and not (dropped and set(groups) - {str(NOBODY)}),
        "no capabilities": not any(int(status[name], 16) for name in _CAPABILITIES),
        "no new privileges": status["NoNewPrivs"].strip() == "1",
        "seccomp": status["Seccomp"].strip() == "2",
    }
    for name, kind, most in (
        ("limit on CPU time", resource.RLIMIT_CPU, cpu_seconds + 1),
        ("limit on memory", resource.RLIMIT_AS, memory_mb << 20),
        ("limit on file size", resource.RLIMIT_FSIZE, 0),
        ("limit on open files", resource.RLIMIT_NOFILE, 0),
        ("limit on processes", resource.RLIMIT_NPROC, 0),
    ):
        hard = resource.prlimit(pid, kind)[1]
        locks[name] = hard != resource.RLIM_INFINITY and hard <= most
    return [name for name, holds in locks.items() if not holds]


def environment_given() -> list[str]:
    """The names in the environment that this process was started with, but for those that it should have."""
    pairs = Path("/proc/self/environ").read_bytes().split(b"\0")
    names = {pair.partition(b"=")[0].decode(errors="replace") for pair in pairs if pair}
    return sorted(names - _ALLOWED_ENVIRONMENT)


def _use_open_files() -> None:
    """Find a file that somebody left open: moving in it fails with "no such file" only where there is none."""
    for number in range(5, 1024):
        try:
            os.lseek(number, 0, os.SEEK_CUR)
        except OSError as error:
            if error.errno == errno.EBADF:
                continue
        return
    raise OSError("none is open")


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _succeeds(result: int) -> None:
    """C's functions say by -1 that they failed."""
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
