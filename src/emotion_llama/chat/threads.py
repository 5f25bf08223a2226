"""How many threads a model on the CPU computes with: small ones lose more by sharing than they gain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# Our own choice. A step of the nano model (6 million parameters) takes a few milliseconds, cut into hundreds of
# operations that end in a barrier each; where another process holds one of the cores, every barrier waits for it.
SMALL_PARAMETERS = 50_000_000


def threads_for(num_parameters: int, device: str) -> int | None:
    """Threads for a model of that size; None leaves torch's own choice."""
    return 1 if device == "cpu" and num_parameters < SMALL_PARAMETERS else None


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Within, torch computes with at most `count` threads; None changes nothing."""
    import torch

    before = torch.get_num_threads()
    if count is None or count >= before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
