"""Numbers in words: the sentences and number formats that the page and the terminal share."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emotion_llama.records import PersonAnalysis, Prediction, Segment

NBSP = "\u00a0"  # keeps a number and its unit on one line
NO_ANSWER = "No answer"
# Distance between the two largest probabilities -> how it is put in words. The project's own, for reading only.
LEADS: tuple[tuple[float, str], ...] = ((0.30, "a clear lead"), (0.10, "a moderate lead"), (0.0, "a close call"))
# Embeddings, overrides and isolates could make a file name read as another (Unicode TR 36, 2.10.1).
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


class Ranked(NamedTuple):
    """A label and its probability."""

    label: str
    probability: float


class Headline(NamedTuple):
    """A verdict in one line, and the plain statement of how sure it is."""

    title: str
    detail: str


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


def ranked(probabilities: Mapping[str, float] | None) -> tuple[Ranked, ...]:
    """Labels by falling probability; equal ones keep their order."""
    pairs = (Ranked(*pair) for pair in (probabilities or {}).items())
    return tuple(sorted(pairs, key=lambda pair: -pair.probability))


def lead_in_words(ranking: Sequence[Ranked]) -> str | None:
    """How far the first label is ahead of the second (see `LEADS`); None with fewer than two labels."""
    if len(ranking) < 2:
        return None
    distance = ranking[0].probability - ranking[1].probability
    return next(words for least, words in LEADS if distance >= least)


def caveat(model: str) -> str:
    """What the probabilities of `model` may not be taken for."""
    if model == "rules":
        return (
            "Made by rules, a baseline without learned weights. The percentages are not calibrated: "
            "they rank the labels, and do not say how often such an answer is right."
        )
    if model == "nano":
        return (
            "Made by the small model “nano”, which learned from drawn faces and synthetic voices alone. "
            "The percentages say how it weighs the labels, not how often it is right."
        )
    return f"Made by the model “{model}”. The percentages say how it weighs the labels, not how often it is right."


def is_answered(people: Sequence[PersonAnalysis]) -> bool:
    """Whether any segment of anybody has an answer."""
    return any(segment.prediction.label is not None for person in people for segment in person.segments)


def prediction_headline(prediction: Prediction) -> Headline:
    """The verdict of one segment."""
    if prediction.label is None:
        return Headline(NO_ANSWER, prediction.problem or "")
    ranking = ranked(prediction.probabilities)
    share = (prediction.probabilities or {}).get(prediction.label)
    if share is None:
        return Headline(f"Reads as {prediction.label}", "The model gave no probability for its answer.")
    return Headline(f"Reads as {prediction.label} · {percent(share)}", _ahead_of(prediction.label, ranking))


def _ahead_of(label: str, ranking: Sequence[Ranked]) -> str:
    others = [pair for pair in ranking if pair.label != label]
    if not others:
        return "No other label was considered."
    if ranking[0].label != label:
        return f"Not the most probable label: {others[0].label} has {percent(others[0].probability)}."
    return f"Next is {others[0].label} with {percent(others[0].probability)}: {lead_in_words(ranking)}."


def mean_probabilities(segments: Sequence[Segment]) -> dict[str, float] | None:
    """Mean of the answered segments' probabilities, each weighed by its length; None when none has an answer."""
    answered = [s for s in segments if s.prediction.label is not None and s.prediction.probabilities is not None]
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
    """The verdict about a person: the segment's own, or the mean over several, weighed by their length."""
    if not person.segments:
        return Headline(NO_ANSWER, "No segment was analysed.")
    if len(person.segments) == 1:
        return prediction_headline(person.segments[0].prediction)
    unanswered = sum(segment.prediction.label is None for segment in person.segments)
    mean = mean_probabilities(person.segments)
    if mean is None:
        problem = next((s.prediction.problem for s in person.segments if s.prediction.problem), None)
        return Headline(NO_ANSWER, problem or "No segment has probabilities.")
    first = ranked(mean)[0]
    detail = f"Mean over {len(person.segments) - unanswered} segments, weighed by length. "
    detail += _ahead_of(first.label, ranked(mean))
    if unanswered:
        detail += f" {unanswered} of {len(person.segments)} segments have no answer."
    return Headline(f"Mostly reads as {first.label} · {percent(first.probability)}", detail)


def person_name(person: PersonAnalysis) -> str:
    """What the person is called in a report: "Person 1" for id 1."""
    evidence = [segment.evidence for segment in person.segments]
    if person.track is not None or any(e.action_units is not None for e in evidence):
        return f"Person {person.person_id}"
    if any(e.prosody is not None or e.transcript is not None for e in evidence):
        return "Voice without a visible face"
    return "Nobody seen or heard"


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
