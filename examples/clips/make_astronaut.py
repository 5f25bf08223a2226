"""Make astronaut.mp4 and astronaut.srt: a smiling face in the public domain, panned and zoomed, with a synthetic voice.

Picture: NASA's portrait of astronaut Eileen Collins (public domain), as scikit-image distributes it.
Voice: espeak-ng (`apt-get install espeak-ng`). The sentence is made up; it is no statement of hers.
Run: `make example`. The committed files were made by this script; nothing else needs it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from emotion_llama.media.audio import read_audio
from emotion_llama.media.probe import probe
from emotion_llama.media.writing import ClipFormat, write_clip

HERE = Path(__file__).parent
SENTENCES = ((0.4, "What a wonderful day!"), (2.6, "I am so happy, I can't wait to fly."))
FPS = 25
DURATION_SECONDS = 6.0
SIZE = (640, 480)  # width, height
FACE_CENTRE = (224.0, 130.0)  # in the 512 x 512 portrait
SAMPLE_RATE_HZ = 16_000


def frames() -> np.ndarray:
    """[N, 480, 640, 3]: from the upper body to the head and a little to the side."""
    portrait = data.astronaut()
    count = round(DURATION_SECONDS * FPS)
    images = []
    for t in np.linspace(0.0, 1.0, count):
        ease = t * t * (3 - 2 * t)
        width = 480 - 200 * ease
        height = width * SIZE[1] / SIZE[0]
        x = np.clip(FACE_CENTRE[0] + 30 * np.sin(2 * np.pi * t), width / 2, 512 - width / 2)
        y = np.clip(FACE_CENTRE[1] + 60 * (1 - ease), height / 2, 512 - height / 2)
        scale = SIZE[0] / width
        move = np.array([[scale, 0, SIZE[0] / 2 - scale * x], [0, scale, SIZE[1] / 2 - scale * y]])
        images.append(cv2.warpAffine(portrait, move, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))
    return np.stack(images)


def speak(text: str) -> np.ndarray:
    """[S] float32 at 16 kHz: one sentence in a lively voice."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        sys.exit("make_astronaut.py needs espeak-ng; run: apt-get install espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.wav"
        subprocess.run([espeak, "-v", "en-us+f3", "-p", "70", "-s", "165", "-w", str(path), text], check=True)
        return read_audio(probe(path)).samples


def voice() -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    """The sound of the whole clip, and when each sentence is heard."""
    sound = np.zeros(round(DURATION_SECONDS * SAMPLE_RATE_HZ), np.float32)
    lines = []
    for start, text in SENTENCES:
        spoken = speak(text)
        first = round(start * SAMPLE_RATE_HZ)
        sound[first : first + len(spoken)] += 0.7 * spoken[: len(sound) - first]
        lines.append((start, start + len(spoken) / SAMPLE_RATE_HZ, text))
    return sound, lines


def srt_time(seconds: float) -> str:
    """`HH:MM:SS,mmm`."""
    ms = round(1000 * seconds)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def main() -> None:
    """Write both files beside this script."""
    sound, lines = voice()
    stored = ClipFormat(video_options={"preset": "veryslow", "crf": "24"}, container_options={"movflags": "faststart"})
    write_clip(HERE / "astronaut.mp4", frames(), fps=FPS, audio=sound, sample_rate_hz=SAMPLE_RATE_HZ, stored=stored)
    blocks = [f"{i}\n{srt_time(a)} --> {srt_time(b)}\n{text}\n" for i, (a, b, text) in enumerate(lines, 1)]
    (HERE / "astronaut.srt").write_text("\n".join(blocks), encoding="utf-8")


if __name__ == "__main__":
    main()
