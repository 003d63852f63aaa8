"""Measures of a model against its targets, spellings pooled, and targets mixed with the base model's own law."""

from dataclasses import replace

import numpy as np
import pytest
import small
from scipy.special import logsumexp
from test_diffuse import target_set

from mrtlab.data.targets import Target, uniform
from mrtlab.lm import plain_logprob
from mrtlab.lm.encode import closing_ids, encode
from mrtlab.training.aimed import aim, count, sort_answers, tokenisations
from mrtlab.training.mixing import mix


class TestMeasures:
    def test_validity_and_shape_add_up(self):
        for one in aim(small.model(), small.tokenizer(), target_set()):
            assert one.kl == pytest.approx(one.validity_kl + one.shape_kl)
            assert one.mass == pytest.approx(np.exp(one.trained).sum())
            assert one.tv == pytest.approx(0.5 * (np.abs(one.p - one.target.law).sum() + 1 - one.mass), abs=1e-9)

    def test_spellings_are_pooled(self):
        plain = Target.of("Name fruit 1.", ["plum", "fig"])
        wide = replace(plain, variants=(("kiwi", "date"), ()))
        apart = aim(small.model(), small.tokenizer(), [Target.of(plain.prompt, ["plum", "fig", "kiwi", "date"])])[0]
        found = aim(small.model(), small.tokenizer(), [wide])[0]
        assert found.logp == pytest.approx([logsumexp(apart.logp[[0, 2, 3]]), apart.logp[1]])
        assert found.trained == pytest.approx(apart.logp[:2])

    def test_other_tokenisations_are_other_ways_to_write_the_same_text(self):
        tokenizer, model = small.tokenizer(), small.model()
        target = Target.of("Name fruit 1.", ["a green apple", "fig"])
        encoded = encode(tokenizer, target.prompt, target.answers, end=False)
        extra, end = [], closing_ids(tokenizer)
        for ids in encoded.answer_ids:
            others = tokenisations(tokenizer, ids, limit=3)
            assert others
            assert ids not in others
            assert {tokenizer.decode(other) for other in others} == {tokenizer.decode(ids)}
            extra.append([float(plain_logprob(model, encoded.prompt_ids, o + end).detach()) for o in others])
        plain = aim(model, tokenizer, [target])[0]
        found = aim(model, tokenizer, [target], other_tokens=3)[0]
        wanted = [logsumexp([logp, *more]) for logp, more in zip(plain.logp, extra, strict=True)]
        assert found.logp == pytest.approx(wanted, abs=1e-5)

    def test_draws_are_counted_and_perfect_ones_have_no_excess(self):
        target = uniform("?", [str(i) for i in range(10)])
        rng = np.random.default_rng(0)
        draws = [sort_answers(target, rng.choice(target.answers, size=200).tolist()).numbers() for _ in range(300)]
        assert np.mean([d["excess_tv"] for d in draws]) == pytest.approx(0, abs=0.005)
        assert np.mean([d["entropy"] for d in draws]) == pytest.approx(np.log(10), abs=0.002)
        none = sort_answers(target, ["x", "x", "y"])
        assert none.numbers() == {"n": 3, "valid": 0, "excess_tv": pytest.approx(none.numbers()["excess_tv"]),
                                  "entropy": 0, "coverage": 0}  # fmt: skip
        assert none.off == ("x", "y")

    def test_without_ends_a_draw_counts_as_what_it_begins_with(self):
        names = Target.of("?", ["Ann", "Bob"], end=False)
        assert sort_answers(names, ["Ann lives here", "Bob", "Cy"]).counts.tolist() == [1, 1, 1]

    def test_a_model_is_asked(self):
        found = count(small.model(), small.tokenizer(), target_set(), n=7, seed=0, max_new_tokens=4)
        assert [one.n for one in found] == [7, 7]


class TestMixing:
    def test_on_listed_answers_it_is_a_mean_of_two_laws(self):
        model, tokenizer = small.model(), small.tokenizer()
        (found,) = mix(model, tokenizer, target_set()[:1], share=0.3, draws=5, seed=0)
        base = aim(model, tokenizer, target_set()[:1])[0].shape
        assert found.law == pytest.approx(0.7 / 5 + 0.3 * base)

    def test_valid_draws_off_the_list_get_a_share(self):
        target = replace(target_set()[0], valid=r"[^q]+", variants=(("Plum",), (), (), (), ()))
        (found,) = mix(small.model(), small.tokenizer(), [target], share=0.3, draws=20, seed=0, max_new_tokens=3)
        new = found.answers[5:]
        assert found.answers[:5] == target.answers
        assert len(new) > 3
        assert all("q" not in text for text in new)
        assert list(found.law[5:]) == sorted(found.law[5:], reverse=True)
        assert found.law.sum() == pytest.approx(1)
        assert found.law[:5].sum() >= 0.7
        assert len(found.variants) == len(found.answers)
        kept = replace(target, valid="none of them")
        (same,) = mix(small.model(), small.tokenizer(), [kept], share=0.3, draws=20, seed=0, max_new_tokens=3)
        assert same.answers == target.answers

    def test_nothing_is_mixed_at_share_zero_and_one_is_refused(self):
        assert mix(None, None, target_set(), share=0.0, draws=1, seed=0) == target_set()
        with pytest.raises(ValueError, match="mix must be 0 or more and below 1"):
            mix(None, None, target_set(), share=1.0, draws=1, seed=0)
