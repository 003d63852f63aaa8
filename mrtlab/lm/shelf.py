"""What models there are on this machine, found without loading any: the embedded one and its frozen fingerprint."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EMBEDDED = Path(__file__).parent / "embedded"
WEIGHTS = "model.safetensors"
SUMS = "SHA256SUMS"  # as sha256sum writes and checks it
CARD = "README.md"
ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_RUN = "run.json"  # of `mrtlab train`
_FROZEN = (WEIGHTS, "config.json", "tokenizer.json")


@dataclass(frozen=True)
class Shelved:
    """A model in a folder.

    Attributes:
        folder: where it is.
        parameters: how many numbers its weights hold.
        bytes: size of the file of weights.
        sha256: fingerprint of that file, 64 hexadecimal digits.
        check: "frozen" if all files are those that were frozen, "changed" if not, "not frozen" if none ever were.
        recipe: what it was trained by, if it says so.
    """

    folder: Path
    parameters: int
    bytes: int
    sha256: str
    check: str
    recipe: dict[str, Any] | None

    @property
    def card(self) -> Path | None:
        """Its model card, if there is one."""
        return path if (path := self.folder / CARD).is_file() else None


@dataclass(frozen=True)
class Adapter:
    """An adapter of peft's in a folder: what is added to a base model.

    Attributes:
        folder: where it is.
        base: name of the model that it belongs to; None if it does not say.
        rank: of its matrices, None if it has none.
        parameters: how many numbers its weights hold.
        bytes: size of the file of weights.
        sha256: fingerprint of that file, 64 hexadecimal digits.
        run: what its training kept in run.json, if it was made by `mrtlab train`.
    """

    folder: Path
    base: str | None
    rank: int | None
    parameters: int
    bytes: int
    sha256: str
    run: dict[str, Any] | None

    @property
    def card(self) -> Path | None:
        """Its model card, if there is one."""
        return path if (path := self.folder / CARD).is_file() else None

    @property
    def trained_on(self) -> str | None:
        """File, prompts, rule and epochs of its training, as far as they are known."""
        if not self.run or "source" not in self.run:
            return None
        said = [str(self.run["source"].get("file"))]
        if (count := self.run.get("prompts", {}).get("train")) is not None:
            said.append(f"{count:,} prompts")
        settings = self.run.get("settings", {})
        if choice := settings.get("choice"):
            said.append("all responses" if choice["rule"] == "all" else f"{choice['rule']} {choice['k']} responses")
        if "epochs" in settings:
            said.append(f"{settings['epochs']} epochs")
        return ", ".join(said)


def look_at_adapter(folder: Path) -> Adapter | None:
    """The adapter in a folder, or None if there is none with its weights in safetensors.

    Raises:
        ValueError: its configuration is no JSON object.
    """
    weights = folder / ADAPTER_WEIGHTS
    if not weights.is_file() or not (folder / ADAPTER).is_file():
        return None
    config = _object(folder / ADAPTER)
    if config is None:
        raise ValueError(f"{folder / ADAPTER} is no JSON object: copy or train the adapter anew")
    return Adapter(
        folder=folder,
        base=config.get("base_model_name_or_path") or None,
        rank=config.get("r"),
        parameters=count_parameters(weights),
        bytes=weights.stat().st_size,
        sha256=file_sha256(weights),
        run=_object(folder / _RUN),
    )


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None if there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def look(folder: Path) -> Shelved | None:
    """The model in a folder, or None if there is none in one file of safetensors."""
    weights = folder / WEIGHTS
    if not weights.is_file():
        return None
    recipe = folder / "recipe.json"
    return Shelved(
        folder=folder,
        parameters=count_parameters(weights),
        bytes=weights.stat().st_size,
        sha256=file_sha256(weights),
        check=_checked(folder),
        recipe=json.loads(recipe.read_text("utf-8")) if recipe.is_file() else None,
    )


def freeze(folder: Path) -> Path:
    """Write down the fingerprints of the files that make the model, for `look` and for `sha256sum --check`.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in _FROZEN]
    path = folder / SUMS
    path.write_text("".join(lines), "utf-8")
    return path


def _checked(folder: Path) -> str:
    sums = folder / SUMS
    if not sums.is_file():
        return "not frozen"
    wanted = [line.split(maxsplit=1) for line in sums.read_text("utf-8").splitlines()]
    same = all((folder / name).is_file() and file_sha256(folder / name) == digest for digest, name in wanted)
    return "frozen" if same else "changed"


def file_sha256(path: Path) -> str:
    """Fingerprint of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def count_parameters(weights: Path) -> int:
    """Numbers in a file of safetensors: its first eight bytes are the length of a JSON header with all shapes."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    total = 0
    for name, entry in header.items():
        if name != "__metadata__":
            size = 1
            for length in entry["shape"]:
                size *= length
            total += size
    return total
