"""What an estimate says, and how it says it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mrtlab.lm.cards import Card, Precision
from mrtlab.training.method import Method

CONTEXT = 1e9  # bytes that a driver, its kernels and their scratch take before anything is loaded
USABLE = 0.9  # of the rest: allocators leave gaps


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes at the worst moment of a step.

    Attributes:
        weights, gradients, optimiser: of the model, of what is trained, and AdamW's two averages of it.
        saved: what a forward pass leaves for the backward pass, logits among it.
        temporaries: what stands beside it for a moment, gradients of logits above all.
        peak: the most of all together. Gradients come while saved activations go, so it may be less than the sum.
    """

    weights: float
    gradients: float
    optimiser: float
    saved: float
    temporaries: float
    peak: float

    def parts(self) -> dict[str, float]:
        """Name of each part and its bytes."""
        return {
            "weights": self.weights,
            "gradients": self.gradients,
            "optimiser states": self.optimiser,
            "saved activations": self.saved,
            "temporaries": self.temporaries,
        }


@dataclass(frozen=True)
class Range:
    """From the good case to the bad one, in seconds.

    >>> str(Range(120, 240)), str(Range(90, 240))
    ('2 to 4 min', '90 s to 4 min')
    """

    lo: float
    hi: float

    def __str__(self) -> str:
        lo, hi = duration(self.lo), duration(self.hi)
        return f"{lo.split()[0] if lo.split()[1] == hi.split()[1] else lo} to {hi}"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run would take on a card. Print it.

    Attributes:
        card: it.
        method: how the model is trained.
        precision: in which formats, and why.
        parameters: weights of the model, and `trained` of them or beside them.
        form: how the largest pass runs its trees.
        prompts: in the largest forward pass.
        largest: prompts, each as large as these on average, that one pass has room for; 0 if not even one.
        memory: of the largest pass.
        flops: of the whole run.
        steps: of the whole run.
        step, run: seconds.
        measured: whether the shares behind the seconds were measured on such a machine.
    """

    card: Card
    method: Method
    precision: Precision
    parameters: int
    trained: int
    form: str
    prompts: int
    largest: int
    memory: Memory
    flops: float
    steps: int
    step: Range
    run: Range
    measured: bool

    @property
    def room(self) -> float:
        """Bytes of the card that a run may use."""
        return room(self.card)

    @property
    def fits(self) -> bool:
        """Whether the largest pass fits the card."""
        return self.memory.peak <= self.room

    def lines(self) -> list[str]:
        """What to print."""
        parts = ", ".join(f"{name} {size(n)}" for name, n in self.memory.parts().items())
        verdict = "fits" if self.fits else "does not fit"
        status = "by constants measured on one CPU" if self.measured else "predicted, not yet measured on such a card"
        return [
            f"{self.card.name}: {size(self.memory.peak)} at the peak, {verdict} into {size(self.room)} "
            f"({size(self.card.memory)} less what the driver and gaps take)",
            f"  {parts}",
            f"  largest pass {self.prompts} prompts; room for {self.largest}",
            f"  {self.steps:,} steps of {self.step}; the run {self.run} ({status})",
            f"  {self.precision.why}",
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True)
class Beside:
    """What was said before a run and what was measured in it."""

    estimate: Estimate
    seconds_per_step: float
    peak_bytes: float | None

    def lines(self) -> list[str]:
        """Predicted and measured, line by line."""
        said = self.estimate
        inside = said.step.lo <= self.seconds_per_step <= said.step.hi
        found = [
            f"a step: predicted {said.step}, measured {duration(self.seconds_per_step)}, "
            f"{'inside' if inside else 'outside'} the range"
        ]
        if self.peak_bytes is not None:
            off = 100 * (said.memory.peak / self.peak_bytes - 1)
            found.append(
                f"memory at the peak: predicted {size(said.memory.peak)}, measured {size(self.peak_bytes)} "
                f"({off:+.0f} %)"
            )
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())


def room(card: Card) -> float:
    """Bytes of a card that a run may use."""
    return USABLE * (card.memory - CONTEXT)


def size(n: float) -> str:
    """Bytes as people say them.

    >>> size(2.4e9), size(512), size(3.2e6)
    ('2.4 GB', '512 B', '3.2 MB')
    """
    for unit, step in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= step:
            return f"{n / step:.3g} {unit}"
    return f"{n:.0f} B"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(0.0021), duration(0.128), duration(45), duration(100), duration(9000), duration(4e5)
    ('2.1 ms', '130 ms', '45 s', '100 s', '2.5 h', '4.6 days')
    """
    for unit, length, most in (("ms", 1e-3, 1), ("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < most:
            return f"{_rounded(seconds / length)} {unit}"
    return f"{_rounded(seconds / 86400)} days"


def _rounded(n: float) -> str:
    """Two digits that matter, written out."""
    return f"{float(f'{n:.2g}'):,.10g}"


def parts_needed(estimate: Estimate, batch: int) -> int | None:
    """Into how many parts a step of `batch` prompts must be cut to fit the card; None if one prompt is too much."""
    if estimate.largest < 1:
        return None
    return next(n for n in range(1, batch + 1) if batch % n == 0 and batch // n <= estimate.largest)


def advice(estimates: Sequence[Estimate], batch: int) -> str:
    """The smallest card that will do, or what to change where none does: one sentence.

    Args:
        estimates: of one job on some cards.
        batch: prompts in a step.
    """
    room_first = sorted(estimates, key=lambda found: found.card.memory)
    whole = [found for found in room_first if found.fits]
    if whole:
        return f"{whole[0].card.name} has room for it, and takes {whole[0].run} for the run."
    cut = [(found, n) for found in room_first if (n := parts_needed(found, batch))]
    if cut:
        found, n = cut[0]
        return (
            f"No card here holds {batch} prompts at once; {found.card.name} does with --accumulate {n}, which gives "
            f"the same result in {found.run} or somewhat more."
        )
    method = estimates[0].method
    remedies = [] if method.checkpointing else ["--checkpointing, which computes layers twice and keeps them once"]
    if method.kind == "full":
        remedies.append("--method lora, which trains an adapter")
    elif method.kind == "lora" and any(found.card.kind == "cuda" for found in estimates):
        remedies.append("--method 4bit")
    remedies.append("shorter or fewer responses")
    return f"No card here has room for a single prompt with its responses: try {'; or '.join(remedies)}."
