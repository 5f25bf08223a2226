"""Images and sound as bytes: PNG to pixels or a smaller PNG, pixels to JPEG, WAV to samples."""

from __future__ import annotations

import io
import wave

import numpy as np

from emotion_llama.errors import AnnotationError, BackendError
from emotion_llama.media.picture import shrunk
from emotion_llama.records import Float, UInt8

JPEG_QUALITY = 82


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


def smaller_png(data: bytes, max_side: int) -> bytes:
    """The PNG itself where its longer side is at most `max_side`, else a smaller one.

    Raises:
        AnnotationError: "cannot": the bytes are no picture.
    """
    import cv2

    image = read_png(data)
    small = shrunk(image, max_side)
    if small is image:
        return data
    return bytes(cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1])


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
