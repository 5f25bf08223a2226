"""What one encoder learns from at one position of the training: inputs of a clip, varied, and its truth.

Legend: B clips, R rows that figures are told of (crops, frames or clips), T figures, S side or samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from emotion_llama.models import inputs as recipes
from emotion_llama.records import AU_NAMES, Float, UInt8
from merr_synth.nano.encoders.augment import MIRROR_SHARE, vary_pictures, vary_sound
from merr_synth.nano.encoders.clips import ClipArrays, ClipCache
from merr_synth.nano.encoders.targets import NO_LABEL, VOICE_FIGURES, ClipTruth

TowerName = Literal["vision_tower", "face_tower", "temporal_tower", "audio_tower"]
TOWERS: tuple[TowerName, ...] = ("vision_tower", "face_tower", "temporal_tower", "audio_tower")
Item = TypeVar("Item")

_POSE = ("head_pitch", "head_yaw", "head_roll")
FIGURES: Mapping[TowerName, tuple[str, ...]] = MappingProxyType(
    {
        "vision_tower": (*AU_NAMES, "face_x", "face_y", "face_width", *_POSE),
        "face_tower": (*AU_NAMES, *_POSE),
        "temporal_tower": (*AU_NAMES[:-1], "blink"),
        "audio_tower": VOICE_FIGURES,
    }
)
# What of a clip's file each needs.
_NEEDED: Mapping[TowerName, tuple[str, ...]] = MappingProxyType(
    {
        "vision_tower": ("frames", "frame_numbers", "framing", "frame_poses"),
        "face_tower": ("faces", "face_frames", "poses"),
        "temporal_tower": ("faces", "face_frames"),
        "audio_tower": ("samples",),
    }
)


class Lesson(NamedTuple):
    """Inputs of one clip and what is true of it.

    Attributes:
        inputs: what the tower takes: [R, 3, S, S] of crops or a frame, [1, 3, T, S, S] of a clip, [1, S] of sound.
        figures: [R, T], NaN where nothing is told.
        label: `NO_LABEL` where none is.
        moments: [M, T] figures of each tubelet of a clip; None of other inputs.
    """

    inputs: Float
    figures: Float
    label: int
    moments: Float | None = None


@dataclass(frozen=True)
class Choice:
    """How lessons are drawn.

    Attributes:
        tower: for which encoder.
        crops: how many of a clip's crops the face encoder learns from at a time.
        num_frames: pictures of the temporal encoder.
        vary: draw crops and frames by chance, and vary them; otherwise evenly spaced crops, the peak frame.
        tubelet_size: pictures that the temporal encoder reads as one moment.
    """

    tower: TowerName
    crops: int
    num_frames: int
    vary: bool
    tubelet_size: int = 2


def can_teach(tower: TowerName, truth: ClipTruth, cache: ClipCache) -> bool:
    """Whether the clip was decoded and has what the encoder takes."""
    label = truth.voice_label if tower == "audio_tower" else truth.face_label
    return label != NO_LABEL and cache.holds(truth.name, _NEEDED[tower][0])


def lesson(truth: ClipTruth, cache: ClipCache, choice: Choice, rng: np.random.Generator) -> Lesson:
    """One lesson of a clip that `can_teach`."""
    arrays = cache.read(truth.name, _NEEDED[choice.tower])
    return _MAKERS[choice.tower](truth, arrays, choice, rng)


def _face(truth: ClipTruth, arrays: ClipArrays, choice: Choice, rng: np.random.Generator) -> Lesson:
    faces, numbers, poses = _there(arrays.faces), _there(arrays.face_frames), _there(arrays.poses)
    count = len(faces)
    if choice.vary:
        rows = np.sort(rng.choice(count, choice.crops, replace=count < choice.crops))
    else:
        # The middle of equal parts: the first and the last moment of a clip show no expression.
        rows = ((np.arange(choice.crops) + 0.5) * count / choice.crops).astype(int)
    pictures, mirrored = _varied(faces[rows], choice, rng, move=True)
    figures = np.concatenate([_units(truth, numbers[rows]), _turned(poses[rows], mirrored)], axis=1)
    return Lesson(_scaled(pictures).transpose(0, 3, 1, 2), figures, truth.face_label)


def _temporal(truth: ClipTruth, arrays: ClipArrays, choice: Choice, rng: np.random.Generator) -> Lesson:
    faces, numbers = _there(arrays.faces), _there(arrays.face_frames)
    chosen = recipes.clip_frame_indices(len(faces), recipes.clip_recipe(choice.num_frames))
    pictures, _ = _varied(faces[chosen], choice, rng, move=True)
    first, last = int(numbers[chosen[0]]), int(numbers[chosen[-1]])
    span = slice(min(first, len(truth.units) - 1), last + 1)
    figures = truth.units[span].max(axis=0)
    figures[-1] = float(truth.is_blink[span].any())
    return Lesson(
        _scaled(pictures).transpose(3, 0, 1, 2)[None], figures[None].astype(np.float32), truth.face_label,
        _moments(truth, numbers[chosen], choice.tubelet_size),
    )  # fmt: skip


def _moments(truth: ClipTruth, numbers: npt.NDArray[np.int32], tubelet_size: int) -> Float:
    """[M, T] the mean of each unit over a tubelet's frames, and whether the eyes blink in one of them."""
    moments = _units(truth, numbers).reshape(-1, tubelet_size, len(AU_NAMES)).mean(axis=1)
    is_blink = truth.is_blink[np.minimum(numbers, len(truth.units) - 1)].reshape(-1, tubelet_size)
    blinks = np.asarray(is_blink.any(axis=1), np.float32)
    return np.concatenate([moments[:, :-1], blinks[:, None]], axis=1).astype(np.float32)


def _vision(truth: ClipTruth, arrays: ClipArrays, choice: Choice, rng: np.random.Generator) -> Lesson:
    frames, numbers = _there(arrays.frames), _there(arrays.frame_numbers)
    # The peak is what answers are given by; other frames show what the same face is like without.
    row = int(rng.integers(1, len(frames))) if choice.vary and rng.random() < 0.5 else 0
    pictures, mirrored = _varied(frames[row : row + 1], choice, rng, move=False)
    framing, poses = _there(arrays.framing)[row : row + 1].copy(), _there(arrays.frame_poses)[row : row + 1]
    if mirrored:
        framing[:, 0] = 1 - framing[:, 0]
    figures = np.concatenate([_units(truth, numbers[row : row + 1]), framing, _turned(poses, mirrored)], axis=1)
    eva = recipes.EVA_PICTURE
    values = (_scaled(pictures) - np.array(eva.mean, np.float32)) / np.array(eva.std, np.float32)
    return Lesson(values.transpose(0, 3, 1, 2), figures, truth.face_label if row == 0 else NO_LABEL)


def _audio(truth: ClipTruth, arrays: ClipArrays, choice: Choice, rng: np.random.Generator) -> Lesson:
    samples = _there(arrays.samples).astype(np.float32)
    values = recipes.sound_values(vary_sound(samples, rng) if choice.vary else samples)
    return Lesson(values[None], truth.voice[None], truth.voice_label)


_MAKERS: Mapping[TowerName, Callable[[ClipTruth, ClipArrays, Choice, np.random.Generator], Lesson]] = MappingProxyType(
    {"vision_tower": _vision, "face_tower": _face, "temporal_tower": _temporal, "audio_tower": _audio}
)


def _varied(pictures: UInt8, choice: Choice, rng: np.random.Generator, *, move: bool) -> tuple[UInt8, bool]:
    if not choice.vary:
        return pictures, False
    mirrored = bool(rng.random() < MIRROR_SHARE)
    return vary_pictures(pictures[:, :, ::-1] if mirrored else pictures, rng, move=move), mirrored


def _units(truth: ClipTruth, numbers: npt.NDArray[np.int32]) -> Float:
    """[R, U] of frames; the file may hold one picture more than was planned."""
    return np.asarray(truth.units[np.minimum(numbers, len(truth.units) - 1)], np.float32)


def _turned(poses: Float, mirrored: bool) -> Float:
    """Head poses [R, 3] as a mirror shows them: yaw and roll to the other side."""
    return np.asarray(poses * np.array([1, -1, -1], np.float32)) if mirrored else poses


def _scaled(pictures: UInt8) -> Float:
    return np.asarray(pictures.astype(np.float32) / np.float32(255))


def _there(value: Item | None) -> Item:
    """What `can_teach` made sure of."""
    assert value is not None
    return value


# --- batches --------------------------------------------------------------------------------------------------------


class Lessons:
    """Positions of a training in their order: every clip once an epoch, the epochs each in an order of their own.

    What a position gives depends on the seed and the position alone, so that a resumed training sees the same.
    """

    def __init__(
        self, truths: Sequence[ClipTruth], cache: ClipCache, choice: Choice, *, epochs: int = 1, seed: int = 0
    ) -> None:
        self.truths, self.cache, self.choice, self.seed = truths, cache, choice, seed
        self._order = np.concatenate(
            [np.random.default_rng([seed, 7, i]).permutation(len(truths)) for i in range(epochs)]
            if choice.vary
            else [np.arange(len(truths))]
        )

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> Lesson:
        rng = np.random.default_rng([self.seed, 11, position])
        return lesson(self.truths[self._order[position]], self.cache, self.choice, rng)


def collate(lessons: Sequence[Lesson]) -> dict[str, Any]:
    """A batch as tensors, names as `TowerWithHeads.forward` takes them; sounds are filled with zeros at the end."""
    import torch

    return {name: torch.from_numpy(value) for name, value in batch_arrays(lessons).items()}


def batch_arrays(lessons: Sequence[Lesson]) -> dict[str, npt.NDArray[Any]]:
    """Arrays: inputs [B R, ...], filled lengths [B], figures [B R, T], labels [B]; of clips moments [B M, T] too."""
    lengths = np.array([one.inputs.shape[-1] for one in lessons], np.int64)
    figures = np.concatenate([one.figures for one in lessons]).astype(np.float32)
    labels = np.array([one.label for one in lessons], np.int64)
    if lessons[0].inputs.ndim > 2:
        rows = np.concatenate([one.inputs for one in lessons]).astype(np.float32)
    else:
        rows = np.zeros((len(lessons), int(lengths.max())), np.float32)
        for row, one in zip(rows, lessons):
            row[: one.inputs.shape[-1]] = one.inputs[0]
    arrays: dict[str, npt.NDArray[Any]] = {
        "inputs": np.ascontiguousarray(rows),
        "lengths": lengths,
        "figures": figures,
        "labels": labels,
    }
    moments = [one.moments for one in lessons if one.moments is not None]
    return arrays | {"moments": np.concatenate(moments)} if moments else arrays
