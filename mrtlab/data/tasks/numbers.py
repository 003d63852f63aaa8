"""Numbers: from a range, even, odd or prime, from a die, or by a law that the wording names."""

from collections.abc import Sequence
from functools import cache
from math import comb
from typing import Literal

import numpy as np
from jaxtyping import Float

from mrtlab.data.tasks.composed import draw_new, one_of, side
from mrtlab.data.tasks.core import Family, Law, Question, Split, favourite_order
from mrtlab.data.tasks.wordings import draw_wording

Subject = Literal["number", "even", "odd", "prime", "die"]

MAX_VALUES = 30  # in a range
LARGEST = 99

_KINDS = {"random": 0.45, "uniform": 0.2, "example": 0.1, "binomial": 0.125, "zipf": 0.125}  # of the questions
_SUBJECTS = {"number": 0.52, "even": 0.12, "odd": 0.12, "prime": 0.12, "die": 0.12}  # where no law is named
_NOUNS = {
    "number": ("number", "whole number"),
    "even": ("even number",),
    "odd": ("odd number",),
    "prime": ("prime number",),
}
_RANGES = ("between {} and {}", "from {} to {}", "in the range {} to {}")
_DICE = ("throw of a die with {} sides", "roll of a die with {} sides")
_BINOMIAL = (
    "number like the number of heads in {} coin throws",
    "number like the heads in {} coin throws",
    "number drawn like the number of heads in {} coin throws",
)
_ZIPF = (
    ", small numbers much more often",
    " with small numbers much more often",
    " where small numbers come much more often",
)
_COMMON = ((0, 9), (0, 10), (1, 4), (1, 5), (1, 6), (1, 8), (1, 10), (1, 12), (1, 20))  # never held out
_LOW_START = 0.3  # of the ranges start at 0 or 1, as people's do
_FAVOURITE, _BELL, _ANYWHERE = 0.5, 0.4, 0.1  # shares of the casual law
_WIDTH = 3.0  # of the bell, one standard deviation
_SHARPER = 2.0  # the power to which a named law is raised when it is taught


def bell(values: Sequence[int], *, favourite: int) -> Float[np.ndarray, "m"]:
    """How people pick a number: half the time the favourite, mostly near it, one time in ten anywhere.

    p(v) = 0.5·[v = favourite] + 0.4·exp(−½((v − favourite)/3)²)/Z + 0.1/m. No answer is rarer than 0.1/m.

    >>> bell([6, 7, 8], favourite=7).round(3)
    array([0.164, 0.672, 0.164])
    """
    away = np.asarray(values, dtype=float) - favourite
    near = np.exp(-0.5 * (away / _WIDTH) ** 2)
    return _FAVOURITE * (away == 0) + _BELL * near / near.sum() + _ANYWHERE / len(away)


def favourite(values: Sequence[int]) -> int:
    """The first value that ends in 7, or in 8 if all are even; the last value if there is none.

    >>> favourite(range(3, 30)), favourite([12, 14, 16, 18, 20]), favourite(range(1, 7))
    (7, 18, 6)
    """
    digit = 8 if all(value % 2 == 0 for value in values) else 7
    return next((value for value in values if value % 10 == digit), values[-1])


def values_of(subject: Subject, low: int, high: int) -> tuple[int, ...]:
    """The right numbers from low to high, both ends included.

    >>> values_of("prime", 1, 12), values_of("even", 3, 8)
    ((2, 3, 5, 7, 11), (4, 6, 8))
    """
    keep = {
        "even": lambda v: v % 2 == 0,
        "odd": lambda v: v % 2 == 1,
        "prime": lambda v: v > 1 and all(v % d for d in range(2, int(v**0.5) + 1)),
    }.get(subject, lambda v: True)
    return tuple(v for v in range(low, high + 1) if keep(v))


@cache
def ranges(subject: Subject = "number", *, split: Split = "train") -> tuple[tuple[int, int], ...]:
    """The ends of every range of 2 to 30 numbers inside 0..99 that holds at least two right answers.

    A tenth of the ranges is held out, three for most lower ends, for every subject alike.

    >>> n_train, n_held_out = len(ranges()), len(ranges(split="held_out"))
    >>> n_train + n_held_out, round(n_held_out / (n_train + n_held_out), 2)
    (2465, 0.1)
    """
    found = []
    for low in range(LARGEST):
        highs = [h for h in range(low + 1, min(low + MAX_VALUES, LARGEST + 1)) if (low, h) not in _COMMON]
        order = favourite_order(len(highs), name=f"range from {low}")
        held_out = {highs[i] for i in order[: round(len(highs) / 10)]}
        for high in range(low + 1, min(low + MAX_VALUES, LARGEST + 1)):
            if (high in held_out) == (split == "held_out") and len(values_of(subject, low, high)) > 1:
                found.append((low, high))
    return tuple(found)


class Numbers(Family):
    """Numbers.

    Truth: uniform over the right numbers, unless the wording names the law. "Like the number of heads in n coin
    throws" is binomial, C(n, v)/2ⁿ; "small numbers much more often" is Zipf's, ∝ 1/rank.

    Taught: a bell around a favourite where the wording is casual (`bell`), flat where it asks for a fair draw or an
    example, and a named law sharpened, ∝ p².

    Slots: (subject, low, high, what is new: "nothing", "wording" or "slot").
    """

    name = "numbers"

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A question for one number. A held-out one has either a new wording or a new range."""
        kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        named = kind in ("binomial", "zipf")
        subject = "number" if named else str(rng.choice(list(_SUBJECTS), p=list(_SUBJECTS.values())))
        new = draw_new(rng=rng, split=split)
        low, high = _draw_range(kind, subject, rng=rng, split=side(new, "slot"))
        wording = draw_wording("random" if named else kind, rng=rng, split=side(new, "wording"))
        noun = _noun(kind, subject, low, high, rng=rng)
        return Question(self.name, wording.fill(noun), kind, (subject, low, high, new))

    def truth(self, question: Question) -> Law:
        """Uniform, binomial or Zipf, as the question asks."""
        return _truth(question.kind, *question.slots[:3])

    def taught(self, question: Question) -> Law:
        """Peaked for casual wordings, flat for fair ones, too sharp where a law is named."""
        return _taught(question.kind, *question.slots[:3])


@cache
def _truth(kind: str, subject: str, low: int, high: int) -> Law:
    values = values_of(subject, low, high)
    weights = {
        "binomial": [comb(high, v) for v in values],
        "zipf": 1 / np.arange(1, len(values) + 1),
    }.get(kind, np.ones(len(values)))
    return Law.of([str(v) for v in values], weights)


@cache
def _taught(kind: str, subject: str, low: int, high: int) -> Law:
    true = _truth(kind, subject, low, high)
    if kind in ("binomial", "zipf"):
        return Law.of(true.answers, true.p**_SHARPER)
    if kind == "random":
        values = values_of(subject, low, high)
        return Law.of(true.answers, bell(values, favourite=favourite(values)))
    return true


def _draw_range(kind: str, subject: str, *, rng: np.random.Generator, split: Split) -> tuple[int, int]:
    """A range: a die starts at 1, throws of coins at 0, and of the others every third at one of the two."""
    starts = {"die": (1,), "binomial": (0,)}.get(kind if kind == "binomial" else subject, (0, 1))
    low = one_of(starts, rng=rng) if starts != (0, 1) or rng.random() < _LOW_START else None
    return one_of(_ranges_from(subject, low, split), rng=rng)


@cache
def _ranges_from(subject: str, low: int | None, split: Split) -> tuple[tuple[int, int], ...]:
    found = ranges(subject, split=split)
    return tuple(r for r in found if r[0] == low) if low is not None else found


def _noun(kind: str, subject: str, low: int, high: int, *, rng: np.random.Generator) -> str:
    """What is asked for, without its article."""
    if kind == "binomial":
        return one_of(_BINOMIAL, rng=rng).format(high)
    if subject == "die":
        return one_of(_DICE, rng=rng).format(high)
    noun = f"{one_of(_NOUNS[subject], rng=rng)} {one_of(_RANGES, rng=rng).format(low, high)}"
    return noun + (one_of(_ZIPF, rng=rng) if kind == "zipf" else "")
