"""What is gathered of a segment: the voice beside its usual self, and sounds that are no voice."""

import numpy as np

from emotion_llama.analysis.evidence import gather, main_first
from emotion_llama.analysis.measure import Measurements
from emotion_llama.records import Prosody, VoiceTrack, Waveform
from emotion_llama.results import Evidence, Missing
from emotion_llama.speech.prosody import summarise
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice

NO_WORDS = Missing("transcript", "none were given")


def heard(samples: np.ndarray) -> VoiceTrack:
    return measure_voice([Waveform(np.asarray(samples, np.float32), 16_000, 0.0)])


def gathered(
    voice: VoiceTrack, baseline: Prosody | None, end_seconds: float, silent_because: str | None = None
) -> Evidence:
    found = Measurements(voice=voice)
    (somebody,) = main_first(found)
    return gather(found, NO_WORDS, somebody, (0.0, end_seconds), silent_because=silent_because, baseline=baseline)


def test_the_usual_voice_comes_with_the_evidence():
    voice = heard(render_voice(VoiceSpec(duration_seconds=4.0)).samples)
    usual = summarise(voice)
    assert gathered(voice, usual, 2.0).usual == usual
    assert gathered(voice, None, 2.0).usual is None
    # Where the voice is somebody else's, it is not compared with anything.
    assert gathered(voice, usual, 2.0, "person 2 speaks").usual is None


def test_a_held_tone_has_figures_and_no_tone():
    seconds = np.arange(3 * 16_000) / 16_000
    voice = heard(0.3 * np.sin(2 * np.pi * 440 * seconds))
    evidence = gathered(voice, summarise(voice), 1.5)
    assert evidence.prosody is not None
    assert evidence.tone is None
    assert "is above the 55 dB of voices" in (evidence.why_missing("tone") or "")
    assert evidence.usual is None  # a tone is nobody's usual voice
