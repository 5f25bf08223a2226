"""Published feature folders: which clips have which file, and whether its shape is right; places are recorded.

The files stay where they are: training reads them there, and 78,000 clips' worth of copies would help nobody.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from emotion_llama.merr.imports.claims import Claim, FileContent, is_name
from emotion_llama.merr.records import Json
from emotion_llama.models.features.published_folders import FOLDERS

SIZE = 1024  # of the published vectors


def is_feature_root(folder: Path) -> bool:
    """Whether a folder holds published feature folders."""
    return any((folder / name).is_dir() for folders in FOLDERS.values() for name in folders.values())


def read_features(root: Path, content: FileContent, wanted: Collection[str] | None, size: int = SIZE) -> None:
    """Add where each clip's feature files lie to `content`.

    Args:
        root: what the feature folders lie in.
        content: filled.
        wanted: the clips of the build; None for all that have a file. Of these, missing files are counted.
        size: of a vector; files hold (size,) or (1, size).
    """
    layout = max(FOLDERS, key=lambda name: sum((root / f).is_dir() for f in FOLDERS[name].values()))
    folders = {kind: name for kind, name in FOLDERS[layout].items() if (root / name).is_dir()}
    for kind, name in FOLDERS[layout].items():
        if kind not in folders:
            content.problems.add(f"no folder {name} ({kind} features)", str(root))
    there = {kind: _names(root / name) for kind, name in folders.items()}
    names = sorted(set().union(*there.values()) if wanted is None else wanted)
    for clip_id in names:
        found: dict[str, Json] = {}
        for kind, folder in folders.items():
            if clip_id not in there[kind]:
                content.problems.add(f"no file in {folder}", clip_id)
                continue
            content.rows += 1
            shape = _shape(root / folder / f"{clip_id}.npy")
            if shape not in ((size,), (1, size)):
                what = "no .npy file of numbers" if shape is None else f"shape {shape}, not ({size},)"
                content.problems.add(f"{folder}: {what}", clip_id)
                continue
            found[kind] = {"file": f"{folder}/{clip_id}.npy", "shape": list(shape)}
        if found and is_name(clip_id):
            value: dict[str, Json] = {"layout": layout, "root": str(root.absolute()), **found}
            content.claims.append(Claim(clip_id, ("features", ""), value))


def _names(folder: Path) -> frozenset[str]:
    with os.scandir(folder) as entries:
        return frozenset(entry.name[:-4] for entry in entries if entry.name.endswith(".npy"))


def _shape(path: Path) -> tuple[int, ...] | None:
    """Shape of an array on disk, from its header alone; None when it is no file of floating-point numbers."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(file)  # type: ignore[no-untyped-call]
            size = os.fstat(file.fileno()).st_size - file.tell()
    except (OSError, ValueError):
        return None
    whole = size == int(np.prod(shape)) * kind.itemsize
    return tuple(int(n) for n in shape) if whole and np.issubdtype(kind, np.floating) else None
