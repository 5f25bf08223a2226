"""An export's folder: written aside, put in place file by file, and complete only once its manifest is there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotion_llama.errors import BackendError, InputError
from emotion_llama.merr.json_text import parse_json

MANIFEST = "export.json"  # written last: a folder without it holds no complete export
_HASH_BYTES = 1 << 20
_LEFTOVER_SECONDS = 86_400


@contextmanager
def new_export(target: Path, *, own: bool, force: bool) -> Iterator[Path]:
    """A folder to write an export's files into; when the block ends well, they take their places in `target`.

    An export that is there is replaced when it is the build's own (`own`: it lies in the build's folder) and nobody has
    changed its files; otherwise only with `force`. Files of other names are never touched.

    Raises:
        InputError: `target` holds something that would be lost, or cannot be written.
        BackendError: the disk is full or refuses.
    """
    _check_target(target, own=own, force=force)
    half = target / f".export-{os.getpid()}.tmp"
    try:
        target.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(target)
        half.mkdir()
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); give another folder") from error
    try:
        yield half
        _put_in_place(half, target, force=force)
    except OSError as error:
        raise BackendError(f"the export into {target} failed ({error.strerror}); nothing is complete there") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What an export says of itself (JSON as `write_manifest` wrote it); None where no complete export lies.

    Raises:
        InputError: the manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = parse_json(path.read_text(encoding="utf-8"))
        if not isinstance(manifest["files"], dict):
            raise TypeError("files")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no manifest of an export ({error}); export again with --force") from error
    return dict(manifest)


def write_manifest(half: Path, about: Mapping[str, object]) -> None:
    """Write `export.json`: what was exported, and size and SHA-256 of every file."""
    names = sorted(str(p.relative_to(half).as_posix()) for p in half.rglob("*") if p.is_file())
    files = {name: {"bytes": (half / name).stat().st_size, "sha256": file_hash(half / name)} for name in names}
    text = json.dumps({**about, "files": files}, indent=1, ensure_ascii=False) + "\n"
    (half / MANIFEST).write_text(text, encoding="utf-8", newline="\n")


def changed_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:  # manifest as read
    """Files of an export that are gone or are not what its manifest says."""
    return [
        name
        for name, known in manifest["files"].items()
        if not (folder / name).is_file()
        or (folder / name).stat().st_size != known["bytes"]
        or file_hash(folder / name) != known["sha256"]
    ]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _clear_leftovers(target: Path) -> None:
    """Take away what exports that were killed have left, once nobody can be writing it any more."""
    for leftover in target.glob(".export-*.tmp"):
        if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def _check_target(target: Path, *, own: bool, force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; give a folder for the export")
    if force or not target.is_dir():
        return
    manifest = read_manifest(target)
    if manifest is None:
        strangers = sorted(p.name for p in target.iterdir() if not p.name.startswith("."))
        if strangers and not own:  # in the build's own folder it is an export that was killed
            raise InputError(
                f"{target} holds {strangers[0]}, and no complete export; give an empty folder, or --force to write"
            )
        return
    if not own:
        raise InputError(f"{target} holds an export already; give another folder, or --force to replace it")
    changed = [name for name in changed_files(target, manifest) if (target / name).exists()]
    if changed:
        raise InputError(
            f"{target / changed[0]} was changed since it was exported; keep a copy and give --force to replace it"
        )


def _put_in_place(half: Path, target: Path, *, force: bool) -> None:
    new = sorted(str(p.relative_to(half).as_posix()) for p in half.rglob("*") if p.is_file() and p.name != MANIFEST)
    try:
        before = read_manifest(target) or {"files": {}}
    except InputError:
        if not force:
            raise
        before = {"files": {}}
    (target / MANIFEST).unlink(missing_ok=True)  # from here until the new one is there, nothing is complete
    for name in before["files"]:
        old = target / name
        if name not in new and old.resolve().is_relative_to(target.resolve()):
            old.unlink(missing_ok=True)
    for name in new:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (half / name).replace(target / name)
    (half / MANIFEST).replace(target / MANIFEST)
