"""Who works on what: builders that are alive, their leases, and claims of clips, so that builds share the work.

Builds of one folder that run at once and have the same plan (recipe, inputs, limit) are one session: what one of them
has claimed the others leave, what failed in the session is not tried again in it. A build with another plan is refused
while one is alive. A builder is alive while its process is (seen from the same machine) or while its last sign of life
is younger than the lease (seen from elsewhere).
"""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.merr.ledger import Ledger

LEASE_SECONDS = 60.0
HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True)
class Builder:
    """A process that builds, or has built.

    Attributes:
        id, session: of this process, and of the builds that began while one of them was alive.
        plan: what it builds, in words: recipe, inputs, limit.
        host, pid, process_start: which process it is.
        engine, workers: how it works.
        began_at, ended_at: UTC; `ended_at` is None while it runs, and when it was killed.
        how_ended: "done", "interrupted", "failed" or "died"; None while it runs.
        heartbeat: Unix time of its last sign of life.
        phase: the stage it is at.
    """

    id: int
    session: int
    plan: str
    host: str
    pid: int
    process_start: str
    engine: str
    workers: int
    began_at: str
    heartbeat: float
    ended_at: str | None
    how_ended: str | None
    phase: str | None

    @property
    def is_alive(self) -> bool:
        """Whether it still runs, as far as can be seen from here."""
        if self.ended_at is not None:
            return False
        if self.host == host_name():
            return process_start(self.pid) == self.process_start
        return time.time() - self.heartbeat < LEASE_SECONDS

    @property
    def name(self) -> str:
        """`pid 4711 on this machine`."""
        where = "this machine" if self.host == host_name() else self.host.split("/")[0]
        return f"pid {self.pid} on {where}"


_COLUMNS = ", ".join(Builder.__dataclass_fields__)


def builders(ledger: Ledger) -> list[Builder]:
    """Every build that ever began here, oldest first."""
    return [Builder(*row) for row in ledger.query(f"SELECT {_COLUMNS} FROM builders ORDER BY id")]  # noqa: S608


def live_builders(ledger: Ledger) -> list[Builder]:
    """Those that run now."""
    rows = ledger.query(f"SELECT {_COLUMNS} FROM builders WHERE ended_at IS NULL ORDER BY id")  # noqa: S608
    return [builder for builder in (Builder(*row) for row in rows) if builder.is_alive]


class Claims:
    """The claims of one builder; see `building`."""

    def __init__(self, ledger: Ledger, builder: int, session: int) -> None:
        self.builder = builder
        self.session = session
        self.was_interrupted = False
        self._ledger = ledger

    def take(self, stage: str, fingerprints: Mapping[str, str]) -> list[str]:
        """Claim clips for a stage; returns those that were free and are still to be done, in their order.

        Args:
            stage: its name.
            fingerprints: clip -> fingerprint of the run it is claimed for.
        """
        at = now()
        with self._ledger.transaction() as db:
            self._release_dead(db)
            taken = []
            for clip_id, fingerprint in fingerprints.items():
                done = db.execute(
                    "SELECT 1 FROM runs WHERE (clip_id, stage, fingerprint, current) = (?, ?, ?, 1) "
                    "AND (status <> 'failed' OR session = ?)",
                    (clip_id, stage, fingerprint, self.session),
                ).fetchone()
                values = (clip_id, stage, self.builder, at)
                if done is None and db.execute("INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)", values).rowcount:
                    taken.append(clip_id)
            return taken

    def taken_by_others(self, stage: str) -> frozenset[str]:
        """Clips of a stage that another live builder works on."""
        with self._ledger.transaction() as db:
            self._release_dead(db)
            sql = "SELECT clip_id FROM claims WHERE stage = ? AND builder <> ?"
            return frozenset(row[0] for row in db.execute(sql, (stage, self.builder)))

    def release(self) -> None:
        """Give back every claim of this builder that is left."""
        with self._ledger.transaction() as db:
            db.execute("DELETE FROM claims WHERE builder = ?", (self.builder,))

    def is_alone(self) -> bool:
        """Whether no other builder is alive."""
        return all(other.id == self.builder for other in live_builders(self._ledger))

    def enter_phase(self, stage: str) -> None:
        """Say where this builder is."""
        with self._ledger.transaction() as db:
            db.execute("UPDATE builders SET phase = ? WHERE id = ?", (stage, self.builder))

    def _release_dead(self, db: sqlite3.Connection) -> None:
        """Claims of processes that died are free at once."""
        rows = db.execute(
            f"SELECT {_COLUMNS} FROM builders WHERE id IN (SELECT builder FROM claims) AND id <> ?",  # noqa: S608
            (self.builder,),
        )
        dead = [(b.id,) for b in (Builder(*row) for row in rows.fetchall()) if not b.is_alive]
        db.executemany("DELETE FROM claims WHERE builder = ?", dead)


@contextmanager
def building(ledger: Ledger, plan: str, plan_sha256: str, *, engine: str, workers: int) -> Iterator[Claims]:
    """Register this process as a builder, alive until the end of the block.

    Args:
        ledger: of the build.
        plan: what is built, in words, for the log and for who is refused.
        plan_sha256: builders of the same session must have the same.
        engine: for the log.
        workers: likewise.

    Raises:
        InputError: a build with another plan is alive.
    """
    claims = _register(ledger, plan, plan_sha256, engine, workers)
    ledger.session = claims.session
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(ledger.folder, claims.builder, stop), name="merr-heart", daemon=True)
    heart.start()
    how = "failed"
    try:
        yield claims
        how = "interrupted" if claims.was_interrupted else "done"
    except KeyboardInterrupt:
        how = "interrupted"
        raise
    finally:
        stop.set()
        heart.join()
        claims.release()
        with ledger.transaction() as db:
            sql = "UPDATE builders SET ended_at = ?, how_ended = ?, phase = NULL WHERE id = ?"
            db.execute(sql, (now(), how, claims.builder))


def _register(ledger: Ledger, plan: str, plan_sha256: str, engine: str, workers: int) -> Claims:
    with ledger.transaction() as db:
        alive = live_builders(ledger)
        for other in alive:
            other_sha256 = db.execute("SELECT plan_sha256 FROM builders WHERE id = ?", (other.id,)).fetchone()[0]
            if other_sha256 != plan_sha256:
                raise InputError(
                    f"{ledger.folder}: another build is running ({other.name}, since {other.began_at}: {other.plan}); "
                    f"this one is: {plan}. Wait for it, stop it, or give another --out"
                )
        dead = [(b.id,) for b in builders(ledger) if b.ended_at is None and b not in alive]
        last_sign = "strftime('%Y-%m-%dT%H:%M:%S+00:00', heartbeat, 'unixepoch')"
        db.executemany(f"UPDATE builders SET how_ended = 'died', ended_at = {last_sign} WHERE id = ?", dead)  # noqa: S608
        db.executemany("DELETE FROM claims WHERE builder = ?", dead)
        pid = os.getpid()
        values = (plan_sha256, plan, host_name(), pid, process_start(pid), engine, workers, now(), time.time())
        cursor = db.execute(
            "INSERT INTO builders (session, plan_sha256, plan, host, pid, process_start, engine, workers, began_at, "
            "heartbeat) VALUES (0, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        builder = int(cursor.lastrowid or 0)
        session = alive[0].session if alive else builder
        db.execute("UPDATE builders SET session = ? WHERE id = ?", (session, builder))
    return Claims(ledger, builder, session)


def _beat(folder: Path, builder: int, stop: threading.Event) -> None:
    """Signs of life from a thread with a connection of its own."""
    while not stop.wait(HEARTBEAT_SECONDS):
        # A beat that is missed for a full disk or a long transaction is no reason to end the build.
        with suppress(EmotionLlamaError), Ledger.open(folder) as ledger, ledger.transaction() as db:
            db.execute("UPDATE builders SET heartbeat = ? WHERE id = ?", (time.time(), builder))


def now() -> str:
    """UTC, ISO 8601 with seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def host_name() -> str:
    """The machine: its name, its boot, and the space of its process ids (containers have their own)."""
    parts = [platform.node() or "unknown"]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115  (no path)
    return "/".join(parts)


def process_start(pid: int) -> str | None:
    """When the process began, so that another one with its number is not taken for it; None when there is none."""
    try:
        # Field 22, counted behind the name in brackets, which may hold anything (proc(5)).
        behind = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if behind[0] in "ZX" else behind[19]
    except OSError:
        return None if Path("/proc/self/stat").exists() else _start_by_ps(pid)


def _start_by_ps(pid: int) -> str | None:
    """The same where there is no /proc (macOS)."""
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.strip() or None
