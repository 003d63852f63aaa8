"""What the benchmarks of language models share: batches, models, and the two sides, ours and TRL's.

Both sides get the same prompts and answers in the same order, the same model, the same optimiser. TRL has one row for
every answer, prompt included; we have one tree for every prompt.
"""

import importlib.util
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mrtlab.lm import TokenTree, backward

EOS, FIRST_WORD = 2, 32  # ids below the first word are kept for digits and marks
DIGIT_0 = 10
MAX_GRAD_NORM = 1.0  # TRL's default; both sides clip


@dataclass(frozen=True)
class Batch:
    """One optimiser step's worth of work: a prompt and its answers, as token ids."""

    prompt: list[int]
    answers: list[list[int]]

    def tree(self) -> TokenTree:
        """The prompt and the answers as a tree."""
        return TokenTree.build(self.prompt, self.answers)

    def token_mean(self) -> torch.Tensor:
        """(M,) weights of likelihood averaged over answer tokens, which is what SFT trainers minimise."""
        return torch.full((len(self.answers),), 1 / sum(len(answer) for answer in self.answers))

    def rows(self) -> list[dict[str, list[int]]]:
        """One row for every answer, with labels on the answer."""
        return [
            {"input_ids": self.prompt + answer, "labels": [-100] * len(self.prompt) + answer} for answer in self.answers
        ]


def star(rng: np.random.Generator, *, prompt: int, answer: int, k: int, vocabulary: int) -> Batch:
    """A prompt of random tokens and K random answers of one length."""
    ids = rng.integers(FIRST_WORD, vocabulary, prompt + k * answer).tolist()
    return Batch(ids[:prompt], [ids[prompt + i * answer : prompt + (i + 1) * answer] for i in range(k)])


def numbers(rng: np.random.Generator, *, prompt: int, texts: Sequence[str], vocabulary: int) -> Batch:
    """A prompt of random tokens, and numbers as answers: a token for each digit, then the end token."""
    answers = [[*(DIGIT_0 + int(digit) for digit in text), EOS] for text in texts]
    return Batch(rng.integers(FIRST_WORD, vocabulary, prompt).tolist(), answers)


def with_lora(model: nn.Module, *, rank: int = 16) -> nn.Module:
    """LoRA on every linear layer but the head, no dropout. The second factor is drawn too: zeros hide mistakes."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear", task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, config, autocast_adapter_dtype=False)  # adapters as precise as the model
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.01)
    return wrapped


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that learn."""
    return [p for p in model.parameters() if p.requires_grad]


def flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Tensors as one vector, in single precision."""
    return torch.cat([t.detach().float().flatten() for t in tensors])


def finish(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """What follows a backward pass: clip, step, clear."""
    torch.nn.utils.clip_grad_norm_(trainable(model), MAX_GRAD_NORM)
    optimiser.step()
    optimiser.zero_grad()


def tree_step(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    *,
    form: str = "auto",
    weights: torch.Tensor | None = None,
) -> float:
    """One optimiser step of our side. Returns the loss: nats per answer token, or −Σ weights·log p of the answers."""
    loss = backward(model, [batch.tree()], [batch.token_mean() if weights is None else weights], form=form)
    finish(model, optimiser)
    return float(loss)


def copies(model: nn.Module, batch: Batch) -> torch.Tensor:
    """(M, P + R) the rows of trainers without trees: a copy of the prompt for every answer, all of one length."""
    ids = [batch.prompt + answer for answer in batch.answers]
    return torch.tensor(ids, device=model.get_input_embeddings().weight.device)


def copies_loss(model: nn.Module, batch: Batch, rows: torch.Tensor) -> torch.Tensor:
    """What `rows` of a batch add to its loss, nats per answer token; the head reads answers only, as a careful
    person writes it. The last token is not fed: nothing follows it."""
    p, r = len(batch.prompt), len(batch.answers[0])
    logits = model(input_ids=rows[:, :-1], use_cache=False, logits_to_keep=r).logits.float()
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, p:].flatten(), reduction="sum")
    return loss / (len(batch.answers) * r)


def copies_backward(model: nn.Module, batch: Batch, *, rows: int | None = None) -> torch.Tensor:
    """Forward and backward with copies, `rows` of them in one pass. Returns the loss, nats per answer token."""
    ids = copies(model, batch)
    losses = []
    for part in ids.split(rows or len(ids)):
        loss = copies_loss(model, batch, part)
        loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


@dataclass(frozen=True)
class Seconds:
    """One stretch of work: wall time, and CPU time of the process, all threads added up."""

    wall: float
    cpu: float


class Clock:
    """Times stretches of work."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin a stretch."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Seconds:
        """The stretch so far."""
        return Seconds(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def middle(stretches: Sequence[Seconds]) -> Seconds:
    """Medians."""
    return Seconds(statistics.median(s.wall for s in stretches), statistics.median(s.cpu for s in stretches))


def in_turns(sides: Mapping[str, Callable[[], Any]], *, repeats: int, warm: bool = True) -> dict[str, Seconds]:
    """Median times of each side, run in turn so that a slow minute of the machine falls on all of them."""
    seen: dict[str, list[Seconds]] = {name: [] for name in sides}
    for run in sides.values() if warm else ():
        run()
    for _ in range(repeats):
        for name, run in sides.items():
            clock = Clock()
            run()
            seen[name].append(clock.read())
    return {name: middle(stretches) for name, stretches in seen.items()}


@dataclass(frozen=True)
class Turns:
    """What TRL did, step by step."""

    seconds: list[Seconds]
    losses: list[float]


def trl_turns(
    model: nn.Module,
    batches: Sequence[Batch],
    *,
    lr: float,
    optim: str = "adamw_torch_fused",
    accumulate: int = 1,
    scale: float = 1.0,
    after_step: Callable[[int], None] = lambda step: None,
) -> Turns:
    """Train with TRL's `SFTTrainer`, one batch a step, and give the other side its turn after every step.

    Checkpointing off, single precision on a CPU and the model's own on a GPU, constant learning rate, rows in the
    order of the batches. Packing is off: rows of one step are of one length or nearly so, there is nothing to pack.

    Args:
        model: trained in place.
        batches: all of one number of answers.
        lr: learning rate.
        optim: name of the optimiser, as TRL knows it.
        accumulate: passes that a step is cut into.
        scale: what TRL's loss, a mean over answer tokens, is multiplied with.
        after_step: called with the number of the step; its time is not TRL's.
    """
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    seconds: list[Seconds] = []
    losses: list[torch.Tensor] = []
    clock = Clock()
    on_gpu = model.get_input_embeddings().weight.is_cuda

    def wait() -> None:
        if on_gpu:
            torch.cuda.synchronize()

    class OtherSide(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait()
            seconds.append(clock.read())
            after_step(len(seconds) - 1)
            wait()
            clock.start()

    class InOrder(SFTTrainer):
        def _get_train_sampler(self, *_: Any) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = scale * super().compute_loss(*args, **kwargs)
            losses.append(loss.detach())
            return loss

    k = len(batches[0].answers)
    with tempfile.TemporaryDirectory() as folder:
        trainer = InOrder(
            model=model,
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=k // accumulate,
                gradient_accumulation_steps=accumulate,
                max_steps=len(batches),
                learning_rate=lr,
                lr_scheduler_type="constant",
                optim=optim,
                weight_decay=0.0,
                max_grad_norm=MAX_GRAD_NORM,
                max_length=None,
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=not on_gpu,
                dataloader_pin_memory=on_gpu,
                logging_strategy="no",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([row for batch in batches for row in batch.rows()]),
            processing_class=_tokenizer(),
            callbacks=[OtherSide()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    each = [float(sum(losses[i : i + accumulate])) for i in range(0, len(losses), accumulate)]
    return Turns(seconds, each)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the peers' progress bars, remarks and warnings out of the report."""
    import transformers

    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    if importlib.util.find_spec("datasets"):
        from datasets import disable_progress_bars

        disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(before)


def _tokenizer() -> Any:
    """SFTTrainer asks for one, if only for its padding token."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "<eos>": EOS}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
