"""Figures of chapter 4, where the mass goes: the 100-arm race, its ceiling, stale data, freed mass, the frontier.

Orange learns from selected answers alone (best-of-n, Pref-FT); blue uses all answers to a prompt and pushes some down
(DPO, IPO, REINFORCE, PPO). Ink is an exact law, grey the reference policy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mrtlab.show.figures.theme import GREY, INK, MULTI, REWARD, label, present, rounded, tint
from mrtlab.theory.bandit import FAR_PEAK, bandit_reference, bandit_reward
from mrtlab.theory.frontier import tilt_frontier

NAMES = {
    "pref_ft": "Pref-FT",
    "best_of_n": "best-of-n",
    "dpo": "DPO",
    "ipo10": "IPO, margin 10",
    "ipo30": "IPO, margin 30",
    "reinforce": "REINFORCE",
    "ppo": "PPO",
}
_DASH = {"pref_ft": "dot", "ipo10": "dash", "ipo30": "dash", "reinforce": "dot", "ppo": "dashdot"}
_ARTIFACT = "bandit_race.book"
_BATCHES = (10, 50, 200, 1000)
_WHERE = {"far": "far from where the reference policy is", "aligned": "where the reference policy is"}


def colour_of(rule: str) -> str:
    """Orange for rules that learn from selected answers alone, blue for rules that push answers down too.

    >>> colour_of("best_of_n") == REWARD, colour_of("dpo") == MULTI
    (True, True)
    """
    return REWARD if rule in ("pref_ft", "best_of_n") else MULTI


def race_over_rounds(
    results: Mapping[str, Any],
    *,
    peak: str = "far",
    reuse: int = 1,
    rules: Sequence[str] = ("pref_ft", "best_of_n", "dpo", "ppo"),
) -> go.Figure:
    """Expected reward over on-policy rounds, a line with its band per rule."""
    race, fig, rows = results["races"][f"fresh_t{reuse}"][peak], go.Figure(), []
    rounds = [step / reuse for step in race["step"]]
    for rule in rules:
        _curve(fig, rounds, race[rule]["reward"], rule, unit="round")
        rows += [[NAMES[rule], r, *v] for r, *v in _thinned(rounds, race[rule]["reward"])]
    _key(fig, rules, y=0.38)
    _ceiling(fig, results["exact"][peak][1], rounds[-1])
    fig.update_xaxes(title="round (new answers are drawn in each)")
    fig.update_yaxes(title="expected reward", range=[0, 1.06])
    order = sorted(rules, key=lambda rule: -race[rule]["area"]["mean"])
    passed = [rule for rule in rules if race[rule]["final"]["lo"] > results["exact"][peak][1]]
    return present(
        fig,
        claim="With fresh answers every rule passes the ceiling"
        if len(passed) == len(rules)
        else f"With fresh answers {len(passed)} of {len(rules)} rules pass the ceiling",
        how=f"Reward peaks {_WHERE[peak]}. Times each answer is used: {reuse}. Band: 95 % interval over seeds.",
        alt="Rewards that climb over rounds. Mean over the race: "
        + ", ".join(f"{NAMES[rule]} {race[rule]['area']['mean']:.2f}" for rule in order)
        + f". The ceiling of one round of best-of-n is {results['exact'][peak][1]:.2f}.",
        columns=["rule", "round", "reward", "from", "to"],
        rows=rows,
        artifact=_ARTIFACT,
    )


def offline_ceiling(results: Mapping[str, Any], *, peak: str = "far", prompts: int = 100) -> go.Figure:
    """Offline training: likelihood of the best stops at its law; rules that push down go on."""
    race, fig, rows = results["races"][f"offline_{prompts}"][peak], go.Figure(), []
    rules = ("pref_ft", "best_of_n", "dpo", "ipo30")
    for rule in rules:
        _curve(fig, race["step"], race[rule]["reward"], rule, unit="step")
        rows += [[NAMES[rule], s, *v] for s, *v in _thinned(race["step"], race[rule]["reward"])]
    _key(fig, rules, y=0.74)
    law = results["exact"][peak][1]
    _ceiling(fig, law, race["step"][-1])
    fig.update_xaxes(title="gradient step on the same answers")
    fig.update_yaxes(title="expected reward", range=[0, 1.4], tickvals=[0, 0.2, 0.4, 0.6, 0.8, 1])
    above = all(results["push"][peak][f"offline_{prompts}"][rule]["lo"] > 0 for rule in ("dpo", "ipo30"))
    return present(
        fig,
        claim="Without new answers, only pushing down gets past the ceiling"
        if above
        else "Without new answers: likelihood, and rules that push down",
        how=f"{prompts} prompts with {results['design']['answers']} answers each, drawn once from the reference.",
        alt="Reward at the end: "
        + ", ".join(f"{NAMES[rule]} {race[rule]['final']['mean']:.2f}" for rule in rules)
        + f"; the exact law of the best of n has {law:.2f}.",
        columns=["rule", "step", "reward", "from", "to"],
        rows=rows,
        artifact=_ARTIFACT,
    )


def staleness(results: Mapping[str, Any], *, peak: str = "far") -> go.Figure:
    """Reward after the same number of steps, by how many prompts are drawn at a time."""
    fig, rows = go.Figure(), []
    races = [results["races"][f"stale_b{batch}"][peak] for batch in _BATCHES]
    early = (len(races[0]["step"]) - 1) // 5
    rules = ("best_of_n", "reinforce", "ppo")
    where = list(range(len(_BATCHES)))
    for rule in rules:
        curve = {k: [race[rule]["final"][k] for race in races] for k in ("mean", "lo", "hi")}
        _curve(fig, where, curve, rule, unit="end", markers=True)
        first = [race[rule]["reward"]["mean"][early] for race in races]
        rows += [
            [NAMES[rule], batch, f, end, lo, hi]
            for batch, f, end, lo, hi in zip(_BATCHES, first, curve["mean"], curve["lo"], curve["hi"], strict=True)
        ]
    _key(fig, rules, y=0.03, x=0.0)
    fig.update_xaxes(title="B, prompts drawn at a time (1000: offline)", tickvals=where,
                     ticktext=[str(b) for b in _BATCHES])  # fmt: skip
    fig.update_yaxes(title="expected reward at the end", range=[0, 1.06])
    drop = {rule: races[0][rule]["final"]["mean"] - races[-1][rule]["final"]["mean"] for rule in rules}
    return present(
        fig,
        claim="Data may age, but not for ever" if min(drop.values()) > 0 else "Reward and the age of the data",
        how=f"The same {races[0]['step'][-1]} steps everywhere, 10 prompts per step. Band: 95 % interval over seeds.",
        alt="From freshest to fully offline the reward at the end falls by "
        + ", ".join(f"{d:.2f} with {NAMES[rule]}" for rule, d in drop.items())
        + ".",
        columns=["rule", "B", f"reward at step {races[0]['step'][early]}", "reward at the end", "from", "to"],
        rows=rows,
        artifact=_ARTIFACT,
    )


def freed_mass(results: Mapping[str, Any], *, peak: str = "far", prompts: int = 100) -> go.Figure:
    """Where the mass is after offline training, in groups of ten arms, beside the reference policy."""
    race, fig = results["races"][f"offline_{prompts}"][peak], go.Figure()
    groups = [f"{10 * k}–{10 * k + 9}" for k in range(10)]
    shown = {"reference": results["reference"], "best_of_n": race["best_of_n"]["mass"], "dpo": race["dpo"]["mass"]}
    for name, mass in shown.items():
        colour = GREY if name == "reference" else colour_of(name)
        fig.add_bar(x=groups, y=rounded(mass), marker={"color": tint(colour, 0.75)},
                    hovertemplate=f"{NAMES.get(name, name)}, arms %{{x}}: %{{y:.1%}}<extra></extra>")  # fmt: skip
    for k, name in enumerate(shown):
        colour = GREY if name == "reference" else colour_of(name)
        label(fig, f"<b>■</b> {NAMES.get(name, 'reference policy')}", x=0.02, y=0.97 - 0.08 * k, colour=colour,
              xref="paper", yref="paper", yanchor="top")  # fmt: skip
    fig.update_xaxes(title="arms")
    fig.update_yaxes(title="mass", tickformat=".0%")
    # The bell's e-fold lies within ten arms of its middle: the groups left and right of arm 70, or of arm 20.
    near = (6, 7) if peak == "far" else (1, 2)
    at_peak = {name: sum(mass[k] for k in near) for name, mass in shown.items()}
    return present(
        fig,
        claim="Pushing down sends more of the mass to the peak"
        if at_peak["dpo"] > at_peak["best_of_n"] > at_peak["reference"]
        else "Where the mass is after training",
        how=f"Offline, {prompts} prompts, end of training, mean over seeds. Reward peaks at arms {groups[near[0]]} and "
        f"{groups[near[1]]}.",
        alt="Mass near the peak: "
        + ", ".join(f"{NAMES.get(name, name)} {share:.0%}" for name, share in at_peak.items())
        + ".",
        columns=["arms", "reference", "best-of-n", "DPO"],
        rows=[list(row) for row in zip(groups, *shown.values(), strict=True)],
        artifact=_ARTIFACT,
    )


def frontier(results: Mapping[str, Any]) -> go.Figure:
    """Reward against divergence on the far peak: paths of on-policy rules beside the cheapest law, the tilt."""
    reference, reward = bandit_reference(), bandit_reward(peak=FAR_PEAK)
    best = tilt_frontier(reference, reward, np.geomspace(20.0, 0.005, 40))
    fig, rows = go.Figure(), []
    fig.add_scatter(x=rounded(best.kl), y=rounded(best.reward), mode="lines", line={"color": INK, "width": 2.5},
                    hovertemplate="tilt: %{x:.2f} nats, reward %{y:.2f}<extra></extra>")  # fmt: skip
    rows += [["tilt", k, r] for k, r in zip(best.kl[::4].tolist(), best.reward[::4].tolist(), strict=True)]
    race = results["races"]["fresh_t1"]["far"]
    rules, excess = ("best_of_n", "dpo", "ppo"), {}
    for rule in rules:
        divergence, gained = race[rule]["kl"], race[rule]["reward"]["mean"]
        fig.add_scatter(
            x=rounded(divergence), y=rounded(gained), mode="lines+markers", marker={"size": 5},
            line={"color": colour_of(rule), "width": 2, "dash": _DASH.get(rule, "solid")},
            hovertemplate=f"{NAMES[rule]}: %{{x:.2f}} nats, reward %{{y:.2f}}<extra></extra>",
        )  # fmt: skip
        rows += [[NAMES[rule], k, r] for k, r in zip(divergence[::4], gained[::4], strict=True)]
        first = next((k for k, r in zip(divergence, gained, strict=True) if r >= 0.9), None)
        excess[rule] = f"{NAMES[rule]} {first:.2f}" if first is not None else f"{NAMES[rule]} never"
    _key(fig, rules, y=0.05, extra="tilt, the cheapest law")
    fig.update_xaxes(title="divergence from the reference (nats)")
    fig.update_yaxes(title="expected reward", range=[0, 1.06])
    cheapest = float(np.interp(0.9, best.reward, best.kl))
    return present(
        fig,
        claim="No rule beats the tilt: all pay more divergence for the same reward",
        how="Each dot is a look at an on-policy race, T = 1, mean over seeds. Reward peaks at arm 70.",
        alt=f"Nats at the first look with reward .9 or more: {', '.join(excess.values())}; the tilt needs "
        f"{cheapest:.2f}.",
        columns=["rule", "divergence (nats)", "reward"],
        rows=rows,
        artifact=_ARTIFACT,
    )


def _curve(fig: go.Figure, x: Sequence[float | int], y: Mapping[str, Any], rule: str, *, unit: str,
           markers: bool = False) -> None:  # fmt: skip
    """A line with its 95 % band."""
    colour, x = colour_of(rule), list(x)
    lo, hi = (rounded(np.clip(y[side], 0, 1)) for side in ("lo", "hi"))  # rewards lie in [0, 1]
    fig.add_scatter(x=[*x, *x[::-1]], y=[*hi, *lo[::-1]], fill="toself", fillcolor=tint(colour, 0.15), mode="lines",
                    line={"width": 0}, hoverinfo="skip")  # fmt: skip
    fig.add_scatter(
        x=x, y=rounded(y["mean"]), mode="lines+markers" if markers else "lines",
        line={"color": colour, "width": 2.5, "dash": _DASH.get(rule, "solid")},
        hovertemplate=f"{NAMES[rule]}, {unit} %{{x:g}}: %{{y:.3f}}<extra></extra>",
    )  # fmt: skip


def _key(fig: go.Figure, rules: Sequence[str], *, y: float, x: float = 0.99, extra: str = "") -> None:
    """Names in their colours with a sample of the dash, in a corner the curves leave free."""
    sample = {"solid": "━━", "dash": "╍╍", "dot": "····", "dashdot": "━·━"}
    lines = [(f"{sample[_DASH.get(rule, 'solid')]} {NAMES[rule]}", colour_of(rule)) for rule in rules]
    lines += [(f"━━ {extra}", INK)] * bool(extra)
    for k, (text, colour) in enumerate(reversed(lines)):
        label(fig, text, x=x, y=y + 0.075 * k, colour=colour, xref="paper", yref="paper", yanchor="bottom",
              xanchor="right" if x > 0.5 else "left")  # fmt: skip


def _ceiling(fig: go.Figure, law: float, end: float | int) -> None:
    """The exact law of one round of best-of-n."""
    fig.add_hline(y=round(law, 3), line={"color": INK, "width": 1.5, "dash": "dot"})
    label(fig, f"one exact round of best-of-n: {law:.2f}", x=float(end), y=law - 0.01, colour=INK, xanchor="right",
          yanchor="top")  # fmt: skip


def _thinned(x: Sequence[float | int], y: Mapping[str, Any]) -> list[tuple[float | int, ...]]:
    """Every fifth look, for the table beside a figure."""
    return list(zip(x, y["mean"], y["lo"], y["hi"], strict=True))[::5]
