"""How far a model is from a target: exact where the answers can be listed, from draws where they cannot.

Validity and shape are told apart everywhere, KL(p* ‖ p) = −log m + KL(p* ‖ p/m), and an answer counts in all its
spellings: a model that says "Kiwi" for "kiwi" has said it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import logsumexp

from mrtlab.data.targets import Target
from mrtlab.lm.encode import encode
from mrtlab.lm.listed import mass_of, shape_of
from mrtlab.lm.sampling import Sampler, sample
from mrtlab.lm.scoring import leaf_logprobs
from mrtlab.lm.tree import TokenTree
from mrtlab.theory.distributions import entropy, tv
from mrtlab.theory.metrics import coverage, entropy_mm, excess_tv

NUMBERS = ("kl", "validity_kl", "shape_kl", "mass", "tv", "entropy", "top")
_TOGETHER = 8  # prompts that are scored in one go


@dataclass(frozen=True, eq=False)
class Aimed:
    """One target and the model's exact law on its answers.

    Attributes:
        target: the law that is wanted.
        logp: (m,) log-probability that the model says the answer, in any of its spellings, nats.
        trained: (m,) log-probability of the spelling that is trained.
    """

    target: Target
    logp: Float[np.ndarray, "m"]
    trained: Float[np.ndarray, "m"]

    @property
    def p(self) -> Float[np.ndarray, "m"]:
        """Probability of each answer; what is missing to 1 is off the list."""
        return np.exp(self.logp)

    @property
    def mass(self) -> float:
        """Probability that the answer is on the list: validity, m."""
        return mass_of(self.logp)

    @property
    def shape(self) -> Float[np.ndarray, "m"]:
        """The law among listed answers, p/m."""
        return shape_of(self.logp)

    @property
    def kl(self) -> float:
        """KL(p* ‖ p), nats: what validity and shape cost together."""
        return float((self.target.law * (np.log(self.target.law) - self.logp)).sum())

    @property
    def validity_kl(self) -> float:
        """−log m, nats: the part that mass off the list costs."""
        return float(max(-logsumexp(self.logp), 0.0))

    @property
    def shape_kl(self) -> float:
        """KL(p* ‖ p/m), nats: the part that unevenness costs."""
        return float(max(self.kl + logsumexp(self.logp), 0.0))

    @property
    def loss(self) -> float:
        """−Σ p* log p of the trained spellings, nats: what training lowers. Its floor is `target.entropy`."""
        return float(-(self.target.law * self.trained).sum())

    @property
    def tv(self) -> float:
        """Total variation between target and model, all mass off the list counted. A perfect model has 0: this is the
        excess total variation of infinitely many draws."""
        off = max(0.0, 1.0 - float(self.p.sum()))
        return float(tv(np.append(self.p, off), np.append(self.target.law, 0.0)))

    @property
    def entropy(self) -> float:
        """Entropy of the shape, nats."""
        return float(max(entropy(self.shape), 0.0))

    @property
    def top(self) -> float:
        """Probability of the likeliest listed answer."""
        return float(self.p.max())

    def numbers(self) -> dict[str, float]:
        """All of `NUMBERS` by name."""
        return {name: float(getattr(self, name)) for name in NUMBERS}


@dataclass(frozen=True, eq=False)
class Counted:
    """One target and how often a model said each answer in n draws.

    Attributes:
        target: the law that is wanted.
        counts: (m + 1,) draws of each answer, in any spelling; the last number counts what is not on the list.
        off: the texts that are not on the list, each once, most frequent first.
    """

    target: Target
    counts: Int[np.ndarray, "m1"]
    off: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """How many draws."""
        return int(self.counts.sum())

    def numbers(self) -> dict[str, float]:
        """From n draws: n, valid (share on the list), excess_tv, coverage (answers found), and entropy: Miller–Madow,
        of valid draws only, 0 if there are none. nats."""
        aim = np.append(self.target.law, 0.0)
        listed = self.counts[:-1]
        return {
            "n": float(self.n),
            "valid": float(listed.sum() / self.n),
            "excess_tv": float(excess_tv(self.counts, aim)),
            "entropy": float(entropy_mm(listed)) if listed.any() else 0.0,
            "coverage": float(coverage(self.counts, aim)),
        }


def aim(
    model: Any,
    tokenizer: Any,
    targets: Sequence[Target],
    *,
    other_tokens: int = 0,
    max_tokens: int = 8192,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> list[Aimed]:
    """Exact laws of a model on the answers of targets, spellings pooled.

    Args:
        model, tokenizer: as `load_model` returns them. The model's mode is put back afterwards.
        targets: what to score.
        other_tokens: up to so many further tokenisations of every spelling are added in, see `tokenisations`. With 0
            each text is scored as its tokenizer writes it, which is nearly all of its mass.
        max_tokens: tokens that pass through the model at once.
        report: called with how many prompts are done, and how many there are.

    Raises:
        ValueError: a prompt or an answer does not fit into the model.
    """
    training = model.training
    model.eval()
    try:
        found: list[Aimed] = []
        for start in range(0, len(targets), _TOGETHER):
            some = targets[start : start + _TOGETHER]
            strings = [_strings(tokenizer, target, other_tokens) for target in some]
            trees = [TokenTree.build(prompt, ids) for prompt, ids, _ in strings]
            with torch.no_grad():
                scored = leaf_logprobs(model, trees, max_tokens=max_tokens)
            for target, (_, _, owner), logp in zip(some, strings, scored, strict=True):
                found.append(_pooled(target, owner, logp.double().cpu().numpy()))
            report(len(found), len(targets))
    finally:
        model.train(training)
    return found


def count(
    model: Any,
    tokenizer: Any,
    targets: Sequence[Target],
    *,
    n: int,
    seed: int,
    sampler: Sampler | None = None,
    max_new_tokens: int = 64,
) -> list[Counted]:
    """n answers of a model to every target's prompt, sorted into the target's answers.

    Args:
        model, tokenizer: as `load_model` returns them.
        targets: whose prompts to ask. Where answers have no end, a draw counts as the answer that it begins with.
        n: draws for each prompt. Coverage, entropy and total variation depend on it: state it beside them.
        seed: of the draws.
        sampler: how tokens are drawn; by default from the model's own law.
        max_new_tokens: longer answers are cut there.

    Raises:
        ValueError: n < 1, or a prompt is too long for the model.
    """
    training = model.training
    model.eval()
    try:
        said = sample(
            model,
            tokenizer,
            [t.prompt for t in targets],
            n=n,
            seed=seed,
            sampler=sampler,
            max_new_tokens=max_new_tokens,
        )
    finally:
        model.train(training)
    return [sort_answers(target, texts) for target, texts in zip(targets, said, strict=True)]


def sort_answers(target: Target, texts: Sequence[str]) -> Counted:
    """Count texts by the answer that each of them is, white space around it left aside.

    >>> coin = Target.of("Toss a coin.", ["heads", "tails"], variants={"heads": ["Heads"]})
    >>> found = sort_answers(coin, ["heads", "Heads", " tails", "edge"])
    >>> found.counts.tolist(), found.off
    ([2, 1, 1], ('edge',))
    """
    place = {text: i for i, spellings in enumerate(target.spellings) for text in spellings}
    counts = np.zeros(len(target.answers) + 1, dtype=np.int64)
    off: dict[str, int] = {}
    for said in texts:
        text = said.strip()
        i = place.get(said, place.get(text, -1))
        if i < 0 and not target.end:
            i = next((place[start] for start in place if text.startswith(start)), -1)
        counts[i] += 1
        if i < 0:
            off[text] = off.get(text, 0) + 1
    return Counted(target, counts, tuple(sorted(off, key=lambda text: (-off[text], text))))


def tokenisations(tokenizer: Any, ids: Sequence[int], *, limit: int) -> list[list[int]]:
    """Other ways to write a text in the tokenizer's pieces, those with the fewest pieces first.

    A model gives them a little of its mass, and a reader cannot tell them apart. Special tokens are never used.

    Args:
        tokenizer: one whose pieces, put together, are the text; for others nothing is found.
        ids: the text as the tokenizer writes it, without the token that ends it.
        limit: how many to return at most; at most one piece more than `ids` has is tried.
    """
    special = set(tokenizer.all_special_tokens)
    vocabulary = {piece: i for piece, i in tokenizer.get_vocab().items() if piece not in special}
    text = "".join(tokenizer.convert_ids_to_tokens(list(ids)))
    longest = max(map(len, vocabulary))
    found: list[list[int]] = []
    level: list[tuple[int, list[int]]] = [(0, [])]
    for _ in range(len(ids) + 1):
        grown = []
        for at, pieces in level:
            for end in range(at + 1, min(at + longest, len(text)) + 1):
                piece = vocabulary.get(text[at:end])
                if piece is not None:
                    grown.append((end, [*pieces, piece]))
        found += [pieces for end, pieces in grown if end == len(text) and pieces != list(ids)]
        if len(found) >= limit:
            break
        level = [(end, pieces) for end, pieces in grown if end < len(text)]
    return found[:limit]


def _strings(
    tokenizer: Any, target: Target, other_tokens: int
) -> tuple[list[int], list[list[int]], Int[np.ndarray, "strings"]]:
    """The prompt, every string that counts, and which answer it counts as. Trained spellings come first."""
    trained = list(target.answers)
    more = [(i, text) for i, spellings in enumerate(target.spellings) for text in spellings[1:]]
    encoded = encode(tokenizer, target.prompt, [*trained, *(text for _, text in more)], end=target.end)
    ids = list(encoded.answer_ids)
    owner = [*range(len(trained)), *(i for i, _ in more)]
    if other_tokens:
        closing = len(encode(tokenizer, target.prompt, trained[:1]).answer_ids[0]) - len(
            encode(tokenizer, target.prompt, trained[:1], end=False).answer_ids[0]
        )
        cut = closing if target.end else 0
        for i, string in zip(list(owner), list(ids), strict=True):
            body, tail = (string[:-cut], string[-cut:]) if cut else (string, [])
            for other in tokenisations(tokenizer, body, limit=other_tokens):
                ids.append(other + tail)
                owner.append(i)
    return encoded.prompt_ids, ids, np.array(owner)


def _pooled(target: Target, owner: Int[np.ndarray, "strings"], logp: Float[np.ndarray, "strings"]) -> Aimed:
    m = len(target.answers)
    pooled = np.array([logsumexp(logp[owner == i]) for i in range(m)]) if len(owner) > m else logp
    return Aimed(target, pooled, logp[:m])
