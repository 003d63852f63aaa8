"""The variance law and the best K: exact components against simulation, summaries against made-up cells."""

import numpy as np
import pytest
import torch

from mrtlab.lab import experiments, gradient_law, stats, variance_law, variance_law_summary
from mrtlab.lab.gradient_law import GradientCell
from mrtlab.lab.variance_law import COST_K, K_VALUES, WORLD, LawCell
from mrtlab.theory.components import Components, estimate_components


def a_network(seed=0):
    return variance_law.random_network(rng=np.random.default_rng(seed))


def test_conditional_moments_are_those_of_many_answers():
    network, rng = a_network(), np.random.default_rng(1)
    x, y = WORLD.sample(5, 400_000, rng=rng)
    loss = (variance_law.predict(network, x)[:, None] - y) ** 2
    mean, var = variance_law.conditional_moments(variance_law.predict(network, x) - WORLD.centre(x))
    assert loss.mean(1) == pytest.approx(mean, rel=0.01)
    assert loss.var(1) == pytest.approx(var, rel=0.015)


def test_an_asymmetric_world_is_refused():
    world = type(WORLD)(offsets=(-1.0, 0.0, 2.0))
    with pytest.raises(ValueError, match="symmetric around 0"):
        variance_law.conditional_moments(np.zeros(1), world=world)


def test_exact_components_agree_with_the_analysis_of_variance():
    network = a_network(3)
    x, y = WORLD.sample(20_000, 8, rng=np.random.default_rng(2))
    found = estimate_components((variance_law.predict(network, x)[:, None] - y) ** 2)
    exact = variance_law.exact_components(network)
    for name in ("prompt", "response"):
        low, high = getattr(found.intervals, name)
        assert 0.9 * low < getattr(exact, name) < 1.1 * high
        assert getattr(found.components, name) == pytest.approx(getattr(exact, name), rel=0.06)


def test_mean_losses_have_the_variance_of_the_law():
    network = a_network(1)
    exact = variance_law.exact_components(network)
    means = variance_law.mean_losses(network, 20, 4, draws=4000, rng=np.random.default_rng(5))
    law = exact.prompt / 20 + exact.response / 80
    assert means.var(ddof=1) == pytest.approx(law, rel=4 * np.sqrt(2 / 4000))


def test_a_frozen_pool_shows_the_finite_population_factor():
    found = variance_law.run_cell(LawCell(part="frozen", seed=0, draws=1500))
    for k, var in zip(K_VALUES, found["var"], strict=True):
        law = found["pool_variance"] / (100 * k) * (1 - k / 50)
        assert var == pytest.approx(law, rel=4 * np.sqrt(2 / 1500))


def test_a_cell_depends_on_nothing_but_itself():
    cell = LawCell(part="fresh", seed=2, draws=40)
    first = variance_law.run_cell(cell)
    np.random.seed(1)
    assert variance_law.run_cell(cell) == first
    assert np.shape(first["var"]) == (len(K_VALUES), 20)


@pytest.mark.parametrize("scale", experiments.SCALES)
def test_every_cell_has_its_own_name(scale):
    cells = variance_law.cells(scale)
    assert len({cell.label for cell in cells}) == len(cells) == 4 * variance_law.SCALES[scale].seeds


def test_gradients_are_taken_apart_as_the_theory_room_does():
    cell = GradientCell(seed=0, n_prompts=12, n_responses=3)
    weights = {n: w[0] for n, w in _start().items()}
    x, y = WORLD.sample(cell.n_prompts, cell.n_responses, rng=np.random.default_rng(8))
    found = gradient_law.take_apart(weights, x, y)
    features = np.array([[_gradient(weights, x[i], y[i, j]) for j in range(3)] for i in range(12)])
    expected = estimate_components(features).components
    assert found["gradient"]["v_yx"] == pytest.approx(expected.response, rel=1e-4)
    assert max(found["gradient"]["v_x"], 0.0) == pytest.approx(expected.prompt, rel=1e-3, abs=1e-6)


def _start():
    from mrtlab.lab import mdn

    return mdn.stack([mdn.init_weights(mdn.MDNConfig(), rng=np.random.default_rng(7))])


def _gradient(weights, x, y):
    """One answer's gradient by plain autograd."""
    from mrtlab.lab import mdn

    leaves = {n: w.clone()[None].requires_grad_() for n, w in weights.items()}
    loss = mdn.nll(leaves, torch.tensor(x, dtype=torch.float32)[None, None], torch.tensor([[[y]]]).float())
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss.sum(), list(leaves.values()))]).double().numpy()


def made_up(noise=0.0, seeds=5):
    """Cells whose variances obey the law of V_x = 1, V_{y|x} = 6, up to noise."""
    rng, outcomes = np.random.default_rng(0), []
    for seed in range(seeds):
        for part, ks, prompts in (
            ("fresh", K_VALUES, lambda k: 100),
            ("cost", COST_K, variance_law.affordable),
        ):
            var = [((1 + 6 / k) / prompts(k) * (1 + noise * rng.standard_normal(20))).tolist() for k in ks]
            outcomes.append((LawCell(part=part, seed=seed, draws=4000), {"v_x": 1.0, "v_yx": 6.0, "var": var}))
        frozen = {"pool_variance": 6.0, "var": [6 / (100 * k) * (1 - k / 50) for k in K_VALUES]}
        outcomes.append((LawCell(part="frozen", seed=seed, draws=4000), frozen))
        step = {"loss": {"v_x": 1.0, "v_yx": 4.0}, "gradient": {"v_x": 4.0, "v_yx": 4.0}}
        outcomes.append((GradientCell(seed=seed, n_prompts=9, n_responses=2), {f"step{s}": step for s in (0, 50, 400)}))
    return outcomes


def test_the_summary_finds_the_law_that_was_put_in():
    results = variance_law_summary.summarise(made_up())
    fresh, cost = results["fresh"], results["cost"]
    assert fresh["r2"] == pytest.approx(1)
    assert fresh["worst_error"] < 1e-9
    assert fresh["floor"] == pytest.approx(0.01)
    assert fresh["k32"]["law_share"] == pytest.approx((1 + 6 / 32) / 7)
    assert cost["k_star"] == pytest.approx(np.sqrt(24))
    assert cost["argmin"] == cost["best"] == cost["argmin_lo"] == cost["argmin_hi"] == 4  # 50 prompts exactly
    assert cost["inside_flat"] == 5
    assert results["frozen"]["worst_error"] < 1e-9
    assert results["gradient"]["step0"]["loss"]["k_star"]["median"] == pytest.approx(4)
    assert results["gradient"]["step0"]["gradient"]["k_star"]["median"] == pytest.approx(2)
    assert results["gradient"]["step0"]["smaller"] == 5


def test_the_summary_does_not_hide_a_law_that_fails():
    outcomes = made_up()
    for cell, result in outcomes:
        if getattr(cell, "part", "") == "fresh":
            result["var"][-1] = [10 * v for v in result["var"][-1]]
    fresh = variance_law_summary.summarise(outcomes)["fresh"]
    assert fresh["worst_error"] == pytest.approx(9)
    assert fresh["r2"] < 0.9


def test_noise_widens_the_interval_of_the_argmin():
    cost = variance_law_summary.summarise(made_up(noise=0.3))["cost"]
    assert cost["argmin_lo"] < cost["argmin_hi"]
    assert cost["flat_lo"] <= cost["best"] <= cost["flat_hi"]


def test_line_fit_refuses_what_it_cannot_judge():
    with pytest.raises(ValueError, match="three points"):
        stats.line_fit(np.arange(2.0), np.arange(2.0))
    with pytest.raises(ValueError, match="different y"):
        stats.line_fit(np.arange(3.0), np.ones(3))


def test_components_of_the_mean_are_the_mean_of_components():
    both = [{"v_x": 1.0, "v_yx": 2.0}, {"v_x": 3.0, "v_yx": 6.0}]
    assert variance_law_summary._mean_components(both) == Components(2.0, 4.0)


def test_smoke_run_from_end_to_end():
    artifact = experiments.run("variance_law", "smoke")
    assert set(artifact.provenance["rules"]) == {"MRT-01", "MRT-02"}
    table = variance_law_summary.table(artifact.results)
    assert all(len(row) == len(table.columns) for row in table.rows)
