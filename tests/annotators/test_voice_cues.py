"""Prosody as evidence: bands, directions of the literature, and how far voice alone can go."""

import itertools
from collections.abc import Callable
from dataclasses import fields

import pytest

from emotion_llama.annotators.rules import RulesReader
from emotion_llama.annotators.voice_cues import deviation, read_voice
from emotion_llama.annotators.voice_tables import TONE_WORDS, VOICE_RULES
from emotion_llama.records import Evidence, Prosody, Tone
from emotion_llama.speech.tone import describe_tone

Make = Callable[..., Prosody]
RATE = next(rule for rule in VOICE_RULES if rule.field == "articulation_rate")


def sums(prosody: Prosody) -> dict[str, float]:
    found: dict[str, float] = {}
    for cue in read_voice(prosody).cues:
        for label, weight in cue.weights.items():
            found[label] = found.get(label, 0.0) + weight
    return found


def test_every_rule_names_a_figure_of_prosody() -> None:
    assert {rule.field for rule in VOICE_RULES} <= {field.name for field in fields(Prosody)}
    assert all(rule.low < rule.high and rule.step > 0 for rule in VOICE_RULES)


def test_deviation_in_steps() -> None:
    rule = RATE._replace(low=3.5, high=6.0, step=1.5)
    values = {3.5: 0.0, 6.0: 0.0, 6.75: 0.5, 7.5: 1.0, 12.0: 1.0, 2.75: -0.5, 0.5: -1.0}
    assert {value: deviation(rule, value) for value in values} == pytest.approx(values)


def test_a_cue_begins_where_the_tone_has_a_word(make_voice: Make) -> None:
    # Every figure that the tone has a word for, just outside its bounds: as many cues as words, the same words.
    for rule in VOICE_RULES:
        for value, word in ((rule.low - 0.01, rule.too_low), (rule.high + 0.01, rule.too_high)):
            if word in TONE_WORDS:
                voice = make_voice(**{rule.field: value, "pause_count": 4})
                tone = describe_tone(voice)
                assert tone is not None
                assert list(tone.words) == [word]
                assert f"({word})" in read_voice(voice).cues[0].text


def test_tone_without_figures_is_read_word_by_word() -> None:
    # "slow" is half a step below: sad 0.2, doubt 0.175, ...; "even" and "moderate" stand for no direction.
    reading = read_voice(None, Tone("slow, even voice", {"slow": "2.9", "even": "5.0"}))
    assert [cue.text for cue in reading.cues] == ["a slow voice"]
    assert reading.cues[0].weights == pytest.approx(
        {"sad": 0.2, "doubt": 0.175, "contempt": 0.125, "angry": -0.15, "fear": -0.15, "happy": -0.1, "neutral": -0.1}
    )
    assert read_voice(None, Tone("low-pitched, trembling voice", {})).cues[1].text == "a trembling voice"
    assert read_voice(None, Tone("warm voice", {})).problem == "no word of the tone is in the table"


def test_ordinary_voice_speaks_for_neutral(make_voice: Make) -> None:
    reading = read_voice(make_voice())
    assert sums(make_voice()) == {"neutral": pytest.approx(0.6)}
    assert reading.cues[0].text == "an ordinary voice: 10 figures within, or close to, what is usual"


def test_half_a_step_gives_half_the_weights(make_voice: Make) -> None:
    voice = make_voice(articulation_rate=RATE.high + RATE.step / 2)
    # neutral: half of 0.6 is left of the ordinary voice, half of 0.2 is taken off as unusual.
    assert sums(voice) == pytest.approx(
        {"fear": 0.2, "angry": 0.15, "happy": 0.15, "worried": 0.15, "surprise": 0.1, "sad": -0.2, "neutral": 0.2}
    )
    assert read_voice(voice).cues[0].text == "articulation rate 6.2 syllables/s, above 5.5 (fast)"


@pytest.mark.parametrize(
    ("figures", "label"),
    [
        (
            {
                "pitch_range_semitones": 12.0, "articulation_rate": 7.0, "tilt_db": 2.0, "loudness_range_db": 42.0,
                "loudness_median_db": -8.0,
            },
            "angry",
        ),
        (
            {"pitch_range_semitones": 2.0, "articulation_rate": 2.2, "tilt_db": 27.0, "loudness_range_db": 4.0,
             "pause_share": 0.5},
            "sad",
        ),
        ({"pitch_range_semitones": 14.0, "pitch_slope_semitones_per_second": 14.0}, "surprise"),
        ({"articulation_rate": 7.5, "tremor_depth_percent": 6.0, "pitch_perturbation_percent": 5.0}, "fear"),
        ({"articulation_rate": 2.0, "pause_share": 0.6, "pitch_slope_semitones_per_second": 15.0}, "doubt"),
    ],
)  # fmt: skip
def test_voices_of_the_literature(figures: dict[str, float], label: str, make_voice: Make) -> None:
    prediction = RulesReader().read(Evidence(prosody=make_voice(**figures)))
    probabilities = dict(prediction.probabilities or {})
    probabilities.pop("neutral")
    assert max(probabilities, key=lambda name: probabilities[name]) == label


def test_voice_alone_never_gets_far(make_voice: Make) -> None:
    # All corners of the figures: 2 ** 11 extreme voices.
    corners = itertools.product(*[(rule.low - rule.step, rule.high + rule.step) for rule in VOICE_RULES])
    most = 0.0
    for corner in corners:
        figures = dict(zip((rule.field for rule in VOICE_RULES), corner))
        answer = RulesReader().read(Evidence(prosody=make_voice(**figures)))
        most = max(most, *(p for label, p in (answer.probabilities or {"": 0.0}).items() if label != "neutral"))
    assert 0.4 < most < 0.6


def test_figures_that_are_none_say_nothing(make_voice: Make) -> None:
    nothing = {field.name: None for field in fields(Prosody) if field.name not in
               ("speech_seconds", "voiced_seconds", "backend")}  # fmt: skip
    reading = read_voice(make_voice(**nothing))
    assert reading.cues == ()
    assert reading.problem == "too few figures could be measured"
    two = read_voice(make_voice(**{**nothing, "tilt_db": 14.0, "harmonicity_db": 12.0}))
    assert two.cues == ()


def test_too_little_voice(make_voice: Make) -> None:
    assert read_voice(make_voice(voiced_seconds=0.2)).problem == "only 0.2 s are voiced, 0.3 s are needed"
    assert read_voice(None).cues == ()


def test_figures_of_another_backend_are_not_held_against_our_bounds(make_voice: Make) -> None:
    # openSMILE's jitter of single cycles is 3 % and more in ordinary speech.
    assert "fear" in sums(make_voice(pitch_perturbation_percent=5.0))
    assert sums(make_voice(pitch_perturbation_percent=5.0, backend="opensmile")) == {"neutral": pytest.approx(0.6)}
