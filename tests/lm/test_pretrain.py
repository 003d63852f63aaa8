"""Pre-training: the same weights whether it ran through or was killed, and batches that are what they say."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mrtlab.data.tasks.corpus import Corpus
from mrtlab.lm.pretrain import RECIPES, Recipe, autocast_dtype, model_config, pretrain, rate_at, stands_at, workers_for
from mrtlab.lm.pretrain_rows import IGNORED, rows

CHILD = """
import json, sys
from pathlib import Path
import torch
from mrtlab.lm.pretrain import Recipe, pretrain
torch.set_num_threads(1)
pretrain(Path(sys.argv[1]), Recipe(**json.loads(sys.argv[2])), checkpoint_every=2,
         report=lambda p: print(p.step, flush=True))
"""


class Stopped(Exception):  # noqa: N818
    """What a test raises in the middle of a run."""


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_an_exception_at_any_step_loses_nothing(tmp_path, tiny_recipe, tiny_folder):
    stop_at = int(np.random.default_rng(os.getpid()).integers(1, tiny_recipe.steps + 1))
    seen = []

    def report(progress):
        seen.append(progress.step)
        if len(seen) == stop_at:
            raise Stopped

    folder = tmp_path / "run"
    with pytest.raises(Stopped):
        pretrain(folder, tiny_recipe, checkpoint_every=1000, report=report)
    assert stands_at(folder) == stop_at
    pretrain(folder, tiny_recipe, report=report)
    assert seen == list(range(1, tiny_recipe.steps + 1)), f"stopped at {stop_at}"
    assert same(weights(folder), weights(tiny_folder)), f"stopped at {stop_at}"
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in tiny_folder.iterdir())


def test_a_killed_process_goes_on_to_the_same_weights(tmp_path, tiny_recipe, tiny_folder):
    folder = tmp_path / "run"
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(folder), json.dumps(asdict(tiny_recipe))]
    stop_at = int(np.random.default_rng(time.time_ns()).integers(3, tiny_recipe.steps))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        for line in child.stdout:
            if int(line) == stop_at:
                child.kill()
                break
    assert child.returncode == -9
    kept = stands_at(folder)
    assert kept % 2 == 0
    assert stop_at - 2 <= kept <= tiny_recipe.steps
    pretrain(folder, tiny_recipe)
    assert same(weights(folder), weights(tiny_folder)), f"killed at {stop_at}"


def test_a_finished_folder_is_left_alone(tiny_recipe, tiny_folder):
    before = (tiny_folder / "model.safetensors").stat().st_mtime_ns
    steps = []
    pretrain(tiny_folder, tiny_recipe, report=lambda p: steps.append(p))
    assert steps == []
    assert (tiny_folder / "model.safetensors").stat().st_mtime_ns == before
    assert stands_at(tiny_folder) == "finished"


def test_another_recipe_is_refused(tiny_recipe, tiny_folder):
    with pytest.raises(ValueError, match="another seed, width: take another folder"):
        pretrain(tiny_folder, dataclasses.replace(tiny_recipe, seed=5, width=32))


def test_another_seed_gives_another_model(tmp_path, tiny_recipe, tiny_folder):
    other = pretrain(tmp_path / "other", dataclasses.replace(tiny_recipe, seed=1, steps=2))
    assert not same(weights(other), weights(tiny_folder))


def test_progress_counts_down(tmp_path, tiny_recipe):
    seen = []
    pretrain(tmp_path / "run", dataclasses.replace(tiny_recipe, steps=3), report=seen.append)
    assert [(p.step, p.steps) for p in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[-1].seconds_left == 0
    assert all(p.rate > 0 and np.isfinite(p.loss) for p in seen)
    assert 5 < seen[0].loss < 8  # an untrained model of 768 pieces: about log 768 = 6.6


@pytest.fixture
def tokenizer(tiny):
    return tiny[1]


@pytest.fixture
def recipe():
    return Recipe(rows=6, length=96)


class TestRows:
    def test_a_step_is_known_without_the_ones_before_it(self, tokenizer, recipe):
        first = rows(recipe, tokenizer, Corpus(seed=3), 7)
        again = rows(recipe, tokenizer, Corpus(seed=3), 7)
        other = rows(recipe, tokenizer, Corpus(seed=3), 8)
        for name in first:
            np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first["input_ids"], other["input_ids"])

    def test_documents_stand_side_by_side_with_a_loss_on_answers_only(self, tokenizer, recipe):
        corpus = Corpus(seed=3)
        batch = rows(recipe, tokenizer, corpus, 2)
        documents = corpus.documents(start=2 * recipe.rows * recipe.length)
        for ids, labels, positions in zip(*(batch[k] for k in ("input_ids", "labels", "position_ids")), strict=True):
            starts = [*np.flatnonzero(positions == 0), recipe.length]
            assert starts[0] == 0
            for low, high in pairwise(starts):
                np.testing.assert_array_equal(positions[low:high], np.arange(high - low))
                prompt, answer = next(documents)
                text = tokenizer.decode(ids[low:high].tolist())
                whole = f"<bos><user>{prompt}<bot>{answer}<end>"
                assert text == whole or (high == recipe.length and whole.startswith(text.rstrip("�")))
                asked = np.flatnonzero(ids[low:high] == tokenizer.convert_tokens_to_ids("<bot>"))
                answer_from = low + asked[0] + 1 if len(asked) else high
                assert (labels[low:answer_from] == IGNORED).all()
                np.testing.assert_array_equal(labels[answer_from:high], ids[answer_from:high])

    def test_a_document_does_not_see_the_one_before_it(self, tiny, recipe):
        """The model's loss on a packed row is that of its documents by themselves."""
        model, tokenizer = tiny
        batch = {k: torch.as_tensor(v)[:1] for k, v in rows(recipe, tokenizer, Corpus(seed=3), 0).items()}
        with torch.no_grad():
            packed = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
            starts = [*torch.nonzero(batch["position_ids"][0] == 0)[:, 0].tolist(), recipe.length]
            assert len(starts) > 2
            for low, high in pairwise(starts):
                alone = model(input_ids=batch["input_ids"][:, low:high], use_cache=False).logits[0]
                torch.testing.assert_close(packed[low:high], alone, atol=1e-4, rtol=0)


def test_the_rate_warms_up_and_falls_to_nothing():
    recipe = RECIPES["embedded"]
    rates = [rate_at(step, recipe) for step in range(recipe.steps)]
    peak = int(np.argmax(rates))
    assert peak in (recipe.warmup - 1, recipe.warmup)
    assert rates[peak] == pytest.approx(recipe.peak_rate)
    assert np.all(np.diff(rates[:peak]) > 0)
    assert np.all(np.diff(rates[recipe.warmup :]) < 0)
    assert rates[-1] < 1e-4 * recipe.peak_rate


def test_the_gpu_recipe_has_the_size_that_is_told():
    from transformers import AutoTokenizer, LlamaForCausalLM

    from mrtlab.lm import shelf

    config = model_config(RECIPES["gpu"], AutoTokenizer.from_pretrained(shelf.EMBEDDED))
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    assert sum(p.numel() for p in model.parameters()) == 38_941_184
    assert RECIPES["gpu"].vocab_size == RECIPES["embedded"].vocab_size == config.vocab_size


def test_processes_that_write_the_text_change_nothing(tmp_path, tiny_recipe, tiny_folder):
    made = pretrain(tmp_path / "run", tiny_recipe, workers=1)
    assert same(weights(made), weights(tiny_folder))
    with pytest.raises(ValueError, match="workers must be 0 processes or more"):
        pretrain(tmp_path / "other", tiny_recipe, workers=-1)


def test_the_gpu_recipe_runs_on_a_cpu_too(tmp_path):
    """The same path with the same number format, a few steps of a few rows: what a GPU adds is the device."""
    short = dataclasses.replace(RECIPES["gpu"], steps=2, rows=1, length=32, warmup=1, layers=1, sample_texts=100)
    seen = []
    made = pretrain(tmp_path / "run", short, report=seen.append)
    assert [progress.step for progress in seen] == [1, 2]
    assert all(np.isfinite(progress.loss) for progress in seen)
    assert stands_at(made) == "finished"


def test_a_card_without_bf16_takes_single_precision(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert autocast_dtype(RECIPES["gpu"], "cuda") is None
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert autocast_dtype(RECIPES["gpu"], "cuda") == torch.bfloat16
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16), raising=False)
    assert workers_for("cuda") == 14
