"""What a build did, and where it stands, as tables of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from emotion_llama.cli.merr.progress_line import clock_time
from emotion_llama.merr.status import BuildStatus, BuildTally, PhaseTally
from emotion_llama.report.sheet import Part, Sheet

WIDTH = 80
_PHASE, _NUMBER = 20, 9  # columns
_REASONS = 4  # of a phase and kind that are written out; the others are counted
_JOB = 24  # columns of what a line of numbers is about


def tally_text(tally: BuildTally, *, colour: bool, encoding: str | None) -> str:
    """A build's tally: phase by phase, then the reasons, then what the data set has."""
    sheet = Sheet(WIDTH, colour=colour, encoding=encoding)
    _row(sheet, "phase", ("done", "skipped", "dropped", "failed", "not yet", "time"), bold=True)
    for phase in tally.phases:
        numbers = (phase.done, phase.skipped, _left(phase), phase.num_failed, phase.waiting)
        _row(sheet, phase.name, (*map(_number, numbers), clock_time(phase.wall_seconds)))
    _reasons(sheet, tally.phases)
    sheet.line()
    _set(sheet, tally.clips, tally.coarse, tally.fine, tally.set_aside)
    return sheet.text()


def status_text(status: BuildStatus, *, colour: bool, encoding: str | None) -> str:
    """A build's status, likewise."""
    sheet = Sheet(WIDTH, colour=colour, encoding=encoding)
    _row(sheet, "phase", ("done", "dropped", "failed", "running", "waiting", "work"), bold=True)
    for phase in status.phases:
        numbers = (phase.done, _left(phase), sum(phase.failed.values()), phase.running, phase.waiting)
        _row(sheet, phase.name, (*map(_number, numbers), clock_time(phase.seconds)))
    _reasons(sheet, status.phases)
    sheet.line()
    _set(sheet, status.clips, status.coarse, status.fine, status.set_aside)
    for build in status.running:
        sheet.paragraph(
            f"pid {build.pid} on {build.host}, since {build.began_at}, at {build.phase or 'its start'}, "
            f"{build.engine} engine, {build.workers} workers",
            first="running now: ",
        )
    if not status.running:
        sheet.paragraph(_how_it_ended(status), first="no build is running: ")
    return sheet.text()


def _how_it_ended(status: BuildStatus) -> str:
    last = status.last
    if last is None:
        return "none ever was"
    how = {
        None: "the last one died; run the same command again to go on",
        "died": "the last one died; run the same command again to go on",
        "interrupted": "the last one was interrupted; run the same command again to go on",
        "failed": "the last one ended with an error; run the same command again to go on",
        "done": "the last one ended well",
    }[last.how_ended]
    if last.how_ended == "done" and not status.is_complete:
        how = "the last one did all it could; run the same command again to try what failed"
    return f"{how} (began {last.began_at}{'' if last.ended_at is None else f', ended {last.ended_at}'})"


def _row(sheet: Sheet, name: str, values: Sequence[str], *, bold: bool = False) -> None:
    text = sheet.pad(name, _PHASE) + "".join(f"{value:>{_NUMBER}}" for value in values)
    sheet.line(Part(text, "bold" if bold else "plain"))


def _number(value: int) -> str:
    return str(value) if value else "-"


def _left(phase: PhaseTally) -> int:
    return sum(phase.dropped.values()) + sum(phase.dropped_fine.values())


def _reasons(sheet: Sheet, phases: Iterable[PhaseTally]) -> None:
    lines: list[tuple[str, str, int]] = []
    for phase in phases:
        kinds = (("dropped", phase.dropped), ("not fine", phase.dropped_fine), ("failed", phase.failed))
        for kind, reasons in kinds:
            items = list(reasons.items())
            lines += [(f"{phase.name}, {kind}", reason, count) for reason, count in items[:_REASONS]]
            rest = items[_REASONS:]
            if rest:
                more = f"{len(rest)} other reasons"
                lines.append((f"{phase.name}, {kind}", more, sum(count for _, count in rest)))
    if lines:
        sheet.line()
    for where, reason, count in lines:
        sheet.paragraph(reason, first=f"{count:>6}  {sheet.pad(where, _JOB + 4)}  ")


def _set(sheet: Sheet, clips: int, coarse: int, fine: int, set_aside: Mapping[str, int]) -> None:
    sheet.line(f"{clips} clips: {coarse} in the coarse set, {fine} of them in the fine set")
    for why, count in set_aside.items():
        sheet.paragraph(f"{count} set aside, {why}")
