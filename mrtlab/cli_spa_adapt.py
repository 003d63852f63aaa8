"""The command `mrtlab spa adapt`: one adapter for each part, all with the same number of steps."""

import json
import shlex
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrtlab.cli_common import base_name, counted, examples, fail, lm_needed, loaded, records_of, stoppable
from mrtlab.cli_lm import DeviceOption, ModelOption
from mrtlab.cli_spa_common import NOTE, JsonOption, check_folder_place, note_of, print_table, told
from mrtlab.cli_spa_partition import NOTE as PARTS
from mrtlab.cli_train import as_option, sha256_of, watching

if TYPE_CHECKING:
    from mrtlab.data.records import Record
    from mrtlab.training.watch import Watch

EXAMPLES = examples(
    "mrtlab spa adapt parts --steps 400 --out adapters",
    "mrtlab spa adapt control --model Qwen/Qwen3-0.6B --seed 1 --only 0,2 --device cuda:1 --out seeds",
)
_OPTIONS = ("lora_rank", "batch_prompts", "warmup", "steps", "lr")


def adapt(
    parts: Annotated[Path, typer.Argument(help="A folder that `mrtlab spa partition` made.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="The folder of adapters to make; they are named after it.", show_default=False)
    ],
    model: ModelOption = "embedded",
    steps: Annotated[int, typer.Option(help="Of every adapter, whatever the size of its part.")] = 400,
    batch_prompts: Annotated[int, typer.Option(help="Prompts in a step, each with its responses.")] = 8,
    lora_rank: Annotated[int, typer.Option(min=1, max=1024, help="Of every adapter, on all linear layers.")] = 16,
    lr: Annotated[
        float | None,
        typer.Option(help="Peak learning rate.", show_default="1e-3 for a small model, else 2e-4"),
    ] = None,
    warmup: Annotated[int, typer.Option(help="Steps of warm-up, a twentieth of all at most.")] = 20,
    normalisation: Annotated[
        str, typer.Option(help="token: long responses weigh more, as in TRL. response: all weigh the same.")
    ] = "token",
    seed: Annotated[int, typer.Option(min=0, help="Of adapter 0; adapter k takes this plus k.")] = 0,
    only: Annotated[
        str | None,
        typer.Option(help="Parts to train here, such as 0,2, while other cards train others.", show_default="all"),
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train an adapter on each part, from one frozen base model, with equal steps.

    The adapters are ordinary folders of peft's, ADAPTERS/ADAPTERS-0 and so on: names that no server mixes up. Stop it
    with Ctrl-C, or lose power: the same command goes on, and leaves finished adapters alone. No adapter needs another:
    with --only, several cards or machines that see one disk train a few each into the same folder.
    """
    said = _note(parts)
    if normalisation not in ("token", "response"):
        fail(f"--normalisation is {normalisation!r}; it must be token or response", 2)
    records = _parts(parts, said)
    chosen = _chosen(only, len(records))
    lm_needed("accelerate", "peft")
    from mrtlab.spa.adapters import AdaptSettings, finished, train_adapters, vllm_command

    try:
        settings = AdaptSettings(
            steps=steps, batch_prompts=batch_prompts, lora_rank=lora_rank, lr=lr, warmup=warmup,
            normalisation=normalisation, seed=seed,
        )  # fmt: skip
    except ValueError as error:
        fail(as_option(str(error), _OPTIONS), 2)
    base = base_name(model)
    about = {
        "parts": {"folder": str(parts), "sha256": sha256_of(parts / PARTS)},
        "source": said.get("source", {}).get("file"),
        "rule": said["rule"],
        "k": len(records),
        "examples": [sum(map(len, part)) for part in records],
        "base": base,
        "settings": asdict(settings),
    }
    _check_out(out, about)
    network, tokenizer = loaded(model, device)
    memory = "lower --batch-prompts or --lora-rank"
    with told(str(parts), options=_OPTIONS, memory=memory, kept=lambda: bool(note_of(out))):
        _begin(out, about)
        with stoppable() as stopped, watching(stopped) as watch:
            numbered = _numbered(watch, out, records, chosen)
            folders = train_adapters(
                network, tokenizer, records, out, base=base, settings=settings, only=chosen, watch=numbered
            )
        there = [k for k, folder in enumerate(folders) if finished(folder)]
        served = _served(vllm_command, folders) if len(there) == len(folders) else None
    content = (
        {"folder": str(out)}
        | about
        | {
            "adapters": [_one(folders[k], records[k]) for k in there],
            "missing": [k for k in range(len(folders)) if k not in there],
        }
    )
    if as_json:
        typer.echo(json.dumps(content | {"vllm": served}, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(out, content, said, served)


def _note(parts: Path) -> dict[str, Any]:
    """What the partition says about itself."""
    from mrtlab.data.records import RecordError
    from mrtlab.data.records_io import read_jsonl

    if not (parts / PARTS).is_file():
        fail(f"{parts} holds no parts: expected a folder with {PARTS}, made by `mrtlab spa partition`", 2)
    try:
        said = next((row for _, row in read_jsonl(parts / PARTS)), {})
    except RecordError as error:
        fail(str(error), 2)
    files = said.get("parts")
    if not isinstance(files, list) or not files or not all(isinstance(p, dict) and "file" in p for p in files):
        fail(f"{parts / PARTS} lists no parts: make them anew with `mrtlab spa partition`", 2)
    return {"rule": "unknown"} | said


def _parts(parts: Path, said: dict[str, Any]) -> "list[list[Record]]":
    """The records of every part; a file that is named several times is read once."""
    names = [part["file"] for part in said["parts"]]
    read = {name: records_of(parts / name, "prompt", "response", "score") for name in dict.fromkeys(names)}
    for name, part in zip(names, said["parts"], strict=True):
        if (now := sum(map(len, read[name]))) != part.get("examples", now):
            typer.echo(f"Note: {name} holds {now:,} examples now, {part['examples']:,} when it was made.", err=True)
    return [read[name] for name in names]


def _check_out(out: Path, about: dict[str, Any]) -> None:
    """Leave if the folder holds something else, or adapters of other settings."""
    check_folder_place(out)
    found = note_of(out)
    if not found:
        if out.is_dir() and any(out.iterdir()):
            fail(f"{out} is not empty and holds no adapters of this command: give another folder", 2)
        return
    for name in ("base", "k", "rule"):
        if found.get(name) != about[name]:
            was, now = found.get(name), about[name]
            fail(f"{out} holds adapters of another {name}, {was} instead of {now}: give another folder", 2)
    for name, wanted in about["settings"].items():
        if (was := found.get("settings", {}).get(name)) != wanted:
            option = f"--{name.replace('_', '-')}"
            fail(f"{out} holds adapters with another {option}, {was} instead of {wanted}: give another folder", 2)
    then = found.get("parts", {})
    if then.get("sha256") != about["parts"]["sha256"]:
        fail(f"{out} holds adapters of other parts, of {then.get('folder')}: give another folder", 2)


def _begin(out: Path, about: dict[str, Any]) -> None:
    """Write down what the folder is for before the first step, so that a run that is cut off can be told apart."""
    from mrtlab.data.records_io import write_jsonl

    if note_of(out):
        return
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as made:
        new = Path(made) / out.name
        new.mkdir()
        write_jsonl(new / NOTE, [about])
        try:
            new.rename(out)  # seen with the note in it, or not at all: others may begin at the same moment
        except OSError:
            if not note_of(out):  # a folder that cannot be replaced, a link for example
                write_jsonl(out / NOTE, [about])


def _chosen(only: str | None, k: int) -> list[int]:
    """The parts that --only names; all without it."""
    if only is None:
        return list(range(k))
    words = [word.strip() for word in only.split(",")]
    if not all(word.isdecimal() and int(word) < k for word in words) or len(set(words)) < len(words):
        fail(f"--only is {only!r}; it must name parts from 0 to {k - 1}, each once, with commas between", 2)
    return sorted(map(int, words))


def _numbered(watch: "Watch", out: Path, records: "list[list[Record]]", chosen: list[int]) -> "Watch":
    """A watch that says which adapter it is whenever one begins."""
    from mrtlab.spa.adapters import finished

    before = [k for k in range(len(records)) if finished(out / f"{out.name}-{k}")]
    if before:
        typer.echo(f"Finished before: {counted(len(before), 'adapter')}", err=True)
    waiting = iter([k for k in chosen if k not in before])

    def began() -> None:
        k = next(waiting)
        n = sum(map(len, records[k]))
        watch.note(f"adapter {out.name}-{k}, {k + 1} of {len(records)}, from {counted(n, 'example')}")

    return replace(watch, began=began)


def _one(folder: Path, records: "list[Record]") -> dict[str, Any]:
    """What an adapter's run.json says, in short."""
    from mrtlab.training.folder import read_run

    run = read_run(folder) or {}
    losses = [loss for _, loss in run.get("loss", [])]
    tail = losses[-max(1, len(losses) // 10) :]
    return {
        "folder": str(folder),
        "examples": sum(map(len, records)),
        "passes": run["steps"] * run["settings"]["batch_prompts"] / len(records),
        "loss_first": losses[0] if losses else None,
        "loss_last": sum(tail) / len(tail) if tail else None,
    }


def _served(vllm_command: Any, folders: list[Path]) -> list[str] | None:
    """The words of the command that serves them, None where vLLM cannot."""
    try:
        return vllm_command(folders)
    except ValueError:
        return None


def _print(out: Path, content: dict[str, Any], said: dict[str, Any], served: list[str] | None) -> None:
    rows = [
        [Path(one["folder"]).name, f"{one['examples']:,}", f"{one['passes']:.1f}",
         *("–" if one[loss] is None else f"{one[loss]:.3f}" for loss in ("loss_first", "loss_last"))]
        for one in content["adapters"]
    ]  # fmt: skip
    title = f"{counted(len(rows), 'adapter')}, {content['settings']['steps']:,} steps each, from {content['base']}"
    print_table(title, ("adapter", "examples", "passes", "loss at first", "last tenth"), rows, wide=("adapter",))
    name = shlex.quote(str(out))
    typer.echo(f"Saved: {out}")
    if content["missing"]:
        numbers = ", ".join(map(str, content["missing"]))
        typer.echo(f"Missing: {numbers}. When they are there, the same command without --only says what comes next;")
        typer.echo("it trains those that nobody has trained.")
        return
    first = (said["parts"][0].get("query") or {}).get("prompt")
    asked = first if first and len(first) <= 80 and "\n" not in first else "Write f(x) that returns twice x."
    typer.echo(f"Next:  mrtlab spa sample {shlex.quote(asked)} --adapters {name}")
    if served and content["base"] != "embedded":
        typer.echo(f"Serve them with vLLM, on a GPU: {shlex.join(served)}")
