"""Figures of chapter 6 on what to show and how: which candidates, which wordings, where it pays, what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import interval, three
from mrtlab.show.figures.theme import GREY, INK, MULTI, QUALITY_DIVERSITY, REWARD, SINGLE, label, present, rounded

NAMES = {
    "random": "random",
    "softmax": "softmax",
    "top": "best by reward",
    "diverse": "diverse",
    "quality-diverse": "quality–diversity",
}
_SYMBOL = {"random": "circle", "softmax": "diamond", "top": "square", "diverse": "triangle-up",
           "quality-diverse": "circle"}  # fmt: skip
_AGAINST = {
    "diversity": "chance that two answers differ",
    "other": "mean score by the other judge",
    "coverage": "coverage of 16 draws",
    "best": "best of 16 draws by the other judge",
}
_SELECTORS, _CLUSTERS = "callings_selectors.book", "callings_clusters.book"
_WHENS = {"final": "at the end", "best": "best checkpoint"}
_WORDED = {  # arm: words, colour
    "hybrid": ("2 wordings,<br>2 each", MULTI),
    "implicit": ("4 wordings,<br>1 each", MULTI),
    "same": ("4 wordings,<br>1 copied", SINGLE),
}
_PLACES = {"diverse": "as it is", "sharp": "answers<br>differ less", "redundant": "prompts<br>repeat"}
_APART = 5.0  # largest KL over the least from which an axis is logarithmic
_PHONE = (230.0, 150.0)  # pixels of a panel on a phone: labels that keep apart there do so everywhere
_LETTER, _LINE = 6.8, 15.0  # pixels


def colour_of(rule: str) -> str:
    """The book's colour for a rule: blue random, orange by reward alone, green with diversity.

    >>> colour_of("softmax") == REWARD, colour_of("diverse") == QUALITY_DIVERSITY
    (True, True)
    """
    if rule == "random":
        return MULTI
    return REWARD if rule in ("top", "softmax") else QUALITY_DIVERSITY


def selectors(results: Mapping[str, Any], *, against: str = "diversity", world: str = "fair") -> go.Figure:
    """KL to the truth against diversity or reward, a labelled point per rule, a panel per K above one.

    Args:
        results: of the selectors.
        against: "diversity", "other" (reward by the judge who chose nothing), "coverage" or "best".
        world: "fair" or "peaked".
    """
    blocks = {int(name[1:]): block for name, block in results[world].items() if name != "k1"}
    points = {k: {rule: (one[against], one["kl"]) for rule, one in block.items()} for k, block in blocks.items()}
    flat = [point for block in points.values() for point in block.values()]
    xs, ys = ([end for point in flat for end in (point[i]["lo"], point[i]["hi"])] for i in (0, 1))
    log = min(ys) > 0 and max(y["mean"] for _, y in flat) > _APART * min(y["mean"] for _, y in flat)
    span = [_wide(xs, room=0.28), _wide(np.log10(ys) if log else ys)]
    fig = make_subplots(rows=len(points), cols=1, shared_xaxes=True, vertical_spacing=0.12)
    for row, (k, block) in enumerate(points.items(), start=1):
        number = "" if row == 1 else str(row)
        _name_points(fig, {NAMES[rule]: point for rule, point in block.items()}, span, axis=number, log=log)
        for rule, (x, y) in block.items():
            colour = colour_of(rule)
            fig.add_scatter(
                x=rounded([x["mean"]]), y=rounded([y["mean"]]), mode="markers", row=row, col=1, cliponaxis=False,
                error_x=interval([x], colour), error_y=interval([y], colour),
                marker={"color": colour, "size": 11, "symbol": _SYMBOL[rule], "line": {"color": INK, "width": 0.5}},
                hovertemplate=f"{NAMES[rule]}: %{{x:.3f}}, %{{y:.3f}} nats<extra></extra>",
            )  # fmt: skip
        fig.add_annotation(text=f"<b>K = {k}</b> of {results['design']['candidates']}", x=0, xref="x domain",
                           xanchor="left", y=1.01, yref=f"y{number} domain", yanchor="bottom",
                           showarrow=False)  # fmt: skip
    fig.update_yaxes(title=f"KL (nats{', log axis' if log else ''})", range=span[1], type="log" if log else "linear",
                     tickvals=[0.1, 0.2, 0.5, 1, 2, 5, 10] if log else None)  # fmt: skip
    fig.update_xaxes(range=span[0])
    fig.update_xaxes(title=_AGAINST[against], row=len(points))
    present(
        fig,
        claim=_selectors_claim(blocks, against),
        how=f"Each point: a model trained on what one rule kept; down is nearer the truth. Bars: 95 % over "
        f"{results['design']['seeds']} seeds. Candidates: {_candidates(results, world)}.",
        alt=" ".join(
            f"K = {k}: "
            + ", ".join(f"{NAMES[r]} {y['mean']:.2f} nats and {x['mean']:.2f}" for r, (x, y) in block.items())
            + "."
            for k, block in points.items()
        )
        + f" The second number is the {_AGAINST[against]}.",
        columns=["K", "rule", "KL (nats)", "95 % from", "to", _AGAINST[against], "95 % from", "to"],
        rows=[[k, NAMES[rule], *three(y), *three(x)] for k, block in points.items() for rule, (x, y) in block.items()],
        artifact=_SELECTORS,
        height=220 + 190 * len(points),
    )
    return fig.update_layout(margin_t=80)


def _candidates(results: Mapping[str, Any], world: str) -> str:
    if world == "fair":
        return "drawn from the truth"
    return f"drawn from the truth to the power {results['design']['power'][world]:g}"


def _selectors_claim(blocks: Mapping[int, Mapping[str, Any]], against: str) -> str:
    """What best-by-reward does, if its intervals against random choice say so at every K."""
    minus = [block["top"]["minus"]["random"] for block in blocks.values()]
    strays = all(gap["kl"]["lo"] > 0 for gap in minus)
    if strays and against == "diversity" and all(gap["diversity"]["hi"] < 0 for gap in minus):
        return "Trained on the best by reward, a model strays from the truth and repeats itself"
    if strays and against in ("other", "best") and all(gap[against]["lo"] > 0 for gap in minus):
        return "Trained on the best by reward, a model pleases more and strays from the truth"
    if strays:
        return "Trained on the best by reward, a model strays from the truth"
    return "Which candidates are kept, and where the model ends up"


def _wide(ends: Sequence[float] | np.ndarray, *, room: float = 0.16) -> list[float]:
    """A range with room for names on both sides, as a share of it."""
    low, high = float(min(ends)), float(max(ends))
    room *= (high - low) or 1.0
    return [low - room, high + room]


def _name_points(
    fig: go.Figure,
    crosses: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]],
    span: Sequence[Sequence[float]],
    *,
    axis: str = "",
    panel: tuple[float, float] = _PHONE,
    log: bool = False,
) -> None:
    """Write the name of each point at an end of its error bars, where it covers least.

    Args:
        fig: gets an annotation per point.
        crosses: {name: (x, y)}, each with mean, lo and hi.
        span: ranges of both axes, the second in powers of ten if `log`.
        axis: number of the panel's axes.
        panel: its size on a phone, pixels.
        log: whether y is.
    """
    ends = {
        name: ([x["lo"], x["mean"], x["hi"]], np.log10([y[e] for e in ("lo", "mean", "hi")]).tolist() if log
               else [y["lo"], y["mean"], y["hi"]])
        for name, (x, y) in crosses.items()
    }  # fmt: skip
    where = {"right": (2, 1, "left", "middle"), "left": (0, 1, "right", "middle"), "top": (1, 2, "center", "bottom"),
             "bottom": (1, 0, "center", "top")}  # fmt: skip
    push = {"right": {"xshift": 7}, "left": {"xshift": -7}, "top": {"yshift": 5}, "bottom": {"yshift": -5}}
    for (name, (xs, ys)), side in zip(ends.items(), _sides(list(ends.items()), span, panel), strict=True):
        i, j, across, along = where[side]
        label(fig, name, x=xs[i], y=ys[j], colour=INK, xref=f"x{axis}", yref=f"y{axis}", xanchor=across, yanchor=along,
              **push[side])  # fmt: skip


Ends = tuple[Sequence[float], Sequence[float]]  # low end, point and high end, of x and of y


def _sides(
    points: Sequence[tuple[str, Ends]], span: Sequence[Sequence[float]], panel: tuple[float, float]
) -> list[str]:
    """On which side of its error bars each name stands, so that on a phone names and bars keep apart.

    >>> _sides([("here", ([0.1] * 3, [0.5] * 3)), ("there", ([0.95] * 3, [0.5] * 3))], [[0, 1], [0, 1]], (230, 150))
    ['right', 'left']
    """
    pixels = [
        [[size * (v - low) / (high - low) for v in ends] for ends, (low, high), size in zip(both, span, panel,
                                                                                            strict=True)]
        for _, both in points
    ]  # fmt: skip
    taken = [box for (x0, x, x1), (y0, y, y1) in pixels
             for box in ((x - 7, y - 7, x + 7, y + 7), (x0, y - 3, x1, y + 3), (x - 3, y0, x + 3, y1))]  # fmt: skip
    sides = []
    for (name, _), ((x0, x, x1), (y0, y, y1)) in zip(points, pixels, strict=True):
        wide = _LETTER * len(name)
        boxes = {
            "right": (x1 + 7, y - _LINE / 2, x1 + 7 + wide, y + _LINE / 2),
            "left": (x0 - 7 - wide, y - _LINE / 2, x0 - 7, y + _LINE / 2),
            "top": (x - wide / 2, y1 + 7, x + wide / 2, y1 + 7 + _LINE),
            "bottom": (x - wide / 2, y0 - 7 - _LINE, x + wide / 2, y0 - 7),
        }
        cost = {side: sum(_shared(box, other) for other in taken) + _outside(box, panel) for side, box in boxes.items()}
        side = min(cost, key=cost.__getitem__)
        taken.append(boxes[side])
        sides.append(side)
    return sides


Box = tuple[float, float, float, float]


def _shared(a: Box, b: Box) -> float:
    """Square pixels that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: Box, panel: tuple[float, float]) -> float:
    """Square pixels of a box beyond its panel, counted twice: what is cut off is lost."""
    inside = _shared(box, (-6.0, 0.0, panel[0] + 10, panel[1]))
    return 2 * ((box[2] - box[0]) * (box[3] - box[1]) - inside)


def wordings(results: Mapping[str, Any]) -> go.Figure:
    """Share of four responses' gain that other wordings keep, with close and with far wordings."""
    triad, places = results["triad"], {name: -i for i, name in enumerate(_WORDED)}
    shift = {"close": 0.13, "far": -0.13}
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    for col, (when, words) in enumerate(_WHENS.items(), start=1):
        for name, (_, colour) in _WORDED.items():
            for distance, off in shift.items():
                found = triad[when][distance][name]
                fig.add_scatter(
                    x=rounded([found["mean"]]), y=[places[name] + off], mode="markers", row=1, col=col,
                    error_x=interval([found], colour),
                    marker={"color": colour, "size": 11, "line": {"width": 2, "color": colour},
                            "symbol": "circle" if distance == "close" else "circle-open"},
                    hovertemplate=f"{distance} wordings: %{{x:.2f}}<extra></extra>",
                )  # fmt: skip
        fig.add_annotation(text=f"<b>{words}</b>", x=0, xref=f"x{'' if col == 1 else col} domain", xanchor="left",
                           y=1.01, yref="y domain", yanchor="bottom", showarrow=False)  # fmt: skip
    for share, dash in ((0, "solid"), (0.5, "dot"), (1, "solid")):
        fig.add_vline(x=share, line={"color": GREY, "width": 1, "dash": dash})
    ends = [found[end] for when in _WHENS for block in triad[when].values() for found in block.values()
            for end in ("lo", "hi")]  # fmt: skip
    fig.update_xaxes(title="share kept", tickvals=[0, 0.5, 1], ticktext=["0", "½", "1"], tickangle=0,
                     range=[min(-0.1, *ends) - 0.05, max(1.1, *ends) + 0.05])  # fmt: skip
    fig.update_yaxes(tickvals=list(places.values()), ticktext=[words for words, _ in _WORDED.values()],
                     range=[-2.5, 0.5], showgrid=False)  # fmt: skip
    design, flat = results["design"], {name: text.replace("<br>", " ") for name, (text, _) in _WORDED.items()}
    return present(
        fig,
        claim=_wordings_claim(triad),
        how="0: one pair read four times. 1: four responses to one wording. 2 each: two responses to each wording. "
        f"Filled: close wordings, open: far ones. Bars: 95 % over {design['seeds']} seeds.",
        alt=" ".join(
            f"{words.capitalize()}, {distance} wordings: "
            + ", ".join(f"{flat[name]} {found['mean']:.2f}" for name, found in triad[when][distance].items())
            + "."
            for when, words in _WHENS.items()
            for distance in shift
        ),
        columns=["when", "wordings", "shown", "share of the gain", "95 % from", "to"],
        rows=[[words, distance, flat[name], *three(triad[when][distance][name])]
              for when, words in _WHENS.items() for distance in shift for name in _WORDED],
        artifact=_CLUSTERS,
        height=380,
    ).update_layout(margin_t=80)  # fmt: skip


def _wordings_claim(triad: Mapping[str, Any]) -> str:
    """Who keeps more than half of the gain, wherever it is looked at."""
    cells = [triad[when][distance] for when in _WHENS for distance in ("close", "far")]
    kept = all(cell[name]["lo"] > 0.5 for cell in cells for name in ("hybrid", "implicit"))
    if kept and all(cell["same"]["hi"] < 0.5 for cell in cells):
        return "Other wordings can stand in for other responses; copies cannot"
    if kept and all(cell["same"]["lo"] > 0.5 for cell in cells):
        return "Other wordings keep most of the gain, even when the response is copied"
    if kept:
        return "Other wordings keep most of the gain; what copies keep depends"
    return "How much of four responses' gain other wordings keep"


def where_it_pays(results: Mapping[str, Any]) -> go.Figure:
    """Gain of four responses over one: as it is, where answers differ less, and where prompts repeat."""
    gain = results["gain"]
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    heights = {name: -i for i, name in enumerate(_PLACES)}
    for col, (when, words) in enumerate(reversed(_WHENS.items()), start=1):
        found = [gain[when][name] for name in _PLACES]
        fig.add_scatter(
            x=rounded(v["mean"] for v in found), y=list(heights.values()), mode="markers",
            marker={"color": MULTI, "size": 11}, error_x=interval(found, MULTI), row=1, col=col,
            hovertemplate="%{x:.3f} nats<extra></extra>",
        )  # fmt: skip
        ends = [end for v in found for end in (v["lo"], v["hi"])]
        high, low = max(0.0, *ends), min(0.0, *ends)
        fig.update_xaxes(range=[low - 0.05 * (high - low), high + 0.08 * (high - low)], nticks=4, row=1, col=col)
        fig.add_annotation(text=f"<b>{words}</b>", x=0, xref=f"x{'' if col == 1 else col} domain", xanchor="left",
                           y=1.01, yref="y domain", yanchor="bottom", showarrow=False)  # fmt: skip
    fig.add_vline(x=0, line={"color": GREY, "width": 1})
    fig.update_xaxes(title="gain (nats)", tickangle=0)
    fig.update_yaxes(tickvals=list(heights.values()), ticktext=list(_PLACES.values()), range=[-2.5, 0.5],
                     showgrid=False)  # fmt: skip
    design, minus = results["design"], gain["best"]["minus"]
    return present(
        fig,
        claim=_pays_claim(minus),
        how=f"Loss at K = 1 minus loss at K = 4, equal updates; the two scales differ. Bars: 95 % over "
        f"{design['seeds']} seeds. Answers that differ less: the truth to the power {design['sharp']:g}.",
        alt=" ".join(
            f"{words.capitalize()}: "
            + ", ".join(f"{_PLACES[n].replace('<br>', ' ')} {gain[when][n]['mean']:.2f} nats" for n in _PLACES)
            + "."
            for when, words in reversed(_WHENS.items())
        ),
        columns=["when", "where", "gain (nats)", "95 % from", "to"],
        rows=[[words, _PLACES[name].replace("<br>", " "), *three(gain[when][name])]
              for when, words in reversed(_WHENS.items()) for name in _PLACES],
        artifact=_CLUSTERS,
        height=360,
    ).update_layout(margin_t=80)  # fmt: skip


def _pays_claim(minus: Mapping[str, Mapping[str, float]]) -> str:
    """Where four responses gain clearly less than as it is, at the best checkpoints."""
    sharp, redundant = (minus[name]["lo"] > 0 for name in ("sharp", "redundant"))
    if sharp and redundant:
        return "Responses pay most where answers differ and prompts do not repeat"
    if sharp:
        return "Responses pay more where answers differ; repeated prompts make no clear difference"
    if redundant:
        return "Responses pay less where prompts repeat; how much answers differ makes no clear difference"
    return "What four responses gain over one, in three worlds"
