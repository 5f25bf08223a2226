"""What a build did, counted by phase and reason; nothing that came in is missing from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emotion_llama.merr.records import StageRun


@dataclass(frozen=True)
class PhaseTally:
    """One phase. Every clip that came to it is in exactly one of `done`, `skipped`, `dropped`, `failed`, `left`.

    Attributes:
        name: of the stage.
        done: by this build.
        skipped: done already, by an earlier build or by one that runs beside this one.
        dropped: reason -> clips that leave the data set here.
        dropped_fine: reason -> clips that leave its fine-grained part here.
        failed: reason -> clips.
        left: clips that were not reached, as the build was interrupted.
        work_seconds: time that this build's runs took, on all workers together.
        wall_seconds: time that the phase took.
    """

    name: str
    done: int = 0
    skipped: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    dropped_fine: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    left: int = 0
    work_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def num_failed(self) -> int:
        """Clips that failed here."""
        return sum(self.failed.values())


@dataclass(frozen=True)
class BuildTally:
    """A whole build.

    Attributes:
        folder: of the build.
        phases: in order, up to where it came.
        clips: in the build.
        coarse, fine: in the two parts of the data set.
        set_aside: why -> clips that the build knows and does not count.
        was_interrupted: it was told to stop; what was done is kept.
        store_seconds: of the building process, spent on the ledger and the artifacts.
        wall_seconds: from beginning to end.
        pruned_files: artifact files that nothing referred to any more.
    """

    folder: Path
    phases: tuple[PhaseTally, ...]
    clips: int
    coarse: int
    fine: int
    set_aside: Mapping[str, int]
    was_interrupted: bool = False
    store_seconds: float = 0.0
    wall_seconds: float = 0.0
    pruned_files: int = 0

    @property
    def failed(self) -> int:
        """Clips that failed somewhere; a clip fails once, as it goes no further."""
        return sum(phase.num_failed for phase in self.phases)


def tally_phase(
    name: str,
    runs: Iterable[StageRun],
    done_now: frozenset[str],
    *,
    left: int = 0,
    work_seconds: float = 0.0,
    wall_seconds: float = 0.0,
) -> PhaseTally:
    """Count a stage's runs; `done_now` are the clips that this build ran."""
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
    return PhaseTally(
        name,
        done,
        skipped,
        _by_size(dropped),
        _by_size(dropped_fine),
        _by_size(failed),
        left,
        work_seconds,
        wall_seconds,
    )


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


def _by_size(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
