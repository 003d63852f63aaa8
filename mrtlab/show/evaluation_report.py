"""The reports of `mrtlab evaluate`: one HTML file with figures and tables that opens offline."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

import mrtlab
from mrtlab.lm.gate import Check, passed
from mrtlab.lm.listed import Listed
from mrtlab.show import evaluation as tables
from mrtlab.show import sheet, svg

_PROMPTS_SHOWN = 60
_CASUAL = "random"


def families_report(
    results: Mapping[str, Any],
    checks: Sequence[Check] = (),
    *,
    model: str,
    command: str = "",
    today: date | None = None,
) -> str:
    """The page about families with a known truth.

    Args:
        results: of `mrtlab.lm.survey.survey`.
        checks: of the gate, if it was asked for.
        model: what the model is called.
        command: the command line that made it, shown so that others can repeat it.
        today: the date to print; the current one if left out.
    """
    design = results["design"]
    where = "in wordings, ranges and slots it never saw" if design["split"] == "held_out" else "as in its training"
    body = [
        f"<h1>{escape(_headline(results))}</h1>",
        f'<p class="from">{escape(model)}, asked up to {design["n_questions"]} questions of each family, {where}; '
        f"seed {design['seed']}. Intervals are 95 %, over questions.</p>",
        _validity(results),
        _distance(results),
    ]
    if results["calibration"]:
        body.append(_calibration(results))
    if "programs" in results:
        table = sheet.table(("k", "pass@k", "95 %"), tables.programs_rows(results))
        tries = results["programs"]["tries"]
        body.append(f"<h2>Programs, run against their tests</h2>\n<p>{tries} drawn for each question.</p>\n{table}")
    if "facts" in results:
        columns = ("kind", "questions", "right", "95 %", "nats of the right answer")
        body.append(f"<h2>Facts, by the likeliest words</h2>\n{_scroll(columns, tables.facts_rows(results))}")
    if checks:
        rows = [[c.name, c.wanted, c.found, "yes" if c.passed else "no"] for c in checks]
        title = "The gate is passed" if passed(list(checks)) else "The gate is not passed"
        body.append(f"<h2>{title}</h2>\n{_scroll(('check', 'wanted', 'found', 'holds'), rows)}")
    body.append(f"<h2>All numbers</h2>\n{_scroll(tables.COLUMNS, tables.family_rows(results, line=', ', to=' to '))}")
    return sheet.page(f"Evaluation of {model}", [*body, _foot(command, today)])


def listed_report(
    rows: Sequence[Listed],
    numbers: Mapping[str, Sequence[float]],
    *,
    model: str,
    source: str,
    command: str = "",
    today: date | None = None,
) -> str:
    """The page about a file of prompts with responses; arguments as `families_report`."""
    mass = numbers["mass"][0]
    ordered = sorted(rows, key=lambda row: row.mass)
    if len(ordered) > _PROMPTS_SHOWN:
        ordered = [ordered[round(i * (len(ordered) - 1) / (_PROMPTS_SHOWN - 1))] for i in range(_PROMPTS_SHOWN)]
    parts = [
        (tables.cut(tables.prompt_text(row.prompt), 28), ((row.mass, "multi"),), f"{row.mass:.3g}") for row in ordered
    ]
    alt = f"Mass on the listed responses, prompt by prompt, from {ordered[0].mass:.2g} to {ordered[-1].mass:.2g}."
    some = "" if len(ordered) == len(rows) else f" {len(ordered)} of {len(rows):,} prompts are drawn."
    body = [
        f"<h1>The listed responses hold {mass:.1%} of the model's probability</h1>",
        f'<p class="from">{escape(model)} on {escape(source)}: {len(rows):,} prompts. Intervals are 95 %, over '
        "prompts. Every probability is exact, the end of the response included.</p>",
        sheet.figure(
            "How much of the model's mass each prompt's responses hold",
            sheet.bars(parts, top=1.0, alt=alt),
            f"A full bar: the model says nothing else.{some}",
            sheet.details(sheet.table(tables.LISTED_COLUMNS, tables.listed_rows(ordered))),
        ),
        f"<h2>Over all prompts</h2>\n{_scroll(('measured', 'mean', '95 %'), tables.listed_number_rows(numbers))}",
    ]
    return sheet.page(f"Evaluation of {model} on {source}", [*body, _foot(command, today)])


def _headline(results: Mapping[str, Any]) -> str:
    """Validity, and how even the answers are, of all families together."""
    families = results["families"].values()
    validity = sum(f["numbers"]["validity"][0] for f in families) / len(families)
    even = [f["numbers"]["entropy_share"][0] for name, f in results["families"].items()
            if "entropy_share" in f["numbers"] and name != "facts"]  # fmt: skip
    spread = f"; among right ones, its entropy is {sum(even) / len(even):.0%} of an even spread's" if even else ""
    return f"Right answers hold {validity:.0%} of the model's probability{spread}"


def _validity(results: Mapping[str, Any]) -> str:
    rows = []
    for name, family in results["families"].items():
        mean, low, high = family["numbers"]["validity"]
        rows.append((name, ((mean, "multi"),), f"{mean:.2f} ({low:.2f} to {high:.2f})"))
    alt = "Mass on right answers: " + ", ".join(f"{name} {words}" for name, _, words in rows) + "."
    return sheet.figure(
        "Does it answer the question?",
        sheet.bars(rows, top=1.0, alt=alt),
        "Validity: the probability that an answer is right at all, by family. Where answers are too many to list, the "
        "share of drawn answers that are right.",
        "",
    )


def _distance(results: Mapping[str, Any]) -> str:
    rows, top = [], 0.1
    for name, family in results["families"].items():
        kl = family["numbers"]["kl"][0]
        shape = family["numbers"].get("shape_kl", (kl,))[0]
        parts = ((max(kl - shape, 0.0), "between"), (shape, "multi")) if family["exact"] else ((kl, "single"),)
        rows.append((name, parts, f"{kl:.2f}"))
        top = max(top, kl)
    alt = "KL from the truth in nats: " + ", ".join(f"{name} {words}" for name, _, words in rows) + "."
    return sheet.figure(
        "How far from the truth?",
        sheet.bars(rows, top=top, alt=alt),
        "KL(truth ‖ model), nats. Grey: mass on wrong answers. Blue: unevenness among right ones. Vermillion: both "
        "together, where answers are too many to list.",
        "",
    )


def _calibration(results: Mapping[str, Any]) -> str:
    """Truth against model, both on logarithmic axes."""
    bins = [b for b in results["calibration"] if b["model"] > 0 and b["truth"] > 0]
    points = [(math.log10(b["model"]), math.log10(b["truth"])) for b in bins]
    low = math.floor(min([0.0, *(v for point in points for v in point)]) - 1e-9)
    low = max(min(low, -1), -8)
    axes = svg.Axes(x=(float(low), 0.0), y=(float(low), 0.0))
    step = max(1, round(-low / 4))
    ticks = [(float(v), f"1e{v}" if v else "1") for v in range(0, low - 1, -step)]
    parts = svg.frame(axes, x_ticks=ticks, y_ticks=[float(v) for v, _ in ticks],
                      x_title="probability under the model", y_title="under the truth, log10")  # fmt: skip
    parts.append(svg.line((float(low), float(low)), (0.0, 0.0), axes, kind="mean"))
    parts += [svg.dot(max(x, float(low)), max(y, float(low)), axes, kind="multi") for x, y in points]
    columns = ("model gives", "answers", "model, mean", "truth, mean")
    return sheet.figure(
        "Is a likely answer a common one?",
        svg.chart(parts, alt=f"{len(bins)} bins of answers, truth against model; on the line they agree."),
        "Each dot is a bin of listed answers to which the model gives about the same probability; on the line the "
        "truth gives them as much. Above it the model is too shy, below it too fond.",
        sheet.details(sheet.table(columns, tables.calibration_rows(results))),
    )


def _scroll(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f'<div class="scroll">{sheet.table(columns, rows)}</div>'


def _foot(command: str, today: date | None) -> str:
    how = f" with <code>{escape(command)}</code>" if command else ""
    return f"<footer><p>Made by mrtlab {mrtlab.__version__} on {today or date.today():%d %B %Y}{how}.</p></footer>"
