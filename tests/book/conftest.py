"""A real browser for the tests of the book's pages: `browser`, and `visit`, which opens a page and watches it."""

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

_ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_ON_MACOS = tuple(
    Path(f"/Applications/{app}.app/Contents/MacOS/{app}") for app in ("Google Chrome", "Chromium", "Microsoft Edge")
)


def _find_browser() -> str | None:
    """The Chromium that MRTLAB_CHROMIUM names, else one on the PATH, else an installed macOS application."""
    named = os.environ.get("MRTLAB_CHROMIUM")
    if named:
        return named
    found = (shutil.which(name) for name in _ON_PATH)
    installed = (str(path) for path in _ON_MACOS if path.exists())
    return next((path for path in (*found, *installed) if path), None)


@pytest.fixture(scope="module")  # not per session: while Playwright lives, asyncio.run() fails in this process
def browser() -> Iterator:
    """A headless Chromium; the test is skipped where there is none, or fails where MRTLAB_REQUIRE_BROWSER=1."""
    executable = _find_browser()
    if executable is None or find_spec("playwright") is None:
        reason = f"no browser found: set MRTLAB_CHROMIUM, or install one of {', '.join(_ON_PATH)}"
        if executable is not None:
            reason = "a browser was found, but not playwright, which drives it: pip install 'mrtlab[test]'"
        if os.environ.get("MRTLAB_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright import sync_api

    as_root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium refuses its sandbox to root
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"] if as_root else ["--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable]:
    """visit(url, width=1100, dark=False, **context options) -> page; the network is cut.

    When the test ends, any console error, uncaught exception, failed request or request that leaves this machine
    fails it.
    """
    contexts, problems = [], []

    def leaves(url: str) -> bool:
        return url.startswith(("http:", "https:", "ws:", "wss:")) and "//127.0.0.1" not in url

    def refuse(route):
        problems.append(f"request to {route.request.url}")
        route.abort()

    def visit(url: str, *, width: int = 1100, dark: bool = False, **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", **options
        )
        contexts.append(context)
        context.route(leaves, refuse)
        page = context.new_page()
        page.on("console", lambda line: line.type == "error" and problems.append(f"console: {line.text}"))
        page.on("pageerror", lambda error: problems.append(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not problems
