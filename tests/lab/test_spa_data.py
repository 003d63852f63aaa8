"""Chapter 8's data: who the teacher is, what is held out from whom, and that a seed decides everything."""

from collections import Counter

import numpy as np
import pytest

from mrtlab.data.tasks.program_specs import SPECS
from mrtlab.lab import spa_data
from mrtlab.lab.spa_data import DOMAINS, N_QUERIES, exam, fair, family_of, pairs, queries, questions

PROGRAMS = [spec.programs[0] for spec in SPECS]  # one that is right for every question
WRONG = "def f(x): return 987654321"


def nobody(prompts, seed):
    raise AssertionError("an even teacher asks no model")


class Teacher:
    """Draws that are right for every prompt but some, and a record of who was asked for what."""

    def __init__(self, *, at_first=(), never=()):
        self.at_first, self.never, self.asked = at_first, never, []

    def __call__(self, prompts, seed):
        self.asked.append((list(prompts), seed))
        late = {p for i, p in enumerate(prompts) if i in self.at_first} if len(self.asked) == 1 else set()
        never = {p for i, p in enumerate(self.asked[0][0]) if i in self.never}
        return [[WRONG] if p in late | never else [WRONG, *PROGRAMS] for p in prompts]


def texts(some):
    return [getattr(one, "question", one).text for one in some]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("held_out", [True, False])
def test_questions_are_different_and_casual(domain, held_out):
    found = questions(domain, 40, rng=np.random.default_rng(3), held_out=held_out)
    assert len({q.text for q in found}) == len(found) == 40
    assert {q.kind for q in found} == {"random"}


def test_an_even_teacher_gives_right_answers_and_asks_no_model():
    found = pairs("programs-even", 60, seed=1, draw=nobody)
    assert len(set(texts(found))) == 60
    assert all(family_of("programs-even").valid(pair.question, pair.answer) for pair in found)
    assert pairs("programs-even", 60, seed=1, draw=nobody) == found
    assert pairs("programs-even", 60, seed=2, draw=nobody) != found


def test_of_a_models_draws_the_first_right_one_is_kept():
    teacher = Teacher()
    found = pairs("programs", 8, seed=1, draw=teacher)
    assert [p.question.text for p in found] == teacher.asked[0][0][:8]
    for pair in found:
        right = [program for program in PROGRAMS if family_of("programs").valid(pair.question, program)]
        assert pair.answer == right[0]
    assert pairs("programs", 8, seed=1, draw=Teacher()) == found


def test_who_gave_no_right_answer_is_asked_again_with_another_seed():
    teacher = Teacher(at_first=(0, 3, 4, 5))
    found = pairs("programs", 8, seed=2, draw=teacher)
    (first, seed), (again, other) = teacher.asked
    assert again == [first[i] for i in (0, 3, 4, 5)]
    assert seed != other
    assert texts(found) == first[:8]  # the order is that of the questions, not of the tries


def test_a_prompt_without_a_right_answer_makes_room_for_another():
    teacher = Teacher(never=(2,))
    found = pairs("programs", 8, seed=3, draw=teacher)
    asked = teacher.asked[0][0]
    assert texts(found) == [text for i, text in enumerate(asked) if i != 2][:8]


def test_too_few_right_answers_are_said_and_tries_end():
    with pytest.raises(RuntimeError, match="only 0 of 8 prompts of programs were answered in"):
        pairs("programs", 8, seed=0, draw=Teacher(never=range(100)))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("domain", DOMAINS)
def test_what_steers_and_what_examines_was_never_taught(domain, seed):
    taught = set(texts(pairs("programs-even", 512, seed=seed, draw=nobody))) if domain.startswith("programs") else {
        q.text for q in questions(domain, 300, rng=np.random.default_rng([81, seed]))
    }  # fmt: skip
    steering, examining = texts(queries(domain, seed=seed)), texts(exam(domain, seed=seed))
    assert taught.isdisjoint(steering)
    assert taught.isdisjoint(examining)
    assert set(steering).isdisjoint(examining)
    assert len(set(examining)) == len(examining)


@pytest.mark.parametrize("domain", DOMAINS)
def test_twelve_queries_have_right_answers_and_held_out_wordings(domain):
    found = queries(domain, seed=4)
    assert len(set(texts(found))) == len(found) == N_QUERIES
    assert all(family_of(domain).valid(q.question, q.answer) for q in found)
    assert all(q.question.slots[-1] != "nothing" for q in found)  # the last slot says what is new
    assert queries(domain, seed=4) == found
    assert queries(domain, seed=5) != found


@pytest.mark.parametrize("domain", ["programs", "programs-even"])
def test_every_specification_comes_twice_in_an_exam_and_once_in_queries(domain):
    asked = exam(domain, seed=0)
    assert Counter(q.slots[0] for q in asked) == dict.fromkeys((spec.name for spec in SPECS), 2)
    assert len({q.question.slots[0] for q in queries(domain, seed=0)}) == N_QUERIES


@pytest.mark.parametrize("domain", DOMAINS)
def test_an_exam_is_casual_and_its_short_form_its_beginning(domain):
    asked = exam(domain, seed=2)
    assert {q.kind for q in asked} == {"random"}
    assert all(q.slots[-1] != "nothing" for q in asked)
    assert exam(domain, seed=2) == asked
    assert exam(domain, seed=2, short=True) == asked[:6]
    assert exam(domain, seed=3) != asked
    if domain not in ("programs", "programs-even"):
        assert len(asked) == spa_data._OTHERS


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_fair_draw_is_asked_for_on_the_same_subject(domain):
    asked = exam(domain, seed=1)[:10]
    told = fair(domain, asked, seed=1)
    assert [q.slots[0] for q in told] == [q.slots[0] for q in asked]
    assert {q.kind for q in told} == {"uniform"}
    assert fair(domain, asked, seed=1) == told


def test_an_even_domain_is_of_the_same_family_and_has_the_same_exam():
    assert family_of("programs-even") is family_of("programs")
    assert exam("programs-even", seed=0) == exam("programs", seed=0)
    assert queries("programs-even", seed=0) == queries("programs", seed=0)
