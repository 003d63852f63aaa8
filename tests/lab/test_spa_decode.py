"""What asking eight adapters costs: ratios by hand."""

import pytest

from mrtlab.lab import claims
from mrtlab.lab.spa_decode import WAYS, DecodeCell, cells, summarise, table


def outcome(seed, stacked, switching, mixed, same=1.0):
    seconds = dict(zip(WAYS, (stacked, switching, mixed), strict=True))
    return DecodeCell(prompts=8, seed=seed, weights=""), {"seconds": seconds, "same": same}


def test_ratios_by_hand():
    found = summarise([outcome(0, 1.0, 4.0, 2.0), outcome(1, 2.0, 8.0, 1.0, same=0.5)])
    assert found["ratios"]["switching"] == {"mean": pytest.approx(4), "lo": pytest.approx(4), "hi": pytest.approx(4)}
    assert found["ratios"]["mixed"]["mean"] == pytest.approx(1)  # geometric: 2 and 1/2
    assert found["ratios"]["mixed"]["lo"] < 0.01
    assert found["same"] == 0.75
    assert found["design"] == {"k": 8, "rank": 8, "tokens": 24, "prompts": 8, "rounds": 2}
    assert [row[0] for row in table(found).rows] == ["switching", "mixed"]
    assert table(found).rows[0][1] == "4.00 (4.00 to 4.00)"


def test_the_rule_wants_the_same_tokens():
    rounds = [outcome(seed, 1.0, 4.0, 2.0) for seed in range(2)]
    assert claims.find("SPA-12").rule(summarise(rounds)).kind == "reproduced"
    rounds[1][1]["same"] = 0.99
    assert claims.find("SPA-12").rule(summarise(rounds)).kind == "not reproduced"


def test_labels_are_unique_and_the_book_has_five_rounds_or_more():
    labels = [cell.label for cell in cells("book")]
    assert len(labels) == len(set(labels)) >= 5
