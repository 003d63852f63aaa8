import json
import os
import tomllib
from pathlib import Path

import pytest

from mrtlab.lab import artifacts, recipes
from mrtlab.lab.artifacts import Artifact, ArtifactMissing

RESULTS = {
    "b": {"sd": 0.123456789, "values": [1.0, 2.5, 1e-7]},
    "a": [{"n": 3}, {"n": 4}],
    "note": "two [1, 2] brackets",
}


def an_artifact(scale="book", results=RESULTS):
    return Artifact("demo", scale, results, {"commit": "abc"})


def test_what_is_saved_is_what_is_loaded_to_six_digits():
    artifacts.save(an_artifact())
    loaded = artifacts.load("demo", "book")
    assert loaded.results["b"] == {"sd": 0.123457, "values": [1.0, 2.5, 1e-7]}
    assert loaded.results["a"] == [{"n": 3}, {"n": 4}]
    assert loaded.results["note"] == "two [1, 2] brackets"
    assert loaded.provenance == {"commit": "abc"}
    assert (loaded.experiment, loaded.scale) == ("demo", "book")


def test_files_diff_well_keys_in_order_and_number_lists_on_one_line():
    text = artifacts.save(an_artifact()).read_text("utf-8")
    assert text.index('"a"') < text.index('"b"') < text.index('"note"')
    assert '"values": [1.0, 2.5, 1e-07]\n' in text
    backwards = dict(reversed(RESULTS.items()))
    assert artifacts.save(an_artifact(results=backwards)).read_text("utf-8") == text


def test_everybody_may_read_an_artifact():
    assert artifacts.save(an_artifact()).stat().st_mode & 0o777 == 0o644


def test_smoke_results_stay_out_of_the_committed_folder(lab_folders):
    book, smoke = artifacts.save(an_artifact("book")), artifacts.save(an_artifact("smoke"))
    assert book == lab_folders / "artifacts" / "demo.book.json"
    assert smoke == lab_folders / "cache" / "artifacts" / "demo.smoke.json"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_number_json_cannot_hold_is_named_and_nothing_is_written(wrong, lab_folders):
    with pytest.raises(ValueError, match=r"results\.arms\.1\.sd is"):
        artifacts.save(an_artifact(results={"arms": [{"sd": 1.0}, {"sd": wrong}]}))
    assert not (lab_folders / "artifacts").exists()


def test_an_interrupted_save_leaves_the_old_file_and_no_debris(monkeypatch):
    path = artifacts.save(an_artifact())
    before = path.read_bytes()

    def pulled_plug(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", pulled_plug)
    with pytest.raises(KeyboardInterrupt):
        artifacts.save(an_artifact(results={"new": 1}))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["demo.book.json"]


def test_a_missing_artifact_names_the_command_that_makes_it():
    with pytest.raises(ArtifactMissing, match=r"mrtlab run demo --scale full"):
        artifacts.load("demo", "full")


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"results": {}}'])
def test_a_damaged_artifact_says_so(text):
    path = artifacts.save(an_artifact())
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="not an artifact written by"):
        artifacts.load("demo")


def test_value_follows_a_dotted_path_and_list_indices():
    artifacts.save(an_artifact())
    assert artifacts.value("demo.book#b.sd") == 0.123457
    assert artifacts.value("demo.book#a.1.n") == 4


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("b.mean", r"demo\.book\.b has no 'mean'; it has: sd, values"),
        ("c", r"demo\.book has no 'c'; it has: a, b, note"),
        ("a.2", r"demo\.book\.a has no '2'; it has: 0, 1"),
        ("b.sd.lo", r"demo\.book\.b\.sd has no 'lo'; it has: nothing"),
    ],
)
def test_a_wrong_path_lists_what_there_is_at_the_level_where_it_fails(path, message):
    artifacts.save(an_artifact())
    with pytest.raises(LookupError, match=message):
        artifacts.value(f"demo.book#{path}")


@pytest.mark.parametrize("ref", ["demo.book", "demo#a", "#a", "demo.book.x#a", "demo.book#"])
def test_a_reference_of_the_wrong_form_shows_the_right_one(ref):
    with pytest.raises(ValueError, match=r"expected EXPERIMENT\.SCALE#path"):
        artifacts.value(ref)


def test_without_a_checkout_files_go_to_the_working_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MRTLAB_CACHE")
    monkeypatch.delenv("MRTLAB_ARTIFACTS")
    monkeypatch.setattr(artifacts, "repository", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert artifacts.save(an_artifact()).resolve() == tmp_path / "artifacts" / "demo.book.json"
    assert artifacts.cache_dir().resolve() == tmp_path / ".mrtlab"


def test_in_a_checkout_files_go_to_its_root(monkeypatch):
    monkeypatch.delenv("MRTLAB_ARTIFACTS")
    root = artifacts.repository()
    assert (root / "mrtlab" / "lab").is_dir()
    assert artifacts.artifacts_dir() == root / "artifacts"


def test_pretty_is_json():
    assert json.loads(artifacts.pretty(RESULTS)) == RESULTS


def test_an_installed_package_brings_its_artifacts(tmp_path, monkeypatch):
    """Without a checkout, as on Colab, results are read from the wheel's own copy."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    content = {"experiment": "toy", "scale": "book", "results": {"x": 1.5}, "provenance": {}}
    (shipped / "toy.book.json").write_text(json.dumps(content))
    monkeypatch.setattr(artifacts, "SHIPPED", shipped)
    monkeypatch.setenv("MRTLAB_ARTIFACTS", str(tmp_path / "nothing-here"))
    assert artifacts.value("toy.book#x") == 1.5


def test_the_wheel_takes_artifacts_and_recipes_along(monkeypatch):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    monkeypatch.setattr(recipes, "repository", lambda: None)  # installed without a checkout
    homes = {"artifacts": artifacts.SHIPPED, "recipes": recipes.folder()}
    assert included == {name: f"mrtlab/lab/{home.name}" for name, home in homes.items()}
