import numpy as np
import pytest

from mrtlab.lab import stats


def test_summary_by_hand():
    table = np.array([[1.0, 3.0], [5.0, 9.0]])
    found = stats.summary(table, rng=np.random.default_rng(0), cv=True)
    assert found["mean"] == pytest.approx(4.5)
    assert found["median"] == pytest.approx(4.0)
    assert found["sd"] == pytest.approx(np.sqrt((2 + 8) / 2))  # within seeds, then pooled
    assert found["cv"] == pytest.approx(np.sqrt(5) / 4.5)
    # seed means 2 and 7: standard error 2.5, Student's t with one degree of freedom
    assert found["mean_hi"] - found["mean"] == pytest.approx(12.7062 * 2.5, rel=1e-4)
    assert found["mean"] - found["mean_lo"] == pytest.approx(12.7062 * 2.5, rel=1e-4)


def test_spread_does_not_count_differences_between_test_sets():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(5, 20))
    shifted = table + 100 * np.arange(5.0)[:, None]
    assert stats.pooled_sd(*shifted) == pytest.approx(stats.pooled_sd(*table))


def test_only_a_quantity_with_a_zero_gets_a_cv():
    assert "cv" not in stats.summary(np.ones((2, 2)) + np.eye(2), rng=np.random.default_rng(0))


def test_ratio_of_spreads_by_hand_and_upside_down():
    table = np.random.default_rng(2).normal(size=(5, 20))
    found = stats.sd_ratio(3 * table, table, rng=np.random.default_rng(0))
    assert found["ratio"] == pytest.approx(3)
    assert 1 < found["lo"] < 3 < found["hi"] < 9
    other_way = stats.sd_ratio(table, 3 * table, rng=np.random.default_rng(0))
    assert other_way["ratio"] == pytest.approx(1 / 3)
    assert other_way["lo"] == pytest.approx(1 / found["hi"], rel=0.1)


def test_same_rng_same_interval():
    table = np.random.default_rng(3).normal(size=(3, 6))
    first, second = (stats.summary(table, rng=np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(4)
    trials = 60
    sd_hits = ratio_hits = 0
    for _ in range(trials):
        top, bottom = rng.normal(size=(10, 20)), rng.normal(scale=2.0, size=(10, 20))
        _, low, high = stats.bootstrap_interval(stats.pooled_sd, bottom, rng=rng)
        sd_hits += low <= 2 <= high
        ratio = stats.sd_ratio(top, bottom, rng=rng)
        ratio_hits += ratio["lo"] <= 0.5 <= ratio["hi"]
    # An honest 95 % interval misses 60 times in fewer than 52 with probability below 0.5 %.
    assert sd_hits >= 52
    assert ratio_hits >= 52


def test_no_spread_at_all_is_zero_without_a_warning():
    flat = np.ones((2, 3))
    found = stats.summary(flat, rng=np.random.default_rng(0), cv=True)
    assert (found["sd"], found["sd_lo"], found["sd_hi"], found["cv"]) == (0, 0, 0, 0)
    assert stats.sd_ratio(flat, flat + np.eye(2, 3), rng=np.random.default_rng(0))["ratio"] == 0


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_a_table_without_spread_information_is_refused(shape):
    with pytest.raises(ValueError, match="at least 2 seeds × 2 retrainings"):
        stats.summary(np.ones(shape), rng=np.random.default_rng(0))
