"""An analysis as text for a terminal: what the page shows first, within 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.records import AU_DESCRIPTIONS, Analysis, Clip, Cue, Evidence, PersonAnalysis, Segment
from emotion_llama.report.selection import SHARED_ROWS, timeline_rows
from emotion_llama.report.sheet import Part, Sheet, cells, crop, crop_middle
from emotion_llama.report.tables import SOURCES, field_name
from emotion_llama.report.wording import (
    Headline,
    caveat,
    clock,
    is_answered,
    lead_segment,
    mean_probabilities,
    percent,
    person_headline,
    person_name,
    prediction_headline,
    ranked,
    sentence,
    span,
    weights_in_words,
)

if TYPE_CHECKING:
    from rich.console import Console

LEAST_WIDTH = 40
TIME, READ = 19, 15  # columns of the timeline
LEAST_TELLING = 12  # columns below which the end of a one-line analysis says nothing


def render_terminal(
    analysis: Analysis, *, width: int = 80, colour: bool = False, encoding: str | None = "utf-8"
) -> str:
    """The analysis as lines of at most `width` columns, with a line break at the end.

    Args:
        analysis: what is shown.
        width: columns of the terminal, at least 40.
        colour: whether ANSI codes for bold, dim and colour are written.
        encoding: of the stream that the text is written to; anything but UTF-8 and its like gets plain ASCII.

    Raises:
        InputError: fewer than 40 columns.
    """
    if width < LEAST_WIDTH:
        raise InputError(f"the table needs at least {LEAST_WIDTH} columns, got {width}; widen the terminal")
    sheet = Sheet(width, colour=colour, encoding=encoding)
    _heading(sheet, analysis)
    for person in analysis.people:
        _person(sheet, person)
    if analysis.warnings:
        sheet.line()
        sheet.line(Part("Warnings", "warning"))
        for warning in analysis.warnings:
            sheet.paragraph(sentence(warning), first="  ")
    return sheet.text()


def render_line(analysis: Analysis, *, width: int = 80, encoding: str | None = "utf-8") -> str:
    """The analysis on one line of at most `width` columns, without a line break: file name, verdict, and what tells.

    After the verdict come the strongest units of the most telling segment and the tone, or why there is no answer, as
    far as there is room.
    """
    sheet = Sheet(width, colour=False, encoding=encoding)
    headline = _main_headline(analysis)
    verdict = sheet.clean(headline.title)
    name = crop_middle(sheet.clean(analysis.clip.path.name), max(width - cells(verdict) - 2, 8), sheet.ellipsis)
    telling = _telling(analysis) if is_answered(analysis.people[:1]) else headline.detail
    sheet.line(f"{name}  {verdict}")
    short = sheet.text().rstrip("\n")
    room = width - cells(short) - 2
    return (
        f"{short}  {crop(sheet.clean(telling), room, sheet.ellipsis)}" if telling and room >= LEAST_TELLING else short
    )


def _telling(analysis: Analysis) -> str:
    """The strongest units and the tone of the main person's most telling segment: "AU12 3.6, AU06 1.2; loud voice"."""
    person = analysis.people[0]
    index = lead_segment(person)
    evidence = person.segments[index].evidence if index is not None else Evidence()
    units = list(evidence.peak_frame.units.items())[:3] if evidence.peak_frame else []
    parts = [", ".join(f"{name} {value:.1f}" for name, value in units), evidence.tone.phrase if evidence.tone else ""]
    return "; ".join(part for part in parts if part)


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Write `render_terminal` to a rich console, as wide and as colourful as it is."""
    _write(render_terminal(
        analysis,
        width=max(console.width, LEAST_WIDTH),
        colour=console.is_terminal and console.color_system is not None,
        encoding=console.encoding,
    ), console)  # fmt: skip


def print_line(analysis: Analysis, console: Console) -> None:
    """Write `render_line` to a rich console."""
    _write(render_line(analysis, width=console.width, encoding=console.encoding) + "\n", console)


def _write(text: str, console: Console) -> None:
    from rich.text import Text

    console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True, highlight=False)


def _main_headline(analysis: Analysis) -> Headline:
    if analysis.people:
        return person_headline(analysis.people[0])
    return Headline("No answer", "No person was found.")


def _heading(sheet: Sheet, analysis: Analysis) -> None:
    name = crop_middle(sheet.clean(analysis.clip.path.name), sheet.width, sheet.ellipsis)
    headline = _main_headline(analysis)
    sheet.line(Part(name, "bold"))
    sheet.line(Part(_clip_in_short(analysis.clip), "dim"))
    sheet.line()
    sheet.line(Part(headline.title, "bold"))
    if headline.detail:
        sheet.paragraph(sentence(headline.detail))
    if is_answered(analysis.people):
        sheet.paragraph(caveat(analysis.model), style="dim")


def _clip_in_short(clip: Clip) -> str:
    video, audio = clip.video, clip.audio
    picture = "no video" if video is None else f"{video.width} × {video.height} px, {video.fps:.4g} fps"
    sound = "no sound" if audio is None else f"sound {audio.sample_rate_hz} Hz"
    return f"{clock(clip.duration_seconds)} · {picture} · {sound}"


def _person(sheet: Sheet, person: PersonAnalysis) -> None:
    sheet.line()
    sheet.line(Part(person_name(person), "bold"), Part(" (main person)" if person.is_main else "", "dim"))
    if person.why:
        sheet.paragraph(sentence(person.why), first="  ", style="dim")
    lead = lead_segment(person)
    if lead is None:
        return
    segment = person.segments[lead]
    if len(person.segments) == 1:
        _bars(sheet, segment.prediction.probabilities, segment.prediction.label)
    else:
        mean = mean_probabilities(person.segments)
        _bars(sheet, mean, ranked(mean)[0].label if mean else None)
        _timeline(sheet, person.segments)
        sheet.line()
        title = prediction_headline(segment.prediction).title
        when = span(segment.start_seconds, segment.end_seconds)
        sheet.line(Part("  Most telling segment  ", "dim"), Part(f"{when}: {title}", "bold"))
    _segment(sheet, segment)


def _bars(sheet: Sheet, probabilities: Mapping[str, float] | None, label: str | None) -> None:
    ranking = ranked(probabilities)
    if not ranking:
        return
    sheet.line()
    names = min(max(cells(sheet.clean(pair.label)) for pair in ranking), sheet.width // 3)
    room = sheet.width - names - 12
    for pair in ranking:
        chosen = pair.label == label
        sheet.line(
            Part("  " + sheet.pad(pair.label, names) + "  ", "bold" if chosen else "plain"),
            Part(sheet.bar(pair.probability, room), "accent"),
            Part("  " + percent(pair.probability).rjust(5), "bold" if chosen else "plain"),
        )


def _timeline(sheet: Sheet, segments: Sequence[Segment]) -> None:
    sheet.line()
    sheet.line(Part("  " + "Time".ljust(TIME) + "Reads as".ljust(READ) + "Units at the peak, words", "dim"))
    runs = timeline_rows(segments)
    for run in runs:
        evidence = run.evidence
        share = (run.probabilities or {}).get(run.label or "")
        reads = "no answer" if run.label is None else run.label
        reads += "" if share is None else f" {percent(share)}"
        count = f"{len(run.segments)} segments" if len(run.segments) > 1 else ""
        units = list(evidence.peak_frame.units.items())[:3] if evidence.peak_frame else []
        shown = ", ".join(f"{name} {value:.1f}" for name, value in units)
        said = f"“{evidence.transcript.text}”" if evidence.transcript else ""
        when = span(run.start_seconds, run.end_seconds)
        columns = sheet.pad(when, TIME - 1) + " " + sheet.pad(reads, READ - 1) + " "
        sheet.line("  " + columns + "  ".join(part for part in (count, shown, said) if part))
    if len(runs) < len(segments):
        sheet.paragraph(SHARED_ROWS, first="  ", style="dim")


def _segment(sheet: Sheet, segment: Segment) -> None:
    evidence, prediction = segment.evidence, segment.prediction
    sheet.line()
    if prediction.label is None:
        sheet.paragraph(sentence(prediction.problem or ""), first="  No answer: ", indent="    ", style="warning")
    for name, text in _evidence_rows(evidence):
        sheet.paragraph(text, first=f"  {name:<7}")
    if prediction.reasoning.strip():
        sheet.paragraph(prediction.reasoning, first="  Why    ")
    _cues(sheet, prediction.cues, prediction.label)
    if evidence.missing:
        sheet.line()
        sheet.line(Part("  Could not be measured", "dim"))
        for missing in evidence.missing:
            sheet.paragraph(sentence(f"{field_name(missing.what)}: {missing.reason}"), first="    ", indent="      ")


def _evidence_rows(evidence: Evidence) -> list[tuple[str, str]]:
    rows = []
    if evidence.peak_frame is not None:
        units = evidence.peak_frame.units.items()
        fired = ", ".join(f"{name} {AU_DESCRIPTIONS.get(name, '')} {value:.1f}" for name, value in units)
        rows.append(("Face", f"peak at {clock(evidence.peak_frame.pts_seconds)}: {fired or 'no unit stands out'}"))
    if evidence.tone is not None:
        rows.append(("Voice", f"{evidence.tone.phrase} ({'; '.join(evidence.tone.words.values())})"))
    if evidence.transcript is not None:
        rows.append(("Words", f"“{evidence.transcript.text}” ({evidence.transcript.source})"))
    return rows


def _cues(sheet: Sheet, cues: Sequence[Cue], label: str | None) -> None:
    """Cues in three groups, by what they do to the answer; each with the log-odds it adds."""
    groups: dict[str, list[Cue]] = {f"Speaks for {label}": [], f"Speaks against {label}": [], "Speaks for others": []}
    if label is None:
        groups = {"Cues": list(cues)}
    else:
        for_, against, others = groups.values()
        for cue in cues:
            weight = cue.weights.get(label, 0.0)
            (for_ if weight > 0 else against if weight < 0 else others).append(cue)
    for title, members in groups.items():
        if members:
            sheet.line()
            sheet.line(Part(f"  {title}", "dim"))
        for cue in members:
            shown = weights_in_words(cue.weights, label) or "no weight"
            sheet.paragraph(f"{cue.text} → {shown}", first=f"    {SOURCES[cue.source]:<6} ")
