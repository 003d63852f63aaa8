"""A synthetic set: what is kept and why, and a file that a run goes on from to the same end."""

import json

import numpy as np
import pytest

from mrtlab.data.records import Message, RecordError
from mrtlab.data.tasks import family
from mrtlab.lm.sampling import Sampler, end_tokens, sample_ids
from mrtlab.spa.sift import Drawn, SynthesisSettings, sift
from mrtlab.spa.sources import FamilyJudge, Ruling, draw_from_model, draw_from_teacher
from mrtlab.spa.synthesize import Source, read_synthesis, synthesize
from mrtlab.training.adapter import with_adapter

WORDS = ["plum", "fig", "kiwi", "Plum", "", "a stone", "a ripe red plum", "a ripe red plums"]
PROMPTS = ["Name a fruit.", "Name one.", "Name a fruit.", (Message("user", "A fruit?"),)]
SETTINGS = SynthesisSettings(n=8, near=0.9, per_prompt=2, seed=3)


def draw(prompt, place, settings):
    rng = np.random.default_rng((settings.seed, place))
    return [Drawn(WORDS[i], finished=bool(i != 2)) for i in rng.integers(len(WORDS), size=settings.n)]


def no_stones(prompt, answer):
    return Ruling("stone" not in answer, "a stone")


def run(path, *, source=None, prompts=PROMPTS, settings=SETTINGS, judge=no_stones, **more):
    return synthesize(source or Source({"words": 8}, draw), prompts, path, settings=settings, judge=judge, **more)


def test_every_verdict_by_hand():
    drawn = [
        *map(Drawn, ["fig", "a stone", " FIG", "", "a ripe red plum", "a ripe red plums", "a stone", "date", "kiwi"])
    ]
    settings = SynthesisSettings(near=0.9, per_prompt=3)
    found = sift("?", [*drawn, Drawn("an unripe", finished=False)], settings=settings, judge=no_stones)
    assert [(one.answer, one.verdict, one.detail) for one in found] == [
        ("fig", "kept", ""),
        ("a stone", "wrong", "a stone"),
        (" FIG", "duplicate", ""),
        ("", "empty", ""),
        ("a ripe red plum", "kept", ""),
        ("a ripe red plums", "near duplicate", "a ripe red plum"),
        ("a stone", "wrong", "a stone"),
        ("date", "kept", ""),
        ("kiwi", "over the cap", ""),
        ("an unripe", "cut off", ""),
    ]


def test_what_was_kept_before_counts_for_duplicates_and_for_the_cap():
    found = sift(
        "?", [Drawn("fig"), Drawn("kiwi"), Drawn("date")], settings=SynthesisSettings(per_prompt=2), before=["fig"]
    )
    assert [one.verdict for one in found] == ["duplicate", "kept", "over the cap"]


def test_a_judge_is_asked_once_for_each_text():
    asked = []

    def judge(prompt, answer):
        asked.append(answer)
        return Ruling(True)

    sift("?", [*map(Drawn, ["fig", "fig", "kiwi", "", "fig"])], settings=SynthesisSettings(), judge=judge)
    assert asked == ["fig", "kiwi"]


def test_a_prompt_that_comes_twice_is_one_record_without_duplicates(tmp_path):
    made = run(tmp_path / "set.jsonl")
    assert [record.prompt for record in made.records] == ["Name a fruit.", "Name one.", PROMPTS[3]]
    first = [one for one in made.candidates if one.prompt == "Name a fruit."]
    assert len(first) == 2 * SETTINGS.n
    kept = [one.answer for one in first if one.verdict == "kept"]
    assert kept == list(made.records[0].responses)
    assert len({answer.casefold() for answer in kept}) == len(kept) <= SETTINGS.per_prompt
    assert sum(made.counts.values()) == len(made.candidates) == SETTINGS.n * len(PROMPTS)
    assert min(made.counts.values()) >= 1, made.counts  # the words and the seed were chosen so that every verdict comes


def test_prompts_of_which_nothing_is_kept_are_named(tmp_path):
    made = run(tmp_path / "set.jsonl", judge=lambda prompt, answer: Ruling(prompt != "Name one.", "no"))
    assert made.barren == ("Name one.",)
    assert "Name one." not in [record.prompt for record in made.records]


def test_a_run_that_was_stopped_anywhere_ends_at_the_same_file(tmp_path):
    whole = tmp_path / "whole.jsonl"
    made = run(whole)
    data = whole.read_bytes()
    header = data.index(b"\n") + 1
    for cut in sorted({header, header + 1, len(data) // 2, data.index(b"\n", header) + 1, len(data) - 1, len(data)}):
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(data[:cut])
        assert run(path) == made
        assert path.read_bytes() == data
    assert read_synthesis(whole) == made


def test_a_source_that_fails_loses_only_its_own_prompt(tmp_path):
    path, whole = tmp_path / "set.jsonl", run(tmp_path / "whole.jsonl")

    def failing(prompt, place, settings):
        if place == 2:
            raise KeyboardInterrupt
        return draw(prompt, place, settings)

    with pytest.raises(KeyboardInterrupt):
        run(path, source=Source({"words": 8}, failing))
    assert len(read_synthesis(path).candidates) == 2 * SETTINGS.n
    done = []
    assert run(path, report=lambda *counts: done.append(counts)) == whole
    assert done == [(3, 4), (4, 4)]
    assert run(path, source=Source({"words": 8}, lambda prompt, place, settings: 1 / 0)) == whole  # nothing is drawn


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"settings": SynthesisSettings(n=7, near=0.9, per_prompt=2, seed=3)},
            r"line 1: .* another settings: n 8, now 7\.",
        ),
        ({"prompts": PROMPTS[:3]}, "another prompts, fingerprint: 4, now 3"),
        ({"prompts": PROMPTS[::-1]}, "another fingerprint"),
        ({"source": Source({"words": 9}, draw)}, "another source: words 8, now 9"),
        ({"judge": None}, 'another judge: "no_stones", now null'),
    ],
)
def test_another_run_is_refused_and_the_file_left_alone(tmp_path, changed, message):
    path = tmp_path / "set.jsonl"
    run(path)
    before = path.read_bytes()
    with pytest.raises(RecordError, match=message):
        run(path, **changed)
    assert path.read_bytes() == before


def test_a_file_of_something_else_is_refused_and_keeps_its_last_line(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "?", "response": "a"}\n{"prompt": "!", "response": "b"}')  # no line end
    with pytest.raises(RecordError, match="line 1: this is not a file of candidates"):
        run(path)
    assert path.read_text().endswith('"b"}')


def test_a_file_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "set.jsonl"
    run(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]) + "\n")
    with pytest.raises(RecordError, match=r"line 2: expected the prompt 'Name a fruit\.', found 'Name one\.'"):
        run(path)
    row = json.loads(lines[1])
    row["candidates"][0]["verdict"] = "fine"
    path.write_text("\n".join([lines[0], json.dumps(row)]) + "\n")
    with pytest.raises(RecordError, match="line 2: this is not a prompt with its candidates"):
        run(path)
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(RecordError, match="5 prompts where 4 were asked"):
        run(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 0}, "n and max_new_tokens"),
        ({"max_new_tokens": 0}, "n and max_new_tokens"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"near": 1.5}, "near"),
        ({"per_prompt": 0}, "per_prompt"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SynthesisSettings(**wrong)


def test_no_prompts_and_compressed_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no prompts"):
        run(tmp_path / "set.jsonl", prompts=[])
    with pytest.raises(ValueError, match=r"without \.gz"):
        run(tmp_path / "set.jsonl.gz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["programs", "stories", "choices"])
def test_the_teacher_is_always_right(tmp_path, name):
    questions = family(name).questions(6, rng=np.random.default_rng(0))
    prompts = [question.text for question in questions]
    settings = SynthesisSettings(n=8)
    made = synthesize(
        draw_from_teacher(questions), prompts, tmp_path / "set.jsonl", settings=settings, judge=FamilyJudge(questions)
    )
    assert made.counts["wrong"] == made.counts["empty"] == made.counts["cut off"] == 0
    assert made.counts["kept"] + made.counts["duplicate"] == 48
    assert [record.prompt for record in made.records] == prompts
    for record, question in zip(made.records, questions, strict=True):
        assert all(family(name).valid(question, answer) for answer in record.responses)


def test_the_judge_says_why_a_program_is_wrong_and_refuses_strangers():
    questions = family("programs").questions(20, rng=np.random.default_rng(0))
    judge = FamilyJudge(questions)
    for question in questions:
        wrong = judge(question.text, "def f(x): return 999")
        assert not wrong.ok
        assert "expected" in wrong.detail or "takes" in wrong.detail
    assert judge(questions[0].text, "import os").detail == "Import is not allowed"
    with pytest.raises(ValueError, match="none of the 20 questions"):
        judge("Sing.", "la")
    with pytest.raises(ValueError, match="2 questions have 1 different texts"):
        FamilyJudge([questions[0], questions[0]])


FEW = SynthesisSettings(n=6, temperature=0.8, top_p=0.9, max_new_tokens=4, seed=5)


def test_a_model_draws_by_seed_and_place_alone_and_its_cuts_are_seen(tiny):
    model, tokenizer = tiny
    source = draw_from_model(model, tokenizer, name="tiny")
    one = source.draw("Name a fruit.", 7, FEW)
    assert one == source.draw("Name a fruit.", 7, FEW)
    assert one != source.draw("Name a fruit.", 8, FEW)
    stops = end_tokens(model, tokenizer)
    certain = SynthesisSettings(n=1, temperature=0.0, max_new_tokens=4)
    [[greedy]] = sample_ids(
        model, tokenizer, ["Name a fruit."], n=1, seed=0, sampler=Sampler(temperature=0), max_new_tokens=4
    )
    assert source.draw("Name a fruit.", 0, certain)[0].finished == (greedy[-1] in stops)


def test_an_answer_that_ends_at_the_limit_is_finished_and_one_token_less_cuts_it(tiny, monkeypatch):
    model, tokenizer = tiny
    stop = end_tokens(model, tokenizer)[0]
    word = tokenizer("plum", add_special_tokens=False)["input_ids"][0]
    monkeypatch.setattr("mrtlab.spa.sources.sample_ids", lambda *args, **kwargs: [[[word, stop], [word, word]]])
    drawn = draw_from_model(model, tokenizer, name="tiny").draw("Name a fruit.", 0, FEW)
    assert [one.finished for one in drawn] == [True, False]
    assert [one.verdict for one in sift("?", drawn, settings=FEW)] == ["kept", "cut off"]


def test_a_model_with_another_adapter_is_another_source(tiny_folder):
    from mrtlab.lm.models import load_model

    abouts = [draw_from_model(*load_model(str(tiny_folder), device="cpu"), name="tiny").about]
    for seed in (0, 1):
        model, tokenizer = load_model(str(tiny_folder), device="cpu")
        abouts.append(draw_from_model(with_adapter(model, rank=1, seed=seed), tokenizer, name="tiny").about)
    assert len({about["adapter"] for about in abouts}) == 3
    assert abouts[1]["weights"] == abouts[2]["weights"]


def test_a_model_s_set_ends_the_same_after_a_stop(tiny, tmp_path):
    source = draw_from_model(*tiny, name="tiny")
    prompts = ["Name a fruit.", "Pick a number.", "Name a fruit."]
    whole = synthesize(source, prompts, tmp_path / "whole.jsonl", settings=FEW)
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "part.jsonl").write_bytes(b"".join(lines[:2]))
    assert synthesize(source, prompts, tmp_path / "part.jsonl", settings=FEW) == whole
