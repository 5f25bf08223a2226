"""A clip is opened once, whoever predicts and whatever is made of it."""

from pathlib import Path

import av
import pytest

from emotion_llama import Analyzer
from emotion_llama.analysis.batch import Outputs, analyze_jobs, collect_jobs
from emotion_llama.analysis.options import Options
from emotion_llama.media.writing import write_clip
from emotion_llama.report.analysis_page import analysis_page
from emotion_llama.report.selection import choose_detailed
from merr_synth.render.face import ANNA, BEN, DrawnFace, Placement, jaw_drop, render
from merr_synth.render.voice import VoiceSpec, render_voice

FPS = 25


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip as MP4 and as AVI, which states no times: two people, of whom one talks."""
    folder = tmp_path_factory.mktemp("clips")
    voice = render_voice(VoiceSpec(duration_seconds=3.0)).samples
    images = []
    for i in range(3 * FPS):
        jaw = jaw_drop(0.5 * (i % 10 > 4))
        faces = [
            DrawnFace(ANNA, Placement((110.0, 120.0), 90.0)),
            DrawnFace(BEN, Placement((230.0, 120.0), 110.0), jaw),
        ]
        images.append(render((320, 240), faces).image)
    for suffix in (".mp4", ".avi"):
        write_clip(folder / f"pair{suffix}", images, fps=FPS, audio=voice, sample_rate_hz=16_000)
    return folder


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that FFmpeg was asked to open."""
    opened: list[str] = []
    original = av.open

    def counted(file, *args, **options):
        opened.append(str(file))
        return original(file, *args, **options)

    monkeypatch.setattr(av, "open", counted)
    return opened


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize("model", ["rules", "nano"])
def test_a_page_opens_the_clip_once(clips: Path, tmp_path: Path, opens: list[str], model: str, suffix: str) -> None:
    clip = clips / f"pair{suffix}"
    page = tmp_path / "page.html"
    choices = Options(people="all", segment=1.0, peak_rule="label")
    with Analyzer.load(model) as analyzer:
        for options in (Options(), choices):
            opens.clear()
            (outcome,) = analyze_jobs(
                analyzer, collect_jobs([clip]), Outputs(html=page), options, render=analysis_page,
                images=choose_detailed,
            )  # fmt: skip
            assert outcome.status == "done", outcome.error
            assert page.read_text(encoding="utf-8").count("data:image/jpeg") > 0
            assert len(opens) == 1


def test_images_are_made_where_they_are_asked_for_and_a_face_was_tracked(clips: Path) -> None:
    with Analyzer.load("rules") as analyzer:
        plain = analyzer.analyze(clips / "pair.mp4", segment=1.0)
        assert [segment.image for segment in plain.people[0].segments] == [None] * 3
        assert plain.waveform is None
        every = analyzer.analyze(clips / "pair.mp4", segment=1.0, images=True)
        assert all(segment.image is not None for segment in every.people[0].segments)
        main = every.people[0].person_id
        one = analyzer.run(
            clips / "pair.mp4", Options(segment=1.0), images=lambda people: [(main, 1)], keep_waveform=True
        )
    first, second, third = one.people[0].segments
    assert (first.image, third.image) == (None, None)
    assert second.image is not None
    assert every.people[0].segments[1].image is not None
    assert second.image.jpeg == every.people[0].segments[1].image.jpeg
    assert one.waveform is not None
    assert one.waveform.duration_seconds == pytest.approx(3.0, abs=0.1)


def test_a_sound_file_needs_no_face_backend_for_its_page(tmp_path: Path, opens: list[str]) -> None:
    voice = render_voice(VoiceSpec(duration_seconds=2.0)).samples
    path = write_clip(tmp_path / "a.wav", audio=voice, sample_rate_hz=16_000)
    opens.clear()
    with Analyzer.load("rules", faces="no-such-backend") as analyzer:
        assert analyzer.analyze(path, images=True).people[0].segments[0].image is None
    assert len(opens) == 1
