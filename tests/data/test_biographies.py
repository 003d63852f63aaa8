"""biographies: fields parsed back, an exact product law, and what holds for every family."""

import numpy as np
import pytest
from family_checks import check_frequencies, check_split, check_text
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.tasks import Question, family, words
from mrtlab.data.tasks.biographies import AGES, FIELDS, HELD_OUT_NAMES, HOBBIES, fields
from mrtlab.data.tasks.facts import COUNTRY_OF

LIVES = family("biographies")
WHOLE = Question("biographies", "Write a biography.", "random", ("", "nothing"))
FAIR = Question("biographies", "Write a biography by fair draws.", "uniform", ("", "nothing"))
MIRA = Question("biographies", "Continue: Name: Mira", "continue", ("Mira", "nothing"))
LIFE = f"Name: Mira\nGender: woman\nAge: 34\nHome: Arkos in {COUNTRY_OF['Arkos']}\nJob: baker\nHobby: chess"
N_LIVES = len(words.NAMES) * len(AGES) * len(words.CITIES) * len(words.JOBS) * len(HOBBIES)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), split=st.sampled_from(["train", "held_out"]))
def test_samples_are_valid_and_say_every_field(seed, split):
    rng = np.random.default_rng(seed)
    asked = LIVES.ask(rng=rng, split=split)
    given_name = asked.slots[0]
    expected = -np.log(N_LIVES / (len(words.NAMES) if given_name else 1))
    for answer in LIVES.sample(asked, 3, rng=rng) + LIVES.sample_taught(asked, 3, rng=rng):
        check_text(answer, lines=5 if given_name else 6)
        assert tuple(fields(answer)) == (FIELDS[1:] if given_name else FIELDS)
        assert LIVES.valid(asked, answer)
        assert np.isclose(LIVES.logp(asked, answer), expected)
        assert np.isfinite(LIVES.logp_taught(asked, answer))
        for wrong in (answer + "\n", " " + answer, answer.replace("Age", "age"), answer.rsplit("\n", 1)[0], ""):
            assert not LIVES.valid(asked, wrong)


def test_held_out_questions_have_a_new_wording_or_a_new_name():
    check_split(LIVES, n=400, new={"wording", "slot"})
    for split in ("train", "held_out"):
        for asked in LIVES.questions(300, rng=np.random.default_rng(2), split=split):
            assert (asked.slots[0] in HELD_OUT_NAMES) == (asked.slots[-1] == "slot")
            assert asked.slots[0] in asked.text


def test_a_biography_by_hand():
    assert fields(LIFE) == {
        "name": "Mira", "gender": "woman", "age": "34", "city": "Arkos", "country": COUNTRY_OF["Arkos"],
        "job": "baker", "hobby": "chess",
    }  # fmt: skip
    assert np.isclose(LIVES.logp(WHOLE, LIFE), -np.log(N_LIVES))
    rest = LIFE.split("\n", 1)[1]
    assert LIVES.valid(MIRA, rest)
    assert not LIVES.valid(MIRA, LIFE)
    assert not LIVES.valid(WHOLE, rest)


def test_logp_is_the_sum_over_the_fields():
    laws = LIVES.taught_field_laws(WHOLE)
    assert list(laws) == ["name", "age", "city", "job", "hobby"]
    said = fields(LIFE)
    parts = [law.logp[law.answers.index(said[field])] for field, law in laws.items()]
    assert np.isclose(LIVES.logp_taught(WHOLE, LIFE), sum(parts))
    rest = LIFE.split("\n", 1)[1]
    assert np.isclose(LIVES.logp_taught(MIRA, rest), sum(parts[1:]))
    assert np.isclose(LIVES.logp_taught(FAIR, LIFE), LIVES.logp(FAIR, LIFE))


def test_the_taught_law_sums_to_one():
    for question in (WHOLE, FAIR, MIRA):
        for law in LIVES.taught_field_laws(question).values():
            assert np.isclose(law.p.sum(), 1)
    assert all(law.p.max() > 5 / len(law.p) for law in LIVES.taught_field_laws(WHOLE).values())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("woman", "man"),
        ("Age: 34", "Age: 19"),
        ("Age: 34", "Age: 80"),
        (COUNTRY_OF["Arkos"], "Atlantis"),
        (COUNTRY_OF["Arkos"], next(c for c in words.COUNTRIES if c != COUNTRY_OF["Arkos"])),
        ("Arkos", "Paris"),
        ("baker", "king"),
        ("chess", ""),
        ("Mira", "Zorro"),
        ("Mira", "Tom"),
    ],
)
def test_wrong_biographies_are_refused(old, new):
    wrong = LIFE.replace(old, new)
    assert wrong != LIFE
    assert not LIVES.valid(WHOLE, wrong)
    assert LIVES.logp(WHOLE, wrong) == LIVES.logp_taught(WHOLE, wrong) == -np.inf


def test_another_gender_than_the_given_name_is_refused():
    rest = LIFE.split("\n", 1)[1]
    tom = Question("biographies", "Continue: Name: Tom", "continue", ("Tom", "nothing"))
    assert not LIVES.valid(tom, rest)
    assert LIVES.valid(tom, rest.replace("woman", "man"))


def test_the_laws_cannot_be_listed():
    for law in (LIVES.truth, LIVES.taught):
        with pytest.raises(
            TypeError, match=f"there are {N_LIVES:,} ".replace(",", " ") + "biographies, too many to list"
        ):
            law(WHOLE)


def test_fields_of_other_texts():
    with pytest.raises(ValueError, match="has the lines Name, Gender, Age, Home, Job and Hobby"):
        fields("Mira bakes bread.")


def test_sampling_follows_every_field_law():
    rng = np.random.default_rng(4)
    for draw, laws in ((LIVES.sample, LIVES.field_laws(WHOLE)), (LIVES.sample_taught, LIVES.taught_field_laws(WHOLE))):
        people = [fields(text) for text in draw(WHOLE, 3000, rng=rng)]
        for field, law in laws.items():
            check_frequencies([person[field] for person in people], law)
