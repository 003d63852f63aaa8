"""Whether this machine can hold a stranger's program, found out by trying to break out.

A program that a model wrote runs only where the operating system itself guards it (`guard_kernel` says by what locks).
That is not believed but tried, once in every process, before the first program runs: sealed processes try to reach the
network, to fork, to start a shell, to write, to read, to signal and trace their parent, to become root, and to take too
much memory; and a sealed process that waits is looked at from outside. If anything that should fail succeeds, or cannot
be tried, nothing runs, and the refusal says what is missing. There is no switch to run without.

>>> machine = guard()
>>> machine.holds == (not machine.missing)
True
"""

import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrtlab.data.guard_keeper import KeeperError, KeeperProcess
from mrtlab.data.guard_kernel import unsupported
from mrtlab.data.guard_probe import FAILED, NOT_SEALED, POSSIBLE

_PROBE_MEMORY_MB = 512
_PROBE_SECONDS = 60.0
_MUST_WORK = "compute"
# What to do where one of these is missing. Anything else that is missing has the last one's advice.
_REMEDIES = {
    "a guarded process": "Look at what is said in brackets; a Python without ctypes cannot be guarded.",
    "unprivileged user": "Run as an ordinary user, or let root become one (in a container: the capabilities SETUID and "
    "SETGID, and a user 65534).",
    "no capabilities": "Run as an ordinary user without capabilities.",
    "empty environment": "Start Python itself, not a wrapper that sets variables.",
    "seccomp": "Use a kernel with CONFIG_SECCOMP_FILTER, in a container that allows seccomp.",
    "a view of its own locks": "Mount /proc.",
}
_REMEDY = "Use another machine or container, with Linux 4.14 or later; on this one only the built-in grammar runs."


class GuardError(RuntimeError):
    """No program of a stranger may run here. The message says what is missing and what to do."""


@dataclass(frozen=True)
class Guard:
    """What was found.

    Attributes:
        tried: what sealed processes tried in vain, by name.
        missing: what should have failed and did not, or could not be seen; by name. Empty if the guard holds.
    """

    tried: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether programs may run."""
        return not self.missing

    @property
    def refusal(self) -> str:
        """One paragraph: what is missing and what to do; empty if nothing is.

        >>> print(Guard(tried=(), missing=("seccomp",)).refusal)
        Programs are refused on this machine: it does not give seccomp. Use a kernel with CONFIG_SECCOMP_FILTER, in a
        container that allows seccomp.
        """
        if self.holds:
            return ""
        if len(self.missing) == 1 and self.missing[0] == unsupported():
            return f"Programs are refused on this machine. {self.missing[0]}"
        remedies = dict.fromkeys(
            next((text for name, text in _REMEDIES.items() if missing.startswith(name)), _REMEDY)
            for missing in self.missing
        )
        return f"Programs are refused on this machine: it does not give {', '.join(self.missing)}. {' '.join(remedies)}"


_found: dict[tuple[int, int], Guard] = {}  # by process and user: a fork, or a change of user, is looked at anew


def guard() -> Guard:
    """Whether the guard holds here. Tried at the first call in a process, which takes about a fifth of a second.

    >>> guard() is guard()
    True
    """
    if unsupported():
        return Guard(tried=(), missing=(unsupported(),))
    key = os.getpid(), os.geteuid()
    if key not in _found:
        _found[key] = _try()
    return _found[key]


def require_guard() -> None:
    """Go on only if the guard holds.

    Raises:
        GuardError: it does not; with what is missing and what to do.
    """
    if not guard().holds:
        raise GuardError(guard().refusal)


def judge_probe(report: dict[str, Any]) -> Guard:
    """What a keeper's report on its attempts means. Whatever is not known to have failed is missing.

    Args:
        report: by attempt, the exit code of the process that tried it; the locks not seen from outside; and the names
            in the environment.

    >>> judge_probe({"codes": {"compute": 70, "fork": -31, "socket": 70}, "outside": [], "environment": []}).missing
    ('a refusal of: socket',)
    """
    codes, missing, tried = dict(report["codes"]), [], []
    if codes.pop(_MUST_WORK, None) != POSSIBLE:
        missing.append("a guarded process that can compute")
    for name, code in codes.items():
        refused = code in (FAILED, -signal.SIGSYS)
        (tried if refused else missing).append(name if refused else f"a refusal of: {name}")
    if NOT_SEALED in codes.values() or not codes:
        missing.insert(0, "seccomp")
    missing += report["outside"]
    if report["environment"]:
        missing.append("empty environment")
    return Guard(tried=tuple(tried), missing=tuple(dict.fromkeys(missing)))


def _try() -> Guard:
    try:
        with KeeperProcess() as keeper, tempfile.TemporaryDirectory(prefix="guard-") as name:
            folder = Path(name)
            folder.chmod(0o777)  # anybody might write here, so that only the guard can be what stops them
            (folder / "readable").write_text("anybody may read this")
            (folder / "readable").chmod(0o644)
            report = keeper.order("probe", seconds=_PROBE_SECONDS, folder=name, memory_mb=_PROBE_MEMORY_MB)
            found = judge_probe(report)
            if {entry.name for entry in folder.iterdir()} != {"readable"}:
                found = Guard(found.tried, (*found.missing, "a closed file system"))
            return found
    except KeeperError as error:
        return Guard(tried=(), missing=(f"a guarded process ({error})",))
