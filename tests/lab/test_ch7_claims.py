"""Every branch of chapter 7's rules, on made-up results."""

import pytest

from mrtlab.lab import claims_diffuse_rules as rules
from mrtlab.lab.claims import find

GROUPS = ("trained", "wordings_seen", "families", "never_flat", "small", "wide", "shifted", "unlisted")
NUMBERS = ("tv", "kl", "entropy", "mass", "top", "coverage", "rare", "common")


def at(value, half=0.01):
    return {"mean": value, "lo": value - half, "hi": value + half}


def mark():
    groups = {g: {n: at(0.5) for n in NUMBERS} | {"change": {n: at(0.0) for n in NUMBERS}} for g in GROUPS}
    facts = {
        g: {"before": at(0.9), "after": at(0.9), "change": {"right": at(0.0)}} for g in ("all", "anchored", "free")
    }
    return {"groups": groups, "facts": facts, "passes": at(3.0), "kept": at(0.0)}


@pytest.fixture
def transfer():
    """Results of `diffuse_transfer` in which nothing happens."""
    kinds = ("mixed", "mixed-anchored", "half", "weighted", "narrow", "wide")
    stops = ("0.5", "0.2", "0.05")
    return {
        "kinds": {k: {"marks": {m: mark() for m in ("0", "50")}, "stops": {g: mark() for g in stops}} for k in kinds},
        "anchored_minus_free": {"50": {"groups": {"families": {"tv": at(0.0)}}}},
        "design": {"passes": 50, "stops": [0.5, 0.2, 0.05]},
    }


@pytest.fixture
def methods():
    """Results of `diffuse_methods` in which all ways are alike."""

    def groups(value):
        return {g: {n: at(value) for n in NUMBERS} for g in ("trained", "families", "ranges", "never_flat")}

    ways = ("plain", "asked", "tree", "witness", "entropy-bonus", "temperature")
    return {
        "ways": {
            w: {"groups": groups(0.9), "minus_tree": groups(0.0), "minus_plain": groups(0.0), "facts": at(0.9)}
            for w in ways
        },
        "sweep": {"T2": groups(0.5), "T10": groups(0.95)},
        "equal": {"0.002": 0.0},
        "pairs": {"hard_minus_path-mean": groups(0.0)},
        "split": {g: {"validity_kl": at(0.1), "shape_kl": at(0.1)} for g in ("trained", "families")},
        "design": {"steps": 110},
    }


def end(results, kind):
    return results["kinds"][kind]["marks"]["50"]


def test_what_cannot_be_tested_says_why(transfer, methods):
    for rule, results in ((rules.uneven, transfer), (rules.hub_only, transfer), (rules.verbalised, methods)):
        assert rule(results).kind == "not testable here"


@pytest.mark.parametrize(("tv", "kind"), [(0.03, "reproduced"), (0.045, "not reproduced")])
def test_fifty_steps(transfer, tv, kind):
    end(transfer, "narrow")["groups"]["trained"]["tv"] = at(tv)
    assert rules.fifty_steps(transfer).kind == kind


@pytest.mark.parametrize(
    ("which", "said"),
    [
        (("narrow", "wide"), "reproduced"),
        (("narrow",), "holds only if the range taught is 1 to 10"),
        (("wide",), "holds only if the range taught is 1 to 30"),
        ((), "not reproduced"),
    ],
)
def test_other_ranges(transfer, which, said):
    for kind in which:
        end(transfer, kind)["groups"]["trained"]["tv"] = at(0.1)
        for group in ("small", "wide", "shifted"):
            end(transfer, kind)["groups"][group]["change"]["tv"] = at(-0.1)
    assert str(rules.other_ranges(transfer)) == said


@pytest.mark.parametrize(
    ("better", "said"),
    [
        (("families", "never_flat"), "reproduced"),
        (("families",), "holds only if the family had a flat side in pre-training"),
        (("never_flat",), "not reproduced"),
        ((), "not reproduced"),
    ],
)
def test_other_families(transfer, better, said):
    groups = end(transfer, "mixed")["groups"]
    groups["wordings_seen"]["tv"] = at(0.1)
    for group in better:
        groups[group]["change"] |= {"tv": at(-0.1), "entropy": at(0.1)}
    assert str(rules.other_families(transfer)) == said


@pytest.mark.parametrize(
    ("mass", "kept", "kind"),
    [
        ((0.3, 0.2, 0.1), 0.1, "reproduced"),
        ((0.1, 0.2, 0.1), 0.1, "holds only if"),
        ((0.3, 0.2, 0.1), 0.005, "not reproduced"),
    ],
)
def test_early_stop(transfer, mass, kept, kind):
    stops = transfer["kinds"]["half"]["stops"]
    for gamma, value in zip(("0.5", "0.2", "0.05"), mass, strict=True):
        stops[gamma]["groups"]["unlisted"]["mass"] = at(value)
    stops["0.2"]["kept"] = at(kept)
    assert rules.early_stop(transfer).kind == kind


@pytest.mark.parametrize(
    ("trained", "families", "valid", "kind"),
    [
        (0.1, 0.1, 0.2, "reproduced"),
        (0.1, 0.0, 0.2, "holds only if"),
        (0.1, 0.1, 0.6, "not reproduced"),
        (0.0, 0.1, 0.2, "not reproduced"),
    ],
)
def test_temperature(methods, trained, families, valid, kind):
    gap = methods["ways"]["temperature"]["minus_tree"]
    gap["trained"]["tv"], gap["families"]["tv"] = at(trained), at(families)
    methods["sweep"]["T10"]["trained"]["mass"] = at(valid)
    found = rules.temperature(methods)
    assert found.kind == kind
    assert "met at T = 10" in found.measured


def test_no_temperature_that_matches_is_no_substitute(methods):
    gap = methods["ways"]["temperature"]["minus_tree"]
    gap["trained"]["tv"] = gap["families"]["tv"] = at(0.1)
    del methods["sweep"]["T10"]
    assert rules.temperature(methods).kind == "reproduced"


@pytest.mark.parametrize(
    ("kl", "rare", "kind"), [(0.05, 0.6, "reproduced"), (0.05, 0.51, "holds only if"), (0.095, 0.6, "not reproduced")]
)
def test_uneven_targets(transfer, kl, rare, kind):
    end(transfer, "weighted")["groups"]["trained"] |= {"kl": at(kl), "rare": at(rare)}
    assert rules.uneven_targets(transfer).kind == kind


@pytest.mark.parametrize(
    ("free", "held", "kind"),
    [
        (0.0, -0.1, "reproduced"),
        (-0.02, 0.0, "holds only if"),
        (-0.1, -0.1, "not reproduced"),
        (-0.045, -0.02, "not reproduced"),
    ],
)
def test_facts_kept(transfer, free, held, kind):
    end(transfer, "mixed")["facts"]["all"]["change"]["right"] = at(free)
    end(transfer, "mixed-anchored")["facts"]["free"]["change"]["right"] = at(held)
    assert rules.facts_kept(transfer).kind == kind


def test_a_wide_noise_band_keeps_nothing(transfer):
    end(transfer, "mixed")["facts"]["all"]["change"]["right"] = at(-0.02, half=0.04)
    assert rules.facts_kept(transfer).kind == "holds only if"


@pytest.mark.parametrize(
    ("change", "price", "kind"),
    [(0.0, 0.0, "reproduced"), (0.0, 0.1, "holds only if"), (-0.1, 0.0, "not reproduced")],
)
def test_anchored(transfer, change, price, kind):
    end(transfer, "mixed-anchored")["facts"]["all"]["change"]["right"] = at(change)
    transfer["anchored_minus_free"]["50"]["groups"]["families"]["tv"] = at(price)
    assert rules.anchored(transfer).kind == kind


@pytest.mark.parametrize(("apart", "kind"), [(0.001, "reproduced"), (0.02, "not reproduced")])
def test_tree_or_strings(methods, apart, kind):
    methods["equal"]["0.002"] = apart
    assert rules.tree_or_strings(methods).kind == kind


@pytest.mark.parametrize(
    ("shapes", "kind"),
    [((0.5, 0.01), "reproduced"), ((0.5, 0.1), "holds only if"), ((0.1, 0.1), "not reproduced")],
)
def test_validity_or_shape(methods, shapes, kind):
    for one, shape in zip(methods["split"].values(), shapes, strict=True):
        one["shape_kl"] = at(shape)
    assert rules.validity_or_shape(methods).kind == kind


@pytest.mark.parametrize(
    ("ranges", "families", "said"),
    [
        (-0.1, 0.1, "reproduced"),
        (-0.1, 0.0, "holds only if numbers alone are looked at"),
        (0.0, 0.1, "holds only if other families alone are looked at"),
        (0.1, -0.1, "not reproduced"),
    ],
)
def test_draws_or_soft(methods, ranges, families, said):
    gap = methods["pairs"]["hard_minus_path-mean"]
    gap["ranges"]["tv"], gap["families"]["tv"] = at(ranges), at(families)
    assert str(rules.draws_or_soft(methods)) == said


@pytest.mark.parametrize(
    ("trained", "families", "kind"),
    [(0.1, -0.1, "reproduced"), (0.1, 0.0, "holds only if"), (0.0, -0.1, "not reproduced")],
)
def test_witness(methods, trained, families, kind):
    gap = methods["ways"]["witness"]["minus_tree"]
    gap["trained"]["tv"], gap["families"]["tv"] = at(trained), at(families)
    assert rules.witness(methods).kind == kind


@pytest.mark.parametrize(("gap", "kind"), [(0.1, "reproduced"), (0.0, "not reproduced"), (-0.1, "not reproduced")])
def test_entropy_bonus(methods, gap, kind):
    methods["ways"]["entropy-bonus"]["minus_plain"]["trained"]["tv"] = at(gap)
    assert rules.entropy_bonus(methods).kind == kind


def test_the_ledger_knows_the_claims():
    assert find("dif-10B").rule is rules.anchored
    assert find("DIF-08b").experiment == "diffuse_biographies"
