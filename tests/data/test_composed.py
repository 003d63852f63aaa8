"""composed: sides that do not meet, parts that all are met in training."""

import numpy as np
import pytest

from mrtlab.data.tasks import biographies, choices, facts
from mrtlab.data.tasks.composed import capitalised, composed, draw_new


def test_a_seventh_is_held_out_and_every_part_is_met():
    openings, verbs, nouns = ("", "please ", "now "), ("say", "name", "pick"), (" a cat", " a dog", " an owl")
    train = composed(openings, verbs, nouns)
    held_out = composed(openings, verbs, nouns, split="held_out")
    assert (len(train), len(held_out)) == (24, 3)
    assert not set(train) & set(held_out)
    for part in (*openings, *verbs, *nouns):
        assert any(part.strip().lower() in text.lower() for text in train)


def test_combinations_that_read_the_same_are_refused():
    with pytest.raises(ValueError, match="read the same"):
        composed(("a", "ab"), ("bc", "c"))


def test_what_is_new():
    rng = np.random.default_rng(0)
    drawn = [draw_new(rng=rng, split="held_out") for _ in range(400)]
    assert set(drawn) == {"wording", "slot"}
    assert 140 < drawn.count("slot") < 260  # six standard errors around 200
    assert {draw_new(rng=rng, split="held_out", slots=False) for _ in range(20)} == {"wording"}
    assert draw_new(rng=rng, split="train") == "nothing"


def test_sentences_start_with_a_capital():
    assert capitalised("a quiz: what is this?") == "A quiz: What is this?"
    assert capitalised("") == ""


@pytest.mark.parametrize(
    ("frames", "arguments"),
    [
        (choices._frames, [(s, k) for s in ("letters", "scale") for k in ("random", "uniform")]),
        (biographies._frames, [("random",), ("uniform",), ("continue",)]),
        (facts._frames, [(kind,) for kind in facts.SHARES]),
    ],
)
def test_no_frame_is_on_both_sides(frames, arguments):
    for of in arguments:
        assert len(frames(*of, "train")) > 50
        assert len(frames(*of, "held_out")) >= 9
        assert not set(frames(*of, "train")) & set(frames(*of, "held_out"))
