"""Gradients and stacked logits on models of other builds: learned positions, windows, fused layers."""

import warnings

import pytest
import spa_small
import torch
from lm.tiny_models import CONFIGS
from peft import LoraConfig
from transformers import AutoModelForCausalLM

from mrtlab.lm.scoring import plain_logprob
from mrtlab.spa.gradients import batch_gradients, lora_factors
from mrtlab.spa.stacked import stacked
from mrtlab.training.adapter import with_adapter


@pytest.fixture(params=["gpt2", "gemma2", "gpt_neox", "phi3"])
def model(request):
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(CONFIGS[request.param]())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of peft, about GPT-2's transposed layers, which it then handles
        return spa_small.stirred(with_adapter(plain, rank=2, seed=0)).eval()


def test_gradients_equal_a_pass_for_each_example(model):
    examples = spa_small.examples(5)
    weights = [factor.module.weight for factor in lora_factors(model)]
    for example, row in zip(examples, batch_gradients(model, examples), strict=True):
        logp = plain_logprob(model, list(example.prompt_ids), list(example.answer_ids))
        own = torch.autograd.grad(-logp / len(example.answer_ids), weights)
        own = torch.cat([gradient.flatten() for gradient in own])
        assert (row - own).norm() < 1e-5 * own.norm()


def test_stacked_logits_equal_those_of_each_adapter(model):
    module = lora_factors(model)[0].name.split(".")[-2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.add_adapter("two", LoraConfig(r=3, target_modules=[module], task_type="CAUSAL_LM"))
    spa_small.stirred(model, seed=1, size=1.0)
    ids = torch.randint(3, 40, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        with stacked(model, ["default", "two"]):
            found = model(input_ids=ids, attention_mask=mask).logits
        both = []
        for k, name in enumerate(("default", "two")):
            model.set_adapter(name)
            both.append(model(input_ids=ids, attention_mask=mask).logits)
            torch.testing.assert_close(found[k], both[k][k], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(*both, atol=1e-2)  # adapters that did the same would prove nothing
