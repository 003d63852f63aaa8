"""How even a model's biographies are, field by field: draws, and the exact law of each line given the lines drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.data.tasks import words
from mrtlab.data.tasks.facts import COUNTRY_OF
from mrtlab.lab.diffuse_biographies_data import (
    FIELDS,
    GENDERS,
    VALUES,
    beginning_of,
    line,
    parity_target,
    read,
    whole,
)

MET = 40  # draws of "how many different values": as many as there are names, and cities
_LONGEST = 72  # tokens of a biography; whole ones take about 40
_SHUFFLES = 50
_TOKENS = 8192  # that pass through the model at once
_TINY = 1e-300

Laws = dict[str, Float[np.ndarray, "draws _values"]]


def look(model: Any, tokenizer: Any, prompts: Sequence[str], *, n: int, exact: int, seed: int) -> dict[str, Any]:
    """Draws of biographies and numbers about them, each the mean over prompts.

    Args:
        model, tokenizer: as `load_model` returns them.
        prompts: wordings.
        n: draws for each of them.
        exact: of these draws, how many are followed line by line.
        seed: of the draws.

    Returns:
        fields.FIELD: see `field_numbers`; parity: see `parity_numbers`; valid: share of draws that are whole
        biographies; distinct: share of the n draws that are whole and like none before them; broken.FIELD: share of
        draws whose first line that cannot be read is this one; met.FIELD: different values in
        the first 40 draws; texts: the draws of each prompt.
    """
    from mrtlab.lm.sampling import sample

    rows, texts = [], []
    model.eval()
    for prompt in prompts:
        drawn = sample(model, tokenizer, [prompt], n=n, seed=seed, max_new_tokens=_LONGEST)[0]
        said = [read(text) for text in drawn]
        laws = line_laws(model, tokenizer, prompt, said[:exact])
        rows.append(
            {
                "fields": field_numbers(laws),
                "parity": parity_numbers(laws, said[:exact], rng=np.random.default_rng([23, seed])),
                "valid": float(np.mean([whole(text) for text in drawn])),
                "distinct": len({text for text in drawn if whole(text)}) / n,
                "broken": {
                    field: float(np.mean([len(values) == i for values in said])) for i, field in enumerate(FIELDS)
                },
                "met": {
                    field: float(len({values[i] for values in said[:MET] if len(values) > i}))
                    for i, field in enumerate(FIELDS)
                },
            }
        )
        texts.append(drawn)
    return _mean(rows) | {"texts": texts}


def line_laws(model: Any, tokenizer: Any, prompt: str, said: Sequence[Sequence[str]]) -> Laws:
    """The exact law of every line's values, given the lines before it, for each draw whose lines so far can be read.

    Args:
        said: values of each draw, as `read` gives them.

    Returns:
        {field: (draws, values)} probabilities; what is missing to 1 is off the list. "name" has one row, since nothing
        stands before it; "gender" has a row for every name, drawn or not.
    """
    wanted = {"name": [()], "gender": [(name,) for name in VALUES["name"]]} | {
        field: [tuple(values[:i]) for values in said if len(values) >= i] for i, field in enumerate(FIELDS) if i > 1
    }
    texts: dict[tuple[str, bool], int] = {}

    def place(text: str, end: bool = False) -> int:
        return texts.setdefault((text, end), len(texts))

    # The last line counts with its end; every other is settled where its value is.
    rows = {
        field: [
            (
                place(_before(lines)) if lines else -1,
                [place(_before(lines) + beginning_of(field, v), field == FIELDS[-1]) for v in VALUES[field]],
            )
            for lines in some
        ]
        for field, some in wanted.items()
    }
    logp = np.append(_log_probabilities(model, tokenizer, prompt, list(texts)), 0.0)  # −1: nothing said yet
    return {
        field: np.exp(
            np.array([logp[values] - logp[before] for before, values in some]).reshape(-1, len(VALUES[field]))
        )
        for field, some in rows.items()
    }


def _before(lines: Sequence[str]) -> str:
    """Whole lines, each with its line break."""
    return "".join(line(field, value) + "\n" for field, value in zip(FIELDS, lines, strict=False))


def _log_probabilities(model: Any, tokenizer: Any, prompt: str, texts: Sequence[tuple[str, bool]]) -> np.ndarray:
    """Log-probability that what is said begins with a text, or is it where it comes with an end, nats."""
    import torch

    from mrtlab.lm.encode import closing_ids, encode
    from mrtlab.lm.scoring import leaf_logprobs
    from mrtlab.lm.tree import TokenTree

    encoded = encode(tokenizer, prompt, [text for text, _ in texts], end=False)
    closing = closing_ids(tokenizer)
    ids = [own + (closing if end else []) for own, (_, end) in zip(encoded.answer_ids, texts, strict=True)]
    with torch.no_grad():
        found = leaf_logprobs(model, [TokenTree.build(encoded.prompt_ids, ids)], max_tokens=_TOKENS)[0]
    return found.double().cpu().numpy()


def field_numbers(laws: Laws) -> dict[str, dict[str, float]]:
    """Numbers of each field's law, the mean over draws of the exact laws; gender's is over names as they are drawn.

    Returns:
        for each field: entropy (of the shape, over the log of the number of values), within (the same of each draw's
        law, averaged: below `entropy` as far as a line depends on those before it), tv (to even, all mass off the
        list counted), mass (on the list), met (different values expected in 40 draws).
    """
    found = {}
    for field, known in laws.items():
        rows = known if len(known) else np.zeros((1, len(VALUES[field])))  # no draw came so far: nothing can be said
        weights = _shapes(laws["name"][0]) if field == "gender" else np.full(len(rows), 1 / len(rows))
        law = weights @ rows
        most = np.log(rows.shape[1])
        found[field] = {
            "entropy": float(_entropy(law) / most),
            "within": float(weights @ _entropy(rows) / most),
            "tv": 0.5 * float(np.abs(law - 1 / len(law)).sum() + max(0.0, 1 - law.sum())),
            "mass": float(law.sum()),
            "met": float(-np.expm1(MET * np.log1p(-np.minimum(law, 1 - 1e-12))).sum()),
        }
    return found


def parity_numbers(laws: Laws, said: Sequence[Sequence[str]], *, rng: np.random.Generator) -> dict[str, float]:
    """How far gender and place are from the stated targets, and what gender tells about the job.

    The law of gender is exact; that of the country, and of the job, given a gender is the mean over draws of that
    gender. All are laws among valid values.

    Returns:
        woman: p(woman); even_gender, even_country, even_both, tilted_…: total variation to the two targets;
        job, country: mutual information of gender with them, nats; job_chance, country_chance: its mean where genders
        are shuffled among the draws, which is what so few draws give if there is nothing to find.
    """
    gender = _shapes(laws["name"][0]) @ _shapes(laws["gender"])
    nation = np.zeros((len(VALUES["city"]), len(words.COUNTRIES)))
    for i, city in enumerate(VALUES["city"]):
        nation[i, words.COUNTRIES.index(COUNTRY_OF[city])] = 1.0
    places = _shapes(laws["city"]) @ nation
    jobs = _shapes(laws["job"])
    at_home = np.array([v[1] for v in said if len(v) >= FIELDS.index("city")])
    at_work = np.array([v[1] for v in said if len(v) >= FIELDS.index("job")])
    found = {"woman": float(gender[0])}
    both = gender[:, None] * _given(places, at_home)
    for name_of, tilted in (("even", False), ("tilted", True)):
        target = parity_target(tilted=tilted)
        seen = {"gender": gender, "country": both.sum(0), "both": both}
        found |= {f"{name_of}_{k}": 0.5 * float(np.abs(seen[k] - target[k]).sum()) for k in seen}
    for what, rows, who in (("job", jobs, at_work), ("country", places, at_home)):
        found[what] = _told(gender, _given(rows, who))
        found[f"{what}_chance"] = float(
            np.mean([_told(gender, _given(rows, rng.permutation(who))) for _ in range(_SHUFFLES)])
        )
    return found


def _given(rows: Float[np.ndarray, "draws k"], who: np.ndarray) -> Float[np.ndarray, "2 k"]:
    """Mean law of the draws of each gender; of all draws for one that was never drawn; even if nothing was."""
    if not len(rows):
        return np.full((len(GENDERS), rows.shape[1]), 1 / rows.shape[1])
    return np.array([rows[who == g].mean(0) if (who == g).any() else rows.mean(0) for g in GENDERS])


def _told(gender: Float[np.ndarray, "2"], given: Float[np.ndarray, "2 k"]) -> float:
    """Mutual information of gender and a value, nats."""
    law = gender @ given
    return float((gender[:, None] * given * (np.log(np.maximum(given, _TINY)) - np.log(np.maximum(law, _TINY)))).sum())


def _shapes(rows: Float[np.ndarray, "*rows k"]) -> Float[np.ndarray, "*rows k"]:
    return rows / np.maximum(rows.sum(-1, keepdims=True), _TINY)


def _entropy(p: Float[np.ndarray, "*rows k"]) -> Any:
    """Entropy of the shape, nats."""
    shape = _shapes(p)
    return -(shape * np.log(np.maximum(shape, _TINY))).sum(-1)


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Entry by entry."""
    return {
        key: _mean([row[key] for row in rows]) if isinstance(value, Mapping) else float(np.mean([r[key] for r in rows]))
        for key, value in rows[0].items()
    }
