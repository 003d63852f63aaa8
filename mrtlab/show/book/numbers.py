"""Numbers in prose that are bound to an artifact: they cannot drift, because the build fails when they do.

In a notebook, where JupyterLab and Colab know no roles, a bound number is a link that reads well everywhere:
``[31](num:mode_lottery.book#arms.grow.k1.nll.sd)``. In a prose page it may also be a role:

``{num}`31 <mode_lottery.book#arms.grow.k1.nll.sd>` `` prints *31* and checks that the artifact's value, rounded as
written, is 31. ``%`` multiplies by a hundred; a word such as *three* must be the nearest whole number.
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from sphinx.util import logging

from mrtlab.lab import artifacts

_log = logging.getLogger(__name__)
_SCHEME = "num:"
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NUMBER = re.compile(r"[-−–]?\d[\d,\u202f ]*(?:\.\d+)?|[-−–]?\.\d+")
_FORM = re.compile(r"^(?P<text>.+?)\s*<(?P<ref>[^<>]+)>$", re.DOTALL)


def number_role(
    name: str,
    rawtext: str,
    text: str,
    lineno: int,
    inliner: Any,
    options: dict | None = None,
    content: Sequence[str] = (),
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Docutils role function of ``{num}``."""
    try:
        return [bound(*split(text))], []
    except (ValueError, LookupError, OSError) as error:
        message = inliner.reporter.error(f"number in prose: {error}", line=lineno)
        return [inliner.problematic(rawtext, rawtext, message)], [message]


def bind_links(app: Any, doctree: nodes.document) -> None:
    """Exchange links ``[31](num:…)`` for bound numbers (Sphinx event ``doctree-read``)."""
    for link in list(doctree.findall(nodes.reference)):
        if not link.get("refuri", "").startswith(_SCHEME):
            continue
        try:
            link.replace_self(bound(link.astext(), unquote(link["refuri"].removeprefix(_SCHEME))))
        except (ValueError, LookupError, OSError) as error:
            _log.warning("number in prose: %s", error, location=link, type="mrtlab", subtype="number")


def bound(shown: str, ref: str) -> nodes.abbreviation:
    """The number as written, with its exact value and origin to hover over.

    Raises:
        ValueError: it does not agree with the artifact.
        LookupError, OSError: the artifact or the path in it does not exist.
    """
    value = artifacts.value(ref)
    if not agrees(shown, value):
        raise ValueError(f"the text says {shown!r} but {ref} is {value:.6g}: mend the text or find out why it moved")
    note = f"{ref} = {value:.6g}. {_where_from(ref)}"
    return nodes.abbreviation(shown, shown, explanation=note, classes=["mrt-num"])


def split(text: str) -> tuple[str, str]:
    """Split `31 <artifact#path>` into what is printed and where it comes from.

    >>> split("31 <mode_lottery.book#a.b>")
    ('31', 'mode_lottery.book#a.b')
    """
    match = _FORM.match(text)
    if not match or "#" not in match["ref"]:
        raise ValueError(f"{text!r} should read `NUMBER <EXPERIMENT.SCALE#path.to.value>`")
    return match["text"], match["ref"]


def agrees(shown: str, value: float) -> bool:
    """Is `value`, rounded as `shown` is written, what `shown` says?

    >>> agrees("31.4", 31.38), agrees("29 %", 0.288), agrees("about three times", 2.97), agrees("30", 31.4)
    (True, True, True, False)
    """
    match = _NUMBER.search(shown)
    if match is None:
        words = [w for w in re.findall(r"[a-z]+", shown.lower()) if w in _WORDS]
        if len(words) != 1:
            raise ValueError(f"{shown!r} holds no number that can be checked")
        return round(value) == _WORDS.index(words[0])
    digits = re.sub(r"[,\u202f ]", "", match[0]).replace("−", "-").replace("–", "-")
    decimals = len(digits.partition(".")[2])
    scale = 100 if shown[match.end() :].lstrip().startswith("%") else 1
    return abs(value * scale - float(digits)) <= 0.5 * 10**-decimals * (1 + 1e-9)


def _where_from(ref: str) -> str:
    """Provenance of an artifact in one line, for the hover text."""
    experiment, _, scale = ref.partition("#")[0].rpartition(".")
    seen = artifacts.load(experiment, scale).provenance
    return f"Run at commit {str(seen.get('commit', 'unknown'))[:10]}, {str(seen.get('created', ''))[:10]}."
