"""Exact log-probabilities of many answers, and their gradients, for the price of little more than one."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from mrtlab.lm.cost import costs
from mrtlab.lm.encode import Prompt, encode
from mrtlab.lm.forms import FORMS
from mrtlab.lm.paths import path_attention
from mrtlab.lm.pieces import Part, cut
from mrtlab.lm.support import active_dropout, check_length
from mrtlab.lm.traits import Traits, traits_of
from mrtlab.lm.tree import TokenTree
from mrtlab.theory.signed_weights import Objective

# A leading underscore: many trees in one call have many sizes, so the names only tell, they do not bind.
EdgeLogProbs = Float[torch.Tensor, "_E"]
LeafLogProbs = Float[torch.Tensor, "_M"]
TokenLogProbs = Float[torch.Tensor, "_M _R"]
Rule = Callable[[LeafLogProbs], Objective]
TokenRule = Callable[[TokenLogProbs, Bool[torch.Tensor, "_M _R"]], Objective]
Weights = Any  # (M,) numbers
View = Callable[[TokenTree, EdgeLogProbs], tuple[torch.Tensor, ...]]


def leaf_logprobs(
    model: nn.Module, trees: Sequence[TokenTree], *, form: str = "auto", max_tokens: int | None = None
) -> list[LeafLogProbs]:
    """log p(answer | prompt) of every input answer: the sum of its tokens' log-probabilities. Differentiable.

    Args:
        model: a causal language model of transformers, peft-wrapped or not.
        trees: prompts with their answers.
        form: "row", "paths" or "branches" (see `mrtlab.lm.forms`); "auto" takes the cheapest by `costs`.
        max_tokens: tokens that pass through the model at once. Bounds the memory of scoring without a gradient; a
            tree that is larger is cut into parts, each with the prompt.

    Returns:
        one tensor of shape (M,) per tree, nats: an entry for each input answer, duplicates included.

    Raises:
        ValueError: the model cannot run trees, an answer is too long, or the form is unknown.
    """
    edges = token_logprobs(model, trees, form=form, max_tokens=max_tokens)
    return [_leaves(tree, logp)[0] for tree, logp in zip(trees, edges, strict=True)]


def token_logprobs(
    model: nn.Module, trees: Sequence[TokenTree], *, form: str = "auto", max_tokens: int | None = None
) -> list[EdgeLogProbs]:
    """log p(token | prompt, answer so far) of every token edge, first tokens included. Differentiable.

    Arguments and errors as `leaf_logprobs`.

    Returns:
        one tensor of shape (E,) per tree, nats, in the order of the tree's edges; `answer_tokens` lays them out
        answer by answer.
    """
    traits = _checked(model, trees, form)
    found: list[list[tuple[Part, EdgeLogProbs]]] = [[] for _ in trees]
    recomputes = traits.checkpointing and torch.is_grad_enabled()
    for piece in cut(trees, max_tokens=max_tokens, form="row" if form == "auto" else form):
        chosen = _form(model, piece, form, traits, max_tokens=max_tokens, paths_kept=not recomputes)
        for part, logp in zip(piece, _run(model, piece, chosen, traits), strict=True):
            found[part.index].append((part, logp))
    return [_joined(tree, parts) for tree, parts in zip(trees, found, strict=True)]


def answer_tokens(tree: TokenTree, edge_logp: EdgeLogProbs) -> tuple[TokenLogProbs, Bool[torch.Tensor, "_M _R"]]:
    """Token log-probabilities answer by answer, padded with 0, and which of them are real."""
    lengths = torch.as_tensor(np.diff(tree.offset), device=edge_logp.device)
    real = torch.arange(int(lengths.max()), device=edge_logp.device) < lengths[:, None]
    table = edge_logp.new_zeros(real.shape)
    return table.masked_scatter(real, edge_logp[torch.as_tensor(tree.path, device=edge_logp.device)]), real


def backward(
    model: nn.Module,
    trees: Sequence[TokenTree],
    objective: Rule | Sequence[Rule | Weights],
    *,
    max_tokens: int | None = None,
    form: str = "auto",
) -> Float[torch.Tensor, "_T"]:
    """Add the gradient of Σ over trees of their losses to the model's parameters.

    An objective turns log-probabilities into signed weights w = −∂loss/∂logp, so the gradient is that of
    −Σ w·logp with w held fixed. If the batch does not fit into `max_tokens`, it is scored without a graph first, the
    weights are computed once, and the gradient is added piece by piece: equal to the one-pass form, in bounded memory.

    Args:
        model: as `leaf_logprobs`.
        trees: prompts with their answers.
        objective: a rule for all trees, as in `mrtlab.theory.objectives`, called with a tree's (M,) log-probabilities;
            or one rule for each tree; or, where they are known beforehand as for likelihood, (M,) weights for each
            tree in place of a rule: then nothing is scored twice.
        max_tokens: tokens that pass through the model at once.
        form: as `leaf_logprobs`.

    Returns:
        (T,) the loss of each tree, detached. Sum it for the loss whose gradient was added.

    Raises:
        ValueError: as `leaf_logprobs`; a rule's weights do not fit its answers; or scoring and training would draw
            different dropout masks.

    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.theory import mle
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = LlamaForCausalLM(config)
    >>> tree = TokenTree.build([1, 2], [[3, 4], [3, 5]])
    >>> loss = backward(model, [tree], mle)
    >>> bool(torch.isclose(loss[0], -leaf_logprobs(model, [tree])[0].mean()))
    True
    """
    return _backward(model, trees, objective, _leaves, max_tokens=max_tokens, form=form)


def backward_tokens(
    model: nn.Module,
    trees: Sequence[TokenTree],
    objective: TokenRule | Sequence[TokenRule],
    *,
    max_tokens: int | None = None,
    form: str = "auto",
) -> Float[torch.Tensor, "_T"]:
    """`backward` for rules that weigh single tokens, such as PPO's clip per token.

    Args:
        objective: called with the (M, R) token log-probabilities of a tree's answers, padded with 0, and the (M, R)
            mask of real tokens, as `answer_tokens` returns them; its weights have the same shape.
        model, trees, max_tokens, form: as `backward`.

    Returns:
        (T,) the loss of each tree, detached.
    """
    if not callable(objective) and not all(callable(rule) for rule in objective):
        raise ValueError("backward_tokens takes rules, called with (M, R) token log-probabilities and their mask")
    return _backward(model, trees, objective, answer_tokens, max_tokens=max_tokens, form=form)


def answer_logprobs(
    model: nn.Module,
    tokenizer: Any,
    prompt: Prompt,
    answers: Sequence[str],
    *,
    form: str = "auto",
    max_tokens: int | None = None,
) -> LeafLogProbs:
    """log p(answer | prompt) for texts, the end of the answer included. No gradient.

    Args:
        prompt: a text, or chat messages; the tokenizer's chat template is applied where it has one.
        answers: texts, in any order.

    Returns:
        (M,) nats, on the CPU. exp of their sum is the model's mass on the listed answers if they differ.

    Raises:
        ValueError: as `leaf_logprobs` and `mrtlab.lm.encode.encode`.
    """
    encoded = encode(tokenizer, prompt, answers)
    tree = TokenTree.build(encoded.prompt_ids, encoded.answer_ids)
    with torch.no_grad():
        return leaf_logprobs(model, [tree], form=form, max_tokens=max_tokens)[0].cpu()


def self_check(model: nn.Module, trees: Sequence[TokenTree], *, form: str = "auto") -> float:
    """Largest difference, in nats, between the tree's log-probabilities and one plain pass for each answer.

    Ask it once for a model that this package has not been tested with: in single precision about 1e-5 is round-off,
    1e-2 is a mistake.
    """
    worst = 0.0
    with torch.no_grad():
        for tree, found in zip(trees, leaf_logprobs(model, trees, form=form), strict=True):
            for answer, logp in zip(tree.answers(), found.tolist(), strict=True):
                worst = max(worst, abs(logp - float(plain_logprob(model, tree.prompt.tolist(), answer))))
    return worst


def plain_logprob(model: nn.Module, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Float[torch.Tensor, ""]:
    """log p(answer | prompt) by one ordinary forward pass over the string: the definition, and the tests' oracle."""
    ids = torch.tensor([[*prompt_ids, *answer_ids]], device=model.get_input_embeddings().weight.device)
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0, len(prompt_ids) - 1 :]
    logp = (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(dim=-1)
    return logp.gather(1, ids[0, len(prompt_ids) :, None]).sum()


def _backward(
    model: nn.Module,
    trees: Sequence[TokenTree],
    objective: Any,
    view: View,
    *,
    max_tokens: int | None,
    form: str,
) -> Float[torch.Tensor, "_T"]:
    traits = _checked(model, trees, form)
    rules = [objective] * len(trees) if callable(objective) else list(objective)
    if len(rules) != len(trees):
        raise ValueError(f"objective lists {len(rules)} rules for {len(trees)} trees: expected one rule, or one each")
    pieces = list(cut(trees, max_tokens=max_tokens, form="row" if form == "auto" else form))
    losses: list[Any] = [0.0] * len(trees)
    weights: list[torch.Tensor | None] = [
        None if callable(rule) else _weights(rule, tree) for rule, tree in zip(rules, trees, strict=True)
    ]
    if len(pieces) > 1 and any(weight is None for weight in weights):
        _refuse_dropout(model)
        with torch.no_grad():
            scored = token_logprobs(model, trees, form=form, max_tokens=max_tokens)
        for i, (tree, edges) in enumerate(zip(trees, scored, strict=True)):
            if weights[i] is None:
                losses[i], weights[i] = _judged(rules[i], view(tree, edges), i)
    for piece in pieces:
        chosen = _form(model, piece, form, traits, max_tokens=max_tokens)
        with path_attention(model) if chosen == "paths" else nullcontext():
            surrogate = 0.0
            for part, edges in zip(piece, _run(model, piece, chosen, traits), strict=True):
                seen = view(part.tree, edges)
                if weights[part.index] is None:  # everything is in one piece: score, weigh, go on
                    losses[part.index], weights[part.index] = _judged(rules[part.index], seen, part.index)
                weight = weights[part.index].to(seen[0])[part.answers]
                weighted = (weight[..., : seen[0].shape[-1]] * seen[0]).sum()
                if not callable(rules[part.index]):
                    losses[part.index] = losses[part.index] - weighted.detach()
                surrogate = surrogate - weighted
            surrogate.backward()
    return torch.stack([torch.as_tensor(loss).detach().cpu() for loss in losses])


def _judged(rule: Any, seen: tuple[torch.Tensor, ...], index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A rule's loss and weights, as numbers."""
    judged = rule(*(array.detach() for array in seen))
    if not isinstance(judged, Objective) or judged.weight.shape != seen[0].shape:
        raise ValueError(
            f"the objective of tree {index} must return an Objective with weights of shape {tuple(seen[0].shape)}, "
            f"got {judged!r}"
        )
    return judged.loss, judged.weight.detach()


def _weights(values: Any, tree: TokenTree) -> torch.Tensor:
    weights = torch.as_tensor(values)
    if weights.shape != (tree.n_answers,):
        raise ValueError(f"expected {tree.n_answers} weights, one for each answer, got shape {tuple(weights.shape)}")
    return weights


def _checked(model: nn.Module, trees: Sequence[TokenTree], form: str) -> Traits:
    """What is known of the model after it was looked over for this call."""
    if not len(trees):
        raise ValueError("trees is empty: expected at least one TokenTree")
    if form not in FORMS and form != "auto":
        raise ValueError(f"unknown form {form!r}: choose from auto, {', '.join(FORMS)}")
    traits = traits_of(model)
    check_length(model, max(tree.longest for tree in trees))
    return traits


def _refuse_dropout(model: nn.Module) -> None:
    if name := active_dropout(model):
        raise ValueError(
            f"{name} is active: the weights would be computed on another network than the one they train. "
            "Set dropout to 0, or let the batch fit into max_tokens"
        )


def _form(
    model: nn.Module,
    piece: Sequence[Part],
    form: str,
    traits: Traits,
    *,
    max_tokens: int | None,
    paths_kept: bool = True,
) -> str:
    """The cheapest form that fits; "row" always does. Paths only if they are kept up while layers are recomputed."""
    if form != "auto":
        return form
    return next(
        cost.form
        for cost in costs(model, [part.tree for part in piece], traits=traits)
        if (max_tokens is None or cost.tokens <= max_tokens) and (paths_kept or cost.form != "paths")
    )


def _run(model: nn.Module, piece: Sequence[Part], form: str, traits: Traits) -> list[EdgeLogProbs]:
    trees = [part.tree for part in piece]
    return list(FORMS[form](model, trees, traits=traits).split([tree.n_edges for tree in trees]))


def _leaves(tree: TokenTree, edges: EdgeLogProbs) -> tuple[LeafLogProbs]:
    """Σ along every answer's path."""
    path = torch.as_tensor(tree.path, device=edges.device)
    owner = torch.as_tensor(np.repeat(np.arange(tree.n_answers), np.diff(tree.offset)), device=edges.device)
    return (edges.new_zeros(tree.n_answers).index_add(0, owner, edges[path]),)


def _joined(tree: TokenTree, parts: Sequence[tuple[Part, EdgeLogProbs]]) -> EdgeLogProbs:
    """The edges of a whole tree from those of its parts; an edge that several parts share is read from one."""
    if len(parts) == 1:
        return parts[0][1]
    at = np.zeros(tree.n_edges, dtype=np.int64)
    start = 0
    for part, logp in parts:
        at[part.edges] = start + np.arange(len(logp))
        start += len(logp)
    every = torch.cat([logp for _, logp in parts])
    return every[torch.as_tensor(at, device=every.device)]
