"""Every test of the lab works in folders of its own."""

import pytest


@pytest.fixture(autouse=True)
def lab_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MRTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MRTLAB_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path
