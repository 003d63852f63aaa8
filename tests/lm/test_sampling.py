"""Sampling: the law against brute force, frequencies against exact probabilities, seeds and ends."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from transformers import LlamaConfig, LlamaForCausalLM

from mrtlab.lm import answer_logprobs
from mrtlab.lm.sampling import Sampler, pick, sample

PROMPT = "Name a fruit."


def brute(p, *, top_k=None, top_p=1.0, min_p=0.0):
    """Keep tokens one by one, from the likeliest, as the definitions say."""
    order = sorted(range(len(p)), key=lambda i: -p[i])
    kept, mass = [], 0.0
    for rank, i in enumerate(order):
        allowed = (top_k is None or rank < top_k) and mass < top_p and p[i] >= min_p * p[order[0]]
        if allowed or rank == 0:
            kept.append(i)
        mass += p[i]
    out = np.zeros(len(p))
    out[kept] = np.asarray(p)[kept]
    return out / out.sum()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=9, unique=True),
    st.sampled_from([None, 1, 2, 5, 50]),
    st.sampled_from([0.05, 0.35, 0.8, 1.0]),
    st.sampled_from([0.0, 0.11, 0.77, 1.0]),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_the_law_is_what_the_definitions_say(weights, top_k, top_p, min_p, temperature):
    p = np.array(weights) / sum(weights)
    tempered = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
    ordered = np.sort(tempered)[::-1]
    before = np.cumsum(ordered) - ordered
    if np.abs(before - top_p).min() < 1e-5 or np.abs(ordered - min_p * ordered[0])[1:].min(initial=1) < 1e-5:
        return  # on the edge single precision may fall on either side
    sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    law = sampler.law(torch.tensor(np.log(p))).numpy()
    np.testing.assert_allclose(law, brute(tempered, top_k=top_k, top_p=top_p, min_p=min_p), atol=1e-5)


def test_at_temperature_0_the_likeliest_has_it_all():
    assert Sampler(temperature=0).law(torch.tensor([[1.0, 3.0, 2.0]])).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": -1.0}, "temperature must be 0 or more, got -1"),
        ({"top_k": 0}, "top_k must be 1 or more, got 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": 1.5}, "at most 1, got 1.5"),
        ({"min_p": 1.1}, "min_p must be from 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Sampler(**setting)


def test_a_pick_falls_where_the_cumulated_law_says_and_never_on_nothing():
    p = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]]).expand(4, -1)
    u = torch.tensor([0.0, 0.2499, 0.25, 1 - 2**-53], dtype=torch.float64)
    assert pick(p, u)[:, 0].tolist() == [1, 1, 3, 3]


@pytest.fixture(scope="module")
def short_model(tiny):
    """A model that says nothing but Q, Z, which no piece joins, and the end: so short answers can be listed."""
    tokenizer = tiny[1]
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, tie_word_embeddings=False, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id, max_position_embeddings=128,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    letters = [tokenizer.convert_tokens_to_ids(c) for c in "QZ"]
    with torch.no_grad():
        model.lm_head.weight[[*letters, tokenizer.eos_token_id]] = torch.randn(3, 16) * 0.3

    def masked(module, inputs, logits):
        ban = torch.full_like(logits, -1e4)
        keep = [*letters, tokenizer.eos_token_id]
        ban[..., keep] = logits[..., keep]
        return ban

    model.lm_head.register_forward_hook(masked)
    return model, tokenizer


def test_frequencies_equal_exact_probabilities(short_model):
    """Two letters and an end: all answers of up to three letters against their exact law, 99.9 % confidence."""
    model, tokenizer = short_model
    n = 4000
    said = Counter(sample(model, tokenizer, [PROMPT], n=n, seed=11, max_new_tokens=12)[0])
    answers = [a + b + c for a in "QZ" for b in ("", "Q", "Z") for c in ("", "Q", "Z") if b or not c]
    logp = answer_logprobs(model, tokenizer, PROMPT, answers).double().numpy()
    common = n * np.exp(logp) > 5
    assert common.sum() > 8
    expected = n * np.exp(logp[common])
    seen = np.array([said[a] for a in answers])[common]
    rest = n - expected.sum()
    assert rest > 5  # the empty answer, the longer ones and the rare ones
    statistic = ((seen - expected) ** 2 / expected).sum() + (n - seen.sum() - rest) ** 2 / rest
    assert statistic < chi2.ppf(0.999, df=len(expected))


def test_answers_end_at_the_stop_token_and_do_not_show_it(short_model):
    model, tokenizer = short_model
    said = sample(model, tokenizer, [PROMPT], n=64, seed=3, max_new_tokens=40)[0]
    assert all(set(answer) <= set("QZ") for answer in said)
    assert "" in said  # a model may end at once
    assert np.mean([len(answer) < 40 for answer in said]) > 0.8


def test_a_long_answer_is_cut(short_model):
    model, tokenizer = short_model
    said = sample(model, tokenizer, [PROMPT], n=64, seed=3, max_new_tokens=2)[0]
    assert max(map(len, said)) == 2


def test_the_same_seed_gives_the_same_answers_whatever_else_is_asked(short_model):
    model, tokenizer = short_model
    alone = sample(model, tokenizer, [PROMPT], n=30, seed=7, max_new_tokens=12)[0]
    other = "Name a job."
    assert sample(model, tokenizer, [other, PROMPT], n=30, seed=7, max_new_tokens=12)[1] == alone
    assert sample(model, tokenizer, [PROMPT], n=30, seed=8, max_new_tokens=12)[0] != alone
    assert sample(model, tokenizer, [other], n=30, seed=7, max_new_tokens=12)[0] != alone


@pytest.mark.parametrize("batch", [1, 7, 30])
def test_the_batch_size_does_not_matter_and_more_draws_go_on(short_model, batch):
    model, tokenizer = short_model
    whole = sample(model, tokenizer, [PROMPT], n=30, seed=7, max_new_tokens=12)[0]
    assert sample(model, tokenizer, [PROMPT], n=30, seed=7, max_new_tokens=12, batch=batch)[0] == whole
    assert sample(model, tokenizer, [PROMPT], n=9, seed=7, max_new_tokens=12, batch=batch)[0] == whole[:9]


def test_greedy_answers_are_all_the_likeliest(short_model):
    model, tokenizer = short_model
    said = sample(model, tokenizer, [PROMPT], n=3, seed=1, sampler=Sampler(temperature=0), max_new_tokens=6)[0]
    assert len(set(said)) == 1


def test_bad_requests_are_refused(tiny):
    model, tokenizer = tiny
    with pytest.raises(ValueError, match="1 or more, got 0 and 5"):
        sample(model, tokenizer, [PROMPT], n=0, seed=0, max_new_tokens=5)
    with pytest.raises(ValueError, match="1024"):
        sample(model, tokenizer, ["word " * 900], n=1, seed=0, max_new_tokens=600)
