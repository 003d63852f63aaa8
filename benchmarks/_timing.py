"""How the benchmarks time and report: both sides in one run, turn by turn, one thread, CPU time, medians.

`benchmarks/__init__.py` limits the linear-algebra libraries to one thread before any of them is loaded.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrtlab.lab import provenance

RESULTS = Path(__file__).parent / "RESULTS.md"
SECTIONS = ("selection", "metrics", "variance_sim", "bandit", "cpu_lm", "diffuse_cpu", "spa_cpu", "spa_attribution")
_HEAD = """# Benchmark results

Written by `python -m benchmarks.selection`, and by the same with `metrics`, `variance_sim`, `bandit`, `cpu_lm`,
`diffuse_cpu`, `spa_cpu` or `spa_attribution`; do not edit. Times are CPU times of this process on one core, medians of
interleaved repeats; `cpu_lm` and the last two say what they do differently. `README.md` says how to read them.
"""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One row of a table: the same work done twice.

    Attributes:
        work: what was computed, with its sizes.
        peer: who else computed it.
        ours_s: CPU seconds of our side, median.
        peer_s: CPU seconds of the peer, median.
        unit: (name, seconds) in which the times are printed.
        units_of_work: the times are divided by this, e.g. the number of prompts.
        difference: largest difference of the two results, in words or as a number.
        aim: ratio that was aimed at before the run; None where there was no aim.
    """

    work: str
    peer: str
    ours_s: float
    peer_s: float
    unit: tuple[str, float]
    difference: str
    units_of_work: int = 1
    aim: float | None = None

    @property
    def ratio(self) -> float:
        """How many times less CPU time our side takes."""
        return self.peer_s / self.ours_s

    def cells(self) -> list[str]:
        """The row as text."""
        name, seconds = self.unit
        ours, peer = (f"{t / self.units_of_work / seconds:.3g} {name}" for t in (self.ours_s, self.peer_s))
        aim = "–"
        if self.aim is not None:
            reached = self.ratio / self.aim
            aim = f"{self.aim:g}×: {'met' if reached >= 1 else f'missed, {100 * reached:.0f} % of it'}"
        return [self.work, self.peer, ours, peer, f"{self.ratio:.3g}×", aim, self.difference]


def one_core() -> None:
    """Keep this process, and the threads a library starts, on one core, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def interleaved(sides: Mapping[str, Callable[[], Any]], *, repeats: int, turn_s: float = 0.05) -> dict[str, float]:
    """Median CPU seconds of each side, run in turn so that a slow minute of the machine falls on all of them.

    A side that takes less than `turn_s` is repeated within its turn, and the time divided: the other side has just
    emptied the caches.
    """
    inner = {}
    for name, run in sides.items():
        run()  # compile, fill caches
        start = time.process_time()
        run()
        inner[name] = max(1, round(turn_s / max(time.process_time() - start, 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            start = time.process_time()
            for _ in range(inner[name]):
                run()
            seconds[name].append((time.process_time() - start) / inner[name])
    return {name: statistics.median(times) for name, times in seconds.items()}


def table(rows: Sequence[Comparison]) -> str:
    """Rows as a Markdown table."""
    head = ["work", "peer", "ours", "theirs", "ratio", "aim", "largest difference"]
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def command_line() -> argparse.ArgumentParser:
    """Command line of a benchmark: --tiny or --quick for a quick check, --out to write elsewhere."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", "--quick", action="store_true", help="small sizes, one repeat: checks that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file whose section is written (%(default)s)")
    return parser


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for on the command line."""
    return command_line().parse_args(argv)


def write_section(name: str, body: str, *, out: Path, packages: Sequence[str], cores: str = "one core") -> None:
    """Replace one section of the results file, keep the others, and print what was written."""
    machine = provenance.hardware()
    versions = ", ".join(f"{key} {value}" for key, value in provenance.versions(packages).items())
    origin = f"*{provenance.today()}, commit {provenance.commit()}; {machine['cpu']}, {cores}; {versions}.*"
    text = out.read_text("utf-8") if out.is_file() else ""
    sections = {key: _between(text, key) for key in SECTIONS}
    sections[name] = f"{body.strip()}\n\n{origin}"
    parts = [f"<!-- {key} -->\n{part}\n<!-- /{key} -->" for key, part in sections.items() if part]
    draft = out.with_suffix(".tmp")
    draft.write_text("\n\n".join([_HEAD.strip(), *parts]) + "\n", "utf-8")
    draft.replace(out)
    print(sections[name])


def _between(text: str, key: str) -> str:
    """What stands between a section's two marks; "" if it is not there."""
    _, found, rest = text.partition(f"<!-- {key} -->")
    return rest.partition(f"<!-- /{key} -->")[0].strip() if found else ""
