"""The report of `mrtlab plan`: one HTML file with figures and tables that opens offline, on paper or on a phone."""

from datetime import date
from html import escape

import numpy as np

import mrtlab
from mrtlab.show import sheet, svg
from mrtlab.show.study import Study, percent

_PROMPTS_SHOWN = 30
_SAFE = 0.05  # excess variance that nobody would notice

_HOW = """
The mean loss over N_p prompts with K responses each has variance V_x/N_p + V_y|x/(N_p K). At prices C_p for a prompt
and C_r for a response the best K is √(V_y|x/V_x · C_p/C_r). Variances come from an unbalanced one-way analysis of
variance, intervals from leaving out one prompt at a time. This holds if prompts are a fair sample of those to come,
and if the number of responses to a prompt has nothing to do with how they turned out. It speaks of the loss of the
model that scored this table, not of the model after training.
"""


def plan_report(study: Study, *, command: str = "", today: date | None = None) -> str:
    """The whole page.

    Args:
        study: what the table says and the plan.
        command: the command line that made it, shown so that others can repeat it.
        today: the date to print; the current one if left out.

    Returns:
        HTML without scripts, links or other files.
    """
    estimate = study.estimate
    source = f"{study.source}: {estimate.n_prompts:,} prompts, {estimate.n_responses:,} responses"
    how = f" with <code>{escape(command)}</code>" if command else ""
    body = [
        f"<h1>{escape(study.plan.advice)}</h1>",
        f'<p class="from">From {escape(source)}. {escape(_costs(study))}</p>',
        *(f'<p class="remark">{escape(remark)}</p>' for remark in study.remarks),
        curve_section(study),
        parts_section(study),
        data_section(study),
        _measured_section(study),
        f"<footer><p>Made by mrtlab {mrtlab.__version__} on {today or date.today():%d %B %Y}{how}.</p></footer>",
    ]
    return sheet.page(f"Plan for {study.source}", body)


def _costs(study: Study) -> str:
    prices, plan = study.prices, study.plan
    unit = f" {prices.unit}" if prices.unit else ""
    return (
        f"A prompt costs {prices.prompt:g}{unit} and each response {prices.response:g}{unit}; "
        f"the plan spends {plan.cost:,.12g} of {plan.budget:,.12g}{unit}."
    )


def _shown(study: Study) -> slice:
    """The part of the curve worth drawing: up to three times the best K."""
    return slice(0, max(8, 3 * study.plan.k))


def curve_section(study: Study, *, of: str = "loss", lead: str = "") -> str:
    """Standard error against K, of the mean loss or gradient; `lead` stands before the claim."""
    curve, best = study.plan.curve, study.plan.k
    k, error = curve.k[_shown(study)], np.sqrt(curve.variance[_shown(study)])
    low, high = _safe(curve.regret[_shown(study)], best)
    if low == high:
        claim = f"K = {best} gives the smallest error"
    else:
        claim = f"Any K from {low} to {high} is about as good as the best"
    steps = svg.round_steps(float(error.max()), low=float(error.min()) * 0.9)
    axes = svg.Axes(x=(0.5, float(max(k[-1], 2)) + 0.5), y=(steps[0], steps[-1]))
    parts = [svg.box((low - 0.5, high + 0.5), axes.y, axes, kind="safe")]
    parts += svg.frame(
        axes,
        x_ticks=k_ticks(k),
        y_ticks=steps,
        x_title="K, responses for each prompt",
        y_title=f"standard error of the mean {of}",
    )
    parts.append(svg.path(k.tolist(), error.tolist(), axes, kind="curve"))
    if best > 1:
        parts.append(svg.dot(1.0, float(error[0]), axes, kind="single"))
        parts.append(svg.text(axes.px(1) + 9, axes.py(float(error[0])) + 4, "one response", kind="single"))
    at = (float(best), float(error[best - 1]))
    parts.append(svg.dot(*at, axes, kind="multi" if best > 1 else "single", size=6))
    words = f"K = {best}, {study.plan.n_prompts:,} prompts"
    right = axes.px(best) < 0.6 * svg.WIDTH
    below = axes.py(at[1]) + 20  # under a valley there is room
    parts.append(svg.text(axes.px(best) + (-4 if right else 4), below, words, anchor="start" if right else "end"))
    alt = (
        f"Curve of the standard error against K from 1 to {k[-1]}: {error[0]:.3g} at K = 1, "
        f"smallest at K = {best} with {at[1]:.3g}."
    )
    rows = [
        [
            f"{curve.k[i]}",
            f"{curve.n_prompts[i]:,}",
            f"{np.sqrt(curve.variance[i]):.3g}",
            "best" if curve.k[i] == best else f"+{percent(float(curve.regret[i]))}",
        ]
        for i in study.rows
    ]
    table = sheet.table(["K", "prompts", "standard error", "more variance"], rows, best=study.rows.index(best - 1))
    return sheet.figure(
        lead + claim,
        svg.chart(parts, alt=alt),
        f"Each K is paired with as many prompts as the budget then pays for. The shaded range has at most "
        f"{percent(_SAFE)} more variance than the best; more variance is about the extra budget that the same error "
        f"would take.",
        f'<div class="scroll">{table}</div>',
    )


def parts_section(study: Study, *, of: str = "loss", lead: str = "") -> str:
    """The variance of each K, split into its two parts; arguments as `curve_section`."""
    curve, known = study.plan.curve, study.plan.components
    rows = [row for row in study.rows if curve.k[row] <= max(8, 4 * study.plan.k)]
    prompt = known.prompt / curve.n_prompts[rows]
    response = known.response / (curve.n_prompts[rows] * curve.k[rows])
    top = svg.round_steps(float((prompt + response).max()))
    axes = svg.Axes(x=(-0.6, len(rows) - 0.4), y=(0.0, 1.2 * top[-1]))  # room for two lines of words
    ticks = [(float(i), str(curve.k[row])) for i, row in enumerate(rows)]
    parts = svg.frame(axes, x_ticks=ticks, y_ticks=top, x_title="K, responses for each prompt", y_title="variance")
    for i in range(len(rows)):
        where = (i - 0.32, i + 0.32)
        parts.append(svg.box(where, (0.0, float(prompt[i])), axes, kind="between"))
        parts.append(svg.box(where, (float(prompt[i]), float(prompt[i] + response[i])), axes, kind="multi"))
    x = svg.WIDTH - 20
    parts.append(svg.text(x, 26, "blue, on top: which responses", anchor="end", kind="multi"))
    parts.append(svg.text(x, 43, "grey, below: which prompts", anchor="end", kind="tick"))
    alt = "Stacked bars, one for each K. " + " ".join(
        f"K = {curve.k[row]}: {prompt[i]:.2g} from prompts and {response[i]:.2g} from responses."
        for i, row in enumerate(rows)
    )
    table = sheet.table(
        ["K", "from prompts, V_x/N_p", "from responses, V_y|x/(N_p K)"],
        [[str(curve.k[row]), f"{prompt[i]:.3g}", f"{response[i]:.3g}"] for i, row in enumerate(rows)],
    )
    return sheet.figure(
        f"{lead}More responses shrink one part and let the other grow",
        svg.chart(parts, alt=alt),
        f"Each bar is the variance of the mean {of}. Its two parts: luck in which prompts were collected, "
        "and luck in which responses.",
        sheet.details(table),
    )


def data_section(study: Study, *, y_title: str = "loss", note: str = "") -> str:
    """The table itself: prompts in order of their mean, a dot per response; `note` goes under it."""
    values = study.table.values
    order = np.argsort([row.mean() for row in values], kind="stable")
    if len(order) > _PROMPTS_SHOWN:
        order = order[np.linspace(0, len(order) - 1, _PROMPTS_SHOWN).round().astype(int)]
    shown = [values[i] for i in order]
    low, high = min(float(row.min()) for row in shown), max(float(row.max()) for row in shown)
    steps = svg.round_steps(high, low=low)
    axes = svg.Axes(x=(-0.7, len(shown) - 0.3), y=(steps[0], steps[-1]))
    parts = svg.frame(axes, x_ticks=[], y_ticks=steps, x_title="prompts, in order of their mean", y_title=y_title)
    for i, row in enumerate(shown):
        parts += [svg.dot(i, float(v), axes, kind="loss", size=3.5) for v in row[:40]]
        mean = float(row.mean())
        parts.append(svg.line((i - 0.35, mean), (i + 0.35, mean), axes, kind="mean"))
    known = study.plan.components
    wins = "responses to one prompt" if known.response > known.prompt else "prompts"
    claim = f"The losses differ more among {wins} than among {'prompts' if wins != 'prompts' else 'responses'}"
    named = [study.table.prompts[i] for i in order]
    rows = [
        [name if len(name) <= 40 else f"{name[:37]}...", str(len(row)), f"{row.mean():.3g}"]
        for name, row in zip(named, shown, strict=True)
    ]
    some = "" if len(shown) == len(values) else f" {len(shown)} of {len(values):,} prompts are drawn."
    return sheet.figure(
        claim,
        svg.chart(parts, alt=f"Dot plot of the losses of {len(shown)} prompts, from {low:.3g} to {high:.3g}."),
        f"A dot is a response, a bar is the mean of a prompt.{some}{note}",
        sheet.details(sheet.table(["prompt", "responses", "mean loss"], rows)),
    )


def _measured_section(study: Study) -> str:
    """The estimates and how they were made."""
    table = sheet.table(["measured", "estimate", "95 % interval"], study.measured)
    return (
        f'<h2>What was measured, and how surely</h2>\n<div class="scroll">{table}</div>\n<p>{sheet.symbols(_HOW)}</p>'
    )


def _safe(regret: np.ndarray, best: int) -> tuple[int, int]:
    """The unbroken range of K around the best in which nobody would notice the difference.

    >>> _safe(np.array([0.5, 0.01, 0.0, 0.2, 0.03]), 3)  # K = 5 is as good, K = 4 between them is not
    (2, 3)
    """
    dear = np.flatnonzero(regret > _SAFE) + 1
    low, high = dear[dear < best], dear[dear > best]
    return int(low.max()) + 1 if len(low) else 1, int(high.min()) - 1 if len(high) else len(regret)


def k_ticks(k: np.ndarray) -> list[tuple[float, str]]:
    """About eight labels along K."""
    step = max(1, round(len(k) / 8))
    return [(float(v), str(v)) for v in k if v == 1 or v % step == 0]
