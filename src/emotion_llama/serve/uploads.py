"""Bodies streamed to disk: files in parts, each in a private folder that goes with its request, and large JSON."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import Request

from emotion_llama.media.kinds import KINDS, SNIFF_BYTES, sniff
from emotion_llama.serve.errors import Problem, no_room
from emotion_llama.serve.settings import MIB
from emotion_llama.serve.state import ServeState
from emotion_llama.serve.workers.pool import name_to_show

T = TypeVar("T")
# Our own choice: text fields are options of a few words, a subtitle at most; a transcript of four hours has 0.3 MB.
MAX_FIELD_BYTES = 64 * 1024
MAX_TRANSCRIPT_BYTES = 2 * MIB
MAX_PARTS = 32
MAX_HEADER_BYTES = 8192
TRANSCRIPT_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa", ".txt")
SMALL_BYTES = 64 * 1024  # of a JSON body: 800 connections come to 50 MB
LARGE_BODIES_OF_A_CALLER = 8
_WRITE_BYTES = 1 * MIB


@dataclass(frozen=True)
class ReceivedFile:
    """A file part on disk.

    Attributes:
        path: where it lies, under a name of the server's own; its suffix is what its first bytes say.
        name: what the client called it: plain text to be shown, never a path to be used.
        num_bytes: its size.
        kind: what `sniff` says, or the suffix of a transcript.
    """

    path: Path
    name: str
    num_bytes: int
    kind: str


@asynccontextmanager
async def receive_upload(
    request: Request,
    state: ServeState,
    *,
    files: Collection[str] = ("file", "transcript"),
    fields: Collection[str] = (),
) -> AsyncIterator[tuple[dict[str, str], dict[str, ReceivedFile]]]:
    """Texts and files of a multipart request by name, in a private folder (mode 0700) that is removed on every way out.

    A caller that wants to keep a file moves it away inside. The part called "transcript" is text; any other file has
    to be a recording. "file" has to be there where it is allowed, or the text "file_id" in its place.

    Args:
        request: its body has not been read.
        state: of the server.
        files: names of parts that may be files.
        fields: names of parts that may be text.

    Raises:
        Problem: 400 not multipart or broken, 413 too large, 415 not a recording, 422 a part that is unknown, missing
            or doubled, 429 too many bodies are being received.
    """
    boundary = _boundary(request)
    if state.uploads >= state.settings.uploads_at_once:
        message = f"{state.uploads} uploads are being worked on, no more are taken; try again later"
        raise Problem(429, message, code="busy", retry_after_seconds=2.0)
    state.uploads += 1
    folder = Path(tempfile.mkdtemp(prefix="body-", dir=state.uploads_dir))
    parts = _Parts(folder, files, fields, state.settings.max_upload_bytes)
    try:
        await _parse(request, boundary, parts)
        yield await asyncio.to_thread(parts.received)
    finally:
        parts.close()
        shutil.rmtree(folder, ignore_errors=True)
        state.uploads -= 1


async def receive_json(request: Request, state: ServeState, folder: Path, use: Callable[[bytes], T]) -> T:
    """What `use` makes of a body of JSON, in a thread.

    A small body is always received, and kept in memory. A larger one goes to disk as it comes; of one caller so many
    are received at a time, and of all only one at a time is in memory, while `use` works on it.

    Args:
        request: its body has not been read.
        state: of the server.
        folder: a private folder for the body, removed by the caller.
        use: is given the whole body.

    Raises:
        Problem: 429 too many large bodies of this caller are being received, 503 no room; what `use` raises.
    """
    chunks, start = request.stream(), bytearray()
    async for chunk in chunks:
        start += chunk
        if len(start) > SMALL_BYTES:
            break
    else:
        return await asyncio.to_thread(use, bytes(start))
    caller = request.state.caller
    if state.large_bodies[caller] >= LARGE_BODIES_OF_A_CALLER:
        message = f"{LARGE_BODIES_OF_A_CALLER} of your large requests are being received; upload files instead"
        raise Problem(429, message, code="busy", retry_after_seconds=2.0)
    state.large_bodies[caller] += 1
    path = folder / "body.json"
    try:
        with path.open("xb") as file:
            await _write_all(file.write, start, chunks)
    except OSError as error:
        raise no_room() from error
    finally:
        state.large_bodies -= Counter([caller])  # callers with none left are forgotten
    async with state.parsing:
        return await asyncio.to_thread(lambda: use(path.read_bytes()))


async def _write_all(write: Callable[[bytes], object], pending: bytearray, chunks: AsyncIterator[bytes]) -> None:
    """Write in a thread what is pending and what comes, so much at a time that the hops to the thread are few."""
    async for chunk in chunks:
        pending += chunk
        if len(pending) >= _WRITE_BYTES:
            await asyncio.to_thread(write, bytes(pending))
            pending.clear()
    await asyncio.to_thread(write, bytes(pending))


def _boundary(request: Request) -> bytes:
    header = Message()
    header["Content-Type"] = request.headers.get("content-type", "")
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise Problem(415, "expected a body of multipart/form-data with the recording in the part 'file'", code="body")
    return boundary.encode("latin-1", "replace")


async def _parse(request: Request, boundary: bytes, parts: _Parts) -> None:
    try:
        parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]  # its dict is a TypedDict
        await _write_all(parser.write, bytearray(), request.stream())
    except FormParserError as error:
        raise Problem(400, f"the multipart body is broken: {error}", code="body") from error
    except OSError as error:
        raise no_room() from error
    if not parts.is_finished:
        raise Problem(400, "the multipart body ends in the middle: its closing boundary is missing", code="body")


class _Parts:
    """The parser's callbacks: one part at a time, text in memory, files on disk."""

    def __init__(self, folder: Path, files: Collection[str], fields: Collection[str], max_bytes: int) -> None:
        self.is_finished = False
        self._folder = folder
        self._allowed_files = files
        self._allowed_fields = fields
        self._max_bytes = max_bytes
        self._texts: dict[str, str] = {}
        self._files: dict[str, tuple[Path, str]] = {}
        self._header_name = self._header_value = b""
        self._headers = Message()
        self._name = ""
        self._text = bytearray()
        self._file: BinaryIO | None = None
        self._num_bytes = self._limit = 0

    def callbacks(self) -> dict[str, object]:
        """By the names that the parser knows."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_text,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def received(self) -> tuple[dict[str, str], dict[str, ReceivedFile]]:
        """Texts and files by name, files under the suffix of what they are."""
        if "file" in self._allowed_files and "file" not in self._files and "file_id" not in self._texts:
            raise Problem(422, "the part 'file' is missing: the recording", code="missing", param="file")
        return self._texts, {name: _identified(name, path, shown) for name, (path, shown) in self._files.items()}

    def close(self) -> None:
        """Close a file that was being written."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _begin(self) -> None:
        if len(self._texts) + len(self._files) >= MAX_PARTS:
            raise Problem(422, f"the body has more than {MAX_PARTS} parts", code="body")
        self._headers = Message()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._check_header()

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        # Newer parsers have a limit of their own.
        if len(self._header_name) + len(self._header_value) > MAX_HEADER_BYTES:
            raise Problem(400, "the multipart body is broken: a header of a part is too long", code="body")

    def _header_end(self) -> None:
        # Browsers send names in UTF-8 (HTML standard, multipart/form-data).
        name = self._header_name.decode("latin-1")
        self._headers[name] = self._header_value.decode("utf-8", "replace").replace("\r", " ").replace("\n", " ")
        self._header_name = self._header_value = b""

    def _headers_finished(self) -> None:
        name = self._headers.get_param("name", header="content-disposition")
        shown = self._headers.get_param("filename", header="content-disposition")
        if not isinstance(name, str) or not name:
            raise Problem(400, "a part of the body has no name", code="body")
        self._name, self._num_bytes = name[:100], 0
        if self._name in self._texts or self._name in self._files:
            raise Problem(422, f"the part {self._name!r} came twice", code="doubled", param=self._name)
        is_file = shown is not None
        allowed = self._allowed_files if is_file else self._allowed_fields
        if self._name not in allowed:
            raise self._unexpected(is_file)
        if not is_file:
            self._limit = MAX_FIELD_BYTES
            self._text.clear()
            return
        self._limit = MAX_TRANSCRIPT_BYTES if self._name == "transcript" else self._max_bytes
        path = self._folder / secrets.token_hex(8)
        self._files[self._name] = (path, shown if isinstance(shown, str) else "")
        self._file = path.open("xb", buffering=0)
        os.fchmod(self._file.fileno(), 0o600)

    def _unexpected(self, is_file: bool) -> Problem:
        kind, other = ("a file", "a text") if is_file else ("a text", "a file")
        allowed = self._allowed_fields if is_file else self._allowed_files
        message = f"the part {self._name!r} came as {kind}, expected {other}" if self._name in allowed else (
            f"there is no part {self._name!r}; files: {', '.join(self._allowed_files) or 'none'}; "
            f"texts: {', '.join(self._allowed_fields) or 'none'}"
        )  # fmt: skip
        return Problem(422, message, code="unknown_field", param=self._name)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._num_bytes += end - start
        if self._num_bytes > self._limit:
            raise Problem(
                413, f"the part {self._name!r} has more than {self._limit} bytes", code="too_large", param=self._name
            )
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
        else:
            self._text += data[start:end]

    def _end(self) -> None:
        if self._file is not None:
            self.close()
            return
        try:
            self._texts[self._name] = self._text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Problem(422, f"the part {self._name!r} is not UTF-8", code="text", param=self._name) from error

    def _finish(self) -> None:
        self.is_finished = True


def _identified(part: str, path: Path, name: str) -> ReceivedFile:
    """The file under the suffix of what it is."""
    num_bytes = path.stat().st_size
    if not num_bytes:
        raise Problem(422, f"the part {part!r} is an empty file", code="empty", param=part)
    shown = name_to_show(name)
    if part == "transcript":
        kind = Path(shown).suffix.lower().removeprefix(".")
        if f".{kind}" not in TRANSCRIPT_SUFFIXES:
            given = ", ".join(TRANSCRIPT_SUFFIXES)
            raise Problem(415, f"a transcript is a file called {given}; got {shown!r}", code="transcript", param=part)
    else:
        with path.open("rb") as file:
            found = sniff(file.read(SNIFF_BYTES))
        if found is None:
            raise Problem(
                415,
                f"the file is not a recording that is known here; expected one of: {', '.join(KINDS)}",
                code="no_media",
                param=part,
            )
        kind = found
    named = path.with_name(f"{path.name}.{kind}")
    path.rename(named)
    return ReceivedFile(named, shown, num_bytes, kind)
