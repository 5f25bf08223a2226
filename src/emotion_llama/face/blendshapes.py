"""The 52 blendshapes of a mesh: how far each expression of ARKit's set is shown, by MediaPipe's network.

Legend: N faces. The network (Google, Apache 2.0; face_blendshapes of MediaPipe's face_landmarker.task, converted by
scripts/convert-face-networks) takes 146 of the mesh's points, in pixels, and knows no person: it needs no resting face.
Beside the meshes of real people, `mouthSmile` and `browDown` are what it is used for (`action_units`): cheekSquint,
noseSneer, eyeWide and mouthFrown hardly leave 0 on real faces.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from emotion_llama.face.networks import open_network
from emotion_llama.records import Float

# The order of the network's output: MediaPipe's face_blendshapes_graph.cc, kBlendshapeNames.
NAMES: tuple[str, ...] = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen",
    "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight",
    "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
# The mesh's points that it takes: kLandmarksSubsetIdxs of the same file; the last ten are the irises.
_POINTS = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249,
    251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314,
    317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382,
    384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473,
    474, 475, 476, 477,
])  # fmt: skip
NUM_LANDMARKS = 478  # a mesh without irises has no blendshapes


def measure_many(landmarks: Float) -> Float:
    """[N, 52] 0..1, named by NAMES, of meshes [N, 478, 2 or 3] in pixels; NaN for meshes without irises."""
    if landmarks.shape[1] < NUM_LANDMARKS:
        return np.full((len(landmarks), len(NAMES)), np.nan, np.float32)
    network = _network()
    points = np.ascontiguousarray(landmarks[:, _POINTS, :2], np.float32)
    return np.asarray(network.run(None, {network.get_inputs()[0].name: points})[0])


@lru_cache(maxsize=1)
def _network() -> Any:
    return open_network("face_blendshapes")
