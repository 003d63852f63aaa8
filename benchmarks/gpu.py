"""The token tree on a GPU: tree step, copies and TRL at the shapes of real models. `python -m benchmarks.gpu`.

Random weights, no network. Cells are kept as they finish: a run that was stopped goes on where it stopped, and the
artifact `gpu.full` holds all cells of this card so far. `--only qwen25-15b/full` chooses cells by any part of their
names, `--again` measures finished ones anew, `--seconds` is when the last cell may begin. `--dry-run` does everything
on small shapes, on a CPU too.

Set MRTLAB_ARTIFACTS and MRTLAB_CACHE to write elsewhere than into the checkout.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import _gpu_cell, _gpu_tools, _lm
from benchmarks._gpu_cell import Effort
from mrtlab.lab import artifacts, provenance
from mrtlab.lab.artifacts import Artifact

AIMS = {
    "share_of_bound": 0.9,
    "qwen25-15b full 1024-128-8: ratio against TRL": 3.7,
    "saved_activations_ratio": 4.0,
}
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")
CELL_SECONDS = 15.0  # of timing; loading, compiling and TRL come on top
RUN_SECONDS = 480.0  # no cell begins later, so that a run stays below nine minutes
MAIN = (1024, 128, 8)
CASES = (MAIN, (256, 32, 8), (512, 128, 8), (1024, 256, 16), (128, 128, 8), (64, 4, 100))
TINY_CASES = ((12, 4, 3), (6, 3, 5))


@dataclass(frozen=True)
class Model:
    """The shape of a published model."""

    kind: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool

    def make(self, *, tiny: bool, device: torch.device) -> nn.Module:
        """The model with random weights: bf16, on the device; or tiny, in single precision."""
        from transformers import AutoConfig, AutoModelForCausalLM

        sizes = {
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_size,
            "vocab_size": self.vocabulary,
        }
        if tiny:
            sizes |= {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}
            sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64}
        config = AutoConfig.for_model(
            self.kind, **sizes, max_position_embeddings=8192, tie_word_embeddings=self.tied,
            pad_token_id=0, bos_token_id=1, eos_token_id=_lm.EOS,
        )  # fmt: skip
        torch.manual_seed(0)
        with device:
            return AutoModelForCausalLM.from_config(
                config, dtype=torch.float32 if tiny else torch.bfloat16, attn_implementation="sdpa"
            )


MODELS = {
    "qwen25-15b": Model("qwen2", 1536, 8960, 28, 12, 2, 128, 151936, True),
    "qwen25-05b": Model("qwen2", 896, 4864, 24, 14, 2, 64, 151936, True),
    "qwen3-4b": Model("qwen3", 2560, 9728, 36, 32, 8, 128, 151936, True),
    "llama31-8b": Model("llama", 4096, 14336, 32, 32, 8, 128, 128256, False),
}


@dataclass(frozen=True)
class Cell:
    """One model, one way to train it, one case (P, R, K)."""

    model: str
    method: str
    case: tuple[int, int, int]

    @property
    def key(self) -> tuple[str, str, str]:
        """Where the artifact keeps it."""
        return self.model, self.method, "-".join(map(str, self.case))

    def __str__(self) -> str:
        return "/".join(self.key)


def cells(*, tiny: bool) -> list[Cell]:
    """All cells, those that matter most first: the main case for every model, then the other cases, small models
    before large ones."""
    main, *others = TINY_CASES if tiny else CASES
    first = [Cell(model, method, main) for model in MODELS for method in ("full", "lora")]
    if tiny:
        return first + [Cell(next(iter(MODELS)), "full", case) for case in others]
    return first + [Cell(model, method, case) for model in MODELS for method in ("full", "lora") for case in others]


def measure(cell: Cell, *, tiny: bool, device: torch.device, rate: float) -> dict[str, Any]:
    """Make the model, measure, and let it go."""
    try:
        model = MODELS[cell.model].make(tiny=tiny, device=device)
        if cell.method == "lora":
            with _lm.quiet():
                model = _lm.with_lora(model)
        p, r, k = cell.case
        vocabulary = model.config.vocab_size
        batch = _lm.star(np.random.default_rng(0), prompt=p, answer=r, k=k, vocabulary=vocabulary)
        effort = Effort(
            seconds=0.2 if tiny else CELL_SECONDS,
            most_repeats=2 if tiny else 10,
            trl=not tiny or (cell.model == next(iter(MODELS)) and cell.case == TINY_CASES[0]),
            truth=tiny or (cell.case == MAIN and sum(p.numel() for p in model.parameters()) < 2e9),
            matrix_rate=rate,
        )
        return _gpu_cell.measure(model, batch, lora=cell.method == "lora", effort=effort)
    except torch.OutOfMemoryError:
        return {"skipped": "out of memory before anything could be timed"}
    finally:
        model = None
        _gpu_tools.release()


def line(cell: Cell, found: dict[str, Any]) -> str:
    """A finished cell in one line."""
    if "skipped" in found:
        return f"{cell}: skipped, {found['skipped']}"
    if found["best"] is None:
        return f"{cell}: no tree form ran"
    best = found["sides"][found["best"]]
    said = [
        f"{found['best']} {1e3 * best['seconds']:.1f} ms",
        f"{100 * best['share_of_matrix_rate']:.0f} % of the rate",
    ]
    if "ratio" in found:
        said.append(
            f"copies ÷ tree {found['ratio']:.2f} = {100 * found['share_of_bound']:.0f} % of {found['bound']:.2f}"
        )
        said.append(f"saved activations ÷ {found['saved_activations_ratio']:.1f}")
    if "ratio_trl" in found:
        said.append(f"TRL ÷ tree {found['ratio_trl']:.2f}")
    if side := found["gradient"]["sides"].get(found["best"]):
        verdict = "agrees" if side["agrees"] else "DIFFERS"
        said.append(f"gradient {verdict} (cosine {side['cosine']:.5f}, distance {side['distance']:.1e})")
    said += [f"{name}: {side['failed']}" for name, side in found["sides"].items() if "failed" in side]
    return f"{cell}: " + "; ".join(said)


def _kept(folder: Path, cell: Cell) -> dict[str, Any] | None:
    path = folder / ("_".join(cell.key) + ".json")
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _keep(folder: Path, cell: Cell, found: dict[str, Any]) -> dict[str, Any]:
    stamped = {"result": artifacts.rounded(found), "commit": provenance.commit(), "created": provenance.today()}
    artifacts.write_whole(folder / ("_".join(cell.key) + ".json"), artifacts.pretty(stamped))
    return stamped


def _publish(folder: Path, *, tiny: bool, machine: dict[str, Any]) -> Path | None:
    """All finished cells as one artifact."""
    done = {cell: kept for cell in cells(tiny=tiny) if (kept := _kept(folder, cell))}
    if not done:
        return None
    tree: dict[str, Any] = {}
    for cell, kept in done.items():
        model, method, case = cell.key
        tree.setdefault(model, {}).setdefault(method, {})[case] = kept["result"]
    missing = [str(cell) for cell in cells(tiny=tiny) if cell not in done]
    results = {"aims": AIMS, "agreement": _gpu_cell.AGREEMENT, "cells": tree, "machine": machine, "not_run": missing}
    scale = "smoke" if tiny else "full"
    origin = provenance.collect(
        scale=scale,
        seeds=[0],
        wall_s=sum(kept["result"].get("wall_s", 0.0) for kept in done.values()),
        peak_mb=provenance.peak_memory_mb(),
        rules={},
        commits=sorted({kept["commit"] for kept in done.values()}),
        created=max(kept["created"] for kept in done.values()),
        packages=PACKAGES,
    )
    return artifacts.save(Artifact("gpu", scale, results, origin))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is not measured yet, as long as there is time, and write the artifact after every cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="small shapes of everything, single precision")
    parser.add_argument("--only", nargs="*", default=[], help="cells whose name holds any of these")
    parser.add_argument("--again", action="store_true", help="measure finished cells anew")
    parser.add_argument("--seconds", type=float, default=RUN_SECONDS, help="no cell begins later (%(default)s)")
    chosen = parser.parse_args(argv)
    began, tiny = time.perf_counter(), chosen.dry_run
    if not tiny and not torch.cuda.is_available():
        parser.error("no GPU here: pass --dry-run for small shapes on a CPU")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    folder = artifacts.cache_dir() / "gpu" / ("dry" if tiny else "full") / card.replace(" ", "-").replace("/", "-")
    _gpu_tools.seed_flex(compiled=device.type == "cuda")
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    size = 256 if tiny else 8192
    rate = _gpu_tools.matrix_rate(device, size=size, dtype=dtype)
    memory = torch.cuda.get_device_properties(device).total_memory / 2**30 if device.type == "cuda" else None
    machine = {"card": card, "memory_gib": memory, "matrix_tflops": rate / 1e12, "matrix_size": size}
    print(f"{card}: {rate / 1e12:.3g} TFLOP/s on a {size} × {size} {str(dtype).removeprefix('torch.')} product")
    asked = [cell for cell in cells(tiny=tiny) if not chosen.only or any(part in str(cell) for part in chosen.only)]
    late = []
    for cell in asked:
        if not chosen.again and (kept := _kept(folder, cell)):
            print(f"(kept) {line(cell, kept['result'])}")
        elif time.perf_counter() - began > chosen.seconds:
            late.append(str(cell))
        else:
            found = measure(cell, tiny=tiny, device=device, rate=rate)
            print(line(cell, _keep(folder, cell, found)["result"]), flush=True)
            _publish(folder, tiny=tiny, machine=machine)
    if late:
        print(f"no time for {len(late)} cells, run the command again for them: {', '.join(late)}")
    if path := _publish(folder, tiny=tiny, machine=machine):
        print(f"written: {path.name}")


if __name__ == "__main__":
    main()
