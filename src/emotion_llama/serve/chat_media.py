"""Clips in a chat's messages: uploaded before, or carried as base64; nothing is fetched or opened."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from emotion_llama.serve.chat_schemas import FilePart, Message, SoundPart, TextPart, VideoPart
from emotion_llama.serve.isolation.sniff import KINDS, SNIFF_BYTES, sniff
from emotion_llama.serve.problems import Problem

_DATA_URI = re.compile(r"""data:[\w.+-]*/?[\w.+-]*(?:;[\w.+-]+=(?:"[^"]*"|[\w.+-]+))*(;base64)?,""", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True)
class UploadedClip:
    """A file that was uploaded before."""

    file_id: str


@dataclass(frozen=True, repr=False)
class InlineClip:
    """A file that came in the request.

    Attributes:
        text: a data URI, or base64 alone.
        is_uri: which of these.
        name: what the client called it.
    """

    text: str
    is_uri: bool
    name: str

    def __repr__(self) -> str:
        return f"InlineClip({self.name!r}, {len(self.text)} characters)"


ClipReference = UploadedClip | InlineClip


def clip_of(message: Message, number: int) -> ClipReference | None:
    """The clip in a message, the `number`th of the chat; None where there is none.

    Raises:
        Problem: 400, there are several, one is not the user's, or its address is not a data URI.
    """
    if isinstance(message.content, str):
        return None
    found = [_reference(part) for part in message.content if not isinstance(part, TextPart)]
    if found and message.role != "user":
        raise wrong(f"a clip is in a message of the role {message.role!r}; clips come from the user", "messages")
    if len(found) > 1:
        raise wrong(f"message {number} holds {len(found)} clips; ask about one at a time", "messages")
    return found[0] if found else None


def _reference(part: VideoPart | FilePart | SoundPart) -> ClipReference:
    if isinstance(part, SoundPart):
        return InlineClip(part.input_audio.data, is_uri=False, name="sound")
    if isinstance(part, VideoPart):
        return _uri(part.video_url.url, "clip", "video_url")
    given = part.file
    if (given.file_id is None) == (given.file_data is None):
        raise wrong("a file is named by file_id or carried in file_data, one of the two", "file")
    if given.file_id is not None:
        return UploadedClip(given.file_id)
    assert given.file_data is not None
    return _uri(given.file_data, given.filename or "clip", "file_data")


def _uri(text: str, name: str, param: str) -> InlineClip:
    if _DATA_URI.match(text[:256]) is None:
        scheme = text[:64].partition(":")[0].lower()
        told = f"addresses ({scheme}:) are" if re.fullmatch(r"[a-z][a-z0-9+.-]{1,15}", scheme) else "such an address is"
        raise wrong(
            f"{told} not fetched or opened by this server; send the clip itself as data:video/mp4;base64,... or upload "
            "it with POST /v1/files and give its file_id", param, code="url_not_allowed",
        )  # fmt: skip
    return InlineClip(text, is_uri=True, name=name)


def inline_bytes(clip: InlineClip) -> bytes:
    """The file that came in a request.

    Raises:
        Problem: 400, it is not base64, or empty.
    """
    text, is_base64 = clip.text, True
    if clip.is_uri:
        head = _DATA_URI.match(text[:256])
        assert head is not None  # `_uri` has checked
        text, is_base64 = text[head.end() :], head[1] is not None
    try:
        # Both alphabets of RFC 4648; line breaks, which encoders put in, are dropped.
        raw = text.encode("ascii")
        data = (
            base64.b64decode(raw.translate(_URL_SAFE, b"\r\n \t"), validate=True)
            if is_base64
            else unquote_to_bytes(raw)
        )
    except (UnicodeEncodeError, binascii.Error) as error:
        raise wrong("the clip's data is not base64 (RFC 4648)", "messages", code="not_base64") from error
    if not data:
        raise wrong("the clip's data is empty", "messages", code="empty")
    return data


def kind_of(data: bytes) -> str:
    """The suffix of a file by its first bytes.

    Raises:
        Problem: 415, this is no recording.
    """
    kind = sniff(data[:SNIFF_BYTES])
    if kind is None:
        raise Problem(
            415, f"the clip is not a recording that is known here; expected one of: {', '.join(KINDS)}",
            code="no_media", param="messages",
        )  # fmt: skip
    return kind


def sha256_of(data: bytes) -> str:
    """By which equal files are known to be equal."""
    return hashlib.sha256(data).hexdigest()


def wrong(message: str, param: str, code: str = "invalid") -> Problem:
    """A 400 about a field of the request."""
    return Problem(400, message, code=code, param=param)
