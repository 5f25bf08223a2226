"""Imports into a build: published MERR and MER files, OpenFace tables, feature folders, and our own CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.merr.imports.apply import Applied, apply_drafts
from emotion_llama.merr.imports.claims import FileContent
from emotion_llama.merr.imports.files import Source, find_sources, read_source
from emotion_llama.merr.imports.frame_counts import FrameCounts, compare_frame_counts
from emotion_llama.merr.imports.media import MediaProgress, media_by_name, take_in_media
from emotion_llama.merr.imports.merge import Draft, merge
from emotion_llama.merr.problems import Problems
from emotion_llama.merr.records import ClipRow, Json
from emotion_llama.merr.store import Store

__all__ = ["ImportTally", "import_files"]

_MEDIA_FACTS = (
    "path", "sha256", "frame_count", "duration_seconds", "fps", "width", "height", "has_audio",
)  # fmt: skip


@dataclass(frozen=True)
class ImportTally:
    """What an import read and wrote.

    Attributes:
        folder: of the build.
        rows: file or folder -> rows or entries read.
        new_clips, known_clips: clips that were made, and that the build had before.
        fields: field -> clips it was written for.
        kept: field -> clips whose value stayed, because the build or an earlier import had made another one.
        media: clips that got their media file.
        problems: what could not be taken, by kind.
        frame_counts: what is stated, compared with the media.
    """

    folder: Path
    rows: Mapping[str, int]
    new_clips: int
    known_clips: int
    fields: Mapping[str, int]
    kept: Mapping[str, int]
    media: int
    problems: Problems
    frame_counts: FrameCounts

    def text(self) -> str:
        """The tally in lines, for people."""
        lines = [f"{name}: {count:,} rows" for name, count in self.rows.items()]
        lines.append(f"{self.folder}: {self.new_clips:,} new clips, {self.known_clips:,} that it had")
        lines += [f"{count:>8,}  {name}" for name, count in self.fields.items()]
        lines += [f"{count:>8,}  {name}: kept, not replaced (--replace)" for name, count in self.kept.items()]
        if self.media:
            lines.append(f"{self.media:>8,}  media files")
        if self.problems:
            lines += ["not taken, or worth a look:", *self.problems.lines()]
        return "\n".join(lines + self.frame_counts.lines())

    def document(self) -> dict[str, Json]:
        """The tally as JSON."""
        return {
            "folder": str(self.folder),
            "rows": dict(self.rows),
            "new_clips": self.new_clips,
            "known_clips": self.known_clips,
            "fields": dict(self.fields),
            "kept": dict(self.kept),
            "media": self.media,
            "problems": self.problems.document(),
            "frame_counts": self.frame_counts.document(),
        }


def import_files(
    paths: Sequence[Path],
    store: Store,
    *,
    space: LabelSpace = MERR9,
    language: str = "en",
    videos: Path | None = None,
    replace_made: bool = False,
    workers: int = 4,
    progress: MediaProgress | None = None,
) -> ImportTally:
    """Read files and folders into a build.

    Fields come with the provenance "imported", the file's name and its hash. What the build has made, or another import
    has brought, stays unless `replace_made`. Stated frame counts are compared with those of the media, where these are
    known or found.

    Args:
        paths: files and folders; see `files.find_sources`.
        store: open for writing; new or existing.
        space: labels that may come.
        language: of the descriptions in MERR's JSON files.
        videos: a folder with the clips' media, by name.
        replace_made: also replace values that are there.
        workers: media files probed at a time.
        progress: told of media files probed.

    Raises:
        InputError: a path does not exist or holds nothing that can be imported.
        BackendError: the store cannot be written.
    """
    sources = find_sources(paths)
    problems = Problems()
    known = {row.clip_id: row for row in store.clips()}
    made_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    contents: list[FileContent] = []
    for source in sources:
        wanted = _clips_for_features(source, known, [c.clip_id for done in contents for c in done.claims])
        contents.append(read_source(source, space, language, wanted))
    drafts = merge(contents, problems, made_at)
    if not drafts:
        raise InputError(f"nothing could be taken from {_names(paths)}: " + "; ".join(problems.counts or ["no rows"]))
    media: dict[str, ClipRow] = {}
    if videos is not None:
        files = media_by_name(videos, problems)
        without = [c for c in drafts if c not in known or known[c].path is None]
        media = take_in_media(without, files, problems, workers=workers, progress=progress)
        missing = [c for c in without if c not in files]
        if missing:
            problems.add(f"no media file of the clip's name in {videos}", missing[0], len(missing))
        _give_media(drafts, known, media)
    origin = hashlib.sha256("".join(c.sha256 for c in contents).encode()).hexdigest()[:16]
    applied = apply_drafts(store, drafts, replace_made=replace_made, origin=origin, made_at=made_at, problems=problems)
    return _tally(store, {c.origin: c.rows for c in contents}, applied, len(media), problems)


def _clips_for_features(source: Source, known: Mapping[str, ClipRow], claimed: Sequence[str]) -> frozenset[str] | None:
    wanted = frozenset((*known, *claimed)) if source.kind == "features" else frozenset()
    return wanted or None


def _give_media(drafts: dict[str, Draft], known: Mapping[str, ClipRow], media: Mapping[str, ClipRow]) -> None:
    for clip_id, found in media.items():
        draft = drafts[clip_id]
        row = known.get(clip_id) or draft.clip or ClipRow(clip_id, None, None)
        draft.clip = replace(row, **{name: getattr(found, name) for name in _MEDIA_FACTS})


def _tally(store: Store, rows: Mapping[str, int], applied: Applied, media: int, problems: Problems) -> ImportTally:
    stated = {c: n for c, row in applied.clips.items() if (n := row.stated_frame_count) is not None}
    real = {c: n for c, row in applied.clips.items() if (n := row.frame_count) is not None}
    return ImportTally(
        store.folder,
        rows,
        applied.new_clips,
        applied.known_clips,
        dict(sorted(applied.fields.items())),
        dict(sorted(applied.kept.items())),
        media,
        problems,
        compare_frame_counts(stated, real),
    )


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(str(p) for p in paths[:3]) + (" ..." if len(paths) > 3 else "")
