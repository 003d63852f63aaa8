"""metrics: against slow definitions written here, against nltk and rouge_score where installed, and at the edges."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from mrtlab.theory import (
    coverage,
    distinct_n,
    entropy_mm,
    excess_tv,
    expected_coverage,
    pair_diversity,
    pass_at_k,
    rouge_l,
    self_bleu,
    tv,
    unique_share,
    vendi,
    vendi_features,
)

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=9), min_size=2, max_size=7)
P = np.array([0.5, 0.3, 0.2, 0.0])


def slow_bleu(references: list[list[str]], text: list[str], n: int) -> float:
    """BLEU with smoothing method 1, from its definition."""

    def grams(words, m):
        return Counter(tuple(words[i : i + m]) for i in range(len(words) - m + 1))

    logs = []
    for m in range(1, n + 1):
        own = grams(text, m)
        others = [grams(reference, m) for reference in references]
        matched = sum(min(count, max(other[gram] for other in others)) for gram, count in own.items())
        if m == 1 and matched == 0:
            return 0.0
        logs.append(math.log((matched or 0.1) / max(1, len(text) - m + 1)))
    closest = min((abs(len(r) - len(text)), len(r)) for r in references)[1]
    return math.exp(min(0.0, 1 - closest / len(text))) * math.exp(sum(logs) / n)


@given(TEXTS, st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_self_bleu_is_bleu_against_the_others(texts, n):
    slow = [slow_bleu(texts[:i] + texts[i + 1 :], text, n) for i, text in enumerate(texts)]
    np.testing.assert_allclose(self_bleu(texts, n), slow, rtol=0, atol=1e-12)


def test_self_bleu_equals_nltk():
    bleu = pytest.importorskip("nltk.translate.bleu_score")
    rng = np.random.default_rng(0)
    texts = [[f"w{w}" for w in rng.zipf(1.5, size=rng.integers(0, 30)).clip(max=300)] for _ in range(24)]
    smooth = bleu.SmoothingFunction().method1
    slow = [
        bleu.sentence_bleu(texts[:i] + texts[i + 1 :], text, smoothing_function=smooth) if text else 0.0
        for i, text in enumerate(texts)
    ]
    np.testing.assert_allclose(self_bleu(texts), slow, rtol=0, atol=1e-12)


def test_self_bleu_with_more_words_than_sixteen_bits_hold():
    texts = [[*(f"{i}-{j}" for j in range(700)), "the", "same", "end", "."] for i in range(100)]
    slow = [slow_bleu(texts[:i] + texts[i + 1 :], texts[i], 4) for i in (0, 99)]
    np.testing.assert_allclose(self_bleu(texts)[[0, 99]], slow, rtol=0, atol=1e-12)


def longest_common_subsequence(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)  # by the textbook table, one row at a time
    for x in a:
        new = [0]
        for j, y in enumerate(b):
            new.append(row[j] + 1 if x == y else max(row[j + 1], new[j]))
        row = new
    return row[-1]


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_rouge_l_from_its_definition(texts):
    slow = [[2 * longest_common_subsequence(a, b) / max(1, len(a) + len(b)) for b in texts] for a in texts]
    np.testing.assert_allclose(rouge_l(texts), slow, rtol=0, atol=1e-12)


def test_rouge_l_equals_rouge_score():
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    texts = ["the cat sat on the mat", "a cat sat", "on the mat the cat sat", "nothing shared here", ""]
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    slow = [[scorer.score(a, b)["rougeL"].fmeasure for b in texts] for a in texts]
    np.testing.assert_allclose(rouge_l(texts), slow, rtol=0, atol=1e-12)


def test_text_edges():
    assert self_bleu(["a b", ""]).tolist() == [0.0, 0.0]
    assert rouge_l([""]).tolist() == [[0.0]]
    assert rouge_l([]).shape == (0, 0)
    assert math.isnan(distinct_n(["a", ""], 2))
    assert math.isnan(distinct_n([], 1))
    assert distinct_n([[1, 2, 1], [1, 2]], 1) == pytest.approx(2 / 5)  # any tokens, pooled
    assert distinct_n(["a b c", "a b c"], 3) == 0.5  # no run crosses from text to text
    assert unique_share(["x"]) == 1.0


@given(TEXTS, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_distinct_n_counts_sets(texts, n):
    grams = [tuple(t[i : i + n]) for t in texts for i in range(len(t) - n + 1)]
    expected = len(set(grams)) / len(grams) if grams else math.nan
    assert distinct_n(texts, n) == pytest.approx(expected, nan_ok=True)


def test_coverage_counts_true_answers_and_averages_to_the_closed_form():
    counts = np.random.default_rng(0).multinomial(3, P, size=20_000)
    found = coverage(counts, P)
    standard_error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() - expected_coverage(P, 3)) < 4 * standard_error
    assert coverage(np.array([0, 0, 0, 9]), P) == 0  # off the list
    assert coverage(np.zeros(4, dtype=int), P) == 0


@pytest.mark.parametrize("n", [1, 2, 7, 100, 10_000])
def test_excess_tv_takes_off_the_exact_expectation(n):
    support = np.arange(n + 1)
    exact = 0.5 * sum((binom.pmf(support, n, p) * np.abs(support / n - p)).sum() for p in P)
    counts = np.array([n, 0, 0, 0])
    assert excess_tv(counts, P) == pytest.approx(tv(counts / n, P) - exact, abs=1e-10)


def test_excess_tv_of_a_perfect_sampler_is_zero_on_average():
    excess = excess_tv(np.random.default_rng(0).multinomial(8, P, size=20_000), P)
    assert abs(excess.mean()) < 4 * excess.std() / np.sqrt(len(excess))
    assert excess_tv(np.array([5, 0]), np.array([1.0, 0.0])) == 0
    assert excess_tv(np.array([0, 5]), np.array([1.0, 0.0])) == 1


def test_miller_madow_removes_most_of_the_bias():
    p = np.full(6, 1 / 6)
    counts = np.random.default_rng(0).multinomial(30, p, size=4000)
    share = counts / 30
    plug_in = -(share * np.log(np.where(share > 0, share, 1))).sum(1).mean()
    assert abs(entropy_mm(counts).mean() - np.log(6)) < 0.2 * abs(plug_in - np.log(6))
    assert entropy_mm(np.array([4, 0])) == 0


@given(st.integers(1, 40), st.data())
def test_pass_at_k_is_the_ratio_of_binomials(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)


def test_pass_at_k_is_unbiased_stable_and_broadcasts():
    c = np.random.default_rng(0).binomial(10, 0.2, size=40_000)
    estimate = pass_at_k(10, c, 4)
    assert abs(estimate.mean() - (1 - 0.8**4)) < 4 * estimate.std() / 200
    assert pass_at_k(10**9, 1, 1) == pytest.approx(1e-9, rel=1e-12)
    assert pass_at_k(np.array([5, 6]), np.array([0, 6]), 3).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_diversity_of_embeddings(shape):
    vectors = np.random.default_rng(0).standard_normal((3, *shape))
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    cosine = unit @ np.swapaxes(unit, -1, -2)
    off = ~np.eye(shape[0], dtype=bool)
    np.testing.assert_allclose(pair_diversity(vectors), 1 - cosine[:, off].mean(1), atol=1e-12)
    np.testing.assert_allclose(vendi_features(vectors), vendi(cosine), rtol=1e-10)
    assert np.all(vendi(cosine) <= min(shape) + 1e-9)
    assert vendi(np.array([[1.0]])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: self_bleu(["only one"]), "needs at least two"),
        (lambda: pair_diversity(np.ones((1, 3))), "needs at least two"),
        (lambda: self_bleu(["a", "b"], 0), "at least 1 word"),
        (lambda: distinct_n(["a"], 0), "at least 1 word"),
        (lambda: unique_share([]), "at least one answer"),
        (lambda: entropy_mm(np.zeros(3, dtype=int)), "needs at least 1 answer"),
        (lambda: coverage(np.array([-1]), np.array([1.0])), "negative"),
        (lambda: excess_tv(np.array([1, 1]), np.array([0.5, 0.6])), "sums to"),
        (lambda: pass_at_k(3, 1, 4), "k must be at least 1"),
        (lambda: pass_at_k(3, 4, 1), "c must lie"),
        (lambda: vendi(np.ones((0, 0))), "empty"),
        (lambda: vendi(2 * np.eye(2)), "ones on its diagonal"),
        (lambda: vendi_features(np.zeros((2, 2))), "no zero vector"),
        (lambda: pair_diversity(np.array([[np.inf], [1.0]])), "infinity"),
    ],
)
def test_bad_input_is_one_clear_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
