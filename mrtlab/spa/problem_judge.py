"""Judges answers to programming problems by running them with their tests, behind the guard."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any

from mrtlab.data.guarded import Limits, Outcome, Pool
from mrtlab.data.problems import Problem
from mrtlab.data.records import Prompt, prompt_text, short
from mrtlab.spa.sources import Ruling

_WORKERS = 4  # keepers at the most: one for each answer of a prompt would not be faster


class ProblemJudge:
    """Judges answers to problems that have tests. Use it in a `with`, or close it.

    Args:
        problems: that the prompts are the `question`s of.
        limits: for each answer.

    Attributes:
        about: how many problems there are and their fingerprint, for the record.

    Raises:
        ValueError: two problems ask the same. When judging: a prompt is no problem's.
        GuardError: the guard does not hold on this machine; nothing will be run.

    >>> from mrtlab.data.problems import read_problem
    >>> problem = read_problem({"prompt": "Double a number.", "tests": ["assert f(3) == 6"]})
    >>> with ProblemJudge([problem]) as judge:
    ...     [ruling.ok for ruling in judge.many(problem.question, ["def f(x): return x + x", "def f(x): return x"])]
    [True, False]
    """

    def __init__(self, problems: Sequence[Problem], *, limits: Limits = Limits()):  # noqa: B008 (frozen)
        self._known = {problem.question: problem for problem in problems}
        if len(self._known) < len(problems):
            asked = [problem.question for problem in problems]
            twice = next(text for place, text in enumerate(asked) if text in asked[:place])
            raise ValueError(f"two problems ask the same, {short(twice)}: leave one of them out")
        digest = hashlib.sha256(json.dumps([asdict(problem) for problem in problems]).encode()).hexdigest()
        self.about: dict[str, Any] = {"problems": len(problems), "fingerprint": digest}
        self._pool = Pool(workers=min(os.cpu_count() or 1, _WORKERS), limits=limits)

    def __call__(self, prompt: Prompt, answer: str) -> Ruling:
        """Judge one answer."""
        return self.many(prompt, [answer])[0]

    def many(self, prompt: Prompt, answers: Sequence[str]) -> list[Ruling]:
        """Judge several answers to a prompt, several at once; the same text is run once."""
        if prompt not in self._known:
            raise ValueError(f"{short(prompt_text(prompt))} is the question of none of the {len(self._known)} problems")
        problem, different = self._known[prompt], list(dict.fromkeys(answers))
        outcomes = dict(zip(different, self._pool.run([problem.trial(answer) for answer in different]), strict=True))
        return [_ruling(outcomes[answer]) for answer in answers]

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def __enter__(self) -> "ProblemJudge":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ruling(outcome: Outcome) -> Ruling:
    return Ruling(outcome.passed, "" if outcome.passed else f"{outcome.verdict}: {outcome.detail}")
