"""Bodies of requests: no larger than allowed, no slower than allowed, and read to the end before an early answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotion_llama.serve.answers import send_problem
from emotion_llama.serve.problems import Problem, busy
from emotion_llama.serve.settings import MIB, ServeSettings

# Of a body that is answered before it was read (a wrong key, too large a file) so long is read and dropped: a client
# that is still sending would find its connection cut, and never see the answer.
DRAIN_SECONDS = 3.0
# What surrounds a file in a multipart body: headers of parts, options, a transcript.
AROUND_BYTES = 4 * MIB
# Bodies that are no files are held in memory until they are answered: so many of the largest size, of all clients.
HELD_BODIES = 8


class BodyGuard:
    """ASGI middleware: limits of size and pace. What reads the body gets a Problem (413 or 408)."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._settings = settings
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request whose body is watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            # No body (RFC 9112, 6.3). An answer that listens for its client's going away must not meet a second reader.
            await self._app(scope, receive, send)
            return
        is_multipart = headers.get("content-type", "").lower().startswith("multipart/")
        limit = self._settings.max_upload_bytes + AROUND_BYTES if is_multipart else self._settings.max_json_bytes
        expects = headers.get("expect", "").lower() == "100-continue"
        body = _Body(receive, limit, self._settings, expects=expects, hold=None if is_multipart else self._hold)

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and not await body.drain():
                # What is left of the body is never read: nothing can follow it on this connection.
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            await send_problem(_too_large(limit), scope, body.receive, send_after_body)
            return
        try:
            await self._app(scope, body.receive, send_after_body)
        finally:
            self._held_bytes -= body.held_bytes

    def _hold(self, num_bytes: int) -> None:
        if self._held_bytes + num_bytes > HELD_BODIES * self._settings.max_json_bytes:
            raise busy("too many large bodies are being worked on; upload files, or try again later", 2.0)
        self._held_bytes += num_bytes


class _Body:
    """One body on its way in."""

    def __init__(
        self,
        receive: Receive,
        limit: int,
        settings: ServeSettings,
        *,
        expects: bool,
        hold: Callable[[int], None] | None,
    ) -> None:
        self.held_bytes = 0
        self._hold = hold
        self._receive = receive
        self._limit = limit
        self._patience = settings.body_timeout_seconds
        self._least_pace = settings.min_body_bytes_per_second
        self._expects = expects
        self._num_bytes = 0
        self._began = 0.0
        self._is_complete = self._was_slow = False

    async def receive(self) -> Message:
        """The next message of the body; after its end whatever comes, however late."""
        if self._is_complete:
            return await self._receive()
        self._began = self._began or time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), self._patience)
        except asyncio.TimeoutError:
            self._was_slow = True
            raise Problem(408, f"nothing of the body came for {self._patience:g} s", code="slow_body") from None
        self._note(message)
        if self._num_bytes > self._limit:
            raise _too_large(self._limit)
        if self._hold is not None:
            self._hold(len(message.get("body", b"")))
            self.held_bytes += len(message.get("body", b""))
        if message.get("more_body", False) and self._is_slow():
            self._was_slow = True
            raise Problem(408, f"the body comes slower than {self._least_pace} bytes a second", code="slow_body")
        return message

    def _is_slow(self) -> bool:
        waited = time.monotonic() - self._began
        return waited > self._patience and self._num_bytes < waited * self._least_pace

    async def drain(self) -> bool:
        """Read and drop what is left, for a short time; whether all is read.

        A slow body is not waited for, nor one that waits to be asked for.
        """
        if not self._is_complete and not self._was_slow and (self._num_bytes or not self._expects):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._drop(), DRAIN_SECONDS)
        return self._is_complete

    async def _drop(self) -> None:
        while not self._is_complete:
            self._note(await self._receive())

    def _note(self, message: Message) -> None:
        self._num_bytes += len(message.get("body", b""))
        self._is_complete = message["type"] == "http.disconnect" or not message.get("more_body", False)


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is larger than the {limit} bytes that are taken here", code="too_large")
