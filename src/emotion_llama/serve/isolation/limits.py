"""What a clip and a child process may be and take, and the errors that say that one was too much."""

from __future__ import annotations

from dataclasses import dataclass

from emotion_llama.errors import BackendError, EmotionLlamaError, InputError

GIB = 1 << 30


@dataclass(frozen=True)
class ClipLimits:
    """What a clip may be; checked against the container's header before anything is decoded. All are our own choice.

    Attributes:
        max_duration_seconds: longest recording.
        max_pixels: largest picture, width times height as stored.
        max_fps: most pictures a second.
        max_channels: most channels of sound.
        max_sample_rate_hz: highest rate of sound.
        max_segment_seconds: longest stretch that is handed to a model at once; a longer one has to be cut by
            `Options.segment`. Does not bind predictors of measurements alone.
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


class ClipRefused(EmotionLlamaError):
    """A clip, or an option that came with it, cannot be worked on: the client's matter, and an answer of 4xx.

    Args:
        reason: one sentence or two for the client; never a path of the server.
        status: 413 where it is too large or too long, 415 where it is no media file, 422 for all else.
        code: a short word for programs: "no_media", "damaged", "too_long", "too_large", "too_slow", "too_much_memory",
            "option".
    """

    def __init__(self, reason: str, status: int = 422, code: str = "damaged") -> None:
        self.reason = reason
        self.status = status
        self.code = code
        super().__init__(reason)


class ChildDied(BackendError):
    """The process that measured the clip ended unasked or broke its protocol; it is replaced. An answer of 5xx or 422.

    Args:
        how: such as "ended by signal SIGSEGV".
    """

    def __init__(self, how: str) -> None:
        self.how = how
        super().__init__(f"the process that measured the clip {how}; another has taken its place, try again")
