"""The command `mrtlab estimate`: which card, how long, how much, before anything is downloaded or started."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import (
    PromptColumn,
    ResponseColumn,
    ScoreColumn,
    counted,
    examples,
    fail,
    lm_needed,
    records_of,
)
from mrtlab.cli_lm import ModelOption
from mrtlab.cli_select import DataArgument

if TYPE_CHECKING:
    from mrtlab.lm.cards import Card
    from mrtlab.training.estimate_job import Job
    from mrtlab.training.estimate_said import Estimate
    from mrtlab.training.method import Method

EXAMPLES = examples(
    "mrtlab estimate answers.jsonl",
    "mrtlab estimate scored.jsonl --model Qwen/Qwen3-0.6B --k 8 --card T4 --card H100 --checkpointing --json",
)
_NOTE = (
    "Memory is arithmetic on the model's shape and your data. Times on GPUs are predicted from data sheets and were "
    "not yet measured: read the range."
)


def estimate(
    data: DataArgument,
    model: ModelOption = "embedded",
    k: Annotated[int, typer.Option(min=1, help="Responses of a prompt that an epoch shows.")] = 8,
    method: Annotated[
        str, typer.Option(help="lora: an adapter. full: every weight. 4bit: an adapter over weights of four bits.")
    ] = "lora",
    lora_rank: Annotated[int, typer.Option(min=1, max=1024, help="Of the adapter.")] = 16,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Compute layers again in the backward pass: slower, less memory.")
    ] = False,
    attention: Annotated[
        str, typer.Option(help="sdpa, or flex_attention, which on a GPU keeps no mask of long trees.")
    ] = "sdpa",
    card: Annotated[
        list[str] | None,
        typer.Option(
            help="A card, such as T4 or H100, or here. Repeat the option for several.", show_default="all, and here"
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the prompts.")] = 3,
    batch_prompts: Annotated[int, typer.Option(min=1, help="Prompts in a step, each with its responses.")] = 8,
    accumulate: Annotated[int, typer.Option(min=1, help="Parts that a step is run in, one after the other.")] = 1,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=2, help="Leave out longer responses, in tokens with their prompt.", show_default="what fits the model"
        ),
    ] = None,
    prompt_column: PromptColumn = "prompt",
    response_column: ResponseColumn = "response",
    score_column: ScoreColumn = "score",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Which card has room for a training run, and how long will it take?

    Looks at your data and at the model's configuration; weights are neither read nor downloaded. Says for each card how
    much memory the largest step takes, how many prompts fit, and from when to when the run will take.
    """
    records = records_of(data, prompt_column, response_column, score_column)
    lm_needed("accelerate", "peft")
    from mrtlab.training.choose import Choice
    from mrtlab.training.estimate import estimate_cards
    from mrtlab.training.estimate_job import job_of
    from mrtlab.training.fine_tune import Settings
    from mrtlab.training.method import Method

    try:
        chosen = Method(kind=method, rank=lora_rank, checkpointing=checkpointing, attention=attention)
        settings = Settings(
            choice=Choice(rule="random", k=k), lora_rank=chosen.adapter, epochs=epochs, batch_prompts=batch_prompts,
            accumulate=accumulate, max_length=max_length,
        )  # fmt: skip
    except ValueError as error:
        fail(_as_option(str(error)), 2)
    cards = _cards(card, chosen)
    config, tokenizer = _outline(model)
    try:
        job = job_of(config, tokenizer, records, settings)
    except ValueError as error:
        fail(_as_option(f"{data}: {error}"), 2)
    try:
        found = estimate_cards(config, job, method=chosen, cards=cards)
    except ValueError as error:
        fail(f"{model}: {error}", 2)
    if as_json:
        typer.echo(json.dumps(_content(data, model, settings, found), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(data, model, job, batch_prompts, found)


def _cards(names: list[str] | None, method: "Method") -> list["Card"]:
    """The cards asked for, or all of the table and this machine's, if it can serve the method."""
    from mrtlab.lm.cards import CARDS, find_card, precision

    try:
        if not names:
            here = find_card("here")
            return [*CARDS.values(), *([] if method.kind == "4bit" and here.kind == "cpu" else [here])]
        found = [find_card(name) for name in names]
        for one in found:
            precision(one, method.kind)
    except ValueError as error:
        fail(str(error), 2)
    return found


def _outline(name: str) -> tuple[Any, Any]:
    """A model's configuration and tokenizer, or one sentence on why not."""
    from transformers.utils import logging as quiet

    from mrtlab.lm.outline import load_outline

    quiet.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if name != "embedded" and not Path(name).exists():
        typer.echo(f"Looking for the configuration of {name} here and on the Hugging Face hub ...", err=True)
    try:
        return load_outline(name)
    except ValueError as error:
        fail(str(error), 1 if "missing from this installation" in str(error) else 2)


def _as_option(message: str) -> str:
    """A message with the names of settings as the command line spells them."""
    message = message.replace("method must", "--method must").replace("attention must", "--attention must")
    for name in ("batch_prompts", "max_length"):
        message = message.replace(name, f"--{name.replace('_', '-')}")
    return message.replace("multiple of accumulate", "multiple of --accumulate")


def _content(data: Path, model: str, settings: Any, found: list["Estimate"]) -> dict[str, Any]:
    """Everything, for programs."""
    from mrtlab.training.estimate_said import advice, parts_needed

    batch = settings.batch_prompts
    first = found[0]
    return {
        "data": str(data),
        "model": model,
        "parameters": first.parameters,
        "trained": first.trained,
        "steps": first.steps,
        "method": asdict(first.method),
        "advice": advice(found, batch),
        "cards": [
            {
                "card": one.card.name,
                "source": one.card.source,
                "fits": one.fits,
                "room_bytes": one.room,
                "memory": asdict(one.memory),
                "form": one.form,
                "largest_prompts": one.largest,
                "accumulate_needed": parts_needed(one, batch),
                "flops": one.flops,
                "step_s": asdict(one.step),
                "run_s": asdict(one.run),
                "time_is": "by constants measured on one CPU" if one.measured else "predicted, not yet measured",
                "precision": asdict(one.precision),
            }
            for one in found
        ],
    }


def _print(data: Path, model: str, job: "Job", batch: int, found: list["Estimate"]) -> None:
    """What it is about, what takes the memory, the cards, advice, why these formats."""
    from mrtlab.training.estimate_said import advice, parts_needed, size

    console = Console(highlight=False)

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, soft_wrap=not console.is_terminal)

    first = found[0]
    trained = "all trained" if first.method.kind == "full" else f"{first.trained / 1e6:,.2f} million in the adapter"
    prompts = sum(len(step) for step in job.steps)
    say(
        f"{data} with {model}: {counted(prompts, 'training prompt')}, {first.steps:,} steps; "
        f"{first.parameters / 1e6:,.2f} million weights, {trained}"
    )
    say(f"{advice(found, batch)}\n", "bold")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    for name in ("card", "takes", "of", "fits", "at once", "the run"):  # narrow enough for 80 letters
        table.add_column(name, no_wrap=True, justify="left" if name in ("card", "fits") else "right")
    for one in found:
        parts = parts_needed(one, batch)
        fits = "yes" if one.fits else f"in {parts} parts" if parts else "no"
        table.add_row(
            one.card.name, size(one.memory.peak), size(one.room), fits, f"{one.largest:,}", str(one.run),
            style=None if one.fits else "dim",
        )  # fmt: skip
    console.print(table)
    parts = ", ".join(f"{name} {size(n)}" for name, n in first.memory.parts().items())
    say(f"On {first.card.name}: {parts}; {size(first.memory.peak)} at the worst moment.")
    for sentence in dict.fromkeys(one.precision.why for one in found):
        cards = ", ".join(one.card.name for one in found if one.precision.why == sentence)
        say(f"{cards}: {sentence}")
    say(_NOTE)
