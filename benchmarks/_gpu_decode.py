"""Cells of benchmarks/gpu.py: eight adapters decoded together, one after another, and in peft's mixed batch."""

import copy
import statistics
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from benchmarks import _lm, spa_cpu
from benchmarks._gpu_models import MODELS
from benchmarks._gpu_tools import device_of, in_turn, peak, release, reset_peak, why
from benchmarks.spa_cpu import ALL, QV, Asked

CHECKED = 8  # tokens of each answer that are compared in single precision
REPEATS = 3
ASKED = {
    "1-64-64-all": Asked(1, 64, 64, ALL),
    "8-256-64-all": Asked(8, 256, 64, ALL),
    "1-64-64-qv": Asked(1, 64, 64, QV),
}
TINY_ASKED = {"1-5-4-all": Asked(1, 5, 4, ALL), "2-5-4-qv": Asked(2, 5, 4, QV)}
AIMS = {"turn": 4.0, "mixed": 1.5}
AGREEMENT = f"""All three ways must write the same {CHECKED} tokens greedily in single precision. `same_tokens` is how
many of the timed tokens agree in the model's own precision, up to the first that differs in each answer: with random
weights in bf16 the two likeliest of 150,000 tokens are often equal, and batches of other shapes round in another
order."""


@dataclass(frozen=True)
class Decode:
    """One model whose eight adapters answer: (prompts, tokens of each, tokens written, where the adapters sit)."""

    model: str
    case: str

    @property
    def path(self) -> tuple[str, ...]:
        """Where the artifact keeps it."""
        return "decode", self.model, self.case

    def __str__(self) -> str:
        return "/".join(self.path)

    def measure(self, *, tiny: bool, device: torch.device, rate: float) -> dict[str, Any]:
        """Time each way, weigh its memory, compare what is written."""
        asked = (TINY_ASKED if tiny else ASKED)[self.case]
        with torch.no_grad(), _lm.quiet():
            base = MODELS[self.model].make(tiny=tiny, device=device).eval()
            model, names = spa_cpu.with_adapters(base, asked.modules)
            found = measure(model, names, asked, repeats=1 if tiny else REPEATS)
        return found | {"same_in_single_precision": _same_in_single(model, names, asked)}

    def line(self, found: dict[str, Any]) -> str:
        """What was found, in one line."""
        ways = found["ways"]
        said = [f"stacked {ways['ours']['seconds']:.3g} s"] if "seconds" in ways["ours"] else ["stacked did not run"]
        said += [f"{way} ÷ stacked {found['ratios'][way]:.2f}" for way in AIMS if way in found["ratios"]]
        same = found["same_in_single_precision"]
        said.append({True: "same tokens", False: "tokens DIFFER", None: "tokens not compared"}[same])
        said += [f"{way}: {one['failed']}" for way, one in ways.items() if "failed" in one]
        return "; ".join(said)


def measure(model: nn.Module, names: list[str], asked: Asked, *, repeats: int) -> dict[str, Any]:
    """Seconds and peak memory of each way, and how far their tokens agree."""
    device, runs = device_of(model), spa_cpu.three_ways(model, names, asked)
    ways: dict[str, dict[str, Any]] = {}
    tokens: dict[str, list[list[int]]] = {}
    for way, run in runs.items():
        try:
            reset_peak(device)
            tokens[way] = run()  # the first call is not timed
            ways[way] = {"peak_gib": peak(device) / 2**30}
        except Exception as error:  # what one way refuses must not cost the others their numbers
            ways[way] = {"failed": why(error)}
        release()
    timed = {way: runs[way] for way in tokens}
    for way, times in in_turn(timed, device, repeats).items():
        ways[way] |= {"seconds": statistics.median(times), "repeats": repeats}
        ways[way]["tokens_per_s"] = len(names) * asked.prompts * asked.length / ways[way]["seconds"]
    ours = ways["ours"].get("seconds")
    return {
        "adapters": len(names),
        "parameters": sum(p.numel() for p in model.parameters()),
        "ways": ways,
        "ratios": {way: ways[way]["seconds"] / ours for way in AIMS if ours and "seconds" in ways[way]},
        "same_tokens": {way: _shared(tokens["ours"], tokens[way]) for way in AIMS if {"ours", way} <= tokens.keys()},
        "different_answers": len({tuple(row) for row in tokens.get("ours", [])}),
    }


def _shared(ours: list[list[int]], other: list[list[int]]) -> float:
    """Share of tokens before the first difference of each answer."""
    same = 0
    for a, b in zip(ours, other, strict=True):
        pairs = list(zip(a, b, strict=False))
        same += next((i for i, (x, y) in enumerate(pairs) if x != y), len(pairs))
    return same / sum(map(len, ours))


def _same_in_single(model: nn.Module, names: list[str], asked: Asked) -> bool | None:
    """Whether all ways write the same first tokens where nothing is rounded coarsely; None if there is no room."""
    short = replace(asked, length=min(CHECKED, asked.length))
    try:
        with torch.no_grad(), _lm.quiet():
            single = copy.deepcopy(model).float()
            said = [run() for run in spa_cpu.three_ways(single, names, short).values()]
    except torch.OutOfMemoryError:
        said = []
    release()
    return all(one == said[0] for one in said) if said else None


def cells(*, tiny: bool) -> list[Decode]:
    """Those that matter most first: one prompt, every model; then the others."""
    if tiny:
        return [Decode(next(iter(MODELS)), case) for case in TINY_ASKED]
    return [Decode(model, case) for case in ASKED for model in MODELS]
