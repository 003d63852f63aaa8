"""`mrtlab targets` and `mrtlab train diffuse` as people and programs use them."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from mrtlab import cli_diffuse, cli_targets
from mrtlab.cli import app
from mrtlab.data.diffuse_set import diffuse_set
from mrtlab.data.discover import discover, validator
from mrtlab.data.targets import Target
from mrtlab.data.targets_io import load_targets
from mrtlab.lm import shelf
from mrtlab.training import diffuse_run

TARGETS = [
    {"prompts": ["Name a fruit.", "Say a fruit."], "responses": ["plum", "fig", "kiwi"], "family": "fruits"},
    {"prompt": "Toss a coin.", "responses": {"heads": 3, "tails": 1}, "variants": {"heads": ["Heads!"]}},
    {"prompt": "Give me a fruit.", "responses": ["plum", "fig", "kiwi"], "family": "fruits", "use": "measure"},
    *({"prompt": f"What is {i} + 1?", "responses": [str(i + 1)], "use": "anchor"} for i in range(8)),
]


@pytest.fixture(autouse=True)
def place(tmp_path, tiny_folder, monkeypatch):
    """An empty folder to work in, with a targets file; the tiny model takes the place of the embedded one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(shelf, "EMBEDDED", tiny_folder)
    Path("targets.json").write_text(json.dumps(TARGETS))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def call(*arguments, code=0):
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def complaint(*arguments, code=2):
    """The sentence on standard error; nothing on standard output."""
    result = call(*arguments, code=code)
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("mrtlab: ")
    return last


def train(*arguments, code=0, out="a"):
    quick = ("--passes", 3, "--anchor-rows", 4, "--lr", 0.02, "--device", "cpu")
    return call("train", "diffuse", "--targets", "targets.json", "--out", out, *quick, *arguments, code=code)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("train", "diffuse"), cli_diffuse.EXAMPLES),
        (("targets", "discover"), cli_targets.DISCOVER_EXAMPLES),
        (("targets", "check"), cli_targets.CHECK_EXAMPLES),
        (("targets", "make"), cli_targets.MAKE_EXAMPLES),
    ],
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


class TestTrain:
    def test_from_a_file_to_an_adapter_its_report_and_the_next_command(self):
        result = train()
        assert "step 9/9, loss" in result.stderr
        files = {path.name for path in Path("a").iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors", "run.json", "report.html"} <= files
        assert not {"checkpoints", "new"} & files
        assert json.loads(Path("a/adapter_config.json").read_text())["r"] == 4
        assert "train diffuse" in Path("a/README.md").read_text()
        page = Path("a/report.html").read_text()
        assert page.rstrip().endswith("</html>")
        assert "<script" not in page
        assert not re.search(r'(src|href)="', page)
        found = json.loads(Path("a/run.json").read_text())
        assert all(f"{row['after']['kl']:.3f}" in page for row in found["prompts"])
        for command in re.findall(r"Next: +mrtlab (.*)", result.stdout):
            call(*shlex.split(command), *(("--max-new-tokens", 3) if command.startswith("sample") else ()))

    def test_json_holds_the_numbers_and_they_are_those_of_the_saved_model(self):
        content = json.loads(train("--json").stdout)
        assert [row["use"] for row in content["prompts"]] == ["train", "train", "train", "measure"]
        assert content["change"]["train"]["kl"]["change"][0] < 0
        assert content["prompts"][2]["target"] == [0.75, 0.25]
        assert {name: len(one["after"]["kl"]) for name, one in content["anchors"].items()} == {"held": 6, "free": 2}
        checked = json.loads(call("targets", "check", "targets.json", "--model", "a", "--json").stdout)
        for row, again in zip(content["prompts"], checked["targets"], strict=True):
            assert row["after"]["kl"] == pytest.approx(again["kl"], abs=1e-4)
            assert row["after"]["p"] == pytest.approx([*again["p"].values()], abs=1e-5)

    def test_anchors_from_another_file(self):
        Path("more.txt").write_text("Who are you?\nWhere?\n")
        content = json.loads(train("--anchors", "more.txt", "--json").stdout)
        assert {name: len(one["after"]["kl"]) for name, one in content["anchors"].items()} == {"held": 2}

    def test_it_stops_early_and_says_so(self):
        result = train("--stop", 1000)
        assert "stopped early, after 3 steps" in result.stdout
        assert "It stopped early" in Path("a/report.html").read_text()

    def test_what_will_not_be_known_is_said(self):
        Path("targets.json").write_text(json.dumps(TARGETS[:1]))
        said = train("--mix", 0.1).stderr
        assert "nothing will be known about prompts that were not trained" in said
        assert "There are no anchors" in said
        assert "mixing keeps the base model's favourites" in said
        assert "Nothing was anchored" in Path("a/report.html").read_text()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--passes", 0), "passes must be 1 or more"),
            (("--lora-rank", 0), "--lora-rank must be 1 or more"),
            (("--batch-prompts", 0), "--batch-prompts must be 1 or more"),
            (("--anchor-weight", -1), "--anchor-weight must be 0 or more"),
            (("--anchor-rows", 0), "--anchor-rows must be 1 or more"),
            (("--mix", 1), "mix must be 0 or more and below 1"),
            (("--mix-draws", 0), "--mix-draws must be 1 or more"),
            (("--stop", -1), "stop must be 0 or more"),
            (("--lr", 0), "lr must be a positive number"),
            (("--model", "nowhere/at/all"), "there is no folder nowhere/at/all"),
            (("--targets", "none.json"), "none.json: there is no such file"),
            (("--anchors", "none.txt"), "none.txt: there is no such file"),
            (("--out", "nowhere/a"), "there is no folder nowhere"),
        ],
    )
    def test_what_makes_no_sense(self, options, message):
        code = 1 if options[0] == "--out" else 2
        assert message in complaint("train", "diffuse", "--targets", "targets.json", "--out", "a", *options, code=code)
        assert not Path("a").exists()

    def test_broken_files_and_files_without_anything_to_train(self):
        Path("targets.json").write_text('[\n{"prompt": "p", "responses": ["a"], "weights": [-1]}]')
        again = ("train", "diffuse", "--targets", "targets.json", "--out", "a")
        assert "targets.json, line 2: weights must be 0 or more" in complaint(*again)
        Path("targets.json").write_text('[{"prompt": "p", "responses": ["a"], "use": "measure"}]')
        assert "every prompt has use 'measure'" in complaint(*again)
        Path("targets.json").write_text(json.dumps([{"prompt": "word " * 5000, "responses": ["a"]}]))
        assert "shorten the prompt or the answers" in complaint(*again)
        assert not Path("a").exists()

    def test_folders_that_are_taken(self):
        train()
        again = ("train", "diffuse", "--targets", "targets.json", "--out", "a")
        assert "holds a finished run" in complaint(*again, "--resume")

    def test_killed_and_resumed_it_ends_at_the_same_weights(self, place, tiny_folder):
        words = ["train", "diffuse", "--targets", "targets.json", "--model", str(tiny_folder), "--passes", "40"]
        words += ["--device", "cpu", "--out"]
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "mrtlab.cli", *words, "killed"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        deadline = time.monotonic() + 90
        ready = "killed/checkpoints/checkpoint-*/written-to-its-end"
        while not [*place.glob(ready)] and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert child.poll() is None, child.communicate()[1][-2000:]
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert "add --resume" in complaint(*words, "killed")
        assert "another stop, None instead of 0.5" in complaint(*words, "killed", "--resume", "--stop", 0.5)
        assert re.search(r"The run goes on after step \d+ of 120", call(*words, "killed", "--resume").stderr)
        assert "goes on after" not in call(*words, "straight").stderr
        found, wanted = (load_file(f"{name}/adapter_model.safetensors") for name in ("killed", "straight"))
        for name in wanted:
            torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=0)

    def test_ctrl_c_says_how_to_go_on(self, monkeypatch):
        def cut_off(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(diffuse_run, "save_model", cut_off)
        assert train(code=130).stderr.strip().endswith("--resume")

    def test_stopped_before_anything_was_kept_there_is_nothing_to_resume(self, monkeypatch):
        def cut_off(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(diffuse_run, "aim", cut_off)
        said = train(code=130).stderr.strip().splitlines()[-1]
        assert "stopped before anything was kept" in said
        assert "--resume" not in said

    def test_a_full_disk_is_said_and_the_run_goes_on_later(self):
        """A limit on the size of files stands for the disk: checkpoints are larger, run.json is not."""
        resource = pytest.importorskip("resource", reason="there are no such limits here")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, before[1]))
        try:
            said = train(code=1).stderr.strip().splitlines()[-1]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert said.startswith("mrtlab: cannot write to a")
        assert "repeat the command with --resume" in said
        train("--resume")

    @pytest.mark.parametrize(
        ("name", "text"),
        [("more.json", '["Who?", {"prompt": "Where?", "responses": ["Here."]}]'), ("m.txt", "Who?\nWhere?")],
    )
    def test_anchors_as_a_list_or_as_lines(self, name, text):
        Path(name).write_text(text)
        wanted = cli_diffuse._targets(Path("targets.json"), Path(name))
        assert [anchor.prompt for anchor in wanted.anchors] == ["Who?", "Where?"]

    def test_an_anchor_on_what_is_taught_is_noted(self):
        Path("more.txt").write_text("Who are you?\nToss a coin.\n")
        assert "Anchors that are trained prompts, too: 1" in train("--anchors", "more.txt").stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"prompt": "p",\n "responses": {"a": 1, "a": 3}}]', "line 1: 'a' stands twice in one object"),
        ('[\n{"prompt": "p", "responses": {"a": NaN}}]', "line 2: NaN is no number that JSON has"),
        ('[{"prompt": "p", "responses": {"a": 1e308, "b": 1e308}}]', "weights are too large to be added up"),
        ('[{"prompt": "p", "responses": {"a": "3"}}]', "responses has '3' for 'a', expected a number"),
        ('[{"prompt": "p", "responses": {"a": true}}]', "responses has True for 'a', expected a number"),
        ('{"prompt": "p", "responses": ["a"]}', "put [ and ] around the entries"),
        ('{"targets": [], "anchors": "Who?"}', "anchors must be a list"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_targets_are_told_with_their_line(text, message):
    Path("broken.json").write_text(text)
    assert message in complaint("targets", "check", "broken.json")


class TestTargets:
    def test_families_make_a_file_that_trains(self):
        made = ("targets", "make", "--family", "fruits", "--prompts", 1, "--measure", 2, "--facts", 3)
        call(*made, "--out", "made.json")
        found = load_targets(Path("made.json"))
        assert [target.use for target in found.targets] == ["train", "measure", "measure"]
        assert len(found.anchors) == 3
        assert all(anchor.right for anchor in found.anchors)
        call("train", "diffuse", "--targets", "made.json", "--out", "b", "--passes", 1, "--device", "cpu")
        assert json.loads(call(*made, "--out", "made.json", "--force", "--json").stdout)["targets"] == 3

    def test_the_set_of_the_paper(self):
        call("targets", "make", "--set", "paper", "--out", "paper.json")
        found = load_targets(Path("paper.json")).targets
        assert found == tuple(diffuse_set())
        sizes = [len(target.answers) for target in found]
        assert len(found) == 26
        assert sizes[:9] == [10, 100, 5, 5, 50, 50, 15, 25, 200]
        assert sizes[15:] == [7, 7, 31, 31, 30, 30, 81, 81, 200, 18, 16]
        assert all(text.startswith("{") and text.endswith("}") for target in found for text in target.answers)

    def test_a_model_finds_its_own(self, monkeypatch):
        said = ["kiwi", "Kiwi", '"kiwi."', "plum", "plum", "fig", "a stone", "a stone"]
        monkeypatch.setattr("mrtlab.lm.sampling.sample", lambda *_, **__: [said])
        arguments = ("targets", "discover", "Name a fruit.", "--valid", '[a-zA-Z".]+', "--out", "found.json")
        text = call(*arguments).stdout
        assert "2 answers kept, 1 too rare, 1 not valid" in text
        target = load_targets(Path("found.json")).targets[0]
        assert target.answers == ("kiwi", "plum") or target.answers == ('"kiwi."', "plum")
        assert len(target.spellings[0]) == 3
        assert "not valid: a stone 2" in Path("found.json").read_text()
        assert "add --force" in complaint(*arguments)
        content = json.loads(call(*arguments, "--force", "--least", 1, "--json").stdout)
        assert len(content["targets"][0]["responses"]) == 3
        Path("known.txt").write_text("Plum\n")
        call("targets", "discover", "Name a fruit.", "--valid-list", "known.txt", "--out", "found.json", "--force")
        assert load_targets(Path("found.json")).targets[0].answers == ("plum",)

    def test_a_real_model_is_asked_each_prompt_once(self):
        call(
            "targets",
            "discover",
            *["Name a fruit."] * 2,
            "--n",
            20,
            "--least",
            1,
            "--max-new-tokens",
            3,
            "--out",
            "f.jsonl",
        )
        assert load_targets(Path("f.jsonl")).targets[0].prompt == "Name a fruit."

    def test_a_file_is_described_and_a_model_scored(self):
        assert "4 targets, 8 anchors" in call("targets", "check", "targets.json").stdout
        arguments = ("targets", "check", "targets.json", "--model", "embedded", "--n", 20, "--other-tokens", 2)
        text = call(*arguments).stdout
        assert "exc. TV" in text
        rows = json.loads(call(*arguments, "--json").stdout)["targets"]
        assert all(row["n"] == 20 for row in rows)
        assert all(row["kl"] == pytest.approx(row["validity_kl"] + row["shape_kl"]) for row in rows)

    @pytest.mark.parametrize(
        ("arguments", "message", "code"),
        [
            (("discover", "p", "--out", "f.json", "--temperature", 0), "--temperature must be above 0", 2),
            (("discover", "p", "--out", "f.json", "--valid", "("), "is no pattern of Python's re", 2),
            (("discover", "p", "--out", "f.json", "--valid", "a", "--valid-list", "b"), "exclude each other", 2),
            (("discover", "p", "--out", "f.json", "--valid-list", "none"), "cannot read none", 2),
            (("discover", "p", "--out", "f.json", "--valid", "never", "--n", 3), "no answer to 'p' passed", 2),
            (("discover", "p", "--out", "none/f.json"), "there is no folder none", 1),
            (("discover", "p", "--out", "."), "it is a folder; give the name of a file", 1),
            (("discover", " ", "--out", "f.json"), "a prompt is blank", 2),
            (("discover", "p", "--out", "f.json", "--temperature", "inf"), "above 0 and finite", 2),
            (("make", "--out", "f.json", "--family", "facts"), "take facts as anchors", 2),
            (("make", "--out", "f.json"), "give --family, once or more, or --set paper", 2),
            (("make", "--out", "f.json", "--family", "fruits", "--set", "paper"), "exclude each other", 2),
            (("make", "--out", "f.json", "--set", "mine"), "the only set is paper", 2),
            (("make", "--out", "f.json", "--family", "fruit"), "did you mean fruits", 2),
            (("make", "--out", "f.json", "--family", "biographies"), "has no list of answers", 2),
            (("check", "targets.json", "--n", 3), "say which with --model", 2),
            (("check", "none.json"), "there is no such file", 2),
        ],
    )
    def test_what_makes_no_sense(self, arguments, message, code):
        assert message in complaint("targets", *arguments, code=code)
        assert not Path("f.json").exists()


def test_a_place_where_nothing_can_be_written_is_refused_before_anything_is_drawn():
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no /proc here")
    result = call("targets", "discover", "Name a fruit.", "--out", "/proc/found.json", code=1)
    assert "cannot write /proc/found.json" in result.stderr
    assert "parameters on" not in result.stderr


@pytest.mark.parametrize("command", [("targets", "make", "--family", "fruits"), ("train", "diffuse", "--targets", "x")])
def test_a_seed_below_zero_is_refused(command):
    assert "--seed" in call(*command, "--out", "f.json", "--seed", -1, code=2).stderr


def test_a_rank_beyond_every_layer_is_refused_before_memory_is_taken():
    assert "--lora-rank" in call("train", "diffuse", "--targets", "x", "--out", "a", "--lora-rank", 9999, code=2).stderr


def test_spellings_that_look_alike_are_one_answer():
    found = discover(["Paris", "paris", " Paris. ", "«Paris»", "Rome", "", "..."], least=2)
    assert [(one.answer, one.count) for one in found.kept] == [("Paris", 1 + 1 + 1 + 1)]
    assert [one.answer for one in found.rare] == ["Rome"]
    assert isinstance(found.target("?"), Target)
    with pytest.raises(ValueError, match="not both"):
        validator("a", ["b"])
