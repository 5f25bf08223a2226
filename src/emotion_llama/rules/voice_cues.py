"""Prosody as evidence: which figures of the voice speak for which label, and how much.

As in `rule_tables`, the directions come from the literature and the weights (log-odds) are chosen, not learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from emotion_llama.records import Prosody, Tone
from emotion_llama.results import Cue, Evidence
from emotion_llama.rules.rule_tables import OWN
from emotion_llama.speech.prosody import BACKEND
from emotion_llama.speech.tone import NOISY_BELOW_DB, SCALES, Judgement, Scale, judge, why_no_voice

# Directions: Juslin & Laukka, Psychological Bulletin 129(5), 2003, table of cue patterns, and Scherer, Speech
# Communication 40, 2003, table 2, for anger, fear, happiness and sadness; Murray & Arnott, JASA 93(2), 1993, for
# surprise (wide range, rising). Own: worried is a weak fear; contempt slow, narrow and low; doubt slow, with pauses and
# a rise at the end (Swerts & Krahmer 2005). Level of pitch and of loudness depend on the speaker's sex and on the
# recording, so they weigh little; what is relative to the speaker weighs more.


class VoiceRule(NamedTuple):
    """What a figure of `Prosody` speaks for outside its ordinary band.

    The band is the scale's, absolute or relative to the voice's usual self (`speech.tone.judge`). `step` beyond either
    bound the weights count in full, nearer ones in proportion.
    """

    scale: Scale
    step: float
    below: Mapping[str, float]
    above: Mapping[str, float]


VOICE_ORIGIN = "Juslin & Laukka 2003, Scherer 2003, Murray & Arnott 1993; weights of this project"
# An altogether ordinary voice: log-odds for neutral; none left when the figures are a whole step outside in sum.
ORDINARY = 0.6
# Each figure a whole step outside speaks against neutral by this much.
UNUSUAL = 0.2
MIN_VOICED_SECONDS = 0.3
# A wider range is music, a crowd or two voices. Own: 24 semitones over music on a real clip.
MAX_RANGE_SEMITONES = 14.0

_SCALES = {scale.figure: scale for scale in SCALES}
_OWN_BOUNDS = "round figures for conversation"


def _rule(figure: str, step: float, below: Mapping[str, float], above: Mapping[str, float]) -> VoiceRule:
    """A rule on a scale of the tone: a cue wherever the tone has a word, and nowhere else."""
    return VoiceRule(_SCALES[figure], step, below, above)


VOICE_RULES: tuple[VoiceRule, ...] = (
    _rule(
        "pitch_range_semitones", 4.0,
        {"sad": 0.4, "contempt": 0.2, "fear": 0.1, "happy": -0.3, "surprise": -0.4},
        {"surprise": 0.5, "happy": 0.4, "angry": 0.35, "sad": -0.4},
    ),
    _rule(
        "articulation_rate", 1.5,
        {"sad": 0.4, "doubt": 0.35, "contempt": 0.25, "angry": -0.3, "fear": -0.3, "happy": -0.2},
        {"fear": 0.4, "angry": 0.3, "happy": 0.3, "worried": 0.3, "surprise": 0.2, "sad": -0.4},
    ),
    _rule(
        "pause_share", 0.2, {},
        {"doubt": 0.4, "sad": 0.35, "contempt": 0.1, "angry": -0.2, "happy": -0.2},
    ),
    _rule(
        "pitch_slope_semitones_per_second", 10.0,
        {"sad": 0.2, "contempt": 0.15, "surprise": -0.2},
        {"surprise": 0.35, "doubt": 0.3, "happy": 0.15, "fear": 0.15},
    ),
    _rule("tremor_depth_percent", 3.0, {}, {"fear": 0.5, "worried": 0.3, "sad": 0.2}),
    _rule(
        "loudness_median_db", 10.0,
        {"sad": 0.15, "worried": 0.1, "fear": 0.1},
        {"angry": 0.2, "happy": 0.1},
    ),
    _rule(
        "pitch_median_semitones", 4.0,
        {"contempt": 0.15, "sad": 0.1},
        {"fear": 0.2, "surprise": 0.2, "happy": 0.1, "angry": 0.1},
    ),
    # Figures without a word in the tone. The tilt differs between microphones and rooms by as much as between voices,
    # hence relative to the usual, by half of what it changes from the softest speech to the loudest (12-19 dB,
    # Sundberg & Nordenberg 2006, JASA 120, 453). Range and perturbation of a short stretch are not comparable with
    # those of a whole clip, and stay absolute.
    VoiceRule(
        Scale("tilt_db", "spectral tilt", "dB", "bright", 8.0, "dark", 20.0, "difference", -6.0, 6.0, _OWN_BOUNDS),
        8.0,
        {"angry": 0.45, "happy": 0.15, "fear": 0.1, "sad": -0.3},
        {"sad": 0.35, "worried": 0.1, "angry": -0.35},
    ),
    VoiceRule(
        Scale(
            "loudness_range_db", "loudness range", "dB", "evenly loud", 8.0, "unevenly loud", 35.0, None, 0.0, 0.0,
            _OWN_BOUNDS,
        ),
        8.0,
        {"sad": 0.25, "angry": -0.2},
        {"angry": 0.3, "surprise": 0.2, "fear": 0.15, "happy": 0.1},
    ),
    # From 10 ms values: steady voices read 0.2-0.5, a local jitter of 5 % (very rough) about 1 (synthetic voices).
    VoiceRule(
        Scale(
            "pitch_perturbation_percent", "pitch perturbation", "%", None, -1.0, "unsteady", 0.8, None, 0.0, 0.0,
            _OWN_BOUNDS,
        ),
        0.6,
        {},
        {"fear": 0.25, "angry": 0.15, "sad": 0.15, "happy": -0.15},
    ),
    VoiceRule(
        Scale(
            "harmonicity_db", "harmonicity", "dB", "noisy", NOISY_BELOW_DB, None, math.inf, None, 0.0, 0.0, _OWN_BOUNDS
        ),
        5.0,
        {"sad": 0.15, "angry": 0.1, "fear": 0.1},
        {},
    ),
)  # fmt: skip

# Figures that another backend measures differently (openSMILE's jitter is of single cycles): their bounds hold for the
# base backend only.
BASE_BACKEND_FIGURES = ("pitch_perturbation_percent", "harmonicity_db")

# Words of a Tone -> the figure they stand for and its direction, for evidence that brings a tone without figures (a
# MERR record, an annotator's phrase). A word counts as half a step.
TONE_WORDS: Mapping[str, tuple[str, int]] = {
    word: (scale.figure, direction)
    for scale in SCALES
    for word, direction in ((scale.low_word, -1), (scale.high_word, 1))
    if word is not None
}
TONE_WORD_DEVIATION = 0.5


_MIN_FIGURES = 3  # fewer than these are not enough to call a voice ordinary


class VoiceReading(NamedTuple):
    """Cues, and why there are none."""

    cues: tuple[Cue, ...]
    problem: str | None


def voice_figures(evidence: Evidence) -> Prosody | None:
    """The figures of the voice, None where the evidence says why they are not one person's speaking voice."""
    return None if evidence.why_missing("tone") else evidence.prosody


def read_voice(prosody: Prosody | None, tone: Tone | None = None, usual: Prosody | None = None) -> VoiceReading:
    """What the sound of the voice speaks for, figure by figure; by the words of the tone where no figures came.

    `usual` is how the same voice sounds over the whole recording. Figures are judged as `describe_tone` judges them.
    """
    if prosody is None:
        return _read_tone(tone)
    if prosody.voiced_seconds < MIN_VOICED_SECONDS:
        return VoiceReading((), f"only {prosody.voiced_seconds:.1f} s are voiced, {MIN_VOICED_SECONDS} s are needed")
    if (problem := why_no_voice(prosody)) is not None:
        return VoiceReading((), problem)
    if (wide := prosody.pitch_range_semitones) is not None and wide > MAX_RANGE_SEMITONES:
        return VoiceReading((), f"its pitch spans {wide:.0f} semitones, which is music or more than one voice")
    judged = [(rule, judge(rule.scale, prosody, usual)) for rule in VOICE_RULES if _is_comparable(rule, prosody)]
    found = [(rule, judgement) for rule, judgement in judged if judgement is not None]
    cues = [_cue(rule, judgement) for rule, judgement in found if judgement.direction != 0]
    ordinary = ORDINARY * max(0.0, 1.0 - sum(abs(deviation(rule, judgement)) for rule, judgement in found))
    if ordinary > 0 and len(found) >= _MIN_FIGURES:
        text = f"an ordinary voice: {len(found)} figures within, or close to, what is usual"
        cues.append(Cue("voice", text, {"neutral": ordinary}, OWN, "an ordinary voice"))
    return VoiceReading(tuple(cues), None if cues else "too few figures could be measured")


def deviation(rule: VoiceRule, judgement: Judgement) -> float:
    """How far outside its ordinary band a figure lies, in steps, between -1 and 1; 0 inside."""
    return max(-1.0, min(judgement.excess / rule.step, 1.0))


def _is_comparable(rule: VoiceRule, prosody: Prosody) -> bool:
    return rule.scale.figure not in BASE_BACKEND_FIGURES or prosody.backend == BACKEND


def _cue(rule: VoiceRule, judgement: Judgement) -> Cue:
    scale, bound = rule.scale, judgement.bound
    assert bound is not None
    side = "above" if judgement.direction > 0 else "below"
    unit = f" {scale.unit}" if scale.unit else ""
    against = "" if judgement.usual is None else f" against a usual {_number(judgement.usual)}"
    word = judgement.word or ("high" if judgement.direction > 0 else "low")
    text = f"{scale.name} {_number(judgement.value)}{unit}, {side} {_number(bound)}{against} ({word})"
    article = "an" if word[0] in "aeiou" else "a"
    phrase = f"{article} {judgement.word} voice" if judgement.word else f"a voice with {word} {scale.name}"
    return Cue("voice", text, _weights(rule, deviation(rule, judgement)), VOICE_ORIGIN, phrase)


def _weights(rule: VoiceRule, away: float) -> dict[str, float]:
    weights = rule.above if away > 0 else rule.below
    return {label: abs(away) * weight for label, weight in {**weights, "neutral": -UNUSUAL}.items()}


def _read_tone(tone: Tone | None) -> VoiceReading:
    if tone is None:
        return VoiceReading((), None)
    rules = {rule.scale.figure: rule for rule in VOICE_RULES}
    cues = []
    for word in tone.words or tone.phrase.replace(",", " ").split():
        if word in TONE_WORDS:
            figure, direction = TONE_WORDS[word]
            weights = _weights(rules[figure], direction * TONE_WORD_DEVIATION)
            cues.append(Cue("voice", f"a {word} voice", weights, VOICE_ORIGIN, f"a {word} voice"))
    return VoiceReading(tuple(cues), None if cues else "no word of the tone is in the table")


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
