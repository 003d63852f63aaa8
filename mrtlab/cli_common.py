"""What the commands share: how help shows examples, and how a mistake is reported."""

import io
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mrtlab.training.launch import launched

if TYPE_CHECKING:
    from mrtlab.data.records import Record
    from mrtlab.training.choose import Choice
    from mrtlab.training.processes import Team

_GRACE_S = 10.0  # that the main process has to say what is wrong, before another one does
STOPPED = 130  # the exit code of a run that was stopped


def examples(*commands: str) -> str:
    """Examples at the foot of a help page, one per line."""
    return "\n\n".join(["Examples:", *(f"$ {command}" for command in commands)])


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong in one sentence and leave."""
    typer.echo(f"mrtlab: {message}", err=True)
    raise typer.Exit(code)


@contextmanager
def one_voice() -> Iterator[None]:
    """Of several processes that a launcher started, let one be heard.

    Nearly every mistake is met by all of them. The launcher ends all when the first one leaves, so the others wait
    until the main process has said what is wrong. One that still lives then has met a mistake of its own, and says it.
    """
    rank, size = launched()
    heard, failed = sys.stderr, True
    if rank:
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        yield
        failed = False
    except SystemExit as left:
        failed = left.code not in (None, 0, STOPPED)
        raise
    finally:
        said = sys.stderr.getvalue().strip().splitlines() if rank else []
        sys.stderr = heard
        if not failed and "mrtlab.training.processes" in sys.modules:
            sys.modules["mrtlab.training.processes"].leave()
        if failed and rank:
            time.sleep(_GRACE_S)
            typer.echo(f"Process {rank} of {size}: {said[-1] if said else 'failed'}", err=True)


def only_train(words: Sequence[str]) -> None:
    """Leave if a launcher started several processes of a command that is made for one."""
    _, size = launched()
    if size > 1 and words and words[0] != "train" and not words[0].startswith("-"):
        message = f"{words[0]} runs in one process, and {size} were launched: only mrtlab train works with several"
        typer.echo(f"mrtlab: {message}", err=True)
        sys.exit(2)


def joined(device: str) -> "Team":
    """Meet the other processes, where there are any; or one sentence on why that cannot be."""
    from mrtlab.training.processes import team

    if device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    try:
        return team()
    except ValueError as error:
        fail(str(error), 2)


def shown(text: str) -> str:
    """A text for one cell of a table: line ends as a sign, and no markup of rich's in it."""
    from rich.markup import escape as escaped

    return escaped(text.replace("\n", " ⏎ ")) if text else "(nothing)"


def counted(n: int, thing: str) -> str:
    """A number with its noun: "1 target", "1,200 targets".

    >>> counted(1, "target"), counted(1200, "target"), counted(0, "anchor")
    ('1 target', '1,200 targets', '0 anchors')
    """
    return f"{n:,} {thing}" + ("" if n == 1 else "s")


def command_line() -> str:
    """What was typed, to be repeated."""
    return shlex.join(["mrtlab", *sys.argv[1:]])


def base_name(model: str) -> str:
    """What an adapter's configuration calls its base model: a folder by its whole path."""
    return model if model == "embedded" or not Path(model).is_dir() else str(Path(model).resolve())


def lm_needed(*more: str) -> None:
    """Leave with one sentence if what runs language models is not installed."""
    from importlib.util import find_spec

    for package in ("torch", "transformers", "safetensors", *more):
        if find_spec(package) is None:
            fail(f'this needs {package}; install it with: pip install "mrtlab[lm]"', 1)


def loaded(name: str, device: str, dtype: str = "auto") -> tuple[Any, Any]:
    """A model and its tokenizer, said on standard error; or one sentence on why not."""
    lm_needed()
    from transformers.utils import logging as quiet

    from mrtlab.lm.models import load_model

    quiet.disable_progress_bar()
    quiet.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if name != "embedded" and not Path(name).exists():
        typer.echo(f"Looking for {name} here and on the Hugging Face hub ...", err=True)
    try:
        model, tokenizer = load_model(name, device=device, dtype=dtype)
    except ValueError as error:
        fail(str(error), 1 if "missing from this installation" in str(error) else 2)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    typer.echo(f"{name}: {size:.2f} million parameters on {model.device}, {str(model.dtype)[6:]}", err=True)
    return model, tokenizer


def check_place(path: Path) -> None:
    """Leave if a file cannot be written to a place; to be asked before long work."""
    if not path.parent.is_dir():
        fail(f"cannot write {path}: there is no folder {path.parent}", 1)
    if path.is_dir():
        fail(f"cannot write {path}: it is a folder", 1)


def write_page(path: Path, page: str) -> None:
    """Write an HTML page, all of it or nothing."""
    from mrtlab.lab.artifacts import write_whole

    check_place(path)
    try:
        write_whole(path, page)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}", 1)


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C wait for the end of a step, so that it can be saved; a second one does not wait."""
    asked = False

    def note(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # only the main thread may touch signals
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


PromptColumn = Annotated[str, typer.Option("--prompt-column", help="Field with the prompt, if it is another.")]
ResponseColumn = Annotated[str, typer.Option("--response-column", help="Field with a response; for several, add an s.")]
ScoreColumn = Annotated[str, typer.Option("--score-column", help="Field with a score; for several, add an s.")]


def records_of(file: Path, prompt: str, response: str, score: str) -> "list[Record]":
    """The records of a file, lines of one prompt pooled and that said; or one sentence on what is wrong with it."""
    from mrtlab.data.records import RecordError
    from mrtlab.data.records_io import Fields, load_records, read_records

    fields = Fields(prompt=prompt, response=response, score=score)
    try:
        records = load_records(file, fields=fields)
        lines = sum(1 for _ in read_records(file, fields=fields))
    except RecordError as error:
        fail(str(error), 2)
    if lines > len(records):
        typer.echo(
            f"Note: {lines:,} lines hold {len(records):,} different prompts; lines of one prompt were pooled.", err=True
        )
    return records


def chosen_by(records: "list[Record]", file: Path, choice: "Choice", seed: int) -> list[Any]:
    """Places of the responses that a rule keeps, or one sentence on why it cannot."""
    from mrtlab.training.choose import choose_all

    try:
        return choose_all(records, choice, seed=seed)
    except ValueError as error:
        fail(f"{file}: {error}", 2)
