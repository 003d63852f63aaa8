"""How notebook outputs become HTML: bare plotly figures and explorables, with no wrapper call in the notebook.

MyST-NB finds `FigureRenderer` through the entry point ``myst_nb.mime_renderers``. Without it plotly ≥ 6 figures
vanish from the page without a word, so a test counts them.
"""

import html
import json
from typing import Any, ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

PLOTLY = "application/vnd.plotly.v1+json"
EXPLORABLE = "application/vnd.mrtlab.explorable+json"
_TITLE_PX = 40  # room that `present` leaves above a figure for its title
_FRAME_LIMIT = 200  # more frames than this and the page is a film, not a figure
_log = logging.getLogger(__name__)


class FigureRenderer:
    """The plug-in that MyST-NB calls for every output of our two MIME types."""

    mime_priority_overrides: ClassVar = [("*", PLOTLY, 1), ("*", EXPLORABLE, 1)]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Return the nodes of one output, or None for a type that is not ours."""
        if inline or data.mime_type not in (PLOTLY, EXPLORABLE):
            return None
        env = renderer.renderer.sphinx_env
        if data.mime_type == EXPLORABLE:
            return explorable_nodes(data.content)
        figure = data.content
        problem = missing_description(figure)
        if problem:
            _log.warning("%s", problem, location=(env.docname, data.line), type="mrtlab", subtype="figure")
        return [
            nodes.raw("", figure_html(figure, f"fig-{env.docname.split('/')[-1]}-{data.cell_index}"), format="html"),
            without_html(figure),
        ]


def explorable_nodes(spec: dict) -> list[nodes.Element]:
    """Nodes of one explorable; `pages.add_scripts` sees it in the page and adds its script once."""
    from mrtlab.show import explorables  # here, so that a book of figures alone does not load it

    return [nodes.raw("", explorables.html(spec), format="html")]


def describe(figure: dict) -> dict:
    """The figure's description as `mrtlab.show.figures.present` left it in ``layout.meta``."""
    meta = figure.get("layout", {}).get("meta") or {}
    return meta.get("mrtlab", {}) if isinstance(meta, dict) else {}


def missing_description(figure: dict) -> str:
    """Why a figure may not be printed, or the empty string: every figure needs words beside it."""
    about = describe(figure)
    missing = [key for key in ("claim", "how", "alt", "table") if not about.get(key)]
    if missing:
        return f"figure without {', '.join(missing)}: pass it through mrtlab.show.figures.present(...)"
    if len(figure.get("frames") or ()) > _FRAME_LIMIT:
        return f"figure with {len(figure['frames'])} frames: at most {_FRAME_LIMIT}"
    return ""


def figure_html(figure: dict, ident: str) -> str:
    """One figure as a page fragment: claim, caption, place for the plot, data table, source.

    The plot itself is JSON in the page; `show/js/figures.js` draws it when it scrolls into view.
    """
    about = describe(figure)
    layout = {k: v for k, v in figure.get("layout", {}).items() if k not in ("title", "meta", "template")}
    template = figure.get("layout", {}).get("template", {}).get("layout", {})
    for key, value in template.items():  # a template costs 6 KiB a figure: keep only what it sets
        layout.setdefault(key, value)
    margin = layout.get("margin", {})
    head = min(_TITLE_PX, margin.get("t", 0))  # the title stands above the plot, so its room is not needed
    layout["margin"] = margin | {"t": margin.get("t", 0) - head}
    layout["height"] = height = layout.get("height", 400) - head
    payload = {"data": figure["data"], "layout": layout, "frames": figure.get("frames") or []}
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    source = about.get("artifact")
    return (
        f'<figure class="mrt-figure" id="{html.escape(ident)}">'
        f'<figcaption><p class="mrt-claim">{html.escape(about.get("claim", ""))}</p>'
        f'<p class="mrt-how">{html.escape(about.get("how", ""))}</p></figcaption>'
        f'<div class="mrt-plot" role="img" aria-label="{html.escape(about.get("alt", ""))}" '
        f'style="height:{int(height)}px"><p class="mrt-wait">{html.escape(about.get("alt", ""))}</p></div>'
        f'<script type="application/json" class="mrt-plot-data">{text}</script>'
        f'<div class="mrt-under"><details><summary>The numbers</summary>{table_html(about.get("table"))}</details>'
        + (f'<p class="mrt-source">From <code>{html.escape(source)}</code></p>' if source else "")
        + "</div></figure>"
    )


def table_html(table: dict | None) -> str:
    """A data table `{"columns": [...], "rows": [[...], ...]}` as HTML."""
    if not table:
        return ""
    head = "".join(f'<th scope="col">{html.escape(str(c))}</th>' for c in table["columns"])
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(v))}</td>" for v in row) + "</tr>" for row in table["rows"]
    )
    return f'<div class="mrt-scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(value: Any) -> str:
    """A number with four significant digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def without_html(figure: dict) -> addnodes.only:
    """What a PDF or a text build prints instead of a live figure: its claim, its description, its numbers."""
    about = describe(figure)
    only = addnodes.only(expr="not html")
    only += nodes.paragraph("", "", nodes.strong(text=about.get("claim", "")))
    only += nodes.paragraph(text=about.get("alt", ""))
    table = about.get("table")
    if table:
        only += _table_node(table)
    return only


def _table_node(table: dict) -> nodes.table:
    """A docutils table of the figure's numbers."""
    width = len(table["columns"])
    group = nodes.tgroup(cols=width)
    group += [nodes.colspec(colwidth=100 // width) for _ in range(width)]
    group += nodes.thead("", _row(table["columns"]))
    group += nodes.tbody("", *[_row(row) for row in table["rows"]])
    return nodes.table("", group)


def _row(values: list) -> nodes.row:
    """One row of a docutils table."""
    return nodes.row("", *[nodes.entry("", nodes.paragraph(text=_cell(v))) for v in values])
