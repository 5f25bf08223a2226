"""Short scenes for the tests of face/: who is where in each frame, drawn, and seen by MediaPipe or by an oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from emotion_llama.face.backends import FaceObservation, MeshBackend
from emotion_llama.face.track import Tracker
from emotion_llama.records import FaceTrack, Float, Frames
from merr_synth.render.face import Colour, DrawnFace, Rendered, render

SIZE = (640, 360)
FPS = 25.0
STUDIO, STREET = (90, 110, 120), (176, 152, 110)  # backgrounds of two places

Scene = Callable[[int], tuple[Sequence[DrawnFace], Colour]]


def oracle(rendered: Rendered, rng: np.random.Generator, noise_px: float = 0.5) -> tuple[FaceObservation, ...]:
    """What a perfect backend with a little noise would see: the drawn landmarks, and 10 points for the irises."""
    faces = []
    for truth in rendered.landmarks:
        irises = np.repeat(truth[[159, 386]], 5, axis=0)
        mesh = np.concatenate([truth, irises]) + rng.normal(0, noise_px, (478, 3))
        (x1, y1), (x2, y2) = mesh[:, :2].min(0).tolist(), mesh[:, :2].max(0).tolist()
        if x1 < SIZE[0] and x2 > 0:
            faces.append(FaceObservation((x1, y1, x2, y2), 0.9, mesh.astype(np.float32)))
    return tuple(faces)


def follow(
    scene: Scene,
    num_frames: int,
    *,
    backend: MeshBackend | None = None,
    unseen: Callable[[int, int], bool] = lambda frame, face: False,
    chunk_size: int = 16,
    fps: float = FPS,
) -> tuple[tuple[FaceTrack, ...], Tracker]:
    """Draws a scene, sees it with `backend` (or the oracle, but for the faces that `unseen` names) and tracks it."""
    rng = np.random.default_rng(0)
    tracker = Tracker(SIZE)
    for start in range(0, num_frames, chunk_size):
        index = np.arange(start, min(num_frames, start + chunk_size))
        rendered = [render(SIZE, *scene(int(i))) for i in index]
        images = np.stack([r.image for r in rendered])
        if backend is not None:
            observations = backend.observe(images)
        else:
            observations = [
                tuple(face for k, face in enumerate(oracle(r, rng)) if not unseen(int(i), k))
                for i, r in zip(index, rendered)
            ]
        tracker.update(Frames(images, index / fps, index), observations)
    return tracker.finish(), tracker


def centers_x(track: FaceTrack) -> Float:
    """[N] x of the middle of the box, NaN where invalid."""
    return (track.boxes_xyxy[:, 0] + track.boxes_xyxy[:, 2]) / 2
