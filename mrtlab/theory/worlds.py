"""Worlds in which the true distribution over answers is known, so that nothing has to be guessed.

Two of them open the book. `LotteryWorld` is a table of prompts × answers with four dials; training a memory on it
has an exact law (`retraining_law`), no simulation needed. `GaussianModes` is the continuous world of the
multi-response training paper: three equally likely modes around a curve.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln, logsumexp, xlogy

Table = Float[np.ndarray, "n_prompts n_modes"]
Counts = Int[np.ndarray, "n_prompts n_modes"]
PerPrompt = Float[np.ndarray, "*rows"] | Float[np.floating, ""]


@dataclass(frozen=True, kw_only=True)
class LotteryConfig:
    """Four dials of a prompts × answers lottery.

    Attributes:
        n_prompts: how many prompts are written.
        n_modes: how many answers are valid for each of them.
        diversity: in [0, 1]; each next-likely answer is this many times as likely as the one before it.
            1: all equally likely; 0: one answer only.
        redundancy: in [0, 1); share of the prompts that repeat an earlier question in other words.
        bias: in [0, 1]; share of the data generator's draws that are its pet answer (the first one)
            whatever the prompt. 0: the generator follows the truth.
    """

    n_prompts: int = 100
    n_modes: int = 5
    diversity: float = 1.0
    redundancy: float = 0.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        """Refuse dials that are out of range."""
        if self.n_prompts < 1 or self.n_modes < 1:
            raise ValueError(
                f"a lottery needs at least one prompt and one answer, got n_prompts={self.n_prompts}, "
                f"n_modes={self.n_modes}"
            )
        for name, top_allowed in (("diversity", True), ("redundancy", False), ("bias", True)):
            value = getattr(self, name)
            if not (0 <= value < 1 or (top_allowed and value == 1)):
                raise ValueError(f"{name} must lie in [0, 1{']' if top_allowed else ')'}, got {value}")


@dataclass(frozen=True)
class LotteryWorld:
    """Prompts with known answers: what is true, what the generator says, and which question a prompt asks.

    Attributes:
        truth: true probability of each answer, (n_prompts, n_modes).
        generator: probability that the data generator writes it, (n_prompts, n_modes).
        question: which question each prompt asks, (n_prompts,); redundant prompts share one.
    """

    truth: Table
    generator: Table
    question: Int[np.ndarray, " n_prompts"]


def make_world(config: LotteryConfig, *, rng: np.random.Generator) -> LotteryWorld:
    """Build a lottery from its dials.

    The r-th most likely answer of a question has probability ∝ diversityʳ; which answer is most likely
    differs from question to question. The generator mixes the truth with its pet answer, (1 − bias)·truth +
    bias·1[y = 0].

    Args:
        config: the dials.
        rng: source of the random orders.

    Returns:
        the world; its first n_questions prompts are new questions, the rest repeat one of them.

    >>> world = make_world(LotteryConfig(n_prompts=2, n_modes=4, diversity=0.5), rng=np.random.default_rng(0))
    >>> np.sort(world.truth[0])[::-1] * 15
    array([8., 4., 2., 1.])
    """
    n_questions = max(1, round((1 - config.redundancy) * config.n_prompts))
    ladder = np.float64(config.diversity) ** np.arange(config.n_modes)
    by_question = rng.permuted(np.tile(ladder / ladder.sum(), (n_questions, 1)), axis=1)
    repeats = rng.integers(n_questions, size=config.n_prompts - n_questions)
    question = np.concatenate([np.arange(n_questions), repeats])
    truth = by_question[question]
    pet = np.eye(config.n_modes)[0]
    return LotteryWorld(truth, (1 - config.bias) * truth + config.bias * pet, question)


def draw_counts(world: LotteryWorld, k: int, *, rng: np.random.Generator) -> Counts:
    """Draw K answers per prompt from the generator and count them.

    Args:
        world: prompts and their generator.
        k: answers per prompt, ≥ 0.
        rng: source of the draws.

    Returns:
        how often each answer was drawn, (n_prompts, n_modes); each row sums to k.

    >>> world = make_world(LotteryConfig(n_prompts=3), rng=np.random.default_rng(0))
    >>> draw_counts(world, 4, rng=np.random.default_rng(1)).sum(1)
    array([4, 4, 4])
    """
    return rng.multinomial(k, world.generator)


def fit_tabular(counts: Counts, question: Int[np.ndarray, " n_prompts"], *, smoothing: float = 0.1) -> Table:
    """Train a memory: what it says is what it saw, p = (c + s/M) / (n + s).

    Prompts that ask the same question share what was seen, as a model that understands the question would.

    Args:
        counts: how often each answer was seen, (n_prompts, n_modes).
        question: which question each prompt asks, (n_prompts,).
        smoothing: s, in answers: how many imaginary answers, spread evenly, the memory starts with. Small: it
            trusts what it saw; large: it stays cautious.

    Returns:
        the memory's distribution for each prompt, (n_prompts, n_modes).

    Raises:
        ValueError: smoothing is not positive.

    >>> fit_tabular(np.array([[1, 0]]), np.array([0]), smoothing=1.0)  # (1 + ½)/2 and ½/2
    array([[0.75, 0.25]])
    """
    if not smoothing > 0:
        raise ValueError(f"smoothing must be positive, or an unseen answer costs an infinite loss: {smoothing}")
    pooled = np.zeros((int(question.max()) + 1, counts.shape[1]))
    np.add.at(pooled, question, counts)
    seen = pooled[question]
    return (seen + smoothing / counts.shape[1]) / (seen.sum(1, keepdims=True) + smoothing)


def cross_entropy(truth: Table, model: Table) -> Float[np.ndarray, " n_prompts"]:
    """Test loss of a model on fresh answers, −Σ p* log p, in nats per answer, one entry per prompt.

    Args:
        truth: where the fresh answers come from, (n_prompts, n_modes).
        model: what the model says, (n_prompts, n_modes).

    Returns:
        (n_prompts,); at least the entropy of the truth, `inf` where the model excludes a true answer.

    >>> cross_entropy(np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]])) / np.log(2)
    array([1.])
    """
    return -xlogy(truth, model).sum(1)


def retraining_gap(truth: Float[np.ndarray, "*batch n_modes"], k: int) -> PerPrompt:
    """Share of the probability mass that moves when a model that remembers K answers is trained again.

    Two memories c/K and c'/K from independent draws; the gap is their expected total variation distance,
    ½ Σ_y E|c_y − c'_y| / K, a double sum over two binomial counts. At K = 1 it is 1 − Σ p*².

    Args:
        truth: p*, where the training answers come from, (..., n_modes).
        k: training answers per prompt, ≥ 1.

    Returns:
        shape (...), between 0 (retraining changes nothing) and 1 (it changes everything).

    Raises:
        ValueError: k < 1.

    >>> round(float(retraining_gap(np.array([0.2] * 5), 1)), 6)  # 1 − 5·0.04
    0.8
    """
    if k < 1:
        raise ValueError(f"a memory needs at least one answer, got k={k}")
    counts = np.arange(k + 1)
    pmf = np.exp(_log_multinomial(k, counts, truth[..., None]))
    distance = np.abs(counts[:, None] - counts) / k
    return 0.5 * np.einsum("...ya,ab,...yb->...", pmf, distance, pmf)


@dataclass(frozen=True)
class RetrainingLaw:
    """What one prompt's test loss does over retrainings: its mean and standard deviation, in nats."""

    mean: float
    sd: float


def retraining_law(
    truth: Float[np.ndarray, " n_modes"],
    n: int,
    *,
    generator: Float[np.ndarray, " n_modes"] | None = None,
    smoothing: float = 0.1,
) -> RetrainingLaw:
    """Exact law of a memory's test loss when its n training answers are drawn anew, no simulation.

    The loss is −Σ_y p*_y log((c_y + s/M)/(n + s)) with multinomial counts c. Each c_y is binomial and each
    pair trinomial, so the mean is a sum over single counts and the variance a sum over pairs of counts.

    Args:
        truth: p*, where the test answers come from, (n_modes,).
        n: number of training answers, ≥ 0.
        generator: where the training answers come from; the truth if left out.
        smoothing: s, the memory's imaginary answers, as in `fit_tabular`.

    Returns:
        mean and standard deviation of the loss over retrainings, in nats.

    Source: our own exact counterpart of claim MRT-05 (multi-response training, experiment 3).

    >>> law = retraining_law(np.array([0.5, 0.5]), 1, smoothing=1.0)  # always −½ log ¾ − ½ log ¼
    >>> round(law.mean, 4), round(law.sd, 4)
    (0.837, 0.0)
    """
    drawn_from = truth if generator is None else generator
    if n < 0 or not smoothing > 0:
        raise ValueError(f"need n ≥ 0 answers and smoothing > 0, got n={n}, smoothing={smoothing}")
    counts = np.arange(n + 1)
    loss = -np.log((counts + smoothing / len(truth)) / (n + smoothing))
    single = np.exp(_log_multinomial(n, counts[None, :], drawn_from[:, None]))
    means = single @ loss
    variance = float(np.sum(truth**2 * (single @ loss**2 - means**2)))
    for y in range(len(truth)):
        for z in range(y):
            joint = np.exp(_log_trinomial(n, drawn_from[y], drawn_from[z]))
            variance += 2 * float(truth[y] * truth[z] * (loss @ joint @ loss - means[y] * means[z]))
    return RetrainingLaw(mean=float(truth @ means), sd=float(np.sqrt(max(variance, 0.0))))


def _log_multinomial(n: int, c: np.ndarray, q: np.ndarray) -> np.ndarray:
    """log P(count = c) of one answer with probability q among n draws."""
    return gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1) + xlogy(c, q) + xlogy(n - c, 1 - q)


def _log_trinomial(n: int, q: float, r: float) -> np.ndarray:
    """log P(counts = a, b) of two answers among n draws, (n+1, n+1); −inf where a + b > n."""
    a, b = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    rest = np.maximum(n - a - b, 0)
    logp = gammaln(n + 1) - gammaln(a + 1) - gammaln(b + 1) - gammaln(rest + 1)
    logp = logp + xlogy(a, q) + xlogy(b, r) + xlogy(rest, max(1 - q - r, 0.0))
    return np.where(a + b <= n, logp, -np.inf)


@dataclass(frozen=True, kw_only=True)
class GaussianModes:
    """Three equally likely answers around a curve: y = sin(2x₁) + ½x₂ + offset + noise, x ~ N(0, I).

    The toy world of the multi-response training paper (experiments 1 to 6), with its numbers as defaults.

    Attributes:
        offsets: where the modes lie relative to the curve.
        noise: standard deviation around a mode.
        n_inputs: dimension of x; only the first two matter.
    """

    offsets: tuple[float, ...] = (-1.5, 0.0, 1.5)
    noise: float = 0.1
    n_inputs: int = 5

    def centre(self, x: Float[np.ndarray, "n n_inputs"]) -> Float[np.ndarray, " n"]:
        """The curve f(x) = sin(2x₁) + ½x₂ that the modes sit around."""
        return np.sin(2 * x[:, 0]) + 0.5 * x[:, 1]

    def sample(
        self, n_prompts: int, k: int, *, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "n_prompts n_inputs"], Float[np.ndarray, "n_prompts k"]]:
        """Draw prompts x and K answers y for each of them."""
        x = rng.standard_normal((n_prompts, self.n_inputs))
        modes = rng.choice(np.array(self.offsets), size=(n_prompts, k))
        return x, self.centre(x)[:, None] + modes + self.noise * rng.standard_normal((n_prompts, k))

    def logp(self, x: Float[np.ndarray, "n n_inputs"], y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """True log-density log p(y | x), in nats."""
        centres = self.centre(x)[:, None, None] + np.array(self.offsets)
        z = (y[:, :, None] - centres) / self.noise
        each = -0.5 * z**2 - np.log(self.noise) - 0.5 * np.log(2 * np.pi)
        return logsumexp(each, axis=2) - np.log(len(self.offsets))

    @property
    def entropy(self) -> float:
        """Entropy of the truth in nats, log M + ½ log(2πe·noise²): the floor of every test loss here.

        Exact up to the overlap of neighbouring modes, which is below 1e-10 at the default offsets.

        >>> round(GaussianModes().entropy, 3)
        0.215
        """
        return float(np.log(len(self.offsets)) + 0.5 * np.log(2 * np.pi * np.e * self.noise**2))

    @property
    def constant_gaussian_loss(self) -> float:
        """Best test loss of a model that ignores x and knows one bell curve, ½ log(2πe·Var y), in nats.

        Var y = (1 − e⁻⁸)/2 from the sine, ¼ from the line, plus the spread of the offsets and the noise.

        >>> round(GaussianModes().constant_gaussian_loss, 3)
        1.827
        """
        variance = (1 - np.exp(-8)) / 2 + 0.25 + float(np.var(self.offsets)) + self.noise**2
        return float(0.5 * np.log(2 * np.pi * np.e * variance))
