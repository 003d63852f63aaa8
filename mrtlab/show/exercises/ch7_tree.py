"""Chapter 7, even answers: what a target over whole answers asks of the next token, node by node."""

import numpy as np

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck

_DIGIT = Exercise(
    id="ch7.digit",
    title="The zero after a one",
    difficulty=1,
    minutes=5,
    text=r"""
All numbers from 1 to 100 are to be equally likely. The model writes them digit by digit, and an end token after the
last: `1 ⏹`, `1 0 ⏹`, … `1 0 0 ⏹`. Along the token tree the target for the next token is

$$
q(v \mid n) = P^*(nv) \,/\, P^*(n),
$$

where $P^*(n)$ is the mass of all answers that begin with $n$.

**Which probability should the token `0` have after the first digit `1`?** Two decimals.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch7.digit", answer)
""",
    solution="""
from mrtlab.show.exercises import check

numbers = [str(number) for number in range(1, 101)]
one = [number for number in numbers if number.startswith("1")]
answer = sum(number.startswith("10") for number in one) / len(one)
check("ch7.digit", answer)
""",
    check=NumberCheck(
        target=1 / 6,
        hint="Write down all numbers of the list that begin with 1. How many of them go on with a 0?",
        why="Twelve numbers begin with 1: itself, 10 to 19, and 100. Two of them, 10 and 100, go on with 0.",
        carry_on="Carry on: an even law over answers is no even law over tokens. What should the first digit be, and "
        "which loss has a model that is even at every node of the tree?",
        slips=(
            (1 / 10, "That counts 10 to 19 only. Which other numbers begin with 1?"),
            (1 / 11, "Ten numbers and one more is eleven; 1 *and* 100 begin with 1, too."),
            (1 / 12, "Twelve numbers begin with 1, right. More than one of them goes on with 0."),
            (2 / 11, "Two go on with 0, right. The 1 itself comes by, too, and ends there: twelve in all."),
            (2 / 10, "Two go on with 0, right. But more than ten begin with 1."),
            (2 / 100, "That is P*(10), of all numbers. Divide by the mass that comes to `1`."),
            (12 / 100, "That is P*(1), the mass that comes to `1`. Which share of it goes on to `0`?"),
        ),
    ),
    mistakes=(
        (lambda: 1 / 10, "10 to 19 only"),
        (lambda: 1 / 12, "More than one"),
        (lambda: 2 / 11, "ends there"),
        (lambda: 0.02, "Divide by the mass"),
        (lambda: 0.12, "Which share of it"),
        (lambda: 100 / 6, "100 times too large"),
    ),
)


def _node(p_star: np.ndarray, child: np.ndarray, logp: np.ndarray) -> np.ndarray:
    here = child >= 0
    reach = np.bincount(child[here], weights=p_star[here], minlength=len(logp))
    return np.array([-reach * logp, reach.sum() * np.exp(logp) - reach])


def _node_alone(p_star: np.ndarray, child: np.ndarray, logp: np.ndarray) -> np.ndarray:
    """The node as if every answer came by it, for a slip."""
    return _node(p_star / p_star[child >= 0].sum(), child, logp)


def _nodes(rng: np.random.Generator) -> list[tuple]:
    cases = [(np.array([0.5, 0.25, 0.25]), np.array([0, 1, -1]), np.log(np.array([0.5, 0.25, 0.25])))]
    for m, v in ((6, 4), (12, 5)):
        child = np.append(rng.integers(-1, v, size=m - 3), [-1, 0, 1])
        cases.append((rng.dirichlet(np.ones(m)), child, np.log(rng.dirichlet(np.ones(v)))))
    return cases


_NODE = Exercise(
    id="ch7.node",
    title="What a node is told",
    difficulty=2,
    minutes=12,
    text=r"""
String by string or node by node, the loss is the same: every answer's $-\log p$ is a sum over its tokens, and answers
that share a beginning share its terms. What a node $n$ of the tree adds to the loss is

$$
P^*(n) \Big[ -\sum_v q(v \mid n) \log p(v \mid n) \Big],
\qquad \text{its gradient on the logits is} \quad P^*(n)\,\big[\,p(\cdot \mid n) - q(\cdot \mid n)\,\big].
$$

Write `node(p_star, child, logp)` for one node, a table of two rows with a number for each token $v$: its part of the
loss, and its part of the gradient. `child[i]` is the token by which answer `i` goes on from here, or −1 if it never
comes here. `logp` holds the model's log-probabilities of all tokens at the node.

`node(np.array([0.5, 0.25, 0.25]), np.array([0, 1, -1]), np.log([0.5, 0.25, 0.25]))` should be
`[[0.347, 0.347, 0], [-0.125, -0.062, 0.188]]`, rounded. The third answer, a quarter of the target's mass, does not
come here.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def node(p_star, child, logp):
    return ...

check("ch7.node", node)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def node(p_star, child, logp):
    on = np.array([p_star[child == v].sum() for v in range(len(logp))])
    here = on.sum()
    return np.array([-on * logp, here * np.exp(logp) - on])

check("ch7.node", node)
""",
    check=FunctionCheck(
        reference=_node,
        cases=_nodes,
        hint="P*(nv) is the sum of `p_star` where `child` is v, and P*(n) the sum of those. P*(n)·q(v|n) is P*(nv).",
        why="A node that few answers reach is told little, and a token that is as likely as it should be is told "
        "nothing. Summed over all nodes, the first row is the loss of the strings.",
        carry_on="Carry on: the anchor, KL(base ‖ model) at a place of another prompt, has the same gradient with the "
        "base's own law as q. How large is it before the first step, and why does it hold the model all the same?",
        slips=(
            (
                _node_alone,
                "That is the node for itself, with q. In the loss it counts P*(n): not every answer comes here.",
            ),
            (
                lambda p, c, logp: np.array([_node(p, c, logp)[0], np.exp(logp) - (_node(p, c, logp)[0] / -logp)]),
                "The loss is right. In the gradient P*(n) stands before p, too.",
            ),
            (
                lambda p, c, logp: np.array([_node(p, c, logp)[0], _node_alone(p, c, logp)[1]]),
                "The loss is right. The gradient is that of the node for itself: times P*(n).",
            ),
            (
                lambda p, c, logp: _node(p, c, logp) * [[1], [-1]],
                "The loss is right. The gradient goes *uphill*: what is too likely has a positive one.",
            ),
            (
                lambda p, c, logp: _node(p, c, logp) * [[-1], [1]],
                "The gradient is right. The loss has the minus of −log p.",
            ),
            (
                lambda p, c, logp: _node(np.full(len(p), 1 / len(p)), c, logp),
                "That counts the answers. They weigh `p_star`, which need not be even.",
            ),
            (lambda p, c, logp: _node(p, c, logp).T, "Right numbers, lying on their side: two rows, loss first."),
            (lambda p, c, logp: _node(p, c, logp)[::-1], "Right rows, in the other order: loss first."),
        ),
    ),
    mistakes=(
        (lambda: _node_alone, "not every answer comes here"),
        (lambda: lambda p_star, child, logp: _node(p_star, child, logp) * [[1], [-1]], "uphill"),
        (lambda: lambda p_star, child, logp: _node(p_star, child, logp).T, "on their side"),
        (lambda: lambda p_star, child, logp: _node(np.full(len(p_star), 1 / len(p_star)), child, logp), "need not be"),
        (lambda: lambda p_star, child, logp: _node(p_star, child, logp)[0], "expected a table"),
        (lambda: lambda p_star, child, logp: np.bincount(child), "Your function raised"),
    ),
)

EXERCISES = (_DIGIT, _NODE)
