"""What of a face is hidden: a mouth behind a mask or a hand, and the far side of a face that is turned away.

The mesh network lays its points over whatever it sees, as surely over a mask as over a mouth. But lips are redder or
darker than the skin around them, on every skin, and what covers them is not.
"""

from __future__ import annotations

import numpy as np

from emotion_llama.records import Bool, FaceTrack, Float, UInt8

# What a covered mouth hides: the units below the eyes whose points lie under a mask.
MOUTH_UNITS = ("AU09", "AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26")
PROFILE_DEGREES = 45.0  # of yaw from which the far side is not seen, and the mesh laid elsewhere in every frame

# Lower lip, then upper lip.
_OUTER_LIPS = np.array([146, 91, 181, 84, 17, 314, 405, 321, 375, 409, 270, 269, 267, 0, 37, 39, 40, 185])
_INNER_LIPS = np.array([95, 88, 178, 87, 14, 317, 402, 318, 324, 415, 310, 311, 312, 13, 82, 81, 80, 191])
_AROUND = np.array([
    164, 18, 200, 199, 175, 57, 287, 43, 273, 202, 422, 204, 424, 194, 418, 135, 364, 32, 262, 92, 322, 165, 391, 186,
    410, 216, 436, 214, 434,
])  # fmt: skip
_FOREHEAD = np.array([9, 8, 151, 107, 336, 66, 296, 69, 299, 108, 337, 104, 333])
_EYE_CORNERS = (33, 263)

# Lips are seen where they are redder by the first (CIELAB a*, on skin of lightness 50: half the light has half the
# redness) or darker by the second, a share of the skin's lightness. They are in all frames of 60 drawn people of all
# skin tones, at half brightness too, and in 98 % of those of 16 real clips; behind masks of four colours drawn over the
# same faces in 2 %, behind drawn hands in 10 %.
_REDDER, _DARKER = 1.1, 0.25
_USUAL_LIGHTNESS = 50.0
_MOST = 3.0  # lips that are clearer than this count as much: a few frames that show them well suffice
_LEAST_LIGHTNESS, _LEAST_CHROMA, _LEAST_EYES_PIXELS = 5.0, 4.0, 16.0  # darker, greyer or smaller faces do not tell
_MAX_YAW_DEGREES = 40.0  # beyond, half of the mouth is guessed
_WINDOW_SECONDS = 0.5  # either way: teeth, or a blurred frame, hide lips for a moment


def lip_contrast(image: UInt8, landmarks: Float | None) -> float:
    """How clearly lips stand out of the skin around them: 1 where it is just seen, 0..3; NaN where that is not known.

    Args:
        image: [H, W, 3] RGB.
        landmarks: [478, 3] pixels of the image, or None.
    """
    import cv2

    if landmarks is None:
        return float("nan")
    points = landmarks[:, :2]
    eyes = float(np.linalg.norm(points[_EYE_CORNERS[0]] - points[_EYE_CORNERS[1]]))
    limit = np.array(image.shape[1::-1])
    low = np.clip(np.floor(points.min(0)).astype(int), 0, limit - 1)
    high = np.clip(np.ceil(points.max(0)).astype(int) + 1, low + 1, limit)
    side = max(1, round(eyes / 16))
    crop = cv2.blur(image[low[1] : high[1], low[0] : high[0]], (side, side))
    lips = (points[_OUTER_LIPS] + points[_INNER_LIPS]) / 2
    at = np.round(np.concatenate([lips, points[_AROUND], points[_FOREHEAD]]) - low).astype(int)
    at = np.clip(at, 0, high - low - 1)
    colours = cv2.cvtColor(crop[at[:, 1], at[:, 0]][None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    parts = np.split(colours, np.cumsum([len(lips) // 2, len(lips) // 2, len(_AROUND)]))
    lower, upper, around, forehead = (np.sort(part, axis=0)[len(part) // 2] for part in parts)  # medians of odd counts
    chroma = float(np.hypot(forehead[1], forehead[2]))
    if around[0] < _LEAST_LIGHTNESS or chroma < _LEAST_CHROMA or eyes < _LEAST_EYES_PIXELS:
        return float("nan")
    redder = (max(lower[1], upper[1]) - around[1]) * _USUAL_LIGHTNESS / around[0]
    darker = (around[0] - min(lower[0], upper[0])) / around[0]
    return float(np.clip(max(redder / _REDDER, darker / _DARKER), 0.0, _MOST))


def turned_away(track: FaceTrack) -> Bool:
    """[N] frames in which the face is turned so far that its units are not measured."""
    return np.asarray(track.valid & (np.abs(np.nan_to_num(track.head_pose_degrees[:, 1])) >= PROFILE_DEGREES))


def mouth_covered(track: FaceTrack) -> Bool:
    """[N] frames in which something covers the mouth, as far as the picture tells."""
    if track.lip_contrast is None:
        return np.zeros(len(track.valid), bool)
    turned = np.abs(np.nan_to_num(track.head_pose_degrees[:, 1])) > _MAX_YAW_DEGREES
    judged = np.asarray(track.valid) & np.isfinite(track.lip_contrast) & ~turned
    first = np.searchsorted(track.pts_seconds, track.pts_seconds - _WINDOW_SECONDS)
    last = np.searchsorted(track.pts_seconds, track.pts_seconds + _WINDOW_SECONDS, "right")
    totals = (np.concatenate([[0.0], np.cumsum(np.where(judged, values, 0.0))]) for values in (track.lip_contrast, 1.0))
    contrast, count = (total[last] - total[first] for total in totals)
    return np.asarray(track.valid & (contrast < count))
