"""facts: an invented world without contradictions, one answer each, wordings held out."""

import numpy as np
import pytest
from family_checks import check_laws, check_split
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.tasks import family, words
from mrtlab.data.tasks.facts import CAPITAL_OF, COUNTRY_OF, MAYOR_OF, SHARES, Facts, table

FACTS = family("facts")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), split=st.sampled_from(["train", "held_out"]))
def test_every_question_has_one_answer(seed, split):
    asked = FACTS.ask(rng=np.random.default_rng(seed), split=split)
    check_laws(FACTS, asked)
    assert len(FACTS.truth(asked).answers) == 1
    assert FACTS.logp(asked, FACTS.truth(asked).answers[0]) == 0
    assert all(slot.lower() in asked.text.lower() for slot in asked.slots[:-1])


def test_held_out_questions_have_a_new_wording():
    check_split(FACTS, n=2000, new={"wording"})


@pytest.mark.parametrize("kind", SHARES)
def test_every_fact_is_in_training_and_asked_in_new_words(kind):
    train = {q.slots[:-1] for q in FACTS.every(kind, rng=np.random.default_rng(0))}
    held_out = {q.slots[:-1] for q in FACTS.every(kind, rng=np.random.default_rng(0), split="held_out")}
    assert train == held_out == set(table(kind))


def test_the_world_has_no_contradictions():
    assert set(COUNTRY_OF) == set(MAYOR_OF) == set(words.CITIES)
    assert set(CAPITAL_OF) == set(COUNTRY_OF.values()) == set(words.COUNTRIES)
    assert all(COUNTRY_OF[capital] == country for country, capital in CAPITAL_OF.items())
    assert len(set(MAYOR_OF.values())) == len(words.CITIES)


def test_facts_by_hand():
    assert table("sum")["9", "9"] == "18"
    assert table("next day")["Sunday",] == "Monday"
    assert table("next month")["December",] == "January"
    assert table("what")["an apple",] == "fruit"
    assert table("what")["red",] == "colour"
    assert not [slots for slots in table("what") if "orange" in slots[0]]
    assert {kind: len(table(kind)) for kind in ("capital", "mayor", "sum")} == {"capital": 20, "mayor": 40, "sum": 100}


def test_shares_decide_how_often_a_kind_is_asked():
    assert FACTS.kinds == tuple(SHARES)
    assert np.isclose(sum(FACTS.shares.values()), 1)
    two = Facts(shares={"sum": 3, "best": 1, "mayor": 0})
    rng = np.random.default_rng(0)
    sums = np.mean([two.ask(rng=rng).kind == "sum" for _ in range(2000)])
    assert abs(sums - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 2000)  # five standard errors
    assert two.kinds == ("sum", "best")


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"sums": 1.0}, "unknown kind of fact 'sums': choose from capital, country"),
        ({"sum": -1.0}, "the share of 'sum' must be a number from 0 up, got -1"),
        ({"sum": np.nan}, "must be a number"),
        ({"sum": 0.0}, "at least one kind"),
        ({}, "at least one kind"),
    ],
)
def test_bad_shares_get_one_sentence(shares, message):
    with pytest.raises(ValueError, match=message):
        Facts(shares=shares)
