"""Every branch of the rules of chapter 3, on made-up results."""

import pytest

from mrtlab.lab import artifacts, claims

STEPS = [0, 10, 50, 100, 200, 400]
REWARDS = ("middle", "upper", "any_mode", "judge")


def series(values, width=0.01):
    return {"mean": list(values), "lo": [v - width for v in values], "hi": [v + width for v in values]}


def judge(claim, results):
    verdict = claims.find(claim).rule(results)
    assert "\n" not in verdict.measured
    return verdict


@pytest.mark.parametrize(
    ("worst", "bias2", "kind"),
    [(2.9, 0.001, "reproduced"), (4.2, 0.001, "not reproduced"), (2.9, 0.03, "not reproduced")],
)
def test_random_choice(worst, bias2, kind):
    results = {
        "unbiased": {"worst_z": worst, "n_z": 60, "sd_z": 1.0},
        "free": {"random": {"grad_bias2": series([0.0, bias2, -0.001])}},
    }
    assert judge("MRT-06", results).kind == kind


def cosines(prompt, batch=None):
    """Results with the cosines of best-of-N by reward; rewards that are not named have +.5 everywhere."""
    flat = [0.5] * len(STEPS)
    blocks = {
        r: {"top_k": {"cos_prompt": series(prompt.get(r, flat)), "cos_batch": series((batch or {}).get(r, flat))}}
        for r in REWARDS
    }
    return blocks | {"free": {"random": {"cos_prompt": series(flat)}}, "design": {"checkpoints": STEPS}}


MISLED = [-0.1] * 6
ONLY_AT_START = [-0.1, 0.4, 0.4, 0.4, 0.4, 0.4]


@pytest.mark.parametrize(
    ("prompt", "batch", "kind"),
    [
        ({"middle": MISLED, "upper": MISLED}, {}, "reproduced"),
        ({"middle": MISLED, "judge": ONLY_AT_START}, {}, "reproduced"),
        ({"middle": MISLED}, {}, "holds only if"),  # no other reward
        ({"middle": ONLY_AT_START, "upper": MISLED}, {}, "holds only if"),  # not along training
        ({}, {"upper": MISLED}, "holds only if"),  # only for all prompts together
        ({"middle": [-0.005] + [0.4] * 5}, {}, "not reproduced"),  # an interval that reaches above 0
        ({}, {}, "not reproduced"),
    ],
)
def test_reward_alone(prompt, batch, kind):
    assert judge("MRT-07", cosines(prompt, batch)).kind == kind


def test_the_condition_names_rewards_and_steps():
    verdict = judge("MRT-07", cosines({"middle": ONLY_AT_START}, {"upper": [0.5, -0.2, -0.3, 0.5, 0.5, 0.5]}))
    assert verdict.condition == (
        "reward and moment are these. One prompt at a time: closeness to the middle mode at step 0. "
        "All prompts together: closeness to the upper mode at step 10, 50"
    )


def ratios(**by_reward):
    return {r: {"dbkon_a75": {"mse_ratio": series(by_reward[r])}} for r in REWARDS}


WON, LOST, MOSTLY = [0.5] * 6, [1.5] * 6, [0.5, 0.5, 0.5, 0.5, 1.5, 1.5]


@pytest.mark.parametrize(
    ("results", "kind"),
    [
        (ratios(middle=WON, upper=WON, any_mode=MOSTLY, judge=WON), "reproduced"),
        (ratios(middle=LOST, upper=WON, any_mode=WON, judge=WON), "holds only if"),
        (ratios(middle=LOST, upper=LOST, any_mode=LOST, judge=[1.5, *WON[1:]]), "not reproduced"),
    ],
)
def test_quality_and_diversity(results, kind):
    assert judge("MRT-08", results).kind == kind


def test_the_condition_names_the_rewards_that_won_and_lost():
    condition = judge("MRT-08", ratios(middle=LOST, upper=LOST, any_mode=WON, judge=WON)).condition
    assert condition == (
        "the reward is closeness to the nearest mode or a noisy judge's mild taste; "
        "not with closeness to the middle mode or closeness to the upper mode"
    )


@pytest.mark.parametrize(
    ("worst", "mean", "kind"),
    [(0.75, 0.99, "reproduced"), (0.63, 0.99, "not reproduced"), (0.75, 0.94, "not reproduced")],
)
def test_greedy(worst, mean, kind):
    results = {
        "random": {"worst": 0.8, "pools": 10, "optimal": 0.5, "mean": {"mean": mean, "lo": mean - 0.001, "hi": 1.0}},
        "hostile": {"worst": worst, "pools": 5},
        "bounds": {"any_k": 0.632},
    }
    assert judge("MRT-09", results).kind == kind


@pytest.mark.parametrize(
    ("r", "kind"),
    [([0.9] * 6, "reproduced"), ([0.9, 0.9, 0.8, 0.6, 0.2, 0.1], "holds only if"), ([0.6] * 6, "not reproduced")],
)
def test_similar_answers(r, kind):
    verdict = judge("MRT-10", {"design": {"checkpoints": STEPS}, "r": series(r), "same": series(r)})
    assert verdict.kind == kind
    if kind == "holds only if":
        assert verdict.condition.endswith("above .6 at step 0, 10, 50 and not at 100, 200, 400")


@pytest.mark.parametrize(
    ("random", "diverse", "kind", "condition"),
    [
        (1.5, 1.2, "reproduced", ""),
        (1.5, 5.0, "holds only if", "the choice is random"),
        (5.0, 1.2, "holds only if", "the choice is quality-diversity"),
        (5.0, 5.0, "not reproduced", ""),
    ],
)
def test_biased_generator(random, diverse, kind, condition):
    names = {"random": random, "dbkon_a75": diverse, "top_k": 4.0}
    block = {name: {"kl": {"mean": v, "lo": v - 0.1, "hi": v + 0.1}} for name, v in names.items()}
    verdict = judge("MRT-11", {"k2": block, "k4": block, "k8": block})
    assert (verdict.kind, verdict.condition) == (kind, condition)


@pytest.fixture
def book(monkeypatch):
    """Results of a committed artifact."""
    monkeypatch.delenv("MRTLAB_ARTIFACTS")
    return lambda name: artifacts.load(name, "book").results


@pytest.mark.parametrize("number", range(6, 12))
def test_what_is_committed_has_a_verdict_and_was_run_on_one_clean_commit(number, book):
    entry = claims.entry(claims.find(f"MRT-{number:02}"))
    assert entry.status == "ok"
    provenance = artifacts.load(entry.claim.experiment, "book").provenance
    assert len(provenance["commit"]) == 40
    assert len(provenance["seeds"]) >= 5
    assert bool(entry.remark) == (number not in (6, 10))


def test_the_remark_on_reward_alone_is_what_the_artifact_shows(book):
    found = book("selection_bias")
    top, random = found["middle"]["top_k"], found["free"]["random"]["cos_prompt"]
    assert top["part_scale"]["hi"][0] < 0 < top["without_scale"]["lo"][0]
    for reward in ("upper", "any_mode", "judge"):
        assert min(found[reward]["top_k"]["cos_prompt"]["mean"]) > 0
    less = [r for r in ("upper", "any_mode", "judge") if found[r]["top_k"]["cos_prompt"]["hi"][0] < random["lo"][0]]
    assert less == ["upper", "judge"]


def test_the_remark_on_quality_and_diversity_is_what_the_artifact_shows(book):
    found = book("selection_bias")
    dkon = found["free"]["dkon"]["mse_ratio"]["mean"][0]
    others = [
        block["mse_ratio"]["mean"][0]
        for reward in (*REWARDS, "noise")
        for name, block in found[reward].items()
        if name.startswith("dbkon")
    ]
    assert min(others) > 0.88 * dkon  # "no reward made it much better"
    middle = found["middle"]
    assert middle["dbkon_a25"]["mse_ratio"]["hi"][0] < 1 < middle["dbkon_a75"]["mse_ratio"]["lo"][0]
    assert middle["dbkon_sharp_a75"]["mse_ratio"]["hi"][0] < 1


def test_the_remark_on_greedy_is_what_the_artifact_shows(book):
    found = book("greedy_quality")
    for k, slack in (("k2", 0.02), ("k3", 0.06), ("k4", 0.12)):
        worst = found["families"]["hostile_free"][f"worst_{k}"]
        assert found["bounds"][k] <= worst < found["bounds"][k] + slack
    assert found["random"]["worst"] > 0.8  # "pools have to be built to need it"


def test_the_remark_on_the_biased_generator_is_what_the_artifact_shows(book):
    found = book("biased_generator")
    kl = [found[k]["dkon"]["kl"] for k in ("k2", "k4", "k8")]
    assert kl[0]["hi"] < kl[1]["lo"] < kl[1]["hi"] < kl[2]["lo"]
    assert kl[2]["hi"] < found["k8"]["random"]["kl"]["mean"]
    assert {found[k]["random"]["kl"]["mean"] for k in ("k1", "k2", "k4", "k8")} == {found["k1"]["random"]["kl"]["mean"]}
    flat = found["sweep"]["flat"]["kl"]["lo"]
    above = [lo > found["k4"]["random"]["kl"]["mean"] for lo in flat]
    assert above == sorted(above)  # once worse than random, worse from there on
    assert found["check"] < 4  # the exact share of the best agrees with the drawn one
