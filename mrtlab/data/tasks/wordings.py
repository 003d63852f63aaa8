"""How a question is put: hundreds of wordings composed from parts, some of them kept out of training.

A small model that has met eight wordings of a question does not know the ninth. Composed wordings teach it the parts.
Held-out wordings come in two kinds: parts of training in a combination it never had, and sentences of another build.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from mrtlab.data.tasks.core import Split

_OPENINGS = ("", "Please ", "Now ", "OK, ", "Hello. ", "For a game, ")
_VERBS = ("name", "give me", "tell me", "pick", "choose", "say", "think of", "suggest", "write")
_RANDOM = ("a {}", "any {}", "some {}", "a random {}", "one {}", "one random {}")
_CLOSINGS = (".", "", ", just one.", ". One answer only.")
_UNIFORM = (
    "{} uniformly at random",
    "{} with equal probability for each",
    "{} so that every one is equally likely",
    "{} by a fair draw",
)
_EXAMPLE = ("an example of a {}", "one example of a {}", "an example: a {}", "as an example a {}")
_STRANGE = (
    "Surprise me with a {}.",
    "I need a {}. Which one?",
    "A {}, quickly.",
    "Which {} comes to mind?",
)
_HELD_OUT_EVERY = 7


@dataclass(frozen=True)
class Wording:
    """A sentence with one hole, and the conditional it asks for."""

    text: str
    kind: str

    def fill(self, noun: str) -> str:
        """Put a noun into the hole, with the article it takes.

        >>> Wording("Name a {}.", "random").fill("animal")
        'Name an animal.'
        """
        text = self.text.format(noun)
        if noun[0].lower() in "aeiou":
            for article in (" a ", " A "):
                text = text.replace(f"{article}{noun}", f"{article.rstrip()}n {noun}")
            if text.startswith(f"A {noun}"):
                text = f"An {text[2:]}"
        return text


def wordings(*, kinds: tuple[str, ...] = ("random", "uniform", "example"), split: Split = "train") -> list[Wording]:
    """All wordings of the given kinds on one side of the split.

    >>> both = {w.text for w in wordings()} & {w.text for w in wordings(split="held_out")}
    >>> len(both), len(wordings()) > 1000
    (0, True)
    """
    composed = [wording for kind in kinds for wording in _composed(kind)]
    mine = [w for i, w in enumerate(composed) if (_spread(i) % _HELD_OUT_EVERY == 0) == (split == "held_out")]
    strange = [Wording(text, "random") for text in _STRANGE] if split == "held_out" and "random" in kinds else []
    return mine + strange


def draw_wording(kind: str, *, rng: np.random.Generator, split: Split = "train") -> Wording:
    """One wording of a kind."""
    found = _of_kind(kind, split)
    return found[int(rng.integers(len(found)))]


@cache
def _of_kind(kind: str, split: Split) -> list[Wording]:
    return wordings(kinds=(kind,), split=split)


def _composed(kind: str) -> list[Wording]:
    middles = {"random": _RANDOM, "uniform": tuple(u.format("a {}") for u in _UNIFORM), "example": _EXAMPLE}[kind]
    return [
        Wording(_sentence(opening, verb, middle, closing), kind)
        for opening in _OPENINGS
        for verb in _VERBS
        for middle in middles
        for closing in _CLOSINGS
    ]


def _sentence(opening: str, verb: str, middle: str, closing: str) -> str:
    starts = not opening or opening.endswith(". ")
    return f"{opening}{verb.capitalize() if starts else verb} {middle}{closing}"


def _spread(i: int) -> int:
    """Walks through the combinations so that the held-out ones are spread over all parts."""
    return (i * 31 + i // 24) % 1_000_003
