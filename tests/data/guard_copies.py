"""Copies of the guard's files: to be read by another user, or with one lock taken away."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mrtlab

NOBODY = 65_534
_PACKAGE = Path(mrtlab.__file__).parent


def copy_guard(to: Path, *changes: tuple[str, str, str]) -> Path:
    """A folder with a package that holds the guard's files and nothing else, readable by anybody.

    Args:
        to: the folder.
        changes: file, text, and what is put in its place; the text must be there, once.
    """
    data = to / "mrtlab" / "data"
    data.mkdir(parents=True)
    shutil.copy(_PACKAGE / "__init__.py", data.parent)
    for file in (_PACKAGE / "data" / "__init__.py", *(_PACKAGE / "data").glob("guard*.py")):
        shutil.copy(file, data)
    for name, text, instead in changes:
        old = (data / name).read_text(encoding="utf-8")
        assert old.count(text) == 1, f"{text!r} is {old.count(text)} times in {name}"
        (data / name).write_text(old.replace(text, instead), encoding="utf-8")
    _open_to_all(to)
    return to


def python_for_nobody(to: Path) -> str:
    """An interpreter that an unprivileged user may start: ours, the system's, or a copy of ours.

    Where root's Python lives in root's own folder, nobody can reach it.
    """
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        if _starts(candidate):
            return candidate
    base, version = Path(sys.base_prefix), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    skipped = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "config-*", "__pycache__")
    shutil.copytree(base / "lib" / version, to / "lib" / version, ignore=skipped)
    for library in (base / "lib").glob("libpython*"):
        shutil.copy(library, to / "lib")
    (to / "bin").mkdir()
    copied = shutil.copy(base / "bin" / version, to / "bin" / version)
    _open_to_all(to)
    assert _starts(str(copied)), "no Python was found that an unprivileged user can start"
    return str(copied)


def as_nobody(command: list[str], folder: Path) -> subprocess.Popen:
    """Start a command as an unprivileged user, in a folder, without our environment."""
    return subprocess.Popen(
        command,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd=folder,
        env={"PATH": os.defpath},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _starts(python: str) -> bool:
    check = "import ctypes, sys; sys.exit(sys.version_info < (3, 11))"
    try:
        with as_nobody([python, "-S", "-c", check], Path("/")) as process:
            process.communicate()
    except OSError:
        return False
    return process.returncode == 0


def _open_to_all(folder: Path) -> None:
    """This folder and all in it may be read by anybody, and its programs run."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or (os.access(path, os.X_OK) and "bin" in path.parts) else 0o644)
