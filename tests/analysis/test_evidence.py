"""What is gathered of a segment: the voice beside its usual self, and sounds that are no voice."""

import numpy as np

from emotion_llama.analysis.evidence import Scene, gather
from emotion_llama.analysis.hearing import Sound
from emotion_llama.analysis.sight import Sight
from emotion_llama.records import Missing, Prosody, VoiceTrack, Waveform
from emotion_llama.speech.prosody import summarise
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import VoiceSpec, render_voice

NOBODY = Sight((), None, 0, "the file has no video")
NO_WORDS = Missing("transcript", "none were given")


def heard(samples: np.ndarray) -> VoiceTrack:
    return measure_voice([Waveform(np.asarray(samples, np.float32), 16_000, 0.0)])


def scene(voice: VoiceTrack, usual: Prosody | None) -> Scene:
    return Scene(NOBODY, Sound(voice, "", lambda part, start, end: summarise(part)), NO_WORDS, usual)


def test_the_usual_voice_comes_with_the_evidence():
    voice = heard(render_voice(VoiceSpec(duration_seconds=4.0)).samples)
    usual = summarise(voice)
    assert gather(scene(voice, usual), None, (0.0, 2.0), None).usual == usual
    assert gather(scene(voice, None), None, (0.0, 2.0), None).usual is None
    # Where the voice is somebody else's, it is not compared with anything.
    assert gather(scene(voice, usual), None, (0.0, 2.0), "person 2 speaks").usual is None


def test_a_held_tone_has_figures_and_no_tone():
    seconds = np.arange(3 * 16_000) / 16_000
    voice = heard(0.3 * np.sin(2 * np.pi * 440 * seconds))
    evidence = gather(scene(voice, summarise(voice)), None, (0.0, 1.5), None)
    assert evidence.prosody is not None
    assert evidence.tone is None
    assert "is above the 55 dB of voices" in (evidence.why_missing("tone") or "")
    assert evidence.usual is None  # a tone is nobody's usual voice
