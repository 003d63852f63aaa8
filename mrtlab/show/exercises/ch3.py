"""Chapter 3, which K of N: random, best and softmax. The exercises on covering all candidates are in `ch3_cover`."""

from itertools import combinations

import numpy as np
from scipy.special import softmax

from mrtlab.show.exercises import ch3_cover
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck

_POOL = np.array([0.9, 0.8, 0.4, 0.3, 0.1])
_PAIRS = [np.array(pair) for pair in combinations(_POOL.tolist(), 2)]


def _draws_until_likely(p: float) -> int:
    """Fewest candidates among which an answer of probability p is there more often than not."""
    n = 1
    while 1 - (1 - p) ** n <= 0.5:
        n += 1
    return n


_RANDOM_MEAN = Exercise(
    id="ch3.random_mean",
    title="Two of five, at random",
    difficulty=1,
    minutes=4,
    text="""
Five candidates have the rewards 0.9, 0.8, 0.4, 0.3 and 0.1. We keep two of them at random: all ten pairs are equally
likely.

**What is the expected mean reward of the pair we keep?** Write down the ten pairs, or let the computer do it.
""",
    stub="""
from itertools import combinations

import numpy as np

from mrtlab.show.exercises import check

rewards = [0.9, 0.8, 0.4, 0.3, 0.1]
pairs = list(combinations(rewards, 2))
answer = ...
check("ch3.random_mean", answer)
""",
    solution="""
from itertools import combinations

import numpy as np

from mrtlab.show.exercises import check

rewards = [0.9, 0.8, 0.4, 0.3, 0.1]
pairs = list(combinations(rewards, 2))
answer = np.mean(pairs)
check("ch3.random_mean", answer)
""",
    check=NumberCheck(
        target=float(np.mean([pair.mean() for pair in _PAIRS])),
        hint="Take the mean of each pair, then the mean of the ten means.",
        why="It is the mean of all five: every candidate is in four of the ten pairs. That is what unbiased means.",
        carry_on="Carry on: does it still hold for the *best* of the two? And for their variance?",
        slips=(
            (0.85, "That is the best pair. Nine others are as likely."),
            (1.0, "That is the expected sum of the pair. Divide by two."),
            (
                float(np.mean([pair.max() for pair in _PAIRS])),
                "That is the expected best of the two, not their mean.",
            ),
            (
                float(np.mean([pair.min() for pair in _PAIRS])),
                "That is the expected worst of the two, not their mean.",
            ),
            (0.4, "That is the median candidate. Take the mean."),
            (2.5, "That is the sum of all five."),
        ),
    ),
    mistakes=(
        (lambda: (0.9 + 0.8) / 2, "the best pair"),
        (lambda: sum(sum(pair) for pair in combinations([0.9, 0.8, 0.4, 0.3, 0.1], 2)) / 10, "Divide by two"),
        (lambda: np.mean([max(pair) for pair in combinations([0.9, 0.8, 0.4, 0.3, 0.1], 2)]), "best of the two"),
        (lambda: np.mean([min(pair) for pair in combinations([0.9, 0.8, 0.4, 0.3, 0.1], 2)]), "worst of the two"),
        (lambda: np.median([0.9, 0.8, 0.4, 0.3, 0.1]), "median"),
        (lambda: list(combinations([0.9, 0.8, 0.4, 0.3, 0.1], 2)), "one number"),
    ),
)

_MISSED = Exercise(
    id="ch3.missed",
    title="The kind that nobody kept",
    difficulty=1,
    minutes=5,
    text="""
One kind of answer makes up 4 % of what a generator writes. For each prompt it writes N = 32 candidates, one by one, and
we keep K = 4 of them at random.

**How likely is it that none of the four is of that kind?** Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch3.missed", answer)
""",
    solution="""
from mrtlab.show.exercises import check

answer = (1 - 0.04) ** 4
check("ch3.missed", answer)
""",
    check=NumberCheck(
        target=0.96**4,
        hint="Four candidates picked blindly are as good as four fresh ones. Each misses with probability 0.96.",
        why="Picked blindly, four of 32 are four draws. The other 28 were written for nothing.",
        carry_on="Carry on: how many must we keep to miss the kind less than half of the time?",
        slips=(
            (0.96**32, "That is for all 32 candidates. We keep four of them."),
            (1 - 0.96**4, "That is the chance that the kind *is* among the four."),
            (1 - 4 * 0.04, "Nearly: 4·0.04 counts twice the cases in which two are of that kind. Multiply the misses."),
            (0.96, "That is for one answer kept. We keep four, and all must miss."),
            (0.04**4, "That is the chance that all four *are* of that kind."),
            (4 * 0.04, "That is how many of that kind we expect among the four."),
        ),
    ),
    mistakes=(
        (lambda: 0.96**32, "all 32"),
        (lambda: 1 - 0.96**4, "*is* among"),
        (lambda: 1 - 4 * 0.04, "Multiply the misses"),
        (lambda: 0.96, "one answer kept"),
        (lambda: 0.04**4, "*are* of that kind"),
        (lambda: 84.9, "percentage"),
    ),
)

_TOP_BIAS = Exercise(
    id="ch3.top_bias",
    title="What the best two leave out",
    difficulty=2,
    minutes=6,
    text="""
The same five candidates, 0.9, 0.8, 0.4, 0.3 and 0.1. This time we always keep the two best. Think of each candidate's
loss as *one minus its reward*.

The mean loss of what we keep estimates the mean loss of all five. **What is its squared bias, what its variance over
repetitions, and so its mean squared error?** Hand in the mean squared error, two decimals are enough.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

loss = 1 - np.array([0.9, 0.8, 0.4, 0.3, 0.1])
answer = ...
check("ch3.top_bias", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

loss = 1 - np.array([0.9, 0.8, 0.4, 0.3, 0.1])
bias = loss[:2].mean() - loss.mean()
variance = 0  # the same two every time
answer = bias**2 + variance
check("ch3.top_bias", answer)
""",
    check=NumberCheck(
        target=0.35**2,
        hint="The same two are kept every time: no variance. How far is their mean loss, 0.15, from that of all five?",
        why="Bias −0.35, variance 0. Two at random have bias 0 and variance 0.03: a quarter of the error.",
        carry_on="Carry on: compute that 0.03 over the ten pairs. How does it change with three kept?",
        slips=(
            (0.35, "That is the bias, up to its sign. Square it."),
            (-0.35, "That is the bias. Square it."),
            (0.15, "That is the mean loss of the two. How far is it from the mean of all five?"),
            (0.15**2, "That is the squared loss of the two. Take the distance to the mean of all five first."),
            (
                float(np.var([pair.mean() for pair in _PAIRS])),
                "That is the error of two at *random*: all variance.",
            ),
            (0.0, "That is the variance: the same two are kept every time. The bias is left."),
            (
                float(np.var(_POOL)),
                "That is the variance among the candidates, not the error of one estimate.",
            ),
        ),
    ),
    mistakes=(
        (lambda: 0.5 - 0.15, "Square it"),
        (lambda: 0.15 - 0.5, "Square it"),
        (lambda: np.mean([0.1, 0.2]), "How far is it"),
        (lambda: 0.15**2, "distance to the mean"),
        (lambda: np.var([sum(p) / 2 for p in combinations([0.9, 0.8, 0.4, 0.3, 0.1], 2)]), "at *random*"),
        (lambda: np.var([0.9, 0.8, 0.4, 0.3, 0.1]), "among the candidates"),
    ),
)

_MAJORITY = Exercise(
    id="ch3.majority",
    title="A rare answer takes over",
    difficulty=2,
    minutes=6,
    text="""
A generator writes three answers with probabilities 0.95, 0.04 and 0.01. A reward model happens to like the *second* one
most. For each prompt we let the generator write N candidates and keep the one of highest reward.

**From which N on is the 4 % answer what we keep more often than not?**
""",
    stub="""
from mrtlab.show.exercises import check

guess = 10
answer = ...
check("ch3.majority", answer)
""",
    solution="""
from mrtlab.show.exercises import check

answer = 1
while 1 - 0.96**answer <= 0.5:
    answer = answer + 1
check("ch3.majority", answer)
""",
    check=NumberCheck(
        target=_draws_until_likely(0.04),
        whole=True,
        hint="It is kept whenever it was written at least once: 1 − 0.96ᴺ. Raise N until that passes one half.",
        why="At N = 64 it is 93 % of what we keep. Best-of-N turns a small taste into nearly the whole data set.",
        carry_on="Carry on: `best_of_n(p, reward, n)` from `mrtlab.theory` gives all three. Try the third answer.",
        slips=(
            (16, "One too few: 1 − 0.96¹⁶ is 0.48."),
            (18, "One too many: with 17 candidates it already passes one half."),
            (25, "That is 1/0.04, how long we wait for it on average. Half of the waits are shorter."),
            (13, "That adds up chances, N·0.04. Two hits count once: use 1 − 0.96ᴺ."),
            (12, "That adds up chances, N·0.04. Two hits count once: use 1 − 0.96ᴺ."),
            (14, "That is when the first answer or the third is missing. Only the second counts: 1 − 0.96ᴺ."),
            (1, "One candidate is what the generator likes: the second answer in 4 % of the cases."),
        ),
    ),
    mistakes=(
        (lambda: int(np.floor(np.log(0.5) / np.log(0.96))), "One too few"),
        (lambda: 18, "One too many"),
        (lambda: 1 / 0.04, "wait for it"),
        (lambda: np.ceil(0.5 / 0.04), "Two hits count once"),
        (lambda: 1, "the generator likes"),
        (lambda: np.log(0.5) / np.log(0.96), "whole number"),
    ),
)

_SOFTMAX_FN = Exercise(
    id="ch3.softmax_fn",
    title="Between random and best",
    difficulty=2,
    minutes=8,
    text=r"""
Softmax-K draws its first answer with probability

$$\frac{e^{r_j / T}}{\sum_i e^{r_i / T}}.$$

A high temperature $T$ makes it random-K, a low one top-K. Write `first_pick(reward, temperature)`: these probabilities
for an array of rewards. It must survive $T = 0.001$, where $e^{r/T}$ is larger than any number a computer holds.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def first_pick(reward, temperature):
    return ...

check("ch3.softmax_fn", first_pick)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def first_pick(reward, temperature):
    weight = np.exp((reward - reward.max()) / temperature)
    return weight / weight.sum()

check("ch3.softmax_fn", first_pick)
""",
    check=FunctionCheck(
        reference=lambda reward, temperature: softmax(reward / temperature),
        cases=lambda rng: [
            (np.array([0.0, np.log(3)]), 1.0),
            (np.array([1.0, 0.5, 0.2]), 0.5),
            (np.array([0.3, 0.9, 0.8]), 100.0),
            (rng.normal(size=5), 0.7),
            (np.array([1.0, 0.97, 0.96]), 0.001),
        ],
        hint="Exponentials first, then divide by their sum. Taking the same number off all rewards changes nothing.",
        why="Only differences of rewards count, so the largest may be moved to 0 and nothing overflows.",
        carry_on="Carry on: with rewards 1.00, 0.97 and 0.96, at which T does the first get half of the picks?",
        slips=(
            (
                lambda r, t: np.exp(r / t) / np.exp(r / t).sum(),
                "Right until the temperature is low: e¹⁰⁰⁰ overflows. Take `reward.max()` off the rewards first.",
            ),
            (lambda r, t: softmax(r), "The temperature does nothing yet: divide the rewards by it."),
            (lambda r, t: softmax(r * t), "That multiplies by the temperature: it makes a *low* one random. Divide."),
            (lambda r, t: softmax(-r / t), "A sign went astray: that prefers the lowest reward."),
            (lambda r, t: np.exp((r - r.max()) / t), "These do not add up to 1 yet. Divide by their sum."),
            (lambda r, t: np.exp(r / t), "These do not add up to 1 yet. Divide by their sum."),
            (lambda r, t: (r - r.max()) / t, "The exponential is missing."),
            (lambda r, t: r / r.sum(), "That is proportional to the reward. Take the exponential of reward/T first."),
            (lambda r, t: softmax((r - r.max()) / t) / t, "The division by T belongs inside the exponential."),
        ),
    ),
    mistakes=(
        (lambda: lambda r, t: np.exp(r / t) / sum(np.exp(r / t)), "overflows"),
        (lambda: lambda r, t: np.exp(r) / np.exp(r).sum(), "does nothing yet"),
        (lambda: lambda r, t: np.exp(r * t) / np.exp(r * t).sum(), "Divide"),
        (lambda: lambda r, t: np.exp((r.min() - r) / t) / np.exp((r.min() - r) / t).sum(), "lowest reward"),
        (lambda: lambda r, t: np.exp((r - r.max()) / t), "add up to 1"),
        (lambda: lambda r, t: r / r.sum(), "proportional"),
        (lambda: lambda r, t: r.argmax(), "gives one number"),
    ),
)

EXERCISES = (_RANDOM_MEAN, _MISSED, _TOP_BIAS, _MAJORITY, _SOFTMAX_FN, *ch3_cover.EXERCISES)
