"""SPA on a CPU: the gradient of every example in one pass, and eight adapters asked in one batch.
`python -m benchmarks.spa_cpu`.

`--quick` is a smoke run with a tiny model.
"""

import copy
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from benchmarks import _lm
from benchmarks._lm import Seconds
from benchmarks._timing import command_line, write_section
from mrtlab.spa.gradients import Example, Padded, batch_gradients, lora_factors
from mrtlab.spa.stacked import sample_each, stacked
from mrtlab.training.adapter import with_adapter

ADAPTERS = 8
GRADIENT_GAP = 1e-5  # ‖difference‖ ÷ ‖gradient‖ of any example

PREDICTION = """**Before the run.** *Gradients.* The hooks add a small product for each matrix and example, and save the
sum over the batch; the backward pass ends at the first adapter. What a first form lost, 24 % at T = 8, was copying all
gradients into new memory; they are now written where they stay, and a first look gave 2 to 9 % over a plain step.
Prediction: 1.05, 1.03 and 1.0 times a plain step at T = 8, 16 and 64. Earlier figures against the loop and against
vmap were 4.4, 2.8, 1.4 and 1.5, 1.13, 0.95; without the copies 5, 3.2, 1.5 and 1.8, 1.3, 1.05. *Decoding.* With a
batch of 8 rows reading the base model's weights costs what it costs one row, and stacked weights add two products to a
layer: 4.1× against one adapter after another and 1.3× (q, v) to 1.5× (all layers) against peft's mixed batch, as
earlier tests gave. With 4 prompts at once every side has batches: 2× and 1.2×."""

READING = """**How to read it.** Random Llamas of width 512 with a vocabulary of 8192 words, single precision, 1 thread:
4 layers and LoRA of rank 8 on all linear layers ({numbers:,} numbers in a gradient) for gradients, 8 layers and rank 16
for decoding. Times are CPU times, medians of {repeats} turns; all sides of a row take turns. *A plain step*: forward
and backward of the whole batch for the adapter's weights, no optimiser. *Ours*: `batch_gradients` into memory that is
used again, as `gradients_of` and `collect` use it; *in new memory*: the same call without it, where the system hands
out every page anew. *Loop*: autograd, a pass for each example. *vmap*: `torch.func.vmap(grad)` with eager attention,
since SDPA does not run under it. *Error*: largest ‖difference‖ ÷ ‖gradient‖ of any example, against loop and vmap; the
run is refused above {gap:g}. *Decoding*: {length} tokens, greedy, {adapters} adapters; *in turn*: `set_adapter` and
`generate`, all prompts of a row in one batch; *mixed*: peft's `adapter_names`, all rows in one batch; ours:
`sample_each`. All three say the same tokens, or the run is refused."""


@dataclass(frozen=True)
class Passes:
    """Examples of one length whose gradients are taken in one pass."""

    n: int
    length: int
    repeats: int = 3
    aim_loop: float | None = None


@dataclass(frozen=True)
class Asked:
    """Prompts that eight adapters answer."""

    prompts: int
    prompt: int
    length: int
    modules: tuple[str, ...] | str
    repeats: int = 3
    aims: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """What is asked of what."""
        where = self.modules if isinstance(self.modules, str) else ", ".join(self.modules)
        return f"{self.prompts} prompt{'s' * (self.prompts > 1)} of {self.prompt} tokens, {where}"


PASSES = (Passes(64, 8, aim_loop=4.0), Passes(64, 16), Passes(32, 64))
TINY_PASSES = (Passes(4, 6, repeats=1),)
QV, ALL = ("q_proj", "v_proj"), "all-linear"
ASKED = (Asked(1, 32, 32, QV, aims=(4.0, 1.5)), Asked(1, 64, 32, ALL, aims=(4.0, 1.5)), Asked(4, 32, 32, ALL))
TINY_ASKED = (Asked(1, 5, 4, QV, repeats=1), Asked(2, 5, 4, ALL, repeats=1))


def llama(layers: int, *, tiny: bool) -> nn.Module:
    """A random Llama in evaluation mode."""
    from transformers import LlamaConfig, LlamaForCausalLM

    size = {"hidden_size": 32, "intermediate_size": 64, "vocab_size": 64, "num_attention_heads": 4}
    if not tiny:
        size = {"hidden_size": 512, "intermediate_size": 1408, "vocab_size": 8192, "num_attention_heads": 8}
    torch.manual_seed(0)
    config = LlamaConfig(
        **size, num_hidden_layers=layers, num_key_value_heads=size["num_attention_heads"] // 2, pad_token_id=0,
        bos_token_id=1, eos_token_id=_lm.EOS, attn_implementation="sdpa",
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def stirred(model: nn.Module, *, std: float) -> nn.Module:
    """Chance numbers in every B: zeros would make gradients of A vanish, and all adapters say the same."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=std)
    return model


# Gradients -----------------------------------------------------------------------------------------------------------


def examples(passes: Passes, vocabulary: int) -> list[Example]:
    """Random tokens: half of what is fed is the prompt."""
    ids = np.random.default_rng(0).integers(_lm.FIRST_WORD, vocabulary, (passes.n, passes.length + 1))
    half = passes.length // 2
    return [Example(tuple(row[:half].tolist()), tuple(row[half:].tolist())) for row in ids]


def plain_step(model: nn.Module, some: Sequence[Example]) -> None:
    """Forward and backward of the summed loss for the adapter's weights; gradients are dropped."""
    batch = Padded.of(some, torch.device("cpu"))
    batch.losses(batch.logits(model)).sum().backward()
    model.zero_grad()


def loop(model: nn.Module, some: Sequence[Example], out: torch.Tensor) -> torch.Tensor:
    """A pass for each example."""
    weights = [factor.module.weight for factor in lora_factors(model)]
    for row, example in zip(out, some, strict=True):
        batch = Padded.of([example], torch.device("cpu"))
        torch.cat([g.flatten() for g in torch.autograd.grad(batch.losses(batch.logits(model))[0], weights)], out=row)
    return out


@contextmanager
def eager(model: nn.Module) -> Iterator[None]:
    """Attention that vmap can run."""
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")


def vmapped(model: nn.Module, some: Sequence[Example]) -> torch.Tensor:
    """`torch.func.vmap(grad)` over the batch."""
    factors = lora_factors(model)
    weights = {factor.parameter: factor.module.weight.detach() for factor in factors}
    batch = Padded.of(some, torch.device("cpu"))

    def loss(weights: dict[str, torch.Tensor], tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        inputs = {"input_ids": tokens[None], "use_cache": False, "logits_to_keep": batch.keep}
        logits = functional_call(model, weights, args=(), kwargs=inputs).logits[0]
        return nn.functional.cross_entropy(logits, targets)

    with eager(model):
        found = vmap(grad(loss), in_dims=(None, 0, 0))(weights, batch.tokens, batch.targets)
    return torch.cat([found[factor.parameter].flatten(1) for factor in factors], dim=1)


def gap(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest relative error of a row."""
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1)).max())


def gradient_row(passes: Passes, *, tiny: bool) -> list[str]:
    """One row of the table of gradients.

    Raises:
        RuntimeError: the sides find other gradients.
    """
    with _lm.quiet():
        model = stirred(with_adapter(llama(2 if tiny else 4, tiny=tiny), rank=8, seed=0), std=0.01)
    some = examples(passes, model.config.vocab_size)
    ours = batch_gradients(model, some)
    alone = torch.empty_like(ours)
    with _lm.quiet():
        error = max(gap(ours, loop(model, some, alone)), gap(ours, vmapped(model, some)))
        if error > GRADIENT_GAP:
            raise RuntimeError(f"gradients of {passes.n} examples of {passes.length} tokens differ by {error:.1e}")
        times = _lm.in_turns(
            {
                "plain": lambda: plain_step(model, some),
                "ours": lambda: batch_gradients(model, some, out=ours),
                "new": lambda: batch_gradients(model, some),
                "loop": lambda: loop(model, some, alone),
                "vmap": lambda: vmapped(model, some),
            },
            repeats=passes.repeats,
        )
    one = times["ours"]
    over = {name: times[name].cpu / one.cpu for name in ("loop", "vmap")}
    share, wall = one.cpu / times["plain"].cpu, one.wall / times["plain"].wall
    return [
        f"T={passes.length}, N={passes.n}",
        *(f"{times[name].cpu:.3g} s" for name in ("plain", "ours")),
        f"{share:.3g}",
        f"{wall:.3g}",
        f"≤ 1.15: {'met' if share <= 1.15 else 'missed'}",
        f"{times['new'].cpu / times['plain'].cpu:.3g}",
        f"{over['loop']:.3g}×",
        said_aim(over["loop"], passes.aim_loop),
        f"{over['vmap']:.3g}×",
        said_aim(over["vmap"], 1.0),
        f"{error:.0e}",
    ]


def said_aim(ratio: float, aim: float | None) -> str:
    """Whether an aim was reached."""
    if aim is None:
        return "–"
    return f"{aim:g}×: {'met' if ratio >= aim else f'missed, {100 * ratio / aim:.0f} % of it'}"


# Decoding ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Words:
    """As much of a tokenizer as decoding needs: texts are numbers in words, and the end is a token never said."""

    eos_token_id: int
    chat_template: None = None

    def __call__(self, text: str) -> dict[str, list[int]]:
        """The ids of a text."""
        return {"input_ids": [int(word) for word in text.split()]}

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """The text of ids; none of them is special."""
        return " ".join(map(str, ids))


def with_adapters(base: nn.Module, modules: tuple[str, ...] | str) -> tuple[nn.Module, list[str]]:
    """A model with eight adapters of rank 16 that say different things, as precise as it is, and their names."""
    from peft import LoraConfig, get_peft_model

    names = [f"adapter-{k}" for k in range(ADAPTERS)]
    how = {"r": 16, "lora_alpha": 16, "task_type": "CAUSAL_LM"}
    config = LoraConfig(target_modules=modules if isinstance(modules, str) else list(modules), **how)
    model = get_peft_model(base, config, adapter_name=names[0], autocast_adapter_dtype=False)
    for name in names[1:]:
        model.add_adapter(name, copy.deepcopy(config), autocast_adapter_dtype=False)
    model.get_base_model().generation_config.eos_token_id = None
    return stirred(model, std=0.05).eval(), names


def generated(model: nn.Module, rows: torch.Tensor, length: int, **more: Any) -> list[list[int]]:
    """What `generate` writes behind the rows, greedily."""
    written = model.generate(
        input_ids=rows, attention_mask=torch.ones_like(rows), do_sample=False, min_new_tokens=length,
        max_new_tokens=length, pad_token_id=0, **more,
    )  # fmt: skip
    return written[:, rows.shape[1] :].tolist()


def three_ways(model: nn.Module, names: list[str], asked: Asked) -> dict[str, Callable[[], list[list[int]]]]:
    """Each way to the same tokens, rows adapter by adapter."""
    vocabulary = model.config.vocab_size
    prompts = torch.from_numpy(
        np.random.default_rng(3).integers(_lm.FIRST_WORD, vocabulary, (asked.prompts, asked.prompt))
    )
    prompts = prompts.to(model.device)
    texts = [" ".join(map(str, row)) for row in prompts.tolist()]
    tokenizer = Words(eos_token_id=vocabulary)

    def ours() -> list[list[int]]:
        each = sample_each(model, tokenizer, texts, adapters=names, seed=0, max_new_tokens=asked.length)
        return [[int(word) for word in by_name[k][0].split()] for k in range(len(names)) for by_name in each]

    def in_turn() -> list[list[int]]:
        found = []
        for name in names:
            model.set_adapter(name)
            found += generated(model, prompts, asked.length)
        return found

    def mixed() -> list[list[int]]:
        rows = prompts.repeat(len(names), 1)
        return generated(model, rows, asked.length, adapter_names=[name for name in names for _ in prompts])

    return {"ours": ours, "turn": in_turn, "mixed": mixed}


def decoding_row(asked: Asked, *, tiny: bool) -> tuple[list[str], dict[str, Seconds]]:
    """One row of the table of decoding, and what one more token costs.

    Raises:
        RuntimeError: not all three ways write the same tokens, or all adapters do.
    """
    with torch.no_grad(), _lm.quiet():
        model, names = with_adapters(llama(2 if tiny else 8, tiny=tiny), asked.modules)
        ways = three_ways(model, names, asked)
        said = {name: way() for name, way in ways.items()}
        if not said["ours"] == said["turn"] == said["mixed"]:
            raise RuntimeError(f"{asked.name}: the three ways do not write the same tokens")
        if len({tuple(row) for row in said["ours"]}) == 1 and not tiny:
            raise RuntimeError(f"{asked.name}: all adapters write the same, which would prove nothing")
        times = _lm.in_turns(ways, repeats=asked.repeats)
        token = one_token(model, names, asked, tiny=tiny)
    against = []
    for name, aim in zip(("turn", "mixed"), asked.aims or (None, None), strict=True):
        ratio, wall = times[name].cpu / times["ours"].cpu, times[name].wall / times["ours"].wall
        against += [f"{ratio:.3g}×", f"{wall:.3g}×", said_aim(ratio, aim)]
    return [
        asked.name,
        *(f"{times[name].cpu:.3g} s" for name in ("ours", "turn", "mixed")),
        *against,
        f"{len({tuple(row) for row in said['ours']})} of {len(said['ours'])}",
    ], token


def one_token(model: nn.Module, names: list[str], asked: Asked, *, tiny: bool) -> dict[str, Seconds]:
    """One more token for all rows, the prompt's keys and values behind it: the base model alone, and ours."""
    from transformers import DynamicCache

    rows = len(names) * asked.prompts
    one, prompt = (torch.full((rows, t), _lm.FIRST_WORD) for t in (1, asked.prompt))

    def step(model: nn.Module) -> Callable[[], None]:
        cache = DynamicCache(config=model.config)
        model(input_ids=prompt, past_key_values=cache, use_cache=True)

        def go() -> None:
            model(input_ids=one, past_key_values=cache, use_cache=True)
            cache.crop(-1)  # as it was

        return go

    with stacked(model, names):
        sides = {"base": step(llama(2 if tiny else 8, tiny=tiny)), "ours": step(model)}
        return _lm.in_turns(sides, repeats=1 if tiny else 15)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and write the section."""
    chosen = command_line().parse_args(argv)
    torch.set_num_threads(1)
    tiny, load = chosen.tiny, [os.getloadavg()[0]]
    gradients, decoding, tokens = [], [], []
    for passes in TINY_PASSES if tiny else PASSES:
        gradients.append(gradient_row(passes, tiny=tiny))
        print(" | ".join(gradients[-1]), file=sys.stderr)
    for asked in TINY_ASKED if tiny else ASKED:
        row, token = decoding_row(asked, tiny=tiny)
        decoding.append(row)
        tokens.append(
            f"{asked.name}: {1e3 * token['ours'].cpu:.3g} ms, of which the base model {1e3 * token['base'].cpu:.3g}"
        )
        print(" | ".join(row), file=sys.stderr)
    load.append(os.getloadavg()[0])
    reading = READING.format(
        numbers=width(tiny=tiny), repeats=PASSES[0].repeats, gap=GRADIENT_GAP,
        length=ASKED[0].length, adapters=ADAPTERS,
    )  # fmt: skip
    bounds = (
        "**What bounds it.** A pass can hardly cost less than a plain step, and a ratio below 1 is what it saves below "
        "the first adapter and in sums over the batch. The loop and vmap lose what a matrix product gains by being "
        "large, which is little from some 64 tokens on. Decoding: eight rows cannot be written faster than by the base "
        f"model. One more token for all rows takes, {'; '.join(tokens)}. Others used the machine: the load was "
        f"{load[0]:.1f} before and {load[1]:.1f} after, on {os.cpu_count()} cores."
    )
    one = ["examples", "plain step", "ours", "ours ÷ plain", "by wall", "aim", "in new memory", "loop ÷ ours", "aim"]
    other = ["asked", "ours", "in turn", "mixed", "in turn ÷ ours", "by wall", "aim", "mixed ÷ ours", "by wall", "aim"]
    body = [
        "## SPA on a CPU: gradients of every example, eight adapters at once",
        PREDICTION,
        table([*one, "vmap ÷ ours", "aim", "error"], gradients),
        table([*other, "different answers"], decoding),
        reading,
        bounds,
    ]
    write_section(
        "spa_cpu", "\n\n".join(body), out=chosen.out, packages=("torch", "transformers", "peft"), cores="1 thread"
    )


def width(*, tiny: bool) -> int:
    """Numbers in the gradient of an example."""
    with _lm.quiet():
        model = with_adapter(llama(2 if tiny else 4, tiny=tiny), rank=8, seed=0)
    return sum(factor.module.weight.numel() for factor in lora_factors(model))


if __name__ == "__main__":
    main()
