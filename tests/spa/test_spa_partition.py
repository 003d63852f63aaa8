"""Partitions: hand-made cases, brute force, planted groups, and the traps that the sheet names."""

import itertools
import math

import numpy as np
import pytest
from rank_bm25 import BM25Plus
from scipy.optimize import linear_sum_assignment

from mrtlab.spa.clusters import embed_texts, k_means, pairwise_cost, spherical_k_means, whitened
from mrtlab.spa.influence import fisher
from mrtlab.spa.partition import (
    Partition,
    agreement,
    arg_max,
    arg_max_within,
    bm25_plus,
    centred,
    consecutive_parts,
    random_parts,
    stability,
    standardised,
)


def total(scores, part):
    return scores[np.arange(len(part)), part].sum()


@pytest.mark.parametrize(("n", "k"), [(8, 8), (23, 4), (30, 1)])
def test_parts_without_scores_are_of_equal_size_and_hold_everything(n, k):
    rng = np.random.default_rng(0)
    for partition in (random_parts(n, k, rng=rng), consecutive_parts(n, k)):
        assert np.ptp(partition.sizes) <= 1
        assert sorted(itertools.chain.from_iterable(m.tolist() for m in partition.members())) == list(range(n))
    assert (np.diff(consecutive_parts(n, k).part) >= 0).all()
    if n > k > 1:
        assert (random_parts(n, k, rng=rng).part != random_parts(n, k, rng=rng).part).any()


@pytest.mark.parametrize("seed", range(6))
def test_the_assignment_within_a_capacity_is_the_best_there_is(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(5, 40)), int(rng.integers(2, 6))
    scores = rng.standard_normal((n, k)) * rng.gamma(1, 3, k) + rng.standard_normal(k)
    if seed % 2:
        scores = scores.round()  # ties
    found = arg_max_within(scores)
    capacity = -(-n // k)
    assert found.sizes.max() <= capacity
    seats = np.repeat(scores, capacity, axis=1)
    best = seats[linear_sum_assignment(-seats)].sum()
    assert total(scores, found.part) == pytest.approx(best, abs=1e-9)


def test_a_capacity_of_ones_own_and_one_that_does_not_bind():
    scores = np.random.default_rng(0).standard_normal((40, 3)) + np.array([2, 0, 0])
    loose = arg_max_within(scores, capacity=40)
    assert (loose.part == arg_max(scores).part).all()
    tighter = arg_max_within(scores, capacity=20)
    assert loose.sizes.max() > 20 >= tighter.sizes.max()
    assert total(scores, tighter.part) < total(scores, loose.part)
    with pytest.raises(ValueError, match="raise the capacity"):
        arg_max_within(scores, capacity=13)


def test_a_wide_column_takes_everything_unless_columns_are_standardised():
    """SPA-08 on normal numbers: spreads that differ tenfold, as in the sheet's section 3."""
    scores = np.random.default_rng(0).standard_normal((4000, 8)) * np.linspace(1, 10, 8)
    raw, even, capped = arg_max(scores), arg_max(standardised(scores)), arg_max_within(standardised(scores))
    assert raw.balance > 5
    assert even.balance < 1.3
    assert capped.balance == 1
    assert agreement(even, capped) > 0.95


def test_columns_without_spread_do_no_harm():
    assert not standardised(np.full((3, 2), 7.0)).any()


@pytest.mark.parametrize("scores", [np.zeros((0, 2)), np.array([[np.nan, 1.0]]), np.array([[np.inf, 1.0]])])
def test_scores_that_are_no_numbers_are_refused(scores):
    for rule in (arg_max, arg_max_within):
        with pytest.raises(ValueError, match="finite"):
            rule(scores)


def test_bm25_plus_is_the_papers_formula():
    texts = ["Red plum red", "green fig", "fig plum tree in a row"]
    query = "red fig soup"
    words = [text.lower().split() for text in texts]
    mean = sum(map(len, words)) / len(words)
    expected = []
    for own in words:
        score = 0.0
        for term in query.split():
            holding = sum(term in other for other in words)
            if holding:
                f = own.count(term)
                ratio = 2.5 * f / (1.5 * (0.25 + 0.75 * len(own) / mean) + f)
                score += math.log((len(words) + 1) / holding) * (ratio + 1)
        expected.append(score)
    np.testing.assert_allclose(bm25_plus(texts, [query])[:, 0], np.array(expected) - np.mean(expected), rtol=1e-12)


def test_without_centring_the_longest_query_would_take_every_text():
    """The trap: words that a text has not lift its score, too."""
    texts = [f"{fruit} {i} is sweet" for i, fruit in enumerate(["plum", "fig"] * 20)]
    queries = ["plum", " ".join(["fig", *(str(i) for i in range(40))])]
    index = BM25Plus([text.split() for text in texts])
    raw = np.stack([index.get_scores(query.split()) for query in queries], axis=1)
    assert set(arg_max(raw).part) == {1}  # each text goes to the query with 41 words
    balanced = arg_max(standardised(bm25_plus(texts, queries))).part
    assert set(balanced[::2]) == {0}
    assert set(balanced[1::2]) == {1}
    with pytest.raises(ValueError, match="no text has a word"):
        bm25_plus(["", " "], ["plum"])


def planted(rng, *, n=60, k=3, p=20, noise=0.2):
    """Directions with noise, lengths that say nothing, and the parts they came from."""
    centres = np.linalg.qr(rng.standard_normal((p, k)))[0].T
    part = rng.permutation(np.arange(n) % k)
    rows = centres[part] + noise / np.sqrt(p) * rng.standard_normal((n, p))
    return rows * rng.gamma(2, 2, (n, 1)), Partition(part, k, "planted")


def test_planted_directions_are_found_whatever_the_lengths():
    rows, truth = planted(np.random.default_rng(0))
    assert agreement(spherical_k_means(rows, 3, seed=0), truth) == 1
    assert agreement(k_means(rows / np.linalg.norm(rows, axis=1, keepdims=True), 3, seed=0), truth) == 1
    assert agreement(k_means(rows, 3, seed=0), truth) < 1  # lengths mislead plain k-means
    shuffled = np.random.default_rng(1).permutation(len(rows))
    again = spherical_k_means(rows[shuffled], 3, seed=0)
    assert agreement(again, Partition(truth.part[shuffled], 3, "")) == 1


def test_spherical_k_means_fills_every_part_even_with_equal_and_zero_rows():
    rows = np.array([[1.0, 0.0]] * 5 + [[0.0, 0.0]])
    assert (spherical_k_means(rows, 3, seed=0).sizes > 0).all()
    with pytest.raises(ValueError, match="k must lie"):
        spherical_k_means(rows, 7, seed=0)


def test_a_cluster_is_no_worse_than_chance_or_arg_max_in_its_own_measure():
    scores = standardised(np.random.default_rng(0).standard_normal((200, 4)))
    found = k_means(scores, 4, seed=0)

    def spread(partition):
        return sum(np.square(scores[m] - scores[m].mean(axis=0)).sum() for m in partition.members())

    others = [arg_max(scores), random_parts(200, 4, rng=np.random.default_rng(0))]
    assert all(spread(found) < spread(other) for other in others)
    by_pairs = sum(np.square(scores[i] - scores[j]).sum() for m in found.members() for i in m for j in m)
    assert pairwise_cost(scores, found) == pytest.approx(by_pairs)
    with pytest.raises(ValueError, match="belong together"):
        pairwise_cost(scores[:5], found)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8)])
def test_products_of_whitened_gradients_are_fisher_scores(shape):
    g = np.random.default_rng(0).standard_normal(shape)
    rows = whitened(g, damping=0.3)
    assert rows.shape == (shape[0], min(shape))
    np.testing.assert_allclose(rows @ rows.T, fisher(g, g, damping=0.3), atol=1e-9)
    assert not whitened(np.zeros(shape)).any()
    with pytest.raises(ValueError, match="damping"):
        whitened(g, damping=0)


def test_texts_about_one_thing_lie_together():
    texts = [f"the {word} tree bears fruit {i}" for i, word in enumerate(["plum", "fig"] * 10)]
    texts += [f"walk down a road number {i} at night" for i in range(20)]
    for features in (2, 5000):
        found = spherical_k_means(embed_texts(texts, features=features), 2, seed=0)
        assert agreement(found, Partition(np.arange(40) // 20, 2, "")) == 1
    with pytest.raises(ValueError, match="no text"):
        embed_texts([" "])


def test_agreement_is_free_of_names_and_at_chance_for_chance():
    rng = np.random.default_rng(0)
    partition = random_parts(1000, 4, rng=rng)
    renamed = Partition(np.array([2, 0, 3, 1])[partition.part], 4, "")
    assert agreement(partition, renamed) == 1
    assert 0.25 <= agreement(partition, random_parts(1000, 4, rng=rng)) < 0.32
    with pytest.raises(ValueError, match="cannot be compared"):
        agreement(partition, consecutive_parts(9, 4))


def test_stability_tells_planted_parts_from_noise():
    rng = np.random.default_rng(0)
    rows, _ = planted(rng)
    noise = rng.standard_normal((60, 20))

    def by_direction(of):
        return lambda kept: spherical_k_means(of[kept], 3, seed=0)

    assert stability(by_direction(rows), 60, rng=rng, draws=4).min() == 1
    assert stability(by_direction(noise), 60, rng=rng, draws=4).mean() < 0.9
    scores = np.random.default_rng(1).standard_normal((300, 4))
    assert stability(lambda kept: arg_max(centred(scores[kept])), 300, rng=rng, draws=4).mean() > 0.9
    with pytest.raises(ValueError, match="share"):
        stability(by_direction(rows), 60, rng=rng, share=0.0)


def test_a_partition_that_is_none_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        Partition(np.array([0, 2]), 2, "")
    with pytest.raises(ValueError, match="at least one part"):
        Partition(np.zeros(0, dtype=int), 2, "")
    assert Partition(np.array([0, 0]), 2, "").balance == math.inf
    with pytest.raises(ValueError, match="k must lie"):
        consecutive_parts(3, 4)
