"""Diffuse fine-tuning on a CPU: a step on a hundred answers against TRL on as many copies of the prompt, and a
thousand draws against `generate` on as many copies. `python -m benchmarks.diffuse_cpu`.

`--quick` is a smoke run with a tiny model. `--threads 2` where nobody else uses the machine.
"""

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from benchmarks import _lm
from benchmarks._timing import command_line, write_section
from benchmarks.cpu_lm import LOSS_GAP, LR, WEIGHT_GAP, Row, llama
from mrtlab.lm import bound, cost, costs
from mrtlab.lm.sampling import Sampler, sample_ids

PREDICTION = """**Before the run.** A step on the numbers 1 to 100 with 64 prompt tokens: TRL runs 100 rows of 68,
padding counted, body and head: 6800 tokens; the tree has 64 + 100 places. That is 41× by tokens, more by attention.
`cpu_lm` has shown 40.6× for a mean over tokens; the weights of a target change nothing in the cost, so 40× for every
weight. With an adapter both sides save the same share of the backward pass, and what does not shrink with the tokens,
AdamW over all weights, falls away: 42×. Draws: `generate` reads 1000·(64 + T − 1) tokens, we read 64 for each batch and
1000·(T − 1). By FLOPs that is 17× at T = 4 and 4.4× at T = 16. A first look, at 250 draws, gave 6×: most of our time
went into sorting the law of every next token, from which nothing was to be cut. It is sorted no longer, and drawing
from it is the smaller part on both sides: 17× and 4.5×."""

READING = """**How to read it.** One model for all rows: a random Llama of {size:.3g} million parameters, a vocabulary
of {words} words, single precision, {threads}. Times are CPU times, ratios theirs over ours. *Bound* is a ratio of
FLOPs of the model alone. Training: the target is even over the numbers 1 to M, digits and an end token each; the loss
is −Σ p* log p of whole answers on our side, and on TRL's its mean over answer tokens times tokens/M, which is the same
number; a step is forward, backward, clipping at 1 and AdamW. Both sides take turns step by step from the same weights;
the first turn is not counted. *Equal*: largest difference of any step's loss, and distance of the trained models
relative to how far they moved. Drawing: every answer is T tokens long, none ends before; both sides write {batch} rows
at once, and nothing is cut from the law (top-k off). *Equal* there: at temperature 0 both say the same."""


@dataclass(frozen=True)
class Step:
    """A training step on the numbers 1 … m."""

    prompt: int
    m: int
    steps: int
    rank: int | None = None
    aim: float | None = None

    @property
    def name(self) -> str:
        """What is trained on, and what learns."""
        return f"a step, M={self.m}, P={self.prompt}, {f'LoRA r{self.rank}' if self.rank else 'every weight'}"


@dataclass(frozen=True)
class Draws:
    """n answers of one length to one prompt."""

    prompt: int
    n: int
    length: int
    batch: int
    aim: float | None = None

    @property
    def name(self) -> str:
        """What is drawn."""
        return f"{self.n:,} draws of {self.length} tokens, P={self.prompt}"


STEPS = (Step(64, 100, steps=4, aim=40.0), Step(64, 100, steps=4, rank=4, aim=40.0))
DRAWS = (Draws(64, 1000, length=4, batch=250, aim=15.0), Draws(64, 1000, length=16, batch=250, aim=4.0))
TINY_STEPS = (Step(6, 12, steps=1), Step(6, 12, steps=1, rank=4))
TINY_DRAWS = (Draws(6, 4, length=3, batch=2),)


def training(step: Step, *, tiny: bool) -> Row:
    """One row: the same training towards an even law, TRL's step and ours in turn.

    Raises:
        RuntimeError: the two sides did not do the same.
    """
    with _lm.quiet():
        theirs = _lm.with_lora(llama(tiny=tiny), rank=step.rank) if step.rank else llama(tiny=tiny)
    ours, start = copy.deepcopy(theirs), _lm.flat(_lm.trainable(theirs))
    optimiser = torch.optim.AdamW(_lm.trainable(ours), lr=LR, weight_decay=0.0, fused=True)  # as TRL does by default
    rng, texts = np.random.default_rng(0), [str(i) for i in range(1, step.m + 1)]
    batches = [
        _lm.numbers(rng, prompt=step.prompt, texts=texts, vocabulary=ours.config.vocab_size)
        for _ in range(step.steps + 1)
    ]
    even = torch.full((step.m,), 1 / step.m)
    scale = sum(len(answer) for answer in batches[0].answers) / step.m
    seconds, losses = [], []

    def our_turn(number: int) -> None:
        clock = _lm.Clock()
        losses.append(_lm.tree_step(ours, optimiser, batches[number], weights=even))
        seconds.append(clock.read())

    with _lm.quiet():
        turns = _lm.trl_turns(theirs, batches, lr=LR, scale=scale, after_step=our_turn)
    gap = float(np.abs(np.subtract(losses, turns.losses)).max()) / scale
    theirs_at, ours_at = (_lm.flat(_lm.trainable(model)) for model in (theirs, ours))
    apart = float((ours_at - theirs_at).norm() / (theirs_at - start).norm())
    if gap > LOSS_GAP or apart > WEIGHT_GAP:
        raise RuntimeError(
            f"{step.name}: losses differ by {gap:.1e} a token, weights by {apart:.1e} of what training changed"
        )
    trees = [batches[0].tree()]
    return Row(
        work=step.name,
        peer=f"TRL SFTTrainer, {step.m} copies",
        ours=_lm.middle(seconds[1:]),
        theirs=_lm.middle(turns.seconds[1:]),
        bound=bound(ours, trees, every_place=True),
        note=[costs(ours, trees)[0].form, f"{gap:.0e}, weights {apart:.0e}"],
        aim=step.aim,
    )


@dataclass(frozen=True)
class Bare:
    """As much of a tokenizer as drawing needs: every text reads as the same ids, and the end is a token never said."""

    prompt: list[int]
    eos_token_id: int
    chat_template: None = None

    def __call__(self, text: str) -> dict[str, list[int]]:
        """The ids."""
        return {"input_ids": list(self.prompt)}


def generated(model: nn.Module, prompt: Sequence[int], draws: Draws, *, greedy: bool = False) -> list[list[int]]:
    """Answers by `generate`, a copy of the prompt for each, in batches."""
    how = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0}
    ids, found = torch.tensor([list(prompt)]), []
    for start in range(0, draws.n, draws.batch):
        rows = ids.repeat(min(draws.batch, draws.n - start), 1)
        written = model.generate(
            rows, attention_mask=torch.ones_like(rows), min_new_tokens=draws.length, max_new_tokens=draws.length,
            pad_token_id=0, **how,
        )  # fmt: skip
        found += written[:, len(prompt) :].tolist()
    return found


def shared(model: nn.Module, tokenizer: Bare, draws: Draws, *, greedy: bool = False) -> list[list[int]]:
    """Answers by `mrtlab.lm.sampling`, the prompt read once for each batch."""
    return sample_ids(
        model, tokenizer, ["the prompt"], n=draws.n, seed=0, sampler=Sampler(temperature=0) if greedy else None,
        max_new_tokens=draws.length, batch=draws.batch,
    )[0]  # fmt: skip


def drawing(draws: Draws, *, tiny: bool, repeats: int) -> Row:
    """One row: the same number of draws by `generate` and by us, in turn.

    Raises:
        RuntimeError: the likeliest answer is not the same on both sides.
    """
    model = llama(tiny=tiny).eval()
    model.generation_config.eos_token_id = None
    prompt = np.random.default_rng(3).integers(_lm.FIRST_WORD, model.config.vocab_size, draws.prompt).tolist()
    tokenizer = Bare(prompt, eos_token_id=model.config.vocab_size)
    with torch.no_grad(), _lm.quiet():
        if generated(model, prompt, draws, greedy=True) != shared(model, tokenizer, draws, greedy=True):
            raise RuntimeError(f"{draws.name}: the likeliest answers are not the same")
        times = _lm.in_turns(
            {"ours": lambda: shared(model, tokenizer, draws), "theirs": lambda: generated(model, prompt, draws)},
            repeats=repeats,
        )
    return Row(
        work=draws.name,
        peer=f"generate, {draws.batch} copies at once",
        ours=times["ours"],
        theirs=times["theirs"],
        bound=draws_bound(model, draws),
        note=["shared prompt", "the same at temperature 0"],
        aim=draws.aim,
    )


def draws_bound(model: nn.Module, draws: Draws) -> float:
    """FLOPs of forward passes by `generate` over those of a shared prompt; both read the last place of the prompt."""
    shape, p, later = cost.shape_of(model), draws.prompt, draws.length - 1
    batches = -(-draws.n // draws.batch)
    pairs = sum(p + d for d in range(1, draws.length))

    def flops(prompts: int) -> float:
        return shape.flops(
            tokens=prompts * p + draws.n * later,
            reads=prompts + draws.n * later,
            pairs=prompts * p * (p + 1) // 2 + draws.n * pairs,
        )

    return flops(draws.n) / flops(batches)


def step_seconds(model: nn.Module, draws: Draws) -> dict[str, float]:
    """CPU seconds of one more token for `draws.batch` rows: without what stands before, with it, and the draw itself.

    Keys: "alone", the model on the new tokens only; "cached", with a prompt's keys and values copied for every row;
    "draw", from logits to tokens.
    """
    from transformers import DynamicCache

    from mrtlab.lm.sampling import pick

    rows = torch.full((draws.batch, 1), _lm.FIRST_WORD)
    prompt = torch.full((1, draws.prompt), _lm.FIRST_WORD)
    luck = torch.rand(draws.batch, dtype=torch.float64)
    with torch.no_grad():
        logits = model(input_ids=rows, use_cache=False).logits[:, -1]
        cache = DynamicCache(config=model.config)
        model(input_ids=prompt, past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(draws.batch)

        def cached() -> None:
            model(input_ids=rows, past_key_values=cache, use_cache=True)
            cache.crop(-1)  # as it was

        times = _lm.in_turns(
            {
                "alone": lambda: model(input_ids=rows, use_cache=False),
                "cached": cached,
                "draw": lambda: pick(Sampler().law(logits), luck),
            },
            repeats=7,
        )
    return {name: each.cpu for name, each in times.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and write the section."""
    parser = command_line()
    parser.add_argument("--threads", type=int, default=1, help="more where nobody else uses the machine (%(default)s)")
    chosen = parser.parse_args(argv)
    torch.set_num_threads(chosen.threads)
    try:
        import trl  # noqa: F401
    except ModuleNotFoundError:
        sys.exit("this benchmark compares with TRL, which is not installed: pip install trl")
    tiny = chosen.tiny
    rows = []
    for step in TINY_STEPS if tiny else STEPS:
        rows.append(training(step, tiny=tiny))
        print(" | ".join(rows[-1].cells()), file=sys.stderr)
    for draws in TINY_DRAWS if tiny else DRAWS:
        rows.append(drawing(draws, tiny=tiny, repeats=1 if tiny else 3))
        print(" | ".join(rows[-1].cells()), file=sys.stderr)
    model = llama(tiny=tiny).eval()
    threads = "1 thread" if chosen.threads == 1 else f"{chosen.threads} threads"
    reading = READING.format(
        size=sum(p.numel() for p in model.parameters()) / 1e6, words=model.config.vocab_size, threads=threads,
        batch=draws.batch,
    )  # fmt: skip
    one = {name: f"{1e3 * seconds:.3g} ms" for name, seconds in step_seconds(model, draws).items()}
    bounds = (
        "**What bounds it.** Training: FLOPs, as in `cpu_lm`; TRL's metrics come on top of its side, so a ratio may "
        f"exceed the bound. Drawing: one more token for {draws.batch} rows takes {one['alone']} of arithmetic on the "
        f"new tokens, {one['cached']} with the keys and values of the prompt before them, and {one['draw']} to draw "
        "from the law. The prompt is read once, but its keys and values are copied for every row, and again at every "
        "token; sharing does not change that, and FLOPs do not show it."
    )
    head = ["work", "peer", "ours", "theirs", "ratio", "by wall time", "bound", "aim", "form", "equal"]
    table = "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *(row.cells() for row in rows)])
    body = ["## Diffuse fine-tuning on a CPU", PREDICTION, table, reading, bounds]
    write_section(
        "diffuse_cpu", "\n\n".join(body), out=chosen.out, packages=("torch", "transformers", "trl", "peft"),
        cores=threads,
    )  # fmt: skip


if __name__ == "__main__":
    main()
