"""Simulating the variance law: samplers against an `rng.choice` loop and against the closed form.

`python -m benchmarks.variance_sim`. The package ships the closed form; simulation only tests it.
"""

import importlib.util
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks._timing import Comparison, interleaved, one_core, options, table, write_section
from mrtlab.theory.budget import variance
from mrtlab.theory.components import Components

MICROSECOND = ("µs", 1e-6)
AIM = 30.0

PREDICTION = """**Before the run.** Each call of `rng.choice` costs some 8 µs, whatever it draws; 200 prompts make
1.6 ms. Drawing all prompts at once by the inverse distribution function should be 30 times faster, and one
compiled loop over an alias table (one random number, one look-up and one comparison per draw) 100 times. The
closed form needs no draws."""

BOUND = """**What bounds it.** The compiled loop makes {rate:.0f} million draws per second; NumPy's random-number
generator alone delivers {ceiling:.0f} million. A variance estimated from S simulated tables has a relative
standard error of √(2/S): {seeds} tables still leave {error:.1%}. Checked here on {seeds} tables per sampler: the
estimates lie {worst:.1f} standard errors or less from the closed form."""


class Table:
    """A table of prompts × outcomes with known values and probabilities, ready for every sampler."""

    def __init__(self, n_prompts: int, n_outcomes: int, k: int, *, rng: np.random.Generator) -> None:
        self.k = k
        self.value = rng.standard_normal((n_prompts, n_outcomes)) + rng.standard_normal((n_prompts, 1))
        weight = rng.random((n_prompts, n_outcomes))
        self.p = weight / weight.sum(1, keepdims=True)
        self.cumulative = np.cumsum(self.p, axis=1)
        self.keep, self.other = alias_tables(self.p)

    def exact(self) -> float:
        """Variance of the mean with these prompts fixed: V_{y|x} / (N·K), from the closed form."""
        mean = (self.p * self.value).sum(1)
        within = (self.p * self.value**2).sum(1) - mean**2
        return float(variance(Components(prompt=0.0, response=float(within.mean())), len(mean), self.k))


def alias_tables(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's alias tables: outcome j is kept with probability keep_j, else replaced by other_j."""
    keep, other = np.ones(p.shape), np.tile(np.arange(p.shape[1]), (len(p), 1))
    for row, mass in enumerate(p * p.shape[1]):
        small, large = [*np.flatnonzero(mass < 1)], [*np.flatnonzero(mass >= 1)]
        while small and large:
            low, high = small.pop(), large[-1]
            keep[row, low], other[row, low] = mass[low], high
            mass[high] -= 1 - mass[low]
            if mass[high] < 1:
                small.append(large.pop())
    return keep, other


def choice_loop(table: Table, rng: np.random.Generator) -> float:
    """Mean of K draws per prompt, one `rng.choice` per prompt: what people write first."""
    draws = [rng.choice(value, size=table.k, p=p) for value, p in zip(table.value, table.p, strict=True)]
    return float(np.mean(draws))


def inverse_cdf(table: Table, rng: np.random.Generator) -> float:
    """The same for all prompts at once: count how many cumulative probabilities lie below a uniform number."""
    uniform = rng.random((len(table.value), table.k))
    outcome = (uniform[:, :, None] > table.cumulative[:, None, :-1]).sum(2)
    return float(np.take_along_axis(table.value, outcome, axis=1).mean())


def make_fused() -> Callable[[Table, np.random.Generator], float] | None:
    """One compiled loop over alias tables; None without numba."""
    if importlib.util.find_spec("numba") is None:
        return None
    from numba import njit

    @njit(cache=True)
    def loop(value, keep, other, k, rng):
        n_prompts, n_outcomes = value.shape
        total = 0.0
        for prompt in range(n_prompts):
            for _ in range(k):
                place = rng.random() * n_outcomes  # whole part: which outcome; the rest: keep it?
                outcome = int(place)
                kept = place - outcome < keep[prompt, outcome]
                total += value[prompt, outcome if kept else other[prompt, outcome]]
        return total / (n_prompts * k)

    return lambda table, rng: loop(table.value, table.keep, table.other, table.k, rng)


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and write the section."""
    chosen = options(argv)
    one_core()
    n_prompts, k, n_outcomes, seeds, repeats = (5, 2, 3, 400, 1) if chosen.tiny else (200, 8, 10, 2000, 15)
    world = Table(n_prompts, n_outcomes, k, rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    samplers = {"inverse distribution function": inverse_cdf}
    if fused := make_fused():
        samplers["compiled alias loop"] = fused
    sides = {name: lambda draw=draw: draw(world, rng) for name, draw in samplers.items()}
    sides |= {
        "closed form": world.exact,
        "peer": lambda: choice_loop(world, rng),
        "generator": lambda: rng.random(n_prompts * k),
    }
    times = interleaved(sides, repeats=repeats)
    exact, error = world.exact(), float(np.sqrt(2 / seeds))
    off = {name: np.var([draw(world, rng) for _ in range(seeds)]) / exact - 1 for name, draw in samplers.items()}
    rows = [
        Comparison(
            work=f"one table, {n_prompts} prompts, K={k}, {n_outcomes} outcomes: {name}",
            peer="rng.choice loop",
            ours_s=times[name],
            peer_s=times["peer"],
            unit=MICROSECOND,
            difference=f"variance {off[name]:+.1%}",
            aim=AIM,
        )
        for name in samplers
    ]
    rows.append(
        Comparison(
            work="the variance itself, closed form",
            peer=f"{seeds} tables by the rng.choice loop",
            ours_s=times["closed form"],
            peer_s=seeds * times["peer"],
            unit=MICROSECOND,
            difference=f"exact, against ±{error:.1%}",
        )
    )
    fastest = min(times[name] for name in samplers)
    bound = BOUND.format(
        rate=n_prompts * k / fastest / 1e6,
        ceiling=n_prompts * k / times["generator"] / 1e6,
        seeds=seeds,
        error=error,
        worst=max(abs(gap) for gap in off.values()) / error,
    )
    body = "\n\n".join(["## Simulating the variance law", PREDICTION, table(rows), bound])
    write_section("variance_sim", body, out=chosen.out, packages=("numba",))


if __name__ == "__main__":
    main()
