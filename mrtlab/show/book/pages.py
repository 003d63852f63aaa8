"""What a page needs in order to live without a server: its scripts, inline, and only those it uses."""

import html
import json
import re
from importlib.resources import files
from typing import Any

from mrtlab.show import explorables

_SPEC = re.compile(r'data-mrt="([^"]*)"|data-mrt=\'([^\']*)\'')


def add_scripts(app: Any, pagename: str, templatename: str, context: dict, doctree: Any) -> None:
    """Put the scripts a page uses at its end (Sphinx event ``html-page-context``).

    They are inline because browsers refuse external modules on ``file://``; libraries are fetched by them, from
    the site itself, when something that needs them scrolls into view.
    """
    body = context.get("body", "")
    context["script_files"] = [s for s in context.get("script_files", []) if not _is_mathjax(s)]
    parts = []
    if 'class="mrt-plot"' in body:
        parts.append(_inline(_script("figures.js")))
    names = explorable_names(body)
    if names:
        body = f"<style>{explorables.stylesheet()}</style>\n{body}"  # before the figures, or they jump
        parts.append(_inline(explorables.bundle(names)))
    if re.search(r'class="[^"]*\bmath\b', body):
        parts.append(_inline(_script("mathjax.js")))
    context["body"] = body + "".join(parts)


def explorable_names(body: str) -> list[str]:
    """Names of the explorables in a page, in order, each once."""
    found = [json.loads(html.unescape(a or b))["name"] for a, b in _SPEC.findall(body)]
    return list(dict.fromkeys(found))


def _is_mathjax(script: Any) -> bool:
    """Is this the script tag that Sphinx adds for MathJax? We load it when it is needed."""
    return "mathjax" in str(getattr(script, "filename", script)).lower()


def _script(name: str) -> str:
    return (files("mrtlab.show") / "js" / name).read_text("utf-8")


def _inline(text: str) -> str:
    """A module script without its comment lines: whoever wants to read the code reads the file."""
    text = re.sub(r"^[ \t]*//.*\n", "", text, flags=re.MULTILINE)
    return '<script type="module">' + text.replace("</script", "<\\/script") + "</script>\n"
