"""Tests of language models: small, on the CPU, and the same numbers each time."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread_and_the_same_draws():
    """Tiny matrices gain nothing from threads, and lose much where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)
