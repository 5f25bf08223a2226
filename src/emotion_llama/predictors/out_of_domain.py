"""Whether a clip is out of the domain that a model was trained on, by its encoders' vectors.

For each of face, temporal and audio, `familiar.safetensors` in the model's folder holds the mean and the spread of the
vectors of its training clips, and the largest Mahalanobis distance of validation clips (of people who are not in the
training set). A clip that lies farther is out of domain: its prediction is a guess, and says so. The measure is common
for classifiers (Lee et al., NeurIPS 2018).

Legend: N clips, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.records import Float

FILE = "familiar.safetensors"
# Encoder -> what it encodes, as people read it.
SUBJECTS: Mapping[str, str] = {"face": "the face", "temporal": "the face's movement", "audio": "the voice"}
SHRINKAGE = 1e-3  # of the mean variance, added to each: directions that hardly vary would decide all. Own.


@dataclass(frozen=True, repr=False)
class Domain:
    """One encoder's vectors of the training clips: mean [D], whitening [D, D], and the largest distance in domain."""

    mean: Float
    whitening: Float
    farthest: float

    def distance(self, vectors: Float) -> npt.NDArray[np.float64]:
        """[N] Mahalanobis distances of vectors [N, D]."""
        centred = np.asarray(vectors, np.float64) - self.mean
        found: npt.NDArray[np.float64] = np.linalg.norm(centred @ np.asarray(self.whitening, np.float64), axis=1)
        return found


def fit(known: Float, others: Float) -> Domain:
    """The domain of training vectors [N, D]; of validation vectors [N, D] the farthest is still in domain."""
    mean = known.mean(axis=0)
    covariance = np.cov(known.astype(np.float64).T)
    covariance += SHRINKAGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    found = Domain(mean.astype(np.float32), whitening.astype(np.float32), 0.0)
    return Domain(found.mean, found.whitening, float(found.distance(others).max()))


def save(domains: Mapping[str, Domain], folder: Path) -> None:
    """Write the file into a model's folder."""
    from safetensors.numpy import save_file

    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for name, one in domains.items():
        arrays[f"{name}.mean"] = np.asarray(one.mean, np.float32)
        arrays[f"{name}.whitening"] = np.ascontiguousarray(one.whitening, np.float32)
        arrays[f"{name}.farthest"] = np.array([one.farthest], np.float32)
    save_file(arrays, str(folder / FILE))
    (folder / FILE).chmod(0o644)


def load(folder: Path) -> dict[str, Domain]:
    """What the folder holds; empty for a model without a record of its domain.

    Raises:
        InputError: the file is not of this kind.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(str(path))
        return {
            name: Domain(
                arrays[f"{name}.mean"], arrays[f"{name}.whitening"], float(arrays[f"{name}.farthest"][0])
            )
            for name in SUBJECTS
            if f"{name}.mean" in arrays
        }  # fmt: skip
    except (SafetensorError, KeyError, IndexError, OSError) as error:
        raise InputError(
            f"{path} cannot be read ({error!r}); delete it: predictions then do not say what is out of domain"
        ) from error


def outside(domains: Mapping[str, Domain], vectors: Mapping[str, Float]) -> tuple[str, ...]:
    """Which encoders' vectors [D] are out of domain, by name."""
    return tuple(
        name for name, one in domains.items() if name in vectors and one.distance(vectors[name][None])[0] > one.farthest
    )


def warning(names: Sequence[str]) -> str:
    """What the reasons say of encoders that are out of domain; "" where none is."""
    if not names:
        return ""
    subjects = [SUBJECTS[name] for name in names]
    listed = subjects[0] if len(subjects) == 1 else f"{', '.join(subjects[:-1])} and {subjects[-1]}"
    are = "is" if len(subjects) == 1 else "are"
    return (
        f"{listed[0].upper()}{listed[1:]} {are} unlike all that this model learned from: take its answer as a guess, "
        "and compare it with the measured cues, or with the reader rules."
    )
