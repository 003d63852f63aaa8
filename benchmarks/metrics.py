"""Text metrics: self-BLEU, ROUGE-L and distinct-n against the usual libraries. `python -m benchmarks.metrics`."""

import importlib.util
from collections.abc import Sequence

import numpy as np

from benchmarks._timing import Comparison, interleaved, one_core, options, table, write_section
from mrtlab.theory import distinct_n, rouge_l, self_bleu
from mrtlab.theory.ngrams import number_words

MILLISECOND = ("ms", 1e-3)
FAST_BLEU_SIZES = (16, 64, 256, 1024, 4096)
AIMS = {("fast-bleu", 1024): 40.0, ("nltk", 256): 1000.0, ("rouge_score", 64): 500.0}

PREDICTION = """**Before the run.** Leave-one-out BLEU needs, for each n-gram, only its largest and second-largest
count, so the work grows with the number of words, not with the number of pairs of texts. fast-bleu knows this too
but keeps the counts in maps of strings; nltk counts every pair again. ROUGE-L is a bit-parallel longest common
subsequence, 64 words per step, against a Python table of 40 × 40 cells per pair. Earlier tests: 41× fast-bleu at
1024 texts, 1245× nltk at 256, 967× rouge_score at 64."""

BOUND = """**What bounds it.** Numbering the words, a Python dictionary look-up per word, takes {words:.2g} ms of
the {whole:.2g} ms of self-BLEU at {n} texts. The rest is two 16-bit counting sorts per n-gram length and a dozen
passes over arrays. On few texts the fixed cost of some hundred NumPy calls shows."""

VARIANTS = """**Variants.** Self-BLEU: BLEU-4, smoothing method 1, closest reference length, as nltk computes it.
fast-bleu 0.0.90 at times leaves out the brevity penalty of a text whose closest neighbour in length is longer;
nltk and we do not, and its rows show that difference. sacrebleu smooths differently, so its numbers differ (by up
to 0.1 in an earlier test). ROUGE-L: sentence F1, each unordered pair once, the same tokens on both sides. The
process is held to one core, so fast-bleu's threads share it; CPU time counts all of them."""


def zipf_texts(n_texts: int, *, rng: np.random.Generator, words: int = 40) -> list[list[str]]:
    """Texts of about 40 words, word frequencies as in natural language (Zipf, 2000 words)."""
    lengths = np.maximum(rng.normal(words, 8, n_texts), 1).astype(int)
    return [[f"w{word}" for word in rng.zipf(1.3, size=length).clip(max=2000)] for length in lengths]


def fast_bleu_scores(texts: list[list[str]]) -> list[float]:
    """fast-bleu, BLEU-4 with smoothing method 1."""
    from fast_bleu import SelfBLEU

    return SelfBLEU(texts, {4: (0.25, 0.25, 0.25, 0.25)}).get_score()[4]


def nltk_scores(texts: list[list[str]]) -> list[float]:
    """nltk, each text against all the others."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smooth = SmoothingFunction().method1
    return [sentence_bleu(texts[:i] + texts[i + 1 :], text, smoothing_function=smooth) for i, text in enumerate(texts)]


class _Words:
    """A tokenizer for rouge_score that splits at white space, as we do."""

    def tokenize(self, text: str) -> list[str]:
        """Words of a text."""
        return text.split()


def rouge_scores(texts: list[str]) -> np.ndarray:
    """rouge_score, each unordered pair once."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=_Words())
    scores = np.zeros((len(texts), len(texts)))
    for i, one in enumerate(texts):
        for j in range(i, len(texts)):
            scores[i, j] = scores[j, i] = scorer.score(one, texts[j])["rougeL"].fmeasure
    return scores


def distinct_by_sets(texts: list[list[str]], n: int) -> float:
    """distinct-n with a set of tuples."""
    grams = [tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams)


def row(work: str, peer: str, n: int, times: dict[str, float], difference: float) -> Comparison:
    """One comparison of this file, with its aim if it has one."""
    return Comparison(
        work=work,
        peer=peer,
        ours_s=times["ours"],
        peer_s=times["peer"],
        unit=MILLISECOND,
        difference=f"{difference:.0e}",
        aim=AIMS.get((peer, n)),
    )


def self_bleu_rows(peer: str, sizes: Sequence[int], *, repeats: int) -> list[Comparison]:
    """Self-BLEU-4 against one peer."""
    score = {"fast-bleu": fast_bleu_scores, "nltk": nltk_scores}[peer]
    rows = []
    for n in sizes:
        texts = zipf_texts(n, rng=np.random.default_rng(n))
        times = interleaved({"ours": lambda t=texts: self_bleu(t), "peer": lambda t=texts: score(t)}, repeats=repeats)
        difference = float(np.abs(self_bleu(texts) - np.array(score(texts))).max())
        rows.append(row(f"self-BLEU-4, {n} texts", peer, n, times, difference))
    return rows


def rouge_rows(n: int, *, repeats: int) -> list[Comparison]:
    """ROUGE-L of all pairs."""
    texts = [" ".join(words) for words in zipf_texts(n, rng=np.random.default_rng(n))]
    times = interleaved({"ours": lambda: rouge_l(texts), "peer": lambda: rouge_scores(texts)}, repeats=repeats)
    difference = float(np.abs(rouge_l(texts) - rouge_scores(texts)).max())
    return [row(f"ROUGE-L, all pairs of {n} texts", "rouge_score", n, times, difference)]


def distinct_rows(n: int, *, repeats: int) -> list[Comparison]:
    """distinct-3 against a Python set."""
    texts = zipf_texts(n, rng=np.random.default_rng(n))
    times = interleaved(
        {"ours": lambda: distinct_n(texts, 3), "peer": lambda: distinct_by_sets(texts, 3)}, repeats=repeats
    )
    difference = abs(distinct_n(texts, 3) - distinct_by_sets(texts, 3))
    return [row(f"distinct-3, {n} texts", "a set of tuples", n, times, difference)]


def bound(n: int, *, repeats: int) -> str:
    """Where the time of self-BLEU goes."""
    texts = zipf_texts(n, rng=np.random.default_rng(n))
    times = interleaved({"words": lambda: number_words(texts), "whole": lambda: self_bleu(texts)}, repeats=repeats)
    return BOUND.format(n=n, **{name: seconds * 1e3 for name, seconds in times.items()})


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and write the section."""
    chosen = options(argv)
    one_core()
    repeats, tiny = (1, True) if chosen.tiny else (7, False)
    rows, missing = [], []
    for module, peer, sizes in (
        ("fast_bleu", "fast-bleu", (8,) if tiny else FAST_BLEU_SIZES),
        ("nltk", "nltk", (8,) if tiny else (64, 256)),
    ):
        if importlib.util.find_spec(module):
            rows += self_bleu_rows(peer, sizes, repeats=repeats)
        else:
            missing.append(peer)
    if importlib.util.find_spec("rouge_score"):
        rows += rouge_rows(8 if tiny else 64, repeats=repeats)
    else:
        missing.append("rouge_score")
    rows += distinct_rows(8 if tiny else 2000, repeats=repeats)
    parts = ["## Text metrics", PREDICTION, table(rows), bound(8 if tiny else 1024, repeats=repeats), VARIANTS]
    if missing:
        parts.append(f"Not installed here, so their rows are missing: {', '.join(missing)}.")
    packages = ("rapidfuzz", "fast-bleu", "nltk", "rouge-score")
    write_section("metrics", "\n\n".join(parts), out=chosen.out, packages=packages)


if __name__ == "__main__":
    main()
