"""The arms of chapter 8: every rule's parts hold all the data, and what makes the rules differ."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtlab.lab import spa_arms, spa_world
from mrtlab.lab.spa_arms import RULES, influence_of_some, parted
from mrtlab.lab.spa_data import pairs, queries
from mrtlab.lab.spa_world import LISSA_DEPTH, N, Sizes, World
from mrtlab.spa.partition import Partition, agreement, deal

K = 3


@pytest.fixture(scope="module")
def made():
    """A world whose gradients are drawn: three queries are wide, and one of them far wider."""
    rng = np.random.default_rng(8)
    data = pairs("programs-even", 48, seed=0, draw=lambda *_: pytest.fail("an even teacher asks no model"))
    asked = queries("programs-even", seed=0)
    gradients = rng.normal(size=(len(data), 30)).astype(np.float32)
    targets = rng.normal(size=(len(asked), 30)).astype(np.float32)
    targets[[2, 5, 9]] *= np.float32([[4], [40], [5]])
    return World(Sizes.of(short=True), data, asked, gradients, targets, {})


@pytest.fixture(autouse=True)
def no_walk(monkeypatch):
    """LiSSA walks a model; here the scores that it nears."""
    monkeypatch.setattr(spa_arms, "lissa_columns", lambda made, k, *, seed: made.columns("fisher", k))


@pytest.mark.parametrize("arm", RULES)
def test_every_pair_has_one_part_and_a_seed_decides_which(made, arm):
    found = parted(arm, made, K, seed=3)
    assert found.k == K
    assert np.sort(np.concatenate(found.members())).tolist() == list(range(len(made.data)))
    assert parted(arm, made, K, seed=3).part.tolist() == found.part.tolist()


def test_chance_depends_on_the_seed_and_scores_do_not(made):
    for arm, moves in (("random", True), ("influence", False), ("lexical", False)):
        one, other = (parted(arm, made, K, seed=seed).part.tolist() for seed in (0, 1))
        assert (one != other) == moves


def test_the_kept_queries_are_the_widest_and_the_same_for_every_method(made):
    kept = made.kept(K)
    widths = made.scores["fisher"].var(axis=0)
    assert kept.tolist() == [2, 5, 9]
    assert set(kept) == set(np.argsort(widths)[-K:])
    for method in spa_world.METHODS:
        assert made.columns(method, K) == pytest.approx(made.scores[method][:, kept])


def test_raw_scores_follow_the_widest_query(made):
    wide = list(made.kept(K)).index(5)
    raw, plain, even = (parted(arm, made, K, seed=0) for arm in ("influence-raw", "influence", "influence-even"))
    assert raw.sizes.argmax() == wide
    assert raw.sizes.max() > plain.sizes.max() >= even.sizes.max()
    assert even.sizes.max() == len(made.data) // K


def test_a_pair_that_is_the_query_itself_goes_to_it(made):
    gradients = made.gradients.copy()
    own = made.targets[made.kept(K)]
    gradients[:K] = own / np.linalg.norm(own, axis=1, keepdims=True) * np.linalg.norm(gradients, axis=1).mean()
    known = World(made.sizes, made.data, made.asked, gradients, made.targets, {})
    assert known.kept(K).tolist() == made.kept(K).tolist()
    for arm in ("influence", "influence-dot", "influence-cosine", "influence-datainf"):
        assert parted(arm, known, K, seed=0).part[:K].tolist() == list(range(K))


def test_influence_of_all_is_the_arm_and_of_some_nearly(made):
    whole = parted("influence", made, K, seed=0)
    assert influence_of_some(made, K, np.arange(len(made.data))).part.tolist() == whole.part.tolist()
    kept = np.arange(0, len(made.data), 2)
    some = influence_of_some(made, K, kept)
    assert agreement(some, Partition(whole.part[kept], K, "")) > 0.6


def test_lexical_parts_follow_words():
    """Parts by words alone: a pair that shares the words of one query goes to it."""
    from mrtlab.data.tasks import Question
    from mrtlab.lab.spa_data import Pair

    def pair(text, answer):
        return Pair(Question("programs", text, "random", ("", "nothing")), answer)

    asked = [pair("twice the value", "x + x"), pair("largest of both", "max(x, y)")]
    data = [pair("give twice this", "2"), pair("a largest", "m"), pair("Twice.. twice", "t"), pair("largest", "q")]
    gradients = np.eye(4, 5, dtype=np.float32)
    world = World(Sizes.of(short=True), data, asked, gradients, np.eye(2, 5, dtype=np.float32), {})
    assert parted("lexical", world, 2, seed=0).part.tolist() == [0, 1, 0, 1]


def test_answers_are_dealt_within_groups_of_like_prompts(made, monkeypatch):
    names = [pair.question.slots[0] for pair in made.data]
    alike = np.unique(names, return_inverse=True)[1]
    monkeypatch.setattr(spa_arms, "spherical_k_means", lambda rows, k, *, seed: Partition(alike, len(names), ""))
    keeps_its_rules([pair.answer for pair in made.data], alike, parted("dealt", made, K, seed=0))


@st.composite
def hands(draw):
    """Answers, groups and a number of parts."""
    n = draw(st.integers(1, 40))
    answers = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    groups = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return answers, np.array(groups), draw(st.integers(1, n))


def keeps_its_rules(answers, groups, found):
    """Equal answers of a group together; no part gets a second answer of it before each has one."""
    for group in np.unique(groups):
        homes = {}
        for i in np.flatnonzero(groups == group):
            homes.setdefault(answers[i], set()).add(int(found.part[i]))
        assert all(len(home) == 1 for home in homes.values())
        used = [home for (home,) in homes.values()]
        assert len(set(used)) == min(found.k, len(homes))
        assert max(used.count(part) for part in range(found.k)) == -(-len(homes) // found.k)


@given(hands())
def test_a_deal_keeps_equal_answers_together_and_different_ones_apart(hand):
    answers, groups, k = hand
    keeps_its_rules(answers, groups, deal(answers, groups, k))


@given(hands())
def test_a_deal_does_not_depend_on_what_answers_and_groups_are_called(hand):
    answers, groups, k = hand
    renamed = deal([f"answer {a}" for a in answers], 10 + 3 * groups, k)
    assert renamed.part.tolist() == deal(answers, groups, k).part.tolist()


@given(st.integers(1, 30), st.integers(1, 8))
def test_different_answers_to_one_prompt_are_dealt_evenly(n, k):
    sizes = deal(list(range(n)), np.zeros(n, dtype=int), min(n, k)).sizes
    assert sizes.max() - sizes.min() <= 1


def test_sizes_of_the_book():
    assert Sizes.of(short=False) == Sizes()
    assert (Sizes().n, Sizes().lissa_depth) == (N, LISSA_DEPTH)
    assert Sizes.of(short=True).n < N
