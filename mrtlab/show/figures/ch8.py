"""Figures of chapter 8, several adapters: one question side by side, and what arms give at which price.

See also `ch8_parts` (the parts, heat, number of adapters) and `ch8_domains` (other domains, share of data, cost).
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import interval, spoken
from mrtlab.show.figures.ch8_arms import (
    ADAPTERS,
    ARMS,
    GREEDY,
    LONE,
    beside,
    dots,
    four,
    greedy,
    heading,
    listed,
    named,
    tagged,
    tick,
)
from mrtlab.show.figures.theme import GREY, INK, label, present, rounded, tint

SHOWN = ("seeds", "random", "influence-dot", "dealt")
_FAINT, _STEP, _FULL = 0.12, 0.09, 0.55  # tints of the first, each further and no more than the last different answer
_LINE = 14  # characters of a program on one line of a cell
_BASELINE = ("seeds", "random", "lexical", "influence")  # arms that others are less of
PARTS = ("random", "lexical", "influence", "rows", "gradients", "texts", "dealt")


def side_by_side(results: Mapping[str, Any], *, question: int = 0, arms: Sequence[str] = SHOWN) -> go.Figure:
    """What every adapter of a few arms answers to one question: a column for each arm, a row for each adapter.

    Args:
        results: of `spa_adapters`.
        question: which of the questions shown.
        arms: columns; arms without answers are left out.
    """
    one = results["shown"][question]
    arms = [arm for arm in arms if arm in one["arms"]]
    k = results["design"]["k"]
    fig = go.Figure()
    rows = []
    for place, arm in enumerate(arms):
        answers, right = (one["arms"][arm][name] for name in ("answers", "right"))
        texts = [answer.split("return ")[-1] for answer in answers]
        colours, lines = zip(*_tints(ARMS[arm].colour, texts, right), strict=True)
        fig.add_bar(
            x=[0.94] * k, y=list(range(1, k + 1)), base=place + 0.03, orientation="h", width=0.86,
            marker={"color": colours, "line": {"color": lines, "width": 1}},
            text=[_cell(text, ok) for text, ok in zip(texts, right, strict=True)], textposition="inside",
            insidetextanchor="middle", textangle=0, textfont={"size": 12, "color": INK}, customdata=answers,
            hovertemplate=f"{named(arm)}, adapter %{{y}}<br>%{{customdata}}<extra></extra>",
        )  # fmt: skip
        head = tagged(arm, f"<br>{named(arm)}")
        label(fig, head, x=place + 0.5, y=1.01, colour=INK, xref="x", yref="paper", xanchor="center",
              yanchor="bottom")  # fmt: skip
        rows += [[named(arm), i, text, "yes" if ok else "no"]
                 for i, (text, ok) in enumerate(zip(texts, right, strict=True), start=1)]  # fmt: skip
    different = {arm: _different(one["arms"][arm]) for arm in arms}
    for place, n in enumerate(different.values()):
        label(fig, f"<b>{n}</b> of {k}", x=place + 0.5, y=0, colour=INK, xref="x", yref="paper", xanchor="center",
              yanchor="top", yshift=-4)  # fmt: skip
    fig.update_layout(barmode="overlay")
    fig.update_xaxes(range=[-0.02, len(arms)], visible=False)
    fig.update_yaxes(range=[k + 0.5, 0.5], tickvals=list(range(1, k + 1)), showgrid=False, title="adapter")
    return present(
        fig,
        claim=_side_claim(different, k),
        how=f"“{one['question']}” Cells: the program after “return”, answered at temperature 0. A new tint is an "
        "answer not seen above it in its column; ✗ fails its tests. Below: different right answers.",
        alt=f"{spoken(k).capitalize()} answers to “{one['question']}”. "
        + "; ".join(f"{named(arm)}: {n} different right" for arm, n in different.items())
        + ".",
        columns=["arm", "adapter", "answer", "right"],
        rows=rows,
        artifact=ADAPTERS,
        height=52 * k + 100,
    ).update_layout(margin_t=84, margin_b=34)  # fmt: skip


def _tints(colour: str, texts: Sequence[str], right: Sequence[bool]) -> list[tuple[str, str]]:
    """Fill and outline of cells: the deeper, the later an answer came for the first time; none where it is wrong."""
    order = list(dict.fromkeys(text for text, ok in zip(texts, right, strict=True) if ok))
    return [
        (tint(colour, round(min(_FULL, _FAINT + _STEP * order.index(text)), 2)) if ok else tint(colour, 0),
         tint(colour, 0.5) if ok else GREY)
        for text, ok in zip(texts, right, strict=True)
    ]  # fmt: skip


def _cell(text: str, right: bool) -> str:
    """A program on lines short enough for a cell; a wrong one behind a cross."""
    return "<br>".join(textwrap.wrap(text if right else f"✗ {text}", _LINE)) or "✗"


def _different(one: Mapping[str, Any]) -> int:
    return len({answer for answer, ok in zip(one["answers"], one["right"], strict=True) if ok})


def _side_claim(different: Mapping[str, int], k: int) -> str:
    """The arms with the most and the fewest different right answers to this question."""
    most, least = max(different, key=different.__getitem__), min(different, key=different.__getitem__)
    if different[most] == different[least]:
        return (
            f"One question, {spoken(k)} adapters: {spoken(different[most])} different right, whatever they learned from"
        )
    return (
        f"Different right answers of {spoken(k)} adapters to one question: {named(most)} {spoken(different[most])}, "
        f"{named(least)} {spoken(different[least])}"
    )


# As influence, or as its dot product: their points would lie on those.
_NEAR_INFLUENCE = ("influence-raw", "influence-even", "influence-datainf")


def frontier(results: Mapping[str, Any]) -> go.Figure:
    """Different right answers against pass@1: one adapter from cold to hot as a line, arms at temperature 0 as points.

    Args:
        results: of `spa_adapters`.
    """
    k = results["design"]["k"]
    heat = results["domains"]["programs"]["one"][f"k{k}"]
    heat = {t: heat[t] for t in sorted(heat, key=float)}
    arms = {arm: one for arm, one in greedy(results).items() if arm != "one" and arm not in _NEAR_INFLUENCE}
    fig = go.Figure()
    line = {name: [one[name] for one in heat.values()] for name in ("pass@1", "distinct_right")}
    fig.add_scatter(
        x=rounded(v["mean"] for v in line["pass@1"]), y=rounded(v["mean"] for v in line["distinct_right"]),
        mode="lines+markers", line={"color": INK, "width": 2}, marker={"size": 7, "symbol": "circle-open"},
        error_x=interval(line["pass@1"], tint(INK, 0.4)),
        error_y=interval(line["distinct_right"], tint(INK, 0.4)), customdata=list(heat),
        hovertemplate="one adapter, T = %{customdata}: pass@1 %{x}, %{y} different right<extra></extra>",
    )  # fmt: skip
    for arm, one in arms.items():
        x, y = one["pass@1"], one["distinct_right"]
        colour = ARMS[arm].colour
        fig.add_scatter(
            x=rounded([x["mean"]]), y=rounded([y["mean"]]), mode="markers", error_x=interval([x], tint(colour, 0.5)),
            error_y=interval([y], tint(colour, 0.5)), marker={"color": colour, "size": 10,
            "symbol": ARMS[arm].symbol, "line": {"color": colour, "width": 1.5}},
            hovertemplate=named(arm) + ": pass@1 %{x}, %{y} different right<extra></extra>",
        )  # fmt: skip
    shown = [*arms.values(), *heat.values()]  # the axes hold every mean; an interval may be cut
    means = {name: [one[name]["mean"] for one in shown] for name in ("pass@1", "distinct_right")}
    low, high = min(means["pass@1"]) - 0.05, min(1.01, max(means["pass@1"]) + 0.03)
    top = min(1.04 * max(one["distinct_right"]["hi"] for one in shown), 1.4 * max(means["distinct_right"]))
    room = 0.58 * (high - low)
    some = [arm for arm in arms if arm not in LONE]
    beside(
        fig,
        [(tagged(arm), arms[arm]["pass@1"]["mean"], arms[arm]["distinct_right"]["mean"]) for arm in some],
        x=high + 0.03 * (high - low), gap=0.07 * top, span=(0.03 * top, 0.97 * top),
    )  # fmt: skip
    for arm in ("base", "asked"):
        if arm in arms:
            label(fig, named(arm), x=arms[arm]["pass@1"]["mean"], y=arms[arm]["distinct_right"]["mean"], colour=GREY,
                  yanchor="bottom", xshift=6, yshift=4)  # fmt: skip
    ends_of_heat = (min(heat, key=float), max(heat, key=float))
    for t in ends_of_heat:
        label(fig, f"T = {t}", x=heat[t]["pass@1"]["mean"], y=heat[t]["distinct_right"]["mean"], colour=INK,
              xanchor="right" if t == ends_of_heat[1] else "center", yanchor="top", xshift=0, yshift=-8)  # fmt: skip
    fig.update_xaxes(title="pass@1", range=[low - 0.03 * (high - low), high + room], showgrid=True,
                     tickvals=_tenths(low, high), tickformat=".1f")  # fmt: skip
    fig.update_yaxes(title=f"different right answers of {spoken(k)}", range=[0, top])
    matched = {arm: results["less_one"]["programs"][arm][GREEDY]["matched"]["distinct_right"] for arm in some}
    return present(
        fig,
        claim=_frontier_claim({arm: v for arm, v in matched.items() if arm != "seeds"}),
        how="Up and right is better. Line: one adapter, drawn from at a temperature T. Points: an adapter for each "
        f"part, one answer each at temperature 0; seeds: adapters on all the data. Grey: no training, T = 1. Bars: "
        f"95 % over {results['design']['seeds']} seeds.",
        alt="Different right answers and pass@1. One adapter: "
        + "; ".join(_said(f"T = {t}", one) for t, one in heat.items())
        + ". Arms: "
        + "; ".join(_said(named(arm), one) for arm, one in arms.items())
        + ".",
        columns=["arm", "temperature", "pass@1", "95 % from", "to", "different right", "95 % from", "to",
                 "less one adapter as often right", "95 % from", "to"],
        rows=[
            *(["one adapter", t, *four(one["pass@1"]), *four(one["distinct_right"]), *["–"] * 3]
              for t, one in heat.items()),
            *([named(arm), "1.0" if arm in LONE else GREEDY, *four(one["pass@1"]), *four(one["distinct_right"]),
               *(four(matched[arm]) if arm in matched else ["–"] * 3)] for arm, one in arms.items()),
        ],
        artifact=ADAPTERS,
        height=460,
    )  # fmt: skip


def _tenths(low: float, high: float) -> list[float]:
    """Round numbers of an axis that has labels to its right: six at most."""
    step = 1 if high - low < 0.55 else 2
    return [t / 10 for t in range(0, 11, step) if low <= t / 10 <= high]


def _said(name: str, one: Mapping[str, Any]) -> str:
    return f"{name} {one['distinct_right']['mean']:.2f} at {one['pass@1']['mean']:.2f}"


def _frontier_claim(matched: Mapping[str, Mapping[str, float]]) -> str:
    """Which parts give clearly more than one adapter at the temperature that makes it as often right."""
    above = [arm for arm, v in matched.items() if v["lo"] > 0]
    below = [arm for arm, v in matched.items() if v["hi"] < 0]
    if len(above) == len(matched):
        return "Adapters on parts give more different right answers than one that is as often right"
    if len(below) == len(matched):
        return "One adapter, heated, gives more different right answers than adapters on parts"
    if not above:
        return "No parts give clearly more than one adapter that is as often right"
    if len(above) <= 2:
        return f"Of all parts only these give more than one adapter as often right: {listed(map(named, above))}"
    return (
        f"{spoken(len(above)).capitalize()} of {spoken(len(matched))} kinds of parts give more than one adapter "
        "as often right"
    )


def arms(results: Mapping[str, Any]) -> go.Figure:
    """Different right answers of every arm, from many to few, with pass@1 in a second panel.

    Args:
        results: of `spa_adapters`.
    """
    found = greedy(results)
    order = sorted(found, key=lambda arm: -found[arm]["distinct_right"]["mean"])
    fig = _panels(found, order, {"distinct_right": "different right", "pass@1": "pass@1"}, (0.62, 0.38))
    _from_zero(fig, found, ("distinct_right",))
    _to_one(fig, found, ("pass@1",), after=1)
    return present(
        fig,
        claim=_arms_claim(found),
        how=f"Left: different right answers of {spoken(results['design']['k'])}. Right: pass@1, an axis that does not "
        f"start at 0. {_readout(results)}",
        alt="Different right answers and pass@1. " + "; ".join(_said(named(arm), found[arm]) for arm in order) + ".",
        columns=["arm", "different right", "95 % from", "to", "pass@1", "95 % from", "to", "pairs that differ"],
        rows=[[named(arm), *four(found[arm]["distinct_right"]), *four(found[arm]["pass@1"]),
               four(found[arm]["pair_share"])[0]] for arm in order],
        artifact=ADAPTERS,
        height=_height(order),
    ).update_layout(margin_t=84, margin_b=30)  # fmt: skip


def _panels(
    found: Mapping[str, Any], order: Sequence[str], measures: Mapping[str, str], widths: Sequence[float]
) -> go.Figure:
    """A panel for each measure, a row for each arm."""
    fig = make_subplots(rows=1, cols=len(measures), shared_yaxes=True, column_widths=list(widths),
                        horizontal_spacing=0.06)  # fmt: skip
    heights = {arm: -i for i, arm in enumerate(order)}
    for panel, (name, title) in enumerate(measures.items(), start=1):
        dots(fig, {arm: found[arm][name] for arm in order}, heights, row=1, col=panel)
        heading(fig, title, panel=panel)
    fig.update_yaxes(range=[0.4 - len(order), 0.6])
    fig.update_yaxes(tickvals=list(heights.values()), ticktext=[tick(arm) for arm in order], col=1)
    return fig


def _from_zero(fig: go.Figure, found: Mapping[str, Any], measures: Sequence[str]) -> None:
    """The first panels, of these measures, share an axis from 0."""
    top = max(one[name]["hi"] for one in found.values() for name in measures)
    for col in range(1, len(measures) + 1):
        fig.update_xaxes(range=[0, round(1.05 * top, 3)], showgrid=True, nticks=5, row=1, col=col)


def _to_one(fig: go.Figure, found: Mapping[str, Any], measures: Sequence[str], *, after: int = 0) -> None:
    """Panels of shares after some others share an axis that ends at 1."""
    low = min(one[name]["lo"] for one in found.values() for name in measures)
    low = max(low - 0.1 * (1 - low), -0.1)
    for col in range(after + 1, after + len(measures) + 1):
        fig.update_xaxes(range=[round(low, 3), 1.02], showgrid=True, nticks=4, row=1, col=col)


def _height(order: Sequence[str]) -> int:
    return 100 + 36 * len(order)


def _readout(results: Mapping[str, Any]) -> str:
    design = results["design"]
    return (
        f"Several adapters answer at temperature 0, one adapter at {min(design['one_at'])}, the base model at 1. Bars: "
        f"95 % over {design['seeds']} seeds."
    )


def _arms_claim(found: Mapping[str, Any]) -> str:
    """Whether dealing is ahead of all parts and at what price; else where influence stands beside chance."""
    several = {arm: one["distinct_right"]["mean"] for arm, one in found.items() if arm not in LONE}
    dealt = found["dealt"]["less"]
    if max(several, key=several.__getitem__) == "dealt" and all(
        dealt[other]["distinct_right"]["lo"] > 0 for other in _BASELINE
    ):
        price = ", and fewer are right" if dealt["random"]["pass@1"]["hi"] < 0 else ""
        return f"Of all parts, answers dealt apart give the most different right answers{price}"
    chance = found["influence"]["less"]["random"]["distinct_right"]
    if chance["lo"] > 0:
        return "Parts by Fisher scores give more different right answers than parts by chance"
    if chance["hi"] < 0:
        return "Parts by Fisher scores give fewer different right answers than parts by chance"
    return "Parts by Fisher scores are not clearly ahead of parts by chance"


def passes(results: Mapping[str, Any]) -> go.Figure:
    """Pass@1, pass@5 and one right of all, a panel each, a row for each arm.

    Args:
        results: of `spa_adapters`.
    """
    found = greedy(results)
    k, few = results["design"]["k"], min(results["design"]["pass_at"], results["design"]["k"])
    order = sorted(found, key=lambda arm: -found[arm]["pass@few"]["mean"])
    measures = {"pass@1": "pass@1", "pass@few": f"pass@{few}", "pass@all": f"pass@{k}"}
    fig = _panels(found, order, measures, (0.34, 0.33, 0.33))
    _to_one(fig, found, tuple(measures))
    cold = {arm: results["less_one"]["programs"][arm][GREEDY]["cold"]["pass@few"] for arm in PARTS if arm in found}
    return present(
        fig,
        claim=_passes_claim(cold, few),
        how=f"How often one answer is right, one of {spoken(few)}, and one of all {spoken(k)}; axes do not start at 0. "
        f"{_readout(results)}",
        alt=f"Pass@1, pass@{few} and pass@{k}. "
        + "; ".join(f"{named(arm)} " + ", ".join(f"{found[arm][m]['mean']:.2f}" for m in measures) for arm in order)
        + ".",
        columns=["arm", *(c for title in measures.values() for c in (title, "95 % from", "to"))],
        rows=[[named(arm), *(v for m in measures for v in four(found[arm][m]))] for arm in order],
        artifact=ADAPTERS,
        height=_height(order),
    ).update_layout(margin_t=84, margin_b=30)  # fmt: skip


def _passes_claim(cold: Mapping[str, Mapping[str, float]], few: int) -> str:
    """For how many kinds of parts one right of a few is clearly likelier than with one cold adapter."""
    above = sum(v["lo"] > 0 for v in cold.values())
    what = f"a right answer among {spoken(few)}"
    if above == len(cold):
        return f"All kinds of parts make {what} likelier than one adapter does"
    if not above:
        return f"No parts make {what} clearly likelier than one adapter does"
    return f"{spoken(above).capitalize()} of {spoken(len(cold))} kinds of parts make {what} likelier than one adapter"


def kinds(results: Mapping[str, Any]) -> go.Figure:
    """Different right answers beside the number of algorithms that they are worth, a row for each arm.

    Args:
        results: of `spa_adapters`.
    """
    found = greedy(results)
    order = sorted(found, key=lambda arm: -found[arm]["right_kinds"]["mean"])
    measures = {"distinct_right": "different right", "right_kinds": "algorithms"}
    fig = _panels(found, order, measures, (0.5, 0.5))
    _from_zero(fig, found, tuple(measures))
    return present(
        fig,
        claim=_kinds_claim(found),
        how="Left: right answers that differ as texts. Right: effective number of algorithms among right answers; "
        f"x * 2 and 2 * x are one algorithm, x + x is another. {_readout(results)}",
        alt="Different right answers and effective number of algorithms. "
        + "; ".join(
            f"{named(arm)} {found[arm]['distinct_right']['mean']:.2f} and {found[arm]['right_kinds']['mean']:.2f}"
            for arm in order
        )
        + ".",
        columns=["arm", "different right", "95 % from", "to", "algorithms", "95 % from", "to"],
        rows=[[named(arm), *four(found[arm]["distinct_right"]), *four(found[arm]["right_kinds"])] for arm in order],
        artifact=ADAPTERS,
        height=_height(order),
    ).update_layout(margin_t=84, margin_b=30)  # fmt: skip


def _kinds_claim(found: Mapping[str, Any]) -> str:
    """The arm of several adapters with most algorithms, and what its answers are worth."""
    several = {arm: one["right_kinds"]["mean"] for arm, one in found.items() if arm not in LONE}
    most = max(several, key=several.__getitem__)
    answers = found[most]["distinct_right"]["mean"]
    return f"The most algorithms, {several[most]:.1f}, come from {answers:.1f} different right answers: {named(most)}"
