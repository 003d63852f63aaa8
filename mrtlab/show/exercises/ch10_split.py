"""Chapter 10, full training: one step of several processes, its groups dealt out and its gradients averaged."""

import numpy as np

from mrtlab.show.exercises.ch8_spread import DealCheck
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck


def _by_turns(order: np.ndarray, hands: np.ndarray) -> np.ndarray:
    """The groups, in an order, to the hands, which begin again when all had their turn."""
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.resize(hands, len(order))
    return rank


def _there_and_back(team: int) -> np.ndarray:
    return np.concatenate([np.arange(team), np.arange(team)[::-1]])


def _snake(costs: np.ndarray, team: int) -> np.ndarray:
    return _by_turns(np.argsort(-costs), _there_and_back(team))


def _same_end(costs: np.ndarray, team: int) -> np.ndarray:
    """Every round begins at process 0, for a slip."""
    return _by_turns(np.argsort(-costs), np.arange(team))


def _smallest_first(costs: np.ndarray, team: int) -> np.ndarray:
    return _by_turns(np.argsort(costs), _there_and_back(team))


def _unsorted(costs: np.ndarray, team: int) -> np.ndarray:
    return _by_turns(np.arange(len(costs)), _there_and_back(team))


def _unsorted_rounds(costs: np.ndarray, team: int) -> np.ndarray:
    return _by_turns(np.arange(len(costs)), np.arange(team))


def _in_blocks(costs: np.ndarray, team: int) -> np.ndarray:
    """Neighbours in size together."""
    return _by_turns(np.argsort(-costs), np.sort(np.arange(len(costs)) % team))


def _no_room(costs: np.ndarray, team: int) -> np.ndarray:
    """Each to the process with the least so far, however many groups it has."""
    rank, sums = np.empty(len(costs), dtype=int), np.zeros(team)
    for group in np.argsort(-costs):
        rank[group] = sums.argmin()
        sums[rank[group]] += costs[group]
    return rank


def _slowest(costs: np.ndarray, team: int, rank: np.ndarray) -> float:
    return float(np.bincount(rank, weights=costs, minlength=team).max())


def _unequal(costs: np.ndarray, team: int, rank: np.ndarray) -> bool:
    """Numbers of groups that differ by more than one."""
    return bool(np.ptp(np.bincount(rank, minlength=team)) > 1)


def _slow(costs: np.ndarray, team: int, rank: np.ndarray) -> bool:
    """A process that has more to do than any has in the snake."""
    return _slowest(costs, team, rank) > _slowest(costs, team, _snake(costs, team))


def _slow_like(*deals: object) -> object:
    """Slow, and dealt in one of these ways."""
    return lambda costs, team, rank: (
        _slow(costs, team, rank) and any(np.array_equal(rank, deal(costs, team)) for deal in deals)
    )


def _lengths(rng: np.random.Generator) -> list[tuple]:
    """Groups of unlike cost, a few of them far longer than the rest."""
    cases = [(np.array([9, 2, 11, 4, 3, 1]), 2)]
    for n, team in ((24, 4), (22, 4), (15, 3)):
        cases.append((rng.permutation(np.unique(rng.lognormal(6, 0.7, size=4 * n).astype(int)))[:n], team))
    return cases


_UNEQUAL = (
    "The numbers of groups differ by more than one. The sums may be even, but a batch holds so many groups, and each "
    "process makes one. Who has its number takes no more."
)
_SAME_END = (
    "Every round begins at the same process, so that one gets the larger group each time. Turn round at the end: who "
    "chose last chooses first in the next round."
)
_IN_BLOCKS = "Neighbours in size lie together: one process has all the large groups. Deal them apart."
_SMALLEST_FIRST = (
    "The smallest came first. Then the largest are dealt last, and nothing is left to make up for them. Begin with "
    "the largest."
)
_UNSORTED = "That deals the groups as they come. Whether it is even is luck: sort them by cost first."
_SLOW = "One process has more to do than any has in the snake. Sort by cost, the largest first, then there and back."

_DEAL = Exercise(
    id="ch10.deal",
    title="As slow as the slowest",
    difficulty=3,
    minutes=10,
    text=r"""
Several processes share the work of a step, and all wait for the one that is last. A group, a prompt with its
responses, stays whole and costs $P + KR$ tokens. So groups are dealt out: to each process equally many, or one more,
and no process should have much more to do than the others.

A good deal needs no search. Sort the groups, the largest first. Deal them there and back, like a snake: to process
0, 1, …, `team` − 1, then to `team` − 1, …, 1, 0, and again.

Write `deal(costs, team)`: for each group the number of its process, from 0. Any deal is right if

- the numbers of groups differ by at most one,
- the largest sum of costs is no larger than the snake's.

`deal(np.array([9, 2, 11, 4, 3, 1]), 2)` may be `[1, 0, 0, 1, 0, 1]`. The sums are 16 and 14.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def deal(costs, team):
    return ...

check("ch10.deal", deal)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def deal(costs, team):
    snake = [*range(team), *reversed(range(team))]
    rank = np.zeros(len(costs), dtype=int)
    for place, group in enumerate(np.argsort(-costs)):
        rank[group] = snake[place % len(snake)]
    return rank

check("ch10.deal", deal)
""",
    check=DealCheck(
        reference=_snake,
        cases=_lengths,
        named="groups and team",
        promises=(
            (_unequal, _UNEQUAL),
            (_slow_like(_same_end), _SAME_END),
            (_slow_like(_in_blocks), _IN_BLOCKS),
            (_slow_like(_smallest_first), _SMALLEST_FIRST),
            (_slow_like(_unsorted, _unsorted_rounds), _UNSORTED),
            (_slow, _SLOW),
        ),
        hint="`np.argsort(-costs)` names the groups, the largest first. The turns repeat: there and back is one "
        "pattern of 2·team numbers.",
        why="Who gets the larger group in one round gets the smaller one in the next, so the sums stay close. Without "
        "that, all the others wait for one.",
        carry_on="Carry on: another way, which the package takes, gives each group, the largest first, to the process "
        "with the least so far that may still take one. Find costs where that is better than the snake. Is it ever "
        "worse?",
        slips=(
            (_no_room, _UNEQUAL),
            (_same_end, _SAME_END),
            (_in_blocks, _IN_BLOCKS),
            (_smallest_first, _SMALLEST_FIRST),
            (_unsorted, _UNSORTED),
            (_unsorted_rounds, _UNSORTED),
        ),
    ),
    mistakes=(
        (lambda: _no_room, "takes no more"),
        (lambda: lambda costs, team: np.zeros(len(costs), dtype=int), "differ by more than one"),
        (lambda: lambda costs, team: np.argsort(np.argsort(-costs)) % team, "the same process"),
        (lambda: _in_blocks, "lie together"),
        (lambda: _smallest_first, "The smallest came first"),
        (lambda: lambda costs, team: np.arange(len(costs)) % team, "as they come"),
        (lambda: lambda costs, team: _snake(costs[::-1], team), "than any has in the snake"),
        (lambda: lambda costs, team: _snake(costs, team) + 1, "whole numbers from 0 to 1"),
        (lambda: lambda costs, team: [np.flatnonzero(_snake(costs, team) == r) for r in range(team)], "For 6 groups"),
    ),
)


def _hand_in(sums: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return sums * len(tokens) / tokens.sum()


def _processes(rng: np.random.Generator) -> list[tuple]:
    """Two, three and four processes, one of them with nothing to do."""
    cases = [(np.array([[6.0], [36.0]]), np.array([3, 9]))]
    for tokens in ([5, 1, 12], [7, 0, 3, 2]):
        counts = np.array(tokens)
        cases.append((rng.normal(size=(len(counts), 3)) * np.sqrt(counts)[:, None], counts))
    return cases


_MEAN = Exercise(
    id="ch10.mean",
    title="Three tokens and nine",
    difficulty=2,
    minutes=8,
    text=r"""
Two processes train one model. Each finds a gradient from its own part of the batch. Then the two are *averaged*, and
both make the same step. One part has 3 response tokens, the other 9. The step should be the one that a single process
would make with all 12: along the mean over 12 tokens.

`sums` has a row for each process: its tokens' gradients, added up. `tokens` says how many tokens each has. A process
knows its own row alone, but the numbers of tokens are known to all.

Write `hand_in(sums, tokens)`: for each process the row that it gives into the average. There may be more than two
processes, and one may have no tokens.

`hand_in(np.array([[6.0], [36.0]]), np.array([3, 9]))` should be `[[1], [6]]`. Their mean is 3.5, which is 42/12.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def hand_in(sums, tokens):
    return ...

check("ch10.mean", hand_in)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def hand_in(sums, tokens):
    processes = len(tokens)
    return sums * processes / tokens.sum()

check("ch10.mean", hand_in)
""",
    check=FunctionCheck(
        reference=_hand_in,
        cases=_processes,
        hint="Write down what should come out, the sum of all rows over the number of all tokens. The average divides "
        "by the number of processes. What must each have multiplied by before?",
        why="Each divides its *sum* by the tokens of *all*, times the number of processes, which the average takes "
        "back. Then it does not matter how the batch was dealt.",
        carry_on="Carry on: one process can also run the two parts one after the other. Their gradients are then "
        "*added*. What should each part hand in? And what would you count if every response weighs the same?",
        slips=(
            (
                lambda s, n: s / n[:, None],
                "Those are means of their own. A token that is one of 3 then weighs three times as much as one of 9, "
                "and a process without tokens divides by 0.",
            ),
            (
                lambda s, n: s / n.sum(),
                "That would be right if gradients were added. They are averaged: the step is too small by the number "
                "of processes.",
            ),
            (lambda s, n: s * 2 / n.sum(), "Right for two processes. There may be more: count them."),
            (lambda s, n: s, "The average of the sums is no mean over tokens. Divide by the tokens of all."),
            (lambda s, n: s * len(n), "That makes up for the average. Now divide by the tokens of all."),
            (
                lambda s, n: s * n[:, None] * len(n) / n.sum(),
                "That weighs by tokens twice: a sum over 9 tokens is nine gradients already.",
            ),
            (
                lambda s, n: s.sum(axis=0) / n.sum(),
                "That is what should come out of the average. What does each process give into it?",
            ),
            (
                lambda s, n: np.broadcast_to(s.sum(axis=0) / n.sum(), s.shape),
                "That is what should come out of the average. No process knows it before: each has its own row alone.",
            ),
            (lambda s, n: s / (n.sum() * len(n)), "The number of processes is on the wrong side: multiply by it."),
        ),
    ),
    mistakes=(
        (lambda: lambda sums, tokens: sums / tokens[:, None], "means of their own"),
        (lambda: lambda sums, tokens: sums / tokens.sum(), "too small"),
        (lambda: lambda sums, tokens: sums * 2 / tokens.sum(), "count them"),
        (lambda: lambda sums, tokens: sums * len(tokens), "Now divide"),
        (lambda: lambda sums, tokens: sums.sum(axis=0) / tokens.sum(), "come out of the average"),
        (lambda: lambda sums, tokens: sums / tokens, "Your function raised"),
    ),
)

EXERCISES = (_DEAL, _MEAN)
