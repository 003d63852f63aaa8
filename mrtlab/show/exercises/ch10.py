"""Chapter 10, full training: what sharing a prompt saves in tokens, and in work."""

import numpy as np

from mrtlab.show.exercises import ch10_memory, ch10_split
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck


def _fed_apart(p: int, r: int, k: int) -> int:
    return k * (p + r)


def _fed(p: int, r: int, k: int) -> int:
    return p + k * r


def _saving(p: int, r: int, k: int) -> np.ndarray:
    return np.array([_fed_apart(p, r, k) / _fed(p, r, k), k, 1 + p / r])


def _saving_but(place: int, value: object) -> object:
    """The three numbers with one replaced, for the slips."""

    def saving(p: int, r: int, k: int) -> np.ndarray:
        found = _saving(p, r, k)
        found[place] = value(p, r, k)
        return found

    return saving


_SHARED = Exercise(
    id="ch10.shared",
    title="Fewer tokens, up to a limit",
    difficulty=1,
    minutes=5,
    text=r"""
A prompt of $P$ tokens has $K$ responses of $R$ tokens each. *Copies* feed the prompt with every response again. A
*tree* feeds the prompt once, and the $K$ responses after it. Let the responses have no beginnings in common, and let
all their tokens be fed.

Write `saving(p, r, k)`, three numbers:

1. how many times as many tokens the copies feed;
2. where that goes as the prompt gets longer and longer, with `r` and `k` as they are;
3. where it goes with more and more responses, with `p` and `r` as they are.

`saving(60, 20, 2)` should be `[1.6, 2, 4]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def saving(p, r, k):
    return ...

check("ch10.shared", saving)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def saving(p, r, k):
    copies, tree = k * (p + r), p + k * r
    return np.array([copies / tree, k, (p + r) / r])

check("ch10.shared", saving)
""",
    check=FunctionCheck(
        reference=_saving,
        cases=lambda rng: [
            (60, 20, 2),
            (256, 32, 8),
            (1024, 256, 16),
            (int(rng.integers(50, 500)), int(rng.integers(5, 50)), int(rng.integers(3, 20))),
        ],
        hint="Count both. Then, for a very long prompt, leave out all that has no P in it; for very many responses, "
        "all that has no K.",
        why="A long prompt with K responses can save a factor of K and no more. Many responses save at most a factor "
        "of 1 + P/R, since each still feeds its own R tokens. P = 256, R = 32 and K = 8 make 4.5, below 8 and below 9.",
        carry_on="Carry on: which K gets halfway to the third number? And what can sharing save at most if responses "
        "are as long as their prompt?",
        slips=(
            (
                _saving_but(0, lambda p, r, k: _fed(p, r, k) / _fed_apart(p, r, k)),
                "The limits are right. The first is upside down: copies over tree.",
            ),
            (
                _saving_but(0, lambda p, r, k: 1 - _fed(p, r, k) / _fed_apart(p, r, k)),
                "The limits are right. The first is the share of tokens that is saved: give copies over tree.",
            ),
            (
                _saving_but(0, lambda p, r, k: k),
                "The limits are right. The first is K only if the tree fed one response. It feeds all K.",
            ),
            (
                _saving_but(0, lambda p, r, k: (k * p + r) / _fed(p, r, k)),
                "The limits are right. In the first the copies feed one response only: each copy has its own.",
            ),
            (lambda *case: _saving(*case)[[0, 2, 1]], "The limits have changed places: the long prompt comes first."),
            (
                _saving_but(2, lambda p, r, k: p / r),
                "The third is nearly right: a copy feeds its response as well, (P + R)/R.",
            ),
            (_saving_but(2, lambda p, r, k: 1 + r / p), "In the third P and R have changed places."),
            (_saving_but(2, lambda p, r, k: k), "The third cannot be K: there K grows without end."),
            (
                _saving_but(2, lambda p, r, k: np.inf),
                "The third has an end: each further response feeds R tokens in the tree, too.",
            ),
            (
                _saving_but(1, lambda p, r, k: np.inf),
                "The second has an end: the tree feeds the long prompt, too, once.",
            ),
            (_saving_but(1, lambda p, r, k: k - 1), "The second counts the prompts saved. K are fed in place of one."),
            (_saving_but(1, lambda p, r, k: 1), "The second is 1 for a prompt without length. Let it grow."),
            (_saving_but(2, lambda p, r, k: 1), "The third is 1 for one response. Let K grow."),
        ),
    ),
    mistakes=(
        (lambda: lambda p, r, k: [(p + k * r) / (k * (p + r)), k, 1 + p / r], "upside down"),
        (lambda: lambda p, r, k: [k * (p + r) / (p + k * r), 1 + p / r, k], "changed places"),
        (lambda: _saving_but(2, lambda p, r, k: p / r), "nearly right"),
        (lambda: _saving_but(2, lambda p, r, k: np.inf), "has an end"),
        (lambda: lambda p, r, k: [k * (p + r) / (p + r), k, (p + r) / r], "It feeds all K"),
        (lambda: lambda p, r, k: k * (p + r) / (p + k * r), "expected 3 numbers"),
    ),
)


def _work(body: float, head: float, tokens: float, reads: float) -> float:
    return body * tokens + head * reads


def _bound(p: int, r: int, k: int, body: float, head: float) -> float:
    return _work(body, head, _fed_apart(p, r, k), k * r) / _work(body, head, _fed(p, r, k), k * r)


def _bound_with(apart: object, shared: object) -> object:
    """The bound with other places where the head is read, for the slips."""
    return lambda p, r, k, body, head: (
        _work(body, head, _fed_apart(p, r, k), apart(p, r, k)) / _work(body, head, _fed(p, r, k), shared(p, r, k))
    )


def _tokens_alone(p: int, r: int, k: int, body: float, head: float) -> float:
    return _fed_apart(p, r, k) / _fed(p, r, k)


_BOUND = Exercise(
    id="ch10.bound",
    title="What a large vocabulary takes back",
    difficulty=2,
    minutes=8,
    text=r"""
Fewer tokens are not as much less work. Every token that is fed is multiplied by the weights of the model's *body*. The
*head* gives a number to every token of the vocabulary. It is read only where a token of a response is to be predicted,
which is at $KR$ places, in the tree as in the copies.

Count work as weights times places, and leave attention out. Write `bound(p, r, k, body, head)`: how many times as much
work the copies are, for a body of `body` weights and a head of `head` weights.

`bound(8, 2, 4, 1, 1)` should be 2. Counted in tokens it would be 2.5.
""",
    stub="""
from mrtlab.show.exercises import check

def bound(p, r, k, body, head):
    return ...

check("ch10.bound", bound)
""",
    solution="""
from mrtlab.show.exercises import check

def bound(p, r, k, body, head):
    reads = k * r
    copies = body * k * (p + r) + head * reads
    tree = body * (p + k * r) + head * reads
    return copies / tree

check("ch10.bound", bound)
""",
    check=FunctionCheck(
        reference=_bound,
        cases=lambda rng: [
            (8, 2, 4, 1, 1),
            (256, 32, 8, 358e6, 136e6),
            (64, 4, 100, 7e9, 525e6),
            (
                int(rng.integers(50, 500)),
                int(rng.integers(5, 50)),
                6,
                float(rng.uniform(1, 9)),
                float(rng.uniform(1, 9)),
            ),
        ],
        hint="Two sums of two terms. The body is multiplied at as many places as tokens are fed. The head's term is "
        "the same above and below.",
        why="What both sides do alike cannot be saved. With 256, 32 and 8, a head of 136 million weights beside a body "
        "of 358 million brings 4.5 down to 3.9. A small model with a large vocabulary saves less; with a body of "
        "seven billion and a head of 525 million it is 4.4.",
        carry_on="Carry on: backward every term grows by about the same factor. What does that do to the bound? And "
        "some trainers read the head at every place. Against those, can a tree save more than the tokens say?",
        slips=(
            (
                _tokens_alone,
                "That is the saving in tokens. It would be right without a head, or with one that both sides read at "
                "every place.",
            ),
            (
                _bound_with(lambda p, r, k: _fed_apart(p, r, k), lambda p, r, k: k * r),
                "There the copies read the head at every place, as some trainers do. Here both read it at KR places.",
            ),
            (
                _bound_with(lambda p, r, k: k * r, lambda p, r, k: _fed(p, r, k)),
                "There the tree reads the head at every place. It needs it at KR places, as the copies do.",
            ),
            (
                _bound_with(lambda p, r, k: k * r, lambda p, r, k: r),
                "The tree has K responses too: their tokens are predicted at KR places, not at R.",
            ),
            (
                _bound_with(lambda p, r, k: r, lambda p, r, k: r),
                "The head is read for all K responses: at KR places, not at R.",
            ),
            (
                _bound_with(lambda p, r, k: k, lambda p, r, k: k),
                "The head is read for every token of a response: at KR places, not at K.",
            ),
            (
                _bound_with(lambda p, r, k: 1, lambda p, r, k: 1),
                "The head's weights count once for every place where they are read: KR times.",
            ),
            (_bound_with(lambda p, r, k: k * r, lambda p, r, k: 0), "The tree reads the head as well."),
            (_bound_with(lambda p, r, k: 0, lambda p, r, k: k * r), "The copies read the head as well."),
            (
                lambda p, r, k, body, head: (body * _tokens_alone(p, r, k, body, head) + head) / (body + head),
                "That is a mean of two savings, weighed by the weights. Add up the work first, then divide once.",
            ),
            (
                lambda p, r, k, body, head: _tokens_alone(p, r, k, body, head) + 1,
                "Savings do not add up. Add the work of body and head on each side, then divide.",
            ),
            (
                lambda p, r, k, body, head: _bound(p, r, k, head, body),
                "Body and head have changed places.",
            ),
            (lambda *case: 1 / _bound(*case), "Upside down: the work of the copies over that of the tree."),
        ),
    ),
    mistakes=(
        (lambda: lambda p, r, k, body, head: k * (p + r) / (p + k * r), "saving in tokens"),
        (
            lambda: lambda p, r, k, body, head: (body + head) * k * (p + r) / ((body + head) * (p + k * r)),
            "every place",
        ),
        (
            lambda: lambda p, r, k, body, head: (body + head) * k * (p + r) / (body * (p + k * r) + head * k * r),
            "as some trainers do",
        ),
        (
            lambda: lambda p, r, k, body, head: (body * k * (p + r) + head * k * r) / (body * (p + k * r) + head * r),
            "K responses too",
        ),
        (lambda: lambda *case: 1 / _bound(*case), "Upside down"),
        (lambda: lambda p, r, k, body, head: _bound(p, r, k, head, body), "changed places"),
        (lambda: 2.0, "the function itself"),
    ),
)


EXERCISES = (
    *ch10_memory.EXERCISES[:1],
    _SHARED,
    _BOUND,
    *ch10_memory.EXERCISES[1:],
    *ch10_split.EXERCISES,
)
