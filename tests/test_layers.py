"""The tower: rooms import only from floors below, and the ground floor never wakes torch."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import mrtlab",
        "import mrtlab.theory",
        "import mrtlab.cli",
        "import mrtlab.lab.claims",
        "from mrtlab.lm import TokenTree, encode",
        "from mrtlab.lm.layout import row_layout",
        "import mrtlab.show.explorables",
    ],
)
def test_light_rooms_do_not_import_torch(statement):
    assert not {"torch", "transformers"} & imported_by(statement)


def test_scoring_wakes_torch_when_it_is_asked_for_and_every_name_is_there():
    statement = "import mrtlab.lm as lm; assert all(callable(getattr(lm, name)) for name in lm.__all__)"
    assert {"torch", "transformers"} <= imported_by(statement)
    assert "torch" not in imported_by("import mrtlab.lm as lm; assert {*lm.__all__} <= {*dir(lm)}")


def test_a_name_that_is_not_there_is_missed_at_once():
    import mrtlab.lm

    with pytest.raises(AttributeError, match="no attribute 'leaf_probs'"):
        mrtlab.lm.leaf_probs  # noqa: B018


def test_the_package_itself_is_light():
    assert not {"numpy", "plotly", "torch"} & imported_by("import mrtlab")


def test_a_room_imports_only_from_floors_below():
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(tool)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_layer_check_can_fail(tmp_path):
    """A copy in which theory imports the lab must be refused, or the check proves nothing."""
    package = tmp_path / "mrtlab"
    for room in ("theory", "lab", "show"):
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").write_text('"""Room."""\n')
    (package / "__init__.py").write_text("")
    (package / "cli.py").write_text("import mrtlab.lab\n")
    (package / "theory" / "__init__.py").write_text("import mrtlab.lab\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(tool)], cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"})  # fmt: skip
    assert done.returncode != 0
    assert "BROKEN" in done.stdout
