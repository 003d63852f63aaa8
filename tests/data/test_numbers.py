"""numbers: laws by hand, ranges held out, and what holds for every family."""

from math import comb

import numpy as np
import pytest
from family_checks import check_frequencies, check_laws, check_split
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.tasks import Question, family
from mrtlab.data.tasks.numbers import bell, favourite, ranges, values_of

NUMBERS = family("numbers")


def question(kind, subject, low, high):
    return Question("numbers", "", kind, (subject, low, high, "nothing"))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), split=st.sampled_from(["train", "held_out"]))
def test_every_question_has_exact_laws_inside_its_range(seed, split):
    asked = NUMBERS.ask(rng=np.random.default_rng(seed), split=split)
    check_laws(NUMBERS, asked)
    subject, low, high, _ = asked.slots
    answers = [int(answer) for answer in NUMBERS.truth(asked).answers]
    assert 2 <= len(answers) <= 30
    assert 0 <= low <= min(answers)
    assert max(answers) <= high <= 99
    assert str(high) in asked.text
    assert subject in ("number", "die") or subject in asked.text
    for outside in (str(low - 1), str(high + 1), "007", f"{high}.0"):
        assert not NUMBERS.valid(asked, outside)


def test_held_out_questions_have_a_new_wording_or_a_new_range():
    check_split(NUMBERS, n=800, new={"wording", "slot"})
    met, unmet = set(ranges()), set(ranges(split="held_out"))
    assert not met & unmet
    assert 0.08 < len(unmet) / len(met | unmet) < 0.12
    assert {(1, 6), (1, 10), (0, 9)} <= met
    for asked in NUMBERS.questions(300, rng=np.random.default_rng(2), split="held_out"):
        assert (asked.slots[1:3] in unmet) == (asked.slots[-1] == "slot")


def test_every_kind_and_subject_is_asked_on_both_sides():
    for split in ("train", "held_out"):
        asked = NUMBERS.questions(600, rng=np.random.default_rng(3), split=split)
        assert {q.kind for q in asked} == {"random", "uniform", "example", "binomial", "zipf"}
        assert {q.slots[0] for q in asked} == {"number", "even", "odd", "prime", "die"}


@pytest.mark.parametrize(
    ("subject", "answers"),
    [
        ("number", range(10, 21)),
        ("even", (10, 12, 14, 16, 18, 20)),
        ("odd", (11, 13, 15, 17, 19)),
        ("prime", (11, 13, 17, 19)),
    ],
)
def test_right_answers_by_hand(subject, answers):
    law = NUMBERS.truth(question("random", subject, 10, 20))
    assert law.answers == tuple(str(answer) for answer in answers)
    assert np.allclose(law.p, 1 / len(answers))


def test_the_primes_below_100():
    assert len(values_of("prime", 0, 99)) == 25


def test_named_laws_by_hand():
    coins = NUMBERS.truth(question("binomial", "number", 0, 10))
    assert np.allclose(coins.p, [comb(10, v) / 1024 for v in range(11)])
    assert np.allclose(NUMBERS.truth(question("zipf", "number", 3, 5)).p, np.array([6, 3, 2]) / 11)
    assert np.allclose(NUMBERS.taught(question("zipf", "number", 3, 5)).p, np.array([36, 9, 4]) / 49)


def test_casual_wordings_are_taught_a_favourite_and_fair_ones_none():
    casual = NUMBERS.taught(question("random", "number", 1, 10))
    assert casual.answers[int(casual.p.argmax())] == "7"
    assert casual.p.max() > 5 / 10
    for kind in ("uniform", "example"):
        assert np.allclose(NUMBERS.taught(question(kind, "number", 1, 10)).p, 0.1)


@given(low=st.integers(0, 97), size=st.integers(2, 30))
def test_the_bell_is_a_law_with_a_floor(low, size):
    values = range(low, low + size)
    p = bell(values, favourite=favourite(values))
    assert np.isclose(p.sum(), 1)
    assert p.min() >= 0.1 / size
    assert p.argmax() == favourite(values) - low
    assert p.max() > 0.5


@pytest.mark.parametrize("kind", ["random", "binomial", "zipf"])
def test_sampling_follows_the_laws(kind):
    asked = question(kind, "number", 0, 19)
    rng = np.random.default_rng(4)
    check_frequencies(NUMBERS.sample(asked, 4000, rng=rng), NUMBERS.truth(asked))
    check_frequencies(NUMBERS.sample_taught(asked, 4000, rng=rng), NUMBERS.taught(asked))
