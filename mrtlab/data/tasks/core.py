"""What a family of questions is: prompts whose right answers, and how often each should come, are known exactly.

Two laws belong to every question. The *truth* is what a perfect answerer would do: any fruit as often as any other.
The *taught* law is what the embedded model is pre-trained on, peaked the way post-trained models are. Fine-tuning is
then measured against the truth, to the last digit.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Split = Literal["train", "held_out"]


@dataclass(frozen=True)
class Law:
    """A finite law over answer texts.

    Attributes:
        answers: the texts, all different.
        logp: (m,) natural logarithms of their probabilities, which sum to 1.

    Raises:
        ValueError: the lengths differ, a text repeats, or the probabilities do not sum to 1.

    >>> Law.uniform(["left", "right"]).p
    array([0.5, 0.5])
    """

    answers: tuple[str, ...]
    logp: Float[np.ndarray, "m"]

    def __post_init__(self) -> None:
        if len(self.answers) != len(self.logp) or len(set(self.answers)) != len(self.answers):
            raise ValueError("a law needs one log-probability for each of its different answers")
        if not np.isclose(self.p.sum(), 1, rtol=0, atol=1e-9):
            raise ValueError(f"probabilities must sum to 1, got {self.p.sum():.9g}")

    @property
    def p(self) -> Float[np.ndarray, "m"]:
        """(m,) the probabilities."""
        return np.exp(self.logp)

    @classmethod
    def of(cls, answers: Sequence[str], weights: Any) -> "Law":
        """The law proportional to these weights; answers of weight 0 are left out.

        >>> Law.of(["a", "b", "c"], [3, 1, 0]).p
        array([0.75, 0.25])
        """
        weights = np.asarray(weights, dtype=float)
        kept = weights > 0
        return cls(
            tuple(answer for answer, keep in zip(answers, kept, strict=True) if keep),
            np.log(weights[kept] / weights.sum()),
        )

    @classmethod
    def uniform(cls, answers: Sequence[str]) -> "Law":
        """Every answer as often as any other."""
        return cls.of(answers, np.ones(len(answers)))

    def draw(self, n: int, *, rng: np.random.Generator) -> list[str]:
        """n independent answers."""
        return [self.answers[i] for i in rng.choice(len(self.answers), size=n, p=self.p / self.p.sum())]


@dataclass(frozen=True)
class Question:
    """One prompt of a family.

    Attributes:
        family: its family's name.
        text: what is asked.
        kind: which of the family's conditionals it asks for, such as "random", "uniform", "example" or "fact".
        slots: what the wording was filled with, such as the ends of a range.
    """

    family: str
    text: str
    kind: str = "random"
    slots: tuple[Any, ...] = ()


class Family(ABC):
    """A family of questions with known answers. One object, no state; all randomness comes in through `rng`."""

    name: str

    @abstractmethod
    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """Draw a question. Held-out questions use wordings, ranges or slots that no training question uses."""

    @abstractmethod
    def truth(self, question: Question) -> Law:
        """The exact law of right answers.

        Raises:
            TypeError: the family's answers are too many to list; then `logp` and `sample` are exact instead.
        """

    def taught(self, question: Question) -> Law:
        """The law that the embedded model is taught; the truth, unless the family says otherwise."""
        return self.truth(question)

    def logp(self, question: Question, answer: str) -> float:
        """Log-probability of an answer under the truth, nats; −inf if it is not a right answer."""
        law = self.truth(question)
        return float(law.logp[law.answers.index(answer)]) if answer in law.answers else -np.inf

    def logp_taught(self, question: Question, answer: str) -> float:
        """Log-probability of an answer under the taught law, nats; −inf if it is never taught."""
        law = self.taught(question)
        return float(law.logp[law.answers.index(answer)]) if answer in law.answers else -np.inf

    def sample(self, question: Question, n: int, *, rng: np.random.Generator) -> list[str]:
        """n independent draws from the truth."""
        return self.truth(question).draw(n, rng=rng)

    def sample_taught(self, question: Question, n: int, *, rng: np.random.Generator) -> list[str]:
        """n independent draws from the taught law."""
        return self.taught(question).draw(n, rng=rng)

    def valid(self, question: Question, answer: str) -> bool:
        """Whether an answer is right at all, however rarely it should come."""
        return answer in self.truth(question).answers

    def questions(self, n: int, *, rng: np.random.Generator, split: Split = "train") -> list[Question]:
        """n different questions, fewer if the family has no more.

        Args:
            n: how many.
            rng: decides which.
            split: from which side.
        """
        found: dict[str, Question] = {}
        for _ in range(50 * n):
            question = self.ask(rng=rng, split=split)
            found.setdefault(question.text, question)
            if len(found) == n:
                break
        return list(found.values())


def favourite_order(n: int, *, name: str) -> np.ndarray:
    """A fixed order of n answers that looks random and depends on the family's name alone.

    >>> favourite_order(4, name="fruits").tolist() == favourite_order(4, name="fruits").tolist()
    True
    """
    return np.random.default_rng(list(name.encode())).permutation(n)


def peaked(answers: Sequence[str], *, name: str, exponent: float = 1.8) -> Law:
    """A Zipf law over a fixed shuffle of the answers: a favourite, a few friends, a long tail.

    p(rank) ∝ rank^(−exponent). At 1.8 the favourite of twenty answers takes 56 %.

    >>> law = peaked(["a", "b", "c", "d"], name="letters", exponent=2.0)
    >>> (law.p.max() / law.p.min()).round(6)
    np.float64(16.0)
    """
    rank = np.empty(len(answers))
    rank[favourite_order(len(answers), name=name)] = np.arange(1, len(answers) + 1)
    return Law.of(answers, rank**-exponent)
