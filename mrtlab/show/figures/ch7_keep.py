"""Figures of chapter 7 on what evenness costs: other text, kind by kind, and the gain beside the price."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import interval, three
from mrtlab.show.figures.theme import GREY, INK, MULTI, QUALITY_DIVERSITY, label, present

KEEP, TRANSFER = "diffuse_keep.book", "diffuse_transfer.book"
TEXTS = {
    "facts": "facts",
    "stories": "stories,<br>tone named",
    "stories_open": "stories,<br>tone open",
    "programs": "programs",
    "biographies": "biographies",
    "laws": "numbers by<br>a named law",
    "fair": "asked for a<br>fair draw",
    "casual": "asked<br>casually",
}
KINDS = {  # words, colour, symbol; an anchor is green
    "free": ("no anchor", MULTI, "circle"),
    "anchored": ("anchor on facts", QUALITY_DIVERSITY, "circle"),
    "anchored-wide": ("anchor on facts, stories, programs", QUALITY_DIVERSITY, "circle-open"),
    "mixed-tail": ("a fifth left to the base model", MULTI, "diamond-open"),
}
_SAME = {"mixed": "free", "mixed-anchored": "anchored"}  # what `diffuse_transfer` calls them
_MARGIN = 0.01  # nats per token: 1 % of perplexity
_OFF = 0.17  # between the points of one row


def other_texts(results: Mapping[str, Any], *, kinds: Sequence[str] = ("free", "anchored")) -> go.Figure:
    """Change of nats per token of new documents, a row for each kind of text; those about picking apart.

    Args:
        results: of `diffuse_keep`.
        kinds: which runs are drawn; the table has all.
    """
    design, last = results["design"], str(results["design"]["passes"])
    end = {kind: one["marks"][last]["texts"] for kind, one in results["kinds"].items()}
    parts = [list(design["unrelated"]), [text for text in TEXTS if text not in design["unrelated"]]]
    fig = make_subplots(rows=2, cols=1, row_heights=[len(part) for part in parts], vertical_spacing=0.2)
    for row, (part, words) in enumerate(
        zip(parts, ("nothing to do with picking", "about picking one of many"), strict=True), start=1
    ):
        for place, kind in enumerate(kinds):
            name, colour, symbol = KINDS[kind]
            found = [end[kind][text]["change"] for text in part]
            off = _OFF * ((len(kinds) - 1) / 2 - place)
            fig.add_scatter(
                x=_fine(v["mean"] for v in found), y=[off - i for i in range(len(part))], mode="markers", row=row,
                col=1, error_x=_fine_bars(found, colour), cliponaxis=False,
                marker={"color": colour, "size": 9, "symbol": symbol, "line": {"color": colour, "width": 2}},
                hovertemplate=name + ": %{x:+.4f}<extra></extra>",
            )  # fmt: skip
        fig.update_yaxes(tickvals=[-i for i in range(len(part))], ticktext=[TEXTS[text] for text in part],
                         range=[0.6 - len(part), 0.6], showgrid=False, row=row, col=1)  # fmt: skip
        number = "" if row == 1 else str(row)
        fig.add_annotation(text=f"<b>{words}</b>", x=0, xref=f"x{number} domain", xanchor="left", y=1.01,
                           yref=f"y{number} domain", yanchor="bottom", showarrow=False)  # fmt: skip
        fig.add_vline(x=0, line={"color": GREY, "width": 1.2}, row=row, col=1)
    fig.add_vline(x=_MARGIN, line={"color": INK, "width": 1.2, "dash": "dot"}, row=1, col=1)
    label(fig, "1 %", x=_MARGIN, y=0.55, colour=INK, xref="x", yref="y", xshift=5)
    ends = [end[kind][text]["change"][e] for kind in kinds for text in parts[0] for e in ("lo", "hi")]
    fig.update_xaxes(range=[min(-0.004, *ends) - 0.001, max(1.25 * _MARGIN, *ends) + 0.001], row=1, col=1)
    fig.update_xaxes(title="change of nats per token", row=2, col=1)
    drawn = " ".join(f"{KINDS[kind][0].capitalize()}: {_colour_word(KINDS[kind][1])}." for kind in kinds)
    return present(
        fig,
        claim=_texts_claim(end, design["unrelated"]),
        how=f"{drawn} To the right a text is less likely than before; dotted: perplexity up by 1 %. The two axes "
        f"differ. Bars: 95 % over {design['documents']} documents of each kind and {design['seeds']} seeds.",
        alt="Change of nats per token. "
        + " ".join(
            f"{KINDS[kind][0].capitalize()}: "
            + ", ".join(f"{_flat(TEXTS[text])} {end[kind][text]['change']['mean']:+.3f}" for text in TEXTS)
            + "."
            for kind in kinds
        ),
        columns=["run", "text", "before (nats per token)", "change", "95 % from", "to"],
        rows=[
            [KINDS[kind][0], _flat(name), _before(results, text), *_fine(three(end[kind][text]["change"]))]
            for kind in end
            for text, name in TEXTS.items()
        ],
        artifact=KEEP,
        height=520,
    ).update_layout(margin_t=84)  # fmt: skip


def _texts_claim(end: Mapping[str, Mapping[str, Any]], unrelated: Sequence[str]) -> str:
    """Which texts that have nothing to do with picking stay within the margin, without an anchor or with one."""

    def lost(kind: str) -> list[str]:
        change = {text: end[kind][text]["change"] for text in unrelated}
        return [text for text, one in change.items() if max(one["hi"], one["seeds_hi"]) >= _MARGIN]

    if not lost("free"):
        return "Text that has nothing to do with picking stays as likely"
    if not lost("anchored"):
        return "With an anchor, text that has nothing to do with picking stays as likely"
    if lost("free") == ["facts"]:
        return "Stories and programs stay as likely as before; facts do not"
    return "Evenness makes other text less likely"


def gain_and_price(results: Mapping[str, Any]) -> go.Figure:
    """Evenness of families not taught against facts known, a line for each kind of run, a point for each mark.

    Args:
        results: of `diffuse_keep`, or of `diffuse_transfer`, of which the two mixed kinds are drawn.
    """
    own = "free" in results["kinds"]
    there = results["kinds"] if own else {ours: results["kinds"][name] for name, ours in _SAME.items()}
    runs = {kind: there[kind]["marks"] for kind in KINDS if kind in there}
    last = results["design"]["passes"]
    points = {
        kind: {mark: (looks[mark]["groups"]["families"]["tv"], _known(looks[mark])) for mark in sorted(looks, key=int)
               if mark in ("0", "5", "10", str(last))}
        for kind, looks in runs.items()
    }  # fmt: skip
    fig = go.Figure()
    for kind, line in points.items():
        if kind == "anchored-wide":
            continue  # it lies on the anchor of facts; the table has it
        name, colour, symbol = KINDS[kind]
        marks = [mark for mark in line if mark != "0"]
        tv, known = ([line[mark][i] for mark in marks] for i in (0, 1))
        fig.add_scatter(
            x=_fine(v["mean"] for v in tv), y=_fine(v["mean"] for v in known), mode="lines+markers",
            error_y=_last_bar(known, colour), line={"color": colour, "width": 1.5},
            marker={"color": colour, "symbol": symbol, "line": {"color": colour, "width": 2},
                    "size": [6 + 2.5 * i for i in range(len(marks))]},
            customdata=marks, cliponaxis=False,
            hovertemplate=name + "<br>%{customdata} passes: TV %{x:.3f}, facts %{y:.1%}<extra></extra>",
        )  # fmt: skip
    x0, y0 = points["free"]["0"]
    fig.add_scatter(
        x=_fine([x0["mean"]]), y=_fine([y0["mean"]]), mode="markers",
        marker={"color": GREY, "size": 11}, hovertemplate="before: TV %{x:.3f}, facts %{y:.1%}<extra></extra>",
    )  # fmt: skip
    label(
        fig, "before", x=x0["mean"], y=y0["mean"], colour=GREY, xanchor="right", yanchor="bottom", xshift=-4, yshift=5
    )
    shown = [kind for kind in points if kind != "anchored-wide"]
    for place, kind in enumerate(shown):
        name, colour, symbol = KINDS[kind]
        sample = {"circle": "●", "circle-open": "○", "diamond-open": "◇"}[symbol]
        label(fig, f"{sample} {name}", x=0.98, y=0.03 + 0.075 * (len(shown) - 1 - place), colour=colour, xref="paper",
              yref="paper", xanchor="right", yanchor="bottom")  # fmt: skip
    lowest = min(y[e] for line in points.values() for _, y in line.values() for e in ("lo", "mean"))
    fig.update_xaxes(title="TV to even, families not taught")
    fig.update_yaxes(title="facts known", tickformat=".0%", range=[lowest - 0.01, 1.005])
    marks = [mark for mark in points["free"] if mark != "0"]
    return present(
        fig,
        claim=_price_claim(results, {kind: _lost(looks[str(last)]) for kind, looks in runs.items()}, str(last)),
        how=f"Small to large: {', '.join(marks[:-1])} and {marks[-1]} passes. Up and left is better. Bars, at "
        f"{last} passes: 95 % over {results['design']['seeds']} seeds; sideways they stand in the table, since every "
        "seed asks other families. The axes do not start at 0.",
        alt=f"Before: total variation {x0['mean']:.2f}, facts {y0['mean']:.0%}. After {last} passes: "
        + "; ".join(
            f"{KINDS[kind][0]} {line[str(last)][0]['mean']:.2f} and {line[str(last)][1]['mean']:.0%}"
            for kind, line in points.items()
        )
        + ".",
        columns=["run", "passes", "TV, other families", "95 % from", "to", "facts known", "95 % from", "to"],
        rows=[[KINDS[kind][0], int(mark), *three(x), *three(y)]
              for kind, line in points.items() for mark, (x, y) in line.items()],
        artifact=KEEP if own else TRANSFER,
        height=420,
    )  # fmt: skip


def _price_claim(results: Mapping[str, Any], lost: Mapping[str, bool], last: str) -> str:
    """Whether the anchor keeps facts that are lost without it, and whether it costs evenness of other families."""
    own = "minus_free" in results
    price = (
        results["minus_free"]["anchored"]["families"]
        if own
        else results["anchored_minus_free"][last]["groups"]["families"]["tv"]
    )
    if lost["anchored"]:
        return "Facts are lost, with the anchor too"
    if not lost["free"]:
        return "No clear loss of facts, with an anchor or without"
    if price["lo"] > 0:
        return "The anchor keeps facts, and less evenness reaches other families"
    if price["hi"] < 0:
        return "The anchor keeps facts, and more evenness reaches other families"
    return "The anchor keeps facts at no clear price in evenness"


def _known(look: Mapping[str, Any]) -> Mapping[str, float]:
    """Share of all facts known at a mark, in either artifact."""
    facts = look["facts"]["all"]
    return facts["known"] if "known" in facts else facts["after"]


def _lost(look: Mapping[str, Any]) -> bool:
    """Whether the interval of the change in the share of facts known lies below 0, in either artifact."""
    change = look["facts"]["all"]["change"]
    return change.get("right", change)["hi"] < 0


def _before(results: Mapping[str, Any], text: str) -> float:
    return results["kinds"]["free"]["marks"]["0"]["texts"][text]["nats"]


def _fine(values: Any) -> list[float]:
    """Four decimals: changes of a thousandth of a nat are what is shown."""
    return [round(float(v), 4) for v in values]


def _fine_bars(found: Sequence[Mapping[str, float]], colour: str) -> dict[str, Any]:
    """Error bars with four decimals."""
    ends = {"array": [v["hi"] - v["mean"] for v in found], "arrayminus": [v["mean"] - v["lo"] for v in found]}
    return interval(found, colour) | {name: _fine(values) for name, values in ends.items()}


def _last_bar(found: Sequence[Mapping[str, float]], colour: str) -> dict[str, Any]:
    """Error bars of the last point alone: the others would hide one another; the table has them."""
    bars = _fine_bars(found, colour)
    return bars | {name: [0.0] * (len(found) - 1) + bars[name][-1:] for name in ("array", "arrayminus")}


def _colour_word(colour: str) -> str:
    return {MULTI: "blue", QUALITY_DIVERSITY: "green"}[colour]


def _flat(text: str) -> str:
    return text.replace("<br>", " ")
