"""How right an adapter is after part of the data: sums by hand."""

import numpy as np
import pytest

from mrtlab.lab import claims
from mrtlab.lab.spa_share import SHARES, ShareCell, cells, summarise, table


def cell(share, seed, domain="programs"):
    return ShareCell(domain=domain, share=share, n=100, short=True, seed=seed, weights="")


def outcome(share, seed, right, of=10):
    return cell(share, seed), {"seen": round(100 * share), "right": [i < right for i in range(of)]}


@pytest.fixture
def outcomes():
    """Two seeds: 2 and 4 of ten right before training, 8 and 8 after all the data."""
    rights = {0.0: (2, 4), 0.05: (5, 5), 0.15: (8, 6), 0.3: (7, 9), 0.5: (8, 8), 1.0: (8, 8)}
    return [outcome(share, seed, some[seed]) for seed in (0, 1) for share, some in rights.items()]


def test_shares_less_all_by_hand(outcomes):
    found = summarise(outcomes)
    shares = found["domains"]["programs"]["shares"]
    assert list(shares) == ["0", "5", "15", "30", "50", "100"]
    assert shares["0"]["right"]["mean"] == pytest.approx(0.3)
    assert shares["0"]["short"]["mean"] == pytest.approx(-0.5)
    half = 12.706 * np.std([-0.6, -0.4], ddof=1) / np.sqrt(2)
    assert shares["0"]["short"]["lo"] == pytest.approx(-0.5 - half, rel=1e-4)
    assert shares["100"]["short"] == {"mean": 0, "lo": 0, "hi": 0}
    assert found["design"] == {"pairs": 100, "seeds": 2, "questions": 10}


def test_the_rule_and_the_table_read_it(outcomes):
    found = summarise(outcomes)
    rows = table(found).rows
    assert [row[1] for row in rows] == ["0 %", "5 %", "15 %", "30 %", "50 %", "100 %"]
    assert rows[0][2].startswith("0.300 (")
    assert claims.find("SPA-03").rule(found).kind == "not reproduced"  # two seeds: wide intervals


def test_cells_are_every_share_of_every_seed():
    some = cells("smoke")
    labels = [one.label for one in some]
    assert len(labels) == len(set(labels))
    assert {one.share for one in some} == {0.0, *SHARES}
    assert len({one.seed for one in cells("book")}) >= 5
