"""How diverse, how faithful, how often right: the numbers that compare sampled answers. Each names its variant.

Three kinds. Counts of answers against a known truth: `coverage`, `excess_tv`, `entropy_mm`. Trials that pass or fail:
`pass_at_k`. Texts and their embeddings: `distinct_n`, `unique_share`, `pair_share`, `self_bleu`, `rouge_l`,
`pair_diversity`, `vendi`. Two programs that print "self-BLEU" may differ by their smoothing, so say which one a table
holds.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float, Int, Num
from scipy.special import gammaln, xlog1py, xlogy

from mrtlab.theory.distributions import tv
from mrtlab.theory.ngrams import Text, count_runs, leave_one_out_matches, number_words
from mrtlab.theory.selection import unit_vectors

Counts = Int[np.ndarray, "*batch m"]
PerRow = Float[np.ndarray, "*rows"] | Float[np.floating, ""] | float

BLEU_EPSILON = 0.1  # what smoothing method 1 puts in place of no match


def coverage(counts: Counts, truth: Float[np.ndarray, "*#batch m"]) -> PerRow:
    """How many of the true answers were found, Σ 1[c_y > 0 and p*_y > 0]. Variant: a number, not a share.

    Its expectation under a perfect sampler is `expected_coverage(truth, n)`. Divide by (truth > 0).sum(-1) for a
    share. Answers outside the truth never count.

    Args:
        counts: how often each answer was sampled, (..., m).
        truth: true probabilities, or any weights that are positive on valid answers, broadcastable to counts.

    Returns:
        shape (...), between 0 and the number of true answers.

    Raises:
        ValueError: a count is negative.

    >>> float(coverage(np.array([3, 0, 5]), np.array([0.5, 0.5, 0.0])))  # one of two; the third is not true
    1.0
    """
    _check_counts(counts, least=0)
    return ((counts > 0) & (truth > 0)).sum(-1).astype(float)


def excess_tv(counts: Counts, target: Float[np.ndarray, "*#batch m"]) -> PerRow:
    """Distance of the sample from the target, less what a perfect sampler would show at the same n.

    TV(c/n, p*) − E TV(X/n, p*), X ~ Multinomial(n, p*). Variant: the second term is exact, from the mean absolute
    deviation of a binomial, E|X − np| = 2ν·C(n, ν)·p^ν·(1 − p)^(n−ν+1) with ν = ⌊np⌋ + 1 (De Moivre). A perfect sampler
    scores 0 on average; single samples may fall below 0.

    Args:
        counts: how often each answer was sampled, (..., m), at least one in all. Give answers off the list a place
            of their own, with target 0.
        target: probabilities p*, broadcastable to counts.

    Returns:
        shape (...), in (−1, 1).

    Raises:
        ValueError: a count is negative, a row is empty, or the target is not a distribution.

    >>> half = np.array([0.5, 0.5])
    >>> float(round(excess_tv(np.array([2, 0]), half), 6))  # TV is ½; a fair coin thrown twice shows ¼ on average
    0.25
    """
    _check_counts(counts, least=1)
    n = counts.sum(-1, keepdims=True)
    p = np.broadcast_to(target, counts.shape)
    mode = np.floor(n * p) + 1
    inside = mode <= n  # else p = 1, and nothing deviates
    v = np.where(inside, mode, 1)
    log_choose = gammaln(n + 1) - gammaln(v + 1) - gammaln(n - v + 1)
    deviation = 2 * v * np.exp(log_choose + xlogy(v, p) + xlog1py(n - v + 1, -p))
    return tv(counts / n, p) - 0.5 * np.where(inside, deviation / n, 0.0).sum(-1)


def entropy_mm(counts: Counts) -> PerRow:
    """Entropy of the answers in nats, Miller–Madow: plug-in entropy + (answers seen − 1) / (2n).

    The plug-in entropy −Σ (c/n) log(c/n) is too low on average; this takes away the first-order part of that bias.

    Args:
        counts: how often each answer was seen, (..., m), at least one in all.

    Returns:
        shape (...); 0 for one answer; may exceed log m.

    Raises:
        ValueError: a count is negative or a row is empty.

    >>> round(float(entropy_mm(np.array([1, 1]))), 4)  # log 2 + 1/4
    0.9431
    """
    _check_counts(counts, least=1)
    n = counts.sum(-1)
    return np.log(n) - xlogy(counts, counts).sum(-1) / n + ((counts > 0).sum(-1) - 1) / (2 * n)


def pass_at_k(n: Int[np.ndarray, "*#rows"] | int, c: Int[np.ndarray, "*#rows"] | int, k: int) -> PerRow:
    """Chance that at least one of k tries passes, estimated from c passes in n tries: 1 − C(n−c, k)/C(n, k).

    Variant: unbiased (it averages over all k-subsets of the n tries). 1 − (1 − c/n)^k would be biased low.
    Computed as −expm1(Σ_{i<k} log(1 − c/(n−i))), which loses no digits when c is small.

    Args:
        n: tries, ≥ k.
        c: tries that passed, 0 to n; broadcasts with n.
        k: how many tries one is allowed, ≥ 1.

    Returns:
        broadcast shape of n and c, between 0 and 1.

    Raises:
        ValueError: k < 1, n < k, or c outside 0 to n.

    Source: Chen et al., *Evaluating large language models trained on code*, 2021 (their estimator).

    >>> float(round(pass_at_k(4, 2, 2), 6))  # 1 − 1/6: one pair of six holds both failures
    0.833333
    """
    tries, passed = np.broadcast_arrays(np.asarray(n), np.asarray(c))
    if k < 1 or np.any(tries < k):
        raise ValueError(f"k must be at least 1 and at most the number of tries, got k={k}, n={np.min(tries)}")
    if np.any(passed < 0) or np.any(passed > tries):
        raise ValueError("c must lie between 0 and the number of tries n")
    share = np.minimum(passed[..., None] / (tries[..., None] - np.arange(k)), 1.0)
    with np.errstate(divide="ignore"):  # log 0: more than n − k passes, so every subset holds one
        return -np.expm1(np.log1p(-share).sum(-1)) + 0.0


def distinct_n(texts: Sequence[Text], n: int) -> float:
    """Share of different n-grams among all n-grams of the texts taken together.

    Variant: pooled over texts, divided by the number of n-grams (Li et al. 2016 divide by words); strings are split
    at white space. Falls as texts grow longer: compare at equal length only.

    Args:
        texts: strings, or sequences of tokens.
        n: words per n-gram, ≥ 1.

    Returns:
        between 0 and 1; nan where no text has n words.

    Raises:
        ValueError: n < 1.

    >>> distinct_n(["a b a", "a b"], 2)  # ab, ba, ab: two different of three
    0.6666666666666666
    """
    if n < 1:
        raise ValueError(f"n must be at least 1 word, got {n}")
    different, total = count_runs(number_words(texts), n)
    return different / total if total else float("nan")


def unique_share(answers: Sequence[Hashable]) -> float:
    """Share of different answers, |set| / n. Variant: exact match, nothing normalised.

    Args:
        answers: anything hashable, at least one.

    Returns:
        between 1/n and 1.

    Raises:
        ValueError: there is no answer.

    >>> unique_share(["4", "7", "4", "4"])
    0.5
    """
    if not len(answers):
        raise ValueError("unique_share needs at least one answer")
    return len(set(answers)) / len(answers)


def pair_share(answers: Sequence[Hashable]) -> float:
    """Share of pairs of answers that differ, 1 − Σ_y c_y(c_y − 1) / (n(n − 1)). Variant: exact match.

    It estimates, without bias, the chance that two further draws differ. `unique_share` falls as n grows, this does
    not; and the two rank samples differently: one odd answer among eight and a half-half split have the same two
    different answers.

    Args:
        answers: anything hashable, at least two.

    Returns:
        between 0 (all the same) and 1 (all different).

    Raises:
        ValueError: fewer than two answers.

    Source: SPA's diversity score, "one minus duplicate pairs / total pairs" (SPA-01).

    >>> pair_share(["a"] * 7 + ["b"]), round(pair_share(["a"] * 4 + ["b"] * 4), 2)  # 1 − 21/28, 1 − 12/28
    (0.25, 0.57)
    """
    n = len(answers)
    _need_two(n, "pair_share")
    return 1 - sum(c * (c - 1) for c in Counter(answers).values()) / (n * (n - 1))


def pair_diversity(embeddings: Num[np.ndarray, "*batch n d"]) -> PerRow:
    """One minus the mean cosine of all pairs i ≠ j: 0 all the same direction, 1 unrelated, above 1 opposed.

    From the sum of the unit vectors u, (|Σu|² − Σ|u|²) / (N(N−1)), so the cost is N·d, not N²·d.

    Args:
        embeddings: one vector per text, (..., N, d), N ≥ 2. A zero vector has cosine 0 with every other.

    Returns:
        shape (...), between 0 and N/(N−1).

    Raises:
        ValueError: fewer than two vectors, or one is not finite.

    >>> float(pair_diversity(np.array([[2.0, 0.0], [0.0, 1.0]])))
    1.0
    """
    n = embeddings.shape[-2]
    _need_two(n, "pair_diversity")
    unit = unit_vectors(embeddings)
    together = (unit.sum(-2) ** 2).sum(-1) - (unit**2).sum((-2, -1))
    return 1 - together / (n * (n - 1))


def vendi(kernel: Float[np.ndarray, "*batch n n"]) -> PerRow:
    """Vendi score: the effective number of different items, exp(−Σ λ log λ), λ the eigenvalues of K/n.

    Args:
        kernel: similarity with ones on its diagonal, symmetric positive semi-definite, (..., N, N), N ≥ 1.

    Returns:
        shape (...), between 1 (all the same) and N (nothing in common).

    Raises:
        ValueError: the kernel is empty or not finite, or its diagonal is not 1.

    Source: Friedman and Dieng, *The Vendi score*, 2023. Variant: order 1.

    >>> float(round(vendi(np.eye(3)), 6)), float(round(vendi(np.ones((3, 3))), 6))
    (3.0, 1.0)
    """
    n = kernel.shape[-1]
    if not n or not np.all(np.isfinite(kernel)):
        raise ValueError("kernel is empty, or holds a NaN or an infinity")
    if np.any(np.abs(np.diagonal(kernel, axis1=-2, axis2=-1) - 1) > 1e-6):
        raise ValueError("kernel needs ones on its diagonal: each item is fully similar to itself")
    return _exp_entropy(np.linalg.eigvalsh(kernel / n))


def vendi_features(embeddings: Num[np.ndarray, "*batch n d"]) -> PerRow:
    """`vendi` of the cosine kernel of some vectors, from the smaller of the N×N and the d×d product.

    Both products have the same non-zero eigenvalues.

    Args:
        embeddings: one vector per item, (..., N, d), N ≥ 1, none of them zero.

    Returns:
        shape (...), between 1 and min(N, d).

    Raises:
        ValueError: there is no vector, one is zero, or one is not finite.

    >>> float(round(vendi_features(np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [3.0, 0.0]])), 6))
    2.0
    """
    n, d = embeddings.shape[-2:]
    unit = unit_vectors(embeddings)
    if not n or np.any((unit**2).sum(-1) < 0.5):
        raise ValueError("vendi_features needs at least one vector and no zero vector: a zero has no direction")
    flipped = np.swapaxes(unit, -1, -2)
    return _exp_entropy(np.linalg.eigvalsh((unit @ flipped if n <= d else flipped @ unit) / n))


def self_bleu(texts: Sequence[Text], n: int = 4) -> Float[np.ndarray, " n_texts"]:
    """BLEU-n of each text against all the others: how much of it the others say too. Take the mean for "self-BLEU".

    BLEU = penalty · exp(mean_m log p_m), p_m the clipped precision of m-grams, m = 1 … n. Variant: nltk's
    `sentence_bleu` with smoothing method 1 (no match counts as 0.1) and equal weights; the reference length is the
    closest among the others, the shorter of two equally close; no common word at all gives 0. Exact in
    O(total n-grams), see `ngrams.leave_one_out_matches`.

    Args:
        texts: strings, split at white space, or sequences of tokens; at least two. An empty text scores 0.
        n: longest n-gram, ≥ 1. A text shorter than m words counts 0.1 for m, as in nltk.

    Returns:
        one score per text, between 0 and 1; high means alike.

    Raises:
        ValueError: fewer than two texts, or n < 1.

    >>> self_bleu(["a b c d", "a b c d", "x y"]).tolist()
    [1.0, 1.0, 0.0]
    """
    _need_two(len(texts), "self_bleu")
    if n < 1:
        raise ValueError(f"n must be at least 1 word, got {n}")
    corpus = number_words(texts)
    length = corpus.length
    matches = leave_one_out_matches(corpus, n)
    possible = np.maximum(length - np.arange(n)[:, None], 1)
    log_precision = np.log(np.where(matches > 0, matches, BLEU_EPSILON) / possible).mean(0)
    shortage = np.minimum(1 - _closest_other(length) / np.maximum(length, 1), 0.0)
    return np.where(matches[0] > 0, np.exp(shortage + log_precision), 0.0)


def rouge_l(texts: Sequence[Text]) -> Float[np.ndarray, "n_texts n_texts"]:
    """ROUGE-L of every pair of texts: 2·LCS / (length + length), LCS the longest common subsequence of words.

    Variant: sentence level, F1, no stemming; strings are split at white space (`rouge_score` lower-cases and drops
    punctuation first). The LCS comes from rapidfuzz, 64 words at a time in the bits of one integer.

    Args:
        texts: strings, or sequences of tokens; any number. A pair with an empty text scores 0.

    Returns:
        symmetric, (n_texts, n_texts); 1 on the diagonal except for empty texts.

    Raises:
        ValueError: more than a million different words.

    >>> rouge_l(["a b c", "a c", ""])  # LCS "a c": 2·2/(3 + 2)
    array([[1. , 0.8, 0. ],
           [0.8, 1. , 0. ],
           [0. , 0. , 0. ]])
    """
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cdist

    corpus = number_words(texts)
    if corpus.word.max(initial=0) > 0x10FFFF:
        raise ValueError("rouge_l can tell at most 1 114 112 different words apart")
    line = "".join(map(chr, corpus.word.tolist()))  # one character per word: what rapidfuzz compares fastest
    ends = np.cumsum(corpus.length).tolist()
    words = [line[end - size : end] for end, size in zip(ends, corpus.length.tolist(), strict=True)]
    common = cdist(words, words, scorer=LCSseq.similarity, dtype=np.int64)
    both = corpus.length[:, None] + corpus.length
    return 2 * common / np.maximum(both, 1)


def _closest_other(length: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Length of the other text closest in length, the shorter of two equally close."""
    order = np.argsort(length, kind="stable")
    sizes = length[order]
    far = np.iinfo(np.int64).max // 4
    below = np.concatenate([[-far], sizes[:-1]])  # the closest other is a neighbour in the sorted order
    above = np.concatenate([sizes[1:], [far]])
    closest = np.empty_like(length)
    closest[order] = np.where(sizes - below <= above - sizes, below, above)
    return closest


def _exp_entropy(eigenvalue: Float[np.ndarray, "*batch n"]) -> PerRow:
    """exp(−Σ λ log λ); rounding may leave a λ just below 0, which counts as 0."""
    return np.exp(-xlogy(np.maximum(eigenvalue, 0.0), np.maximum(eigenvalue, 0.0)).sum(-1))


def _check_counts(counts: Counts, *, least: int) -> None:
    """Counts are not negative, and each row holds enough of them."""
    if np.any(counts < 0):
        raise ValueError("counts hold a negative number")
    if np.any(counts.sum(-1) < least):
        raise ValueError(f"each row of counts needs at least {least} answer, one row has none")


def _need_two(n: int, name: str) -> None:
    """A pair needs two."""
    if n < 2:
        raise ValueError(f"{name} compares texts with each other and needs at least two, got {n}")
