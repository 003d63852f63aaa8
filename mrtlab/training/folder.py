"""The folder of a training run: its journal, its checkpoints, and what is saved at the end. Shared by all trainers."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrtlab.data.records_io import read_jsonl
from mrtlab.training.launch import sharded

RUN = "run.json"  # settings, what was measured before, and, at the end, the results
CHECKPOINTS = "checkpoints"
_SAVES = 10  # checkpoints along a run
_LOGGED = 400  # points of the loss curve, at most


def read_run(folder: Path) -> dict[str, Any] | None:
    """What a folder says about the run in it, None if there was none. A finished one has "after".

    Raises:
        RecordError: the file is damaged.
    """
    path = folder / RUN
    return next((row for _, row in read_jsonl(path)), None) if path.is_file() else None


def run_arguments(model: Any, folder: Path, *, steps: int, seed: int, **special: Any) -> Any:
    """`TrainingArguments` for a run in a folder: when it is logged and saved, and that it tells nobody else.

    Args:
        model: decides between CPU and GPU.
        folder: of the run.
        steps: how many there will be.
        seed: of the trainer.
        **special: what differs from run to run, in the words of transformers.
    """
    from transformers import TrainingArguments  # here: whoever only reads a run needs no such library

    from mrtlab.training.ready import autocast_of

    logging.getLogger("transformers.trainer_utils").addFilter(_not_about_times)
    return TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
        logging_strategy="steps",
        logging_steps=max(1, steps // _LOGGED),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=max(1, steps // _SAVES),
        save_total_limit=2,
        seed=seed,
        use_cpu=next(model.parameters()).device.type == "cpu" and not sharded(),  # parts go from the CPU to their GPUs
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
        **autocast_of(model) | special,
    )


def _not_about_times(record: logging.LogRecord) -> bool:
    """Small models save twice within a second; transformers then suspects the disk, and sorts by step as it should."""
    return not record.getMessage().startswith("mtime may not be reliable")


@contextmanager
def writing() -> Iterator[None]:
    """A full disk as an `OSError`, whatever the library that met it makes of it.

    >>> with writing():
    ...     raise RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed")
    Traceback (most recent call last):
    OSError: PytorchStreamWriter failed writing file data/1: file write failed
    """
    from safetensors import SafetensorError  # here: whoever only reads a run needs no such library

    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error
    except RuntimeError as error:
        if not any(name in str(error) for name in ("PytorchStreamWriter", "inline_container")):
            raise
        raise OSError(str(error).splitlines()[0]) from error


@writing()
def save_model(
    model: Any,
    tokenizer: Any,
    folder: Path,
    *,
    base: str,
    adapter: bool,
    how: str,
    weights: dict[str, Any] | None = None,
) -> None:
    """Write into a folder beside, then move: files that are seen are whole, and the configuration comes last.

    Args:
        model: peft's if `adapter`, else transformers'.
        tokenizer: saved with it.
        folder: of the run.
        base: the model's name, written into the adapter's configuration.
        adapter: whether only an adapter was trained.
        how: command and method, for the card: "`mrtlab train mrt`, several responses to each prompt at once".
        weights: all of them by name, where the model itself holds a part alone.
    """
    new = folder / "new"
    shutil.rmtree(new, ignore_errors=True)
    if adapter:
        model.peft_config["default"].base_model_name_or_path = base
        # Embeddings are not trained. "auto" would ask the hub for the base model.
        model.save_pretrained(new, save_embedding_layers=False, state_dict=weights)
    else:
        model.save_pretrained(new, state_dict=weights)
    tokenizer.save_pretrained(new)
    what = "An adapter" if adapter else "A model"
    (new / "README.md").write_text(_CARD.format(base=base, name=folder.name, what=what, how=how))
    for path in sorted(new.iterdir(), key=lambda path: path.name.endswith("config.json")):
        path.replace(folder / path.name)
    new.rmdir()


_CARD = """# {name}

{what} trained with {how}, from the base model `{base}`.
Settings and measurements: run.json and report.html.

```python
from mrtlab.lm.models import load_model

model, tokenizer = load_model("{name}")  # the path of this folder
```
"""
