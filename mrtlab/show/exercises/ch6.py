"""Chapter 6, multi-response training of a language model: a tree's tokens, a loss's weights, a divergence's parts."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from mrtlab.data.tasks.callings import Callings
from mrtlab.show.exercises import ch6_runs
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck

_TREE_TOKENS = Exercise(
    id="ch6.tree_tokens",
    title="What the tree saves",
    difficulty=1,
    minutes=6,
    text=r"""
A prompt of 12 tokens got four responses, two of them the same. A bar parts their tokens, ⏹ is the end token:

`a|ba|ker|⏹` &nbsp; `a|ba|nker|⏹` &nbsp; `a|nurse|⏹` &nbsp; `a|nurse|⏹`

The last token of a response is predicted but never fed: nothing comes after it. A trainer without trees feeds every
response with its own copy of the prompt. The tree feeds the prompt and every shared beginning once.

**How many times as many tokens does the first feed?** Two decimals are enough. Count by hand, or let `TokenTree` count.
""",
    stub="""
from mrtlab.lm import TokenTree
from mrtlab.show.exercises import check

a, ba, ker, nker, nurse, stop = range(6)
answer = ...
check("ch6.tree_tokens", answer)
""",
    solution="""
from mrtlab.lm import TokenTree
from mrtlab.show.exercises import check

a, ba, ker, nker, nurse, stop = range(6)
drawn = [[a, ba, ker, stop], [a, ba, nker, stop], [a, nurse, stop], [a, nurse, stop]]
tree = TokenTree.build(range(12), drawn)
answer = tree.n_fed_apart / tree.n_fed
check("ch6.tree_tokens", answer)
""",
    check=NumberCheck(
        target=58 / 17,
        hint="Draw the tree. Which tokens have something after them? Each of those is fed once, beside the prompt.",
        why="Copies feed 15 + 15 + 14 + 14 = 58 tokens. The tree feeds 12 of the prompt and `a`, `ba`, `ker`, "
        "`nker`, `nurse`.",
        carry_on="Carry on: (P + R)K/(P + KR) is what sharing the prompt alone can save, here 2.38. Why is it less? "
        "And towards what does it go for very long prompts?",
        slips=(
            (62 / 26, "That is (P + R)K/(P + KR): only the prompt is shared. Here beginnings and duplicates are too."),
            (58 / 22, "There the responses share the prompt and nothing else. `a` stands four times, but is fed once."),
            (
                58 / 20,
                "Two ways lead there: the duplicate merged but `a` and `ba` fed again and again, or the tree's end "
                "tokens fed as well.",
            ),
            (62 / 17, "Without trees too, the last token of a response is not fed: 12 + 3, not 12 + 4."),
            (62 / 20, "End tokens are predicted, but nothing comes after them: leave them out on both sides."),
            (17 / 58, "That is the tree over the copies. The question asks for the inverse."),
            (4.0, "Four copies of the prompt become one, but the responses still differ."),
            (17.0, "That is what the tree feeds. Divide what the copies feed by it."),
            (58.0, "That is what the copies feed. Divide it by what the tree feeds."),
        ),
    ),
    mistakes=(
        (lambda: (12 + 3.5) * 4 / (12 + 4 * 3.5), "only the prompt is shared"),
        (lambda: 58 / (12 + 3 + 3 + 2 + 2), "fed once"),
        (lambda: 58 / (12 + 8), "Two ways"),
        (lambda: (4 * 12 + 14) / 17, "12 + 3, not 12 + 4"),
        (lambda: 62 / 20, "leave them out"),
        (lambda: 17 / 58, "the inverse"),
        (lambda: 4, "still differ"),
    ),
)


def _weights(n_tokens: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    counts = np.bincount(drawn, minlength=len(n_tokens))
    return np.array([counts / (counts @ n_tokens), counts / (len(drawn) * n_tokens)])


def _weights_of_kinds(n_tokens: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """A response that was drawn twice counted once, for a slip."""
    return _weights(n_tokens, np.unique(drawn))


_WEIGHTS = Exercise(
    id="ch6.weights",
    title="Two ways to divide",
    difficulty=2,
    minutes=8,
    text=r"""
A tree gives one log-probability per *leaf*, that is per different response. The multi-response loss is
$-\sum_i w_i \log p(y_i)$ over the leaves, so a rule for the loss is a rule for the weights.

Leaf $i$ has `n_tokens[i]` tokens, its end token included. `drawn` lists which leaf each of the $K$ responses is, so a
response that came twice stands in it twice. Write `weights(n_tokens, drawn)`, a table of two rows:

1. *token-normalised*: the summed loss of all $K$ responses over all their tokens, as TRL does;
2. *response-normalised*: the mean over responses of each one's mean loss per token.

`weights(np.array([1, 3]), np.array([0, 1, 1]))` should be `[[1/7, 2/7], [1/3, 2/9]]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def weights(n_tokens, drawn):
    return ...

check("ch6.weights", weights)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def weights(n_tokens, drawn):
    counts = np.bincount(drawn, minlength=len(n_tokens))
    by_token = counts / (counts @ n_tokens)
    by_response = counts / (len(drawn) * n_tokens)
    return np.array([by_token, by_response])

check("ch6.weights", weights)
""",
    check=FunctionCheck(
        reference=_weights,
        cases=lambda rng: [
            (np.array([1, 3]), np.array([0, 1, 1])),
            (np.array([2, 2, 5]), np.array([2, 0, 2, 2])),
            *((rng.integers(1, 9, size=6), rng.integers(6, size=k)) for k in (1, 5, 16)),
        ],
        hint="Count how often each leaf was drawn with `np.bincount(drawn, minlength=len(n_tokens))`. "
        "By which number does each rule divide that count?",
        why="Both weigh a leaf by its count. The first divides every count by the same number, all tokens drawn; the "
        "second divides by the leaf's own length, so a token of a short response weighs more.",
        carry_on="Carry on: which of the two is 1/K on every response, up to a factor, and so has the truth as the "
        "law of least loss? What does the other make of two answers of 1 and 9 tokens that are equally likely?",
        slips=(
            (
                lambda t, d: np.tile(np.bincount(d, minlength=len(t)) / len(d), (2, 1)),
                "Those are 1/K for each response: no rule here divides by K alone. Lengths count in both.",
            ),
            (
                _weights_of_kinds,
                "A response that was drawn twice counts twice: merging saves work, it must not change the loss.",
            ),
            (lambda t, d: _weights(t, d)[::-1], "Right weights, rows in the other order: token-normalised first."),
            (lambda t, d: _weights(t, d).T, "Right weights, lying on their side: one row per rule, not per leaf."),
            (
                lambda t, d: np.array([np.bincount(d, minlength=len(t)) / t.sum(), _weights(t, d)[1]]),
                "The second row is right. In the first, count the tokens of all responses drawn, not of the leaves.",
            ),
            (
                lambda t, d: np.array([_weights(t, d)[0], np.bincount(d, minlength=len(t)) / (t * len(np.unique(d)))]),
                "The first row is right. In the second the mean is over the K responses, not over different ones.",
            ),
            (
                lambda t, d: np.array([_weights(t, d)[0], np.bincount(d, minlength=len(t)) / t]),
                "The first row is right. The second is a sum over responses where a mean is asked for.",
            ),
            (
                lambda t, d: np.tile(_weights(t, d)[0], (2, 1)),
                "The first row is right, the second is the same again. Take each response's own mean first.",
            ),
            (lambda t, d: -_weights(t, d), "The minus stands in front of the sum; the weights are positive."),
        ),
    ),
    mistakes=(
        (lambda: lambda n_tokens, drawn: np.array([np.bincount(drawn, minlength=len(n_tokens)) / len(drawn)] * 2), "K"),
        (lambda: _weights_of_kinds, "counts twice"),
        (lambda: lambda n_tokens, drawn: _weights(n_tokens, drawn)[::-1], "other order"),
        (lambda: lambda n_tokens, drawn: _weights(n_tokens, drawn).T, "on their side"),
        (lambda: lambda n_tokens, drawn: _weights(n_tokens, drawn)[0], "gives 2 numbers"),
        (lambda: lambda n_tokens, drawn: _weights(n_tokens, drawn) * [[1], [len(drawn)]], "where a mean is asked for"),
        (lambda: lambda n_tokens, drawn: np.bincount(drawn) / 0, "expected a table"),
    ),
)


@cache
def _embedded() -> tuple[Any, Any]:
    """The embedded model, loaded at the first check and without a bar of progress among the reader's cells."""
    from transformers.utils import logging

    from mrtlab.lm.models import load_model

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return load_model("embedded")
    finally:
        if shown:
            logging.enable_progress_bar()


@cache
def _logp(prompt: str, answers: tuple[str, ...]) -> np.ndarray:
    from mrtlab.lm import answer_logprobs

    return answer_logprobs(*_embedded(), prompt, answers).double().numpy()


def _parts(prompt: str, answers: Sequence[str], truth: np.ndarray) -> np.ndarray:
    logp = _logp(prompt, tuple(answers))
    log_mass = np.log(np.exp(logp).sum())
    return np.array([-log_mass, (truth * (np.log(truth) - logp)).sum() + log_mass])


def _reversed_parts(prompt: str, answers: Sequence[str], truth: np.ndarray) -> np.ndarray:
    logp = _logp(prompt, tuple(answers))
    shape = np.exp(logp) / np.exp(logp).sum()
    return np.array([-np.log(np.exp(logp).sum()), (shape * np.log(shape / truth)).sum()])


def _parts_with_loss(prompt: str, answers: Sequence[str], truth: np.ndarray) -> np.ndarray:
    """The loss among jobs in place of the divergence, for a slip."""
    return _parts(prompt, answers, truth) - np.array([0, (truth * np.log(truth)).sum()])


def _parts_with_all(prompt: str, answers: Sequence[str], truth: np.ndarray) -> np.ndarray:
    """The whole divergence in place of the shape's, for a slip."""
    validity, shape = _parts(prompt, answers, truth)
    return np.array([validity, validity + shape])


def _asked(rng: np.random.Generator) -> list[tuple]:
    questions = [Callings().ask(rng=rng) for _ in range(2)]
    laws = [Callings().truth(question) for question in questions]
    return [(question.text, list(law.answers), law.p) for question, law in zip(questions, laws, strict=True)]


_PARTS = Exercise(
    id="ch6.parts",
    title="Does it say jobs, and which?",
    difficulty=2,
    minutes=10,
    text=r"""
Let $m = \sum_y p(y)$ be the mass that a model has on the listed answers. Its divergence from the truth then has two
parts, and training moves both:

$$
\mathrm{KL}(p^* \,\|\, p) =
\underbrace{-\log m}_{\text{validity}} + \underbrace{\mathrm{KL}(p^* \,\|\, p/m)}_{\text{shape}}
$$

Write `parts(prompt, answers, truth)`, the two numbers in nats for the embedded model before any training. `truth` holds
the probability of each of `answers`. The model's log-probabilities of them, in the same order, are
`answer_logprobs(model, tokenizer, prompt, answers).double().numpy()`.

The check asks about jobs: a model that says one of the listed jobs 38 times of 100 has a validity part of 0.97.
""",
    stub="""
import numpy as np
from mrtlab.lm import answer_logprobs
from mrtlab.lm.models import load_model
from mrtlab.show.exercises import check

model, tokenizer = load_model("embedded")
def parts(prompt, answers, truth):
    return ...

check("ch6.parts", parts)
""",
    solution="""
import numpy as np
from mrtlab.lm import answer_logprobs
from mrtlab.lm.models import load_model
from mrtlab.show.exercises import check

model, tokenizer = load_model("embedded")
def parts(prompt, answers, truth):
    logp = answer_logprobs(model, tokenizer, prompt, answers).double().numpy()
    m = np.exp(logp).sum()
    return -np.log(m), (truth * np.log(truth / (np.exp(logp) / m))).sum()

check("ch6.parts", parts)
""",
    check=FunctionCheck(
        reference=_parts,
        cases=_asked,
        rtol=1e-3,
        hint="`np.exp(logp).sum()` is m. Divide the probabilities by it, then compare their shape with the truth.",
        why="A model that hardly says a job and one that says the wrong ones may have the same loss. The parts tell "
        "them from each other.",
        carry_on="Carry on: train for a few updates and part the divergence again. Which part falls first, and which "
        "is left?",
        slips=(
            (lambda *case: -_parts(*case), "Both signs are wrong: log m is below 0, and KL is −Σ p* log(p/p*)."),
            (lambda *case: _parts(*case) * [-1, 1], "The shape is right. m is below 1, so validity is −log m."),
            (lambda *case: _parts(*case)[::-1], "Right numbers, in the other order: validity first."),
            (_parts_with_all, "Validity is right. The second number is the whole divergence: use p/m in place of p."),
            (_parts_with_loss, "That is the loss among jobs. Subtract the entropy of the truth to get a divergence."),
            (_reversed_parts, "That is KL(p/m ‖ p*), the other way round: weigh by the truth."),
            (
                lambda *case: np.array([np.exp(-_parts(*case)[0]), _parts(*case)[1]]),
                "The shape is right. The first number is m itself; validity in nats is −log m.",
            ),
            (lambda *case: _parts(*case).sum(), "That is the sum, the whole divergence. Give the two parts."),
        ),
    ),
    mistakes=(
        (lambda: lambda prompt, answers, truth: -_parts(prompt, answers, truth), "Both signs"),
        (lambda: lambda prompt, answers, truth: _parts(prompt, answers, truth)[::-1], "validity first"),
        (lambda: lambda prompt, answers, truth: _parts(prompt, answers, truth).sum(), "Give the two parts"),
        (lambda: _parts_with_all, "use p/m"),
        (lambda: _reversed_parts, "other way round"),
        (lambda: _parts_with_loss, "entropy of the truth"),
        (lambda: [0.97, 3.21], "the function itself"),
    ),
)

EXERCISES = (_TREE_TOKENS, _WEIGHTS, _PARTS, *ch6_runs.EXERCISES)
