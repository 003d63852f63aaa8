"""What the runs of chapter 6 are trained and examined on: callings of people in towns, with responses from a known law.

Everything is nested and depends on the seed alone: the first 512 prompts of a seed are the same whether a run takes
512 or 4096, and a prompt's first response is the same whether a run takes one or sixteen. So runs that differ in K are
compared prompt by prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from mrtlab.data.records import Record
from mrtlab.data.tasks import Question, words
from mrtlab.data.tasks.callings import Callings, judge

CALLINGS = Callings()
SHOWN = (
    ("Mira", "Dovra", "Friday"),
    ("Omar", "Quill", "Sunday"),
)  # in every training set, so that lots can be compared
UNSEEN = (("Clara", "Lorne", "Tuesday"), ("Hugo", "Sarn", "Saturday"))  # in none
N_VALIDATION, N_TEST = 16, 32
SCORE_NOISE = 0.1  # sd, of one score for one response
_WHO = tuple(who for who in product(words.NAMES, words.CITIES, words.DAYS) if who not in (*SHOWN, *UNSEEN))


@dataclass(frozen=True)
class Exam:
    """Questions that no training set has, with their truths.

    Attributes:
        validation: decide which checkpoint is kept.
        test: measure it. One half is worded as in training, the other in held-out wordings.
        portraits: `SHOWN` and `UNSEEN`, in one wording.
        power: what the truth is sharpened by, see `law`.
    """

    validation: tuple[Question, ...]
    test: tuple[Question, ...]
    portraits: tuple[Question, ...]
    power: float = 1.0

    def truths(self, questions: Sequence[Question]) -> Float[np.ndarray, "questions jobs"]:
        """The truth of each of these questions over `words.JOBS`."""
        return np.array([law(question, power=self.power) for question in questions])


def exam(seed: int, *, short: bool = False, power: float = 1.0) -> Exam:
    """The exam of a seed, or a short one to see that everything works; the portraits are the same for all."""
    who = _people(seed)[::-1][: N_VALIDATION + N_TEST]
    questions = [_ask(one, np.random.default_rng([61, seed, i]), held_out=i % 2 == 1) for i, one in enumerate(who)]
    portraits = [_ask(one, np.random.default_rng([62, i])) for i, one in enumerate((*SHOWN, *UNSEEN))]
    until = N_VALIDATION + (4 if short else N_TEST)
    return Exam(
        tuple(questions[: 4 if short else N_VALIDATION]),
        tuple(questions[N_VALIDATION:until]),
        tuple(portraits),
        power,
    )


def prompts(n: int, *, seed: int) -> list[Question]:
    """n training questions about different people, towns and days; the first two are `SHOWN`.

    Raises:
        ValueError: there are not so many.
    """
    most = len(_WHO) - N_VALIDATION - N_TEST + len(SHOWN)
    if n > most:
        raise ValueError(f"there are {most} training prompts, {n} were asked for")
    portraits = exam(seed).portraits[: len(SHOWN)]
    who = _people(seed)[: n - len(portraits)]
    return [*portraits, *(_ask(one, np.random.default_rng([63, seed, i])) for i, one in enumerate(who))][:n]


def responses(question: Question, n: int, *, seed: int, place: int, power: float = 1.0) -> list[str]:
    """n draws from `law`.

    Args:
        question: what was asked.
        n: how many; the first of many are those of few.
        seed: of the run.
        place: of the prompt among the prompts.
        power: of the law.
    """
    p = law(question, power=power)
    at = np.random.default_rng([64, seed, place]).random(n)
    return [words.JOBS[i] for i in np.minimum(np.searchsorted(np.cumsum(p), at), len(words.JOBS) - 1)]


def law(question: Question, *, power: float = 1.0) -> Float[np.ndarray, "jobs"]:
    """The truth over `words.JOBS`, sharpened: p^power scaled to sum to 1. Above 1 what is common gets commoner."""
    sharpened = CALLINGS.truth(question).p ** power
    return sharpened / sharpened.sum()


def scored(question: Question, n: int, *, seed: int, place: int, power: float = 1.0) -> Record:
    """n candidates with the scores of judge 0, who is not quite sure of anything."""
    drawn = responses(question, n, seed=seed, place=place, power=power)
    noise = np.random.default_rng([65, seed, place]).normal(0, SCORE_NOISE, n)
    return Record.of(question.text, drawn, scores=(judge(drawn) + noise).tolist())


def singles(asked: Sequence[Question], k: int, *, seed: int, power: float = 1.0) -> list[Record]:
    """Every pair of a prompt and one of its first k responses as a record of its own, to be shuffled."""
    return [
        Record.of(question.text, [response])
        for place, question in enumerate(asked)
        for response in responses(question, k, seed=seed, place=place, power=power)
    ]


def groups(asked: Sequence[Question], k: int, *, seed: int) -> list[Record]:
    """Every prompt with its first k responses as one record."""
    return [
        Record.of(question.text, responses(question, k, seed=seed, place=place)) for place, question in enumerate(asked)
    ]


def _people(seed: int) -> list[tuple[str, str, str]]:
    return [_WHO[i] for i in np.random.default_rng([60, seed]).permutation(len(_WHO))]


def _ask(who: tuple[str, str, str], rng: np.random.Generator, *, held_out: bool = False) -> Question:
    return CALLINGS.about(*who, rng=rng, split="held_out" if held_out else "train")
