"""Figures of chapter 8 on parts, heat, domains, data and cost: marks where the numbers are, titles that follow them."""

import copy

import pytest
from ch8_results import adapters_results, decode_results, share_results

from mrtlab.show.figures import ch8_arms, ch8_domains, ch8_parts, theme


@pytest.fixture(scope="module")
def once():
    with pytest.MonkeyPatch.context() as patch:
        return adapters_results(patch)


@pytest.fixture
def results(once):
    return copy.deepcopy(once)


def about(fig):
    return fig.layout.meta["mrtlab"]


def test_sizes_stand_in_order_and_the_title_names_the_last(results):
    fig = ch8_parts.sizes(results)
    rows = about(fig)["table"]["rows"]
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    largest = 41 / 6  # of 48 pairs all but seven are in one of eight parts
    assert about(fig)["claim"] == f"The largest part can be {largest:.1f} times an even one: score rows"
    even = {"largest": {"mean": 1.0}}
    assert "nearly one size" in ch8_parts._sizes_claim({"random": even}, "random")


def test_agreement_is_counted_from_chance(results):
    fig = ch8_parts.agreement(results)
    rows = {(a, b): mean for a, b, mean, _, _ in about(fig)["table"]["rows"]}
    assert rows["lexical", "Fisher scores"] == 1
    assert abs(rows["random", "lexical"]) < 0.2
    assert sum(len(bars.x) for bars in fig.data) == len(rows)
    assert ch8_parts._beyond({"mean": 0.6, "lo": 0.2, "hi": 1.0, "chance": 0.2}) == pytest.approx(
        {"mean": 0.5, "lo": 0.0, "hi": 1.0}
    )


def test_deeper_blue_is_more_agreement():
    shades = [ch8_parts._shade(v) for v in (-0.2, 0.0, 0.5, 1.0)]
    assert shades[0] == shades[1] < shades[2] < shades[3]


@pytest.mark.parametrize(
    ("within", "across", "title"),
    [(0.7, 0.2, "agree among themselves by 70% or more"), (0.3, 0.9, "agree most, by 90%: lexical and Fisher scores")],
)
def test_the_title_of_agreement_follows_it(within, across, title):
    means = {("influence", "influence-dot"): within, ("lexical", "influence"): across,
             ("influence", "influence-raw"): 0.8}  # fmt: skip
    assert title in ch8_parts._agreement_claim(means)


def test_the_title_of_temperature_follows_it(results):
    def claim():
        return about(ch8_parts.temperature(results))["claim"]

    programs = results["domains"]["programs"]
    for arm in ch8_parts.HOT[1:]:
        programs[arm]["k8"]["0.5"]["pair_share"]["mean"] = 1.0
        programs[arm]["k8"]["0.5"]["pass@1"]["mean"] = 0.1
    assert "differ more and be right less often" in claim()
    programs["seeds"]["k8"]["0.5"]["pass@1"]["mean"] = 1.0
    assert claim() == "Heat makes several adapters differ more, whatever their parts"
    programs["seeds"]["k8"]["0.5"]["pair_share"]["mean"] = 0.0
    programs["seeds"]["k8"]["0.0"]["pair_share"]["mean"] = 0.1
    assert "depends on their parts" in claim()


def test_lines_over_temperature_hold_every_temperature(results):
    fig = ch8_parts.temperature(results)
    drawn = {trace.line.color + trace.xaxis: list(trace.x) for trace in fig.data}
    assert drawn[theme.INK + "x"] == [0.1, 0.3, 0.5, 0.7, 1.0]
    assert drawn[theme.MULTI + "x2"] == [0.0, 0.1, 0.3, 0.5]


@pytest.mark.parametrize(
    ("gains", "title"),
    [((1, 1), "still grow from eight adapters to twelve"), ((0, 0), "No clear gain"), ((1, 0), "not for all parts")],
)
def test_the_title_over_k_follows_it(results, gains, title):
    here = results["domains"]["programs"]
    for arm, gain in zip(("random", "influence"), gains, strict=True):
        here[arm]["k8"]["0.0"]["distinct_right"] = {"mean": 2.0, "lo": 1.9, "hi": 2.1}
        here[arm]["k12"]["0.0"]["distinct_right"] = {"mean": 2.0 + gain, "lo": 1.9 + gain, "hi": 2.1 + gain}
    assert title in about(ch8_parts.over_k(results))["claim"]


def test_the_title_of_domains_says_whose_parts_lead():
    one, other = {"random": 0.1, "dealt": 0.2}, {"random": 0.1, "lexical": 0.2}
    assert ch8_domains._domains_claim({"a": one, "b": one}) == "In all two domains dealt parts differ most"
    assert ch8_domains._domains_claim({"a": one, "b": other, "c": one}).endswith(
        "dealt in two of three, lexical in one"
    )


def test_each_domain_has_its_panel(results):
    fig = ch8_domains.domains(results)
    assert {trace.xaxis for trace in fig.data} == {"x", "x2", "x3", "x4"}
    rows = about(fig)["table"]["rows"]
    assert len(rows) == 4 * len(ch8_domains.ACROSS)
    assert {row[0] for row in rows} == {name.replace("<br>", " ") for name in ch8_arms.DOMAINS.values()}


@pytest.mark.parametrize(("ranks", "title"), [([0.9, 1.0], "In every domain"), ([0.9, 0.1], "one of two domains")])
def test_the_title_of_apart_counts_ranks(ranks, title):
    assert title in ch8_domains._apart_claim(ranks)


def test_points_apart_are_those_of_kl(results):
    fig = ch8_domains.apart(results)
    dealt = [trace for trace in fig.data if trace.marker.color == theme.DEALT]
    assert [trace.x[0] for trace in dealt] == pytest.approx(
        [0.0525] * 4
    )  # 0.01 a different answer, 5 % more on average
    equal = {"a": ({"mean": 1.0}, {"mean": 0.1}), "b": ({"mean": 1.0}, {"mean": 0.2})}
    assert ch8_domains._rank(equal) == 0


@pytest.mark.parametrize(
    ("half", "title"), [(0.0005, "With 5 % of the data"), (0.02, "With 30 %"), (0.5, "No part of the data")]
)
def test_the_title_of_share_follows_it(half, title, monkeypatch):
    fig = ch8_domains.share(share_results(monkeypatch, half=half))
    assert about(fig)["claim"].startswith(title)
    assert next(trace.x for trace in fig.data if trace.mode == "lines+markers") == (0, 5, 15, 30, 50, 100)


@pytest.mark.parametrize(("ratio", "title"), [(4.0, "4.2 times as long"), (0.9, "not clearly longer")])
def test_the_title_of_cost_follows_it(ratio, title, monkeypatch):
    fig = ch8_domains.cost(decode_results(monkeypatch, ratios=(ratio, 2.0)))
    assert title in about(fig)["claim"]
    assert fig.data[0].x[0] == 1
