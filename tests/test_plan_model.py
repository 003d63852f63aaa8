"""`mrtlab plan --model` as a practitioner uses it, on good files and broken ones."""

import html
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mrtlab import cli_plan, cli_plan_model
from mrtlab.cli import app
from mrtlab.data.records_io import load_records
from mrtlab.lm import shelf
from mrtlab.show.model_study import model_study
from mrtlab.show.model_study_report import model_study_report
from mrtlab.theory import estimate_components, optimal_k, plan
from mrtlab.training.variances import Measured, measure_variances

FRUITS = ("plum", "fig", "ripe pear", "kiwi", "a green date", "lime")


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


def rows(n=12, k=4):
    """n prompts with k responses."""
    return [
        {"prompt": f"Name {'a ' * (i % 4)}fruit {i}.", "responses": [FRUITS[(i + j) % len(FRUITS)] for j in range(k)]}
        for i in range(n)
    ]


def lines(name, content):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in content))


def call(*arguments, code=0):
    result = CliRunner().invoke(app, ["plan", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def planned(*arguments):
    return json.loads(call("answers.jsonl", "--model", "embedded", "--device", "cpu", "--json", *arguments).stdout)


def complaint(*arguments, code=2):
    """The sentence on standard error; nothing on standard output."""
    result = call(*arguments, code=code)
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("mrtlab: ")
    return last


def table(losses, gradients):
    """What would have been measured: losses (a, k) and gradients (a, k, d), all responses of one token."""
    a, k = losses.shape
    one = [np.ones(k)] * a
    return Measured([f"p{i}" for i in range(a)], np.full(a, 20.0), list(losses), one, list(gradients), "none", 1)


def drawn(*, v_x, v_yx, n=60, k=6, d=1, seed=0):
    """(n, k, d) numbers with these variances, traces over d."""
    rng = np.random.default_rng(seed)
    between, within = (np.sqrt(v / d) for v in (v_x, v_yx))
    return between * rng.normal(size=(n, 1, d)) + within * rng.normal(size=(n, k, d))


def study(*, loss, gradient, records, **options):
    """Of a world whose loss and gradient have the variances (V_x, V_{y|x}) given."""
    losses = drawn(v_x=loss[0], v_yx=loss[1], seed=1)[..., 0]
    gradients = drawn(v_x=gradient[0], v_yx=gradient[1], d=50, seed=2)
    return model_study(table(losses, gradients).variances(), records, model="m", source="s.jsonl", **options)


@pytest.fixture
def records():
    return load_records(Path("answers.jsonl"))


class TestTheCommand:
    def test_the_example_of_the_help_page_works(self):
        shown = re.sub(r"\s+", " ", call("--help").stdout)
        example = next(line[2:] for line in cli_plan.EXAMPLES.splitlines() if "--model" in line)
        assert " ".join(example.split()[:4]) in shown
        _, _, *arguments = shlex.split(example)
        assert "Report: plan.html" in call(*arguments).stdout
        page = Path("plan.html").read_text()
        assert page.rstrip().endswith("</html>")
        assert "<script" not in page
        assert "http" not in page

    def test_what_a_person_sees(self):
        text = call("answers.jsonl", "--model", "embedded", "--device", "cpu").stdout
        found = planned()
        assert "answers.jsonl on embedded: 12 prompts and 48 responses measured." in text
        assert found["advice"].split(";")[0] in re.sub(r"\s+", " ", text)
        for part in ("gradient", "loss", "V_x, between prompts", "V_y|x / V_x", "best for this budget"):
            assert part in text

    def test_json_agrees_with_the_package(self, records, tiny):
        content = planned()
        expected = measure_variances(*tiny, records)
        for name, estimate in (("loss", expected.loss), ("gradient", expected.gradient)):
            found = content[name]
            assert found["components"]["prompt"]["value"] == pytest.approx(estimate.components.prompt, rel=1e-4)
            assert found["components"]["response"]["lo"] == pytest.approx(estimate.intervals.response[0], rel=1e-4)
            costs = (content["prompt_tokens"], content["response_tokens"])
            k = float(optimal_k(estimate.components, *costs))
            assert found["optimal_k"]["value"] == (None if np.isinf(k) else pytest.approx(k, rel=1e-4))
            budget = content["costs"]["budget"]
            assert found["plan"]["k"] == plan(estimate.components, *costs, budget).k
        assert content["costs"]["budget"] == round(12 * costs[0] + 48 * costs[1])
        assert content["features"] == 4096

    def test_budget_costs_and_copies(self):
        assert planned("--budget", 5000)["costs"]["budget"] == 5000
        own = planned("--prompt-cost", 3, "--response-cost", 1)["costs"]
        assert own == {"prompt": 3.0, "response": 1.0, "budget": 12 * 3 + 48, "unit": None}
        copies = planned("--copies")
        assert copies["costs"]["prompt"] == 0
        assert copies["costs"]["response"] == pytest.approx(copies["prompt_tokens"] + copies["response_tokens"])
        assert copies["gradient"]["plan"]["k"] == copies["loss"]["plan"]["k"] == 1
        assert any("always best per token" in remark for remark in copies["remarks"])

    def test_options_reach_the_measurement(self):
        found = planned(
            "--weights", "lora", "--normalisation", "prompt", "--measure-prompts", 5, "--measure-responses", 3
        )
        assert (found["n_prompts"], found["n_responses"]) == (5, 15)
        assert "adapter" in found["weights"]
        assert any("5 of 12 prompts were drawn" in remark for remark in found["remarks"])
        assert found["loss"]["components"] != planned("--measure-prompts", 5)["loss"]["components"]

    def test_progress_in_a_log_file(self, monkeypatch):
        monkeypatch.setattr(cli_plan_model, "_LINE_S", 0.0)
        result = call("answers.jsonl", "--model", "embedded", "--device", "cpu", "--json")
        assert "measured 48 of 48 responses" in result.stderr
        json.loads(result.stdout)

    def test_one_response_in_every_line_is_pooled(self):
        lines("flat.jsonl", [{"prompt": row["prompt"], "response": r} for row in rows() for r in row["responses"]])
        result = call("flat.jsonl", "--model", "embedded", "--device", "cpu", "--json")
        assert "48 lines hold 12 different prompts" in result.stderr
        assert json.loads(result.stdout)["gradient"] == planned()["gradient"]


class TestBrokenInput:
    def test_each_kind_of_file_is_told_both_ways(self):
        Path("losses.csv").write_text("Prompt,value\na,1\na,2\nb,4\n")
        lines("losses.jsonl", [{"prompt": "a", "values": [1, 2]}, {"prompt": "b", "values": [1, 3]}])
        for text in (
            complaint("answers.jsonl"),
            complaint("losses.csv", "--model", "embedded"),
            complaint("losses.jsonl", "--model", "embedded"),
        ):
            assert "--model embedded" in text
            assert "give losses without --model" in text
        assert complaint("answers.jsonl").startswith("mrtlab: answers.jsonl holds responses, not losses")
        assert "holds losses, not responses" in complaint("losses.csv", "--model", "embedded")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "holds no records"),
            ("hello\n", "line 1: not valid JSON"),
            ('{"prompt": "a", "responses": ["x", 3]}\n', "responses must be a list of texts"),
            ('{"prompt": "a"}\n', "found neither"),
            ('{"prompt": "a", "responses": ["x", "y"]}\n', "need at least 2 prompts"),
            ('{"prompt": "a", "responses": ["x"]}\n{"prompt": "b", "responses": ["y"]}\n', "has one response"),
        ],
    )
    def test_files_that_cannot_be_used(self, content, message, monkeypatch):
        monkeypatch.setattr(cli_plan_model, "loaded", lambda *_: pytest.fail("the model was loaded for nothing"))
        Path("t.jsonl").write_text(content)
        text = complaint("t.jsonl", "--model", "embedded")
        assert message in text
        assert "t.jsonl" in text

    def test_prompts_that_do_not_fit(self):
        lines("long.jsonl", [*rows(2), {"prompt": "fruit " * 3000, "responses": ["fig", "plum"]}])
        result = call("long.jsonl", "--model", "embedded", "--device", "cpu", "--json")
        assert any("were left out: 2" in remark for remark in json.loads(result.stdout)["remarks"])
        lines("long.jsonl", [*rows(1), {"prompt": "fruit " * 3000, "responses": ["fig", "plum"]}])
        assert "long.jsonl: need at least 2 prompts" in complaint("long.jsonl", "--model", "embedded")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("answers.jsonl", "--model", "nowhere/at/all"), "there is no folder"),
            (("answers.jsonl", "--model", "embedded", "--weights", "some"), "it must be auto, all or lora"),
            (("answers.jsonl", "--model", "embedded", "--normalisation", "x"), "it must be token, response or prompt"),
            (("answers.jsonl", "--model", "embedded", "--budget", "0"), "--budget is 0"),
            (("answers.jsonl", "--model", "embedded", "--budget", "1"), "does not pay for one prompt"),
            (("answers.jsonl", "--model", "embedded", "--prompt-cost", "1"), "Add --response-cost"),
            (("nothing.jsonl", "--model", "embedded"), "no such file"),
            (("--demo", "--model", "embedded"), "leave one of them out"),
            (("losses.csv", "--weights", "lora"), "--weights needs --model"),
        ],
    )
    def test_requests_that_cannot_be_met(self, arguments, message):
        assert message in complaint(*arguments)

    def test_a_report_that_cannot_be_written_is_said_before_the_work(self, monkeypatch):
        monkeypatch.setattr(cli_plan_model, "loaded", lambda *_: pytest.fail("the model was loaded for nothing"))
        arguments = ("answers.jsonl", "--model", "embedded", "--report")
        assert "there is no folder" in complaint(*arguments, "nowhere/p.html", code=1)
        Path("taken").mkdir()
        assert "it is a folder" in complaint(*arguments, "taken", code=1)


class TestTheAdvice:
    """In worlds whose variances are known."""

    def test_loss_and_gradient_disagree(self, records):
        found = study(loss=(4.0, 1.0), gradient=(1.0, 8.0), records=records, budget=4000)
        assert found.gradient.plan.k > 8
        assert found.loss.plan.k < 4
        assert "but training follows the gradient" in found.comparison
        assert found.headline == found.gradient.plan.advice
        regret = found.gradient.plan.curve.regret[found.loss.plan.k - 1]
        assert f"{100 * regret:.0f} % higher than at K = {found.gradient.plan.k}" in found.comparison

    def test_a_small_difference_is_called_small(self, records):
        found = study(loss=(1.0, 4.0), gradient=(1.0, 5.0), records=records, budget=4000)
        assert found.loss.plan.k != found.gradient.plan.k
        assert "The difference is small" in found.comparison

    def test_agreement_and_one_response(self, records):
        found = study(loss=(9.0, 0.1), gradient=(9.0, 0.1), records=records, budget=4000)
        assert found.comparison == "Loss and gradient agree on K = 1."
        assert found.headline.startswith("Keep one response per prompt")
        assert found.pairs == ""

    def test_a_model_that_does_not_know_the_task_is_spoken_of(self, records):
        early, later = (study(loss=(1.0, 1.0), gradient=parts, records=records) for parts in ((8.0, 1.0), (1.0, 8.0)))
        assert any("plan again with --model FOLDER" in remark for remark in early.remarks)
        assert not any("--model FOLDER" in remark for remark in later.remarks)

    def test_pairs_are_spoken_of_where_they_change_the_advice(self, records):
        assert "pairs" in study(loss=(1.0, 8.0), gradient=(1.0, 8.0), records=records).pairs
        assert study(loss=(1.0, 8.0), gradient=(1.0, 8.0), records=records, copies=True).pairs == ""

    def test_few_prompts_are_said_to_be_few(self, records):
        losses, gradients = drawn(v_x=1, v_yx=8, n=4)[..., 0], drawn(v_x=1, v_yx=8, n=4, d=9)
        found = model_study(table(losses, gradients).variances(), records, model="m", source="s")
        assert any(remark.startswith("With 4 prompts the intervals themselves are rough") for remark in found.remarks)
        assert any("The best K is uncertain" in remark for remark in found.remarks)

    def test_weights_of_a_file_are_said_to_play_no_part(self):
        lines("w.jsonl", [row | {"weights": [1, 2, 3, 4]} for row in rows()])
        found = study(loss=(1.0, 8.0), gradient=(1.0, 8.0), records=load_records(Path("w.jsonl")))
        assert any("play no part" in remark for remark in found.remarks)

    def test_the_report_shows_the_same_numbers(self, records):
        found = study(loss=(4.0, 1.0), gradient=(1.0, 8.0), records=records, budget=4000)
        page = html.unescape(model_study_report(found))
        assert found.headline in page
        assert found.comparison in page
        assert all(fact in page for fact in found.facts)
        assert f"best at K = {found.gradient.plan.k}, the loss at K = {found.loss.plan.k}" in page
        for _, gradient, loss in found.measured:
            assert gradient in page
            assert loss in page

    def test_the_known_variances_come_back(self, records):
        found = study(loss=(4.0, 1.0), gradient=(1.0, 8.0), records=records)
        low, high = found.gradient.estimate.intervals.ratio
        assert low < 8 < high
        assert found.gradient.estimate == estimate_components(
            drawn(v_x=1.0, v_yx=8.0, d=50, seed=2), names=[f"p{i}" for i in range(60)]
        )
