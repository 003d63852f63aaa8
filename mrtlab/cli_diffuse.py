"""The command `mrtlab train diffuse`: make a model's answers follow laws of your choice."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import base_name, command_line, examples, fail, joined, lm_needed, loaded, stoppable
from mrtlab.cli_lm import DeviceOption, ModelOption
from mrtlab.cli_train import REPORT, as_option, check_folder, sha256_of, told, watching

if TYPE_CHECKING:
    from mrtlab.data.targets import Targets

EXAMPLES = examples(
    "mrtlab train diffuse --targets targets.json --out fair-dice",
    "mrtlab train diffuse --targets names.json --anchors facts.jsonl --stop 0.2 --model Qwen/Qwen3-0.6B --out names "
    "--resume",
)
_OPTIONS = ("lora_rank", "batch_prompts", "anchor_weight", "anchor_rows", "mix_draws")


def diffuse(
    targets: Annotated[
        Path,
        typer.Option(
            help='What should come how often: [{"prompt": "Toss a coin.", "responses": ["heads", "tails"]}]. '
            "Make one with `mrtlab targets`.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The folder to make: an adapter of peft's, or a whole model.", show_default=False)
    ],
    model: ModelOption = "embedded",
    anchors: Annotated[
        Path | None,
        typer.Option(
            help="Prompts on which the model should stay as it is: a text file with one on each line, or .jsonl with "
            "right answers, or .json with a list.",
            show_default="those in the targets file",
        ),
    ] = None,
    anchor_weight: Annotated[float, typer.Option(help="How hard anchors hold; 0 only watches them.")] = 1.0,
    anchor_rows: Annotated[int, typer.Option(help="Anchor prompts that a step looks at.")] = 8,
    stop: Annotated[
        float | None,
        typer.Option(
            help="Stop when the loss is within so large a share of its floor, such as 0.2: for lists that are not all "
            "of the right answers.",
            show_default="no early stop",
        ),
    ] = None,
    mix: Annotated[
        float, typer.Option(help="Leave so large a share of every target to the base model's own valid answers.")
    ] = 0.0,
    mix_draws: Annotated[int, typer.Option(help="Draws of the base model for that, where a target has `valid`.")] = 200,
    passes: Annotated[int, typer.Option(help="Times that every prompt is trained.")] = 50,
    batch_prompts: Annotated[int, typer.Option(help="Prompts in a step, each with all its answers.")] = 1,
    lora_rank: Annotated[int, typer.Option(max=1024, help="Of the adapter, which is on all linear layers.")] = 4,
    full: Annotated[bool, typer.Option("--full", help="Train every weight, and save a whole model.")] = False,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Learning rate, constant.", show_default="2e-3 for a small model, else 5e-5; with --full 3e-4, 1e-5"
        ),
    ] = None,
    casings: Annotated[
        bool, typer.Option("--casings/--no-casings", help="Other letter case and a full stop count as the same answer.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped or killed.")] = False,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Diffuse fine-tuning: make the answers to a prompt follow the law that you write down.

    Every answer on the list is trained at once, weighted with its probability; the loss is exact, and its floor is
    known. Prompts with "use": "measure" are scored before and after: put other wordings there, to see what carries
    over. Anchors keep what the model knows; a quarter of them is left free, to see whether the rest stays, too. In the
    folder: the adapter, report.html, which opens offline, and run.json with every number. Stop it with Ctrl-C, or
    lose power: the same command with --resume goes on. Several cards: torchrun --nproc-per-node 4 -m mrtlab train
    diffuse …, or accelerate launch; the result is that of one, and a step needs a prompt for each card.
    """
    wanted = _targets(targets, anchors)
    lm_needed("accelerate", *([] if full else ["peft"]))
    from mrtlab.training.diffuse_run import DiffuseSettings, train_diffuse

    try:
        settings = DiffuseSettings(
            lora_rank=None if full else lora_rank,
            passes=passes,
            batch_prompts=batch_prompts,
            lr=lr,
            stop=stop,
            anchor_weight=anchor_weight,
            anchor_rows=anchor_rows,
            mix=mix,
            mix_draws=mix_draws,
            casings=casings,
            seed=seed,
        )
    except ValueError as error:
        fail(as_option(str(error), _OPTIONS), 2)
    base = base_name(model)
    source = {"file": str(targets), "sha256": sha256_of(targets) + (sha256_of(anchors) if anchors else "")}
    processes = joined(device)
    if processes.main:
        check_folder(out, settings, base, source, resume)
    network, tokenizer = loaded(model, device, "float32" if full else "auto")
    command = command_line()
    memory = "lower --batch-prompts or --anchor-rows, or split the longest list"
    with told(targets, out, command, options=_OPTIONS, memory=memory):
        with stoppable() as stopped, watching(stopped) as watch:
            results = train_diffuse(
                network, tokenizer, wanted, out, settings=settings, base=base, source=source, watch=watch
            )
        if processes.main:
            _report(out, results, command)
    if as_json:
        content = {"folder": str(out), "report": str(out / REPORT)} | results
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(out, results)


def _targets(path: Path, anchors: Path | None) -> "Targets":
    """What the files say, or one sentence on what is wrong with them."""
    from dataclasses import replace

    from mrtlab.data.records import RecordError
    from mrtlab.data.targets_io import load_anchors, load_targets

    try:
        found = load_targets(path)
        if anchors is not None:
            found = replace(found, anchors=load_anchors(anchors))
    except RecordError as error:
        fail(str(error), 2)
    if not found.trained:
        fail(f"{path}: every prompt has use 'measure', so there is nothing to train: leave out the use of some", 2)
    return found


def _report(out: Path, results: dict[str, Any], command: str) -> None:
    from mrtlab.lab.artifacts import write_whole
    from mrtlab.show.diffuse_report import diffuse_report

    write_whole(out / REPORT, diffuse_report(results, command=command, then=_then(out, results)))


def _then(out: Path, results: dict[str, Any]) -> list[str]:
    """What to do with the result: commands that work as they stand."""
    name = shlex.quote(str(out))
    prompt = results["prompts"][0]["prompt"]
    said = []
    if isinstance(prompt, str) and len(prompt) <= 80 and "\n" not in prompt:
        said.append(f"mrtlab sample {shlex.quote(prompt)} --n 200 --model {name}")
    return [*said, f"mrtlab targets check {shlex.quote(results['source']['file'])} --model {name}"]


def _print(out: Path, results: dict[str, Any]) -> None:
    from mrtlab.show.diffuse_report import ANCHOR_COLUMNS, CHANGE_LABELS, anchor_rows, headline
    from mrtlab.show.sheet import CHANGE_COLUMNS, change_rows

    typer.echo(headline(results))
    if results["stopped_early"]:
        typer.echo(f"It stopped early, after {results['cost']['steps']:,} steps.")
    for use, change in results["change"].items():
        n = sum(row["use"] == use for row in results["prompts"])
        which = "trained" if use == "train" else "only measured"
        title = f"1 prompt, {which}" if n == 1 else f"{n:,} prompts, {which}; means with 95 % intervals over prompts"
        _table(title, CHANGE_COLUMNS, change_rows(change, CHANGE_LABELS))
    if results["anchors"]:
        _table("what is left of the base model on anchors", ANCHOR_COLUMNS, anchor_rows(results["anchors"]))
    typer.echo(f"Saved:  {out}")
    typer.echo(f"Report: {out / REPORT}")
    for command in _then(out, results):
        typer.echo(f"Next:   {command}")


def _table(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    typer.echo(title)
    Console(highlight=False).print(table)
