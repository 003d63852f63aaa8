"""The `mrtlab` command. Results go to standard output, progress and errors to standard error.

Exit codes: 0 done, 1 something is missing on this machine, 2 the request was not understood, 3 a model did not pass
the gate it was put to, 130 stopped by Ctrl-C.
Heavy imports sit inside the commands, so that `mrtlab --help` answers at once.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

import mrtlab
from mrtlab.cli_common import examples as _examples
from mrtlab.cli_common import fail as _fail
from mrtlab.cli_common import one_voice as _one_voice
from mrtlab.cli_common import only_train as _only_train
from mrtlab.cli_diffuse import EXAMPLES as _DIFFUSE_EXAMPLES
from mrtlab.cli_diffuse import diffuse
from mrtlab.cli_estimate import EXAMPLES as _ESTIMATE_EXAMPLES
from mrtlab.cli_estimate import estimate
from mrtlab.cli_evaluate import EXAMPLES as _EVALUATE_EXAMPLES
from mrtlab.cli_evaluate import evaluate
from mrtlab.cli_lm import MODELS_EXAMPLES, PRETRAIN_EXAMPLES, SAMPLE_EXAMPLES, models, pretrain, sample
from mrtlab.cli_plan import EXAMPLES as _PLAN_EXAMPLES
from mrtlab.cli_plan import plan
from mrtlab.cli_select import EXAMPLES as _SELECT_EXAMPLES
from mrtlab.cli_select import select
from mrtlab.cli_spa import spa
from mrtlab.cli_targets import targets
from mrtlab.cli_train import train

if TYPE_CHECKING:
    from mrtlab.lab.artifacts import Artifact
    from mrtlab.lab.claims import Entry
    from mrtlab.lab.experiments import Progress, TimeUp


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Experiments on training language models when a prompt has many right answers.",
    epilog=_examples("mrtlab run mode_lottery --scale smoke", "mrtlab claims MRT-05"),
)


def main() -> None:
    """Entry point of the `mrtlab` command."""
    with _one_voice():
        _only_train(sys.argv[1:])
        app(prog_name="mrtlab")


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"mrtlab {mrtlab.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog=_examples("mrtlab run mode_lottery --scale smoke", "mrtlab run callings_grid --scale full --seconds 540")
)
def run(
    experiment: Annotated[
        str | None, typer.Argument(help="Name of the experiment. Leave it out to see them all.")
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            envvar="MRTLAB_SCALE",
            help="smoke: seconds, to see that it works. book: what the book shows. full: hours, or a GPU.",
        ),
    ] = "book",
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side. Results do not depend on it.")] = 1,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.01, help="Begin no cell later than this; the same command goes on from there.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results and verdicts as JSON.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Show the experiments and leave.")] = False,
) -> None:
    """Run an experiment and save its results, with where they came from.

    Stop it with Ctrl-C at any moment: the same command goes on from there. Experiments of chapters 6 to 8 are about the
    embedded model, on the CPU. MRTLAB_MODEL names another, a folder or a Hugging Face name, for scales smoke and full;
    MRTLAB_DEVICE is auto, cpu or cuda.
    """
    from mrtlab.lab import artifacts, experiments
    from mrtlab.lab.names import UnknownName

    if experiment is None or list_all:
        _list_experiments(as_json)
        return
    experiment = experiment.replace("-", "_")
    again = f"mrtlab run {experiment} --scale {scale}" + (f" --jobs {jobs}" if jobs > 1 else "")
    again += f" --seconds {seconds:g}" if seconds else ""
    try:
        with _progress(experiment, scale) as report:
            artifact = experiments.run(experiment, scale, jobs=jobs, seconds=seconds, progress=report)
    except (UnknownName, experiments.WrongSubject) as error:
        _fail(str(error), 2)
    except experiments.TimeUp as over:
        _print_left(over, experiments.cells_dir(experiment, scale), again, as_json)
        return
    except (experiments.MissingPackage, experiments.MissingInput, experiments.WorkerDied) as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"cannot write results: {error}", 1)
    except KeyboardInterrupt:
        kept = experiments.cells_dir(experiment, scale)
        _fail(f"stopped. Finished cells are kept in {kept}; to go on: {again}", 130)
    path = artifacts.artifact_path(experiment, scale)
    judged = _judge(artifact)
    if as_json:
        content = asdict(artifact) | {"artifact": str(path), "verdicts": [_entry_json(e) for e in judged]}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    _print_results(artifact, judged)
    typer.echo(f"Artifact: {path}")
    typer.echo(f"Cells:    {experiments.cells_dir(experiment, scale)} (delete the folder to run afresh)")


@app.command(epilog=_examples("mrtlab claims", "mrtlab claims MRT-05 --json"))
def claims(
    claim: Annotated[
        str | None, typer.Argument(help="Id of a claim, such as MRT-05. Leave it out to see the ledger.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the ledger: what papers claim, how it is tested here, and what came out.

    Verdicts come from rules that were written down before the runs.
    """
    from mrtlab.lab import claims as ledger
    from mrtlab.lab.names import UnknownName

    try:
        entries = ledger.ledger() if claim is None else [ledger.entry(ledger.find(claim))]
    except UnknownName as error:
        _fail(str(error), 2)
    except ValueError as error:
        _fail(str(error), 1)
    if as_json:
        content = [_entry_json(entry) for entry in entries]
        typer.echo(json.dumps(content if claim is None else content[0], indent=2, ensure_ascii=False))
    elif claim is None:
        _print_ledger(entries)
    else:
        _print_claim(entries[0])


app.command(epilog=_PLAN_EXAMPLES)(plan)
app.command(epilog=_SELECT_EXAMPLES)(select)
app.command(epilog=_ESTIMATE_EXAMPLES)(estimate)
train.command(epilog=_DIFFUSE_EXAMPLES)(diffuse)
app.add_typer(train, name="train")
app.add_typer(targets, name="targets")
app.add_typer(spa, name="spa")
app.command(epilog=MODELS_EXAMPLES)(models)
app.command(epilog=SAMPLE_EXAMPLES)(sample)
app.command(epilog=_EVALUATE_EXAMPLES)(evaluate)
app.command(epilog=PRETRAIN_EXAMPLES)(pretrain)


def _list_experiments(as_json: bool) -> None:
    """What can be run, and which artifacts exist."""
    from mrtlab.lab import artifacts, experiments

    made = {
        name: [s for s in experiments.SCALES if artifacts.artifact_path(name, s).is_file()]
        for name in experiments.EXPERIMENTS
    }
    if as_json:
        listed = [
            {"name": e.name, "purpose": e.purpose, "needs": e.needs, "artifacts": made[e.name]}
            for e in experiments.EXPERIMENTS.values()
        ]
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    table = Table("experiment", "question", "done at", box=box.SIMPLE_HEAD)
    for entry in experiments.EXPERIMENTS.values():
        table.add_row(entry.name, entry.purpose, ", ".join(made[entry.name]) or "not yet")
    Console().print(table)
    typer.echo("Start one with: mrtlab run EXPERIMENT --scale smoke")


@contextmanager
def _progress(experiment: str, scale: str) -> Iterator[Callable[["Progress"], None]]:
    """A bar on a terminal, a line per cell in a log file; both on standard error, both with the time left."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LogLines()
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, speed_estimate_period=600) as bar:
        task = bar.add_task(f"{experiment}, {scale} scale", total=None)

        def report(event: "Progress") -> None:
            bar.update(task, total=event.total)
            if event.reused:  # took no time, so it must not count as speed
                bar.reset(task, total=event.total, completed=event.done)
            else:
                bar.update(task, completed=event.done)

        yield report


_NO_PART = {
    "smoke": "smoke scale is only a trial",
    "book": "book scale is no part of this verdict",
    "full": "full scale is no part of the ledger's verdict",
}


class _LogLines:
    """Progress for a log file: "12/200 120x8-final-seed0 2.1 s, about 7 min left"."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.fresh = 0

    def __call__(self, event: "Progress") -> None:
        """Write one line."""
        line = f"{event.done}/{event.total} {event.label} "
        if event.reused:
            line += "kept from before"
        else:
            self.fresh += 1
            left = (time.monotonic() - self.start) / self.fresh * (event.total - event.done)
            line += f"{event.wall_s:.1f} s, about {left / 60:.0f} min left"
        typer.echo(line, err=True)


def _judge(artifact: "Artifact") -> list["Entry"]:
    """Verdicts of the claims that read this experiment, computed on this artifact whatever its scale."""
    from mrtlab.lab import claims as ledger

    return [ledger.judge(c, artifact) for c in ledger.CLAIMS if c.experiment == artifact.experiment]


def _print_left(over: "TimeUp", kept: Path, again: str, as_json: bool) -> None:
    """How much is left when the seconds are over. There is no artifact yet."""
    if as_json:
        typer.echo(json.dumps({"artifact": None, "done": over.done, "total": over.total, "again": again}, indent=2))
        return
    left = over.total - over.done
    typer.echo(
        f"The time is over: {over.done} of {over.total} cells are finished and kept in {kept}. {left} "
        f"{'is' if left == 1 else 'are'} left, and the artifact is written with the last; to go on: {again}"
    )


def _print_results(artifact: "Artifact", judged: list["Entry"]) -> None:
    """Headline table and verdicts."""
    from mrtlab.lab import experiments, subject

    headline = experiments.find(artifact.experiment).load().table(artifact.results)
    if (about := subject.told(artifact.provenance)) and not about.embedded:
        typer.echo(f"About {about}, on {about.device}.")
    typer.echo(headline.title)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in headline.columns:
        table.add_column(column, no_wrap=True)
    for row in headline.rows:
        table.add_row(*row)
    Console().print(table)
    for entry in judged:
        typer.echo(f"{entry.claim.id} {entry.claim.title}: {entry.outcome} ({entry.scope})")
        if entry.verdict:
            typer.echo(f"  measured: {entry.verdict.measured}")
        if artifact.scale != entry.claim.scale:
            typer.echo(f"  {_NO_PART[artifact.scale]}; the ledger reads {entry.claim.scale} scale")


def _print_ledger(entries: list["Entry"]) -> None:
    """One row per claim."""
    table = Table("claim", "in a few words", "verdict", "scope", box=box.SIMPLE_HEAD)
    for entry in entries:
        style = None if entry.verdict else "dim"
        table.add_row(entry.claim.id, entry.claim.title, entry.outcome, entry.claim.scope, style=style)
    Console().print(table)
    judged = [entry for entry in entries if entry.verdict]
    example = (judged or entries)[0].claim.id
    typer.echo(f"{len(judged)} of {len(entries)} claims judged so far. Read one with: mrtlab claims {example}")


def _print_claim(entry: "Entry") -> None:
    """Everything about one claim."""
    from rich.padding import Padding

    console = Console(highlight=False)
    claim = entry.claim
    console.print(f"{claim.id}  {claim.title}", style="bold")
    lines = {"Claim": claim.statement, "Test": claim.test, "Scope": claim.scope, "Verdict": entry.outcome}
    if entry.verdict:
        lines["Measured"] = entry.verdict.measured
    if entry.remark:
        lines["Remark, written after the run and no part of the verdict"] = entry.remark
    if entry.artifact:
        lines["Artifact"] = entry.artifact
        lines["Command"] = f"mrtlab run {claim.experiment} --scale {claim.scale}"
    for name, text in lines.items():
        console.print(name, style="dim")
        console.print(Padding(text, (0, 0, 0, 2)), markup=False)


def _entry_json(entry: "Entry") -> dict[str, Any]:
    """A ledger entry for programs."""
    claim, verdict = entry.claim, entry.verdict
    return {
        "id": claim.id,
        "paper": claim.paper,
        "chapter": claim.chapter,
        "title": claim.title,
        "statement": claim.statement,
        "test": claim.test,
        "scope": entry.scope,
        "experiment": claim.experiment or None,
        "scale": claim.scale if claim.experiment else None,
        "artifact": entry.artifact or None,
        "status": entry.status,
        "verdict": asdict(verdict) if verdict else None,
        "remark": entry.remark or None,
    }


if __name__ == "__main__":
    main()
