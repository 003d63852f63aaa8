"""Diffuse fine-tuning on `transformers.Trainer`: every answer of a prompt at once, each with its target probability.

The loss of a prompt is L = −Σ_y p*(y) log p(y) = H(p*) + KL(p* ‖ p), all answers in one token tree. It is the
multi-response loss with the target in place of a sample from it. Added to that: a stop near the floor H(p*), and an
anchor that holds the model on other prompts.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from transformers import TrainerCallback, TrainingArguments

from mrtlab.data.targets import Target
from mrtlab.lm.encode import encode
from mrtlab.lm.scoring import leaf_logprobs
from mrtlab.lm.tree import TokenTree
from mrtlab.training.anchor import AnchorRows, Law, anchor_kl, base_law, remembered
from mrtlab.training.groups import Group, GroupSet
from mrtlab.training.multiresponse import MultiResponseConfig, MultiResponseTrainer, last_whole_checkpoint
from mrtlab.training.processes import team

PassLaws = Callable[[int, list[Float[np.ndarray, "_m"]]], None]
_ENOUGH = "enough"  # what the log says of the pass after which training stopped early


@dataclass(frozen=True, kw_only=True)
class DiffuseConfig:
    """What is special about diffuse fine-tuning; everything else is in `TrainingArguments`.

    Attributes:
        stop: γ. After a pass with Σ L ≤ (1 + γ)·Σ H(p*) over the trained prompts, training stops: where a list of
            answers is not all of them, the way to the floor would make the model say nothing else. None: no stop.
        anchor_weight: of the mean KL(base ‖ model) on anchor answers, beside a loss in nats for a prompt.
        anchor_rows: anchor prompts that a step looks at.
        step_prompts: prompts in a step over all processes and micro-batches, see `MultiResponseConfig`.
        form: how trees are run, see `mrtlab.lm.forms`.

    Raises:
        ValueError: a number out of its range.

    Source: early stop with γ = 0.2 in Zhang et al. (DIF-05), there of the losses met on the way; here each pass ends
    with exact losses. The anchor is our own addition.
    """

    stop: float | None = None
    anchor_weight: float = 1.0
    anchor_rows: int = 8
    step_prompts: int | None = None
    form: str = "auto"

    def __post_init__(self) -> None:
        if self.stop is not None and not 0 <= self.stop < np.inf:
            raise ValueError(f"stop must be 0 or more, got {self.stop:g}")
        if not 0 <= self.anchor_weight < np.inf:
            raise ValueError(f"anchor_weight must be 0 or more, got {self.anchor_weight:g}")
        if self.anchor_rows < 1:
            raise ValueError(f"anchor_rows must be 1 or more, got {self.anchor_rows}")


def target_groups(targets: Sequence[Target], tokenizer: Any, *, seed: int = 0) -> GroupSet:
    """Targets as trees: all answers in every epoch, weighted with their probabilities.

    Raises:
        ValueError: there is no target, or one cannot be tokenised.
    """
    if not targets:
        raise ValueError("there are no targets to train on: expected at least one prompt with use 'train'")
    groups = []
    for target in targets:
        encoded = encode(tokenizer, target.prompt, target.answers, end=target.end)
        lengths = np.array([len(ids) for ids in encoded.answer_ids])
        groups.append(Group(TokenTree.build(encoded.prompt_ids, encoded.answer_ids), target.law, lengths))
    return GroupSet(groups, seed=seed)


class DiffuseTrainer(MultiResponseTrainer):
    """Fine-tune towards target laws, all answers of a prompt in one tree.

    `per_device_train_batch_size` counts prompts; the loss of a step is the mean of theirs.

    Args:
        model: a causal language model, peft-wrapped or not.
        args: of transformers. `remove_unused_columns` is set to False.
        targets: prompts with their laws.
        tokenizer: of the model.
        config: what is special.
        anchors: rows on which the model is held; None for no anchor.
        base: the base model's law on anchor rows, see `base_law`; by default the model with its adapter switched off.
        on_pass: called after every pass with its number, from 1, and the exact (m,) log-probabilities of every
            target's answers. Costs a pass without gradients, as a stop does.
        **kwargs: handed to `Trainer`.

    Raises:
        ValueError: no targets, or an anchor without an adapter and without `base`.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        *,
        targets: Sequence[Target],
        tokenizer: Any,
        config: DiffuseConfig | None = None,
        anchors: AnchorRows | None = None,
        base: Law | None = None,
        on_pass: PassLaws | None = None,
        **kwargs: Any,
    ) -> None:
        self.targets = list(targets)
        self.diffuse = config or DiffuseConfig()
        super().__init__(
            model,
            args,
            records=(),
            tokenizer=tokenizer,
            config=MultiResponseConfig(
                normalisation="prompt", form=self.diffuse.form, step_prompts=self.diffuse.step_prompts
            ),
            **kwargs,
        )
        self.anchors = anchors if self.diffuse.anchor_weight > 0 else None
        if self.anchors is not None:
            self.base = base or remembered(base_law(model), self.anchors)
        if self.diffuse.stop is not None or on_pass is not None:
            self.add_callback(_Passes(self, on_pass))

    def make_groups(self, records: Any, tokenizer: Any, *, seed: int) -> GroupSet:
        """The targets as trees; there are no records."""
        return target_groups(self.targets, tokenizer, seed=seed)

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """As `MultiResponseTrainer.train`; a run that had stopped early when it was cut off is not trained further."""
        if resume_from_checkpoint is True:
            resume_from_checkpoint = team().agree(lambda: last_whole_checkpoint(Path(self.args.output_dir)))
        if resume_from_checkpoint:
            state = json.loads((Path(resume_from_checkpoint) / "trainer_state.json").read_text("utf-8"))
            if any(_ENOUGH in entry for entry in state["log_history"]):
                self.args.max_steps = state["global_step"]
        return super().train(resume_from_checkpoint=resume_from_checkpoint or None, **kwargs)

    @property
    def stopped_early(self) -> bool:
        """Whether the last pass came near enough to the floor."""
        return any(_ENOUGH in entry for entry in self.state.log_history)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Mean over prompts of −Σ p* log p, plus the anchor's mean KL times its weight."""
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.anchors is None or not model.training:
            return found
        loss, rest = found if return_outputs else (found, None)
        if self.accelerator.sync_gradients:  # once in a step, in the last of its micro-batches
            loss = loss + self.diffuse.anchor_weight * self._held(model)
        return (loss, rest) if return_outputs else loss

    def _held(self, model: nn.Module) -> Float[torch.Tensor, ""]:
        """The anchor's mean KL over the rows of this step, which all processes draw alike and then share."""
        rng = np.random.default_rng((self.args.seed, 3, self.state.global_step, 0))
        drawn = self.anchors.draw(self.diffuse.anchor_rows, rng=rng)
        team, rank = self.accelerator.num_processes, self.accelerator.process_index
        mine = torch.arange(rank, len(drawn), team)
        kl = anchor_kl(model, self.base, drawn.take(mine if len(mine) else [0])).sum()
        return (kl if len(mine) else 0.0 * kl) * team / len(drawn)  # gradients of processes are averaged

    def laws(self) -> list[Float[np.ndarray, "_m"]]:
        """Exact log-probabilities of every target's answers now, one (m,) array for each."""
        model, training = self.accelerator.unwrap_model(self.model), self.model.training
        model.eval()
        try:
            trees = [self.train_dataset[i].tree for i in range(len(self.targets))]
            with torch.no_grad():
                found = leaf_logprobs(model, trees, form=self.diffuse.form, max_tokens=_SCORED)
            return [logp.double().cpu().numpy() for logp in found]
        finally:
            model.train(training)


_SCORED = 8192  # tokens that pass through the model at once when nothing is learned


def floor(targets: Sequence[Target]) -> float:
    """Σ H(p*) over targets, nats: the least that the losses can sum to.

    >>> float(round(floor([Target.of("?", ["a", "b"])]) / np.log(2), 6))
    1.0
    """
    return float(sum(target.entropy for target in targets))


def losses(targets: Sequence[Target], laws: Sequence[Float[np.ndarray, "_m"]]) -> Float[np.ndarray, "n"]:
    """−Σ p* log p of each target, nats."""
    return np.array([-(target.law * logp).sum() for target, logp in zip(targets, laws, strict=True)])


class _Passes(TrainerCallback):
    """Exact losses at the end of every pass, before anything is saved there: so a resumed run decides the same."""

    def __init__(self, trainer: DiffuseTrainer, on_pass: PassLaws | None) -> None:
        self.trainer, self.on_pass = trainer, on_pass

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """At the end of a pass: measure, tell, and stop if it is near enough."""
        trainer = self.trainer
        steps = -(-len(trainer.targets) // trainer.step_prompts)
        if state.global_step % steps:
            return
        laws = team().agree(trainer.laws)  # one decides, since cards may differ in the last bit
        found, least = float(losses(trainer.targets, laws).sum()), floor(trainer.targets)
        entry = {"step": state.global_step, "pass": state.global_step // steps, "losses": found, "floor": least}
        stop = trainer.diffuse.stop
        if stop is not None and found <= (1 + stop) * least:
            entry[_ENOUGH] = True
            control.should_save = control.should_training_stop = True
        state.log_history.append(entry)
        if self.on_pass is not None:
            self.on_pass(entry["pass"], laws)
