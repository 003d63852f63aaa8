"""Chapter 4, where the mass goes: laws of drawn answers, best-of-n and the factor p."""

import numpy as np

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck
from mrtlab.theory import best_of_n


def _best_of(p: np.ndarray, n: int) -> np.ndarray:
    return best_of_n(p, np.arange(len(p), dtype=float), n)


_BEST_OF = Exercise(
    id="ch4.best_of",
    title="The law of the best draw",
    difficulty=2,
    minutes=8,
    text=r"""
Answers are listed from the worst to the best, with probabilities `p` and no ties. We draw `n` of them and keep the
best. Write `best_of(p, n)`, the exact probabilities of the answer kept.

The best draw is at most answer $i$ exactly when *all* draws are. `best_of(np.array([0.5, 0.5]), 2)` should be
`[0.25, 0.75]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def best_of(p, n):
    return ...

check("ch4.best_of", best_of)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def best_of(p, n):
    at_most = np.cumsum(p) ** n
    return np.diff(at_most, prepend=0)

check("ch4.best_of", best_of)
""",
    check=FunctionCheck(
        reference=_best_of,
        cases=lambda rng: [
            (np.array([0.5, 0.5]), 2),
            (np.array([0.7, 0.2, 0.1]), 4),
            (np.array([0.2, 0.3, 0.5]), 1),
            *((rng.dirichlet(np.ones(5)), n) for n in (3, 10)),
        ],
        hint="`np.cumsum(p) ** n` is the chance that the best draw is at most answer i. Take differences.",
        why="F(i)ⁿ − F(i − 1)ⁿ. The best answer ends at 1 − (1 − p)ⁿ and no training on one batch gets beyond.",
        carry_on="Carry on: train until the policy has this law, then draw again. What is the law after two rounds?",
        slips=(
            (lambda p, n: np.cumsum(p) ** n, "That is the chance of *at most* this answer. Take differences."),
            (lambda p, n: p**n / (p**n).sum(), "That sharpens p and never looks at which answer is better."),
            (lambda p, n: 1 - (1 - p) ** n, "That is the chance to *see* an answer. A better one may be seen too."),
            (
                lambda p, n: np.diff(np.cumsum(p[::-1]) ** n, prepend=0)[::-1],
                "That is the law of the worst draw: start the sum at the worst answer.",
            ),
            (lambda p, n: np.diff(np.cumsum(p), prepend=0), "That gives p back: the power n is missing."),
        ),
    ),
    mistakes=(
        (lambda: lambda p, n: np.cumsum(p) ** n, "Take differences"),
        (lambda: lambda p, n: p**n / np.sum(p**n), "sharpens p"),
        (lambda: lambda p, n: 1 - (1 - p) ** n, "may be seen too"),
        (lambda: lambda p, n: np.diff(np.cumsum(p[::-1]) ** n, prepend=0)[::-1], "worst draw"),
        (lambda: lambda p, n: p, "the power n is missing"),
    ),
)

_ITERATED = Exercise(
    id="ch4.iterated",
    title="Best of four, three times",
    difficulty=1,
    minutes=4,
    text=r"""
On-policy best-of-4: draw four answers, keep the best, train until the policy *is* the law of the one kept. Then do it
again with the new policy, and a third time.

**Of how many draws from the first policy is this the best?**
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch4.iterated", answer)
""",
    solution="""
from mrtlab.show.exercises import check

answer = 4**3
check("ch4.iterated", answer)
""",
    check=NumberCheck(
        target=64,
        whole=True,
        hint="Each draw of the second round is the best of four draws of the first.",
        why="Each draw of a round is the best of four of the round before: selection compounds, 4·4·4.",
        carry_on="Carry on: how many rounds equal the best of a million? And what does a round cost?",
        slips=(
            (12, "Rounds multiply: every draw of the second round is itself the best of four."),
            (81, "The exponent is the number of rounds: 4³, not 3⁴."),
            (16, "That is after two rounds."),
            (4, "That is offline best-of-4, however long it is trained. Here the draws get better too."),
            (256, "That is after four rounds."),
        ),
    ),
    mistakes=(
        (lambda: 4 * 3, "Rounds multiply"),
        (lambda: 3**4, "not 3⁴"),
        (lambda: 4**2, "after two"),
        (lambda: 4, "offline"),
        (lambda: 4**4, "after four"),
    ),
)

_FACTOR_P = Exercise(
    id="ch4.factor_p",
    title="Exact weight, drawn weight",
    difficulty=2,
    minutes=5,
    text=r"""
One answer pays 1, all others 0, and the policy says it with probability $p = 0.02$. The exact gradient of the
expected reward puts the weight $p \cdot r$ on it. REINFORCE without a baseline draws $n = 16$ answers and puts $r/n$ on
every draw. Usually the answer is not drawn and its weight is 0.

**When it is drawn once, how many times its exact weight does it get?** Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch4.factor_p", answer)
""",
    solution="""
from mrtlab.show.exercises import check

exact, drawn = 0.02 * 1, 1 / 16
answer = drawn / exact
check("ch4.factor_p", answer)
""",
    check=NumberCheck(
        target=1 / (16 * 0.02),
        hint="The exact weight is 0.02, the weight of one draw 1/16.",
        why="1/(n·p): three times too much, or nothing at all. On average over draws it is right.",
        carry_on="Carry on: in what share of batches is it never drawn? What does a learner do all that time?",
        slips=(
            (1 / 16, "That is the weight when drawn. Divide by the exact one."),
            (0.02, "That is the exact weight. Divide the drawn one by it."),
            (0.32, "Upside down: the drawn weight is the larger one."),
            (50.0, "That forgets that each draw counts for one sixteenth."),
            (0.98**16, "That is the chance that it is never drawn."),
            (1.0, "On average over batches, yes. Here it has been drawn once."),
        ),
    ),
    mistakes=(
        (lambda: 1 / 16, "Divide by the exact one"),
        (lambda: 0.02, "Divide the drawn one"),
        (lambda: 16 * 0.02, "Upside down"),
        (lambda: 1 / 0.02, "one sixteenth"),
        (lambda: 0.98**16, "never drawn"),
        (lambda: 1, "drawn once"),
    ),
)

EXERCISES = (_BEST_OF, _ITERATED, _FACTOR_P)
