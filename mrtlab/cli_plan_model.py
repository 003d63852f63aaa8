"""`mrtlab plan --model`: measure losses and gradients of a file's responses, then plan for both side by side."""

import csv
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import check_place, command_line, fail, lm_needed, loaded, records_of, write_page

if TYPE_CHECKING:
    from mrtlab.show.model_study import ModelStudy
    from mrtlab.show.study import Prices

_LINE_S = 10.0  # between two lines of progress in a log file


@dataclass(frozen=True)
class Measuring:
    """Options that mean something with a model only, named as on the command line."""

    response_column: str = "response"
    normalisation: str = "token"
    weights: str = "auto"
    measure_prompts: int = 200
    measure_responses: int = 8
    seed: int = 0
    device: str = "auto"

    def first_changed(self) -> str:
        """The first option that was given another value, such as "--weights"."""
        name = next(field.name for field in fields(self) if getattr(self, field.name) != field.default)
        return f"--{name.replace('_', '-')}"


def holds(path: Path, value: str, response: str) -> str | None:
    """Whether a file's first line has "losses" or "responses"; None if it has both, neither, or cannot be read."""
    from mrtlab.data.records import RecordError
    from mrtlab.data.records_io import read_jsonl

    try:
        if path.suffix.lower() in (".csv", ".tsv"):
            with path.open(encoding="utf-8-sig", newline="") as file:
                line = file.readline(10_000)
            names = {name.strip().lower() for name in next(csv.reader([line.replace(";", ",").replace("\t", ",")]))}
        else:
            names = {*next(read_jsonl(path))[1]}
    except (RecordError, OSError, UnicodeDecodeError, csv.Error, StopIteration):
        return None
    found = [
        what
        for what, field in (("losses", value), ("responses", response))
        if names & {field, f"{field}s", field.lower()}
    ]
    return found[0] if len(found) == 1 else None


def plan_with_model(
    data: Path,
    model: str,
    prompt_column: str,
    prices: "Prices | None",
    limits: dict[str, Any],
    measuring: Measuring,
    *,
    report: Path | None,
    as_json: bool,
) -> None:
    """Read, measure, plan, print.

    Args:
        data: records.
        model: its name.
        prompt_column: the field with the prompt.
        prices: None for tokens.
        limits: `copies`, `budget`, `max_k` and `max_prompts` of `mrtlab.show.model_study.model_study`.
        measuring: how.
        report, as_json: what to write.
    """
    _check(measuring)
    if not data.is_file():
        fail(f"{data}: there is no such file. Check the name and the folder.", 2)
    if report:
        check_place(report)
    records = records_of(data, prompt_column, measuring.response_column, "score")
    lm_needed(*(["peft"] if measuring.weights == "lora" else []))
    from mrtlab.show.model_study import model_study
    from mrtlab.training.variances import check_enough, measure_variances

    try:
        check_enough(records)  # before a model is loaded
        network, tokenizer = loaded(model, measuring.device)
        with _progress() as step:
            variances = measure_variances(
                network,
                tokenizer,
                records,
                normalisation=measuring.normalisation,
                weights=measuring.weights,
                max_prompts=measuring.measure_prompts,
                max_responses=measuring.measure_responses,
                seed=measuring.seed,
                report=step,
            )
        study = model_study(variances, records, model=model, source=str(data), prices=prices, **limits)
    except ValueError as error:
        fail(f"{data}: {error}", 2)
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        fail("the GPU's memory is too small for these gradients: try --weights lora, or shorter responses", 1)
    if report:
        from mrtlab.show.model_study_report import model_study_report

        write_page(report, model_study_report(study, command=command_line()))
    if as_json:
        content = study.as_json() | {"report": str(report) if report else None}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
        return
    _print(study)
    if report:
        typer.echo(f"Report: {report}")


def _check(measuring: Measuring) -> None:
    """Leave if a choice is none of those that there are."""
    choices = {"normalisation": ("token", "response", "prompt"), "weights": ("auto", "all", "lora")}
    for name, known in choices.items():
        given = getattr(measuring, name)
        if given not in known:
            fail(f"--{name} is {given!r}; it must be {', '.join(known[:-1])} or {known[-1]}", 2)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, a line now and then in a log file; both on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        last = time.monotonic()

        def line(done: int, of: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _LINE_S:
                last = time.monotonic()
                typer.echo(f"measured {done:,} of {of:,} responses", err=True)

        yield line
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("responses"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, total=of, completed=done)


def _print(study: "ModelStudy") -> None:
    """Where it is from, the advice, both plans side by side, what was measured, remarks."""
    from mrtlab.show.model_study import CHOICE_COLUMNS, MEASURED_COLUMNS

    console = Console(highlight=False)

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, soft_wrap=not console.is_terminal)

    for fact in study.facts:
        say(fact)
    say(f"\n{study.headline}", "bold")
    say(f"{study.comparison}\n")
    say("How much more variance each K has than the best:")
    choices = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    for name in CHOICE_COLUMNS:
        choices.add_column(name, justify="right", no_wrap=True)
    for row in study.choices:
        choices.add_row(*row, style="bold" if row[0] == str(study.gradient.plan.k) else None)
    console.print(choices)
    say("Measured, with 95 % intervals over prompts. Units differ; what counts is V_y|x / V_x:")
    measured = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    for name in MEASURED_COLUMNS:
        measured.add_column(name)
    for row in study.measured:
        measured.add_row(*row)
    console.print(measured)
    for remark in study.remarks:
        say(f"Note: {remark}", "yellow")
