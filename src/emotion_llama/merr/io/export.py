"""Exports of a build: the published MERR files, Parquet for Hugging Face, ShareGPT for LLaMA-Factory, and our CSV.

An export's folder is written aside, put in place file by file, and complete only once its manifest is there.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from emotion_llama import __version__
from emotion_llama.errors import BackendError, InputError
from emotion_llama.media.probe import file_sha256
from emotion_llama.merr.io.csv_table import write_csv
from emotion_llama.merr.io.merr_files import write_merr
from emotion_llama.merr.io.parquet import write_parquet
from emotion_llama.merr.io.rows import Choice, Rows, Written, write_utf8
from emotion_llama.merr.io.sharegpt import write_sharegpt
from emotion_llama.merr.review.figures import num_reviewed, review_lines
from emotion_llama.merr.statistics import by_size
from emotion_llama.merr.store import Store
from emotion_llama.tables import parse_json

Format = Literal["merr", "parquet", "sharegpt", "csv"]
# A writer fills a folder with the rows.
WRITERS: Mapping[Format, Callable[[Path, Rows], Written]] = {
    "merr": write_merr, "parquet": write_parquet, "sharegpt": write_sharegpt, "csv": write_csv,
}  # fmt: skip
MANIFEST = "export.json"  # written last: a folder without it holds no complete export
_LEFTOVER_SECONDS = 86_400


@dataclass(frozen=True)
class ExportTally:
    """What an export wrote."""

    folder: Path  # where it is
    format: Format  # in which format
    files: Mapping[str, int | None]  # each file and how many samples it holds; None for files that hold no samples
    samples: Mapping[str, int]  # samples written, each counted once, by set ("coarse", "fine")
    # samples that the build has and the export does not, by reason
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what a user should know before training on it

    def text(self) -> str:
        """The tally in lines, for people."""
        lines = [f"{self.folder}: {self.format}"]
        width = max((len(name) for name in self.files), default=0)
        lines += [
            f"  {name:<{width}}  {'' if count is None else f'{count:,}':>8}".rstrip()
            for name, count in self.files.items()
        ]
        lines.append("samples: " + ", ".join(f"{count:,} {name}" for name, count in self.samples.items()))
        lines += [f"left out: {count:,}: {reason}" for reason, count in self.left_out.items()]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def export_build(
    store: Store, to: Path | None, kind: Format, choice: Choice | None = None, *, force: bool = False
) -> ExportTally:
    """Write what a build holds in one of the formats; the same content gives the same bytes.

    Args:
        store: of the build, open.
        to: the folder; None for `export/FORMAT` in the build's own folder. It holds a complete export exactly when it
            holds export.json.
        kind: "merr", "parquet", "sharegpt" or "csv".
        choice: which samples, in which language; None for all, in English where there is English.
        force: replace what is there, though it is not the build's own export, or was changed since.

    Raises:
        InputError: the build has nothing to export, or the folder holds something that would be lost.
        BackendError: the disk is full or refuses; nothing complete is left behind.
        MissingDependency: pyarrow is not installed (parquet).
    """
    target = (store.folder / "export" / kind if to is None else to).absolute()
    if kind not in WRITERS:
        raise InputError(f"no export format {kind!r} (there are: {', '.join(WRITERS)})")
    rows = Rows(store, choice or Choice(), target, one_language=kind in ("merr", "sharegpt"))
    own = target.is_relative_to(store.folder.absolute() / "export")
    with new_export(target, own=own, force=force) as half:
        files, samples, notes = WRITERS[kind](half, rows)
        left_out, reviewed = by_size(rows.left_out), rows.reviewed.result()
        if not any(samples.values()):
            reasons = "; ".join(f"{n} {why}" for why, n in list(left_out.items())[:3])
            raise InputError(f"nothing is left to export from {store.folder}" + (f": {reasons}" if reasons else ""))
        used = {name: reviewed[name] for name in ("left_out", "fixed_fields")}
        about = {
            "format": kind,
            "generator": f"emotion-llama {__version__}",
            "scope": rows.choice.scope,
            "languages": list(rows.described),
            "splits": list(rows.choice.splits) or "all",
            "media": rows.choice.media,
            "reviews": "ignored" if rows.choice.reviews == "ignore" else {"reviewed": num_reviewed(reviewed), **used},
            "samples": samples,
            "left_out": dict(sorted(left_out.items())),
        }
        write_manifest(half, about)
    return ExportTally(target, kind, files, samples, left_out, (*notes, *review_lines(reviewed)))


# --- the folder


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
    names = _files(half)
    files = {name: {"bytes": (half / name).stat().st_size, "sha256": file_sha256(half / name)} for name in names}
    write_utf8(half / MANIFEST, json.dumps({**about, "files": files}, indent=1, ensure_ascii=False) + "\n")


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def changed_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:  # manifest as read
    """Files of an export that are gone or are not what its manifest says."""
    return [
        name
        for name, known in manifest["files"].items()
        if not (folder / name).is_file()
        or (folder / name).stat().st_size != known["bytes"]
        or file_sha256(folder / name) != known["sha256"]
    ]


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
    new = [name for name in _files(half) if name != MANIFEST]
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
