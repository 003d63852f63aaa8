"""Exact laws of decoding rules, against plain scores, draws and a rule by hand."""

import numpy as np
import pytest
import torch

from mrtlab.lm.encode import encode
from mrtlab.lm.reshaped import decoded_logprobs
from mrtlab.lm.sampling import Sampler, sample_ids
from mrtlab.lm.scoring import leaf_logprobs
from mrtlab.lm.tree import TokenTree

ANSWERS = ("kiwi", "a kiwi", "fig", "plum")


@pytest.fixture(scope="module")
def tree(tiny):
    encoded = encode(tiny[1], "Name a fruit.", ANSWERS)
    return TokenTree.build(encoded.prompt_ids, encoded.answer_ids)


def test_the_models_own_law_is_what_scoring_gives(tiny, tree):
    plain = leaf_logprobs(tiny[0], [tree])[0].detach().numpy()
    assert decoded_logprobs(tiny[0], [tree], [Sampler()], rows=3)[0][0] == pytest.approx(plain, abs=1e-4)


def test_every_place_is_normalised_by_itself(tiny, tree):
    """Token by token, with the law at temperature 3 written out."""
    found = decoded_logprobs(tiny[0], [tree], [Sampler(temperature=3.0)])[0][0]
    for answer, logp in zip(tree.answers(), found, strict=True):
        ids = torch.tensor([[*tree.prompt.tolist(), *answer]])
        with torch.no_grad():
            law = (tiny[0](input_ids=ids).logits[0] / 3).log_softmax(-1)
        by_hand = sum(float(law[len(tree.prompt) - 1 + t, token]) for t, token in enumerate(answer))
        assert logp == pytest.approx(by_hand, abs=1e-4)


def test_a_very_hot_law_is_uniform_over_tokens_and_a_cold_one_says_one_thing(tiny, tree):
    hot, cold = decoded_logprobs(tiny[0], [tree], [Sampler(temperature=1e6), Sampler(temperature=0)])[0]
    lengths = np.array([len(answer) for answer in tree.answers()])
    assert hot == pytest.approx(-lengths * np.log(tiny[0].config.vocab_size), rel=1e-3)
    assert set(np.exp(cold)) <= {0.0, 1.0}


def test_draws_come_as_often_as_the_law_says(tiny):
    tokenizer = tiny[1]
    n, sampler = 4000, Sampler(top_k=2, temperature=2.0)
    drawn = sample_ids(tiny[0], tokenizer, ["Name a fruit."], n=n, seed=0, sampler=sampler, max_new_tokens=3)[0]
    texts, counts = np.unique([str(ids[:3]) for ids in drawn], return_counts=True)
    answers = {str(ids[:3]): ids[:3] for ids in drawn}
    tree = TokenTree.build(encode(tokenizer, "Name a fruit.", ["a"]).prompt_ids, [answers[text] for text in texts])
    p = np.exp(decoded_logprobs(tiny[0], [tree], [sampler])[0][0])
    assert p.sum() == pytest.approx(1, abs=0.02)  # with two tokens a place, all beginnings are met
    assert np.abs(counts / n - p).max() < 5 * 0.5 / np.sqrt(n)
