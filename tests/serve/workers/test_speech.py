"""Speech recognition in a confined child: the model is loaded once, before the child is closed off."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.analysis.options import Options
from emotion_llama.media.writing import write_clip
from emotion_llama.serve.workers.pool import MeasuringPool

# A package with faster-whisper's names; it says in its words how often it was loaded in this process.
STAND_IN = """
from types import SimpleNamespace

class WhisperModel:
    loaded = 0

    def __init__(self, *args, **options):
        type(self).loaded += 1

    def transcribe(self, audio, language=None, **options):
        text = f"I am happy, loaded {self.loaded} time"
        line = dict(text=text, start=0.0, end=1.0, avg_logprob=-0.1, no_speech_prob=0.0, compression_ratio=1.0)
        return [SimpleNamespace(**line, words=None)], SimpleNamespace(language="en", language_probability=0.9)
"""
VAD = "def get_speech_timestamps(audio, **options):\n    return [{'start': 0, 'end': len(audio)}]\n"


@pytest.mark.process
def test_clips_without_words_are_recognised_by_one_loaded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, model = tmp_path / "packages" / "faster_whisper", tmp_path / "whisper"
    for folder in (package, model):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    (package / "vad.py").write_text(VAD)
    (model / "model.bin").touch()
    monkeypatch.setenv("PYTHONPATH", str(package.parent), prepend=":")
    clip = tmp_path / "talk.wav"
    sound = (0.1 * np.sin(np.arange(32_000) / 9)).astype(np.float32)
    write_clip(clip, None, audio=sound, sample_rate_hz=16_000)
    asked = Options(asr_model=model, asr_fallback=True)

    async def run() -> list[dict[str, object]]:
        async with MeasuringPool(1, asr_model=model) as pool:
            found = [await pool.analyze(clip, one) for one in (asked, asked, Options("Given.", asr_model=model,
                     asr_fallback=True))]  # fmt: skip
        return [json.loads(one.document_json) for one in found]

    documents = asyncio.run(run())
    words = [one["people"][0]["segments"][0]["evidence"]["transcript"] for one in documents]  # type: ignore[index]
    assert [one["lines"][0]["text"] for one in words] == [*["I am happy, loaded 1 time"] * 2, "Given."]
    assert (words[0]["source"], words[0]["language_probability"]) == ("faster-whisper", 0.9)
    assert documents[0]["settings"]["asr_model"] == "whisper"  # type: ignore[index]
