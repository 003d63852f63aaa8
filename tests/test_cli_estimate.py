"""`mrtlab estimate` as people and programs use it, without weights and without a network."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mrtlab import cli_estimate
from mrtlab.cli import app
from mrtlab.lm import shelf
from mrtlab.lm.cards import CARDS, DATA_SHEET

FRUITS = ("plum", "fig", "ripe pear", "kiwi")
NAMES = ("adapter", "bare")


@pytest.fixture(autouse=True)
def place(tmp_path, tiny_folder, monkeypatch):
    """An empty folder with a file of answers; in it the tiny model without its weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in tiny_folder.iterdir():
        if path.suffix != ".safetensors":
            (bare / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(shelf, "EMBEDDED", tiny_folder)
    write("answers.jsonl", [{"prompt": f"Name fruit {i}.", "responses": list(FRUITS)} for i in range(20)])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def write(name, rows):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def call(*arguments, code=0):
    result = CliRunner().invoke(app, ["estimate", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_all_cards_and_this_machine_from_a_folder_without_weights():
    found = json.loads(call("answers.jsonl", "--model", "bare", "--k", 3, "--epochs", 2, "--json").stdout)
    assert [card["card"] for card in found["cards"]][:-1] == list(CARDS)
    assert found["cards"][-1]["card"].startswith("this ")
    assert found["steps"] == 2 * 3  # 18 prompts are left to train on, eight in a step
    for card in found["cards"]:
        assert card["fits"]
        assert card["largest_prompts"] > 8
        assert 0 < card["run_s"]["lo"] < card["run_s"]["hi"]
    gpus = found["cards"][:-1]
    assert all(card["source"] == DATA_SHEET and "not yet measured" in card["time_is"] for card in gpus)
    assert gpus[0]["precision"]["loss_scaling"]
    assert not gpus[1]["precision"]["loss_scaling"]
    assert "has room for it" in found["advice"]


def test_a_table_and_a_sentence_of_advice():
    said = call("answers.jsonl", "--model", "bare", "--card", "T4", "--card", "h100", "--method", "full").stdout
    lines = said.splitlines()
    assert "18 training prompts" in lines[0]
    assert "all trained" in lines[0]
    assert lines[1].startswith("T4 has room for it, and takes ")
    assert sum("float16" in line and "T4" in line for line in lines) >= 1
    assert "not yet measured" in " ".join(said.split())


def test_where_nothing_fits_it_says_what_to_change(monkeypatch):
    def small(memory):
        import dataclasses

        card = dataclasses.replace(CARDS["T4"], memory=memory)
        monkeypatch.setattr("mrtlab.lm.cards.CARDS", {"T4": card})
        return call("answers.jsonl", "--model", "bare", "--card", "T4").stdout

    whole = json.loads(call("answers.jsonl", "--model", "bare", "--card", "T4", "--json").stdout)["cards"][0]["memory"]
    fixed = whole["weights"] + whole["optimiser"]
    half = small(1e9 + (fixed + (whole["peak"] - fixed) / 2) / 0.9)
    assert "No card here holds 8 prompts at once; T4 does with --accumulate" in half
    assert "in 4 parts" in half or "in 2 parts" in half
    nothing = small(1e9 + fixed / 2)
    assert "try --checkpointing" in nothing
    assert "--method 4bit" in nothing


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.jsonl",), "nowhere.jsonl"),
        (("answers.jsonl", "--card", "T5"), "no card 'T5' in the table: choose from here, T4"),
        (("answers.jsonl", "--method", "half"), "--method must be lora, full or 4bit, got 'half'"),
        (("answers.jsonl", "--attention", "flash"), "--attention must be sdpa or flex_attention"),
        (("answers.jsonl", "--batch-prompts", 3, "--accumulate", 2), "--batch-prompts must be a multiple of"),
        (("answers.jsonl", "--max-length", 2), "answers.jsonl: no response fits into 2 tokens"),
        (("answers.jsonl", "--model", "./missing"), "there is no folder ./missing"),
        (("answers.jsonl", "--card", "cpu", "--method", "4bit"), "four bits need a CUDA GPU"),
        (("empty.jsonl",), "empty.jsonl"),
    ],
)
def test_mistakes(arguments, said):
    Path("empty.jsonl").write_text("")
    result = call(*arguments, code=2)
    assert said in " ".join(result.stderr.split())


def test_a_folder_with_an_adapter_is_about_its_base_model():
    folder = Path("adapter")
    folder.mkdir()
    (folder / shelf.ADAPTER).write_text(json.dumps({"base_model_name_or_path": "bare"}))
    both = [json.loads(call("answers.jsonl", "--model", name, "--card", "L4", "--json").stdout) for name in NAMES]
    assert both[0]["parameters"] == both[1]["parameters"]
    (folder / shelf.ADAPTER).write_text("{}")
    assert "names no base model" in call("answers.jsonl", "--model", "adapter", code=2).stderr


def test_help_has_two_examples():
    assert cli_estimate.EXAMPLES.count("$ mrtlab estimate") == 2
