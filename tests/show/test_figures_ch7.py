"""Figures of chapter 7: small, described, drawn with what the book's plotly knows, and true to their titles.

Results are made up of runs whose outcome is known and put together by the experiments' own `summarise`, so their
shape is that of the artifacts; where an artifact is there, every figure is drawn from it as well.
"""

import copy
import json
from functools import cache

import numpy as np
import pytest

from mrtlab.lab import artifacts, diffuse_film, diffuse_methods, diffuse_transfer, experiments
from mrtlab.lab.diffuse_data import exam, mixed
from mrtlab.show.figures import ch7, ch7_film, ch7_methods, theme

NAMES = ("diffuse_transfer", "diffuse_methods", "diffuse_film")
FACTS = [-0.1] * 8
questions, asked_along = cache(diffuse_transfer.questions), cache(diffuse_film.asked)  # to find them takes a while


def numbers(tv, seed, *, mass=0.98):
    """Everything that is said about a group whose total variation is about this."""
    tv = tv * (1 + 0.01 * np.sin(seed))
    return {"kl": 2 * tv, "validity_kl": -float(np.log(mass)), "shape_kl": 2 * tv + float(np.log(mass)), "mass": mass,
            "tv": tv, "entropy": 1 - tv, "top": tv, "coverage": 0.9, "rare": 1.5 * tv, "common": tv}  # fmt: skip


def put_together(name, monkeypatch, module, result):
    """Results of an experiment at smoke scale, each cell's result made by a function of the cell."""
    monkeypatch.setattr(module.subject, "fingerprint", lambda: "none")
    body = experiments.find(name).load()
    return body.summarise([(cell, result(cell)) for cell in body.cells("smoke")])


TV = {  # before, after one pass, after two
    "mixed": {"trained": (0.6, 0.2, 0.05), "wordings_new": (0.6, 0.25, 0.06), "families": (0.6, 0.3, 0.4),
              "never_flat": (0.6, 0.58, 0.59)},
    "narrow": {"trained": (0.5, 0.2, 0.02), "wide": (0.5, 0.5, 0.6), "shifted": (0.5, 0.4, 0.4)},
    "wide": {"trained": (0.5, 0.2, 0.02), "small": (0.5, 0.4, 0.3), "shifted": (0.5, 0.4, 0.4)},
    "half": {"trained": (0.6, 0.2, 0.1)},
    "weighted": {"trained": (0.7, 0.1, 0.02)},
}  # fmt: skip
UNLISTED = (0.4, 0.2, 0.02)  # mass of answers that nobody listed


def transfer_results(monkeypatch, **other):
    """Transfer with these total variations by kind and group; groups not named stay as they are."""

    def result(cell):
        kind = {"mixed-anchored": "mixed"}.get(cell.kind, cell.kind)
        tv = TV[kind] | other.get(kind, {})
        groups = ["trained", *questions(cell)[1]]
        mass = other.get("unlisted", UNLISTED)

        def at(i):
            found = {g: numbers(tv.get(g, (0.6, 0.6, 0.6))[i], cell.seed) for g in groups}
            if kind == "half":
                found["unlisted"] = numbers(0.9, cell.seed, mass=mass[i] * (1 + 0.01 * cell.seed))
                found["trained"] = numbers(0.1, cell.seed, mass=0.97 - mass[i])
            return {"groups": found, "facts": FACTS}

        return {"marks": {str(i): at(i) for i in range(3)}, "trace": [3.0, 2.5, 2.1], "floor": 2.0,
                "stops": {"0.5": 0, "0.2": 1}}  # fmt: skip

    monkeypatch.setattr("mrtlab.lab.diffuse_transfer_summary.questions", questions)
    return put_together("diffuse_transfer", monkeypatch, diffuse_transfer, result)


WAY_TV = {"tree": 0.06, "strings": 0.06, "path-mean": 0.07, "hard": 0.15, "gem": 0.14, "witness": 0.2,
          "entropy-bonus": 0.5}  # fmt: skip
HEAT = {"T1.25": (0.6, 0.9), "T1.5": (0.7, 0.7), "T2": (0.8, 0.3)}  # entropy and mass; nothing is valid beyond


def method_results(monkeypatch, *, ways=WAY_TV, asked=0.1, heat=HEAT, split=(1.0, 0.02)):
    """Methods with these total variations on taught prompts, .3 more elsewhere."""

    def groups(tv, **more):
        return {g: numbers(tv + 0.3 * (g != "trained"), 0) | more for g in ("trained", *diffuse_methods.GROUPS)}

    def result(cell):
        if cell.way != "untrained":
            return {"groups": groups(ways[cell.way] * (1 + 0.01 * cell.seed)), "facts": FACTS}
        parts = {"shape_kl": split[0], "validity_kl": split[1], "kl": sum(split)}
        decoding = {
            rule: {
                name: groups(0.6, entropy=heat.get(name, (0.5, 0.0))[0], mass=heat.get(name, (0.5, 0.0))[1])
                for name in some
            }
            for rule, some in diffuse_methods.DECODING.items()
        }
        return {
            "plain": {"groups": groups(0.64, **parts), "facts": FACTS},
            "asked": {g: numbers(asked, cell.seed) for g in ("trained", "families", "never_flat")},
            "decoding": decoding,
        }

    return put_together("diffuse_methods", monkeypatch, diffuse_methods, result)


def film_results(monkeypatch, *, narrow=0.0, many=0.5, own=1.0):
    """The film, where words go this share of the way to even by one prompt and by many, and numbers that of `own`."""

    def result(cell):
        found = {}
        for name, target in ({"lesson": mixed(cell.seed)[0]} | asked_along(cell.seed)).items():
            m = len(target.answers)
            peak = np.full(m, 0.4 / (m - 1))
            peak[6] = 0.6
            share = own if name in ("lesson", "small") else narrow if cell.kind == "narrow" else many
            law = [0.98 * ((1 - share * i / 2) * peak + share * i / 2 / m) for i in range(3)]
            found[name] = {"prompt": target.prompt, "family": target.family, "answers": list(target.answers),
                           "law": np.array(law).tolist()}  # fmt: skip
        return found

    return put_together("diffuse_film", monkeypatch, diffuse_film, result)


@pytest.fixture(scope="module")
def made_up():
    with pytest.MonkeyPatch.context() as patch:
        return {
            "diffuse_transfer": transfer_results(patch),
            "diffuse_methods": method_results(patch),
            "diffuse_film": film_results(patch),
        }


def draw_all(found):
    """Every figure whose results are there."""
    drawn = {}
    if transfer := found.get("diffuse_transfer"):
        for name in ("reach", "passes_cost", "narrow_or_wide", "early_stop"):
            drawn[name] = getattr(ch7, name)(transfer)
        drawn["reach-anchored"] = ch7.reach(transfer, kind="mixed-anchored")
    if methods := found.get("diffuse_methods"):
        drawn["two_parts"] = ch7.two_parts(methods)
        drawn |= {name: getattr(ch7_methods, name)(methods) for name in ("one_table", "temperature")}
    if film := found.get("diffuse_film"):
        drawn |= {name: getattr(ch7_film, name)(film) for name in ("favourites", "film")}
    return drawn


def about(fig):
    return fig.layout.meta["mrtlab"]


@pytest.mark.parametrize("source", ["made up", "artifacts"])
def test_every_figure_is_small_plain_and_described(source, made_up):
    found = made_up if source == "made up" else {name: artifacts.load(name, "book").results for name in NAMES}
    for name, fig in draw_all(found).items():
        text = fig.to_json()
        assert len(text.encode()) < (28 if fig.frames else 20) * 1024, name
        assert "bdata" not in text, name  # numpy arrays travel as base64; ours are lists
        assert len(about(fig)["table"]["columns"]) == len(about(fig)["table"]["rows"][0]), name
        assert "nan" not in json.dumps(about(fig)).lower().split()
        assert len(about(fig)["claim"]) < 100, name
        assert about(fig)["artifact"].startswith("diffuse_")
        assert {trace.type for trace in fig.data} <= {"scatter", "bar"}
        assert len(fig.frames) <= 51


def test_groups_of_the_transfer_have_names():
    assert set(exam(0)) | {"trained"} == set(ch7.GROUPS)
    assert set(diffuse_methods.GROUPS) <= set(ch7.GROUPS)
    ways = {*diffuse_methods.WAYS, *diffuse_methods.DECODING, "plain", "asked"}
    assert set(ch7_methods.WAYS) == ways


@pytest.mark.parametrize(
    ("split", "title"),
    [((1.0, 0.02), "nearly all that is wrong is shape"), ((1.0, 0.5), "shape is most wrong"),
     ((0.1, 0.5), "validity is most wrong"), ((0.3, 0.3), "depends")],
)  # fmt: skip
def test_the_title_of_the_parts_follows_them(split, title, monkeypatch):
    fig = ch7.two_parts(method_results(monkeypatch, split=split))
    assert title in about(fig)["claim"]
    shape, validity = fig.data
    assert [a + b for a, b in zip(shape.x, validity.x, strict=True)] == pytest.approx([sum(split)] * len(shape.x))


@pytest.mark.parametrize(
    ("mixed", "title"),
    [({}, "other families in part, and those never even hardly"),
     ({"never_flat": (0.6, 0.4, 0.4)}, "and those never even, too"),
     ({"families": (0.6, 0.3, 0.06)}, "other families, and those never even hardly"),
     ({"families": (0.6, 0.6, 0.6)}, "not other families"),
     ({"wordings_new": (0.6, 0.6, 0.6)}, "stays with the wordings taught")],
)  # fmt: skip
def test_the_title_of_the_reach_follows_the_groups(mixed, title, monkeypatch):
    assert title in about(ch7.reach(transfer_results(monkeypatch, mixed=mixed)))["claim"]


def test_the_reach_goes_from_before_to_the_last_pass(made_up):
    before, *_, last = ch7.reach(made_up["diffuse_transfer"]).data
    assert before.marker.color == theme.GREY
    assert last.marker.color == theme.MULTI
    assert before.x[0] == pytest.approx(0.6, abs=0.01)
    assert last.x[0] == pytest.approx(0.05, abs=0.01)
    assert all(a > b for a, b in zip(before.y, last.y, strict=True))


def test_the_title_of_the_passes_follows_other_families(made_up, monkeypatch):
    assert "first passes only" in about(ch7.passes_cost(made_up["diffuse_transfer"]))["claim"]
    on = transfer_results(monkeypatch, mixed={"families": (0.6, 0.4, 0.3)})
    assert "first passes only" not in about(ch7.passes_cost(on))["claim"]


@pytest.mark.parametrize(
    ("narrow", "wide", "title"),
    [(0.6, 0.3, "A narrow range makes a wider one less even"), (0.4, 0.3, "makes others more even"),
     (0.6, 0.7, "makes others less even"), (0.4, 0.7, "depends on which")],
)  # fmt: skip
def test_the_title_of_the_ranges_follows_them(narrow, wide, title, monkeypatch):
    found = transfer_results(monkeypatch, narrow={"wide": (0.5, 0.5, narrow)}, wide={"small": (0.5, 0.5, wide)})
    assert title in about(ch7.narrow_or_wide(found))["claim"]


def test_the_title_of_the_stop_follows_what_is_kept(made_up, monkeypatch):
    fig = ch7.early_stop(made_up["diffuse_transfer"])
    assert about(fig)["claim"].startswith("Early stops")  # the strictest stop comes at the end and keeps nothing
    unlisted = [{"mean": v} for v in (0.5, 0.4, 0.2, 0.1)]
    kept = {g: {"kept": {"lo": 0.1}} for g in ("0.5", "0.2")}
    assert "The earlier the stop" in ch7._stop_claim(kept, [0.5, 0.2], unlisted)
    assert ch7._stop_claim(kept, [0.5, 0.2], unlisted[::-1]) == "An early stop keeps unlisted answers"
    listed, other = fig.data
    assert other.x[-1] == pytest.approx(0.02, abs=0.001)
    assert all(a + b < 1 for a, b in zip(listed.x, other.x, strict=True))


@pytest.mark.parametrize(
    ("hard", "asked", "title"),
    [(0.15, 0.1, "Whole targets teach best; other families are reached by asking"),
     (0.15, 0.9, "At equal steps, whole targets teach best"), (0.02, 0.1, "No training reaches other families"),
     (0.02, 0.9, "Ways to an even law")],
)  # fmt: skip
def test_the_title_of_the_table_follows_the_ways(hard, asked, title, monkeypatch):
    found = method_results(monkeypatch, ways=WAY_TV | {"hard": hard}, asked=asked)
    assert title in about(ch7_methods.one_table(found))["claim"]


def test_every_way_has_its_place_in_the_table(made_up):
    fig = ch7_methods.one_table(made_up["diffuse_methods"])
    first = [trace for trace in fig.data if trace.xaxis == "x"]
    assert sorted(name for trace in first for name in trace.customdata) == sorted(
        n for n, _ in ch7_methods.WAYS.values()
    )
    at = dict(zip(first[0].customdata, first[0].x, strict=True))
    assert at["tree"] == pytest.approx(0.06, abs=0.001)


@pytest.mark.parametrize(
    ("heat", "title"),
    [(HEAT, "spoils answers before"), (HEAT | {"T2": (0.99, 0.9)}, "does what training does"),
     (HEAT | {"T3": (0.99, 0.1)}, "only where few of them are valid")],
)  # fmt: skip
def test_the_title_of_the_heat_follows_the_sweep(heat, title, monkeypatch):
    assert title in about(ch7_methods.temperature(method_results(monkeypatch, heat=heat)))["claim"]


def test_favourites_go_and_the_title_says_which(made_up, monkeypatch):
    fig = ch7_film.favourites(made_up["diffuse_film"])
    assert about(fig)["claim"] == "“Random” is 7 half of the time, until the model is taught"
    before, after = (list(trace.y) for trace in fig.data if trace.marker.color in (theme.GREY, theme.MULTI))
    assert max(before) == pytest.approx(0.588, abs=0.001)
    assert after == pytest.approx([0.098] * 10, abs=0.001)
    stays = film_results(monkeypatch, own=0.0)
    assert about(ch7_film.favourites(stays))["claim"] == "“Random” is 7 half of the time"


def test_the_film_opens_on_its_last_frame(made_up):
    fig = ch7_film.film(made_up["diffuse_film"])
    last = fig.frames[-1]
    for place, bars in zip(last.traces, last.data, strict=True):
        assert list(fig.data[place].y) == list(bars.y)
    slider = fig.layout.sliders[0]
    assert [step.label for step in slider.steps] == [frame.name for frame in fig.frames]
    assert slider.active == len(fig.frames) - 1
    assert len(fig.layout.shapes) == len(last.traces)


@pytest.mark.parametrize(
    ("narrow", "many", "title"),
    [(0.0, 0.5, "eleven reach other words, too"), (0.5, 0.5, "Even one prompt"), (0.0, 0.0, "pass by pass")],
)
def test_the_title_of_the_film_follows_it(narrow, many, title, monkeypatch):
    assert title in about(ch7_film.film(film_results(monkeypatch, narrow=narrow, many=many)))["claim"]


def test_drawing_changes_no_results(made_up):
    before = copy.deepcopy(made_up)
    draw_all(made_up)
    assert made_up == before
