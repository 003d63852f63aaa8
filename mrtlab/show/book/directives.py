"""Directives of the book: an explorable in a prose page, the ledger, the status page, and each notebook's cost card."""

import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.util.docutils import SphinxDirective

from mrtlab.lab import claims
from mrtlab.show import explorables
from mrtlab.show.book.mime import explorable_nodes

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
            pages.append(self._section(_anchor(e), f"{e.claim.id} · {e.claim.title}", _judged_lines(e)))
        return [*pages, self._section("not-yet-tested", "Not yet tested", table)]

    def _section(self, anchor: str, title: str, lines: list[str]) -> nodes.section:
        """A section made by hand: headings inside parsed text would end up before the rest of the page."""
        section = nodes.section("", nodes.title(text=title), ids=[anchor], names=[anchor])
        self.state.document.note_explicit_target(section)
        section += self.parse_text_to_nodes("\n".join(lines))
        return section


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


__all__ = ["ExplorableDirective", "LedgerDirective", "StatusDirective", "add_cost_card", "read_costs"]
