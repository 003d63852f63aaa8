"""What is predicted from a configuration is what PyTorch allocates and computes for the real model."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, Gemma3TextConfig, GPT2Config, LlamaConfig, Qwen3Config

from mrtlab.data.records import Record
from mrtlab.lm import leaf_logprobs
from mrtlab.lm.cards import CARDS, Card, precision
from mrtlab.lm.cost import costs
from mrtlab.lm.traits import shape_of
from mrtlab.lm.tree import TokenTree
from mrtlab.training.adapter import with_adapter
from mrtlab.training.choose import Choice
from mrtlab.training.estimate import (
    estimate,
    estimate_cards,
    estimate_run,
    measured_beside,
    outline,
    pass_flops,
)
from mrtlab.training.estimate_job import job_of, star_job
from mrtlab.training.estimate_trace import recomputing, trace
from mrtlab.training.fine_tune import Settings
from mrtlab.training.method import Method

CPU = Card(
    name="a CPU", memory=8e9, float32=1e11, float16=None, bfloat16=None, bandwidth=1e10, source="made up", kind="cpu"
)
SINGLE = precision(CPU, "full")
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SIZES = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, **ENDS,
}  # fmt: skip
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=16, tie_word_embeddings=True),
    "gemma3": Gemma3TextConfig(
        **SIZES, head_dim=16, query_pre_attn_scalar=16, sliding_window=20,
        layer_types=2 * ["sliding_attention", "full_attention"],
    ),
    "gpt2": GPT2Config(
        vocab_size=300, n_positions=256, n_embd=32, n_layer=4, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, **ENDS,
    ),
}  # fmt: skip
CASES = [
    ("llama", None, False, "row"),
    ("llama", 8, False, "paths"),
    ("llama", None, False, "branches"),
    ("llama", None, True, "row"),
    ("llama", 8, True, "row"),
    ("qwen3", None, False, "branches"),
    ("qwen3", 8, True, "row"),
    ("gemma3", 8, False, "paths"),
    ("gemma3", None, False, "row"),
    ("gpt2", None, True, "row"),
    ("gpt2", 8, False, "row"),
]


def stars(n: int, *, prompt: int = 30, response: int = 6, k: int = 4) -> list[TokenTree]:
    job = star_job(prompt, response, k, vocabulary=300, prompts=n, batch=n)
    return list(job.steps[0])


def real(name: str, rank: int | None, checkpointing: bool = False, attention: str = "sdpa"):
    model = AutoModelForCausalLM.from_config(CONFIGS[name], attn_implementation=attention, dtype=torch.float32)
    if checkpointing:
        recomputing(model)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out")  # of peft, about GPT-2's layers
        return (model if rank is None else with_adapter(model, rank=rank, seed=0)).train()


def loss_of(model, trees, form):
    return -sum(logp.sum() for logp in leaf_logprobs(model, trees, form=form))


def saved_by_hooks(model, trees, form) -> int:
    weights = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_of(model, trees, form)
    return sum(kept.values())


def allocated(model, trees, form) -> int:
    """The most that PyTorch had allocated at once in a step, gradients included, by its own count."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        loss_of(model, trees, form).backward()
    events = [e for e in found.profiler.kineto_results.events() if e.name() == "[memory]"]
    alive = np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    return int(alive.max())


@pytest.mark.parametrize(("name", "rank", "checkpointing", "form"), CASES)
def test_memory_is_what_pytorch_allocates(name, rank, checkpointing, form):
    trees = stars(2)
    found = trace(
        CONFIGS[name], trees, precision=SINGLE, rank=rank, checkpointing=checkpointing, attention="sdpa", form=form
    )
    model = real(name, rank, checkpointing)
    if not checkpointing:  # hooks do not see what a checkpoint holds on to
        assert found.saved == pytest.approx(saved_by_hooks(model, trees, form), rel=0.005)
    measured = allocated(model, trees, form)
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    predicted = max(found.peak + found.gradients_at_peak, gradients + found.tail)
    assert predicted == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize(("rank", "checkpointing"), [(None, False), (8, False), (None, True), (8, True)])
def test_flops_are_those_that_pytorch_counts(rank, checkpointing):
    """Written-out attention, so that its products are counted, too; the counter knows no softmax and no norm."""
    trees, method = (
        stars(2),
        Method(kind="full" if rank is None else "lora", rank=rank or 1, checkpointing=checkpointing),
    )
    model = real("llama", rank, checkpointing, attention="eager")
    with FlopCounterMode(display=False) as counter:
        loss_of(model, trees, "row").backward()
    plain = real("llama", None)
    cost = next(cost for cost in costs(plain, trees) if cost.form == "row")
    adapter = 0 if rank is None else sum(p.numel() for p in model.parameters() if p.requires_grad)
    predicted = pass_flops(cost, shape_of(plain), method, adapter)
    assert predicted == pytest.approx(counter.get_total_flops(), rel=0.06)


def test_parameters_and_bytes_are_those_of_the_real_model():
    for kind, rank in (("full", None), ("lora", 8)):
        found = outline(CONFIGS["qwen3"], star_job(10, 3, 2, vocabulary=300, prompts=2, batch=2),
                        method=Method(kind=kind, rank=8), precision=SINGLE)  # fmt: skip
        model = real("qwen3", rank)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert found.parameters == sum(p.numel() for p in real("qwen3", None).parameters())
        assert found.trained == trained
        assert found.memory.weights == sum(p.nbytes for p in model.parameters())
        assert found.memory.gradients == 4 * trained
        assert found.memory.optimiser == 8 * trained


def test_flex_keeps_no_table_and_fewer_keys():
    trees = stars(2)
    kept = {
        attention: trace(CONFIGS["llama"], trees, precision=SINGLE, rank=8, checkpointing=False, attention=attention,
                         form="row").saved
        for attention in ("sdpa", "flex_attention")
    }  # fmt: skip
    n = trees[0].n_fed
    masks = 4 * 2 * n * n * 4  # layers · rows · n² · bytes
    repeated = 4 * 2 * n * 2 * 16 * 4  # layers · rows · n · (keys and values) · half of the width · bytes
    assert kept["sdpa"] - kept["flex_attention"] == pytest.approx(masks + repeated, rel=0.1)


def test_sixteen_bits_keep_less_and_checkpoints_still_less():
    job = star_job(30, 6, 4, vocabulary=300, prompts=4, batch=2)
    whole, half, again = (
        estimate(CONFIGS["llama"], job, method=Method(checkpointing=c), card=card)
        for card, c in ((CPU, False), (CARDS["L4"], False), (CARDS["L4"], True))
    )
    assert again.memory.peak < half.memory.peak < whole.memory.peak
    assert again.flops > half.flops
    assert half.precision.autocast == "bfloat16"
    assert not half.measured
    assert whole.measured


def test_four_bits_take_a_third_of_sixteen():
    big = LlamaConfig(**SIZES | {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 30})
    job = star_job(10, 3, 2, vocabulary=300, prompts=2, batch=2)
    four, sixteen = (
        estimate(big, job, method=Method(kind=kind, rank=2), card=CARDS["T4"]).memory.weights
        for kind in ("4bit", "lora")
    )
    assert 0.25 < four / sixteen < 0.4


@pytest.mark.parametrize("parts", [1, 2])
def test_the_largest_pass_fits_and_a_larger_one_does_not(parts):
    def made(batch: int):
        job = star_job(30, 6, 4, vocabulary=300, prompts=2 * batch, batch=batch * parts, parts=parts)
        return estimate(CONFIGS["llama"], job, method=Method(kind="full"), card=small)

    small = dataclasses.replace(CPU, memory=1e9 + 3e7)
    most = made(2).largest
    assert most > 2
    assert made(most).fits
    assert not made(most + 2).fits
    assert made(most).largest == pytest.approx(most, abs=1)
    tiny_card = dataclasses.replace(CPU, memory=1e9 + 1e5)
    assert estimate(CONFIGS["llama"], star_job(9, 3, 2, vocabulary=300, prompts=2, batch=2), method=Method(),
                    card=tiny_card).largest == 0  # fmt: skip


def test_a_run_takes_its_steps_and_more_epochs_take_more():
    job = star_job(30, 6, 4, vocabulary=300, prompts=5, batch=2)
    once = estimate(CONFIGS["llama"], job, method=Method(), card=CARDS["H100"])
    thrice = estimate(CONFIGS["llama"], dataclasses.replace(job, epochs=3), method=Method(), card=CARDS["H100"])
    assert once.steps == 3
    assert thrice.steps == 9
    assert thrice.run.hi == pytest.approx(3 * once.run.hi)
    assert once.step.lo < once.step.hi
    faster, slower = estimate_cards(CONFIGS["llama"], job, method=Method(), cards=[CARDS["H100"], CARDS["T4"]])
    assert faster.run.lo <= slower.run.lo


def test_the_estimate_of_a_run_has_the_steps_of_the_trainer(tiny):
    model, tokenizer = tiny
    records = [Record.of(f"Name a fruit, {i}.", ["plum", "pear", "fig"]) for i in range(11)]
    settings = Settings(choice=Choice(rule="random", k=2), epochs=2, batch_prompts=4, lora_rank=4)
    found = estimate_run(model, tokenizer, records, settings, CPU)
    assert found.steps == 2 * 3  # ten prompts are left to train on
    assert found.method.kind == "lora"
    assert all(
        tree.n_answers == 2 for step in job_of(model.config, tokenizer, records, settings).steps for tree in step
    )
    assert "6 steps of" in str(found)
    beside = measured_beside(found, 1e9, found.memory.peak)
    assert "outside the range" in str(beside)
    assert "(+0 %)" in str(beside)
    assert "inside" in str(measured_beside(found, (found.step.lo + found.step.hi) / 2))
    with pytest.raises(ValueError, match="positive"):
        measured_beside(found, 0.0)
    assert estimate_run(model.config, tokenizer, records, settings, CPU) == found


def test_mistakes_are_said():
    with pytest.raises(ValueError, match="method must be"):
        Method(kind="qlora")
    with pytest.raises(ValueError, match="attention must be"):
        Method(attention="flash")
    with pytest.raises(ValueError, match="rank must be"):
        Method(rank=0)
    job = star_job(5, 3, 2, vocabulary=300, prompts=2, batch=2)
    with pytest.raises(ValueError, match="form 'branches' cannot serve"):
        estimate(CONFIGS["llama"], job, method=Method(checkpointing=True, form="branches"), card=CPU)
    with pytest.raises(ValueError, match="four bits need"):
        estimate(CONFIGS["llama"], job, method=Method(kind="4bit"), card=CPU)
