"""tables: good files in every accepted form, and one clear sentence for each kind of broken one."""

import json

import numpy as np
import pytest

from mrtlab.data.tables import TableError, read_table


def read(tmp_path, name, content, **columns):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, **columns)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", "prompt,value\na,1\nb,3\na,2\n"),
        ("semicolon.csv", "prompt;value\na;1\nb;3\na;2\n"),
        ("tab.tsv", "value\tprompt\n1\ta\n3\tb\n2\ta\n"),
        ("windows.csv", "\ufeffPrompt, Value,model\r\na,1,x\r\nb,3,x\r\n\r\na,2e0,x\r\n"),
        ("ids.csv", "prompt,response_id,value\na,1,1\nb,1,3\na,2,2\n"),
        ("lists.jsonl", '{"prompt": "a", "values": [1, 2]}\n\n{"prompt": "b", "values": [3.0]}\n'),
        ("single.jsonl", '{"prompt":"a","value":1}\n{"prompt":"b","value":3}\n{"prompt":"a","value":2}'),
        ("mixed.ndjson", '{"prompt":"a","value":1}\n{"prompt":"b","value":[3]}\n{"prompt":"a","values":[2],"x":{}}'),
    ],
)
def test_every_form_gives_the_same_table(tmp_path, name, content):
    table = read(tmp_path, name, content)
    assert table.prompts == ["a", "b"]
    assert [row.tolist() for row in table.values] == [[1.0, 2.0], [3.0]]
    assert len(table) == 2


def test_prompts_may_be_text_with_commas_quotes_and_line_breaks(tmp_path):
    text = 'Name a fruit,\nany "fruit"' + "." * 200_000
    quoted = '"' + text.replace('"', '""') + '"'
    table = read(tmp_path, "t.csv", f"prompt,value\n{quoted},1\n{quoted},2\nb,1\n")
    assert table.prompts == [text, "b"]


def test_prompts_may_be_numbers_in_json(tmp_path):
    assert read(tmp_path, "t.jsonl", '{"prompt": 7, "values": [1, 2]}').prompts == ["7"]


def test_other_names_for_the_columns(tmp_path):
    table = read(tmp_path, "t.csv", "id,loss,value\na,1,x\n", prompt="id", value="loss")
    assert table.prompts == ["a"]
    line = json.dumps({"id": "a", "losses": [1, 2]})
    assert len(read(tmp_path, "t.jsonl", line, prompt="id", value="losses").values[0]) == 2


def test_the_same_text_twice_is_no_duplicate(tmp_path):
    table = read(tmp_path, "t.csv", "prompt,response,value\na,apple,1\na,apple,1\n")
    assert len(table.values[0]) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "the file is empty"),
        ("t.csv", "prompt,value\n", "holds no responses"),
        ("t.csv", "id,value\na,1\n", "line 1: no column 'prompt'; the columns are: id, value.*--prompt-column"),
        ("t.csv", "prompt,loss\na,1\n", "line 1: no column 'value'.*--value-column"),
        ("t.csv", "prompt,value,Value\na,1,2\n", "two columns are called 'value'"),
        ("t.csv", "prompt,value\na,1\nb\n", "line 3: 1 fields where the header has 2"),
        ("t.csv", "prompt,value\na,1\nb,nan\n", "line 3: value is nan, expected a finite number"),
        ("t.csv", "prompt,value\na,one\n", "line 2: value is 'one'"),
        ("t.csv", "prompt;value\na;1,5\n", "line 2: value is '1,5'.*decimal point"),
        ("t.csv", 'prompt,value\n"x\ny",1\nb,\n', "line 4: value is ''"),
        ("t.csv", "prompt,value\na,1\n ,1\n", "line 3: the prompt is empty"),
        ("t.csv", "prompt,response_id,value\na,1,1\na,1,2\n", "line 3: response '1' to prompt 'a' appears twice"),
        ("t.csv", b"prompt,value\n\xff,1\n", "not UTF-8"),
        ("t.jsonl", "", "holds no responses"),
        ("t.jsonl", '{"prompt": "a"\n', r"line 1: not valid JSON .*column 15"),
        ("t.jsonl", "[" * 100_000, "line 1: n"),
        ("t.jsonl", "[1, 2]\n", "line 1: this is not an object but"),
        ("t.jsonl", '{"prompt": "a", "values": [1]}\n{"values": [1]}\n', "line 2: no field 'prompt'"),
        ("t.jsonl", '{"prompt": "a", "loss": 1}\n', "found neither; the fields are: prompt, loss"),
        ("t.jsonl", '{"prompt": "a", "value": 1, "values": [1]}\n', "found both"),
        ("t.jsonl", '{"prompt": "a", "values": []}\n', "'values' is an empty list"),
        ("t.jsonl", '{"prompt": "a", "values": [1, null]}\n', "line 1: value is null"),
        ("t.jsonl", '{"prompt": "a", "values": [NaN]}\n', "line 1: value is nan"),
        ("t.jsonl", '{"prompt": "a", "values": [true]}\n', "value is True"),
        ("t.jsonl", '{"prompt": "a", "value": "1.5"}\n', "value is '1.5'"),
        ("t.jsonl", '{"prompt": "a", "value": 1' + "0" * 400 + "}\n", "expected a finite number"),
        ("t.txt", "prompt,value\na,1\n", "cannot tell what kind of file"),
    ],
)
def test_broken_files_get_one_sentence(tmp_path, name, content, message):
    with pytest.raises(TableError, match=message) as error:
        read(tmp_path, name, content)
    assert str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(tmp_path)) + 260


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(TableError, match="no such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path / "folder.csv")


def test_the_order_of_rows_does_not_mix_up_prompts(tmp_path):
    rng = np.random.default_rng(0)
    owner = rng.integers(0, 50, 2000)
    losses = rng.normal(size=2000)
    rows = "".join(f"p{o},{v!r}\n" for o, v in zip(owner.tolist(), losses.tolist(), strict=True))
    table = read(tmp_path, "t.csv", f"prompt,value\n{rows}")
    for name, values in zip(table.prompts, table.values, strict=True):
        assert np.array_equal(values, losses[owner == int(name[1:])])


def test_gradients_come_with_their_losses(tmp_path):
    lines = [
        {"prompt": "a", "values": [1, 2], "gradients": [[1, 0], [2, 0]]},
        {"prompt": "b", "value": 3, "gradients": [[3, 1]]},
        {"prompt": "a", "value": 4, "gradients": [[4, 0]]},
    ]
    table = read(tmp_path, "t.jsonl", "\n".join(map(json.dumps, lines)))
    assert [rows[:, 0].tolist() for rows in table.gradients] == [row.tolist() for row in table.values]
    assert read(tmp_path, "t.csv", "prompt,value\na,1\n").gradients is None


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({}, "line 2: some lines have 'gradients' and some do not"),
        ({"gradients": [[1, 2, 3]]}, "line 2: the gradients have 3 numbers where earlier lines have 2"),
        ({"gradients": [[1, 2], [3, 4]]}, "line 2: 'gradients' must be a list with one list"),
        ({"gradients": [[1, None]]}, "line 2: 'gradients' must be"),
        ({"gradients": [1, 2]}, "line 2: 'gradients' must be"),
        ({"gradients": [[1, "x"]]}, "line 2: 'gradients' must be"),
    ],
)
def test_broken_gradients(tmp_path, second, message):
    lines = [{"prompt": "a", "value": 1, "gradients": [[1, 2]]}, {"prompt": "b", "value": 1} | second]
    with pytest.raises(TableError, match=message):
        read(tmp_path, "t.jsonl", "\n".join(map(json.dumps, lines)))
