"""What a clip may be: a known format by its first bytes, within the limits by its header and its first frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.media.kinds import KINDS, SNIFF_BYTES, sniff
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


@contextmanager
def checked_clip(path: Path, limits: ClipLimits, audio_track: int | None = None) -> Iterator[ClipFile]:
    """The open file, once it is known to be within the limits; its sound is `audio_track` (see `open_clip`).

    First its first bytes; then what the container says of size, rate and length, with nothing of ours decoded (FFmpeg
    itself may look at the first packets); last what the first frame and samples show.

    Raises:
        ClipRefused: it is no media file of a known kind, or beyond a limit.
        MediaError: it cannot be read.
    """
    from emotion_llama.media.probe import open_clip
    from emotion_llama.media.refused import check_regular_file

    check_regular_file(path)
    with path.open("rb") as opened:
        head = opened.read(SNIFF_BYTES)
    if sniff(head) is None:
        raise ClipRefused(
            f"this is no media file of a known kind; expected one of: {', '.join(KINDS)}", 415, "no_media"
        )
    # The analysis itself warns.
    check = partial(_check_header, limits=limits)
    with open_clip(path, warn=lambda line: None, check=check, audio_track=audio_track) as file:
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
