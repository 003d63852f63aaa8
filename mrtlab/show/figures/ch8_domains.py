"""Figures of chapter 8 across domains: pairs that differ, adapters apart, data to spare, and the cost of asking."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from scipy.stats import spearmanr

from mrtlab.show.figures.ch6 import band, interval, spoken
from mrtlab.show.figures.ch8_arms import (
    ADAPTERS,
    ARMS,
    DECODE,
    DOMAINS,
    SHARE,
    beside,
    dots,
    four,
    greedy,
    heading,
    listed,
    named,
    tagged,
)
from mrtlab.show.figures.theme import GREY, INK, MULTI, label, present, rounded, short, tint

ACROSS = ("dealt", "gradients", "influence", "lexical", "random", "seeds", "one")  # arms of every domain
WAYS = {"switching": "one after another", "mixed": "peft, mixed batch"}
_ALIKE = 0.8  # rank correlation from which two measures rank arms alike
_SAME = 0.03  # of pass@1: less does not count as a loss
_DASHES = ("solid", "dash", "dot", "dashdot")


def domains(results: Mapping[str, Any]) -> go.Figure:
    """Pairs that differ, arm by arm, a panel for each domain.

    Args:
        results: of `spa_adapters`.
    """
    there = [domain for domain in DOMAINS if domain in results["domains"]]
    found = {domain: greedy(results, domain) for domain in there}
    order = [arm for arm in ACROSS if all(arm in one for one in found.values())]
    heights = {arm: float(-i) for i, arm in enumerate(order)}
    fig = make_subplots(rows=-(-len(there) // 2), cols=2, shared_xaxes=True, shared_yaxes=True,
                        horizontal_spacing=0.12, vertical_spacing=0.12)  # fmt: skip
    for panel, domain in enumerate(there):
        dots(fig, {arm: found[domain][arm]["pair_share"] for arm in order}, heights, row=panel // 2 + 1,
             col=panel % 2 + 1)  # fmt: skip
        heading(fig, DOMAINS[domain], panel=panel + 1)
    top = max(found[domain][arm]["pair_share"]["hi"] for domain in there for arm in order)
    fig.update_xaxes(range=[-0.03, round(min(1.05 * top, 1.03), 3)], showgrid=True, nticks=4, tickangle=0,
                     tickformat=".0%")  # fmt: skip
    fig.update_xaxes(title="pairs that differ", row=-(-len(there) // 2))
    fig.update_yaxes(range=[0.4 - len(order), 0.6], tickvals=list(heights.values()),
                     ticktext=[named(arm) for arm in order])  # fmt: skip
    parts = [arm for arm in order if arm not in ("seeds", "one")]
    return present(
        fig,
        claim=_domains_claim({d: {arm: found[d][arm]["pair_share"]["mean"] for arm in parts} for d in there}),
        how=f"Share of pairs among {spoken(results['design']['k'])} answers that differ, right or wrong. One adapter "
        f"at temperature {min(results['design']['one_at'])}, several at 0. Even teacher: the data's answers come "
        f"evenly, not from the model. Bars: 95 % over {results['design']['seeds']} seeds.",
        alt="Pairs that differ. "
        + " ".join(
            f"{_plain(d).capitalize()}: "
            + ", ".join(f"{named(arm)} {found[d][arm]['pair_share']['mean']:.0%}" for arm in order)
            + "."
            for d in there
        ),
        columns=["domain", "arm", "pairs that differ", "95 % from", "to", "pass@1", "95 % from", "to"],
        rows=[[_plain(d), named(arm), *four(found[d][arm]["pair_share"]), *four(found[d][arm]["pass@1"])]
              for d in there for arm in order],
        artifact=ADAPTERS,
        height=540,
    ).update_layout(margin_t=84)  # fmt: skip


def _plain(domain: str) -> str:
    return DOMAINS[domain].replace("<br>", " ")


def _domains_claim(differ: Mapping[str, Mapping[str, float]]) -> str:
    """Whose parts differ most, domain by domain."""
    leads = Counter(max(arms, key=arms.__getitem__) for arms in differ.values())
    (first, n), *rest = leads.most_common()
    claim = f"Which parts differ most depends on the task: {named(first)} in {spoken(n)} of {spoken(len(differ))}"
    if not rest:
        return f"In all {spoken(n)} domains {named(first)} parts differ most"
    return f"{claim}, {listed(f'{named(arm)} in {spoken(m)}' for arm, m in rest)}"


def apart(results: Mapping[str, Any]) -> go.Figure:
    """Pairs that differ against KL between adapters: a point for each arm, a line for each domain.

    Args:
        results: of `spa_adapters`.
    """
    k = f"k{results['design']['k']}"
    points = {}
    for domain in (d for d in DOMAINS if d in results["domains"]):
        here, kl = greedy(results, domain), results["kl"][domain]
        some = {arm: (kl[arm][k], here[arm]["pair_share"]) for arm in ACROSS if k in kl.get(arm, {})}
        points[domain] = dict(sorted(some.items(), key=lambda item: item[1][0]["mean"]))
    fig = go.Figure()
    ends: list[tuple[str, float, float]] = []
    for dash, (domain, some) in zip(_DASHES, points.items(), strict=False):
        x, y = ([pair[i] for pair in some.values()] for i in (0, 1))
        fig.add_scatter(
            x=short([v["mean"] for v in x]), y=rounded(v["mean"] for v in y), mode="lines", hoverinfo="skip",
            line={"color": GREY, "width": 1.2, "dash": dash},
        )  # fmt: skip
        for arm, (a, b) in some.items():
            colour = ARMS[arm].colour
            fig.add_scatter(
                x=short([a["mean"]]), y=rounded([b["mean"]]), mode="markers", cliponaxis=False,
                error_x=_log_bar(a, tint(colour, 0.35)), error_y=interval([b], tint(colour, 0.35)),
                marker={"color": colour, "size": 9, "symbol": ARMS[arm].symbol},
                hovertemplate=f"{_plain(domain)}, {named(arm)}: %{{x}} nats, %{{y:.0%}}<extra></extra>",
            )  # fmt: skip
        ends.append((DOMAINS[domain], _log10(x[-1]["mean"]), y[-1]["mean"]))
    arms = [arm for arm in ACROSS if any(arm in some for some in points.values())]
    for i, arm in enumerate(arms):
        label(fig, tagged(arm), x=(i % 3) / 3, y=1.17 - 0.055 * (i // 3), colour=INK, xref="paper", yref="paper")
    means = [pair[0]["mean"] for some in points.values() for pair in some.values()]
    fig.update_xaxes(title="KL (nats per token, log axis)", type="log", dtick=1,
                     range=[_log10(min(means)) - 0.15, _log10(max(means)) + 1.1])  # fmt: skip
    top = max(pair[1]["hi"] for some in points.values() for pair in some.values())
    beside(fig, ends, x=_log10(max(means)) + 0.12, gap=0.1 * top, span=(0.05 * top, 1.02 * top))
    fig.update_yaxes(title="pairs that differ", range=[-0.02, round(min(1.03, 1.05 * top), 3)], tickformat=".0%")
    ranks = {d: _rank(some) for d, some in points.items()}
    return present(
        fig,
        claim=_apart_claim(list(ranks.values())),
        how="Symmetric KL on one right answer to each question. A line joins the arms of a domain, from near adapters "
        f"to far ones. Bars: 95 % over {results['design']['seeds']} seeds.",
        alt="KL between adapters and pairs that differ. "
        + " ".join(
            f"{_plain(d).capitalize()}, rank correlation {ranks[d]:.2f}: "
            + ", ".join(f"{named(arm)} {a['mean']:.3g} nats and {b['mean']:.0%}" for arm, (a, b) in some.items())
            + "."
            for d, some in points.items()
        ),
        columns=["domain", "arm", "KL (nats per token)", "95 % from", "to", "pairs that differ", "95 % from", "to"],
        rows=[[_plain(d), named(arm), *four(a), *four(b)]
              for d, some in points.items() for arm, (a, b) in some.items()],
        artifact=ADAPTERS,
        height=480,
    ).update_layout(margin_t=108)  # fmt: skip


def _log_bar(v: Mapping[str, float], colour: str) -> dict[str, Any]:
    """An interval on a log axis: its lower end may not be 0 or less."""
    return interval([{**v, "lo": max(v["lo"], 0.2 * v["mean"])}], colour)


def _log10(x: float) -> float:
    """Where an annotation or a range stands on a log axis."""
    return round(math.log10(max(x, 1e-9)), 3)


def _rank(some: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]]) -> float:
    """Spearman's correlation over arms; 0 where all are equal in one of the two."""
    x, y = ([pair[i]["mean"] for pair in some.values()] for i in (0, 1))
    if len(set(x)) < 2 or len(set(y)) < 2:
        return 0.0
    return float(spearmanr(x, y).statistic)


def _apart_claim(ranks: Sequence[float]) -> str:
    """In how many domains the two measures rank the arms alike."""
    alike = sum(r >= _ALIKE for r in ranks)
    if alike == len(ranks):
        return "In every domain, arms whose adapters are further apart answer more differently"
    many = f"{spoken(alike)} of {spoken(len(ranks))}"
    return f"Adapters further apart answer more differently, arm by arm, in {many} domains"


def share(results: Mapping[str, Any]) -> go.Figure:
    """Pass@1 of one adapter after more and more of the data.

    Args:
        results: of `spa_share`.
    """
    fig = go.Figure()
    lines = {d: results["domains"][d]["shares"] for d in DOMAINS if d in results["domains"]}
    for dash, (domain, line) in zip(_DASHES, lines.items(), strict=False):
        x = sorted(map(int, line))
        values = [line[str(p)]["right"] for p in x]
        band(fig, x, [v["lo"] for v in values], [v["hi"] for v in values], INK)
        fig.add_scatter(
            x=x, y=rounded(v["mean"] for v in values), mode="lines+markers", cliponaxis=False,
            line={"color": INK, "width": 2, "dash": dash}, marker={"size": 8, "symbol": "circle-open"},
            hovertemplate=_plain(domain) + ", %{x} %: %{y:.1%}<extra></extra>",
        )  # fmt: skip
    last = sorted(lines, key=lambda d: _end(lines[d]))
    for place, domain in enumerate(last):
        high = place == len(last) - 1 and len(last) > 1
        label(fig, _plain(domain), x=100, y=_end(lines[domain]), colour=INK, xanchor="right",
              yanchor="bottom" if high else "top", yshift=12 if high else -12)  # fmt: skip
    low = min(one["right"]["lo"] for line in lines.values() for one in line.values())
    high = max(one["right"]["hi"] for line in lines.values() for one in line.values())
    fig.update_xaxes(title="data seen (%)", tickvals=sorted({int(p) for line in lines.values() for p in line}),
                     range=[-2, 103])  # fmt: skip
    fig.update_yaxes(title="pass@1", range=[round(max(0.0, low - 0.08), 3), round(min(high + 0.08, 1.08), 3)])
    return present(
        fig,
        claim=_share_claim(lines["programs"]),
        how=f"An adapter of its own for each share of {results['design']['pairs']} pairs, one pass, asked at "
        f"temperature 0; 0 % is the base model. The axis does not start at 0. Bands: 95 % over "
        f"{results['design']['seeds']} seeds.",
        alt="Pass@1 after shares of the data. "
        + " ".join(
            f"{_plain(d).capitalize()}: "
            + ", ".join(f"{p} % {line[p]['right']['mean']:.2f}" for p in sorted(line, key=int))
            + "."
            for d, line in lines.items()
        ),
        columns=["data", "seen (%)", "pass@1", "95 % from", "to", "less all the data", "95 % from", "to"],
        rows=[[_plain(d), int(p), *four(line[p]["right"]), *four(line[p]["short"])]
              for d, line in lines.items() for p in sorted(line, key=int)],
        artifact=SHARE,
        height=400,
    )  # fmt: skip


def _end(line: Mapping[str, Any]) -> float:
    """Pass@1 after all the data."""
    return line["100"]["right"]["mean"]


def _share_claim(line: Mapping[str, Any]) -> str:
    """The least share that is as good as all the data, both ends of the interval, if the data help at all."""
    if line["0"]["short"]["hi"] > -_SAME:
        return "All the data do not make the adapter clearly better than the base model"
    for p in sorted(map(int, line))[1:-1]:
        short_of = line[str(p)]["short"]
        if short_of["lo"] > -_SAME and short_of["hi"] < _SAME:
            return f"With {p} % of the data an adapter is as often right as with all, to within {_SAME:.0%}"
    return "No part of the data is clearly as good as all of them"


def cost(results: Mapping[str, Any]) -> go.Figure:
    """CPU time of asking several adapters over that of one stacked batch.

    Args:
        results: of `spa_decode`.
    """
    ratios = {way: results["ratios"][way] for way in WAYS}
    design = results["design"]
    names = ["one stacked batch", *WAYS.values()]
    fig = go.Figure()
    fig.add_bar(
        y=names, x=[1.0, *rounded(v["mean"] for v in ratios.values())], orientation="h",
        marker={"color": [MULTI, GREY, GREY]}, hovertemplate="%{y}: %{x}<extra></extra>",
        error_x={"array": [0.0, *rounded(v["hi"] - v["mean"] for v in ratios.values())],
                 "arrayminus": [0.0, *rounded(v["mean"] - v["lo"] for v in ratios.values())],
                 "color": INK, "thickness": 1.5, "width": 4},
    )  # fmt: skip
    for place, v in enumerate(({"mean": 1.0, "hi": 1.0}, *ratios.values())):
        label(fig, f"<b>{v['mean']:.1f}</b>" if place else "<b>1</b>", x=v["hi"], y=place, colour=INK, xshift=7)
    top = max(1.0, *(v["hi"] for v in ratios.values()))
    fig.update_xaxes(title="CPU time, one batch = 1", range=[0, round(1.15 * top, 2)])
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return present(
        fig,
        claim=_cost_claim(ratios, design["k"]),
        how=f"{spoken(design['k']).capitalize()} adapters of rank {design['rank']}, {design['prompts']} questions, "
        f"temperature 0, one thread. Bars: 95 % over {design['rounds']} rounds with other adapters and questions.",
        alt="CPU time over that of one stacked batch. "
        + "; ".join(f"{WAYS[way]} {v['mean']:.2f}" for way, v in ratios.items())
        + f". The same text in all three ways: {results['same']:.1%}.",
        columns=["way", "ratio", "95 % from", "to", "same text in all ways"],
        rows=[[WAYS[way], *four(v), float(f"{results['same']:.4g}")] for way, v in ratios.items()],
        artifact=DECODE,
        height=260,
    )


def _cost_claim(ratios: Mapping[str, Mapping[str, float]], k: int) -> str:
    """How many times as long asking one after another takes, unless that is not clearly longer."""
    one = ratios["switching"]
    asked = f"{spoken(k)} adapters one after another"
    if one["lo"] > 1:
        return f"Asking {asked} takes {one['mean']:.1f} times as long as asking all in one batch"
    return f"Asking {asked} takes not clearly longer than asking all in one batch"
