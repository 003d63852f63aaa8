"""The report of `mrtlab plan --model`: the plan for the gradient beside the one for the loss, in one HTML file."""

from datetime import date
from html import escape

import numpy as np

import mrtlab
from mrtlab.show import sheet, svg
from mrtlab.show.model_study import CHOICE_COLUMNS, MEASURED_COLUMNS, ModelStudy
from mrtlab.show.report import curve_section, data_section, k_ticks, parts_section

_TOP = 2.0  # excess variance beyond which the curves leave the drawing
_HOW = """
Over N_p prompts with K responses each the mean loss has variance V_x/N_p + V_y|x/(N_p K), and so has the mean
gradient, if variance means the trace of its covariance. At prices C_p for a prompt and C_r for a response the best K
is √(V_y|x/V_x · C_p/C_r). Training takes steps along gradients, so theirs is the K to follow. Every response was scored
by one forward and one backward pass; its gradient was added up, with random signs, at {features:,} random places, which
keeps traces right on average, with a standard error of at most {error:.1f} %. Variances come from an unbalanced one-way
analysis of variance, intervals from leaving out one prompt at a time. This holds if prompts are a fair sample of those
to come and responses a fair draw for their prompt: a list of its different answers, each once, is not such a draw. It
speaks of the model as it is now. In training gradients change, and it may be worth measuring again.
"""


def model_study_report(study: ModelStudy, *, command: str = "", today: date | None = None) -> str:
    """The whole page.

    Args:
        study: what was measured and the two plans.
        command: the command line that made it, shown so that others can repeat it.
        today: the date to print; the current one if left out.

    Returns:
        HTML without scripts, links or other files.
    """
    how = f" with <code>{escape(command)}</code>" if command else ""
    gradient, loss = study.gradient, study.loss
    body = [
        f"<h1>{escape(study.headline)}</h1>",
        f'<p class="from">{escape(" ".join(study.facts))}</p>',
        *(f'<p class="remark">{escape(remark)}</p>' for remark in (study.comparison, *study.remarks)),
        _both(study),
        curve_section(gradient, of="gradient", lead="Gradient: "),
        parts_section(gradient, of="gradient", lead="Gradient: "),
        curve_section(loss, lead="Loss: "),
        parts_section(loss, lead="Loss: "),
        _losses(study),
        _measured(study),
        f"<footer><p>Made by mrtlab {mrtlab.__version__} on {today or date.today():%d %B %Y}{how}.</p></footer>",
    ]
    return sheet.page(f"Plan for {study.source}", body)


def _both(study: ModelStudy) -> str:
    """Excess variance against K, of gradient and loss on the same axes."""
    plans = {"gradient": study.gradient.plan, "loss": study.loss.plan}
    n = max(8, 3 * max(plan.k for plan in plans.values()))
    k = plans["gradient"].curve.k[:n]
    regrets = {name: plan.curve.regret[:n] for name, plan in plans.items()}
    steps = svg.round_steps(100 * min(max(float(r.max()) for r in regrets.values()), _TOP))
    axes = svg.Axes(x=(0.5, float(max(k[-1], 2)) + 0.5), y=(steps[0], steps[-1]))
    parts = svg.frame(
        axes,
        x_ticks=k_ticks(k),
        y_ticks=steps,
        x_title="K, responses for each prompt",
        y_title="% more variance than at the best K",
    )
    for name, kind, dot in (("loss", "curve aside", "aside"), ("gradient", "curve", "multi")):
        shown = regrets[name] * 100 <= steps[-1]
        parts.append(svg.path(k[shown].tolist(), (100 * regrets[name][shown]).tolist(), axes, kind=kind))
        parts.append(svg.dot(float(plans[name].k), 0.0, axes, kind=dot, size=6))
        last = int(np.flatnonzero(shown)[-1])
        falls = last > 0 and regrets[name][last] < regrets[name][last - 1]
        height = max(axes.py(100 * float(regrets[name][last])) + (18 if falls else -8), 24)  # off the line
        parts.append(svg.text(axes.px(float(k[last])), height, name, anchor="end", kind=_LABELS[name]))
    best = {name: plan.k for name, plan in plans.items()}
    if best["gradient"] == best["loss"]:
        claim = f"Gradient and loss agree on K = {best['gradient']}"
    else:
        claim = f"The gradient is best at K = {best['gradient']}, the loss at K = {best['loss']}"
    alt = " ".join(
        f"{name.capitalize()}: best at K = {plan.k}, {100 * float(plan.curve.regret[0]):.0f} % more at K = 1."
        for name, plan in plans.items()
    )
    choices = study.choices
    chosen = next(i for i, row in enumerate(choices) if row[0] == str(best["gradient"]))
    return sheet.figure(
        claim,
        svg.chart(parts, alt=alt),
        "Blue: the gradient, which training follows. Grey and dashed: the loss. A dot is the best K. Each K is paired "
        "with as many prompts as the budget then pays for.",
        f'<div class="scroll">{sheet.table(CHOICE_COLUMNS, choices, best=chosen)}</div>'
        "<p>Gradient and loss: how much more variance than at their best K.</p>",
    )


def _losses(study: ModelStudy) -> str:
    """Every response's loss, with what the normalisation makes of it."""
    if study.variances.normalisation != "token":
        return data_section(study.loss)
    return data_section(
        study.loss,
        y_title="loss, less what its length explains",
        note=(
            " Σ loss / Σ tokens is a ratio: a response counts by what it adds beyond the usual loss of so many tokens, "
            "so long and likely ones can lie below 0."
        ),
    )


_LABELS = {"gradient": "multi", "loss": "tick"}


def _measured(study: ModelStudy) -> str:
    """The estimates and how they were made."""
    features = int(study.variances.measured.gradients[0].shape[1])
    words = _HOW.format(features=features, error=100 * float(np.sqrt(2 / features)))
    table = sheet.table(MEASURED_COLUMNS, study.measured)
    return (
        "<h2>What was measured, and how surely</h2>\n"
        f'<div class="scroll">{table}</div>\n<p>In brackets: 95 % intervals over prompts.</p>\n'
        f"<p>{sheet.symbols(words)}</p>"
    )
