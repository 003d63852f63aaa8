"""Which model the experiments of chapters 6 to 8 are about: the embedded one, or another that the environment names.

`MRTLAB_MODEL` is "embedded", a folder with a saved model, or a Hugging Face name; `MRTLAB_DEVICE` is auto, cpu or cuda.
The embedded model stays on the CPU unless told otherwise, since that is where the book's numbers come from.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mrtlab.lab.registry import MissingInput
from mrtlab.lm import shelf

MODEL, DEVICE = "MRTLAB_MODEL", "MRTLAB_DEVICE"
EMBEDDED = "embedded"
_DIGITS = 12  # of a fingerprint, where people read it


class WrongSubject(ValueError):  # noqa: N818 - reads as a sentence where it is caught
    """A run about this model would be taken for one about another; the message says what to do."""


@dataclass(frozen=True)
class Subject:
    """A model that an experiment is about.

    Attributes:
        name: "embedded", the last part of a folder's path, or a name on the hub.
        sha256: fingerprint of its weights, 64 hexadecimal digits.
        parameters: how many numbers its weights hold.
        device: "cpu" or "cuda".
    """

    name: str
    sha256: str
    parameters: int
    device: str

    @property
    def embedded(self) -> bool:
        """Is it the model that comes with the package?"""
        return self.name == EMBEDDED

    def __str__(self) -> str:
        """As people read it.

        >>> str(Subject("gpu-model", "0f" * 32, 44_095_488, "cuda"))
        'gpu-model, 44.1 million parameters'
        """
        return f"{self.name}, {self.parameters / 1e6:.3g} million parameters"

    def facts(self) -> dict[str, Any]:
        """For an artifact's provenance."""
        return {"name": self.name, "sha256": self.sha256, "parameters": self.parameters, "device": self.device}


def name() -> str:
    """What `load_model` and trainers call the subject: "embedded", a folder, or a hub name."""
    return os.environ.get(MODEL) or EMBEDDED


def device() -> str:
    """Where it runs, "cpu" or "cuda".

    Raises:
        MissingInput: a device was asked for that is not here.
    """
    asked = os.environ.get(DEVICE) or ("cpu" if name() == EMBEDDED else "auto")
    if asked == "cpu":
        return asked  # without importing torch
    from mrtlab.lm.models import find_device

    try:
        return find_device(asked).type
    except ValueError as error:
        raise MissingInput(f"{DEVICE}: {error}") from error


def on_cpu() -> bool:
    """Is the subject on the CPU? What trainers are told as `use_cpu`."""
    return device() == "cpu"


def load() -> tuple[Any, Any]:
    """(model, tokenizer) of the subject, on its device.

    In single precision on every device: what the experiments measure are logarithms of small probabilities, and weights
    trained in half precision lose updates that are small beside them.

    Raises:
        MissingInput: it is not on this machine.
    """
    from transformers.utils import logging as quiet

    from mrtlab.lm.models import load_model

    quiet.disable_progress_bar()  # a bar of weights for every cell, between our own lines
    try:
        return load_model(name(), device=device(), dtype="float32")
    except ValueError as error:
        raise MissingInput(f"{MODEL}: {error}" if name() != EMBEDDED else str(error)) from error


def fingerprint() -> str:
    """SHA-256 of the subject's weights, by which a cell knows what it is about.

    Raises:
        MissingInput: it is not on this machine.
    """
    return subject().sha256


def subject() -> Subject:
    """The model that experiments are about here and now.

    Raises:
        MissingInput: it is not on this machine, or it is an adapter.
    """
    called, where = name(), folder()
    found = _files(where)
    if called == EMBEDDED:
        if found is None:
            raise MissingInput(
                "the embedded model is missing from this installation, and this experiment is about it: install a "
                f"package that has it, or name another model in {MODEL}"
            )
        return Subject(EMBEDDED, *found, device())
    if (where / shelf.ADAPTER).is_file():
        raise MissingInput(
            f"{MODEL}: {called} holds an adapter; the experiments train adapters of their own. Name a folder with a "
            "whole model"
        )
    if found is None:
        raise MissingInput(
            f"{MODEL}: {called} holds no weights in safetensors; expected a model saved with save_pretrained, such as "
            "mrtlab pretrain writes"
        )
    return Subject(where.resolve().name if Path(called).is_dir() else called, *found, device())


def folder() -> Path:
    """The folder that holds the subject; a hub model is downloaded once.

    Raises:
        MissingInput: there is no such folder or model.
    """
    called = name()
    if called == EMBEDDED:
        return shelf.EMBEDDED
    return Path(called) if Path(called).is_dir() else _downloaded(called)


def told(provenance: Mapping[str, Any]) -> Subject | None:
    """The subject of an artifact, by its provenance; None if it says nothing, as artifacts about the embedded model did
    before there was a choice, and those about no language model still do.

    >>> told({"subject": {"name": "embedded", "sha256": "ab", "parameters": 5, "device": "cpu"}}).embedded
    True
    """
    return Subject(**facts) if (facts := provenance.get("subject")) else None


def check_scale(about: Subject, scale: str) -> None:
    """Refuse to put another model's results where the book and its ledger read the embedded model's.

    Raises:
        WrongSubject: the model is another one and the scale is "book".
    """
    if scale == "book" and not about.embedded:
        raise WrongSubject(
            f"book scale is about the embedded model and {MODEL} names {about.name}: run it with --scale full, or "
            f"without {MODEL}"
        )


def check_place(about: Subject, before: Mapping[str, Any], file: str) -> None:
    """Refuse to write over an artifact that is about another model.

    Args:
        about: what the new one is about.
        before: provenance of the artifact that is there.
        file: its name.

    Raises:
        WrongSubject: it is about another model. A new embedded model may follow an old one.
    """
    other = told(before) or Subject(EMBEDDED, "", 0, "cpu")
    if (about.embedded and other.embedded) or about.sha256 == other.sha256:
        return
    digits = f" ({other.sha256[:_DIGITS]})" if other.sha256 else ""
    raise WrongSubject(
        f"{file} is about {other.name}{digits} and this run is about {about.name} ({about.sha256[:_DIGITS]}): move the "
        "file away, or write elsewhere with MRTLAB_ARTIFACTS and MRTLAB_CACHE"
    )


def _downloaded(called: str) -> Path:
    """The folder of a hub model."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(called, allow_patterns=["*.safetensors", "*.json"]))
    except (OSError, HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise MissingInput(
            f"{MODEL}: cannot find {called!r}, neither as a folder nor on the Hugging Face hub. Give 'embedded', a "
            "folder with a saved model, or a hub name such as Qwen/Qwen3-0.6B"
        ) from error


def _files(folder: Path) -> tuple[str, int] | None:
    """Fingerprint and number of parameters of the weights in a folder, of one file or of several."""
    files = sorted(folder.glob("*.safetensors"))
    if (folder / shelf.WEIGHTS).is_file():
        files = [folder / shelf.WEIGHTS]  # a checkpoint beside it is no part of the model
    if not files:
        return None
    each = [_one(path, path.stat().st_mtime_ns) for path in files]
    if len(each) == 1:
        return each[0]
    return hashlib.sha256("".join(digest for digest, _ in each).encode()).hexdigest(), sum(n for _, n in each)


@lru_cache(maxsize=64)
def _one(path: Path, changed: int) -> tuple[str, int]:
    """Fingerprint and numbers of one file; remembered, since every cell asks."""
    return shelf.file_sha256(path), shelf.count_parameters(path)
