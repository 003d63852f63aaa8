"""The runner, with a small experiment whose cells are counted, and once with real processes and a real Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import psutil
import pytest

from mrtlab.lab import artifacts, claims, experiments
from mrtlab.lab.experiments import MissingPackage
from mrtlab.lab.names import UnknownName
from mrtlab.lab.registry import Body, Experiment, Table


@dataclass(frozen=True)
class DrawCell:
    """A few random numbers."""

    size: int
    seed: int

    @property
    def label(self) -> str:
        return f"draw{self.size}-seed{self.seed}"


class Bench:
    """A toy experiment that counts its work and can be made to break."""

    def __init__(self):
        self.worked_on = []
        self.break_after = None
        self.error = KeyboardInterrupt

    def run_cell(self, cell):
        if self.break_after is not None and len(self.worked_on) >= self.break_after:
            raise self.error
        self.worked_on.append(cell)
        return {"values": np.random.default_rng([cell.size, cell.seed]).normal(size=cell.size).tolist()}

    def experiment(self, sources=()):
        body = Body(
            cells=lambda scale: [DrawCell(size, seed) for size in (2, 3) for seed in range(3)],
            run_cell=self.run_cell,
            summarise=lambda outcomes: {c.label: sum(r["values"]) / 3 for c, r in outcomes},
            table=lambda results: Table("sums", ("cell", "sum"), ()),
        )
        return Experiment("toy", "adds random numbers", lambda: body, sources=sources)


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def run(bench, monkeypatch):
    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", bench.experiment())
    return lambda **options: experiments.run("toy", "book", **options)


def without_timings(artifact):
    return artifact.results, {k: v for k, v in artifact.provenance.items() if k not in ("wall_s", "peak_memory_mb")}


def test_a_run_saves_what_it_returns(run):
    artifact = run()
    assert artifacts.load("toy", "book") == artifact
    assert artifact.results["draw2-seed0"] == pytest.approx(
        np.random.default_rng([2, 0]).normal(size=2).sum() / 3, rel=1e-5
    )
    assert artifact.provenance["seeds"] == [0, 1, 2]
    assert artifact.provenance["scale"] == "book"
    assert artifact.provenance["wall_s"] >= 0


@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_an_interrupted_run_goes_on_to_the_same_bytes(stop, run, bench, lab_folders, monkeypatch):
    bench.break_after = stop
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not artifacts.artifact_path("toy", "book").exists()
    bench.break_after = None
    resumed = run()
    assert len(bench.worked_on) == 6  # no cell was done twice
    assert len(set(bench.worked_on)) == 6

    monkeypatch.setenv("MRTLAB_CACHE", str(lab_folders / "another"))
    whole = run()
    assert len(bench.worked_on) == 12
    assert artifacts.pretty(resumed.results).encode() == artifacts.pretty(whole.results).encode()
    assert without_timings(resumed) == without_timings(whole)


def test_a_cell_that_fails_leaves_the_others_and_no_half_written_file(run, bench):
    bench.break_after, bench.error = 2, RuntimeError
    with pytest.raises(RuntimeError):
        run()
    folder = experiments.cells_dir("toy", "book")
    assert sorted(p.name.split(".")[0] for p in folder.iterdir()) == ["draw2-seed0", "draw2-seed1"]


def test_a_damaged_cell_is_done_again(run, bench):
    first = run()
    victim = sorted(experiments.cells_dir("toy", "book").iterdir())[0]
    victim.write_text(victim.read_text("utf-8")[:40], "utf-8")
    second = run()
    assert [cell.label for cell in bench.worked_on[6:]] == [victim.name.split(".")[0]]
    assert first.results == second.results


def test_finished_cells_are_stale_once_their_source_has_changed(bench, monkeypatch):
    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", bench.experiment(sources=("mrtlab.lab.stats",)))
    experiments.run("toy", "book")
    experiments.run("toy", "book")
    assert len(bench.worked_on) == 6
    monkeypatch.setattr(experiments, "_source_hash", lambda module: "edited")
    experiments.run("toy", "book")
    assert len(bench.worked_on) == 12


def test_finished_cells_are_stale_once_a_library_has_changed(run, bench, monkeypatch):
    run()
    monkeypatch.setattr(experiments.provenance, "versions", lambda packages=(): {"numpy": "9.9"})
    run()
    assert len(bench.worked_on) == 12


def test_a_rule_edited_half_way_cannot_borrow_the_finished_cells(run, bench, monkeypatch):
    monkeypatch.setattr(claims, "rule_fingerprints", lambda name: {"X-1": "old", "X-2": "same"})
    bench.break_after = 3
    with pytest.raises(KeyboardInterrupt):
        run()
    bench.break_after = None
    monkeypatch.setattr(claims, "rule_fingerprints", lambda name: {"X-1": "new", "X-2": "same"})
    assert run().provenance["rules"] == {"X-2": "same"}


def test_progress_tells_what_was_reused(run, bench):
    bench.break_after = 2
    with pytest.raises(KeyboardInterrupt):
        run()
    bench.break_after = None
    events = []
    run(progress=events.append)
    assert [(e.done, e.total, e.reused) for e in events] == [(i, 6, i <= 2) for i in range(1, 7)]
    assert len({e.label for e in events}) == 6


def test_scales_do_not_share_cells(run, bench):
    run()
    experiments.run("toy", "full")
    assert len(bench.worked_on) == 12


@pytest.mark.parametrize(("name", "scale", "said"), [("toi", "book", "toy"), ("toy", "bok", "book")])
def test_a_misspelt_name_gets_a_suggestion(run, name, scale, said):
    with pytest.raises(UnknownName, match=rf"no \w+ called '\w+'; did you mean {said}\?"):
        experiments.run(name, scale)


def test_jobs_must_be_positive(run):
    with pytest.raises(ValueError, match="at least 1 process, got 0"):
        run(jobs=0)


def test_a_missing_package_is_named_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackage, match=r'pip install "mrtlab\[lm\]"'):
        experiments.run("mode_lottery", "smoke")


def test_the_registry_and_the_ledger_are_read_without_torch():
    code = (
        "import sys; from mrtlab.lab import claims, experiments; claims.ledger(); "
        "assert experiments.EXPERIMENTS['mode_lottery'].purpose; "
        "assert not {'torch', 'plotly'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_registered_experiment_names_itself_and_real_sources():
    for name, experiment in experiments.EXPERIMENTS.items():
        assert experiment.name == name
        assert all(len(experiments._source_hash(module)) == 64 for module in experiment.sources)


class Clock:
    """A clock that a test can set, and that a cell moves on."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


def test_no_cell_begins_once_the_seconds_are_over_and_the_next_call_goes_on(run, bench, monkeypatch):
    clock, one = Clock(), bench.run_cell

    def ten_seconds(cell):
        clock.now += 10
        return one(cell)

    bench.run_cell = ten_seconds
    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", bench.experiment())
    monkeypatch.setattr(experiments.time, "monotonic", clock.monotonic)
    with pytest.raises(experiments.TimeUp, match="3 of 6") as over:
        run(seconds=25)  # cells begin after 0, 10 and 20 seconds
    assert (over.value.done, over.value.total) == (3, 6)
    assert not artifacts.artifact_path("toy", "book").exists()
    assert run(seconds=25).results.keys() == {f"draw{n}-seed{s}" for n in (2, 3) for s in range(3)}
    assert len(set(bench.worked_on)) == len(bench.worked_on) == 6
    with pytest.raises(ValueError, match="seconds must be above 0"):
        run(seconds=0)


def test_two_processes_begin_no_cell_either_once_the_seconds_are_over(tmp_path):
    todo = [(0.1, tmp_path / f"{n}.json") for n in range(3)]
    assert list(experiments._work_through(time.sleep, todo, {}, jobs=2, until=time.monotonic() - 1)) == []


def test_cells_of_several_machines_are_told_apart_in_the_artifact(run, bench, monkeypatch):
    monkeypatch.setattr(experiments.provenance, "hardware", lambda: {"gpu": "H100"})
    bench.break_after = 2
    with pytest.raises(KeyboardInterrupt):
        run()
    bench.break_after = None
    monkeypatch.setattr(experiments.provenance, "hardware", lambda: {"gpu": "H200"})
    assert run().provenance["hardware"] == {"gpu": "H100 and H200"}


def test_a_worker_that_dies_is_one_clear_error_and_not_a_hang(tmp_path):
    todo = [(9, tmp_path / f"{n}.json") for n in range(2)]  # the "cell" is the exit code
    with pytest.raises(experiments.WorkerDied, match="try fewer jobs"):
        list(experiments._work_through(os._exit, todo, {}, jobs=2, until=float("inf")))


def group_lives(leader):
    """Is any process of this group still running? One that is dead but not yet collected does not count."""
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                return True
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return False


def test_ctrl_c_with_two_processes_then_one_gives_the_same_artifact(lab_folders):
    """A real run in two processes, stopped by a real signal; taken up by one process."""
    # Tests may be run in the background, where Ctrl-C is switched off for everything that is started from there.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}; from mrtlab.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "mode_lottery", "--scale", "smoke", "--jobs", "2"]
    folder = experiments.cells_dir("mode_lottery", "smoke")
    stopped = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.json"))) < 3 and stopped.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: to the parent and its workers
    out, error = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, error
    assert "to go on: mrtlab run mode_lottery --scale smoke --jobs 2" in error
    assert "Traceback" not in error + out
    while group_lives(stopped.pid):  # no worker is left behind
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kept = {path: path.read_bytes() for path in folder.glob("*.json")}
    assert 3 <= len(kept) < 40
    assert not artifacts.artifact_path("mode_lottery", "smoke").exists()

    resumed = experiments.run("mode_lottery", "smoke")
    assert all(path.read_bytes() == content for path, content in kept.items())
    for path in folder.glob("*.json"):
        path.unlink()
    assert json.dumps(experiments.run("mode_lottery", "smoke").results) == json.dumps(resumed.results)
