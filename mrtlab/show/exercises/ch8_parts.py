"""Chapter 8, several adapters: which example helps which query, and who learns from what."""

import numpy as np

from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck


def _help(gradients: np.ndarray, query: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    return gradients @ np.linalg.solve(curvature, query)


def _curved(rng: np.random.Generator) -> list[tuple]:
    cases = [(np.array([[4.0, 1.0], [-4.0, 1.0]]), np.array([2.0, 1.0]), np.diag([2.0, 1.0]))]
    for n, p in ((4, 3), (6, 5)):
        root = rng.normal(size=(p, p))
        cases.append((rng.normal(size=(n, p)), rng.normal(size=p), root @ root.T + np.eye(p)))
    return cases


_HELP = Exercise(
    id="ch8.help",
    title="Helps, or hurts?",
    difficulty=2,
    minutes=8,
    text=r"""
A little training on example $i$ moves the weights along $-H^{-1} g_i$: down its gradient, each direction divided by its
curvature. What does that do to the loss of a query with gradient $g_q$? To first order it *changes* by
$-g_q^\top H^{-1} g_i$, per step. That is the formula as papers print it, minus included. A part of the data, though, is
to hold what helps its query *most*, and the largest number wins.

Write `help_of(gradients, query, curvature)`: for each example, by how much its step *lowers* the query's loss.
`gradients` has a row for each example, `query` is $g_q$, `curvature` is $H$, symmetric.

`help_of(np.array([[4., 1.], [-4., 1.]]), np.array([2., 1.]), np.diag([2., 1.]))` should be `[5, -3]`: the first example
pulls the same way as the query.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def help_of(gradients, query, curvature):
    return ...

check("ch8.help", help_of)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def help_of(gradients, query, curvature):
    return gradients @ np.linalg.solve(curvature, query)

check("ch8.help", help_of)
""",
    check=FunctionCheck(
        reference=_help,
        cases=_curved,
        hint="`np.linalg.solve(H, query)` is H⁻¹ g_q, found once. Then one product with each row. Which sign means "
        "that the loss gets lower?",
        why="Larger means more helpful. An arg max over the printed formula, minus and all, would hand each example to "
        "the query that it helps least.",
        carry_on="Carry on: H was solved for the query once, not for every example. What would the other way cost with "
        "75,000 examples and 8 queries?",
        slips=(
            (
                lambda g, q, h: -_help(g, q, h),
                "That is by how much the query's loss *changes*: the printed minus. What helps is below 0 there, so "
                "the largest would be what helps least.",
            ),
            (lambda g, q, h: g @ q, "The curvature is missing: a dot product takes every direction for equally steep."),
            (
                lambda g, q, h: g @ h @ q,
                "That multiplies by H. Steps are *divided* by the curvature: solve with H.",
            ),
            (
                lambda g, q, h: _help(g, q, h) / np.linalg.norm(g, axis=1),
                "That divides by the length of each gradient. A louder example makes a longer step.",
            ),
            (lambda g, q, h: abs(_help(g, q, h)), "Without its sign a score does not tell help from harm."),
            (
                lambda g, q, h: g @ (q / np.diag(h)),
                "That divides by H's diagonal alone. Directions lean on each other: solve with the whole H.",
            ),
            (lambda g, q, h: _help(g, q, h).mean(), "That is the mean. Every example gets a score of its own."),
        ),
    ),
    mistakes=(
        (lambda: lambda gradients, query, curvature: -_help(gradients, query, curvature), "printed minus"),
        (lambda: lambda gradients, query, curvature: gradients @ query, "curvature is missing"),
        (lambda: lambda gradients, query, curvature: gradients @ curvature @ query, "multiplies by H"),
        (lambda: lambda gradients, query, curvature: gradients @ (query / np.diag(curvature)), "diagonal alone"),
        (lambda: lambda gradients, query, curvature: abs(_help(gradients, query, curvature)), "help from harm"),
        (lambda: lambda gradients, query, curvature: np.linalg.solve(curvature, gradients), "Your function raised"),
    ),
)


def _parts(scores: np.ndarray) -> np.ndarray:
    return ((scores - scores.mean(axis=0)) / scores.std(axis=0)).argmax(axis=1)


def _columns(rng: np.random.Generator) -> list[tuple]:
    """Scores of queries that differ in level and width."""
    cases = [(np.array([[1.0, 10.0], [3.0, 10.5], [2.0, 14.0]]),)]
    for n, k in ((40, 3), (60, 4)):
        cases.append((rng.normal(size=(n, k)) * rng.permutation(3.0 ** np.arange(k)) + rng.normal(size=k) * 3,))
    return cases


_PARTS = Exercise(
    id="ch8.parts",
    title="The loudest query takes all",
    difficulty=1,
    minutes=7,
    text=r"""
`scores[i, q]` says how much example $i$ helps query $q$. Each example goes to the query that it helps most, and the
examples of a query become the data of one adapter. But the columns are not alike: a query with large gradients has
scores of a larger spread, and one whose loss everybody lowers has all its scores high. Its part then swallows the rest.

Write `parts(scores)`: less each column its mean, divide it by its standard deviation, and give for each example the
place of its largest number.

`parts(np.array([[1, 10], [3, 10.5], [2, 14]]))` should be `[1, 0, 1]`. As they come, all three would go to 1.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def parts(scores):
    return ...

check("ch8.parts", parts)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def parts(scores):
    even = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    return even.argmax(axis=1)

check("ch8.parts", parts)
""",
    check=FunctionCheck(
        reference=_parts,
        cases=_columns,
        hint="`axis=0` runs down a column, over examples; `axis=1` along a row, over queries. The means and standard "
        "deviations are of columns, the arg max is of rows.",
        why="An example now goes where it stands out *among all examples*, not where scores are large anyway. Sizes "
        "come out more even, though nothing makes them equal.",
        carry_on="Carry on: choosing the queries with the widest columns, as the paper does, makes the raw arg max "
        "worse. Why? And how would you make parts of exactly equal size?",
        slips=(
            (
                lambda s: s.argmax(axis=1),
                "Those are the parts of the scores as they come: the widest and highest columns win. (One mean for "
                "each row, or for the whole table, moves no row's largest.)",
            ),
            (
                lambda s: (s / s.std(axis=0)).argmax(axis=1),
                "The centring is missing: a column that is high for everybody still wins. Subtract its mean first.",
            ),
            (
                lambda s: (s - s.mean(axis=0)).argmax(axis=1),
                "Centred, but a wide column still wins most extremes. Divide by the standard deviation.",
            ),
            (
                lambda s: (-(s - s.mean(axis=0)) / s.std(axis=0)).argmax(axis=1),
                "Each example went to the query that it helps *least*. Larger is more helpful here.",
            ),
            (
                lambda s: ((s - s.mean(axis=0)) / s.std(axis=0)).argmax(axis=0),
                "That is the best example of each query. Ask for the best query of each example: `axis=1`.",
            ),
            (
                lambda s: abs((s - s.mean(axis=0)) / s.std(axis=0)).argmax(axis=1),
                "Far below the mean is no help. Leave the signs.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda scores: scores.argmax(axis=1), "as they come"),
        (lambda: lambda scores: (scores / scores.std(axis=0)).argmax(axis=1), "centring is missing"),
        (lambda: lambda scores: (scores - scores.mean(axis=0)).argmax(axis=1), "standard deviation"),
        (lambda: lambda scores: ((scores - scores.mean()) / scores.std()).argmax(axis=1), "moves no row's largest"),
        (
            lambda: lambda scores: ((scores - scores.mean(axis=0)) / scores.std(axis=0)).argmin(axis=1),
            "*least*",
        ),
        (lambda: lambda scores: (scores - scores.mean(axis=0)) / scores.std(axis=0), "expected 3 numbers"),
    ),
)


def _scores(gradients: np.ndarray, queries: np.ndarray, lam: float) -> np.ndarray:
    n = len(gradients)
    return n * np.linalg.solve(gradients @ gradients.T + n * lam * np.eye(n), gradients @ queries.T)


def _dual(gradients: np.ndarray, queries: np.ndarray, ridge: object, outer: int) -> np.ndarray:
    """The dual form with another ridge and another factor, for slips."""
    return outer * np.linalg.solve(gradients @ gradients.T + ridge, gradients @ queries.T)


def _many_weights(rng: np.random.Generator) -> list[tuple]:
    cases = [(np.array([[1.0, 0.0], [1.0, 2.0]]), np.array([[1.0, 1.0]]), 0.5)]
    for n, p, m in ((5, 3, 2), (4, 300, 3)):
        cases.append((rng.normal(size=(n, p)), rng.normal(size=(m, p)), float(rng.uniform(0.1, 2))))
    return cases


_DUAL = Exercise(
    id="ch8.dual",
    title="A million weights, a thousand examples",
    difficulty=3,
    minutes=15,
    text=r"""
Take for the curvature the mean square of the gradients, with a little added so that it can be inverted. With the
examples' gradients as the $n$ rows of $G$ and the queries' as the $m$ rows of $V$, all scores at once are

$$
S = G\,\big(\tfrac1n G^\top G + \lambda I\big)^{-1} V^\top .
$$

That solves a system as large as there are *weights*. There are far fewer examples, and a sum of $n$ outer products
knows only $n$ directions. So the same numbers come from a system of $n$ by $n$: from products of examples with each
other, $K = G G^\top$, and with the queries, $C = G V^\top$.

Multiply out that $G\,(\tfrac1n G^\top G + \lambda I) = (\tfrac1n G G^\top + \lambda I)\,G$, start from there, and find
$S$ in terms of $K$ and $C$. Then write `scores(G, V, lam)`, of shape $(n, m)$, without any matrix of weights by
weights.

`scores(np.array([[1, 0], [1, 2]]), np.array([[1, 1]]), 0.5)` should be `[[0.545], [0.909]]`, rounded.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def scores(G, V, lam):
    return ...

check("ch8.dual", scores)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def scores(G, V, lam):
    n = len(G)
    K, C = G @ G.T, G @ V.T
    return n * np.linalg.solve(K + n * lam * np.eye(n), C)

check("ch8.dual", scores)
""",
    check=FunctionCheck(
        reference=_scores,
        cases=_many_weights,
        hint="Multiply the identity by the inverse of each bracket, from its own side: the bracket changes sides and "
        "becomes n by n. Then take the 1/n out of it.",
        why="n(K + nλI)⁻¹C, exactly the same numbers. With 512 examples and a hundred thousand weights the system has "
        "512 rows, and every further query is one more column.",
        carry_on="Carry on: what do the scores tend to as λ grows, up to a factor? And as it goes to 0, for a query "
        "that is one of the examples?",
        slips=(
            (
                lambda g, v, lam: _dual(g, v, lam * np.eye(len(g)), len(g)),
                "λ has to grow with n: taking 1/n out of the bracket leaves K + nλI.",
            ),
            (
                lambda g, v, lam: _dual(g, v, len(g) * lam * np.eye(len(g)), 1),
                "The shapes are right, the size is not: 1/n came out of an *inverse*, so there is a factor n in front.",
            ),
            (
                lambda g, v, lam: _dual(g, v, lam * np.eye(len(g)), 1),
                "That is for the *sum* of squares, GᵀG + λI. The formula has their mean.",
            ),
            (
                lambda g, v, lam: _dual(g, v, len(g) * lam, len(g)),
                "`K + n * lam` adds to every entry. λ stands on the diagonal alone: `np.eye(n)`.",
            ),
            (lambda g, v, lam: g @ v.T, "That is C alone, plain dot products. The bracket is still to be solved."),
            (
                lambda g, v, lam: len(g) * (g @ g.T + len(g) * lam * np.eye(len(g))) @ g @ v.T,
                "That multiplies by the bracket. It is its inverse that is asked for: `np.linalg.solve`.",
            ),
            (lambda g, v, lam: _scores(g, v, lam).T, "Right numbers, lying on their side: one row for each example."),
            (lambda g, v, lam: -_scores(g, v, lam), "The size is right, the sign is not: positive is helpful."),
        ),
    ),
    mistakes=(
        (lambda: lambda g, v, lam: _dual(g, v, lam * np.eye(len(g)), len(g)), "grow with n"),
        (lambda: lambda g, v, lam: _dual(g, v, len(g) * lam * np.eye(len(g)), 1), "factor n in front"),
        (
            lambda: lambda g, v, lam: g @ np.linalg.solve(g.T @ g + lam * np.eye(g.shape[1]), v.T),
            "The formula has their mean",
        ),
        (lambda: lambda g, v, lam: _dual(g, v, len(g) * lam, len(g)), "every entry"),
        (lambda: lambda g, v, lam: -_scores(g, v, lam), "sign is not"),
        (lambda: lambda g, v, lam: _scores(g, v, lam).T, "on their side"),
    ),
)

EXERCISES = (_HELP, _PARTS, _DUAL)
