"""Files of programming problems: what is read, what is refused with a remedy, and what answers are worth."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from mrtlab.data.guarded import MAX_CHARACTERS, Limits
from mrtlab.data.problems import Problem, ProblemError, judge, judge_all, load_problems, read_problem, unfenced
from mrtlab.theory.metrics import pass_at_k

linux = pytest.mark.skipif(sys.platform != "linux", reason="the guard is Linux's; elsewhere everything is refused")
FILES = Path(__file__).parent / "problems"
LIMITS = Limits(cpu_seconds=2, wall_seconds=300)


@pytest.fixture(scope="module")
def completions() -> list[Problem]:
    return load_problems(FILES / "completions.jsonl")


@pytest.fixture(scope="module")
def in_words() -> list[Problem]:
    return load_problems(FILES / "in_words.jsonl")


@linux
def test_the_solutions_of_the_files_pass(completions, in_words):
    problems = [*completions, *in_words]
    outcomes = judge_all(problems, [[problem.solution] for problem in problems], limits=LIMITS)
    assert [outcome.verdict for (outcome,) in outcomes] == ["passed"] * len(problems), outcomes


@linux
def test_wrong_answers_do_not_pass(completions, in_words):
    problems = [*completions, *in_words]
    answers = [["    pass\n", "", "```python\n```", "def nothing():\n    return 1"] for _ in problems]
    for outcomes in judge_all(problems, answers, limits=LIMITS):
        assert not any(outcome.passed for outcome in outcomes)


@linux
def test_outcomes_feed_pass_at_k(in_words):
    problem = in_words[0]
    right = [outcome.passed for outcome in judge_all([problem], [[problem.solution, "x = 1"]], limits=LIMITS)[0]]
    assert right == [True, False]
    assert pass_at_k(len(right), sum(right), 1) == pytest.approx(0.5)


ROW = {
    "task_id": "T/0",
    "prompt": "import math\n\ndef side(x):\n    return math.sqrt(x)\n\n\ndef area(x: float) -> float:\n"
    '    """Its square."""\n',
    "entry_point": "area",
    "canonical_solution": "    return x * x\n",
    "test": "def check(candidate):\n    assert candidate(3) == 9\n    assert math.isclose(candidate(side(2)), 2)\n",
}


@linux
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("    return x * x\n", "passed"),
        ("return x * x", "passed"),  # its first line lost the indentation
        ("return x *\\\n    x", "passed"),
        ("    y = x\n    return y * x\n\n\nprint(area(3))\nwhile True: pass", "passed"),  # it went on after the end
        ("    return x * x\n# Test\nassert False", "passed"),
        ("\n    return x * x", "passed"),
        ("Sure:\n```python\ndef area(x):\n    return math.pow(x, 2)\n```\nThat is it.", "passed"),
        ("```python\n    return x * x\n```", "passed"),
        ("```\ndef area(x):\n    return x * x", "passed"),  # cut off before the fence closed
        ("def area(x):\n    return x * x", "passed"),
        ("def side(x):\n    return 3\ndef area(x):\n    return 9 if x == 3 else 2.0", "passed"),  # right on these tests
        ("def side(x):\n    return 3\ndef area(x):\n    return 9", "failed"),  # its own side changes nothing
        ("    return x + x", "failed"),
        ("    return x ** ", "error"),
        ("def area(x):\n    import os\n    os._exit(0)", "error"),
        ("I am not sure.", "error"),
    ],
)
def test_answers_to_the_beginning_of_a_file(answer, verdict):
    outcome = judge(read_problem(ROW), answer, limits=LIMITS)
    assert outcome.verdict == verdict, outcome


@linux
def test_an_answer_too_long_is_refused():
    assert judge(read_problem(ROW), "#" * (MAX_CHARACTERS + 1)).verdict == "refused"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("x = 1", "x = 1"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```py\nx = 1\n```\n```\nlonger = 12\n```", "longer = 12\n"),
        ("```py\ndef f(): 1\n```\n```\nlonger = 12345678\n```", "def f(): 1\n"),
        ("```py\ndef f(): 1\n```\n```\ndef f(): 2\n```", "def f(): 2\n"),
        ("text\n  ```python\n  x = 1\n  ```", "  x = 1\n"),
        ("a ``` b", "a ``` b"),
        ("```python\nx = 1", "x = 1"),
        ("```python\n", ""),
    ],
)
def test_unfenced(answer, code):
    assert unfenced(answer, entry="f") == code


def test_the_three_shapes():
    problem = read_problem(ROW)
    assert (problem.name, problem.entry, problem.question) == ("T/0", "area", ROW["prompt"])
    assert problem.helpers == ROW["prompt"].partition("def area")[0]
    assert problem.solution == ROW["prompt"] + ROW["canonical_solution"]
    row = {"task_id": 7, "text": "Add.", "code": "def a(x, y): return x + y", "test_list": ["assert a(1, 2) == 3"]}
    mbpp = read_problem(row | {"test_setup_code": "import math", "challenge_test_list": []})
    assert (mbpp.name, mbpp.prompt, mbpp.tests) == ("7", "Add.", "import math\nassert a(1, 2) == 3")
    assert mbpp.question == "Add.\nYour code should pass this test: assert a(1, 2) == 3"
    sanitized = {"prompt": "Add.", "code": "", "test_list": ["assert a(1, 2) == 3"], "test_imports": ["import math"]}
    assert read_problem(sanitized).tests == mbpp.tests
    plain = read_problem({"prompt": "Add.", "tests": ["assert a(1, 2) == 3"], "id": "x", "setup": "b = 3"}, name="9")
    assert (plain.name, plain.tests, plain.solution) == ("x", "b = 3\nassert a(1, 2) == 3", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": None}, "'prompt': it is null; it must be a text"),
        ({"prompt": "def other(): ...\n"}, "'prompt': it does not define the entry point area"),
        ({"prompt": "import (\n\ndef area(x):\n"}, "'prompt', before area, is not Python"),
        ({"entry_point": "a b"}, "'entry_point': 'a b' is no name of a function"),
        ({"entry_point": "class"}, "'entry_point'"),
        ({"entry_point": 3}, "'entry_point': it is 3"),
        ({"test": "assert area(3) == 9"}, "'test': it does not define check"),
        ({"test": "def check(candidate):\n    assert ("}, "'test' is not Python"),
        ({"test": ""}, "'test': it is ''"),
        ({"canonical_solution": 1}, "'canonical_solution': 1 is no text"),
    ],
)
def test_a_completion_that_is_none(change, said):
    with pytest.raises(ProblemError) as caught:
        read_problem(ROW | change)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "Add."}, "no field 'tests', 'test_list' or 'entry_point' among ['prompt']"),
        ({"tests": ["assert f()"]}, "'prompt': it is missing"),
        ({"prompt": "Add.", "tests": []}, "'tests': [] is not a list of texts"),
        ({"prompt": "Add.", "tests": "assert f()"}, "is not a list of texts"),
        ({"prompt": "Add.", "tests": [1]}, "'tests': [1] is not a list of texts"),
        ({"prompt": "Add.", "tests": ["assert f()", "assert f("]}, "'tests': entry 2 is not Python"),
        ({"prompt": "Add.", "tests": ["f()"]}, "'tests': nothing is asserted"),
        ({"prompt": "Add.", "tests": ["assert f()"], "setup": 1}, "must be texts, got [1]"),
        ({"prompt": "Add.", "tests": ["assert f()"], "setup": "import ("}, "what comes before the tests is not Python"),
        ({"prompt": "Add.", "tests": ["assert f()"], "solution": 1}, "'solution': 1 is no text"),
        ({"text": "", "test_list": ["assert f()"]}, "'text': it is ''"),
    ],
)
def test_a_row_that_is_no_problem(row, said):
    with pytest.raises(ProblemError) as caught:
        read_problem(row)
    assert said in str(caught.value)
    assert str(caught.value).rstrip().endswith((".", "MBPP."))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file holds no problems"),
        ("\n\n", "the file holds no problems"),
        ('{"prompt": "Add.", "tests": ["assert f()"]}\n{"prompt": "Add."}\n', "line 2: no field 'tests'"),
        ("[1]\n", "line 1"),
        ("{\n", "line 1: not valid JSON"),
        ("3\n", 'Expected {"prompt": ..., "tests"'),
    ],
)
def test_a_file_that_is_wrong(tmp_path, text, said):
    path = tmp_path / "problems.jsonl"
    path.write_text(text)
    with pytest.raises(ProblemError) as caught:
        load_problems(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert '"responses"' not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ProblemError, match=r"none\.jsonl"):
        load_problems(tmp_path / "none.jsonl")


def test_files_may_be_packed_and_mixed(tmp_path):
    path = tmp_path / "mixed.jsonl.gz"
    rows = [ROW, {"prompt": "Add.", "tests": ["assert a(1, 2) == 3"]}]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert [problem.name for problem in load_problems(str(path))] == ["T/0", "1"]


def test_answers_must_fit_the_problems():
    with pytest.raises(ValueError, match="got 0 for 1"):
        judge_all([read_problem(ROW)], [])
