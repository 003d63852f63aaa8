"""The command as people and programs use it."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from mrtlab import __version__
from mrtlab.cli import app
from mrtlab.lab import artifacts, claims, experiments
from mrtlab.lab.registry import Body, Experiment, Table


@dataclass(frozen=True)
class OneCell:
    seed: int

    @property
    def label(self) -> str:
        return f"seed{self.seed}"


def toy(run_cell):
    body = Body(
        cells=lambda scale: [OneCell(0), OneCell(1)],
        run_cell=run_cell,
        summarise=lambda outcomes: {"total": sum(result["x"] for _, result in outcomes)},
        table=lambda results: Table("A small sum", ("what", "value"), (("total", f"{results['total']}"),)),
    )
    return Experiment("toy", "Adds two numbers", lambda: body)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MRTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MRTLAB_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("MRTLAB_SCALE", raising=False)
    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", toy(lambda cell: {"x": cell.seed + 1}))
    return tmp_path


def call(*arguments, code=0):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def complaint(*arguments, code):
    """What is said on standard error; a mistake says one sentence and prints no result."""
    result = call(*arguments, code=code)
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    return result.stderr


def test_version():
    assert call("--version").stdout.strip() == f"mrtlab {__version__}"


@pytest.mark.parametrize("command", [[], ["run"], ["claims"]])
def test_help_shows_two_real_examples(command):
    text = call(*command, "--help").stdout
    examples = [line.strip()[2:] for line in text.splitlines() if line.strip().startswith("$ mrtlab ")]
    assert len(examples) == 2
    for example in examples:
        program, name, *arguments = example.split()
        assert (program, name in ("run", "claims")) == ("mrtlab", True)
        assert not command or name == command[0]
        if name == "claims":
            call("claims", *arguments)
        else:
            assert arguments[0] in experiments.EXPERIMENTS


@pytest.mark.parametrize("arguments", [["run"], ["run", "--list"]])
def test_run_without_a_name_lists_the_experiments(arguments):
    text = call(*arguments).stdout
    assert "mode_lottery" in text
    assert "Adds two numbers" in text
    assert "not yet" in text


def test_the_list_as_json_says_which_artifacts_exist():
    call("run", "toy", "--scale", "smoke")
    listed = {entry["name"]: entry for entry in json.loads(call("run", "--json").stdout)}
    assert listed["toy"]["artifacts"] == ["smoke"]
    assert listed["mode_lottery"]["artifacts"] == []
    assert listed["mode_lottery"]["needs"] == ["torch"]


def test_run_prints_the_headline_numbers_and_where_they_are(folders):
    result = call("run", "toy")
    assert "A small sum" in result.stdout
    assert "total" in result.stdout
    assert str(folders / "artifacts" / "toy.book.json") in result.stdout.replace("\n", "")
    assert str(experiments.cells_dir("toy", "book")) in result.stdout.replace("\n", "")
    assert "2/2 seed1" in result.stderr
    assert artifacts.load("toy", "book").results == {"total": 3}


def test_run_as_json_is_json_and_nothing_else_on_standard_output(folders):
    content = json.loads(call("run", "toy", "--json", "--scale", "full").stdout)
    assert content["results"] == {"total": 3}
    assert content["provenance"]["scale"] == "full"
    assert content["artifact"] == str(folders / "artifacts" / "toy.full.json")
    assert content["verdicts"] == []


def test_the_scale_comes_from_the_environment_unless_it_is_given(monkeypatch):
    monkeypatch.setenv("MRTLAB_SCALE", "smoke")
    assert json.loads(call("run", "toy", "--json").stdout)["scale"] == "smoke"
    assert json.loads(call("run", "toy", "--json", "--scale", "book").stdout)["scale"] == "book"


def test_when_the_seconds_are_over_the_rest_and_the_command_are_told(folders, monkeypatch):
    now = [0.0]

    def ten_seconds(cell):
        now[0] += 10
        return {"x": cell.seed + 1}

    monkeypatch.setattr(experiments.time, "monotonic", lambda: now[0])
    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", toy(ten_seconds))
    said = " ".join(call("run", "toy", "--scale", "full", "--seconds", "5").stdout.split())
    assert "1 of 2 cells are finished" in said
    assert "1 is left" in said
    assert said.endswith("to go on: mrtlab run toy --scale full --seconds 5")
    assert not artifacts.artifact_path("toy", "full").exists()
    assert json.loads(call("run", "toy", "--scale", "book", "--seconds", "5", "--json").stdout)["done"] == 1
    assert "A small sum" in call("run", "toy", "--scale", "full", "--seconds", "5").stdout
    assert artifacts.artifact_path("toy", "full").exists()


def test_another_model_is_refused_at_book_scale_in_one_sentence(monkeypatch, tiny_folder):
    monkeypatch.setenv("MRTLAB_MODEL", str(tiny_folder))
    assert "run it with --scale full" in complaint("run", "spa_decode", code=2)
    monkeypatch.setenv("MRTLAB_MODEL", str(tiny_folder / "none"))
    assert "MRTLAB_MODEL: cannot find" in complaint("run", "spa_decode", "--scale", "full", code=1)


def test_a_second_run_uses_what_is_there():
    call("run", "toy")
    assert "1/2 seed0 kept from before" in call("run", "toy").stderr


def test_unknown_experiment_claim_and_scale_get_a_suggestion():
    assert "did you mean mode_lottery?" in complaint("run", "mode_lotery", code=2)
    assert "did you mean MRT-05" in complaint("claims", "MRT05", code=2)
    assert "did you mean smoke?" in complaint("run", "toy", "--scale", "smok", code=2)


def test_a_wrong_number_of_jobs_is_refused():
    assert "--jobs" in call("run", "toy", "--jobs", "0", code=2).stderr


def test_missing_torch_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert 'pip install "mrtlab[lm]"' in complaint("run", "mode_lottery", "--scale", "smoke", code=1)


def test_a_folder_that_cannot_be_written_is_one_sentence(folders):
    (folders / "cache").write_text("a file where a folder should be")
    assert "cannot write results" in call("run", "toy", code=1).stderr


def test_ctrl_c_says_how_to_go_on_and_the_next_call_does(monkeypatch):
    def stopped_at_the_second(cell):
        if cell.seed == 1:
            raise KeyboardInterrupt
        return {"x": 1}

    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", toy(stopped_at_the_second))
    result = call("run", "toy", "--scale", "full", code=130)
    assert "to go on: mrtlab run toy --scale full" in result.stderr
    assert result.stdout == ""
    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", toy(lambda cell: {"x": cell.seed + 1}))
    again = call("run", "toy", "--scale", "full")
    assert "1/2 seed0 kept from before" in again.stderr


def test_the_ledger_lists_every_claim_with_its_state():
    text = call("claims").stdout
    assert all(f"MRT-{number:02}" in text for number in range(1, 20))
    assert "planned, chapter" in text
    assert "no artifact yet" in text
    assert f"0 of {len(claims.CLAIMS)} claims judged" in text


def test_one_claim_in_full():
    text = call("claims", "mrt-05").stdout
    for part in ("lottery", "Retrain", "toy network", "no artifact yet", "mrtlab run mode_lottery"):
        assert part in text


def test_claims_as_json():
    entries = json.loads(call("claims", "--json").stdout)
    assert len(entries) == len(claims.CLAIMS)
    one = json.loads(call("claims", "MRT-05", "--json").stdout)
    assert one == next(entry for entry in entries if entry["id"] == "MRT-05")
    assert (one["status"], one["verdict"], one["artifact"]) == (
        "no artifact yet",
        None,
        "mode_lottery.book.json",
    )


def test_a_damaged_artifact_is_one_sentence(folders):
    (folders / "artifacts").mkdir()
    (folders / "artifacts" / "mode_lottery.book.json").write_text("{")
    assert "is not an artifact" in complaint("claims", code=1)


def test_help_starts_light():
    code = (
        "import sys, mrtlab.cli as c\n"
        "try:\n    c.app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'plotly', 'numpy', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_command_from_a_shell():
    done = subprocess.run(
        [sys.executable, "-m", "mrtlab.cli", "claims", "MRT-99"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mrtlab: no claim called 'MRT-99'")
