"""Multi-response training equals training on K copies, survives a kill, and does not care how a step is cut up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from torch.utils.data import DataLoader, SequentialSampler

from mrtlab.lm import plain_logprob
from mrtlab.lm.encode import encode
from mrtlab.training.multiresponse import MultiResponseConfig, MultiResponseTrainer

SCRIPT = Path(small.__file__)


class InOrder(MultiResponseTrainer):
    """Prompts in the order of the file, two at a time."""

    def get_train_dataloader(self):
        groups = range(len(self.train_dataset))
        batches = [list(groups[i : i + 2]) for i in groups[::2]]
        return self.accelerator.prepare(
            DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator)
        )


def in_order(folder, *, normalisation="token", **changes):
    losses = []

    class Watched(InOrder):
        def compute_loss(self, *args, **kwargs):
            loss = super().compute_loss(*args, **kwargs)
            losses.append(float(loss.detach()))
            return loss

    found = Watched(
        small.model(),
        small.arguments(folder, **changes),
        records=small.records(),
        tokenizer=small.tokenizer(),
        config=MultiResponseConfig(normalisation=normalisation),
    )
    found.train()
    return losses, small.weights(found.model)


def copies(tokenizer):
    """One row for each response, as trainers without trees see them."""
    rows = []
    for record in small.records():
        encoded = encode(tokenizer, record.prompt, record.responses)
        rows += [
            {"input_ids": encoded.prompt_ids + ids, "labels": [-100] * len(encoded.prompt_ids) + ids}
            for ids in encoded.answer_ids
        ]
    return rows


def by_hand(normalisation, *, steps):
    """The same training as a plain loop with one forward pass for each response."""
    net, tokenizer = small.model(), small.tokenizer()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.0)
    losses = []
    for start in range(0, 2 * steps, 2):
        terms, tokens = [], 0
        for record in small.records()[start : start + 2]:
            encoded = encode(tokenizer, record.prompt, record.responses)
            for ids in encoded.answer_ids:
                share = len(ids) if normalisation == "response" else 1
                terms.append(-plain_logprob(net, encoded.prompt_ids, ids) / share)
                tokens += len(ids)
        loss = sum(terms) / (len(terms) if normalisation == "response" else tokens)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, small.weights(net)


def distance(found, wanted):
    """How far two trained models lie apart, relative to how far training moved them."""
    return float((found - wanted).norm() / (wanted - small.weights(small.model())).norm())


@pytest.mark.parametrize("normalisation", ["token", "response"])
def test_it_equals_a_plain_loop_over_copies(tmp_path, normalisation):
    losses, weights = in_order(tmp_path, normalisation=normalisation, weight_decay=0.0)
    wanted, plain = by_hand(normalisation, steps=len(losses))
    assert losses == pytest.approx(wanted, abs=5e-5)
    assert distance(weights, plain) < 1e-3


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of the peer, about itself
def test_it_equals_trl_on_the_same_data(tmp_path):
    trl = pytest.importorskip("trl", reason="trl is a peer, not a dependency")
    from datasets import Dataset

    class Rows(trl.SFTTrainer):
        def _get_train_sampler(self, *_):
            return SequentialSampler(self.train_dataset)

        def compute_loss(self, *args, **kwargs):
            loss = super().compute_loss(*args, **kwargs)
            theirs.append(float(loss.detach()))
            return loss

    theirs: list[float] = []
    tokenizer = small.tokenizer()
    settings = small.arguments(tmp_path).to_dict()
    keep = ("learning_rate", "lr_scheduler_type", "report_to", "disable_tqdm", "use_cpu", "dataloader_pin_memory")
    config = trl.SFTConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,  # two prompts of four responses
        num_train_epochs=1,
        activation_checkpointing=False,
        bf16=False,
        max_length=None,
        save_strategy="no",
        logging_strategy="no",
        **{name: settings[name] for name in keep},
    )
    rows = Dataset.from_list(copies(tokenizer))
    peer = Rows(model=small.model(), args=config, train_dataset=rows, processing_class=tokenizer)
    peer.train()
    losses, weights = in_order(tmp_path)
    assert losses == pytest.approx(theirs, abs=5e-5)
    assert distance(weights, small.weights(peer.model)) < 1e-3


@pytest.mark.parametrize("normalisation", ["token", "response", "prompt"])
def test_a_step_may_be_cut_into_micro_batches(tmp_path, normalisation):
    """Twelve prompts with responses of many lengths: steps of eight and of the four that are left, in parts of two."""
    changes = {"normalisation": normalisation, "num_train_epochs": 2, "weight_decay": 0.0}
    whole = small.trainer(tmp_path, per_device_train_batch_size=8, **changes)
    cut = small.trainer(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4, **changes)
    for found in (whole, cut):
        found.train()
    assert whole.state.global_step == cut.state.global_step == 4
    assert distance(small.weights(cut.model), small.weights(whole.model)) < 1e-4


def test_stopped_and_resumed_it_ends_at_the_same_weights(tmp_path):
    straight = small.trainer(tmp_path / "straight", num_train_epochs=2)
    straight.train()
    for stop in (1, 5, 7):  # in the first epoch, at its last but one step, in the second epoch
        folder = tmp_path / str(stop)
        first = small.trainer(folder, num_train_epochs=2, save_strategy="steps", save_steps=stop)

        first.add_callback(_stop_at(stop))
        first.train()
        again = small.trainer(folder, num_train_epochs=2)
        again.train(resume_from_checkpoint=True)
        torch.testing.assert_close(small.weights(again.model), small.weights(straight.model), rtol=0, atol=0)


def _stop_at(step):
    from transformers import TrainerCallback

    class StopAt(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step >= step

    return StopAt()


def run(folder, changes, *more, launcher=()):
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parent), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, *launcher, str(SCRIPT), str(folder), json.dumps(changes), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-2000:]


def test_killed_and_resumed_it_ends_at_the_same_weights(tmp_path):
    changes = {"num_train_epochs": 8, "save_strategy": "steps", "save_steps": 1, "save_total_limit": 3}
    straight = run(tmp_path / "straight", {"num_train_epochs": 8})
    killed = run(tmp_path / "killed", changes)
    wait = np.random.default_rng(int(time.time())).integers(2, 12)
    while killed.poll() is None and not list((tmp_path / "killed").glob(f"checkpoint-{wait}")):
        time.sleep(0.01)
    assert killed.poll() is None, killed.communicate()[1][-2000:]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    finished(straight)
    finished(run(tmp_path / "killed", changes, "resume"))
    found, wanted = (torch.load(tmp_path / name / "weights.pt") for name in ("killed", "straight"))
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
