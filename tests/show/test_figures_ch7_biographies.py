"""Figures of chapter 7 on biographies: small, described, and true to their titles.

Results are made up here in the shape of the artifact's; where the artifact is there, they are drawn from it as well.
"""

import copy
import json

import pytest

from mrtlab.lab import artifacts
from mrtlab.lab import diffuse_biographies_data as data
from mrtlab.show.figures import ch7_biographies, theme

ALL = ("fields", "different", "parity", "worth", "spread_over_passes")
STRENGTH = {"before": 0.5, "stage1": 0.6, "stage2": 0.85, "both": 0.97, "both-anchored": 0.96, "tilted": 0.9, "long": 1}


def at(value, half=0.01):
    return {"mean": value, "lo": value - half, "hi": value + half}


def group(strength):
    numbers = {"entropy": at(strength), "within": at(strength), "met": at(25 * strength), "tv": at(1 - strength)}
    off = {
        f"{target}_{what}": at(1 - strength) for target in ("even", "tilted") for what in ("gender", "country", "both")
    }
    return {
        "fields": {field: dict(numbers) for field in data.FIELDS},
        "parity": off | {"woman": at(0.5 * strength)},
        "valid": at(1.0 - 0.1 * strength),
        "distinct": at(strength),
        "times": {field: at(strength / 0.5 * 1.3) for field in (*data.FIELDS, "distinct")},
    }


def worth(strength):
    return {
        n: {"nll": at(18 + 60 * (1 - strength)), "gender": at(strength), "country": at(strength)}
        for n in ("n100", "n400")
    }


@pytest.fixture(scope="module")
def once():
    return {
        "kinds": {k: {"taught": group(s), "new": group(s), "worth": worth(s)} for k, s in STRENGTH.items()},
        "fair": {"fair": group(0.99), "worth": worth(0.99)},
        "truth": {"worth": worth(1.0)},
        "trace": {
            m: {f: {"entropy": at(0.6 + 0.1 * i)} for f in data.FIELDS} for i, m in enumerate(("0", "1", "2", "5"))
        },
        "perfect": {field: 20.0 for field in data.FIELDS},
        "floor": 17.42,
        "examples": {kind: ["one", "two", "three"] for kind in STRENGTH},
        "design": {"taught": list(data.TAUGHT), "seeds": 5, "met": 40, "draws": 200, "sizes": [100, 400]},
    }


@pytest.fixture
def results(once):
    return copy.deepcopy(once)


def about(fig):
    return fig.layout.meta["mrtlab"]


@pytest.mark.parametrize("source", ["made up", "artifact"])
def test_every_figure_is_small_plain_and_described(source, once):
    found = once if source == "made up" else artifacts.load("diffuse_biographies", "book").results
    drawn = {name: getattr(ch7_biographies, name)(found) for name in ALL}
    drawn["new"] = ch7_biographies.fields(found, group="new")
    for name, fig in drawn.items():
        text = fig.to_json()
        assert len(text.encode()) < 25 * 1024, name
        assert "bdata" not in text, name  # numpy arrays travel as base64; ours are lists
        assert {len(row) for row in about(fig)["table"]["rows"]} == {len(about(fig)["table"]["columns"])}, name
        assert "nan" not in json.dumps(about(fig)).lower()
        assert len(about(fig)["claim"]) < 100, name
        assert about(fig)["artifact"] == ch7_biographies.BIOGRAPHIES
        assert {trace.type for trace in fig.data} <= {"scatter", "bar"}
    assert all(text.strip() for some in ch7_biographies.examples(found).values() for text in some)


def test_the_title_of_the_fields_follows_those_that_nobody_taught(results):
    def claim():
        return about(ch7_biographies.fields(results))["claim"]

    fields = results["kinds"]["both"]["taught"]["fields"]
    assert "nearly even" in claim()
    fields["hobby"]["entropy"] = at(0.7)
    assert claim().endswith("vary more")
    fields["hobby"]["entropy"] = at(0.51)
    assert "how even" in claim()


def test_dots_stand_where_the_numbers_are(results):
    fig = ch7_biographies.fields(results)
    dots = {trace.marker.symbol: trace for trace in fig.data if trace.mode == "markers"}
    assert set(dots["circle"].x) == {0.97}
    assert dots["circle-open"].marker.color == theme.GREY
    assert dots["circle"].marker.color == theme.MULTI
    ticks = list(fig.layout.yaxis.tickvals)
    assert ticks[3] - ticks[4] > ticks[2] - ticks[3]  # a gap between taught fields and the others


@pytest.mark.parametrize(
    ("least", "valid", "title"),
    [(2.5, 0.95, "More than twice as many names and homes"), (3.4, 0.95, "More than three times as many"),
     (1.5, 0.95, "More different names"), (0.9, 0.95, "How many"), (2.5, 0.8, "break")],
)  # fmt: skip
def test_the_title_of_different_values_follows_them(results, least, valid, title):
    results["kinds"]["both"]["taught"]["times"] |= {"name": at(least + 0.01), "city": at(least + 1)}
    results["kinds"]["both"]["taught"]["valid"] = at(valid)
    claim = about(ch7_biographies.different(results))["claim"]
    assert title in claim
    assert ("break" in claim) == (valid < 0.9)


@pytest.mark.parametrize(
    ("even", "tilted", "title"), [(0.1, 0.1, "a dial"), (0.1, 0.5, "to parity"), (0.5, 0.1, "against a stated")]
)
def test_the_title_of_parity_follows_it(results, even, tilted, title):
    results["kinds"]["both"]["taught"]["parity"]["even_both"] = at(even)
    results["kinds"]["tilted"]["taught"]["parity"]["tilted_both"] = at(tilted)
    assert title in about(ch7_biographies.parity(results))["claim"]


@pytest.mark.parametrize(
    ("nll", "title"), [(19, "nearly as well"), (30, "more than the base"), (60, "What small models")]
)
def test_the_title_of_worth_follows_it(results, nll, title):
    for n in ("n100", "n400"):
        results["kinds"]["both"]["worth"][n]["nll"] = at(nll)
    assert title in about(ch7_biographies.worth(results))["claim"]


def test_the_title_over_passes_names_the_field_that_narrows_most(results):
    assert "along with" in about(ch7_biographies.spread_over_passes(results))["claim"]
    results["trace"]["5"]["hobby"]["entropy"] = at(0.7)
    assert "hobby narrows" in about(ch7_biographies.spread_over_passes(results))["claim"]
    results["trace"]["5"]["job"]["entropy"] = at(0.6)
    assert "job narrows" in about(ch7_biographies.spread_over_passes(results))["claim"]
