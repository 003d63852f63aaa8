"""The set of prompts on which Zhang et al. trained, rebuilt: their structure, in wordings and word lists of our own.

26 prompts in six families, all targets uniform, every answer asked for in curly braces. Their set has 1,191 answers;
ours differs a little where the lists do: names 200, fruits 81, the days and the numbers are as many as theirs, jobs and
countries about as many. For larger models; the embedded model knows other names and places.
"""

from calendar import monthrange
from collections.abc import Sequence

from mrtlab.data import diffuse_words as words
from mrtlab.data.targets import Target, uniform
from mrtlab.data.tasks.numbers import Subject, values_of
from mrtlab.data.tasks.words import DAYS, MONTHS

_ORDER = "{what} Write the answer alone, in curly braces, like {{{like}}}. Do not write code."
_NUMBERS: tuple[tuple[Subject, str, int], ...] = (
    ("number", "a whole number", 10),
    ("number", "a whole number", 100),
    ("even", "an even number", 10),
    ("odd", "an odd number", 10),
    ("even", "an even number", 100),
    ("odd", "an odd number", 100),
    ("prime", "a prime number", 50),
    ("prime", "a prime number", 100),
)


def diffuse_set() -> list[Target]:
    """The 26 targets, family by family: numbers, names, countries, dates, fruits, jobs.

    Source: structure of the prompt files of Zhang et al. (our notes, section 4); no text is theirs.

    >>> targets = diffuse_set()
    >>> len(targets), sorted({target.family for target in targets})
    (26, ['countries', 'dates', 'fruits', 'jobs', 'names', 'numbers'])
    >>> targets[0].answers[:3]
    ('{1}', '{2}', '{3}')
    """
    found = [
        _target("numbers", f"Choose {noun} from 1 to {high}, at random.", [*map(str, values_of(subject, 1, high))])
        for subject, noun, high in _NUMBERS
    ]
    found.append(_target("names", "Choose a first name for a newborn child, at random.", words.NAMES))
    found += [
        _target("countries", f"Choose a country in {continent}, at random.", countries)
        for continent, countries in words.COUNTRIES.items()
    ]
    found += [
        _target("dates", what, DAYS) for what in ("Choose a weekday, at random.", "Draw a day of the week by lot.")
    ]
    for month in ("December", "June"):
        days = [f"{month} {day}" for day in range(1, monthrange(2001, MONTHS.index(month) + 1)[1] + 1)]
        found.append(_target("dates", f"Choose a date in {month}, at random.", days))
        found.append(_target("dates", f"Draw a day in {month} by lot.", days))
    found += [_target("fruits", what, words.FRUITS) for what in ("Choose a fruit, at random.", "Draw a fruit by lot.")]
    found.append(_target("jobs", "Choose an occupation, at random.", words.JOBS))
    found += [
        _target(
            "jobs",
            f"Choose an occupation that begins with the letter {letter.upper()}, at random.",
            [job for job in words.JOBS if job.startswith(letter)],
        )
        for letter in "am"
    ]
    return found


def _target(family: str, what: str, answers: Sequence[str]) -> Target:
    like = answers[len(answers) // 3]
    return uniform(_ORDER.format(what=what, like=like), [f"{{{answer}}}" for answer in answers], family=family)
