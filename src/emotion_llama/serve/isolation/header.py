"""Whether a clip may be worked on, by its container's header and then by its first picture and sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.records import Clip
from emotion_llama.serve.isolation.limits import ClipLimits, ClipRefused
from emotion_llama.serve.isolation.sniff import KINDS, SNIFF_BYTES, sniff

if TYPE_CHECKING:
    from emotion_llama.media.container import Media


def checked_clip(path: Path, limits: ClipLimits) -> Clip:
    """What the file is, once it is known to be within the limits.

    First its first bytes; then what the container says of size, rate and length, with nothing of ours decoded (FFmpeg
    itself may look at the first packets); last what the first picture and sound show.

    Raises:
        ClipRefused: it is no media file of a known kind, or beyond a limit.
        MediaError: it cannot be read.
    """
    from emotion_llama.media.container import check_regular_file, open_media
    from emotion_llama.media.probe import probe

    check_regular_file(path)
    with path.open("rb") as file:
        head = file.read(SNIFF_BYTES)
    if sniff(head) is None:
        raise ClipRefused(
            f"this is no media file of a known kind; expected one of: {', '.join(KINDS)}", 415, "no_media"
        )
    with open_media(path) as media:
        _check_header(media, limits)
    clip = probe(path, warn=lambda line: None)  # the analysis itself warns
    _check_clip(clip, limits)
    return clip


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
                f"its video has {clip.video.fps:.0f} pictures a second, at most {limits.max_fps:.0f} are taken; "
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
            f"its pictures are of {width}x{height} pixels, at most {limits.max_pixels} pixels are taken; scale it down",
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
