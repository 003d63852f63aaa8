"""The answers of chapter 7's exercises, worked out another way."""

import itertools
import json

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from solutions import answer_of, cases_of, solution_of

from mrtlab.data.targets import Target
from mrtlab.data.targets_io import load_targets
from mrtlab.show.exercises import EXERCISES, check
from mrtlab.theory import entropy, excess_tv, expected_coverage, kl
from mrtlab.training.diffuse import floor, losses
from mrtlab.training.diffuse_rules import witness, witness_advantage


def test_the_lines_are_those_of_the_trainer():
    lines = solution_of("ch7.floor")["lines"]
    for p_star, logp, gamma in cases_of("ch7.floor"):
        target = Target.of("?", [str(i) for i in range(len(p_star))], weights=p_star.tolist())
        loss, least, line = lines(p_star, logp, gamma)
        assert [loss] == pytest.approx(losses([target], [logp]))
        assert least == pytest.approx(floor([target]))
        m = np.exp(logp).sum()
        left = -np.log(m) + kl(p_star, np.exp(logp) / m)  # the two parts of the KL
        assert loss == pytest.approx(least + left)
        assert (loss <= line) == (left <= gamma * least + 1e-12)  # so says the feedback


def test_what_may_be_off_the_list_is_worst_when_the_listed_are_even():
    gamma, m = 0.2, 200
    worst = answer_of("ch7.off_list")
    even = np.full(m, (1 - worst) / m)
    assert -np.log(even).mean() == pytest.approx(1.2 * np.log(m))
    rng = np.random.default_rng(0)
    for _ in range(50):  # other shapes that are left with the same KL
        shape = rng.dirichlet(np.full(m, rng.uniform(2, 50)))
        spent = kl(np.full(m, 1 / m), shape)
        if spent <= gamma * np.log(m):
            assert 1 - np.exp(spent - gamma * np.log(m)) < worst
    assert f"{1 - worst:.2f}" == "0.35"
    assert abs(worst - 2 / 3) < 0.02  # "two of three"
    assert f"{1 - 10**-gamma:.2f}" == "0.37"  # the carry-on's: less room with a shorter list


def test_the_heat_by_another_root_finder():
    p = np.array([0.9] + [0.01] * 9 + [1e-5] * 1000)
    assert p.sum() == pytest.approx(1)

    def at(temperature: float) -> tuple[float, float]:
        logits = np.log(p) / temperature
        hot = np.exp(logits - logits.max())
        hot /= hot.sum()
        m = hot[:10].sum()
        return float(np.exp(entropy(hot[:10] / m))), float(m)

    temperature = brentq(lambda t: at(t)[0] - 8, 1, 20)
    assert at(temperature)[1] == pytest.approx(answer_of("ch7.heat"), abs=1e-9)
    assert f"{temperature:.2f}" == "2.87"
    assert round(8 * (1 - answer_of("ch7.heat"))) == 7  # "seven of eight answers"
    assert f"{at(2.0)[0]:.1f}" == "5.8"
    assert at(1e9)[1] == pytest.approx(10 / 1010, rel=1e-6)


def test_the_heat_mends_the_shape_and_not_the_validity():
    p = np.array([0.9] + [0.01] * 9 + [1e-5] * 1000)
    parts = []
    for temperature in (1.0, 2.87):
        hot = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
        m = hot[:10].sum()
        parts.append((-np.log(m), kl(np.full(10, 0.1), hot[:10] / m)))
    assert parts[1][0] > parts[0][0]
    assert parts[1][1] < parts[0][1]
    assert sum(parts[1]) > sum(parts[0])  # what is won in shape is more than lost


def test_the_digit_along_a_real_tree():
    from mrtlab.lm import TokenTree

    end = 10
    strings = [[*map(int, str(number)), end] for number in range(1, 101)]
    tree = TokenTree.build([11], strings)
    mass: dict[tuple, float] = {}
    for string in strings:
        for n in range(1, len(string) + 1):
            mass[tuple(string[:n])] = mass.get(tuple(string[:n]), 0) + 0.01
    assert tree.n_edges == len(mass)
    assert mass[1, 0] / mass[(1,)] == pytest.approx(answer_of("ch7.digit"))
    assert mass[(1,)] == pytest.approx(0.12)


def test_the_nodes_add_up_to_the_strings_with_their_gradient():
    node = solution_of("ch7.node")["node"]
    rng = np.random.default_rng(4)
    strings = [(0, 1, 3), (0, 2, 3), (0, 2, 1, 3), (1, 3), (2, 2, 3)]  # 3 ends an answer
    p_star = rng.dirichlet(np.ones(len(strings)))
    places = {string[:n] for string in strings for n in range(len(string))}
    logits = {n: torch.tensor(rng.normal(size=4), requires_grad=True) for n in sorted(places)}
    by_string = sum(
        -p * sum(logits[s[:i]].log_softmax(-1)[s[i]] for i in range(len(s)))
        for p, s in zip(p_star.tolist(), strings, strict=True)
    )
    by_string.backward()
    total = 0.0
    for n, z in logits.items():
        child = np.array([s[len(n)] if s[: len(n)] == n and len(s) > len(n) else -1 for s in strings])
        part, gradient = node(p_star, child, z.detach().log_softmax(-1).numpy())
        total += part.sum()
        assert gradient == pytest.approx(z.grad.numpy(), abs=1e-12)
    assert total == pytest.approx(float(by_string.detach()))


def test_the_cases_of_a_node_leave_answers_out():
    for p_star, child, logp in cases_of("ch7.node"):
        assert 0 < p_star[child < 0].sum() < 1
        assert child.max() < len(logp)


def test_the_noise_of_a_perfect_sampler_by_the_books_own_functions():
    perfect = solution_of("ch7.noise")["perfect"]
    for n, k in [*cases_of("ch7.noise"), (1000, 200), (1000, 31)]:
        even, counts = np.full(k, 1 / k), np.zeros(k, dtype=int)
        counts[0] = n
        assert perfect(n, k)[0] == pytest.approx(expected_coverage(even, n))
        assert perfect(n, k)[1] == pytest.approx((1 - 1 / k) - excess_tv(counts, even))  # all draws the same
    assert np.round(perfect(100, 100), 2).tolist() == [63.4, 0.37]
    assert np.round(perfect(1000, 200), 3).tolist() == [198.669, 0.175]  # the table of our notes
    assert perfect(2, 2).tolist() == pytest.approx([1.5, 0.25])


def test_the_noise_by_drawing():
    rng, n, k, draws = np.random.default_rng(5), 30, 7, 4000
    counts = rng.multinomial(n, np.full(k, 1 / k), size=draws)
    found = np.array([(counts > 0).sum(1), 0.5 * abs(counts / n - 1 / k).sum(1)])
    exact = solution_of("ch7.noise")["perfect"](n, k)
    assert np.all(abs(found.mean(1) - exact) < 4 * found.std(1) / np.sqrt(draws))


def test_the_witness_descends_the_squared_distance():
    push = solution_of("ch7.witness")["push"]
    for p, q in cases_of("ch7.witness"):
        z = torch.tensor(np.log(p), requires_grad=True)
        ((z.softmax(-1) - torch.tensor(q)) ** 2).sum().backward()
        assert push(p, q) == pytest.approx(-z.grad.numpy(), abs=1e-12)
        weight = witness(np.log(p), target=q).weight  # the rule in its exact form, all answers listed
        assert push(p, q) == pytest.approx(weight - weight.sum() * p, abs=1e-12)


def test_the_witness_of_more_draws_is_the_same_on_average():
    p, q = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    mean = np.zeros(3)
    for drawn in itertools.product(range(3), repeat=4):
        advantage = witness_advantage(drawn, [q[x] for x in drawn])
        mean += np.prod(p[list(drawn)]) * sum(a * (np.eye(3)[x] - p) for a, x in zip(advantage, drawn, strict=True)) / 4
    assert solution_of("ch7.witness")["push"](p, q) == pytest.approx(mean)


def test_the_room_is_that_of_mixing():
    from mrtlab.training.mixing import _mixed

    room = solution_of("ch7.room")["room"]
    for p_star, base, share in cases_of("ch7.room"):
        m = len(p_star)
        names = [f"answer {i}" for i in range(len(base))]
        target = Target.of("?", names[:m], weights=p_star.tolist())
        mixed = _mixed(target, names, base / base.sum(), share)
        off_list, least = room(p_star, base, share)
        assert off_list == pytest.approx(sum(p for a, p in zip(mixed.answers, mixed.p, strict=True) if a in names[m:]))
        assert least == pytest.approx(mixed.entropy)
        assert off_list < share


def test_the_file_is_what_the_command_reads(tmp_path):
    path = tmp_path / "coins.json"
    path.write_text(solution_of("ch7.own_target")["text"], "utf-8")
    found = load_targets(path)
    assert [target.use for target in found.targets] == ["train", "train", "train", "measure"]
    assert found.targets[0].p == (0.25, 0.5, 0.25)
    assert len(found.anchors) == 1


def test_a_file_in_other_words_with_rounded_probabilities_is_fine():
    entries = [
        {"prompts": ["2 coins, number of tails?", "Zahl bei 2 Münzen?"], "responses": ["1", "0", "2"]}
        | {"targets": [0.5, 0.25, 0.25], "family": "coins"},
        {"prompt": "Heads among 3 coins?", "responses": list("0123"), "weights": [1, 3, 3, 1]},
        {"prompt": "Heads among 4 coins?", "responses": list("01234"), "weights": [0.0625, 0.25, 0.375, 0.25, 0.0625]},
        {"prompt": "Heads with 1 coin?", "responses": ["0", "1"], "use": "measure"},
        {"prompt": "What is the capital of France?", "responses": ["Paris"], "use": "anchor"},
    ]
    assert check("ch7.own_target", json.dumps(entries)).state == "right"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "your file, line 1"),
        ("[1]", "your file, line 1"),
        ('{"targets": [{"prompt": "2 coins?", "responses": {"0": "a"}}]}', "your file, line 1"),
        ('[{"prompt": "Heads of 100000000000 coins?", "responses": ["0"]}]', "from 1 to 99"),
        ('[{"prompt": "Heads of 2 coins?", "responses": ["0", "1", "2", "3"]}]', "0 up to the number"),
        ("\ud800", "your file, line 1"),
    ],
)
def test_a_broken_file_is_told_of_as_the_command_would(text: str, said: str):
    feedback = check("ch7.own_target", text)
    assert feedback.state == "not yet"
    assert said in feedback.message
    assert "tmp" not in feedback.message


def test_the_exercises_name_nothing_twice():
    ids = [name for name in EXERCISES if name.startswith("ch7.")]
    assert len(ids) == 9
    assert all(a.title != b.title for a, b in itertools.combinations(map(EXERCISES.get, ids), 2))
