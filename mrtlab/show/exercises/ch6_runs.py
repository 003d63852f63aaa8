"""Chapter 6, multi-response training of a language model: planning, comparing and reading runs."""

import numpy as np

from mrtlab.show.exercises import ch6_read
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck

_PRICE = Exercise(
    id="ch6.price",
    title="How long must a prompt be?",
    difficulty=2,
    minutes=7,
    text=r"""
At equal *pairs* one response per prompt is always best: the variance is $(K V_x + V_{y \mid x})/M$ and rises with $K$.
What can change that is a price for prompts. A tree feeds the prompt once, so $N_p$ prompts cost $N_p(P + K R)$ tokens.

The gradient of a model has $V_x = 1$ and $V_{y \mid x} = 4$, and responses have $R = 5$ tokens. We may train with
$K = 1, 2, 4, 8$ or $16$, all at the same number of tokens.

**From which prompt length $P$ on is $K = 4$ the best of these?** A real number; do not round to whole prompts.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch6.price", answer)
""",
    solution="""
from mrtlab.show.exercises import check

# (1 + 4/2)(P + 2·5) = (1 + 4/4)(P + 4·5), so 3 P + 30 = 2 P + 40
answer = (2 * 20 - 3 * 10) / (3 - 2)
check("ch6.price", answer)
""",
    check=NumberCheck(
        target=10.0,
        hint="Variance times tokens is (V_x + V_y|x/K)(P + K R). Which other K is the last to be beaten by 4?",
        why="There K = 2 and K = 4 tie. Two K tie where V_y|x/V_x · P/R is their product, here 8. K* is then √8, "
        "between the two.",
        carry_on="Carry on: and from which length on is K = 8 better still? Ask `plan` which whole K it would take in "
        "between, and what K = 4 costs beyond that.",
        slips=(
            (20.0, "There K* is 4, the best of all real K. In this list 4 is the best well before that."),
            (5.0, "There 4 beats K = 1. K = 2 does still better at that length."),
            (15.0, "There 4 beats K = 3, which is not in the list."),
            (40.0, "From there on K = 8 beats 4. Where does 4 begin to be the best?"),
            (0.0, "At P = 0 only responses cost, as at equal pairs, and K = 1 is the best."),
            (160.0, "V_y|x/V_x stands in the wrong place: where responses differ more, K = 4 pays sooner."),
            (0.4, "P/R stands upside down: longer responses need *longer* prompts before K = 4 pays."),
            (2.0, "That is P/R, the price of a prompt in responses. Times R = 5 tokens."),
        ),
    ),
    mistakes=(
        (lambda: 4**2 / 4 * 5, "well before that"),
        (lambda: 1 * 4 / 4 * 5, "K = 2 does still better"),
        (lambda: 15, "not in the list"),
        (lambda: 4 * 8 / 4 * 5, "begin to be the best"),
        (lambda: 0, "as at equal pairs"),
        (lambda: 8 / 4, "Times R"),
    ),
)


def _step_variance(v_x: float, v_yx: float, n_prompts: int, k: int, batch: int) -> float:
    same = (k - 1) / (n_prompts * k - 1)
    return v_x * (1 + (batch - 1) * same) / batch + v_yx / batch


def _step_if(same_prompt: str) -> object:
    """The step's variance with another chance that two of its pairs share a prompt, for the slips."""
    chances = {
        "with replacement": lambda n, k: 1 / n,
        "not the pair itself": lambda n, k: k / (n * k - 1),
        "of all pairs": lambda n, k: (k - 1) / (n * k),
    }
    chance = chances[same_prompt]
    return lambda v_x, v_yx, n, k, b: v_x * (1 + (b - 1) * chance(n, k)) / b + v_yx / b


_STEP = Exercise(
    id="ch6.step",
    title="What one update sees",
    difficulty=3,
    minutes=14,
    text=r"""
A data set has `n_prompts` prompts with `k` responses each. All pairs are shuffled, and an update takes `batch` of them,
none twice. A pair's gradient is the sum of a part of its prompt, with variance `v_x`, and a part of its own, with
variance `v_yx`; pairs of one prompt share the first. Prompts and responses are fresh draws.

Write `step_variance(v_x, v_yx, n_prompts, k, batch)`, the variance of the mean gradient of one update. To recall: the
mean of $b$ numbers of variance $v$, any two of them with covariance $c$, has variance $(v + (b - 1)\,c)/b$.

`step_variance(3, 8, 2, 2, 2)` should be 6: of the three other pairs one has the same prompt.
""",
    stub="""
from mrtlab.show.exercises import check

def step_variance(v_x, v_yx, n_prompts, k, batch):
    return ...

check("ch6.step", step_variance)
""",
    solution="""
from mrtlab.show.exercises import check

def step_variance(v_x, v_yx, n_prompts, k, batch):
    same_prompt = (k - 1) / (n_prompts * k - 1)
    covariance = v_x * same_prompt
    return (v_x + v_yx + (batch - 1) * covariance) / batch

check("ch6.step", step_variance)
""",
    check=FunctionCheck(
        reference=_step_variance,
        cases=lambda rng: [
            (3.0, 8.0, 2, 2, 2),
            (1.0, 8.0, 512, 16, 16),
            (1.0, 8.0, 512, 1, 16),
            (*(float(v) for v in rng.uniform(1, 9, size=2)), 20, 4, 8),
            (*(float(v) for v in rng.uniform(1, 9, size=2)), 6, 8, 32),
        ],
        hint="Take one pair of the update. How many pairs are left, and how many of them have its prompt? That chance "
        "times v_x is the covariance.",
        why="With 512 prompts of 16 responses an update of 16 pairs hardly meets a prompt twice: V_x counts 1.03/16. "
        "So in a few updates K should hardly matter; what it costs shows when the same prompts come back.",
        carry_on="Carry on: what is it if an update takes one prompt with all its 16 responses? How many times as "
        "much, with v_x = 1 and v_yx = 8? Would you shuffle prompts or pairs?",
        slips=(
            (
                lambda v_x, v_yx, n, k, b: (v_x + v_yx) / b,
                "That takes all pairs for independent, as at K = 1. Some of them share a prompt.",
            ),
            (
                lambda v_x, v_yx, n, k, b: v_x * k / b + v_yx / b,
                "That is an update of whole prompts, all k responses together. Here the pairs are shuffled.",
            ),
            (_step_if("with replacement"), "Very near: 1/n_prompts would be right if a pair could be drawn twice."),
            (_step_if("not the pair itself"), "Of a prompt's k pairs one is taken already: k − 1 are left."),
            (_step_if("of all pairs"), "One pair is taken already, so n·k − 1 are left."),
            (
                lambda v_x, v_yx, n, k, b: v_x / n + v_yx / (n * k),
                "That is the mean over the whole data set. An update sees `batch` pairs of it.",
            ),
            (
                lambda v_x, v_yx, n, k, b: (v_x + v_yx) * (1 + (b - 1) * (k - 1) / (n * k - 1)) / b,
                "Pairs of one prompt share the prompt's part only: v_yx has no covariance.",
            ),
            (
                lambda v_x, v_yx, n, k, b: _step_variance(v_x, v_yx, n, k, b) * b,
                "That is `batch` times the variance of the mean.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda v_x, v_yx, n_prompts, k, batch: (v_x + v_yx) / batch, "share a prompt"),
        (lambda: lambda v_x, v_yx, n_prompts, k, batch: v_x / (batch / k) + v_yx / batch, "pairs are shuffled"),
        (lambda: _step_if("with replacement"), "drawn twice"),
        (lambda: _step_if("not the pair itself"), "k − 1 are left"),
        (lambda: lambda v_x, v_yx, n_prompts, k, batch: v_x / n_prompts + v_yx / (n_prompts * k), "whole data set"),
        (lambda: 6, "the function itself"),
    ),
)


def _controls(n: int, k: int, batch: int) -> np.ndarray:
    return np.array(
        [
            [n, k, n / batch, 1 / k],
            [n, 1, n * k / batch, k],
            [n * k, 1, n * k / batch, 1],
        ],
        dtype=float,
    )


def _controls_but(row: int, column: int, value: object) -> object:
    """The table with one number replaced, for the slips."""

    def table(n: int, k: int, batch: int) -> np.ndarray:
        found = _controls(n, k, batch)
        found[row, column] = value(n, k, batch)
        return found

    return table


_CONTROLS = Exercise(
    id="ch6.controls",
    title="An unfair race",
    difficulty=2,
    minutes=8,
    text=r"""
Two runs, `n` prompts each, every pair read once, `batch` pairs an update:

| run | responses per prompt | pairs | updates |
| --- | --- | --- | --- |
| A | `k` | `n·k` | `n·k/batch` |
| B | 1 | `n` | `n/batch` |

A has the lower loss. Was it the responses? A also had `k` times as many pairs and updates. Write
`controls(n, k, batch)`, a table of three runs to set beside A and B, with the columns prompts, responses per prompt,
updates, passes (how often a run reads each of its pairs):

1. A, stopped after as many updates as B;
2. B, reading its pairs again and again until it has as many updates as A;
3. as many pairs and updates as A, one response per prompt, nothing read twice.

`controls(32, 4, 16)` should be `[[32, 4, 2, 0.25], [32, 1, 8, 4], [128, 1, 8, 1]]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def controls(n, k, batch):
    return ...

check("ch6.controls", controls)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def controls(n, k, batch):
    few = [n, k, n / batch, 1 / k]
    many = [n, 1, n * k / batch, k]
    fresh = [n * k, 1, n * k / batch, 1]
    return np.array([few, many, fresh])

check("ch6.controls", controls)
""",
    check=FunctionCheck(
        reference=_controls,
        cases=lambda rng: [(32, 4, 16), (512, 16, 16), (96, 2, 8)],
        hint="passes = updates · batch / pairs. Work out the updates of each run first.",
        why="B and the first run read equally many pairs; so do A and the second, which reads B's own over and over. "
        "Only the third asks whether the budget should have gone into new prompts.",
        carry_on="Carry on: in which of the three would you keep the best checkpoint by validation, and which number "
        "would change most?",
        slips=(
            (
                _controls_but(0, 3, lambda n, k, b: 1),
                "Nearly: stopped that early, the first run has read only a part of its pairs.",
            ),
            (
                _controls_but(1, 3, lambda n, k, b: 1),
                "Nearly: the second run has only n pairs, and reads each of them several times.",
            ),
            (
                _controls_but(2, 0, lambda n, k, b: n),
                "Nearly: with one response each, as many pairs as A take more than n prompts.",
            ),
            (
                _controls_but(1, 2, lambda n, k, b: n / b),
                "Nearly: the second run gets as many updates as A, that is its point.",
            ),
            (
                _controls_but(0, 2, lambda n, k, b: n * k / b),
                "Nearly: the first run gets as many updates as B, that is its point.",
            ),
            (
                lambda n, k, b: _controls(n, k, b) * [1, 1, b, 1],
                "An update reads `batch` pairs: divide the pairs by it.",
            ),
            (lambda n, k, b: _controls(n, k, b).T, "Right numbers, lying on their side: one row per run."),
            (lambda n, k, b: _controls(n, k, b)[[1, 0, 2]], "Right runs; the first two rows are in the other order."),
        ),
    ),
    mistakes=(
        (lambda: _controls_but(0, 3, lambda n, k, b: 1), "only a part of its pairs"),
        (lambda: _controls_but(1, 3, lambda n, k, b: 1), "several times"),
        (lambda: _controls_but(2, 0, lambda n, k, b: n), "more than n prompts"),
        (lambda: lambda n, k, batch: _controls(n, k, batch) * [1, 1, batch, 1], "divide the pairs"),
        (lambda: lambda n, k, batch: _controls(n, k, batch).T, "on their side"),
        (lambda: lambda n, k, batch: _controls(n, k, batch)[0], "expected a table"),
    ),
)

EXERCISES = (_PRICE, _STEP, _CONTROLS, *ch6_read.EXERCISES)
