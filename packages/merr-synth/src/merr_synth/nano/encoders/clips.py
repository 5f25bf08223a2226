"""What the encoders see and hear of a clip, decoded once and kept: crops, frames and sound at the encoders' sizes.

Legend: F face crops, K frames, S samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError, MediaError
from emotion_llama.models import inputs as recipes
from emotion_llama.records import Float, UInt8

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.media.reader import ClipFile
    from emotion_llama.models.clips import ClipInputs
    from emotion_llama.records import Clip, FaceTrack

# Frames that the global encoder learns from beside the peak, as shares of the clip; our own.
FRAME_SHARES = (0.1, 0.35, 0.65, 0.9)


@dataclass(frozen=True)
class Sizes:
    """Sides of the pictures, as the encoders take them."""

    image: int
    face: int


@dataclass(frozen=True, repr=False)
class ClipArrays:
    """One clip, ready for the encoders; what it lacks is None.

    Attributes:
        faces: [F, face, face, 3] uint8, all crops in time order, resized by the published recipe.
        face_frames: [F] the video's frame that each was cut from.
        poses: [F, 3] measured pitch, yaw and roll of the head, degrees.
        frames: [K, image, image, 3] uint8, resized likewise; the first one is what the frame policy "peak" chooses.
        frame_numbers: [K] which frames of the video they are.
        framing: [K, 3] the face's centre and width as shares of the frame; NaN where no face is seen.
        frame_poses: [K, 3] as `poses`; NaN likewise.
        samples: [S] float16 mono at 16 kHz: half the size, and within the rounding of 11-bit sound.
    """

    faces: UInt8 | None
    face_frames: npt.NDArray[np.int32] | None
    poses: Float | None
    frames: UInt8 | None
    frame_numbers: npt.NDArray[np.int32] | None
    framing: Float | None
    frame_poses: Float | None
    samples: npt.NDArray[np.float16] | None

    def __repr__(self) -> str:
        there = ", ".join(f"{name}{list(value.shape)}" for name, value in vars(self).items() if value is not None)
        return f"ClipArrays({there or 'nothing'})"


ARRAY_NAMES = tuple(part.name for part in fields(ClipArrays))


def read_arrays(path: Path, backend: MeshBackend, sizes: Sizes) -> ClipArrays:
    """Decode a clip as `analyze` and `features` do.

    Raises:
        MediaError: the file cannot be read.
    """
    from emotion_llama.analysis.evidence import main_first
    from emotion_llama.analysis.inputs import CropOptions, person_inputs
    from emotion_llama.analysis.measure import StageClock, measure_clip
    from emotion_llama.media.probe import open_clip

    with open_clip(path, warn=lambda line: None) as file:
        found = measure_clip(
            file, lambda: backend, StageClock(), with_voice=False, keep_waveform=True, warn=lambda line: None
        )
        person = main_first(found)[0]
        inputs = person_inputs(file, person, CropOptions(frame_policy="peak"), waveform=found.waveform)
        return _arrays(file, inputs, person.track, sizes)


def _arrays(file: ClipFile, inputs: ClipInputs, track: FaceTrack | None, sizes: Sizes) -> ClipArrays:
    faces = face_frames = poses = samples = None
    if track is not None and inputs.num_faces:
        crops = np.concatenate(list(inputs.face_chunks()))
        faces = np.stack([recipes.resize(crop, sizes.face, recipes.FACE_PICTURE.resample) for crop in crops])
        face_frames = track.frame_index[track.valid].astype(np.int32)
        poses = track.head_pose_degrees[track.valid].astype(np.float32)
    if inputs.samples is not None:
        samples = inputs.samples.astype(np.float16)
    if inputs.image is None or inputs.frame_seconds is None:
        return ClipArrays(faces, face_frames, poses, None, None, None, None, samples)
    pts, frames = _frames(file, inputs.image, inputs.frame_seconds, sizes.image)
    numbers, framing, turned = _where(file.clip, track, pts)
    return ClipArrays(faces, face_frames, poses, frames, numbers, framing, turned, samples)


def _frames(file: ClipFile, peak: UInt8, peak_seconds: float, size: int) -> tuple[list[float], UInt8]:
    """Times and pictures of the peak and of the frames at `FRAME_SHARES`."""
    from emotion_llama.media.frames import frame_at

    others = [frame_at(file, share * file.clip.duration_seconds, warn=lambda line: None) for share in FRAME_SHARES]
    pictures = [peak, *(other.images[0] for other in others)]
    times = [peak_seconds, *(float(other.pts_seconds[0]) for other in others)]
    return times, np.stack([recipes.resize(picture, size, recipes.EVA_PICTURE.resample) for picture in pictures])


def _where(
    clip: Clip, track: FaceTrack | None, pts: Sequence[float]
) -> tuple[npt.NDArray[np.int32], Float, Float]:  # fmt: skip
    """Frame numbers [K], framing [K, 3] and head pose [K, 3] of frames at times `pts`."""
    fps = 0.0 if clip.video is None else clip.video.fps
    numbers = np.round(np.array(pts) * fps).astype(np.int32)
    framing, poses = np.full((2, len(pts), 3), np.nan, np.float32)
    for i, seconds in enumerate(pts):
        if track is None:
            continue
        row = int(np.argmin(np.abs(track.pts_seconds - seconds)))
        if track.valid[row] and abs(track.pts_seconds[row] - seconds) * fps < 0.5:
            (x1, y1, x2, y2), (width, height) = track.boxes_xyxy[row], track.frame_size
            framing[i] = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width
            poses[i] = track.head_pose_degrees[row]
    return numbers, framing, poses


# --- the cache ------------------------------------------------------------------------------------------------------


class ClipCache:
    """A folder with one safetensors file a clip, written whole or not at all: its presence means "done"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Of a clip's file."""
        return self.folder / f"{name}.safetensors"

    def __contains__(self, name: str) -> bool:
        return self.path(name).is_file()

    def write(self, name: str, arrays: ClipArrays) -> None:
        """Keep a clip's arrays."""
        from safetensors.numpy import save_file

        there = {field: np.ascontiguousarray(value) for field, value in vars(arrays).items() if value is not None}
        half = self.folder / f".{name}-{os.getpid()}.tmp"
        save_file(there, str(half))
        half.replace(self.path(name))

    def read(self, name: str, wanted: Sequence[str] = ARRAY_NAMES) -> ClipArrays:
        """A clip's arrays, those not wanted as None.

        Raises:
            InputError: the clip is not there, or its file is damaged.
        """
        found: dict[str, Any] = dict.fromkeys(ARRAY_NAMES)
        with self._open(name) as file:
            for key in set(wanted) & set(file.keys()):
                found[key] = file.get_tensor(key)
        return ClipArrays(**found)

    def holds(self, name: str, array: str) -> bool:
        """Whether a clip is there and has that array.

        Raises:
            InputError: its file is damaged.
        """
        if name not in self:
            return False
        with self._open(name) as file:
            return array in file.keys()  # noqa: SIM118  not a mapping

    @contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        path = self.path(name)
        try:
            with safe_open(str(path), framework="np") as file:
                yield file
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: not a decoded clip ({error}); delete it and decode it again") from None


def fill_cache(
    folder: Path, names: Sequence[str], cache: ClipCache, sizes: Sizes, *, workers: int = 1
) -> Iterator[tuple[str, str | None]]:
    """Decode the clips `folder/clips/<name>.mp4` that the cache lacks; gives each name and what went wrong, or None."""
    cache.folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if name not in cache]
    shares = [missing[i::workers] for i in range(workers) if missing[i::workers]]
    if len(shares) <= 1:
        for share in shares:
            yield from _fill(folder, share, cache, sizes)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # Short lists, so that progress is told; "spawn": a forked copy of a process with threads may hang.
    parts = [missing[i : i + 25] for i in range(0, len(missing), 25)]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for told in pool.map(_fill_list, *zip(*((folder, part, cache, sizes) for part in parts))):
            yield from told


def _fill_list(folder: Path, names: Sequence[str], cache: ClipCache, sizes: Sizes) -> list[tuple[str, str | None]]:
    return list(_fill(folder, names, cache, sizes))


def _fill(folder: Path, names: Sequence[str], cache: ClipCache, sizes: Sizes) -> Iterator[tuple[str, str | None]]:
    from emotion_llama.face.backends import load_backend

    backend = load_backend("onnx_mesh")
    try:
        for name in names:
            problem = None
            try:
                cache.write(name, read_arrays(folder / "clips" / f"{name}.mp4", backend, sizes))
            except MediaError as error:
                problem = str(error)
            yield name, problem
    finally:
        backend.close()
