"""Explorables: small live figures that need no kernel and no network, in the book and in JupyterLab or Colab.

    explorable("lottery", k=4)     # last line of a cell
    predict("ch1-agree", "How often do two trainings agree?", ["always", "one time in five"], 1, "Because …")

Each figure is one JavaScript module in ``show/js`` with a Python twin in `twins`. The book's Sphinx side receives only
the spec (a small JSON), writes `html(spec)` into the page, `bundle(names)` once under it and `stylesheet()` once per
site. In a notebook the same module runs as an anywidget, and `figure.state` follows the sliders.
"""

from mrtlab.show.explorables.figure import MIME, Explorable, explorable, predict
from mrtlab.show.explorables.page import bundle, html, stylesheet
from mrtlab.show.explorables.registry import REGISTRY, Control, Entry, parity_vectors

__all__ = [
    "MIME",
    "REGISTRY",
    "Control",
    "Entry",
    "Explorable",
    "bundle",
    "explorable",
    "html",
    "parity_vectors",
    "predict",
    "stylesheet",
]
