"""A build's ledger: transactions, snapshots, the recipe in force and its phases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from emotion_llama.errors import BackendError, InputError
from emotion_llama.files import write_whole
from emotion_llama.merr.store import schema
from emotion_llama.merr.store.artifacts import ArtifactFolder
from emotion_llama.merr.store.rows import Row

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

RECIPE_NAME = "recipe.yaml"
Own = TypeVar("Own", bound="Ledger")


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
            InputError: the folder cannot be used: other things are in it, it is damaged, or a newer version's.
        """
        schema.create(folder)
        return cls.open(folder)

    @classmethod
    def open(cls: type[Own], folder: Path, *, read_only: bool = False) -> Own:
        """The build in `folder`.

        Raises:
            InputError: it is no build, damaged, or a newer version's.
        """
        return cls(folder, schema.connect(folder, read_only=read_only))

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
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()
                raise
        except sqlite3.Error as error:
            raise schema.refusal(self.folder / schema.LEDGER_NAME, error) from error

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
        """Rows of a SELECT.

        Raises:
            BackendError: the ledger cannot be read.
        """
        try:
            return self._db.execute(sql, tuple(parameters)).fetchall()
        except sqlite3.Error as error:
            raise schema.refusal(self.folder / schema.LEDGER_NAME, error) from error

    # --- the recipe and its phases

    @property
    def recipe(self) -> Recipe | None:
        """The recipe in force; None before the first build.

        Raises:
            InputError: another version wrote it, with choices that this one does not know.
        """
        from emotion_llama.merr.recipe import Recipe

        text = self.meta("recipe")
        try:
            return None if text is None else Recipe.model_validate_json(text)
        except ValueError as error:
            raise InputError(
                f"{self.folder}: this version does not understand the build's recipe; build it again with a recipe of "
                f"this version ({error})"
            ) from None

    def put_recipe(self, recipe: Recipe) -> None:
        """Put a recipe in force, and write it out as recipe.yaml."""
        from emotion_llama.merr.recipe import recipe_yaml

        self.put_meta("recipe", recipe.model_dump_json())
        try:
            write_whole(self.folder / RECIPE_NAME, recipe_yaml(recipe))
        except InputError as error:
            raise BackendError(f"{error}; set the folder's rights right") from error

    def meta(self, key: str) -> str | None:
        """A text kept under `key`."""
        rows = self.query("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def put_meta(self, key: str, value: str) -> None:
        """Keep a text under `key`."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

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
