"""The answers of chapter 4's exercises, worked out another way."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from solutions import answer_of

from mrtlab.show.exercises import EXERCISES


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def test_the_sign_rule_is_the_slope_of_the_winners_log_probability():
    p, small = np.array([0.6, 0.2, 0.1, 0.1]), 1e-6
    pushed = softmax(np.log(p) + small * (p - np.eye(4)[3]))  # down −log p of the fourth
    assert answer_of("ch4.sign_rule") == pytest.approx((np.log(pushed[2]) - np.log(p[2])) / small, abs=1e-5)


def test_the_dpo_weight_is_the_slope_of_the_loss():
    def loss(log_winner: float) -> float:
        return np.log1p(np.exp(-0.5 * (log_winner - np.log(0.1) - np.log(0.2 / 0.4))))

    slope = (loss(np.log(0.5) + 1e-6) - loss(np.log(0.5) - 1e-6)) / 2e-6
    assert answer_of("ch4.dpo_weight") == pytest.approx(-slope, abs=1e-8)


def test_the_valid_mass_by_search():
    found = minimize_scalar(lambda m: m * np.log(m), bounds=(1e-6, 1), method="bounded").x
    assert answer_of("ch4.valid_mass") == pytest.approx(found, abs=1e-4)


def test_the_others_are_back_where_they_were():
    s = answer_of("ch4.third_answer")
    before = np.array([0.1, 0.3, 0.6])
    after, sooner, later = (softmax(np.log(before) + x * np.array([1, -1, 0]))[2] for x in (s, 0.9 * s, 1.1 * s))
    assert after == pytest.approx(0.6)
    assert sooner > 0.6 > later


def test_the_best_draw_by_counting():
    names: dict = {}
    exec("\n".join(EXERCISES["ch4.best_of"].solution.strip().splitlines()[:-1]), names)
    p = np.array([0.7, 0.2, 0.1])
    law = np.zeros(3)
    for draws in itertools.product(range(3), repeat=4):
        law[max(draws)] += p[list(draws)].prod()
    assert names["best_of"](p, 4) == pytest.approx(law)
    twice = names["best_of"](names["best_of"](p, 4), 4)
    assert names["best_of"](twice, 4) == pytest.approx(names["best_of"](p, answer_of("ch4.iterated")))


def test_the_drawn_weight_is_right_on_average():
    drawn_once = answer_of("ch4.factor_p") * 0.02
    assert 16 * 0.02 * drawn_once == pytest.approx(0.02)  # 16 chances of p, each worth one draw
