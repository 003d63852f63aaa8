"""Two processes train the model that one process trains: same losses, same weights, and each goes on where the other
stopped. All cases run in one launch of two processes; most of its time is spent importing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cases
import pytest
import small
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from safetensors.torch import load_file
from typer.testing import CliRunner

from mrtlab import cli_common
from mrtlab.cli import app, main
from mrtlab.training.multiresponse import last_whole_checkpoint
from mrtlab.training.processes import team

AFRESH = ("full", "lora", "parts", "few", "diffuse", "asked", "stopped", "sharded", "sharded-lora", "sharded-stopped")
GOING_ON = (("lora", "stopped by one"), ("sharded-lora", "sharded-stopped"))  # a case, and where another one stopped
RECIPES = Path(__file__).parents[2] / "recipes" / "accelerate"
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


def launch(n, script, *words):
    """Run a script in n processes."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(cases.__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *LAUNCHER, str(n), *map(str, (script, *words))]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def command(tmp_path_factory, tiny_folder):
    """`mrtlab train mrt` on a small file, without the folder to make."""
    file = tmp_path_factory.mktemp("data") / "answers.jsonl"
    file.write_text(
        "".join(json.dumps({"prompt": r.prompt, "responses": r.responses}) + "\n" for r in small.records(13))
    )
    options = ("--batch-prompts", "5", "--epochs", "2", "--k", "3", "--lora-rank", "2", "--device", "cpu")
    return ["train", "mrt", str(file), "--model", str(tiny_folder), *options, "--out"]


@pytest.fixture(scope="module")
def launched(tmp_path_factory, command):
    """What two processes said, and the folder in which they trained every case, and a file by the command."""
    folder = tmp_path_factory.mktemp("two")
    cases.trained("stopped", folder / "stopped by one")
    names = json.dumps([*zip(AFRESH, AFRESH, strict=True), *GOING_ON])
    done = launch(2, cases.__file__, folder, names, json.dumps([*command, str(folder / "file")]))
    assert done.returncode == 0, done.stderr[-3000:]
    return done, folder


@pytest.fixture(scope="module")
def two(launched):
    """That folder."""
    return launched[1]


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


def test_one_that_is_asked_to_stop_stops_both_after_the_same_step(two):
    assert len(kept(two, "asked")["losses"]) == 3
    assert last_whole_checkpoint(two / "asked") == str(two / "asked" / "checkpoint-3")


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


def same_run(found, wanted):
    """Two folders of a run."""
    runs = [json.loads((place / "run.json").read_text()) for place in (found, wanted)]
    assert [run["used"]["processes"] for run in runs] == [2, 1]
    assert runs[0]["loss"] == [[step, pytest.approx(loss, abs=1e-5)] for step, loss in runs[1]["loss"]]
    for when in ("before", "after"):
        for name in ("held_out", "train"):
            assert runs[0][when][name]["nll"] == pytest.approx(runs[1][when][name]["nll"], abs=1e-4)
    assert sorted(path.name for path in found.iterdir()) == sorted(path.name for path in wanted.iterdir())
    adapters = [load_file(place / "adapter_model.safetensors") for place in (found, wanted)]
    assert adapters[0].keys() == adapters[1].keys()
    for name, weight in adapters[1].items():
        torch.testing.assert_close(adapters[0][name], weight, rtol=0, atol=1e-5)


def test_the_command_speaks_once_and_makes_what_it_makes_alone(launched, command, tmp_path):
    done, folder = launched
    assert done.stdout.count("Saved:  ") == 1
    assert done.stderr.count("million parameters") == 1
    alone = CliRunner().invoke(app, [*command, str(tmp_path / "file")])
    assert alone.exit_code == 0, alone.output
    same_run(folder / "file", tmp_path / "file")


def test_a_run_in_parts_makes_what_a_whole_one_makes(two, tmp_path):
    cases.whole_run(tmp_path / "whole")
    same_run(two / "in parts", tmp_path / "whole")


class TestVoice:
    """What a process says that is not the main one."""

    @pytest.fixture(autouse=True)
    def second_of_two(self, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setattr(cli_common, "_GRACE_S", 0.0)

    def said(self, monkeypatch, capsys, *words, code):
        monkeypatch.setattr(sys, "argv", ["mrtlab", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == code
        found = capsys.readouterr()
        assert found.out == ""
        return found.err

    def test_a_mistake_of_its_own_is_said_with_its_number(self, monkeypatch, capsys, tmp_path):
        said = self.said(monkeypatch, capsys, "train", "mrt", tmp_path / "no.jsonl", "--out", tmp_path / "out", code=2)
        assert said.startswith(f"Process 1 of 2: mrtlab: {tmp_path}/no.jsonl: there is no such file.")

    def test_what_all_say_is_left_to_the_main_process(self, monkeypatch, capsys):
        assert self.said(monkeypatch, capsys, "--version", code=0) == ""

    def test_what_is_no_mistake_of_the_user_is_shown_whole(self, monkeypatch, capsys):
        def broken():
            raise ZeroDivisionError("by chance")

        with pytest.raises(ZeroDivisionError), cli_common.one_voice():
            broken()
        assert capsys.readouterr().err == "Process 1 of 2: failed\n"

    def test_other_commands_run_in_one_process(self, monkeypatch, capsys):
        said = self.said(monkeypatch, capsys, "evaluate", "--data", "x.jsonl", code=2)
        assert "evaluate runs in one process, and 2 were launched" in said


def test_weights_are_spread_over_gpus_only(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(ValueError, match="on CPUs would keep whole copies without a word: take recipes/accelerate/ddp"):
        team()


def test_a_checkpoint_of_another_kind_is_refused(two):
    found = cases.CASES["lora"](two / "sharded-stopped")
    with pytest.raises(ValueError, match="cannot go on with whole copies of the weights: start it as before"):
        found.train(resume_from_checkpoint=True)


@pytest.mark.parametrize(("name", "kind"), [("ddp", "MULTI_GPU"), ("ddp_cpu", "MULTI_GPU"), ("fsdp2", "FSDP")])
def test_accelerate_reads_the_recipes(name, kind):
    found = load_config_from_file(str(RECIPES / f"{name}.yaml"))
    assert found.distributed_type == kind
    assert found.use_cpu == (name == "ddp_cpu")
    if name == "fsdp2":
        known = vars(launch_command_parser().parse_args(["script.py"]))
        assert set(found.fsdp_config) <= set(known)
        assert found.fsdp_config["fsdp_version"] == 2


def test_training_moved_the_weights(one):
    """Else equal weights would say nothing."""
    for name, model in (("full", small.model()), ("lora", cases.adapter(small.model()))):
        first = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])
        assert float((one(name)["weights"] - first).abs().mean()) > 1e-4
