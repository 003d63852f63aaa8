"""Chapter 8's figure of foretold and retrained losses: rows where the numbers are, a title that follows them."""

import pytest

from mrtlab.show.figures import ch8_lds


def band(mean, half=0.05):
    return {"mean": mean, "lo": mean - half, "hi": mean + half}


def results(**means):
    return {
        "methods": {name: {"lds": band(mean)} for name, mean in means.items()},
        "ceiling": {"twice": {"mean": 0.64}},
        "design": {"halves": 40, "pairs": 128, "queries": 12, "seeds": 5},
    }


MADE = {"lexical": 0.1, "fisher-blocks-0.1": 0.5, "fisher-0.1": 0.4, "lissa": 0.6, "grad-dot": 0.7}


def test_every_method_has_its_row_and_the_line_is_what_luck_leaves():
    fig = ch8_lds.foretold(results(**MADE))
    about = fig.layout.meta["mrtlab"]
    assert list(fig.data[0].x) == list(MADE.values())
    assert fig.layout.shapes[0].x0 == pytest.approx(0.8)
    assert [row[:2] for row in about["table"]["rows"][:1]] == [["dot product", 0.7]]
    assert ["Fisher, damping 0.1, per matrix", 0.5] in [row[:2] for row in about["table"]["rows"]]
    assert "0.80" in about["alt"]


@pytest.mark.parametrize(
    ("dot", "fisher", "title"),
    [(0.7, 0.4, "products foretell retraining better"), (0.4, 0.7, "Fisher scores foretell retraining better"),
     (0.5, 0.52, "about equally well")],
)  # fmt: skip
def test_the_title_follows_the_numbers(dot, fisher, title):
    fig = ch8_lds.foretold(results(**MADE | {"grad-dot": dot, "fisher-0.1": fisher}))
    assert title in fig.layout.meta["mrtlab"]["claim"]
