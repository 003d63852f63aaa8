"""Gradients of a LoRA as fewer numbers, matrix by matrix, with products kept on average."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from mrtlab.training.sketch import Sketch


@dataclass(frozen=True, eq=False)
class Projection:
    """A random linear map P of each matrix's gradient with E ⟨Pg, Ph⟩ = ⟨g, h⟩: one count sketch for each matrix.

    With k numbers for a matrix the variance of ⟨Pg, Ph⟩ is at most (2/k)·|g|²|h|². Matrices share the numbers in
    proportion to their sizes; one that has no more weights than its share is kept as it is. Nothing but the seed need
    be stored: the same seed gives the same map on every device.

    Attributes:
        seed: of the maps.
        widths: numbers that stand for each matrix.
        sketches: the maps; None where a matrix is kept as it is.

    Source: the sheet's section 9, step 2; `mrtlab.training.sketch` for the law of one count sketch.
    """

    seed: int
    widths: tuple[int, ...]
    sketches: tuple[Sketch | None, ...]

    @classmethod
    def draw(cls, weights: Sequence[nn.Parameter], *, features: int, seed: int) -> "Projection":
        """Draw maps for the gradients of some matrices, of about `features` numbers in all.

        Raises:
            ValueError: there are fewer features than matrices.

        >>> weights = [nn.Parameter(torch.zeros(4, 10)), nn.Parameter(torch.zeros(2, 10))]
        >>> Projection.draw(weights, features=30, seed=0).widths
        (20, 10)
        """
        if features < len(weights):
            raise ValueError(f"features must be at least the number of matrices, {len(weights)}, got {features}")
        sizes = np.array([weight.numel() for weight in weights])
        shares = np.minimum(np.maximum(features * sizes // sizes.sum(), 1), sizes)
        seeds = np.random.SeedSequence(seed).generate_state(len(weights)).tolist()
        sketches = tuple(
            None if share == size else Sketch.draw([weight], features=int(share), seed=one)
            for weight, share, size, one in zip(weights, shares, sizes, seeds, strict=True)
        )
        return cls(seed, tuple(shares.tolist()), sketches)

    def __call__(self, place: int, gradients: Float[torch.Tensor, "b n"]) -> Float[torch.Tensor, "b k"]:
        """P g of a batch of gradients of the matrix at a place."""
        sketch = self.sketches[place]
        if sketch is None:
            return gradients
        # The second half of the table holds the numbers whose sign is turned.
        table = gradients.new_zeros(len(gradients), 2 * sketch.features)
        table.index_add_(1, sketch.place[0].to(gradients.device), gradients)
        return table[:, : sketch.features] - table[:, sketch.features :]
