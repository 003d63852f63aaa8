"""The command `mrtlab spa attribute`: how much each example of a file helps each of some questions."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrtlab.cli_common import (
    PromptColumn,
    ResponseColumn,
    base_name,
    command_line,
    counted,
    examples,
    fail,
    lm_needed,
    loaded,
    records_of,
    stoppable,
)
from mrtlab.cli_lm import DeviceOption
from mrtlab.cli_spa_common import JsonOption, check_folder_place, counting, pairs_of, print_table, told
from mrtlab.cli_train import sha256_of, watching

if TYPE_CHECKING:
    from mrtlab.data.records import Record
    from mrtlab.spa.scored import Scored

EXAMPLES = examples(
    "mrtlab spa attribute data.jsonl --queries queries.jsonl --out scores",
    "mrtlab spa attribute data.jsonl --n-queries 12 --model Qwen/Qwen3-0.6B --epochs 1 --features 4096 --out scores",
)
ADAPTER = "adapter"
_OPTIONS = ("lora_rank", "batch_prompts", "features", "damping", "epochs", "lr")
_SHOWN = 24  # queries in a table
_CUT = 40


def attribute(
    data: Annotated[
        Path,
        typer.Argument(
            help='A .jsonl file, {"prompt": "Name a fruit.", "responses": ["kiwi", "plum"]} on each line; every '
            "response is an example.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder of scores to make.", show_default=False)],
    queries: Annotated[
        Path | None,
        typer.Option(
            help="A file like the data with questions and their right answers; every answer is a query.",
            show_default="some of the data",
        ),
    ] = None,
    n_queries: Annotated[int, typer.Option(min=1, help="Without --queries: examples of the data to ask for.")] = 12,
    model: Annotated[
        str,
        typer.Option(
            help="embedded, a folder, or a Hugging Face name: it gets an adapter first, trained on all of the data. "
            "Or the folder of an adapter that was trained on it already."
        ),
    ] = "embedded",
    epochs: Annotated[int, typer.Option(min=1, help="Of that first adapter: passes over the data.")] = 3,
    lora_rank: Annotated[int, typer.Option(min=1, max=1024, help="Of that first adapter.")] = 16,
    batch_prompts: Annotated[int, typer.Option(min=1, help="Of that first adapter: prompts in a step.")] = 8,
    lr: Annotated[
        float | None,
        typer.Option(help="Of that first adapter.", show_default="1e-3 for a small model, else 2e-4"),
    ] = None,
    features: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Numbers that stand for a gradient, by chance projection.",
            show_default="all of them up to half a gigabyte, else 4096",
        ),
    ] = None,
    damping: Annotated[
        float, typer.Option(help="Of fisher and datainf, next to the mean square of the gradients.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    device: DeviceOption = "auto",
    prompt_column: PromptColumn = "prompt",
    response_column: ResponseColumn = "response",
    as_json: JsonOption = False,
) -> None:
    """Score how much each example helps each query: one pass of gradients, four methods, any number of queries.

    Positive helps: a small step on the example makes the query's answer likelier. fisher takes the curvature of the
    loss into account, datainf a short cut of it, grad-dot and cosine do not. Everything stays in the folder; another
    --damping costs a moment. Stop it with Ctrl-C: the same command goes on.
    """
    if not 0 < damping < float("inf"):
        fail(f"--damping must be a positive number, got {damping:g}", 2)
    records = records_of(data, prompt_column, response_column, "score")
    asked = _queries(records, data, queries, n_queries, seed, (prompt_column, response_column))
    lm_needed("accelerate", "peft")
    from mrtlab.training.choose import Choice
    from mrtlab.training.fine_tune import Settings

    given = _given_adapter(model)
    try:
        settings = Settings(
            choice=Choice(rule="all"),
            redraw=False,
            eval_share=0.0,
            epochs=epochs,
            lora_rank=lora_rank,
            batch_prompts=batch_prompts,
            lr=lr,
            seed=seed,
        )
    except ValueError as error:
        from mrtlab.cli_train import as_option

        fail(as_option(str(error), _OPTIONS), 2)
    base = _base_of(given) if given else base_name(model)
    about = {
        "source": {"file": str(data), "sha256": sha256_of(data)},
        "queries": {"file": str(queries), "sha256": sha256_of(queries)} if queries else {"drawn": n_queries},
        "base": base,
        "adapter": str(given.resolve()) if given else None,
        "settings": None if given else _plain(settings),
        "features": features,
        "seed": seed,
    }
    _check_out(out, about)
    with told(str(data), options=_OPTIONS, memory="lower --batch-prompts", kept=lambda: _kept(out)):
        found = _run(records, asked, out, base, given, settings, about, damping, device)
    if as_json:
        typer.echo(json.dumps(_content(found), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(found)


def _queries(
    records: "list[Record]", data: Path, file: Path | None, n: int, seed: int, columns: tuple[str, str]
) -> "list[Record]":
    """The queries of a file, or some examples of the data, which is said."""
    import numpy as np

    from mrtlab.spa.adapters import part_records

    if file is not None:
        return records_of(file, *columns, "score")
    total = sum(map(len, records))
    if n > total:
        fail(f"{data} holds {counted(total, 'example')}, fewer than --n-queries {n}: lower it, or give --queries", 2)
    typer.echo(
        f"Note: no --queries, so {counted(n, 'example')} of the data, drawn by chance, stand in for them. An example "
        "that is a query helps itself most.",
        err=True,
    )
    return part_records(records, np.random.default_rng((seed, 4)).permutation(total)[:n])


def _given_adapter(model: str) -> Path | None:
    from mrtlab.lm.shelf import ADAPTER as CONFIG

    return Path(model) if (Path(model) / CONFIG).is_file() else None


def _base_of(adapter: Path) -> str:
    """The base model that an adapter names."""
    from mrtlab.lm.shelf import look_at_adapter

    try:
        found = look_at_adapter(adapter)
    except ValueError as error:
        fail(str(error), 2)
    if found is None:
        fail(f"{adapter} holds an adapter without its weights: train or copy it anew", 2)
    if not found.base:
        fail(f"{adapter} names no base model: write it into base_model_name_or_path of its adapter_config.json", 2)
    return found.base


def _plain(settings: Any) -> dict[str, Any]:
    """Settings as they come back from JSON, so that both can be compared."""
    from dataclasses import asdict

    return json.loads(json.dumps(asdict(settings)))


def _check_out(out: Path, about: dict[str, Any]) -> None:
    """Leave if the folder holds something else than this run."""
    from mrtlab.data.records import RecordError
    from mrtlab.spa.scored import read_note

    check_folder_place(out)
    try:
        found = read_note(out)
    except RecordError as error:
        fail(f"{error} Delete the folder {out}, or give another", 2)
    if found is None:
        if out.is_dir() and any(out.iterdir()):
            fail(f"{out} is not empty and holds no scores: give the name of another folder", 2)
        return
    if another := _difference(found, about):
        fail(f"{out} holds scores with {another}: repeat what began them, or give another folder", 2)


def _difference(found: dict[str, Any], about: dict[str, Any]) -> str:
    """What is different in the run that a folder holds, in a few words; nothing if it is this one."""
    for name, label in {"source": "other data", "queries": "other queries"}.items():
        then, now = ({key: v for key, v in one.items() if key != "file"} for one in (found.get(name, {}), about[name]))
        if then != now:
            return f"{label}, {_named(found.get(name, {}))} instead of {_named(about[name])}"
    if found.get("base") != about["base"] or found.get("adapter") != about["adapter"]:
        before = found.get("adapter") or found.get("base")
        return f"another --model, {before} instead of {about['adapter'] or about['base']}"
    settings = found.get("settings") or {}
    for name, now in (about["settings"] or {}).items():
        if settings.get(name) != now:
            return f"another --{name.replace('_', '-')}, {settings.get(name)} instead of {now}"
    for name in ("features", "seed"):
        if found.get(name) != about[name]:
            return f"another --{name}, {found.get(name)} instead of {about[name]}"
    return ""


def _named(source: dict[str, Any]) -> str:
    """A file by its name and fingerprint, or how many were drawn."""
    if "file" not in source:
        return f"{source.get('drawn')} drawn from the data"
    return f"{source['file']} ({source['sha256'][:8]})"


def _kept(out: Path) -> bool:
    from mrtlab.spa.scored import NOTE

    return (out / NOTE).is_file()


def _run(
    records: "list[Record]",
    asked: "list[Record]",
    out: Path,
    base: str,
    given: Path | None,
    settings: Any,
    about: dict[str, Any],
    damping: float,
    device: str,
) -> "Scored":
    """Step 0 unless an adapter was given, then gradients and scores."""
    from mrtlab.data.records_io import write_jsonl
    from mrtlab.lm.support import text_config
    from mrtlab.spa.adapters import load_adapters
    from mrtlab.spa.scored import NOTE, attribute, read_note
    from mrtlab.training.fine_tune import fitting
    from mrtlab.training.folder import read_run

    network, tokenizer = loaded(base, device)
    longest = getattr(text_config(network), "max_position_embeddings", None)
    records, notes = fitting(records, tokenizer, longest)
    asked, more = fitting(asked, tokenizer, longest)
    if not records or not asked:
        raise ValueError(f"no {'query' if records else 'response'} fits into {longest} tokens with its prompt")
    for note in dict.fromkeys(notes + more):
        typer.echo(f"Note: {note}", err=True)
    if read_note(out) is None:
        out.mkdir(exist_ok=True)
        write_jsonl(out / NOTE, [about])
    adapter = given or out / ADAPTER
    if not given and "after" not in (read_run(adapter) or {}):
        _step_0(network, tokenizer, records, adapter, base, settings, about)
        network, tokenizer = loaded(base, device)
    try:
        model = load_adapters(network, [adapter])
    except RuntimeError as error:
        raise ValueError(f"cannot put the adapter {adapter} on {base}: {str(error).splitlines()[0]}") from error
    with stoppable() as stopped, counting(stopped) as report:
        return attribute(
            model, tokenizer, records, asked, out,
            about=about, features=about["features"], seed=about["seed"], damping=damping, report=report,
        )  # fmt: skip


def _step_0(
    network: Any, tokenizer: Any, records: "list[Record]", out: Path, base: str, settings: Any, about: dict[str, Any]
) -> None:
    """One adapter from all of the data, as `mrtlab train mrt` makes it, with its report."""
    from mrtlab.cli_train import REPORT
    from mrtlab.lab.artifacts import write_whole
    from mrtlab.show.training_report import training_report
    from mrtlab.training.fine_tune import fine_tune

    typer.echo(f"Step 0: one adapter on all {counted(sum(map(len, records)), 'example')}", err=True)
    with stoppable() as stopped, watching(stopped) as watch:
        results = fine_tune(
            network, tokenizer, records, out, settings=settings, base=base, source=about["source"], watch=watch
        )
    then = [f"mrtlab evaluate --data {shlex.quote(about['source']['file'])} --model {shlex.quote(str(out))}"]
    write_whole(out / REPORT, training_report(results, command=command_line(), then=then))


def _content(found: "Scored") -> dict[str, Any]:
    """Everything for programs but the tables, which are in scores.npz."""
    from mrtlab.spa.scored import likeness, spreads

    asked = [{"prompt": prompt, "response": response} for prompt, response in pairs_of(found.queries)]
    measured = {"queries": asked, "spread": spreads(found.scores), "likeness": likeness(found.scores)}
    return {"folder": str(found.folder)} | dict(found.about) | measured


def _print(found: "Scored") -> None:
    from mrtlab.show.evaluation import cut
    from mrtlab.spa.scored import METHODS, likeness, spreads

    n, m = found.about["n"], found.about["m"]
    features = found.gradients().rows.shape[1]
    typer.echo(f"{counted(n, 'example')} scored against {m:,} queries; {features:,} numbers stand for a gradient")
    spread = spreads(found.scores)
    asked = pairs_of(found.queries)
    rows = [
        [cut(prompt, _CUT), cut(answer, _CUT), *(f"{spread[name][j]:.2f}" for name in METHODS)]
        for j, (prompt, answer) in enumerate(asked[:_SHOWN])
    ]
    some = f" (the first {_SHOWN})" if m > _SHOWN else ""
    title = f"how much the scores of a query vary over the examples, 1 = their mean{some}"
    print_table(title, ("query", "answer", *METHODS), rows, wide=("query", "answer"))
    rows = [
        [" and ".join(pair["methods"]), "–" if pair["rank"] is None else f"{pair['rank']:.2f}", f"{pair['parts']:.0%}"]
        for pair in likeness(found.scores)
    ]
    columns = ("methods", "rank correlation", "same part")
    print_table("how alike the methods are, mean over queries", columns, rows, wide=("methods",))
    typer.echo(f"Saved: {found.folder}")
    typer.echo(f"Next:  mrtlab spa partition {shlex.quote(str(found.folder))} --k {min(8, m)} --out parts")
