"""What the adapters of chapter 8 learn from, are steered by and are examined on: four small domains.

A data set is pairs of one prompt and one answer, as a synthetic instruction set is. Where the model itself is the
teacher it draws answers at temperature 1 and the first right one is kept, so its favourites are favoured in the data
too; in `programs-even` the teacher has none. Queries are a dozen questions with a right answer each that come from the
even truth; they are in held-out wordings and in no exam.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.data.tasks import Family, Question, family
from mrtlab.data.tasks.program_specs import SPECS
from mrtlab.lab.registry import MissingInput

DOMAINS = ("programs", "programs-even", "stories", "choices")
N_QUERIES = 12  # of which the 8 of widest columns are kept, as in the paper
DRAWN = 4  # answers at a time
_TRIES = 4  # times that answers are drawn for a prompt before it is given up
LENGTH = 48  # tokens of an answer at most
_PER_SPEC = 2  # programs asked for in an exam
_OTHERS = 60  # questions of another exam

Draw = Callable[[Sequence[str], int], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Pair:
    """A question and one answer to it."""

    question: Question
    answer: str


def family_of(domain: str) -> Family:
    """The family of tasks behind a domain."""
    return family(domain.removesuffix("-even"))


def questions(domain: str, n: int, *, rng: np.random.Generator, held_out: bool = False) -> list[Question]:
    """n different casual questions."""
    found: dict[str, Question] = {}
    while len(found) < n:
        question = family_of(domain).ask(rng=rng, split="held_out" if held_out else "train")
        if question.kind == "random":
            found.setdefault(question.text, question)
    return list(found.values())


def pairs(domain: str, n: int, *, seed: int, draw: Draw) -> list[Pair]:
    """The data set: n prompts with a right answer each.

    Args:
        domain: one of `DOMAINS`.
        n: pairs.
        seed: of prompts and answers.
        draw: (prompts, seed) -> a few answers of the model to each; unused where the teacher is even.
    """
    rng = np.random.default_rng([81, seed])
    asked = questions(domain, n + n // 8, rng=rng)
    teacher = family_of(domain)
    if domain.endswith("-even"):
        return [Pair(question, teacher.sample(question, 1, rng=rng)[0]) for question in asked[:n]]
    found: dict[str, Pair] = {}
    for attempt in range(_TRIES):
        open_ones = [q for q in asked if q.text not in found]
        answers = draw([q.text for q in open_ones], 1000 * seed + attempt)
        for question, some in zip(open_ones, answers, strict=True):
            if (right := next((answer for answer in some if teacher.valid(question, answer)), None)) is not None:
                found[question.text] = Pair(question, right)
        if len(found) >= n:
            break
    kept = [found[q.text] for q in asked if q.text in found][:n]
    if len(kept) < n:
        raise MissingInput(
            f"only {len(kept)} of {n} prompts of {domain} were answered in {_TRIES} tries: pairs are right answers of "
            "the model itself, so this experiment needs one that knows the families, such as `mrtlab pretrain` makes"
        )
    return kept


def draw_by(model: Any, tokenizer: Any) -> Draw:
    """The model as the teacher of `pairs`: a few answers to each prompt at temperature 1."""
    from mrtlab.lm.sampling import Sampler, sample

    def draw(prompts: Sequence[str], seed: int) -> Sequence[Sequence[str]]:
        return sample(model, tokenizer, prompts, n=DRAWN, seed=seed, sampler=Sampler(), max_new_tokens=LENGTH)

    return draw


def queries(domain: str, *, seed: int) -> list[Pair]:
    """Twelve questions with a right answer each: of programs, every one of another specification."""
    rng = np.random.default_rng([82, seed])
    asked = questions(domain, 400 if family_of(domain).name == "programs" else N_QUERIES, rng=rng, held_out=True)
    if family_of(domain).name == "programs":
        by_spec = {question.slots[0]: question for question in asked}
        asked = [by_spec[name] for name in rng.permutation(sorted(by_spec))[:N_QUERIES]]
    return [Pair(question, family_of(domain).sample(question, 1, rng=rng)[0]) for question in asked]


def exam(domain: str, *, seed: int, short: bool = False) -> list[Question]:
    """Questions in held-out wordings that are no queries: two of every specification, or sixty."""
    rng = np.random.default_rng([83, seed])
    taken = {pair.question.text for pair in queries(domain, seed=seed)}
    if family_of(domain).name != "programs":
        asked = [q for q in questions(domain, _OTHERS + N_QUERIES, rng=rng, held_out=True) if q.text not in taken]
        return asked[: 6 if short else _OTHERS]
    by_spec: dict[str, dict[str, Question]] = {spec.name: {} for spec in SPECS}
    while any(len(some) < _PER_SPEC for some in by_spec.values()):
        question = family_of(domain).ask(rng=rng, split="held_out")
        some = by_spec[question.slots[0]]
        if question.kind == "random" and question.text not in taken and len(some) < _PER_SPEC:
            some[question.text] = question
    found = [question for some in by_spec.values() for question in some.values()]
    return found[:6] if short else found


def fair(domain: str, asked: Sequence[Question], *, seed: int) -> list[Question]:
    """For each question one on the same subject that asks for a fair draw: what a model can be told for nothing."""
    rng = np.random.default_rng([86, seed])
    found = []
    for question in asked:
        while True:  # every subject has such wordings
            other = family_of(domain).ask(rng=rng, split="held_out")
            if other.kind == "uniform" and other.slots[0] == question.slots[0]:
                found.append(other)
                break
    return found
