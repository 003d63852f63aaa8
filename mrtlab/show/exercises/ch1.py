"""Chapter 1, the mode lottery: what a few draws see. The exercises on training a memory are in `ch1_memory`."""

import numpy as np

from mrtlab.show.exercises import ch1_memory
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck
from mrtlab.theory import effective_support, entropy, expected_coverage

_EIGHT_TO_ONE = np.array([8, 4, 2, 1]) / 15
_PAPER_GENERATOR = np.array([0.95, 0.04, 0.01])
_HALVING = 0.5 ** np.arange(6) / np.sum(0.5 ** np.arange(6))


def _draws_for(share: float, p: np.ndarray) -> int:
    """Smallest number of draws that expects to see that share of the answers."""
    n = 1
    while expected_coverage(p, n) < share * len(p):
        n += 1
    return n


_COVERAGE = Exercise(
    id="ch1.coverage",
    title="Four draws, five fruits",
    difficulty=1,
    minutes=3,
    text="""
Five answers to *Name a fruit* are equally likely. We draw K = 4 of them, each draw on its own.

**How many different fruits do you expect to see?** Guess first, then work it out. Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch1.coverage", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check
from mrtlab.theory import expected_coverage

answer = expected_coverage(np.full(5, 1 / 5), 4)
check("ch1.coverage", answer)
""",
    check=NumberCheck(
        target=float(expected_coverage(np.full(5, 0.2), 4)),
        hint="Give each fruit a chance of staying unseen: four draws in a row must miss it.",
        why="A fruit is missed with probability (4/5)⁴, so it is seen with 1 − (4/5)⁴; five fruits add up.",
        carry_on="Carry on: how many draws until you expect four and a half of the five?",
        slips=(
            (4.0, "That is the number of draws. Some draws repeat an earlier fruit."),
            (5.0, "That is every fruit there is. Four draws cannot show five."),
            (5 * 0.8**4, "That is how many fruits stay unseen: the 1 − is missing."),
            (0.8**4, "That is the chance that one given fruit stays unseen. We want the fruits that are seen."),
            (1 - 0.8**4, "That is the chance that one given fruit is seen. There are five fruits: add them up."),
            (5 * (1 - 0.2**4), "1/5 to the 4th is the chance that all draws hit a fruit, not that all miss it."),
            (5 * (1 - 0.8**5), "That is for five draws. Five is the number of fruits; we draw K = 4."),
        ),
    ),
    mistakes=(
        (lambda: 4, "number of draws"),
        (lambda: 5 * (4 / 5) ** 4, "1 − is missing"),
        (lambda: (4 / 5) ** 4, "stays unseen"),
        (lambda: 1 - (4 / 5) ** 4, "add them up"),
        (lambda: 5 * (1 - (1 / 5) ** 4), "not that all miss it"),
        (lambda: 5 * (1 - (4 / 5) ** 5), "we draw K = 4"),
        (lambda: "2.95", "no quotation marks"),
        (lambda: 3, "two decimals"),
        (lambda: np.full(5, 1 - (4 / 5) ** 4), "5 numbers; the question asks for one"),
    ),
)

_COVERAGE_FN = Exercise(
    id="ch1.coverage_fn",
    title="Coverage, written by you",
    difficulty=2,
    minutes=8,
    text="""
Now for any probabilities. Write `coverage(p, n)`: the number of different answers we expect among `n` independent
draws from `p`, a one-dimensional array of probabilities. There is a formula, so no simulation is needed.

`coverage(np.array([0.5, 0.5]), 2)` should be 1.5: half the time both draws agree, half the time they differ.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def coverage(p, n):
    return ...

check("ch1.coverage_fn", coverage)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def coverage(p, n):
    return np.sum(1 - (1 - p) ** n)

check("ch1.coverage_fn", coverage)
""",
    check=FunctionCheck(
        reference=expected_coverage,
        cases=lambda rng: [
            (np.array([0.5, 0.5]), 2),
            (np.array([0.6, 0.3, 0.1]), 4),
            (np.array([1.0, 0.0]), 3),
            (np.array([0.5, 0.5]), 0),
            *((rng.dirichlet(np.ones(m)), int(rng.integers(1, 9))) for m in (3, 4, 5, 6)),
        ],
        hint="One answer is missed by all n draws with probability (1 − p)ⁿ.",
        why="Each answer is seen unless all n draws miss it, and expectations add up.",
        carry_on="Carry on: `from mrtlab.theory import expected_coverage` does the same for a table of prompts.",
        slips=(
            (lambda p, n: np.sum((1 - p) ** n), "That adds up the answers that are missed: the 1 − is missing."),
            (lambda p, n: 1 - (1 - p) ** n, "One number per answer. Add them up with `np.sum`."),
            (lambda p, n: np.mean(1 - (1 - p) ** n), "That is the share of the answers, a mean. Add them up."),
            (lambda p, n: np.sum(1 - p**n), "`p**n` is the chance that all n draws hit it, not that all miss it."),
            (lambda p, n: np.sum(1 - (1 - p) ** len(p)), "`len(p)` is the number of answers; the draws are `n`."),
            (
                lambda p, n: len(p) * (1 - (1 - 1 / len(p)) ** n),
                "That treats the answers as equally likely. Use each one's own probability in `p`.",
            ),
            (lambda p, n: np.sum(n * p), "That counts draws: it adds up to n. An answer seen twice counts once."),
            (lambda p, n: min(n, len(p)), "That is the most we could see. Draws repeat."),
        ),
    ),
    mistakes=(
        (lambda: lambda p, n: sum((1 - x) ** n for x in p), "1 − is missing"),
        (lambda: lambda p, n: 1 - np.power(1 - p, n), "np.sum"),
        (lambda: lambda p, n: (1 - (1 - p) ** n).mean(), "a mean"),
        (lambda: lambda p, n: len(p) - sum(x**n for x in p), "all miss it"),
        (lambda: lambda p, n: sum(1 - (1 - x) ** len(p) for x in p), "the draws are `n`"),
        (lambda: lambda p, n: p.size * (1 - (1 - 1 / p.size) ** n), "equally likely"),
        (lambda: lambda p, n: print(end=""), "Is there a `return`?"),
        (lambda: lambda p: 1.5, "raised `TypeError"),
        (lambda: lambda p, n: f"{n}", "expected numbers"),
        (lambda: lambda p, n: np.exp(np.sum(n * np.log(p))), "exact is `1.5`"),
        (lambda: expected_coverage(np.array([0.5, 0.5]), 2), "the function itself"),
    ),
)

_SAME_MODEL = Exercise(
    id="ch1.same_model",
    title="Two models, one memory?",
    difficulty=1,
    minutes=4,
    text="""
A prompt has four valid answers, and the truth gives them 8/15, 4/15, 2/15 and 1/15. Two people each draw **one** answer
and train a model that repeats what it saw.

**What is the probability that both models say the same thing?** Two decimals are enough.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

p = np.array([8, 4, 2, 1]) / 15
answer = ...
check("ch1.same_model", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

p = np.array([8, 4, 2, 1]) / 15
answer = np.sum(p**2)
check("ch1.same_model", answer)
""",
    check=NumberCheck(
        target=float(np.sum(_EIGHT_TO_ONE**2)),
        hint="Both may hold the first answer, or both the second, and so on: one term for each.",
        why="Both hold answer y with probability p(y)·p(y), and the four ways to agree add up: Σp².",
        carry_on="Carry on: `retraining_gap(p, 1)` from `mrtlab.theory` is one minus this. What does it give for two "
        "models that remember four answers each?",
        slips=(
            (0.25, "That is for four equally likely answers. These are not."),
            (1 - float(np.sum(_EIGHT_TO_ONE**2)), "That is the probability that they differ."),
            (8 / 15, "That is the probability that one model holds the favourite."),
            ((8 / 15) ** 2, "That is both holding the favourite. They may also agree on another answer."),
            (1.0, "The probabilities themselves add up to 1. Multiply first: two models must hold the answer."),
            (1 / float(np.sum(_EIGHT_TO_ONE**2)), "That is the inverse of the probability."),
        ),
    ),
    mistakes=(
        (lambda: 1 / 4, "equally likely"),
        (lambda: 1 - (64 + 16 + 4 + 1) / 225, "they differ"),
        (lambda: max(8, 4, 2, 1) / 15, "one model"),
        (lambda: (8 / 15) ** 2, "agree on another"),
        (lambda: 100 * 85 / 225, "percentage"),
        (lambda: (np.array([8, 4, 2, 1]) / 15) ** 2, "4 numbers"),
    ),
)

_EFFECTIVE_SUPPORT = Exercise(
    id="ch1.effective_support",
    title="Three answers, or rather one?",
    difficulty=1,
    minutes=4,
    text="""
In the released code of the multi-response training paper, one experiment draws its training answers with probabilities
0.95, 0.04 and 0.01. Three answers are possible. How many does it feel like?

**Guess first. Then compute the effective number of answers, exp H(p)**: how many equally likely answers would be this
uncertain. Two decimals are enough.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

p = np.array([0.95, 0.04, 0.01])
guess = 3
answer = ...
check("ch1.effective_support", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check
from mrtlab.theory import effective_support

p = np.array([0.95, 0.04, 0.01])
answer = effective_support(p)
check("ch1.effective_support", answer)
""",
    check=NumberCheck(
        target=float(effective_support(_PAPER_GENERATOR)),
        hint="First the entropy H(p) = −Σ p log p with the natural logarithm, then its exponential.",
        why="The second and third answers together add about a quarter of an answer.",
        carry_on="Carry on: how far must the first probability fall until the three feel like two?",
        slips=(
            (float(entropy(_PAPER_GENERATOR)), "That is the entropy itself, in nats. Take its exponential."),
            (
                float(entropy(_PAPER_GENERATOR)) / np.log(2),
                "That is the entropy in bits (log base 2). Take natural logs, then the exponential.",
            ),
            (
                float(np.exp(entropy(_PAPER_GENERATOR) / np.log(2))),
                "The entropy is in bits (log base 2), the exponential in base e. Use the same base for both.",
            ),
            (
                float(2 ** entropy(_PAPER_GENERATOR)),
                "The entropy is in nats (base e), the power in base 2. Use the same base for both.",
            ),
            (1 / float(np.sum(_PAPER_GENERATOR**2)), "That is 1/Σp², a relative that counts rare answers less."),
            (float(np.exp(-entropy(_PAPER_GENERATOR))), "A sign went astray: H(p) is −Σ p log p, not Σ p log p."),
            (3.0, "That is how many are possible. Two of them are rare."),
        ),
    ),
    mistakes=(
        (lambda: -(0.95 * np.log(0.95) + 0.04 * np.log(0.04) + 0.01 * np.log(0.01)), "exponential"),
        (lambda: -sum(x * np.log2(x) for x in (0.95, 0.04, 0.01)), "log base 2"),
        (lambda: np.exp(-sum(x * np.log2(x) for x in (0.95, 0.04, 0.01))), "same base"),
        (lambda: np.exp(sum(x * np.log(x) for x in (0.95, 0.04, 0.01))), "sign went astray"),
        (lambda: 1 / (0.95**2 + 0.04**2 + 0.01**2), "1/Σp²"),
        (lambda: 3, "possible"),
        (lambda: float("nan"), "log of 0"),
    ),
)

_K_FOR_90 = Exercise(
    id="ch1.k_for_90",
    title="The last answers are the dear ones",
    difficulty=2,
    minutes=6,
    text="""
Six answers, each half as likely as the one before it. We draw until we expect to have seen 90 % of them, that is
5.4 of the six. With six *equally* likely answers, 13 draws do it.

**What is the smallest number of draws K here?** Write down a guess before you run anything.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check
from mrtlab.theory import expected_coverage

p = 0.5 ** np.arange(6)
p = p / p.sum()
guess = 20
answer = ...
check("ch1.k_for_90", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check
from mrtlab.theory import expected_coverage

p = 0.5 ** np.arange(6)
p = p / p.sum()
answer = 1
while expected_coverage(p, answer) < 0.9 * 6:
    answer = answer + 1
check("ch1.k_for_90", answer)
""",
    check=NumberCheck(
        target=_draws_for(0.9, _HALVING),
        whole=True,
        hint="Raise K until `expected_coverage(p, K)` reaches 5.4.",
        why="The common answers come at once and keep coming back; nearly all draws go into waiting for the rare.",
        carry_on="Carry on: how many of these draws do you need to expect half of the answers, three of six?",
        slips=(
            (_draws_for(0.9, np.full(6, 1 / 6)), "That is for six equally likely answers. These halve each time."),
            (_draws_for(0.9, _HALVING) - 1, "One too few: at that K the expectation is still below 5.4."),
            (_draws_for(0.9, _HALVING) + 1, "One too many: one draw fewer already reaches 5.4."),
            (6, "Six draws show six answers only if none of them repeats."),
            (1, "One draw shows one answer. Coverage counts answers: compare it with 0.9 · 6, not with 0.9."),
            (
                int(np.ceil(np.log(0.1) / np.log1p(-_HALVING[-1]))),
                "That is when the rarest answer is seen with probability 0.9. The expected count gets there sooner.",
            ),
        ),
    ),
    mistakes=(
        (lambda: 13, "equally likely"),
        (lambda: _draws_for(0.9, _HALVING) - 1, "One too few"),
        (lambda: _draws_for(0.9, _HALVING) + 1, "One too many"),
        (lambda: 1, "not with 0.9"),
        (lambda: np.ceil(np.log(0.1) / np.log(1 - 1 / 63)), "rarest answer"),
        (lambda: 55.5, "whole number"),
        (lambda: 20, "reaches 5.4"),
    ),
)

EXERCISES = (
    _COVERAGE,
    _COVERAGE_FN,
    _SAME_MODEL,
    _EFFECTIVE_SUPPORT,
    _K_FOR_90,
    *ch1_memory.EXERCISES,
)
