"""The crossover experiment: cells, intervals, and a small run from end to end."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from mrtlab.lab import claims, crossover, experiments
from mrtlab.lab.crossover_summary import difference, strings_needed, wilson


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("MRTLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield experiments.run("crossover", "smoke")
    patch.undo()


def test_book_scale_has_enough_seeds_and_reaches_the_crossover():
    cells = crossover.cells("book")
    assert {sum(c.world == w for c in cells) for w in (*crossover.WORLDS, "by_position", "laws")} == {10}
    assert len({c.label for c in cells}) == len(cells)
    assert all(c.ns[-1] * crossover.COVERAGE > 2 * crossover.WIDTH for c in cells)  # correct strings beyond d


def test_a_small_run_fills_every_rule(smoke):
    for claim in claims.CLAIMS:
        if claim.experiment == "crossover":
            entry = claims.judge(claim, smoke)
            assert entry.status == claims.JUDGED
            assert "nan" not in entry.verdict.measured


def test_a_small_run_knows_its_design_and_keeps_the_laws(smoke):
    found = smoke.results
    assert found["design"]["truths"] == 6
    assert set(found["worlds"]) == set(crossover.WORLDS)
    block = found["worlds"]["realizable"]["t64"]
    assert block["sft"]["mean"][-1] == 1  # 64 strings of 64 bits leave one rule of 8 bits
    assert block["oracle"]["mean"][-1] > 0.9  # 1 − .75^16 = .99
    assert found["worlds"]["falling"]["t64"]["oracle"]["mean"][-1] < 0.2  # 1 − (1 − .9^64)^16 = .02
    for law in ("search", "noisy", "collapse", "slips"):
        assert min(found["laws"][law]["p"]) > 1e-5


def test_a_cell_depends_on_itself_alone():
    cell = dataclasses.replace(crossover.cells("smoke")[0], ns=(4,), lengths=(4,))
    alone = crossover.run_cell(cell)
    assert crossover.run_cell(cell) == alone
    wider = crossover.run_cell(dataclasses.replace(cell, ns=(1, 4), lengths=(1, 4)))
    assert wider["t4"]["n4"] == alone["t4"]["n4"]
    assert crossover.run_cell(dataclasses.replace(cell, seed=7)) != alone


def test_a_learner_that_cannot_see_the_oldest_bit_guesses():
    laws = crossover.run_cell(dataclasses.replace(crossover.cells("smoke")[-1], truths=20, n_test=20))
    long = laws["small_window"][-1]
    assert long["wrong_bits"] / long["bits"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (3, 10), (180, 200), (200, 200)])
def test_wilson_is_the_interval_of_scipy(hits, trials):
    expected = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson(hits / trials, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_difference_is_paired_and_three_standard_errors_wide():
    a = np.array([[0.1, 0.5, 0.9, 1.0]])
    shifted = difference(a + 0.25, a)  # the truths differ a lot, the pairs not at all
    assert shifted["lo"][0] == pytest.approx(0.25)
    assert shifted["hi"][0] == pytest.approx(0.25)
    spread = difference(a, np.zeros((1, 4)))
    assert spread["hi"][0] - spread["mean"][0] == pytest.approx(3 * stats.sem(a[0]))


def test_strings_needed_at_the_ends_of_the_grid():
    ns = np.array([1, 4, 16])
    found = strings_needed(np.array([[0.95, 1, 1], [0.1, 0.2, 0.3], [0.8, 0.8, 1.0], [0.2, 0.9, 0.5]]), ns)
    np.testing.assert_allclose(found, [1, 16, 8, 4])
