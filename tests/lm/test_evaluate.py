"""Numbers against the truth: by hand on a law that is known, by identity and by brute force on the tiny model."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.tasks import Law, Question, family
from mrtlab.lm import plain_logprob
from mrtlab.lm.encode import encode
from mrtlab.lm.evaluate import Drawn, Exact, accuracy, band, evaluate, summary
from mrtlab.lm.listed import Listed, listed_numbers, score_listed
from mrtlab.lm.survey import calibration, facts_known, survey


def exact(p, truth=None):
    law = (
        Law.uniform([str(i) for i in range(len(p))])
        if truth is None
        else Law.of([str(i) for i in range(len(p))], truth)
    )
    return Exact(Question("fruits", "?"), law, np.log(np.array(p)), 0.0)


def test_by_hand():
    """Two right answers, equally right; the model says .6, .2, and something wrong otherwise."""
    row = exact([0.6, 0.2])
    assert row.validity == pytest.approx(0.8)
    np.testing.assert_allclose(row.shape, [0.75, 0.25])
    assert row.kl == pytest.approx(0.5 * np.log(0.5 / 0.6) + 0.5 * np.log(0.5 / 0.2))
    assert row.shape_kl == pytest.approx(0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    assert row.tv == pytest.approx(0.5 * (0.1 + 0.3 + 0.2))
    assert row.entropy_share == pytest.approx((0.75 * np.log(4 / 3) + 0.25 * np.log(4)) / np.log(2))
    assert row.favourite == pytest.approx(1.5)


def test_a_model_that_is_the_truth_is_at_no_distance():
    row = exact([0.5, 0.25, 0.25], truth=[2, 1, 1])
    assert (row.kl, row.shape_kl, row.tv) == (pytest.approx(0, abs=1e-12),) * 3
    assert row.validity == pytest.approx(1.0)


def test_one_right_answer_has_an_even_spread():
    assert exact([0.3]).entropy_share == 1.0
    assert exact([0.3]).favourite == 1.0


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8), st.floats(0.01, 1.0), st.integers(0, 2**32 - 1))
def test_kl_is_the_cost_of_wrong_answers_plus_that_of_the_shape(weights, mass, seed):
    p = mass * np.array(weights) / sum(weights)
    truth = np.random.default_rng(seed).dirichlet(np.ones(len(p))) + 1e-3
    row = exact(p, truth=truth)
    assert row.kl == pytest.approx(-np.log(row.validity) + row.shape_kl, abs=1e-9)
    assert row.shape_kl >= -1e-12
    assert row.tv <= np.sqrt(row.kl / 2) + 1e-9  # Pinsker
    assert 1 - 1e-9 <= row.favourite <= len(p) + 1e-9
    assert -1e-9 <= row.entropy_share <= 1 + 1e-9


def test_every_number_of_a_family_by_one_pass_per_answer(tiny):
    model, tokenizer = tiny
    for row in evaluate(model, tokenizer, "choices", n_questions=2, seed=4):
        encoded = encode(tokenizer, row.question.text, row.truth.answers)
        with torch.no_grad():
            plain = [float(plain_logprob(model, encoded.prompt_ids, ids)) for ids in encoded.answer_ids]
        np.testing.assert_allclose(row.logp, plain, atol=1e-4)
        taught = family("choices").taught(row.question)
        order = [row.truth.answers.index(answer) for answer in taught.answers]
        assert row.taught_kl == pytest.approx(
            float((taught.p * (taught.logp - np.array(plain)[order])).sum()), abs=1e-3
        )


def test_questions_are_held_out_and_follow_the_seed(tiny):
    def texts(**options):
        return [row.question.text for row in evaluate(*tiny, "fruits", n_questions=3, **options)]

    assert texts() == texts()
    assert texts() != texts(seed=1)
    assert not set(texts()) & set(texts(split="train"))


def test_answers_too_many_to_list_are_drawn(tiny, monkeypatch):
    monkeypatch.setattr("mrtlab.lm.evaluate._DRAWN", 3)
    monkeypatch.setattr("mrtlab.lm.evaluate._LONGEST", 4)
    (row,) = evaluate(*tiny, "biographies", n_questions=1)
    assert isinstance(row, Drawn)
    assert row.validity == 0.0
    assert row.kl > 20
    assert set(summary([row])) == {"validity", "kl", "taught_kl"}


def test_an_unknown_family_is_refused(tiny):
    with pytest.raises(ValueError, match="unknown family 'fruit'"):
        evaluate(*tiny, "fruit")


def test_the_band_covers_the_mean():
    """95 % intervals of 40 draws hold the true mean in 94 % of cases or nearly; 0.88 is 5 standard errors below."""
    rng = np.random.default_rng(0)
    inside = 0
    for i in range(200):
        _, low, high = band(rng.normal(size=40), seed=i, draws=500)
        inside += low <= 0 <= high
    assert inside / 200 > 0.88


def test_calibration_of_the_truth_is_the_diagonal():
    p = np.random.default_rng(0).dirichlet(np.full(50, 0.2))
    for line in calibration(p, p):
        assert line["model"] == line["truth"]
        assert line["low"] <= line["model"] <= line["high"]
    assert sum(line["answers"] for line in calibration(p, p)) == 50
    assert calibration(np.zeros(0), np.zeros(0)) == []
    assert calibration(np.array([1.0]), np.array([1.0]))[0]["high"] == 1.0


def test_greedy_answers_are_checked_by_the_family(tiny, monkeypatch):
    questions = [Question("facts", "What is 3 + 4?", "sum", ("3", "4", "wording")),
                 Question("facts", "What is 2 + 2?", "sum", ("2", "2", "wording"))]  # fmt: skip
    monkeypatch.setattr("mrtlab.lm.evaluate.sample", lambda *a, **k: [["7"], ["5"]])
    assert accuracy(*tiny, questions).tolist() == [1.0, 0.0]


def test_facts_by_kind(tiny):
    known = facts_known(*tiny, n_questions=2)
    assert set(known["kinds"]) == set(family("facts").kinds)
    assert all(kind["questions"] == 2 and kind["nll"][0] > 0 for kind in known["kinds"].values())
    assert known["questions"] == 2 * len(known["kinds"])


def test_a_survey_is_json_and_counts_what_it_asked(tiny):
    steps = []
    found = survey(*tiny, families=["fruits", "numbers"], n_questions=2, report=lambda *step: steps.append(step))
    assert steps == [("fruits", 0, 2), ("numbers", 1, 2), ("", 2, 2)]
    assert json.loads(json.dumps(found)) == found
    fruits = found["families"]["fruits"]
    assert [q["answers"] for q in fruits["questions"]] == [20, 20]
    mean, low, high = fruits["numbers"]["kl"]
    assert low <= mean <= high
    assert mean == pytest.approx(np.mean([q["kl"] for q in fruits["questions"]]))
    with pytest.raises(ValueError, match="1 or more"):
        survey(*tiny, n_questions=0)


class TestListed:
    def test_by_hand(self):
        row = Listed("?", ("a", "b"), np.log([0.3, 0.1]), np.array([0.25, 0.25]))
        assert row.mass == pytest.approx(0.4)
        assert row.entropy == pytest.approx(0.75 * np.log(4 / 3) + 0.25 * np.log(4))
        assert row.kl == pytest.approx(0.5 * np.log(0.5 / 0.3) + 0.5 * np.log(0.5 / 0.1))
        assert Listed("?", ("a",), np.log([0.3])).kl is None
        assert Listed("?", ("a",), np.log([0.3])).entropy == 0

    def test_a_response_that_comes_twice_counts_once_and_its_targets_add_up(self, tiny):
        (row,) = score_listed(*tiny, [("Name a fruit.", ["kiwi", "plum", "kiwi"], [0.25, 0.5, 0.25])])
        assert row.responses == ("kiwi", "plum")
        assert row.targets.tolist() == [0.5, 0.5]
        (other,) = score_listed(*tiny, [("Name a fruit.", ["plum", "kiwi"], None)])
        np.testing.assert_allclose(row.logp, other.logp[::-1], atol=1e-4)

    def test_means_and_progress(self, tiny):
        steps = []
        asked = [(f"Say {i}.", ["one", "two"], None) for i in range(9)]
        rows = score_listed(*tiny, asked, report=lambda *step: steps.append(step))
        assert steps == [(8, 9), (9, 9)]
        numbers = listed_numbers(rows)
        assert set(numbers) == {"logp", "mass", "entropy", "effective"}
        assert numbers["mass"][0] == pytest.approx(np.mean([row.mass for row in rows]))
