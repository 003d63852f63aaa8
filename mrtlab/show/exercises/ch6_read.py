"""Chapter 6, multi-response training of a language model: which checkpoint to report, and which curve fits."""

import numpy as np
from scipy.special import ndtr

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck


def _report(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    rows, chosen = np.arange(len(test)), validation.argmin(axis=1)
    return np.array([test[:, -1].mean(), test[rows, chosen].mean(), test.min(axis=1).mean()])


def _report_but(place: int, value: object) -> object:
    """The report with one number replaced, for the slips."""

    def report(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
        found = _report(validation, test)
        found[place] = value(validation, test)
        return found

    return report


_HONEST = Exercise(
    id="ch6.honest",
    title="Which checkpoint do you report?",
    difficulty=2,
    minutes=7,
    text=r"""
Runs are looked at along the way: `validation` and `test` are tables of KL to the truth, one row per run, one
column per checkpoint. Write `report(validation, test)`, three means over the runs:

1. the test KL at the end of the run;
2. the test KL at the checkpoint where that run's validation KL is lowest;
3. the test KL at the checkpoint where that run's test KL is lowest. That one peeks.

`report(np.array([[6, 1, 3, 4]]), np.array([[5, 2, 1, 4]]))` should be `[4, 2, 1]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def report(validation, test):
    return ...

check("ch6.honest", report)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def report(validation, test):
    chosen = validation.argmin(axis=1)
    kept = test[np.arange(len(test)), chosen]
    return [test[:, -1].mean(), kept.mean(), test.min(axis=1).mean()]

check("ch6.honest", report)
""",
    check=FunctionCheck(
        reference=_report,
        cases=lambda rng: [
            (np.array([[6.0, 1.0, 3.0, 4.0]]), np.array([[5.0, 2.0, 1.0, 4.0]])),
            *((rng.gamma(4, size=(5, 8)), rng.gamma(4, size=(5, 8))) for _ in range(2)),
        ],
        hint="`argmin(axis=1)` finds a column for every run. `test[np.arange(len(test)), columns]` looks it up.",
        why="The second number chooses without seeing the test, so it may be compared between arms. The third is never "
        "above it, for luck as much as for skill.",
        carry_on="Carry on: an arm with more checkpoints peeks more. What does that do to a comparison of K = 1, "
        "looked at along sixteen passes, with K = 16, looked at once?",
        slips=(
            (
                _report_but(1, lambda v, t: v.min(axis=1).mean()),
                "The second number is the validation KL there, which chose and so flatters. Look the *test* KL up.",
            ),
            (
                _report_but(1, lambda v, t: t[:, v.mean(axis=0).argmin()].mean()),
                "The second number takes one checkpoint for all runs. Each run has its own validation.",
            ),
            (
                _report_but(2, lambda v, t: t.mean(axis=0).min()),
                "The third number takes one checkpoint for all runs. Each run peeks by itself.",
            ),
            (
                _report_but(2, lambda v, t: t.min()),
                "The third number is the best of all runs. It is the mean over runs of each one's best.",
            ),
            (_report_but(0, lambda v, t: t[:, 0].mean()), "The first number is of the first checkpoint, not the last."),
            (
                _report_but(1, lambda v, t: t[np.arange(len(t)), v.argmax(axis=1)].mean()),
                "The second number takes the *worst* checkpoint: KL is a loss, so look for the minimum.",
            ),
            (lambda v, t: _report(v, t)[[0, 2, 1]], "The last two are in the other order: peeking comes third."),
            (lambda v, t: _report(t, v), "Validation and test have changed places."),
        ),
    ),
    mistakes=(
        (lambda: _report_but(1, lambda v, t: v.min(axis=1).mean()), "flatters"),
        (lambda: _report_but(1, lambda v, t: t[:, v.mean(axis=0).argmin()].mean()), "its own validation"),
        (lambda: _report_but(2, lambda v, t: np.min(t)), "best of all runs"),
        (lambda: _report_but(0, lambda v, t: t[:, 0].mean()), "not the last"),
        (lambda: lambda validation, test: _report(test, validation), "changed places"),
        (lambda: lambda validation, test: test[:, -1].mean(), "expected 3 numbers"),
    ),
)


def _lowest_of(n: int) -> float:
    """Mean of the lowest of n standard normal numbers, −∫ x n φ(x) Φ(x)^(n−1) dx."""
    x, step = np.linspace(-10, 10, 20_001, retstep=True)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return -float(np.sum(x * n * density * ndtr(x) ** (n - 1)) * step)


_PEEKING = Exercise(
    id="ch6.peeking",
    title="The price of peeking",
    difficulty=1,
    minutes=5,
    text=r"""
A run has eight checkpoints, and in truth they are equally good: the KL of each is 0.90. Test questions are few, so a
measured KL misses the truth by a normal error of standard deviation 0.10, for each checkpoint anew.

Someone measures all eight on the test questions and reports the lowest.

**What is reported on average?** Guess, then draw it many times. Two decimals are enough.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

guess = 0.9
rng = np.random.default_rng(0)
answer = ...
check("ch6.peeking", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

rng = np.random.default_rng(0)
measured = rng.normal(0.90, 0.10, size=(100_000, 8))
answer = measured.min(axis=1).mean()
check("ch6.peeking", answer)
""",
    check=NumberCheck(
        target=0.9 + 0.1 * _lowest_of(8),
        hint="`rng.normal(0.90, 0.10, size=(100_000, 8))` is a hundred thousand such runs. Take each one's lowest.",
        why="The lowest of eight lies 1.42 standard deviations below their mean. Nothing was learned, and 0.14 nats "
        "were won.",
        carry_on="Carry on: measure the chosen checkpoint again on new questions. What is reported now? And how much "
        "does peeking win if the errors of the eight are nearly the same, because the questions are?",
        slips=(
            (
                0.9,
                "That is the truth, and what an honest report gives. The lowest of eight measurements lies below it.",
            ),
            (0.8, "One standard deviation below. The lowest of eight lies further down on average."),
            (
                0.9 - 0.1 / np.sqrt(8),
                "That is one standard error of the *mean* of eight. The question is their lowest.",
            ),
            (
                0.9 - 0.1 * np.sqrt(2 * np.log(8)),
                "Two standard deviations, √(2 ln n), is a rule for very large n. Eight is too few.",
            ),
            (0.9 - 0.1 * _lowest_of(8), "That is the highest of eight. Lower KL is better."),
            (-0.1 * _lowest_of(8), "That is how far the report lies below the truth. What is reported?"),
        ),
    ),
    mistakes=(
        (lambda: 0.9, "what an honest report gives"),
        (lambda: 0.9 - 0.1, "further down"),
        (lambda: 0.9 - 0.1 / np.sqrt(8), "of the *mean*"),
        (lambda: 0.9 - 0.1 * np.sqrt(2 * np.log(8)), "Eight is too few"),
        (lambda: np.random.default_rng(0).normal(0.9, 0.1, size=(100_000, 8)).max(axis=1).mean(), "highest of eight"),
        (lambda: np.random.default_rng(0).normal(0.9, 0.1, size=8), "asks for one number"),
    ),
)


def _explained(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What a line in x explains of each row: R² times the row's sum of squares, which every x shares."""
    centred = x - x.mean()
    return (rows @ centred) ** 2 / (centred @ centred)


def _share(means: np.ndarray) -> float:
    """In which share of rows the logarithm fits better."""
    k = 2.0 ** np.arange(means.shape[1])
    return float(np.mean(_explained(np.log(k), means) > _explained(1 / k, means)))


def _log_better(losses: np.ndarray, drawn: np.ndarray) -> float:
    return _share(losses[drawn].mean(axis=1))


def _losses(rng: np.random.Generator, seeds: int) -> np.ndarray:
    """Losses between the two laws, noisy enough for resamples to disagree."""
    k = 2.0 ** np.arange(5)
    between = 1.4 + 0.12 / k - 0.02 * np.log2(k)
    return between + rng.normal(scale=0.03, size=(seeds, 5))


def _two_seeds() -> np.ndarray:
    """One seed on a line in 1/K, one on a line in log K; the second is the steeper."""
    return np.array([[1.4, 1.2, 1.1, 1.05, 1.025], [2.0, 1.8, 1.6, 1.4, 1.2]])


_CURVE = Exercise(
    id="ch6.curve",
    title="1/K or log K?",
    difficulty=3,
    minutes=14,
    text=r"""
The loss after training falls with $K$. Along $a + b/K$, so that it levels off, or along $a + b \log K$, so that every
doubling gains the same? With five values of $K$ and noisy runs the better $R^2$ may be luck.

`losses` has one row per seed and the columns $K = 1, 2, 4, 8, 16$. Each row of `drawn` is one resample: the seeds
drawn, with replacement. Write `log_better(losses, drawn)`, the share of resamples in which the *mean* losses over the
drawn seeds have the higher $R^2$ in $\log K$ than in $1/K$.

Try it on two seeds, the first on a line in $1/K$, the second on a line in $\log K$: with
`losses = np.array([[1.4, 1.2, 1.1, 1.05, 1.025], [2, 1.8, 1.6, 1.4, 1.2]])` and
`drawn = np.array([[0, 0], [1, 1], [1, 1], [1, 1]])` it should be 0.75.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def r2(x, y):
    return np.corrcoef(x, y)[0, 1] ** 2

def log_better(losses, drawn):
    return ...

check("ch6.curve", log_better)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def r2(x, y):
    return np.corrcoef(x, y)[0, 1] ** 2

def log_better(losses, drawn):
    k, means = 2.0 ** np.arange(5), losses[drawn].mean(axis=1)
    return np.mean([r2(np.log(k), m) > r2(1 / k, m) for m in means])

check("ch6.curve", log_better)
""",
    check=FunctionCheck(
        reference=_log_better,
        cases=lambda rng: [
            (_two_seeds(), np.array([[0, 0], [1, 1], [1, 1], [1, 1]])),
            *((_losses(rng, n), rng.integers(n, size=(100, n))) for n in (5, 7)),
        ],
        hint="`losses[drawn]` has the shape (resamples, seeds, 5): average over its middle axis. Then compare the two "
        "R² of each row.",
        why="A whole seed is drawn at a time, so losses of one seed stay together. A share near ½ means: these seeds "
        "cannot tell.",
        carry_on="Carry on: the authors' losses at K = 1 to 16, one seed, are 1.5564, 1.5150, 1.4879, 1.4619, 1.4414. "
        "Which R² is higher? How would you say how sure that is, with one seed?",
        slips=(
            (
                lambda losses, drawn: 1 - _log_better(losses, drawn),
                "That is the share in which 1/K fits better. Turn the comparison around.",
            ),
            (
                lambda losses, drawn: _share(losses),
                "That asks each seed by itself and never looks at `drawn`.",
            ),
            (
                lambda losses, drawn: _share(losses.mean(axis=0)[None]),
                "That is one comparison, of the mean over all seeds. Make it for every resample.",
            ),
            (
                lambda losses, drawn: float(np.mean([_share(losses[rows]) for rows in drawn])),
                "That compares seed by seed. In each resample average the losses over its seeds first, then compare.",
            ),
            (
                lambda losses, drawn: _log_better(losses, drawn) * len(drawn),
                "That counts the resamples. Divide by how many there are.",
            ),
            (
                lambda losses, drawn: _log_better(losses, drawn) * 100,
                "That is in per cent. Give the share, from 0 to 1.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda losses, drawn: 1 - _log_better(losses, drawn), "Turn the comparison"),
        (lambda: lambda losses, drawn: _share(losses), "never looks at `drawn`"),
        (lambda: lambda losses, drawn: _share(losses.mean(axis=0, keepdims=True)), "for every resample"),
        (lambda: lambda losses, drawn: np.mean([_share(losses[rows]) for rows in drawn]), "average the losses"),
        (lambda: lambda losses, drawn: 100 * _log_better(losses, drawn), "per cent"),
        (lambda: lambda losses, drawn: _log_better(losses, drawn) > 0.5, "expected numbers"),
    ),
)

EXERCISES = (_HONEST, _PEEKING, _CURVE)
