"""Figures of chapter 3 on the biased generator: what a table learns from kept answers, and what alpha does."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch3 import colour_of, tagged
from mrtlab.show.figures.theme import INK, MULTI, QUALITY_DIVERSITY, REWARD, label, present, rounded, tint

_PANELS = {
    "random": "random",
    "top_k": "best by reward",
    "dbkon_a75": "quality–diversity",
    "dkon": "diverse",
}
_ANSWERS = ["A", "B", "C"]


def learned_shares(results: Mapping[str, Any], *, k: int = 4) -> go.Figure:
    """What a table learns from the kept answers, one panel per selector, over the outlined truth."""
    fig = make_subplots(rows=2, cols=2, shared_xaxes=True, shared_yaxes=True,
                        horizontal_spacing=0.05, vertical_spacing=0.2)  # fmt: skip
    rows, gap = [], {}
    for panel, (name, title) in enumerate(_PANELS.items()):
        block, colour = results[f"k{k}"][name], colour_of(name)
        share, gap[name] = block["share"]["mean"], block["kl"]["mean"]
        where = {"row": panel // 2 + 1, "col": panel % 2 + 1}
        fig.add_bar(
            x=_ANSWERS, y=[round(v, 3) for v in share], marker={"color": tint(colour, 0.6)}, **where,
            text=[f"{v:.0%}" if v >= 0.095 else f"{v:.1%}" for v in share], textposition="outside", cliponaxis=False,
            hovertemplate="answer %{x}: %{y:.1%}<extra></extra>",
        )  # fmt: skip
        fig.add_bar(
            x=_ANSWERS, y=[round(v, 3) for v in results["truth"]], hoverinfo="skip", **where,
            marker={"color": "rgba(0,0,0,0)", "line": {"color": INK, "width": 1.5}},
        )  # fmt: skip
        number = "" if panel == 0 else str(panel + 1)
        fig.add_annotation(
            text=f"gap {gap[name]:.2f} nats", x=0.98, xref=f"x{number} domain", xanchor="right", y=0.8,
            yref=f"y{number} domain", yanchor="top", showarrow=False, font={"color": INK},
        )  # fmt: skip
        fig.add_annotation(
            text=f"<b>{tagged(title, colour)}</b>", x=0.5, xref=f"x{number} domain", y=1.04, yref=f"y{number} domain",
            yanchor="bottom", showarrow=False,
        )  # fmt: skip
        rows.append([title, *share, gap[name], block["tv"]["mean"], block["tv_generator"]["mean"]])
    fig.update_layout(barmode="overlay")
    fig.update_yaxes(range=[0, 1.16], tickformat=".0%", tickvals=[0, 0.5, 1])
    fig.update_yaxes(title="learned share", col=1)
    fig.update_xaxes(title="answer", row=2)
    seen = results["seen"]
    ordered = gap["dkon"] < gap["random"] < gap["top_k"]
    present(
        fig,
        claim="Random choice learns the generator; only diversity learns something truer"
        if ordered
        else "What each choice teaches",
        how=f"K = {k} of {results['design']['candidates']}. Outlined: the truth, three equally right answers. Gap: "
        "KL(truth ‖ learned).",
        alt="Four panels of three bars. Gaps to the truth in nats: "
        + ", ".join(f"{title} {gap[name]:.2f}" for name, title in _PANELS.items())
        + f". The rarest answer is in only {seen[2]:.0%} of the pools.",
        columns=["selector", *[f"share of {a}" for a in _ANSWERS], "KL (nats)", "TV to truth", "TV to generator"],
        rows=rows,
        artifact="biased_generator.book",
        height=480,
    )
    return fig.update_layout(margin_t=84)


def alpha_sweep(results: Mapping[str, Any]) -> go.Figure:
    """Distance from the truth of what is learned, against alpha, for two similarities."""
    sweep, fig, rows = results["sweep"], go.Figure(), []
    alpha, k = sweep["alpha"], sweep["k"]
    where = list(range(len(alpha)))
    forms = {"flat": ("similarity (1 + cos)/2", "solid"), "sharp": ("similarity cos", "dash")}
    for form, (name, dash) in forms.items():
        kl = sweep[form]["kl"]
        fig.add_scatter(
            x=where, y=rounded(kl["mean"]), mode="lines+markers", name=name,
            line={"color": QUALITY_DIVERSITY, "width": 2.5, "dash": dash},
            error_y={"array": rounded(h - m for h, m in zip(kl["hi"], kl["mean"], strict=True)),
                     "color": QUALITY_DIVERSITY, "thickness": 1, "width": 3},
            hovertemplate="%{y:.2f} nats<extra>" + name + "</extra>",
        )  # fmt: skip
        label(fig, tagged(name, QUALITY_DIVERSITY), x=float(where[-1]), y=kl["mean"][-1] + 0.12, colour=INK,
              xanchor="right", yanchor="bottom")  # fmt: skip
        rows += [[name, a, *[sweep[form][m]["mean"][i] for m in ("share0", "share1", "share2", "kl", "tv")]]
                 for i, a in enumerate(alpha)]  # fmt: skip
    block = results[f"k{k}"]
    for name, text, colour, side in (
        ("random", "random choice", MULTI, "bottom"),
        ("top_k", "best by reward", REWARD, "top"),
    ):
        y = block[name]["kl"]["mean"]
        fig.add_hline(y=round(y, 3), line={"color": colour, "width": 2, "dash": "dot"})
        label(fig, tagged(f"{text}: {y:.2f}", colour), x=0.0, y=y + (0.06 if side == "bottom" else -0.06), colour=INK,
              yanchor=side)  # fmt: skip
    fig.add_hline(y=0, line={"color": INK, "width": 1.5})
    label(fig, "the truth", x=float(where[-1]), y=0.05, colour=INK, xanchor="right", yanchor="bottom")
    fig.update_xaxes(title="weight of the reward, α", tickvals=where, ticktext=[f"{a:g}" for a in alpha], tickangle=0)
    fig.update_yaxes(title="gap to the truth (nats)", range=[-0.1, 1.08 * block["top_k"]["kl"]["mean"]])
    flat = sweep["flat"]["kl"]["mean"]
    crossed = next((a for a, v in zip(alpha, flat, strict=True) if v > block["random"]["kl"]["mean"]), None)
    present(
        fig,
        claim="Turn α up and diversity stops undoing the generator's bias",
        how=f"KL(truth ‖ learned) at K = {k}. α = 0 ignores the reward. Two ways to turn a cosine into a similarity.",
        alt=f"With similarity (1 + cos)/2 the gap grows from {flat[0]:.2f} nats at α = 0 to {flat[-1]:.2f} at "
        f"α = {alpha[-1]:g}"
        + (f" and passes random choice at α = {crossed:g}" if crossed else "")
        + f"; with cos itself it grows from {sweep['sharp']['kl']['mean'][0]:.2f} to "
        f"{sweep['sharp']['kl']['mean'][-1]:.2f}.",
        columns=["similarity", "α", "share of A", "of B", "of C", "KL to truth (nats)", "TV to truth"],
        rows=rows,
        artifact="biased_generator.book",
        height=420,
    )
    return fig
