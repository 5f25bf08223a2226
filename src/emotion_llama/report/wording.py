"""The number formats, names and sentences that the pages and the terminal share."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emotion_llama.media.language import NAMES
from emotion_llama.records import AU_DESCRIPTIONS, Transcript
from emotion_llama.results import OutOfDomain, PersonAnalysis, Prediction, Segment

NBSP = "\u00a0"  # keeps a number and its unit on one line
NO_ANSWER, UNCERTAIN = "No answer", "Uncertain"
NONE = "–"  # where a table has no value
# Distance between the two largest probabilities -> its description. The project's own, for display only.
LEADS: tuple[tuple[float, str], ...] = ((0.30, "a clear lead"), (0.10, "a moderate lead"), (0.0, "a close call"))
# Embeddings, overrides and isolates could make a file name read as another (Unicode TR 36, 2.10.1).
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


Ranking = tuple[tuple[str, float], ...]  # labels and their probabilities, the most probable first
Headline = tuple[str, str]  # the prediction in one line, and a sentence on how certain it is

SOURCES: Mapping[str, str] = {"face": "Face", "voice": "Voice", "words": "Transcript"}  # of a cue -> its name

# Field of Prosody -> (its name, its unit, decimals).
PROSODY_ROWS: Mapping[str, tuple[str, str, int]] = {
    "speech_seconds": ("Speech", "s", 2),
    "voiced_seconds": ("Voiced part of it", "s", 2),
    "pitch_median_hz": ("Pitch, median", "Hz", 0),
    "pitch_median_semitones": ("Pitch, median", "semitones above 27.5 Hz", 1),
    "pitch_range_semitones": ("Pitch range, 10th to 90th percentile", "semitones", 1),
    "pitch_slope_semitones_per_second": ("Pitch slope, median of voiced runs", "semitones per second", 1),
    "loudness_median_db": ("Loudness, median", "dB re full scale", 1),
    "loudness_range_db": ("Loudness range, 10th to 90th percentile", "dB", 1),
    "syllables_per_second": ("Tempo, pauses included", "syllables per second", 1),
    "articulation_rate": ("Tempo, pauses left out", "syllables per second", 1),
    "pause_count": ("Pauses", "", 0),
    "pause_share": ("Pauses, share of the speech span", "%", 0),
    "harmonicity_db": ("Harmonics-to-noise ratio", "dB", 1),
    "pitch_perturbation_percent": ("Pitch perturbation (jitter-like)", "%", 2),
    "loudness_perturbation_db": ("Loudness perturbation (shimmer-like)", "dB", 2),
    "tremor_depth_percent": ("Tremor, pitch modulation at 3–10 Hz", "%", 1),
    "tilt_db": ("Spectral tilt, below 1 kHz minus 1–5 kHz", "dB", 1),
}

# Evidence field -> its name.
FIELDS: Mapping[str, str] = {
    "action_units": "Action units",
    "peak_frame": "Peak frame",
    "prosody": "Voice",
    "tone": "Tone of voice",
    "transcript": "Transcript",
}


def field_name(what: str) -> str:
    """The name of a field of Evidence: "prosody" is "Voice", "prosody.tilt_db" is its row of the voice table."""
    field, _, part = what.partition(".")
    if field == "prosody" and part in PROSODY_ROWS:
        return PROSODY_ROWS[part][0]
    return FIELDS.get(field, field) + (f", {part}" if part else "")


def unit_name(unit: str) -> str:
    """An action unit with its description: "AU12 lip corner puller"."""
    return f"{unit} {AU_DESCRIPTIONS.get(unit, '')}"


def printable(text: str) -> str:
    """`text` on one line, without control characters, bidirectional overrides and lone surrogates."""
    return "".join(_printable(character) for character in text if character not in BIDI_CONTROLS)


def _printable(character: str) -> str:
    if character in "\t\n\r\v\f\u2028\u2029\x85":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in ("Cc", "Cs") else character


def sentence(text: str) -> str:
    """`text` with a capital at its start and a full stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".") if text else ""


def percent(share: float) -> str:
    """0.714 -> "71 %"; a small share is not rounded to nothing: 0.004 -> "<1 %"."""
    if 0 < share < 0.005:
        return f"<1{NBSP}%"
    if 0.995 <= share < 1:
        return f">99{NBSP}%"
    return f"{math.floor(100 * share + 0.5)}{NBSP}%"


def clock(seconds: float) -> str:
    """A point in time: "4.25 s" within the first minute, then "2:05.3" and "1:02:05"."""
    if seconds < 59.995:
        return f"{seconds:.2f}{NBSP}s"
    if seconds < 3599.95:
        tenths = math.floor(seconds * 10 + 0.5)
        return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
    whole = math.floor(seconds + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def span(start_seconds: float, end_seconds: float) -> str:
    """A stretch of time: "1.20 – 4.25 s"."""
    start, end = clock(start_seconds), clock(end_seconds)
    unit = f"{NBSP}s"
    return f"{start.removesuffix(unit) if end.endswith(unit) else start} – {end}"


def figure(value: float | None, decimals: int = 1) -> str | None:
    """A measured number with a true minus sign, or None where there is none (None, NaN, infinite)."""
    if value is None or not math.isfinite(value):
        return None
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: float) -> str:
    """A log-odds weight with its sign: "+1.2", "−0.4"."""
    return ("+" if value >= 0 else "−") + f"{abs(value):.1f}"


def weights_in_words(weights: Mapping[str, float], first: str | None = None) -> str:
    """Log-odds by falling size, the label `first` before all: "happy +1.9, sad −0.9".

    Those that round to zero are left out.
    """
    shown = sorted(
        ((label, value) for label, value in weights.items() if abs(value) >= 0.05),
        key=lambda pair: (pair[0] != first, -abs(pair[1])),
    )
    return ", ".join(f"{label}{NBSP}{signed(value)}" for label, value in shown)


def ranked(probabilities: Mapping[str, float] | None) -> Ranking:
    """Labels by falling probability; equal ones keep their order."""
    return tuple(sorted((probabilities or {}).items(), key=lambda pair: -pair[1]))


def lead_in_words(ranking: Ranking) -> str | None:
    """How far the first label is ahead of the second (see `LEADS`); None with fewer than two labels."""
    if len(ranking) < 2:
        return None
    distance = ranking[0][1] - ranking[1][1]
    return next(words for least, words in LEADS if distance >= least)


def caveat(model: str) -> str:
    """What the probabilities of `model` must not be taken for."""
    if model == "rules":
        return (
            "Predicted by rules over what was measured, without a learned model. A percentage is how often such "
            "evidence was right on the clips that the rules were tried on (docs/rules.md), not on yours."
        )
    if model == "nano":
        return (
            "Predicted by the small model “nano”, which was trained on drawn faces and synthetic voices alone. "
            "The percentages rank the labels and do not say how often such a prediction is right."
        )
    return (
        f"Predicted by the model “{model}”. The percentages rank the labels and do not say how often such a "
        "prediction is right."
    )


def is_answered(people: Sequence[PersonAnalysis]) -> bool:
    """Whether any segment of anybody has a label, or probabilities at least."""
    predictions = [segment.prediction for person in people for segment in person.segments]
    return any(one.label is not None or one.is_uncertain for one in predictions)


def answer_name(prediction: Prediction) -> str:
    """The label of a prediction, "uncertain" or "no answer"."""
    return prediction.label or ("uncertain" if prediction.is_uncertain else "no answer")


def prediction_headline(prediction: Prediction) -> Headline:
    """The headline of one segment. A guess about what is out of domain has no percentage and no lead."""
    if prediction.is_uncertain:
        return UNCERTAIN, f"{likeliest(prediction.probabilities)}; nothing that was measured is unambiguous."
    if prediction.label is None:
        return NO_ANSWER, prediction.problem or ""
    if prediction.out_of_domain:
        return f"A guess: {prediction.label}", unfamiliar(prediction.out_of_domain)
    share = (prediction.probabilities or {}).get(prediction.label)
    if share is None:
        return f"Predicted: {prediction.label}", "The model gave no probability for its answer."
    detail = _ahead_of(prediction.label, ranked(prediction.probabilities))
    if prediction.probabilities_from == "stated":
        detail += " The model was asked for these percentages and states them itself."
    return f"Predicted: {prediction.label} · {percent(share)}", detail


def likeliest(probabilities: Mapping[str, float] | None) -> str:
    """The three most probable labels: "Likeliest are happy 31 %, sad 20 % and surprise 12 %"."""
    first = [f"{label} {percent(share)}" for label, share in ranked(probabilities)[:3]]
    return f"Likeliest are {', '.join(first[:-1])} and {first[-1]}" if len(first) > 1 else f"Likeliest is {first[0]}"


def unfamiliar(parts: Sequence[OutOfDomain]) -> str:
    """What of a clip is unlike all that the model learned from."""
    named = [part.what for part in parts]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    return sentence(
        f"{listed} {'is' if len(named) == 1 else 'are'} unlike all that the model learned from: "
        "go by the measured evidence, not by this label"
    )


def _ahead_of(label: str, ranking: Ranking) -> str:
    others = [pair for pair in ranking if pair[0] != label]
    if not others:
        return "No other label was considered."
    other, share = others[0]
    if ranking[0][0] != label:
        return f"Not the most probable label: {other} has {percent(share)}."
    return f"Next is {other} with {percent(share)}: {lead_in_words(ranking)}."


def mean_probabilities(segments: Sequence[Segment]) -> dict[str, float] | None:
    """Mean of the segments' probabilities, each weighted by its length; None when none has any.

    Where some have a label, those that are uncertain do not count.
    """
    answered = [s for s in segments if s.prediction.probabilities is not None]
    answered = [s for s in answered if s.prediction.label is not None] or answered
    total = sum(s.end_seconds - s.start_seconds for s in answered)
    if not answered or total <= 0:
        return None
    mean: dict[str, float] = {}
    for segment in answered:
        for label, value in (segment.prediction.probabilities or {}).items():
            share = (segment.end_seconds - segment.start_seconds) / total
            mean[label] = mean.get(label, 0.0) + share * value
    return mean


def person_headline(person: PersonAnalysis) -> Headline:
    """The headline of a person: the segment's own, or that of the mean over several, weighted by their length."""
    if not person.segments:
        return NO_ANSWER, "No segment was analysed."
    if len(person.segments) == 1:
        return prediction_headline(person.segments[0].prediction)
    count, predictions = len(person.segments), [segment.prediction for segment in person.segments]
    uncertain = sum(one.is_uncertain for one in predictions)
    unanswered = sum(one.label is None for one in predictions) - uncertain
    mean = mean_probabilities(person.segments)
    if mean is None:
        problem = next((one.problem for one in predictions if one.problem), None)
        return NO_ANSWER, problem or "No segment has probabilities."
    rest = f" {uncertain} of {count} segments are uncertain." if uncertain else ""
    rest += f" {unanswered} of {count} segments have no answer." if unanswered else ""
    if uncertain + unanswered == count:
        return f"{UNCERTAIN} overall", f"{likeliest(mean)}.{rest}"
    label, share = ranked(mean)[0]
    strange = [one.out_of_domain for one in predictions if one.out_of_domain]
    if strange:
        return f"A guess overall: {label}", unfamiliar(max(strange, key=len)) + rest
    labelled = count - uncertain - unanswered
    over = f"Mean over {labelled} segments, weighted by length." if labelled > 1 else "One segment has a label."
    return f"Predicted overall: {label} · {percent(share)}", f"{over} {_ahead_of(label, ranked(mean))}{rest}"


def person_name(person: PersonAnalysis) -> str:
    """The name of a person in a report: "Person 1" for id 1."""
    evidence = [segment.evidence for segment in person.segments]
    if person.track is not None or any(e.action_units is not None for e in evidence):
        return f"Person {person.person_id}"
    if any(e.prosody is not None or e.transcript is not None for e in evidence):
        return "Voice without a visible face"
    return "Nobody seen or heard"


def source_of(transcript: Transcript) -> str:
    """Where words come from, and in which languages: "faster-whisper, Chinese (probability 0.98)"."""
    tags = dict.fromkeys(line.language for line in transcript.lines if line.language)
    named = [NAMES.get(tag, tag) for tag in tags or ([transcript.language] if transcript.language else [])]
    sure = transcript.language_probability
    doubt = "" if sure is None or not named else f" (probability {sure:.2f})"
    return ", ".join([transcript.source, *([" and ".join(named) + doubt] if named else [])])


def lead_segment(person: PersonAnalysis) -> int | None:
    """Index of the segment that shows a person best: the most probable answer, with a face if there is one."""
    return most_telling(person.segments)


def most_telling(segments: Sequence[Segment]) -> int | None:
    """Index of the most probable answer, one with a face before those without; None of no segments."""
    if not segments:
        return None

    def key(index: int) -> tuple[bool, float]:
        segment = segments[index]
        probabilities = segment.prediction.probabilities or {}
        share = probabilities.get(segment.prediction.label or "", 0.0)
        return segment.evidence.peak_frame is not None, share

    return max(range(len(segments)), key=key)


# --- tables of counts -------------------------------------------------------------------------------------------------


def plain(name: str) -> str:
    """The name of a field or phase for display: "visual_expression" is "visual expression"."""
    return name.replace("_", " ")


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Counts by name: "no face (3); no sound (1)"; a dash where there are none."""
    return "; ".join(f"{name}{NBSP}({count:,})" for name, count in counts.items()) or NONE


def share_text(share: float | None) -> str:
    """A share as percent; a dash where there is none."""
    return NONE if share is None else percent(share)


def cells(items: Iterable[Mapping[str, Any]], *keys: str) -> list[tuple[str, ...]]:
    """A row of text for each item: its values under `keys`.

    A key may lead into a mapping ("length.count"), end in "%" for a share 0..1, or be "field" for a name with its
    language. Counts by name become "name (3)"; None becomes a dash.
    """
    return [tuple(_cell(item, key) for key in keys) for item in items]


def _cell(item: Mapping[str, Any], key: str) -> str:
    if key == "field":
        return plain(item["name"]) + (f" ({item['language']})" if item["language"] else "")
    value: Any = item
    for part in key.rstrip("%").split("."):
        value = value[part]
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return counts_in_words(value)
    if isinstance(value, (int, float)) and key.endswith("%"):
        return percent(value)
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1 else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return value[:8] if key.endswith("sha256") else plain(value) if key == "stage" else str(value)
