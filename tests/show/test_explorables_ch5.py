"""The crossover of chapter 5: its closed forms against draws, and what its sentence claims."""

import numpy as np
import pytest

from mrtlab.show.explorables.twins_crossover import crossover, crossover_sentence
from mrtlab.theory.bitstrings import rollout, version_space
from mrtlab.theory.learn_or_choose import any_correct

STATE = {"n": 4, "t": 32, "c": 0.9, "m": 64}


@pytest.mark.parametrize(("width", "length", "n"), [(1, 1, 2), (4, 4, 1), (4, 12, 3), (8, 8, 2)])
def test_strings_leave_one_rule_as_often_as_the_law_says(width, length, n):
    rng = np.random.default_rng(5)
    rules = rng.integers(2, size=(2000, width), dtype=np.uint8)
    prompts = rng.integers(2, size=(2000, n, width), dtype=np.uint8)
    alone = version_space(prompts, rollout(rules, prompts, length), width).log2_size == 0
    law = crossover(STATE | {"n": n})["learn"]
    assert abs(alone.mean() - law) < 3.3 * np.sqrt(law * (1 - law) / 2000)  # once in a thousand


def test_for_short_replies_the_law_is_too_hopeful():
    rng = np.random.default_rng(5)
    rules = rng.integers(2, size=(500, 8), dtype=np.uint8)
    prompts = rng.integers(2, size=(500, 4, 8), dtype=np.uint8)
    assert np.all(version_space(prompts, rollout(rules, prompts, 1), 8).log2_size >= 4)  # 4 equations, 8 unknowns


def test_choosing_by_hand():
    data = crossover({"n": 2, "t": 8, "c": 0.5, "m": 4})
    assert data["alpha"] == 1 / 256
    assert data["choose"] == pytest.approx(1 - (255 / 256) ** 4)
    assert (1 - 1 / 256) ** data["needed"] == pytest.approx(1 / 4)


@pytest.mark.parametrize("state", [STATE, STATE | {"n": 12, "m": 4096}, STATE | {"n": 1, "c": 0.99}])
def test_at_the_crossover_both_ways_are_equal(state):
    data = crossover(state)
    assert any_correct(state["c"] ** data["crossover"], state["m"]) == pytest.approx(data["learn"])


def test_the_sentence_names_the_winner():
    def said(**changes) -> str:
        state = STATE | changes
        return crossover_sentence(crossover(state), state)

    assert "Learning wins from T = 30 on; here, choosing needs 80" in said()
    assert "Choosing wins up to T = 29; here, 5 would do" in said(t=8)
    assert "Choosing wins at all these lengths" in said(c=0.99)
    assert "Learning wins at all these lengths" in said(c=0.5, m=1)
    assert "over 99\u00a0%" in said(n=12)
    assert "over a million" in said(c=0.5)
