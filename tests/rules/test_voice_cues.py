"""Prosody as evidence: bands, directions of the literature, and how far voice alone can go."""

import itertools
from collections.abc import Callable
from dataclasses import fields

import pytest

from emotion_llama.records import Prosody, Tone
from emotion_llama.results import Evidence
from emotion_llama.rules.scoring import predict_by_rules
from emotion_llama.rules.voice_cues import TONE_WORDS, VOICE_RULES, deviation, read_voice
from emotion_llama.speech.tone import describe_tone, judge

Make = Callable[..., Prosody]
RATE = next(rule for rule in VOICE_RULES if rule.scale.figure == "articulation_rate")


def sums(prosody: Prosody) -> dict[str, float]:
    found: dict[str, float] = {}
    for cue in read_voice(prosody).cues:
        for label, weight in cue.weights.items():
            found[label] = found.get(label, 0.0) + weight
    return found


def test_every_rule_names_a_figure_of_prosody() -> None:
    assert {rule.scale.figure for rule in VOICE_RULES} <= {field.name for field in fields(Prosody)}
    assert all(rule.scale.low < rule.scale.high and rule.step > 0 for rule in VOICE_RULES)


def test_deviation_in_steps(make_voice: Make) -> None:
    rule = RATE._replace(scale=RATE.scale._replace(low=3.5, high=6.0), step=1.5)
    values = {3.5: 0.0, 6.0: 0.0, 6.75: 0.5, 7.5: 1.0, 12.0: 1.0, 2.75: -0.5, 0.5: -1.0}
    for value, steps in values.items():
        judgement = judge(rule.scale, make_voice(articulation_rate=value))
        assert judgement is not None
        assert deviation(rule, judgement) == pytest.approx(steps)


def test_a_cue_begins_where_the_tone_has_a_word(make_voice: Make) -> None:
    # Every figure that the tone has a word for, just outside its bounds: as many cues as words, the same words.
    for rule in VOICE_RULES:
        scale = rule.scale
        for value, word in ((scale.low - 0.01, scale.low_word), (scale.high + 0.01, scale.high_word)):
            if word in TONE_WORDS:
                voice = make_voice(**{scale.figure: value, "pause_count": 4})
                tone = describe_tone(voice)
                assert tone is not None
                assert list(tone.words) == [word]
                assert f"({word})" in read_voice(voice).cues[0].text


def cue_words(prosody: Prosody, usual: Prosody | None) -> set[str]:
    texts = [cue.text for cue in read_voice(prosody, None, usual).cues]
    return {text.rsplit("(", 1)[1].rstrip(")") for text in texts if text.endswith(")")}


def test_beside_a_usual_voice_words_and_cues_are_of_one_mind(make_voice: Make) -> None:
    # "Tone: even, moderate voice" once stood beside the cue "pitch range 0.03, below 3.0 (monotone)": the words were
    # relative to the rest of the clip, the cues were not.
    usual = make_voice(
        pitch_median_semitones=20.0, pitch_range_semitones=2.0, articulation_rate=2.5, loudness_median_db=-45.0
    )
    scales = [rule.scale for rule in VOICE_RULES if rule.scale.relative and rule.scale.figure != "tilt_db"]
    for levels in itertools.product((0.5, 1.0, 2.0), repeat=len(scales)):
        figures = {
            scale.figure: getattr(usual, scale.figure) * level
            if scale.relative == "ratio"
            else getattr(usual, scale.figure) + 20 * (level - 1)
            for scale, level in zip(scales, levels)
        }
        voice = make_voice(**figures)
        tone = describe_tone(voice, usual)
        assert tone is not None
        assert cue_words(voice, usual) == set(tone.words) - {"even", "moderate"}
    assert cue_words(usual, usual) == set()
    assert cue_words(usual, None) == {"low-pitched", "monotone", "quiet", "slow"}


def test_a_cue_beside_the_usual_says_so(make_voice: Make) -> None:
    # 0.8 x 5 = 4: a rate of 3.25 is half a step of 1.5 below.
    cue = read_voice(make_voice(articulation_rate=3.25), None, make_voice(articulation_rate=5.0)).cues[0]
    assert cue.text == "articulation rate 3.2 syllables/s, below 4.0 against a usual 5.0 (slow)"
    assert cue.weights["sad"] == pytest.approx(0.2)


def test_the_tilt_is_judged_beside_the_usual_of_the_recording(make_voice: Make) -> None:
    muffled = make_voice(tilt_db=28.0)
    assert cue_words(make_voice(tilt_db=30.0), muffled) == set()
    assert cue_words(make_voice(tilt_db=35.0), muffled) == {"dark"}
    assert cue_words(make_voice(tilt_db=30.0), None) == {"dark"}


def test_one_word_is_not_monotone_for_the_cues_either(make_voice: Make) -> None:
    assert cue_words(make_voice(pitch_range_semitones=1.0, voiced_seconds=0.9), None) == set()
    assert cue_words(make_voice(pitch_range_semitones=1.0, voiced_seconds=1.0), None) == {"monotone"}


def test_a_sound_that_no_voice_makes_is_no_evidence(make_voice: Make) -> None:
    # A held tone has a tilt of 94 dB; it was read as a dark, and so a sad, voice.
    reading = read_voice(make_voice(tilt_db=94.0, articulation_rate=2.0))
    assert reading.cues == ()
    assert reading.problem == "the sound is no voice: its spectral tilt of 94 dB is above the 55 dB of voices"


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
    assert reading.cues[0].text == "an ordinary voice: 9 figures within, or close to, what is usual"


def test_half_a_step_gives_half_the_weights(make_voice: Make) -> None:
    voice = make_voice(articulation_rate=RATE.scale.high + RATE.step / 2)
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
    prediction = predict_by_rules(Evidence(prosody=make_voice(**figures)))
    probabilities = dict(prediction.probabilities or {})
    probabilities.pop("neutral")
    assert max(probabilities, key=lambda name: probabilities[name]) == label


def test_voice_alone_never_gets_far(make_voice: Make) -> None:
    # All corners of the figures: 2 ** 11 extreme voices; harmonicity has no upper bound.
    ends = [(r.scale.low - r.step, r.scale.high + r.step if r.above else r.scale.low) for r in VOICE_RULES]
    for corner in itertools.product(*ends):
        figures = dict(zip((rule.scale.figure for rule in VOICE_RULES), corner))
        answer = predict_by_rules(Evidence(prosody=make_voice(**figures)))
        assert answer.label is None
        assert max((p for label, p in (answer.probabilities or {}).items() if label != "neutral"), default=0.0) < 0.15


def test_figures_that_are_none_say_nothing(make_voice: Make) -> None:
    nothing = {field.name: None for field in fields(Prosody) if field.name not in
               ("speech_seconds", "voiced_seconds", "backend")}  # fmt: skip
    reading = read_voice(make_voice(**nothing))
    assert reading.cues == ()
    assert "no pitch" in str(reading.problem)
    pitch_alone = read_voice(make_voice(**{**nothing, "pitch_median_semitones": 29.4}))
    assert pitch_alone.problem == "too few figures could be measured"
    two = read_voice(make_voice(**{**nothing, "pitch_median_semitones": 29.4, "harmonicity_db": 12.0}))
    assert two.cues == ()


def test_too_little_voice(make_voice: Make) -> None:
    assert read_voice(make_voice(voiced_seconds=0.2)).problem == "only 0.2 s are voiced, 0.3 s are needed"
    assert read_voice(None).cues == ()


def test_figures_of_another_backend_are_not_held_against_our_bounds(make_voice: Make) -> None:
    # openSMILE's jitter of single cycles is 3 % and more in ordinary speech.
    assert "fear" in sums(make_voice(pitch_perturbation_percent=5.0))
    assert sums(make_voice(pitch_perturbation_percent=5.0, backend="opensmile")) == {"neutral": pytest.approx(0.6)}
