"""Callings: which job someone has, in a town and on a day. The world of chapter 6, which the embedded model never met.

The model knows the jobs, names, towns and days one by one. What it cannot know is which job goes with which town and
day: that is to be learned from prompts with responses, and because the law is known, what was learned can be measured.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
from jaxtyping import Float

from mrtlab.data.tasks import words
from mrtlab.data.tasks.composed import capitalised, one_of
from mrtlab.data.tasks.core import Family, Law, Question, Split, favourite_order

TRADES = {
    "hands": ("farmer", "baker", "builder", "tailor", "plumber", "gardener"),
    "words": ("teacher", "lawyer", "writer", "judge", "librarian", "actor"),
    "care": ("nurse", "doctor", "dentist", "chemist", "cook", "singer"),
    "ways": ("pilot", "driver", "sailor", "miner", "mechanic", "painter"),
}
"""Jobs that belong together: what a judge likes is a trade."""

N_TOWN_KINDS = 6  # hidden: a prompt names the town, never its kind
_TOWN_SHARE = 0.6  # of the law; the rest comes from the day
_EXPONENT = 1.5
_LIKED = (1.0, 0.5, 0.25, 0.0)  # how much a judge likes each trade, in its own order
_QUIRK = 0.1  # sd of what a judge thinks of single jobs beyond their trade

_OPENINGS = ("", "OK. ", "hello. ", "a game. ")
_SCENES = (
    "{day}, {town}, {name}",
    "{day} in {town}, {name}",
    "it is {day} in {town}. {name}",
    "{day}. {name} of {town}",
)
_LINKS = (": ", " asks: ", " says: ")
_VERBS = ("name a job", "pick a job", "give me a job", "suggest a job", "think of a job", "choose a job")
_CLOSINGS = (".", ", just one.", ". One answer only.", "")
_SIZES = tuple(map(len, (_OPENINGS, _SCENES, _LINKS, _VERBS, _CLOSINGS)))
_HELD_OUT_EVERY = 7
Parts = tuple[int, ...]


class Callings(Family):
    """One of 24 jobs.

    Truth: 0.6 of a Zipf law that belongs to the kind of the town, 0.4 of one that belongs to the day. Six kinds of
    towns and seven days make 42 laws; the person's name tells nothing. Taught: nothing, the family is in no corpus.

    Slots: the name, the town, the day, and what is new: "nothing" or "wording".

    Held out: a seventh of the wordings. Whether a combination of name, town and day is new is up to whoever draws.

    >>> question = Callings().ask(rng=np.random.default_rng(0))
    >>> Callings().truth(question).p.sum().round(9)
    np.float64(1.0)
    """

    name = "callings"

    def ask(self, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A question about anyone, anywhere, on any day."""
        who = one_of(words.NAMES, rng=rng), one_of(words.CITIES, rng=rng), one_of(words.DAYS, rng=rng)
        return self.about(*who, rng=rng, split=split)

    def about(self, name: str, town: str, day: str, *, rng: np.random.Generator, split: Split = "train") -> Question:
        """A question about this person, town and day, in a wording that is drawn."""
        return _question(one_of(_wordings(split), rng=rng), name, town, day)

    def truth(self, question: Question) -> Law:
        """The law of the town and the day."""
        return Law.of(words.JOBS, _laws()[_town_kind(question.slots[1]), words.DAYS.index(question.slots[2])])

    def paraphrases(
        self,
        name: str,
        town: str,
        day: str,
        *,
        n: int,
        redundancy: float,
        rng: np.random.Generator,
        split: Split = "train",
    ) -> list[Question]:
        """n questions about the same person, town and day, around a wording drawn first.

        Each of a wording's five parts is the centre's with probability `redundancy`, and otherwise one of its other
        options. At 1 all prompts are word-identical; at 0 none shares a part with the centre.

        Args:
            name, town, day: what all of them are about.
            n: prompts in the cluster.
            redundancy: 0 to 1.
            rng: decides on the wordings.
            split: from which side; combinations of the other side are drawn again.

        Raises:
            ValueError: redundancy is outside 0 to 1.

        >>> rng = np.random.default_rng(0)
        >>> cluster = Callings().paraphrases("Anna", "Arkos", "Monday", n=3, redundancy=1.0, rng=rng)
        >>> len({question.text for question in cluster})
        1
        """
        if not 0 <= redundancy <= 1:
            raise ValueError(f"redundancy must be between 0 and 1, got {redundancy}")
        centre = one_of(_wordings(split), rng=rng)
        cluster: list[Question] = []
        while len(cluster) < n:
            parts = tuple(
                part if rng.random() < redundancy else int((part + rng.integers(1, size)) % size)
                for part, size in zip(centre, _SIZES, strict=True)
            )
            if _side(parts) == split:
                cluster.append(_question(parts, name, town, day))
        return cluster


def judge(answers: Sequence[str], *, seed: int = 0) -> Float[np.ndarray, "answers"]:
    """What a judge thinks of jobs: one trade is liked best, and single jobs a little more or less than their trade.

    Judges of all seeds like the trades in the same order, and differ in single jobs. So one can choose and another
    score, and what they agree on is the trade.

    Args:
        answers: jobs.
        seed: which judge.

    Raises:
        ValueError: an answer is no job.

    >>> bool(judge(["farmer"])[0] > judge(["pilot"])[0])
    True
    """
    liking = {job: like for jobs, like in zip(TRADES.values(), _LIKED, strict=True) for job in jobs}
    unknown = [answer for answer in answers if answer not in liking]
    if unknown:
        raise ValueError(f"not a job: {unknown[0]!r}")
    quirk = dict(zip(liking, np.random.default_rng([7, seed]).normal(0, _QUIRK, len(liking)), strict=True))
    return np.array([liking[answer] + quirk[answer] for answer in answers])


@cache
def _laws() -> Float[np.ndarray, "kinds days jobs"]:
    """p(job | kind of town, day)."""

    def zipf(label: str) -> np.ndarray:
        rank = np.empty(len(words.JOBS))
        rank[favourite_order(len(words.JOBS), name=label)] = np.arange(1, len(words.JOBS) + 1)
        return rank**-_EXPONENT / np.sum(rank**-_EXPONENT)

    towns = np.array([zipf(f"callings, towns of kind {kind}") for kind in range(N_TOWN_KINDS)])
    days = np.array([zipf(f"callings, {day}") for day in words.DAYS])
    return _TOWN_SHARE * towns[:, None] + (1 - _TOWN_SHARE) * days


def _town_kind(town: str) -> int:
    """Which kind a town is: a fixed shuffle dealt out in turn."""
    order = favourite_order(len(words.CITIES), name="callings, towns")
    return int(np.flatnonzero(order == words.CITIES.index(town))[0]) % N_TOWN_KINDS


def _question(parts: Parts, name: str, town: str, day: str) -> Question:
    opening, scene, link, verb, closing = (
        options[i] for options, i in zip((_OPENINGS, _SCENES, _LINKS, _VERBS, _CLOSINGS), parts, strict=True)
    )
    text = f"{opening}{scene.format(name=name, town=town, day=day)}{link}{verb}{closing}"
    new = "wording" if _side(parts) == "held_out" else "nothing"
    return Question("callings", capitalised(text), "random", (name, town, day, new))


@cache
def _wordings(split: Split) -> tuple[Parts, ...]:
    """Every way to put the question, on one side of the split."""
    return tuple(parts for parts in product(*map(range, _SIZES)) if _side(parts) == split)


def _side(parts: Parts) -> Split:
    place = int(np.ravel_multi_index(parts, _SIZES))
    return "held_out" if (31 * place + place // 24) % _HELD_OUT_EVERY == 0 else "train"
