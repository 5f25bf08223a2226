"""Answers that are sent piece by piece, and work that is cancelled when its client goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
# Proxies close a silent connection after 30 to 60 s; a comment line keeps it (HTML standard, server-sent events).
ALIVE_SECONDS = 15.0


def event(name: str, data: object) -> bytes:
    """A server-sent event with JSON on one line."""
    return event_of_json(name, json.dumps(data, ensure_ascii=False))


def event_of_json(name: str, text: str) -> bytes:
    """A server-sent event with what is JSON on one line already."""
    return f"event: {name}\ndata: {text}\n\n".encode()


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; it is cancelled when the client goes away. The body has been read to its end before.

    Raises:
        ClientDisconnect: the client went away.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events; `keep` (an upload's folder) is closed when the last is sent or the client goes away."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], keep: AsyncExitStack | None = None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._keep = keep or AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all events."""
        async with self._keep:
            try:
                await unless_gone(receive, self._send_all(send))
            except ClientDisconnect:  # nobody is left to answer
                return
        # Sent last: when a client has the whole answer, nothing of the request is left on the server.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self._events:
            await send({"type": "http.response.body", "body": piece, "more_body": True})


async def with_signs_of_life(queue: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    """What comes into the queue until None does, and a comment whenever nothing comes for a while."""
    while True:
        try:
            piece = await asyncio.wait_for(queue.get(), ALIVE_SECONDS)
        except asyncio.TimeoutError:
            yield b": still at work\n\n"
            continue
        if piece is None:
            return
        yield piece
