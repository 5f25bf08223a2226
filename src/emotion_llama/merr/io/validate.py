"""Checks of a build with its exports, or of exported and published files; problems by kind, nothing is changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emotion_llama.chat.questions import LANGUAGES
from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.media.probe import file_sha256
from emotion_llama.merr.io.content import Problems
from emotion_llama.merr.io.export import MANIFEST, changed_files, read_manifest
from emotion_llama.merr.io.frame_counts import FrameCounts, compare_frame_counts, count_frames, media_by_name
from emotion_llama.merr.io.merr_files import CAPTIONS, check_merr
from emotion_llama.merr.quality.texts import error_like
from emotion_llama.merr.recipe import ConsistencyPart, Recipe
from emotion_llama.merr.records import (
    DESCRIPTIONS,
    Json,
    Sample,
    is_coarse,
    is_dropped,
    is_fine,
    label_of,
    part,
    shown_key,
    text_of,
)
from emotion_llama.merr.stages.consistency import check_text
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.ledger import LEDGER_NAME


@dataclass(frozen=True)
class Validation:
    """What a validation looked at, and what it found."""

    folder: Path  # of the build or the export
    clips: int  # of a build, looked at
    entries: int  # of exports, looked at
    exports: tuple[Path, ...]  # folders of exports, looked at
    problems: Problems  # by kind; empty when all is well
    notes: tuple[str, ...] = ()  # what is no problem, but worth knowing
    frame_counts: FrameCounts | None = None  # what is stated, compared with the media; None where nothing is stated

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
            **{name: getattr(self, name) for name in ("clips", "entries")},
            **{name: [str(item) for item in getattr(self, name)] for name in ("exports", "notes")},
            "problems": self.problems.document(),
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
    problems = Problems()
    for row in store.query("PRAGMA quick_check(5)"):
        if row[0] != "ok":
            problems.add("the ledger is damaged (SQLite)", str(row[0]))
    facts, stated, real = _check_samples(store, problems, deep=deep)
    frames = _compare(stated, real, problems) if stated else None
    entries = 0
    exports = tuple(sorted(p for p in (store.folder / "export").glob("*") if p.is_dir() and not p.name.startswith(".")))
    for path in exports:
        if _is_export(path):
            entries += _check_export(path, problems, {})
        else:
            problems.add("an export is not complete (it has no export.json)", str(path))
    return Validation(store.folder, facts["clips"], entries, exports, problems, tuple(_notes(facts)), frames)


def _check_samples(
    store: Store, problems: Problems, *, deep: bool
) -> tuple[Counter[str], dict[str, int], dict[str, int]]:
    """Check every sample, and all of them together; facts worth a note, and frame counts as stated and as they are."""
    recipe, has_splits = store.recipe, any(name == "splits" for name, *_ in store.stages())
    facts, stated, real = Counter[str](), dict[str, int](), dict[str, int]()
    by_hash, by_folded = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    splits = defaultdict[tuple[str, str], dict[str, str]](dict)  # person or source -> split -> one of its clips
    for sample in store.samples("all"):
        clip, split = sample.clip, sample.value("split")
        facts.update(_facts(sample))
        _check_files(sample, store.folder, problems, deep=deep)
        by_folded[clip.clip_id.casefold()].append(clip.clip_id)
        for counts, count in ((stated, clip.stated_frame_count), (real, clip.frame_count)):
            if count is not None:
                counts[clip.clip_id] = count
        if is_dropped(sample, "all"):
            continue
        if clip.sha256 is not None:
            by_hash[clip.sha256].append(clip.clip_id)
        for problem, what in (*_of_fields(sample, recipe, has_splits), *_of_texts(sample, recipe), *_of_peaks(sample)):
            problems.add(problem, f"{clip.clip_id}: {what}" if what else clip.clip_id)
        for kind, name in (("person", clip.person), ("source", clip.source)):
            if name is not None and isinstance(split, str):
                splits[kind, name][split] = clip.clip_id
    for hash_, ids in sorted(by_hash.items()):
        if len(ids) > 1:
            problems.add("clips with the same media file (by hash)", f"{', '.join(ids[:3])}: {hash_[:12]}")
    for ids in by_folded.values():
        if len(ids) > 1:
            kind = "ids that differ in capitals only (one file name on Windows and macOS)"
            problems.add(kind, ", ".join(ids[:3]))
    for (kind, name), found in sorted(splits.items()):
        if len(found) > 1:
            where = ", ".join(f"{clip} in {split}" for split, clip in sorted(found.items()))
            problems.add(f"a {kind} stands in several splits", f"{name}: {where}")
    return facts, stated, real


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
    clip = sample.clip
    if clip.path is not None and not Path(clip.path).is_file():
        problems.add("a media file is gone", f"{clip.clip_id}: {clip.path}")
    elif clip.path is not None and deep and clip.sha256 not in (None, file_sha256(Path(clip.path))):
        problems.add("a media file was changed since it was taken in", f"{clip.clip_id}: {clip.path}")
    for name, relative in sorted(sample.artifacts.items()):
        path = folder / relative
        if not path.is_file():
            problems.add("an artifact's file is gone", f"{clip.clip_id}: {name}")
        elif file_sha256(path) != path.name.split(".", 1)[0]:
            problems.add("an artifact's file is damaged", f"{clip.clip_id}: {name}")


def _facts(sample: Sample) -> Iterator[str]:
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
    return any((folder / name).is_file() for name in (MANIFEST, *(f"MERR_{which}_grained.json" for which in CAPTIONS)))


def _check_export(folder: Path, problems: Problems, stated: dict[str, int]) -> int:
    """Compare an export with its manifest, MERR's files with what the published code reads; returns its samples."""
    try:
        manifest = read_manifest(folder)
    except InputError as error:
        manifest = None
        problems.add("the export's manifest is damaged", str(error))
    for name in [] if manifest is None else changed_files(folder, manifest):
        kind = "is not what was exported" if (folder / name).exists() else "is gone"
        problems.add(f"a file of the export {kind}", str(folder / name))
    entries = check_merr(folder, problems, stated)
    return entries if manifest is None else sum(manifest.get("samples", {}).values())


def _of_fields(sample: Sample, recipe: Recipe | None, has_splits: bool) -> Iterator[tuple[str, str]]:
    """What every sample of a set needs, and imports may not bring."""
    label, space = label_of(sample), recipe.space if recipe else MERR9
    if label is not None and label not in space.labels:
        yield f"a label is none of {space.name}", repr(label)
    if not is_coarse(sample):
        return
    if label is None:
        yield "a sample of the coarse set has no label", ""
    for language in recipe.languages if recipe else ():
        if text_of(sample.value("coarse_caption", language)) is None:
            yield f"a sample of the coarse set has no coarse caption ({language})", ""
        if is_fine(sample) and text_of(sample.value("fine_caption", language)) is None:
            yield f"a sample of the fine set has no fine caption ({language})", ""
    if has_splits and not isinstance(sample.value("split"), str):
        yield "a sample of the coarse set has no split", ""


def _of_texts(sample: Sample, recipe: Recipe | None) -> Iterator[tuple[str, str]]:
    label, words = label_of(sample), text_of(sample.value("subtitle"))
    label_last = recipe.consistency.require_label_last if recipe else True
    for key, found in sorted(sample.fields.items()):
        if key[0] not in DESCRIPTIONS or found.value is None:
            continue
        text, shown = text_of(found.value), shown_key(key)
        if text is None or not text.strip():
            yield f"{shown} is empty", repr(found.value)
        elif error_like(text):
            yield f"{shown} is the text of an error or a refusal", repr(text[:60])
        elif label_last and key[0] == "fine_caption" and label and key[1] in LANGUAGES and is_fine(sample):
            clues = {"subtitle": words} if words else {}
            if not check_text(text, label, clues, key[1], ConsistencyPart())["label_at_end"]:
                yield f"{shown} names the label before its last sentence", f"{label!r} in {text[:60]!r}"


def _of_peaks(sample: Sample) -> Iterator[tuple[str, str]]:
    count = sample.clip.frame_count if sample.clip.frame_count is not None else sample.clip.stated_frame_count
    published = str(part(sample.value("published"), "peak_index")).strip()  # imported files write numbers as texts
    for name, value in (
        ("peak", part(sample.value("peak"), "frame_index")),
        ("peak_index", int(published) if published.lstrip("-").isdecimal() else None),
    ):
        if isinstance(value, int) and (value < 0 or (count is not None and value >= count)):
            yield f"{name} lies outside the clip", f"frame {value} of {count}"
