"""Exercises of the book: the question, the code to edit, the solution and a check, each from one source.

>>> from mrtlab.show.exercises import check
>>> check("ch1.coverage", ...)
Not answered yet. Give each fruit a chance of staying unseen: four draws in a row must miss it.
"""

from mrtlab.show.exercises.engine import EXERCISES, check, exercise_cells, get_exercise
from mrtlab.show.exercises.exercise import Exercise, Feedback

__all__ = ["EXERCISES", "Exercise", "Feedback", "check", "exercise_cells", "get_exercise"]
