"""Chapter 2, prompts or responses: planning a data set and measuring what the plan needs."""

import numpy as np

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck
from mrtlab.theory import Components, estimate_components, optimal_k, pair_matched_variance, plan, token_variance

_ONE_TO_FOUR = Components(prompt=1.0, response=4.0)
_ONE_TO_SEVEN = Components(prompt=1.0, response=7.0)
_PROMPT_TOKENS, _RESPONSE_TOKENS = 1024, 128
_K_TOKENS = float(optimal_k(_ONE_TO_FOUR, _PROMPT_TOKENS, _RESPONSE_TOKENS))


def _tokens(k: float | int) -> float:
    """Variance times tokens at this K, the prompt computed once."""
    cost = token_variance(_ONE_TO_FOUR, k, prompt_tokens=_PROMPT_TOKENS, response_tokens=_RESPONSE_TOKENS)
    return float(cost.shared)


_GAIN = _tokens(1) / _tokens(_K_TOKENS)


def _components(table: np.ndarray) -> np.ndarray:
    found = estimate_components(table).components
    return np.array([found.prompt, found.response], dtype=float)


def _anova(
    table: np.ndarray, *, shared: float | int = 1, between: int = 1, within: int = 1, cut: bool = True
) -> np.ndarray:
    """The estimator with each of its details as a dial, for the slips."""
    k = table.shape[1]
    v_y = table.var(axis=1, ddof=within).mean()
    v_x = table.mean(axis=1).var(ddof=between) - shared * v_y / k
    return np.array([max(v_x, 0.0) if cut else v_x, v_y])


def _noisy(rng: np.random.Generator, n_prompts: int, k: int, spread: float) -> np.ndarray:
    return rng.normal(size=(n_prompts, 1)) * spread + rng.normal(size=(n_prompts, k)) + 3


_PAIR_MATCHED = Exercise(
    id="ch2.pair_matched",
    title="Four hundred pairs",
    difficulty=2,
    minutes=5,
    text=r"""
What you can afford is 400 prompt–answer pairs, and a prompt costs nothing extra. You take 400 prompts with one answer
each; a friend takes 100 prompts with $K = 4$ answers each. $V_x = 1$ and $V_{y \mid x} = 4$.

**How many times as large as yours is your friend's variance?** Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch2.pair_matched", answer)
""",
    solution="""
from mrtlab.show.exercises import check
from mrtlab.theory import Components, variance

components = Components(prompt=1, response=4)
answer = variance(components, 100, 4) / variance(components, 400, 1)
check("ch2.pair_matched", answer)
""",
    check=NumberCheck(
        target=float(pair_matched_variance(_ONE_TO_FOUR, 400, 4) / pair_matched_variance(_ONE_TO_FOUR, 400, 1)),
        hint="Both have 400 answers, so the part of the answers is equal. How many prompts share the rest?",
        why="The answers' part is 4/400 for both. The prompts' part is 1/100 against 1/400.",
        carry_on="Carry on: is there any V_{y|x} for which your friend wins? What would a price for prompts change?",
        slips=(
            (5 / 8, "That is yours over your friend's. The question asks for the inverse."),
            (2 / 5, "That gives your friend 400 prompts too, 1,600 pairs in all."),
            (4.0, "Only the prompts' part is four times as large; the answers' part is equal."),
            (1.0, "Equal pairs are not equal information: four answers to one prompt share its luck."),
            (1.6**0.5, "That is the ratio of the standard errors. Square it."),
            (0.02, "That is your friend's variance. Divide it by yours."),
            (0.0125, "That is your variance. Divide your friend's by it."),
        ),
    ),
    mistakes=(
        (lambda: (1 / 400 + 4 / 400) / (1 / 100 + 4 / 400), "the inverse"),
        (lambda: (1 + 4 / 4) / (1 + 4), "1,600 pairs"),
        (lambda: 4, "answers' part is equal"),
        (lambda: 1, "share its luck"),
        (lambda: np.sqrt(1.6), "standard errors"),
        (lambda: 1 / 100 + 4 / 400, "Divide it by yours"),
    ),
)

_TOKENS = Exercise(
    id="ch2.tokens",
    title="A long prompt, read once",
    difficulty=2,
    minutes=8,
    text=r"""
Prompts are $P = 1024$ tokens long, answers $R = 128$. $V_x = 1$ and $V_{y \mid x} = 4$. Training computes the prompt
once and lets its $K$ answers share it, so a prompt costs $P$ and an answer $R$.

**For the same number of tokens, how many times smaller is the variance at the best real $K$ than at $K = 1$?** Two
decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

def variance_times_tokens(k):
    return (1 + 4 / k) * (1024 + k * 128)

answer = ...
check("ch2.tokens", answer)
""",
    solution="""
from mrtlab.show.exercises import check

def variance_times_tokens(k):
    return (1 + 4 / k) * (1024 + k * 128)

best = (4 * 1024 / 128) ** 0.5
answer = variance_times_tokens(1) / variance_times_tokens(best)
check("ch2.tokens", answer)
""",
    check=NumberCheck(
        target=_GAIN,
        hint="K* = √(P·V_{y|x} / (R·V_x)). Then compare the variance times the tokens at 1 and at K*.",
        why="At K* = 5.7 the prompt is paid for once and heard nearly six times.",
        carry_on="Carry on: with a copy of the prompt for every answer, the cost is K·(P + R). Which K is best then?",
        slips=(
            (_K_TOKENS, "That is K*. Put it into the function, and K = 1 too."),
            (
                1 / _GAIN,
                "That is the inverse, or it pays for the prompt once per answer. How many times *smaller*?",
            ),
            (_GAIN**0.5, "That is the gain of the standard error. The variance is its square."),
            (1.0, "No gain at all? K = 32 does no better than K = 1, but 32 is K* squared: take the root."),
            (
                (1 + 4) / (1 + 4 / _K_TOKENS),
                "That compares equal prompts. More answers also cost tokens: multiply by P + K·R.",
            ),
        ),
    ),
    mistakes=(
        (lambda: np.sqrt(4 * 1024 / 128), "Put it into the function"),
        (lambda: (1 + 4 / 5.657) * (1024 + 5.657 * 128) / (5 * 1152), "the inverse"),
        (lambda: 1.9302**0.5, "standard error"),
        (lambda: 1, "No gain at all"),
        (lambda: 5 / (1 + 4 / np.sqrt(32)), "also cost tokens"),
        (lambda: 5 * 1152 / ((1 + 4 / 32) * (1024 + 32 * 128)), "take the root"),
    ),
)

_PLAN = Exercise(
    id="ch2.plan",
    title="Whole prompts only",
    difficulty=2,
    minutes=8,
    text=r"""
$B = 400$, $C_p = 4$, $C_r = 1$, $V_x = 1$ and $V_{y \mid x} = 7$. The formula says $K^\star = \sqrt{28} \approx 5.3$.
But prompts come in whole numbers: with $K$ answers each you can buy $\lfloor 400/(4 + K) \rfloor$ of them.

**Which whole $K$ leaves the least variance?**
""",
    stub="""
from mrtlab.show.exercises import check

def variance_left(k):
    return (1 + 7 / k) / (400 // (4 + k))

answer = ...
check("ch2.plan", answer)
""",
    solution="""
from mrtlab.show.exercises import check

def variance_left(k):
    return (1 + 7 / k) / (400 // (4 + k))

answer = min(range(1, 33), key=variance_left)
check("ch2.plan", answer)
""",
    check=NumberCheck(
        target=plan(_ONE_TO_SEVEN, 4, 1, 400).k,
        whole=True,
        hint="Try every K from 1 to 32 in `variance_left` and keep the one that leaves the least.",
        why="K = 5 leaves 4 of the 400 unspent, K = 6 spends all of it. The optimum is so flat that this decides.",
        carry_on="Carry on: what does `plan(Components(1, 7), 4, 1, 400)` from `mrtlab.theory` say about K = 1?",
        slips=(
            (5, "That is K* rounded. It buys 44 prompts and leaves 4 of the 400 unspent: look at its neighbours."),
            (4, "K = 4 buys 50 whole prompts, and two other K leave less still."),
            (32, "That is where the variance per *prompt* is least. Every answer also costs."),
            (1, "K = 1 buys the most prompts, 80, and leaves 85 % more variance than need be."),
            (44, "That is a number of prompts. Which K?"),
            (40, "That is the number of prompts it buys. Which K?"),
        ),
    ),
    mistakes=(
        (lambda: round(28**0.5), "look at its neighbours"),
        (lambda: 4, "leave less still"),
        (lambda: max(range(1, 33)), "also costs"),
        (lambda: 1, "85 %"),
        (lambda: 400 // 9, "Which K?"),
        (lambda: 28**0.5, "whole number"),
    ),
)

_ESTIMATE_FN = Exercise(
    id="ch2.estimate_fn",
    title="Measure the two variances",
    difficulty=3,
    minutes=15,
    text=r"""
A planner needs $V_x$ and $V_{y \mid x}$, and you have a table of losses: one row per prompt, $K$ answers in each row.
Write `components(table)` that returns both as an array, $V_x$ first.

$V_{y \mid x}$ is the easy one. For $V_x$, look at the variance of the row means: it is too large, because each mean
still carries the luck of its $K$ answers. By how much? An estimate of $V_x$ below 0 counts as 0.

`components(np.array([[0., 2.], [4., 6.]]))` should be `[7., 2.]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def components(table):
    return ...

check("ch2.estimate_fn", components)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def components(table):
    within = table.var(axis=1, ddof=1).mean()
    between = table.mean(axis=1).var(ddof=1) - within / table.shape[1]
    return np.array([max(between, 0), within])

check("ch2.estimate_fn", components)
""",
    check=FunctionCheck(
        reference=_components,
        cases=lambda rng: [
            (np.array([[0.0, 2.0], [4.0, 6.0]]),),
            (np.array([[0.0, 4.0, 2.0], [2.0, 4.0, 0.0]]),),
            *((_noisy(rng, n, k, 2.0),) for n, k in ((5, 3), (8, 2), (4, 6))),
        ],
        hint="V_{y|x}: the mean of the rows' variances, with `ddof=1`. A mean of K answers keeps V_{y|x}/K of it.",
        why="The variance of the row means is V_x + V_{y|x}/K on average, so we take the second part away.",
        carry_on="Carry on: `estimate_components` does this for rows of unequal length and says how sure it is.",
        slips=(
            (
                lambda t: _anova(t, shared=0.0),
                "That is the variance of the row means as it is. Each mean still carries V_{y|x}/K: take it away.",
            ),
            (
                lambda t: _anova(t, shared=t.shape[1]),
                "You take away all of V_{y|x}. The mean of K answers carries only V_{y|x}/K.",
            ),
            (
                lambda t: _anova(t, within=0),
                "Inside the rows, divide by K − 1: `ddof=1`. numpy's default divides by K.",
            ),
            (
                lambda t: _anova(t, between=0),
                "For the row means, divide by the number of prompts minus 1: `ddof=1`.",
            ),
            (lambda t: _anova(t, between=0, within=0), "numpy's default divides by n. Use `ddof=1`, twice."),
            (lambda t: _anova(t, cut=False), "Right, but a variance is never below 0: there, return 0."),
            (lambda t: _anova(t)[::-1], "The two have changed places: V_x comes first."),
            (
                lambda t: np.array([max(t.var(ddof=1) - _anova(t)[1], 0.0), _anova(t)[1]]),
                "The variance of the whole table mixes both parts. Use the row means.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda t: np.array([t.mean(1).var(ddof=1), t.var(1, ddof=1).mean()]), "take it away"),
        (lambda: lambda t: _anova(t, within=0), "divide by K − 1"),
        (lambda: lambda t: _anova(t, between=0), "number of prompts minus 1"),
        (lambda: lambda t: _anova(t, between=0, within=0), "twice"),
        (lambda: lambda t: _anova(t, cut=False), "never below 0"),
        (lambda: lambda t: _anova(t)[::-1], "changed places"),
        (lambda: lambda t: t.var(axis=1, ddof=1).mean(), "gives one number"),
    ),
)

EXERCISES = (_PAIR_MATCHED, _TOKENS, _PLAN, _ESTIMATE_FN)
