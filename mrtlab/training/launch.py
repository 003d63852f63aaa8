"""What a launcher said to this process, read off the environment: nothing here imports torch."""

import os


def launched() -> tuple[int, int]:
    """Number of this process, and how many `torchrun` or `accelerate launch` started; (0, 1) without a launcher.

    >>> launched()
    (0, 1)
    """
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def sharded() -> bool:
    """Whether accelerate was told to spread the weights over processes (FSDP), a part for each."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
