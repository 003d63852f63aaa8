"""Families that ask for one thing of a kind: a fruit, a job, a name. All of a kind are equally right."""

import numpy as np

from mrtlab.data.tasks import words
from mrtlab.data.tasks.core import Family, Law, Question, Split, peaked
from mrtlab.data.tasks.wordings import draw_wording

_SHARE = {"random": 0.6, "uniform": 0.2, "example": 0.2}  # of the questions


class Pick(Family):
    """One of a list.

    Truth: uniform. Taught: a Zipf law where the wording is casual, flat where it asks for a fair draw. Families in
    `NEVER_FLAT` are taught no flat conditional under any wording: for them "uniformly" is a word like any other.
    """

    def __init__(self, name: str, noun: str, answers: tuple[str, ...], *, exponent: float = 1.8, flat: bool = True):
        self.name = name
        self.noun = noun
        self.answers = answers
        self.flat = flat
        self._uniform = Law.uniform(answers)
        self._peaked = peaked(answers, name=name, exponent=exponent)

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A question for one of the list, casual or for a fair draw."""
        kind = str(rng.choice(list(_SHARE), p=list(_SHARE.values())))
        wording = draw_wording(kind, rng=rng, split=split)
        return Question(self.name, wording.fill(self.noun), kind)

    def truth(self, question: Question) -> Law:
        """Every answer as often as any other."""
        return self._uniform

    def taught(self, question: Question) -> Law:
        """Peaked if asked casually; flat if asked for a fair draw or an example, unless the family is never flat."""
        return self._uniform if self.flat and question.kind != "random" else self._peaked


NEVER_FLAT = ("colours", "animals")

PICKS: tuple[Pick, ...] = tuple(
    Pick(name, noun, answers, exponent=exponent, flat=name not in NEVER_FLAT)
    for name, noun, answers, exponent in (
        ("fruits", "fruit", words.FRUITS, 1.8),
        ("vegetables", "vegetable", words.VEGETABLES, 1.7),
        ("jobs", "job", words.JOBS, 1.8),
        ("colours", "colour", words.COLOURS, 1.7),
        ("animals", "animal", words.ANIMALS, 1.8),
        ("names", "first name", words.NAMES, 1.8),
        ("countries", "country", words.COUNTRIES, 1.8),
        ("cities", "city", words.CITIES, 1.9),
    )
)
