"""Facts of the peak frame, on rendered frames whose truth is known; what cannot be measured is None with its reason."""

import json
from dataclasses import replace

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.face.backends import load_backend
from emotion_llama.face.geometry import FEATURE_NAMES, measure
from emotion_llama.media.probe import probe
from emotion_llama.media.scene_facts import (
    Colours,
    Framing,
    Gaze,
    Hands,
    Head,
    Light,
    Motion,
    SceneFacts,
    scene_from_json,
    scene_to_json,
)
from emotion_llama.media.writing import write_clip
from emotion_llama.records import FaceTrack, Frames
from emotion_llama.results import Missing
from emotion_llama.rules.scene.scene_measure import head_speed, measure_scene, read_around
from emotion_llama.rules.scene.scene_words import SHOTS, amount, framing, gaze, head
from merr_synth.render.face import ANNA, BEN, DrawnFace, Identity, Placement, render

SIZE = (640, 360)
FULL = SceneFacts(
    640, 360, 2,
    Framing("close-up", 0.5, "left", "upper"),
    Light("dim", 30.0, 50.0, "normal", 40.0, "left", 1.8, False),
    Colours(("dark blue", "grey"), ("red",), "cool"),
    Motion("still", 0.0, "slight", 0.1, "strong", 80.0),
    Head("left", "slight", "down", "right", (-14.0, 12.0, -11.0)),
    Gaze("left", False, 9.0),
    "open", "parted",
    Hands(2, 1, ("left", "centre")),
    (Missing("x", "y"),),
)  # fmt: skip


@pytest.fixture(scope="module")
def backend():
    with load_backend() as found:
        yield found


def make_track(image_size, boxes, poses=None, *, fps=25.0, valid=None) -> FaceTrack:
    n = len(boxes)
    poses = np.zeros((n, 3)) if poses is None else np.asarray(poses, float)
    return FaceTrack(
        0, image_size, np.arange(n) / fps, np.arange(n), np.ones(n, bool) if valid is None else np.asarray(valid),
        np.asarray(boxes, float), np.ones(n), np.zeros((n, 5, 2)), poses, np.zeros((n, len(FEATURE_NAMES))),
        np.zeros(4),
    )  # fmt: skip


def seen(backend, faces, background=(96, 108, 116), size=SIZE):
    """Picture, track of one row, and the mesh, as MediaPipe sees the first drawn face."""
    image = render(size, faces, background).image
    backend.reset()
    ((found, *_),) = backend.observe(image[None])
    pose = measure(found.landmarks).head_pose_degrees
    return image, make_track(size, [found.box_xyxy], [pose]), found.landmarks


def test_facts_travel_as_json() -> None:
    stored = json.loads(json.dumps(scene_to_json(FULL)))
    assert scene_from_json(stored) == FULL
    bare = SceneFacts(10, 20)
    assert scene_from_json(json.loads(json.dumps(scene_to_json(bare)))) == bare
    assert FULL.why_missing("x") == "y"
    assert FULL.why_missing("z") is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "facts of a scene"),
        ({"width": 1}, "height"),
        ({"width": 1, "height": 1, "gaze": {"at": 1}}, "gaze"),
        ({"width": 1, "height": 1, "missing": "hands"}, "missing"),
        ({"width": 1, "height": 1, "light": "dim"}, "light"),
    ],
)
def test_what_is_no_stored_fact(value: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        scene_from_json(value)


@pytest.mark.parametrize(
    ("share", "shot"),
    [
        (0.8, "extreme close-up"),
        (0.5, "close-up"),
        (0.3, "medium close-up"),
        (0.15, "medium shot"),
        (0.05, "long shot"),
    ],
)
def test_shot_by_the_height_of_the_face(share: float, shot: str) -> None:
    found = framing((300, 100, 340, 100 + 360 * share), SIZE)
    assert found.shot == shot
    assert found.face_height_share == pytest.approx(share, abs=1e-3)
    assert [least for least, _ in SHOTS] == sorted((least for least, _ in SHOTS), reverse=True)


@pytest.mark.parametrize(
    ("centre", "place"),
    [((100, 60), ("left", "upper")), ((320, 180), ("centre", "middle")), ((600, 340), ("right", "lower"))],
)
def test_place_by_thirds(centre: tuple[int, int], place: tuple[str, str]) -> None:
    found = framing((centre[0] - 20, centre[1] - 20, centre[0] + 20, centre[1] + 20), SIZE)
    assert (found.horizontal, found.vertical) == place


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        ((0, 0, 0), ("camera", "none", "level", "upright")),
        ((0, 15, 0), ("left", "slight", "level", "upright")),
        ((0, -40, 0), ("right", "clear", "level", "upright")),
        ((0, 70, 0), ("left", "profile", "level", "upright")),
        ((20, 0, 15), ("camera", "none", "up", "left")),
        ((-20, 0, -15), ("camera", "none", "down", "right")),
    ],
)
def test_pose_in_words(pose: tuple[float, ...], words: tuple[str, ...]) -> None:
    found = head(np.array(pose, float))
    assert (found.turn, found.turn_amount, found.nod, found.tilt) == words


@pytest.mark.parametrize(
    ("eyes", "turned", "within", "to_camera"),
    [(0, 0, "ahead", True), (20, 0, "left", False), (-20, 20, "right", True), (0, 20, "ahead", False)],
)
def test_gaze_in_words(eyes: float, turned: float, within: str, to_camera: bool) -> None:
    found = gaze(eyes, turned)
    assert (found.within_head, found.to_camera) == (within, to_camera)


def test_amounts_at_their_bounds() -> None:
    assert [amount(x, (1.0, 3.0)) for x in (0.9, 1.0, 2.9, 3.0)] == ["still", "slight", "slight", "strong"]


def test_speed_of_a_head_that_turns_evenly() -> None:
    """2 degrees a frame at 25 frames a second are 50 degrees a second; smoothing does not change a straight path."""
    poses = [[0, 2.0 * i, 0] for i in range(25)]
    track = make_track(SIZE, [[0, 0, 9, 9]] * 25, poses)
    assert head_speed(track, 0.5) == pytest.approx(50.0, abs=0.01)
    # Jitter of half a degree, frame by frame, is no turning head: its third is left, and counts as still.
    jitter = make_track(SIZE, [[0, 0, 9, 9]] * 25, [[0, 0.25 * (-1) ** i, 0] for i in range(25)])
    assert head_speed(jitter, 0.5) < 15
    lost = make_track(SIZE, [[0, 0, 9, 9]] * 25, poses, valid=[i % 6 == 0 for i in range(25)])
    assert head_speed(lost, 0.5) is None


def test_a_rendered_frame(backend) -> None:
    """Two people; the main one to the left, turned to her left, eyes aside; grey wall, blue clothes."""
    faces = [
        DrawnFace(ANNA, Placement((180, 150), 110, (0, 18, 0), (0.6, 0.0))),
        DrawnFace(BEN, Placement((500, 150), 100)),
    ]
    image, track, mesh = seen(backend, faces[:1])
    image = render(SIZE, faces).image
    facts = measure_scene(image, track=track, pts_seconds=0.0, people=2, landmarks=mesh)
    assert (facts.width, facts.height, facts.people) == (640, 360, 2)
    assert facts.framing is not None
    # 110 pixels from cheek to cheek are 125 from hairline to chin (the canonical face is 17.6 cm high, 15.5 cm wide).
    assert facts.framing.face_height_share == pytest.approx(125 / 360, abs=0.03)
    assert (facts.framing.shot, facts.framing.horizontal) == ("medium close-up", "left")
    assert facts.head is not None
    assert (facts.head.turn, facts.head.turn_amount) == ("left", "slight")
    assert facts.gaze is not None
    assert facts.gaze.within_head == "left"
    assert not facts.gaze.to_camera
    assert facts.eyes == "open"
    assert facts.colours is not None
    assert facts.colours.background[0] == "grey"  # (96, 108, 116): L* 45, C* 6
    assert facts.colours.below_face == ("blue",)  # Anna's clothes (52, 78, 122): L* 33, hue 281
    assert facts.light is not None
    assert facts.light.face == "normal"
    assert facts.light.is_backlit is False
    assert facts.motion is None
    missing = {m.what for m in facts.missing}
    assert missing == {"hands", "camera", "scene", "head_motion", "motion"}


@pytest.mark.parametrize(("side", "word"), [("left", "left"), ("right", "right"), (None, None)])
def test_light_from_one_side(backend, side: str | None, word: str | None) -> None:
    """Half of the light (in pixel values a factor of 0.73 = 0.5 ** (1 / 2.2)) on one half of the face."""
    image, track, mesh = seen(backend, [DrawnFace(ANNA, Placement((320, 180), 140))])
    if side is not None:
        half = np.s_[:, 320:] if side == "left" else np.s_[:, :320]
        image[half] = (image[half] * 0.65).astype(np.uint8)
    facts = measure_scene(image, track=track, pts_seconds=0.0, landmarks=mesh)
    assert facts.light is not None
    assert facts.light.brighter_side == word


def test_dark_skin_is_not_called_dim_light(backend) -> None:
    """Skin of sRGB (92, 62, 50), L* 29, before a light grey wall: its lightness says nothing of the light."""
    dark = Identity(skin=(92, 62, 50), hair=(15, 12, 12), lips=(80, 46, 44))
    image, track, mesh = seen(backend, [DrawnFace(dark, Placement((320, 180), 140))], (190, 190, 190))
    facts = measure_scene(image, track=track, pts_seconds=0.0, landmarks=mesh)
    assert facts.light is not None
    assert facts.light.face == "normal"
    assert facts.light.is_backlit is False


def test_a_face_against_the_light(backend) -> None:
    image, track, mesh = seen(backend, [DrawnFace(ANNA, Placement((320, 180), 140))], (250, 250, 250))
    facts = measure_scene(image, track=track, pts_seconds=0.0, landmarks=mesh)
    assert facts.light is not None
    assert facts.light.is_backlit is False
    is_person = (image < 240).any(-1)
    image[is_person] = (image[is_person] * 0.25).astype(np.uint8)
    facts = measure_scene(image, track=track, pts_seconds=0.0, landmarks=mesh)
    assert facts.light is not None
    assert facts.light.is_backlit is True


def test_without_a_face_only_the_picture_is_described() -> None:
    image = render(SIZE, [], (40, 80, 200)).image
    facts = measure_scene(image, track=None, pts_seconds=0.0, people=0)
    assert facts.framing is facts.head is facts.gaze is facts.eyes is facts.mouth is None
    assert facts.colours is not None
    assert facts.colours == Colours(("blue",), None, "cool")
    assert facts.why_missing("framing") == "nobody's face was followed"
    assert facts.why_missing("gaze") == "nobody's face was followed"
    assert facts.light is not None
    assert facts.light.face is None


def test_a_face_seen_at_another_moment_is_not_this_frame_s() -> None:
    image = render(SIZE, []).image
    track = make_track(SIZE, [[300, 100, 360, 180]] * 5, valid=[True, False, False, False, False])
    assert measure_scene(image, track=track, pts_seconds=0.08).framing is not None  # 0.08 s away: it stands in
    late = measure_scene(image, track=track, pts_seconds=0.16)
    assert late.framing is None
    assert late.why_missing("framing") == "the face was not seen at this moment"
    gone = make_track(SIZE, [[0, 0, 1, 1]], valid=[False])
    assert measure_scene(image, track=gone, pts_seconds=0.0).why_missing("head") == "the face was not seen"


def test_a_face_without_a_mesh_has_no_gaze() -> None:
    track = make_track(SIZE, [[300, 100, 360, 180]])
    facts = measure_scene(render(SIZE, []).image, track=track, pts_seconds=0.0)
    assert facts.framing is not None
    assert facts.why_missing("eyes") == "the face's mesh was not found again in the frame"
    assert facts.why_missing("people") == "faces in the frame were not counted"


def test_a_face_at_the_bottom_has_nothing_below_it() -> None:
    track = make_track(SIZE, [[300, 260, 380, 350]])
    facts = measure_scene(render(SIZE, []).image, track=track, pts_seconds=0.0)
    assert facts.why_missing("below_face") == "the picture ends below the face"


def test_a_track_of_smaller_frames_is_scaled_up() -> None:
    track = make_track((320, 180), [[150, 50, 180, 90]])
    facts = measure_scene(render(SIZE, []).image, track=track, pts_seconds=0.0)
    assert facts.framing is not None
    assert facts.framing.face_height_share == pytest.approx(80 / 360, abs=1e-3)


class _TwoHands:
    def find(self, image):
        near = np.full((21, 2), 330.0) - [0, 190]
        return near, np.full((21, 2), 620.0) - [0, 400]

    def close(self) -> None: ...


def test_hands_at_the_face_and_elsewhere() -> None:
    track = make_track(SIZE, [[300, 100, 360, 180]])
    image = render(SIZE, []).image
    found = measure_scene(image, track=track, pts_seconds=0.0, hands=_TwoHands()).hands
    assert found == Hands(2, 1, ("centre", "right"))
    assert measure_scene(image, track=None, pts_seconds=0.0, hands=_TwoHands()).hands == replace(found, at_face=None)


def test_a_panning_camera_of_a_real_file(tmp_path) -> None:
    """Half a picture's width in a second, at 25 frames a second: 6.4 pixels of 320 a frame."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (23, 80, 3), dtype=np.uint8)
    wide = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    frames = [wide[:180, round(6.4 * i) : round(6.4 * i) + 320] for i in range(25)]
    clip = probe(write_clip(tmp_path / "pan.mp4", frames, 25.0))
    around = read_around(clip, 0.5)
    assert around is not None
    assert 6 <= len(around) <= 9
    assert abs(around.pts_seconds - 0.5).max() <= 0.26
    facts = measure_scene(frames[12], track=None, pts_seconds=0.5, around=around)
    assert facts.motion is not None
    assert facts.motion.camera == "strong"
    assert facts.motion.camera_speed == pytest.approx(0.5, abs=0.08)
    assert facts.motion.head is None
    still = Frames(np.stack([frames[0]] * 4), np.arange(4) / 15, np.arange(4))
    facts = measure_scene(frames[0], track=None, pts_seconds=0.1, around=still)
    assert facts.motion is not None
    assert (facts.motion.camera, facts.motion.scene) == ("still", "still")


def test_what_cannot_be_measured_from() -> None:
    with pytest.raises(InputError, match="a picture must be"):
        measure_scene(np.zeros((4, 4), np.uint8), track=None, pts_seconds=0.0)
    track = make_track(SIZE, [[300, 100, 360, 180]])
    with pytest.raises(InputError, match=r"landmarks must be a mesh \[478, 3\]"):
        measure_scene(render(SIZE, []).image, track=track, pts_seconds=0.0, landmarks=np.zeros((5, 2)))
