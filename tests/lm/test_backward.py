"""Gradients in bounded memory: equal to one pass, for every objective, however small the pieces are."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from oracle import TOLERANCE, assert_backward_exact, error, gradient, plain, varied_trees, weights_of
from tiny_models import build, model_of

from mrtlab.lm import TokenTree, answer_tokens, backward, backward_tokens, leaf_logprobs, token_logprobs
from mrtlab.lm.forms import FORMS
from mrtlab.theory import objectives as rules

SMALLEST = 16  # what the longest answer of `varied_trees` feeds with its prompt
forms = pytest.mark.parametrize("form", FORMS)
limits = pytest.mark.parametrize("max_tokens", [SMALLEST, 20, 40])


def law(m):
    return np.arange(1.0, m + 1) / np.arange(1.0, m + 1).sum()


def reward(m):
    return np.cos(np.arange(m))


def reference(m):
    return -5.0 - np.arange(m) % 3


def paired(m):
    """One answer alone has no pair: likelihood stands in."""
    return rules.pairs_by_reward(reward(m)) if m > 1 else None


RULES = {
    "mle": rules.mle,
    "forward_kl": lambda logp: rules.forward_kl(logp, law(len(logp))),
    "reverse_kl": lambda logp: rules.reverse_kl(logp, law(len(logp))),
    "reinforce": lambda logp: rules.reinforce(logp, reward(len(logp))),
    "dpo": lambda logp: rules.dpo(logp, reference(len(logp)), paired(len(logp))) if len(logp) > 1 else rules.mle(logp),
    "ipo": lambda logp: rules.ipo(logp, reference(len(logp)), paired(len(logp))) if len(logp) > 1 else rules.mle(logp),
}


def by_plain_passes(model, trees, rule):
    """The same step without a tree: weights from plain passes, then the gradient of −Σ w log p."""
    model.zero_grad()
    losses = []
    for tree in trees:
        logp = plain(model, tree)
        judged = rule(logp.detach())
        (-(judged.weight * logp).sum()).backward()
        losses.append(judged.loss)
    return torch.stack(losses), gradient(model)


@contextmanager
def passes(model):
    """The numbers of tokens that go through the model, one for each forward pass."""
    sizes = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    yield sizes
    hook.remove()


@forms
@pytest.mark.parametrize("name", RULES)
def test_every_objective_in_one_pass_and_in_pieces(name, form):
    model, trees = model_of("qwen3"), varied_trees()
    losses, truth = by_plain_passes(model, trees, RULES[name])
    for max_tokens in (None, 20):
        model.zero_grad()
        found = backward(model, trees, RULES[name], form=form, max_tokens=max_tokens)
        assert error(gradient(model), truth) <= 2 * TOLERANCE  # weights from rounded log-probabilities add their own
        torch.testing.assert_close(found, losses, rtol=1e-4, atol=1e-4)


@limits
@forms
def test_pieces_add_up(form, max_tokens):
    assert_backward_exact(model_of("gemma3"), varied_trees(), form=form, max_tokens=max_tokens)


def test_gradients_are_added_to_those_already_there():
    model, trees = model_of("llama"), varied_trees()
    model.zero_grad()
    backward(model, trees, rules.mle)
    once = gradient(model)
    backward(model, trees, rules.mle, max_tokens=20)
    assert error(gradient(model), 2 * once) <= TOLERANCE


def test_a_large_tree_is_cut_and_adds_up():
    rng = np.random.default_rng(5)
    answers = [rng.integers(3, 8, rng.integers(1, 7)).tolist() for _ in range(60)]
    tree = TokenTree.build(rng.integers(3, 48, 6).tolist(), answers)
    assert tree.n_fed > 3 * 30
    model = model_of("llama")
    assert_backward_exact(model, [tree], max_tokens=30)
    with torch.no_grad():
        whole, parts = token_logprobs(model, [tree])[0], token_logprobs(model, [tree], max_tokens=30)[0]
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_known_weights_are_scored_once():
    model, trees = model_of("llama"), varied_trees()
    with passes(model) as sizes:
        backward(model, trees, weights_of(trees), form="row", max_tokens=20)
    n_pieces = len(sizes)
    assert n_pieces > 1
    with passes(model) as sizes:
        backward(model, trees, rules.mle, form="row", max_tokens=20)
    assert len(sizes) == 2 * n_pieces  # scored first, then trained
    with passes(model) as sizes:
        backward(model, trees, rules.mle, form="row")
    assert len(sizes) == 1  # everything fits: weights come from the pass that trains


def test_rules_and_known_weights_mix():
    model, trees = model_of("llama"), varied_trees()
    weights = [torch.full((tree.n_answers,), 1 / tree.n_answers) for tree in trees]
    model.zero_grad()
    losses = backward(model, trees, rules.mle)
    truth = gradient(model)
    mixed = [rules.mle if i % 2 else weights[i].numpy() for i in range(len(trees))]
    for max_tokens in (None, 20):
        model.zero_grad()
        torch.testing.assert_close(backward(model, trees, mixed, max_tokens=max_tokens), losses)
        assert error(gradient(model), truth) <= TOLERANCE


@limits
@pytest.mark.parametrize("form", ["auto", *FORMS])
def test_no_pass_is_larger_than_allowed(form, max_tokens):
    model, trees = model_of("llama"), varied_trees()
    with passes(model) as sizes:
        backward(model, trees, rules.mle, form=form, max_tokens=max_tokens)
        leaf_logprobs(model, trees, form=form, max_tokens=max_tokens)
    assert max(sizes) <= max_tokens


@pytest.mark.parametrize("form", ["auto", *FORMS])
def test_no_pass_is_larger_than_allowed_where_prompts_and_answers_differ_most(form):
    """A long prompt with short answers beside a short prompt with long ones, and answers that share nearly all."""
    rng = np.random.default_rng(2)
    draw = lambda n: rng.integers(3, 48, n).tolist()  # noqa: E731
    stem = draw(10)
    trees = [
        TokenTree.build(draw(12), [[5, 6], [7]]),
        TokenTree.build(draw(2), [draw(12)]),
        TokenTree.build(draw(3), [[*stem, n] for n in range(3, 9)]),
        TokenTree.build(draw(3), [[*stem, n, 4] for n in range(3, 9)]),
    ]
    model = model_of("llama")
    with passes(model) as sizes:
        assert_backward_exact(model, trees, form=form, max_tokens=28)
    assert max(sizes) <= 28  # the oracle's plain passes are among them, and shorter


@pytest.mark.parametrize("average", ["answer", "token"])
@forms
def test_ppo_by_token_against_autograd(form, average):
    """The clipped loss differentiated by autograd through plain passes, token by token."""
    model, trees = model_of("qwen2"), varied_trees()
    with torch.no_grad():
        tables = [answer_tokens(tree, edges) for tree, edges in zip(trees, token_logprobs(model, trees), strict=True)]
    old, advantage = [], []
    for i, (table, _) in enumerate(tables):
        old.append(table + 0.25 * torch.sin(torch.arange(table.numel()) + i).reshape(table.shape))
        advantage.append(torch.cos(3.0 * torch.arange(len(table)) + i))

    model.zero_grad()
    losses = []
    for tree, before, a in zip(trees, old, advantage, strict=True):
        rows = []
        for m, answer in enumerate(tree.answers()):
            ids = torch.tensor([tree.prompt.tolist() + answer])
            logp = model(input_ids=ids, use_cache=False).logits[0].log_softmax(dim=-1)
            at = len(tree.prompt) - 1 + torch.arange(len(answer))
            ratio = (logp[at, torch.tensor(answer)] - before[m, : len(answer)]).exp()
            weight = a[m]
            rows.append(torch.minimum(ratio * weight, ratio.clip(0.8, 1.2) * weight))
        gain = torch.stack([row.mean() for row in rows]).mean() if average == "answer" else torch.cat(rows).mean()
        (-gain).backward()
        losses.append(-gain.detach())
    truth = gradient(model)

    clipped = [
        lambda logp, real, i=i: rules.ppo_tokens(logp, old[i], advantage[i], real, average=average)
        for i in range(len(trees))
    ]
    for max_tokens in (None, 20):
        model.zero_grad()
        found = backward_tokens(model, trees, clipped, form=form, max_tokens=max_tokens)
        assert error(gradient(model), truth) <= 2 * TOLERANCE
        torch.testing.assert_close(found, torch.stack(losses), rtol=1e-5, atol=1e-6)


def test_too_small_a_limit_is_refused():
    with pytest.raises(ValueError, match="more than max_tokens=15: raise max_tokens or shorten the prompt"):
        backward(model_of("llama"), varied_trees(), rules.mle, max_tokens=SMALLEST - 1)


def test_dropout_is_refused_where_scoring_and_training_would_differ():
    model, trees = build("gpt2").train(), varied_trees()
    model.transformer.drop.p = 0.1
    with pytest.raises(ValueError, match=r"transformer\.drop is active: the weights would be computed on another"):
        backward(model, trees, rules.mle, max_tokens=20)
    backward(model, trees, rules.mle)  # one pass draws one mask
    backward(model, trees, weights_of(trees), max_tokens=20)  # nothing is scored
    backward(model.eval(), trees, rules.mle, max_tokens=20)


def test_attention_dropout_is_seen_too():
    model, trees = build("llama").train(), varied_trees()
    model.model.layers[1].self_attn.attention_dropout = 0.1
    with pytest.raises(ValueError, match=r"layers\.1\.self_attn\.attention_dropout is active"):
        backward(model, trees, rules.mle, max_tokens=20)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ([rules.mle], "lists 1 rules for 4 trees"),
        ([torch.ones(6), torch.ones(3), torch.ones(2), torch.ones(1)], "expected 1 weights, one for each answer"),
        (lambda logp: rules.Objective(logp.mean(), logp[:1]), "must return an Objective with weights of shape"),
        (lambda logp: logp.mean(), "must return an Objective"),
    ],
)
def test_objectives_that_do_not_fit_are_refused(objective, message):
    with pytest.raises(ValueError, match=message):
        backward(model_of("llama"), varied_trees(), objective)


def test_no_trees_and_unknown_forms_are_refused():
    model = model_of("llama")
    with pytest.raises(ValueError, match="trees is empty"):
        leaf_logprobs(model, [])
    with pytest.raises(ValueError, match="unknown form 'rows': choose from auto, row, paths, branches"):
        backward(model, varied_trees(), rules.mle, form="rows")
