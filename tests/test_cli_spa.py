"""`mrtlab spa` from a family of questions to a report, each step as people and programs use it."""

import json
import os
import re
import shlex
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from mrtlab import (
    cli_spa_adapt,
    cli_spa_attribute,
    cli_spa_evaluate,
    cli_spa_partition,
    cli_spa_sample,
    cli_spa_synthesize,
)
from mrtlab.cli import app
from mrtlab.data import guarded
from mrtlab.data.guard import GuardError, guard
from mrtlab.lm import shelf
from mrtlab.spa import sources, stacked
from mrtlab.spa.adapters import alone
from mrtlab.spa.attribution import open_gradients
from mrtlab.spa.influence import fisher
from mrtlab.spa.partition import standardised

QUICK = ("--device", "cpu")
needs_guard = pytest.mark.skipif(not guard().holds, reason="this machine cannot guard programs")


def call(*arguments, code=0):
    result = CliRunner().invoke(app, ["spa", *map(str, arguments)])
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


def rows(name):
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def examples_in(name):
    return sorted((row["prompt"], text) for row in rows(name) for text in row["responses"])


@contextmanager
def stopping(module, *, after):
    """As if somebody pressed Ctrl-C once the work has asked `after` times."""

    @contextmanager
    def soon():
        left = iter(range(after))
        yield lambda: next(left, None) is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "stoppable", soon)
        yield


@pytest.fixture(scope="module")
def walked(tmp_path_factory, tiny_folder):
    """The whole path once, up to adapters; tests work on copies of it."""
    place, before = tmp_path_factory.mktemp("spa"), os.getcwd()
    embedded, threads = shelf.EMBEDDED, torch.get_num_threads()
    os.chdir(place)
    shelf.EMBEDDED = tiny_folder
    torch.set_num_threads(1)
    try:
        call("synthesize", "--family", "programs", "--prompts", 8, "--n", 3, "--out", "data.jsonl")
        call("synthesize", "--family", "programs", "--prompts", 5, "--n", 1, "--seed", 9, "--out", "queries.jsonl")
        quick = ("--epochs", 1, "--lora-rank", 2, *QUICK)
        call("attribute", "data.jsonl", "--queries", "queries.jsonl", "--out", "scores", *quick)
        call("partition", "scores", "--k", 2, "--rule", "influence-even", "--out", "parts")
        call("adapt", "parts", "--steps", 4, "--lora-rank", 2, "--lr", 0.05, "--out", "adapters", *QUICK)
    finally:
        os.chdir(before)
        shelf.EMBEDDED = embedded
        torch.set_num_threads(threads)
    return place


@pytest.fixture(autouse=True)
def place(tmp_path, walked, tiny_folder, monkeypatch):
    """A copy of what the walk left; the tiny model takes the place of the embedded one."""
    shutil.copytree(walked, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(shelf, "EMBEDDED", tiny_folder)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("synthesize", cli_spa_synthesize),
        ("attribute", cli_spa_attribute),
        ("partition", cli_spa_partition),
        ("adapt", cli_spa_adapt),
        ("sample", cli_spa_sample),
        ("evaluate", cli_spa_evaluate),
    ],
)
def test_help_has_two_examples_whose_options_exist(command, module):
    shown = re.sub(r"\s+", " ", call(command, "--help").stdout)
    examples = [line[2:] for line in module.EXAMPLES.splitlines() if line.startswith("$ ")]
    assert len(examples) == 2
    for example in examples:
        assert shlex.split(example)[:3] == ["mrtlab", "spa", command]
        assert " ".join(example.split()[:3]) in shown
        for option in (word for word in shlex.split(example) if word.startswith("--")):
            assert option in shown


class TestSynthesize:
    def test_the_record_says_what_became_of_each_answer_and_the_file_holds_the_kept_ones(self):
        candidates = [
            (r["prompt"], c["answer"], c["verdict"]) for r in rows("data.record.jsonl")[1:] for c in r["candidates"]
        ]
        assert len(candidates) == 8 * 3
        assert examples_in("data.jsonl") == sorted((p, text) for p, text, verdict in candidates if verdict == "kept")

    def test_a_model_is_judged_and_reasons_are_counted(self):
        few = ("--prompts", 3, "--n", 4, "--max-new-tokens", 4, *QUICK)
        message = complaint("synthesize", "--family", "programs", "--model", "embedded", *few, "--out", "m.jsonl")
        assert message.startswith("mrtlab: nothing was kept; m.record.jsonl says why")
        assert not Path("m.jsonl").exists()
        verdicts = {c["verdict"] for row in rows("m.record.jsonl")[1:] for c in row["candidates"]}
        assert verdicts <= {"cut off", "wrong", "empty"}

    def test_a_file_of_prompts_without_tests_is_not_judged_and_that_is_said(self):
        Path("prompts.txt").write_text("Name a fruit.\nName a colour.\n")
        result = call("synthesize", "prompts.txt", "--n", 6, "--out", "p.jsonl", "--json", *QUICK)
        content = json.loads(result.stdout)
        assert content["judged"] is False
        assert sum(content["verdicts"].values()) == content["candidates"] == 12
        assert content["kept"] == len(examples_in("p.jsonl")) == content["verdicts"]["kept"]

    def test_a_run_that_was_cut_off_ends_at_the_same_files(self):
        whole, record = Path("data.jsonl").read_text(), Path("data.record.jsonl").read_text()
        Path("data.jsonl").unlink()
        lines = record.splitlines(keepends=True)
        Path("data.record.jsonl").write_text("".join(lines[:4]) + lines[4][:20])
        call("synthesize", "--family", "programs", "--prompts", 8, "--n", 3, "--out", "data.jsonl")
        assert Path("data.jsonl").read_text() == whole
        assert Path("data.record.jsonl").read_text() == record


class TestAttribute:
    def test_the_tables_are_those_of_the_gradients_in_the_folder(self):
        with np.load("scores/scores.npz") as tables:
            assert set(tables) == {"fisher", "grad-dot", "cosine", "datainf"}
            found = tables["fisher"]
        g, v = (open_gradients(Path("scores") / name).rows for name in ("gradients", "query_gradients"))
        assert found == pytest.approx(fisher(g, np.asarray(v)), rel=1e-6)
        assert found.shape == (len(examples_in("data.jsonl")), len(examples_in("queries.jsonl")))

    def test_again_costs_no_training_and_another_damping_only_new_tables(self):
        weights = Path("scores/adapter/adapter_model.safetensors").stat().st_mtime_ns
        rows_before = Path("scores/gradients.npy").stat().st_mtime_ns
        with np.load("scores/scores.npz") as tables:
            before = {name: tables[name] for name in tables}
        quick = ("--epochs", 1, "--lora-rank", 2, "--damping", 1, "--json", *QUICK)
        content = json.loads(
            call("attribute", "data.jsonl", "--queries", "queries.jsonl", "--out", "scores", *quick).stdout
        )
        assert content["damping"] == 1
        with np.load("scores/scores.npz") as tables:
            assert not np.allclose(tables["fisher"], before["fisher"])
            assert (tables["grad-dot"] == before["grad-dot"]).all()
        assert Path("scores/adapter/adapter_model.safetensors").stat().st_mtime_ns == weights
        assert Path("scores/gradients.npy").stat().st_mtime_ns == rows_before

    def test_an_adapter_that_is_given_is_used_as_it_is(self):
        result = call(
            "attribute", "data.jsonl", "--n-queries", 3, "--model", "scores/adapter", "--out", "again", *QUICK
        )
        assert "3 examples of the data, drawn by chance" in result.stderr
        assert not Path("again/adapter").exists()
        first, again = (json.loads(Path(f"{name}/scores.json").read_text()) for name in ("scores", "again"))
        assert again["gradients"]["adapter"] == first["gradients"]["adapter"]
        assert (np.load("again/gradients.npy") == np.load("scores/gradients.npy")).all()
        asked = rows("again/queries.jsonl")
        assert {row["prompt"] for row in asked} <= {row["prompt"] for row in rows("data.jsonl")}

    def test_stopped_in_step_0_and_in_the_gradients_it_goes_on_to_the_same_scores(self):
        quick = ("--queries", "queries.jsonl", "--epochs", 3, "--batch-prompts", 4, "--lora-rank", 2, *QUICK)
        call("attribute", "data.jsonl", *quick, "--out", "whole")
        with stopping(cli_spa_attribute, after=3):
            complaint("attribute", "data.jsonl", *quick, "--out", "cut", code=130)
        assert not Path("cut/adapter/adapter_config.json").exists()
        assert "not finished" in complaint("partition", "cut", "--out", "new")
        call("attribute", "data.jsonl", *quick, "--out", "cut")
        for name in ("scores.npz", "gradients.npy"):
            Path("cut", name).unlink()
        with stopping(cli_spa_attribute, after=0):
            complaint("attribute", "data.jsonl", *quick, "--damping", 2, "--out", "cut", code=130)
        call("attribute", "data.jsonl", *quick, "--out", "cut")
        with np.load("cut/scores.npz") as cut, np.load("whole/scores.npz") as whole:
            for name in whole:
                assert cut[name] == pytest.approx(whole[name], rel=1e-3, abs=1e-6)

    def test_the_next_command_works(self):
        quick = ("--epochs", 1, "--lora-rank", 2, *QUICK)
        text = call("attribute", "data.jsonl", "--queries", "queries.jsonl", "--out", "scores", *quick).stdout
        [command] = re.findall(r"Next: +mrtlab spa (.*)", text)
        shutil.rmtree("parts")
        assert "parts" in command
        call(*shlex.split(command.replace("--k 5", "--k 2")))


class TestPartition:
    @pytest.mark.parametrize(
        "rule", ["influence-even", "lexical", "gradient-clusters", "text-clusters", "random", "consecutive"]
    )
    def test_every_example_is_in_one_part(self, rule):
        call("partition", "scores", "--k", 2, "--rule", rule, "--draws", 2, "--out", "p")
        parts = [examples_in(f"p/part-{k}.jsonl") for k in range(2)]
        assert sorted(parts[0] + parts[1]) == examples_in("data.jsonl")
        note = json.loads(Path("p/parts.json").read_text())
        assert [part["examples"] for part in note["parts"]] == list(map(len, parts))
        assert note["balance"] == max(map(len, parts)) / min(map(len, parts))

    def test_influence_is_the_arg_max_of_standardised_scores_of_the_widest_queries(self):
        content = json.loads(
            call(
                "partition", "scores", "--k", 2, "--rule", "influence", "--score", "cosine", "--out", "p", "--json"
            ).stdout
        )
        with np.load("scores/scores.npz") as tables:
            table = tables["cosine"]
        widest = np.sort(np.argsort(-table.var(axis=0))[:2])
        assert content["part_of_example"] == standardised(table[:, widest]).argmax(axis=1).tolist()
        queries = [(row["prompt"], row["responses"][0]) for row in rows("queries.jsonl")]
        named = [(part["query"]["prompt"], part["query"]["response"]) for part in content["parts"]]
        assert named == [queries[place] for place in widest]

    def test_the_control_is_all_of_the_data_for_each(self):
        content = json.loads(
            call("partition", "data.jsonl", "--k", 3, "--rule", "seeds", "--out", "p", "--json").stdout
        )
        assert {part["file"] for part in content["parts"]} == {"all.jsonl"}
        assert len(content["parts"]) == 3
        assert examples_in("p/all.jsonl") == examples_in("data.jsonl")

    def test_words_need_no_scores_but_queries(self):
        call("partition", "data.jsonl", "--queries", "queries.jsonl", "--rule", "lexical", "--k", 2, "--out", "p")
        call("partition", "scores", "--rule", "lexical", "--k", 2, "--out", "q")
        one, other = (json.loads(Path(f"{name}/parts.json").read_text())["part_of_example"] for name in "pq")
        assert one == other

    def test_parts_are_written_over_only_if_asked_and_then_as_a_whole(self):
        Path("parts/part-7.jsonl").write_text("old")
        assert "add --force" in complaint("partition", "scores", "--k", 2, "--out", "parts")
        call("partition", "scores", "--k", 3, "--rule", "random", "--out", "parts", "--force")
        names = {path.name for path in Path("parts").iterdir()}
        assert names == {"parts.json", "part-0.jsonl", "part-1.jsonl", "part-2.jsonl"}
        Path("parts/notes.txt").write_text("mine")
        assert "holds more than parts" in complaint("partition", "scores", "--k", 2, "--out", "parts", "--force")
        assert Path("parts/notes.txt").read_text() == "mine"


class TestAdapt:
    def test_adapters_have_names_of_their_own_and_equal_steps(self):
        assert {path.name for path in Path("adapters").iterdir()} == {"adapters.json", "adapters-0", "adapters-1"}
        runs = [json.loads(Path(f"adapters/adapters-{k}/run.json").read_text()) for k in range(2)]
        assert [run["steps"] for run in runs] == [4, 4]
        weights = [load_file(f"adapters/adapters-{k}/adapter_model.safetensors") for k in range(2)]
        assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    def test_again_changes_nothing_and_prints_the_same(self):
        before = {path: path.read_bytes() for path in Path("adapters").rglob("*") if path.is_file()}
        same = ("adapt", "parts", "--steps", 4, "--lora-rank", 2, "--lr", 0.05, "--out", "adapters", *QUICK)
        result = call(*same, "--json")
        assert "Finished before: 2 adapters" in result.stderr
        assert {path: path.read_bytes() for path in Path("adapters").rglob("*") if path.is_file()} == before
        content = json.loads(result.stdout)
        assert [one["folder"] for one in content["adapters"]] == ["adapters/adapters-0", "adapters/adapters-1"]
        assert content["vllm"][content["vllm"].index("--max-loras") + 1] == "2"

    def test_stopped_in_the_second_adapter_it_goes_on_to_the_same_weights(self):
        again = ("adapt", "parts", "--steps", 4, "--lora-rank", 2, "--lr", 0.05, *QUICK)
        with stopping(cli_spa_adapt, after=6):
            assert "the same command goes on: mrtlab" in complaint(*again, "--out", "cut", code=130)
        assert "`mrtlab spa adapt` that began them" in complaint("sample", "x", "--adapters", "cut")
        result = call(*again, "--out", "cut")
        assert "Finished before: 1 adapter\n" in result.stderr
        assert "The run goes on after step 3 of 4." in result.stderr
        for k in range(2):
            cut, whole = (load_file(f"{n}/{n}-{k}/adapter_model.safetensors") for n in ("cut", "adapters"))
            assert all(torch.allclose(cut[name], whole[name], atol=1e-6) for name in whole)

    def test_parts_are_independent_jobs(self):
        same = ("adapt", "parts", "--steps", 4, "--lora-rank", 2, "--lr", 0.05, "--out", "jobs", *QUICK)
        first = call(*same, "--only", "1")
        assert "Missing: 0." in first.stdout
        assert "Next:" not in first.stdout
        assert {path.name for path in Path("jobs").iterdir()} == {"adapters.json", "jobs-1"}
        assert "`mrtlab spa adapt` that began them" in complaint("sample", "x", "--adapters", "jobs")
        second = json.loads(call(*same, "--only", "0", "--json").stdout)
        assert second["missing"] == []
        assert len(second["adapters"]) == 2
        assert "Next:" in call(*same).stdout
        for k in range(2):  # as one process makes them
            job, whole = (load_file(f"{n}/{n}-{k}/adapter_model.safetensors") for n in ("jobs", "adapters"))
            assert all(torch.equal(job[name], whole[name]) for name in whole)
            assert not Path(f"jobs/jobs-{k}/.lock").exists()

    def test_a_part_that_another_process_trains_is_left_to_it(self):
        same = ("adapt", "parts", "--steps", 4, "--lora-rank", 2, "--lr", 0.05, "--out", "jobs", *QUICK)
        Path("jobs/jobs-1").mkdir(parents=True)
        shutil.copy("adapters/adapters.json", "jobs/adapters.json")
        with alone(Path("jobs/jobs-1")):
            assert "another process trains jobs/jobs-1 at this moment" in complaint(*same, "--only", "1")

    @pytest.mark.parametrize("only", ["2", "0,0", "", "a", "-1", "0;1"])
    def test_parts_that_are_not_there_are_refused(self, only):
        said = complaint("adapt", "parts", "--only", only, "--out", "jobs", *QUICK)
        assert said == f"mrtlab: --only is {only!r}; it must name parts from 0 to 1, each once, with commas between"
        assert not Path("jobs").exists()

    def test_a_part_that_was_edited_is_read_as_it_is_now(self):
        kept = Path("parts/part-0.jsonl").read_text().splitlines(keepends=True)[1:]
        Path("parts/part-0.jsonl").write_text("".join(kept))
        result = call("adapt", "parts", "--steps", 1, "--lora-rank", 1, "--out", "fewer", *QUICK, "--json")
        assert "part-0.jsonl holds" in result.stderr
        content = json.loads(result.stdout)
        assert content["adapters"][0]["examples"] == len(examples_in("parts/part-0.jsonl"))


class TestSample:
    def test_answers_stand_side_by_side_and_different_ones_are_counted(self):
        quick = ("--adapters", "adapters", "--max-new-tokens", 5, *QUICK)
        content = json.loads(call("sample", "Name a fruit.", *quick, "--json").stdout)
        assert [one["adapter"] for one in content["adapters"]] == ["adapters-0", "adapters-1"]
        texts = [text for one in content["adapters"] for text in one["answers"]]
        assert content["different"] == len(set(texts))
        assert f"{len(set(texts))} different among 2" in call("sample", "Name a fruit.", *quick).stdout

    def test_a_file_of_prompts_and_several_warm_answers(self):
        Path("p.txt").write_text("Name a fruit.\nName a colour.\n")
        warm = ("--n", 3, "--temperature", 1, "--max-new-tokens", 4, "--json", *QUICK)
        content = json.loads(call("sample", "--file", "p.txt", "--adapters", "adapters", *warm).stdout)
        assert [len(one["answers"]) for row in content for one in row["adapters"]] == [3, 3, 3, 3]


class TestEvaluate:
    QUICK = ("--family", "programs", "--questions", 3, "--max-new-tokens", 6, "--temperatures", "0.1,1", *QUICK)

    def test_report_table_and_json_hold_the_same_numbers(self):
        against = ("--against", "scores/adapter")
        result = call("evaluate", "adapters", *self.QUICK, *against, "--report", "r.html", "--json")
        content = json.loads(result.stdout)
        assert [(arm["kind"], arm["temperature"]) for arm in content["arms"]] == [
            ("influence-even", 0.0), ("single", 0.1), ("single", 1.0)
        ]  # fmt: skip
        assert {"pass@1", "pass@2", "unique_share", "pair_share", "vendi", "kinds"} <= set(
            content["arms"][0]["numbers"]
        )
        assert len(content["kl"]["matrix"]) == 2
        assert content["kl"]["symmetric"] > 0
        assert content["kl"]["text"].startswith("right answers to these prompts")
        page = Path("r.html").read_text()
        assert page.rstrip().endswith("</html>")
        assert "<script" not in page
        assert not re.search(r'(src|href)="', page)
        assert f"{content['kl']['symmetric']:.3g} nats" in page
        table = call("evaluate", "adapters", *self.QUICK, *against).stdout
        for arm in content["arms"]:
            assert f"{arm['numbers']['vendi'][0]:.2f}" in table
            assert f"{arm['numbers']['vendi'][0]:.2f}" in page

    def test_one_of_the_adapters_alone_gives_the_share_of_equal_answers_by_hand(self):
        content = json.loads(call("evaluate", "adapters", *self.QUICK, "--json").stdout)
        shares = [len({a["text"] for a in row["answers"]}) / 2 for row in content["examples"]]
        assert content["arms"][0]["numbers"]["unique_share"][0] == pytest.approx(np.mean(shares))

    def test_a_file_without_tests_is_measured_without_pass_at_k(self):
        Path("p.txt").write_text("Name a fruit.\nName a colour.\n")
        quick = ("--data", "p.txt", "--max-new-tokens", 5, "--report", "r.html", "--json", *QUICK)
        result = call("evaluate", "adapters", *quick)
        numbers = json.loads(result.stdout)["arms"][0]["numbers"]
        assert "pair_share" in numbers
        assert not {"pass@1", "distinct_right", "right_kinds"} & set(numbers)
        assert "pass@" not in re.sub(r"<p>pass@k:.*?</p>", "", Path("r.html").read_text())

    def test_responses_of_the_file_are_what_adapters_are_compared_on(self):
        quick = ("--data", "queries.jsonl", "--max-new-tokens", 5, "--json", *QUICK)
        kl = json.loads(call("evaluate", "adapters", *quick).stdout)["kl"]
        assert kl["text"] == "the responses in queries.jsonl"
        assert kl["examples"] == len(examples_in("queries.jsonl"))

    def test_a_run_that_was_cut_off_takes_what_it_has(self):
        keep = ("--answers", "a.jsonl", "--json")
        whole = json.loads(call("evaluate", "adapters", *self.QUICK, *keep).stdout)
        lines = Path("a.jsonl").read_text().splitlines(keepends=True)
        assert len(lines) == 4
        marked = json.loads(lines[1])
        marked["answers"] = ["def f(x): return x", "def f(x): return -x"]
        Path("a.jsonl").write_text(lines[0] + json.dumps(marked) + "\n" + lines[2][:15])
        again = json.loads(call("evaluate", "adapters", *self.QUICK, *keep).stdout)
        assert [a["text"] for a in again["examples"][0]["answers"]] == marked["answers"]  # not asked again
        assert again["examples"][1:] == whole["examples"][1:]  # asked again
        assert Path("a.jsonl").read_text().splitlines(keepends=True)[2:] == lines[2:]

    def test_answers_of_another_run_are_not_mixed_in(self):
        call("evaluate", "adapters", *self.QUICK, "--answers", "a.jsonl")
        before = Path("a.jsonl").read_text()
        other = complaint("evaluate", "adapters", *self.QUICK, "--seed", 1, "--answers", "a.jsonl")
        assert "answers of a run with another prompts, settings" in other
        assert Path("a.jsonl").read_text() == before


class TestProblems:
    """Files whose lines have tests: answers are run behind the guard, or not at all."""

    LINES = (
        {"prompt": "Write f, which doubles a number.", "tests": ["assert f(3) == 6", "assert f(0) == 0"]},
        {"text": "Write f, which squares.", "code": "def f(x): return x * x", "test_list": ["assert f(3) == 9"]},
    )
    RIGHT = ("def f(x): return x + x", "def f(x): return x * x")

    @pytest.fixture(autouse=True)
    def problems(self):
        Path("problems.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.LINES))

    @needs_guard
    def test_answers_are_run_and_pass_at_k_counts_them(self, monkeypatch):
        def sample_each(_model, _tokenizer, prompts, **_options):
            return [[[text] for text in self.RIGHT] for _ in prompts]

        monkeypatch.setattr(stacked, "sample_each", sample_each)
        content = json.loads(call("evaluate", "adapters", "--data", "problems.jsonl", "--json", *QUICK).stdout)
        assert [[a["passed"] for a in row["answers"]] for row in content["examples"]] == [[True, False], [False, True]]
        numbers = content["arms"][0]["numbers"]
        assert (numbers["pass@1"][0], numbers["pass@2"][0]) == (0.5, 1.0)
        assert content["kl"]["text"] == "the solutions in problems.jsonl"
        assert content["kl"]["examples"] == 1

    @needs_guard
    def test_a_set_holds_only_what_passed_and_the_record_says_why_not(self, monkeypatch):
        def sample_ids(_model, tokenizer, prompts, *, n, **_options):
            end = [tokenizer.eos_token_id]
            texts = [self.RIGHT[0], "import socket", self.RIGHT[0]]
            return [[tokenizer(text, add_special_tokens=False)["input_ids"] + end for text in texts] for _ in prompts]

        monkeypatch.setattr(sources, "sample_ids", sample_ids)
        monkeypatch.setattr(sources, "said", lambda tokenizer, ids, stops: tokenizer.decode(ids[:-1]))
        made = json.loads(call("synthesize", "problems.jsonl", "--n", 3, "--out", "new.jsonl", "--json", *QUICK).stdout)
        assert made["judged"]
        assert {verdict: n for verdict, n in made["verdicts"].items() if n} == {"kept": 1, "wrong": 4, "duplicate": 1}
        assert [(row["prompt"].splitlines()[0], row["responses"]) for row in rows("new.jsonl")] == [
            ("Write f, which doubles a number.", [self.RIGHT[0]])
        ]
        assert any("forbidden" in one["detail"] or "error" in one["detail"] for one in made["reasons"])

    def test_without_a_guard_nothing_is_run_and_nothing_is_loaded(self, monkeypatch):
        def refuse():
            raise GuardError("Programs are refused: seccomp is missing.")

        monkeypatch.setattr(guarded, "require_guard", refuse)
        for command in (
            ("synthesize", "problems.jsonl", "--out", "n"),
            ("evaluate", "adapters", "--data", "problems.jsonl"),
        ):
            said = complaint(*command, code=1)
            assert "answers are run behind a guard or not at all. Programs are refused: seccomp is missing." in said
        assert not Path("n").exists()

    @pytest.mark.parametrize(
        ("line", "wanted"),
        [
            ({"prompt": "p", "tests": []}, "problems.jsonl, line 1: 'tests'"),
            ({"prompt": "p", "tests": ["assert f("]}, "entry 1 is not Python"),
            ({"prompt": "p", "entry_point": "f", "test": "x"}, "does not define the entry point"),
        ],
    )
    def test_a_problem_that_is_none(self, line, wanted):
        Path("problems.jsonl").write_text(json.dumps(line) + "\n")
        assert wanted in complaint("evaluate", "adapters", "--data", "problems.jsonl", *QUICK)

    def test_two_that_ask_the_same(self):
        Path("problems.jsonl").write_text((json.dumps(self.LINES[0]) + "\n") * 2)
        assert "two problems ask the same" in complaint("evaluate", "adapters", "--data", "problems.jsonl", *QUICK)


BROKEN = {
    "empty.jsonl": b"\n",
    "half.jsonl": b'{"prompt": "p", "responses": ["a"]}\n{"prompt": "p", "resp',
    "fields.jsonl": b'{"question": "p", "responses": ["a"]}\n',
    "types.jsonl": b'{"prompt": "p", "responses": ["a", 3]}\n',
    "latin.jsonl": '{"prompt": "ä", "responses": ["a"]}\n'.encode("cp1252"),
    "small.jsonl": b'{"prompt": "p", "responses": ["a", "b"]}\n',
}
OUT, EVALUATE = ("--out", "new"), ("evaluate", "adapters")
MISTAKES = [
    (("synthesize", *OUT), "give a file of prompts or a --family", 2),
    (("synthesize", "p.txt", "--family", "programs", *OUT), "not both", 2),
    (("synthesize", "--family", "progams", *OUT), "did you mean programs?", 2),
    (("synthesize", "nofile.jsonl", *OUT), "nofile.jsonl: there is no such file", 2),
    (("synthesize", "half.jsonl", *OUT), "half.jsonl, line 2: not valid JSON", 2),
    (("synthesize", "--family", "programs", "--out", "data.jsonl"), "add --force", 2),
    (("synthesize", "--family", "programs", "--out", "no/new"), "there is no folder no", 1),
    (("synthesize", "--family", "programs", "--near", 2, *OUT), "near must lie above 0", 2),
    (("attribute", "empty.jsonl", *OUT), "empty.jsonl: the file holds no records", 2),
    (("attribute", "fields.jsonl", *OUT), "fields.jsonl, line 1: no field 'prompt'", 2),
    (("attribute", "types.jsonl", *OUT), "types.jsonl, line 1: responses must be a list of texts", 2),
    (("attribute", "latin.jsonl", *OUT), "the text is not UTF-8", 2),
    (("attribute", "small.jsonl", *OUT), "2 examples, fewer than --n-queries 12", 2),
    (("attribute", "data.jsonl", "--queries", "half.jsonl", *OUT), "half.jsonl, line 2", 2),
    (("attribute", "data.jsonl", "--out", "parts"), "holds no scores", 2),
    (("attribute", "data.jsonl", "--out", "data.jsonl"), "it is a file", 1),
    (("attribute", "data.jsonl", "--out", "scores"), "other queries, queries.jsonl", 2),
    (("attribute", "data.jsonl", "--queries", "queries.jsonl", "--out", "scores"), "another --lora-rank, 2", 2),
    (("attribute", "queries.jsonl", "--n-queries", 2, "--out", "scores"), "other data, data.jsonl", 2),
    (("attribute", "data.jsonl", "--damping", 0, *OUT), "--damping must be a positive number", 2),
    (("attribute", "data.jsonl", "--model", "./none", *OUT), "there is no folder ./none", 2),
    (("partition", "nothere", *OUT), "there is no nothere", 2),
    (("partition", "parts", *OUT), "parts holds no scores", 2),
    (("partition", "data.jsonl", *OUT), "--rule influence needs scores", 2),
    (("partition", "data.jsonl", "--rule", "lexical", *OUT), "give a file of them with --queries", 2),
    (("partition", "data.jsonl", "--rule", "random", "--k", 999, *OUT), "fewer than --k 999", 2),
    (("partition", "scores", "--rule", "influense", *OUT), "did you mean influence", 2),
    (("partition", "scores", "--score", "fischer", *OUT), "did you mean fisher", 2),
    (("partition", "scores", "--k", 6, *OUT), "--k 6 needs as many queries, and there are 5", 2),
    (("partition", "scores", "--out", "adapters"), "holds no parts", 2),
    (("adapt", "scores", *OUT), "scores holds no parts", 2),
    (("adapt", "parts", "--steps", 0, *OUT), "--steps must be 1 or more", 2),
    (("adapt", "parts", "--normalisation", "word", *OUT), "it must be token or response", 2),
    (("adapt", "parts", "--out", "adapters"), "another --steps, 4 instead of 400", 2),
    (("adapt", "parts", "--out", "scores"), "holds no adapters of this command", 2),
    (("sample", "--adapters", "adapters"), "give a prompt, or --file", 2),
    (("sample", "x", "--adapters", "parts"), "parts holds no adapters", 2),
    (("sample", "x", "--adapters", "adapters/adapters-0"), "give the folder around it, adapters", 2),
    (("sample", "x", "--adapters", "adapters", "--n", 3), "give a --temperature above 0", 2),
    (("sample", "x", "--adapters", "adapters", "--model", "scores"), "without a config.json", 2),
    (EVALUATE, "give --data FILE or --family NAME", 2),
    ((*EVALUATE, "--data", "half.jsonl"), "half.jsonl, line 2", 2),
    ((*EVALUATE, "--family", "programs", "--temperatures", "a,b"), "--temperatures is 'a,b'", 2),
    ((*EVALUATE, "--family", "programs", "--report", "no/r.html"), "there is no folder no", 1),
    ((*EVALUATE, "--family", "programs", "--answers", "data.jsonl"), "is no file of answers of this command", 2),
    (("evaluate", "nothere", "--family", "programs"), "there is no folder nothere", 2),
]


@pytest.mark.parametrize(("arguments", "wanted", "code"), MISTAKES, ids=[" ".join(map(str, m[0])) for m in MISTAKES])
def test_a_mistake_is_one_sentence_and_leaves_nothing_behind(arguments, wanted, code):
    for name, content in BROKEN.items():
        Path(name).write_bytes(content)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert wanted in complaint(*arguments, code=code)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


class TestDamage:
    def test_tables_that_were_changed_are_not_read(self):
        Path("scores/scores.npz").write_bytes(b"x")
        assert "not what it was" in complaint("partition", "scores", "--k", 2, "--out", "new")

    def test_data_that_were_edited_no_longer_fit_their_scores(self):
        with Path("scores/data.jsonl").open("a") as file:
            file.write('{"prompt": "p", "responses": ["a"]}\n')
        assert "scores/data.jsonl is missing, or not what it was" in complaint("partition", "scores", "--out", "new")

    def test_scores_that_are_not_finished_are_not_parted(self):
        said = json.loads(Path("scores/scores.json").read_text())
        del said["files"]
        Path("scores/scores.json").write_text(json.dumps(said))
        assert "not finished" in complaint("partition", "scores", "--out", "new")

    def test_a_note_that_is_no_json(self):
        Path("scores/scores.json").write_text("{")
        assert "scores.json, line 1" in complaint("partition", "scores", "--out", "new")
        Path("parts/parts.json").write_text("[]")
        assert "parts.json, line 1" in complaint("adapt", "parts", "--out", "new")

    def test_a_part_that_is_missing(self):
        Path("parts/part-1.jsonl").unlink()
        assert "parts/part-1.jsonl: there is no such file" in complaint("adapt", "parts", "--out", "new")

    def test_an_adapter_that_is_missing_or_not_finished(self):
        shutil.rmtree("adapters/adapters-1")
        assert "holds 1 of 2 adapters" in complaint("sample", "x", "--adapters", "adapters")
        Path("adapters/adapters-1").mkdir()
        Path("adapters/adapters-1/run.json").write_text("{}")
        assert "not finished: adapters-1" in complaint("sample", "x", "--adapters", "adapters")

    def test_weights_that_are_missing(self):
        Path("adapters/adapters-0/adapter_model.safetensors").unlink()
        assert "train it anew" in complaint("sample", "x", "--adapters", "adapters", *QUICK)
