"""Speech to text by an optional recogniser, guarded against words that nobody said."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.records import Transcript, TranscriptLine, VoiceTrack, Waveform
from emotion_llama.speech.voice_track import SAMPLE_RATE_HZ, measure_voice

INSTALL = 'pip install "emotion-llama[asr]"'

# OpenAI's own rule (whisper/transcribe.py, defaults no_speech_threshold and logprob_threshold): both must hold.
MAX_NO_SPEECH_PROBABILITY = 0.6
MIN_MEAN_LOG_PROBABILITY = -1.0


class HeardLine(NamedTuple):
    """One line as a recogniser gives it, times in seconds from the start of the waveform."""

    text: str
    start_seconds: float
    end_seconds: float
    mean_log_probability: float
    no_speech_probability: float


class Heard(NamedTuple):
    """All lines, and the language they are in (ISO 639-1) where the recogniser says so."""

    lines: tuple[HeardLine, ...]
    language: str | None


class Recogniser(Protocol):
    """Anything that turns sound into lines of text."""

    def recognise(self, waveform: Waveform, language: str | None) -> Heard:
        """Lines of mono sound at 16 kHz; `language` None: find it."""


class FasterWhisper:
    """Whisper on CTranslate2 (SYSTRAN/faster-whisper 1.x).

    Args:
        model: a folder with a converted model (model.bin, config.json, tokenizer.json, vocabulary).
        allow_download: let a name such as "small" be fetched from the Hugging Face Hub instead.
        device: "auto", "cpu" or "cuda".

    Raises:
        MissingDependency: faster-whisper is not installed.
        InputError: `model` is no folder and downloading was not allowed, or the folder holds no model.
        BackendError: the model cannot be loaded.
    """

    def __init__(self, model: str | Path, *, allow_download: bool = False, device: str = "auto") -> None:
        try:
            package = import_module("faster_whisper")
        except ImportError as error:
            raise MissingDependency("faster-whisper", "speech recognition", INSTALL) from error
        if not allow_download:
            _check_folder(Path(model))
        try:
            self._model = package.WhisperModel(
                str(model), device=device, compute_type="default", local_files_only=not allow_download
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise BackendError(f"faster-whisper cannot load {model}: {error}") from error

    def recognise(self, waveform: Waveform, language: str | None) -> Heard:
        """See Recogniser; the segments are produced lazily, so this is where the work is done."""
        # Without condition_on_previous_text a wrong line cannot breed copies of itself in the next windows.
        segments, info = self._model.transcribe(waveform.samples, language=language, condition_on_previous_text=False)
        lines = tuple(HeardLine(s.text.strip(), s.start, s.end, s.avg_logprob, s.no_speech_prob) for s in segments)
        return Heard(lines, info.language)


RECOGNISERS: dict[str, Callable[..., Recogniser]] = {"faster-whisper": FasterWhisper}


def transcribe(
    waveform: Waveform,
    *,
    model: str | Path,
    backend: str = "faster-whisper",
    language: str | None = None,
    voice: VoiceTrack | None = None,
    allow_download: bool = False,
) -> Transcript:
    """What is said in a waveform, with times from the start of the file; no lines where nothing is said.

    A line is dropped when the recogniser itself takes it for silence (no-speech probability above 0.6 with a mean log
    probability under -1), when it has no text, or when no speech was measured where it is said to be.

    Args:
        waveform: mono, 16 kHz.
        model: folder of the model, or a name where `allow_download`.
        backend: a key of RECOGNISERS.
        language: ISO 639-1 code; None lets the recogniser find it.
        voice: measurements that cover the waveform; measured here when None.
        allow_download: fetch a model that is not there. Nothing is ever fetched otherwise.

    Raises:
        InputError: unknown backend, another sample rate, or no model folder.
        MissingDependency: the backend's package is not installed.
        BackendError: the model cannot be loaded.
    """
    if backend not in RECOGNISERS:
        raise InputError(f"unknown recogniser {backend!r}; choose from {', '.join(RECOGNISERS)}")
    if waveform.sample_rate_hz != SAMPLE_RATE_HZ:
        raise InputError(f"recognition needs {SAMPLE_RATE_HZ} Hz, got {waveform.sample_rate_hz} Hz; resample the sound")
    recogniser = RECOGNISERS[backend](model, allow_download=allow_download)
    if voice is None:
        voice = measure_voice([waveform])
    heard = recogniser.recognise(waveform, language)
    offset = waveform.start_seconds
    lines = [
        TranscriptLine(line.text, offset + line.start_seconds, offset + line.end_seconds)
        for line in heard.lines
        if is_said(line, voice, offset)
    ]
    return Transcript(tuple(lines), backend, heard.language)


def is_said(line: HeardLine, voice: VoiceTrack, offset_seconds: float) -> bool:
    """Whether a line is to be believed."""
    doubted = (
        line.no_speech_probability > MAX_NO_SPEECH_PROBABILITY and line.mean_log_probability < MIN_MEAN_LOG_PROBABILITY
    )
    if doubted or not line.text:
        return False
    there = voice.between(offset_seconds + line.start_seconds, offset_seconds + line.end_seconds)
    return bool(there.is_speech.any())


def _check_folder(model: Path) -> None:
    if not model.is_dir():
        raise InputError(
            f"{model} is no folder; give a folder with a converted Whisper model (model.bin, config.json, …), "
            "or allow the download by name"
        )
    if not (model / "model.bin").is_file():
        raise InputError(f"{model} holds no model.bin; expected a Whisper model converted for CTranslate2")
