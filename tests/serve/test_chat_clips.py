"""What is remembered of clips: measured once, shared by those who wait, forgotten by time, room and wish."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors.base import Sample
from emotion_llama.results import Missing
from emotion_llama.serve.clips import ClipId, ClipMemory, KnownClip, KnownPerson


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def clip_id(name: str = "a", owner: str = "me", how: str = "first") -> ClipId:
    return (owner, name, (how, "main", None))


def known(num_faces: int = 0) -> KnownClip:
    missing = (Missing("frame", "none"), Missing("faces", "none"), Missing("sound", "none"))
    faces = np.zeros((num_faces, 10, 10, 3), np.uint8) if num_faces else None
    seen = Sample(None, ClipInputs(faces=faces, missing=missing), None, "hm", "")
    return (KnownPerson(1, 0.0, 1.0, seen),)


async def settled() -> None:
    """Let all tasks of the loop run until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


class Measuring:
    """Counts, waits for a sign, and may fail."""

    def __init__(self, clip: KnownClip | Exception) -> None:
        self.clip = clip
        self.count = self.cancelled = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> KnownClip:
        self.count += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.clip, Exception):
            raise self.clip
        return self.clip


def at_once(clip: KnownClip) -> Callable[[], Awaitable[KnownClip]]:
    async def measure() -> KnownClip:
        return clip

    return measure


async def unexpected() -> KnownClip:
    raise AssertionError("measured again")


def test_measured_once_for_all_who_wait() -> None:
    async def run() -> None:
        memory, measuring = ClipMemory(), Measuring(known())
        calls = [asyncio.create_task(memory.get(clip_id(), measuring)) for _ in range(5)]
        await settled()
        measuring.may_end.set()
        assert await asyncio.gather(*calls) == [measuring.clip] * 5
        assert measuring.count == 1
        assert await memory.get(clip_id(), unexpected) is measuring.clip

    asyncio.run(run())


def test_others_do_not_share() -> None:
    async def run() -> None:
        memory = ClipMemory()
        mine, theirs, otherwise = known(), known(), known()
        await memory.get(clip_id(), at_once(mine))
        assert await memory.get(clip_id(owner="you"), at_once(theirs)) is theirs
        assert await memory.get(clip_id(how="peak"), at_once(otherwise)) is otherwise
        assert len(memory) == 3

    asyncio.run(run())


def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    async def run() -> None:
        memory, measuring = ClipMemory(), Measuring(known())
        calls = [asyncio.create_task(memory.get(clip_id(), measuring)) for _ in range(3)]
        await settled()
        calls[0].cancel()
        await settled()
        assert measuring.cancelled == 0
        measuring.may_end.set()
        assert await calls[1] is await calls[2]

    asyncio.run(run())


def test_when_all_have_left_the_work_ends_and_can_begin_again() -> None:
    async def run() -> None:
        memory, measuring = ClipMemory(), Measuring(known())
        calls = [asyncio.create_task(memory.get(clip_id(), measuring)) for _ in range(2)]
        await settled()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await settled()
        assert (measuring.cancelled, len(memory)) == (1, 0)
        assert await memory.get(clip_id(), at_once(known())) is not None

    asyncio.run(run())


def test_an_error_reaches_all_and_is_not_remembered() -> None:
    async def run() -> None:
        memory, measuring = ClipMemory(), Measuring(ValueError("damaged"))
        calls = [asyncio.create_task(memory.get(clip_id(), measuring)) for _ in range(2)]
        await settled()
        measuring.may_end.set()
        for call in calls:
            with pytest.raises(ValueError, match="damaged"):
                await call
        assert len(memory) == 0
        assert await memory.get(clip_id(), at_once(known())) is not None

    asyncio.run(run())


def test_forgotten_by_the_clock_counted_from_the_last_question() -> None:
    async def run() -> None:
        clock = Clock()
        memory = ClipMemory(seconds=10, clock=clock)
        await memory.get(clip_id(), at_once(known()))
        clock.now += 9
        await memory.get(clip_id(), unexpected)
        clock.now += 9
        await memory.get(clip_id(), unexpected)
        clock.now += 10
        again = known()
        assert await memory.get(clip_id(), at_once(again)) is again

    asyncio.run(run())


def test_forgotten_though_nobody_asks() -> None:
    async def run() -> None:
        memory = ClipMemory(seconds=0.05)
        await memory.start()
        await memory.get(clip_id(), at_once(known()))
        while len(memory):
            await asyncio.sleep(0.01)
        await memory.close()

    asyncio.run(run())


def test_least_asked_about_go_first_when_there_is_no_room() -> None:
    async def run() -> None:
        # 100 faces of 10 x 10 x 3 bytes are 30,000 bytes, with the 10,000 of any clip 40,000.
        memory = ClipMemory(max_bytes=80_000)
        for name in "ab":
            await memory.get(clip_id(name), at_once(known(100)))
        assert memory.num_bytes == 80_000
        await memory.get(clip_id("a"), unexpected)
        await memory.get(clip_id("c"), at_once(known(100)))
        await memory.get(clip_id("a"), unexpected)
        again = known(1000)  # larger than all the room: kept alone, for the follow-up
        assert await memory.get(clip_id("b"), at_once(again)) is again
        assert len(memory) == 1

    asyncio.run(run())


def test_forgotten_when_its_owner_says_so() -> None:
    async def run() -> None:
        memory, measuring = ClipMemory(), Measuring(known())
        await memory.get(clip_id(), at_once(known()))
        await memory.get(clip_id(how="peak"), at_once(known()))
        await memory.get(clip_id(owner="you"), at_once(known()))
        call = asyncio.create_task(memory.get(clip_id("b"), measuring))
        await settled()
        memory.forget("me", "a")
        memory.forget("me", "b")
        assert len(memory) == 1
        measuring.may_end.set()
        assert await call is measuring.clip
        assert len(memory) == 1  # who waited got it, and it was not kept
        await memory.get(clip_id("b"), at_once(known()))
        assert len(memory) == 2

    asyncio.run(run())


def test_closed_while_somebody_waits() -> None:
    async def run() -> None:
        memory, measuring = ClipMemory(), Measuring(known())
        await memory.start()
        call = asyncio.create_task(memory.get(clip_id(), measuring))
        await settled()
        await memory.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert measuring.cancelled == 1

    asyncio.run(run())
