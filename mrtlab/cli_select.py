"""The command `mrtlab select`: K of N responses for each prompt of a file."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import PromptColumn, ResponseColumn, ScoreColumn, chosen_by, examples, fail, records_of

if TYPE_CHECKING:
    from mrtlab.data.records import Record
    from mrtlab.training.choose import Choice

EXAMPLES = examples(
    "mrtlab select answers.jsonl --k 8 --rule diverse --out chosen.jsonl",
    "mrtlab select scored.jsonl --k 4 --rule quality-diverse --alpha 1 --similarity words --out chosen.jsonl --json",
)

DataArgument = Annotated[
    Path,
    typer.Argument(
        help='A .jsonl file, {"prompt": "Name a fruit.", "responses": ["kiwi", "plum"], "scores": [0.5, 0.7]} on each '
        "line; scores may be missing. Or one response on each line: prompt, response, score.",
        show_default=False,
    ),
]
RuleOption = Annotated[
    str,
    typer.Option(
        help="all; random; by score: top, softmax; spread over the texts: diverse, or quality-diverse, which looks at "
        "both."
    ),
]
AlphaOption = Annotated[float, typer.Option(min=0.0, help="quality-diverse: how much the score counts.")]
TemperatureOption = Annotated[float, typer.Option(help="softmax: in the unit of the scores; small is close to top.")]
SimilarityOption = Annotated[
    str, typer.Option(help="diverse rules compare texts by runs (of words), words (in order), or characters.")
]


def select(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="The file to write; .gz is compressed.", show_default=False)],
    k: Annotated[int, typer.Option(help="Responses to keep; a prompt with fewer keeps all it has.")] = 8,
    rule: RuleOption = "random",
    alpha: AlphaOption = 0.75,
    temperature: TemperatureOption = 1.0,
    similarity: SimilarityOption = "runs",
    seed: Annotated[int, typer.Option(help="Of random and softmax.")] = 0,
    prompt_column: PromptColumn = "prompt",
    response_column: ResponseColumn = "response",
    score_column: ScoreColumn = "score",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Keep K of the N responses to each prompt.

    What a rule keeps is what training will see. The table says what it cost: top keeps high scores and loses
    variety, diverse keeps variety and does not look at scores. Without a rule in mind, take random.
    """
    choice = choice_of(rule, k, alpha, temperature, similarity)
    if out.exists() and not force:
        fail(f"{out} exists already: give another name, or add --force to write over it", 2)
    records = records_of(data, prompt_column, response_column, score_column)
    kept = [record.keep(places) for record, places in zip(records, chosen_by(records, data, choice, seed), strict=True)]
    _write(out, kept)
    before, after = _numbers(records, similarity), _numbers(kept, similarity)
    notes = _notes(records, k)
    if as_json:
        settings = {"rule": rule, "k": k, "alpha": alpha, "temperature": temperature, "similarity": similarity}
        content = {"data": str(data), "out": str(out), **settings, "seed": seed, "before": before, "after": after}
        typer.echo(json.dumps(content | {"notes": notes}, indent=2, ensure_ascii=False, allow_nan=False))
        return
    table = Table("", "before", "after", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    for name, label in _LABELS.items():
        if before[name] is not None:
            table.add_row(label, _shown(before[name]), _shown(after[name]))
    Console(highlight=False).print(table)
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    typer.echo(f"Written: {out}")
    typer.echo(f"Train on it: mrtlab train mrt {shlex.quote(str(out))} --rule all --out my-adapter")


def choice_of(rule: str, k: int, alpha: float, temperature: float, similarity: str) -> "Choice":
    """The rule of the options, or one sentence on the one that makes no sense."""
    from mrtlab.data.similarity import Kind
    from mrtlab.training.choose import Choice

    kinds = Kind.__args__
    if similarity not in kinds:
        fail(f"--similarity is {similarity!r}; it must be one of {', '.join(kinds)}", 2)
    if not temperature > 0:
        fail(f"--temperature must be above 0, got {temperature:g}; for the limit 0 take --rule top", 2)
    from mrtlab.training.choose import RULES

    if rule not in RULES:
        fail(f"unknown rule {rule!r}: choose from {', '.join(RULES)}", 2)
    if k < 1:
        fail(f"--k must be 1 or more, got {k}", 2)
    return Choice(rule=rule, k=k, alpha=alpha, temperature=temperature, kind=similarity)


_LABELS = {
    "prompts": "prompts",
    "responses": "responses",
    "score": "mean score",
    "different": "different responses for each prompt",
    "diversity": "diversity, 1 − likeness of two responses",
}


def _numbers(records: "Sequence[Record]", kind: str) -> dict[str, Any]:
    """Counts and means over prompts. The likeness of a pair does not depend on how many there are, as others do."""
    import numpy as np

    from mrtlab.data.similarity import similarity

    unlike = []
    for record in records:
        n = len(record)
        if n > 1:
            unlike.append(1 - (similarity(record.responses, kind=kind).sum() - n) / (n * (n - 1)))
    scored = [float(np.mean(record.scores)) for record in records if record.scores]
    return {
        "prompts": len(records),
        "responses": sum(map(len, records)),
        "score": float(np.mean(scored)) if scored else None,
        "different": float(np.mean([len(set(record.responses)) for record in records])),
        "diversity": float(np.mean(unlike)) if unlike else None,
    }


def _notes(records: "Sequence[Record]", k: int) -> list[str]:
    if all(len(record) == 1 for record in records):
        return ["Every prompt has one response, so a K above 1 has no effect and there is nothing to choose from."]
    short = sum(len(record) <= k for record in records)
    if not short:
        return []
    return [f"Prompts with {k} responses or fewer keep them all: {short:,} of {len(records):,}."]


def _shown(number: float | int | None) -> str:
    if number is None:
        return "–"
    return f"{number:,}" if isinstance(number, int) else f"{number:.3g}"


def _write(out: Path, records: "Sequence[Record]") -> None:
    from mrtlab.data.records import RecordError
    from mrtlab.data.records_io import write_records

    if not out.parent.is_dir():
        fail(f"cannot write {out}: there is no folder {out.parent}", 1)
    try:
        write_records(out, records)
    except RecordError as error:
        fail(str(error), 1)
    except OSError as error:
        fail(f"cannot write {out}: {error.strerror}", 1)
