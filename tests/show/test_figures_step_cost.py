"""The figure of `step_cost`: every cell is a point, and the title says the held-out error."""

import pytest

from mrtlab.lab import artifacts
from mrtlab.show.figures.step_cost import foretold
from mrtlab.show.which_card import memory_bars


def results():
    cells = {
        f"cell-{i}": {"held_out": i % 2 == 1, "seconds": 0.01 * (i + 1), "predicted_s": 0.011 * (i + 1), "bytes": 1.0,
                      "predicted_bytes": 1.0}
        for i in range(6)
    }  # fmt: skip
    error = {name: {"mean": 0.1, "lo": 0.1, "hi": 0.1} for name in ("typical", "nine_in_ten", "bias")}
    return {"cells": cells, "time": {"held_out": error, "fitted": error}, "design": {"cells": 6, "repeats": 7}}


def test_points_table_and_title():
    fig = foretold(results())
    shown = {trace.name: trace for trace in fig.data if trace.name}
    assert list(shown["held-out shapes"].y) == [20.0, 40.0, 60.0]
    assert list(shown["shapes of the fit"].x) == [11.0, 33.0, 55.0]
    about = fig.layout.meta["mrtlab"]
    assert "10 %" in about["claim"]
    assert len(about["table"]["rows"]) == 6


def test_the_bars_of_the_page_are_drawn_from_its_table():
    page = (artifacts.repository() / "book" / "which-card.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.count("|") == 9]
    assert memory_bars(rows, "Qwen3-4B") in page
    with pytest.raises(ValueError, match="no rows of 'another'"):
        memory_bars(rows, "another")
