"""A sample as plain arrays that can be sent from one process to another: frame, face crops, sound, transcript, cues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.prompts.cues import cue_text
from emotion_llama.records import AudioInfo, Clip, Evidence, Missing, UInt8, Waveform
from emotion_llama.rules.tone_text import has_evidence

if TYPE_CHECKING:
    from emotion_llama.models.clip_inputs import ClipInputs
    from emotion_llama.models.inputs import Float32
    from emotion_llama.predictors import Sample

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, repr=False, eq=False)
class SeenArrays:
    """One person in one segment, without the file: all that a model's answer depends on.

    Attributes:
        clip_key: what features of the three arrays are kept under: equal keys mean equal arrays. "" keeps none.
        frame: [H, W, 3] uint8 RGB, for the global encoder; None in a sound file.
        faces: [N, S, S, 3] uint8 RGB, aligned crops in time order; N is 0 where nobody is seen.
        sound: [S] float32, mono at 16 kHz; None where there is none.
        words: what the person says; None where that is not known.
        cues: what was measured, in words (`prompts.cues.cue_text`).
        has_evidence: a face, a voice or words were measured (`rules.tone_text.has_evidence`).
        missing: the reason for each of "frame", "faces" and "sound" that is not there.
        duration_seconds: of the clip.

    Raises:
        InputError: an array has another shape or type, or what is not there has no reason.
    """

    clip_key: str
    frame: UInt8 | None
    faces: UInt8
    sound: Float32 | None
    words: str | None
    cues: str
    has_evidence: bool
    missing: tuple[Missing, ...]
    duration_seconds: float

    def __post_init__(self) -> None:
        frame, faces, sound = self.frame, self.faces, self.sound
        if frame is not None and (frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size):
            raise InputError(f"frame is {_kind(frame)}, expected one RGB picture [H, W, 3] uint8")
        is_square = faces.ndim == 4 and faces.shape[1] == faces.shape[2] and faces.shape[3] == 3
        if faces.dtype != np.uint8 or not is_square or (len(faces) and not faces.size):
            raise InputError(f"faces are {_kind(faces)}, expected crops [N, S, S, 3] uint8")
        if sound is not None and (sound.dtype != np.float32 or sound.ndim != 1 or not sound.size):
            raise InputError(f"sound is {_kind(sound)}, expected samples [S] float32 at {SAMPLE_RATE_HZ} Hz")
        if sound is not None and not np.isfinite(sound).all():
            raise InputError("sound holds values that are not finite numbers")
        if not 0 < self.duration_seconds < float("inf"):
            raise InputError(f"duration_seconds is {self.duration_seconds}, expected a number above 0")
        reasons = {missing.what for missing in self.missing}
        there = {"frame": frame is not None, "faces": len(faces) > 0, "sound": sound is not None}
        if lacking := [what for what, is_there in there.items() if not is_there and what not in reasons]:
            raise InputError(f"there is no {lacking[0]}, and `missing` gives no reason; add one")

    def sample(self) -> Sample:
        """The same as predictors take it; its clip is a stand-in without a file."""
        from emotion_llama.models.clip_inputs import ClipInputs, GlobalFrame, no_faces
        from emotion_llama.predictors import Sample

        clip = Clip(Path("clip"), "", self.duration_seconds, None, AudioInfo(SAMPLE_RATE_HZ, 1, ""))
        # Time and policy of the frame are not sent; no answer depends on them.
        frame = None if self.frame is None else GlobalFrame(self.frame, 0.0, "first", "as sent")
        sound = None if self.sound is None else Waveform(self.sound, SAMPLE_RATE_HZ)
        crops = self.faces

        def one_chunk() -> Iterator[UInt8]:
            return iter((crops,))

        inputs = ClipInputs(clip, frame, len(crops), one_chunk if len(crops) else no_faces, sound, self.missing)
        # Empty evidence says that nothing was measured; what was is in the cues.
        return Sample(None if self.has_evidence else Evidence(), inputs, None, self.words, self.cues, self.clip_key)

    def __repr__(self) -> str:
        frame = "none" if self.frame is None else f"{self.frame.shape[1]}x{self.frame.shape[0]}"
        seconds = "none" if self.sound is None else f"{len(self.sound) / SAMPLE_RATE_HZ:.2f} s"
        return f"SeenArrays({self.clip_key[:12]!r}, frame={frame}, faces={len(self.faces)}, sound={seconds})"


def seen_of(evidence: Evidence, inputs: ClipInputs, clip_key: str = "") -> SeenArrays:
    """The arrays of `inputs` and `evidence`, with all crops in memory.

    Raises:
        InputError: as `SeenArrays`.
    """
    chunks = list(inputs.face_chunks()) if inputs.num_faces else []
    return SeenArrays(
        clip_key,
        None if inputs.frame is None else inputs.frame.image,
        np.concatenate(chunks) if chunks else np.zeros((0, 112, 112, 3), np.uint8),
        None if inputs.sound is None else inputs.sound.samples.astype(np.float32, copy=False),
        None if evidence.transcript is None else evidence.transcript.text,
        cue_text(evidence),
        has_evidence(evidence),
        inputs.missing,
        inputs.clip.duration_seconds,
    )


def _kind(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    return f"{list(array.shape)} {array.dtype}"
