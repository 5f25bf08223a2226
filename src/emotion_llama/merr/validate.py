"""Checks of a whole build and of its exports: problems by kind, with examples; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.merr.export.folder import file_hash
from emotion_llama.merr.imports.frame_counts import FrameCounts, compare_frame_counts
from emotion_llama.merr.problems import Problems
from emotion_llama.merr.records import ClipRow, Json, Sample
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.schema import LEDGER_NAME
from emotion_llama.merr.validate_export import check_export, is_export
from emotion_llama.merr.validate_samples import SampleChecks

Progress = Callable[[int, int], None]  # clips done, of how many


@dataclass(frozen=True)
class Validation:
    """What a validation looked at, and what it found.

    Attributes:
        folder: of the build or the export.
        clips: of a build, looked at.
        entries: of exports, looked at.
        exports: folders of exports, looked at.
        problems: by kind; empty when all is well.
        notes: what is no problem, but worth knowing.
        frame_counts: what is stated, compared with the media; None where nothing is stated.
    """

    folder: Path
    clips: int
    entries: int
    exports: tuple[Path, ...]
    problems: Problems
    notes: tuple[str, ...] = ()
    frame_counts: FrameCounts | None = None

    @property
    def is_valid(self) -> bool:
        """Nothing was found."""
        return not self.problems

    def text(self) -> str:
        """The result in lines, for people."""
        looked = [f"{self.clips:,} clips"] if self.clips else []
        looked += [f"{self.entries:,} entries of {len(self.exports)} exports"] if self.exports else []
        counts = self.frame_counts
        return "\n".join(
            [
                f"{self.folder}: {', '.join(looked) or 'nothing to look at'}",
                *([] if counts is None else counts.lines()),
                *(f"note: {note}" for note in self.notes),
                *(["problems:", *self.problems.lines()] if self.problems else ["no problems"]),
            ]
        )

    def document(self) -> dict[str, Json]:
        """The result as JSON."""
        return {
            "folder": str(self.folder),
            "valid": self.is_valid,
            "clips": self.clips,
            "entries": self.entries,
            "exports": [str(path) for path in self.exports],
            "problems": self.problems.document(),
            "notes": list(self.notes),
            "frame_counts": None if self.frame_counts is None else self.frame_counts.document(),
        }


def validate(
    folder: Path, *, deep: bool = False, videos: Path | None = None, progress: Progress | None = None
) -> Validation:
    """Check a build with its exports, or a folder of exported or published files.

    Args:
        folder: of a build, or of one export.
        deep: also hash every media file again.
        videos: of an export: a folder with the clips' media, by name, whose frames are counted.
        progress: told of clips done.

    Raises:
        InputError: it is neither.
    """
    if (folder / LEDGER_NAME).is_file():
        with Store.open(folder, read_only=True) as store:
            return validate_build(store, deep=deep, progress=progress)
    if folder.is_dir() and is_export(folder):
        return _validate_export(folder, videos)
    raise InputError(
        f"{folder} is neither a build (it holds no {LEDGER_NAME}) nor an export (no export.json, no MERR_*.json)"
    )


def validate_build(store: Store, *, deep: bool = False, progress: Progress | None = None) -> Validation:
    """Check the samples, files and exports of an open build."""
    recipe = store.recipe
    checks = SampleChecks(
        recipe.space if recipe else MERR9,
        recipe.languages if recipe else (),
        [name for name, *_ in store.stages()],
        recipe.consistency.require_label_last if recipe else True,
    )
    problems = checks.problems
    for row in store.query("PRAGMA quick_check(5)"):
        if row[0] != "ok":
            problems.add("the ledger is damaged (SQLite)", str(row[0]))
    total = len(store.clips())
    notes = _Notes()
    count = 0
    for count, sample in enumerate(store.samples("all"), 1):
        checks.add(sample)
        notes.see(sample)
        _check_media(sample.clip, deep, problems)
        _check_artifacts(sample, store.folder, problems)
        if progress is not None:
            progress(count, total)
    checks.finish()
    frames = compare_frame_counts(checks.stated, checks.real) if checks.stated else None
    _check_frames(frames, problems)
    entries = 0
    exports = tuple(sorted(p for p in (store.folder / "export").glob("*") if p.is_dir() and not p.name.startswith(".")))
    for path in exports:
        if is_export(path):
            entries += check_export(path, problems)
        else:
            problems.add("an export is not complete (it has no export.json)", str(path))
    return Validation(store.folder, count, entries, exports, problems, notes.lines(), frames)


def _validate_export(folder: Path, videos: Path | None) -> Validation:
    problems, stated = Problems(), dict[str, int]()
    entries = check_export(folder, problems, stated)
    frames = None
    if videos is not None:
        from emotion_llama.merr.imports.media import count_frames, media_by_name

        real = count_frames(media_by_name(videos, problems), stated, problems)
        frames = compare_frame_counts(stated, real)
        _check_frames(frames, problems)
    return Validation(folder, 0, entries, (folder,), problems, (), frames)


def _check_frames(frames: FrameCounts | None, problems: Problems) -> None:
    if frames is None:
        return
    for wrong in frames.mismatches:
        kind = "the media have another number of frames than the label file states"
        problems.add(kind, f"{wrong.clip_id}: {wrong.stated} stated, {wrong.real} in the video")
    if frames.verdict == "another release":
        problems.add(
            "the ids are likely of another release than the videos", f"{frames.fitting} of {frames.compared} fit"
        )


def _check_media(clip: ClipRow, deep: bool, problems: Problems) -> None:
    if clip.path is None:
        return
    path = Path(clip.path)
    if not path.is_file():
        problems.add("a media file is gone", f"{clip.clip_id}: {clip.path}")
    elif deep and clip.sha256 is not None and file_hash(path) != clip.sha256:
        problems.add("a media file was changed since it was taken in", f"{clip.clip_id}: {clip.path}")


def _check_artifacts(sample: Sample, folder: Path, problems: Problems) -> None:
    for name, relative in sorted(sample.artifacts.items()):
        path = folder / relative
        if not path.is_file():
            problems.add("an artifact's file is gone", f"{sample.clip.clip_id}: {name}")
        elif file_hash(path) != path.name.split(".", 1)[0]:
            problems.add("an artifact's file is damaged", f"{sample.clip.clip_id}: {name}")


@dataclass
class _Notes:
    """What is no problem, but worth knowing."""

    imported: int = 0
    ungrouped: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def see(self, sample: Sample) -> None:
        clip = sample.clip
        self.imported += clip.path is None
        self.ungrouped += clip.source is None and clip.person is None and sample.value("split") is not None
        for run in sample.runs.values():
            if run.status == "failed":
                self.failed[run.stage] = self.failed.get(run.stage, 0) + 1

    def lines(self) -> tuple[str, ...]:
        found = [f"clips without media (imported): {self.imported:,}"] if self.imported else []
        if self.ungrouped:
            found.append(
                f"clips of which neither source nor person is known: {self.ungrouped:,}; each was split by itself, "
                "so one person may stand in two splits (name them in a manifest, or by ingest.name_pattern)"
            )
        found += [f"clips that failed at {stage}: {count:,}" for stage, count in sorted(self.failed.items())]
        return tuple(found)
