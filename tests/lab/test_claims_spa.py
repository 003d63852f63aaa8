"""Every branch of chapter 8's rules, on made-up results, where each margin lies included."""

import pytest

from mrtlab.lab import claims_spa
from mrtlab.lab import claims_spa_rules as rules
from mrtlab.lab.claims import find
from mrtlab.lab.registry import EXPERIMENTS

ARMS = ("seeds", "random", "lexical", "influence", "rows", "gradients", "dealt")
BY_SCORES = ("influence-raw", "influence-even", "influence-dot", "influence-datainf", "influence-lissa")
DOMAINS = ("programs", "programs-even", "stories", "choices")
MEASURES = ("pass@1", "pass@few", "distinct_right", "pair_share", "unique_share")
TEMPERATURES = ("0.0", "0.5")
KS = (2, 4, 8, 12)


def at(value, half=0.01):
    return {"mean": value, "lo": value - half, "hi": value + half}


def arm():
    """An arm that is no different from any other."""
    return {m: at(0.5) for m in MEASURES} | {"less": {o: {m: at(0.0) for m in MEASURES} for o in (*ARMS, *BY_SCORES)}}


@pytest.fixture
def found():
    """Results of `spa_adapters` in which all arms are alike."""
    arms = (*ARMS, *BY_SCORES)
    beside = {"cold": {m: at(0.0) for m in MEASURES}, "matched": {m: at(0.0) for m in MEASURES}}
    agreed = {"mean": 0.5, "lo": 0.4, "hi": 0.6, "chance": 0.2}
    return {
        "domains": {d: {a: {f"k{k}": {t: arm() for t in TEMPERATURES} for k in KS} for a in arms} for d in DOMAINS},
        "less_one": {"programs": {a: {"0.0": {w: dict(v) for w, v in beside.items()}} for a in arms}},
        "kl": {d: {a: {"k8": at(0.1)} for a in arms} for d in DOMAINS},
        "sizes": {"programs": {a: {"k8": {"largest": at(2.0), "smallest": at(0.2)}} for a in arms}},
        "agreement": {
            "programs": {
                "influence": {"influence-dot": dict(agreed)},
                "influence-dot": {"influence-datainf": dict(agreed), "influence-lissa": dict(agreed)},
            }
        },
        "design": {"k": 8, "ks": list(KS)},
    }


def less(found, one, other, measure, value, *, domain="programs", t="0.0"):
    found["domains"][domain][one]["k8"][t]["less"][other][measure] = value


def beside_one(found, one, measure, value, where="cold"):
    found["less_one"]["programs"][one]["0.0"][where][measure] = value


def test_nothing_is_reproduced_where_nothing_differs(found):
    free = (rules.eight_is_enough, rules.curvature)  # of these no difference is what is claimed
    for claim in claims_spa.CLAIMS:
        if claim.experiment == claims_spa.ADAPTERS and claim.rule not in free:
            assert str(claim.rule(found)) == "not reproduced", claim.id
    assert rules.curvature(found).kind == "holds only if"
    assert rules.eight_is_enough(found).kind == "holds only if"


@pytest.mark.parametrize(
    ("above", "steps", "price", "said"),
    [
        ((0.1, 0.1, 0.1), (0.05, 0.05), -0.019, "reproduced"),
        ((0.1, 0.1, 0.1), (0.05, 0.01), 0.0, "holds only if the partitions are not ranked among themselves"),
        ((0.1, 0.1, 0.1), (0.0, 0.05), 0.0, "holds only if the partitions are not ranked among themselves"),
        ((0.1, 0.1, 0.1), (0.05, 0.05), -0.021, "holds only if some right answers are given up"),
        (
            (0.1, 0.1, 0.1),
            (0.0, 0.0),
            -0.1,
            "holds only if the partitions are not ranked among themselves and some right answers are given up",
        ),
        ((0.1, 0.009, 0.1), (0.05, 0.05), 0.0, "not reproduced"),
        ((0.0, 0.1, 0.1), (0.05, 0.05), 0.0, "not reproduced"),
    ],
)
def test_beats_one(found, above, steps, price, said):
    for name, value in zip(("random", "lexical", "influence"), above, strict=True):
        beside_one(found, name, "pair_share", at(value))
    less(found, "lexical", "random", "pair_share", at(steps[0]))
    less(found, "influence", "lexical", "pair_share", at(steps[1]))
    beside_one(found, "influence", "pass@1", at(price))
    assert str(rules.beats_one(found)) == said


@pytest.mark.parametrize(("gain", "kind"), [(0.011, "reproduced"), (0.01, "not reproduced"), (-1, "not reproduced")])
def test_beats_one_matched(found, gain, kind):
    beside_one(found, "influence", "distinct_right", at(gain), "matched")
    beside_one(found, "random", "distinct_right", at(5.0), "matched")  # does not count
    verdict = rules.beats_one_matched(found)
    assert verdict.kind == kind
    assert "random +5.00" in verdict.measured


@pytest.mark.parametrize(
    ("cold", "random", "lexical", "kind"),
    [
        (0.1, 0.1, 0.1, "reproduced"),
        (0.1, 0.01, 0.1, "holds only if"),
        (0.1, 0.1, -0.1, "holds only if"),
        (0.01, 0.1, 0.1, "not reproduced"),
    ],
)
def test_pass_at_five(found, cold, random, lexical, kind):
    beside_one(found, "influence", "pass@few", at(cold))
    less(found, "influence", "random", "pass@few", at(random))
    less(found, "influence", "lexical", "pass@few", at(lexical))
    assert rules.pass_at_five(found).kind == kind


def shared(**short):
    """Results of `spa_share`; p15 is the difference at 15 %."""
    found = {"p0": -0.2, "p5": -0.1, "p15": -0.1, "p30": -0.1, "p50": -0.1} | short
    return {"domains": {"programs": {"shares": {p[1:]: {"short": at(value)} for p, value in found.items()}}}}


@pytest.mark.parametrize(
    ("short", "said"),
    [
        ({"p15": -0.019}, "reproduced"),
        ({"p15": 0.019}, "reproduced"),
        ({"p15": -0.021, "p30": 0.0}, "holds only if 30 % of the data are seen"),
        ({"p15": 0.021, "p30": 0.021, "p50": 0.0}, "holds only if 50 % of the data are seen"),
        ({"p50": -0.02001}, "not reproduced"),
        ({"p15": 0.0, "p0": -0.0399}, "not reproduced"),  # the data may teach too little to tell
        ({"p15": 0.0, "p0": -0.041}, "reproduced"),
        ({}, "not reproduced"),
    ],
)
def test_data_to_spare(short, said):
    assert str(rules.data_to_spare(shared(**short))) == said


def hotter(found, arms=("random", "lexical", "influence"), right=0.4, pairs=0.6):
    for name in arms:
        found["domains"]["programs"][name]["k8"]["0.5"] |= {"pass@1": at(right), "pair_share": at(pairs)}


def leads(found, cold, hot):
    for t, value in (("0.0", cold), ("0.5", hot)):
        for other in ("random", "lexical"):
            less(found, "influence", other, "pair_share", at(value), t=t)


@pytest.mark.parametrize(
    ("cold", "hot", "kind"),
    [
        (0.1, 0.05, "reproduced"),
        (0.1, 0.1, "holds only if"),  # does not narrow
        (0.1, 0.01, "holds only if"),  # not ahead at .5
        (0.01, 0.009, "holds only if"),  # not ahead at 0
    ],
)
def test_temperature(found, cold, hot, kind):
    hotter(found)
    leads(found, cold, hot)
    assert rules.temperature(found).kind == kind


@pytest.mark.parametrize(
    "but", [{"right": 0.5}, {"pairs": 0.5}, {"arms": ("random", "influence")}], ids=["right", "pairs", "lexical"]
)
def test_temperature_must_trade_in_every_arm(found, but):
    hotter(found, **but)
    leads(found, 0.1, 0.05)
    assert rules.temperature(found).kind == "not reproduced"


@pytest.mark.parametrize(
    ("two", "eight", "twelve", "kind"),
    [
        (0.3, 0.5, 0.549, "reproduced"),
        (0.3, 0.5, 0.451, "reproduced"),
        (0.48, 0.5, 0.5, "holds only if"),
        (0.3, 0.5, 0.551, "not reproduced"),
        (0.3, 0.5, 0.449, "not reproduced"),
    ],
)
def test_eight_is_enough(found, two, eight, twelve, kind):
    for k, value in ((2, two), (8, eight), (12, twelve)):
        found["domains"]["programs"]["influence"][f"k{k}"]["0.0"]["pair_share"] = at(value)
    assert rules.eight_is_enough(found).kind == kind


def ranked(found, domains, kl, pairs=(0.1, 0.2, 0.3, 0.4)):
    for domain in domains:
        for name, far, apart in zip(("seeds", "random", "lexical", "influence"), kl, pairs, strict=True):
            found["kl"][domain][name]["k8"] = at(far)
            found["domains"][domain][name]["k8"]["0.0"]["pair_share"] = at(apart)


UNLIKE = (0.4, 0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("alike", "kl", "kind"),
    [
        (4, (0.1, 0.2, 0.3, 0.9), "reproduced"),  # 1 to 2.25 nats for a pair
        (4, (0.1, 0.2, 0.3, 0.7), "not reproduced"),  # 1 to 1.75: proportional, nearly
        (3, (0.1, 0.2, 0.3, 0.9), "holds only if"),
        (2, (0.1, 0.2, 0.3, 0.9), "holds only if"),
        (1, (0.1, 0.2, 0.3, 0.9), "not reproduced"),
    ],
)
def test_kl_and_diversity(found, alike, kl, kind):
    ranked(found, DOMAINS[:alike], kl)
    ranked(found, DOMAINS[alike:], UNLIKE)
    verdict = rules.kl_and_diversity(found)
    assert verdict.kind == kind
    assert f"in {alike} of 4 domains" in verdict.measured
    if kind == "holds only if":
        assert verdict.condition == "the domain is " + " or ".join(DOMAINS[:alike])


def test_adapters_that_all_say_the_same_divide_by_no_zero(found):
    ranked(found, DOMAINS, (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0))
    assert "0.0-fold" in rules.kl_and_diversity(found).measured


@pytest.mark.parametrize(
    ("domain", "gap", "kind"),
    [
        ("stories", -0.011, "reproduced"),
        ("programs", -0.1, "reproduced"),
        ("choices", -0.01, "not reproduced"),
        ("choices", 0.1, "not reproduced"),
    ],
)
def test_lexical_can_lose(found, domain, gap, kind):
    less(found, "lexical", "random", "pair_share", at(gap), domain=domain)
    assert rules.lexical_can_lose(found).kind == kind


@pytest.mark.parametrize(
    ("raw", "plain", "even", "price", "kind"),
    [
        (3.0, 1.24, 1.0, -1.0, "reproduced"),
        (1.2, 1.24, 1.5, 0.0, "not reproduced"),  # raw scores were no worse
        (3.0, 1.2401, 1.0, 0.0, "holds only if"),
        (3.0, 2.0, 1.0, -0.039, "holds only if"),
        (3.0, 2.0, 1.0, -0.041, "not reproduced"),
        (3.0, 2.0, 1.2401, 0.0, "not reproduced"),
    ],
)
def test_normalisation(found, raw, plain, even, price, kind):
    sizes = found["sizes"]["programs"]
    for name, value in (("influence-raw", raw), ("influence", plain), ("influence-even", even)):
        sizes[name]["k8"]["largest"] = at(value) | {"hi": round(value + 0.01, 6)}
    less(found, "influence-even", "influence", "pair_share", at(price))
    assert rules.normalisation(found).kind == kind


@pytest.mark.parametrize("place", [("influence", "influence-dot"), ("influence-dot", "influence-lissa"), None])
@pytest.mark.parametrize("close", [True, False])
def test_curvature(found, place, close):
    table = found["agreement"]["programs"]
    for row in table.values():
        for value in row.values():
            value["mean"] = 0.8
    if place:
        table[place[0]][place[1]]["mean"] = 0.799
    if not close:
        less(found, "influence-lissa", "influence", "pass@1", at(-0.021))
    expected = "reproduced" if place is None else ("holds only if" if close else "not reproduced")
    assert rules.curvature(found).kind == expected


@pytest.mark.parametrize(
    ("measure", "value", "kind"),
    [
        ("pair_share", 0.039, "holds only if"),
        ("pair_share", 0.041, "not reproduced"),
        ("pair_share", -0.041, "not reproduced"),
        ("pass@1", 0.019, "holds only if"),
        ("pass@1", 0.021, "not reproduced"),
    ],
)
@pytest.mark.parametrize("name", ["influence-dot", "influence-datainf", "influence-lissa"])
def test_what_adapters_say_under_other_curvatures(found, name, measure, value, kind):
    less(found, name, "influence", measure, at(value))
    assert rules.curvature(found).kind == kind


def test_agreement_is_found_in_either_order(found):
    table = found["agreement"]["programs"]
    pairs = table.pop("influence-dot")
    table |= {other: {"influence-dot": value | {"mean": 0.9}} for other, value in pairs.items()}
    table["influence"]["influence-dot"]["mean"] = 0.85
    verdict = rules.curvature(found)
    assert verdict.kind == "reproduced"
    assert "influence-lissa 0.90 (by chance 0.20)" in verdict.measured


@pytest.mark.parametrize(
    ("rows", "gradients", "kind"),
    [
        ((0.1, 0.0), (0.0, 0.0), "reproduced"),
        ((0.1, -0.1), (0.1, -0.029), "reproduced"),  # one that costs nothing is enough
        ((0.1, -0.03), (0.0, 0.0), "holds only if"),
        ((0.1, -0.1), (0.1, -0.1), "holds only if"),
        ((0.01, 0.0), (-0.1, 0.0), "not reproduced"),
    ],
)
def test_clustering(found, rows, gradients, kind):
    for name, (gain, price) in (("rows", rows), ("gradients", gradients)):
        less(found, name, "influence", "distinct_right", at(gain))
        less(found, name, "influence", "pass@1", at(price))
    assert rules.clustering(found).kind == kind


@pytest.mark.parametrize(
    ("seeds", "random", "kind"),
    [
        (0.1, 0.1, "reproduced"),
        (0.1, 0.01, "holds only if"),
        (0.1, -0.1, "holds only if"),
        (0.01, 0.1, "not reproduced"),
        (-0.1, -0.1, "not reproduced"),
    ],
)
def test_only_seeds(found, seeds, random, kind):
    less(found, "influence", "seeds", "distinct_right", at(seeds))
    less(found, "influence", "random", "distinct_right", at(random))
    assert rules.only_seeds(found).kind == kind


@pytest.mark.parametrize(
    ("gain", "price", "kind"),
    [
        (1.0, -0.029, "reproduced"),
        (1.0, -0.03, "holds only if"),
        (0.011, -0.2, "holds only if"),
        (0.01, 0.1, "not reproduced"),
    ],
)
def test_dealt(found, gain, price, kind):
    less(found, "dealt", "influence", "distinct_right", at(gain))
    less(found, "dealt", "influence", "pass@1", at(price))
    assert rules.dealt(found).kind == kind


@pytest.mark.parametrize(
    ("ratio", "same", "kind"),
    [
        (2.02, 1.0, "reproduced"),
        (4.0, 0.998, "not reproduced"),
        (2.01, 1.0, "not reproduced"),
        (1.0, 1.0, "not reproduced"),
    ],
)
def test_one_batch(ratio, same, kind):
    ratios = {"switching": {"mean": ratio, "lo": round(ratio - 0.01, 6), "hi": ratio + 0.01}, "mixed": at(1.3)}
    assert rules.one_batch({"ratios": ratios, "same": same}).kind == kind


def test_every_id_of_the_sheet_is_a_claim_with_a_test_of_its_own():
    ids = [claim.id for claim in claims_spa.CLAIMS]
    assert sorted(ids) == sorted([*(f"SPA-{n:02}" for n in range(1, 14)), "SPA-01b"])
    assert len({claim.rule for claim in claims_spa.CLAIMS}) == len(ids)
    for claim in claims_spa.CLAIMS:
        assert claim.experiment in EXPERIMENTS
        assert claim.statement.endswith((".", ".)"))
        assert find(claim.id.lower()) is claim


def test_what_is_said_is_one_line_and_names_its_numbers(found):
    for claim in claims_spa.CLAIMS:
        if claim.experiment == claims_spa.ADAPTERS:
            measured = claim.rule(found).measured
            assert "\n" not in measured
            assert any(letter.isdigit() for letter in measured)
