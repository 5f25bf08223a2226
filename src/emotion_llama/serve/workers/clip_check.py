"""What a clip may be: a known format by its first bytes, within the limits by its header and its first frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.records import Clip
from emotion_llama.serve.errors import ClipRefused

if TYPE_CHECKING:
    from emotion_llama.media.container import Media
    from emotion_llama.media.reader import ClipFile

GIB = 1 << 30


@dataclass(frozen=True)
class ClipLimits:
    """What a clip may be; checked against the container's header before anything is decoded. All are our own choice.

    Attributes:
        max_duration_seconds: longest recording.
        max_pixels: largest frame, width times height as stored.
        max_fps: most frames a second.
        max_channels: most channels of sound.
        max_sample_rate_hz: highest rate of sound.
        max_segment_seconds: longest stretch that is handed to a model at once; a longer one has to be cut by
            `Options.segment`. Does not bind predictors over measurements.
        max_faces: most crops of a person in a segment that are handed to a model; of more, pairs of neighbours at
            even distances are, and the document's warnings say so.
    """

    max_duration_seconds: float = 600.0
    max_pixels: int = 3840 * 2160
    max_fps: float = 240.0
    max_channels: int = 16
    max_sample_rate_hz: int = 192_000
    max_segment_seconds: float = 900.0
    max_faces: int = 2000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(f"{name} is {value}, expected a number above 0")


SNIFF_BYTES = 4096  # how much of a file `sniff` needs; less will do for a small file
# What `sniff` can return; each is a usual suffix, and the name of FFmpeg's demuxer for it.
KINDS = ("mp4", "mov", "m4a", "webm", "mkv", "avi", "wav", "mp3", "flac", "ogg")

_EBML = b"\x1a\x45\xdf\xa3"
_EBML_DOC_TYPE = b"\x42\x82"
_STILL_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"jxl ", b"jp2 ", b"crx "})
_SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
# QuickTime files from before `ftyp` begin with one of these boxes.
_QUICKTIME_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_RIFF_KINDS = {b"AVI ": "avi", b"WAVE": "wav"}


def sniff(head: bytes) -> str | None:
    """The kind of media file that begins with `head` (its first `SNIFF_BYTES`), one of `KINDS`; None for all else.

    Signatures: ISO/IEC 14496-12 (`ftyp`), QuickTime File Format, RFC 8794 and the Matroska specification (EBML,
    DocType), RIFF and RF64 (EBU Tech 3306), RFC 3533 (Ogg), RFC 9639 (FLAC), ID3v2, ISO/IEC 11172-3 (frame header).
    Pictures in the same containers (HEIC, AVIF) are none.
    """
    if head[4:8] == b"ftyp":
        return _by_brand(head[8:12])
    if head[4:8] in _QUICKTIME_BOXES:
        return "mov"
    if head.startswith(_EBML):
        return _by_doc_type(head)
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF_KINDS.get(head[8:12])
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    return "mp3" if head.startswith(b"ID3") or _is_layer_3(head) else None


def _by_brand(brand: bytes) -> str | None:
    if brand in _STILL_BRANDS:
        return None
    if brand == b"qt  ":
        return "mov"
    return "m4a" if brand in _SOUND_BRANDS else "mp4"


def _by_doc_type(head: bytes) -> str | None:
    at = head.find(_EBML_DOC_TYPE, len(_EBML))
    size = head[at + 2] & 0x7F if 0 <= at < len(head) - 2 else 0
    return {b"webm": "webm", b"matroska": "mkv"}.get(head[at + 3 : at + 3 + size]) if size else None


def _is_layer_3(head: bytes) -> bool:
    """Whether an MPEG audio frame of layer III begins here: sync, a version, and rates that exist."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer == 1 and bit_rate not in (0, 15) and sample_rate != 3


@contextmanager
def checked_clip(path: Path, limits: ClipLimits) -> Iterator[ClipFile]:
    """The open file, once it is known to be within the limits.

    First its first bytes; then what the container says of size, rate and length, with nothing of ours decoded (FFmpeg
    itself may look at the first packets); last what the first frame and samples show.

    Raises:
        ClipRefused: it is no media file of a known kind, or beyond a limit.
        MediaError: it cannot be read.
    """
    from emotion_llama.media.container import check_regular_file
    from emotion_llama.media.probe import open_clip

    check_regular_file(path)
    with path.open("rb") as opened:
        head = opened.read(SNIFF_BYTES)
    if sniff(head) is None:
        raise ClipRefused(
            f"this is no media file of a known kind; expected one of: {', '.join(KINDS)}", 415, "no_media"
        )
    # The analysis itself warns.
    with open_clip(path, warn=lambda line: None, check=lambda media: _check_header(media, limits)) as file:
        _check_clip(file.clip, limits)
        yield file


def _check_header(media: Media, limits: ClipLimits) -> None:
    if media.video is not None:
        context = media.video.codec_context
        _check_pixels(context.width, context.height, limits)
    if media.audio is not None:
        sound = media.audio.codec_context
        _check_sound(sound.sample_rate or 0, sound.channels or 0, limits)
    _check_duration((media.container.duration or 0) / 1_000_000, limits)


def _check_clip(clip: Clip, limits: ClipLimits) -> None:
    if clip.video is not None:
        _check_pixels(clip.video.width, clip.video.height, limits)
        if clip.video.fps > limits.max_fps:
            raise ClipRefused(
                f"its video has {clip.video.fps:.0f} frames a second, at most {limits.max_fps:.0f} are taken; "
                "write it again at a lower rate",
                413,
                "too_large",
            )
    if clip.audio is not None:
        _check_sound(clip.audio.sample_rate_hz, clip.audio.channels, limits)
    _check_duration(clip.duration_seconds, limits)


def _check_pixels(width: int, height: int, limits: ClipLimits) -> None:
    if width * height > limits.max_pixels:
        raise ClipRefused(
            f"its frames are of {width}x{height} pixels, at most {limits.max_pixels} pixels are taken; scale it down",
            413,
            "too_large",
        )


def _check_sound(sample_rate_hz: int, channels: int, limits: ClipLimits) -> None:
    if sample_rate_hz > limits.max_sample_rate_hz or channels > limits.max_channels:
        raise ClipRefused(
            f"its sound has {channels} channels at {sample_rate_hz} Hz, at most {limits.max_channels} channels at "
            f"{limits.max_sample_rate_hz} Hz are taken; write it again with fewer",
            413,
            "too_large",
        )


def _check_duration(seconds: float, limits: ClipLimits) -> None:
    if seconds > limits.max_duration_seconds:
        raise ClipRefused(
            f"it is {seconds:.0f} s long, at most {limits.max_duration_seconds:.0f} s are taken; cut it",
            413,
            "too_long",
        )
