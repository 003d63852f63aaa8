"""What a page is made of: the fragment of each figure, the script of the page, the stylesheet."""

import html as _html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from mrtlab.show.explorables.common import State
from mrtlab.show.explorables.registry import REGISTRY, Entry, find

# A module's comment lines, empty lines and indentation: a page loads the text once for every reader.
_FOR_READERS = re.compile(r"^[ \t]*(?:(?://.*|/\*\*.*\*/|/\*\*\n(?: \*.*\n)+? ?\*/)?\n)?", re.MULTILINE)
_THEORY = 'from "./theory.js"'  # only some modules need it, and pages have a weight limit
_MODULES = {name: entry.module for name, entry in REGISTRY.items()} | {"predict": "predict.js"}


def html(spec: Mapping[str, Any]) -> str:
    """One figure as a fragment of a page: claim, caption and, until JavaScript takes over, its story in words.

    Args:
        spec: the JSON of the MIME bundle, {"name", "id", "state"} and for `predict` its "config".

    Returns:
        a <figure class="mrt-explorable"> element.

    Raises:
        ValueError: the name or a state value is unknown.

    >>> html({"name": "lottery", "id": "first", "state": {}})[:61]
    '<figure class="mrt-explorable mrt-lottery" id="first" data-mr'
    """
    name = spec["name"]
    if name == "predict":
        full, title, caption, body = dict(spec), "Before you look", "", _question_body(spec["config"])
    else:
        entry = find(name)
        state = entry.state(spec["state"])
        controls = [asdict(control) for control in entry.controls]
        full = dict(spec) | {"state": state, "controls": controls, "examples": entry.examples}
        title, caption, body = entry.title, entry.caption, _story_body(entry, state)
    data = _html.escape(json.dumps(full, ensure_ascii=False))
    caption_line = f'<p class="mrt-caption">{_html.escape(caption)}</p>' if caption else ""
    return (
        f'<figure class="mrt-explorable mrt-{name}" id="{_html.escape(spec["id"])}" data-mrt="{data}">'
        f'<figcaption><p class="mrt-title">{_html.escape(title)}</p>{caption_line}</figcaption>'
        f'<div class="mrt-body">{body}</div></figure>'
    )


def _story_body(entry: Entry, state: State) -> str:
    data = entry.compute(state)
    table = entry.table(data, state)

    def row(kind: str, cells: list[str]) -> str:
        return f"<tr>{''.join(f'<{kind}>{_html.escape(cell)}</{kind}>' for cell in cells)}</tr>"

    rows = "".join(row("td", cells) for cells in table["rows"])
    return (
        f'<p class="mrt-sentence">{entry.sentence(data, state)}</p><div class="mrt-numbers"><table>'
        f"<thead>{row('th', table['columns'])}</thead><tbody>{rows}</tbody></table></div>"
    )


def _question_body(config: Mapping[str, Any]) -> str:
    item = '<li class="mrt-option"><span class="mrt-mark"></span><span>{}</span></li>'
    options = "".join(item.format(option) for option in config["options"])
    right = config["options"][config["answer"]]
    return (
        f'<p class="mrt-question">{config["question"]}</p><ul class="mrt-options">{options}</ul>'
        '<details class="mrt-static-answer"><summary>Answer</summary>'
        f"<p><b>{right}</b> {config['because']}</p></details>"
    )


def bundle(names: Iterable[str]) -> str:
    """The JavaScript of one page, for an inline ``<script type="module">`` after its figures.

    Files cannot import each other on ``file://``, so the modules are joined: imports and exports are dropped, and each
    figure's module gets a block of its own, which keeps its names apart from the others'.

    Args:
        names: the explorables on the page, "predict" among them where it is used.

    Returns:
        JavaScript that brings every figure of the page to life; running it twice does no harm.

    Raises:
        ValueError: an unknown name.
    """
    return f"{joined(names)}\nmountPage();\n"


def joined(names: Iterable[str]) -> str:
    """Core and modules as one text; the caller adds what starts them, in a page or in a notebook."""
    wanted = sorted(set(names))
    for name in wanted:
        if name not in _MODULES:
            raise ValueError(f"no explorable is called {name!r}: known are {', '.join(sorted(_MODULES))}")
    blocks = [f"{{\n{_given(name)}{_plain(_MODULES[name])}}}\n" for name in wanted]
    return "\n".join([*map(_plain, _shared(wanted)), *blocks])


def _shared(names: Iterable[str]) -> list[str]:
    """What modules stand on: always the core, and the formulas where one of them asks for any."""
    return ["core.js", *(["theory.js"] if any(_THEORY in _read(_MODULES[name]) for name in names) else [])]


def _given(name: str) -> str:
    """The line that hands a module its measured numbers."""
    numbers = REGISTRY[name].given if name in REGISTRY else None
    return f"const GIVEN = {json.dumps(numbers(), ensure_ascii=False)};\n" if numbers else ""


def _plain(module: str) -> str:
    """A module's text without import lines and the word export, and without what only its file's readers need."""
    text = re.sub(r"^import .*;\n", "", _read(module), flags=re.MULTILINE)
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return _FOR_READERS.sub("", text)


def stylesheet() -> str:
    """The CSS of all explorables; light and dark, screen and paper. Without comments and indentation."""
    text = re.sub(r"/\*.*?\*/", "", _read("explorables.css"), flags=re.DOTALL)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@cache
def _read(filename: str) -> str:
    return (files("mrtlab.show") / "js" / filename).read_text(encoding="utf-8")
