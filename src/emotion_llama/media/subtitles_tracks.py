"""Text tracks inside a media file: which there are, which one is read, and its cues."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError
from emotion_llama.media.container import open_media, read_packets
from emotion_llama.media.subtitles_parse import Cue, Cues, is_aside, named

if TYPE_CHECKING:
    from av.stream import Stream

_TEXT_CODECS = frozenset({"subrip", "srt", "text", "ass", "ssa", "webvtt", "mov_text"})
_ASS_CELLS = 9  # read order, layer, style, name, three margins, effect, text


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
        streams: list[Any] = list(media.container.streams.subtitles)
        names = [f"track {i} ({_about(stream)})" for i, stream in enumerate(streams, 1)]
        texts = [i for i, stream in enumerate(streams) if _codec(stream) in _TEXT_CODECS]
        if number is not None and (number > len(streams) or number - 1 not in texts):
            there = "; ".join(names) or "none"
            raise InputError(f"{path}: no text is in subtitle track {number}; the file has: {there}")
        if number is None and not texts:
            return None, "", None, [f"subtitle {name} holds images and was not read" for name in names]
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
    if codec == "mov_text":
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    elif data[4:8] in (b"vttc", b"vtte", b"vttx"):  # WebVTT in MP4: boxes, of which one holds the payload
        at = data.find(b"payl")
        data = data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")] if at > 0 else b""
    text = data.decode("utf-8", "replace").replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")
    if codec in ("ass", "ssa"):
        cells = text.split(",", _ASS_CELLS - 1)
        if len(cells) < _ASS_CELLS:
            found.bad.append(f"at {start:.1f} s: no event")
            return
        if is_aside(cells[2]):
            return
        text = named(cells[8], cells[3].strip())
    if text.strip():
        found.cues.append(Cue(start, max(start, end), text))


def _codec(stream: Stream) -> str:
    """FFmpeg's name; "" where this build has none, as for tracks of images."""
    return stream.codec_context.name if stream.codec_context else ""


def _has(stream: Any, flag: str) -> bool:
    return bool(getattr(stream.disposition, flag, False))


def _is_english(stream: Any) -> bool:
    return str(stream.language or "").startswith("en")


def _about(stream: Any) -> str:
    flags = [flag for flag in ("default", "forced", "hearing_impaired") if _has(stream, flag)]
    title = stream.metadata.get("title")
    return ", ".join(part for part in (stream.language, _codec(stream) or "unknown", title, *flags) if part)
