"""A document as tiers of intervals: labels, episodes of action units, lines and words, speakers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from emotion_llama.schema import AnalysisDocument, PersonDocument, SegmentDocument

PRESENT = 1.0  # of 5: a unit is an episode from here on; our own choice, FACS's lowest visible level is A = 1
LEAST_SECONDS = 0.2  # shorter episodes are left out: five frames at 25 fps


class Interval(NamedTuple):
    """Something from one time to another, in seconds."""

    start_seconds: float
    end_seconds: float
    text: str


class Tier(NamedTuple):
    """Intervals in order of time that do not overlap. `person_id` is None for what is nobody's in view."""

    name: str
    kind: str  # "label", "unit", "line", "word" or "speaker"
    person_id: int | None
    intervals: tuple[Interval, ...]


def label_of(segment: SegmentDocument) -> str:
    """The label, "uncertain", or "no answer"; a guess about what the model never saw is marked by a question mark."""
    prediction = segment.prediction
    if prediction.label is None:
        return "uncertain" if prediction.is_uncertain else "no answer"
    return f"{prediction.label}?" if prediction.out_of_domain else prediction.label


def tiers(document: AnalysisDocument) -> list[Tier]:
    """All tiers of a clip; those without intervals are left out, what overlaps goes into a tier of its own."""
    found: list[Tier] = []
    for person in document.people:
        name = f"person_{person.person_id}"
        labels = [Interval(one.start_seconds, one.end_seconds, label_of(one)) for one in person.segments]
        found += _lanes(f"{name}_label", "label", person.person_id, labels)
        for unit, episodes in unit_episodes(person).items():
            found += _lanes(f"{name}_{unit}", "unit", person.person_id, episodes)
        lines, words = list[Interval](), list[Interval]()
        for segment in person.segments:
            for line in segment.evidence.transcript.lines if segment.evidence.transcript else ():
                start, end = line.start_seconds, line.end_seconds
                if start is None or end is None:  # of the whole segment
                    start, end = segment.start_seconds, segment.end_seconds
                lines.append(Interval(start, end, line.text))
                words += [Interval(word.start_seconds, word.end_seconds, word.text) for word in line.words]
        found += _lanes(f"{name}_lines", "line", person.person_id, dict.fromkeys(lines))
        found += _lanes(f"{name}_words", "word", person.person_id, dict.fromkeys(words))
    speakers = dict.fromkeys(turn.speaker for turn in document.speakers)
    for speaker in speakers:
        turns = [turn for turn in document.speakers if turn.speaker == speaker]
        spans = [Interval(turn.start_seconds, turn.end_seconds, speaker) for turn in turns]
        found += _lanes(f"speaker_{speaker}", "speaker", turns[0].person_id, spans)
    return found


def unit_episodes(person: PersonDocument) -> dict[str, list[Interval]]:
    """Unit -> stretches of `LEAST_SECONDS` or more at `PRESENT` or more, with the highest intensity as their text.

    An episode ends where the first frame below, or without a measurement, begins.
    """
    found: dict[str, list[Interval]] = {}
    for segment in person.segments:
        units = segment.evidence.action_units
        if units is None or units.curves is None:
            continue
        times = units.curves.pts_seconds
        ends = [*times[1:], segment.end_seconds]
        for j, name in enumerate(units.names):
            begun, highest = None, 0.0
            values = [row[j] for row in units.curves.intensity]
            for at, value in [*zip(times, values, strict=True), (ends[-1] if times else 0.0, None)]:
                if value is not None and value >= PRESENT:
                    begun, highest = (at, value) if begun is None else (begun, max(highest, value))
                elif begun is not None:
                    if at - begun >= LEAST_SECONDS:
                        found.setdefault(name, []).append(Interval(begun, at, f"{highest:.1f}"))
                    begun = None
    return found


def _lanes(name: str, kind: str, person_id: int | None, intervals: Iterable[Interval]) -> list[Tier]:
    """One tier, or as many as it takes until nothing in one overlaps: no time is moved."""
    lanes: list[list[Interval]] = []
    for one in sorted(intervals):
        if one.end_seconds <= one.start_seconds:
            continue
        lane = next((lane for lane in lanes if lane[-1].end_seconds <= one.start_seconds), None)
        if lane is None:
            lanes.append([one])
        else:
            lane.append(one)
    return [Tier(name if i == 0 else f"{name}_{i + 1}", kind, person_id, tuple(lane)) for i, lane in enumerate(lanes)]


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]], separator: str = ",", missing: str = "") -> str:
    """A table as CSV by RFC 4180, or TSV; None is an empty cell (or `missing`). UTF-8 with Unix line ends."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([missing if value is None else value for value in row])
    return out.getvalue()
