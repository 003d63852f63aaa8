"""The page's tables are what the functions give: computed anew for one model, looked over for the others."""

from pathlib import Path

import pytest

from mrtlab.lab import artifacts
from mrtlab.lab.step_cost_standard import MODELS, SHOWN, WAYS, cards_column, memory_row
from mrtlab.lm.cards import CARDS


@pytest.fixture(scope="module")
def rows() -> list[str]:
    page: Path = artifacts.repository() / "book" / "which-card.md"
    return [line for line in page.read_text("utf-8").splitlines() if line.startswith("| ")]


def test_rows_of_one_model_are_computed_anew(rows):
    place = 2 + list(MODELS).index("Qwen3-0.6B")
    assert [row.split("|")[place].strip() for row in _of_cards(rows)[1:]] == cards_column("Qwen3-0.6B")
    assert memory_row("Qwen3-0.6B", SHOWN) in rows


def test_every_model_and_way_has_its_row(rows):
    first = {tuple(cell.strip() for cell in row.split("|")[1:3]) for row in rows}
    assert {(name, way) for name in MODELS for way in WAYS} <= first
    assert [row.split("|")[1].strip() for row in _of_cards(rows)] == ["card", *CARDS]


def test_rows_say_what_adds_up(rows):
    for row in rows:
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        if len(cells) != 8 or cells[0] not in MODELS:
            continue
        *parts, peak = (float(cell) for cell in cells[2:])
        assert max(parts) <= peak <= 1.06 * sum(parts)  # all are rounded to two digits


def _of_cards(rows: list[str]) -> list[str]:
    return [row for row in rows if row.count("|") == len(MODELS) + 2]
