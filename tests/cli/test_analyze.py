"""`emotion-llama analyze`, as a user types it."""

import contextlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import jsonschema
import numpy as np
import pytest

from emotion_llama.analysis import Analyzer
from emotion_llama.analysis.batch import Job
from emotion_llama.cli import many_clips
from emotion_llama.cli.main import main
from emotion_llama.files import RESULT_SUFFIX
from emotion_llama.media.writing import write_clip
from emotion_llama.merr.stage import Done
from emotion_llama.schema import analysis_schema
from merr_synth.render.voice import VoiceSpec, render_voice

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def sounds(tmp_path: Path) -> Callable[[int], Path]:
    def write(count: int) -> Path:
        folder = tmp_path / "sounds"
        folder.mkdir()
        for i in range(count):
            voice = render_voice(VoiceSpec(duration_seconds=1.2, pitch_points=((0.0, 110.0 + 10 * i),)))
            write_clip(folder / f"{i}.wav", audio=voice.samples, sample_rate_hz=16_000)
        return folder

    return write


def test_one_clip_prints_verdict_evidence_and_words_within_80_columns(talk: Path, capsys: Captured) -> None:
    assert main(["analyze", str(talk)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "Predicted: " in printed.out
    assert talk.with_suffix(".srt").read_text().splitlines()[2] in printed.out.replace("\n         ", " ")
    assert max(len(line) for line in printed.out.splitlines()) <= 80


def test_json_on_stdout_is_the_published_document_and_nothing_else(talk: Path, capsys: Captured) -> None:
    assert main(["analyze", str(talk), "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(analysis_schema()).validate(document)
    (person,) = document["people"]
    (segment,) = person["segments"]
    assert person["face"]["num_frames_seen"] == person["face"]["num_frames"] == 20
    assert segment["evidence"]["transcript"]["source"] == "talk.srt"
    assert len(segment["evidence"]["action_units"]["curves"]["intensity"]) == 20
    assert sum(segment["prediction"]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert document["clip"]["video"]["width"] == 320


def test_no_curves_leaves_only_summaries(talk: Path, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "deep" / "talk.json"
    assert main(["analyze", str(talk), "--json", str(file), "--no-curves", "--quiet"]) == 0
    document = json.loads(file.read_text())
    assert document["voice"] is None
    assert document["people"][0]["segments"][0]["evidence"]["action_units"]["curves"] is None
    assert file.stat().st_size < 20_000
    assert capsys.readouterr() == ("", "")


def test_a_given_subtitle_wins_over_the_file_beside_the_clip(talk: Path, capsys: Captured) -> None:
    assert main(["analyze", str(talk), "--json", "-", "--subtitle", "I hate this."]) == 0
    spoken = json.loads(capsys.readouterr().out)["people"][0]["segments"][0]["evidence"]["transcript"]
    assert (spoken["source"], spoken["lines"][0]["text"]) == ("given", "I hate this.")


def test_the_page_is_written(talk: Path, tmp_path: Path) -> None:
    assert main(["analyze", str(talk), "--html", str(tmp_path / "talk.html"), "-q"]) == 0
    page = (tmp_path / "talk.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "data:image/jpeg;base64," in page


def test_segments_cover_the_clip(talk: Path, capsys: Captured) -> None:
    assert main(["analyze", str(talk), "--json", "-", "--no-curves", "--segment", "1"]) == 0
    segments = json.loads(capsys.readouterr().out)["people"][0]["segments"]
    assert [(s["start_seconds"], s["end_seconds"]) for s in segments] == [(0, 1), (1, 2)]


def test_a_broken_file_among_others_is_one_line_and_exit_1(talk: Path, tmp_path: Path, capsys: Captured) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("this is not a video")
    assert main(["analyze", str(broken), str(talk), str(tmp_path / "missing.mp4")]) == 1
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"emotion-llama: {broken}: ")
    assert lines[1].startswith(f"emotion-llama: {tmp_path / 'missing.mp4'}: ")
    assert lines[2] == "1 done, 0 skipped (already done), 2 failed"
    assert "talk.mp4" in printed.out


def test_paths_come_from_stdin(talk: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{talk}\n\n"))
    assert main(["analyze", "-", "--json", "-", "--no-curves"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1  # JSON Lines, though it is one clip: a list was given


def test_several_clips_make_json_lines(sounds: Callable[[int], Path], tmp_path: Path) -> None:
    folder = sounds(2)
    assert main(["analyze", str(folder), "--json", str(tmp_path / "all.jsonl"), "-q"]) == 0
    documents = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [Path(d["clip"]["path"]).name for d in documents] == ["0.wav", "1.wav"]
    assert all(d["people"][0]["face"] is None for d in documents)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "llama-9"], "llama-9"),
        (["--faces", "haar"], "haar"),
        (["--layout", "train"], "rules' takes no option 'layout'"),
        (["--units", "nowhere.csv"], "nowhere.csv: no such file or folder"),
        (["--face-model", "face.task"], "a face model file is for the backend mediapipe_tasks"),
        (["--html", ""], "--html is empty"),
        (["--json", "/"], "--json / is a folder"),
        (["--json", "/proc/x/y.json"], "/proc/x cannot be made"),
        ([""], "an empty path was given"),
        (["--transcript", "nowhere.srt"], "nowhere.srt"),
        (["--asr", "nowhere"], "pip install|nowhere"),
    ],
)
def test_a_wrong_choice_is_one_line_and_exit_1(
    talk: Path, capsys: Captured, arguments: list[str], message: str
) -> None:
    assert main(["analyze", str(talk), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("emotion-llama: ")
    assert len(error.splitlines()) == 1
    assert any(part in error for part in message.split("|"))


def test_choices_of_the_command_line_are_those_of_the_library() -> None:
    from emotion_llama.analysis.evidence import VOICE_BACKENDS
    from emotion_llama.cli import analyze

    assert analyze.VOICES == VOICE_BACKENDS


@pytest.mark.parametrize("arguments", [["--segment", "0.1"], ["--segment", "soon"], ["--max-side", "3"], []])
def test_what_is_not_understood_is_exit_2(talk: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["analyze", *([str(talk)] if arguments else []), *arguments])
    assert exit_info.value.code == 2


def test_one_subtitle_is_not_for_many_clips(sounds: Callable[[int], Path], capsys: Captured) -> None:
    assert main(["analyze", str(sounds(2)), "--subtitle", "Hello."]) == 1
    assert "--subtitle is for one clip, got 2" in capsys.readouterr().err


def test_interrupting_says_what_was_done(
    sounds: Callable[[int], Path], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = sounds(3), Analyzer.run

    def interrupted(self: Analyzer, path: Path, *args: object, **kwargs: object) -> object:
        if path.name == "1.wav":
            raise KeyboardInterrupt
        return run(self, path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Analyzer, "run", interrupted)
    assert main(["analyze", str(folder), "--out", str(tmp_path / "out")]) == 130
    error = capsys.readouterr().err
    assert "1 done, 0 skipped (already done), 0 failed" in error
    assert error.endswith("emotion-llama: interrupted\n")


def test_killed_and_resumed_loses_nothing_and_repeats_nothing(sounds: Callable[[int], Path], tmp_path: Path) -> None:
    """The real thing: kill -9 in the middle of a folder, then the same command again."""
    folder, out = sounds(6), tmp_path / "out"
    command = [sys.executable, "-m", "emotion_llama", "analyze", str(folder), "--out", str(out), "--resume"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(out.glob(f"*{RESULT_SUFFIX}")) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in out.glob(f"*{RESULT_SUFFIX}")}
    assert finished
    for path in finished:
        json.loads(path.read_text())

    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{6 - len(finished)} done, {len(finished)} skipped (already done), 0 failed" in done.stderr
    assert sorted(p.name for p in out.glob("*.json")) == [f"{i}.wav{RESULT_SUFFIX}" for i in range(6)]
    assert all(path.stat().st_mtime_ns == before for path, before in finished.items())


def test_ctrl_c_ends_all_processes_and_the_same_command_goes_on(sounds: Callable[[int], Path], tmp_path: Path) -> None:
    """SIGINT to the whole group, as a terminal sends it, once two clips are done and two long ones are in work."""
    folder, out = sounds(2), tmp_path / "out"
    write_clip(folder / "2.wav", audio=np.zeros(3600 * 8_000, np.float32), sample_rate_hz=8_000)
    for name in ("3.wav", "4.wav"):
        (folder / name).symlink_to(folder / "2.wav")
    command = [sys.executable, "-m", "emotion_llama", "analyze", str(folder)]
    command += ["--out", str(out), "--jobs", "2", "--resume"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert any("wrote" in line and DONE[1] in line for line in process.stdout)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate()  # ends when the last worker has closed the pipes
    assert process.returncode == 130
    assert error.endswith("2 done, 0 skipped (already done), 0 failed, 3 left\nemotion-llama: interrupted\n")
    assert sorted(path.name for path in out.iterdir()) == DONE

    (folder / "2.wav").write_bytes((folder / "1.wav").read_bytes())
    before = [(out / name).stat().st_mtime_ns for name in DONE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.endswith("3 done, 2 skipped (already done), 0 failed\n")
    assert [(out / name).stat().st_mtime_ns for name in DONE] == before


DONE = [f"{i}.wav{RESULT_SUFFIX}" for i in range(2)]


def test_what_is_done_before_its_turn_is_reported_when_ctrl_c_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine(contextlib.nullcontext[object]):
        def run(self, stage: object, items: object) -> Iterator[list[Done]]:
            yield [Done("c.wav", "too dark", 0.1), Done("b.wav", "too loud", 0.1)]
            raise KeyboardInterrupt

    monkeypatch.setattr(many_clips, "load_engine", lambda name, options: Engine(Engine()))
    jobs = [Job(Path(name), Path(name)) for name in ("a.wav", "b.wav", "c.wav")]
    found = many_clips.analyze_many(Mock(), jobs, "local", 2, lambda *progress: None)
    assert [next(found).error, next(found).error] == ["b.wav: too loud", "c.wav: too dark"]
    with pytest.raises(KeyboardInterrupt):
        next(found)


def test_a_closed_pipe_is_no_error(talk: Path) -> None:
    command = [sys.executable, "-m", "emotion_llama", "analyze", str(talk), "--json", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), error) == (0, "")


def test_several_clips_want_a_folder_for_pages(sounds: Callable[[int], Path], capsys: Captured) -> None:
    assert main(["analyze", str(sounds(2)), "--html", "pages.html"]) == 1
    assert "with several clips, or a list of them, give a folder" in capsys.readouterr().err
    assert not Path("pages.html").exists()


def test_one_clip_into_a_folder_of_pages(talk: Path, tmp_path: Path) -> None:
    assert main(["analyze", str(talk), "--html", str(tmp_path), "-q"]) == 0
    assert (tmp_path / "talk.mp4.html").exists()


def test_an_old_json_file_does_not_outlive_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    assert main(["analyze", str(tmp_path / "missing.mp4"), "--json", str(file)]) == 1
    assert file.read_text() == ""


def test_json_is_utf8_whatever_the_locale(talk: Path, tmp_path: Path) -> None:
    clip = tmp_path / "\u00fcn\u00ef.mp4"
    clip.write_bytes(talk.read_bytes())
    command = [sys.executable, "-m", "emotion_llama", "analyze", str(clip), "-q", "--json", "-", "--no-curves"]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert json.loads(done.stdout.decode("utf-8"))["clip"]["path"] == str(clip)


@pytest.mark.parametrize(("redirection", "code"), [("> /dev/full", 1), (">&-", 0)])
def test_an_output_that_takes_nothing_is_no_traceback(talk: Path, redirection: str, code: int) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m emotion_llama analyze {shlex.quote(str(talk))} {redirection}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == code


def test_listed_names_need_not_be_text(sounds: Callable[[int], Path], tmp_path: Path) -> None:
    folder = sounds(1)
    odd = os.fsencode(folder) + b"/ \xff .wav"
    (folder / "0.wav").rename(os.fsdecode(odd))
    command = [sys.executable, "-m", "emotion_llama", "analyze", "-", "--json", "-", "--no-curves", "-q"]
    done = subprocess.run(command, input=odd + b"\n", capture_output=True, check=True)
    assert json.loads(done.stdout)["clip"]["path"].endswith(" \\xff .wav")


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    assert main(["analyze", str(tmp_path / "a\x1b[31m\n.mp4")]) == 1
    assert "a\\x1b[31m\\n.mp4" in capsys.readouterr().err


def test_a_name_that_begins_with_a_dash_and_one_of_250_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    voice = render_voice(VoiceSpec(duration_seconds=1.2)).samples
    for name in ("-q.wav", "n" * 246 + ".wav"):
        write_clip(tmp_path / "clip.wav", audio=voice, sample_rate_hz=16_000).rename(tmp_path / name)
    assert main(["analyze", "--quiet", *sorted(path.name for path in tmp_path.iterdir()), "--out", "results"]) == 0
    results = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert results[0] == "-q.wav" + RESULT_SUFFIX
    assert results[1].startswith("nnn")
    capsys.readouterr()


def test_two_processes_give_what_one_gives_in_the_same_order(
    sounds: Callable[[int], Path], tmp_path: Path, capsys: Captured
) -> None:
    folder = sounds(3)
    (folder / "1b.wav").write_bytes(b"no sound")
    documents = []
    for jobs in ("1", "2"):
        target = tmp_path / f"{jobs}.jsonl"
        assert main(["analyze", str(folder), "--jobs", jobs, "--json", str(target), "--out", str(tmp_path / jobs)]) == 1
        assert "3 done, 0 skipped (already done), 1 failed" in capsys.readouterr().err
        documents.append([json.loads(line) for line in target.read_text().splitlines()])
    for document in (*documents[0], *documents[1]):
        document.pop("seconds_by_stage")
    assert documents[0] == documents[1]
    assert main(["analyze", str(folder), "--jobs", "2", "--out", str(tmp_path / "1"), "--resume"]) == 1
    assert "0 done, 3 skipped (already done), 1 failed" in capsys.readouterr().err


def test_options_of_the_face_backend(talk: Path, capsys: Captured) -> None:
    assert main(["analyze", str(talk), "--face-option", "provider=nosuch"]) != 0
    assert "'nosuch'" in capsys.readouterr().err
    assert (
        main(["analyze", str(talk), "--quiet", "--face-option", "min_score=0.7", "--face-option", "provider=cpu"]) == 0
    )
