"""Action unit intensities of one person over time, from the shape features of the tracked mesh.

Legend: N frames, F shape features, B feature names with the sides joined, U = 17 units (`records.AU_NAMES`).
What each unit measures, its scale and its sources: `unit_formulas.UNIT_FORMULAS`; what zero means: `neutral`.

Two blendshapes, which know no resting face, go beyond geometry where the mesh has them. mouthSmile is AU12, and takes
away what a smile feigns: lowered lip corners (AU15), a pushed-up chin (AU17), a stretched mouth (AU20), wide eyes
(AU05) and lowered brows (AU04). browDown adds to AU04. On 23 real clips (drama, interviews; 53 units present and 171
absent by eye) this and the formulas of AU05 and AU15 took units that were absent and measured 1 or more in a tenth of
the time from 28 to 9, and missed ones from 17 to 15. The ramps were chosen on the same clips.
"""

from __future__ import annotations

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face import blendshapes, geometry, neutral, occlusion, pose_bias, rhythms
from emotion_llama.face.unit_formulas import UNIT_FORMULAS, Moved
from emotion_llama.records import AU_NAMES, ActionUnits, Bool, FaceTrack, Float

SOURCE = "mesh geometry"
MAX_INTENSITY = 5.0
LINEAR_UP_TO = 4.0  # above, intensity nears 5 without reaching it: two strong frames stay distinguishable
# Smoothing reaches two frames to either side, as long as these are near in time. JITTER_CM is three times what 0.3 px
# of jitter on a face 200 px wide does to a feature.
SMOOTH_FRAMES, SMOOTH_SECONDS, JITTER_CM = 2, 0.1, 0.04
# Up to 25 degrees of yaw both sides count alike, which cancels most of what a wrong depth does; at 45 only the near
# side does, the far one being guessed by the network.
SIDES_EQUAL_DEGREES, NEAR_SIDE_ONLY_DEGREES = 25.0, 45.0
CONFIDENT_TURN_DEGREES, LOST_TURN_DEGREES = 30.0, 70.0  # confidence 1 up to, and its floor from
PITCH_COUNTS = 1.5  # FaceMesh reads a nod of 25 degrees as 12 to 20 (drawn faces), and bends the mesh by the rest
CONFIDENT_EYES_PIXELS, LOST_EYES_PIXELS = 30.0, 8.0  # distance of the eyes; 1 px is then 0.2 cm, or 0.8
JUMP_CM_PER_SECOND = 8.0  # median feature speed that no face reaches: a full smile takes 0.3 s for 1 cm of few features
MIN_CONFIDENCE = 0.05  # of a frame that was measured at all
# 0 up to the first value of a blendshape, 1 from the second. Of 23 real clips mouthSmile reached .44 in a tenth of the
# time on all seven that smile and .03 at most on the others; browDown .68 on a scowl and .19 on faces without one.
SMILE_RAMP, SMILE_VETO_RAMP, BROW_RAMP = (0.1, 0.9), (0.1, 0.3), (0.15, 0.75)
SMILING = 0.2  # mouthSmile above which a face is not at rest
NOT_WITH_SMILE = ("AU04", "AU05", "AU15", "AU17", "AU20")
SHAPE_JITTER = 0.04  # of a blendshape, for the smoothing

_SIDED_COUNT = sum(name.endswith("_right") for name in geometry.FEATURE_NAMES)
_JOINED_NAMES = (
    *(name.removesuffix("_right") for name in geometry.FEATURE_NAMES[: 2 * _SIDED_COUNT : 2]),
    *geometry.FEATURE_NAMES[2 * _SIDED_COUNT :],
)


def estimate(track: FaceTrack) -> ActionUnits:
    """Measure the 17 units of one person.

    Zero is the person's own resting face where at least `neutral.PERSON_SECONDS` of the track can tell it, else the
    canonical face (`ActionUnits.neutral` says which). Gaps stay gaps: frames without a face, and those turned away, are
    NaN with confidence 0; so are the units of a mouth that is covered (`occlusion`), whatever the mesh makes of it.

    Raises:
        InputError: the track's shape features are not those of `geometry.FEATURE_NAMES`.
    """
    features: Float = np.asarray(track.shape_features, dtype=np.float64)
    if features.shape[1:] != (len(geometry.FEATURE_NAMES),):
        raise InputError(
            f"shape features must be [N, {len(geometry.FEATURE_NAMES)}] as geometry.measure gives them, "
            f"got {list(features.shape)}; measure the landmarks again with this version"
        )
    times = np.asarray(track.pts_seconds, dtype=np.float64)
    seen = np.asarray(track.valid) & np.isfinite(features).all(axis=1) & ~occlusion.turned_away(track)
    covered = seen & occlusion.mouth_covered(track)
    features = np.where(seen[:, None], features, np.nan)
    is_blink = rhythms.find_blinks(times, *(_aperture(features, side) for side in geometry.SIDES))
    lip_gap = np.where(covered, np.nan, features[:, geometry.FEATURE_NAMES.index("lip_gap")])
    is_speech = rhythms.find_speech(times, lip_gap)
    pose, step = np.nan_to_num(np.asarray(track.head_pose_degrees, dtype=np.float64)), rhythms.typical_step(times)
    calm = seen & ~is_blink & np.all(np.abs(pose[:, :2]) <= neutral.MAX_TURN_DEGREES, axis=1)
    if calm.sum() * step >= neutral.PERSON_SECONDS:
        features = pose_bias.without_bias(features, pose, calm, step)
    shapes = (_shape(track, rows, name) for name, rows in (("mouthSmile", seen & ~covered), ("browDown", seen)))
    smile, brow_down = (_smoothed(times, shape, SHAPE_JITTER) for shape in shapes)
    # A talking or smiling mouth does not tell the resting one; talking leaves brows and lids where they are.
    unsmiling = calm & ~(np.nan_to_num(smile[:, 0]) > SMILING)
    rest = neutral.estimate_neutral(features, unsmiling & ~is_speech & ~covered, step, unsmiling)
    intensity = _intensities(_smoothed(times, features, JITTER_CM), rest.features, pose)
    intensity = _with_blendshapes(intensity, smile, brow_down)
    intensity[covered[:, None] & np.array([name in occlusion.MOUTH_UNITS for name in AU_NAMES])] = np.nan
    return ActionUnits(
        AU_NAMES,
        track.pts_seconds,
        intensity,
        _confidence(track, seen, features),
        is_blink,
        is_speech,
        rest.whose,
        SOURCE,
    )


def _aperture(features: Float, side: str) -> Float:
    upper, lower = (geometry.FEATURE_NAMES.index(f"lid_{lid}_y_{side}") for lid in ("upper", "lower"))
    return np.asarray(features[:, upper] - features[:, lower])


def _shape(track: FaceTrack, seen: Bool, name: str) -> Float:
    """[N, 1] one blendshape, mean of both sides; NaN where it was not measured."""
    if track.blendshapes is None:
        return np.full((len(seen), 1), np.nan)
    sides = [blendshapes.NAMES.index(f"{name}{side}") for side in ("Left", "Right")]
    return np.where(seen[:, None], track.blendshapes[:, sides].mean(axis=1, keepdims=True), np.nan)


def _with_blendshapes(intensity: Float, smile: Float, brow_down: Float) -> Float:
    """[N, U] with what mouthSmile and browDown [N, 1] say; as it was where they are NaN."""
    out, row = intensity.copy(), {name: AU_NAMES.index(name) for name in ("AU04", "AU12")}
    known = np.isfinite(smile[:, 0])
    out[known, row["AU12"]] = MAX_INTENSITY * _ramp(smile[known, 0], *SMILE_RAMP)
    known = np.isfinite(brow_down[:, 0])
    lowered = MAX_INTENSITY * _ramp(brow_down[known, 0], *BROW_RAMP)
    out[known, row["AU04"]] = np.maximum(out[known, row["AU04"]], lowered)
    vetoed = [AU_NAMES.index(name) for name in NOT_WITH_SMILE]
    out[:, vetoed] *= 1 - np.nan_to_num(_ramp(smile, *SMILE_VETO_RAMP))
    return np.asarray(out)


def _ramp(values: Float, low: float, high: float) -> Float:
    return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0))


def _smoothed(times: Float, features: Float, jitter: float) -> Float:
    """Bilateral filter: each value is averaged with those near it in time that differ by no more than jitter does.

    Symmetric in time, so no lag; a change larger than jitter (a blink, a fast onset, a peak of one frame) is kept as it
    is. A mesh that jumps for one frame is kept too, and has its confidence lowered instead (`_steadiness`).
    """
    total, weights = np.nan_to_num(features), np.ones_like(features)
    for shift in range(1, SMOOTH_FRAMES + 1):
        if shift >= len(times):
            break
        near = (times[shift:] - times[:-shift] <= SMOOTH_SECONDS)[:, None]
        alike = np.exp(-0.5 * ((features[shift:] - features[:-shift]) / jitter) ** 2)
        weight = np.where(near, np.nan_to_num(alike), 0.0)
        total[shift:] += weight * np.nan_to_num(features[:-shift])
        total[:-shift] += weight * np.nan_to_num(features[shift:])
        weights[shift:] += weight
        weights[:-shift] += weight
    return np.where(np.isfinite(features), total / weights, np.nan)


def _intensities(features: Float, rest: Float, head_pose_degrees: Float) -> Float:
    """[N, U] 0..5."""
    near_right = _right_weight(head_pose_degrees[:, 1])
    moved = Moved(_JOINED_NAMES, _joined(features - rest, near_right), _joined(rest[None], np.array([0.5]))[0])
    measures = np.stack([UNIT_FORMULAS[name].measure(moved) / UNIT_FORMULAS[name].full_cm for name in AU_NAMES], axis=1)
    return _limited(MAX_INTENSITY * measures)


def _limited(values: Float) -> Float:
    """0 below 0, linear up to LINEAR_UP_TO, then towards MAX_INTENSITY with the same slope at the joint."""
    room = MAX_INTENSITY - LINEAR_UP_TO
    over = np.maximum(values - LINEAR_UP_TO, 0.0)
    return np.asarray(np.clip(values, 0.0, LINEAR_UP_TO) + room * (1 - np.exp(-over / room)))


def _right_weight(yaw_degrees: Float) -> Float:
    """[N] share of the person's right side; a face turned to its left shows its right."""
    turn = np.clip((np.abs(yaw_degrees) - SIDES_EQUAL_DEGREES) / (NEAR_SIDE_ONLY_DEGREES - SIDES_EQUAL_DEGREES), 0, 1)
    return np.asarray(0.5 + 0.5 * turn * np.sign(yaw_degrees))


def _joined(features: Float, right_weight: Float) -> Float:
    """[N, F] with sides -> [N, B] without."""
    sided = features[:, : 2 * _SIDED_COUNT].reshape(len(features), _SIDED_COUNT, 2)
    joined = sided[..., 0] * right_weight[:, None] + sided[..., 1] * (1 - right_weight[:, None])
    return np.concatenate([joined, features[:, 2 * _SIDED_COUNT :]], axis=1)


def _confidence(track: FaceTrack, seen: Bool, features: Float) -> Float:
    """[N] detection score x pose x size x steadiness, at least MIN_CONFIDENCE where seen and 0 elsewhere."""
    pose = np.nan_to_num(np.asarray(track.head_pose_degrees, dtype=np.float64))
    turn = np.hypot(PITCH_COUNTS * pose[:, 0], pose[:, 1])
    facing = np.clip((LOST_TURN_DEGREES - turn) / (LOST_TURN_DEGREES - CONFIDENT_TURN_DEGREES), 0, 1)
    # Yaw brings the eyes nearer in the picture; the face is not smaller for it.
    eyes = np.linalg.norm(np.nan_to_num(track.points[:, 1] - track.points[:, 0]), axis=1)
    eyes = eyes / np.clip(np.cos(np.radians(pose[:, 1])), 0.3, 1)
    size = np.clip((eyes - LOST_EYES_PIXELS) / (CONFIDENT_EYES_PIXELS - LOST_EYES_PIXELS), 0, 1)
    score = np.clip(np.nan_to_num(np.asarray(track.scores, dtype=np.float64)), 0, 1)
    product = score * facing * size * _steadiness(np.asarray(track.pts_seconds), features)
    return np.where(seen, np.clip(product, MIN_CONFIDENCE, 1.0), 0.0)


def _steadiness(times: Float, features: Float) -> Float:
    """[N] 1 for a face that moves as faces do, less where the mesh jumps away from both its neighbours."""
    out = np.ones(len(times))
    if len(times) < 3:
        return out
    steps = np.maximum(np.diff(times), 1e-3)[:, None]
    speed = np.median(np.abs(np.diff(features, axis=0)) / steps, axis=1)
    jump = np.minimum(np.nan_to_num(speed[:-1]), np.nan_to_num(speed[1:]))
    out[1:-1] = np.clip(2 - jump / JUMP_CM_PER_SECOND, 0.1, 1.0)
    return out
