"""One request to an OpenAI-compatible server: the JSON of its reply, or a failure of a known kind.

Plain HTTP by httpx2 rather than the official client: what servers other than OpenAI's send has to be checked anyway,
every attempt must be seen to be counted, a server that drips bytes must still time out, and nothing may be read from
the environment or sent about this machine (the official client reads OPENAI_BASE_URL, OPENAI_ORG_ID and others, and
sends the operating system and the Python version).
"""

from __future__ import annotations

import email.utils
import json
import math
import time
import weakref
from collections.abc import Mapping
from typing import Any

from emotion_llama.errors import AnnotationError, MissingDependency

CONNECT_SECONDS = 10.0
MAX_REPLY_BYTES, MAX_ERROR_BYTES = 8 << 20, 64 << 10  # chat replies have a few kilobytes
# Statuses that pass: busy, restarting, behind a gateway that timed out (529: "overloaded" of some hosted servers).
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
# Words by which an error's body, whatever its status, names a part of the request that the server does not take.
# "bounds" are the lengths of a JSON schema, of which a server's grammar may know none or short ones only.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "bounds": ("minitems", "maxitems", "minlength", "maxlength", "grammar", "repetition"),
    "response_format": ("response_format", "json_schema", "json_object", "guided", "structured output"),
    "max_tokens": ("max_completion_tokens",),
    "logprobs": ("logprobs", "logits_all"),
    "image": ("image_url", "image input", "mmproj", "multimodal"),
}


class RequestFailed(AnnotationError):
    """A request that got no reply.

    Attributes:
        kind: "unreachable", "timeout", "overloaded", "rejected" or "malformed".
        message: in words of ours; at most a short excerpt of the server's own message.
        status: HTTP status, where there was one.
        is_passing: it may go better a little later.
        wait_seconds: how long the server asks to wait.
        parameter: what the error's body names of `PARAMETERS`.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int | None = None,
        is_passing: bool = False,
        wait_seconds: float | None = None,
        parameter: str | None = None,
    ) -> None:
        super().__init__(kind, message)
        self.status, self.is_passing = status, is_passing
        self.wait_seconds, self.parameter = wait_seconds, parameter


class ChatServer:
    """A server's `/chat/completions` and `/models`; safe to share between threads.

    Redirects are not followed: they would carry pictures and key to another host.

    Args:
        base_url: such as "http://localhost:8000/v1".
        key: sent as a bearer token; None sends none.
        proxy: URL of a proxy; None asks the server itself, whatever the environment says.
        timeout_seconds: for the whole of a request; a reply that drips may take up to twice that.

    Raises:
        MissingDependency: httpx2 is not installed.
    """

    def __init__(self, base_url: str, *, key: str | None, proxy: str | None, timeout_seconds: float) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingDependency("httpx2", "asking a server", "pip install 'emotion-llama[api]'") from error
        self._httpx = httpx2
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        headers = {"Accept": "application/json", "User-Agent": "emotion-llama"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._key = key
        self._client = httpx2.Client(
            headers=headers,
            trust_env=False,
            proxy=proxy,
            timeout=httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
        )

        # Chat models are not always closed; the connections go when the server's last user does.
        weakref.finalize(self, self._client.close)

    def post(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object of a chat reply with status 200; the time limit begins here.

        Raises:
            RequestFailed: there is none.
        """
        return self._asked("POST", "chat/completions", json=dict(request))

    def models(self) -> dict[str, Any]:
        """What `GET /models` gives; errors as `post`."""
        return self._asked("GET", "models")

    def _asked(self, method: str, place: str, **body: Any) -> dict[str, Any]:
        h = self._httpx
        end = time.monotonic() + self._timeout_seconds
        try:
            with self._client.stream(method, f"{self._base_url}/{place}", **body) as response:
                data = bytearray()
                for chunk in response.iter_bytes():
                    data += chunk
                    if time.monotonic() > end:
                        raise self._timed_out()
                    if len(data) > MAX_REPLY_BYTES:
                        raise RequestFailed("malformed", f"the reply exceeds {MAX_REPLY_BYTES} bytes")
                return self._checked(response.status_code, response.headers, bytes(data))
        except h.TimeoutException as error:
            raise self._timed_out() from error
        except (h.TransportError, h.DecodingError) as error:
            problem = f"{type(error).__name__}: {self._clean(str(error))}"
            raise RequestFailed("unreachable", problem, is_passing=True) from error

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _timed_out(self) -> RequestFailed:
        return RequestFailed("timeout", f"no complete reply within {self._timeout_seconds:g} s", is_passing=True)

    def _checked(self, status: int, headers: Mapping[str, str], data: bytes) -> dict[str, Any]:
        found = _object(data)
        if status == 200 and found is not None and found.get("error") is None:
            return found
        if status == 200:
            what = "an error with status 200" if found is not None else f"no JSON ({_kind_of(headers)})"
            raise RequestFailed("malformed", f"the server sent {what}", status=status)
        message = self._clean(_message(found))
        problem = f"HTTP status {status}" + (f": {message}" if message else "")
        # The whole body, whatever its form: 422 of FastAPI has no message but a list of places.
        text = data[:MAX_ERROR_BYTES].decode("utf-8", "replace").lower()
        parameter = next((name for name, words in PARAMETERS.items() if any(word in text for word in words)), None)
        # A parameter that is refused with status 500 (llama-cpp-python) is refused again a little later.
        is_passing = status in PASSING and not _is_quota(found) and not (status == 500 and parameter)
        wait = _retry_after(headers) if is_passing else None
        raise RequestFailed(
            "overloaded" if is_passing else "rejected", problem, status=status, is_passing=is_passing,
            wait_seconds=wait, parameter=parameter,
        )  # fmt: skip

    def _clean(self, text: str) -> str:
        """A short excerpt in one line; a key that a server repeats is taken out."""
        plain = " ".join(text.split())
        if self._key:
            plain = plain.replace(self._key, "***")
        return plain if len(plain) <= 200 else f"{plain[:200]}..."


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, braces without end
        return None
    return found if isinstance(found, dict) else None


def _kind_of(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "no content type").partition(";")[0][:40]


def _message(found: Mapping[str, Any] | None) -> str:
    """The message of an error body: {"error": {"message"}} (OpenAI), {"error": text} (Ollama), {"message"} (vLLM)."""
    if found is None:
        return ""
    error = found.get("error", found)
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        return next((v for k in ("message", "detail") if isinstance(v := error.get(k), str)), "")
    return ""


def _is_quota(found: Mapping[str, Any] | None) -> bool:
    """An account without money answers 429 too, and waiting does not help."""
    error = found.get("error") if found else None
    return isinstance(error, dict) and "insufficient_quota" in (error.get("code"), error.get("type"))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3); `retry-after-ms` is OpenAI's."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        when = email.utils.parsedate_to_datetime(headers["retry-after"])
        return max(0.0, when.timestamp() - time.time())
    except (KeyError, ValueError, OverflowError):
        return None
