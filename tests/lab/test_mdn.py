"""The network against scipy, plain torch and itself, in double precision."""

import numpy as np
import pytest
import torch
from scipy import integrate
from scipy.stats import norm
from torch.distributions import Categorical, MixtureSameFamily, Normal

from mrtlab.lab import mdn
from mrtlab.theory import GaussianModes

DOUBLE = torch.float64


def a_mixture(rng, *, models=2, prompts=3, components=4):
    logit, mean, log_sigma = rng.normal(size=(3, models, prompts, components))
    weight = np.exp(logit) / np.exp(logit).sum(-1, keepdims=True)
    return weight, mean, np.exp(log_sigma)


def as_mixture(weight, mean, sigma):
    return mdn.Mixture(*(torch.tensor(v, dtype=DOUBLE) for v in (np.log(weight), mean, np.log(sigma))))


def some_data(models, prompts, k):
    """Prompts, answers and starting weights of several retrainings."""
    xs, ys, weights = [], [], []
    for model in range(models):
        rng = np.random.default_rng([9, model])
        x, y = GaussianModes().sample(prompts, k, rng=rng)
        xs.append(x)
        ys.append(y)
        weights.append(mdn.init_weights(mdn.MDNConfig(), rng=rng))
    return torch.tensor(np.stack(xs)), torch.tensor(np.stack(ys)), mdn.stack(weights, dtype=DOUBLE)


def only(model, *tensors):
    return tuple(t[model : model + 1] for t in tensors)


def test_density_equals_scipy():
    rng = np.random.default_rng(0)
    weight, mean, sigma = a_mixture(rng)
    y = rng.normal(size=(2, 3, 5))
    by_hand = np.log((weight[:, :, None] * norm.pdf(y[..., None], mean[:, :, None], sigma[:, :, None])).sum(-1))
    np.testing.assert_allclose(as_mixture(weight, mean, sigma).logp(torch.tensor(y)), by_hand, rtol=1e-12)


def test_density_far_away_is_finite_and_exact():
    far = as_mixture(np.array([[[0.5, 0.5]]]), np.array([[[0.0, 0.0]]]), np.array([[[0.05, 0.05]]]))
    assert far.logp(torch.full((1, 1, 1), 10.0, dtype=DOUBLE)).item() == pytest.approx(norm.logpdf(10, 0, 0.05))


def test_mass_equals_the_integral_of_the_density():
    mixture = as_mixture(*a_mixture(np.random.default_rng(1), models=1, prompts=1))

    def density(y):
        return mixture.logp(torch.tensor([[[y]]], dtype=DOUBLE)).exp().item()

    mass = mixture.mass(torch.tensor([[[-0.5]]]).double(), torch.tensor([[[1.25]]]).double()).item()
    assert mass == pytest.approx(integrate.quad(density, -0.5, 1.25)[0], rel=1e-8)


def test_forward_is_two_relu_layers_with_a_clamped_scale():
    x, _, weights = some_data(2, 6, 1)
    weights["b3"] = 10 * weights["b3"]  # pushes some log-sigmas past both ends
    mixture = mdn.forward(weights, x)
    for model in range(2):
        w = {name: value[model].numpy() for name, value in weights.items()}
        h = np.maximum(x[model].numpy() @ w["w1"] + w["b1"], 0)
        h = np.maximum(h @ w["w2"] + w["b2"], 0)
        logit, mean, log_sigma = np.split(h @ w["w3"] + w["b3"], 3, axis=1)
        log_weight = logit - np.log(np.exp(logit).sum(1, keepdims=True))
        np.testing.assert_allclose(mixture.log_weight[model], log_weight, atol=1e-12)
        np.testing.assert_allclose(mixture.mean[model], mean, atol=1e-12)
        np.testing.assert_allclose(mixture.log_sigma[model], np.clip(log_sigma, -3, 3), atol=1e-12)


def test_log_sigma_is_clamped_at_both_ends():
    _, _, weights = some_data(1, 1, 1)
    weights = {name: torch.zeros_like(value) for name, value in weights.items()}
    weights["b3"][..., 10:] = torch.tensor([-9.0, -3.0, 0.0, 3.0, 9.0])
    found = mdn.forward(weights, torch.zeros(1, 1, 5, dtype=DOUBLE)).log_sigma
    assert found.flatten().tolist() == [-3, -3, 0, 3, 3]


def test_start_is_uniform_within_one_over_root_fan_in():
    weights = mdn.init_weights(mdn.MDNConfig(), rng=np.random.default_rng(0))
    for layer, fan_in in ((1, 5), (2, 64), (3, 64)):
        both = np.concatenate([weights[f"w{layer}"].ravel(), weights[f"b{layer}"].ravel()])
        assert np.abs(both).max() <= fan_in**-0.5
        assert both.std() == pytest.approx(fan_in**-0.5 / np.sqrt(3), rel=0.1)


def plain_torch(x, y, weights, config):
    """One model trained with torch's own layers, mixture, clipping and Adam: nothing of ours in the loop."""
    layers = [torch.nn.Linear(*weights[f"w{i}"].shape, dtype=DOUBLE) for i in (1, 2, 3)]
    for i, layer in enumerate(layers, start=1):
        layer.weight.data = weights[f"w{i}"].T.clone()
        layer.bias.data = weights[f"b{i}"][0].clone()
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    optimizer = torch.optim.Adam(net.parameters(), lr=config.lr)
    norms = []
    # The prompt is repeated for each of its answers: pairs, as single-response training sees them.
    pairs_x, pairs_y = x.repeat_interleave(y.shape[1], dim=0), y.flatten()
    for _ in range(config.steps):
        optimizer.zero_grad()
        logit, mean, log_sigma = net(pairs_x).chunk(3, dim=1)
        law = MixtureSameFamily(Categorical(logits=logit), Normal(mean, log_sigma.clamp(-3, 3).exp()))
        (-law.log_prob(pairs_y).mean()).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), config.clip).item())
        optimizer.step()
    return [layer.weight.detach().T for layer in layers], norms


def test_an_ensemble_takes_the_same_path_as_one_plain_torch_model_at_a_time():
    x, y, weights = some_data(3, 12, 4)
    config = mdn.MDNConfig(steps=40, clip=0.5)
    together = mdn.train(weights, x, y, config=config).weights
    clipped = 0
    for model in range(3):
        alone, norms = plain_torch(x[model], y[model], {name: value[model] for name, value in weights.items()}, config)
        clipped += sum(norm > config.clip for norm in norms)
        for i, weight in enumerate(alone, start=1):
            np.testing.assert_allclose(together[f"w{i}"][model], weight, rtol=0, atol=1e-9)
    assert 0 < clipped < 120  # the clip was at work, per model and not all the time


def test_an_ensemble_equals_its_members_trained_alone_with_early_stopping():
    x, y, weights = some_data(4, 15, 2)
    config = mdn.MDNConfig(steps=80)
    data, held = (x[:, 3:], y[:, 3:]), (x[:, :3], y[:, :3])
    together = mdn.train(weights, *data, config=config, validation=held)
    for model in range(4):
        alone = mdn.train(
            {name: value[model : model + 1] for name, value in weights.items()},
            *only(model, *data),
            config=config,
            validation=only(model, *held),
        )
        assert alone.step.item() == together.step[model].item()
        for name in weights:
            np.testing.assert_allclose(together.weights[name][model], alone.weights[name][0], atol=1e-9)
    assert len(set(together.step.tolist())) > 1  # they did stop at different steps


def test_early_stopping_keeps_the_best_weights_it_looked_at():
    x, y, weights = some_data(1, 15, 2)
    data, held = (x[:, 3:], y[:, 3:]), (x[:, :3], y[:, :3])
    config = mdn.MDNConfig(steps=80)
    stopped = mdn.train(weights, *data, config=config, validation=held)
    losses = {
        steps: mdn.nll(mdn.train(weights, *data, config=mdn.MDNConfig(steps=steps)).weights, *held).item()
        for steps in range(10, 81, 10)
    }
    best = min(losses, key=losses.get)
    assert stopped.step.item() == best < 80
    assert mdn.nll(stopped.weights, *held).item() == pytest.approx(losses[best], abs=1e-12)


def test_training_leaves_the_starting_weights_alone_and_lowers_the_loss():
    x, y, weights = some_data(2, 20, 2)
    before = {name: value.clone() for name, value in weights.items()}
    trained = mdn.train(weights, x, y, config=mdn.MDNConfig(steps=30))
    assert all(torch.equal(before[name], weights[name]) for name in weights)
    assert torch.all(mdn.nll(trained.weights, x, y) < mdn.nll(weights, x, y) - 0.1)
    assert trained.step.tolist() == [30, 30]


def test_one_thread_is_given_back():
    before = torch.get_num_threads()
    seen = []

    def fail_inside():
        with mdn.one_thread():
            seen.append(torch.get_num_threads())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert seen == [1]
    assert torch.get_num_threads() == before
