"""The HTML page of an analysis: what `templates/analysis.html.j2` shows, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emotion_llama import __version__
from emotion_llama.records import ActionUnits, Clip, PeakFrame, Prosody
from emotion_llama.report.charts import TimeAxis, timeline
from emotion_llama.report.evidence_charts import scale_of, unit_chart, voice_chart
from emotion_llama.report.pages import overlay, render
from emotion_llama.report.selection import (
    MAX_DETAILED,
    SHARED_ROWS,
    choose_detailed,
    points_per_curve,
    timeline_rows,
    within_budget,
)
from emotion_llama.report.wording import (
    NONE,
    PROSODY_ROWS,
    SOURCES,
    Headline,
    caveat,
    clock,
    field_name,
    figure,
    is_answered,
    lead_segment,
    percent,
    person_headline,
    person_name,
    ranked,
    sentence,
    source_of,
    span,
    unit_name,
    weights_in_words,
)
from emotion_llama.results import (
    Analysis,
    Cue,
    Evidence,
    PeakImage,
    PersonAnalysis,
    Segment,
    held_units,
    saturated_units,
    shown_units,
)
from emotion_llama.speech.pauses import pauses

Row = tuple[str, ...]  # the cells of a table's row, or a name and its value

MAX_PEAKS = 12  # marked in the chart of a whole recording
MAX_PRINTED_ROWS = 20  # of a table of segments; a longer one stays on the screen


def analysis_page(analysis: Analysis) -> str:
    """The whole page of an analysis, with the images of its peak frames that it holds."""
    images = {
        (person.person_id, i): segment.image
        for person in analysis.people
        for i, segment in enumerate(person.segments)
        if segment.image is not None
    }
    return render_page(analysis, images, versions=analysis.versions)


def render_page(
    analysis: Analysis,
    images: Mapping[tuple[int, int], PeakImage],
    *,
    versions: Mapping[str, str] | None = None,
    max_detailed_segments: int = MAX_DETAILED,
) -> str:
    """The whole page as HTML text, to be written as UTF-8.

    Args:
        analysis: what is shown.
        images: the face at the peak frame, by (person_id, index of the segment). One that is missing is explained.
        versions: name -> version of what made the analysis, for the record.
        max_detailed_segments: how many segments are shown in full; the others are rows of a table. The most probable
            come first: one of each person, then by probability.
    """
    detailed = choose_detailed(analysis.people, max_detailed_segments)
    # Base64 writes four characters for three bytes.
    sizes = {key: 4 * len(image.jpeg) // 3 for key, image in images.items()}
    num_charts = len(detailed) + sum(len(person.segments) > 1 for person in analysis.people)
    return render(
        "analysis.html.j2",
        *_HELPERS,
        analysis=analysis,
        headline=_headline(analysis),
        caveat=caveat(analysis.model) if is_answered(analysis.people) else "",
        images={key: images[key] for key in within_budget(sizes, detailed)},
        detailed=frozenset(detailed),
        most_points=points_per_curve(num_charts),
        pauses=pauses(analysis.voice) if analysis.voice is not None else (),
        settings=[(name, _setting(value)) for name, value in analysis.settings.items()],
        versions=list({"model": analysis.model, "emotion-llama": __version__, **(versions or {})}.items()),
        shown_segments=lambda person: sum(key[0] == person.person_id for key in detailed),
        max_printed_rows=MAX_PRINTED_ROWS,
        time_axis=TimeAxis,
    )


def _headline(analysis: Analysis) -> Headline:
    if analysis.people:
        return person_headline(analysis.people[0])
    return "No answer", "No person was found: " + ("; ".join(analysis.warnings) or "no face and no voice.")


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_setting(part)}" for name, part in value.items())
    return "not given" if value is None else str(value)


# --- the whole recording --------------------------------------------------------------------------------------------


def joined_units(segments: Sequence[Segment]) -> ActionUnits | None:
    """The units of all segments in one, where all come from one source; None otherwise."""
    parts = [s.evidence.action_units for s in segments if s.evidence.action_units is not None]
    if not parts or any(part.names != parts[0].names for part in parts):
        return None
    return ActionUnits(
        parts[0].names,
        np.concatenate([part.pts_seconds for part in parts]),
        np.concatenate([part.intensity for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.is_blink for part in parts]),
        np.concatenate([part.is_speech for part in parts]),
        parts[0].neutral,
        parts[0].source,
    )


def marked_peaks(segments: Sequence[Segment]) -> list[PeakFrame]:
    """The peaks of all segments; none where there are so many that their lines would hide the curves."""
    peaks = [s.evidence.peak_frame for s in segments if s.evidence.peak_frame is not None]
    return peaks if len(peaks) <= MAX_PEAKS else []


def segment_rows(segments: Sequence[Segment]) -> tuple[str, list[Row]]:
    """A caption, and a row for each segment, or of many for each run: when, its label, and the evidence in short."""
    runs = timeline_rows(segments)
    rows: list[Row] = []
    for run in runs:
        evidence = run.evidence
        units = shown_units(evidence.action_units)
        count = f" ({len(run.segments)} segments)" if len(run.segments) > 1 else ""
        rows.append(
            (
                span(run.start_seconds, run.end_seconds) + count,
                f"{run.name}: {run.problem}" if run.problem else run.name,
                " · ".join(f"{label} {percent(share)}" for label, share in ranked(run.probabilities)[:2]) or NONE,
                ", ".join(f"{name} {value:.1f}" for name, value in list(units.items())[:4]) or NONE,
                evidence.tone.phrase if evidence.tone else NONE,
                evidence.transcript.text if evidence.transcript else NONE,
            )
        )
    return ("All segments" if len(runs) == len(segments) else f"All segments. {SHARED_ROWS}"), rows


# --- one segment ----------------------------------------------------------------------------------------------------


def cue_rows(cues: Sequence[Cue]) -> list[Row]:
    """What each cue measured, and the log-odds it adds to which labels and takes from which."""
    rows: list[Row] = []
    for cue in cues:
        added = weights_in_words({label: weight for label, weight in cue.weights.items() if weight > 0})
        taken = weights_in_words({label: weight for label, weight in cue.weights.items() if weight <= 0})
        rows.append((SOURCES[cue.source], cue.text, added or NONE, taken or NONE, cue.origin))
    return rows


def unit_rows(evidence: Evidence) -> list[Row]:
    """Each unit as it is held, its mean, the share of the time at 4.5 or more, and its figure in the peak frame."""
    units, peak = evidence.action_units, evidence.peak_frame
    if units is None:
        return []
    at = None if peak is None else int(np.argmin(np.abs(units.pts_seconds - peak.pts_seconds)))
    held, saturated = held_units(units), saturated_units(units)
    rows: list[Row] = []
    for name in units.names:
        values = units.column(name)
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else None
        share = None if name not in saturated else percent(saturated[name])
        at_peak = None if at is None else figure(float(values[at]), 2)
        numbers = (figure(held.get(name), 2), figure(mean, 2), share, at_peak)
        rows.append((unit_name(name), *(n or NONE for n in numbers)))
    return rows


def unit_keys(units: ActionUnits, peaks: Sequence[PeakFrame]) -> list[Row]:
    """The colours that a chart of units shows, and their meaning."""
    present = (
        ("peak", "peak", bool(peaks)),
        ("gap", "no face", bool((~units.valid).any())),
        ("talk", "talking", bool(units.is_speech.any())),
        ("blink", "blink", bool(units.is_blink.any())),
    )
    return [(kind, meaning) for kind, meaning, there in present if there]


def prosody_rows(prosody: Prosody) -> list[Row]:
    """All measures of a voice with their units; one that the audio does not support is shown as such."""
    rows: list[Row] = []
    for name, (title, unit, decimals) in PROSODY_ROWS.items():
        value = getattr(prosody, name)
        shown = figure(100 * value if name == "pause_share" and value is not None else value, decimals)
        rows.append((title, "not measurable" if shown is None else shown, "" if shown is None else unit))
    return rows


def probability_rows(probabilities: Mapping[str, float]) -> list[Row]:
    """The numbers behind the bars, with digits enough to compare."""
    return [(label, f"{100 * share:.2f} %") for label, share in ranked(probabilities)]


def missing_items(evidence: Evidence) -> list[str]:
    """What could not be measured, and why."""
    return [sentence(f"{field_name(missing.what)}: {missing.reason}") for missing in evidence.missing]


def why_no_image(evidence: Evidence) -> str:
    """Why a segment is shown without a face."""
    if evidence.peak_frame is not None:
        return f"The peak is at {clock(evidence.peak_frame.pts_seconds)}; its image is not part of this page."
    reason = evidence.why_missing("peak_frame") or evidence.why_missing("action_units") or "there is no peak frame"
    return sentence(f"No image of the face: {reason}")


def image_description(person: PersonAnalysis, peak: PeakFrame) -> str:
    """The text that stands for the image of a face."""
    present = ", ".join(map(unit_name, peak.units)) or "no unit above the threshold"
    return f"Face of {person_name(person)} at the peak frame, {clock(peak.pts_seconds)}: {present}"


# --- the record -----------------------------------------------------------------------------------------------------


def clip_facts(clip: Clip) -> list[Row]:
    """The properties of a file."""
    pairs = [("File", clip.path.name), ("Duration", clock(clip.duration_seconds)), ("SHA-256", clip.sha256[:16] + "…")]
    if clip.video is None:
        pairs.append(("Video", "none"))
    else:
        video = clip.video
        rate = f"{video.fps:.2f}".rstrip("0").rstrip(".") + " fps" + (", variable" * video.is_variable_frame_rate)
        pairs.append(("Video", f"{video.width} × {video.height} px, {rate}, {video.codec}, {video.pixel_format}"))
        if video.rotation_degrees:
            pairs.append(("Turned upright by", f"{video.rotation_degrees}°"))
    if clip.audio is None:
        pairs.append(("Audio", "none"))
    else:
        channels = {1: "mono", 2: "stereo"}.get(clip.audio.channels, f"{clip.audio.channels} channels")
        pairs.append(("Audio", f"{clip.audio.sample_rate_hz} Hz, {channels}, {clip.audio.codec}"))
    return [*pairs]


def stage_facts(seconds_by_stage: Mapping[str, float]) -> list[Row]:
    """How long each stage took, and all of them."""
    return [(name, f"{s:.2f} s") for name, s in (*seconds_by_stage.items(), ("all", sum(seconds_by_stage.values())))]


# What the template calls.
_HELPERS = (
    clip_facts, cue_rows, image_description, joined_units, lead_segment, marked_peaks, missing_items, overlay,
    probability_rows, prosody_rows, scale_of, segment_rows, source_of, stage_facts, timeline, unit_chart, unit_keys,
    unit_rows, voice_chart, why_no_image,
)  # fmt: skip
