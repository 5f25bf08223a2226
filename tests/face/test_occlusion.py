"""Faces of which something is hidden: masks and hands over the mouth, profiles, and meshes laid the wrong way up."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
import unit_table as table
from test_action_units import face

from emotion_llama.analysis.evidence import gather
from emotion_llama.analysis.measure import Measurements, Person
from emotion_llama.face import action_units, occlusion
from emotion_llama.face.backends import FaceObservation, load_backend
from emotion_llama.face.peak import find_peak
from emotion_llama.face.track import Tracker
from emotion_llama.records import FaceTrack, Frames
from emotion_llama.results import Missing, held_units
from merr_synth.render.people import draw_person
from merr_synth.render.portrait import View, render_frame
from merr_synth.render.setting import Setting

NO_WORDS = Missing("transcript", "none")
LIGHT, DARK = draw_person(27), draw_person(35)  # of lightest and of darkest skin
MASK_OUTLINE = [117, 118, 195, 347, 346, 401, 367, 379, 378, 377, 152, 148, 149, 150, 138, 177]


@pytest.fixture(scope="module")
def backend():
    with load_backend("onnx_mesh") as loaded:
        yield loaded


def picture(person, **units: float) -> np.ndarray:
    return render_frame(Setting(), [(person, View((160, 150), 130.0), units)], (320, 320)).image


def mesh_of(backend, image: np.ndarray) -> np.ndarray:
    backend.reset()
    ((found,),) = backend.observe(image[None])
    return found.landmarks


def masked(image: np.ndarray, mesh: np.ndarray) -> np.ndarray:
    out = image.copy()
    cv2.fillPoly(out, [np.round(mesh[MASK_OUTLINE, :2]).astype(np.int32)], (130, 165, 205), lineType=cv2.LINE_AA)
    return out


def with_hand(image: np.ndarray, mesh: np.ndarray) -> np.ndarray:
    """Four fingers in the colour of the cheek lie over the mouth, with dark gaps between them."""
    out, eyes = image.copy(), float(np.linalg.norm(mesh[33, :2] - mesh[263, :2]))
    skin = np.median(image[tuple(np.round(mesh[[50, 280, 101, 330], :2]).astype(int).T[::-1])], axis=0)
    middle = mesh[[13, 14], :2].mean(axis=0)
    for finger in (-1.5, -0.5, 0.5, 1.5):
        y = int(middle[1] + finger * 0.25 * eyes)
        ends = (int(middle[0] - eyes), y), (int(middle[0] + 0.8 * eyes), y)
        for width, shade in ((0.25, 0.75), (0.21, 0.95)):
            cv2.line(out, *ends, (shade * skin).tolist(), int(width * eyes), cv2.LINE_AA)
    return out


def track_in(backend, images: np.ndarray, fps: float = 25.0) -> FaceTrack:
    backend.reset()
    tracker = Tracker((images.shape[2], images.shape[1]))
    tracker.update(Frames(images, np.arange(len(images)) / fps, np.arange(len(images))), backend.observe(images))
    (track,) = tracker.finish()
    return track


def evidence_of(track: FaceTrack):
    person = Person(1, track, action_units.estimate(track))
    return gather(Measurements((person,), len(track.valid)), NO_WORDS, person, (0.0, 60.0))


@pytest.mark.parametrize(("person", "cover"), [(LIGHT, masked), (DARK, masked), (LIGHT, with_hand)])
def test_a_covered_mouth_is_not_measured_and_said(backend, person, cover) -> None:
    """A smile behind a mask once was a neutral mouth at confidence 1.0."""
    image = picture(person, AU12=3.5, AU02=3.0)
    covered = cover(image, mesh_of(backend, image))
    evidence = evidence_of(track_in(backend, np.stack([covered] * 20)))
    held = held_units(evidence.action_units)
    assert not set(occlusion.MOUTH_UNITS) & set(held)
    assert held["AU02"] > 1
    assert not set(occlusion.MOUTH_UNITS) & set(evidence.peak_frame.units)
    assert evidence.why_missing("action_units.mouth").startswith("the mouth is covered in 20 of 20 frames")
    assert evidence.why_missing("action_units") is None


@pytest.mark.parametrize("units", [{}, {"AU12": 4.0, "AU25": 3.0}, {"AU26": 4.0, "AU25": 4.0}, {"AU15": 3.0}])
@pytest.mark.parametrize("brightness", [1.0, 0.5])
def test_a_mouth_in_view_is_measured(backend, units, brightness: float) -> None:
    for person in (LIGHT, DARK):
        image = (brightness * picture(person, **units)).astype(np.uint8)
        track = track_in(backend, np.stack([image] * 5))
        assert not occlusion.mouth_covered(track).any()


def test_a_mask_that_is_put_on(backend) -> None:
    photograph = skimage.data.astronaut()[:360, :440]
    covered = masked(photograph, mesh_of(backend, photograph))
    track = track_in(backend, np.stack([photograph] * 25 + [covered] * 50))
    units = action_units.estimate(track)
    bare, hidden = units.between(0.0, 0.6), units.between(1.5, 9.0)
    assert held_units(bare)["AU12"] > 3
    assert "AU12" not in held_units(hidden)
    assert not units.is_speech[50:].any()  # whatever the mesh makes of the mask, nobody is seen to talk
    evidence = evidence_of(track)
    assert evidence.peak_frame.pts_seconds < 1.2
    assert "AU12" in evidence.why_missing("action_units.mouth")


def test_grey_and_dark_pictures_do_not_tell() -> None:
    mesh = np.random.default_rng(0).uniform(40, 200, (478, 3))
    for image in (np.full((240, 240, 3), 128, np.uint8), np.zeros((240, 240, 3), np.uint8)):
        assert np.isnan(occlusion.lip_contrast(image, mesh))
    assert np.isnan(occlusion.lip_contrast(image, None))


def turned(yaw_degrees: np.ndarray) -> FaceTrack:
    track = table.track_of(np.array([face("AU02", 1.0)] * len(yaw_degrees)))
    pose = np.stack([np.zeros_like(yaw_degrees), yaw_degrees, np.zeros_like(yaw_degrees)], axis=1)
    return replace(track, head_pose_degrees=pose)


def test_a_profile_is_not_measured_and_counted() -> None:
    track = turned(np.array([0.0] * 30 + [46.0] * 10 + [-60.0] * 10))
    units = action_units.estimate(track)
    assert units.valid.tolist() == [True] * 30 + [False] * 20
    assert (units.confidence[30:] == 0).all()
    evidence = evidence_of(track)
    assert "20 of 50 frames" in evidence.why_missing("action_units.turned_away")
    assert evidence.why_missing("action_units") is None
    for mostly_away in (np.full(20, 58.0), np.array([58.0] * 11 + [44.0] * 9)):
        away = evidence_of(turned(mostly_away))
        assert away.action_units is None
        assert f"{int((mostly_away > 45).sum())} of 20 frames" in away.why_missing("action_units")
        assert away.why_missing("peak_frame") == away.why_missing("action_units")


def test_a_mesh_laid_the_wrong_way_up_is_dropped_and_counted(backend) -> None:
    """On a dark profile every tenth mesh once lay upside down, at a score of 1.0."""
    image = picture(LIGHT)
    mesh = mesh_of(backend, image)
    middle = mesh.mean(axis=0)
    upside_down = middle + (mesh - middle) * [-1, -1, 1]
    tracker = Tracker((320, 320))
    for i in range(30):
        points = (upside_down if i % 10 == 5 else mesh).astype(np.float32)
        box = (*points[:, :2].min(0).tolist(), *points[:, :2].max(0).tolist())
        frames = Frames(image[None], np.array([i / 25]), np.array([i]))
        tracker.update(frames, [(FaceObservation(box, 1.0, points),)])
    (track,) = tracker.finish()
    assert np.flatnonzero(~track.valid).tolist() == [5, 15, 25]
    assert tracker.dropped == ("a mesh that lay the wrong way up was left out in 3 frames",)


def test_a_peak_by_label_counts_what_was_measured() -> None:
    track = replace(turned(np.zeros(20)), lip_contrast=np.zeros(20))
    units = action_units.estimate(track)
    peak = find_peak(units, rule="label", label="happy")  # AU06 and AU12, which is covered
    assert np.isfinite(peak.score)
    assert "nan" not in peak.why
