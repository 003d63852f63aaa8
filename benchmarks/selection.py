"""Selection: facility location against submodlib, DPP against per-prompt NumPy. `python -m benchmarks.selection`."""

import importlib.util
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks._timing import Comparison, interleaved, one_core, options, table, write_section
from mrtlab.theory import cosine_similarity01, dpp_greedy, facility_location, facility_value
from mrtlab.theory.greedy import compiled

MICROSECOND = ("µs", 1e-6)
AIMS = {"facility": 60.0, "dpp": 15.0}
SIZES = ((200, 16, 4), (200, 64, 8), (100, 256, 16))  # prompts, candidates, kept
AIMED_SIZE = (64, 8)  # the aims are for this N and K
TINY = ((4, 12, 3),)

PREDICTION = """**Before the run.** Plain greedy needs K·N² steps of *maximum, add*: 98 000 flops at N = 64, K = 8.
At two 512-bit operations a cycle and 4 GHz that is 0.8 µs in single precision and 1.6 µs in double. Updating the
gains only for the candidates that a pick serves better should need a third of the steps, with one operation more
in each. submodlib took 122 µs in an earlier test, so 60× means 2.0 µs. Without a reward many late gains tie
exactly (two candidates that are each other's neighbours), so picks can be compared only where nothing ties."""

BOUND = """**What bounds it.** One prompt's matrix at N = 64 is 32 KiB, the whole first-level cache of a core, so
every pass over it streams from the second level. With K = 1, one pass that checks the entries and sums the
columns, a prompt takes {first:.2g} µs; with K = 2, which adds one full update of the gains, {second:.2g} µs; with
K = 8 {whole:.2g} µs. A variant that kept the gains in single precision with a bound on their error, and went back
to double where the bound left more than one candidate, made the same picks and was not faster here. With a reward
the peer's lazy greedy skips most candidates, which is why that ratio is smaller. Without numba the NumPy loop
takes {plain:.3g} µs per prompt and makes the same picks."""


def dpp_one_prompt(kernel: np.ndarray, k: int) -> list[int]:
    """Fast greedy MAP as people write it, one prompt at a time: the peer."""
    n = len(kernel)
    factor, left, picks = np.zeros((k, n)), np.diagonal(kernel).copy(), []
    for step in range(k):
        pick = int(np.argmax(left))
        picks.append(pick)
        row = (kernel[pick] - factor[:step, pick] @ factor[:step]) / np.sqrt(left[pick])
        factor[step] = row
        left = left - row**2
        left[pick] = -np.inf
    return picks


def submodlib_picks(weighted: np.ndarray, k: int, *, optimizer: str) -> list[list[int]]:
    """submodlib on a batch: one object per prompt, built from the matrix. Weights go in as a rectangular matrix."""
    from submodlib import FacilityLocationFunction

    picks = []
    for matrix in weighted:
        n = len(matrix)
        function = FacilityLocationFunction(n=n, mode="dense", sijs=matrix, separate_rep=True, n_rep=n)
        found = function.maximize(
            budget=k, optimizer=optimizer, stopIfZeroGain=False, stopIfNegativeGain=False, show_progress=False
        )
        picks.append([index for index, _ in found])
    return picks


def submodlib_maximise_only(functions: list, k: int) -> None:
    """submodlib's greedy alone, on objects that were built before the clock started."""
    for function in functions:
        function.maximize(budget=k, optimizer="LazyGreedy", show_progress=False)


def same(one: np.ndarray, other: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> str:
    """Whether two sets of picks agree, and if not, whether they are worth the same."""
    differ = int((one != other).any(1).sum())
    if not differ:
        return "identical picks"
    gap = np.abs(value(one) / value(other) - 1).max()
    return f"{differ} of {len(one)} prompts tie; values within {gap:.0e}"


def log_volume(kernel: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Log-determinant of the chosen part of each kernel."""
    rows = np.arange(len(kernel))[:, None, None]
    return np.linalg.slogdet(kernel[rows, picks[:, :, None], picks[:, None, :]])[1]


def compare(n_prompts: int, n: int, k: int, *, repeats: int) -> list[Comparison]:
    """All rows of one size."""
    rng = np.random.default_rng(n)
    vectors = rng.standard_normal((n_prompts, n, 32))
    similarity, reward = cosine_similarity01(vectors), rng.random((n_prompts, n))
    quality = 0.5 + reward
    kernel = quality[:, :, None] * (similarity + 0.05 * np.eye(n)) * quality[:, None, :]
    scaled = (reward - reward.min(1, keepdims=True)) / np.ptp(reward, axis=1, keepdims=True)
    serve = np.maximum(scaled, 1e-4) ** 0.75
    weighted = similarity * serve[:, None, :] * np.maximum(serve, 1e-4)[:, :, None]
    aimed = (n, k) == AIMED_SIZE
    size = f"{n_prompts} prompts, N={n}, K={k}"

    def row(work: str, peer: str, ours: float, theirs: float, difference: str, aim: float | None) -> Comparison:
        return Comparison(
            work=f"{work}, {size}",
            peer=peer,
            ours_s=ours,
            peer_s=theirs,
            unit=MICROSECOND,
            units_of_work=n_prompts,
            difference=difference,
            aim=aim if aimed else None,
        )

    rows = []
    if importlib.util.find_spec("submodlib"):
        from submodlib import FacilityLocationFunction

        built = [FacilityLocationFunction(n=n, mode="dense", sijs=s, separate_rep=False) for s in similarity]
        times = interleaved(
            {
                "ours": lambda: facility_location(similarity, k),
                "ours, reward": lambda: facility_location(similarity, k, reward=reward),
                "lazy": lambda: submodlib_picks(similarity, k, optimizer="LazyGreedy"),
                "greedy only": lambda: submodlib_maximise_only(built, k),
                "lazy, reward": lambda: submodlib_picks(weighted, k, optimizer="LazyGreedy"),
            },
            repeats=repeats,
        )
        picks = facility_location(similarity, k)
        theirs = np.array(submodlib_picks(similarity, k, optimizer="NaiveGreedy"))
        agree = same(picks, theirs, lambda chosen: facility_value(similarity, chosen))
        rows += [
            row("DKoN", "submodlib, its greedy alone", times["ours"], times["greedy only"], agree, AIMS["facility"]),
            row("DKoN", "submodlib, matrix in, picks out", times["ours"], times["lazy"], agree, AIMS["facility"]),
            row(
                "DBKoN",
                "submodlib, weighted matrix in",
                times["ours, reward"],
                times["lazy, reward"],
                same(
                    facility_location(similarity, k, reward=reward),
                    np.array(submodlib_picks(weighted, k, optimizer="NaiveGreedy")),
                    lambda chosen: facility_value(similarity, chosen, reward=reward),
                ),
                AIMS["facility"],
            ),
        ]
    times = interleaved(
        {"ours": lambda: dpp_greedy(kernel, k), "peer": lambda: [dpp_one_prompt(x, k) for x in kernel]},
        repeats=repeats,
    )
    theirs = np.array([dpp_one_prompt(x, k) for x in kernel])
    agree = same(dpp_greedy(kernel, k), theirs, lambda chosen: log_volume(kernel, chosen))
    rows.append(row("DPP", "NumPy, prompt by prompt", times["ours"], times["peer"], agree, AIMS["dpp"]))
    return rows


def bound(*, n_prompts: int, repeats: int) -> str:
    """Where the time of a prompt goes, measured at N = 64, K = 8."""
    from mrtlab.theory import greedy

    n, k = AIMED_SIZE
    similarity = cosine_similarity01(np.random.default_rng(1).standard_normal((n_prompts, n, 32)))
    times = interleaved(
        {
            "first": lambda: facility_location(similarity, 1),
            "second": lambda: facility_location(similarity, 2),
            "whole": lambda: facility_location(similarity, k),
            "plain": lambda: greedy.facility_plain(similarity, None, None, k),
        },
        repeats=repeats,
    )
    return BOUND.format(**{name: seconds / n_prompts * 1e6 for name, seconds in times.items()})


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and write the section."""
    chosen = options(argv)
    one_core()
    repeats = 1 if chosen.tiny else 9
    rows = [
        row for n_prompts, n, k in (TINY if chosen.tiny else SIZES) for row in compare(n_prompts, n, k, repeats=repeats)
    ]
    parts = [
        "## Selection: K of N",
        PREDICTION,
        table(rows),
        bound(n_prompts=4 if chosen.tiny else 200, repeats=repeats),
    ]
    if not importlib.util.find_spec("submodlib"):
        parts.append("submodlib-py is not installed here, so its rows are missing.")
    if not compiled():
        parts.append("numba is not installed or switched off: these are the times of plain NumPy.")
    write_section("selection", "\n\n".join(parts), out=chosen.out, packages=("numba", "submodlib-py"))


if __name__ == "__main__":
    main()
