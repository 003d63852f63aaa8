"""Figures of chapter 6: small, described, drawn with what the book's plotly knows, and true to their titles.

Results are made up of runs whose outcome is known and put together by the experiments' own `summarise`, so their
shape is that of the artifacts; where an artifact is there, every figure is drawn from it as well.
"""

import copy
import json

import numpy as np
import pytest

from mrtlab.data.tasks import words
from mrtlab.lab import (
    artifacts,
    callings_budget,
    callings_clusters,
    callings_grid,
    callings_grid_summary,
    callings_keep,
    callings_selectors,
)
from mrtlab.lab.callings_data import exam
from mrtlab.show.figures import ch6, ch6_budget, ch6_choices, ch6_keep, ch6_portraits, theme

NAMES = ("callings_grid", "callings_selectors", "callings_clusters", "callings_budget", "callings_keep")
JOBS = len(words.JOBS)


def marks(step, kl, *, diversity=0.9, reward=0.3):
    """One line of a run's marks."""
    return {"step": step, "validation": kl, "nll": 2.4 + kl, "kl": kl, "mass": 0.98, "shape_kl": kl, "coverage": 0.5,
            "diversity": diversity, "reward": reward, "other": reward, "best": 1.0}  # fmt: skip


def run(steps, seed, *, bets, facts=0.9, **more):
    """A run with these (step, KL); with bets its portraits end on one job, another one for each seed."""
    truth = np.array([law for law in exam(0).truths(exam(0).portraits)])
    bet = np.full(truth.shape, 0.0004)
    bet[:, seed % JOBS] = 0.99
    noise = 1 + 0.01 * np.sin(seed + 3 * np.arange(len(steps)))
    right = facts + 0.01 * np.cos(seed)
    return {
        "marks": [marks(step, kl * jitter, **more) for (step, kl), jitter in zip(steps, noise, strict=True)],
        "portraits": {
            str(step): (bet if bets and step == steps[-1][0] else 0.98 * truth).round(4).tolist() for step, _ in steps
        },
        "facts": {"before": {"nll": 0.1, "right": 0.98}, "after": {"nll": 1.0, "right": right}},
    }


def grid_results(monkeypatch, *, k_helps=True):
    """The grid, where K = 1 goes wrong after a while and new responses help, or nothing does anything."""
    monkeypatch.setattr(callings_grid.subject, "fingerprint", lambda: "none")
    out = []
    for cell in callings_grid.cells("smoke"):
        passes = cell.updates * callings_grid.PER_UPDATE / (cell.n_prompts * cell.k)
        steps = [*cell.marks, cell.updates]
        kl = [1.0 - 0.1 * np.log2(1 + step) + 0.4 * (step / cell.updates) * (passes - 1) for step in steps]
        kl = kl if k_helps else [1.0] * len(steps)
        facts = 0.95 - 0.05 * cell.updates
        found = run(list(zip(steps, kl, strict=True)), cell.seed, bets=cell.k == 1 and passes > 1, facts=facts)
        out.append((cell, found))
    return callings_grid_summary.summarise(out)


def selector_results(monkeypatch, kl):
    """The selectors, with this {rule: KL}."""
    monkeypatch.setattr(callings_selectors.subject, "fingerprint", lambda: "none")
    out = []
    for cell in callings_selectors.cells("smoke"):
        strays = kl[cell.rule] - kl["random"]
        found = run([(1, kl[cell.rule])], cell.seed, bets=cell.rule == "top", diversity=0.9 - 0.2 * strays,
                    reward=0.2 + 0.3 * strays)  # fmt: skip
        out.append((cell, found | {"different": 3.0}))
    return callings_selectors.summarise(out)


def cluster_results(monkeypatch, kl):
    """The clusters, with this {arm: KL}."""
    monkeypatch.setattr(callings_clusters.subject, "fingerprint", lambda: "none")
    cells = callings_clusters.cells("smoke")
    return callings_clusters.summarise([(c, run([(1, kl[c.arm])], c.seed, bets=False)) for c in cells])


CLUSTERS = {"single": 1.0, "explicit": 0.6, "hybrid-close": 0.62, "hybrid-far": 0.6, "implicit-close": 0.63,
            "implicit-far": 0.6, "same-close": 0.95, "same-far": 0.93, "sharp-one": 0.6, "sharp-four": 0.5,
            "redundant-one": 1.2, "redundant-four": 1.0}  # fmt: skip
RULES = {"random": 0.3, "softmax": 1.5, "top": 3.0, "diverse": 0.4, "quality-diverse": 0.6}


def budget_results(monkeypatch, kl):
    """The budget, with this KL at each K."""
    monkeypatch.setattr(callings_budget.subject, "fingerprint", lambda: "none")
    out = []
    for cell in callings_budget.cells("smoke"):
        if cell.what == "variances":
            found = {"loss": {"prompt": 2.0, "response": 1.0}, "gradient": {"prompt": 1.0, "response": 4.0},
                     "prompt_tokens": 24.0, "response_tokens": 3.0}  # fmt: skip
            found |= {"later": found | {"gradient": {"prompt": 1.0, "response": 9.0}}, "later_kl": 0.8}
        else:
            per_prompt = 24 + 3 * cell.k
            spent = {"tokens": per_prompt * cell.n_prompts, "tokens_as_copies": 27 * cell.k * cell.n_prompts}
            loss = kl[cell.k] if cell.what == "tokens" else 0.2 + 0.02 * cell.per_update
            found = run([(1, 1.0), (2, loss)], cell.seed, bets=False) | spent
        out.append((cell, found))
    return callings_budget.summarise(out)


def keep_results(monkeypatch, kl, logp):
    """What is kept, with this KL and this log-probability of the known facts by way."""
    monkeypatch.setattr(callings_keep.subject, "fingerprint", lambda: "none")
    out = []
    for cell in callings_keep.cells("smoke"):
        known = [0.9 + 0.01 * cell.seed] * 6
        facts = {"before": {"logp": np.log(known).tolist()}, "after": {"logp": [logp[cell.way]] * 6}}
        out.append((cell, run([(1, kl[cell.way])], cell.seed, bets=False) | {"facts": facts}))
    return callings_keep.summarise(out)


LOGP = dict.fromkeys(callings_keep.WAYS, -0.1) | {"full": -3.0}
KL_BY_K = {1: 0.9, 2: 0.7, 4: 0.4, 8: 0.6, 16: 0.8}


@pytest.fixture(scope="module")
def made_up():
    with pytest.MonkeyPatch.context() as patch:
        return {
            "callings_grid": grid_results(patch),
            "callings_selectors": selector_results(patch, RULES),
            "callings_clusters": cluster_results(patch, CLUSTERS),
            "callings_budget": budget_results(patch, KL_BY_K),
            "callings_keep": keep_results(patch, dict.fromkeys(callings_keep.WAYS, 0.4), LOGP),
        }


def draw_all(found):
    """Every figure whose results are there."""
    drawn = {}
    if grid := found.get("callings_grid"):
        for name in ("loss_by_k", "learning_curves", "one_over_k", "facts_kept"):
            drawn[name] = getattr(ch6, name)(grid)
        drawn |= {"lottery": ch6_portraits.lottery(grid), "lottery-1": ch6_portraits.lottery(grid, prompt=1)}
        drawn["film"] = ch6_portraits.training_film(grid)
    if chosen := found.get("callings_selectors"):
        drawn |= {f"selectors-{a}": ch6_choices.selectors(chosen, against=a) for a in ("diversity", "other", "best")}
        drawn["selectors-peaked"] = ch6_choices.selectors(chosen, world="peaked")
        drawn["selector-portrait"] = ch6_portraits.selector_portrait(chosen)
    if clusters := found.get("callings_clusters"):
        drawn |= {"wordings": ch6_choices.wordings(clusters), "pays": ch6_choices.where_it_pays(clusters)}
    if budget := found.get("callings_budget"):
        drawn |= {name: getattr(ch6_budget, name)(budget) for name in ("tokens", "cuts", "variance_bars")}
    if keep := found.get("callings_keep"):
        drawn["kept"] = ch6_keep.what_is_kept(keep)
    return drawn


def about(fig):
    return fig.layout.meta["mrtlab"]


@pytest.mark.parametrize("source", ["made up", "artifacts"])
def test_every_figure_is_small_plain_and_described(source, made_up):
    found = made_up if source == "made up" else {name: artifacts.load(name, "book").results for name in NAMES}
    for name, fig in draw_all(found).items():
        text = fig.to_json()
        assert len(text.encode()) < (32 if fig.frames else 25) * 1024, name
        assert "bdata" not in text, name  # numpy arrays travel as base64; ours are lists
        assert len(about(fig)["table"]["columns"]) == len(about(fig)["table"]["rows"][0]), name
        assert "nan" not in json.dumps(about(fig)).lower()
        assert len(about(fig)["claim"]) < 100, name
        assert about(fig)["artifact"].startswith("callings_")
        assert {trace.type for trace in fig.data} <= {"scatter", "bar"}
        assert len(fig.frames) <= 40


def test_titles_follow_the_grid(monkeypatch):
    helps, same = grid_results(monkeypatch), grid_results(monkeypatch, k_helps=False)
    assert about(ch6.loss_by_k(helps))["claim"].startswith("More responses lower the loss")
    assert about(ch6.loss_by_k(same))["claim"].startswith("What K does")
    assert "unlearns" in about(ch6.learning_curves(helps))["claim"]
    assert "unlearns" not in about(ch6.learning_curves(same))["claim"]
    assert "fewer old facts" in about(ch6.facts_kept(helps))["claim"]


@pytest.mark.parametrize(
    ("pairs", "title"),
    [([(-0.2, -0.1), (-0.2, -0.1)], "even at equal pairs"), ([(-0.1, 0.1), (0.1, 0.2)], "more prompts lower it more"),
     ([(-0.1, 0.1), (-0.1, 0.1)], "no difference"), ([(-0.2, -0.1), (-0.1, 0.1)], "no better than one")],
)  # fmt: skip
def test_the_title_over_k_reads_the_arm_of_equal_pairs(pairs, title, made_up):
    grid = copy.deepcopy(made_up["callings_grid"])
    for k, (lo, hi) in zip((2, 4), pairs, strict=True):
        grid["arms"]["pairs"][f"k{k}"]["minus_k1"]["final"] = {"mean": (lo + hi) / 2, "lo": lo, "hi": hi}
    assert title in ch6._by_k_claim(grid)


@pytest.mark.parametrize(("share", "title"), [(1.0, "A logarithm"), (0.0, "1/K fits"), (0.5, "too few points")])
def test_the_title_of_the_fits_follows_the_resamples(share, title):
    assert title in ch6._fit_claim({"log_better": share})


@pytest.mark.parametrize(
    ("kept", "title"),
    [({32: 0.9, 64: 0.5}, "fewer"), ({32: 0.5, 64: 0.6}, "costs"), ({32: 0.9, 64: 0.97}, "survive")],
)
def test_the_title_of_the_facts_follows_them(kept, title):
    assert title in ch6._facts_claim(kept, 0.98)


def test_fitted_curves_meet_the_r2_of_the_results(made_up):
    grid = made_up["callings_grid"]
    inverse, log, dots = ch6.one_over_k(grid).data
    loss = np.array(dots.y)
    for curve, kind in ((inverse, "inverse"), (log, "log")):
        at = np.interp(np.log(dots.x), np.log(np.array(curve.x)), curve.y)
        r2 = 1 - ((loss - at) ** 2).sum() / ((loss - loss.mean()) ** 2).sum()
        assert r2 == pytest.approx(grid["fit"][kind]["r2"], abs=0.02)


def test_the_lottery_counts_its_bets(made_up):
    fig = ch6_portraits.lottery(made_up["callings_grid"])
    assert about(fig)["claim"] == "Two retrainings on one response bet on two jobs"
    models = fig.data[1::2]
    assert all(sum(bars.x) == pytest.approx(1, abs=0.01) for bars in fig.data)
    assert [max(bars.x) for bars in models[:2]] == [pytest.approx(0.99)] * 2
    assert [bars.marker.color for bars in models] == [theme.SINGLE] * 2 + [theme.MULTI] * 2


@pytest.mark.parametrize(
    ("bets", "sure", "off", "title"),
    [("ab", [0.9, 0.9], [0.9, 0.3], "bet on two jobs"), ("aab", [0.9] * 3, [0.9, 0.3], "two different bets"),
     ("aaa", [0.9] * 3, [0.9, 0.3], "stay nearer"), ("ab", [0.2, 0.9], [0.9, 0.3], "stay nearer"),
     ("ab", [0.9, 0.9], [0.2, 0.3], "beside the truth")],
)  # fmt: skip
def test_the_title_of_the_lottery_follows_the_bets(bets, sure, off, title):
    assert title in ch6_portraits._lottery_claim(list(bets), sure, dict(zip(("one", "many"), off, strict=True)), 16)


def test_the_film_opens_on_its_last_frame(made_up):
    fig = ch6_portraits.training_film(made_up["callings_grid"])
    assert "moves away" in about(fig)["claim"]
    last = fig.frames[-1]
    for place, bars in zip(last.traces, last.data, strict=True):
        assert list(fig.data[place].x) == list(bars.x)
    slider = fig.layout.sliders[0]
    assert [step.label for step in slider.steps] == [frame.name for frame in fig.frames]
    assert slider.active == len(fig.frames) - 1


@pytest.mark.parametrize(
    ("one", "many", "title"),
    [([0.8, 0.3, 0.9], [0.8, 0.3, 0.2], "moves away"), ([0.8, 0.3, 0.3], [0.8, 0.3, 0.2], "ends nearer"),
     ([0.8, 0.3, 0.1], [0.8, 0.3, 0.2], "update by update")],
)  # fmt: skip
def test_the_title_of_the_film_follows_it(one, many, title):
    assert title in ch6_portraits._film_claim(*(np.repeat(np.array(v)[:, None], 2, axis=1) for v in (one, many)), 16)


def test_titles_follow_the_selectors(monkeypatch):
    strays, same = selector_results(monkeypatch, RULES), selector_results(monkeypatch, dict.fromkeys(RULES, 0.3))
    assert "repeats itself" in about(ch6_choices.selectors(strays))["claim"]
    assert "pleases more" in about(ch6_choices.selectors(strays, against="other"))["claim"]
    assert about(ch6_choices.selectors(same))["claim"].startswith("Which candidates")
    assert {ch6_choices.colour_of(rule) for rule in ("top", "softmax")} == {theme.REWARD}


def test_names_of_points_keep_apart():
    def point(x, y, half=0.0):
        return [x - half, x, x + half], [y] * 3

    points = {"random": point(0.5, 0.5), "diverse": point(0.52, 0.52), "softmax": point(0.95, 0.1)}
    sides = ch6_choices._sides(list(points.items()), [[0, 1], [0, 1]], (230, 150))
    assert sides[0] != sides[1]
    assert sides[2] == "left"  # on the right it would leave the panel
    wide = list({"a name": point(0.5, 0.5, half=0.5)}.items())
    assert ch6_choices._sides(wide, [[0, 1], [0, 1]], (230, 150))[0] in ("top", "bottom")  # not across its bar


def test_titles_follow_the_wordings(monkeypatch):
    claim = lambda kl: about(ch6_choices.wordings(cluster_results(monkeypatch, kl)))["claim"]  # noqa: E731
    assert "copies cannot" in claim(CLUSTERS)
    copied = CLUSTERS | {"same-close": 0.62, "same-far": 0.61}
    assert "even when the response is copied" in claim(copied)
    assert "depends" in claim(CLUSTERS | {"same-close": 0.62})
    assert "How much" in claim(CLUSTERS | {"hybrid-far": 0.98})


@pytest.mark.parametrize(
    ("sharp", "redundant", "title"),
    [(0.1, 0.1, "pay most"), (0.1, -0.1, "repeated prompts make no"), (-0.1, 0.1, "how much answers differ makes no"),
     (-0.1, -0.1, "in three worlds")],
)  # fmt: skip
def test_the_title_of_the_gains_follows_them(sharp, redundant, title):
    assert title in ch6_choices._pays_claim({"sharp": {"lo": sharp}, "redundant": {"lo": redundant}})


@pytest.mark.parametrize(
    ("inside", "later", "title"),
    [(1.0, [4], "as the gradient's variance foretold"), (0.0, [8], "foretold K = 2"), (0.0, [4], "a little later"),
     (0.5, [4], "too close")],
)  # fmt: skip
def test_the_title_of_the_tokens_follows_the_resamples(inside, later, title):
    claim = ch6_budget._tokens_claim({"k": 4, "in_flat": {"gradient": inside}}, {"best": 2}, {"flat": later})
    assert title in claim


@pytest.mark.parametrize(
    ("loss", "before", "later", "title"),
    [(0.2, 0.2, 0.9, "from prompts to responses"), (0.2, 0.9, 0.2, "from responses to prompts"),
     (0.3, 0.8, 0.9, "sees more"), (0.8, 0.3, 0.4, "sees less"), (0.5, 0.5, 0.5, "alike")],
)  # fmt: skip
def test_the_title_of_the_variances_follows_them(loss, before, later, title):
    shares = {("loss", "before"): loss, ("gradient", "before"): before, ("gradient", "later"): later}
    assert title in ch6_budget._variance_claim(shares)


def test_titles_follow_the_budget(made_up):
    budget = made_up["callings_budget"]
    assert "K = 4 trains best" in about(ch6_budget.tokens(budget))["claim"]
    assert "small updates" in about(ch6_budget.cuts(budget))["claim"]
    assert "few large" in ch6_budget._cuts_claim({"lo": -0.2, "hi": -0.1}, 512)
    assert "no clear" in ch6_budget._cuts_claim({"lo": -0.2, "hi": 0.1}, 512)
    assert "sees more" in about(ch6_budget.variance_bars(budget))["claim"]  # 4/5 of the gradient's, 1/3 of the loss's


def test_shares_of_the_variance_add_up(made_up):
    between, within = ch6_budget.variance_bars(made_up["callings_budget"]).data
    assert [a + b for a, b in zip(between.x, within.x, strict=True)] == pytest.approx([1] * 4, abs=0.002)
    assert list(within.x) == pytest.approx([1 / 3, 4 / 5, 1 / 3, 9 / 10], abs=0.001)


@pytest.mark.parametrize(
    ("kl", "right", "title"),
    [([-0.1, -0.1], [0.1, 0.1], "no clear price"), ([0.1, 0.1], [0.1, 0.1], "costs some"),
     ([0.1, -0.1], [0.1, 0.1], "others pay"), ([0.1, 0.1], [-0.1, -0.1], "No way")],
)  # fmt: skip
def test_the_title_of_what_is_kept_follows_it(kl, right, title):
    ways = {
        f"way {i}": {"minus_full": {"kl": {"lo": a}, "right": {"lo": b}}}
        for i, (a, b) in enumerate(zip(kl, right, strict=True))
    }
    assert title in ch6_keep._kept_claim(ways)
