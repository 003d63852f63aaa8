"""Chapter 8, several adapters: what a comparison over seeds says, and at which price."""

import numpy as np
from scipy.stats import t

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck

Arm = np.ndarray


def _half(gain: np.ndarray, *, ddof: int = 1) -> float:
    """Half the width of Student's 95 % interval of a mean."""
    return float(t.ppf(0.975, len(gain) - 1) * gain.std(ddof=ddof) / np.sqrt(len(gain)))


def _code(low: float, price: float, *, margin: float = 0.03) -> int:
    return 0 if low <= 0 else (2 if price > -margin else 1)


def _read(different: Arm, right: Arm, other_different: Arm, other_right: Arm) -> np.ndarray:
    gain = different - other_different
    low = gain.mean() - _half(gain)
    return np.array([low, _code(low, (right - other_right).mean())])


def _read_with(low_of: object) -> object:
    """The reading with another lower end, for slips."""

    def read(different: Arm, right: Arm, other_different: Arm, other_right: Arm) -> np.ndarray:
        low = low_of(different, other_different)
        return np.array([low, _code(low, (right - other_right).mean())])

    return read


def _read_as(code_of: object) -> object:
    """The reading with another code for the same lower end, for slips."""

    def read(different: Arm, right: Arm, other_different: Arm, other_right: Arm) -> np.ndarray:
        gain = different - other_different
        low = gain.mean() - _half(gain)
        return np.array([low, code_of(low, gain.mean(), (right - other_right).mean())])

    return read


def _unpaired(a: Arm, b: Arm) -> float:
    """Lower end if the two arms had nothing to do with each other."""
    wide = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return float(a.mean() - b.mean() - t.ppf(0.975, 2 * len(a) - 2) * wide)


def _seeds(rng: np.random.Generator) -> list[tuple]:
    """Arms over seeds that vary more than the arms do: free gain, dear gain, a small loss, gain by luck, loss."""
    cases = [(np.array([3.0, 3.5, 3.25]), np.full(3, 0.85), np.array([2.0, 2.5, 2.25]), np.full(3, 0.9))]
    for gain, noise, price in (
        (0.4, 0.1, 0.01),
        (1.0, 0.2, -0.1),
        (0.5, 0.1, -0.015),
        (0.2, 0.5, 0.0),
        (-0.5, 0.1, 0.1),
    ):
        level, quality = rng.normal(2.5, 0.5, size=5), rng.uniform(0.8, 0.9, size=5)
        added = gain + noise * np.array([-1.2, -0.5, 0.0, 0.6, 1.1])
        cases.append((level + rng.permutation(added), quality + price, level, quality))
    return cases


_WHICH = Exercise(
    id="ch8.which_holds",
    title="Does it hold, and at which price?",
    difficulty=3,
    minutes=12,
    text=r"""
Two ways to part the data were tried with the same seeds. For each seed we know how many *different right answers* eight
adapters gave, and which share of all answers was *right*. "The first way gives more different right answers" is judged
by a rule that was fixed before:

- **2**, it holds: the 95 % interval of the paired difference in different right answers, over seeds, lies above 0;
- **1**, it holds only at a price: so it does, but the mean share of right answers is lower by 0.03 or more;
- **0**, it does not hold: the interval does not lie above 0.

Write `read(different, right, other_different, other_right)`, each argument with one number per seed. Give the lower end
of that interval and the verdict. The interval is mean ± $t \cdot s / \sqrt n$, with $s$ the standard deviation (divided
by $n - 1$) of the $n$ differences and $t$ = `t.ppf(0.975, n - 1)`.

With `[3, 3.5, 3.25]` against `[2, 2.5, 2.25]` different right answers, and a share of 0.85 against 0.9 right in every
seed, it should be `[1, 1]`.
""",
    stub="""
import numpy as np
from scipy.stats import t

from mrtlab.show.exercises import check

def read(different, right, other_different, other_right):
    return ...

check("ch8.which_holds", read)
""",
    solution="""
import numpy as np
from scipy.stats import t

from mrtlab.show.exercises import check

def read(different, right, other_different, other_right):
    gain, n = different - other_different, len(different)
    low = gain.mean() - t.ppf(0.975, n - 1) * gain.std(ddof=1) / np.sqrt(n)
    price = (right - other_right).mean()
    return [low, 0 if low <= 0 else 2 if price > -0.03 else 1]

check("ch8.which_holds", read)
""",
    check=FunctionCheck(
        reference=_read,
        cases=_seeds,
        hint="Subtract seed by seed first: what makes a seed easy makes it easy for both ways. Then one mean, one "
        "standard deviation, one interval.",
        why="The rule was there before the numbers, so nobody can choose the margin that suits. The ledger's rules of "
        "this chapter are functions like yours.",
        carry_on="Carry on: `mrtlab claims SPA-13` and `mrtlab claims SPA-11` show what two such rules said about this "
        "chapter's runs. Which of the three verdicts would you have guessed?",
        slips=(
            (
                _read_with(_unpaired),
                "Those are two arms with seeds of their own. Here each seed is in both: take differences first.",
            ),
            (
                _read_with(lambda a, b: (a - b).mean() - 1.96 * (a - b).std(ddof=1) / np.sqrt(len(a))),
                "1.96 is for many seeds. With five it is `t.ppf(0.975, 4)`, 2.78: the interval is half as wide again.",
            ),
            (
                _read_with(lambda a, b: (a - b).mean() - _half(a - b) * np.sqrt(len(a))),
                "That is the spread of *one* seed. The mean of n seeds is surer: divide by √n.",
            ),
            (
                _read_with(lambda a, b: (a - b).mean() - _half(a - b, ddof=0)),
                "NumPy's `std` divides by n unless told. For n − 1 write `ddof=1`.",
            ),
            (
                _read_with(
                    lambda a, b: (a - b).mean() - t.ppf(0.95, len(a) - 1) / t.ppf(0.975, len(a) - 1) * _half(a - b)
                ),
                "That leaves 5 % below. An interval of 95 % leaves 2.5 % on either side: `t.ppf(0.975, …)`.",
            ),
            (
                _read_with(lambda a, b: (b - a).mean() - _half(a - b)),
                "The two ways have changed places: it is the first less the other.",
            ),
            (
                _read_as(lambda low, mean, price: 2 if low > 0 else 0),
                "The lower end is right. The verdict does not look at the price: `right` less `other_right`.",
            ),
            (
                _read_as(lambda low, mean, price: _code(low, price, margin=0.0)),
                "The lower end is right. A loss of less than 0.03 counts as none: that margin was fixed before.",
            ),
            (
                _read_as(lambda low, mean, price: _code(mean, price)),
                "The lower end is right. The verdict asks whether the *mean* is above 0: the whole interval has to be.",
            ),
            (
                lambda *case: _read(*case)[::-1],
                "Right numbers, in the other order: the lower end first, then the verdict.",
            ),
        ),
    ),
    mistakes=(
        (lambda: _read_with(_unpaired), "take differences first"),
        (
            lambda: _read_with(lambda a, b: (a - b).mean() - 1.96 * (a - b).std(ddof=1) / len(a) ** 0.5),
            "many seeds",
        ),
        (lambda: _read_as(lambda low, mean, price: 2 if low > 0 else 0), "look at the price"),
        (lambda: _read_as(lambda low, mean, price: _code(mean, price)), "whole interval"),
        (lambda: _read_as(lambda low, mean, price: _code(low, price, margin=0.0)), "fixed before"),
        (lambda: lambda a, b, c, d: _read(a, b, c, d)[1], "expected 2 numbers"),
        (lambda: [1, 1], "the function itself"),
    ),
)

EXERCISES = (_WHICH,)
