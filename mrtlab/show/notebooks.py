"""Keep the notebooks clean and in step with what they are made from. A tool for authors.

    python -m mrtlab.show.notebooks              # tidy every notebook under notebooks/
    python -m mrtlab.show.notebooks --check      # change nothing; exit 1 and a list if something is out of step

A tidy notebook stores no outputs and no volatile metadata, its cell ids are stable, its exercise cells equal their
one source (`mrtlab.show.exercises`), and its Colab install cell follows the repository address in `_config.yml`.
To add an exercise, write a markdown cell that holds only `%%exercise ch1.coverage` and run the tool.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from mrtlab.show.exercises import exercise_cells, get_exercise
from mrtlab.show.exercises.engine import STUB_TAG

INSTALL_TAG = "mrtlab-install"
LINE_LIMIT = 15  # lines of code that a reader takes in at a glance
MAY_BE_LONG = frozenset({STUB_TAG, INSTALL_TAG, "remove-cell"})

NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT_NOTEBOOK_METADATA = frozenset({"execution", "mrtlab", "mystnb", "nbmake"})  # settings that people write
KEPT_CELL_METADATA = frozenset({"mrtlab", "mystnb", "nbmake", "tags"})

_PARTS = ("text", "stub", "solution")
_PLACEHOLDER = re.compile(r"\s*%%exercise[ \t]+(\S+)\s*")
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ADDRESS = re.compile(r"https://[\w.-]+(/[\w.~-]+)+")


class NotebookError(ValueError):
    """A file that cannot be worked on; the message is one sentence for the person at the terminal."""


@dataclass(frozen=True)
class Finding:
    """One thing that is out of step.

    Attributes:
        cell: which cell, "cell 3 (c03)", or "notebook".
        what: what is wrong with it.
        by_hand: what a person must do; empty where the tool mends it.
    """

    cell: str
    what: str
    by_hand: str = ""


def tidy(notebook: NotebookNode, *, repository: str = "") -> tuple[NotebookNode, list[Finding]]:
    """A clean copy of a notebook, and what had to change.

    Tidying twice changes nothing more, and no cell that the tool does not own gets another source.

    Args:
        notebook: an nbformat 4 notebook; left as it is.
        repository: web address that the install cell installs from; empty for no install cell.

    Returns:
        the tidy notebook and the findings; those with `by_hand` set are still true of the copy.

    >>> from nbformat.v4 import new_markdown_cell, new_notebook
    >>> clean, findings = tidy(new_notebook(cells=[new_markdown_cell("%%exercise ch1.coverage", id="c01")]))
    >>> [cell["id"] for cell in clean.cells]
    ['ch1-coverage-text', 'ch1-coverage-stub', 'ch1-coverage-solution']
    >>> findings[0].what
    'exercise ch1.coverage is not expanded yet'
    """
    findings: list[Finding] = []
    cells: list[NotebookNode] = []
    for position, cell in enumerate(notebook.cells, start=1):
        where = _where(position, cell)
        for mine in _exercise_in_step(cell, where, findings):
            cells.append(_stripped(mine, where, findings))
    cells = _with_install_cell(cells, repository, findings)
    _settle_ids(cells, findings)
    metadata = _notebook_metadata(notebook, findings)
    clean = nbformat.from_dict({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    if notebook.get("nbformat_minor") != 5:
        findings.append(Finding("notebook", "is not in notebook format 4.5"))
    return clean, findings


def _where(position: int, cell: NotebookNode) -> str:
    return f"cell {position} ({cell['id']})" if cell.get("id") else f"cell {position}"


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _exercise_in_step(cell: NotebookNode, where: str, findings: list[Finding]) -> list[NotebookNode]:
    """The cell itself; or, if it belongs to an exercise, what that exercise's source says it should be."""
    placeholder = _PLACEHOLDER.fullmatch(cell.source) if cell.cell_type == "markdown" else None
    mark = cell.metadata.get("mrtlab", {})
    mark = mark if isinstance(mark, dict) else {}
    name, part = (placeholder[1], None) if placeholder else (mark.get("exercise"), mark.get("part"))
    if name is None:
        return [cell]
    try:
        get_exercise(str(name))
    except ValueError as unknown:
        findings.append(Finding(where, str(unknown), by_hand="correct the exercise's id in the cell"))
        return [cell]
    cells = exercise_cells(str(name))
    if placeholder:
        findings.append(Finding(where, f"exercise {name} is not expanded yet"))
        return cells
    if part not in _PARTS:
        findings.append(
            Finding(where, f"part {part!r} of {name} is none of {', '.join(_PARTS)}", by_hand="correct the metadata")
        )
        return [cell]
    wanted = cells[_PARTS.index(part)]
    content = ("cell_type", "source", "metadata")
    if [cell[key] for key in content] == [wanted[key] for key in content]:
        return [cell]
    findings.append(Finding(where, f"differs from the source of exercise {name}"))
    if "id" in cell:
        wanted["id"] = cell["id"]
    return [wanted]


def _stripped(cell: NotebookNode, where: str, findings: list[Finding]) -> NotebookNode:
    """The cell without what running or viewing it left behind."""
    kept = {key: cell[key] for key in ("cell_type", "id", "source", "attachments") if key in cell}
    kept["metadata"] = {key: value for key, value in cell.metadata.items() if key in KEPT_CELL_METADATA}
    if cell.get("outputs"):
        findings.append(Finding(where, "stores outputs"))
    if cell.get("execution_count") is not None:
        findings.append(Finding(where, "stores an execution count"))
    if volatile := sorted(set(cell.metadata) - KEPT_CELL_METADATA):
        findings.append(Finding(where, f"stores volatile metadata: {', '.join(volatile)}"))
    if cell.cell_type == "code":
        kept |= {"outputs": [], "execution_count": None}
    return nbformat.from_dict(kept)


def install_source(repository: str) -> str:
    """The install cell: on Colab install mrtlab, holding numpy and torch at the versions the runtime has.

    Pinned to what is there, nothing that Colab has already imported is replaced, so no restart is needed.

    >>> print(install_source("https://example.org/me/book").splitlines()[-1])
        %pip install -q "mrtlab @ git+https://example.org/me/book" {keep}
    """
    return f"""import sys

if "google.colab" in sys.modules:
    from importlib.metadata import version
    from importlib.util import find_spec
    keep = " ".join(f"{{name}}=={{version(name)}}" for name in ("numpy", "torch") if find_spec(name))
    %pip install -q "mrtlab @ git+{repository}" {{keep}}"""


def _with_install_cell(cells: list[NotebookNode], repository: str, findings: list[Finding]) -> list[NotebookNode]:
    """The cells with one install cell as the first code cell, or with none if there is no address."""
    had = [cell for cell in cells if INSTALL_TAG in _tags(cell)]
    rest = [cell for cell in cells if INSTALL_TAG not in _tags(cell)]
    first = next((i for i, cell in enumerate(rest) if cell.cell_type == "code"), None)
    if not repository or first is None:
        if had:
            findings.append(Finding("notebook", "has an install cell, and nothing to install from"))
        return rest
    # The published page needs no install cell; whoever opens the notebook on Colab does.
    marks = {"id": INSTALL_TAG, "metadata": {"tags": [INSTALL_TAG, "remove-cell"]}}
    wanted = new_code_cell(install_source(repository), **marks)
    if had:
        wanted["id"] = had[0].get("id", INSTALL_TAG)
    together = [*rest[:first], wanted, *rest[first:]]
    if not had:
        findings.append(Finding("notebook", "lacks the install cell"))
    elif together != cells:
        findings.append(Finding("notebook", "its install cell is out of date or not the first code cell"))
    return together


def _settle_ids(cells: list[NotebookNode], findings: list[Finding]) -> None:
    """Keep well-formed ids; name the other cells c01, c02, … by position."""
    taken = {str(cell.get("id")) for cell in cells}
    used: set[str] = set()
    for position, cell in enumerate(cells, start=1):
        current = cell.get("id")
        if not isinstance(current, str) or not _CELL_ID.fullmatch(current) or current in used:
            what = "has no id" if current is None else f"its id {current!r} is malformed or used twice"
            findings.append(Finding(f"cell {position}", what))
            number = position
            while f"c{number:02d}" in taken:
                number += 1
            cell["id"] = f"c{number:02d}"
            taken.add(cell["id"])
        used.add(cell["id"])


def _notebook_metadata(notebook: NotebookNode, findings: list[Finding]) -> dict[str, Any]:
    kept = {key: value for key, value in notebook.metadata.items() if key in KEPT_NOTEBOOK_METADATA}
    wanted = NOTEBOOK_METADATA | kept
    if notebook.metadata != wanted:
        findings.append(Finding("notebook", "its metadata names a kernel or holds volatile entries"))
    return wanted


def code_cells_too_long(notebook: NotebookNode, limit: int = LINE_LIMIT) -> list[tuple[str, int]]:
    """Code cells of more than `limit` lines: which, and how many lines.

    Exercise stubs, the install cell and cells that the book removes may be longer.

    >>> from nbformat.v4 import new_notebook
    >>> code_cells_too_long(new_notebook(cells=[new_code_cell("1\\n2\\n3", id="c01")]), limit=2)
    [('cell 1 (c01)', 3)]
    """
    return [
        (_where(position, cell), lines)
        for position, cell in enumerate(notebook.cells, start=1)
        if cell.cell_type == "code"
        and not MAY_BE_LONG & set(_tags(cell))
        and (lines := len(cell.source.strip().splitlines())) > limit
    ]


def code_sources(notebook: NotebookNode) -> list[str]:
    """Source of every code cell, in order."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def markdown_sources(notebook: NotebookNode) -> list[str]:
    """Source of every markdown cell, in order."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook as it is stored, unchanged.

    Raises:
        NotebookError: the file cannot be read, is not JSON, or is no notebook of format 4.
    """
    return _parse(_read_text(path), path)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path}: cannot be read: {error}") from error


def _parse(text: str, path: Path) -> NotebookNode:
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotebookError(f"{path}: line {error.lineno}: not a notebook, {error.msg}") from error
    if not isinstance(raw, dict) or raw.get("nbformat") != 4:
        raise NotebookError(f"{path}: not a notebook of format 4; save it once in JupyterLab")
    try:
        cells = [{**cell, "id": f"c{i}"} for i, cell in enumerate(raw["cells"])]  # ids are ours to mend
        nbformat.validate({**raw, "cells": cells, "nbformat_minor": 5})
    except (nbformat.ValidationError, KeyError, TypeError, AttributeError) as error:
        reason = str(getattr(error, "message", error)).splitlines()[0][-160:]
        raise NotebookError(f"{path}: not a valid notebook: {reason}") from error
    return nbformat.v4.reads(text)


def repository_url(config: Path) -> str:
    """The repository's address in a `_config.yml`, without a trailing slash or .git; empty if it is not set.

    Raises:
        NotebookError: the file cannot be read, is not YAML, or the address is not a web address.
    """
    import yaml  # comes with jupyter-book

    try:
        settings = yaml.safe_load(_read_text(config)) or {}
    except yaml.YAMLError as error:
        raise NotebookError(f"{config}: not YAML: {' '.join(str(error).split())}") from error
    section = settings.get("repository") if isinstance(settings, dict) else None
    address = str((section.get("url") if isinstance(section, dict) else section) or "").strip()
    address = address.rstrip("/").removesuffix(".git")
    if address and not _ADDRESS.fullmatch(address):
        raise NotebookError(f"{config}: repository url {address!r} should look like https://github.com/owner/name")
    return address


def _nearest_address(path: Path, config: Path | None) -> str:
    """The address in the given settings file, or else in the nearest one above the notebook."""
    if config:
        return repository_url(config)
    above = (folder / "_config.yml" for folder in path.resolve().parents)
    return next((repository_url(found) for found in above if found.is_file()), "")


def audit(path: Path, *, config: Path | None = None) -> tuple[list[Finding], str | None]:
    """What is out of step in a notebook file, and the text it should hold.

    Args:
        path: the notebook.
        config: settings file with the repository's address; by default the nearest `_config.yml` above.

    Returns:
        findings, and the tidy text, or None if the file holds it already.

    Raises:
        NotebookError: the file or the settings cannot be used.
    """
    text = _read_text(path)
    clean, findings = tidy(_parse(text, path), repository=_nearest_address(path, config))
    wanted = nbformat.v4.writes(clean) + "\n"
    if text != wanted and all(finding.by_hand for finding in findings):
        findings.append(Finding("notebook", "is laid out differently from what the tool writes"))
    findings += [
        Finding(
            cell, f"{lines} lines of code, more than {LINE_LIMIT}", by_hand="split the cell, or move code to mrtlab"
        )
        for cell, lines in code_cells_too_long(clean)
    ]
    return findings, None if text == wanted else wanted


def _notebooks_in(paths: Sequence[Path]) -> list[Path]:
    """Notebook files named, or found below the folders named."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.ipynb"))
            found += [
                file for file in inside if not any(p.startswith((".", "_")) for p in file.relative_to(path).parts)
            ]
        elif path.suffix == ".ipynb" and path.is_file():
            found.append(path)
        else:
            raise NotebookError(f"{path}: neither a folder nor an .ipynb file")
    return found


def _replace(path: Path, text: str) -> None:
    """Write to a temporary file beside the notebook, then rename: never half a notebook."""
    temporary = path.with_suffix(".ipynb.tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: all in step; 1: something is not (still not, without --check); 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m mrtlab.show.notebooks", description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("notebooks")], help="notebooks or folders")
    parser.add_argument("--check", action="store_true", help="change nothing, list what is out of step")
    parser.add_argument("--config", type=Path, help="settings file; default: the nearest _config.yml above")
    options = parser.parse_args(argv)
    left = 0
    try:
        files = _notebooks_in(options.paths)
        for path in files:
            findings, wanted = audit(path, config=options.config)
            mended = wanted is not None and not options.check
            if mended:
                _replace(path, wanted)
            for finding in findings:
                remedy = finding.by_hand or f"{parser.prog} {path}"
                done = mended and not finding.by_hand
                left += not done
                print(f"{path} · {finding.cell}: {finding.what} → {'mended' if done else remedy}")
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(files)} notebook{'s' * (len(files) != 1)}, {left or 'nothing'} out of step", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main())
