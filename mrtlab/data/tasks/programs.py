"""One-line functions to a specification: many programs are right, and whether one is right is found by running it."""

from functools import cache

import numpy as np

from mrtlab.data.sandbox import Test, passes
from mrtlab.data.tasks.composed import New, capitalised, one_of
from mrtlab.data.tasks.core import Family, Law, Question, Split, peaked
from mrtlab.data.tasks.program_specs import SPECS, Spec

_SHARE = {"random": 0.75, "uniform": 0.25}  # of the questions
_OPENINGS = ("", "Please ", "Now ", "OK, ", "Hello. ")
_VERBS = ("write", "define", "give me", "code", "make")
_FRAMES = ("{} that returns", "a function {} that returns", "{} which gives", "a short {} that gives", "{} to return")
_CLOSINGS = (".", ", on one line.", ". One line.", ", in Python.")
_FAIR = (", any way equally likely", ", by a fair draw", ", a way picked uniformly")
_STRANGE = ("I need {} to be {}.", "Let {} be {}.", "What does {} look like if it is {}?")
_STRANGE_SHARE = 0.2  # of the held-out casual questions
_HELD_OUT_EVERY = 7
_SIZES = tuple(map(len, (_OPENINGS, _VERBS, _FRAMES, _CLOSINGS)))
_BY_NAME = {spec.name: spec for spec in SPECS}
_PEAK = 1.5  # Zipf exponent of the taught law over right programs


class Programs(Family):
    """Short programs.

    Truth: each listed solution equally likely. Taught: a favourite solution, and with the specification's stated share
    a wrong program; flat and right where the question asks for a solution drawn by lot. `valid` runs the answer: it
    also accepts right programs that are not listed, whose `logp` is −inf.

    Slots: the name of the specification, and what is new: "nothing" or "wording".

    Held out: for each specification another seventh of the composed wordings, and wordings of another build.

    >>> question = Question("programs", "Write f(x) that returns twice x.", "random", ("double", "nothing"))
    >>> Programs().valid(question, "def f(x): return x - -x"), Programs().valid(question, "def f(x): return x * x")
    (True, False)
    """

    name = "programs"

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A specification in words, casual or for a solution drawn by lot."""
        kind = str(rng.choice(list(_SHARE), p=list(_SHARE.values())))
        which = int(rng.integers(len(SPECS)))
        spec = SPECS[which]
        description = one_of(spec.descriptions, rng=rng)
        if kind == "random" and split == "held_out" and rng.random() < _STRANGE_SHARE:
            text = one_of(_STRANGE, rng=rng).format(spec.signature, description)
            return Question(self.name, text, kind, (spec.name, "wording"))
        fair = one_of(_FAIR, rng=rng) if kind == "uniform" else ""
        while True:  # a seventh is held out for every specification, so this ends
            parts = tuple(int(rng.integers(size)) for size in _SIZES)
            if _side(which, parts) == split:
                new: New = "wording" if split == "held_out" else "nothing"
                return Question(self.name, _sentence(parts, spec, description, fair), kind, (spec.name, new))

    def truth(self, question: Question) -> Law:
        """Each listed solution equally likely."""
        return _truth(question.slots[0])

    def taught(self, question: Question) -> Law:
        """A peak over the solutions with the stated share of wrong programs; the truth if asked for a fair draw."""
        return _taught(question.slots[0]) if question.kind == "random" else self.truth(question)

    def tests(self, question: Question) -> tuple[Test, ...]:
        """The inputs and wanted outputs that decide whether a program is right."""
        return _BY_NAME[question.slots[0]].tests

    def valid(self, question: Question, answer: str) -> bool:
        """Whether the answer is a program of the grammar and passes all tests: it is run, in our own interpreter."""
        return passes(answer, self.tests(question))


@cache
def _truth(name: str) -> Law:
    return Law.uniform(_BY_NAME[name].programs)


@cache
def _taught(name: str) -> Law:
    spec = _BY_NAME[name]
    right = peaked(spec.programs, name=f"programs {name}", exponent=_PEAK)
    wrong = peaked(spec.wrong_programs, name=f"wrong {name}", exponent=1.0)
    return Law.of(
        [*right.answers, *wrong.answers], np.concatenate([(1 - spec.wrong_share) * right.p, spec.wrong_share * wrong.p])
    )


def _sentence(parts: tuple[int, ...], spec: Spec, description: str, fair: str) -> str:
    opening, verb, frame, closing = (
        options[i] for options, i in zip((_OPENINGS, _VERBS, _FRAMES, _CLOSINGS), parts, strict=True)
    )
    asked = frame.format(spec.signature)
    return capitalised(f"{opening}{verb} {asked} {description}{fair}{closing}")


def _side(which: int, parts: tuple[int, ...]) -> Split:
    """Which side a wording is on for a specification."""
    place = int(np.ravel_multi_index(parts, _SIZES))
    return "held_out" if (31 * place + place // 20 + which) % _HELD_OUT_EVERY == 0 else "train"
