"""The commands `mrtlab train …`: fine-tune a model on a file of prompts with responses."""

import hashlib
import json
import shlex
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import (
    STOPPED,
    PromptColumn,
    ResponseColumn,
    ScoreColumn,
    base_name,
    chosen_by,
    command_line,
    examples,
    fail,
    joined,
    lm_needed,
    loaded,
    records_of,
    stoppable,
)
from mrtlab.cli_lm import DeviceOption, ModelOption
from mrtlab.cli_select import AlphaOption, DataArgument, RuleOption, SimilarityOption, TemperatureOption, choice_of
from mrtlab.training.launch import launched

if TYPE_CHECKING:
    from mrtlab.training.watch import Step

EXAMPLES = examples(
    "mrtlab train mrt answers.jsonl --out my-adapter",
    "mrtlab train mrt scored.jsonl --model Qwen/Qwen3-0.6B --rule softmax --k 4 --epochs 2 --out qwen-adapter --resume",
)
REPORT = "report.html"
_OPTIONS = ("lora_rank", "batch_prompts", "accumulate", "max_length", "eval_share")
_LINE_S = 10.0  # between two lines of progress in a log file

train = typer.Typer(no_args_is_help=True, help="Fine-tune a model on prompts with several responses each.")


@train.callback()
def _group() -> None:
    pass


@train.command(epilog=EXAMPLES)
def mrt(
    data: DataArgument,
    out: Annotated[
        Path, typer.Option(help="The folder to make: an adapter of peft's, or a whole model.", show_default=False)
    ],
    model: ModelOption = "embedded",
    k: Annotated[int, typer.Option(help="Responses of a prompt that an epoch shows; fewer if it has fewer.")] = 8,
    rule: RuleOption = "random",
    redraw: Annotated[
        bool, typer.Option("--redraw/--no-redraw", help="random and softmax: draw anew at every epoch.")
    ] = True,
    alpha: AlphaOption = 0.75,
    temperature: TemperatureOption = 1.0,
    similarity: SimilarityOption = "runs",
    lora_rank: Annotated[
        int, typer.Option(min=1, max=1024, help="Of the adapter, which is on all linear layers.")
    ] = 16,
    full: Annotated[bool, typer.Option("--full", help="Train every weight, and save a whole model.")] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the prompts.")] = 3,
    batch_prompts: Annotated[int, typer.Option(min=1, help="Prompts in a step, each with its responses.")] = 8,
    accumulate: Annotated[
        int,
        typer.Option(min=1, help="Run a step in so many parts, one after the other: less memory, the same result."),
    ] = 1,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate. Above 50 million weights the default is convention, not tuned here.",
            show_default="1e-3 for a small model, else 2e-4; with --full 3e-4, 2e-5",
        ),
    ] = None,
    normalisation: Annotated[
        str, typer.Option(help="token: long responses weigh more, as in TRL. response: all weigh the same.")
    ] = "token",
    max_length: Annotated[
        int | None,
        typer.Option(
            help="Leave out responses longer than so many tokens with their prompt.",
            show_default="what the model can read",
        ),
    ] = None,
    eval_share: Annotated[float, typer.Option(help="Share of the prompts that is held out and measured.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped or killed.")] = False,
    device: DeviceOption = "auto",
    prompt_column: PromptColumn = "prompt",
    response_column: ResponseColumn = "response",
    score_column: ScoreColumn = "score",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Multi-response training: learn from several responses to each prompt at once.

    A prompt runs through the model once, its K responses as branches; gradients are those of K copies. Some prompts
    are held out and measured before and after. In the folder: the adapter, report.html, which opens offline, and
    run.json with every number. Stop it with Ctrl-C, or lose power: the same command with --resume goes on. Several
    cards: torchrun --nproc-per-node 4 -m mrtlab train mrt …, or accelerate launch; the result is that of one.
    """
    choice = choice_of(rule, k, alpha, temperature, similarity)
    if normalisation not in ("token", "response"):
        fail(f"--normalisation is {normalisation!r}; it must be token or response", 2)
    records = records_of(data, prompt_column, response_column, score_column)
    chosen_by(records, data, choice, seed)  # a rule that cannot work shall say so before a model is loaded
    lm_needed("accelerate", *([] if full else ["peft"]))
    from mrtlab.training.fine_tune import Settings, fine_tune

    try:
        settings = Settings(
            choice=choice,
            redraw=redraw,
            lora_rank=None if full else lora_rank,
            epochs=epochs,
            batch_prompts=batch_prompts,
            accumulate=accumulate,
            lr=lr,
            normalisation=normalisation,
            max_length=max_length,
            seed=seed,
            eval_share=eval_share,
        )
    except ValueError as error:
        fail(as_option(str(error), _OPTIONS), 2)
    base = base_name(model)
    source = {"file": str(data), "sha256": sha256_of(data)}
    processes = joined(device)
    if processes.main:
        check_folder(out, settings, base, source, resume)
    if processes.sharded:  # from the CPU a part to each card; products are in accelerate's mixed_precision
        network, tokenizer = loaded(model, "cpu", "float32")
    else:
        network, tokenizer = loaded(model, device, "float32" if full else "auto")
    command = command_line()
    with told(data, out, command, options=_OPTIONS, memory="raise --accumulate, or lower --k or --max-length"):
        with stoppable() as stopped, watching(stopped) as watch:
            results = fine_tune(
                network, tokenizer, records, out, settings=settings, base=base, source=source, watch=watch
            )
        if processes.main:
            _report(out, results, command)
    if as_json:
        content = {"folder": str(out), "report": str(out / REPORT)} | results
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(out, results)


def as_option(message: str, names: Sequence[str]) -> str:
    """A message with the names of settings as the command line spells them."""
    for name in names:
        message = message.replace(name, f"--{name.replace('_', '-')}")
    return message


@contextmanager
def told(data: Path, out: Path, command: str, *, options: Sequence[str], memory: str) -> Iterator[None]:
    """Whatever may end a run early, as one sentence with a remedy, and what to do to go on.

    Args:
        data: what is learned from.
        out: folder of the run.
        command: as it was typed.
        options: settings whose names messages may hold.
        memory: what to do if the GPU's is too small.
    """
    from mrtlab.training.folder import RUN

    again = command if "--resume" in shlex.split(command) else f"{command} --resume"
    try:
        yield
    except ValueError as error:
        fail(as_option(f"{data}: {error}", options), 2)
    except OSError as error:
        kept = "; what was done is kept: make room, then repeat the command with --resume" if out.is_dir() else ""
        fail(f"cannot write to {out}: {error.strerror or error}{kept}", 1)
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        fail(f"the GPU's memory is too small for these settings: {memory}", 1)
    except KeyboardInterrupt:
        if not (out / RUN).is_file():
            fail(f"stopped before anything was kept; to begin anew: {command}", STOPPED)
        how = "" if launched()[1] == 1 else ", on as many processes as you like"
        fail(f"stopped. What was done is kept in {out}; to go on{how}: {again}", STOPPED)


def sha256_of(path: Path) -> str:
    """The fingerprint of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_folder(out: Path, settings: Any, base: str, source: dict[str, str], resume: bool) -> None:
    """Leave if the folder holds something else, or another run than the one asked for."""
    from mrtlab.data.records import RecordError
    from mrtlab.training.folder import read_run

    if not out.parent.is_dir():
        fail(f"cannot write to {out}: there is no folder {out.parent}", 1)
    if out.exists() and not out.is_dir():
        fail(f"cannot write to {out}: it is a file; give the name of a folder", 1)
    try:
        found = read_run(out)
    except RecordError as error:
        fail(f"{error} Delete the folder {out}, or give another", 2)
    try:  # now, not after everything was measured
        with tempfile.TemporaryFile(dir=out if out.is_dir() else out.parent):
            pass
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror}", 1)
    if found is None:
        if out.is_dir() and any(out.iterdir()):
            fail(f"{out} is not empty and holds no run of this command: give the name of another folder", 2)
        return
    if "after" in found:
        fail(f"{out} holds a finished run: look at {out / REPORT}, or give another folder to train afresh", 2)
    if not resume:
        fail(f"{out} holds a run that was stopped: add --resume to go on, or give another folder", 2)
    now = {"settings": asdict(settings), "base": base, "data": source["sha256"]}
    older = {"accumulate": 1}  # what a run meant that was begun before there was a choice
    then = {"settings": older | found["settings"], "base": found["base"], "data": found["source"]["sha256"]}
    for name in now["settings"]:
        if now["settings"][name] != then["settings"].get(name):
            was, wanted = then["settings"].get(name), now["settings"][name]
            fail(f"{out} holds a run with another {name}, {was} instead of {wanted}: repeat its options to go on", 2)
    if now["base"] != then["base"]:
        fail(f"{out} holds a run from the model {then['base']}: go on with that, or give another folder", 2)
    if now["data"] != then["data"]:
        fail(f"{source['file']} is not the file that the run in {out} began with: give another folder", 2)


@contextmanager
def watching(stopped: Any) -> Iterator[Any]:
    """A bar on a terminal, a line now and then in a log file; notes as sentences. All on standard error."""
    from mrtlab.training.watch import Watch

    console = Console(stderr=True)

    def note(sentence: str) -> None:
        typer.echo(f"Note: {sentence}", err=True)

    if not console.is_terminal:
        lines = _Lines()
        yield Watch(step=lines.step, measuring=lines.measuring, note=note, stopped=stopped)
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.fields[what]}"),
        bars.BarColumn(bar_width=12),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.description}"),
    )
    with bars.Progress(*columns, console=console) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, of: int, description: str = "") -> None:
            if what not in tasks:
                tasks[what] = bar.add_task("", total=of, what=what)
            bar.update(tasks[what], completed=done, total=of, description=description)

        def measuring(name: str, done: int, of: int) -> None:
            when = "after" if "training" in tasks else "before"
            show(f"{when}, {name.replace('_', '-')}", done, of)

        yield Watch(
            step=lambda step: show("training", step.step, step.steps, _numbers(step)),
            measuring=measuring,
            note=lambda sentence: bar.console.print(f"Note: {sentence}", markup=False, highlight=False),
            stopped=stopped,
        )


_SETS = {"held_out": "held-out prompts", "train": "training prompts"}


class _Lines:
    """Progress for a log file."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def step(self, step: "Step") -> None:
        """A line now and then, and one at the end."""
        if time.monotonic() - self.last >= _LINE_S or step.step == step.steps:
            self.last = time.monotonic()
            typer.echo(f"step {step.step}/{step.steps}, {_numbers(step)}", err=True)

    def measuring(self, name: str, done: int, of: int) -> None:
        """A line for each set of prompts."""
        if done == of:
            typer.echo(f"measured {of:,} {_SETS.get(name, name)}", err=True)


def _numbers(step: "Step") -> str:
    left = f"{step.seconds_left / 60:.0f} min" if step.seconds_left > 90 else f"{step.seconds_left:.0f} s"
    loss = "" if step.loss is None else f"loss {step.loss:.3f}, "
    return f"{loss}{step.rate:,.1f} prompts/s, {left} left"


def _report(out: Path, results: dict[str, Any], command: str) -> None:
    from mrtlab.lab.artifacts import write_whole
    from mrtlab.show.training_report import training_report

    page = training_report(results, command=command, then=_then(out, results))
    write_whole(out / REPORT, page)


def _then(out: Path, results: dict[str, Any]) -> list[str]:
    """What to do with the result: commands that work as they stand."""
    from mrtlab.training.fine_tune import HELD_OUT

    name = shlex.quote(str(out))
    example = results["before"]["held_out" if results["prompts"]["held_out"] else "train"]["examples"][0]["prompt"]
    said = []
    if isinstance(example, str) and len(example) <= 80 and "\n" not in example:
        said.append(f"mrtlab sample {shlex.quote(example)} --n 50 --model {name}")
    data = (
        shlex.quote(str(out / HELD_OUT)) if results["prompts"]["held_out"] else shlex.quote(results["source"]["file"])
    )
    return [*said, f"mrtlab evaluate --data {data} --model {name}"]


def _print(out: Path, results: dict[str, Any]) -> None:
    from mrtlab.show.sheet import CHANGE_COLUMNS, change_rows
    from mrtlab.show.training_report import CHANGE_LABELS, headline

    typer.echo(headline(results))
    for name, change in results["change"].items():
        if name == "train" and "held_out" in results["change"]:
            continue
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in CHANGE_COLUMNS:
            table.add_column(column)
        for row in change_rows(change, CHANGE_LABELS):
            table.add_row(*row)
        typer.echo(f"{results['prompts'][name]:,} {_SETS[name]}, means with 95 % intervals over prompts")
        Console(highlight=False).print(table)
    typer.echo(f"Saved:  {out}")
    typer.echo(f"Report: {out / REPORT}")
    for command in _then(out, results):
        typer.echo(f"Next:   {command}")
