"""Records from files and to files: JSON Lines, one object per line, in UTF-8, plain or compressed with gzip.

Two shapes of line are read, and a file may mix them. A *record* has a prompt with all its responses:

    {"prompt": "Name a fruit.", "responses": ["kiwi", "plum"], "scores": [0.5, 0.7]}

A *row* has one response, and rows with the same prompt are pooled by `load_records`:

    {"prompt": "Name a fruit.", "response": "kiwi", "score": 0.5}

`prompt` is a text or a list of messages, {"role": …, "content": …}. Optional are `scores`, `weights`, `targets` (in a
row `score`, `weight`, `target`), `pairs` (in a record) and `id`; null counts as absent. Other fields are not read.
"""

import contextlib
import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mrtlab.data.records import PER_RESPONSE, Prompt, Record, RecordError, pooled, short

if TYPE_CHECKING:
    import datasets

EXPECTED = 'Expected JSON Lines: one object per line, {"prompt": ..., "responses": [...]}.'
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_NOT_LINES = {
    ".csv": "Turn each row into a line {...} with the fields prompt and response.",
    ".tsv": "Turn each row into a line {...} with the fields prompt and response.",
    ".parquet": "Read it with the datasets library, and write it with its to_json.",
    ".arrow": "Read it with the datasets library, and write it with its to_json.",
    ".zip": "Unpack it first.",
}


@dataclass(frozen=True)
class Fields:
    """What the fields of a line are called; the name for several may end in an s, or not.

    Attributes:
        prompt: the prompt, a text or messages.
        response: the response of a row; the responses of a record.
        score: its score; the scores of a record.
    """

    prompt: str = "prompt"
    response: str = "response"
    score: str = "score"


DEFAULT = Fields()


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON Lines file, one at a time, each with its place, "FILE, line 3".

    Only one line is in memory. Blank lines are skipped, a byte-order mark is too, and gzip is recognised by its first
    bytes, whatever the file is called.

    Raises:
        RecordError: the file is missing, is no text in UTF-8, or a line is not an object; with file, line and remedy.
    """
    remedy = _NOT_LINES.get(path.suffix.lower())
    if remedy:
        raise RecordError(f"{path}: not a JSON Lines file. {remedy}")
    number = 0
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP
            with gzip.open(raw) if packed else contextlib.nullcontext(raw) as file:
                for number, line in enumerate(file, 1):
                    where = f"{path}, line {number}"
                    text = _decoded(line.removeprefix(_BOM), where).strip()
                    if text:
                        yield where, _object(text, where)
    except FileNotFoundError:
        raise RecordError(f"{path}: there is no such file. Check the name and the folder.") from None
    except IsADirectoryError:
        raise RecordError(f"{path}: this is a folder. Give the name of a file in it.") from None
    except PermissionError:
        raise RecordError(f"{path}: you are not allowed to read it. Ask its owner, or copy it.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise RecordError(
            f"{path}: the compressed file is damaged or cut short after line {number}. Copy or download it again."
        ) from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}).") from None


def read_records(path: Path, *, fields: Fields = DEFAULT) -> Iterator[Record]:
    """The records of a JSON Lines file, one at a time and in constant memory; each line is a record of its own.

    Rows with one response come out as records with one response: pool them with `load_records`, which needs memory
    for the whole file.

    Args:
        path: the file, see the module for its lines.
        fields: the names of the fields, if they are others.

    Raises:
        RecordError: the file cannot be read, holds nothing, or a line is no record; with file, line, field and remedy.
    """
    return (record for _, record in _numbered(path, fields))


def load_records(path: Path, *, fields: Fields = DEFAULT) -> list[Record]:
    """All records of a JSON Lines file, lines with the same prompt pooled, in the order of first appearance.

    Args:
        path: the file, see the module for its lines.
        fields: the names of the fields, if they are others.

    Raises:
        RecordError: as `read_records`; also if only some lines of a prompt have scores, weights or targets.
    """
    groups: dict[Prompt, list[tuple[str, Record]]] = {}
    for where, record in _numbered(path, fields):
        groups.setdefault(record.prompt, []).append((where, record))
    done = []
    for lines in groups.values():
        try:
            done.append(pooled([record for _, record in lines]))
        except RecordError as error:
            raise RecordError(f"{lines[-1][0]}: the prompt of {_place(lines[0][0])} again: {error}") from None
    return done


def record_from(row: Mapping[str, Any], *, fields: Fields = DEFAULT) -> Record:
    """A record from one object, of either shape.

    Args:
        row: fields by name; None counts as absent.
        fields: the names of the fields, if they are others.

    Raises:
        RecordError: a field is missing, has the wrong type, or a value that makes no sense.

    >>> record_from({"prompt": "Name a fruit.", "response": "kiwi", "score": 0.5}).scores
    (0.5,)
    """
    given = {name: value for name, value in row.items() if value is not None}
    if fields.prompt not in given:
        raise RecordError(f"no field {fields.prompt!r}{_instead(row)} or say which it is with --prompt-column.")
    names = {name for name in (fields.response, f"{fields.response}s") if name in given}
    if len(names) != 1:
        if empty := [name for name in (fields.response, f"{fields.response}s") if name in row and not names]:
            raise RecordError(f"{empty[0]} is null. Give at least one response, or leave the prompt out.")
        found = "both" if names else "neither"
        raise RecordError(
            f"expected the field {fields.response!r} or {fields.response + 's'!r}, found {found}{_instead(row)} "
            "or say which it is with --response-column."
        )
    responses = given[names.pop()]
    single = isinstance(responses, str)
    singular = {"scores": fields.score, "weights": "weight", "targets": "target"}
    numbers = {field: _numbers_of(given, singular[field], single) for field in PER_RESPONSE}
    return Record.of(
        given[fields.prompt],
        [responses] if single else responses,
        pairs=given.get("pairs"),
        id=given.get("id"),
        **numbers,
    )


def row_of(record: Record) -> dict[str, Any]:
    """A record as one JSON object, without the fields that it does not have.

    >>> row_of(Record.of("Name a fruit.", ["kiwi"], targets=[0.25], id=7))
    {'prompt': 'Name a fruit.', 'responses': ['kiwi'], 'targets': [0.25], 'id': '7'}
    """
    prompt = record.prompt if isinstance(record.prompt, str) else [dict(message) for message in record.prompt]
    row: dict[str, Any] = {"prompt": prompt, "responses": list(record.responses)}
    row |= {field: list(value) for field in PER_RESPONSE if (value := getattr(record, field)) is not None}
    if record.pairs is not None:
        row["pairs"] = [list(pair) for pair in record.pairs]
    return row if record.id is None else row | {"id": record.id}


def flat_rows(record: Record) -> Iterator[dict[str, Any]]:
    """A record as rows of one response each, the shape that other trainers read. Pairs have no place in a row.

    >>> [*flat_rows(Record.of("?", ["a", "b"], scores=[1, 2]))]
    [{'prompt': '?', 'response': 'a', 'score': 1.0}, {'prompt': '?', 'response': 'b', 'score': 2.0}]
    """
    for i, response in enumerate(record.responses):
        whole = row_of(record)
        row = {"prompt": whole["prompt"], "response": response}
        row |= {field.removesuffix("s"): whole[field][i] for field in PER_RESPONSE if field in whole}
        yield row if record.id is None else row | {"id": record.id}


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Write records as JSON Lines, all or nothing: a reader sees the old file or the new one, never half of it.

    The records may come from `read_records` of the same file. A name that ends in .gz is compressed.

    Returns:
        how many were written.

    Raises:
        RecordError: the folder is missing or cannot be written to, or the name is a folder's.
    """
    return write_jsonl(path, map(row_of, records))


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write objects as JSON Lines, all or nothing, as `write_records` does; for `flat_rows` and the like."""
    return write_lines(path, (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows))


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write lines of text, all or nothing, as `write_records` does."""
    if path.is_dir():
        raise RecordError(f"{path}: cannot be written, it is a folder. Give the name of a file.")
    written = 0
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise RecordError(f"{path}: cannot be written ({error.strerror}). Check the folder.") from None
    try:
        with os.fdopen(handle, "wb") as raw:
            with _packed(raw, path) as file:
                for line in lines:
                    file.write(line.encode() + b"\n")
                    written += 1
            raw.flush()
            os.fsync(raw.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files; this one is like any other
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return written


def from_dataset(rows: Iterable[Any], *, fields: Fields = DEFAULT) -> Iterator[Record]:
    """Records from a Hugging Face data set, or from any rows of either shape, one at a time.

    Args:
        rows: one split of a data set, streamed or not, or a list of dicts.
        fields: the names of the columns, if they are others.

    Raises:
        RecordError: a row is no record; the message has its number, counted from 0 as data sets do.

    >>> [record.responses for record in from_dataset([{"prompt": "?", "response": "a"}])]
    [('a',)]
    """
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise RecordError(
                f"row {number} is {short(row)}, not a mapping of columns. Pass one split of the data set, as in "
                'data["train"].'
            )
        try:
            yield record_from(row, fields=fields)
        except RecordError as error:
            raise RecordError(f"row {number}: {error}") from None


def to_dataset(records: Iterable[Record]) -> "datasets.Dataset":
    """Records as a Hugging Face data set, one row per prompt; fields that a record does not have are None.

    Raises:
        RecordError: some prompts are texts and others are messages, which one column cannot hold.
        ImportError: the datasets library is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise ImportError("to_dataset needs the datasets library: pip install datasets") from None

    rows = [row_of(record) for record in records]
    texts = sum(isinstance(row["prompt"], str) for row in rows)
    if 0 < texts < len(rows):
        raise RecordError(
            f"{texts} prompts are texts and {len(rows) - texts} are messages, but a column holds one kind. "
            'Write the texts as [{"role": "user", "content": ...}].'
        )
    text, number = datasets.Value("string"), datasets.Value("float64")
    message = {"role": text, "content": text}
    features = {"prompt": [message] if rows and not texts else text, "responses": [text]}
    features |= {field: [number] for field in PER_RESPONSE} | {"pairs": [[datasets.Value("int64")]], "id": text}
    columns = {name: [row.get(name) for row in rows] for name in features}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def _numbered(path: Path, fields: Fields) -> Iterator[tuple[str, Record]]:
    """The records of a file with their places; a file without any is a mistake."""
    empty = True
    for where, row in read_jsonl(path):
        empty = False
        try:
            yield where, record_from(row, fields=fields)
        except RecordError as error:
            raise RecordError(f"{where}: {error}") from None
    if empty:
        raise RecordError(f"{path}: the file holds no records. {EXPECTED}")


def _decoded(line: bytes, where: str) -> str:
    """A line as text. Files that were glued together may change their encoding half way, so every line is checked."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise RecordError(
            f"{where}: the text looks like UTF-16, or is no text at all. Save the file as UTF-8 and try again."
        )
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{where}: the text is not UTF-8 (byte {line[error.start]:#04x} at place {error.start + 1}). "
            "Save the file as UTF-8; if only some lines are wrong, two files of different encodings were joined."
        ) from None


def _object(text: str, where: str) -> dict[str, Any]:
    """A line as an object."""
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        if text in ("[", "{"):
            remedy = "This looks like JSON over several lines: write each object on one line, as `jq -c` does."
        else:
            remedy = "Each line must be one complete object."
        raise RecordError(f"{where}: not valid JSON ({error.msg}, column {error.colno}). {remedy}") from None
    except (ValueError, RecursionError):  # whole numbers of thousands of digits, thousands of brackets
        raise RecordError(f"{where}: nested too deeply, or a number too long. {EXPECTED}") from None
    if isinstance(row, list):
        raise RecordError(f"{where}: a list where an object should be. Write each of its entries on a line of its own.")
    if not isinstance(row, dict):
        raise RecordError(f"{where}: this is not an object but {short(row)}. {EXPECTED}")
    return row


def _numbers_of(given: Mapping[str, Any], name: str, single: bool) -> Any:
    """Scores, weights or targets of a line: one number with a single response, else a list."""
    found = [key for key in (name, f"{name}s") if key in given]
    if len(found) == 2:
        raise RecordError(f"found both {name!r} and {name + 's'!r}. Leave one of them out.")
    if not found:
        return None
    value = given[found[0]]
    return [value] if single and not isinstance(value, list) else value


def _instead(row: Mapping[str, Any]) -> str:
    """What a line has in place of the field that is missing."""
    names = ", ".join([*map(str, row)][:8]) or "none"
    return f"; the fields are: {names}{', ...' if len(row) > 8 else ''}. Rename one,"


def _place(where: str) -> str:
    """The line of a place, without the file."""
    return where.rpartition(", ")[2]


def _packed(raw: IO[bytes], path: Path) -> Any:
    """A stream that compresses if the file's name says so; without the time of day, so equal records, equal bytes."""
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0)
    return contextlib.nullcontext(raw)


def _umask() -> int:
    """The mask for new files, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
