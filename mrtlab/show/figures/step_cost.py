"""The figure of *Which card, how long, how much*: seconds of steps as foretold and as measured."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from mrtlab.show.figures.theme import GREY, INK, MULTI, label, present, rounded

_TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]  # ms
ARTIFACT = "step_cost.book"
_GROUPS = ((False, "shapes of the fit", GREY, "circle-open"), (True, "held-out shapes", MULTI, "circle"))


def foretold(found: Mapping[str, Any]) -> go.Figure:
    """Every cell as a point: foretold across, measured upwards, the diagonal is a perfect guess.

    Args:
        found: results of `step_cost`.
    """
    cells = found["cells"]
    fig = go.Figure()
    ends = [f([c[key] for c in cells.values() for key in ("seconds", "predicted_s")]) for f in (min, max)]
    lo, hi = 1e3 * ends[0] / 1.4, 1e3 * ends[1] * 1.4
    fig.add_scatter(
        x=[lo, hi], y=[lo, hi], mode="lines", line={"color": INK, "width": 1, "dash": "dot"}, hoverinfo="skip"
    )
    for held, name, colour, symbol in _GROUPS:
        some = {key: cell for key, cell in cells.items() if cell["held_out"] == held}
        fig.add_scatter(
            x=rounded([1e3 * cell["predicted_s"] for cell in some.values()]),
            y=rounded([1e3 * cell["seconds"] for cell in some.values()]),
            mode="markers", marker={"color": colour, "size": 9, "symbol": symbol}, text=list(some), name=name,
            hovertemplate="%{text}<br>foretold %{x:.3g} ms, measured %{y:.3g} ms<extra></extra>",
        )  # fmt: skip
    ticks = {"type": "log", "tickvals": [t for t in _TICKS if lo <= t <= hi], "tickformat": ","}
    fig.update_xaxes(title="foretold, ms (log)", **ticks)
    fig.update_yaxes(title="measured, ms of CPU (log)", **ticks)
    label(fig, "○ shapes of the fit", x=0.03, y=0.97, colour=GREY, xref="paper", yref="paper", xanchor="left")
    label(fig, "● held-out shapes", x=0.03, y=0.9, colour=MULTI, xref="paper", yref="paper", xanchor="left")
    typical, most = (100 * found["time"]["held_out"][key]["mean"] for key in ("typical", "nine_in_ten"))
    design = found["design"]
    return present(
        fig,
        claim=f"Steps of models that the fit never saw are typically foretold to within {typical:.0f} %",
        how=f"A point: one model, one batch, one way to train; median of {design['repeats']} steps on one CPU thread. "
        f"Nine held-out points in ten lie within {most:.0f} % of the dotted line.",
        alt=f"Foretold against measured milliseconds of {design['cells']} kinds of training steps. Points follow the "
        f"diagonal; typical error on held-out shapes {typical:.0f} per cent.",
        columns=["cell", "held out", "foretold, ms", "measured, ms"],
        rows=[
            [key, "yes" if cell["held_out"] else "no", *rounded([1e3 * cell["predicted_s"], 1e3 * cell["seconds"]])]
            for key, cell in cells.items()
        ],
        artifact=ARTIFACT,
    )
