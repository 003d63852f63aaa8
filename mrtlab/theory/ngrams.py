"""Words as integers and runs of words as integers: the ground that the text metrics stand on.

A text is a string, split at white space, or a sequence of tokens. `number_words` numbers the words and lays all
texts end to end; `longer_runs` numbers runs of n words from runs of n − 1 and keeps equal runs side by side. Counting
is then finding where one run ends, so nothing here compares one text with another: cost grows with the total
number of words, not with the number of pairs of texts.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float, Int

Text = str | Sequence[Hashable]
Runs = Int[np.ndarray, " runs"]
NewRuns = Int[np.ndarray, " new_runs"]


@dataclass(frozen=True)
class Corpus:
    """Texts laid end to end.

    Attributes:
        word: number of each word, all texts in a row, (total,); numbers count up from 0.
        text: which text each word belongs to, (total,).
        end: where that text ends, (total,).
        length: words per text, (n_texts,).
    """

    word: Int[np.ndarray, " total"]
    text: Int[np.ndarray, " total"]
    end: Int[np.ndarray, " total"]
    length: Int[np.ndarray, " n_texts"]


def tokens_of(text: Text) -> Sequence[Hashable]:
    """Tokens of a text: a string is split at white space, a sequence of tokens is taken as it is.

    >>> tokens_of("two  words")
    ['two', 'words']
    """
    return text.split() if isinstance(text, str) else text


def number_words(texts: Sequence[Text]) -> Corpus:
    """Give every different token a number, in the order of first appearance.

    >>> corpus = number_words(["a b a", "b"])
    >>> corpus.word, corpus.text, corpus.length
    (array([0, 1, 0, 1]), array([0, 0, 0, 1]), array([3, 1]))
    """
    lists = [tokens_of(text) for text in texts]
    number: defaultdict[Hashable, int] = defaultdict()
    number.default_factory = number.__len__  # an unknown token gets the next free number
    word = np.array([*map(number.__getitem__, chain.from_iterable(lists))], dtype=np.int64)
    length = np.array([*map(len, lists)], dtype=np.int64)
    return Corpus(word, np.repeat(np.arange(len(lists)), length), np.repeat(np.cumsum(length), length), length)


def single_words(corpus: Corpus) -> tuple[Runs, Runs]:
    """All runs of one word, in the form of `longer_runs`.

    >>> single_words(number_words(["a b a", "b"]))
    (array([0, 0, 1, 1]), array([0, 2, 1, 3]))
    """
    place = _order(corpus.word)
    return corpus.word[place], place


def longer_runs(corpus: Corpus, run: Runs, place: Runs, n: int) -> tuple[NewRuns, NewRuns]:
    """Runs of n words that begin where a run of n − 1 words does and end within their text.

    Args:
        corpus: numbered words.
        run: number of each run of n − 1 words, ascending.
        place: where it begins in the corpus, ascending among equal runs.
        n: words in the new runs, ≥ 2.

    Returns:
        (run, place) of the runs of n words in the same form; the new numbers count up from 0.

    >>> corpus = number_words(["a b a b", "a b"])
    >>> longer_runs(corpus, *single_words(corpus), 2)  # ab at 0, 2 and 4; ba at 1
    (array([0, 0, 0, 1]), array([0, 2, 4, 1]))
    """
    inside = place + n <= corpus.end[place]
    run, place = run[inside], place[inside]
    last = corpus.word[place + n - 1]
    order = _order(last)  # sort by (run, last word): the lesser key first, then stably by the greater one
    order = order[_order(run[order])]
    return np.cumsum(_changes(run[order], last[order])) - 1, place[order]


def count_runs(corpus: Corpus, n: int) -> tuple[int, int]:
    """How many different runs of n words there are, and how many in all.

    >>> count_runs(number_words(["a b a b", "a b"]), 2)
    (2, 4)
    """
    run, place = single_words(corpus)
    for m in range(2, n + 1):
        run, place = longer_runs(corpus, run, place, m)
    return int(_changes(run).sum()), len(run)


def leave_one_out_matches(corpus: Corpus, n: int) -> Float[np.ndarray, "n n_texts"]:
    """How many runs of each text also stand in the others, clipped as BLEU clips, for run lengths 1 to n.

    A run that text t holds c times counts min(c, largest number of times that one *other* text holds it). The largest
    and second-largest count of each run, with the owner of the largest, answer this for every t at once. A run that
    stands in one text only cannot match, nor can a longer run that begins with it, so it is dropped.

    Args:
        corpus: numbered words.
        n: longest run.

    Returns:
        matches, one row per run length, (n, n_texts).

    >>> leave_one_out_matches(number_words(["a a b", "a b", "c"]), 2)
    array([[2., 2., 0.],
           [1., 1., 0.]])
    """
    matches = np.zeros((n, len(corpus.length)))
    run, place = single_words(corpus)
    for m in range(1, n + 1):
        if m > 1:
            run, place = longer_runs(corpus, run, place, m)
        if not len(run):
            break
        matches[m - 1], shared = _clipped_counts(run, corpus.text[place], len(corpus.length))
        run, place = run[shared], place[shared]
    return matches


def _clipped_counts(
    run: Runs, text: Runs, n_texts: int
) -> tuple[Float[np.ndarray, " n_texts"], Bool[np.ndarray, " runs"]]:
    """Clipped matches of each text, and which entries are runs that stand in two texts or more."""
    entry = np.flatnonzero(_changes(run, text))  # one entry per run and text that holds it
    count, owner = np.diff(entry, append=len(run)), text[entry]
    first = np.flatnonzero(_changes(run[entry]))  # the first entry of each run
    holders = np.diff(first, append=len(entry))
    ranked = count * len(count) + np.arange(len(count))  # the count, and which entry it is
    largest, where = np.divmod(np.maximum.reduceat(ranked, first), len(count))
    rest = count.copy()
    rest[where] = 0
    others = np.repeat(largest, holders)
    others[where] = np.maximum.reduceat(rest, first)
    matches = np.bincount(owner, weights=np.minimum(count, others), minlength=n_texts)
    return matches, np.repeat(holders > 1, np.diff(entry[first], append=len(run)))


def _changes(*columns: Runs) -> Bool[np.ndarray, " runs"]:
    """Where a row differs from the row before it; the first row always does."""
    new = np.zeros(len(columns[0]), dtype=bool)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return new


def _order(key: Runs) -> Runs:
    """Stable ascending order of numbers ≥ 0, 16 bits at a time: NumPy sorts those by counting, in linear time."""
    order = np.argsort((key & 0xFFFF).astype(np.uint16), kind="stable")
    high = key >> 16
    return order[_order(high[order])] if high.any() else order
