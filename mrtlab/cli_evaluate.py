"""The command `mrtlab evaluate`: how far a model is from what it should say, in exact numbers where that can be."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import command_line, examples, fail, lm_needed, loaded, shown
from mrtlab.cli_lm import DeviceOption, ModelOption

if TYPE_CHECKING:
    from mrtlab.lm.gate import Check
    from mrtlab.lm.listed import Listed

EXAMPLES = examples(
    "mrtlab evaluate --family fruits --family numbers",
    "mrtlab evaluate --data answers.jsonl --model Qwen/Qwen3-0.6B --report answers.html",
)
_SHOWN = 20  # prompts of a file that are printed


def evaluate(
    model: ModelOption = "embedded",
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="A family of questions with a known truth; give it again for more, or all.", show_default="all"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help='Instead: a .jsonl file with lines like {"prompt": "Name a fruit.", "responses": ["kiwi", "plum"]}.',
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="held_out: wordings, ranges and slots that pre-training never used. train: those it did."),
    ] = "held_out",
    n_questions: Annotated[int, typer.Option(min=1, help="Questions of each family, and of each kind of fact.")] = 24,
    seed: Annotated[int, typer.Option(help="Which questions, and all draws.")] = 0,
    gate: Annotated[
        bool, typer.Option("--gate", help="Check what the embedded model must fulfil; exit code 3 if it does not.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Also write an HTML page with figures, which opens offline.", show_default=False)
    ] = None,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a model with the truth: on families whose right answers are known, or on answers of your own.

    For families: mass on right answers, KL and total variation from the true law, how even the answers are, programs
    that pass their tests, facts. For a file: the exact probability of every response that it lists.
    """
    if data is not None:
        if family or gate:
            fail("--data does not go together with --family or --gate: evaluate them one after the other", 2)
        _evaluate_file(data, model, seed, device, report, as_json)
        return
    if split not in ("train", "held_out"):
        fail(f"--split is {split!r}; it must be train or held_out", 2)
    names = _families(family, gate)
    network, tokenizer = loaded(model, device)
    from mrtlab.lm.gate import gate as judge
    from mrtlab.lm.gate import passed
    from mrtlab.lm.survey import survey

    with _progress() as step:
        results = survey(
            network, tokenizer, families=names, n_questions=n_questions, split=split, seed=seed, report=step
        )
    checks = judge(results) if gate else []
    if report:
        from mrtlab.show.evaluation_report import families_report

        _write(report, families_report(results, checks, model=model, command=command_line()))
    if as_json:
        extra = {"gate": [vars(check) for check in checks]} if gate else {}
        content = {"model": model, "report": str(report) if report else None} | results | extra
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print_families(results)
        if gate:
            _print_gate(checks)
        if report:
            typer.echo(f"Report: {report}")
    if gate and not passed(checks):
        raise typer.Exit(3)


def _families(given: list[str] | None, gate: bool) -> list[str]:
    """Names of families, or one sentence on the one that does not exist."""
    from mrtlab.data.tasks import FAMILIES
    from mrtlab.lab.names import UnknownName

    if not given or "all" in given:
        return list(FAMILIES)
    if gate:
        fail("--gate looks at all families: leave out --family", 2)
    for name in given:
        if name not in FAMILIES:
            fail(str(UnknownName("family", name, FAMILIES)), 2)
    return list(dict.fromkeys(given))


@contextmanager
def _progress(unit: str = "families") -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal, a line per step in a log file; both on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:

        def line(name: str, done: int, of: int) -> None:
            if name:
                typer.echo(f"{done + 1}/{of} {name}", err=True)

        yield line
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda name, done, of: bar.update(task, total=of, completed=done, description=name or unit)


def _write(path: Path, page: str) -> None:
    """Write the HTML page, all of it or nothing."""
    from mrtlab.lab.artifacts import write_whole

    if not path.parent.is_dir():
        fail(f"cannot write {path}: there is no folder {path.parent}", 1)
    try:
        write_whole(path, page)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}", 1)


def _print_families(results: dict[str, Any]) -> None:
    """The families in one table, then programs, facts and calibration where there are any."""
    from mrtlab.show.evaluation import COLUMNS, calibration_rows, facts_rows, family_rows, programs_rows

    where = "held-out questions" if results["design"]["split"] == "held_out" else "questions as in training"
    _table(f"{where}, mean and 95 % interval over questions; KL in nats", COLUMNS, family_rows(results))
    if "programs" in results:
        tries = results["programs"]["tries"]
        _table(
            f"programs that pass, of {tries} drawn for each question", ("k", "pass@k", "95 %"), programs_rows(results)
        )
    if "facts" in results:
        columns = ("facts", "questions", "right", "95 %", "nats of the right answer")
        _table("facts, by the likeliest words", columns, facts_rows(results))
    if results["calibration"]:
        columns = ("model gives", "answers", "model, mean", "truth, mean")
        _table(
            "calibration of listed answers: what the model gives, what the truth gives",
            columns,
            calibration_rows(results),
        )


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    typer.echo(title)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, name in enumerate(columns):
        table.add_column(name, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def _print_gate(checks: "Sequence[Check]") -> None:
    from mrtlab.lm.gate import passed

    rows = [(check.name, check.wanted, check.found, "yes" if check.passed else "NO") for check in checks]
    _table("the gate", ("check", "wanted", "found", "holds"), rows)
    failed = sum(not check.passed for check in checks)
    typer.echo("The gate is passed." if passed(list(checks)) else f"{failed} of {len(checks)} checks do not hold.")


def _evaluate_file(data: Path, model: str, seed: int, device: str, report: Path | None, as_json: bool) -> None:
    """Exact probabilities of the responses that a file lists."""
    from mrtlab.data.records import RecordError
    from mrtlab.data.records_io import load_records

    try:
        records = load_records(data)
    except RecordError as error:
        fail(str(error), 2)
    lm_needed()
    network, tokenizer = loaded(model, device)
    from mrtlab.lm.listed import listed_numbers, score_listed

    asked = [(record.prompt, record.responses, record.targets) for record in records]
    try:
        with _progress("prompts") as step:
            rows = score_listed(network, tokenizer, asked, report=lambda done, of: step("", done, of))
    except ValueError as error:
        fail(f"{data}: {error}", 2)
    numbers = listed_numbers(rows, seed=seed)
    if report:
        from mrtlab.show.evaluation_report import listed_report

        command = command_line()
        _write(report, listed_report(rows, numbers, model=model, source=str(data), command=command))
    if as_json:
        content = {
            "model": model,
            "data": str(data),
            "report": str(report) if report else None,
            "numbers": numbers,
            "prompts": [_listed_json(row) for row in rows],
        }
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
        return
    _print_listed(data, rows, numbers)
    if report:
        typer.echo(f"Report: {report}")


def _listed_json(row: "Listed") -> dict[str, Any]:
    prompt = row.prompt if isinstance(row.prompt, str) else [dict(message) for message in row.prompt]
    responses = [{"text": text, "logp": float(logp)} for text, logp in zip(row.responses, row.logp, strict=True)]
    return {"prompt": prompt, "mass": row.mass, "entropy": row.entropy, "kl": row.kl, "responses": responses}


def _print_listed(data: Path, rows: "Sequence[Listed]", numbers: dict[str, list[float]]) -> None:
    from mrtlab.show.evaluation import LISTED_COLUMNS, listed_number_rows, listed_rows

    total = sum(len(row.responses) for row in rows)
    _table(
        f"{data}: {len(rows)} prompts, {total} different responses",
        ("measured", "mean", "95 %"),
        listed_number_rows(numbers),
    )
    some = "" if len(rows) <= _SHOWN else f" (the first {_SHOWN}; --json has all)"
    cells = [[shown(cell) for cell in row] for row in listed_rows(rows[:_SHOWN])]
    _table(f"prompt by prompt{some}", LISTED_COLUMNS, cells)
