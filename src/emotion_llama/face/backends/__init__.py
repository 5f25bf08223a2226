"""What finds faces or reads action units, by name: two protocols and the table of who implements them."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, cast

from emotion_llama.errors import InputError
from emotion_llama.records import ActionUnits, Float, UInt8

__all__ = [
    "BACKENDS",
    "BackendEntry",
    "FaceObservation",
    "MeshBackend",
    "PersonUnits",
    "UnitReader",
    "load_backend",
    "load_unit_reader",
]


@dataclass(frozen=True, repr=False)
class FaceObservation:
    """One face in one frame, as a backend sees it.

    `landmarks` is [478, 3] float32 in pixels (x right, y down, z towards the camera negative, on the scale of x: the
    FaceMesh convention), or None where the backend finds boxes only.
    """

    box_xyxy: tuple[float, float, float, float]
    score: float
    landmarks: Float | None


class MeshBackend(Protocol):
    """Finds faces and their meshes in frames that come in the order of the video.

    A backend follows faces from call to call; `reset` forgets them (at a cut, or before another clip). One object
    belongs to one thread.
    """

    name: str

    def observe(self, images: UInt8) -> list[tuple[FaceObservation, ...]]:
        """The faces of each of `images` [N, H, W, 3] RGB, in pixels of these images."""
        ...

    def reset(self) -> None:
        """Forgets all faces."""
        ...

    def close(self) -> None:
        """Releases the models; the object is not usable afterwards."""
        ...

    def __enter__(self) -> MeshBackend: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PersonUnits(NamedTuple):
    """What an external program measured of one person.

    Attributes:
        person_id: the program's own number of the person (OpenFace: face_id).
        units: intensities 0..5, NaN where the person was not seen.
        presence_names: P units with a yes/no answer; may hold units without an intensity (OpenFace: AU28).
        presence: [N, P] 1 present, 0 absent, NaN not seen.
    """

    person_id: int
    units: ActionUnits
    presence_names: tuple[str, ...]
    presence: Float

    def present(self, name: str) -> Float:
        """[N] presence of one unit."""
        return self.presence[:, self.presence_names.index(name)]


class UnitReader(Protocol):
    """Gives action units without a mesh: reads another program's table, or runs the program."""

    name: str

    def read(self, path: Path) -> tuple[PersonUnits, ...]:
        """Units of each person, by person_id. `path` is a table or a video: the reader's docstring says which."""
        ...


class BackendEntry(NamedTuple):
    """One row of the table: where the class is, what it gives, and one line about it."""

    target: str  # "module:Class", imported on use
    gives: Literal["mesh", "units"]
    description: str


BACKENDS: dict[str, BackendEntry] = {
    "onnx_mesh": BackendEntry(
        "emotion_llama.face.backends.onnx_mesh:OnnxMesh",
        "mesh",
        "MediaPipe's networks on ONNX Runtime, part of the package: 478 points a face, several people",
    ),
    "mediapipe_mesh": BackendEntry(
        "emotion_llama.face.backends.mediapipe_mesh:MediapipeMesh",
        "mesh",
        "the same networks run by MediaPipe 0.10.21, where it is installed",
    ),
    "mediapipe_tasks": BackendEntry(
        "emotion_llama.face.backends.mediapipe_tasks:MediapipeTasks",
        "mesh",
        "MediaPipe Tasks FaceLandmarker with your own .task model file: 478 points and blendshapes",
    ),
    "openface_csv": BackendEntry(
        "emotion_llama.face.backends.openface_csv:OpenFaceCsv",
        "units",
        "a CSV that OpenFace's FeatureExtraction wrote: intensities 0-5 of 17 units",
    ),
    "openface_binary": BackendEntry(
        "emotion_llama.face.backends.openface_binary:OpenFaceBinary",
        "units",
        "runs OpenFace's FeatureExtraction where it is installed",
    ),
    "pyfeat": BackendEntry(
        "emotion_llama.face.backends.pyfeat:PyFeat",
        "units",
        "a CSV that py-feat wrote: probabilities of units, times 5",
    ),
}


def load_backend(name: str = "onnx_mesh", **options: object) -> MeshBackend:
    """A mesh backend by its name in BACKENDS.

    Args:
        name: a row of BACKENDS that gives a mesh.
        options: passed to the class (see its docstring).

    Raises:
        InputError: no such backend, it gives units only, or it has no such option.
        MissingDependency: its package is not installed; the message holds the command that installs it.
    """
    return cast(MeshBackend, _load(name, "mesh", options))


def load_unit_reader(name: str, **options: object) -> UnitReader:
    """A reader of action units by its name in BACKENDS; raises as `load_backend` does."""
    return cast(UnitReader, _load(name, "units", options))


def _load(name: str, gives: Literal["mesh", "units"], options: dict[str, object]) -> object:
    fitting = [key for key, entry in BACKENDS.items() if entry.gives == gives]
    if name not in fitting:
        known = f"it gives {BACKENDS[name].gives}, not {gives}" if name in BACKENDS else "there is none of that name"
        raise InputError(f"face backend {name!r}: {known}; choose one of: {', '.join(fitting)}")
    module, _, attribute = BACKENDS[name].target.partition(":")
    backend = getattr(importlib.import_module(module), attribute)
    known_options = [key for key in inspect.signature(backend).parameters if key != "model_path"]
    unknown = sorted(set(options) - set(inspect.signature(backend).parameters))
    if unknown:
        there = f"it has {', '.join(known_options)}" if known_options else "it has none"
        raise InputError(f"the face backend {name} has no option {unknown[0]!r}; {there}")
    return backend(**options)
