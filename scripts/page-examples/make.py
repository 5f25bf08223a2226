"""Make the example clips of the web page, their words, posters and list, from the clips in examples/.

Run: `python scripts/page-examples/make.py`. The committed files under src/emotion_llama/serve/web/examples were made by
it. The astronaut is a portrait in the public domain with a synthetic voice; all other people are rendered.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from emotion_llama.media.audio import read_audio
from emotion_llama.media.frames import frame_at, iter_frames
from emotion_llama.media.probe import probe
from emotion_llama.media.writing import ClipFormat, write_clip

ROOT = Path(__file__).parents[2]
REAL = ROOT / "examples" / "clips" / "astronaut.mp4"
SYNTH = ROOT / "examples" / "synth"
OUT = ROOT / "src" / "emotion_llama" / "serve" / "web" / "examples"
POSTER_HEIGHT = 216

# name -> (clip, the clip beside it on the right, time of the poster)
CLIPS = {
    "smile": (REAL, None, 2.2),
    "brave-face": (SYNTH / "clips" / "test-00002.mp4", None, 3.0),
    "two-people": (SYNTH / "clips" / "test-00004.mp4", SYNTH / "clips" / "test-00003.mp4", 2.5),
    "surprise": (SYNTH / "clips" / "test-00005.mp4", None, 2.4),
    "out-of-view": (SYNTH / "clips" / "test-00000.mp4", None, 0.5),
}
WITHOUT_WORDS = ("out-of-view",)  # silent and faceless: with no words either, nothing can be said


def main() -> None:
    """Write everything."""
    OUT.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, (clip, beside, poster_seconds) in CLIPS.items():
        if beside is None:
            shutil.copyfile(clip, OUT / f"{name}.mp4")
        else:
            write_pair(OUT / f"{name}.mp4", clip, beside)
        entry = {"name": name, "clip": f"{name}.mp4", "poster": f"{name}.jpg", "words": None}
        if name not in WITHOUT_WORDS:
            (OUT / f"{name}.srt").write_text(words(clip), encoding="utf-8")
            entry["words"] = f"{name}.srt"
        write_poster(name, poster_seconds)
        listed.append(entry)
    (OUT / "examples.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


def words(clip: Path) -> str:
    """What is said in the clip, as SubRip."""
    if clip == REAL:
        return clip.with_suffix(".srt").read_text(encoding="utf-8")
    truth = json.loads((SYNTH / "truth" / f"{clip.stem}.json").read_text(encoding="utf-8"))
    start, end = (f"00:00:{seconds:06.3f}".replace(".", ",") for seconds in truth["speech_seconds"])
    return f"1\n{start} --> {end}\n{truth['text']}\n"


def write_pair(target: Path, left: Path, right: Path) -> None:
    """Two clips side by side, with the sound of the left one."""
    clips = [probe(path) for path in (left, right)]
    first, second = (np.concatenate([chunk.images for chunk in iter_frames(clip)]) for clip in clips)
    count = min(len(first), len(second))
    images = np.concatenate([first[:count], second[:count]], axis=2)
    sound = read_audio(clips[0])
    stored = ClipFormat(video_options={"preset": "veryslow", "crf": "24"}, container_options={"movflags": "faststart"})
    assert clips[0].video is not None
    write_clip(
        target,
        images,
        fps=clips[0].video.fps,
        audio=sound.samples,
        sample_rate_hz=sound.sample_rate_hz,
        stored=stored,
    )


def write_poster(name: str, seconds: float) -> None:
    """A small picture of the clip at a telling moment."""
    picture = frame_at(probe(OUT / f"{name}.mp4"), seconds).images[0]
    width = round(picture.shape[1] * POSTER_HEIGHT / picture.shape[0])
    small = cv2.resize(picture, (width, POSTER_HEIGHT), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(OUT / f"{name}.jpg"), small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
