"""The answers of `mrtlab spa evaluate`, kept line by line in a file from which a run that was stopped goes on."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mrtlab.cli_common import fail


@dataclass
class Answers:
    """Answers by arm and place of the prompt, with their verdicts; written as they come if there is a file.

    Attributes:
        path: of the file, None keeps them in memory alone.
        found: (arm, place) → {"answers": texts, "passed": verdicts or None}.
    """

    path: Path | None
    found: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    _file: IO[str] | None = None

    @classmethod
    def open(cls, path: Path | None, header: dict[str, Any]) -> "Answers":
        """A fresh file, or one of the same run that is gone on with; or one sentence on why not."""
        if path is None:
            return cls(None)
        plain = json.loads(json.dumps(header))
        found: dict[tuple[str, int], dict[str, Any]] = {}
        if path.exists():
            found = _read(path, plain)
        else:
            path.write_text(json.dumps(plain, ensure_ascii=False) + "\n", "utf-8")
        return cls(path, found, path.open("a", encoding="utf-8"))

    def take(self, arm: str, place: int, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is there already, else what `make` gives, which is written down at once."""
        if (arm, place) not in self.found:
            row = make()
            self.found[arm, place] = row
            if self._file is not None:
                self._file.write(json.dumps({"arm": arm, "place": place} | row, ensure_ascii=False) + "\n")
                self._file.flush()
        return self.found[arm, place]

    def missing(self, arm: str, n: int) -> list[int]:
        """Places of prompts that an arm has not answered yet."""
        return [place for place in range(n) if (arm, place) not in self.found]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _read(path: Path, header: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    """The rows of a file of this very run; half a line at its end is taken away."""
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    try:
        first, *lines = whole[:end].decode().splitlines()
        said = json.loads(first)
        rows = [json.loads(line) for line in lines]
        found = {(row["arm"], row["place"]): {"answers": row["answers"], "passed": row["passed"]} for row in rows}
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        fail(f"{path} is no file of answers of this command, or damaged: give another name, or delete it", 2)
    other = _other(said, header)
    if other:
        fail(f"{path} holds answers of a run with another {', '.join(other)}: give another name, or delete it", 2)
    if end < len(whole):
        with path.open("rb+") as file:
            file.truncate(end)
    return found


def _other(said: Any, header: dict[str, Any]) -> Sequence[str]:
    if not isinstance(said, dict):
        return ["content"]
    return [name for name in header if said.get(name) != header[name]]
