"""components: the estimator against hand work, unbalanced tables and repeated sampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtlab.theory import Components, estimate_components

numbers = st.floats(-50, 50, allow_nan=False)
tables = st.lists(st.lists(numbers, min_size=1, max_size=4), min_size=2, max_size=6).filter(
    lambda rows: any(len(row) > 1 for row in rows)
)


def slow_estimate(rows):
    """The textbook sums, one response at a time."""
    rows = [np.asarray(row, dtype=float).reshape(len(row), -1) for row in rows]
    every = np.concatenate(rows)
    a, n = len(rows), len(every)
    msw = sum(((row - row.mean(0)) ** 2).sum() for row in rows) / (n - a)
    msb = sum(len(row) * ((row.mean(0) - every.mean(0)) ** 2).sum() for row in rows) / (a - 1)
    n0 = (n - sum(len(row) ** 2 for row in rows) / n) / (a - 1)
    return (msb - msw) / n0, msw


def draw(rng, a, v_x, v, *, kind="normal", ragged=True):
    """A table with known components; every third prompt has one response if it is ragged."""
    noise = {"normal": rng.standard_normal, "skewed": lambda size: rng.exponential(1, size) - 1}[kind]
    sizes = np.where(np.arange(a) % 3 == 0, 1, rng.integers(2, 7, a)) if ragged else np.full(a, 4)
    return [np.sqrt(v_x) * noise(1) + np.sqrt(v) * noise(int(k)) for k in sizes]


@given(tables)
def test_any_table_gives_the_textbook_sums(rows):
    found = estimate_components(rows)
    v_x, v = slow_estimate(rows)
    scale = 1e-9 * (1 + max(abs(x) for row in rows for x in row) ** 2)
    assert found.components.response == pytest.approx(v, abs=scale)
    assert found.components.prompt == pytest.approx(max(v_x, 0.0), abs=scale)
    for low, high in (found.intervals.prompt, found.intervals.response, found.intervals.ratio):
        assert 0 <= low <= high


def test_features_use_the_trace():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(k, 3)) + rng.normal(size=3) for k in (1, 2, 5, 3)]
    v_x, v = slow_estimate(rows)
    found = estimate_components(rows).components
    assert (found.prompt, found.response) == pytest.approx((v_x, v))
    by_column = [estimate_components([row[:, j] for row in rows]).components.response for j in range(3)]
    assert found.response == pytest.approx(sum(by_column))


def test_arrays_will_do_and_a_shift_changes_nothing():
    table = np.random.default_rng(1).normal(size=(5, 3))
    once = estimate_components(table)
    again = estimate_components([row + 1e4 for row in table])
    assert once.components.prompt == pytest.approx(again.components.prompt, rel=1e-6)
    assert once.intervals.ratio == pytest.approx(again.intervals.ratio, rel=1e-6)
    assert (once.n_prompts, once.n_responses) == (5, 15)


def test_unbiased_on_unbalanced_tables():
    """Mean of the unclipped estimates over 4000 skewed tables lies within 4 standard errors of the truth."""
    rng = np.random.default_rng(3)
    found = np.array([slow_estimate(draw(rng, 12, 1.0, 3.0, kind="skewed")) for _ in range(4000)])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - [1.0, 3.0]) < 4 * error)
    assert np.all(error < 0.05)


@pytest.mark.parametrize(
    ("kind", "a", "v_x", "v"), [("normal", 30, 1.0, 5.0), ("normal", 60, 0.05, 1.0), ("skewed", 60, 1.0, 5.0)]
)
def test_intervals_hold_the_truth(kind, a, v_x, v):
    """At least 88 % of 200 tables; 95 % is the aim, and 88 % is 4.5 standard errors below it."""
    rng = np.random.default_rng(4)
    hits = np.zeros(3)
    for _ in range(200):
        sure = estimate_components(draw(rng, a, v_x, v, kind=kind)).intervals
        pairs = ((sure.prompt, v_x), (sure.response, v), (sure.ratio, v / v_x))
        hits += [low <= truth <= high for (low, high), truth in pairs]
    assert np.all(hits >= 176), hits
    assert hits.sum() < 600  # intervals that always hold would be of no use


def test_intervals_shrink_with_more_prompts():
    rng = np.random.default_rng(5)
    few, many = (estimate_components(draw(rng, a, 1.0, 2.0)).intervals for a in (20, 2000))
    for one, other in ((few.prompt, many.prompt), (few.response, many.response), (few.ratio, many.ratio)):
        assert other[1] - other[0] < 0.3 * (one[1] - one[0])


def test_no_variance_between_prompts_is_clipped_and_said():
    found = estimate_components([[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    assert found.components == Components(0.0, 2.0)
    assert found.clipped
    assert "V_x was set to 0" in found.remark
    assert found.intervals.ratio[1] == float("inf")


def test_responses_that_are_all_alike():
    found = estimate_components([[1.0, 1.0], [3.0, 3.0], [2.0]])
    assert found.components.response == 0
    assert found.components.prompt == pytest.approx(1.25)  # MSB = 4/2, n₀ = (5 − 9/5)/2
    assert not found.clipped
    assert "all alike" in found.remark
    assert estimate_components([[0.1] * 3, [0.1] * 3]).components == Components(0.0, 0.0)


def test_two_prompts_say_nothing_about_how_sure_we_are():
    sure = estimate_components([[0.0, 2.0], [4.0, 6.0]]).intervals
    assert sure.prompt == sure.response == sure.ratio == (0.0, float("inf"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0]], "at least 2 prompts"),
        ([], "at least 2 prompts"),
        ([[1.0], [2.0], [3.0]], "every prompt has one response"),
        ([[1.0, 2.0], [3.0, float("nan")]], r"prompt 1 holds \[nan\] at response 1"),
        ([[1.0, 2.0], [float("inf"), 1.0], [3.0]], "prompt 1 .* response 0"),
        ([[1.0, 2.0], []], "prompt 1 has shape"),
        ([[1.0, "x"], [2.0]], "prompt 0 holds something that is not a number"),
        ([np.ones((2, 3)), np.ones((2, 4))], "prompt 1 has 4 features per response, prompt 0 has 3"),
        ([[1e200, 1.0], [2.0]], "too large to square"),
    ],
)
def test_tables_that_cannot_be_used(rows, message):
    with pytest.raises(ValueError, match=message):
        estimate_components(rows)


def test_errors_use_the_names_of_prompts():
    with pytest.raises(ValueError, match="prompt 'why is the sky blue'"):
        estimate_components([[1.0, 2.0], [float("nan")]], names=["a", "why is the sky blue"])


@pytest.mark.parametrize("pair", [(-1.0, 1.0), (1.0, -1e-9), (float("nan"), 1.0), (1.0, float("inf"))])
def test_components_are_variances(pair):
    with pytest.raises(ValueError, match="must be 0 or more"):
        Components(*pair)
