"""The Python client's requests: files streamed, errors read, busy servers asked again, events told apart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.serve.client_records import ServerError, error_of

if TYPE_CHECKING:
    import httpx2

MOST_WAIT_SECONDS = 60.0  # a server that asks for a longer pause is told of instead
CONNECT_SECONDS = 10.0


class Requests:
    """Requests to one server.

    Args:
        base_url, api_key, timeout_seconds, retries: as `Client`.

    Raises:
        MissingDependency: httpx2 is not installed.
    """

    def __init__(self, base_url: str, *, api_key: str | None, timeout_seconds: float, retries: int) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingDependency("httpx2", "asking a server", "pip install 'emotion-llama[api]'") from error
        self._httpx = httpx2
        self._retries = retries
        self._http = httpx2.Client(
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            headers={} if api_key is None else {"Authorization": f"Bearer {api_key}"},
            timeout=httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            trust_env=False,  # recordings of people go to this server, and to no proxy of the environment
        )

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def json(self, method: str, url: str, **arguments: Any) -> dict[str, Any]:  # JSON as it came
        """An answer that is a JSON object; arguments and errors as `opened`."""
        text = self.text(method, url, **arguments)
        try:
            found: object = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ServerError(f"the answer to {method} {url} is no JSON object; is this server one of ours?")
        return found

    def text(self, method: str, url: str, **arguments: Any) -> str:
        """A whole answer; arguments and errors as `opened`."""
        with self.opened(method, url, **arguments) as response:
            response.read()
            return response.text

    @contextmanager
    def opened(
        self, method: str, url: str, *, files: Mapping[str, str | Path | None] | None = None,
        fields: Mapping[str, object] | None = None, **arguments: Any,
    ) -> Iterator[httpx2.Response]:  # fmt: skip
        """An answer of 2xx, its body not read yet; sent again where the server is busy.

        Args:
            method: of the request.
            url: its path on the server.
            files: part -> file of a form; what is None is left out.
            fields: its texts.
            **arguments: as `httpx2.Client.stream`'s, such as json and headers.

        Raises:
            InputError: a file is not there.
            ServerError: the server answers with an error, or not at all.
        """
        for left in reversed(range(self._retries + 1)):
            with ExitStack() as stack:
                form = {} if files is None else _form(stack, files, fields or {})
                try:
                    response = stack.enter_context(self._http.stream(method, url, **form, **arguments))
                    error = _error(response)
                    if error is None:
                        yield response
                        return
                except self._httpx.TransportError as failure:
                    told = f"{type(failure).__name__}: {failure}"
                    raise ServerError(f"the server cannot be reached, or did not end its answer: {told}") from failure
            pause = error.retry_after_seconds or 1.0
            if error.status != 429 or not left or pause > MOST_WAIT_SECONDS:
                raise error
            time.sleep(pause)


def _error(response: httpx2.Response) -> ServerError | None:
    if response.is_success:
        return None
    try:
        value: object = json.loads(response.read())
    except ValueError:
        value = None
    return error_of(response.status_code, value, response.headers)


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Server-sent events with JSON data: name ("message" where it has none) and value; ends at `[DONE]`."""
    name = "message"
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            if value == "[DONE]":
                return
            try:
                parsed = json.loads(value)
            except ValueError as error:
                raise ServerError("an event of the server is no JSON; was the answer cut on the way?") from error
            yield name, parsed
            name = "message"


def _form(
    stack: ExitStack, files: Mapping[str, str | Path | None], fields: Mapping[str, object]
) -> dict[str, Any]:  # keyword arguments of a request
    paths = {part: readable(path) for part, path in files.items() if path is not None}
    opened = {part: (path.name, stack.enter_context(path.open("rb"))) for part, path in paths.items()}
    return {"files": opened, "data": {name: _field(value) for name, value in fields.items() if value is not None}}


def _field(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def readable(path: str | Path) -> Path:
    """The path of a file.

    Raises:
        InputError: there is none.
    """
    found = Path(path)
    if not found.is_file():
        raise InputError(f"{path} is no file; give a recording of this machine")
    return found
