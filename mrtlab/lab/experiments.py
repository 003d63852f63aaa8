"""The runner of experiments, which can be stopped at any moment and taken up again.

An experiment is a list of *cells*. Each cell is a small frozen record (arm, K, seed, …) whose result depends on
nothing else, so cells can run in any order, in several processes, today and tomorrow, with the same outcome. A
finished cell is written to the cache at once; a run that was interrupted does only the cells that are missing.
"""

import hashlib
import importlib.util
import json
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrtlab.lab import artifacts, claims, provenance, subject
from mrtlab.lab.artifacts import Artifact, ArtifactMissing
from mrtlab.lab.names import UnknownName
from mrtlab.lab.registry import EXPERIMENTS, Cell, Experiment, MissingInput, find
from mrtlab.lab.subject import Subject, WrongSubject

SCALES = ("smoke", "book", "full")


@dataclass(frozen=True)
class Progress:
    """One more cell is done: how many are, of how many, which one, its seconds, and was it from the cache."""

    done: int
    total: int
    label: str
    wall_s: float
    reused: bool


class MissingPackage(ImportError):  # noqa: N818 - reads as a sentence where it is caught
    """An experiment needs a package that is not installed."""


class WorkerDied(RuntimeError):  # noqa: N818 - reads as a sentence where it is caught
    """The operating system ended a worker process."""


class TimeUp(Exception):  # noqa: N818 - reads as a sentence where it is caught
    """The time that a run was given is over; what is finished is kept.

    Attributes:
        done: cells that are finished.
        total: cells in all.
    """

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"{done} of {total} cells are finished")
        self.done, self.total = done, total


def cells_dir(name: str, scale: str) -> Path:
    """Folder where finished cells of a run are kept."""
    return artifacts.cache_dir() / "cells" / f"{name}.{scale}"


def run(
    name: str,
    scale: str = "book",
    *,
    jobs: int = 1,
    seconds: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Artifact:
    """Run an experiment, or what is missing of it, and save its artifact.

    The artifact vouches for a claim's rule only if every cell was run under that same rule: fingerprints are
    taken when a cell runs and kept with it, so a rule edited later cannot borrow finished cells.

    Args:
        name: a key of `EXPERIMENTS`.
        scale: "smoke" (seconds), "book" (minutes to an hour on two CPU cores) or "full".
        jobs: processes that work side by side, ≥ 1; the result does not depend on it.
        seconds: no cell begins later than this after the call; None to do all of them.
        progress: called after each cell.

    Returns:
        the artifact, already written to `artifacts.artifact_path(name, scale)`.

    Raises:
        UnknownName: no such experiment or scale.
        MissingPackage: a needed package is not installed.
        MissingInput: something else it needs is not on this machine.
        ValueError: jobs < 1, or seconds ≤ 0.
        WrongSubject: MRTLAB_MODEL names another model than the embedded one, at book scale or where an artifact about
            another one is; see `mrtlab.lab.subject`.
        TimeUp: the seconds are over and cells are left; finished ones are kept, and there is no artifact yet.
        WorkerDied: the operating system ended a worker; finished cells are kept.
        KeyboardInterrupt: stopped by the user; finished cells are kept and the next call goes on from there.
    """
    experiment = find(name)
    if scale not in SCALES:
        raise UnknownName("scale", scale, SCALES)
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1 process, got {jobs}")
    if seconds is not None and seconds <= 0:
        raise ValueError(f"seconds must be above 0, got {seconds:g}")
    for package in experiment.needs:
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(f'{name} needs {package}; install it with: pip install "mrtlab[lm]"')
    until = float("inf") if seconds is None else time.monotonic() + seconds
    return _run(experiment, scale, jobs=jobs, until=until, progress=progress or (lambda _: None))


def _run(
    experiment: Experiment, scale: str, *, jobs: int, until: float, progress: Callable[[Progress], None]
) -> Artifact:
    """As `run`, for an experiment that need not be in the registry; `until` is a time of the monotonic clock."""
    about = _about(experiment, scale)
    body = experiment.load()
    cells = list(body.cells(scale))
    keys = _keys(experiment, cells, about)
    folder = cells_dir(experiment.name, scale)
    paths = [folder / f"{cell.label}.{key}.json" for cell, key in zip(cells, keys, strict=True)]
    origin = {
        "commit": provenance.commit(),
        "hardware": provenance.hardware(),
        "rules": claims.rule_fingerprints(experiment.name),
    }
    records = {path: record for path in paths if (record := _read(path))}
    labels = {path: cell.label for path, cell in zip(paths, cells, strict=True)}
    todo = [(cell, path) for cell, path in zip(cells, paths, strict=True) if path not in records]
    for done, path in enumerate(records, start=1):
        progress(Progress(done, len(cells), labels[path], records[path]["wall_s"], True))
    for path in _work_through(body.run_cell, todo, origin, jobs=jobs, until=until):
        records[path] = json.loads(path.read_text("utf-8"))
        progress(Progress(len(records), len(cells), labels[path], records[path]["wall_s"], False))
    if len(records) < len(cells):
        raise TimeUp(len(records), len(cells))
    ordered = [records[path] for path in paths]
    artifact = Artifact(
        experiment=experiment.name,
        scale=scale,
        results=artifacts.rounded(
            body.summarise([(cell, record["result"]) for cell, record in zip(cells, ordered, strict=True)])
        ),
        provenance=_provenance(experiment, scale, cells, ordered, about),
    )
    artifacts.save(artifact)
    return artifact


def _about(experiment: Experiment, scale: str) -> Subject | None:
    """The model that a run is about, if it is about one, and may write an artifact about."""
    if not experiment.about_model:
        return None
    about = subject.subject()
    subject.check_scale(about, scale)
    path = artifacts.artifact_path(experiment.name, scale)
    if path.is_file():
        try:
            subject.check_place(about, artifacts.load(experiment.name, scale).provenance, path.name)
        except (ArtifactMissing, ValueError) as error:
            if isinstance(error, WrongSubject):
                raise  # a file that is no artifact is written over, as always
    return about


def _provenance(
    experiment: Experiment,
    scale: str,
    cells: Sequence[Cell],
    records: Sequence[dict[str, Any]],
    about: Subject | None,
) -> dict[str, Any]:
    """Join the origins of all cells: a rule counts only if every cell ran under it."""
    agreed = set.intersection(*(set(record["rules"].items()) for record in records))
    return provenance.collect(
        scale=scale,
        seeds=sorted({cell.seed for cell in cells}),
        wall_s=sum(record["wall_s"] for record in records),
        peak_mb=max(record["peak_memory_mb"] for record in records),
        rules=dict(sorted(agreed)),
        packages=experiment.needs,
        commits=sorted({record["commit"] for record in records}),
        created=max(record["created"] for record in records),
        subject=about.facts() if about else None,
        machines=[record.get("hardware") or provenance.hardware() for record in records],
    )


def _keys(experiment: Experiment, cells: Sequence[Any], about: Subject | None) -> list[str]:
    """Fingerprint of everything a cell's result depends on: its settings, the code, the libraries, the device."""
    surroundings = {
        "sources": [_source_hash(module) for module in experiment.sources],
        "versions": {
            name: version
            for name, version in provenance.versions(experiment.needs).items()
            if name in ("numpy", *experiment.needs)
        },
    }
    if about and about.device != "cpu":  # not named otherwise, so that cells from before there was a choice stay good
        surroundings["device"] = about.device
    texts = [json.dumps([asdict(cell), surroundings], sort_keys=True) for cell in cells]
    return [hashlib.sha256(text.encode()).hexdigest()[:12] for text in texts]


def _source_hash(module: str) -> str:
    """Fingerprint of a module's source file, found without importing it."""
    spec = importlib.util.find_spec(module)
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """A finished cell, or None if it is missing or damaged; a damaged one is run again."""
    try:
        record = json.loads(path.read_text("utf-8"))
        return record if "result" in record else None
    except (FileNotFoundError, ValueError):
        return None


def _work_through(
    run_cell: Callable[[Any], dict[str, Any]],
    todo: Sequence[tuple[Any, Path]],
    origin: dict[str, Any],
    *,
    jobs: int,
    until: float,
) -> Iterator[Path]:
    """Run cells one after the other or side by side, none begun after `until`; give back files as they are finished."""
    if jobs == 1 or len(todo) < 2:
        for cell, path in todo:
            if time.monotonic() > until:
                return
            yield _finish_cell(run_cell, cell, path, origin)
        return
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(jobs, len(todo)), mp_context=multiprocessing.get_context("spawn"), initializer=_leave_ctrl_c
    )
    with pool:
        try:
            waiting, running = list(reversed(todo)), set()
            while True:
                while waiting and len(running) < jobs and time.monotonic() <= until:
                    with _born_deaf_to_ctrl_c():
                        running.add(pool.submit(_finish_cell, run_cell, *waiting.pop(), origin))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise WorkerDied("a worker process died, perhaps for lack of memory; try fewer jobs") from None
        except BaseException:  # also Ctrl-C and a caller who walks away: no process is left behind
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            raise


def _leave_ctrl_c() -> None:
    """Ctrl-C reaches all processes of a terminal; let only the parent act on it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _born_deaf_to_ctrl_c() -> Iterator[None]:
    """Workers started in here ignore Ctrl-C even before they reach `_leave_ctrl_c`, where that is inherited."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may touch signals
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _finish_cell(run_cell: Callable[[Any], dict[str, Any]], cell: Any, path: Path, origin: dict[str, Any]) -> Path:
    """Run one cell and write its record, all of it or nothing."""
    start = time.perf_counter()
    result = run_cell(cell)
    record = origin | {
        "cell": asdict(cell),
        "created": provenance.today(),
        "peak_memory_mb": provenance.peak_memory_mb(),
        "result": result,
        "wall_s": time.perf_counter() - start,
    }
    artifacts.write_whole(path, artifacts.pretty(record))
    return path


__all__ = [
    "EXPERIMENTS",
    "SCALES",
    "MissingInput",
    "MissingPackage",
    "Progress",
    "TimeUp",
    "WorkerDied",
    "WrongSubject",
    "cells_dir",
    "find",
    "run",
]
