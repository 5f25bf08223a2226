"""Clips measured in child processes: a hostile file costs a child and its own request, and nothing else."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import BackendError, InputError
from emotion_llama.results import Prediction
from emotion_llama.serve.errors import Busy
from emotion_llama.serve.workers.clip_check import GIB, ClipLimits
from emotion_llama.serve.workers.protocol import options_message
from emotion_llama.serve.workers.worker import Analyzed, Answer, ClipPart, Progress
from emotion_llama.serve.workers.worker_pool import WorkerPool

if TYPE_CHECKING:
    from emotion_llama.analysis.options import Options
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.serve.questions import Sample

CHILD_PREDICTORS = ("rules",)  # predictors over measurements, which need no model
MIN_MEMORY_BYTES = 512 << 20  # a warm child has 250 MB resident
_MAX_RETRY_SECONDS = 120.0
_MAX_NAME = 120


@dataclass(frozen=True)
class AskedModel:
    """The model behind an `answer`: what the document is to say about it, and which frame it is shown.

    `AskedModel(predictor.name, predictor.frame_policy, predictor.settings)` of a loaded predictor.
    """

    name: str
    frame_policy: FramePolicy
    settings: Mapping[str, object]


@dataclass(frozen=True)
class PoolState:
    """Counts for /readyz and /metrics; `confined` says whether the kernel keeps children from all but reading."""

    children: int
    ready: int
    working: int
    waiting: int
    replaced: int
    clips: int
    confined: bool = False


class MeasuringPool:
    """Child processes, each with an Analyzer, that measure one clip at a time.

    Used from one event loop. `await start()` before, `await close()` after, or `async with`.

    A child that dies, takes too much, or whose clip is given up is replaced; the others go on. Nothing of a clip stays
    in the server but what it was asked for. What a child sends is checked, but document and page are passed on as they
    are: a page must be served so that no script in it can run (Content-Security-Policy: sandbox).

    Args:
        count: children.
        memory_bytes: resident memory of a child at most. On Linux the server checks every 50 ms and the kernel bounds
            the address space besides; elsewhere the child watches itself.
        seconds: longest work on a clip, waiting for the model not counted ...
        seconds_per_clip_second: ... and so much more for each second that the clip lasts.
        max_waiting: clips that may wait for a child; more are turned away.
        max_clips_per_child: then it is replaced, so that what a library leaks does not add up.
        niceness: of children, so that decoding yields to answering.
        folder: where the pool makes a small folder of its own, which goes when it is closed; by default where temporary
            files go. A killed server leaves it behind.

    Raises:
        InputError: a number is out of range.
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
        niceness: int = 5,
        folder: Path | None = None,
    ) -> None:
        if count < 1 or max_waiting < 0 or max_clips_per_child < 1 or not seconds > 0 or seconds_per_clip_second < 0:
            raise InputError(
                f"a pool has a child or more and time to work, got {count = }, {max_waiting = }, "
                f"{max_clips_per_child = }, {seconds = }, {seconds_per_clip_second = }"
            )
        if memory_bytes < MIN_MEMORY_BYTES:
            raise InputError(f"memory_bytes is {memory_bytes}, a warm child alone takes {MIN_MEMORY_BYTES}")
        self.count = count
        self.memory_bytes = memory_bytes
        self.seconds = seconds
        self.seconds_per_clip_second = seconds_per_clip_second
        self.max_waiting = max_waiting
        self.max_clips_per_child = max_clips_per_child
        self.niceness = niceness
        self.folder = folder
        self._children: WorkerPool | None = None
        self._waiting = 0
        self._clips = 0
        self._mean_seconds = 5.0  # a clip's, moving average; before the first a guess

    async def start(self) -> None:
        """Start the children and wait until all are warm (modules imported, face mesh loaded).

        Raises:
            BackendError: a child does not come up.
        """
        if self._children is None:
            self._children = WorkerPool(
                self.count, self.memory_bytes, self.niceness, self.max_clips_per_child, self.folder
            )
            await self._children.start()

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take no more clips, let those that are worked on finish within `grace_seconds`, end all children."""
        if self._children is not None:
            children, self._children = self._children, None
            await children.close(grace_seconds)

    async def __aenter__(self) -> MeasuringPool:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close(0.0)

    @property
    def state(self) -> PoolState:
        """The counts of this moment."""
        found = self._children
        if found is None:
            return PoolState(self.count, 0, 0, self._waiting, 0, self._clips)
        return PoolState(
            self.count, found.ready, found.working, self._waiting, found.replaced, self._clips, found.is_confined
        )

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
            model: the name of a predictor over measurements ("rules"), which works in the child; or the model that
                `answer` asks.
            answer: returns the model's prediction for one person in one segment. What it raises comes out of this
                call.
            progress: called with the stages "words", "voice", "faces", "reading", "report" and the share done 0..1.
            html: make the page as well.
            curves: the document holds frame-by-frame values.
            limits: what the clip may be.

        Raises:
            ClipRefused: the clip or an option cannot be worked on, or takes too long or too much memory.
            ChildDied: the child ended unasked.
            Busy: too many clips are waiting.
            BackendError: the pool is closed, or the child failed in a way that says nothing of the clip.
            InputError: a model without `answer`, or the other way round; an unknown predictor.
            asyncio.CancelledError: the call was cancelled; the child's work has ended with it.
        """
        if isinstance(model, AskedModel) != (answer is not None):
            raise InputError("a model and `answer` go together; a predictor over measurements takes no `answer`")
        if isinstance(model, str) and model not in CHILD_PREDICTORS:
            raise InputError(f"no predictor {model!r} works in a child; there are: {', '.join(CHILD_PREDICTORS)}")
        limits = limits or ClipLimits()
        request = {
            "type": "analyze",
            "path": str(path.absolute()),
            "shown_name": name_to_show(shown_name or path.name),
            "options": options_message(options),
            "model": {"name": model.name, "frame_policy": model.frame_policy, "settings": dict(model.settings)}
            if isinstance(model, AskedModel)
            else None,
            "html": html,
            "curves": curves,
            "limits": asdict(limits),
            "cpu_seconds": self._cpu_seconds(limits),
        }
        return await self._run(request, answer, progress or (lambda stage, share: None))

    async def measure(
        self,
        path: Path,
        options: Options,
        *,
        policy: FramePolicy,
        shown_name: str = "",
        limits: ClipLimits | None = None,
    ) -> tuple[tuple[ClipPart, ...], tuple[Sample, ...]]:
        """The parts of a clip and what a model would be shown of each, for questions later; otherwise as `analyze`."""
        kept: list[Sample] = []

        async def keep(seen: Sample) -> Prediction:
            kept.append(seen)
            return Prediction(None, None, "", "", "measured", problem="nothing was asked yet")

        model = AskedModel("measured", policy, {})
        analyzed = await self.analyze(path, options, shown_name=shown_name, model=model, answer=keep, limits=limits)
        return analyzed.parts, tuple(kept)

    async def _run(self, request: Mapping[str, Any], answer: Answer | None, progress: Progress) -> Analyzed:
        children = self._children_for_one_more()
        self._waiting += 1
        try:
            worker = await children.acquire()
        finally:
            self._waiting -= 1
        began = time.monotonic()
        try:
            return await worker.run(
                request, answer, progress, seconds=self.seconds, seconds_per_clip_second=self.seconds_per_clip_second
            )
        finally:
            self._clips += 1
            self._mean_seconds += 0.2 * (time.monotonic() - began - self._mean_seconds)
            children.release(worker)

    def _cpu_seconds(self, limits: ClipLimits) -> float:
        """So much that the wall clock ends the work first, unless the server itself hangs."""
        longest = self.seconds + self.seconds_per_clip_second * limits.max_duration_seconds
        return longest * (os.cpu_count() or 1)

    def _children_for_one_more(self) -> WorkerPool:
        if self._children is None:
            raise BackendError("the measuring pool is not started")
        if self._waiting >= self.max_waiting and not self._children.has_free:
            seconds = self._mean_seconds * (self._waiting + 1) / self.count
            raise Busy("clips", self._waiting, min(max(seconds, 1.0), _MAX_RETRY_SECONDS))
        return self._children


def name_to_show(name: str) -> str:
    """A client's name for a file as harmless text: no folders, no control characters, of bearable length."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter if letter.isprintable() else "_" for letter in last).strip(" .")
    stem, dot, suffix = plain.rpartition(".")
    if len(plain) > _MAX_NAME:
        plain = f"{stem[:_MAX_NAME]}{dot}{suffix[:10]}" if stem else plain[:_MAX_NAME]
    return plain or "clip"
