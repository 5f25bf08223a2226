"""`emotion-llama features`, as a user types it, on a real tiny model from raw video."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.analysis.features import name_clips
from emotion_llama.analysis.inputs import CropOptions, open_inputs
from emotion_llama.cli.main import main
from emotion_llama.errors import InputError
from emotion_llama.face.backends import load_backend
from emotion_llama.media.writing import write_clip
from emotion_llama.models.clips import MODALITIES
from emotion_llama.models.features.extractor import FeatureExtractor, TorchEncoders
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.models.features.published_folders import PublishedFolders

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(clips: Path, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run over all clips."""
    out = tmp_path_factory.mktemp("features")
    assert main(["features", str(clips), "--out", str(out), "--model", str(toy_folder), "-q"]) == 0
    return out


def test_the_store_the_folders_and_the_features_on_the_fly_are_the_same(
    made: Path, clips: Path, toy_folder: Path
) -> None:
    store, folders = FeatureStore(made), PublishedFolders(made, size=24)
    assert store.names == ("deep/voice", "empty", "talk")
    extractor = FeatureExtractor(TorchEncoders.load(toy_folder))
    with (
        load_backend("onnx_mesh") as backend,
        open_inputs(clips / "talk.mp4", lambda: backend, CropOptions("peak"), warn=lambda line: None) as inputs,
    ):
        fresh = extractor.extract(inputs)
    stored, published = store["talk"], folders["talk"]
    assert list(fresh.arrays()) == ["face", "temporal", "audio", "global_image"]
    for name in MODALITIES:
        assert np.array_equal(fresh.vectors()[name], stored.vectors()[name])
        assert np.array_equal(fresh.vectors()[name], published.vectors()[name])
    assert np.array_equal(fresh.pixel_values(), stored.pixel_values())
    assert (stored.num_faces, stored.frame_seconds, stored.frame_why) == (14, fresh.frame_seconds, fresh.frame_why)
    assert fresh.missing == stored.missing == ()


def test_what_a_clip_lacks_is_said_and_not_written(made: Path) -> None:
    store = FeatureStore(made)
    assert {m.what: m.reason for m in store["empty"].missing} == {
        "face": "no face was found in 6 frames",
        "temporal": "no face was found in 6 frames",
        "audio": "the file has no sound",
    }
    assert {m.what for m in store["deep/voice"].missing} == {"face", "temporal", "global_image"}
    written = sorted(str(path.relative_to(made)) for path in made.rglob("*.npy"))
    assert written == ["HL-UTT/deep/voice.npy", "HL-UTT/talk.npy", "maeV_399_UTT/talk.npy", "mae_340_UTT/talk.npy"]


def test_the_recipe_is_recorded(made: Path, toy_folder: Path) -> None:
    recipe = json.loads((made / "recipe.json").read_text())
    assert recipe["frame_policy"] == "peak"  # what this model was trained with
    assert recipe["recipes"]["audio"]["name"] == "hubert-last-whole"
    assert recipe["recipes"]["face"]["size"] == 64
    assert recipe["encoders_sha256"] == TorchEncoders.load(toy_folder).fingerprint()
    assert recipe["about"]["model"] == str(toy_folder)
    row = json.loads((made / "features.jsonl").read_text().splitlines()[-1])
    assert row["name"] == "talk"
    assert len(row["sha256"]) == 64


def test_resume_skips_what_is_there_and_redoes_a_changed_clip(
    clips: Path, toy_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    mine = tmp_path / "clips"
    shutil.copytree(clips, mine)
    command = ["features", str(mine), "--out", str(tmp_path / "out"), "--model", str(toy_folder)]
    assert main(command) == 0
    assert "3 done (without audio: 1, face: 2, global_image: 1, temporal: 2), 0 skipped" in capsys.readouterr().err
    write_clip(mine / "deep" / "voice.wav", audio=np.ones(20_000, np.float32) / 9, sample_rate_hz=16_000)
    assert main([*command, "--resume"]) == 0
    printed = capsys.readouterr()
    assert "1 done" in printed.err
    assert "2 skipped (already done), 0 failed" in printed.err
    assert "talk: already done\n" in printed.out
    assert main(command) == 0
    assert "3 done" in capsys.readouterr().err
    assert len(FeatureStore(tmp_path / "out")) == 3


def test_one_bad_clip_does_not_stop_the_run(clips: Path, toy_folder: Path, tmp_path: Path, capsys: Captured) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video")
    command = ["features", str(bad), str(clips / "talk.mp4"), "--out", str(tmp_path / "out"), "--model"]
    assert main([*command, str(toy_folder)]) == 1
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert lines[0].startswith(f"emotion-llama: {bad}: ")
    assert lines[-1] == "1 done, 0 skipped (already done), 1 failed"
    assert printed.out.startswith("talk: 14 faces; faces ")
    assert FeatureStore(tmp_path / "out").names == ("talk",)


def test_damage_is_warned_of_and_a_clip_that_is_gone_fails_alone(
    clips: Path, toy_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    whole = (clips / "deep" / "voice.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    command = ["features", str(tmp_path / "cut.wav"), str(tmp_path / "gone.mp4"), "--out", str(tmp_path / "out")]
    assert main([*command, "--model", str(toy_folder), "--resume"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"emotion-llama: {tmp_path / 'gone.mp4'}: ") for line in lines)
    assert lines[-1] == "1 done (without face: 1, global_image: 1, temporal: 1), 0 skipped (already done), 1 failed"


def test_progress_and_warnings_reach_the_caller(
    clips: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    damaged = tmp_path / "talk.mkv"
    images = [np.random.default_rng(i).integers(0, 255, (120, 160, 3)).astype(np.uint8) for i in range(30)]
    data = bytearray(write_clip(damaged, images, fps=10).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    damaged.write_bytes(data)
    assert main(["features", str(damaged), "--out", str(tmp_path / "out"), "--model", str(toy_folder)]) == 0
    printed = capsys.readouterr().err
    assert "talk.mkv  faces   0 %" in printed
    assert "talk.mkv  writing   0 %" in printed
    assert f"emotion-llama: {damaged}: " in printed
    assert "15 frames were read" in printed


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("folders", ["HL_23_UTT", "features.jsonl", "maeVideo_399_23_UTT", "mae_340_23_UTT", "recipe.json"]),
        ("store", ["index.parquet", "pending", "recipe.json", "shard-00000.safetensors"]),
    ],
)
def test_each_format_alone(clips: Path, toy_folder: Path, tmp_path: Path, kind: str, files: list[str]) -> None:
    command = ["features", str(clips / "talk.mp4"), "--out", str(tmp_path), "--model", str(toy_folder), "-q"]
    assert main([*command, "--format", kind, "--layout", "MER2024"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def test_another_recipe_needs_another_folder(made: Path, clips: Path, toy_folder: Path, capsys: Captured) -> None:
    command = ["features", str(clips), "--out", str(made), "--model", str(toy_folder), "--resume"]
    assert main([*command, "--audio-recipe", "hubert-sum4-chunks10", "--frame", "first"]) == 1
    assert "made in another way (frame_policy, recipes differ" in capsys.readouterr().err
    assert main([*command, "--audio-recipe", "best"]) == 1
    assert "audio recipe 'best' is not known; expected one of" in capsys.readouterr().err


def test_the_other_audio_recipe_gives_other_audio_only(
    made: Path, clips: Path, toy_folder: Path, tmp_path: Path
) -> None:
    command = ["features", str(clips / "talk.mp4"), "--out", str(tmp_path), "--model", str(toy_folder), "-q"]
    assert main([*command, "--audio-recipe", "hubert-sum4-chunks10", "--batch-size", "3"]) == 0
    ours, theirs = FeatureStore(tmp_path)["talk"], FeatureStore(made)["talk"]
    assert ours.vectors()["face"] == pytest.approx(theirs.vectors()["face"], abs=1e-5)  # another batch size
    assert np.abs(ours.vectors()["audio"] - theirs.vectors()["audio"]).max() > 0.1


def test_published_folders_are_taken_in_place_of_computing(
    made: Path, clips: Path, toy_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    """A video dataset with its published vectors becomes a store: the frame from the video, the rest as published."""
    archive = tmp_path / "archive"
    for folder, seed in (("mae_340_UTT", 1), ("maeV_399_UTT", 2)):
        (archive / folder).mkdir(parents=True)
        np.save(archive / folder / "talk.npy", np.full((1, 24), seed, np.float32))
    command = ["features", str(clips), "--out", str(tmp_path / "out"), "--model", str(toy_folder)]
    command += ["--published", str(archive), "--frame", "middle"]
    assert main(command) == 0
    assert "talk: 0 faces; faces" in capsys.readouterr().out  # none were looked for
    store = FeatureStore(tmp_path / "out")
    talk = store["talk"]
    assert talk.given == ("face", "temporal")
    assert talk.missing == ()
    assert (talk.vectors()["face"][0], talk.vectors()["temporal"][0]) == (1.0, 2.0)
    assert np.array_equal(talk.vectors()["audio"], FeatureStore(made)["talk"].vectors()["audio"])
    assert talk.global_image is not None
    assert store["empty"].given == ()
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["published"] == str(archive)


def test_a_published_vector_of_another_model_is_refused(
    clips: Path, toy_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "HL-UTT").mkdir()
    np.save(tmp_path / "HL-UTT" / "talk.npy", np.ones(1024, np.float32))
    command = ["features", str(clips / "talk.mp4"), "--out", str(tmp_path / "o"), "--model", str(toy_folder)]
    assert main([*command, "--published", str(tmp_path)]) == 1
    assert "HL-UTT/talk.npy has shape (1024,), expected (24,) or (1, 24)" in capsys.readouterr().err


def test_two_clips_of_one_name_are_refused(tmp_path: Path, toy_folder: Path, capsys: Captured) -> None:
    for suffix in (".wav", ".flac"):
        write_clip(tmp_path / f"talk{suffix}", audio=np.ones(2_000, np.float32), sample_rate_hz=16_000)
    command = ["features", str(tmp_path), "--out", str(tmp_path / "out"), "--model", str(toy_folder)]
    assert main(command) == 1
    assert "would both be named 'talk'; give each its own name" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"b/x.mp4 and c/x.avi would both be named 'x'"):
        name_clips([(Path("x.mp4"), Path("b/x.mp4")), (Path("x.avi"), Path("c/x.avi"))])
    assert name_clips([(Path("a.b.mp4"), Path("v/a.b.mp4"))])[0][0] == "a.b"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--batch-size", "0"], "expected a number from 1 up, got '0'"),
        (["--max-fps", "-1"], "expected frames per second above 0, got '-1'"),
        (["--max-fps", "fast"], "expected frames per second above 0, got 'fast'"),
        (["--frame", "last"], "invalid choice: 'last'"),
    ],
)
def test_options_that_cannot_be_used_are_refused(option: list[str], message: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["features", "a.mp4", "--out", "o", "--model", "m", *option])
    assert message in capsys.readouterr().err


def test_an_unreachable_folder_or_model_is_one_line(
    clips: Path, toy_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "file").write_text("")
    talk = str(clips / "talk.mp4")
    assert main(["features", talk, "--out", str(tmp_path / "file"), "--model", str(toy_folder)]) == 1
    assert "cannot be made (File exists)" in capsys.readouterr().err
    assert main(["features", talk, "--out", str(tmp_path / "out"), "--model", str(tmp_path)]) == 1
    assert "holds no model: config.json is missing" in capsys.readouterr().err
    command = ["features", talk, "--out", str(tmp_path / "out"), "--model", str(toy_folder), "--device"]
    assert main([*command, "gpu"]) == 1
    assert "device 'gpu' is not known; expected cpu, cuda, cuda:1 or mps" in capsys.readouterr().err
    assert main([*command, "cuda:77"]) == 1
    assert "device 'cuda:77' is not here: torch finds" in capsys.readouterr().err


def test_a_run_that_is_killed_goes_on_where_it_was(toy_folder: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(40):
        sound = (0.3 * np.sin(np.arange(24_000) * (0.02 + 0.001 * i))).astype(np.float32)
        write_clip(folder / f"{i:02d}.wav", audio=sound, sample_rate_hz=16_000)
    out = tmp_path / "out"
    command = ["features", str(folder), "--out", str(out), "--model", str(toy_folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "emotion_llama", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while len(list((out / "pending").glob("[0-9a-f]*.safetensors"))) < 3:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = len(FeatureStore(out))
    assert 3 <= before < 40
    assert main([*command, "--resume"]) == 0
    said = re.search(r"(\d+) done.*, (\d+) skipped", capsys.readouterr().err)
    assert said is not None
    assert int(said[1]) + int(said[2]) == 40
    assert int(said[2]) >= before - 1  # a clip counts once both the folders and the store hold it
    assert len(FeatureStore(out)) == len(list((out / "HL-UTT").glob("*.npy"))) == 40
