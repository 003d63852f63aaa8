"""Chapter 6's experiments on a model of a few steps: nested data, exact marks, and what the runs add up to."""

import numpy as np
import pytest

from mrtlab.data.tasks import words
from mrtlab.data.tasks.callings import judge
from mrtlab.lab import callings_clusters, callings_grid, claims, experiments
from mrtlab.lab.callings_budget import PROMPTS_PER_UPDATE
from mrtlab.lab.callings_data import SHOWN, exam, groups, law, prompts, responses, scored, singles
from mrtlab.lab.callings_run import Schedule, learn, marks_of, right
from mrtlab.lm.models import load_model

NAMES = ("callings_grid", "callings_budget", "callings_clusters", "callings_selectors", "callings_keep")


@pytest.fixture(scope="module")
def setting(tiny_lab):
    """The tiny model in the place of the embedded one, few facts, everything written to a folder of its own."""
    tiny_lab.setattr("mrtlab.lab.callings_run._N_FACTS", 2)


def pretended(records, exam, schedule, *, seed, afterwards=None):
    """What `learn` returns, for a model that mixes the truth with chance: seconds instead of minutes of training."""
    rng = np.random.default_rng([seed, len(records), schedule.updates])
    truth, steps = exam.truths(exam.test), sorted({*schedule.marks, schedule.updates})
    law = np.log(0.5 * truth + 0.5 * rng.dirichlet(np.ones(len(words.JOBS)), size=len(truth)))
    looks = range(0, schedule.updates + 1) if schedule.frames else (0, schedule.updates)
    known = rng.uniform(-1, 0, size=6).round(3).tolist()
    facts = {"nll": -float(np.mean(known)), "right": right(known), "logp": known}
    trained = {
        "marks": [{"step": step, "validation": float(rng.random())} | marks_of(truth, law) for step in steps],
        "portraits": {str(step): np.full((4, len(words.JOBS)), 1 / len(words.JOBS)).tolist() for step in looks},
        "facts": {"before": facts, "after": facts},
    }
    return trained | (afterwards(*load_model("embedded", device="cpu")) if afterwards else {})


@pytest.fixture(scope="module")
def found(setting):
    """Results of all five at smoke scale, their trainings pretended."""
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setattr(f"mrtlab.lab.{name}.learn", pretended)
        return {name: experiments.run(name, "smoke").results for name in NAMES}


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("callings_grid", lambda cell: cell.frames and cell.k == 2),
        ("callings_selectors", lambda cell: cell.rule == "quality-diverse"),
        ("callings_clusters", lambda cell: cell.arm == "hybrid-far"),
        ("callings_budget", lambda cell: cell.what == "variances"),
        ("callings_budget", lambda cell: cell.what == "cut" and cell.per_update == 16),
        ("callings_keep", lambda cell: cell.way == "adapter-rehearsal"),
    ],
)
def test_a_run_of_each_kind(setting, name, which):
    body = experiments.find(name).load()
    cell = next(cell for cell in body.cells("smoke") if which(cell))
    result = body.run_cell(cell)
    if name == "callings_budget" and cell.what == "variances":
        assert result["gradient"]["response"] > 0
        assert result["later"]["gradient"] != result["gradient"]
        return
    marks = result["marks"]
    assert [mark["step"] for mark in marks] == sorted({mark["step"] for mark in marks})
    assert all(np.isfinite(list(mark.values())).all() for mark in marks)
    assert max(result["portraits"]) == marks[-1]["step"]
    assert result["facts"]["before"]["logp"] != result["facts"]["after"]["logp"]


def test_training_on_a_law_comes_closer_to_it(setting):
    """Twenty updates on fresh pairs: the loss falls."""
    records = singles(prompts(16, seed=0), 8, seed=0)
    marks = learn(records, exam(0, short=True), Schedule(updates=20, batch=8, marks=(0,)), seed=0)["marks"]
    assert marks[-1]["nll"] < marks[0]["nll"] - 0.5


def test_data_are_nested_and_no_exam_question_is_trained_on():
    few, many = prompts(16, seed=3), prompts(200, seed=3)
    assert many[:16] == few
    sat = exam(3)
    trained = {q.slots[:3] for q in prompts(8192, seed=3)}
    assert len(trained) == 8192
    assert trained.isdisjoint(q.slots[:3] for q in (*sat.validation, *sat.test))
    assert [q.slots[:3] for q in sat.portraits[: len(SHOWN)]] == list(SHOWN)
    assert [q in many for q in sat.portraits] == [True, True, False, False]
    assert {q.slots[3] for q in sat.test} == {"nothing", "wording"}
    assert responses(few[2], 16, seed=3, place=2)[:4] == responses(few[2], 4, seed=3, place=2)


def test_too_many_prompts_are_refused():
    with pytest.raises(ValueError, match=r"there are \d+ training prompts, 20000 were asked for"):
        prompts(20_000, seed=0)


def test_shuffled_pairs_and_groups_hold_the_same_responses():
    asked = prompts(5, seed=1)
    pairs = [(r.prompt, r.responses[0]) for r in singles(asked, 3, seed=1)]
    assert pairs == [(r.prompt, y) for r in groups(asked, 3, seed=1) for y in r.responses]


def test_responses_follow_the_law_and_a_sharper_one_is_sharper():
    question = prompts(3, seed=0)[2]
    drawn = responses(question, 20_000, seed=0, place=2)
    counts = np.array([drawn.count(job) for job in words.JOBS]) / len(drawn)
    assert np.abs(counts - law(question)).max() < 4 * 0.5 / np.sqrt(len(drawn))
    assert law(question, power=2.0).max() > law(question).max()
    assert law(question, power=2.0).sum() == pytest.approx(1)


def test_scores_are_the_choosing_judges_with_noise():
    record = scored(prompts(3, seed=0)[2], 400, seed=0, place=2)
    noise = np.array(record.scores) - judge(record.responses)
    assert abs(noise.mean()) < 0.03
    assert noise.std() == pytest.approx(0.1, rel=0.2)


def test_marks_by_hand():
    m = len(words.JOBS)
    truth = np.zeros((1, m)) + 1e-12
    truth[0, :2] = 0.5
    truth /= truth.sum()
    p = np.full((1, m), 1e-9)
    p[0, 0], p[0, 1] = 0.6, 0.2  # .2 of the mass is on no job
    marks = marks_of(truth, np.log(p))
    assert marks["mass"] == pytest.approx(0.8, abs=1e-6)
    assert marks["kl"] == pytest.approx(0.5 * np.log(0.5 / 0.6) + 0.5 * np.log(0.5 / 0.2), abs=1e-6)
    assert marks["shape_kl"] == pytest.approx(marks["kl"] + np.log(0.8), abs=1e-6)
    assert marks["nll"] == pytest.approx(marks["kl"] + np.log(2), abs=1e-6)
    assert marks["coverage"] == pytest.approx(0.5 * (1 - 0.4**16) + 0.5 * (1 - 0.8**16), abs=1e-6)
    assert marks["diversity"] == pytest.approx(1 - 0.75**2 - 0.25**2, abs=1e-6)
    scores = judge(words.JOBS, seed=1)[:2]
    assert marks["other"] == pytest.approx(scores @ [0.75, 0.25], abs=1e-6)
    worse = int(scores.argmin())
    all_worse = (0.75, 0.25)[worse] ** 16
    assert marks["best"] == pytest.approx(scores.max() * (1 - all_worse) + scores.min() * all_worse, abs=1e-6)


def test_the_truth_itself_gets_full_marks():
    sat = exam(0)
    truth = sat.truths(sat.test)
    marks = marks_of(truth, np.log(truth))
    assert marks["kl"] == pytest.approx(0, abs=1e-9)
    assert marks["mass"] == pytest.approx(1)


def test_every_arm_of_the_clusters_takes_as_many_updates():
    for name, arm in callings_clusters.ARMS.items():
        pairs = arm.wordings * arm.k * arm.share
        assert pairs * arm.passes == 16, name
    question = prompts(1, seed=0)[0]
    arms = callings_clusters.ARMS
    shown = {name: callings_clusters.shown(question, arm, 0, 0) for name, arm in arms.items()}
    first = {records[0].responses for name, records in shown.items() if not name.startswith("sharp")}
    assert len(first) == 1
    assert len({r.prompt for r in shown["explicit"]}) == 1
    assert len({r.responses for r in shown["same-far"]}) == 1
    assert len({r.prompt for r in shown["hybrid-far"]}) == 2


def test_the_grid_shares_runs_and_keeps_pairs_and_updates_equal():
    plan = callings_grid.PLANS["book"]
    arms = plan.arms()
    assert arms["once"]["k16"] == arms["many"]["k16"]
    assert {n * k for n, k, _ in arms["pairs"].values()} == {4096}
    assert len({u for *_, u in arms["few"].values()}) == len({u for *_, u in arms["many"].values()}) == 1
    labels = [cell.label for cell in callings_grid.cells("book")]
    assert len(labels) == len(set(labels)) == 5 * 18 + 5 * 5


@pytest.mark.parametrize("name", NAMES)
def test_rules_and_tables_read_what_the_runs_add_up_to(found, name):
    body = experiments.find(name).load()
    assert body.table(found[name]).rows
    mine = [claim for claim in claims.CLAIMS if claim.experiment == name]
    assert mine or name == "callings_keep"
    for claim in mine:
        verdict = claim.rule(found[name])
        assert "\n" not in verdict.measured
        assert "nan" not in verdict.measured


def test_the_base_and_the_constant_stand_beside_the_grid(found):
    grid = found["callings_grid"]
    assert grid["base"]["kl"]["mean"] > 0
    assert grid["constant"]["mass"]["mean"] == pytest.approx(1)
    film = grid["portraits"]["frames"]["many_k1"]
    assert film["step"][0] == 0
    assert film["step"][-1] == grid["design"]["many"]
    for run in grid["portraits"]["final"].values():
        assert np.array(run).shape == (2, 4, len(words.JOBS))


def test_fewer_prompts_an_update_and_equal_tokens(found):
    tokens = found["callings_budget"]["tokens"]
    per_update = {k: tokens[f"k{k}"]["per_update"] for k in PROMPTS_PER_UPDATE}
    assert per_update == PROMPTS_PER_UPDATE
    assert all(one["tokens_as_copies"] >= one["tokens"] for one in tokens.values())
    shares = found["callings_budget"]["argmin"]["final"]["share"]
    assert sum(shares.values()) == pytest.approx(1)


def test_what_is_kept_is_known_for_rehearsed_facts_and_others(found):
    ways = found["callings_keep"]["ways"]
    for one in ways.values():
        both = (one[name]["after"]["nll"]["mean"] for name in ("rehearsed", "others"))
        assert sum(both) / 2 == pytest.approx(one["facts"]["after"]["nll"]["mean"], abs=1e-3)
    assert ways["full"]["minus_full"]["kl"]["mean"] == 0
