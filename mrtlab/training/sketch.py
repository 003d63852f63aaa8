"""Gradients of millions of numbers as a few thousand, with lengths and distances kept up to a small, known error."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn


@dataclass(frozen=True, eq=False)
class Sketch:
    """A random linear map P from gradients to d numbers with E |Pg|² = |g|²: a count sketch.

    Every weight is given one of d places and a sign, both by chance; a gradient's numbers are added up at their places
    with their signs. Products of two different numbers come out with either sign, so they vanish on average, and

        E |Pg|² = |g|²,    Var |Pg|² = (2/d)·(|g|⁴ − Σ_i g_i⁴) ≤ (2/d)·|g|⁴.

    P is linear, so the same holds for the trace of any covariance S of gradients: its standard error is at most
    √(2/d)·|S|_F ≤ √(2/d)·tr S, less the more directions the gradients spread over. For d = 4096 that is 2.2 %.

    Why not a matrix of random signs: that costs d passes over the gradient, or d numbers for each weight. This costs
    one pass whatever d is, and 4 bytes for each weight, as much as one gradient.

    Attributes:
        features: d.
        place: for every parameter the place of each of its numbers, from 0 to 2d − 1. The second d places are the
            first ones with the sign turned.

    Source: M. Charikar, K. Chen, M. Farach-Colton (Theoretical Computer Science 312, 2004), applied to traces.
    """

    features: int
    place: list[Int[torch.Tensor, "_n"]]

    @classmethod
    def draw(cls, parameters: Sequence[nn.Parameter], *, features: int, seed: int) -> "Sketch":
        """Draw the map for gradients of some parameters. The same seed gives the same map on every device.

        Raises:
            ValueError: there are no parameters, or features < 1.

        >>> sketch = Sketch.draw([nn.Parameter(torch.zeros(2))], features=4096, seed=0)
        >>> np.sort(np.abs(sketch([torch.tensor([3.0, 4.0])])))[-2:].tolist()  # each number at a place of its own
        [3.0, 4.0]
        """
        if not len(parameters):
            raise ValueError("there are no parameters to sketch gradients of")
        if features < 1:
            raise ValueError(f"features must be 1 or more, got {features}")
        generator = torch.Generator().manual_seed(seed)
        drawn = (
            torch.randint(2 * features, (p.numel(),), dtype=torch.int32, generator=generator).to(p.device)
            for p in parameters
        )
        return cls(features, list(drawn))

    def __call__(self, gradients: Iterable[torch.Tensor | None]) -> Float[np.ndarray, "d"]:
        """Pg, for a gradient as `torch.autograd.grad` returns it: one tensor for each parameter, None where it is 0."""
        sums: dict[torch.device, torch.Tensor] = {}
        for place, gradient in zip(self.place, gradients, strict=True):
            if gradient is not None:
                table = sums.setdefault(place.device, torch.zeros(2 * self.features, device=place.device))
                table.index_add_(0, place, gradient.flatten().float())
        total = np.zeros(2 * self.features)
        for table in sums.values():
            total += table.double().cpu().numpy()
        return total[: self.features] - total[self.features :]
