"""Chapter 7, even answers: what a perfect sampler shows, what the witness descends, and room for unlisted answers."""

import numpy as np
from scipy.stats import binom

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck


def _perfect(n: int, k: int) -> np.ndarray:
    c = np.arange(n + 1)
    deviation = (binom.pmf(c, n, 1 / k) * abs(c / n - 1 / k)).sum()
    return np.array([k * (1 - (1 - 1 / k) ** n), k * deviation / 2])


_NOISE = Exercise(
    id="ch7.noise",
    title="When is 0.37 nothing?",
    difficulty=2,
    minutes=10,
    text=r"""
A sampler draws `n` times from `k` answers, each with probability exactly $1/k$. It is perfect, and yet its counts
$c_y$ are not even, so a measured total variation, $\mathrm{TV} = \tfrac12 \sum_y |c_y/n - 1/k|$, is not 0.

Write `perfect(n, k)`, two expected values: how many different answers are seen, and the TV. Each $c_y$ is binomial:
$P(c_y = c) = \binom{n}{c} (1/k)^c (1 - 1/k)^{n-c}$, which is `binom.pmf(c, n, 1 / k)`. Exact values, no simulation.

`perfect(2, 2)` should be `[1.5, 0.25]`: two coins agree half of the time, and then the TV is ½.
""",
    stub="""
import numpy as np
from scipy.stats import binom

from mrtlab.show.exercises import check

def perfect(n, k):
    return ...

check("ch7.noise", perfect)
""",
    solution="""
import numpy as np
from scipy.stats import binom

from mrtlab.show.exercises import check

def perfect(n, k):
    c = np.arange(n + 1)
    seen = k * (1 - binom.pmf(0, n, 1 / k))
    deviation = (binom.pmf(c, n, 1 / k) * abs(c / n - 1 / k)).sum()
    return np.array([seen, k * deviation / 2])

check("ch7.noise", perfect)
""",
    check=FunctionCheck(
        reference=_perfect,
        cases=lambda rng: [(2, 2), (100, 100), (1000, 10), (int(rng.integers(20, 60)), 7)],
        hint="All k answers are alike: work out one of them and multiply by k. With which probability is it never "
        "drawn? What is the mean of |c/n − 1/k|?",
        why="At n = k = 100 a perfect sampler misses 37 of 100 answers and shows a TV of 0.37. Who measures 0.37 there "
        "has measured nothing, and 0.1 would be too good to be draws.",
        carry_on="Carry on: excess TV subtracts this number. Which n brings it below 0.05 for k = 100? And why does "
        "a KL from log-probabilities need nothing subtracted?",
        slips=(
            (
                lambda n, k: _perfect(n, k) / [k, 1],
                "The TV is right. The first number is a share: give the number of answers seen.",
            ),
            (
                lambda n, k: np.array([k * (1 - 1 / k) ** n, _perfect(n, k)[1]]),
                "The TV is right. The first number counts the answers that are missed.",
            ),
            (
                lambda n, k: np.array([k * (1 - np.exp(-n / k)), _perfect(n, k)[1]]),
                "The TV is right. k(1 − e^(−n/k)) is near, and this asks for the exact (1 − 1/k)ⁿ.",
            ),
            (
                lambda n, k: np.array([min(n, k), _perfect(n, k)[1]]),
                "The TV is right. Even when n is k, draws repeat: not all answers are seen.",
            ),
            (lambda n, k: _perfect(n, k) * [1, 2], "The coverage is right. TV is *half* the sum of the deviations."),
            (
                lambda n, k: _perfect(n, k) * [1, 2 / k],
                "The coverage is right. The second number is one answer's deviation: TV is half the sum over all k.",
            ),
            (lambda n, k: _perfect(n, k) / [1, k], "The coverage is right. The second number is one answer's share."),
            (
                lambda n, k: np.array([_perfect(n, k)[0], k / 2 * np.sqrt((1 - 1 / k) / (k * n))]),
                "The coverage is right. That takes the standard deviation; TV is made of mean *absolute* deviations.",
            ),
            (
                lambda n, k: np.array([_perfect(n, k)[0], k / 2 * np.sqrt(2 * (1 - 1 / k) / (k * n * np.pi))]),
                "The coverage is right. The normal law is near for many draws; this asks for the binomial.",
            ),
            (
                lambda n, k: np.array([_perfect(n, k)[0], 0.0]),
                "The coverage is right. The mean of c/n is 1/k, but |c/n − 1/k| is above 0 in nearly every draw.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda n, k: _perfect(n, k) / [k, 1], "is a share"),
        (lambda: lambda n, k: np.array([k * (1 - 1 / k) ** n, _perfect(n, k)[1]]), "are missed"),
        (lambda: lambda n, k: _perfect(n, k) * [1, 2], "*half*"),
        (lambda: lambda n, k: _perfect(n, k) * [1, 2 / k], "sum over all k"),
        (lambda: lambda n, k: [_perfect(n, k)[0], abs(n / k / n - 1 / k) * k / 2], "above 0"),
        (lambda: lambda n, k: _perfect(n, k)[1], "expected 2 numbers"),
        (lambda: 0.37, "the function itself"),
    ),
)


def _push(p: np.ndarray, q: np.ndarray, *, weight: np.ndarray | None = None) -> np.ndarray:
    """Mean of A·(e_x − p) over the draws, A = 2(q − p) on average over the other draw unless told."""
    each = p * (2 * (q - p) if weight is None else weight)
    return each - each.sum() * p


def _push_two(p: np.ndarray, q: np.ndarray, weight: object) -> np.ndarray:
    """The same with a weight of one's own, for the slips."""
    return _push(p, q, weight=weight(p, q))


_WITNESS = Exercise(
    id="ch7.witness",
    title="Draws that know the target",
    difficulty=3,
    minutes=15,
    text=r"""
A rival of the tree does not list the answers: it lets the model draw, and gives each draw a *witness advantage*,

$$
A_i = 2\,\big(q(x_i) - \hat p_{-i}(x_i)\big),
$$

$q$ the target, $\hat p_{-i}$ the share of the *other* draws that equal $x_i$. An update goes along
$A_i \nabla \log p(x_i)$. On the logits of $p = \mathrm{softmax}(z)$ that is $A_i\,(e_{x_i} - p)$: a one in the place of
$x_i$, less $p$.

Let the model draw twice, independently: $x$, and then $x'$, which may be the same answer.
Write `push(p, q)`, the exact mean of $A\,(e_x - p)$ for the first draw: go over all pairs,
equal ones too, or find out what $\hat p_{-i}$ is on average.

`push(np.array([0.5, 0.5]), np.array([1.0, 0.0]))` should be `[0.5, -0.5]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def push(p, q):
    return ...

check("ch7.witness", push)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def push(p, q):
    mean, one = np.zeros(len(p)), np.eye(len(p))
    for x, other in np.ndindex(len(p), len(p)):
        advantage = 2 * (q[x] - (x == other))
        mean += p[x] * p[other] * advantage * (one[x] - p)
    return mean

check("ch7.witness", push)
""",
    check=FunctionCheck(
        reference=_push,
        cases=lambda rng: [
            (np.array([0.5, 0.5]), np.array([1.0, 0.0])),
            *((rng.dirichlet(np.ones(m)), rng.dirichlet(np.ones(m))) for m in (3, 5)),
        ],
        hint="The pair (x, x′) comes with probability p[x]·p[x′]. Its advantage is 2(q[x] − 1) if both are equal, else "
        "2·q[x].",
        why="The mean is minus the gradient of Σ (p − q)². So the witness descends a squared distance, from draws "
        "alone, and needs no list; an answer that the model never draws is never told anything.",
        carry_on="Carry on: cross-entropy pushes with q − p. For an answer with p = 0.0001 and q = 0.1, how much does "
        "each of the two say? Which of them would you start with?",
        slips=(
            (
                lambda p, q: 2 * p * (q - p),
                "The weights are right, the direction is not: log p(x) moves all logits, e_x − p and not e_x.",
            ),
            (
                lambda p, q: _push_two(p, q, lambda p, q: 2 * q - 1 - p),
                "There a draw is compared with itself as well. p̂ is the share among the *others*.",
            ),
            (lambda p, q: _push(p, q) / 2, "Half of it: the advantage has a factor 2."),
            (lambda p, q: _push(p, q) * 2, "Twice that: the mean is for the first draw, not summed over both."),
            (lambda p, q: -_push(p, q), "The other way round: an answer that comes too rarely must be pushed up."),
            (
                lambda p, q: q - p,
                "That is the push of the cross-entropy. Draws come with probability p, so rare answers weigh less.",
            ),
            (lambda p, q: 2 * (q - p), "That is minus the gradient on p itself. On the logits it passes softmax."),
            (
                lambda p, q: _push_two(p, q, lambda p, q: 2 * q),
                "That leaves out p̂. Without it there is no target: the likeliest wanted answer takes all.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda p, q: 2 * p * (q - p), "the direction is not"),
        (lambda: lambda p, q: -_push(p, q), "other way round"),
        (lambda: lambda p, q: q - p, "cross-entropy"),
        (lambda: lambda p, q: _push(p, q) / 2, "factor 2"),
        (lambda: lambda p, q: _push(p, q, weight=2 * q - 1 - p), "the *others*"),
        (lambda: lambda p, q: _push(p, q).sum(), "expected 2 numbers"),
    ),
)


def _room(p_star: np.ndarray, base: np.ndarray, share: float) -> np.ndarray:
    p = share * base / base.sum()
    p[: len(p_star)] += (1 - share) * p_star
    return np.array([p[len(p_star) :].sum(), -(p * np.log(p)).sum()])


def _room_but(place: int, value: object) -> object:
    """The two numbers with one replaced, for the slips."""

    def room(p_star: np.ndarray, base: np.ndarray, share: float) -> np.ndarray:
        found = _room(p_star, base, share)
        found[place] = value(p_star, base, share)
        return found

    return room


def _unscaled(p_star: np.ndarray, base: np.ndarray, share: float) -> np.ndarray:
    """The base model's mass as it is, for a slip."""
    p = share * base
    p[: len(p_star)] += (1 - share) * p_star
    return np.array([p[len(p_star) :].sum(), -(p * np.log(p)).sum()])


def _valid_cases(rng: np.random.Generator) -> list[tuple]:
    cases = [(np.array([0.5, 0.5]), np.array([0.1, 0.1, 0.2]), 0.5)]
    for m, more, share in ((4, 3, 0.1), (10, 5, 0.3)):
        cases.append((rng.dirichlet(np.full(m, 9.0)), 0.6 * rng.dirichlet(np.ones(m + more)), share))
    return cases


_ROOM = Exercise(
    id="ch7.room",
    title="Room for what nobody listed",
    difficulty=2,
    minutes=8,
    text=r"""
A target that gives unlisted answers nothing teaches the model never to say them. Mixing leaves a share $\lambda$ to the
base model, as far as it is right: with $S$ the valid answers, listed or not,

$$
p^*_\lambda(y) = (1 - \lambda)\,p^*(y) + \lambda\,\frac{p_{\mathrm{base}}(y)}{p_{\mathrm{base}}(S)} .
$$

Write `room(p_star, base, share)`, two numbers: how much of the mixed target lies off the list, and its floor
$H(p^*_\lambda)$ in nats. `base` holds the base model's probabilities of all of $S$, the listed answers first and in the
order of `p_star`; `share` is $\lambda$.

`room(np.array([0.5, 0.5]), np.array([0.1, 0.1, 0.2]), 0.5)` should be `[0.25, 1.082]`, rounded.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def room(p_star, base, share):
    return ...

check("ch7.room", room)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def room(p_star, base, share):
    m = len(p_star)
    mixed = share * base / base.sum()
    mixed[:m] += (1 - share) * p_star
    return np.array([mixed[m:].sum(), -(mixed * np.log(mixed)).sum()])

check("ch7.room", room)
""",
    check=FunctionCheck(
        reference=_room,
        cases=_valid_cases,
        hint="Scale `base` to sum to 1 and weigh it with λ. To its first len(p_star) places add (1 − λ)·p_star.",
        why="The floor moves with the target: a loss that was good for the list alone is not comparable with one for "
        "the mixture. The early stop leaves room anywhere; mixing leaves it where the base is right.",
        carry_on="Carry on: the off-list share is never above λ. When is it λ exactly, and when 0? And what does "
        "mixing do to a favourite that is on the list?",
        slips=(
            (
                _unscaled,
                "Scale the base to the valid answers first: its probabilities sum to less than 1, and so does that.",
            ),
            (
                lambda p, b, s: _room(p, b, 1 - s),
                "The shares have changed places: λ is what is left to the base model.",
            ),
            (
                _room_but(0, lambda p, b, s: s),
                "The floor is right. Off the list is less than λ: the base also says listed answers.",
            ),
            (
                _room_but(0, lambda p, b, s: 1 - _room(p, b, s)[0]),
                "The floor is right. The first number is what lies *on* the list.",
            ),
            (
                _room_but(0, lambda p, b, s: (b / b.sum())[len(p) :].sum()),
                "The floor is right. The first number is the base's own share off the list: times λ.",
            ),
            (
                _room_but(1, lambda p, b, s: -(p * np.log(p)).sum()),
                "The share is right. The floor is that of the list alone: the mixture has its own entropy.",
            ),
            (
                _room_but(
                    1, lambda p, b, s: -(1 - s) * (p * np.log(p)).sum() - s * (b / b.sum() * np.log(b / b.sum())).sum()
                ),
                "The share is right. The entropy of a mixture is more than the mixture of the entropies.",
            ),
            (lambda *case: _room(*case) * [1, -1], "The share is right. An entropy is not negative."),
            (lambda *case: _room(*case)[::-1], "Right numbers, in the other order: the share off the list first."),
        ),
    ),
    mistakes=(
        (lambda: _unscaled, "Scale the base"),
        (lambda: lambda p_star, base, share: _room(p_star, base, 1 - share), "changed places"),
        (lambda: _room_but(0, lambda p, b, s: s), "less than λ"),
        (lambda: _room_but(1, lambda p, b, s: -(p * np.log(p)).sum()), "its own entropy"),
        (lambda: lambda p_star, base, share: _room(p_star, base, share) * [1, -1], "not negative"),
        (lambda: lambda p_star, base, share: share * base + (1 - share) * p_star, "Your function raised"),
    ),
)

EXERCISES = (_NOISE, _WITNESS, _ROOM)
