"""How far a model is from the truth, family by family: exact laws where answers can be listed, drawn ones elsewhere.

Validity and shape are told apart everywhere. Mass on right answers, m, says whether the model answers the question at
all; the shape is its law among right answers, p/m. KL(truth ‖ p) = −log m + KL(truth ‖ p/m) adds the two up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from mrtlab.data.tasks import Family, Law, Question, Split, family
from mrtlab.lm.encode import Prompt, encode
from mrtlab.lm.listed import mass_of, shape_of
from mrtlab.lm.sampling import Sampler, sample
from mrtlab.lm.scoring import leaf_logprobs
from mrtlab.lm.tree import TokenTree
from mrtlab.theory.distributions import entropy

_LISTED = 2000  # a law with more answers is measured by drawing from it
_DRAWN = 64
_LONGEST = 160  # tokens of a drawn answer


@dataclass(frozen=True)
class Exact:
    """One question, its truth and the model's law, all numbers exact.

    Attributes:
        question: what was asked.
        truth: the law of right answers.
        logp: (m,) the model's log-probability of each of them, end of answer included.
        taught_kl: KL(taught law ‖ model), nats: how well pre-training took.
    """

    question: Question
    truth: Law
    logp: Float[np.ndarray, "m"]
    taught_kl: float

    @property
    def validity(self) -> float:
        """Mass on right answers."""
        return mass_of(self.logp)

    @property
    def shape(self) -> Float[np.ndarray, "m"]:
        """The model's law among right answers."""
        return shape_of(self.logp)

    @property
    def kl(self) -> float:
        """KL(truth ‖ model), nats."""
        return float((self.truth.p * (self.truth.logp - self.logp)).sum())

    @property
    def shape_kl(self) -> float:
        """KL(truth ‖ the model's law among right answers), nats."""
        return float((self.truth.p * (self.truth.logp - np.log(np.maximum(self.shape, 1e-300)))).sum())

    @property
    def tv(self) -> float:
        """Total variation between truth and model, wrong answers included."""
        p = np.exp(self.logp)
        return float(0.5 * (np.abs(p - self.truth.p).sum() + max(0.0, 1 - p.sum())))

    @property
    def entropy_share(self) -> float:
        """Entropy of the shape over log m: 1 if flat, 0 if one answer has it all; 1 where there is one answer."""
        if len(self.shape) == 1:
            return 1.0
        return float(entropy(self.shape) / np.log(len(self.shape)))

    @property
    def favourite(self) -> float:
        """How many times likelier the favourite is than if all right answers were equally likely."""
        return float(self.shape.max() * len(self.shape))


@dataclass(frozen=True)
class Drawn:
    """One question with too many right answers to list.

    Attributes:
        question: what was asked.
        kl: KL(truth ‖ model), nats: the mean of exact differences over answers drawn from the truth.
        taught_kl: the same under the taught law.
        validity: share of the model's own answers that are right, checked one by one.
    """

    question: Question
    kl: float
    taught_kl: float
    validity: float


def evaluate(
    model: nn.Module,
    tokenizer: Any,
    name: str,
    *,
    n_questions: int = 24,
    split: Split = "held_out",
    seed: int = 0,
    max_tokens: int = 8192,
) -> list[Exact] | list[Drawn]:
    """Compare a model with the truth on questions of one family.

    Args:
        model, tokenizer: as `load_model` returns them.
        name: a family of `mrtlab.data.tasks`.
        n_questions: how many different questions; fewer if the family has no more.
        split: "held_out" asks in wordings, ranges and slots that pre-training never used.
        seed: which questions, and draws where answers cannot be listed.
        max_tokens: tokens that pass through the model at once.

    Raises:
        ValueError: there is no such family.
    """
    found = family(name)
    questions = found.questions(n_questions, rng=np.random.default_rng((seed, 1)), split=split)
    laws = [_listed(found, question) for question in questions]
    if any(law is None for law in laws):
        return [_drawn(model, tokenizer, found, question, seed=seed, max_tokens=max_tokens) for question in questions]
    scored = listed_logprobs(
        model, tokenizer, [(q.text, law.answers) for q, law in zip(questions, laws, strict=True)], max_tokens=max_tokens
    )
    taught = [found.taught(question) for question in questions]
    taught_scored = listed_logprobs(
        model,
        tokenizer,
        [(q.text, law.answers) for q, law in zip(questions, taught, strict=True)],
        max_tokens=max_tokens,
    )
    return [
        Exact(question, law, logp, float((aim.p * (aim.logp - said)).sum()))
        for question, law, logp, aim, said in zip(questions, laws, scored, taught, taught_scored, strict=True)
    ]


def accuracy(
    model: nn.Module, tokenizer: Any, questions: Sequence[Question], *, seed: int = 0, max_new_tokens: int = 64
) -> Float[np.ndarray, "questions"]:
    """1 where the model's likeliest words are a right answer, else 0: greedy decoding, checked by the family."""
    greedy = Sampler(temperature=0)
    said = sample(
        model,
        tokenizer,
        [q.text for q in questions],
        n=1,
        seed=seed,
        sampler=greedy,
        max_new_tokens=max_new_tokens,
    )
    return np.array([float(family(q.family).valid(q, answers[0])) for q, answers in zip(questions, said, strict=True)])


def band(
    values: Sequence[float] | Float[np.ndarray, "n"], *, seed: int = 0, draws: int = 2000
) -> tuple[float, float, float]:
    """Mean of values and its 95 % bootstrap interval.

    >>> band([1.0, 1.0, 1.0])
    (1.0, 1.0, 1.0)
    """
    array = np.asarray(values, dtype=float)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(len(array), size=(draws, len(array)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(array.mean()), float(low), float(high)


def summary(rows: Sequence[Exact] | Sequence[Drawn], *, seed: int = 0) -> Mapping[str, tuple[float, float, float]]:
    """Means and 95 % intervals over questions of everything that was measured."""
    names = ("validity", "kl", "taught_kl")
    if all(isinstance(row, Exact) for row in rows):
        names += ("shape_kl", "tv", "entropy_share", "favourite")
    return {name: band([getattr(row, name) for row in rows], seed=seed) for name in names}


def _listed(found: Family, question: Question) -> Law | None:
    try:
        law = found.truth(question)
    except TypeError:
        return None
    return law if len(law.answers) <= _LISTED else None


def listed_logprobs(
    model: nn.Module, tokenizer: Any, asked: Sequence[tuple[Prompt, Sequence[str]]], *, max_tokens: int = 8192
) -> list[Float[np.ndarray, "m"]]:
    """log p(answer | prompt), nats, of the answers listed with each prompt, all in one go.

    Args:
        model, tokenizer: as `load_model` returns them.
        asked: prompts, each with its answers.
        max_tokens: tokens that pass through the model at once.
    """
    encoded = [encode(tokenizer, prompt, answers) for prompt, answers in asked]
    trees = [TokenTree.build(e.prompt_ids, e.answer_ids) for e in encoded]
    with torch.no_grad():
        return [logp.double().cpu().numpy() for logp in leaf_logprobs(model, trees, max_tokens=max_tokens)]


def _drawn(model: nn.Module, tokenizer: Any, found: Family, question: Question, *, seed: int, max_tokens: int) -> Drawn:
    rng = np.random.default_rng((seed, 2))
    true, taught = found.sample(question, _DRAWN, rng=rng), found.sample_taught(question, _DRAWN, rng=rng)
    logp = listed_logprobs(model, tokenizer, [(question.text, true + taught)], max_tokens=max_tokens)[0]
    said = sample(model, tokenizer, [question.text], n=_DRAWN, seed=seed, max_new_tokens=_LONGEST)[0]
    truth_logp = np.array([found.logp(question, answer) for answer in true])
    taught_logp = np.array([found.logp_taught(question, answer) for answer in taught])
    return Drawn(
        question,
        kl=float((truth_logp - logp[:_DRAWN]).mean()),
        taught_kl=float((taught_logp - logp[_DRAWN:]).mean()),
        validity=float(np.mean([found.valid(question, answer) for answer in said])),
    )
