"""The record in a converted folder: what it was made of, what was left behind, and the hash of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion_llama import __version__
from emotion_llama.checkpoints.assembly import Assembly
from emotion_llama.checkpoints.keys import Role
from emotion_llama.checkpoints.known_files import WeightsCard, card_of
from emotion_llama.checkpoints.pickles import TensorSource
from emotion_llama.checkpoints.shards import WrittenFile, sha256_of
from emotion_llama.errors import InputError

MANIFEST_NAME = "conversion.json"
_FORMAT = "emotion-llama-conversion-1"


def make_manifest(paths: Mapping[Role, Path], assembly: Assembly, files: list[WrittenFile]) -> dict[str, Any]:
    """The record as JSON data. Names only, no folders of the machine it was made on."""
    card = card_of(paths["weights"])
    return {
        "format": _FORMAT,
        "made_by": f"emotion-llama {__version__}",
        "weights": card.file_name,
        "abilities": None if card.abilities is None else sorted(card.abilities),
        "dtype": assembly.options.dtype,
        "lora": {"rank": assembly.rank, "alpha": assembly.alpha, "merged": assembly.options.merge},
        "num_parameters": assembly.num_parameters,
        "num_lora_parameters": assembly.num_lora_parameters,
        "notes": list(assembly.notes),
        "sources": {role: _source(paths[role], source) for role, source in assembly.opened.items()},
        "left_behind": assembly.plan.ignored,
        "files": {file.name: {"num_bytes": file.num_bytes, "sha256": file.sha256} for file in files},
    }


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
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise InputError(f"{path}: not a record of a conversion (expected format {_FORMAT!r}); convert again")
    return manifest


def read_card(folder: str | Path) -> WeightsCard | None:
    """What the weights of a converted folder can do; None for a folder that was not converted."""
    manifest = read_manifest(Path(folder))
    return None if manifest is None else card_of(manifest["weights"], manifest["abilities"])


def small_files(folder: Path, known: set[str]) -> list[WrittenFile]:
    """Hashes of the files of a folder that were not hashed while they were written."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in known)
    return [WrittenFile(path.name, path.stat().st_size, sha256_of(path)) for path in paths]


def _source(path: Path, source: TensorSource) -> dict[str, Any]:
    files = {file.name: {"num_bytes": file.stat().st_size, "sha256": sha256_of(file)} for file in source.files}
    return {"name": path.resolve().name, "num_tensors": len(source.infos), "files": files}
