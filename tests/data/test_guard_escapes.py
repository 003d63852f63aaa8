"""Every escape gets its verdict and harms nothing: as root, who becomes nobody, and as an ordinary user."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data import escapes
from data.guard_copies import as_nobody, copy_guard, python_for_nobody

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard is Linux's; elsewhere everything is refused")
NAMES = [
    name
    for name in escapes.escapes("/folder", 1)
    if not name.endswith(", raw") or os.uname().machine == "x86_64"  # the numbers of calls are that machine's
]
USERS = ["root", "ordinary user"] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["ordinary user"]


@pytest.fixture(scope="module")
def reports() -> Iterator[dict[str, dict[str, Any]]]:
    """What came of them, for each user; both at the same time."""
    if USERS == ["ordinary user"]:
        yield {"ordinary user": escapes.try_all()}
        return
    with tempfile.TemporaryDirectory() as name:  # not a folder of pytest's: those are closed to others
        yield _as_both(Path(name))


def _as_both(folder: Path) -> dict[str, dict[str, Any]]:
    folder.chmod(0o755)
    script = copy_guard(folder / "packages") / "escapes.py"
    script.write_text(Path(escapes.__file__).read_text())
    script.chmod(0o644)
    command = [python_for_nobody(folder / "python"), "-S", "-s", "-P", "-B", str(script), str(script.parent)]
    with as_nobody(command, Path("/")) as process:
        try:
            mine = escapes.try_all()
            said, complaints = process.communicate(timeout=900)
        finally:
            process.kill()
    assert process.returncode == 0, complaints
    return {"root": mine, "ordinary user": json.loads(said)}


@pytest.mark.parametrize("user", USERS)
def test_who_tried(reports, user):
    assert (reports[user]["user"] == 0) == (user == "root")
    assert not reports[user]["missing"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("name", NAMES)
def test_an_escape_gets_its_verdict(reports, user, name):
    outcome = reports[user]["outcomes"][name]
    assert outcome["verdict"] in escapes.escapes("/folder", 1)[name][1], outcome
    assert outcome["detail"].isprintable()
    assert outcome["detail"]


@pytest.mark.parametrize("user", USERS)
def test_the_kernel_stops_what_goes_past_python(reports, user):
    """Where the verdict is "forbidden" for a raw call, Python announced nothing: it was the kernel."""
    stopped = [o for name, o in reports[user]["outcomes"].items() if name.endswith("raw") and o["verdict"] != "passed"]
    assert len(stopped) >= 8 or os.uname().machine != "x86_64"
    assert all(o["detail"] == "it made a system call that the guard forbids" for o in stopped)


@pytest.mark.parametrize("user", USERS)
def test_no_harm_is_done(reports, user):
    report = reports[user]
    assert report["left"] == ["mine"]  # nothing was written, linked or deleted
    assert report["mine"] == "mine"
    assert report["children"] == []  # no process is left
    assert report["threads"] == 0


def test_our_environment_is_as_it_was(reports):
    assert os.environ["A_SECRET"] == escapes.SECRET  # it was there to be found, and was not
    del os.environ["A_SECRET"]
