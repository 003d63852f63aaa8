"""The Sphinx side of the book: ``sphinx.extra_extensions: [mrtlab.show.book]`` in ``_config.yml``."""

import os
from pathlib import Path
from typing import Any

from mrtlab import __version__


def setup(app: Any) -> dict[str, Any]:
    """Register roles, directives and page hooks (called by Sphinx)."""
    # Imported here, so that the MIME plug-in next door stays light in every Sphinx build that loads it.
    from mrtlab.show.book import directives, numbers, pages

    os.environ["MRTLAB_BOOK"] = "1"  # kernels inherit it: live cells draw their static default, no dead widgets
    app.add_role("num", numbers.number_role)
    app.add_directive("explorable", directives.ExplorableDirective)
    app.add_directive("artifact-figure", directives.ArtifactFigureDirective)
    app.add_directive("model-card", directives.ModelCardDirective)
    app.add_directive("ledger", directives.LedgerDirective)
    app.add_directive("status", directives.StatusDirective)
    app.add_directive("full-scale", directives.FullScaleDirective)
    app.connect("config-inited", _configure)
    app.connect("doctree-read", directives.add_cost_card)
    app.connect("doctree-read", numbers.bind_links)
    app.connect("html-page-context", pages.add_scripts, priority=900)  # after MathJax has added itself
    app.add_css_file("mrtlab.css")
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}


def _configure(app: Any, config: Any) -> None:
    """Fill in what depends on the environment or on the one setting `repository.url`."""
    config.html_static_path.append(str(Path(__file__).parents[1] / "static"))
    cache = os.environ.get("MRTLAB_NB_CACHE")
    if cache:
        config.nb_execution_cache_path = str(Path(cache).resolve())
    if config.html_theme_options.get("repository_url"):
        config.html_theme_options.setdefault("launch_buttons", {})["colab_url"] = "https://colab.research.google.com"
