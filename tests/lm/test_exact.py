"""Every form on every family of models equals one plain pass for each string, forward and gradient."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import (
    TOLERANCE,
    assert_backward_exact,
    assert_exact,
    differentiate,
    differing,
    error,
    expected,
    gradient,
    plain,
    prompts_and_answers,
    strings,
    varied_trees,
    weights_of,
)
from tiny_models import CONFIGS, build, checkpointed, model_of

from mrtlab.lm import TokenTree, answer_tokens, backward, leaf_logprobs, plain_logprob, self_check, token_logprobs
from mrtlab.lm.forms import FORMS, run_paths
from mrtlab.lm.paths import path_attention

forms = pytest.mark.parametrize("form", FORMS)


def scored(form, **options):
    return partial(leaf_logprobs, form=form, **options)


@forms
@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_in_every_form(name, form):
    assert_exact(model_of(name), varied_trees(), scored(form))


@forms
@pytest.mark.parametrize("name", ["llama", "gemma3", "mistral"])
def test_hundreds_of_answers(name, form):
    """300 answers of up to 6 tokens of 7 kinds: many share beginnings and many are drawn twice."""
    rng = np.random.default_rng(3)
    answers = [rng.integers(3, 10, rng.integers(1, 7)).tolist() for _ in range(300)]
    tree = TokenTree.build(rng.integers(3, 48, 8).tolist(), answers)
    with torch.no_grad():
        found = leaf_logprobs(model_of(name), [tree], form=form)[0]
        truth = plain(model_of(name), tree.take(range(0, 300, 3)))
    assert error(found[::3], truth) <= TOLERANCE


@forms
@settings(max_examples=12, deadline=None)
@given(parts=st.lists(prompts_and_answers(most_answers=5), min_size=1, max_size=3))
def test_random_trees(form, parts):
    assert_exact(model_of("gemma3"), [TokenTree.build(*part) for part in parts], scored(form))


@forms
def test_double_precision(form):
    """Families with RMSNorm and rotary positions compute those in single precision whatever the weights are."""
    assert_exact(build("gpt2", dtype=torch.float64), varied_trees(), scored(form), tolerance=1e-13)
    assert_exact(build("llama", dtype=torch.float64), varied_trees(), scored(form), tolerance=1e-6)


@forms
def test_bfloat16_is_no_further_from_the_truth_than_plain_passes(form):
    """Tolerance: twice the round-off that plain bf16 passes have, measured against single precision."""
    trees = varied_trees()
    half = build("llama", dtype=torch.bfloat16, scale=2.0)
    truth = expected(build("llama", dtype=torch.bfloat16, scale=2.0).float(), trees)
    plain_errors = [error(a, b) for a, b in zip(expected(half, trees), truth, strict=True)]
    logp = torch.cat([logp.detach() for logp in leaf_logprobs(half, trees, form=form)]).double()
    half.zero_grad()
    backward(half, trees, weights_of(trees), form=form)
    assert logp.isfinite().all()
    assert error(logp, truth[0]) <= 2 * plain_errors[0]
    assert error(gradient(half), truth[1]) <= 2 * plain_errors[1]
    assert plain_errors[1] <= 0.05  # a bound that a leak between answers would break


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks by its old name
@forms
def test_lora(form):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=3, lora_alpha=6, target_modules="all-linear", init_lora_weights=False)
    model = peft.get_peft_model(build("qwen2"), config).train()
    assert_exact(model, varied_trees(), scored(form))
    assert_backward_exact(model, varied_trees(), form=form, max_tokens=24)
    trained = [name for name, weight in model.named_parameters() if weight.grad is not None]
    assert trained
    assert all("lora_" in name for name in trained)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("form", ["row", "paths"])
@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2"])
def test_gradient_checkpointing(name, form, reentrant):
    model = checkpointed(build(name), reentrant=reentrant)
    assert_backward_exact(model, varied_trees(), form=form)
    assert_backward_exact(model, varied_trees(), form=form, max_tokens=24)


def test_gradient_checkpointing_chooses_a_form_that_can():
    model = checkpointed(build("llama"))
    assert_exact(model, varied_trees(), scored("auto"))
    assert_backward_exact(model, varied_trees())


def by_run_paths(model, trees):
    edges = run_paths(model, trees).split([tree.n_edges for tree in trees])
    return [answer_tokens(tree, logp)[0].sum(dim=1) for tree, logp in zip(trees, edges, strict=True)]


def test_gradient_checkpointing_without_the_remedy_is_refused():
    model = checkpointed(build("llama"))
    with pytest.raises(ValueError, match=r"form='paths' under gradient checkpointing needs mrtlab\.lm\.backward"):
        leaf_logprobs(model, varied_trees(), form="paths")
    with pytest.raises(ValueError, match="form='branches' needs the prompt's cache"):
        leaf_logprobs(model, varied_trees(), form="branches")
    truth = expected(model, varied_trees())
    with path_attention(model):
        found = differentiate(model, varied_trees(), by_run_paths)
    assert error(found[0], truth[0]) <= TOLERANCE
    assert error(found[1], truth[1]) <= TOLERANCE


def test_attention_is_as_it_was_after_paths():
    model = build("llama")
    before = model.config._attn_implementation
    tree = TokenTree.build([3, 4], [[5, 6]])
    leaf_logprobs(model, [tree], form="paths")
    assert model.config._attn_implementation == before
    with pytest.raises(RuntimeError, match="on purpose"), path_attention(model):
        raise RuntimeError("on purpose")
    assert model.config._attn_implementation == before


@forms
def test_eager_attention(form):
    assert_exact(build("mistral", attention="eager"), varied_trees(), scored(form))


@forms
@pytest.mark.parametrize("max_tokens", [16, 24, 1000])
def test_bounded_scoring(form, max_tokens):
    model = model_of("qwen3")
    assert_exact(model, varied_trees(), scored(form, max_tokens=max_tokens))


@forms
def test_every_token_is_scored_the_first_one_included(form):
    model, trees = model_of("gemma3"), varied_trees()
    with torch.no_grad():
        for tree, edges in zip(trees, token_logprobs(model, trees, form=form), strict=True):
            table, real = answer_tokens(tree, edges)
            for answer, row, mask in zip(tree.answers(), table, real, strict=True):
                whole = [plain_logprob(model, tree.prompt.tolist(), answer[: n + 1]) for n in range(len(answer))]
                steps = torch.stack(whole).diff(prepend=torch.zeros(1))
                torch.testing.assert_close(row[mask], steps, atol=2e-5, rtol=1e-5)
                assert (row[~mask] == 0).all()


def test_the_library_carries_its_own_check():
    model, trees = model_of("llama"), varied_trees()
    with torch.no_grad():
        truth = [plain(model, tree) for tree in trees]
        found = leaf_logprobs(model, trees)
        one = torch.stack([plain_logprob(model, trees[0].prompt.tolist(), answer) for answer in trees[0].answers()])
    assert error(one, truth[0]) <= 1e-6
    assert self_check(model, trees) == pytest.approx(differing(found, truth), abs=1e-5)
    assert self_check(model, trees) <= 1e-4
    assert self_check(build("gpt2"), [TokenTree.build([5] * 100, [[6] * 29])]) <= 1e-3  # all 128 positions


def test_probabilities_of_all_continuations_sum_to_one():
    """All 48² texts of two tokens, in one tree."""
    prompt = strings(np.random.default_rng(1), 5)[0]
    tree = TokenTree.build(prompt, [[a, b] for a in range(48) for b in range(48)])
    with torch.no_grad():
        (logp,) = leaf_logprobs(model_of("llama"), [tree])
    assert float(logp.double().exp().sum()) == pytest.approx(1.0, abs=1e-5)
