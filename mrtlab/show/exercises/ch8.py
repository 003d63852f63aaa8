"""Chapter 8, several adapters: pass@k by hand, every example's own gradient, all adapters in one batch."""

from math import comb

import numpy as np

from mrtlab.show.exercises import ch8_parts, ch8_read, ch8_spread
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck


def _pass_at_k(n: int, c: int, k: int) -> float:
    return 1 - comb(n - c, k) / comb(n, k)


_PASS_AT_K = Exercise(
    id="ch8.pass_at_k",
    title="One right in five",
    difficulty=1,
    minutes=6,
    text=r"""
Eight adapters answer, and some answers are right. How often is at least one of *five* answers right? Taking the first
five wastes the other three. Better is to average over every way to choose five of the eight.

Write `pass_at_k(n, c, k)`: of `n` answers `c` are right, and `k` different ones of them are chosen at random. With
which chance is at least one right? Count the choices: `comb(n, k)` of them there are.

`pass_at_k(4, 2, 2)` should be 5/6: of six pairs one holds both wrong answers.
""",
    stub="""
from math import comb

from mrtlab.show.exercises import check

def pass_at_k(n, c, k):
    return ...

check("ch8.pass_at_k", pass_at_k)
""",
    solution="""
from math import comb

from mrtlab.show.exercises import check

def pass_at_k(n, c, k):
    return 1 - comb(n - c, k) / comb(n, k)

check("ch8.pass_at_k", pass_at_k)
""",
    check=FunctionCheck(
        reference=_pass_at_k,
        cases=lambda rng: [(4, 2, 2), (8, 1, 5), (10, 0, 3), (8, 5, 5), (6, 2, 1), (20, 7, 3)],
        hint="In how many of the choices is *none* right? Those take all their k from the n − c wrong answers.",
        why="Every choice of k counts once, so the mean over problems is what k fresh answers would give, neither too "
        "high nor too low.",
        carry_on="Carry on: with one adapter for each answer, is the choice of five of eight adapters the same as five "
        "answers of one? And what is pass@8 of eight answers an average over?",
        slips=(
            (
                lambda n, c, k: 1 - (1 - c / n) ** k,
                "That may choose one answer twice. It is too low on average: choose k *different* ones.",
            ),
            (lambda n, c, k: c / n, "That is the chance for one answer, k = 1."),
            (
                lambda n, c, k: min(1.0, k * c / n),
                "Chances of k answers cannot be added: a choice with two right ones would count twice.",
            ),
            (lambda n, c, k: comb(n - c, k) / comb(n, k), "That is the chance that *none* is right."),
            (lambda n, c, k: comb(c, k) / comb(n, k), "That is the chance that *all* k are right. One is enough."),
            (
                lambda n, c, k: 1 - comb(c, k) / comb(n, k),
                "That is the chance that at least one is *wrong*. Right and wrong have changed places.",
            ),
            (
                lambda n, c, k: c * comb(n - c, k - 1) / comb(n, k),
                "That is the chance that *exactly* one is right. Two are fine as well.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda n, c, k: 1 - (1 - c / n) ** k, "twice"),
        (lambda: lambda n, c, k: c / n, "k = 1"),
        (lambda: lambda n, c, k: comb(n - c, k) / comb(n, k), "*none*"),
        (lambda: lambda n, c, k: comb(c, k) / comb(n, k), "*all* k"),
        (lambda: lambda n, c, k: c * comb(n - c, k - 1) / comb(n, k), "*exactly*"),
        (lambda: 5 / 6, "the function itself"),
    ),
)


def _per_example(x: np.ndarray, delta: np.ndarray) -> np.ndarray:
    return np.einsum("bto,bti->boi", delta, x)


_PER_EXAMPLE = Exercise(
    id="ch8.per_example",
    title="A gradient for everyone",
    difficulty=2,
    minutes=8,
    text=r"""
A linear layer gives $y_t = W x_t$ for every token $t$. Backward, each token brings $\delta_t$, the gradient of its
example's loss on $y_t$, and the gradient on the weights is

$$
\frac{\partial L}{\partial W} = \sum_t \delta_t\, x_t^\top .
$$

A framework sums that over the whole batch. To know what each *example* teaches we need it for each alone, and the
batch has all that it takes: keep $x$ on the way forward, $\delta$ on the way back.

Write `gradients(x, delta)`. `x` has the shape (examples, tokens, in), `delta` (examples, tokens, out); the answer has
(examples, out, in). With `x = np.array([[[1, 2], [3, 4]]])` and `delta = np.array([[[1], [10]]])` it should be
`[[[31, 42]]]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def gradients(x, delta):
    return ...

check("ch8.per_example", gradients)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def gradients(x, delta):
    return np.einsum("bto,bti->boi", delta, x)

check("ch8.per_example", gradients)
""",
    check=FunctionCheck(
        reference=_per_example,
        cases=lambda rng: [
            (np.array([[[1, 2], [3, 4]]]), np.array([[[1], [10]]])),
            (rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4, 2))),
            (rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 6, 4))),
        ],
        hint="Give each axis a letter: b for examples, t for tokens, o and i. Which letter must be gone from the "
        "result? `np.einsum` sums over that one.",
        why="One pass of the whole batch gives every example's gradient. Padding costs nothing: a token that counts "
        "for no loss has δ = 0.",
        carry_on="Carry on: a LoRA layer is two linear layers, A and then B. What are x and δ of each? And why must "
        "the loss be a sum over examples here, and not their mean over all tokens of the batch?",
        slips=(
            (
                lambda x, d: np.einsum("bto,bti->oi", d, x),
                "That sums over the examples too, as a framework does. Keep the first axis.",
            ),
            (
                lambda x, d: _per_example(x, d) / x.shape[1],
                "That is the mean over tokens. A gradient is their sum: δ has the loss's own weights in it.",
            ),
            (
                lambda x, d: np.einsum("bo,bi->boi", d.sum(1), x.sum(1)),
                "That multiplies the sums. Each δ belongs to the x of its *own* token: multiply first, then sum.",
            ),
            (lambda x, d: _per_example(d, x), "Right numbers, lying on their side: (examples, out, in), as W has it."),
            (
                lambda x, d: np.einsum("bto,bti->btoi", d, x),
                "That is one matrix for each token. Sum over the tokens of an example.",
            ),
            (
                lambda x, d: np.einsum("bo,bi->boi", d[:, -1], x[:, -1]),
                "That is the last token alone. All tokens of the answer have a loss.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda x, delta: np.einsum("bto,bti->oi", delta, x), "Keep the first axis"),
        (lambda: lambda x, delta: _per_example(x, delta) / x.shape[1], "their sum"),
        (lambda: lambda x, delta: np.einsum("bo,bi->boi", delta.sum(1), x.sum(1)), "*own* token"),
        (lambda: lambda x, delta: np.einsum("bto,bti->bio", delta, x), "on their side"),
        (lambda: lambda x, delta: delta[..., None] * x[:, :, None], "one matrix for each token"),
        (lambda: lambda x, delta: x @ delta, "Your function raised"),
    ),
)


def _stacked(x: np.ndarray, w: np.ndarray, a: np.ndarray, b: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x @ w.T + _added(x, a, b) * scale[:, None, None]


def _added(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """B_k A_k x_k, before the scale."""
    return np.matmul(np.matmul(x, a.swapaxes(1, 2)), b.swapaxes(1, 2))


def _of_all(x: np.ndarray, a: np.ndarray, b: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Every row through every adapter, for slips: (adapters, rows, tokens, out)."""
    return np.stack([_added(x, a[[k] * len(x)], b[[k] * len(x)]) * scale[k] for k in range(len(a))])


def _layers(rng: np.random.Generator) -> list[tuple]:
    one = np.ones((2, 1, 1))
    cases = [(one * [[[1.0]], [[2.0]]], np.array([[3.0]]), one, one * [[[1.0]], [[10.0]]], np.array([1.0, 0.5]))]
    for k, tokens, inner, outer, rank in ((3, 4, 5, 2, 2), (4, 1, 3, 6, 1)):
        sizes = ((k, tokens, inner), (outer, inner), (k, rank, inner), (k, outer, rank))
        cases.append((*(rng.normal(size=size) for size in sizes), rng.uniform(0.5, 3, size=k)))
    return cases


_STACKED = Exercise(
    id="ch8.stacked",
    title="Eight adapters, two products",
    difficulty=2,
    minutes=10,
    text=r"""
An adapter changes a layer by two thin matrices: $y = Wx + s\,BAx$. Eight adapters answer one question, so eight rows go
through one layer, and row $k$ needs the matrices of adapter $k$:

$$
y_k = W x_k + s_k\, B_k A_k x_k \qquad \text{for all } k .
$$

Write `stacked(x, W, A, B, scale)` without a loop over adapters. `x` has the shape (adapters, tokens, in), `W` has
(out, in), `A` (adapters, rank, in), `B` (adapters, out, rank) and `scale` (adapters); the answer has (adapters, tokens,
out). `np.matmul` of two arrays with three axes is a product for each place of the first axis: a *batched* product, and
two of them are enough.

Two adapters with $A = 1$, $B$ = 1 and 10, $s$ = 1 and ½, $W = 3$, $x$ = 1 and 2: $y$ should be 4 and 16.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def stacked(x, W, A, B, scale):
    return ...

check("ch8.stacked", stacked)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def stacked(x, W, A, B, scale):
    down = np.matmul(x, A.swapaxes(1, 2))
    up = np.matmul(down, B.swapaxes(1, 2))
    return x @ W.T + scale[:, None, None] * up

check("ch8.stacked", stacked)
""",
    check=FunctionCheck(
        reference=_stacked,
        cases=_layers,
        hint="Rows are tokens, so A comes from the right, turned: x_k A_kᵀ. `A.swapaxes(1, 2)` turns every A_k.",
        why="W is read once for all rows, and what the adapters add is thin. That is why eight adapters in one batch "
        "cost little more than the bare model does.",
        carry_on="Carry on: why not multiply B_k A_k out first, or add it to W? Count the numbers for eight adapters "
        "of rank 16 on a layer of 4,096 by 4,096.",
        slips=(
            (lambda x, w, a, b, s: x @ w.T + _added(x, a, b), "Each adapter has a scale of its own: s_k."),
            (
                lambda x, w, a, b, s: x @ w.T + _of_all(x, a, b, s)[0],
                "Every row went through the first adapter. Row k needs A_k and B_k.",
            ),
            (
                lambda x, w, a, b, s: x @ w.T + _of_all(x, a, b, s).sum(0),
                "Every row got what *all* adapters add. That is one merged model, asked eight times.",
            ),
            (
                lambda x, w, a, b, s: x @ w.T + _of_all(x, a, b, s).mean(0),
                "Every row got the adapters' mean. That is one merged model, asked eight times.",
            ),
            (lambda x, w, a, b, s: _stacked(x, w, a, b, s) - x @ w.T, "What the layer itself gives, W x, is missing."),
            (
                lambda x, w, a, b, s: s[:, None, None] * (x @ w.T + _added(x, a, b)),
                "The scale stands before BAx alone, not before W x.",
            ),
            (
                lambda x, w, a, b, s: x @ w.T - _added(x, a, b) * s[:, None, None],
                "An adapter is added, not subtracted.",
            ),
        ),
    ),
    mistakes=(
        (lambda: lambda x, w, a, b, scale: x @ w.T + _added(x, a, b), "a scale of its own"),
        (lambda: lambda x, w, a, b, scale: x @ w.T + scale[0] * (x @ a[0].T @ b[0].T), "the first adapter"),
        (
            lambda: (
                lambda x, w, a, b, scale: (
                    x @ w.T + sum(s * x @ down.T @ up.T for s, down, up in zip(scale, a, b, strict=True)) / len(a)
                )
            ),
            "adapters' mean",
        ),
        (lambda: lambda x, w, a, b, scale: _added(x, a, b) * scale[:, None, None], "is missing"),
        (lambda: lambda x, w, a, b, scale: scale[:, None, None] * (x @ w.T + _added(x, a, b)), "alone"),
        (lambda: lambda x, w, a, b, scale: x @ w + x @ a @ b, "Your function raised"),
    ),
)

EXERCISES = (
    _PASS_AT_K,
    *ch8_spread.EXERCISES[:1],
    _PER_EXAMPLE,
    *ch8_parts.EXERCISES,
    *ch8_spread.EXERCISES[1:],
    _STACKED,
    *ch8_read.EXERCISES,
)
