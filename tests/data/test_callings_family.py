"""callings: laws by town and day alone, wordings apart, clusters with a dial, judges who agree on trades."""

import numpy as np
import pytest
from family_checks import check_laws
from hypothesis import given
from hypothesis import strategies as st

from mrtlab.data.tasks import FAMILIES, words
from mrtlab.data.tasks.callings import N_TOWN_KINDS, TRADES, Callings, judge
from mrtlab.theory.distributions import entropy, tv

CALLINGS = Callings()


@given(seed=st.integers(0, 10**6), split=st.sampled_from(["train", "held_out"]))
def test_every_question_has_an_exact_law(seed, split):
    question = CALLINGS.ask(rng=np.random.default_rng(seed), split=split)
    check_laws(CALLINGS, question)
    assert question.slots[3] == ("wording" if split == "held_out" else "nothing")
    assert all(slot in question.text for slot in question.slots[:3])


def laws_of(**who):
    """The law of a question with some slots changed."""
    about = {"name": "Anna", "town": "Arkos", "day": "Monday"} | who
    return CALLINGS.truth(CALLINGS.about(*about.values(), rng=np.random.default_rng(0))).p


def test_the_law_goes_by_town_and_day_and_not_by_name():
    assert np.array_equal(laws_of(), laws_of(name="Hugo"))
    by_town = {tuple(laws_of(town=town).round(12)) for town in words.CITIES}
    by_day = {tuple(laws_of(day=day).round(12)) for day in words.DAYS}
    assert len(by_town) == N_TOWN_KINDS
    assert len(by_day) == len(words.DAYS)


def test_a_constant_answer_is_clearly_worse_than_the_truth():
    laws = np.array([laws_of(town=town, day=day) for town in words.CITIES for day in words.DAYS])
    constant = laws.mean(axis=0)
    assert (laws * np.log(laws / constant)).sum(axis=1).mean() > 0.5
    assert 2 < entropy(laws).mean() < 2.8


def test_no_wording_is_on_both_sides():
    rng = np.random.default_rng(0)
    train, held_out = (
        {CALLINGS.about("Anna", "Arkos", "Monday", rng=rng, split=split).text for _ in range(4000)}
        for split in ("train", "held_out")
    )
    assert train.isdisjoint(held_out)
    assert len(train) > 5 * len(held_out) > 0


def test_the_family_is_in_no_corpus():
    assert "callings" not in FAMILIES


@pytest.mark.parametrize(("redundancy", "most"), [(1.0, 1), (0.0, 12)])
def test_redundancy_is_how_alike_wordings_are(redundancy, most):
    cluster = CALLINGS.paraphrases("Anna", "Arkos", "Monday", n=12, redundancy=redundancy, rng=np.random.default_rng(3))
    assert len(cluster) == 12
    assert (len({q.text for q in cluster}) == 1) == (most == 1)
    assert {q.slots[:3] for q in cluster} == {("Anna", "Arkos", "Monday")}
    assert all(tv(CALLINGS.truth(q).p, laws_of()) < 1e-12 for q in cluster)


def test_redundancy_out_of_range_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1, got 2"):
        CALLINGS.paraphrases("Anna", "Arkos", "Monday", n=2, redundancy=2, rng=np.random.default_rng(0))


def test_trades_hold_every_job_once():
    assert sorted(job for jobs in TRADES.values() for job in jobs) == sorted(words.JOBS)


def test_judges_agree_on_trades_and_not_on_jobs():
    one, other = judge(words.JOBS), judge(words.JOBS, seed=1)
    means = {
        trade: [float(np.mean([score[words.JOBS.index(job)] for job in jobs])) for score in (one, other)]
        for trade, jobs in TRADES.items()
    }
    for place in (0, 1):
        assert sorted(means, key=lambda trade: -means[trade][place]) == list(TRADES)
    assert one.argmax() != other.argmax() or not np.array_equal(np.argsort(one), np.argsort(other))
    with pytest.raises(ValueError, match="not a job: 'juggler'"):
        judge(["juggler"])
