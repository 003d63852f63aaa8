"""Programs: every listed solution runs and is right, every listed mistake is wrong, and the laws say what they say."""

import numpy as np
import pytest
from family_checks import check_frequencies, check_split

from mrtlab.data.tasks import family
from mrtlab.data.tasks.core import Question
from mrtlab.data.tasks.program_specs import SPECS, Spec

PROGRAMS = family("programs")


def _asked(spec: Spec, kind: str = "random") -> Question:
    return Question("programs", "", kind, (spec.name, "nothing"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_each_specification(spec: Spec) -> None:
    question = _asked(spec)
    assert len({program.replace(" ", "") for program in spec.programs}) >= 5
    assert all(PROGRAMS.valid(question, program) for program in spec.programs)
    assert not any(PROGRAMS.valid(question, program) for program in spec.wrong_programs)
    assert len(spec.tests) >= 10
    truth, taught = PROGRAMS.truth(question), PROGRAMS.taught(question)
    assert truth.p.sum() == pytest.approx(1)
    assert taught.p.sum() == pytest.approx(1)
    wrong = sum(p for answer, p in zip(taught.answers, taught.p, strict=True) if not PROGRAMS.valid(question, answer))
    assert wrong == pytest.approx(spec.wrong_share)
    assert PROGRAMS.taught(_asked(spec, "uniform")) is truth
    assert all(len(program) <= 70 for program in taught.answers)


def test_there_are_enough_and_their_names_and_descriptions_are_their_own() -> None:
    descriptions = [description for spec in SPECS for description in spec.descriptions]
    assert len(SPECS) >= 30
    assert len({spec.name for spec in SPECS}) == len(SPECS)
    assert len(set(descriptions)) == len(descriptions)
    assert (
        0.3 < 1 - np.mean([spec.wrong_share for spec in SPECS]) < 0.8
    )  # pass@1 of a perfect learner of the taught law


def test_no_program_of_one_specification_passes_anothers_tests_unless_they_mean_the_same() -> None:
    """The tests tell all specifications with as many arguments apart."""
    for one in SPECS:
        for other in SPECS:
            if one is not other and len(one.inputs) == len(other.inputs):
                assert not PROGRAMS.valid(_asked(other), one.programs[0]), (one.name, other.name)


def test_right_programs_off_the_list_are_accepted_and_texts_are_not() -> None:
    question = _asked(SPECS[0])
    assert PROGRAMS.valid(question, "def f(number): return number * 4 // 2")
    assert PROGRAMS.logp(question, "def f(number): return number * 4 // 2") == -np.inf
    for text in ("", "2 * x", "def f(x): return 2 * x + y", "def f(x, y): return 2 * x", "def f(x): return 2 ** 1 * x"):
        assert not PROGRAMS.valid(question, text)


def test_held_out_questions_are_never_training_ones_and_use_words_of_training() -> None:
    check_split(PROGRAMS, n=1_000, new={"wording"})
    rng = np.random.default_rng(0)
    train = PROGRAMS.questions(2_000, rng=rng)
    held_out = PROGRAMS.questions(2_000, rng=rng, split="held_out")
    assert {q.slots[0] for q in train} == {q.slots[0] for q in held_out}
    strange = ("I need", "Let f", "What does")
    composed = [q for q in held_out if not q.text.startswith(strange)]
    known = {word for q in train for word in q.text.split()}
    assert {word for q in composed for word in q.text.split()} <= known
    assert 0.05 < 1 - len(composed) / len(held_out) < 0.3


def test_draws_follow_the_taught_law() -> None:
    rng = np.random.default_rng(1)
    question = PROGRAMS.questions(1, rng=rng)[0]
    law = PROGRAMS.taught(_asked(SPECS[5]))
    check_frequencies(PROGRAMS.sample_taught(_asked(SPECS[5]), 5_000, rng=rng), law)
    answer = PROGRAMS.sample(question, 1, rng=rng)[0]
    assert PROGRAMS.logp(question, answer) == pytest.approx(-np.log(len(PROGRAMS.truth(question).answers)))
