"""The tables of the page: cues, units, voice figures, segments, facts about the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from emotion_llama.records import AU_DESCRIPTIONS, ActionUnits, Clip, Cue, PeakFrame, Prosody, Segment
from emotion_llama.report.markup import Html, element, join
from emotion_llama.report.selection import SHARED_ROWS, timeline_rows
from emotion_llama.report.wording import clock, figure, percent, ranked, span, weights_in_words

SOURCES: Mapping[str, str] = {"face": "Face", "voice": "Voice", "words": "Words"}

# Field of Prosody -> (its name for a reader, its unit, decimals).
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


# Evidence field -> what the page calls it.
FIELDS: Mapping[str, str] = {
    "action_units": "Action units",
    "peak_frame": "Peak frame",
    "prosody": "Voice",
    "tone": "Tone of voice",
    "transcript": "Words",
}


def field_name(what: str) -> str:
    """A field of Evidence for a reader: "prosody" is "Voice", "prosody.tilt_db" is its row of the voice table."""
    field, _, part = what.partition(".")
    if field == "prosody" and part in PROSODY_ROWS:
        return PROSODY_ROWS[part][0]
    return FIELDS.get(field, field) + (f", {part}" if part else "")


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], class_: str | None = None) -> Html:
    """A table whose first column names the row; on a phone, each cell carries its column's name."""
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in header)))
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell, data_label=name) for name, cell in zip(header[1:], row[1:])),
        )
        for row in rows
    ]
    return element("table", element("caption", caption), head, element("tbody", *body), class_=class_)


def details(summary: str, *content: str, printed: bool = False) -> Html:
    """Content that opens at a click; on paper it is left out while closed, unless `printed` (for what is short)."""
    return element("details", element("summary", summary), *content, class_="printed" if printed else None)


def cue_table(cues: Sequence[Cue]) -> Html:
    """What each cue measured, and the log-odds it adds to or takes from which labels."""
    rows = [
        (
            SOURCES[cue.source],
            cue.text,
            _weights(cue.weights, speaks_for=True),
            _weights(cue.weights, speaks_for=False),
            cue.origin,
        )
        for cue in cues
    ]
    header = ("Source", "Measured", "Speaks for", "Speaks against", "Weights from")
    return table("Cues, with the log-odds they add", header, rows, "cues")


def _weights(weights: Mapping[str, float], *, speaks_for: bool) -> str:
    return weights_in_words({label: w for label, w in weights.items() if (w > 0) == speaks_for}) or "–"


def unit_table(units: ActionUnits, peak: PeakFrame | None) -> Html:
    """Each unit at the peak, its maximum and when, and its mean over the frames with a face."""
    row = None if peak is None else int(np.argmin(np.abs(units.pts_seconds - peak.pts_seconds)))
    rows = []
    for name in units.names:
        values = units.column(name)
        seen = np.isfinite(values)
        strongest = int(np.nanargmax(values)) if seen.any() else None
        at_peak = None if row is None else float(values[row])
        rows.append(
            (
                f"{name} {AU_DESCRIPTIONS.get(name, '')}",
                figure(at_peak, 2) or "–",
                "–" if strongest is None else figure(float(values[strongest]), 2) or "–",
                "–" if strongest is None else clock(float(units.pts_seconds[strongest])),
                (figure(float(values[seen].mean()), 2) or "–") if seen.any() else "–",
            )
        )
    return table("Intensity of each unit, 0 to 5", ("Unit", "At the peak", "Strongest", "At", "Mean"), rows, "numbers")


def prosody_table(prosody: Prosody) -> Html:
    """All figures with their units; a figure that the sound does not support is shown as such."""
    rows = []
    for name, (words, unit, decimals) in PROSODY_ROWS.items():
        value = getattr(prosody, name)
        shown = figure(100 * value if name == "pause_share" and value is not None else value, decimals)
        rows.append((words, "not measurable" if shown is None else shown, "" if shown is None else unit))
    return table(f"Voice, measured by {prosody.backend}", ("Measure", "Value", "Unit"), rows, "numbers prosody")


def probability_table(probabilities: Mapping[str, float]) -> Html:
    """The numbers behind the bars, unrounded enough to compare."""
    rows = [(pair.label, f"{100 * pair.probability:.2f} %") for pair in ranked(probabilities)]
    return table("Probability of each label", ("Label", "Probability"), rows, "numbers")


def segment_table(segments: Sequence[Segment]) -> Html:
    """A row for each segment, of many for each run: when, what it reads as, and the evidence in short."""
    rows = []
    runs = timeline_rows(segments)
    for run in runs:
        ranking = ranked(run.probabilities)
        evidence = run.evidence
        units = evidence.peak_frame.units if evidence.peak_frame else {}
        count = f" ({len(run.segments)} segments)" if len(run.segments) > 1 else ""
        rows.append(
            (
                span(run.start_seconds, run.end_seconds) + count,
                run.label or f"no answer: {run.problem}",
                " · ".join(f"{pair.label} {percent(pair.probability)}" for pair in ranking[:2]) or "–",
                ", ".join(f"{name} {value:.1f}" for name, value in list(units.items())[:4]) or "–",
                evidence.tone.phrase if evidence.tone else "–",
                evidence.transcript.text if evidence.transcript else "–",
            )
        )
    header = ("Time", "Reads as", "Most probable", "Units at the peak", "Voice", "Words")
    caption = "All segments" if len(runs) == len(segments) else f"All segments. {SHARED_ROWS}"
    return table(caption, header, rows, "segments")


def facts(pairs: Iterable[tuple[str, str]], class_: str = "facts") -> Html:
    """Names and values as a description list."""
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs), class_=class_
    )


def clip_facts(clip: Clip) -> Html:
    """What the file is."""
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
        pairs.append(("Sound", "none"))
    else:
        channels = {1: "mono", 2: "stereo"}.get(clip.audio.channels, f"{clip.audio.channels} channels")
        pairs.append(("Sound", f"{clip.audio.sample_rate_hz} Hz, {channels}, {clip.audio.codec}"))
    return facts(pairs)


def stage_facts(seconds_by_stage: Mapping[str, float]) -> Html:
    """How long each stage took, and all of them."""
    pairs = [(name, f"{seconds:.2f} s") for name, seconds in seconds_by_stage.items()]
    return facts([*pairs, ("all", f"{sum(seconds_by_stage.values()):.2f} s")])


def bullet_list(items: Iterable[str], class_: str | None = None) -> Html:
    """An unordered list."""
    return element("ul", join(element("li", item) for item in items), class_=class_)
