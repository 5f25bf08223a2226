"""Measures the action-unit formulas against the carried truth: responses, cross-talk, pose drift, as a table.

One clip per unit, face shape and camera: the person at rest and facing the camera first, then at every head pose the
unit in equal steps from rest to full, each step held for three frames (the middle one is read).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import carried_units as truth
import numpy as np
from scipy.stats import spearmanr

from emotion_llama.face import action_units, geometry
from emotion_llama.records import AU_NAMES, ActionUnits, FaceTrack

TURNS = (-25.0, -15.0, 0.0, 15.0, 25.0)
ALL_POSES = tuple((pitch, yaw) for pitch in TURNS for yaw in TURNS)
# The centre, the ends of both axes and the corners.
FEW_POSES = tuple((pitch, yaw) for pitch in (-25.0, 0.0, 25.0) for yaw in (-25.0, 0.0, 25.0))
SHAPES = ("canonical", "long", "wide")
LEVELS = np.linspace(0.0, 1.0, 6)
HOLD = 3
FPS = 25.0


def track_of(pixels: np.ndarray, camera: geometry.Camera | None = None, fps: float = FPS) -> FaceTrack:
    """A track of N meshes [N, 478, 3] seen at `fps`."""
    measured = geometry.measure_many(pixels, camera)
    n = len(pixels)
    low, high = pixels[:, :, :2].min(axis=1), pixels[:, :, :2].max(axis=1)
    return FaceTrack(
        track_id=0, pts_seconds=np.arange(n) / fps, frame_index=np.arange(n), valid=np.ones(n, bool),
        boxes_xyxy=np.hstack([low, high]), scores=np.ones(n), points=measured.points,
        head_pose_degrees=measured.head_pose_degrees, shape_features=measured.shape_features, appearance=np.zeros(1),
        frame_size=(1280, 720),
    )  # fmt: skip


def clip(
    unit: str, shape: str = "canonical", camera: str = "weak", poses=((0.0, 0.0),), rest_frames: int = 0,
    levels: np.ndarray = LEVELS, noise_pixels: float = 0.0, face_pixels: float = 256.0,
) -> tuple[ActionUnits, np.ndarray]:  # fmt: skip
    """Units over the clip, and [poses, levels] the row of each step's middle frame."""
    mesh, motion = truth.canonical(), truth.displacement(unit)
    faces = [truth.shaped(mesh + level * motion, shape) for level in levels]
    scale_of = np.ptp(truth.shaped(mesh, shape)[:, 0])
    at_rest = truth.photograph(truth.shaped(mesh, shape), np.eye(3), camera, face_pixels)
    pixels = [at_rest] * rest_frames
    for pitch, yaw in poses:
        turn = truth.rotation(pitch, yaw)
        for face in faces:
            wide = face_pixels * np.ptp(face[:, 0]) / scale_of
            pixels += [truth.photograph(face, turn, camera, wide)] * HOLD
    rows = rest_frames + np.arange(len(poses) * len(levels)).reshape(len(poses), -1) * HOLD + HOLD // 2
    stack = np.array(pixels)
    if noise_pixels:
        stack = stack + np.random.default_rng(7).normal(0, noise_pixels, stack.shape)
    return action_units.estimate(track_of(stack)), rows


@dataclass
class UnitResult:
    """One unit's figures; the worst over shapes and cameras, and over poses where "posed"."""

    own_full: float = 5.0
    own_full_posed: float = 5.0
    spearman_frontal: float = 1.0
    spearman_posed: float = 1.0
    crosstalk: float = 0.0
    crosstalk_to: str = ""
    crosstalk_posed: float = 0.0
    crosstalk_posed_to: str = ""
    related: dict[str, float] = field(default_factory=dict)
    at_rest: float = 0.0
    drift: float = 0.0


def _judge(result: UnitResult, unit: str, values: np.ndarray, frontal: bool) -> None:
    """values [levels, U] at one pose."""
    own = AU_NAMES.index(unit)
    gain = values[-1, own] - values[0, own]
    rank = spearmanr(LEVELS, values[:, own]).statistic if np.ptp(values[:, own]) else 0.0
    if frontal:
        result.own_full = min(result.own_full, gain)
        result.spearman_frontal = min(result.spearman_frontal, rank)
    result.own_full_posed = min(result.own_full_posed, gain)
    result.spearman_posed = min(result.spearman_posed, rank)
    for j, other in enumerate(AU_NAMES):
        if other == unit:
            continue
        share = float(np.abs(values[:, j] - values[0, j]).max() / max(gain, 1e-6))
        if other in truth.RELATED.get(unit, {}):
            if frontal:
                result.related[other] = max(result.related.get(other, 0.0), share)
            continue
        if frontal and share > result.crosstalk:
            result.crosstalk, result.crosstalk_to = share, other
        if share > result.crosstalk_posed:
            result.crosstalk_posed, result.crosstalk_posed_to = share, other


def judged(unit: str, values: np.ndarray) -> UnitResult:
    """The unit's figures from one row of intensities a level, [levels, U]."""
    result = UnitResult()
    _judge(result, unit, values, True)
    return result


def on_random_face(seed: int) -> dict[str, UnitResult]:
    """Figures of all units on one face of random shape, each unit at a random pose, after four seconds at rest."""
    rng = np.random.default_rng(100 + seed)
    results = {}
    for unit in AU_NAMES:
        faces = [truth.random_person(truth.canonical() + level * truth.displacement(unit), seed) for level in LEVELS]
        turn = truth.rotation(*rng.uniform(-25, 25, 2))
        clip = [truth.photograph(faces[0], np.eye(3))] * 100
        wide = [200 * np.ptp(face[:, 0]) / np.ptp(faces[0][:, 0]) for face in faces]
        clip += [truth.photograph(f, turn, face_pixels=w) for f, w in zip(faces, wide) for _ in range(HOLD)]
        values = action_units.estimate(track_of(np.array(clip))).intensity[101::HOLD]
        results[unit] = judged(unit, values)
    return results


def evaluate(
    shapes=SHAPES, cameras=("weak",), poses=ALL_POSES, rest_frames: int = 400, **options
) -> dict[str, UnitResult]:
    """Figures of all units."""
    results = {unit: UnitResult() for unit in AU_NAMES}
    for shape in shapes:
        for camera in cameras:
            for unit in AU_NAMES:
                units, rows = clip(unit, shape, camera, poses, rest_frames, **options)
                for pose, levels in zip(poses, rows):
                    _judge(results[unit], unit, units.intensity[levels], pose == (0.0, 0.0))
                results[unit].at_rest = max(results[unit].at_rest, float(units.intensity[0, AU_NAMES.index(unit)]))
            for unit, moved in drift(shape, camera, poses, **options).items():
                results[unit].drift = max(results[unit].drift, moved)
    return results


def drift(
    shape: str = "canonical", camera: str = "weak", poses=ALL_POSES, rolls=(0.0, -30.0, 30.0),
    noise_pixels: float = 0.0, face_pixels: float = 256.0,
) -> dict[str, float]:  # fmt: skip
    """Largest change of each unit of a resting face that only turns: pitch and yaw of `poses`, with each roll."""
    face, still = truth.shaped(truth.canonical(), shape), 150
    turns = [(0.0, 0.0, 0.0)] * still + [(*pose, roll) for pose in poses for roll in rolls for _ in range(HOLD)]
    pixels = np.array([truth.photograph(face, truth.rotation(*turn), camera, face_pixels) for turn in turns])
    pixels = pixels + np.random.default_rng(8).normal(0, noise_pixels, pixels.shape)
    intensity = action_units.estimate(track_of(pixels)).intensity
    middle = intensity[still + HOLD // 2 :: HOLD]
    return dict(zip(AU_NAMES, np.abs(middle - intensity[:still].mean(axis=0)).max(axis=0).tolist()))


def evaluate_single_frames(shape: str = "canonical") -> dict[str, UnitResult]:
    """The same for frames that each stand alone, so that the population's neutral is zero; frontal only."""
    mesh, results = truth.canonical(), {}
    for unit in AU_NAMES:
        faces = [truth.shaped(mesh + level * truth.displacement(unit), shape) for level in LEVELS]
        alone = [action_units.estimate(track_of(truth.photograph(f, np.eye(3))[None])).intensity[0] for f in faces]
        results[unit] = UnitResult(at_rest=float(alone[0][AU_NAMES.index(unit)]))
        _judge(results[unit], unit, np.array(alone), True)
    return results


def as_text(results: dict[str, UnitResult]) -> str:
    """The table, one unit a line."""
    lines = [
        "unit  own response  Spearman       worst cross-talk        pose   at    related units, share of own response",
        "      front posed   front  posed   front       posed       drift  rest",
    ]
    for unit, r in results.items():
        related = " ".join(f"{k[2:]}:{v:.0%}" for k, v in sorted(r.related.items(), key=lambda kv: -kv[1]) if v >= 0.05)
        lines.append(
            f"{unit}  {r.own_full:5.2f} {r.own_full_posed:5.2f}   {r.spearman_frontal:5.3f}  {r.spearman_posed:5.3f}"
            f"   {r.crosstalk:4.0%} {r.crosstalk_to or '-':5s}"
            f"  {r.crosstalk_posed:4.0%} {r.crosstalk_posed_to or '-':5s}"
            f"  {r.drift:5.2f}  {r.at_rest:4.2f}  {related or '-'}"
        )
    return "\n".join(lines)
