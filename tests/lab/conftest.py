"""Every test of the lab works in folders of its own."""

import pytest


@pytest.fixture(autouse=True)
def lab_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MRTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MRTLAB_ARTIFACTS", str(tmp_path / "artifacts"))
    for name in ("MRTLAB_MODEL", "MRTLAB_DEVICE"):
        monkeypatch.delenv(name, raising=False)  # the embedded model, whatever the desk says
    return tmp_path


@pytest.fixture(scope="module")
def tiny_lab(tiny_folder, tmp_path_factory):
    """A patch under which the tiny model stands in the embedded one's place and a module writes to one folder."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("lab")
        patch.setenv("MRTLAB_CACHE", str(folder / "cache"))
        patch.setenv("MRTLAB_ARTIFACTS", str(folder / "artifacts"))
        patch.setattr("mrtlab.lm.shelf.EMBEDDED", tiny_folder)
        yield patch
