"""The flat map of chapter 8: its geometry by hand, and the experiment on a model of a few steps."""

import json

import numpy as np
import pytest

from mrtlab.lab import experiments
from mrtlab.lab.spa_map import MAPS, REACH, by_chance, cells, flat, neighbours


@pytest.fixture
def cloud():
    """Forty points in six directions, two of them wide, and three others."""
    rng = np.random.default_rng(3)
    wide = np.array([5.0, 3.0, 0.4, 0.3, 0.2, 0.1])
    return rng.normal(size=(40, 6)) * wide + 2, rng.normal(size=(3, 6)) * wide


def test_the_map_is_that_of_principal_components(cloud):
    points, others = cloud
    found = flat(np.concatenate([points, others]) @ points.T)
    middle = points.mean(axis=0)
    _, size, directions = np.linalg.svd(points - middle, full_matrices=False)
    np.testing.assert_allclose(found.shares[:6], size**2 / (size**2).sum(), atol=1e-9)
    np.testing.assert_allclose(np.abs(found.points), np.abs((points - middle) @ directions[:2].T), atol=1e-6)
    np.testing.assert_allclose(np.abs(found.others), np.abs((others - middle) @ directions[:2].T), atol=1e-6)


def test_signs_are_settled_and_the_products_survive(cloud):
    points, others = cloud
    found = flat(np.concatenate([points, others]) @ points.T)
    assert all(found.points[np.abs(found.points[:, i]).argmax(), i] > 0 for i in range(2))
    again = flat(np.concatenate([-points, -others]) @ -points.T)
    np.testing.assert_allclose(again.points, found.points)
    middle = points.mean(axis=0)
    exact = (points - middle) @ (others - middle).T
    kept = found.points @ found.others.T
    assert np.corrcoef(kept.ravel(), exact.ravel())[0, 1] > 0.99  # two directions hold nearly all of it


def test_points_in_one_place_have_no_map():
    found = flat(np.ones((4, 3)))
    assert found.shares.tolist() == [0, 0, 0]
    assert found.points.tolist() == [[0, 0]] * 3
    assert found.others.tolist() == [[0, 0]]


def test_neighbours_of_one_kind_are_counted():
    points = np.array([[0.0, 0], [0, 1], [9, 9], [9, 8], [4, 4]])
    assert neighbours(points, ["a", "a", "b", "b", "c"]) == pytest.approx(0.8)  # the last one's neighbour is an a
    assert by_chance(["a", "a", "b", "b", "c"]) == pytest.approx((2 + 2) / 20)
    assert by_chance(["a", "b"]) == 0


@pytest.fixture(scope="module")
def results(tiny_lab):
    """The experiment at the scale of tests; the tiny model answers nothing right, so the even teacher stands in."""
    tiny_lab.setattr("mrtlab.lab.spa_map.DOMAIN", "programs-even")
    return experiments.run("spa_map", "smoke").results


def test_the_results_are_whole(results):
    drawn, n = results["drawn"], results["design"]["n"]
    assert set(results["maps"]) == set(MAPS)
    assert len(drawn["x"]) == len(drawn["y"]) == len(drawn["kind"]) == n
    assert max(map(abs, drawn["x"] + drawn["y"])) == REACH
    assert len(drawn["queries"]) == len(drawn["asked"]) == 12
    assert len(results["kept"]) == results["design"]["k"] == 8
    assert set(drawn["kind"]) == set(range(len(drawn["kinds"])))
    assert all(": " in label and "return" not in label for label in drawn["kinds"])
    for part in drawn["real"].values():
        assert len(part) == n
        assert set(part) <= set(range(8))
    for one in results["maps"].values():
        assert 0 < one["held"] <= 1
        assert one["shares"] == sorted(one["shares"], reverse=True)
        assert one["held"] == pytest.approx(sum(one["shares"][:2]), rel=1e-4)


def test_the_table_has_a_row_for_each_map_and_for_chance(results):
    found = experiments.find("spa_map").load().table(results)
    assert {row[0] for row in found.rows} == {*MAPS, "by chance"}
    assert all(len(row) == len(found.columns) for row in found.rows)
    assert len(json.dumps(results)) < 40_000


def test_every_scale_has_one_cell(tiny_lab):
    assert [cell.label for scale in experiments.SCALES for cell in cells(scale)] == [cells("book")[0].label] * 3
    assert cells("smoke")[0].short
    assert not cells("book")[0].short
