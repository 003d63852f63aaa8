"""Chapter 8's draggable queries from Python: where the map comes from, its parts by hand, and its lessons."""

import numpy as np
import pytest

from mrtlab.lab import artifacts
from mrtlab.show.explorables import REGISTRY, bundle, explorable
from mrtlab.show.explorables.twins_parts import EXAMPLES, HOW, LIMIT, given, parts, parts_sentence, places, scores
from mrtlab.spa.partition import arg_max_within, standardised

STATE = REGISTRY["parts"].default


def made(**changes):
    return parts(STATE | changes)


def said(**changes) -> str:
    state = STATE | changes
    return parts_sentence(parts(state), state)


# --- what the page is given ----------------------------------------------------------------------------------


def test_the_map_is_the_measured_one():
    results = artifacts.load("spa_map", "book").results
    map_ = given()
    assert (map_["x"], map_["y"]) == (results["drawn"]["x"], results["drawn"]["y"])
    assert map_["home"] == [results["drawn"]["queries"][j] for j in results["kept"]]
    assert map_["held"] == results["maps"]["unit"]["held"]
    labels = [results["drawn"]["kinds"][kind] for kind in results["drawn"]["kind"]]
    assert [map_["names"][i] for i in map_["of"]] == [label.partition(":")[0] for label in labels]
    assert f'"home": {map_["home"]}' in bundle(["parts"])


def test_all_pairs_and_queries_are_on_the_map():
    map_ = given()
    assert len(map_["x"]) == len(map_["y"]) == len(map_["of"]) == 512
    assert np.abs([map_["x"], map_["y"]]).max() <= 999
    assert np.abs(map_["home"]).max() <= LIMIT
    assert all(len(real) == 512 and set(real) <= set("01234567") for real in map_["real"].values())
    assert map_["marks"]
    assert all(name in map_["names"] for name, _, _ in map_["marks"])


def test_what_the_artifact_says_the_map_keeps_is_what_the_page_says():
    results = artifacts.load("spa_map", "book").results
    for how in HOW:
        data = made(how=how)
        assert data["same"] == pytest.approx(results["maps"]["unit"]["same_part"][how], abs=0.02)  # rounded places
        assert data["chance"] == pytest.approx(results["chance"]["same_part"][how], abs=0.01)
    assert made(k=7)["same"] is None
    assert made(at="1.1")["same"] is None


def test_module_and_map_are_small():
    assert len(bundle(["parts"]).encode()) - len(bundle([]).encode()) < 26 * 1024


# --- places --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first"),
    [("5.-7", [5, -7]), ("9999.-99999", [LIMIT, -LIMIT]), ("<b>12</b>, 30", [12, 30]), ("-0.-3_4", [0, -3])],
)
def test_places_are_read_from_any_text(text, first):
    at = places({"at": text})
    assert at[0].tolist() == first
    assert at[1:].tolist() == given()["home"][1:]


@pytest.mark.parametrize("text", ["", " ", "7", "none"])
def test_without_a_pair_of_numbers_all_stand_where_they_stood(text):
    assert places({"at": text}).tolist() == given()["home"]


# --- parts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("k", [2, 5, 8])
def test_every_pair_is_in_one_part_and_the_numbers_add_up(how, k):
    data = made(how=how, k=k)
    assert np.bincount(data["part"], minlength=k).tolist() == data["sizes"]
    assert sum(data["sizes"]) == 512
    assert data["over"] == pytest.approx(max(data["sizes"]) * k / 512)
    assert data["sizes"][data["largest"]] == max(data["sizes"])
    assert data["sizes"][data["smallest"]] == min(data["sizes"])
    assert [not name for name in data["mostly"]] == [size == 0 for size in data["sizes"]]


def test_two_queries_split_the_map_along_the_line_between_them():
    data = made(k=2, at="100.0_-100.0")
    right = np.array(given()["x"]) >= 0  # of equals the first wins
    assert data["part"] == np.where(right, 0, 1).tolist()
    assert made(k=2, at="100.0_100.0")["sizes"] == [512, 0]


def test_raw_a_query_twice_as_far_out_takes_from_the_others():
    near, far = (made(at=f"{x}.{y}") for x, y in ([100, -80], [1000, -800]))
    assert far["sizes"][0] > near["sizes"][0]
    assert all(after <= before for before, after in zip(near["sizes"][1:], far["sizes"][1:], strict=True))


@pytest.mark.parametrize("how", ["standardised", "even"])
def test_standardised_only_the_direction_counts(how):
    near, far = (made(how=how, at=f"{x}.{y}") for x, y in ([100, -80], [1000, -800]))
    assert near["part"] == far["part"]


def test_a_query_within_reach_of_the_others_gets_nothing_raw():
    assert made(k=4, at="300.0_-200.300_-200.-300_10.10")["sizes"][3] == 0
    assert made(k=4, at="300.0_-200.300_-200.-300_10.10", how="standardised")["sizes"][3] > 0


def test_equal_sizes_are_the_exact_assignment_and_cost_what_is_said():
    for k in (3, 7, 8):
        state = STATE | {"how": "even", "k": k}
        columns = standardised(scores(STATE | {"k": k}))
        total = columns[np.arange(512), made(how="even", k=k)["part"]].sum()
        best = columns[np.arange(512), arg_max_within(columns).part].sum()
        assert total == pytest.approx(best, abs=1e-6)
        assert parts(state)["given_up"] == pytest.approx(1 - best / columns.max(axis=1).sum(), abs=1e-6)
        assert max(parts(state)["sizes"]) == -(-512 // k)


def test_the_sentence_follows_the_setting():
    assert said(k=2, at="100.0_-100.0").startswith("The largest part, ")
    assert "no longer counts, only its direction" in said(how="standardised")
    assert "No part holds more than <b>64</b> of the 512 pairs" in said(how="even")
    assert "of equals the first wins, so C has nothing" in said(k=3, at="9.9_-9.4_9.9")
    assert "equal sizes share its pairs out" in said(k=3, at="9.9_-9.4_9.9", how="even")
    assert "One query has nothing" in said(k=4, at="300.0_-200.300_-200.-300_10.10")


def test_surprises_are_settings_and_differ():
    entry = REGISTRY["parts"]
    states = [entry.state(example) for example in EXAMPLES]
    assert all(example.keys() == {"k", "how", "at"} for example in EXAMPLES)
    assert len({tuple(parts(state)["part"]) for state in states}) == len(states)


def test_a_cell_may_open_it_anywhere():
    assert explorable("parts", k=3, how="even", at="1.2").state == {"k": 3, "how": "even", "at": "1.2"}
    with pytest.raises(ValueError, match="one of raw, standardised, even"):
        explorable("parts", how="cosine")
