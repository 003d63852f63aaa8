"""From seed prompts and a source of answers to a set of instructions: drawn, judged, deduplicated, all on record.

Who draws and who judges is in `mrtlab.spa.sources`, what becomes of an answer in `mrtlab.spa.sift`. Here is the run,
and the file that a long run goes on from: a header line with what the run is, then one line for each prompt with all
its candidates.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from mrtlab.data.records import Prompt, Record, RecordError, prompt_text, short
from mrtlab.data.records_io import read_jsonl, write_jsonl
from mrtlab.spa.sift import Candidate, Drawn, Judge, Synthesis, SynthesisSettings, Verdict, sift

_VERSION = 1


@dataclass(frozen=True)
class Source:
    """Where answers come from.

    Attributes:
        about: what tells this source from another, plain values by name; written into the file's header.
        draw: takes a prompt, its place among the prompts and the settings, gives its answers. They may depend on
            nothing else: then a run that was stopped ends as it would have.
    """

    about: Mapping[str, Any]
    draw: Callable[[Prompt, int, SynthesisSettings], Sequence[Drawn]] = field(repr=False)


def synthesize(
    source: Source,
    prompts: Sequence[Prompt],
    path: Path,
    *,
    settings: SynthesisSettings,
    judge: Judge | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Synthesis:
    """Draw, judge and deduplicate answers to prompts; write all of it to a file, or go on where a run was stopped.

    The answers to a prompt depend on the source, the settings and the prompt's place alone, so a run that was stopped
    ends at the same file. A prompt that comes twice gets new draws the second time, and is deduplicated over both.

    Args:
        source: of `mrtlab.spa.sources`, or any other.
        prompts: at least one.
        path: of the file, JSON Lines: a header, then {"prompt", "candidates"} for each prompt.
        settings: see there.
        judge: any function of prompt and answer whose result has `ok` and `detail`. It goes into the header by its
            `about`, or else by its name.
        report: called with how many prompts are done, and how many there are.

    Returns:
        all candidates; `.records` is the set.

    Raises:
        ValueError: there is no prompt, or the file's name asks for compression.
        RecordError: the file is damaged, or belongs to another run; with the remedy.
        OSError: the file cannot be written to.

    Source: the first step of SPA, "synthesize" (its sections 1 and 5.1); claims SPA-01 and SPA-02 stand on its set.

    >>> import tempfile
    >>> source = Source({"words": 3}, lambda prompt, place, settings: [Drawn("plum"), Drawn("fig"), Drawn("plum")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = synthesize(source, ["Name a fruit."], Path(folder) / "set.jsonl", settings=SynthesisSettings(n=3))
    >>> made.records[0].responses, made.counts["duplicate"]
    (('plum', 'fig'), 1)
    """
    if not len(prompts):
        raise ValueError("there are no prompts: give at least one")
    if path.suffix == ".gz":
        raise ValueError(f"{path} grows line by line and cannot be compressed: give a name without .gz")
    header = _header(source, prompts, settings, judge)
    if path.exists():
        candidates = _continued(path, header, prompts)
    else:
        write_jsonl(path, [header])
        candidates = []
    kept: dict[Prompt, list[str]] = {}
    for one in (one for row in candidates for one in row if one.verdict == "kept"):
        kept.setdefault(one.prompt, []).append(one.answer)
    with path.open("a", encoding="utf-8") as file:
        for place in range(len(candidates), len(prompts)):
            prompt = prompts[place]
            before = kept.setdefault(prompt, [])
            row = sift(prompt, source.draw(prompt, place, settings), settings=settings, judge=judge, before=before)
            before += [one.answer for one in row if one.verdict == "kept"]
            file.write(_line(prompt, row))
            file.flush()
            candidates.append(row)
            report(place + 1, len(prompts))
        os.fsync(file.fileno())
    return Synthesis(tuple(one for row in candidates for one in row))


def read_synthesis(path: Path) -> Synthesis:
    """What `synthesize` wrote so far, also of a run that is not over.

    Raises:
        RecordError: it is no such file, or damaged; with file, line and remedy.
    """
    return Synthesis(tuple(one for _, row in _read(path) for one in row))


def _header(
    source: Source, prompts: Sequence[Prompt], settings: SynthesisSettings, judge: Judge | None
) -> dict[str, Any]:
    """What a run is, and a fingerprint of its prompts."""
    asked = json.dumps([_plain(prompt) for prompt in prompts]).encode()
    header = {
        "synthesis": _VERSION,
        "settings": asdict(settings),
        "source": dict(source.about),
        "judge": _name_of(judge),
        "prompts": len(prompts),
        "fingerprint": hashlib.sha256(asked).hexdigest(),
    }
    return json.loads(json.dumps(header))  # as it will be read


def _name_of(judge: Judge | None) -> Any:
    if judge is None or hasattr(judge, "about"):
        return getattr(judge, "about", None)
    return getattr(judge, "__qualname__", type(judge).__qualname__)


def _plain(prompt: Prompt) -> str | list[dict[str, str]]:
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]


def _line(prompt: Prompt, row: Sequence[Candidate]) -> str:
    candidates = [{"answer": c.answer, "verdict": c.verdict} | ({"detail": c.detail} if c.detail else {}) for c in row]
    return json.dumps({"prompt": _plain(prompt), "candidates": candidates}) + "\n"


def _continued(path: Path, header: dict[str, Any], prompts: Sequence[Prompt]) -> list[list[Candidate]]:
    """The candidates that the file holds for this very run; half a line at its end is taken away."""
    found = _head(path, read_jsonl(path))
    if other := [name for name in header if found.get(name) != header[name]]:
        raise RecordError(
            f"{path}, line 1: this file belongs to a run with another {', '.join(other)}: "
            f"{_difference(found.get(other[0]), header[other[0]])}. Give another file, delete this one, or go back to "
            "what it was made with."
        )
    _drop_half_line(path)
    rows = _read(path)
    if len(rows) > len(prompts):
        raise RecordError(f"{path}: {len(rows)} prompts where {len(prompts)} were asked. Delete it and begin anew.")
    for number, ((prompt, _), wanted) in enumerate(zip(rows, prompts, strict=False), start=2):
        if prompt != wanted:
            raise RecordError(
                f"{path}, line {number}: expected the prompt {short(prompt_text(wanted))}, found "
                f"{short(prompt_text(prompt))}. The file was changed: delete it and begin anew."
            )
    return [row for _, row in rows]


def _difference(theirs: Any, ours: Any) -> str:
    """What a file says and what was asked, as far as they differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        changed = [name for name in ours | theirs if theirs.get(name) != ours.get(name)]
        return ", ".join(f"{name} {_said(theirs.get(name))}, now {_said(ours.get(name))}" for name in changed)
    return f"{_said(theirs)}, now {_said(ours)}"


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]


def _drop_half_line(path: Path) -> None:
    """A run that was killed may have left the beginning of a line."""
    with path.open("rb+") as file:
        whole = file.read()
        end = whole.rfind(b"\n") + 1
        if 0 < end < len(whole):
            file.truncate(end)


def _head(path: Path, lines: Iterator[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The first of the lines, which says what the run is."""
    _, header = next(lines, ("", {}))
    if header.get("synthesis") != _VERSION:
        raise RecordError(f"{path}, line 1: this is not a file of candidates. Give another name, or delete it.")
    return header


def _read(path: Path) -> list[tuple[Prompt, list[Candidate]]]:
    """For each line after the first its prompt with its candidates."""
    lines = read_jsonl(path)
    _head(path, lines)
    return [_row(where, row) for where, row in lines]


def _row(where: str, row: dict[str, Any]) -> tuple[Prompt, list[Candidate]]:
    try:
        prompt = Record.of(row["prompt"], ["-"]).prompt
        candidates = [Candidate(prompt, c["answer"], c["verdict"], c.get("detail", "")) for c in row["candidates"]]
        if all(isinstance(c.answer, str) and c.verdict in get_args(Verdict) for c in candidates):
            return prompt, candidates
    except (KeyError, TypeError, AttributeError, RecordError):
        pass
    raise RecordError(
        f"{where}: this is not a prompt with its candidates. The file was changed: begin anew in another."
    )
