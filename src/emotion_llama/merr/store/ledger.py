"""A build's ledger: one SQLite file in WAL mode, its tables, transactions and snapshots, the recipe in force.

Version 3; a ledger of another version is refused:

- `clips`: what the build is made of. `here` = 0: set aside by the last build (file gone, beyond the limit).
- `runs`: one row a clip and stage, the last one. `current` = 0: kept, but not of recipe and inputs in force; nothing
  that reads the build sees it, and a build takes it back when it fits again. `session`: id of the build that made it.
- `fields`, `artifacts`: what a run has put out; they go with their run.
- `failures`: every failure ever recorded, with its reason; `builds`: the log of builds (see `builds.py`).
- `stages`, `meta`: the phases of the recipe in force; the recipe itself.
- `reviews`: what people decided, one row a decision; none is ever changed or taken away, not even with its clip.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from emotion_llama.errors import BackendError, InputError
from emotion_llama.files import write_whole
from emotion_llama.merr.store.artifacts import ArtifactFolder

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

Row: TypeAlias = tuple[Any, ...]  # as SQLite gives it
Own = TypeVar("Own", bound="Ledger")
RECIPE_NAME = "recipe.yaml"
LEDGER_NAME = "merr.sqlite"
VERSION = 3
APPLICATION_ID = 0x4D455252  # "MERR": tells this file from other SQLite files
BUSY_SECONDS = 60.0  # how long a writer waits for another's transaction; each takes milliseconds

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE stages (
    name TEXT PRIMARY KEY, position INTEGER NOT NULL, needs TEXT NOT NULL, pool TEXT NOT NULL, version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE clips (
    clip_id TEXT PRIMARY KEY, path, sha256 TEXT, frame_count INTEGER, duration_seconds REAL, fps REAL,
    width INTEGER, height INTEGER, has_audio INTEGER, source TEXT, person TEXT,
    given_label TEXT, given_subtitle TEXT, subtitle_source TEXT, subtitle_language TEXT, given_split TEXT,
    stated_frame_count INTEGER,
    here INTEGER NOT NULL DEFAULT 1, why_left TEXT
) WITHOUT ROWID;
CREATE TABLE runs (
    clip_id TEXT NOT NULL REFERENCES clips ON DELETE CASCADE, stage TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('done', 'dropped', 'failed')),
    fingerprint TEXT NOT NULL, output_sha256 TEXT, reason TEXT, scope TEXT CHECK (scope IN ('all', 'fine')),
    seconds REAL NOT NULL, finished_at TEXT NOT NULL, attempts INTEGER NOT NULL,
    current INTEGER NOT NULL DEFAULT 1, session INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (clip_id, stage)
) WITHOUT ROWID;
CREATE INDEX runs_by_stage ON runs (stage, current, status);
CREATE TABLE fields (
    clip_id TEXT NOT NULL, stage TEXT NOT NULL, name TEXT NOT NULL, language TEXT NOT NULL,
    value TEXT, why_missing TEXT, provenance TEXT NOT NULL,
    PRIMARY KEY (clip_id, stage, name, language),
    FOREIGN KEY (clip_id, stage) REFERENCES runs ON DELETE CASCADE,
    CHECK ((value IS NULL) <> (why_missing IS NULL))
) WITHOUT ROWID;
CREATE TABLE artifacts (
    clip_id TEXT NOT NULL, stage TEXT NOT NULL, name TEXT NOT NULL,
    sha256 TEXT NOT NULL, suffix TEXT NOT NULL, num_bytes INTEGER NOT NULL,
    PRIMARY KEY (clip_id, stage, name),
    FOREIGN KEY (clip_id, stage) REFERENCES runs ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE failures (
    id INTEGER PRIMARY KEY, clip_id TEXT NOT NULL REFERENCES clips ON DELETE CASCADE, stage TEXT NOT NULL,
    fingerprint TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL, failed_at TEXT NOT NULL
);
CREATE INDEX failures_by_clip ON failures (clip_id, stage);
CREATE TABLE builds (
    id INTEGER PRIMARY KEY, plan TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
    engine TEXT NOT NULL, workers INTEGER NOT NULL, began_at TEXT NOT NULL, ended_at TEXT, how_ended TEXT,
    phase TEXT, running INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE reviews (
    id INTEGER PRIMARY KEY, clip_id TEXT NOT NULL, reviewer TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('accept', 'fix', 'reject', 'withdraw')),
    stars INTEGER CHECK (stars BETWEEN 1 AND 5), comment TEXT NOT NULL,
    fixes TEXT NOT NULL, seen TEXT NOT NULL, reviewed_at TEXT NOT NULL
);
CREATE INDEX reviews_by_clip ON reviews (clip_id, reviewer);
"""


class Ledger:
    """The ledger in a build's folder; a context manager, of the thread that opened it."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.artifacts = ArtifactFolder(folder)
        self.session = 0  # id of the build that writes; see builds.py
        self._db = connection

    @classmethod
    def create(cls: type[Own], folder: Path) -> Own:
        """The build in `folder`, which is made when it is not there yet.

        Raises:
            InputError: the folder cannot be used: other things are in it, it is damaged, or another version's.
        """
        _create(folder)
        return cls.open(folder)

    @classmethod
    def open(cls: type[Own], folder: Path, *, read_only: bool = False) -> Own:
        """The build in `folder`; InputError where it is no build, damaged, or another version's."""
        return cls(folder, _connect(folder, read_only=read_only))

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger; what was recorded is on disk already."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and no other process writes meanwhile; one within another is part of it.

        Raises:
            BackendError: the ledger cannot be written: locked, a full disk, damage.
        """
        if self._db.in_transaction:
            yield self._db
            return
        try:
            with _whole(self._db, "IMMEDIATE"):
                yield self._db
        except sqlite3.Error as error:
            raise _refusal(self.folder / LEDGER_NAME, error) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read within is of one moment, whatever a build writes meanwhile."""
        if self._db.in_transaction:
            yield
            return
        self.query("BEGIN")
        try:
            yield
        finally:
            self._db.rollback()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Rows of a SELECT; BackendError where the ledger cannot be read."""
        try:
            return self._db.execute(sql, tuple(parameters)).fetchall()
        except sqlite3.Error as error:
            raise _refusal(self.folder / LEDGER_NAME, error) from error

    # --- the recipe and its phases

    @property
    def recipe(self) -> Recipe | None:
        """The recipe in force; None before the first build.

        Raises:
            InputError: another version wrote it, with choices that this one does not know.
        """
        from emotion_llama.merr.recipe import Recipe

        rows = self.query("SELECT value FROM meta WHERE key = 'recipe'")
        try:
            return Recipe.model_validate_json(rows[0][0]) if rows else None
        except ValueError as error:
            raise InputError(
                f"{self.folder}: this version does not understand the build's recipe; build it again with a recipe of "
                f"this version ({error})"
            ) from None

    def put_recipe(self, recipe: Recipe) -> None:
        """Put a recipe in force, and write it out as recipe.yaml."""
        from emotion_llama.merr.recipe import recipe_yaml

        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('recipe', ?)", (recipe.model_dump_json(),))
        try:
            write_whole(self.folder / RECIPE_NAME, recipe_yaml(recipe))
        except InputError as error:
            raise BackendError(f"{error}; set the folder's rights right") from error

    def stages(self) -> list[tuple[str, tuple[str, ...], str, int]]:
        """The phases of the recipe in force, in their order: name, names of those needed, pool, version."""
        rows = self.query("SELECT name, needs, pool, version FROM stages ORDER BY position")
        return [(name, tuple(needs.split()), pool, version) for name, needs, pool, version in rows]

    def put_stages(self, stages: Sequence[tuple[str, Sequence[str], str, int]]) -> None:
        """Put phases in force."""
        with self.transaction() as db:
            db.execute("DELETE FROM stages")
            db.executemany(
                "INSERT INTO stages VALUES (?, ?, ?, ?, ?)",
                [(name, i, " ".join(needs), pool, version) for i, (name, needs, pool, version) in enumerate(stages)],
            )


# --- opening ----------------------------------------------------------------------------------------------------------


def _create(folder: Path) -> None:
    path = folder / LEDGER_NAME
    if path.exists() and path.stat().st_size:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted(p.name for p in folder.iterdir() if not p.name.startswith((".", LEDGER_NAME)))
    except OSError as error:
        raise InputError(f"{folder} cannot be used as a build's folder ({error.strerror}); give another one") from error
    if strangers:
        raise InputError(
            f"{folder} is no build and not empty ({strangers[0]} is in it); give a new or empty folder for the build"
        )
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)) as connection:
            _make_tables(connection)
    except sqlite3.Error as error:
        raise InputError(f"{path} cannot be written ({error}); give another folder") from error


def _make_tables(connection: sqlite3.Connection) -> None:
    with _whole(connection, "EXCLUSIVE"):
        if not _version(connection):  # else another process was quicker
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={VERSION}")


@contextmanager
def _whole(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    """One transaction: a process killed within it leaves what was there before, an empty file perhaps."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _connect(folder: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to the ledger in `folder`, checked; autocommit, so that every transaction is written out."""
    path = folder / LEDGER_NAME
    if not path.is_file() or not path.stat().st_size:
        raise InputError(f"{folder} is no build: it holds no {LEDGER_NAME}; make one with: emotion-llama merr build")
    try:
        connection = sqlite3.connect(_uri(path, read_only), uri=True, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            _check(connection, path)
            if not read_only:
                _write_ahead(connection)
                # A crash of the machine may cost the last results, never the ledger; one of the process costs nothing.
                connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path} cannot be read as a build's ledger ({error}); is it damaged, or not ours?") from error
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Put the ledger in WAL mode, once for all; SQLite does not wait for others here by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < deadline:
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")
            return
        time.sleep(0.02)
    connection.execute("PRAGMA journal_mode=WAL")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _uri(path: Path, read_only: bool) -> str:
    mode = "ro" if read_only else "rw"
    # SQLite cannot read a WAL file's database where it may not write beside it, unless it is opened as immutable.
    alone = read_only and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    return f"{path.absolute().as_uri()}?mode={mode}" + ("&immutable=1" if alone else "")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise InputError(f"{path} is a SQLite file, but no ledger of a build; give the folder of a build")
    if (version := _version(connection)) != VERSION:
        todo = "upgrade emotion-llama" if version > VERSION else "build again in another folder"
        raise InputError(f"{path} has ledger version {version}, this emotion-llama reads version {VERSION}; {todo}")


def _refusal(path: Path, error: sqlite3.Error) -> BackendError:
    text = str(error)
    if "locked" in text:
        return BackendError(f"{path} was locked for {BUSY_SECONDS:.0f} s; is another program holding it open?")
    if "full" in text:
        return BackendError(f"{path}: the disk is full; make room and run the same command again, nothing is lost")
    return BackendError(f"{path}: {text}; run the same command again, what is recorded is kept")
