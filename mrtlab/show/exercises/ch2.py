"""Chapter 2, prompts or responses: the variance law and its best K. The exercises on planning are in `ch2_plan`."""

import numpy as np

from mrtlab.show.exercises import ch2_plan
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck
from mrtlab.theory import Components, effective_k, optimal_k, variance


def _optimal_k(v_x: float | int, v_y: float | int, c_p: float | int, c_r: float | int) -> float:
    return float(optimal_k(Components(prompt=v_x, response=v_y), c_p, c_r))


_VARIANCE = Exercise(
    id="ch2.variance",
    title="Five prompts, three answers each",
    difficulty=1,
    minutes=3,
    text=r"""
The expected loss differs from prompt to prompt with variance $V_x = 2$. The losses of the answers to one prompt differ
with variance $V_{y \mid x} = 7$, on average. We estimate the loss from $N_p = 5$ prompts with $K = 3$ answers each.

**What is the variance of the estimate?** Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch2.variance", answer)
""",
    solution="""
from mrtlab.show.exercises import check
from mrtlab.theory import Components, variance

answer = variance(Components(prompt=2, response=7), 5, 3)
check("ch2.variance", answer)
""",
    check=NumberCheck(
        target=float(variance(Components(prompt=2.0, response=7.0), 5, 3)),
        hint="Two terms. Ask of each variance how many independent draws average it: 5 prompts, 15 answers.",
        why="Prompts are drawn five times, answers fifteen times: 2/5 + 7/15.",
        carry_on="Carry on: what is left of it when K goes to infinity?",
        slips=(
            (9 / 15, "That divides both variances by 15. Three answers to one prompt share its luck: V_x gets only 5."),
            (9 / 5, "That divides both variances by 5. The answers are averaged over 15 draws."),
            (2 / 5 + 7 / 3, "Each of the five prompts has three answers of its own: V_{y|x} is divided by 15."),
            (7 / 5 + 2 / 15, "The two variances have changed places: prompts are the scarcer draws."),
            (2 / 5, "That is the part of the prompts. The answers add theirs."),
            (7 / 15, "That is the part of the answers. The prompts add theirs."),
            ((2 / 5 + 7 / 15) ** 0.5, "That is the standard error. The question asks for its square, the variance."),
        ),
    ),
    mistakes=(
        (lambda: (2 + 7) / (5 * 3), "V_x gets only 5"),
        (lambda: (2 + 7) / 5, "averaged over 15"),
        (lambda: 2 / 5 + 7 / 3, "divided by 15"),
        (lambda: 7 / 5 + 2 / 15, "changed places"),
        (lambda: 2 / 5, "The answers add"),
        (lambda: np.sqrt(2 / 5 + 7 / 15), "standard error"),
        (lambda: {"variance": 0.87}, "Expected one number"),
    ),
)

_EFFECTIVE_K = Exercise(
    id="ch2.effective_k",
    title="Eight answers that sound alike",
    difficulty=1,
    minutes=4,
    text=r"""
A generator repeats itself: the losses of its answers to one prompt have a mean pairwise correlation of $\bar s = 0.5$.
We keep $K = 8$ answers for every prompt.

**How many independent answers are they worth?** Guess first. Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

guess = 4
answer = ...
check("ch2.effective_k", answer)
""",
    solution="""
from mrtlab.show.exercises import check
from mrtlab.theory import effective_k

answer = effective_k(8, 0.5)
check("ch2.effective_k", answer)
""",
    check=NumberCheck(
        target=float(effective_k(8, 0.5)),
        hint="Every answer has K − 1 others it resembles: divide K by 1 + (K − 1)·s̄.",
        why="8/(1 + 7·0.5): not even two. However many we keep, they are never worth more than 1/s̄ = 2.",
        carry_on="Carry on: how alike may eight answers be if they are to be worth six?",
        slips=(
            (4.0, "Half alike is not half as many. Each answer resembles all seven others."),
            (8 / (1 + 8 * 0.5), "An answer does not resemble itself anew: K − 1 others, so 7·0.5."),
            (2.0, "That is 1/s̄, what endlessly many such answers are worth. Eight are worth a little less."),
            (8 / 0.5, "Answers that are alike are worth less than eight, not more."),
            (1 + 7 * 0.5, "That is the denominator, how much the variance grows. Divide K by it."),
            (8.0, "That holds for independent answers."),
        ),
    ),
    mistakes=(
        (lambda: 8 * 0.5, "all seven others"),
        (lambda: 8 / (1 + 8 * 0.5), "K − 1 others"),
        (lambda: 1 / 0.5, "endlessly many"),
        (lambda: 8 / 0.5, "not more"),
        (lambda: 1 + 7 * 0.5, "Divide K by it"),
        (lambda: 8, "independent answers"),
    ),
)

_OPTIMAL_K_FN = Exercise(
    id="ch2.optimal_k_fn",
    title="The best K, written by you",
    difficulty=2,
    minutes=10,
    text=r"""
A budget buys $N_p$ prompts at $C_p$ and $K$ answers to each at $C_r$, so $N_p\,(C_p + K C_r) = B$. The variance is then

$$\frac{(V_x + V_{y \mid x}/K)\,(C_p + K C_r)}{B}.$$

Find the $K$ that makes it least: multiply out, set the derivative to zero. Write
`optimal_k(v_x, v_y, c_p, c_r)`, a real number. `optimal_k(1, 4, 4, 1)` should be 4.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def optimal_k(v_x, v_y, c_p, c_r):
    return ...

check("ch2.optimal_k_fn", optimal_k)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def optimal_k(v_x, v_y, c_p, c_r):
    return np.sqrt(v_y / v_x * c_p / c_r)

check("ch2.optimal_k_fn", optimal_k)
""",
    check=FunctionCheck(
        reference=_optimal_k,
        cases=lambda rng: [
            (1.0, 4.0, 4.0, 1.0),
            (2.0, 3.0, 5.0, 0.7),
            (1.0, 9.0, 0.0, 1.0),
            *(tuple(rng.uniform(0.2, 5, size=4).tolist()) for _ in range(4)),
        ],
        hint="Two terms depend on K: V_x·C_r·K grows, V_{y|x}·C_p/K falls. They balance where they are equal.",
        why="V_x·C_r·K = V_{y|x}·C_p/K gives K², hence the root: four times dearer prompts only double K.",
        carry_on="Carry on: put K* back into the variance. It becomes (√(V_x C_p) + √(V_{y|x} C_r))²/B.",
        slips=(
            (lambda v_x, v_y, c_p, c_r: v_y / v_x * c_p / c_r, "That is K². Take the root."),
            (
                lambda v_x, v_y, c_p, c_r: np.sqrt(v_x / v_y * c_p / c_r),
                "The variances are upside down: K rises when the *answers* differ more.",
            ),
            (
                lambda v_x, v_y, c_p, c_r: np.sqrt(np.divide(v_y / v_x * c_r, c_p)),
                "The costs are upside down: K rises when *prompts* are dearer.",
            ),
            (
                lambda v_x, v_y, c_p, c_r: np.sqrt(np.divide(v_x * c_r, v_y * c_p)),
                "All of it is upside down: that is 1/K*.",
            ),
            (lambda v_x, v_y, c_p, c_r: np.sqrt(v_y / v_x), "That forgets the costs."),
            (lambda v_x, v_y, c_p, c_r: np.sqrt(c_p / c_r), "That forgets the variances."),
            (
                lambda v_x, v_y, c_p, c_r: max(1, round(np.sqrt(v_y / v_x * c_p / c_r))),
                "Right up to the rounding. Leave it real: a planner decides between the whole numbers beside it.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda v_x, v_y, c_p, c_r: (v_y * c_p) / (v_x * c_r), "Take the root"),
        (lambda: lambda v_x, v_y, c_p, c_r: (v_x * c_p / (v_y * c_r)) ** 0.5, "variances are upside down"),
        (lambda: lambda v_x, v_y, c_p, c_r: (v_y / v_x) ** 0.5, "forgets the costs"),
        (lambda: lambda v_x, v_y, c_p, c_r: (c_p / c_r) ** 0.5, "forgets the variances"),
        (lambda: lambda v_x, v_y, c_p, c_r: max(1, round((v_y / v_x * c_p / c_r) ** 0.5)), "Right up to the rounding"),
        (lambda: lambda v_x, v_y, c_p, c_r: print(end=""), "Is there a `return`?"),
        (lambda: 4.0, "the function itself"),
    ),
)

_SECOND_ANSWER = Exercise(
    id="ch2.second_answer",
    title="When does a second answer pay?",
    difficulty=3,
    minutes=12,
    text=r"""
A prompt costs as much as four answers, $C_p = 4$ and $C_r = 1$, and prompts differ with $V_x = 2.5$. Somebody shows you
answers that hardly differ. You may keep one or two of them, $K = 1$ or $K = 2$, and spend the same budget either way.

**From which $V_{y \mid x}$ on is $K = 2$ the better choice?** Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch2.second_answer", answer)
""",
    solution="""
from mrtlab.show.exercises import check

v_x, c_p, c_r = 2.5, 4, 1
# (v_x + v)(c_p + c_r) = (v_x + v / 2)(c_p + 2 * c_r), solved for v
answer = 2 * v_x * c_r / c_p
check("ch2.second_answer", answer)
""",
    check=NumberCheck(
        target=2 * 2.5 / 4,
        hint="At equal budgets compare (V_x + V)·(C_p + C_r) with (V_x + V/2)·(C_p + 2C_r), and solve for V.",
        why="Both cost the same at V = 2·V_x·C_r/C_p. Below it, K = 1 wins although the answers do differ.",
        carry_on="Carry on: show that K + 1 answers beat K from V = K(K + 1)·V_x·C_r/C_p on.",
        slips=(
            (2.5 / 4, "There K* = 1, the best real K. K = 2 lies beyond it: whole numbers tie later."),
            (4 * 2.5 / 4, "There K* = 2. K = 2 beats K = 1 already before that: √2 is where they tie."),
            (0.0, "With hardly any variance to remove, a second answer costs more than it brings."),
            (2.5 * 4, "The costs are upside down: dear prompts make a second answer pay *sooner*."),
            (2 * 2.5 * 4, "The costs are upside down: dear prompts make a second answer pay *sooner*."),
            (2 * 4 / 2.5, "V_x belongs above: when prompts differ much, new prompts are worth more."),
        ),
    ),
    mistakes=(
        (lambda: 2.5 * 1 / 4, "whole numbers tie later"),
        (lambda: 2.5, "√2 is where they tie"),
        (lambda: 0, "costs more than it brings"),
        (lambda: 2.5 * 4, "sooner"),
        (lambda: 2 * 2.5 * 4, "sooner"),
        (lambda: 2 * 4 / 2.5, "belongs above"),
    ),
)

EXERCISES = (_VARIANCE, _EFFECTIVE_K, _OPTIMAL_K_FN, _SECOND_ANSWER, *ch2_plan.EXERCISES)
