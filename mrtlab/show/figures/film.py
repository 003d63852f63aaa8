"""Slider and button of a film: a figure with frames, one for each look at something that changes over time."""

from collections.abc import Sequence
from typing import Any

from mrtlab.show.figures.theme import GREY, INK

_PALE = "#e4e4e4"  # has a twin on dark pages


def scrubber(steps: Sequence[int], *, prefix: str) -> dict[str, Any]:
    """A slider over the frames that stands on the last one.

    Args:
        steps: number of each frame, which is its name, too.
        prefix: what is counted, such as "update ".

    >>> scrubber([0, 10], prefix="update ")["active"]
    1
    """
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    return {
        "active": len(steps) - 1,
        "currentvalue": {"prefix": prefix, "font": {"color": INK, "size": 14}, "xanchor": "left"},
        "x": 0.27, "len": 0.73, "y": 0, "yanchor": "top", "pad": {"t": 58, "b": 0, "l": 0, "r": 0},
        "bgcolor": _PALE, "activebgcolor": GREY, "bordercolor": GREY, "tickcolor": GREY, "ticklen": 0,
        "font": {"color": INK, "size": 11},
        "steps": [{"label": str(step), "method": "animate", "args": [[str(step)], now]} for step in steps],
    }  # fmt: skip


def play_button() -> dict[str, Any]:
    """A button that shows the whole film from the first look on."""
    film = {"mode": "immediate", "frame": {"duration": 150, "redraw": True}, "transition": {"duration": 0}}
    return {
        "type": "buttons", "x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 84, "l": 0},
        "bgcolor": "rgba(0,0,0,0)", "bordercolor": GREY, "font": {"color": INK, "size": 13}, "showactive": False,
        "buttons": [{"label": "Play", "method": "animate", "args": [None, film]}],
    }  # fmt: skip
