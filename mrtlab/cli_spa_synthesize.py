"""The command `mrtlab spa synthesize`: prompts and a model to a set of answers, sifted, every verdict on record."""

import json
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrtlab.cli_common import counted, examples, fail, lm_needed, loaded, stoppable
from mrtlab.cli_lm import DeviceOption
from mrtlab.cli_spa_ask import Asked, asked_of_family, asked_of_file
from mrtlab.cli_spa_common import JsonOption, check_new_file, counting, print_table, told

if TYPE_CHECKING:
    from mrtlab.spa.synthesize import Source, Synthesis

EXAMPLES = examples(
    "mrtlab spa synthesize --family programs --prompts 100 --n 4 --out data.jsonl",
    "mrtlab spa synthesize prompts.jsonl --model Qwen/Qwen3-0.6B --n 16 --temperature 0.8 --out data.jsonl",
)
_WORDS = {
    "kept": "kept",
    "empty": "empty",
    "cut off": "cut off, not over within --max-new-tokens",
    "wrong": "wrong: did not pass",
    "duplicate": "the same as an earlier one",
    "near duplicate": "nearly the same as an earlier one",
    "over the cap": "more than --per-prompt",
}
_REASONS = 5


def synthesize(
    out: Annotated[
        Path, typer.Option(help="The file of kept answers to write; its record is written beside.", show_default=False)
    ],
    prompts: Annotated[
        Path | None,
        typer.Argument(
            help="A text file with a prompt on each line, or a .jsonl file with prompts; if they have tests, answers "
            "are run against them.",
            show_default=False,
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help="Instead: a family of questions with a known truth, such as programs.", show_default=False),
    ] = None,
    n_prompts: Annotated[int, typer.Option("--prompts", min=1, max=5000, help="Questions of the family.")] = 100,
    model: Annotated[
        str | None,
        typer.Option(
            help="Who answers: embedded, a folder, or a Hugging Face name.",
            show_default="embedded; for a family its own teacher",
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", "-n", help="Draws for each prompt.")] = 16,
    temperature: Annotated[float, typer.Option(help="Of a model's draws.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens up to this much of the mass.")] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(help="An answer that is not over by then is not kept.")] = 256,
    near: Annotated[
        float | None,
        typer.Option(
            help="Likeness, up to 1, from which answers count as the same.", show_default="exact repeats only"
        ),
    ] = None,
    per_prompt: Annotated[int | None, typer.Option(help="Keep so many answers at most.", show_default="all")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    device: DeviceOption = "auto",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw answers to prompts, throw out what is empty, cut off, wrong or there already, and say what became of each.

    OUT holds the kept answers, a record for each prompt. OUT's .record.jsonl holds every candidate with its verdict.
    Stop it with Ctrl-C: the same command goes on.
    """
    if (prompts is None) == (family is None):
        fail("give a file of prompts or a --family" + ("; not both" if prompts else ", such as programs"), 2)
    check_new_file(out, force)
    record = _record_of(out)
    lm_needed()
    from mrtlab.spa.synthesize import SynthesisSettings
    from mrtlab.spa.synthesize import synthesize as make

    try:
        settings = SynthesisSettings(
            n=n, temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens, near=near,
            per_prompt=per_prompt, seed=seed,
        )  # fmt: skip
    except ValueError as error:
        fail(str(error), 2)
    asked = asked_of_file(prompts) if prompts else asked_of_family(family, n_prompts, seed=seed, split="train")
    memory = "lower --n or --max-new-tokens"
    with asked, told(str(prompts or family), memory=memory, kept=record.is_file):
        source = _source(asked, model, device)
        with stoppable() as stopped, counting(stopped) as report:
            made = make(
                source, asked.prompts, record, settings=settings, judge=asked.judge,
                report=lambda done, of: report("prompts", done, of),
            )  # fmt: skip
        if not made.records:
            fail(f"nothing was kept; {record} says why, answer by answer: {_most(made)}", 2)
        from mrtlab.data.records_io import write_records

        write_records(out, made.records)
    content = _content(out, record, asked, made)
    if as_json:
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _print(content)


def _record_of(out: Path) -> Path:
    """Where the candidates go: data.jsonl has data.record.jsonl beside it."""
    return out.with_name(f"{out.name.removesuffix('.gz').removesuffix('.jsonl')}.record.jsonl")


def _source(asked: Asked, model: str | None, device: str) -> "Source":
    from mrtlab.spa.sources import draw_from_model, draw_from_teacher

    if model is None and asked.questions:
        return draw_from_teacher(asked.questions)
    name = model or "embedded"
    return draw_from_model(*loaded(name, device), name=name)


def _most(made: "Synthesis") -> str:
    """The verdicts that there were, the commonest first."""
    found = sorted(((n, verdict) for verdict, n in made.counts.items() if n), reverse=True)
    return ", ".join(f"{n:,} {verdict}" for n, verdict in found)


def _content(out: Path, record: Path, asked: Asked, made: "Synthesis") -> dict[str, Any]:
    wrong = Counter(c.detail for c in made.candidates if c.verdict == "wrong" and c.detail)
    return {
        "out": str(out),
        "record": str(record),
        "prompts": len(asked.prompts),
        "judged": asked.judge is not None,
        "candidates": len(made.candidates),
        "verdicts": made.counts,
        "reasons": [{"detail": detail, "count": count} for detail, count in wrong.most_common(_REASONS)],
        "prompts_kept": len(made.records),
        "kept": sum(map(len, made.records)),
    }


def _print(content: dict[str, Any]) -> None:
    from mrtlab.show.evaluation import cut

    total = content["candidates"]
    rows = [
        [_WORDS[verdict], f"{count:,}", f"{count / total:.1%}"]
        for verdict, count in content["verdicts"].items()
        if count or verdict == "kept"
    ]
    title = f"{counted(total, 'answer')} to {counted(content['prompts'], 'prompt')}"
    print_table(title, ("what became of them", "answers", "share"), rows, wide=("what became of them",))
    if content["reasons"]:
        rows = [[cut(one["detail"], 70), f"{one['count']:,}"] for one in content["reasons"]]
        print_table("why they were wrong, the commonest", ("reason", "answers"), rows, wide=("reason",))
    if not content["judged"]:
        typer.echo("Note: nobody judged whether answers are right; prompts with tests would.", err=True)
    if lost := content["prompts"] - content["prompts_kept"]:
        typer.echo(f"Note: of {counted(lost, 'prompt')} nothing was kept.", err=True)
    typer.echo(f"Written: {content['out']}, {counted(content['kept'], 'answer')}; every verdict: {content['record']}")
    typer.echo(f"Next:    mrtlab spa attribute {shlex.quote(content['out'])} --out scores")
