"""What generated biographies are worth: small models that know nothing else are trained on them and tested on truth."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from mrtlab.data.tasks import words
from mrtlab.data.tasks.facts import COUNTRY_OF
from mrtlab.lab.diffuse_biographies_data import GENDERS, read, truth

SIZES = (100, 400)  # biographies that the small models are trained on
_TESTED = 200  # biographies drawn from the truth
_ORDER = 6  # characters that the small language model looks back, and 0 up to that
_GRAMS = 3  # longest runs of characters that the classifier looks at
_ALPHABET = 96  # printable characters and the line break
_END, _EDGE = "\0", "^"


def worth(texts: Sequence[str], *, seed: int) -> dict[str, float]:
    """Train on these biographies as they come, readable or not, and test on the truth.

    Args:
        texts: biographies.
        seed: of the test, the same for every source of biographies.

    Returns:
        nll: of the small language model, mean over draws of the truth, nats a biography; gender and country: share of
        the 40 names, and cities, whose gender and country the classifier tells: its exact accuracy on the truth, where
        all are as likely.
    """
    lives = [read(text) for text in texts]
    known = {
        "gender": [(v[0], v[1]) for v in lives if len(v) > 1],
        "country": [(v[3], COUNTRY_OF[v[3]]) for v in lives if len(v) > 3],  # as the line said: `read` has checked it
    }
    right = {
        "gender": [(name, GENDERS[0] if name in words.WOMEN else GENDERS[1]) for name in words.NAMES],
        "country": [(city, COUNTRY_OF[city]) for city in words.CITIES],
    }
    model = Characters.fit(texts)
    return {"nll": -float(model.logp(truth(_TESTED, seed=seed)).mean())} | {
        what: accuracy(known[what], asked) for what, asked in right.items()
    }


@dataclass(frozen=True)
class Characters:
    """A language model that counts characters after the last few, with Witten and Bell's smoothing.

    p(c | h) = (count(h c) + kinds(h)·p(c | h without its first character)) / (count(h) + kinds(h)), where kinds(h) is
    how many different characters have followed h; at the bottom every character is as likely.

    Attributes:
        after: how often each character followed each run of up to `order` characters.
        order: longest run.
    """

    after: dict[str, Counter[str]] = field(repr=False)
    order: int = _ORDER

    @classmethod
    def fit(cls, texts: Sequence[str], *, order: int = _ORDER) -> "Characters":
        """Count.

        >>> model = Characters.fit(["ab"], order=1)
        >>> model.after["a"]["b"], model.after[""]["a"]
        (1, 1)
        """
        after: dict[str, Counter[str]] = {}
        for text in texts:
            whole = _EDGE * order + text + _END
            for i in range(order, len(whole)):
                for k in range(order + 1):
                    after.setdefault(whole[i - k : i], Counter())[whole[i]] += 1
        return cls(after, order)

    def logp(self, texts: Sequence[str]) -> Float[np.ndarray, "n"]:
        """Log-probability of each text with its end, nats.

        >>> model = Characters.fit(["a"], order=0)  # seen: a, end; (1 + 2/97) of 4 for each
        >>> round(float(np.exp(model.logp(["a"])[0]) * 16), 4), round((1 + 2 / 97) ** 2, 4)
        (1.0417, 1.0417)
        """
        return np.array([self._text(text) for text in texts])

    def _text(self, text: str) -> float:
        whole = _EDGE * self.order + text + _END
        total = 0.0
        for i in range(self.order, len(whole)):
            p = 1 / (_ALPHABET + 1)
            for k in range(self.order + 1):
                seen = self.after.get(whole[i - k : i])
                if seen is None:
                    break
                kinds = len(seen)
                p = (seen[whole[i]] + kinds * p) / (seen.total() + kinds)
            total += np.log(p)
        return float(total)


def accuracy(known: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str]]) -> float:
    """Naive Bayes on runs of up to three characters, word edges included, with 1 added to every count.

    Args:
        known: words with their classes, as often as they come; classes without a word are never answered.
        asked: words with the right class.

    Returns:
        share of the words whose likeliest class is the right one; 0 where nothing is known.

    >>> accuracy([("anna", "a"), ("otto", "o")], [("hanna", "a"), ("motto", "o")])
    1.0
    """
    if not known:
        return 0.0
    counts: dict[str, Counter[str]] = {}
    for word, kind in known:
        counts.setdefault(kind, Counter()).update(_grams(word))
    met = {gram for some in counts.values() for gram in some}
    prior = Counter(kind for _, kind in known)
    order = sorted(counts)

    def score(word: str, kind: str) -> float:
        total = counts[kind].total() + len(met)
        grams = [gram for gram in _grams(word) if gram in met]
        return float(np.log(prior[kind]) + sum(np.log((counts[kind][gram] + 1) / total) for gram in grams))

    return float(np.mean([max(order, key=lambda kind: score(word, kind)) == right for word, right in asked]))


def _grams(word: str) -> list[str]:
    whole = f"{_EDGE}{word.lower()}$"
    return [whole[i : i + n] for n in range(1, _GRAMS + 1) for i in range(len(whole) - n + 1)]
