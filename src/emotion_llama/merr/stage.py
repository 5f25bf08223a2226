"""What a stage is, what it is given and gives for one clip, and how it is run so that one clip's fault is its own.

A stage's work for a clip is done when the ledger holds a run whose fingerprint is still that of its name, version,
settings and what the stages it needs have put out. Everything a stage's output depends on is therefore in `settings`
or comes from a stage in `needs`; nothing else may be read.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from emotion_llama.errors import AnnotationError, EmotionLlamaError, MediaError
from emotion_llama.merr.records import ClipRow, Described, Field, FieldKey, Scope

if TYPE_CHECKING:
    from emotion_llama.merr.annotators import Annotator

# process: CPU work on media, in worker processes; thread: waits for servers; main: a model that one thread holds;
# inline: too quick to hand over.
Pool = Literal["process", "thread", "main", "inline"]

# What of a clip a stage may read beside the media. A stage that reads less names it in `reads_clip`.
GIVEN_FACTS: tuple[str, ...] = (
    "source", "person", "given_label", "given_subtitle", "subtitle_source", "subtitle_language", "given_split",
    "stated_frame_count",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class StageInput(Described):
    """One clip as a stage sees it: what the stages it needs have said, and the artifacts it asked for."""

    clip: ClipRow
    fields: Mapping[FieldKey, Field] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"StageInput({self.clip.clip_id}, {sorted(self.fields)}, {sorted(self.artifacts)})"


@dataclass(frozen=True, repr=False)
class StageOutput:
    """What a stage says of one clip.

    Attributes:
        fields: each name and language once.
        artifacts: files that it made, by their name within the clip with its suffix ("peak_frame.png").
        drop: the clip leaves the whole data set, or its fine-grained part, here: the reason, and which.
    """

    fields: tuple[Field, ...] = ()
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    drop: tuple[str, Scope] | None = None

    def __repr__(self) -> str:
        return f"StageOutput({[f.name for f in self.fields]}, {sorted(self.artifacts)}, drop={self.drop})"


Results: TypeAlias = list[StageOutput | EmotionLlamaError]


class Stage:
    """A step of a build. Instances travel to worker processes: they are small and picklable.

    Attributes:
        name: in the ledger and in recipes.
        version: raised when the code gives other results for the same input and settings.
        needs: stages whose fields it reads; a clip that one of them failed or dropped (scope "all") never comes here.
        settings: what its output depends on beyond its input, as JSON values; no secrets.
        reads_clip: what of the clip itself it reads.
        reads_artifacts: names of the artifacts it wants as bytes.
        sees_all: it is given all clips at once, by id (sampling, balance, splits); deterministic, quick, run in the
            building process.
        pool: where it runs.
        batch_size: clips it is given at once; 1 unless a model is quicker with more.
        annotator: whom it asks, if anybody.
    """

    name: str
    version: int = 1
    needs: tuple[str, ...] = ()
    settings: Mapping[str, object]
    reads_clip: tuple[str, ...] = GIVEN_FACTS
    reads_artifacts: tuple[str, ...] = ()
    sees_all: bool = False
    pool: Pool = "inline"
    batch_size: int = 1
    annotator: Annotator | None = None

    def run(self, items: Sequence[StageInput]) -> Results:
        """One output, or the error, for each clip in order. An error of one clip never costs another its output."""
        results: Results = []
        for item in items:
            try:
                results.append(self.one(item))
            except EmotionLlamaError as error:  # noqa: PERF203  (an error is one clip's alone)
                results.append(error)
        return results

    def one(self, item: StageInput) -> StageOutput:
        """The output for one clip; an error that the package raises on purpose is that clip's result."""
        raise NotImplementedError


class Done(NamedTuple):
    """What became of one clip, and the seconds of work, without waiting.

    The result is its output; the reason why there is none, which begins with its kind (`timeout: ...`, `died: ...`);
    or None where the build was stopped before it was through, and nothing is recorded.
    """

    clip_id: str
    result: StageOutput | str | None
    seconds: float


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
        results = [error] * len(items)
    seconds = (time.perf_counter() - begun) / max(1, len(items))
    return [Done(item.clip.clip_id, _result(found, item.clip), seconds) for item, found in zip(items, results)]


def _result(found: object, clip: ClipRow) -> StageOutput | str | None:
    if isinstance(found, StageOutput):
        return found
    if isinstance(found, AnnotationError) and found.kind == "interrupted":
        return None
    if isinstance(found, EmotionLlamaError):
        return reason_of(found, clip.clip_id, clip.path)
    if isinstance(found, Exception):
        return unexpected(found)
    return f"unexpected result: the stage gave a {type(found).__name__}; this is a fault of the program"


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
