"""Chapter 8, a flat map of gradient features: 512 pairs and twelve queries on the two main directions.

Three maps are measured, of unit-length gradients, of whitened ones and of standardised score rows, and the first is
drawn. On it a score is the product of two points, so a reader can do by hand what the partition does in 124,160
directions; how much of that the flat map keeps is measured too. It describes and claims nothing: one seed.

Cost: about 60 CPU-seconds.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mrtlab.lab import subject
from mrtlab.lab.registry import Table
from mrtlab.lab.spa_world import World, world
from mrtlab.spa import partition as parts
from mrtlab.spa.influence import cosine, fisher
from mrtlab.spa.partition import Partition

K = 8
DOMAIN = "programs"
DRAWN = "unit"  # where neighbours most often have the same answer
MAPS = ("unit", "whitened", "rows")
REACH = 999  # the farthest coordinate of a pair, as whole numbers: three digits are more than a screen shows
_SHOWN = 3  # shares of single directions that are kept


@dataclass(frozen=True, kw_only=True)
class MapCell:
    """One world, looked at from above."""

    domain: str
    k: int
    short: bool
    seed: int
    weights: str

    @property
    def label(self) -> str:
        """Such as "map-programs-seed0"."""
        return f"map-{self.domain}-seed{self.seed}"


@dataclass(frozen=True, eq=False)
class Flat:
    """A map.

    Attributes:
        points: (n, 2) the pairs.
        others: (m, 2) the queries.
        shares: share of the pairs' variance along each direction, the largest first.
    """

    points: Float[np.ndarray, "n 2"]
    others: Float[np.ndarray, "m 2"]
    shares: Float[np.ndarray, "n"]


def flat(products: Float[np.ndarray, "nm n"]) -> Flat:
    """Principal components from products alone: n points, centred, and m others, less the points' mean.

    With B = ⟨x_i − x̄, x_j − x̄⟩ = U diag(s²) Uᵀ a point's coordinates are U s, and those of another point v are
    ⟨v − x̄, x_i − x̄⟩ U / s; so the many directions of a gradient are never seen.

    Args:
        products: (n + m, n) of every point, then of every other, with every point.

    Returns:
        the map; directions without variance are 0. Signs are such that the farthest point of each axis is positive.

    >>> found = flat(np.array([[4.0, -4.0], [-4.0, 4.0], [2.0, -2.0]]))  # points 2 and −2 on a line, and 1
    >>> found.points[:, 0].round(6).tolist(), found.others[:, 0].round(6).tolist(), found.shares.round(6).tolist()
    ([2.0, -2.0], [1.0], [1.0, 0.0])
    """
    n = products.shape[1]
    among = products[:n]
    middle = products - products.mean(axis=1, keepdims=True) - among.mean(axis=0) + among.mean()
    square, left = np.linalg.eigh((middle[:n] + middle[:n].T) / 2)
    square, left = np.maximum(square[::-1], 0), left[:, ::-1]
    size = np.sqrt(square[:2])
    size[size <= 1e-9 * size[0]] = 0  # round-off
    points = left[:, :2] * size
    others = np.divide(middle[n:] @ left[:, :2], size, out=np.zeros((len(products) - n, 2)), where=size > 0)
    sign = np.where(points[np.abs(points).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    return Flat(points * sign, others * sign, square / (square.sum() or 1.0))


def neighbours(points: Float[np.ndarray, "n 2"], kinds: Sequence[Hashable]) -> float:
    """Share of points whose nearest other point is of the same kind.

    >>> neighbours(np.array([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0]]), ["a", "a", "b"])
    0.6666666666666666
    """
    gap = np.square(points[:, None] - points).sum(axis=2)
    np.fill_diagonal(gap, np.inf)
    return float(np.mean([kinds[i] == kinds[j] for i, j in enumerate(gap.argmin(axis=1).tolist())]))


def by_chance(kinds: Sequence[Hashable]) -> float:
    """How often two different points, drawn evenly, are of one kind: Σ c(c − 1) / n(n − 1).

    >>> round(by_chance(["a", "a", "b"]), 6)
    0.333333
    """
    n = len(kinds)
    return sum(count * (count - 1) for count in Counter(kinds).values()) / (n * (n - 1))


def cells(scale: str) -> Sequence[MapCell]:
    """The first seed of one domain."""
    return [MapCell(domain=DOMAIN, k=K, short=scale == "smoke", seed=0, weights=subject.fingerprint())]


def run_cell(cell: MapCell) -> dict[str, Any]:
    """Draw the maps of a world and compare their parts with the real ones. Returns what `summarise` says."""
    made = world(cell.domain, cell.seed, cell.short)
    real = partitions(made.columns("fisher", cell.k))
    maps = {name: flat(products) for name, products in _products(made, cell.k).items()}
    answers = [pair.answer for pair in made.data]
    specifications = [pair.question.slots[0] for pair in made.data]
    kept = made.kept(cell.k)
    return {
        "maps": {
            name: {
                "shares": one.shares[:_SHOWN].tolist(),
                "held": float(one.shares[:2].sum()),
                "same_answer": neighbours(one.points, answers),
                "same_specification": neighbours(one.points, specifications),
                "same_part": _same(partitions(one.points @ one.others[kept].T), real),
            }
            for name, one in maps.items()
        },
        "chance": {
            "same_answer": by_chance(answers),
            "same_specification": by_chance(specifications),
            "same_part": {name: _chance_of_part(maps[DRAWN], kept, name, of) for name, of in real.items()},
        },
        "drawn": _drawn(maps[DRAWN], made) | {"real": {name: of.part.tolist() for name, of in real.items()}},
        "kept": kept.tolist(),
        "design": {"k": cell.k, "n": len(made.data), "directions": made.gradients.shape[1], "domain": cell.domain},
    }


def partitions(columns: Float[np.ndarray, "n k"]) -> dict[str, Partition]:
    """The arg max of the columns as they come, of standardised ones, and within equal sizes.

    >>> {name: made.part.tolist() for name, made in partitions(np.array([[3.0, 2.0], [3.0, 1.0]])).items()}
    {'raw': [0, 0], 'standardised': [1, 0], 'even': [1, 0]}
    """
    level = parts.standardised(columns)
    return {
        "raw": parts.arg_max(columns),
        "standardised": parts.arg_max(level),
        "even": parts.arg_max_within(level),
    }


def _products(made: World, k: int) -> dict[str, Float[np.ndarray, "nm n"]]:
    """Products of pairs and queries with pairs; on the map of score rows a query is the direction of its column."""
    both = np.concatenate([made.gradients, made.targets])
    rows = parts.standardised(made.columns("fisher", k))
    own = np.zeros((len(made.targets), k))
    own[made.kept(k)] = np.eye(k)
    return {
        "unit": cosine(both, made.gradients),
        "whitened": fisher(made.gradients, both).T,
        "rows": np.concatenate([rows, own]) @ rows.T,
    }


def _same(found: dict[str, Partition], real: dict[str, Partition]) -> dict[str, float]:
    """Share of pairs in the part of the same query."""
    return {name: float(np.mean(found[name].part == real[name].part)) for name in real}


def _chance_of_part(one: Flat, kept: np.ndarray, name: str, real: Partition) -> float:
    """That share if the map's parts kept their sizes and nothing else."""
    sizes = partitions(one.points @ one.others[kept].T)[name].sizes
    return float(sizes @ real.sizes / len(one.points) ** 2)


def _drawn(one: Flat, made: World) -> dict[str, Any]:
    """Whole-number coordinates, and what every pair and query is: its specification and its expression."""
    unit = REACH / np.abs(one.points).max()
    said = [_label(pair.question.slots[0], pair.answer) for pair in made.data]
    kinds = list(dict.fromkeys(said))
    return {
        **{axis: np.rint(unit * one.points[:, i]).astype(int).tolist() for i, axis in enumerate("xy")},
        "queries": np.rint(unit * one.others).astype(int).tolist(),
        "asked": [_label(pair.question.slots[0], pair.answer) for pair in made.asked],
        "kinds": kinds,
        "kind": [kinds.index(one) for one in said],
    }


def _label(specification: str, program: str) -> str:
    """Such as "double: x + x"; the head of the function is left out.

    >>> _label("double", "def f(x): return x + x")
    'double: x + x'
    """
    return f"{specification}: {program.partition(': return ')[2] or program}"


def summarise(outcomes: Sequence[tuple[MapCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact: those of the one world.

    Returns:
        maps.MAP: shares of the first directions, held by the first two together; same_answer and same_specification,
            how often a pair's nearest neighbour on the map has it; same_part.HOW, the share of pairs that products on
            the map put to the same query as the real Fisher scores do, as they come, standardised, in equal sizes;
        chance: the same three by chance, same_part with the sizes of the drawn map's parts;
        drawn: of the map that is drawn x and y of the pairs, in whole numbers, and of all queries; labels `asked` of
            queries and `kinds` of pairs, `kind` of every pair, and `real`, the Fisher scores' parts;
        kept: the queries that are used; design.
    """
    [(_, result)] = outcomes
    return result


def table(results: dict[str, Any]) -> Table:
    """A row for each map, and one for chance."""
    rows = [
        (
            name,
            f"{one['held']:.1%}",
            f"{one['same_answer']:.1%}",
            f"{one['same_specification']:.1%}",
            f"{one['same_part']['standardised']:.1%}",
        )
        for name, one in results["maps"].items()
    ]
    chance = results["chance"]
    rows.append(
        (
            "by chance",
            "",
            f"{chance['same_answer']:.1%}",
            f"{chance['same_specification']:.1%}",
            f"{chance['same_part']['standardised']:.1%}",
        )
    )
    return Table(
        title=f"Two of {results['design']['directions']:,} directions: what a flat map of gradients keeps.",
        columns=("map", "variance held", "nearest has answer", "nearest has question", "part as Fisher's"),
        rows=tuple(rows),
    )
