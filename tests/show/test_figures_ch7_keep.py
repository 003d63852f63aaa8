"""Figures of what evenness costs: small, described, true to their titles, from made-up runs and from artifacts."""

import copy
import json

import numpy as np
import pytest

from mrtlab.lab import artifacts, diffuse_keep
from mrtlab.lab.diffuse_keep import GROUPS, KINDS
from mrtlab.lab.diffuse_texts import CHECKED, TEXTS
from mrtlab.show.figures import ch7_keep, theme

PRICE = {"free": 0.02, "anchored": 0.001, "anchored-wide": 0.001, "mixed-tail": 0.001}  # nats a token of a fact
REACH = {"free": 0.4, "anchored": 0.5, "anchored-wide": 0.5, "mixed-tail": 0.6}
LOST = {"free": 2, "anchored": 0, "anchored-wide": 0, "mixed-tail": 1}  # facts of ten


def outcome(cell):
    """A run whose price and gain are known."""
    tokens = {name: [4, 6, 5, 5] for name in TEXTS}
    jitter = 0.0001 * np.sin(cell.seed + np.arange(4))

    def mark(number):
        done = min(1.0, number / cell.passes)
        nll = {
            name: (
                np.array(tokens[name]) * (0.3 + done * (PRICE[cell.kind] if name == "facts" else 0.001) + jitter * done)
            )
            for name in TEXTS
        }
        tv = 0.7 - done * (0.7 - REACH[cell.kind]) + 0.001 * np.sin(cell.seed)
        facts = np.full(10, -0.1)
        facts[: round(done * LOST[cell.kind])] = -3.0
        return {
            "groups": {group: {"tv": tv, "kl": 2 * tv} for group in GROUPS},
            "facts": facts.tolist(),
            "nll": {name: values.tolist() for name, values in nll.items()},
            "valid": {name: [0.9, 0.8 + 0.01 * cell.seed] for name in CHECKED},
        }

    return {"marks": {str(m): mark(m) for m in {min(m, cell.passes) for m in diffuse_keep.MARKS}}, "tokens": tokens}


@pytest.fixture(scope="module")
def made_up():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffuse_keep.subject, "fingerprint", lambda: "none")
        return diffuse_keep.summarise([(cell, outcome(cell)) for cell in diffuse_keep.cells("book")])


def as_transfer(results):
    """The same runs in the shape of `diffuse_transfer`."""
    kinds = {}
    for theirs, ours in (("mixed", "free"), ("mixed-anchored", "anchored")):
        marks = copy.deepcopy(results["kinds"][ours]["marks"])
        for look in marks.values():
            facts = look["facts"]["all"]
            look["facts"]["all"] = {"after": facts["known"], "change": {"right": facts["change"]}}
        kinds[theirs] = {"marks": marks}
    price = {"groups": {"families": {"tv": results["minus_free"]["anchored"]["families"]}}}
    return {"kinds": kinds | {"half": {}}, "anchored_minus_free": {"50": price}, "design": results["design"]}


def draw_all(results):
    return {
        "other_texts": ch7_keep.other_texts(results),
        "all kinds": ch7_keep.other_texts(results, kinds=tuple(KINDS)),
        "gain_and_price": ch7_keep.gain_and_price(results),
        "gain_and_price, transfer": ch7_keep.gain_and_price(as_transfer(results)),
    }


def about(fig):
    return fig.layout.meta["mrtlab"]


@pytest.mark.parametrize("source", ["made up", "artifacts"])
def test_every_figure_is_small_plain_and_described(source, made_up):
    drawn = draw_all(made_up if source == "made up" else artifacts.load("diffuse_keep", "book").results)
    if source == "artifacts":
        drawn["transfer"] = ch7_keep.gain_and_price(artifacts.load("diffuse_transfer", "book").results)
    for name, fig in drawn.items():
        text = fig.to_json()
        assert len(text.encode()) < 25 * 1024, name
        assert "bdata" not in text, name
        assert "nan" not in json.dumps(about(fig)).lower()
        assert len(about(fig)["table"]["columns"]) == len(about(fig)["table"]["rows"][0])
        assert len(about(fig)["claim"]) < 100
        assert about(fig)["artifact"].startswith("diffuse_")


def test_points_stand_where_the_results_say(made_up):
    fig = ch7_keep.other_texts(made_up)
    free = fig.data[0]
    assert free.x[0] == pytest.approx(0.02, abs=5e-4)
    assert free.marker.color == theme.MULTI
    assert fig.data[1].marker.color == theme.QUALITY_DIVERSITY
    lines = [trace for trace in ch7_keep.gain_and_price(made_up).data if trace.mode == "lines+markers"]
    shown = [kind for kind in KINDS if kind != "anchored-wide"]
    assert [line.x[-1] for line in lines] == [pytest.approx(REACH[kind], abs=2e-3) for kind in shown]
    assert [line.y[-1] for line in lines] == [pytest.approx(1 - LOST[kind] / 10) for kind in shown]


@pytest.mark.parametrize(
    ("free", "anchored", "title"),
    [
        ((), (), "Text that has nothing to do"),
        (("facts",), (), "With an anchor"),
        (("facts",), ("facts",), "facts do not"),
        (("facts", "stories"), ("facts",), "other text less likely"),
        (("stories",), ("stories",), "other text less likely"),
    ],
)
def test_the_title_of_the_texts_follows_them(free, anchored, title):
    def block(high):
        return {t: {"change": {"hi": 0.005, "seeds_hi": 0.02 if t in high else 0.0}} for t in ("facts", "stories")}

    assert title in ch7_keep._texts_claim({"free": block(free), "anchored": block(anchored)}, ["facts", "stories"])


@pytest.mark.parametrize(
    ("free", "anchored", "price", "title"),
    [
        (True, True, (0.1, 0.2), "with the anchor too"),
        (False, False, (0.1, 0.2), "No clear loss"),
        (True, False, (0.1, 0.2), "less evenness"),
        (True, False, (-0.1, 0.2), "no clear price"),
        (True, False, (-0.2, -0.1), "more evenness"),
    ],
)
def test_the_title_of_the_price_follows_it(free, anchored, price, title):
    results = {"minus_free": {"anchored": {"families": {"lo": price[0], "hi": price[1]}}}}
    assert title in ch7_keep._price_claim(results, {"free": free, "anchored": anchored}, "50")
