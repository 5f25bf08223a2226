"""What a build's store says of it at this moment, whether a build is running or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass

from emotion_llama.merr.claims import Builder, builders, live_builders
from emotion_llama.merr.plan import INGEST
from emotion_llama.merr.records import StageRun
from emotion_llama.merr.store import StageRow, Store
from emotion_llama.merr.tally import tally_phase


@dataclass(frozen=True)
class PhaseStatus:
    """One phase. Every clip of the build is in exactly one of done, dropped, failed, waiting and elsewhere.

    Attributes:
        done: clips that went through; those that only left the fine-grained part are not among them.
        dropped: reason -> clips that left the data set here.
        dropped_fine: reason -> clips that left its fine-grained part here.
        failed: reason -> clips.
        running: clips in work now.
        waiting: clips still to come here, those in work among them.
        elsewhere: clips that never come here: an earlier phase dropped or failed them.
        seconds: time that its runs took, on all workers together.
    """

    name: str
    done: int
    dropped: Mapping[str, int]
    dropped_fine: Mapping[str, int]
    failed: Mapping[str, int]
    running: int
    waiting: int
    elsewhere: int
    seconds: float


@dataclass(frozen=True)
class BuildStatus:
    """A whole build.

    Attributes:
        clips: in the build.
        coarse, fine: in the two parts of the data set, as they stand now.
        set_aside: why -> clips that the build knows and does not count.
        phases: in their order.
        running: the builds that run now.
        last: the build that began last; None before the first.
        failures: ever recorded; those made good since are among them.
    """

    clips: int
    coarse: int
    fine: int
    set_aside: Mapping[str, int]
    phases: tuple[PhaseStatus, ...]
    running: tuple[Builder, ...]
    last: Builder | None
    failures: int

    @property
    def is_complete(self) -> bool:
        """Nothing is waiting, and nothing failed."""
        return all(phase.waiting == 0 and not phase.failed for phase in self.phases)


def build_status(store: Store) -> BuildStatus:
    """The status of a build, of one moment."""
    with store.snapshot():
        alive = live_builders(store)
        ids = [builder.id for builder in alive]
        claims: Counter[str] = Counter()
        for stage, builder, number in store.query(
            "SELECT stage, builder, count(*) FROM claims GROUP BY stage, builder"
        ):
            claims[stage] += number if builder in ids else 0
        runs: dict[str, dict[str, StageRun]] = {}
        for run in store.runs():
            runs.setdefault(run.stage, {})[run.clip_id] = run
        clips = frozenset(clip.clip_id for clip in store.clips())
        totals, log = store.totals(), builders(store)
        return BuildStatus(
            totals.clips,
            totals.coarse,
            totals.fine,
            totals.set_aside,
            _phases(store.stages(), clips, runs, claims),
            tuple(alive),
            log[-1] if log else None,
            len(store.failures()),
        )


def _phases(
    stages: list[StageRow], clips: Set[str], runs: Mapping[str, Mapping[str, StageRun]], claims: Mapping[str, int]
) -> tuple[PhaseStatus, ...]:
    phases: list[PhaseStatus] = []
    out: dict[str, frozenset[str]] = {}  # stage -> clips that go no further from it
    for stage in stages:
        own = runs.get(stage.name, {})
        needed = stage.needs if stage.name == INGEST else (INGEST, *stage.needs)
        elsewhere = frozenset().union(*(out.get(need, frozenset()) for need in needed)) - own.keys()
        waiting = clips - own.keys() - elsewhere
        ended = {c for c, r in own.items() if r.status == "failed" or (r.status == "dropped" and r.scope == "all")}
        out[stage.name] = frozenset(elsewhere | ended)
        counts = tally_phase(stage.name, own.values(), frozenset())
        phases.append(
            PhaseStatus(
                stage.name,
                counts.skipped,
                counts.dropped,
                counts.dropped_fine,
                counts.failed,
                running=claims.get(stage.name, 0),
                waiting=len(waiting),
                elsewhere=len(elsewhere),
                seconds=sum(run.seconds for run in own.values()),
            )
        )
    return tuple(phases)
