"""Targets that a model finds by itself: many draws at a high temperature, sorted into different answers.

Nobody has to write the list: a hot model names most of what it knows. It also names what is wrong, so draws are
checked by a pattern or a list, and the file that comes out is there to be edited.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mrtlab.data.records import Prompt
from mrtlab.data.targets import Target

_QUOTES = "\"'`“”‘’«»*"
_STOPS = ".!,;: "


@dataclass(frozen=True)
class Found:
    """One answer among draws.

    Attributes:
        answer: its most frequent spelling.
        variants: the other spellings that were drawn, most frequent first.
        count: draws of all spellings.
    """

    answer: str
    variants: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Discovery:
    """What draws hold.

    Attributes:
        kept: answers that passed, most frequent first.
        rejected: answers that did not pass the check.
        rare: answers that passed and came too rarely.
    """

    kept: tuple[Found, ...]
    rejected: tuple[Found, ...]
    rare: tuple[Found, ...]

    def target(self, prompt: Prompt) -> Target:
        """Every answer that was kept, equally likely, its other spellings as variants.

        Raises:
            RecordError: nothing was kept.
        """
        variants = {found.answer: list(found.variants) for found in self.kept if found.variants}
        return Target.of(prompt, [found.answer for found in self.kept], variants=variants or None)

    def note(self) -> str:
        """How often each answer came, for whoever edits the file."""
        parts = [("drawn", self.kept), ("too rare", self.rare), ("not valid", self.rejected)]
        return "; ".join(
            f"{name}: " + ", ".join(f"{found.answer} {found.count}" for found in answers)
            for name, answers in parts
            if answers
        )


def discover(texts: Iterable[str], *, valid: Callable[[str], bool] = bool, least: int = 1) -> Discovery:
    """Sort draws into different answers.

    Two texts are one answer if they differ only in letter case, white space, quotation marks around them, or a stop
    at the end.

    Args:
        texts: draws.
        valid: whether an answer is right, asked once for each, in its most frequent spelling.
        least: answers drawn less often are set apart.

    >>> found = discover(["kiwi", "Kiwi.", "kiwi", "plum", "a car"], valid=lambda text: " " not in text)
    >>> [(one.answer, one.variants, one.count) for one in found.kept]
    [('kiwi', ('Kiwi.',), 3), ('plum', (), 1)]
    >>> found.note()
    'drawn: kiwi 3, plum 1; not valid: a car 1'
    """
    groups: dict[str, Counter[str]] = {}
    for text in texts:
        said = text.strip()
        if key := same(said):
            groups.setdefault(key, Counter())[said] += 1
    found = [_found(spellings) for spellings in groups.values()]
    found.sort(key=lambda one: (-one.count, one.answer))
    passed = [one for one in found if valid(one.answer)]
    return Discovery(
        tuple(one for one in passed if one.count >= least),
        tuple(one for one in found if one not in passed),
        tuple(one for one in passed if one.count < least),
    )


def same(text: str) -> str:
    """What two spellings of an answer have in common.

    >>> same('"Kiwi."'), same("KIWI "), same("...")
    ('kiwi', 'kiwi', '')
    """
    return " ".join(text.strip().strip(_QUOTES).rstrip(_STOPS).strip(_QUOTES).split()).casefold()


def validator(pattern: str | None = None, listed: Sequence[str] | None = None) -> Callable[[str], bool]:
    """A check of answers: a pattern of Python's `re` for the whole answer, or a list in any spelling; or neither.

    Raises:
        ValueError: both are given, or the pattern is none.

    >>> validator(r"[0-9]+")("12"), validator(listed=["Kiwi"])("kiwi."), validator()("anything")
    (True, True, True)
    """
    if pattern is not None and listed is not None:
        raise ValueError("give a pattern or a list of valid answers, not both")
    if pattern is not None:
        try:
            fits = re.compile(pattern).fullmatch
        except re.error as error:
            raise ValueError(f"{pattern!r} is no pattern of Python's re: {error}") from None
        return lambda text: fits(text) is not None
    if listed is not None:
        known = {same(text) for text in listed}
        return lambda text: same(text) in known
    return bool


def _found(spellings: "Counter[str]") -> Found:
    ordered: list[tuple[str, Any]] = sorted(spellings.items(), key=lambda item: (-item[1], item[0]))
    return Found(ordered[0][0], tuple(text for text, _ in ordered[1:]), sum(spellings.values()))
