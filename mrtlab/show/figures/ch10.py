"""Figures of chapter 10: the three experiments at scale, whatever model they were run on."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from mrtlab.show.figures.ch6 import interval
from mrtlab.show.figures.ch8_arms import beside, four
from mrtlab.show.figures.theme import DEALT, GREY, INK, MULTI, SINGLE, label, present, rounded

_SAME = 0.02  # nats a token: differences that nobody would train for
_MRT = {
    "one": ("one, read again", SINGLE),
    "many": ("many", MULTI),
    "matched": ("new prompts", INK),
}
_SPA = {
    "one": ("one, heated", INK),
    "seeds": ("seeds", SINGLE),
    "random": ("parts by chance", GREY),
    "products": ("parts by products", MULTI),
    "dealt": ("dealt", DEALT),
}
_GROUPS = {
    "trained": "taught",
    "wordings_seen": "other wordings",
    "wordings_new": "new wordings",
    "ranges": "other ranges",
    "families": "other families",
    "never_flat": "never even",
}


def responses(found: Mapping[str, Any], *, artifact: str) -> go.Figure:
    """Held-out loss of the three arms, and the base model's as a line.

    Args:
        found: results of `mrt_scale`.
        artifact: where they are from.
    """
    loss = {arm: found["arms"][arm]["loss"] for arm in _MRT}
    base, design = found["base"]["mean"], found["design"]
    tokens = {arm: found["arms"][arm]["tokens"]["mean"] for arm in _MRT}
    fig = go.Figure()
    for place, (arm, (words, colour)) in enumerate(_MRT.items()):
        fig.add_scatter(
            x=rounded([loss[arm]["mean"]]), y=[place], mode="markers", marker={"color": colour, "size": 12},
            error_x=interval([loss[arm]], colour), cliponaxis=False,
            hovertemplate=words + ": %{x:.3f}<extra></extra>",
        )  # fmt: skip
    fig.add_vline(x=base, line={"color": GREY, "width": 1.5, "dash": "dot"})
    label(
        fig, "before training", x=base, y=1, colour=GREY, yref="y domain", xanchor="right", yanchor="bottom", xshift=-6
    )
    fig.update_xaxes(title="held-out loss, nats a token")
    names = [f"{words}<br>{_thousands(tokens[arm])} tokens" for arm, (words, _) in _MRT.items()]
    fig.update_yaxes(tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.5, -0.5])
    return present(
        fig,
        claim=_responses_claim(found["arms"]),
        how=f"{design['model']}. All arms read {design['prompts'] * design['k']:,} pairs in {design['steps']} steps. "
        f"Exact loss on {design['held_out']} held-out prompts. Bars: 95 % over {design['seeds']} seeds.",
        alt=f"Held-out loss, {base:.3f} before training; after it "
        + ", ".join(f"{_MRT[arm][0]} {loss[arm]['mean']:.3f} for {_thousands(tokens[arm])} tokens" for arm in _MRT)
        + ".",
        columns=["arm", "loss", "95 % from", "to", "tokens fed"],
        rows=[
            ["before training", *four(found["base"]), 0],
            *([_MRT[arm][0], *four(loss[arm]), round(tokens[arm])] for arm in _MRT),
        ],
        artifact=artifact,
        height=380,
    )  # fmt: skip


def _responses_claim(arms: Mapping[str, Any]) -> str:
    against_one, against_matched = arms["many"]["less_one"], arms["many"]["less_matched"]
    share = arms["many"]["tokens"]["mean"] / arms["matched"]["tokens"]["mean"]
    if max(abs(side) for less in (against_one, against_matched) for side in (less["lo"], less["hi"])) < _SAME:
        return f"All three teach the same, and the tree feeds {share:.0%} of the tokens"
    better = "Several responses beat one" if against_one["hi"] < 0 else "Several responses do not clearly beat one"
    if against_matched["hi"] < 0:
        return f"{better}, and new prompts too"
    if against_matched["lo"] > 0:
        return f"{better}; as many new prompts do more"
    return f"{better}; as many new prompts do about the same"


def _thousands(number: float) -> str:
    """A count to two digits.

    >>> _thousands(9802.0), _thousands(31198.2), _thousands(310)
    ('9,800', '31,000', '310')
    """
    return f"{float(f'{number:.2g}'):,.0f}"


def evenness(found: Mapping[str, Any], *, artifact: str) -> go.Figure:
    """Exact entropy over that of the target, group by group, before and after.

    Args:
        found: results of `diffuse_scale`.
        artifact: where they are from.
    """
    groups = [name for name in _GROUPS if name in found["arms"]["plain"]["groups"]]
    sides = (
        ("before", "plain", "before", GREY),
        ("after", "plain", "trained", MULTI),
        ("after", "anchored", "with an anchor", INK),
    )
    fig = go.Figure()
    for place, (when, arm, words, colour) in enumerate(sides):
        values = [found["arms"][arm]["groups"][name][when]["entropy"] for name in groups]
        fig.add_scatter(
            x=rounded(v["mean"] for v in values), y=[i + 0.18 * (1 - place) for i in range(len(groups))],
            mode="markers", marker={"color": colour, "size": 10}, error_x=interval(values, colour), name=words,
            cliponaxis=False, hovertemplate=words + ": %{x:.2f}<extra></extra>",
        )  # fmt: skip
    fig.update_xaxes(title="entropy, 1 is even", range=[0, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1])
    fig.update_yaxes(
        tickvals=list(range(len(groups))), ticktext=[_GROUPS[name] for name in groups], autorange="reversed"
    )
    before, after = (
        found["arms"]["plain"]["groups"]["trained"][when]["entropy"]["mean"] for when in ("before", "after")
    )
    far = found["arms"]["plain"]["groups"].get("families")
    design = found["design"]
    present(
        fig,
        claim=_evenness_claim(before, after, far),
        how=f"{design['model']}, {design['passes']} passes over eleven prompts. Exact entropy of the model's law over "
        f"that of the even one. Bars: 95 % over {design['seeds']} seeds.",
        alt="Entropy over that of the target before, after, and after training with an anchor: "
        + "; ".join(
            f"{_GROUPS[name]} "
            + ", ".join(f"{found['arms'][a]['groups'][name][w]['entropy']['mean']:.2f}" for w, a, _, _ in sides)
            for name in groups
        )
        + ".",
        columns=["prompts", "before", "trained", "with an anchor"],
        rows=[
            [_GROUPS[name], *(round(found["arms"][a]["groups"][name][w]["entropy"]["mean"], 3) for w, a, _, _ in sides)]
            for name in groups
        ],
        artifact=artifact,
        height=440,
    )  # fmt: skip
    # Three marks in every row: one line names them, since a label on each would hide the next.
    for (x, y), (_, _, words, colour) in zip(((0, 1.06), (0.45, 1.06), (0, 1)), sides, strict=True):
        where = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        label(fig, f"● {words}", x=x, y=y, colour=colour, **where)
    fig.update_layout(margin_t=96)  # two lines of names, below the title
    return fig


def _evenness_claim(before: float, after: float, far: Mapping[str, Any] | None) -> str:
    taught = f"Taught prompts go from {before:.2f} to {after:.2f} of evenness"
    if far is None:
        return taught
    was, now = far["before"]["entropy"], far["after"]["entropy"]
    return f"{taught}; families not taught {'follow' if now['lo'] > was['mean'] else 'do not clearly follow'}"


def adapters(found: Mapping[str, Any], *, artifact: str) -> go.Figure:
    """Different right answers against the share of right ones, an arm a point.

    Args:
        found: results of `spa_scale`.
        artifact: where they are from.
    """
    arms, design = found["arms"], found["design"]
    fig = go.Figure()
    for arm, (words, colour) in _SPA.items():
        x, y = arms[arm]["distinct_right"], arms[arm]["pass@1"]
        fig.add_scatter(
            x=rounded([x["mean"]]), y=rounded([y["mean"]]), mode="markers", cliponaxis=False,
            marker={"color": colour, "size": 11}, error_x=interval([x], colour), error_y=interval([y], colour),
            hovertemplate=words + ": %{x:.2f} different right, %{y:.0%} right<extra></extra>",
        )  # fmt: skip
    high = max(arms[arm]["distinct_right"]["hi"] for arm in _SPA)
    low = min(arms[arm]["pass@1"]["lo"] for arm in _SPA) - 0.02
    tags = [
        (_SPA[arm][0].removeprefix("parts "), one["distinct_right"]["mean"], one["pass@1"]["mean"])
        for arm, one in arms.items()
    ]
    beside(fig, tags, x=high + 0.15, gap=0.07 * (1.02 - low), span=(low, 1.0))
    fig.update_xaxes(title=f"different right answers of {design['k']}", range=[0.8, high + 0.7 * (high - 0.8)])
    fig.update_yaxes(title="right (pass@1)", tickformat=".0%", range=[low, 1.02])
    best = max((arm for arm in _SPA if arm != "one"), key=lambda arm: arms[arm]["distinct_right"]["mean"])
    return present(
        fig,
        claim=f"Of {design['k']} adapters, {_SPA[best][0]} give the most different right answers",
        how=f"{design['model']}, {design['pairs']} pairs of its own. {design['k']} answers to {design['questions']} "
        f"questions, programs executed. Bars: 95 % over {design['seeds']} seeds.",
        alt=f"Different right answers of {design['k']}, and share of right ones: "
        + "; ".join(
            f"{_SPA[arm][0]} {arms[arm]['distinct_right']['mean']:.2f} and {arms[arm]['pass@1']['mean']:.0%}"
            for arm in _SPA
        )
        + ".",
        columns=["arm", "different right", "95 % from", "to", "pass@1", "95 % from", "to"],
        rows=[[_SPA[arm][0], *four(arms[arm]["distinct_right"]), *four(arms[arm]["pass@1"])] for arm in _SPA],
        artifact=artifact,
        height=420,
    )  # fmt: skip
