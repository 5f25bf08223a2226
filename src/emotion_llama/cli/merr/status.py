"""The sub-verb `merr status`: where a build stands, also while it runs; and the tables of a build in 80 columns."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from emotion_llama.cli.common import style_of, write_json
from emotion_llama.cli.options import Verbs, add_shared, add_verb
from emotion_llama.cli.progress import clock_time

if TYPE_CHECKING:
    from emotion_llama.merr.status import BuildStatus, BuildTally, PhaseTally
    from emotion_llama.report.console import Printout

WIDTH = 80
_PHASE = 20  # columns
_REASONS = 4  # of a phase and kind that are written out; the others are counted
_JOB = 24  # columns of what a line of numbers is about

EXAMPLES = """examples:
  emotion-llama merr status merr/
  emotion-llama merr status merr/ --json | jq '.phases[] | {name, waiting}'
  watch emotion-llama merr status merr/"""


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs, "status", run, "what of a build is done, dropped, failed, running, waiting",
        "Where a build stands: every clip counted in every phase, with reasons.\n"
        "Right while a build runs, and never in its way.",
        EXAMPLES,
    )  # fmt: skip
    add_shared(parser, "build", "json")


def run(args: argparse.Namespace) -> int:
    """Print the status; 0 whatever it says."""
    from emotion_llama.merr.status import build_status
    from emotion_llama.merr.store import Store

    with Store.open(args.folder, read_only=True) as store:
        status = build_status(store)
    if args.json:
        write_json({**asdict(status), "is_complete": status.is_complete})
    else:
        sys.stdout.write(status_text(status, **style_of(sys.stdout)))
    return 0


def tally_text(tally: BuildTally, *, colour: bool, encoding: str | None) -> str:
    """A build's tally: phase by phase, then the reasons, then what the data set has."""
    header = ("done", "skipped", "dropped", "failed", "not yet", "time")
    rows = [(p.name, p.done, p.skipped, _left(p), p.num_failed, p.waiting, p.wall_seconds) for p in tally.phases]
    return _table(tally, header, rows, colour=colour, encoding=encoding).text()


def status_text(status: BuildStatus, *, colour: bool, encoding: str | None) -> str:
    """A build's status, likewise."""
    header = ("done", "dropped", "failed", "running", "waiting", "work")
    rows = [(p.name, p.done, _left(p), p.num_failed, p.running, p.waiting, p.seconds) for p in status.phases]
    out = _table(status, header, rows, colour=colour, encoding=encoding)
    for build in status.running:
        out.paragraph(
            f"pid {build.pid} on {build.host}, since {build.began_at}, at {build.phase or 'its start'}, "
            f"{build.engine} engine, {build.workers} workers",
            "running now: ",
        )
    if not status.running:
        out.paragraph(_how_it_ended(status), "no build is running: ")
    return out.text()


def _table(
    found: BuildTally | BuildStatus,
    header: Sequence[str],
    rows: Iterable[tuple[str, int, int, int, int, int, float]],
    *,
    colour: bool,
    encoding: str | None,
) -> Printout:
    """Phases with five counts and a time, the reasons, and what the data set has."""
    from emotion_llama.report.console import Printout

    out = Printout(WIDTH, colour=colour, encoding=encoding)
    cells = [(name, *(str(n) if n else "-" for n in counts), clock_time(seconds)) for name, *counts, seconds in rows]
    out.numbers("phase", header, cells, name_width=_PHASE)
    _reasons(out, found.phases)
    out.line()
    out.line(f"{found.clips} clips: {found.coarse} in the coarse set, {found.fine} of them in the fine set")
    for why, count in found.set_aside.items():
        out.paragraph(f"{count} set aside, {why}")
    return out


def _how_it_ended(status: BuildStatus) -> str:
    last = status.last
    if last is None:
        return "none ever was"
    went_on = "run the same command again to go on"
    how = {
        "interrupted": f"the last one was interrupted; {went_on}",
        "failed": f"the last one ended with an error; {went_on}",
        "done": "the last one ended well",
    }.get(last.how_ended or "died", f"the last one died; {went_on}")
    if last.how_ended == "done" and not status.is_complete:
        how = "the last one did all it could; run the same command again to try what failed"
    return f"{how} (began {last.began_at}{'' if last.ended_at is None else f', ended {last.ended_at}'})"


def _left(phase: PhaseTally) -> int:
    return sum(phase.dropped.values()) + sum(phase.dropped_fine.values())


def _reasons(out: Printout, phases: Iterable[PhaseTally]) -> None:
    lines: list[tuple[str, str, int]] = []
    for phase in phases:
        for kind, reasons in (("dropped", phase.dropped), ("not fine", phase.dropped_fine), ("failed", phase.failed)):
            items = list(reasons.items())
            lines += [(f"{phase.name}, {kind}", reason, count) for reason, count in items[:_REASONS]]
            if rest := items[_REASONS:]:
                more = sum(count for _, count in rest)
                lines.append((f"{phase.name}, {kind}", f"{len(rest)} other reasons", more))
    if lines:
        out.line()
    for where, reason, count in lines:
        out.paragraph(reason, f"{count:>6}  {out.crop(where, _JOB + 4):<{_JOB + 4}}  ")
