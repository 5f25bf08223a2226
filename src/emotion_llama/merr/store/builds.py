"""One build at a time in a folder: a lock file that dies with its process, and the log of all builds in the ledger."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.files import try_lock
from emotion_llama.merr.records import now
from emotion_llama.merr.store.ledger import Ledger

LOCK_NAME = ".merr.lock"
_TRIES, _PAUSE_SECONDS = 20, 0.05  # `is_building` holds the lock for an instant as well


@dataclass(frozen=True)
class Build:
    """A line of the log: a process that builds, or has built."""

    id: int  # runs that the build made carry it as their `session`
    plan: str  # what it builds: recipe, inputs, limit
    # host, pid: the process
    host: str
    pid: int
    # engine, workers: how it works
    engine: str
    workers: int
    # began_at, ended_at: UTC; `ended_at` is None while it runs, and when it was killed
    began_at: str
    ended_at: str | None = None
    # "done", "interrupted", "failed" or "died"; None while it runs, or where it died lately
    how_ended: str | None = None
    phase: str | None = None  # the stage it is at
    running: int = 0  # clips of that stage in work


_COLUMNS = ", ".join(field.name for field in fields(Build))


def builds(ledger: Ledger) -> list[Build]:
    """Every build that ever began here, oldest first."""
    return [Build(*row) for row in ledger.query(f"SELECT {_COLUMNS} FROM builds ORDER BY id")]  # noqa: S608


@contextmanager
def building(
    ledger: Ledger, plan: str, *, engine: str, workers: int, interrupted: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold the folder's lock and keep the log until the end of the block; `ledger.session` is then the build's id.

    The system lets go of the lock when its process ends, however it ends, so that a killed build holds up no other.

    Raises:
        InputError: another build is running in the folder.
    """
    holder = f"pid {os.getpid()} on {platform.node()}, since {now()}: {plan}"
    with _locked(ledger.folder, holder):
        with ledger.transaction() as db:
            db.execute("UPDATE builds SET how_ended = 'died', phase = NULL, running = 0 WHERE how_ended IS NULL")
            values = (plan, platform.node(), os.getpid(), engine, workers, now())
            sql = "INSERT INTO builds (plan, host, pid, engine, workers, began_at) VALUES (?, ?, ?, ?, ?, ?)"
            ledger.session = int(db.execute(sql, values).lastrowid or 0)
        how = "failed"
        try:
            yield
            how = "interrupted" if interrupted() else "done"
        except KeyboardInterrupt:
            how = "interrupted"
            raise
        finally:
            with ledger.transaction() as db:
                sql = "UPDATE builds SET ended_at = ?, how_ended = ?, phase = NULL, running = 0 WHERE id = ?"
                db.execute(sql, (now(), how, ledger.session))


def at_work(ledger: Ledger, phase: str, running: int) -> None:
    """Log where the build is, and how many clips are in work."""
    with ledger.transaction() as db:
        db.execute("UPDATE builds SET phase = ?, running = ? WHERE id = ?", (phase, running, ledger.session))


def is_building(folder: Path) -> bool:
    """Whether a build is running in the folder."""
    path = folder / LOCK_NAME
    if not path.exists():
        return False
    with path.open("rb") as file:
        return not try_lock(file, shared=True)


@contextmanager
def _locked(folder: Path, holder: str) -> Iterator[None]:
    with (folder / LOCK_NAME).open("a+", encoding="utf-8") as file:
        for _ in range(_TRIES):
            if try_lock(file):
                break
            time.sleep(_PAUSE_SECONDS)
        else:
            file.seek(0)
            raise InputError(
                f"{folder}: another build is running there ({file.read().strip() or 'it has just begun'}); wait for "
                "it, stop it, or give another --out"
            )
        file.truncate(0)
        file.write(holder)
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
