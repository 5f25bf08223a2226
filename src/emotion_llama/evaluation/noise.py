"""Corrupted copies of clips as in MER2024-NOISE: speech of others under the sound, blurred pictures (`corruption`).

Unlike the challenge's script, which draws without a seed, what is drawn here follows from the seed and the clip's name
alone, so that neither the order of the clips nor an interruption changes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.evaluation.corruption import (
    BLUR_FACTORS,
    SNRS_DB,
    Draw,
    Mixture,
    NoisePart,
    Samples,
    blur,
    draw,
    draw_noise,
    mix,
)
from emotion_llama.records import Clip, Float, UInt8

SAMPLE_RATE_HZ = 16_000
MANIFEST = "noise.jsonl"
SUFFIXES = (".mp4", ".mkv")
_MOST_KEPT = 16  # noise files in memory: MUSAN's speech lasts ten minutes a file, 77 MB as float64

Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class NoiseRecord:
    """A line of the manifest: what was done to one clip, or why nothing was.

    Attributes:
        name: of the clip, without suffix.
        seed: of the run.
        path: of the result, relative to the manifest; None where there is none.
        snr_db: of the mixture before any codec; None for a clip without sound.
        blur_factor: None for a clip without pictures.
        noise_files: relative to the folder of noise, in the order in which they were joined.
        noise_start_sample: where in the joined noise the clip's part begins, at 16 kHz.
        noise_gain: what the noise was multiplied with.
        scale: what the mixture was multiplied with to stay within 16 bits; 1 mostly.
        problem: why there is no result.
    """

    name: str
    seed: int
    path: str | None = None
    snr_db: int | None = None
    blur_factor: int | None = None
    noise_files: tuple[str, ...] = ()
    noise_start_sample: int | None = None
    noise_gain: float | None = None
    scale: float | None = None
    problem: str | None = None


class NoiseFiles:
    """The noise of a folder, as mono sound at 16 kHz; files that were read last are kept."""

    def __init__(self, folder: str | Path) -> None:
        """Find the files.

        Raises:
            InputError: the folder holds no media.
        """
        from emotion_llama.media.discover import find_media

        self.folder = Path(folder)
        found = [path for path in find_media([self.folder]) if path.is_file()] if self.folder.is_dir() else []
        self.names = tuple(sorted(path.relative_to(self.folder).as_posix() for path in found))
        if not self.names:
            raise InputError(
                f"{folder} holds no sound files; give a folder of noise, as MUSAN's speech/ (openslr.org/17)"
            )
        self._kept: dict[str, Samples] = {}

    def __call__(self, name: str) -> Samples:
        """The samples of a file.

        Raises:
            MediaError: it cannot be read.
        """
        from emotion_llama.media.audio import read_audio
        from emotion_llama.media.probe import probe

        if name not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            waveform = read_audio(probe(self.folder / name), sample_rate_hz=SAMPLE_RATE_HZ)
            self._kept[name] = waveform.samples.astype(np.float64)
        return self._kept[name]


def corrupt_clips(
    clips: Iterable[str | Path],
    noise_folder: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    snrs_db: Sequence[int] = SNRS_DB,
    blur_factors: Sequence[int] = BLUR_FACTORS,
    suffix: str = ".mp4",
    progress: Progress | None = None,
) -> list[NoiseRecord]:
    """Write a corrupted copy of every clip, and `noise.jsonl`, which says what was done to each.

    Args:
        clips: media files; their names without suffix must differ.
        noise_folder: sound files of speech.
        out: a new or empty folder.
        seed: of all that is drawn.
        snrs_db: signal-to-noise ratios to draw from.
        blur_factors: powers of two to draw from.
        suffix: ".mp4" (MPEG-4 and AAC, as the challenge has it) or ".mkv" (H.264 and lossless FLAC).
        progress: called after every clip with the number done and its name.

    Returns:
        A record for each clip, in order; a clip that cannot be read has a problem and no file.

    Raises:
        InputError: an option cannot be used, names are doubled, there is no noise, or `out` is not empty.
    """
    from emotion_llama.files import make_folder

    paths = [Path(path) for path in clips]
    if doubled := sorted({p.stem for p in paths if sum(q.stem == p.stem for q in paths) > 1}):
        raise InputError(f"two clips are called {doubled[0]!r}; results are named by their clips")
    if suffix not in SUFFIXES:
        raise InputError(f"suffix is {suffix!r}, expected one of: {', '.join(SUFFIXES)}")
    draw("", seed, snrs_db=snrs_db, blur_factors=blur_factors)
    noise, folder = NoiseFiles(noise_folder), make_folder(Path(out))
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; give a new folder")
    records = []
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for number, path in enumerate(paths, 1):
            what = draw(path.stem, seed, snrs_db=snrs_db, blur_factors=blur_factors)
            try:
                record = _corrupt(path, folder / f"{path.stem}{suffix}", what, noise, seed)
            except EmotionLlamaError as error:
                record = NoiseRecord(path.stem, seed, problem=str(error))
            records.append(record)
            manifest.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
            manifest.flush()
            if progress is not None:
                progress(number, path.stem)
    return records


def _corrupt(path: Path, target: Path, what: Draw, noise: NoiseFiles, seed: int) -> NoiseRecord:
    from emotion_llama.media.probe import probe
    from emotion_llama.media.writing import ClipFormat, write_clip

    clip = probe(path)
    said: dict[str, object] = {}
    sound: Float | None = None
    if clip.audio is not None:
        mixture, part = _mixed(clip, what, noise)
        sound = mixture.samples.astype(np.float32)
        said = {
            "snr_db": what.snr_db,
            "noise_files": part.files,
            "noise_start_sample": part.start_sample,
            "noise_gain": mixture.noise_gain,
            "scale": mixture.scale,
        }
    images = None if clip.video is None else _blurred(clip, what.blur_factor)
    stored = (
        ClipFormat(video_codec="mpeg4", video_options={"qmin": "2", "qmax": "3"})
        if target.suffix == ".mp4"
        else ClipFormat()
    )
    half = target.with_name(f".{target.name}.half{target.suffix}")
    try:
        fps = 25.0 if clip.video is None else clip.video.fps
        write_clip(half, images, fps, sound, sample_rate_hz=SAMPLE_RATE_HZ, stored=stored)
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)
    blur_factor = None if clip.video is None else what.blur_factor
    return _record(path.stem, seed, target.name, blur_factor, said)


def _record(name: str, seed: int, path: str, blur_factor: int | None, said: Mapping[str, object]) -> NoiseRecord:
    return NoiseRecord(name, seed, path, blur_factor=blur_factor, **said)  # type: ignore[arg-type]


def _mixed(clip: Clip, what: Draw, noise: NoiseFiles) -> tuple[Mixture, NoisePart]:
    from emotion_llama.media.audio import read_audio

    clean = read_audio(clip, sample_rate_hz=SAMPLE_RATE_HZ).samples.astype(np.float64)
    part = draw_noise(len(clean), noise.names, noise, what.rng)
    return mix(clean, part.samples, what.snr_db), part


def _blurred(clip: Clip, factor: int) -> Iterator[UInt8]:
    from emotion_llama.media.frames import iter_frames

    for frames in iter_frames(clip):
        for image in frames.images:
            yield blur(image, factor)
