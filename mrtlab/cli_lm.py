"""The commands `mrtlab models`, `mrtlab sample` and `mrtlab pretrain`: find a model, ask it, or make one."""

import dataclasses
import json
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import examples, fail, lm_needed, loaded, shown, stoppable

if TYPE_CHECKING:
    from mrtlab.data.records import Prompt
    from mrtlab.lm import shelf
    from mrtlab.lm.pretrain import Progress

MODELS_EXAMPLES = examples("mrtlab models", "mrtlab models my-model --json")
SAMPLE_EXAMPLES = examples(
    'mrtlab sample "Name a fruit." --n 200',
    "mrtlab sample --file prompts.txt --model Qwen/Qwen3-0.6B --temperature 0.7 --json",
)
PRETRAIN_EXAMPLES = examples("mrtlab pretrain my-model", "mrtlab pretrain big-model --recipe gpu --device cuda")
_BAR = 24  # characters of the longest bar
_LINE_S = 10.0  # between two lines of progress in a log file

ModelOption = Annotated[
    str,
    typer.Option(help="embedded, a folder with a model or an adapter, or a Hugging Face name such as Qwen/Qwen3-0.6B."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, or cuda.")]


def models(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders to look at, besides the embedded model.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which models can be loaded, and whether the embedded one is the one that was frozen.

    Of a folder with an adapter: which model it belongs to, and what it was trained on.
    """
    from mrtlab.lm import shelf

    found = [("embedded", shelf.look(shelf.EMBEDDED)), *((str(f), _looked_at(f)) for f in folders or [])]
    if as_json:
        typer.echo(json.dumps([_model_json(name, model) for name, model in found], indent=2, ensure_ascii=False))
        return
    _print_models([(name, model) for name, model in found if not isinstance(model, shelf.Adapter)])
    _print_adapters([(name, model) for name, model in found if isinstance(model, shelf.Adapter)])
    typer.echo(
        "As --model, every command also takes a folder with a saved model or an adapter, and the name of a causal\n"
        "language model on the Hugging Face hub, such as Qwen/Qwen3-0.6B, which is downloaded once.\n"
        "Make one: mrtlab pretrain FOLDER, or an adapter: mrtlab train mrt FILE --out FOLDER"
    )


def _looked_at(folder: Path) -> "shelf.Shelved | shelf.Adapter":
    """The model or adapter in a folder, or one sentence on why there is none."""
    from mrtlab.lm import shelf

    try:
        model = shelf.look_at_adapter(folder) or shelf.look(folder)
    except ValueError as error:
        fail(str(error), 2)
    if model is None and not folder.is_dir():
        fail(f"there is no folder {folder}: check the name; a model on the hub is not looked up here", 2)
    if model is None and (folder / "run.json").is_file():
        fail(f"{folder} holds a run of mrtlab train that is not finished: give its command again with --resume", 2)
    if model is None:
        fail(
            f"{folder} holds no {shelf.WEIGHTS} and no {shelf.ADAPTER_WEIGHTS}: give a folder that `mrtlab pretrain`, "
            "`mrtlab train` or save_pretrained made",
            2,
        )
    return model


def _print_models(found: "list[tuple[str, shelf.Shelved | None]]") -> None:
    table = Table("model", "parameters", "file", "check", "SHA-256", "card", box=box.SIMPLE_HEAD)
    for name, model in found:
        if model is None:
            table.add_row(name, "not in this installation", "", "", "", "")
        else:
            size = f"{model.bytes / 1e6:.1f} MB"
            card = str(model.card or "none")
            table.add_row(shown(name), f"{model.parameters:,}", size, model.check, f"{model.sha256[:12]}...", card)
    Console().print(table)


def _print_adapters(found: "list[tuple[str, shelf.Adapter]]") -> None:
    for name, adapter in found:
        table = Table("adapter", shown(name), box=box.SIMPLE_HEAD)
        rank = "" if adapter.rank is None else f"rank {adapter.rank}, "
        table.add_row("base model", shown(adapter.base or "not said; write it into adapter_config.json"))
        table.add_row("weights", f"{rank}{adapter.parameters:,} parameters, {adapter.bytes / 1e6:.1f} MB")
        table.add_row("SHA-256", f"{adapter.sha256[:12]}...")
        table.add_row("trained on", shown(adapter.trained_on or "not said: there is no run.json"))
        Console().print(table)


def _model_json(name: str, model: Any) -> dict[str, Any]:
    if model is None:
        return {"name": name, "present": False}
    own = ("check", "recipe") if hasattr(model, "check") else ("base", "rank", "trained_on")
    content = {field: getattr(model, field) for field in ("parameters", "bytes", "sha256", *own)}
    kind = "model" if hasattr(model, "check") else "adapter"
    place = {"folder": str(model.folder), "card": _text(model.card)}
    return {"name": name, "present": True, "kind": kind} | place | content


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def sample(
    prompt: Annotated[str | None, typer.Argument(help="What to ask.", show_default=False)] = None,
    file: Annotated[
        Path | None,
        typer.Option(help='Ask every line of a text file, or every "prompt" of a .jsonl file.', show_default=False),
    ] = None,
    model: ModelOption = "embedded",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Answers to each prompt.")] = 20,
    temperature: Annotated[float, typer.Option(min=0.0, help="Divides the logits; 0 takes the likeliest.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Keep this many of the likeliest tokens.")] = None,
    top_p: Annotated[float, typer.Option(help="Keep the likeliest tokens up to this much of the mass.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Keep tokens this likely, next to the likeliest.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same answers.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longer answers are cut here.")] = 128,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a model the same thing many times and count its answers."""
    if (prompt is None) == (file is None):
        fail("give a prompt, or --file with prompts; not both" if prompt else _NO_PROMPT, 2)
    prompts = [prompt] if file is None else prompts_of(file)
    lm_needed()
    from mrtlab.lm.sampling import Sampler
    from mrtlab.lm.sampling import sample as draw

    try:
        sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    except ValueError as error:
        fail(str(error), 2)
    network, tokenizer = loaded(model, device)
    counted = []
    for asked in prompts:
        try:
            said = draw(network, tokenizer, [asked], n=n, seed=seed, sampler=sampler, max_new_tokens=max_new_tokens)[0]
        except ValueError as error:
            fail(str(error), 2)
        counted.append((asked, Counter(said).most_common()))
    if as_json:
        content = [
            {
                "prompt": asked if isinstance(asked, str) else [dict(message) for message in asked],
                "n": n,
                "answers": [{"text": text, "count": count, "share": count / n} for text, count in answers],
            }
            for asked, answers in counted
        ]
        typer.echo(json.dumps(content if file else content[0], indent=2, ensure_ascii=False))
        return
    for asked, answers in counted:
        _print_answers(asked, answers, n)


_NO_PROMPT = 'what shall it be asked? Give a prompt, such as "Name a fruit.", or --file with one on each line'


def prompts_of(file: Path) -> "list[Prompt]":
    """The prompts of a file, or one sentence on what is wrong with it."""
    from mrtlab.data.records import Record, RecordError
    from mrtlab.data.records_io import read_jsonl

    if file.suffix.lower() == ".jsonl":
        try:
            found = []
            for where, row in read_jsonl(file):
                if "prompt" not in row:
                    fail(f'{where}: no field "prompt"; the fields are: {", ".join(row) or "none"}', 2)
                try:
                    found.append(Record.of(row["prompt"], ["an answer"]).prompt)
                except RecordError as error:
                    fail(f"{where}: {error}", 2)
        except RecordError as error:
            fail(str(error), 2)
    else:
        try:
            found = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
        except UnicodeDecodeError:
            fail(f"{file}: the text is not UTF-8. Save it as UTF-8 and try again", 2)
        except OSError as error:
            fail(f"{file}: cannot be read ({error.strerror}). Check the name and the folder", 2)
    if not found:
        fail(f"{file}: the file holds no prompts. Write one on each line", 2)
    return found


def _print_answers(asked: "Prompt", answers: list[tuple[str, int]], n: int) -> None:
    from mrtlab.data.records import prompt_text

    console = Console(highlight=False)
    console.print(prompt_text(asked), style="bold", markup=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("answer", overflow="fold")
    for name in ("count", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    top = answers[0][1]
    for text, count in answers:
        table.add_row(shown(text), str(count), f"{count / n:.1%}", "█" * max(1, round(_BAR * count / top)))
    console.print(table)
    console.print(f"{len(answers)} different among {n}", style="dim")


def pretrain(
    folder: Annotated[Path, typer.Argument(help="Receives the model. A run that was stopped goes on in its folder.")],
    recipe: Annotated[
        str,
        typer.Option(
            help="embedded: the shipped model, 1.7 million weights, under an hour on 2 cores. gpu: 38.9 million, for "
            "an H100-class card; by arithmetic some minutes, not yet measured. tiny: seconds, a trial."
        ),
    ] = "embedded",
    device: DeviceOption = "auto",
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Other than the recipe's number of steps, for a trial.", show_default=False),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Other than the recipe's seed.", show_default=False)] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that write the text; the weights do not depend on it. By default none on a CPU and all "
            "cores but two beside a GPU.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train the embedded model again, from nothing, or another one by a larger recipe.

    Stop it with Ctrl-C at any moment: the same command goes on from there, to the same weights.
    """
    lm_needed()
    from mrtlab.lm.models import find_device
    from mrtlab.lm.pretrain import RECIPES, stands_at
    from mrtlab.lm.pretrain import pretrain as train

    if recipe not in RECIPES:
        fail(f"there is no recipe {recipe!r}: choose from {', '.join(RECIPES)}", 2)
    changes = {name: value for name, value in (("steps", steps), ("seed", seed)) if value is not None}
    chosen = dataclasses.replace(RECIPES[recipe], **changes)
    try:
        place = find_device(device)
        start = stands_at(folder)
        if start not in (0, "finished"):
            typer.echo(f"Going on at step {start} of {chosen.steps}", err=True)
        with stoppable() as stopped, _training(chosen.steps, start or 0) as report:

            def step(progress: "Progress") -> None:
                report(progress)
                if stopped():
                    raise KeyboardInterrupt

            train(folder, chosen, device=place, workers=workers, report=step)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"cannot write to {folder}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        given = {"recipe": recipe, "device": device, "steps": steps, "seed": seed, "workers": workers}
        default = {"recipe": "embedded", "device": "auto"}
        options = [f" --{name} {value}" for name, value in given.items() if value != default.get(name)]
        again = f"mrtlab pretrain {shlex.quote(str(folder))}{''.join(options)}"
        fail(f"stopped. What was done is kept in {folder}; to go on: {again}", 130)
    if start == "finished":
        typer.echo("Nothing to do: this run is finished. To train afresh, give another folder.", err=True)
    _print_made(folder)


def _print_made(folder: Path) -> None:
    from mrtlab.lm import shelf

    made = shelf.look(folder)
    name = shlex.quote(str(folder))
    typer.echo(f"{folder} holds a model of {made.parameters / 1e6:.2f} million parameters, {made.bytes / 1e6:.1f} MB")
    typer.echo(f'Ask it:     mrtlab sample "Name a fruit." --model {name}')
    typer.echo(f"Measure it: mrtlab evaluate --model {name}")


@contextmanager
def _training(steps: int, start: int | str) -> "Iterator[Callable[[Progress], None]]":
    """A bar on a terminal, a line now and then in a log file; both on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal or start == "finished":
        yield _log_lines()
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("pre-training"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.description}"),
    )
    with bars.Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=steps, completed=int(start))
        yield lambda event: bar.update(task, completed=event.step, description=_numbers(event))


def _log_lines() -> "Callable[[Progress], None]":
    last = time.monotonic()

    def report(event: "Progress") -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_S or event.step == event.steps:
            last = time.monotonic()
            typer.echo(f"step {event.step}/{event.steps}, {_numbers(event)}", err=True)

    return report


def _numbers(event: "Progress") -> str:
    left = f"{event.seconds_left / 60:.0f} min" if event.seconds_left > 90 else f"{event.seconds_left:.0f} s"
    return f"loss {event.loss:.3f}, {event.rate:,.0f} tokens/s, about {left} left"
