"""Figures of chapter 7 on biographies: fields taught and untaught, different lives, parity, and worth of the data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import interval, spoken, three
from mrtlab.show.figures.theme import GREY, INK, MULTI, QUALITY_DIVERSITY, label, present, rounded

BIOGRAPHIES = "diffuse_biographies.book"
FIELDS = {"name": "name", "gender": "gender", "age": "age", "city": "home", "job": "job", "hobby": "hobby"}
_STAGES = {  # kind: words, symbol, colour
    "before": ("before", "circle-open", GREY),
    "stage1": ("other families", "diamond-open", MULTI),
    "stage2": ("beginnings alone", "triangle-up-open", MULTI),
    "both": ("both", "circle", MULTI),
}
_COUNTED = ("name", "age", "city", "job", "hobby")
_KEPT = 0.05  # of whole biographies, or of an entropy: a loss that a title need not name
_EVEN = 0.9  # of the largest entropy: from here on a field counts as nearly even


def fields(results: Mapping[str, Any], *, group: str = "taught") -> go.Figure:
    """Entropy of each field before, between and after the stages; fields that were taught apart from the others.

    Args:
        results: of `diffuse_biographies`.
        group: "taught" wordings, or "new" ones.
    """
    taught = results["design"]["taught"]
    heights = {field: -float(i) - 0.6 * (field not in taught) for i, field in enumerate(FIELDS)}
    fig = go.Figure()
    entropy = {kind: {f: results["kinds"][kind][group]["fields"][f]["entropy"] for f in FIELDS} for kind in _STAGES}
    line: list[float | None] = []
    for field in FIELDS:
        line += [entropy["before"][field]["mean"], entropy["both"][field]["mean"], None]
    fig.add_scatter(
        x=[None if v is None else round(v, 3) for v in line],
        y=[None if i % 3 == 2 else heights[f] for f in FIELDS for i in range(3)],
        mode="lines", line={"color": GREY, "width": 2}, hoverinfo="skip",
    )  # fmt: skip
    for kind, (words, symbol, colour) in _STAGES.items():
        found = list(entropy[kind].values())
        fig.add_scatter(
            x=rounded(v["mean"] for v in found), y=list(heights.values()), mode="markers", cliponaxis=False,
            error_x=interval(found, colour), customdata=list(FIELDS.values()),
            marker={"color": colour, "size": 11, "symbol": symbol, "line": {"width": 2, "color": colour}},
            hovertemplate=f"%{{customdata}}, {words}: %{{x:.2f}}<extra></extra>",
        )  # fmt: skip
    _key(fig)
    fig.add_vline(x=1, line={"color": INK, "width": 1.5, "dash": "dot"})
    apart = (heights[taught[-1]] + max(h for f, h in heights.items() if f not in taught)) / 2
    fig.add_hline(y=apart, line={"color": GREY, "width": 1, "dash": "dot"})
    label(fig, "never taught", x=0, y=apart, colour=GREY, xref="paper", xshift=6, yanchor="top")
    label(fig, "taught", x=0, y=apart, colour=GREY, xref="paper", xshift=6, yanchor="bottom")
    fig.update_xaxes(title="entropy, of the largest there is", range=[0, 1.04], tickvals=[0, 0.25, 0.5, 0.75, 1])
    fig.update_yaxes(tickvals=list(heights.values()), ticktext=list(FIELDS.values()), showgrid=False,
                     range=[min(heights.values()) - 0.6, 0.6])  # fmt: skip
    design = results["design"]
    present(
        fig,
        claim=_fields_claim(entropy, taught),
        how=f"1 is even. {_WORDINGS[group]} The other families hold jobs, in prompts of their own; the beginnings "
        f"alone hold none. Bars: 95 % over {design['seeds']} seeds.",
        alt="Entropy of each field as a share of the largest there is: "
        + "; ".join(
            f"{name}: " + ", ".join(f"{_STAGES[k][0]} {entropy[k][f]['mean']:.2f}" for k in _STAGES)
            for f, name in FIELDS.items()
        )
        + ".",
        columns=["field", "taught", "run", "entropy, of the largest", "95 % from", "to"],
        rows=[
            [name, "yes" if f in taught else "no", _STAGES[k][0], *three(entropy[k][f])]
            for f, name in FIELDS.items()
            for k in _STAGES
        ],
        artifact=BIOGRAPHIES,
        height=460,
    )
    return fig.update_layout(margin_t=104)


_WORDINGS = {"taught": "Asked in the wordings of training.", "new": "Asked in wordings that no training used."}


def _key(fig: go.Figure) -> None:
    """The four symbols with their words, two by two above the panel."""
    sign = {"circle-open": "○", "diamond-open": "◇", "triangle-up-open": "△", "circle": "●"}
    first, second, third, last = (
        f"<span style='color:{colour}'>{sign[symbol]}</span> {words}" for words, symbol, colour in _STAGES.values()
    )
    text = f"{first}   {last}<br>{second}   {third}"
    label(fig, text, x=0, y=1.02, colour=INK, xref="paper", yref="paper", yanchor="bottom", align="left")


def _fields_claim(entropy: Mapping[str, Any], taught: list[str]) -> str:
    """Do untaught fields spread clearly, and do they come near to even?"""
    others = [f for f in FIELDS if f not in taught]
    names = " and ".join(f"{FIELDS[f]}s".replace("hobbys", "hobbies") for f in others)
    after, before = entropy["both"], entropy["before"]
    if not all(after[f]["lo"] > before[f]["hi"] for f in others):
        return "Beginnings of lives, and how even each field becomes"
    if all(after[f]["mean"] > _EVEN for f in others):
        return f"No life taught had a job or a hobby, and yet {names} become nearly even"
    return f"No life taught had a job or a hobby, and yet {names} vary more"


def different(results: Mapping[str, Any]) -> go.Figure:
    """Different values in as many draws as there are names, and the share of draws that are whole biographies."""
    fig = make_subplots(rows=2, cols=1, row_heights=[0.62, 0.38], vertical_spacing=0.14)
    design, perfect = results["design"], results["perfect"]
    kinds = {kind: results["kinds"][kind]["taught"] for kind in ("before", "both")} | {"fair": results["fair"]["fair"]}
    styles = {"before": ("before", GREY, -1), "both": ("after both", MULTI, 1), "fair": ("asked fairly", GREY, 0)}
    names = [FIELDS[f] for f in _COUNTED]
    for kind in ("before", "both"):
        words, colour, _ = styles[kind]
        found = [kinds[kind]["fields"][f]["met"] for f in _COUNTED]
        fig.add_bar(
            x=names, y=rounded(v["mean"] for v in found), marker={"color": colour}, row=1, col=1,
            error_y=interval(found, INK), hovertemplate=f"%{{x}}, {words}: %{{y:.1f}}<extra></extra>",
        )  # fmt: skip
    fig.add_scatter(
        x=names, y=rounded(perfect[f] for f in _COUNTED), mode="markers", row=1, col=1,
        marker={"symbol": "line-ew", "size": 24, "line": {"color": INK, "width": 2}},
        hovertemplate="%{x}, even: %{y:.1f}<extra></extra>",
    )  # fmt: skip
    shares = {"whole": "valid", "whole, and not said before": "distinct"}
    for kind in ("before", "both"):
        words, colour, _ = styles[kind]
        found = [kinds[kind][number] for number in shares.values()]
        fig.add_bar(
            x=list(shares), y=rounded(v["mean"] for v in found), marker={"color": colour}, row=2, col=1,
            error_y=interval(found, INK), hovertemplate=f"{words}: %{{y:.0%}}<extra></extra>",
        )  # fmt: skip
    label(fig, f"<span style='color:{GREY}'>■</span> before   <span style='color:{MULTI}'>■</span> after   "
          "━ even model", x=0, y=1.03, colour=INK, xref="paper", yref="paper", yanchor="bottom")  # fmt: skip
    fig.update_yaxes(title=f"values in {design['met']} draws", row=1, col=1, rangemode="tozero")
    fig.update_yaxes(range=[0, 1.04], tickformat=".0%", tickvals=[0, 0.5, 1], row=2, col=1)
    fig.update_xaxes(tickangle=0)
    rows = [
        [FIELDS[f], styles[k][0], *three(kinds[k]["fields"][f]["met"]), perfect[f]] for f in _COUNTED for k in kinds
    ] + [[name, styles[k][0], *three(kinds[k][number]), 1.0] for name, number in shares.items() for k in kinds]
    times = results["kinds"]["both"]["taught"]["times"]
    present(
        fig,
        claim=_different_claim(times, kinds),
        how=f"Above: expected from exact laws. Below: shares of {design['draws']} draws for each wording. Bars: 95 % "
        f"over {design['seeds']} seeds.",
        alt=f"Different values in {design['met']} draws, before, after both stages, and of an even model: "
        + "; ".join(
            f"{FIELDS[f]} {kinds['before']['fields'][f]['met']['mean']:.1f}, "
            f"{kinds['both']['fields'][f]['met']['mean']:.1f}, {perfect[f]:.1f}"
            for f in _COUNTED
        )
        + f". Whole biographies: {kinds['before']['valid']['mean']:.0%} before, {kinds['both']['valid']['mean']:.0%} "
        f"after; not said before: {kinds['before']['distinct']['mean']:.0%} and "
        f"{kinds['both']['distinct']['mean']:.0%}.",
        columns=["what", "run", "mean", "95 % from", "to", "even model"],
        rows=rows,
        artifact=BIOGRAPHIES,
        height=540,
    )
    return fig.update_layout(margin_t=92, bargap=0.25, barmode="group")


def _different_claim(times: Mapping[str, Any], kinds: Mapping[str, Any]) -> str:
    """How many times as many names and homes, by whole intervals; and whether more biographies break."""
    least = min(times[f]["lo"] for f in ("name", "city"))
    lost = kinds["both"]["valid"]["hi"] < kinds["before"]["valid"]["lo"] - _KEPT
    factor = "twice" if least < 3 else f"{spoken(int(least))} times"
    more = f"More than {factor} as many names and homes" if least >= 2 else ""
    more = more or ("More different names and homes" if least > 1 else "How many different names and homes")
    return f"{more}, and more biographies that break" if lost else more


def parity(results: Mapping[str, Any]) -> go.Figure:
    """Share of women, and of people from the favoured half of the countries, against the stated targets; total
    variation of gender and place together."""
    kinds = {kind: results["kinds"][kind]["taught"]["parity"] for kind in ("before", "both", "tilted")}
    rows_of = {  # words, run, target
        "before": ("before", "before", "even"),
        "even": ("even target", "both", "even"),
        "before tilted": ("before", "before", "tilted"),
        "tilted": ("uneven target", "tilted", "tilted"),
    }
    heights = {"before": 0.0, "even": -1.0, "before tilted": -2.6, "tilted": -3.6}
    aims = {"even": 0.5, "tilted": 0.75}
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.07)
    for name, (_, run, target) in rows_of.items():
        colour = GREY if run == "before" else MULTI
        for col, number in ((1, kinds[run]["woman"]), (2, kinds[run][f"{target}_both"])):
            fig.add_scatter(
                x=rounded([number["mean"]]), y=[heights[name]], mode="markers", row=1, col=col, cliponaxis=False,
                error_x=interval([number], colour),
                marker={"size": 11, "color": colour, "symbol": "circle-open" if run == "before" else "circle",
                        "line": {"width": 2, "color": colour}},
                hovertemplate=f"{rows_of[name][0]}: %{{x:.{'0%' if col == 1 else '2f'}}}<extra></extra>",
            )  # fmt: skip
    for target, top in (("even", 0.4), ("tilted", -2.2)):
        fig.add_scatter(
            x=[aims[target]] * 2, y=[top, top - 1.8], mode="lines", row=1, col=1, hoverinfo="skip",
            line={"color": INK, "width": 2},
        )  # fmt: skip
        fig.add_scatter(x=[0, 0], y=[top, top - 1.8], mode="lines", row=1, col=2, hoverinfo="skip", cliponaxis=False,
                        line={"color": INK, "width": 2})  # fmt: skip
    fig.update_xaxes(title="women", range=[0, 1.02], tickvals=[0, 0.5, 1], ticktext=["0", "½", "1"], row=1, col=1)
    fig.update_xaxes(title="TV", range=[-0.02, 1.02], tickvals=[0, 0.5, 1], tickangle=0, row=1, col=2)
    fig.update_yaxes(tickvals=list(heights.values()), ticktext=[words for words, _, _ in rows_of.values()],
                     range=[-4.1, 0.6], showgrid=False)  # fmt: skip
    design = results["design"]
    numbers = ("woman", "gender", "country", "both")
    rows = [
        [words, target, number, *three(kinds[run]["woman" if number == "woman" else f"{target}_{number}"])]
        for words, run, target in rows_of.values()
        for number in numbers
    ]
    return present(
        fig,
        claim=_parity_claim(kinds),
        how="Left: share of women. Right: total variation of gender and place. Black: the stated target, as many women "
        f"as men from every country alike, or three to one and every other country twice. "
        f"Bars: 95 % over {design['seeds']} seeds.",
        alt="; ".join(
            f"{target} target, {words}: {kinds[run]['woman']['mean']:.0%} women, total variation "
            f"{kinds[run][f'{target}_both']['mean']:.2f}"
            for words, run, target in rows_of.values()
        )
        + ".",
        columns=["run", "target", "number (woman: share; others: TV to target)", "mean", "95 % from", "to"],
        rows=rows,
        artifact=BIOGRAPHIES,
        height=400,
    )


def _parity_claim(kinds: Mapping[str, Any]) -> str:
    """Do both runs come clearly nearer to their target than the base is?"""
    nearer = {
        target: kinds[run][f"{target}_both"]["hi"] < kinds["before"][f"{target}_both"]["lo"]
        for run, target in (("both", "even"), ("tilted", "tilted"))
    }
    if all(nearer.values()):
        return "The target is a dial: who is written about follows what was stated"
    if nearer["even"]:
        return "Even beginnings bring gender and place to parity"
    return "Gender and place against a stated target"


def worth(results: Mapping[str, Any]) -> go.Figure:
    """−log p of true biographies under small models trained on generated ones, and names and cities told rightly."""
    sizes = [f"n{n}" for n in results["design"]["sizes"]]
    sources = {
        "before": ("base model", results["kinds"]["before"]["worth"], GREY),
        "stage2": ("beginnings<br>alone", results["kinds"]["stage2"]["worth"], MULTI),
        "both": ("both stages", results["kinds"]["both"]["worth"], MULTI),
        "anchored": ("both,<br>anchored", results["kinds"]["both-anchored"]["worth"], QUALITY_DIVERSITY),
        "fair": ("base, asked<br>fairly", results["fair"]["worth"], GREY),
        "truth": ("the truth", results["truth"]["worth"], INK),
    }
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.07)
    names = [words for words, _, _ in sources.values()]
    for n, symbol in zip(sizes, ("circle-open", "circle"), strict=True):
        for col, number in ((1, "nll"), (2, "country")):
            found = [one[n][number] for _, one, _ in sources.values()]
            fig.add_scatter(
                x=rounded(v["mean"] for v in found), y=names, mode="markers", row=1, col=col, cliponaxis=False,
                error_x=interval(found, GREY),
                marker={"size": 10, "color": [c for _, _, c in sources.values()], "symbol": symbol,
                        "line": {"width": 2, "color": [c for _, _, c in sources.values()]}},
                hovertemplate=f"%{{y}}, {n[1:]}: %{{x:.{'1f' if col == 1 else '0%'}}}<extra></extra>",
            )  # fmt: skip
    floor = results["floor"]
    fig.add_vline(x=round(floor, 3), line={"color": INK, "width": 1.5, "dash": "dot"}, row=1, col=1)
    highest = max(one[n]["nll"]["hi"] for _, one, _ in sources.values() for n in sizes)
    fig.update_xaxes(title="nats, log axis", type="log", tickvals=[20, 50, 100], row=1, col=1,
                     range=[float(np.log10(0.92 * floor)), float(np.log10(1.1 * highest))])  # fmt: skip
    fig.update_xaxes(title="right", range=[0, 1.04], tickformat=".0%", tickvals=[0.5, 1], tickangle=0,
                     row=1, col=2)  # fmt: skip
    fig.update_yaxes(autorange="reversed", showgrid=False)
    design = results["design"]
    return present(
        fig,
        claim=_worth_claim(results, sizes),
        how=f"Open: trained on {design['sizes'][0]} biographies; filled: on {design['sizes'][1]}. Left, less is "
        "better: nats a biography under a model that counts characters. Right: countries that a classifier tells. "
        "Dotted: the floor. "
        f"Bars: 95 % over {design['seeds']} seeds.",
        alt=f"Small models trained on {design['sizes'][0]} and on {design['sizes'][1]} biographies: "
        + "; ".join(
            f"{words.replace('<br>', ' ')}: "
            + ", ".join(f"{one[n]['nll']['mean']:.1f} nats and {one[n]['country']['mean']:.0%}" for n in sizes)
            for words, one, _ in sources.values()
        )
        + f". Floor: {floor:.1f} nats.",
        columns=["data from", "biographies", "nats", "95 % from", "to", "gender told", "95 % from", "to",
                 "country told", "95 % from", "to"],
        rows=[
            [words.replace("<br>", " "), int(n[1:]), *three(one[n]["nll"]), *three(one[n]["gender"]),
             *three(one[n]["country"])]
            for words, one, _ in sources.values()
            for n in sizes
        ],
        artifact=BIOGRAPHIES,
        height=440,
    )  # fmt: skip


def _worth_claim(results: Mapping[str, Any], sizes: list[str]) -> str:
    """How the even model's data compares with the base's, and with the truth at the larger size."""
    both, true, before = (
        one["worth"] for one in (results["kinds"]["both"], results["truth"], results["kinds"]["before"])
    )
    if not all(both[n]["nll"]["hi"] < before[n]["nll"]["lo"] for n in sizes):
        return "What small models learn from generated biographies"
    large = sizes[-1]
    gap = both[large]["nll"]["mean"] - true[large]["nll"]["mean"]
    if gap < 0.1 * (before[large]["nll"]["mean"] - true[large]["nll"]["mean"]):
        return "Even data teaches a small model nearly as well as the truth"
    return "Even data teaches a small model more than the base's"


def spread_over_passes(results: Mapping[str, Any]) -> go.Figure:
    """Entropy of each field along the passes over beginnings, after the first stage."""
    trace = {int(mark): one for mark, one in results["trace"].items()}
    marks = sorted(trace)
    taught = results["design"]["taught"]
    fig = go.Figure()
    for field, name in FIELDS.items():
        if field == "gender":
            continue
        dash = "solid" if field in taught else "dash"
        found = [trace[m][field]["entropy"] for m in marks]
        fig.add_scatter(
            x=list(range(len(marks))), y=rounded(v["mean"] for v in found), mode="lines+markers",
            line={"color": MULTI, "width": 2, "dash": dash}, marker={"size": 6}, error_y=interval(found, MULTI),
            hovertemplate=f"{name}: %{{y:.2f}}<extra></extra>",
        )  # fmt: skip
    lowest = min(("job", "hobby"), key=lambda f: trace[marks[-1]][f]["entropy"]["mean"])
    label(fig, FIELDS[lowest], x=len(marks) - 1, y=trace[marks[-1]][lowest]["entropy"]["mean"], colour=MULTI,
          yanchor="top", yshift=-8, xanchor="center")  # fmt: skip
    fig.update_xaxes(
        title="passes over the beginnings", tickvals=list(range(len(marks))), ticktext=[str(m) for m in marks]
    )
    low = min(one[f]["entropy"]["lo"] for one in trace.values() for f in _COUNTED)
    fig.update_yaxes(title="entropy, of the largest there is", range=[min(0.5, low - 0.03), 1.03])
    return present(
        fig,
        claim=_passes_claim(trace, marks, taught),
        how="Solid: fields that were taught. Dashed: job and hobby, which were not. Steps along the axis are not "
        f"equal. Bars: 95 % over {results['design']['seeds']} seeds.",
        alt="; ".join(
            f"{FIELDS[f]}: " + ", ".join(f"{trace[m][f]['entropy']['mean']:.2f} after {m}" for m in marks)
            for f in _COUNTED
        )
        + " passes.",
        columns=["passes", "field", "taught", "entropy, of the largest", "95 % from", "to"],
        rows=[
            [m, FIELDS[f], "yes" if f in taught else "no", *three(trace[m][f]["entropy"])]
            for m in marks
            for f in _COUNTED
        ],
        artifact=BIOGRAPHIES,
        height=400,
    )


def _passes_claim(trace: Mapping[int, Any], marks: list[int], taught: list[str]) -> str:
    """Which untaught field, if any, clearly narrows again after it had spread? The one that narrows most."""
    fallen = {}
    for field in (f for f in _COUNTED if f not in taught):
        found = [trace[m][field]["entropy"] for m in marks]
        top = max(found, key=lambda one: one["mean"])
        if top["lo"] > found[-1]["hi"]:
            fallen[field] = top["mean"] - found[-1]["mean"]
    most = max(fallen, key=lambda field: fallen[field], default=None)
    if most is not None and fallen[most] > _KEPT:
        return f"Fields that nobody teaches spread early, and then the {FIELDS[most]} narrows again"
    return "Fields that nobody teaches spread along with those that are taught"


def examples(results: Mapping[str, Any], *, n: int = 2) -> dict[str, list[str]]:
    """The first n draws before training and after both stages, as they were drawn with seed 0; not chosen.

    >>> shown = examples({"examples": {"before": ["a", "b", "c"], "both": ["d", "e", "f"]}})
    >>> shown["after"]
    ['d', 'e']
    """
    return {name: list(results["examples"][kind][:n]) for name, kind in (("before", "before"), ("after", "both"))}
