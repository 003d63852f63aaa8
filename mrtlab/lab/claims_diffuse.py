"""Claims of chapter 7, forcing diffuse distributions: statements in our words, and how we test them.

DIF-01 to DIF-11 are claims of "Forcing Diffuse Distributions out of Language Models" (arXiv 2404.10859), DIF-12 and
DIF-13 are sums of our own, DIF-14 to DIF-19 come from papers that followed, of which we have read what our notes say.
A letter behind an id marks a second test. All is measured on a model of 1.7 million weights that was pre-trained to
be uneven: what it does when it is taught to be even says nothing about a model of 13 billion.
"""

from mrtlab.lab import claims_diffuse_remarks as remarks
from mrtlab.lab import claims_diffuse_rules as rules
from mrtlab.lab import claims_diffuse_rules_more as more
from mrtlab.lab.claims_diffuse_rules_keep import texts_kept
from mrtlab.lab.verdicts import Claim, Remark, Rule

PAPER = "zhang2024diffuse"
TRANSFER = "diffuse_transfer"
METHODS = "diffuse_methods"
KEEP = "diffuse_keep"
BIOGRAPHIES = "diffuse_biographies"
_FOLLOWED = " (Said by a paper that followed the one cited.)"
_OURS = " (A sum of our own, not the paper's.)"


def _claim(
    number: str,
    title: str,
    statement: str,
    test: str,
    experiment: str = "",
    rule: Rule | None = None,
    remark: Remark | None = None,
) -> Claim:
    """One of chapter 7, on the embedded model."""
    return Claim(
        id=f"DIF-{number}",
        paper=PAPER,
        chapter=7,
        scope="embedded model",
        title=title,
        statement=statement,
        test=test,
        experiment=experiment,
        rule=rule,
        remark=remark,
    )


CLAIMS = (
    _claim(
        "01",
        "Asked for chance, models play favourites",
        "Instruction-tuned models are far from uniform even where the prompt asks for a random answer.",
        "Exact law over the numbers from 1 to 10. The embedded model was taught to be uneven, so it can show what that "
        "looks like but not that others are.",
        TRANSFER,
        rules.uneven,
    ),
    _claim(
        "02",
        "Fifty steps make one prompt even",
        "Fifty steps of LoRA on one prompt bring the model to its target.",
        "A number from 1 to 10, rank 4, 50 steps, exact total variation.",
        TRANSFER,
        rules.fifty_steps,
    ),
    _claim(
        "03",
        "Evenness reaches other ranges",
        "Taught on one range of numbers, a model becomes more even on others, less than on its own.",
        "One prompt from 1 to 10, or from 1 to 30; asked are the other range and shifted ones. Mass off the list "
        "counts, since numbers of the taught range may leak.",
        TRANSFER,
        rules.other_ranges,
        remarks.other_ranges,
    ),
    _claim(
        "04",
        "Evenness reaches families that were not taught",
        "Trained on several families of questions, a model becomes more even on a family left out, less than "
        "on its own.",
        "Four families and numbers, 50 passes; two families left out, and two that never had a flat side in "
        "pre-training.",
        TRANSFER,
        rules.other_families,
        remarks.other_families,
    ),
    _claim(
        "05",
        "An early stop keeps answers off the list",
        "Where a list of answers is not all of them, stopping at (1 + γ) times the floor keeps the others alive, and "
        "more so the larger γ is.",
        "Half of a family's answers are listed; exact mass of the other half at γ = .5, .2 and .05 and after 50 "
        "passes.",
        TRANSFER,
        rules.early_stop,
    ),
    _claim(
        "06",
        "Temperature is no substitute",
        "Without training, only a very high temperature matches the tuned model's entropy, and then answers are "
        "invalid.",
        "Exact laws of seven temperatures beside training, the best of them chosen on held-out wordings.",
        METHODS,
        rules.temperature,
    ),
    _claim(
        "07",
        "Uneven targets can be taught, too",
        "Any law over the answers can be the target, and rare answers are the hardest part of it.",
        "Zipf's law over shuffled answers of four families, 50 passes.",
        TRANSFER,
        rules.uneven_targets,
    ),
    _claim(
        "08",
        "Biographies with more different values",
        "Taught on the first lines of biographies, a model writes them with several times as many different names, "
        "places and jobs.",
        "Even prompts of other families, then 240 beginnings of biographies; different values in 40 draws, from exact "
        "laws. Our lists are short: twice as many names and cities, and half as many jobs again, pass for several "
        "times, and more than three quarters of the biographies must be whole.",
        BIOGRAPHIES,
        more.biographies,
    ),
    _claim(
        "08b",
        "Even data teaches more",
        "Small models learn the truth better from biographies that an even model writes than from those of the base."
        + _OURS,
        "A character model and a classifier of names and cities, trained from nothing on 100 and on 400 biographies "
        "of each, tested on the truth.",
        BIOGRAPHIES,
        more.worth_more,
    ),
    _claim(
        "09",
        "Fields that were not taught spread, too",
        "In those biographies jobs vary more although no job was taught.",
        "Entropy of the job before and after, in the runs of DIF-08, whose first stage asks for jobs in other prompts, "
        "and without that stage. In pre-training the model met even biographies where a wording asked for chance: what "
        "is tested is whether that evenness is carried over.",
        BIOGRAPHIES,
        more.untaught_fields,
        remarks.untaught_fields,
    ),
    _claim(
        "09b",
        "Gender and place come to a stated target",
        "Taught balanced beginnings, or ones with a stated imbalance, a model writes people of whom as many are women, "
        "and from as many places, as was stated." + _OURS,
        "Total variation of gender and country together to an even target, and to three women to one man with every "
        "other country twice as often.",
        BIOGRAPHIES,
        more.parity,
    ),
    _claim(
        "10",
        "What the model knew is kept",
        "Training towards even laws through a small adapter hardly changes what a model can do.",
        "Share of 80 facts still known after 50 passes, with a bootstrap over facts; without an anchor, as in the "
        "paper.",
        TRANSFER,
        rules.facts_kept,
    ),
    _claim(
        "10b",
        "An anchor keeps facts at no price",
        "With KL to the base model on some facts, all facts stay, and other families become as even as without."
        + _OURS,
        "Anchor of weight 1 on 40 of 80 facts, 8 a step, against none, paired by seed.",
        TRANSFER,
        rules.anchored,
        remarks.anchored,
    ),
    _claim(
        "10c",
        "Text that is not about picking stays as likely",
        "A model that was taught evenness finds new text that has nothing to do with picking as likely as before."
        + _OURS,
        "Nats per token of new facts, stories and programs before and after, kind by kind, with a margin of 1 % of "
        "perplexity; without an anchor and with one. It stands in for the paper's MT-Bench, which our model cannot "
        "sit.",
        KEEP,
        texts_kept,
    ),
    _claim(
        "11",
        "A model that was never instructed fails the die as well",
        "GPT-2, asked for the roll of a die, is far from even.",
        "Needs GPT-2: exact law over six answers.",
        TRANSFER,
        rules.hub_only,
    ),
    _claim(
        "12",
        "One tree, or string by string: the same training",
        "The loss over a tree of tokens equals that over separate strings, gradients included." + _OURS,
        "Train by both from the same adapter in the same order and compare exact laws. Losses and gradients themselves "
        "are compared in the tests.",
        METHODS,
        rules.tree_or_strings,
    ),
    _claim(
        "13",
        "Validity and shape tell what is wrong",
        "The KL to a target is a part for mass off the list and a part for unevenness, and it is clear which fails."
        + _OURS,
        "Both parts before training, group by group.",
        METHODS,
        rules.validity_or_shape,
    ),
    _claim(
        "14",
        "Draws for exactness, soft targets for transfer",
        "Trained on draws of a target a model is more exact on numbers; on soft targets it carries further."
        + _FOLLOWED,
        "Likelihood on 16 draws a step against path-mean soft targets, equal steps, each at its own learning rate.",
        METHODS,
        rules.draws_or_soft,
    ),
    _claim(
        "15",
        "Cross-entropy for taught targets, witness for others",
        "Cross-entropy comes nearer to the targets taught, an on-policy witness advantage to families never taught."
        + _FOLLOWED,
        "Both at equal steps on the same prompts, each at its own learning rate; adapters for both, where the paper "
        "trained every weight.",
        METHODS,
        rules.witness,
        remarks.witness,
    ),
    _claim(
        "16",
        "An entropy bonus alone makes it worse",
        "Rewarded for valid answers with an entropy bonus of .01, a model ends further from its targets." + _FOLLOWED,
        "110 steps of 16 draws each, at the best of three learning rates.",
        METHODS,
        rules.entropy_bonus,
    ),
    _claim(
        "17",
        "Asking for a list with probabilities fails in small models",
        "A model of 1.5 billion weights, asked for outcomes with probabilities, is hardly better than without."
        + _FOLLOWED,
        "Needs a model that follows such a request; ours is asked for a fair draw instead.",
        METHODS,
        rules.verbalised,
    ),
    _claim(
        "18",
        "A few even prompts change thousands of families",
        "Trained on flat answers to some tens of families, a model is less biased on thousands of others." + _FOLLOWED,
        "Needs a model that knows thousands of families.",
        TRANSFER,
        rules.hub_only,
    ),
    _claim(
        "19",
        "Every stage of post-training adds collapse",
        "From the base model over supervised tuning to preferences and rewards, more families are biased." + _FOLLOWED,
        "Needs the checkpoints of such a chain.",
        TRANSFER,
        rules.hub_only,
    ),
)
