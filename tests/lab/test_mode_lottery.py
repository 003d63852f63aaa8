import json

import numpy as np
import pytest
import torch

from mrtlab.lab import artifacts, experiments, mdn, mode_lottery, mode_lottery_summary
from mrtlab.lab.mode_lottery import ARMS, LotteryCell


def a_cell(**changes):
    settings = {"n_prompts": 15, "k": 2, "stopping": "final", "seed": 3, "retrainings": 3, "steps": 20}
    return LotteryCell(**(settings | changes))


def pairs(arm):
    return [n_prompts * k for k, n_prompts in ARMS[arm].items()]


def test_the_arms_hold_fixed_what_they_say():
    assert set(ARMS["grow"].values()) == {120}
    assert pairs("grow") == [120, 240, 480, 960]
    assert pairs("matched") == [960] * 4
    assert pairs("scarce") == [120] * 4
    assert ARMS["grow"][8] == ARMS["matched"][8]
    assert ARMS["grow"][1] == ARMS["scarce"][1]


@pytest.mark.parametrize("scale", experiments.SCALES)
def test_every_cell_has_its_own_name_and_every_arm_its_cells(scale):
    cells = mode_lottery.cells(scale)
    assert len({cell.label for cell in cells}) == len(cells)
    seeds = {cell.seed for cell in cells}
    for n_prompts, k in mode_lottery.places():
        here = {(c.stopping, c.seed) for c in cells if (c.n_prompts, c.k) == (n_prompts, k)}
        assert here == {(stopping, seed) for stopping in ("final", "stopped") for seed in seeds}


def test_book_scale_is_large_enough_for_an_interval_over_seeds():
    book = mode_lottery.SCALES["book"]
    assert book.seeds >= 5
    assert book.retrainings >= 20
    assert book.steps == mdn.MDNConfig().steps == 400


def test_a_cell_depends_on_nothing_but_itself():
    first = mode_lottery.run_cell(a_cell())
    torch.manual_seed(1)
    np.random.seed(1)  # global state must not matter
    mode_lottery.run_cell(a_cell(seed=4))
    assert mode_lottery.run_cell(a_cell()) == first
    assert {len(values) for values in first.values()} == {3}
    assert len(set(first["nll"])) == 3


def test_stopping_early_uses_the_same_draws():
    config = mdn.MDNConfig()
    x, y, weights = mode_lottery.draw_training(a_cell(), config)
    x2, y2, weights2 = mode_lottery.draw_training(a_cell(stopping="stopped"), config)
    assert torch.equal(x, x2)
    assert torch.equal(y, y2)
    assert all(torch.equal(weights[name], weights2[name]) for name in weights)


def test_a_retraining_is_the_same_in_a_longer_cell():
    x, y, _ = mode_lottery.draw_training(a_cell(retrainings=2), mdn.MDNConfig())
    x5, y5, _ = mode_lottery.draw_training(a_cell(retrainings=5), mdn.MDNConfig())
    assert torch.equal(x, x5[:2])
    assert torch.equal(y, y5[:2])


@pytest.mark.parametrize(
    ("near", "modes", "off", "tv"),
    [
        ([1 / 3, 1 / 3, 1 / 3], 3, 0, 0),
        ([1.0, 0.0, 0.0], 1, 0, 2 / 3),
        ([0.0, 0.0, 0.0], 0, 1, 1),
        ([0.25, 0.25, 0.0], 2, 0.5, 1 / 2),  # half of 1/12 + 1/12 + 1/3 + 1/2
    ],
)
def test_mode_measures_by_hand(near, modes, off, tv):
    found = mode_lottery.mode_measures(np.array(near))
    assert found["modes"] == pytest.approx(modes)
    assert found["off"] == pytest.approx(off)
    assert found["tv"] == pytest.approx(tv)


def test_a_model_that_is_the_truth_measures_as_the_truth():
    world = mode_lottery.WORLD
    rng = np.random.default_rng(0)
    x = np.zeros((50, 5))  # the curve is 0 there, so one mixture is right for all prompts
    y = rng.choice(np.array(world.offsets), size=(50, 100)) + world.noise * rng.normal(size=(50, 100))
    weights = mdn.stack([mdn.init_weights(mdn.MDNConfig(), rng=rng)] * 2)
    weights = {name: torch.zeros_like(value) for name, value in weights.items()}
    weights["b3"][..., :5] = torch.tensor([0.0, 0.0, 0.0, -50.0, -50.0])
    weights["b3"][..., 5:8] = torch.tensor(world.offsets)
    weights["b3"][..., 10:] = float(np.log(world.noise))
    found = mode_lottery.measure(weights, x, y)
    assert found["nll"] == pytest.approx([-world.logp(x, y).mean()] * 2, abs=1e-5)
    assert found["nll"] == pytest.approx([world.entropy] * 2, abs=0.05)
    assert found["modes"] == pytest.approx([3, 3], abs=1e-5)
    assert found["off"] == pytest.approx([0, 0], abs=1e-5)
    assert found["tv"] == pytest.approx([0, 0], abs=1e-5)


def made_up_outcomes(rng, *, spread):
    """Cells with invented losses whose sd is given by the place; the summary should find it again."""
    return [
        (
            cell,
            {
                "nll": list(5 + spread(cell) * rng.normal(size=40)),
                "modes": list(rng.uniform(1, 3, 40)),
                "off": list(rng.uniform(0, 1, 40)),
                "tv": list(rng.uniform(0, 1, 40)),
                "step": [10 * (i + 1) for i in range(40)],
            },
        )
        for n_prompts, k in mode_lottery.places()
        for stopping in mode_lottery.STOPPINGS
        for seed in range(4)
        for cell in [a_cell(n_prompts=n_prompts, k=k, stopping=stopping, seed=seed, retrainings=40)]
    ]


def test_the_summary_finds_the_spread_that_was_put_in():
    outcomes = made_up_outcomes(np.random.default_rng(5), spread=lambda cell: 2.0 / cell.k)
    results = mode_lottery_summary.summarise(outcomes)
    assert results["design"]["seeds"] == 4
    assert results["design"]["retrainings"] == 160
    for arm, path in ARMS.items():
        for k, n_prompts in path.items():
            place = results["arms"][arm][f"k{k}"]
            assert (place["n_prompts"], place["pairs"]) == (n_prompts, n_prompts * k)
            nll = place["final"]["nll"]
            assert nll["sd_lo"] < nll["sd"] < nll["sd_hi"]
            assert nll["sd"] == pytest.approx(2 / k, rel=0.2)
            assert nll["cv"] == pytest.approx(nll["sd"] / nll["mean"])
            assert len(nll["values"]) == 160
            assert place["stopped"]["step"] == 205
        for ratio in results["ratios"][arm].values():
            assert ratio["lo"] < 1 / 8 < ratio["hi"]
    corner = results["arms"]["grow"]["k8"]
    assert corner == results["arms"]["matched"]["k8"]
    assert results["ratios"]["grow"]["final"]["ratio"] == pytest.approx(
        corner["final"]["nll"]["sd"] / results["arms"]["grow"]["k1"]["final"]["nll"]["sd"]
    )


def test_the_summary_reads_cells_by_what_they_are_not_by_their_order():
    outcomes = made_up_outcomes(np.random.default_rng(6), spread=lambda cell: 1.0)
    assert mode_lottery_summary.summarise(outcomes[::-1]) == mode_lottery_summary.summarise(outcomes)


def test_share_of_retrainings_worse_than_a_constant_is_counted():
    outcomes = made_up_outcomes(np.random.default_rng(7), spread=lambda cell: 0.0)
    for cell, result in outcomes:
        result["nll"] = [1.0, 3.0, 3.0, 3.0] if cell.k == 1 else [1.0] * 4
    results = mode_lottery_summary.summarise(outcomes)
    assert results["arms"]["grow"]["k1"]["final"]["worse_than_constant"] == 0.75
    assert results["arms"]["grow"]["k2"]["final"]["worse_than_constant"] == 0.0


def test_smoke_run_from_end_to_end(lab_folders):
    artifact = experiments.run("mode_lottery", "smoke")
    assert artifacts.load("mode_lottery", "smoke") == artifact
    assert not (lab_folders / "artifacts").exists()
    assert artifact.results["floors"]["entropy"] == pytest.approx(0.215, abs=5e-4)
    assert artifact.results["floors"]["constant_gaussian"] == pytest.approx(1.827, abs=5e-4)
    assert artifact.provenance["seeds"] == [0, 1]
    assert set(artifact.provenance["rules"]) == {"MRT-05"}
    assert artifacts.value("mode_lottery.smoke#arms.grow.k8.final.nll.sd") > 0
    table = mode_lottery_summary.table(json.loads(json.dumps(artifact.results)))
    assert len(table.rows) == 12
    assert all(len(row) == len(table.columns) for row in table.rows)
