"""What the encoders are given of one clip: a frame, a stream of face crops, a waveform; and why one is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from emotion_llama.models.inputs import FramePolicy
from emotion_llama.records import Clip, Missing, UInt8, Waveform


@dataclass(frozen=True, repr=False)
class GlobalFrame:
    """The picture for the global encoder: image [H, W, 3] uint8 RGB at full size, its time, and why this one."""

    image: UInt8
    pts_seconds: float
    policy: FramePolicy
    why: str

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"GlobalFrame({width}x{height} at {self.pts_seconds:.2f} s, {self.policy}: {self.why})"


@dataclass(frozen=True, repr=False)
class ClipInputs:
    """One person in one clip, or in a part of it.

    Attributes:
        clip: the file.
        frame: for the global encoder; None in a sound file.
        num_faces: crops of the person that `face_chunks` gives; 0 where nobody is seen.
        face_chunks: starts the stream of aligned crops, chunks [n, 112, 112, 3] uint8 RGB in time order, from the
            beginning at every call; crops are never all in memory.
        sound: mono at 16 kHz; None where there is none.
        missing: the reason for each of "frame", "faces" and "sound" that is not there.
    """

    clip: Clip
    frame: GlobalFrame | None
    num_faces: int
    face_chunks: Callable[[], Iterator[UInt8]]
    sound: Waveform | None
    missing: tuple[Missing, ...] = ()

    def why_missing(self, what: str) -> str:
        """The reason why `what` is not there.

        Raises:
            KeyError: it is there.
        """
        return {m.what: m.reason for m in self.missing}[what]

    def __repr__(self) -> str:
        seconds = "none" if self.sound is None else f"{self.sound.duration_seconds:.2f} s"
        return f"ClipInputs({self.clip.path.name!r}, frame={self.frame}, faces={self.num_faces}, sound={seconds})"


def no_faces() -> Iterator[UInt8]:
    """The stream of a clip in which nobody is seen."""
    return iter(())


def rebatched(chunks: Iterator[UInt8], size: int) -> Iterator[UInt8]:
    """The same pictures in the same order, `size` at a time, the last batch smaller; holds a chunk and a batch."""
    held: list[UInt8] = []
    count = 0
    for chunk in chunks:
        rest = chunk
        while count + len(rest) >= size:
            need = size - count
            yield np.concatenate([*held, rest[:need]])
            held, count, rest = [], 0, rest[need:]
        if len(rest):
            held.append(rest)
            count += len(rest)
    if count:
        yield np.concatenate(held)
