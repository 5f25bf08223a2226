"""What our model sees and hears of a case: stored features by name, or features made from the raw clip and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.evaluation.records import EvalSample
from emotion_llama.evaluation.systems.problems import NO_CLIP, problem_of
from emotion_llama.models.clip_features import ClipFeatures

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.models.features.feature_store import FeatureStore
    from emotion_llama.models.features.loaded_model import LoadedModel


class CaseMedia:
    """Features of cases, from the first of these that has them: a source by name, what was made before, the clip.

    Args:
        loaded: the model, whose encoders make what is not stored.
        features: a folder of stored features (`data.sources.open_features`); names are case ids, or the clips' stems.
        keep: folder of a feature store where features that are made here are kept for the next run; None keeps none.
        faces: face backend.

    Raises:
        InputError: `features` holds none, or `keep` is a store of another recipe.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        features: Path | None = None,
        keep: Path | None = None,
        faces: str = "mediapipe_mesh",
    ) -> None:
        from emotion_llama.analysis.clip_reading import LookOptions
        from emotion_llama.models.features.sources import open_features

        self._loaded, self._faces = loaded, faces
        self._look = LookOptions(loaded.processor.frame_policy)
        self._source = None if features is None else open_features(features)
        self._keep = None if keep is None else self._open(keep)
        self._mesh: MeshBackend | None = None

    def __call__(self, case: EvalSample) -> ClipFeatures | str:
        """The case's features, or why there are none."""
        for name in _names(case):
            if self._source is not None and name in self._source:
                return self._source[name]
        if case.media is None:
            return NO_CLIP if self._source is None else "there are no features of this clip, and no clip"
        try:
            return self._of_clip(case.sample_id, case.media)
        except EmotionLlamaError as error:
            return problem_of(error)

    def close(self) -> None:
        """Finish what is kept, and let the face backend go."""
        if self._keep is not None:
            self._keep.close()
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None

    def _of_clip(self, name: str, path: Path) -> ClipFeatures:
        from emotion_llama.analysis.clip_reading import read_inputs
        from emotion_llama.media.probe import file_sha256

        if not path.is_file():
            raise InputError(NO_CLIP)
        sha256 = file_sha256(path) if self._keep is not None else ""
        if self._keep is not None and self._keep.holds(name, sha256):
            return self._keep[name]
        inputs = read_inputs(path, self._backend, self._look, warn=lambda line: None)
        features = self._loaded.extractor.extract(inputs)
        if self._keep is not None:
            self._keep.add(name, path, sha256, features)
        return features

    def _open(self, folder: Path) -> FeatureStore:
        from emotion_llama.analysis.feature_run import run_recipe
        from emotion_llama.models.features.feature_store import FeatureStore

        encoders: Any = self._loaded.extractor.encoders
        recipe = run_recipe(self._loaded.extractor, self._look, encoders.fingerprint(), {"model": self._loaded.name})
        return FeatureStore(folder, writable=True, recipe={**recipe, "face_backend": self._faces})

    @property
    def _backend(self) -> Callable[[], MeshBackend]:
        def start() -> MeshBackend:
            from emotion_llama.face.backends import load_backend

            self._mesh = self._mesh or load_backend(self._faces)
            return self._mesh

        return start


def _names(case: EvalSample) -> tuple[str, ...]:
    return (case.sample_id,) if case.media is None else (case.sample_id, case.media.stem)
