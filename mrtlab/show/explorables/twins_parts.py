"""What chapter 8's map of gradient features computes and says: the twin of ``parts.js``.

Queries stand on a flat map of gradients; a pair's score is its product with the query, and the largest score has it.
"""

import re
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mrtlab.lab import artifacts
from mrtlab.show.explorables.common import Data, State, Table, Value, fixed, percent
from mrtlab.spa.partition import arg_max, arg_max_within, standardised

HOW = {"raw": "as they come", "standardised": "standardised", "even": "standardised, equal sizes"}
LETTERS = "ABCDEFGH"
LIMIT = 1200  # how far out a query may stand; the farthest coordinate of a pair is 999
_NAMED = 6  # specifications whose place on the map is written there …
_FEW, _OUT = 6, 350  # … if they have so many pairs, so far out
_APART = (620, 130)  # two names are this far apart, across or up, so that a phone can show both

_FAR = "1200.-900"
_RING = "0.900_636.636_900.0_636.-636_0.-900_-636.-636_-900.0_-636.636"
EDGES: tuple[dict[str, Value], ...] = (
    *({"how": how, "k": k} for how in HOW for k in (2, 5)),
    *({"how": how, "at": _FAR} for how in HOW),  # one far out: raw it takes its side, standardised nothing changes
    *({"how": how, "at": _RING} for how in HOW),
    *({"how": how, "k": 3, "at": "300.300_300.300_-500.100"} for how in HOW),  # two on one spot
    *({"how": how, "k": 4, "at": "0.0_0.0_0.0_0.0"} for how in HOW),  # all in the middle: no score at all
    {"how": "standardised", "k": 3, "at": "200.100_400.200_-200.-100"},  # one direction: distance does not count
    {"how": "even", "k": 3, "at": "200.100_400.200_-200.-100"},
    {"how": "even", "k": 7},  # 512 is no multiple of 7
    {"k": 2, "at": "9999.-99999_7"},  # out of the map; half a place is none
    {"k": 3, "at": "<b>12</b> 30 none"},
)
EXAMPLES: tuple[dict[str, Value], ...] = (
    {"how": "raw", "k": 8, "at": _FAR},
    {"how": "standardised", "k": 8, "at": _FAR},
    {"how": "raw", "k": 3, "at": "300.300_300.300_-500.100"},
    {"how": "even", "k": 3, "at": "300.300_300.300_-500.100"},
    {"how": "standardised", "k": 8, "at": _RING},
    {"how": "raw", "k": 4, "at": "150.100_-900.-700_120.-80_-60.140"},
    {"how": "standardised", "k": 4, "at": "150.100_-900.-700_120.-80_-60.140"},
    {"how": "even", "k": 8, "at": ""},
    {"how": "raw", "k": 2, "at": "700.0_-700.40"},
)

Places = Int[np.ndarray, "k 2"]
Scores = Float[np.ndarray, "n k"]


@cache
def given() -> dict[str, Any]:
    """The map, from chapter 8's artifact.

    Returns:
        x, y of the pairs; home, where the queries stand at first; asked, what each is; of, the specification of every
        pair by its place in `names`; real, the parts of the real scores, a digit for each pair; marks, names to write
        on the map with x and y; held, the share of variance; directions.

    Raises:
        ArtifactMissing: the experiment has not been run.
    """
    results = artifacts.load("spa_map", "book").results
    drawn = results["drawn"]
    home = [drawn["queries"][j] for j in results["kept"]]
    specifications = [label.partition(":")[0] for label in drawn["kinds"]]
    of_pairs = [specifications[kind] for kind in drawn["kind"]]
    names = sorted(set(of_pairs))
    return {
        "x": drawn["x"],
        "y": drawn["y"],
        "home": home,
        "asked": [drawn["asked"][j] for j in results["kept"]],
        "names": names,
        "of": [names.index(name) for name in of_pairs],
        "real": {how: "".join(map(str, part)) for how, part in drawn["real"].items()},
        "marks": _marks(np.column_stack([drawn["x"], drawn["y"]]), np.array(of_pairs), np.array(home)),
        "held": results["maps"]["unit"]["held"],
        "directions": results["design"]["directions"],
    }


def _marks(points: Int[np.ndarray, "n 2"], of_pairs: np.ndarray, home: Places) -> list[list[Any]]:
    """The specifications that lie closest together for how far out they are, as far as their names have room."""
    tight = []
    for name in np.unique(of_pairs).tolist():
        mine = points[of_pairs == name]
        middle = np.median(mine, axis=0)
        spread = np.sqrt(np.square(mine - middle).sum(axis=1)).mean()
        far = np.hypot(*middle)
        if len(mine) >= _FEW and far > _OUT:
            tight.append((-float(far / (1 + spread)), name, np.rint(middle).astype(int)))
    kept: list[list[Any]] = []
    for _, name, (x, y) in sorted(tight, key=lambda one: one[:2]):
        clear = all(abs(x - a) > _APART[0] or abs(y - b) > _APART[1] for _, a, b in kept)
        free = (np.abs(home - [x, y + _APART[1]]) > [_APART[0] / 2, _APART[1]]).any(axis=1).all()  # a name is above
        if clear and free and len(kept) < _NAMED:
            kept.append([name, int(x), int(y)])
    return kept


def places(state: State) -> Places:
    """Where all eight queries stand: the pairs of numbers of a text, and for what is missing the place at first.

    >>> places({"at": "5.-7_12"}).shape, places({"at": "5.-7_12"})[0].tolist()
    ((8, 2), [5, -7])
    """
    found = [int(number) for number in re.findall(r"-?[0-9]+", state["at"])[: 2 * len(LETTERS)]]
    at = np.array(given()["home"])
    for i in range(len(found) // 2):
        at[i] = [max(-LIMIT, min(LIMIT, value)) for value in found[2 * i : 2 * i + 2]]
    return at


def _nine(values: np.ndarray) -> np.ndarray:
    """Nine decimals: so that scores which are equal are equal in both languages, and of equals the first wins."""
    return np.floor(1e9 * values + 0.5) / 1e9


def scores(state: State) -> Scores:
    """Of every pair for each of the K queries: products on the map, or these standardised."""
    at, pairs = places(state)[: state["k"]], given()
    raw = np.outer(pairs["x"], at[:, 0]) + np.outer(pairs["y"], at[:, 1]) + 0.0
    return raw if state["how"] == "raw" else _nine(standardised(raw))


def parts(state: State) -> Data:
    """The parts that queries at these places make.

    S[i, k] = x_i·X_k + y_i·Y_k, each pair to its largest score; standardised, a column is divided by its spread, so
    that the distance of a query from the middle drops out; in equal sizes no part holds more than ⌈n/K⌉.

    Args:
        state: k queries, how (a key of `HOW`), at (their places as a text).

    Returns:
        at (K places), part (n), sizes (K), largest and smallest (places of parts), over (the largest size over an even
        one), given_up (share of the total score that equal sizes cost), spot (two queries on one spot, or None),
        same and chance (share of pairs in the part where the real scores put them, and of a shuffled one; None unless
        all eight queries stand where they stood), mostly (each part's most frequent specification, "" if it is empty).

    >>> data = parts({"k": 4, "how": "even", "at": ""})
    >>> data["sizes"], data["over"]
    ([128, 128, 128, 128], 1.0)
    """
    k, how = state["k"], state["how"]
    table = scores(state)
    made = arg_max_within(table) if how == "even" else arg_max(table)
    sizes, n = made.sizes, len(table)
    free, total = table.max(axis=1).sum(), table[np.arange(n), made.part].sum()
    at = places(state)[:k]
    names, of_pairs = given()["names"], given()["of"]
    counts = [Counter(names[of_pairs[i]] for i in members) for members in made.members()]
    same = chance = None
    if k == len(LETTERS) and (at == given()["home"]).all():
        real = np.array([int(digit) for digit in given()["real"][how]])
        same = float((real == made.part).mean())
        chance = float(sizes @ np.bincount(real, minlength=k)) / n**2
    spots = [(a, b) for b in range(k) for a in range(b) if (at[a] == at[b]).all()]
    return {
        "at": at.tolist(),
        "part": made.part.tolist(),
        "sizes": sizes.tolist(),
        "largest": int(sizes.argmax()),
        "smallest": int(sizes.argmin()),
        "over": float(sizes.max()) * k / n,
        "given_up": float(_nine(np.array([1 - total / free]))[0]) if how == "even" and free > 0 else 0.0,
        "spot": list(min(spots)) if spots else None,
        "same": same,
        "chance": chance,
        "mostly": [min(count, key=lambda name: (-count[name], name)) if count else "" for count in counts],
    }


def _how_even(data: Data, state: State) -> str:
    sizes, n = data["sizes"], sum(data["sizes"])
    if state["how"] == "even":
        return f"No part holds more than <b>{max(sizes)}</b> of the {n} pairs, an even share."
    if max(sizes) - min(sizes) <= 1:
        return f"Every part holds <b>{percent(max(sizes) / n)}</b> of the {n} pairs."
    most, least = LETTERS[data["largest"]], LETTERS[data["smallest"]]
    few = percent(min(sizes) / n) if min(sizes) else "nothing"
    return (
        f"The largest part, {most}, holds <b>{percent(max(sizes) / n)}</b> of the {n} pairs, the smallest, {least}, "
        f"<b>{few}</b>: {fixed(data['over'], 1)} times an even share."
    )


def _lesson(data: Data, state: State) -> str:
    how, empty = state["how"], data["sizes"].count(0)
    if data["spot"]:
        a, b = (LETTERS[i] for i in data["spot"])
        ends = "equal sizes share its pairs out." if how == "even" else f"of equals the first wins, so {b} has nothing."
        return f"{a} and {b} stand on one spot: {ends}"
    if how == "even":
        return f"Equal sizes give up {percent(data['given_up'])} of the total score."
    if how == "standardised":
        return "How far out a query stands no longer counts, only its direction."
    if empty:
        who = "One query has" if empty == 1 else f"{empty} queries have"
        return f"{who} nothing: for every pair another one scores more."
    return "A query far out has large scores and takes from those nearer the middle."


def parts_sentence(data: Data, state: State) -> str:
    """The line under the map, as HTML; never holds what was typed."""
    return f"{_how_even(data, state)} {_lesson(data, state)}"


def _keeps(data: Data) -> str:
    """How much of the real partition the map keeps."""
    if data["same"] is None:
        return ""
    return f" All directions agree on {percent(data['same'])} of the pairs (chance: {percent(data['chance'])})."


def _place(at: list[int]) -> str:
    return f"{at[0]}, {at[1]}".replace("-", "−")


def parts_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the map is told."""
    n = sum(data["sizes"])
    each = [
        f"{LETTERS[i]} at {_place(at)} has {size} ({percent(size / n)})"
        for i, (at, size) in enumerate(zip(data["at"], data["sizes"], strict=True))
    ]
    return (
        f"Map of {n} training pairs by the two main directions of their gradients, and {state['k']} queries on it, "
        f"with the pairs that each gets. Scores {HOW[state['how']]}: {'; '.join(each)}. Beside the map a bar for each "
        f"part, with a line at the even share.{_keeps(data)}"
    )


def parts_table(data: Data, state: State) -> Table:
    """Every query: what it asked at first, its place, and its part."""
    n, even = sum(data["sizes"]), sum(data["sizes"]) / state["k"]
    columns = ["query", "at first", "place", "pairs", "share", "of an even share", "most frequent"]
    rows = [
        [
            LETTERS[i],
            given()["asked"][i],
            _place(data["at"][i]),
            str(size),
            percent(size / n),
            fixed(size / even, 2),
            data["mostly"][i] or "none",
        ]
        for i, size in enumerate(data["sizes"])
    ]
    return {"columns": columns, "rows": rows}
