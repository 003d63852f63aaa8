"""dedup: what counts as the same, what is passed on, and that doing it twice changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_records import record_fields

from mrtlab.data.dedup import deduplicate, normalise, repeats, unique_responses
from mrtlab.data.records import Record, RecordError

rules = st.sampled_from(["exact", "normalised", "near"])
alike = st.text("aA b", min_size=1, max_size=8).filter(lambda text: text.strip())


def test_what_people_do_not_see_as_a_difference():
    assert normalise("  Crème\u00a0Brûlée\n") == normalise("cre\u0300me bru\u0302le\u0301e") == "crème brûlée"
    assert normalise("STRASSE") == normalise("straße")
    assert normalise("2 + 2") != normalise("2 + 3")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("exact", [0, 1, 2, 0, 4]), ("normalised", [0, 1, 0, 0, 4]), ("near", [0, 0, 0, 0, 4])],
)
def test_three_rules(rule, expected):
    assert repeats(["a red plum", "a red plume", "A Red  plum", "a red plum", "kiwi"], rule=rule) == expected


def test_near_compares_with_what_is_kept_and_takes_the_nearest():
    # similarity 1 − (insertions + deletions) / (both lengths): abcd–abcde 8/9, abcde–abcdef 10/11, abcd–abcdef 8/10
    assert repeats(["abcd", "abcde", "abcdef"], rule="near", threshold=0.85) == [0, 0, 2]
    assert repeats(["abcd", "xbcdef", "abcdef"], rule="near", threshold=0.8) == [0, 1, 1]
    assert repeats(["abcd", "abce"], rule="near", threshold=1.0) == [0, 1]


def test_settings_that_make_no_sense():
    with pytest.raises(ValueError, match="threshold must lie above 0"):
        repeats(["a"], rule="near", threshold=90.0)


def test_what_is_dropped_is_passed_on():
    record = Record.of(
        "?", ["a", "b", "A", "c"], scores=[1, 2, 3, 4], weights=[1, 1, 0.5, 1], targets=[0.25, 0.25, 0.25, 0.125],
        pairs=[[2, 1], [0, 2], [3, 2]], id="x",
    )  # fmt: skip
    expected = Record.of(
        "?", ["a", "b", "c"], scores=[1, 2, 4], weights=[1.5, 1, 1], targets=[0.5, 0.25, 0.125],
        pairs=[[0, 1], [2, 0]], id="x",
    )  # fmt: skip
    assert unique_responses(record) == expected


def test_counts_may_become_weights():
    record = Record.of("?", ["a", "b", "a", "a"])
    assert unique_responses(record).weights is None
    assert unique_responses(record, weigh=True) == Record.of("?", ["a", "b"], weights=[3, 1])
    assert unique_responses(Record.of("?", ["a", "b"]), weigh=True).weights == (1, 1)


def test_prompts_are_pooled_but_never_near_ones():
    records = [
        Record.of(prompt, [answer]) for prompt, answer in (("7 + 5?", "12"), ("7 + 6?", "13"), ("7  + 5?", "12."))
    ]
    assert [len(record) for record in deduplicate(records, rule="near", threshold=0.5)] == [1, 1]
    assert [len(record) for record in deduplicate(records)] == [2, 1]
    assert len(deduplicate(records, rule="exact")) == 3


def test_a_text_and_a_chat_are_two_prompts():
    chat = [{"role": "user", "content": "Hi"}]
    assert len(deduplicate([Record.of(p, ["a"]) for p in ("Hi", chat, "user: Hi", [chat[0] | {"content": "hi"}])])) == 3


def test_prompts_that_do_not_go_together_are_named():
    with pytest.raises(RecordError, match=r"prompt 'Hi': only some of its responses have scores"):
        deduplicate([Record.of("Hi", ["a"], scores=[1]), Record.of("hi", ["b"])])


@given(st.lists(st.tuples(alike, st.lists(alike, min_size=1, max_size=6)), max_size=6), rules, st.booleans())
def test_twice_is_once(rows, rule, weigh):
    once = deduplicate((Record.of(*row) for row in rows), rule=rule, threshold=0.7, weigh=weigh)
    assert deduplicate(once, rule=rule, threshold=0.7, weigh=weigh) == once


@given(st.lists(alike, max_size=10), rules)
def test_repeats_point_back_at_what_is_kept(texts, rule):
    places = repeats(texts, rule=rule, threshold=0.7)
    assert all(place <= i and places[place] == place for i, place in enumerate(places))
    if rule == "exact":
        assert len(set(places)) == len(set(texts))


@given(record_fields(), rules)
def test_sums_stay(fields, rule):
    record = Record.of(**fields)
    again = Record.of(record.prompt, record.responses * 2, targets=None, weights=[0.5] * 2 * len(record))
    unique = unique_responses(again, rule=rule)
    assert len(unique) <= len(record)
    assert sum(unique.weights) == pytest.approx(len(record))
    if record.targets is not None:
        assert sum(unique_responses(record, rule=rule).targets) == pytest.approx(sum(record.targets))
