"""What has been measured at full scale and what has not, read off the registry and the artifacts, so that nothing is
forgotten.
"""

from dataclasses import dataclass
from pathlib import Path

from mrtlab.lab import artifacts, subject
from mrtlab.lab.artifacts import Artifact, ArtifactMissing
from mrtlab.lab.registry import EXPERIMENTS

NOT_YET = "not yet measured"
GPU = "gpu"  # name of the artifact of benchmarks/gpu.py
_CELLS = Path("benchmarks") / "gpu_cells.txt"  # its cells, one a line; a test holds the two together


@dataclass(frozen=True)
class FullScale:
    """One line of the list.

    Attributes:
        name: of the experiment, or of a cell of the GPU benchmark.
        measured: what about and where, in words; empty if it has not been.
        command: that measures it.
    """

    name: str
    measured: str
    command: str

    @property
    def state(self) -> str:
        """In words."""
        return self.measured or NOT_YET


def experiments() -> list[FullScale]:
    """Every experiment of the registry at full scale."""
    found = []
    for name in EXPERIMENTS:
        try:
            said = _said(artifacts.load(name, "full"))
        except ArtifactMissing:
            said = ""
        found.append(FullScale(name, said, f"mrtlab run {name} --scale full"))
    return found


def gpu_cells() -> list[FullScale]:
    """Every cell of the GPU benchmark; none where the package runs without its checkout."""
    root = artifacts.repository()
    if root is None or not (root / _CELLS).is_file():
        return []
    names = (root / _CELLS).read_text("utf-8").split()
    missing, said = set(names), ""
    try:
        artifact = artifacts.load(GPU, "full")
    except ArtifactMissing:
        pass
    else:
        missing = set(artifact.results["not_run"])
        said = f"{artifact.results['machine']['card']}, {artifact.provenance['created']}"
    return [
        FullScale(name, "" if name in missing else said, f"python -m benchmarks.gpu --only {name}") for name in names
    ]


def _said(artifact: Artifact) -> str:
    """Which model, which machine, when."""
    origin = artifact.provenance
    about, machine = subject.told(origin), origin["hardware"]
    parts = [str(about)] if about else []
    parts.append(machine["cpu"] if machine["gpu"] == "none" or (about and about.device == "cpu") else machine["gpu"])
    return ", ".join([*parts, origin["created"]])
