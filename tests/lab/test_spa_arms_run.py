"""Chapter 8's adapters: the plan, and what made-up answers add up to by hand."""

import dataclasses
import functools

import numpy as np
import pytest

from mrtlab.data.tasks.program_specs import SPECS
from mrtlab.lab import claims_spa, spa_adapters, spa_arms
from mrtlab.lab import spa_adapters_summary as summary
from mrtlab.lab.registry import EXPERIMENTS
from mrtlab.lab.spa_adapters import BASELINE, LONE, PLANS, Arm, Plan, cells
from mrtlab.lab.spa_data import exam, family_of

PROGRAMS = {spec.name: spec.programs for spec in SPECS}
WRONG = "def f(x): return 987654321"
EXAM = functools.cache(exam)  # many arms sit one exam
MINE = [claim for claim in claims_spa.CLAIMS if claim.experiment == claims_spa.ADAPTERS]
SMALL = Plan(domains=("programs",), k=2, ks=(3,), hot=(0.0, 0.5), one_at=(0.1, 1.0), seeds=2)


@pytest.mark.parametrize("scale", PLANS)
def test_cells_have_names_of_their_own_and_each_arm_its_key(scale):
    some = cells(scale)
    labels = [cell.label for cell in some]
    assert len(labels) == len(set(labels))
    keys = [(cell.domain, cell.seed, arm.key) for cell in some for arm in cell.each()]
    assert len(keys) == len(set(keys))
    seen = {}
    for cell in some:
        seen.setdefault((cell.domain, cell.seed), []).extend(cell.arms)
    assert seen == {(d, s): PLANS[scale].arms(d) for d in PLANS[scale].domains for s in range(PLANS[scale].seeds)}


def test_every_arm_has_a_rule_or_needs_none():
    for domain in Plan().domains:
        assert {arm for arm, _, _ in Plan().arms(domain)} <= {*spa_arms.RULES, *LONE, "seeds"}


def test_the_control_has_as_many_adapters_as_any_arm_and_is_asked_as_hot():
    arms = {(arm, k): ts for arm, k, ts in Plan().arms("programs")}
    most = max(k for _, k in arms)
    assert set(arms["seeds", most]) >= {t for (arm, _), ts in arms.items() if arm not in LONE for t in ts}


def made_up(say, *, part=None):
    """Outcomes as `summarise` wants them: say(arm, question's place, its right programs, temperature) -> answers."""
    found = []
    for cell in cells("smoke"):
        result = {}
        for arm in cell.each():
            asked = EXAM(arm.domain, seed=arm.seed, short=True)
            answers = {
                str(t): [say(arm, i, right_of(arm.domain, question), t)[: arm.k] for i, question in enumerate(asked)]
                for t in arm.temperatures
            }
            result[arm.key] = {"answers": answers}
            if arm.arm not in LONE:
                result[arm.key]["kl"] = (1 - np.eye(arm.k)).tolist()
            if arm.arm not in (*LONE, "seeds"):
                result[arm.key]["part"] = part(arm) if part else [i % arm.k for i in range(24)]
        found.append((cell, result))
    return found


def right_of(domain, question):
    if domain.startswith("programs"):
        return PROGRAMS[question.slots[0]]
    return family_of(domain).truth(question).answers


@pytest.fixture
def small(monkeypatch):
    """All arms of the smoke plan, without the embedded model's fingerprint."""
    monkeypatch.setattr(spa_adapters.subject, "fingerprint", lambda: "")
    for module in (spa_adapters, summary):
        monkeypatch.setattr(module, "exam", EXAM)
    monkeypatch.setitem(PLANS, "smoke", SMALL)


def story(arm, i, right, t):
    """One adapter: two right ones that differ at 1, else one right, one wrong; others the same twice, dealt not."""
    if arm.arm in LONE:
        return [right[0], right[1] if t == 1.0 else WRONG]
    if arm.arm == "dealt":
        return [right[0], right[1]]
    if arm.arm == "lexical":
        return [right[0], WRONG]
    return [right[0]] * 3


def test_made_up_answers_by_hand(small):
    found = summary.summarise(made_up(story))
    arms = found["domains"]["programs"]
    here = arms["dealt"]["k2"]["0.0"]
    assert {m: here[m]["mean"] for m in ("pass@1", "distinct_right", "pair_share", "unique_share")} == {
        "pass@1": 1, "distinct_right": 2, "pair_share": 1, "unique_share": 1
    }  # fmt: skip
    assert here["less"]["influence"]["distinct_right"] == {"mean": 1, "lo": 1, "hi": 1}
    assert here["less"]["lexical"]["pass@1"]["mean"] == 0.5
    assert set(here["less"]) == set(BASELINE)
    assert set(arms["influence"]["k2"]["0.0"]["less"]) == set(BASELINE) - {"influence"}
    assert "less" not in arms["one"]["k2"]["0.1"]
    assert arms["lexical"]["k2"]["0.0"]["pass@few"]["mean"] == 1  # one of two is right
    assert arms["base"]["k2"]["1.0"]["pair_share"]["mean"] == 1


def test_beside_one_adapter_by_hand(small):
    beside = summary.summarise(made_up(story))["less_one"]["programs"]
    cold, matched = beside["dealt"]["0.0"]["cold"], beside["dealt"]["0.0"]["matched"]
    assert cold["pass@1"]["mean"] == 0.5  # one adapter at .1 is right half the time
    assert cold["distinct_right"]["mean"] == 1
    assert matched["distinct_right"]["mean"] == 0  # at 1 it is as often right, and as varied
    assert beside["influence"]["0.0"]["matched"]["distinct_right"]["mean"] == -1
    assert "pass@1" not in matched
    assert not set(LONE) & set(beside)


def test_the_first_of_the_controls_adapters_stand_for_fewer(small):
    def say(arm, i, right, t):
        return [right[0], right[0], right[1]]

    arms = summary.summarise(made_up(say))["domains"]["programs"]
    assert arms["seeds"]["k2"]["0.0"]["distinct_right"]["mean"] == 1
    assert arms["seeds"]["k3"]["0.0"]["distinct_right"]["mean"] == 2
    assert arms["influence"]["k3"]["0.0"]["less"]["seeds"]["distinct_right"]["mean"] == 0


def test_a_part_that_is_empty_in_one_seed_is_no_obstacle(small):
    def say(arm, i, right, t):
        missing = arm.arm == "influence" and arm.k == 3 and arm.seed == 1
        return [right[0], right[1]] if missing else [right[0], right[1], WRONG]

    here = summary.summarise(made_up(say))["domains"]["programs"]["influence"]["k3"]["0.0"]
    assert here["pass@few"]["mean"] == 1
    assert here["pass@1"]["mean"] == pytest.approx((2 / 3 + 1) / 2)
    assert "pass@3" not in here


def test_between_temperatures_the_line_is_straight():
    def rows(*pairs):
        return [{"pass@1": right, "distinct_right": different} for right, different in pairs]

    one = {0.1: rows((0.9, 1.0), (0.8, 1.0)), 0.5: rows((0.7, 2.0), (0.8, 3.0)), 1.0: rows((0.5, 4.0), (0.2, 5.0))}
    cases = (((0.8, 0), 1.5), ((0.6, 0), 3.0), ((0.7, 0), 2.0), ((0.95, 0), 1.0), ((0.1, 0), 4.0))
    for case, wanted in cases:
        found = summary._matched(one, rows(case, (0.5, 0)), "distinct_right")
        assert found == pytest.approx([wanted, 4.0])
    hottest = summary._matched(one, rows((0.9, 0), (0.8, 0)), "distinct_right")
    assert hottest == pytest.approx([1.0, 3.0])  # of two temperatures that are as often right, the more varied


def test_agreement_by_hand_and_by_chance(small):
    def part(arm):
        half = [i % 2 for i in range(24)]
        return {"random": half, "lexical": [1 - p for p in half]}.get(arm.arm, [int(i < 12) for i in range(24)])

    found = summary.summarise(made_up(story, part=part))["agreement"]["programs"]
    assert found["random"]["lexical"]["mean"] == 1  # other names, same parts
    assert found["random"]["influence"]["mean"] == 0.5
    assert 0.5 <= found["random"]["lexical"]["chance"] < 0.9
    assert "random" not in found["lexical"]  # every two arms once


def test_sizes_and_kl_by_hand(small):
    def part(arm):
        return [0] * 18 + [1] * 6

    found = summary.summarise(made_up(story, part=part))
    sizes = found["sizes"]["programs"]
    assert {k: v["mean"] for k, v in sizes["influence"]["k2"].items()} == {"largest": 1.5, "smallest": 0.5}
    assert {k: v["mean"] for k, v in sizes["influence"]["k3"].items()} == {"largest": 2.25, "smallest": 0}
    assert found["kl"]["programs"]["seeds"]["k2"]["mean"] == found["kl"]["programs"]["seeds"]["k3"]["mean"] == 1


def sure_stories(topic, tone):
    """A story on the topic that surely has this tone."""
    stories = family_of("stories")
    rng = np.random.default_rng(0)
    question = next(q for q in exam("stories", seed=0) if q.slots[0] == topic)
    while True:
        (text,) = stories.sample(question, 1, rng=rng)
        if stories.posterior(topic, text).sum(1)[tone] > 0.999:
            return text


def test_tones_by_hand():
    asked = exam("stories", seed=0, short=True)
    cell = Arm(domain="stories", arm="one", k=4, temperatures=(0.1,), seed=0, short=True)
    tones = {q.slots[0]: [sure_stories(q.slots[0], tone) for tone in range(2)] for q in asked}

    def worth(take, right):
        answers = [[tones[q.slots[0]][tone] for tone in take] for q in asked]
        return summary._tones(cell, answers, [list(right)] * len(asked))

    assert worth((0, 1, 0, 1), (True,) * 4) == pytest.approx(2, abs=0.05)
    assert worth((0, 0, 0, 0), (True,) * 4) == pytest.approx(1, abs=0.05)
    assert worth((0, 0, 1, 1), (True, True, False, False)) == pytest.approx(1, abs=0.05)  # wrong ones do not count
    assert worth((0, 0, 0, 1), (True,) * 4) == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)), 0.02)
    assert worth((0, 1, 0, 1), (False,) * 4) == 0


def test_what_is_shown_is_the_first_seeds_with_verdicts(small):
    found = summary.summarise(made_up(story))["shown"]
    asked = {q.text: q for q in exam("programs", seed=0, short=True)}
    assert found
    for one in found:
        right = PROGRAMS[asked[one["question"]].slots[0]]
        assert one["arms"]["lexical"] == {"answers": [right[0], WRONG], "right": [True, False]}
        assert len(one["arms"]["seeds"]["answers"]) == SMALL.k
        assert not set(LONE) & set(one["arms"])


def test_rules_and_table_read_what_all_arms_add_up_to(small, monkeypatch):
    domains = ("programs", "stories", "choices")
    monkeypatch.setitem(PLANS, "smoke", dataclasses.replace(SMALL, domains=domains))
    found = EXPERIMENTS["spa_adapters"].load().summarise(made_up(story))
    assert found["design"]["ks"] == [2, 3]
    assert found["design"]["questions"] == dict.fromkeys(domains, 6)
    assert "tones" in found["domains"]["stories"]["dealt"]["k2"]["0.0"]
    assert len(summary.table(found).rows) == sum(len(arms) for arms in found["domains"].values())
    said = {claim.id: claim.rule(found) for claim in MINE}
    assert all("nan" not in verdict.measured for verdict in said.values())
    assert str(said["SPA-13"]) == "reproduced"  # in every seed alike, so without an interval
    assert str(said["SPA-11"]) == "not reproduced"
    assert str(said["SPA-07"]) == "not reproduced"
