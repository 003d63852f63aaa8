"""Figures of chapter 10: marks where the numbers are, titles that follow them."""

import pytest

from mrtlab.show.figures import ch10

DESIGN = {"model": "embedded", "prompts": 8, "k": 4, "held_out": 3, "seeds": 5, "steps": 4}


def band(mean, half=0.1):
    return {"mean": mean, "lo": mean - half, "hi": mean + half}


def responses(less_one, less_matched):
    arms = {
        arm: {"loss": band(1.0 + i), "tokens": band(1000.0 * (1 + 2 * (arm == "matched")))}
        for i, arm in enumerate(("one", "many", "matched"))
    }
    arms["many"] |= {"less_one": band(less_one), "less_matched": band(less_matched)}
    return {"arms": arms, "base": band(4.0), "design": DESIGN}


def test_arms_that_tie_are_told_apart_by_their_tokens():
    found = responses(0, 0)
    for less in ("less_one", "less_matched"):
        found["arms"]["many"][less] = band(0.001, 0.01)
    title = ch10.responses(found, artifact="mrt_scale.book").layout.meta["mrtlab"]["claim"]
    assert title == "All three teach the same, and the tree feeds 33% of the tokens"


@pytest.mark.parametrize(
    ("less_one", "less_matched", "title"),
    [
        (-1, 0, "Several responses beat one; as many new prompts do about the same"),
        (0, 1, "Several responses do not clearly beat one; as many new prompts do more"),
        (-1, -1, "Several responses beat one, and new prompts too"),
    ],
)
def test_the_title_of_responses_follows_the_numbers(less_one, less_matched, title):
    fig = ch10.responses(responses(less_one, less_matched), artifact="mrt_scale.book")
    about = fig.layout.meta["mrtlab"]
    assert about["claim"] == title
    assert [trace.x[0] for trace in fig.data] == [1.0, 2.0, 3.0]
    assert about["table"]["rows"][0][:2] == ["before training", 4.0]
    assert "32 pairs in 4 steps" in about["how"]


def evenness(families):
    def group(before, after):
        return {when: {"entropy": band(v, 0.05)} for when, v in (("before", before), ("after", after))}

    groups = {"trained": group(0.4, 0.9), "families": group(0.4, families)}
    return {
        "arms": {arm: {"groups": groups} for arm in ("plain", "anchored")},
        "design": {"model": "embedded", "passes": 3, "seeds": 5},
    }


@pytest.mark.parametrize(("families", "title"), [(0.6, "families not taught follow"), (0.42, "do not clearly follow")])
def test_the_title_of_evenness_follows_the_numbers(families, title):
    fig = ch10.evenness(evenness(families), artifact="diffuse_scale.book")
    about = fig.layout.meta["mrtlab"]
    assert title in about["claim"]
    assert "from 0.40 to 0.90" in about["claim"]
    assert about["table"]["rows"] == [["taught", 0.4, 0.9, 0.9], ["other families", 0.4, families, families]]
    assert {trace.name for trace in fig.data} == {"before", "trained", "with an anchor"}
    assert [note.text for note in fig.layout.annotations] == ["● before", "● trained", "● with an anchor"]


def test_adapters_stand_where_their_numbers_are_and_the_title_names_the_most_different():
    different = {"one": 3.0, "seeds": 1.4, "random": 2.0, "products": 3.0, "dealt": 2.5}
    found = {
        "arms": {arm: {"distinct_right": band(v), "pass@1": band(0.9)} for arm, v in different.items()},
        "design": {"model": "embedded", "pairs": 64, "k": 8, "questions": 6, "seeds": 5},
    }
    fig = ch10.adapters(found, artifact="spa_scale.book")
    assert [trace.x[0] for trace in fig.data] == list(different.values())
    assert {note.text for note in fig.layout.annotations} == {
        "one, heated", "seeds", "by chance", "by products", "dealt"
    }  # fmt: skip
    assert "Of 8 adapters, parts by products give" in fig.layout.meta["mrtlab"]["claim"]
    found["arms"]["products"]["distinct_right"] = band(1.0)
    assert "dealt give" in ch10.adapters(found, artifact="x").layout.meta["mrtlab"]["claim"]
