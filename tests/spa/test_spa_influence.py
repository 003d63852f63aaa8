"""Scores against dense algebra, and LiSSA against the dense Gauss–Newton matrix of a tiny model."""

import numpy as np
import pytest
import spa_small
import torch
from torch.func import functional_call, jacrev

from mrtlab.lm.scoring import plain_logprob
from mrtlab.spa.gradients import Padded, gradients_of, lora_factors
from mrtlab.spa.influence import cosine, datainf, fisher, grad_dot, gram, most_varied
from mrtlab.spa.lissa import LissaSettings, gauss_newton, lissa

BLOCKS = [slice(0, 5), slice(5, 12), slice(12, 20)]


@pytest.fixture(params=[(6, 20), (30, 20)], ids=["few", "many"])
def drawn(request):
    """G and V, fewer examples than numbers and more."""
    n, p = request.param
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, p)).astype(np.float32), rng.standard_normal((3, p)).astype(np.float32)


def dense_fisher(g, v, damping):
    g, v = g.astype(float), v.astype(float)
    curvature = g.T @ g / len(g)
    lam = damping * np.trace(curvature) / g.shape[1]
    return g @ np.linalg.solve(curvature + lam * np.eye(g.shape[1]), v.T)


def dense_datainf(g, v, damping):
    """As the paper writes it: a mean over examples of inverses, each by Sherman–Morrison's matrix itself."""
    g, v = g.astype(float), v.astype(float)
    lam = damping * np.mean(g**2)
    inverse = np.mean([np.linalg.inv(np.outer(row, row) + lam * np.eye(g.shape[1])) for row in g], axis=0)
    return g @ inverse @ v.T


@pytest.mark.parametrize("damping", [1e-3, 0.1, 10.0])
def test_the_fisher_scores_equal_a_dense_solve_on_either_side(drawn, damping):
    np.testing.assert_allclose(fisher(*drawn, damping=damping), dense_fisher(*drawn, damping), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("damping", [1e-3, 0.1, 10.0])
def test_datainf_equals_the_mean_of_dense_inverses(drawn, damping):
    np.testing.assert_allclose(datainf(*drawn, damping=damping), dense_datainf(*drawn, damping), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(("score", "dense"), [(fisher, dense_fisher), (datainf, dense_datainf)])
def test_blocks_are_solved_apart_and_added(drawn, score, dense):
    g, v = drawn
    expected = sum(dense(g[:, at], v[:, at], 0.1) for at in BLOCKS)
    np.testing.assert_allclose(score(g, v, blocks=BLOCKS), expected, rtol=1e-9, atol=1e-9)
    silent = g.copy()
    silent[:, BLOCKS[1]] = 0  # as the matrices A of a fresh adapter
    expected = sum(dense(g[:, at], v[:, at], 0.1) for at in (BLOCKS[0], BLOCKS[2]))
    np.testing.assert_allclose(score(silent, v, blocks=BLOCKS), expected, rtol=1e-9, atol=1e-9)


def test_products_cosines_and_gram_in_chunks(drawn, monkeypatch):
    g, v = drawn
    c = g.astype(float) @ v.astype(float).T
    monkeypatch.setattr("mrtlab.spa.influence._CHUNK", 40)  # two rows at a time
    np.testing.assert_allclose(grad_dot(g, v), c, rtol=1e-12)
    sizes = np.linalg.norm(g.astype(float), axis=1)[:, None] * np.linalg.norm(v.astype(float), axis=1)
    np.testing.assert_allclose(cosine(g, v), c / sizes, rtol=1e-12)
    np.testing.assert_allclose(gram(g), g.astype(float) @ g.astype(float).T, rtol=1e-12)
    np.testing.assert_allclose(fisher(g, v), dense_fisher(g, v, 0.1), rtol=1e-9, atol=1e-9)


def test_heavy_damping_leaves_the_plain_product(drawn):
    g, v = drawn
    lam = 1e9 * np.mean(g.astype(float) ** 2)
    for score in (fisher, datainf):
        np.testing.assert_allclose(lam * score(g, v, damping=1e9), grad_dot(g, v), rtol=1e-6)


def test_bad_input_is_refused(drawn):
    g, v = drawn
    with pytest.raises(ValueError, match="same adapter"):
        grad_dot(g, v[:, :3])
    for damping in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="damping must be a positive"):
            fisher(g, v, damping=damping)
    with pytest.raises(ValueError, match="k must lie"):
        most_varied(grad_dot(g, v), 4)


def test_what_is_too_large_to_solve_says_what_to_do(drawn, monkeypatch):
    monkeypatch.setattr("mrtlab.spa.influence._LARGEST", 5)
    with pytest.raises(ValueError, match="fewer features"):
        fisher(*drawn)


def test_a_step_on_a_helpful_example_lowers_the_querys_loss_by_as_much_as_the_score_says():
    """The sign and the size, by doing it: θ ← θ − η g_i changes the query's loss by −η·C + O(η²)."""
    model, examples = spa_small.adapted().eval().double(), spa_small.examples(6, seed=5)
    query = examples[-1]
    g = gradients_of(model, examples[:-1])
    scores = grad_dot(g, gradients_of(model, [query]))[:, 0]
    assert scores.min() < 0 < scores.max()

    def loss():
        with torch.no_grad():
            return float(-plain_logprob(model, list(query.prompt_ids), list(query.answer_ids)) / len(query.answer_ids))

    def step(row, rate):
        at = 0
        for factor in lora_factors(model):
            w = factor.module.weight
            w.data -= rate * torch.from_numpy(row[at : at + w.numel()]).view_as(w)
            at += w.numel()

    before, rate = loss(), 1e-4
    for row, score in zip(g, scores, strict=True):
        step(row, rate)
        assert before - loss() == pytest.approx(rate * score, rel=0.05, abs=1e-8)
        step(row, -rate)


@pytest.fixture(scope="module")
def dense():
    """A tiny model, its examples, their gradients, and its Gauss–Newton matrix written out by Jacobians."""
    model, examples = spa_small.adapted(rank=1, layers=1).eval(), spa_small.examples(4, seed=6, longest=4)
    model.set_attn_implementation("eager")
    factors = lora_factors(model)
    weights = {factor.parameter: factor.module.weight.detach() for factor in factors}
    p = sum(w.numel() for w in weights.values())
    matrix = torch.zeros(p, p, dtype=torch.float64)
    for example in examples:
        batch = Padded.of([example], torch.device("cpu"))

        def logits(changed, batch=batch):
            return batch.logits(lambda **inputs: functional_call(model, changed, args=(), kwargs=inputs))[0]

        jacobians = jacrev(logits)(weights)
        j = torch.cat([jacobians[factor.parameter].flatten(2) for factor in factors], dim=2).double()
        for row, q in zip(j, logits(weights).double().softmax(-1), strict=True):
            hessian = torch.diag(q) - torch.outer(q, q)
            matrix += row.T @ hessian @ row / len(example.answer_ids) / len(examples)
    model.set_attn_implementation("sdpa")
    return model, examples, gradients_of(model, examples), matrix.numpy()


def test_gauss_newton_products_equal_the_dense_matrix(dense):
    model, examples, g, matrix = dense
    assert np.linalg.eigvalsh(matrix).min() > -1e-9
    found = gauss_newton(model, examples, g)
    np.testing.assert_allclose(found, g @ matrix, rtol=1e-3, atol=1e-5 * np.abs(g @ matrix).max())


def test_lissa_reaches_the_dense_solution(dense):
    model, examples, g, matrix = dense
    top = np.linalg.eigvalsh(matrix).max()
    damping = 0.3 * top
    settings = LissaSettings(damping=damping, scale=top, depth=25, batch=None)  # what is left shrinks by 0.7 a step
    found = lissa(model, examples, g[:2], settings=settings)
    expected = np.linalg.solve(matrix + damping * np.eye(len(matrix)), g[:2].T.astype(float)).T
    assert np.linalg.norm(found - expected) < 2e-3 * np.linalg.norm(expected)


def test_lissa_with_one_example_at_a_step_has_the_solution_as_its_mean(dense):
    model, examples, g, matrix = dense
    top = np.linalg.eigvalsh(matrix).max()
    damping = 2 * top  # a short walk that averages quickly
    told = []
    settings = LissaSettings(damping=damping, scale=6 * top, depth=12, repeats=6, batch=1)
    found = lissa(model, examples, g[:1], settings=settings, report=lambda *at: told.append(at))
    expected = np.linalg.solve(matrix + damping * np.eye(len(matrix)), g[:1].T.astype(float)).T
    assert told[-1] == (72, 72)
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)
    assert np.linalg.norm(found - g[:1] / damping) > 2 * np.linalg.norm(found - expected)  # the curvature did matter


def test_a_walk_that_runs_away_is_stopped(dense):
    model, examples, g, matrix = dense
    top = np.linalg.eigvalsh(matrix).max()
    settings = LissaSettings(damping=0.1 * top, scale=top / 50, depth=12, batch=None)
    with pytest.raises(ValueError, match="runs away"):
        lissa(model, examples, g[:1], settings=settings)
    with pytest.raises(ValueError, match="projected gradients"):
        gauss_newton(model, examples, g[:, :5])
    with pytest.raises(ValueError, match="positive"):
        LissaSettings(scale=0)
