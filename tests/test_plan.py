"""`mrtlab plan` as a practitioner uses it, on good files and broken ones."""

import json
import shlex
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from mrtlab import cli_plan
from mrtlab.cli import app
from mrtlab.theory import Components, estimate_components, optimal_k, plan

COSTS = ("--prompt-cost", "4", "--response-cost", "1", "--budget", "400")


def call(*arguments, code=0):
    result = CliRunner().invoke(app, ["plan", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def complaint(*arguments, code=2):
    """The one sentence on standard error."""
    result = call(*arguments, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("mrtlab: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def losses(tmp_path, monkeypatch):
    """A table in the current folder: 200 prompts, V_x = 1, V_{y|x} = 7, 1 to 5 responses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    rng = np.random.default_rng(0)
    rows = [rng.normal() + np.sqrt(7.0) * rng.normal(size=k) for k in rng.integers(1, 6, 200)]
    path = tmp_path / "losses.csv"
    text = "".join(f"p{i},{value!r}\n" for i, row in enumerate(rows) for value in row.tolist())
    path.write_text("prompt,value\n" + text)
    return rows


def test_help_teaches_with_examples_that_work(losses):
    """The one with a model is tried in test_plan_model.py."""
    text = call("--help").stdout
    every = [line.strip()[2:] for line in cli_plan.EXAMPLES.splitlines() if line.startswith("$ ")]
    examples = [example for example in every if "--model" not in example]
    assert (len(every), len(examples)) == (3, 2)
    for example in examples:
        assert " ".join(example.split()[:4]) in text
        program, command, *arguments = shlex.split(example)
        assert (program, command) == ("mrtlab", "plan")
        call(*arguments)


def test_what_a_person_sees(losses):
    text = call("losses.csv", *COSTS).stdout
    assert "losses.csv: 200 prompts" in text
    found = plan(estimate_components(losses).components, 4.0, 1.0, 400.0)
    assert found.advice in text
    for part in ("standard error", "more variance", "best", "V_x, between prompts", "95 % interval"):
        assert part in text


def test_json_agrees_with_the_package(losses):
    content = json.loads(call("losses.csv", *COSTS, "--json").stdout)
    estimate = estimate_components(losses)
    found = plan(estimate.components, 4.0, 1.0, 400.0)
    assert content["n_responses"] == sum(map(len, losses))
    assert content["components"]["prompt"]["value"] == pytest.approx(estimate.components.prompt)
    assert content["components"]["response"]["lo"] == pytest.approx(estimate.intervals.response[0])
    assert content["optimal_k"]["value"] == pytest.approx(float(optimal_k(estimate.components, 4.0, 1.0)))
    assert content["optimal_k"]["lo"] < content["optimal_k"]["value"] < content["optimal_k"]["hi"]
    assert (content["plan"]["k"], content["plan"]["n_prompts"]) == (found.k, found.n_prompts)
    assert content["curve"][found.k - 1]["regret"] == 0
    assert content["advice"] == found.advice
    assert content["report"] is None


def test_keep_one_response_when_the_law_says_so(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": i, "values": [i, i + 0.01]}) for i in range(20)))
    text = call(path, *COSTS).stdout
    assert "Keep one response per prompt and collect 80 prompts" in text
    assert "below 1: keep one" in text


def test_no_difference_between_prompts(tmp_path):
    """V_x estimated at 0 has no best K; JSON says null, not infinity."""
    path = tmp_path / "t.csv"
    path.write_text("prompt,value\n" + "".join(f"p{i},{v}\n" for i in range(9) for v in (0, 2 + i / 100)))
    content = json.loads(call(path, *COSTS, "--json").stdout)
    assert content["components"]["prompt"] == {"value": 0.0, "lo": 0.0, "clipped": True} | {
        "hi": content["components"]["prompt"]["hi"]
    }
    assert content["optimal_k"]["value"] is None
    assert any("V_x was set to 0" in remark for remark in content["remarks"])


def test_a_wide_interval_is_said(tmp_path, losses):
    path = tmp_path / "few.csv"
    path.write_text("prompt,value\na,1\na,4\nb,2\nb,7\nc,3\nc,3.5\nd,6\n")
    assert "The best K is uncertain" in call(path, *COSTS).stdout
    text = call("losses.csv", *COSTS, "--max-k", "8").stdout
    assert "uncertain" not in text
    assert "cautious" not in text


def test_tokens_with_a_shared_prompt_and_with_copies(losses):
    tokens = ("--prompt-tokens", "300", "--response-tokens", "60", "--budget", "100000", "--json")
    shared = json.loads(call("losses.csv", *tokens).stdout)
    copies = json.loads(call("losses.csv", *tokens, "--copies").stdout)
    assert shared == json.loads(call("losses.csv", *tokens, "--shared-prompt").stdout)
    assert shared["costs"] == {"prompt": 300.0, "response": 60.0, "budget": 100000.0, "unit": "tokens"}
    assert copies["costs"]["response"] == 360.0
    assert shared["plan"]["k"] > 1
    assert copies["plan"]["k"] == 1
    assert shared["plan"]["variance"] < copies["plan"]["variance"]
    assert any("Running the prompt once" in remark for remark in copies["remarks"])


def test_scarce_prompts(losses):
    content = json.loads(call("losses.csv", *COSTS, "--max-prompts", "10", "--max-k", "20", "--json").stdout)
    assert (content["plan"]["k"], content["plan"]["n_prompts"]) == (20, 10)
    assert any("--max-k" in remark for remark in content["remarks"])


def test_the_report_is_written_whole_or_not_at_all(losses, tmp_path):
    result = call("losses.csv", *COSTS, "--report", "plan.html")
    assert "Report: plan.html" in result.stdout
    assert (tmp_path / "plan.html").read_text().rstrip().endswith("</html>")
    (tmp_path / "bad.csv").write_text("prompt,value\na,x\n")
    complaint("bad.csv", *COSTS, "--report", "other.html")
    assert not (tmp_path / "other.html").exists()
    assert "no folder" in complaint("losses.csv", *COSTS, "--report", "nowhere/plan.html", code=1)
    (tmp_path / "taken").mkdir()
    assert "cannot write taken" in complaint("losses.csv", *COSTS, "--report", "taken", code=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.csv", "losses.csv", "plan.html", "taken"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which table?"),
        (("losses.csv", "--demo"), "not both"),
        (("losses.csv",), "Add --prompt-cost and --response-cost, for example"),
        (("losses.csv", "--prompt-cost", "4"), "Add --response-cost"),
        (("losses.csv", "--prompt-tokens", "4"), "Add --response-tokens"),
        (("losses.csv", *COSTS[:4]), "Add --budget"),
        (("losses.csv", *COSTS, "--prompt-tokens", "4"), "costs or tokens, not both"),
        (("losses.csv", *COSTS, "--copies"), "need --prompt-tokens"),
        (("losses.csv", "--prompt-cost", "-1", *COSTS[2:]), "--prompt-cost is -1"),
        (("losses.csv", *COSTS[:4], "--budget", "0"), "--budget is 0"),
        (("losses.csv", *COSTS[:4], "--budget", "nan"), "--budget is nan"),
        (("losses.csv", *COSTS[:4], "--budget", "3"), "losses.csv: a budget of 3 does not pay"),
        (("losses.csv", "--prompt-cost", "0", "--response-cost", "0", "--budget", "1"), "both 0"),
        (("nothing.csv", *COSTS), "nothing.csv: there is no such file"),
    ],
)
def test_requests_that_cannot_be_met(losses, arguments, message):
    assert message in complaint(*arguments)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "the file is empty"),
        ("prompt,value\na,1\na,2\n", "at least 2 prompts"),
        ("prompt,value\na,1\nb,2\n", "every prompt has one response"),
        ("prompt,value\na,1\na,inf\n", "line 3: value is inf"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, rows, message):
    (tmp_path / "t.csv").write_text(rows)
    text = complaint(tmp_path / "t.csv", *COSTS)
    assert message in text
    assert "t.csv" in text


def test_the_demo_is_quick_and_needs_no_torch():
    code = (
        "import sys; from mrtlab.cli import app\n"
        "try:\n    app(['plan', '--demo', '--json'])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert not {'torch', 'plotly', 'scipy.stats'} & set(sys.modules)"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert time.monotonic() - start < 10
    assert json.loads(done.stdout)["plan"]["k"] > 1


def test_slow_work_is_announced(monkeypatch, losses, tmp_path):
    monkeypatch.setattr(cli_plan, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(cli_plan, "_losses", lambda *_: time.sleep(0.3) or demo())
    assert "still reading losses.csv" in call("losses.csv", *COSTS).stderr


def demo():
    from mrtlab.show.study import demo_table

    return demo_table()


def test_the_notebook_twin():
    assert plan(Components(1.0, 7.09), 4, 1, 400).advice.startswith("Collect")


def test_gradients_get_a_best_k_of_their_own(tmp_path):
    """Losses differ mostly among responses, gradients mostly between prompts."""
    rng = np.random.default_rng(1)
    lines, features = [], []
    for i in range(80):
        features.append(3 * rng.normal(size=5) + rng.normal(size=(4, 5)))
        losses = (rng.normal() + 3 * rng.normal(size=4)).tolist()
        lines.append(json.dumps({"prompt": i, "values": losses, "gradients": features[-1].tolist()}))
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(lines))
    content = json.loads(call(path, *COSTS, "--json").stdout)
    expected = float(optimal_k(estimate_components(features).components, 4.0, 1.0))
    assert content["gradient"]["optimal_k"]["value"] == pytest.approx(expected)
    assert content["gradient"]["optimal_k"]["hi"] < content["optimal_k"]["lo"]
    assert any("For the gradient K = 1 is best" in remark for remark in content["remarks"])
    assert "best K for the gradient" in call(path, *COSTS).stdout
