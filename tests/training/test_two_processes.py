"""Two processes train the model that one process trains: same losses, same weights, and each goes on where the other
stopped. All cases run in one launch of two processes; most of its time is spent importing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cases
import pytest
import torch

AFRESH = ("full", "lora", "parts", "few", "diffuse", "stopped", "sharded", "sharded-lora", "sharded-stopped")
GOING_ON = (("lora", "stopped by one"), ("sharded-lora", "sharded-stopped"))  # a case, and where another one stopped
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


def launch(n, script, *words, **options):
    """Run a script in n processes."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(cases.__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *LAUNCHER, str(n), *map(str, (script, *words))]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, **options)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes trained every case."""
    folder = tmp_path_factory.mktemp("two")
    cases.trained("stopped", folder / "stopped by one")
    done = launch(2, cases.__file__, folder, json.dumps([*zip(AFRESH, AFRESH, strict=True), *GOING_ON]))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process makes of a case."""
    known = {}

    def train(name):
        if name not in known:
            known[name] = cases.trained(name, tmp_path_factory.mktemp("one") / name)
        return known[name]

    return train


def kept(folder, name, place=None):
    return torch.load(folder / f"{name} in {place or name}.pt")


def same(found, wanted):
    assert found["losses"].keys() == wanted["losses"].keys()
    for step, loss in wanted["losses"].items():
        assert found["losses"][step] == pytest.approx(loss, abs=1e-5)
    assert found["passes"] == pytest.approx(wanted["passes"], abs=1e-4)  # sums of many losses
    torch.testing.assert_close(found["weights"], wanted["weights"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["full", "lora", "parts", "few", "diffuse"])
def test_they_end_where_one_ends(two, one, name):
    same(kept(two, name), one(name))


@pytest.mark.parametrize(("name", "whole"), [("sharded", "full"), ("sharded-lora", "lora")])
def test_weights_in_parts_end_where_whole_copies_end(two, one, name, whole):
    same(kept(two, name), one(whole))


def test_two_go_on_where_one_stopped(two, one):
    found = kept(two, *GOING_ON[0])
    assert len(found["losses"]) == 6
    same(found, one("lora"))


def test_one_goes_on_where_two_stopped(two, one):
    assert len(kept(two, "stopped")["losses"]) == 4
    found = cases.CASES["lora"](two / "stopped")
    found.train(resume_from_checkpoint=True)
    same(cases.outcome(found), one("lora"))


def test_in_parts_they_go_on_where_they_stopped(two, one):
    same(kept(two, *GOING_ON[1]), one("lora"))


def test_training_moved_the_weights(one):
    """Else equal weights would say nothing."""
    for name, model in (("full", cases.small.model()), ("lora", cases.adapter(cases.small.model()))):
        first = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])
        assert float((one(name)["weights"] - first).abs().mean()) > 1e-4
