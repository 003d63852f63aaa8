"""What a pass costs: worked by hand, and the bound against the formulas that it comes from."""

import pytest
import torch
from tiny_models import build, checkpointed, model_of
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from mrtlab.lm import TokenTree, backward, bound, costs, scoring
from mrtlab.lm import forms as engine
from mrtlab.lm.cost import UNFUSED
from mrtlab.lm.traits import Shape, shape_of, traits_of
from mrtlab.theory import mle

# Two fed answer tokens (1 and 2) after three prompt tokens.
TREE = TokenTree.build([5, 6, 7], [[1, 9], [2, 9]])
LLAMA = model_of("llama")
QUERY, KEY, MLP = 16 * 16, 16 * 8, 16 * 24  # of the tiny Llama: width 16, 2 of 4 heads have keys of their own


def by_form(model, trees):
    return {cost.form: cost for cost in costs(model, trees)}


def test_the_shape_of_a_model_by_hand():
    body = 2 * (2 * QUERY + 2 * KEY + 3 * MLP)
    assert shape_of(LLAMA) == Shape(body=body, head=48 * 16, layers=2, width=16)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # of transformers, about peft
def test_a_look_at_a_model_is_of_this_moment():
    """An adapter counts from when it is put on, checkpointing from when it is switched on."""
    peft = pytest.importorskip("peft")
    model = build("llama").train()
    before = traits_of(model)
    assert not before.checkpointing
    checkpointed(model)
    assert traits_of(model).checkpointing
    assert not traits_of(model.eval()).checkpointing
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert traits_of(adapted).shape.body == before.shape.body + 2 * (2 * 16 + 2 * 16)  # two layers of A and B


def test_tied_embeddings_are_a_head_and_no_body():
    tied = LlamaConfig(**{**LLAMA.config.to_dict(), "tie_word_embeddings": True})
    assert shape_of(AutoModelForCausalLM.from_config(tied)) == shape_of(LLAMA)


def test_two_answers_by_hand():
    found, shape = by_form(LLAMA, [TREE]), shape_of(LLAMA)
    assert (found["row"].tokens, found["row"].pairs) == (5, 25)
    # The prompt on itself, half of 3²; two tokens on three of the prompt; two chains of one token.
    assert (found["paths"].tokens, found["paths"].pairs) == (5, 4 + 6 + 2)
    # The prompt's square; two rows of one token that look at three of the prompt and at themselves.
    assert (found["branches"].tokens, found["branches"].pairs) == (5, 9 + 2 * 4)
    reads = 3  # the prompt's end and both answers' first tokens
    for form, unfused in (("row", 0), ("paths", 8), ("branches", 0)):
        counted = found[form].pairs + (UNFUSED - 1) * unfused
        assert found[form].flops == shape.flops(tokens=5, reads=reads, pairs=counted)


def test_padding_counts():
    short = TokenTree.build([5], [[1, 9]])
    found = by_form(LLAMA, [TREE, short])
    assert (found["row"].tokens, found["row"].pairs) == (10, 50)  # 2 fed tokens take a row of 5
    assert found["paths"].tokens == 10
    assert found["branches"].tokens == 2 * 3 + 3


def test_checkpointing_leaves_out_branches():
    assert set(by_form(checkpointed(build("llama")), [TREE])) == {"row", "paths"}


SIZES = [(64, 2, 1), (40, 12, 2), (8, 30, 6), (4, 4, 40), (60, 3, 40)]  # P, R, K


@pytest.mark.parametrize("size", SIZES)
def test_the_chosen_form_is_the_cheapest_listed(size, monkeypatch):
    p, r, k = size
    tree = TokenTree.build(
        range(3, p + 3)[:40] if p < 41 else [5] * p, [[3 + i % 45] + [7] * (r - 1) for i in range(k)]
    )
    ran = []
    for form, run in engine.FORMS.items():
        spy = lambda *a, form=form, run=run, **how: ran.append(form) or run(*a, **how)  # noqa: E731
        monkeypatch.setitem(scoring.FORMS, form, spy)
    listed = costs(LLAMA, [tree])
    assert [cost.flops for cost in listed] == sorted(cost.flops for cost in listed)
    with torch.no_grad():
        scoring.leaf_logprobs(LLAMA, [tree])
    backward(LLAMA, [tree], mle)
    assert ran == [listed[0].form] * 2


def mixed(p, r, k):
    return TokenTree.build([5] * p, [[3 + i] + [7] * (r - 1) for i in range(k)])


def test_not_one_form_is_always_the_cheapest():
    long_prompt, long_answer = mixed(90, 2, 4), mixed(4, 80, 1)
    assert costs(LLAMA, [mixed(16, 16, 8)])[0].form == "paths"
    assert costs(LLAMA, [long_prompt, long_answer])[0].form == "row"  # paths would pad prompts and answers both


# --- the bound -------------------------------------------------------------------------------------------------------

SHAPES = {
    "Qwen2.5-0.5B": lambda: Qwen2Config(
        vocab_size=151936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    ),
    "Qwen2.5-1.5B": lambda: Qwen2Config(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    ),
    "Qwen3-4B": lambda: Qwen3Config(
        vocab_size=151936,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=True,
    ),
    "Llama-3.1-8B": lambda: LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    ),
}
# Published beforehand for K answers of R tokens after P: the four shapes above, then the first against a head that
# reads every place.
TABLE = {
    (256, 32, 8): (3.93, 4.20, 4.31, 4.37, 5.18),
    (512, 128, 8): (2.84, 3.06, 3.15, 3.21, 3.61),
    (1024, 128, 8): (3.89, 4.17, 4.26, 4.34, 5.07),
    (1024, 256, 16): (3.23, 3.56, 3.67, 3.78, 4.08),
    (128, 128, 8): (1.58, 1.67, 1.70, 1.73, 1.83),
    (64, 4, 100): (11.3, 12.8, 13.5, 13.8, 15.2),
}


@pytest.fixture(scope="module")
def large():
    """Weights that are counted and never made."""
    with torch.device("meta"):
        return {name: AutoModelForCausalLM.from_config(make()) for name, make in SHAPES.items()}


def star(p, r, k):
    """K answers of R fed tokens each, which share nothing but the prompt."""
    return TokenTree.build([5] * p, [[10 + i] + [7] * r for i in range(k)])


def formula(shape, p, r, k, *, every_place=False):
    """The ratio of the bound, its three terms written out for a star."""
    alone = k * (p + r)
    pairs_alone = k * (p + r) * (p + r + 1) / 2
    pairs_shared = p * (p + 1) / 2 + k * p * r + k * r * (r + 1) / 2
    attention = 4 * shape.layers * shape.width
    reads_alone = alone if every_place else k * (r + 1)  # a first token is read at the prompt's end, once for each
    return (2 * shape.body * alone + 2 * shape.head * reads_alone + attention * pairs_alone) / (
        2 * shape.body * (p + k * r) + 2 * shape.head * (1 + k * r) + attention * pairs_shared
    )


@pytest.mark.parametrize("size", TABLE)
def test_bound_is_its_formula(size, large):
    for model in large.values():
        shape = shape_of(model)
        assert bound(model, [star(*size)]) == pytest.approx(formula(shape, *size), rel=1e-12)
        every = bound(model, [star(*size)], every_place=True)
        assert every == pytest.approx(formula(shape, *size, every_place=True), rel=1e-12)


def published(shape, p, r, k, *, every_place=False):
    """The table's own count: R scored tokens an answer on both sides, and pairs as squares."""
    reads = k * (p + r) if every_place else k * r
    pairs_alone, pairs_shared = k * (p + r) ** 2 / 2, p**2 / 2 + k * p * r + k * r**2 / 2
    attention = 4 * shape.layers * shape.width
    return (2 * shape.body * k * (p + r) + 2 * shape.head * reads + attention * pairs_alone) / (
        2 * shape.body * (p + k * r) + 2 * shape.head * k * r + attention * pairs_shared
    )


@pytest.mark.parametrize("size", TABLE)
def test_shapes_and_formula_give_the_published_table(size, large):
    found = [published(shape_of(model), *size) for model in large.values()]
    found.append(published(shape_of(large["Qwen2.5-0.5B"]), *size, every_place=True))
    assert found == pytest.approx(TABLE[size], rel=0.006)


@pytest.mark.parametrize("size", [size for size in TABLE if size[1] >= 32])
def test_bound_is_near_the_published_table(size, large):
    """Apart by the one place where first tokens are read: 1/R of the head."""
    found = [bound(model, [star(*size)]) for model in large.values()]
    assert found == pytest.approx(TABLE[size][:4], rel=0.02)


def test_nothing_shared_saves_nothing():
    alone = TokenTree.build([5] * 9, [[1, 2, 3]])
    assert bound(LLAMA, [alone, alone]) == pytest.approx(1.0)
    assert bound(LLAMA, [alone], every_place=True) > 1  # the other side also reads the prompt's places


def test_a_trie_saves_more_than_a_star():
    answers = [[a, b, 2] for a in (3, 4) for b in (5, 6, 7)]
    apart = [[10 * i, *answer[1:]] for i, answer in enumerate(answers, start=1)]
    assert bound(LLAMA, [TokenTree.build([5] * 4, answers)]) > bound(LLAMA, [TokenTree.build([5] * 4, apart)])


def test_flops_grow_with_each_term():
    shape = Shape(body=10, head=5, layers=2, width=3)
    base = shape.flops(tokens=1, reads=1, pairs=1)
    assert [shape.flops(tokens=2, reads=1, pairs=1) - base, shape.flops(tokens=1, reads=2, pairs=1) - base] == [20, 10]
    assert shape.flops(tokens=1, reads=1, pairs=2) - base == 24
