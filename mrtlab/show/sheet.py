"""What the reports of the command share: one HTML file with figures and tables that opens offline and on a phone."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { --ink: #1a1a1a; --single: #b84f00; --multi: #0072b2; --grey: #6b6b6b; --line: #e4e4e4; --page: #fff;
  --orange: #e69f00; --green: #009e73; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f0f0f0; --single: #ff8a47; --multi: #5ab4e6; --grey: #a5a5a5; --line: #3a3a3a; --page: #161616; }
}
html { color-scheme: light dark; }
body { font: 16px/1.55 Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink);
  background: var(--page); max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; }
.from, figcaption, summary, footer { color: var(--grey); font-size: .9rem; overflow-wrap: anywhere; }
.remark { border-left: 4px solid var(--single); padding: .1rem 0 .1rem .9rem; margin: 1rem 0; }
figure { margin: .6rem 0; } svg { width: 100%; max-width: 36rem; height: auto; display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } tr.best td { font-weight: 650; }
text { font: 13px Inter, system-ui, sans-serif; fill: var(--grey); }
text.label { fill: var(--ink); } text.single { fill: var(--single); } text.multi { fill: var(--multi); }
.grid { stroke: var(--line); } .curve { fill: none; stroke: var(--multi); stroke-width: 2; }
.curve.aside { stroke: var(--grey); stroke-dasharray: 6 4; } circle.aside { fill: var(--grey); }
circle.multi, rect.multi { fill: var(--multi); } circle.single { fill: var(--single); }
rect.between { fill: var(--grey); } rect.safe { fill: var(--multi); opacity: .13; }
circle.loss { fill: var(--multi); opacity: .45; } line.mean { stroke: var(--ink); stroke-width: 2.5; }
code { font-size: .9em; overflow-wrap: anywhere; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .25rem .7rem; align-items: center;
  font-size: .9rem; font-variant-numeric: tabular-nums; }
.bars .track { display: flex; height: .85rem; background: var(--line); }
.bars i { display: block; height: 100%; } .bars i.multi { background: var(--multi); }
.bars i.between { background: var(--grey); } .bars i.single { background: var(--single); }
.bars i.orange { background: var(--orange); } .bars i.green { background: var(--green); }
.bars i.ink { background: var(--ink); } circle.ink { fill: var(--ink); } circle.between { fill: var(--grey); }
circle.orange { fill: var(--orange); } circle.green { fill: var(--green); }
.whisker { stroke: var(--grey); opacity: .6; } rect.heat { fill: var(--multi); }
td.said { white-space: pre-wrap; text-align: left; } th.said { text-align: left; }
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole HTML page without scripts, links or other files.

    Args:
        title: what the browser's tab says.
        body: pieces of HTML, in this order.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def symbols(words: str) -> str:
    """Words as HTML, with V_x, N_p and their like set as symbols."""
    return re.sub(r"\b([VNC])_(y\|x|[xpr]\b)", r"<i>\1</i><sub>\2</sub>", escape(words))


def figure(claim: str, drawing: str, caption: str, below: str) -> str:
    """A section: its claim as the title, a drawing, how to read it, and what stands below, as HTML."""
    return (
        f"<h2>{escape(claim)}</h2>\n<figure>\n{drawing}\n<figcaption>{escape(caption)}</figcaption>\n</figure>\n{below}"
    )


def details(table: str) -> str:
    """A table that opens on a click."""
    return f'<details><summary>The numbers</summary><div class="scroll">{table}</div></details>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, best: int = -1) -> str:
    """Rows of text under their column names; row number `best` in bold."""
    head = "".join(f'<th scope="col">{symbols(name)}</th>' for name in columns)
    lines = []
    for i, row in enumerate(rows):
        cells = "".join(f"<td>{symbols(cell)}</td>" for cell in row)
        kind = ' class="best"' if i == best else ""
        lines.append(f"<tr{kind}>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def bars(rows: Sequence[tuple[str, Sequence[tuple[float, str]], str]], *, top: float, alt: str) -> str:
    """Horizontal bars with words at both ends.

    Args:
        rows: name, parts (length and colour class: multi, single, between, orange, green or ink), words at the end.
        top: the length that fills the width.
        alt: what the drawing shows, for someone who does not see it.
    """
    lines = []
    for name, parts, words in rows:
        inside = "".join(
            f'<i class="{kind}" style="width:{100 * min(max(size / top, 0), 1):.1f}%"></i>' for size, kind in parts
        )
        lines.append(f'<span>{escape(name)}</span><span class="track">{inside}</span><span>{escape(words)}</span>')
    return f'<div class="bars" role="img" aria-label="{escape(alt)}">{"".join(lines)}</div>'


CHANGE_COLUMNS = ("measured", "before", "after", "change")


def change_rows(change: Mapping[str, Any], labels: Mapping[str, str], *, line: str = "\n") -> list[list[str]]:
    """A row for each labelled number: before, after and change, each with its interval over prompts after `line`.

    A single prompt, or prompts that are all alike, have no interval to show.

    >>> same = [1.0, 1.0, 1.0]
    >>> change_rows({"kl": {"before": same, "after": same, "change": [0.0, 0.0, 0.0]}}, {"kl": "KL"}, line="; ")
    [['KL', '1.000', '1.000', '+0.000']]
    """
    rows = []
    for name, label in labels.items():
        cells = [label]
        for what in ("before", "after", "change"):
            mean, low, high = change[name][what]
            sign = "+" if what == "change" else ""
            around = "" if low == high else f"{line}{low:{sign}.3f} to {high:{sign}.3f}"
            cells.append(f"{mean:{sign}.3f}{around}")
        rows.append(cells)
    return rows
