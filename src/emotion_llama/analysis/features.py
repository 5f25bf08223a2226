"""What a model's encoders compute: all vectors of one clip, and the features of many, resumed without loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama import __version__
from emotion_llama.analysis.batch import Job, Outcome, Progress
from emotion_llama.analysis.inputs import CropOptions, open_inputs
from emotion_llama.analysis.measure import StageClock
from emotion_llama.errors import BackendError, EmotionLlamaError, InputError
from emotion_llama.files import make_folder, write_whole
from emotion_llama.models.clips import Modality
from emotion_llama.models.features.extractor import FeatureExtractor
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.models.features.published_folders import FolderWriter, PublishedFolders
from emotion_llama.models.inputs import Float32
from emotion_llama.records import Clip, Float
from emotion_llama.results import Missing

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.models.clips import ClipInputs

NamedClip = tuple[str, Path]  # the name that a clip's features get, and its file
Sink = FeatureStore | FolderWriter  # where features are kept

# The modality mask's column of each vector is that of the input it is made of.
_MADE_OF = {"vision": "image", "patch": "image", "global": "image"}

# Name -> shape and meaning, in the order of the published tokens (`models.EmotionLlamaEncoding` has the sources).
EMBEDDINGS: Mapping[str, str] = {
    "vision_hidden": "[1 + N, D] CLS and patch vectors of the frame, after the encoder's last norm",
    "face_features": "[D] mean over all face crops ('local')",
    "temporal_features": "[D] mean over the tokens of the face crops that the temporal encoder sees (published: 16)",
    "audio_features": "[D] mean over time of the sound",
    "patch_tokens": "[K, H] the frame as the language model reads it",
    "face_token": "[H] projected face_features",
    "temporal_token": "[H] projected temporal_features",
    "audio_token": "[H] projected audio_features",
    "global_token": "[H] projected CLS of the frame",
}


@dataclass(frozen=True, repr=False)
class ClipEmbedding:
    """The main person of one clip as vectors.

    Attributes:
        clip: the file.
        vectors: name (`EMBEDDINGS`) -> float32 array; what could not be made is not there.
        missing: the reasons for what is not there ("frame", "faces", "sound").
        num_faces: how many crops the face vector is the mean of.
        frame: which frame the global encoder saw, in words; empty without one.
        model: name of the model's folder.
    """

    clip: Clip
    vectors: Mapping[str, Float]
    missing: tuple[Missing, ...]
    num_faces: int
    frame: str
    model: str

    def save(self, path: str | Path) -> Path:
        """Write a .safetensors file, whole or not at all, with the rest of the record as its metadata."""
        from safetensors.numpy import save_file

        path = Path(path)
        make_folder(path.parent)
        about = {
            "generator": f"emotion-llama {__version__}",
            "model": self.model,
            "clip": str(self.clip.path),
            "sha256": self.clip.sha256,
            "num_faces": str(self.num_faces),
            "frame": self.frame,
            "missing": json.dumps({m.what: m.reason for m in self.missing}, ensure_ascii=False),
        }
        tensors = {name: np.ascontiguousarray(value) for name, value in self.vectors.items()}
        return write_whole(path, lambda half: save_file(tensors, half, about))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}{list(value.shape)}" for name, value in self.vectors.items())
        return f"ClipEmbedding({self.clip.path.name!r}, {shapes or 'nothing'})"


class Embedder:
    """Encodes clips with a model, one after the other.

    Example:
        >>> from emotion_llama import Embedder
        >>> Embedder("emotion-llama-7b").encode("talk.mp4").vectors["face_features"].shape
        (1024,)
    """

    def __init__(
        self, folder: str | Path, *, device: str | None = None, dtype: str = "auto", faces: str = "onnx_mesh"
    ) -> None:
        """Load a model; arguments and errors as `models.features.loaded_model.LoadedModel`, `faces` is the backend."""
        from emotion_llama.models.features.loaded_model import LoadedModel

        self._loaded = LoadedModel(folder, device=device, dtype=dtype)
        self._faces = faces
        self._mesh: MeshBackend | None = None

    def encode(self, path: str | Path, *, warn: Callable[[str], None] | None = None) -> ClipEmbedding:
        """Encode the main person of a clip; `warn` is told of damage in the file (default: it is logged).

        Raises:
            MediaError: the file cannot be read.
            BackendError: the model gives values that are not finite numbers, or memory does not suffice.
        """
        from emotion_llama.media.container import log_warning

        options = CropOptions(self._loaded.processor.frame_policy)
        with open_inputs(path, self._backend, options, warn=warn or log_warning) as inputs:
            frame = "" if inputs.image is None else f"{inputs.frame_why}, at {inputs.frame_seconds:.2f} s"
            assert inputs.clip is not None
            return ClipEmbedding(
                inputs.clip, self._vectors(inputs), inputs.missing, inputs.num_faces, frame, self._loaded.name
            )

    def close(self) -> None:
        """Let the face backend go; the next clip starts it again."""
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None

    def __enter__(self) -> Embedder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _backend(self) -> MeshBackend:
        from emotion_llama.face.backends import load_backend

        self._mesh = self._mesh or load_backend(self._faces)
        return self._mesh

    def _vectors(self, inputs: ClipInputs) -> dict[str, Float]:
        from emotion_llama.models.encoder_inputs import MODALITIES

        features = self._loaded.extractor.extract(inputs)
        if not any(features.present):
            return {}
        arrays = self._loaded.processor.media_batch([features])
        encoding = self._loaded.model.encode(**arrays.to(self._loaded.device))
        there = dict(zip(MODALITIES, encoding.modality_mask[0].tolist()))
        vectors = {}
        for name in EMBEDDINGS:
            source = name.partition("_")[0]
            if not there[_MADE_OF.get(source, source)]:
                continue
            vectors[name] = getattr(encoding, name)[0].float().cpu().numpy()
            if not np.isfinite(vectors[name]).all():
                raise BackendError(
                    f"{self._loaded.name}: {name} holds values that are not finite numbers; the weights are damaged, "
                    f"or too large for {self._loaded.model.dtype}: convert again, or load with dtype='float32'"
                )
        return vectors


def encode_jobs(
    embedder: Embedder, jobs: Sequence[Job], out: Path, progress: Progress | None = None
) -> Iterator[Outcome]:
    """Encode `jobs` one after the other into .safetensors files below `out`, and yield each outcome."""
    for position, job in enumerate(jobs):
        if progress is not None:
            progress(position, job.path.name, "encoding", 0.0)
        try:
            target = out / job.relative.with_name(job.relative.name + ".safetensors")
            yield Outcome(job.path, "done", written=(embedder.encode(job.path).save(target),))
        except (EmotionLlamaError, OSError) as error:
            text = str(error) if isinstance(error, EmotionLlamaError) else f"{job.path}: {error}"
            yield Outcome(job.path, "failed", error=text)


# --- features of many clips ------------------------------------------------------------------------------------------


def name_clips(relatives: Sequence[tuple[PurePath, Path]]) -> list[NamedClip]:
    """Names of clips: their path below the named folder without the suffix, as the published folders have it.

    Raises:
        InputError: two files would share a name.
    """
    taken: dict[str, Path] = {}
    for relative, path in relatives:
        name = relative.with_suffix("").as_posix()
        if name in taken:
            raise InputError(
                f"{taken[name]} and {path} would both be named {name!r}; give each its own name or run them apart"
            )
        taken[name] = path
    return list(taken.items())


def run_recipe(
    extractor: FeatureExtractor, options: CropOptions, encoders_sha256: str, about: dict[str, object]
) -> Any:
    """The record of how a run's features are made, as JSON: what they depend on, and under "about" what is to know."""
    return {
        "emotion_llama": __version__,
        "encoders_sha256": encoders_sha256,
        "recipes": extractor.recipe(),
        "frame_policy": options.frame_policy,
        "faces": {
            "max_fps": None if options.max_fps == float("inf") else options.max_fps,
            "max_side": options.max_side,
            "crop": "112x112, similarity transform to OpenFace's mean shape",
            "masked": options.masked,
        },
        "about": about,
    }


def extract_clips(
    clips: Sequence[NamedClip],
    extractor: FeatureExtractor,
    backend: Callable[[], MeshBackend],
    options: CropOptions,
    sinks: Sequence[Sink],
    *,
    published: PublishedFolders | None = None,
    resume: bool = False,
    progress: Callable[[int, str, str, float], None] | None = None,
) -> Iterator[Outcome]:
    """Make the features of `clips` one after the other, keep them in every sink, and yield each outcome.

    Args:
        clips: from `name_clips`.
        extractor: holds the encoders.
        backend: gives the face backend; called when the first video comes.
        options: how faces are found and the frame is chosen.
        sinks: where features go.
        published: folders whose vectors are taken in place of computing them; what they lack is computed.
        resume: skip clips that every sink holds.
        progress: called with the clip's position, its name, the stage and its share done.
    """
    for position, (name, path) in enumerate(clips):
        stage = None if progress is None else partial(progress, position, path.name)
        try:
            if resume and _is_held(name, path, sinks):
                yield Outcome(path, "skipped", name=name)
                continue
            given = published[name].vectors() if published is not None and name in published else {}
            yield _one(name, path, extractor, backend, options, sinks, given, StageClock(stage))
        except (EmotionLlamaError, OSError) as error:
            text = str(error) if isinstance(error, EmotionLlamaError) else f"{path}: {error}"
            yield Outcome(path, "failed", error=text, name=name)


def _one(
    name: str,
    path: Path,
    extractor: FeatureExtractor,
    backend: Callable[[], MeshBackend],
    options: CropOptions,
    sinks: Sequence[Sink],
    given: Mapping[Modality, Float32],
    clock: StageClock,
) -> Outcome:
    warnings: list[str] = []
    clock("faces")
    need_faces = not {"face", "temporal"} <= given.keys()
    with open_inputs(path, backend, options, need_faces=need_faces, clock=clock, warn=warnings.append) as inputs:
        features = extractor.extract(inputs, clock, given=given)
        sha256 = inputs.clip.sha256 if inputs.clip is not None else ""
    clock("writing")
    for sink in sinks:
        sink.add(name, path, sha256, features)
    return Outcome(
        path, "done", features=features, warnings=tuple(warnings), seconds_by_stage=clock.finish(), name=name
    )


def _is_held(name: str, path: Path, sinks: Sequence[Sink]) -> bool:
    from emotion_llama.media.probe import file_sha256

    if not path.is_file():
        return False
    sha256 = file_sha256(path)
    return all(sink.holds(name, sha256) for sink in sinks)
