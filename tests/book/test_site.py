"""The built site, opened in a real browser with the network cut, from file:// and over HTTP, on desk and phone.

`make site-test` builds the site and says where it is in MRTLAB_SITE. Each test lists everything that is wrong on
every page, so that one run is enough to mend it.
"""

import functools
import http.server
import json
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from jupyter_cache import get_cache

SITE = Path(os.environ.get("MRTLAB_SITE", "_build/smoke")).resolve()
WEIGHT_LIMIT = 512 * 1024  # bytes on disk, a quarter of that on the wire; without what is fetched on scrolling
PLOTLY = "application/vnd.plotly.v1+json"


@pytest.fixture(scope="session")
def pages():
    found = sorted(p for p in SITE.rglob("*.html") if "_static" not in p.parts and "vendor" not in p.parts)
    if not found:
        if os.environ.get("MRTLAB_REQUIRE_BROWSER") == "1":
            pytest.fail(f"no site at {SITE}: run `make site-test`, which builds it")
        pytest.skip(f"no site at {SITE}: `make site-test` builds it")
    return [p.relative_to(SITE).as_posix() for p in found if p != SITE / "index.html"]  # it only leads to the cover


@pytest.fixture(scope="session")
def served():
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@dataclass
class Visit:
    """What happened while a page was read from top to bottom."""

    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    fetched: dict[str, int] = field(default_factory=dict)


def read_through(context, url, *, home):
    """Open a page, scroll to its end, wait until all that loads lazily is there."""
    page, visit = context.new_page(), Visit()
    page.on("console", lambda m: visit.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: visit.errors.append(str(e)))
    page.on("requestfailed", lambda r: visit.failed.append(r.url))
    page.on("response", lambda r: visit.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def note(request):
        if request.url.startswith(home):
            visit.fetched[request.url.partition("#")[0].partition("?")[0]] = 0
        elif not request.url.startswith(("data:", "blob:")):
            visit.outside.append(request.url)

    page.on("request", note)
    page.goto(url)
    height = page.evaluate("document.documentElement.scrollHeight")
    for y in range(0, height + 600, 600):
        page.evaluate(f"scrollTo(0, {y})")
        page.wait_for_timeout(30)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.mrt-plot')].every((p) => p.dataset.drawn)"
        " && (!document.querySelector('.math') || document.querySelector('mjx-container'))",
        timeout=30_000,
    )
    return page, visit


def problems_of(page, visit):
    found = [f"console: {e}" for e in visit.errors]
    found += [f"outside request: {u}" for u in visit.outside] + [f"failed request: {u}" for u in visit.failed]
    state = page.evaluate(
        """() => ({
          plots: document.querySelectorAll('.mrt-plot').length,
          drawn: document.querySelectorAll('.mrt-plot[data-drawn=yes] .main-svg').length > 0
            ? [...document.querySelectorAll('.mrt-plot')].filter((p) => p.querySelector('.main-svg')).length : 0,
          machines: document.querySelectorAll('.mrt-explorable').length,
          mounted: window.mrtlab?.mounted ?? 0,
          math: document.querySelectorAll('.math').length,
          typeset: document.querySelectorAll('.math mjx-container').length,
          mathErrors: document.querySelectorAll('[data-mml-node=merror]').length,
          text: document.body.innerText,
          overflow: document.documentElement.scrollWidth - innerWidth,
          pictures: [...document.images].filter((i) =>
            !i.hasAttribute('alt') || (i.offsetParent && !i.naturalWidth)).map((i) => i.src),
        })"""
    )
    if state["drawn"] != state["plots"]:
        found.append(f"{state['drawn']} of {state['plots']} figures drawn")
    if state["mounted"] != state["machines"]:
        found.append(f"{state['mounted']} of {state['machines']} explorables mounted")
    if state["typeset"] < state["math"] or state["mathErrors"]:
        found.append(f"{state['typeset']} of {state['math']} formulas typeset, {state['mathErrors']} with errors")
    if "Traceback (most recent call last)" in state["text"]:
        found.append("a traceback in the text")
    if state["overflow"] > 0:
        found.append(f"{state['overflow']} px wider than the window")
    return found + [f"picture without alt text or content: {src}" for src in state["pictures"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_from_file(browser, pages, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    report = {}
    for name in pages:
        page, visit = read_through(context, f"file://{SITE}/{name}", home=f"file://{SITE}")
        if found := problems_of(page, visit):
            report[name] = found
        page.close()
    context.close()
    assert not report, json.dumps(report, indent=1, ensure_ascii=False)


def test_every_page_over_http_and_its_weight(browser, pages, served):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.route(lambda url: not url.startswith(served), lambda route: route.abort())
    report = {}
    for name in pages:
        page, visit = read_through(context, f"{served}/{name}", home=served)
        found = problems_of(page, visit)
        files = {unquote(urlsplit(u).path) for u in visit.fetched}
        sizes = {f: (SITE / f.lstrip("/")).stat().st_size for f in files if "/vendor/" not in f}
        if (weight := sum(sizes.values())) > WEIGHT_LIMIT:
            heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:6]
            found.append(f"weighs {weight / 1024:.0f} KiB, limit {WEIGHT_LIMIT // 1024}: {heaviest}")
        if found:
            report[name] = found
        page.close()
    context.close()
    assert not report, json.dumps(report, indent=1, ensure_ascii=False)


def test_a_page_has_as_many_figures_as_its_notebook(pages):
    """Plotly outputs vanish without a word when the MIME plug-in is missing; so count them."""
    cache = get_cache(str(SITE.parent / f"cache-{'smoke' if SITE.name == 'smoke' else 'book'}"))
    counted = 0
    for path in sorted(Path("notebooks").glob("*.ipynb")):
        _, executed = cache.merge_match_into_notebook(nbformat.read(path, as_version=4))
        outputs = [o for c in executed.cells for o in c.get("outputs", []) if PLOTLY in o.get("data", {})]
        page = SITE / path.with_suffix(".html")
        assert page.read_text("utf-8").count('class="mrt-plot"') == len(outputs), path.name
        counted += len(outputs)
    assert counted > 0


def test_the_front_door_leads_to_the_cover(browser, pages):
    page = browser.new_page()
    page.goto(f"file://{SITE}/index.html")
    page.wait_for_url("**/book/intro.html")
    assert "The Mode Lottery" in page.inner_text("h1")
    page.close()


def test_every_link_inside_the_site_leads_somewhere(pages):
    broken = []
    ids = {name: set(re.findall(r'\bid="([^"]+)"', (SITE / name).read_text("utf-8"))) for name in pages}
    for name in pages:
        text = re.sub(r"<script\b.*?</script>", "", (SITE / name).read_text("utf-8"), flags=re.DOTALL)
        for href in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text):
            where = urlsplit(href)
            if where.scheme or where.netloc:
                continue
            target = (SITE / name).parent.joinpath(unquote(where.path)).resolve() if where.path else SITE / name
            if not target.exists():
                broken.append(f"{name} -> {href}")
            elif where.fragment and target.suffix == ".html":
                inside = ids.get(target.relative_to(SITE).as_posix(), set())
                if unquote(where.fragment) not in inside and "=" not in where.fragment:
                    broken.append(f"{name} -> {href} (no such place)")
    assert not broken, "\n".join(broken)


def test_figures_follow_the_colour_scheme(browser, pages):
    name = next(n for n in pages if n.startswith("notebooks/"))
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light", offline=True)
    page, _ = read_through(context, f"file://{SITE}/{name}", home=f"file://{SITE}")
    colour = "getComputedStyle(document.querySelector('.mrt-plot .xtick text')).fill"
    before = page.evaluate(colour)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"() => {colour} !== {before!r}", timeout=5000)
    assert before == "rgb(26, 26, 26)"
    assert page.evaluate(colour) == "rgb(240, 240, 240)"
    context.close()


def test_the_first_machine_answers_the_keyboard(browser, pages):
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    page = context.new_page()
    page.goto(f"file://{SITE}/notebooks/01_mode_lottery.html")
    machine = page.locator(".mrt-explorable").first
    before = machine.inner_text()
    machine.locator("input[type=range]").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("(t) => document.querySelector('.mrt-explorable').innerText !== t", arg=before)
    assert "k=4" in page.url
    context.close()
