"""The command `mrtlab spa evaluate`: how right and how varied the adapters' answers are, next to one model's."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrtlab.cli_common import (
    check_place,
    command_line,
    counted,
    examples,
    fail,
    lm_needed,
    loaded,
    stoppable,
    write_page,
)
from mrtlab.cli_lm import DeviceOption
from mrtlab.cli_spa_answers import Answers
from mrtlab.cli_spa_ask import Asked, asked_of_family, asked_of_file
from mrtlab.cli_spa_common import (
    AdaptersArgument,
    BaseOption,
    JsonOption,
    adapter_folders,
    counting,
    loaded_with,
    note_of,
    print_table,
    told,
)

if TYPE_CHECKING:
    from mrtlab.spa.compare import Arm

EXAMPLES = examples(
    "mrtlab spa evaluate adapters --family programs --against scores/adapter --report spa.html",
    "mrtlab spa evaluate adapters --data problems.jsonl --n 4 --temperature 0.5 --answers answers.jsonl --json",
)
_READ = 256  # examples on which adapters are compared token by token


def evaluate(
    adapters: AdaptersArgument,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prompts: a text file with one on each line, or a .jsonl file; if they have tests, answers are run.",
            show_default=False,
        ),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Instead: a family with a known truth, such as programs.", show_default=False)
    ] = None,
    questions: Annotated[int, typer.Option(min=1, max=1000, help="Of the family, in held-out wordings.")] = 24,
    model: BaseOption = None,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Answers of each adapter to a prompt.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of the adapters; 0 takes the likeliest.")] = 0.0,
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare with one model or adapter: as many answers, drawn from it alone. The adapter of step 0 is "
            "SCORES/adapter.",
            show_default=False,
        ),
    ] = None,
    temperatures: Annotated[str, typer.Option(help="Of --against, with commas between.")] = "0.1,0.5,1",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longer answers are cut here.")] = 128,
    answers: Annotated[
        Path | None,
        typer.Option(
            help="Keep every answer in this file; a run that was stopped goes on from it.", show_default=False
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write an HTML page with figures, which opens offline.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the questions, the draws and the intervals.")] = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Ask all adapters, and one model for comparison, and measure both in the same way.

    pass@1 and pass@k where answers can be judged; share of different answers, and of pairs that differ; Vendi score;
    algorithms in effect, for programs; how far the adapters are from each other, token by token. Means over prompts
    with 95 % intervals.
    """
    if (data is None) == (family is None):
        fail("give --data FILE or --family NAME" + ("; not both" if data else ", such as --family programs"), 2)
    if n > 1 and temperature == 0:
        fail(f"--n {n} at temperature 0 would be the same {n} times: give a --temperature above 0", 2)
    warm = _temperatures(temperatures)
    for place in (report, answers):
        if place is not None:
            check_place(place)
    folders = adapter_folders(adapters)
    if len(folders) * n < 2:
        fail(f"{adapters} holds one adapter: to compare answers raise --n, with a --temperature above 0", 2)
    lm_needed("peft")
    asked = asked_of_file(data) if data else asked_of_family(family, questions, seed=seed, split="held_out")
    settings = {"n": n, "temperature": temperature, "max_new_tokens": max_new_tokens, "seed": seed}
    memory = "lower --n or --max-new-tokens"
    with asked, told(str(data or adapters), memory=memory, kept=lambda: answers is not None):
        kept = Answers.open(answers, _header(adapters, model, asked, against, settings))
        results = _results(folders, asked, model, against, warm, settings, device, kept)
        kept.close()
    results = {"adapters": str(adapters)} | results
    if report is not None:
        from mrtlab.show.spa_report import spa_report

        write_page(report, spa_report(results, command=command_line(), then=_then(adapters, results)))
    if as_json:
        typer.echo(json.dumps({"report": str(report) if report else None} | results, indent=2, ensure_ascii=False))
    else:
        _print(results, report, answers)


def _temperatures(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= one < float("inf") for one in found):
        fail(f"--temperatures is {text!r}; give numbers of 0 or more with commas between, such as 0.1,0.5,1", 2)
    return list(dict.fromkeys(found))


def _header(
    adapters: Path, model: str | None, asked: Asked, against: str | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """What a file of answers belongs to."""
    import hashlib

    from mrtlab.data.records import prompt_text

    prompts = hashlib.sha256(json.dumps([prompt_text(prompt) for prompt in asked.prompts]).encode()).hexdigest()
    said = {"adapters": str(adapters), "note": note_of(adapters), "model": model, "against": against}
    return said | {"prompts": prompts, "settings": settings}


def _results(
    folders: list[Path],
    asked: Asked,
    model: str | None,
    against: str | None,
    warm: list[float],
    settings: dict[str, Any],
    device: str,
    kept: Answers,
) -> dict[str, Any]:
    """All arms, answered, judged and summed up."""
    from mrtlab.spa.compare import ks_for, side_by_side
    from mrtlab.spa.kin import kinds

    note = note_of(folders[0].parent)
    network, tokenizer, names = loaded_with(folders, model, device)
    with stoppable() as stopped, counting(stopped) as count:
        arms = [_adapters(network, tokenizer, names, asked, note.get("rule", "unknown"), settings, kept, count)]
        kl = _kl(network, tokenizer, names, asked, arms[0])
        if against is not None:
            del network
            arms += _singles(against, asked, len(arms[0].by), warm, settings, device, kept, count)
    ks, kind = ks_for(len(arms[0].by)), kinds if asked.programs else None
    right = arms[0].right_by() or {}
    sizes = note.get("examples") or [None] * len(names)
    return {
        "base": model or note.get("base"),
        "rule": arms[0].kind,
        "k": len(names),
        "settings": settings | {"against": against},
        "source": {"name": asked.name, "prompts": len(asked.prompts), "judged": asked.judge is not None},
        "parts": [
            {"adapter": name, "examples": size, "right": right.get(name)}
            for name, size in zip(names, sizes, strict=True)
        ],
        "arms": [
            {"name": arm.name, "kind": arm.kind, "temperature": arm.temperature, "answers": len(arm.by)}
            | {"numbers": arm.numbers(ks=ks, kind=kind, seed=settings["seed"])}
            for arm in arms
        ],
        "kl": kl,
        "examples": side_by_side(arms[0], asked.prompts),
    }


def _adapters(
    network: Any,
    tokenizer: Any,
    names: list[str],
    asked: Asked,
    rule: str,
    settings: dict[str, Any],
    kept: Answers,
    count: Callable[[str, int, int], None],
) -> "Arm":
    """All adapters in one batch, prompt by prompt."""
    from mrtlab.lm.sampling import Sampler
    from mrtlab.spa.compare import Arm
    from mrtlab.spa.stacked import sample_each

    def draw(prompt: Any) -> list[str]:
        [each] = sample_each(
            network, tokenizer, [prompt], adapters=names, seed=settings["seed"], n=settings["n"],
            sampler=Sampler(temperature=settings["temperature"]), max_new_tokens=settings["max_new_tokens"],
        )  # fmt: skip
        return [text for texts in each for text in texts]

    name = counted(len(names), "adapter")
    texts, passed = _answered(name, draw, asked, kept, count)
    by = tuple(adapter for adapter in names for _ in range(settings["n"]))
    return Arm(name=name, kind=rule, temperature=settings["temperature"], by=by, answers=texts, passed=passed)


def _singles(
    against: str,
    asked: Asked,
    n: int,
    warm: list[float],
    settings: dict[str, Any],
    device: str,
    kept: Answers,
    count: Callable[[str, int, int], None],
) -> "list[Arm]":
    """One model alone, as many answers, at several temperatures."""
    from mrtlab.lm.sampling import Sampler, sample
    from mrtlab.spa.compare import Arm

    network, tokenizer = loaded(against, device)
    arms = []
    for heat in warm:

        def draw(prompt: Any, heat: float = heat) -> list[str]:
            [texts] = sample(
                network, tokenizer, [prompt], n=n, seed=settings["seed"], sampler=Sampler(temperature=heat),
                max_new_tokens=settings["max_new_tokens"],
            )  # fmt: skip
            return texts

        texts, passed = _answered(f"single at {heat:g}", draw, asked, kept, count)
        by = ("one model",) * n
        arms.append(Arm(name="one model", kind="single", temperature=heat, by=by, answers=texts, passed=passed))
    return arms


def _answered(
    arm: str,
    draw: Callable[[Any], list[str]],
    asked: Asked,
    kept: Answers,
    count: Callable[[str, int, int], None],
) -> tuple[list[list[str]], list[list[bool]] | None]:
    """The answers of an arm to all prompts with their verdicts, those that are kept from before included."""
    total = len(asked.prompts)
    rows = []
    for place, prompt in enumerate(asked.prompts):

        def make(prompt: Any = prompt) -> dict[str, Any]:
            texts = draw(prompt)
            return {"answers": texts, "passed": asked.verdicts(prompt, texts)}

        rows.append(kept.take(arm, place, make))
        count(arm, place + 1, total)
    passed = [row["passed"] for row in rows]
    return [row["answers"] for row in rows], None if asked.judge is None else passed


def _kl(network: Any, tokenizer: Any, names: list[str], asked: Asked, arm: "Arm") -> dict[str, Any] | None:
    """How far the adapters are from each other, on texts that are named; None for a single adapter."""
    import warnings

    from mrtlab.data.records import Record
    from mrtlab.lm.support import text_config
    from mrtlab.spa.diversity import adapter_kl, symmetric_kl
    from mrtlab.spa.gradients import examples_of
    from mrtlab.training.fine_tune import fitting

    if len(names) < 2:
        return None
    records, text = list(asked.reference), asked.reference_name
    if not records:
        text = "the adapters' own answers to these prompts"
        given = zip(asked.prompts, arm.answers, strict=True)
        own = [(prompt, [t for t in dict.fromkeys(texts) if t.strip()]) for prompt, texts in given]
        records = [Record(prompt, tuple(texts)) for prompt, texts in own if texts]
    records, _ = fitting(records, tokenizer, getattr(text_config(network), "max_position_embeddings", None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the seam between prompt and answer
        read = examples_of(records, tokenizer)[:_READ]
    if not read:
        return None
    matrix = adapter_kl(network, read, adapters=names)
    tokens = sum(len(one.answer_ids) for one in read)
    return {"text": text, "examples": len(read), "tokens": tokens, "symmetric": symmetric_kl(matrix)} | {
        "matrix": matrix.tolist()
    }


def _then(adapters: Path, results: dict[str, Any]) -> list[str]:
    """What to run next."""
    prompt = results["examples"][0]["prompt"]
    name = shlex.quote(str(adapters))
    said = []
    if isinstance(prompt, str) and len(prompt) <= 80 and "\n" not in prompt:
        said.append(f"mrtlab spa sample {shlex.quote(prompt)} --adapters {name}")
    source = note_of(adapters).get("source")
    if results["rule"] != "seeds" and source:
        again = f"mrtlab spa partition {shlex.quote(source)} --k {results['k']} --rule seeds --out control"
        said.append(f"{again}  # the control: do the parts matter, or the seeds alone?")
    return said


def _print(results: dict[str, Any], report: Path | None, answers: Path | None) -> None:
    from mrtlab.show.spa_report import LABELS
    from mrtlab.spa.compare import band_text, measures_of

    arms = results["arms"]
    columns = ("measured", *(f"{arm['name']},\nat {arm['temperature']:g}" for arm in arms))
    rows = [
        [LABELS.get(name, name), *(band_text(arm["numbers"].get(name)) for arm in arms)] for name in measures_of(arms)
    ]
    source = results["source"]
    asked = f"{counted(source['prompts'], 'prompt')} of {source['name']}, {arms[0]['answers']} answers to each"
    title = f"{asked}; means with 95 % intervals over prompts; at: the temperature"
    print_table(title, columns, rows, wide=("measured",))
    if not source["judged"]:
        typer.echo("Note: nobody judged whether answers are right; prompts with tests would.", err=True)
    if kl := results["kl"]:
        typer.echo(
            f"The adapters' laws are {kl['symmetric']:.4f} nats apart for a token (symmetric KL, mean over pairs), "
            f"read on {kl['text']}: {counted(kl['examples'], 'text')}, {counted(kl['tokens'], 'token')}."
        )
    if report is not None:
        typer.echo(f"Report:  {report}")
    if answers is not None:
        typer.echo(f"Answers: {answers}")
