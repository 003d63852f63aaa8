"""Diffuse training: the tree's loss is that of single strings, targets are reached, stops and kills count."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small
import torch

from mrtlab.data.targets import Anchor, Target, Targets, uniform
from mrtlab.lm import backward, plain_logprob
from mrtlab.lm.encode import closing_ids, encode
from mrtlab.theory import forward_kl
from mrtlab.training.adapter import with_adapter
from mrtlab.training.aimed import aim
from mrtlab.training.anchor import AnchorRows, anchor_kl, anchor_rows, base_law, kept, next_logp, remembered
from mrtlab.training.diffuse import DiffuseConfig, DiffuseTrainer, floor, losses
from mrtlab.training.diffuse_run import DiffuseSettings, train_diffuse

FRUITS = list(small.FRUITS)
SCRIPT = Path(__file__)


def target_set():
    """Two prompts with another law each."""
    return [
        uniform("Name fruit 1.", FRUITS[:5]),
        Target.of("Name a ripe fruit 4.", dict(zip(FRUITS, range(1, 9), strict=True))),
    ]


def trainer(folder, targets=None, *, model=None, config=None, **options):
    changes = {"per_device_train_batch_size": 1, "num_train_epochs": 4} | {
        name: options.pop(name) for name in list(options) if name not in ("anchors", "base", "on_pass")
    }
    return DiffuseTrainer(
        model or small.model(),
        small.arguments(folder, **changes),
        targets=target_set() if targets is None else targets,
        tokenizer=small.tokenizer(),
        config=config,
        **options,
    )


def gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def per_string(model, targets):
    """−Σ p* log p with one forward pass for each answer, the mean over prompts."""
    total = 0.0
    for target in targets:
        encoded = encode(small.tokenizer(), target.prompt, target.answers, end=target.end)
        for p, ids in zip(target.law, encoded.answer_ids, strict=True):
            total = total - p * plain_logprob(model, encoded.prompt_ids, ids)
    return total / len(targets)


@pytest.mark.parametrize("end", [True, False])
def test_loss_and_gradient_are_those_of_one_string_after_the_other(tmp_path, end):
    targets = [replace(target, end=end) for target in target_set()]
    found = trainer(tmp_path, targets, per_device_train_batch_size=2)
    batch = found.data_collator([found.train_dataset[i] for i in range(2)])
    loss = found.compute_loss(found.model, batch, num_items_in_batch=2)
    loss.backward()
    plain = small.model()
    wanted = per_string(plain, targets)
    wanted.backward()
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), abs=1e-5)
    apart = gradient(found.model) - gradient(plain)
    assert float(apart.norm() / gradient(plain).norm()) < 1e-5


def test_it_is_the_rule_forward_kl_up_to_the_entropy(tmp_path):
    found = trainer(tmp_path)
    groups = [found.train_dataset[i] for i in range(2)]
    rules = [lambda logp, g=g: forward_kl(logp, g.weights) for g in groups]
    kl = backward(small.model(), [g.tree for g in groups], rules)
    loss = float(found.compute_loss(found.model, found.data_collator(groups)).detach())
    assert loss == pytest.approx(float(kl.sum() + floor(found.targets)) / 2, abs=1e-5)


def test_targets_are_reached(tmp_path):
    found = trainer(tmp_path, num_train_epochs=80, learning_rate=5e-3)
    before = aim(found.model, small.tokenizer(), found.targets)
    found.train()
    after = aim(found.model, small.tokenizer(), found.targets)
    for old, new in zip(before, after, strict=True):
        assert old.kl > 5
        assert new.kl < 0.02
        assert new.mass > 0.98
        assert new.shape == pytest.approx(new.target.law, abs=0.05)
        assert new.tv < 0.06


def test_it_stops_near_the_floor_and_not_before(tmp_path):
    seen = []
    found = trainer(
        tmp_path,
        num_train_epochs=80,
        learning_rate=5e-3,
        config=DiffuseConfig(stop=0.2),
        on_pass=lambda number, laws: seen.append((number, losses(found.targets, laws).sum())),
    )
    found.train()
    bound = 1.2 * floor(found.targets)
    assert found.stopped_early
    assert found.state.global_step == 2 * len(seen) < 160
    assert [number for number, _ in seen] == [*range(1, len(seen) + 1)]
    assert seen[-1][1] <= bound < min(loss for _, loss in seen[:-1])
    exact = sum(one.loss for one in aim(found.model, small.tokenizer(), found.targets))
    assert exact == pytest.approx(seen[-1][1], abs=1e-4)


def test_a_run_that_stopped_early_is_not_trained_further_when_it_is_resumed(tmp_path):
    settings = {"num_train_epochs": 80, "learning_rate": 5e-3, "config": DiffuseConfig(stop=0.2)}
    first = trainer(tmp_path, **settings)
    first.train()
    again = trainer(tmp_path, **settings)
    again.train(resume_from_checkpoint=True)
    assert again.stopped_early
    assert again.state.global_step == first.state.global_step
    torch.testing.assert_close(small.weights(again.model), small.weights(first.model), rtol=0, atol=0)


class TestAnchor:
    def rows(self, model):
        anchors = [Anchor(f"Name a ripe fruit {i}.", "kiwi") for i in range(6)] + [Anchor("Name fruit 11.")]
        return anchor_rows(model, small.tokenizer(), anchors, seed=0)

    def test_it_is_the_kl_over_the_places_of_the_answer(self):
        model, other = small.model(), small.model()
        with torch.no_grad():
            for p in other.parameters():
                p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
        rows = AnchorRows.build([([5, 6, 7], [8, 9]), ([5, 6], [10, 11, 12])])
        found = anchor_kl(other, base_law(None, model), rows).detach()
        for row, (prompt, answer) in enumerate([([5, 6, 7], [8, 9]), ([5, 6], [10, 11, 12])]):
            total = 0.0
            for step in range(len(answer)):
                ids = torch.tensor([[*prompt, *answer[:step]]])
                p, q = (m(ids).logits[0, -1].detach().double().log_softmax(-1) for m in (model, other))
                total += float((p.exp() * (p - q)).sum())
            assert float(found[row]) == pytest.approx(total, abs=1e-5)

    def test_with_an_adapter_the_base_is_the_model_without_it(self):
        model = with_adapter(small.model(), rank=2, seed=0)
        rows = self.rows(model)
        law = remembered(base_law(model), rows)
        wanted = next_logp(small.model(), rows)
        torch.testing.assert_close(law(rows), wanted, rtol=0, atol=1e-5)
        for name, p in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(p, std=0.1)
        torch.testing.assert_close(law(rows), wanted, rtol=0, atol=1e-5)
        assert min(kept(model, law, rows)["kl"]) > 0

    def test_without_an_adapter_a_copy_is_needed(self):
        with pytest.raises(ValueError, match="pass a copy of the model"):
            base_law(small.model())

    def test_a_base_that_says_nothing_is_kept_at_that(self):
        model, end = small.model(), closing_ids(small.tokenizer())[0]
        rows = anchor_rows(_Silent(model, end), small.tokenizer(), [Anchor("Name fruit 3.")], seed=0)
        assert rows.counted.sum() == 1
        assert rows.tokens[0, -1] == end

    def test_it_reduces_drift_on_what_is_anchored(self, tmp_path):
        drift = {}
        at_first = aim(small.model(), small.tokenizer(), target_set())[0].kl
        for weight in (0.0, 5.0):
            model = with_adapter(small.model(), rank=4, seed=0)
            rows = self.rows(model)
            law = remembered(base_law(model), rows)
            found = trainer(
                tmp_path,
                model=model,
                num_train_epochs=10,
                config=DiffuseConfig(anchor_weight=weight, anchor_rows=4),
                anchors=rows,
                base=law,
            )
            found.train()
            drift[weight] = kept(model, law, rows)
            assert aim(model, small.tokenizer(), found.targets)[0].kl < at_first - 1
        assert np.mean(drift[5.0]["kl"]) < 0.5 * np.mean(drift[0.0]["kl"])

    def test_a_step_may_be_cut_into_micro_batches(self, tmp_path):
        def trained(**sizes):
            model = with_adapter(small.model(), rank=2, seed=0)
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.constant_(p, 0.05)  # away from the base, so that the anchor pulls
            found = trainer(tmp_path, model=model, anchors=self.rows(model), num_train_epochs=3, **sizes)
            found.train()
            return small.weights(model)

        whole = trained(per_device_train_batch_size=2)
        cut = trained(per_device_train_batch_size=1, gradient_accumulation_steps=2)
        assert float((whole - cut).norm() / whole.norm()) < 1e-5


class _Silent(torch.nn.Module):
    """A model that ends every answer at once."""

    def __init__(self, model, end):
        super().__init__()
        self.model, self.end, self.config = model, end, model.config

    def get_input_embeddings(self):
        return self.model.get_input_embeddings()

    def forward(self, **inputs):
        found = self.model(**inputs)
        found.logits = found.logits * 0 - 1e4
        found.logits[..., self.end] = 0
        return found


class TestRun:
    SETTINGS = DiffuseSettings(passes=6, lr=5e-3, anchor_rows=4, stop=0.01)

    def test_numbers_of_prompts_and_anchors(self, tmp_path):
        found = run(tmp_path / "a", self.SETTINGS)
        assert [row["use"] for row in found["prompts"]] == ["train", "train", "measure"]
        assert found["change"]["train"]["kl"]["change"][2] < 0
        row = found["prompts"][0]
        assert len(row["after"]["p"]) == len(row["answers"]) == 5
        assert row["after"]["mass"] == pytest.approx(sum(row["after"]["p"]))
        assert {name: len(one["after"]["kl"]) for name, one in found["anchors"].items()} == {"held": 8, "free": 2}
        assert max(found["anchors"]["held"]["before"]["kl"]) < 1e-6
        assert len(found["passes"]) == 6
        assert found["passes"][-1][1] < found["passes"][0][1]
        assert found["cost"]["tokens_tree"] < found["cost"]["tokens_copies"]
        assert not (tmp_path / "a" / "checkpoints").exists()

    def test_all_weights_with_an_anchor(self, tmp_path):
        found = run(tmp_path / "a", replace(self.SETTINGS, lora_rank=None, passes=2))
        assert found["trained"] == sum(p.numel() for p in small.model().parameters())
        assert min(found["anchors"]["held"]["after"]["kl"]) > 0

    def test_killed_and_resumed_it_ends_at_the_same_weights(self, tmp_path):
        straight, killed = start(tmp_path / "straight"), start(tmp_path / "killed")
        wait_for(killed, lambda: [*tmp_path.glob("killed/checkpoints/checkpoint-*/written-to-its-end")])
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        finished(straight)
        finished(start(tmp_path / "killed"))
        one, other = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("straight", "killed"))
        for name in ("prompts", "loss", "passes", "anchors", "change"):
            assert one[name] == other[name]
        weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("straight", "killed")]
        assert weights[0] == weights[1]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"passes": 0}, "passes must be 1 or more"),
            ({"lora_rank": 0}, "lora_rank must be 1 or more"),
            ({"batch_prompts": 0}, "batch_prompts must be 1 or more"),
            ({"mix_draws": 0}, "mix_draws must be 1 or more"),
            ({"lr": 0.0}, "lr must be a positive number"),
            ({"mix": 1.0}, "mix must be 0 or more and below 1"),
            ({"stop": -0.1}, "stop must be 0 or more"),
            ({"anchor_weight": -1.0}, "anchor_weight must be 0 or more"),
            ({"anchor_rows": 0}, "anchor_rows must be 1 or more"),
        ],
    )
    def test_settings_that_make_no_sense(self, change, message):
        with pytest.raises(ValueError, match=message):
            DiffuseSettings(**change)

    def test_nothing_to_train_on(self, tmp_path):
        only = Targets((replace(target_set()[0], use="measure"),))
        with pytest.raises(ValueError, match="no prompt to train on"):
            train_diffuse(None, None, only, tmp_path, settings=self.SETTINGS, base="b", source={})
        with pytest.raises(ValueError, match="no targets to train on"):
            trainer(tmp_path, [])


def run(folder, settings):
    measured = uniform("Name a ripe fruit 7.", FRUITS[:5], use="measure")
    anchors = [Anchor(f"Name a ripe a ripe fruit {i}.", FRUITS[i % 8]) for i in range(10)]
    return train_diffuse(
        small.model(),
        small.tokenizer(),
        Targets((*target_set(), measured), tuple(anchors)),
        folder,
        settings=settings,
        base="small",
        source={"file": "t.json", "sha256": ""},
    )


def start(folder):
    """A run of sixty passes as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parent), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(child, ready):
    deadline = time.monotonic() + 60
    while not ready() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.poll() is None, child.communicate()[1][-2000:]


def finished(child):
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors[-2000:]


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), DiffuseSettings(passes=40, lr=5e-3, anchor_rows=4, stop=0.0001))
