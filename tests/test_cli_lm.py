"""`mrtlab models`, `sample`, `evaluate` and `pretrain` as people and programs use them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from mrtlab import cli_evaluate, cli_lm
from mrtlab.cli import app
from mrtlab.lm import shelf


@pytest.fixture(autouse=True)
def place(tmp_path, tiny_folder, monkeypatch):
    """An empty folder to work in; the tiny model takes the place of the embedded one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(shelf, "EMBEDDED", tiny_folder)
    for name, less in {"evaluate._DRAWN": 3, "evaluate._LONGEST": 4, "survey._TRIES": 10, "survey._LONGEST": 4,
                       "survey._SHORT": 2}.items():  # fmt: skip
        monkeypatch.setattr(f"mrtlab.lm.{name}", less)
    return tmp_path


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


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("models", cli_lm.MODELS_EXAMPLES),
        ("sample", cli_lm.SAMPLE_EXAMPLES),
        ("pretrain", cli_lm.PRETRAIN_EXAMPLES),
        ("evaluate", cli_evaluate.EXAMPLES),
    ],
)
def test_help_has_two_examples_whose_options_exist(command, text):
    shown = re.sub(r"\s+", " ", call(command, "--help").stdout)
    examples = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    assert len(examples) == 2
    for example in examples:
        words = shlex.split(example)
        assert words[:2] == ["mrtlab", command]
        assert " ".join(example.split()[:3]) in shown
        for option in (word for word in words if word.startswith("--")):
            assert option in shown


class TestModels:
    def test_what_there_is(self, tiny_folder):
        text = call("models").stdout
        seen = shelf.look(tiny_folder)
        assert f"{seen.parameters:,}" in text
        assert "Qwen/Qwen3-0.6B" in text
        (content,) = json.loads(call("models", "--json").stdout)
        assert (content["sha256"], content["check"], content["card"]) == (seen.sha256, "not frozen", None)

    def test_a_frozen_model_and_its_card(self, tiny_folder, place):
        folder = shutil.copytree(tiny_folder, place / "mine")
        shelf.freeze(folder)
        (folder / "README.md").write_text("A card.")
        content = json.loads(call("models", "mine", "--json").stdout)[1]
        assert (content["name"], content["check"], content["card"]) == ("mine", "frozen", "mine/README.md")

    def test_without_the_embedded_model_and_with_an_empty_folder(self, place, monkeypatch):
        monkeypatch.setattr(shelf, "EMBEDDED", place)
        assert "not in this installation" in call("models").stdout
        assert "holds no model.safetensors and no adapter_model.safetensors" in complaint("models", ".")
        assert "there is no folder gone" in complaint("models", "gone")
        (place / "run.json").write_text("{}")
        assert "give its command again with --resume" in complaint("models", ".")


class TestSample:
    def test_counts_and_shares(self):
        content = json.loads(
            call("sample", "Name a fruit.", "-n", 12, "--max-new-tokens", 3, "--top-k", 2, "--json").stdout
        )
        counts = [answer["count"] for answer in content["answers"]]
        assert (content["prompt"], content["n"], sum(counts)) == ("Name a fruit.", 12, 12)
        assert counts == sorted(counts, reverse=True)
        assert content["answers"][0]["share"] == counts[0] / 12
        table = call("sample", "Name a fruit.", "-n", 12, "--max-new-tokens", 3, "--top-k", 2).stdout
        assert f"{len(counts)} different among 12" in table
        assert f"{counts[0] / 12:.1%}" in table
        assert "█" in table

    def test_the_seed_decides(self):
        def said(seed):
            return json.loads(call("sample", "Hello.", "--seed", seed, "--max-new-tokens", 3, "--json").stdout)[
                "answers"
            ]

        assert said(1) == said(1) != said(2)

    def test_prompts_from_files(self, place):
        (place / "p.txt").write_text("Name a fruit.\n\n  Name a job.\n")
        found = json.loads(call("sample", "--file", "p.txt", "-n", 2, "--max-new-tokens", 2, "--json").stdout)
        assert [one["prompt"] for one in found] == ["Name a fruit.", "Name a job."]
        rows = [{"prompt": "Name a fruit."}, {"prompt": [{"role": "user", "content": "Name a job."}], "more": 1}]
        (place / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
        chats = json.loads(call("sample", "--file", "p.jsonl", "-n", 2, "--max-new-tokens", 2, "--json").stdout)
        assert [one["answers"] for one in chats] == [one["answers"] for one in found]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "what shall it be asked?"),
            (("hi", "--file", "p.txt"), "not both"),
            (("hi", "--top-p", "2"), "top_p must be above 0 and at most 1, got 2"),
            (("hi", "--model", "nowhere/at/all"), "there is no folder nowhere/at/all"),
            (("hi", "--device", "abacus"), "unknown device 'abacus'"),
            (("--file", "none.txt"), "none.txt: cannot be read"),
            (("--file", "empty.txt"), "empty.txt: the file holds no prompts"),
            (("--file", "binary.txt"), "not UTF-8"),
            (("--file", "broken.jsonl"), "broken.jsonl, line 2: not valid JSON"),
            (("--file", "other.jsonl"), 'other.jsonl, line 1: no field "prompt"; the fields are: question'),
            (("--file", "number.jsonl"), "number.jsonl, line 1: prompt must be a text"),
            (("word " * 2000,), "2"),
        ],
    )
    def test_mistakes_get_one_sentence(self, place, arguments, message):
        (place / "empty.txt").write_text("\n \n")
        (place / "binary.txt").write_bytes(b"\xff\xfe\x00")
        (place / "broken.jsonl").write_text('{"prompt": "a"}\n{"prompt": \n')
        (place / "other.jsonl").write_text('{"question": "a"}\n')
        (place / "number.jsonl").write_text('{"prompt": 3}\n')
        assert message in complaint("sample", *arguments)

    def test_a_missing_embedded_model_is_something_missing_here(self, place, monkeypatch):
        monkeypatch.setattr(shelf, "EMBEDDED", place)
        assert "mrtlab pretrain FOLDER" in complaint("sample", "hi", code=1)


class TestEvaluate:
    def test_families_as_json_table_and_page(self, place):
        arguments = ("evaluate", "--family", "fruits", "--family", "biographies", "--n-questions", 2)
        content = json.loads(call(*arguments, "--json").stdout)
        assert list(content["families"]) == ["fruits", "biographies"]
        validity, kl = (content["families"]["fruits"]["numbers"][name] for name in ("validity", "kl"))
        assert validity[1] <= validity[0] <= validity[2]
        text = call(*arguments, "--report", "e.html").stdout
        assert f"{kl[0]:.2f}" in text
        assert "calibration" in text
        page = (place / "e.html").read_text()
        assert page.rstrip().endswith("</html>")
        assert "fruits" in page
        assert "<script" not in page
        assert not re.search(r'(src|href)="', page)

    def test_everything_and_the_gate(self):
        result = call("evaluate", "--n-questions", 1, "--gate", "--json", code=3)
        content = json.loads(result.stdout)
        assert {"programs", "facts"} <= set(content)
        assert len(content["families"]) == 15
        assert any(check["name"] == "programs: pass@1" and not check["passed"] for check in content["gate"])
        assert "15/15 programs" in result.stderr

    def test_own_answers(self, place):
        rows = [
            {"prompt": "Name a fruit.", "responses": ["kiwi", "plum"], "targets": [0.5, 0.5]},
            {"prompt": "Name a <job>.", "response": "cook", "target": 1.0},
        ]
        (place / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
        content = json.loads(call("evaluate", "--data", "d.jsonl", "--report", "d.html", "--json").stdout)
        first = content["prompts"][0]
        logp = np.array([response["logp"] for response in first["responses"]])
        assert first["mass"] == pytest.approx(np.exp(logp).sum())
        assert first["kl"] == pytest.approx(np.mean(np.log(0.5) - logp))
        assert content["numbers"]["mass"][0] == pytest.approx(np.mean([p["mass"] for p in content["prompts"]]))
        page = (place / "d.html").read_text()
        assert "&lt;job&gt;" in page
        assert "<job>" not in page
        assert "Name a fruit." in call("evaluate", "--data", "d.jsonl").stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--family", "fruitz"), "did you mean fruits?"),
            (("--family", "fruits", "--gate"), "leave out --family"),
            (("--data", "d.jsonl", "--family", "fruits"), "does not go together"),
            (("--split", "test"), "must be train or held_out"),
            (("--data", "none.jsonl"), "there is no such file"),
            (("--data", "empty.jsonl"), "the file holds no records"),
            (("--data", "broken.jsonl"), "broken.jsonl, line 2: not valid JSON"),
            (("--data", "long.jsonl"), "long.jsonl: "),
        ],
    )
    def test_mistakes_get_one_sentence(self, place, arguments, message):
        (place / "empty.jsonl").write_text("\n")
        (place / "broken.jsonl").write_text('{"prompt": "a", "responses": ["b"]}\nhello\n')
        (place / "long.jsonl").write_text(json.dumps({"prompt": "a", "responses": ["word " * 3000]}))
        assert message in complaint("evaluate", *arguments)

    def test_a_report_that_cannot_be_written(self):
        arguments = ("evaluate", "--family", "choices", "--n-questions", 1, "--report", "nowhere/e.html")
        assert "there is no folder nowhere" in complaint(*arguments, code=1)


class TestPretrain:
    def test_a_trial_run_and_what_to_do_next(self, place, monkeypatch, tiny_recipe):
        monkeypatch.setitem(sys.modules["mrtlab.lm.pretrain"].RECIPES, "tiny", tiny_recipe)
        result = call("pretrain", "my model", "--recipe", "tiny", "--steps", 3, "--device", "cpu")
        assert "step 3/3, loss" in result.stderr
        assert "tokens/s" in result.stderr
        assert "mrtlab sample \"Name a fruit.\" --model 'my model'" in result.stdout
        call("sample", "Hello.", "--model", "my model", "-n", 2, "--max-new-tokens", 2)
        again = call("pretrain", "my model", "--recipe", "tiny", "--steps", 3)
        assert "Nothing to do" in again.stderr
        assert "another steps" in complaint("pretrain", "my model", "--recipe", "tiny")

    def test_mistakes_get_one_sentence(self, place):
        assert "choose from embedded, tiny, gpu" in complaint("pretrain", "m", "--recipe", "huge")
        assert "unknown device" in complaint("pretrain", "m", "--device", "abacus")
        (place / "taken").write_text("")
        assert "cannot write to taken" in complaint("pretrain", "taken", "--recipe", "tiny", code=1)

    def test_ctrl_c_leaves_a_folder_that_goes_on(self, place):
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "mrtlab.cli",
            "pretrain",
            "run",
            "--recipe",
            "tiny",
            "--steps",
            "5000",
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as child:
            deadline = time.monotonic() + 60
            while not (place / "run" / "tokenizer.json").is_file() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(1.5)
            child.send_signal(signal.SIGINT)
            out, said = child.communicate(timeout=60)
        assert child.returncode == 130
        assert out == ""
        assert "Traceback" not in said
        assert "to go on: mrtlab pretrain run --recipe tiny --steps 5000" in said.strip().splitlines()[-1]
        from mrtlab.lm.pretrain import stands_at

        assert 0 < stands_at(place / "run") < 5000
