"""From pictures and sound to what the encoders take: the published recipes, by name and to the last bit. No torch.

Legend: N pictures, H and W their size, S the side an encoder takes, L samples, C chunks of sound. Pictures are RGB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.records import UInt8

Float32 = npt.NDArray[np.float32]
FramePolicy = Literal["first", "middle", "peak"]
FRAME_POLICIES: tuple[FramePolicy, ...] = ("first", "middle", "peak")


@dataclass(frozen=True)
class PictureRecipe:
    """How a picture becomes pixel values: resized with Pillow, divided by 255, normalised where `mean` is given.

    `size` is the side at the published models' scale; a model of another size says its own. `source` names where the
    recipe is published.
    """

    name: str
    resample: Literal["bicubic", "bilinear"]
    size: int
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    source: str


@dataclass(frozen=True)
class ClipRecipe:
    """Which faces of a clip the temporal encoder sees; each becomes pixel values as `picture` says.

    The numbers are those of the published encoder; one that takes more or fewer pictures has more or fewer segments
    (`clip_recipe`).
    """

    name: str
    num_segments: int
    frames_per_segment: int
    picture: PictureRecipe
    source: str


@dataclass(frozen=True)
class SoundRecipe:
    """How a waveform becomes input values, and how the encoder's states become one vector.

    Zero mean and unit variance over the clip after padding to `shortest_seconds`; one forward pass, or chunks of
    `chunk_seconds`, the last filled with zeros, where the clip is longer than one. The sum of the last `summed_layers`
    hidden states, the normalised last one among them, is averaged over all time steps, those of filling included.
    """

    name: str
    sample_rate_hz: int
    shortest_seconds: float
    chunk_seconds: float | None
    summed_layers: int
    source: str


# Mean and deviation of CLIP's training images (Radford et al., 2021), which EVA-CLIP and BLIP-2 took over.
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

EVA_PICTURE = PictureRecipe(
    "eva-bicubic-clip", "bicubic", 448, _CLIP_MEAN, _CLIP_STD,
    "Emotion-LLaMA, minigpt4/processors/blip_processors.py: plain resize, no crop, in training and evaluation",
)  # fmt: skip
FACE_PICTURE = PictureRecipe(
    "mae-bilinear-01", "bilinear", 224, None, None,
    "the authors' extraction of mae_340_UTT: aligned OpenFace crops, Resize((224, 224)), ToTensor(), not normalised",
)  # fmt: skip
VIDEOMAE_CLIP = ClipRecipe(
    "videomae-8x2", 8, 2,
    PictureRecipe(
        "videomae-bilinear-01", "bilinear", 224, None, None,
        "the authors' extraction of maeV_399_UTT: aligned crops, bilinear resize, divided by 255, not normalised",
    ),
    "the authors' extraction of maeV_399_UTT: 8 segments, 2 consecutive frames from the middle of each",
)  # fmt: skip
HUBERT_LAST = SoundRecipe(
    "hubert-last-whole", 16_000, 1.0, None, 1,
    "MER2023 baseline, feature_extraction/audio/extract_transformers_embedding.py, of which HL-UTT is made; "
    "clips under 1 s padded to 1 s as the authors advise",
)  # fmt: skip
HUBERT_SUM4 = SoundRecipe(
    "hubert-sum4-chunks10", 16_000, 1.0, 10.0, 4,
    "MER2024, MER2025 and MERBench, feature_extraction/audio/extract_audio_huggingface.py",
)  # fmt: skip

RECIPES: Mapping[str, PictureRecipe | ClipRecipe | SoundRecipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (EVA_PICTURE, FACE_PICTURE, VIDEOMAE_CLIP, HUBERT_LAST, HUBERT_SUM4)}
)
SOUND_RECIPES: Mapping[str, SoundRecipe] = MappingProxyType(
    {name: recipe for name, recipe in RECIPES.items() if isinstance(recipe, SoundRecipe)}
)


def sound_recipe(name: str) -> SoundRecipe:
    """The sound recipe of that name.

    Raises:
        InputError: there is none.
    """
    if name not in SOUND_RECIPES:
        raise InputError(f"audio recipe {name!r} is not known; expected one of: {', '.join(SOUND_RECIPES)}")
    return SOUND_RECIPES[name]


def clip_recipe(num_frames: int) -> ClipRecipe:
    """The published clip recipe for an encoder of `num_frames` pictures: two from each of `num_frames` / 2 segments.

    Raises:
        InputError: not an even number above 0.
    """
    each = VIDEOMAE_CLIP.frames_per_segment
    if num_frames < each or num_frames % each:
        raise InputError(f"the temporal encoder takes {num_frames} pictures, expected an even number: {each} a segment")
    segments = num_frames // each
    return replace(VIDEOMAE_CLIP, name=f"videomae-{segments}x{each}", num_segments=segments)


# --- pictures -------------------------------------------------------------------------------------------------------


def resize(image: UInt8, size: int, resample: Literal["bicubic", "bilinear"]) -> UInt8:
    """[S, S, 3] uint8: one picture [H, W, 3] resized as Pillow does, whatever its proportions.

    Pillow widens its filter when it makes a picture smaller (no aliasing) and rounds after each direction; cv2 and
    torch do not, so that features made with them differ.

    Raises:
        InputError: not a picture of that kind, or a side below 1.
        MissingDependency: Pillow is not installed.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(f"expected one RGB picture [H, W, 3] uint8, got {list(image.shape)} {image.dtype}")
    if size < 1:
        raise InputError(f"a picture's side must be 1 pixel or more, got {size}")
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency("Pillow", "resizing for the encoders", "pip install 'emotion-llama[model]'") from error
    kind = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[resample]
    return np.asarray(Image.fromarray(image).resize((size, size), kind), np.uint8)


def picture_values(images: UInt8, recipe: PictureRecipe, size: int | None = None) -> Float32:
    """[N, 3, S, S] float32 of pictures [N, H, W, 3] uint8; S is the recipe's own unless `size` is given.

    Raises:
        InputError, MissingDependency: as `resize`.
    """
    if images.ndim != 4:
        raise InputError(f"expected pictures [N, H, W, 3] uint8, got {list(images.shape)} {images.dtype}")
    side = recipe.size if size is None else size
    values = np.empty((len(images), 3, side, side), np.float32)
    for image, out in zip(images, values):
        out[...] = _scaled(resize(image, side, recipe.resample), recipe)
    return values


def global_pixel_values(frame: UInt8, size: int = EVA_PICTURE.size) -> Float32:
    """[3, S, S] for the global encoder, of one frame [H, W, 3] uint8 (or of one already resized to S)."""
    return np.asarray(picture_values(frame[None], EVA_PICTURE, size)[0])


def face_pixel_values(faces: UInt8, size: int = FACE_PICTURE.size) -> Float32:
    """[N, 3, S, S] for the face encoder, of aligned crops [N, H, W, 3] uint8 (OpenFace's are 112x112, masked)."""
    return picture_values(faces, FACE_PICTURE, size)


def clip_frame_indices(num_faces: int, recipe: ClipRecipe = VIDEOMAE_CLIP) -> npt.NDArray[np.int64]:
    """[segments x frames] which of `num_faces` crops, in time order, the temporal encoder sees.

    The published rule: tick = (n - 1) / 8, segment i begins at int(tick / 2 + tick i), two consecutive frames are
    taken, none after the last; with 9 crops or fewer every segment begins at the first. (8 and 9 are the published
    recipe's number of segments, and that number + 1.)

    Raises:
        InputError: there is no crop.
    """
    if num_faces < 1:
        raise InputError("the temporal encoder needs a face crop or more, got none; leave the modality out")
    segments, frames = recipe.num_segments, recipe.frames_per_segment
    tick = (num_faces - 1) / segments
    starts = (
        [int(tick / 2 + tick * i) for i in range(segments)] if num_faces > segments + frames - 1 else [0] * segments
    )
    return np.array([min(start + j, num_faces - 1) for start in starts for j in range(frames)], np.int64)


def clip_pixel_values(
    faces: UInt8, size: int = VIDEOMAE_CLIP.picture.size, recipe: ClipRecipe = VIDEOMAE_CLIP
) -> Float32:
    """[3, T, S, S] for the temporal encoder, of the T crops [T, H, W, 3] that `clip_frame_indices` names.

    Raises:
        InputError: another number of crops.
    """
    expected = recipe.num_segments * recipe.frames_per_segment
    if len(faces) != expected:
        raise InputError(f"the temporal encoder takes {expected} crops, got {len(faces)}; see clip_frame_indices")
    return np.ascontiguousarray(picture_values(faces, recipe.picture, size).transpose(1, 0, 2, 3))


def _scaled(image: UInt8, recipe: PictureRecipe) -> Float32:
    """[3, S, S]: divided by 255 and normalised, in float32 as the published code does."""
    values = image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    if recipe.mean is None or recipe.std is None:
        return np.asarray(values)
    mean, std = (np.array(figure, np.float32)[:, None, None] for figure in (recipe.mean, recipe.std))
    return np.asarray((values - mean) / std, np.float32)


# --- sound ----------------------------------------------------------------------------------------------------------


def sound_values(samples: npt.NDArray[np.float32], recipe: SoundRecipe = HUBERT_LAST) -> Float32:
    """[L] input values of mono samples at the recipe's rate: padded to its shortest length, zero mean, unit variance.

    The arithmetic is that of transformers' Wav2Vec2FeatureExtractor with `do_normalize` (eps 1e-7). Zeros that fill a
    short clip are part of it when mean and variance are taken, as they are in a padded file. Silence gives zeros.

    Raises:
        InputError: no samples, or other than one row of finite floats.
    """
    if samples.ndim != 1 or samples.dtype != np.float32:
        raise InputError(f"expected mono samples [L] float32, got {list(samples.shape)} {samples.dtype}")
    if not len(samples):
        raise InputError("the audio encoder needs a sample or more, got none; leave the modality out")
    if not np.isfinite(samples).all():
        raise InputError("the sound holds values that are not numbers; decode the file again")
    shortest = round(recipe.shortest_seconds * recipe.sample_rate_hz)
    padded = np.pad(samples, (0, max(0, shortest - len(samples))))
    return np.asarray((padded - padded.mean()) / np.sqrt(padded.var() + 1e-7), np.float32)


def sound_chunks(values: Float32, recipe: SoundRecipe) -> Float32:
    """[C, L'] the rows that go through the encoder: the whole clip, or its chunks, the last filled with zeros."""
    size = len(values) if recipe.chunk_seconds is None else round(recipe.chunk_seconds * recipe.sample_rate_hz)
    if len(values) <= size:
        return values[None]
    return np.pad(values, (0, -len(values) % size)).reshape(-1, size)
