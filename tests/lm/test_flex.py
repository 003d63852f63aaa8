"""FlexAttention: the same mask as a rule, the same log-probabilities. Its backward pass exists on a GPU only."""

import numpy as np
import pytest
import torch
from oracle import TOLERANCE, assert_backward_exact, error, expected, gradient, varied_trees, weights_of
from tiny_models import build, model_of

from mrtlab.lm import TokenTree, backward, bound, costs, leaf_logprobs
from mrtlab.lm.blocks import block_mask
from mrtlab.lm.layout import row_layout, sees

flex = pytest.importorskip("torch.nn.attention.flex_attention")
pytestmark = [
    # Compiling imports parts of torch that are deprecated themselves.
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
]


@pytest.mark.parametrize("window", [None, 3, 5])
def test_the_block_mask_is_the_dense_mask(window):
    layout = row_layout(varied_trees())
    made = block_mask(layout, device=torch.device("cpu"), window=window)
    n_rows, length = layout.end.shape
    dense = flex.create_mask(made.mask_mod, n_rows, 1, length, length, device="cpu")[:, 0]
    assert np.array_equal(dense.numpy(), sees(layout, window=window))


def test_blocks_that_nobody_looks_at_are_skipped():
    """Answers of one block each: with blocks of 128, 9 answers leave most pairs of blocks out."""
    tree = TokenTree.build(range(128), [[i, *range(200, 328)] for i in range(9)])
    made = block_mask(row_layout([tree]), device=torch.device("cpu"))
    assert made.sparsity() > 60.0  # per cent


@pytest.mark.parametrize("name", ["llama", "gemma3", "mistral"])
def test_forward_on_the_cpu_equals_sdpa(name, monkeypatch):
    """Not compiled, which takes a minute: the same rule over the same mask, in plain operations."""

    def in_plain_operations(query, key, value, training=False, **options):
        return flex.flex_attention(query, key, value, **options)

    monkeypatch.setattr("transformers.integrations.flex_attention.compile_friendly_flex_attention", in_plain_operations)
    trees = varied_trees()
    with torch.no_grad():
        found = torch.cat(leaf_logprobs(build(name, attention="flex_attention"), trees, form="row"))
        truth = torch.cat(leaf_logprobs(model_of(name), trees, form="row"))
    assert error(found, truth) <= TOLERANCE


def test_cost_counts_the_pairs_that_are_looked_at():
    """A dense row computes all pairs; a block mask those of the tree."""
    trees = varied_trees()
    row = {cost.form: cost for cost in costs(build("llama", attention="flex_attention"), trees)}["row"]
    dense = {cost.form: cost for cost in costs(model_of("llama"), trees)}["row"]
    assert row.tokens == dense.tokens
    layout = row_layout(trees)
    padding = layout.end.size - sum(tree.n_fed for tree in trees)
    assert row.pairs == int(sees(layout).sum()) - padding  # a padded place sees itself
    assert row.pairs < dense.pairs == layout.end.size * layout.end.shape[1]
    assert bound(model_of("llama"), trees) > 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="FlexAttention has no backward pass on a CPU")
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_backward_on_a_gpu(name):
    trees = varied_trees()
    assert_backward_exact(build(name), trees, form="row")
    truth = expected(build(name), trees)[1]
    model = build(name, attention="flex_attention").cuda()
    backward(model, trees, weights_of(trees), form="row")
    assert error(gradient(model).cpu(), truth) <= 1e-3  # GPU kernels round matrix products to TF32
