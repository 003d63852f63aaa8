"""Diffuse fine-tuning and its rivals at equal steps: one plain loop, one prompt a step, only the signal differs."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from mrtlab.data.targets import Target
from mrtlab.lm.encode import closing_ids
from mrtlab.lm.sampling import sample_ids
from mrtlab.lm.scoring import backward, backward_tokens, leaf_logprobs
from mrtlab.lm.tree import TokenTree
from mrtlab.training.adapter import with_adapter
from mrtlab.training.aimed import sort_answers
from mrtlab.training.anchor import AnchorRows, anchor_kl, base_law, next_logp, remembered
from mrtlab.training.diffuse import target_groups
from mrtlab.training.diffuse_rules import (
    entropy_bonus_advantage,
    fixed_tokens,
    gem,
    hard_samples,
    path_mean,
    witness_advantage,
)
from mrtlab.training.groups import Group

Method = Literal["tree", "strings", "path-mean", "hard", "entropy-bonus", "witness", "gem"]
METHODS: tuple[Method, ...] = ("tree", "strings", "path-mean", "hard", "entropy-bonus", "witness", "gem")
_SALT = 7  # so that draws of a step share no numbers with the order of prompts


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """One run of one method. Everything but `method` is the same for all, so that only the signal differs.

    Attributes:
        method: "tree" is diffuse fine-tuning; "strings" the same with a pass for each answer; "path-mean" soft
            targets averaged along paths; "hard" likelihood on draws of the target; "gem" GEM on the same draws;
            "entropy-bonus" and "witness" policy gradients on the policy's own draws.
        passes: over the prompts, one step for each of them.
        lr: constant learning rate of AdamW.
        lora_rank: of the adapter.
        draws: answers drawn in a step, where a method draws.
        bonus: τ of the entropy bonus, as a share of the reward 1.
        beta: β of GEM.
        max_new_tokens: longest answer that the policy draws.
        anchor_weight: of KL(base ‖ model) on anchor rows, where there are any.
        anchor_rows: of them in a step.
        seed: of the adapter, the order and the draws.

    Raises:
        ValueError: an unknown method, or a number out of its range.
    """

    method: Method
    passes: int = 50
    lr: float = 2e-3
    lora_rank: int = 4
    draws: int = 16
    bonus: float = 0.01
    beta: float = 0.7
    max_new_tokens: int = 24
    anchor_weight: float = 1.0
    anchor_rows: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}: choose from {', '.join(METHODS)}")
        for name in ("passes", "lora_rank", "max_new_tokens", "anchor_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.draws < 2:
            raise ValueError(f"draws must be 2 or more, got {self.draws}")
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr:g}")


def train_by(
    model: Any,
    tokenizer: Any,
    targets: Sequence[Target],
    settings: MethodSettings,
    *,
    anchors: AnchorRows | None = None,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> Any:
    """Train a fresh adapter on a model by one method.

    AdamW with the settings of diffuse fine-tuning (ε 1e-5, weight decay .01, gradients clipped at 1), one prompt a
    step, the prompts in a new order at every pass. Equal seeds give equal adapters and equal orders to all methods.

    Args:
        model, tokenizer: as `load_model` returns them. The adapter is put on the model in place; `unload()` of what
            comes back undoes that.
        targets: what to learn.
        settings: which method, and how long.
        anchors: rows to hold the model on; the base is the model without its adapter.
        on_step: called with steps done, and how many there are.

    Returns:
        the model with its adapter, in evaluation mode.

    Raises:
        ValueError: no targets, or one that does not fit into the model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the seam of prompt and answer
        groups = target_groups(targets, tokenizer)
    model = with_adapter(model, rank=settings.lora_rank, seed=settings.seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.lr, eps=1e-5, weight_decay=0.01)
    law = remembered(base_law(model), anchors) if anchors is not None else None
    learn = _LEARN[settings.method]
    of = settings.passes * len(targets)
    for done in range(of):
        number, place = divmod(done, len(targets))
        i = int(np.random.default_rng((settings.seed, number)).permutation(len(targets))[place])
        rng = np.random.default_rng((settings.seed, _SALT, done))
        model.train(settings.method not in _ON_POLICY)
        learn(_Step(model, tokenizer, targets[i], groups[i], settings, rng))
        if anchors is not None and law is not None:
            rows = anchors.draw(settings.anchor_rows, rng=np.random.default_rng((settings.seed, _SALT + 1, done)))
            (settings.anchor_weight * anchor_kl(model, law, rows).mean()).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        on_step(done + 1, of)
    return model.eval()


@dataclass(frozen=True, eq=False)
class _Step:
    """What a method may look at in a step."""

    model: Any
    tokenizer: Any
    target: Target
    group: Group
    settings: MethodSettings
    rng: np.random.Generator

    @property
    def tree(self) -> TokenTree:
        return self.group.tree

    def rows(self, answers: Sequence[Sequence[int]]) -> AnchorRows:
        """The prompt with each of some answers, padded."""
        return AnchorRows.build([(self.tree.prompt.tolist(), answer) for answer in answers])


def _tree(step: _Step) -> None:
    backward(step.model, [step.tree], [step.group.weights])


def _strings(step: _Step) -> None:
    """One row for each answer, as trainers without trees do it."""
    rows = step.rows(step.tree.answers())
    logp = next_logp(step.model, rows)
    token = rows.tokens[:, 1:][rows.counted].to(logp.device)
    weight = torch.as_tensor(np.repeat(step.group.weights, step.group.lengths)).to(logp)
    (-(weight * logp.gather(1, token[:, None])[:, 0]).sum()).backward()


def _path_mean(step: _Step) -> None:
    backward_tokens(step.model, [step.tree], [fixed_tokens(path_mean(step.tree, step.group.weights))])


def _hard(step: _Step) -> None:
    backward(step.model, [step.tree], [hard_samples(step.group.weights, n=step.settings.draws, rng=step.rng)])


def _gem(step: _Step) -> None:
    counts = step.rng.multinomial(step.settings.draws, step.group.weights)
    answers = step.tree.answers()
    rows = step.rows([answers[i] for i in np.repeat(np.arange(len(answers)), counts)])
    logp = next_logp(step.model, rows)
    gem(logp, rows.tokens[:, 1:][rows.counted].to(logp.device), beta=step.settings.beta).backward()


def _on_policy(step: _Step) -> tuple[TokenTree, list[int], list[str]]:
    """Draws of the policy as a tree, which answer of the target each of them is (−1 for none), and their texts."""
    drawn = sample_ids(
        step.model,
        step.tokenizer,
        [step.target.prompt],
        n=step.settings.draws,
        seed=int(step.rng.integers(2**31)),
        max_new_tokens=step.settings.max_new_tokens,
    )[0]
    ends = set(closing_ids(step.tokenizer))
    texts, place = [], []
    for ids in drawn:
        whole = ids[-1] in ends
        text = step.tokenizer.decode(ids[:-1] if whole else ids, skip_special_tokens=True)
        counts = sort_answers(step.target, [text]).counts if whole or not step.target.end else None
        texts.append(text.strip())
        place.append(-1 if counts is None or counts[-1] else int(counts.argmax()))
    return TokenTree.build(step.tree.prompt, drawn), place, texts


def _witness(step: _Step) -> None:
    tree, place, texts = _on_policy(step)
    drawn = [text if i < 0 else i for i, text in zip(place, texts, strict=True)]
    advantage = witness_advantage(drawn, [0.0 if i < 0 else float(step.target.law[i]) for i in place])
    backward(step.model, [tree], [advantage / len(place)])


def _entropy_bonus(step: _Step) -> None:
    tree, place, _ = _on_policy(step)
    with torch.no_grad():
        logp = leaf_logprobs(step.model, [tree])[0].double().cpu().numpy()
    advantage = entropy_bonus_advantage([i >= 0 for i in place], logp, bonus=step.settings.bonus)
    backward(step.model, [tree], [advantage / len(place)])


_ON_POLICY = ("entropy-bonus", "witness")
_LEARN: dict[str, Callable[[_Step], None]] = {
    "tree": _tree,
    "strings": _strings,
    "path-mean": _path_mean,
    "hard": _hard,
    "entropy-bonus": _entropy_bonus,
    "witness": _witness,
    "gem": _gem,
}
