"""Which examples go through the model together: of like length, and no more than memory holds."""

from collections.abc import Sequence, Sized

MAX_TOKENS = 4096  # in one pass, padding included
_MAX_NUMBERS = 2**26  # of gradients in one pass: a quarter of a gigabyte


def length_batches(
    lengths: Sequence[int], *, max_tokens: int = MAX_TOKENS, max_rows: int | None = None
) -> list[list[int]]:
    """Places of examples in batches of like length, the longest first: rows times the longest stay in `max_tokens`.

    Like lengths save padding, which on a CPU is what batching gains; the longest first shows at once whether memory
    is enough. An example that is longer than `max_tokens` is a batch of its own.

    Raises:
        ValueError: max_tokens or max_rows is below 1.

    >>> length_batches([2, 9, 3, 4], max_tokens=9)
    [[1], [3, 2], [0]]
    """
    if max_tokens < 1 or (max_rows is not None and max_rows < 1):
        raise ValueError(f"max_tokens and max_rows must be 1 or more, got {max_tokens} and {max_rows}")
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    for i in order:
        fits = batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= max_tokens
        if fits and (max_rows is None or len(batches[-1]) < max_rows):
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def plan_batches(examples: Sequence[Sized], width: int, *, max_tokens: int = MAX_TOKENS) -> list[list[int]]:
    """`length_batches` of examples whose gradients have `width` numbers each, with memory for those bounded, too.

    Args:
        examples: whose `len` is the number of tokens that are fed, as of `mrtlab.spa.gradients.Example`.
        width: of a row of gradients.
        max_tokens: tokens in one pass, padding included.

    Raises:
        ValueError: as `length_batches`.

    >>> plan_batches(["ab", "a"], width=2**26, max_tokens=100)  # a row fills the memory
    [[0], [1]]
    """
    return length_batches([len(e) for e in examples], max_tokens=max_tokens, max_rows=max(1, _MAX_NUMBERS // width))
