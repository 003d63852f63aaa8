"""Sentences composed from parts, one in seven kept out of training, and what is new in a held-out question."""

from collections.abc import Sequence
from itertools import product
from typing import Literal, TypeVar

import numpy as np

from mrtlab.data.tasks.core import Split, favourite_order

T = TypeVar("T")
New = Literal["nothing", "wording", "slot"]

_HELD_OUT_EVERY = 7


def composed(*parts: Sequence[str], split: Split = "train") -> list[str]:
    """Every way to join one of each part, on one side of the split.

    A fixed shuffle decides the sides, so that every part is met in training and every held-out sentence is a new
    combination of known parts.

    Raises:
        ValueError: two combinations read the same, so that a held-out sentence could be met in training.

    >>> train = composed(("", "Please "), ("name", "say"), (" a number", " a die", " a month"))
    >>> held_out = composed(("", "Please "), ("name", "say"), (" a number", " a die", " a month"), split="held_out")
    >>> len(train), len(held_out), set(train) & set(held_out)
    (11, 1, set())
    """
    texts = [capitalised("".join(combination)) for combination in product(*parts)]
    if len(set(texts)) < len(texts):
        raise ValueError("two combinations of the parts read the same")
    order = favourite_order(len(texts), name=f"composed {len(texts)}")
    n_held_out = len(texts) // _HELD_OUT_EVERY
    chosen = order[:n_held_out] if split == "held_out" else order[n_held_out:]
    return [texts[i] for i in sorted(chosen.tolist())]


def capitalised(text: str) -> str:
    """The text with its first letter, and every letter that follows ". " or ": ", as a capital.

    >>> capitalised("quick question. what is 2 + 3?")
    'Quick question. What is 2 + 3?'
    """
    starts = {0, *(i + 2 for mark in (". ", ": ") for i in range(len(text)) if text.startswith(mark, i))}
    return "".join(letter.upper() if i in starts else letter for i, letter in enumerate(text))


def draw_new(*, rng: np.random.Generator, split: Split, slots: bool = True) -> New:
    """What is new in a question: nothing in training; when held out, its wording or, as often, what it is filled with.

    Args:
        rng: decides between wording and slot.
        split: the side of the question.
        slots: whether there are held-out slots to draw from.
    """
    if split == "train":
        return "nothing"
    return "slot" if slots and rng.random() < 0.5 else "wording"


def side(new: New, of: New) -> Split:
    """From which side to draw a wording or a slot.

    >>> side("slot", "slot"), side("slot", "wording")
    ('held_out', 'train')
    """
    return "held_out" if new == of else "train"


def one_of(choices: Sequence[T], *, rng: np.random.Generator) -> T:
    """One of a sequence, all as likely. Unlike `rng.choice` it leaves tuples and texts as they are."""
    return choices[int(rng.integers(len(choices)))]
