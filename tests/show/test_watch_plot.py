"""The live loss: drawn as training runs, one figure at the end however it ends, and quiet beside it."""

import os
import signal

import nbformat
import pytest
from nbclient import NotebookClient

from mrtlab.show import watch_plot
from mrtlab.show.loss_curve import LossCurve
from mrtlab.show.watch_plot import LossPlot, live_loss, loss_figure
from mrtlab.training.watch import Step

PLOTLY = "application/vnd.plotly.v1+json"


class Recorder:
    """A screen that remembers."""

    def __init__(self):
        self.said, self.states, self.shown, self.settled = [], [], [], []
        self.say, self.status = self.said.append, self.states.append
        self.show, self.settle = self.shown.append, self.settled.append


def plot_at(times):
    """A plot whose clock says these times, one after the other."""
    ticking = iter(times)
    return LossPlot(Recorder(), clock=lambda: next(ticking))


def title(figure):
    return figure.layout.title.text


def test_it_draws_now_and_then_and_settles_once():
    plot = plot_at([0.0, 0.0, 0.1, 0.7, 0.7])  # drawn at 0.0, passed over at 0.1, drawn at 0.7
    plot.begin()
    for n, loss in enumerate((3.0, 2.5, 2.0), 1):
        plot.step(Step(step=n, steps=9, loss=loss, rate=4.0, seconds_left=30.0))
        plot.logged(n, loss)
    plot.end()
    plot.end()
    assert [list(figure.data[0].y) for figure in plot.screen.shown] == [[3.0], [3.0, 2.5, 2.0]]
    assert "at step 3 of 9" in title(plot.screen.shown[-1])
    assert "4.0 prompts/s, 30 s left" in title(plot.screen.shown[-1])
    (final,) = plot.screen.settled
    assert list(final.data[0].y) == [3.0, 2.5, 2.0]
    assert final.layout.meta["mrtlab"]["claim"] == "The training loss fell, from 3.00 to 2.00 at step 3 of 9"
    assert "left" not in title(final)


def test_measuring_is_said_before_and_below():
    plot = plot_at([float(n) for n in range(20)])
    plot.measuring("held_out", 8, 20)
    assert plot.screen.states == ["Measuring held-out prompts, 8 of 20"]
    plot.begin()
    plot.logged(1, 2.0)
    plot.end()
    plot.measuring("train", 8, 20)
    plot.measuring("train", 20, 20)
    assert "measuring train prompts, 8 of 20" in title(plot.screen.settled[-2])
    assert "measuring" not in title(plot.screen.settled[-1])


def test_the_stop_button_waits_for_the_step_and_then_does_not():
    before = signal.getsignal(signal.SIGINT)
    plot = LossPlot(Recorder())
    plot.begin()
    assert not plot.asked_to_stop
    os.kill(os.getpid(), signal.SIGINT)
    assert plot.asked_to_stop
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    plot.end()
    assert signal.getsignal(signal.SIGINT) is before


def test_transformers_is_quiet_only_meanwhile():
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    plot = LossPlot(Recorder())
    plot.begin()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.ERROR, False)
    plot.end()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_only_traces_that_the_books_plotly_knows_and_few_dots():
    figure = loss_figure([(n, 5.0 / n) for n in range(1, 5001)])
    assert {trace.type for trace in figure.data} == {"scatter"}
    assert all(len(trace.x) <= 400 for trace in figure.data)
    assert figure.data[0].x[-1] == 5000
    assert "a mean over" in figure.layout.meta["mrtlab"]["how"]


def test_a_loss_that_rose_is_not_said_to_fall():
    assert "did not fall" in loss_figure([(1, 1.0), (2, 1.5)]).layout.meta["mrtlab"]["claim"]


def test_the_running_mean_by_hand():
    curve = LossCurve.of([(n, float(n % 2)) for n in range(1, 61)])  # 1 0 1 0 …, means over three
    assert curve.window == 3
    assert curve.mean[:4] == pytest.approx((1.0, 1 / 2, 2 / 3, 1 / 3))


def test_nothing_happens_outside_of_a_notebook(capsys):
    watch = live_loss()
    watch.began()
    watch.note("A sentence.")
    watch.logged(1, 2.0)
    watch.ended()
    assert capsys.readouterr() == ("", "")


RUN = """
from mrtlab.show.watch_plot import live_loss
from mrtlab.training.watch import Step
watch = live_loss()
watch.measuring("held_out", 1, 2)
watch.began()
for n in range(1, 30):
    watch.step(Step(n, 30, None, 1.0, 1.0))
    watch.logged(n, 3.0 / n)
    time.sleep(0.05)
"""
ENDS = {"done": "watch.ended()", "failed": "raise RuntimeError('the GPU fell out')"}


@pytest.mark.filterwarnings("ignore")  # of the kernel, about itself
@pytest.mark.parametrize(("book", "end"), [("0", "failed"), ("1", "done")])
def test_a_cell_keeps_one_figure_however_it_ends(book, end, monkeypatch):
    """Through a real kernel, as the book and nbmake run it."""
    monkeypatch.setenv("MRTLAB_BOOK", book)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cells = ["import time" + RUN + ENDS[end], "import signal; signal.getsignal(signal.SIGINT).__name__"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    quiet = ["--log-level=CRITICAL"]
    NotebookClient(notebook, timeout=300, kernel_name="python3", extra_arguments=quiet, allow_errors=True).execute()
    first, second = notebook.cells
    outputs = [output for output in first.outputs if output.output_type != "error"]
    assert [list(output.data) for output in outputs] == [[PLOTLY]]
    figure = outputs[0].data[PLOTLY]
    assert len(figure["data"][0]["x"]) == 29
    assert {trace["type"] for trace in figure["data"]} == {"scatter"}
    assert len(first.outputs) - len(outputs) == (end == "failed")
    assert second.outputs[0].data["text/plain"] == "'default_int_handler'"


def test_without_widgets_the_figure_is_replaced(monkeypatch):
    put = []
    cell = watch_plot._Cell()
    monkeypatch.setattr(watch_plot, "_widget", lambda figure: None)
    monkeypatch.setattr(cell, "_put", put.append)
    for points in ([(1, 2.0)], [(1, 2.0), (2, 1.0)]):
        cell.show(loss_figure(points))
    cell.settle(loss_figure([(1, 2.0), (2, 1.0), (3, 0.5)]))
    assert len(put) == 3
