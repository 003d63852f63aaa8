"""Which K of a record's N responses a training step sees: the rules of `mrtlab.theory.selection`, record by record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from mrtlab.data.records import Record
from mrtlab.data.similarity import similarity
from mrtlab.theory.selection import facility_location, random_k, softmax_k, top_k

Rule = Literal["all", "random", "top", "softmax", "diverse", "quality-diverse"]
RULES: tuple[Rule, ...] = ("all", "random", "top", "softmax", "diverse", "quality-diverse")
SCORED = ("top", "softmax", "quality-diverse")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How K of N responses are kept.

    Attributes:
        rule: "all" keeps every one; "random" draws without replacement; "top" and "softmax" go by score; "diverse"
            and "quality-diverse" are DKoN and DBKoN, facility location over the texts.
        k: how many to keep; a record with fewer keeps what it has.
        temperature: of "softmax", in the unit of the scores.
        alpha: of "quality-diverse", the exponent of the score.
        kind: of similarity between texts, see `mrtlab.data.similarity`.

    Raises:
        ValueError: an unknown rule, or k < 1.
    """

    rule: Rule = "all"
    k: int = 8
    temperature: float = 1.0
    alpha: float = 0.75
    kind: Literal["runs", "words", "characters"] = "runs"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"unknown rule {self.rule!r}: choose from {', '.join(RULES)}")
        if self.k < 1:
            raise ValueError(f"k must be 1 or more, got {self.k}")

    @property
    def draws(self) -> bool:
        """Whether the rule's choice depends on chance, so that drawing again shows other responses."""
        return self.rule in ("random", "softmax")


def choose(record: Record, choice: Choice, *, rng: np.random.Generator) -> Int[np.ndarray, "k"]:
    """Places of the responses to keep, in the order of the record.

    Raises:
        ValueError: the rule goes by score and the record has none.

    >>> record = Record.of("Name a fruit.", ["plum", "pear", "fig"], scores=[0.2, 0.9, 0.5])
    >>> choose(record, Choice(rule="top", k=2), rng=np.random.default_rng(0)).tolist()
    [1, 2]
    """
    n = len(record.responses)
    if choice.rule == "all" or n <= choice.k:
        return np.arange(n)
    if choice.rule in SCORED and record.scores is None:
        raise ValueError(
            f"rule {choice.rule!r} goes by score, and the record {_called(record)} has none: add scores, or choose "
            "random or diverse"
        )
    if choice.rule == "random":
        kept = random_k(n, choice.k, rng=rng)
    elif choice.rule == "top":
        kept = top_k(np.array(record.scores), choice.k)
    elif choice.rule == "softmax":
        kept = softmax_k(np.array(record.scores), choice.k, temperature=choice.temperature, rng=rng)
    else:
        reward = np.array(record.scores) if choice.rule == "quality-diverse" else None
        alike = similarity(record.responses, kind=choice.kind)
        kept = facility_location(alike, choice.k, reward=reward, alpha=choice.alpha)
    return np.sort(kept)


def choose_all(records: Sequence[Record], choice: Choice, *, seed: int, epoch: int = 0) -> list[Int[np.ndarray, "_k"]]:
    """`choose` for every record; each record's draw depends on the seed, the epoch and its place alone."""
    return [choose(record, choice, rng=np.random.default_rng((seed, epoch, i))) for i, record in enumerate(records)]


def _called(record: Record) -> str:
    text = record.id or (record.prompt if isinstance(record.prompt, str) else record.prompt[-1].content)
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
