"""One run in several processes, as torchrun starts them: which samples are whose, and waiting for all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar

from emotion_llama.errors import InputError

T = TypeVar("T")
MAX_WAIT = timedelta(days=7)  # one process may have much longer clips than another


class Shard(NamedTuple):
    """Process `rank` of `world`; `local_rank` is its number on this machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """The one that scores and writes."""
        return self.rank == 0

    def own(self, blocks: Sequence[T]) -> list[T]:
        """Every `world`-th block from the `rank`-th on."""
        return list(blocks[self.rank :: self.world])

    def device(self) -> str | None:
        """The GPU of this process; None where there is one process or no GPU."""
        if self.world == 1:
            return None
        import torch

        return f"cuda:{self.local_rank}" if torch.cuda.is_available() else "cpu"

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.world == 1:
            return
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=MAX_WAIT)
        dist.barrier()

    def leave(self) -> None:
        """Let the other processes go."""
        if self.world == 1:
            return
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()


def shard_of_environment() -> Shard:
    """From the variables that torchrun sets; the only process where it did not.

    Raises:
        InputError: the variables are no numbers, or the rank is none of the world's.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    texts = [os.environ.get(name, default) for name, default in zip(names, ("0", "1", "0"))]
    if not all(text.isdecimal() for text in texts) or not int(texts[0]) < int(texts[1]):
        raise InputError(f"RANK, WORLD_SIZE and LOCAL_RANK are {', '.join(texts)}; start several processes by torchrun")
    return Shard(*map(int, texts))
