"""Models that a token tree cannot serve are refused by name, with the reason, before anything is computed."""

import pytest
import torch
from oracle import TOLERANCE, assert_exact, differentiate, error, expected, varied_trees
from tiny_models import ENDS, SHARED_KEYS, VOCAB, build
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from mrtlab.lm import TokenTree, backward, costs, leaf_logprobs, token_logprobs
from mrtlab.lm.forms import FORMS
from mrtlab.lm.support import Windows, active_dropout, windows
from mrtlab.theory import mle

TREE = TokenTree.build([5, 6], [[7, 8], [9]])


def mamba():
    return MambaForCausalLM(MambaConfig(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, state_size=4, **ENDS))


def linear_attention_beside_full():
    transformers = pytest.importorskip("transformers", minversion="4.57")
    config = transformers.Qwen3NextConfig(
        **SHARED_KEYS,
        head_dim=8,
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=8,
        shared_expert_intermediate_size=8,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        layer_types=["linear_attention", "full_attention"],
    )
    return transformers.Qwen3NextForCausalLM(config)


def bloom():
    return BloomForCausalLM(BloomConfig(vocab_size=VOCAB, hidden_size=16, n_layer=1, n_head=2, **ENDS))


def falcon_with_alibi():
    size = {"vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return FalconForCausalLM(FalconConfig(**size, alibi=True, **ENDS))


def gpt_neo_with_local_layers():
    kinds = [[["global", "local"], 1]]
    size = {"vocab_size": VOCAB, "hidden_size": 16, "num_layers": 2, "num_heads": 2}
    return GPTNeoForCausalLM(GPTNeoConfig(**size, window_size=3, attention_types=kinds, **ENDS))


def encoder_decoder():
    size = {"vocab_size": VOCAB, "d_model": 16, "d_ff": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8}
    return T5ForConditionalGeneration(T5Config(**size, decoder_start_token_id=0))


def flash():
    model = build("llama")
    model.config._attn_implementation_internal = "flash_attention_2"  # as a model loaded with it on a GPU
    return model


REFUSED = {
    mamba: r"MambaForCausalLM \(mamba\)",
    linear_attention_beside_full: r"Qwen3NextForCausalLM \(qwen3_next\) has layers of type linear_attention",
    bloom: r"BloomForCausalLM \(bloom\) takes no position_ids",
    falcon_with_alibi: r"FalconForCausalLM \(falcon\) biases attention by distances",
    gpt_neo_with_local_layers: r"GPTNeoForCausalLM \(gpt_neo\) has local attention layers",
    encoder_decoder: r"T5ForConditionalGeneration \(t5\) is an encoder-decoder",
    flash: r"'flash_attention_2', which ignores tree masks: load it with attn_implementation='sdpa'",
}


@pytest.mark.parametrize("form", ["auto", *FORMS])
@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_refused_by_name(make, form):
    model, ran = make().eval(), []
    model.register_forward_pre_hook(lambda *_: ran.append(1))
    with pytest.raises(ValueError, match=REFUSED[make]):
        leaf_logprobs(model, [TREE], form=form)
    with pytest.raises(ValueError, match=REFUSED[make]):
        backward(model, [TREE], mle, form=form)
    assert not ran


def gpt_j():
    """Its attention is written into its layers: the registry's is never asked."""
    config = GPTJConfig(vocab_size=VOCAB, n_positions=64, n_embd=16, n_layer=2, n_head=2, rotary_dim=4, **ENDS)
    return _sharpened(GPTJForCausalLM(config))


def with_sinks():
    transformers = pytest.importorskip("transformers", minversion="4.55")
    config = transformers.GptOssConfig(
        **SHARED_KEYS,
        head_dim=8,
        num_local_experts=2,
        num_experts_per_tok=1,
        sliding_window=5,
        layer_types=["sliding_attention", "full_attention"],
    )
    return _sharpened(transformers.GptOssForCausalLM(config))


def _sharpened(model):
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0 if weight.ndim > 1 else 1.0)
    return model.eval()


@pytest.mark.parametrize(
    ("make", "reason"),
    [(gpt_j, "GPTJForCausalLM does not let its attention be replaced"), (with_sinks, "uses attention sinks")],
)
def test_models_that_can_do_without_paths_only(make, reason):
    model, trees = make(), varied_trees()
    with pytest.raises(ValueError, match=reason):
        leaf_logprobs(model, trees, form="paths")
    crowded = TokenTree.build(range(3, 40), [[a, b, 2] for a in range(3, 23) for b in range(3, 13)])
    assert "paths" not in [cost.form for cost in costs(model, [crowded])]
    truth = expected(model, trees)
    for form in ("auto", "row", "branches"):
        found = differentiate(model, trees, lambda model, trees, form=form: leaf_logprobs(model, trees, form=form))
        assert error(found[0], truth[0]) <= TOLERANCE
        assert error(found[1], truth[1]) <= TOLERANCE


def test_paths_longer_than_the_model_are_refused():
    model = build("gpt2")  # 128 positions
    fits = TokenTree.build([5] * 100, [[6] * 29, [7]])
    assert fits.longest == 128
    assert_exact(model, [fits], leaf_logprobs)
    too_long = TokenTree.build([5] * 100, [[6] * 30, [7]])
    with pytest.raises(ValueError, match="needs 129 positions with its prompt, the model has 128"):
        token_logprobs(model, [fits, too_long])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("llama", Windows()),
        ("qwen2", Windows()),
        ("mistral", Windows(5)),
        ("gemma2", Windows(5, mixed=True)),
        ("gemma3", Windows(5, mixed=True)),
        ("gpt_neox", Windows()),
    ],
)
def test_windows_are_found(name, found):
    assert windows(build(name)) == found


def test_a_window_matters_from_the_first_token_out_of_sight():
    assert not Windows(5).matter(5)
    assert Windows(5).matter(6)
    assert not Windows().matter(10**9)


def test_dropout_acts_only_in_training():
    model = build("gpt_neox")
    assert active_dropout(model.train()) is None
    model.gpt_neox.emb_dropout.p = 0.2
    assert active_dropout(model.train()) == "gpt_neox.emb_dropout"
    assert active_dropout(model.eval()) is None
