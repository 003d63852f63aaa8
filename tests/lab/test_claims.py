import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from mrtlab.lab import artifacts, claims, verdicts
from mrtlab.lab.artifacts import Artifact
from mrtlab.lab.claims_mrt import middle_half
from mrtlab.lab.names import UnknownName
from mrtlab.lab.verdicts import Claim, Verdict

CHAPTERS = {
    **dict.fromkeys((1, 2, 3, 4, 17, 18, 19), 2),
    5: 1,
    **dict.fromkeys((6, 7, 8, 9, 10, 11), 3),
    **dict.fromkeys((12, 13, 14, 15, 16), 6),
}
AGAIN = (3, 11, 17, 18, 19)  # tested once more on the embedded model, in chapter 6


# Rules are in, book runs are to come; empty once they have come.
AWAITED: tuple[str, ...] = ()


def results(*, grow, matched):
    """Results of the mode lottery as far as its rule reads them; ratios are (value, low, high)."""
    names = ("ratio", "lo", "hi")
    sd = {"grow": (30.0, 30.0 * grow[0]), "matched": (0.5, 0.5 * matched[0])}
    return {
        "ratios": {
            arm: {"final": dict(zip(names, ratio, strict=True))}
            for arm, ratio in (("grow", grow), ("matched", matched))
        },
        "arms": {
            arm: {
                f"k{k}": {"pairs": 960, "final": {"nll": {"sd": value}}}
                for k, value in zip((1, 8), values, strict=True)
            }
            for arm, values in sd.items()
        },
        "design": {"retrainings": 200},
    }


def artifact(rules=None, **ratios):
    rule = {"MRT-05": claims.find("MRT-05").fingerprint} if rules is None else rules
    return Artifact("mode_lottery", "book", results(**ratios), {"rules": rule})


BARE = dataclasses.replace(claims.find("MRT-05"), remark=None)  # made-up results hold only what the rule reads
BELOW, ABOVE, ACROSS = (0.1, 0.05, 0.2), (2.0, 1.5, 2.6), (0.9, 0.7, 1.2)


@pytest.mark.parametrize(
    ("grow", "matched", "kind"),
    [
        (BELOW, BELOW, "reproduced"),
        (BELOW, ABOVE, "holds only if"),
        (BELOW, ACROSS, "holds only if"),
        (BELOW, (0.9, 0.8, 1.0), "holds only if"),  # an interval that touches 1 is not below it
        (ACROSS, BELOW, "not reproduced"),
        (ABOVE, ABOVE, "not reproduced"),
    ],
)
def test_every_branch_of_the_mode_lottery_rule(grow, matched, kind):
    entry = claims.judge(BARE, artifact(grow=grow, matched=matched))
    assert entry.status == "ok"
    assert entry.verdict.kind == kind
    assert bool(entry.verdict.condition) == (kind == "holds only if")


def test_the_measured_line_is_computed_from_the_results():
    measured = claims.find("MRT-05").rule(results(grow=BELOW, matched=ABOVE)).measured
    assert "30 to 3 with the same prompts (ratio 0.1, 95 % interval 0.05 to 0.2)" in measured
    assert "0.5 to 1 with 960 pairs at every K (ratio 2, 95 % interval 1.5 to 2.6)" in measured
    assert measured.endswith("200 retrainings each")
    assert "\n" not in measured


def test_the_verdict_reads_as_a_sentence():
    verdict = claims.find("MRT-05").rule(results(grow=BELOW, matched=ABOVE))
    assert str(verdict).startswith("holds only if K adds training pairs")
    assert str(Verdict(kind="not testable here", condition="needs an 8B model", measured="")) == (
        "not testable here: needs an 8B model"
    )


def test_what_is_committed_was_judged_by_the_rules_of_today(monkeypatch):
    """Editing a rule, or losing an artifact, fails here until the experiment is run again."""
    monkeypatch.delenv("MRTLAB_ARTIFACTS")
    ruled = [claim for claim in claims.CLAIMS if claim.rule]
    said = {claim.id: claims.NO_ARTIFACT if claim.experiment in AWAITED else claims.JUDGED for claim in ruled}
    assert {claim.id: claims.entry(claim).status for claim in ruled} == said
    for claim in ruled:
        if claim.experiment in AWAITED:
            continue
        provenance = artifacts.load(claim.experiment, claim.scale).provenance
        assert len(provenance["commit"]) == 40  # one commit, nothing changed on top of it
        assert len(provenance["seeds"]) >= 5


def test_the_remark_on_the_mode_lottery_says_what_the_artifact_shows(monkeypatch):
    monkeypatch.delenv("MRTLAB_ARTIFACTS")
    found = artifacts.load("mode_lottery", "book").results
    final = {arm: [found["arms"][arm][k]["final"]["nll"] for k in ("k1", "k8")] for arm in ("grow", "scarce")}
    one, eight = (found["arms"]["grow"][k]["stopped"]["nll"] for k in ("k1", "k8"))
    assert found["ratios"]["scarce"]["final"]["hi"] < 1  # "the sd does fall"
    assert final["scarce"][1]["mean_hi"] < final["scarce"][0]["mean_lo"]  # "along with the mean loss"
    assert final["scarce"][0]["cv_lo"] < final["scarce"][1]["cv"] < final["scarce"][0]["cv_hi"]  # "stays"
    assert max(one["sd"], eight["sd"]) < 0.25 * min(v["sd"] for v in final["grow"])  # "most of the spread"
    highest_few = sorted(eight["values"])[-4:]
    rest = [v for v in eight["values"] if v not in highest_few]
    assert np.std(rest) < 0.3 * eight["sd"]  # "a few runs carry the sd"
    entry = claims.entry(claims.find("MRT-05"))
    assert f"{middle_half(one):.2g} and {middle_half(eight):.2g} nats" in entry.remark


def test_a_trial_at_another_scale_gets_no_remark():
    trial = dataclasses.replace(artifact(grow=BELOW, matched=BELOW), scale="smoke")
    assert claims.judge(claims.find("MRT-05"), trial).remark == ""


def test_the_ledger_shows_the_whole_programme():
    entries = {entry.claim.id: entry for entry in claims.ledger() if entry.claim.id.startswith("MRT-")}
    once = [f"MRT-{n:02}" for n in range(1, 20)]
    assert list(entries) == sorted([*once, *(f"MRT-{n:02}b" for n in AGAIN)])
    for number, name in enumerate(once, start=1):
        assert entries[name].claim.chapter == CHAPTERS[number]
    for number in AGAIN:
        assert entries[f"MRT-{number:02}b"].claim.chapter == 6
        assert entries[f"MRT-{number:02}b"].claim.scope == "embedded model"
    for entry in entries.values():
        assert entry.verdict is None
        assert entry.claim.statement.endswith(".")
        assert entry.status == entry.outcome == claims.NO_ARTIFACT


def test_an_artifact_brings_the_verdict():
    artifacts.save(artifact(grow=BELOW, matched=ABOVE))
    entry = claims.entry(BARE)
    assert entry.status == "ok"
    assert entry.outcome == str(entry.verdict)
    assert entry.artifact == "mode_lottery.book.json"


@pytest.mark.parametrize("rules", [{}, {"MRT-05": "0" * 12}, {"MRT-06": "x"}])
def test_a_rule_that_is_younger_than_the_result_gives_no_verdict(rules):
    artifacts.save(artifact(rules=rules, grow=BELOW, matched=BELOW))
    entry = claims.entry(claims.find("MRT-05"))
    assert entry.status == entry.outcome == "rule changed after the run"
    assert entry.verdict is None


def test_editing_a_rule_changes_its_fingerprint():
    def rule(results):
        return Verdict(kind="reproduced", measured=f"{results['x'] < 1}")

    def edited(results):
        return Verdict(kind="reproduced", measured=f"{results['x'] < 2}")

    claim = dataclasses.replace(claims.find("MRT-05"), rule=rule)
    assert len(claim.fingerprint) == 12
    assert claim.fingerprint != dataclasses.replace(claim, rule=edited).fingerprint
    saved = artifact(rules={"MRT-05": claim.fingerprint}, grow=BELOW, matched=BELOW)
    changed = dataclasses.replace(claim, rule=edited)
    assert claims.judge(changed, saved).status == claims.RULE_CHANGED


def test_the_fingerprint_is_the_same_with_and_without_type_checking():
    """Tests wrap every function; the fingerprint must be of the text that people read."""
    code = "from mrtlab.lab import claims; print(claims.find('MRT-05').fingerprint)"
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == claims.find("MRT-05").fingerprint


def test_rule_fingerprints_lists_the_claims_that_read_an_experiment():
    assert claims.rule_fingerprints("mode_lottery") == {"MRT-05": claims.find("MRT-05").fingerprint}
    assert claims.rule_fingerprints("something else") == {}


def test_every_claim_reads_an_experiment_that_exists():
    from mrtlab.lab.experiments import EXPERIMENTS, SCALES

    for claim in claims.CLAIMS:
        assert claim.scale in SCALES
        assert not claim.experiment or claim.experiment in EXPERIMENTS


def test_a_misspelt_claim_gets_a_suggestion():
    with pytest.raises(UnknownName, match=r"no claim called 'MRT-5'; did you mean MRT-"):
        claims.find("MRT-5")


@pytest.mark.parametrize(
    "changes",
    [{"scope": "whole world"}, {"rule": None}, {"experiment": ""}],
)
def test_a_claim_that_does_not_fit_together_is_refused(changes):
    with pytest.raises((ValueError, TypeError), match=r"MRT-05|scope"):
        dataclasses.replace(claims.find("MRT-05"), **changes)


@pytest.mark.parametrize("kind", ["holds only if", "not testable here"])
def test_a_verdict_that_owes_a_condition_must_give_it(kind):
    with pytest.raises(ValueError, match="must say what the condition or reason is"):
        verdicts.Verdict(kind=kind, measured="")


def test_a_planned_claim_has_no_rule_and_no_fingerprint():
    planned: Claim = claims.find("BON-08")
    assert planned.rule is None
    assert planned.fingerprint == ""
