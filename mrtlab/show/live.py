"""One live cell per chapter: sliders where a kernel answers, the figure at its defaults where none does."""

import os
from collections.abc import Callable
from typing import Any


def live(draw: Callable[..., Any], **dials: tuple[float | int, ...]) -> Any:
    """Call `draw` again whenever a dial moves; in the published book, once, at the dials' defaults.

    A slider that moves and changes nothing is worse than no slider, so the book, which has no kernel, gets the
    figure alone.

    Args:
        draw: a function of the dials that returns a figure.
        **dials: for each argument of draw, (lowest, highest, step, default). All integers: an integer slider.

    Returns:
        an ipywidgets box, or draw's result at the defaults when the book is being built.

    Raises:
        ValueError: a default lies outside its dial.

    >>> import os; os.environ["MRTLAB_BOOK"] = "1"
    >>> live(lambda k: k * 10, k=(1, 8, 1, 4))
    40
    >>> del os.environ["MRTLAB_BOOK"]
    """
    for name, (low, high, _, default) in dials.items():
        if not low <= default <= high:
            raise ValueError(f"dial {name}: the default {default} lies outside {low} to {high}")
    if os.environ.get("MRTLAB_BOOK") == "1":
        return draw(**{name: dial[3] for name, dial in dials.items()})
    return _widgets(draw, dials)


def _widgets(draw: Callable[..., Any], dials: dict[str, tuple]) -> Any:
    """Sliders above the figure; drawing waits until a slider is let go, so that slow figures stay calm."""
    import ipywidgets

    def slider(name: str, dial: tuple) -> Any:
        low, high, step, value = dial
        kind = ipywidgets.IntSlider if all(isinstance(v, int) for v in dial) else ipywidgets.FloatSlider
        return kind(value=value, min=low, max=high, step=step, description=name, continuous_update=False)

    return ipywidgets.interactive(draw, **{name: slider(name, dial) for name, dial in dials.items()})
