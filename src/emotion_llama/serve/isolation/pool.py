"""Clips measured in child processes: a hostile file costs a child and its own request, and nothing else."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.errors import BackendError, InputError
from emotion_llama.records import Prediction
from emotion_llama.serve.busy import Busy
from emotion_llama.serve.isolation.crew import Crew
from emotion_llama.serve.isolation.limits import GIB, ClipLimits
from emotion_llama.serve.isolation.protocol import AnalyzeMessage, ModelMessage, OptionsMessage
from emotion_llama.serve.isolation.worker import Answer, Job, Progress, Result

if TYPE_CHECKING:
    from emotion_llama.analysis.options import Options
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.serve.questions import SeenArrays

__all__ = [
    "CHILD_PREDICTORS", "Analyzed", "Answer", "AskedModel", "ClipPart", "Measured", "MeasuringPool", "PoolState",
    "Progress", "name_to_show",
]  # fmt: skip

CHILD_PREDICTORS = ("rules",)  # predictors of measurements alone, which need no model
LEAST_MEMORY_BYTES = 512 << 20  # a warm child has 250 MB resident
_MOST_RETRY_SECONDS = 120.0
_LONGEST_NAME = 120


@dataclass(frozen=True)
class AskedModel:
    """The model behind an `answer`: what the document is to say of it, and which frame it looks at.

    `AskedModel(predictor.name, predictor.frame_policy, predictor.settings)` of a loaded predictor.
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
    """Figures for /readyz and /metrics; `confined` says whether the kernel keeps children from all but reading."""

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
        memory_bytes: resident memory of a child at most. On Linux the server looks every 50 ms and the kernel bounds
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
        if memory_bytes < LEAST_MEMORY_BYTES:
            raise InputError(f"memory_bytes is {memory_bytes}, a warm child alone takes {LEAST_MEMORY_BYTES}")
        self.count = count
        self.memory_bytes = memory_bytes
        self.seconds = seconds
        self.seconds_per_clip_second = seconds_per_clip_second
        self.max_waiting = max_waiting
        self.max_clips_per_child = max_clips_per_child
        self.niceness = niceness
        self.folder = folder
        self._crew: Crew | None = None
        self._waiting = 0
        self._clips = 0
        self._usual_seconds = 5.0  # a clip's, moving average; before the first a guess

    async def start(self) -> None:
        """Start the children and wait until all are warm (modules imported, face mesh loaded).

        Raises:
            BackendError: a child does not come up.
        """
        if self._crew is None:
            self._crew = Crew(self.count, self.memory_bytes, self.niceness, self.max_clips_per_child, self.folder)
            await self._crew.start()

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Take no more clips, let those that are worked on finish within `grace_seconds`, end all children."""
        if self._crew is not None:
            crew, self._crew = self._crew, None
            await crew.close(grace_seconds)

    async def __aenter__(self) -> MeasuringPool:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close(0.0)

    @property
    def state(self) -> PoolState:
        """The figures of this moment."""
        crew = self._crew
        if crew is None:
            return PoolState(self.count, 0, 0, self._waiting, 0, self._clips, False)
        return PoolState(
            self.count, crew.ready, crew.working, self._waiting, crew.replaced, self._clips, crew.is_confined
        )  # fmt: skip

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
            model: the name of a predictor of measurements alone ("rules"), which works in the child; or the model that
                `answer` asks.
            answer: gives the model's answer on what was seen of one person in one segment. What it raises comes out
                of this call.
            progress: hears the stages "words", "voice", "faces", "reading", "report" and the share done 0..1.
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
            raise InputError("a model and `answer` go together; a predictor of measurements alone takes no `answer`")
        if isinstance(model, str) and model not in CHILD_PREDICTORS:
            raise InputError(f"no predictor {model!r} works in a child; there are: {', '.join(CHILD_PREDICTORS)}")
        limits = limits or ClipLimits()
        message = AnalyzeMessage(
            path=str(path.absolute()),
            shown_name=name_to_show(shown_name or path.name),
            options=OptionsMessage.of(options),
            model=_model_message(model) if isinstance(model, AskedModel) else None,
            html=html,
            curves=curves,
            limits=asdict(limits),
            cpu_seconds=self._cpu_seconds(limits),
        )
        result = await self._run(message, answer, progress or _nobody)
        keys = result.clip_keys or ("",) * len(result.parts)
        parts = tuple(
            ClipPart(part.person_id, part.start_seconds, part.end_seconds, key)
            for part, key in zip(result.parts, keys, strict=True)
        )
        return Analyzed(result.document_json, result.html, parts)

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
        kept: list[SeenArrays] = []

        async def keep(seen: SeenArrays) -> Prediction:
            kept.append(seen)
            return Prediction(None, None, "", "", "measured", problem="nothing was asked yet")

        analyzed = await self.analyze(
            path, options, shown_name=shown_name, model=AskedModel("measured", policy, {}), answer=keep,
            progress=progress, limits=limits,
        )  # fmt: skip
        return Measured(analyzed.document_json, tuple(kept), analyzed.parts)

    async def _run(self, message: AnalyzeMessage, answer: Answer | None, progress: Progress) -> Result:
        crew = self._crew_for_one_more()
        self._waiting += 1
        try:
            worker = await crew.lend()
        finally:
            self._waiting -= 1
        began = time.monotonic()
        try:
            return await worker.run(Job(message, answer, progress, self.seconds, self.seconds_per_clip_second))
        finally:
            self._clips += 1
            self._usual_seconds += 0.2 * (time.monotonic() - began - self._usual_seconds)
            crew.give_back(worker)

    def _cpu_seconds(self, limits: ClipLimits) -> float:
        """So much that the clock strikes first, unless the server itself has stopped looking at it."""
        longest = self.seconds + self.seconds_per_clip_second * limits.max_duration_seconds
        return longest * (os.cpu_count() or 1)

    def _crew_for_one_more(self) -> Crew:
        if self._crew is None:
            raise BackendError("the measuring pool is not started")
        if self._waiting >= self.max_waiting and not self._crew.has_free:
            seconds = self._usual_seconds * (self._waiting + 1) / self.count
            raise Busy("clips", self._waiting, min(max(seconds, 1.0), _MOST_RETRY_SECONDS))
        return self._crew


def name_to_show(name: str) -> str:
    """A client's name for a file as harmless text: no folders, no control characters, of bearable length."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter if letter.isprintable() else "_" for letter in last).strip(" .")
    stem, dot, suffix = plain.rpartition(".")
    if len(plain) > _LONGEST_NAME:
        plain = f"{stem[:_LONGEST_NAME]}{dot}{suffix[:10]}" if stem else plain[:_LONGEST_NAME]
    return plain or "clip"


def _model_message(model: AskedModel) -> ModelMessage:
    return ModelMessage(name=model.name, frame_policy=model.frame_policy, settings=dict(model.settings))


def _nobody(stage: str, share: float) -> None:
    """Progress that nobody hears."""
