"""The linear-datamodelling score: a run of a few steps, and sums that can be done by hand."""

import numpy as np
import pytest

from mrtlab.lab import experiments, spa_lds
from mrtlab.lab.spa_lds import LdsCell, cells, halves, rank_correlation, summarise, table

SAME = {"n": 4, "depth": 1, "weights": ""}


def test_a_run_gives_every_method_a_score(tiny_lab):
    tiny_lab.setattr(spa_lds, "N_QUERIES", 2)
    found = experiments.run("spa_lds", "smoke").results
    assert {"grad-dot", "cosine", "datainf", "datainf-blocks", "lissa", "lexical", "subject"} < set(found["methods"])
    for name, one in found["methods"].items():
        assert -1 <= one["lds"]["mean"] <= 1, name
    assert found["methods"]["grad-dot"]["like_dot"]["mean"] == pytest.approx(1)
    assert found["methods"]["grad-dot"]["minus_dot"]["mean"] == 0
    assert found["methods"]["fisher-0.1"]["like_fisher"]["mean"] == pytest.approx(1)
    assert found["methods"]["fisher-100000"]["like_dot"]["mean"] > 0.9  # next to so much damping curvature is nothing
    assert found["ceiling"]["spread"]["mean"] > 0
    assert found["ceiling"]["luck"]["mean"] > 0
    assert found["design"] | {"lissa": None} == {
        "pairs": 8, "queries": 2, "halves": 3, "twice": 3, "seeds": 2, "rank": 8, "lr": 2e-3, "steps": 2, "lissa": None
    }  # fmt: skip
    assert len(table(found).rows) == len(found["methods"]) + 1


def test_pairs_and_queries_share_no_prompt_and_halves_are_halves(monkeypatch):
    pairs, asked = spa_lds._data(3, 40)
    assert len({q.text for q, _ in [*pairs, *asked]}) == 40 + spa_lds.N_QUERIES
    assert len({q.slots[0] for q, _ in asked}) == spa_lds.N_QUERIES
    monkeypatch.setattr(spa_lds.subject, "fingerprint", lambda: "")
    first, *_ = cells("book")
    some = halves(first)
    assert len(some) == first.halves
    assert all(len(set(half.tolist())) == first.n // 2 for half in some)
    assert len({tuple(half) for half in some}) == len(some)
    assert len({cell.label for cell in cells("book")}) == len(cells("book"))


def test_scores_that_foretell_reach_one_and_their_opposite_minus_one(monkeypatch):
    """Losses fall exactly as one method's sums rise; the second training repeats the first but for one query."""
    monkeypatch.setattr(spa_lds, "TWICE", 3)
    sums = np.array([[1.0, 5.0], [2.0, 4.0], [3.0, 9.0]])
    again = np.array([[1.0, -5.0], [2.0, -4.0], [3.0, -9.0]])
    like = {"like_dot": 0.5, "like_fisher": 0.25}
    scored = {
        "grad-dot": {"predicted": sums.tolist(), **like},
        "against": {"predicted": (-sums).tolist(), **like},
        "flat": {"predicted": np.zeros((3, 2)).tolist(), **like},
    }
    outcomes = []
    for seed in (0, 1):
        outcomes.append((LdsCell(what="scores", halves=3, seed=seed, **SAME), scored))
        for run, effect in enumerate((sums, again)):
            for part in range(3):
                cell = LdsCell(what="train", part=part, run=run, halves=3, seed=seed, **SAME)
                outcomes.append((cell, {"losses": (10 - effect[part]).tolist()}))
    found = summarise(outcomes)
    assert [found["methods"][name]["lds"]["mean"] for name in scored] == pytest.approx([1, -1, 0])
    assert found["methods"]["against"]["minus_dot"]["mean"] == pytest.approx(-2)
    assert found["methods"]["flat"]["like_dot"]["mean"] == 0.5
    assert found["ceiling"]["twice"]["mean"] == pytest.approx(0)  # one query agrees, the other is turned round
    assert found["ceiling"]["spread"]["mean"] == pytest.approx(np.sqrt((1 + 7) / 2))


def test_a_column_that_does_not_vary_says_nothing():
    a = np.array([[1.0, 0.0], [2.0, 0.0]])
    assert rank_correlation(a, a) == pytest.approx(0.5)
