"""What `mrtlab spa synthesize` and `evaluate` ask, and who judges the answers: a file of prompts, or a family."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from mrtlab.cli_common import fail
from mrtlab.cli_lm import prompts_of

if TYPE_CHECKING:
    from mrtlab.data.records import Prompt, Record
    from mrtlab.data.tasks import Question

_TESTED = ("tests", "test_list", "entry_point")  # any of these fields makes a line a problem


@dataclass(frozen=True)
class Asked:
    """Prompts, and what is known about their answers.

    Attributes:
        name: of the file or family, for people.
        prompts: what is asked.
        judge: says of a prompt and an answer whether it is right, as `mrtlab.spa.synthesize.Judge`; None if nobody
            knows.
        programs: whether answers are programs, so that kinds of algorithms can be told apart.
        questions: of a family, in the order of the prompts; empty for a file.
        reference: prompts with known right answers, as far as there are any.
        reference_name: what these are, for people.

    Use it in a `with`: a judge may have processes of its own.
    """

    name: str
    prompts: "Sequence[Prompt]"
    judge: Any = None
    programs: bool = False
    questions: "Sequence[Question]" = ()
    reference: "Sequence[Record]" = field(default=())
    reference_name: str = ""

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self.judge, "close"):
            self.judge.close()

    def verdicts(self, prompt: "Prompt", answers: Sequence[str]) -> list[bool] | None:
        """Which answers are right; None if nobody knows."""
        if self.judge is None:
            return None
        if hasattr(self.judge, "many"):
            return [ruling.ok for ruling in self.judge.many(prompt, answers)]
        return [self.judge(prompt, answer).ok for answer in answers]


def asked_of_family(name: str, n: int, *, seed: int, split: Literal["train", "held_out"]) -> Asked:
    """Questions of a family, with its judge and two right answers to each; or one sentence on what is wrong."""
    import numpy as np

    from mrtlab.data.records import Record
    from mrtlab.data.tasks import FAMILIES
    from mrtlab.data.tasks import family as find
    from mrtlab.lab.names import UnknownName
    from mrtlab.spa.sources import FamilyJudge

    if name not in FAMILIES:
        fail(str(UnknownName("family", name, FAMILIES)), 2)
    found = find(name)
    rng = np.random.default_rng((seed, 5))
    questions = found.questions(n, rng=rng, split=split)
    if len(questions) < n:
        typer.echo(f"Note: {name} has {len(questions):,} questions only.", err=True)
    reference = [
        Record.of(question.text, list(dict.fromkeys(found.sample(question, 2, rng=rng)))) for question in questions
    ]
    prompts = [question.text for question in questions]
    from_family = "right answers to these prompts, drawn from the family"
    return Asked(name, prompts, FamilyJudge(questions), name == "programs", questions, reference, from_family)


def asked_of_file(path: Path) -> Asked:
    """The prompts of a file: as problems if the first line has tests, else with their responses if they have some."""
    from mrtlab.data.records import RecordError
    from mrtlab.data.records_io import read_jsonl

    if path.suffix.lower() != ".jsonl":
        return Asked(str(path), prompts_of(path))
    try:
        _, first = next(read_jsonl(path), ("", {}))
        if any(name in first for name in _TESTED):
            return _asked_problems(path)
        records = _responses(path)
    except RecordError as error:
        fail(str(error), 2)
    return Asked(str(path), prompts_of(path), reference=records, reference_name=f"the responses in {path}")


def _asked_problems(path: Path) -> Asked:
    """Problems with tests, and a judge that runs answers behind the guard; one sentence if there is no guard."""
    from mrtlab.data.guard import GuardError
    from mrtlab.data.problems import load_problems
    from mrtlab.data.records import Record
    from mrtlab.spa.problem_judge import ProblemJudge

    problems = load_problems(path)
    try:
        judge = ProblemJudge(problems)
    except ValueError as error:
        fail(f"{path}: {error}", 2)
    except GuardError as error:
        fail(f"{path} has tests, and answers are run behind a guard or not at all. {error}", 1)
    known = [Record.of(problem.question, [problem.solution]) for problem in problems if problem.solution]
    prompts = [problem.question for problem in problems]
    return Asked(str(path), prompts, judge, True, (), known, f"the solutions in {path}")


def _responses(path: Path) -> "list[Record]":
    """The records of a file whose lines all have responses; else none."""
    from mrtlab.data.records_io import load_records, read_jsonl

    if not all(row.get("response") or row.get("responses") for _, row in read_jsonl(path)):
        return []
    return load_records(path)
