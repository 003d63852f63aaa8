"""Explorables seen from Python: what a cell returns, what goes into a page, and the twins' numbers."""

import json
import re
from html import unescape
from math import comb

import numpy as np
import pytest

from mrtlab.show import explorables
from mrtlab.show.explorables import (
    MIME,
    REGISTRY,
    Control,
    bundle,
    explorable,
    html,
    parity_vectors,
    predict,
    stylesheet,
)
from mrtlab.show.explorables.page import _plain, _shared
from mrtlab.show.explorables.twins import coverage, lottery
from mrtlab.show.explorables.twins_budget import budget, variance
from mrtlab.show.explorables.twins_selection import RULES, expected_kinds, selection

LOTTERY = {"n": 5, "d": 1.0, "k": 1, "seed": 1, "trainings": 24}


def ask(**changes):
    given = {"question": "Which?", "options": ["a", "b"], "answer": 1, "because": "So."} | changes
    return predict("ch1-ask", **given)


# --- what a cell returns -------------------------------------------------------------------------------------


def test_in_the_book_a_figure_is_its_spec_and_no_widget(monkeypatch):
    monkeypatch.setenv("MRTLAB_BOOK", "1")
    figure = explorable("lottery", k=4)
    shown = figure._repr_mimebundle_()
    assert shown.keys() == {MIME, "text/plain"}
    assert shown[MIME] == {
        "name": "lottery",
        "id": "lottery",
        "state": {"k": 4, "n": 5, "d": 1.0, "seed": 1, "trainings": 24},
    }
    assert json.loads(json.dumps(shown)) == shown
    assert "mango 20\u00a0%" in shown["text/plain"]
    assert figure._widget is None


def test_with_a_kernel_a_figure_is_a_widget_that_python_can_read_and_set(monkeypatch):
    monkeypatch.delenv("MRTLAB_BOOK", raising=False)
    figure = explorable("coverage")
    shown = figure._repr_mimebundle_()
    data = shown[0] if isinstance(shown, tuple) else shown
    assert "application/vnd.jupyter.widget-view+json" in data
    assert figure.widget is figure.widget
    assert figure.widget.spec == figure.spec
    assert "export default { render };" in str(figure.widget._esm)
    assert str(figure.widget._css) == stylesheet()
    figure.widget.state = figure.state | {"k": 3}
    assert figure.state["k"] == 3


def test_a_prediction_carries_its_texts_escaped_and_marked_up():
    figure = ask(question="Is *p* < `q`?", hint_per_option=["no & no", ""])
    assert figure.spec["id"] == "predict-ch1-ask"
    assert figure.spec["config"] == {
        "question": "Is <em>p</em> &lt; <code>q</code>?",
        "options": ["a", "b"],
        "answer": 1,
        "because": "So.",
        "hints": ["no &amp; no", ""],
    }
    assert figure.state == {"choice": None}
    assert "Before you look: Is *p* < `q`?" in figure.alt


# --- mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: explorable("lotery"),
            "known are bins, budget, coverage, crossover, lottery, parts, race, selection, target, tree, var",
        ),
        (lambda: explorable("predict"), r"call predict\("),
        (lambda: explorable("lottery", temperature=1), r"'temperature' is no control.*k \(1 to 16 in steps of 1\)"),
        (lambda: explorable("lottery", k=17), "k = 17 is not a setting: expected 1 to 16"),
        (lambda: explorable("lottery", k=1.5), "k = 1.5"),
        (lambda: explorable("lottery", d=0.33), "d = 0.33"),
        (lambda: explorable("lottery", k=float("nan")), "k = nan"),
        (lambda: explorable("lottery", id="No spaces"), "must be made of"),
        (lambda: ask(options=["only"]), "at least two options"),
        (lambda: ask(answer=2), "answer 2"),
        (lambda: ask(answer=-1), "answer -1"),
        (lambda: ask(hint_per_option=["one"]), "got 1 hints for 2 options"),
        (lambda: bundle(["lottery", "chess"]), "known are .*lottery, parts, predict, race, selection"),
        (lambda: explorable("budget", c=3), r"c = 3 is not a setting: expected one of 0, 0\.5, 1"),
        (lambda: explorable("budget", c=True), "c = True"),
        (lambda: explorable("selection", by="worst"), "by = 'worst' is not a setting: expected one of random, best"),
        (lambda: html({"name": "lottery", "id": "x", "state": {"k": 0}}), "k = 0"),
        (lambda: parity_vectors("chess"), "'chess'"),
    ],
)
def test_a_mistake_gets_one_sentence_that_lists_what_is_known(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_values_on_the_grid_are_accepted_whatever_their_rounding():
    d = Control(key="d", label="d", min=0.3, max=1.0, step=0.05, default=1.0)
    assert [d.check(value) for value in (0.3, 0.30 + 0.05 * 7, 1)] == pytest.approx([0.3, 0.65, 1.0])
    assert isinstance(d.check(1), float)


# --- what a page is made of ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_default_is_a_setting_and_every_key_is_used_once(name):
    entry = REGISTRY[name]
    for control in entry.controls:
        assert control.check(control.default) == control.default
        assert control.check(control.max) == control.max  # the slider can reach its end
    assert len({control.key for control in entry.controls}) == len(entry.controls)
    assert 2 <= sum(not control.hidden for control in entry.controls) <= 4


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_fragment_holds_the_spec_and_tells_the_story_in_words(name):
    entry = REGISTRY[name]
    fragment = html(explorable(name, id="here").spec)
    spec = json.loads(unescape(re.search(r'data-mrt="([^"]*)"', fragment)[1]))
    assert (spec["name"], spec["id"], spec["state"]) == (name, "here", entry.default)
    assert [control["key"] for control in spec["controls"]] == [control.key for control in entry.controls]
    data = entry.compute(entry.default)
    assert entry.sentence(data, entry.default) in fragment
    assert fragment.count("<tr>") == 1 + len(entry.table(data, entry.default)["rows"])
    assert entry.title in fragment
    assert entry.caption in unescape(fragment)


def test_a_bundle_holds_what_was_asked_for_and_can_stand_inline():
    text = bundle(["lottery", "lottery"])
    assert text.count('name: "lottery"') == 1
    assert 'name: "coverage"' not in text
    everything = bundle([*REGISTRY, "predict"])
    assert not re.search(r"^\s*(import|export)\b", everything, flags=re.MULTILINE)
    assert "</script" not in everything
    assert "http" not in everything  # no other host


def test_a_page_with_the_figures_of_its_chapter_stays_small():
    core, theory = (len(_plain(name).encode()) for name in ("core.js", "theory.js"))
    assert core + theory < 23_000
    for name in [*REGISTRY, "predict"]:
        common = core + theory * ("theory.js" in _shared([name]))
        given = REGISTRY[name].given if name in REGISTRY else None
        measured = len(json.dumps(given())) if given else 0
        assert measured < 12 * 1024
        assert len(bundle([name]).encode()) - common - measured < 16 * 1024


def test_the_public_names_are_what_they_say():
    assert all(hasattr(explorables, name) for name in explorables.__all__)


# --- the twins -----------------------------------------------------------------------------------------------


def test_lottery_numbers_by_hand():
    data = lottery(LOTTERY | {"n": 2, "d": 0.5, "k": 2, "trainings": 1})  # truth 2/3, 1/3; counts (2,0) (1,1) (0,2)
    assert data["truth"] == pytest.approx([2 / 3, 1 / 3])
    assert data["expected_coverage"] == pytest.approx(1 * 4 / 9 + 2 * 4 / 9 + 1 * 1 / 9)
    assert data["expected_tv"] == pytest.approx(4 / 9 * 1 / 3 + 4 / 9 * 1 / 6 + 1 / 9 * 2 / 3)
    assert data["same_top"] == pytest.approx(5 / 9)
    # two trainings differ by ½ where one count differs, by 1 where both do
    assert data["expected_disagreement"] == pytest.approx(0.5 * 2 * (16 + 4) / 81 + 1 * 2 * 4 / 81)
    assert len(data["history"]) == 1
    assert sum(data["memory"]) == 1


def test_with_one_answer_shown_disagreement_is_one_minus_the_chance_to_agree():
    data = lottery(LOTTERY | {"d": 0.5, "n": 4})
    assert data["expected_disagreement"] == pytest.approx(1 - data["same_top"])
    assert data["known"] == 1
    assert sorted(data["memory"]) == [0, 0, 0, 1]


def test_draws_follow_the_truth_and_a_larger_k_hears_the_same_answers_first():
    states = [LOTTERY | {"d": 0.5, "trainings": 40 * i, "seed": i} for i in range(1, 51)]
    counts = np.sum([lottery(state)["history"] for state in states], axis=(0, 1))
    expected = 2000 * np.array([16, 8, 4, 2, 1]) / 31
    statistic = np.sum((counts - expected) ** 2 / expected)
    assert statistic < 18.5  # χ² with 4 degrees of freedom exceeds this once in a thousand
    few, many = (np.array(lottery(LOTTERY | {"k": k})["history"]) for k in (3, 9))
    assert np.all(many >= few)
    assert np.all(many.sum(1) == 9)


def test_the_strip_keeps_the_last_forty_trainings():
    long, short = lottery(LOTTERY | {"trainings": 100}), lottery(LOTTERY | {"trainings": 99})
    assert (long["first"], len(long["history"])) == (61, 40)
    assert long["history"][:-1] == short["history"][1:]


def test_coverage_numbers_by_hand():
    data = coverage({"n": 2, "d": 0.5, "b": 0.5, "k": 2})  # generator 5/6, 1/6
    assert data["generator"] == pytest.approx([5 / 6, 1 / 6])
    assert data["seen"] == pytest.approx([35 / 36, 11 / 36])
    assert data["curve"][1] == pytest.approx(46 / 36)
    assert data["covered_mass"] == pytest.approx(2 / 3 * 35 / 36 + 1 / 3 * 11 / 36)
    missed = 1 - (5 / 6) ** np.arange(60)  # the second answer's chance decides: 1 − (5/6)ᴷ + 1 ≥ 1.8
    assert data["draws_needed"] == int(np.argmax(1 + missed - (1 / 6) ** np.arange(60) >= 1.8))
    assert data["even_draws_needed"] == 4  # 2·(1 − 2⁻⁴) = 1.875, and 1.75 with three draws


def test_coverage_counts_the_subsets_that_equal_answers_can_show():
    data = coverage({"n": 3, "d": 1.0, "b": 0.0, "k": 4})
    onto = {1: 1, 2: 14, 3: 36}  # ways for 4 draws to show exactly these 1, 2, 3 answers
    assert data["curve"][3] == pytest.approx(sum(m * comb(3, m) * ways for m, ways in onto.items()) / 81)


def test_a_generator_that_only_says_its_pet_answer_never_covers():
    data = coverage({"n": 5, "d": 1.0, "b": 1.0, "k": 64})
    assert data["draws_needed"] is None
    assert set(data["curve"]) == {1.0}
    assert data["effective_support"] == 1


def test_budget_numbers_by_hand():
    data = budget({"b": 400, "c": 4, "v": 7, "k": 1})
    assert data["curve"][0] == pytest.approx(8 * 5 / 400)  # (V_x + V_{y|x})·(C_p + C_r)/B
    assert data["excess"] == pytest.approx(40 / 21.6 - 1)  # the best whole K is 5: 2.4·9
    assert data["k_star"] == pytest.approx(28**0.5)
    assert (data["n_prompts"], data["best_k"], data["low"], data["high"]) == (80, 5, 4, 8)


def test_when_answers_are_alike_or_prompts_are_free_one_answer_wins():
    for edge in ({"c": 0, "v": 30}, {"c": 20, "v": 0}):
        data = budget({"b": 400, "k": 1} | edge)
        assert (data["best_k"], data["k_star"], data["excess"]) == (1, 0, 0)
        assert np.all(np.diff(data["curve"]) > 0)


def test_of_two_budgets_that_tie_the_smaller_k_is_named():
    data = budget({"b": 400, "c": 4, "v": 0.5, "k": 2})  # K + c·v/K is 3 at K = 1 and at K = 2
    assert (data["best_k"], data["excess"]) == (1, pytest.approx(0, abs=1e-12))


def test_the_parts_of_the_variance_add_up_to_the_law_of_correlated_answers():
    data = variance({"n": 100, "k": 4, "v": 5, "s": 0.2})
    answers = 5 * (4 + 4 * 3 * 0.2) / 4**2  # variance of the mean of four answers, correlation 0.2
    assert data["total"] == pytest.approx((1 + answers) / 100)
    assert data["total"] == pytest.approx(data["from_prompts"] + data["from_shared"] + 5 * 0.8 / 4 / 100)
    assert data["effective_k"] == pytest.approx(4 / 1.6)
    assert data["twice_prompts"] == pytest.approx(data["total"] / 2)


def test_copies_of_one_answer_save_nothing():
    data = variance({"n": 100, "k": 8, "v": 5, "s": 1.0})
    assert data["effective_k"] == pytest.approx(1)
    assert data["saved"] == pytest.approx(0)
    assert data["floor_share"] == pytest.approx(1)


SELECTION = {"k": 4, "alpha": 0.75, "by": "quality-diversity", "seed": 1, "draw": 1}


def kept(name: str, **changes) -> dict:
    return next(rule for rule in selection(SELECTION | changes)["rules"] if rule["by"] == name)


def test_each_rule_keeps_what_it_says():
    data = selection(SELECTION)
    assert len(data["reward"]) == 24
    top = sorted(data["reward"])[-4:]
    assert kept("best")["reward"] == pytest.approx(sum(top) / 4)
    assert kept("diverse", alpha=4.0) == kept("diverse", alpha=0.0)
    assert kept("quality-diversity", alpha=0.0)["picks"] == kept("diverse")["picks"]
    assert kept("random", draw=2) != kept("random", draw=1)
    for by in RULES:
        assert len(set(kept(by, k=8)["picks"])) == 8
        assert max(rule["coverage"] for rule in data["rules"]) >= kept(by)["coverage"]


def test_over_many_seeds_best_narrows_and_quality_diversity_sits_between():
    seeds = range(1, 41)
    means = {
        by: np.mean([[kept(by, seed=seed)[what] for what in ("kinds", "reward", "coverage")] for seed in seeds], axis=0)
        for by in RULES
    }
    kinds, reward, coverage = ({by: mean[i] for by, mean in means.items()} for i in range(3))
    assert kinds["best"] == 1
    assert 2 < kinds["quality-diversity"] < kinds["diverse"] == 3
    assert reward["random"] < reward["quality-diversity"] < reward["best"]
    assert coverage["best"] < coverage["random"] < coverage["quality-diversity"] < coverage["diverse"]


def test_random_picks_are_unbiased_and_find_as_many_kinds_as_the_formula_says():
    draws = [selection(SELECTION | {"by": "random", "draw": draw}) for draw in range(1, 401)]
    rewards = np.array([data["chosen"]["reward"] for data in draws])
    kinds = np.array([data["chosen"]["kinds"] for data in draws])
    for sample, expected in ((rewards, draws[0]["mean_reward"]), (kinds, draws[0]["expected_kinds"])):
        assert abs(sample.mean() - expected) < 3.3 * sample.std() / 20  # once in a thousand
    assert expected_kinds([12, 8, 4], 24) == 3
    assert expected_kinds([12, 8, 4], 2) == pytest.approx(1 + (12 * 8 + 12 * 4 + 8 * 4) / (24 * 23 / 2))


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_vectors_cover_the_default_both_ends_and_the_lessons(name):
    entry = REGISTRY[name]
    states = [vector["state"] for vector in parity_vectors(name)]
    assert states[0] == entry.default
    for control in entry.controls:
        assert {control.min, control.max} <= {state[control.key] for state in states}
    assert all(
        edge.items() <= state.items() for edge, state in zip(entry.edges, states[-len(entry.edges) :], strict=True)
    )
    assert json.loads(json.dumps(parity_vectors(name))) == parity_vectors(name)
