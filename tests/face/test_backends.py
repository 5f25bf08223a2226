"""Mesh backends: what they find in drawn frames, how they fail, and what they leave on the terminal (nothing)."""

import importlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.face.backends import BACKENDS, load_backend, load_unit_reader
from emotion_llama.face.backends import mediapipe_mesh as mesh_module
from emotion_llama.face.backends.following import distinct, iou, observation
from emotion_llama.face.backends.mediapipe_tasks import to_blendshapes, to_observations
from merr_synth.render.face import ANNA, BEN, CLEO, DREW, DrawnFace, Placement, render

SIZE = (640, 360)
STUDIO, STREET = (90, 110, 120), (176, 152, 110)
NOSE_TIP, EAR = 4, 234


@pytest.fixture(scope="module")
def shared_backend():
    with load_backend("mediapipe_mesh") as backend:
        yield backend


@pytest.fixture
def backend(shared_backend):
    shared_backend.reset()
    return shared_backend


def picture(*people, background=STUDIO):
    """people: (identity, x, width_px)."""
    return render(SIZE, [DrawnFace(who, Placement((x, 180.0), width)) for who, x, width in people], background).image


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKENDS)
def test_every_entry_points_to_a_class_of_its_name(name: str) -> None:
    module, _, attribute = BACKENDS[name].target.partition(":")
    backend_class = getattr(importlib.import_module(module), attribute)
    assert backend_class.name == name
    methods = ("observe", "reset", "close") if BACKENDS[name].gives == "mesh" else ("read",)
    assert all(callable(getattr(backend_class, method)) for method in methods)


def test_unknown_and_unfitting_names() -> None:
    with pytest.raises(InputError, match="mediapipe_mesh"):
        load_backend("dlib")
    with pytest.raises(InputError, match="openface_csv"):
        load_backend("openface_csv")
    with pytest.raises(InputError, match="openface_binary"):
        load_unit_reader("mediapipe_mesh")


def test_importing_the_backends_loads_no_heavy_package() -> None:
    code = (
        "import sys, emotion_llama.face.backends, emotion_llama.face.backends.mediapipe_mesh, "
        "emotion_llama.face.backends.mediapipe_tasks, emotion_llama.face.track, emotion_llama.face.people, "
        "emotion_llama.face.align, merr_synth.render.face; "
        "print([m for m in ('mediapipe', 'cv2', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- mediapipe_mesh ---------------------------------------------------------------------------------------------------


def test_face_is_found_where_it_was_drawn(backend) -> None:
    drawn = render(SIZE, [DrawnFace(ANNA, Placement((260.0, 170.0), 140.0))], STUDIO)
    ((face,),) = backend.observe(drawn.image[None])
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == np.float32
    assert face.landmarks[:468, :2].mean(0) == pytest.approx(drawn.landmarks[0][:, :2].mean(0), abs=3)
    # The box is the extent of the mesh.
    assert face.box_xyxy == pytest.approx([*face.landmarks[:, :2].min(0), *face.landmarks[:, :2].max(0)])
    assert 0.5 <= face.score <= 1.0


def test_depth_is_on_the_scale_of_x(backend) -> None:
    """The nose stands out of the plane of the ears by about half of the face's width (7.6 + 2.4 of 15.5 cm)."""
    ((face,),) = backend.observe(picture((ANNA, 320, 140))[None])
    depth = face.landmarks[EAR, 2] - face.landmarks[NOSE_TIP, 2]
    assert depth / 140 == pytest.approx(10.0 / 15.5, rel=0.4)


def test_small_face_is_found(backend) -> None:
    """32 of 640 pixels: FaceMesh's own short-range detector does not see it."""
    ((face,),) = backend.observe(picture((CLEO, 500, 32))[None])
    assert face.landmarks[:, 0].mean() == pytest.approx(500, abs=4)


def test_close_up_is_found(backend) -> None:
    ((face,),) = backend.observe(picture((BEN, 320, 250))[None])
    assert face.landmarks[:, 0].mean() == pytest.approx(320, abs=12)


def test_four_people_and_at_most_as_many_as_asked_for(backend) -> None:
    image = picture((ANNA, 90, 80), (BEN, 240, 80), (CLEO, 390, 80), (DREW, 540, 80))
    (faces,) = backend.observe(image[None])
    assert sorted(face.landmarks[:, 0].mean() for face in faces) == pytest.approx([90, 240, 390, 540], abs=8)
    with load_backend("mediapipe_mesh", max_faces=2) as two:
        assert len(two.observe(image[None])[0]) == 2


def test_empty_picture_has_no_face(backend) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 360, 640, 3), np.uint8)
    assert backend.observe(noise) == [(), (), ()]
    assert backend.observe(np.zeros((0, 360, 640, 3), np.uint8)) == []


def test_new_person_is_found_within_eight_frames(backend) -> None:
    frames = [picture((ANNA, 180, 110))] * 12 + [picture((ANNA, 180, 110), (BEN, 460, 110))] * 9
    counts = [len(faces) for faces in backend.observe(np.stack(frames))]
    assert counts[:12] == [1] * 12
    assert counts[20:] == [2]


def test_face_after_a_miss_or_a_cut_is_found_at_once(backend) -> None:
    anna, nobody = picture((ANNA, 180, 110)), picture()
    other_shot = picture((BEN, 480, 90), background=STREET)
    frames = [anna] * 3 + [other_shot] * 2 + [nobody] * 4 + [anna] * 2
    counts = [len(faces) for faces in backend.observe(np.stack(frames))]
    assert counts[:5] == [1] * 5
    assert counts[5:9] == [0] * 4
    assert counts[-1] == 1


def test_face_twice_as_large_after_a_cut_is_fitted_well(backend) -> None:
    """Fitted in the region of the face before the cut, the mesh was off by 15 % of the face's width."""
    close_up = render(SIZE, [DrawnFace(BEN, Placement((350.0, 180.0), 220.0))], (230, 220, 210))
    *_, (face,) = backend.observe(np.stack([picture((ANNA, 320, 110))] * 2 + [close_up.image]))
    off = np.linalg.norm(face.landmarks[:468, :2] - close_up.landmarks[0][:, :2], axis=1).mean() / 220
    assert off < 0.025


def test_face_that_jumps_is_found_at_once_beside_one_that_stays(backend) -> None:
    """Few frames a second: she is elsewhere in the next frame, and the next regular search would be 6 frames later."""
    frames = [picture((ANNA, 120, 90), (BEN, 520, 90))] * 2 + [picture((ANNA, 330, 90), (BEN, 520, 90))]
    assert [len(faces) for faces in backend.observe(np.stack(frames))] == [2, 2, 2]


@pytest.mark.parametrize("roll", [-50.0, 50.0])
def test_tilted_head_is_fitted_well(backend, roll: float) -> None:
    tilted = render(SIZE, [DrawnFace(ANNA, Placement((320.0, 180.0), 140.0, (0.0, 0.0, roll)))], STUDIO)
    for (face,) in backend.observe(np.stack([tilted.image] * 2)):
        off = np.linalg.norm(face.landmarks[:468, :2] - tilted.landmarks[0][:, :2], axis=1).mean() / 140
        assert off < 0.03


def test_same_frames_give_the_same_faces_in_any_chunks(backend) -> None:
    frames = np.stack([picture((ANNA, 180 + 3 * i, 110)) for i in range(6)])
    at_once = backend.observe(frames)
    backend.reset()
    one_by_one = [backend.observe(frame[None])[0] for frame in frames]
    for a, b in zip(at_once, one_by_one, strict=True):
        assert np.array_equal(a[0].landmarks, b[0].landmarks)


def test_view_that_is_not_contiguous_is_taken(backend) -> None:
    wide = np.concatenate([picture((ANNA, 320, 140))] * 2, axis=1)
    assert len(backend.observe(wide[None, :, :640])[0]) == 1


def test_second_mesh_of_the_same_face_is_left_out() -> None:
    """Two regions can slide onto one face; people side by side stay two."""
    mesh = np.zeros((478, 3), np.float32)
    mesh[0], mesh[1] = (0, 0, 0), (100, 100, 0)
    sure, unsure = observation(mesh, 0.99), observation(mesh + 10, 0.7)
    beside = observation(mesh + np.float32([60, 0, 0]), 0.8)
    # 90 x 90 of 2 x 10000 - 8100 in common: 0.68; 40 x 100 of 20000 - 4000: 0.25.
    assert iou(sure.box_xyxy, unsure.box_xyxy) == pytest.approx(8100 / 11900)
    assert iou(sure.box_xyxy, beside.box_xyxy) == pytest.approx(0.25)
    assert iou((0, 0, 1, 1), (2, 2, 3, 3)) == 0.0
    assert distinct([unsure, sure, beside]) == [sure, beside]


def test_options_out_of_range() -> None:
    for options in ({"max_faces": 0}, {"detect_every": 0}, {"min_score": 1.0}):
        with pytest.raises(InputError, match="detect_every"):
            load_backend("mediapipe_mesh", **options)


def test_missing_mediapipe_names_the_install_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe.python.solution_base", None)
    with pytest.raises(MissingDependency, match=r"mediapipe==0\.10\.21"):
        load_backend("mediapipe_mesh")
    model = tmp_path / "x.task"
    model.write_bytes(b"0")
    monkeypatch.setitem(sys.modules, "mediapipe.tasks.python", None)
    with pytest.raises(MissingDependency, match="mediapipe_tasks"):
        load_backend("mediapipe_tasks", model_path=model)


def test_terminal_stays_clean() -> None:
    """MediaPipe's C++ side prints log lines at start and at the first frame; users must not see them."""
    code = (
        "import sys, numpy as np\n"
        "from emotion_llama.face.backends import load_backend\n"
        "with load_backend('mediapipe_mesh') as backend:\n"
        "    backend.observe(np.zeros((20, 90, 160, 3), np.uint8))\n"
        "print('still here', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == "still here\n"  # and the terminal is given back


def test_terminal_is_given_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with mesh_module.silent_stderr():
            print("hidden", file=sys.__stderr__, flush=True)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    print("seen", file=sys.__stderr__, flush=True)
    assert capfd.readouterr().err == "seen\n"


def test_two_threads_that_shield_the_terminal_give_it_back(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a lock the second thread keeps, and at the end gives back, the first one's /dev/null."""

    def shield(seconds: float) -> None:
        with mesh_module.silent_stderr():
            time.sleep(seconds)

    threads = [threading.Thread(target=shield, args=(seconds,)) for seconds in (0.1, 0.2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("seen", file=sys.__stderr__, flush=True)
    assert capfd.readouterr().err == "seen\n"


# --- mediapipe_tasks --------------------------------------------------------------------------------------------------


def test_tasks_need_a_model_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model_path=face_landmarker\.task"):
        load_backend("mediapipe_tasks")
    with pytest.raises(InputError, match=r"needs a model file, got .*absent\.task"):
        load_backend("mediapipe_tasks", model_path=tmp_path / "absent.task")


def test_tasks_refuse_a_file_that_is_no_model(tmp_path: Path) -> None:
    model = tmp_path / "text.task"
    model.write_text("not a model")
    with pytest.raises(BackendError, match=r"text\.task"):
        load_backend("mediapipe_tasks", model_path=model)


def _result(blendshapes: bool):
    """A FaceLandmarkerResult as the API documents it, with 3 points in place of 478."""
    points = [SimpleNamespace(x=x, y=y, z=z) for x, y, z in ((0.25, 0.5, -0.1), (0.5, 0.25, 0.0), (0.75, 0.75, 0.1))]
    categories = [SimpleNamespace(index=1, score=0.75, category_name="jawOpen", display_name="")]
    return SimpleNamespace(
        face_landmarks=[points],
        face_blendshapes=[categories] if blendshapes else [],
        facial_transformation_matrixes=[],
    )


def test_tasks_result_in_pixels() -> None:
    (face,) = to_observations(_result(True), 400, 200)
    assert face.landmarks == pytest.approx(np.array([[100, 100, -40], [200, 50, 0], [300, 150, 40]]))
    assert face.box_xyxy == pytest.approx((100, 50, 300, 150))
    assert face.score == 0.5
    assert to_observations(SimpleNamespace(face_landmarks=[]), 400, 200) == ()


def test_tasks_blendshapes() -> None:
    assert to_blendshapes(_result(True)) == ({"jawOpen": 0.75},)
    assert to_blendshapes(_result(False)) == ({},)


def test_tasks_observe_follows_the_video(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The landmarker gets rising times, is made anew at a cut and at reset, and closed at the end."""
    made = []

    class FakeLandmarker:
        def __init__(self) -> None:
            self.times, self.closed = [], False
            made.append(self)

        def detect_for_video(self, image, milliseconds):
            assert image.shape == (90, 160, 3)
            self.times.append(milliseconds)
            return _result(True)

        def close(self) -> None:
            self.closed = True

    from emotion_llama.face.backends import mediapipe_tasks

    monkeypatch.setattr(mediapipe_tasks, "_create", lambda path, max_faces: (FakeLandmarker(), lambda array: array))
    model = tmp_path / "face.task"
    model.write_bytes(b"0")
    shots = np.zeros((5, 90, 160, 3), np.uint8)
    shots[3:] = 255
    with load_backend("mediapipe_tasks", model_path=model) as backend:
        found = backend.observe(shots)
        assert backend.blendshapes == [({"jawOpen": 0.75},)] * 5
    assert [len(faces) for faces in found] == [1] * 5
    assert [m.times for m in made] == [[40, 80, 120], [40, 80]]
    assert [m.closed for m in made] == [True, True]
