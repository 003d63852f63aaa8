"""Families of questions whose right answers, and how often each should come, are known exactly.

>>> import numpy as np
>>> from mrtlab.data.tasks import family
>>> family("fruits").truth(family("fruits").questions(1, rng=np.random.default_rng(0))[0]).p[:2]
array([0.05, 0.05])
"""

from mrtlab.data.tasks.biographies import Biographies
from mrtlab.data.tasks.choices import Choices
from mrtlab.data.tasks.core import Family, Law, Question, Split
from mrtlab.data.tasks.dates import Dates
from mrtlab.data.tasks.facts import Facts
from mrtlab.data.tasks.numbers import Numbers
from mrtlab.data.tasks.pick import PICKS
from mrtlab.data.tasks.programs import Programs
from mrtlab.data.tasks.stories import Stories

FAMILIES: dict[str, Family] = {
    found.name: found
    for found in (*PICKS, Numbers(), Dates(), Choices(), Biographies(), Facts(), Stories(), Programs())
}

__all__ = ["FAMILIES", "Family", "Law", "Question", "Split", "family"]


def family(name: str) -> Family:
    """A family by name.

    Raises:
        ValueError: there is none of that name; the message lists them.
    """
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}: choose from {', '.join(FAMILIES)}")
    return FAMILIES[name]
