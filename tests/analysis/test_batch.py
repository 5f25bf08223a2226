"""Many clips in one run: results are whole or absent, resuming repeats nothing, failures do not stop the rest."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emotion_llama.analysis import Analyzer
from emotion_llama.analysis.batch import Outcome, Outputs, Tally, analyze_jobs, collect_jobs, name_with
from emotion_llama.analysis.options import Options
from emotion_llama.errors import InputError
from emotion_llama.files import RESULT_SUFFIX
from emotion_llama.media.writing import write_clip
from emotion_llama.predictors import load_predictor
from emotion_llama.report.analysis_page import analysis_page
from emotion_llama.results import Analysis
from merr_synth.render.voice import VoiceSpec, render_voice

Sounds = Callable[..., list[Path]]


@pytest.fixture
def sounds(tmp_path: Path) -> Sounds:
    """Write short sound files, quick to analyse, below a folder `in`."""

    def write(*names: str) -> list[Path]:
        paths = [tmp_path / "in" / name for name in names]
        for i, path in enumerate(paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            samples = render_voice(VoiceSpec(duration_seconds=1.2, pitch_points=((0.0, 120.0 + 20 * i),))).samples
            write_clip(path, audio=samples, sample_rate_hz=16_000)
        return paths

    return write


class CountingAnalyzer(Analyzer):
    """The real one; counts the clips it analysed, and can be interrupted at one."""

    def __init__(self, interrupt_at: str = "") -> None:
        super().__init__(load_predictor("rules"))
        self.analysed: list[str] = []
        self._interrupt_at = interrupt_at

    def run(self, path: str | Path, *args: object, **kwargs: object) -> Analysis:
        if Path(path).name == self._interrupt_at:
            raise KeyboardInterrupt
        self.analysed.append(Path(path).name)
        return super().run(path, *args, **kwargs)  # type: ignore[arg-type]


def _run(analyzer: Analyzer, folder: Path, outputs: Outputs, *, resume: bool = True) -> list[Outcome]:
    return list(analyze_jobs(analyzer, collect_jobs([folder]), outputs, Options(), render=analysis_page, resume=resume))


def test_interrupted_and_resumed_loses_nothing_and_repeats_nothing(tmp_path: Path, sounds: Sounds) -> None:
    sounds("a.wav", "b.wav", "sub/c.wav")
    outputs = Outputs(out_dir=tmp_path / "out", single=False)
    with pytest.raises(KeyboardInterrupt):
        _run(CountingAnalyzer(interrupt_at="b.wav"), tmp_path / "in", outputs)
    first = tmp_path / "out" / f"a.wav{RESULT_SUFFIX}"
    before = first.read_bytes()
    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == [first.name]

    second = CountingAnalyzer()
    outcomes = _run(second, tmp_path / "in", outputs)
    assert [o.status for o in outcomes] == ["skipped", "done", "done"]
    assert second.analysed == ["b.wav", "c.wav"]
    assert first.read_bytes() == before
    assert (tmp_path / "out" / "sub" / f"c.wav{RESULT_SUFFIX}").exists()
    assert outcomes[0].document is not None
    assert json.loads(outcomes[0].document) == json.loads(before)


def test_results_lie_beside_the_clips_when_no_folder_is_named(tmp_path: Path, sounds: Sounds) -> None:
    (clip,) = sounds("a.wav")
    _run(CountingAnalyzer(), tmp_path / "in", Outputs(beside=True, single=False))
    assert clip.with_name(f"a.wav{RESULT_SUFFIX}").exists()
    again = CountingAnalyzer()
    # The result file beside the clip is no clip itself.
    assert [o.status for o in _run(again, tmp_path / "in", Outputs(beside=True, single=False))] == ["skipped"]


def test_a_changed_clip_setting_or_damaged_result_is_done_again(tmp_path: Path, sounds: Sounds) -> None:
    (clip,) = sounds("a.wav")
    outputs = Outputs(out_dir=tmp_path / "out", single=False)
    result = tmp_path / "out" / f"a.wav{RESULT_SUFFIX}"
    _run(CountingAnalyzer(), tmp_path / "in", outputs)

    other_options = analyze_jobs(
        CountingAnalyzer(), collect_jobs([clip]), outputs, Options(subtitle="Oh no!"), resume=True
    )
    assert [o.status for o in other_options] == ["done"]
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", outputs)] == ["done"]  # back to no subtitle
    result.write_text(result.read_text()[:100])
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", outputs)] == ["done"]
    write_clip(clip, audio=render_voice(VoiceSpec(duration_seconds=1.5)).samples, sample_rate_hz=16_000)
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", outputs)] == ["done"]
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", outputs)] == ["skipped"]


def test_a_broken_clip_is_counted_and_the_others_are_done(tmp_path: Path, sounds: Sounds) -> None:
    sounds("a.wav", "c.wav")
    (tmp_path / "in" / "b.mp4").write_bytes(b"")
    tally = Tally()
    outcomes = _run(CountingAnalyzer(), tmp_path / "in", Outputs(out_dir=tmp_path / "out", single=False))
    for outcome in outcomes:
        tally.add(outcome)
    assert [(o.path.name, o.status) for o in outcomes] == [("a.wav", "done"), ("b.mp4", "failed"), ("c.wav", "done")]
    assert "b.mp4" in (outcomes[1].error or "")
    assert tally.text() == "2 done, 0 skipped (already done), 1 failed"


def test_same_names_from_different_folders_do_not_collide(tmp_path: Path, sounds: Sounds) -> None:
    paths = sounds("x/talk.wav", "y/talk.wav")
    jobs = collect_jobs(paths)
    assert [str(job.relative) for job in jobs] == ["x/talk.wav", "y/talk.wav"]
    assert [str(job.relative) for job in collect_jobs([tmp_path / "in"])] == ["x/talk.wav", "y/talk.wav"]


def test_a_file_named_twice_is_done_once(sounds: Sounds) -> None:
    (clip,) = sounds("a.wav")
    assert len(collect_jobs([clip, clip, clip.parent])) == 1


def test_a_folder_without_media_fails_as_a_clip_does(tmp_path: Path) -> None:
    (outcome,) = _run(CountingAnalyzer(), tmp_path, Outputs(out_dir=tmp_path / "out", single=False))
    assert outcome.status == "failed"
    assert str(tmp_path) in (outcome.error or "")


def test_no_paths_at_all_says_so() -> None:
    with pytest.raises(InputError, match="no clips given"):
        collect_jobs([])


def test_pages_are_written_into_a_folder_and_wanted_back_on_resume(tmp_path: Path, sounds: Sounds) -> None:
    sounds("a.wav")
    outputs = Outputs(html=tmp_path / "pages", out_dir=tmp_path / "out", single=False)
    (outcome,) = _run(CountingAnalyzer(), tmp_path / "in", outputs)
    page = tmp_path / "pages" / "a.wav.html"
    assert outcome.written == (page, tmp_path / "out" / f"a.wav{RESULT_SUFFIX}")
    assert page.read_text().lower().startswith("<!doctype html>")
    page.unlink()
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", outputs)] == ["done"]
    assert page.exists()


def test_the_result_of_another_clip_is_not_overwritten(tmp_path: Path, sounds: Sounds) -> None:
    """Two runs into one folder, `a/talk.wav` and then `b/talk.wav`: the second used to replace the first's result."""
    first, second = sounds("a/talk.wav", "b/talk.wav")
    outputs = Outputs(out_dir=tmp_path / "out", single=False)
    (done,) = _run(CountingAnalyzer(), first, outputs)
    before = done.written[0].read_bytes()
    (refused,) = _run(CountingAnalyzer(), second, outputs)
    assert refused.status == "failed"
    assert f"holds the result of {first}" in (refused.error or "")
    assert done.written[0].read_bytes() == before


def test_resuming_with_curves_does_not_take_a_result_without(tmp_path: Path, sounds: Sounds) -> None:
    sounds("a.wav")
    small = Outputs(out_dir=tmp_path / "out", single=False, curves=False)
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", small)] == ["done"]
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", small)] == ["skipped"]
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", replace(small, curves=True))] == ["done"]


def test_a_new_version_of_what_measures_is_measured_again(
    tmp_path: Path, sounds: Sounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_llama.analysis import options

    sounds("a.wav")
    outputs = Outputs(out_dir=tmp_path / "out", single=False)
    _run(CountingAnalyzer(), tmp_path / "in", outputs)
    monkeypatch.setattr(options, "installed_versions", lambda: {"onnxruntime": "9.9"})
    assert [o.status for o in _run(CountingAnalyzer(), tmp_path / "in", outputs)] == ["done"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, sounds: Sounds) -> None:
    sounds("a.wav")
    (tmp_path / "file").write_text("")
    (outcome,) = _run(CountingAnalyzer(), tmp_path / "in", Outputs(out_dir=tmp_path / "file" / "x", single=False))
    assert outcome.status == "failed"
    assert "cannot be made" in (outcome.error or "")
    assert ".tmp" not in (outcome.error or "")


def test_a_name_that_is_no_text_is_a_clip_like_any_other(tmp_path: Path, sounds: Sounds) -> None:
    """A Latin-1 file name used to end the whole run with a traceback."""
    (clip,) = sounds("a.wav")
    odd = Path(os.fsdecode(os.fsencode(clip.parent) + b"/b\xff.wav"))
    clip.rename(odd)
    outcomes = _run(CountingAnalyzer(), tmp_path / "in", Outputs(out_dir=tmp_path / "out", single=False))
    assert [o.status for o in outcomes] == ["done"]
    assert json.loads(outcomes[0].written[0].read_text())["clip"]["path"].endswith("b\\xff.wav")
    again = _run(CountingAnalyzer(), tmp_path / "in", Outputs(out_dir=tmp_path / "out", single=False))
    assert [o.status for o in again] == ["skipped"]


def test_names_too_long_for_a_suffix_are_shortened_and_stay_apart() -> None:
    names = ["n" * 250 + end for end in ("1.mp4", "2.mp4")] + ["\u00e9" * 124 + ".mp4", os.fsdecode(b"\xff" * 250)]
    made = [name_with(name, RESULT_SUFFIX) for name in names]
    assert len(set(made)) == len(made)
    assert all(len(os.fsencode(name)) <= 255 and name.endswith(RESULT_SUFFIX) for name in made)
    assert name_with("a.mp4", RESULT_SUFFIX) == "a.mp4" + RESULT_SUFFIX
