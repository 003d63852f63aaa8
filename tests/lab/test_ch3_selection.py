"""The experiments of chapter 3: what selectors keep, what is measured of it, and the four runs from end to end."""

import dataclasses
import json
from itertools import combinations

import numpy as np
import pytest
import torch

from mrtlab.lab import (
    artifacts,
    biased_generator,
    experiments,
    gradient_similarity,
    gradients,
    greedy_quality,
    selection_bias,
    selectors,
)
from mrtlab.lab.mode_lottery import WORLD
from mrtlab.lab.seed_means import over_seeds, ratio_over_seeds
from mrtlab.theory.selection import facility_location, facility_value

BODIES = {"selection_bias": selection_bias, "gradient_similarity": gradient_similarity,
          "greedy_quality": greedy_quality, "biased_generator": biased_generator}  # fmt: skip


def rng(seed=0):
    return np.random.default_rng(seed)


# What selectors keep


def test_rewards_favour_what_they_say():
    offset = np.array([[-1.5, 0.0, 1.5, 0.7]])
    assert selectors.rewards("middle", offset, WORLD, rng=rng()).argmax() == 1
    assert selectors.rewards("upper", offset, WORLD, rng=rng()).argmax() == 2
    any_mode = selectors.rewards("any_mode", offset, WORLD, rng=rng())
    assert any_mode[0, :3] == pytest.approx([0, 0, 0])
    assert any_mode.argmin() == 3
    many = np.tile(offset[:, :3], (20_000, 1))
    judge = selectors.rewards("judge", many, WORLD, rng=rng()).mean(0)
    assert judge == pytest.approx([-0.5, 0.0, 0.5], abs=0.03)
    assert selectors.rewards("noise", many, WORLD, rng=rng()).mean(0) == pytest.approx([0, 0, 0], abs=0.03)


def test_every_selector_keeps_k_different_answers_whatever_the_reward():
    y = rng(1).standard_normal((40, 12))
    reward = rng(2).standard_normal((40, 12))
    found = selectors.choose_free(y, 4, rng=rng()) | selectors.choose_rewarded(y, reward, 4, rng=rng())
    assert set(found) == {*selectors.FREE, *selectors.REWARDED}
    for picks in found.values():
        assert picks.shape == (40, 4)
        assert all(len(set(row)) == 4 for row in picks.tolist())
        assert picks.min() >= 0
        assert picks.max() < 12


def test_spread_of_best_never_looks_at_the_lower_half():
    y, reward = rng(3).standard_normal((60, 10)), rng(4).standard_normal((60, 10))
    picks = selectors.spread_of_best(y, reward, 3)
    rank = (-reward).argsort(1).argsort(1)
    assert np.take_along_axis(rank, picks, 1).max() < 5
    assert np.all(np.take_along_axis(rank, picks[:, :1], 1) == 0)  # the best comes first
    better = np.sort(y[0][rank[0] < 5])
    first = y[0, picks[0, 0]]
    assert abs(y[0, picks[0, 1]] - first) == pytest.approx(np.abs(better - first).max())


def test_the_similarity_of_the_paper_is_never_below_one_half():
    y = rng(5).normal(0, 3, (5, 9))
    flat, sharp = selectors.similarity(y, sharp=False), selectors.similarity(y, sharp=True)
    assert flat.min() >= 0.5
    assert sharp.min() < 0.01
    assert flat == pytest.approx((1 + sharp) / 2)


# What is measured


@pytest.fixture(scope="module")
def setting():
    cell = dataclasses.replace(selection_bias.cells("smoke")[0], prompts=3, trials=400)
    weights = selection_bias.networks(cell)[0]
    x, _ = WORLD.sample(cell.prompts, 1, rng=rng(6))
    y = selection_bias.draw_pools(x, cell.trials, rng=rng(7))
    seen = gradients.lens(weights, x)
    loss, g = gradients.loss_and_gradient(seen, y.reshape(3, -1))
    return {"x": x, "y": y, "seen": seen, "truth": gradients.true_loss_and_gradient(seen, x, WORLD),
            "loss": loss.reshape(y.shape), "g": g.reshape(*y.shape, -1)}  # fmt: skip


def measured(setting, pick):
    loss = np.take_along_axis(setting["loss"], pick, axis=2).mean(2)
    g = np.take_along_axis(setting["g"], pick[..., None], axis=2).mean(2)
    return selection_bias.measure(loss, g, setting["truth"], setting["seen"].kernel), g


def test_the_first_answers_of_a_fresh_pool_are_unbiased_and_their_variance_is_over_k(setting):
    four, one = (np.tile(np.arange(k), (3, 400, 1)) for k in (4, 1))
    (found, _), (single, _) = measured(setting, four), measured(setting, one)
    assert abs(found["z"]) < 4
    assert abs(found["grad_bias2"]) < 0.05
    assert found["mse"] == pytest.approx(found["bias2"] + found["variance"], rel=0.02)
    assert single["variance"] / found["variance"] == pytest.approx(4, rel=0.25)
    assert single["grad_variance"] / found["grad_variance"] == pytest.approx(4, rel=0.25)
    assert 0 < single["cos_prompt"] < found["cos_prompt"] < found["cos_batch"] < 1


def test_only_the_middle_answers_are_biased_by_a_known_amount(setting):
    distance = np.abs(setting["y"] - WORLD.centre(setting["x"])[:, None, None])
    pick = np.argsort(distance, axis=2)[..., :4]
    found, g = measured(setting, pick)
    loss = np.take_along_axis(setting["loss"], pick, axis=2).mean(2)
    assert found["bias2"] == pytest.approx(((loss.mean(1) - setting["truth"][0]) ** 2).mean(), rel=0.01)
    assert found["z"] < -20
    heads = selection_bias.by_heads(g, setting["truth"][1], setting["seen"])
    parts = sum(heads[f"part_{name}"] for name in gradients.PARTS)
    assert parts == pytest.approx(found["cos_prompt"], abs=1e-9)
    assert selection_bias.mode_shares(setting["x"], np.take_along_axis(setting["y"], pick, axis=2)) == pytest.approx(
        [0, 1, 0], abs=0.01
    )


def test_the_batch_cosine_is_that_of_the_summed_gradient(setting):
    pick = np.tile(np.arange(4), (3, 400, 1))
    _, g = measured(setting, pick)
    kernel, target = setting["seen"].kernel, setting["truth"][1]

    def dot(a, b):
        return np.einsum("pc,pcqd,qd->", a, kernel, b)

    cosines = [dot(g[:, t], target) / np.sqrt(dot(g[:, t], g[:, t]) * dot(target, target)) for t in range(50)]
    few, _ = measured({**setting, "loss": setting["loss"][:, :50], "g": setting["g"][:, :50]}, pick[:, :50])
    assert few["cos_batch"] == pytest.approx(np.mean(cosines))


def test_checkpoints_are_steps_of_one_training():
    cell = dataclasses.replace(selection_bias.cells("smoke")[0], checkpoints=(0, 1, 3))
    nets = selection_bias.networks(cell)
    again = selection_bias.networks(dataclasses.replace(cell, checkpoints=(3,)))
    assert all(np.array_equal(nets[3][name], again[3][name]) for name in again[3])
    moved = [np.abs(nets[a]["w1"] - nets[b]["w1"]).max() for a, b in ((0, 1), (0, 3))]
    assert 0 < moved[0] < moved[1] < 0.05  # Adam moves a weight by at most about 0.005 a step


def test_gradients_of_the_same_answer_are_parallel(setting):
    y = np.repeat(setting["y"][:, 0, :1], 2, axis=1)
    assert gradient_similarity.pair_cosines(setting["seen"], y) == pytest.approx(np.ones((3, 2, 2)))


# Greedy against all sets


def test_the_brute_force_lists_every_set():
    value = rng(8).random((5, 7, 7))
    for k in (1, 3):
        expected = [max(v[:, list(s)].max(1).sum() for s in combinations(range(7), k)) for v in value]
        assert greedy_quality.best_value(value, k) == pytest.approx(expected)


@pytest.mark.parametrize("alpha", [0.75, 2.0])
def test_our_own_weights_give_the_packages_value(alpha):
    similarity, reward = rng(9).random((6, 8, 8)), rng(10).random((6, 8))
    picks = facility_location(similarity, 3, reward=reward, alpha=alpha)
    value = greedy_quality.weighted(similarity, reward, alpha)
    ours = np.take_along_axis(value, picks[:, None, :], axis=2).max(2).sum(1)
    assert ours == pytest.approx(facility_value(similarity, picks, reward=reward, alpha=alpha))


def test_an_opponent_finds_worse_pools_than_chance_and_none_below_the_bound():
    drawn = greedy_quality.attack(2, honest=False, pools=10, moves=0, rng=rng(11))
    shaped = greedy_quality.attack(2, honest=False, pools=10, moves=300, rng=rng(11))
    assert np.all(shaped <= drawn)
    assert shaped.mean() < drawn.mean() - 0.03
    assert shaped.min() >= 0.75 - 1e-9  # 1 − (1 − 1/2)²


# The biased generator


def test_the_share_of_the_best_is_what_drawing_gives():
    shares = rng(12)
    mode = shares.choice(3, p=biased_generator.GENERATOR, size=(40_000, biased_generator.N))
    reward = biased_generator.REWARD[mode] + biased_generator.NOISE * shares.standard_normal(mode.shape)
    for k in (1, 4, 32):
        exact = biased_generator.top_k_share(k)
        drawn = np.bincount(np.take_along_axis(mode, np.argsort(-reward, 1)[:, :k], 1).ravel(), minlength=3) / (
            k * len(mode)
        )
        assert exact.sum() == pytest.approx(1, abs=1e-9)
        assert drawn == pytest.approx(exact, abs=4 * np.sqrt(0.05 / len(mode)))
    assert biased_generator.top_k_share(32) == pytest.approx(biased_generator.GENERATOR, abs=1e-9)


def test_distances_are_zero_from_oneself():
    assert biased_generator.distances(biased_generator.TRUTH)["kl"] == pytest.approx(0)
    found = biased_generator.distances(biased_generator.GENERATOR)
    assert found["tv_generator"] == pytest.approx(0)
    assert found["kl"] == pytest.approx(np.log(1 / 3) - np.log(biased_generator.GENERATOR).mean())


# Summaries and whole runs


def test_intervals_over_seeds():
    found = over_seeds(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert found["mean"] == [2.0, 5.0]
    assert found["lo"][1] == found["hi"][1] == 5.0
    assert found["hi"][0] == pytest.approx(2 + 12.7062, abs=1e-3)
    with pytest.raises(ValueError, match="at least 2 seeds, got 1"):
        over_seeds(np.ones((1, 2)))
    ratio = ratio_over_seeds(np.array([1.0, 4.0]), np.array([1.0, 1.0]))
    assert ratio["mean"] == pytest.approx(2.0)
    assert ratio["lo"] < 1 < ratio["hi"]


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("scale", experiments.SCALES)
def test_every_cell_has_its_own_name(name, scale):
    cells = BODIES[name].cells(scale)
    assert len({cell.label for cell in cells}) == len(cells)
    assert len({cell.seed for cell in cells}) >= (2 if scale == "smoke" else 5)


@pytest.mark.parametrize("name", BODIES)
def test_smoke_run_from_end_to_end(name):
    artifact = experiments.run(name, "smoke")
    assert artifacts.load(name, "smoke") == artifact
    body = experiments.find(name).load()
    again = [(cell, body.run_cell(cell)) for cell in body.cells("smoke")[:1]]
    torch.manual_seed(1)
    np.random.seed(1)  # global state must not matter
    assert json.dumps(body.run_cell(again[0][0])) == json.dumps(again[0][1])
    table = body.table(json.loads(json.dumps(artifact.results)))
    assert table.rows
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_selection_summary_compares_with_random_of_the_same_seed():
    artifact = experiments.run("selection_bias", "smoke")
    found = artifact.results
    assert found["unbiased"]["n_z"] == 2 * 3
    for group in (*selectors.REWARDS, "free"):
        for name, block in found[group].items():
            assert sum(block["kept"]["mean"]) == pytest.approx(1, abs=1e-5)
            assert ("mse_ratio" in block) == (name != "random")
    assert found["middle"]["top_k"]["kept"]["mean"] == pytest.approx([0, 1, 0], abs=0.02)
    assert found["upper"]["top_k"]["kept"]["mean"] == pytest.approx([0, 0, 1], abs=0.02)
    assert found["noise"]["top_k"]["kept"]["mean"] == pytest.approx([1 / 3] * 3, abs=0.12)
