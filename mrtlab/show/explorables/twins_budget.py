"""What chapter 2's explorables compute and say: the twins of ``budget.js`` and ``variance.js``."""

from itertools import compress

from mrtlab.show.explorables.common import Data, State, Table, fixed, percent
from mrtlab.theory import Components, effective_k, optimal_k
from mrtlab.theory import variance as variance_of

MOST = 32  # answers per prompt on the axis
FLAT = 0.05  # what counts as near the best
_SLACK = 1e-12  # two K may tie exactly: rounding must not choose
_MARKS = (1, 2, 4, 8, 16, 32)  # rows of the tables


# --- the budget ----------------------------------------------------------------------------------------------


def budget(state: State) -> Data:
    """The variance that a budget leaves, for every K, in units of V_x; an answer costs 1.

    Args:
        state: b (the budget), c (cost of a prompt), v (V_{y|x} over V_x), k answers per prompt.

    Returns:
        the numbers behind the figure; the curve lets N_p be a fraction, `n_prompts` is rounded down.

    >>> data = budget({"b": 400, "c": 4, "v": 7, "k": 4})  # the best whole K is 5: (1 + 7/5)·(4 + 5)/400 = 0.054
    >>> data["n_prompts"], data["best_k"], data["low"], data["high"], round(data["curve"][4], 6)
    (50, 5, 4, 8, 0.054)
    """
    b, c, v, k = state["b"], state["c"], state["v"], state["k"]
    components = Components(prompt=1.0, response=float(v))
    curve = [float(variance_of(components, b / (c + each), each)) for each in range(1, MOST + 1)]
    least = min(curve)

    def near(share: float) -> list[int]:
        """Every K whose variance is at most this share above the least."""
        return list(compress(range(1, MOST + 1), (value <= least * (1 + share + _SLACK) for value in curve)))

    return {
        "curve": curve,
        "best_k": near(0.0)[0],
        "k_star": float(optimal_k(components, c, 1)),
        "low": near(FLAT)[0],
        "high": near(FLAT)[-1],
        "excess": curve[k - 1] / least - 1,
        "n_prompts": int(b // (c + k)),
    }


def _answers(k: int) -> str:
    return "one answer" if k == 1 else f"{k} answers"


def budget_sentence(data: Data, state: State) -> str:
    """The line under the budget, as HTML."""
    k, low, high, star = state["k"], data["low"], data["high"], f"K* = {fixed(data['k_star'], 1)}"
    buys = f"With K = {k} you buy <b>{data['n_prompts']:,} prompts</b>, {_answers(k)} each; "
    worse = (
        "less than 1\u00a0% above the best" if data["excess"] < 0.005 else f"{percent(data['excess'])} above the best"
    )
    here = f"the variance is <b>{worse}</b> ({star})."
    if k == data["best_k"]:
        here = f"no other K leaves <b>less variance</b> ({star})."
    if state["v"] == 0:
        return f"{buys}{here} Answers to one prompt are all alike here, so one is enough."
    if state["c"] == 0:
        return f"{buys}{here} A prompt costs nothing here, so a new one beats a second answer."
    if low == high:
        return f"{buys}{here} Only K = {low} is within 5\u00a0% of the best."
    return f"{buys}{here} Any K from {low} to {high} is within 5\u00a0% of the best."


def budget_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the budget is told."""
    k = state["k"]
    first, here, last = (fixed(data["curve"][i - 1], 3) for i in (1, k, MOST))
    return (
        f"Curve of the variance of the estimated loss against K, for a budget of {state['b']:,} answers where a prompt "
        f"costs {state['c']} and the variance within prompts is {state['v']} times that between. It is {first} at "
        f"K = 1, {here} at K = {k} and {last} at K = {MOST}, in units of Vₓ; it is least at K = {data['best_k']}. "
        f"Beside it the data set: {data['n_prompts']:,} columns, one per prompt, of {_answers(k)}."
    )


def budget_table(data: Data, state: State) -> Table:
    """What each K buys and the variance it leaves, at K = 1, 2, 4 … 32."""
    least = data["curve"][data["best_k"] - 1]
    rows = []
    for k in _MARKS:
        prompts, value = int(state["b"] // (state["c"] + k)), data["curve"][k - 1]
        rows.append([str(k), f"{prompts:,}", f"{prompts * k:,}", fixed(value, 4), percent(value / least - 1)])
    return {"columns": ["K", "prompts bought", "pairs", "variance, in Vₓ", "above the best"], "rows": rows}


# --- the law -------------------------------------------------------------------------------------------------


def variance(state: State) -> Data:
    """What the variance of the estimated loss is made of, in units of V_x.

    Args:
        state: n prompts, k answers per prompt, v (V_{y|x} over V_x), s (mean similarity of a prompt's answers).

    Returns:
        the numbers behind the figure. With K answers of similarity s the part of the answers is
        v·s + v·(1 − s)/K, over n; the first term is shared by them all and stays.

    >>> data = variance({"n": 100, "k": 4, "v": 5, "s": 0.0})  # (1 + 5/4)/100, and (1 + 5/8)/100 with twice the answers
    >>> round(data["total"], 6), round(data["twice_answers"], 6), round(data["saved"], 4)
    (0.0225, 0.01625, 0.2778)
    """
    n, k, v, s = state["n"], state["k"], state["v"], state["s"]
    components = Components(prompt=1.0, response=float(v))

    def total(n_prompts: int, answers: int) -> float:
        return float(variance_of(components, n_prompts, effective_k(answers, s)))

    here, twice, shared = total(n, k), total(n, 2 * k), v * s / n
    return {
        "curve": [total(n, each) for each in range(1, MOST + 1)],
        "from_prompts": 1 / n,
        "from_shared": shared,
        "total": here,
        "effective_k": float(effective_k(k, s)),
        "twice_answers": twice,
        "twice_prompts": total(2 * n, k),
        "saved": 1 - twice / here,
        "floor_share": (1 / n + shared) / here,
    }


def variance_sentence(data: Data, state: State) -> str:
    """The line under the law, as HTML."""
    k = state["k"]
    saved = "less than 1\u00a0%" if data["saved"] < 0.005 else percent(data["saved"])
    worth = f"Your {k} answers are worth <b>{fixed(data['effective_k'], 1)}</b>. "
    return (
        f"{worth if state['s'] > 0 and k > 1 else ''}Going from K = {k} to {2 * k} removes <b>{saved}</b> of the "
        f"variance, twice the prompts half. {percent(data['floor_share'])} is beyond any number of answers."
    )


def variance_alt(data: Data, state: State) -> str:
    """What a reader who cannot see the law is told."""
    first, last = (fixed(data["curve"][i], 4) for i in (0, MOST - 1))
    return (
        f"Stacked areas of the variance of the estimated loss against K, for {state['n']} prompts, a variance within "
        f"prompts {state['v']} times that between and answers of similarity {fixed(state['s'], 2)}. It falls from "
        f"{first} at K = 1 to {last} at K = {MOST}, in units of Vₓ; {fixed(data['from_prompts'], 4)} of it comes from "
        f"prompts at every K. At K = {state['k']} it is {fixed(data['total'], 4)}."
    )


def variance_table(data: Data, state: State) -> Table:
    """The parts of the variance at K = 1, 2, 4 … 32."""
    rows, prompts = [], data["from_prompts"]
    for k in _MARKS:
        total = data["curve"][k - 1]
        made = [fixed(value, 4) for value in (prompts, total - prompts, total)]
        rows.append([str(k), fixed(effective_k(k, state["s"]), 1), *made])
    return {"columns": ["K", "worth", "from prompts", "from answers", "variance, in Vₓ"], "rows": rows}
