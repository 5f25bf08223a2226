"""Clips as vectors: what each encoder says of a clip, and the tokens that the language model reads of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotion_llama import __version__
from emotion_llama.errors import BackendError
from emotion_llama.records import Clip, Float, Missing

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.models.clip_inputs import ClipInputs

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
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "generator": f"emotion-llama {__version__}",
            "model": self.model,
            "clip": str(self.clip.path),
            "sha256": self.clip.sha256,
            "num_faces": str(self.num_faces),
            "frame": self.frame,
            "missing": json.dumps({m.what: m.reason for m in self.missing}, ensure_ascii=False),
        }
        half = path.with_name(f".{path.name}.tmp")
        try:
            save_file({name: np.ascontiguousarray(value) for name, value in self.vectors.items()}, half, about)
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)
        return path

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}{list(value.shape)}" for name, value in self.vectors.items())
        return f"ClipEmbedding({self.clip.path.name!r}, {shapes or 'nothing'})"


class Embedder:
    """Encodes clips with a model's folder, one after the other.

    Example:
        >>> from emotion_llama import Embedder
        >>> Embedder("emotion-llama-7b").encode("talk.mp4").vectors["face_features"].shape
        (1024,)
    """

    def __init__(
        self, folder: str | Path, *, device: str | None = None, dtype: str = "auto", faces: str = "mediapipe_mesh"
    ) -> None:
        """Load a model; see `data.loaded_model.LoadedModel` for the arguments and errors, `faces` is the backend."""
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
        from emotion_llama.analysis.clip_reading import LookOptions, read_inputs
        from emotion_llama.media.container import log_warning

        look = LookOptions(self._loaded.processor.frame_policy)
        inputs = read_inputs(path, self._backend, look, warn=warn or log_warning)
        return ClipEmbedding(
            inputs.clip,
            self._vectors(inputs),
            inputs.missing,
            inputs.num_faces,
            "" if inputs.frame is None else f"{inputs.frame.why}, at {inputs.frame.pts_seconds:.2f} s",
            self._loaded.name,
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
        from emotion_llama.models.clip_media import ClipMedia
        from emotion_llama.models.encoder_inputs import MODALITIES

        media = ClipMedia.of_features(self._loaded.extractor.extract(inputs))
        if not any(media.present):
            return {}
        arrays = self._loaded.processor.media_batch([media])
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
