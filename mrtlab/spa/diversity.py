"""How right and how varied: the answers of one or several adapters to the same prompts, and how far the adapters are
from each other.

With K adapters that give n answers each, the sample of a prompt is its K·n answers: pass@1 is the mean over them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from mrtlab.data.similarity import similarity
from mrtlab.lm.evaluate import band
from mrtlab.lm.support import check_length, inner, text_config
from mrtlab.spa.batches import MAX_TOKENS, length_batches
from mrtlab.spa.gradients import Example, Padded
from mrtlab.spa.kin import effective_kinds, effective_right_kinds
from mrtlab.spa.stacked import stacked
from mrtlab.theory.metrics import pair_share, pass_at_k, unique_share, vendi

_MAX_NUMBERS = 2**26  # of log-probabilities in one pass: a quarter of a gigabyte, held a few times

Band = tuple[float, float, float]
"""A mean and the ends of its 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The answers to one prompt, judged. Answers are compared as they are, character by character.

    Attributes:
        answers: how many, K·n.
        right: how many passed.
        pass_at: for each k that was asked for, the chance that one of k of these answers is right.
        unique_share: different answers / answers.
        pair_share: share of pairs that differ, SPA's diversity score.
        distinct_right: different answers among those that passed.
        vendi: effective number of different texts, under the cosine of counts of words and of pairs of words.
        kinds: effective number of kinds; None if no kind was asked for.
        right_kinds: the same among the answers that passed, 0 without any.
    """

    answers: int
    right: int
    pass_at: dict[int, float]
    unique_share: float
    pair_share: float
    distinct_right: int
    vendi: float
    kinds: float | None = None
    right_kinds: float | None = None

    @property
    def numbers(self) -> dict[str, float]:
        """All measures by name, "pass@1" and so on first; those that were not asked for are left out."""
        found = {f"pass@{k}": value for k, value in self.pass_at.items()}
        names = ("unique_share", "pair_share", "distinct_right", "vendi", "kinds", "right_kinds")
        return found | {name: float(value) for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Scores:
    """Means over prompts.

    Attributes:
        prompts: how many there were.
        answers: to each of them, at the least.
        numbers: for each measure of `Judged.numbers` its mean and 95 % interval, a bootstrap over prompts. It says
            what other prompts would have given, not what another training would have.
    """

    prompts: int
    answers: int
    numbers: dict[str, Band]


def judge_answers(
    answers: Sequence[str],
    passed: Sequence[bool],
    *,
    ks: Sequence[int] = (1,),
    kind: Callable[[str], str] | None = None,
) -> Judged:
    """Judge the answers to one prompt.

    pass@k is unbiased, 1 − C(n−c, k)/C(n, k) (Chen et al. 2021), and at k = 1 the share c/n. With K adapters it takes
    the K·n answers as exchangeable: k of them at random, as SPA picks an adapter at random. The Vendi score is of
    `mrtlab.data.similarity.similarity(answers, kind="runs")`.

    Args:
        answers: to one prompt, at least two, of all adapters together.
        passed: for each whether it is right.
        ks: for which k; 1 is always among them.
        kind: what names an answer's kind, such as `mrtlab.spa.kin.kinds` for programs. None counts no kinds.

    Raises:
        ValueError: fewer than two answers, lengths that differ, or a k outside 1 to the number of answers.

    Source: SPA, section 5.2 (SPA-01, SPA-02, SPA-06); its text leaves pass@k's estimator open.

    >>> judged = judge_answers(["a", "a", "a", "b"], [True, True, True, False], ks=(1, 2))
    >>> {name: round(value, 6) for name, value in judged.numbers.items()}  # vendi: exp of the entropy of 3/4 and 1/4
    {'pass@1': 0.75, 'pass@2': 1.0, 'unique_share': 0.5, 'pair_share': 0.5, 'distinct_right': 1.0, 'vendi': 1.754765}
    """
    n, right = len(answers), sum(map(bool, passed))
    if n != len(passed):
        raise ValueError(f"got {n} answers and {len(passed)} verdicts: expected one for each")
    if n < 2:
        raise ValueError(f"diversity compares answers with each other: expected at least two for a prompt, got {n}")
    return Judged(
        answers=n,
        right=right,
        pass_at={k: float(pass_at_k(n, right, k)) for k in sorted({1, *ks})},
        unique_share=unique_share(answers),
        pair_share=pair_share(answers),
        distinct_right=len({answer for answer, ok in zip(answers, passed, strict=True) if ok}),
        vendi=float(vendi(similarity(answers))),
        kinds=None if kind is None else effective_kinds(answers, kind=kind),
        right_kinds=None if kind is None else effective_right_kinds(answers, passed, kind=kind),
    )


def summarise(per_prompt: Sequence[Judged], *, seed: int) -> Scores:
    """Mean over prompts of every measure, each prompt counting the same, with a 95 % bootstrap interval over prompts.

    Args:
        per_prompt: one for each prompt, all asked for the same measures.
        seed: of the bootstrap.

    Raises:
        ValueError: there is no prompt, or prompts were asked for different measures.

    >>> one = judge_answers(["a", "b"], [True, True])
    >>> summarise([one, judge_answers(["a", "a"], [False, False])], seed=0).numbers["pair_share"]
    (0.5, 0.0, 1.0)
    """
    if not len(per_prompt):
        raise ValueError("there are no prompts: expected at least one")
    rows = [judged.numbers for judged in per_prompt]
    if other := next((row for row in rows if row.keys() != rows[0].keys()), None):
        raise ValueError(
            f"prompts were judged by different measures: {', '.join(rows[0])} and {', '.join(other)}. "
            "Give judge_answers the same ks and kind for all"
        )
    numbers = {name: band([row[name] for row in rows], seed=seed) for name in rows[0]}
    return Scores(len(rows), min(judged.answers for judged in per_prompt), numbers)


@torch.no_grad()
def adapter_kl(
    model: Any, examples: Sequence[Example], *, adapters: Sequence[str], max_tokens: int = MAX_TOKENS
) -> Float[np.ndarray, "K K"]:
    """How far the adapters' next-token laws are from each other on a given set of texts, nats for a token.

    D[i, j] = (1/T) Σ_t KL(P_i(· | text before t) ‖ P_j(· | text before t)),

    t over all answer tokens of all examples, the ends of answers included; prompts are only read. The texts are given,
    no adapter writes them (teacher forcing): name them wherever the number is shown. Laws are over the whole
    vocabulary, float32, in evaluation mode; all adapters go through the model in one stacked pass.

    Args:
        model: of peft's, with these adapters loaded.
        examples: of `mrtlab.spa.gradients.examples_of`.
        adapters: K names.
        max_tokens: tokens in one pass, those of all K runs and padding included. One example is never cut: its
            K·T·V log-probabilities must fit into memory, a few times over.

    Returns:
        (K, K), 0 on the diagonal, not symmetric.

    Raises:
        ValueError: there is no example, one is too long for the model, or as `stacked`.

    Source: SPA's average KL (section 5.2), whose text, unit and direction are unread; claims SPA-01 and SPA-06.

    >>> from peft import LoraConfig
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> model.add_adapter("two", LoraConfig(r=2, target_modules=["v_proj"]))  # B is 0: both are still the base
    >>> adapter_kl(model, [Example((1, 5), (6, 2))], adapters=["default", "two"]).round(6).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    if not len(examples):
        raise ValueError("there are no examples: give at least one")
    check_length(model, max(map(len, examples)))
    k = len(adapters)
    device = inner(model).get_input_embeddings().weight.device
    longest = max(map(len, examples))
    rows = max(1, _MAX_NUMBERS // max(1, k * longest * text_config(model).vocab_size))
    total, tokens = np.zeros((k, k)), 0
    with _evaluating(model), stacked(model, adapters):
        for places in length_batches(list(map(len, examples)), max_tokens=max(1, max_tokens // k), max_rows=rows):
            batch = Padded.of([examples[i] for i in places], device)
            logits = batch.logits(lambda input_ids, **rest: model(input_ids=input_ids.repeat(k, 1), **rest))
            real = batch.weight > 0
            logp = logits.view(k, *real.shape, -1)[:, real].log_softmax(-1)
            total += _kl_sums(logp).cpu().numpy()
            tokens += int(real.sum())
    return total / tokens


def symmetric_kl(matrix: Float[np.ndarray, "K K"]) -> float:
    """Mean over unordered pairs of (KL_ij + KL_ji)/2: one number that does not depend on the order of adapters.

    Args:
        matrix: of `adapter_kl`, K ≥ 2.

    Raises:
        ValueError: fewer than two adapters, or the matrix is not square.

    Source: SPA averages one direction, i < j (section 5.2); the sheet's section 4 asks for both.

    >>> symmetric_kl(np.array([[0.0, 1.0], [3.0, 0.0]]))
    2.0
    """
    k = len(matrix)
    if k < 2 or matrix.shape != (k, k):
        raise ValueError(f"expected a square matrix of at least two adapters, got shape {matrix.shape}")
    return float(matrix[~np.eye(k, dtype=bool)].mean())


def _kl_sums(logp: Float[torch.Tensor, "K N V"]) -> Float[torch.Tensor, "K K"]:
    """Σ over N places of KL(i ‖ j), difference by difference: entropies subtracted would lose a small KL's digits."""
    sums = [(law.exp() * (law - logp)).sum(-1).double().sum(-1) for law in logp]
    return torch.stack(sums)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode; every module's own is put back after."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
