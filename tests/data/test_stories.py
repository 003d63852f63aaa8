"""Stories: exact likelihood against the full list, draws against the law, modes, paraphrases."""

import itertools

import numpy as np
import pytest
from family_checks import check_frequencies, check_split
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.tasks import family
from mrtlab.data.tasks.core import Question
from mrtlab.data.tasks.grammar import Grammar
from mrtlab.data.tasks.stories import Stories
from mrtlab.data.tasks.story_words import TELLERS, TONES, TOPICS

STORIES = family("stories")
BOAT = Question("stories", "Write a story about a boat.", "random", ("boat", "", "nothing"))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(("train", "held_out")))
def test_any_question(seed: int, split: str) -> None:
    rng = np.random.default_rng(seed)
    question = STORIES.ask(rng=rng, split=split)
    law = STORIES.truth(question)
    assert law.p.sum() == pytest.approx(1)
    assert len(law.answers) <= 5_000
    assert len(question.text.split()) <= 22
    place = dict(zip(law.answers, law.logp, strict=True))
    for answer in [*STORIES.sample(question, 3, rng=rng), *STORIES.sample_taught(question, 3, rng=rng)]:
        assert STORIES.valid(question, answer)
        assert STORIES.logp(question, answer) == pytest.approx(place[answer])  # the parser against the list
        assert STORIES.posterior(question.slots[0], answer).sum() == pytest.approx(1)
        assert answer == answer.strip()
        assert len(answer.split()) <= 20
        for broken in (answer + " ", answer[:-1], answer.replace(question.slots[0], "unicorn"), answer * 2, ""):
            assert not STORIES.valid(question, broken)


def test_the_parser_gives_every_listed_text_its_probability_and_the_modes_are_balanced() -> None:
    """The list comes from expanding the rules, the likelihoods from parsing: neither knows of the other."""
    law = STORIES.truth(BOAT)
    likelihoods = np.array([STORIES.likelihoods("boat", answer) for answer in law.answers])
    np.testing.assert_allclose(np.log(likelihoods.mean(axis=(1, 2))), law.logp, rtol=0, atol=1e-12)
    posterior = likelihoods / likelihoods.sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(np.tensordot(law.p, posterior, axes=1), 1 / (len(TONES) * len(TELLERS)))


def test_posterior_by_hand() -> None:
    """ "It sang." comes 3 times in 9 in merry stories and once in 9 in sad ones; looks 2/8 each; sea 2/9 and 4/8."""
    posterior = STORIES.posterior("boat", "There was a small boat by the sea. It sang.")
    merry, sad = 2 / 8 * 2 / 9 * 3 / 9, 2 / 8 * 4 / 8 * 1 / 9
    np.testing.assert_allclose(posterior.sum(axis=1), [merry / (merry + sad), sad / (merry + sad), 0, 0])
    np.testing.assert_allclose(posterior.sum(axis=0), [0.5, 0.5])  # nothing says who tells it


def test_the_taught_law_differs_in_the_modes_alone() -> None:
    """KL of the texts is positive and at most that of the modes: the texts are a function of them and of chance."""
    truth, taught = STORIES.truth(BOAT), STORIES.taught(BOAT)
    assert truth.answers == taught.answers
    of_texts = float(truth.p @ (truth.logp - taught.logp))
    prior, peaked = STORIES.prior(BOAT), STORIES.prior(BOAT, taught=True)
    assert 0.3 < of_texts < float(np.sum(prior * np.log(prior / peaked)))
    assert peaked[0].sum() == pytest.approx(0.7)
    np.testing.assert_allclose(prior, 1 / (len(TONES) * len(TELLERS)))


@pytest.mark.parametrize("taught", [False, True])
def test_draws_follow_the_law(taught: bool) -> None:
    law = STORIES.taught(BOAT) if taught else STORIES.truth(BOAT)
    draw = STORIES.sample_taught if taught else STORIES.sample
    check_frequencies(draw(BOAT, 6_000, rng=np.random.default_rng(2)), law)


def test_a_named_tone_is_kept() -> None:
    asked = Question("stories", "Write a sad story about a boat.", "tone", ("boat", "sad", "nothing"))
    assert STORIES.valid(asked, "The lonely boat stood by the sea. It cried.")
    assert not STORIES.valid(asked, "The happy boat stood by the sea. It laughed.")
    assert STORIES.valid(BOAT, "The happy boat stood by the sea. It laughed.")


def test_the_reward_prefers_one_tone() -> None:
    rng = np.random.default_rng(3)
    for tone in TONES:
        own, other = (
            [
                STORIES.reward(BOAT, text, tone=tone)
                for text in STORIES.sample(Question("stories", "", "tone", ("boat", told, "nothing")), 40, rng=rng)
            ]
            for told in (tone, TONES[TONES.index(tone) - 1])
        )
        assert np.mean(own) > 0.8 > 0.2 > np.mean(other)
    assert STORIES.reward(BOAT, "A boat.") == 0
    with pytest.raises(ValueError, match="unknown tone"):
        STORIES.reward(BOAT, "A boat.", tone="angry")


def test_held_out_questions_are_never_training_ones_and_use_words_of_training() -> None:
    check_split(STORIES, n=1_000, new={"wording"})
    rng = np.random.default_rng(4)
    train = STORIES.questions(2_000, rng=rng)
    held_out = STORIES.questions(2_000, rng=rng, split="held_out")
    known = {word for q in train for word in q.text.split()}
    composed = [q for q in held_out if not q.text.startswith(("I want", "Let me", "What story", "Is there"))]
    assert {word for q in composed for word in q.text.split()} <= known
    assert {q.slots[0] for q in composed} == set(TOPICS)


def test_redundancy_from_word_identical_to_all_different() -> None:
    def cluster(redundancy: float, split: str = "train") -> list[str]:
        rng = np.random.default_rng(5)
        found = STORIES.paraphrases("kite", n=60, redundancy=redundancy, rng=rng, split=split)
        assert all(q.slots[:2] == ("kite", "") for q in found)
        return [q.text for q in found]

    assert len(set(cluster(1.0))) == 1
    assert len(set(cluster(1.0, "held_out"))) == 1
    sizes = [len(set(cluster(redundancy))) for redundancy in (1.0, 0.95, 0.7, 0.0)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 40
    centre = cluster(1.0)[0]
    assert centre not in cluster(0.0)
    assert not set(cluster(0.0)) & set(cluster(0.0, "held_out"))
    with pytest.raises(ValueError, match="between 0 and 1"):
        cluster(1.5)
    with pytest.raises(ValueError, match="unknown topic"):
        STORIES.paraphrases("unicorn", n=1, redundancy=0.5, rng=np.random.default_rng(0))


def test_a_family_over_some_topics_asks_for_those_alone() -> None:
    rng = np.random.default_rng(6)
    assert {q.slots[0] for q in Stories(topics=TOPICS[:3]).questions(60, rng=rng)} == set(TOPICS[:3])
    with pytest.raises(ValueError, match="unknown topics"):
        Stories(topics=("unicorn",))
    with pytest.raises(ValueError, match="not a story"):
        STORIES.posterior("boat", "A boat.")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_grammars_whose_texts_can_be_read_in_several_ways(data: st.DataObject) -> None:
    """Likelihood by dynamic programming equals the sum over all derivations, listed here by hand."""
    pieces = st.lists(st.sampled_from(("a", "b", "ab", "aa")), min_size=1, max_size=3)
    first, second = data.draw(pieces), data.draw(pieces)
    rules = {
        "<s>": ((0.25, ("<t>",)), (0.75, ("<t>", "<u>"))),
        "<t>": tuple((1 / len(first), (piece,)) for piece in first),
        "<u>": tuple((1 / len(second), (piece,)) for piece in second),
    }
    grammar = Grammar(rules)
    wanted: dict[str, float] = {}
    for one in first:
        wanted[one] = wanted.get(one, 0) + 0.25 / len(first)
    for one, two in itertools.product(first, second):
        wanted[one + two] = wanted.get(one + two, 0) + 0.75 / len(first) / len(second)
    assert grammar.language() == pytest.approx(wanted)
    for text, p in wanted.items():
        assert grammar.likelihood(text) == pytest.approx(p)
    assert grammar.likelihood("c") == 0
    assert grammar.draw(rng=np.random.default_rng(0)) in wanted


def test_grammars_that_cannot_be_listed_are_refused() -> None:
    with pytest.raises(ValueError, match="inside itself"):
        Grammar({"<s>": ((0.5, ("a",)), (0.5, ("a", "<s>")))})
    with pytest.raises(ValueError, match="sum to 1"):
        Grammar({"<s>": ((0.5, ("a",)),)})
