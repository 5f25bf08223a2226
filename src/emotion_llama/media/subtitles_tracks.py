"""Text tracks inside a media file: which there are, which one is read, and its cues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError
from emotion_llama.media.container import open_media, read_packets
from emotion_llama.media.subtitles_parse import Cue, Cues, is_aside, named

if TYPE_CHECKING:
    from av.container import InputContainer

_TEXT_CODECS = frozenset({"subrip", "srt", "text", "ass", "ssa", "webvtt", "wvtt", "mov_text"})
_ASS_CELLS = 9  # read order, layer, style, name, three margins, effect, text
_WEBVTT_BOXES = (b"vttc", b"vtte")  # a cue and a pause, in MP4 (ISO/IEC 14496-30)


def text_streams(path: Path, container: InputContainer) -> list[Any]:
    """The subtitle tracks of an open media file, in its order; WebVTT in MP4 among them, which FFmpeg calls data."""
    streams: list[Any] = list(container.streams.subtitles)
    if "mov" in container.format.name.split(","):
        streams += [stream for stream in container.streams.data if _is_webvtt(path, stream)]
    return sorted(streams, key=lambda stream: stream.index)


def _is_webvtt(path: Path, stream: Any) -> bool:
    entry = next((entry for entry in stream.index_entries if entry.size >= 8), None)
    if entry is None:
        return False
    with path.open("rb") as file:
        file.seek(entry.pos)
        return file.read(8)[4:] in _WEBVTT_BOXES


def read_track(path: Path, number: int | None, zero_seconds: float) -> tuple[Cues | None, str, str | None, list[str]]:
    """The cues of a text track of a media file, None where it has none that can be read.

    Of several, one that is not forced goes first, then English, then the default one, then the order of the file.

    Args:
        path: the media file.
        number: which of its subtitle tracks, from 1; None chooses.
        zero_seconds: the container's time of the clip's beginning.

    Returns:
        The cues, a name for the track, its language, and a line for each choice and each track that was not read.

    Raises:
        InputError: there is no such track, or it holds images.
        MediaError: the file cannot be opened.
    """
    from av.error import FFmpegError

    notes: list[str] = []
    with open_media(path) as media:
        streams = text_streams(path, media.container)
        names = [f"track {i} ({_about(stream)})" for i, stream in enumerate(streams, 1)]
        texts = [i for i, stream in enumerate(streams) if _codec(stream) in _TEXT_CODECS]
        if number is not None and (number > len(streams) or number - 1 not in texts):
            there = "; ".join(names) or "none"
            raise InputError(f"{path}: no text is in subtitle track {number}; the file has: {there}")
        if number is None and not texts:
            return None, "", None, [f"subtitle {name} holds images, or a form that is not read" for name in names]
        order = sorted(texts, key=lambda i: (_has(streams[i], "forced"), not _is_english(streams[i]),
                                             not _has(streams[i], "default"), i))  # fmt: skip
        chosen = order[0] if number is None else number - 1
        others = [name for i, name in enumerate(names) if i != chosen]
        if others:
            notes.append(f"subtitle {names[chosen]} is read, not {', '.join(others)} (--subtitle-track chooses)")
        cues = Cues([], [])
        try:
            for packet in read_packets(media.container, streams[chosen]):
                _take(packet, _codec(streams[chosen]), zero_seconds, cues)
        except FFmpegError as error:
            notes.append(f"subtitle {names[chosen]} is damaged ({error.strerror}); {len(cues.cues)} cues were read")
        language = streams[chosen].language
        return cues, f"{path.name}, subtitle {names[chosen]}", None if language == "und" else language, notes


def _take(packet: Any, codec: str, zero_seconds: float, found: Cues) -> None:
    data = bytes(packet)
    if packet.pts is None or not data:
        return
    start = round(float(packet.pts * packet.time_base) - zero_seconds, 3)
    end = round(start + float((packet.duration or 0) * packet.time_base), 3)
    payloads = [data]
    if codec == "mov_text":
        payloads = [data[2 : 2 + int.from_bytes(data[:2], "big")]]
    elif codec == "wvtt":
        cues = [cue for name, cue in _boxes(data) if name == b"vttc"]
        payloads = [payload for cue in cues for name, payload in _boxes(cue) if name == b"payl"]
    for payload in payloads:
        text = payload.decode("utf-8", "replace").replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")
        if codec in ("ass", "ssa"):
            cells = text.split(",", _ASS_CELLS - 1)
            if len(cells) < _ASS_CELLS:
                found.bad.append(f"at {start:.1f} s: no event")
                continue
            if is_aside(cells[2]):
                continue
            text = named(cells[8], cells[3].strip())
        if text.strip():
            found.cues.append(Cue(start, max(start, end), text))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that data consists of (ISO/IEC 14496-12)."""
    at = 0
    while at + 8 <= len(data):
        size = max(int.from_bytes(data[at : at + 4], "big"), 8)
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _codec(stream: Any) -> str:
    """FFmpeg's name; "" where this build has none, as for tracks of images."""
    if stream.type == "data":
        return "wvtt"
    return stream.codec_context.name if stream.codec_context else ""


def _has(stream: Any, flag: str) -> bool:
    from av.stream import Disposition

    return bool(Disposition(stream.disposition) & Disposition[flag])


def _is_english(stream: Any) -> bool:
    return str(stream.language or "").startswith("en")


def _about(stream: Any) -> str:
    flags = [flag for flag in ("default", "forced", "hearing_impaired") if _has(stream, flag)]
    title = stream.metadata.get("title")
    return ", ".join(part for part in (stream.language, _codec(stream) or "unknown", title, *flags) if part)
