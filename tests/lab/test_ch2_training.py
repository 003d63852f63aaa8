"""Chapter 2's trained experiments and the published table: designs, summaries, smoke runs."""

import numpy as np
import pytest

from mrtlab.lab import budget_mdn, experiments, lottery_gain, mode_lottery, published, redundancy, redundancy_summary
from mrtlab.lab.budget_mdn import ARMS, ComponentsCell
from mrtlab.lab.lottery_gain import GainCell
from mrtlab.lab.mode_lottery import LotteryCell
from mrtlab.lab.redundancy import ClusterLawCell, TriadCell
from mrtlab.theory import retraining_law
from mrtlab.theory.redundancy import variance_redundant


def test_the_cost_arm_spends_the_budget_and_the_matched_arm_has_its_pairs():
    assert ARMS["cost"] == {1: 80, 2: 66, 4: 50, 6: 40, 8: 33, 12: 25, 16: 20}
    assert all(n * k == 240 for k, n in ARMS["matched"].items())


@pytest.mark.parametrize("experiment", [budget_mdn, redundancy, published])
@pytest.mark.parametrize("scale", experiments.SCALES)
def test_every_cell_has_its_own_name(experiment, scale):
    cells = experiment.cells(scale)
    assert len({cell.label for cell in cells}) == len(cells)
    assert scale == "smoke" or len({cell.seed for cell in cells}) >= 5


def made_up_budget(loss, seeds=5):
    """Cells with invented losses, loss(n_prompts, k, stopping) plus a little noise."""
    rng, outcomes = np.random.default_rng(0), []
    for seed in range(seeds):
        outcomes.append((ComponentsCell(seed=seed, networks=2), {"v_x": [1.0, 3.0], "v_yx": [12.0, 16.0]}))
        for n, k in budget_mdn.places():
            for stopping in mode_lottery.STOPPINGS:
                cell = LotteryCell(n_prompts=n, k=k, stopping=stopping, seed=seed, retrainings=10, steps=400)
                nll = loss(n, k, stopping) + 0.01 * rng.standard_normal(10)
                outcomes.append((cell, {"nll": nll.tolist(), "modes": [1.0 + 0.1 * i for i in range(10)]}))
    return outcomes


def test_the_budget_summary_finds_the_minimum_that_was_put_in():
    results = budget_mdn.summarise(
        made_up_budget(lambda n, k, stopping: abs(k - (12 if stopping == "final" else 6)) + 2.0)
    )
    assert results["predicted"]["k_star"] == pytest.approx(np.sqrt(7 * 4))
    assert results["predicted"]["flat"] == [4, 6, 8]
    final, stopped = results["argmin"]["cost"]["final"], results["argmin"]["cost"]["stopped"]
    assert (final["k"], final["lo"], final["hi"], final["in_flat"]) == (12, 12, 12, 0.0)
    assert (stopped["k"], stopped["in_flat"]) == (6, 1.0)
    difference = results["arms"]["matched"]["k8"]["final"]["difference"]
    assert difference["lo"] < 4 - 11 < difference["hi"]
    assert results["arms"]["matched"]["k1"]["final"]["difference"]["mean"] == 0


def test_a_tie_gives_an_argmin_that_wanders():
    argmin = budget_mdn.summarise(made_up_budget(lambda n, k, stopping: 2.0))["argmin"]["cost"]["final"]
    assert argmin["lo"] < argmin["hi"]
    assert sum(argmin["share"].values()) == pytest.approx(1)


def test_smoke_run_of_the_budget_experiment():
    artifact = experiments.run("budget_mdn", "smoke")
    assert set(artifact.provenance["rules"]) == {"MRT-03", "MRT-04"}
    table = budget_mdn.table(artifact.results)
    assert len(table.rows) == 12
    assert all(len(row) == len(table.columns) for row in table.rows)


# --- redundancy -----------------------------------------------------------------------------------------------------


def test_arms_show_what_they_say():
    prompts, residuals = redundancy.wordings(0.3, 7, rng=np.random.default_rng(0))
    sets = {arm: redundancy.show(arm, prompts, residuals) for arm in redundancy.ARMS}
    for arm, (p, k) in redundancy.ARMS.items():
        x, y = sets[arm]
        assert x.shape == (7 * p, 5)
        assert y.shape == (7 * p, k)
    left = {arm: y - mode_lottery.WORLD.centre(x)[:, None] for arm, (x, y) in sets.items()}
    assert left["explicit"] == pytest.approx(residuals)
    assert left["hybrid"].reshape(7, 4) == pytest.approx(residuals)
    assert left["implicit"].reshape(7, 4) == pytest.approx(residuals)
    assert left["same"].reshape(7, 4) == pytest.approx(np.tile(residuals[:, :1], 4))


def test_prompts_look_alike_at_every_distance():
    for distance in (0.1, 1.0):
        prompts, _ = redundancy.wordings(distance, 20_000, rng=np.random.default_rng(1))
        assert prompts.var(axis=(0, 1)) == pytest.approx(1, abs=0.03)
        together = np.mean(prompts[:, 0] * prompts[:, 1])
        assert together == pytest.approx(1 - distance**2, abs=0.02)


def test_the_cluster_law_holds_for_every_arm_but_the_control():
    cell = ClusterLawCell(distance=0.3, seed=1, draws=1500)
    found = redundancy.run_cell(cell)
    parts = redundancy.ClusterComponents(found["v_c"], found["v_w"], found["v_yx"])
    for arm in ("single", "explicit", "hybrid", "implicit"):
        p, k = redundancy.ARMS[arm]
        law = variance_redundant(parts, redundancy.CLUSTERS, p, k)
        assert found["var"][arm] == pytest.approx(law, rel=4 * np.sqrt(2 / 1500))
    assert found["var"]["same"] > 1.5 * found["var"]["implicit"]


def test_the_distance_splits_v_x_and_leaves_v_yx():
    near, far = (redundancy.cluster_components(_network(), d) for d in (0.1, 1.0))
    assert far.cluster == pytest.approx(0, abs=0.02 * far.variant)
    assert near.variant < 0.2 * near.cluster
    assert near.cluster + near.variant == pytest.approx(far.cluster + far.variant, rel=0.01)
    assert near.response == pytest.approx(far.response, rel=0.01)


def _network():
    from mrtlab.lab import variance_law

    return variance_law.random_network(rng=np.random.default_rng(0))


def made_up_triad(gains, seeds=4):
    """Cells of every kind; the arms' losses are 3 minus the given gains."""
    rng, outcomes = np.random.default_rng(0), []
    exact = [lottery_gain.exact_gain(*setting) for setting in lottery_gain.settings()]
    for seed in range(seeds):
        outcomes.append((GainCell(seed=seed, lotteries=3), {"gain": [g + 0.01 * rng.standard_normal() for g in exact]}))
        shared = 0.3 * rng.standard_normal(12)
        for arm, distance in redundancy.places():
            for stopping in mode_lottery.STOPPINGS:
                cell = TriadCell(arm=arm, distance=distance, stopping=stopping, seed=seed, retrainings=12, steps=400)
                nll = 3 - gains[arm] + shared + 0.01 * rng.standard_normal(12)
                outcomes.append((cell, {"nll": nll.tolist()}))
        for distance in redundancy.DISTANCES:
            law = {"v_c": 1.0, "v_w": 0.5, "v_yx": 6.0}
            var = redundancy_summary._expected(law)
            outcomes.append((ClusterLawCell(distance=distance, seed=seed, draws=4000), law | {"var": var}))
    return outcomes


def test_the_redundancy_summary_finds_the_gains_that_were_put_in():
    gains = {"single": 0.0, "explicit": 1.0, "hybrid": 0.9, "implicit": 0.8, "same": 0.1}
    results = redundancy_summary.summarise(made_up_triad(gains))
    for stopping in mode_lottery.STOPPINGS:
        here = results["triad"][stopping]
        assert here["explicit"]["gain"]["mean"] == pytest.approx(1, abs=0.02)
        for arm in ("hybrid", "implicit", "same"):
            share = here["d10"][arm]["share"]
            assert share["lo"] <= share["mean"] <= share["hi"]
            assert share["mean"] == pytest.approx(gains[arm], abs=0.03)
            assert share["hi"] - share["lo"] < 0.05  # what the arms share does not widen the interval
    assert results["law"]["worst_error"] < 1e-9
    assert results["gain"]["worst_z"] < 10
    assert results["gain"]["s10"]["v100"]["ratio"] is None
    assert results["gain"]["monotone"]["law"] == dict.fromkeys(
        ("falls", "falls_repeated", "rises", "rises_repeated"), True
    )


def test_expected_loss_is_the_mean_of_the_retraining_law():
    for smoothing, diversity, n in ((0.1, 1.0, 1), (1.0, 0.4, 7), (0.1, 0.2, 12)):
        law = retraining_law(lottery_gain.ladder(diversity), n, smoothing=smoothing)
        assert lottery_gain.expected_loss(smoothing, diversity, n) == pytest.approx(law.mean)


def test_simulated_gains_scatter_around_the_exact_ones():
    by_seed = np.array([lottery_gain.run_gain_cell(GainCell(seed=s, lotteries=5))["gain"] for s in range(12)])
    exact = np.array([lottery_gain.exact_gain(*setting) for setting in lottery_gain.settings()])
    z = (by_seed.mean(0) - exact) / (by_seed.std(0, ddof=1) / np.sqrt(12))
    assert np.abs(z).max() < 6
    assert np.sqrt(np.mean(z**2)) < 1.7


def test_monotone_looks_at_both_dials():
    cube = np.arange(40.0).reshape(2, 5, 4)
    cube = cube + np.array([0, 0, 0, 0])
    found = redundancy_summary._monotone(cube)
    assert found == {"rises": True, "falls": False, "rises_repeated": True, "falls_repeated": False}


def test_smoke_run_of_the_redundancy_experiment():
    artifact = experiments.run("redundancy", "smoke")
    assert set(artifact.provenance["rules"]) == {"MRT-17", "MRT-18"}
    table = redundancy_summary.table(artifact.results)
    assert len(table.rows) == 11
    assert all(len(row) == len(table.columns) for row in table.rows)


# --- published table ------------------------------------------------------------------------------------------------


def test_the_published_fit_is_the_one_on_the_fact_sheet():
    artifact = experiments.run("published", "smoke")
    gold = artifact.results["series"]["llama-3-1-8b"]
    assert gold["inverse"]["intercept"] == pytest.approx(1.448, abs=1e-3)
    assert gold["inverse"]["slope"] == pytest.approx(0.115, abs=1e-3)
    assert gold["inverse"]["r2"] == pytest.approx(0.945, abs=1e-3)
    assert gold["log"]["slope"] == pytest.approx(-0.0283, abs=1e-4)
    assert gold["log"]["r2"] == pytest.approx(0.982, abs=1e-3)
    assert artifact.results["counts"]["series"] == 8
    assert len(published.table(artifact.results).rows) == 8


def test_the_published_fit_recognises_either_curve(monkeypatch):
    inverse = tuple(1 + 0.3 / k for k in published.K_VALUES)
    log = tuple(1.5 - 0.05 * np.log2(k) for k in published.K_VALUES)
    monkeypatch.setattr(published, "SERIES", {"a": ("A", inverse), "b": ("B", log)})
    results = published.summarise([(c, published.run_cell(c)) for c in published.cells("smoke")])
    assert results["series"]["a"]["log_better"] < 0.05 < 0.95 < results["series"]["b"]["log_better"]
    assert results["counts"] == {"inverse_clear": 1, "log_clear": 1, "log_higher": 1, "series": 2}
