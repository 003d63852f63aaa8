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
    """

    name: str
    prompts: "Sequence[Prompt]"
    judge: Any = None
    programs: bool = False
    questions: "Sequence[Question]" = ()
    reference: "Sequence[Record]" = field(default=())


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
    return Asked(name, prompts, FamilyJudge(questions), name == "programs", questions, reference)


def asked_of_file(path: Path) -> Asked:
    """The prompts of a file; with their tests if they have any, and with their responses if they have some."""
    return Asked(str(path), prompts_of(path), reference=_responses(path))


def _responses(path: Path) -> "list[Record]":
    """The records of a file whose lines all have responses; else none."""
    from mrtlab.data.records import RecordError
    from mrtlab.data.records_io import load_records, read_jsonl

    if path.suffix.lower() != ".jsonl":
        return []
    try:
        if not all(row.get("response") or row.get("responses") for _, row in read_jsonl(path)):
            return []
        return load_records(path)
    except RecordError as error:
        fail(str(error), 2)
