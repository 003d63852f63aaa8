"""The loss of a training run, drawn in a notebook while it runs: `fine_tune(..., watch=live_loss())`."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import plotly.graph_objects as go
from transformers.utils import logging as quiet

from mrtlab.show.figures.theme import MULTI, present, short, tint
from mrtlab.show.loss_curve import LossCurve
from mrtlab.training.watch import Step, Watch

_EVERY_S = 0.5  # between two drawings; a browser that draws more often does nothing else


def live_loss() -> Watch:
    """A watch that draws the training loss in the cell that trains, and leaves one figure when it is over.

    The stop button, or Ctrl-C, lets the step end, saves a checkpoint and leaves; pressed again it does not wait. In
    the published book only the last figure appears. Outside of a notebook nothing is drawn.

    For `fine_tune(..., watch=live_loss())`, or for any trainer of transformers:
    `MultiResponseTrainer(..., callbacks=[Watching(live_loss())])`.
    """
    plot = LossPlot(_screen())
    return Watch(
        began=plot.begin,
        step=plot.step,
        logged=plot.logged,
        measuring=plot.measuring,
        note=plot.screen.say,
        stopped=lambda: plot.asked_to_stop,
        ended=plot.end,
    )


def loss_figure(
    points: list[tuple[int, float]], *, steps: int | None = None, under: str = "", running: bool = False
) -> go.Figure:
    """The loss curve as a figure of the house.

    Args:
        points: step and loss, in order.
        steps: of the whole run, if it was not finished or is not yet.
        under: what else the line below the title says.
        running: whether the run goes on.

    Raises:
        ValueError: there is no point.

    >>> fig = loss_figure([(1, 3.0), (2, 2.0)])
    >>> fig.layout.meta["mrtlab"]["claim"]
    'The training loss fell, from 3.00 to 2.00 in 2 steps'
    """
    curve = LossCurve.of(points)
    done = curve.steps[-1]
    where = f"in {done} steps" if steps in (None, done) else f"at step {done} of {steps}"
    facts = f"{curve.ends} {where}"
    fig = go.Figure(
        [
            go.Scatter(
                x=curve.steps, y=short(curve.losses), mode="markers", marker={"size": 5, "color": tint(MULTI, 0.35)},
                hovertemplate="step %{x}: %{y:.3f}<extra></extra>",
            ),
            go.Scatter(
                x=curve.steps, y=short(curve.mean), mode="lines", line={"color": MULTI, "width": 2.5},
                hovertemplate="mean up to step %{x}: %{y:.3f}<extra></extra>",
            ),
        ]
    )  # fmt: skip
    line = "" if curve.window == 1 else f"; the line is a mean over {curve.window} of them"
    present(
        fig,
        claim=f"{curve.verdict}, {facts}",
        how=f"Each dot is the loss of a step, on its own prompts{line}.",
        alt=f"Loss over {done} steps, {curve.ends}.",
        columns=("step", "loss", "running mean"),
        rows=[(step, round(loss, 4), round(mean, 4)) for step, loss, mean in curve.some_rows()],
        height=380,
    )
    fig.update_xaxes(title_text="step", range=[0, (steps or done) * 1.02], nticks=6)
    fig.update_yaxes(title_text="training loss, nats", nticks=7)
    # A title on one line would be cut off on a phone, so the numbers stand below the message, in smaller type.
    message = "Training" if running else curve.verdict
    smaller = "".join(f"<br><span style='font-size:13px'>{text}</span>" for text in (facts, under) if text)
    fig.update_layout(title_text=f"<b>{message}</b>{smaller}", title_y=0.95, title_yanchor="top")
    fig.update_layout(margin_t=96 if under else 78)
    return fig


@runtime_checkable
class Screen(Protocol):
    """Where figures go. Whatever is shown last replaces what was there."""

    def say(self, sentence: str) -> None:
        """A sentence for the user."""

    def status(self, text: str) -> None:
        """A line in the figure's place, before there is a figure."""

    def show(self, figure: go.Figure) -> None:
        """The figure as it is now; more will follow."""

    def settle(self, figure: go.Figure) -> None:
        """The figure as it stays."""


class LossPlot:
    """What has been seen of a run, and when to draw it.

    Args:
        screen: where to.
        clock: seconds, for the tests.
    """

    def __init__(self, screen: Screen, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.screen, self.clock = screen, clock
        self.points: list[tuple[int, float]] = []
        self.steps: int | None = None
        self.under = ""
        self.asked_to_stop = self.over = False
        self.drawn = -float("inf")
        self._undo: list[Callable[[], Any]] = []

    def begin(self) -> None:
        """Start afresh, and listen to the stop button."""
        self.points, self.over, self.asked_to_stop = [], False, False
        try:
            before = signal.signal(signal.SIGINT, self._stop)
            self._undo.append(lambda: signal.signal(signal.SIGINT, before))
        except ValueError:  # only the main thread may touch signals; elsewhere the stop button stops at once
            pass
        self._undo.append(_hushed())
        _at_the_end_of_the_cell(self.end)

    def step(self, step: Step) -> None:
        """Note how far the run is."""
        left = f"{step.seconds_left / 60:.0f} min" if step.seconds_left > 90 else f"{step.seconds_left:.0f} s"
        self.steps, self.under = step.steps, f"{step.rate:,.1f} prompts/s, {left} left"

    def logged(self, step: int, loss: float) -> None:
        """Add a point, and draw if the last drawing is old enough."""
        self.points.append((step, loss))
        if self.clock() - self.drawn >= _EVERY_S:
            self.drawn = self.clock()
            self.screen.show(loss_figure(self.points, steps=self.steps, under=self.under, running=True))

    def measuring(self, name: str, done: int, of: int) -> None:
        """Say what takes so long before training and after it."""
        what = f"measuring {name.replace('_', '-')} prompts, {done} of {of}"
        if done < of and self.clock() - self.drawn < _EVERY_S:
            return
        self.drawn = self.clock()
        if self.points:
            self.screen.settle(loss_figure(self.points, steps=self.steps, under=what if done < of else ""))
        else:
            self.screen.status(f"{what[0].upper()}{what[1:]}")

    def end(self) -> None:
        """Leave the figure that stays. Asked again, do nothing."""
        while self._undo:
            self._undo.pop()()
        if not self.over and self.points:
            self.screen.settle(loss_figure(self.points, steps=self.steps))
        self.over = True

    def _stop(self, number: int, frame: Any) -> None:
        if self.asked_to_stop:
            raise KeyboardInterrupt
        self.asked_to_stop = True


def _screen() -> Screen:
    """The screen that suits the place we run in."""
    if _kernel() is None:
        return _Nowhere()
    if os.environ.get("MRTLAB_BOOK") == "1":
        return _Page()
    return _Cell()


def _kernel() -> Any:
    """IPython with a notebook's kernel behind it, or None."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


def _hushed() -> Callable[[], None]:
    """Keep what transformers says of its checkpoints, bars and remarks, from below the figure; how to undo that."""
    bars, level = quiet.is_progress_bar_enabled(), quiet.get_verbosity()
    quiet.disable_progress_bar()
    quiet.set_verbosity_error()

    def undo() -> None:
        quiet.set_verbosity(level)
        if bars:
            quiet.enable_progress_bar()

    return undo


def _at_the_end_of_the_cell(call: Callable[[], None]) -> None:
    """Call it once when the cell is over, however it ends: an error too must not leave half a figure."""
    shell = _kernel()
    if shell is None:
        return

    def once(*_: Any) -> None:
        shell.events.unregister("post_run_cell", once)
        call()

    shell.events.register("post_run_cell", once)


class _Nowhere:
    """Outside of a notebook."""

    def say(self, sentence: str) -> None:
        pass

    status = say

    def show(self, figure: go.Figure) -> None:
        pass

    settle = show


class _Page(_Nowhere):
    """The published book: the figure that stays, once."""

    def __init__(self) -> None:
        self.printed = False

    def settle(self, figure: go.Figure) -> None:
        if not self.printed:
            self.printed = True
            _display(_bundle(figure))


class _Cell:
    """A cell of a notebook with someone before it. One output, which changes; at the end it is plain data that needs
    no kernel, as a saved notebook must.
    """

    def __init__(self) -> None:
        self.handle: Any = None
        self.widget: Any = None

    def say(self, sentence: str) -> None:
        print(f"Note: {sentence}")

    def status(self, text: str) -> None:
        self._put({"text/plain": text})

    def show(self, figure: go.Figure) -> None:
        if self.widget is None:
            self.widget = _widget(figure)
            self._put(_bundle(figure) if self.widget is None else self.widget._repr_mimebundle_())
        else:
            with self.widget.batch_update():
                for trace, new in zip(self.widget.data, figure.data, strict=True):
                    trace.x, trace.y = new.x, new.y
                self.widget.layout.title.text = figure.layout.title.text
                self.widget.layout.xaxis.range = figure.layout.xaxis.range

    def settle(self, figure: go.Figure) -> None:
        self._put(_bundle(figure))
        if self.widget is not None:
            self.widget.close()
            self.widget = None

    def _put(self, bundle: dict[str, Any]) -> None:
        if self.handle is None:
            self.handle = _display(bundle, display_id=True)
        else:
            self.handle.update(bundle, raw=True)


def _display(bundle: dict[str, Any], **how: Any) -> Any:
    from IPython.display import display

    return display(bundle, raw=True, **how)


def _bundle(figure: go.Figure) -> dict[str, Any]:
    """What a cell that ends in the figure would show."""
    return figure._repr_mimebundle_() or {"text/plain": figure.layout.meta["mrtlab"]["claim"]}


def _widget(figure: go.Figure) -> Any:
    """The figure as a widget, whose points change in place; None where widgets are not installed."""
    try:
        return go.FigureWidget(figure)
    except ImportError:
        return None
