"""The first phase: files, folders and manifests become the clips of a build; every file counts somewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from emotion_llama.errors import EmotionLlamaError, MediaError
from emotion_llama.merr.inputs import find_clips
from emotion_llama.merr.records import ClipRow, StageRun, now
from emotion_llama.merr.stage import IMPORTED, INGEST, StageOutput, canonical, reason_of, sha256_of
from emotion_llama.merr.stages.sets import check_given
from emotion_llama.merr.status import PhaseTally, Progress, tally_phase
from emotion_llama.merr.store import Store
from emotion_llama.merr.store.builds import at_work
from emotion_llama.results import Missing

if TYPE_CHECKING:
    from emotion_llama.media.reader import ClipFile
    from emotion_llama.merr.recipe import IngestPart, Recipe


# A file's row, its run of this phase (done, dropped or failed), and lines for the user.
Taken = tuple[ClipRow, StageRun, tuple[str, ...]]


def ingest(
    inputs: Sequence[str | os.PathLike[str]],
    recipe: Recipe,
    *,
    known: Mapping[str, str] | None = None,
    workers: int = 1,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Taken]:
    """Every clip that `inputs` mean, by id: probed and hashed, duplicates and unreadable files with their reasons.

    Clips that are `known` (path -> id) keep their ids; `limit` takes the first files in the order of `inputs`;
    `progress` is called with the number of files done, and of all.

    Raises:
        InputError: there is nothing to take in, a manifest has mistakes, or given splits divide a person or a source.
    """
    found = find_clips(inputs, recipe, known=known or {}, limit=limit)
    done = []
    with ThreadPoolExecutor(max(1, workers)) as pool:  # hashing and decoding leave Python's lock
        try:
            for count, one in enumerate(pool.map(lambda one: take_in(one[0], one[1], recipe.ingest), found), 1):
                done.append(one)
                if progress is not None:
                    progress(count, len(found))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # whoever interrupts does not wait for the files that are left
            raise
    done.sort(key=lambda one: one[0].clip_id)
    check_given([row for row, _, _ in done])
    return list(_without_duplicates(done))


def take_in(row: ClipRow, drop: str | None, part: IngestPart) -> Taken:
    """Probe and hash the file of a row; `drop` says why it is no clip though it can be read."""
    from emotion_llama.media.probe import open_clip

    named = Path(row.path or "")
    # Bytes of a name that are no text are escaped, and the clip fails by that.
    row = replace(row, path=str(named).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    warnings: list[str] = []
    try:
        if row.path != str(named):
            raise MediaError(row.path or "", "its name is no UTF-8 text", "rename the file")
        with open_clip(named, warn=warnings.append) as file:
            clip = file.clip
            frame_count = None if clip.video is None else count_pictures(file)
            if part.sidecars and row.given_subtitle is None:
                row = _with_words(row, file, part.encoding, warnings)
    except EmotionLlamaError as error:
        return row, _run(row, "failed", reason_of(error, row.path)), tuple(warnings)
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
    return row, _run(row, "done" if drop is None else "dropped", drop), tuple(warnings)


def _run(row: ClipRow, status: Literal["done", "dropped", "failed"], reason: str | None) -> StageRun:
    facts = {name: value for name, value in vars(row).items() if name != "path"}
    sha256 = sha256_of(canonical([INGEST, facts]))
    output, scope = None if status == "failed" else sha256, "all" if status == "dropped" else None
    return StageRun(row.clip_id, INGEST, status, sha256, output, reason, scope, finished_at=now())  # type: ignore[arg-type]


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


def _without_duplicates(done: Sequence[Taken]) -> Iterator[Taken]:
    """Of files with the same bytes the first by id stays; one with a given label goes before others."""
    first: dict[str | None, str] = {}
    whole = [row for row, run, _ in done if run.status == "done"]
    for row in sorted(whole, key=lambda row: (row.given_label is None, row.clip_id)):
        first.setdefault(row.sha256, row.clip_id)
    for row, run, warnings in done:
        if run.status == "done" and (keeper := first[row.sha256]) != row.clip_id:
            run = _run(row, "dropped", f"same bytes as another clip: {keeper}")
        yield row, run, warnings


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
        ids, beyond = {row.clip_id for row, _, _ in found}, frozenset[str]()
        if limit is not None:
            beyond = frozenset(row.clip_id for row, _ in find_clips(inputs, recipe, known=known)) - ids
        fresh = _put(store, found, beyond)
        warnings = [f"{row.clip_id}: {text}" for row, _, texts in found for text in texts]
        for warning in warnings[:_MAX_WARNINGS]:
            progress.say(warning)
        if len(warnings) > _MAX_WARNINGS:
            progress.say(f"... and {len(warnings) - _MAX_WARNINGS} more of this kind")
    progress.end()
    return tally_phase(INGEST, store.runs(INGEST), fresh, wall_seconds=time.perf_counter() - begun)


def _put(store: Store, found: Sequence[Taken], beyond: Set[str]) -> frozenset[str]:
    stated = {row.clip_id: row.stated_frame_count for row in store.all_clips()}  # by an import: not in the file
    with store.transaction():
        before = store.run_states(INGEST, set_aside=True)
        store.put_clips(
            row if row.stated_frame_count is not None else replace(row, stated_frame_count=stated.get(row.clip_id))
            for row, _, _ in found
        )
        ids = {row.clip_id for row, _, _ in found}
        left = [c for c, run in before.items() if c not in ids and not run.fingerprint.startswith(IMPORTED)]
        # What could not be read, and was perhaps only misspelt, never was a clip: nothing of it is worth keeping.
        store.remove([clip_id for clip_id in left if before[clip_id].status == "failed"])
        store.set_aside([clip_id for clip_id in left if clip_id in beyond], BEYOND_LIMIT)
        store.set_aside([clip_id for clip_id in left if clip_id not in beyond], GONE)
        facts = attrgetter("status", "fingerprint", "scope")
        known = {clip_id: facts(run) for clip_id, run in before.items()}
        fresh = [run for _, run, _ in found if run.status == "failed" or facts(run) != known.get(run.clip_id)]
        store.record_many([(run, None if run.status == "failed" else StageOutput()) for run in fresh])
    return frozenset(run.clip_id for run in fresh)
