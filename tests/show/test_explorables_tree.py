"""The token tree's explorable from Python: text controls, and numbers that a reader can count."""

import json
import re
from html import unescape

import pytest

from mrtlab.show.explorables import REGISTRY, Control, bundle, explorable, html
from mrtlab.show.explorables.twins_tree import END, tree, tree_alt, tree_sentence, tree_table

STATE = REGISTRY["tree"].default
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(1)</script>&quot;'\""


def built(**changes):
    return tree(STATE | changes)


def said(**changes) -> str:
    state = STATE | changes
    return tree_sentence(tree(state), state)


# --- the text control ----------------------------------------------------------------------------------------


def test_a_text_is_taken_as_it_is_up_to_its_length():
    control = Control.text(key="prompt", label="Prompt", default="a", length=3)
    assert [control.check(text) for text in ("", "abc", " é水")] == ["", "abc", " é水"]
    assert control.max == "a a"
    for wrong in ("abcd", 3, None, b"abc", ["a"]):
        with pytest.raises(ValueError, match="expected a text of at most 3 characters"):
            control.check(wrong)


def test_a_refusal_does_not_repeat_a_whole_novel():
    with pytest.raises(ValueError, match="is not a setting") as refusal:
        explorable("tree", prompt="x" * 100_000)
    assert len(str(refusal.value)) < 200


def test_what_was_typed_stands_in_the_page_as_text_alone():
    spec = explorable("tree", prompt=HOSTILE, answers=f"{HOSTILE}\nb").spec
    fragment = html(spec)
    assert json.loads(unescape(re.search(r'data-mrt="([^"]*)"', fragment)[1]))["state"]["prompt"] == HOSTILE
    for markup in ("<img", "<script", "</script"):
        assert markup not in fragment
    assert "</script" not in bundle(["tree"])


def test_surprises_are_settings():
    entry = REGISTRY["tree"]
    for example in entry.examples:
        data = entry.compute(entry.state(example))
        assert not data["cut"]
        assert data["missing"] == []
        assert data["at"] == example["at"]


# --- the numbers ---------------------------------------------------------------------------------------------


def test_the_default_by_hand():
    data = built()
    tokens = ["Name", "a", "fruit", ":", "a", "ripe", "apple", "pear", "plum"]
    assert [*data["prompt"], *(data["edges"][e]["token"] for e in data["fed"])] == tokens
    assert data["positions"] == [0, 1, 2, 3, 4, 5, 6, 6, 5]
    assert data["end"] == [9, 9, 9, 9, 9, 8, 7, 8, 9]  # plum sees the first a, not ripe
    assert (data["n_fed"], data["n_apart"]) == (9, 7 + 7 + 6 + 6)
    assert [edge["answers"] for edge in data["edges"] if edge["token"] == END] == [[1], [2], [3, 4]]
    assert [row[3] for row in tree_table(data, STATE)["rows"]][-4:] == ["7 tokens", "not fed", "6 tokens", "not fed"]
    assert "Lit: pear, which looks at: Name a fruit : a ripe pear." in tree_alt(data, STATE)


def test_the_lessons_at_the_edges():
    assert "nothing to save" in said(answers="a ripe apple")
    assert built(answers="a ripe apple")["ratio"] == 1
    assert "All 3 answers are the same" in said(answers="x\nx\nx")
    assert built(answers="x\nx\nx")["ratio"] == 3
    assert "only its end ⏎ is its own" in said(answers="a plum\na plum tree")
    assert built(answers="a plum\na plum tree")["n_fed"] == built(answers="a plum tree")["n_fed"]
    assert "the nearer to 2 times" in said(answers="x\ny")


def test_an_end_that_was_typed_is_a_token_like_others():
    data = built(prompt="x", answers="⏎\n⏎ ⏎")
    assert data["n_fed"] == 3
    assert "only its end" in said(prompt="x", answers="⏎\n⏎ ⏎")


def test_a_longer_prompt_never_lifts_the_saving_above_the_number_of_answers():
    ratios = [built(prompt="word " * n, answers="a b\nc d e\nf")["ratio"] for n in range(1, 25)]
    assert ratios == sorted(ratios)
    assert ratios[-1] < 3


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"prompt": "  "}, "Type a prompt, the trunk."),
        ({"answers": "; ,\n"}, "Type at least one answer, a branch."),
        ({"prompt": "", "answers": ""}, "Type a prompt, the trunk and at least one answer, a branch."),
    ],
)
def test_an_empty_field_gets_a_hint(changes, hint):
    assert said(**changes).endswith(hint)
    assert tree_table(built(**changes), STATE)["rows"][len(built(**changes)["prompt"]) :] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "w " * 25},
        {"answers": ",".join(map(str, range(13)))},
        {"answers": "t " * 13},
        {"prompt": "a" * 25, "by": "characters"},
    ],
)
def test_what_is_too_much_is_cut_and_said(changes):
    data = built(**changes)
    assert data["cut"]
    assert "Your text is longer" in said(**changes)
    assert len(data["prompt"]) <= 24
    assert len(data["lengths"]) <= 12
    assert max(data["lengths"]) <= 13
