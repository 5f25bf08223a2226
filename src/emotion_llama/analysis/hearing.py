"""The pass over the sound: the voice measured frame by frame, and who makes figures of a stretch of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emotion_llama.records import Clip, Prosody, VoiceTrack, Waveform

VOICE_BACKENDS = ("autocorrelation", "opensmile")


@dataclass(frozen=True)
class Sound:
    """What the clip sounds like: `voice` None with `why_none`; `summarise` makes figures of a stretch of it."""

    voice: VoiceTrack | None
    why_none: str
    summarise: Callable[[VoiceTrack, float, float], Prosody]


def listen(clip: Clip, backend: str, *, warn: Callable[[str], None], progress: Callable[[float], None]) -> Sound:
    """Measure the sound of `clip`, chunk by chunk; `backend`, one of VOICE_BACKENDS, makes the figures.

    Raises:
        MissingDependency: the backend is not installed.
    """
    from emotion_llama.media.audio import iter_audio
    from emotion_llama.speech.voice_track import measure_voice

    summarise = _summariser(clip, backend)
    if clip.audio is None:
        return Sound(None, "the file has no sound", summarise)
    voice = measure_voice(_reported(iter_audio(clip, warn=warn), clip.duration_seconds, progress))
    if not len(voice.times_seconds):
        return Sound(None, "the sound track holds no samples", summarise)
    return Sound(voice, "", summarise)


def _summariser(clip: Clip, backend: str) -> Callable[[VoiceTrack, float, float], Prosody]:
    from emotion_llama.speech.prosody import summarise

    if backend == "autocorrelation":
        return lambda voice, start, end: summarise(voice)
    from emotion_llama.media.audio import read_audio
    from emotion_llama.speech.egemaps import summarise_egemaps

    return lambda voice, start, end: summarise_egemaps(read_audio(clip, start_seconds=start, end_seconds=end), voice)


def _reported(
    chunks: Iterator[Waveform], duration_seconds: float, progress: Callable[[float], None]
) -> Iterator[Waveform]:
    """The same chunks; `progress` hears how far they are."""
    for chunk in chunks:
        yield chunk
        progress(min(1.0, (chunk.start_seconds + chunk.duration_seconds) / duration_seconds))
