"""The command `mrtlab plan`: from losses, or from responses and a model, to what to collect next."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mrtlab.cli_common import PromptColumn, ResponseColumn, command_line, examples, fail, write_page
from mrtlab.cli_plan_model import Measuring, holds, plan_with_model

if TYPE_CHECKING:
    from mrtlab.data.tables import LossTable
    from mrtlab.show.study import Prices, Study

EXAMPLES = examples(
    "mrtlab plan --demo",
    "mrtlab plan losses.csv --prompt-cost 4 --response-cost 1 --budget 400 --report plan.html",
    "mrtlab plan answers.jsonl --model embedded --report plan.html",
)
_DEMO_COSTS = (4.0, 1.0)
_DEMO_PAIRS = 80  # prompts with one response that the demo can pay for
_PANEL = "With --model"
_PATIENCE_S = 5.0  # longer than this and people want to know that something is happening


def plan(
    table: Annotated[
        Path | None,
        typer.Argument(
            help="Losses, one per response: a .csv file with the columns prompt and value, or a .jsonl file with lines "
            'like {"prompt": "p1", "values": [2.1, 0.4]}. With --model: responses, lines like '
            '{"prompt": "Name a fruit.", "responses": ["kiwi", "plum"]}. Prompts may have different numbers of '
            "responses; some need two or more.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Measure losses and gradients of the responses with this model: embedded, a folder, or a Hugging Face "
            "name such as Qwen/Qwen3-0.6B. Costs are then tokens, unless others are given.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    prompt_cost: Annotated[
        float | None, typer.Option(help="Cost of a prompt before its first response, in any unit.")
    ] = None,
    response_cost: Annotated[float | None, typer.Option(help="Cost of a response, in the same unit.")] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            help="What may be spent in all, in the same unit (tokens if costs are tokens).",
            show_default="with --model what the file costs",
        ),
    ] = None,
    prompt_tokens: Annotated[
        float | None, typer.Option(help="Tokens of a prompt. With --response-tokens, instead of the two costs.")
    ] = None,
    response_tokens: Annotated[float | None, typer.Option(help="Tokens of a response.")] = None,
    shared: Annotated[
        bool | None,
        typer.Option(
            "--shared-prompt/--copies",
            help="With tokens: run a prompt once for all its responses (the default), or again with each of them.",
            show_default=False,
        ),
    ] = None,
    max_k: Annotated[int, typer.Option(min=1, help="Largest K to consider.")] = 64,
    max_prompts: Annotated[int | None, typer.Option(min=1, help="Prompts that exist, if they are scarce.")] = None,
    prompt_column: PromptColumn = "prompt",
    value_column: Annotated[str, typer.Option(help="Column or field with the loss.")] = "value",
    response_column: ResponseColumn = "response",
    normalisation: Annotated[
        str,
        typer.Option(
            help="What the loss is, as in training: token (a mean over all tokens), response (over each response "
            "first) or prompt (sums).",
            rich_help_panel=_PANEL,
        ),
    ] = "token",
    weights: Annotated[
        str,
        typer.Option(
            help="Gradients of all weights or those of a fresh lora adapter; auto: all below 50 million.",
            rich_help_panel=_PANEL,
        ),
    ] = "auto",
    measure_prompts: Annotated[
        int,
        typer.Option(min=2, help="Measure so many prompts, drawn at random if there are more.", rich_help_panel=_PANEL),
    ] = 200,
    measure_responses: Annotated[
        int,
        typer.Option(min=2, help="Measure so many responses to each, drawn likewise.", rich_help_panel=_PANEL),
    ] = 8,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.", rich_help_panel=_PANEL)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, or cuda.", rich_help_panel=_PANEL)] = "auto",
    report: Annotated[
        Path | None, typer.Option(help="Also write an HTML page with figures, which opens offline.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Use a small built-in table instead of a file.")] = False,
) -> None:
    """Should the next data set have more prompts, or more responses for each prompt?

    Reads the losses of a first, small data set, measures how much they differ between prompts and among responses to
    one prompt, and says how many of each to collect for a budget. With --model it computes the losses itself, and the
    gradients, which are what training follows.
    """
    if (table is None) == (not demo):
        fail("give a table of losses, or --demo to see what comes out; not both" if demo else _NO_TABLE, 2)
    _check_numbers(prompt_cost, response_cost, prompt_tokens, response_tokens, budget)
    measuring = Measuring(response_column, normalisation, weights, measure_prompts, measure_responses, seed, device)
    if model is not None:
        if table is None:
            fail("--demo is a table of losses and needs no --model: leave one of them out", 2)
        costs = (prompt_cost, response_cost, prompt_tokens, response_tokens)
        prices = None if costs == (None,) * 4 else _prices(*costs, shared, demo=False)
        limits = {"max_k": max_k, "max_prompts": max_prompts, "budget": budget, "copies": shared is False}
        if holds(table, value_column, response_column) == "losses":
            fail(f"{table} holds losses, not responses: {_BOTH_WAYS}", 2)
        plan_with_model(table, model, prompt_column, prices, limits, measuring, report=report, as_json=as_json)
        return
    if measuring != Measuring():
        fail(f"{measuring.first_changed()} needs --model: without a model there is nothing to measure", 2)
    if table is not None and holds(table, value_column, response_column) == "responses":
        fail(f"{table} holds responses, not losses: {_BOTH_WAYS}", 2)
    prices = _prices(prompt_cost, response_cost, prompt_tokens, response_tokens, shared, demo=demo)
    total = _total(budget, prices, demo)
    from mrtlab.show.study import study

    source = str(table) if table else "Built-in example"
    try:
        with _patient(source):
            losses = _losses(table, prompt_column, value_column)
            found = study(losses, source, prices, total, max_k=max_k, max_prompts=max_prompts)
    except ValueError as error:
        text = str(error)
        fail(text if text.startswith(source) else f"{source}: {text}", 2)
    if report:
        from mrtlab.show.report import plan_report

        write_page(report, plan_report(found, command=command_line()))
    if as_json:
        content = found.as_json() | {"report": str(report) if report else None}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
        return
    _print(found)
    if report:
        typer.echo(f"Report: {report}")


_NO_TABLE = (
    "which table? Give a .csv file with the columns prompt and value, or a .jsonl file; --demo shows what comes out"
)


_BOTH_WAYS = (
    "give responses with --model, as in --model embedded, and their losses are measured here; or give losses without "
    "--model, with what a prompt and a response cost"
)


def _losses(table: Path | None, prompt_column: str, value_column: str) -> "LossTable":
    if table is None:
        from mrtlab.show.study import demo_table

        return demo_table()
    from mrtlab.data.tables import read_table

    return read_table(table, prompt=prompt_column, value=value_column)


def _check_numbers(
    prompt_cost: float | None,
    response_cost: float | None,
    prompt_tokens: float | None,
    response_tokens: float | None,
    budget: float | None,
) -> None:
    """Leave if a cost or the budget makes no sense."""
    costs = {"--prompt-cost": prompt_cost, "--response-cost": response_cost}
    tokens = {"--prompt-tokens": prompt_tokens, "--response-tokens": response_tokens}
    for name, number in (costs | tokens).items():
        if number is not None and not 0 <= number < float("inf"):
            fail(f"{name} is {number:g}; it must be 0 or more", 2)
    if budget is not None and not 0 < budget < float("inf"):
        fail(f"--budget is {budget:g}; it must be more than 0", 2)


def _prices(
    prompt_cost: float | None,
    response_cost: float | None,
    prompt_tokens: float | None,
    response_tokens: float | None,
    shared: bool | None,
    *,
    demo: bool,
) -> "Prices":
    """Costs from the options, or one sentence on what is missing or too much."""
    costs = {"--prompt-cost": prompt_cost, "--response-cost": response_cost}
    tokens = {"--prompt-tokens": prompt_tokens, "--response-tokens": response_tokens}
    given_costs = [name for name, number in costs.items() if number is not None]
    given_tokens = [name for name, number in tokens.items() if number is not None]
    if given_costs and given_tokens:
        fail(f"{given_costs[0]} and {given_tokens[0]} do not go together; give costs or tokens, not both", 2)
    from mrtlab.show.study import Prices

    if demo and not given_costs and not given_tokens and shared is None:
        return Prices(*_DEMO_COSTS)
    if shared is not None and not given_tokens:
        fail("--shared-prompt and --copies need --prompt-tokens and --response-tokens", 2)
    pair = tokens if given_tokens else costs
    missing = [name for name, number in pair.items() if number is None]
    if missing:
        hint = "" if given_costs or given_tokens else ", for example --prompt-cost 4 --response-cost 1"
        fail(f"what do things cost? Add {' and '.join(missing)}{hint}", 2)
    if not any(pair.values()):
        fail(f"{' and '.join(pair)} are both 0; without a cost there is nothing to plan", 2)
    first, second = (number or 0.0 for number in pair.values())
    return Prices.of_tokens(first, second, copies=shared is False) if given_tokens else Prices(first, second)


def _total(budget: float | None, prices: "Prices", demo: bool) -> float:
    """The budget, or one sentence on why there is none."""
    if budget is not None:
        return budget
    if not demo:
        fail("how much may be spent? Add --budget, in the unit of the costs", 2)
    return _DEMO_PAIRS * sum(prices.tokens or (prices.prompt, prices.response))


@contextmanager
def _patient(source: str) -> Iterator[None]:
    """Say on standard error that work goes on, if it takes more than a few seconds."""
    timer = threading.Timer(_PATIENCE_S, lambda: typer.echo(f"mrtlab: still reading {source} ...", err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _print(found: "Study") -> None:
    """Where it is from, the advice, the choices, what was measured, remarks."""
    from mrtlab.show.study import percent

    console = Console(highlight=False)
    estimate, chosen, curve = found.estimate, found.plan, found.plan.curve

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, soft_wrap=not console.is_terminal)

    say(f"{found.source}: {estimate.n_prompts:,} prompts, {estimate.n_responses:,} responses")
    say(_price_line(found.prices, chosen.budget))
    say(f"\n{chosen.advice}", "bold")
    choices = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    for name in ("K", "prompts", "spent", "standard error", "more variance"):
        choices.add_column(name, justify="right", no_wrap=True)
    for i in found.rows:
        best = curve.k[i] == chosen.k
        choices.add_row(
            str(curve.k[i]),
            f"{curve.n_prompts[i]:,}",
            f"{curve.cost[i]:,.12g}",
            f"{curve.variance[i] ** 0.5:.4g}",
            "best" if best else f"+{percent(float(curve.regret[i]))}",
            style="bold" if best else None,
        )
    console.print(choices)
    say("The error is that of the mean loss. 20 % more variance: the same error would take 20 % more budget.\n")
    measured = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    for name in ("measured", "estimate", "95 % interval"):
        measured.add_column(name, no_wrap=True)
    for row in found.measured:
        measured.add_row(*row)
    console.print(measured)
    for remark in found.remarks:
        say(f"Note: {remark}", "yellow")


def _price_line(prices: "Prices", budget: float) -> str:
    unit = f" {prices.unit}" if prices.unit else ""
    how = ""
    if prices.tokens:
        how = ", a copy of the prompt with every response" if prices.copies else ", the prompt run once"
    return f"A prompt costs {prices.prompt:g}, a response {prices.response:g}; budget {budget:,.12g}{unit}{how}"
