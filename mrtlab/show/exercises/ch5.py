"""Chapter 5, learn or choose: how many candidates, how long a reply, how many strings."""

import math

import numpy as np

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck
from mrtlab.theory.learn_or_choose import candidates_needed, noisy_verifier_limit


def _equal_length(n: int, c: float, candidates: int) -> float:
    return math.log(-math.expm1(-n * math.log(2) / candidates)) / math.log(c)


_CANDIDATES = Exercise(
    id="ch5.candidates",
    title="Until one is right",
    difficulty=1,
    minutes=4,
    text=r"""
Three replies in a hundred are right: the coverage is $\alpha = 0.03$. A perfect verifier picks a right one among $N$
independent candidates, if there is one.

**How many candidates make success at least 95 % likely?**
""",
    stub="""
import math

from mrtlab.show.exercises import check

answer = ...
check("ch5.candidates", answer)
""",
    solution="""
import math

from mrtlab.show.exercises import check

answer = math.ceil(math.log(0.05) / math.log(0.97))
check("ch5.candidates", answer)
""",
    check=NumberCheck(
        target=math.ceil(candidates_needed(0.03)),
        whole=True,
        hint="All N are wrong with probability 0.97ᴺ. When does that fall to 0.05?",
        why="0.97⁹⁸ is still above 0.05, 0.97⁹⁹ is below. About 3/α, for every small α.",
        carry_on="Carry on: and for 99.9 %? Certainty is cheap, coverage is dear.",
        slips=(
            (98, "Nearly: 0.97⁹⁸ = 0.0505. Round up."),
            (32, "At 0.95/0.03 one is right *on average*. Often none is."),
            (33, "At 1/0.03 one is right *on average*. In a third of the cases none is."),
            (100, "3/α is the rule of thumb. The exact number is a little smaller."),
            (1, "That has the two probabilities in each other's place: 0.97ᴺ is to fall to 0.05."),
        ),
    ),
    mistakes=(
        (lambda: round(np.log(0.05) / np.log(0.97)), "Round up"),
        (lambda: np.ceil(0.95 / 0.03), "*on average*"),
        (lambda: 33, "In a third"),
        (lambda: 3 / 0.03, "rule of thumb"),
        (lambda: math.ceil(math.log(0.97) / math.log(0.05)), "each other's place"),
        (lambda: 98.35, "whole number"),
    ),
)

_POWER = Exercise(
    id="ch5.power",
    title="Every bit must be right",
    difficulty=1,
    minutes=3,
    text=r"""
A base model gets each bit right with probability $c = 0.98$, independently. A reply has $T = 64$ bits, and it counts
only when all of them are right.

**What is the coverage, the probability that a reply is right?** Guess first. Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

guess = 0.5
answer = ...
check("ch5.power", answer)
""",
    solution="""
from mrtlab.show.exercises import check

answer = 0.98**64
check("ch5.power", answer)
""",
    check=NumberCheck(
        target=0.98**64,
        hint="Independent chances multiply: once for every bit.",
        why="0.98 to the 64th: one slip in fifty bits, and three replies of four are wrong.",
        carry_on="Carry on: what becomes of it when replies are twice as long? And four times?",
        slips=(
            (0.98, "That is one bit. All 64 must be right."),
            (
                1 - 64 * 0.02,
                "Chances of a slip do not add up: this one went below 0. Multiply the chances to be right.",
            ),
            (1 - 0.98**64, "That is the chance of at least one slip."),
            (0.02**64, "That is the chance that *every* bit is wrong."),
            (0.98**63, "That is 63 bits. The first one counts too."),
            (0.5, "That is the guess. Now work it out."),
        ),
    ),
    mistakes=(
        (lambda: 0.98, "All 64"),
        (lambda: 1 - 64 * 0.02, "do not add up"),
        (lambda: 1 - 0.98**64, "at least one slip"),
        (lambda: 0.02**64, "*every* bit"),
        (lambda: 0.5, "work it out"),
        (lambda: "0.27", "quotation marks"),
    ),
)

_NOISY_LIMIT = Exercise(
    id="ch5.noisy_limit",
    title="A verifier that is too kind",
    difficulty=2,
    minutes=6,
    text=r"""
A reply is right with probability $\alpha = 0.05$. The verifier accepts every right one, and a wrong one with
probability $f = 0.1$. We draw more and more candidates and answer with one of the accepted, at random.

**Towards which chance of a right answer does this go as $N$ grows without end?** Two decimals are enough.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch5.noisy_limit", answer)
""",
    solution="""
from mrtlab.show.exercises import check

right, wrong = 0.05 * 1, 0.95 * 0.1
answer = right / (right + wrong)
check("ch5.noisy_limit", answer)
""",
    check=NumberCheck(
        target=float(noisy_verifier_limit(0.05, 0.1)),
        hint="Among very many accepted replies, which share is right? Count right and wrong ones per 1,000 candidates.",
        why="Of 1,000 candidates 50 right and 95 wrong ones pass. More candidates change nothing about that.",
        carry_on="Carry on: with this f, which coverage would the base need for nine right answers in ten?",
        slips=(
            (1.0, "With a perfect verifier, yes. Here wrong replies pass too, and no N sorts them out."),
            (0.05 / 0.15, "Very near: f applies to the wrong ones only, 95 of 100 candidates."),
            (0.9, "That is how often a wrong reply is turned away. How rare are right ones to begin with?"),
            (0.05, "That is a verifier who accepts everything. This one turns most wrong replies away."),
            (0.05 / (0.05 + 0.95 * 0.9), "f is the share of wrong replies that *pass*, not that is turned away."),
            (0.095 / 0.145, "That is the share of wrong ones among the accepted."),
            (0.145, "That is how many candidates pass. Which share of them is right?"),
        ),
    ),
    mistakes=(
        (lambda: 1, "no N sorts them out"),
        (lambda: 0.05 / (0.05 + 0.1), "wrong ones only"),
        (lambda: 1 - 0.1, "How rare"),
        (lambda: 0.05, "accepts everything"),
        (lambda: 0.05 / (0.05 + 0.95 * 0.9), "that *pass*"),
        (lambda: 0.095 / (0.05 + 0.095), "share of wrong ones"),
    ),
)

_STRINGS = Exercise(
    id="ch5.strings",
    title="How many strings give the rule away",
    difficulty=2,
    minutes=6,
    text=r"""
A random parity rule over a window of $d = 8$ bits writes replies of $T = 32$ bits. Each right reply is 32 linear
equations for the 8 unknown bits of the rule, and yet one reply may leave several rules: some prompts are dull, the one
of eight zeros most of all. When $T \ge d$, $n$ random prompts leave a single rule with probability $1 - 2^{-n}$.

**How many strings make it at least 99 % likely that only the true rule is left?**
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch5.strings", answer)
""",
    solution="""
from mrtlab.show.exercises import check

answer = next(n for n in range(1, 33) if 1 - 2**-n >= 0.99)
check("ch5.strings", answer)
""",
    check=NumberCheck(
        target=7,
        whole=True,
        hint="2⁻ⁿ must fall to 0.01 or less.",
        why="1 − 1/128 is above 99 %. Neither the window nor the length of the replies appears, as long as T ≥ d.",
        carry_on="Carry on: draw such systems with `version_space` and count. What happens at T = 1?",
        slips=(
            (6, "1 − 1/64 is 98.4 %: nearly."),
            (8, "One string per unknown bit? Each string brings 32 equations; one fewer is enough here."),
            (1, "32 equations for 8 unknowns, but they may repeat each other: one string suffices half the time."),
            (100, "The chance to fail halves with every string; it does not fall like 1/n."),
            (5, "1 − 1/32 is 96.9 %. Count on."),
        ),
    ),
    mistakes=(
        (lambda: int(np.log2(100)), "98.4 %"),
        (lambda: 8, "per unknown bit"),
        (lambda: 1, "repeat each other"),
        (lambda: 1 / 0.01, "halves with every string"),
        (lambda: 5, "Count on"),
        (lambda: np.log2(100), "whole number"),
    ),
)

_COMPOUNDING = Exercise(
    id="ch5.compounding",
    title="One slip in a hundred",
    difficulty=2,
    minutes=5,
    text=r"""
A learner knows the rule but slips at every bit with probability $e = 0.01$. A slip is fatal: the bits after it are
computed from the wrong one.

**At which length $T$ is half of its replies still free of slips?** A real number; two decimals are enough.
""",
    stub="""
import math

from mrtlab.show.exercises import check

answer = ...
check("ch5.compounding", answer)
""",
    solution="""
import math

from mrtlab.show.exercises import check

answer = math.log(0.5) / math.log(1 - 0.01)
check("ch5.compounding", answer)
""",
    check=NumberCheck(
        target=math.log(0.5) / math.log(0.99),
        hint="Solve (1 − e)ᵀ = ½ for T with logarithms.",
        why="ln ½/ln 0.99: a little before the hundred bits that hold one slip on average.",
        carry_on="Carry on: a learner may compound as a chooser does. What keeps its e small, and what does that cost?",
        slips=(
            (100.0, "There it has slipped once *on average*; 37 % of the replies are free of slips."),
            (50.0, "Slips do not add up to ½: at T = 50 it is 61 %. Multiply."),
            (math.log(2) / 0.01, "That takes ln(1 − e) for −e. Good enough for most uses; here two decimals differ."),
            (math.log(0.5) / math.log(0.01), "That has e where 1 − e belongs."),
            (0.99**50, "That is the share at T = 50. The question asks for a length."),
        ),
    ),
    mistakes=(
        (lambda: 1 / 0.01, "*on average*"),
        (lambda: 0.5 / 0.01, "it is 61 %"),
        (lambda: np.log(2) / 0.01, "two decimals differ"),
        (lambda: np.log(0.5) / np.log(0.01), "where 1 − e belongs"),
        (lambda: 0.99**50, "asks for a length"),
        (lambda: None, "return"),
    ),
)

_EQUAL_LENGTH = Exercise(
    id="ch5.equal_length",
    title="Where learning takes over",
    difficulty=3,
    minutes=12,
    text=r"""
Learning from $n$ strings succeeds with probability $1 - 2^{-n}$, however long the replies. Choosing among $N$
candidates, each bit right with probability $c$, succeeds with $1 - (1 - c^T)^N$. Write
`equal_length(n, c, candidates)`, the length $T$, a real number, at which both are equal.

`equal_length(1, 0.5, 1)` should be 1: a coin against a coin.
""",
    stub="""
import math

from mrtlab.show.exercises import check

def equal_length(n, c, candidates):
    return ...

check("ch5.equal_length", equal_length)
""",
    solution="""
import math

from mrtlab.show.exercises import check

def equal_length(n, c, candidates):
    coverage = 1 - 2 ** (-n / candidates)
    return math.log(coverage) / math.log(c)

check("ch5.equal_length", equal_length)
""",
    check=FunctionCheck(
        reference=_equal_length,
        cases=lambda rng: [
            (1, 0.5, 1),
            (4, 0.9, 64),
            (7, 0.98, 16),
            *((int(n), float(c), 256) for n, c in zip((2, 10), rng.uniform(0.6, 0.99, size=2), strict=True)),
        ],
        hint="Both fail alike: (1 − cᵀ)ᴺ = 2⁻ⁿ. Take the N-th root, then solve for cᵀ.",
        why="The coverage must be 1 − 2^(−n/N), and T is its logarithm to the base c.",
        carry_on="Carry on: doubling N buys how many bits, for large N? And what does it cost per query?",
        slips=(
            (lambda n, c, m: math.log(1 - 2.0**-n) / math.log(c), "That is N = 1: take the N-th root of 2⁻ⁿ first."),
            (lambda n, c, m: math.log(2 ** (-n / m)) / math.log(c), "That solves 1 − cᵀ for cᵀ: subtract from 1."),
            (lambda n, c, m: 1 - 2 ** (-n / m), "That is the coverage cᵀ at that length. One logarithm is missing."),
            (lambda n, c, m: math.log(1 - 2 ** (-n / m)), "Divide by ln c: T is a logarithm to the base c."),
            (lambda n, c, m: math.log(m / n) / -math.log(c), "That takes cᵀ for n/N; a rough rule for small n/N."),
            (lambda n, c, m: math.log(1 - 2.0 ** (-n * m)) / math.log(c), "The N-th *root* divides n by N."),
        ),
    ),
    mistakes=(
        (lambda: lambda n, c, candidates: math.log(1 - 2.0**-n) / math.log(c), "That is N = 1"),
        (lambda: lambda n, c, candidates: n * math.log(2) / candidates / -math.log(c), "subtract from 1"),
        (lambda: lambda n, c, candidates: 1 - 2 ** (-n / candidates), "logarithm is missing"),
        (lambda: lambda n, c, candidates: math.log(1 - 2 ** (-n / candidates)), "base c"),
        (lambda: lambda n, c, candidates: math.log(candidates / n) / -math.log(c), "rough rule"),
        (lambda: 1.0, "the function itself"),
    ),
)

EXERCISES = (_CANDIDATES, _POWER, _NOISY_LIMIT, _STRINGS, _COMPOUNDING, _EQUAL_LENGTH)
