"""Gradients of a whole data set in a file: written once, resumed after a kill, read as a memory map by every score.

Two files stand side by side: NAME.npy holds the rows in single precision, NAME.json says what they are gradients of.
"""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from mrtlab.spa.batches import MAX_TOKENS, plan_batches
from mrtlab.spa.gradients import Block, Example, Factor, blocks_of, in_batches, lora_factors
from mrtlab.spa.projection import Projection

_SECONDS = 2.0  # between two notes of how far it is: what a kill costs at most, beside one batch
_PROBED = 64  # numbers of each weight that go into the fingerprint of a model
_LOSS = "mean over answer tokens of -log p, the answer's end included"


@dataclass(frozen=True, eq=False)
class Gradients:
    """Per-example gradients in a file.

    Attributes:
        rows: (n, p) float32, one row for each example, read from the disk when touched.
        blocks: which columns belong to which matrix.
        about: what they are gradients of: fingerprints of "model", "adapter" and "data", the "loss", the number of
            "features" (None where every weight has its own) and the "seed" of the projection, "max_tokens".
    """

    rows: Float[np.ndarray, "n p"]
    blocks: tuple[Block, ...]
    about: dict[str, Any]

    @property
    def columns(self) -> list[slice]:
        """The columns of every matrix, as the scores of `mrtlab.spa.influence` take blocks."""
        return [block.columns for block in self.blocks]


def project_for(model: Any, *, features: int | None, seed: int) -> Projection | None:
    """The projection that `collect` uses with these settings, to be used for queries, too; None without features.

    Raises:
        ValueError: as `lora_factors` and `Projection.draw`.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> project_for(model, features=None, seed=0) is None, sum(project_for(model, features=50, seed=0).widths) <= 50
    (True, True)
    """
    if features is None:
        return None
    return Projection.draw([factor.module.weight for factor in lora_factors(model)], features=features, seed=seed)


def collect(
    model: Any,
    examples: Sequence[Example],
    path: Path,
    *,
    features: int | None = None,
    seed: int = 0,
    max_tokens: int = MAX_TOKENS,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Gradients:
    """Write the gradient of every example to a file, or go on where a run with the same inputs was stopped.

    Batches depend on the lengths of the examples alone, so a run that was stopped ends at the same rows.

    Args:
        model: with one active LoRA adapter, see `batch_gradients`.
        examples: n of them.
        path: of the rows; ".npy" and ".json" replace its suffix.
        features: numbers that stand for a gradient, about; None keeps every weight's own.
        seed: of the projection.
        max_tokens: tokens in one pass, padding included.
        report: called with how many examples are done, and how many there are.

    Returns:
        the file, opened for reading.

    Raises:
        ValueError: there is no example, something does not fit the model (see `batch_gradients`), or the file holds
            gradients of something else.
        OSError: the disk has not enough room.

    Source: SPA computes one pass per query instead (App. A); one pass for all is the sheet's section 9.

    >>> import tempfile
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = collect(model, [Example((1, 5), (6, 2)), Example((1,), (2,))], Path(folder) / "set", features=40)
    ...     print(found.rows.shape == (2, found.blocks[-1].stop), found.about["features"])
    True 40
    """
    if not len(examples):
        raise ValueError("there are no examples: give at least one")
    projection = project_for(model, features=features, seed=seed)
    factors = lora_factors(model)
    blocks = blocks_of(factors, projection)
    width = blocks[-1].stop
    about = {
        "model": model_fingerprint(model, factors),
        "adapter": adapter_fingerprint(factors),
        "data": data_fingerprint(examples),
        "loss": _LOSS,
        "features": features,
        "seed": seed if features is not None else None,
        "max_tokens": max_tokens,
    }
    batches = plan_batches(examples, width, max_tokens=max_tokens)
    numbers, note = path.with_suffix(".npy"), path.with_suffix(".json")
    done = _begun(note, about)
    if done is None or not numbers.is_file():
        _check_room(path, 4 * len(examples) * width)
        np.lib.format.open_memmap(numbers, mode="w+", dtype=np.float32, shape=(len(examples), width)).flush()
        done = 0
        _write_note(note, about, blocks, done, len(batches))
    if done < len(batches):
        rows = np.lib.format.open_memmap(numbers, mode="r+")
        told, finished = time.monotonic(), sum(map(len, batches[:done]))
        parts = in_batches(model, examples, batches[done:], projection=projection)
        for number, (places, part) in enumerate(parts, start=done + 1):
            rows[places] = part
            finished += len(places)
            if time.monotonic() - told > _SECONDS or number == len(batches):
                rows.flush()  # the rows before the note that says they are there
                _write_note(note, about, blocks, number, len(batches))
                told = time.monotonic()
            report(finished, len(examples))
    return open_gradients(path)


def open_gradients(path: Path) -> Gradients:
    """Open what `collect` wrote, for reading.

    Raises:
        ValueError: one of the two files is missing or damaged, or they were not written to their end.

    >>> open_gradients(Path("nowhere"))
    Traceback (most recent call last):
    ValueError: expected nowhere.npy and nowhere.json beside it: collect the gradients first
    """
    numbers, note = path.with_suffix(".npy"), path.with_suffix(".json")
    if not numbers.is_file() or not note.is_file():
        raise ValueError(f"expected {numbers} and {note.name} beside it: collect the gradients first")
    said = _read_note(note)
    if said["done"] < said["batches"]:
        raise ValueError(f"{numbers} is at batch {said['done']} of {said['batches']}: collect again, it goes on there")
    blocks = tuple(Block(**(block | {"shape": tuple(block["shape"])})) for block in said["blocks"])
    try:
        rows = np.lib.format.open_memmap(numbers, mode="r")
    except (ValueError, OSError) as error:
        raise ValueError(f"{numbers} is damaged ({error}): delete it and collect again") from error
    return Gradients(rows, blocks, said["about"])


def data_fingerprint(examples: Sequence[Example]) -> str:
    """SHA-256 of the token ids of all examples, 64 hexadecimal digits.

    >>> one, two = Example((1, 2), (3,)), Example((1,), (2, 3))
    >>> data_fingerprint([one]) == data_fingerprint([two])
    False
    """
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([example.prompt_ids, example.answer_ids]).encode())
    return digest.hexdigest()


def adapter_fingerprint(factors: Sequence[Factor]) -> str:
    """SHA-256 of every number of the adapter's matrices and of where they sit, 64 hexadecimal digits.

    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> before = adapter_fingerprint([Factor("a", "a", layer)])
    >>> _ = torch.nn.init.constant_(layer.weight, 3.0)
    >>> before == adapter_fingerprint([Factor("a", "a", layer)])
    False
    """
    digest = hashlib.sha256()
    for factor in factors:
        weight = factor.module.weight.detach().float().cpu().contiguous()
        digest.update(f"{factor.name} {tuple(weight.shape)}".encode())
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


def model_fingerprint(model: Any, factors: Sequence[Factor]) -> str:
    """SHA-256 of the base model's shapes and of some numbers of each of its weights, 64 hexadecimal digits.

    A few evenly spaced numbers of each weight tell one model from another, or from itself after a step of training,
    without reading gigabytes.

    >>> one, other = (torch.nn.Linear(9, 9) for _ in range(2))
    >>> model_fingerprint(one, []) == model_fingerprint(one, []) != model_fingerprint(other, [])
    True
    """
    digest = hashlib.sha256()
    theirs = {id(factor.module.weight) for factor in factors}
    for name, weight in model.named_parameters():
        if id(weight) in theirs or ".lora_" in name:
            continue
        flat = weight.detach().flatten()
        at = torch.linspace(0, flat.numel() - 1, min(_PROBED, flat.numel()), device=flat.device, dtype=torch.float64)
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(flat[at.long()].float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _begun(note: Path, about: dict[str, Any]) -> int | None:
    """How many batches an earlier run with the same inputs has written; None if there was none."""
    if not note.is_file():
        return None
    said = _read_note(note)
    other = [name for name, value in about.items() if said["about"].get(name) != value]
    if other:
        raise ValueError(
            f"{note} describes gradients with another {', '.join(other)}: give another path, or delete the file"
        )
    return said["done"]


def _read_note(note: Path) -> dict[str, Any]:
    try:
        said = json.loads(note.read_text("utf-8"))
        if {"about", "blocks", "done", "batches"} <= set(said):
            return said
    except (ValueError, TypeError):
        pass
    raise ValueError(f"{note} is damaged: delete it and collect again")


def _write_note(note: Path, about: dict[str, Any], blocks: Sequence[Block], done: int, batches: int) -> None:
    """Beside first, then in place: a reader never sees half of it."""
    new = note.with_suffix(".json.new")
    said = {"about": about, "done": done, "batches": batches, "blocks": [asdict(block) for block in blocks]}
    new.write_text(json.dumps(said, indent=1) + "\n", "utf-8")
    os.replace(new, note)


def _check_room(path: Path, needed: int) -> None:
    """A memory map that outgrows its disk ends the program without a word, so ask first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"the gradients need {needed / 1e9:,.1f} GB, the disk has {free / 1e9:,.1f} GB free: project them to "
            "fewer features, or give a path on another disk",
        )
