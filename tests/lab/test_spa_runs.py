"""Chapter 8's experiments on a model of a few steps: adapters, shares of the data, and ways of asking."""

import numpy as np
import pytest

from mrtlab.lab import experiments, spa_adapters, spa_adapters_summary, spa_data, spa_decode, spa_share, spa_world
from mrtlab.lab.spa_adapters import BASELINE, LONE, PLANS, Plan
from mrtlab.lab.spa_decode import WAYS

SMALL = Plan(domains=("programs",), k=2, ks=(3,), hot=(0.0, 0.5), one_at=(0.1, 1.0), seeds=2)


def by_length(self, question, answer):
    """Which answers of a model that speaks in tongues count as right."""
    return len(answer) % 3 > 0


@pytest.fixture(scope="module")
def ran(tiny_lab):
    """Results of a few arms; a program counts as right where its length says so."""
    few = {"MORE": ("dealt",), "OVER_K": (), "LENGTH": 6, "LR": 0.05}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mrtlab.data.tasks.programs.Programs.valid", by_length)
        patch.setitem(PLANS, "smoke", SMALL)
        patch.setattr(spa_data, "LENGTH", 6)
        for name, value in few.items():
            patch.setattr(spa_adapters, name, value)
        spa_world.world.cache_clear()
        found = experiments.run("spa_adapters", "smoke").results
        spa_world.world.cache_clear()
    return found


def test_a_run_has_every_arm_at_its_k_and_temperatures(ran):
    arms = ran["domains"]["programs"]
    assert set(arms) == {*LONE, *BASELINE, "dealt"}
    assert set(arms["one"]["k2"]) == {"0.1", "1.0"}
    assert set(arms["seeds"]) == {"k2", "k3"}
    assert set(arms["dealt"]["k2"]) == {"0.0", "0.5"}
    for by_k in arms.values():
        for by_t in by_k.values():
            for here in by_t.values():
                assert 0 <= here["pass@1"]["mean"] <= here["pass@all"]["mean"] <= 1
                assert 0 <= here["pair_share"]["mean"] <= 1


def test_a_run_knows_how_far_its_adapters_are_apart(ran):
    for by_k in ran["kl"]["programs"].values():
        assert all(kl["mean"] > 0 for kl in by_k.values())
    assert set(ran["sizes"]["programs"]) == set(ran["kl"]["programs"]) - {"seeds"}
    assert 0.5 <= ran["stability"]["programs"]["mean"] <= 1
    assert ran["sizes"]["programs"]["random"]["k2"] == {
        name: {"mean": 1, "lo": 1, "hi": 1} for name in ("largest", "smallest")
    }


def test_the_table_reads_a_run(ran):
    assert {row[1] for row in spa_adapters_summary.table(ran).rows} == set(ran["domains"]["programs"])


def test_a_share_of_the_data_is_all_that_is_seen(tiny_lab):
    tiny_lab.setattr("mrtlab.data.tasks.programs.Programs.valid", by_length)
    for home in (spa_data, spa_share):
        tiny_lab.setattr(home, "LENGTH", 6)
    tiny_lab.setattr(spa_share, "SHARES", (0.5, 1.0))
    seen, drawn = [], spa_share.pairs

    def watched(domain, n, **how):
        seen.append((n, found := drawn(domain, n, **how)))
        return found

    tiny_lab.setattr(spa_share, "pairs", watched)
    found = experiments.run("spa_share", "smoke")
    shares = found.results["domains"]["programs"]["shares"]
    assert set(shares) == {"0", "50", "100"}
    assert all(0 <= one["right"]["mean"] <= 1 for one in shares.values())
    assert sorted({n for n, _ in seen}) == [12, 24]
    (_, half), (_, whole) = seen[:2]
    assert len(half) == 12
    assert len(whole) == 24


def test_drawn_adapters_say_different_things_and_the_ways_the_same(tiny_lab):
    tiny_lab.setattr(spa_decode, "LENGTH", 6)
    tiny_lab.setattr(spa_decode, "K", 4)
    model, tokenizer, names = spa_decode._adapted(3)
    for name, weight in model.named_parameters():
        if "lora_B.drawn" in name:
            weight.data *= 100  # a model that was taught next to nothing is hard to move
    assert len(set(names)) == 4
    said = {way: spa_decode._WAYS[way](model, tokenizer, ["Write a program.", "Name a fruit."], names) for way in WAYS}
    assert said["stacked"] == said["switching"] == said["mixed"]
    assert np.array(said["stacked"]).shape == (2, 4)
    assert len({answer for some in said["stacked"] for answer in some}) > 1


def test_every_way_of_asking_is_timed(tiny_lab):
    tiny_lab.setattr(spa_decode, "LENGTH", 4)
    tiny_lab.setattr(spa_decode, "K", 2)
    found = experiments.run("spa_decode", "smoke").results
    assert set(found["ratios"]) == {"switching", "mixed"}
    assert all(0 < ratio["mean"] < 100 for ratio in found["ratios"].values())
    assert 0 <= found["same"] <= 1
