"""Published data sets as records: rows in their published form, and what happens without a network."""

import sys
from types import SimpleNamespace

import pytest

from mrtlab.data import published as module
from mrtlab.data.published import NoData, nectar, published, ultrafeedback


def feedback(prompt, *answers):
    return {
        "instruction": prompt,
        "source": "made up",
        "completions": [{"response": text, "overall_score": score, "model": "m"} for text, score in answers],
    }


def test_a_row_of_ultrafeedback_keeps_different_answers_with_their_scores():
    record = ultrafeedback(feedback("Hi", ("Hello.", 8), (" Hello. ", 2), ("", 9), ("Hey.", 5.5)))
    assert record.responses == ("Hello.", "Hey.")
    assert record.scores == (8.0, 5.5)
    assert ultrafeedback(feedback("Hi", ("", 1))) is None
    assert ultrafeedback(feedback(" ", ("Hello.", 1))) is None


def test_a_conversation_of_nectar_becomes_messages_and_the_best_rank_the_best_score():
    prompt = "\n\nHuman: What is 2 + 2?\n\nAssistant: 4\n\nHuman: And doubled?\n\nAssistant: "
    record = nectar({"prompt": prompt, "answers": [{"answer": "8", "rank": 1}, {"answer": "Eight.", "rank": 7}]})
    assert [dict(turn) for turn in record.prompt] == [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And doubled?"},
    ]
    assert record.scores == (7.0, 1.0)
    assert nectar({"prompt": "\n\nHuman: Hi\n\nAssistant: Hello", "answers": [{"answer": "8", "rank": 1}]}) is None


def test_a_data_set_is_read_no_further_than_needed(monkeypatch):
    read = []

    def rows(name):
        for i in range(100):
            read.append(i)
            yield feedback(f"Question {i // 2}", ("a", 1), ("b", 2)) if i % 10 else feedback("Alone", ("a", 1))

    monkeypatch.setattr(module, "_rows", rows)
    found = published("openbmb/UltraFeedback", 5)
    assert len({record.prompt for record in found}) == 5
    assert all(len(record) == 2 for record in found)
    assert len(read) < 20
    with pytest.raises(ValueError, match="prompts with 2 different responses, 500 were asked for"):
        published("openbmb/UltraFeedback", 500)


def test_without_a_network_or_the_library_there_is_a_sentence(monkeypatch):
    def unreachable(name, **_):
        raise ConnectionError("no route to host\nmore")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=unreachable))
    with pytest.raises(NoData, match=r"cannot read openbmb/UltraFeedback .*no route to host\)\. Check the network"):
        published("openbmb/UltraFeedback", 1)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(NoData, match="pip install"):
        published("openbmb/UltraFeedback", 1)
    with pytest.raises(ValueError, match="unknown data set 'mine'"):
        published("mine", 1)
