"""Figure of chapter 6 on what is kept: how much is learned, and how many old facts are left, way by way."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import interval, three
from mrtlab.show.figures.theme import GREY, MULTI, label, present, rounded

WAYS = {
    "full": "every weight",
    "gentle": "smaller steps",
    "adapter": "adapter",
    "rehearsal": "with facts",
    "adapter-rehearsal": "adapter,<br>with facts",
}


def what_is_kept(results: Mapping[str, Any]) -> go.Figure:
    """KL to the truth beside the share of old facts still right, a row for each way of learning the same pairs.

    Args:
        results: of `callings_keep`.
    """
    ways, design = results["ways"], results["design"]
    names = list(WAYS.values())
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.08)
    kl = [ways[way]["kl"] for way in WAYS]
    fig.add_scatter(
        x=rounded(v["mean"] for v in kl), y=names, mode="markers", row=1, col=1,
        marker={"size": 10, "color": MULTI}, error_x=interval(kl, GREY), cliponaxis=False,
        hovertemplate="%{y}<br>%{x:.3f} nats<extra></extra>",
    )  # fmt: skip
    before = ways["full"]["others"]["before"]["right"]["mean"]
    for part, symbol, words in (("rehearsed", "circle-open", "rehearsed"), ("others", "circle", "never rehearsed")):
        shown = [way for way in WAYS if part == "others" or design["rehearsed"][way]]
        found = [ways[way][part]["after"]["right"] for way in shown]
        fig.add_scatter(
            x=rounded(v["mean"] for v in found), y=[WAYS[way] for way in shown], mode="markers", row=1, col=2,
            marker={"size": 10, "color": MULTI, "symbol": symbol, "line": {"width": 2, "color": MULTI}},
            error_x=interval(found, GREY), cliponaxis=False,
            hovertemplate="%{y}<br>" + words + ": %{x:.0%}<extra></extra>",
        )  # fmt: skip
    fig.add_vline(x=round(before, 3), line={"color": GREY, "width": 1.5, "dash": "dot"}, row=1, col=2)
    label(fig, f"before: {before:.0%}", x=before, y=1.01, colour=GREY, xref="x2", yref="paper", xanchor="right",
          yanchor="bottom")  # fmt: skip
    fig.update_yaxes(autorange="reversed", ticks="")
    highest = max(v["hi"] for v in kl)
    fig.update_xaxes(title="KL (nats)", range=[0, 1.08 * highest], nticks=4, row=1, col=1)
    fig.update_xaxes(title="old facts right", range=[0, 1.08], tickformat=".0%", tickvals=[0, 0.5, 1], row=1, col=2)
    plain = {way: name.replace("<br>", " ") for way, name in WAYS.items()}
    return present(
        fig,
        claim=_kept_claim(ways),
        how="Left: less is better. Right, filled: facts that were in no pair; open: facts that were rehearsed, one for "
        f"every 8 pairs. The same {design['prompts'] * design['k']:,} pairs everywhere; bars: 95 % over "
        f"{design['seeds']} seeds.",
        alt="; ".join(
            f"{plain[way]}: {ways[way]['kl']['mean']:.2f} nats and "
            f"{ways[way]['others']['after']['right']['mean']:.0%} of the facts"
            for way in WAYS
        )
        + f". Before training {before:.0%}.",
        columns=["way", "KL (nats)", "95 % from", "to", "facts right", "95 % from", "to", "rehearsed facts right"],
        rows=[
            [
                plain[way],
                *three(ways[way]["kl"]),
                *three(ways[way]["others"]["after"]["right"]),
                ways[way]["rehearsed"]["after"]["right"]["mean"],
            ]
            for way in WAYS
        ],
        artifact="callings_keep.book",
        height=400,
    ).update_layout(margin_t=84)


def _kept_claim(ways: Mapping[str, Any]) -> str:
    """Which ways clearly keep more facts than training every weight, and whether each of them costs the law."""
    kept = {way: one["minus_full"]["kl"] for way, one in ways.items() if one["minus_full"]["right"]["lo"] > 0}
    if not kept:
        return "No way of learning the pairs clearly keeps more old facts"
    free = [way for way, kl in kept.items() if kl["lo"] <= 0]
    if not free:
        return "What keeps old facts costs some of the new law"
    if len(free) == len(kept):
        return "Old facts can be kept, and the new law shows no clear price"
    return "Some ways keep old facts at no clear price in the new law, others pay"
