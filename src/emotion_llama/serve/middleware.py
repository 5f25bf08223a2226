"""ASGI middleware: request ids and security headers, hosts and origins, size and pace of bodies, request counts."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotion_llama.serve.errors import Problem, Stopping
from emotion_llama.serve.metrics import Metrics
from emotion_llama.serve.problems import problem_of, problem_response
from emotion_llama.serve.settings import MIB, ServeSettings

log = logging.getLogger("emotion_llama.serve")

# The page's scripts and styles are files of this server; images and recordings are its own, or made in the page.
CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CLOSED_BY_CLIENT = 499  # nginx's status for a client that left before any answer
# The rest of a body that is refused early (wrong key, too large a file) is read and dropped for so long: a client that
# is still sending would find its connection cut, and never see the answer.
DRAIN_SECONDS = 3.0
AROUND_BYTES = 4 * MIB  # of a multipart body around its file: headers of parts, options, a transcript
MAX_HELD_BYTES = 1 * MIB  # of JSON that is kept in memory while it comes: decisions of reviewers
LARGE_JSON_PATHS = ("/v1/chat/completions",)  # a clip may lie in it
HEALTH_PATHS = ("/healthz", "/readyz")
# Open connections; systems give a process 1024 files unless configured otherwise, and children and models need some.
MAX_CONNECTIONS = 800
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Edge:
    """The outermost middleware: an id and headers for every answer, and an answer for every error.

    A client's or proxy's X-Request-ID is kept where it is 8 to 64 plain characters. With more than `MAX_CONNECTIONS`
    open connections (`scope["state"]["connections"]`, where the server gives them) requests are answered with 503.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request; an unexpected error becomes a 500 without a traceback, which goes to the log."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(MutableHeaders(scope=message), request_id, scope["path"])
            await send(message)

        problem: Problem | None = None
        try:
            if len(state.get("connections", ())) > MAX_CONNECTIONS:
                problem = Problem(503, "too many connections are open", code="busy", retry_after_seconds=2.0)
            else:
                await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # only the server cancels, when its time to stop has come
            problem = Stopping()
        except Exception as error:  # the edge of the process
            log.error("request %s: %s %s failed", request_id, scope["method"], scope["path"], exc_info=error)
            problem = problem_of(error)
        if problem is not None and not started:
            await problem_response(problem)(scope, receive, send_with_headers)


def _add_headers(headers: MutableHeaders, request_id: str, path: str) -> None:
    headers["X-Request-ID"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)  # a report has a stricter policy of its own
    if path.startswith("/v1/"):
        headers.setdefault("Cache-Control", "no-store")  # no cache on the way keeps data about people


class HostGuard:
    """Accepts known names in the Host header only, and on a server without keys only calls of its own pages.

    A web page anywhere can make a browser call 127.0.0.1, and by DNS rebinding under a name of its own. A server with
    keys needs no rule for origins: a browser does not send keys by itself. Health is told under any name: probes call
    by address.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in settings.hosts)
        self._origins = frozenset(settings.cors_origins)
        self._checks_origin = not settings.api_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 or 403, or pass the request on."""
        problem = (
            self._problem(scope["method"], scope["path"], Headers(scope=scope)) if scope["type"] == "http" else None
        )
        await (self._app if problem is None else problem_response(problem))(scope, receive, send)

    def _problem(self, method: str, path: str, headers: Headers) -> Problem | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts and host_name(host) not in self._hosts and path not in HEALTH_PATHS:
            return Problem(421, "this server is not called by that name; its owner can allow it", code="host")
        if not self._checks_origin or origin is None or method in _SAFE_METHODS:
            return None
        if origin in self._origins or urlsplit(origin).netloc.lower() == host.lower():
            return None
        return Problem(403, "pages of other origins may not call this server; its owner can allow one", code="origin")


def host_name(host: str) -> str:
    """The name in a Host header, without the port, in lower case; IPv6 addresses keep their brackets."""
    name, _, port = host.rpartition(":")
    return (name if name and (port.isdecimal() or not port) and not name.endswith(":") else host).lower()


class BodyGuard:
    """Limits size and pace of bodies: whoever reads a body gets a Problem (413 or 408).

    Bodies in parts are files; JSON is small but for `LARGE_JSON_PATHS`, whose routes do not keep it in memory.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._settings = settings
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body under watch."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        declared = headers.get("content-length", "0")
        if declared == "0" and "transfer-encoding" not in headers:
            # No body (RFC 9112, 6.3). An answer that listens for its client's leaving must not meet a second reader.
            await self._app(scope, receive, send)
            return
        limit = self._settings.max_json_bytes
        if headers.get("content-type", "").lower().startswith("multipart/"):
            limit = self._settings.max_upload_bytes + AROUND_BYTES
        elif scope["path"] not in LARGE_JSON_PATHS:
            limit = min(limit, MAX_HELD_BYTES)
        expects = headers.get("expect", "").lower() == "100-continue"
        body = _Body(receive, limit, self._settings, self._clock, expects=expects)

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and not await body.drain():
                # What is left of the body is never read: nothing can follow it on this connection.
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        is_too_large = declared.isdecimal() and int(declared) > limit
        app = problem_response(_too_large(limit)) if is_too_large else self._app
        await app(scope, body.receive, send_after_body)


class _Body:
    """One body on its way in."""

    def __init__(
        self, receive: Receive, limit: int, settings: ServeSettings, clock: Callable[[], float], *, expects: bool
    ) -> None:
        self._receive, self._limit, self._clock, self._expects = receive, limit, clock, expects
        self._timeout_seconds, self._min_pace = settings.body_timeout_seconds, settings.min_body_bytes_per_second
        self._num_bytes = 0
        self._began: float | None = None
        self._is_complete = self._was_slow = False

    async def receive(self) -> Message:
        """The next message of the body; after its end whatever comes, however late."""
        if self._is_complete:
            return await self._receive()
        if self._began is None:
            self._began = self._clock()
        try:
            message = await asyncio.wait_for(self._receive(), self._timeout_seconds)
        except asyncio.TimeoutError:
            self._was_slow = True
            raise Problem(408, f"nothing of the body came for {self._timeout_seconds:g} s", code="slow_body") from None
        self._note(message)
        if self._num_bytes > self._limit:
            raise _too_large(self._limit)
        waited = self._clock() - self._began
        is_slow = waited > self._timeout_seconds and self._num_bytes < waited * self._min_pace
        if message.get("more_body", False) and is_slow:
            self._was_slow = True
            raise Problem(408, f"the body comes slower than {self._min_pace} bytes a second", code="slow_body")
        return message

    async def drain(self) -> bool:
        """Read and drop the rest, for a short time; whether all is read.

        A slow body is not waited for, nor one whose client waits to be asked for it.
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


class CountRequests:
    """Counts and times requests by route, not by path: clients choose paths."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = CLOSED_BY_CLIENT, time.perf_counter()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.in_work.track_inprogress():
            try:
                await self._app(scope, receive, note_status)
            finally:
                method = scope["method"] if scope["method"] in METHODS else "OTHER"
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.count(method, route, status, time.perf_counter() - began)
