"""Figures of chapter 8 on parts: their sizes, how far rules agree, and what heat and more adapters change."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import band, interval, spoken
from mrtlab.show.figures.ch8_arms import (
    ADAPTERS,
    ARMS,
    GREEDY,
    beside,
    dots,
    four,
    heading,
    named,
    tagged,
    tick,
)
from mrtlab.show.figures.theme import INK, MULTI, label, present, rounded, tint

SCORED = ("influence", "influence-dot", "influence-cosine", "influence-datainf", "influence-lissa")
HOT = ("one", "seeds", "random", "lexical", "influence", "dealt")
_PALE, _DEEP = 0.06, 0.6  # tints of agreement by chance and in full


def sizes(results: Mapping[str, Any]) -> go.Figure:
    """Largest and smallest part over an even one, a row for each rule.

    Args:
        results: of `spa_adapters`.
    """
    k = f"k{results['design']['k']}"
    here = results["sizes"]["programs"]
    found = {arm: here[arm][k] for arm in ARMS if k in here.get(arm, {})}
    order = sorted(found, key=lambda arm: found[arm]["largest"]["mean"])
    heights = {arm: float(-i) for i, arm in enumerate(order)}
    fig = go.Figure()
    for arm in order:
        fig.add_scatter(
            x=rounded([found[arm]["smallest"]["mean"], found[arm]["largest"]["mean"]]), y=[heights[arm]] * 2,
            mode="lines", line={"color": tint(ARMS[arm].colour, 0.4), "width": 4}, hoverinfo="skip",
        )  # fmt: skip
    for end in ("smallest", "largest"):
        dots(fig, {arm: found[arm][end] for arm in order}, heights, size=7 if end == "smallest" else 10)
    fig.add_vline(x=1, line={"color": INK, "width": 1.2, "dash": "dot"})
    label(fig, "even", x=1, y=0.5, colour=INK, xshift=5, yanchor="bottom")
    ends = [one[end]["hi"] for one in found.values() for end in ("smallest", "largest")]
    fig.update_xaxes(title="part over an even one", range=[-0.05, round(1.04 * max(*ends, 1.1), 3)], showgrid=True)
    fig.update_yaxes(tickvals=list(heights.values()), ticktext=[tick(arm) for arm in order],
                     range=[0.4 - len(order), 0.9], showgrid=False)  # fmt: skip
    pairs = results["design"]["pairs"]
    return present(
        fig,
        claim=_sizes_claim(found, order[-1]),
        how=f"{pairs} pairs in {results['design']['k']} parts. Small mark: the smallest part; large: the largest. "
        f"Bars: 95 % over {results['design']['seeds']} seeds.",
        alt="Smallest and largest part over an even one. "
        + "; ".join(
            f"{named(arm)} {found[arm]['smallest']['mean']:.2f} to {found[arm]['largest']['mean']:.2f}" for arm in order
        )
        + ".",
        columns=["rule", "largest part", "95 % from", "to", "smallest part", "95 % from", "to"],
        rows=[[named(arm), *four(found[arm]["largest"]), *four(found[arm]["smallest"])] for arm in order],
        artifact=ADAPTERS,
        height=130 + 36 * len(order),
    )  # fmt: skip


def _sizes_claim(found: Mapping[str, Any], last: str) -> str:
    """The least balanced rule and its largest part."""
    if (largest := found[last]["largest"]["mean"]) < 1.1:
        return "Every rule makes parts of nearly one size"
    return f"The largest part can be {largest:.1f} times an even one: {named(last)}"


def agreement(results: Mapping[str, Any]) -> go.Figure:
    """How far the parts by any two rules agree beyond chance: a square for each pair of rules.

    Beyond chance: (a − c)/(1 − c), a the share of the data in the same part after the best matching of names of parts,
    c that share for one partition and the other shuffled.

    Args:
        results: of `spa_adapters`.
    """
    table = results["agreement"]["programs"]
    beyond = {(a, b): _beyond(one) for a, some in table.items() for b, one in some.items()}
    there = [arm for arm in ARMS if any(arm in pair for pair in beyond)]
    beyond |= {(b, a): one for (a, b), one in beyond.items()}
    fig = go.Figure()
    for place, arm in enumerate(there[:-1]):
        below = there[place + 1 :]
        values = [beyond[arm, other]["mean"] for other in below]
        fig.add_bar(
            x=[1] * len(below), y=list(range(place + 1, len(there))), base=place - 0.5, orientation="h", width=0.94,
            marker={"color": [tint(MULTI, _shade(v)) for v in values]}, text=[str(round(100 * v)) for v in values],
            textposition="inside", insidetextanchor="middle", textangle=0, textfont={"size": 12, "color": INK},
            customdata=[f"{named(arm)}, {named(other)}: {v:.0%}" for other, v in zip(below, values, strict=True)],
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    last = len(there) - 1
    fig.update_layout(barmode="overlay")
    fig.update_xaxes(tickvals=list(range(last)), ticktext=[ARMS[arm].words for arm in there[:-1]], tickangle=-60,
                     range=[-0.55, last - 0.45])  # fmt: skip
    fig.update_yaxes(tickvals=list(range(1, last + 1)), ticktext=[ARMS[arm].words for arm in there[1:]],
                     range=[last + 0.55, 0.45], showgrid=False)  # fmt: skip
    pairs = [(a, b) for i, a in enumerate(there) for b in there[i + 1 :]]
    means = {pair: beyond[pair]["mean"] for pair in pairs}
    high = sorted(pairs, key=lambda pair: -means[pair])[:3]
    return present(
        fig,
        claim=_agreement_claim(means),
        how="Numbers, and depth of blue: agreement in percent, after the best matching of names of parts; 0 is what "
        "chance gives, 100 the same parts. Means over "
        f"{results['design']['seeds']} seeds; intervals stand in the table.",
        alt="Agreement of parts beyond chance, highest for "
        + "; ".join(f"{named(a)} and {named(b)} {means[a, b]:.0%}" for a, b in high)
        + ".",
        columns=["rule", "other rule", "beyond chance", "95 % from", "to"],
        rows=[[named(a), named(b), *four(beyond[a, b])] for a, b in pairs],
        artifact=ADAPTERS,
        height=500,
    )  # fmt: skip


def _beyond(one: Mapping[str, float]) -> dict[str, float]:
    """Agreement on a scale from chance, 0, to 1."""
    return {end: (one[end] - one["chance"]) / (1 - one["chance"]) for end in ("mean", "lo", "hi")}


def _shade(value: float) -> float:
    return round(_PALE + (_DEEP - _PALE) * min(max(value, 0.0), 1.0), 2)


def _agreement_claim(means: Mapping[tuple[str, str], float]) -> str:
    """Whether scores of other curvature agree with each other more than any of them does with another rule."""
    within = [v for (a, b), v in means.items() if a in SCORED and b in SCORED]
    across = [
        v for (a, b), v in means.items() if (a in SCORED) != (b in SCORED) and not all("influence" in x for x in (a, b))
    ]
    if within and across and min(within) > max(across):
        return f"Influence scores agree among themselves by {min(within):.0%} or more, with other rules by less"
    a, b = max(means, key=means.__getitem__)
    return f"The two rules that agree most, by {means[a, b]:.0%}: {named(a)} and {named(b)}"


def temperature(results: Mapping[str, Any]) -> go.Figure:
    """Pass@1 and the share of pairs that differ against temperature, for several adapters and for one.

    Args:
        results: of `spa_adapters`.
    """
    k = f"k{results['design']['k']}"
    here = results["domains"]["programs"]
    heat = {arm: {t: here[arm][k][t] for t in sorted(here[arm][k], key=float)} for arm in HOT if arm in here}
    panels = {"pass@1": "pass@1", "pair_share": "pairs that differ"}
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1)
    for row, (name, title) in enumerate(panels.items(), start=1):
        for arm, line in heat.items():
            _line(fig, [float(t) for t in line], [one[name] for one in line.values()], arm, row=row, col=1)
        values = [one[name] for line in heat.values() for one in line.values()]
        lowest = max(min(v["lo"] for v in values) - 0.02, min(v["mean"] for v in values) - 0.2)
        low = 0.0 if name == "pair_share" else max(0.0, lowest)
        high = min(1.0, max(v["hi"] for v in values)) + 0.02
        number = "" if row == 1 else "2"
        beside(
            fig,
            [(tagged(arm), float(max(line, key=float)), line[max(line, key=float)][name]["mean"])
             for arm, line in heat.items()],
            x=1.05, gap=0.1 * (high - low), span=(low + 0.05 * (high - low), high - 0.05 * (high - low)),
            xref="x" + number, yref="y" + number,
        )  # fmt: skip
        fig.update_yaxes(range=[round(low, 3), round(high, 3)], row=row)
        heading(fig, title, panel=row)
    fig.update_xaxes(range=[-0.03, 1.58], tickvals=[0, 0.1, 0.3, 0.5, 0.7, 1])
    fig.update_xaxes(title="temperature", row=2)
    several = {arm: line for arm, line in heat.items() if arm != "one"}
    return present(
        fig,
        claim=_temperature_claim(several),
        how=f"One adapter is drawn from {spoken(results['design']['k'])} times; of several each is drawn from once. "
        f"The axis of pass@1 does not start at 0. Bars: 95 % over {results['design']['seeds']} seeds.",
        alt="Pass@1 and pairs that differ, from cold to hot. "
        + "; ".join(
            f"{named(arm)} "
            + " and ".join(
                ", ".join(f"{one[name]['mean']:.2f}" for one in line.values()) for name in ("pass@1", "pair_share")
            )
            for arm, line in heat.items()
        )
        + ".",
        columns=["arm", "temperature", "pass@1", "95 % from", "to", "pairs that differ", "95 % from", "to"],
        rows=[[named(arm), t, *four(one["pass@1"]), *four(one["pair_share"])]
              for arm, line in heat.items() for t, one in line.items()],
        artifact=ADAPTERS,
        height=560,
    ).update_layout(margin_t=84)  # fmt: skip


def _line(fig: go.Figure, x: Sequence[float], values: Sequence[Mapping[str, float]], arm: str, **where: Any) -> None:
    """A line with an interval at each of its points."""
    colour = ARMS[arm].colour
    fig.add_scatter(
        x=x, y=rounded(v["mean"] for v in values), mode="lines+markers", error_y=interval(values, tint(colour, 0.5)),
        line={"color": colour, "width": 2}, cliponaxis=False,
        marker={"color": colour, "size": 8, "symbol": ARMS[arm].symbol},
        hovertemplate=named(arm) + ", %{x}: %{y}<extra></extra>", **where,
    )  # fmt: skip


def _temperature_claim(several: Mapping[str, Mapping[str, Any]]) -> str:
    """Whether heat makes every arm of several adapters less right and more varied."""
    ends = {arm: (line[GREEDY], line[max(line, key=float)]) for arm, line in several.items()}
    falls = all(hot["pass@1"]["mean"] < cold["pass@1"]["mean"] for cold, hot in ends.values())
    rises = all(hot["pair_share"]["mean"] > cold["pair_share"]["mean"] for cold, hot in ends.values())
    if falls and rises:
        return "Heat makes several adapters differ more and be right less often, whatever their parts"
    if rises:
        return "Heat makes several adapters differ more, whatever their parts"
    return "What heat does to several adapters depends on their parts"


def over_k(results: Mapping[str, Any]) -> go.Figure:
    """Different right answers and pass@1 against the number of adapters.

    Args:
        results: of `spa_adapters`.
    """
    ks = results["design"]["ks"]
    here = results["domains"]["programs"]
    lines = {
        arm: {k: here[arm][f"k{k}"][GREEDY] for k in ks}
        for arm in HOT
        if arm != "one" and all(GREEDY in here.get(arm, {}).get(f"k{k}", {}) for k in ks)
    }
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.1, row_heights=[0.6, 0.4])
    for row, (name, title) in enumerate((("distinct_right", "different right answers"), ("pass@1", "pass@1")), 1):
        for arm, line in lines.items():
            values = [one[name] for one in line.values()]
            if row == 1:
                band(fig, ks, [v["lo"] for v in values], [v["hi"] for v in values], ARMS[arm].colour, row=1, col=1)
            _line(fig, ks, values, arm, row=row, col=1)
        values = [one[name] for line in lines.values() for one in line.values()]
        high = max(v["hi"] for v in values)
        lowest = max(min(v["lo"] for v in values) - 0.02, min(v["mean"] for v in values) - 0.2)
        low, high = (0.0, high) if row == 1 else (max(0.0, lowest), min(high, 1.0))
        high += 0.05 * (high - low)
        number = "" if row == 1 else "2"
        beside(fig, [(tagged(arm), ks[-1], line[ks[-1]][name]["mean"]) for arm, line in lines.items()],
               x=1.04 * ks[-1], gap=0.1 * (high - low) * row, span=(low, high),
               xref="x" + number, yref="y" + number)  # fmt: skip
        fig.update_yaxes(range=[round(low, 3), round(high, 3)], row=row)
        heading(fig, title, panel=row)
    fig.update_xaxes(range=[0.93 * ks[0] - 0.3, 1.36 * ks[-1]], tickvals=ks)
    fig.update_xaxes(title="adapters", row=2)
    return present(
        fig,
        claim=_k_claim({arm: [one["distinct_right"] for one in line.values()] for arm, line in lines.items()}, ks),
        how="Each adapter answers once, at temperature 0; a part of K is the data over K. The axis of pass@1 does not "
        f"start at 0. Bands and bars: 95 % over {results['design']['seeds']} seeds.",
        alt=f"Different right answers and pass@1 with {', '.join(map(str, ks))} adapters. "
        + "; ".join(
            f"{named(arm)} "
            + " and ".join(
                ", ".join(f"{one[name]['mean']:.2f}" for one in line.values()) for name in ("distinct_right", "pass@1")
            )
            for arm, line in lines.items()
        )
        + ".",
        columns=["arm", "adapters", "different right", "95 % from", "to", "pass@1", "95 % from", "to",
                 "pairs that differ"],
        rows=[[named(arm), k, *four(one["distinct_right"]), *four(one["pass@1"]), four(one["pair_share"])[0]]
              for arm, line in lines.items() for k, one in line.items()],
        artifact=ADAPTERS,
        height=520,
    ).update_layout(margin_t=84)  # fmt: skip


def _k_claim(lines: Mapping[str, Sequence[Mapping[str, float]]], ks: Sequence[int]) -> str:
    """Whether the last step up in adapters clearly gives more different right answers, by intervals that part."""
    gains = {arm: line[-1]["lo"] > line[-2]["hi"] for arm, line in lines.items() if arm != "seeds"}
    step = f"from {spoken(ks[-2])} adapters to {spoken(ks[-1])}"
    if gains and all(gains.values()):
        return f"Different right answers still grow {step}"
    if not any(gains.values()):
        return f"No clear gain in different right answers {step}"
    return f"Different right answers grow {step}, not for all parts"
