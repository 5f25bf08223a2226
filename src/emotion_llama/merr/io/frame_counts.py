"""Frame counts that label files state, compared with those of the media: do the ids belong to these videos?

The releases of a challenge reuse ids for other clips: MERR's labels fit the videos of MER2023, and users who put them
on MER2025's got wrong labels without a word. The published training code ignores the counts; they are a free check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.media.discover import find_media
from emotion_llama.merr.ingest import count_pictures
from emotion_llama.merr.io.content import Problems
from emotion_llama.merr.records import Json

TOLERANCE = 2  # frames; own choice: decoders disagree about the first and last pictures of a stream
MIN_CLIPS = 5  # own choice: with fewer clips nothing is said
_ALIKE = 0.5  # own choice: where more than this fits by chance, all clips are of nearly one length
_MAX_SHOWN = 5
Verdict = Literal["same release", "some differ", "another release", "cannot tell", "too few"]
_SAYS: Mapping[Verdict, str] = {
    "same release": "the ids belong to these videos",
    "some differ": "the ids belong to these videos, but some files differ: look at them before training",
    "another release": "these ids are likely of ANOTHER RELEASE than the videos (as MERR's labels on MER2025's "
    "videos): the labels are wrong for them",
    "cannot tell": "the clips are of nearly one length, so that this tells nothing",
    "too few": f"too few to tell (at least {MIN_CLIPS} are needed)",
}


@dataclass(frozen=True)
class FrameCounts:
    """The comparison."""

    compared: int  # clips with a stated and a real count
    fitting: int  # those whose counts differ by at most `TOLERANCE`
    # share that would fit if the ids had nothing to do with the videos: over all pairs of a stated and a real count
    by_chance: float
    # clip, stated and real count of the others, the largest difference first
    mismatches: tuple[tuple[str, int, int], ...]
    not_compared: int  # clips with a stated count whose media are not known

    @property
    def verdict(self) -> Verdict:
        """Another release, when fewer fit than halfway between chance and all (own choice)."""
        if self.compared < MIN_CLIPS:
            return "too few"
        if self.fitting / self.compared < (1 + self.by_chance) / 2:
            return "another release"
        if self.by_chance > _ALIKE:
            return "cannot tell"
        return "same release" if not self.mismatches else "some differ"

    def lines(self) -> list[str]:
        """The comparison in lines, for people."""
        if not self.compared:
            return ["frame counts: none to compare (the media are not known)"] if self.not_compared else []
        share = self.fitting / self.compared
        shown = [f"  {c}: {stated} stated, {real} in the video" for c, stated, real in self.mismatches[:_MAX_SHOWN]]
        more = len(self.mismatches) - len(shown)
        return [
            f"frame counts: {self.fitting:,} of {self.compared:,} clips fit ({100 * share:.1f} %; by chance "
            f"{100 * self.by_chance:.1f} %)",
            f"  {_SAYS[self.verdict]}",
            *shown,
            *([f"  and {more:,} more"] if more else []),
        ]

    def document(self) -> dict[str, Json]:
        """For JSON."""
        names = ("clip_id", "stated", "real")
        return {
            **{name: getattr(self, name) for name in ("compared", "fitting", "verdict", "not_compared")},
            "by_chance": round(self.by_chance, 4),
            "mismatches": [dict(zip(names, row)) for row in self.mismatches[:_MAX_SHOWN]],
        }


def compare_frame_counts(stated: Mapping[str, int], real: Mapping[str, int]) -> FrameCounts:
    """Compare what is stated of clips with what their media have."""
    both = sorted(stated.keys() & real.keys())
    wrong = [(c, stated[c], real[c]) for c in both if abs(stated[c] - real[c]) > TOLERANCE]
    wrong.sort(key=lambda row: (-abs(row[1] - row[2]), row[0]))
    # Of all pairs (a stated count, a real count), the share that fits.
    of_list, of_media = Counter(stated[c] for c in both), Counter(real[c] for c in both)
    near = range(-TOLERANCE, TOLERANCE + 1)
    fitting_pairs = sum(n * of_media[count + offset] for count, n in of_list.items() for offset in near)
    by_chance = fitting_pairs / len(both) ** 2 if both else 0.0
    return FrameCounts(len(both), len(both) - len(wrong), by_chance, tuple(wrong), len(stated) - len(both))


def media_by_name(folder: Path, problems: Problems) -> dict[str, Path]:
    """Media files below a folder by their stem, which is the clip's name in the published lists.

    Two files of one stem are both left out and counted: nothing says which of them is meant.

    Raises:
        InputError: it is no folder, or holds no media.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder that holds the videos")
    found: dict[str, Path] = {}
    doubles: set[str] = set()
    for path in find_media([folder]):
        if path.is_dir():
            raise InputError(f"{folder} holds no media files")
        if path.stem in found:
            problems.add("two media files of one name: neither is taken", f"{found[path.stem]} and {path}")
            doubles.add(path.stem)
        found.setdefault(path.stem, path)
    return {name: path for name, path in found.items() if name not in doubles}


def count_frames(files: Mapping[str, Path], wanted: Iterable[str], problems: Problems) -> dict[str, int]:
    """Pictures in the media of the wanted clips; packets are counted, none is decoded."""
    counts: dict[str, int] = {}
    for clip_id in sorted(wanted):
        if clip_id in files:
            try:
                counts[clip_id] = count_pictures(files[clip_id])
            except EmotionLlamaError as error:
                problems.add("a media file cannot be read", str(error))
    return counts
