"""Cells of benchmarks/gpu.py: a thousand answers of a prompt scored in one trie, in full batches, on a kept stem."""

import copy
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import _lm, cpu_lm
from benchmarks._gpu_models import MODELS
from benchmarks._gpu_tools import attending, device_of, in_turn, most_that_fit, on_gpu, peak, release, reset_peak, why
from benchmarks._lm import Batch
from mrtlab.lm import bound, costs, leaf_logprobs

REPEATS = 5
TREE_TOKENS = 16_384  # through the model at once
TOLERANCE = {"single": 1e-3, "bf16": 0.25, "against_plain": 1.5}
AIMS = {"plain": 25.0, "stem": 2.5}  # of the numbers after 64 tokens; 25 is half of what arithmetic allows
AGREEMENT = """Scores are compared with passes of single strings in single precision, nats of a whole answer, the
largest gap of all answers. A side whose model is in single precision agrees within `single`; one in bf16 within `bf16`,
or within `against_plain` times the gap of plain passes in bf16."""


@dataclass(frozen=True)
class Case:
    """A prompt of so many tokens and its answers: all numbers of so many digits, or chance tokens."""

    prompt: int
    digits: int = 0
    answers: int = 1000
    length: int = 0

    def batch(self, vocabulary: int) -> Batch:
        """The prompt and its answers, all of one length."""
        rng = np.random.default_rng(2)
        if not self.digits:
            return _lm.star(rng, prompt=self.prompt, answer=self.length, k=self.answers, vocabulary=vocabulary)
        texts = [f"{i:0{self.digits}d}" for i in range(10**self.digits)]
        return _lm.numbers(rng, prompt=self.prompt, texts=texts, vocabulary=vocabulary)


CASES = {"numbers-64": Case(64, digits=3), "numbers-512": Case(512, digits=3), "words-256-8": Case(256, length=8)}
TINY_CASES = {"numbers-6": Case(6, digits=1), "words-5-3": Case(5, answers=6, length=3)}


@dataclass(frozen=True)
class Score:
    """One model that scores all answers of a prompt."""

    model: str
    case: str

    @property
    def path(self) -> tuple[str, ...]:
        """Where the artifact keeps it."""
        return "score", self.model, self.case

    def __str__(self) -> str:
        return "/".join(self.path)

    def measure(self, *, tiny: bool, device: torch.device, rate: float) -> dict[str, Any]:
        """Time every scorer in the model's own precision, and compare with single precision."""
        with torch.no_grad():
            model = MODELS[self.model].make(tiny=tiny, device=device)
            batch = (TINY_CASES if tiny else CASES)[self.case].batch(model.config.vocab_size)
            return measure(model, batch, repeats=1 if tiny else REPEATS)

    def line(self, found: dict[str, Any]) -> str:
        """What was found, in one line."""
        if found["best"] is None:
            return "no tree form ran"
        said = [f"{found['best']} {1e3 * found['sides'][found['best']]['seconds']:.1f} ms"]
        said += [f"{side} ÷ tree {ratio:.2f}" for side, ratio in found["ratios"].items()]
        said.append(f"bound {found['bound']:.1f}")
        off = [name for name, side in found["sides"].items() if side.get("agrees") is False]
        said.append(f"log-probabilities DIFFER: {', '.join(off)}" if off else "log-probabilities agree")
        said += [f"{name}: {side['failed']}" for name, side in found["sides"].items() if "failed" in side]
        return "; ".join(said)


def measure(model: nn.Module, batch: Batch, *, repeats: int) -> dict[str, Any]:
    """Seconds, peak memory and error of every scorer."""
    model.train()  # without dropout this changes nothing but FlexAttention's choice of kernel
    device, k = device_of(model), len(batch.answers)
    plain_rows = most_that_fit(lambda rows: cpu_lm.plain_scores(model, batch, rows=rows, every_place=False), k)
    stem_rows = most_that_fit(lambda rows: cpu_lm.stem_scores(model, batch, rows=rows), k)
    runs: dict[str, tuple[str, Callable[[], torch.Tensor]]] = {
        "tree": ("sdpa", lambda: leaf_logprobs(model, [batch.tree()], max_tokens=TREE_TOKENS)[0]),
    }
    if on_gpu(model):
        runs["flex"] = ("flex_attention", lambda: leaf_logprobs(model, [batch.tree()], max_tokens=TREE_TOKENS)[0])
    if plain_rows:
        runs["plain"] = ("sdpa", lambda: cpu_lm.plain_scores(model, batch, rows=plain_rows, every_place=False))
    if stem_rows:
        runs["stem"] = ("sdpa", lambda: cpu_lm.stem_scores(model, batch, rows=stem_rows))
    sides: dict[str, dict[str, Any]] = {}
    scores: dict[str, torch.Tensor] = {}
    attended: dict[str, Callable[[], torch.Tensor]] = {}
    for name, (attention, run) in runs.items():

        def with_attention(attention: str = attention, run: Callable[[], torch.Tensor] = run) -> torch.Tensor:
            with attending(model, attention):
                return run()

        try:
            with_attention()  # compiles, and is not counted
            reset_peak(device)
            scores[name] = with_attention().float().cpu()
            sides[name] = {"peak_gib": peak(device) / 2**30}
            attended[name] = with_attention
        except Exception as error:
            sides[name] = {"failed": why(error)}
        release()
    for name, rows in (("plain", plain_rows), ("stem", stem_rows)):
        sides.setdefault(name, {"failed": "out of memory with a single row"}).setdefault("rows_in_one_pass", rows)
    for name, times in in_turn(attended, device, repeats).items():
        sides[name] |= {"seconds": statistics.median(times), "repeats": repeats}
    trees = {name: sides[name]["seconds"] for name in ("tree", "flex") if "seconds" in sides.get(name, {})}
    best = min(trees, key=trees.__getitem__) if trees else None
    tree = batch.tree()
    return {
        "answers": k,
        "tokens": tree.n_fed,
        "tokens_as_copies": tree.n_fed_apart,
        "form": costs(model, [tree])[0].form,
        "bound": bound(model, [tree]),
        "stem_bound": cpu_lm.stem_bound(model, batch, tree),
        "sides": sides,
        "best": best,
        "ratios": {side: sides[side]["seconds"] / trees[best] for side in AIMS if best and "seconds" in sides[side]},
    } | _compared(model, batch, scores, sides)


def _compared(
    model: nn.Module, batch: Batch, scores: dict[str, torch.Tensor], sides: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Gaps to single precision, written into the sides; and the tree's own gap there, where there is room for it."""
    exact, ours = _exact(model, batch)
    if exact is None:
        return {"single_precision": {"failed": "no room for a copy in single precision"}}
    gaps = {name: float((found - exact).abs().max()) for name, found in scores.items()}
    coarse = model.dtype == torch.bfloat16
    allowed = TOLERANCE["bf16" if coarse else "single"]
    if coarse and "plain" in gaps:
        allowed = max(allowed, TOLERANCE["against_plain"] * gaps["plain"])
    for name, gap in gaps.items():
        sides[name] |= {"gap_nats": gap, "agrees": gap <= allowed}
    gap = float((ours - exact).abs().max())
    return {"single_precision": {"tree_gap_nats": gap, "agrees": gap <= TOLERANCE["single"]}, "tolerance_nats": allowed}


def _exact(model: nn.Module, batch: Batch) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Plain passes in single precision, and the tree there."""
    found: list[torch.Tensor] = []
    try:
        single = copy.deepcopy(model).float()

        def plain(rows: int) -> None:
            found[:] = [cpu_lm.plain_scores(single, batch, rows=rows, every_place=False).cpu()]

        if most_that_fit(plain, len(batch.answers)):
            found.append(leaf_logprobs(single, [batch.tree()], max_tokens=TREE_TOKENS)[0].cpu())
    except torch.OutOfMemoryError:
        found = []
    release()
    return (found[0], found[1]) if len(found) == 2 else (None, None)


def cells(*, tiny: bool) -> list[Score]:
    """Those that matter most first: the numbers after a short prompt, every model; then the others."""
    if tiny:
        return [Score(next(iter(MODELS)), case) for case in TINY_CASES]
    return [Score(model, case) for case in CASES for model in MODELS]
