"""Cards that people train on: memory, speed, and which number formats they know.

Where the numbers of `CARDS` are from: the makers' data sheets and white papers (NVIDIA T4, L4, A10G as Amazon lists it,
A100, H100 SXM and H200 SXM data sheets; GA102 and Ada white papers for the RTX 3090 and 4090). Data sheet, not measured
by us. Rates are those of dense matrix products that add up in single precision, without the sparsity that data sheets
like to count in; float32 is without TF32, PyTorch's default. Memory is counted in 10⁹ bytes per advertised GB, a little
less than some of these cards really offer.
"""

import os
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

METHODS = ("lora", "full", "4bit")
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
DATA_SHEET = "data sheet, not measured by us"
MEASURED = "measured here"
_SIZE = {"cpu": 1024, "cuda": 4096}  # of the square matrices whose product is timed
_GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card can hold and how fast it is.

    Attributes:
        name: as people say it.
        memory: bytes.
        float32, float16, bfloat16: FLOP/s of large matrix products in that format; None where it has no unit for it.
        bandwidth: bytes/s between memory and the card's units.
        source: where the numbers are from.
        kind: "cuda" or "cpu".
    """

    name: str
    memory: float
    float32: float
    float16: float | None
    bfloat16: float | None
    bandwidth: float
    source: str = DATA_SHEET
    kind: Literal["cuda", "cpu"] = "cuda"

    @property
    def native_bf16(self) -> bool:
        """Whether products in bfloat16 run at full speed."""
        return self.bfloat16 is not None

    def rate(self, dtype: str) -> float:
        """FLOP/s of large matrix products in a format.

        Raises:
            ValueError: the card has no unit for it.

        >>> CARDS["T4"].rate("float16") / 1e12
        65.0
        """
        found = {"float32": self.float32, "float16": self.float16, "bfloat16": self.bfloat16}.get(dtype)
        if found is None:
            raise ValueError(f"{self.name} has no unit for products in {dtype}: use {_known(self)}")
        return found


def _card(name: str, gb: float, single: float, half: float, gbs: float, *, bf16: bool = True) -> Card:
    """A card from the numbers of its data sheet: GB, TFLOP/s, GB/s."""
    return Card(
        name=name,
        memory=gb * _GB,
        float32=single * 1e12,
        float16=half * 1e12,
        bfloat16=half * 1e12 if bf16 else None,
        bandwidth=gbs * 1e9,
    )


CARDS: dict[str, Card] = {
    card.name: card
    for card in (
        _card("T4", 16, 8.1, 65, 320, bf16=False),
        _card("L4", 24, 30.3, 121, 300),
        _card("A10G", 24, 35, 70, 600),
        _card("RTX 3090", 24, 35.6, 71, 936),
        _card("RTX 4090", 24, 82.6, 165, 1008),
        _card("A100 40GB", 40, 19.5, 312, 1555),
        _card("A100 80GB", 80, 19.5, 312, 2039),
        _card("H100", 80, 67, 989, 3350),
        _card("H200", 141, 67, 989, 4800),
    )
}


def find_card(name: str) -> Card:
    """The card of a name, written as people like: "t4", "a100-80gb", "RTX4090", "H100 SXM"; "here" for this machine.

    Raises:
        ValueError: no such card in the table.

    >>> find_card("rtx4090").name, find_card("Tesla T4").name, find_card("NVIDIA A100-SXM4-80GB").name
    ('RTX 4090', 'T4', 'A100 80GB')
    """
    if name.strip().lower() in ("here", "this", "cpu"):
        return this_card("cpu" if name.strip().lower() == "cpu" else "auto")
    found = _matched(name)
    if found is None:
        raise ValueError(f"no card {name!r} in the table: choose from here, {', '.join(CARDS)}")
    return found


def this_card(device: str = "auto") -> Card:
    """The card of this machine: a CUDA device if there is one, else the CPU.

    A CUDA device is looked up in the table by its name, and its memory is what the driver says. One that is not in the
    table, and a CPU, are timed: a product of square matrices, and a copy, well below a second.

    Args:
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: "cuda" where there is none.
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but PyTorch finds no GPU here: use 'cpu' or 'auto'")
    if device == "cpu" or not torch.cuda.is_available():
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        threads = torch.get_num_threads()
        return Card(
            name=f"this CPU, {threads} thread" + "s" * (threads > 1),
            memory=float(memory), float32=matrix_rate("cpu", "float32"), float16=None, bfloat16=None,
            bandwidth=_bandwidth("cpu"), source=MEASURED, kind="cpu",
        )  # fmt: skip
    found = torch.cuda.get_device_properties(0)
    known, memory = _matched(found.name), float(found.total_memory)
    if known is not None:
        return Card(
            name=found.name, memory=memory, float32=known.float32, float16=known.float16, bfloat16=known.bfloat16,
            bandwidth=known.bandwidth, source=f"{DATA_SHEET}; memory as the driver says",
        )  # fmt: skip
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return Card(
        name=found.name, memory=memory, float32=matrix_rate("cuda", "float32"),
        float16=matrix_rate("cuda", "float16"), bfloat16=matrix_rate("cuda", "bfloat16") if native else None,
        bandwidth=_bandwidth("cuda"), source=MEASURED,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Precision:
    """What is kept in which format.

    Attributes:
        weights: of the model, "float32", "bfloat16", "float16" or "nf4", four bits with a scale for every 64 weights.
        autocast: format of matrix products, None where they run in that of the weights.
        trained: format of what is trained, and of its gradients and of AdamW's two averages.
        loss_scaling: whether losses are scaled up, so that small gradients do not vanish in float16.
        why: the reason, one sentence or two.
    """

    weights: str
    autocast: str | None
    trained: str
    loss_scaling: bool
    why: str

    @property
    def products(self) -> str:
        """Format of the matrix products, which decides the rate."""
        return self.autocast or ("bfloat16" if self.weights == "nf4" else self.weights)


def precision(card: Card, method: str) -> Precision:
    """Which formats to train in on a card, and why.

    Args:
        card: see `CARDS` and `this_card`.
        method: "lora", "full", or "4bit", an adapter over weights of four bits.

    Raises:
        ValueError: an unknown method, or four bits without a GPU or without bitsandbytes.

    >>> precision(CARDS["T4"], "lora").autocast, precision(CARDS["A100 40GB"], "lora").weights
    ('float16', 'bfloat16')
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose from lora, full, 4bit")
    if method == "4bit" and card.kind != "cuda":
        raise ValueError("four bits need a CUDA GPU: use lora or full on a CPU")
    return _PRECISION["cpu" if card.kind == "cpu" else "bf16" if card.native_bf16 else "fp16"][method]


def four_bits_here() -> bool:
    """Whether four-bit weights can be used on this machine: bitsandbytes is installed and there is a CUDA GPU."""
    if find_spec("bitsandbytes") is None or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


_ADAPTER = "The adapter stays in float32, since its small steps would be lost in sixteen bits"
_T4 = "No native bfloat16 here, so products run in float16 with loss scaling"
_FULL = "Weights and AdamW's averages stay in float32, since small steps would be lost in sixteen bits"
_FOUR = "The frozen weights take four bits each, and are unpacked layer by layer for the products"
_PRECISION: dict[str, dict[str, Precision]] = {
    "cpu": {
        "lora": Precision(
            weights="float32", autocast=None, trained="float32", loss_scaling=False,
            why="A CPU works in float32: it is exact, and sixteen bits are rarely faster there.",
        ),
        "full": Precision(
            weights="float32", autocast=None, trained="float32", loss_scaling=False,
            why="A CPU works in float32: it is exact, and sixteen bits are rarely faster there.",
        ),
    },
    "fp16": {
        "lora": Precision(
            weights="float16", autocast="float16", trained="float32", loss_scaling=True, why=f"{_T4}. {_ADAPTER}."
        ),
        "full": Precision(
            weights="float32", autocast="float16", trained="float32", loss_scaling=True, why=f"{_T4}. {_FULL}."
        ),
        "4bit": Precision(
            weights="nf4", autocast="float16", trained="float32", loss_scaling=True,
            why=f"{_T4}. {_FOUR}. {_ADAPTER}.",
        ),
    },
    "bf16": {
        "lora": Precision(
            weights="bfloat16", autocast="bfloat16", trained="float32", loss_scaling=False,
            why=f"bfloat16 is native here and has the range of float32, so no loss scaling. {_ADAPTER}.",
        ),
        "full": Precision(
            weights="float32", autocast="bfloat16", trained="float32", loss_scaling=False,
            why=f"bfloat16 is native here and has the range of float32, so no loss scaling. {_FULL}.",
        ),
        "4bit": Precision(
            weights="nf4", autocast="bfloat16", trained="float32", loss_scaling=False,
            why=f"bfloat16 is native here and has the range of float32, so no loss scaling. {_FOUR}. {_ADAPTER}.",
        ),
    },
}  # fmt: skip


def matrix_rate(device: str, dtype: str, *, size: int | None = None) -> float:
    """FLOP/s of a square matrix product here: 2·size³ over the median time of some.

    On a CPU it is time of the process that counts, over its threads, so that neighbours on the machine do not.

    Args:
        device: "cpu" or "cuda".
        dtype: "float32", "float16" or "bfloat16".
        size: of the matrices; None takes one that is large enough for the device.
    """
    import torch

    n = size or _SIZE[device]
    a, b = (torch.randn(n, n, device=device).to(getattr(torch, dtype)) for _ in range(2))
    return 2 * n**3 / _seconds(device, lambda: a @ b)


def _bandwidth(device: str) -> float:
    """Bytes/s of a copy, read and written."""
    import torch

    a = torch.ones(16_000_000, device=device)
    b = torch.empty_like(a)
    return 2 * a.nbytes / _seconds(device, lambda: b.copy_(a))


def _seconds(device: str, run: Callable[[], object]) -> float:
    """The median of some runs, after two to get warm."""
    import torch

    def now() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time() / torch.get_num_threads()

    taken = []
    for _ in range(7):
        start = now()
        run()
        taken.append(now() - start)
    return max(statistics.median(taken[2:]), 1e-9)


def _matched(name: str) -> Card | None:
    """The card of the table that a name speaks of: its words, whole, with or without spaces between. Slower versions
    for laptops and of the H100 with a PCIe plug are other cards."""
    said = re.sub(r"[^a-z0-9]+", " ", name.lower())
    if "laptop" in said or re.search(r"h100 ?(pcie|nvl)", said):
        return None
    if re.search(r"\ba100\b", said):
        return CARDS["A100 80GB" if re.search(r"\b80 ?gb\b", said) else "A100 40GB"]
    written = {card: card.name.lower().replace(" ", " ?") for card in CARDS.values()}
    return next((card for card, words in written.items() if re.search(rf"\b{words}\b", said)), None)


def _known(card: Card) -> str:
    return ", ".join(d for d in DTYPE_BYTES if getattr(card, d) is not None)
