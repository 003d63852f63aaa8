"""The answers of chapter 8's exercises, worked out another way."""

from itertools import combinations

import numpy as np
import pytest
from solutions import cases_of, solution_of

from mrtlab.show.exercises import EXERCISES, check
from mrtlab.show.exercises.ch8_spread import _EIGHT, _homes
from mrtlab.spa.influence import fisher
from mrtlab.spa.partition import arg_max, deal, standardised
from mrtlab.theory.metrics import pair_share, pass_at_k, unique_share


def test_pass_at_k_by_counting_choices():
    found = solution_of("ch8.pass_at_k")["pass_at_k"]
    for n, c, k in cases_of("ch8.pass_at_k"):
        right = [any(i < c for i in choice) for choice in combinations(range(n), k)]
        assert found(n, c, k) == pytest.approx(sum(right) / len(right))
        assert found(n, c, k) == pytest.approx(float(pass_at_k(n, c, k)))


def splits(n, most=None):
    """All ways to write n as a sum, largest first."""
    if not n:
        yield ()
    for first in range(min(n, most or n), 0, -1):
        for rest in splits(n - first, first):
            yield (first, *rest)


def test_no_other_split_of_eight_is_as_far_apart():
    apart = {}
    for split in splits(_EIGHT):
        answers = [kind for kind, count in enumerate(split) for _ in range(count)]
        apart[split] = abs(pair_share(answers) - unique_share(answers))
    assert len(apart) == 22
    best, second = sorted(apart, key=apart.get, reverse=True)[:2]
    assert best == (3, 3, 2)
    assert apart[best] == 3 / 8
    assert apart[second] < apart[best]
    assert f"{apart[4, 4]:.2f}" == "0.32"  # so say the hints
    assert f"{apart[2, 2, 2, 2]:.2f}" == "0.36"
    assert apart[7, 1] == apart[(1,) * 8] == 0


@pytest.mark.parametrize(
    "answers", [list("aaabbbcc"), ("c", "a", "b", "a", "b", "c", "a", "b"), [1, 1, 2, 2, 3, 3, 3, 2]]
)
def test_any_eight_that_split_so_are_right(answers):
    assert check("ch8.shares", answers).state == "right"


def test_a_wrong_eight_is_told_its_two_shares():
    message = check("ch8.shares", list("aaaaaabc")).message
    assert "Unique share 0.375, pair share 0.464." in message
    assert "seven" not in message


def test_every_examples_gradient_is_what_it_would_have_alone():
    torch = pytest.importorskip("torch")
    gradients = solution_of("ch8.per_example")["gradients"]
    x, weight = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    y = x @ weight.T
    y.retain_grad()
    (y.sin().sum(dim=(1, 2)) ** 2).sum().backward()
    found = gradients(x.numpy(), y.grad.numpy())
    for example, mine in zip(x, found, strict=True):
        alone = weight.detach().clone().requires_grad_()
        ((example @ alone.T).sin().sum() ** 2).backward()
        np.testing.assert_allclose(mine, alone.grad.numpy())
    np.testing.assert_allclose(found.sum(0), weight.grad.numpy())


def test_what_helps_lowers_the_loss():
    """A quadratic world in which nothing is to first order only: two losses with the same curvature."""
    help_of = solution_of("ch8.help")["help_of"]
    for gradients, query, curvature in cases_of("ch8.help"):

        def loss(at, query=query, curvature=curvature):
            return query @ at + at @ curvature @ at / 2

        scores = help_of(gradients, query, curvature)
        for gradient, score in zip(gradients, scores, strict=True):
            step = -1e-5 * np.linalg.inv(curvature) @ gradient
            assert (loss(0 * step) - loss(step)) / 1e-5 == pytest.approx(score, abs=1e-3)


def test_parts_are_those_of_the_package_and_more_even_than_the_raw_ones():
    for (scores,) in cases_of("ch8.parts"):
        found = solution_of("ch8.parts")["parts"](scores)
        assert found.tolist() == arg_max(standardised(scores)).part.tolist()
    even, raw = (np.bincount(some, minlength=scores.shape[1]) for some in (found, scores.argmax(axis=1)))
    assert even.std() < raw.std()


def test_the_dual_is_the_primal_and_the_packages():
    scores = solution_of("ch8.dual")["scores"]
    for g, v, lam in cases_of("ch8.dual"):
        primal = g @ np.linalg.solve(g.T @ g / len(g) + lam * np.eye(g.shape[1]), v.T)
        np.testing.assert_allclose(scores(g, v, lam), primal, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(scores(g, v, lam), fisher(g, v, damping=lam / np.mean(g**2)), rtol=1e-7, atol=1e-9)
    g, v, _ = cases_of("ch8.dual")[0]
    assert scores(g, v, 0.5).round(3).tolist() == [[0.545], [0.909]]  # as the text says
    np.testing.assert_allclose(1e9 * scores(g, v, 1e9), g @ v.T, rtol=1e-6)  # the carry-on's first answer


def one_by_one(answers, groups, k):
    """Another right deal: cards go round, and the round goes on from group to group."""
    part, turn = np.zeros(len(answers), dtype=int), 0
    for group in np.unique(groups):
        for answer in np.unique(answers[groups == group]):
            part[(groups == group) & (answers == answer)] = turn % k
            turn += 1
    return part


@pytest.mark.parametrize("way", [one_by_one, lambda answers, groups, k: deal(answers.tolist(), groups, k).part])
def test_any_deal_that_keeps_the_rules_is_right(way):
    assert check("ch8.deal", way).state == "right"


def test_the_deals_of_the_check_can_be_torn_and_uneven():
    for answers, groups, k in cases_of("ch8.deal")[1:]:
        assert max(len(group) for group in _homes(answers, groups, answers)) > k  # more answers than parts, somewhere
        assert len(answers) == 8 * len(np.unique(groups))


def test_a_deal_with_numbers_out_of_range_is_told_which():
    message = check("ch8.deal", lambda answers, groups, k: np.full(len(answers), k)).message
    assert "whole numbers from 0 to 1, got `np.array([2, 2, 2, 2, 2])`" in message


def test_stacked_is_one_adapter_after_another():
    stacked = solution_of("ch8.stacked")["stacked"]
    for x, w, a, b, scale in cases_of("ch8.stacked"):
        found = stacked(x, w, a, b, scale)
        for k, row in enumerate(found):
            np.testing.assert_allclose(row, x[k] @ (w + scale[k] * b[k] @ a[k]).T)
    first = cases_of("ch8.stacked")[0]
    assert stacked(*first).ravel().tolist() == [4, 16]  # as the text says


def test_the_reading_is_the_labs():
    from mrtlab.lab import claims_spa_rules as rules
    from mrtlab.lab.seed_means import over_seeds

    verdicts = set()
    for different, right, other_different, other_right in cases_of("ch8.which_holds"):
        low, code = solution_of("ch8.which_holds")["read"](different, right, other_different, other_right)
        gain = over_seeds(different - other_different)
        assert low == pytest.approx(gain["lo"])
        less = {"distinct_right": gain, "pass@1": over_seeds(right - other_right)}
        results = {
            "domains": {"programs": {"dealt": {"k8": {"0.0": {"less": {"influence": less}}}}}},
            "design": {"k": 8},
        }
        kinds = ("not reproduced", "holds only if", "reproduced")
        assert rules.dealt(results).kind == kinds[code]
        verdicts.add(code)
    assert verdicts == {0, 1, 2}


def test_five_seeds_need_a_wider_interval():
    from scipy.stats import t

    assert f"{t.ppf(0.975, 4):.2f}" == "2.78"
    assert 1.4 < t.ppf(0.975, 4) / 1.96 < 1.5  # "half as wide again", nearly


def test_the_exercises_name_nothing_twice():
    ids = [name for name in EXERCISES if name.startswith("ch8.")]
    assert len(ids) == 9
    assert len({EXERCISES[name].title for name in ids}) == 9
