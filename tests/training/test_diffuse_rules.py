"""The rivals of diffuse fine-tuning: each rule is the gradient of the loss that it states, and all of them train."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import small
import torch

from mrtlab.data.targets import Anchor, Target, uniform
from mrtlab.lm import answer_tokens, backward
from mrtlab.lm.tree import TokenTree
from mrtlab.training.aimed import aim
from mrtlab.training.anchor import anchor_rows, base_law, kept
from mrtlab.training.diffuse import target_groups
from mrtlab.training.diffuse_methods import METHODS, MethodSettings, train_by
from mrtlab.training.diffuse_rules import (
    entropy_bonus,
    entropy_bonus_advantage,
    gem,
    hard_samples,
    path_mean,
    witness,
    witness_advantage,
)

FRUITS = list(small.FRUITS)
TARGETS = [
    uniform("Name fruit 1.", FRUITS[:5]),
    Target.of("Name a ripe fruit 4.", dict(zip(FRUITS, range(1, 9), strict=True))),
]


def test_path_mean_is_the_mean_over_paths_written_out():
    """E over paths of (1/|y|) Σ_t Σ_v q(v | y_<t)·(−log p(v | y_<t)), node by node; beginnings are shared."""
    answers, q = [[2, 9], [2, 3, 9], [2, 3, 4, 9], [5, 9]], np.array([0.4, 0.3, 0.2, 0.1])
    tree = TokenTree.build([1, 7], answers)
    rng = np.random.default_rng(0)
    edges = -rng.random(tree.n_edges)
    logp, real = answer_tokens(tree, torch.tensor(edges))
    found = float(-(torch.as_tensor(path_mean(tree, q)) * logp).sum())

    def mass(start):
        return sum(p for p, answer in zip(q, answers, strict=True) if answer[: len(start)] == start)

    value = {}
    for answer, path in zip(answers, tree.paths(), strict=True):
        for step, edge in enumerate(path):
            value[tuple(answer[: step + 1])] = edges[edge]
    wanted = 0.0
    for p, answer in zip(q, answers, strict=True):
        for step in range(len(answer)):
            start = answer[:step]
            for token in range(10):
                if share := mass([*start, token]) / mass(start):
                    wanted += p / len(answer) * share * -value[(*start, token)]
    assert found == pytest.approx(wanted)
    assert real.sum() == sum(map(len, answers))


def test_path_mean_without_lengths_would_be_the_tree():
    tree = TokenTree.build([1], [[2, 3], [2, 4], [5, 6]])  # all of one length
    q = np.array([0.5, 0.3, 0.2])
    assert path_mean(tree, q) == pytest.approx(np.tile(q[:, None] / 2, (1, 2)))


def test_hard_samples_are_the_target_on_average():
    q, rng = np.array([0.7, 0.2, 0.1]), np.random.default_rng(0)
    draws = np.array([hard_samples(q, n=4, rng=rng) for _ in range(4000)])
    assert draws.sum(1) == pytest.approx(np.ones(4000))
    assert draws.mean(0) == pytest.approx(q, abs=0.02)
    with pytest.raises(ValueError, match="n must be 1 or more"):
        hard_samples(q, n=0, rng=rng)


@pytest.mark.parametrize(
    "rule",
    [
        lambda logp: entropy_bonus(logp, bonus=0.3),
        lambda logp: witness(logp, target=torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)),
    ],
)
def test_weights_are_minus_the_derivative_of_the_loss(rule):
    logp = torch.log(torch.tensor([0.1, 0.6, 0.2], dtype=torch.float64)).requires_grad_()
    judged = rule(logp)
    (gradient,) = torch.autograd.grad(judged.loss, logp)
    torch.testing.assert_close(judged.weight.detach(), -gradient)


def test_the_witness_advantage_descends_the_squared_distance():
    """E Σ A_i ∇log p(y_i) / n = −∇ Σ (p − q)², by many small groups, in a table of logits."""
    p, q, n, rng = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5]), 4, np.random.default_rng(0)
    total = np.zeros(3)
    groups = 8_000
    for drawn in rng.choice(3, size=(groups, n), p=p):
        advantage = witness_advantage(drawn.tolist(), q[drawn].tolist())
        for i, a in zip(drawn, advantage, strict=True):
            total += a * (np.eye(3)[i] - p) / n
    slope = 2 * (p - q)  # of Σ (p − q)², by p; through the softmax below
    wanted = -(p * slope - p * (p * slope).sum())
    assert total / groups == pytest.approx(wanted, abs=0.02)
    with pytest.raises(ValueError, match="two answers or more"):
        witness_advantage(["a"], [1.0])


def test_the_entropy_bonus_by_draws_is_its_exact_form_where_all_is_listed():
    p, bonus, n, rng = np.array([0.6, 0.3, 0.1]), 0.5, 4, np.random.default_rng(0)
    weight = np.zeros(3)
    groups = 8_000
    for drawn in rng.choice(3, size=(groups, n), p=p):
        advantage = entropy_bonus_advantage([True] * n, np.log(p[drawn]), bonus=bonus)
        np.add.at(weight, drawn, advantage / n)
    exact = entropy_bonus(np.log(p), bonus=bonus).weight
    by_logits = [w - p * w.sum() for w in (weight / groups, exact)]
    assert by_logits[0] == pytest.approx(by_logits[1], abs=0.02)
    with pytest.raises(ValueError, match="bonus must be 0 or more"):
        entropy_bonus(np.log(p), bonus=-1.0)


def test_gem_pulls_the_token_up_by_what_it_pushes_its_rivals_down():
    z = torch.tensor([[1.0, 0.0, -1.0]], requires_grad=True)
    loss = gem(z.log_softmax(-1), torch.tensor([1]), beta=0.7)
    loss.backward()
    rival = (torch.tensor([1.0, 0.0, -1.0]) / 0.7).softmax(-1)
    wanted = rival.clone()
    wanted[1] -= 1
    torch.testing.assert_close(z.grad[0], wanted)
    with pytest.raises(ValueError, match="beta must be above 0"):
        gem(z.detach().log_softmax(-1), torch.tensor([1]), beta=0.0)


@pytest.fixture(scope="module")
def knowing():
    """A model that knows the answers and has a favourite among them, as trained models do."""
    model, tokenizer = small.model(), small.tokenizer()
    favourite = [replace(t, p=tuple(np.array([8.0, *[1.0] * (len(t.p) - 1)]) / (len(t.p) + 7))) for t in TARGETS]
    groups = target_groups(favourite, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(100):
        backward(model, [group.tree for group in groups], [group.weights for group in groups])
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def trained(model, method, **changes):
    options = {"passes": 20, "lr": 2e-2, "max_new_tokens": 10} | changes
    return train_by(copy.deepcopy(model), small.tokenizer(), TARGETS, MethodSettings(method=method, **options))


def measured(model):
    return aim(model, small.tokenizer(), TARGETS)


def b_weights(model):
    return torch.cat([p.detach().flatten() for name, p in model.named_parameters() if "lora_" in name])


def test_tree_and_strings_end_at_the_same_weights(knowing):
    tree, strings = (b_weights(trained(knowing, method, passes=4)) for method in ("tree", "strings"))
    start = b_weights(trained(knowing, "tree", passes=1, lr=1e-12))
    assert float((tree - strings).norm() / (tree - start).norm()) < 1e-3


@pytest.mark.parametrize("method", ["tree", "path-mean", "hard", "gem"])
def test_methods_with_data_come_nearer_to_the_target(knowing, method):
    for before, after in zip(measured(knowing), measured(trained(knowing, method)), strict=True):
        assert before.kl > 0.2
        assert after.kl < 0.5 * before.kl


def test_the_witness_flattens_what_the_policy_says(knowing):
    after = measured(trained(knowing, "witness", draws=32, lr=3e-3))[0]
    before = measured(knowing)[0]
    assert before.mass > 0.9
    assert after.mass > 0.9
    assert after.tv < 0.5 * before.tv


def test_an_entropy_bonus_that_outweighs_validity_leaves_the_list(knowing):
    """Strings off the list cost any number of nats, so a large bonus pays more for them than the reward is worth."""
    assert measured(trained(knowing, "entropy-bonus", draws=16, bonus=0.5, lr=3e-3))[0].mass < 0.1
    small_bonus = measured(trained(knowing, "entropy-bonus", draws=16, bonus=0.01, lr=3e-3))[0]
    assert small_bonus.mass > 0.9


def test_equal_seeds_give_equal_runs_and_an_anchor_holds(knowing):
    one, other = (b_weights(trained(knowing, "hard", passes=2)) for _ in range(2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    drift = []
    for weight in (0.0, 20.0):
        model = copy.deepcopy(knowing)
        rows = anchor_rows(model, small.tokenizer(), [Anchor("Name a ripe a ripe fruit 2.", "kiwi")], seed=0)
        settings = MethodSettings(method="tree", passes=5, lr=5e-3, anchor_weight=weight)
        tuned = train_by(model, small.tokenizer(), TARGETS, settings, anchors=rows)
        drift.append(kept(tuned, base_law(tuned), rows)["kl"][0])
    assert drift[1] < 0.5 * drift[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"passes": 0}, "passes must be 1 or more"),
        ({"draws": 1}, "draws must be 2 or more"),
        ({"lr": 0.0}, "lr must be above 0"),
    ],
)
def test_settings_that_make_no_sense(change, message):
    with pytest.raises(ValueError, match=message):
        replace(MethodSettings(method="tree"), **change)


def test_every_method_is_tried_here():
    assert set(METHODS) == {"tree", "strings", "path-mean", "hard", "gem", "witness", "entropy-bonus"}
