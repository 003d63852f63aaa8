"""How a result came about: code, versions, machine. No host names, no paths."""

import datetime
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from mrtlab.lab.artifacts import repository


def commit() -> str:
    """The commit the package runs from, with "+dirty" if its tracked files differ.

    Without git it is what $MRTLAB_COMMIT says, for a copy of the tree on a machine without a repository; or "unknown".
    """
    root = repository()
    head = root and _output("git", "rev-parse", "HEAD", cwd=root)
    if not head:
        return os.environ.get("MRTLAB_COMMIT") or "unknown"
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", "--", "mrtlab", cwd=root)
    return f"{head}+dirty" if changed else head


def versions(packages: Sequence[str] = ()) -> dict[str, str]:
    """Versions of python, numpy, scipy and the named packages; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "scipy", *packages):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GB, and GPU name ("none" if there is none)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu.splitlines()[0] if gpu else "none",
    }


def joined(machines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Machines as one: what they have in common once, what differs in the order of its appearance.

    >>> joined([{"cores": 2, "gpu": "none"}, {"cores": 16, "gpu": "none"}])
    {'cores': '2 and 16', 'gpu': 'none'}
    """
    different = {key: list(dict.fromkeys(machine.get(key) for machine in machines)) for key in machines[0]}
    return {key: some[0] if len(some) == 1 else " and ".join(map(str, some)) for key, some in different.items()}


def peak_memory_mb() -> float:
    """Largest memory this process has held so far, in MB."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**20
    status = Path("/proc/self/status")
    if status.is_file():  # Linux; getrusage would count what the parent held when it started this process
        held = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if held is not None:
            return int(held.split()[1]) / 2**10
    import resource  # not there on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # macOS counts bytes, Linux KiB


def today() -> str:
    """Today's date in UTC, year-month-day."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def collect(
    *,
    scale: str,
    seeds: Sequence[int],
    wall_s: float,
    peak_mb: float,
    rules: dict[str, str],
    commits: Sequence[str],
    created: str,
    packages: Sequence[str] = (),
    subject: Mapping[str, Any] | None = None,
    machines: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything an artifact says about its origin.

    Args:
        scale: scale of the run.
        seeds: random seeds of the run.
        wall_s: seconds of work, added up over cells.
        peak_mb: largest memory of any process of the run, in MB.
        rules: {claim id: fingerprint of its rule}, for the claims that read this experiment.
        commits: the commits it was run from, one unless the run was taken up again after a change.
        created: date of the last finished part, year-month-day in UTC.
        packages: libraries whose versions matter besides numpy and scipy.
        subject: the language model that it is about, see `mrtlab.lab.subject`; left out if it is about none.
        machines: `hardware` of every part, where parts may come from several; this machine if left out.
    """
    about = {"subject": dict(subject)} if subject else {}
    return about | {
        "commit": " and ".join(commits),
        "created": created,
        "hardware": joined(machines or [hardware()]),
        "peak_memory_mb": round(peak_mb),
        "rules": dict(rules),
        "scale": scale,
        "seeds": list(seeds),
        "versions": versions(packages),
        "wall_s": round(wall_s, 1),
    }


def _output(*command: str, cwd: Path | None = None) -> str:
    """What a command prints; "" if it is missing or fails."""
    if not shutil.which(command[0]):
        return ""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=20, check=True)
    except (subprocess.SubprocessError, OSError):
        return ""
    return done.stdout.strip()


def _cpu_model() -> str:
    """The processor's name as its maker gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
