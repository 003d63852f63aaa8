"""New documents of the kinds that the embedded model was pre-trained on, and how likely a model finds them.

Each is a question in words that pre-training never used, with an answer drawn from the law that it was taught. Some
have nothing to do with picking at random, some are about just that: a model that becomes even must find the latter
less likely, since what it was taught there is uneven.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mrtlab.data.tasks import Question, family
from mrtlab.lab.diffuse_data import FLAT

N_DOCUMENTS = 120  # of each kind
_TOGETHER = 64  # rows that pass through the model at once
_ASKED, _DRAWS = 12, 12  # questions whose answers are checked, and answers drawn to each
_LONGEST = 96  # tokens of a drawn answer


@dataclass(frozen=True)
class Texts:
    """A kind of document.

    Attributes:
        families: where its questions come from, all as often.
        kinds: which of their questions; none for any.
        picks: whether it is about picking one of many, evenly or not.
    """

    families: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    picks: bool = False


TEXTS: Mapping[str, Texts] = {
    "facts": Texts(("facts",)),
    "stories": Texts(("stories",), ("tone",)),
    "stories_open": Texts(("stories",), ("random",)),  # the tone is the teller's choice, and taught unevenly
    "programs": Texts(("programs",), ("random",)),  # so is the solution
    "biographies": Texts(("biographies",), ("random",), picks=True),
    "laws": Texts(("numbers",), ("binomial", "zipf"), picks=True),  # numbers by a law that is named
    "fair": Texts((*FLAT, "numbers"), ("uniform",), picks=True),
    "casual": Texts((*FLAT, "numbers"), ("random",), picks=True),
}
UNRELATED = tuple(name for name, texts in TEXTS.items() if not texts.picks)
CHECKED = ("stories", "programs")  # families whose drawn answers are checked

Documents = dict[str, list[tuple[str, str]]]


def documents(n: int = N_DOCUMENTS) -> Documents:
    """n documents of each kind, prompt and answer, the same in every run."""
    found: Documents = {}
    for place, (name, texts) in enumerate(TEXTS.items()):
        rng = np.random.default_rng([14, place])
        found[name] = []
        while len(found[name]) < n:
            asked = family(texts.families[len(found[name]) % len(texts.families)])
            question = _worded_anew(asked.name, texts.kinds, rng)
            found[name].append((question.text, asked.sample_taught(question, 1, rng=rng)[0]))
    return found


def score(
    model: Any, tokenizer: Any, some: Sequence[tuple[str, str]]
) -> tuple[Float[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """−log p(answer | prompt) of documents, nats, and the tokens of each answer, its end included.

    Args:
        model, tokenizer: as `load_model` returns them.
        some: prompts with their answers.
    """
    import torch

    from mrtlab.lm.encode import encode
    from mrtlab.training.anchor import AnchorRows, next_logp

    encoded = [encode(tokenizer, prompt, [answer]) for prompt, answer in some]
    rows = AnchorRows.build([(one.prompt_ids, one.answer_ids[0]) for one in encoded])
    tokens = rows.counted.sum(1).numpy()
    order = np.argsort([len(one.prompt_ids) + len(one.answer_ids[0]) for one in encoded], kind="stable")
    nll = np.zeros(len(some))
    with torch.no_grad():
        for start in range(0, len(some), _TOGETHER):
            chosen = order[start : start + _TOGETHER]
            part = rows.take(torch.as_tensor(chosen))
            logp = next_logp(model, part)
            following = part.tokens[:, 1:][part.counted].to(logp.device)
            said = logp.gather(1, following[:, None])[:, 0].double().cpu().numpy()
            nll[chosen] = -np.bincount(part.counted.nonzero()[:, 0].numpy(), weights=said, minlength=len(chosen))
    return nll, tokens


def validity(model: Any, tokenizer: Any, *, seed: int) -> dict[str, list[float]]:
    """Share of the model's own stories and programs that are right, question by question.

    A story is right if the grammar can tell it on that topic in that tone, a program if it passes its tests.
    """
    from mrtlab.lm.sampling import sample

    found = {}
    for place, name in enumerate(CHECKED):
        rng = np.random.default_rng([15, place])
        asked = [_worded_anew(name, ("tone",) if name == "stories" else ("random",), rng) for _ in range(_ASKED)]
        said = sample(model, tokenizer, [q.text for q in asked], n=_DRAWS, seed=seed, max_new_tokens=_LONGEST)
        found[name] = [
            float(np.mean([family(name).valid(q, answer) for answer in answers]))
            for q, answers in zip(asked, said, strict=True)
        ]
    return found


def open_prompts(n: int) -> list[str]:
    """n questions each for a story and for a program, in words of pre-training: anchors that are no facts."""
    rng = np.random.default_rng(16)
    return [q.text for name in CHECKED for q in family(name).questions(n, rng=rng)]


def _worded_anew(name: str, kinds: Sequence[str], rng: np.random.Generator) -> Question:
    """A question of one of these kinds that is new in its words only, not in what it is about."""
    while True:
        question = family(name).ask(rng=rng, split="held_out")
        if (not kinds or question.kind in kinds) and "slot" not in question.slots:
            return question
