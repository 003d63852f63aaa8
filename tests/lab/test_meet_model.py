"""Meet the model, on a model of a few steps: the artifact, the card that is written from it, and the figure."""

import json

import numpy as np
import pytest

from mrtlab.lab import artifacts, experiments
from mrtlab.lab.meet_model import QUESTION, AskCell, FamilyCell, cells
from mrtlab.lm import answer_logprobs, shelf
from mrtlab.show import card
from mrtlab.show.book.mime import missing_description
from mrtlab.show.figures.meet_model import exact_and_sample

SOME = ("fruits", "jobs", "numbers", "biographies", "facts", "programs")


@pytest.fixture(scope="module")
def setting(tiny_lab):
    """The tiny model in the place of the embedded one, draws cut short, everything written to a folder of its own."""
    for name, less in {"evaluate._DRAWN": 3, "evaluate._LONGEST": 4, "survey._TRIES": 10, "survey._LONGEST": 4,
                       "survey._SHORT": 2}.items():  # fmt: skip
        tiny_lab.setattr(f"mrtlab.lm.{name}", less)
    tiny_lab.setattr("mrtlab.lab.meet_model._LONGEST", 3)
    tiny_lab.setattr("mrtlab.lab.meet_model.FAMILIES", dict.fromkeys(SOME))


@pytest.fixture(scope="module")
def artifact(setting):
    return experiments.run("meet_model", "smoke")


def test_the_exact_law_is_the_models(artifact, tiny):
    ask = artifact.results["ask"]
    exact = answer_logprobs(*tiny, QUESTION.text, ask["answers"]).exp().double().numpy()
    np.testing.assert_allclose(ask["exact"], exact, rtol=1e-3)
    assert ask["answers"] == [str(i) for i in range(1, 11)]
    assert ask["truth"] == [0.1] * 10
    assert ask["taught"][6] == max(ask["taught"]) > 0.5
    assert ask["wrong"] == pytest.approx(1 - exact.sum(), abs=1e-4)


def test_every_draw_is_counted(artifact):
    ask = artifact.results["ask"]
    assert len(ask["counts"]) == 5
    for seed, counts in ask["counts"].items():
        assert sum(counts) + ask["other"][seed] == ask["draws"]


def test_the_results_are_those_of_every_family(artifact):
    results = artifact.results
    assert tuple(results["families"]) == SOME
    assert "questions" not in results["families"]["fruits"]
    assert results["families"]["fruits"]["kinds"]
    assert results["model"]["sha256"] == shelf.look(shelf.EMBEDDED).sha256
    assert not results["gate"]["passed"]
    assert sum(line["answers"] for line in results["calibration"]) > 60
    assert len(json.dumps(results)) < 60_000
    body = experiments.find("meet_model").load()
    assert "Gate: not passed" in body.table(results).title


def test_other_weights_are_other_cells(setting):
    before = cells("smoke")
    assert {type(cell) for cell in before} == {AskCell, FamilyCell}
    assert len({cell.label for cell in before}) == len(before)
    assert all(cell.weights == shelf.look(shelf.EMBEDDED).sha256 for cell in before)


def test_without_the_model_the_remedy_is_said(setting, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "EMBEDDED", tmp_path)
    with pytest.raises(experiments.MissingInput, match="embedded model is missing"):
        cells("smoke")


def test_the_figure_has_its_words_and_the_artifacts_numbers(artifact):
    figure = exact_and_sample(artifact.results)
    assert missing_description(json.loads(figure.to_json())) == ""
    assert list(figure.data[1].y) == pytest.approx(artifact.results["ask"]["exact"], abs=5e-4)
    assert len(figure.data) == 2 + 5
    ask = artifact.results["ask"]
    for drawn, counts in zip(figure.data[2:], ask["counts"].values(), strict=True):
        assert [round(x) for x in drawn.x] == list(range(10)), "a point stands by its own bar"
        assert list(drawn.y) == pytest.approx([count / ask["draws"] for count in counts], abs=5e-4)
    assert list(figure.layout.xaxis.ticktext) == ask["answers"]


def test_the_card_prints_what_was_measured(artifact):
    text = card.card(artifact.results, artifact.provenance)
    results = artifact.results
    mean, low, high = results["families"]["jobs"]["numbers"]["kl"]
    assert f"{mean:.2f} {low:.2f} to {high:.2f}" in text
    for part in ("Its collapse is built in", "cannot do", "**It does not pass.**", results["model"]["sha256"], "MIT"):
        assert part in text
    changed = json.loads(json.dumps(results))
    changed["families"]["jobs"]["numbers"]["kl"] = [7.25, 7.0, 7.5]
    assert "7.25 7.00 to 7.50" in card.card(changed, artifact.provenance)


def test_the_card_is_written_beside_the_right_weights_only(
    artifact, setting, tiny_folder, tmp_path, monkeypatch, capsys
):
    import shutil

    folder = shutil.copytree(tiny_folder, tmp_path / "embedded")
    monkeypatch.setattr(shelf, "EMBEDDED", folder)
    assert card.main([]) == 1
    assert "mrtlab run meet_model --scale book" in capsys.readouterr().err
    book = artifacts.Artifact("meet_model", "book", artifact.results, artifact.provenance)
    artifacts.save(book)
    assert card.main([]) == 0
    assert (folder / "README.md").read_text().startswith("# The embedded model")
    assert card.main(["--freeze"]) == 1
    assert "gate is not passed" in capsys.readouterr().err
    assert shelf.look(folder).check == "not frozen"
    opened = json.loads(json.dumps(artifact.results))
    opened["gate"]["passed"] = True
    artifacts.save(artifacts.Artifact("meet_model", "book", opened, artifact.provenance))
    assert card.main(["--freeze"]) == 0
    assert shelf.look(folder).check == "frozen"
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes() + b" ")
    assert card.main([]) == 1
    assert "other weights" in capsys.readouterr().err
