"""Engines: where a stage's work is done. One interface; local processes and threads, or Ray Data.

An engine is given clips as it asks for them and gives results back as they come, in any order. It never writes to the
store, and nothing that happens to one clip (an error, a fault of the program, a dead or hanging worker) costs another.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Protocol

from emotion_llama.errors import InputError
from emotion_llama.merr.records import StageInput, StageOutput
from emotion_llama.merr.stage import ClipStage


@dataclass(frozen=True)
class Failed:
    """Why there is no output. `reason` begins with what kind of failure it is: `timeout: ...`, `died: ...`."""

    reason: str


@dataclass(frozen=True)
class Done:
    """What became of one clip; `seconds` of work, waiting for a worker left out."""

    clip_id: str
    result: StageOutput | Failed
    seconds: float


@dataclass(frozen=True)
class EngineOptions:
    """How an engine works.

    Attributes:
        workers: processes for stages of the pool "process".
        in_flight: requests at a time for stages of the pool "thread".
        limit_seconds: time after which a clip in a process or thread counts as hanging, for a clip without length.
        limit_factor: seconds more for each second of the clip.
    """

    workers: int = 1
    in_flight: int = 8
    limit_seconds: float = 600.0
    limit_factor: float = 20.0

    def __post_init__(self) -> None:
        if self.workers < 1 or self.in_flight < 1:
            raise InputError(f"expected 1 worker or more, got {self.workers} processes, {self.in_flight} in flight")
        if not (self.limit_seconds > 0 and self.limit_factor >= 0):
            raise InputError(f"expected a time limit above 0 s, got {self.limit_seconds}")

    def limit_for(self, items: list[StageInput]) -> float:
        """Time that these clips may take together, in seconds."""
        return sum(self.limit_seconds + self.limit_factor * (i.clip.duration_seconds or 0.0) for i in items)


class Engine(Protocol):
    """Runs stages over clips; a context manager that ends its workers."""

    def run(self, stage: ClipStage, items: Iterator[StageInput]) -> Generator[list[Done], None, None]:
        """What became of each of `items`, as it is there; an empty list now and then, so that the caller can act.

        `items` is asked for the next clip only when there is room for it. Leaving the iteration ends what is being
        done without waiting for it.
        """

    def __enter__(self) -> Engine:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the workers."""


ENGINES: Mapping[str, str] = {
    "local": "emotion_llama.merr.engines.local:LocalEngine",
    "ray": "emotion_llama.merr.engines.ray_data:RayEngine",
}


def load_engine(name: str, options: EngineOptions) -> Engine:
    """The engine of this name.

    Raises:
        InputError: there is none.
        MissingDependency: its package is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, got {name!r}")
    module, _, cls = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), cls)(options)
    return engine
