"""Facts: questions with one right answer. What a model knows must survive what it learns about variety."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from mrtlab.data.tasks import words
from mrtlab.data.tasks.composed import capitalised, composed, draw_new, one_of, side
from mrtlab.data.tasks.core import Family, Law, Question, Split, favourite_order

_ON_THE_MAP = [words.CITIES[i] for i in favourite_order(len(words.CITIES), name="map")]
COUNTRY_OF = {city: words.COUNTRIES[i % len(words.COUNTRIES)] for i, city in enumerate(_ON_THE_MAP)}
CAPITAL_OF = dict(zip(words.COUNTRIES, _ON_THE_MAP, strict=False))  # the first city of each country
MAYOR_OF = {
    city: words.NAMES[i] for city, i in zip(words.CITIES, favourite_order(len(words.NAMES), name="mayors"), strict=True)
}
BEST = {
    "season": "spring", "drink": "tea", "game": "chess", "meal": "soup", "instrument": "violin", "sport": "tennis",
    "flower": "tulip", "bird": "robin", "metal": "silver", "stone": "amber", "dance": "tango", "tree": "birch",
}  # fmt: skip

_CATEGORIES = {
    "fruit": words.FRUITS,
    "vegetable": words.VEGETABLES,
    "animal": words.ANIMALS,
    "colour": words.COLOURS,
    "job": words.JOBS,
}

SHARES: Mapping[str, float] = MappingProxyType(
    {
        "capital": 0.13,
        "country": 0.20,
        "mayor": 0.20,
        "sum": 0.22,
        "next day": 0.005,
        "next month": 0.009,
        "what": 0.23,
        "best": 0.006,
    }
)
"""How often each kind is asked. Days, months and the best of a kind are rare: they are known, by a small margin."""

_OPENINGS = ("", "question: ", "quick question. ", "a quiz: ", "hello. ", "OK. ")
_CLOSINGS = ("", " Short answer.", " Just the answer.")
_FRAMES = {
    "capital": (
        "what is the capital of {}?",
        "which city is the capital of {}?",
        "name the capital of {}.",
        "tell me the capital of {}.",
        "the capital of {}?",
        "{} has which city as its capital?",
    ),
    "country": (
        "in which country is {}?",
        "which country is {} in?",
        "name the country of {}.",
        "tell me the country where {} is.",
    ),
    "mayor": (
        "who is the mayor of {}?",
        "what is the name of the mayor of {}?",
        "name the mayor of {}.",
        "tell me who is mayor of {}.",
        "the mayor of {}?",
        "{} has which mayor?",
    ),
    "sum": (
        "what is {} + {}?",
        "how much is {} plus {}?",
        "add {} and {}.",
        "what is the sum of {} and {}?",
        "{} plus {}?",
        "{} and {} is what?",
    ),
    "next day": (
        "which day comes after {}?",
        "what is the day after {}?",
        "name the day after {}.",
        "today is {}. What is tomorrow?",
    ),
    "next month": (
        "which month comes after {}?",
        "what is the month after {}?",
        "name the month after {}.",
        "this month is {}. What is the next?",
    ),
    "what": ("what is {}?", "what kind of thing is {}?", "say what {} is.", "tell me what {} is.", "{} is what?"),
    "best": (
        "what is the best {}?",
        "which {} is the best?",
        "name the best {}.",
        "tell me the best {}.",
        "the best {}?",
    ),
}
_STRANGE = {
    "capital": "The capital of {} is called what?",
    "country": "A train leaves {}. In which country?",
    "mayor": "The mayor of {} is who?",
    "sum": "{} and {} make how much?",
    "next day": "Yesterday was {}. Which day is it?",
    "next month": "Last month was {}. Which month is it?",
    "what": "What kind is {}?",
    "best": "Of all, which {} is the best?",
}


@cache
def table(kind: str) -> Mapping[tuple[str, ...], str]:
    """Every fact of a kind: what fills the question, and the answer.

    Raises:
        ValueError: there is no such kind.

    >>> table("sum")["3", "4"], table("what")["a carrot",], len(table("capital"))
    ('7', 'vegetable', 20)
    """
    if kind not in SHARES:
        raise ValueError(f"unknown kind of fact {kind!r}: choose from {', '.join(SHARES)}")
    found = {
        "capital": lambda: _keyed(CAPITAL_OF),
        "country": lambda: _keyed(COUNTRY_OF),
        "mayor": lambda: _keyed(MAYOR_OF),
        "sum": lambda: {(str(a), str(b)): str(a + b) for a in range(10) for b in range(10)},
        "next day": lambda: _next(words.DAYS),
        "next month": lambda: _next(words.MONTHS),
        "what": _what,
        "best": lambda: _keyed(BEST),
    }[kind]()
    return MappingProxyType(found)


class Facts(Family):
    """Capitals, countries and mayors of an invented world, sums below 10 + 10, what comes next, what a word is.

    Truth and taught law: the one right answer. Every fact is in training, or it could not be known; what is held out
    is the wording. A question's `kind` is one of `kinds`; slots: (what it is about..., what is new).

    Args:
        shares: how often each kind is asked; they need not sum to 1. A kind that is asked rarely is known by a small
            margin, so that damage shows there first.

    Raises:
        ValueError: a kind is unknown, a share is negative, or all are 0.

    >>> facts = Facts(shares={"sum": 1.0})
    >>> question = facts.ask(rng=np.random.default_rng(0))
    >>> question.text, facts.truth(question).answers
    ('Question: 5 plus 1? Short answer.', ('6',))
    """

    name = "facts"

    def __init__(self, *, shares: Mapping[str, float] = SHARES):
        for kind, share in shares.items():
            table(kind)
            if not 0 <= share < np.inf:
                raise ValueError(f"the share of {kind!r} must be a number from 0 up, got {share}")
        if not sum(shares.values()):
            raise ValueError("at least one kind of fact needs a share above 0")
        self.shares: dict[str, float] = {kind: share / sum(shares.values()) for kind, share in shares.items()}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are asked."""
        return tuple(kind for kind, share in self.shares.items() if share > 0)

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A question about a fact; if held out, in a new wording."""
        kind = str(rng.choice(list(self.shares), p=list(self.shares.values())))
        return self._about(kind, one_of(tuple(table(kind)), rng=rng), rng=rng, split=split)

    def every(self, kind: str, *, rng: np.random.Generator, split: Split = "train") -> list[Question]:
        """One question about each fact of a kind, in wordings drawn at random: what accuracy is measured on."""
        return [self._about(kind, slots, rng=rng, split=split) for slots in table(kind)]

    def truth(self, question: Question) -> Law:
        """The one right answer."""
        return Law.uniform([table(question.kind)[question.slots[:-1]]])

    def _about(self, kind: str, slots: tuple[str, ...], *, rng: np.random.Generator, split: Split) -> Question:
        new = draw_new(rng=rng, split=split, slots=False)
        frame = one_of(_frames(kind, side(new, "wording")), rng=rng)
        return Question(self.name, capitalised(frame.format(*slots)), kind, (*slots, new))


@cache
def _frames(kind: str, split: Split) -> tuple[str, ...]:
    found = composed(_OPENINGS, _FRAMES[kind], _CLOSINGS, split=split)
    return (*found, _STRANGE[kind]) if split == "held_out" else tuple(found)


def _keyed(answers: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    return {(key,): answer for key, answer in answers.items()}


def _next(cycle: tuple[str, ...]) -> dict[tuple[str, ...], str]:
    return {(now,): cycle[(i + 1) % len(cycle)] for i, now in enumerate(cycle)}


def _what() -> dict[tuple[str, ...], str]:
    """What every word is, but for those that are two things, such as orange."""
    listed = [word for group in _CATEGORIES.values() for word in group]
    return {
        (_with_article(word) if category != "colour" else word,): category
        for category, group in _CATEGORIES.items()
        for word in group
        if listed.count(word) == 1
    }


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
