"""records_io: files of both shapes, in and out again unchanged, and one clear sentence for each kind of broken one."""

import gzip
import json
import os
import stat
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_records import record_fields

from mrtlab.data import records_io
from mrtlab.data.records import Record, RecordError
from mrtlab.data.records_io import (
    Fields,
    flat_rows,
    from_dataset,
    load_records,
    read_records,
    row_of,
    to_dataset,
    write_jsonl,
    write_records,
)

EXAMPLE = [Record.of("p", ["a", "b"], scores=[1, 2]), Record.of("q", ["c"], scores=[3])]


def load(tmp_path, content, name="t.jsonl", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_records(path, **options)


@pytest.mark.parametrize(
    "content",
    [
        '{"prompt":"p","responses":["a","b"],"scores":[1,2]}\n{"prompt":"q","response":"c","score":3}\n',
        '{"prompt":"p","response":"a","score":1}\n{"prompt":"q","response":"c","score":3}\n'
        '{"prompt":"p","response":"b","score":2}\n',
        '\ufeff\n{"prompt":"p","responses":["a","b"],"scores":[1,2],"id":null,"model":"x"}\r\n\r\n'
        '\ufeff{"prompt":"q","responses":["c"],"scores":[3]}',
        '{"prompt":"p","response":["a","b"],"score":[1,2]}\n{"prompt":"q","response":"c","scores":[3]}\n',
        gzip.compress(b'{"prompt":"p","responses":["a","b"],"scores":[1,2]}\n')
        + gzip.compress(b'{"prompt":"q","response":"c","score":3}\n'),
    ],
    ids=["records", "rows", "windows", "singular", "gzip"],
)
def test_every_form_gives_the_same_records(tmp_path, content):
    assert load(tmp_path, content) == EXAMPLE


def test_every_field_of_both_shapes(tmp_path):
    record = {"prompt": [{"role": "user", "content": "Hi"}], "responses": ["a", "b"], "scores": [1, 2]}
    record |= {"weights": [1, -1], "targets": [0.5, 0.25], "pairs": [[1, 0]], "id": 7}
    row = {"prompt": "Hi", "response": "a", "score": 1, "weight": -1, "target": 0.5, "id": "x"}
    one, two = load(tmp_path, f"{json.dumps(record)}\n{json.dumps(row)}\n")
    assert row_of(one) == record | {"id": "7"}
    assert two == Record.of("Hi", ["a"], scores=[1], weights=[-1], targets=[0.5], id="x")


def test_other_names_for_the_fields(tmp_path):
    names = Fields(prompt="instruction", response="completion", score="reward")
    lines = (
        '{"instruction":"p","completions":["a","b"],"reward":[1,2]}\n{"instruction":"q","completion":"c","reward":3}'
    )
    assert load(tmp_path, lines, fields=names) == EXAMPLE


def test_very_long_lines(tmp_path):
    text = "na " * 1_000_000
    assert load(tmp_path, json.dumps({"prompt": text, "responses": [text, "b"]}))[0].responses[0] == text


def test_reading_one_by_one_leaves_rows_apart(tmp_path):
    path = tmp_path / "t.jsonl"
    write_jsonl(path, (row for record in EXAMPLE for row in flat_rows(record)))
    assert [record.responses for record in read_records(path)] == [("a",), ("b",), ("c",)]
    assert load_records(path) == EXAMPLE


def test_reading_takes_constant_memory(tmp_path):
    path = tmp_path / "t.jsonl"
    record = Record.of("p" * 1000, ["a" * 1000] * 4)
    write_records(path, (record for _ in range(800)))  # 4 MB
    tracemalloc.start()
    try:
        n = sum(len(record) for record in read_records(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 3200
    assert peak < 400_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file holds no records. Expected JSON Lines"),
        ("\n \n", "the file holds no records"),
        ('{"prompt": "p"\n', "line 1: not valid JSON .*column 15"),
        ("[\n{}\n]\n", "line 1: not valid JSON .*over several lines"),
        ("{\n}\n", "line 1: not valid JSON .*over several lines"),
        ("[" * 100_000, "line 1: n"),
        ('[{"prompt": "p", "response": "a"}]', "line 1: a list where an object should be"),
        ("7\n", "line 1: this is not an object but 7"),
        (
            '{"prompt":"p","response":"a"}\n\n{"response":"a"}\n',
            "line 3: no field 'prompt'; the fields are: response.*",
        ),
        ('{"prompt":"p","answer":"a"}', "expected the field 'response' or 'responses', found neither.*prompt, answer"),
        ('{"prompt":"p","response":"a","responses":["a"]}', "found both"),
        ('{"prompt":"p","responses":["a"],"score":1,"scores":[1]}', "found both 'score' and 'scores'"),
        ('{"prompt":"p","responses":["a", 1]}', "line 1: responses must be a list of texts, got 1 in the list"),
        ('{"prompt":"p","responses":["a","b"],"scores":[1]}', "line 1: scores has 1 numbers for 2 responses"),
        ('{"prompt":"p","response":"a","score":"good"}', r"scores\[0\] is 'good'"),
        ('{"prompt":"p","response":"a","score":NaN}', r"scores\[0\] is nan"),
        ('{"prompt":"p","response":"a","score":1' + "0" * 400 + "}", r"scores\[0\] is 1000"),
        ('{"prompt":"p","response":"a","score":1' + "0" * 5000 + "}", "a number too long"),
        ('{"prompt":"p","response":"\\ud800"}', "half of a surrogate pair"),
        (
            '{"prompt":"p","response":"a","score":1}\n{"prompt":"p","response":"b"}\n',
            "line 2: the prompt of line 1 again: only some of its responses have scores",
        ),
        (
            '{"prompt":"p","response":"a"}\n{"prompt":"é","response":"b"}\n'.encode("latin-1"),
            "line 2: .*not UTF-8.*0xe9",
        ),
        ('{"prompt":"p","response":"a"}\n'.encode("utf-16"), "line 1: the text looks like UTF-16"),
        (b"PK\x03\x04\x00\x00", "or is no text at all"),
        ('{"prompt":"p","responses":null}', "line 1: responses is null. Give at least one response"),
        ('{"prompt":"p","responses":["a", null]}', "got null in the list, as responses.1.; write it as a text"),
        ('{"prompt":"p","response":"a"}\n'.encode("utf-16-le"), "line 1: the text looks like UTF-16"),
        (gzip.compress(b'{"prompt":"p","response":"a"}\n' * 99)[:-9], "damaged or cut short"),
        (b"\x1f\x8bno gzip at all", "damaged or cut short"),
    ],
)
def test_broken_files_get_one_clear_message(tmp_path, content, message):
    with pytest.raises(RecordError, match=message) as error:
        load(tmp_path, content)
    assert str(error.value).startswith(str(tmp_path / "t.jsonl"))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(tmp_path)) + 260


def test_files_that_are_not_there_or_not_lines(tmp_path):
    with pytest.raises(RecordError, match="no such file"):
        load_records(tmp_path / "none.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecordError, match="this is a folder"):
        load_records(tmp_path / "folder")
    with pytest.raises(RecordError, match=r"not a JSON Lines file\. Turn each row"):
        load(tmp_path, "prompt,response\n", name="t.csv")


@given(st.lists(record_fields(), min_size=1, max_size=3))
@settings(max_examples=50)
def test_records_come_back_as_they_went(tmp_path_factory, many):
    given_records = [Record.of(**fields) for fields in many]
    for name in ("t.jsonl", "t.jsonl.gz"):
        path = tmp_path_factory.getbasetemp() / name
        assert write_records(path, given_records) == len(given_records)
        assert [*read_records(path)] == given_records


@given(record_fields())
@settings(max_examples=50)
def test_flat_rows_come_back_without_pairs(tmp_path_factory, fields):
    record = Record.of(**fields)
    path = tmp_path_factory.getbasetemp() / "flat.jsonl"
    write_jsonl(path, flat_rows(record))
    assert row_of(load_records(path)[0]) == {k: v for k, v in row_of(record).items() if k != "pairs"}


def test_writing_is_all_or_nothing(tmp_path):
    path = tmp_path / "t.jsonl"
    write_records(path, EXAMPLE)
    before = path.read_bytes()

    def fails():
        yield EXAMPLE[0]
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_records(path, fails())
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["t.jsonl"]


def test_a_file_may_be_written_over_while_it_is_read(tmp_path):
    path = tmp_path / "t.jsonl"
    write_records(path, EXAMPLE)
    write_records(path, (record.keep([0]) for record in read_records(path)))
    assert [record.responses for record in read_records(path)] == [("a",), ("c",)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~records_io._umask()


def test_equal_records_equal_bytes(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_records(tmp_path / name, EXAMPLE)
    content = (tmp_path / "a.jsonl.gz").read_bytes()
    assert content == (tmp_path / "b.jsonl.gz").read_bytes()
    assert len(gzip.decompress(content).splitlines()) == 2


def test_places_that_cannot_be_written_to(tmp_path):
    with pytest.raises(RecordError, match=r"cannot be written .*Check the folder"):
        write_records(tmp_path / "none" / "t.jsonl", EXAMPLE)
    with pytest.raises(RecordError, match="it is a folder"):
        write_records(tmp_path, EXAMPLE)


def test_rows_of_a_data_set_are_counted_from_0():
    with pytest.raises(RecordError, match=r"row 1: responses\[0\] is blank"):
        [*from_dataset([{"prompt": "p", "response": "a"}, {"prompt": "p", "response": ""}])]
    with pytest.raises(RecordError, match=r"row 0 is 'train'.*Pass one split"):
        [*from_dataset({"train": []})]


def test_data_sets_in_and_out():
    pytest.importorskip("datasets")
    given_records = [
        Record.of("p", ["a", "b"], scores=[1, 2], pairs=[[1, 0]], id="x"),
        Record.of("q", ["c"], targets=[1], weights=[2]),
    ]
    data = to_dataset(given_records)
    assert data.column_names == ["prompt", "responses", "scores", "weights", "targets", "pairs", "id"]
    assert [*from_dataset(data)] == given_records
    chats = [Record.of([{"role": "user", "content": "Hi"}], ["Hello"])]
    assert [*from_dataset(to_dataset(chats))] == chats
    assert len(to_dataset([])) == 0
    with pytest.raises(RecordError, match="1 prompts are texts and 1 are messages"):
        to_dataset([given_records[1], *chats])


def test_without_the_datasets_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ImportError, match="pip install datasets"):
        to_dataset(EXAMPLE)
