"""What the experiments at full scale share: the model that they are about, folders that outlive a kill, and memory."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrtlab.lab import artifacts, provenance, subject
from mrtlab.lab.registry import MissingInput


def model_name(recommended: str) -> str:
    """The model of a run: what `MRTLAB_MODEL` names, or else the recipe's."""
    return os.environ.get(subject.MODEL) or recommended


def started(name: str) -> tuple[Any, Any]:
    """A model and its tokenizer, on the GPU where there is one.

    Raises:
        MissingInput: it cannot be had; or it is not the embedded one and there is no GPU, where a run would take days.
    """
    import torch

    from mrtlab.lm.models import load_model

    asked = os.environ.get(subject.DEVICE) or ("cpu" if name == subject.EMBEDDED else "auto")
    if name != subject.EMBEDDED and asked == "auto" and not torch.cuda.is_available():
        raise MissingInput(
            f"{name} needs a GPU, and PyTorch finds none here. Run the same on the embedded model with --scale book; "
            f"or, if you have days, set {subject.DEVICE}=cpu"
        )
    try:
        return load_model(name, device=asked)
    except ValueError as error:
        raise MissingInput(str(error)) from error


@contextmanager
def kept_folder(experiment: str, label: str, fingerprint: str) -> Iterator[Path]:
    """A folder for a training run, which a run that was killed finds again; gone when the work in it is done.

    Args:
        experiment, label: of the cell.
        fingerprint: of everything that decides the result; another one gets another folder.
    """
    path = artifacts.cache_dir() / "runs" / experiment / f"{label}-{fingerprint[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def peak_gib() -> dict[str, float | None]:
    """The most memory held so far, GiB: of the process, and of the GPU, None without one."""
    import torch

    on_gpu = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    return {"process": provenance.peak_memory_mb() / 2**10, "gpu": on_gpu}


def most_memory(found: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """The largest of the peaks that cells noted under "peak", GiB; that of the GPU is None where no cell had one.

    >>> most_memory([{"peak": {"process": 1.0, "gpu": None}}, {"peak": {"process": 2.0, "gpu": 3.0}}])
    {'process': 2.0, 'gpu': 3.0}
    """
    peaks = [one["peak"] for one in found]
    return {
        "process": max(peak["process"] for peak in peaks),
        "gpu": max((peak["gpu"] for peak in peaks if peak["gpu"] is not None), default=None),
    }


def forget_peak() -> None:
    """Begin to measure the GPU's memory afresh, and give back what the last cell left."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
