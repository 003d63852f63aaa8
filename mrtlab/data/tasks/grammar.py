"""Small probabilistic grammars without recursion: exact likelihood, exact list of texts, exact draws.

>>> grammar = Grammar({"<s>": ((0.5, ("a", "<t>")), (0.5, ("<t>",))), "<t>": ((0.5, ("b",)), (0.5, ("ab",)))})
>>> grammar.likelihood("ab")  # a + b, or ab: two derivations of a quarter each
0.5
>>> sum(grammar.language().values())
1.0
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Alternative = tuple[float, tuple[str, ...]]


@dataclass(frozen=True)
class Grammar:
    """Rules that turn a symbol into one of several sequences, each with a probability.

    Attributes:
        rules: for each symbol its alternatives: a probability, and a sequence of symbols and pieces of text. Whatever
            has no rule is text. The first symbol is where a derivation starts.

    Raises:
        ValueError: a symbol can come back inside itself, or its probabilities do not sum to 1.
    """

    rules: Mapping[str, tuple[Alternative, ...]]

    def __post_init__(self) -> None:
        for symbol, alternatives in self.rules.items():
            if not np.isclose(sum(p for p, _ in alternatives), 1, rtol=0, atol=1e-9):
                raise ValueError(f"the probabilities of {symbol} must sum to 1")
        self._refuse_recursion(self.start, above=())

    @property
    def start(self) -> str:
        """Where a derivation starts."""
        return next(iter(self.rules))

    def likelihood(self, text: str) -> float:
        """P(text), summed over all derivations, by dynamic programming over positions; 0 if there is none."""
        return _Reader(self.rules, text).ends(self.start, 0).get(len(text), 0.0)

    def language(self) -> dict[str, float]:
        """Every text with its probability."""
        return self._language(self.start)

    def draw(self, *, rng: np.random.Generator) -> str:
        """One text, by following the rules."""
        return self._draw(self.start, rng)

    def _language(self, symbol: str) -> dict[str, float]:
        if symbol not in self.rules:
            return {symbol: 1.0}
        total: dict[str, float] = defaultdict(float)
        for p, parts in self.rules[symbol]:
            texts = {"": p}
            for part in parts:
                longer: dict[str, float] = defaultdict(float)
                for tail, q in self._language(part).items():
                    for head, r in texts.items():
                        longer[head + tail] += r * q
                texts = dict(longer)
            for text, q in texts.items():
                total[text] += q
        return dict(total)

    def _draw(self, symbol: str, rng: np.random.Generator) -> str:
        if symbol not in self.rules:
            return symbol
        alternatives = self.rules[symbol]
        chosen = rng.choice(len(alternatives), p=[p for p, _ in alternatives])
        return "".join(self._draw(part, rng) for part in alternatives[chosen][1])

    def _refuse_recursion(self, symbol: str, *, above: tuple[str, ...]) -> None:
        if symbol in above:
            raise ValueError(f"{symbol} comes back inside itself: the texts could not be listed")
        for _, parts in self.rules.get(symbol, ()):
            for part in parts:
                self._refuse_recursion(part, above=(*above, symbol))


class _Reader:
    """Reads one text. For a symbol and a position: where the symbol's text can end, and with what probability."""

    def __init__(self, rules: Mapping[str, tuple[Alternative, ...]], text: str):
        self.rules = rules
        self.text = text
        self.known: dict[tuple[str, int], dict[int, float]] = {}

    def ends(self, symbol: str, at: int) -> dict[int, float]:
        if (symbol, at) not in self.known:
            total: dict[int, float] = {}
            for p, parts in self.rules[symbol]:
                frontier = {at: p}
                for part in parts:
                    further: dict[int, float] = {}
                    for position, q in frontier.items():
                        if part in self.rules:
                            for end, r in self.ends(part, position).items():
                                further[end] = further.get(end, 0.0) + q * r
                        elif self.text.startswith(part, position):
                            further[position + len(part)] = q  # no other position leads here
                    frontier = further
                for end, q in frontier.items():
                    total[end] = total.get(end, 0.0) + q
            self.known[symbol, at] = total
        return self.known[symbol, at]


def shares(choices: Mapping[str, float]) -> tuple[Alternative, ...]:
    """Alternatives of one piece each, in proportion to these weights.

    >>> shares({"red": 3, "blue": 1})
    ((0.75, ('red',)), (0.25, ('blue',)))
    """
    total = sum(choices.values())
    return tuple((weight / total, (text,)) for text, weight in choices.items())
