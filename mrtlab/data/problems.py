"""Programming problems from files, and what a model's answer to one is worth.

Three shapes of line are read, one JSON object each, and a file may mix them:

- as in HumanEval: `task_id`, `prompt` (the beginning of a Python file, up to the body of the function asked for),
  `entry_point` (its name), `test` (Python that defines `check(candidate)`), `canonical_solution` (the body);
- as in MBPP: `task_id`, `text` or `prompt` (words), `code` (a solution), `test_list` (statements that hold for a right
  one), and perhaps `test_setup_code` or `test_imports`;
- plain: `prompt` (words), `tests` (the same), and perhaps `id`, `setup` and `solution`.

An answer is run with its tests behind the guard (see `guarded`), never otherwise.

>>> problem = read_problem({"prompt": "Write f, which doubles a number.", "tests": ["assert f(3) == 6"]})
>>> judge(problem, "Here you are:\\n```python\\ndef f(x):\\n    return x + x\\n```").verdict
'passed'
"""

import keyword
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrtlab.data.guarded import DEFAULT, MAX_CHARACTERS, Limits, Outcome, Trial, run_trials
from mrtlab.data.records import RecordError, short
from mrtlab.data.records_io import EXPECTED as _EXPECTED_RECORDS
from mrtlab.data.records_io import read_jsonl

EXPECTED = 'Expected {"prompt": ..., "tests": ["assert f(3) == 6", ...]}, or the fields of HumanEval or of MBPP.'
_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
# Where a continuation has left the function that it should complete.
_OUTSIDE = re.compile(r"^(?:def|async|class|if|print|import|from|assert|for|while|#|@|```|\"\"\"|''')", re.MULTILINE)


class ProblemError(RecordError):
    """A line is no problem. The message names the field, what was found and what to do; from a file, the place too."""


@dataclass(frozen=True)
class Problem:
    """A task for a program, with its tests.

    Attributes:
        name: its id in the file, or its number.
        prompt: what is asked, as the file has it.
        tests: Python statements that run to the end for a right program.
        start: Python that an answer may continue; empty where an answer is a whole program.
        entry: the name of the function asked for, where the file says it.
        helpers: Python that the tests stand on, and that no answer can change.
        solution: a program that the file holds to be right; None if it gives none.
    """

    name: str
    prompt: str
    tests: str
    start: str = ""
    entry: str | None = None
    helpers: str = ""
    solution: str | None = None

    @property
    def question(self) -> str:
        """What to ask a model: the prompt; where it is in words, with the first test, which alone names the function.

        >>> read_problem({"prompt": "Double a number.", "tests": ["assert f(3) == 6"]}).question
        'Double a number.\\nYour code should pass this test: assert f(3) == 6'
        """
        if self.start:
            return self.prompt
        first = next(line for line in self.tests.splitlines() if line.lstrip().startswith("assert"))
        return f"{self.prompt}\nYour code should pass this test: {first.strip()}"

    def program(self, answer: str) -> str:
        """The program that an answer makes.

        The text of an answer is what stands in its code fence, if it has one. Where the prompt is the beginning of a
        file, the text either defines the function itself, and goes behind the imports and helpers of the prompt, or it
        is the function's body, and goes behind the whole prompt; a body ends where something at the left margin
        begins, and a first line that lost its indentation gets it back.

        >>> problem = Problem("0", "", "", start='def f(x):\\n    "Double x."\\n', entry="f")
        >>> print(problem.program("return 2 * x\\n\\nprint(f(3))"))
        def f(x):
            "Double x."
            return 2 * x
        """
        text = unfenced(answer, entry=self.entry)
        if not self.start or self.entry is None:
            return text
        if _definition(self.entry).search(text):
            return self.start[: _definition(self.entry).search(self.start).start()] + text
        if text[:1] not in (" ", "\t", "\n", ""):
            text = "    " + text
        outside = _OUTSIDE.search(text)
        return self.start.rstrip("\n") + "\n" + (text[: outside.start()] if outside else text).strip("\n")

    def trial(self, answer: str) -> Trial:
        """The answer and the tests, ready to run."""
        if len(answer) > MAX_CHARACTERS:  # not looked into; the verdict says so
            return Trial(answer, self.tests)
        names = None if self.entry is None else (self.entry,)
        return Trial(self.program(answer), self.tests, helpers=self.helpers, names=names)


def judge(problem: Problem, answer: str, *, limits: Limits = DEFAULT) -> Outcome:
    """Run one answer to a problem. For several, `judge_all` is much faster.

    Raises:
        GuardError: the guard does not hold on this machine; nothing was run.

    >>> judge(read_problem({"prompt": "Double.", "tests": ["assert f(3) == 6"]}), "def f(x): return x").detail
    'this does not hold: assert f(3) == 6'
    """
    return judge_all([problem], [[answer]], limits=limits)[0][0]


def judge_all(
    problems: Sequence[Problem],
    answers: Sequence[Sequence[str]],
    *,
    limits: Limits = DEFAULT,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Outcome]]:
    """Run several answers to each of several problems.

    Args:
        problems: the problems.
        answers: for each of them, the answers.
        limits: for each answer.
        workers: how many run at once; by default one per CPU, at most eight.
        progress: called with how many answers are done and how many there are.

    Returns:
        For each problem the outcomes of its answers, in their order. `pass_at_k` of `mrtlab.theory.metrics` takes it
        from there.

    Raises:
        GuardError: the guard does not hold on this machine; nothing was run.
        ValueError: there are not as many lists of answers as problems.

    >>> problem = read_problem({"prompt": "Double.", "tests": ["assert f(3) == 6"]})
    >>> [[o.passed for o in outcomes] for outcomes in judge_all([problem], [["f = abs", "def f(x): return x * 2"]])]
    [[False, True]]
    """
    if len(problems) != len(answers):
        raise ValueError(f"one list of answers for each problem, got {len(answers)} for {len(problems)}")
    trials = [problem.trial(answer) for problem, given in zip(problems, answers, strict=True) for answer in given]
    outcomes = iter(run_trials(trials, limits=limits, workers=workers, progress=progress))
    return [[next(outcomes) for _ in given] for given in answers]


def unfenced(answer: str, *, entry: str | None = None) -> str:
    """The code of an answer: what stands between ``` and ```, or all of it where there is no such mark.

    Of several blocks it is the last one that defines `entry`, else the longest. A block that was never closed goes to
    the end.

    >>> unfenced("So:\\n```python\\nx = 1\\n```\\nand:\\n```\\ndef f(): ...\\n```", entry="f")
    'def f(): ...\\n'
    """
    blocks = _FENCE.findall(answer)
    if not blocks:
        return answer
    defining = [block for block in blocks if entry is not None and _definition(entry).search(block)]
    return defining[-1] if defining else max(blocks, key=len)


def load_problems(path: str | Path) -> list[Problem]:
    """The problems of a JSON Lines file.

    Raises:
        ProblemError: the file is missing or a line is no problem; with file, line, field and what to do.
    """
    found: list[Problem] = []
    try:
        for place, row in read_jsonl(Path(path)):
            try:
                found.append(read_problem(row, name=str(len(found))))
            except ProblemError as error:
                raise ProblemError(f"{place}: {error}") from None
    except ProblemError:
        raise
    except RecordError as error:
        raise ProblemError(str(error).replace(_EXPECTED_RECORDS, EXPECTED)) from None
    if not found:
        raise ProblemError(f"{path}: the file holds no problems. {EXPECTED}")
    return found


def read_problem(row: Mapping[str, Any], *, name: str = "0") -> Problem:
    """One problem, from the fields of a line.

    Args:
        row: the fields; which of the three shapes it is, is told by `entry_point` and by `test_list`.
        name: what to call it where it has no id.

    Raises:
        ProblemError: a field is missing or cannot be right.

    >>> read_problem({"prompt": "Double.", "tests": ["assert f(3 == 6"]})
    Traceback (most recent call last):
    mrtlab.data.problems.ProblemError: 'tests': entry 1 is not Python ('(' was never closed): 'assert f(3 == 6'.
        Correct it, or leave the line out.
    """
    name = str(row.get("task_id", row.get("id", name)))
    if "entry_point" in row:
        return _completion(row, name)
    if "test_list" in row:
        return _in_words(row, name, words="text" if "text" in row else "prompt", tests="test_list", solution="code")
    if "tests" in row:
        return _in_words(row, name, words="prompt", tests="tests", solution="solution")
    raise ProblemError(f"no field 'tests', 'test_list' or 'entry_point' among {short(list(row))}. {EXPECTED}")


def _completion(row: Mapping[str, Any], name: str) -> Problem:
    """A line of HumanEval's shape."""
    start, entry, test = (_text(row, field) for field in ("prompt", "entry_point", "test"))
    if not entry.isidentifier() or keyword.iskeyword(entry):
        raise ProblemError(f"'entry_point': {short(entry)} is no name of a function. Give the name alone.")
    begins = _definition(entry).search(start)
    if begins is None:
        raise ProblemError(f"'prompt': it does not define the entry point {entry}. It must have a line 'def {entry}('.")
    if not _definition("check").search(test):
        raise ProblemError("'test': it does not define check. It must have a line 'def check(candidate):'.")
    _python(test, "'test'")
    helpers = start[: begins.start()]
    _python(helpers, f"'prompt', before {entry},")
    body = row.get("canonical_solution")
    if body is not None and not isinstance(body, str):
        raise ProblemError(
            f"'canonical_solution': {short(body)} is no text. Give the body of the function, or leave it out."
        )
    tests = f"{test}\n\ncheck({entry})\n"
    return Problem(name, start, tests, start, entry, helpers, None if body is None else start + body)


def _in_words(row: Mapping[str, Any], name: str, *, words: str, tests: str, solution: str) -> Problem:
    """A line of MBPP's shape, or a plain one."""
    prompt, given = _text(row, words), row[tests]
    if not isinstance(given, list) or not given or not all(isinstance(test, str) for test in given):
        raise ProblemError(
            f"{tests!r}: {short(given)} is not a list of texts. Give at least one, such as 'assert f(3) == 6'."
        )
    for number, test in enumerate(given, 1):
        _python(test, f"{tests!r}: entry {number}")
    if not any(line.lstrip().startswith("assert") for test in given for line in test.splitlines()):
        raise ProblemError(f"{tests!r}: nothing is asserted. Give at least one test such as 'assert f(3) == 6'.")
    before = list(row.get("test_imports") or [])
    before += [row[field] for field in ("test_setup_code", "setup") if row.get(field)]
    if not all(isinstance(part, str) for part in before):
        raise ProblemError(f"what comes before the tests must be texts, got {short(before)}. Give Python statements.")
    setup = "\n".join(before)
    _python(setup, "what comes before the tests")
    code = row.get(solution)
    if code is not None and not isinstance(code, str):
        raise ProblemError(f"{solution!r}: {short(code)} is no text. Give a Python program, or leave it out.")
    return Problem(name, prompt, "\n".join([setup, *given] if setup else given), solution=code)


def _text(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        found = "is missing" if field not in row else f"is {short(value)}"
        raise ProblemError(f"{field!r}: it {found}; it must be a text. {EXPECTED}")
    return value


def _python(code: str, where: str) -> None:
    """Look whether a text of the file is Python, so that a mistake is told before anything runs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "<problem>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ProblemError(
            f"{where} is not Python ({what}): {short(code)}. Correct it, or leave the line out."
        ) from None


def _definition(name: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b", re.MULTILINE)
