"""The gate: each condition holds just at its edge and fails just beyond."""

import copy

import pytest

from mrtlab.lm.gate import gate, passed


def question(**changes):
    return {"text": "?", "kind": "random", "subject": "", "answers": 20, "favourite": 6.0, "validity": 0.95} | changes


def family(validity, *questions):
    return {"exact": True, "worded_anew": [validity, 0.4, 1.0], "questions": list(questions)}


@pytest.fixture
def good():
    """Results that pass with nothing to spare."""
    kinds = {f"kind {i}": {"questions": 5, "accuracy": [1.0] * 3, "nll": [0.01] * 3} for i in range(5)}
    kinds |= {f"rare {i}": {"questions": 5, "accuracy": [0.95] * 3, "nll": [0.3] * 3} for i in range(2)}
    prime, named = question(subject="prime", answers=10, favourite=2.0), question(kind="binomial", favourite=1.0)
    return {
        "families": {
            "fruits": family(0.9, question(favourite=5.0)),
            "choices": family(0.9, question(answers=4, favourite=2.4)),
            "numbers": family(0.9, question(favourite=7.0), question(favourite=3.0), prime, named),
            "biographies": family(0.9, {"text": "?", "kind": "random", "subject": "", "validity": 0.9}),
            "programs": family(0.5, question(answers=6, favourite=3.0)),
        },
        "facts": {"kinds": kinds, "accuracy": [0.9, 0.85, 0.95], "questions": 35},
        "programs": {"tries": 20, "questions": 5, "pass": {"1": [0.3, 0.2, 0.4]}},
    }


def failing(results):
    return [check.name for check in gate(results) if not check.passed]


def test_edges_pass_and_every_condition_is_looked_at(good):
    checks = gate(good)
    assert passed(checks), failing(good)
    assert [check.name for check in checks] == [
        "fruits: validity", "fruits: favourite", "choices: validity", "numbers: validity", "numbers: favourite",
        "biographies: validity", "facts: accuracy", "facts: known by a small margin", "programs: pass@1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "value", "name"),
    [
        (("families", "fruits", "worded_anew", 0), 0.899, "fruits: validity"),
        (("families", "fruits", "questions", 0, "favourite"), 4.99, "fruits: favourite"),
        (("families", "numbers", "questions", 0, "favourite"), 6.9, "numbers: favourite"),
        (("facts", "accuracy", 0), 0.89, "facts: accuracy"),
        (("facts", "kinds", "rare 0", "nll", 0), 0.1, "facts: known by a small margin"),
        (("programs", "pass", "1", 0), 0.81, "programs: pass@1"),
        (("programs", "pass", "1", 0), 0.29, "programs: pass@1"),
    ],
)
def test_just_beyond_the_edge_one_check_fails(good, where, value, name):
    results = copy.deepcopy(good)
    *path, last = where
    place = results
    for step in path:
        place = place[step]
    place[last] = value
    assert failing(results) == [name]
    assert not passed(gate(results))


def test_too_many_small_margins_fail_and_inaccurate_kinds_count(good):
    for i in range(2):
        good["facts"]["kinds"][f"kind {i}"]["accuracy"][0] = 0.8
    assert failing(good) == ["facts: known by a small margin"]


def test_what_was_not_asked_is_not_checked():
    assert gate({"families": {}}) == []
    assert not passed([])
