"""Corrupted copies of clips as in MER2024-NOISE: speech of others mixed into the audio, blurred frames.

Source of the rules and their numbers: MER2024's noise script (MERTools). Audio: pieces of noise, drawn at random and
joined until they are longer than the clip, a random part of that, scaled to a signal-to-noise ratio of 5 to 10 dB in
whole decibels by root mean squares; the mixture is scaled down where it would leave the range of 16 bits. Frames:
log2(f) times halved and doubled again by Gaussian pyramids, f one of 1, 2 and 4, which rounds odd sizes up.
Unlike that script, which draws without a seed, what is drawn here follows from the seed and the clip's name alone, so
that neither the order of the clips nor an interruption changes it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.records import Clip, UInt8

Samples = npt.NDArray[np.float64]
SNRS_DB = (5, 6, 7, 8, 9, 10)
BLUR_FACTORS = (1, 2, 4)
SAMPLE_RATE_HZ = 16_000
MANIFEST = "noise.jsonl"
SUFFIXES = (".mp4", ".mkv")
MAX_KEPT = 16  # noise files in memory: MUSAN's speech lasts ten minutes a file, 77 MB as float64
_FULL_SCALE = 32767 / 32768  # the largest sample of 16 bits, where 1 is the largest magnitude

Progress = Callable[[int, str], None]


# A line of the manifest: what was done to one clip, or why nothing was.
Row = dict[str, Any]
EMPTY: Row = {
    "name": "",  # of the clip, without suffix
    "seed": 0,  # of the run
    "path": None,  # of the result, relative to the manifest; None where there is none
    "snr_db": None,  # of the mixture before any codec; None for a clip without audio
    "blur_factor": None,  # None for a clip without video
    "noise_files": (),  # relative to the folder of noise, in the order in which they were joined
    "noise_start_sample": None,  # where in the joined noise the clip's part begins, at 16 kHz
    "noise_gain": None,  # what the noise was multiplied with
    "scale": None,  # what the mixture was multiplied with to stay within 16 bits; 1 mostly
    "problem": None,  # why there is no result
}


# --- on arrays ------------------------------------------------------------------------------------------------------


def draw(name: str, seed: int) -> tuple[int, int, np.random.Generator]:
    """Signal-to-noise ratio, blur factor and further draws of a clip: the same for the same name and seed."""
    digest = hashlib.blake2b("\x1f".join(("noise", str(seed), name)).encode(), digest_size=6).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    snr, factor = rng.integers(len(SNRS_DB)), rng.integers(len(BLUR_FACTORS))
    return SNRS_DB[int(snr)], BLUR_FACTORS[int(factor)], rng


def draw_noise(
    num_samples: int, names: Sequence[str], read: Callable[[str], Samples], rng: np.random.Generator
) -> tuple[Samples, tuple[str, ...], int]:
    """Noise [S] of a length, the files it was joined from, and the sample of them at which it begins.

    Files are drawn one after the other until they are longer, and a random part of them is taken; `read` gives the
    samples of a file.

    Raises:
        InputError: a file is empty.
    """
    pieces, chosen, total = [], [], 0
    while total <= num_samples:
        name = names[int(rng.integers(len(names)))]
        piece = read(name)
        if not len(piece):
            raise InputError(f"the noise {name} holds no audio")
        pieces.append(piece)
        chosen.append(name)
        total += len(piece)
    start = int(rng.integers(total - num_samples + 1))
    return np.concatenate(pieces)[start : start + num_samples], tuple(chosen), start


def mix(clean: Samples, noise: Samples, snr_db: float) -> tuple[Samples, float, float]:
    """Clean audio [S] with noise [S] scaled so that rms(clean) / rms(noise) is 10 ** (snr_db / 20).

    Returns:
        The mixture [S] in -1..1, and what the noise, and then the mixture, was multiplied with.

    Raises:
        InputError: one of the two is silent, so that no ratio exists.
    """
    clean_rms, noise_rms = (float(np.sqrt(np.mean(np.square(x)))) if len(x) else 0.0 for x in (clean, noise))
    if not clean_rms or not noise_rms:
        raise InputError(f"the {'noise' if clean_rms else 'clip'} is silent; a signal-to-noise ratio needs both")
    gain = clean_rms / 10 ** (snr_db / 20) / noise_rms
    mixed = clean + gain * noise
    highest, lowest = float(mixed.max()), float(mixed.min())
    scale = 1.0
    if highest > _FULL_SCALE or lowest < -1.0:
        scale = _FULL_SCALE / highest if highest >= -lowest else -1.0 / lowest
    return mixed * scale, gain, scale


def blur(image: UInt8, factor: int) -> UInt8:
    """A frame [H, W, 3] log2(factor) times halved and as often doubled; odd sides grow to a multiple of `factor`."""
    import cv2

    times = int(math.log2(factor))
    for _ in range(times):
        image = cv2.pyrDown(image)  # type: ignore[assignment]  # cv2 says no shapes and types
    for _ in range(times):
        image = cv2.pyrUp(image)  # type: ignore[assignment]
    return image


# --- on files -------------------------------------------------------------------------------------------------------


def noise_files(folder: Path) -> tuple[str, ...]:
    """Names of the media of a folder, relative to it; InputError where the folder holds none."""
    from emotion_llama.media.discover import find_media

    found = [path for path in find_media([folder]) if path.is_file()] if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder} holds no audio files; give a folder of noise, as MUSAN's speech/ (openslr.org/17)")
    return tuple(sorted(path.relative_to(folder).as_posix() for path in found))


def corrupt_clips(
    clips: Iterable[str | Path],
    noise_folder: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    suffix: str = ".mp4",
    progress: Progress | None = None,
) -> list[Row]:
    """Write a corrupted copy of every clip, and `noise.jsonl`, which says what was done to each.

    Args:
        clips: media files; their names without suffix must differ.
        noise_folder: audio files of speech.
        out: a new or empty folder.
        seed: of all that is drawn.
        suffix: ".mp4" (MPEG-4 and AAC, as the challenge has it) or ".mkv" (H.264 and lossless FLAC).
        progress: called after every clip with the number done and its name.

    Returns:
        A row of the manifest for each clip, in order; a clip that cannot be read has a problem and no file.

    Raises:
        InputError: the suffix cannot be used, names are doubled, there is no noise, or `out` is not empty.
    """
    from emotion_llama.files import make_folder

    paths = [Path(path) for path in clips]
    if doubled := sorted({p.stem for p in paths if sum(q.stem == p.stem for q in paths) > 1}):
        raise InputError(f"two clips are called {doubled[0]!r}; results are named by their clips")
    if suffix not in SUFFIXES:
        raise InputError(f"suffix is {suffix!r}, expected one of: {', '.join(SUFFIXES)}")
    names, folder = noise_files(Path(noise_folder)), make_folder(Path(out))
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; give a new folder")
    read = lru_cache(MAX_KEPT)(lambda name: _read_audio(Path(noise_folder) / name))
    rows = []
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for number, path in enumerate(paths, 1):
            try:
                done = _corrupt(path, folder / f"{path.stem}{suffix}", seed, names, read)
            except EmotionLlamaError as error:
                done = {"problem": str(error)}
            rows.append(EMPTY | {"name": path.stem, "seed": seed} | done)
            manifest.write(json.dumps(rows[-1], ensure_ascii=False) + "\n")
            manifest.flush()
            if progress is not None:
                progress(number, path.stem)
    return rows


def _corrupt(path: Path, target: Path, seed: int, names: Sequence[str], read: Callable[[str], Samples]) -> Row:
    from emotion_llama.media.probe import probe
    from emotion_llama.media.writing import ClipFormat, write_clip

    clip = probe(path)
    snr_db, factor, rng = draw(path.stem, seed)
    done: Row = {"path": target.name, "blur_factor": None if clip.video is None else factor}
    audio = None
    if clip.audio is not None:
        clean = _read_audio(path)
        noise, files, start = draw_noise(len(clean), names, read, rng)
        mixed, gain, scale = mix(clean, noise, snr_db)
        audio = mixed.astype(np.float32)
        done |= {
            "snr_db": snr_db,
            "noise_files": files,
            "noise_start_sample": start,
            "noise_gain": gain,
            "scale": scale,
        }
    stored = ClipFormat()
    if target.suffix == ".mp4":
        stored = ClipFormat(video_codec="mpeg4", video_options={"qmin": "2", "qmax": "3"})
    half = target.with_name(f".{target.name}.half{target.suffix}")
    try:
        images = None if clip.video is None else _blurred(clip, factor)
        fps = 25.0 if clip.video is None else clip.video.fps
        write_clip(half, images, fps, audio, sample_rate_hz=SAMPLE_RATE_HZ, stored=stored)
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)
    return done


def _read_audio(path: Path) -> Samples:
    from emotion_llama.media.audio import read_audio
    from emotion_llama.media.probe import probe

    return read_audio(probe(path), sample_rate_hz=SAMPLE_RATE_HZ).samples.astype(np.float64)


def _blurred(clip: Clip, factor: int) -> Iterator[UInt8]:
    from emotion_llama.media.frames import iter_frames

    for frames in iter_frames(clip):
        for image in frames.images:
            yield blur(image, factor)
