"""Multi-response training on `transformers.Trainer`: K answers of a prompt in one tree, gradients as with K copies."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.data_loader import prepare_data_loader
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from mrtlab.data.records import Record
from mrtlab.lm.cost import costs
from mrtlab.lm.scoring import leaf_logprobs
from mrtlab.lm.support import text_config
from mrtlab.lm.traits import traits_of
from mrtlab.lm.tree import TokenTree
from mrtlab.training.choose import Choice
from mrtlab.training.folder import writing
from mrtlab.training.groups import Batch, Group, GroupBatches, Groups, GroupSet, collator
from mrtlab.training.processes import team

Normalisation = Literal["token", "response", "prompt"]
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")  # how configurations say that a model has some
_PARTS = "pytorch_model_fsdp_0"  # where accelerate saves weights that are spread
_WHOLE = "written-to-its-end"  # an empty file, put into a checkpoint last


@dataclass(frozen=True, kw_only=True)
class MultiResponseConfig:
    """What is special about multi-response training; everything else is in `TrainingArguments`.

    Attributes:
        choice: which K of N responses a step sees.
        redraw: whether chance chooses anew at every epoch.
        normalisation: "token" divides by the number of response tokens in the step, as TRL does, so long responses
            weigh more; "response" takes the mean over a response's tokens first, so all weigh the same; "prompt"
            divides by the number of prompts, which is right where weights are probabilities that sum to 1.
        max_length: longest string, prompt and response together.
        form: how trees are run, see `mrtlab.lm.forms`.
        step_prompts: prompts in a step, over all processes and micro-batches; None takes what the arguments of
            transformers multiply to. With a number, a step holds the same prompts on one process or on eight.

    Raises:
        ValueError: an unknown normalisation.
    """

    choice: Choice = field(default_factory=Choice)
    redraw: bool = True
    normalisation: Normalisation = "token"
    max_length: int | None = None
    form: str = "auto"
    step_prompts: int | None = None

    def __post_init__(self) -> None:
        if self.normalisation not in ("token", "response", "prompt"):
            raise ValueError(f"normalisation must be 'token', 'response' or 'prompt', got {self.normalisation!r}")


class MultiResponseTrainer(Trainer):
    """Fine-tune on records: every prompt once, its K responses as branches.

    `per_device_train_batch_size` counts prompts. A prompt's responses are never split over batches or processes, and a
    step holds the same prompts however many processes it is cut into: loss and weights differ by round-off alone.
    Dropout, where a model has it, draws one mask for a prompt and all its responses instead of one for each copy: the
    same mean, another noise.

    Args:
        model: a causal language model, peft-wrapped or not.
        args: of transformers. `remove_unused_columns` is set to False.
        records: prompts with responses.
        tokenizer: of the model.
        config: what is special.
        **kwargs: handed to `Trainer`, callbacks for example.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        *,
        records: Sequence[Record],
        tokenizer: Any,
        config: MultiResponseConfig | None = None,
        **kwargs: Any,
    ) -> None:
        self.config = config or MultiResponseConfig()
        args.remove_unused_columns = False
        if args.ddp_broadcast_buffers is None:  # a language model's are constants; and processes may differ in passes
            args.ddp_broadcast_buffers = False
        if args.ddp_find_unused_parameters is None:  # experts alone are left out of a pass; to look for more takes time
            args.ddp_find_unused_parameters = any(hasattr(text_config(model), name) for name in _EXPERTS)
        groups = self.make_groups(records, tokenizer, seed=args.data_seed if args.data_seed is not None else args.seed)
        kwargs.setdefault("processing_class", tokenizer)
        super().__init__(model, args, train_dataset=groups, data_collator=collator(self.config.normalisation), **kwargs)
        self.model_accepts_loss_kwargs = True  # the loss below divides by the step's tokens itself

    def make_groups(self, records: Sequence[Record], tokenizer: Any, *, seed: int) -> GroupSet:
        """The records as trees, K of N responses chosen as the configuration says."""
        return Groups(
            records,
            tokenizer,
            choice=self.config.choice,
            redraw=self.config.redraw,
            seed=seed,
            max_length=self.config.max_length,
        )

    @property
    def step_prompts(self) -> int:
        """Prompts in a step, over all processes and micro-batches."""
        together = self.accelerator.num_processes * self.args.gradient_accumulation_steps
        return self.config.step_prompts or self._train_batch_size * together

    def get_train_dataloader(self) -> DataLoader:
        """This process's batches of whole groups. accelerate, which would deal them out by turns and repeat some where
        they do not divide, is told that there is nothing to deal out."""
        batches = GroupBatches(
            self.train_dataset,
            step=self.step_prompts,
            seed=self.train_dataset.seed,
            parts=self.args.gradient_accumulation_steps,
            team=self.accelerator.num_processes,
            rank=self.accelerator.process_index,
        )
        loader = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator)
        device = self.accelerator.device
        return prepare_data_loader(loader, device, num_processes=1, process_index=0, put_on_device=True)

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """Train, or with `resume_from_checkpoint=True` go on from the last checkpoint that was written to its end.

        A run that is killed while it saves leaves a folder with half a checkpoint. Such a folder is passed over; where
        no whole one exists, training begins at the beginning.

        Raises:
            ValueError: the checkpoint holds weights in parts and this run keeps them whole, or the other way round.
        """
        if resume_from_checkpoint is True:  # one looks for all: a shared disk may show others an older state
            resume_from_checkpoint = team().agree(lambda: last_whole_checkpoint(Path(self.args.output_dir)))
        if resume_from_checkpoint:
            _check_parts(Path(resume_from_checkpoint), now=self.is_fsdp_enabled)
        with warnings.catch_warnings():  # torch has a new name for this, which its older versions do not know
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with writing():
            super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process writes a part
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
            (folder / _WHOLE).touch()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """−Σ weight·log p(response), divided as `normalisation` says."""
        batch: Batch = inputs["groups"]
        # Without a prompt of its own this time, a process still takes part in the pass, and adds nothing to the sum.
        trees = [group.tree for group in batch.groups] or [self._smallest.tree]
        logps = leaf_logprobs(model, trees, form=self._form(model, trees))
        total = torch.zeros((), device=logps[0].device) if batch.groups else 0.0 * logps[0].sum()
        for group, logp in zip(batch.groups, logps, strict=False):
            weight = torch.as_tensor(group.weights).to(logp)
            if self.config.normalisation == "response":
                weight = weight / torch.as_tensor(group.lengths).to(logp)
            total = total - (weight * logp).sum()
        if num_items_in_batch is None:
            loss = total / max(len(inputs["labels"]), 1)
        else:  # of the whole step: all micro-batches and processes, which average their gradients
            loss = total * self.accelerator.num_processes / num_items_in_batch
        return (loss, {"logps": logps}) if return_outputs else loss

    @cached_property
    def _smallest(self) -> Group:
        groups = self.train_dataset
        return groups[min(range(len(groups)), key=groups.cost)]

    def _form(self, model: nn.Module, trees: Sequence[TokenTree]) -> str:
        """Where weights are spread over processes every pass is a meeting of all: each must make one, not two."""
        if self.config.form != "auto" or not self.is_fsdp_enabled:
            return self.config.form
        traits = traits_of(model)
        served = [cost.form for cost in costs(model, trees, traits=traits) if cost.form != "branches"]
        return "row" if traits.checkpointing else served[0]


def _check_parts(checkpoint: Path, *, now: bool) -> None:
    """Refuse a checkpoint of another kind; any number of processes reads its own."""
    then = (checkpoint / _PARTS).is_dir()
    if then != now:
        kinds = ("whole copies of the weights", "weights spread over processes (FSDP)")
        raise ValueError(f"the run was saved with {kinds[then]} and cannot go on with {kinds[now]}: start it as before")


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint in a folder that was written to its end, None if there is none."""
    found = [path for path in folder.glob("checkpoint-*") if (path / _WHOLE).is_file()]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None
