"""The Sphinx side on a tiny book: numbers that must not drift, figures that need words, slim pages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import plotly.graph_objects as go
import pytest

from mrtlab.show.book import numbers, slim
from mrtlab.show.book.mime import PLOTLY, figure_html, missing_description
from mrtlab.show.figures import present

CONF = """
extensions = ["myst_nb", "mrtlab.show.book"]
nb_execution_mode = "off"
root_doc = "index"
html_theme = "basic"
myst_enable_extensions = ["colon_fence"]
myst_url_schemes = ["https", "num"]
"""
ARTIFACT = {
    "experiment": "toy",
    "scale": "book",
    "results": {"sd": 31.38, "share": 0.288},
    "provenance": {"commit": "abc", "created": "2026-01-01", "rules": {}},
}


def described():
    return present(go.Figure(go.Bar(x=["a"], y=[1.0])), claim="One bar", how="A bar.", alt="A bar of height one.",
                   columns=["x", "height"], rows=[["a", 1.0]])  # fmt: skip


def build(tmp_path, text, *, builder="html", figure=None):
    """Build a one-page book; return the exit code, what Sphinx said, and the page."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text(CONF)
    (source / "index.md").write_text(text)
    if figure is not None:
        output = nbformat.v4.new_output("display_data", data={PLOTLY: json.loads(figure.to_json())})
        cell = nbformat.v4.new_code_cell("fig", outputs=[output])
        cells = [nbformat.v4.new_markdown_cell("# Page"), cell]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
        nbformat.write(notebook, source / "page.ipynb")
        (source / "index.md").write_text(text + "\n\n```{toctree}\npage\n```\n")
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / "toy.book.json").write_text(json.dumps(ARTIFACT))
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-b", builder, source, tmp_path / "out"],
        capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"MRTLAB_ARTIFACTS": str(artifacts), "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    name = "page" if figure is not None else "index"
    page = tmp_path / "out" / f"{name}.{'html' if builder == 'html' else 'txt'}"
    return done.returncode, done.stderr, page.read_text() if page.exists() else ""


def test_a_number_that_agrees_is_printed_with_its_source(tmp_path):
    code, said, page = build(tmp_path, "# Toy\n\nThe sd is {num}`31.4 <toy.book#sd>`, {num}`29 % <toy.book#share>`.\n")
    assert code == 0, said
    assert ">31.4</abbr>" in page
    assert "toy.book#sd = 31.38" in page


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("31.5 <toy.book#sd>", "31.38"),
        ("31 <toy.book#sdd>", "sd"),
        ("31 <nothing.book#sd>", "nothing"),
        ("31 toy.book", "should read"),
    ],
)
def test_a_number_that_drifts_or_is_missing_breaks_the_build(tmp_path, written, says):
    code, said, _ = build(tmp_path, f"# Toy\n\nThe sd is {{num}}`{written}`.\n")
    assert code != 0
    assert says in said


@pytest.mark.parametrize(
    ("shown", "value", "verdict"),
    [
        ("0.5", 0.549, True),
        ("0.5", 0.551, False),
        ("−0.10", -0.098, True),
        ("53 %", 0.534, True),
        ("53 %", 53.4, False),
        ("1,200", 1200.4, True),
        ("about three times", 3.4, True),
        ("about three times", 3.6, False),
        (".65", 0.651, True),
    ],
)
def test_agreement_is_rounding_as_written(shown, value, verdict):
    assert numbers.agrees(shown, value) is verdict


def test_a_number_may_be_a_link_that_reads_well_in_a_notebook(tmp_path):
    code, said, page = build(tmp_path, "# Toy\n\nThe sd is [31.4](num:toy.book#sd), so [29 %](num:toy.book#share).\n")
    assert code == 0, said
    assert ">31.4</abbr>" in page
    assert "num:" not in page


def test_a_link_that_drifts_breaks_the_build(tmp_path):
    code, said, _ = build(tmp_path, "# Toy\n\nThe sd is [31.5](num:toy.book#sd).\n")
    assert code != 0
    assert "31.38" in said


def test_a_figure_becomes_a_page_fragment_and_a_text(tmp_path):
    code, said, page = build(tmp_path, "# Toy\n", figure=described())
    assert code == 0, said
    assert page.count('class="mrt-plot"') == 1
    for words in ("One bar", "A bar of height one.", '<th scope="col">height</th>'):
        assert words in page


def test_a_figure_in_a_text_build_is_its_words(tmp_path):
    code, said, text = build(tmp_path, "# Toy\n", builder="text", figure=described())
    assert code == 0, said
    assert "A bar of height one." in text
    assert "mrt-plot" not in text


def test_a_figure_without_words_breaks_the_build(tmp_path):
    code, said, _ = build(tmp_path, "# Toy\n", figure=go.Figure(go.Bar(y=[1])))
    assert code != 0
    assert "figure without claim" in said


def test_fragments_cannot_be_broken_out_of():
    figure = json.loads(described().to_json())
    figure["data"][0]["name"] = "</script><script>alert(1)</script>"
    assert "</script><script>alert" not in figure_html(figure, "x")


def test_a_film_is_refused():
    figure = json.loads(described().to_json()) | {"frames": [{}] * 201}
    assert "201 frames" in missing_description(figure)


def test_slim_css_keeps_what_matches():
    css = ".used .b,.gone{color:red}.used:not(.gone){x:y}:root{--a:1}@media print{.gone{a:b}.used{c:d}}"
    assert slim.slim_css(css, {"used", "b"}) == (
        ".used .b{color:red}.used:not(.gone){x:y}:root{--a:1}@media print{.used{c:d}}"
    )


def test_slim_pages_lose_scripts_without_a_job_but_not_their_own():
    library = 'x={bars:[448,512,["navicon"],"f0c9","M0 96"]}'
    text = (
        '<script src="_static/sphinx-thebe.js"></script><script src="searchindex.js"></script>'
        '<script type="application/json">{"a":"thebe"}</script><i class="fa-solid fa-bars" data-x="1"></i>'
    )
    slimmed = slim.slim_page(text, icons=slim.IconSet(library), is_search=False)
    assert "sphinx-thebe" not in slimmed
    assert "searchindex" not in slimmed
    assert '{"a":"thebe"}' in slimmed
    assert 'd="M0 96"' in slimmed
    assert 'data-x="1"' in slimmed
    assert "searchindex" in slim.slim_page(text, icons=slim.IconSet(library), is_search=True)


def test_an_unknown_icon_is_an_error():
    with pytest.raises(LookupError, match="nosuch"):
        slim.IconSet("").svg("fa-solid fa-nosuch")


def test_the_plug_in_is_installed():
    from importlib.metadata import entry_points

    names = {e.value for e in entry_points(group="myst_nb.mime_renderers")}
    assert "mrtlab.show.book.mime:FigureRenderer" in names


def test_the_notebook_cache_forgets_when_code_or_artifacts_change(tmp_path, monkeypatch):
    from mrtlab.show.book import execute

    monkeypatch.chdir(tmp_path)
    Path("artifacts").mkdir()
    Path("artifacts/a.json").write_text("1")
    key = execute._key("book")
    assert execute._key("book") == key
    assert execute._key("smoke") != key
    Path("artifacts/a.json").write_text("2")
    assert execute._key("book") != key


def test_a_figure_and_the_card_in_prose_say_so_if_their_artifact_is_missing(tmp_path):
    text = "# Page\n\n```{artifact-figure} meet_model.exact_and_sample\n```\n\n```{model-card}\n```\n"
    code, said, page = build(tmp_path, text)
    assert code == 0, said
    assert page.count("no artifact meet_model.book.json yet") == 2
    assert "mrt-plot" not in page
