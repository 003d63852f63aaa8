"""Tables of losses from files: which prompt, and the loss of each response to it. CSV and JSON Lines.

CSV has one response per row and a header with the columns `prompt` and `value`; others are ignored,
except that `response_id`, if it is there, must not repeat within a prompt. JSON Lines has one object per line,
{"prompt": …, "value": …} or {"prompt": …, "values": […]}, and may add "gradients": [[…], …], for each response the
gradient of its loss or some features of it.
"""

import csv
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

EXPECTED = (
    "Expected a CSV file with the columns prompt and value, "
    'or a JSON Lines file with one {"prompt": ..., "values": [...]} per line.'
)
_RESPONSE_ID = "response_id"
_GRADIENTS = "gradients"
_DELIMITERS = (",", ";", "\t")
_LONGEST_FIELD = 2**31 - 1  # prompts can be long; the csv module stops at 128 KiB unless told


class TableError(ValueError):
    """A file is not a table of losses. The message names the file, the line and the remedy."""


@dataclass(frozen=True)
class LossTable:
    """Losses by prompt.

    Attributes:
        prompts: one name (id or text) per prompt, in the order of their first appearance.
        values: for each prompt the losses of its responses, (k,), in the order of the file.
        gradients: for each prompt the gradient features of its responses, (k, d), if the file has them.
    """

    prompts: list[str]
    values: list[np.ndarray]
    gradients: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.prompts)


def read_table(path: Path, *, prompt: str = "prompt", value: str = "value") -> LossTable:
    """Read a table of losses; the ending of the file's name says which kind it is.

    Args:
        path: a .csv, .tsv, .jsonl or .ndjson file in UTF-8.
        prompt: name of the column or field that tells prompts apart.
        value: name of the column or field with the loss of a response. In JSON Lines it may hold a list, and its
            name may end in an s.

    Raises:
        TableError: the file cannot be read as a table; one sentence with file, line, field and remedy.
    """
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".jsonl": _read_jsonl, ".ndjson": _read_jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{path}: cannot tell what kind of file this is. {EXPECTED}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = reader(file, path, prompt, value)
    except FileNotFoundError:
        raise TableError(f"{path}: there is no such file. Check the name and the folder.") from None
    except UnicodeDecodeError:
        raise TableError(f"{path}: the text is not UTF-8. Save the file as UTF-8 and try again.") from None
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}).") from None
    if not rows.prompts:
        raise TableError(f"{path}: the file holds no responses. {EXPECTED}")
    return _grouped(path, rows, value)


@dataclass(frozen=True)
class _Rows:
    """One entry per response, as the file has them."""

    prompts: list[str]
    values: list[Any]
    lines: list[int]
    gradients: np.ndarray | None = None


def _read_csv(file: TextIO, path: Path, prompt: str, value: str) -> _Rows:
    """One response per row; commas, semicolons or tabs."""
    csv.field_size_limit(_LONGEST_FIELD)
    first = file.readline()
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader(itertools.chain([first], file), delimiter=delimiter)
    prompts: list[str] = []
    values: list[float | int] = []
    lines: list[int] = []
    seen: set[tuple[str, str]] = set()
    try:
        header = [name.strip() for name in next(rows, [])]
        at, loss_at, response_at = _places(path, header, prompt, value)
        need = max(at, loss_at)
        for row in rows:
            if len(row) <= need:
                if not row:
                    continue
                raise TableError(
                    f"{path}, line {rows.line_num}: {len(row)} fields where the header has {len(header)}. "
                    f"Each row needs {prompt} and {value}."
                )
            try:
                values.append(float(row[loss_at]))
            except ValueError:
                raise TableError(_not_a_number(path, rows.line_num, value, row[loss_at])) from None
            prompts.append(row[at])
            lines.append(rows.line_num)
            if response_at is not None and response_at < len(row):
                pair = (row[at], row[response_at])
                if pair in seen:
                    raise TableError(
                        f"{path}, line {rows.line_num}: response {pair[1]!r} to prompt {_short(pair[0])} appears "
                        f"twice. Remove the duplicate, or the column {_RESPONSE_ID} if it does not name responses."
                    )
                seen.add(pair)
    except csv.Error as error:
        raise TableError(f"{path}, line {rows.line_num}: not valid CSV ({error}).") from None
    return _Rows(prompts, values, lines)


def _places(path: Path, header: list[str], prompt: str, value: str) -> tuple[int, int, int | None]:
    """Positions of the columns prompt, value and, if there is one, response_id."""
    if not any(header):
        raise TableError(f"{path}: the file is empty. {EXPECTED}")
    lower = [name.lower() for name in header]
    for option, name in (("--prompt-column", prompt), ("--value-column", value)):
        if name.lower() not in lower:
            raise TableError(
                f"{path}, line 1: no column {name!r}; the columns are: {', '.join(header)}. "
                f"Rename one, or say which it is with {option}."
            )
        if lower.count(name.lower()) > 1:
            raise TableError(f"{path}, line 1: two columns are called {name!r}. Rename one of them.")
    response_at = lower.index(_RESPONSE_ID) if _RESPONSE_ID in lower else None
    return lower.index(prompt.lower()), lower.index(value.lower()), response_at


def _read_jsonl(file: TextIO, path: Path, prompt: str, value: str) -> _Rows:
    """One object per line, with one loss or a list of them."""
    prompts: list[str] = []
    values: list[float | int] = []
    lines: list[int] = []
    gradients: list[np.ndarray] = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        record = _record(line, where, prompt)
        losses = _losses(record, where, value)
        for loss in losses:
            if isinstance(loss, bool) or not isinstance(loss, int | float):
                raise TableError(_not_a_number(path, number, value, loss))
        if (_GRADIENTS in record) != (len(gradients) > 0) and values:
            raise TableError(f"{where}: some lines have {_GRADIENTS!r} and some do not. Give them for all or for none.")
        if _GRADIENTS in record:
            gradients.append(_vectors(record[_GRADIENTS], where, len(losses)))
            if gradients[-1].shape[1] != gradients[0].shape[1]:
                sizes = f"{gradients[-1].shape[1]} numbers where earlier lines have {gradients[0].shape[1]}"
                raise TableError(f"{where}: the {_GRADIENTS} have {sizes}. All need the same length.")
        name = record[prompt] if isinstance(record[prompt], str) else json.dumps(record[prompt], ensure_ascii=False)
        prompts.extend(itertools.repeat(name, len(losses)))
        values.extend(losses)
        lines.extend(itertools.repeat(number, len(losses)))
    return _Rows(prompts, values, lines, np.concatenate(gradients) if gradients else None)


def _vectors(given: Any, where: str, n_responses: int) -> np.ndarray:
    """Gradient features of one line, (k, d)."""
    try:
        vectors = np.array(given, dtype=float)
    except (TypeError, ValueError, OverflowError):
        vectors = np.empty(0)
    if vectors.ndim != 2 or len(vectors) != n_responses or not vectors.size or not np.isfinite(vectors).all():
        raise TableError(
            f"{where}: {_GRADIENTS!r} must be a list with one list of finite numbers for each loss, "
            f"{n_responses} here, all of the same length; got {_short(given)}."
        )
    return vectors


def _record(line: str, where: str, prompt: str) -> dict[str, Any]:
    """One JSON line as an object that names its prompt."""
    try:
        record = json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        raise TableError(
            f"{where}: not valid JSON ({error.msg}, column {error.colno}). Each line must be one complete object."
        ) from None
    except (ValueError, RecursionError):  # whole numbers of thousands of digits, thousands of brackets
        raise TableError(f"{where}: nested too deeply, or a number too long. {EXPECTED}") from None
    if not isinstance(record, dict):
        raise TableError(f"{where}: this is not an object but {_short(line.strip())}. {EXPECTED}")
    if prompt not in record:
        raise TableError(
            f"{where}: no field {prompt!r}; the fields are: {', '.join(record) or 'none'}. "
            "Rename one, or say which it is with --prompt-column."
        )
    return record


def _losses(record: dict[str, Any], where: str, value: str) -> list[Any]:
    """The losses of one JSON line, unchecked but at least one."""
    found = [field for field in (value, f"{value}s") if field in record]
    if len(found) != 1:
        number = "both" if found else "neither"
        raise TableError(
            f"{where}: expected the field {value!r} or {value + 's'!r}, found {number}; the fields are: "
            f"{', '.join(record)}. Rename one, or say which it is with --value-column."
        )
    losses = record[found[0]]
    if losses == []:
        raise TableError(f"{where}: {found[0]!r} is an empty list. Give at least one loss, or leave the line out.")
    return losses if isinstance(losses, list) else [losses]


def _grouped(path: Path, rows: _Rows, value: str) -> LossTable:
    """Collect the losses of each prompt, checking that they are numbers one can average."""
    try:
        losses = np.array(rows.values, dtype=float)
    except OverflowError:
        losses = np.array([_as_float(v) for v in rows.values])
    finite = np.isfinite(losses)
    if not finite.all():
        bad = int(np.argmin(finite))
        raise TableError(_not_a_number(path, rows.lines[bad], value, rows.values[bad]))
    index: dict[str, int] = {}
    positions = (index.setdefault(name, len(index)) for name in rows.prompts)
    owner = np.fromiter(positions, dtype=np.int64, count=len(rows.prompts))
    if any(not name.strip() for name in index):
        line = next(line for name, line in zip(rows.prompts, rows.lines, strict=True) if not name.strip())
        raise TableError(f"{path}, line {line}: the prompt is empty. Give every response the id or text of its prompt.")
    order = np.argsort(owner, kind="stable")
    cuts = np.cumsum(np.bincount(owner))[:-1]
    gradients = None if rows.gradients is None else np.split(rows.gradients[order], cuts)
    return LossTable(prompts=list(index), values=np.split(losses[order], cuts), gradients=gradients)


def _as_float(number: float | int) -> float:
    """A float; whole numbers too large for one count as infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _not_a_number(path: Path, line: int, field: str, given: Any) -> str:
    """The sentence for a loss that is text, missing, NaN or infinite."""
    remedy = "Write a number with a decimal point, or leave the row out."
    return f"{path}, line {line}: {field} is {_short(given)}, expected a finite number. {remedy}"


def _short(given: Any) -> str:
    """A value as it was written, cut to a readable length."""
    text = "null" if given is None else repr(given)
    return text if len(text) <= 40 else text[:36] + " ..."
