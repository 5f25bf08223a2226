"""How well a Whisper model is read: word and character errors on spoken sentences, and text invented where none is.

    pip install "emotion-llama[asr]"; apt-get install espeak-ng
    python benchmarks/speech_recognition.py MODEL_DIR [FOLDER of clips, for languages and dropped lines]

The sentences are spoken by espeak-ng, a formant synthesiser: harder than a person for a model that learned from people,
so that the rates compare models and settings, and say little of real speech. "Raw" is what the model gives, "kept" what
the guard against invented text leaves. A word error rate counts substituted, left out and added words in 100 spoken.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emotion_llama.media.audio import read_audio
from emotion_llama.media.discover import find_media
from emotion_llama.media.probe import probe
from emotion_llama.records import Transcript, Waveform
from emotion_llama.speech.transcribe import FasterWhisper, Heard, Recogniser, transcribe

SENTENCES = {
    "en": (
        "I am very happy to see you again after all these years.",
        "Leave me alone, I do not want to talk about it.",
        "She was afraid of the dark when she was a little girl.",
        "We have to finish the report before the meeting on Monday.",
        "Nobody told me that the train was late this morning.",
        "The children are playing in the garden behind the house.",
        "I cannot believe that you forgot my birthday.",
        "Please open the window, it is very warm in here.",
        "My brother bought a new car last week.",
        "Are you sure that this is the right way to the station?",
    ),
    "zh": (
        "我今天非常高兴能见到你。",
        "请你不要再给我打电话了。",
        "他昨天晚上没有回家吃饭。",
        "孩子们正在花园里玩。",
        "我不相信你说的话。",
        "明天早上我们一起去学校。",
        "她听到这个消息以后哭了很久。",
        "这件事情跟你没有关系。",
        "外面下雨了,你带伞了吗?",
        "谢谢你帮了我这么多。",
    ),
}
VOICES = {"en": ("en-us",), "zh": ("cmn",)}
SPEED = 140  # words a minute


class Kept:
    """A recogniser that keeps what it heard last, before the guard."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.name, self.find_speech, self._recognise = recogniser.name, recogniser.find_speech, recogniser.recognise
        self.heard = Heard((), None)

    def recognise(self, waveform: Waveform, language: str | None) -> Heard:
        """See Recogniser."""
        self.heard = self._recognise(waveform, language)
        return self.heard


def main() -> None:
    """Print the tables."""
    recogniser = Kept(FasterWhisper(sys.argv[1]))
    for language, sentences in SENTENCES.items():
        _print_errors(recogniser, language, sentences)
    _print_invented(recogniser)
    for path in find_media([Path(folder) for folder in sys.argv[2:]]):
        _print_clip(recogniser, path)


def errors(spoken: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest substituted, left out and added items (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(spoken, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def _items(text: str, language: str) -> list[str]:
    """Words, or characters of a language that is written without blanks."""
    plain = re.sub(r"[^\w\s']", " ", text.lower())
    return re.findall(r"\w", plain) if language == "zh" else plain.split()


def _print_errors(recogniser: Kept, language: str, sentences: Sequence[str]) -> None:
    counts = dict.fromkeys(("items", "raw", "kept", "named"), 0)
    detected, seconds, audio = 0, 0.0, 0.0
    for voice in VOICES[language]:
        for sentence in sentences:
            sound = _speak(sentence, voice)
            spoken, began = _items(sentence, language), time.perf_counter()
            recogniser.heard = Heard((), None)
            found = transcribe(sound, recogniser)
            seconds, audio = seconds + time.perf_counter() - began, audio + sound.duration_seconds
            detected += found.language == language
            raw = " ".join(line.text for line in recogniser.heard.lines)
            named = transcribe(sound, recogniser, language=language).text
            counts["items"] += len(spoken)
            for name, text in (("raw", raw), ("kept", found.text), ("named", named)):
                counts[name] += errors(spoken, _items(text, language))
    total = len(sentences) * len(VOICES[language])
    rates = ", ".join(f"{name} {100 * counts[name] / counts['items']:.1f} %" for name in ("raw", "kept", "named"))
    what = "characters" if language == "zh" else "words"
    print(f"{language}: {total} sentences, {counts['items']} {what}; errors: {rates} (named: the language is given)")
    print(f"    language detected in {detected} of {total}; {seconds / audio:.2f} s of work a second of speech")


def _print_invented(recogniser: Kept) -> None:
    """Text where nobody speaks."""
    seconds, rate = 20.0, 16_000
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0)
    chord = sum(np.sin(2 * np.pi * hz * times) for hz in (220.0, 277.2, 329.6))
    melody = np.sin(2 * np.pi * np.cumsum(220.0 * 2 ** (noise.integers(0, 13, 80).repeat(rate // 4) / 12)) / rate)
    beats = np.exp(-8.0 * (2 * times % 1.0))
    sounds = {
        "silence": np.zeros_like(times),
        "noise": 0.1 * noise.standard_normal(len(times)),
        "a chord with a beat": 0.1 * chord * beats,
        "a melody": 0.3 * melody * beats,
    }
    for name, samples in sounds.items():
        sound, began = Waveform(samples.astype(np.float32), rate), time.perf_counter()
        found = transcribe(sound, recogniser)
        work = time.perf_counter() - began
        raw = sum(line.end_seconds - line.start_seconds for line in recogniser.recognise(sound, None).lines)  # of all
        print(
            f"{seconds:.0f} s of {name}: text over {raw:.1f} s raw, {_covered(found):.1f} s kept; {work:.2f} s of work"
        )


def _print_clip(recogniser: Kept, path: Path) -> None:
    clip = probe(path)
    if clip.audio is None:
        return
    found = transcribe(read_audio(clip), recogniser)
    print(f"{path.name}: {found.language} {found.language_probability or 0:.2f}, {found.text}")
    for note in found.notes:
        print(f"    {note}")


def _covered(found: Transcript) -> float:
    return sum((line.end_seconds or 0.0) - (line.start_seconds or 0.0) for line in found.lines)


def _speak(sentence: str, voice: str) -> Waveform:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", str(SPEED), "-w", str(path), sentence], check=True)
        return read_audio(probe(path))


if __name__ == "__main__":
    main()
