"""Frame counts that label files state, compared with those of the media: do the ids belong to these videos?

The releases of a challenge reuse ids for other clips: MERR's labels fit the videos of MER2023, and users who put them
on MER2025's got wrong labels without a word. The published training code ignores the counts; they are a free check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from emotion_llama.merr.records import Json

TOLERANCE = 2  # frames; own choice: decoders disagree about the first and last pictures of a stream
FEWEST = 5  # own choice: with fewer clips nothing is said
_ALIKE = 0.5  # own choice: where more than this fits by chance, all clips are of nearly one length
_MOST_SHOWN = 5
Verdict = Literal["same release", "some differ", "another release", "cannot tell", "too few"]


@dataclass(frozen=True)
class Mismatch:
    """A clip whose media have another number of frames than its label file says."""

    clip_id: str
    stated: int
    real: int


@dataclass(frozen=True)
class FrameCounts:
    """The comparison.

    Attributes:
        compared: clips with a stated and a real count.
        fitting: those whose counts differ by at most `TOLERANCE`.
        by_chance: share that would fit if the ids had nothing to do with the videos: over all pairs of a stated and a
            real count.
        mismatches: the others, the largest difference first.
        not_compared: clips with a stated count whose media are not known.
    """

    compared: int
    fitting: int
    by_chance: float
    mismatches: tuple[Mismatch, ...]
    not_compared: int

    @property
    def verdict(self) -> Verdict:
        """Another release, when fewer fit than halfway between chance and all (own choice)."""
        if self.compared < FEWEST:
            return "too few"
        share = self.fitting / self.compared
        if share < (1 + self.by_chance) / 2:
            return "another release"
        if self.by_chance > _ALIKE:
            return "cannot tell"
        return "same release" if not self.mismatches else "some differ"

    def lines(self) -> list[str]:
        """The comparison in lines, for people."""
        if not self.compared:
            return ["frame counts: none to compare (the media are not known)"] if self.not_compared else []
        share = 100 * self.fitting / self.compared
        first = (
            f"frame counts: {self.fitting:,} of {self.compared:,} clips fit ({share:.1f} %; by chance "
            f"{100 * self.by_chance:.1f} %)"
        )
        says = {
            "same release": "the ids belong to these videos",
            "some differ": "the ids belong to these videos, but some files differ: look at them before training",
            "another release": "these ids are likely of ANOTHER RELEASE than the videos (as MERR's labels on MER2025's "
            "videos): the labels are wrong for them",
            "cannot tell": "the clips are of nearly one length, so that this tells nothing",
            "too few": f"too few to tell (at least {FEWEST} are needed)",
        }
        shown = [f"  {m.clip_id}: {m.stated} stated, {m.real} in the video" for m in self.mismatches[:_MOST_SHOWN]]
        more = len(self.mismatches) - len(shown)
        return [first, f"  {says[self.verdict]}", *shown, *([f"  and {more:,} more"] if more else [])]

    def document(self) -> dict[str, Json]:
        """For JSON."""
        return {
            "compared": self.compared,
            "fitting": self.fitting,
            "by_chance": round(self.by_chance, 4),
            "verdict": self.verdict,
            "not_compared": self.not_compared,
            "mismatches": [
                {"clip_id": m.clip_id, "stated": m.stated, "real": m.real} for m in self.mismatches[:_MOST_SHOWN]
            ],
        }


def compare_frame_counts(stated: Mapping[str, int], real: Mapping[str, int]) -> FrameCounts:
    """Compare what is stated of clips with what their media have."""
    both = sorted(stated.keys() & real.keys())
    wrong = [Mismatch(c, stated[c], real[c]) for c in both if abs(stated[c] - real[c]) > TOLERANCE]
    wrong.sort(key=lambda m: (-abs(m.stated - m.real), m.clip_id))
    return FrameCounts(
        compared=len(both),
        fitting=len(both) - len(wrong),
        by_chance=_by_chance(Counter(stated[c] for c in both), Counter(real[c] for c in both)),
        mismatches=tuple(wrong),
        not_compared=len(stated) - len(both),
    )


def _by_chance(stated: Counter[int], real: Counter[int]) -> float:
    """Share of all pairs (a stated count, a real count) that fit."""
    pairs = stated.total() * real.total()
    near = sum(n * real[count + offset] for count, n in stated.items() for offset in range(-TOLERANCE, TOLERANCE + 1))
    return near / pairs if pairs else 0.0
