"""The answers of chapter 6's exercises, worked out another way."""

import itertools

import numpy as np
import pytest
from solutions import answer_of, cases_of, solution_of

from mrtlab.data.tasks.callings import Callings
from mrtlab.lab.callings_grid import PER_UPDATE, PLANS
from mrtlab.lm import TokenTree
from mrtlab.show.exercises import EXERCISES
from mrtlab.theory import Components, plan, token_variance


def test_the_tree_counts_the_tokens():
    drawn = [[0, 1, 2, 5], [0, 1, 3, 5], [0, 4, 5], [0, 4, 5]]
    tree = TokenTree.build(range(12), drawn)
    assert tree.n_fed_apart == sum(12 + len(response) - 1 for response in drawn) == 58
    beginnings = {tuple(response[:n]) for response in drawn for n in range(1, len(response))}
    assert tree.n_fed == 12 + len(beginnings) == 17
    assert answer_of("ch6.tree_tokens") == pytest.approx(58 / 17)


def test_the_weights_give_the_losses_of_copies():
    rng = np.random.default_rng(3)
    tokens = [rng.normal(-2, 1, size=n) for n in (1, 3, 4, 9)]  # log-probabilities, token by token
    drawn = np.array([3, 0, 3, 2, 0, 3])
    by_token = -np.concatenate([tokens[i] for i in drawn]).mean()
    by_response = -np.mean([tokens[i].mean() for i in drawn])
    w = solution_of("ch6.weights")["weights"](np.array([len(t) for t in tokens]), drawn)
    assert -w @ [t.sum() for t in tokens] == pytest.approx([by_token, by_response])
    assert abs(by_token - by_response) > 0.01


@pytest.mark.parametrize(("normalisation", "row"), [("token", 0), ("response", 1)])
def test_the_trainer_divides_like_the_weights(tmp_path, normalisation: str, row: int):
    from training import small

    from mrtlab.lm import leaf_logprobs
    from mrtlab.training.groups import Group

    leaves, drawn = [[4], [5, 6, 7]], [0, 1, 1]
    tree = TokenTree.build([1, 2, 3], [leaves[i] for i in drawn])
    group = Group(tree, np.ones(3), np.array([1, 3, 3]))
    trainer = small.trainer(tmp_path, normalisation=normalisation)
    loss = trainer.compute_loss(trainer.model, trainer.data_collator([group])).item()
    each = leaf_logprobs(trainer.model, [TokenTree.build([1, 2, 3], leaves)])[0].detach().numpy()
    w = solution_of("ch6.weights")["weights"](np.array([1, 3]), np.array(drawn))
    assert -w[row] @ each == pytest.approx(loss, rel=1e-5)


def test_the_parts_add_up_and_the_model_is_the_embedded_one():
    from mrtlab.lm.evaluate import listed_logprobs
    from mrtlab.lm.models import load_model

    parts = solution_of("ch6.parts")["parts"]
    model, tokenizer = load_model("embedded")
    for prompt, answers, truth in cases_of("ch6.parts"):
        [logp] = listed_logprobs(model, tokenizer, [(prompt, answers)])
        whole = truth @ (np.log(truth) - logp)
        validity, shape = parts(prompt, answers, truth)
        assert validity + shape == pytest.approx(whole, rel=1e-4)
        assert np.exp(-validity) == pytest.approx(np.exp(logp).sum(), rel=1e-4)
        assert validity > 0.05
        assert shape > 0.05  # else a slip that drops one of the two would pass


def test_the_parts_are_asked_about_jobs():
    for _, answers, truth in cases_of("ch6.parts"):
        assert len(answers) == len(truth) == 24
        assert truth.sum() == pytest.approx(1)
    assert Callings().name == "callings"
    assert f"{-np.log(0.38):.2f}" in EXERCISES["ch6.parts"].text


def test_from_that_length_on_four_is_the_best_of_the_list():
    ks, ratio = np.array([1, 2, 4, 8, 16]), Components(1.0, 4.0)

    def best(length: float) -> int:
        price = token_variance(ratio, ks, prompt_tokens=length, response_tokens=5).shared
        return int(ks[price.argmin()])

    length = answer_of("ch6.price")
    assert best(length - 0.01) == 2
    assert best(length + 0.01) == 4
    assert (best(39.9), best(40.1)) == (4, 8)  # so says the slip
    assert plan(ratio, length, 5, 1e6).k in (2, 3, 4)


def test_the_step_by_drawing():
    rng, v_x, v_yx, n, k, batch = np.random.default_rng(3), 4.0, 2.0, 3, 4, 6
    draws = 40_000
    pairs = rng.normal(0, v_x**0.5, (draws, n, 1)) + rng.normal(0, v_yx**0.5, (draws, n, k))
    means = rng.permuted(pairs.reshape(draws, n * k), axis=1)[:, :batch].mean(axis=1)
    exact = solution_of("ch6.step")["step_variance"](v_x, v_yx, n, k, batch)
    assert abs(means.var() / exact - 1) < 3.3 * np.sqrt(2 / draws)


def test_the_step_has_the_two_known_ends():
    step = solution_of("ch6.step")["step_variance"]
    assert step(1, 8, 1, 16, 16) == pytest.approx(1 + 8 / 16)  # one prompt, all its responses
    assert step(1, 8, 512, 1, 16) == pytest.approx(9 / 16)
    assert f"{(step(1, 0, 512, 16, 16)) * 16:.2f}" == "1.03"  # so says the feedback


def test_the_controls_are_those_of_the_grid():
    book = PLANS["book"]
    arms, top = book.arms(), book.ks[-1]
    table = solution_of("ch6.controls")["controls"](book.n, top, PER_UPDATE)
    runs = [arms["few"][f"k{top}"], arms["many"]["k1"], arms["fresh"]["k1"]]
    assert [tuple(row[:3]) for row in table] == runs
    for n, k, updates, passes in table:
        assert passes == updates * PER_UPDATE / (n * k)


def test_the_report_run_by_run():
    for validation, test in cases_of("ch6.honest"):
        found = [[], [], []]
        for seen, asked in zip(validation.tolist(), test.tolist(), strict=True):
            found[0].append(asked[-1])
            found[1].append(asked[seen.index(min(seen))])
            found[2].append(min(asked))
        assert solution_of("ch6.honest")["report"](validation, test) == pytest.approx(np.mean(found, axis=1))


def test_peeking_as_an_integral_of_the_lowest():
    from scipy.integrate import quad
    from scipy.stats import norm

    below = quad(lambda x: norm.sf(x) ** 8, 0, 10)[0]  # E min = ∫₀ P(min > x) − ∫ P(min < −x)
    above = quad(lambda x: 1 - norm.sf(-x) ** 8, 0, 10)[0]
    assert answer_of("ch6.peeking") == pytest.approx(0.9 + 0.1 * (below - above), abs=1e-6)


def test_the_share_in_which_the_logarithm_fits_better():
    log_better = solution_of("ch6.curve")["log_better"]
    k = np.array([1, 2, 4, 8, 16])
    for losses, drawn in cases_of("ch6.curve")[1:]:
        wins = 0
        for rows in drawn:
            mean = np.mean([losses[row] for row in rows], axis=0)
            left = [np.polyfit(x, mean, 1, full=True)[1][0] for x in (1 / k, np.log(k))]
            wins += left[1] < left[0]
        assert log_better(losses, drawn) == wins / len(drawn)
        assert 0.1 < wins / len(drawn) < 0.9  # a case that says something


def test_the_authors_own_losses_prefer_the_logarithm():
    k, loss = 2.0 ** np.arange(5), np.array([1.5564, 1.5150, 1.4879, 1.4619, 1.4414])
    inverse, log = (np.corrcoef(x, loss)[0, 1] ** 2 for x in (1 / k, np.log(k)))
    assert (round(inverse, 3), round(log, 3)) == (0.945, 0.982)
    assert all(f"{x:.4f}" in EXERCISES["ch6.curve"].check.carry_on for x in loss)


def test_the_exercises_name_nothing_twice():
    ids = [name for name in EXERCISES if name.startswith("ch6.")]
    assert len(ids) == 9
    assert all(a.title != b.title for a, b in itertools.combinations(map(EXERCISES.get, ids), 2))
