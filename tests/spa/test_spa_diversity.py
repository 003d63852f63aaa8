"""Right and varied: the measures by hand, and how far adapters are from each other against a loop that switches."""

from itertools import combinations

import numpy as np
import pytest
import torch
from peft import LoraConfig
from spa_small import adapted, examples, stirred

from mrtlab.spa.diversity import Judged, adapter_kl, judge_answers, summarise, symmetric_kl
from mrtlab.spa.kin import kinds
from mrtlab.theory.metrics import pair_share, unique_share

DOUBLE = ["def f(x): return x + x", "def f(x): return x+x", "def f(x): return 2 * x", "def f(x): return x * x"]


def test_pair_share_is_the_share_of_pairs_that_differ():
    rng = np.random.default_rng(0)
    for n in (2, 3, 8, 20):
        answers = rng.integers(4, size=n).tolist()
        assert pair_share(answers) == pytest.approx(np.mean([a != b for a, b in combinations(answers, 2)]))
    with pytest.raises(ValueError, match="at least two"):
        pair_share(["a"])


def test_the_two_readings_of_diversity_differ_as_the_sheet_says():
    odd, halves = ["a"] * 7 + ["b"], ["a"] * 4 + ["b"] * 4
    assert unique_share(odd) == unique_share(halves) == 2 / 8
    assert pair_share(odd) == 0.25
    assert pair_share(halves) == pytest.approx(4 / 7)


def test_judged_programs_by_hand():
    judged = judge_answers(DOUBLE, [True, True, True, False], ks=(2, 4), kind=kinds)
    assert judged.pass_at == pytest.approx({1: 3 / 4, 2: 1, 4: 1})
    assert judged.unique_share == 1
    assert judged.pair_share == 1
    assert judged.distinct_right == 3
    assert judged.kinds == pytest.approx(np.exp(1.5 * np.log(2)))  # shares ½, ¼, ¼
    assert judged.right_kinds == pytest.approx(3 / 4 ** (1 / 3))  # shares ⅔, ⅓
    assert 1 < judged.vendi < 4
    assert list(judged.numbers)[:3] == ["pass@1", "pass@2", "pass@4"]


def test_pass_at_k_is_the_mean_over_all_subsets():
    passed = [True, False, False, True, False]
    found = judge_answers(list("abcde"), passed, ks=(3,)).pass_at[3]
    assert found == pytest.approx(np.mean([any(some) for some in combinations(passed, 3)]))


def test_vendi_of_the_same_and_of_strangers():
    assert judge_answers(["a b"] * 3, [True] * 3).vendi == pytest.approx(1)
    assert judge_answers(["a b", "c d", "e f"], [True] * 3).vendi == pytest.approx(3)


def test_nothing_right_is_no_error():
    judged = judge_answers(["a", "b"], [False, False], kind=kinds)
    assert (judged.right, judged.pass_at[1], judged.distinct_right, judged.right_kinds) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("answers", "passed", "ks", "message"),
    [
        (["a"], [True], (1,), "at least two"),
        (["a", "b"], [True], (1,), "2 answers and 1 verdicts"),
        (["a", "b"], [True, True], (3,), "k=3, n=2"),
    ],
)
def test_judging_refuses(answers, passed, ks, message):
    with pytest.raises(ValueError, match=message):
        judge_answers(answers, passed, ks=ks)


def some_prompts(n: int) -> list[Judged]:
    rng = np.random.default_rng(1)
    return [
        judge_answers(rng.choice(list("abc"), 8).tolist(), (rng.random(8) < 0.4).tolist(), ks=(5,)) for _ in range(n)
    ]


def test_summary_is_the_mean_over_prompts_and_its_interval_narrows():
    few, many = some_prompts(20), some_prompts(400)
    scores = summarise(few, seed=0)
    assert (scores.prompts, scores.answers) == (20, 8)
    for name, (mean, low, high) in scores.numbers.items():
        assert mean == pytest.approx(np.mean([judged.numbers[name] for judged in few]))
        assert low < mean < high
        wide = summarise(many, seed=0).numbers[name]
        assert wide[2] - wide[1] < 0.5 * (high - low)
    assert summarise(few, seed=0) == scores


def test_summary_refuses_what_does_not_fit_together():
    with pytest.raises(ValueError, match="no prompts"):
        summarise([], seed=0)
    with pytest.raises(ValueError, match="different measures"):
        summarise([*some_prompts(1), judge_answers(["a", "b"], [True, True])], seed=0)


@pytest.fixture(scope="module")
def three():
    """Three adapters of different ranks, places and weights."""
    model = adapted(rank=2, seed=0)
    for seed, name in enumerate(("other", "third"), start=1):
        model.add_adapter(name, LoraConfig(r=seed + 1, target_modules=["q_proj", "v_proj", "down_proj"][seed - 1 :]))
        model.set_adapter(name)
        stirred(model, seed=seed, size=0.3)
    return model


def switching(model, some, adapters):
    """One adapter at a time, one example at a time, the whole table of laws kept."""
    laws = []
    model.eval()
    for name in adapters:
        model.set_adapter(name)
        rows = []
        with torch.no_grad():
            for e in some:
                logits = model(input_ids=torch.tensor([[*e.prompt_ids, *e.answer_ids]])).logits[0].double()
                rows.append(logits[len(e.prompt_ids) - 1 : -1].log_softmax(-1))
        laws.append(torch.cat(rows))
    return np.array([[float((p.exp() * (p - q)).sum(-1).mean()) for q in laws] for p in laws])


def test_kl_equals_a_loop_that_switches_adapters(three):
    some = examples(9, seed=3)
    names = ["default", "other", "third"]
    expected = switching(three, some, names)
    assert expected[~np.eye(3, dtype=bool)].min() > 0.01
    for max_tokens in (4096, 20):
        found = adapter_kl(three, some, adapters=names, max_tokens=max_tokens)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_kl_is_not_symmetric_and_zero_for_equal_adapters(three):
    found = adapter_kl(three, examples(9, seed=3), adapters=["default", "other", "default"])
    assert abs(found[0, 1] - found[1, 0]) > 1e-3
    assert abs(found[0, 2]) < 1e-7
    assert np.all(np.diag(found) == 0)
    assert found[0, 1] == pytest.approx(found[2, 1], rel=1e-4)
    assert symmetric_kl(found) == pytest.approx((found[0, 1] + found[1, 0] + found[1, 2] + found[2, 1]) / 6, rel=1e-4)


def test_kl_leaves_the_model_as_it_was(three):
    three.train()
    three.set_adapter("other")
    adapter_kl(three, examples(2), adapters=["default", "third"])
    assert three.training
    assert three.active_adapter == "other"
    three.eval()


def test_kl_refuses(three):
    with pytest.raises(ValueError, match="no examples"):
        adapter_kl(three, [], adapters=["default"])
    with pytest.raises(ValueError, match="at least one"):
        adapter_kl(three, examples(2), adapters=[])
    with pytest.raises(ValueError, match="no adapter 'gone'"):
        adapter_kl(three, examples(2), adapters=["default", "gone"])
    with pytest.raises(ValueError, match="two adapters"):
        symmetric_kl(np.zeros((1, 1)))
