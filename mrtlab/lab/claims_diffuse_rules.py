"""Rules for the claims of chapter 7, committed before the runs that they judge.

An interval is that of the mean over seeds, unless a rule says otherwise. Thresholds were set after a look at seed 99,
which no run uses: at a mixed run of 10 passes, a narrow one of 50, and the first passes of the others.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mrtlab.lab.verdicts import Verdict


def _said(one: Mapping[str, float], form: str = ".3f") -> str:
    """A mean with its interval."""
    return f"{one['mean']:{form}} ({one['lo']:{form}} to {one['hi']:{form}})"


def _end(results: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Numbers of a kind of run after its last pass."""
    return results["kinds"][kind]["marks"][str(results["design"]["passes"])]


def uneven(results: Mapping[str, Any]) -> Verdict:
    """DIF-01: told to be random, models are far from uniform. The embedded model was pre-trained to be so."""
    before = results["kinds"]["narrow"]["marks"]["0"]["groups"]["trained"]
    return Verdict(
        kind="not testable here",
        condition="the embedded model was pre-trained on uneven answers on purpose",
        measured=f"a number from 1 to 10: TV to uniform {before['tv']['mean']:.2f}, "
        f"likeliest answer {before['top']['mean']:.2f}",
    )


def fifty_steps(results: Mapping[str, Any]) -> Verdict:
    """DIF-02: fifty steps on one prompt make it even: the interval over seeds of the TV to uniform ends below .05."""
    end, stop = _end(results, "narrow")["groups"]["trained"], results["kinds"]["narrow"]["stops"]["0.2"]["passes"]
    measured = (
        f"TV to uniform after {results['design']['passes']} steps {_said(end['tv'])}, answers met in 1,000 draws "
        f"{end['coverage']['mean']:.1%}; 1.2 times the floor after {stop['mean']:.1f} steps"
    )
    return Verdict(kind="reproduced" if end["tv"]["hi"] < 0.05 else "not reproduced", measured=measured)


def other_ranges(results: Mapping[str, Any]) -> Verdict:
    """DIF-03: one range taught, other ranges become more even, less than the taught one; both directions.

    More even: the interval of the change in TV lies below 0, in the other range and in shifted ones. Less than taught:
    the mean TV at the end is larger there. Holds only one way if one direction does all this.
    """
    passed, said = {}, []
    for kind, other in (("narrow", "wide"), ("wide", "small")):
        end = _end(results, kind)["groups"]
        passed[kind] = all(
            end[g]["change"]["tv"]["hi"] < 0 and end[g]["tv"]["mean"] > end["trained"]["tv"]["mean"]
            for g in (other, "shifted")
        )
        said.append(
            f"{kind} taught: change of TV {_said(end[other]['change']['tv'])} in the other range, "
            f"{_said(end['shifted']['change']['tv'])} in shifted ones, "
            f"where {end['shifted']['mass']['mean']:.0%} is valid"
        )
    measured = "; ".join(said)
    if all(passed.values()):
        return Verdict(kind="reproduced", measured=measured)
    if any(passed.values()):
        which = "1 to 10" if passed["narrow"] else "1 to 30"
        return Verdict(kind="holds only if", condition=f"the range taught is {which}", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def other_families(results: Mapping[str, Any]) -> Verdict:
    """DIF-04: families that were not taught become more even, less than taught ones in other wordings.

    More even: after the last pass the interval of the change in entropy (over that of the target) lies above 0 and
    that of the change in TV below 0. Reproduced if so for families with and without a flat side in pre-training;
    holds only with a flat side if so for those alone.
    """
    end = _end(results, "mixed")["groups"]

    def better(group: str) -> bool:
        change = end[group]["change"]
        less = end[group]["tv"]["mean"] > end["wordings_seen"]["tv"]["mean"]
        return change["entropy"]["lo"] > 0 and change["tv"]["hi"] < 0 and less

    measured = "; ".join(
        f"{name}: TV {_said(end[g]['tv'])}, change {_said(end[g]['change']['tv'])}"
        for g, name in (
            ("wordings_seen", "taught families, other wordings"),
            ("families", "other families"),
            ("never_flat", "families never flat"),
        )
    )
    if better("families") and better("never_flat"):
        return Verdict(kind="reproduced", measured=measured)
    if better("families"):
        return Verdict(kind="holds only if", condition="the family had a flat side in pre-training", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def early_stop(results: Mapping[str, Any]) -> Verdict:
    """DIF-05: with half of the answers listed, an early stop keeps the other half alive, and more so for larger γ.

    Reproduced if at γ = .2 the unlisted half has more mass than after the last pass, by a whole interval above 0, and
    its mean never rises from γ to the next smaller one; holds only against the last pass if the former alone.
    """
    half = results["kinds"]["half"]
    order = sorted(results["design"]["stops"], reverse=True)
    mass = [half["stops"][str(g)]["groups"]["unlisted"]["mass"]["mean"] for g in order]
    kept = half["stops"]["0.2"]["kept"]
    end = _end(results, "half")["groups"]["unlisted"]["mass"]["mean"]
    stops = ", ".join(f"{m:.3f} at γ = {g:g}" for g, m in zip(order, mass, strict=True))
    measured = f"mass of valid unlisted answers: {stops}, {end:.3f} at the end; γ = 0.2 minus the end {_said(kept)}"
    if kept["lo"] <= 0:
        return Verdict(kind="not reproduced", measured=measured)
    if all(more >= less for more, less in pairwise(mass)):
        return Verdict(kind="reproduced", measured=measured)
    return Verdict(kind="holds only if", condition="a stop is compared with no stop", measured=measured)


def temperature(results: Mapping[str, Any]) -> Verdict:
    """DIF-06: no temperature does what training does.

    Reproduced if the best temperature leaves a TV larger than training's, whole interval of the difference above 0, on
    taught prompts and on other families, and the lowest temperature with training's entropy on taught prompts (within
    .02), if there is one, has less than half of its mass on valid answers. If only on taught prompts, and so: holds
    only there.
    """
    gap = results["ways"]["temperature"]["minus_tree"]
    want = results["ways"]["tree"]["groups"]["trained"]["entropy"]["mean"] - 0.02
    matching = [
        (float(name[1:]), one["trained"]["mass"]["mean"])
        for name, one in results["sweep"].items()
        if one["trained"]["entropy"]["mean"] >= want
    ]
    first = min(matching, default=None)
    match = f"its entropy is met at T = {first[0]:g} with {first[1]:.0%} valid" if first else "no T meets its entropy"
    measured = (
        f"best T minus training, TV: {_said(gap['trained']['tv'])} on taught prompts, "
        f"{_said(gap['families']['tv'])} on other families; {match}"
    )
    if gap["trained"]["tv"]["lo"] <= 0 or (first and first[1] >= 0.5):
        return Verdict(kind="not reproduced", measured=measured)
    if gap["families"]["tv"]["lo"] > 0:
        return Verdict(kind="reproduced", measured=measured)
    return Verdict(kind="holds only if", condition="the prompts asked are those taught", measured=measured)


def uneven_targets(results: Mapping[str, Any]) -> Verdict:
    """DIF-07: Zipf's law can be taught: the interval of the KL ends below .1 nats; rare answers are furthest off.

    Furthest off: the interval of |log p/p*| over the rarer half lies above that of the other half.
    """
    end = _end(results, "weighted")["groups"]["trained"]
    measured = (
        f"KL {_said(end['kl'])} nats; |log p/p*| {_said(end['rare'])} over the rarer half of answers, "
        f"{_said(end['common'])} over the other"
    )
    if end["kl"]["hi"] >= 0.1:
        return Verdict(kind="not reproduced", measured=measured)
    if end["rare"]["lo"] > end["common"]["hi"]:
        return Verdict(kind="reproduced", measured=measured)
    return Verdict(kind="holds only if", condition="rare answers need not be the hardest", measured=measured)


def facts_kept(results: Mapping[str, Any]) -> Verdict:
    """DIF-10: what the model knew is kept: the share of known facts stays within its noise band.

    Within the band: the bootstrap interval over facts of its change holds 0 and lies above −.05.
    Reproduced if so without an anchor, as in the paper; holds only with one if so for facts left free of the anchor.
    """
    free, held = _end(results, "mixed")["facts"], _end(results, "mixed-anchored")["facts"]
    change, beyond = free["all"]["change"]["right"], held["free"]["change"]["right"]
    measured = (
        f"facts known {free['all']['before']['mean']:.0%} to {free['all']['after']['mean']:.0%}, change "
        f"{_said(change)}; with an anchor on other facts, change {_said(beyond)}"
    )
    if change["hi"] >= 0 and change["lo"] > -0.05:
        return Verdict(kind="reproduced", measured=measured)
    if beyond["hi"] >= 0 and beyond["lo"] > -0.05:
        return Verdict(kind="holds only if", condition="an anchor holds the model on other facts", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def anchored(results: Mapping[str, Any]) -> Verdict:
    """DIF-10b: with an anchor facts stay, and no evenness of other families is paid for that.

    Facts stay: the bootstrap interval of the change in the share known holds 0 and lies above −.05, all facts taken
    together. No price: the interval of the difference in TV on other families, anchored minus not, does not lie above
    0. Facts alone: holds only if less transfer is accepted.
    """
    change = _end(results, "mixed-anchored")["facts"]["all"]["change"]["right"]
    price = results["anchored_minus_free"][str(results["design"]["passes"])]["groups"]["families"]["tv"]
    measured = f"change of the share known {_said(change)}; TV on other families, anchored minus not, {_said(price)}"
    if not (change["hi"] >= 0 and change["lo"] > -0.05):
        return Verdict(kind="not reproduced", measured=measured)
    if price["lo"] <= 0:
        return Verdict(kind="reproduced", measured=measured)
    return Verdict(kind="holds only if", condition="less transfer to other families is accepted", measured=measured)


def tree_or_strings(results: Mapping[str, Any]) -> Verdict:
    """DIF-12: trained by the tree or string by string, the model is the same: no TV differs by .01 at rate .002."""
    apart = results["equal"]["0.002"]
    measured = f"largest difference in TV after {results['design']['steps']} steps {apart:.1e}, any seed, any group"
    return Verdict(kind="reproduced" if apart < 0.01 else "not reproduced", measured=measured)


def validity_or_shape(results: Mapping[str, Any]) -> Verdict:
    """DIF-13: the split says what is wrong before training: in every group one interval lies above the other."""
    groups = results["split"]
    parts = {g: (one["validity_kl"], one["shape_kl"]) for g, one in groups.items()}
    clear = {g: one["lo"] > other["hi"] or other["lo"] > one["hi"] for g, (one, other) in parts.items()}
    measured = "; ".join(
        f"{g} {one['validity_kl']['mean']:.3f} validity and {one['shape_kl']['mean']:.3f} shape"
        for g, one in groups.items()
    )
    if all(clear.values()):
        return Verdict(kind="reproduced", measured=f"{measured} (nats)")
    if any(clear.values()):
        named = ", ".join(g for g, apart in clear.items() if apart)
        return Verdict(kind="holds only if", condition=f"the prompts are {named}", measured=f"{measured} (nats)")
    return Verdict(kind="not reproduced", measured=f"{measured} (nats)")


def draws_or_soft(results: Mapping[str, Any]) -> Verdict:
    """DIF-14: draws as targets are better on numbers, soft path-mean targets on other families; TV, equal steps.

    Better: the whole interval of the difference on its side of 0.
    """
    gap = results["pairs"]["hard_minus_path-mean"]
    numbers, transfer = gap["ranges"]["tv"], gap["families"]["tv"]
    measured = f"TV, draws minus soft: {_said(numbers)} on number ranges, {_said(transfer)} on other families"
    if numbers["hi"] < 0 and transfer["lo"] > 0:
        return Verdict(kind="reproduced", measured=measured)
    if numbers["hi"] < 0 or transfer["lo"] > 0:
        which = "numbers" if numbers["hi"] < 0 else "other families"
        return Verdict(kind="holds only if", condition=f"{which} alone are looked at", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def witness(results: Mapping[str, Any]) -> Verdict:
    """DIF-15: cross-entropy is nearer to taught targets, the witness advantage nearer on families not taught; TV.

    Nearer: the whole interval of the difference on its side of 0.
    """
    gap = results["ways"]["witness"]["minus_tree"]
    taught, other = gap["trained"]["tv"], gap["families"]["tv"]
    facts = {way: results["ways"][way]["facts"]["mean"] for way in ("plain", "tree", "witness")}
    measured = (
        f"TV, witness minus cross-entropy: {_said(taught)} on taught prompts, {_said(other)} on other families; facts "
        f"known {facts['witness']:.0%} and {facts['tree']:.0%}, before {facts['plain']:.0%}"
    )
    if taught["lo"] > 0 and other["hi"] < 0:
        return Verdict(kind="reproduced", measured=measured)
    if taught["lo"] > 0:
        return Verdict(kind="holds only if", condition="the prompts asked are those taught", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def entropy_bonus(results: Mapping[str, Any]) -> Verdict:
    """DIF-16: rewarded for validity and entropy, the model ends further from taught targets than it began; TV."""
    gap = results["ways"]["entropy-bonus"]["minus_plain"]["trained"]["tv"]
    measured = f"TV on taught prompts, after minus before: {_said(gap)}"
    return Verdict(kind="reproduced" if gap["lo"] > 0 else "not reproduced", measured=measured)


def verbalised(results: Mapping[str, Any]) -> Verdict:
    """DIF-17: small models do not follow a request for answers with probabilities. Ours never met such a request."""
    gap = results["ways"]["asked"]["minus_plain"]
    return Verdict(
        kind="not testable here",
        condition="the embedded model never met a request for answers with probabilities",
        measured=f"asked for a fair draw instead, change of TV {_said(gap['families']['tv'])} on families with a flat "
        f"side, {_said(gap['never_flat']['tv'])} on those without",
    )


def hub_only(results: Mapping[str, Any]) -> Verdict:
    """DIF-11, DIF-18, DIF-19: about checkpoints of other models, which only a hub has."""
    end = _end(results, "mixed")["groups"]["never_flat"]["tv"]
    return Verdict(
        kind="not testable here",
        condition="it is about other models' checkpoints, which the embedded model cannot stand for",
        measured=f"nearest number here: TV on families never flat after training {_said(end)}",
    )
