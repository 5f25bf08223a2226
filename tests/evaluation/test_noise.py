"""Corrupted clips: the ratio that is asked for is the ratio that comes out, and the seed decides everything."""

import json
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.noise import (
    BLUR_FACTORS,
    MANIFEST,
    SNRS_DB,
    blur,
    corrupt_clips,
    draw,
    draw_noise,
    mix,
    noise_files,
)
from emotion_llama.media.audio import read_audio
from emotion_llama.media.frames import iter_frames
from emotion_llama.media.probe import probe
from emotion_llama.media.writing import write_clip
from emotion_llama.records import UInt8

RNG = np.random.default_rng(5)


def db(signal: np.ndarray, noise: np.ndarray) -> float:
    """Ratio of two powers in dB, from its definition."""
    return 10 * np.log10(np.sum(signal**2) / np.sum(noise**2))


def test_the_mixture_has_the_ratio_asked_for() -> None:
    clean, noise = 0.1 * np.sin(np.arange(16_000) * 0.05), 0.01 * RNG.standard_normal(16_000)
    for snr in SNRS_DB:
        mixed, _, scale = mix(clean, noise, snr)
        assert scale == 1.0
        assert db(clean, mixed - clean) == pytest.approx(snr, abs=1e-9)


def test_what_is_too_loud_is_scaled_as_a_whole() -> None:
    clean, noise = 0.99 * np.sin(np.arange(16_000) * 0.05), RNG.standard_normal(16_000)
    mixed, _, scale = mix(clean, noise, 5)
    assert scale < 1
    assert max(mixed.max() * 32768 / 32767, -mixed.min()) == pytest.approx(1.0)
    assert db(clean, mixed / scale - clean) == pytest.approx(5, abs=1e-9)
    downwards, _, _ = mix(-np.abs(clean), -np.abs(noise), 5)
    assert downwards.min() == pytest.approx(-1.0)


def test_noise_is_joined_until_it_is_longer_and_cut_at_random() -> None:
    sounds = {"a": np.arange(10.0), "b": 100 + np.arange(15.0)}
    for seed in range(20):
        noise, files, start = draw_noise(30, ("a", "b"), lambda name: sounds[name], np.random.default_rng(seed))
        joined = np.concatenate([sounds[name] for name in files])
        assert len(joined) > 30 >= len(joined) - len(sounds[files[-1]])
        assert noise.tolist() == joined[start : start + 30].tolist()


def test_draws_follow_from_seed_and_name_alone() -> None:
    draws = [draw(f"clip{i}", 3) for i in range(600)]
    assert [d[:2] for d in draws] == [draw(f"clip{i}", 3)[:2] for i in range(600)]
    assert [d[:2] for d in draws] != [draw(f"clip{i}", 4)[:2] for i in range(600)]
    for snr in SNRS_DB:  # six values, each a sixth of 600: 100 +- 4 standard deviations of 9.1
        assert sum(d[0] == snr for d in draws) == pytest.approx(100, abs=37)
    for factor in BLUR_FACTORS:
        assert sum(d[1] == factor for d in draws) == pytest.approx(200, abs=47)


def picture(height: int, width: int) -> UInt8:
    """Grey: codecs store colour at half the size."""
    return np.repeat(RNG.integers(0, 256, (height, width, 1), dtype=np.uint8), 3, axis=2)


def test_blur_takes_detail_away_and_rounds_odd_sides_up() -> None:
    image = picture(50, 66)
    assert blur(image, 1) is image
    assert blur(image, 2).shape == (50, 66, 3)
    assert blur(picture(51, 65), 2).shape == (52, 66, 3)
    assert blur(picture(51, 65), 4).shape == (52, 68, 3)
    detail = [float(np.abs(np.diff(blur(image, f).astype(float), axis=1)).mean()) for f in BLUR_FACTORS]
    assert detail[0] > 4 * detail[1] > 8 * detail[2]
    even = np.full((8, 8, 3), 77, np.uint8)
    assert (blur(even, 4) == 77).all()


@pytest.fixture
def noise_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "noise"
    (folder / "more").mkdir(parents=True)
    for name in ("a", "more/b"):
        sound = (0.2 * RNG.standard_normal(9_000)).astype(np.float32)
        write_clip(folder / f"{name}.wav", audio=sound, sample_rate_hz=16_000)
    return folder


def clips(folder: Path, count: int = 3) -> list[Path]:
    folder.mkdir()
    tone = (0.3 * np.sin(np.arange(16_000) * 0.1)).astype(np.float32)
    for i in range(count):
        images = [np.kron(picture(8, 8), np.ones((8, 8, 1), np.uint8)) for _ in range(10)]
        write_clip(folder / f"c{i}.mkv", images, 10, tone, sample_rate_hz=16_000)
    return sorted(folder.iterdir())


def test_written_clips_have_the_ratio_and_the_blur_of_the_manifest(tmp_path: Path, noise_folder: Path) -> None:
    paths = clips(tmp_path / "clips", 6)
    rows = corrupt_clips(paths, noise_folder, tmp_path / "out", seed=1, suffix=".mkv")
    lines = [json.loads(line) for line in (tmp_path / "out" / MANIFEST).read_text().splitlines()]
    assert [line["name"] for line in lines] == [path.stem for path in paths]
    assert len({row["snr_db"] for row in rows}) > 1
    for path, row in zip(paths, rows, strict=True):
        assert row["path"] == f"{path.stem}.mkv"
        before, after = probe(path), probe(tmp_path / "out" / row["path"])
        clean = read_audio(before).samples.astype(float)
        mixed = read_audio(after).samples.astype(float) / row["scale"]
        assert len(clean) == len(mixed)
        assert db(clean, mixed - clean) == pytest.approx(row["snr_db"], abs=0.01)  # FLAC holds 16 bits
        was, now = (np.concatenate([f.images for f in iter_frames(c)]) for c in (before, after))
        expected = np.stack([blur(image, row["blur_factor"]) for image in was])
        assert now.shape == expected.shape
        errors = {f: np.abs(now.astype(float) - [blur(image, f) for image in was]).mean() for f in BLUR_FACTORS}
        assert min(errors, key=lambda f: errors[f]) == row["blur_factor"]
        assert errors[row["blur_factor"]] < 3  # of 255: what the codec adds


def test_the_form_of_the_challenge_keeps_its_pictures(tmp_path: Path, noise_folder: Path) -> None:
    # MPEG-4 at its default rate of 200 kbit/s fell to 22 dB within a second; its coarseness is limited instead.
    paths = clips(tmp_path / "clips", 1)
    seed = next(seed for seed in range(100) if draw("c0", seed)[1] == 2)
    (row,) = corrupt_clips(paths, noise_folder, tmp_path / "out", seed=seed)
    written = probe(tmp_path / "out" / "c0.mp4")
    assert (row["blur_factor"], written.video and written.video.codec) == (2, "mpeg4")
    assert written.audio is not None
    assert (written.audio.codec, written.audio.sample_rate_hz, written.audio.channels) == ("aac", 16_000, 1)
    was, now = (np.concatenate([f.images for f in iter_frames(c)]) for c in (probe(paths[0]), written))
    error = np.mean([(blur(a, 2).astype(float) - b) ** 2 for a, b in zip(was, now, strict=True)])
    assert 10 * np.log10(255**2 / error) > 28


def test_order_and_company_change_nothing(tmp_path: Path, noise_folder: Path) -> None:
    paths = clips(tmp_path / "clips")
    whole = corrupt_clips(paths, noise_folder, tmp_path / "one", seed=9)
    alone = corrupt_clips(paths[2:], noise_folder, tmp_path / "two", seed=9)
    assert alone == whole[2:]
    assert (tmp_path / "one" / "c2.mp4").read_bytes() == (tmp_path / "two" / "c2.mp4").read_bytes()


def test_clips_without_sound_or_pictures_and_broken_ones(tmp_path: Path, noise_folder: Path) -> None:
    tone = (0.3 * np.sin(np.arange(8_000) * 0.1)).astype(np.float32)
    paths = [
        write_clip(tmp_path / "mute.mkv", [picture(64, 64)] * 5, 10),
        write_clip(tmp_path / "blind.wav", audio=tone, sample_rate_hz=16_000),
        write_clip(tmp_path / "still.wav", audio=np.zeros(8_000, np.float32), sample_rate_hz=16_000),
        tmp_path / "broken.mp4",
    ]
    paths[3].write_bytes(b"no clip")
    seen: list[tuple[int, str]] = []
    mute, blind, still, broken = corrupt_clips(
        paths, noise_folder, tmp_path / "out", progress=lambda number, name: seen.append((number, name))
    )
    assert (mute["snr_db"], mute["blur_factor"] is not None, mute["problem"]) == (None, True, None)
    assert (blind["snr_db"] is not None, blind["blur_factor"], blind["problem"]) == (True, None, None)
    assert still["path"] is None
    assert "the clip is silent" in still["problem"]
    assert broken["problem"] is not None
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["blind.mp4", "mute.mp4", MANIFEST]
    assert seen == [(1, "mute"), (2, "blind"), (3, "still"), (4, "broken")]


def test_few_noise_files_are_kept_in_memory(
    tmp_path: Path, noise_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_llama.evaluation import noise

    assert noise_files(noise_folder) == ("a.wav", "more/b.wav")
    read = noise._read_audio
    names: list[str] = []
    monkeypatch.setattr(noise, "_read_audio", lambda path: names.append(path.name) or read(path))
    paths = clips(tmp_path / "clips", 4)
    for kept, readings in ((16, 2), (1, 3)):
        names.clear()
        monkeypatch.setattr(noise, "MAX_KEPT", kept)
        corrupt_clips(paths, noise_folder, tmp_path / f"out{kept}")
        of_noise = [name for name in names if name.endswith(".wav")]
        assert len(of_noise) == 2 if kept == 16 else len(of_noise) >= readings


def test_refusals(tmp_path: Path, noise_folder: Path) -> None:
    with pytest.raises(InputError, match="the noise is silent"):
        mix(np.ones(3), np.zeros(3), 5)
    with pytest.raises(InputError, match="noise a holds no audio"):
        draw_noise(3, ("a",), lambda name: np.ones(0), np.random.default_rng(0))
    with pytest.raises(InputError, match="holds no audio files"):
        noise_files(tmp_path / "none")
    with pytest.raises(InputError, match="two clips are called 'a'"):
        corrupt_clips(["x/a.mp4", "y/a.mp4"], noise_folder, tmp_path / "out")
    with pytest.raises(InputError, match=r"suffix is '\.avi'"):
        corrupt_clips([], noise_folder, tmp_path / "out", suffix=".avi")
    with pytest.raises(InputError, match="is not empty"):
        corrupt_clips([], noise_folder, noise_folder)
