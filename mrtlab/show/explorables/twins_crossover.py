"""What chapter 5's explorable computes and says: the twin of ``crossover.js``."""

from math import ceil, expm1, log

from mrtlab.show.explorables.common import Data, State, Table, fixed, percent
from mrtlab.theory.learn_or_choose import any_correct, candidates_needed

SHORTEST, LONGEST = 8, 64  # bits in a reply; the true rule reads 8
_LENGTHS = range(SHORTEST, LONGEST + 1, 4)
_MARKS = (8, 16, 24, 32, 48, 64)  # rows of the table
_MILLION = 1e6


def crossover(state: State) -> Data:
    """When learning the rule beats choosing among candidates, in the world of `mrtlab.theory.bitstrings`.

    Learning has n correct strings. A rule drawn at random and n random prompts leave no other rule with probability
    1 − 2⁻ⁿ, as soon as replies are as long as the rule's window: neither the length nor the window appears.
    (A wrong rule may still answer some prompts; that is not counted.)
    Choosing has N candidates, each bit right with probability c, and a perfect verifier: 1 − (1 − cᵀ)ᴺ.

    Args:
        state: n training strings, t (T, bits in a reply), c, m (N, candidates).

    Returns:
        the numbers behind the figure: both chances, choosing at every length, the length where both are equal, and
        how many candidates choosing needs to be as good as learning.

    >>> data = crossover({"n": 1, "t": 8, "c": 0.9, "m": 1})  # learning ½; choosing 0.9^T, equal at T = ln 2/ln(1/0.9)
    >>> data["learn"], round(data["crossover"], 3)
    (0.5, 6.579)
    """
    n, t, c, m = state["n"], state["t"], state["c"], state["m"]
    learn = 1 - 2.0**-n
    return {
        "learn": learn,
        "alpha": c**t,
        "choose": float(any_correct(c**t, m)),
        "curve": [float(any_correct(c**length, m)) for length in _LENGTHS],
        "crossover": log(-expm1(-n * log(2) / m)) / log(c),
        "needed": float(candidates_needed(c**t, confidence=learn)),
        "needed_curve": [float(candidates_needed(c**length, confidence=learn)) for length in _LENGTHS],
    }


def _candidates(needed: float) -> str:
    whole = max(1, ceil(needed - 1e-9))
    return "over a million" if whole > _MILLION else f"{whole:,}"


def _chance(share: float) -> str:
    """Whole percent, but never 0 or 100."""
    if share < 0.005:
        return "under 1\u00a0%"
    return "over 99\u00a0%" if share >= 0.995 else percent(share)


def crossover_sentence(data: Data, state: State) -> str:
    """The line under the crossover, as HTML."""
    strings = "one string" if state["n"] == 1 else f"{state['n']} strings"
    among = "taking the only candidate" if state["m"] == 1 else f"choosing among {state['m']:,}"
    first = f"Learning from {strings}: <b>{_chance(data['learn'])}</b>; {among}: <b>{_chance(data['choose'])}</b>."
    if data["learn"] > data["choose"]:
        since = "at all these lengths" if data["crossover"] < SHORTEST else f"from T = {ceil(data['crossover'])} on"
        return f"{first} Learning wins {since}; here, choosing needs {_candidates(data['needed'])} to match it."
    until = "at all these lengths" if data["crossover"] > LONGEST else f"up to T = {int(data['crossover'])}"
    return f"{first} Choosing wins {until}; here, {_candidates(data['needed'])} would do to match learning."


def crossover_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the crossover is told."""
    return (
        f"Chance of a right reply against its length T, from {SHORTEST} to {LONGEST} bits. Learning from n = "
        f"{state['n']}: {_chance(data['learn'])} at every length. Choosing among N = {state['m']:,} with c = "
        f"{fixed(state['c'], 2)} falls from {_chance(data['curve'][0])} to {_chance(data['curve'][-1])}. They meet "
        f"at T = {fixed(data['crossover'], 1)}. Beside it, the candidates needed to match learning: "
        f"{_candidates(data['needed_curve'][0])} at T = {SHORTEST}, {_candidates(data['needed_curve'][-1])} at "
        f"T = {LONGEST}."
    )


def crossover_table(data: Data, state: State) -> Table:
    """Both ways at a few lengths."""
    columns = ["T", "learning", "choosing", "coverage α = cᵀ", "candidates to match"]
    rows = []
    for length in _MARKS:
        at = (length - SHORTEST) // 4
        alpha = f"{state['c'] ** length:.2e}".replace("-", "−")
        chances = [_chance(data["learn"]), _chance(data["curve"][at])]
        rows.append([str(length), *chances, alpha, _candidates(data["needed_curve"][at])])
    return {"columns": columns, "rows": rows}
