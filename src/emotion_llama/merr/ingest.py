"""The first phase: files, folders and manifests become the clips of a build; every file counts somewhere."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from emotion_llama.errors import EmotionLlamaError, InputError, MediaError
from emotion_llama.merr.clip_names import beside_video, name_clips
from emotion_llama.merr.manifest import Entry, is_manifest, read_manifest
from emotion_llama.merr.plan import IMPORTED, INGEST, canonical, sha256_of
from emotion_llama.merr.records import ClipRow, StageRun, now
from emotion_llama.merr.stage import StageOutput, reason_of
from emotion_llama.merr.stages.splits import check_given
from emotion_llama.merr.status import PhaseTally, Progress, tally_phase
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.builds import at_work
from emotion_llama.results import Missing

if TYPE_CHECKING:
    from emotion_llama.labels import LabelSpace
    from emotion_llama.media.reader import ClipFile
    from emotion_llama.merr.recipe import IngestPart, Recipe


@dataclass(frozen=True)
class Found:
    """A file that will be a clip: its name, what a manifest or its own name says of it."""

    clip_id: str
    path: Path
    entry: Entry | None = None
    source: str | None = None
    person: str | None = None
    sound_of: Path | None = None  # the video beside it whose sound it presumably is


@dataclass(frozen=True)
class Ingested:
    """What became of one file: a row, with the reason where it is dropped or could not be read.

    `error` is a `MediaError` or what else went wrong; the row then holds what is known. `warnings` are single lines.
    """

    row: ClipRow
    drop: str | None = None
    error: EmotionLlamaError | None = None
    warnings: tuple[str, ...] = ()


def ingest(
    inputs: Sequence[str | os.PathLike[str]],
    recipe: Recipe,
    *,
    known: Mapping[str, str] | None = None,
    workers: int = 1,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Ingested]:
    """Every clip that `inputs` mean, by id: probed and hashed, duplicates and unreadable files with their reasons.

    Args:
        inputs: media files, folders that are searched, manifests (.csv, .jsonl).
        recipe: for its label space and its part `ingest`.
        known: path -> id of the clips that the build has already; they keep their ids.
        workers: files probed at a time.
        limit: so many files at most, the first in the order of `inputs` (folders and manifests in theirs).
        progress: called with the number of files done, and of all.

    Raises:
        InputError: there is nothing to take in, a manifest has mistakes, or given splits divide a person or a source.
    """
    found = find_clips(inputs, recipe, known=known or {}, limit=limit)
    done = []
    with ThreadPoolExecutor(max(1, workers)) as pool:  # hashing and decoding leave Python's lock
        try:
            for count, one in enumerate(pool.map(lambda clip: take_in(clip, recipe.ingest), found), 1):
                done.append(one)
                if progress is not None:
                    progress(count, len(found))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # whoever interrupts does not wait for the files that are left
            raise
    done.sort(key=lambda one: one.row.clip_id)
    check_given([one.row for one in done])
    return list(_without_duplicates(done))


def find_clips(
    inputs: Sequence[str | os.PathLike[str]],
    recipe: Recipe,
    *,
    known: Mapping[str, str],
    limit: int | None = None,
) -> list[Found]:
    """The files that will be clips, named, in the order of `inputs`; none is opened. Raises as `ingest`."""
    pattern = _pattern(recipe.ingest.name_pattern)
    listed = _listed(inputs, recipe.space)
    paths = list(listed)[:limit]
    stated = {path: entry.name for path in paths if (entry := listed[path].entry) is not None and entry.name}
    names = name_clips(paths, stated, {Path(path): name for path, name in known.items()})
    everything = set(paths)
    out = []
    for path in paths:
        below, entry = listed[path]
        parts = _named_parts(pattern, below)
        sound_of = beside_video(path, everything) if entry is None else None
        out.append(
            Found(
                names[path],
                path,
                entry,
                (entry.source if entry else None) or parts.get("source"),
                (entry.person if entry else None) or parts.get("person"),
                sound_of,
            )
        )
    return out


def take_in(found: Found, part: IngestPart) -> Ingested:
    """Probe and hash one file; an unreadable one comes with its error."""
    from emotion_llama.media.probe import open_clip

    entry = found.entry
    row = ClipRow(
        found.clip_id,
        _storable(found.path),
        None,
        source=found.source,
        person=found.person,
        given_label=entry.label if entry else None,
        given_subtitle=entry.subtitle if entry else None,
        given_split=entry.split if entry else None,
        subtitle_source="given" if entry and entry.subtitle else None,
    )
    warnings: list[str] = []
    try:
        if row.path != str(found.path):
            raise MediaError(row.path or "", "its name is no UTF-8 text", "rename the file")
        with open_clip(found.path, warn=warnings.append) as file:
            clip = file.clip
            frame_count = None if clip.video is None else count_pictures(file)
            if part.sidecars and row.given_subtitle is None:
                row = _with_words(row, file, part.encoding, warnings)
    except EmotionLlamaError as error:
        return Ingested(row, error=error, warnings=tuple(warnings))
    row = replace(
        row,
        sha256=clip.sha256,
        frame_count=frame_count,
        duration_seconds=clip.duration_seconds,
        fps=None if clip.video is None else clip.video.fps,
        width=None if clip.video is None else clip.video.width,
        height=None if clip.video is None else clip.video.height,
        has_audio=clip.audio is not None,
    )
    drop = None if found.sound_of is None else f"sound beside a video of its name: {found.sound_of.name}"
    return Ingested(row, drop, warnings=tuple(warnings))


def count_pictures(source: Path | ClipFile) -> int:
    """Pictures that the video stream stores; packets are counted, none is decoded."""
    from av.error import FFmpegError

    from emotion_llama.media.reader import ClipFile

    if not isinstance(source, ClipFile):
        with ClipFile(source) as file:
            return count_pictures(file)
    count = 0
    if source.media.video is not None:
        with suppress(FFmpegError):  # after damage: what was readable
            for packet in source.picture_packets():
                count += packet.size > 0 and not packet.is_discard
    return count


class _Listed(NamedTuple):
    below: str  # path below the folder named, without suffix, with forward slashes
    entry: Entry | None


def _listed(inputs: Sequence[str | os.PathLike[str]], space: LabelSpace) -> dict[Path, _Listed]:
    """Absolute path -> where it comes from, each file once; what a manifest says of it counts."""
    from emotion_llama.media.discover import find_media

    found: dict[Path, _Listed] = {}
    for given in map(Path, inputs):
        if is_manifest(given):
            for entry in read_manifest(given, space):
                earlier = found.get(entry.path)
                if earlier is not None and earlier.entry is not None:
                    raise InputError(f"{entry.where}: {entry.path} stands in {earlier.entry.where} already")
                found[entry.path] = _Listed(_below(entry.path, given.absolute().parent), entry)
            continue
        _must_be_there(given)
        root = given if given.is_dir() else given.parent
        for path in find_media([given]):
            if path == given and given.is_dir():
                continue  # a folder without media is no clip
            absolute = Path(os.path.abspath(path))  # noqa: PTH100  (links stay as named)
            found.setdefault(absolute, _Listed(_below(path, root), None))
    if not found:
        empty = f" ({', '.join(map(str, inputs))}: no media files)" if inputs else ""
        raise InputError(f"no clips given{empty}: expected files, folders or manifests (.csv, .jsonl)")
    return found


def _must_be_there(given: Path) -> None:
    """A name that can only be a folder's and is nowhere is a slip: all clips that a build has would be set aside."""
    from emotion_llama.media.kinds import MEDIA_SUFFIXES

    if given.suffix.lower() not in MEDIA_SUFFIXES and not given.exists():
        raise InputError(f"{given}: no such file or folder; check the path")


def _below(path: Path, root: Path) -> str:
    inside = path.is_relative_to(root)
    return (path.relative_to(root) if inside else path).with_suffix("").as_posix()


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"ingest.name_pattern: {text!r} is no regular expression ({error})") from None
    groups = set(pattern.groupindex)
    if not groups or not groups <= {"source", "person"}:
        came = ", ".join(sorted(groups)) or "none"
        raise InputError(f"ingest.name_pattern: expected the named groups source and/or person, got {came}")
    return pattern


def _named_parts(pattern: re.Pattern[str] | None, below: str) -> dict[str, str]:
    match = pattern.search(below) if pattern is not None else None
    return {} if match is None else {name: text for name, text in match.groupdict().items() if text}


def _with_words(row: ClipRow, file: ClipFile, encoding: str | None, warnings: list[str]) -> ClipRow:
    """The row with the words of a subtitle file beside the clip or a text track in it."""
    from emotion_llama.analysis.evidence import words_with_clip

    words = words_with_clip(file.path, file, encoding=encoding)
    if words is None:
        return row
    if isinstance(words, Missing):
        warnings.append(words.reason)
        return row
    warnings += words.notes
    if words.notes and not words.lines:
        return row
    return replace(row, given_subtitle=words.text, subtitle_source=words.source, subtitle_language=words.language)


def _storable(path: Path) -> str:
    """The path as text; bytes that are no text are escaped, and the clip then fails by that."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _without_duplicates(done: Sequence[Ingested]) -> Iterator[Ingested]:
    """Of files with the same bytes the first by id stays; one with a manifest's row goes before others."""
    first: dict[str, str] = {}
    ranked = sorted((one for one in done if one.error is None and one.drop is None), key=_said_first)
    for one in ranked:
        first.setdefault(one.row.sha256 or "", one.row.clip_id)
    for one in done:
        keeper = first.get(one.row.sha256 or "")
        if one.error is None and one.drop is None and keeper != one.row.clip_id:
            yield replace(one, drop=f"same bytes as another clip: {keeper}")
        else:
            yield one


def _said_first(one: Ingested) -> tuple[bool, str]:
    return (one.row.given_label is None, one.row.clip_id)


# --- the phase of a build ---------------------------------------------------------------------------------------------

GONE = "no longer among the inputs"
BEYOND_LIMIT = "beyond the limit"
_MAX_WARNINGS = 20  # printed; a folder of broken sidecars need not fill the screen


class _Stopped(Exception):
    """The build was interrupted while files were taken in."""


def ingest_phase(
    store: Store,
    inputs: Sequence[str | os.PathLike[str]],
    recipe: Recipe,
    workers: int,
    limit: int | None,
    progress: Progress,
    stopped: Callable[[], bool],
) -> PhaseTally:
    """What `ingest` found becomes the ledger's clips; the others are set aside. Raises as `ingest`."""
    begun = time.perf_counter()
    at_work(store, INGEST, 0)

    def report(done: int, total: int) -> None:
        if done == 1:
            progress.begin(INGEST, total, 0)
        progress.advance(done, 0)
        if stopped():
            raise _Stopped

    # A name whose file is gone is free again: a folder that was moved keeps its clips' names, and thereby their work.
    known = {row.path: row.clip_id for row in store.all_clips() if row.path is not None and Path(row.path).exists()}
    fresh: frozenset[str] = frozenset()
    with suppress(_Stopped):
        found = ingest(inputs, recipe, known=known, workers=workers, limit=limit, progress=report)
        ids, beyond = {one.row.clip_id for one in found}, frozenset[str]()
        if limit is not None:
            beyond = frozenset(one.clip_id for one in find_clips(inputs, recipe, known=known)) - ids
        fresh = _put(store, found, beyond)
        warnings = [f"{one.row.clip_id}: {text}" for one in found for text in one.warnings]
        for warning in warnings[:_MAX_WARNINGS]:
            progress.say(warning)
        if len(warnings) > _MAX_WARNINGS:
            progress.say(f"... and {len(warnings) - _MAX_WARNINGS} more of this kind")
    progress.end()
    return tally_phase(INGEST, store.runs(INGEST), fresh, wall_seconds=time.perf_counter() - begun)


def _put(store: Store, found: Sequence[Ingested], beyond: Set[str]) -> frozenset[str]:
    """Record what was found, all at once; returns the clips that are new or changed."""
    at, old = now(), {row.clip_id: row for row in store.all_clips()}
    with store.transaction():
        before = store.run_states(INGEST, set_aside=True)
        store.put_clips(_keeping_imports(one.row, old.get(one.row.clip_id)) for one in found)
        ids = {one.row.clip_id for one in found}
        left = [c for c, run in before.items() if c not in ids and not run.fingerprint.startswith(IMPORTED)]
        # What could not be read, and was perhaps only misspelt, never was a clip: nothing of it is worth keeping.
        store.remove([clip_id for clip_id in left if before[clip_id].status == "failed"])
        store.set_aside([clip_id for clip_id in left if clip_id in beyond], BEYOND_LIMIT)
        store.set_aside([clip_id for clip_id in left if clip_id not in beyond], GONE)
        runs = [_run_of(one, at) for one in found]
        fresh = [run for run in runs if run.status == "failed" or not _same(run, before.get(run.clip_id))]
        store.record_many([(run, None if run.status == "failed" else StageOutput()) for run in fresh])
    return frozenset(run.clip_id for run in fresh)


def _keeping_imports(row: ClipRow, old: ClipRow | None) -> ClipRow:
    """What an import stated of the clip is not in its file, and stays."""
    if old is None or row.stated_frame_count is not None:
        return row
    return replace(row, stated_frame_count=old.stated_frame_count)


def _run_of(one: Ingested, at: str) -> StageRun:
    facts = {name: value for name, value in asdict(one.row).items() if name != "path"}
    sha256 = sha256_of(canonical([INGEST, facts]))
    clip_id = one.row.clip_id
    if one.error is not None:
        return StageRun(clip_id, INGEST, "failed", sha256, None, reason_of(one.error, one.row.path), finished_at=at)
    if one.drop is not None:
        return StageRun(clip_id, INGEST, "dropped", sha256, sha256, one.drop, "all", finished_at=at)
    return StageRun(clip_id, INGEST, "done", sha256, sha256, finished_at=at)


def _same(run: StageRun, state: StageRun | None) -> bool:
    return state is not None and (run.status, run.fingerprint, run.scope) == (
        state.status, state.fingerprint, state.scope,
    )  # fmt: skip
