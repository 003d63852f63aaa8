"""Remarks on the claims of chapter 7, written after the runs: what a verdict alone would hide. No part of any rule."""

from collections.abc import Mapping
from typing import Any

from mrtlab.lab.claims_diffuse_rules import _said


def other_ranges(results: Mapping[str, Any]) -> str:
    """DIF-03: how long one trains decides."""
    marks = results["kinds"]["narrow"]["marks"]
    before, short, long = (marks[m]["groups"]["wide"]["tv"]["mean"] for m in ("0", "10", "50"))
    return (
        f"Taught from 1 to 10, the wider range is at TV {before:.2f} before, {short:.2f} after ten steps and "
        f"{long:.2f} after fifty: it gains at first, and then the model learns that numbers end at ten."
    )


def other_families(results: Mapping[str, Any]) -> str:
    """DIF-04: a short training reaches further, and the families that were never even hardly move."""
    mixed = results["kinds"]["mixed"]
    never = mixed["marks"]["50"]["groups"]["never_flat"]["change"]["tv"]
    early, late = (mixed["marks"][m]["groups"]["families"]["tv"]["mean"] for m in ("10", "50"))
    return (
        f"Other families are at TV {early:.2f} after ten passes and {late:.2f} after fifty, a difference of "
        f"{_said(mixed['drift']['families'])}. In pre-training they were even where a wording asked for a fair draw; "
        f"the two families that never were change by {_said(never)}."
    )


def untaught_fields(results: Mapping[str, Any]) -> str:
    """DIF-09: the untrained model can do the same if it is asked to."""
    fair = results["fair"]["fair"]["fields"]["job"]["entropy"]["mean"]
    return (
        f"Asked for a fair draw, the untrained model's jobs are at {fair:.3f} of the largest entropy. So the runs show "
        "that an evenness which the model has can be carried over, not that it is learned."
    )


def anchored(results: Mapping[str, Any]) -> str:
    """DIF-10b: half of the facts are the anchor, and a short training costs less than either."""
    marks = results["kinds"]
    free = {name: marks[name]["marks"]["50"]["facts"]["free"]["after"]["mean"] for name in ("mixed", "mixed-anchored")}
    ten = marks["mixed-anchored"]["marks"]["10"]
    return (
        f"Of the facts that no anchor holds {free['mixed-anchored']:.1%} are known with it and {free['mixed']:.1%} "
        f"without. After ten passes with the anchor {ten['facts']['all']['after']['mean']:.1%} of all are known, and "
        f"other families are at TV {ten['groups']['families']['tv']['mean']:.2f}; after fifty without one they are at "
        f"{marks['mixed']['marks']['50']['groups']['families']['tv']['mean']:.2f}."
    )


def witness(results: Mapping[str, Any]) -> str:
    """DIF-15: equal steps are not equal work, and other ways carry as far."""
    gem = results["ways"]["gem"]["minus_tree"]["families"]["tv"]
    return (
        "A step of the witness sees 16 draws of its own, a step of cross-entropy every answer. GEM, on draws of the "
        f"target, carries as far: TV on other families, GEM minus cross-entropy, {_said(gem)}."
    )
