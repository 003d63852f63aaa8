"""Artifacts: small JSON files with the results of a run and the facts of how it came about.

The book plots artifacts and quotes their numbers; nothing in it is typed by hand. Results of *book* and *full*
runs live in the committed folder `artifacts/`; *smoke* results are for tests and live in the cache, so they can
never take the place of real ones.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mrtlab

_DIGITS = 6  # significant digits kept of a result: more would be noise in a diff
_SUMMARY = re.compile(r'\{\s+("(?:hi|lo|mean)": -?[\d.]+(?:e[-+]?\d+)?,?\s+){3}\}')
_NUMBER_LIST = re.compile(r"\[\s+((?:-?[\d.]+(?:e[-+]?\d+)?,?\s+)+)\]")


class ArtifactMissing(FileNotFoundError):  # noqa: N818 - reads as a sentence where it is caught
    """There is no artifact for this experiment and scale yet."""


@dataclass(frozen=True)
class Artifact:
    """What one run of an experiment found.

    Attributes:
        experiment: name of the experiment.
        scale: "smoke", "book" or "full".
        results: the numbers, a JSON-able tree.
        provenance: commit, versions, hardware, seeds, run time, memory, date and rule fingerprints.
    """

    experiment: str
    scale: str
    results: dict[str, Any]
    provenance: dict[str, Any]


def repository() -> Path | None:
    """Root of the checkout this package runs from; None if it is installed without one."""
    root = Path(mrtlab.__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").is_file() else None


SHIPPED = Path(__file__).parent / "shipped"  # the wheel's copy of artifacts/ (see pyproject.toml)


def artifacts_dir() -> Path:
    """Folder of the book and full artifacts: $MRTLAB_ARTIFACTS, else `artifacts/` in the checkout or here."""
    return Path(os.environ.get("MRTLAB_ARTIFACTS") or (repository() or Path()) / "artifacts")


def cache_dir() -> Path:
    """Folder of finished cells and smoke artifacts: $MRTLAB_CACHE, else `.mrtlab/` in the checkout or here."""
    return Path(os.environ.get("MRTLAB_CACHE") or (repository() or Path()) / ".mrtlab")


def artifact_path(experiment: str, scale: str) -> Path:
    """Where the artifact of an experiment and scale lives, whether or not it exists.

    >>> artifact_path("mode_lottery", "book").name
    'mode_lottery.book.json'
    """
    folder = cache_dir() / "artifacts" if scale == "smoke" else artifacts_dir()
    return folder / f"{experiment}.{scale}.json"


def save(artifact: Artifact) -> Path:
    """Write an artifact, all of it or nothing; results are rounded to six significant digits.

    Args:
        artifact: what to write.

    Returns:
        the file written, see `artifact_path`.

    Raises:
        ValueError: a result is infinite or not a number; the message names it.
    """
    content = asdict(artifact) | {"results": rounded(artifact.results)}
    path = artifact_path(artifact.experiment, artifact.scale)
    write_whole(path, pretty(content))
    return path


def load(experiment: str, scale: str = "book") -> Artifact:
    """Read the artifact of an experiment.

    Args:
        experiment: its name, for example "mode_lottery".
        scale: "smoke", "book" or "full".

    Raises:
        ArtifactMissing: it has not been made; the message says which command makes it.
        ValueError: the file is there but is not an artifact.
    """
    path = artifact_path(experiment, scale)
    shipped = SHIPPED / path.name  # of an installed package, on Colab for example: there is no checkout to look in
    if not path.exists() and shipped.exists():
        path = shipped
    try:
        content = json.loads(path.read_text("utf-8"))
        return Artifact(**content)
    except FileNotFoundError:
        raise ArtifactMissing(
            f"no artifact {path.name} yet; make it with: mrtlab run {experiment} --scale {scale}"
        ) from None
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path} is not an artifact written by `mrtlab run`: {error}") from None


def value(ref: str) -> Any:
    """Look up one number by its reference, "EXPERIMENT.SCALE#dotted.path"; list entries by their index.

    Args:
        ref: for example "mode_lottery.book#arms.grow.k8.final.nll.sd".

    Raises:
        ValueError: the reference does not have this form.
        LookupError: the path leads nowhere; the message lists the keys at the level where it failed.
        ArtifactMissing: the artifact has not been made.
    """
    match = re.fullmatch(r"([^.#]+)\.([^.#]+)#([^#]+)", ref)
    if not match:
        raise ValueError(
            f"{ref!r} is not a reference to a result; expected EXPERIMENT.SCALE#path, "
            f"for example mode_lottery.book#floors.entropy"
        )
    experiment, scale, path = match.groups()
    return lookup(load(experiment, scale).results, path, name=f"{experiment}.{scale}")


def lookup(tree: Any, path: str, *, name: str = "results") -> Any:
    """Follow a dotted path into nested dicts and lists. A key may itself be a number with a dot, such as 0.2.

    Raises:
        LookupError: a step of the path does not exist; the message lists what does.

    >>> lookup({"arms": [{"sd": 1.5}]}, "arms.0.sd")
    1.5
    >>> lookup({"stops": {"0.2": {"passes": 7}}}, "stops.0.2.passes")
    7
    """
    here, so_far, steps = tree, name, path.split(".")
    while steps:
        if isinstance(here, Mapping):
            choices = {str(key): key for key in here}
        elif isinstance(here, list):
            choices = {str(index): index for index in range(len(here))}
        else:
            choices = {}
        step = steps.pop(0)
        if step not in choices and steps and f"{step}.{steps[0]}" in choices:
            step = f"{step}.{steps.pop(0)}"
        if step not in choices:
            known = ", ".join(choices) or "nothing, it is a single value"
            raise LookupError(f"{so_far} has no {step!r}; it has: {known}")
        here, so_far = here[choices[step]], f"{so_far}.{step}"
    return here


def rounded(tree: Any, *, name: str = "results") -> Any:
    """Round every float of a tree to six significant digits and refuse those JSON cannot hold.

    Raises:
        ValueError: a number is infinite or not a number.

    >>> rounded({"sd": 1.23456789, "n": 7})
    {'sd': 1.23457, 'n': 7}
    """
    if isinstance(tree, Mapping):
        return {key: rounded(child, name=f"{name}.{key}") for key, child in tree.items()}
    if isinstance(tree, list | tuple):
        return [rounded(child, name=f"{name}.{index}") for index, child in enumerate(tree)]
    if isinstance(tree, float):
        if tree != tree or tree in (float("inf"), float("-inf")):
            raise ValueError(f"{name} is {tree}, which an artifact cannot hold")
        return float(f"{tree:.{_DIGITS}g}")
    return tree


def pretty(content: Any) -> str:
    """JSON that reads and diffs well: keys in order, two spaces, a list of numbers or a mean with its ends on one line.

    >>> print(pretty({"tv": {"mean": 0.5, "lo": 0.25, "hi": 1}}), end="")
    {
      "tv": {"hi": 1, "lo": 0.25, "mean": 0.5}
    }
    """
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    text = _SUMMARY.sub(lambda m: "{" + " ".join(m[0][1:-1].split()) + "}", text)
    return _NUMBER_LIST.sub(lambda m: "[" + " ".join(m[1].split()) + "]", text) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes private files; an artifact is for everybody
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
