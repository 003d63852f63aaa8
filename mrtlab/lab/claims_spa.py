"""Claims of chapter 8, synthesize, partition, adapt: statements in our words, and how we test them.

SPA-01 to SPA-08 are claims of the paper (NeurIPS 2024, arXiv 2411.06722), SPA-09 to SPA-12 are questions that it
leaves open, stated so that they can fail, SPA-13 is ours. A letter behind an id marks a second test. The data is drawn
by a model of 1.7 million weights from itself: 512 pairs, where the paper has 75,000 and a model of 7 billion.
"""

from mrtlab.lab import claims_spa_remarks as remarks
from mrtlab.lab import claims_spa_rules as rules
from mrtlab.lab.verdicts import Claim, Remark, Rule

PAPER = "wen2024spa"
ADAPTERS, SHARE, DECODE = "spa_adapters", "spa_share", "spa_decode"
_OPEN = " (A question that the paper leaves open.)"


def _claim(
    number: str, title: str, statement: str, test: str, experiment: str, rule: Rule, remark: Remark | None = None
) -> Claim:
    """One of chapter 8, on the embedded model."""
    return Claim(
        id=f"SPA-{number}",
        paper=PAPER,
        chapter=8,
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
        "Parts of the data beat one adapter",
        "Adapters on parts of the data, decoded greedily, differ more than draws of one adapter at temperature .1 and "
        "are as often right; parts by influence more than lexical ones, and those more than parts by chance.",
        "Eight adapters on programs that the model drew and that passed their tests; pairs of answers that differ, "
        "pass@1 by execution, held-out wordings.",
        ADAPTERS,
        rules.beats_one,
        remarks.pairs_by_other_scores,
    ),
    _claim(
        "01b",
        "And at equal quality",
        "Parts by influence give more different right answers than one adapter at whatever temperature makes it as "
        "often right. (The paper sets them beside one adapter at .1 only.)",
        "One adapter at five temperatures, a straight line between them, seed by seed.",
        ADAPTERS,
        rules.beats_one_matched,
        remarks.matched_by_other_scores,
    ),
    _claim(
        "02",
        "One right answer in five",
        "The chance that one of five answers is right is largest with parts by influence.",
        "pass@5 of eight answers, unbiased.",
        ADAPTERS,
        rules.pass_at_five,
        remarks.passes_by_other_scores,
    ),
    _claim(
        "03",
        "There is data to spare",
        "An adapter is about as good after 15 % of the data as after all, so the data can be split.",
        "One pass over 5 to 100 % of 1,024 pairs; pass@1, greedy.",
        SHARE,
        rules.data_to_spare,
    ),
    _claim(
        "04",
        "Temperature trades right for different",
        "With temperature every method becomes more diverse and less often right; influence stays ahead and its lead "
        "narrows.",
        "Temperatures 0, .1, .3 and .5.",
        ADAPTERS,
        rules.temperature,
    ),
    _claim(
        "05",
        "Eight adapters are enough",
        "More than eight adapters do not make answers more diverse. (Below eight the paper does not look.)",
        "K = 2, 4, 8 and 12; the data set stays, so parts shrink.",
        ADAPTERS,
        rules.eight_is_enough,
    ),
    _claim(
        "06",
        "Apart is not the same as different",
        "KL between adapters and diversity of their answers rank methods alike but are not proportional.",
        "Four domains; KL per token on right answers from the even truth.",
        ADAPTERS,
        rules.kl_and_diversity,
    ),
    _claim(
        "07",
        "Words can be worse than chance",
        "On some task lexical parts are less diverse than parts by chance.",
        "Four domains; BM25+ with centred columns.",
        ADAPTERS,
        rules.lexical_can_lose,
    ),
    _claim(
        "08",
        "Normalised scores make even parts",
        "An arg max over raw scores makes parts of very different sizes; normalised columns even them out.",
        "Sizes of parts by Fisher scores raw, standardised, and within equal sizes.",
        ADAPTERS,
        rules.normalisation,
    ),
    _claim(
        "09",
        "Curvature hardly matters",
        "Products of gradients part the data as scores with curvature do." + _OPEN,
        "Dot products beside the empirical Fisher matrix, DataInf and LiSSA with Gauss-Newton products, for the same "
        "queries: who learns from what, and what the adapters say.",
        ADAPTERS,
        rules.curvature,
    ),
    _claim(
        "10",
        "Clusters beat the arg max",
        "Clusters of score rows, or of gradients without any query, make better parts than the largest score." + _OPEN,
        "k-means on standardised scores; spherical k-means on whitened gradients.",
        ADAPTERS,
        rules.clustering,
    ),
    _claim(
        "11",
        "It is the parts, not the seeds",
        "Parts by influence give more different right answers than as many adapters on all the data, and than parts by "
        "chance." + _OPEN,
        "The same number of steps for all; K seeds on all the data are the control that the paper lacks.",
        ADAPTERS,
        rules.only_seeds,
        remarks.different_by_other_scores,
    ),
    _claim(
        "12",
        "One batch for all adapters",
        "K adapters can be asked in one batch for much less than K times the price of one." + _OPEN,
        "CPU time, one thread, eight adapters, greedy, the ways in turn; tokens must be the same.",
        DECODE,
        rules.one_batch,
    ),
    _claim(
        "13",
        "Deal the answers, not the topics",
        "Parts that keep different answers to like prompts apart give more different right answers than parts by "
        "influence. (Ours, not the paper's.)",
        "Prompts clustered by their words; in a cluster every answer has its own part.",
        ADAPTERS,
        rules.dealt,
    ),
)
