"""Measures the peak frame: composes the pure measurements of `media.picture`, `face.gaze` and the track into facts.

All bounds are this project's own unless a source is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.gaze import EyesAndMouth, measure_eyes_and_mouth
from emotion_llama.media.picture import (
    COOL_B,
    WARM_B,
    WORK_SIDE,
    Brightness,
    brightness,
    dominant_colours,
    movement,
    relative_luminance,
    shrunk,
    to_lab,
)
from emotion_llama.media.scene_facts import (
    Colours,
    Gaze,
    Hands,
    Light,
    Motion,
    SceneFacts,
)
from emotion_llama.records import Bool, FaceTrack, Float, Frames, UInt8
from emotion_llama.results import Missing
from emotion_llama.rules.scene.scene_words import THIRDS, amount, framing, gaze, head

if TYPE_CHECKING:
    from emotion_llama.face.hands import HandFinder
    from emotion_llama.media.reader import ClipFile
    from emotion_llama.records import Clip

Box = tuple[float, float, float, float]
AROUND_SECONDS, AROUND_FPS = 0.25, 15.0
NEAR_ROW_SECONDS = 0.1  # a face seen so near in time stands in for one that is not valid at the very frame

# Skin of all people has an L* of 25 to 75 in ordinary light; a face is called dim or bright only outside of that.
FACE_DARK, FACE_DIM, FACE_BRIGHT = 12.0, 20.0, 85.0
SIDE_RATIO = 1.6  # two thirds of a stop; portraits are lit at 2:1 and more to model a face
BACKLIT_FACE, BACKLIT_DIFFERENCE = 25.0, 40.0  # L*
FRONTAL_DEGREES = 20.0  # yaw up to which both cheeks face the camera alike
CAMERA_BOUNDS, SCENE_BOUNDS, HEAD_BOUNDS = (0.02, 0.25), (0.06, 0.6), (15.0, 50.0)  # still below, strong above
EYES_CLOSED, EYES_OPEN = 0.10, 0.14  # lid distance / eye width: drawn eyes open 0.24 to 0.28, shut 0.06 to 0.08
MOUTH_CLOSED, MOUTH_OPEN = 0.06, 0.22  # lip distance / mouth width; the canonical face's parted lips are 0.13
_RIGHT_CHEEK, _LEFT_CHEEK = (50, 101, 117, 118, 205, 36), (280, 330, 346, 347, 425, 266)


class _Face(NamedTuple):
    """The main face in the frame: box in pixels of the picture, pose, mesh; and why the mesh is missing."""

    box: Box
    pose_degrees: Float
    mesh: Float | None


def read_around(source: Clip | ClipFile, pts_seconds: float) -> Frames | None:
    """Small pictures of the half second around a moment, for `measure_scene`; None where the clip has none there."""
    from emotion_llama.media.frames import iter_frames

    start, end = max(0.0, pts_seconds - AROUND_SECONDS), pts_seconds + AROUND_SECONDS
    found = list(iter_frames(source, fps=AROUND_FPS, max_side=WORK_SIDE, start_seconds=start, end_seconds=end))
    if not found:
        return None
    images = np.concatenate([frames.images for frames in found])
    times = np.concatenate([frames.pts_seconds for frames in found])
    return Frames(images, times, np.concatenate([frames.index for frames in found]))


def measure_scene(
    image: UInt8,
    *,
    track: FaceTrack | None,
    pts_seconds: float,
    people: int | None = None,
    landmarks: Float | None = None,
    around: Frames | None = None,
    hands: HandFinder | None = None,
) -> SceneFacts:
    """Measure the peak frame. Deterministic; only `hands` runs a network.

    Args:
        image: [H, W, 3] RGB, the frame, upright, at any size.
        track: the main person's track; None where nobody was followed.
        pts_seconds: time of the frame.
        people: faces in this frame, the main one included; None where they were not counted.
        landmarks: [478, 3] mesh of the main face in pixels of `image`; None where it was not found.
        around: some pictures around the frame (`read_around`); None leaves the motion of camera and scene out.
        hands: finds hands (`face.hands.load_hand_finder()`); None leaves hands out.

    Raises:
        InputError: `image` is no RGB picture, or `landmarks` are no mesh.
    """
    small = shrunk(image)
    face, why_no_face = _main_face(image, track, pts_seconds, landmarks)
    missing: list[Missing] = []
    box = None if face is None else _scaled(face.box, small.shape[1] / image.shape[1])
    around_face = _background(small.shape[:2], box)
    eyes = None if face is None or face.mesh is None else measure_eyes_and_mouth(face.mesh)
    why_no_mesh = why_no_face or "the face's mesh was not found again in the frame"
    if people is None:
        missing.append(Missing("people", "faces in the frame were not counted"))
    if face is None:
        missing += [Missing("framing", why_no_face), Missing("head", why_no_face)]
    lab = to_lab(small)
    return SceneFacts(
        width=image.shape[1],
        height=image.shape[0],
        people=people,
        framing=None if face is None else framing(face.box, (image.shape[1], image.shape[0])),
        light=_light(small, lab, face, small.shape[1] / image.shape[1], around_face),
        colours=_colours(lab, box, around_face, missing),
        motion=_motion(around, track, pts_seconds, around_face, missing),
        head=None if face is None else head(face.pose_degrees),
        gaze=_gaze(eyes, face, why_no_mesh, missing),
        eyes=_eyes(eyes, why_no_mesh, missing),
        mouth=_mouth(eyes, why_no_mesh, missing),
        hands=_hands(image, hands, face, missing),
        missing=tuple(missing),
    )


def head_speed(track: FaceTrack, pts_seconds: float) -> float | None:
    """Degrees a second by which the head turns around a moment; None where it was seen in fewer than four frames there.

    Length of the path of the pose, smoothed over three frames (noise of half a degree a frame would be a path, too).
    """
    times = np.asarray(track.pts_seconds)
    near = np.flatnonzero(np.asarray(track.valid) & (np.abs(times - pts_seconds) <= AROUND_SECONDS + 1e-6))
    if len(near) < 4:
        return None
    pose = np.asarray(track.head_pose_degrees[near], dtype=np.float64)
    smooth = np.stack([np.convolve(column, np.full(3, 1 / 3), "valid") for column in pose.T], axis=1)
    path = float(np.linalg.norm(np.diff(smooth, axis=0), axis=1).sum())
    return path / float(times[near[-2]] - times[near[1]])


def _main_face(
    image: UInt8, track: FaceTrack | None, pts_seconds: float, landmarks: Float | None
) -> tuple[_Face | None, str]:
    if track is None:
        return None, "nobody's face was followed"
    seen = np.flatnonzero(track.valid)
    if not len(seen):
        return None, "the face was not seen"
    row = int(seen[np.argmin(np.abs(np.asarray(track.pts_seconds)[seen] - pts_seconds))])
    if abs(float(track.pts_seconds[row]) - pts_seconds) > NEAR_ROW_SECONDS:
        return None, "the face was not seen at this moment"
    if landmarks is not None and np.shape(landmarks) != (478, 3):
        raise InputError(f"landmarks must be a mesh [478, 3] or None, got {list(np.shape(landmarks))}")
    box = _scaled(_box(track.boxes_xyxy[row]), image.shape[1] / track.frame_size[0])
    return _Face(box, np.asarray(track.head_pose_degrees[row], dtype=np.float64), landmarks), ""


def _box(row: Float) -> Box:
    x1, y1, x2, y2 = (float(v) for v in row)
    return x1, y1, x2, y2


def _scaled(box: Box, scale: float) -> Box:
    x1, y1, x2, y2 = box
    return x1 * scale, y1 * scale, x2 * scale, y2 * scale


def _area(shape: tuple[int, ...], box: Box) -> tuple[slice, slice]:
    """Rows and columns of a box, within the picture."""
    x1, y1, x2, y2 = (round(v) for v in box)
    height, width = shape[:2]
    return slice(max(0, y1), max(0, min(height, y2))), slice(max(0, x1), max(0, min(width, x2)))


def _background(shape: tuple[int, ...], box: Box | None) -> Bool:
    """[H, W] where neither the main person's head nor their body is: a head 2 faces wide, shoulders 3.6 below it."""
    outside = np.ones(shape[:2], bool)
    if box is not None:
        (x1, y1, x2, y2), width, height = box, box[2] - box[0], box[3] - box[1]
        outside[_area(shape, (x1 - 0.5 * width, y1 - 0.6 * height, x2 + 0.5 * width, y2 + 0.2 * height))] = False
        outside[_area(shape, (x1 - 1.3 * width, y2 + 0.2 * height, x2 + 1.3 * width, shape[0]))] = False
    return outside


def _light(small: UInt8, lab: Float, face: _Face | None, scale: float, around: Bool) -> Light:
    lightness = lab[..., 0]
    low, high = np.percentile(lightness, [5, 95])
    mean = float(lightness.mean())
    light = Light(brightness(mean), round(mean, 1), round(float(high - low), 1))
    skin = None if face is None else _inner(lightness, _scaled(face.box, scale))
    if face is None or skin is None:
        return light
    word: Brightness = (
        "dark" if skin < FACE_DARK else "dim" if skin < FACE_DIM else "bright" if skin > FACE_BRIGHT else "normal"
    )
    behind = float(lightness[around].mean()) if around.any() else None
    is_backlit = None if behind is None else skin < BACKLIT_FACE and behind - skin >= BACKLIT_DIFFERENCE
    ratio = None if face.mesh is None else _side_ratio(small, face, scale)
    brighter: Literal["left", "right"] | None = None
    if ratio is not None and max(ratio, 1 / ratio) >= SIDE_RATIO:
        brighter = "left" if ratio > 1 else "right"
    return Light(
        light.picture, light.picture_lightness, light.contrast, word, round(skin, 1), brighter,
        None if ratio is None else round(ratio, 2), is_backlit,
    )  # fmt: skip


def _inner(lightness: Float, box: Box) -> float | None:
    """Mean over the middle of a face's box, where neither hair nor background is; None outside the picture."""
    (x1, y1, x2, y2), width, height = box, box[2] - box[0], box[3] - box[1]
    inside = lightness[_area(lightness.shape, (x1 + width / 5, y1 + height / 4, x2 - width / 5, y2 - height / 10))]
    return float(inside.mean()) if inside.size else None


def _side_ratio(small: UInt8, face: _Face, scale: float) -> float | None:
    """Luminance of the right cheek (the picture's left) / left cheek; None where the head is turned or a cheek cut."""
    import cv2

    if face.mesh is None or abs(face.pose_degrees[1]) > FRONTAL_DEGREES:
        return None
    luminance = relative_luminance(small)
    sides = []
    for cheek in (_RIGHT_CHEEK, _LEFT_CHEEK):
        hull = cv2.convexHull((face.mesh[list(cheek), :2] * scale).astype(np.float32)).round().astype(np.int32)
        mask = np.zeros(luminance.shape, np.uint8)
        cv2.fillConvexPoly(mask, hull, (1,))
        inside = luminance[mask > 0]
        if not inside.size:
            return None
        sides.append(max(float(inside.mean()), 1e-4))
    return sides[0] / sides[1]


def _colours(lab: Float, box: Box | None, around: Bool, missing: list[Missing]) -> Colours:
    warmth_b = float(lab[..., 2].mean())
    warmth: Literal["warm", "neutral", "cool"] = (
        "warm" if warmth_b > WARM_B else "cool" if warmth_b < COOL_B else "neutral"
    )
    below = None
    if box is None:
        missing.append(Missing("below_face", "no face was found to look below"))
    else:
        (x1, _, x2, y2), width, height = box, box[2] - box[0], box[3] - box[1]
        region = lab[_area(lab.shape, (x1 - 0.4 * width, y2 + 0.5 * height, x2 + 0.4 * width, y2 + 1.5 * height))]
        if region.shape[0] >= 0.25 * height and region.shape[1] >= 0.5 * width:
            below = dominant_colours(region)
        else:
            missing.append(Missing("below_face", "the picture ends below the face"))
    return Colours(dominant_colours(lab, around), below, warmth)


def _motion(
    around: Frames | None, track: FaceTrack | None, pts_seconds: float, background: Bool, missing: list[Missing]
) -> Motion | None:
    speed = None if track is None else head_speed(track, pts_seconds)
    if speed is None:
        missing.append(Missing("head_motion", "the head was seen in fewer than four frames around this moment"))
    flow = None
    if around is None or len(around) < 2:
        reason = "there is no second picture beside the frame"
        missing += [Missing("camera", reason), Missing("scene", reason)]
    else:
        flow = movement(list(around.images), np.asarray(around.pts_seconds), background)
        if flow.camera is None:
            missing.append(Missing("camera", "the surroundings have too little texture to be followed"))
    if speed is None and flow is None:
        missing.append(Missing("motion", "neither pictures nor head poses around this moment were given"))
        return None
    camera = None if flow is None else flow.camera
    return Motion(
        None if camera is None else amount(camera, CAMERA_BOUNDS),
        None if camera is None else round(camera, 3),
        None if flow is None else amount(flow.scene, SCENE_BOUNDS),
        None if flow is None else round(flow.scene, 3),
        None if speed is None else amount(speed, HEAD_BOUNDS),
        None if speed is None else round(speed, 1),
    )


def _gaze(eyes: EyesAndMouth | None, face: _Face | None, why_no_mesh: str, missing: list[Missing]) -> Gaze | None:
    if eyes is None or face is None:
        reason = why_no_mesh
    elif eyes.eye_opening < EYES_OPEN:
        reason = "the eyes are not open enough to see where they point"
    elif eyes.gaze_yaw_degrees is None:
        reason = "the head is turned too far to see where the eyes point"
    else:
        return gaze(eyes.gaze_yaw_degrees, float(face.pose_degrees[1]))
    missing.append(Missing("gaze", reason))
    return None


def _eyes(eyes: EyesAndMouth | None, why_no_mesh: str, missing: list[Missing]) -> Literal["open", "closed"] | None:
    if eyes is None:
        missing.append(Missing("eyes", why_no_mesh))
        return None
    if EYES_CLOSED <= eyes.eye_opening <= EYES_OPEN:
        missing.append(Missing("eyes", "the lids are between open and closed"))
        return None
    return "open" if eyes.eye_opening > EYES_OPEN else "closed"


def _mouth(
    eyes: EyesAndMouth | None, why_no_mesh: str, missing: list[Missing]
) -> Literal["open", "parted", "closed"] | None:
    if eyes is None:
        missing.append(Missing("mouth", why_no_mesh))
        return None
    gap = eyes.mouth_opening
    return "closed" if gap < MOUTH_CLOSED else "open" if gap > MOUTH_OPEN else "parted"


def _hands(image: UInt8, finder: HandFinder | None, face: _Face | None, missing: list[Missing]) -> Hands | None:
    if finder is None:
        missing.append(Missing("hands", "hands were not looked for"))
        return None
    found = finder.find(image)
    width = image.shape[1]
    x = [float(hand[:, 0].mean()) / width for hand in found]
    sides: tuple[Literal["left", "centre", "right"], ...] = tuple(
        "left" if v < THIRDS[0] else "right" if v > THIRDS[1] else "centre" for v in sorted(x)
    )
    return Hands(len(found), None if face is None else sum(_reaches(hand, face.box) for hand in found), sides)


def _reaches(hand: Float, box: Box) -> bool:
    """At least two of the 21 points lie within the face's box: one may be a slip of the network."""
    x1, y1, x2, y2 = box
    inside = (hand[:, 0] >= x1) & (hand[:, 0] <= x2) & (hand[:, 1] >= y1) & (hand[:, 1] <= y2)
    return int(inside.sum()) >= 2
