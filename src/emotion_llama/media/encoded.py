"""Images and sound as bytes: PNG to pixels or a smaller PNG, pixels to JPEG, WAV to samples."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import AnnotationError, BackendError
from emotion_llama.media.picture import shrunk
from emotion_llama.records import Float, UInt8

JPEG_QUALITY, PNG_LEVEL = 82, 6


def read_png(data: bytes) -> UInt8:
    """[H, W, 3] RGB.

    Raises:
        AnnotationError: "cannot": the bytes are no picture.
    """
    import cv2

    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if found is None:
        raise AnnotationError("cannot", "the bytes are no picture; build the clip's peak again", attempts=0)
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def write_png(image: UInt8) -> bytes:
    """[H, W, 3] RGB as a PNG; the same picture gives the same bytes."""
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1])


def write_wav(samples: npt.NDArray[np.floating[Any]], sample_rate_hz: int = 16_000) -> bytes:
    """Mono PCM16 of samples [S] in -1..1."""
    whole = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(whole.tobytes())
    return out.getvalue()


def smaller_png(data: bytes, max_side: int) -> bytes:
    """The PNG itself where its longer side is at most `max_side`, else a smaller one.

    Raises:
        AnnotationError: "cannot": the bytes are no picture.
    """
    image = read_png(data)
    small = shrunk(image, max_side)
    return data if small is image else write_png(small)


def scaled_jpeg(image_bgr: UInt8, side: int) -> tuple[bytes, int, int]:
    """An image [H, W, 3] as JPEG, never enlarged, its longer side at most `side` pixels; its width and height.

    Raises:
        BackendError: OpenCV could not encode it.
    """
    import cv2

    height, width = image_bgr.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        image_bgr = np.asarray(cv2.resize(image_bgr, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    encoded, jpeg = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise BackendError(f"OpenCV could not encode an image of {width}x{height} pixels as JPEG")
    return bytes(jpeg.tobytes()), width, height


def read_wav(data: bytes, sample_rate_hz: int) -> Float:
    """[S] float32 in -1..1 of a mono PCM16 file, resampled where the rate differs.

    Raises:
        AnnotationError: "cannot": the bytes are no such file.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1:
                raise wave.Error("not mono PCM16")
            rate, raw = file.getframerate(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise AnnotationError("cannot", f"the bytes are no sound ({error})", attempts=0) from error
    samples = np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)
    if not len(samples):
        raise AnnotationError("cannot", "the sound holds no samples", attempts=0)
    if rate == sample_rate_hz:
        return np.asarray(samples)
    import soxr  # type: ignore[import-untyped]

    return np.asarray(soxr.resample(samples, rate, sample_rate_hz), np.float32)
