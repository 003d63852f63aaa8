"""Each benchmark runs on tiny sizes and writes its section, keeping the others."""

import importlib
import importlib.util
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
    if name in ("cpu_lm", "diffuse_cpu"):
        pytest.importorskip("trl")
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


def test_training_that_differs_from_trl_is_refused(monkeypatch):
    pytest.importorskip("trl")
    from benchmarks import _lm, cpu_lm

    def too_large_a_step(model, optimiser, batch, **_):
        for group in optimiser.param_groups:
            group["lr"] = 2 * cpu_lm.LR
        return right(model, optimiser, batch)

    right = _lm.tree_step
    monkeypatch.setattr(_lm, "tree_step", too_large_a_step)
    with pytest.raises(RuntimeError, match="weights"):
        cpu_lm.against_trl(cpu_lm.TINY_CELLS[0], tiny=True)


def test_a_target_that_differs_from_trl_is_refused(monkeypatch):
    pytest.importorskip("trl")
    from benchmarks import _lm, diffuse_cpu

    def uneven(model, optimiser, batch, *, weights):
        return right(model, optimiser, batch, weights=weights * torch.linspace(0.5, 1.5, len(weights)))

    import torch

    right = _lm.tree_step
    monkeypatch.setattr(_lm, "tree_step", uneven)
    with pytest.raises(RuntimeError, match="losses"):
        diffuse_cpu.training(diffuse_cpu.TINY_STEPS[0], tiny=True)


def test_draws_that_differ_from_generate_are_refused(monkeypatch):
    from benchmarks import diffuse_cpu

    monkeypatch.setattr(diffuse_cpu, "generated", lambda *args, **kwargs: [[0]] * 4)
    with pytest.raises(RuntimeError, match="likeliest"):
        diffuse_cpu.drawing(diffuse_cpu.TINY_DRAWS[0], tiny=True, repeats=1)


def test_gradients_that_differ_are_refused(monkeypatch):
    from benchmarks import spa_cpu

    monkeypatch.setattr(spa_cpu, "vmapped", lambda model, some: 1.001 * spa_cpu.batch_gradients(model, some))
    with pytest.raises(RuntimeError, match=r"differ by 1\.0e-03"):
        spa_cpu.gradient_row(spa_cpu.TINY_PASSES[0], tiny=True)


def test_adapters_that_write_other_tokens_are_refused(monkeypatch):
    from benchmarks import spa_cpu

    monkeypatch.setattr(spa_cpu, "generated", lambda *args, **kwargs: [[0]])
    with pytest.raises(RuntimeError, match="same tokens"):
        spa_cpu.decoding_row(spa_cpu.TINY_ASKED[0], tiny=True)


def test_the_reference_datainf_is_the_formula_and_ours():
    """One matrix, two pairs, one query, by hand: λ = 0.1·(4 + 1)/2 = 0.25."""
    import torch

    from benchmarks.spa_attribution import reference_datainf
    from mrtlab.spa.influence import datainf

    told, asked = [{"a": torch.tensor([[g]])} for g in (2.0, 1.0)], [{"a": torch.tensor([[1.0]])}]
    found = reference_datainf(told, asked)
    bent = ((1 - 2 / 4.25 * 2) + (1 - 1 / 1.25)) / (2 * 0.25)
    np.testing.assert_allclose(found[:, 0], [2 * bent, bent], rtol=1e-6)
    np.testing.assert_allclose(found, datainf(np.array([[2.0], [1.0]]), np.array([[1.0]])), rtol=1e-6)


def test_methods_that_should_agree_and_do_not_are_refused():
    from benchmarks.spa_attribution import check

    check(np.array([1.0, 2.0]), np.array([1.0, 2.0]), "both", scale=1e-9)
    with pytest.raises(RuntimeError, match="both differ"):
        check(np.array([1.0, 3.0]), np.array([1.0, 2.0]), "both", scale=0.1)


def test_copies_and_trees_have_one_loss_and_one_gradient():
    from benchmarks import _lm, cpu_lm

    model = cpu_lm.llama(tiny=True)
    batch = cpu_lm.TINY_CELLS[0].batch(np.random.default_rng(0), 64)
    together = _lm.copies_backward(model, batch)
    gradient = _lm.flat([p.grad for p in model.parameters()])
    model.zero_grad()
    one_by_one = _lm.copies_backward(model, batch, rows=1)
    loss = cpu_lm.backward(model, [batch.tree()], [batch.token_mean()])
    both = _lm.flat([p.grad for p in model.parameters()])
    assert float(together) == pytest.approx(float(one_by_one), rel=1e-6)
    assert float(together) == pytest.approx(float(loss), rel=1e-6)
    assert float((both - 2 * gradient).norm() / gradient.norm()) < 1e-5


def test_gpu_dry_run_measures_every_side_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    from benchmarks import gpu
    from mrtlab.lab import artifacts

    monkeypatch.setenv("MRTLAB_CACHE", str(tmp_path))
    gpu.main(["--dry-run", "--only", "qwen3-4b/full"])
    assert "qwen25-05b" not in capsys.readouterr().out
    gpu.main(["--dry-run"])
    said = capsys.readouterr().out
    assert said.count("(kept)") == 1
    kinds = [cell.path[0] for cell in gpu.cells(tiny=True)]
    assert {kind: kinds.count(kind) for kind in kinds} == {"cells": 9, "epoch": 2, "score": 2, "decode": 2}
    for right, kind in (("gradient", "cells"), ("log-probabilities", "score")):
        assert said.count(f"{right} agree") == kinds.count(kind)
    assert said.count("same tokens") == kinds.count("decode")
    assert "DIFFER" not in said
    found = artifacts.load("gpu", "smoke")
    assert found.results["not_run"] == []
    assert found.provenance["versions"]["torch"]
    cell = found.results["cells"]["qwen25-15b"]["lora"]["12-4-3"]
    assert cell["sides"]["flex"]["forward_gap_nats"] < 1e-4
    for side in ("copies", "row", "paths", "branches"):
        assert cell["sides"][side]["seconds"] > 0
        assert cell["sides"][side]["loss"] == pytest.approx(cell["sides"]["copies"]["loss"], rel=1e-4)
    assert 1 < cell["saved_activations_ratio"] < 3
    assert cell["trainable"] < cell["parameters"] / 2
    if importlib.util.find_spec("trl"):
        assert cell["sides"]["trl"]["loss"] == pytest.approx(cell["sides"]["copies"]["loss"], rel=1e-4)
        assert said.count("losses agree") == kinds.count("epoch")
        epoch = found.results["epoch"]["qwen25-15b"]["lora"]["8-4-3"]
        assert len(epoch["sides"]["ours"]["losses"]) == len(epoch["sides"]["trl"]["losses"]) == epoch["steps"] == 3
    score = found.results["score"]["qwen25-15b"]["numbers-6"]
    assert score["tokens"] < score["tokens_as_copies"] / 3
    assert all(score["sides"][side]["gap_nats"] < 1e-3 for side in ("tree", "plain", "stem"))
    decode = found.results["decode"]["qwen25-15b"]["1-5-4-all"]
    assert decode["same_tokens"] == {"turn": 1.0, "mixed": 1.0}


def test_gpu_cells_that_matter_most_come_first(capsys):
    from benchmarks import gpu

    gpu.main(
        ["--list", "--only", "qwen25-15b/full/1024-128", "epoch/qwen25-15b/full/512", "score/qwen25-15b/numbers-64"]
    )
    first, second, third = capsys.readouterr().out.split()
    assert [first, second, third] == [
        "qwen25-15b/full/1024-128-8",
        "epoch/qwen25-15b/full/512-128-8",
        "score/qwen25-15b/numbers-64",
    ]
    names = [str(cell) for cell in gpu.cells(tiny=False)]
    assert len(set(names)) == len(names) == 80


def test_a_broken_cell_is_told_and_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    from benchmarks import _gpu_decode, gpu
    from mrtlab.lab import artifacts

    def breaks(*args, **kwargs):
        raise RuntimeError("a library refuses")

    monkeypatch.setenv("MRTLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(_gpu_decode, "measure", breaks)
    with pytest.raises(SystemExit, match="broken, and not in the artifact: decode/qwen25-15b/1-5-4-all"):
        gpu.main(["--dry-run", "--only", "1-5-4-all", "score/qwen25-15b/numbers-6"])
    assert "a library refuses" in capsys.readouterr().err
    found = artifacts.load("gpu", "smoke").results
    assert "decode/qwen25-15b/1-5-4-all" in found["not_run"]
    assert found["score"]["qwen25-15b"]["numbers-6"]["best"] == "tree"


def test_scores_that_are_off_do_not_agree(monkeypatch):
    import torch

    from benchmarks import _gpu_score, cpu_lm
    from mrtlab.lm import leaf_logprobs

    model = cpu_lm.llama(tiny=True).eval()
    batch = _gpu_score.TINY_CASES["numbers-6"].batch(64)
    monkeypatch.setattr(
        _gpu_score, "leaf_logprobs", lambda *args, **kwargs: [logp + 0.01 for logp in leaf_logprobs(*args, **kwargs)]
    )
    with torch.no_grad():
        found = _gpu_score.measure(model, batch, repeats=1)
    assert {name: side["agrees"] for name, side in found["sides"].items()} == {
        "tree": False,
        "plain": True,
        "stem": True,
    }
    assert "log-probabilities DIFFER: tree" in _gpu_score.Score("m", "numbers-6").line(found)


def test_an_epoch_whose_losses_are_off_does_not_agree():
    from benchmarks import _gpu_epoch, cpu_lm

    model = cpu_lm.llama(tiny=True)
    ours = {"seconds": 1.0, "peak_gib": 2.0, "losses": [1.0, 2.0]}
    sides = {"ours": ours, "trl": ours | {"seconds": 3.0, "peak_gib": 5.0}}
    assert _gpu_epoch._ratios(model, sides) == {
        "best": "ours", "ratio_trl": 3.0, "memory_ratio": 2.5, "loss_gap": 0.0, "agrees": True
    }  # fmt: skip
    assert not _gpu_epoch._ratios(model, sides | {"trl": ours | {"losses": [1.0, 2.01]}})["agrees"]


def test_adapters_that_say_other_things_are_told(monkeypatch):
    from benchmarks import _gpu_decode, cpu_lm, spa_cpu

    model, names = spa_cpu.with_adapters(cpu_lm.llama(tiny=True).eval(), spa_cpu.QV)
    asked = _gpu_decode.TINY_ASKED["2-5-4-qv"]
    assert _gpu_decode._same_in_single(model, names, asked)
    monkeypatch.setattr(spa_cpu, "generated", lambda model, rows, length, **_: [[0] * length] * len(rows))
    assert not _gpu_decode._same_in_single(model, names, asked)
    assert _gpu_decode._shared([[1, 2, 3], [4, 5, 6]], [[1, 2, 9], [4, 0, 6]]) == 0.5


def test_what_does_not_fit_is_halved_or_named():
    import torch

    from benchmarks._gpu_tools import most_that_fit, why

    def needs(size):
        if size > 30:
            raise torch.OutOfMemoryError("too much")

    assert most_that_fit(needs, 64) == 16
    assert most_that_fit(needs, 100) == 25
    assert most_that_fit(lambda size: needs(100), 8) == 0
    assert why(torch.OutOfMemoryError("x")) == "out of memory"
    assert why(ValueError("first\nsecond")) == "ValueError: first"


def test_a_gradient_that_is_off_does_not_agree():
    from benchmarks import _gpu_cell, _lm, cpu_lm

    model = cpu_lm.llama(tiny=True)
    batch = cpu_lm.TINY_CELLS[0].batch(np.random.default_rng(0), 64)
    _lm.copies_backward(model, batch)
    right = _gpu_cell._sample(model)
    model.zero_grad()
    sides = {"copies": right, "same": right, "scaled": 1.01 * right}
    found = _gpu_cell._agreement(model, batch, sides, rows=3, truth=True)["sides"]
    assert found["same"]["agrees"]
    assert not found["scaled"]["agrees"]
