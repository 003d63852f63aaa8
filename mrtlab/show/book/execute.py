"""Run the notebooks before the book is built, one line each, into the cache that MyST-NB reads.

``python -m mrtlab.show.book.execute`` differs from letting Sphinx run them in three ways: a progress line per
notebook, the measured time and peak memory of each (for the cost cards and the status page), and a cache that is
also keyed on the package, the artifacts and the scale. MyST-NB alone keeps stale outputs when ``mrtlab/`` changes.
"""

import argparse
import datetime
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from rich.console import Console

_PEAK = (  # ru_maxrss is in KiB on Linux and in bytes on macOS
    "__import__('resource').getrusage(0).ru_maxrss / (1024 if __import__('sys').platform != 'darwin' else 1024**2)"
)
_KEYED = ("mrtlab/**/*.py", "mrtlab/**/*.js", "artifacts/*.json", "constraints.txt")


def main(argv: list[str] | None = None) -> int:
    """Run what is not in the cache; exit 1 when a notebook fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--cache", type=Path, default=os.environ.get("MRTLAB_NB_CACHE"), help="cache folder")
    options = parser.parse_args(argv)
    if options.cache is None:
        parser.error("say where the cache is: --cache FOLDER, or set MRTLAB_NB_CACHE")
    os.environ["MRTLAB_BOOK"] = "1"
    scale = os.environ.setdefault("MRTLAB_SCALE", "book")
    paths = options.notebooks or sorted(Path("notebooks").glob("*.ipynb"))
    console = Console(stderr=True, highlight=False)
    failed = 0
    for number, path in enumerate(paths, 1):
        label = f"[{number}/{len(paths)}] {path.name}, {scale} scale"
        with console.status(label):
            outcome = run_cached(path, options.cache, scale)
        console.print(f"{label}: {outcome}", markup=False)
        failed += outcome.startswith("FAILED")
    return 1 if failed else 0


def run_cached(path: Path, cache_dir: Path, scale: str) -> str:
    """Run one notebook unless its result is cached; return a few words for the progress line."""
    open_cache(cache_dir, scale)
    cache = get_cache(str(cache_dir))
    notebook = nbformat.read(path, as_version=4)
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        pass
    else:
        return "in the cache"
    try:
        seconds, peak_mb = run(notebook, path.parent)
    except CellExecutionError as error:
        return f"FAILED\n{error}"
    cache.cache_notebook_bundle(
        CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds}),
        check_validity=False,
        overwrite=True,
    )
    _record(cache_dir, path, {"seconds": seconds, "peak_mb": peak_mb, "scale": scale, "cores": os.cpu_count()})
    return f"{seconds:.1f} s, {peak_mb:.0f} MB"


def run(notebook: nbformat.NotebookNode, folder: Path) -> tuple[float, float]:
    """Execute a notebook in place; return wall seconds and peak memory of its kernel in MB."""
    quiet = ["--log-level=CRITICAL"]  # or each kernel warns that it talks over the loopback interface in plain text
    client = NotebookClient(
        notebook, timeout=600, record_timing=False, extra_arguments=quiet, resources={"metadata": {"path": str(folder)}}
    )

    async def ask_for_peak() -> dict:
        return await client.kc.execute("", user_expressions={"peak": _PEAK}, reply=True, timeout=60)

    start = time.perf_counter()
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        seconds = time.perf_counter() - start
        reply = run_sync(ask_for_peak)()
    peak = reply["content"]["user_expressions"]["peak"]["data"]["text/plain"]
    return seconds, float(peak)


def open_cache(cache_dir: Path, scale: str) -> None:
    """Make the cache folder; empty it when the code or the data that the notebooks read has changed."""
    stamp, key = cache_dir / "KEY", _key(scale)
    if stamp.exists() and stamp.read_text() == key:
        return
    get_cache(str(cache_dir)).clear_cache()
    (cache_dir / "costs.json").unlink(missing_ok=True)
    cache_dir.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)


def _key(scale: str) -> str:
    digest = hashlib.sha256(f"{scale} {sys.version_info[:2]}".encode())
    for pattern in _KEYED:
        for path in sorted(Path().glob(pattern)):
            digest.update(path.as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _record(cache_dir: Path, path: Path, cost: dict) -> None:
    where = cache_dir / "costs.json"
    costs = json.loads(where.read_text()) if where.exists() else {}
    costs[path.as_posix()] = cost | {"created": datetime.date.today().isoformat()}
    where.write_text(json.dumps(costs, indent=1))


if __name__ == "__main__":
    sys.exit(main())
