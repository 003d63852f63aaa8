import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mrtlab.lab import provenance


def collected():
    return provenance.collect(
        scale="book",
        seeds=[0, 1],
        wall_s=12.345,
        peak_mb=101.6,
        rules={"MRT-05": "0123456789ab"},
        commits=["abc"],
        created="2026-01-02",
        packages=["torch", "not-a-package"],
    )


def test_an_artifact_says_where_it_came_from():
    found = collected()
    assert found["commit"] == "abc"
    assert found["created"] == "2026-01-02"
    assert found["rules"] == {"MRT-05": "0123456789ab"}
    assert (found["scale"], found["seeds"], found["wall_s"], found["peak_memory_mb"]) == (
        "book",
        [0, 1],
        12.3,
        102,
    )
    assert set(found["versions"]) == {"python", "numpy", "scipy", "torch"}
    assert set(found["hardware"]) == {"cpu", "cores", "memory_gb", "gpu"}
    assert found["hardware"]["cores"] >= 1
    assert found["hardware"]["memory_gb"] > 0.1


def test_it_does_not_say_whose_machine_it_was():
    text = json.dumps(collected())
    assert str(Path.home()) not in text
    assert len(platform.node()) < 4 or platform.node() not in text


def test_two_commits_are_both_named():
    arguments = {"scale": "book", "seeds": [0], "wall_s": 1.0, "peak_mb": 1.0, "rules": {}}
    found = provenance.collect(**arguments, commits=["abc", "def"], created="2026-01-02")
    assert found["commit"] == "abc and def"


@pytest.fixture
def small_repository(tmp_path, monkeypatch):
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    root = tmp_path / "repository"
    (root / "mrtlab").mkdir(parents=True)
    (root / "mrtlab" / "code.py").write_text("1\n")

    def git(*arguments):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)

    git("init")
    git("add", "mrtlab")
    git("commit", "-m", "one")
    monkeypatch.setattr(provenance, "repository", lambda: root)
    return root


def test_commit_marks_changed_code_but_not_other_files(small_repository):
    clean = provenance.commit()
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    (small_repository / "mrtlab" / "scratch.txt").write_text("not tracked")
    assert provenance.commit() == clean
    (small_repository / "mrtlab" / "code.py").write_text("2\n")
    assert provenance.commit() == clean + "+dirty"


def test_commit_without_git_or_checkout_is_unknown(small_repository, monkeypatch):
    monkeypatch.setattr(provenance.shutil, "which", lambda name: None)
    assert provenance.commit() == "unknown"
    monkeypatch.setattr(provenance, "repository", lambda: None)
    assert provenance.commit() == "unknown"


def test_peak_memory_grows_with_what_is_held():
    code = (
        "from mrtlab.lab.provenance import peak_memory_mb as peak\n"
        "before = peak()\n"
        "held = b'x' * int((before + 64) * 2**20)\n"  # more than the process ever held
        "print(before, peak())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert 5 < before < 1000
    assert before + 64 <= after < 3 * before + 100
