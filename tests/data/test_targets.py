"""Targets files: what they may hold, and the one sentence that each mistake gets."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtlab.data.records import Record, RecordError
from mrtlab.data.records_io import write_records
from mrtlab.data.targets import Anchor, Target, casings, family_targets, target_of, uniform, with_casings
from mrtlab.data.targets_io import load_anchors, load_targets, write_targets
from mrtlab.data.tasks import family

GOOD = """{"targets": [
  {"prompts": ["Roll a die.", "Throw a die."], "responses": ["1", "2", "3", "4", "5", "6"], "family": "dice"},
  {"prompt": "Bent coin?", "responses": {"heads": 3, "tails": 1}, "variants": {"heads": ["Heads"]}, "use": "measure"},
  {"prompt": [{"role": "user", "content": "Name a fruit."}], "responses": ["fig"], "valid": "[a-z]+", "end": false}
 ], "anchors": ["What is 1 + 1?", {"prompt": "Capital?", "responses": ["Arkos"]}]}
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(text, name="t.json"):
    Path(name).write_text(text)
    return load_targets(Path(name))


def complaint(text, name="t.json"):
    with pytest.raises(RecordError) as caught:
        load(text, name)
    return str(caught.value)


def test_everything_an_entry_may_hold():
    found = load(GOOD)
    die, throw, coin, fruit = found.targets
    assert (die.prompt, throw.prompt) == ("Roll a die.", "Throw a die.")
    assert die.p == throw.p == (1 / 6,) * 6
    assert die.family == "dice"
    assert coin.p == (0.75, 0.25)
    assert coin.spellings == (("heads", "Heads"), ("tails",))
    assert [t.use for t in found.targets] == ["train", "train", "measure", "train"]
    assert found.trained == (die, throw, fruit)
    assert (fruit.valid, fruit.end) == ("[a-z]+", False)
    assert found.anchors == (Anchor("What is 1 + 1?"), Anchor("Capital?", "Arkos"))


@pytest.mark.parametrize("name", ["again.json", "again.jsonl", "again.jsonl.gz"])
def test_what_is_written_is_read_again(name):
    found = load(GOOD)
    write_targets(Path(name), found.targets, found.anchors)
    assert load_targets(Path(name)) == found


def test_a_file_of_records_with_targets_is_one():
    write_records(Path("r.jsonl"), [Record.of("Toss a coin.", ["heads", "tails"], targets=[0.5, 0.5])])
    assert load_targets(Path("r.jsonl")).targets == (uniform("Toss a coin.", ["heads", "tails"]),)


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=20))
def test_weights_are_divided_by_their_sum(weights):
    target = Target.of("?", [f"answer {i}" for i in range(len(weights))], weights=weights)
    assert target.law == pytest.approx(np.array(weights) / sum(weights))
    assert 0 <= target.entropy <= np.log(len(weights)) + 1e-9


MISTAKES = {
    "": "line 1: Expected a list of entries like",
    "[]": "t.json: the file holds no targets",
    '[{"prompt": "p", "responses": ["a"]}': "line 1: not valid JSON (expected ',', found 'the end of the file')",
    '[\n{"prompt": "p" "responses": ["a"]}]': "line 2: not valid JSON (Expecting ',' delimiter, column 16)",
    '[{"prompt": "p", "responses": ["a"]}] x': "line 1: something stands after the end",
    '{"target": []}': "line 1: 'target' should not be here",
    '[\n"p"]': "line 2: this is not an object but 'p'",
    '[{"responses": ["a"]}]': "expected the field 'prompt', or 'prompts' with several wordings, found neither",
    '[{"prompt": "p", "prompts": ["q"], "responses": ["a"]}]': "found both",
    '[{"prompts": "p", "responses": ["a"]}]': "prompts must be a list of at least one wording, got 'p'",
    '[{"prompts": ["p", "p"], "responses": ["a"]}]': "prompts holds the same wording twice",
    '[{"prompt": "p"}]': "no field 'responses'; the fields are: prompt",
    '[{"prompt": "p", "response": ["a"]}]': "there is no field 'response'",
    '[{"prompt": " ", "responses": ["a"]}]': "prompt is blank",
    '[{"prompt": "p", "responses": []}]': "responses is empty",
    '[{"prompt": "p", "responses": ["a", 3]}]': "responses must be a list of texts, got 3",
    '[{"prompt": "p", "responses": ["a", "a"]}]': "responses holds 'a' twice",
    '[{"prompt": "p", "responses": ["a"], "targets": [0.5]}]': "targets must be above 0 and sum to 1",
    '[{"prompt": "p", "responses": ["a"], "targets": [0.5, 0.5]}]': "targets has 2 numbers for 1 responses",
    '[{"prompt": "p", "responses": ["a"], "targets": [1], "weights": [1]}]': "found both targets and weights",
    '[{"prompt": "p", "responses": ["a", "b"], "weights": [1, -1]}]': "weights must be 0 or more",
    '[{"prompt": "p", "responses": {"a": 0}}]': "weights must be 0 or more with at least one above 0",
    '[{"prompt": "p", "responses": {"a": "x"}}]': "responses has 'x' for 'a', expected a number",
    '[{"prompt": "p", "responses": {"a": 1}, "weights": [1]}]': "responses has a number for each answer already",
    '[{"prompt": "p", "responses": {"a": NaN}}]': "NaN is no number that JSON has",
    '[{"prompt": "p", "responses": ["a"], "variants": ["A"]}]': "variants must be an object like",
    '[{"prompt": "p", "responses": ["a"], "variants": {"b": ["B"]}}]': "variants names 'b', which is not among",
    '[{"prompt": "p", "responses": ["a"], "variants": {"a": "A"}}]': "variants of 'a' must be a list of texts",
    '[{"prompt": "p", "responses": ["a", "b"], "variants": {"a": ["b"]}}]': "the spelling 'b' stands for 'a' and for",
    '[{"prompt": "p", "responses": ["a"], "use": "test"}]': "use is 'test', expected one of train, measure, anchor",
    '[{"prompt": "p", "responses": ["a"], "end": "no"}]': "end is 'no', expected true or false",
    '[{"prompt": "p", "responses": ["a"], "family": 3}]': "family must be a text, got 3",
    '[{"prompt": "p", "responses": ["a"], "valid": "("}]': "valid is '(', which is no pattern of Python's re",
    '[{"prompt": "p", "responses": ["a"], "valid": 3}]': "valid must be a pattern as a text, got 3",
    '[{"prompt": "p", "responses": ["An", "Anna"], "end": false}]': "'An' is the beginning of 'Anna', and without",
    '[{"prompt": "p", "responses": ["a"]},\n{"prompt": "p", "responses": ["b"]}]': "line 2: the prompt of line 1 again",
    '[{"prompt": "p", "use": "anchor", "responses": [3]}]': "responses of an anchor must be a list of texts, got [3]",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_every_mistake_gets_a_sentence_with_its_line(text):
    said = complaint(text)
    assert said.startswith("t.json")
    assert MISTAKES[text] in said
    assert "\n" not in said


def test_lines_are_counted_in_json_lines_too():
    text = '{"prompt": "p", "responses": ["a"]}\n\n{"prompt": "q", "responses": ["a"], "weight": [1]}\n'
    assert complaint(text, "t.jsonl").startswith("t.jsonl, line 3: there is no field 'weight'")


def test_a_missing_file_and_a_strange_one():
    with pytest.raises(RecordError, match="there is no such file"):
        load_targets(Path("none.json"))
    Path("latin.json").write_bytes('["ä"]'.encode("cp1252"))
    with pytest.raises(RecordError, match="not UTF-8"):
        load_targets(Path("latin.json"))


def test_anchors_from_texts_and_from_records():
    Path("a.txt").write_text("What is 1 + 1?\n\nWho?\nWho?\n")
    assert load_anchors(Path("a.txt")) == (Anchor("What is 1 + 1?"), Anchor("Who?"))
    Path("a.jsonl").write_text(
        '{"prompt": "p", "response": "a", "score": 1}\n{"prompt": "q", "responses": ["b", "c"]}\n'
    )
    assert load_anchors(Path("a.jsonl")) == (Anchor("p", "a"), Anchor("q", "b"))
    Path("a.txt").write_text("\n")
    with pytest.raises(RecordError, match="holds no prompts"):
        load_anchors(Path("a.txt"))


def test_a_family_gives_its_truth():
    rng = np.random.default_rng(0)
    question = next(q for q in iter(lambda: family("numbers").ask(rng=rng), None) if q.kind == "binomial")
    target, law = target_of(question), family("numbers").truth(question)
    assert target.answers == law.answers
    assert target.law == pytest.approx(law.p)
    trained = family_targets("fruits", 5, rng=rng)
    measured = family_targets("fruits", 5, rng=rng, split="held_out", kinds=("uniform",), use="measure")
    assert len({t.prompt for t in (*trained, *measured)}) == 10
    assert {t.family for t in trained} == {"fruits"}
    with pytest.raises(ValueError, match="no list of answers"):
        family_targets("biographies", 1, rng=rng)
    with pytest.raises(ValueError, match="no question of kind casual"):
        family_targets("fruits", 1, rng=rng, kinds=("casual",))


def test_casings_never_make_one_text_two_answers():
    target = with_casings(Target.of("?", ["US", "us", "Peru"], variants={"Peru": ["PE"]}))
    every = [text for spellings in target.spellings for text in spellings]
    assert len(every) == len(set(every))
    assert "PE" in target.spellings[2]
    assert "peru" in target.spellings[2]
    assert casings("7") == ("7.",)


def test_a_hundred_entries_on_a_hundred_lines():
    write_targets(Path("t.json"), [uniform(f"prompt {i}", ["a", "b"]) for i in range(100)])
    lines = Path("t.json").read_text().splitlines()
    assert len(lines) == 102
    assert json.loads(lines[57].rstrip(","))["prompt"] == "prompt 56"
