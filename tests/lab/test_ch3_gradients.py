"""The gradients of chapter 3 against autograd, sums and hand-made cases."""

import numpy as np
import pytest
import torch

from mrtlab.lab import gradients, mdn
from mrtlab.lab.mode_lottery import WORLD

CONFIG = mdn.MDNConfig(inputs=5, hidden=12, components=3)


@pytest.fixture
def network():
    return mdn.init_weights(CONFIG, rng=np.random.default_rng(0))


def by_autograd(weights, x, y):
    """Loss and the whole parameter gradient of each single answer, (prompts, n) and (prompts, n, parameters)."""
    stacked = {k: w.requires_grad_() for k, w in mdn.stack([weights], dtype=torch.float64).items()}
    loss, gradient = np.empty(y.shape), []
    for p, (prompt, answers) in enumerate(zip(x, y, strict=True)):
        for j, answer in enumerate(answers):
            one = mdn.nll(stacked, torch.tensor(prompt[None, None]), torch.tensor([[[answer]]])).sum()
            loss[p, j] = one.item()
            gradient.append(torch.cat([g.ravel() for g in torch.autograd.grad(one, list(stacked.values()))]).numpy())
    return loss, np.array(gradient).reshape(*y.shape, -1)


def test_losses_and_all_inner_products_are_those_of_autograd(network):
    x, y = WORLD.sample(3, 2, rng=np.random.default_rng(1))
    seen = gradients.lens(network, x)
    loss, g = gradients.loss_and_gradient(seen, y)
    expected_loss, full = by_autograd(network, x, y)
    assert loss == pytest.approx(expected_loss, abs=1e-12)
    expected = np.einsum("pid,qjd->piqj", full, full)
    assert np.einsum("pic,pcqd,qjd->piqj", g, seen.kernel, g) == pytest.approx(expected, abs=1e-10)
    assert gradients.inner(seen.blocks, g, g) == pytest.approx(np.einsum("pipi->pi", expected), abs=1e-10)
    pairs = gradients.inner(seen.blocks, g[:, 0], g[:, 1])
    assert pairs == pytest.approx(np.array([expected[p, 0, p, 1] for p in range(3)]), abs=1e-10)


def test_the_parts_of_the_network_add_up_and_are_where_they_say(network):
    x, y = WORLD.sample(2, 1, rng=np.random.default_rng(2))
    seen = gradients.lens(network, x)
    _, g = gradients.loss_and_gradient(seen, y)
    assert sum(seen.part_blocks.values()) == pytest.approx(seen.blocks, abs=1e-12)
    _, full = by_autograd(network, x, y)
    names, sizes = zip(*[(name, w.size) for name, w in network.items()], strict=True)
    where = dict(zip(names, np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]), strict=True))
    c = CONFIG.components
    last = np.concatenate([where["w3"].reshape(-1, 3 * c), where["b3"][None]])  # column = output
    for part, own in zip(gradients.PARTS[:3], np.split(last, 3, axis=1), strict=True):
        expected = (full[..., own.ravel()] ** 2).sum(-1)
        assert gradients.inner(seen.part_blocks[part], g, g) == pytest.approx(expected, abs=1e-12)


def test_a_clamped_width_has_no_gradient(network):
    network["b3"][0, -1] = 9.0  # far above the clamp at 3
    x, y = WORLD.sample(2, 1, rng=np.random.default_rng(3))
    seen = gradients.lens(network, x)
    loss, g = gradients.loss_and_gradient(seen, y)
    expected_loss, full = by_autograd(network, x, y)
    assert loss == pytest.approx(expected_loss, abs=1e-12)
    assert np.all(g[..., -1] == 0)
    assert gradients.inner(seen.blocks, g, g) == pytest.approx((full**2).sum(-1), abs=1e-10)


def test_the_true_loss_and_gradient_are_the_mean_over_very_many_answers(network):
    x, y = WORLD.sample(2, 60_000, rng=np.random.default_rng(4))
    seen = gradients.lens(network, x)
    loss, g = gradients.true_loss_and_gradient(seen, x, WORLD)
    drawn_loss, drawn = gradients.loss_and_gradient(seen, y)
    for exact, sample in ((loss, drawn_loss), (g, drawn)):
        error = sample.std(axis=1) / np.sqrt(y.shape[1])
        assert np.all(np.abs(exact - sample.mean(axis=1)) < 4.5 * error)


def test_a_perfect_model_has_no_true_gradient():
    weights = {k: np.zeros_like(v) for k, v in mdn.init_weights(CONFIG, rng=np.random.default_rng(5)).items()}
    x = np.zeros((1, 5))  # the curve is 0 here, so constant outputs can be the truth itself
    weights["b3"][0] = [0, 0, 0, *WORLD.offsets, *[np.log(WORLD.noise)] * 3]
    seen = gradients.lens(weights, x)
    loss, g = gradients.true_loss_and_gradient(seen, x, WORLD)
    assert loss[0] == pytest.approx(WORLD.entropy, abs=1e-6)
    assert g == pytest.approx(np.zeros_like(g), abs=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.34, 0.6, 0.95])
def test_showing_only_the_favourite_turns_against_the_truth_once_it_is_overrepresented(share):
    truth, model = np.full(3, 1 / 3), np.array([share, (1 - share) / 2, (1 - share) / 2])
    found = gradients.logit_cosine(truth, model, np.array([1.0, 0.0, 0.0]))
    assert (found < 0) == (model[0] > (model**2).sum()) == (share > 1 / 3)


def test_the_cosine_of_nothing_is_nothing():
    assert gradients.cosine(np.array([0.0, 2.0]), np.array([0.0, 4.0]), np.array([1.0, 1.0])) == pytest.approx([0, 1])
