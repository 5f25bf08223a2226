"""Stage peak: the frame of strongest expression, decoded again in full size, and what that frame shows, measured."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from emotion_llama.errors import MissingDependency
from emotion_llama.media.encoded import write_png
from emotion_llama.merr.measured import Measured
from emotion_llama.merr.records import Json, Provenance, label_of, now
from emotion_llama.merr.stage import ClipStage, StageInput, StageOutput
from emotion_llama.merr.stages.evidence import EVIDENCE, analyzer_of, field, measured_of, same_clip
from emotion_llama.merr.stages.labels import label_rules, units_of_label
from emotion_llama.merr.stages.sets import picture_hash
from emotion_llama.records import FaceTrack, PeakFrame, UInt8

if TYPE_CHECKING:
    from emotion_llama.face.hands import HandFinder
    from emotion_llama.media.reader import ClipFile
    from emotion_llama.media.scene_facts import SceneFacts
    from emotion_llama.merr.recipe import Recipe

PEAK_FRAME, FACE_CROP = "peak_frame", "face_crop"  # artifacts
NO_VIDEO = "the file has no video"

_KEPT = threading.local()  # the hand finder, for the same reasons as the Analyzer


_Picture: TypeAlias = "tuple[UInt8, int, float]"  # a frame in full size, its index in the stream, its time


class PeakStage(ClipStage):
    """Fields peak and scene (`SceneFacts`); artifacts peak_frame and face_crop.

    Where there is a picture but no expression was measured, the middle frame stands for the clip: the field peak is
    missing and says so, scene and peak_frame are of that frame.
    """

    name = "peak"
    needs = ("evidence", "pseudo_label", "select")
    reads_artifacts = (EVIDENCE,)
    reads_clip = ()
    pool = "process"

    def __init__(self, recipe: Recipe) -> None:
        self.part, self.evidence = recipe.peak, recipe.evidence
        self.rules = label_rules(recipe.pseudo_label.table, recipe.space, recipe.pseudo_label.own_table)
        face_model = recipe.evidence.face_model
        settings: dict[str, object] = {
            **self.part.model_dump(mode="json"),
            "faces": recipe.evidence.faces,
            "face_model": None if face_model is None else face_model.name,
        }
        if self.part.rule == "label":
            settings["units"] = {rule.label: list(units_of_label(rule.label, self.rules)) for rule in self.rules}
        self.settings = settings

    def one(self, item: StageInput) -> StageOutput:
        """See `ClipStage`."""
        measured = measured_of(item)
        units = measured.evidence.action_units
        source = Provenance("measured", "video" if units is None else units.source, made_at=now())
        if item.clip.frame_count is None or item.clip.path is None:
            return StageOutput(tuple(field(name, None, source, NO_VIDEO) for name in ("peak", "scene")))
        found = self._find(measured, label_of(item) or "")
        with same_clip(item.clip) as file:
            picture = _picture(file, file.clip.duration_seconds / 2 if found is None else found.pts_seconds)
            scene, crop = self._scene(file, measured, picture)
        artifacts = {f"{PEAK_FRAME}.png": write_png(picture[0])}
        if crop is not None:
            artifacts[f"{FACE_CROP}.png"] = write_png(crop)
        from emotion_llama.media.scene_facts import scene_to_json

        why = measured.evidence.why_missing("action_units") or "no frame of the face could be judged"
        fields = (
            field(
                "peak",
                None if found is None else _peak(found, picture, crop),
                source,
                f"{why}; the picture is the middle frame",
            ),
            field("scene", scene_to_json(scene), source),
        )
        return StageOutput(fields, artifacts)

    def _find(self, measured: Measured, label: str) -> PeakFrame | None:
        from emotion_llama.face.peak import find_peak

        units = measured.evidence.action_units
        if units is None or not units.valid.any():
            return None
        wanted = units_of_label(label, self.rules) if self.part.rule == "label" else ()
        usable = tuple(name for name in wanted if name in units.names)
        return find_peak(
            units,
            rule="label" if usable else "all",
            label=label if usable else None,
            label_units=usable or None,
            include_blinks=self.part.include_blinks,
            include_speech=self.part.include_speech,
        )

    def _scene(self, file: ClipFile, measured: Measured, picture: _Picture) -> tuple[SceneFacts, UInt8 | None]:
        from emotion_llama.analysis.peak_image import mesh_in
        from emotion_llama.face.align import align_face
        from emotion_llama.rules.scene.scene_measure import measure_scene, read_around

        image, frame_index, pts_seconds = picture
        track = measured.track
        row = None if track is None else _row(track, frame_index)
        crop = mesh = None
        if track is not None and row is not None:
            scale = np.array([image.shape[1], image.shape[0]]) / track.frame_size
            crop = align_face(image, track.points[row] * scale, size=self.part.crop_size)
            x1, y1, x2, y2 = (float(v) for v in track.boxes_xyxy[row] * np.tile(scale, 2))
            mesh = mesh_in(image, (x1, y1, x2, y2), analyzer_of(self.evidence).mesh_backend())
        tracks = [track for _, _, track in measured.people if track is not None]
        unseen = None if measured.evidence.action_units is not None else 0  # another program looked, and says no place
        scene = measure_scene(
            image,
            track=track,
            pts_seconds=pts_seconds,
            people=sum(_row(one, frame_index) is not None for one in tracks) if tracks else unseen,
            landmarks=mesh,
            around=read_around(file, pts_seconds),
            hands=_hand_finder() if self.part.hands else None,
        )
        return scene, crop


def _picture(file: ClipFile, pts_seconds: float) -> _Picture:
    from emotion_llama.media.frames import frame_at

    shown = frame_at(file, min(pts_seconds, file.clip.duration_seconds), warn=lambda line: None)
    return shown.images[0], int(shown.index[0]), float(shown.pts_seconds[0])


def _row(track: FaceTrack, frame_index: int) -> int | None:
    """The track's row of a frame in which the face was seen; None where it was not."""
    rows = np.flatnonzero((track.frame_index == frame_index) & track.valid)
    return int(rows[0]) if len(rows) else None


def _peak(found: PeakFrame, picture: _Picture, crop: UInt8 | None) -> Json:
    return {
        "frame_index": picture[1],
        "pts_seconds": picture[2],
        "score": found.score,
        "rule": found.rule,
        "units": dict(found.units),
        "why": found.why,
        "face_hash": None if crop is None else picture_hash(crop),
    }


def _hand_finder() -> HandFinder | None:
    """MediaPipe's, where it is installed."""
    from emotion_llama.face.hands import load_hand_finder

    if not hasattr(_KEPT, "hands"):
        try:
            _KEPT.hands = load_hand_finder()
        except MissingDependency:
            _KEPT.hands = None
    finder: HandFinder | None = _KEPT.hands
    return finder
