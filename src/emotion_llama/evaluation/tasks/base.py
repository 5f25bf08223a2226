"""What a benchmark is: its files, what is asked about every sample, and its metric; and how its files are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from emotion_llama.errors import InputError, MediaError
from emotion_llama.evaluation.records import EvalSample, FileProblem
from emotion_llama.evaluation.tasks.readers import TRANSCRIPTS, VIDEO_FOLDERS, clip_name, find_clips, transcripts_of
from emotion_llama.evaluation.tasks.wheels import Wheels
from emotion_llama.labels import LabelSpace
from emotion_llama.predictors.base import Task

MetricName = Literal["label", "groups", "wheels", "hit", "sentiment", "description"]
Reader = Callable[[Path], Iterator[EvalSample]]
SynonymGroups = Mapping[str, Sequence[Sequence[str]]]  # sample -> groups of words that mean the same
MAX_NEW_TOKENS = 500  # of a generated answer, as published
NO_MEDIA = "no media file"  # how the problem of missing clips begins
_MAX_COUNTED = 200  # clips whose frames are counted by a check: own choice, a few seconds of reading


@dataclass(frozen=True)
class Benchmark:
    """A benchmark whose files are in one folder."""

    name: str  # as `BENCHMARKS` has it
    # of what is asked and scored here, with the options that change either; results of other versions are not to be
    # compared
    version: str
    # "label", one label a clip; "groups", emotion words after synonyms were grouped (MER2024-OV); "wheels", emotion
    # words on emotion wheels (EW); "hit", one word among those predicted (HIT); "sentiment" (WAF); "description",
    # overlap of texts
    metric: MetricName
    primary: str  # the metric it is ranked by
    task: Task  # for every sample
    folder: Path  # of its files
    # file name -> its reader, the first that is there counts; one such table for each of `folds`
    tables: Sequence[Mapping[str, Reader]] = field(repr=False)
    # clips in the owners' release; None where it is not known; one for each of `folds`
    totals: Sequence[int | None] = (None,)
    folds: Sequence[int | None] = (None,)  # their numbers; (None,) for a benchmark without
    # clips by label in the owners' release, where known
    sizes: Mapping[str, int] | None = field(default=None, repr=False)
    # where clips are looked for, below `folder` or anywhere; empty where the tables name them
    clip_folders: Sequence[str | Path] = VIDEO_FOLDERS
    transcript: Path | None = None  # a table of what is said, in place of those looked for
    has_transcripts: bool = True  # whether such a table is to be expected
    # from a name in the files to the sample's id
    sample_id: Callable[[str], str] = field(default=clip_name, repr=False)
    # asked, scored: labels that the instruction offers and labels of the benchmark, of the metric "label"
    asked: LabelSpace | None = None
    scored: LabelSpace | None = None
    # wheels, levels: of the metrics "wheels" and "hit"; EW is the mean over the levels
    wheels: Wheels | None = field(default=None, repr=False)
    levels: tuple[int, ...] = (1,)
    # stored groups of synonyms, by sample; None where the metric has none or no file holds them
    groups: SynonymGroups | None = field(default=None, repr=False)

    @property
    def full_name(self) -> str:
        """Name and version, as results have it."""
        return f"{self.name} {self.version}"

    @property
    def kind(self) -> str:
        """Of its answers: "label", "words", "sentiment" or "description"."""
        return self.metric if self.metric in ("label", "sentiment", "description") else "words"

    def samples(self) -> list[EvalSample]:
        """All samples, in the order of the tables.

        Raises:
            InputError: a table is missing (says which was expected) or malformed, or a name stands twice.
        """
        clips = find_clips((self.folder / name for name in self.clip_folders), self.sample_id)
        said: dict[str, str] = {}
        if self.has_transcripts:
            table = transcripts_of(self.folder, self.transcript)
            said = {self.sample_id(name): text for name, text in table.items()}
        found: dict[str, EvalSample] = {}
        for fold, path, reader in self._tables():
            for one in reader(path):
                name = self.sample_id(one.sample_id)
                if name in found:
                    where = "" if fold is None else f", in fold {found[name].fold} and in fold {fold}"
                    raise InputError(f"{path}: {name} stands twice{where}")
                found[name] = replace(
                    one,
                    sample_id=name,
                    media=one.media or clips.get(name),
                    transcript=one.transcript or said.get(name),
                    fold=one.fold if fold is None else fold,
                )
        return list(found.values())

    def check(self) -> list[FileProblem]:
        """What of the files is not as their owners distribute them: labels by number, clips, transcripts, release.

        A problem that is not fatal leaves metrics that are not comparable with published ones: they are of other clips.
        """
        try:
            samples, tables = self.samples(), self._tables()
        except InputError as error:
            return [FileProblem(str(error), str(self.folder), is_fatal=True)]
        first = str(tables[0][1])
        problems = self._check_labels(samples, tables)
        if without := sum(sample.truth.words == () for sample in samples):
            problems.append(FileProblem("clips without a true word", first, without))
        if not self.clip_folders and all(one.media is None for one in samples):
            problems.append(FileProblem("no row names a video: only predictions can be scored", first))
        else:
            problems += _check_media(samples, self.folder)
        if self.has_transcripts and (without := sum(sample.transcript is None for sample in samples)):
            what = "clips that the table of sentences does not name"
            if without == len(samples):
                what = f"no table of sentences; expected one of {', '.join(TRANSCRIPTS)}"
            problems.append(FileProblem(what, str(self.folder), without))
        return problems + _check_release(samples, self.folder)

    def _tables(self) -> list[tuple[int | None, Path, Reader]]:
        found = []
        for fold, tables in zip(self.folds, self.tables, strict=True):
            name = next((name for name in tables if (self.folder / name).is_file()), None)
            if name is None:
                raise InputError(f"{self.folder} holds no labels of {self.name}; expected {' or '.join(tables)}")
            found.append((fold, self.folder / name, tables[name]))
        return found

    def _check_labels(
        self, samples: Sequence[EvalSample], tables: Sequence[tuple[int | None, Path, Reader]]
    ) -> list[FileProblem]:
        labels = [sample.truth.label or "" for sample in samples]
        where = str(tables[0][1])
        # MERTools' preparation for participants writes "neutral" for every clip whose label it does not know; one's own
        # table, of which no total is known, may do so.
        if self.totals[0] is not None and len(labels) > 1 and set(labels) == {"neutral"}:
            what = "every label is 'neutral': these are placeholders for participants, not the true labels"
            return [FileProblem(what, where, len(labels), is_fatal=True)]
        problems = []
        for (fold, path, _), total in zip(tables, self.totals):
            count = sum(fold in (None, one.fold) for one in samples)
            if total is not None and count != total:
                what = f"{count} clips, {total} in the owners' release"
                problems.append(FileProblem(what, str(path), abs(count - total)))
        if self.sizes is not None:
            got = Counter(labels)
            for label in sorted({*got, *self.sizes}):
                count, expected = got[label], self.sizes.get(label, 0)
                if count != expected:
                    what = f"clips labelled {label!r}: {count}, in the owners' release {expected}"
                    place = where if len(tables) == 1 else str(self.folder)
                    problems.append(FileProblem(what, place, abs(count - expected)))
        return problems


def _check_media(samples: Sequence[EvalSample], where: Path) -> list[FileProblem]:
    """Clips whose media are not there; not fatal, because files of predictions can be scored without."""
    missing = [one.sample_id for one in samples if one.media is None or not one.media.exists()]
    if not missing:
        return []
    if all(one.media is None for one in samples):
        what = "no clip has a media file: only predictions can be scored"
        return [FileProblem(what, str(where), len(missing))]
    some = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
    return [FileProblem(f"{NO_MEDIA} of {some}", str(where), len(missing))]


def _check_release(samples: Sequence[EvalSample], where: Path) -> list[FileProblem]:
    """Media that are not those whose frame counts the label list states: ids of another release.

    Later releases use the ids of earlier ones for other clips (MER2025's for MER2023's), so that labels fit no video.
    The frames of up to 200 clips, spread over the list, are counted.
    """
    from emotion_llama.merr.ingest import count_pictures
    from emotion_llama.merr.io.frame_counts import compare_frame_counts

    there = [one for one in samples if one.frame_count is not None and one.media is not None and one.media.exists()]
    step = max(1, len(there) // _MAX_COUNTED)
    real: dict[str, int] = {}
    broken = 0
    for one in there[::step][:_MAX_COUNTED]:
        assert one.media is not None
        try:
            real[one.sample_id] = count_pictures(one.media)
        except MediaError:
            broken += 1
    problems = [FileProblem("clips that cannot be opened", str(where), broken)] if broken else []
    counts = compare_frame_counts({one.sample_id: one.frame_count or 0 for one in there}, real)
    if counts.verdict in ("another release", "some differ"):
        what = " ".join(line.strip() for line in counts.lines())
        wrong = counts.compared - counts.fitting
        problems.append(FileProblem(what, str(where), wrong, is_fatal=counts.verdict == "another release"))
    return problems
