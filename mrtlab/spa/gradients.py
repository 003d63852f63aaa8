"""The gradient of every example's loss, all examples of a batch in one backward pass, for the weights of a LoRA."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from mrtlab.data.records import Record
from mrtlab.lm.encode import encode
from mrtlab.lm.support import check_length, inner
from mrtlab.spa.batches import MAX_TOKENS, plan_batches
from mrtlab.spa.projection import Projection

_NO_TARGET = -100  # what cross-entropy passes over


@dataclass(frozen=True)
class Example:
    """A prompt and one answer as token ids, the answer's end included.

    Attributes:
        prompt_ids: at least one.
        answer_ids: at least one.
    """

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]

    def __len__(self) -> int:
        """Tokens that are fed: the last one is only predicted."""
        return len(self.prompt_ids) + len(self.answer_ids) - 1


@dataclass(frozen=True)
class Factor:
    """One of the two matrices of a LoRA layer.

    Attributes:
        name: where it is in the model, as "model.layers.0.self_attn.q_proj.lora_A".
        parameter: the name of its weight among the wrapped model's parameters.
        module: the linear map of peft's that holds it.
    """

    name: str
    parameter: str
    module: nn.Linear


@dataclass(frozen=True)
class Block:
    """Where the gradient of one matrix stands in a row: columns start to stop.

    Attributes:
        name: of the matrix, see `Factor`.
        shape: (out, in) of the matrix; a projected block has fewer columns than out·in.
        start: its first column.
        stop: one past its last.
    """

    name: str
    shape: tuple[int, int]
    start: int
    stop: int

    @property
    def columns(self) -> slice:
        """The columns as a slice."""
        return slice(self.start, self.stop)


def examples_of(records: Sequence[Record], tokenizer: Any) -> list[Example]:
    """Every response of every record as an example, records in order, each one's responses in order.

    Raises:
        ValueError: as `mrtlab.lm.encode.encode`.

    >>> from mrtlab.lm.models import load_model
    >>> _, tokenizer = load_model(device="cpu")
    >>> examples = examples_of([Record.of("Name a fruit.", ["plum", "fig"])], tokenizer)
    >>> examples[0].prompt_ids == examples[1].prompt_ids, len(examples)
    (True, 2)
    """
    found = []
    for record in records:
        encoded = encode(tokenizer, record.prompt, record.responses)
        found += [Example(tuple(encoded.prompt_ids), tuple(ids)) for ids in encoded.answer_ids]
    return found


def lora_factors(model: Any, *, adapter: str | None = None) -> list[Factor]:
    """The matrices A and B of an adapter, layer by layer, A before B.

    Args:
        model: wrapped by peft.
        adapter: its name; None takes the one that is active.

    Raises:
        ValueError: the model has no adapter of peft's, or none of that name, or more than one is active; or it is of a
            kind that is more than two matrices beside a linear map (DoRA, embeddings, biases, whole layers, merged).

    Source: the LoRA parameters that SPA takes influence on (SPA sheet, section 1).

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> [factor.name for factor in lora_factors(model)][:2]
    ['model.layers.0.self_attn.q_proj.lora_A', 'model.layers.0.self_attn.q_proj.lora_B']
    """
    from peft.tuners.lora import LoraLayer

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    if not layers:
        raise ValueError("the model has no LoRA adapter: put one on with mrtlab.training.adapter.with_adapter")
    if adapter is None:
        active = list(dict.fromkeys(name for _, layer in layers for name in layer.active_adapters))
        if len(active) != 1:
            raise ValueError(f"exactly one adapter must be active, got {active}: call model.set_adapter(name)")
        adapter = active[0]
    if adapter not in model.peft_config:
        raise ValueError(f"there is no adapter {adapter!r}, the model has {', '.join(model.peft_config)}")
    if model.peft_config[adapter].modules_to_save:
        raise ValueError(f"adapter {adapter!r} trains whole layers, too (modules_to_save): leave those out")
    factors = []
    for name, layer in layers:
        if adapter not in layer.lora_A and adapter not in layer.lora_embedding_A:
            continue
        if adapter in layer.lora_embedding_A or adapter in layer.lora_variant or layer.merged:
            raise ValueError(f"{name} is no plain unmerged LoRA of a linear layer, only those are supported")
        for kind in ("lora_A", "lora_B"):
            module = getattr(layer, kind)[adapter]
            if not isinstance(module, nn.Linear) or module.bias is not None:
                raise ValueError(f"{kind} of {name} is {type(module).__name__}, expected a linear map without bias")
            short = name.removeprefix("base_model.model.")
            factors.append(Factor(f"{short}.{kind}", f"{name}.{kind}.{adapter}.weight", module))
    return factors


def blocks_of(factors: Sequence[Factor], projection: Projection | None = None) -> tuple[Block, ...]:
    """Where each matrix's gradient stands in a row, and how wide a row is: the last block's `stop`.

    Args:
        factors: of `lora_factors`.
        projection: if the gradients go through one.

    >>> factors = [Factor("a", "a", nn.Linear(3, 2)), Factor("b", "b", nn.Linear(2, 3))]
    >>> [(block.shape, block.start, block.stop) for block in blocks_of(factors)]
    [((2, 3), 0, 6), ((3, 2), 6, 12)]
    """
    widths = projection.widths if projection else [factor.module.weight.numel() for factor in factors]
    stops = np.cumsum(widths).tolist()
    return tuple(
        Block(factor.name, tuple(factor.module.weight.shape), stop - width, stop)
        for factor, width, stop in zip(factors, widths, stops, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Padded:
    """Examples as one batch, padded on the right.

    No attention mask is needed: a causal model does not look right, and what padding predicts has no target.

    Attributes:
        tokens: (b, T) what is fed.
        keep: (S,) places whose logits are needed by some row.
        targets: (b, S) the token to predict there, `_NO_TARGET` where none is.
        weight: (b, S) 1/R of a row's R targets, 0 elsewhere: the loss of a row is Σ weight·(−log p).
    """

    tokens: torch.Tensor
    keep: torch.Tensor
    targets: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, examples: Sequence[Example], device: torch.device) -> "Padded":
        """Lay the examples out.

        >>> batch = Padded.of([Example((5,), (6, 2)), Example((5, 7), (2,))], torch.device("cpu"))
        >>> batch.tokens.tolist(), batch.targets.tolist()
        ([[5, 6], [5, 7]], [[6, 2], [-100, 2]])
        """
        longest = max(len(e) for e in examples)
        first = min(len(e.prompt_ids) for e in examples) - 1
        tokens = torch.zeros(len(examples), longest, dtype=torch.long)
        targets = torch.full((len(examples), longest), _NO_TARGET, dtype=torch.long)
        for row, example in enumerate(examples):
            ids = torch.tensor((*example.prompt_ids, *example.answer_ids))
            tokens[row, : len(example)] = ids[:-1]
            targets[row, len(example.prompt_ids) - 1 : len(example)] = ids[len(example.prompt_ids) :]
        real = targets != _NO_TARGET
        weight = real / real.sum(1, keepdim=True)
        keep = torch.arange(first, longest)
        return cls(*(t.to(device) for t in (tokens, keep, targets[:, first:], weight[:, first:])))

    def logits(self, call: Any) -> Float[torch.Tensor, "b S V"]:
        """What `call`, a model or what stands for one, says at the kept places."""
        return call(input_ids=self.tokens, use_cache=False, logits_to_keep=self.keep).logits.float()

    def losses(self, logits: Float[torch.Tensor, "b S V"]) -> Float[torch.Tensor, "b"]:
        """Mean of −log p over each row's answer tokens, nats for a token."""
        nll = nn.functional.cross_entropy(
            logits.flatten(0, 1), self.targets.flatten(), ignore_index=_NO_TARGET, reduction="none"
        )
        return (nll.view(self.targets.shape) * self.weight).sum(1)


def batch_gradients(
    model: Any,
    examples: Sequence[Example],
    *,
    projection: Projection | None = None,
    out: Float[torch.Tensor, "b p"] | None = None,
) -> Float[torch.Tensor, "b p"]:
    """The gradient of each example's loss with respect to the adapter's weights: one forward and one backward pass.

    The loss of an example is the mean over its answer's tokens of −log p, and examples do not mix in the sum of their
    losses. A linear map y_t = W x_t in which row b of the batch has the gradient δ_t = ∂loss/∂y_t has

        ∂loss_b/∂W = Σ_t δ_t x_tᵀ,

    so hooks on `lora_A` and `lora_B` that keep x and meet δ see all there is; the layer's scale is in δ already.
    Weights themselves are frozen meanwhile: no sum over the batch is computed only to be thrown away, and the backward
    pass ends at the first adapter.

    Args:
        model: a causal language model with one active LoRA adapter; it is put into evaluation mode, and left as it was.
            The matrices' inputs and δ are taken in its own precision, products and sums are float32.
        examples: b of them, in one pass.
        projection: turns each matrix's gradient into fewer numbers right where it arises.
        out: float32 memory for the result, whatever is in it. New memory is dear: handing out its pages may take a
            system as long as half a pass, so a loop over batches should use the same again, as `gradients_of` does.

    Returns:
        (b, p) float32, columns as `blocks_of` says; `out`, or on the model's device.

    Raises:
        ValueError: as `lora_factors`; an example is too long for the model; `out` has another shape; or a layer with
            an adapter is not fed rows of the batch, as in a mixture of experts.

    Source: SPA (Eq. 1 needs these gradients); hooks as in the sheet's section 9.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> rows = batch_gradients(model, [Example((1, 5), (6, 2)), Example((1,), (7, 8, 2))])
    >>> batch = Padded.of([Example((1, 5), (6, 2)), Example((1,), (7, 8, 2))], torch.device("cpu"))
    >>> weights = [factor.module.weight for factor in lora_factors(model)]
    >>> total = torch.autograd.grad(batch.losses(batch.logits(model)).sum(), weights)
    >>> torch.allclose(rows.sum(0), torch.cat([g.flatten() for g in total]), atol=1e-6)
    True
    """
    factors = lora_factors(model)
    blocks = blocks_of(factors, projection)
    check_length(model, max(len(e) for e in examples))
    device = inner(model).get_input_embeddings().weight.device
    shape = (len(examples), blocks[-1].stop)
    rows = torch.empty(shape, device=device) if out is None else out
    if rows.shape != shape:
        raise ValueError(f"out has the shape {tuple(rows.shape)}, the gradients have {shape}")
    met: set[int] = set()

    def watch(place: int) -> Any:
        here = rows[:, blocks[place].columns]

        def take(x: torch.Tensor, delta: torch.Tensor) -> None:
            x, delta = (t.to(rows.device, torch.float32) for t in (x, delta))
            again = place in met  # a layer may be used twice
            if projection:
                part = projection(place, torch.bmm(delta.mT, x).flatten(1))
                here.copy_(here + part if again else part)
            else:
                here.unflatten(1, blocks[place].shape).baddbmm_(delta.mT, x, beta=int(again))
            met.add(place)

        def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            x = inputs[0].detach()
            if x.dim() != 3 or len(x) != len(examples):
                raise ValueError(
                    f"{factors[place].name} is fed {tuple(x.shape)}, expected ({len(examples)}, tokens, width): the "
                    "adapter sits where examples are mixed, as in experts; choose other target modules"
                )
            if not output.requires_grad:  # no weight asks for a gradient, so the first A is where the graph begins
                output.requires_grad_(True)
            output.register_hook(lambda delta: take(x, delta))

        return hook

    with _frozen(model), torch.enable_grad():
        hooks = [factor.module.register_forward_hook(watch(i)) for i, factor in enumerate(factors)]
        try:
            batch = Padded.of(examples, device)
            batch.losses(batch.logits(model)).sum().backward()
        finally:
            for handle in hooks:
                handle.remove()
    for place in set(range(len(factors))) - met:  # a layer that was not used
        rows[:, blocks[place].columns] = 0
    return rows


def in_batches(
    model: Any, examples: Sequence[Example], batches: Sequence[list[int]], *, projection: Projection | None = None
) -> Iterator[tuple[list[int], Float[np.ndarray, "b p"]]]:
    """`batch_gradients` of one batch after the other, in the same memory: use or copy a batch before the next comes.

    Args:
        model, examples, projection: as `batch_gradients`.
        batches: places of examples, as `plan_batches` gives them.

    Yields:
        the places of a batch, and the rows of their gradients.

    Raises:
        ValueError: as `batch_gradients`.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> examples = [Example((1, 5), (6, 2)), Example((1,), (7, 8, 2)), Example((1,), (2,))]
    >>> [(places, len(rows)) for places, rows in in_batches(model, examples, [[0, 1], [2]])]
    [([0, 1], 2), ([2], 1)]
    """
    if not len(batches):
        return
    width = blocks_of(lora_factors(model), projection)[-1].stop
    memory = torch.empty(max(map(len, batches)), width, device=inner(model).get_input_embeddings().weight.device)
    for places in batches:
        rows = batch_gradients(model, [examples[i] for i in places], projection=projection, out=memory[: len(places)])
        yield places, rows.cpu().numpy()


def gradients_of(
    model: Any, examples: Sequence[Example], *, projection: Projection | None = None, max_tokens: int = MAX_TOKENS
) -> Float[np.ndarray, "n p"]:
    """`batch_gradients` of any number of examples, in memory and in their order. For queries; see `collect` for sets.

    Raises:
        ValueError: as `batch_gradients`, or there is no example.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from mrtlab.training.adapter import with_adapter
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...                      num_attention_heads=2, num_key_value_heads=1)
    >>> model = with_adapter(LlamaForCausalLM(config), rank=1, seed=0)
    >>> examples = [Example((1, 5), (6, 2)), Example((1,), (7, 8, 2)), Example((1,), (2,))]
    >>> apart = gradients_of(model, examples, max_tokens=3)
    >>> apart.shape[0], np.allclose(apart, gradients_of(model, examples), atol=1e-6)
    (3, True)
    """
    if not len(examples):
        raise ValueError("there are no examples: give at least one")
    width = blocks_of(lora_factors(model), projection)[-1].stop
    rows = np.empty((len(examples), width), dtype=np.float32)
    batches = plan_batches(examples, width, max_tokens=max_tokens)
    for places, part in in_batches(model, examples, batches, projection=projection):
        rows[places] = part
    return rows


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """Evaluation mode and no trainable weight; all is put back after."""
    training = [module for module in model.modules() if module.training]
    trainable = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)
        for module in training:
            module.training = True
