"""The sketch keeps traces, and measured variances equal those of exact gradients, of a mean and of a ratio."""

import numpy as np
import pytest
import small
import torch
from jaxtyping import TypeCheckError
from torch import nn

from mrtlab.data.records import Record
from mrtlab.lm import plain_logprob
from mrtlab.lm.encode import encode
from mrtlab.theory import estimate_components, variance
from mrtlab.training.sketch import Sketch
from mrtlab.training.variances import Measured, measure_responses, measure_variances

FEATURES = 4096


def exact(model, tokenizer, records):
    """By the definition: one plain pass for each response, the gradient of every weight in double precision."""
    model = model.double()
    table = []
    for record in records:
        encoded = encode(tokenizer, record.prompt, record.responses)
        rows = []
        for ids in encoded.answer_ids:
            model.zero_grad()
            nll = -plain_logprob(model, encoded.prompt_ids, ids)
            nll.backward()
            rows.append(
                (float(nll.detach()), len(ids), torch.cat([p.grad.flatten() for p in model.parameters()]).numpy())
            )
        table.append(rows)
    return table


@pytest.fixture(scope="module")
def records():
    """Eight prompts, two to four responses."""
    return [record.keep(range(2 + i % 3)) for i, record in enumerate(small.records(8, 4))]


@pytest.fixture(scope="module")
def measured(records):
    return measure_responses(small.model(), small.tokenizer(), records, features=FEATURES)


@pytest.fixture(scope="module")
def truth(records):
    return exact(small.model(), small.tokenizer(), records)


class TestSketch:
    def test_squared_lengths_are_right_on_average_and_vary_as_stated(self):
        d, n = 16, 2000
        rng = np.random.default_rng(0)
        g = rng.normal(size=50) * np.exp(rng.normal(size=50))  # a few numbers carry most of the length
        weight = nn.Parameter(torch.zeros(5, 10))
        gradient = [torch.tensor(g.reshape(5, 10), dtype=torch.float32)]
        squares = np.array([(Sketch.draw([weight], features=d, seed=seed)(gradient) ** 2).sum() for seed in range(n)])
        length = (g**2).sum()
        spread = 2 / d * (length**2 - (g**4).sum())
        assert abs(squares.mean() - length) < 4 * np.sqrt(spread / n)
        assert squares.var() == pytest.approx(spread, rel=0.25)  # seeds are fixed; the tails are those of a square

    def test_it_is_linear_and_depends_on_the_seed_alone(self):
        parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))]
        a, b = ([torch.randn(3), torch.randn(2, 2)] for _ in range(2))
        sketch, again, other = (Sketch.draw(parameters, features=8, seed=seed) for seed in (1, 1, 2))
        both = [x + 2 * y for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(sketch(both), sketch(a) + 2 * sketch(b), atol=1e-5)
        np.testing.assert_array_equal(sketch(a), again(a))
        assert not np.allclose(sketch(a), other(a))
        np.testing.assert_array_equal(sketch([a[0], None]), sketch([a[0], torch.zeros(2, 2)]))

    def test_what_cannot_be_drawn(self):
        with pytest.raises(ValueError, match="no parameters"):
            Sketch.draw([], features=8, seed=0)
        with pytest.raises(ValueError, match="features must be 1"):
            Sketch.draw([nn.Parameter(torch.zeros(1))], features=0, seed=0)


class TestAgainstTheDefinition:
    def test_losses_and_lengths(self, measured, truth):
        for nll, tokens, rows in zip(measured.nll, measured.tokens, truth, strict=True):
            np.testing.assert_allclose(nll, [row[0] for row in rows], rtol=1e-5)
            assert tokens.tolist() == [row[1] for row in rows]

    def test_the_sketched_gradient_is_the_sketch_of_the_gradient(self, measured, truth):
        model = small.model()
        sketch = Sketch.draw(list(model.parameters()), features=FEATURES, seed=0)
        sizes = [p.numel() for p in model.parameters()]
        for sketched, rows in zip(measured.gradients, truth, strict=True):
            for found, (_, _, gradient) in zip(sketched, rows, strict=True):
                expected = sketch(torch.as_tensor(gradient).split(sizes))
                np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())

    @pytest.mark.parametrize("normalisation", ["token", "response", "prompt"])
    def test_variances_of_loss_and_gradient(self, measured, truth, normalisation):
        """The loss's to round-off, the gradient's within four standard errors of the sketch."""
        found = measured.variances(normalisation)
        if normalisation == "response":
            losses = [[nll / n for nll, n, _ in rows] for rows in truth]
            gradients = [np.array([g / n for _, n, g in rows]) for rows in truth]
        elif normalisation == "prompt":
            losses = [[nll for nll, _, _ in rows] for rows in truth]
            gradients = [np.array([g for _, _, g in rows]) for rows in truth]
        else:  # by hand: nats and gradient of a token, weighing every prompt alike

            def mean(what):
                return np.mean([np.mean([what(row) for row in rows], axis=0) for rows in truth], axis=0)

            length, nll, gradient = mean(lambda r: r[1]), mean(lambda r: r[0]), mean(lambda r: r[2])
            m, g = nll / length, gradient / length
            losses = [[m + (r[0] - m * r[1]) / length for r in rows] for rows in truth]
            gradients = [np.array([(r[2] - g * r[1]) / length for r in rows]) for rows in truth]
        loss, by_hand = estimate_components(losses), estimate_components(gradients)
        assert found.loss.components.prompt == pytest.approx(loss.components.prompt, rel=1e-3)
        assert found.loss.components.response == pytest.approx(loss.components.response, rel=1e-3)
        error = np.sqrt(2 / FEATURES)
        total = by_hand.components.total
        assert found.gradient.components.response == pytest.approx(by_hand.components.response, rel=4 * error)
        assert found.gradient.components.prompt == pytest.approx(by_hand.components.prompt, abs=4 * error * total)

    def test_means_of_tokens(self, measured, truth, records):
        found = measured.variances()
        prompts = [len(encode(small.tokenizer(), r.prompt, r.responses).prompt_ids) for r in records]
        assert found.prompt_tokens == pytest.approx(np.mean(prompts))
        assert found.response_tokens == pytest.approx(np.mean([np.mean([row[1] for row in rows]) for rows in truth]))

    def test_the_token_normalisation_foretells_the_spread_of_the_trainers_ratio(self):
        """Σ L/Σ n of many batches drawn from a table, against the law with the variances of `losses("token")`."""
        rng = np.random.default_rng(0)
        n_pool, k_pool, n_prompts, k, draws = 400, 200, 64, 2, 4000
        tokens = rng.integers(1, 9, size=(n_pool, 1)) + rng.integers(1, 9, size=(n_pool, k_pool))
        nll = tokens * (2 + 0.2 * rng.normal(size=(n_pool, 1))) + rng.normal(size=(n_pool, k_pool))
        rows = [np.zeros((k_pool, 1))] * n_pool
        lengths = [row.astype(float) for row in tokens]
        table = Measured([str(i) for i in range(n_pool)], np.ones(n_pool), list(nll), lengths, rows, "none", 1)
        known = estimate_components(table.losses("token")).components
        prompt = rng.integers(n_pool, size=(draws, n_prompts, 1))
        which = rng.integers(k_pool, size=(draws, n_prompts, k))
        ratio = nll[prompt, which].sum(axis=(1, 2)) / tokens[prompt, which].sum(axis=(1, 2))
        assert ratio.var() == pytest.approx(variance(known, n_prompts, k), rel=0.1)
        plain = estimate_components([row / tokens.mean() for row in nll]).components
        assert variance(plain, n_prompts, k) > 2 * ratio.var()  # taking sums for losses would be far off


class TestHowItIsMeasured:
    def test_the_model_is_left_as_it_was(self, records):
        model = small.model()
        model.train()
        model.lm_head.weight.requires_grad_(False)
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        state = torch.random.get_rng_state()
        for weights in ("all", "lora"):
            measure_responses(model, small.tokenizer(), records[:2], weights=weights, features=8)
            assert model.training
            assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["lm_head.weight"]
            assert {name: weight.shape for name, weight in model.state_dict().items()} == {
                name: weight.shape for name, weight in before.items()
            }
            assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
            assert all(p.grad is None for p in model.parameters())
            assert torch.equal(torch.random.get_rng_state(), state)

    def test_an_adapters_gradient_is_what_its_first_step_feels(self, records):
        """Of B; every A has none. Against peft by hand."""
        from mrtlab.training.adapter import second_factors, with_adapter

        found = measure_responses(small.model(), small.tokenizer(), records[:2], weights="lora", features=FEATURES)
        wrapped = with_adapter(small.model(), rank=16, seed=0).eval()
        encoded = encode(small.tokenizer(), records[0].prompt, records[0].responses)
        (-plain_logprob(wrapped, encoded.prompt_ids, encoded.answer_ids[0])).backward()
        own = second_factors(wrapped)
        others = [p for p in wrapped.parameters() if p.requires_grad and all(p is not q for q in own)]
        assert others
        assert all(not p.grad.any() for p in others)
        assert found.n_weights == sum(p.numel() for p in own)
        expected = Sketch.draw(own, features=FEATURES, seed=0)([p.grad for p in own])
        np.testing.assert_allclose(found.gradients[0][0], expected, atol=1e-5 * np.abs(expected).max())

    def test_an_adapter_that_is_there_is_measured_as_it_is(self, records):
        from mrtlab.training.adapter import second_factors, with_adapter

        wrapped = with_adapter(small.model(), rank=2, seed=0)
        for weight in second_factors(wrapped):
            weight.data.fill_(0.1)
        found = measure_responses(wrapped, small.tokenizer(), records[:2], weights="lora", features=8)
        assert found.weights == "all trainable weights of its adapter"
        assert found.n_weights == sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
        assert hasattr(wrapped, "peft_config")

    def test_half_precision(self, records):
        """Of gradients of bfloat16, with its three digits."""
        found = measure_responses(small.model().bfloat16(), small.tokenizer(), records, features=FEATURES)
        full = measure_responses(small.model(), small.tokenizer(), records, features=FEATURES)
        for one, other in zip(found.gradients, full.gradients, strict=True):
            assert np.linalg.norm(one - other) < 0.03 * np.linalg.norm(other)

    def test_large_models_are_measured_by_an_adapter(self, records, monkeypatch):
        from mrtlab.training import variances

        monkeypatch.setattr(variances, "_MOST", 1000)
        assert "adapter" in measure_responses(small.model(), small.tokenizer(), records[:2], features=8).weights

    def test_a_repeated_response_counts_twice_and_is_run_once(self, monkeypatch):
        from mrtlab.training import variances

        calls = []
        scored = variances.leaf_logprobs
        monkeypatch.setattr(variances, "leaf_logprobs", lambda *args: calls.append(1) or scored(*args))
        some = [Record.of("Name a fruit.", ["fig", "fig", "plum"]), Record.of("Another fruit.", ["kiwi", "kiwi"])]
        found = measure_responses(small.model(), small.tokenizer(), some, features=8)
        assert len(calls) == 3
        assert found.nll[0][0] == found.nll[0][1] != found.nll[0][2]
        np.testing.assert_array_equal(found.gradients[0][0], found.gradients[0][1])

    def test_caps_are_drawn_by_seed_and_said(self):
        def prompts(seed):
            found = measure_responses(
                small.model(), small.tokenizer(), small.records(12, 4), features=8, max_prompts=3, max_responses=2,
                seed=seed,
            )  # fmt: skip
            assert [len(row) for row in found.nll] == [2, 2, 2]
            assert found.notes[0] == "3 of 12 prompts were drawn at random and measured."
            return found.prompts

        assert prompts(1) == prompts(1) != prompts(2)

    def test_progress(self, records):
        seen = []
        measure_responses(small.model(), small.tokenizer(), records[:2], features=8, report=lambda *n: seen.append(n))
        assert seen == [(i, 5) for i in range(1, 6)]

    def test_what_does_not_fit_is_left_out_and_said(self, records):
        model = small.model()
        model.config.max_position_embeddings = 30
        long = Record.of("Name a fruit. " * 40, ["fig", "plum"])
        found = measure_responses(model, small.tokenizer(), [*records[:2], long], features=8)
        assert len(found.prompts) == 2
        assert "left out: 2, and with them 1 prompts" in found.notes[0]
        with pytest.raises(ValueError, match="at least 2 prompts"):
            measure_responses(model, small.tokenizer(), [records[0], long], features=8)


@pytest.mark.parametrize(
    ("records", "options", "message"),
    [
        ([], {}, "at least 2 prompts"),
        (small.records(1, 3), {}, "at least 2 prompts"),
        (small.records(3, 1), {}, "every prompt has one response"),
        (small.records(3, 2), {"max_responses": 1}, "2 responses at least"),
        (small.records(3, 2), {"weights": "some"}, "weights"),
        (small.records(3, 2), {"normalisation": "none"}, "normalisation"),
    ],
)
def test_what_cannot_be_measured(records, options, message):
    with pytest.raises((ValueError, TypeCheckError), match=message):  # the tests' type checker is first with a Literal
        measure_variances(small.model(), small.tokenizer(), records, features=8, **options)


def test_a_frozen_model_and_a_broken_one():
    model = small.model().requires_grad_(False)
    with pytest.raises(ValueError, match="no weight of the model is trainable"):
        measure_variances(model, small.tokenizer(), small.records(3, 2), features=8)
    model.requires_grad_(True).lm_head.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"'Name fruit 0\.' holds .*not a finite number"):
        measure_variances(model, small.tokenizer(), small.records(3, 2), features=8)
