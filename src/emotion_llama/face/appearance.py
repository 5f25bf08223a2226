"""What a person looks like, as numbers that stay alike from shot to shot and differ between people.

A descriptor is one row of D numbers in four blocks: colour histograms of the hair, the face and the clothes, and the
proportions of the skull. A block that cannot be seen (hair above the picture's edge) is NaN and takes no part in a
comparison. Colours are the stronger cue, as in tracking by appearance in general; proportions help where two people
dress alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.records import Bool, Float, UInt8

_LIGHTNESS_BINS, _COLOUR_BINS = 8, 8
_BLOCK = _LIGHTNESS_BINS + _COLOUR_BINS**2
_PATCH = 16  # a region is averaged down to 16 x 16 pixels first: texture and noise do not count
# Lab a and b, 128 = grey: skin, hair and most clothes lie within +-32; stronger colours fall into the outer bins.
_COLOUR_RANGE = (96.0, 160.0)

# Regions in units of the mesh's box: left, top, right, bottom; 0..1 is the box itself.
_REGIONS = (
    (0.25, -0.3, 0.75, -0.06),  # hair
    (0.2, 0.2, 0.8, 0.8),  # face
    (-0.4, 1.25, 1.4, 1.9),  # clothes
)
_WEIGHTS = np.array([0.3, 0.2, 0.35, 0.15])  # of the regions and of the skull's proportions
# Hair that differs more is another person's, whatever else is alike. Single frames of one drawn person differ by 0.40
# at most, of two by 0.49 or more; two men of a real clip who were taken for one (dark jackets, white shirts) by 0.46.
_MAX_HAIR_DISTANCE = 0.42
_LEAST_VISIBLE = 0.25  # share of a region that must lie within the picture

# Distances between points that the skull holds in place; lids, brows, lips and jaw are left out.
_BONE_PAIRS = np.array([[33, 263], [133, 362], [168, 2], [234, 454], [10, 168], [98, 327], [127, 356], [168, 33]])
# Root mean square difference of the logarithms at which two skulls count as fully different. The mesh repeats these
# distances within 0.02-0.03 over head poses; people differ by about 0.05-0.1.
_SHAPE_SCALE = 0.08

DESCRIPTOR_SIZE = len(_REGIONS) * _BLOCK + len(_BONE_PAIRS)


def describe(image: UInt8, box_xyxy: tuple[float, float, float, float], landmarks: Float | None) -> Float:
    """[D] float32 descriptor of one face; blocks that cannot be seen are NaN.

    Args:
        image: [H, W, 3] RGB.
        box_xyxy: the face, pixels of `image`.
        landmarks: [478, 3] pixels, or None: then the proportions are NaN.
    """
    histograms = _histograms([_region(image, box_xyxy, region) for region in _REGIONS])
    return np.asarray(np.concatenate([histograms.ravel(), _proportions(landmarks)]), np.float32)


def contradicts(one: Float, many: Float) -> Bool:
    """[M] whether the hair of `one` [D] is not that of each row of `many` [M, D]; False where either is unknown.

    Dark clothes and skin in the same light are alike in many people, and outweigh everything else in the mean.
    """
    shared = np.sqrt(one[None, :_BLOCK] * many[:, :_BLOCK]).sum(axis=1)
    return np.asarray(np.sqrt(np.clip(1.0 - shared, 0.0, 1.0)) > _MAX_HAIR_DISTANCE)


def distance(a: Float, b: Float) -> float:
    """0 (alike) .. 1 (nothing in common); NaN when no block is known of both.

    Histograms are compared by the Hellinger distance (the metric form of Bhattacharyya's coefficient), proportions
    by their root mean square difference.
    """
    return float(distances(a, b[None])[0])


def distances(one: Float, many: Float) -> Float:
    """[M] `distance` of `one` [D] to each row of `many` [M, D]."""
    blocks = (len(many), len(_REGIONS), _BLOCK)
    histograms = (one[None, : -len(_BONE_PAIRS)] * many[:, : -len(_BONE_PAIRS)]).reshape(blocks)
    apart = np.sqrt(np.clip(1.0 - np.sqrt(histograms).sum(axis=2), 0.0, 1.0))  # NaN where either is unknown
    skulls = np.sqrt(((one[-len(_BONE_PAIRS) :] - many[:, -len(_BONE_PAIRS) :]) ** 2).mean(axis=1)) / _SHAPE_SCALE
    parts = np.concatenate([apart, np.minimum(skulls, 1.0)[:, None]], axis=1)
    weights = np.where(np.isnan(parts), 0.0, _WEIGHTS)
    total = weights.sum(axis=1)
    mean = (np.nan_to_num(parts) * weights).sum(axis=1) / np.maximum(total, 1e-9)
    return np.where(total > 0, mean, np.nan)


class MeanDescriptor:
    """The mean of many descriptors, each block over the rows that know it."""

    def __init__(self) -> None:
        self._sum = np.zeros(DESCRIPTOR_SIZE)
        self._count = np.zeros(DESCRIPTOR_SIZE)

    def add(self, descriptor: Float) -> None:
        """Takes one more row in."""
        known = ~np.isnan(descriptor)
        self._sum[known] += descriptor[known]
        self._count += known

    def merge(self, other: MeanDescriptor) -> None:
        """Takes all rows of `other` in."""
        self._sum += other._sum
        self._count += other._count

    @property
    def mean(self) -> Float:
        """[D] float32, NaN where no row knew the block."""
        unknown = self._count == 0
        return np.where(unknown, np.nan, self._sum / np.maximum(self._count, 1)).astype(np.float32)


def _region(
    image: UInt8, box: tuple[float, float, float, float], region: tuple[float, float, float, float]
) -> UInt8 | None:
    """The part of the picture, or None where too little of it is visible."""
    height, width = image.shape[:2]
    w, h = box[2] - box[0], box[3] - box[1]
    x1, y1 = box[0] + region[0] * w, box[1] + region[1] * h
    x2, y2 = box[0] + region[2] * w, box[1] + region[3] * h
    cut_x1, cut_x2 = max(0, round(x1)), min(width, round(x2))
    cut_y1, cut_y2 = max(0, round(y1)), min(height, round(y2))
    visible = max(0, cut_x2 - cut_x1) * max(0, cut_y2 - cut_y1)
    if visible < max(4.0, _LEAST_VISIBLE * (x2 - x1) * (y2 - y1)):
        return None
    return image[cut_y1:cut_y2, cut_x1:cut_x2]


def _histograms(patches: Sequence[UInt8 | None]) -> Float:
    """[P, 72] lightness and colour shares, 0.5 each in sum; NaN without a patch."""
    import cv2

    found = np.full((len(patches), _BLOCK), np.nan)
    seen = [i for i, patch in enumerate(patches) if patch is not None]
    if not seen:
        return found
    small = [cv2.resize(p, (_PATCH, _PATCH), interpolation=cv2.INTER_AREA) for p in patches if p is not None]
    lab = cv2.cvtColor(np.concatenate(small), cv2.COLOR_RGB2LAB).reshape(len(seen), -1, 3)
    low, high = _COLOUR_RANGE
    colour = np.clip((lab[..., 1:] - low) * (_COLOUR_BINS / (high - low)), 0, _COLOUR_BINS - 1).astype(np.int64)
    lightness = _counts(lab[..., 0] // (256 // _LIGHTNESS_BINS), _LIGHTNESS_BINS)
    joint = _counts(colour[..., 0] * _COLOUR_BINS + colour[..., 1], _COLOUR_BINS**2)
    smooth = _NEIGHBOURS @ joint.reshape(-1, _COLOUR_BINS, _COLOUR_BINS) @ _NEIGHBOURS.T
    found[seen] = np.concatenate([lightness @ _NEIGHBOURS.T, smooth.reshape(len(seen), -1)], axis=1)
    return np.asarray(found / (2.0 * lab.shape[1]))


def _counts(bins: npt.NDArray[Any], num_bins: int) -> npt.NDArray[np.int64]:
    """[P, num_bins] how often each bin is in each row."""
    rows = np.arange(len(bins))[:, None] * num_bins
    return np.bincount((bins + rows).ravel(), minlength=len(bins) * num_bins).reshape(len(bins), num_bins)


def _smoothing(bins: int) -> Float:
    """[bins, bins] shares a bin with its neighbours (1/4, 1/2, 1/4): a little more light must not change the bin."""
    kernel = np.eye(bins) * 0.5
    for i in range(bins):
        for neighbour in (i - 1, i + 1):
            kernel[min(max(neighbour, 0), bins - 1), i] += 0.25
    return kernel


_NEIGHBOURS = _smoothing(_COLOUR_BINS)


def _proportions(landmarks: Float | None) -> Float:
    """[8] logarithms of distances on the skull, their mean removed (no size); NaN without a mesh."""
    if landmarks is None:
        return np.full(len(_BONE_PAIRS), np.nan)
    ends = landmarks[_BONE_PAIRS]
    lengths = np.log(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) + 1e-6)
    return np.asarray(lengths - lengths.mean())
