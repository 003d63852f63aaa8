"""Rules by name, what scores are kept, and how firm parts are."""

import numpy as np
import pytest

from mrtlab.data.records import Record
from mrtlab.spa.rules import BY_CLUSTER, BY_QUERY, DEALT, RULES, dealing_rows, firmness, make_parts, sentence_of
from mrtlab.spa.scored import likeness, spreads


def scores(n=40, m=5, *, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m)) * np.arange(1, m + 1)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "seeds"])
def test_every_rule_gives_k_parts_of_all_examples_and_says_what_it_did(rule):
    rows = scores() if rule in (*BY_QUERY, *BY_CLUSTER, DEALT) else None
    made = make_parts(rule, rows, n=40, k=3, seed=1)
    assert made.partition.k == 3
    assert made.partition.sizes.sum() == 40
    assert len(made.queries) == (3 if rule in BY_QUERY else 0)
    assert made.sentence == sentence_of(rule)


def test_dealt_parts_hold_answers_to_like_prompts_apart():
    records = [Record.of(f"{what} {n}", [f"{what} {a}"]) for what in ("cats", "boats") for n in range(12) for a in "ab"]
    rows = dealing_rows(records)
    made = make_parts("dealt", rows, n=48, k=2)
    texts = np.array([record.responses[0] for record in records])
    for text in np.unique(texts):  # a word's two answers are in two parts
        assert len(set(made.partition.part[texts == text])) == 1
    assert made.partition.sizes.tolist() == [24, 24]
    assert set(firmness(made, "dealt", rows, k=2, draws=2)) == {"examples", "chance"}  # it looks at no query


def test_the_widest_queries_are_kept_and_raw_scores_follow_the_widest_of_them():
    made = make_parts("influence", scores(), n=40, k=2)
    assert made.queries == (3, 4)
    wide = np.stack([np.linspace(-1, 1, 40), 100 * np.linspace(1, 2, 40)], axis=1)
    assert make_parts("influence-raw", wide, n=40, k=2).partition.sizes.tolist() == [0, 40]
    assert min(make_parts("influence", wide, n=40, k=2).partition.sizes) > 0


def test_a_rule_that_does_not_exist_and_too_few_queries():
    with pytest.raises(ValueError, match="no partition by 'seeds'"):
        make_parts("seeds", scores(), n=40, k=2)
    with pytest.raises(ValueError, match="number of queries, 5"):
        make_parts("influence", scores(), n=40, k=6)


def test_clear_groups_are_firm_and_chance_is_not():
    group = np.arange(60) % 3
    clear = np.eye(3)[group] + 0.01 * scores(60, 3)
    firm = firmness(make_parts("influence", clear, n=60, k=3), "influence", clear, k=3, draws=4)
    assert firm["examples"] == 1.0
    assert firm["chance"] < 0.6
    assert "queries" not in firm  # three queries for three parts: none can be left out
    dealt = firmness(make_parts("random", None, n=60, k=3), "random", None, k=3, draws=4)
    assert dealt["examples"] < 0.7


def test_queries_are_left_out_where_there_are_enough():
    table = scores(60, 10)
    firm = firmness(make_parts("influence", table, n=60, k=3), "influence", table, k=3, draws=5)
    assert 1 / 3 < firm["queries"] <= 1
    blind = firmness(make_parts("consecutive", None, n=60, k=3), "consecutive", None, k=3, draws=2)
    assert set(blind) == {"examples", "chance"}


def test_spread_and_likeness_of_methods_by_hand():
    one = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]])
    pair, *_ = likeness({"a": one, "b": -one})
    assert pair == {"methods": ["a", "b"], "rank": -1.0, "parts": pytest.approx(2 / 3)}
    flat = np.zeros((3, 2))
    assert likeness({"a": one, "b": flat})[0]["rank"] is None
    assert spreads({"flat": flat}) == {"flat": [0.0, 0.0]}
    assert np.mean(spreads({"a": scores()})["a"]) == pytest.approx(1)
