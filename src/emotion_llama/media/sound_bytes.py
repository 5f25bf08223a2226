"""Sound as models take it: bytes of a wav in, samples out."""

from __future__ import annotations

import io
import wave

import numpy as np

from emotion_llama.errors import AnnotationError
from emotion_llama.records import Float


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
