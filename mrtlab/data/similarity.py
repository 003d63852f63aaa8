"""How alike the responses to one prompt are: the matrix that quality–diversity selection and the Vendi score need."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from rapidfuzz import fuzz, process
from scipy import sparse

from mrtlab.theory.metrics import rouge_l
from mrtlab.theory.ngrams import longer_runs, number_words, single_words

Kind = Literal["runs", "words", "characters"]

_LONGEST_RUN = 2  # words


def similarity(texts: Sequence[str], *, kind: Kind = "runs") -> Float[np.ndarray, "n n"]:
    """Similarity of every pair of texts, from 0 to 1, without a model. Letter case counts; white space splits words.

    - "runs": cosine of the counts of words and of pairs of neighbouring words. A kernel (positive semi-definite), so
      `metrics.vendi` takes it; the fastest for many texts.
    - "words": ROUGE-L, the share of words in the longest common subsequence. Sees the order of words far apart.
    - "characters": 1 − (characters to insert or delete) / (characters of both). For short answers, and for languages
      that write no spaces. Of the three the slowest on long texts.

    Args:
        texts: n texts.
        kind: which of the three.

    Returns:
        symmetric, (n, n), with ones on the diagonal. Of a record, `similarity(record.responses)[None]` is what
        `selection.facility_location` expects.

    Raises:
        ValueError: the kind is unknown.

    >>> similarity(["red plum", "red plum", "kiwi"]).round(6)
    array([[1., 1., 0.],
           [1., 1., 0.],
           [0., 0., 1.]])
    >>> float(similarity(["a b", "a c"])[0, 1].round(6))  # one of three runs in common: a; not b, ab
    0.333333
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}; got {kind!r}")
    if kind == "runs":
        matrix = _cosine_of_runs(texts)
    elif kind == "words":
        matrix = rouge_l(texts)
    else:
        matrix = process.cdist(texts, texts, scorer=fuzz.ratio, dtype=np.float64) / 100
    np.fill_diagonal(matrix, 1.0)  # a blank text is like itself too
    return np.clip(matrix, 0.0, 1.0)


def _cosine_of_runs(texts: Sequence[str]) -> Float[np.ndarray, "n n"]:
    """Cosine of the counts of runs of one and of two words."""
    corpus = number_words(texts)
    run, place = single_words(corpus)
    counts = []
    for length in range(1, _LONGEST_RUN + 1):
        if length > 1:
            run, place = longer_runs(corpus, run, place, length)
        shape = (len(texts), int(run.max(initial=-1)) + 1)
        counts.append(sparse.coo_array((np.ones(len(run)), (corpus.text[place], run)), shape=shape).tocsr())
    together = sparse.hstack(counts, format="csr")
    product = (together @ together.T).toarray()
    size = np.sqrt(np.maximum(product.diagonal(), 1.0))  # below 1 only for a blank text, which has no runs
    return product / (size[:, None] * size)
