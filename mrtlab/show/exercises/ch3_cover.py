"""Chapter 3, which K of N: keeping a few answers that stand for all of them."""

from itertools import combinations

import numpy as np

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck
from mrtlab.theory import facility_location, facility_value

_ALIKE = np.array([[1.0, 0.8, 0.8, 0.1], [0.8, 1.0, 0.6, 0.5], [0.8, 0.6, 1.0, 0.3], [0.1, 0.5, 0.3, 1.0]])
_GREEDY = facility_location(_ALIKE, 2)


def _value(chosen: list[int] | np.ndarray) -> float:
    return float(facility_value(_ALIKE, np.asarray(chosen)))


_BEST_PAIR = max(_value(list(pair)) for pair in combinations(range(4), 2))


def _similarities(rng: np.random.Generator, n: int) -> np.ndarray:
    """Cosines moved to 0 … 1, of n answers in three dimensions."""
    e = rng.normal(size=(n, 3))
    e = e / np.linalg.norm(e, axis=1, keepdims=True)
    return (1 + e @ e.T) / 2


_VALUE_FN = Exercise(
    id="ch3.facility_value_fn",
    title="How well do they stand for all?",
    difficulty=2,
    minutes=8,
    text=r"""
`similarity[i, j]` says how alike candidates $i$ and $j$ are, from 0 to 1. We keep the set $S$. Each candidate looks for
the kept one most like it; the value of $S$ is the sum of these similarities:

$$F(S) = \sum_i \max_{j \in S} s_{ij}.$$

Write `facility_value(similarity, chosen)`, where `chosen` is an array of indices.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def facility_value(similarity, chosen):
    return ...

check("ch3.facility_value_fn", facility_value)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def facility_value(similarity, chosen):
    return similarity[:, chosen].max(axis=1).sum()

check("ch3.facility_value_fn", facility_value)
""",
    check=FunctionCheck(
        reference=lambda similarity, chosen: float(facility_value(similarity, chosen)),
        cases=lambda rng: [
            (np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([0])),
            *((_similarities(rng, n), rng.permutation(n)[:k]) for n, k in ((4, 2), (6, 3), (7, 1), (8, 5))),
        ],
        hint="`similarity[:, chosen]` has one row per candidate and one column per kept answer. Which one counts?",
        why="A second kept answer of the same kind adds nearly nothing: its friends are stood for already.",
        carry_on="Carry on: `facility_value` of `mrtlab.theory` also takes rewards. What do they weigh?",
        slips=(
            (
                lambda s, c: s[:, c].sum(),
                "That adds up all. Each candidate counts only the one most like it.",
            ),
            (lambda s, c: s[:, c].max(axis=1).mean(), "That is the mean. F is a sum over the candidates."),
            (
                lambda s, c: s[:, c].max(axis=0).sum(),
                "That is 1 for each kept answer, which is most like itself. *All* candidates pick their best, the "
                "ones left out too: `axis=1`.",
            ),
            (
                lambda s, c: np.delete(s[:, c], c, axis=0).max(axis=1).sum(),
                "The kept answers count as well: each stands for itself with 1.",
            ),
            (lambda s, c: s[:, c].max(axis=1), "One number per candidate. Add them up."),
            (
                lambda s, c: s.max(axis=1).sum(),
                "Each is most like itself. Look only at the columns in `chosen`.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda s, c: sum(s[i, j] for i in range(len(s)) for j in c), "only the one most like it"),
        (lambda: lambda s, c: s[:, c].max(axis=1).mean(), "That is the mean"),
        (lambda: lambda s, c: s[:, c].max(axis=0).sum(), "`axis=1`"),
        (lambda: lambda s, c: s[c][:, c].max(axis=1).sum(), "ones left out too"),
        (lambda: lambda s, c: s[:, c].max(axis=1), "Add them up"),
        (lambda: lambda s, c: s[:, chosen].sum(), "NameError"),
        (lambda: lambda s, c: s.max(axis=1).sum(), "most like itself"),
    ),
)

_GREEDY_STEPS = Exercise(
    id="ch3.greedy",
    title="Greedy, by hand",
    difficulty=2,
    minutes=8,
    text="""
Four candidates, with these similarities:

| | A | B | C | D |
|---|---|---|---|---|
| **A** | 1 | 0.8 | 0.8 | 0.1 |
| **B** | 0.8 | 1 | 0.6 | 0.5 |
| **C** | 0.8 | 0.6 | 1 | 0.3 |
| **D** | 0.1 | 0.5 | 0.3 | 1 |

Greedy keeps the one of largest *F* first. Then it adds the one that raises *F* most.

**What is *F* of the two answers it keeps?** Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch3.greedy", answer)
""",
    solution="""
import numpy as np
from mrtlab.show.exercises import check
from mrtlab.theory import facility_location, facility_value

s = np.array([[1, 0.8, 0.8, 0.1], [0.8, 1, 0.6, 0.5], [0.8, 0.6, 1, 0.3], [0.1, 0.5, 0.3, 1]])
kept = facility_location(s, 2)
answer = facility_value(s, kept)
check("ch3.greedy", answer)
""",
    check=NumberCheck(
        target=_value(_GREEDY),
        hint="First add up each column. For the second pick, let every row keep the larger of two entries.",
        why="B alone is worth 2.9. D then adds 0.5, C 0.4 and A 0.4: greedy keeps B and D.",
        carry_on="Carry on: which of the six pairs is best, and how close did greedy come? It never falls below 63 %.",
        slips=(
            (_BEST_PAIR, "That is A and D, the best of all six pairs. Greedy starts with B and cannot take it back."),
            (_value([0, 1]), "Those are A and B, which stand for the same ones. D adds more to B."),
            (2.9, "That is B alone. Now add the one that raises it most."),
            (4.8, "That adds up both columns. Each row counts only the larger of its two entries."),
            (5.6, "That adds up both columns. Each row counts only the larger of its two entries."),
            (0.5, "That is what the second pick adds. B alone was worth 2.9."),
            (2.0, "That counts only the two that are kept. The other two must be stood for as well."),
        ),
    ),
    mistakes=(
        (lambda: 1 + 0.8 + 0.8 + 1, "best of all six"),
        (lambda: 1 + 1 + 0.8 + 0.5, "stand for the same"),
        (lambda: 0.8 + 1 + 0.6 + 0.5, "B alone"),
        (lambda: 2.9 + 1.9, "larger of its two"),
        (lambda: 3.4 - 2.9, "second pick adds"),
        (lambda: 2, "only the two"),
    ),
)

_ALPHA = Exercise(
    id="ch3.alpha",
    title="How much reward is too much?",
    difficulty=3,
    minutes=10,
    text=r"""
Quality–diversity lets candidate $j$ stand for candidate $i$ with $a_j\,s_{ij}$, where $a_j = \tilde r_j^{\,\alpha}$ and
$\tilde r$ is the reward, scaled to lie between 0 and 1.

Two answers are kept. One says *a museum*, with $\tilde r = 1$; it is like the cooking candidates with $s = 0.3$. The
other says *cooking*, with $\tilde r = 0.25$; it is one of them, $s = 1$.

**Up to which $\alpha$ is it the cooking answer that stands for the cooking candidates?** Two decimals are enough.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

answer = ...
check("ch3.alpha", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

# 0.25**alpha * 1 = 1**alpha * 0.3
answer = np.log(0.3) / np.log(0.25)
check("ch3.alpha", answer)
""",
    check=NumberCheck(
        target=float(np.log(0.3) / np.log(0.25)),
        hint="Set 0.25^α · 1 equal to 1^α · 0.3 and take logarithms.",
        why="Beyond it the museum stands for everybody, and a cooking answer is no longer worth keeping for its kind.",
        carry_on="Carry on: open the map at that α and step over it. What does α = 0 make of the reward?",
        slips=(
            (float(np.log(0.25) / np.log(0.3)), "The logarithms are upside down: α = log 0.3 / log 0.25."),
            (1.2, "α is an exponent, not a factor: 0.25^α = 0.3. Take logarithms."),
            (0.3 / 1.25, "α is an exponent: nothing is added here. Solve 0.25^α = 0.3."),
            (0.3, "That is what the museum answer is worth to them. Which α brings cooking down to it?"),
            (0.75, "That is the customary setting; there 0.25^0.75 is 0.35, so cooking still stands for its own."),
            (0.0, "At 0 both rewards count as 1 and cooking wins, 1 against 0.3. How far can α rise?"),
            (1.0, "At 1 cooking is worth 0.25 and has lost already, against 0.3."),
        ),
    ),
    mistakes=(
        (lambda: np.log(0.25) / np.log(0.3), "upside down"),
        (lambda: 0.3 / 0.25, "not a factor"),
        (lambda: 0.3, "museum answer is worth"),
        (lambda: 0.75, "customary"),
        (lambda: 0, "How far can α rise"),
        (lambda: 1, "lost already"),
        (lambda: -0.8685, "the sign is not"),
    ),
)

EXERCISES = (_VALUE_FN, _GREEDY_STEPS, _ALPHA)
