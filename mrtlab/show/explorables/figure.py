"""A live figure as a Python object: the last line of a cell, in the book's notebooks and in JupyterLab or Colab."""

import html
import os
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from mrtlab.show.explorables import page
from mrtlab.show.explorables.common import Value
from mrtlab.show.explorables.registry import find

MIME = "application/vnd.mrtlab.explorable+json"
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Explorable:
    """A live figure as the last line of a cell; make one with `explorable` or `predict`.

    In the book (environment variable MRTLAB_BOOK=1) its output is the spec alone, so that no widget state is saved.
    Elsewhere it is an anywidget, built when it is first shown.
    """

    def __init__(self, spec: dict[str, Any], alt: str) -> None:
        self.spec = spec
        self.alt = alt
        self._widget: Any = None

    def __repr__(self) -> str:
        return f"<explorable {self.spec['id']}: {self.alt}>"

    @property
    def widget(self) -> Any:
        """The anywidget behind the figure."""
        if self._widget is None:
            self._widget = _widget_class(self.spec["name"])(
                html=page.html(self.spec), state=self.spec["state"], spec=self.spec
            )
        return self._widget

    @property
    def state(self) -> dict[str, Any]:
        """Where the reader's sliders stand; in the book, where the figure starts."""
        return dict(self.spec["state"] if self._widget is None else self._widget.state)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        if os.environ.get("MRTLAB_BOOK") == "1":
            return {MIME: self.spec, "text/plain": self.alt}
        return self.widget._repr_mimebundle_(include=include, exclude=exclude)


def explorable(name: str, *, id: str | None = None, **state: Value) -> Explorable:
    """A live figure by name, opened at a state.

    Args:
        name: a key of `REGISTRY`, such as "lottery".
        id: its name in the page and its address; needed when a page shows the same explorable twice.
        state: where the controls stand at first; the others keep their defaults.

    Returns:
        the figure, for the last line of a cell.

    Raises:
        ValueError: an unknown name, an unknown control, or a value that the control does not offer.

    >>> explorable("coverage", k=4).spec["state"]
    {'k': 4, 'n': 5, 'd': 0.5, 'b': 0.0}
    """
    entry = find(name)
    full = entry.state(state)
    spec = {"name": name, "id": _slug(name if id is None else id, "id"), "state": full}
    return Explorable(spec, f"{entry.title.rstrip('.')}. {entry.alt(entry.compute(full), full)}")


def predict(
    key: str,
    question: str,
    options: Sequence[str],
    answer: int,
    because: str,
    *,
    hint_per_option: Sequence[str] | None = None,
) -> Explorable:
    """A "Before you look" box: the reader commits to an answer, then sees in the same place whether it fits.

    The texts may hold *emphasis* and `code`. The choice is kept in the reader's browser under the key.

    Args:
        key: names the question, unique in the book, such as "ch1-agree".
        question: one sentence.
        options: two or more answers to choose from.
        answer: index of the one that fits.
        because: shown after the choice, whatever it was.
        hint_per_option: what to say to those who chose this option, one each, "" for nothing.

    Returns:
        the box, for the last line of a cell.

    Raises:
        ValueError: fewer than two options, an answer that is none of them, or hints of another number.

    >>> predict("ch1-agree", "Do two trainings agree?", ["yes", "rarely"], 1, "One time in five.").spec["id"]
    'predict-ch1-agree'
    """
    if len(options) < 2 or not 0 <= answer < len(options):
        raise ValueError(f"answer {answer} must be the index of one of at least two options, got {len(options)}")
    if hint_per_option is not None and len(hint_per_option) != len(options):
        raise ValueError(f"got {len(hint_per_option)} hints for {len(options)} options: give one each, '' for none")
    config = {
        "question": _inline(question),
        "options": [_inline(option) for option in options],
        "answer": answer,
        "because": _inline(because),
        "hints": None if hint_per_option is None else [_inline(hint) for hint in hint_per_option],
    }
    spec = {"name": "predict", "id": f"predict-{_slug(key, 'key')}", "state": {"choice": None}, "config": config}
    return Explorable(spec, f"Before you look: {question} ({' / '.join(options)}) {because}")


def _inline(text: str) -> str:
    """Escape, then mark *emphasis* and `code`."""
    escaped = html.escape(text, quote=False)
    return re.sub(r"\*(\S[^*]*)\*", r"<em>\1</em>", re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped))


def _slug(text: str, what: str) -> str:
    if not _SLUG.fullmatch(text):
        raise ValueError(f"{what} {text!r} must be made of a-z, 0-9 and single hyphens, such as 'ch1-lottery'")
    return text


@cache
def _widget_class(name: str) -> type:
    import anywidget  # only a live notebook needs it
    import traitlets

    class ExplorableWidget(anywidget.AnyWidget):
        _esm = f"{page.joined([name])}\nexport default {{ render }};\n"
        _css = page.stylesheet()
        html = traitlets.Unicode().tag(sync=True)
        spec = traitlets.Dict().tag(sync=True)
        state = traitlets.Dict().tag(sync=True)

    ExplorableWidget.__name__ = f"{name.title()}Explorable"  # the front end tells widgets apart by this name
    return ExplorableWidget
