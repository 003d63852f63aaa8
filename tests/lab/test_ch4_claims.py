"""Every branch of the rules of chapter 4, on made-up results, and the race itself at smoke scale."""

import copy

import pytest

from mrtlab.lab import bandit_race, bandit_race_summary, claims


def at(mean, width=0.01):
    return {"mean": mean, "lo": mean - width, "hi": mean + width}


def judge(claim, results):
    verdict = claims.find(claim).rule(results)
    assert "\n" not in verdict.measured
    return verdict


EXACT = {"far": [0.04, 0.31, 0.91], "aligned": [0.38, 0.94, 0.99]}


@pytest.mark.parametrize(
    ("far", "peak_on_the_way", "kind"),
    [(0.33, 0.33, "reproduced"), (0.45, 0.45, "not reproduced"), (0.33, 0.40, "not reproduced")],
)
def test_ceiling(far, peak_on_the_way, kind):
    offline = {
        "far": {"best_of_n": {"final": at(far), "reward": {"mean": [0.04, peak_on_the_way, far]}}},
        "aligned": {"best_of_n": {"final": at(0.93), "reward": {"mean": [0.38, 0.93]}}},
    }
    assert judge("PRF-01", {"races": {"offline_100": offline}, "exact": EXACT}).kind == kind


@pytest.mark.parametrize(
    ("far", "difference", "kind"),
    [(0.6, 0.5, "reproduced"), (0.6, 0.005, "not reproduced"), (-0.2, 0.5, "not reproduced")],
)
def test_gain(far, difference, kind):
    gain = {"far": at(far), "aligned": at(0.05), "far_minus_aligned": at(difference)}
    assert judge("PRF-02", {"gain": gain, "exact": EXACT}).kind == kind


@pytest.mark.parametrize(
    ("far", "aligned", "kind"),
    [(0.99, 0.99, "reproduced"), (0.99, 0.94, "holds only if"), (0.3, 0.9, "not reproduced")],
)
def test_past_the_ceiling(far, aligned, kind):
    races = {
        f"fresh_t{t}": {w: {"best_of_n": {"final": at(v)}} for w, v in (("far", far), ("aligned", aligned))}
        for t in (1, 5)
    }
    assert judge("PRF-03", {"races": races, "exact": EXACT}).kind == kind


def test_fresher():
    def stale(**gaps):
        found = {b: {t: at(gaps.get(f"{b}_{t}", 0.3)) for t in ("early", "final")} for b in ("b50", "b200", "b1000")}
        return {"stale": {"far": {rule: copy.deepcopy(found) for rule in ("best_of_n", "reinforce", "ppo")}}}

    assert judge("PRF-04", stale()).kind == "reproduced"
    some = judge("PRF-04", stale(b50_final=0.0, b200_final=-0.1))
    assert some.kind == "holds only if"
    assert "PPO at the end with B = 1000" in some.condition
    none = {f"{b}_{t}": 0.0 for b in ("b50", "b200", "b1000") for t in ("early", "final")}
    assert judge("PRF-04", stale(**none)).kind == "not reproduced"


@pytest.mark.parametrize(
    ("help_", "harm", "kind"),
    [
        (0.8, {"best_of_n": -0.2, "reinforce": -0.3, "ppo": 0.0}, "reproduced"),
        (0.8, {"best_of_n": 0.0, "reinforce": -0.3, "ppo": 0.0}, "holds only if"),
        (0.8, {"best_of_n": -0.2, "reinforce": -0.3, "ppo": -0.2}, "holds only if"),
        (0.8, {"best_of_n": 0.0, "reinforce": 0.0, "ppo": 0.0}, "holds only if"),
        (0.0, {"best_of_n": -0.2, "reinforce": -0.3, "ppo": 0.0}, "not reproduced"),
    ],
)
def test_reuse(help_, harm, kind):
    reuse = {rule: {"t5_t1": at(help_), "t60_t15": at(v)} for rule, v in harm.items()}
    assert judge("PRF-05", {"reuse": {"far": reuse}}).kind == kind


@pytest.mark.parametrize(
    ("few", "many", "kind"),
    [(0.2, 0.4, "reproduced"), (0.0, 0.4, "holds only if"), (0.0, -0.1, "not reproduced")],
)
def test_pushing_down(few, many, kind):
    push = {
        name: {rule: at(v) for rule in ("dpo", "ipo10", "ipo30")}
        for name, v in (("offline_20", few), ("offline_100", many))
    }
    assert judge("PRF-06", {"push": {"far": push}}).kind == kind


@pytest.mark.parametrize(
    ("over_rl", "over_offline", "kind", "words"),
    [
        (0.1, 0.1, "reproduced", ""),
        (-0.1, 0.1, "holds only if", "with offline pairs (T = 1 and 5)"),
        (0.1, -0.1, "holds only if", "with on-policy RL"),
        (0.0, 0.0, "not reproduced", ""),
    ],
)
def test_complementary(over_rl, over_offline, kind, words):
    block = {"rule": "dpo", "rl": "ppo", "over_rl": at(over_rl), "over_offline": at(over_offline)}
    verdict = judge("PRF-07", {"joint": {"far": {"t1": block, "t5": block}}})
    assert verdict.kind == kind
    assert words in verdict.condition


def calculus(**shares):
    right = {"lift": 0.6, "lift_as_foretold": 1.0, "winner_up": 1.0, "third_up": 0.4, "third_as_foretold": 1.0,
             "reverse_faster": 0.6, "reverse_as_foretold": 1.0, "rare_slower": 0.8}  # fmt: skip
    return {"calculus": {m: {k: at(v, 0.0) for k, v in (right | shares).items()} for m in ("m3", "m5", "m9")}}


@pytest.mark.parametrize(
    ("claim", "shares", "kind"),
    [
        ("PRF-08", {}, "reproduced"),
        ("PRF-08", {"lift_as_foretold": 0.99}, "not reproduced"),
        ("PRF-09", {"reverse_faster": 1.0}, "reproduced"),
        ("PRF-09", {}, "holds only if"),
        ("PRF-09", {"reverse_as_foretold": 0.9}, "not reproduced"),
        ("PRF-10", {"winner_up": 0.9}, "reproduced"),
        ("PRF-10", {}, "holds only if"),
        ("PRF-10", {"third_as_foretold": 0.9}, "not reproduced"),
        ("PRF-10", {"third_up": 0.0}, "not reproduced"),
    ],
)
def test_one_step_rules(claim, shares, kind):
    assert judge(claim, calculus(**shares)).kind == kind


@pytest.fixture(scope="module")
def results():
    cells = [bandit_race.RaceCell(scale="smoke", policies=200, seed=seed) for seed in (100, 101)]
    return bandit_race_summary.summarise([(cell, bandit_race.run_cell(cell)) for cell in cells])


def test_every_rule_can_read_the_results(results):
    tested = [claim for claim in claims.CLAIMS if claim.experiment == "bandit_race"]
    assert [claim.id for claim in tested] == [f"PRF-{n:02}" for n in range(1, 11)]
    for claim in tested:
        assert claim.rule(results).measured
        if claim.remark:
            assert "." in claim.remark(results)
    assert [c.chapter for c in claims.CLAIMS if c.id.startswith("PRF-") and c.rule is None] == [9] * 4
    assert len(bandit_race_summary.table(results).rows) == 16


def test_remarks_follow_the_numbers(results):
    changed = copy.deepcopy(results)
    changed["reuse"]["aligned"]["ppo"]["t60_t15"]["hi"] = -0.1
    assert "PPO" in claims.find("PRF-05").remark(changed)
    for name in ("offline_20", "offline_100", "fresh_t1", "fresh_t5"):
        for rule in results["design"]["rules"]:
            if rule in changed["races"][name]["far"]:
                changed["races"][name]["far"][rule]["rate"] = max(results["design"]["rates"])
    assert "In 24 of 24 cases" in claims.find("PRF-06").remark(changed)


def test_a_race_starts_at_the_reference_policy(results):
    for name, race in results["races"].items():
        for where, peak in race.items():
            for rule, block in peak.items():
                if rule != "step":
                    assert block["reward"]["mean"][0] == pytest.approx(results["exact"][where][0]), (name, rule)
                    assert block["kl"][0] == pytest.approx(0, abs=1e-12)
                    assert sum(block["mass"]) == pytest.approx(1)
            assert len(peak["step"]) == len(block["reward"]["mean"])


def test_one_step_calculus(results):
    for found in results["calculus"].values():
        assert found["winner_up"]["mean"] == found["loser_down"]["mean"] == 1
        assert found["rates_error"]["mean"] < 1e-3
        assert found["lift_as_foretold"]["mean"] > 0.99
        assert found["third_as_foretold"]["mean"] == 1
        assert 0.2 < found["reverse_faster"]["mean"] < 0.9
