"""What becomes of drawn answers: kept, or refused for one of six reasons, and each answer with its reason on record."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args

from mrtlab.data.dedup import repeats
from mrtlab.data.records import Prompt, Record, pooled

Verdict = Literal["kept", "empty", "cut off", "wrong", "duplicate", "near duplicate", "over the cap"]
"""What became of an answer; the first that applies, in the order empty to over the cap."""


@dataclass(frozen=True, kw_only=True)
class SynthesisSettings:
    """How many answers are drawn for a prompt, how, and which are kept.

    Attributes:
        n: draws for each prompt.
        temperature: of the draws from a model.
        top_p: they keep the likeliest tokens until these hold so much of the mass.
        max_new_tokens: an answer that is not over by then is cut off, and not kept.
        near: similarity from which two answers to a prompt count as near duplicates, see `mrtlab.data.dedup.repeats`;
            None drops only answers that differ in nothing but letter case and white space.
        per_prompt: answers kept for one prompt at most; None keeps all.
        seed: of the draws.

    Raises:
        ValueError: a number out of its range.

    Source: SPA takes OSS-Instruct and Platypus as they are (section 5.1) and calls making such a set its first step.
    """

    n: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    near: float | None = None
    per_prompt: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1 or self.max_new_tokens < 1:
            raise ValueError(f"n and max_new_tokens must be 1 or more, got {self.n} and {self.max_new_tokens}")
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"temperature must be 0 or more, and top_p above 0 and at most 1; got {self.temperature}, {self.top_p}"
            )
        if self.near is not None and not 0 < self.near <= 1:
            raise ValueError(f"near must lie above 0 and be at most 1, got {self.near}")
        if self.per_prompt is not None and self.per_prompt < 1:
            raise ValueError(f"per_prompt must be 1 or more, got {self.per_prompt}")


@dataclass(frozen=True)
class Drawn:
    """An answer as it was drawn; `finished` is False where it was cut at the limit of tokens."""

    answer: str
    finished: bool = True


class Opinion(Protocol):
    """What a judge says: whether an answer is right, and in a few words why not."""

    @property
    def ok(self) -> bool:
        """Whether the answer is right."""

    @property
    def detail(self) -> str:
        """Why it is not."""


Judge = Callable[[Prompt, str], Opinion]


@dataclass(frozen=True)
class Candidate:
    """An answer and what became of it.

    Attributes:
        prompt: what was asked.
        answer: as it was drawn.
        verdict: "kept", or why it was not.
        detail: a judge's reason; the answer that a near duplicate is near to.
    """

    prompt: Prompt
    answer: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Synthesis:
    """Everything that was drawn, with its verdicts.

    Attributes:
        candidates: in the order of the prompts and draws.

    >>> made = Synthesis((Candidate("?", "a", "kept"), Candidate("?", "A", "duplicate"), Candidate("!", "", "empty")))
    >>> made.records, made.counts["duplicate"], made.barren
    ([Record(prompt='?', responses=('a',), scores=None, weights=None, targets=None, pairs=None, id=None)], 1, ('!',))
    """

    candidates: tuple[Candidate, ...]

    @cached_property
    def records(self) -> list[Record]:
        """A record for each prompt of which something was kept, in the order of first appearance."""
        kept: dict[Prompt, list[Record]] = {}
        for candidate in self.candidates:
            if candidate.verdict == "kept":
                kept.setdefault(candidate.prompt, []).append(Record(candidate.prompt, (candidate.answer,)))
        return [pooled(parts) for parts in kept.values()]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many candidates met each verdict, all verdicts named."""
        found = Counter(candidate.verdict for candidate in self.candidates)
        return {verdict: found[verdict] for verdict in get_args(Verdict)}

    @property
    def barren(self) -> tuple[Prompt, ...]:
        """Prompts of which nothing was kept."""
        kept = {candidate.prompt for candidate in self.candidates if candidate.verdict == "kept"}
        return tuple(dict.fromkeys(c.prompt for c in self.candidates if c.prompt not in kept))


def sift(
    prompt: Prompt,
    drawn: Sequence[Drawn],
    *,
    settings: SynthesisSettings,
    judge: Judge | None = None,
    before: Sequence[str] = (),
) -> list[Candidate]:
    """What becomes of the answers to one prompt.

    An answer is refused if it is empty, was cut off or is wrong; of those left, the first of each group of duplicates
    is kept, until the cap. Wrong comes before duplicate, so that the share of wrong answers is the source's own. A
    judge is asked once for each different text.

    Args:
        prompt: what was asked.
        drawn: the answers in the order in which they came.
        settings: `near` and `per_prompt` are used.
        judge: says whether an answer is right; None takes every one for right.
        before: answers to the same prompt that were kept earlier.

    >>> drawn = [Drawn("plum"), Drawn(" Plum"), Drawn(""), Drawn("a kiwi and", finished=False), Drawn("fig")]
    >>> [c.verdict for c in sift("Name a fruit.", drawn, settings=SynthesisSettings(per_prompt=1))]
    ['kept', 'duplicate', 'empty', 'cut off', 'over the cap']
    """
    opinions: dict[str, Opinion] = {}
    found: list[Candidate | None] = []
    for one in drawn:
        if not one.answer.strip():
            found.append(Candidate(prompt, one.answer, "empty"))
        elif not one.finished:
            found.append(Candidate(prompt, one.answer, "cut off"))
        elif judge is None:
            found.append(None)
        else:
            if one.answer not in opinions:
                opinions[one.answer] = judge(prompt, one.answer)
            opinion = opinions[one.answer]
            found.append(None if opinion.ok else Candidate(prompt, one.answer, "wrong", opinion.detail))
    right = [one.answer for one, refused in zip(drawn, found, strict=True) if refused is None]
    sorted_out = iter(_sorted_out(prompt, right, settings, before))
    return [next(sorted_out) if refused is None else refused for refused in found]


def _sorted_out(
    prompt: Prompt, right: Sequence[str], settings: SynthesisSettings, before: Sequence[str]
) -> Iterator[Candidate]:
    """Right answers as kept, duplicates, or too many."""
    texts = [*before, *right]
    same = repeats(texts)
    near = same if settings.near is None else repeats(texts, rule="near", threshold=settings.near)
    kept = len(before)
    for place in range(len(before), len(texts)):
        answer = texts[place]
        if same[place] != place:
            yield Candidate(prompt, answer, "duplicate")
        elif near[place] != place:
            yield Candidate(prompt, answer, "near duplicate", texts[near[place]])
        elif settings.per_prompt is not None and kept >= settings.per_prompt:
            yield Candidate(prompt, answer, "over the cap")
        else:
            kept += 1
            yield Candidate(prompt, answer, "kept")
