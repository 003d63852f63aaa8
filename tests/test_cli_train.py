"""`mrtlab select` and `mrtlab train mrt` as people and programs use them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from mrtlab import cli_select, cli_train
from mrtlab.cli import app
from mrtlab.lm import shelf
from mrtlab.lm.models import load_model
from mrtlab.show.training_report import headline

FRUITS = ("plum", "fig", "pear", "kiwi", "date", "lime")


@pytest.fixture(autouse=True)
def place(tmp_path, tiny_folder, monkeypatch):
    """An empty folder to work in, with a file of answers; the tiny model takes the place of the embedded one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(shelf, "EMBEDDED", tiny_folder)
    lines("answers.jsonl", rows())
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def rows(n=10, k=6):
    """n prompts with k scored responses."""
    return [
        {
            "prompt": f"Name fruit {i}.",
            "responses": [FRUITS[(i + j) % len(FRUITS)] for j in range(k)],
            "scores": [((i + j) * 7 % 10) / 10 for j in range(k)],
        }
        for i in range(n)
    ]


def lines(name, content):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in content))


def call(*arguments, code=0):
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def train(*arguments, code=0, out="a"):
    quick = ("--epochs", 2, "--batch-prompts", 3, "--lora-rank", 4, "--device", "cpu")
    return call("train", "mrt", "answers.jsonl", "--out", out, *quick, *arguments, code=code)


def complaint(*arguments, code=2):
    """The sentence on standard error; nothing on standard output."""
    result = call(*arguments, code=code)
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("mrtlab: ")
    return last


@pytest.mark.parametrize(
    ("command", "text"), [(("select",), cli_select.EXAMPLES), (("train", "mrt"), cli_train.EXAMPLES)]
)
def test_help_has_two_examples_whose_options_exist(command, text):
    shown = re.sub(r"\s+", " ", call(*command, "--help").stdout)
    examples = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    assert len(examples) == 2
    for example in examples:
        words = shlex.split(example)
        assert words[1 : 1 + len(command)] == [*command]
        assert " ".join(example.split()[:3]) in shown
        for option in (word for word in words if word.startswith("--")):
            assert option in shown


class TestSelect:
    def test_top_keeps_the_best_and_the_table_says_so(self):
        text = call("select", "answers.jsonl", "--k", 2, "--rule", "top", "--out", "c.jsonl").stdout
        kept = [json.loads(line) for line in Path("c.jsonl").read_text().splitlines()]
        for old, new in zip(rows(), kept, strict=True):
            assert sorted(new["scores"]) == sorted(old["scores"])[-2:]
            assert [old["scores"][old["responses"].index(r)] for r in new["responses"]] == new["scores"]
        mean = sum(sum(row["scores"]) / 2 for row in kept) / 10
        assert f"{mean:.3g}" in text
        assert "mrtlab train mrt c.jsonl --rule all" in text

    def test_json_counts_what_was_kept(self):
        lines("two.jsonl", [{"prompt": "p", "responses": ["red plum", "red plum", "kiwi"]}])
        arguments = ("select", "two.jsonl", "--k", 2, "--rule", "diverse", "--out", "c.jsonl.gz", "--json")
        content = json.loads(call(*arguments).stdout)
        assert content["before"] == {
            "prompts": 1, "responses": 3, "score": None, "different": 2.0, "diversity": pytest.approx(2 / 3),
        }  # fmt: skip
        assert content["after"]["diversity"] == pytest.approx(1.0)

    @pytest.mark.parametrize("rule", ["random", "softmax"])
    def test_the_seed_decides(self, rule):
        def kept(seed):
            call("select", "answers.jsonl", "--k", 2, "--rule", rule, "--seed", seed, "--out", "c.jsonl", "--force")
            return Path("c.jsonl").read_text()

        assert kept(1) == kept(1) != kept(2)

    def test_nothing_is_written_over_unless_asked(self):
        Path("c.jsonl").write_text("mine")
        assert "add --force" in complaint("select", "answers.jsonl", "--out", "c.jsonl")
        assert Path("c.jsonl").read_text() == "mine"
        call("select", "answers.jsonl", "--out", "c.jsonl", "--force")
        assert len(Path("c.jsonl").read_text().splitlines()) == 10

    def test_rows_of_other_names_are_pooled_and_that_is_said(self):
        lines("r.jsonl", [{"q": "p", "a": text, "s": s} for s, text in enumerate(FRUITS)])
        names = ("--prompt-column", "q", "--response-column", "a", "--score-column", "s")
        result = call("select", "r.jsonl", "--k", 1, "--rule", "top", *names, "--out", "c.jsonl")
        assert json.loads(Path("c.jsonl").read_text())["responses"] == ["lime"]
        assert "6 lines hold 1 different prompts" in result.stderr

    def test_one_response_for_each_prompt_is_noted(self):
        lines("one.jsonl", rows(k=1))
        result = call("select", "one.jsonl", "--out", "c.jsonl")
        assert "a K above 1 has no effect" in result.stderr


BROKEN = {
    "empty.jsonl": b"\n",
    "list.jsonl": b'["a"]\n',
    "types.jsonl": b'{"prompt": "p", "responses": ["a", 3]}\n',
    "none.jsonl": b'{"prompt": "p", "responses": ["a", "b"], "scores": [1, "x"]}\n',
    "mixed.jsonl": '{"prompt": "p", "response": "ä"}\n'.encode()
    + '{"prompt": "q", "response": "ä"}\n'.encode("cp1252"),
    "half.jsonl": b'{"prompt": "p", "responses": ["a"]}\n{"prompt": "p", "resp',
    "fields.jsonl": b'{"question": "p", "responses": ["a"]}\n',
    "some.jsonl": b'{"prompt": "p", "response": "a", "score": 1}\n{"prompt": "p", "response": "b"}\n',
}
SAID = {
    "empty.jsonl": "empty.jsonl: the file holds no records",
    "list.jsonl": "list.jsonl, line 1: a list where an object should be",
    "types.jsonl": "types.jsonl, line 1: responses must be a list of texts, got 3",
    "none.jsonl": "none.jsonl, line 1: scores[1] is 'x', expected a finite number",
    "mixed.jsonl": "mixed.jsonl, line 2: the text is not UTF-8",
    "half.jsonl": "half.jsonl, line 2: not valid JSON",
    "fields.jsonl": "say which it is with --prompt-column",
    "some.jsonl": "some.jsonl, line 2: the prompt of line 1 again: only some of its responses have scores",
    "missing.jsonl": "missing.jsonl: there is no such file",
    ".": "this is a folder. Give the name of a file in it",
}


@pytest.mark.parametrize("command", [("select",), ("train", "mrt")])
@pytest.mark.parametrize("name", SAID)
def test_broken_files_get_one_sentence_and_leave_nothing(place, command, name):
    for file, content in BROKEN.items():
        (place / file).write_bytes(content)
    assert SAID[name] in complaint(*command, name, "--out", "out")
    assert not (place / "out").exists()


@pytest.mark.parametrize("command", [("select",), ("train", "mrt")])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rule", "best"), "choose from all, random, top"),
        (("--rule", "top"), "has none: add scores, or choose random or diverse"),
        (("--k", 0), "--k must be 1 or more, got 0"),
        (("--temperature", 0), "--temperature must be above 0"),
        (("--similarity", "meaning"), "one of runs, words, characters"),
    ],
)
def test_rules_that_cannot_work_are_refused(command, options, message):
    lines("plain.jsonl", [{"prompt": "p", "responses": [*"abcdefghij"]}, {"prompt": "q", "responses": ["a"]}])
    assert message in complaint(*command, "plain.jsonl", "--out", "out", *options)


class TestTrain:
    def test_from_a_file_to_an_adapter_its_report_and_the_next_command(self, place):
        result = train("--k", 3, "--lr", 0.02)
        assert "step 6/6, loss" in result.stderr
        assert {"adapter_config.json", "adapter_model.safetensors", "held_out.jsonl", "report.html"} <= names("a")
        assert not {"checkpoints", "new"} & names("a")
        assert json.loads(Path("a/adapter_config.json").read_text())["base_model_name_or_path"] == "embedded"
        found = json.loads(Path("a/run.json").read_text())
        (held_out,) = (json.loads(line) for line in Path("a/held_out.jsonl").read_text().splitlines())
        assert held_out["prompt"] == found["before"]["held_out"]["examples"][0]["prompt"]
        for command in re.findall(r"Next: +mrtlab (.*)", result.stdout):
            call(*shlex.split(command), *(("--max-new-tokens", 3) if command.startswith("sample") else ()))
        content = json.loads(call("evaluate", "--data", "a/held_out.jsonl", "--model", "a", "--json").stdout)
        assert -content["numbers"]["logp"][0] == pytest.approx(found["change"]["held_out"]["nll"]["after"][0], abs=1e-4)
        page = Path("a/report.html").read_text()
        assert page.rstrip().endswith("</html>")
        assert "<script" not in page
        assert not re.search(r'(src|href)="', page)
        assert f"{found['cost']['tokens_copies']:,}" in page

    def test_training_lowers_the_loss_and_the_cost_is_that_of_trees(self):
        content = json.loads(train("--k", 3, "--lr", 0.02, "--epochs", 5, "--json").stdout)
        for name in ("before", "after"):
            assert len(content[name]["train"]["nll"]) == 9
        assert content["change"]["train"]["nll"]["change"][2] < 0
        assert len(content["loss"]) == content["cost"]["steps"] == 15
        assert content["loss"][-1][1] < content["loss"][0][1]
        assert content["cost"]["responses"] == 5 * 9 * 3
        assert content["cost"]["tokens_tree"] < content["cost"]["tokens_copies"]

    def test_all_weights_in_a_single_step(self):
        content = json.loads(train("--full", "--epochs", 1, "--batch-prompts", 20, "--lr", 0.01, "--json").stdout)
        assert content["after"]["train"]["nll"] != content["before"]["train"]["nll"]
        model, _ = load_model("a", device="cpu")
        assert content["trained"] == sum(p.numel() for p in model.parameters())
        assert "adapter_config.json" not in names("a")

    def test_an_adapter_on_an_adapter(self, place, tiny_folder):
        train("--lr", 0.05, "--eval-share", 0)
        content = json.loads(train("--model", "a", "--eval-share", 0, "--json", out="b").stdout)
        first = json.loads(Path("a/run.json").read_text())
        assert content["before"]["train"]["nll"] == pytest.approx(first["after"]["train"]["nll"], abs=1e-4)
        assert json.loads(Path("b/adapter_config.json").read_text())["base_model_name_or_path"] == str(place / "a")
        call("sample", "Hello.", "-n", 2, "--max-new-tokens", 2, "--model", "b")

    def test_very_long_lines_are_left_out_and_that_is_said(self):
        long = [{"prompt": "p", "responses": ["word " * 5000, "kiwi"]}, {"prompt": "q", "responses": ["word " * 5000]}]
        lines("answers.jsonl", [*rows(4), *long])
        result = train()
        assert "were left out: 2, and with them 1 prompts that have no other" in result.stderr
        assert "were left out: 2" in Path("a/report.html").read_text()
        lines("answers.jsonl", long[1:])
        assert "no response fits into" in complaint("train", "mrt", "answers.jsonl", "--out", "b")

    def test_one_response_for_each_prompt_is_noted(self):
        lines("answers.jsonl", rows(k=1))
        assert "a K above 1 has no effect" in train().stderr

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--eval-share", 1), "--eval-share must be 0 or more and below 1"),
            (("--lr", 0), "lr must be a positive number"),
            (("--normalisation", "words"), "it must be token or response"),
            (("--max-length", 3), "no response fits into 3 tokens"),
            (("--model", "nowhere/at/all"), "there is no folder nowhere/at/all"),
        ],
    )
    def test_settings_that_make_no_sense(self, options, message):
        assert message in complaint("train", "mrt", "answers.jsonl", "--out", "a", *options)
        assert not Path("a").exists()

    def test_a_run_that_goes_astray_says_so(self):
        quick = ("--epochs", 9, "--batch-prompts", 2, "--device", "cpu", "--lr", 1e30)
        assert "try again with a smaller lr" in complaint("train", "mrt", "answers.jsonl", "--out", "a", *quick)

    def test_folders_that_are_taken(self):
        Path("full").mkdir()
        Path("full/thesis.txt").write_text("mine")
        assert "is not empty" in complaint("train", "mrt", "answers.jsonl", "--out", "full")
        assert "no folder nowhere" in complaint("train", "mrt", "answers.jsonl", "--out", "nowhere/a", code=1)
        train()
        again = ("train", "mrt", "answers.jsonl", "--out", "a")
        assert "holds a finished run" in complaint(*again, "--resume")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ([-0.5, -0.8, -0.1], "Responses became likelier"),
        ([0.5, 0.1, 0.8], "Responses became less likely"),
        ([-0.5, -0.8, 0.1], "No clear change"),
    ],
)
def test_the_headline_says_what_the_interval_allows(change, words):
    numbers = {"before": [3.0, 2.9, 3.1], "after": [3.0 + change[0], 2.0, 4.0], "change": change}
    found = {"change": {"held_out": {"nll": numbers}}, "before": {"held_out": {"nll": [3.0] * 5}}}
    assert headline(found).startswith(words)
    found["before"]["held_out"]["nll"].pop()
    assert headline(found).startswith("Too little to judge by")


class TestStopped:
    def test_killed_and_resumed_it_ends_at_the_same_weights(self, place, tiny_folder):
        lines("answers.jsonl", rows(36))
        killed = start(tiny_folder, "killed")
        wait_for(killed, lambda: [*place.glob("killed/checkpoints/checkpoint-*/written-to-its-end")])
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        again = ("train", "mrt", "answers.jsonl", "--out", "killed", "--model", tiny_folder)
        assert "add --resume" in complaint(*again)
        assert "another epochs, 8 instead of 3" in complaint(*again, "--resume")
        call(*words(tiny_folder, "straight"))
        call(*words(tiny_folder, "killed"), "--resume")
        same_run("killed", "straight")

    def test_cut_off_after_the_last_step_it_only_has_to_measure_and_save(self, tiny_folder, monkeypatch):
        from mrtlab.training import fine_tune

        def cut_off(*_, **__):
            raise KeyboardInterrupt

        call(*words(tiny_folder, "straight"))
        with monkeypatch.context() as patch:
            patch.setattr(fine_tune, "save_model", cut_off)
            call(*words(tiny_folder, "cut"), code=130)
        call(*words(tiny_folder, "cut"), "--resume")
        same_run("cut", "straight")

    def test_another_file_is_no_resuming(self, tiny_folder, monkeypatch):
        monkeypatch.setattr("mrtlab.training.fine_tune._trainer", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        call(*words(tiny_folder, "a"), code=130)
        lines("answers.jsonl", rows(7))
        assert "is not the file that the run in a began with" in complaint(*words(tiny_folder, "a"), "--resume")

    def test_what_was_left_out_is_said_before_too_little_is_left(self, tiny_folder):
        lines("answers.jsonl", [{"prompt": "p", "responses": ["a", "b"]}, {"prompt": "x " * 3000, "responses": ["a"]}])
        result = call(*words(tiny_folder, "a"), "--max-length", 64, code=2)
        assert "left out: 1, and with them 1 prompts" in result.stderr
        assert "there is one prompt, so none can be held out" in result.stderr.splitlines()[-1]

    def test_a_full_disk_is_said_and_the_run_goes_on_later(self, tiny_folder):
        """A limit on the size of files stands for the disk: weights are larger, run.json is not."""
        resource = pytest.importorskip("resource", reason="there are no such limits here")
        lines("answers.jsonl", rows())
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            said = complaint(*words(tiny_folder, "full"), code=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "cannot write to full" in said
        assert "repeat the command with --resume" in said
        call(*words(tiny_folder, "full"), "--resume")

    def test_a_place_where_nothing_can_be_written_is_refused_at_once(self, tiny_folder):
        if not Path("/proc/self").is_dir():
            pytest.skip("there is no /proc here")
        result = call(*words(tiny_folder, "/proc/adapter"), code=1)
        assert "cannot write to /proc/adapter" in result.stderr
        assert "measured" not in result.stderr

    def test_ctrl_c_says_how_to_go_on(self, place, tiny_folder):
        lines("answers.jsonl", rows(36))
        child = start(tiny_folder, "a")
        wait_for(child, lambda: [*place.glob("a/checkpoints/checkpoint-*")])
        child.send_signal(signal.SIGINT)
        out, said = child.communicate(timeout=60)
        assert child.returncode == 130
        assert out == ""
        assert "Traceback" not in said
        assert "to go on: mrtlab train mrt answers.jsonl" in said.strip().splitlines()[-1]
        assert said.strip().endswith("--resume")


class TestAdapters:
    @pytest.fixture
    def folder(self, place):
        train("--epochs", 1)
        return place / "a"

    def test_what_is_wrong_with_one_is_said(self, folder, monkeypatch, place):
        config = json.loads((folder / "adapter_config.json").read_text())
        for base, message in ((None, "names no base model"), ("./gone", "cannot load the base model of the adapter")):
            (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": base}))
            with pytest.raises(ValueError, match=message):
                load_model("a", device="cpu")
        (folder / "adapter_config.json").write_text(json.dumps(config))
        (folder / "adapter_model.safetensors").unlink()
        with pytest.raises(ValueError, match="without its weights"):
            load_model("a", device="cpu")

    def test_models_says_what_it_is(self, folder):
        text = re.sub(r"\s+", " ", call("models", "a").stdout)
        assert "base model embedded" in text
        assert "rank 4" in text
        assert "answers.jsonl, 9 prompts, random 8 responses, 1 epochs" in text
        content = json.loads(call("models", "a", "--json").stdout)[1]
        assert (content["kind"], content["base"], content["rank"]) == ("adapter", "embedded", 4)
        assert content["parameters"] == sum(
            weight.numel() for weight in load_file("a/adapter_model.safetensors").values()
        )

    def test_models_without_a_run_or_with_a_damaged_one(self, folder):
        (folder / "run.json").unlink()
        assert "there is no run.json" in call("models", "a").stdout
        (folder / "adapter_config.json").write_text("{")
        assert "is no JSON object" in complaint("models", "a")

    def test_every_command_takes_it(self, folder):
        assert json.loads(call("sample", "Name fruit 1.", "--n", 3, "--model", "a", "--json").stdout)["n"] == 3
        assert call("evaluate", "--data", "answers.jsonl", "--model", "a").stdout
        plan = json.loads(call("plan", "answers.jsonl", "--model", "a", "--measure-prompts", 3, "--json").stdout)
        assert plan["weights"] == "all trainable weights"
        gate = call("evaluate", "--gate", "--n-questions", 1, "--model", "a", "--json", code=3)
        assert json.loads(gate.stdout)["gate"]

    def test_the_embedded_base_is_found_wherever_the_package_lies(self, folder, place, tiny_folder, monkeypatch):
        monkeypatch.setattr(shelf, "EMBEDDED", shutil.copytree(tiny_folder, place / "elsewhere"))
        model, tokenizer = load_model(str(folder), device="cpu")
        assert type(model).__name__ == type(load_model(device="cpu")[0]).__name__
        assert tokenizer.chat_template


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def words(model, out):
    """A longer run."""
    return ["train", "mrt", "answers.jsonl", "--out", out, "--model", str(model), "--epochs", "8", "--device", "cpu"]


def start(model, out):
    """The same as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "mrtlab.cli", *words(model, out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )


def wait_for(child, ready):
    deadline = time.monotonic() + 300  # a busy machine; the test's point is what happens afterwards
    while not ready() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ready() or child.poll() is not None, "nothing happened for five minutes"
    assert child.poll() is None, child.communicate()[1][-2000:]


def same_run(one, other):
    """Weights and losses alike to the last digit."""
    found, wanted = (load_file(Path(name, "adapter_model.safetensors")) for name in (one, other))
    assert found.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=0)
    losses = [json.loads(Path(name, "run.json").read_text())["loss"] for name in (one, other)]
    assert losses[0] == losses[1]
