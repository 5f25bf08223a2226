"""API keys, their owners, and the rate of each caller, checked before a byte of the body is read."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from emotion_llama.errors import InputError
from emotion_llama.serve.errors import Problem
from emotion_llama.serve.problems import problem_response
from emotion_llama.serve.settings import ServeSettings

# The caller that called longest ago is forgotten first: its bucket is full again by then unless so many call at once.
MAX_CALLERS = 10_000
# Wrong keys a minute from one address: enough for a mistake, and 64 bits stay out of reach.
WRONG_KEYS_PER_MINUTE = 30
LOCAL = "local"  # the owner of files and jobs where there are no keys


class RateLimiter:
    """A bucket of `per_minute` tokens for each caller that fills evenly in a minute; None is no limit."""

    def __init__(self, per_minute: int | None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, caller: str) -> float:
        """Take a token: 0 where there was one, else the seconds until there is one."""
        if self._per_minute is None:
            return 0.0
        now, per_second = self._now(), self._per_minute / 60.0
        tokens, then = self._buckets.pop(caller, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + (now - then) * per_second)
        wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / per_second
        self._buckets[caller] = (tokens - 1.0 if tokens >= 1.0 else tokens, now)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return wait


class Guard:
    """ASGI middleware: a key for everything but pages and health, and a rate for each caller.

    Pages (GET outside /v1 and /metrics) hold no data of anybody and need no key.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._owners = {_digest(key.get_secret_value()): owner_of(key) for key in settings.api_keys}
        if settings.token is not None:
            self._owners[_digest(settings.token.get_secret_value())] = LOCAL
        self._rate = RateLimiter(settings.rate_per_minute)
        self._wrong = RateLimiter(WRONG_KEYS_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 429, or pass the request on with `owner` and `caller` (for shares and rates) in its state."""
        if scope["type"] != "http" or not is_guarded(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            address = scope["client"][0] if scope.get("client") else "unknown"
            owner = self._owner(Headers(scope=scope).get("authorization", ""), address)
            caller = address if owner == LOCAL else owner
            if (wait := self._rate.take(caller)) > 0:
                raise _too_often("too many requests in this minute; try again later", wait)
        except Problem as problem:
            await problem_response(problem)(scope, receive, send)
            return
        scope.setdefault("state", {}).update(owner=owner, caller=caller)
        await self._app(scope, receive, send)

    def _owner(self, authorization: str, address: str) -> str:
        if not self._owners:
            return LOCAL
        scheme, _, key = authorization.partition(" ")
        # The comparison is of hashes: how long it takes reveals nothing about the key.
        owner = self._owners.get(_digest(key.strip())) if scheme.lower() == "bearer" else None
        if owner is not None:
            return owner
        if (wait := self._wrong.take(address)) > 0:
            raise _too_often("too many wrong API keys from this address; try again later", wait)
        problem = "the API key or token is not known" if authorization else "an API key or token is needed"
        raise Problem(
            401, f"{problem}; send it as: Authorization: Bearer KEY", code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )  # fmt: skip


def _too_often(message: str, wait_seconds: float) -> Problem:
    return Problem(429, message, code="rate", retry_after_seconds=wait_seconds)


def is_guarded(method: str, path: str) -> bool:
    """Whether a key is needed."""
    is_open = not (path.startswith("/v1/") or path.rstrip("/") in ("/v1", "/metrics"))
    # What a browser asks before a call from another page (CORS) never carries a key, and does nothing.
    return method != "OPTIONS" and not (is_open and method in ("GET", "HEAD"))


def owner_of(key: SecretStr) -> str:
    """The name under which files and jobs of a key are kept: 16 hexadecimal digits of its hash."""
    return _digest(key.get_secret_value())[:16]


def read_keys(path: Path | None, environment: str | None) -> tuple[SecretStr, ...]:
    """API keys from a file (one a line, lines with # are remarks) and from an environment variable (by commas).

    Raises:
        InputError: the file cannot be read, or holds no key.
    """
    keys: Iterable[str] = (environment or "").split(",")
    found = [key.strip() for key in keys if key.strip()]
    if path is not None:
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the file of API keys {path} cannot be read: {error}") from error
        of_file = [line for line in lines if line and not line.startswith("#")]
        if not of_file:
            raise InputError(f"the file of API keys {path} holds none; give one a line")
        found += of_file
    return tuple(SecretStr(key) for key in dict.fromkeys(found))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


_BEARER = HTTPBearer(auto_error=False, description="an API key; not needed where the server has none")


def caller_of(request: Request, _documented: Annotated[object, Security(_BEARER)] = None) -> str:
    """The owner that the caller's key stands for, as a dependency; the middleware has checked it."""
    owner: str = request.state.owner
    return owner


Owner = Annotated[str, Depends(caller_of)]
