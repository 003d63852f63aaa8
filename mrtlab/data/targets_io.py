"""Targets from files and to files: JSON or JSON Lines, see `mrtlab.data.targets` for what an entry holds."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mrtlab.data.records import Prompt, Record, RecordError, short
from mrtlab.data.records_io import read_jsonl, write_jsonl, write_lines
from mrtlab.data.targets import FIELDS, Anchor, Target, Targets

_LISTS = ("targets", "anchors")
_LINES = (".jsonl", ".ndjson", ".gz")
_EXPECTED = (
    'Expected a list of entries like {"prompt": ..., "responses": [...]}, or {"targets": [entries], "anchors": [...]}.'
)
_ALONE = (
    "An entry stands here by itself: put [ and ] around the entries and commas between them, or call the file .jsonl."
)
_SPACE = " \t\r\n"

Entry = tuple[str, str, Any]
"""Where an entry stands, in which list, and what it holds."""


def load_targets(path: Path) -> Targets:
    """The targets and anchors of a file.

    Args:
        path: a .jsonl file with an entry on each line, or any other name with JSON inside.

    Raises:
        RecordError: the file cannot be read, holds no target, or an entry is none; with file, line, field and remedy.
    """
    entries = _lines(path) if path.suffix.lower() in _LINES else _json(path)
    targets: dict[Prompt, tuple[str, Target]] = {}
    anchors: dict[Prompt, Anchor] = {}
    for where, name, entry in entries:
        try:
            for found in _read(name, entry):
                if isinstance(found, Anchor):
                    anchors.setdefault(found.prompt, found)
                elif found.prompt in targets:
                    line = targets[found.prompt][0].rpartition(", ")[2]
                    raise RecordError(f"the prompt of {line} again. Give one entry for each prompt.")
                else:
                    targets[found.prompt] = (where, found)
        except RecordError as error:
            raise RecordError(f"{where}: {error}") from None
    if not targets:
        raise RecordError(f"{path}: the file holds no targets. {_EXPECTED}")
    return Targets(tuple(target for _, target in targets.values()), tuple(anchors.values()))


def load_anchors(path: Path) -> tuple[Anchor, ...]:
    """Anchors from a file of their own: records of which the first response is right, or texts, one on each line.

    Args:
        path: a .jsonl file with a record on each line, a .json file with a list of records or texts, or any other name
            with a text on each line.

    Raises:
        RecordError: the file cannot be read, or a line is no record; with file, line, field and remedy.
    """
    if path.suffix.lower() in _LINES:
        found = [anchor for where, _, entry in _lines(path) for anchor in _placed(where, entry)]
    elif path.suffix.lower() == ".json":
        found = [anchor for where, _, entry in _json(path) for anchor in _placed(where, entry)]
    else:
        found = [Anchor(line.strip()) for line in _text(path).splitlines() if line.strip()]
    if not found:
        raise RecordError(f"{path}: the file holds no prompts. Write one on each line.")
    return tuple({anchor.prompt: anchor for anchor in found}.values())


def entry_of(target: Target) -> dict[str, Any]:
    """A target as an entry, without the fields that it does not have.

    >>> entry_of(Target.of("Toss a coin.", ["heads", "tails"]))
    {'prompt': 'Toss a coin.', 'responses': ['heads', 'tails']}
    """
    prompt = target.prompt if isinstance(target.prompt, str) else [dict(message) for message in target.prompt]
    entry: dict[str, Any] = {"prompt": prompt, "responses": list(target.answers)}
    if max(target.p) - min(target.p) > 1e-12:
        entry["targets"] = list(target.p)
    if any(target.variants):
        entry["variants"] = {a: list(v) for a, v in zip(target.answers, target.variants, strict=True) if v}
    if target.family:
        entry["family"] = target.family
    if target.use != "train":
        entry["use"] = target.use
    if target.valid is not None:
        entry["valid"] = target.valid
    if not target.end:
        entry["end"] = False
    return entry if target.id is None else entry | {"id": target.id}


def write_targets(path: Path, targets: Iterable[Target], anchors: Iterable[Anchor] = ()) -> None:
    """Write a targets file, all of it or nothing; an entry on each line, in JSON too, so that people can edit it.

    Raises:
        RecordError: the folder is missing or cannot be written to, or the name is a folder's.
    """
    write_entries(path, [*map(entry_of, targets), *map(_anchor_entry, anchors)])


def write_entries(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write entries, such as those of `entry_of` with a note added, as `write_targets` does.

    Raises:
        RecordError: the folder is missing or cannot be written to, or the name is a folder's.
    """
    if path.suffix.lower() in _LINES:
        write_jsonl(path, entries)
        return
    rows = [json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in entries]
    write_lines(path, ["[", *(f"  {row}," for row in rows[:-1]), *(f"  {row}" for row in rows[-1:]), "]"])


def _anchor_entry(anchor: Anchor) -> dict[str, Any]:
    prompt = anchor.prompt if isinstance(anchor.prompt, str) else [dict(message) for message in anchor.prompt]
    right = {} if anchor.right is None else {"responses": [anchor.right]}
    return {"prompt": prompt} | right | {"use": "anchor"}


def _placed(where: str, entry: Any) -> list[Anchor]:
    try:
        return [found for found in _read("anchors", entry) if isinstance(found, Anchor)]
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def _read(name: str, entry: Any) -> Iterator[Target | Anchor]:
    """What an entry holds: one target or anchor for each of its prompts."""
    if name == "anchors" and isinstance(entry, str):
        yield Anchor(entry)
        return
    if not isinstance(entry, Mapping):
        raise RecordError(f"this is not an object but {short(entry)}. {_EXPECTED}")
    given = {field: value for field, value in entry.items() if value is not None}
    if name == "targets" and (strange := next((field for field in given if field not in FIELDS), None)):
        raise RecordError(f"there is no field {strange!r}. An entry may hold {', '.join(FIELDS)}.")
    prompts = _prompts(given)
    use = "anchor" if name == "anchors" else given.get("use", "train")
    if use == "anchor":
        right = _right(given)
        yield from (Anchor(prompt, right) for prompt in prompts)
        return
    if "responses" not in given:
        raise RecordError(f"no field 'responses'; the fields are: {', '.join(given)}. List the valid answers there.")
    fields = {field: given[field] for field in FIELDS[3:-1] if field in given}
    for prompt in prompts:
        yield Target.of(prompt, given["responses"], **fields)


def _prompts(given: Mapping[str, Any]) -> list[Prompt]:
    """The wordings of an entry."""
    found = [field for field in ("prompt", "prompts") if field in given]
    if len(found) != 1:
        which = "both" if found else "neither"
        raise RecordError(f"expected the field 'prompt', or 'prompts' with several wordings, found {which}.")
    several = given[found[0]] if found[0] == "prompts" else [given["prompt"]]
    if not isinstance(several, list) or not several:
        raise RecordError(f"prompts must be a list of at least one wording, got {short(several)}.")
    checked = [Record.of(prompt, ["any"]).prompt for prompt in several]
    if len(set(checked)) < len(checked):
        raise RecordError("prompts holds the same wording twice. Leave one of them out.")
    return checked


def _right(given: Mapping[str, Any]) -> str | None:
    """The right answer of an anchor: a record's first response, if it has any."""
    responses = given.get("responses", given.get("response"))
    if responses is None or responses == []:
        return None
    first = responses if isinstance(responses, str) else responses[0] if isinstance(responses, list) else None
    if not isinstance(first, str):
        raise RecordError(f"responses of an anchor must be a list of texts, got {short(responses)}.")
    return first


def _lines(path: Path) -> Iterator[Entry]:
    for where, row in read_jsonl(path):
        yield where, "targets", row


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise RecordError(f"{path}: there is no such file. Check the name and the folder.") from None
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: the text is not UTF-8 (byte {error.start}). Save the file as UTF-8.") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}).") from None


def _json(path: Path) -> Iterator[Entry]:
    """The entries of a JSON document with their lines, which a parser of whole documents would not tell."""
    scan = _Scan(path, _text(path))
    if scan.next() == "[":
        yield from scan.entries("targets")
    elif scan.next() == "{":
        for name in scan.names():
            if name not in _LISTS:
                help = _ALONE if name in FIELDS else _EXPECTED
                raise RecordError(f"{scan.where()}: {short(name)} should not be here. {help}")
            if scan.next() != "[":
                raise RecordError(f"{scan.where()}: {name} must be a list. {_EXPECTED}")
            yield from scan.entries(name)
    else:
        raise RecordError(f"{scan.where()}: {_EXPECTED}")
    if scan.next():
        raise RecordError(f"{scan.where()}: something stands after the end of the document. {_EXPECTED}")


class _Scan:
    """A walk through a JSON document that knows its line."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text, self.at = path, text, 0

    def where(self) -> str:
        """File and line of the place reached."""
        return f"{self.path}, line {self.text.count(chr(10), 0, self.at) + 1}"

    def next(self) -> str:
        """The next character that is no white space, not yet passed; empty at the end."""
        while self.at < len(self.text) and self.text[self.at] in _SPACE:
            self.at += 1
        return self.text[self.at : self.at + 1]

    def value(self) -> Any:
        """The value that stands here; the walk goes on after it."""
        self.next()
        try:
            found, self.at = _DECODER.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            raise RecordError(
                f"{self.path}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno}). "
                "A comma too many or too few, or a quotation mark that is not closed, are the usual causes."
            ) from None
        except RecordError as error:
            raise RecordError(f"{self.where()}: {error}") from None
        except (ValueError, RecursionError):
            raise RecordError(f"{self.where()}: a number with too many digits, or nested too deeply.") from None
        return found

    def entries(self, name: str) -> Iterator[Entry]:
        """The entries of the list that begins here, each with its place."""
        for _ in self._items("[", "]"):
            where = self.where()
            yield where, name, self.value()

    def names(self) -> Iterator[str]:
        """The names in the object that begins here; whoever asks reads the value of each."""
        for _ in self._items("{", "}"):
            key = self.value()
            self._take(":")
            yield key

    def _items(self, start: str, stop: str) -> Iterator[None]:
        self._take(start)
        if self.next() == stop:
            self.at += 1
            return
        while True:
            self.next()
            yield
            if self.next() == stop:
                self.at += 1
                return
            self._take(",")

    def _take(self, wanted: str) -> None:
        if self.next() != wanted:
            found = self.next() or "the end of the file"
            raise RecordError(f"{self.where()}: not valid JSON (expected {wanted!r}, found {found!r}). {_EXPECTED}")
        self.at += 1


def _no_constant(name: str) -> Any:
    raise RecordError(f"{name} is no number that JSON has. Write a number, or leave the answer out.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ: of two with one name, one would be lost without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise RecordError(f"{short(twice)} stands twice in one object. Leave one of them out.")
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_once)
