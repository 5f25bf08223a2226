"""Features of a clip: face, temporal and audio vectors from the encoders, and the picture for the global encoder.

Legend: D features of an utterance (1024 in the published model), S side of the global encoder's picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Protocol

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError, MediaError
from emotion_llama.models import inputs as recipes
from emotion_llama.models.clips import (
    GLOBAL_IMAGE,
    MODALITIES,
    NOTHING_GIVEN,
    ClipFeatures,
    ClipInputs,
    Modality,
    rebatched,
)
from emotion_llama.models.inputs import HUBERT_LAST, ClipRecipe, Float32, SoundRecipe
from emotion_llama.records import Missing, UInt8

# The whole-clip recipe holds the first convolution's output of all the sound at once: about 22 MB a second.
LONGEST_WHOLE_SECONDS = 180.0


class Encoders(Protocol):
    """The three encoders of utterance features, at whatever size they are; arrays in, arrays out.

    `face_size`, `clip_size` and `global_size` are the sides of the pictures that they, and the global encoder, take;
    `clip_recipe` says which crops the temporal encoder sees.
    """

    face_size: int
    clip_size: int
    clip_recipe: ClipRecipe
    global_size: int

    def face(self, pixel_values: Float32) -> Float32:
        """[N, D] one vector a face crop [N, 3, S, S]: the class token after the final norm."""

    def temporal(self, pixel_values: Float32) -> Float32:
        """[D] of one clip [3, T, S, S]: mean over the last block's tokens, not normalised."""

    def audio(self, values: Float32, recipe: str) -> Float32:
        """[C, D] of C rows of sound [C, L], averaged over time, as the sound recipe of that name says."""


class FeatureExtractor:
    """Makes the features of one clip after another.

    Face crops stream through the face encoder `batch_size` at a time, and their mean accumulates, so that memory does
    not grow with the length of a clip. The same clip gives the same bits on the same machine.
    """

    def __init__(self, encoders: Encoders, *, sound: SoundRecipe = HUBERT_LAST, batch_size: int = 32) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, got {batch_size}")
        self.encoders = encoders
        self.sound = sound
        self.batch_size = batch_size

    def recipe(self) -> dict[str, Mapping[str, object]]:
        """Which recipes the features are made by, as JSON values."""
        eva, face, clip = recipes.EVA_PICTURE, recipes.FACE_PICTURE, self.encoders.clip_recipe
        return {
            "image": {**asdict(eva), "size": self.encoders.global_size},
            "face": {**asdict(face), "size": self.encoders.face_size},
            "temporal": {**asdict(clip), "picture": {**asdict(clip.picture), "size": self.encoders.clip_size}},
            "audio": asdict(self.sound),
        }

    def extract(
        self,
        clip: ClipInputs,
        progress: Callable[[str, float], None] | None = None,
        *,
        given: Mapping[Modality, Float32] = NOTHING_GIVEN,
    ) -> ClipFeatures:
        """The features of one clip.

        Args:
            clip: frame, crops and sound.
            progress: hears the stage ("face", "temporal", "audio") and its share done.
            given: vectors that are taken as they are, in place of computing them.

        Raises:
            InputError: the sound is too long for the recipe.
            MediaError: the file's pictures were read twice and differed.
        """
        report = progress or (lambda stage, share: None)
        missing: list[Missing] = []
        face, temporal, audio = (given.get(modality) for modality in MODALITIES)
        if face is None or temporal is None:
            made = self._of_faces(clip, missing, report)
            face, temporal = (made[0] if face is None else face), (made[1] if temporal is None else temporal)
        if audio is None:
            audio = self._of_sound(clip, missing, report)
        missing = [reason for reason in missing if reason.what not in given]
        image = None
        if clip.image is not None:
            image = recipes.resize(clip.image, self.encoders.global_size, recipes.EVA_PICTURE.resample)
        else:
            missing.append(Missing(GLOBAL_IMAGE, clip.why_missing("frame")))
        taken = tuple(modality for modality in MODALITIES if modality in given)
        return ClipFeatures(
            face, temporal, audio, image, clip.num_faces, clip.frame_seconds, clip.frame_why, tuple(missing), taken
        )

    def _of_faces(
        self, clip: ClipInputs, missing: list[Missing], report: Callable[[str, float], None]
    ) -> tuple[Float32 | None, Float32 | None]:
        if not clip.num_faces:
            reason = clip.why_missing("faces")
            missing += [Missing("face", reason), Missing("temporal", reason)]
            return None, None
        report("face", 0.0)
        seen = self.encoders.clip_recipe
        chosen = recipes.clip_frame_indices(clip.num_faces, seen)
        kept: dict[int, UInt8] = {}
        total: npt.NDArray[np.float64] | None = None
        count = 0
        for batch in rebatched(clip.face_chunks(), self.batch_size):
            vectors = self.encoders.face(recipes.face_pixel_values(batch, self.encoders.face_size))
            summed = vectors.astype(np.float64).sum(axis=0)
            total = summed if total is None else total + summed
            kept |= {int(i): batch[i - count].copy() for i in chosen if count <= i < count + len(batch)}
            count += len(batch)
            report("face", min(1.0, count / clip.num_faces))
        if total is None or count != clip.num_faces:
            raise MediaError(
                clip.name, f"{clip.num_faces} faces were found and {count} read back", "copy or download it again"
            )
        report("temporal", 0.0)
        pixels = recipes.clip_pixel_values(np.stack([kept[int(i)] for i in chosen]), self.encoders.clip_size, seen)
        return (total / count).astype(np.float32), self.encoders.temporal(pixels)

    def _of_sound(
        self, clip: ClipInputs, missing: list[Missing], report: Callable[[str, float], None]
    ) -> Float32 | None:
        if clip.samples is None:
            missing.append(Missing("audio", clip.why_missing("sound")))
            return None
        seconds = len(clip.samples) / self.sound.sample_rate_hz
        if self.sound.chunk_seconds is None and seconds > LONGEST_WHOLE_SECONDS:
            raise InputError(
                f"{clip.name}: recipe {self.sound.name} encodes a clip's sound at once and takes up to "
                f"{LONGEST_WHOLE_SECONDS:.0f} s, got {seconds:.0f} s; cut the clip into utterances, "
                f"or choose {recipes.HUBERT_SUM4.name}"
            )
        report("audio", 0.0)
        rows = recipes.sound_chunks(recipes.sound_values(clip.samples, self.sound), self.sound)
        total: npt.NDArray[np.float64] | None = None
        per_batch = max(1, self.batch_size // 8)  # a row of 10 s takes as much memory as some eight pictures
        for start in range(0, len(rows), per_batch):
            vectors = self.encoders.audio(rows[start : start + per_batch], self.sound.name).astype(np.float64)
            total = vectors.sum(axis=0) if total is None else total + vectors.sum(axis=0)
            report("audio", min(1.0, (start + per_batch) / len(rows)))
        assert total is not None
        # All rows are of one length, so that the mean of their means is the mean over all time steps.
        return (total / len(rows)).astype(np.float32)
