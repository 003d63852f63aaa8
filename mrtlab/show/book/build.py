"""Build the site with Jupyter Book, warnings as errors, and print where it is.

``python -m mrtlab.show.book.build --cache FOLDER --scale book --site _build/html`` runs
``jupyter-book build . --all -W -n --keep-going`` (all, because a page must be read again when an artifact that its
numbers are bound to has changed) and then puts the pages at ``--site``, whatever the folder is called
inside Jupyter Book. It refuses Jupyter Book 2, which would build nothing and report success.
"""

import argparse
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from mrtlab.show.book.slim import slim_site


def main(argv: list[str] | None = None) -> int:
    """Build; return Jupyter Book's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="the notebooks' cache folder")
    parser.add_argument("--scale", required=True, choices=["smoke", "book", "full"])
    parser.add_argument("--site", type=Path, required=True, help="where the site goes")
    options = parser.parse_args(argv)
    if version("jupyter-book").split(".")[0] != "1":
        print(
            f"jupyter-book {version('jupyter-book')} is installed; this book needs 1.x. Run: make env",
            file=sys.stderr,
        )
        return 1
    work = Path("_build") / f"jb-{options.scale}"
    environment = os.environ | {
        "MRTLAB_NB_CACHE": str(options.cache.resolve()),
        "MRTLAB_SCALE": options.scale,
        "MRTLAB_BOOK": "1",
        "PYTHONWARNINGS": "ignore",  # of Sphinx's own dependencies; warnings about the book fail the build below
    }
    command = ["jupyter-book", "build", ".", "--path-output", str(work), "-W", "-n", "--keep-going", "-q", "--all"]
    done = subprocess.run([str(Path(sys.executable).parent / command[0]), *command[1:]], env=environment, check=False)
    if done.returncode:
        print("The book did not build; what is wrong stands above.", file=sys.stderr)
        return done.returncode
    shutil.rmtree(options.site, ignore_errors=True)
    shutil.copytree(work / "_build" / "html", options.site, ignore=shutil.ignore_patterns("*.map", ".buildinfo"))
    slim_site(options.site)
    print(f"The book is at {(options.site / 'index.html').resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
