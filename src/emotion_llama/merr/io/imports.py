"""Imports into a build: published MERR and MER files, OpenFace tables, feature folders, and our own CSV."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.merr.ingest import take_in
from emotion_llama.merr.io.content import FileContent, Problems, merge
from emotion_llama.merr.io.frame_counts import FrameCounts, compare_frame_counts, media_by_name
from emotion_llama.merr.io.sources import find_sources, read_source
from emotion_llama.merr.recipe import IngestPart
from emotion_llama.merr.records import FIELDS, ClipRow, Field, FieldKey, Json, Sample, Scope, StageRun, now, shown_key
from emotion_llama.merr.stage import IMPORTED, StageOutput, output_sha256
from emotion_llama.merr.store import Store

Progress = Callable[[int, int], None]  # media files done, of how many
_MEDIA_FACTS = (
    "path", "sha256", "frame_count", "duration_seconds", "fps", "width", "height", "has_audio",
)  # fmt: skip
_NOT_FINE_STAGE = "consistency"  # where a build drops clips from the fine set
_OTHER_STAGE = "import"  # of fields that no phase makes


@dataclass
class ImportTally:
    """What an import read and wrote."""

    folder: Path  # of the build
    rows: Mapping[str, int]  # file or folder -> rows or entries read
    # new_clips, known_clips: clips that were made, and that the build had before
    new_clips: int = 0
    known_clips: int = 0
    fields: Counter[str] = field(default_factory=Counter)  # field ("fine_caption (en)") -> clips it was written for
    # field -> clips whose value stayed, because the build or an earlier import had made another one
    kept: Counter[str] = field(default_factory=Counter)
    media: int = 0  # clips that got their media file
    problems: Problems = field(default_factory=Problems)  # what could not be taken, by kind
    # what is stated, compared with the media
    frame_counts: FrameCounts = field(default_factory=lambda: compare_frame_counts({}, {}))

    def text(self) -> str:
        """The tally in lines, for people."""
        lines = [f"{name}: {count:,} rows" for name, count in self.rows.items()]
        lines.append(f"{self.folder}: {self.new_clips:,} new clips, {self.known_clips:,} that it had")
        lines += [f"{count:>8,}  {name}" for name, count in sorted(self.fields.items())]
        lines += [f"{count:>8,}  {name}: kept, not replaced (--replace)" for name, count in sorted(self.kept.items())]
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
            **{name: getattr(self, name) for name in ("new_clips", "known_clips", "media")},
            **{name: dict(sorted(getattr(self, name).items())) for name in ("fields", "kept")},
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
    progress: Progress | None = None,
) -> ImportTally:
    """Read files and folders into a build.

    Fields come with the provenance "imported", the file's name and its hash. What the build has made, or another import
    has brought, stays unless `replace_made`. Stated frame counts are compared with those of the media, where these are
    known or found.

    Args:
        paths: files and folders; see `sources.find_sources`.
        store: open for writing; new or existing.
        space: labels that may come.
        language: of the descriptions in MERR's JSON files.
        videos: a folder with the clips' media, by name.
        replace_made: also replace values that are there.
        progress: called with the media files probed.

    Raises:
        InputError: a path does not exist or holds nothing that can be imported.
        BackendError: the store cannot be written.
    """
    known = {row.clip_id: row for row in store.clips()}
    made_at = now()
    contents: list[FileContent] = []
    for source in find_sources(paths):
        # Of feature folders those of the clips that there are; of all that have features in an empty build.
        wanted = frozenset(known).union(*(content.fields for content in contents)) or None
        contents.append(read_source(source, space, language, wanted, made_at))
    merged = merge(contents)
    tally = ImportTally(store.folder, {c.origin: c.rows for c in contents}, problems=merged.problems)
    if not merged.fields:
        names = ", ".join(str(p) for p in paths[:3]) + (" ..." if len(paths) > 3 else "")
        raise InputError(f"nothing could be taken from {names}: " + "; ".join(merged.problems.counts or ["no rows"]))
    if videos is not None:
        tally.media = _take_in_media(merged, known, videos, progress=progress)
    origin = hashlib.sha256("".join(c.sha256 for c in contents).encode()).hexdigest()[:16]
    rows = _Writer(store, tally, f"{IMPORTED}{origin}", made_at, replace_made=replace_made).write(merged)
    stated = {c: row.stated_frame_count for c, row in rows.items() if row.stated_frame_count is not None}
    real = {c: row.frame_count for c, row in rows.items() if row.frame_count is not None}
    tally.frame_counts = compare_frame_counts(stated, real)
    return tally


def _take_in_media(
    merged: FileContent,
    known: Mapping[str, ClipRow],
    folder: Path,
    *,
    progress: Progress | None,
) -> int:
    """Give clips without media their file: path, hash, frame count, length; how many got one. Others are counted."""
    files = media_by_name(folder, merged.problems)
    without = [c for c in merged.fields if c not in known or known[c].path is None]
    found = [ClipRow(clip_id, str(files[clip_id].absolute()), None) for clip_id in without if clip_id in files]
    part, count = IngestPart(sidecars=False), 0
    with ThreadPoolExecutor(4) as pool:  # hashing and reading leave Python's lock
        for done, (new, run, _) in enumerate(pool.map(lambda row: take_in(row, None, part), found), 1):
            if run.status != "failed":
                row = known.get(new.clip_id) or merged.clip_rows.get(new.clip_id) or ClipRow(new.clip_id, None, None)
                merged.clip_rows[new.clip_id] = replace(row, **{name: getattr(new, name) for name in _MEDIA_FACTS})
                count += 1
            else:
                merged.problems.add("a media file cannot be read", f"{new.path}: {run.reason}")
            if progress is not None:
                progress(done, len(found))
    missing = [c for c in without if c not in files]
    if missing:
        merged.problems.add(f"no media file of the clip's name in {folder}", missing[0], len(missing))
    return count


class _Writer:
    """Imported clips into the store; their fingerprints say so, and a later build leaves such runs as they are."""

    def __init__(self, store: Store, tally: ImportTally, fingerprint: str, made_at: str, *, replace_made: bool) -> None:
        self._store, self._tally = store, tally
        self._fingerprint, self._made_at, self._replace = fingerprint, made_at, replace_made

    def write(self, merged: FileContent) -> dict[str, ClipRow]:
        """Write clips, sorted by id; the rows of all of them as they are now."""
        store, tally = self._store, self._tally
        aside = {row.clip_id for row in store.all_clips()} - {row.clip_id for row in store.clips()}
        written: dict[str, ClipRow] = {}
        changed: list[ClipRow] = []
        runs: list[tuple[StageRun, StageOutput]] = []
        for clip_id, sample in _beside(merged.fields, store):
            if clip_id in aside:
                tally.problems.add("the build has set this clip aside: not changed", clip_id)
                continue
            row = written[clip_id] = self._row(clip_id, merged, None if sample is None else sample.clip)
            if sample is None or row != sample.clip:
                changed.append(row)
            tally.new_clips += sample is None
            tally.known_clips += sample is not None
            runs += self._runs(clip_id, merged, sample)
        with store.transaction():
            store.put_clips(changed)
            store.record_many(runs)
        return written

    def _row(self, clip_id: str, merged: FileContent, known: ClipRow | None) -> ClipRow:
        new, count = merged.clip_rows.get(clip_id), merged.frame_counts.get(clip_id)
        is_new = new is not None and (known is None or (known.path is None and new.path is not None))
        row = (new if is_new else known) or ClipRow(clip_id, None, None)
        if count is None:
            return row
        if row.stated_frame_count not in (None, count):
            where = f"{clip_id}: {row.stated_frame_count} before, {count} now"
            self._tally.problems.add("an earlier import stated another frame count (the new one counts)", where)
        return replace(row, stated_frame_count=count)

    def _runs(self, clip_id: str, merged: FileContent, sample: Sample | None) -> Iterator[tuple[StageRun, StageOutput]]:
        by_stage: dict[str, dict[FieldKey, Field]] = defaultdict(dict)
        for key, new in merged.fields[clip_id].items():
            by_stage[_stage_of(key)][key] = new
        not_fine = merged.not_fine.get(clip_id)
        if not_fine is not None:
            by_stage.setdefault(_NOT_FINE_STAGE, {})
        for stage, wanted in by_stage.items():
            old = {} if sample is None else {k: f for k, f in sample.fields.items() if _stage_of(k) == stage}
            run = None if sample is None else sample.runs.get(stage)
            is_made = run is not None and not run.fingerprint.startswith(IMPORTED) and run.status != "failed"
            changed = self._changed(wanted, old, is_made)
            drop: tuple[str, Scope] | None = None
            if stage == _NOT_FINE_STAGE and not_fine is not None and (self._replace or not is_made):
                drop = (not_fine, "fine")
            if changed or (drop is not None and (run is None or run.reason != drop[0])):
                self._tally.fields.update(shown_key(key) for key in changed)
                output = StageOutput(tuple({**old, **changed}.values()), drop=drop)
                yield self._run(clip_id, stage, output), output

    def _changed(
        self, wanted: Mapping[FieldKey, Field], old: Mapping[FieldKey, Field], is_made: bool
    ) -> dict[FieldKey, Field]:
        """Fields to be written; those that stay though they differ are counted as kept."""
        changed: dict[FieldKey, Field] = {}
        for key, new in wanted.items():
            there = old.get(key)
            if there is not None and (there.value, there.why_missing) == (new.value, new.why_missing):
                continue
            if self._replace or not (is_made or (there is not None and there.value is not None)):
                changed[key] = new
            else:
                self._tally.kept[shown_key(key)] += 1
        return changed

    def _run(self, clip_id: str, stage: str, output: StageOutput) -> StageRun:
        sha256, drop = output_sha256(output), output.drop
        if drop is None:
            return StageRun(clip_id, stage, "done", self._fingerprint, sha256, finished_at=self._made_at)
        return StageRun(clip_id, stage, "dropped", self._fingerprint, sha256, *drop, finished_at=self._made_at)


def _beside(clips: Mapping[str, object], store: Store) -> Iterator[tuple[str, Sample | None]]:
    """Each clip with the sample that the build has of it; both come sorted by id."""
    left = dict(clips)
    for sample in store.samples("all"):
        if left.pop(sample.clip.clip_id, None) is not None:
            yield sample.clip.clip_id, sample
    yield from ((clip_id, None) for clip_id in left)


def _stage_of(key: FieldKey) -> str:
    return FIELDS.get(key[0], _OTHER_STAGE)
