"""V_x and V_{y|x} of a language model on a data set: of the loss, and of the gradient, which is what training feels."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from mrtlab.data.records import Record, prompt_text
from mrtlab.lm.encode import encode
from mrtlab.lm.scoring import leaf_logprobs
from mrtlab.lm.support import text_config
from mrtlab.lm.tree import TokenTree
from mrtlab.theory.components import Estimate, estimate_components
from mrtlab.training.adapter import second_factors, with_adapter
from mrtlab.training.choose import Choice, choose_all
from mrtlab.training.multiresponse import MultiResponseConfig, Normalisation
from mrtlab.training.sketch import Sketch

Weights = Literal["auto", "all", "lora"]
WEIGHTS: tuple[Weights, ...] = ("auto", "all", "lora")

_MOST = 50_000_000  # weights; above, an adapter is what people train
_RANK = 16
_PROMPTS, _RESPONSES = 200, 8


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model makes of every response, one entry for each prompt.

    Attributes:
        prompts: what the prompts say, in a line each.
        prompt_tokens: (a,) their lengths.
        nll: (k_i,) for each prompt, −log p(response | prompt), nats, the end of the response included.
        tokens: (k_i,) lengths of its responses, their end included.
        gradients: (k_i, d) sketches of the gradients of `nll`.
        weights: with respect to what, in words.
        n_weights: how many numbers the gradient has.
        notes: what was left out and why, a sentence each.
    """

    prompts: list[str]
    prompt_tokens: Float[np.ndarray, "a"]
    nll: list[Float[np.ndarray, "_k"]]
    tokens: list[Float[np.ndarray, "_k"]]
    gradients: list[Float[np.ndarray, "_k d"]]
    weights: str
    n_weights: int
    notes: tuple[str, ...] = ()

    def losses(self, normalisation: Normalisation) -> list[Float[np.ndarray, "_k"]]:
        """What each response adds to the loss under a normalisation of the trainer.

        With L = −log p(response | prompt) of n tokens:

        - prompt: L itself, nats.
        - response: the mean over its tokens, L/n, nats for a token.
        - token: nats for a token, too. The trainer divides Σ L by Σ n, a ratio of two random sums. Its spread is, to
          first order, that of the mean of m + (L − m·n)/n̄, where m is the loss of all tokens together and n̄ the mean
          length: what a response adds beyond what its length alone would.
        """
        return [row[:, 0] for row in self._normalised([row[:, None] for row in self.nll], normalisation)]

    def normalised_gradients(self, normalisation: Normalisation) -> list[Float[np.ndarray, "_k d"]]:
        """The same for gradients, number by number: the derivative of `losses`, with m and n̄ as they are."""
        return self._normalised(self.gradients, normalisation)

    def _normalised(self, sums: list[np.ndarray], normalisation: Normalisation) -> list[np.ndarray]:
        if normalisation == "prompt":
            return sums
        if normalisation == "response":
            return [row / n[:, None] for row, n in zip(sums, self.tokens, strict=True)]
        length = np.mean([n.mean() for n in self.tokens])  # of a random response to a random prompt
        each = np.mean([row.mean(axis=0) for row in sums], axis=0) / length
        return [each + (row - n[:, None] * each) / length for row, n in zip(sums, self.tokens, strict=True)]

    def variances(self, normalisation: Normalisation = "token") -> "Variances":
        """Both variances of both, with intervals.

        Raises:
            ValueError: as `mrtlab.theory.estimate_components`, such as a loss that is no number.
        """
        losses = self.losses(normalisation)
        return Variances(
            loss=estimate_components(losses, names=self.prompts),
            gradient=estimate_components(self.normalised_gradients(normalisation), names=self.prompts),
            prompt_tokens=float(self.prompt_tokens.mean()),
            response_tokens=float(np.mean([n.mean() for n in self.tokens])),
            normalisation=normalisation,
            measured=self,
        )


@dataclass(frozen=True, eq=False)
class Variances:
    """V_x and V_{y|x} of a model on a data set.

    Attributes:
        loss: of the scalar loss, in the square of its unit.
        gradient: of its gradient, traces of the two covariance matrices. Beside the interval, which is over prompts,
            the sketch adds a relative error of at most √(2/d) to each mean square; see `Sketch`.
        prompt_tokens: P, mean length of a prompt.
        response_tokens: R, mean length of a response to a random prompt, its end included.
        normalisation: what the loss of a response is, see `Measured.losses`.
        measured: the table behind it.
    """

    loss: Estimate
    gradient: Estimate
    prompt_tokens: float
    response_tokens: float
    normalisation: Normalisation
    measured: Measured


def measure_variances(
    model: Any,
    tokenizer: Any,
    records: Sequence[Record],
    *,
    normalisation: Normalisation = "token",
    weights: Weights = "auto",
    features: int = 4096,
    max_prompts: int = _PROMPTS,
    max_responses: int = _RESPONSES,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Variances:
    """V_x and V_{y|x} of the loss and of the gradient, with 95 % intervals; `measure_responses` says how.

    Args:
        normalisation: what the loss of a response is, "token", "response" or "prompt" as in training; see
            `Measured.losses`. To look at several, call `measure_responses` once, and then its result's `variances`.
        model, tokenizer, records, weights, features, max_prompts, max_responses, seed, report: see there.

    Raises:
        ValueError: as `measure_responses`; a loss is no number; or an unknown normalisation.

    Source: the components of multi-response training (claim MRT-01), and the same law for the trace of the gradient's
        covariance, which is ours.
    """
    MultiResponseConfig(normalisation=normalisation)  # says what is wrong with it before the work begins
    measured = measure_responses(
        model,
        tokenizer,
        records,
        weights=weights,
        features=features,
        max_prompts=max_prompts,
        max_responses=max_responses,
        seed=seed,
        report=report,
    )
    return measured.variances(normalisation)


def measure_responses(
    model: Any,
    tokenizer: Any,
    records: Sequence[Record],
    *,
    weights: Weights = "auto",
    features: int = 4096,
    max_prompts: int = _PROMPTS,
    max_responses: int = _RESPONSES,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Measured:
    """Loss and sketched gradient of every response: one forward and one backward pass for each different one.

    A tree would save little here. Each response needs a backward pass of its own, which through a tree goes through
    the other responses, too; on the embedded model the two took the same time, and this one needs the memory of one
    response. Dropout is off.

    Args:
        model, tokenizer: as `load_model` returns them. The model is left as it was.
        records: prompts with responses, of which each counts as one draw; weights, targets and scores play no part.
        weights: "all" takes the gradient with respect to every trainable weight; "lora" with respect to the matrices
            B of a fresh adapter of rank 16 on all linear layers, whose A have no gradient yet, as B is zero: what the
            first step of training an adapter feels. "auto" takes all below 50 million, else lora. Of a model that
            peft has wrapped already, the trainable weights are taken in any case.
        features: d, numbers that stand for a gradient. More cost memory, not time.
        max_prompts, max_responses: prompts, and responses to each, that are drawn if there are more.
        seed: of these draws, of the sketch and of the adapter.
        report: called with how many responses are done, and how many there are.

    Returns:
        one row for each response.

    Raises:
        ValueError: there are fewer than two prompts, or no prompt with two responses, also once what does not fit into
            the model is left out; or nothing in the model is trainable.
    """
    check_enough(records)
    drawn = _drawn(records, max_prompts, max_responses, seed)
    usable, notes = _fitting(model, tokenizer, drawn)
    check_enough(usable)
    if len(drawn) < len(records):
        notes.insert(0, f"{len(drawn):,} of {len(records):,} prompts were drawn at random and measured.")
    encoded = []
    for record in usable:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the seam; the notes say it once
            encoded.append(encode(tokenizer, record.prompt, record.responses))
    total = sum(len(record) for record in usable)
    rows: list[list[np.ndarray]] = []
    done = 0
    with _measurable(model, weights, seed) as (scored, parameters, name):
        sketch = Sketch.draw(parameters, features=features, seed=seed)
        for one in encoded:
            found: dict[tuple[int, ...], tuple[float, np.ndarray]] = {}
            for ids in one.answer_ids:
                if tuple(ids) not in found:
                    found[tuple(ids)] = _loss_and_gradient(scored, one.prompt_ids, ids, parameters, sketch)
                done += 1
                report(done, total)
            pairs = [found[tuple(ids)] for ids in one.answer_ids]
            rows.append([np.array([nll for nll, _ in pairs]), np.stack([gradient for _, gradient in pairs])])
        n_weights = sum(p.numel() for p in parameters)
    return Measured(
        prompts=[" ".join(prompt_text(record.prompt).split()) for record in usable],
        prompt_tokens=np.array([float(len(one.prompt_ids)) for one in encoded]),
        nll=[nll for nll, _ in rows],
        tokens=[np.array([float(len(ids)) for ids in one.answer_ids]) for one in encoded],
        gradients=[gradients for _, gradients in rows],
        weights=name,
        n_weights=n_weights,
        notes=tuple(notes),
    )


def check_enough(records: Sequence[Record]) -> None:
    """See that there are two prompts and a second response to one of them.

    Raises:
        ValueError: there are not; a sentence with the remedy.

    >>> check_enough([Record.of("a", ["x", "y"]), Record.of("b", ["x"])])
    """
    if len(records) < 2:
        raise ValueError(f"need at least 2 prompts to see how prompts differ, got {len(records)}: add more")
    if all(len(record) == 1 for record in records):
        raise ValueError(
            "every prompt has one response, so the spread among responses to one prompt cannot be seen: collect a "
            "second response for at least some prompts"
        )


def _drawn(records: Sequence[Record], max_prompts: int, max_responses: int, seed: int) -> list[Record]:
    """Some prompts and some responses to each, drawn without looking at them, in their order."""
    if max_prompts < 2 or max_responses < 2:
        raise ValueError(f"need 2 prompts and 2 responses at least, got {max_prompts=}, {max_responses=}")
    places = np.random.default_rng((seed, 3)).permutation(len(records))[:max_prompts]
    some = [records[i] for i in sorted(places.tolist())]
    kept = choose_all(some, Choice(rule="random", k=max_responses), seed=seed)
    return [record.keep(which) for record, which in zip(some, kept, strict=True)]


def _fitting(model: Any, tokenizer: Any, records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    from mrtlab.training.fine_tune import fitting  # here: with it comes all of transformers' training

    return fitting(records, tokenizer, getattr(text_config(model), "max_position_embeddings", None))


@contextmanager
def _measurable(model: Any, weights: Weights, seed: int) -> Iterator[tuple[Any, list[nn.Parameter], str]]:
    """The model to score with, the parameters to take gradients for, and what to call them. All is put back after."""
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError("no weight of the model is trainable: set requires_grad of those that training would change")
    training = model.training
    adapted = hasattr(model, "peft_config")
    if adapted or weights == "all" or (weights == "auto" and sum(p.numel() for p in trainable) < _MOST):
        model.eval()
        try:
            yield model, trainable, "all trainable weights" + (" of its adapter" if adapted else "")
        finally:
            model.train(training)
        return
    frozen = [p for p in model.parameters() if not p.requires_grad]
    with torch.random.fork_rng(devices=[]):
        wrapped = with_adapter(model, rank=_RANK, seed=seed)
    try:
        yield wrapped.eval(), second_factors(wrapped), f"the matrices B of a fresh adapter of rank {_RANK}"
    finally:
        wrapped.unload()
        model.requires_grad_(True).train(training)
        for p in frozen:
            p.requires_grad_(False)


def _loss_and_gradient(
    model: Any, prompt_ids: list[int], answer_ids: list[int], parameters: list[nn.Parameter], sketch: Sketch
) -> tuple[float, Float[np.ndarray, "d"]]:
    """−log p of a response and the sketch of its gradient."""
    with torch.enable_grad():
        loss = -leaf_logprobs(model, [TokenTree.build(prompt_ids, [answer_ids])])[0].sum()
    return float(loss.detach()), sketch(torch.autograd.grad(loss, parameters, allow_unused=True))
