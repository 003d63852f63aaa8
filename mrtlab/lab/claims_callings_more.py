"""Claims of chapter 6 on selectors, clusters and budget: statements in our words, and rules committed before the runs.

Claims are those of "Escaping the Mode Lottery" (arXiv 2606.00544). A letter behind an id marks a second test of the
same claim, on another kind of model.
"""

from collections.abc import Mapping
from typing import Any

from mrtlab.lab.verdicts import Claim, Verdict

PAPER = "amin2026mode"
SELECTORS, CLUSTERS, BUDGET = "callings_selectors", "callings_clusters", "callings_budget"


def _selector_loss(results: Mapping[str, Any]) -> Verdict:
    """MRT-15: on loss random ≈ diverse < quality-diverse < top, at K = 4 and at K = 8, candidates from the truth.

    "<": the whole 95 % interval over seeds of the difference in KL. "≈": diverse is not clearly worse than random, or
    by less than a quarter of what top is worse. Without "≈" the verdict names the part that fails.
    """
    found, ordered, close = [], True, True
    for k in ("k4", "k8"):
        block = results["fair"][k]
        top = block["top"]["minus"]
        quality = block["quality-diverse"]["minus"]
        diverse = block["diverse"]["minus"]["random"]["kl"]
        ordered &= quality["random"]["kl"]["lo"] > 0 and top["quality-diverse"]["kl"]["lo"] > 0
        close &= diverse["lo"] <= 0 or diverse["mean"] < 0.25 * top["random"]["kl"]["mean"]
        found.append(
            f"K={k[1:]}: "
            + ", ".join(
                f"{name} {v['mean']:+.3f} ({v['lo']:+.3f} to {v['hi']:+.3f})"
                for name, v in (
                    ("diverse", diverse),
                    ("quality-diverse", quality["random"]["kl"]),
                    ("top", top["random"]["kl"]),
                )
            )
        )
    measured = f"KL minus that of random choice, nats: {'; '.join(found)}"
    if ordered and close:
        return Verdict(kind="reproduced", measured=measured)
    if ordered:
        return Verdict(
            kind="holds only if", condition="diverse choice is left out: here it costs, too", measured=measured
        )
    worst = all(results["fair"][k]["top"]["minus"]["random"]["kl"]["lo"] > 0 for k in ("k4", "k8"))
    if worst:
        return Verdict(
            kind="holds only if", condition="it says no more than that reward-only is behind random", measured=measured
        )
    return Verdict(kind="not reproduced", measured=measured)


def _selector_reward(results: Mapping[str, Any]) -> Verdict:
    """MRT-16: trained on reward-only choice, the model's answers please most and differ least, at K = 4 and K = 8.

    Please: by the judge who chose nothing. Most and least: clearly, against every other rule at the same K.
    """
    found, pleases, alike = [], True, True
    for k in ("k4", "k8"):
        block = results["fair"][k]
        minus = block["top"]["minus"]
        pleases &= all(other["other"]["lo"] > 0 for other in minus.values())
        alike &= all(other["diversity"]["hi"] < 0 for other in minus.values())
        found.append(
            f"K={k[1:]}: "
            + ", ".join(f"{n} {v['other']['mean']:.2f}, {v['diversity']['mean']:.2f}" for n, v in block.items())
        )
    measured = f"reward by another judge, and chance that two answers differ: {'; '.join(found)}"
    if pleases and alike:
        return Verdict(kind="reproduced", measured=measured)
    if pleases or alike:
        way = "reward alone is looked at" if pleases else "diversity alone is looked at"
        return Verdict(kind="holds only if", condition=way, measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def _biased_generator(results: Mapping[str, Any]) -> Verdict:
    """MRT-11b: generator that favours what is common, in KL to the truth, at K = 8: random ≤ quality-diverse < top.

    "≤": not clearly worse. "<": the whole 95 % interval over seeds of the difference.
    """
    block = results["peaked"]["k8"]
    quality, top = block["quality-diverse"]["minus"]["random"]["kl"], block["top"]["minus"]["quality-diverse"]["kl"]
    measured = (
        "KL to the truth, nats, at K=8: "
        + ", ".join(f"{n} {v['kl']['mean']:.3f}" for n, v in block.items())
        + f"; quality-diverse minus random {quality['mean']:+.3f} ({quality['lo']:+.3f} to {quality['hi']:+.3f}), top "
        f"minus quality-diverse {top['mean']:+.3f} ({top['lo']:+.3f} to {top['hi']:+.3f})"
    )
    if quality["hi"] >= 0 and top["lo"] > 0:
        return Verdict(kind="reproduced", measured=measured)
    if top["lo"] > 0:
        return Verdict(
            kind="holds only if", condition="quality-diverse choice may also be ahead of random", measured=measured
        )
    return Verdict(kind="not reproduced", measured=measured)


def _wordings(results: Mapping[str, Any]) -> Verdict:
    """MRT-17b: wordings with one response each gain about as much as responses to one wording; copies do not.

    At a distance the claim passes if hybrid and implicit keep more than half of explicit's gain over a single pair and
    copied responses less than half, each with the whole 95 % interval. Judged at the end of training and at the best
    checkpoint; reproduced if it passes for close and far wordings in both.
    """
    triad = results["triad"]

    def passes(when: str, distance: str) -> bool:
        here = triad[when][distance]
        return (
            here["hybrid"]["mean"] > 0.5
            and here["hybrid"]["lo"] > 0.5
            and here["implicit"]["lo"] > 0.5
            and here["same"]["hi"] < 0.5
        )

    ok = {(when, d): passes(when, d) for when in ("final", "best") for d in ("close", "far")}
    found = "; ".join(
        f"{words}, {d} wordings: "
        + ", ".join(f"{n} {v['mean']:.2f} ({v['lo']:.2f} to {v['hi']:.2f})" for n, v in triad[when][d].items())
        for when, words in (("final", "at the end"), ("best", "at the best checkpoint"))
        for d in ("close", "far")
    )
    measured = f"share of four responses' gain over one: {found}"
    if all(ok.values()):
        return Verdict(kind="reproduced", measured=measured)
    for condition, needed in (
        ("wordings are close", [("final", "close"), ("best", "close")]),
        ("wordings are far apart", [("final", "far"), ("best", "far")]),
        ("training goes on to the end", [("final", "close"), ("final", "far")]),
        ("a checkpoint is chosen", [("best", "close"), ("best", "far")]),
    ):
        if all(ok[key] for key in needed):
            return Verdict(kind="holds only if", condition=condition, measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def _where_it_pays(results: Mapping[str, Any]) -> Verdict:
    """MRT-18b: four responses gain more over one where answers are diverse, and more where prompts do not repeat.

    More: the whole 95 % interval over seeds of the difference between the gains, at the best checkpoints.
    """
    gain = results["gain"]["best"]
    sharp, redundant = gain["minus"]["sharp"], gain["minus"]["redundant"]
    measured = (
        "gain of K=4 over K=1 at equal updates, best checkpoints, nats: "
        + ", ".join(f"{w} {gain[w]['mean']:.3f}" for w in ("diverse", "sharp", "redundant"))
        + f"; diverse minus sharp {sharp['mean']:+.3f} ({sharp['lo']:+.3f} to {sharp['hi']:+.3f}), minus redundant "
        f"{redundant['mean']:+.3f} ({redundant['lo']:+.3f} to {redundant['hi']:+.3f})"
    )
    if sharp["lo"] > 0 and redundant["lo"] > 0:
        return Verdict(kind="reproduced", measured=measured)
    if sharp["lo"] > 0 or redundant["lo"] > 0:
        way = "it speaks of diverse answers" if sharp["lo"] > 0 else "it speaks of repeated prompts"
        return Verdict(kind="holds only if", condition=way, measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


def _budget(results: Mapping[str, Any]) -> Verdict:
    """MRT-03b: at equal tokens the K that trains best is one that the gradient's variance predicts.

    Predicted: within 5 % of the least variance among the K tried. The share of resamples of the seeds in which the
    lowest mean KL is at a predicted K must be at least 95 %, at the end and at the best checkpoint.
    """
    argmin, variances, ks = results["argmin"], results["variances"], results["design"]["k"]
    holds = {when: argmin[when]["in_flat"]["gradient"] >= 0.95 for when in ("final", "best")}
    gradient = variances["gradient"]
    kl = ", ".join(f"{results['tokens'][f'k{k}']['final']['kl']['mean']:.3f}" for k in ks)
    measured = (
        f"gradient variance predicts K = {', '.join(map(str, gradient['flat']))} (V_y|x/V_x {gradient['ratio']:.1f}, "
        f"K* = {gradient['k_star']:.1f}); KL at K = {', '.join(map(str, ks))}: {kl} nats; lowest at K="
        f"{argmin['final']['k']} at the end, K={argmin['best']['k']} at the best checkpoint; a predicted K in "
        f"{argmin['final']['in_flat']['gradient']:.0%} and {argmin['best']['in_flat']['gradient']:.0%} of resamples"
    )
    if all(holds.values()):
        return Verdict(kind="reproduced", measured=measured)
    if any(holds.values()):
        way = "training goes on to the end" if holds["final"] else "a checkpoint is chosen"
        return Verdict(kind="holds only if", condition=way, measured=measured)
    return Verdict(kind="not reproduced", measured=measured)


BUDGET_CLAIM = Claim(
    id="MRT-03b",
    paper=PAPER,
    chapter=6,
    scope="embedded model",
    title="The best K carries over, in a language model",
    statement="A model trained at the K that the cost formula picks tests better than at other K.",
    test="Measure both variances of the gradient on a small first data set, predict the best K for a budget of tokens "
    "with the prompt run once, and train at K = 1 to 16 on equal tokens in equal updates.",
    experiment=BUDGET,
    rule=_budget,
)
GENERATOR_CLAIM = Claim(
    id="MRT-11b",
    paper=PAPER,
    chapter=6,
    scope="embedded model",
    title="A biased generator, in a language model",
    statement="When candidates come from a generator that favours some answers, random choice stays closest to the "
    "truth, quality-diversity comes next, reward-only choice last.",
    test="Candidates from the truth squared, 32 a prompt, eight kept. The loss counts response tokens only, and KL is "
    "to the truth, not to the generator.",
    experiment=SELECTORS,
    rule=_biased_generator,
)
SELECTOR_CLAIMS = (
    Claim(
        id="MRT-15",
        paper=PAPER,
        chapter=6,
        scope="embedded model",
        title="Order of the selectors on loss",
        statement="On reference loss, random and diverse choice come first, quality-diversity next, reward-only last.",
        test="Train on 4 and on 8 of 32 candidates kept by each rule, five seeds; the published runs have one.",
        experiment=SELECTORS,
        rule=_selector_loss,
    ),
    Claim(
        id="MRT-16",
        paper=PAPER,
        chapter=6,
        scope="embedded model",
        title="Order of the selectors on diversity and reward",
        statement="Reward-only choice gives the highest reward and the lowest diversity of outputs.",
        test="The runs of MRT-15, their answers scored by another judge than the one who chose.",
        experiment=SELECTORS,
        rule=_selector_reward,
    ),
)
CLUSTER_CLAIMS = (
    Claim(
        id="MRT-17b",
        paper=PAPER,
        chapter=6,
        scope="embedded model",
        title="Paraphrased prompts act like responses, in a language model",
        statement="Several wordings of one question, each with one response, help about as much as one wording with "
        "several responses.",
        test="256 clusters of four wordings, close or far: four responses to one wording, two to each of two, one to "
        "each of four, and one response copied to all four, each pair read four times. The baseline is a single pair "
        "read sixteen times.",
        experiment=CLUSTERS,
        rule=_wordings,
    ),
    Claim(
        id="MRT-18b",
        paper=PAPER,
        chapter=6,
        scope="embedded model",
        title="Diverse answers gain most, repeated prompts least, in a language model",
        statement="More responses help most when answers differ much and prompts repeat little.",
        test="The gain of four responses over one at equal updates: as it is, where answers differ less (the truth to "
        "the third power), and where each question stands four times in the data.",
        experiment=CLUSTERS,
        rule=_where_it_pays,
    ),
)
