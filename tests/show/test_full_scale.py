"""What is not yet measured is listed, all of it, and leaves the list when its artifact comes."""

import sys
from pathlib import Path

import pytest

from mrtlab.lab import artifacts, full_scale
from mrtlab.lab.artifacts import Artifact
from mrtlab.lab.registry import EXPERIMENTS
from mrtlab.show.book.directives import full_scale_lines

ORIGIN = {"created": "2026-12-01", "hardware": {"cpu": "a processor", "gpu": "NVIDIA H100"}}
ABOUT = {"name": "larger", "sha256": "ab" * 32, "parameters": 38_941_184, "device": "cuda"}


@pytest.fixture(autouse=True)
def no_artifacts(tmp_path, monkeypatch):
    monkeypatch.setenv("MRTLAB_ARTIFACTS", str(tmp_path))
    monkeypatch.setattr(artifacts, "SHIPPED", tmp_path / "none")


def test_every_experiment_is_there_and_none_is_measured_without_an_artifact():
    runs = full_scale.experiments()
    assert [run.name for run in runs] == list(EXPERIMENTS)
    assert {run.state for run in runs} == {full_scale.NOT_YET}
    text = "\n".join(full_scale_lines())
    assert f"0 of {len(EXPERIMENTS)} experiments and 0 of 80 cells" in text
    assert all(f"`mrtlab run {name} --scale full`" in text for name in EXPERIMENTS)
    assert all(f"`{cell.name}`" in text for cell in full_scale.gpu_cells())


def test_an_artifact_takes_its_experiment_off_the_list_and_says_about_which_model():
    artifacts.save(Artifact("callings_grid", "full", {}, ORIGIN | {"subject": ABOUT}))
    artifacts.save(Artifact("mode_lottery", "full", {}, ORIGIN | {"hardware": {"cpu": "a processor", "gpu": "none"}}))
    measured = {run.name: run.measured for run in full_scale.experiments() if run.measured}
    assert measured == {
        "mode_lottery": "a processor, 2026-12-01",
        "callings_grid": "larger, 38.9 million parameters, NVIDIA H100, 2026-12-01",
    }
    assert f"2 of {len(EXPERIMENTS)} experiments" in full_scale_lines()[0]


def test_cells_of_the_gpu_benchmark_leave_the_list_one_by_one():
    first, *others = (cell.name for cell in full_scale.gpu_cells())
    artifacts.save(Artifact("gpu", "full", {"not_run": others, "machine": {"card": "NVIDIA H100"}}, ORIGIN))
    found = {cell.name: cell.measured for cell in full_scale.gpu_cells() if cell.measured}
    assert found == {first: "NVIDIA H100, 2026-12-01"}
    text = "\n".join(full_scale_lines())
    assert f"- `{first}`: NVIDIA H100, 2026-12-01" in text
    assert full_scale.NOT_YET in text


def test_the_list_of_cells_is_that_of_the_benchmark():
    root = Path(__file__).parents[2]
    sys.path.insert(0, str(root))
    from benchmarks import gpu

    names = [str(cell) for cell in gpu.cells(tiny=False)]
    listed = (root / "benchmarks" / "gpu_cells.txt").read_text("utf-8").split()
    assert listed == names, "write it anew: python -m benchmarks.gpu --list > benchmarks/gpu_cells.txt"
