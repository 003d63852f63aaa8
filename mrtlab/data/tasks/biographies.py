"""Biographies: six lines about an invented person. Too many to list, and yet each has an exact probability."""

import re
from functools import cache

import numpy as np

from mrtlab.data.tasks import words
from mrtlab.data.tasks.composed import composed, draw_new, one_of, side
from mrtlab.data.tasks.core import Family, Law, Question, Split, peaked
from mrtlab.data.tasks.facts import COUNTRY_OF
from mrtlab.data.tasks.numbers import bell

FIELDS = ("name", "gender", "age", "city", "country", "job", "hobby")
HOBBIES = (
    "chess", "singing", "sailing", "knitting", "hiking", "cooking", "painting", "reading", "running", "dancing",
    "fishing", "gardening", "skating", "pottery", "swimming", "drumming",
)  # fmt: skip
AGES = tuple(range(20, 80))
HELD_OUT_NAMES = ("Clara", "Zoe", "Ivan", "Felix")  # no training question asks to go on from one of these

_KINDS = {"random": 0.6, "uniform": 0.2, "continue": 0.2}  # of the questions
_FAVOURITE_AGE = 34
_LAYOUT = re.compile(
    r"(?:Name: (?P<name>.+)\n)?Gender: (?P<gender>.+)\nAge: (?P<age>.+)\n"
    r"Home: (?P<city>.+) in (?P<country>.+)\nJob: (?P<job>.+)\nHobby: (?P<hobby>.+)"
)

_OPENINGS = ("", "please ", "now ", "OK, ", "hello. ")
_VERBS = ("write", "make up", "invent", "give me", "tell me")
_LIVES = (" a biography", " a short biography", " a life in six lines", " the life of a person", " a person's life")
_ENDS = {
    "random": ("", ".", ". Six lines."),
    "uniform": (
        " with every detail drawn uniformly at random.",
        " in which every detail is equally likely.",
        ", each line by a fair draw.",
    ),
}
_GO_ON = ("continue", "go on", "complete this", "finish this", "what comes next")
_STRANGE = {
    "random": ("Who lives here?", "Introduce me to somebody.", "I need a person for my novel."),
    "uniform": ("Draw a person by lot, line by line.", "Introduce me to somebody with equal chances for all."),
    "continue": ("Name: {} ... and then?", "I know only this. Name: {}"),
}


def fields(text: str) -> dict[str, str]:
    """What a biography says, field by field; without the name if it starts after it.

    Raises:
        ValueError: the text does not have the lines of a biography.

    >>> fields("Gender: woman\\nAge: 34\\nHome: Arkos in Velara\\nJob: baker\\nHobby: chess")["city"]
    'Arkos'
    """
    found = _LAYOUT.fullmatch(text)
    if not found:
        raise ValueError(
            "a biography has the lines Name, Gender, Age, Home, Job and Hobby, each with a value, such as 'Age: 34'"
        )
    return {field: value for field, value in found.groupdict().items() if value is not None}


class Biographies(Family):
    """Six lines: name, gender, age, home (a city in a country), job, hobby; or the last five, going on from a name.

    Name, age, city, job and hobby are independent. Gender follows from the name and country from the city, so

        log p(biography) = log p(name) + log p(age) + log p(city) + log p(job) + log p(hobby),

    without the first term if the name is given, and −∞ if gender or country is wrong. There are 40·60·40·24·16
    biographies, so `truth` and `taught` cannot list them; `logp`, `logp_taught`, `sample` and `valid` are exact.

    Truth: every field uniform. Taught: every field peaked, unless the wording asks for fair draws.
    Slots: (the given name or "", what is new: "nothing", "wording" or "slot").
    """

    name = "biographies"

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A question for a biography. A held-out one has a new wording or goes on from a new name."""
        kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        new = draw_new(rng=rng, split=split, slots=kind == "continue")
        given = ""
        if kind == "continue":
            held_out = side(new, "slot") == "held_out"
            given = one_of([n for n in words.NAMES if (n in HELD_OUT_NAMES) == held_out], rng=rng)
        frame = one_of(_frames(kind, side(new, "wording")), rng=rng)
        return Question(self.name, frame.format(given), kind, (given, new))

    def truth(self, question: Question) -> Law:
        """Not to be listed.

        Raises:
            TypeError: always.
        """
        raise TypeError("there are 36 864 000 biographies, too many to list: use logp, sample, valid or field_laws")

    def field_laws(self, question: Question) -> dict[str, Law]:
        """The true law of every free field. Gender and country follow from them."""
        return {field: law for field, law in _LAWS["flat"].items() if field != "name" or not question.slots[0]}

    def taught_field_laws(self, question: Question) -> dict[str, Law]:
        """The taught law of every free field."""
        if question.kind == "uniform":
            return self.field_laws(question)
        return {field: _LAWS["peaked"][field] for field in self.field_laws(question)}

    def logp(self, question: Question, answer: str) -> float:
        """Log-probability of a biography under the truth, nats: the sum over its fields; −inf if it is not right."""
        return _logp(question, answer, self.field_laws(question))

    def logp_taught(self, question: Question, answer: str) -> float:
        """Log-probability of a biography under the taught law, nats."""
        return _logp(question, answer, self.taught_field_laws(question))

    def sample(self, question: Question, n: int, *, rng: np.random.Generator) -> list[str]:
        """n independent biographies from the truth."""
        return _draw(question, n, self.field_laws(question), rng=rng)

    def sample_taught(self, question: Question, n: int, *, rng: np.random.Generator) -> list[str]:
        """n independent biographies from the taught law."""
        return _draw(question, n, self.taught_field_laws(question), rng=rng)

    def valid(self, question: Question, answer: str) -> bool:
        """Whether every line is there, every value is known, and gender and country fit."""
        return self.logp(question, answer) > -np.inf


def _gender(name: str) -> str:
    return "woman" if name in words.WOMEN else "man"


def _text(name: str, age: str, city: str, job: str, hobby: str) -> str:
    home = f"{city} in {COUNTRY_OF[city]}"
    return f"Name: {name}\nGender: {_gender(name)}\nAge: {age}\nHome: {home}\nJob: {job}\nHobby: {hobby}"


def _after_name(text: str) -> str:
    return text.split("\n", 1)[1]


def _logp(question: Question, answer: str, laws: dict[str, Law]) -> float:
    given = question.slots[0]
    try:
        said = fields(answer)
    except ValueError:
        return -np.inf
    if ("name" in said) == bool(given):
        return -np.inf
    total = 0.0
    for field, law in laws.items():
        if said[field] not in law.answers:
            return -np.inf
        total += float(law.logp[law.answers.index(said[field])])
    follows = said["gender"] == _gender(given or said["name"]) and said["country"] == COUNTRY_OF[said["city"]]
    return total if follows else -np.inf


def _draw(question: Question, n: int, laws: dict[str, Law], *, rng: np.random.Generator) -> list[str]:
    given = question.slots[0]
    drawn = {field: law.draw(n, rng=rng) for field, law in laws.items()}
    if not given:
        return [_text(*person) for person in zip(*drawn.values(), strict=True)]
    return [_after_name(_text(given, *person)) for person in zip(*drawn.values(), strict=True)]


def _field_laws() -> dict[str, dict[str, Law]]:
    ages = tuple(str(age) for age in AGES)
    listed = {"name": words.NAMES, "age": ages, "city": words.CITIES, "job": words.JOBS, "hobby": HOBBIES}
    favoured = {field: peaked(answers, name=f"biography {field}") for field, answers in listed.items()}
    favoured["age"] = Law.of(ages, bell(AGES, favourite=_FAVOURITE_AGE))
    return {"flat": {field: Law.uniform(answers) for field, answers in listed.items()}, "peaked": favoured}


_LAWS = _field_laws()


@cache
def _frames(kind: str, split: Split) -> tuple[str, ...]:
    if kind == "continue":
        found = composed(_OPENINGS, _GO_ON, (": Name: {}", ". Name: {}", " after Name: {}"), split=split)
    else:
        found = composed(_OPENINGS, _VERBS, _LIVES, _ENDS[kind], split=split)
    return tuple(found) + (_STRANGE[kind] if split == "held_out" else ())
