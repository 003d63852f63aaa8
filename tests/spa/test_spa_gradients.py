"""Per-example gradients of one batched pass equal those of one pass for each example, whatever surrounds them."""

import numpy as np
import pytest
import spa_small
import torch
from peft import LoraConfig, get_peft_model

from mrtlab.data.records import Record
from mrtlab.lm.models import load_model
from mrtlab.lm.scoring import plain_logprob
from mrtlab.spa.batches import length_batches, plan_batches
from mrtlab.spa.gradients import (
    Example,
    Padded,
    batch_gradients,
    blocks_of,
    examples_of,
    gradients_of,
    in_batches,
    lora_factors,
)
from mrtlab.spa.projection import Projection
from mrtlab.training.adapter import with_adapter


def one_by_one(model, examples) -> torch.Tensor:
    """Autograd, a pass for each example, the loss through another way of scoring."""
    parameters = [factor.module.weight for factor in lora_factors(model)]
    rows = []
    for e in examples:
        loss = -plain_logprob(model, list(e.prompt_ids), list(e.answer_ids)) / len(e.answer_ids)
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    return torch.stack(rows)


def relative(a, b) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("n", [1, 9])
def test_one_batched_pass_equals_a_pass_for_each_example(n):
    model, examples = spa_small.adapted().eval(), spa_small.examples(n)
    expected = one_by_one(model, examples)
    found = batch_gradients(model, examples)
    assert found.dtype == torch.float32
    for row, own in zip(found, expected, strict=True):
        assert relative(row, own) < 3e-6


def test_the_embedded_models_build_with_its_own_tokenizer(tiny_folder):
    model, tokenizer = load_model(str(tiny_folder), device="cpu")
    records = [Record.of("Name a fruit.", ["plum", "a ripe pear"]), Record.of("Pick a number from 1 to 9.", ["7"])]
    examples = examples_of(records, tokenizer)
    assert len(examples) == 3
    adapted = spa_small.stirred(with_adapter(model, rank=4, seed=0)).eval()
    assert relative(batch_gradients(adapted, examples), one_by_one(adapted, examples)) < 3e-6


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_examples_do_not_feel_each_other(attention):
    model, examples = spa_small.adapted(), spa_small.examples(6, seed=1)
    model.set_attn_implementation(attention)
    alone = torch.cat([batch_gradients(model, [e]) for e in examples])
    assert relative(batch_gradients(model, examples), alone) < 3e-6


def test_a_layer_that_is_used_twice_adds_up_both_uses():
    model, examples = spa_small.adapted().eval(), spa_small.examples(4, seed=7)
    layers = model.get_base_model().model.layers
    layers[1] = layers[0]
    assert relative(batch_gradients(model, examples), one_by_one(model, examples)) < 3e-6


@pytest.mark.parametrize("features", [None, 400])
def test_memory_that_is_used_again_says_nothing_of_before(features):
    model, examples = spa_small.adapted(), spa_small.examples(9, seed=8)
    model.get_base_model().model.layers[0].self_attn.q_proj.forward = lambda x: x  # its adapter is not used
    weights = [factor.module.weight for factor in lora_factors(model)]
    projection = features and Projection.draw(weights, features=features, seed=0)
    new = batch_gradients(model, examples, projection=projection)
    used = torch.full_like(new, torch.nan)
    assert batch_gradients(model, examples, projection=projection, out=used) is used
    assert torch.equal(used, new)
    first, second, third, *_ = blocks_of(lora_factors(model), projection)
    assert not new[:, first.start : second.stop].any()
    assert new[:, third.columns].any(1).all()
    with pytest.raises(ValueError, match="has the shape"):
        batch_gradients(model, examples[:3], projection=projection, out=used)


def test_batches_share_their_memory_and_nothing_else():
    model, examples = spa_small.adapted(), spa_small.examples(9, seed=9)
    whole = batch_gradients(model, examples).numpy()
    batches = plan_batches(examples, width=1, max_tokens=20)
    seen = []
    for places, rows in in_batches(model, examples, batches):
        seen.append(places)
        np.testing.assert_allclose(rows, whole[places], rtol=1e-4, atol=1e-5)
    assert seen == batches
    assert list(in_batches(model, examples, [])) == []


def test_the_backward_pass_ends_at_the_first_adapter():
    model = spa_small.base()
    config = LoraConfig(r=2, target_modules=r".*layers\.1\..*v_proj", task_type="CAUSAL_LM")
    with pytest.warns(FutureWarning):
        wrapped = get_peft_model(model, config)
    spa_small.stirred(wrapped)
    below = []
    model.model.layers[0].register_forward_hook(lambda _m, _i, out: below.append(out.requires_grad))
    examples = spa_small.examples(5, seed=10)
    rows = batch_gradients(wrapped, examples)
    assert below == [False]
    assert relative(rows, one_by_one(wrapped.eval(), examples)) < 3e-6


def test_a_padded_batch_has_each_examples_mean_loss():
    model, examples = spa_small.adapted().eval(), spa_small.examples(5, seed=2)
    batch = Padded.of(examples, torch.device("cpu"))
    with torch.no_grad():
        losses = batch.losses(batch.logits(model))
        alone = [-plain_logprob(model, list(e.prompt_ids), list(e.answer_ids)) / len(e.answer_ids) for e in examples]
    torch.testing.assert_close(losses, torch.stack(alone), rtol=1e-5, atol=1e-6)


def test_a_fresh_adapter_has_gradients_in_b_alone():
    model = with_adapter(spa_small.base(), rank=2, seed=0)
    rows = batch_gradients(model, spa_small.examples(3))
    for block in blocks_of(lora_factors(model)):
        assert bool(rows[:, block.columns].any()) == block.name.endswith("lora_B")


def test_dropout_is_off_and_the_model_is_left_as_it_was():
    config = LoraConfig(r=2, lora_dropout=0.5, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    with pytest.warns(FutureWarning):
        model = get_peft_model(spa_small.base(), config)
    model = spa_small.stirred(model).train()
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    examples = spa_small.examples(4)
    first, second = batch_gradients(model, examples), batch_gradients(model, examples)
    assert torch.equal(first, second)
    assert model.training
    assert flags == {name: p.requires_grad for name, p in model.named_parameters()}
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert relative(first, one_by_one(model.eval(), examples)) < 3e-6


def test_many_batches_come_back_in_order():
    model, examples = spa_small.adapted(), spa_small.examples(11, seed=3)
    assert len(length_batches([len(e) for e in examples], max_tokens=20)) > 3
    rows = gradients_of(model, examples, max_tokens=20)
    assert relative(torch.from_numpy(rows), one_by_one(model.eval(), examples)) < 3e-6


def test_batches_hold_every_example_once_and_keep_to_their_bounds():
    lengths = np.random.default_rng(0).integers(1, 30, 50).tolist()
    batches = length_batches(lengths, max_tokens=60, max_rows=5)
    assert sorted(i for batch in batches for i in batch) == list(range(50))
    assert all(len(batch) <= 5 and len(batch) * max(lengths[i] for i in batch) <= 60 for batch in batches)
    with pytest.raises(ValueError, match="1 or more"):
        length_batches([1], max_tokens=0)


def test_a_projection_is_the_same_map_for_every_batch_and_keeps_products_on_average():
    model, examples = spa_small.adapted(rank=4), spa_small.examples(6, seed=4)
    exact = gradients_of(model, examples).astype(float)
    weights = [factor.module.weight for factor in lora_factors(model)]
    products = []
    for seed in range(60):
        projection = Projection.draw(weights, features=400, seed=seed)
        assert projection.widths == Projection.draw(weights, features=400, seed=seed).widths
        rows = np.concatenate(
            [
                projection(i, torch.from_numpy(exact[:, block.columns])).numpy()
                for i, block in enumerate(blocks_of(lora_factors(model)))
            ],
            axis=1,
        )
        products.append(rows @ rows.T)
    mean, spread = np.mean(products, axis=0), np.std(products, axis=0) / np.sqrt(len(products))
    assert (np.abs(mean - exact @ exact.T) < 4.5 * spread + 1e-9).all()  # 21 numbers at 4.5 standard errors
    projected = gradients_of(model, examples, projection=projection)
    np.testing.assert_allclose(projected, rows, rtol=1e-4, atol=1e-5)
    assert projected.shape[1] == sum(projection.widths) <= 400


def test_a_projection_with_room_enough_changes_nothing():
    model, examples = spa_small.adapted(), spa_small.examples(2)
    weights = [factor.module.weight for factor in lora_factors(model)]
    projection = Projection.draw(weights, features=10**6, seed=0)
    assert (gradients_of(model, examples, projection=projection) == gradients_of(model, examples)).all()
    with pytest.raises(ValueError, match="at least the number of matrices"):
        Projection.draw(weights, features=3, seed=0)


def test_what_cannot_be_served_is_refused_by_name():
    with pytest.raises(ValueError, match="no LoRA adapter"):
        lora_factors(spa_small.base())
    for special, words in (({"use_dora": True}, "plain unmerged LoRA"), ({"modules_to_save": ["lm_head"]}, "whole")):
        config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", **special)
        with pytest.warns(FutureWarning):
            model = get_peft_model(spa_small.base(), config)
        with pytest.raises(ValueError, match=words):
            lora_factors(model)
    model = spa_small.adapted()
    with pytest.raises(ValueError, match="has 64"):
        batch_gradients(model, [Example((3,) * 60, (4,) * 10)])
    with pytest.raises(ValueError, match="no examples"):
        gradients_of(model, [])
    model.merge_adapter()
    with pytest.raises(ValueError, match="unmerged"):
        lora_factors(model)
