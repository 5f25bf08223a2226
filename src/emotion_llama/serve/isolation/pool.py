"""Clips measured in child processes: a hostile file costs a child and its own request, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.records import Prediction
from emotion_llama.serve.isolation.limits import GIB, ClipLimits

if TYPE_CHECKING:
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.pipeline.options import Options
    from emotion_llama.serve.questions import SeenArrays

Answer = Callable[["SeenArrays"], Awaitable[Prediction]]
Progress = Callable[[str, float], None]  # stage, share done 0..1; called on the event loop


@dataclass(frozen=True)
class AskedModel:
    """The model behind an `answer`: what the document is to say of it, and which frame it looks at.

    `AskedModel(reader.name, reader.frame_policy, reader.settings)` of a loaded reader.
    """

    name: str
    frame_policy: FramePolicy
    settings: Mapping[str, object]


@dataclass(frozen=True)
class ClipPart:
    """One person in one segment of an analysed clip, and the key of what the model saw of it.

    `clip_key` is the SHA-256 of the pictures, crops and samples that were handed to `answer` (so that equal keys mean
    equal features, and no file can pass for another); "" where no model was asked.
    """

    person_id: int
    start_seconds: float
    end_seconds: float
    clip_key: str


@dataclass(frozen=True, repr=False)
class Analyzed:
    """A finished analysis: the published document as JSON, the page where it was asked for, and its parts in order.

    `parts` go person by person, the main person first, segment by segment.
    """

    document_json: str
    html: str | None
    parts: tuple[ClipPart, ...]

    @property
    def clip_keys(self) -> tuple[str, ...]:
        """The keys of `parts`."""
        return tuple(part.clip_key for part in self.parts)


@dataclass(frozen=True, repr=False)
class Measured:
    """A clip measured for later questions: the document (its predictions say that nothing was asked), what was seen."""

    document_json: str
    seen: tuple[SeenArrays, ...]
    parts: tuple[ClipPart, ...]


@dataclass(frozen=True)
class PoolState:
    """Figures for /readyz and /metrics."""

    children: int
    ready: int
    working: int
    waiting: int
    replaced: int
    clips: int


class MeasuringPool:
    """Child processes, each with an Analyzer, that measure one clip at a time.

    Used from one event loop. `await start()` before, `await close()` after, or `async with`.
    """

    def __init__(
        self,
        count: int = 2,
        *,
        memory_bytes: int = 2 * GIB,
        seconds: float = 120.0,
        seconds_per_clip_second: float = 2.0,
        max_waiting: int = 16,
        max_clips_per_child: int = 200,
    ) -> None: ...

    async def start(self) -> None:
        """Start the children and wait until all are warm (modules imported, face mesh loaded).

        Raises:
            BackendError: a child does not come up.
        """

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take no more clips, let those that are worked on finish within `grace_seconds`, end all children."""

    @property
    def state(self) -> PoolState: ...

    async def analyze(
        self,
        path: Path,
        options: Options,
        *,
        shown_name: str = "",
        model: str | AskedModel = "rules",
        answer: Answer | None = None,
        progress: Progress | None = None,
        html: bool = False,
        curves: bool = True,
        limits: ClipLimits | None = None,
    ) -> Analyzed:
        """Analyse one clip in a child.

        Args:
            path: the clip, a file of the server's own; its folder holds nothing that is not of this request.
            options: as `emotion-llama analyze`'s.
            shown_name: what document, page and messages call the clip; "" is the path's own name.
            model: the name of a reader of measurements alone ("rules"), which works in the child; or the model that
                `answer` asks.
            answer: gives the model's answer on what was seen of one person in one segment. What it raises comes out
                of this call.
            progress: hears the stages "words", "voice", "faces", "reading", "report".
            html: make the page as well.
            curves: the document holds frame-by-frame values.
            limits: what the clip may be.

        Raises:
            ClipRefused: the clip or an option cannot be worked on, or takes too long or too much memory.
            ChildDied: the child ended unasked.
            Busy: too many clips are waiting.
            asyncio.CancelledError: the call was cancelled; the child's work has ended with it.
        """

    async def measure(
        self,
        path: Path,
        options: Options,
        *,
        policy: FramePolicy,
        shown_name: str = "",
        progress: Progress | None = None,
        limits: ClipLimits | None = None,
    ) -> Measured:
        """What a model would be shown, for questions later; arguments and errors as `analyze`."""
