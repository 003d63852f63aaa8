"""worlds: the exact laws against simulation and brute force."""

import itertools
from math import comb, factorial

import numpy as np
import pytest
from scipy.integrate import quad

from mrtlab.theory import (
    GaussianModes,
    LotteryConfig,
    cross_entropy,
    draw_counts,
    entropy,
    fit_tabular,
    make_world,
    retraining_gap,
    retraining_law,
)


def test_dials():
    world = make_world(LotteryConfig(n_prompts=200, n_modes=4, redundancy=0.75, bias=0.5), rng=np.random.default_rng(0))
    assert len(set(world.question)) == 50
    assert world.truth[:, :] == pytest.approx(0.25)
    assert world.generator[0] == pytest.approx([0.625, 0.125, 0.125, 0.125])
    single = make_world(LotteryConfig(n_prompts=5, diversity=0.0), rng=np.random.default_rng(0))
    assert entropy(single.truth) == pytest.approx(0.0)
    for a, b in itertools.combinations(range(200), 2):
        if world.question[a] == world.question[b]:
            assert np.array_equal(world.truth[a], world.truth[b])


@pytest.mark.parametrize("dial", ["diversity", "redundancy", "bias"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_dials_out_of_range(dial, value):
    with pytest.raises(ValueError, match=dial):
        LotteryConfig(**{dial: value})


def test_redundant_prompts_share_what_they_saw():
    memory = fit_tabular(np.array([[1, 0], [0, 1], [3, 0]]), np.array([0, 0, 1]), smoothing=1.0)
    assert memory == pytest.approx(np.array([[0.5, 0.5], [0.5, 0.5], [0.875, 0.125]]))


def brute_force_law(p, n, smoothing):
    """Mean and sd over every possible table of counts."""
    losses, weights = [], []
    for counts in itertools.product(range(n + 1), repeat=len(p)):
        if sum(counts) != n:
            continue
        weight = factorial(n) * np.prod([p[i] ** c / factorial(c) for i, c in enumerate(counts)])
        memory = (np.array(counts) + smoothing / len(p)) / (n + smoothing)
        losses.append(-np.sum(p * np.log(memory)))
        weights.append(weight)
    mean = np.average(losses, weights=weights)
    return mean, np.sqrt(np.average((np.array(losses) - mean) ** 2, weights=weights))


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_retraining_law_is_exact(n):
    p = np.array([0.6, 0.3, 0.1])
    law = retraining_law(p, n, smoothing=0.2)
    assert (law.mean, law.sd) == pytest.approx(brute_force_law(p, n, 0.2), abs=1e-10)


def test_retraining_law_under_a_biased_generator_and_large_n():
    truth, generator = np.full(3, 1 / 3), np.array([0.95, 0.04, 0.01])
    law = retraining_law(truth, 4000, generator=generator, smoothing=0.1)
    assert law.mean == pytest.approx(-np.log(generator).mean(), abs=0.02)


def test_retraining_law_agrees_with_training_in_a_world():
    rng = np.random.default_rng(3)
    world = make_world(LotteryConfig(n_prompts=4000, n_modes=5, diversity=0.5), rng=rng)
    loss = cross_entropy(world.truth, fit_tabular(draw_counts(world, 3, rng=rng), world.question))
    law = retraining_law(world.truth[0], 3)
    assert abs(loss.mean() - law.mean) < 4 * law.sd / np.sqrt(len(loss))
    assert loss.std() == pytest.approx(law.sd, rel=0.1)


def test_retraining_gap():
    p = np.array([0.5, 0.25, 0.25])
    assert retraining_gap(p, 1) == pytest.approx(1 - np.sum(p**2))
    assert retraining_gap(np.array([1.0, 0.0]), 5) == 0.0
    batch = retraining_gap(np.stack([p, p[::-1]]), 3)
    assert batch.shape == (2,)
    assert batch[0] == pytest.approx(batch[1])
    by_hand = sum(comb(2, a) * comb(2, b) * 0.25**2 * abs(a - b) / 2 for a, b in itertools.product(range(3), repeat=2))
    assert retraining_gap(np.array([0.5, 0.5]), 2) == pytest.approx(by_hand)
    with pytest.raises(ValueError, match="at least one"):
        retraining_gap(p, 0)


def test_gaussian_world_density_entropy_and_floor():
    world = GaussianModes()
    x = np.zeros((1, 5))

    def density(y):
        return float(np.exp(world.logp(x, np.array([[y]]))[0, 0]))

    corners = [-1.5, 0.0, 1.5]
    assert quad(density, -4, 4, points=corners, limit=200)[0] == pytest.approx(1.0)
    measured = quad(lambda y: -density(y) * np.log(density(y) + 1e-300), -2.5, 2.5, points=corners, limit=400)[0]
    assert world.entropy == pytest.approx(measured, abs=1e-5)
    x, y = world.sample(20_000, 2, rng=np.random.default_rng(0))
    assert -world.logp(x, y).mean() == pytest.approx(world.entropy, abs=0.02)
    constant = 0.5 * np.log(2 * np.pi * np.e * y.var())
    assert world.constant_gaussian_loss == pytest.approx(constant, abs=0.02)


def test_bad_smoothing():
    with pytest.raises(ValueError, match="smoothing"):
        fit_tabular(np.array([[1]]), np.array([0]), smoothing=0.0)
    with pytest.raises(ValueError, match="smoothing"):
        retraining_law(np.array([1.0]), 2, smoothing=-1.0)
