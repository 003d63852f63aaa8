"""The report of `mrtlab train`: one HTML file with the run, and what it changed on prompts it never saw."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

import mrtlab
from mrtlab.data.records import Message, prompt_text
from mrtlab.show import sheet, svg
from mrtlab.show.evaluation import cut
from mrtlab.show.loss_curve import LossCurve
from mrtlab.training.before_after import FEW

CHANGE_LABELS = {
    "nll": "−log p of a response, nats",
    "mass": "mass on listed responses",
    "entropy": "entropy among them, nats",
}
_NAMES = {"held_out": "held-out", "train": "training"}
_FACTS = {
    "rule": "which responses",
    "k": "K",
    "redraw": "drawn anew at every epoch",
    "lora_rank": "rank of the adapter",
    "epochs": "epochs",
    "batch_prompts": "prompts in a step",
    "accumulate": "parts of a step",
    "lr": "learning rate",
    "normalisation": "loss is a mean over each",
    "max_length": "longest, in tokens",
    "eval_share": "share held out",
    "seed": "seed",
}


def headline(results: Mapping[str, Any]) -> str:
    """What the run did to the likelihood of responses, in a sentence that the numbers decide.

    >>> change = {"nll": {"before": [3.0, 2.8, 3.2], "after": [2.5, 2.2, 2.7], "change": [-0.5, -0.8, 0.1]}}
    >>> headline({"change": {"held_out": change}, "before": {"held_out": {"nll": [3.0] * 9}}})
    'No clear change on held-out prompts: a response costs 2.50 nats, before it was 3.00'
    """
    name, change = next(iter(results["change"].items()))
    before, after = change["nll"]["before"][0], change["nll"]["after"][0]
    _, low, high = change["nll"]["change"]
    if len(results["before"][name]["nll"]) < FEW:
        verdict = "Too little to judge by"
    elif low <= 0 <= high:
        verdict = "No clear change"
    else:
        verdict = "Responses became likelier" if high < 0 else "Responses became less likely"
    return f"{verdict} on {_NAMES[name]} prompts: a response costs {after:.2f} nats, before it was {before:.2f}"


def training_report(
    results: Mapping[str, Any], *, command: str = "", then: Sequence[str] = (), today: date | None = None
) -> str:
    """The whole page.

    Args:
        results: of `mrtlab.training.fine_tune.fine_tune`.
        command: the command line that made it, shown so that others can repeat it.
        then: commands to run next.
        today: the date to print; the current one if left out.

    Returns:
        HTML without scripts, links or other files.
    """
    counts, name = results["prompts"], next(iter(results["change"]))
    body = [
        f"<h1>{escape(headline(results))}</h1>",
        f'<p class="from">{escape(results["base"])} on {escape(results["source"]["file"])}: {counts["train"]:,} '
        f"prompts to train on, {counts['held_out']:,} held out. Intervals are 95 %, over prompts. Probabilities are "
        "exact, the end of the response included.</p>",
        *(f'<p class="remark">{escape(note)}</p>' for note in results["notes"]),
        _loss(results["loss"]),
        _prompts(results, name),
        *(_change(results, which) for which in results["change"]),
        _examples(results, name),
        _cost(results["cost"], results["trained"]),
        _settings(results["settings"] | results["used"]),
        "<h2>What to run next</h2>",
        *(f"<p><code>{escape(line)}</code></p>" for line in then),
        _foot(command, today),
    ]
    return sheet.page(f"Training on {results['source']['file']}", body)


def _loss(points: Sequence[Sequence[float]]) -> str:
    """Loss against steps: each as a dot, a running mean as the line."""
    curve = LossCurve.of(points)
    y = svg.round_steps(max(curve.losses), low=min(curve.losses))
    x = svg.round_steps(curve.steps[-1], low=0)
    axes = svg.Axes(x=(0.0, max(x[-1], 1.0)), y=(y[0], y[-1]))
    parts = svg.frame(axes, x_ticks=[(v, f"{v:g}") for v in x], y_ticks=y, x_title="step", y_title="training loss")
    parts += [
        svg.dot(step, loss, axes, kind="loss", size=2) for step, loss in zip(curve.steps, curve.losses, strict=True)
    ]
    parts.append(svg.path(list(curve.steps), list(curve.mean), axes, kind="curve"))
    rows = [[str(step), f"{loss:.3f}", f"{mean:.3f}"] for step, loss, mean in curve.some_rows()]
    ends = f"from {curve.losses[0]:.3g} to {curve.losses[-1]:.3g}"
    return sheet.figure(
        f"{curve.verdict}, {curve.ends}",
        svg.chart(parts, alt=f"Loss over {curve.steps[-1]} steps, {ends}."),
        f"Each dot is the loss of a step, on its own prompts; the line is a mean over {curve.window} of them.",
        sheet.details(sheet.table(("step", "loss", "running mean"), rows)),
    )


def _prompts(results: Mapping[str, Any], name: str) -> str:
    """Before against after, a dot for each prompt."""
    before, after = results["before"][name]["nll"], results["after"][name]["nll"]
    steps = svg.round_steps(max(*before, *after), low=min(*before, *after))
    ends = (steps[0], steps[-1])
    axes = svg.Axes(x=ends, y=ends)
    parts = svg.frame(
        axes,
        x_ticks=[(v, f"{v:g}") for v in steps],
        y_ticks=steps,
        x_title="−log p of a response before, nats",
        y_title="after, nats",
    )
    parts.append(svg.line((ends[0], ends[0]), (ends[1], ends[1]), axes, kind="grid"))
    parts += [svg.dot(old, new, axes, kind="loss", size=4) for old, new in zip(before, after, strict=True)]
    better = sum(new < old for old, new in zip(before, after, strict=True))
    return sheet.figure(
        f"Responses became likelier for {better:,} of {len(before):,} {_NAMES[name]} prompts",
        svg.chart(parts, alt=f"Scatter of {len(before)} prompts; {better} lie below the diagonal."),
        "A dot is a prompt, with the mean over its responses. Below the diagonal: likelier after training.",
        "",
    )


def _change(results: Mapping[str, Any], name: str) -> str:
    measured = len(results["before"][name]["nll"])
    some = "" if measured == results["prompts"][name] else f" {measured} of them, drawn at random, were measured."
    table = sheet.table(sheet.CHANGE_COLUMNS, sheet.change_rows(results["change"][name], CHANGE_LABELS, line="; "))
    title = f"Before and after, on {_NAMES[name]} prompts"
    return f'<h2>{title}</h2>\n<p>{results["prompts"][name]:,} prompts.{some}</p>\n<div class="scroll">{table}</div>'


def _examples(results: Mapping[str, Any], name: str) -> str:
    """Responses of a few prompts, with their probabilities before and after."""
    pieces = [
        "<h2>Response by response</h2>\n<p>One prompt in every so many of the file, not the best ones. Grey: before. "
        "Blue: after.</p>"
    ]
    pairs = zip(results["before"][name]["examples"], results["after"][name]["examples"], strict=True)
    for old, new in pairs:
        prompt = old["prompt"] if isinstance(old["prompt"], str) else tuple(Message(**m) for m in old["prompt"])
        rows: list[tuple[str, Sequence[tuple[float, str]], str]] = []
        top = max(p for _, p in old["responses"] + new["responses"])
        for (text, before), (_, after) in zip(old["responses"], new["responses"], strict=True):
            rows.append((cut(text, 26), ((before, "between"),), f"{before:.2g}"))
            rows.append(("", ((after, "multi"),), f"{after:.2g}"))
        alt = f"Probabilities of {len(old['responses'])} responses before and after."
        bars = sheet.bars(rows, top=max(top, 1e-300), alt=alt)
        pieces.append(f"<p><b>{escape(cut(prompt_text(prompt), 160))}</b></p>\n{bars}")
    return "\n".join(pieces)


def _cost(cost: Mapping[str, Any], trained: int) -> str:
    tree, copies = cost["tokens_tree"], cost["tokens_copies"]
    seconds = cost["seconds"]
    time = f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.1f} s"
    rows = [
        ["tokens fed, each prompt once (as trained)", f"{tree:,}"],
        ["tokens fed, a copy of the prompt with each response", f"{copies:,}"],
        ["responses learned from, over all epochs", f"{cost['responses']:,}"],
        ["steps", f"{cost['steps']:,}"],
        ["time of training", time],
        ["weights trained", f"{trained:,}"],
    ]
    return (
        f"<h2>Copies would have fed {copies / tree:.1f} times the tokens</h2>\n"
        f'<div class="scroll">{sheet.table(("cost", ""), rows)}</div>'
    )


def _settings(settings: Mapping[str, Any]) -> str:
    flat = {**settings["choice"], **settings}
    words = {"True": "yes", "False": "no"}
    if flat["rule"] == "all":
        flat["k"] = "all"
    if flat["rule"] not in ("random", "softmax"):
        flat["redraw"] = "the rule has no chance in it"
    if flat["lora_rank"] is None:
        flat["lora_rank"] = "none, every weight was trained"
    rows = [[label, words.get(str(flat[name]), str(flat[name]))] for name, label in _FACTS.items() if name in flat]
    return f'<h2>Settings</h2>\n<div class="scroll">{sheet.table(("setting", "value"), rows)}</div>'


def _foot(command: str, today: date | None) -> str:
    how = f" with <code>{escape(command)}</code>" if command else ""
    return f"<footer><p>Made by mrtlab {mrtlab.__version__} on {today or date.today():%d %B %Y}{how}.</p></footer>"
