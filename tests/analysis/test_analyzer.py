"""The whole path from a file to its analysis, on clips whose truth is known."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama import Analyzer, InputError, MediaError
from emotion_llama.media.writing import ClipFormat, write_clip
from emotion_llama.records import AU_NAMES
from merr_synth.render.face import ANNA, BEN, DrawnFace, Placement, jaw_drop, render
from merr_synth.render.voice import VoiceSpec, render_voice

FPS = 25
SPEC = VoiceSpec(duration_seconds=4.0, pitch_points=((0.0, 120.0),), pauses=((1.8, 2.4),))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Anna, large and silent, on the left; Ben, smaller, on the right, who talks in the rhythm of the voice."""
    voice = render_voice(SPEC)
    images = []
    for i in range(100):
        nearest = min(abs(i / FPS - t) for t in voice.truth.nucleus_seconds)
        mouth = jaw_drop(1.2 * max(0.0, 1 - nearest / 0.12))
        faces = [
            DrawnFace(ANNA, Placement((180.0, 180.0), 150.0)),
            DrawnFace(BEN, Placement((470.0, 180.0), 120.0), mouth),
        ]
        images.append(render((640, 360), faces).image)
    path = tmp_path_factory.mktemp("pair") / "pair.mp4"
    return write_clip(path, images, fps=FPS, audio=voice.samples, sample_rate_hz=16_000)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer.load("rules")


def test_two_people_each_with_their_own_evidence(pair: Path, analyzer: Analyzer) -> None:
    analysis = analyzer.analyze(pair, people="all", subtitle="I am so sad.")
    assert sorted(p.person_id for p in analysis.people) == [1, 2]
    by_side = {float(np.nanmedian(p.track.boxes_xyxy[:, 0])) < 320: p for p in analysis.people if p.track is not None}
    anna, ben = by_side[True].segments[0].evidence, by_side[False].segments[0].evidence
    assert ben.prosody is not None
    assert ben.prosody.pitch_median_hz == pytest.approx(120, rel=0.02)
    assert ben.transcript is not None
    assert anna.prosody is None
    assert anna.transcript is None
    speaker = by_side[False].person_id
    assert anna.why_missing("prosody") is not None
    assert f"taken to be person {speaker}'s" in str(anna.why_missing("prosody"))
    assert ben.action_units is not None
    assert anna.action_units is not None
    assert ben.action_units.column("AU25").max() > anna.action_units.column("AU25").max() + 1


def test_main_is_one_person_with_the_reason(pair: Path, analyzer: Analyzer) -> None:
    (person,) = analyzer.analyze(pair).people
    assert person.is_main
    assert "of the picture height" in person.why


def test_segments_by_pauses_cut_in_the_pause(pair: Path, analyzer: Analyzer) -> None:
    first, second = analyzer.analyze(pair, segment="auto").people[0].segments
    assert 1.8 < first.end_seconds == second.start_seconds < 2.4
    assert (first.start_seconds, second.end_seconds) == (0.0, pytest.approx(4.0, abs=0.05))


def test_silent_video_has_a_face_and_no_voice(tmp_path: Path, analyzer: Analyzer) -> None:
    image = render((320, 240), [DrawnFace(ANNA, Placement((160.0, 120.0), 110.0))]).image
    path = write_clip(tmp_path / "silent.mp4", [image] * 20, fps=10)
    evidence = analyzer.analyze(path).people[0].segments[0].evidence
    assert evidence.action_units is not None
    assert evidence.action_units.intensity.shape == (20, 17)
    assert evidence.why_missing("prosody") == "the file has no sound"


def test_sound_alone_is_a_voice_without_a_face(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav", audio=render_voice(SPEC).samples, sample_rate_hz=16_000)
    analyzer = Analyzer.load("rules", faces="no-such-backend")  # a sound file must not start the face backend
    (person,) = analyzer.analyze(path, subtitle="What a wonderful day!").people
    assert person.track is None
    assert person.segments[0].evidence.why_missing("action_units") == "the file has no video"
    assert person.segments[0].evidence.prosody is not None
    assert person.segments[0].prediction.label == "happy"


def test_nothing_to_read_is_no_answer_with_its_reasons(tmp_path: Path, analyzer: Analyzer) -> None:
    path = write_clip(tmp_path / "grey.mp4", [np.full((120, 160, 3), 90, np.uint8)] * 10, fps=10)
    prediction = analyzer.analyze(path).people[0].segments[0].prediction
    assert (prediction.label, prediction.probabilities) == (None, None)
    assert "no face was found in 10 frames" in (prediction.problem or "")
    assert "the file has no sound" in (prediction.problem or "")


def test_units_of_openface_take_the_place_of_the_mesh(tmp_path: Path, pair: Path) -> None:
    names = [f"{name}_r" for name in AU_NAMES]
    rows = [f"{i + 1}, 0, {i / FPS:.3f}, 0.98, 1, " + ", ".join(["3.5" if n == "AU12_r" else "0.1" for n in names])
            for i in range(100)]  # fmt: skip
    table = tmp_path / "pair.csv"
    table.write_text("frame, face_id, timestamp, confidence, success, " + ", ".join(names) + "\n" + "\n".join(rows))
    for given in (table, tmp_path):  # the table itself, or the folder that holds one a clip
        analysis = Analyzer.load("rules", units=given, faces="no-such-backend").analyze(pair)
        units = analysis.people[0].segments[0].evidence.action_units
        assert units is not None
        assert float(units.column("AU12").mean()) == pytest.approx(3.5)
        assert units.source == "openface-csv"
        assert "pair.csv sha256:" in str(analysis.settings["units"])


def test_a_table_without_units_names_what_was_expected(tmp_path: Path, pair: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="expected a column AU01_r"):
        Analyzer.load("rules", units=table).analyze(pair)


def test_the_label_rule_takes_the_labels_units(tmp_path: Path, pair: Path) -> None:
    names = [f"{name}_r" for name in AU_NAMES]

    def row(i: int) -> str:
        strong = {20: {"AU06_r": 2.0, "AU12_r": 2.0}, 60: {"AU06_r": 1.5, "AU12_r": 1.5, "AU04_r": 3.0}}
        values = {n: 1.0 if n in ("AU06_r", "AU12_r") else 0.0 for n in names} | strong.get(i, {})
        return f"{i + 1},0,{i / FPS},0.98,1," + ",".join(str(values[n]) for n in names)

    table = tmp_path / "t.csv"
    table.write_text(
        "frame,face_id,timestamp,confidence,success," + ",".join(names) + "\n" + "\n".join(map(row, range(100)))
    )
    analyzer = Analyzer.load("rules", units=table)
    by_all = analyzer.analyze(pair, subtitle="I am so happy!").people[0].segments[0]
    by_label = analyzer.analyze(pair, subtitle="I am so happy!", peak_rule="label").people[0].segments[0]
    assert by_all.prediction.label == by_label.prediction.label == "happy"
    assert by_all.evidence.peak_frame is not None
    assert by_label.evidence.peak_frame is not None
    assert (by_all.evidence.peak_frame.row, by_label.evidence.peak_frame.row) == (60, 20)


def test_progress_is_told_by_stage(pair: Path, analyzer: Analyzer) -> None:
    told: list[tuple[str, float]] = []
    analyzer.analyze(pair, progress=lambda stage, share: told.append((stage, share)))
    assert list(dict.fromkeys(stage for stage, _ in told)) == ["words", "voice", "faces", "reading"]
    assert max(share for stage, share in told if stage == "faces") == pytest.approx(1.0, abs=0.05)


def test_damage_becomes_a_warning(tmp_path: Path, analyzer: Analyzer) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (120, 160, 3), np.uint8) for _ in range(40)]  # noise: every frame takes its bytes
    stored = ClipFormat(container_options={"movflags": "faststart"})
    whole = write_clip(tmp_path / "whole.mp4", images, fps=20, stored=stored).read_bytes()
    half = tmp_path / "half.mp4"
    half.write_bytes(whole[: len(whole) // 2])
    analysis = analyzer.analyze(half)
    (warning,) = analysis.warnings
    assert warning.startswith("video damaged after ")
    assert analysis.clip.duration_seconds == pytest.approx(2.0)


def test_unknown_names_are_errors(tmp_path: Path, pair: Path) -> None:
    with pytest.raises(InputError, match="no-such-reader"):
        Analyzer.load("no-such-reader")
    with pytest.raises(InputError, match="voice='praat' is not known; expected one of"):
        Analyzer.load("rules", voice="praat")
    with pytest.raises(MediaError):
        Analyzer.load("rules").analyze(tmp_path / "missing.mp4")


def test_the_backend_is_started_once_and_let_go(pair: Path) -> None:
    with Analyzer.load("rules") as analyzer:
        backend = analyzer.mesh_backend()
        assert analyzer.mesh_backend() is backend
    assert analyzer.mesh_backend() is not backend
    analyzer.close()


def test_equal_clips_and_settings_give_equal_analyses(pair: Path, analyzer: Analyzer) -> None:
    """An analyzer that has read other clips must not answer differently: nothing is carried from clip to clip."""
    from emotion_llama.document import analysis_document

    def document(which: Analyzer) -> str:
        analysis = which.analyze(pair, people="all")
        return analysis_document(analysis).model_copy(update={"seconds_by_stage": {}}).model_dump_json()

    assert document(analyzer) == document(Analyzer.load("rules"))


def test_opensmile_measures_the_same_voice(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav", audio=render_voice(SPEC).samples, sample_rate_hz=16_000)
    ours = Analyzer.load("rules").analyze(path).people[0].segments[0].evidence.prosody
    theirs = Analyzer.load("rules", voice="opensmile").analyze(path).people[0].segments[0].evidence.prosody
    assert ours is not None
    assert theirs is not None
    assert (ours.backend, theirs.backend) == ("autocorrelation", "opensmile-egemaps")
    assert theirs.pitch_median_hz == pytest.approx(120, rel=0.03)


def test_options_of_the_constructor_are_checked() -> None:
    with pytest.raises(InputError, match="is for the backend mediapipe_tasks, not onnx_mesh"):
        Analyzer.load("rules", face_model=Path("face.task"))
    with pytest.raises(InputError, match="expected max_fps above 0"):
        Analyzer.load("rules", max_fps=float("nan"))
    with pytest.raises(InputError, match="predictor 'rules' takes no option 'layout'"):
        Analyzer.load("rules", predictor_options={"layout": "train"})


def test_voices_of_several_people_are_not_compared_with_their_mixture(pair: Path, analyzer: Analyzer) -> None:
    """What is usual for two voices together is usual for neither."""
    for person in analyzer.analyze(pair, people="all", segment=2.0).people:
        assert all(segment.evidence.usual is None for segment in person.segments)
