"""Chapter 8, what K adapters cost to ask: all in one batch, one after another, and as peft mixes them.

CPU time of the same greedy answers, one question after another, the three ways in turn, round after round; rounds
stand in for seeds, and each draws other adapters and other questions. Answers end where they end and are cut at 24
tokens; a batch goes on until its last answer is over.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrtlab.lab import subject
from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import ratio_over_seeds
from mrtlab.lab.spa_data import questions

K, RANK, LENGTH = 8, 8, 24
WAYS = ("stacked", "switching", "mixed")


@dataclass(frozen=True, kw_only=True)
class DecodeCell:
    """One round."""

    prompts: int
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "round-seed3"."""
        return f"round-seed{self.seed}"


def cells(scale: str) -> Sequence[DecodeCell]:
    """A few rounds."""
    prompts, rounds = {"smoke": (1, 2), "book": (8, 7), "full": (32, 10)}[scale]
    return [DecodeCell(prompts=prompts, seed=seed, weights=subject.fingerprint()) for seed in range(rounds)]


def run_cell(cell: DecodeCell) -> dict[str, Any]:
    """Write the same answers in three ways.

    Returns:
        seconds: CPU time of each way, wall time on a GPU; same: share of answers that are the same text in all three.
    """
    import torch

    model, tokenizer, names = _adapted(cell.seed)
    prompts = [q.text for q in questions("programs", cell.prompts, rng=np.random.default_rng([89, cell.seed]))]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        said = {way: _WAYS[way](model, tokenizer, prompts[:1], names) for way in WAYS}  # warm
        seconds = dict.fromkeys(WAYS, 0.0)
        for way in WAYS:
            begun = _now(model)
            said[way] = _WAYS[way](model, tokenizer, prompts, names)
            seconds[way] = _now(model) - begun
    finally:
        torch.set_num_threads(threads)
    flat = {way: np.array([answer for some in rows for answer in some]) for way, rows in said.items()}
    same = (flat["stacked"] == flat["switching"]) & (flat["stacked"] == flat["mixed"])
    return {"seconds": seconds, "same": float(same.mean())}


def _now(model: Any) -> float:
    """Seconds of the process on a CPU, which others may share; of the wall on a GPU, once it has done all."""
    if model.device.type == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize(model.device)
    return time.perf_counter()


def _adapted(seed: int) -> tuple[Any, Any, list[str]]:
    """The embedded model with K adapters whose matrices are drawn, so that they say different things."""
    import torch

    from mrtlab.training.adapter import with_adapter

    model, tokenizer = subject.load()
    model = with_adapter(model, rank=RANK, seed=seed)
    config = model.peft_config["default"]
    names = [f"drawn-{k}" for k in range(K)]
    for name in names:
        model.add_adapter(name, config)
    drawn = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_B.drawn" in name:
            weight.data = 0.02 * torch.randn(weight.shape, generator=drawn).to(weight)
    return model.eval(), tokenizer, names


def _stacked(model: Any, tokenizer: Any, prompts: Sequence[str], names: Sequence[str]) -> list[list[str]]:
    from mrtlab.spa.stacked import sample_each

    found = sample_each(model, tokenizer, prompts, adapters=names, seed=0, max_new_tokens=LENGTH, batch=1)
    return [[answer for (answer,) in some] for some in found]


def _switching(model: Any, tokenizer: Any, prompts: Sequence[str], names: Sequence[str]) -> list[list[str]]:
    """Our own decoder, one adapter after another: what is left of the ratio is the batch's."""
    from mrtlab.lm.sampling import Sampler, sample

    by_adapter = []
    for name in names:
        model.set_adapter(name)
        some = sample(model, tokenizer, prompts, n=1, seed=0, sampler=Sampler(temperature=0), max_new_tokens=LENGTH)
        by_adapter.append([answer for (answer,) in some])
    return [list(some) for some in zip(*by_adapter, strict=True)]


def _mixed(model: Any, tokenizer: Any, prompts: Sequence[str], names: Sequence[str]) -> list[list[str]]:
    return [_generate(model, tokenizer, [prompt] * len(names), adapter_names=list(names)) for prompt in prompts]


def _generate(model: Any, tokenizer: Any, prompts: Sequence[str], **more: Any) -> list[str]:
    """What `generate` of transformers says, greedily."""
    import torch

    from mrtlab.lm.encode import encode_prompt
    from mrtlab.lm.sampling import end_tokens, said, to_its_end

    ids = torch.tensor([encode_prompt(tokenizer, prompt) for prompt in prompts], device=model.device)
    stops = end_tokens(model, tokenizer)
    with torch.no_grad():
        rows = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=LENGTH,
            eos_token_id=list(stops),
            pad_token_id=tokenizer.pad_token_id,
            **more,
        )
    stop = torch.tensor(stops, device=model.device)
    return [said(tokenizer, to_its_end(row, stop), set(stops)) for row in rows[:, ids.shape[1] :]]


_WAYS: dict[str, Callable[..., list[list[str]]]] = {"stacked": _stacked, "switching": _switching, "mixed": _mixed}


def summarise(outcomes: Sequence[tuple[DecodeCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact: ratios.WAY, its time over that of one stacked batch, over rounds; same; design."""
    seconds = {way: np.array([result["seconds"][way] for _, result in outcomes]) for way in WAYS}
    return {
        "ratios": {way: ratio_over_seeds(seconds[way], seconds["stacked"]) for way in WAYS[1:]},
        "same": float(np.mean([result["same"] for _, result in outcomes])),
        "design": {
            "k": K,
            "rank": RANK,
            "tokens": LENGTH,
            "prompts": outcomes[0][0].prompts,
            "rounds": len(outcomes),
        },
    }


def table(results: dict[str, Any]) -> Table:
    """Ratios of CPU time."""
    rows = [(way, f"{r['mean']:.2f} ({r['lo']:.2f} to {r['hi']:.2f})") for way, r in results["ratios"].items()]
    return Table(title="Time over that of one stacked batch, same answers.", columns=("way", "ratio"), rows=tuple(rows))
