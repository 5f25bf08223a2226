"""The tables of docs/evidence.md and docs/rules.md, made from the tables that the code measures and reads with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from math import ceil
from textwrap import fill
from typing import NamedTuple

from emotion_llama.face.unit_formulas import UNIT_FORMULAS, UnitFormula
from emotion_llama.predictors import learned_cues
from emotion_llama.records import AU_DESCRIPTIONS, AU_NAMES, Prosody
from emotion_llama.rules import rule_tables, verdict, voice_cues, words
from emotion_llama.speech import activity, pauses, prosody, tempo, tone, voice_track
from merr_synth import reference as reference_synth

_SLACK_FRAMES = 2  # gestures are measured without their first and last frame


class _Figure(NamedTuple):
    """One field of Prosody: its unit, how it is measured, and the least sound it needs."""

    unit: str
    how: str
    needs: str


_SONORITY, _DARK, _BRIGHT = (
    f"{low:g}-{high:g} Hz"
    for low, high in (voice_track.SONORITY_BAND_HZ, voice_track.LOW_BAND_HZ, voice_track.HIGH_BAND_HZ)
)
_LOW, _HIGH = prosody.RANGE_PERCENTILES
_RANGE = f"{_LOW:.0f}th to {_HIGH:.0f}th percentile"
_VOICED = f"{prosody.MIN_VOICED_SECONDS:g} s voiced"
_HEARD = f"{prosody.MIN_SPEECH_SECONDS:g} s of speech"
_TEMPO = f"{prosody.MIN_SPAN_SECONDS:g} s from first to last speech, {prosody.MIN_SYLLABLES} syllables"
_BEND_SECONDS = prosody.MIN_PERTURBATION_RUN_SECONDS + _SLACK_FRAMES * activity.HOP_SECONDS
_TREMOR_SECONDS = prosody.MIN_TREMOR_RUN_SECONDS + _SLACK_FRAMES * activity.HOP_SECONDS

PROSODY_FIGURES: Mapping[str, _Figure] = {
    "speech_seconds": _Figure("s", "frames with voice activity", "-"),
    "voiced_seconds": _Figure("s", "frames of these that have a pitch", "-"),
    "pitch_median_hz": _Figure("Hz", "median over the voiced frames", _VOICED),
    "pitch_median_semitones": _Figure(f"semitones above {prosody.SEMITONE_REFERENCE_HZ} Hz", "the same", _VOICED),
    "pitch_range_semitones": _Figure("semitones", f"{_RANGE} of the voiced frames", _VOICED),
    "pitch_slope_semitones_per_second": _Figure(
        "semitones/s",
        f"slope of the straight line through each voiced run (runs are parted at jumps of more than "
        f"{prosody.MAX_JUMP_SEMITONES:g} semitones in 10 ms); median over voiced time",
        f"{_VOICED}; a run of {prosody.MIN_SLOPE_RUN_SECONDS:g} s",
    ),
    "loudness_median_db": _Figure("dB; 0 = sine of amplitude 1", "median level of the speech frames", _HEARD),
    "loudness_range_db": _Figure("dB", f"{_RANGE} of the speech frames", _HEARD),
    "syllables_per_second": _Figure(
        "1/s",
        f"voiced peaks (harmonicity from {tempo.LEAST_HARMONICITY_DB:g} dB) of the level within {_SONORITY} "
        f"under half the A weighting that stand {tempo.DIP_DB:g} dB above their surroundings, within "
        f"{tempo.RANGE_DB:g} dB of the loudest, at least {1000 * tempo.SHORTEST_DISTANCE_SECONDS:.0f} ms apart; "
        "over the time from first to last speech (after de Jong & Wempe 2009)",
        _TEMPO,
    ),
    "articulation_rate": _Figure("1/s", "the same syllables; over that time without its pauses", _TEMPO),
    "pause_count": _Figure("-", f"silences of {pauses.MIN_PAUSE_SECONDS:g} s or more between speech", _HEARD),
    "pause_share": _Figure("0..1", "share of the time from first to last speech", _HEARD),
    "harmonicity_db": _Figure("dB", "harmonics-to-noise ratio (Boersma 1993), median", _VOICED),
    "pitch_perturbation_percent": _Figure(
        "%",
        "mean distance of a 10 ms pitch value from the mean of its neighbours; values average the cycles of 50 ms, so "
        "this is far below jitter",
        f"{_VOICED}; a run of {_BEND_SECONDS:g} s",
    ),
    "loudness_perturbation_db": _Figure("dB", "the same of the level", f"{_VOICED}; a run of {_BEND_SECONDS:g} s"),
    "tremor_depth_percent": _Figure(
        "% of the pitch",
        f"amplitude of the best sinusoid of {prosody.TREMOR_HZ[0]:g}-{prosody.TREMOR_HZ[1]:g} Hz beside a cubic trend; "
        f"0 where it explains less than {100 * prosody.MIN_TREMOR_SHARE:g} % of what that leaves; median over runs",
        f"{_VOICED}; a run of {_TREMOR_SECONDS:g} s",
    ),
    "tilt_db": _Figure("dB", f"level of {_DARK} minus level of {_BRIGHT}, median; large = dark or soft", _VOICED),
    "backend": _Figure("-", "who measured", "-"),
}

_MODIFIERS: tuple[tuple[str, float, str], ...] = (
    ('negated ("not", "never", "no" before it in its clause)', words.NEGATED, "VADER"),
    ('intensified ("so", "really", "very")', words.BOOSTED, "VADER"),
    ('weakened ("a bit", "rather")', words.DAMPENED, "VADER"),
    ("in capitals where not everything is", words.CAPITALS, "own; VADER adds"),
    ("in a sentence that ends in an exclamation mark", words.EXCLAIMED, "own; VADER adds"),
    ('before "but" in its sentence', words.BEFORE_BUT, "VADER"),
    ('after "but"', words.AFTER_BUT, "VADER"),
    ('a `state` of somebody else ("he was furious")', words.SOMEBODY_ELSE, "own"),
)


def unit_table() -> str:
    """All action units: what is measured, the length that is intensity 5, and where both come from."""
    rows = [
        (f"{name} {AU_DESCRIPTIONS[name]}", f.points, _full_scale(f), f.source)
        for name, f in ((name, UNIT_FORMULAS[name]) for name in AU_NAMES)
    ]
    return _table(("unit", "what is measured", "intensity 5 is", "choice of points"), rows)


def prosody_table() -> str:
    """All figures of Prosody."""
    rows = [(f"`{field.name}`", *PROSODY_FIGURES[field.name]) for field in fields(Prosody)]
    return _table(("figure", "unit", "how", "needs"), rows)


def tone_table() -> str:
    """All words of a Tone with their bounds."""
    needs = {
        "pitch_range_semitones": f", from {tone.MIN_VOICED_FOR_RANGE_SECONDS:g} s voiced",
        "pause_share": f", from {tone.MIN_PAUSES_FOR_HALTING} pauses",
    }
    rows = [
        (s.name + needs.get(s.figure, ""), *_bounds(s), *_relative_bounds(s), s.source or "own") for s in tone.SCALES
    ]
    low, breathy, harsh = tone.NOISY_BELOW_DB, tone.BREATHY_ABOVE_TILT_DB, tone.HARSH_BELOW_TILT_DB
    rows += [
        (
            f"harmonicity below {low:g} dB",
            f"harsh: tilt < {harsh:g} dB",
            f"breathy: tilt > {breathy:g} dB; else hoarse",
            "-",
            "-",
            "direction: Klatt & Klatt 1990, JASA 87, 820",
        )
    ]
    header = ("figure", "word below", "word above", "below, against the usual", "above, against the usual", "source")
    return _table(header, rows)


def limits_table() -> str:
    """The numbers that hold for all cues."""
    rules = rule_tables
    rows = [
        ("prior of neutral", f"{rules.NEUTRAL_PRIOR:g}", "the rest is shared evenly by the other labels"),
        ("most that a source may move a label", _weights(rules.DECIDING_CAPS), "log-odds; larger sums are scaled down"),
        ("a unit is present from", f"{rules.PRESENT:g}", "of 5; MER-Factory's threshold"),
        ("shares of what is held and of the mean", f"{rules.STRENGTH_SHARE:g}, {rules.DURATION_SHARE:g}",
         "of a rule's weight"),
        ("a face at rest", f"{rules.CALM:g}", f"for neutral, times the share of time at rest (from "
         f"{rules.MIN_CALM_SHARE:g}), the mean confidence, and 1 - the strongest rule's share of its strength"),
        ("an ordinary voice", f"{voice_cues.ORDINARY:g}", "for neutral, times 1 - the steps outside in sum"),
        ("what another label's cue takes off neutral", f"face {rules.AGAINST_NEUTRAL:g}, words "
         f"{words.AGAINST_NEUTRAL:g}", "of its largest weight; a voice figure a step outside takes "
         f"{voice_cues.UNUSUAL:g}"),
        ("left of a unit while talking", _weights(rules.SPEECH_SHARES), "of its intensity"),
        ("not counted in a blink", ", ".join(rules.BLINK_UNITS), ""),
        ("a voice counts from", f"{voice_cues.MIN_VOICED_SECONDS:g} s", "voiced, and with a pitch range of at most "
         f"{voice_cues.MAX_RANGE_SEMITONES:g} semitones: a wider one is music or several voices"),
    ]  # fmt: skip
    return _table(("what", "value", "meaning"), rows)


def verdict_table() -> str:
    """What carries a label, and how probable it then is."""
    v = verdict
    rows = [
        ("a smile", f"AU12 at {v.SMILE:g} or more for {v.HELD_SECONDS:g} s", "happy", f"{v.SMILE_PROBABILITY:.2f}"),
        ("lowered eyebrows", f"AU04 at {v.SCOWL:g} or more for {v.HELD_SECONDS:g} s, with AU12 and AU01 below "
         f"{v.UNMOVED:g}, in frames with a confidence of {v.FACING:g}", "angry", f"{v.SCOWL_PROBABILITY:.2f}"),
        ("a whole expression", f"all units of a rule below at {v.WHOLE:g} or more for {v.HELD_SECONDS:g} s, "
         "in such frames", "the rule's", f"{v.WHOLE_PROBABILITY:.2f}"),
        ("clear words", f"{v.WORDS:g} log-odds or more, {v.WORDS_LEAD:g} before the next label", "the words'",
         f"{v.WORDS_PROBABILITY:.2f}"),
        ("a calm face", f"no unit but blink and parted lips at {v.CALM_UNIT:g} or more in a tenth of the frames, "
         f"talking for at most {v.CALM_TALK:.0%} of the time, mean confidence {v.FACING:g}", "neutral",
         f"{v.CALM_PROBABILITY:.2f}"),
    ]  # fmt: skip
    return _table(("what", "measured as", "label", "probability"), rows)


def face_rule_table() -> str:
    """The face rules of the published table."""
    rows = [
        (r.label, "+".join(r.units), _condition(r), f"{r.strength:g}", _weights(r.against) or "-", r.origin)
        for r in rule_tables.PUBLISHED.rules
    ]
    return _table(("label", "units", "holds when present", "strength", "taken off by", "origin"), rows)


def lone_units() -> str:
    """What single units speak for."""
    lone = rule_tables.PUBLISHED.lone_units
    return _paragraph("; ".join(f"{name}: {_weights(weights)}" for name, weights in lone.items()) + ".")


def voice_rule_table() -> str:
    """The rules of the voice."""
    rows = [
        (
            f"{r.scale.name}{f', {r.scale.unit}' if r.scale.unit else ''}",
            _ordinary(r),
            " to ".join(_relative_bounds(r.scale)) if r.scale.relative else "-",
            f"{r.step:g}",
            f"{r.scale.low_word}: {_weights(r.below)}" if r.below else "-",
            f"{r.scale.high_word}: {_weights(r.above)}" if r.above else "-",
        )
        for r in voice_cues.VOICE_RULES
    ]
    header = ("figure", "ordinary", "ordinary beside the usual", "a step", "a step below", "a step above")
    return _table(header, rows)


def known_cue_table() -> str:
    """Published models that can be a cue, and what is known of each."""
    head = ("model", "of", "licence", "trained on", "language", "right, by its authors", "source")
    rows = [
        (
            f"`{one.name}`", one.kind, one.licence, one.trained_on, one.languages,
            "not known to us" if one.accuracy is None
            else f"{100 * one.accuracy:.1f} % of {one.classes} classes, {one.measured_on}",
            one.source,
        )
        for one in learned_cues.KNOWN_MODELS
    ]  # fmt: skip
    return _table(head, rows)


def modifiers() -> str:
    """What changes the weight of a word."""
    changes = "; ".join(f"{what}, x {factor:g} ({origin})" for what, factor, origin in _MODIFIERS)
    return _paragraph(f"A word's weights change when it is {changes}. Met for the n-th time, it counts 1/n (own).")


# Page -> name of the block -> what fills it.
BLOCKS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "docs/evidence.md": {
        "unit table": unit_table,
        "prosody table": prosody_table,
        "tone table": tone_table,
    },
    "docs/rules.md": {
        "verdicts": verdict_table,
        "limits": limits_table,
        "face rules": face_rule_table,
        "lone units": lone_units,
        "voice rules": voice_rule_table,
        "modifiers": modifiers,
        "known cues": known_cue_table,
    },
    "docs/synth.md": reference_synth.BLOCKS,
}


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _paragraph(text: str) -> str:
    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items())


def _full_scale(formula: UnitFormula) -> str:
    """The length with its reason; most reasons begin with it."""
    return formula.scale if formula.scale[0].isdigit() else f"{10 * formula.full_cm:g} mm, {formula.scale}"


def _ordinary(rule: voice_cues.VoiceRule) -> str:
    """The band in which a figure says nothing; a side without weights is open."""
    if not rule.below:
        return f"up to {rule.scale.high:g}"
    return f"{rule.scale.low:.3g} to {rule.scale.high:.3g}" if rule.above else f"from {rule.scale.low:g}"


def _condition(rule: rule_tables.FaceRule) -> str:
    least = ceil(rule.needs * len(rule.units) - 1e-9)
    among = f", {' or '.join(rule.any_of)} among them" if rule.any_of else ""
    return f"{least} of {len(rule.units)}{among}"


def _bounds(scale: tone.Scale) -> tuple[str, str]:
    low = f"{scale.low_word}: < {_number(scale, scale.low)}" if scale.low_word else "-"
    high = f"{scale.high_word}: > {_number(scale, scale.high)}" if scale.high_word else "-"
    return low, high


def _number(scale: tone.Scale, value: float) -> str:
    if scale.figure == "pitch_median_semitones":
        return f"{prosody.SEMITONE_REFERENCE_HZ * 2 ** (value / 12):.0f} Hz"
    return f"{value:g} {scale.unit}".rstrip()


def _relative_bounds(scale: tone.Scale) -> tuple[str, str]:
    if scale.relative is None:
        return "-", "-"
    if scale.relative == "ratio":
        return f"x {scale.relative_low:g}", f"x {scale.relative_high:g}"
    unit = scale.unit.split()[0]
    return f"{scale.relative_low:+g} {unit}", f"{scale.relative_high:+g} {unit}"
