"""describe and similarity: numbers counted by hand, matrices that selection and Vendi accept, plain notes."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.describe import Spread, describe, diversity
from mrtlab.data.records import Record
from mrtlab.data.similarity import similarity
from mrtlab.theory.metrics import self_bleu, vendi
from mrtlab.theory.selection import facility_location

KINDS = ("runs", "words", "characters")


def test_similarities_by_hand():
    texts = ["a b c", "a c", "x"]
    # runs: a, b, c, ab, bc against a, c, ac, two in common; words: LCS "a c", 2·2/5; characters: "a c", 2·3/8
    for kind, expected in zip(KINDS, (2 / np.sqrt(15), 0.8, 0.75), strict=True):
        matrix = similarity(texts, kind=kind)
        assert matrix[0, 1] == pytest.approx(expected)
        assert matrix[0, 2] == 0


def test_counts_matter_to_the_cosine():
    # a a b: a 2, b 1, aa 1, ab 1; a b: a 1, b 1, ab 1
    assert similarity(["a a b", "a b"])[0, 1] == pytest.approx(4 / np.sqrt(7 * 3))


@given(st.lists(st.text("ab ", max_size=12), max_size=7), st.sampled_from(KINDS))
@settings(max_examples=50)
def test_similarity_is_a_similarity(texts, kind):
    matrix = similarity(texts, kind=kind)
    assert matrix.shape == (len(texts), len(texts))
    assert np.array_equal(matrix, matrix.T)
    assert np.array_equal(np.diag(matrix), np.ones(len(texts)))
    assert matrix.min(initial=0) >= 0
    assert matrix.max(initial=1) == 1
    if kind == "runs" and texts:
        assert np.linalg.eigvalsh(matrix).min() > -1e-9
        assert 1 - 1e-9 <= vendi(matrix) <= len(texts) + 1e-9


def test_selection_takes_one_of_each_kind():
    texts = ["a red plum", "a green kiwi", "a red plum!", "a green kiwi!"]
    for kind in KINDS:
        chosen = facility_location(similarity(texts, kind=kind)[None], 2)[0]
        assert {texts[i].split()[1] for i in chosen} == {"red", "green"}


def test_diversity_by_hand():
    found = diversity(Record.of("?", ["a b", "A  b", "c d e"]))
    assert found.responses == 3
    assert found.unique == pytest.approx(2 / 3)
    assert found.distinct_1 == pytest.approx(6 / 7)  # a b A c d e of seven words
    assert found.distinct_2 == 1  # ab, Ab, cd, de
    assert found.self_bleu == pytest.approx(self_bleu(["a b", "A b", "c d e"]).mean())
    assert found.words == pytest.approx(7 / 3)


def test_diversity_of_one_word():
    found = diversity(Record.of("?", ["yes"]))
    assert (found.unique, found.distinct_1, found.distinct_2, found.self_bleu) == (1, 1, None, None)


def test_describe_by_hand():
    records = [
        Record.of("p", ["a b", "a b", "c d", "e"], scores=[1, 2, 3, 4], pairs=[[1, 0]]),
        Record.of([{"role": "user", "content": "q"}], ["a", "b"], scores=[5, 5], targets=[0.5, 0.25]),
        Record.of("P ", ["yes"], weights=[2]),
    ]
    found = describe(iter(records))
    assert (found.prompts, found.responses, found.single, found.chats, found.repeated_prompts) == (3, 7, 1, 1, 1)
    assert found.per_prompt == Spread.of([4, 2, 1])
    assert found.repeats == pytest.approx(1 / 7)
    assert found.distinct_1 == pytest.approx((5 / 7 + 1) / 2)
    assert found.distinct_2 == pytest.approx(2 / 3)  # of the first prompt; the second has no word pairs
    assert (found.scored, found.weighted, found.with_targets, found.with_pairs) == (2, 1, 1, 1)
    assert (found.tied, found.short_targets) == (1, 1)
    assert found.score == Spread(1, 3.5, 5, 5)
    assert found.response_words.most == 2
    assert found.response_characters.most == 3
    assert dict(found.rows())["responses per prompt"] == "1 to 4, median 2"
    json.dumps(asdict(found), allow_nan=False)
    notes = " ".join(found.notes())
    for words in ("one response: 1 of 3.", "white space: 1 of 3.", "14%", "without scores: 1 of 3."):
        assert words in notes
    assert "all scores equal: 1." in notes
    assert "less than 1: 1." in notes


def test_one_response_per_prompt():
    found = describe([Record.of(str(i), ["yes"]) for i in range(5)])
    assert found.self_bleu is None
    assert found.distinct_1 is None
    assert found.score is None
    assert len(found.notes()) == 1
    assert found.notes()[0].startswith("Every prompt has one response")
    assert ("responses per prompt", "1") in found.rows()


def test_nothing_to_mind_and_long_responses():
    fine = Record.of("p", ["a plum", "a kiwi"], scores=[1, 2], targets=[0.5, 0.5])
    assert describe([fine]).notes() == []
    (note,) = describe([fine, Record.of("q", ["a pear", "na " * 1000], scores=[1, 2])]).notes()
    assert "3,000 characters, the median 6" in note


def test_nothing_to_describe():
    with pytest.raises(ValueError, match="at least one record"):
        describe([])
