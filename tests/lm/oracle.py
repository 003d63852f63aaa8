"""What a token tree must equal: one ordinary pass for each string. And random trees to try it on.

Nothing here calls the engine. The comparison is relative: ‖found − expected‖ / ‖expected‖, for the log-probabilities
of all answers as one vector, and for the gradient of −Σ w log p with signed w, over all parameters as one vector.
Gradients are the sharper test: positions that do not restart move the loss in the fourth digit and the gradient in
the second.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from tiny_models import VOCAB
from torch import nn

from mrtlab.lm import TokenTree, backward

TOLERANCE = 1e-5  # single precision
Score = Callable[[nn.Module, Sequence[TokenTree]], Sequence[torch.Tensor]]


def strings(rng: np.random.Generator, *lengths: int) -> list[list[int]]:
    return [rng.integers(3, VOCAB, n).tolist() for n in lengths]


def varied_trees() -> list[TokenTree]:
    """Ragged lengths, duplicates, shared beginnings, an answer that begins another, one-token answers, one answer
    alone, prompts of different lengths."""
    rng = np.random.default_rng(7)
    long, short, middle = strings(rng, 9, 2, 6)
    stem, a, b, one, other = strings(rng, 3, 2, 5, 1, 7)
    return [
        TokenTree.build(long, [stem + a, stem + b, one, other, stem, stem + a]),
        TokenTree.build(short, strings(rng, 1, 3, 8)),
        TokenTree.build(short, strings(rng, 1)),
        TokenTree.build(middle, strings(rng, 4)),
    ]


def weights_of(trees: Sequence[TokenTree]) -> list[torch.Tensor]:
    """Signed weights, another one for every answer."""
    rng = np.random.default_rng(11)
    return [torch.as_tensor(rng.normal(size=tree.n_answers), dtype=torch.float32) for tree in trees]


def gradient(model: nn.Module) -> torch.Tensor:
    parts = [p.grad.flatten().double() for p in model.parameters() if p.grad is not None]
    return torch.cat(parts)


def plain(model: nn.Module, tree: TokenTree) -> torch.Tensor:
    """(M,) one pass for each answer, nothing shared, no mask, no positions given."""
    found = []
    for answer in tree.answers():
        ids = torch.tensor([tree.prompt.tolist() + answer[:-1]])
        logp = model(input_ids=ids, use_cache=False).logits[0].to(torch.promote_types(model.dtype, torch.float32))
        logp = logp.log_softmax(dim=-1)
        before = len(tree.prompt) - 1
        found.append(sum(logp[before + step, token] for step, token in enumerate(answer)))
    return torch.stack(found)


def differentiate(model: nn.Module, trees: Sequence[TokenTree], score: Score) -> tuple[torch.Tensor, torch.Tensor]:
    """All log-probabilities as one vector, and the gradient of −Σ w log p."""
    model.zero_grad()
    found = score(model, trees)
    (-sum((w.to(logp) * logp).sum() for w, logp in zip(weights_of(trees), found, strict=True))).backward()
    return torch.cat([logp.detach() for logp in found]).double(), gradient(model)


def expected(model: nn.Module, trees: Sequence[TokenTree]) -> tuple[torch.Tensor, torch.Tensor]:
    return differentiate(model, trees, lambda model, trees: [plain(model, tree) for tree in trees])


def error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


def errors(model: nn.Module, trees: Sequence[TokenTree], score: Score) -> tuple[float, float]:
    """Relative error of the log-probabilities and of the gradient."""
    truth = expected(model, trees)
    found = differentiate(model, trees, score)
    return error(found[0], truth[0]), error(found[1], truth[1])


def assert_exact(model: nn.Module, trees: Sequence[TokenTree], score: Score, *, tolerance: float = TOLERANCE) -> None:
    """The tests' one assertion of exactness. tests/lm/test_mutations.py shows which mistakes it catches."""
    forward_error, gradient_error = errors(model, trees, score)
    assert forward_error <= tolerance, f"log-probabilities are {forward_error:.1e} off"
    assert gradient_error <= tolerance, f"the gradient is {gradient_error:.1e} off"


def assert_backward_exact(
    model: nn.Module, trees: Sequence[TokenTree], *, tolerance: float = TOLERANCE, **options: Any
) -> None:
    """`backward` with weights adds the gradient of −Σ w log p and returns its value."""
    logp, truth = expected(model, trees)
    model.zero_grad()
    weights = weights_of(trees)
    loss = backward(model, trees, weights, **options)
    assert error(gradient(model), truth) <= tolerance
    value = -(torch.cat(weights).double() * logp).sum()
    assert float(abs(loss.double().sum() - value)) <= tolerance * float(torch.cat(weights).norm() * logp.norm())


def token_strings(*, alphabet: int = 4, longest: int = 5) -> st.SearchStrategy[list[int]]:
    """Few different tokens, so that answers share beginnings and repeat."""
    return st.lists(st.integers(3, 2 + alphabet), min_size=1, max_size=longest)


def prompts_and_answers(*, most_answers: int = 8) -> st.SearchStrategy[tuple[list[int], list[list[int]]]]:
    """What `TokenTree.build` takes."""
    answers = st.lists(token_strings(), min_size=1, max_size=most_answers)
    return st.tuples(token_strings(alphabet=VOCAB - 3, longest=6), answers)


def differing(found: Iterable[Any], truth: Iterable[Any]) -> float:
    """The largest difference between two lists of tensors."""
    return max(float((a - b).abs().max()) for a, b in zip(found, truth, strict=True))
