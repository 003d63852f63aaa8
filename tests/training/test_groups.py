"""Steps are the same groups however they are cut, every group comes once in a pass, and processes get equal work."""

from itertools import chain

import numpy as np
import pytest
import small
from hypothesis import given
from hypothesis import strategies as st

from mrtlab.training.groups import GroupBatches, GroupSet, deal


class Costs(GroupSet):
    """Groups of which nothing but the cost is known."""

    def __init__(self, costs):
        super().__init__((), seed=0)
        self.costs = list(map(int, costs))

    def __len__(self):
        return len(self.costs)

    def cost(self, i):
        return self.costs[i]


def batches(groups, *, team, epoch=0, **sizes):
    """The batches of all processes."""
    found = [GroupBatches(groups, seed=1, team=team, rank=rank, **sizes) for rank in range(team)]
    for one in found:
        one.set_epoch(epoch)
    lists = [list(one) for one in found]
    assert [len(mine) for mine in lists] == [len(one) for one in found]
    return lists


@given(
    costs=st.lists(st.integers(1, 500), min_size=1, max_size=60),
    step=st.integers(1, 12),
    parts=st.integers(1, 4),
    team=st.integers(1, 5),
    epoch=st.integers(0, 2),
)
def test_every_group_comes_once_and_a_step_is_the_same_however_it_is_cut(costs, step, parts, team, epoch):
    parts, groups = min(parts, step), Costs(costs)
    lists = batches(groups, step=step, parts=parts, team=team, epoch=epoch)
    assert len({len(mine) for mine in lists}) == 1  # nobody waits for a batch that never comes
    assert sorted(chain(*chain(*lists))) == list(range(len(costs)))
    whole = GroupBatches(groups, step=step, seed=1)
    whole.set_epoch(epoch)
    side_by_side = [sorted(chain(*row)) for row in zip(*lists, strict=True)]
    steps = [sorted(chain(*side_by_side[i : i + parts])) for i in range(0, len(side_by_side), parts)]
    assert steps == [sorted(one) for one in whole]
    for row in zip(*lists, strict=True):
        sizes = [len(mine) for mine in row]
        assert max(sizes) - min(sizes) <= 1


@given(costs=st.lists(st.integers(1, 1000), max_size=40), hands=st.integers(1, 8))
def test_dealing_is_fair_in_number_and_loses_nothing(costs, hands):
    dealt = deal(list(range(len(costs))), costs, hands)
    assert sorted(chain(*dealt)) == list(range(len(costs)))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_orders_differ_between_epochs_and_seeds():
    groups = Costs(range(1, 50))
    first, second = (batches(groups, step=8, team=2, epoch=epoch) for epoch in (0, 1))
    assert first != second
    other = GroupBatches(groups, step=8, seed=2, team=2)
    assert list(other) != first[0]


def slowest(costs, *, team, step, split):
    """Mean over steps of the largest process's tokens, relative to the mean process's."""
    groups = Costs(costs)
    ratios = []
    for one in GroupBatches(groups, step=step, seed=1).steps():
        sums = [sum(groups.cost(i) for i in hand) for hand in split(one, groups, team)]
        ratios.append(max(sums) / np.mean(sums))
    return float(np.mean(ratios))


@pytest.mark.parametrize("team", [2, 4, 8])
def test_processes_get_nearly_equal_work(team):
    """Costs with a heavy tail. Cut into runs of neighbours, as micro-batches are, the process with the largest would
    keep the others waiting."""
    costs = np.random.default_rng(0).lognormal(6.0, 0.8, size=2048).round() + 1

    def runs(step, groups, team):
        return [step[i * len(step) // team : (i + 1) * len(step) // team] for i in range(team)]

    def dealt(step, groups, team):
        return deal(step, [groups.cost(i) for i in step], team)

    before, after = (slowest(costs, team=team, step=8 * team, split=split) for split in (runs, dealt))
    assert before > 1.03
    assert after < 1.003


def test_neighbours_in_size_stay_together_in_the_parts_of_a_step():
    groups = Costs([1, 2, 3, 4, 100, 101, 102, 103])
    lists = batches(groups, step=8, parts=2, team=2)
    assert [sorted(chain(*row)) for row in zip(*lists, strict=True)] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_step_needs_a_prompt_for_each_part():
    with pytest.raises(ValueError, match="got 2 prompts in 3 parts"):
        GroupBatches(Costs([1, 2]), step=2, parts=3, seed=0)


def test_records_of_real_trees_are_dealt_by_the_tokens_that_they_feed(tmp_path):
    groups = small.trainer(tmp_path).train_dataset
    assert [groups.cost(i) for i in range(3)] == [groups[i].tree.n_fed for i in range(3)]
