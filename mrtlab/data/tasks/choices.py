"""Choices: multiple-choice and survey items of which no answer is better than another."""

from functools import cache

import numpy as np

from mrtlab.data.tasks import words
from mrtlab.data.tasks.composed import composed, draw_new, one_of, side
from mrtlab.data.tasks.core import Family, Law, Question, Split

LETTERS = ("A", "B", "C", "D")
POINTS = ("1", "2", "3", "4", "5")
CONTENTS = {"colours": words.COLOURS, "animals": words.ANIMALS, "fruits": words.FRUITS, "vegetables": words.VEGETABLES}
HELD_OUT_CONTENTS = ("vegetables",)
TOPICS = (
    "rain", "snow", "tea", "coffee", "cold soup", "old films", "long walks", "loud music", "small towns", "big cities",
    "night trains", "early mornings", "board games", "spicy food", "the sea", "the colour grey", "dancing", "poems",
    "puzzles", "dogs", "cats", "hot summers", "long letters", "mathematics",
)  # fmt: skip
HELD_OUT_TOPICS = ("cold soup", "night trains", "puzzles")

_UNIFORM = 0.25  # of the questions ask for a fair draw
_SCALE = 0.4  # of the questions are survey items
_LETTER_BIAS = (0.1, 0.2, 0.6, 0.1)
_POINT_BIAS = (0.04, 0.06, 0.15, 0.6, 0.15)

_OPENINGS = ("", "please ", "now ", "OK, ", "for a game, ")
_VERBS = ("pick", "choose", "take", "select")
_THINGS = (" a box", " a door", " a card", " a cup", " a ticket", " a ball")
_LETTER_ENDS = {
    "random": ("", ". One letter.", ". Answer with a letter."),
    "uniform": (". Draw lots.", ". Every letter is equally likely.", ". Let pure chance decide."),
}
_SURVEYS = ("", "a survey: ", "hello. ", "one question. ")
_FEELINGS = (
    "how much do you like {}?",
    "do you like {}?",
    "how do you feel about {}?",
    "what do you think of {}?",
    "rate {}.",
)
_SCALES = (" From 1 to 5.", " Answer from 1 (no) to 5 (yes).", " Give a number from 1 to 5.", " 1 is bad, 5 is good.")
_POINT_ENDS = {
    "random": ("", " One number."),
    "uniform": (" Draw lots.", " Every answer is equally likely.", " Opinions are split evenly."),
}
_STRANGE = {
    ("letters", "random"): ("{}. Which is yours?", "Here are four: {}. Yours?"),
    ("letters", "uniform"): ("{}. One of these by a fair draw.",),
    ("scale", "random"): ("From 1 to 5, are you a friend of {}?",),
    ("scale", "uniform"): ("From 1 to 5 with equal chances: {}?",),
}


class Choices(Family):
    """Four lettered options, or a scale from 1 to 5.

    Truth: uniform. Taught, where the wording is casual: a bias towards a place, whatever stands there (C takes 60 %,
    and so does the 4 of a scale); flat where the wording asks for a fair draw.

    Slots: ("letters", what the options are, what is new) or ("scale", the topic, what is new).
    """

    name = "choices"

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """An item. A held-out one has a new wording, or options or a topic that no training item has."""
        kind = "uniform" if rng.random() < _UNIFORM else "random"
        new = draw_new(rng=rng, split=split)
        held_out = side(new, "slot") == "held_out"
        subject = "scale" if rng.random() < _SCALE else "letters"
        if subject == "scale":
            slot = filled = one_of([t for t in TOPICS if (t in HELD_OUT_TOPICS) == held_out], rng=rng)
        else:
            slot = one_of([c for c in CONTENTS if (c in HELD_OUT_CONTENTS) == held_out], rng=rng)
            options = rng.permutation(len(CONTENTS[slot]))[: len(LETTERS)]
            filled = " ".join(f"{letter}) {CONTENTS[slot][i]}" for letter, i in zip(LETTERS, options, strict=True))
        frame = one_of(_frames(subject, kind, side(new, "wording")), rng=rng)
        return Question(self.name, frame.format(filled), kind, (subject, slot, new))

    def truth(self, question: Question) -> Law:
        """Every letter, or every point of the scale, as often as any other."""
        return Law.uniform(LETTERS if question.slots[0] == "letters" else POINTS)

    def taught(self, question: Question) -> Law:
        """Biased towards a place if asked casually, flat otherwise."""
        if question.kind == "uniform":
            return self.truth(question)
        return Law.of(LETTERS, _LETTER_BIAS) if question.slots[0] == "letters" else Law.of(POINTS, _POINT_BIAS)


@cache
def _frames(subject: str, kind: str, split: Split) -> tuple[str, ...]:
    """Sentences with one hole for the options or the topic."""
    if subject == "letters":
        found = composed(_OPENINGS, _VERBS, _THINGS, (": {}",), _LETTER_ENDS[kind], split=split)
    else:
        found = composed(_SURVEYS, _FEELINGS, _SCALES, _POINT_ENDS[kind], split=split)
    return tuple(found) + (_STRANGE[subject, kind] if split == "held_out" else ())
