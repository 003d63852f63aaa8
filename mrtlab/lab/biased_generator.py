"""Biased generator: three equally right answers, and a generator that hardly ever writes two of them.

The multi-response training paper's experiment 7 as a table instead of a small transformer: generator .95/.04/.01,
rewards 1.00/.97/.96 with noise .02, 32 candidates per prompt. A model that learns exactly what it is shown ends
with the share that each answer has among the kept ones. Random and best-of-N choice have closed forms; the others
are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from mrtlab.lab.registry import Table
from mrtlab.lab.seed_means import over_seeds
from mrtlab.lab.selectors import COOL, WARM, unit
from mrtlab.theory import kl, tv
from mrtlab.theory.selection import facility_location, softmax_k, top_k

GENERATOR = np.array([0.95, 0.04, 0.01])
TRUTH = np.full(3, 1 / 3)
REWARD, NOISE = np.array([1.00, 0.97, 0.96]), 0.02
N, KS = 32, (1, 2, 4, 8)
SWEEP_K = 4
SWEEP = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0)
OTHER = {"flat": 0.5, "sharp": 0.0}  # similarity of different answers: the paper's (1 + cos)/2 at cos = 0, or cos
_STREAM = 41

Share = Float[np.ndarray, " modes"]


@dataclass(frozen=True, kw_only=True)
class GeneratorCell:
    """One seed: this many pools of N candidates."""

    pools: int
    seed: int

    @property
    def label(self) -> str:
        """Such as "seed3"."""
        return f"seed{self.seed}"


def cells(scale: str) -> Sequence[GeneratorCell]:
    """One cell per seed."""
    pools, seeds = {"smoke": (200, 2), "book": (5000, 10), "full": (50000, 20)}[scale]
    return [GeneratorCell(pools=pools, seed=seed) for seed in range(seeds)]


def run_cell(cell: GeneratorCell) -> dict[str, Any]:
    """Select from the same pools by every rule.

    Returns:
        kept: {"k4": {selector: how often each answer was kept}};
        sweep: {"flat" or "sharp": one such count per alpha of `SWEEP`}, at K = 4;
        seen: share of the pools that hold each answer at least once.
    """
    rng = np.random.default_rng([_STREAM, cell.seed])
    mode = rng.choice(3, p=GENERATOR, size=(cell.pools, N))
    reward = REWARD[mode] + NOISE * rng.standard_normal(mode.shape)
    same = mode[:, :, None] == mode[:, None, :]
    similarity = {name: np.where(same, 1.0, other) for name, other in OTHER.items()}
    kept = {}
    for k in KS:
        picks = {
            "top_k": top_k(reward, k),
            "softmax_warm": softmax_k(unit(reward), k, temperature=WARM, rng=rng),
            "softmax_cool": softmax_k(unit(reward), k, temperature=COOL, rng=rng),
            "dkon": facility_location(similarity["flat"], k),
        } | {
            name + "_a75": facility_location(similarity[form], k, reward=reward, alpha=0.75)
            for name, form in (("dbkon", "flat"), ("dbkon_sharp", "sharp"))
        }
        kept[f"k{k}"] = {name: count(mode, pick) for name, pick in picks.items()}
    sweep = {
        form: [count(mode, facility_location(s, SWEEP_K, reward=reward, alpha=a)) for a in SWEEP]
        for form, s in similarity.items()
    }
    return {"kept": kept, "sweep": sweep, "seen": [float((mode == m).any(1).mean()) for m in range(3)]}


def count(mode: Int[np.ndarray, "pools n"], pick: Int[np.ndarray, "pools k"]) -> list[int]:
    """How often each of the three answers is among the kept ones."""
    return np.bincount(np.take_along_axis(mode, pick, axis=1).ravel(), minlength=3).tolist()


def top_k_share(k: int) -> Share:
    """Exact share of each answer among the K best-rewarded of N candidates.

    A candidate of mode m with reward r is kept when at most K − 1 of the N − 1 others beat it:
    share_m = (N/K) q_m ∫ φ_m(r) P(Binomial(N − 1, tail(r)) ≤ K − 1) dr, tail(r) = Σ q_m P(reward > r | m).

    >>> bool(np.isclose(top_k_share(4).sum(), 1))
    True
    """
    r = np.linspace(REWARD.min() - 8 * NOISE, REWARD.max() + 8 * NOISE, 4001)
    tail = (GENERATOR[:, None] * stats.norm.sf(r, REWARD[:, None], NOISE)).sum(0)
    kept = stats.binom.cdf(k - 1, N - 1, tail)
    density = GENERATOR[:, None] * stats.norm.pdf(r, REWARD[:, None], NOISE)
    return N / k * (density * kept).sum(1) * (r[1] - r[0])


def distances(share: Float[np.ndarray, "*batch modes"]) -> dict[str, np.ndarray]:
    """How far what is learned is from the truth and from the generator.

    Returns:
        kl: KL(truth ‖ learned), nats: the test loss above its floor; tv: total variation from the truth;
        tv_generator: from the generator.
    """
    truth, generator = (np.broadcast_to(p, share.shape) for p in (TRUTH, GENERATOR))
    return {
        "kl": np.asarray(kl(truth, share)),
        "tv": np.asarray(tv(truth, share)),
        "tv_generator": np.asarray(tv(generator, share)),
    }


def summarise(outcomes: Sequence[tuple[GeneratorCell, dict[str, Any]]]) -> dict[str, Any]:
    """Results of the artifact.

    Returns:
        kK.SELECTOR: share (what a model learns, three numbers) and `distances`; where drawn, as mean, lo and hi
            over seeds; random and top_k are exact, and there lo = mean = hi. Half an imaginary answer is added to
            each count, so that an answer never kept does not make KL infinite.
        sweep.FORM: share0, share1, share2, kl and tv against `alpha`, at K = 4;
        seen: exact share of pools that hold each answer; check: largest gap between the exact best-of-N share and the
            drawn one, in standard errors.
    """
    cells = [result for _, result in outcomes]
    results: dict[str, Any] = {}
    gaps: list[float] = []
    for k in KS:
        block: dict[str, Any] = {"random": _exact(GENERATOR), "top_k": _exact(top_k_share(k))}
        for name in cells[0]["kept"][f"k{k}"]:
            drawn = _shares(np.array([cell["kept"][f"k{k}"][name] for cell in cells]))
            if name == "top_k":
                gaps.append(_gap(np.array([cell["kept"][f"k{k}"][name] for cell in cells]), top_k_share(k), k))
            else:
                block[name] = _drawn(drawn)
        results[f"k{k}"] = block
    sweep = {}
    for form in OTHER:
        shares = _shares(np.array([cell["sweep"][form] for cell in cells]))
        sweep[form] = {f"share{m}": over_seeds(shares[..., m]) for m in range(3)} | {
            name: over_seeds(v) for name, v in distances(shares).items()
        }
    return results | {
        "sweep": sweep | {"alpha": list(SWEEP), "k": SWEEP_K},
        "seen": (1 - (1 - GENERATOR) ** N).tolist(),
        "check": max(gaps),
        "truth": TRUTH.tolist(),
        "generator": GENERATOR.tolist(),
        "design": {
            "candidates": N,
            "k": list(KS),
            "noise": NOISE,
            "other": OTHER,
            "pools": outcomes[0][0].pools,
            "reward": REWARD.tolist(),
            "seeds": len(cells),
        },
    }


def _gap(counts: np.ndarray, exact: Share, k: int) -> float:
    """Largest distance of drawn shares from exact ones, in standard errors.

    Kept answers of one pool are alike, so the error counts each pool as a single draw: never too small.
    """
    total = counts.sum(0)
    error = np.sqrt(exact * (1 - exact) / (total.sum() / k))
    return float(np.max(np.abs(total / total.sum() - exact) / error))


def _shares(counts: np.ndarray) -> np.ndarray:
    """Counts over their total, with half an imaginary answer each."""
    return (counts + 0.5) / (counts + 0.5).sum(-1, keepdims=True)


def _drawn(shares: np.ndarray) -> dict[str, Any]:
    """Share and distances with intervals over seeds."""
    return {"share": over_seeds(shares)} | {name: over_seeds(v) for name, v in distances(shares).items()}


def _exact(share: Share) -> dict[str, Any]:
    """Share and distances that are known: an interval of no width."""
    found = {"share": share.tolist()} | {name: float(v) for name, v in distances(share).items()}
    return {name: {"mean": v, "lo": v, "hi": v} for name, v in found.items()}


def table(results: dict[str, Any]) -> Table:
    """What each selector teaches, by K."""
    rows = []
    for k in results["design"]["k"]:
        for name, block in results[f"k{k}"].items():
            shares = " / ".join(f"{v:.3f}" for v in block["share"]["mean"])
            rows.append((f"{k}", name, shares, f"{block['kl']['mean']:.2f}", f"{block['tv']['mean']:.2f}"))
    return Table(
        title="What a table learns from the kept answers; truth 1/3 each, generator .95/.04/.01.",
        columns=("K", "selector", "learned", "KL (nats)", "TV"),
        rows=tuple(rows),
    )
