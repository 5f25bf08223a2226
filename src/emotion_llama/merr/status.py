"""How far a build is, what it did, and where it stands, counted by phase and reason; every clip that came in counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from emotion_llama.merr.records import StageRun
from emotion_llama.merr.stage import INGEST
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.builds import Build, builds, is_building


class Progress(Protocol):
    """What a build reports while it runs."""

    def begin(self, phase: str, total: int, already: int) -> None:
        """A phase begins: `already` of its `total` clips are done since earlier."""
        return

    def advance(self, done: int, failed: int) -> None:
        """Clips of the phase that are through by now, those done earlier included; `failed` of them failed."""
        return

    def end(self) -> None:
        """The phase is through, or was interrupted."""
        return

    def say(self, text: str) -> None:
        """One line that a person should read."""
        return


class Silent(Progress):
    """Reports nothing."""


@dataclass(frozen=True)
class PhaseTally:
    """One phase. Every clip is in exactly one of `done`, `skipped`, `dropped`, `failed`, `waiting`, `elsewhere`.

    Clips that leave the fine-grained part alone (`dropped_fine`) are not among those done.
    """

    name: str  # of the stage
    done: int = 0  # by this build; in the status of a folder, by any build
    skipped: int = 0  # done already by an earlier build
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> clips that leave the data set here
    # reason -> clips that leave its fine-grained part here
    dropped_fine: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)  # reason -> clips
    running: int = 0  # clips in work now
    waiting: int = 0  # clips still to come here, those in work among them; after a build, those that an interrupt left
    elsewhere: int = 0  # clips that never come here: an earlier phase dropped or failed them (in a status)
    seconds: float = 0.0  # time that its runs took, on all workers together; of a build, those of this build
    wall_seconds: float = 0.0  # time that the phase took in this build

    @property
    def num_failed(self) -> int:
        """Clips that failed here."""
        return sum(self.failed.values())


@dataclass(frozen=True)
class BuildTally:
    """What a build did."""

    folder: Path  # of the build
    phases: tuple[PhaseTally, ...]  # in order, up to where it came
    clips: int  # in the build
    # coarse, fine: in the two parts of the data set
    coarse: int
    fine: int
    set_aside: Mapping[str, int]  # why -> clips that the build knows and does not count
    was_interrupted: bool = False  # by Ctrl-C or SIGTERM; what was done is kept
    wall_seconds: float = 0.0  # from beginning to end

    @property
    def failed(self) -> int:
        """Clips that failed somewhere; a clip fails once, as it goes no further."""
        return sum(phase.num_failed for phase in self.phases)


@dataclass(frozen=True)
class BuildStatus:
    """Where a folder's build stands."""

    # clips, coarse, fine, set_aside: as in `BuildTally`
    clips: int
    coarse: int
    fine: int
    set_aside: Mapping[str, int]
    phases: tuple[PhaseTally, ...]  # in their order
    running: tuple[Build, ...]  # the build that runs now, if any
    last: Build | None  # the build that began last; None before the first
    failures: int  # ever recorded; those made good since are among them

    @property
    def is_complete(self) -> bool:
        """Nothing is waiting, and nothing failed."""
        return all(phase.waiting == 0 and not phase.failed for phase in self.phases)


def build_status(store: Store) -> BuildStatus:
    """The status of a build, of one moment, whether a build is running or not."""
    with store.snapshot():
        log = builds(store)
        running = tuple(log[-1:]) if log and log[-1].how_ended is None and is_building(store.folder) else ()
        runs: dict[str, dict[str, StageRun]] = {}
        for run in store.runs():
            runs.setdefault(run.stage, {})[run.clip_id] = run
        clips = frozenset(clip.clip_id for clip in store.clips())
        in_work = {build.phase: build.running for build in running}
        return BuildStatus(
            len(clips),
            store.count("coarse"),
            store.count("fine"),
            store.count_set_aside(),
            tuple(replace(phase, running=in_work.get(phase.name, 0)) for phase in _phases(store.stages(), clips, runs)),
            running,
            log[-1] if log else None,
            len(store.failures()),
        )


def _phases(
    stages: Iterable[tuple[str, tuple[str, ...], str, int]],
    clips: Set[str],
    runs: Mapping[str, Mapping[str, StageRun]],
) -> Iterable[PhaseTally]:
    out: dict[str, frozenset[str]] = {}  # stage -> clips that go no further from it
    for name, needs, _, _ in stages:
        own = runs.get(name, {})
        needed = needs if name == INGEST else (INGEST, *needs)
        elsewhere = frozenset().union(*(out.get(need, frozenset()) for need in needed)) - own.keys()
        out[name] = frozenset(elsewhere | {clip_id for clip_id, run in own.items() if run.is_out})
        tally = tally_phase(name, own.values(), own.keys(), waiting=len(clips - own.keys() - elsewhere))
        yield replace(tally, elsewhere=len(elsewhere), seconds=sum(run.seconds for run in own.values()))


def tally_phase(
    name: str,
    runs: Iterable[StageRun],
    done_now: Set[str],
    *,
    waiting: int = 0,
    seconds: float = 0.0,
    wall_seconds: float = 0.0,
) -> PhaseTally:
    """Count a stage's runs; of those that went through, `done_now` are done, the others skipped."""
    done = skipped = 0
    dropped, dropped_fine, failed = Counter[str](), Counter[str](), Counter[str]()
    for run in runs:
        reason = reason_group(run.reason or "no reason given")
        if run.status == "failed":
            failed[reason] += 1
        elif run.status == "dropped":
            (dropped if run.scope == "all" else dropped_fine)[reason] += 1
        elif run.clip_id in done_now:
            done += 1
        else:
            skipped += 1
    counts = [dict(sorted(c.items(), key=lambda item: (-item[1], item[0]))) for c in (dropped, dropped_fine, failed)]
    return PhaseTally(
        name, done, skipped, counts[0], counts[1], counts[2], waiting=waiting, seconds=seconds,
        wall_seconds=wall_seconds,
    )  # fmt: skip


def reason_group(reason: str) -> str:
    """What a reason is counted under: what it says first, without the file that it names in front.

    Particulars stand behind a colon or at the end in brackets, advice behind a semicolon. A fault of the program keeps
    its message: "unexpected KeyError: 'x' (y.py:3)".
    """
    said = reason.partition("; ")[0]
    if said.startswith("unexpected "):
        return said
    first, _, rest = said.partition(": ")
    if rest and ("/" in first or "\\" in first):  # a file
        first = rest.partition(": ")[0]
    return re.sub(r" \([^()]*\)$", "", first)
