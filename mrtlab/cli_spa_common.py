"""What the commands `mrtlab spa …` share: progress, mistakes as sentences, folders, and where adapters are."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import command_line, fail, loaded, shown
from mrtlab.cli_train import as_option

if TYPE_CHECKING:
    from mrtlab.data.records import Record

NOTE = "adapters.json"  # what `mrtlab spa adapt` says about its adapters, beside them
_LINE_S = 10.0

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AdaptersArgument = Annotated[Path, typer.Argument(help="A folder that `mrtlab spa adapt` made.", show_default=False)]
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="The base model: embedded, a folder, or a Hugging Face name.",
        show_default="the one that the adapters name",
    ),
]


@contextmanager
def told(what: str, *, options: Sequence[str] = (), memory: str, kept: Callable[[], bool] = lambda: False) -> Iterator:
    """Whatever may end a command early, as one sentence with a remedy.

    Args:
        what: file or folder that a mistake is about.
        options: settings whose names messages may hold.
        memory: what to do if the GPU's is too small.
        kept: whether something was kept that the same command goes on from.
    """
    from mrtlab.data.guard import GuardError
    from mrtlab.data.records import RecordError

    try:
        yield
    except GuardError as error:
        fail(str(error), 1)
    except RecordError as error:
        fail(str(error), 2)
    except ValueError as error:
        message = as_option(str(error), options)
        fail(message if message.startswith(what) else f"{what}: {message}", 2)
    except OSError as error:
        after = "; what was done is kept: make room, then repeat the command" if kept() else ""
        fail(f"cannot write: {error.strerror or error}{after}", 1)
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        fail(f"the GPU's memory is too small for these settings: {memory}", 1)
    except KeyboardInterrupt:
        if not kept():
            fail(f"stopped before anything was kept; to begin anew: {command_line()}", 130)
        fail(f"stopped. What was done is kept; the same command goes on: {command_line()}", 130)


@contextmanager
def counting(stopped: Callable[[], bool] = lambda: False) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal, a line now and then in a log file, for things that are counted; on standard error.

    Args:
        stopped: asked at every report; True ends the work as Ctrl-C does.
    """
    console = Console(stderr=True)
    begun: dict[str, float] = {}
    last = time.monotonic()

    def line(what: str, done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        first = begun.setdefault(what, now)
        if now - last >= _LINE_S and done:
            last = now
            left = (now - first) / done * (of - done)
            typer.echo(f"{done:,}/{of:,} {what}, about {left:,.0f} s left", err=True)

    with _bars(console) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, of: int) -> None:
            if bar is None:
                line(what, done, of)
            else:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=of)
                bar.update(tasks[what], completed=done, total=of)
            if stopped():
                raise KeyboardInterrupt

        yield show


@contextmanager
def _bars(console: Console) -> Iterator[Any]:
    """Bars of rich's, or nothing where there is no terminal."""
    if not console.is_terminal:
        yield None
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        yield bar


def check_new_file(path: Path, force: bool) -> None:
    """Leave if a file is there already, or cannot be written; to be asked before long work."""
    if path.is_dir():
        fail(f"cannot write {path}: it is a folder; give the name of a file", 1)
    if path.exists() and not force:
        fail(f"{path} exists already: give another name, or add --force to write over it", 2)
    _check_parent(path)


def check_folder_place(path: Path) -> None:
    """Leave if a folder cannot be made or written to; to be asked before long work."""
    if path.exists() and not path.is_dir():
        fail(f"cannot write to {path}: it is a file; give the name of a folder", 1)
    _check_parent(path)


def _check_parent(path: Path) -> None:
    place = path if path.is_dir() else path.parent
    if not place.is_dir():
        fail(f"cannot write {path}: there is no folder {place}", 1)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}", 1)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder beside, to be filled; it takes the place of `path`, and of what is there, only if all went well."""
    new = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield new
        new.chmod(0o755)  # mkdtemp makes private folders; this one is like any other
        if path.exists():
            shutil.rmtree(path)
        new.replace(path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def adapter_folders(folder: Path) -> list[Path]:
    """The adapters in a folder, in their order; or one sentence if there are none, or some are not finished."""
    from mrtlab.lm.shelf import ADAPTER
    from mrtlab.training.folder import RUN

    if not folder.is_dir():
        fail(f"there is no folder {folder}: make adapters with `mrtlab spa adapt`", 2)
    begun = [path for path in folder.iterdir() if (path / RUN).is_file() and _number(path) is not None]
    found = [path for path in folder.iterdir() if (path / ADAPTER).is_file() and _number(path) is not None]
    if not found and not begun:
        more = f"; it is an adapter itself: give the folder around it, {folder.parent}" if _is_adapter(folder) else ""
        fail(f"{folder} holds no adapters: expected folders like {folder.name}-0 from `mrtlab spa adapt`{more}", 2)
    if unfinished := sorted({path.name for path in begun} - {path.name for path in found}):
        fail(f"{folder}: not finished: {', '.join(unfinished)}. Repeat the `mrtlab spa adapt` that began them", 2)
    wanted = note_of(folder).get("k", len(found))
    if len(found) < wanted:
        fail(f"{folder} holds {len(found)} of {wanted} adapters: repeat the `mrtlab spa adapt` that began them", 2)
    return sorted(found, key=lambda path: _number(path) or 0)


def note_of(folder: Path) -> dict[str, Any]:
    """What `mrtlab spa adapt` wrote down about its adapters; empty if it is not there."""
    try:
        said = json.loads((folder / NOTE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def loaded_with(folders: Sequence[Path], model: str | None, device: str) -> tuple[Any, Any, list[str]]:
    """The base model with all adapters on it, its tokenizer, and the adapters' names."""
    from mrtlab.lm.shelf import look_at_adapter
    from mrtlab.spa.adapters import adapter_name, load_adapters

    try:
        base = (look_at_adapter(folders[0]) or fail(f"{folders[0]} holds no weights: train it anew", 2)).base
    except ValueError as error:
        fail(str(error), 2)
    if not model and not base:
        fail(f"{folders[0]} names no base model: say which with --model", 2)
    network, tokenizer = loaded(model or base, device)
    try:
        return load_adapters(network, folders), tokenizer, [adapter_name(folder) for folder in folders]
    except (ValueError, RuntimeError, OSError) as error:
        fail(f"cannot put the adapters of {folders[0].parent} on {model or base}: {str(error).splitlines()[0]}", 2)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, wide: Sequence[str] = ()) -> None:
    """A table under its title; the columns in `wide` may take several lines, numbers stand on the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name in wide else "right", overflow="fold", no_wrap=name not in wide)
    for row in rows:
        table.add_row(*(shown(cell) if name in wide else cell for name, cell in zip(columns, row, strict=True)))
    typer.echo(title)
    Console(highlight=False).print(table)


def pairs_of(records: "Sequence[Record]") -> list[tuple[str, str]]:
    """Prompt and response of every example, as texts."""
    from mrtlab.data.records import prompt_text

    return [(prompt_text(record.prompt), response) for record in records for response in record.responses]


def _number(path: Path) -> int | None:
    """The number at the end of an adapter's folder, None if there is none."""
    tail = path.name.rpartition("-")[2]
    return int(tail) if path.is_dir() and tail.isdigit() else None


def _is_adapter(folder: Path) -> bool:
    from mrtlab.lm.shelf import ADAPTER

    return (folder / ADAPTER).is_file()
