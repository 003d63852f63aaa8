"""`step_cost`: its fit finds constants that made the numbers, its errors are those by hand, its cells measure."""

import json

import numpy as np
import pytest

from mrtlab.lab import artifacts, step_cost
from mrtlab.lab.step_cost import StepCell, cells, errors, fit, foretold, run_cell, summarise, table


def test_fit_finds_the_constants_under_noise():
    rng = np.random.default_rng(1)
    terms = np.exp(rng.normal(size=(60, 4))) * [1e-2, 1e-2, 1e3, 1e-3]
    truth = np.array([0.8, 0.3, 2e-5])
    measured = foretold(terms, truth) * np.exp(0.05 * rng.normal(size=60))
    assert fit(terms, measured) == pytest.approx(truth, rel=0.15)


def test_errors_by_hand():
    groups = np.array(["a"] * 5 + ["b"] * 5)
    ratio = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 0.9, 0.8, 0.7, 0.6, 0.5])
    found = errors(ratio, np.ones(10), groups)
    assert found["typical"]["mean"] == pytest.approx(0.25)
    assert found["nine_in_ten"]["mean"] == pytest.approx(np.quantile(np.abs(ratio - 1), 0.9))
    assert found["bias"]["mean"] == pytest.approx(np.exp(np.log(ratio).mean()) - 1)
    for name in found:
        assert found[name]["lo"] < found[name]["mean"] < found[name]["hi"]


def test_a_cell_measures_what_was_foretold_of_memory():
    cell = StepCell(shape="llama-128", case=(16, 4, 4), kind="lora", checkpointing=False, repeats=2, seed=0)
    found = run_cell(cell)
    assert len(found["seconds"]) == 2
    assert min(found["seconds"]) > 0
    assert found["said"]["bytes"] == pytest.approx(found["bytes"], rel=0.05)


def test_held_out_shapes_take_no_part_in_the_fit(monkeypatch):
    """Their times are made ten times longer: the constants stay, the held-out error grows."""
    rng = np.random.default_rng(2)
    truth = np.array([0.5, 0.5, 1e-5])

    def outcomes(slower: float):
        found = []
        for i, cell in enumerate(cells("book")):
            terms = np.exp(np.random.default_rng(i).normal(size=(1, 4))) * [1e-2, 1e-2, 1e3, 0]
            said = {
                "flops": terms[0, 0] * 1e11, "traffic": terms[0, 1] * 1e10, "kernels": terms[0, 2], "trained": 0.0,
                "bytes": 1e6,
            }  # fmt: skip
            seconds = float(foretold(terms, truth)[0]) * (slower if cell.shape in step_cost.HELD_OUT else 1)
            drawn = (seconds * np.exp(0.01 * rng.normal(size=7))).tolist()
            found.append((cell, {"seconds": drawn, "bytes": 1.02e6, "said": said,
                                 "machine": {"rate": 1e11, "bandwidth": 1e10}}))  # fmt: skip
        return found

    plain, slow = summarise(outcomes(1.0)), summarise(outcomes(10.0))
    assert plain["constants"]["share"] == pytest.approx(0.5, rel=0.05)
    assert slow["constants"]["share"] == pytest.approx(0.5, rel=0.05)
    assert plain["time"]["held_out"]["typical"]["mean"] < 0.02
    assert slow["time"]["held_out"]["typical"]["mean"] == pytest.approx(0.9, abs=0.02)
    assert slow["time"]["fitted"]["typical"]["mean"] < 0.02
    assert plain["memory"]["held_out"]["bias"]["mean"] == pytest.approx(1 / 1.02 - 1)
    assert len(table(plain).rows) == 4


def test_constants_in_use_are_those_that_were_measured():
    from mrtlab.training.estimate import CPU_RATE

    path = artifacts.repository() / "artifacts" / "step_cost.book.json"
    found = json.loads(path.read_text("utf-8"))["results"]
    for name in ("share", "traffic", "per_kernel"):
        assert getattr(CPU_RATE, name) == pytest.approx(found["constants"][name], rel=0.02)
    assert CPU_RATE.error == pytest.approx(found["time"]["held_out"]["nine_in_ten"]["mean"], rel=0.02)
