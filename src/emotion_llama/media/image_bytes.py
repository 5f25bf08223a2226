"""Pictures as models take them: bytes of a PNG in, pixels or a smaller PNG out."""

from __future__ import annotations

import numpy as np

from emotion_llama.errors import AnnotationError
from emotion_llama.media.picture import shrunk
from emotion_llama.records import UInt8


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
