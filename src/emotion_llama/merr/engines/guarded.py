"""Runs a stage so that what happens to a clip is said of this clip: the edge at which exceptions become failures."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from emotion_llama.errors import AnnotationError, EmotionLlamaError, MediaError
from emotion_llama.merr.engines import Done, Failed
from emotion_llama.merr.records import StageInput, StageOutput
from emotion_llama.merr.stage import ClipStage


def run_guarded(stage: ClipStage, items: Sequence[StageInput]) -> list[Done]:
    """`stage` over `items`, which it sees at once; one result a clip, in order.

    A fault of the program in a batch is not put down to all of it: each clip is then run alone.
    """
    begun = time.perf_counter()
    try:
        results = stage.run(items)
        if len(results) != len(items):
            raise RuntimeError(f"the stage gave {len(results)} results for {len(items)} clips")
    except Exception as error:  # noqa: BLE001  (the edge of the process: one clip's fault must not end the build)
        if len(items) > 1:
            return [done for item in items for done in run_guarded(stage, [item])]
        results = [error if isinstance(error, EmotionLlamaError) else unexpected(error)]  # type: ignore[list-item]
    seconds = (time.perf_counter() - begun) / len(items)
    return [
        Done(item.clip.clip_id, _checked(result, item), seconds) for item, result in zip(items, results, strict=True)
    ]


def unexpected(error: BaseException) -> Failed:
    """A fault of the program, with its place, so that it can be found."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())[:300]
    return Failed(f"unexpected {type(error).__name__}: {text}{where}; this is a fault of the program, please report it")


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


def _checked(result: object, item: StageInput) -> StageOutput | Failed:
    if isinstance(result, (StageOutput, Failed)):
        return result
    if isinstance(result, EmotionLlamaError):
        return Failed(reason_of(result, item.clip.clip_id, item.clip.path))
    return Failed(f"unexpected result: the stage gave a {type(result).__name__}; this is a fault of the program")
