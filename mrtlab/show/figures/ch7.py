"""Figures of chapter 7, even answers: what is wrong before, how far evenness reaches, and what limits it.

See also `ch7_methods` (ways to an even law, side by side) and `ch7_film` (one prompt, pass by pass).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mrtlab.show.figures.ch6 import band, interval, three
from mrtlab.show.figures.theme import GREY, INK, MULTI, label, present, rounded, tint

TRANSFER, METHODS = "diffuse_transfer.book", "diffuse_methods.book"
GROUPS = {  # of prompts, on two lines
    "trained": "taught",
    "wordings_seen": "other<br>wordings",
    "wordings_new": "new<br>wordings",
    "ranges": "other<br>ranges",
    "ranges_new": "ranges, new<br>wordings",
    "parity": "odd, even,<br>prime, dice",
    "dates": "dates",
    "letters": "cards,<br>A to D",
    "likert": "scales,<br>1 to 5",
    "families": "other<br>families",
    "never_flat": "never even<br>families",
}
_TV = "total variation to the target"
_LITTLE = 0.1  # a share that a title may call little


def two_parts(results: Mapping[str, Any]) -> go.Figure:
    """KL before training, group by group, as two stacked bars: shape, and validity in front of it.

    Args:
        results: of `diffuse_methods`.
    """
    split = {group: results["split"][group] for group in GROUPS if group in results["split"]}
    order = sorted(split, key=lambda group: split[group]["kl"]["mean"])
    names = [GROUPS[group] for group in order]
    parts = {"shape_kl": ("shape", {"color": GREY}),
             "validity_kl": ("validity", {"color": "rgba(0,0,0,0)", "line": {"color": INK, "width": 1.5}})}  # fmt: skip
    fig = go.Figure()
    for part, (name, marker) in parts.items():
        fig.add_bar(
            y=names, x=rounded(split[group][part]["mean"] for group in order), orientation="h", marker=marker,
            hovertemplate="%{y}<br>" + name + ": %{x:.3f} nats<extra></extra>",
        )  # fmt: skip
    share = {group: one["validity_kl"]["mean"] / one["kl"]["mean"] for group, one in split.items()}
    for place, group in enumerate(order):
        label(fig, f"{share[group]:.0%}", x=split[group]["kl"]["mean"], y=place, colour=INK, xshift=6)
    fig.update_layout(barmode="stack")
    top = max(one["kl"]["mean"] for one in split.values())
    fig.update_xaxes(title="KL to the target before training (nats)", range=[0, 1.17 * top])
    fig.update_yaxes(showgrid=False)
    return present(
        fig,
        claim=_parts_claim(split),
        how="Grey: shape, answers on the list that come too often or too seldom. Outlined: validity, mass off the "
        "list; the number is its share.",
        alt="Stacked bars, shape and validity in nats. "
        + "; ".join(
            f"{plain(GROUPS[g])}: {split[g]['shape_kl']['mean']:.2f} and {split[g]['validity_kl']['mean']:.3f}"
            for g in reversed(order)
        )
        + ".",
        columns=["prompts", "shape (nats)", "95 % from", "to", "validity (nats)", "95 % from", "to"],
        rows=[[plain(GROUPS[g]), *three(split[g]["shape_kl"]), *three(split[g]["validity_kl"])]
              for g in reversed(order)],
        artifact=METHODS,
        height=400,
    )  # fmt: skip


def _parts_claim(split: Mapping[str, Any]) -> str:
    """Which part is clearly the larger one everywhere, and whether the other one is little."""
    pairs = [(one["shape_kl"], one["validity_kl"]) for one in split.values()]
    little = all(validity["mean"] < _LITTLE * shape["mean"] for shape, validity in pairs)
    if all(shape["lo"] > validity["hi"] for shape, validity in pairs):
        return "Before training nearly all that is wrong is shape" if little else "Before training shape is most wrong"
    if all(validity["lo"] > shape["hi"] for shape, validity in pairs):
        return "Before training validity is most wrong"
    return "What is wrong before training, shape or validity, depends on the prompts"


def reach(results: Mapping[str, Any], *, kind: str = "mixed") -> go.Figure:
    """Total variation before training and after more and more passes, a row for each group of prompts.

    Args:
        results: of `diffuse_transfer`.
        kind: "mixed" or "mixed-anchored".
    """
    looks = results["kinds"][kind]["marks"]
    shown = [m for m in ("0", "5", "10") if m in looks]
    shown += [last] if (last := str(results["design"]["passes"])) not in shown else []
    groups = [group for group in GROUPS if group in looks["0"]["groups"]]
    fig = go.Figure()
    step = 0.62 / max(1, len(shown) - 1)
    for place, mark in enumerate(shown):
        found = [looks[mark]["groups"][group]["tv"] for group in groups]
        colour = MULTI if place else GREY
        words = f"after {mark} passes" if place else "before"
        full = place in (0, len(shown) - 1)
        fig.add_scatter(
            x=rounded(v["mean"] for v in found), y=[-i + 0.31 - place * step for i in range(len(groups))],
            mode="markers", error_x=interval(found, colour), cliponaxis=False,
            marker={"color": colour, "size": 9 if full else 7, "symbol": "circle" if full else "circle-open",
                    "line": {"color": colour, "width": 1.5}},
            hovertemplate=words + ": %{x:.3f}<extra></extra>",
        )  # fmt: skip
    fig.update_yaxes(tickvals=[-i for i in range(len(groups))], ticktext=[GROUPS[g] for g in groups],
                     range=[0.6 - len(groups), 0.6], showgrid=False)  # fmt: skip
    for i in range(1, len(groups)):
        fig.add_hline(y=0.5 - i, line={"color": tint(GREY, 0.25), "width": 1})
    highest = max(looks[m]["groups"][g]["tv"]["hi"] for m in shown for g in groups)
    fig.update_xaxes(title=_TV, range=[0, 1.04 * highest], tickvals=[0, 0.2, 0.4, 0.6, 0.8, 1])
    after = [m for m in shown if m != "0"]
    tvs = {g: [looks[m]["groups"][g]["tv"]["mean"] for m in shown] for g in groups}
    return present(
        fig,
        claim=_reach_claim(looks["0"]["groups"], looks[last]["groups"]),
        how=f"In each row from above: before (grey), after {', '.join(after)} passes (blue). Left is nearer. "
        f"Only the first row was taught. Bars: 95 % over {results['design']['seeds']} seeds.",
        alt=f"Total variation before and after {', '.join(after)} passes. "
        + "; ".join(f"{plain(GROUPS[g])}: {', '.join(f'{v:.2f}' for v in tv)}" for g, tv in tvs.items())
        + ".",
        columns=["prompts", "passes", "TV", "95 % from", "to", "mass on the list"],
        rows=[[plain(GROUPS[g]), int(m), *three(looks[m]["groups"][g]["tv"]), looks[m]["groups"][g]["mass"]["mean"]]
              for g in groups for m in shown],
        artifact=TRANSFER,
        height=640,
    ).update_layout(margin_t=72)  # fmt: skip


def _reach_claim(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """How much of the distance is gone: in new wordings, in other families, in families that were never even."""
    gone = {g: 1 - after[g]["tv"]["mean"] / before[g]["tv"]["mean"] for g in before}
    clear = {g: after[g]["change"]["tv"]["hi"] < 0 for g in ("wordings_new", "families", "never_flat")}
    if not clear["wordings_new"]:
        return "What is taught even stays with the wordings taught"
    wordings = "Evenness reaches new wordings"
    if not clear["families"]:
        return f"{wordings}, and not other families"
    part = " in part" if gone["families"] < gone["wordings_new"] - _LITTLE else ""
    if clear["never_flat"] and gone["never_flat"] >= _LITTLE:
        return f"{wordings}, other families{part}, and those never even, too"
    return f"{wordings}, other families{part}, and those never even hardly"


def passes_cost(results: Mapping[str, Any], *, kind: str = "mixed") -> go.Figure:
    """Total variation over passes: taught prompts, new wordings, other families, families never even."""
    looks = results["kinds"][kind]["marks"]
    marks = sorted(map(int, looks))
    lines = {"trained": "solid", "wordings_new": "dash", "families": "solid", "never_flat": "dot"}
    colours = {"trained": MULTI, "wordings_new": MULTI, "families": INK, "never_flat": INK}
    x = [max(mark, 0.5) for mark in marks]
    fig = go.Figure()
    for group, dash in lines.items():
        found = [looks[str(mark)]["groups"][group]["tv"] for mark in marks]
        band(fig, x, [v["lo"] for v in found], [v["hi"] for v in found], colours[group])
        fig.add_scatter(
            x=x, y=rounded(v["mean"] for v in found), mode="lines+markers", customdata=marks,
            line={"color": colours[group], "width": 2.5, "dash": dash}, marker={"size": 6},
            hovertemplate=plain(GROUPS[group]) + ", %{customdata} passes: %{y:.3f}<extra></extra>",
        )  # fmt: skip
    end = {group: looks[str(marks[-1])]["groups"][group]["tv"] for group in lines}
    names = {
        "trained": ("━ taught", "lo", "top"),
        "wordings_new": ("╍ new wordings", "hi", "bottom"),
        "families": ("━ other families", "hi", "bottom"),
        "never_flat": ("⋯ never even", "hi", "bottom"),
    }
    for group, (name, edge, up) in names.items():
        label(fig, name, x=1, y=max(end[group][edge], 0.0), colour=colours[group], xref="x domain", xanchor="right",
              yanchor=up, yshift=2 if up == "bottom" else -1)  # fmt: skip
    fig.update_xaxes(type="log", tickvals=x, ticktext=[str(m) for m in marks], title="passes (log axis)")
    highest = max(one["groups"][group]["tv"]["hi"] for one in looks.values() for group in lines)
    fig.update_yaxes(title=_TV, range=[-0.06, 1.08 * highest], tickvals=[0, 0.2, 0.4, 0.6, 0.8, 1])
    means = {g: [looks[str(m)]["groups"][g]["tv"]["mean"] for m in marks] for g in lines}
    return present(
        fig,
        claim=_passes_claim(means),
        how=f"A pass is one step on each of {results['design']['prompts'][kind]} prompts. Bands: 95 % over "
        f"{results['design']['seeds']} seeds.",
        alt=f"Lines over {', '.join(map(str, marks))} passes. "
        + "; ".join(f"{plain(GROUPS[g])}: {', '.join(f'{v:.2f}' for v in tv)}" for g, tv in means.items())
        + ".",
        columns=["prompts", "passes", "TV", "95 % from", "to"],
        rows=[[plain(GROUPS[g]), m, *three(looks[str(m)]["groups"][g]["tv"])] for g in lines for m in marks],
        artifact=TRANSFER,
        height=420,
    )  # fmt: skip


def _passes_claim(means: Mapping[str, Sequence[float]]) -> str:
    """Do the means of other families turn back up before the end, while those of taught prompts go on down?"""
    taught, other = means["trained"], means["families"]
    if min(other) < other[-1] and min(taught) == taught[-1]:
        return "Taught prompts go on gaining; other families gain in the first passes only"
    return "Total variation over passes, for taught prompts and for others"


def narrow_or_wide(results: Mapping[str, Any]) -> go.Figure:
    """One range taught, from 1 to 10 or from 1 to 30: what happens to others, and what falls off their lists."""
    last = str(results["design"]["passes"])
    small, wide = "1 to 10", "1 to 30"
    rows = {
        "narrow": {"trained": "taught", "small": small, "wide": wide, "shifted": "51 to 60,<br>71 to 90"},
        "wide": {"trained": "taught", "wide": wide, "small": small, "shifted": "51 to 60,<br>71 to 90"},
    }
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.14)
    told = []
    for panel, (kind, groups) in enumerate(rows.items(), start=1):
        looks = results["kinds"][kind]["marks"]
        names = list(groups.values())
        for mark, colour, words in (("0", GREY, "before"), (last, MULTI, f"after {last} passes")):
            found = [looks[mark]["groups"][group]["tv"] for group in groups]
            fig.add_scatter(
                x=rounded(v["mean"] for v in found), y=names, mode="markers", row=panel, col=1, cliponaxis=False,
                marker={"color": colour, "size": 10}, error_x=interval(found, colour),
                hovertemplate=words + ": %{x:.3f}<extra></extra>",
            )  # fmt: skip
        number = "" if panel == 1 else str(panel)
        for place, (group, name) in enumerate(groups.items()):
            at = [looks[mark]["groups"][group] for mark in ("0", last)]
            label(fig, f"{1 - at[1]['mass']['mean']:.0%}", x=1, y=place, colour=INK, xref="x domain",
                  yref=f"y{number}", xanchor="right")  # fmt: skip
            told.append([kind, plain(name), *three(at[0]["tv"]), *three(at[1]["tv"]),
                         1 - at[0]["mass"]["mean"], 1 - at[1]["mass"]["mean"]])  # fmt: skip
        label(fig, f"<b>taught: {small if kind == 'narrow' else wide}</b>", x=0, y=1.01, colour=INK, xref="x domain",
              yref=f"y{number} domain", yanchor="bottom")  # fmt: skip
        label(fig, "off the list", x=1, y=1.01, colour=INK, xref="x domain", yref=f"y{number} domain",
              xanchor="right", yanchor="bottom")  # fmt: skip
    highest = max(row[i] for row in told for i in (4, 7))
    fig.update_xaxes(range=[0, 1.28 * highest], tickvals=[0, 0.2, 0.4, 0.6])
    fig.update_xaxes(title=_TV, row=2)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return present(
        fig,
        claim=_range_claim({kind: results["kinds"][kind]["marks"][last]["groups"] for kind in rows}),
        how=f"Grey: before. Blue: after {last} passes on one prompt, the row “taught”; other rows are asked in other "
        "wordings. Right: mass off the list after training.",
        alt=" ".join(
            f"Taught {small if kind == 'narrow' else wide}, asked {name}: from {tv:.2f} to {now:.2f}, off the list "
            f"{off:.0%}."
            for kind, name, tv, _, _, now, _, _, _, off in told
        ),
        columns=["run", "asked", "TV before", "95 % from", "to", "TV after", "95 % from", "to", "off the list before",
                 "after"],
        rows=told,
        artifact=TRANSFER,
        height=480,
    ).update_layout(margin_t=84)  # fmt: skip


def _range_claim(end: Mapping[str, Any]) -> str:
    """What either range does to the other one."""
    up, down = end["narrow"]["wide"]["change"]["tv"], end["wide"]["small"]["change"]["tv"]
    if up["lo"] > 0 and down["hi"] < 0:
        return "A narrow range makes a wider one less even; a wide range helps a narrower one"
    if up["hi"] < 0 and down["hi"] < 0:
        return "One range taught makes others more even"
    if up["lo"] > 0 and down["lo"] > 0:
        return "One range taught makes others less even"
    return "What one range does to others depends on which is taught"


def early_stop(results: Mapping[str, Any]) -> go.Figure:
    """Where the mass is if half of the answers are listed: at several early stops, and at the end."""
    half, last = results["kinds"]["half"], str(results["design"]["passes"])
    stops = sorted(results["design"]["stops"], reverse=True)
    places = {"before": (half["marks"]["0"]["groups"], 0.0)}
    places |= {f"γ = {g:g}": (half["stops"][str(g)]["groups"], half["stops"][str(g)]["passes"]["mean"]) for g in stops}
    places["no stop"] = (half["marks"][last]["groups"], float(last))
    names = [f"{name}<br>{passes:.0f} passes" for name, (_, passes) in places.items()]
    found = {part: [groups[part]["mass"] for groups, _ in places.values()] for part in ("trained", "unlisted")}
    pale = {"color": tint(MULTI, 0.3), "line": {"color": MULTI, "width": 1.5}}
    fig = go.Figure()
    for part, marker in (("trained", {"color": MULTI}), ("unlisted", pale)):
        fig.add_bar(
            y=names, x=rounded(v["mean"] for v in found[part]), orientation="h", marker=marker,
            hovertemplate=("listed" if part == "trained" else "not listed") + ": %{x:.1%}<extra></extra>",
        )  # fmt: skip
    for place, v in enumerate(found["unlisted"]):
        label(fig, f"{v['mean']:.0%}", x=1.02, y=place, colour=INK)
    fig.update_layout(barmode="stack")
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(range=[0, 1.14], tickvals=[0, 0.5, 1], tickformat=".0%",
                     title="mass of valid answers")  # fmt: skip
    return present(
        fig,
        claim=_stop_claim(half["stops"], stops, found["unlisted"]),
        how="Filled: the half of the answers that was listed. Outlined, with its number: the valid half that was not. "
        f"Training stops at (1 + γ) times the floor, or after {last} passes.",
        alt="Stacked bars, listed and unlisted valid answers. "
        + "; ".join(f"{name}, {passes:.0f} passes: {a['mean']:.0%} and {b['mean']:.0%}" for (name, (_, passes)), a, b
                    in zip(places.items(), found["trained"], found["unlisted"], strict=True))
        + ".",
        columns=["stop", "passes", "listed", "95 % from", "to", "unlisted", "95 % from", "to"],
        rows=[[name, passes, *three(a), *three(b)] for (name, (_, passes)), a, b
              in zip(places.items(), found["trained"], found["unlisted"], strict=True)],
        artifact=TRANSFER,
        height=400,
    )  # fmt: skip


def _stop_claim(at: Mapping[str, Any], stops: Sequence[float], unlisted: Sequence[Mapping[str, float]]) -> str:
    """Does every stop keep more than none, and a larger γ more?"""
    kept = [at[str(g)]["kept"]["lo"] > 0 for g in stops]
    falls = all(a["mean"] >= b["mean"] for a, b in pairwise(unlisted[1:]))
    if all(kept) and falls:
        return "The earlier the stop, the more is left of answers that nobody listed"
    return "An early stop keeps unlisted answers" if all(kept) else "Early stops and answers that nobody listed"


def plain(text: str) -> str:
    """A label on one line."""
    return text.replace("<br>", " ")
