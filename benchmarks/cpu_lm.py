"""The token tree on a CPU: training steps against TRL, scoring against plain forwards. `python -m benchmarks.cpu_lm`.

`--quick` is a smoke run with a tiny model. `--calibrate` times the three forms alone and says which
`mrtlab.lm.cost.UNFUSED` would have chosen best.
"""

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from benchmarks import _lm
from benchmarks._lm import Batch, Seconds
from benchmarks._timing import command_line, write_section
from mrtlab.lm import TokenTree, backward, bound, cost, costs, leaf_logprobs

THREADS = 2
LR = 1e-4
PLAIN_ROWS = 32  # strings in one plain forward pass, as in the code of the diffuse-distributions paper
LOSS_GAP = 5e-5  # losses equal to four digits after the point
WEIGHT_GAP = 1e-3  # ‖difference of weights‖ ÷ ‖what training changed‖
LOGP_GAP = 1e-4  # nats, of a whole answer; single precision
FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)

PREDICTION = """**Before the run.** TRL 1.16 runs the body over K(P+R) tokens and, on a CPU, the head over all of them;
the tree runs both over P+KR. By FLOPs that allows 5.0× at (256, 32, 8) and 12.6× at (256, 8, 16). The attention of the
tree is not all fused, which costs us some per cent, and TRL also computes an entropy and an accuracy, which costs it
some: the two should nearly cancel. Prediction: 5.2× full, 5.5× LoRA, 13× at (256, 8, 16), 42× for a step on 100
strings, and nowhere below 1.3×, the least at (128, 128, 8) and (64, 64, 8). Scoring 1000 strings: 50× plain forwards
and 3.5× a scorer that keeps the prompt's keys and values, since without a mask over 1174² places nothing is left but
small matrices."""

READING = """**How to read it.** One model for all rows: {model}; single precision, {threads}. A step is forward,
backward, clipping at 1 and AdamW; TRL's includes its data loader, ours building the tree. Both sides start from the
same weights, take the same learning rate, {lr:g}, and take turns step by step; the first turn is not counted. Times
are CPU times, all threads added up; ratios are the peer's time over ours, and aims are judged by them. *Bound* is the
ratio of FLOPs, with TRL's head at every place: what arithmetic allows if both sides compute equally fast. TRL's
metrics and small overheads come on top of its side, so a ratio may exceed the bound by a few per cent. *Losses*:
largest difference of any step's loss, or of any answer's log-probability. *Weights*: distance between the two trained
models, relative to how far they moved."""


@dataclass(frozen=True)
class Cell:
    """One row of the table of training steps."""

    prompt: int
    answer: int
    k: int
    steps: int
    aim: float | None = None
    lora: bool = False

    @property
    def name(self) -> str:
        """(P, R, K) in words."""
        return f"({self.prompt}, {self.answer}, {self.k}), {'LoRA r16' if self.lora else 'full'}"

    def batch(self, rng: np.random.Generator, vocabulary: int) -> Batch:
        """One step's prompt and answers."""
        return _lm.star(rng, prompt=self.prompt, answer=self.answer, k=self.k, vocabulary=vocabulary)


@dataclass(frozen=True)
class Strings(Cell):
    """A row whose answers are the numbers 1 … K, digits and end token: the diffuse target."""

    @property
    def name(self) -> str:
        """What is trained on."""
        return f"strings 1..{self.k}, P={self.prompt}, full"

    def batch(self, rng: np.random.Generator, vocabulary: int) -> Batch:
        """One step's prompt; the answers are always the same."""
        texts = [str(i) for i in range(1, self.k + 1)]
        return _lm.numbers(rng, prompt=self.prompt, texts=texts, vocabulary=vocabulary)


CELLS = (
    Cell(256, 32, 8, steps=7, aim=5.0),
    Cell(256, 32, 8, steps=7, aim=5.0, lora=True),
    Cell(256, 8, 16, steps=6, aim=12.5),
    Cell(256, 8, 16, steps=6, lora=True),
    Cell(64, 64, 8, steps=7, aim=1.0),
    Cell(128, 128, 8, steps=5, aim=1.0),
    Cell(128, 16, 16, steps=5, aim=1.0),
    Cell(512, 32, 8, steps=4, aim=1.0),
    Cell(256, 32, 32, steps=3, aim=1.0),
    Strings(64, 0, 100, steps=4, aim=40.0),
)
TINY_CELLS = (Cell(12, 4, 3, steps=1), Cell(12, 4, 3, steps=1, lora=True), Strings(6, 0, 12, steps=1))


@dataclass(frozen=True)
class Row:
    """Two sides, timed; as text it is a row of a table."""

    work: str
    peer: str
    ours: Seconds
    theirs: Seconds
    bound: float
    note: list[str]
    aim: float | None = None

    def cells(self) -> list[str]:
        """The row as text."""
        ratio, wall = self.theirs.cpu / self.ours.cpu, self.theirs.wall / self.ours.wall
        aim = "–"
        if self.aim is not None:
            aim = f"{self.aim:g}×: " + ("met" if ratio >= self.aim else f"missed, {100 * ratio / self.aim:.0f} % of it")
        times = [f"{s.cpu:.3g} s" for s in (self.ours, self.theirs)]
        return [self.work, self.peer, *times, f"{ratio:.3g}×", f"{wall:.3g}×", f"{self.bound:.3g}×", aim, *self.note]


def llama(*, tiny: bool) -> nn.Module:
    """A random Llama: 26 million parameters, or a few thousand."""
    from transformers import LlamaConfig, LlamaForCausalLM

    size = (
        {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 64}
        if tiny
        else {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 6, "vocab_size": 8192}
    )
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2} if tiny else {}
    heads = heads or {"num_attention_heads": 8, "num_key_value_heads": 4}
    torch.manual_seed(0)
    config = LlamaConfig(
        **size, **heads, pad_token_id=0, bos_token_id=1, eos_token_id=_lm.EOS, attn_implementation="sdpa"
    )
    return LlamaForCausalLM(config).train()


def against_trl(cell: Cell, *, tiny: bool) -> Row:
    """One row: the same training, TRL's step and ours in turn.

    Raises:
        RuntimeError: the two sides did not do the same.
    """
    with _lm.quiet():
        theirs = _lm.with_lora(llama(tiny=tiny)) if cell.lora else llama(tiny=tiny)
    ours, start = copy.deepcopy(theirs), _lm.flat(_lm.trainable(theirs))
    optimiser = torch.optim.AdamW(_lm.trainable(ours), lr=LR, weight_decay=0.0, fused=True)  # as TRL does by default
    rng = np.random.default_rng(0)
    batches = [cell.batch(rng, ours.config.vocab_size) for _ in range(cell.steps + 1)]
    seconds, losses = [], []

    def our_turn(step: int) -> None:
        clock = _lm.Clock()
        losses.append(_lm.tree_step(ours, optimiser, batches[step]))
        seconds.append(clock.read())

    with _lm.quiet():
        turns = _lm.trl_turns(theirs, batches, lr=LR, after_step=our_turn)
    gap = float(np.abs(np.subtract(losses, turns.losses)).max())
    theirs_at, ours_at = (_lm.flat(_lm.trainable(model)) for model in (theirs, ours))
    apart = float((ours_at - theirs_at).norm() / (theirs_at - start).norm())
    if gap > LOSS_GAP or apart > WEIGHT_GAP:
        raise RuntimeError(f"{cell.name}: losses differ by {gap:.1e}, weights by {apart:.1e} of what training changed")
    trees = [batches[0].tree()]
    row = Row(
        work=cell.name,
        peer="TRL SFTTrainer",
        ours=_lm.middle(seconds[1:]),
        theirs=_lm.middle(turns.seconds[1:]),
        bound=bound(ours, trees, every_place=True),
        note=[costs(ours, trees)[0].form, f"{gap:.0e}", f"{apart:.0e}"],
        aim=cell.aim,
    )
    print(" | ".join(row.cells()), file=sys.stderr)
    return row


@dataclass(frozen=True)
class FormTimes:
    """Forward and backward of one batch, in every form and with copies."""

    name: str
    model: nn.Module
    tree: TokenTree
    seconds: dict[str, Seconds]

    def chosen(self) -> str:
        """What `auto` takes."""
        return costs(self.model, [self.tree])[0].form

    def fastest(self) -> str:
        """The form that was fastest here."""
        return min((form for form in self.seconds if form != "copies"), key=lambda form: self.seconds[form].cpu)

    def regret(self) -> float:
        """Time of the chosen form over that of the fastest."""
        return self.seconds[self.chosen()].cpu / self.seconds[self.fastest()].cpu

    def cells(self) -> list[str]:
        """The row as text."""
        forms = [f"{self.seconds[form].cpu:.3g} s" for form in ("row", "paths", "branches")]
        copies = self.seconds.get("copies")
        best = self.seconds[self.chosen()]
        fair = [f"{copies.cpu:.3g} s", f"{copies.cpu / best.cpu:.3g}×"] if copies else ["–", "–"]
        fair.append(f"{bound(self.model, [self.tree]):.3g}×" if copies else "–")
        return [self.name, *forms, self.chosen(), self.fastest(), f"{self.regret():.3g}", *fair]


def time_forms(cell: Cell, *, tiny: bool, repeats: int, copies: bool = True) -> FormTimes:
    """Forward and backward alone, each form in turn, beside copies whose head reads answers only."""
    model = llama(tiny=tiny)
    batch = cell.batch(np.random.default_rng(1), model.config.vocab_size)
    tree, weights = batch.tree(), batch.token_mean()

    def one(form: str) -> None:
        backward(model, [tree], [weights], form=form)
        model.zero_grad()

    def all_copies() -> None:
        _lm.copies_backward(model, batch)
        model.zero_grad()

    sides = {form: lambda form=form: one(form) for form in ("row", "paths", "branches")}
    if copies and not isinstance(cell, Strings):
        sides["copies"] = all_copies
    found = FormTimes(cell.name, model, tree, _lm.in_turns(sides, repeats=repeats))
    print(" | ".join(found.cells()), file=sys.stderr)
    return found


def calibrated(grid: Sequence[FormTimes]) -> str:
    """Which price of an unfused pair would have chosen best on the grid: mean time over the fastest form's."""
    before, lines = cost.UNFUSED, []
    try:
        for factor in FACTORS:
            cost.UNFUSED = factor
            regrets = [times.regret() for times in grid]
            lines.append(f"{factor:g}: {np.mean(regrets):.3f} (worst {max(regrets):.2f})")
    finally:
        cost.UNFUSED = before
    return (
        "**Choosing a form.** Mean time of the chosen form over that of the fastest, by the price of an unfused pair "
        f"(`UNFUSED`, now {before:g}): " + "; ".join(lines) + "."
    )


def plain_scores(model: nn.Module, batch: Batch, *, rows: int = PLAIN_ROWS, every_place: bool = True) -> torch.Tensor:
    """log p of every answer, a pass over each whole string: what scorers do that know no prefix; with all logits, as
    most of them do, or with those of the answers alone."""
    r, found = len(batch.answers[0]), []
    for part in _lm.copies(model, batch).split(rows):
        kept = {} if every_place else {"logits_to_keep": r}
        logits = model(input_ids=part[:, :-1], use_cache=False, **kept).logits[:, -r:]
        found.append(_read(logits, part[:, -r:]))
    return torch.cat(found)


def _read(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(rows,) log p of the tokens, in single precision whatever the model's is."""
    logp = logits.float().log_softmax(-1)
    return logp.gather(2, tokens[:, :, None]).sum((1, 2))


def stem_scores(model: nn.Module, batch: Batch, *, rows: int) -> torch.Tensor:
    """log p of every answer with the prompt's keys and values computed once, answers in batches that continue it."""
    from transformers import DynamicCache

    device = model.get_input_embeddings().weight.device
    ids, found = torch.tensor(batch.answers, device=device), []
    stem = model(input_ids=torch.tensor([batch.prompt], device=device), use_cache=True, logits_to_keep=1)
    first = stem.logits[0, -1].float().log_softmax(-1)
    kept = [(layer.keys, layer.values) for layer in stem.past_key_values.layers]
    for part in ids.split(rows):
        cache = DynamicCache()
        for layer, (key, value) in enumerate(kept):
            cache.update(*(x.expand(len(part), -1, -1, -1) for x in (key, value)), layer)
        logits = model(input_ids=part[:, :-1], past_key_values=cache, use_cache=True).logits
        found.append(first[part[:, 0]] + _read(logits, part[:, 1:]))
    return torch.cat(found)


def stem_bound(model: nn.Module, batch: Batch, tree: TokenTree) -> float:
    """FLOPs of the cached-stem scorer over the tree's."""
    shape, p = cost.shape_of(model), len(batch.prompt)
    fed = sum(len(answer) - 1 for answer in batch.answers)
    pairs = p * (p + 1) // 2 + sum(p + d for answer in batch.answers for d in range(1, len(answer)))
    alone = sum(len(answer) for answer in batch.answers)
    plain = shape.flops(tokens=sum(p + len(a) - 1 for a in batch.answers), reads=alone, pairs=_all_pairs(p, batch))
    return bound(model, [tree]) * shape.flops(tokens=p + fed, reads=1 + fed, pairs=pairs) / plain


def _all_pairs(p: int, batch: Batch) -> int:
    lengths = [p + len(answer) - 1 for answer in batch.answers]
    return sum(n * (n + 1) // 2 for n in lengths)


def scoring(*, tiny: bool, repeats: int) -> tuple[list[Row], dict[str, Seconds]]:
    """Rows for scoring many strings, and the time of every form of ours.

    Raises:
        RuntimeError: the scorers disagree.
    """
    model = llama(tiny=tiny).eval()
    prompt, digits = (6, 1) if tiny else (64, 3)
    texts = [f"{i:0{digits}d}" for i in range(10**digits)]
    batch = _lm.numbers(np.random.default_rng(2), prompt=prompt, texts=texts, vocabulary=model.config.vocab_size)
    tree = batch.tree()
    with torch.no_grad():
        stem_sides = {rows: lambda rows=rows: stem_scores(model, batch, rows=rows) for rows in (32, 125, 500)}
        tried = _lm.in_turns(stem_sides, repeats=1)
        rows = min(tried, key=lambda rows: tried[rows].cpu)  # the peer at its best
        sides = {
            "ours": lambda: leaf_logprobs(model, [batch.tree()])[0],
            "stem": stem_sides[rows],
            **{
                form: lambda form=form: leaf_logprobs(model, [tree], form=form)[0]
                for form in ("row", "paths", "branches")
            },
        }
        found = {name: run() for name, run in sides.items()}
        plain = plain_scores(model, batch)
        gap = max(float((scores - plain).abs().max()) for scores in found.values())
        if gap > LOGP_GAP:
            raise RuntimeError(f"scores of {len(texts)} strings differ by {gap:.1e} nats")
        # a plain round takes as long as dozens of the others, so those get several turns for each of its
        times = _lm.in_turns(sides, repeats=3 * repeats, warm=False)
        times["plain"] = _lm.in_turns({"plain": lambda: plain_scores(model, batch)}, repeats=repeats, warm=False)[
            "plain"
        ]
        after = _lm.in_turns({"ours": sides["ours"]}, repeats=repeats, warm=False)["ours"]
    ours = Seconds((times["ours"].wall + after.wall) / 2, (times["ours"].cpu + after.cpu) / 2)
    form = costs(model, [tree])[0].form
    common = {"work": f"score {len(texts)} strings, P={prompt}", "ours": ours, "note": [form, f"{gap:.0e} nats", "–"]}
    peers = [
        Row(peer="plain forwards, all logits", theirs=times["plain"], aim=None if tiny else 50.0,
            bound=bound(model, [tree], every_place=True), **common),
        Row(peer=f"prompt's keys and values kept, {rows} rows at once", theirs=times["stem"], aim=None if tiny else 2.5,
            bound=stem_bound(model, batch, tree), **common),
    ]  # fmt: skip
    return peers, {form: times[form] for form in ("row", "paths", "branches")}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def _form_grid(cells: Sequence[Cell], *, tiny: bool, copies: bool = True) -> tuple[str, str]:
    grid = [time_forms(cell, tiny=tiny, repeats=1 if tiny else 3, copies=copies) for cell in cells if not cell.lora]
    head = ["forward and backward", "row", "paths", "branches", "auto takes", "fastest", "auto ÷ fastest",
            "copies, head on answers", "ratio", "bound"]  # fmt: skip
    return _table(head, [times.cells() for times in grid]), calibrated(grid)


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and write the section."""
    parser = command_line()
    parser.add_argument("--calibrate", action="store_true", help="time the forms alone, print, write nothing")
    parser.add_argument("--threads", type=int, default=THREADS, help="one, where others use the machine (%(default)s)")
    chosen = parser.parse_args(argv)
    torch.set_num_threads(chosen.threads)
    tiny = chosen.tiny
    cells = TINY_CELLS if tiny else CELLS
    if chosen.calibrate:
        print(*_form_grid(cells, tiny=tiny, copies=False), sep="\n\n")
        return
    try:
        import trl  # noqa: F401
    except ModuleNotFoundError:
        sys.exit("this benchmark compares with TRL, which is not installed: pip install trl")
    rows = [against_trl(cell, tiny=tiny) for cell in cells]
    peers, scoring_forms = scoring(tiny=tiny, repeats=1 if tiny else 2)
    forms, choice = _form_grid(cells, tiny=tiny)
    head = ["work", "peer", "ours", "theirs", "ratio", "by wall time", "bound", "aim", "form", "losses", "weights"]
    model = llama(tiny=tiny)
    size = f"a random Llama of {sum(p.numel() for p in model.parameters()) / 1e6:.3g} million parameters"
    reading = READING.format(model=size, threads=_threads(chosen.threads), lr=LR)
    each = ", ".join(f"{form} {s.cpu:.3g} s" for form, s in scoring_forms.items())
    bounds = (
        f"**What bounds it.** The column *bound* is arithmetic. Scoring, form by form: {each}. The table below leaves "
        "the optimiser and TRL out: our three forms, and copies written by hand whose head reads answers only, the "
        "fair comparison with trainers on a GPU."
    )
    body = ["## The token tree on a CPU", PREDICTION, _table(head, [row.cells() for row in [*rows, *peers]]), reading,
            bounds, forms, choice]  # fmt: skip
    write_section(
        "cpu_lm", "\n\n".join(body), out=chosen.out, packages=("torch", "transformers", "trl", "peft"),
        cores=_threads(chosen.threads),
    )  # fmt: skip


if __name__ == "__main__":
    main()
