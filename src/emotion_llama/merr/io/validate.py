"""Checks of a build with its exports, or of exported and published files; problems by kind, nothing is changed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.merr.io.content import FileContent, Problems
from emotion_llama.merr.io.csv_table import FILE as OWN_CSV
from emotion_llama.merr.io.csv_table import read_own_csv
from emotion_llama.merr.io.folder import MANIFEST, changed_files, file_hash, read_manifest
from emotion_llama.merr.io.frame_counts import FrameCounts, compare_frame_counts, count_frames, media_by_name
from emotion_llama.merr.io.merr_files import CAPTIONS, READ_AS_NAN, TRANSCRIPTS
from emotion_llama.merr.io.published import error_like, read_list, read_rows
from emotion_llama.merr.io.sample_checks import SampleChecks
from emotion_llama.merr.io.sharegpt import INFO, MEDIA_COLUMNS
from emotion_llama.merr.json_text import parse_json
from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.schema import LEDGER_NAME

_LIST = re.compile(r"MERR_(coarse|fine)_grained(?:_\w+)?\.txt")


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
        return "\n".join(
            [
                f"{self.folder}: {', '.join(looked) or 'nothing to look at'}",
                *([] if self.frame_counts is None else self.frame_counts.lines()),
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


def validate(folder: Path, *, deep: bool = False, videos: Path | None = None) -> Validation:
    """Check a build with its exports, or a folder of exported or published files.

    Args:
        folder: of a build, or of one export.
        deep: also hash every media file again.
        videos: of an export: a folder with the clips' media, by name, whose frames are counted.

    Raises:
        InputError: it is neither.
    """
    if (folder / LEDGER_NAME).is_file():
        with Store.open(folder, read_only=True) as store:
            return _validate_build(store, deep=deep)
    if not (folder.is_dir() and _is_export(folder)):
        raise InputError(
            f"{folder} is neither a build (it holds no {LEDGER_NAME}) nor an export (no export.json, no MERR_*.json)"
        )
    problems, stated, frames = Problems(), dict[str, int](), None
    entries = _check_export(folder, problems, stated)
    if videos is not None:
        real = count_frames(media_by_name(videos, problems), stated, problems)
        frames = _compare(stated, real, problems)
    return Validation(folder, 0, entries, (folder,), problems, (), frames)


def _validate_build(store: Store, *, deep: bool) -> Validation:
    checks = SampleChecks(store.recipe, [name for name, *_ in store.stages()])
    problems, facts = checks.problems, Counter[str]()
    for row in store.query("PRAGMA quick_check(5)"):
        if row[0] != "ok":
            problems.add("the ledger is damaged (SQLite)", str(row[0]))
    for sample in store.samples("all"):
        checks.add(sample)
        facts.update(_facts(sample))
        _check_files(sample, store.folder, problems, deep=deep)
    checks.finish()
    frames = _compare(checks.stated, checks.real, problems) if checks.stated else None
    entries = 0
    exports = tuple(sorted(p for p in (store.folder / "export").glob("*") if p.is_dir() and not p.name.startswith(".")))
    for path in exports:
        if _is_export(path):
            entries += _check_export(path, problems, {})
        else:
            problems.add("an export is not complete (it has no export.json)", str(path))
    return Validation(store.folder, facts["clips"], entries, exports, problems, tuple(_notes(facts)), frames)


def _compare(stated: dict[str, int], real: dict[str, int], problems: Problems) -> FrameCounts:
    frames = compare_frame_counts(stated, real)
    for clip_id, said, counted in frames.mismatches:
        kind = "the media have another number of frames than the label file states"
        problems.add(kind, f"{clip_id}: {said} stated, {counted} in the video")
    if frames.verdict == "another release":
        fit = f"{frames.fitting} of {frames.compared} fit"
        problems.add("the ids are likely of another release than the videos", fit)
    return frames


def _check_files(sample: Sample, folder: Path, problems: Problems, *, deep: bool) -> None:
    """The media file and the artifacts are there and unchanged."""
    clip = sample.clip
    if clip.path is not None and not Path(clip.path).is_file():
        problems.add("a media file is gone", f"{clip.clip_id}: {clip.path}")
    elif clip.path is not None and deep and clip.sha256 not in (None, file_hash(Path(clip.path))):
        problems.add("a media file was changed since it was taken in", f"{clip.clip_id}: {clip.path}")
    for name, relative in sorted(sample.artifacts.items()):
        path = folder / relative
        if not path.is_file():
            problems.add("an artifact's file is gone", f"{clip.clip_id}: {name}")
        elif file_hash(path) != path.name.split(".", 1)[0]:
            problems.add("an artifact's file is damaged", f"{clip.clip_id}: {name}")


def _facts(sample: Sample) -> Iterator[str]:
    """What of a sample is worth a note."""
    clip = sample.clip
    yield "clips"
    if clip.path is None:
        yield "imported"
    if clip.source is None and clip.person is None and sample.value("split") is not None:
        yield "ungrouped"
    yield from (f"clips that failed at {run.stage}" for run in sample.runs.values() if run.status == "failed")


def _notes(facts: Counter[str]) -> Iterator[str]:
    if facts["imported"]:
        yield f"clips without media (imported): {facts['imported']:,}"
    if facts["ungrouped"]:
        yield (
            f"clips of which neither source nor person is known: {facts['ungrouped']:,}; each was split by itself, so "
            "one person may stand in two splits (name them in a manifest, or by ingest.name_pattern)"
        )
    yield from (f"{fact}: {count:,}" for fact, count in sorted(facts.items()) if fact.startswith("clips that failed"))


def _is_export(folder: Path) -> bool:
    """Whether a folder holds an export of ours, or published MERR files."""
    return any((folder / name).is_file() for name in (MANIFEST, *(f"MERR_{which}_grained.json" for which in CAPTIONS)))


def _check_export(folder: Path, problems: Problems, stated: dict[str, int]) -> int:
    """Check every file of an export; the number of entries that were looked at.

    What our manifest vouches for is compared with it. MERR files, which others make too, are read as the published
    training code reads them; `stated` is filled with the frame counts of their lists.
    """
    try:
        manifest = read_manifest(folder)
    except InputError as error:
        manifest = None
        problems.add("the export's manifest is damaged", str(error))
    for name in [] if manifest is None else changed_files(folder, manifest):
        kind = "is not what was exported" if (folder / name).exists() else "is gone"
        problems.add(f"a file of the export {kind}", str(folder / name))
    entries = 0
    if any((folder / f"MERR_{which}_grained.json").is_file() for which in CAPTIONS):
        entries += _check_merr(folder, problems, stated)
    if (folder / OWN_CSV).is_file():
        entries += _check_own_csv(folder / OWN_CSV, problems)
    if (folder / INFO).is_file():
        entries += _check_sharegpt(folder, problems)
    for path in sorted((folder / "data").glob("*.parquet")):
        entries += _parquet_rows(path, problems)
    return entries


def _check_merr(folder: Path, problems: Problems, stated: dict[str, int]) -> int:
    """The accesses of the published training code: each name of a list in the JSON file and in the table."""
    sentences = _sentences(folder / TRANSCRIPTS, problems)
    objects = {which: _objects(folder / f"MERR_{which}_grained.json", which, problems) for which in CAPTIONS}
    entries = sum(len(found) for found in objects.values())
    for path in sorted(folder.iterdir()):
        matched = _LIST.fullmatch(path.name)
        if not matched:
            continue
        content = FileContent(path.name, "")
        read_list(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), content, MERR9)
        problems.add_all(content.problems)
        entries += content.rows
        for name, clip in sorted(content.clips.items()):
            if clip.frame_count is not None:
                stated[name] = clip.frame_count
            if name not in objects[matched[1]]:
                problems.add(f"a name of the list is not in MERR_{matched[1]}_grained.json", f"{path.name}: {name}")
            if sentences is not None and name not in sentences:
                kind = f"a name of the list is not in {TRANSCRIPTS} (the published code stops)"
                problems.add(kind, f"{path.name}: {name}")
    return entries


def _objects(path: Path, which: str, problems: Problems) -> dict[str, Any]:
    found = _json(path, problems) if path.is_file() else {}
    if not isinstance(found, dict):
        if found is not None:
            problems.add("a MERR file is no object by clip name", path.name)
        return {}
    caption = CAPTIONS[which]
    for name, entry in found.items():
        where = f"{path.name}: {name}"
        text = entry.get(caption) if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text.strip():
            problems.add(f"an entry has no {caption}", where)
        elif error_like(text):
            problems.add(f"{caption} is the text of an error or a refusal", f"{where}: {text[:60]!r}")
    return found


def _sentences(path: Path, problems: Problems) -> set[str] | None:
    """Names of the table; None where there is no table."""
    if not path.is_file():
        return None
    names: set[str] = set()
    try:
        for line, row in read_rows(path.read_text(encoding="utf-8-sig"), path.name, ","):
            _check_sentence(row, f"{path.name}, line {line}", line == 1, names, problems)
    except (InputError, UnicodeDecodeError) as error:
        problems.add("a table cannot be read", f"{path.name}: {error}")
    return names


def _check_sentence(row: list[str], where: str, is_header: bool, names: set[str], problems: Problems) -> None:
    if is_header:
        if row != ["name", "sentence"]:
            kind = "the table of sentences must have the columns name,sentence"
            problems.add(kind, f"{where}: {','.join(row)[:60]}")
        return
    if len(row) != 2:
        problems.add("malformed row of the table of sentences", f"{where}: {len(row)} cells")
        return
    if row[0] in names:
        problems.add("a name stands twice in the table of sentences", f"{where}: {row[0]}")
    if row[1] in READ_AS_NAN:
        problems.add('a sentence that pandas reads as NaN (it becomes "nan" in the prompt)', f"{where}: {row[1]!r}")
    names.add(row[0])


def _check_own_csv(path: Path, problems: Problems) -> int:
    content = FileContent(path.name, "")
    try:
        read_own_csv(path.read_text(encoding="utf-8-sig"), content, MERR9)
    except (InputError, UnicodeDecodeError) as error:
        problems.add("a table cannot be read", f"{path.name}: {error}")
    problems.add_all(content.problems)
    return content.rows


def _check_sharegpt(folder: Path, problems: Problems) -> int:
    """Conversations counted; the media that they name, which lie elsewhere, are there."""
    info, entries = _json(folder / INFO, problems), 0
    for name, entry in info.items() if isinstance(info, dict) else ():
        path = folder / str(entry.get("file_name", ""))
        if not path.is_file():
            problems.add(f"{INFO} names a file that is not there", f"{name}: {path.name}")
            continue
        for number, conversation in enumerate(_conversations(path, problems), 1):
            entries += 1
            for medium in (str(medium) for c in MEDIA_COLUMNS.values() for medium in conversation.get(c) or ()):
                if not (folder / medium).exists():
                    where = f"{path.name}, entry {number}: {medium}"
                    problems.add("a media file of a conversation is not there", where)
    return entries


def _conversations(path: Path, problems: Problems) -> list[dict[str, Any]]:  # JSON objects
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").split("\n")
        found: Any = [_parsed(line, path, "a line is no JSON", problems) for line in lines if line]
    else:
        found = _json(path, problems)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _parquet_rows(path: Path, problems: Problems) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        problems.add("a Parquet file cannot be read", f"{path.name}: {error}")
        return 0


def _json(path: Path, problems: Problems) -> Any:  # whatever the file holds; None of what is no JSON
    return _parsed(path.read_text(encoding="utf-8", errors="replace"), path, "a file is no JSON", problems)


def _parsed(text: str, path: Path, kind: str, problems: Problems) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        problems.add(kind, f"{path.name}: {error}")
        return None
