"""The text that the embedded model is pre-trained on: questions of every family with answers from their taught laws.

Document number i depends on the seed and on i alone. So a run that was stopped goes on with the very documents that
it would have seen, and two runs can share a corpus without sharing a file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from mrtlab.data.tasks import FAMILIES

# Shares of the documents. Numbers and programs are the hardest to learn, word families the easiest.
SHARES: Mapping[str, float] = {
    "fruits": 0.8,
    "vegetables": 0.8,
    "jobs": 0.8,
    "colours": 0.8,
    "animals": 0.8,
    "names": 1.0,
    "countries": 0.8,
    "cities": 1.0,
    "numbers": 14.0,
    "dates": 2.0,
    "choices": 1.5,
    "biographies": 3.0,
    "stories": 4.0,
    "programs": 4.0,
    "facts": 4.0,
}


@dataclass(frozen=True)
class Corpus:
    """A stream of documents.

    Attributes:
        seed: which stream.
        shares: how often each family comes, relative to the others.
    """

    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))

    def document(self, i: int) -> tuple[str, str]:
        """Prompt and answer of document i.

        >>> Corpus(seed=1).document(5) == Corpus(seed=1).document(5)
        True
        """
        rng = np.random.default_rng((self.seed, i))
        names = list(self.shares)
        weights = np.array([self.shares[name] for name in names])
        found = FAMILIES[str(rng.choice(names, p=weights / weights.sum()))]
        question = found.ask(rng=rng)
        return question.text, found.sample_taught(question, 1, rng=rng)[0]

    def documents(self, start: int = 0) -> Iterator[tuple[str, str]]:
        """Documents from number `start` on, for ever."""
        while True:
            yield self.document(start)
            start += 1
