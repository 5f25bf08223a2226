"""What is remembered of clips that chats are about: measured once, forgotten after a while or when there is no room."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotion_llama.predictors.base import Sample
    from emotion_llama.results import Prediction

MAX_BYTES = 1 << 30  # of all clips together, arrays alone; our own choice
_MIN_BYTES = 10_000  # what a clip without arrays is counted as

# Owner, SHA-256, and the options that change what is measured: equal ids give equal measurements.
ClipId = tuple[str, str, tuple[str | None, ...]]


@dataclass(frozen=True, repr=False)
class KnownPerson:
    """One person of a measured clip.

    Attributes:
        seen: what a model is shown; None where none is asked.
        predictions: by model; fills up as models are asked.
        document: the analysis of the clip, as JSON values; where models are asked, their predictions are not in it.
    """

    person_id: int
    start_seconds: float
    end_seconds: float
    seen: Sample | None
    predictions: dict[str, Prediction] = field(default_factory=dict)
    document: dict[str, Any] | None = None


KnownClip = tuple[KnownPerson, ...]  # the main person first
Measure = Callable[[], Awaitable[KnownClip]]


class ClipMemory:
    """Measured clips by id. Used from one event loop; those who ask for the same clip at once share one measurement.

    Args:
        seconds: how long a clip is remembered after it was last asked about.
        max_bytes: memory of all together; the ones asked about least recently are forgotten first.
        clock: seconds that only grow.
    """

    def __init__(
        self, *, seconds: float = 3600.0, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._max_bytes, self._clock = seconds, max_bytes, clock
        self._known: OrderedDict[ClipId, tuple[float, KnownClip]] = OrderedDict()
        self._measuring: dict[ClipId, tuple[asyncio.Task[KnownClip], int]] = {}  # and how many wait for it
        self._forgotten: set[ClipId] = set()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Forget by the clock from now on, also when nobody asks."""
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Forget everything."""
        tasks: list[asyncio.Task[KnownClip] | asyncio.Task[None]] = [task for task, _ in self._measuring.values()]
        if self._sweeper is not None:
            tasks.append(self._sweeper)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)

    @property
    def num_bytes(self) -> int:
        """Memory of all arrays."""
        return sum(num_bytes(clip) for _, clip in self._known.values())

    async def get(self, clip_id: ClipId, measure: Measure) -> KnownClip:
        """The clip, measured now if it is not known. What `measure` raises comes out of every call that waits for it.

        When nobody waits any more (all calls were cancelled), the measurement is cancelled.
        """
        self.sweep()
        if clip_id in self._known:
            _, clip = self._known[clip_id]
            self._keep(clip_id, clip)
            return clip
        task, waiting = self._measuring.get(clip_id) or (asyncio.ensure_future(self._measure(clip_id, measure)), 0)
        self._measuring[clip_id] = task, waiting + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._leave(clip_id, task)

    def put(self, clip_id: ClipId, clip: KnownClip) -> None:
        """Remember a clip that was measured elsewhere."""
        self._keep(clip_id, clip)

    def find(self, clip_id: ClipId) -> KnownClip | None:
        """The clip, if it is known."""
        self.sweep()
        if clip_id not in self._known:
            return None
        _, clip = self._known[clip_id]
        self._keep(clip_id, clip)
        return clip

    def forget(self, owner: str, sha256: str) -> None:
        """Forget an owner's clip, also one that is being measured (those who wait for it still get it)."""
        for clip_id in [one for one in (*self._known, *self._measuring) if one[:2] == (owner, sha256)]:
            self._known.pop(clip_id, None)
            if clip_id in self._measuring:
                self._forgotten.add(clip_id)

    def sweep(self) -> None:
        """Forget what nobody has asked about for too long."""
        oldest = self._clock() - self._seconds
        for clip_id in [one for one, (used, _) in self._known.items() if used <= oldest]:
            del self._known[clip_id]

    async def _measure(self, clip_id: ClipId, measure: Measure) -> KnownClip:
        clip = await measure()
        if clip_id not in self._forgotten:
            self._keep(clip_id, clip)
        return clip

    def _leave(self, clip_id: ClipId, task: asyncio.Task[KnownClip]) -> None:
        entry = self._measuring.get(clip_id)
        if entry is None or entry[0] is not task:
            return
        if entry[1] > 1:
            self._measuring[clip_id] = task, entry[1] - 1
            return
        del self._measuring[clip_id]
        self._forgotten.discard(clip_id)
        task.cancel()  # does nothing where it is done

    def _keep(self, clip_id: ClipId, clip: KnownClip) -> None:
        self._known[clip_id] = self._clock(), clip
        self._known.move_to_end(clip_id)
        while len(self._known) > 1 and self.num_bytes > self._max_bytes:
            self._known.popitem(last=False)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(min(60.0, self._seconds))
            self.sweep()


def num_bytes(clip: KnownClip) -> int:
    """Memory of a clip's arrays."""
    inputs = [person.seen.inputs for person in clip if person.seen is not None and person.seen.inputs is not None]
    arrays = [array for one in inputs for array in (one.image, one.all_faces(), one.samples) if array is not None]
    return _MIN_BYTES + sum(array.nbytes for array in arrays)
