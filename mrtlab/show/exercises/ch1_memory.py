"""Chapter 1, the mode lottery: training a memory on a few draws, and what luck does to it."""

import numpy as np

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck
from mrtlab.theory import fit_tabular, retraining_law

_EQUAL = np.full(5, 0.2)
_HALVING = np.array([16, 8, 4, 2, 1]) / 31
_QUESTIONS = 960


def _memory(counts: np.ndarray, smoothing: float) -> np.ndarray:
    return fit_tabular(counts.astype(int), np.arange(len(counts)), smoothing=smoothing)


def _loss_after(n: int, smoothing: float = 0.1, truth: np.ndarray = _EQUAL) -> float:
    return retraining_law(truth, n, smoothing=smoothing).mean


def _answers_until_sd(factor: float) -> int:
    """Fewest training answers whose loss spreads at most `factor` times as much as that of one answer."""
    one = retraining_law(_HALVING, 1).sd
    return next(n for n in range(1, 100) if retraining_law(_HALVING, n).sd <= factor * one)


def _mean_loss(k: int, smoothing: float) -> float:
    """960 answers, k each to 960/k questions: a share 1/k is trained, the others are not."""
    return _loss_after(k, smoothing, _HALVING) / k + _loss_after(0, smoothing, _HALVING) * (1 - 1 / k)


_MEMORY_FN = Exercise(
    id="ch1.memory_fn",
    title="A memory in one line",
    difficulty=2,
    minutes=8,
    text=r"""
The simplest model we can train is a memory. Before training it holds $s$ imaginary answers, spread evenly over the $M$
possible ones. Training adds the $n$ answers it sees. It says

$$\hat p = \frac{c + s/M}{n + s},$$

where $c$ counts how often each answer was seen. Write `memory(counts, smoothing)`. `counts` is a table with one row per
prompt and one column per answer; the result has the same shape, and each row adds up to 1.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def memory(counts, smoothing):
    return ...

check("ch1.memory_fn", memory)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def memory(counts, smoothing):
    n = counts.sum(axis=1, keepdims=True)
    return (counts + smoothing / counts.shape[1]) / (n + smoothing)

check("ch1.memory_fn", memory)
""",
    check=FunctionCheck(
        reference=_memory,
        cases=lambda rng: [
            (np.array([[1.0, 0.0]]), 1.0),
            (np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), 0.5),
            *(
                (rng.multinomial(6, np.full(m, 1 / m), size=m - 1).astype(float), float(rng.uniform(0.1, 2)))
                for m in (3, 4, 5, 6)
            ),
        ],
        hint="n is the row's own total: `counts.sum(axis=1, keepdims=True)`.",
        why="Every row adds up to 1, and no answer is ruled out for good.",
        carry_on="Carry on: `fit_tabular` does this too, and pools prompts that ask the same question.",
        slips=(
            (
                lambda c, s: (c + s / c.shape[1]) / (c.sum(0, keepdims=True) + s),
                "The wrong axis: n must be the total of a row (axis 1, one prompt), not of a column.",
            ),
            (
                lambda c, s: (c + s / c.shape[1]) / (c.sum() + s),
                "n is the total of the whole table here. Each prompt has its own n: sum over axis 1.",
            ),
            (
                lambda c, s: (c + s) / (c.sum(1, keepdims=True) + s),
                "Rows add up to more than 1: the s imaginary answers are shared among M, so add s/M to each.",
            ),
            (
                lambda c, s: (c + s) / (c.sum(1, keepdims=True) + s * c.shape[1]),
                "That gives every answer s imaginary ones, M·s in all. Here all of them together have s.",
            ),
            (
                lambda c, s: c / c.sum(1, keepdims=True),
                "Without smoothing an unseen answer gets 0, and its loss is infinite. Where is s?",
            ),
            (
                lambda c, s: (c + s / c.shape[1]) / c.sum(1, keepdims=True),
                "The numerator gained s in all, so the denominator must too: n + s.",
            ),
            (
                lambda c, s: (c + s / len(c)) / (c.sum(1, keepdims=True) + s),
                "`len(counts)` is the number of prompts (rows). M is the number of answers: `counts.shape[1]`.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda c, s: (c + s / c.shape[1]) / (c.sum(axis=0) + s), "wrong axis"),
        (lambda: lambda c, s: (c + s / c.shape[1]) / (np.sum(c) + s), "whole table"),
        (lambda: lambda c, s: (c + s) / (c.sum(1)[:, None] + s), "s/M"),
        (lambda: lambda c, s: ((c + s).T / (c + s).sum(1)).T, "M·s in all"),
        (lambda: lambda c, s: (c.T / c.sum(1)).T, "infinite"),
        (lambda: lambda c, s: (c + s / len(c)) / (c.sum(1, keepdims=True) + s), "number of prompts"),
        (lambda: _memory_in_place, "changes its input"),
        (lambda: lambda c, s: (c + s / c.shape[1]) / (c.sum(1) + s), "raised `ValueError"),
        (lambda: lambda c, s: _memory(c, s)[0], "expected a table of shape"),
    ),
)


def _memory_in_place(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """The right numbers, at the price of the caller's table: one of the mistakes above."""
    n = counts.sum(1, keepdims=True)
    counts += smoothing / counts.shape[1]
    return counts / (n + smoothing)


_ONE_OR_NONE = Exercise(
    id="ch1.one_or_none",
    title="Is one answer better than none?",
    difficulty=2,
    minutes=6,
    text=r"""
Five answers are equally likely. A memory $\hat p = (c + s/M)/(n + s)$ with $s = 0.1$ that has seen nothing says 1/5
for each of them. Its test loss is $-\sum_y p_y \log \hat p_y = \log 5 \approx 1.61$ nats per fresh answer.

Now it trains on **one** answer. Which one does not matter. **What is its test loss now, in nats?** First commit to a
direction: lower or higher than 1.61?
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

direction = "lower or higher?"
answer = ...
check("ch1.one_or_none", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

seen = (1 + 0.1 / 5) / (1 + 0.1)
unseen = (0 + 0.1 / 5) / (1 + 0.1)
answer = -(0.2 * np.log(seen) + 0.8 * np.log(unseen))
check("ch1.one_or_none", answer)
""",
    check=NumberCheck(
        target=_loss_after(1),
        hint="Work out p̂ of the answer it saw and of one it did not see. A fresh answer is unseen 4 times in 5.",
        why=f"From {_loss_after(0):.2f} up to {_loss_after(1):.2f}: the memory now bets nearly all on one answer "
        "and is wrong four times in five.",
        carry_on="Carry on: with five equal answers no amount of training beats the untrained memory, which is right "
        "by luck. Try `truth = np.array([16, 8, 4, 2, 1]) / 31` in `retraining_law`: how many answers does it take?",
        slips=(
            (_loss_after(0), "That is the loss with no training at all. Now one answer has been seen."),
            (-np.log(1.02 / 1.1), "That is the loss on the answer it saw. Four fresh answers in five are others."),
            (-np.log(0.02 / 1.1), "That is the loss on an unseen answer. One fresh answer in five is the seen one."),
            (_loss_after(1) / np.log(2), "That is in bits (log base 2). We count in nats: `np.log`."),
            (np.exp(_loss_after(1)), "That is the perplexity, the exponential of the loss."),
            (-0.8 * np.log(0.1 / 1.1), "The s imaginary answers are shared among the five: add s/5 to each count."),
            (_loss_after(1, 1.0), "That is for s = 1. Here s = 0.1."),
            (
                -(0.5 * np.log(1.02 / 1.1) + 0.5 * np.log(0.02 / 1.1)),
                "Seen and unseen are not equally likely in the test: 1/5 and 4/5.",
            ),
        ),
    ),
    mistakes=(
        (lambda: np.log(5), "no training at all"),
        (lambda: -np.log((1 + 0.1 / 5) / 1.1), "the answer it saw"),
        (lambda: -np.log((0.1 / 5) / 1.1), "an unseen answer"),
        (lambda: -0.2 * np.log2(1.02 / 1.1) - 0.8 * np.log2(0.02 / 1.1), "log base 2"),
        (lambda: -0.2 * np.log(1.1 / 1.1) - 0.8 * np.log(0.1 / 1.1), "s/5"),
        (lambda: 0.2 * np.log(1.02 / 1.1) + 0.8 * np.log(0.02 / 1.1), "sign"),
        (lambda: "higher", "text"),
    ),
)

_SPREAD = Exercise(
    id="ch1.spread",
    title="Halve the luck",
    difficulty=2,
    minutes=7,
    text="""
Five answers, each half as likely as the one before it. Train a memory (s = 0.1) on one answer, and its test loss
depends on which answer you happened to draw. `retraining_law(truth, n, smoothing=0.1).sd` is the exact standard
deviation of the loss over all the retrainings you might have had with `n` answers.

**What is the smallest n whose standard deviation is at most half of that at n = 1?** For a plain average, four draws
halve the standard deviation. Do you expect fewer here, or more?
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check
from mrtlab.theory import retraining_law

truth = np.array([16, 8, 4, 2, 1]) / 31
answer = ...
check("ch1.spread", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check
from mrtlab.theory import retraining_law

truth = np.array([16, 8, 4, 2, 1]) / 31
answer, one = 1, retraining_law(truth, 1, smoothing=0.1).sd
while retraining_law(truth, answer, smoothing=0.1).sd > one / 2:
    answer = answer + 1
check("ch1.spread", answer)
""",
    check=NumberCheck(
        target=_answers_until_sd(0.5),
        whole=True,
        hint="Compute the standard deviation for n = 1, 2, 3, … and stop when it is at most half the first.",
        why="Twice as many as for an average: the loss follows the share of the truth that the memory missed, and that "
        "share stays a gamble until the common answers are all in.",
        carry_on="Carry on: compare n = 1 with n = 2. Did the second answer lower the spread at all?",
        slips=(
            (4, "That is the rule for an average, 1/√n. The loss of a memory is no average of its answers."),
            (_answers_until_sd(0.5**0.5), "That halves the variance. The question asks for the standard deviation."),
            (_answers_until_sd(0.5) - 1, "One too few: there the spread is still above half."),
            (_answers_until_sd(0.5) + 1, "One too many: one answer fewer is enough."),
            (_answers_until_sd(0.25), "That divides the spread by four. Half is enough."),
        ),
    ),
    mistakes=(
        (lambda: 4, "rule for an average"),
        (lambda: _answers_until_sd(0.5) - 1, "One too few"),
        (lambda: _answers_until_sd(0.5) + 1, "One too many"),
        (lambda: _answers_until_sd(0.5**0.5), "halves the variance"),
        (lambda: retraining_law(_HALVING, 8).sd, "whole number"),
        (lambda: True, "comparison"),
    ),
)

_PAIR_MATCHED = Exercise(
    id="ch1.pair_matched",
    title="One each, or eight each to a few?",
    difficulty=3,
    minutes=12,
    text="""
We can pay for 960 training answers and have 960 different questions. Do we give one answer to each question, or
eight answers to each of 120 questions and nothing to the other 840? The memory learns each question alone: an answer
to one question says nothing about another.

Write `mean_loss(k, smoothing)`: the expected test loss averaged over **all** 960 questions when 960/k of them get k
answers each. `retraining_law(truth, n, smoothing=smoothing).mean` gives it for one question with n answers. Then
compare k = 1 with k = 8, once for a trusting memory (smoothing 0.1) and once for a cautious one (smoothing 5.0).
Which wins?
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check
from mrtlab.theory import retraining_law

truth = np.array([16, 8, 4, 2, 1]) / 31

def mean_loss(k, smoothing):
    return ...

check("ch1.pair_matched", mean_loss)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check
from mrtlab.theory import retraining_law

truth = np.array([16, 8, 4, 2, 1]) / 31

def mean_loss(k, smoothing):
    trained, untrained = (retraining_law(truth, n, smoothing=smoothing).mean for n in (k, 0))
    return trained / k + untrained * (1 - 1 / k)

check("ch1.pair_matched", mean_loss)
""",
    check=FunctionCheck(
        reference=_mean_loss,
        cases=lambda rng: [
            (8, 0.1),
            (1, 0.1),
            (8, 5.0),
            (1, 5.0),
            *((k, float(rng.uniform(0.05, 4))) for k in (2, 4, 16)),
        ],
        hint="A share 1/k of the questions has n = k answers; the rest has n = 0 and still counts.",
        why="It depends. One each against eight each: "
        f"{_mean_loss(1, 0.1):.2f} against {_mean_loss(8, 0.1):.2f} nats at smoothing 0.1, where eight each wins, and "
        f"{_mean_loss(1, 5.0):.3f} against {_mean_loss(8, 5.0):.3f} at 5, where one each wins. A trusting memory takes "
        "one answer for the whole truth and pays for it; a cautious one gains a little from every question.",
        carry_on=f"Carry on: leaving all 960 answers unread costs {_loss_after(0, 0.1, _HALVING):.3f}. Which of the "
        "four beat that? And at which smoothing does the winner change?",
        slips=(
            (
                lambda k, s: _loss_after(k, s, _HALVING),
                "That is the loss on the questions that got answers. The others are tested too, with n = 0.",
            ),
            (
                lambda k, s: (_loss_after(k, s, _HALVING) + _loss_after(0, s, _HALVING)) / 2,
                "That weighs the two groups equally. A share 1/k of the questions got answers, 1 − 1/k got none.",
            ),
            (
                lambda k, s: _loss_after(0, s, _HALVING) / k + (1 - 1 / k) * _loss_after(k, s, _HALVING),
                "The two shares are swapped: 1/k of the questions got answers.",
            ),
            (
                lambda k, s: _loss_after(1, s, _HALVING) / k + (1 - 1 / k) * _loss_after(0, s, _HALVING),
                "The trained questions have n = k answers each, not one.",
            ),
            (
                lambda k, s: _QUESTIONS * _mean_loss(k, s),
                "That is the sum over the 960 questions. Divide by 960 for the average.",
            ),
            (
                lambda k, s: _mean_loss(k, 0.1),
                "The result does not change with `smoothing`. Pass it on: `smoothing=smoothing`.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda k, s: retraining_law(_HALVING, k, smoothing=s).mean, "tested too"),
        (lambda: lambda k, s: np.mean([_loss_after(n, s, _HALVING) for n in (k, 0)]), "equally"),
        (
            lambda: lambda k, s: _loss_after(k, s, _HALVING) * (1 - 1 / k) + _loss_after(0, s, _HALVING) / k,
            "swapped",
        ),
        (lambda: lambda k, s: 960 / k * _loss_after(k, s, _HALVING) + (960 - 960 / k) * np.log(5), "sum over"),
        (lambda: lambda k, s: _loss_after(k, 0.1, _HALVING) / k + (1 - 1 / k) * np.log(5), "smoothing=smoothing"),
        (lambda: lambda k, s: retraining_law(_HALVING, k, smoothing=s), "expected numbers"),
        (lambda: lambda k: retraining_law(_HALVING, k).mean, "raised `TypeError"),
    ),
)

EXERCISES = (_MEMORY_FN, _ONE_OR_NONE, _SPREAD, _PAIR_MATCHED)
