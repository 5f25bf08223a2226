"""Where the eyes point sideways, and how far eyes and mouth are open, from one mesh.

Legend: mesh [478, 3] pixels in MediaPipe's order, irises included. "Right" is the person's right.

The irises are laid on the canonical face as `geometry` lays the mesh; their shift from the middle of the eye corners
divided by the radius at which the iris turns about the eyeball's centre is the sine of the gaze within the head.
Up and down is not measured: on drawn faces whose irises move by 2 mm up or down, MediaPipe's iris points follow by less
than a tenth of it (tests/face/test_gaze.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.geometry import aligned_mesh
from emotion_llama.records import Float

# Distance of the pupil from the centre about which the eye turns, cm (Fry & Hill, Am. J. Optometry 39, 1962: 13.5 mm
# behind the cornea's front, with the pupil 3 mm behind that).
TURNING_RADIUS_CM = 1.05
_RIGHT_CORNERS, _LEFT_CORNERS, _RIGHT_IRIS, _LEFT_IRIS = (33, 133), (362, 263), 468, 473
# Upper and lower lid, three points each, over the width of the eye: eye aspect ratio (Soukupova & Cech, CVWW 2016).
_LIDS = (((160, 144), (159, 145), (158, 153)), ((385, 380), (386, 374), (387, 373)))
_LIPS, _MOUTH_CORNERS = ((13, 14), (82, 87), (312, 317)), (78, 308)
# Of the head: beyond, the far eye is guessed and the near one seen aslant. At 25 degrees one drawn gaze of ten is told
# wrongly, at 20 none (benchmarks/scene_facts.py).
MAX_TURN_DEGREES = 23.0


class EyesAndMouth(NamedTuple):
    """One mesh.

    Attributes:
        gaze_yaw_degrees: of the eyes within the head, to the person's left +; None where the head is turned by more
            than `MAX_TURN_DEGREES`.
        eye_opening: lid distance / width of the eye, the wider one of both eyes.
        mouth_opening: lip distance / width of the mouth's inside.
    """

    gaze_yaw_degrees: float | None
    eye_opening: float
    mouth_opening: float


def measure_eyes_and_mouth(landmarks: Float) -> EyesAndMouth:
    """Measure one mesh.

    Raises:
        InputError: not a mesh of 478 finite points.
    """
    if np.shape(landmarks) != (478, 3):
        raise InputError(
            f"gaze needs a mesh with irises, [478, 3] in MediaPipe's order, got {list(np.shape(landmarks))}"
        )
    mesh, yaw = aligned_mesh(landmarks)
    shifts = [
        mesh[iris, 0] - mesh[list(corners), 0].mean()
        for corners, iris in ((_RIGHT_CORNERS, _RIGHT_IRIS), (_LEFT_CORNERS, _LEFT_IRIS))
    ]
    sine = float(np.clip(np.mean(shifts) / TURNING_RADIUS_CM, -1, 1))
    gaze = float(np.degrees(np.arcsin(sine))) if abs(yaw) <= MAX_TURN_DEGREES else None
    openings = [_opening(mesh, lids, corners) for lids, corners in zip(_LIDS, (_RIGHT_CORNERS, _LEFT_CORNERS))]
    return EyesAndMouth(gaze, max(openings), _opening(mesh, _LIPS, _MOUTH_CORNERS))


def _opening(mesh: Float, pairs: tuple[tuple[int, int], ...], corners: tuple[int, int]) -> float:
    gaps = [float(np.linalg.norm(mesh[a] - mesh[b])) for a, b in pairs]
    return float(np.mean(gaps) / np.linalg.norm(mesh[corners[0]] - mesh[corners[1]]))
