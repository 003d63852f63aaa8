"""What an exercise holds, for tests that work it out another way."""

import numpy as np

from mrtlab.show.exercises import EXERCISES


def answer_of(exercise_id: str) -> float:
    return EXERCISES[exercise_id].check.target


def solution_of(exercise_id: str) -> dict:
    """Everything the solution defines."""
    names: dict = {}
    exec("\n".join(EXERCISES[exercise_id].solution.strip().splitlines()[:-1]), names)
    return names


def cases_of(exercise_id: str) -> list[tuple]:
    check = EXERCISES[exercise_id].check
    return check.cases(np.random.default_rng(check.seed))
