"""What the model sees and hears of a clip, and a batch of it as arrays under the model's names. No torch.

Legend: B clips, F face crops, S samples or pixels of a side, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.models import inputs as recipes
from emotion_llama.models.inputs import ClipRecipe, Float32, SoundRecipe
from emotion_llama.records import UInt8

if TYPE_CHECKING:
    from emotion_llama.models.clip_features import ClipFeatures
    from emotion_llama.models.clip_inputs import ClipInputs

# Names of the model's inputs -> arrays; only transformers' BatchFeature sees it.
ArrayMap = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, repr=False)
class ClipMedia:
    """What the model sees and hears of one clip; what is None is left out of the prompt.

    Attributes:
        image: [H, W, 3] uint8 RGB, the frame for the global encoder.
        faces: [F, H, W, 3] uint8 RGB, all aligned crops in time order, for the face and the temporal encoder.
        samples: [S] float32, mono at 16 kHz.
        face_features, temporal_features, audio_features: [D] utterance features in place of crops and samples.
    """

    image: UInt8 | None = None
    faces: UInt8 | None = None
    samples: Float32 | None = None
    face_features: Float32 | None = None
    temporal_features: Float32 | None = None
    audio_features: Float32 | None = None

    def __post_init__(self) -> None:
        has_features = self.face_features is not None or self.temporal_features is not None
        if self.faces is not None and has_features:
            raise InputError("both face crops and face or temporal features are given; give one of them")
        if self.samples is not None and self.audio_features is not None:
            raise InputError("both samples and audio features are given; give one of them")
        if self.faces is not None and not len(self.faces):
            raise InputError("faces holds no crop; leave it out (None) where nobody is seen")

    @classmethod
    def of_features(cls, features: ClipFeatures) -> ClipMedia:
        """From computed or stored features."""
        return cls(
            image=features.global_image,
            face_features=features.face,
            temporal_features=features.temporal,
            audio_features=features.audio,
        )

    @classmethod
    def of_inputs(cls, inputs: ClipInputs) -> ClipMedia:
        """From a clip's frame, crops and sound, with all crops in memory: for short clips."""
        return cls(
            None if inputs.frame is None else inputs.frame.image,
            np.concatenate(list(inputs.face_chunks())) if inputs.num_faces else None,
            None if inputs.sound is None else inputs.sound.samples,
        )

    @property
    def present(self) -> tuple[bool, bool, bool, bool]:
        """Whether there is a picture, a face, a clip of faces and sound: the model's modality mask."""
        return (
            self.image is not None,
            self.faces is not None or self.face_features is not None,
            self.faces is not None or self.temporal_features is not None,
            self.samples is not None or self.audio_features is not None,
        )

    def __repr__(self) -> str:
        there = ", ".join(f"{name}{list(value.shape)}" for name, value in vars(self).items() if value is not None)
        return f"ClipMedia({there or 'nothing'})"


def media_arrays(
    clips: Sequence[ClipMedia], image_size: int, face_size: int, clip_size: int, seen: ClipRecipe, sound: SoundRecipe
) -> ArrayMap:
    """The encoders' inputs of a batch, and modality_mask [B, 4]; rows of clips that lack a modality are NaN.

    pixel_values [B, 3, S, S], face_pixel_values [F, 3, S, S] of all clips with face_counts [B], clip_pixel_values
    [B, 3, T, S, S] of the T crops that `seen` chooses, input_values [B, S] filled with zeros at the end with
    input_lengths [B], or face_features, temporal_features, audio_features [B, D]; what no clip has is not there.

    Raises:
        InputError: crops and features, or samples and features, are mixed; features differ in size.
    """
    data: ArrayMap = {"modality_mask": np.array([clip.present for clip in clips], np.bool_)}
    images = [None if clip.image is None else recipes.global_pixel_values(clip.image, image_size) for clip in clips]
    data |= _stacked("pixel_values", images)
    for name in ("face_features", "temporal_features", "audio_features"):
        data |= _stacked(name, [getattr(clip, name) for clip in clips])
    if any(clip.faces is not None for clip in clips):
        _unmixed("faces", data, ("face_features", "temporal_features"))
        data |= _faces([clip.faces for clip in clips], face_size, clip_size, seen)
    if any(clip.samples is not None for clip in clips):
        _unmixed("samples", data, ("audio_features",))
        data |= _sounds([clip.samples for clip in clips], sound)
    return data


def _faces(faces: Sequence[UInt8 | None], face_size: int, clip_size: int, seen: ClipRecipe) -> ArrayMap:
    crops = [recipes.face_pixel_values(one, face_size) for one in faces if one is not None]
    counts = np.array([0 if one is None else len(one) for one in faces], np.int64)
    clips = [None if one is None else _clip(one, clip_size, seen) for one in faces]
    data: ArrayMap = {"face_pixel_values": np.concatenate(crops), "face_counts": counts}
    return data | _stacked("clip_pixel_values", clips)


def _clip(faces: UInt8, clip_size: int, seen: ClipRecipe) -> Float32:
    return recipes.clip_pixel_values(faces[recipes.clip_frame_indices(len(faces), seen)], clip_size, seen)


def _sounds(sounds: Sequence[Float32 | None], recipe: SoundRecipe) -> ArrayMap:
    values = [np.zeros(0, np.float32) if one is None else recipes.sound_values(one, recipe) for one in sounds]
    lengths = np.array([len(one) for one in values], np.int64)
    rows = np.zeros((len(values), lengths.max()), np.float32)
    for row, one in zip(rows, values):
        row[: len(one)] = one
    return {"input_values": rows, "input_lengths": lengths}


def _stacked(name: str, rows: Sequence[npt.NDArray[Any] | None]) -> ArrayMap:
    there = [row for row in rows if row is not None]
    if not there:
        return {}
    shapes = {row.shape for row in there}
    if len(shapes) > 1:
        raise InputError(f"{name} differs in shape between clips: {', '.join(str(list(s)) for s in sorted(shapes))}")
    empty = np.full(there[0].shape, np.nan, np.float32)
    return {name: np.stack([empty if row is None else row.astype(np.float32) for row in rows])}


def _unmixed(raw: str, data: ArrayMap, features: Sequence[str]) -> None:
    mixed = [name for name in features if name in data]
    if mixed:
        raise InputError(f"some clips of the batch give {raw}, others {mixed[0]}; give the same for all")


# Encoder -> the fields of ClipMedia that hold what it takes or makes, in the order of the model's modality mask.
_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image": ("image",),
        "face": ("face_features",),
        "temporal": ("temporal_features",),
        "audio": ("audio_features", "samples"),
    }
)
ENCODERS = tuple(_FIELDS)


def without(media: ClipMedia, dropped: frozenset[str]) -> ClipMedia:
    """The same media without what some of the encoders take; other names do not matter."""
    gone = {name: None for part in dropped & _FIELDS.keys() for name in _FIELDS[part]}
    return replace(media, **gone) if gone else media
