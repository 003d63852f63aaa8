"""The anchor: on prompts that nothing is taught about, the model stays near the one it came from.

This is a loss on whole next-token laws, not a rule on the log-probabilities of answers: it needs the logits over the
full vocabulary. At every place of an answer to an anchor prompt, the end included,

    KL(base ‖ model) = Σ_v base(v)·(log base(v) − log model(v)),

summed over the places of an answer and averaged over answers. Where the answers are draws of the base model, that sum
is an unbiased estimate of the KL between whole answers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import nn

from mrtlab.data.targets import Anchor
from mrtlab.lm.encode import closing_ids, encode, encode_prompt
from mrtlab.lm.sampling import sample

_LONGEST = 48  # tokens of an answer that the base model is asked for
_TOGETHER = 32  # rows that are measured in one go

Law = Callable[["AnchorRows"], torch.Tensor]
"""From rows to (places, V) log-probabilities of the next token at their counted places, row by row."""


@dataclass(frozen=True, eq=False)
class AnchorRows:
    """Anchor prompts with an answer each, tokenised, padded on the right.

    Attributes:
        tokens: (n, L) prompt and answer.
        counted: (n, L − 1) whether the token after this one is part of the answer.
        number: (n,) which row of the whole set each of them is.
    """

    tokens: Int[torch.Tensor, "n L"]
    counted: Bool[torch.Tensor, "n L1"]
    number: Int[torch.Tensor, "n"]

    @classmethod
    def build(cls, strings: Sequence[tuple[Sequence[int], Sequence[int]]]) -> "AnchorRows":
        """Rows from prompts and answers as token ids.

        Raises:
            ValueError: there are none.

        >>> AnchorRows.build([([1, 2], [3, 4])]).counted
        tensor([[False,  True,  True]])
        """
        if not strings:
            raise ValueError("there are no anchor prompts: give at least one, or leave the anchor out")
        longest = max(len(prompt) + len(answer) for prompt, answer in strings)
        tokens = torch.zeros((len(strings), longest), dtype=torch.long)
        counted = torch.zeros((len(strings), longest - 1), dtype=torch.bool)
        for row, (prompt, answer) in enumerate(strings):
            tokens[row, : len(prompt) + len(answer)] = torch.tensor([*prompt, *answer])
            counted[row, len(prompt) - 1 : len(prompt) + len(answer) - 1] = True
        return cls(tokens, counted, torch.arange(len(strings)))

    def __len__(self) -> int:
        return len(self.tokens)

    def draw(self, n: int, *, rng: np.random.Generator) -> "AnchorRows":
        """n of the rows, without replacement; all of them if there are no more."""
        kept = torch.as_tensor(rng.permutation(len(self))[:n])
        return self.take(kept)

    def take(self, rows: Any) -> "AnchorRows":
        """Some of the rows, cut to the longest of them."""
        tokens, counted = self.tokens[rows], self.counted[rows]
        length = int(counted.any(0).nonzero().max()) + 2
        return AnchorRows(tokens[:, :length], counted[:, : length - 1], self.number[rows])


def anchor_rows(model: Any, tokenizer: Any, anchors: Sequence[Anchor], *, seed: int) -> AnchorRows:
    """Anchors with the answers on which the model is held: the right one, else one that the base model draws.

    Args:
        model, tokenizer: the base, as `load_model` returns them, or with a fresh adapter on it.
        anchors: what to keep.
        seed: of the draws.

    Raises:
        ValueError: there are no anchors, or one does not fit into the model.
    """
    ends = closing_ids(tokenizer)
    strings = []
    training = model.training
    model.eval()
    try:
        for anchor in anchors:
            said = anchor.right
            if said is None:
                said = sample(model, tokenizer, [anchor.prompt], n=1, seed=seed, max_new_tokens=_LONGEST)[0][0]
            if said:
                encoded = encode(tokenizer, anchor.prompt, [said])
                strings.append((encoded.prompt_ids, encoded.answer_ids[0]))
            else:  # the base model says nothing at all here, and that is what is kept
                strings.append((encode_prompt(tokenizer, anchor.prompt), ends))
    finally:
        model.train(training)
    return AnchorRows.build(strings)


def anchor_kl(model: nn.Module, base: Law, rows: AnchorRows) -> Float[torch.Tensor, "n"]:
    """KL(base ‖ model) summed over the places of each row's answer, nats. Differentiable in the model.

    Args:
        model: the one that learns.
        base: what `base_law` returns: the base model's log-probabilities at the counted places of rows.
        rows: prompts with answers.
    """
    found = next_logp(model, rows)
    wanted = base(rows)
    return _by_row(rows, (wanted.exp() * (wanted - found)).sum(-1))


def next_logp(model: nn.Module, rows: AnchorRows) -> Float[torch.Tensor, "places V"]:
    """log p(next token | what stands before) at the counted places, row by row."""
    device = next(model.parameters()).device
    logits = model(input_ids=rows.tokens[:, :-1].to(device), use_cache=False).logits  # padding on the right: causal
    picked = logits[rows.counted.to(device)]
    return (picked if picked.dtype == torch.float64 else picked.float()).log_softmax(-1)


def base_law(model: Any, base: Any | None = None) -> Law:
    """The base model as a function of rows. With an adapter, the base is the same model with the adapter switched off.

    Args:
        model: the one that learns; peft's if `base` is left out.
        base: another copy of the weights, for training without an adapter.

    Raises:
        ValueError: neither an adapter nor a copy is there, so the base would be the model itself.
    """
    if base is None and not hasattr(model, "disable_adapter"):
        raise ValueError(
            "without an adapter the base model must be given: pass a copy of the model made before training"
        )

    def law(rows: AnchorRows) -> torch.Tensor:
        with torch.no_grad():
            if base is not None:
                return next_logp(base, rows)
            with _evaluating(model), model.disable_adapter():
                return next_logp(model, rows)

    return law


def remembered(law: Law, rows: AnchorRows, *, most: int = 2**25) -> Law:
    """A base law that is computed once for every row, if no more than `most` numbers have to be kept for that.

    >>> whole = AnchorRows.build([([1], [2]), ([1], [2, 3])])
    >>> asked = []
    >>> def law(rows):
    ...     asked.append(len(rows))
    ...     return torch.arange(int(rows.counted.sum()))[:, None].float()
    >>> once = remembered(law, whole)
    >>> once(whole.take(torch.tensor([1]))).flatten().tolist(), once(whole).flatten().tolist(), asked
    ([1.0, 2.0], [0.0, 1.0, 2.0], [2])
    """
    known: dict[int, torch.Tensor] = {}

    def once(some: AnchorRows) -> torch.Tensor:
        if not known:
            first = law(rows.take(torch.arange(min(_TOGETHER, len(rows)))))
            if len(first) / min(_TOGETHER, len(rows)) * len(rows) * first.shape[1] > most:
                return law(some)
            for start in range(0, len(rows), _TOGETHER):
                part = rows.take(torch.arange(start, min(start + _TOGETHER, len(rows))))
                found = first if start == 0 else law(part)
                known.update(zip(part.number.tolist(), found.split(part.counted.sum(1).tolist()), strict=True))
        return torch.cat([known[i] for i in some.number.tolist()])

    return once


def kept(model: Any, base: Law, rows: AnchorRows) -> dict[str, list[float]]:
    """What is left of the base model on anchor answers, a number for each row.

    - kl: KL(base ‖ model) summed over the answer, nats; 0 if nothing moved.
    - nll: −log p(answer) under the model, nats.
    - greedy: 1 if every token of the answer is still the likeliest, else 0.

    Args:
        model: measured in evaluation mode, which is put back.
        base: as for `anchor_kl`.
        rows: prompts with answers.
    """
    found: dict[str, list[float]] = {"kl": [], "nll": [], "greedy": []}
    with torch.no_grad(), _evaluating(model):
        for start in range(0, len(rows), _TOGETHER):
            some = rows.take(torch.arange(start, min(start + _TOGETHER, len(rows))))
            wanted, logp = base(some), next_logp(model, some)
            token = some.tokens[:, 1:][some.counted].to(logp.device)
            numbers = {
                "kl": (wanted.exp() * (wanted - logp)).sum(-1),
                "nll": -logp.gather(1, token[:, None])[:, 0],
                "greedy": (logp.argmax(-1) != token).float(),
            }
            for name, each in numbers.items():
                sums = _by_row(some, each)
                found[name] += ((sums == 0).double() if name == "greedy" else sums.double()).tolist()
    return found


def _by_row(rows: AnchorRows, each: torch.Tensor) -> torch.Tensor:
    """Sums over the counted places of each row."""
    owner = rows.counted.nonzero()[:, 0].to(each.device)
    return each.new_zeros(len(rows)).index_add(0, owner, each)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
