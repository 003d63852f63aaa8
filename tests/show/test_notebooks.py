"""The notebook tool: tidying is idempotent, touches nothing that it does not own, and says what was out of step."""

import copy
import json
import os
import re
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mrtlab.show.exercises import EXERCISES, exercise_cells
from mrtlab.show.notebooks import (
    NOTEBOOK_METADATA,
    NotebookError,
    audit,
    code_cells_too_long,
    code_sources,
    install_source,
    main,
    markdown_sources,
    read_notebook,
    repository_url,
    tidy,
)

ADDRESS = "https://example.org/someone/book"
ROOT = Path(__file__).parents[2]

# --- properties of tidying ---

words = st.text("ab \n#%", max_size=12)
ids = st.sampled_from(["c01", "c02", "c03", "a-b", "bad id", "", "x" * 65, None])
metadata = st.dictionaries(
    st.sampled_from(["collapsed", "scrolled", "tags", "execution", "mystnb"]), st.just([]), max_size=3
)


@st.composite
def cells(draw: st.DrawFn) -> NotebookNode:
    cell = {"cell_type": draw(st.sampled_from(["code", "markdown", "raw"])), "source": draw(words)}
    cell["metadata"] = draw(metadata)
    if (cell_id := draw(ids)) is not None:
        cell["id"] = cell_id
    if cell["cell_type"] == "code":
        cell["execution_count"] = draw(st.none() | st.integers(1, 9))
        cell["outputs"] = draw(st.sampled_from([[], [new_output("stream", text="hello")]]))
        if draw(st.booleans()):
            cell["metadata"] = cell["metadata"] | {"tags": ["mrtlab-install"]}
    return nbformat.from_dict(cell)


@st.composite
def notebooks(draw: st.DrawFn) -> NotebookNode:
    body = draw(st.lists(cells(), max_size=6))
    owned = draw(st.lists(st.sampled_from(list(EXERCISES)), max_size=2))
    for exercise in owned:
        body.insert(draw(st.integers(0, len(body))), new_markdown_cell(f"%%exercise {exercise}\n"))
    extra = draw(st.sampled_from([{}, {"widgets": {}}, NOTEBOOK_METADATA, {"mystnb": {"x": 1}}]))
    parts = {"cells": body, "metadata": extra, "nbformat": 4, "nbformat_minor": draw(st.sampled_from([2, 5]))}
    return nbformat.from_dict(copy.deepcopy(parts))


@given(notebooks(), st.sampled_from(["", ADDRESS]))
def test_tidying_twice_changes_nothing_more(notebook: NotebookNode, repository: str):
    before = copy.deepcopy(notebook)
    once, _ = tidy(notebook, repository=repository)
    twice, findings = tidy(once, repository=repository)
    assert notebook == before
    assert once == twice
    assert findings == []
    nbformat.validate(once)


@given(notebooks(), st.sampled_from(["", ADDRESS]))
def test_a_tidy_notebook_is_clean(notebook: NotebookNode, repository: str):
    clean, findings = tidy(notebook, repository=repository)
    assert all(not cell.outputs and cell.execution_count is None for cell in clean.cells if cell.cell_type == "code")
    assert len({cell.id for cell in clean.cells}) == len(clean.cells)
    assert {key: clean.metadata[key] for key in NOTEBOOK_METADATA} == NOTEBOOK_METADATA
    assert not {"collapsed", "scrolled", "execution"} & {key for cell in clean.cells for key in cell.metadata}
    code = [cell for cell in clean.cells if cell.cell_type == "code"]
    installs = ["mrtlab-install" in cell.metadata.get("tags", []) for cell in code]
    assert installs == [bool(repository) and i == 0 for i in range(len(code))]
    assert bool(findings) == (clean != notebook)


@given(notebooks(), st.sampled_from(["", ADDRESS]))
def test_what_authors_wrote_is_kept_in_order(notebook: NotebookNode, repository: str):
    def authored(nb: NotebookNode) -> list[tuple[str, str]]:
        return [
            (cell.cell_type, cell.source)
            for cell in nb.cells
            if not cell.metadata.get("mrtlab")
            and "mrtlab-install" not in cell.metadata.get("tags", [])
            and not cell.source.startswith("%%exercise")
        ]

    assert authored(tidy(notebook, repository=repository)[0]) == authored(notebook)


def test_good_ids_stay_and_bad_ones_are_named_by_position():
    named = ["c02", "intro", "intro", "not good", "c05"]
    written = [{"cell_type": "markdown", "id": name, "metadata": {}, "source": ""} for name in named]
    notebook = nbformat.from_dict({"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    clean, findings = tidy(notebook)
    assert [cell.id for cell in clean.cells] == ["c02", "intro", "c03", "c04", "c05"]
    assert [finding.cell for finding in findings[:2]] == ["cell 3", "cell 4"]


# --- exercise cells ---


def with_exercise(exercise_id: str = "ch1.coverage") -> NotebookNode:
    return tidy(new_notebook(cells=[new_markdown_cell("# Title", id="c01"), *exercise_cells(exercise_id)]))[0]


@pytest.mark.parametrize("index", [1, 2, 3])
def test_an_edited_exercise_cell_is_restored(index: int):
    notebook = with_exercise()
    edited = copy.deepcopy(notebook)
    edited.cells[index].source += "\nedited"
    clean, findings = tidy(edited)
    assert clean == notebook
    assert [finding.what for finding in findings] == ["differs from the source of exercise ch1.coverage"]


def test_a_placeholder_becomes_three_cells():
    notebook = new_notebook(cells=[new_markdown_cell(" %%exercise ch1.coverage \n", id="c01")])
    assert tidy(notebook)[0].cells == exercise_cells("ch1.coverage")


def test_a_placeholder_inside_a_longer_text_is_left_alone():
    notebook = tidy(new_notebook(cells=[new_markdown_cell("Write\n%%exercise ch1.coverage", id="c01")]))[0]
    assert markdown_sources(notebook) == ["Write\n%%exercise ch1.coverage"]


@pytest.mark.parametrize(
    ("mark", "what"),
    [
        ({"exercise": "ch1.covrage", "part": "stub"}, "did you mean 'ch1.coverage'"),
        ({"exercise": "ch1.coverage", "part": "stubb"}, "none of text, stub, solution"),
        ({"exercise": 7, "part": "stub"}, "no exercise '7'"),
    ],
)
def test_a_mark_that_leads_nowhere_needs_a_person(mark: dict, what: str):
    notebook = tidy(new_notebook(cells=[new_code_cell("1", id="c01", metadata={"mrtlab": mark})]))
    clean, findings = notebook
    assert code_sources(clean) == ["1"]
    assert what in findings[0].what
    assert findings[0].by_hand


# --- the install cell ---


def test_install_cell_comes_goes_and_moves_to_the_front():
    notebook = tidy(new_notebook(cells=[new_markdown_cell("# T", id="c01"), new_code_cell("1", id="c02")]))[0]
    installed = tidy(notebook, repository=ADDRESS)[0]
    assert code_sources(installed) == [install_source(ADDRESS), "1"]
    assert tidy(installed)[0] == notebook
    swapped = copy.deepcopy(installed)
    swapped.cells[1:] = swapped.cells[:0:-1]
    assert tidy(swapped, repository=ADDRESS)[0] == installed


def test_install_cell_follows_the_address():
    first = tidy(new_notebook(cells=[new_code_cell("1", id="c01")]), repository=ADDRESS)[0]
    second, findings = tidy(first, repository=ADDRESS + "2")
    assert code_sources(second)[0] == install_source(ADDRESS + "2")
    assert len(findings) == 1


def test_install_cell_pins_what_the_runtime_has(monkeypatch: pytest.MonkeyPatch):
    asked = run_as_ipython_does(install_source(ADDRESS), monkeypatch, colab=True)
    assert len(install_source(ADDRESS).splitlines()) <= 8
    assert len(asked) == 1
    assert asked[0].startswith(f'install -q "mrtlab @ git+{ADDRESS}" numpy=={version("numpy")}')


def test_install_cell_does_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch):
    assert run_as_ipython_does(install_source(ADDRESS), monkeypatch, colab=False) == []


def run_as_ipython_does(source: str, monkeypatch: pytest.MonkeyPatch, *, colab: bool) -> list[str]:
    """Run a cell with IPython's own rewriting of magics; returns the arguments each %pip was given."""
    from IPython.core.inputtransformer2 import TransformerManager

    asked: list[str] = []
    names: dict = {}

    class Shell:
        def run_line_magic(self, magic: str, line: str) -> None:
            assert magic == "pip"
            asked.append(re.sub(r"{(\w+)}", lambda found: names[found[1]], line))  # IPython expands {name}

    names["get_ipython"] = Shell
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    else:
        monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    exec(TransformerManager().transform_cell(source), names)
    return asked


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ""),
        ("title: x", ""),
        ("repository:", ""),
        ('repository: {url: ""}', ""),
        (f"repository: {{url: {ADDRESS}/}}", ADDRESS),
        (f"repository: {{url: '{ADDRESS}.git', branch: main}}", ADDRESS),
    ],
)
def test_repository_url(tmp_path: Path, text: str, address: str):
    (tmp_path / "_config.yml").write_text(text)
    assert repository_url(tmp_path / "_config.yml") == address


@pytest.mark.parametrize("url", ["github.com/a/b", "https://github.com", 'https://a.b/c" --pre "', "https://a.b/{c}"])
def test_repository_url_refuses_what_is_no_address(tmp_path: Path, url: str):
    (tmp_path / "_config.yml").write_text(json.dumps({"repository": {"url": url}}))
    with pytest.raises(NotebookError, match="should look like https"):
        repository_url(tmp_path / "_config.yml")


# --- long cells ---


@given(st.integers(0, 30), st.integers(1, 20))
def test_long_cells_are_counted(lines: int, limit: int):
    notebook = new_notebook(cells=[new_code_cell("x\n" * lines, id="c01"), new_markdown_cell("y\n" * 99)])
    assert code_cells_too_long(notebook, limit) == ([("cell 1 (c01)", lines)] if lines > limit else [])


@pytest.mark.parametrize("tag", ["mrtlab-exercise", "mrtlab-install", "remove-cell"])
def test_some_cells_may_be_long(tag: str):
    assert code_cells_too_long(new_notebook(cells=[new_code_cell("x\n" * 99, metadata={"tags": [tag]})])) == []


# --- the command ---


@pytest.fixture
def untidy(tmp_path: Path) -> Path:
    """A notebook as JupyterLab leaves it after a run."""
    cell = new_code_cell("1 + 1", id="c01", execution_count=3, outputs=[new_output("stream", text="2")])
    notebook = new_notebook(cells=[new_markdown_cell("%%exercise ch1.coverage", id="c00"), cell])
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "01_x.ipynb"
    path.write_text(nbformat.v4.writes(notebook))
    return path


def test_check_lists_and_changes_nothing(untidy: Path, capsys: pytest.CaptureFixture):
    before = untidy.read_bytes(), untidy.stat().st_mtime_ns, os.listdir(untidy.parent)
    assert main(["--check", str(untidy.parent)]) == 1
    assert (untidy.read_bytes(), untidy.stat().st_mtime_ns, os.listdir(untidy.parent)) == before
    remedy = f"→ python -m mrtlab.show.notebooks {untidy}"
    lines = capsys.readouterr().out.splitlines()
    assert f"{untidy} · cell 2 (c01): stores outputs {remedy}" in lines
    assert f"{untidy} · cell 1 (c00): exercise ch1.coverage is not expanded yet {remedy}" in lines


def test_tidy_then_check_is_quiet(untidy: Path, capsys: pytest.CaptureFixture):
    assert main([str(untidy)]) == 0
    assert "mended" in capsys.readouterr().out
    assert os.listdir(untidy.parent) == [untidy.name]
    assert untidy.read_text().endswith("}\n")
    assert main(["--check", str(untidy)]) == 0
    assert capsys.readouterr().out == ""
    stored = read_notebook(untidy)
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)
    assert code_sources(stored)[-1] == "1 + 1"


def test_layout_alone_is_out_of_step(untidy: Path, capsys: pytest.CaptureFixture):
    main([str(untidy)])
    untidy.write_text(json.dumps(json.loads(untidy.read_text())))
    capsys.readouterr()
    assert main(["--check", str(untidy)]) == 1
    assert "laid out differently" in capsys.readouterr().out


def test_address_comes_from_the_nearest_settings(untidy: Path):
    main([str(untidy)])
    assert audit(untidy) == ([], None)
    settings = untidy.parents[1] / "_config.yml"
    settings.write_text(f"repository: {{url: {ADDRESS}}}")
    assert [finding.what for finding in audit(untidy)[0]] == ["lacks the install cell"]
    other = untidy.parent / "other.yml"
    other.write_text("title: no address")
    assert audit(untidy, config=other) == ([], None)


def test_what_needs_a_person_stays_an_error(untidy: Path, capsys: pytest.CaptureFixture):
    notebook = new_notebook(cells=[new_code_cell("x\n" * 16, id="c01")])
    untidy.write_text(nbformat.v4.writes(notebook))
    assert main([str(untidy)]) == 1
    assert "cell 1 (c01): 16 lines of code, more than 15 → split the cell" in capsys.readouterr().out
    assert main([str(untidy)]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: not a notebook"),
        ("[]", "not a notebook of format 4"),
        ('{"nbformat": 3}', "not a notebook of format 4"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a valid notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [3]}', "not a valid notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "x"}]}', "not a valid notebook"),
    ],
)
def test_bad_files_get_one_sentence(untidy: Path, text: str, message: str, capsys: pytest.CaptureFixture):
    untidy.write_text(text)
    assert main([str(untidy)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{untidy}: ")
    assert message in said
    assert len(said.splitlines()) == 1
    assert untidy.read_text() == text


@pytest.mark.parametrize("argv", [["nowhere"], ["--config", "nowhere.yml", "."], ["README.md"]])
def test_bad_arguments_get_one_sentence(untidy: Path, argv: list, monkeypatch, capsys: pytest.CaptureFixture):
    monkeypatch.chdir(untidy.parent)
    assert main(argv) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_checkpoints_and_builds_are_not_notebooks(untidy: Path):
    for folder in (".ipynb_checkpoints", "_build/jupyter"):
        (untidy.parent / folder).mkdir(parents=True)
        (untidy.parent / folder / "copy.ipynb").write_text("broken")
    assert main([str(untidy.parent)]) == 0


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_the_notebooks_of_this_book_are_in_step(path: Path):
    findings, _ = audit(path)
    assert findings == []
