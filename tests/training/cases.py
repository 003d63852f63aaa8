"""Small trainings that one process and two must agree on. Also run as a script by each of two processes, see `main`."""

import json
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import small
import torch
from accelerate import FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from transformers import TrainerCallback

from mrtlab.cli import main as mrtlab
from mrtlab.data.targets import uniform
from mrtlab.lm.encode import encode
from mrtlab.training import fine_tune
from mrtlab.training.adapter import with_adapter
from mrtlab.training.anchor import AnchorRows
from mrtlab.training.choose import Choice
from mrtlab.training.diffuse import DiffuseConfig, DiffuseTrainer
from mrtlab.training.launch import launched
from mrtlab.training.multiresponse import MultiResponseConfig, MultiResponseTrainer
from mrtlab.training.processes import team
from mrtlab.training.watch import Watch, Watching


class StopAt(TrainerCallback):
    """Save after a step, and stop."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            control.should_save = control.should_training_stop = True


def adapter(model):
    """A LoRA whose B is not zero, so that its A learns, too, and the model is not its own base."""
    wrapped = with_adapter(model, rank=2, seed=0)
    for name, p in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(p, 0.05)
    return wrapped


def arguments(folder, *, epochs=2, **changes):
    settings = {"num_train_epochs": epochs, "learning_rate": 1e-3, "logging_strategy": "steps", "logging_steps": 1}
    return small.arguments(folder, **settings | changes)


def mrt(
    folder,
    *,
    model=None,
    kind=MultiResponseTrainer,
    n=11,
    step=4,
    rule="random",
    stop=None,
    normalisation="token",
    form="auto",
    **changes,
):
    """n prompts, `step` of them in a step: the last step of a pass is not whole."""
    config = MultiResponseConfig(
        choice=Choice(rule=rule, k=3), normalisation=normalisation, step_prompts=step, form=form
    )
    return kind(
        model or small.model(),
        arguments(folder, **changes),
        records=small.records(n),
        tokenizer=small.tokenizer(),
        config=config,
        callbacks=[StopAt(stop)] if stop else [],
    )


def asked(folder):
    """Of several processes the second one alone is asked to stop, in the third step."""
    found, times = mrt(folder), count(1)
    found.add_callback(Watching(Watch(stopped=lambda: next(times) >= 3 and launched()[0] == 1)))
    return found


def diffuse(folder):
    """Three targets in steps of two, held by five anchor rows of six."""
    tokenizer, model = small.tokenizer(), adapter(small.model())
    said = [encode(tokenizer, f"Name fruit {i + 5}.", [small.FRUITS[i]]) for i in range(6)]
    return DiffuseTrainer(
        model,
        arguments(folder),
        targets=[uniform(f"Name fruit {i}.", list(small.FRUITS[: i + 3])) for i in range(3)],
        tokenizer=tokenizer,
        config=DiffuseConfig(anchor_rows=5, step_prompts=2, stop=0.01),
        anchors=AnchorRows.build([(one.prompt_ids, one.answer_ids[0]) for one in said]),
    )


def spread(trainer):
    """Weights in parts, as FSDP2 keeps them. accelerate does so on GPUs alone and falls back to whole copies on CPUs,
    though torch can: here it is told otherwise."""
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        state_dict_type="SHARDED_STATE_DICT",
        cpu_ram_efficient_loading=False,
    )
    AcceleratorState._shared_state["fsdp_plugin"] = plugin
    for state in (AcceleratorState, PartialState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    trainer.is_fsdp_enabled = True


class Sharded(MultiResponseTrainer):
    """A trainer of weights in parts."""

    def create_accelerator_and_postprocess(self):
        super().create_accelerator_and_postprocess()
        spread(self)


CASES = {
    "full": mrt,
    "lora": lambda folder: mrt(folder, model=adapter(small.model())),
    "parts": lambda folder: mrt(folder, step=5, gradient_accumulation_steps=2, normalisation="response"),
    "few": lambda folder: mrt(folder, n=7, step=3, form="branches"),  # the last step has one prompt for two processes
    "diffuse": diffuse,
    "asked": asked,
    "stopped": lambda folder: mrt(folder, stop=4, model=adapter(small.model())),
    "sharded": lambda folder: mrt(folder, kind=Sharded),
    "sharded-lora": lambda folder: mrt(folder, kind=Sharded, model=adapter(small.model())),
    "sharded-stopped": lambda folder: mrt(folder, kind=Sharded, stop=4, model=adapter(small.model())),
}


def trained(name, folder):
    """Train a case, or go on with it where it stopped."""
    found = CASES[name](folder)
    found.train(resume_from_checkpoint=True)
    return outcome(found)


def outcome(trainer):
    """Losses by step, exact losses by pass, and the weights that were trained."""
    whole = trainer.accelerator.get_state_dict(trainer.model)  # of parts, the main process alone has them all
    named = trainer.accelerator.unwrap_model(trainer.model).named_parameters()
    weights = [whole[name].detach().flatten() for name, p in named if p.requires_grad and name in whole]
    log = trainer.state.log_history
    return {
        "losses": {entry["step"]: entry["loss"] for entry in log if "loss" in entry},
        "passes": [entry["losses"] for entry in log if "losses" in entry],
        "weights": torch.cat(weights or [torch.zeros(0)]),
    }


def whole_run(folder, *, kind=MultiResponseTrainer):
    """From records to a folder: measured, trained, measured again and saved."""
    settings = fine_tune.Settings(lora_rank=2, epochs=1, batch_prompts=5, lr=1e-2, eval_share=0.2)
    with pytest.MonkeyPatch.context() as patch:
        if kind is Sharded:
            patch.setattr(fine_tune, "team", lambda: replace(team(), sharded=True))
            patch.setattr(fine_tune, "MultiResponseTrainer", Sharded)
        data = small.records(13)
        fine_tune.fine_tune(small.model(), small.tokenizer(), data, folder, settings=settings, base="small", source={})


def main() -> None:
    """`cases.py FOLDER '[["lora", "a"], …]' '["train", "mrt", …]'`: train each case in its FOLDER/a and keep what came
    out as "lora in a"; make a whole run with weights in parts; then run a command of mrtlab, which also ends the
    meeting of the processes."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for name, place in json.loads(sys.argv[2]):
        found = trained(name, folder / place)
        if torch.distributed.get_rank() == 0:
            torch.save(found, folder / f"{name} in {place}.pt")
    whole_run(folder / "in parts", kind=Sharded)
    sys.argv[1:] = json.loads(sys.argv[3])
    mrtlab()


if __name__ == "__main__":
    main()
