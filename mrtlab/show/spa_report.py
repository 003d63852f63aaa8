"""The report of `mrtlab spa evaluate`: one HTML file with several adapters next to one model, and their answers."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

import mrtlab
from mrtlab.data.records import Message, prompt_text
from mrtlab.show import sheet, svg
from mrtlab.show.evaluation import cut
from mrtlab.spa.compare import band_text, measures_of

LABELS = {
    "unique_share": "different answers / all",
    "pair_share": "pairs that differ",
    "distinct_right": "different right answers",
    "vendi": "Vendi score",
    "kinds": "algorithms in effect",
    "right_kinds": "algorithms in effect among right answers",
}
_COLOURS = {
    "influence": "multi",
    "influence-even": "multi",
    "influence-raw": "multi",
    "random": "between",
    "consecutive": "between",
    "lexical": "orange",
    "text-clusters": "orange",
    "clusters": "green",
    "gradient-clusters": "green",
    "seeds": "single",
    "single": "ink",
}
_RULES = {
    "influence": "each example with the query that it helps most",
    "influence-even": "each example with a query that it helps, all parts as large",
    "influence-raw": "each example with the query that it helps most, scores as they are",
    "random": "parts by chance",
    "consecutive": "neighbours in the file together",
    "lexical": "each example with the query whose words it shares",
    "text-clusters": "examples of like words together",
    "clusters": "examples that help the same queries together",
    "gradient-clusters": "examples of like gradients together",
    "seeds": "all of the data K times, the control",
}
_EXAMPLES = 6
_NUMBERED = 8  # adapters up to which a square of the map has room for its number


def headline(results: Mapping[str, Any]) -> str:
    """Several adapters against one model, in a sentence that the numbers decide.

    The model is taken at the temperature at which it is right about as often; where nobody judged, at its coolest.

    >>> several = {"name": "2 adapters", "kind": "random", "temperature": 0.0,
    ...            "numbers": {"pass@1": [0.8, 0.7, 0.9], "pair_share": [0.6, 0.5, 0.7]}}
    >>> headline({"arms": [several]})
    '2 adapters: 60 % of the pairs of answers differ, 80 % of the answers are right'
    >>> single = {"name": "one model", "kind": "single", "temperature": 0.5,
    ...           "numbers": {"pass@1": [0.7, 0.6, 0.8], "pair_share": [0.4, 0.3, 0.5]}}
    >>> headline({"arms": [several, single]})
    '2 adapters: 60 % of the pairs of answers differ, 80 % are right; one model at temperature 0.5: 40 %, 70 % right'
    """
    first, *others = results["arms"]
    differ = f"{first['numbers']['pair_share'][0]:.0%}".replace("%", " %")
    judged = "pass@1" in first["numbers"]
    said = f"{first['name']}: {differ} of the pairs of answers differ"
    if not others:
        return said + (f", {_percent(first['numbers']['pass@1'][0])} of the answers are right" if judged else "")
    one = min(others, key=lambda arm: _gap(first, arm)) if judged else others[0]
    right = f", {_percent(first['numbers']['pass@1'][0])} are right" if judged else ""
    theirs = f", {_percent(one['numbers']['pass@1'][0])} right" if judged else ""
    pairs = _percent(one["numbers"]["pair_share"][0])
    return f"{said}{right}; {one['name']} at temperature {one['temperature']:g}: {pairs}{theirs}"


def spa_report(
    results: Mapping[str, Any], *, command: str = "", then: Sequence[str] = (), today: date | None = None
) -> str:
    """The whole page.

    Args:
        results: of `mrtlab spa evaluate`, as `--json` prints them.
        command: the command line that made it, shown so that others can repeat it.
        then: commands to run next.
        today: the date to print; the current one if left out.

    Returns:
        HTML without scripts, links or other files.
    """
    source, arms = results["source"], results["arms"]
    judged = source["judged"]
    about = _RULES.get(results["rule"], results["rule"])
    body = [
        f"<h1>{escape(headline(results))}</h1>",
        f'<p class="from">{escape(str(results["adapters"]))}, {results["k"]} adapters on '
        f"{escape(str(results['base']))}: "
        f"{escape(about)}. {source['prompts']:,} prompts of {escape(source['name'])}, {arms[0]['answers']} answers to "
        "each. Intervals are 95 %, over prompts: what other prompts would have given, not what another training "
        "would have.</p>",
        _trade_off(arms) if judged and len(arms) > 1 else "",
        _measures(arms),
        _parts(results["parts"], results["rule"]),
        _answers(results["examples"]),
        _map(results["kl"], results["parts"]),
        _numbers(arms),
        "<h2>What to run next</h2>" if then else "",
        *(f"<p><code>{escape(line)}</code></p>" for line in then),
        _foot(command, today),
    ]
    return sheet.page(f"{results['k']} adapters on {source['name']}", [piece for piece in body if piece])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _gap(first: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    return abs(first["numbers"]["pass@1"][0] - other["numbers"]["pass@1"][0])


def _colour(kind: str) -> str:
    return _COLOURS.get(kind, "multi")


def _arm_name(arm: Mapping[str, Any]) -> str:
    return f"{arm['name']} at {arm['temperature']:g}"


def _trade_off(arms: Sequence[Mapping[str, Any]]) -> str:
    """Rightness against diversity, a dot for each arm."""
    points = [(arm["numbers"]["pair_share"], arm["numbers"]["pass@1"]) for arm in arms]
    ticks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    axes = svg.Axes(x=(0.0, 1.0), y=(0.0, 1.0))
    parts = svg.frame(
        axes,
        x_ticks=[(tick, f"{tick:g}") for tick in ticks],
        y_ticks=ticks,
        x_title="pairs of answers that differ",
        y_title="answers that are right, pass@1",
    )
    if len(points) > 2:
        parts.append(svg.path([x[0] for x, _ in points[1:]], [y[0] for _, y in points[1:]], axes, kind="curve aside"))
    for arm, (x, y) in zip(arms, points, strict=True):
        parts.append(svg.line((x[1], y[0]), (x[2], y[0]), axes, kind="whisker"))
        parts.append(svg.line((x[0], y[1]), (x[0], y[2]), axes, kind="whisker"))
        parts.append(svg.dot(x[0], y[0], axes, kind=_colour(arm["kind"]), size=6))
        single = arm["kind"] == "single"
        words, lower = (f"{arm['temperature']:g}", -9) if single else (arm["name"], 20)
        right = x[0] > 0.7
        place = (axes.px(x[0]) + (-9 if right else 9), axes.py(y[0]) + lower)
        parts.append(svg.text(*place, words, anchor="end" if right else "start"))
    (x, y), (cool, _) = points[0], points[1]
    more = "vary more than" if x[1] > cool[2] else "vary less than" if x[2] < cool[1] else "do not clearly differ from"
    rows = [
        [_arm_name(arm), band_text(x, line="; "), band_text(y, line="; ")]
        for arm, (x, y) in zip(arms, points, strict=True)
    ]
    return sheet.figure(
        f"The adapters {more} one model at temperature {arms[1]['temperature']:g}",
        svg.chart(
            parts,
            alt=f"Adapters: {_percent(y[0])} right, {_percent(x[0])} of pairs differ; one model at several heats.",
        ),
        "Up: more answers are right. To the right: answers differ more. The dark dots are one model, with its "
        "temperature beside; lines are 95 % intervals.",
        sheet.details(sheet.table(("who", "pairs that differ", "pass@1"), rows)),
    )


def _measures(arms: Sequence[Mapping[str, Any]]) -> str:
    """Every measure as bars, an arm each."""
    pieces = ["<h2>Measure by measure</h2>"]
    for name in measures_of(arms):
        rows, top = [], 0.0
        for arm in arms:
            if (band := arm["numbers"].get(name)) is not None:
                rows.append((_arm_name(arm), ((band[0], _colour(arm["kind"])),), band_text(band, line=", ")))
                top = max(top, band[0])
        share = name.startswith("pass@") or name.endswith("share")
        label = LABELS.get(name, name)
        alt = f"{label}: " + "; ".join(f"{who} {words}" for who, _, words in rows)
        pieces.append(
            f"<p><b>{escape(label)}</b></p>\n{sheet.bars(rows, top=1.0 if share else max(top, 1e-9), alt=alt)}"
        )
    return "\n".join(pieces)


def _parts(parts: Sequence[Mapping[str, Any]], rule: str) -> str:
    """Sizes of the parts, and how often each adapter is right."""
    known = [part["examples"] for part in parts if part["examples"]]
    if len(known) < len(parts):
        return ""
    rows = []
    for part in parts:
        right = "" if part["right"] is None else f", {_percent(part['right'])} right"
        words = f"{part['examples']:,} examples{right}"
        rows.append((part["adapter"], ((float(part["examples"]), _colour(rule)),), words))
    claim = f"The largest part has {max(known) / min(known):.1f} times the examples of the smallest"
    bars = sheet.bars(rows, top=float(max(known)), alt=f"Sizes of {len(parts)} parts, {min(known)} to {max(known)}.")
    return f"<h2>{escape(claim)}</h2>\n{bars}"


def _answers(examples: Sequence[Mapping[str, Any]]) -> str:
    """Answers of all adapters to a few prompts, side by side."""
    step = max(1, -(-len(examples) // _EXAMPLES))
    pieces = ["<h2>Answers side by side</h2>\n<p>One prompt in every so many, not the best ones.</p>"]
    for example in examples[::step]:
        given = example["prompt"]
        prompt = given if isinstance(given, str) else tuple(Message(**message) for message in given)
        lines = []
        for one in example["answers"]:
            verdict = {True: "right", False: "wrong", None: ""}[one["passed"]]
            lines.append(
                f'<tr><td>{escape(one["by"])}</td><td class="said"><code>{escape(one["text"])}</code></td>'
                f"<td>{verdict}</td></tr>"
            )
        pieces.append(
            f'<p><b>{escape(cut(prompt_text(prompt), 160))}</b></p>\n<div class="scroll"><table><thead><tr>'
            '<th scope="col">adapter</th><th scope="col" class="said">answer</th><th scope="col"></th></tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></div>"
        )
    return "\n".join(pieces)


def _map(kl: Mapping[str, Any] | None, parts: Sequence[Mapping[str, Any]]) -> str:
    """How far each adapter is from each other, as a map of squares."""
    if kl is None:
        return ""
    matrix, names = kl["matrix"], [part["adapter"] for part in parts]
    k, top = len(matrix), max(max(row) for row in matrix) or 1.0
    axes = svg.Axes(x=(-0.5, k - 0.5), y=(k - 0.5, -0.5))
    drawn = []
    for i, row in enumerate(matrix):
        short = names[i].rpartition("-")[2]
        drawn.append(svg.text(50, axes.py(i) + 4, short, anchor="end", kind="tick"))
        drawn.append(svg.text(axes.px(i), svg.HEIGHT - 27, short, anchor="middle", kind="tick"))
        for j, value in enumerate(row):
            if i != j:
                drawn.append(_square(axes, i, j, value / top))
                if k <= _NUMBERED:
                    drawn.append(svg.text(axes.px(j), axes.py(i) + 4, f"{value:.2g}", anchor="middle"))
    drawn.append(svg.text(svg.WIDTH / 2, svg.HEIGHT - 6, "to adapter", anchor="middle", kind="title"))
    read = f"{kl['text']} ({kl['examples']:,} texts, {kl['tokens']:,} tokens)"
    rows = [[name, *(f"{value:.4f}" for value in row)] for name, row in zip(names, matrix, strict=True)]
    return sheet.figure(
        f"The adapters are {kl['symmetric']:.3g} nats apart for a token",
        svg.chart(drawn, alt=f"Map of {k} by {k} divergences, up to {top:.2g} nats for a token."),
        f"A square is KL(row ‖ column), nats for a token, the darker the farther. All adapters read the same texts: "
        f"{read}. The number above is the mean over pairs and both directions.",
        sheet.details(sheet.table(("from", *names), rows)),
    )


def _square(axes: svg.Axes, i: int, j: int, share: float) -> str:
    """One square of the map; half as strong at most, so that its number stays readable."""
    box = svg.box((j - 0.48, j + 0.48), (i + 0.48, i - 0.48), axes, kind="heat")
    return box.replace("/>", f' fill-opacity="{0.05 + 0.45 * share:.2f}"/>')


def _numbers(arms: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [LABELS.get(name, name), *(band_text(arm["numbers"].get(name), line="; ") for arm in arms)]
        for name in measures_of(arms)
    ]
    table = sheet.table(("measured", *map(_arm_name, arms)), rows)
    return (
        "<h2>All numbers</h2>\n<p>pass@k: the chance that one of k answers, drawn from all of a prompt's, is right. "
        "Answers are compared character by character. In effect: as many equally frequent ones would be as mixed. "
        f'Vendi score: the same for texts that are more or less alike.</p>\n<div class="scroll">{table}</div>'
    )


def _foot(command: str, today: date | None) -> str:
    how = f" with <code>{escape(command)}</code>" if command else ""
    return f"<footer><p>Made by mrtlab {mrtlab.__version__} on {today or date.today():%d %B %Y}{how}.</p></footer>"
