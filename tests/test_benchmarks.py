"""Each benchmark runs on tiny sizes and writes its section, keeping the others."""

import importlib
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is not part of the installed package

from benchmarks import _timing
from benchmarks.variance_sim import Table, alias_tables, choice_loop, inverse_cdf, make_fused


@pytest.fixture(autouse=True)
def _give_the_cores_back():
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own
        yield
    if cores:
        os.sched_setaffinity(0, cores)


@pytest.mark.parametrize("name", _timing.SECTIONS)
def test_script_writes_a_table(name, tmp_path, capfd):
    out = tmp_path / "RESULTS.md"
    importlib.import_module(f"benchmarks.{name}").main(["--tiny", "--out", str(out)])
    text = out.read_text("utf-8")
    assert f"<!-- {name} -->" in text
    assert text.count("| --- |") >= 1
    assert "Before the run" in text
    assert "What bounds it" in text
    assert "commit" in text
    assert "##" in capfd.readouterr().out


def test_sections_keep_each_other(tmp_path):
    out = tmp_path / "RESULTS.md"
    _timing.write_section("metrics", "first", out=out, packages=())
    _timing.write_section("selection", "second", out=out, packages=())
    _timing.write_section("metrics", "third", out=out, packages=())
    text = out.read_text("utf-8")
    assert "first" not in text
    assert text.index("second") < text.index("third")


def test_a_missed_aim_says_by_how_much():
    row = _timing.Comparison(work="w", peer="p", ours_s=2e-6, peer_s=60e-6, unit=("µs", 1e-6), difference="0", aim=60.0)
    assert row.cells()[2:6] == ["2 µs", "60 µs", "30×", "60×: missed, 50 % of it"]


def test_interleaved_takes_turns_and_returns_medians():
    calls = []
    times = _timing.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert set(times) == {"a", "b"}
    assert all(seconds >= 0 for seconds in times.values())
    assert calls.count("a") > 3


def test_samplers_agree_with_the_probabilities():
    rng = np.random.default_rng(0)
    world = Table(3, 4, 20_000, rng=rng)
    exact = (world.p * world.value).sum(1).mean()
    for draw in filter(None, (choice_loop, inverse_cdf, make_fused())):
        assert abs(draw(world, rng) - exact) < 5 * np.sqrt(world.exact())


def test_alias_tables_hold_the_distribution():
    p = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    keep, other = alias_tables(p)
    rebuilt = keep.copy()
    for row in range(2):
        np.add.at(rebuilt[row], other[row], 1 - keep[row])
    np.testing.assert_allclose(rebuilt / 3, p, atol=1e-12)
