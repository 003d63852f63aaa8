"""Chapter 7's questions: what is taught to be even, and what is asked to see how far that reaches.

A seed decides which four of six families are taught, and every wording and range. All laws are exact and known.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from mrtlab.data.targets import Anchor, Target, target_of, uniform
from mrtlab.data.tasks import Question, family
from mrtlab.data.tasks.core import Split
from mrtlab.data.tasks.pick import NEVER_FLAT, PICKS
from mrtlab.data.tasks.wordings import draw_wording

FLAT = tuple(pick.name for pick in PICKS if pick.flat)
N_TAUGHT = 4  # families
_N_FACTS = 80
_ZIPF = 1.0
_SMALL, _WIDE = (1, 10), (1, 30)
_SHIFTED = ((51, 60), (71, 90))

Groups = dict[str, list[Target]]


def families(seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Families that are taught, and families with a flat side that are not.

    >>> len(families(0)[0]), len(families(0)[1])
    (4, 2)
    """
    order = np.random.default_rng([7, seed]).permutation(len(FLAT))
    names = [FLAT[i] for i in order]
    return tuple(names[:N_TAUGHT]), tuple(names[N_TAUGHT:])


def mixed(seed: int) -> list[Target]:
    """Four families in two wordings each and numbers in three ranges: 11 prompts, all even."""
    rng = np.random.default_rng([8, seed])
    found = [target for name in families(seed)[0] for target in _ask(name, 2, rng=rng)]
    return found + _ask("numbers", 3, rng=rng, fits=_plain_number)


def exam(seed: int) -> Groups:
    """Prompts that are only asked, group by group; none of them is taught.

    Groups: wordings_seen and wordings_new (of the taught families; the former in wordings of pre-training),
    families (the two others), never_flat (families that never had a flat side), ranges and ranges_new, parity (even,
    odd, prime, dice), dates, letters and likert (places of multiple choice and of a scale).
    """
    rng = np.random.default_rng([9, seed])
    taught, others = families(seed)
    known = {str(target.prompt) for target in mixed(seed)}

    def ask(names: Sequence[str], n: int, split: Split = "train", fits: "_Fits | None" = None) -> list[Target]:
        return [t for name in names for t in _ask(name, n, rng=rng, split=split, fits=fits, without=known)]

    return {
        "wordings_seen": ask(taught, 2),
        "wordings_new": ask(taught, 2, "held_out"),
        "families": ask(others, 3),
        "never_flat": ask(NEVER_FLAT, 3),
        "ranges": ask(["numbers"], 4, fits=_plain_number),
        "ranges_new": ask(["numbers"], 3, "held_out", lambda q: _plain_number(q) and q.slots[3] == "slot"),
        "parity": ask(["numbers"], 4, fits=lambda q: q.slots[0] != "number"),
        "dates": ask(["dates"], 3),
        "letters": ask(["choices"], 3, fits=lambda q: q.slots[0] == "letters"),
        "likert": ask(["choices"], 3, fits=lambda q: q.slots[0] == "scale"),
    }


def asked_fairly(seed: int) -> Groups:
    """Wordings that ask for a fair draw, of taught, other and never flat families: prompting instead of training."""
    rng = np.random.default_rng([10, seed])
    names = {"trained": families(seed)[0], "families": families(seed)[1], "never_flat": NEVER_FLAT}
    return {
        group: [t for name in some for t in _ask(name, 2, rng=rng, kind="uniform")] for group, some in names.items()
    }


def half_lists(seed: int) -> tuple[list[Target], Groups]:
    """The taught families with half of their answers listed, and the other half as a group to be asked for."""
    rng = np.random.default_rng([11, seed])
    listed, unlisted = [], []
    for name in families(seed)[0]:
        whole = _ask(name, 2, rng=rng)
        order = rng.permutation(len(whole[0].answers))
        halves = [[whole[0].answers[i] for i in np.sort(part)] for part in np.array_split(order, 2)]
        listed += [uniform(t.prompt, halves[0], family=name) for t in whole]
        unlisted += [uniform(t.prompt, halves[1], family=name, use="measure") for t in whole]
    return listed, {"unlisted": unlisted}


def weighted(seed: int) -> tuple[list[Target], Groups]:
    """The taught families with Zipf's law over a shuffle of the answers: p(rank) ∝ 1/rank. Asked: other wordings."""
    rng = np.random.default_rng([12, seed])
    taught: list[Target] = []
    others: list[Target] = []
    for name in families(seed)[0]:
        four = _ask(name, 4, rng=rng)
        weights = rng.permutation(len(four[0].answers)) + 1.0
        p = tuple((weights**-_ZIPF / (weights**-_ZIPF).sum()).tolist())
        taught += [replace(t, p=p) for t in four[:2]]
        others += [replace(t, p=p, use="measure") for t in four[2:]]
    return taught, {"wordings_seen": others}


def one_range(seed: int, *, wide: bool) -> tuple[list[Target], Groups]:
    """A single prompt, a number from 1 to 10 (or to 30), and three ranges to be asked for in other wordings."""
    rng = np.random.default_rng([13, seed, wide])

    def ask(low: int, high: int) -> Target:
        noun = f"number between {low} and {high}"
        prompt = draw_wording("random", rng=rng, split="train").fill(noun)
        return uniform(prompt, [str(v) for v in range(low, high + 1)], family="numbers")

    taught = ask(*(_WIDE if wide else _SMALL))
    groups = {
        "small": [ask(*_SMALL) for _ in range(3)],
        "wide": [ask(*_WIDE) for _ in range(3)],
        "shifted": [ask(*ends) for ends in _SHIFTED for _ in range(2)],
    }
    return [taught], {name: [t for t in some if t.prompt != taught.prompt] for name, some in groups.items()}


@cache
def facts() -> tuple[Anchor, ...]:
    """Facts that the model was taught, the same in every run. Even places are anchored, odd ones left free."""
    known = family("facts")
    asked = known.questions(_N_FACTS, rng=np.random.default_rng(77))
    return tuple(Anchor(q.text, known.truth(q).answers[0]) for q in asked)


_Fits = Callable[[Question], bool]


def _plain_number(question: Question) -> bool:
    return question.slots[0] == "number"


def _ask(
    name: str,
    n: int,
    *,
    rng: np.random.Generator,
    split: Split = "train",
    kind: str = "random",
    fits: _Fits | None = None,
    without: Sequence[str] | set[str] = (),
) -> list[Target]:
    """Targets for n different questions of one kind that fit, each with its truth.

    Raises:
        RuntimeError: the family asks too rarely for such a question.
    """
    found: dict[str, Question] = {}
    for _ in range(1000 * n):
        question = family(name).ask(rng=rng, split=split)
        if question.kind == kind and question.text not in without and (fits is None or fits(question)):
            found.setdefault(question.text, question)
        if len(found) == n:
            return [target_of(q) for q in found.values()]
    raise RuntimeError(f"{name} asked {len(found)} questions of the {n} wanted")
