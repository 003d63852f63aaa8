"""loaders: small local files in the public schemas, the quirks of large sets, and files of another schema."""

import gzip
import json

import pytest

from mrtlab.data.loaders import PUBLIC, gold_generations, helpsteer2, local_rows, nectar, ultrafeedback
from mrtlab.data.records import Record, RecordError, pairs_by_score

USER = [{"role": "user", "content": "Hi"}]


def completion(response, overall, fine, model="falcon-40b-instruct"):
    rating = {"Rating": "2", "Rationale": "Partly."}
    annotations = {aspect: rating for aspect in ("instruction_following", "honesty", "truthfulness", "helpfulness")}
    prompts = {"principle": "helpfulness", "custom_system_prompt": "Be helpful."}
    scores = {"overall_score": overall, "fine-grained_score": fine}
    return {"model": model, "response": response, "annotations": annotations, "critique": "Fine."} | prompts | scores


def helpsteer(prompt, response, *ratings):
    names = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    return {"prompt": prompt, "response": response} | dict(zip(names, ratings, strict=True))


SCHEMAS = {
    "ultrafeedback": [
        {
            "source": "sharegpt",
            "instruction": "Where to go in Cairo?",
            "models": ["falcon-40b-instruct", "gpt-4"],
            "correct_answers": ["None"],
            "incorrect_answers": ["None"],
            "completions": [completion("The pyramids.", 6.0, 2.75), completion("The Nile.", 8.5, 4.5, "gpt-4")],
        },
    ],
    "nectar": [
        {
            "prompt": "\n\nHuman: Where to go in Cairo?\n\nAssistant: ",
            "answers": [
                {"answer": "The Nile.", "model": "gpt-4", "rank": 1.0},
                {"answer": "The pyramids.", "model": "llama-2-7b-chat", "rank": 2.0},
            ],
            "turns": 1,
            "num_responses": 2,
            "source": ["sharegpt"],
            "good_natured": True,
        },
    ],
    "helpsteer2": [
        helpsteer("Where to go in Cairo?", "The pyramids.", 1, 3, 4, 1, 1),
        helpsteer("Where to go in Cairo?", "The Nile.", 4, 4, 4, 2, 1),
    ],
    "gold": [
        {
            "instruction": "Where to go?",
            "input": "Cairo",
            "answers": ["The pyramids.", "The Nile."],
            "gold_scores": [-0.5, 0.832],
        },
    ],
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_local_file_of_the_same_schema(tmp_path, name):
    path = tmp_path / f"{name}.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in SCHEMAS[name]).encode()))
    (record,) = PUBLIC[name].records(local_rows(path))
    assert sorted(record.responses) == ["The Nile.", "The pyramids."]
    assert "Cairo" in str(record.prompt)
    ((winner, loser),) = pairs_by_score(record).pairs
    assert (record.responses[winner], record.responses[loser]) == ("The Nile.", "The pyramids.")


@pytest.mark.parametrize("name", PUBLIC)
def test_the_rows_of_the_datasets_library(tmp_path, name):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list(SCHEMAS[name])
    assert [*PUBLIC[name].records(rows)] == [*PUBLIC[name].records(SCHEMAS[name])]


@pytest.mark.parametrize("name", PUBLIC)
def test_rows_of_another_schema(name):
    with pytest.raises(RecordError, match=r"row 0: expected a field .*the fields are: question, chosen"):
        [*PUBLIC[name].records([{"question": "p", "chosen": "a"}])]
    with pytest.raises(RecordError, match="no row gave a response"):
        [*PUBLIC[name].records([])]
    with pytest.raises(RecordError, match=r"row 0: 'train' is no row\. Pass one split"):
        [*PUBLIC[name].records({"train": SCHEMAS[name]})]


def test_ultrafeedback_scores():
    rows = SCHEMAS["ultrafeedback"]
    assert next(ultrafeedback(rows)).scores == (6.0, 8.5)
    assert next(ultrafeedback(rows, score="fine-grained_score")).scores == (2.75, 4.5)
    with pytest.raises(RecordError, match=r"no score is called 'overall'.*Choose one of: overall_score"):
        next(ultrafeedback(rows, score="overall"))


def test_what_cannot_be_used_is_left_out():
    blank = completion(" ", 9.0, 5.0)
    unscored = [completion("a", None, float("nan")), completion("b", None, None)]
    good = completion("c", 3.0, 4.0)
    rows = [
        {"instruction": "p", "completions": []},
        {"instruction": "", "completions": [good]},
        {"instruction": "q", "completions": [blank, *unscored, good]},
    ]
    for score, value in (("overall_score", 3.0), ("fine-grained_score", 4.0)):
        assert [*ultrafeedback(rows, score=score)] == [Record.of("q", ["c"], scores=[value])]
    with pytest.raises(RecordError, match="no row gave a response with a score"):
        [*ultrafeedback([{"instruction": "p", "completions": [{"response": "a"}]}])]
    with pytest.raises(RecordError, match="row 0: a score is 'N/A'"):
        [*ultrafeedback([{"instruction": "p", "completions": [completion("a", "N/A", 1)]}])]
    with pytest.raises(RecordError, match="'completions' must hold objects, got 'a'"):
        [*ultrafeedback([{"instruction": "p", "completions": ["a"]}])]


def nectar_prompt(text):
    return next(nectar([{"prompt": text, "answers": [{"answer": "a", "rank": 1}]}])).prompt


def test_turns_of_nectar():
    text = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: What is\n\n2 + 2? \n\nAssistant: "
    said = [("user", "Hi"), ("assistant", "Hello"), ("user", "What is\n\n2 + 2?")]
    assert [(message.role, message.content) for message in nectar_prompt(text)] == said
    assert nectar_prompt("What is 2 + 2?") == "What is 2 + 2?"
    ends_with_assistant = {"prompt": "\n\nHuman: Hi\n\nAssistant: Well", "answers": [{"answer": "a", "rank": 1}]}
    assert len([*nectar([ends_with_assistant, *SCHEMAS["nectar"]])]) == 1


def test_turns_of_helpsteer():
    text = "Hi\n\n<extra_id_1>Assistant\nHello\n\n<extra_id_1>User\nWhat is\n\n2 + 2?"
    (record,) = helpsteer2([helpsteer(text, "4", 4, 4, 4, 0, 0)])
    said = [("user", "Hi"), ("assistant", "Hello"), ("user", "What is\n\n2 + 2?")]
    assert [(message.role, message.content) for message in record.prompt] == said


def test_helpsteer_pools_the_rows_of_a_prompt_wherever_they_are():
    rows = [helpsteer(p, r, s, 0, 4, 0, 0) for p, r, s in (("p", "a", 1), ("q", "b", 2), ("p", "c", 3))]
    assert [*helpsteer2(rows)] == [Record.of("p", ["a", "c"], scores=[1, 3]), Record.of("q", ["b"], scores=[2])]
    assert next(helpsteer2(rows, score="coherence")).scores == (4.0, 4.0)


def test_gold_generations():
    row = {"instruction": "p", "input": "", "answers": ["a", "b", "c"], "gold_scores": [1, 2, 3]}
    assert [*gold_generations([row])] == [Record.of("p", ["a", "b", "c"], scores=[1, 2, 3])]
    assert [*gold_generations([row], first=2)] == [Record.of("p", ["a", "b"], scores=[1, 2])]
    with pytest.raises(RecordError, match="row 0: 3 answers but 1 gold_scores"):
        [*gold_generations([row | {"gold_scores": [1]}])]
    with pytest.raises(RecordError, match="'answers' must hold texts, got 7"):
        [*gold_generations([row | {"answers": ["a", 7, "c"]}])]
