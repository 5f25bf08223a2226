"""Figures of a frame in words: shot, place, pose of the head, gaze, amounts of movement.

All bounds are this project's own unless a source is named.
"""

from __future__ import annotations

from typing import Literal

from emotion_llama.media.scene_facts import Amount, Framing, Gaze, Head, Shot
from emotion_llama.records import Float

# Height of the face (hairline to chin) / height of the picture, from which a shot has its name. Film's terms go by
# where the picture ends: a close-up at the collar, a medium close-up at the chest, a medium shot at the waist, a long
# shot below the knees. With some room above the crown those are 1.4, 2.5, 3.3 and 6 heads; the measured face is three
# quarters of a head, hence shares of 0.54, 0.3, 0.23 and 0.12. The bounds lie between these.
SHOTS: tuple[tuple[float, Shot], ...] = (
    (0.75, "extreme close-up"), (0.42, "close-up"), (0.26, "medium close-up"), (0.15, "medium shot"),
    (0.0, "long shot"),
)  # fmt: skip
THIRDS = (1 / 3, 2 / 3)
TURN_SLIGHT, TURN_CLEAR, TURN_PROFILE = 10.0, 25.0, 55.0
NOD, TILT = 12.0, 10.0  # degrees; FaceMesh reads a nod of 25 as 12 to 20
GAZE_ASIDE, GAZE_CAMERA = 8.0, 12.0  # degrees: drawn eyes ahead read up to 6, those 12 aside 6 to 15


def framing(box: tuple[float, float, float, float], size: tuple[int, int]) -> Framing:
    """Shot and place of a face; `size` is width, height of the picture."""
    share = (box[3] - box[1]) / size[1]
    shot = next(name for least, name in SHOTS if share >= least)
    x, y = (box[0] + box[2]) / 2 / size[0], (box[1] + box[3]) / 2 / size[1]
    horizontal: Literal["left", "centre", "right"] = "left" if x < THIRDS[0] else "right" if x > THIRDS[1] else "centre"
    vertical: Literal["upper", "middle", "lower"] = "upper" if y < THIRDS[0] else "lower" if y > THIRDS[1] else "middle"
    return Framing(shot, round(share, 3), horizontal, vertical)


def head(pose_degrees: Float) -> Head:
    """Pose [3] (pitch, yaw, roll) in words."""
    pitch, yaw, roll = (round(float(v), 1) for v in pose_degrees)
    away = abs(yaw)
    amount: Literal["none", "slight", "clear", "profile"] = (
        "none"
        if away < TURN_SLIGHT
        else "slight"
        if away < TURN_CLEAR
        else "clear"
        if away < TURN_PROFILE
        else "profile"
    )
    turn: Literal["camera", "left", "right"] = "camera" if amount == "none" else "left" if yaw > 0 else "right"
    nod: Literal["level", "up", "down"] = "level" if abs(pitch) < NOD else "up" if pitch > 0 else "down"
    # Clockwise in the picture moves the crown to the picture's right, where the person's left shoulder is.
    tilt: Literal["upright", "left", "right"] = "upright" if abs(roll) < TILT else "left" if roll > 0 else "right"
    return Head(turn, amount, nod, tilt, (pitch, yaw, roll))


def gaze(eye_yaw_degrees: float, head_yaw_degrees: float) -> Gaze:
    """Gaze in words, from the yaw of the eyes within the head and of the head."""
    within: Literal["ahead", "left", "right"] = (
        "ahead" if abs(eye_yaw_degrees) < GAZE_ASIDE else "left" if eye_yaw_degrees > 0 else "right"
    )
    return Gaze(within, abs(head_yaw_degrees + eye_yaw_degrees) <= GAZE_CAMERA, round(eye_yaw_degrees, 1))


def amount(speed: float, bounds: tuple[float, float]) -> Amount:
    """Word for a speed: still below the first bound, strong from the second on."""
    return "still" if speed < bounds[0] else "slight" if speed < bounds[1] else "strong"
