from dataclasses import replace

import numpy as np

from emotion_llama.prompts.cues import MAX_CHARACTERS, MAX_HELD_CHARACTERS, cue_text
from emotion_llama.records import AU_NAMES, ActionUnits, PeakFrame, Prosody, Tone, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing

UNITS = ActionUnits(
    ("AU04",), np.zeros(1), np.ones((1, 1)), np.ones(1), np.zeros(1, bool), np.zeros(1, bool), "person", "test"
)
WORDS = Transcript((TranscriptLine("No."),), "given")


def peak(**units: float) -> PeakFrame:
    return PeakFrame(0, 1.24, sum(units.values()), "all", None, units, "test")


def prosody(pitch: float | None, pauses: float | None = None) -> Prosody:
    return Prosody(
        1.0, 0.8, pitch, None, 3.21, None, -31.6, None, 4.44, None, None, pauses, None, None, None, None, None, "test"
    )


def test_measured_face_and_voice() -> None:
    tone = Tone("quiet, slow voice", {"slow": "2.1 syllables per second", "quiet": "-38 dB"})
    evidence = Evidence(UNITS, peak(AU12=0.9, AU04=2.15, AU01=0.9), prosody(112.4), tone, WORDS)
    assert cue_text(evidence) == (
        "Measured cues. Face: strongest at 1.2 s, of 5: brow lowerer 2.1, "
        "inner brow raiser 0.9, lip corner puller 0.9. "
        "Voice: quiet, slow; pitch 112 Hz, pitch range 3.2 semitones, level -32 dB, 4.4 syllables per second."
    )


def test_words_of_a_tone_without_figures_say_what_they_rest_on() -> None:
    tone = Tone("quiet, slow voice", {"slow": "2.1 syllables per second", "quiet": "-38 dB"})
    assert cue_text(Evidence(None, None, None, tone, WORDS)).endswith(
        "Voice: quiet (-38 dB), slow (2.1 syllables per second)."
    )


def test_words_beside_the_usual_voice_say_so() -> None:
    tone = Tone("loud, lively voice", {"loud": "level -20.0 dB against a usual -29.0 dB", "lively": "pitch range 12.0"})
    text = cue_text(Evidence(None, None, prosody(112.4), tone, WORDS))
    assert "Voice: lively, loud for this person; pitch 112 Hz" in text


def test_every_figure_is_told_that_was_measured() -> None:
    sound = Prosody(
        1.0, 0.8, 180.2, 32.5, 3.21, -2.6, -31.6, 9.0, 4.4, 5.16, 2, 0.25, 11.6, 0.5, 0.5, 1.26, 9.4, "test"
    )
    assert cue_text(Evidence(None, None, sound, None, WORDS)).endswith(
        "Voice: pitch 180 Hz, pitch range 3.2 semitones, slope -3 semitones/s, level -32 dB, 5.2 syllables per second, "
        "25% pauses, tremor 1.3%, harmonicity 12 dB, tilt 9 dB."
    )


def test_figures_where_the_tone_has_no_words() -> None:
    evidence = Evidence(UNITS, peak(), prosody(112.4, 0.25), None, WORDS)
    assert cue_text(evidence) == (
        "Measured cues. Face: no marked movement, strongest at 1.2 s. "
        "Voice: pitch 112 Hz, pitch range 3.2 semitones, level -32 dB, 4.4 syllables per second, 25% pauses."
    )


def test_what_is_missing_is_said_with_its_reason() -> None:
    evidence = Evidence(missing=(Missing("peak_frame", "no face was found"), Missing("prosody", "no sound")))
    assert cue_text(evidence) == (
        "Measured cues. Face: not measured (no face was found). Voice: not measured (no sound). "
        "Words: not measured (not given)."
    )


def test_length_is_bounded_whatever_was_measured() -> None:
    everything = peak(**dict.fromkeys(AU_NAMES, 5.0))
    tone = Tone("x" * 500, {f"word{i} {'y' * 50}": "z" * 500 for i in range(20)})
    evidence = Evidence(UNITS, everything, None, tone, None, (Missing("transcript", "r" * 5000),))
    text = cue_text(evidence)
    assert 600 < len(text) <= MAX_CHARACTERS
    assert text.count("5.0") == 6  # the six strongest, alphabetical where equal
    assert "cheek raiser" in text
    assert "r" * 101 not in text
    all_units = ActionUnits(
        AU_NAMES, np.zeros(1), np.full((1, len(AU_NAMES)), 5.0), np.ones(1), np.zeros(1, bool), np.ones(1, bool),
        "person", "test",
    )  # fmt: skip
    longest = cue_text(replace(evidence, action_units=all_units), held=True)
    assert len(longest) - len(text) < MAX_HELD_CHARACTERS


def test_a_talking_mouth_is_said() -> None:
    talking = ActionUnits(
        ("AU04",), np.zeros(1), np.ones((1, 1)), np.ones(1), np.zeros(1, bool), np.ones(1, bool), "person", "test"
    )
    text = cue_text(Evidence(talking, peak(AU26=1.5), None, None, WORDS))
    assert text.startswith("Measured cues. Face: strongest at 1.2 s while talking, of 5: jaw drop 1.5. Voice:")


def test_a_chat_model_is_given_what_is_held_before_the_peak_frame() -> None:
    """One frame is named as that; how long a unit is at the most that a person can do is said."""
    levels = np.zeros((20, 2))
    levels[:5, 0], levels[0, 1] = [5.0, 4.6, 4.0, 4.0, 4.0], 5.0
    units = ActionUnits(
        ("AU12", "AU15"), np.arange(20) / 10, levels, np.ones(20), np.zeros(20, bool), np.zeros(20, bool), "person", "t"
    )
    text = cue_text(Evidence(units, peak(AU12=5.0, AU15=5.0), None, None, WORDS), held=True)
    assert text.startswith(
        "Measured cues. Face: held for a tenth of the time or longer, of 5: lip corner puller 4.6 "
        "(at 4.5 or more of the time: AU12 10%); at the peak frame, strongest at 1.2 s, of 5: lip corner puller 5.0, "
    )
    resting = cue_text(Evidence(units.between(1.0, 2.0), peak(), None, None, WORDS), held=True)
    assert resting.startswith("Measured cues. Face: no unit is held; no marked movement, strongest at 1.2 s.")
