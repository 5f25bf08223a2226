"""How well the facts of a picture are measured, on rendered frames whose truth is known, and how long it takes.

    python benchmarks/scene_facts.py

Drawn faces and hands are not photographs: these figures say that the measurements follow the truth, not how often they
fail on film. Real pictures without hands (skimage's astronaut, chelsea, coffee, rocket) are there for false alarms.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "face"))

from carried_units import displacement
from test_hands import draw_hand

from emotion_llama.face.backends import load_backend
from emotion_llama.face.gaze import TURNING_RADIUS_CM, measure_eyes_and_mouth
from emotion_llama.face.geometry import measure
from emotion_llama.face.hands import load_hand_finder
from emotion_llama.records import FaceTrack, Frames
from emotion_llama.rules.scene.scene_measure import measure_scene
from emotion_llama.rules.scene.scene_words import GAZE_ASIDE
from merr_synth.render.face import ANNA, BEN, CLEO, DREW, DrawnFace, Placement, render

PEOPLE = (ANNA, BEN, CLEO, DREW)
SIZE, IRIS_CM = (640, 360), 0.75


def main() -> None:
    """Prints all figures."""
    rng = np.random.default_rng(0)
    with load_backend() as backend:
        _gaze(backend)
        _lids(backend)
        _time(backend)
    _hands(rng)


def _seen(backend, face):
    backend.reset()
    ((found, *_),) = backend.observe(render(SIZE, [face]).image[None])
    return found


def _gaze(backend) -> None:
    print("gaze within the head, degrees: true -> measured (median of 4 people), and told as")
    for yaw in (-20, 0, 20):
        for gaze in (-0.6, -0.3, 0.0, 0.3, 0.6):
            placement = Placement((320, 180), 160, (0, yaw, 0), (gaze, 0))
            found = [measure_eyes_and_mouth(_seen(backend, DrawnFace(p, placement)).landmarks) for p in PEOPLE]
            values = np.array([f.gaze_yaw_degrees for f in found], float)
            words = ["ahead" if abs(v) < GAZE_ASIDE else "left" if v > 0 else "right" for v in values]
            true = np.degrees(np.arcsin(gaze * IRIS_CM / TURNING_RADIUS_CM))
            print(f"  head {yaw:+3d}: {true:+5.0f} -> {np.median(values):+5.1f}  {' '.join(words)}")


def _lids(backend) -> None:
    print("opening of the eyes (lid distance / width) by how far AU45 is drawn, range over 4 people")
    for amount in (0.0, 0.3, 0.5, 0.7, 1.0):
        shape = amount * displacement("AU45")[:468]
        found = [_seen(backend, DrawnFace(p, Placement((320, 180), 160), shape)).landmarks for p in PEOPLE]
        openings = [measure_eyes_and_mouth(mesh).eye_opening for mesh in found]
        print(f"  {amount:.1f}: {min(openings):.2f}..{max(openings):.2f}")


def _time(backend) -> None:
    face = _seen(backend, DrawnFace(ANNA, Placement((320, 180), 160)))
    image = render(SIZE, [DrawnFace(ANNA, Placement((320, 180), 160))]).image
    pose = measure(face.landmarks).head_pose_degrees
    n = 13
    track = FaceTrack(
        0, SIZE, np.arange(n) / 25, np.arange(n), np.ones(n, bool), np.tile(face.box_xyxy, (n, 1)), np.ones(n),
        np.zeros((n, 5, 2)), np.tile(pose, (n, 1)), np.zeros((n, 1)), np.zeros(1),
    )  # fmt: skip
    around = Frames(np.stack([image] * 8)[:, ::2, ::2], np.arange(8) / 15, np.arange(8))
    print("one frame of 640 x 360, with 8 small pictures around it")
    for name, hands in (("without hands", None), ("with hands", load_hand_finder())):
        for i in range(11):
            if i == 1:  # the first one loads what is loaded once
                begun = time.perf_counter()
            measure_scene(
                image, track=track, pts_seconds=0.24, people=1, landmarks=face.landmarks, around=around, hands=hands
            )
        print(f"  {name}: {100 * (time.perf_counter() - begun):.0f} ms")


def _hands(rng: np.random.Generator) -> None:
    import skimage.data

    finder = load_hand_finder()
    empty = real = 0
    for i in range(100):
        placement = Placement(
            (rng.uniform(150, 500), rng.uniform(100, 200)), rng.uniform(60, 200), tuple(rng.uniform(-25, 25, 3))
        )
        empty += len(finder.find(render(SIZE, [DrawnFace(PEOPLE[i % 4], placement)]).image))
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        real += len(finder.find(getattr(skimage.data, name)()))
    print(f"hands where there are none: {empty} in 100 rendered frames, {real} in 4 photographs")
    base = render(SIZE, [DrawnFace(ANNA, Placement((320, 150), 160))]).image
    for palm in (15, 20, 25, 30, 60):
        found = [
            len(finder.find(draw_hand(base, rng.uniform(440, 560), 220, palm, rng.uniform(-30, 30)))) for _ in range(20)
        ]
        print(f"  palm {palm} of 640 pixels wide, beside the face: found {sum(n == 1 for n in found)} of 20")
    over = [len(finder.find(draw_hand(base, rng.uniform(350, 390), 200, 45, rng.uniform(-30, 30)))) for _ in range(20)]
    print(f"  palm 45 pixels wide, over the cheek: found {sum(n == 1 for n in over)} of 20")


if __name__ == "__main__":
    main()
