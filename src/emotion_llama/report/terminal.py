"""An analysis as text for a terminal: what the page shows first, within 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from emotion_llama.records import Clip
from emotion_llama.report.console import MIN_WIDTH, Printout
from emotion_llama.report.selection import SHARED_ROWS, timeline_rows
from emotion_llama.report.wording import (
    SOURCES,
    Headline,
    caveat,
    clock,
    field_name,
    is_answered,
    lead_segment,
    mean_probabilities,
    percent,
    person_headline,
    person_name,
    prediction_headline,
    ranked,
    sentence,
    source_of,
    span,
    unit_name,
    weights_in_words,
)
from emotion_llama.results import Analysis, Cue, Evidence, PersonAnalysis, Segment, saturated_units, shown_units

if TYPE_CHECKING:
    from rich.console import Console

MIN_DETAIL = 12  # columns below which the detail of a one-line analysis says nothing
LABEL = 12  # columns of what stands before a wrapped text: "Transcript  "


def render_terminal(
    analysis: Analysis, *, width: int = 80, colour: bool = False, encoding: str | None = "utf-8"
) -> str:
    """The analysis as lines of at most `width` columns, with a line break at the end; see `Printout`."""
    out = Printout(width, colour=colour, encoding=encoding)
    _heading(out, analysis)
    for person in analysis.people:
        _person(out, person)
    if analysis.warnings:
        out.line()
        out.line(("Warnings", "yellow"))
        for warning in analysis.warnings:
            out.paragraph(sentence(warning), "  ")
    return out.text()


def render_line(analysis: Analysis, *, width: int = 80, encoding: str | None = "utf-8") -> str:
    """The analysis on one line of at most `width` columns, without a line break: file name, headline, and detail.

    The detail, as far as there is room: the strongest units of the most probable segment and the tone, or why there is
    no answer.
    """
    out = Printout(max(width, MIN_WIDTH), colour=False, encoding=encoding)
    title, reason = _main_headline(analysis)
    title = out.clean(title)
    name = out.crop_middle(analysis.clip.path.name, max(width - cell_len(title) - 2, 8))
    short = out.crop(f"{name}  {title}", width)
    detail = _strongest(analysis) if is_answered(analysis.people[:1]) else reason
    room = width - cell_len(short) - 2
    return f"{short}  {out.crop(detail, room)}" if detail and room >= MIN_DETAIL else short


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Write `render_terminal` to a rich console, as wide and as colourful as it is."""
    print_text(render_terminal(
        analysis,
        width=max(console.width, MIN_WIDTH),
        colour=console.is_terminal and console.color_system is not None,
        encoding=console.encoding,
    ), console)  # fmt: skip


def print_line(analysis: Analysis, console: Console) -> None:
    """Write `render_line` to a rich console."""
    print_text(render_line(analysis, width=console.width, encoding=console.encoding) + "\n", console)


def print_text(text: str, console: Console) -> None:
    """Write text with its colours to a rich console."""
    from rich.text import Text

    console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True, highlight=False)


def _strongest(analysis: Analysis) -> str:
    """Units and tone of the main person's most probable segment: "AU12 3.6, AU06 1.2; loud voice"."""
    person = analysis.people[0]
    index = lead_segment(person)
    evidence = person.segments[index].evidence if index is not None else Evidence()
    parts = [_units(evidence), evidence.tone.phrase if evidence.tone else ""]
    return "; ".join(part for part in parts if part)


def _units(evidence: Evidence) -> str:
    units = list(shown_units(evidence.action_units).items())[:3]
    return ", ".join(f"{name} {value:.1f}" for name, value in units)


def _main_headline(analysis: Analysis) -> Headline:
    return person_headline(analysis.people[0]) if analysis.people else ("No answer", "No person was found.")


def _heading(out: Printout, analysis: Analysis) -> None:
    title, detail = _main_headline(analysis)
    out.line((out.crop_middle(analysis.clip.path.name, out.width), "bold"))
    out.line((_clip_in_short(analysis.clip), "dim"))
    out.line()
    out.line((title, "bold"))
    if detail:
        out.paragraph(sentence(detail))
    if is_answered(analysis.people):
        out.paragraph(caveat(analysis.model), style="dim")


def _clip_in_short(clip: Clip) -> str:
    video, audio = clip.video, clip.audio
    seen = "no video" if video is None else f"{video.width} × {video.height} px, {video.fps:.4g} fps"
    heard = "no audio" if audio is None else f"audio {audio.sample_rate_hz} Hz"
    return f"{clock(clip.duration_seconds)} · {seen} · {heard}"


def _person(out: Printout, person: PersonAnalysis) -> None:
    out.line()
    out.line((person_name(person), "bold"), (" (main person)" if person.is_main else "", "dim"))
    if person.why:
        out.paragraph(sentence(person.why), "  ", style="dim")
    lead = lead_segment(person)
    if lead is None:
        return
    segment = person.segments[lead]
    if len(person.segments) == 1:
        if segment.prediction.out_of_domain:  # what was measured stands before the guess
            _segment(out, segment)
            _bars(out, segment.prediction.probabilities, segment.prediction.label)
            return
        _bars(out, segment.prediction.probabilities, segment.prediction.label)
    else:
        mean = mean_probabilities(person.segments)
        _bars(out, mean, ranked(mean)[0][0] if mean else None)
        _timeline(out, person.segments)
        out.line()
        title, _ = prediction_headline(segment.prediction)
        when = span(segment.start_seconds, segment.end_seconds)
        out.line(("  Most probable segment  ", "dim"), (f"{when}: {title}", "bold"))
    _segment(out, segment)


def _bars(out: Printout, probabilities: Mapping[str, float] | None, label: str | None) -> None:
    ranking = ranked(probabilities)
    if not ranking:
        return
    out.line()
    names = min(max(cell_len(out.clean(name)) for name, _ in ranking), out.width // 3)
    room = out.width - names - 12
    for name, share in ranking:
        style = "bold" if name == label else ""
        short = out.crop(name, names)
        out.line(
            ("  " + short + " " * (names - cell_len(short)) + "  ", style),
            (out.bar(share, room), "cyan"),
            ("  " + percent(share).rjust(5), style),
        )


def _timeline(out: Printout, segments: Sequence[Segment]) -> None:
    runs = timeline_rows(segments)
    rows = []
    for run in runs:
        share = None if run.is_guess else (run.probabilities or {}).get(run.label or "")
        predicted = run.name + ("" if share is None else f" {percent(share)}")
        count = f"{len(run.segments)} segments" if len(run.segments) > 1 else ""
        said = f"“{run.evidence.transcript.text}”" if run.evidence.transcript else ""
        shown = [part for part in (count, _units(run.evidence), said) if part]
        rows.append((span(run.start_seconds, run.end_seconds), predicted, "  ".join(shown)))
    out.line()
    out.columns("  Time", ("Predicted", "Units held, transcript"), rows)
    if len(runs) < len(segments):
        out.paragraph(SHARED_ROWS, "  ", style="dim")


def _segment(out: Printout, segment: Segment) -> None:
    evidence, prediction = segment.evidence, segment.prediction
    out.line()
    if prediction.problem is not None:
        out.paragraph(sentence(prediction.problem), "  No answer: ", indent=4, style="yellow")
    for name, text in _evidence_rows(evidence):
        out.paragraph(text, f"  {name:<{LABEL}}")
    if prediction.reasoning.strip():
        out.paragraph(prediction.reasoning, f"  {'Why':<{LABEL}}")
    _cues(out, prediction.cues, prediction.label)
    if evidence.missing:
        out.line()
        out.line(("  Could not be measured", "dim"))
        for missing in evidence.missing:
            out.paragraph(sentence(f"{field_name(missing.what)}: {missing.reason}"), "    ", indent=6)


def _evidence_rows(evidence: Evidence) -> list[tuple[str, str]]:
    rows = []
    if evidence.peak_frame is not None:
        rows.append(("Face", f"{_held(evidence)}; peak at {clock(evidence.peak_frame.pts_seconds)}"))
    if evidence.tone is not None:
        rows.append(("Voice", f"{evidence.tone.phrase} ({'; '.join(evidence.tone.words.values())})"))
    if evidence.transcript is not None:
        rows.append(("Transcript", f"“{evidence.transcript.text}” ({source_of(evidence.transcript)})"))
    return rows


def _held(evidence: Evidence) -> str:
    """Units that are held, the strongest first, and for how long they are at the most that a person can do."""
    units = evidence.action_units
    shown = shown_units(units)
    if units is None or not shown:
        return "no unit is held"
    listed = ", ".join(f"{unit_name(name)} {value:.1f}" for name, value in shown.items())
    most = [f"{name} {percent(share)}" for name, share in saturated_units(units).items() if name in shown and share]
    return f"held: {listed}" + (f"; at 4.5 or more of the time: {', '.join(most)}" if most else "")


def _cues(out: Printout, cues: Sequence[Cue], label: str | None) -> None:
    """Cues in three groups, by their effect on the answer, each with the log-odds that it adds."""
    groups: dict[str, list[Cue]] = {f"For {label}": [], f"Against {label}": [], "For other labels": []}
    if label is None:
        groups = {"Cues": list(cues)}
    else:
        supporting, contradicting, others = groups.values()
        for cue in cues:
            weight = cue.weights.get(label, 0.0)
            (supporting if weight > 0 else contradicting if weight < 0 else others).append(cue)
    for title, members in groups.items():
        if not members:
            continue
        out.line()
        out.line((f"  {title}", "dim"))
        rows = []
        for cue in members:
            first, _, rest = weights_in_words(cue.weights, label).partition(", ")
            text = f"{cue.text} ({rest})" if rest else cue.text
            rows.append((SOURCES[cue.source], text, first or "no weight"))
        out.details(rows, label_width=LABEL + 2)
