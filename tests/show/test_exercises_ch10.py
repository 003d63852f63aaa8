"""The answers of chapter 10's exercises, worked out another way."""

from itertools import combinations

import numpy as np
import pytest
from solutions import cases_of, solution_of

from mrtlab.show.exercises import EXERCISES, check
from mrtlab.show.exercises.ch10_split import _same_end, _slowest, _smallest_first, _snake, _unsorted


def feedback_of(exercise_id: str) -> str:
    return EXERCISES[f"ch10.{exercise_id}"].check.why


def test_the_state_is_what_torch_keeps():
    torch = pytest.importorskip("torch")

    def kept(frozen, trained):
        """Bytes of a frozen layer and of one that made a step."""
        trained(torch.ones(1, trained.in_features)).sum().backward()
        optimiser = torch.optim.AdamW(trained.parameters())
        optimiser.step()
        numbers = [*frozen.parameters(), *trained.parameters(), *(p.grad for p in trained.parameters())]
        averages = [state[name] for state in optimiser.state.values() for name in ("exp_avg", "exp_avg_sq")]
        return sum(tensor.nbytes for tensor in numbers + averages)

    state = solution_of("ch10.state")["state"]
    layer, half, adapter = torch.nn.Linear(40, 25), torch.nn.Linear(40, 25).bfloat16(), torch.nn.Linear(40, 2)
    assert state(25 * 41, 2 * 41).tolist() == [kept(torch.nn.Identity(), layer), kept(half, adapter)]


def test_the_states_that_the_feedback_names():
    full, adapter = solution_of("ch10.state")["state"](*cases_of("ch10.state")[1]) / 1e9
    assert f"that is {full:.1f} GB, or {adapter:.1f} GB with" in feedback_of("state")


def test_the_saving_is_the_trees_and_the_limits_are_limits():
    from mrtlab.lm import TokenTree

    saving = solution_of("ch10.shared")["saving"]
    for p, r, k in cases_of("ch10.shared"):
        responses = [[1000 + i] * r + [0] for i in range(k)]  # the last token is predicted, not fed
        tree = TokenTree.build(range(p), responses)
        now, long, many = saving(p, r, k)
        assert now == pytest.approx(tree.n_fed_apart / tree.n_fed)
        assert saving(10**9 * p, r, k)[0] == pytest.approx(long)
        assert saving(p, r, 10**9 * k)[0] == pytest.approx(many)
        assert now < min(long, many)
    assert saving(256, 32, 8).tolist() == [4.5, 8, 9]  # so says the feedback
    assert saving(256, 32, 256 // 32)[0] == saving(256, 32, 1)[2] / 2  # the carry-on's first answer


def test_the_bound_counts_as_the_package_does():
    from mrtlab.lm.traits import Shape

    bound = solution_of("ch10.bound")["bound"]
    for p, r, k, body, head in cases_of("ch10.bound"):
        shape = Shape(body=int(1e6 * body), head=int(1e6 * head), layers=1, width=1)
        copies, tree = (shape.flops(tokens=n, reads=k * r, pairs=0) for n in (k * (p + r), p + k * r))
        assert bound(p, r, k, body, head) == pytest.approx(copies / tree, rel=1e-5)
        assert bound(p, r, k, body, 0) == pytest.approx(k * (p + r) / (p + k * r))
        assert 1 < bound(p, r, k, body, head) < bound(p, r, k, body, head / 2)


def test_the_bounds_that_the_feedback_names():
    bound = solution_of("ch10.bound")["bound"]
    assert f"brings 4.5 down to {bound(256, 32, 8, 358e6, 136e6):.1f}." in feedback_of("bound")
    assert f"it is {bound(256, 32, 8, 7e9, 525e6):.1f}." in feedback_of("bound")
    every_place = (358 + 136) * 8 * 288 / (358 * 512 + 136 * 256)
    assert every_place > 4.5  # the carry-on's second answer


def test_the_largest_is_the_last_that_fits():
    found = set()
    for memory, state, per_token, p, r, k in cases_of("ch10.largest"):
        n, used = 0, state
        while (used := used + per_token * (p + k * r)) <= memory:
            n += 1
        assert solution_of("ch10.largest")["largest"](memory, state, per_token, p, r, k) == n
        found.add(n)
    assert {0, 4} < found


def test_the_packages_deal_is_right_too():
    from mrtlab.training.groups import deal

    def ranks(costs: np.ndarray, team: int) -> np.ndarray:
        hands = deal(range(len(costs)), costs.tolist(), team)
        return np.array([next(h for h, hand in enumerate(hands) if i in hand) for i in range(len(costs))])

    assert check("ch10.deal", ranks).state == "right"
    rng = np.random.default_rng(3)
    slower = set()
    for _ in range(200):
        costs = rng.integers(1, 30, size=10)
        ours, snake = (_slowest(costs, 3, way(costs, 3)) for way in (ranks, _snake))
        slower.add(np.sign(ours - snake))
    assert slower == {-1, 0, 1}  # the carry-on: mostly better, and now and then worse


def test_the_snake_is_near_the_best_deal():
    costs, team = cases_of("ch10.deal")[0]
    rank = solution_of("ch10.deal")["deal"](costs, team)
    assert rank.tolist() == [1, 0, 0, 1, 0, 1]  # as the text says
    assert sorted(np.bincount(rank, weights=costs)) == [14, 16]
    best = min(max(sum(half), costs.sum() - sum(half)) for half in combinations(costs.tolist(), 3))
    assert best == 15


def test_every_larger_deal_of_the_check_tells_the_slips_from_the_snake():
    for costs, team in cases_of("ch10.deal")[1:]:
        assert len(set(costs.tolist())) == len(costs)
        for way in (_same_end, _unsorted):
            assert _slowest(costs, team, way(costs, team)) > _slowest(costs, team, _snake(costs, team))
    cases = cases_of("ch10.deal")
    assert any(_slowest(*case, _smallest_first(*case)) > _slowest(*case, _snake(*case)) for case in cases)
    assert any(len(costs) % team for costs, team in cases)


def test_processes_that_hand_in_so_make_the_step_of_one():
    torch = pytest.importorskip("torch")
    hand_in = solution_of("ch10.mean")["hand_in"]
    x, y = torch.randn(12, 5, dtype=torch.float64), torch.randn(12, dtype=torch.float64)

    def gradient(tokens, *, mean):
        weight = torch.full((5,), 0.3, dtype=torch.float64, requires_grad=True)
        losses = (x[tokens] @ weight - y[tokens]) ** 2
        (losses.mean() if mean else losses.sum()).backward()
        return weight.grad.numpy()

    alone = gradient(range(12), mean=True)
    for parts in ([range(3), range(3, 12)], [range(5), range(5, 6), [], range(6, 12)]):
        sums = np.array([gradient(list(part), mean=False) for part in parts])
        np.testing.assert_allclose(hand_in(sums, np.array([len(part) for part in parts])).mean(axis=0), alone)


def test_the_trainer_hands_in_the_same(tmp_path, monkeypatch):
    from training import small

    trainer = small.trainer(tmp_path)
    parts = [[trainer.train_dataset[0]], [trainer.train_dataset[i] for i in (1, 2, 5)]]
    tokens = np.array([sum(int(group.lengths.sum()) for group in part) for part in parts])
    assert tokens[0] != tokens[1]

    def handed_in(processes: int, total: int) -> list[float]:
        monkeypatch.setattr(type(trainer.accelerator), "num_processes", processes)
        batches = [trainer.data_collator(part) for part in parts]
        return [trainer.compute_loss(trainer.model, one, num_items_in_batch=total).item() for one in batches]

    sums = np.array(handed_in(1, 1))[:, None]
    expected = solution_of("ch10.mean")["hand_in"](sums, tokens)
    np.testing.assert_allclose(handed_in(2, int(tokens.sum())), expected[:, 0], rtol=1e-5)


def test_the_exercises_come_easy_first_and_name_nothing_twice():
    ids = [name for name in EXERCISES if name.startswith("ch10.")]
    assert ids == [f"ch10.{name}" for name in ("state", "shared", "bound", "largest", "deal", "mean")]
    assert len({exercise.title for exercise in EXERCISES.values()}) == len(EXERCISES)
