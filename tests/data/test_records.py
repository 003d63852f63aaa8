"""records: what is accepted, one clear sentence for what is not, and fields that stay with their responses."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_records import record_fields, texts

from mrtlab.data.records import Message, Record, RecordError, group_by_prompt, pairs_by_score, pooled

CHAT = [{"role": "system", "content": ""}, {"role": "user", "content": "Hi"}]


def test_a_chat_is_a_prompt_that_templates_take():
    record = Record.of(CHAT, ["Hello"])
    assert [dict(message) for message in record.prompt] == CHAT
    assert record.prompt[1]["content"] == "Hi"
    assert hash(record) == hash(Record.of([*map(dict, CHAT)], ["Hello"]))
    with pytest.raises(KeyError):
        record.prompt[0]["name"]


def test_null_fields_of_a_message_count_as_absent():
    prompt = Record.of([{"role": "user", "content": "Hi", "tool_calls": None}], ["Hello"]).prompt
    assert prompt == (Message("user", "Hi"),)


def test_arrays_are_lists():
    record = Record.of(
        "?", np.array(["a", "b"]), scores=np.array([1, 2]), targets=np.float32([0.5, 0.5]), pairs=np.array([[1, 0]])
    )
    assert record == Record.of("?", ["a", "b"], scores=[1, 2], targets=[0.5, 0.5], pairs=[[1, 0]])
    assert Record.of("?", ["a"], scores=[np.int64(3)]).scores == (3.0,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": 7}, "prompt must be a text, or a list of messages .*got 7"),
        ({"prompt": " "}, "prompt is blank"),
        ({"prompt": []}, "prompt has no messages"),
        ({"prompt": ["Hi"]}, r"prompt\[0\] must be a message of two texts.*got 'Hi'"),
        ({"prompt": [{"from": "human", "value": "Hi"}]}, r"prompt\[0\] must be a message"),
        ({"prompt": [{"role": "user", "content": ["Hi"]}]}, r"prompt\[0\] must be a message"),
        ({"prompt": [{"role": "user", "content": "Hi", "tool_calls": []}]}, "Tools, pictures"),
        ({"prompt": [{"role": "user", "content": ""}]}, r"prompt\[0\]\.content is blank"),
        ({"prompt": [{"role": "assistant", "content": "Hi"}]}, "last message is the assistant's.*Move its text"),
        ({"responses": []}, "responses is empty"),
        ({"responses": "a"}, "responses must be a list of texts, got 'a'"),
        ({"responses": None}, "responses must be a list of texts, got null"),
        ({"responses": ["a", 1]}, "responses must be a list of texts, got 1 in the list"),
        ({"responses": ["a", "\n"]}, r"responses\[1\] is blank"),
        ({"responses": ["a", "\ud83d"]}, r"responses\[1\] holds half of a surrogate pair at character 0"),
        ({"scores": 1}, "scores must be a list of numbers, one for each response, got 1"),
        ({"scores": [1]}, "scores has 1 numbers for 2 responses"),
        ({"scores": [1, None]}, r"scores\[1\] is null, expected a finite number"),
        ({"scores": [1, "2"]}, r"scores\[1\] is '2'"),
        ({"scores": [True, 2]}, r"scores\[0\] is True"),
        ({"scores": [1, float("nan")]}, r"scores\[1\] is nan"),
        ({"weights": [1, float("inf")]}, r"weights\[1\] is inf"),
        ({"weights": [1, 10**400]}, r"weights\[1\] is 1000"),
        ({"targets": [0.6, 0.6]}, "targets must be probabilities.*the sum is 1.2. Divide them by their sum"),
        ({"targets": [-0.5, 0.5]}, "the least is -0.5"),
        ({"pairs": [[0, 2]]}, r"pairs holds \[0, 2\], expected two different places in responses, 0 to 1"),
        ({"pairs": [[1, 1]]}, r"pairs holds \[1, 1\]"),
        ({"pairs": [[-1, 0]]}, r"pairs holds \[-1, 0\]"),
        ({"pairs": [[0]]}, r"pairs must hold \[winner, loser\].*got \[0\]"),
        ({"pairs": [[0, 1.0]]}, r"got \[0, 1.0\]"),
        ({"pairs": "01"}, "pairs must be a list"),
        ({"id": 1.5}, "id must be a text or a whole number, got 1.5"),
    ],
)
def test_what_is_no_record_gets_one_clear_message(fields, message):
    with pytest.raises(RecordError, match=message) as error:
        Record.of(**({"prompt": "?", "responses": ["a", "b"]} | fields))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_keep_takes_everything_along():
    record = Record.of(
        "?", ["a", "b", "c"], scores=[1, 2, 3], weights=[4, 5, 6], targets=[0.2, 0.3, 0.5], pairs=[[2, 0], [1, 2]], id=1
    )
    kept = record.keep(np.array([2, 0]))
    assert kept == Record.of("?", ["c", "a"], scores=[3, 1], weights=[6, 4], targets=[0.5, 0.2], pairs=[[0, 1]], id=1)


def test_keep_refuses_what_is_not_there():
    record = Record.of("?", ["a", "b"])
    for places in ([2], [-1], [0, 0]):
        with pytest.raises(IndexError, match="between 0 and 1, each once"):
            record.keep(places)
    with pytest.raises(RecordError, match="responses is empty"):
        record.keep([])


def test_pairs_by_score():
    record = Record.of("?", ["a", "b", "c"], scores=[1, 3, 2])
    assert pairs_by_score(record).pairs == ((1, 0), (1, 2), (2, 0))
    assert pairs_by_score(record, margin=1).pairs == ((1, 0),)
    with pytest.raises(RecordError, match="has no scores"):
        pairs_by_score(Record.of("?", ["a"]))


def test_pooling_moves_pairs_along():
    parts = [Record.of("?", ["a"]), Record.of("?", ["b", "c"], pairs=[[1, 0]], id="x"), Record.of("?", ["d"], id="y")]
    assert pooled(parts) == Record.of("?", ["a", "b", "c", "d"], pairs=[[2, 1]], id="x")


def test_pooling_refuses_what_would_be_half_known():
    with pytest.raises(RecordError, match=r"prompt '\?': only some of its responses have scores"):
        group_by_prompt([Record.of("?", ["a"], scores=[1]), Record.of("!", ["a"]), Record.of("?", ["b"])])
    with pytest.raises(RecordError, match=r"the sum is 1\.4"):
        group_by_prompt([Record.of("?", [text], targets=[0.7]) for text in "ab"])


@given(st.lists(st.tuples(st.sampled_from("pqrs"), texts), max_size=20))
def test_grouping_keeps_the_order_of_first_appearance(rows):
    groups = group_by_prompt(Record.of(prompt, [response]) for prompt, response in rows)
    assert [record.prompt for record in groups] == [*dict.fromkeys(prompt for prompt, _ in rows)]
    for record in groups:
        assert record.responses == tuple(response for prompt, response in rows if prompt == record.prompt)


@given(record_fields(), st.data())
def test_keeping_is_picking_from_every_list(fields, data):
    record = Record.of(**fields)
    places = data.draw(st.lists(st.integers(0, len(record) - 1), min_size=1, unique=True))
    kept = record.keep(places)
    assert kept.responses == tuple(record.responses[i] for i in places)
    if record.scores is not None:
        assert kept.scores == tuple(record.scores[i] for i in places)
    if record.pairs is not None:
        back = [(places[winner], places[loser]) for winner, loser in kept.pairs]
        assert back == [pair for pair in record.pairs if set(pair) <= set(places)]


def test_no_torch_and_no_datasets():
    modules = "records, records_io, loaders, dedup, similarity, describe"
    code = f"import sys; from mrtlab.data import {modules}; assert not {{'torch', 'datasets'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
