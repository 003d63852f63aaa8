"""The report of `mrtlab train diffuse`: one HTML file with every law before and after, against its target."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

import mrtlab
from mrtlab.data.records import Message, prompt_text
from mrtlab.show import sheet, svg
from mrtlab.show.evaluation import cut

ANCHOR_COLUMNS = (
    "anchors",
    "prompts",
    "KL from the base, nats",
    "−log p, before",
    "after",
    "likeliest, before",
    "after",
)
FAMILY_COLUMNS = ("family", "use", "prompts", "KL before", "KL after", "mass before", "mass after")
CHANGE_LABELS = {
    "kl": "KL(target ‖ model), nats",
    "validity_kl": "of that, mass off the list: −log m",
    "shape_kl": "of that, unevenness on the list",
    "mass": "mass on listed answers, m",
    "tv": "total variation; excess over a perfect model",
    "entropy": "entropy among listed answers, nats",
    "top": "probability of the likeliest answer",
}
_USES = {"train": "prompts that were trained", "measure": "prompts that were only measured"}
_ANCHORED = {"held": "held", "free": "left free, to see"}
_FACTS = {
    "lora_rank": "rank of the adapter",
    "passes": "passes",
    "batch_prompts": "prompts in a step",
    "lr": "learning rate",
    "stop": "early stop, γ",
    "anchor_weight": "weight of the anchor",
    "anchor_rows": "anchor prompts in a step",
    "mix": "share left to the base model",
    "mix_draws": "draws for it",
    "casings": "letter case and full stops pooled",
    "seed": "seed",
}
_PROMPTS = 16  # that are drawn
_ANSWERS = 14  # of each of them


def headline(results: Mapping[str, Any]) -> str:
    """What the run did to the distance from the target, in a sentence that the numbers decide.

    >>> change = {"train": {"kl": {"before": [1.5, 1.4, 1.6], "after": [0.02, 0.01, 0.03]}}}
    >>> headline({"change": change, "prompts": [{"use": "train"}]})
    'On 1 trained prompt the distance from the target fell from 1.50 to 0.02 nats'
    """
    kl = results["change"]["train"]["kl"]
    before, after = kl["before"][0], kl["after"][0]
    n = sum(row["use"] == "train" for row in results["prompts"])
    way = "fell" if after < before else "did not fall: it went"
    plural = "" if n == 1 else "s"
    return f"On {n:,} trained prompt{plural} the distance from the target {way} from {before:.2f} to {after:.2f} nats"


def anchor_rows(anchors: Mapping[str, Any]) -> list[list[str]]:
    """What is left of the base model: anchors that were held, and those that were not."""
    rows = []
    for name, numbers in anchors.items():
        before, after = ({key: sum(v) / len(v) for key, v in numbers[when].items()} for when in ("before", "after"))
        cells = [f"{after['kl']:.3f}", f"{before['nll']:.3f}", f"{after['nll']:.3f}"]
        shares = [f"{before['greedy']:.0%}", f"{after['greedy']:.0%}"]
        rows.append([_ANCHORED[name], str(len(numbers["after"]["kl"])), *cells, *shares])
    return rows


def family_rows(prompts: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Means by family and use, in the order of their first appearance."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in prompts:
        groups.setdefault((row["family"] or "no name", row["use"]), []).append(row)
    return [
        [family, use, str(len(rows))]
        + [f"{_mean(rows, when, name):.3f}" for name in ("kl", "mass") for when in ("before", "after")]
        for (family, use), rows in groups.items()
    ]


def diffuse_report(
    results: Mapping[str, Any], *, command: str = "", then: Sequence[str] = (), today: date | None = None
) -> str:
    """The whole page.

    Args:
        results: of `mrtlab.training.diffuse_run.train_diffuse`.
        command: the command line that made it, shown so that others can repeat it.
        then: commands to run next.
        today: the date to print; the current one if left out.

    Returns:
        HTML without scripts, links or other files.
    """
    source = results["source"]["file"]
    body = [
        f"<h1>{escape(headline(results))}</h1>",
        f'<p class="from">{escape(results["base"])} on {escape(source)}. Probabilities are exact, all spellings of an '
        "answer together. Intervals are 95 %, over prompts. Validity and shape are told apart: KL(target ‖ model) = "
        "−log m + KL(target ‖ model among listed answers), m the mass on listed answers.</p>",
        *(f'<p class="remark">{escape(note)}</p>' for note in results["notes"]),
        _loss(results),
        *(_change(results, use) for use in results["change"]),
        _families(results["prompts"]),
        _laws(results["prompts"]),
        _anchors(results["anchors"]),
        _cost(results),
        _settings(results["settings"] | results["used"]),
        "<h2>What to run next</h2>",
        *(f"<p><code>{escape(line)}</code></p>" for line in then),
        _foot(command, today),
    ]
    return sheet.page(f"Training towards {source}", body)


def _mean(rows: Sequence[Mapping[str, Any]], when: str, name: str) -> float:
    return sum(row[when][name] for row in rows) / len(rows)


def _loss(results: Mapping[str, Any]) -> str:
    """Loss of the steps, anchor included, and the floor under it."""
    points = results["loss"]
    steps, losses = [int(step) for step, _ in points], [float(loss) for _, loss in points]
    trained = sum(row["use"] == "train" for row in results["prompts"])
    floor = results["floor"] / trained
    a_pass = -(-trained // results["settings"]["batch_prompts"])  # steps; prompts have floors of their own
    window = min(len(losses), max(1, len(losses) // 20, round(a_pass * len(losses) / steps[-1])))
    smooth = [sum(losses[max(0, i - window + 1) : i + 1]) / min(i + 1, window) for i in range(len(losses))]
    y = svg.round_steps(max(*losses, floor), low=min(*losses, floor))
    x = svg.round_steps(steps[-1], low=0)
    axes = svg.Axes(x=(0.0, max(x[-1], 1.0)), y=(y[0], y[-1]))
    parts = svg.frame(axes, x_ticks=[(v, f"{v:g}") for v in x], y_ticks=y, x_title="step", y_title="loss, nats")
    parts += [svg.dot(step, loss, axes, kind="loss", size=2) for step, loss in zip(steps, losses, strict=True)]
    parts += [svg.path(steps, smooth, axes, kind="curve")]
    parts += [svg.line((0.0, floor), (float(axes.x[1]), floor), axes, kind="mean")]
    early = " It stopped early, near enough to the floor." if results["stopped_early"] else ""
    return sheet.figure(
        f"The loss of a pass ends at {smooth[-1]:.2f} nats; no model can get below {floor:.2f}",
        svg.chart(parts, alt=f"Loss over {steps[-1]} steps, and its floor at {floor:.3g} nats."),
        "Each dot is the loss of a step, on its own prompts, with what the anchor adds; the line is a mean over "
        f"{window} of them, a whole pass at least. The straight line is the floor of a pass, the mean entropy of the "
        f"targets; a prompt with few answers has a lower one of its own.{early}",
        "",
    )


def _change(results: Mapping[str, Any], use: str) -> str:
    table = sheet.table(sheet.CHANGE_COLUMNS, sheet.change_rows(results["change"][use], CHANGE_LABELS, line="; "))
    n = sum(row["use"] == use for row in results["prompts"])
    return f'<h2>Before and after, {n:,} {_USES[use]}</h2>\n<div class="scroll">{table}</div>'


def _families(prompts: Sequence[Mapping[str, Any]]) -> str:
    table = sheet.table(FAMILY_COLUMNS, family_rows(prompts))
    return f'<h2>Family by family</h2>\n<div class="scroll">{table}</div>'


def _laws(prompts: Sequence[Mapping[str, Any]]) -> str:
    """Every answer of some prompts: before, after, and where its target is."""
    shown = [prompts[i] for i in _evenly(len(prompts), _PROMPTS)]
    some = "" if len(shown) == len(prompts) else f" {len(shown)} of {len(prompts):,} prompts are drawn."
    pieces = [
        "<h2>Answer by answer</h2>\n<p>Grey: before. Blue: after. The upright mark is the target." + some + "</p>"
    ]
    for row in shown:
        prompt = row["prompt"] if isinstance(row["prompt"], str) else tuple(Message(**m) for m in row["prompt"])
        order = sorted(range(len(row["answers"])), key=lambda i: (-row["target"][i], -row["before"]["p"][i]))
        kept = order[:_ANSWERS]
        more = f" {len(kept)} of {len(order):,} answers are drawn." if len(kept) < len(order) else ""
        top = max(max(row[when]["p"][i] for when in ("before", "after")) for i in kept)
        top = max(top, *(row["target"][i] for i in kept), 1e-300)
        numbers = (
            f"KL {row['before']['kl']:.3f} → {row['after']['kl']:.3f}, mass on the list {row['before']['mass']:.3f} → "
            f"{row['after']['mass']:.3f}, {'trained' if row['use'] == 'train' else 'measured only'}.{more}"
        )
        pieces.append(
            f"<p><b>{escape(cut(prompt_text(prompt), 160))}</b><br>{escape(numbers)}</p>\n"
            + _bars(
                [(row["answers"][i], *(row[w]["p"][i] for w in ("before", "after")), row["target"][i]) for i in kept],
                top,
            )
        )
    return "\n".join(pieces)


def _bars(rows: Sequence[tuple[str, float, float, float]], top: float) -> str:
    """Two bars for each answer, with a mark at the target."""
    lines = []
    for name, before, after, target in rows:
        for label, size, kind in ((cut(name, 26), before, "between"), ("", after, "multi")):
            place = f"position:absolute;left:{_share(target, top)};height:100%;border-left:3px solid var(--ink)"
            mark = f'<b style="{place}"></b>'
            bar = f'<i class="{kind}" style="width:{_share(size, top)}"></i>'
            words = f"{size:.2g}" if label else f"{size:.2g}, target {target:.2g}"
            lines.append(
                f'<span>{escape(label)}</span><span class="track" style="position:relative">{bar}{mark}</span>'
                f"<span>{words}</span>"
            )
    alt = "; ".join(f"{name}: before {b:.2g}, after {a:.2g}, target {t:.2g}" for name, b, a, t in rows)
    return f'<div class="bars" role="img" aria-label="{escape(alt)}">{"".join(lines)}</div>'


def _share(size: float, top: float) -> str:
    return f"{100 * min(max(size / top, 0), 1):.1f}%"


def _evenly(n: int, wanted: int) -> list[int]:
    """Up to `wanted` places among n, evenly spaced from the first to the last.

    >>> _evenly(10, 4), _evenly(1, 4)
    ([0, 3, 6, 9], [0])
    """
    return sorted({round(i * (n - 1) / (wanted - 1)) for i in range(wanted)})


def _anchors(anchors: Mapping[str, Any]) -> str:
    if not anchors:
        return "<h2>Nothing was anchored</h2>\n<p>What else the model knows was neither held nor measured.</p>"
    table = sheet.table(ANCHOR_COLUMNS, anchor_rows(anchors))
    free = " Those left free were never trained on." if "free" in anchors else ""
    return (
        "<h2>What is left of the base model on anchors</h2>\n<p>KL(base ‖ model) summed over an answer; −log p of the "
        "right answer, or of the one that the base model drew; and how often it is still the likeliest at every "
        f'token.{free}</p>\n<div class="scroll">{table}</div>'
    )


def _cost(results: Mapping[str, Any]) -> str:
    cost = results["cost"]
    tree, copies, seconds = cost["tokens_tree"], cost["tokens_copies"], cost["seconds"]
    rows = [
        ["tokens fed for the targets, each prompt once (as trained)", f"{tree:,}"],
        ["tokens, a copy of the prompt with each answer", f"{copies:,}"],
        ["steps", f"{cost['steps']:,}"],
        ["time of training", f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.1f} s"],
        ["weights trained", f"{results['trained']:,}"],
    ]
    table = sheet.table(("cost", ""), rows)
    return f'<h2>Copies would have fed {copies / tree:.1f} times the tokens</h2>\n<div class="scroll">{table}</div>'


def _settings(settings: Mapping[str, Any]) -> str:
    words = {"True": "yes", "False": "no", "None": "none"}
    rows = [[label, words.get(str(settings[name]), str(settings[name]))] for name, label in _FACTS.items()]
    return f'<h2>Settings</h2>\n<div class="scroll">{sheet.table(("setting", "value"), rows)}</div>'


def _foot(command: str, today: date | None) -> str:
    how = f" with <code>{escape(command)}</code>" if command else ""
    return f"<footer><p>Made by mrtlab {mrtlab.__version__} on {today or date.today():%d %B %Y}{how}.</p></footer>"
