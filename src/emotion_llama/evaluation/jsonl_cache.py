"""Rows that are kept as they come: one JSON object a line, appended whole, read again after a kill.

A line that a kill has cut off is left where it is and does not count. Several processes write to files of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from emotion_llama.errors import InputError


class JsonlCache:
    """Values by key in the files of one folder that begin with `stem`; the last one of a key counts.

    Args:
        folder: made where it is not there.
        stem: of the files' names.
        writer: which of the processes this is; its file is `STEM.WRITER.jsonl`.

    Raises:
        InputError: the folder cannot be made, a file cannot be read, or another process writes as the same writer.
    """

    def __init__(self, folder: Path, stem: str, *, writer: int = 0) -> None:
        from emotion_llama.files import make_folder

        make_folder(folder)
        self._folder, self._stem = folder, stem
        self._path = folder / f"{stem}.{writer}.jsonl"
        self._rows: dict[str, Any] = {}
        with ExitStack() as opened:  # where something cannot be read, the lock is let go
            self._lock = opened.enter_context(_locked(folder / f".{stem}.{writer}.lock"))
            self.read_again()
            self._mend()
            opened.pop_all()

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Any:
        """The value of a key, a JSON value; None where there is none."""
        return self._rows.get(key)

    def add(self, rows: Sequence[tuple[str, Any]]) -> None:
        """Keep rows, all of them or, in a kill, the first of them: they are with the system when this returns."""
        if not rows:
            return
        lines = (json.dumps({"key": key, "value": value}, ensure_ascii=False, allow_nan=False) for key, value in rows)
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(data)
        except OSError as error:
            raise InputError(f"{self._path} cannot be written ({error.strerror}); make room, then resume") from error
        self._rows |= dict(rows)

    def read_again(self) -> None:
        """Read what all writers have written so far."""
        for path in sorted(self._folder.glob(f"{self._stem}.*.jsonl")):
            self._rows |= dict(_rows(path))

    def close(self) -> None:
        """Let another process write."""
        self._lock.close()

    def __enter__(self) -> JsonlCache:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _mend(self) -> None:
        """End a line that was cut off, so that the next one is a line of its own."""
        if not self._path.is_file() or not self._path.stat().st_size:
            return
        with self._path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    for line in lines:
        try:
            row = json.loads(line.decode("utf-8", "surrogatepass"))
            yield row["key"], row["value"]
        except (ValueError, KeyError, TypeError):  # noqa: PERF203 - empty, or cut off by a kill: asked again
            continue


def _locked(path: Path) -> IO[str]:
    handle = path.open("w")
    try:
        import fcntl
    except ImportError:  # Windows: two processes at a time are the user's to avoid
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise InputError(f"another process is writing to {path.parent}; wait for it, or give another --out") from None
    return handle


def hash_of(*values: object) -> str:
    """A SHA-256 of JSON values, the same in every process."""
    import hashlib

    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return list(value)
    return str(value)
