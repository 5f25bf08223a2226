"""What every answer carries, and what no request may claim: a request's id, security headers, hosts and origins."""

from __future__ import annotations

import logging
import re
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emotion_llama.serve.answers import send_problem
from emotion_llama.serve.problems import Problem, problem_of
from emotion_llama.serve.settings import ServeSettings

log = logging.getLogger("emotion_llama.serve")

# The page's scripts and styles are files of this server; pictures and recordings are its own, or made in the page.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
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
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Edge:
    """The outermost ASGI middleware: an id and headers for every answer, and an answer for every error.

    A client's or proxy's X-Request-ID is kept where it is 8 to 64 plain characters.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request; what nobody caught becomes a 500 without a traceback, which goes to the log."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(MutableHeaders(scope=message), request_id, scope["path"])
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # the edge of the process: a request's mistake is its own
            log.error("request %s: %s %s failed", request_id, scope["method"], scope["path"], exc_info=error)
            if not started:
                await send_problem(problem_of(error), scope, receive, send_with_headers)


def _add_headers(headers: MutableHeaders, request_id: str, path: str) -> None:
    headers["X-Request-ID"] = request_id
    for name, value in SECURITY_HEADERS.items():
        # A report has a stricter policy of its own.
        headers.setdefault(name, value)
    if path.startswith("/v1/"):
        # What is told of a person is kept by no cache on the way.
        headers.setdefault("Cache-Control", "no-store")


class HostGuard:
    """ASGI middleware: only known names in the Host header, and on a server without keys only its own pages' calls.

    A web page anywhere can let its reader's browser call 127.0.0.1, and by DNS rebinding under a name of its own. A
    server with keys needs no such rule for origins: a browser does not send keys by itself.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in settings.hosts)
        self._origins = frozenset(settings.cors_origins)
        self._checks_origin = not settings.api_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 or 403, or hand the request on."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host, origin = headers.get("host", ""), headers.get("origin")
            problem = self._wrong_host(host) or self._wrong_origin(scope["method"], host, origin)
            if problem is not None:
                await send_problem(problem, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _wrong_host(self, host: str) -> Problem | None:
        if not self._hosts or host_name(host) in self._hosts:
            return None
        return Problem(421, "this server is not called by that name; its owner can allow it", code="host")

    def _wrong_origin(self, method: str, host: str, origin: str | None) -> Problem | None:
        if not self._checks_origin or origin is None or method in _SAFE_METHODS:
            return None
        if origin in self._origins or urlsplit(origin).netloc.lower() == host.lower():
            return None
        return Problem(403, "pages of other origins may not call this server; its owner can allow one", code="origin")


def host_name(host: str) -> str:
    """The name in a Host header, without the port, in small letters; IPv6 addresses keep their brackets."""
    name, _, port = host.rpartition(":")
    return (name if name and (port.isdecimal() or not port) and not name.endswith(":") else host).lower()
