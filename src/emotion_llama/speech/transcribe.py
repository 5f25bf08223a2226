"""Speech to text by an optional recogniser: only where somebody speaks, and guarded against words that nobody said."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.records import Transcript, TranscriptLine, Waveform
from emotion_llama.speech.voice_track import SAMPLE_RATE_HZ

INSTALL = 'pip install "emotion-llama[asr]"'

Span = tuple[float, float]  # start and end, seconds

# A decoding is tried again at the next temperature while Whisper's own two thresholds fail (Radford et al., 2022,
# section 4.5). The published six tries take half a minute for a window that has no words; the last ones find none.
TEMPERATURES = (0.0, 0.2, 0.4)
# A loop ends at what can be said in the time: fast Chinese has 10 tokens a second. Whisper's own limit is for 30 s.
TOKENS_PER_SECOND, MAX_TOKENS = 15, 224
MAX_COMPRESSION_RATIO = 2.4  # section 4.5: a text that gzip makes this much smaller repeats itself
MIN_MEAN_LOG_PROBABILITY = -1.0  # section 4.5
MAX_NO_SPEECH_PROBABILITY = 0.6  # section 4.5
# Own: a likely silence, or an early loop, needs less doubt beside it than either alone.
DOUBTFUL_LOG_PROBABILITY = -0.5
MIN_LOOPS, MAX_LOOPS = 3, 8
MIN_WORD_CONFIDENCE = 0.35  # mean of a line's words
# Twice what fast speech has: 7 syllables (Chinese: characters), 16 letters a second.
MAX_CHARACTERS_PER_SECOND, MAX_LETTERS_PER_SECOND = 14.0, 32.0
MIN_LANGUAGE_PROBABILITY = 0.5

# Stretches of speech closer than this are heard as one, and words on both sides of a longer pause are two lines.
PAUSE_SECONDS = 0.5
LINE_PAUSE_SECONDS = 1.0
PAD_SECONDS = 0.2  # kept around a stretch: soft beginnings and endings
_MAX_NAMED = 5  # lines that are named one by one when they are dropped

# What a recogniser that learned from captions of videos writes where nothing is said.
_CAPTION = re.compile(
    r"^\W*(?:thank(?:s| you)(?: so much| very much)? for (?:watching|listening)|"
    r"(?:please )?(?:like and )?subscribe\b.*|"
    r"(?:subtitles?|captions?|transcri\w+) by\b.*|.*\bamara\.org\b.*|.*字幕(?:由|志愿|志願|组|組|提供).*|"
    r".*请不吝点赞.*|.*請不吝點贊.*|(?:谢谢|感谢|謝謝|感謝)(?:您的|你的|大家)?(?:观看|收看|觀看|收听|收聽).*|"
    r"ご視聴ありがとうございました|시청해\s*주셔서\s*감사합니다|продолжение следует.*|.*субтитры\b.*)\W*$",
    re.IGNORECASE,
)


class Word(NamedTuple):
    """A recognised word, or a part of one in scripts without blanks; how sure the recogniser is of it, 0..1."""

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float


class HeardLine(NamedTuple):
    """One line as a recogniser gives it, times in seconds from the start of the waveform it was given."""

    text: str
    start_seconds: float
    end_seconds: float
    mean_log_probability: float
    no_speech_probability: float
    compression_ratio: float = 1.0
    words: tuple[Word, ...] = ()


class Heard(NamedTuple):
    """All lines, and the language they are in (ISO 639-1) where the recogniser says so."""

    lines: tuple[HeardLine, ...]
    language: str | None
    language_probability: float | None = None


class Recogniser(Protocol):
    """Anything that finds speech and turns it into lines of text."""

    name: str

    def find_speech(self, waveform: Waveform) -> list[Span]:
        """Stretches in which somebody speaks, in seconds of the waveform's samples, in order and apart."""

    def recognise(self, waveform: Waveform, language: str | None) -> Heard:
        """Lines of mono sound at 16 kHz; `language` None: find it."""


class FasterWhisper:
    """Whisper on CTranslate2 (SYSTRAN/faster-whisper 1.x), with the voice activity detector that it brings.

    Args:
        model: a folder with a converted model (model.bin, config.json, tokenizer.json, vocabulary); nothing is fetched.

    Raises:
        MissingDependency: faster-whisper is not installed.
        InputError: the folder holds no model.
        BackendError: the model cannot be loaded.
    """

    name = "faster-whisper"

    def __init__(self, model: str | Path) -> None:
        try:
            package = import_module("faster_whisper")
        except ImportError as error:
            raise MissingDependency("faster-whisper", "speech recognition", INSTALL) from error
        _check_folder(Path(model))
        try:
            self._model = package.WhisperModel(str(model), device="auto", compute_type="default", local_files_only=True)
        except (RuntimeError, ValueError, OSError) as error:
            raise BackendError(f"faster-whisper cannot load {model}: {error}") from error
        self._find = import_module("faster_whisper.vad").get_speech_timestamps

    def find_speech(self, waveform: Waveform) -> list[Span]:
        """See Recogniser; a learned detector, which takes music and tones for silence, and hears whispering."""
        found = self._find(
            waveform.samples,
            min_silence_duration_ms=round(1000 * PAUSE_SECONDS),
            speech_pad_ms=round(1000 * PAD_SECONDS),
        )
        return [(one["start"] / SAMPLE_RATE_HZ, one["end"] / SAMPLE_RATE_HZ) for one in found]

    def recognise(self, waveform: Waveform, language: str | None) -> Heard:
        """See Recogniser; the segments are produced lazily, so this is where the work is done."""
        try:
            # Without condition_on_previous_text a wrong line cannot breed copies of itself in the next windows.
            segments, info = self._model.transcribe(
                waveform.samples,
                language=language,
                condition_on_previous_text=False,
                word_timestamps=True,
                temperature=TEMPERATURES,
                max_new_tokens=min(MAX_TOKENS, round(20 + TOKENS_PER_SECOND * waveform.duration_seconds)),
                language_detection_segments=4,  # until one is sure, else the one that most of them find
            )
            lines = tuple(_heard(segment) for segment in segments)
        except ValueError as error:
            if language is None:
                raise
            raise InputError(f"the language {language!r} cannot be recognised: {error}") from error
        return Heard(lines, info.language, None if language is not None else float(info.language_probability))


def transcribe(waveform: Waveform, recogniser: Recogniser, *, language: str | None = None) -> Transcript:
    """What is said in a waveform, with times from the start of the file; no lines where nothing is said.

    The recogniser is given the stretches with speech alone, one behind the other. Its lines are dropped where they
    repeat themselves, where it was not sure, where it takes them for silence, where nobody can speak so fast, and where
    they are credits of videos. The notes say how many lines and seconds were dropped, and why, and how sure the
    language is.

    Args:
        waveform: mono, 16 kHz.
        recogniser: such as `FasterWhisper`.
        language: ISO 639-1 code; None lets the recogniser find it.

    Raises:
        InputError: another sample rate, or a language that the model does not know.
    """
    if waveform.sample_rate_hz != SAMPLE_RATE_HZ:
        raise InputError(f"recognition needs {SAMPLE_RATE_HZ} Hz, got {waveform.sample_rate_hz} Hz; resample the sound")
    spans = recogniser.find_speech(waveform)
    if not spans:
        return Transcript((), recogniser.name, language, (f"{recogniser.name}: no speech was found to recognise",))
    heard = recogniser.recognise(_joined(waveform, spans), language)
    lines: list[TranscriptLine] = []
    dropped: list[tuple[TranscriptLine, str]] = []
    for line in heard.lines:
        why = why_not_said(line)
        for part in _at_their_times(line, spans, waveform.start_seconds):
            if part.text:
                lines.append(part) if why is None else dropped.append((part, why))
    notes = [*_language_notes(recogniser.name, heard), *_dropped_notes(recogniser.name, dropped)]
    return Transcript(tuple(lines), recogniser.name, heard.language, tuple(notes), heard.language_probability)


def why_not_said(line: HeardLine) -> str | None:
    """Why a line is not to be believed; None where it is."""
    sure = line.mean_log_probability
    if _CAPTION.match(line.text):
        return "it is a credit of videos, which recognisers write where nothing is said"
    if line.compression_ratio > MAX_COMPRESSION_RATIO:
        return f"it repeats itself (compression ratio {line.compression_ratio:.1f})"
    loops = repeats(line.text)
    if loops >= MAX_LOOPS or (loops >= MIN_LOOPS and sure < DOUBTFUL_LOG_PROBABILITY):
        return f"it repeats itself ({loops} times)"
    if line.no_speech_probability > MAX_NO_SPEECH_PROBABILITY and sure < DOUBTFUL_LOG_PROBABILITY:
        return f"the recogniser takes it for silence ({line.no_speech_probability:.0%})"
    if sure < MIN_MEAN_LOG_PROBABILITY:
        return f"the recogniser was not sure of it (mean log-probability {sure:.1f})"
    confidence = _confidence(line.words)
    if confidence is not None and confidence < MIN_WORD_CONFIDENCE:
        return f"the recogniser was not sure of its words ({confidence:.0%})"
    if _speed(line) > 1:
        return "nobody speaks so fast"
    return None


def repeats(text: str) -> int:
    """How many times a text says one thing over, where it says nothing else; 1 where it does not repeat itself.

    >>> repeats("No! No! No!"), repeats("哈哈哈哈"), repeats("no, he said no")
    (3, 4, 1)
    """
    plain = re.sub(r"[\W_]+", "", text.lower())
    for length in range(1, len(plain) // 2 + 1):
        count, rest = divmod(len(plain), length)
        if plain == plain[:length] * count + plain[:rest]:  # a loop may be cut off
            return count
    return 1


def _heard(segment: object) -> HeardLine:
    """A segment of faster-whisper."""
    get = partial(getattr, segment)
    words = tuple(Word(w.word, float(w.start), float(w.end), float(w.probability)) for w in get("words") or ())
    start, end = (words[0].start_seconds, words[-1].end_seconds) if words else (get("start"), get("end"))
    doubts = (get("avg_logprob"), get("no_speech_prob"), get("compression_ratio"))
    return HeardLine(get("text").strip(), start, end, *doubts, words)


def _speed(line: HeardLine) -> float:
    """Speed as a share of what is possible."""
    seconds = max(line.end_seconds - line.start_seconds, PAUSE_SECONDS)
    wide = len(re.findall("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", line.text))
    letters = sum(c.isalpha() for c in line.text) - wide
    return (wide / MAX_CHARACTERS_PER_SECOND + letters / MAX_LETTERS_PER_SECOND) / seconds


def _confidence(words: Sequence[Word]) -> float | None:
    return float(np.mean([word.confidence for word in words])) if words else None


# --- times --------------------------------------------------------------------------------------------------------


def _joined(waveform: Waveform, spans: Sequence[Span]) -> Waveform:
    """The stretches one behind the other."""
    cuts = [slice(*(round(edge * SAMPLE_RATE_HZ) for edge in span)) for span in spans]
    return Waveform(np.concatenate([waveform.samples[cut] for cut in cuts]), SAMPLE_RATE_HZ)


def _at_their_times(line: HeardLine, spans: Sequence[Span], offset_seconds: float) -> list[TranscriptLine]:
    """The line by the times of the file; one line for each side of a pause of `LINE_PAUSE_SECONDS`."""
    ends = np.cumsum([end - start for start, end in spans])

    def back(seconds: float, *, is_end: bool) -> float:
        # What ends at a joint belongs to the stretch before it, what begins there to the one behind it.
        i = min(int(np.searchsorted(ends, seconds, side="left" if is_end else "right")), len(spans) - 1)
        start, end = spans[i]
        inside = seconds - (float(ends[i - 1]) if i else 0.0)
        return round(float(offset_seconds) + min(max(start + inside, start), end), 3)

    words = [
        Word(word.text, back(word.start_seconds, is_end=False), back(word.end_seconds, is_end=True), word.confidence)
        for word in line.words
    ]
    if not words:
        start, end = back(line.start_seconds, is_end=False), back(line.end_seconds, is_end=True)
        return [TranscriptLine(line.text, start, end, confidence=math.exp(line.mean_log_probability))]
    # A word that two stretches share stays where it begins.
    words = [word._replace(end_seconds=max(word.start_seconds, word.end_seconds)) for word in words]
    parts = [[words[0]]]
    for before, word in pairwise(words):
        if word.start_seconds - before.end_seconds >= LINE_PAUSE_SECONDS:
            parts.append([])
        parts[-1].append(word)
    return [
        TranscriptLine(
            "".join(word.text for word in part).strip(),
            part[0].start_seconds,
            part[-1].end_seconds,
            confidence=_confidence(part),
            words=tuple(word._replace(text=word.text.strip()) for word in part),
        )
        for part in parts
    ]


# --- notes --------------------------------------------------------------------------------------------------------


def _language_notes(name: str, heard: Heard) -> list[str]:
    """A line where it is doubtful."""
    probability = heard.language_probability
    if probability is None or probability >= MIN_LANGUAGE_PROBABILITY or not heard.lines:
        return []
    found = f"the language was taken for {heard.language!r}"
    return [f"{name}: {found} with a probability of {probability:.2f} only; name it with --asr-language"]


def _dropped_notes(name: str, dropped: Sequence[tuple[TranscriptLine, str]]) -> list[str]:
    """How much was dropped, and the first lines with their reasons."""
    if not dropped:
        return []
    seconds = sum((line.end_seconds or 0.0) - (line.start_seconds or 0.0) for line, _ in dropped)
    count = "1 line" if len(dropped) == 1 else f"{len(dropped)} lines"
    notes = [f"{name}: {count} of {seconds:.1f} s dropped as not said"]
    for line, why in dropped[:_MAX_NAMED]:
        text = line.text if len(line.text) <= 40 else f"{line.text[:39]}…"
        notes.append(f"{name}: dropped at {line.start_seconds:.1f}-{line.end_seconds:.1f} s, {text!r}: {why}")
    return notes


def _check_folder(model: Path) -> None:
    if not model.is_dir():
        raise InputError(
            f"{model} is no folder; give a folder with a converted Whisper model (model.bin, config.json, …), "
            "or allow the download by name"
        )
    if not (model / "model.bin").is_file():
        raise InputError(f"{model} holds no model.bin; expected a Whisper model converted for CTranslate2")
