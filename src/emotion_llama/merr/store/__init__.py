"""Store: a build's folder, read and written; every result is one transaction, whole or not there.

One build writes (see `builds.py`); imports and reviewers may write beside it, any number may read meanwhile, and none
waits for a reader. A Store belongs to the thread that opened it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Literal

from emotion_llama.errors import BackendError, InputError
from emotion_llama.merr.records import ClipRow, Field, Provenance, Sample, StageRun
from emotion_llama.merr.stage import IMPORTED, StageInput, StageOutput, canonical
from emotion_llama.merr.store.ledger import Ledger, Row

SampleScope = Literal["coarse", "fine", "all"]
_CHUNK = 200  # clips that are read together

CLIP_COLUMNS = tuple(f.name for f in fields(ClipRow))
RUN_COLUMNS = tuple(f.name for f in fields(StageRun))
FIELD_COLUMNS = ("name", "language", "value", "why_missing", "provenance")
_CLIPS, _RUNS = ", ".join(CLIP_COLUMNS), ", ".join(RUN_COLUMNS)
_FIELDS = ", ".join(f"f.{name}" for name in FIELD_COLUMNS)
_OF_CURRENT_RUN = "JOIN runs r ON r.clip_id = f.clip_id AND r.stage = f.stage AND r.current = 1"
_LISTED = "(SELECT value FROM json_each(?))"
_HAS_FIELD = (
    f"EXISTS (SELECT 1 FROM fields f {_OF_CURRENT_RUN} "  # noqa: S608  (constants)
    "WHERE f.clip_id = c.clip_id AND f.name = '{}' AND f.value IS NOT NULL)"
)
_NOT_DROPPED = (
    "NOT EXISTS (SELECT 1 FROM runs d WHERE d.clip_id = c.clip_id AND d.current = 1 AND d.status = 'dropped'{})"
)
# Coarse: not dropped from the whole set, with a coarse caption; fine: of these, not dropped at all, with a fine one.
_SCOPES: Mapping[str, str] = {
    "all": "1",
    "coarse": _NOT_DROPPED.format(" AND d.scope = 'all'") + " AND " + _HAS_FIELD.format("coarse_caption"),
    "fine": " AND ".join([_NOT_DROPPED.format(""), *map(_HAS_FIELD.format, ("coarse_caption", "fine_caption"))]),
}


class LostArtifact(BackendError):
    """The file of an artifact is gone, or is not what was put there."""

    def __init__(self, clip_id: str, stage: str, name: str, sha256: str, suffix: str) -> None:
        self.clip_id = clip_id
        self.stage = stage
        self.name = name
        self.sha256 = sha256
        self.suffix = suffix
        super().__init__(f"{clip_id}: the file of {name!r} is gone or damaged; the next build makes it again")


class Store(Ledger):
    """A build's folder. Use `Store.create` or `Store.open`; it is a context manager."""

    # --- clips

    def clips(self) -> list[ClipRow]:
        """The clips of the build, by id; not those set aside."""
        return [_clip_from_row(row) for row in self.query(f"SELECT {_CLIPS} FROM clips WHERE here ORDER BY clip_id")]  # noqa: S608

    def all_clips(self) -> list[ClipRow]:
        """The same with those set aside."""
        return [_clip_from_row(row) for row in self.query(f"SELECT {_CLIPS} FROM clips ORDER BY clip_id")]  # noqa: S608

    def clip(self, clip_id: str) -> ClipRow:
        """One clip, set aside or not; InputError where the build has none of this id."""
        rows = self.query(f"SELECT {_CLIPS} FROM clips WHERE clip_id = ?", (clip_id,))  # noqa: S608
        if not rows:
            raise InputError(f"{self.folder} has no clip {clip_id!r}; `emotion-llama merr status` counts what it has")
        return _clip_from_row(rows[0])

    def put_clips(self, rows: Iterable[ClipRow]) -> None:
        """Add clips, or change what is known of them; they are in the build from now on."""
        names = ", ".join(f"{name} = excluded.{name}" for name in CLIP_COLUMNS[1:])
        marks = ", ".join("?" * len(CLIP_COLUMNS))
        with self.transaction() as db:
            db.executemany(
                f"INSERT INTO clips ({_CLIPS}) VALUES ({marks}) "  # noqa: S608  (constants)
                f"ON CONFLICT (clip_id) DO UPDATE SET {names}, here = 1, why_left = NULL",
                [tuple(vars(row).values()) for row in rows],
            )

    def set_aside(self, clip_ids: Iterable[str], why: str) -> None:
        """Take clips out of the build; what was made of them is kept, for when they come back."""
        with self.transaction() as db:
            db.executemany("UPDATE clips SET here = 0, why_left = ? WHERE clip_id = ?", [(why, c) for c in clip_ids])

    def remove(self, clip_ids: Iterable[str]) -> None:
        """Take clips out of the ledger, with everything that was recorded of them."""
        with self.transaction() as db:
            db.executemany("DELETE FROM clips WHERE clip_id = ?", [(clip_id,) for clip_id in clip_ids])

    # --- runs

    def record(self, run: StageRun, output: StageOutput | None) -> None:
        """Record one result; `record_many` does several in one transaction."""
        self.record_many([(run, output)])

    def record_many(self, results: Sequence[tuple[StageRun, StageOutput | None]]) -> None:
        """Record results: each one's run, fields and artifacts, in place of what was there; all in one transaction.

        Raises:
            BackendError: they cannot be written.
        """
        # Files first: a row never names a file that is not there. A file without a row is pruned some day.
        files = [[self._put_file(*file) for file in out.artifacts.items()] if out else [] for _, out in results]
        with self.transaction() as db:
            for (run, output), made in zip(results, files, strict=True):
                self._record(db, run, output, made)

    def _put_file(self, file_name: str, data: bytes) -> Row:
        name, dot, suffix = file_name.partition(".")
        return name, self.artifacts.put(data, dot + suffix), dot + suffix, len(data)

    def _record(self, db: sqlite3.Connection, run: StageRun, output: StageOutput | None, files: list[Row]) -> None:
        key = (run.clip_id, run.stage)
        old = db.execute("SELECT fingerprint, attempts FROM runs WHERE (clip_id, stage) = (?, ?)", key).fetchone()
        attempts = old[1] + 1 if old is not None and old[0] == run.fingerprint else 1
        # Half characters (of broken replies and file names) are written out, so that it is valid UTF-8.
        reason = None if run.reason is None else run.reason.encode("utf-8", "backslashreplace").decode("utf-8")
        made = (run.fingerprint, run.output_sha256, reason, run.scope, run.seconds, run.finished_at, attempts)
        db.execute("DELETE FROM runs WHERE (clip_id, stage) = (?, ?)", key)  # fields and artifacts go with it
        marks = ", ".join("?" * len(RUN_COLUMNS))
        db.execute(f"INSERT INTO runs ({_RUNS}) VALUES ({marks})", (*key, run.status, *made, 1, self.session))  # noqa: S608
        if run.status == "failed":
            db.execute(
                "INSERT INTO failures (clip_id, stage, fingerprint, reason, seconds, failed_at) VALUES (?,?,?,?,?,?)",
                (*key, run.fingerprint, reason, run.seconds, run.finished_at),
            )
        if output is not None:
            db.executemany(
                "INSERT INTO fields VALUES (?, ?, ?, ?, ?, ?, ?)", [(*key, *_field_to_row(f)) for f in output.fields]
            )
            db.executemany("INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, ?)", [(*key, *file) for file in files])

    def runs(self, stage: str | None = None) -> list[StageRun]:
        """Runs of one stage, or of all, that hold for the recipe and clips in force; by clip."""
        rows = self.query(
            f"SELECT {_RUNS} FROM runs WHERE current = 1 AND (? IS NULL OR stage = ?) "  # noqa: S608
            "AND clip_id IN (SELECT clip_id FROM clips WHERE here) ORDER BY clip_id, stage",
            (stage, stage),
        )
        return [_run_from_row(row) for row in rows]

    def run_states(self, stage: str, *, set_aside: bool = False) -> dict[str, StageRun]:
        """Clip -> the run of a stage, current or not; with `set_aside` also of clips that are not in the build now."""
        rows = self.query(
            f"SELECT {_RUNS} FROM runs WHERE stage = ? "  # noqa: S608
            "AND (? OR clip_id IN (SELECT clip_id FROM clips WHERE here))",
            (stage, set_aside),
        )
        return {row[0]: _run_from_row(row) for row in rows}

    def mark(self, stage: str, clip_ids: Iterable[str], *, current: bool) -> None:
        """Say of runs that they hold, or that they are set aside."""
        with self.transaction() as db:
            sql = "UPDATE runs SET current = ? WHERE clip_id = ? AND stage = ?"
            db.executemany(sql, [(int(current), clip_id, stage) for clip_id in clip_ids])

    def failures(self) -> list[StageRun]:
        """Every failure that was ever recorded of the clips in the build, oldest first.

        `current` says that it is still open: the clip's last run of this stage.
        """
        rows = self.query(
            "SELECT f.clip_id, f.stage, f.fingerprint, f.reason, f.seconds, f.failed_at, "
            "coalesce(r.status = 'failed' AND r.finished_at = f.failed_at AND r.current, 0) "
            "FROM failures f JOIN clips c USING (clip_id) LEFT JOIN runs r USING (clip_id, stage) "
            "WHERE c.here ORDER BY f.id"
        )
        return [
            StageRun(
                clip_id, stage, "failed", fingerprint, None, reason,
                seconds=seconds, finished_at=at, current=bool(is_open),
            )
            for clip_id, stage, fingerprint, reason, seconds, at, is_open in rows
        ]  # fmt: skip

    # --- what was made

    def input_of(self, clip: ClipRow, needs: Sequence[str], reads_artifacts: Sequence[str] = ()) -> StageInput:
        """One clip as a stage sees it: fields and artifacts of the stages it needs, and of no other.

        Raises:
            LostArtifact: the file of one of these artifacts is gone or damaged.
        """
        stages, names = ", ".join("?" * len(needs)), ", ".join("?" * len(reads_artifacts))
        rows = self.query(
            f"SELECT {_FIELDS} FROM fields f WHERE f.clip_id = ? AND f.stage IN ({stages})",  # noqa: S608  (marks)
            (clip.clip_id, *needs),
        )
        fields = {(item.name, item.language): item for item in map(_field_from_row, rows)}
        files = self.query(
            f"SELECT stage, name, sha256, suffix FROM artifacts WHERE clip_id = ? AND stage IN ({stages}) "  # noqa: S608
            f"AND name IN ({names})",
            (clip.clip_id, *needs, *reads_artifacts),
        )
        artifacts = {}
        for stage, name, sha256, suffix in files:
            data = self.artifacts.read(sha256, suffix)
            if data is None:
                raise LostArtifact(clip.clip_id, stage, name, sha256, suffix)
            artifacts[name] = data
        return StageInput(clip, fields, artifacts)

    def artifact(self, clip_id: str, name: str) -> bytes | None:
        """An artifact's bytes; None when the clip has none of this name.

        Raises:
            LostArtifact: its file is gone or damaged.
        """
        for attempt in (1, 2):  # a build may have replaced and pruned the file between the two reads
            rows = self.query(
                f"SELECT f.stage, f.sha256, f.suffix FROM artifacts f {_OF_CURRENT_RUN} "  # noqa: S608
                "WHERE f.clip_id = ? AND f.name = ?",
                (clip_id, name),
            )
            if not rows:
                return None
            stage, sha256, suffix = rows[0]
            data = self.artifacts.read(sha256, suffix)
            if data is not None:
                return data
            if attempt == 2:
                raise LostArtifact(clip_id, stage, name, sha256, suffix)
        raise AssertionError("unreachable")

    def lost_artifacts(self) -> list[LostArtifact]:
        """Artifacts whose file is not there or not whole (by its length)."""
        rows = self.query("SELECT clip_id, stage, name, sha256, suffix, num_bytes FROM artifacts")
        return [LostArtifact(*row[:5]) for row in rows if not self.artifacts.is_there(*row[3:])]

    def forget(self, lost: LostArtifact, at: str) -> None:
        """Take away the run that made a lost artifact, so that it is made again; of an imported run only the file."""
        key = (lost.clip_id, lost.stage)
        with self.transaction() as db:
            found = db.execute("SELECT fingerprint FROM runs WHERE (clip_id, stage) = (?, ?)", key).fetchone()
            if found is None:
                return
            if found[0].startswith(IMPORTED):
                db.execute("DELETE FROM artifacts WHERE (clip_id, stage, name) = (?, ?, ?)", (*key, lost.name))
            else:
                db.execute("DELETE FROM runs WHERE (clip_id, stage) = (?, ?)", key)
            db.execute(
                "INSERT INTO failures (clip_id, stage, fingerprint, reason, seconds, failed_at) VALUES (?,?,?,?,0,?)",
                (*key, found[0], f"lost artifact: {lost.name}", at),
            )

    def prune(self) -> tuple[int, int]:
        """Take away artifact files that no run refers to; how many files and bytes are gone."""
        with self.transaction() as db:  # no build can begin meanwhile
            rows = db.execute("SELECT DISTINCT sha256, suffix FROM artifacts").fetchall()
            return self.artifacts.prune({self.artifacts.relative(*row) for row in rows})

    def sample(self, clip_id: str) -> Sample:
        """Everything known of one clip; InputError where the build has none of this id."""
        with self.snapshot():
            return next(self._samples([self.clip(clip_id)]))

    def samples(self, scope: SampleScope = "all") -> Iterator[Sample]:
        """The clips of the build by id, each with everything that holds for the recipe in force, as of one moment."""
        with Store.open(self.folder, read_only=True) as reader, reader.snapshot():
            sql = f"SELECT {_CLIPS} FROM clips c WHERE here AND {_SCOPES[scope]} ORDER BY clip_id"  # noqa: S608
            clips = [_clip_from_row(row) for row in reader.query(sql)]
            for start in range(0, len(clips), _CHUNK):
                yield from reader._samples(clips[start : start + _CHUNK])

    def clip_ids(self, scope: SampleScope = "all") -> list[str]:
        """The clips of the build, or of a part of its data set, by id."""
        sql = f"SELECT clip_id FROM clips c WHERE here AND {_SCOPES[scope]} ORDER BY clip_id"  # noqa: S608
        return [row[0] for row in self.query(sql)]

    def samples_of(self, clip_ids: Sequence[str]) -> Iterator[Sample]:
        """Samples of these ids, in their order; those that the build does not have are passed over."""
        for start in range(0, len(clip_ids), _CHUNK):
            ids = clip_ids[start : start + _CHUNK]
            sql = f"SELECT {_CLIPS} FROM clips WHERE clip_id IN {_LISTED}"  # noqa: S608
            clips = {row[0]: _clip_from_row(row) for row in self.query(sql, [json.dumps(ids)])}
            yield from self._samples([clips[clip_id] for clip_id in ids if clip_id in clips])

    def _samples(self, clips: Sequence[ClipRow]) -> Iterator[Sample]:
        by_clip: dict[str, tuple[list[Row], list[Row], list[Row]]] = {clip.clip_id: ([], [], []) for clip in clips}
        ids, of_clips = [json.dumps(list(by_clip))], f"{_OF_CURRENT_RUN} WHERE f.clip_id IN {_LISTED}"
        fields = self.query(f"SELECT f.clip_id, {_FIELDS} FROM fields f {of_clips}", ids)  # noqa: S608
        runs = self.query(f"SELECT {_RUNS} FROM runs WHERE current = 1 AND clip_id IN {_LISTED}", ids)  # noqa: S608
        files = self.query(f"SELECT f.clip_id, f.name, f.sha256, f.suffix FROM artifacts f {of_clips}", ids)  # noqa: S608
        for kind, rows in enumerate((fields, runs, files)):
            for row in rows:
                by_clip[row[0]][kind].append(row)
        for clip in clips:
            own_fields, own_runs, own_files = by_clip[clip.clip_id]
            items = [_field_from_row(row[1:]) for row in own_fields]
            yield Sample(
                clip,
                {(item.name, item.language): item for item in items},
                {row[1]: _run_from_row(row) for row in own_runs},
                {name: self.artifacts.relative(sha256, suffix) for _, name, sha256, suffix in own_files},
            )

    def count(self, scope: SampleScope = "all") -> int:
        """Number of clips of the build, or of a part of its data set."""
        sql = f"SELECT count(*) FROM clips c WHERE here AND {_SCOPES[scope]}"  # noqa: S608
        return int(self.query(sql)[0][0])

    def count_set_aside(self) -> dict[str, int]:
        """Why -> number of clips that the build knows and does not count: file gone, or beyond the limit."""
        sql = "SELECT why_left, count(*) FROM clips WHERE NOT here GROUP BY why_left ORDER BY why_left"
        return dict(self.query(sql))


# --- records as rows --------------------------------------------------------------------------------------------------


def _clip_from_row(row: Row) -> ClipRow:
    values = dict(zip(CLIP_COLUMNS, row, strict=True))
    if values["has_audio"] is not None:
        values["has_audio"] = bool(values["has_audio"])
    return ClipRow(**values)


def _run_from_row(row: Row) -> StageRun:
    values = dict(zip(RUN_COLUMNS, row, strict=True))
    return StageRun(**{**values, "current": bool(values["current"])})


def _field_to_row(item: Field) -> Row:
    value = None if item.value is None else canonical(item.value)
    return item.name, item.language, value, item.why_missing, canonical(vars(item.provenance))


def _field_from_row(row: Row) -> Field:
    name, language, value, why_missing, provenance = row
    return Field(
        name, None if value is None else json.loads(value), Provenance(**json.loads(provenance)), language, why_missing
    )
