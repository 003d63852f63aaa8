"""The token tree on a GPU, at the shapes of real models: a training step, an epoch, scoring, and adapters' answers.
`python -m benchmarks.gpu`.

Random weights, no network. Cells are kept as they finish: a run that was stopped goes on where it stopped, and the
artifact `gpu.full` holds all cells of this card so far. `--only qwen25-15b/full` or `--only decode score` chooses cells
by any part of their names, `--list` shows them in their order, `--again` measures finished ones anew, `--seconds` is
when the last cell may begin. `--dry-run` does everything on small shapes, on a CPU too.

Set MRTLAB_ARTIFACTS and MRTLAB_CACHE to write elsewhere than into the checkout.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from benchmarks import _gpu_cell, _gpu_decode, _gpu_epoch, _gpu_score, _gpu_tools, _lm
from benchmarks._gpu_cell import Effort
from benchmarks._gpu_models import MODELS
from mrtlab.lab import artifacts, provenance
from mrtlab.lab.artifacts import Artifact

AIMS = {
    "share_of_bound": 0.9,
    "qwen25-15b full 1024-128-8: ratio against TRL": 3.7,
    "saved_activations_ratio": 4.0,
    "decode": _gpu_decode.AIMS,
    "score": _gpu_score.AIMS,
}
AGREEMENT = {
    "cells": _gpu_cell.AGREEMENT,
    "decode": _gpu_decode.AGREEMENT,
    "score": _gpu_score.AGREEMENT,
    "epoch": _gpu_epoch.AGREEMENT,
}
TOLERANCE = {"score": _gpu_score.TOLERANCE, "epoch": _gpu_epoch.TOLERANCE}
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")
CELL_SECONDS = 15.0  # of timing a training step; loading, compiling and TRL come on top
RUN_SECONDS = 480.0  # no cell begins later, so that a run stays below nine minutes
MAIN = (1024, 128, 8)
CASES = (MAIN, (256, 32, 8), (512, 128, 8), (1024, 256, 16), (128, 128, 8), (64, 4, 100))
TINY_CASES = ((12, 4, 3), (6, 3, 5))


class Cell(Protocol):
    """Something to measure: one model at one task."""

    @property
    def path(self) -> tuple[str, ...]:
        """Where the artifact keeps it."""

    def measure(self, *, tiny: bool, device: torch.device, rate: float) -> dict[str, Any]:
        """Make the model and measure; `rate` is the FLOP/s of a large matrix product here."""

    def line(self, found: dict[str, Any]) -> str:
        """What was found, in one line."""


@dataclass(frozen=True)
class Step:
    """One model, one way to train it, one case (P, R, K): forward and backward of one prompt."""

    model: str
    method: str
    case: tuple[int, int, int]

    @property
    def path(self) -> tuple[str, ...]:
        """Where the artifact keeps it."""
        return "cells", self.model, self.method, "-".join(map(str, self.case))

    def __str__(self) -> str:
        return "/".join(self.path[1:])

    def measure(self, *, tiny: bool, device: torch.device, rate: float) -> dict[str, Any]:
        """Time every form of the tree, copies and TRL; weigh memory; compare gradients."""
        model = MODELS[self.model].make(tiny=tiny, device=device)
        if self.method == "lora":
            with _lm.quiet():
                model = _lm.with_lora(model)
        p, r, k = self.case
        batch = _lm.star(np.random.default_rng(0), prompt=p, answer=r, k=k, vocabulary=model.config.vocab_size)
        effort = Effort(
            seconds=0.2 if tiny else CELL_SECONDS,
            most_repeats=2 if tiny else 10,
            trl=not tiny or (self.model == next(iter(MODELS)) and self.case == TINY_CASES[0]),
            truth=tiny or (self.case == MAIN and sum(p.numel() for p in model.parameters()) < 2e9),
            matrix_rate=rate,
        )
        return _gpu_cell.measure(model, batch, lora=self.method == "lora", effort=effort)

    def line(self, found: dict[str, Any]) -> str:
        """What was found, in one line."""
        if found["best"] is None:
            return "no tree form ran"
        best = found["sides"][found["best"]]
        said = [
            f"{found['best']} {1e3 * best['seconds']:.1f} ms",
            f"{100 * best['share_of_matrix_rate']:.0f} % of the rate",
        ]
        if "ratio" in found:
            share = f"{100 * found['share_of_bound']:.0f} % of {found['bound']:.2f}"
            said.append(f"copies ÷ tree {found['ratio']:.2f} = {share}")
            said.append(f"saved activations ÷ {found['saved_activations_ratio']:.1f}")
        if "ratio_trl" in found:
            said.append(f"TRL ÷ tree {found['ratio_trl']:.2f}")
        if side := found["gradient"]["sides"].get(found["best"]):
            verdict = "agrees" if side["agrees"] else "DIFFERS"
            said.append(f"gradient {verdict} (cosine {side['cosine']:.5f}, distance {side['distance']:.1e})")
        said += [f"{name}: {side['failed']}" for name, side in found["sides"].items() if "failed" in side]
        return "; ".join(said)


def cells(*, tiny: bool) -> list[Cell]:
    """All cells, those that matter most first: a step of the main case for every model; then the first epoch, scores
    and answers of every model; then the other cases, small models before large ones."""
    main, *others = TINY_CASES if tiny else CASES
    steps = [Step(model, method, main) for model in MODELS for method in ("full", "lora")]
    kinds = [room.cells(tiny=tiny) for room in (_gpu_epoch, _gpu_score, _gpu_decode)]
    if tiny:
        return [
            *steps,
            *(cell for kind in kinds for cell in kind),
            *(Step(next(iter(MODELS)), "full", c) for c in others),
        ]
    first = [cell for kind in kinds for cell in kind[: len(MODELS)]]
    later = [cell for kind in kinds for cell in kind[len(MODELS) :]]
    more = [Step(model, method, case) for model in MODELS for method in ("full", "lora") for case in others]
    return [*steps, *first, *later, *more]


def measure(cell: Cell, *, tiny: bool, device: torch.device, rate: float) -> dict[str, Any]:
    """Measure a cell and let its model go."""
    began = time.perf_counter()
    try:
        found = cell.measure(tiny=tiny, device=device, rate=rate)
    except torch.OutOfMemoryError:
        return {"skipped": "out of memory before anything could be timed"}
    finally:
        _gpu_tools.release()
    return found | {"wall_s": time.perf_counter() - began}


def line(cell: Cell, found: dict[str, Any]) -> str:
    """A finished cell in one line."""
    return f"{cell}: " + (f"skipped, {found['skipped']}" if "skipped" in found else cell.line(found))


def _file(folder: Path, cell: Cell) -> Path:
    return folder / ("_".join(cell.path).removeprefix("cells_") + ".json")


def _kept(folder: Path, cell: Cell) -> dict[str, Any] | None:
    path = _file(folder, cell)
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _keep(folder: Path, cell: Cell, found: dict[str, Any]) -> dict[str, Any]:
    stamped = {"result": artifacts.rounded(found), "commit": provenance.commit(), "created": provenance.today()}
    artifacts.write_whole(_file(folder, cell), artifacts.pretty(stamped))
    return stamped


def _publish(folder: Path, *, tiny: bool, machine: dict[str, Any]) -> Path | None:
    """All finished cells as one artifact."""
    done = {cell: kept for cell in cells(tiny=tiny) if (kept := _kept(folder, cell))}
    if not done:
        return None
    found: dict[str, Any] = {}
    for cell, kept in done.items():
        *branch, leaf = cell.path
        place = found
        for step in branch:
            place = place.setdefault(step, {})
        place[leaf] = kept["result"]
    missing = [str(cell) for cell in cells(tiny=tiny) if cell not in done]
    results = found | {
        "aims": AIMS, "agreement": AGREEMENT, "tolerance": TOLERANCE, "machine": machine, "not_run": missing,
    }  # fmt: skip
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
    parser.add_argument("--list", action="store_true", help="show the cells in their order and leave")
    parser.add_argument("--again", action="store_true", help="measure finished cells anew")
    parser.add_argument("--seconds", type=float, default=RUN_SECONDS, help="no cell begins later (%(default)s)")
    chosen = parser.parse_args(argv)
    began, tiny = time.perf_counter(), chosen.dry_run
    asked = [cell for cell in cells(tiny=tiny) if not chosen.only or any(part in str(cell) for part in chosen.only)]
    if chosen.list:
        print(*asked, sep="\n")
        return
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
    late, broken = [], []
    for cell in asked:
        if not chosen.again and (kept := _kept(folder, cell)):
            print(f"(kept) {line(cell, kept['result'])}")
        elif time.perf_counter() - began > chosen.seconds:
            late.append(str(cell))
        else:
            try:
                found = measure(cell, tiny=tiny, device=device, rate=rate)
            except Exception:  # one broken cell must not stand in the way of all that come after it
                traceback.print_exc()
                broken.append(str(cell))
                continue
            print(line(cell, _keep(folder, cell, found)["result"]), flush=True)
            _publish(folder, tiny=tiny, machine=machine)
    if late:
        print(f"no time for {len(late)} cells, run the command again for them: {', '.join(late)}")
    if path := _publish(folder, tiny=tiny, machine=machine):
        print(f"written: {path.name}")
    if broken:
        sys.exit(f"broken, and not in the artifact: {', '.join(broken)}")


if __name__ == "__main__":
    main()
