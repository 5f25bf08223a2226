"""The published feature folders: one `<name>.npy` a clip and modality, written and read.

Source: the feature archives of Emotion-LLaMA (MER2023-SEMI, MER2024). 340 and 399 are checkpoint epochs. Files hold
(1024,) or (1, 1024); the published extraction wrote zeros where no face was found, which here is a missing value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.files import append_lines, make_folder, read_lines, write_whole
from emotion_llama.models.clips import MODALITIES, ClipFeatures, Modality
from emotion_llama.models.features.feature_store import INDEX_FILE, PENDING, FeatureStore, check_name, settle_recipe
from emotion_llama.models.inputs import Float32
from emotion_llama.results import Missing

FOLDERS: Mapping[str, Mapping[Modality, str]] = MappingProxyType(
    {
        "MER2023": MappingProxyType({"face": "mae_340_UTT", "temporal": "maeV_399_UTT", "audio": "HL-UTT"}),
        "MER2024": MappingProxyType(
            {"face": "mae_340_23_UTT", "temporal": "maeVideo_399_23_UTT", "audio": "HL_23_UTT"}
        ),
    }
)
LEDGER_FILE = "features.jsonl"


def read_vector(file: Path, size: int | None = None) -> Float32:
    """[D] float32 of one published file, (D,) or (1, D).

    Args:
        file: a .npy file.
        size: D where it is known, 1024 for the published features.

    Raises:
        InputError: the file is not there, not a .npy of numbers, or of another shape.
    """
    try:
        values = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{file} is not a .npy file of numbers ({error})") from error
    expected = "D" if size is None else str(size)
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            f"{file} must hold floating-point numbers, got {getattr(values, 'dtype', type(values).__name__)}"
        )
    is_row = values.ndim == 1 or (values.ndim == 2 and len(values) == 1)
    if not is_row or not values.size or (size is not None and values.size != size):
        raise InputError(
            f"{file} has shape {values.shape}, expected ({expected},) or (1, {expected}): one vector a clip (UTT), "
            "not one a frame (FRA)"
        )
    if not np.isfinite(values).all():
        raise InputError(f"{file} holds values that are not finite; make it again")
    return np.asarray(values.reshape(-1), np.float32)


class PublishedFolders:
    """Features of clips in published folders beside each other: read by name, in place of computing them.

    Example:
        >>> features = PublishedFolders("MER2023-SEMI")["sample_00000023"]
        >>> features.face.shape
        (1024,)
    """

    def __init__(
        self,
        root: str | Path,
        *,
        size: int | Mapping[Modality, int] | None = 1024,
    ) -> None:
        """Find the folders.

        Args:
            root: what the folders lie in; of the names in `FOLDERS` those of which the most are there count.
            size: D, of all modalities or of each; None takes any.

        Raises:
            InputError: none of the folders is there.
        """
        self.root = Path(root)
        found = {name: sum((self.root / f).is_dir() for f in FOLDERS[name].values()) for name in FOLDERS}
        self.layout = max(found, key=lambda name: found[name])
        if not found[self.layout]:
            names = ", ".join(f for folders in FOLDERS.values() for f in folders.values())
            raise InputError(f"{self.root} holds no feature folder; expected some of: {names}")
        self._sizes = size if isinstance(size, Mapping) else dict.fromkeys(MODALITIES, size)

    def file(self, name: str, modality: Modality) -> Path:
        """Where the vector of one clip and modality lies, or would lie."""
        return self.root / FOLDERS[self.layout][modality] / f"{check_name(name)}.npy"

    def __contains__(self, name: str) -> bool:
        return any(self.file(name, modality).is_file() for modality in MODALITIES)

    def __getitem__(self, name: str) -> ClipFeatures:
        """What is there of one clip; what is not is None with its reason.

        Raises:
            InputError: a file is damaged or of another shape, or nothing is there.
        """
        missing: list[Missing] = []
        face, temporal, audio = (self._vector(self.file(name, m), m, missing) for m in MODALITIES)
        if face is None and temporal is None and audio is None:
            raise InputError(f"{self.root}: no features of {name!r}: " + "; ".join(m.reason for m in missing))
        missing.append(Missing("global_image", "published feature folders hold no picture"))
        found = {"face": face, "temporal": temporal, "audio": audio}
        given = tuple(name for name, vector in found.items() if vector is not None)
        return ClipFeatures(face, temporal, audio, missing=tuple(missing), given=given)

    def _vector(self, file: Path, modality: Modality, missing: list[Missing]) -> Float32 | None:
        if not file.is_file():
            missing.append(Missing(modality, f"{file.relative_to(self.root)} does not exist"))
            return None
        vector = read_vector(file, self._sizes[modality])
        if not vector.any():
            missing.append(
                Missing(modality, f"{file.relative_to(self.root)} holds zeros, which stand for nothing found")
            )
            return None
        return vector


# Where features of clips come from, by the clip's name.
FeatureSource = FeatureStore | PublishedFolders


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


class FolderWriter:
    """Writes published folders, and a ledger (features.jsonl) of which clip each file is of and why one is missing."""

    def __init__(self, root: str | Path, recipe: Mapping[str, object], *, layout: str = "MER2023") -> None:
        """Open the folders below `root`, making them where they are not.

        Raises:
            InputError: no such layout, or features of another recipe are there.
        """
        if layout not in FOLDERS:
            raise InputError(f"layout {layout!r} is not known; expected one of: {', '.join(FOLDERS)}")
        self.root = Path(root)
        self.layout = layout
        make_folder(self.root)
        settle_recipe(self.root, recipe)
        self._ledger = {row["name"]: row for row in read_lines(self.root / LEDGER_FILE)}  # the last one of each counts

    def file(self, name: str, modality: Modality) -> Path:
        """Where the vector of one clip and modality goes."""
        return self.root / FOLDERS[self.layout][modality] / f"{check_name(name)}.npy"

    def holds(self, name: str, sha256: str) -> bool:
        """Whether the features of this very file are there under that name: the ledger says so and the files exist."""
        row = self._ledger.get(name)
        if row is None or row["sha256"] != sha256:
            return False
        missing = {one["what"] for one in row["missing"]}
        return all(self.file(name, m).is_file() for m in MODALITIES if m not in missing)

    def add(self, name: str, path: Path, sha256: str, features: ClipFeatures) -> Path:
        """Write the vectors of one clip as (D,) float32; a missing one has no file, and one from before is removed."""
        for modality in MODALITIES:
            file, vector = self.file(name, modality), getattr(features, modality)
            if vector is None:
                file.unlink(missing_ok=True)
            else:
                write_whole(file, partial(_save, vector))
        row = {
            "name": name,
            "path": str(path),
            "sha256": sha256,
            "num_faces": features.num_faces,
            "frame_seconds": features.frame_seconds,
            "frame_why": features.frame_why,
            "missing": [asdict(m) for m in features.missing],
            "given": list(features.given),
        }
        ledger = self.root / LEDGER_FILE
        append_lines(ledger, [row])
        self._ledger[name] = row
        return ledger

    def close(self) -> None:
        """Nothing is open between clips."""


def _save(vector: Float32, file: Path) -> None:
    with file.open("wb") as out:
        np.save(out, vector, allow_pickle=False)
