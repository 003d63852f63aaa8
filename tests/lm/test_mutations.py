"""Mistakes that others made, made on purpose: the assertion of exactness must catch every one of them.

Each test breaks one line of the engine and expects `assert_exact`, the assertion of test_exact.py, to fail. A test
that cannot fail proves nothing; these show that it can.
"""

from functools import partial

import numpy as np
import pytest
import torch
from oracle import TOLERANCE, assert_exact, error, errors, expected, gradient, plain, strings, varied_trees
from tiny_models import build, checkpointed, model_of

from mrtlab.lm import TokenTree, backward_tokens, forms, layout, leaf_logprobs, paths, scoring, support, traits
from mrtlab.lm.tree import ROOT
from mrtlab.theory import Objective

every_form = pytest.mark.parametrize("form", ["row", "paths", "branches"])


def caught(name, score, *, trees=None, model=None):
    """The assertion of exactness fails, and not by a hair: the gradient is off by ten tolerances at least."""
    model, trees = model or model_of(name), trees or varied_trees()
    with pytest.raises(AssertionError, match=r"off$"):
        assert_exact(model, trees, score)
    assert errors(model, trees, score)[1] > 10 * TOLERANCE


def scored(form):
    return partial(leaf_logprobs, form=form)


@pytest.mark.parametrize("form", ["row", "paths", "branches"])
def test_the_engine_as_it_is_passes(form):
    for name in ("llama", "mistral", "gpt2"):
        assert_exact(model_of(name), varied_trees(), scored(form))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_positions_that_do_not_restart(name, monkeypatch):
    monkeypatch.setattr(layout, "_positions", lambda tree: np.arange(tree.n_fed))
    caught(name, scored("row"))


def test_positions_that_do_not_restart_are_caught_by_the_gradient_even_where_the_loss_hardly_moves(monkeypatch):
    """With weights as small as at the start of training, and ordinary single precision round-off."""
    model, trees = build("llama", scale=1.0), varied_trees()
    truth = expected(model, trees)
    monkeypatch.setattr(layout, "_positions", lambda tree: np.arange(tree.n_fed))
    with torch.no_grad():
        found = torch.cat(leaf_logprobs(model, trees, form="row")).double()
    assert error(found, truth[0]) < 1e-2  # looks fine on a loss curve
    caught("llama", scored("row"), model=model)


def test_an_answer_that_sees_another_in_a_row(monkeypatch):
    monkeypatch.setattr(layout, "_row_ends", lambda tree: np.full(tree.n_fed, tree.n_fed))
    caught("llama", scored("row"))


def test_a_packed_tree_that_sees_its_neighbour(monkeypatch):
    def causal(made, window=None):
        n_rows, length = made.end.shape
        return np.broadcast_to(np.tri(length, dtype=bool), (n_rows, length, length)).copy()

    monkeypatch.setattr(forms, "sees", causal)
    caught("llama", scored("row"))


def test_an_answer_that_sees_the_padding_of_its_prompt(monkeypatch):
    right = layout.branch_layout

    def padded(trees):
        made = right(trees)
        return type(made)(
            made.prompts,
            np.full_like(made.prompt_length, made.prompts.shape[1]),
            made.answers,
            made.owner,
            made.score_at,
        )

    monkeypatch.setattr(forms, "branch_layout", padded)
    caught("llama", scored("branches"))


def test_paths_that_leave_out_the_prompt_mask(monkeypatch):
    right = paths.tree_paths

    def unmasked(made, **options):
        found = right(made, **options)
        object.__setattr__(found, "prompt_mask", None)
        return found

    monkeypatch.setattr(forms, "tree_paths", unmasked)
    caught("llama", scored("paths"))


@pytest.mark.parametrize("name", ["mistral", "gemma3"])
def test_a_sliding_window_that_counts_places(name, monkeypatch):
    right = forms._window_masks

    def by_place(model, full, query, key, limits, *, longest):
        places = lambda like: torch.arange(like.shape[1]).expand(like.shape)  # noqa: E731
        return right(model, full, places(query), places(key), limits, longest=longest)

    monkeypatch.setattr(forms, "_window_masks", by_place)
    caught(name, scored("row"))
    caught(name, scored("branches"))


@every_form
def test_a_sliding_window_that_is_forgotten(form, monkeypatch):
    monkeypatch.setattr(forms, "_seen_windows", lambda model, longest: None)
    monkeypatch.setattr(support.Windows, "matter", lambda self, longest: False)
    caught("gemma3", scored(form))


@every_form
def test_the_first_token_of_an_answer_left_out(form, monkeypatch):
    right = scoring._leaves

    def without_first(tree, edges):
        later = torch.as_tensor(tree.parent != ROOT, dtype=edges.dtype)
        return right(tree, edges * later)

    monkeypatch.setattr(scoring, "_leaves", without_first)
    caught("llama", scored(form))


@every_form
def test_the_prompt_end_read_for_one_answer_only(form, monkeypatch):
    """As where a packed place can carry one label: the other answers lose their first token."""
    right = scoring._leaves

    def one_label(tree, edges):
        seen = np.zeros(tree.n_edges, dtype=bool)
        seen[np.unique(tree.parent, return_index=True)[1]] = True  # the first edge after each place
        return right(tree, edges * torch.as_tensor(seen, dtype=edges.dtype))

    monkeypatch.setattr(scoring, "_leaves", one_label)
    caught("llama", scored(form))


def test_positions_that_restart_without_a_mask(monkeypatch):
    """transformers then takes every answer for a text of its own, which cannot see the prompt."""
    monkeypatch.setattr(forms, "_row_masks", lambda model, made, limits, *, longest: None)
    caught("llama", scored("row"))


def by_cache(model, trees):
    """The prompt once, then every answer on a copy of its cache: right, unless the cache is dropped on the way."""
    found = []
    for tree in trees:
        prompt = torch.as_tensor(tree.prompt)[None]
        logp = []
        for answer in tree.answers():
            start = model(input_ids=prompt, use_cache=True)
            logits = start.logits[0, -1:]
            if len(answer) > 1:
                positions = len(tree.prompt) + torch.arange(len(answer) - 1)[None]
                rest = model(
                    input_ids=torch.tensor([answer[:-1]]), past_key_values=start.past_key_values, position_ids=positions
                )
                logits = torch.cat([logits, rest.logits[0]])
            logp.append(logits.log_softmax(dim=-1)[torch.arange(len(answer)), answer].sum())
        found.append(torch.stack(logp))
    return found


def test_a_cache_under_checkpointing():
    """transformers drops the cache, and with it the prompt, with no more than a line in the log."""
    assert_exact(model_of("llama"), varied_trees(), by_cache)
    caught("llama", by_cache, model=checkpointed(build("llama")))


def test_the_engine_cannot_lose_its_cache_in_silence(monkeypatch):
    """Even without the check for checkpointing its masks no longer fit."""
    monkeypatch.setattr(traits, "_checkpointing", lambda *_: False)
    with pytest.raises(RuntimeError, match="size"):
        leaf_logprobs(checkpointed(build("llama")), varied_trees(), form="branches")


def test_prompt_and_answer_tokenised_together():
    """Token 40 stands for the prompt's last token 10 and the answer's first 20, 30 or 31 written as one."""
    (prompt,) = strings(np.random.default_rng(0), 5)
    apart = TokenTree.build([*prompt, 10], [[20, 21], [30, 21], [31]])
    together = TokenTree.build(prompt, [[40, 21], [41, 21], [42]])
    caught("llama", lambda model, trees: leaf_logprobs(model, [together]), trees=[apart])


@every_form
def test_duplicates_counted_once(form, monkeypatch):
    right = scoring._leaves

    def once(tree, edges):
        answers = [tuple(answer) for answer in tree.answers()]
        first = [answers.index(answer) == i for i, answer in enumerate(answers)]
        return (right(tree, edges)[0] * torch.tensor(first, dtype=edges.dtype),)

    monkeypatch.setattr(scoring, "_leaves", once)
    caught("llama", scored(form))


def test_a_softcap_left_out(monkeypatch):
    monkeypatch.setattr(paths, "_capped", lambda scores, softcap: scores)
    caught("gemma2", scored("paths"))


def test_logits_read_one_place_late(monkeypatch):
    right = layout._before
    monkeypatch.setattr(layout, "_before", lambda tree: np.minimum(right(tree) + 1, tree.n_fed - 1))
    caught("llama", scored("row"))


def test_the_mean_over_tokens_is_not_the_mean_over_answers():
    """Loss normalisation: the two differ as soon as answers differ in length."""
    model, trees = model_of("llama"), varied_trees()[:2]

    def gradients(rule):
        model.zero_grad()
        backward_tokens(model, trees, rule)
        return gradient(model)

    def over_answers(logp, real):
        weight = real / real.sum(dim=1, keepdim=True) / len(real)
        return Objective(-(weight * logp).sum(), weight)

    def over_tokens(logp, real):
        weight = real / real.sum()
        return Objective(-(weight * logp).sum(), weight)

    model.zero_grad()
    for tree in trees:
        lengths = torch.tensor([len(answer) for answer in tree.answers()])
        (-(plain(model, tree) / lengths).mean()).backward()
    truth = gradient(model)
    assert error(gradients(over_answers), truth) <= TOLERANCE
    assert error(gradients(over_tokens), truth) > 1e-2
