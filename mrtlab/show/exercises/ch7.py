"""Chapter 7, even answers: the floor, what may stay off the list, and why heat does not help."""

import numpy as np

from mrtlab.show.exercises import ch7_file, ch7_reach, ch7_tree
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck


def _lines(p_star: np.ndarray, logp: np.ndarray, gamma: float) -> np.ndarray:
    floor = -(p_star * np.log(p_star)).sum()
    return np.array([-(p_star * logp).sum(), floor, (1 + gamma) * floor])


def _lines_but(place: int, value: object) -> object:
    """The three numbers with one replaced, for the slips."""

    def lines(p_star: np.ndarray, logp: np.ndarray, gamma: float) -> np.ndarray:
        found = _lines(p_star, logp, gamma)
        found[place] = value(p_star, logp, gamma)
        return found

    return lines


def _list_cases(rng: np.random.Generator) -> list[tuple]:
    """An even target on two answers, then targets of other shapes and models that also say something else."""
    cases = [(np.array([0.5, 0.5]), np.log(np.array([0.25, 0.25])), 0.2)]
    for m, gamma in ((3, 0.0), (6, 0.5), (20, 0.2)):
        p = rng.dirichlet(np.ones(m + 1))[:m]
        cases.append((rng.dirichlet(np.full(m, 3.0)), np.log(p), gamma))
    return cases


_FLOOR = Exercise(
    id="ch7.floor",
    title="How low can it go?",
    difficulty=1,
    minutes=6,
    text=r"""
The loss of a prompt is $L = -\sum_y p^*(y) \log p(y)$ over the listed answers. It cannot fall below the entropy of the
target, $H(p^*) = -\sum_y p^*(y) \log p^*(y)$. Where a list of answers is not all of them, training should not go
that far: it stops after the first pass with $L \le (1 + \gamma)\,H(p^*)$.

Write `lines(p_star, logp, gamma)`, three numbers in nats: the loss, the floor, and the line at which training stops.
`p_star` holds the target's probabilities and `logp` the model's log-probabilities of the same answers.

`lines(np.array([0.5, 0.5]), np.log([0.25, 0.25]), 0.2)` should be `[1.386, 0.693, 0.832]`, rounded.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def lines(p_star, logp, gamma):
    return ...

check("ch7.floor", lines)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def lines(p_star, logp, gamma):
    loss = -(p_star * logp).sum()
    floor = -(p_star * np.log(p_star)).sum()
    return np.array([loss, floor, (1 + gamma) * floor])

check("ch7.floor", lines)
""",
    check=FunctionCheck(
        reference=_lines,
        cases=_list_cases,
        hint="Both sums are weighted with p*. Only the logarithm differs: the model's in the loss, p*'s own in the "
        "floor.",
        why="The loss is the floor plus KL(p* ‖ p), so to stop at the line is to stop at KL ≤ γ·H(p*).",
        carry_on="Carry on: for an even target over m answers the floor is log m. Which prompt may stop with more KL "
        "left, one with 10 answers or one with 200?",
        slips=(
            (
                lambda p, logp, g: np.array([-logp.mean(), *_lines(p, logp, g)[1:]]),
                "The loss weighs each answer with p*. A plain mean is right for an even target only.",
            ),
            (
                lambda p, logp, g: np.array([_lines(p, logp, g)[0], np.log(len(p)), (1 + g) * np.log(len(p))]),
                "log m is the floor of an *even* target. Others have less entropy.",
            ),
            (
                _lines_but(2, lambda p, logp, g: g * _lines(p, logp, g)[1]),
                "The line is too low: γ·H(p*) is the KL that may be left. The floor comes on top.",
            ),
            (
                _lines_but(2, lambda p, logp, g: (1 + g) * _lines(p, logp, g)[0]),
                "The line must not move with the loss: it is (1 + γ) times the floor.",
            ),
            (
                _lines_but(2, lambda p, logp, g: _lines(p, logp, g)[1] + g),
                "Nearly: γ is a share of the floor, not a number of nats.",
            ),
            (
                _lines_but(0, lambda p, logp, g: -(p * (logp - np.log(np.exp(logp).sum()))).sum()),
                "The loss is too low: do not scale the model's probabilities to sum to 1. What it says off the list "
                "counts against it.",
            ),
            (
                _lines_but(0, lambda p, logp, g: (p * (np.log(p) - logp)).sum()),
                "The first number is the KL. The loss is the floor higher.",
            ),
            (lambda *case: -_lines(*case), "All signs are wrong: a log-probability is below 0, a loss is not."),
            (lambda *case: _lines(*case) / np.log(2), "Those are bits. For nats take `np.log`."),
        ),
    ),
    mistakes=(
        (lambda: lambda p_star, logp, gamma: -_lines(p_star, logp, gamma), "All signs"),
        (lambda: _lines_but(0, lambda p, logp, g: (p * (np.log(p) - logp)).sum()), "is the KL"),
        (lambda: _lines_but(2, lambda p, logp, g: g * -(p * np.log(p)).sum()), "comes on top"),
        (lambda: _lines_but(0, lambda p, logp, g: -(p * (logp - np.log(np.exp(logp).sum()))).sum()), "off the list"),
        (lambda: lambda p_star, logp, gamma: _lines(p_star, logp, gamma) / np.log(2), "bits"),
        (lambda: lambda p_star, logp, gamma: -(p_star * logp).sum(), "expected 3 numbers"),
    ),
)

_OFF_LIST = Exercise(
    id="ch7.off_list",
    title="What may stay off the list",
    difficulty=2,
    minutes=6,
    text=r"""
Let $m$ be the mass that the model has on the list. The divergence from the target has two parts, and both are exact:

$$
\mathrm{KL}(p^* \,\|\, p) =
\underbrace{-\log m}_{\text{validity}} + \underbrace{\mathrm{KL}(p^* \,\|\, p/m)}_{\text{shape}}
$$

The target is even over 200 names, and training stopped right on the line, with $\gamma = 0.2$: the KL that is left is
$0.2 \cdot H(p^*)$.

**What is the largest share of what the model says that can be off the list?** A number between 0 and 1, two decimals.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

answer = ...
check("ch7.off_list", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

kl_left = 0.2 * np.log(200)
answer = 1 - np.exp(-kl_left)  # all of it is validity, none is shape
check("ch7.off_list", answer)
""",
    check=NumberCheck(
        target=1 - 200**-0.2,
        hint="Most is off the list if the listed names are even among themselves. Then −log m is all of the KL.",
        why="m = 200^(−0.2) = 0.35, and two of three names may be others. That is the room that the early stop leaves "
        "for names that nobody listed.",
        carry_on="Carry on: whether that room holds names or nonsense, the loss does not say. What would? And how much "
        "may be off the list with 10 answers and the same γ?",
        slips=(
            (200**-0.2, "That is m, what is *on* the list."),
            (1 - np.exp(-0.2), "γ is a share of the floor: the KL left is 0.2·log 200, not 0.2."),
            (0.2, "γ is a share of nats, not of answers. Which m has −log m = 0.2·H(p*)?"),
            (0.2 * np.log(200), "That is the KL left, in nats. Which m has −log m equal to it?"),
            (1 - 200**-1.2, "That takes the whole loss for validity. The floor is no error: only γ·H(p*) is left."),
            (1.2 * np.log(200), "That is the line, in nats. How far above the floor is it, and which m is that?"),
            (1 - 2 ** (-0.2 * np.log(200)), "The KL is in nats, so m is a power of e, not of 2."),
            (0.0, "Nothing off the list would be −log m = 0. Then all of the KL is shape: that is the least."),
        ),
    ),
    mistakes=(
        (lambda: np.exp(-0.2 * np.log(200)), "what is *on* the list"),
        (lambda: 1 - np.exp(-0.2), "not 0.2"),
        (lambda: 0.2 * np.log(200), "KL left, in nats"),
        (lambda: 1 - np.exp(-1.2 * np.log(200)), "floor is no error"),
        (lambda: 0, "that is the least"),
        (lambda: 65, "100 times too large"),
    ),
)


def _heated(temperature: float, *, others: float = 1000) -> tuple[float, float]:
    """Effective number among the ten answers, and their mass, at a temperature."""
    listed = np.array([0.9] + [0.01] * 9) ** (1 / temperature)
    junk = others * (0.01 / others) ** (1 / temperature)
    shape = listed / listed.sum()
    return float(np.exp(-(shape * np.log(shape)).sum())), float(listed.sum() / (listed.sum() + junk))


def _like_eight() -> float:
    """The temperature at which the ten numbers are as even as eight equally likely ones, by halving."""
    low, high = 1.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _heated(middle)[0] < 8 else (low, middle)
    return low


_LIKE_EIGHT = _like_eight()

_HEAT = Exercise(
    id="ch7.heat",
    title="Why not turn up the heat?",
    difficulty=2,
    minutes=10,
    text=r"""
Asked for a number from 1 to 10, a model says "7" with probability 0.90 and each of the nine others with 0.01. The last
0.01 is spread evenly over 1,000 strings that are no answer at all.

At temperature $T$ every probability $p$ becomes proportional to $p^{1/T}$ (here of whole answers; a sampler does so
token by token). Turn $T$ up until the ten numbers, *among
themselves*, are as even as eight equally likely ones: $H(p/m) = \log 8$, where $m$ is the mass on the ten.

**What is $m$ at that temperature?** Try temperatures until it fits, or let the computer do so. Two decimals.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

p = np.array([0.9] + [0.01] * 9 + [0.01 / 1000] * 1000)
answer = ...
check("ch7.heat", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

p = np.array([0.9] + [0.01] * 9 + [0.01 / 1000] * 1000)
for T in np.arange(1, 10, 0.001):
    hot = p ** (1 / T) / (p ** (1 / T)).sum()
    m, shape = hot[:10].sum(), hot[:10] / hot[:10].sum()
    if -(shape * np.log(shape)).sum() >= np.log(8): break
answer = m
check("ch7.heat", answer)
""",
    check=NumberCheck(
        target=_heated(_LIKE_EIGHT)[1],
        hint="Raise all 1,010 probabilities to the power 1/T and divide by their sum. The first ten, divided by their "
        "own sum, give the entropy; their own sum is m.",
        why="At T = 2.87 the shape is mended and seven of eight answers are nonsense. Heat lifts all that is rare, "
        "and nearly all that is rare is wrong.",
        carry_on="Carry on: with 10,000 strings in place of 1,000 and the same 0.01 in all, what is m? What do top-k "
        "and top-p change, and what do they have to know to do it?",
        slips=(
            (_LIKE_EIGHT, "That is T. The question asks for the mass on the ten numbers there."),
            (1 - _heated(_LIKE_EIGHT)[1], "That is what is said *off* the list. m is the mass on the ten."),
            (_heated(_LIKE_EIGHT, others=1)[1], "There the 0.01 is one string. It is 1,000 strings of 0.00001 each."),
            (0.99, "That is m before, at T = 1. What does the heat do to it?"),
            (10 / 1010, "That is m at endless heat, where all strings are even. log 8 is reached well before."),
            (_heated(8.0)[1], "That is m at T = 8. Find the T at which the ten are as even as eight answers."),
            (_heated(2.0)[1], "At T = 2 the ten are as even as 5.8 answers: hotter."),
        ),
    ),
    mistakes=(
        (lambda: _LIKE_EIGHT, "That is T"),
        (lambda: 1 - _heated(_LIKE_EIGHT)[1], "*off* the list"),
        (lambda: _heated(_LIKE_EIGHT, others=1)[1], "1,000 strings"),
        (lambda: 0.99, "at T = 1"),
        (lambda: 10 / 1010, "endless heat"),
        (lambda: _heated(8.0)[1], "m at T = 8"),
    ),
)

EXERCISES = (_FLOOR, _OFF_LIST, _HEAT, *ch7_tree.EXERCISES, *ch7_reach.EXERCISES, *ch7_file.EXERCISES)
