"""Chapter 7's experiments on a model of a few steps: questions, exact numbers, and what the runs add up to."""

import numpy as np
import pytest

from mrtlab.data.targets import Target
from mrtlab.lab import claims_diffuse, diffuse_data, diffuse_film, diffuse_methods, diffuse_transfer, experiments
from mrtlab.lab.diffuse_learn import STOPS, numbers_of
from mrtlab.lab.diffuse_methods import decoded_numbers
from mrtlab.lab.diffuse_transfer import facts_of

NAMES = ("diffuse_transfer", "diffuse_methods")


@pytest.fixture(scope="module")
def setting(tiny_lab):
    """The tiny model in the place of the embedded one, few facts, everything written to a folder of its own."""
    tiny_lab.setattr(diffuse_data, "_N_FACTS", 8)
    diffuse_data.facts.cache_clear()
    yield
    diffuse_data.facts.cache_clear()


def looked(targets, groups, rng):
    laws = {
        name: numbers_of([(t, np.log(0.9 * rng.dirichlet(np.ones(len(t.answers))))) for t in some])
        for name, some in ({"trained": list(targets)} | groups).items()
    }
    return {"groups": laws, "facts": np.log(rng.uniform(0.2, 1, 8)).tolist()}


def pretended(targets, groups, settings, *, marks):
    """What `learn` returns, for laws drawn at random."""
    rng = np.random.default_rng([settings.seed, len(targets)])
    stops = {str(STOPS[0]): 0, str(STOPS[1]): marks[-1]}  # the strictest is never reached
    trace = np.linspace(40, 30, settings.passes + 1).tolist()
    met = {str(m): looked(targets, groups, rng) for m in sorted({*marks, *stops.values()})}
    return {"marks": met, "trace": trace, "floor": 29.0, "stops": stops}


@pytest.fixture(scope="module")
def found(setting):
    """Results of both at smoke scale, their trainings pretended; decoding is real."""
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setattr(f"mrtlab.lab.{name}.learn", pretended)
        return {name: experiments.run(name, "smoke").results for name in NAMES}


@pytest.mark.parametrize("kind", ["mixed-anchored", "half", "weighted", "narrow"])
def test_a_run_of_each_kind(setting, kind):
    cell = next(cell for cell in diffuse_transfer.cells("smoke") if cell.kind == kind)
    result = diffuse_transfer.run_cell(cell)
    assert {"0", "1", "2"} <= set(result["marks"])
    assert len(result["trace"]) == 3
    assert result["trace"][-1] < result["trace"][0]
    assert all(np.isfinite(list(g.values())).all() for g in result["marks"]["2"]["groups"].values())
    assert result["marks"]["0"]["facts"] != result["marks"]["2"]["facts"]


@pytest.mark.parametrize("way", ["gem", "witness"])
def test_a_run_of_a_method(setting, way):
    cell = next(cell for cell in diffuse_methods.cells("smoke") if cell.way == way)
    assert set(diffuse_methods.run_cell(cell)["groups"]) == set(diffuse_methods.GROUPS)


@pytest.mark.parametrize("seed", [0, 3])
def test_nothing_that_is_asked_beside_was_taught(seed):
    taught = diffuse_data.mixed(seed)
    exam = diffuse_data.exam(seed)
    prompts = {t.prompt for t in taught}
    assert len(prompts) == 11
    assert prompts.isdisjoint(t.prompt for some in exam.values() for t in some)
    trained, others = diffuse_data.families(seed)
    assert {t.family for t in exam["wordings_new"]} == set(trained)
    assert {t.family for t in exam["families"]} == set(others)
    assert {t.family for t in taught} == {*trained, "numbers"}
    assert diffuse_data.mixed(seed) == taught


def test_half_lists_split_the_answers_and_weights_fall_like_zipf():
    listed, groups = diffuse_data.half_lists(1)
    for one, other in zip(listed, groups["unlisted"], strict=True):
        assert one.prompt == other.prompt
        assert set(one.answers).isdisjoint(other.answers)
    taught, others = diffuse_data.weighted(1)
    ordered = np.sort(taught[0].law)[::-1]
    assert ordered[0] / ordered[3] == pytest.approx(4)
    assert {t.prompt for t in taught}.isdisjoint(t.prompt for t in others["wordings_seen"])


def test_one_range_is_asked_in_other_wordings():
    (taught,), groups = diffuse_data.one_range(0, wide=False)
    assert len(taught.answers) == 10
    assert taught.prompt not in {t.prompt for some in groups.values() for t in some}
    assert {len(t.answers) for t in groups["shifted"]} == {10, 20}


def test_numbers_by_hand():
    coin = Target.of("Toss.", {"heads": 3, "tails": 1})
    found = numbers_of([(coin, np.log([0.5, 0.25]))])
    assert found["mass"] == pytest.approx(0.75)
    assert found["tv"] == pytest.approx(0.25)
    assert found["kl"] == pytest.approx(0.75 * np.log(1.5))
    assert found["validity_kl"] == pytest.approx(-np.log(0.75))
    assert found["kl"] == pytest.approx(found["validity_kl"] + found["shape_kl"])
    assert found["rare"] == pytest.approx(0, abs=1e-12)
    assert found["common"] == pytest.approx(np.log(1.5))
    assert found["coverage"] == pytest.approx(1)
    hand = decoded_numbers([(coin, np.array([0.0, -np.inf]))])
    assert hand == {"tv": pytest.approx(0.25), "mass": 1.0, "top": 1.0, "entropy": 0.0}
    nothing = decoded_numbers([(coin, np.array([-np.inf, -np.inf]))])
    assert nothing == {"tv": 1.0, "mass": 0.0, "top": 0.0, "entropy": 0.0}


def test_facts_anchored_and_free_are_told_apart():
    before, after = [[-0.1] * 4] * 2, [[-0.1, -2.0, -0.1, -0.1]] * 2
    found = facts_of(before, after)
    assert found["anchored"]["change"]["right"]["mean"] == 0
    assert found["free"]["change"]["right"] == {"mean": -0.5, "lo": -1.0, "hi": 0.0}
    assert found["free"]["change"]["nll"]["mean"] == pytest.approx(0.95)


def test_a_setting_is_chosen_by_the_other_seeds():
    def rows(*tvs):
        return [{"wordings_new": {"tv": tv}} for tv in tvs]

    assert diffuse_methods._chosen({"a": rows(0.0, 0.5, 0.5), "b": rows(0.9, 0.4, 0.4)}) == ["b", "a", "a"]


@pytest.mark.parametrize("name", NAMES)
def test_rules_and_tables_read_what_the_runs_add_up_to(found, name):
    body = experiments.find(name).load()
    assert body.table(found[name]).rows
    mine = [claim for claim in claims_diffuse.CLAIMS if claim.experiment == name]
    assert mine
    for claim in mine:
        verdict = claim.rule(found[name])
        assert "\n" not in verdict.measured
        assert "nan" not in verdict.measured


def test_every_id_of_the_sheet_is_a_claim():
    ids = [claim.id for claim in claims_diffuse.CLAIMS]
    assert set(ids) == {*(f"DIF-{n:02}" for n in range(1, 20)), "DIF-08b", "DIF-09b", "DIF-10b", "DIF-10c"}
    assert all(c.rule for c in claims_diffuse.CLAIMS)
    assert all(c.statement.endswith((".", ".)")) for c in claims_diffuse.CLAIMS)


def test_labels_are_unique(setting):
    for module in (diffuse_transfer, diffuse_methods, diffuse_film):
        labels = [cell.label for cell in module.cells("smoke")]
        assert len(labels) == len(set(labels))


def test_the_film_looks_after_every_pass(setting, monkeypatch):
    monkeypatch.setattr(diffuse_film, "LR", 0.05)  # so that two passes show, even in a model that was taught nothing
    found = experiments.run("diffuse_film", "smoke").results
    for kind in diffuse_film.KINDS:
        for name, one in found["shown"]["asked"].items():
            law = np.array(found["shown"]["laws"][kind][name])
            assert law.shape == (3, len(one["answers"]))
            assert (law.sum(1) < 1.001).all()
            both = [np.array(found["shown"]["laws"][k][name][0]) for k in diffuse_film.KINDS]
            np.testing.assert_allclose(*both)  # before training the runs are one
        told = found["over_seeds"][kind]
        assert len(set(told["lesson"]["mass"]["mean"])) == 3  # a law of its own after every pass
    words = found["shown"]["laws"]["mixed"]["never_flat"][0]
    assert words == sorted(words, reverse=True)
    assert found["shown"]["asked"]["small"]["answers"] == [str(v) for v in range(1, 11)]
    assert diffuse_film.table(found).rows


def test_numbers_of_the_film_by_hand():
    found = diffuse_film._numbers([np.array([[0.5, 0.3], [0.5, 0.5]])] * 2)
    assert found["tv"]["mean"] == pytest.approx([0.2, 0.0])
    assert found["mass"]["mean"] == pytest.approx([0.8, 1.0])
    assert found["top"]["mean"] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("seed", range(5))
def test_nothing_in_the_film_was_taught(seed):
    taught = {t.prompt for t in diffuse_data.mixed(seed)} | {diffuse_data.one_range(seed, wide=False)[0][0].prompt}
    questions = diffuse_film.asked(seed)
    assert taught.isdisjoint(t.prompt for t in questions.values())
    trained, others = diffuse_data.families(seed)
    assert questions["taught"].family in trained
    assert questions["other"].family in others
