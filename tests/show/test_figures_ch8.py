"""Figures of chapter 8: small, described, drawn with what the book's plotly knows, and true to their titles.

Results are made up of answers whose worth is known and put together by the experiments' own `summarise`; where an
artifact is there, every figure is drawn from it as well.
"""

import copy
import itertools
import json

import pytest
from ch8_results import adapters_results, decode_results, share_results

from mrtlab.lab import artifacts
from mrtlab.show.figures import ch8, ch8_arms, ch8_domains, ch8_parts, theme

NAMES = ("spa_adapters", "spa_share", "spa_decode")


@pytest.fixture(scope="module")
def made_up():
    with pytest.MonkeyPatch.context() as patch:
        return {
            "spa_adapters": adapters_results(patch),
            "spa_share": share_results(patch),
            "spa_decode": decode_results(patch),
        }


@pytest.fixture
def results(made_up):
    return copy.deepcopy(made_up["spa_adapters"])


def draw_all(results):
    found = results["spa_adapters"]
    drawn = {f.__name__: f(found) for f in (ch8.frontier, ch8.arms, ch8.passes, ch8.kinds)}
    drawn |= {f"side_by_side {i}": ch8.side_by_side(found, question=i) for i in range(len(found["shown"]))}
    for f in (ch8_parts.sizes, ch8_parts.agreement, ch8_parts.temperature, ch8_parts.over_k):
        drawn[f.__name__] = f(found)
    drawn |= {f.__name__: f(found) for f in (ch8_domains.domains, ch8_domains.apart)}
    return drawn | {
        "share": ch8_domains.share(results["spa_share"]),
        "cost": ch8_domains.cost(results["spa_decode"]),
    }


def about(fig):
    return fig.layout.meta["mrtlab"]


@pytest.mark.parametrize("source", ["made up", "artifacts"])
def test_every_figure_is_small_plain_and_described(source, made_up):
    drawn = draw_all(made_up if source == "made up" else {name: artifacts.load(name, "book").results for name in NAMES})
    assert len(drawn) >= 13
    for name, fig in drawn.items():
        text = fig.to_json()
        assert len(text.encode()) < 25 * 1024, name
        assert "bdata" not in text, name  # numpy arrays travel as base64; ours are lists
        assert {trace.type for trace in fig.data} <= {"scatter", "bar"}, name
        assert {len(row) for row in about(fig)["table"]["rows"]} == {len(about(fig)["table"]["columns"])}, name
        assert "nan" not in json.dumps(about(fig)).lower(), name
        assert len(about(fig)["claim"]) < 100, about(fig)["claim"]
        assert about(fig)["artifact"] in {f"{name}.book" for name in NAMES}
        numbers = [v for row in about(fig)["table"]["rows"] for v in row if isinstance(v, float)]
        assert all(v == float(f"{v:.4g}") for v in numbers), name  # four digits


def test_drawing_changes_no_results(made_up):
    before = copy.deepcopy(made_up)
    draw_all(made_up)
    assert made_up == before


def test_cells_of_one_question_hold_every_answer(results):
    fig = ch8.side_by_side(results)
    columns = dict(zip(ch8.SHOWN, fig.data, strict=True))
    assert {len(bars.text) for bars in columns.values()} == {8}
    dealt, shown = columns["dealt"], results["shown"][0]["arms"]["dealt"]
    assert [text.startswith("✗") for text in dealt.text] == [not ok for ok in shown["right"]]
    assert all("return" not in text for text in dealt.text)
    fills = [fill for fill, ok in zip(dealt.marker.color, shown["right"], strict=True) if ok]
    answers = [answer for answer, ok in zip(shown["answers"], shown["right"], strict=True) if ok]
    assert len(set(zip(fills, answers, strict=True))) == len(set(fills)) == len(set(answers)) == 5  # a tint for each
    assert set(columns["seeds"].marker.color) == {theme.tint(theme.SINGLE, 0.12)}
    assert "to one question: dealt five, seeds one" in about(fig)["claim"]
    for one in results["shown"][0]["arms"].values():
        one |= {"answers": ["def f(x): return x + x"] * 8, "right": [True] * 8}
    assert "one different right, whatever" in about(ch8.side_by_side(results))["claim"]


ON_FRONTIER = (*ch8.PARTS, "influence-dot", "influence-lissa")


@pytest.mark.parametrize(
    ("bounds", "title"),
    [
        ({}, "Adapters on parts give more"),
        ({"random": (-1, 1)}, "of eight kinds of parts"),
        ({arm: (-1, 1) for arm in ON_FRONTIER}, "No parts give clearly more"),
        ({arm: (-2, -1) for arm in ON_FRONTIER}, "One adapter, heated, gives more"),
        (
            {arm: (-2, -1) for arm in ON_FRONTIER if arm != "dealt"},
            "only these give more than one adapter as often right: dealt",
        ),
    ],
)
def test_the_title_of_the_frontier_follows_it(results, bounds, title):
    for arm, by_temperature in results["less_one"]["programs"].items():
        lo, hi = bounds.get(arm, (1, 2))
        by_temperature["0.0"]["matched"]["distinct_right"] = {"mean": (lo + hi) / 2, "lo": lo, "hi": hi}
    assert title in about(ch8.frontier(results))["claim"]


def test_points_of_the_frontier_stand_where_the_results_say(results):
    fig = ch8.frontier(results)
    line, *points = fig.data
    one = results["domains"]["programs"]["one"]["k8"]
    assert list(line.customdata) == ["0.1", "0.3", "0.5", "0.7", "1.0"]
    assert line.x[-1] == pytest.approx(one["1.0"]["pass@1"]["mean"], abs=1e-3)
    assert line.line.color == theme.INK
    dealt = next(trace for trace in points if trace.marker.color == theme.DEALT)
    assert dealt.y[0] == pytest.approx(results["domains"]["programs"]["dealt"]["k8"]["0.0"]["distinct_right"]["mean"])
    assert dealt.x[0] == pytest.approx(0.75, abs=1e-3)  # two of eight are wrong


def test_the_title_of_the_arms_follows_them(results):
    def claim():
        return about(ch8.arms(results))["claim"]

    programs = results["domains"]["programs"]
    assert claim().endswith("give the most different right answers, and fewer are right")
    programs["dealt"]["k8"]["0.0"]["less"]["random"]["pass@1"]["hi"] = 0.1
    assert claim().endswith("give the most different right answers")
    programs["dealt"]["k8"]["0.0"]["less"]["seeds"]["distinct_right"]["lo"] = -0.1
    assert "fewer different right answers than parts by chance" in claim()
    chance = programs["influence"]["k8"]["0.0"]["less"]["random"]["distinct_right"]
    chance |= {"lo": -1, "hi": 1}
    assert "not clearly ahead" in claim()
    chance |= {"lo": 0.5, "hi": 1}
    assert "more different right answers than parts by chance" in claim()


def test_rows_of_the_arms_go_from_many_to_few(results):
    fig = ch8.arms(results)
    rows = about(fig)["table"]["rows"]
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
    assert [text.replace("<br>", " ") for text in fig.layout.yaxis.ticktext] == [row[0] for row in rows]
    left = {y: x for trace in fig.data if trace.xaxis == "x" for x, y in zip(trace.x, trace.y, strict=True)}
    assert [left[-i] for i in range(len(rows))] == pytest.approx([row[1] for row in rows], abs=1e-3)


@pytest.mark.parametrize(("above", "title"), [(6, "All kinds"), (0, "No parts"), (1, "One of six kinds of parts make")])
def test_the_title_of_passes_follows_them(above, title):
    cold = {str(i): {"lo": 0.01 if i < above else -0.01} for i in range(6)}
    assert ch8._passes_claim(cold, 5).startswith(title)


def test_the_title_of_kinds_names_the_arm_with_most(results):
    claim = about(ch8.kinds(results))["claim"]
    dealt = results["domains"]["programs"]["dealt"]["k8"]["0.0"]
    assert claim.endswith(f"{dealt['distinct_right']['mean']:.1f} different right answers: dealt")
    assert f"{dealt['right_kinds']['mean']:.1f}" in claim


def test_labels_keep_their_distance_and_their_order():
    assert ch8_arms.apart([1.0, 1.0, 1.0], 0.5, (0, 9)) == [0.5, 1.0, 1.5]
    placed = ch8_arms.apart([0.0, 0.1, 3.0, 3.0], 1.0, (0, 3.5))
    assert placed[-1] <= 3.5
    assert all(b - a >= 1 - 1e-9 for a, b in itertools.pairwise(placed))
