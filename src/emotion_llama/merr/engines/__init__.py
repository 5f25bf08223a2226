"""Engines: where a stage's work is done: local processes and threads, or Ray Data (`local.py`, `ray_data.py`).

An engine is given clips as it asks for them and gives results back as they come, in any order. It never writes to the
store, and nothing that happens to one clip (an error, a fault of the program, a dead or hanging worker) costs another.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MediaError
from emotion_llama.merr.records import StageInput, StageOutput
from emotion_llama.merr.stage import Stage


class Done(NamedTuple):
    """What became of one clip: its output, or the reason why there is none; `seconds` of work, without waiting.

    A reason begins with what kind of failure it is: `timeout: ...`, `died: ...`.
    """

    clip_id: str
    result: StageOutput | str
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


def run_guarded(stage: Stage, items: Sequence[StageInput]) -> list[Done]:
    """`stage` over `items`, which it sees at once; one result a clip, in order.

    A fault of the program in a batch is not put down to all of it: each clip is then run alone, unless the stage needs
    all of them.
    """
    begun = time.perf_counter()
    try:
        results: Sequence[object] = stage.run(items)
        if len(results) != len(items):
            raise RuntimeError(f"the stage gave {len(results)} results for {len(items)} clips")
    except Exception as error:  # noqa: BLE001  (the edge of the process: one clip's fault must not end the build)
        if len(items) > 1 and not stage.sees_all:
            return [done for item in items for done in run_guarded(stage, [item])]
        results = [error if isinstance(error, EmotionLlamaError) else unexpected(error)] * len(items)
    seconds = (time.perf_counter() - begun) / max(1, len(items))
    return [
        Done(item.clip.clip_id, _checked(result, item), seconds) for item, result in zip(items, results, strict=True)
    ]


def _checked(result: object, item: StageInput) -> StageOutput | str:
    if isinstance(result, EmotionLlamaError):
        return reason_of(result, item.clip.clip_id, item.clip.path)
    if isinstance(result, StageOutput) or (isinstance(result, str) and result.startswith("unexpected ")):
        return result
    return f"unexpected result: the stage gave a {type(result).__name__}; this is a fault of the program"


def unexpected(error: BaseException) -> str:
    """The reason that a fault of the program is recorded with, with its place, so that it can be found."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())[:300]
    return f"unexpected {type(error).__name__}: {text}{where}; this is a fault of the program, please report it"


def reason_of(error: EmotionLlamaError, *names: str | None) -> str:
    """A failure's reason, without the clip's path or other `names` in front: the row says which clip it is."""
    if isinstance(error, MediaError):
        return error.problem + (f"; {error.hint}" if error.hint else "")
    if isinstance(error, AnnotationError):
        return f"{error.kind}: {error.message}"
    text = str(error)
    for name in filter(None, names):
        text = text.removeprefix(f"{name}: ")
    return text
