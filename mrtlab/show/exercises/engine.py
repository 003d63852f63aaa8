"""Find an exercise, check an answer to it, and turn it into notebook cells."""

import difflib
from typing import Any

from mrtlab.show.exercises import ch1, ch2, ch3, ch4, ch5, ch6, ch7, ch8, ch10
from mrtlab.show.exercises.exercise import Exercise, Feedback

EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise
    for chapter in (ch1, ch2, ch3, ch4, ch5, ch6, ch7, ch8, ch10)
    for exercise in chapter.EXERCISES
}

STUB_TAG = "mrtlab-exercise"


def get_exercise(exercise_id: str) -> Exercise:
    """The exercise of that id.

    Raises:
        ValueError: there is none; the message offers the nearest ids.

    >>> get_exercise("ch1.coverage").minutes
    3
    """
    if exercise_id in EXERCISES:
        return EXERCISES[exercise_id]
    near = difflib.get_close_matches(exercise_id, EXERCISES, n=1)
    suggestion = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"no exercise {exercise_id!r}: {suggestion}Known: {', '.join(EXERCISES)}")


def check(exercise_id: str, answer: Any) -> Feedback:
    """Say whether an answer is right, and if not, what probably went wrong.

    Args:
        exercise_id: such as "ch1.coverage".
        answer: the number or the function that the exercise asks for; `...` while there is none.

    Returns:
        feedback that draws itself as a box in a notebook. A wrong answer never raises.

    Raises:
        ValueError: there is no such exercise.

    >>> check("ch1.coverage", 5 * 0.8**4).state  # counts what is missed, not what is seen
    'not yet'
    """
    return get_exercise(exercise_id).check(answer)


def exercise_cells(exercise_id: str) -> list[dict]:
    """The three notebook cells of an exercise: the question, the code to edit, the folded solution.

    Args:
        exercise_id: such as "ch1.coverage".

    Returns:
        markdown, code and markdown cell (nbformat nodes), each marked in its metadata as
        `{"mrtlab": {"exercise": id, "part": "text" | "stub" | "solution"}}` and with a fixed cell id.

    Raises:
        ValueError: there is no such exercise.

    >>> [cell["cell_type"] for cell in exercise_cells("ch1.coverage")]
    ['markdown', 'code', 'markdown']
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell  # a book tool: checking answers needs none

    exercise = get_exercise(exercise_id)

    def marks(part: str) -> dict:
        slug = exercise_id.replace(".", "-").replace("_", "-")
        return {"id": f"{slug}-{part}", "metadata": {"mrtlab": {"exercise": exercise_id, "part": part}}}

    cells = [
        new_markdown_cell(_text(exercise), **marks("text")),
        new_code_cell(exercise.stub.strip(), **marks("stub")),
        new_markdown_cell(_solution(exercise), **marks("solution")),
    ]
    cells[1].metadata["tags"] = [STUB_TAG]
    return cells


def _number(exercise: Exercise) -> str:
    """Chapter and place in the chapter: '1.2' for the second exercise of chapter 1."""
    chapter = exercise.id.split(".")[0]
    siblings = [other for other in EXERCISES if other.startswith(f"{chapter}.")]
    return f"{chapter.removeprefix('ch')}.{siblings.index(exercise.id) + 1}"


def _text(exercise: Exercise) -> str:
    dots = "●" * exercise.difficulty + "○" * (3 - exercise.difficulty)
    heading = f"### Exercise {_number(exercise)} · {exercise.title}"
    return f"{heading}\n\n{dots} · about {exercise.minutes} minutes\n\n{exercise.text.strip()}"


def _solution(exercise: Exercise) -> str:
    """The blank lines end the HTML blocks, so that JupyterLab and MyST both read the fence as markdown."""
    code = f"```python\n{exercise.solution.strip()}\n```"
    return f"<details>\n<summary>Solution</summary>\n\n{code}\n\n</details>"
