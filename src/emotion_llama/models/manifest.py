"""The record in a converted folder: what it was made of, what was left behind, and the hash of every file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.models.known_files import WeightsCard, card_of

MANIFEST_NAME = "conversion.json"
SMALL_FILE_BYTES = 1 << 20  # configuration, tokenizer, the record itself
FORMAT = "emotion-llama-conversion-1"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The record of a converted folder; None when there is none.

    Raises:
        InputError: a file of that name that is not such a record.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); convert again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path}: not a record of a conversion (expected format {FORMAT!r}); convert again")
    return manifest


def read_card(folder: str | Path) -> WeightsCard | None:
    """What the weights of a converted folder can do; None for a folder that was not converted."""
    manifest = read_manifest(Path(folder))
    return None if manifest is None else card_of(manifest["weights"], manifest["abilities"])


def folder_fingerprint(folder: Path) -> str:
    """A SHA-256 that changes with a model's folder: small files by content, weights by size and time of writing."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        about = path.stat()
        is_small = about.st_size < SMALL_FILE_BYTES
        content = hashlib.sha256(path.read_bytes()).hexdigest() if is_small else str(about.st_mtime_ns)
        digest.update(f"{path.name} {about.st_size} {content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
