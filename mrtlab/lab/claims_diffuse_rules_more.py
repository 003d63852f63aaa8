"""Rules for the claims of chapter 7 on biographies, committed before the run that they judge.

An interval is that of the mean over seeds. Thresholds were set after a look at seed 99, which no run uses.
"""

from collections.abc import Mapping
from typing import Any

from mrtlab.lab.claims_diffuse_rules import _said
from mrtlab.lab.verdicts import Verdict


def biographies(results: Mapping[str, Any]) -> Verdict:
    """DIF-08: after both stages biographies hold several times as many different values, and can still be read.

    In taught wordings the interval of the ratio of different values in 40 draws, after over before, lies above 2 for
    names and cities and above 1.5 for jobs, and that of the share of whole biographies above .75. Holds only without
    the last if that fails, or without jobs if they fail.
    """
    end = results["kinds"]["both"]["taught"]
    times, whole = end["times"], end["valid"]
    taught = times["name"]["lo"] > 2 and times["city"]["lo"] > 2
    measured = (
        f"times as many different values in {results['design']['met']} draws: names {_said(times['name'], '.2f')}, "
        f"cities {_said(times['city'], '.2f')}, jobs {_said(times['job'], '.2f')}; perfect would be "
        f"{results['perfect']['name'] / results['kinds']['before']['taught']['fields']['name']['met']['mean']:.2f} for "
        f"names; whole biographies {_said(whole, '.2f')}, before "
        f"{results['kinds']['before']['taught']['valid']['mean']:.2f}"
    )
    if not taught:
        return Verdict(kind="not reproduced", measured=measured)
    if times["job"]["lo"] <= 1.5:
        return Verdict(kind="holds only if", condition="fields that were taught are counted", measured=measured)
    if whole["lo"] <= 0.75:
        return Verdict(kind="holds only if", condition="more broken biographies are accepted", measured=measured)
    return Verdict(kind="reproduced", measured=measured)


def untaught_fields(results: Mapping[str, Any]) -> Verdict:
    """DIF-09: jobs spread although no job is in the biographies taught, in taught and in new wordings.

    Spread: the interval of the change in the entropy of the job, over the largest there is, lies above .1. Reproduced
    if so after both stages, and after stage 2 alone, where no prompt at all speaks of jobs; holds only after even
    prompts about other things, among them jobs, if so after both stages alone.
    """
    change = {
        kind: [results["kinds"][kind][g]["change"]["fields"]["job"]["entropy"] for g in ("taught", "new")]
        for kind in ("both", "stage2")
    }
    hobby = results["kinds"]["both"]["taught"]["change"]["fields"]["hobby"]["entropy"]
    before = results["kinds"]["before"]["taught"]["fields"]["job"]["entropy"]["mean"]
    spread = {kind: all(one["lo"] > 0.1 for one in some) for kind, some in change.items()}
    measured = (
        f"entropy of the job, of the largest there is: {before:.2f} before; change after both stages "
        f"{_said(change['both'][0])}, in new wordings {_said(change['both'][1])}; after stage 2 alone "
        f"{_said(change['stage2'][0])} and {_said(change['stage2'][1])}; hobby after both {_said(hobby)}"
    )
    if all(spread.values()):
        return Verdict(kind="reproduced", measured=measured)
    if spread["both"]:
        condition = "even prompts of other families, jobs among them, come first"
        return Verdict(kind="holds only if", condition=condition, measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def worth_more(results: Mapping[str, Any]) -> Verdict:
    """DIF-08b: what an even model writes trains better small models than what the base model writes.

    Better, after both stages against before, whole intervals: lower −log p of a true biography at both sizes, by more
    than half of what the base's data is above the floor on average; and more names and cities classified rightly at
    the smaller size. If only the language model: holds only there.
    """
    sizes = [f"n{n}" for n in results["design"]["sizes"]]
    after, before = results["kinds"]["both"]["worth"], results["kinds"]["before"]["worth"]
    above = {n: before[n]["nll"]["mean"] - results["floor"] for n in sizes}
    better = all(after[n]["change"]["nll"]["hi"] < -0.5 * above[n] for n in sizes)
    told = {what: after[sizes[0]]["change"][what] for what in ("gender", "country")}
    true = results["truth"]["worth"]
    measured = "; ".join(
        f"{n[1:]} biographies: {before[n]['nll']['mean']:.1f} nats before, {_said(after[n]['nll'], '.1f')} after, "
        f"{true[n]['nll']['mean']:.1f} from draws of the truth"
        for n in sizes
    ) + (
        f"; change in accuracy with {sizes[0][1:]}: gender {_said(told['gender'], '.2f')}, "
        f"country {_said(told['country'], '.2f')}"
    )
    if better and all(one["lo"] > 0 for one in told.values()):
        return Verdict(kind="reproduced", measured=measured)
    if better:
        return Verdict(kind="holds only if", condition="a language model is trained on the data", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def parity(results: Mapping[str, Any]) -> Verdict:
    """DIF-09b: gender and place come to a stated target, an even one and an uneven one.

    Come to: after training the interval of the total variation of (gender, country) to the target ends below .15, and
    that of its change lies below 0, in taught wordings. If only for the even target: holds only there.
    """
    found = {}
    for kind, target in (("both", "even"), ("tilted", "tilted")):
        here = results["kinds"][kind]["taught"]
        found[target] = (here["parity"][f"{target}_both"], here["change"]["parity"][f"{target}_both"])
    reached = {target: tv["hi"] < 0.15 and change["hi"] < 0 for target, (tv, change) in found.items()}
    before = results["kinds"]["before"]["taught"]["parity"]
    measured = "; ".join(
        f"{target} target: TV {before[f'{target}_both']['mean']:.2f} before, {_said(tv)} after"
        for target, (tv, _) in found.items()
    )
    measured += (
        f"; share of women {before['woman']['mean']:.0%} before, "
        f"{results['kinds']['both']['taught']['parity']['woman']['mean']:.0%} and "
        f"{results['kinds']['tilted']['taught']['parity']['woman']['mean']:.0%} after"
    )
    if all(reached.values()):
        return Verdict(kind="reproduced", measured=measured)
    if reached["even"]:
        return Verdict(kind="holds only if", condition="the target is even", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)
