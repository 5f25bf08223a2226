"""Joins the faces seen in single frames into one FaceTrack per person, over cuts, misses and crossings.

Two steps. Within a shot, faces are followed by position, size and looks (`tracklets.match`). At the end, the pieces
that look alike and never share a frame become one person (`tracklets.group`): so a person comes back to the same track
after a cut to somebody else, and somebody new does not continue an old one. A wrongly seen cut costs nothing but the
second step.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face import appearance, blendshapes, geometry, occlusion
from emotion_llama.face.backends import FaceObservation
from emotion_llama.face.cuts import CutDetector
from emotion_llama.face.tracklets import MAX_GAP_SECONDS, Candidate, Tracklet, group, match
from emotion_llama.records import Bool, FaceTrack, Float, Frames, UInt8

# Mean looks nearer than this are one person. On drawn people under other light, size, pose and background, 99 % of
# the pairs of one person are below 0.36 and 99 % of the pairs of two people above 0.40 (tests/face/test_track.py);
# means over many frames lie closer together than single frames do.
_SAME_PERSON_DISTANCE = 0.36
# A face that was measured in fewer frames is a mistake of the detector, or too short to say anything about.
_LEAST_FRAMES = 5
_LEAST_SHARE = 0.5  # in very short clips: of all frames

# A mesh that is rolled further than this from how the face mostly is within a second around lies the wrong way up.
_WRONG_ROLL_DEGREES, _ROLL_SECONDS = 60.0, 1.0

# Columns of a compact row: box, score, points, head pose, contrast of the lips, blendshapes, shape features.
_BOX, _SCORE, _POINTS, _POSE, _CONTRAST = slice(0, 4), 4, slice(5, 15), slice(15, 18), 18
_BLENDSHAPES, _FEATURES = slice(19, 19 + len(blendshapes.NAMES)), slice(19 + len(blendshapes.NAMES), None)


class Tracker:
    """Takes chunks of frames with the faces seen in them; gives the people at the end.

    Holds about 0.5 kB for each face and frame; no pictures and no meshes.

    Args:
        frame_size: width and height of the upright video in pixels: the coordinates of the tracks. The frames given
            may be smaller.
        max_people: so many of the people seen most are kept. A track has a row for every frame of the clip, so in a
            long film with hundreds of passers-by all of them together would not fit into memory.

    Raises:
        InputError: a size or number below 1.
    """

    def __init__(self, frame_size: tuple[int, int], *, max_people: int = 20) -> None:
        if min(frame_size) < 1 or max_people < 1:
            raise InputError(
                "frame_size must be (width, height) in pixels and max_people at least 1: "
                f"{frame_size = }, {max_people = }"
            )
        self._max_people = max_people
        self.dropped: tuple[str, ...] = ()
        self._frame_size = frame_size
        self._cuts = CutDetector()
        self._pts_seconds, self._frame_index = array("d"), array("q")
        self._following: list[Tracklet] = []
        self._ended: list[Tracklet] = []

    def update(self, frames: Frames, observations: Sequence[Sequence[FaceObservation]]) -> None:
        """Takes the next frames and, for each, the faces seen in it (in pixels of these images).

        Raises:
            InputError: not one group of observations a frame.
        """
        if len(frames) != len(observations):
            raise InputError(f"one group of faces a frame: {len(frames)} frames, {len(observations)} groups")
        height, width = frames.images.shape[1:3]
        scale = np.array([self._frame_size[0] / width, self._frame_size[1] / height])
        seen_in = [(image, face) for image, faces in zip(frames.images, observations) for face in faces]
        contrast = [occlusion.lip_contrast(image, face.landmarks) for image, face in seen_in]
        rows = iter(_measure([face for _, face in seen_in], contrast, scale))
        for i, faces in enumerate(observations):
            if self._cuts.is_cut(frames.images[i]):
                self._end_shot()
            seen = [(_candidate(frames.images[i], face, scale), next(rows)) for face in faces]
            self._follow(seen, float(frames.pts_seconds[i]), len(self._pts_seconds))
            self._pts_seconds.append(float(frames.pts_seconds[i]))
            self._frame_index.append(int(frames.index[i]))

    def finish(self) -> tuple[FaceTrack, ...]:
        """The people, in order of first appearance; each track has a row for every frame given.

        What was seen too shortly is left out, and `dropped` says when that was, and why.
        """
        self._end_shot()
        self._ended.sort(key=lambda tracklet: tracklet.first_seconds)
        least = max(1, min(_LEAST_FRAMES, int(_LEAST_SHARE * len(self._pts_seconds))))
        people = group(self._ended, _SAME_PERSON_DISTANCE)
        most_seen = sorted(people, key=_num_frames, reverse=True)[: self._max_people]
        kept, dropped = [], []
        for members in people:
            if _num_frames(members) < least:
                problem = f"seen in {_num_frames(members)} frames, fewer than {least}"
                dropped.append(_dropped(members, problem if _num_frames(members) else "no mesh could be laid on it"))
            elif members not in most_seen:
                dropped.append(_dropped(members, f"others are seen longer, and at most {self._max_people} are kept"))
            else:
                kept.append(members)
        tracks = [self._track(track_id, members) for track_id, members in enumerate(kept)]
        self.dropped = (*dropped, *(one for _, one in tracks if one is not None))
        return tuple(track for track, _ in tracks)

    def _end_shot(self) -> None:
        self._ended += self._following
        self._following = []

    def _follow(self, seen: list[tuple[Candidate, Float | None]], pts_seconds: float, position: int) -> None:
        """Give each face that is seen, and its row of measurements (None without a mesh), to a tracklet."""
        lost = [t for t in self._following if pts_seconds - t.last_seconds > MAX_GAP_SECONDS]
        self._ended += lost
        self._following = [t for t in self._following if t not in lost]
        candidates = [candidate for candidate, _ in seen]
        owner: dict[int, Tracklet] = {}
        for i, j in match(self._following, candidates, pts_seconds):
            owner[j] = self._following[i]
            owner[j].follow(candidates[j], pts_seconds)
        for j, (candidate, row) in enumerate(seen):
            if j not in owner:
                owner[j] = Tracklet(candidate, pts_seconds)
                self._following.append(owner[j])
            if row is not None:
                owner[j].append(position, row)

    def _track(self, track_id: int, members: list[Tracklet]) -> tuple[FaceTrack, str | None]:
        """One person, and a line about frames of it whose mesh lay the wrong way up."""
        n, times = len(self._pts_seconds), np.array(self._pts_seconds)
        positions = np.concatenate([np.frombuffer(t.positions, np.int64) for t in members])
        values = np.concatenate([np.frombuffer(t.values, np.float32) for t in members]).reshape(len(positions), -1)
        rows = np.full((n, values.shape[1]), np.nan, np.float32)
        rows[positions] = values
        wrong = _laid_wrong(times, rows[:, _POSE][:, 2])
        rows[wrong] = np.nan
        dropped = None
        if wrong.any():
            dropped = f"a mesh that lay the wrong way up was left out in {int(wrong.sum())} frames"
        looks = appearance.MeanDescriptor()
        for tracklet in members:
            looks.merge(tracklet.looks)
        track = FaceTrack(
            track_id=track_id,
            frame_size=self._frame_size,
            pts_seconds=times,
            frame_index=np.array(self._frame_index, np.int64),
            valid=np.isfinite(rows[:, _SCORE]),
            boxes_xyxy=rows[:, _BOX],
            scores=rows[:, _SCORE],
            points=rows[:, _POINTS].reshape(n, 5, 2),
            head_pose_degrees=rows[:, _POSE],
            shape_features=rows[:, _FEATURES],
            blendshapes=rows[:, _BLENDSHAPES],
            lip_contrast=rows[:, _CONTRAST],
            appearance=looks.mean,
        )
        return track, dropped


def _candidate(image: UInt8, face: FaceObservation, scale: Float) -> Candidate:
    """What is compared of one face; `scale` [2] takes pixels of `image` to pixels of the tracks."""
    box = np.array(face.box_xyxy) * np.tile(scale, 2)
    size = float(np.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1.0)))
    return Candidate((box[:2] + box[2:]) / 2, size, appearance.describe(image, face.box_xyxy, face.landmarks))


def _laid_wrong(times: Float, roll_degrees: Float) -> Bool:
    """[N] frames whose roll is far from the mean direction within a second around; NaN roll is no frame."""
    seen = np.isfinite(roll_degrees)
    turns = np.where(seen, np.exp(1j * np.radians(np.nan_to_num(roll_degrees))), 0)
    total = np.concatenate([[0], np.cumsum(turns)])
    around = (
        total[np.searchsorted(times, times + _ROLL_SECONDS, "right")]
        - total[np.searchsorted(times, times - _ROLL_SECONDS)]
    )
    return np.asarray(seen & (np.abs(np.angle(turns * np.conj(around), deg=True)) > _WRONG_ROLL_DEGREES))


def _measure(faces: Sequence[FaceObservation], contrast: Sequence[float], scale: Float) -> list[Float | None]:
    """The compact row of each face; None for those without a mesh. All meshes are measured at once, which is faster."""
    rows: list[Float | None] = [None] * len(faces)
    meshed = [i for i, face in enumerate(faces) if face.landmarks is not None]
    if not meshed:
        return rows
    # z is on the scale of x.
    meshes = np.stack([np.asarray(faces[i].landmarks) for i in meshed]) * np.array([scale[0], scale[1], scale[0]])
    measured, shapes = geometry.measure_many(meshes), blendshapes.measure_many(meshes)
    for k, i in enumerate(meshed):
        box = np.array(faces[i].box_xyxy) * np.tile(scale, 2)
        points, pose, features = measured.points[k].ravel(), measured.head_pose_degrees[k], measured.shape_features[k]
        rows[i] = np.concatenate([box, [faces[i].score], points, pose, [contrast[i]], shapes[k], features])
    return rows


def _num_frames(members: list[Tracklet]) -> int:
    return sum(len(tracklet.positions) for tracklet in members)


def _dropped(members: list[Tracklet], problem: str) -> str:
    first, last = min(t.first_seconds for t in members), max(t.last_seconds for t in members)
    return f"a face at {first:.2f}-{last:.2f} s was left out: {problem}"
