"""The commands `mrtlab targets …`: make a targets file, look at one, and let a model find its own."""

import json
import math
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import counted, examples, fail, lm_needed, loaded, shown
from mrtlab.cli_lm import DeviceOption, ModelOption

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mrtlab.data.discover import Discovery
    from mrtlab.data.targets import Target, Targets

DISCOVER_EXAMPLES = examples(
    'mrtlab targets discover "Name a fruit." --n 500 --temperature 1.5 --out fruits.json',
    "mrtlab targets discover \"Pick a number from 1 to 10.\" --valid '[1-9]|10' --out numbers.json --force",
)
CHECK_EXAMPLES = examples(
    "mrtlab targets check targets.json", "mrtlab targets check fruits.json --model my-adapter --n 1000"
)
MAKE_EXAMPLES = examples(
    "mrtlab targets make --family fruits --family numbers --prompts 2 --measure 6 --out targets.json",
    "mrtlab targets make --set paper --out paper.json",
)
_SHOWN = 30  # prompts in a table
_USES = {"train": "train", "measure": "asked"}  # short, so that the table fits into 80 columns
_MOST = 1000  # questions of a family: more would take long to be found

OutOption = Annotated[Path, typer.Option(help="The targets file to write.", show_default=False)]
ForceOption = Annotated[bool, typer.Option("--force", help="Write over the file if it exists.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

targets = typer.Typer(no_args_is_help=True, help="Make and check targets files: what should come how often.")


@targets.callback()
def _group() -> None:
    pass


@targets.command(epilog=DISCOVER_EXAMPLES)
def discover(
    prompts: Annotated[list[str], typer.Argument(help="What to ask; several prompts make several targets.")],
    out: OutOption,
    model: ModelOption = "embedded",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Draws for each prompt.")] = 500,
    temperature: Annotated[float, typer.Option(help="Above 1 the model names rarer things, and more nonsense.")] = 1.5,
    valid: Annotated[
        str | None, typer.Option(help="A pattern (Python's re) that the whole of a valid answer matches.")
    ] = None,
    valid_list: Annotated[
        Path | None, typer.Option(help="Instead: a text file with the valid answers, one on each line, in any case.")
    ] = None,
    least: Annotated[int, typer.Option(min=1, help="Leave out answers drawn less often; nonsense is rare, too.")] = 2,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longer answers are cut here.")] = 32,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    device: DeviceOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a model find its own list: draw often at a high temperature, sort out spellings, check, and write a file.

    Answers that differ only in letter case, quotation marks or a full stop become one answer with variants. All that
    pass are given the same probability. Read the file before you train on it: it is yours to edit.
    """
    _check_out(out, force)
    if not 0 < temperature < math.inf:
        fail(f"--temperature must be above 0 and finite, got {temperature:g}", 2)
    if not all(prompt.strip() for prompt in prompts):
        fail("a prompt is blank: say what to ask", 2)
    check = _validator(valid, valid_list)
    lm_needed()
    network, tokenizer = loaded(model, device)
    from mrtlab.data.discover import discover as sort
    from mrtlab.lm.sampling import Sampler, sample

    found: list[tuple[str, Discovery]] = []
    for prompt in dict.fromkeys(prompts):  # twice the same would make a file with one prompt in two entries
        try:
            said = sample(
                network,
                tokenizer,
                [prompt],
                n=n,
                seed=seed,
                sampler=Sampler(temperature=temperature),
                max_new_tokens=max_new_tokens,
            )[0]
        except ValueError as error:
            fail(str(error), 2)
        found.append((prompt, sort(said, valid=check, least=least)))
        typer.echo(f"{len(found[-1][1].kept):,} answers to {prompt!r}", err=True)
    entries = [_entry(prompt, one, valid, n, temperature) for prompt, one in found]
    _write(out, entries)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "targets": entries}, indent=2, ensure_ascii=False))
        return
    for prompt, one in found:
        typer.echo(f"{prompt}  {len(one.kept)} answers kept, {len(one.rare)} too rare, {len(one.rejected)} not valid")
        _answers(one)
    typer.echo(f"Written: {out}. Read it, and leave out what is wrong.")
    typer.echo(f"Train on it: mrtlab train diffuse --targets {shlex.quote(str(out))} --out my-adapter")


@targets.command(epilog=CHECK_EXAMPLES)
def check(
    file: Annotated[Path, typer.Argument(help="A targets file.")],
    model: Annotated[
        str | None, typer.Option(help="Also score this model: embedded, a folder, or a hub name.", show_default=False)
    ] = None,
    n: Annotated[
        int, typer.Option("--n", min=0, help="Also draw so many answers to each prompt, for lists that are not all.")
    ] = 0,
    other_tokens: Annotated[
        int, typer.Option(min=0, help="Add in up to so many other tokenisations of every spelling.")
    ] = 0,
    casings: Annotated[
        bool, typer.Option("--casings/--no-casings", help="Other letter case and a full stop count as the same answer.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Read a targets file and say what is in it, or what is wrong; with --model, how far a model is from it.

    KL and its two parts, mass and total variation are exact. With --n, draws are counted too: share of valid answers,
    total variation in excess of a perfect sampler's at the same n, entropy with its bias taken off, answers found.
    """
    found = _load(file)
    if n and model is None:
        fail("--n draws from a model: say which with --model", 2)
    rows = [_described(target) for target in found.targets]
    if model is not None:
        _score(rows, found, file, model, n, other_tokens, casings, seed, device)
    if as_json:
        content = {"file": str(file), "model": model, "anchors": len(found.anchors), "targets": rows}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
        return
    columns = {"answers": "answers", "floor": "floor"}
    columns |= {"kl": "KL", "shape_kl": "shape", "mass": "mass", "tv": "TV"} if model else {}
    columns |= {"valid": "valid", "excess_tv": "exc. TV", "drawn_entropy": "entropy"} if n else {}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 0))
    table.add_column("prompt", max_width=16 if n else 34, no_wrap=True)
    for name in ("use", *columns.values()):
        table.add_column(name, no_wrap=True, min_width=max(5, len(name)))
    for row in rows[:_SHOWN]:
        numbers = (row[name] for name in columns)
        cells = (f"{x:,}" if isinstance(x, int) else f"{x:.2f}" for x in numbers)
        table.add_row(shown(row["prompt"]), _USES[row["use"]], *cells)
    some = f", the first {_SHOWN}" if len(rows) > _SHOWN else ""
    typer.echo(f"{file}: {counted(len(rows), 'target')}{some}, {counted(len(found.anchors), 'anchor')}")
    typer.echo(
        "Floor: entropy of the target, nats. KL(target ‖ model) = −log mass + shape; all but drawn numbers are exact."
    )
    Console(highlight=False).print(table)


@targets.command(epilog=MAKE_EXAMPLES)
def make(
    out: OutOption,
    family: Annotated[
        list[str] | None, typer.Option(help="A family with a known truth; give it again for more.", show_default=False)
    ] = None,
    prompts: Annotated[int, typer.Option(min=1, max=_MOST, help="Prompts of each family to train.")] = 2,
    measure: Annotated[
        int, typer.Option(min=0, max=_MOST, help="Prompts of each family, in other words, to measure only.")
    ] = 4,
    facts: Annotated[int, typer.Option(min=0, max=_MOST, help="Facts as anchors, with their right answers.")] = 0,
    name: Annotated[
        str | None, typer.Option("--set", help="Instead: paper, the 26 prompts of six families.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which questions.")] = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a targets file from families whose true laws are known, or the set of prompts that the paper describes.

    The families are those that the embedded model knows. The set of the paper is for larger models: real names and
    places, in lists of our own.
    """
    _check_out(out, force)
    if (name is None) == (not family):
        fail(
            "give --family, once or more, or --set paper" if name is None else "--set and --family exclude each other",
            2,
        )
    if name not in (None, "paper"):
        fail(f"--set is {name!r}; the only set is paper", 2)
    made = _made(family or [], prompts, measure, facts, seed) if name is None else _paper_set(facts, seed)
    from mrtlab.data.records import RecordError
    from mrtlab.data.targets_io import write_targets

    try:
        write_targets(out, made.targets, made.anchors)
    except RecordError as error:
        fail(str(error), 1)
    if as_json:
        content = {"out": str(out), "targets": len(made.targets), "anchors": len(made.anchors)}
        typer.echo(json.dumps(content, indent=2))
        return
    typer.echo(f"Written: {out}, {counted(len(made.targets), 'target')}, {counted(len(made.anchors), 'anchor')}")
    typer.echo(f"Train on it: mrtlab train diffuse --targets {shlex.quote(str(out))} --out my-adapter")


def _check_out(out: Path, force: bool) -> None:
    if out.is_dir():
        fail(f"cannot write {out}: it is a folder; give the name of a file", 1)
    if out.exists() and not force:
        fail(f"{out} exists already: give another name, or add --force to write over it", 2)
    if not out.parent.is_dir():
        fail(f"cannot write {out}: there is no folder {out.parent}", 1)
    try:  # now, not after everything was drawn
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        fail(f"cannot write {out}: {error.strerror}", 1)


def _validator(pattern: str | None, listed: Path | None) -> "Callable[[str], bool]":
    from mrtlab.data.discover import validator

    if pattern is not None and listed is not None:
        fail("--valid and --valid-list exclude each other: give one of them", 2)
    texts = None
    if listed is not None:
        try:
            texts = [line.strip() for line in listed.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            fail(f"cannot read {listed}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}", 2)
        if not texts:
            fail(f"{listed} holds no answers: write one on each line", 2)
    try:
        return validator(pattern, texts)
    except ValueError as error:
        fail(f"--valid: {error}", 2)


def _entry(prompt: str, found: "Discovery", valid: str | None, n: int, temperature: float) -> dict[str, Any]:
    """What goes into the file, with a note for whoever edits it."""
    from mrtlab.data.targets_io import entry_of

    if not found.kept:
        fail(
            f"no answer to {prompt!r} passed ({len(found.rejected)} not valid, {len(found.rare)} too rare): draw more, "
            "lower --least, or loosen --valid",
            2,
        )
    entry = entry_of(found.target(prompt)) | ({"valid": valid} if valid else {})
    return entry | {"note": f"{n} draws at temperature {temperature:g}; {found.note()}"}


def _answers(found: "Discovery") -> None:
    table = Table("answer", "draws", "other spellings", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for one in found.kept[:_SHOWN]:
        table.add_row(shown(one.answer), f"{one.count:,}", shown(", ".join(one.variants[:4])) if one.variants else "")
    Console(highlight=False).print(table)


def _write(out: Path, entries: "Sequence[dict[str, Any]]") -> None:
    from mrtlab.data.records import RecordError
    from mrtlab.data.targets_io import write_entries

    try:
        write_entries(out, entries)
    except RecordError as error:
        fail(str(error), 1)


def _load(file: Path) -> "Targets":
    from mrtlab.data.records import RecordError
    from mrtlab.data.targets_io import load_targets

    try:
        return load_targets(file)
    except RecordError as error:
        fail(str(error), 2)


def _described(target: "Target") -> dict[str, Any]:
    from mrtlab.data.records import prompt_text

    return {
        "prompt": prompt_text(target.prompt),
        "family": target.family,
        "use": target.use,
        "answers": len(target.answers),
        "floor": target.entropy,
    }


def _score(
    rows: list[dict[str, Any]],
    found: "Targets",
    file: Path,
    model: str,
    n: int,
    other_tokens: int,
    casings: bool,
    seed: int,
    device: str,
) -> None:
    """Add what a model says to the rows."""
    lm_needed()
    network, tokenizer = loaded(model, device)
    from mrtlab.data.targets import with_casings
    from mrtlab.training.aimed import aim, count

    scored = [with_casings(target) if casings else target for target in found.targets]
    try:
        for row, one in zip(rows, aim(network, tokenizer, scored, other_tokens=other_tokens), strict=True):
            row |= one.numbers() | {"p": dict(zip(one.target.answers, one.p.tolist(), strict=True))}
        if n:
            for row, drawn in zip(rows, count(network, tokenizer, scored, n=n, seed=seed), strict=True):
                numbers = drawn.numbers()
                row |= numbers | {"drawn_entropy": numbers["entropy"], "entropy": row["entropy"], "n": n}
    except ValueError as error:
        fail(f"{file}: {error}", 2)


def _made(names: list[str], prompts: int, measure: int, facts: int, seed: int) -> "Targets":
    """Targets of families, prompts to train and others to measure."""
    import numpy as np

    from mrtlab.data.targets import Targets, family_targets
    from mrtlab.data.tasks import FAMILIES
    from mrtlab.lab.names import UnknownName

    rng = np.random.default_rng(seed)
    found: dict[Any, Target] = {}
    for name in dict.fromkeys(names):
        if name not in FAMILIES:
            fail(str(UnknownName("family", name, FAMILIES)), 2)
        if name == "facts":
            fail("a fact has one right answer, so nothing is to be spread: take facts as anchors, with --facts 20", 2)
        try:
            for target in family_targets(name, prompts, rng=rng):
                found.setdefault(target.prompt, target)
            for target in family_targets(name, measure, rng=rng, split="held_out", use="measure") if measure else ():
                found.setdefault(target.prompt, target)
        except ValueError as error:
            fail(str(error), 2)
    return Targets(tuple(found.values()), _facts(facts, seed))


def _paper_set(facts: int, seed: int) -> "Targets":
    from mrtlab.data.diffuse_set import diffuse_set
    from mrtlab.data.targets import Targets

    return Targets(tuple(diffuse_set()), _facts(facts, seed))


def _facts(n: int, seed: int) -> tuple[Any, ...]:
    """Facts of the embedded model's world as anchors."""
    import numpy as np

    from mrtlab.data.targets import Anchor
    from mrtlab.data.tasks import family

    facts = family("facts")
    questions = facts.questions(n, rng=np.random.default_rng((seed, 1))) if n else []
    return tuple(Anchor(question.text, facts.truth(question).answers[0]) for question in questions)
