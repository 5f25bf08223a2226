"""What the encoders are given of a clip: the right frame, the right crops, the right sound, or the reason why not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion_llama.analysis import Analyzer
from emotion_llama.analysis.evidence import main_first
from emotion_llama.analysis.inputs import CropOptions, open_inputs, person_inputs
from emotion_llama.analysis.measure import Measurements, Person, StageClock
from emotion_llama.errors import InputError, MediaError
from emotion_llama.face.align import align_face
from emotion_llama.face.backends import load_backend
from emotion_llama.media.audio import read_audio
from emotion_llama.media.frames import iter_frames
from emotion_llama.media.probe import open_clip
from emotion_llama.media.reader import ClipFile
from emotion_llama.media.writing import ClipFormat, write_clip
from emotion_llama.models.clips import ClipInputs
from emotion_llama.records import AU_NAMES, ActionUnits, FaceTrack
from merr_synth.render.face import ANNA, BEN, DrawnFace, Placement, jaw_drop, render
from merr_synth.render.voice import VoiceSpec, render_voice

FPS, COUNT = 10, 20
POINTS = np.array([[60, 50], [100, 50], [80, 75], [65, 95], [95, 95]], float)


def no_backend() -> None:
    raise AssertionError("no face backend is needed here")


def quiet(line: str) -> None:
    raise AssertionError(f"no warning was expected: {line}")


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClipFile]:
    """Two seconds whose frame i is a pattern of brightness about 10 i, and a sound whose loudness grows."""
    pattern = np.random.default_rng(2).integers(0, 40, (120, 160, 1)).repeat(3, axis=2)
    images = [(pattern + 10 * i).astype(np.uint8) for i in range(COUNT)]
    sound = np.linspace(0, 0.5, 32_000, dtype=np.float32) * np.sin(np.arange(32_000) / 5).astype(np.float32)
    folder = tmp_path_factory.mktemp("ramp")
    lossless = ClipFormat(video_codec="ffv1", pixel_format="bgr0")
    path = write_clip(folder / "ramp.mkv", images, fps=FPS, audio=sound, sample_rate_hz=16_000, stored=lossless)
    with open_clip(path) as file:
        yield file


def inputs_of(
    ramp: ClipFile, somebody: Person | None = None, options: CropOptions | None = None, **given: Any
) -> ClipInputs:
    somebody = somebody or main_first(Measurements(why_nobody="nobody there"))[0]
    return person_inputs(ramp, somebody, options or CropOptions(), waveform=read_audio(ramp.clip), **given)


def brightness(image: np.ndarray) -> int:
    """Which frame of the ramp this is."""
    return round((float(image.mean()) - 19.5) / 10)


def person(valid: np.ndarray, peak_row: int | None = None, *, every: int = 1) -> Person:
    """Somebody whose face stays in one place, seen where `valid`; strongest expression at `peak_row`."""
    n = len(valid)
    times = np.arange(n) * every / FPS
    nan = np.where(valid, 0.0, np.nan)
    track = FaceTrack(
        1, (160, 120), times, np.arange(n) * every, valid, nan[:, None] + np.array([50.0, 30.0, 110.0, 110.0]),
        nan, nan[:, None, None] + POINTS, nan[:, None] + np.zeros(3), nan[:, None] + np.zeros(4), np.zeros(2),
    )  # fmt: skip
    if peak_row is None:
        return Person(1, track, None, "too few frames")
    intensity = np.where(valid, 0.2, np.nan)[:, None] + np.zeros(len(AU_NAMES))
    intensity[peak_row, AU_NAMES.index("AU12")] = 4.0
    still = np.zeros(n, bool)
    units = ActionUnits(AU_NAMES, times, intensity, valid.astype(float), still, still, "person", "test")
    return Person(1, track, units)


ALWAYS = np.ones(COUNT, bool)


# --- frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "frame", "why"), [("first", 0, "the first"), ("middle", 10, "the middle")])
def test_first_and_middle_frame(ramp: ClipFile, policy, frame: int, why: str) -> None:
    chosen = inputs_of(ramp, None, CropOptions(policy))
    assert chosen.image is not None
    assert brightness(chosen.image) == frame
    assert chosen.frame_seconds == pytest.approx(frame / FPS, abs=1e-3)
    assert chosen.frame_why == why


def test_the_peak_is_the_strongest_expression(ramp: ClipFile) -> None:
    chosen = inputs_of(ramp, person(ALWAYS, peak_row=13), CropOptions("peak"))
    assert chosen.image is not None
    assert brightness(chosen.image) == 13
    assert "strongest" in chosen.frame_why or "largest" in chosen.frame_why
    last = inputs_of(ramp, person(ALWAYS, peak_row=COUNT - 1), CropOptions("peak"))
    assert last.image is not None
    assert brightness(last.image) == COUNT - 1


def test_without_an_expression_the_peak_is_the_middle_and_says_so(ramp: ClipFile) -> None:
    for somebody in (None, person(ALWAYS)):
        chosen = inputs_of(ramp, somebody, CropOptions("peak"))
        assert chosen.image is not None
        assert brightness(chosen.image) == 10
        assert chosen.frame_why == "the middle, for no expression was measured"


def test_a_span_has_its_own_first_middle_and_peak(ramp: ClipFile) -> None:
    somebody = person(ALWAYS, peak_row=3)
    frames = [
        inputs_of(ramp, somebody, CropOptions(policy), span=(1.0, 1.6)).image for policy in ("first", "middle", "peak")
    ]
    numbers = [brightness(frame) for frame in frames if frame is not None]
    assert numbers[:2] == [10, 13]
    assert numbers[2] >= 10  # the peak at 0.3 s is outside


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(InputError, match="frame_policy='best' is not known; expected one of: first, middle, peak"):
        CropOptions("best")  # type: ignore[arg-type]


# --- faces ----------------------------------------------------------------------------------------------------------


def crops_of(chunks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(chunks))


def test_crops_are_the_aligned_masked_faces_of_the_seen_frames(ramp: ClipFile) -> None:
    valid = ALWAYS.copy()
    valid[[0, 5, 6, 19]] = False
    inputs = inputs_of(ramp, person(valid), CropOptions())
    faces = crops_of(inputs.face_chunks())
    assert inputs.num_faces == len(faces) == 16
    assert faces.shape[1:] == (112, 112, 3)
    pictures = np.concatenate([frames.images for frames in iter_frames(ramp.clip)])[valid]
    expected = np.stack([align_face(picture, POINTS, masked=True) for picture in pictures])
    assert np.array_equal(faces, expected)
    assert not faces[:, 0, 0].any()  # the mask
    assert np.array_equal(crops_of(inputs.face_chunks()), faces)  # the stream starts anew


def test_unmasked_crops_keep_the_background(ramp: ClipFile) -> None:
    faces = crops_of(inputs_of(ramp, person(ALWAYS), CropOptions(masked=False)).face_chunks())
    assert faces[5:, 50:60, 0].min() > 0
    masked = crops_of(inputs_of(ramp, person(ALWAYS), CropOptions()).face_chunks())
    inside = masked[:, 50, 56]
    assert np.array_equal(faces[:, 50, 56], inside)


def test_a_span_gives_its_own_crops_and_sound(ramp: ClipFile) -> None:
    whole = inputs_of(ramp, person(ALWAYS), CropOptions())
    part = inputs_of(ramp, person(ALWAYS), CropOptions(), span=(0.5, 1.2))
    assert part.num_faces == 7  # 0.5 ... 1.1
    assert np.array_equal(crops_of(part.face_chunks()), crops_of(whole.face_chunks())[5:12])
    assert part.samples is not None
    assert whole.samples is not None
    assert len(part.samples) == 11_200
    assert np.array_equal(part.samples, whole.samples[8_000:19_200])


def test_crops_at_a_lower_rate_are_those_of_the_frames_that_were_looked_at(ramp: ClipFile) -> None:
    every_second = person(np.ones(COUNT // 2, bool), every=2)
    inputs = inputs_of(ramp, every_second, CropOptions(max_fps=FPS / 2))
    whole = crops_of(inputs_of(ramp, person(ALWAYS), CropOptions()).face_chunks())
    assert np.array_equal(crops_of(inputs.face_chunks()), whole[::2])


@pytest.mark.parametrize(
    ("somebody", "reason"),
    [
        (None, "nobody there"),
        (person(ALWAYS, peak_row=3), "another program measured the units, and where the face is is not known"),
        (person(~ALWAYS), "the face was not seen in this segment"),
    ],
)
def test_no_face_has_its_reason(ramp: ClipFile, somebody: Person | None, reason: str) -> None:
    if somebody is not None and somebody.units is not None:
        somebody = replace(somebody, track=None)
    inputs = inputs_of(ramp, somebody)
    assert inputs.num_faces == 0
    assert list(inputs.face_chunks()) == []
    assert inputs.why_missing("faces") == reason
    assert "faces=0" in repr(inputs)


# --- sound ----------------------------------------------------------------------------------------------------------


def test_sound_is_that_of_the_clip_or_has_its_reason(ramp: ClipFile) -> None:
    inputs = inputs_of(ramp, None, CropOptions())
    assert inputs.samples is not None
    assert np.array_equal(inputs.samples, read_audio(ramp.clip).samples)
    other = inputs_of(ramp, None, CropOptions(), silent_because="the voice is person 2's")
    assert other.samples is None
    assert other.why_missing("sound") == "the voice is person 2's"


def test_a_span_after_the_sound_has_none(tmp_path: Path) -> None:
    images = [np.full((48, 64, 3), 90, np.uint8)] * 20
    path = write_clip(tmp_path / "a.mkv", images, fps=10, audio=np.zeros(8_000, np.float32), sample_rate_hz=16_000)
    with open_clip(path) as file:
        inputs = inputs_of(file, span=(1.0, 1.8))
    assert inputs.samples is None
    assert inputs.why_missing("sound") == "the sound track holds no samples here"


# --- whole files ----------------------------------------------------------------------------------------------------


def test_a_sound_file_needs_no_face_backend(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav", audio=np.ones(8_000, np.float32) / 9, sample_rate_hz=16_000)
    with open_inputs(path, no_backend, warn=quiet) as inputs:  # type: ignore[arg-type]
        pass
    assert (inputs.image, inputs.num_faces) == (None, 0)
    assert inputs.samples is not None
    assert len(inputs.samples) == pytest.approx(8_000, abs=20)
    assert {m.what: m.reason for m in inputs.missing} == {
        "faces": "the file has no video",
        "frame": "the file has no video",
    }


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(MediaError, match=r"gone.mp4"),
        open_inputs(tmp_path / "gone.mp4", no_backend, warn=quiet),  # type: ignore[arg-type]
    ):
        raise AssertionError("it was opened")


def test_of_two_people_the_main_one_of_analyze_is_taken(tmp_path: Path) -> None:
    """Ben is bigger and more in the middle; his crops are dark-skinned, Anna's are not. Somebody off screen speaks."""
    scene = [DrawnFace(ANNA, Placement((120.0, 170.0), 90.0)), DrawnFace(BEN, Placement((400.0, 180.0), 160.0))]
    voice = render_voice(VoiceSpec(duration_seconds=1.2, pitch_points=((0.0, 150.0),))).samples
    picture = render((640, 360), scene).image
    path = write_clip(tmp_path / "two.mp4", [picture] * 12, fps=10, audio=voice, sample_rate_hz=16_000)
    analyzer = Analyzer.load("rules")
    told: list[tuple[str, float]] = []
    clock = StageClock(lambda stage, share: told.append((stage, share)))
    with open_inputs(path, analyzer.mesh_backend, clock=clock, warn=quiet) as inputs:
        faces = crops_of(inputs.face_chunks())
    (main,) = analyzer.analyze(path).people
    analyzer.close()
    assert main.track is not None
    assert inputs.num_faces == int(main.track.valid.sum()) == 12
    centre = faces[:, 60:70, 35:45].reshape(-1, 3).mean(axis=0)
    assert centre == pytest.approx((150, 104, 76), abs=30)
    assert told[-1] == ("faces", pytest.approx(1.0, abs=0.11))
    assert inputs.samples is not None


def test_who_is_the_main_person_can_hang_on_who_speaks(tmp_path: Path) -> None:
    """Ben is larger and silent, Anna's lips move with the voice: she is taken, as `analyze` does."""
    voice = render_voice(VoiceSpec(duration_seconds=3.0, pitch_points=((0.0, 120.0),), pauses=((1.3, 1.8),)))
    images = []
    for i in range(75):
        nearest = min(abs(i / 25 - t) for t in voice.truth.nucleus_seconds)
        mouth = jaw_drop(1.2 * max(0.0, 1 - nearest / 0.12))
        faces = [
            DrawnFace(BEN, Placement((180.0, 180.0), 160.0)),
            DrawnFace(ANNA, Placement((460.0, 180.0), 130.0), mouth),
        ]
        images.append(render((640, 360), faces).image)
    path = write_clip(tmp_path / "pair.mp4", images, fps=25, audio=voice.samples, sample_rate_hz=16_000)
    with Analyzer.load("rules") as analyzer:
        with open_inputs(path, analyzer.mesh_backend, warn=quiet) as inputs:
            red, _, blue = crops_of(inputs.face_chunks())[:, 60:70, 35:45].reshape(-1, 3).mean(axis=0)
        (main,) = analyzer.analyze(path).people
    assert main.track is not None
    assert float(np.nanmean(main.track.boxes_xyxy[:, 0])) > 320  # Anna, on the right
    assert inputs.num_faces == int(main.track.valid.sum())
    assert red > 180  # Ben's skin is (150, 104, 76)
    assert blue > 110


def test_every_frame_is_looked_at_whatever_the_rate(tmp_path: Path) -> None:
    """`analyze` looks at 30 frames a second at most; the published features are of all."""
    images = [render((320, 240), [DrawnFace(ANNA, Placement((160.0, 115.0), 110.0))]).image] * 30
    path = write_clip(tmp_path / "fast.mp4", images, fps=60)
    with load_backend("onnx_mesh") as backend:
        with open_inputs(path, lambda: backend, warn=quiet) as inputs:
            assert inputs.num_faces == 30
        with open_inputs(path, lambda: backend, CropOptions(max_fps=30), warn=quiet) as fewer:
            assert fewer.num_faces == 15
            assert len(crops_of(fewer.face_chunks())) == 15
