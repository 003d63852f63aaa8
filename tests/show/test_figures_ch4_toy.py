"""Toy figures of chapter 4: true to the numbers they were read from, and to their titles."""

import json

import numpy as np
import pytest

from mrtlab.show.figures import ch4_toy
from mrtlab.theory.distributions import kl


@pytest.fixture(scope="module")
def figures():
    return {"weights": ch4_toy.weights_of_rules(), "pushed": ch4_toy.pushed_down(), "both": ch4_toy.both_readings()}


def about(fig):
    return fig.layout.meta["mrtlab"]


def test_every_figure_is_small_plain_and_described(figures):
    for name, fig in figures.items():
        text = fig.to_json()
        assert len(text.encode()) < 20 * 1024, name
        assert "bdata" not in text, name
        assert len(about(fig)["table"]["columns"]) == len(about(fig)["table"]["rows"][0])
        assert len(about(fig)["claim"]) < 70
        assert "nan" not in json.dumps(about(fig)).lower()


def test_descent_goes_downhill_and_arrives():
    for name in ("forward", "reverse"):
        path = np.stack([ch4_toy.toy_descent(name, steps=k, rate=0.2) for k in range(6)])
        target = np.broadcast_to(ch4_toy.TOY_TARGET, path.shape)
        distance = kl(target, path) if name == "forward" else kl(path, target)
        assert (np.diff(distance) < 0).all()
        assert np.allclose(ch4_toy.toy_descent(name, steps=400, rate=1.0), ch4_toy.TOY_TARGET, atol=1e-3)


def test_one_step_by_hand():
    raised = ch4_toy.TOY_START * np.exp(ch4_toy.TOY_TARGET - ch4_toy.TOY_START)
    assert np.allclose(ch4_toy.toy_descent("forward", steps=1, rate=1.0), raised / raised.sum())
    assert np.allclose(ch4_toy.toy_descent("reverse", steps=1, rate=1.0), [0.331, 0.269, 0.132, 0.269], atol=1e-3)


def test_our_four_steps_are_those_of_the_sheet():
    assert np.allclose(ch4_toy.toy_descent("forward"), [0.251, 0.203, 0.342, 0.203], atol=1e-3)
    assert np.allclose(ch4_toy.toy_descent("reverse"), [0.327, 0.223, 0.227, 0.223], atol=1e-3)


def test_no_common_setting_fits_the_labels_as_printed():
    rates = np.geomspace(0.05, 4, 30)
    found = [ch4_toy.toy_misfit(swapped=False, steps=k, rate=float(rate)) for k in range(1, 31, 3) for rate in rates]
    assert 0.11 < min(found) < 0.13
    assert ch4_toy.toy_misfit(swapped=True) < 0.01


def test_titles_follow_the_numbers(monkeypatch):
    swapped = dict(zip(("forward", "reverse"), [*ch4_toy.TOY_PRINTED.values()][::-1], strict=True))
    monkeypatch.setattr(ch4_toy, "TOY_PRINTED", swapped)
    assert about(ch4_toy.both_readings())["claim"] == "Both readings"
    monkeypatch.setattr(ch4_toy, "_PUSHED_ANSWER", 0)
    assert about(ch4_toy.pushed_down())["claim"] == "Push an answer down, and the mass goes elsewhere"


def test_three_rules_push_down_and_three_do_not(figures):
    rows = {row[0]: np.array(row[1:]) for row in about(figures["weights"])["table"]["rows"]}
    assert [name for name, weight in rows.items() if (weight < 0).any()] == ["REINFORCE", "DPO", "IPO"]
    for name in ("REINFORCE", "DPO", "IPO"):
        assert sum(rows[name]) == pytest.approx(0, abs=0.002)
    assert rows["DPO"][0] < 0 < rows["DPO"][3]
    assert rows["IPO"][3] < 0 < rows["IPO"][0]
