"""One adapter for each part of the data, all trained for the same number of steps from one frozen base model."""

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from transformers import PrinterCallback

from mrtlab.data.records import Record
from mrtlab.data.records_io import write_jsonl
from mrtlab.lm.shelf import ADAPTER
from mrtlab.spa.attribution import data_fingerprint
from mrtlab.spa.gradients import examples_of
from mrtlab.training.adapter import with_adapter
from mrtlab.training.fine_tune import Settings
from mrtlab.training.folder import CHECKPOINTS, RUN, read_run, run_arguments, save_model
from mrtlab.training.multiresponse import MultiResponseConfig, MultiResponseTrainer, Normalisation
from mrtlab.training.watch import Stopped, Watch, Watching

_HOW = "`mrtlab.spa.adapters`, one adapter for each part of a data set"
_LOCK = ".lock"
_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what its option takes


@dataclass(frozen=True, kw_only=True)
class AdaptSettings:
    """How every one of the K adapters is trained.

    Attributes:
        steps: of each adapter, whatever the size of its part: the budget is equal, the number of passes is not.
        batch_prompts: prompts in a step.
        lora_rank: of every adapter, on all linear layers; its scale is 2.
        lr: peak learning rate of AdamW under a cosine; None takes what `mrtlab train` takes for the model's size.
        warmup: steps of warm-up, a twentieth of all at most.
        normalisation: "token" or "response", see `MultiResponseConfig`.
        seed: adapter k starts from, and draws its order by, seed + k. Parts that are all the same then differ by the
            seed alone, which is the control that SPA lacks (SPA-11).

    Raises:
        ValueError: a number out of its range.

    Source: SPA App. A trains 400 steps for each part, cosine, 20 of warm-up.
    """

    steps: int = 400
    batch_prompts: int = 8
    lora_rank: int = 16
    lr: float | None = None
    warmup: int = 20
    normalisation: Normalisation = "token"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warmup < 0:
            raise ValueError(f"steps must be 1 or more and warmup 0 or more, got {self.steps} and {self.warmup}")
        self._like()

    def peak_lr(self, parameters: int) -> float:
        """The learning rate for a base model of so many weights."""
        return self._like().peak_lr(parameters)

    def _like(self) -> Settings:
        """The same in the words of `mrtlab train`, which checks the numbers."""
        return Settings(
            lora_rank=self.lora_rank,
            batch_prompts=self.batch_prompts,
            lr=self.lr,
            normalisation=self.normalisation,
            seed=self.seed,
        )


def part_records(records: Sequence[Record], members: Sequence[int] | Int[np.ndarray, "m"]) -> list[Record]:
    """The records of a part, given by places of examples as `examples_of` counts them: a record keeps only its own.

    Args:
        records: all of them, as they went into `examples_of`.
        members: places of examples, one for each response.

    Raises:
        ValueError: a place is out of range or comes twice.

    >>> records = [Record.of("a", ["x", "y"]), Record.of("b", ["z"])]
    >>> [(record.prompt, record.responses) for record in part_records(records, [1, 2])]
    [('a', ('y',)), ('b', ('z',))]
    """
    stops = np.cumsum([len(record) for record in records], dtype=int)
    wanted = np.sort(np.asarray(members, dtype=int))
    n = sum(map(len, records))
    if len(wanted) and not (0 <= wanted[0] <= wanted[-1] < n and (np.diff(wanted) > 0).all()):
        raise ValueError(f"members must be places between 0 and {n - 1}, each once")
    owners = np.searchsorted(stops, wanted, side="right")
    return [
        records[owner].keep((wanted[owners == owner] - stops[owner] + len(records[owner])).tolist())
        for owner in np.unique(owners).tolist()
    ]


def train_adapters(
    model: Any,
    tokenizer: Any,
    parts: Sequence[Sequence[Record]],
    folder: Path,
    *,
    base: str,
    settings: AdaptSettings | None = None,
    only: Sequence[int] | None = None,
    watch: Watch | None = None,
) -> list[Path]:
    """Train an adapter on each part, W_k = W + B_k A_k, and save it as a folder of peft's; go on where a run stopped.

    Adapter k's folder, and with it its name, is FOLDER/FOLDER-k: names differ between runs, too, so that no server
    mistakes one adapter's cache for another's. Adapters that are there already are left alone, one that was being
    trained goes on from its last checkpoint.

    Args:
        model, tokenizer: as `load_model` returns them. The model is changed meanwhile, and left as it was.
        parts: the records of each part. All parts the same, `[records] * K`, is the control of K seeds; a single part
            of everything is the single adapter.
        folder: of all.
        base: the model's name, written into each adapter's configuration.
        settings: the same for all.
        only: numbers of the parts to train in this call. No adapter needs another, so calls on several cards, or on
            machines that see one disk, may train a few each; None trains all.
        watch: who is told what; its `stopped` ends the run after a step.

    Returns:
        the folders, in the order of the parts.

    Raises:
        ValueError: there is no part, one is empty, a folder holds an adapter of other settings or data, `only` names
            a part that is not there, or another process trains one of them at this moment.
        Stopped: `watch.stopped` said so; the same call goes on from there.
        OSError: the folder cannot be written to.

    Source: SPA, section 4.3.

    >>> import tempfile
    >>> from mrtlab.lm.models import load_model
    >>> parts = [[Record.of("Name a fruit.", ["plum"])], [Record.of("Name a fruit.", ["fig"])]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     settings = AdaptSettings(steps=1, lora_rank=2)
    ...     made = train_adapters(*load_model(device="cpu"), parts, Path(folder) / "two", base="embedded",
    ...                           settings=settings)
    ...     print([path.name for path in made], sorted(load_adapters(load_model(device="cpu")[0], made).peft_config))
    ['two-0', 'two-1'] ['two-0', 'two-1']
    """
    settings, watch = settings or AdaptSettings(), watch or Watch()
    if not len(parts) or not all(len(part) for part in parts):
        empty = [k for k, part in enumerate(parts) if not len(part)]
        raise ValueError(f"expected at least one part and no empty one, got {len(parts)} parts, empty ones: {empty}")
    if only is not None and not (only and set(only) <= set(range(len(parts)))):
        raise ValueError(f"only must name parts from 0 to {len(parts) - 1}, got {list(only)}")
    folders = [folder / f"{folder.name}-{k}" for k in range(len(parts))]
    said = []
    for k, (part, place) in enumerate(zip(parts, folders, strict=True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the seam between prompt and answer
            data = data_fingerprint(examples_of(part, tokenizer))
        # As it comes back from JSON, so that both can be compared.
        one = json.loads(json.dumps({"settings": asdict(settings), "part": k, "data": data, "base": base}))
        before = read_run(place)
        if before and {name: before.get(name) for name in one} != one:
            raise ValueError(f"{place} holds an adapter of other settings, data or base: choose another folder")
        said.append((one, bool(before and before.get("after"))))
    for k, (place, (one, done)) in enumerate(zip(folders, said, strict=True)):
        if not done and (only is None or k in only):
            place.mkdir(parents=True, exist_ok=True)
            with alone(place):
                write_jsonl(place / RUN, [one])
                _train(model, tokenizer, parts[k], place, one, settings, settings.seed + k, watch)
    return folders


def finished(place: Path) -> bool:
    """Whether the adapter of a folder is trained to its end."""
    return bool((read_run(place) or {}).get("after"))


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Refuse to work in a folder in which another process of this machine works. A process that dies lets go of it.

    Raises:
        ValueError: another process is there.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    with (place / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process trains {place} at this moment: leave it to that, or stop it") from None
        except OSError:  # a disk that cannot lock
            pass
        yield
    (place / _LOCK).unlink(missing_ok=True)


def load_adapters(model: Any, folders: Sequence[Path]) -> Any:
    """A base model with the adapters of several folders, each named after its folder, the first one active.

    Args:
        model: as `load_model` returns it; it is changed in place.
        folders: of peft's adapters, with different last names; a dot in a name becomes "_", as peft takes none.

    Returns:
        the model of peft's, in evaluation mode. `sample_each` decodes with all adapters at once, `set_adapter` picks
        one.

    Raises:
        ValueError: no folder, one without an adapter, or two of one name.

    >>> load_adapters(None, [Path("a/spa-0"), Path("b/spa-0")])
    Traceback (most recent call last):
    ValueError: adapters need different names, got spa-0, spa-0: rename a folder
    """
    from peft import PeftModel

    if not len(folders):
        raise ValueError("there are no folders: give at least one adapter's")
    names = [adapter_name(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise ValueError(f"adapters need different names, got {', '.join(names)}: rename a folder")
    for folder in folders:
        if not (folder / ADAPTER).is_file():
            raise ValueError(f"{folder} holds no adapter: expected {ADAPTER}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers, about what peft asks it
        loaded = PeftModel.from_pretrained(model, folders[0], adapter_name=names[0])
        for folder, name in zip(folders[1:], names[1:], strict=True):
            loaded.load_adapter(folder, adapter_name=name)
    return loaded.eval()


def adapter_name(folder: Path) -> str:
    """The name of the adapter in a folder: the folder's own, without dots.

    >>> adapter_name(Path("runs/spa/spa-0"))
    'spa-0'
    """
    return folder.absolute().name.replace(".", "_")


def vllm_command(folders: Sequence[Path]) -> list[str]:
    """The command that serves all adapters at once under vLLM, as words. Not run here: vLLM needs a GPU.

    Its defaults are one adapter at a time and rank 16 at most, so both are raised where needed: with fewer places than
    adapters, requests for the rest wait. Names must differ, also from those of adapters that were served before. The
    prompt's cache belongs to one adapter, so K adapters read a prompt K times.

    Args:
        folders: as `train_adapters` returns them.

    Raises:
        ValueError: no folder, a folder without an adapter, two base models, or a rank above what vLLM takes.

    Source: the SPA sheet, section 8.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / ADAPTER).write_text('{"base_model_name_or_path": "Qwen/Qwen3-0.6B", "r": 12}')
    ...     words = vllm_command([Path(folder)])
    >>> " ".join(words[:8])
    'vllm serve Qwen/Qwen3-0.6B --enable-lora --max-loras 1 --max-lora-rank 16'
    """
    if not len(folders):
        raise ValueError("there are no folders: give at least one adapter's")
    configs = []
    for folder in folders:
        if not (folder / ADAPTER).is_file():
            raise ValueError(f"{folder} holds no adapter: expected {ADAPTER}")
        configs.append(json.loads((folder / ADAPTER).read_text("utf-8")))
    bases = sorted({config["base_model_name_or_path"] for config in configs})
    if len(bases) > 1:
        raise ValueError(f"the adapters belong to different base models: {', '.join(bases)}")
    rank = max(config["r"] for config in configs)
    if rank > _VLLM_RANKS[-1]:
        raise ValueError(f"vLLM serves ranks up to {_VLLM_RANKS[-1]}, got {rank}")
    allowed = next(r for r in _VLLM_RANKS if r >= rank)
    modules = [f"{adapter_name(folder)}={folder.absolute()}" for folder in folders]
    limits = ["--max-loras", str(len(folders)), "--max-lora-rank", str(allowed)]
    return ["vllm", "serve", bases[0], "--enable-lora", *limits, "--lora-modules", *modules]


def _train(
    model: Any,
    tokenizer: Any,
    records: Sequence[Record],
    place: Path,
    one: dict[str, Any],
    settings: AdaptSettings,
    seed: int,
    watch: Watch,
) -> None:
    """One adapter from its part to its folder."""
    lr = settings.peak_lr(sum(p.numel() for p in model.parameters()))
    with _adapted(model, rank=settings.lora_rank, seed=seed) as adapted:
        args = run_arguments(
            adapted,
            place,
            steps=settings.steps,
            seed=seed,
            max_steps=settings.steps,
            per_device_train_batch_size=settings.batch_prompts,
            learning_rate=lr,
            lr_scheduler_type="cosine",
            warmup_steps=min(settings.warmup, settings.steps // 20),
            weight_decay=0.0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = MultiResponseTrainer(
                adapted,
                args,
                records=records,
                tokenizer=tokenizer,
                config=MultiResponseConfig(normalisation=settings.normalisation),
                callbacks=[Watching(watch, settings.batch_prompts)],
            )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=True)
        if trainer.state.global_step < trainer.state.max_steps:
            raise Stopped
        save_model(adapted, tokenizer, place, base=one["base"], adapter=True, how=_HOW)
    losses = [[entry["step"], entry["loss"]] for entry in trainer.state.log_history if "loss" in entry]
    results = {"after": True, "prompts": len(records), "loss": losses, "steps": settings.steps, "used": {"lr": lr}}
    write_jsonl(place / RUN, [one | results])
    shutil.rmtree(place / CHECKPOINTS)


@contextmanager
def _adapted(model: Any, *, rank: int, seed: int) -> Iterator[Any]:
    """The model with a fresh adapter; without it, trainable as before and in its mode, when this closes."""
    training, trainable = model.training, [p for p in model.parameters() if p.requires_grad]
    adapted = with_adapter(model, rank=rank, seed=seed)
    try:
        yield adapted
    finally:
        adapted.unload()
        for p in trainable:
            p.requires_grad_(True)
        model.train(training)
