"""The media of a build's clips as answers: found by clip id in the ledger, never by a path from the client."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastapi.responses import FileResponse

from emotion_llama.merr.records import ClipRow, Sample
from emotion_llama.merr.store import Store
from emotion_llama.serve.isolation.sniff import SNIFF_BYTES, sniff
from emotion_llama.serve.problems import Problem

# What `sniff` says -> the media type that browsers know. A file that is none of these is not sent.
MEDIA_TYPES: Mapping[str, str] = {
    "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mkv": "video/x-matroska",
    "avi": "video/x-msvideo", "wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg",
    "m4a": "audio/mp4",
}  # fmt: skip
ARTIFACT_TYPES: Mapping[str, str] = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".wav": "audio/wav",
}  # fmt: skip


class FoundFile(NamedTuple):
    """A file to send, and its media type."""

    path: Path
    media_type: str


def clip_file(clip: ClipRow) -> FoundFile | None:
    """The clip's media file; None where it is gone, or is no media file (any more)."""
    if clip.path is None:
        return None
    path = Path(clip.path)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            kind = sniff(file.read(SNIFF_BYTES))
    except OSError:
        return None
    return None if kind is None or kind not in MEDIA_TYPES else FoundFile(path, MEDIA_TYPES[kind])


def artifact_file(store: Store, sample: Sample, name: str) -> FoundFile | None:
    """A file that a stage made of the clip; None where there is none."""
    relative = sample.artifacts.get(name)
    if relative is None:
        return None
    path = store.folder / relative
    media_type = ARTIFACT_TYPES.get(path.suffix)
    return FoundFile(path, media_type) if media_type is not None and path.is_file() else None


def send(found: FoundFile | None, what: str) -> FileResponse:
    """The file, in ranges where the client asks for them (RFC 9110, 14).

    Raises:
        Problem: 404, there is none.
    """
    if found is None:
        raise Problem(404, f"there is no {what} of this clip", code="not_found")
    # What is told of a person is kept by no cache on the way; the browser itself may keep it for a while.
    return FileResponse(found.path, media_type=found.media_type, headers={"Cache-Control": "private, max-age=300"})
