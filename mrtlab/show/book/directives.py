"""Directives of the book: explorables and figures in prose, ledger, model card, status, what is not yet measured."""

import json
import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.util.docutils import SphinxDirective

from mrtlab.lab import artifacts, claims, full_scale
from mrtlab.show import card, explorables
from mrtlab.show.book.mime import explorable_nodes, figure_html, missing_description, without_html

_SHOWN_VERSIONS = ("mrtlab", "numpy", "scipy", "torch", "plotly", "jupyter-book", "sphinx", "myst-nb")


class ExplorableDirective(Directive):
    """``{explorable} lottery`` with optional ``:state: {"k": 4}``: a live figure in a prose page."""

    required_arguments = 1
    option_spec: ClassVar = {"state": directives.unchanged, "id": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the figure's nodes."""
        state = json.loads(self.options.get("state", "{}"))
        if "id" in self.options:
            state["id"] = self.options["id"]
        return explorable_nodes(explorables.explorable(self.arguments[0], **state).spec)


class ArtifactFigureDirective(SphinxDirective):
    """``{artifact-figure} meet_model.exact_and_sample``: a figure of `mrtlab.show.figures` in a prose page.

    The function gets the results of the artifact that its module is named after, at book scale, or of the one that
    ``:artifact: NAME.SCALE`` names. Without the artifact the page says so.
    """

    required_arguments = 1
    option_spec: ClassVar = {"artifact": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the figure's nodes, or a sentence in their place."""
        self.env.note_reread()
        module, _, function = self.arguments[0].partition(".")
        name, _, scale = self.options.get("artifact", f"{module}.book").partition(".")
        try:
            results = artifacts.load(name, scale).results
        except artifacts.ArtifactMissing as missing:
            return _not_yet(missing)
        figure = getattr(import_module(f"mrtlab.show.figures.{module}"), function)(results)
        content = json.loads(figure.to_json())
        if problem := missing_description(content):
            raise self.error(problem)
        ident = f"fig-{self.env.docname.split('/')[-1]}-{function.replace('_', '-')}"
        return [nodes.raw("", figure_html(content, ident), format="html"), without_html(content)]


class ModelCardDirective(SphinxDirective):
    """``{model-card}``: the card of the embedded model, from its artifact, section by section."""

    def run(self) -> list[nodes.Node]:
        """Return the card's nodes, or a sentence in their place."""
        self.env.note_reread()
        try:
            artifact = artifacts.load("meet_model")
        except artifacts.ArtifactMissing as missing:
            return _not_yet(missing)
        found: list[nodes.Node] = []
        for title, lines in card.card_sections(artifact.results, artifact.provenance):
            body = self.parse_text_to_nodes("\n".join(lines))
            found += [section(self, nodes.make_id(title), title, body)] if title else body
        return found


def _not_yet(missing: artifacts.ArtifactMissing) -> list[nodes.Node]:
    words, _, command = str(missing).partition(": ")
    paragraph = nodes.paragraph(text=f"Nothing to show here yet: {words}: ")
    paragraph += nodes.literal(text=command)
    return [paragraph]


def section(directive: SphinxDirective, anchor: str, title: str, body: list[nodes.Node]) -> nodes.section:
    """A section made by hand: headings inside parsed text would end up before the rest of the page."""
    made = nodes.section("", nodes.title(text=title), ids=[anchor], names=[anchor])
    directive.state.document.note_explicit_target(made)
    made += body
    return made


class LedgerDirective(SphinxDirective):
    """``{ledger}``: every claim with its verdict, as computed from the artifacts at this build.

    A claim whose rule changed after its run has no verdict and waits among the untested ones, saying so.
    """

    def run(self) -> list[nodes.Node]:
        """Return the claims that have a verdict in full, the others as a list of what is to come."""
        self.env.note_reread()
        entries = claims.ledger()
        judged = [e for e in entries if e.verdict]
        waiting = [e for e in entries if not e.verdict]
        summary = ["| claim | verdict | scope |", "|---|---|---|"]
        summary += [
            f"| {{ref}}`{e.claim.id} <{_anchor(e)}>` {e.claim.title} | {_short(e)} | {e.claim.scope} |" for e in judged
        ]
        table = ["| claim | what it says | where |", "|---|---|---|"]
        table += [f"| {e.claim.id} | {_cell(e.claim.statement)} | {_cell(e.status)} |" for e in waiting]
        pages = [*self.parse_text_to_nodes("\n".join(summary))]
        for e in judged:
            body = self.parse_text_to_nodes("\n".join(_judged_lines(e)))
            pages.append(section(self, _anchor(e), f"{e.claim.id} · {e.claim.title}", body))
        return [*pages, section(self, "not-yet-tested", "Not yet tested", self.parse_text_to_nodes("\n".join(table)))]


def _anchor(entry: Any) -> str:
    return f"claim-{entry.claim.id.lower()}"


def _short(entry: Any) -> str:
    """The verdict without its condition, in bold."""
    return f"**{entry.verdict.kind}{' …' if entry.verdict.condition else ''}**"


def _judged_lines(entry: Any) -> list[str]:
    claim, verdict = entry.claim, entry.verdict
    return [
        f"> {claim.statement}",
        "",
        f"**Verdict: {verdict}.**",
        "",
        f"**What we measured.** {verdict.measured}.",
        "",
        *([f"**Remark**, written after the run. {entry.remark}", ""] if entry.remark else []),
        f"**How we tested it.** {claim.test}",
        "",
        f"**Scope:** {claim.scope}. **Paper:** {{cite:t}}`{claim.paper}`. "
        f"**Artifact:** `{claim.experiment}.{claim.scale}`; make it again with "
        f"`mrtlab run {claim.experiment} --scale {claim.scale}`.",
        "",
    ]


class StatusDirective(SphinxDirective):
    """``{status}``: what each notebook cost when it last ran, and the versions it ran with."""

    def run(self) -> list[nodes.Node]:
        """Return two tables."""
        self.env.note_reread()
        costs = read_costs()
        rows = ["| notebook | scale | time | peak memory | ran on |", "|---|---|---|---|---|"]
        rows += [
            f"| {Path(name).stem} | {c['scale']} | {c['seconds']:.1f} s | {c['peak_mb']:.0f} MB | {c['created']} |"
            for name, c in sorted(costs.items())
        ]
        if not costs:
            rows = ["No notebook has been run by `make book` yet, so there is nothing to report."]
        rows += ["", "| package | version |", "|---|---|"]
        rows += [f"| {name} | {_version(name)} |" for name in _SHOWN_VERSIONS]
        return self.parse_text_to_nodes("\n".join(rows))


class FullScaleDirective(SphinxDirective):
    """``{full-scale}``: what was measured at full scale and what was not, read off the registry and the artifacts."""

    def run(self) -> list[nodes.Node]:
        """Return a count, a table of the experiments and a list of the GPU benchmark's cells."""
        self.env.note_reread()
        return self.parse_text_to_nodes("\n".join(full_scale_lines()))


def full_scale_lines() -> list[str]:
    """The page's text, in MyST."""
    runs, cells = full_scale.experiments(), full_scale.gpu_cells()
    lines = [f"{_count(runs)} experiments and {_count(cells)} cells of the GPU benchmark are measured at full scale."]
    lines += ["", "| experiment | at full scale | command |", "|---|---|---|"]
    lines += [f"| {run.name} | {_cell(run.state)} | `{run.command}` |" for run in runs]
    if not cells:
        return lines
    lines += ["", "Cells of the GPU benchmark, `python -m benchmarks.gpu`, those that matter most first:", ""]
    done = [f"- `{cell.name}`: {cell.measured}" for cell in cells if cell.measured]
    missing = ", ".join(f"`{cell.name}`" for cell in cells if not cell.measured)
    return [*lines, *done, *([f"- **{full_scale.NOT_YET}**: {missing}"] if missing else [])]


def _count(some: list[full_scale.FullScale]) -> str:
    return f"{sum(bool(one.measured) for one in some)} of {len(some)}"


def read_costs() -> dict[str, dict]:
    """What `mrtlab.show.book.execute` measured, by notebook path; empty before the first run."""
    cache = os.environ.get("MRTLAB_NB_CACHE", "")
    path = Path(cache) / "costs.json"
    return json.loads(path.read_text()) if cache and path.exists() else {}


def add_cost_card(app: Any, doctree: nodes.document) -> None:
    """Print under a notebook's title what it cost to run (Sphinx event ``doctree-read``)."""
    source = Path(app.env.doc2path(app.env.docname)).relative_to(app.srcdir)
    cost = read_costs().get(source.as_posix())
    title = next(doctree.findall(nodes.title), None)
    if cost is None or title is None:
        return
    text = (
        f"Runs in {cost['seconds']:.0f} s with {cost['peak_mb']:.0f} MB of memory on {cost['cores']} CPU cores "
        f"(measured at {cost['scale']} scale, {cost['created']}). No GPU, no download."
    )
    title.parent.insert(title.parent.index(title) + 1, nodes.paragraph(text=text, classes=["mrt-cost"]))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


__all__ = [
    "ArtifactFigureDirective",
    "ExplorableDirective",
    "FullScaleDirective",
    "LedgerDirective",
    "ModelCardDirective",
    "StatusDirective",
    "add_cost_card",
    "full_scale_lines",
    "read_costs",
]
