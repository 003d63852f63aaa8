"""A loss curve in words and points: what the report of a run and the live plot of a notebook both show."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST = 400  # dots of a curve; more, and a phone draws slowly what no eye tells apart


@dataclass(frozen=True)
class LossCurve:
    """Losses over the steps of a run, with a running mean: single steps are noisy, since each sees other prompts.

    Attributes:
        steps: number of each dot's (last) step.
        losses: mean loss of the steps that a dot stands for.
        mean: of the last `window` dots, at each.
        window: a twentieth of the dots.
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    mean: tuple[float, ...]
    window: int

    @classmethod
    def of(cls, points: Sequence[Sequence[float]], *, most: int = MOST) -> "LossCurve":
        """The curve of (step, loss) pairs; neighbours are pooled where there are more than `most`.

        Raises:
            ValueError: there is no point.

        >>> LossCurve.of([(1, 4.0), (2, 2.0), (3, 1.0), (4, 1.0)], most=2)
        LossCurve(steps=(2, 4), losses=(3.0, 1.0), mean=(3.0, 1.0), window=1)
        """
        if not points:
            raise ValueError("a loss curve needs at least one point")
        size = -(-len(points) // most)
        pools = [points[i : i + size] for i in range(0, len(points), size)]
        losses = [sum(float(loss) for _, loss in pool) / len(pool) for pool in pools]
        window = max(1, len(losses) // 20)
        last = [losses[max(0, i - window + 1) : i + 1] for i in range(len(losses))]
        mean = tuple(sum(some) / len(some) for some in last)
        return cls(tuple(int(pool[-1][0]) for pool in pools), tuple(losses), mean, window)

    @property
    def verdict(self) -> str:
        """Which way the running mean went.

        >>> LossCurve.of([(1, 4.0), (2, 2.0)]).verdict, LossCurve.of([(1, 4.0)]).verdict
        ('The training loss fell', 'The training loss did not fall')
        """
        return f"The training loss {'fell' if self.mean[-1] < self.mean[0] else 'did not fall'}"

    @property
    def ends(self) -> str:
        """Where the running mean began and where it is.

        >>> LossCurve.of([(1, 4.0), (2, 2.0)]).ends
        'from 4.00 to 2.00'
        """
        return f"from {self.mean[0]:.2f} to {self.mean[-1]:.2f}"

    def some_rows(self, n: int = 10) -> list[tuple[int, float, float]]:
        """Step, loss and running mean of up to n dots, evenly spaced from the first to the last."""
        shown = sorted({round(i * (len(self.steps) - 1) / (n - 1)) for i in range(n)})
        return [(self.steps[i], self.losses[i], self.mean[i]) for i in shown]
