"""Prosody as evidence: each figure outside its ordinary band, and an ordinary voice as a whole."""

from __future__ import annotations

from typing import NamedTuple

from emotion_llama.records import Cue, Prosody, Tone
from emotion_llama.rules.rule_tables import OWN
from emotion_llama.rules.voice_tables import (
    BASE_BACKEND_FIGURES,
    MIN_VOICED_SECONDS,
    ORDINARY,
    TONE_WORD_DEVIATION,
    TONE_WORDS,
    UNUSUAL,
    VOICE_ORIGIN,
    VOICE_RULES,
    VoiceRule,
)
from emotion_llama.speech.prosody import BACKEND
from emotion_llama.speech.tone import Judgement, judge, why_no_voice

_MIN_FIGURES = 3  # fewer than these are not enough to call a voice ordinary


class VoiceReading(NamedTuple):
    """Cues, and why there are none."""

    cues: tuple[Cue, ...]
    problem: str | None


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
    judged = [(rule, judge(rule.scale, prosody, usual)) for rule in VOICE_RULES if _is_comparable(rule, prosody)]
    found = [(rule, judgement) for rule, judgement in judged if judgement is not None]
    cues = [_cue(rule, judgement) for rule, judgement in found if judgement.direction != 0]
    ordinary = ORDINARY * max(0.0, 1.0 - sum(abs(deviation(rule, judgement)) for rule, judgement in found))
    if ordinary > 0 and len(found) >= _MIN_FIGURES:
        text = f"an ordinary voice: {len(found)} figures within, or close to, what is usual"
        cues.append(Cue("voice", text, {"neutral": ordinary}, OWN))
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
    return Cue("voice", text, _weights(rule, deviation(rule, judgement)), VOICE_ORIGIN)


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
            cues.append(Cue("voice", f"a {word} voice", weights, VOICE_ORIGIN))
    return VoiceReading(tuple(cues), None if cues else "no word of the tone is in the table")


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
