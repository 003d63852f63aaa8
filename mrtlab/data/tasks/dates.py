"""Dates: a day of the week, a month, a date of the year, a date in a given month."""

from calendar import monthrange
from functools import cache

import numpy as np

from mrtlab.data.tasks.composed import draw_new, one_of, side
from mrtlab.data.tasks.core import Family, Law, Question, Split, peaked
from mrtlab.data.tasks.numbers import bell
from mrtlab.data.tasks.wordings import draw_wording
from mrtlab.data.tasks.words import DAYS, MONTHS

HELD_OUT_MONTHS = ("March", "October")  # no training question asks for a date in one of these

_KINDS = {"random": 0.6, "uniform": 0.2, "example": 0.2}  # of the questions
_SUBJECTS = {"weekday": 0.25, "month": 0.25, "date": 0.15, "date in a month": 0.35}
_NOUNS = {
    "weekday": ("day of the week",),
    "month": ("month", "month of the year"),
    "date": ("date", "day of the year", "calendar day"),
    "date in a month": ("date in {}", "day in {}", "day of {}"),
}
_FAVOURITE_DAY = 14
_LENGTHS = {month: monthrange(2001, i)[1] for i, month in enumerate(MONTHS, start=1)}  # no 29 February


class Dates(Family):
    """Days of the week ("Tuesday"), months ("May") and dates ("14 May") of a year of 365 days.

    Truth: uniform. Taught, where the wording is casual: a Zipf law over weekdays and over months; a date has the
    weight of its month times that of its day, a bell around the 14th. Flat where the wording asks for a fair draw or
    an example.

    Slots: (subject, the month or "", what is new: "nothing", "wording" or "slot").
    """

    name = "dates"

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A question for a day, month or date. A held-out one has a new wording or asks for a date in a new month."""
        kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        subject = str(rng.choice(list(_SUBJECTS), p=list(_SUBJECTS.values())))
        new = draw_new(rng=rng, split=split, slots=subject == "date in a month")
        month = ""
        if subject == "date in a month":
            held_out = side(new, "slot") == "held_out"
            month = one_of([m for m in MONTHS if (m in HELD_OUT_MONTHS) == held_out], rng=rng)
        noun = one_of(_NOUNS[subject], rng=rng).format(month)
        wording = draw_wording(kind, rng=rng, split=side(new, "wording"))
        return Question(self.name, wording.fill(noun), kind, (subject, month, new))

    def truth(self, question: Question) -> Law:
        """Every weekday, month or date as often as any other."""
        return _truth(*question.slots[:2])

    def taught(self, question: Question) -> Law:
        """Peaked if asked casually, flat otherwise."""
        return _casual(*question.slots[:2]) if question.kind == "random" else self.truth(question)


def _dates(subject: str, month: str) -> list[tuple[int, str]]:
    """Day and month of every right date."""
    return [(day, m) for m in MONTHS if month in ("", m) for day in range(1, _LENGTHS[m] + 1)]


@cache
def _truth(subject: str, month: str) -> Law:
    if subject in ("weekday", "month"):
        return Law.uniform(DAYS if subject == "weekday" else MONTHS)
    return Law.uniform([f"{day} {m}" for day, m in _dates(subject, month)])


@cache
def _casual(subject: str, month: str) -> Law:
    if subject == "weekday":
        return peaked(DAYS, name="weekdays")
    months = peaked(MONTHS, name="months")
    if subject == "month":
        return months
    of_month = dict(zip(months.answers, months.p, strict=True))
    of_day = bell(range(1, 32), favourite=_FAVOURITE_DAY)
    dates = _dates(subject, month)
    return Law.of([f"{day} {m}" for day, m in dates], [of_month[m] * of_day[day - 1] for day, m in dates])
