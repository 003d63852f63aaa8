"""Make every page light: the theme ships 2 MB that a page of this book does not use.

After the HTML is written, icons become the inline drawings they are, the icon library and other scripts without a
job go, Bootstrap is exchanged for the two things the frame uses of it (`show/js/frame.js`), and the style sheets
lose the rules that match nothing in the book. What is left is measured by the browser tests against a limit per page.
"""

import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import tinycss2

# Scripts and styles of extensions that Jupyter Book always loads and this book has no use for.
_NO_JOB = ("sphinx-thebe", "fontawesome.js", "thebe")
_SEARCH_ONLY = ("searchtools.js", "language_data.js", "searchindex.js")
_ONLY_WITH = {"sd-tab-set": "design-tabs", 'class="toggle': "togglebutton", "highlight-": "clipboard.min.js"}
_SCRIPT = re.compile(r"[ \t]*<script\b[^>]*>.*?</script>\s*?\n?", re.DOTALL)
_LINK = re.compile(r"[ \t]*<link\b[^>]*>\s*?\n?")
_ICON = re.compile(r'<(i|span)\b(?P<before>[^>]*?) ?class="(?P<classes>[^"]*\bfa-[^"]*)"(?P<after>[^>]*)></\1>')
_ATTRIBUTE = re.compile(r'\b(?:class|id)="([^"]*)"')
_WORD = re.compile(r"[A-Za-z_][\w-]+")
_NEGATED = re.compile(r":not\((?:[^()]|\([^()]*\))*\)")
_VARIABLE = re.compile(r"var\(\s*(--[\w-]+)")
_DEFINITION = re.compile(r"""(?<=[{;])\s*(--[\w-]+):(?:"[^"]*"|'[^']*'|\([^)]*\)|[^;{}"'(])*;""")
_NAME = re.compile(r"[.#]((?:[\w-]|\\.)+)")
# Names that scripts put together at run time, so that no file holds them whole.
_ALWAYS = frozenset({"show", "active", "highlighted", "success"})


def slim_site(site: Path) -> None:
    """Slim a copy of a finished HTML build, in place. The build itself stays as it is, so it can go on from there."""
    icons = IconSet((site / "_static/scripts/fontawesome.js").read_text("utf-8"))
    pages = sorted(p for p in site.rglob("*.html") if "_static" not in p.parts)
    texts = {}
    for page in pages:
        texts[page] = slim_page(page.read_text("utf-8"), icons=icons, is_search=page.name == "search.html")
        page.write_text(texts[page], "utf-8")
    frame = (files("mrtlab.show") / "js" / "frame.js").read_text("utf-8")
    (site / "_static/scripts/bootstrap.js").write_text(frame, "utf-8")
    scripts = [p for p in (site / "_static").rglob("*.js") if not any(name in p.name for name in _NO_JOB)]
    used = used_names(texts.values(), (p.read_text("utf-8") for p in scripts))
    sheets = {p: slim_css(p.read_text("utf-8"), used) for p in (site / "_static").rglob("*.css")}
    asked_for = set(_VARIABLE.findall("".join([*sheets.values(), *texts.values()])))
    for path, sheet in sheets.items():
        path.write_text(without_variables(sheet, asked_for), "utf-8")
    for unused in [*(site / "_static").rglob("*.map"), *(site / "_static").rglob("fontawesome*.js*")]:
        unused.unlink(missing_ok=True)


class IconSet:
    """The drawings inside the theme's icon library (Font Awesome Free, icons CC BY 4.0)."""

    def __init__(self, library: str) -> None:
        self.library = library

    def svg(self, classes: str, *, attributes: str = "") -> str:
        """The icon named in a class attribute as an inline drawing, with the classes the library would give it."""
        if "aria-hidden" not in attributes:
            attributes += ' aria-hidden="true"'
        names = [c.removeprefix("fa-") for c in classes.split() if c.startswith("fa-")]
        for name in names:
            found = re.findall(rf'[,{{]"?{re.escape(name)}"?:\[(\d+),(\d+),\[[^\]]*\],"\w+","([^"]+)"\]', self.library)
            if found:
                width, height, path = found[-1]  # the solid style comes last
                return (
                    f'<svg class="svg-inline--fa {classes}"{attributes} focusable="false" '
                    f'viewBox="0 0 {width} {height}"><path fill="currentColor" d="{path}"/></svg>'
                )
        raise LookupError(f"no icon among {names} in the theme's icon library")


def slim_page(text: str, *, icons: IconSet, is_search: bool) -> str:
    """One page without the scripts and styles it has no use for, its icons drawn in place."""
    drop = _NO_JOB if is_search else _NO_JOB + _SEARCH_ONLY
    drop += tuple(script for mark, script in _ONLY_WITH.items() if mark not in text)
    text = _SCRIPT.sub(lambda m: "" if any(name in m[0].lower() for name in drop) and _is_ours(m[0]) else m[0], text)
    text = _LINK.sub(lambda m: "" if any(name in m[0] for name in drop) else m[0], text)
    return _ICON.sub(lambda m: icons.svg(m["classes"], attributes=m["before"] + m["after"]), text)


def _is_ours(script: str) -> bool:
    """Spare scripts that hold a page's own data: a figure may well mention a name on the list."""
    return "application/json" not in script and "mrt-" not in script


def used_names(pages: Iterable[str], scripts: Iterable[str]) -> set[str]:
    """Every class or id name that a page holds or a script could set."""
    names = set(_ALWAYS)
    for page in pages:
        for attribute in _ATTRIBUTE.findall(page):
            names.update(attribute.split())
        for script in re.findall(r"<script\b[^>]*>(.*?)</script>", page, re.DOTALL):
            names.update(_WORD.findall(script))
    for script in scripts:
        names.update(_WORD.findall(script))
    return names


def slim_css(text: str, used: set[str]) -> str:
    """A style sheet without the rules whose selectors name a class or id that nothing has.

    >>> slim_css(".a{color:red} .b, .a.c{color:blue} @media print{.b{color:green}}", {"a"})
    '.a{color:red}'
    """
    rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
    return "".join(_kept(rule, used) for rule in rules)


def without_variables(text: str, asked_for: set[str]) -> str:
    """A style sheet without the custom properties that nothing asks for: frameworks define hundreds.

    >>> without_variables(":root{--a:1;--b:2;color:var(--a)}", {"--a"})
    ':root{--a:1;color:var(--a)}'
    """
    return _DEFINITION.sub(lambda m: m[0] if m[1] in asked_for else "", text)


def _kept(rule: Any, used: set[str]) -> str:
    if rule.type == "qualified-rule":
        selectors = _split(tinycss2.serialize(rule.prelude).strip())
        kept = [s for s in selectors if _matches(s, used)]
        return f"{','.join(kept)}{{{tinycss2.serialize(rule.content).strip()}}}" if kept else ""
    if rule.type != "at-rule":
        return ""
    prelude = tinycss2.serialize(rule.prelude).strip()
    if rule.content is None:
        return f"@{rule.at_keyword} {prelude};"
    if rule.at_keyword in ("media", "supports", "layer", "container"):
        inner = slim_css(tinycss2.serialize(rule.content), used)
        return f"@{rule.at_keyword} {prelude}{{{inner}}}" if inner else ""
    body = tinycss2.serialize(rule.content).strip()
    if rule.at_keyword == "font-face" and "fontawesome" in body.lower().replace(" ", ""):
        return ""  # the icons are drawings now
    return f"@{rule.at_keyword} {prelude}{{{body}}}"


def _split(selectors: str) -> list[str]:
    """Split a selector list at its outer commas."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(selectors):
        depth += (char in "([") - (char in ")]")
        if char == "," and not depth:
            parts.append(selectors[start:i].strip())
            start = i + 1
    return [*parts, selectors[start:].strip()]


def _matches(selector: str, used: set[str]) -> bool:
    """Could the selector match something? Names inside :not(...) do not count."""
    plain = re.sub(r'\[[^\]]*\]|"[^"]*"', "", _NEGATED.sub("", selector))
    if ":is(" in plain or ":where(" in plain or ":has(" in plain:
        return True  # alternatives inside: keep rather than reason
    return all(name.replace("\\", "") in used for name in _NAME.findall(plain))
