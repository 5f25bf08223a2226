"""Frames and sound of a clip in the form that chat models take: PNG pictures and a WAV file."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emotion_llama.records import Clip, Float

SAMPLE_RATE_HZ = 16_000


class ClipParts(NamedTuple):
    """What is sent of a clip: pictures in time order, and its sound; None where it has none or none is wanted."""

    pictures_png: tuple[bytes, ...]
    sound_wav: bytes | None


def clip_parts(path: Path, *, num_frames: int, max_side: int, with_sound: bool) -> ClipParts:
    """Frames from the middles of `num_frames` equal parts of the clip, and its sound.

    Args:
        path: a video or sound file.
        num_frames: 0 for none.
        max_side: larger frames are made smaller, in pixels.
        with_sound: whether the sound is wanted.

    Raises:
        MediaError: the file cannot be read.
    """
    from emotion_llama.media.probe import probe

    clip = probe(path, warn=lambda line: None)
    pictures = _pictures(clip, num_frames, max_side) if clip.video is not None and num_frames else ()
    return ClipParts(pictures, _sound(clip) if with_sound and clip.audio is not None else None)


def wav_bytes(samples: Float) -> bytes:
    """Mono PCM16 at 16 kHz of samples [S] in -1..1."""
    whole = np.clip(np.rint(samples * 32767.0), -32768, 32767).astype("<i2")
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(whole.tobytes())
    return data.getvalue()


def _pictures(clip: Clip, num_frames: int, max_side: int) -> tuple[bytes, ...]:
    import cv2

    from emotion_llama.media.frames import frame_at

    found = []
    for seconds in middles(clip.duration_seconds, num_frames):
        frame = frame_at(clip, seconds, max_side=max_side, warn=lambda line: None).images[0]
        found.append(bytes(cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1]))
    return tuple(found)


def middles(duration_seconds: float, count: int) -> Sequence[float]:
    """Middles of `count` equal parts of a clip, in seconds."""
    return [duration_seconds * (2 * i + 1) / (2 * count) for i in range(count)]


def _sound(clip: Clip) -> bytes | None:
    from emotion_llama.media.audio import read_audio

    samples = read_audio(clip, warn=lambda line: None).samples
    return wav_bytes(samples) if len(samples) else None
