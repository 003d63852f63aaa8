"""Which model the experiments are about, and that one model's results never pass for another's."""

import json
from dataclasses import dataclass, replace

import pytest

from mrtlab.lab import artifacts, claims, experiments, subject
from mrtlab.lab.artifacts import Artifact
from mrtlab.lab.experiments import MissingInput, WrongSubject
from mrtlab.lab.registry import Body, Experiment, Table
from mrtlab.lab.subject import Subject
from mrtlab.lm import shelf

OTHER = Subject("larger", "ab" * 32, 44_000_000, "cuda")


@dataclass(frozen=True)
class WeightsCell:
    """Asks for the weights it was made for."""

    weights: str
    seed: int = 0

    @property
    def label(self) -> str:
        return f"seed{self.seed}"


@pytest.fixture
def worked_on(monkeypatch):
    """Cells that were run, of a toy experiment about the subject."""
    done = []

    def run_cell(cell):
        done.append(cell)
        return {"weights": cell.weights}

    body = Body(
        cells=lambda scale: [WeightsCell(subject.fingerprint())],
        run_cell=run_cell,
        summarise=lambda outcomes: outcomes[0][1],
        table=lambda results: Table("weights", ("sum",), ((results["weights"],),)),
    )
    toy = Experiment("toy", "reads a fingerprint", lambda: body, sources=("mrtlab.lab.subject",))
    monkeypatch.setitem(experiments.EXPERIMENTS, "toy", toy)
    return done


@pytest.fixture
def named(monkeypatch):
    """Names the subject."""
    return lambda model: monkeypatch.setenv("MRTLAB_MODEL", str(model))


def test_it_is_the_embedded_model_on_the_cpu_unless_the_environment_says_otherwise(monkeypatch, named, tiny_folder):
    assert subject.subject() == Subject(
        "embedded", shelf.look(shelf.EMBEDDED).sha256, shelf.look(shelf.EMBEDDED).parameters, "cpu"
    )
    assert subject.on_cpu()
    named(tiny_folder)
    found, shelved = subject.subject(), shelf.look(tiny_folder)
    assert (found.name, found.sha256, found.parameters) == ("tiny", shelved.sha256, shelved.parameters)
    model, tokenizer = subject.load()
    assert sum(p.numel() for p in model.parameters()) == shelved.parameters
    assert str(model.dtype) == "torch.float32"
    assert len(tokenizer) == model.config.vocab_size


def test_what_is_not_there_is_one_sentence(monkeypatch, named, tmp_path):
    named(tmp_path)
    with pytest.raises(MissingInput, match="no weights in safetensors"):
        subject.subject()
    (tmp_path / shelf.ADAPTER).write_text("{}")
    with pytest.raises(MissingInput, match="holds an adapter"):
        subject.subject()
    named(tmp_path / "no such folder")
    with pytest.raises(MissingInput, match="cannot find"):
        subject.subject()
    named("embedded")
    monkeypatch.setenv("MRTLAB_DEVICE", "warp")
    with pytest.raises(MissingInput, match="MRTLAB_DEVICE: unknown device"):
        subject.subject()


def test_weights_in_several_files_have_one_fingerprint(tiny_folder, tmp_path, named):
    from safetensors.torch import load_file, save_file

    weights = load_file(tiny_folder / shelf.WEIGHTS)
    names = sorted(weights)
    for part, some in enumerate((names[:2], names[2:])):
        save_file({name: weights[name] for name in some}, tmp_path / f"model-{part + 1}-of-2.safetensors")
    named(tmp_path)
    first = subject.subject()
    assert first.parameters == shelf.look(tiny_folder).parameters
    save_file({names[0]: weights[names[0]] + 1, names[1]: weights[names[1]]}, tmp_path / "model-1-of-2.safetensors")
    assert subject.fingerprint() != first.sha256


def test_cells_and_artifacts_of_two_subjects_are_kept_apart(worked_on, named, tiny_folder):
    own = experiments.run("toy", "smoke")
    assert own.provenance["subject"]["name"] == "embedded"
    named(tiny_folder)
    with pytest.raises(WrongSubject, match=r"toy\.smoke\.json is about embedded .* this run is about tiny"):
        experiments.run("toy", "smoke")
    other = experiments.run("toy", "full")
    assert other.provenance["subject"] == subject.subject().facts()
    assert other.results["weights"] != own.results["weights"]
    assert len(worked_on) == 2
    named("embedded")
    with pytest.raises(WrongSubject, match="about tiny"):
        experiments.run("toy", "full")
    assert experiments.run("toy", "smoke") == own
    assert len(worked_on) == 2


def test_book_scale_is_the_embedded_models(worked_on, named, tiny_folder):
    named(tiny_folder)
    with pytest.raises(WrongSubject, match="book scale is about the embedded model"):
        experiments.run("toy", "book")
    assert not worked_on


def test_an_artifact_from_before_there_was_a_choice_is_about_the_embedded_model(worked_on, named, tiny_folder):
    artifacts.save(Artifact("toy", "full", {}, {"commit": "abc"}))
    named(tiny_folder)
    with pytest.raises(WrongSubject, match="is about embedded and"):
        experiments.run("toy", "full")
    named("embedded")
    assert experiments.run("toy", "full").provenance["subject"]["name"] == "embedded"


def test_another_device_makes_other_cells(worked_on):
    experiment = experiments.find("toy")
    cells = [WeightsCell("x")]
    here = experiments._keys(experiment, cells, replace(OTHER, device="cpu"))
    assert here == experiments._keys(experiment, cells, None)
    assert here != experiments._keys(experiment, cells, OTHER)


def test_the_verdict_on_another_model_says_so_and_the_ledger_stays_as_it_was():
    claim = claims.find("MRT-12")
    committed = json.loads((artifacts.repository() / "artifacts" / "callings_grid.book.json").read_text("utf-8"))
    book = Artifact(**committed)
    artifacts.save(book)
    before = claims.ledger()
    entry = claims.judge(claim, replace(book, scale="full", provenance=book.provenance | {"subject": OTHER.facts()}))
    assert entry.scope == "larger, 44 million parameters"
    assert claims.judge(claim, book).scope == "embedded model"
    artifacts.save(replace(book, scale="full", provenance=book.provenance | {"subject": OTHER.facts()}, results={}))
    assert claims.ledger() == before
    # And should one ever stand in the book's place, it has no say there.
    artifacts.save(replace(book, provenance=book.provenance | {"subject": OTHER.facts()}))
    assert claims.entry(claim).status == claims.OTHER_MODEL
    assert claims.entry(claim).verdict is None


def test_every_experiment_of_chapters_6_to_8_lets_its_model_be_chosen():
    families = ("meet_", "callings_", "diffuse_", "spa_")
    names = {name for name in experiments.EXPERIMENTS if name.startswith(families) and not name.endswith("_scale")}
    assert {name for name in names if experiments.find(name).about_model} == names
    assert not experiments.find("mode_lottery").about_model
