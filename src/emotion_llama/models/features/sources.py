"""Where features of clips come from: a store or published folders, opened by what a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from emotion_llama.errors import InputError
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.features.feature_store import INDEX_FILE, PENDING, FeatureStore
from emotion_llama.models.features.published_folders import FOLDERS, PublishedFolders


class FeatureSource(Protocol):
    """Features by the clip's name."""

    def __contains__(self, name: str) -> bool:
        """Whether there is any feature of that clip."""

    def __getitem__(self, name: str) -> ClipFeatures:
        """All that is there of that clip; InputError where nothing is."""


def open_features(folder: str | Path, *, size: int | None = None) -> FeatureSource:
    """The store in `folder`, or the published folders in it where there is no store.

    Args:
        folder: what `emotion-llama features` wrote, or where the published archives were unpacked.
        size: D that published vectors must have; None takes any.

    Raises:
        InputError: it is neither.
        MissingDependency: it is a store, and safetensors or pyarrow is not installed.
    """
    folder = Path(folder)
    if (folder / INDEX_FILE).is_file() or (folder / PENDING).is_dir():
        return FeatureStore(folder)
    if any((folder / name).is_dir() for layout in FOLDERS.values() for name in layout.values()):
        return PublishedFolders(folder, size=size)
    names = ", ".join(name for layout in FOLDERS.values() for name in layout.values())
    raise InputError(f"{folder} holds no features: expected {INDEX_FILE}, or some of the folders {names}")
