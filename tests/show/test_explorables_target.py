"""Chapter 7's draggable target from Python: its numbers by hand, its lessons, and where its law comes from."""

import numpy as np
import pytest

from mrtlab.lab import artifacts
from mrtlab.show.explorables import REGISTRY, bundle, explorable
from mrtlab.show.explorables.page import _plain, _shared
from mrtlab.show.explorables.twins_target import (
    EXAMPLES,
    MOST,
    TARGETS,
    given,
    target,
    target_sentence,
    target_training,
)

STATE = REGISTRY["target"].default


def trained(**changes):
    return target_training(STATE | changes)


def said(**changes) -> str:
    state = STATE | changes
    return target_sentence(target_training(state), state)


# --- what the page is given ----------------------------------------------------------------------------------


def test_the_law_is_the_measured_one():
    ask = artifacts.load("meet_model", "book").results["ask"]
    start = trained()["start"]
    assert given()["prompt"] == ask["question"]
    assert start[:10] == pytest.approx(ask["exact"], rel=1e-5)
    assert start[10] == pytest.approx(ask["wrong"], rel=1e-5)
    assert f"{ask['exact'][6]}" in bundle(["target"])
    assert "GIVEN" not in bundle(["lottery"])


def test_a_bundle_has_no_lines_for_the_readers_of_its_files():
    lines = bundle(["target", "tree"]).splitlines()
    assert not [line for line in lines if line.startswith(("//", "/*", " ", "import", "export"))]
    assert 'name: "tree",' in lines


def test_the_module_is_small():
    shared = sum(len(_plain(name).encode()) for name in _shared(["target"]))
    assert len(bundle(["target"]).encode()) - shared < 13 * 1024


# --- the target ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_is_a_law(name):
    law = target(STATE | {"target": name})
    assert law.shape == (10,)
    assert law.min() >= 0
    assert law.sum() == pytest.approx(1)


def test_the_targets_by_hand():
    def law(name):
        return target(STATE | {"target": name})

    assert law("binomial")[0] == pytest.approx(10 * 0.2 * 0.8**9 / (1 - 0.8**10))  # 0 is not on the list
    assert law("zipf")[0] / law("zipf")[9] == pytest.approx(10)
    assert law("pairs").tolist() == [0, 0.2] * 5
    assert np.flatnonzero(law("one")).tolist() == [2]


@pytest.mark.parametrize(
    ("text", "share_of_1"),
    [("", 0.1), ("0-0", 0.1), ("no number", 0.1), ("1-1", 0.5), ("3", 1), ("2.5,7.5", 0.25), ("1 " * 30, 0.1)],
)
def test_a_drawn_target_takes_any_text(text, share_of_1):
    assert target(STATE | {"target": "own", "own": text})[0] == pytest.approx(share_of_1)


def test_surprises_are_settings_and_differ():
    entry = REGISTRY["target"]
    states = [entry.state(example) for example in EXAMPLES]
    assert len({tuple(trained(**state)["model"]) for state in states}) == len(states)


# --- loss, gradient, training --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("off", [0, 0.8])
def test_the_loss_is_the_cross_entropy_and_its_parts_add_up(name, off):
    data = trained(target=name, off=off, steps=3)
    aim, p = np.array(data["target"]), np.array(data["model"][:10])
    asked = aim > 0
    assert data["loss"] == pytest.approx(-np.sum(aim[asked] * np.log(p[asked])), abs=1e-6)
    assert data["loss"] == pytest.approx(data["floor"] + data["validity"] + data["shape"], abs=1e-8)
    assert data["validity"] == pytest.approx(-np.log(1 - data["model"][10]), abs=1e-7)


@pytest.mark.parametrize("name", ["even", "zipf", "one"])
def test_the_pull_is_the_gradient_of_the_loss(name):
    data = trained(target=name)
    aim, p = np.array(data["target"]), np.array(data["model"])

    def loss(logits):
        logp = logits - np.log(np.exp(logits).sum())
        return -np.sum(aim * logp[:10])

    small = 1e-5 * np.eye(11)
    found = [(loss(np.log(p) + e) - loss(np.log(p) - e)) / 2e-5 for e in small]
    assert data["pull"] == pytest.approx(found, abs=1e-7)
    assert sum(data["pull"]) == pytest.approx(0, abs=1e-8)


def test_one_step_by_hand():
    before, after = trained(target="pairs"), trained(target="pairs", steps=1)
    raised = np.array(before["model"]) * np.exp(-np.array(before["pull"]))
    assert after["model"] == pytest.approx(raised / raised.sum(), abs=1e-8)
    assert after["path"] == before["path"]
    assert [after["validity"], after["shape"]] == after["path"][1]


def test_where_the_shape_is_right_validity_is_all_and_pulling_on_it_bends_the_shape():
    assert trained(target="model")["shape"] == 0
    assert "only validity is missing" in said(target="model")
    validity, shape = np.array(trained(target="model", off=0.8)["path"]).T
    assert np.all(np.diff(validity) < 0)
    assert shape[0] == 0
    assert shape.max() > 0.005 > shape[MOST]  # the likeliest answer is pulled hardest, then all settle
    most = int(shape.argmax())
    assert "bends it for a while" in said(target="model", off=0.8, steps=most)


def test_little_mass_off_the_list_leaves_last_and_much_of_it_leaves_first():
    few, many = (np.array(trained(off=off)["path"]) for off in (0, 0.8))
    assert few[3, 0] > few[0, 0]  # validity grows at first …
    assert few[MOST, 0] > 10 * few[MOST, 1]  # … and is what remains
    fallen = (many[0] - many[3]) / many[0]
    assert fallen[0] > fallen[1]
    assert "Validity rose from 0.06" in said(steps=3)


@pytest.mark.parametrize("stop", [0.05, 0.1, 0.2, 0.5])
def test_early_stop_is_the_first_step_under_the_mark(stop):
    for name in TARGETS:
        data = trained(target=name, stop=stop)
        under = [data["floor"] + sum(parts) <= (1 + stop) * data["floor"] for parts in data["path"]]
        assert data["stop"] == (under.index(True) if True in under else None)


def test_the_sentence_says_when_it_stops():
    assert said().endswith("Early stop, γ = 0.2: at step 2.")
    assert said(stop=1).endswith("before the first step.")
    assert said(target="one", steps=50).endswith("never, for one answer has floor 0.")
    assert said(target="own", own="1-0-0-0-0-0-0-0-0-1", stop=0.05).endswith(f"not in {MOST} steps.")
    assert "No pull is left that is larger than 0.02" in said(target="own", own=OWN_LAW, steps=50, off=0)


OWN_LAW = "1-2-3-4-5-5-60-8-7-5"  # nearly what the model does


def test_a_cell_may_open_it_anywhere():
    figure = explorable("target", target="own", own="5-5-5-5-5-5-5-5-5-55", steps=4)
    assert figure.state["own"] == "5-5-5-5-5-5-5-5-5-55"
    with pytest.raises(ValueError, match="at most 60 characters"):
        explorable("target", own="1" * 61)
    with pytest.raises(ValueError, match="one of even, binomial, zipf"):
        explorable("target", target="flat")
