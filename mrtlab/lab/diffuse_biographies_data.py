"""Chapter 7's biographies: beginnings of lives that are balanced by design, how to ask for them, and how to read them.

A beginning holds the lines Name, Gender, Age and Home. Jobs and hobbies are never taught.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from mrtlab.data.targets import Target
from mrtlab.data.tasks import Question, family, words
from mrtlab.data.tasks.biographies import AGES, HOBBIES
from mrtlab.data.tasks.core import Split
from mrtlab.data.tasks.facts import COUNTRY_OF

FIELDS = ("name", "gender", "age", "city", "job", "hobby")
TAUGHT = FIELDS[:4]
GENDERS = ("woman", "man")
VALUES: dict[str, tuple[str, ...]] = {
    "name": words.NAMES,
    "gender": GENDERS,
    "age": tuple(str(age) for age in AGES),
    "city": words.CITIES,
    "job": words.JOBS,
    "hobby": HOBBIES,
}
CITIES_OF = {country: tuple(c for c in words.CITIES if COUNTRY_OF[c] == country) for country in words.COUNTRIES}
WORDINGS = 2  # in which beginnings are taught
N_BEGINNINGS = 120  # for each wording: the least number that 40 names, 60 ages and 40 cities divide
# The uneven target: three women to one man, and one half of the countries twice as often as the other.
TILTED_GENDER = {"woman": 3.0, "man": 1.0}
TILTED_COUNTRY = {country: 2.0 if i % 2 == 0 else 1.0 for i, country in enumerate(words.COUNTRIES)}
_LINES = {"name": "Name: ", "gender": "Gender: ", "age": "Age: ", "city": "Home: ", "job": "Job: ", "hobby": "Hobby: "}

Person = tuple[str, str, str, str]  # name, gender, age, city


def people(*, rng: np.random.Generator) -> list[Person]:
    """120 beginnings: each name three times, each age twice, each city three times, as many women as men in every
    country, and every age once for a woman and once for a man. Who gets which is drawn.
    """
    found: list[Person] = []
    homes = {gender: _homes(more_in_first=gender == "woman") for gender in GENDERS}
    for gender, names in zip(GENDERS, (words.WOMEN, words.MEN), strict=True):
        name = rng.permutation(np.repeat(names, len(homes[gender]) // len(names)))
        age = rng.permutation(VALUES["age"])
        city = rng.permutation(homes[gender])
        found += [(str(n), gender, str(a), str(c)) for n, a, c in zip(name, age, city, strict=True)]
    return found


def _homes(*, more_in_first: bool) -> list[str]:
    """60 cities for one gender, three in each country: two in one of its cities and one in the other, taking turns."""
    found = []
    for i, (one, other) in enumerate(CITIES_OF.values()):
        twice, once = (one, other) if (i % 2 == 0) == more_in_first else (other, one)
        found += [twice, twice, once]
    return found


def beginnings(seed: int, *, tilted: bool = False) -> list[Target]:
    """What is taught: in each wording 120 beginnings of its own, open at the end, all as likely or tilted."""
    targets = []
    for i, prompt in enumerate(asked(seed)["taught"]):
        some = people(rng=np.random.default_rng([20, seed, i]))
        weights = [TILTED_GENDER[p[1]] * TILTED_COUNTRY[COUNTRY_OF[p[3]]] if tilted else 1.0 for p in some]
        targets.append(Target.of(prompt, [text_of(p) for p in some], weights=weights, family="biographies", end=False))
    return targets


def text_of(values: Sequence[str]) -> str:
    """The first lines of a biography, one for each value, in the order of `FIELDS`.

    >>> text_of(["Anna", "woman"])
    'Name: Anna\\nGender: woman'
    """
    return "\n".join(line(field, value) for field, value in zip(FIELDS, values, strict=False))


def line(field: str, value: str) -> str:
    """A whole line.

    >>> line("age", "34")
    'Age: 34'
    """
    return beginning_of(field, value) + (f" in {COUNTRY_OF[value]}" if field == "city" else "")


def beginning_of(field: str, value: str) -> str:
    """A line up to where its value is settled: a home up to its city, from which the country follows."""
    return _LINES[field] + value


def read(text: str) -> list[str]:
    """Values of a biography's lines, in the order of `FIELDS`, up to the first line that is not one.

    >>> read("Name: Anna\\nGender: woman\\nAge: 200")
    ['Anna', 'woman']
    """
    found: list[str] = []
    for field, said in zip(FIELDS, text.strip().split("\n"), strict=False):
        value = said[len(_LINES[field]) :].split(" in ")[0]
        if value not in VALUES[field] or line(field, value) != said:
            break
        found.append(value)
    return found


def whole(text: str) -> bool:
    """Whether a text has six lines that can be read, and no more, and the gender goes with the name."""
    return family("biographies").valid(Question("biographies", "", "random", ("", "nothing")), text.strip())


def asked(seed: int) -> dict[str, list[str]]:
    """Prompts: taught (casual), new (casual, held out of pre-training as well), fair (wordings that ask for chance).

    Held-out wordings that speak of no life, such as "I need a person for my novel.", are left out: the model answers
    them with something else, before training as after.
    """
    rng = np.random.default_rng([21, seed])
    return {
        "taught": _prompts("random", "train", rng=rng),
        "new": _prompts("random", "held_out", rng=rng),
        "fair": _prompts("uniform", "train", rng=rng),
    }


def _prompts(kind: str, split: Split, *, rng: np.random.Generator) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < WORDINGS:
        question = family("biographies").ask(rng=rng, split=split)
        if question.kind == kind and re.search(r"\b(life|biography)\b", question.text):
            found[question.text] = None
    return list(found)


def parity_target(*, tilted: bool) -> dict[str, np.ndarray]:
    """The stated target of parity: laws of gender, of country, and of both, which are independent.

    Returns:
        gender (2,), country (20,), both (2, 20), in the order of `GENDERS` and of the list of countries.
    """

    def law(weights: Mapping[str, float]) -> np.ndarray:
        values = np.array([w if tilted else 1.0 for w in weights.values()])
        return values / values.sum()

    gender, country = law(TILTED_GENDER), law(TILTED_COUNTRY)
    return {"gender": gender, "country": country, "both": np.outer(gender, country)}


def truth(n: int, *, seed: int) -> list[str]:
    """n biographies with every field even."""
    question = Question("biographies", "", "random", ("", "nothing"))
    return family("biographies").sample(question, n, rng=np.random.default_rng([22, seed]))
