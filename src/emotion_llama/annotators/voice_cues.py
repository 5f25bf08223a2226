"""Prosody as evidence: each figure outside its ordinary band, and an ordinary voice as a whole."""

from __future__ import annotations

from typing import NamedTuple

from emotion_llama.annotators.rule_tables import OWN
from emotion_llama.annotators.voice_tables import (
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
from emotion_llama.records import Cue, Prosody, Tone
from emotion_llama.speech.prosody import BACKEND

_MIN_FIGURES = 3  # fewer than these are not enough to call a voice ordinary


class VoiceReading(NamedTuple):
    """Cues, and why there are none."""

    cues: tuple[Cue, ...]
    problem: str | None


def read_voice(prosody: Prosody | None, tone: Tone | None = None) -> VoiceReading:
    """What the sound of the voice speaks for, figure by figure; by the words of the tone where no figures came."""
    if prosody is None:
        return _read_tone(tone)
    if prosody.voiced_seconds < MIN_VOICED_SECONDS:
        return VoiceReading((), f"only {prosody.voiced_seconds:.1f} s are voiced, {MIN_VOICED_SECONDS} s are needed")
    figures = [(rule, value) for rule in VOICE_RULES if (value := _figure(prosody, rule)) is not None]
    deviations = [(rule, value, deviation(rule, value)) for rule, value in figures]
    cues = [_cue(rule, value, away) for rule, value, away in deviations if away != 0.0]
    ordinary = ORDINARY * max(0.0, 1.0 - sum(abs(away) for _, _, away in deviations))
    if ordinary > 0 and len(figures) >= _MIN_FIGURES:
        text = f"an ordinary voice: {len(figures)} figures within, or close to, what is usual"
        cues.append(Cue("voice", text, {"neutral": ordinary}, OWN))
    return VoiceReading(tuple(cues), None if cues else "too few figures could be measured")


def deviation(rule: VoiceRule, value: float) -> float:
    """How far outside its ordinary band a figure lies, in steps, between -1 and 1; 0 inside."""
    if value > rule.high:
        return min((value - rule.high) / rule.step, 1.0)
    if value < rule.low:
        return max((value - rule.low) / rule.step, -1.0)
    return 0.0


def _figure(prosody: Prosody, rule: VoiceRule) -> float | None:
    if rule.field in BASE_BACKEND_FIGURES and prosody.backend != BACKEND:
        return None
    value = getattr(prosody, rule.field)
    return None if value is None else float(value)


def _cue(rule: VoiceRule, value: float, away: float) -> Cue:
    word, bound = (rule.too_high, rule.high) if away > 0 else (rule.too_low, rule.low)
    side = "above" if away > 0 else "below"
    unit = f" {rule.unit}" if rule.unit else ""
    text = f"{rule.name} {_number(value)}{unit}, {side} {_number(bound)} ({word})"
    return Cue("voice", text, _weights(rule, away), VOICE_ORIGIN)


def _weights(rule: VoiceRule, away: float) -> dict[str, float]:
    weights = rule.above if away > 0 else rule.below
    return {label: abs(away) * weight for label, weight in {**weights, "neutral": -UNUSUAL}.items()}


def _read_tone(tone: Tone | None) -> VoiceReading:
    if tone is None:
        return VoiceReading((), None)
    rules = {rule.field: rule for rule in VOICE_RULES}
    cues = []
    for word in tone.words or tone.phrase.replace(",", " ").split():
        if word in TONE_WORDS:
            figure, direction = TONE_WORDS[word]
            weights = _weights(rules[figure], direction * TONE_WORD_DEVIATION)
            cues.append(Cue("voice", f"a {word} voice", weights, VOICE_ORIGIN))
    return VoiceReading(tuple(cues), None if cues else "no word of the tone is in the table")


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"
