"""How the embedded model was made: a seeded recipe that can be stopped at any step and goes on to the same weights."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mrtlab.data.tasks.corpus import Corpus
from mrtlab.lm.pretrain_rows import Steps, batches
from mrtlab.lm.tokenizer import train_tokenizer

_SPARE_CORES = 2  # of a machine with a GPU: for the process that drives it, and for everything else
_MOST_WORKERS = 16


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, up to round-off of the machine.

    Attributes:
        seed: of the initial weights and of the corpus.
        steps: optimiser steps.
        rows, length: a batch is this many rows of this many tokens.
        peak_rate, warmup: learning rate after warm-up; it falls along a cosine to nothing.
        vocab_size: pieces of the tokenizer.
        width, layers, heads, inner: shape of the Llama.
        bf16: run matrix products in bfloat16, on a GPU only if the card knows it; weights and loss stay in float32.
        sample_texts: documents the tokenizer learns from.
    """

    seed: int = 0
    steps: int = 4500
    rows: int = 16
    length: int = 128
    peak_rate: float = 2.5e-3
    warmup: int = 100
    vocab_size: int = 768
    width: int = 160
    layers: int = 5
    heads: int = 5
    inner: int = 448
    bf16: bool = True
    sample_texts: int = 20_000


RECIPES = {
    "embedded": Recipe(),
    "tiny": Recipe(steps=30, rows=4, length=64, warmup=5, width=32, layers=2, heads=2, inner=64, sample_texts=500),
    "gpu": Recipe(steps=4000, rows=128, length=256, peak_rate=1e-3, warmup=200, width=512, layers=12, heads=8,
                  inner=1408),
}  # fmt: skip
"""`gpu` has 38,941,184 weights and the tokenizer of the embedded model, so answers are trees of the same shapes.
Its 131 million tokens, fourteen times as many, are 6·38.9e6·131e6 = 3.1e16 FLOPs: two and a half minutes at 30 % of the
700 TFLOP/s that a large product in bf16 reaches on an H100, eight at 10 %. A core writes about 100,000 tokens of the
corpus a second, 22 core-minutes in all: with 14 processes one and a half minutes, less than the card needs; with 4 they
are what it waits for. That is arithmetic, not yet measured on a card. The peak rate is the embedded model's times the
ratio of widths, rounded up. A card without bf16 takes float32, which is hours on a T4."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done, of `steps`.
        loss: nats per answer token, mean over the last steps.
        rate: answer and prompt tokens per second since the run (re)started.
        seconds_left: at that rate.
    """

    step: int
    steps: int
    loss: float
    rate: float
    seconds_left: float


def pretrain(
    folder: Path,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    checkpoint_every: int = 200,
    report: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train a model from nothing, or go on where an earlier call in the same folder stopped.

    Args:
        folder: receives the checkpoint while it runs and the model, tokenizer and recipe at the end.
        recipe: what to train.
        device: where.
        workers: processes that write the text, see `batches`; by default as `workers_for` says.
        checkpoint_every: steps between checkpoints. A run that is killed repeats at most these.
        report: called after every step. If it raises, Ctrl-C turned into an exception say, the step is saved first.

    Returns:
        the folder with the finished model, for `load_model`. A folder that holds one already is left as it is.

    Raises:
        ValueError: the folder holds a run of another recipe, or workers is below 0.
    """
    if workers is not None and workers < 0:
        raise ValueError(f"workers must be 0 processes or more, got {workers}")
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, recipe)
    if stands_at(folder) == "finished":
        return folder
    corpus = Corpus(seed=recipe.seed)
    tokenizer = _tokenizer(folder, recipe, corpus)
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(model_config(recipe, tokenizer)).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, betas=(0.9, 0.98), weight_decay=0.05)
    start = _resume(folder, model, optimizer)
    began, recent = time.monotonic(), []
    number = autocast_dtype(recipe, device)
    making = workers_for(device) if workers is None else workers
    for step, arrays in batches(Steps(recipe, tokenizer, corpus), range(start, recipe.steps), workers=making):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, recipe)
        batch = {name: torch.as_tensor(array, device=device) for name, array in arrays.items()}
        with torch.autocast(torch.device(device).type, dtype=number or torch.bfloat16, enabled=number is not None):
            loss = model(**batch, use_cache=False).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent = [*recent[-49:], float(loss.detach())]
        done = step + 1
        if done % checkpoint_every == 0 and done < recipe.steps:
            _save_checkpoint(folder, model, optimizer, done)
        rate = (done - start) * recipe.rows * recipe.length / max(time.monotonic() - began, 1e-9)
        left = (recipe.steps - done) * recipe.rows * recipe.length / rate
        try:
            report(Progress(done, recipe.steps, float(np.mean(recent)), rate, left))
        except BaseException:
            _save_checkpoint(folder, model, optimizer, done)
            raise
    _finish(folder, model)
    return folder


def autocast_dtype(recipe: Recipe, device: torch.device | str) -> torch.dtype | None:
    """What matrix products are run in; None for single precision, where the recipe or the card has no bfloat16.

    Half precision with its scaling of losses would be faster on such a card; single precision has nothing to go wrong.

    >>> autocast_dtype(RECIPES["gpu"], "cpu"), autocast_dtype(Recipe(bf16=False), "cpu")
    (torch.bfloat16, None)
    """
    on_gpu = torch.device(device).type == "cuda"
    known = not on_gpu or torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if recipe.bf16 and known else None


def workers_for(device: torch.device | str) -> int:
    """How many processes write the text: none beside a CPU, which is slower than one thread, else most cores.

    >>> workers_for("cpu")
    0
    """
    if torch.device(device).type == "cpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores - _SPARE_CORES, _MOST_WORKERS))


def stands_at(folder: Path) -> int | Literal["finished"]:
    """How far the run in a folder has come: the step that its checkpoint goes on from, or "finished".

    >>> stands_at(Path("a folder that does not exist"))
    0
    """
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.is_file():
        with safe_open(checkpoint, framework="pt") as file:
            return int(file.metadata()["step"])
    return "finished" if (folder / "model.safetensors").is_file() else 0


def model_config(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The Llama that a recipe trains."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def rate_at(step: int, recipe: Recipe) -> float:
    """Learning rate of a step: a straight warm-up, then half a cosine.

    >>> [round(rate_at(step, Recipe(steps=100, warmup=10, peak_rate=1.0)), 2) for step in (0, 9, 55, 99)]
    [0.1, 1.0, 0.5, 0.0]
    """
    if step < recipe.warmup:
        return recipe.peak_rate * (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.peak_rate * 0.5 * (1 + math.cos(math.pi * share))


def _tokenizer(folder: Path, recipe: Recipe, corpus: Corpus) -> PreTrainedTokenizerFast:
    """The tokenizer of the run; learned once, from documents that come before all others."""
    if (folder / "tokenizer.json").is_file():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    first = Corpus(seed=corpus.seed + 1_000_003, shares=corpus.shares).documents()
    texts = (text for _ in range(recipe.sample_texts) for text in next(first))
    tokenizer = train_tokenizer(texts, vocab_size=recipe.vocab_size)
    _save_whole(folder, tokenizer, last="tokenizer.json")
    return tokenizer


def _claim(folder: Path, recipe: Recipe) -> None:
    """Note the recipe, or refuse a folder that follows another."""
    note = folder / "recipe.json"
    if not note.is_file():
        _replace(note, json.dumps(asdict(recipe), indent=2) + "\n")
    elif (found := json.loads(note.read_text())) != asdict(recipe):
        different = [key for key, value in asdict(recipe).items() if found.get(key) != value]
        raise ValueError(
            f"{folder} holds a run with another {', '.join(different)}: take another folder, or delete this one"
        )


def _save_checkpoint(folder: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Weights and both moments of Adam, in one file that is replaced at once."""
    held = {f"weight.{name}": value.detach().contiguous() for name, value in model.named_parameters()}
    for name, value in model.named_parameters():
        state = optimizer.state[value]
        held |= {f"first.{name}": state["exp_avg"], f"second.{name}": state["exp_avg_sq"]}
    partial = folder / "checkpoint.partial"
    save_file(held, partial, metadata={"step": str(step)})
    os.replace(partial, folder / "checkpoint.safetensors")


def _resume(folder: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer) -> int:
    """Load the checkpoint if there is one; the step to go on with."""
    step = stands_at(folder)
    if not step:
        return 0
    held = load_file(folder / "checkpoint.safetensors")
    for name, value in model.named_parameters():
        value.data.copy_(held[f"weight.{name}"])
        optimizer.state[value] = {
            "step": torch.tensor(float(step)),
            "exp_avg": held[f"first.{name}"].to(value.device),
            "exp_avg_sq": held[f"second.{name}"].to(value.device),
        }
    return step


def _finish(folder: Path, model: LlamaForCausalLM) -> None:
    """Save the model in half precision, as it is shipped, and clear the checkpoint away."""
    _save_whole(folder, model.eval().to(torch.float16), last="model.safetensors")
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def _save_whole(folder: Path, what: Any, *, last: str) -> None:
    """Save beside and move in, the file that says that all are there at the end: a kill leaves no half of anything."""
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    what.save_pretrained(partial)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == last):
        path.chmod(0o644)  # weights are written as private files; a model is for everybody
        os.replace(path, folder / path.name)
    partial.rmdir()


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, path)
