"""Chapter 8, several adapters: two ways to count different answers, and dealing answers apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.show.exercises.exercise import Exercise, Feedback
from mrtlab.show.exercises.grading import FunctionCheck, show
from mrtlab.theory.metrics import pair_share, unique_share

_EIGHT = 8
_MOST_UNEVEN = 1.6  # largest part over an even one


@dataclass(frozen=True, kw_only=True)
class ApartCheck:
    """Grade eight answers on which two measures of diversity should disagree most.

    Attributes:
        hint: shown before any answer.
        why: one sentence on why the right answer is right.
        carry_on: something to try next.
        slips: eight answers that learners give, as letters, each with the hint for its split.
    """

    hint: str
    why: str
    carry_on: str
    slips: tuple[tuple[str, str], ...]

    def __call__(self, answer: Any) -> Feedback:
        """Feedback on an answer of any type."""
        if answer is ...:
            return Feedback("not answered yet", self.hint)
        if not _listed(answer):
            return Feedback("not yet", f"Expected a list of eight texts, got `{show(answer)}`.")
        if len(answer) != _EIGHT:
            return Feedback("not yet", f"Those are {len(answer)} answers; the question is about eight.")
        split = _split(answer)
        if split == (3, 3, 2):
            return Feedback("right", self.why, self.carry_on)
        shares = f"Unique share {unique_share(answer):.3f}, pair share {pair_share(answer):.3f}. "
        return Feedback("not yet", shares + dict((_split(s), h) for s, h in self.slips).get(split, self.hint))


def _listed(answer: Any) -> bool:
    """Whether that is a list of texts or numbers, of which it can be said which are equal."""
    return type(answer) in (list, tuple) and all(type(one) in (str, int) for one in answer)


def _split(answers: Sequence[Any]) -> tuple[int, ...]:
    """How often each different answer comes, the most frequent first."""
    return tuple(sorted((list(answers).count(one) for one in set(answers)), reverse=True))


_SHARES = Exercise(
    id="ch8.shares",
    title="Two counts that disagree",
    difficulty=2,
    minutes=8,
    text=r"""
How different are eight answers to one question? Two counts are in use, and "share of unique samples" has been read as
either:

1. *unique share*: how many different answers there are, over eight;
2. *pair share*: how many of the 28 pairs of answers differ, over 28.

Seven equal answers and one other have 2/8 and 7/28: they agree. **Write down eight answers for which the two are as far
apart as they can be**, a list of eight short texts. Only which of them are equal matters.

Work the two counts out for a few splits by hand, or let the computer look through all of them.
""",
    stub="""
from itertools import combinations

from mrtlab.show.exercises import check

answers = ...
check("ch8.shares", answers)
""",
    solution="""
from itertools import combinations, product

from mrtlab.show.exercises import check

def apart(answers):
    pairs = [a != b for a, b in combinations(answers, 2)]
    return abs(sum(pairs) / len(pairs) - len(set(answers)) / len(answers))

answers = max(product("abcd", repeat=8), key=apart)
check("ch8.shares", answers)
""",
    check=ApartCheck(
        hint="A split such as 5 + 3 has 2 different answers and 5 · 3 pairs that differ. Try others: more kinds, and "
        "more or less even.",
        why="3 + 3 + 2: 3/8 against 21/28 = 3/4. Few kinds that come equally often look poor by the one and rich by "
        "the other.",
        carry_on="Carry on: which of the two would you want for a search that reads all eight answers, and which for a "
        "user who reads two? And which of them depends on how many answers you draw?",
        slips=(
            ("aaaaaaab", "There they agree: one odd answer of eight is 2/8 either way."),
            ("aaaabbbb", "Near, 0.32 apart. Two even halves are many pairs from few kinds. What about one kind more?"),
            ("aabbccdd", "Near, 0.36 apart. One kind less costs the unique share more than the pairs."),
            ("aaaaaaaa", "All the same: 1/8 against 0. The unique share never gets to 0."),
            ("abcdefgh", "All different: both are 1."),
            ("aaaabbcc", "Three kinds are right. As even as possible, more of their pairs differ."),
            ("aaaabbbc", "Three kinds are right. As even as possible, more of their pairs differ."),
        ),
    ),
    mistakes=(
        (lambda: ["plum"] * 4 + ["fig"] * 4, "0.32 apart"),
        (lambda: list("aabbccdd"), "0.36 apart"),
        (lambda: ["plum"] * 7 + ["fig"], "they agree"),
        (lambda: list("abcdefgh"), "both are 1"),
        (lambda: ["a"] * 8, "never gets to 0"),
        (lambda: list("aaaabbcc"), "As even as possible"),
        (lambda: list("aabbc"), "Those are 5 answers"),
        (lambda: 0.375, "a list of eight texts"),
        (lambda: list("abcdefaa"), "Try others"),
    ),
)


def _deal(answers: np.ndarray, groups: np.ndarray, k: int) -> np.ndarray:
    part, sizes = np.zeros(len(answers), dtype=int), np.zeros(k)
    for group in np.unique(groups):
        free: set[int] = set()
        here = answers[groups == group]
        for answer in sorted(set(here.tolist()), key=lambda a, here=here: -(here == a).sum()):
            free = free or set(range(k))
            home = min(free, key=lambda j: (sizes[j], j))
            free.remove(home)
            part[(groups == group) & (answers == answer)] = home
            sizes[home] += (here == answer).sum()
    return part


@dataclass(frozen=True, kw_only=True)
class DealCheck(FunctionCheck):
    """Grade a function that deals answers, or other things, to parts: any deal is right that keeps what it has to.

    A case begins with what is dealt and ends with the number of parts. The function's results are looked at for what
    they promise, in the order of `promises`; the reference and the slips only stand for right and wrong ones.

    Attributes:
        promises: (whether the parts of a case break it, hint), the first that is broken is told.
        named: what is dealt, and the argument that holds the number of parts.
    """

    promises: tuple[tuple[Callable[..., bool], str], ...]
    named: str = "answers and k"

    def _compare(self, answer: Callable, cases: list[tuple], results: list[Any]) -> Feedback:
        read = [_whole(result) for result in results]
        for case, result, parts in zip(cases, results, read, strict=True):
            if parts is None or parts.shape != case[0].shape or not all(0 <= p < case[-1] for p in parts.tolist()):
                return Feedback(
                    "not yet",
                    f"For {len(case[0])} {self.named} = {case[-1]} expected as many whole numbers from 0 to "
                    f"{case[-1] - 1}, got `{show(result)}`.",
                )
        for breaks, hint in self.promises:
            if any(breaks(*case, parts) for case, parts in zip(cases, read, strict=True)):
                return Feedback("not yet", hint)
        return Feedback("right", self.why, self.carry_on)


def _whole(result: Any) -> np.ndarray | None:
    """The result as whole numbers, or None where it is something else."""
    try:
        values = np.asarray(result)
        return values.astype(int) if values.dtype.kind in "iu" else None
    except Exception:  # foreign types may refuse in any way they like
        return None


def _homes(answers: np.ndarray, groups: np.ndarray, part: np.ndarray) -> list[list[set[int]]]:
    """For each group the parts that each of its different answers lies in."""
    return [
        [set(part[(groups == g) & (answers == a)].tolist()) for a in np.unique(answers[groups == g])]
        for g in np.unique(groups)
    ]


def _torn(answers: np.ndarray, groups: np.ndarray, k: int, part: np.ndarray) -> bool:
    """Equal answers of a group in several parts."""
    return any(len(home) > 1 for group in _homes(answers, groups, part) for home in group)


def _together(answers: np.ndarray, groups: np.ndarray, k: int, part: np.ndarray) -> bool:
    """Different answers of a group in one part, while another part has none of them."""
    return any(len(set.union(*group)) < min(k, len(group)) for group in _homes(answers, groups, part))


def _uneven(answers: np.ndarray, groups: np.ndarray, k: int, part: np.ndarray) -> bool:
    """A part much larger than an even one, where there is enough to deal."""
    return len(part) > 20 and bool(np.bincount(part, minlength=k).max() > _MOST_UNEVEN * len(part) / k)


def _hands(rng: np.random.Generator) -> list[tuple]:
    """Groups of eight; in each some answers come more often than others."""
    cases = [(np.array([7, 7, 9, 9, 5]), np.array([0, 0, 0, 1, 1]), 2)]
    for n_groups, k in ((12, 4), (15, 3)):
        groups = rng.permutation(np.repeat(np.arange(n_groups), 8))
        law = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
        cases.append((rng.choice(6, size=len(groups), p=law), groups, k))
    return cases


def _each_from_zero(answers: np.ndarray, groups: np.ndarray, k: int) -> np.ndarray:
    """In every group the most frequent answer to part 0, for a slip."""
    part = np.zeros(len(answers), dtype=int)
    for group in np.unique(groups):
        names, counts = np.unique(answers[groups == group], return_counts=True)
        for place, name in enumerate(names[np.argsort(-counts)]):
            part[(groups == group) & (answers == name)] = place % k
    return part


_TORN = (
    "Equal answers to like prompts lie in different parts: then several adapters learn the same answer. All of a "
    "group's equal answers go to one part."
)
_TOGETHER = (
    "Different answers of one group share a part while another part has none of that group. One adapter then learns "
    "both, and says its favourite."
)
_UNEVEN = (
    "The right answers are apart, but one part is far larger than the others. Begin each group at the part that is "
    "smallest so far, not always at part 0."
)

_DEAL = Exercise(
    id="ch8.deal",
    title="Deal the answers",
    difficulty=3,
    minutes=15,
    text=r"""
If adapters are to say different things, then let them *learn* different things. Like prompts form a group; the answers
in a group are dealt to the parts like cards:

- equal answers of a group all go to one part;
- different answers of a group go to different parts, as long as there is a part that has none of the group. After
  that, begin again;
- no part gets much larger than the others: at most 1.6 times its even share in the check's larger cases.

Write `deal(answers, groups, k)`: `answers` and `groups` are arrays of whole numbers, equal numbers are equal answers or
one group; give for each example its part, 0 to $k - 1$. Any deal that keeps the three rules is right.

`deal(np.array([7, 7, 9, 9, 5]), np.array([0, 0, 0, 1, 1]), 2)` may be `[0, 0, 1, 1, 0]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def deal(answers, groups, k):
    return ...

check("ch8.deal", deal)
""",
    solution="""
import numpy as np
from mrtlab.show.exercises import check

def deal(answers, groups, k):
    part = np.full(len(answers), -1)
    for g in np.unique(groups):
        names, counts = np.unique(answers[groups == g], return_counts=True)
        smallest_first = np.argsort([(part == j).sum() for j in range(k)])
        for place, name in enumerate(names[np.argsort(-counts)]):
            part[(groups == g) & (answers == name)] = smallest_first[place % k]
    return part
check("ch8.deal", deal)
""",
    check=DealCheck(
        reference=_deal,
        cases=_hands,
        promises=((_torn, _TORN), (_together, _TOGETHER), (_uneven, _UNEVEN)),
        hint="Go through the groups. In each, take its different answers, the most frequent first, and give the next "
        "one to the smallest part that has none of the group yet.",
        why="Every adapter sees every kind of prompt, but of each kind another answer. No gradient was needed.",
        carry_on="Carry on: the most frequent answer of a group is often the best one. Who learns the rare ones, and "
        "what does that do to the share that is right?",
        slips=(
            (lambda answers, groups, k: np.arange(len(answers)) % k, _TORN),
            (lambda answers, groups, k: groups % k, _TOGETHER),
            (lambda answers, groups, k: answers % k, _TOGETHER),
            (_each_from_zero, _UNEVEN),
        ),
    ),
    mistakes=(
        (lambda: lambda answers, groups, k: np.arange(len(answers)) % k, "one part"),
        (lambda: lambda answers, groups, k: groups % k, "share a part"),
        (lambda: lambda answers, groups, k: answers % k, "share a part"),
        (lambda: _each_from_zero, "not always at part 0"),
        (lambda: lambda answers, groups, k: _deal(answers, groups, k) + 1, "whole numbers from 0 to 1"),
        (lambda: lambda answers, groups, k: _deal(answers, groups, k)[:-1], "For 5 answers and k = 2"),
        (lambda: lambda answers, groups, k: _deal(answers, groups, k) / 1, "whole numbers"),
    ),
)

EXERCISES = (_SHARES, _DEAL)
