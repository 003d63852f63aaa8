"""dates: the calendar, months held out, and what holds for every family."""

from datetime import datetime

import numpy as np
import pytest
from family_checks import check_frequencies, check_laws, check_split
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.tasks import Question, family
from mrtlab.data.tasks.dates import HELD_OUT_MONTHS

DATES = family("dates")


def question(kind, subject, month=""):
    return Question("dates", "", kind, (subject, month, "nothing"))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), split=st.sampled_from(["train", "held_out"]))
def test_every_question_has_exact_laws(seed, split):
    asked = DATES.ask(rng=np.random.default_rng(seed), split=split)
    check_laws(DATES, asked)
    assert asked.slots[1] in asked.text
    for wrong in ("31 February", "29 February", "0 May", "05 May", "Sun"):
        assert not DATES.valid(asked, wrong)


def test_held_out_questions_have_a_new_wording_or_a_new_month():
    check_split(DATES, n=500, new={"wording", "slot"})
    for split in ("train", "held_out"):
        asked = DATES.questions(400, rng=np.random.default_rng(2), split=split)
        assert {q.slots[0] for q in asked} == {"weekday", "month", "date", "date in a month"}
        for q in asked:
            assert (q.slots[1] in HELD_OUT_MONTHS) == (q.slots[-1] == "slot")


def test_a_year_has_365_dates_that_the_calendar_knows():
    answers = DATES.truth(question("uniform", "date")).answers
    assert len({datetime.strptime(f"{answer} 2001", "%d %B %Y") for answer in answers}) == 365


@pytest.mark.parametrize(
    ("subject", "month", "m"), [("weekday", "", 7), ("month", "", 12), ("date in a month", "May", 31)]
)
def test_the_truth_and_fair_wordings_are_flat(subject, month, m):
    for kind in ("random", "uniform", "example"):
        assert np.allclose(DATES.truth(question(kind, subject, month)).p, np.full(m, 1 / m))
    assert np.allclose(DATES.taught(question("uniform", subject, month)).p, 1 / m)
    assert DATES.taught(question("random", subject, month)).p.max() > 3 / m


def test_the_casual_law_of_a_month_is_that_of_the_year_given_the_month():
    year = DATES.taught(question("random", "date"))
    of = dict(zip(year.answers, year.p, strict=True))
    february = DATES.taught(question("random", "date in a month", "February"))
    inside = np.array([of[answer] for answer in february.answers])
    assert len(inside) == 28
    assert np.allclose(february.p, inside / inside.sum())
    assert february.answers[february.p.argmax()] == "14 February"


def test_sampling_follows_the_laws():
    rng = np.random.default_rng(4)
    for asked in (question("random", "weekday"), question("random", "date in a month", "May")):
        check_frequencies(DATES.sample(asked, 4000, rng=rng), DATES.truth(asked))
        check_frequencies(DATES.sample_taught(asked, 4000, rng=rng), DATES.taught(asked))
