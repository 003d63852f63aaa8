"""What the arms of a seed share: pairs that the model drew, one adapter, one gradient pass. On a small model."""

import numpy as np
import pytest

from mrtlab.lab.spa_world import METHODS, Pair, adapted, lissa_columns, records_of, world
from mrtlab.spa.influence import fisher, grad_dot

K = 3


@pytest.fixture(scope="module")
def lab(tiny_lab):
    """The tiny model in the embedded one's place; a program counts as right where its length says so."""
    tiny_lab.setattr("mrtlab.data.tasks.programs.Programs.valid", lambda self, question, answer: len(answer) % 3 > 0)
    tiny_lab.setattr("mrtlab.lab.spa_data.LENGTH", 6)
    world.cache_clear()
    yield tiny_lab
    world.cache_clear()


@pytest.fixture(scope="module")
def made(lab):
    return world("programs", 0, True)


def test_the_model_is_its_own_teacher_and_its_adapter_is_differentiated(made):
    assert len(made.data) == made.sizes.n == 24
    assert len(made.asked) == 12
    assert all(len(pair.answer) % 3 for pair in made.data)
    assert made.gradients.shape[0] == 24
    assert made.targets.shape == (12, made.gradients.shape[1])
    assert np.isfinite(made.gradients).all()
    assert (abs(made.gradients).max(axis=1) > 0).all()
    assert any(name.endswith(".safetensors") for name in made.adapter)


def test_a_world_is_made_once_and_again_the_same(made):
    assert world("programs", 0, True) is made
    world.cache_clear()
    again = world("programs", 0, True)
    assert again.data == made.data
    np.testing.assert_allclose(again.gradients, made.gradients, rtol=1e-5, atol=1e-8)


def test_the_adapter_comes_back_from_its_files(made):
    from mrtlab.spa.gradients import examples_of, gradients_of

    with adapted(made.adapter) as (model, tokenizer):
        found = gradients_of(model, examples_of(made.records[:4], tokenizer))
    np.testing.assert_allclose(found, made.gradients[:4], rtol=1e-3, atol=1e-6)


def test_scores_come_from_the_one_gradient_pass(made):
    assert set(made.scores) == set(METHODS)
    assert made.scores["fisher"] == pytest.approx(fisher(made.gradients, made.targets))
    assert made.columns("grad-dot", K) == pytest.approx(grad_dot(made.gradients, made.targets[made.kept(K)]))
    assert np.isfinite([made.scores[name] for name in METHODS]).all()


def test_records_have_one_response_each(made):
    pair = Pair(made.data[0].question, "def f(x): return x")
    (record,) = records_of([pair])
    assert (record.prompt, record.responses) == (pair.question.text, (pair.answer,))
    assert [r.prompt for r in made.records] == [p.question.text for p in made.data]


def test_a_walk_gives_a_column_for_every_kept_query(made):
    found = lissa_columns(made, K, seed=0)
    assert found.shape == (24, K)
    assert np.isfinite(found).all()
    assert found == pytest.approx(lissa_columns(made, K, seed=0))


def test_a_walk_that_runs_away_begins_again_with_shorter_steps(made, monkeypatch):
    asked = []

    def lissa(model, examples, queries, *, settings):
        asked.append(settings)
        if len(asked) < 3:
            raise ValueError("the walk ran away")
        return 2 * queries

    monkeypatch.setattr("mrtlab.spa.lissa.lissa", lissa)
    found = lissa_columns(made, K, seed=5)
    scales = [settings.scale for settings in asked]
    assert scales == pytest.approx([scales[0], 2 * scales[0], 4 * scales[0]])
    largest = np.linalg.eigvalsh(made.gradients.astype(float) @ made.gradients.astype(float).T)[-1] / len(made.data)
    assert scales[0] == pytest.approx(4 * largest)
    assert asked[0].damping == pytest.approx(0.1 * np.mean(made.gradients.astype(float) ** 2))
    assert {settings.seed for settings in asked} == {5}
    assert found == pytest.approx(2 * made.columns("grad-dot", K))
