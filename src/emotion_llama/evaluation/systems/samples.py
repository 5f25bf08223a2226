"""Samples of a benchmark as predictors take them: what was measured of the clip, or the encoders' features of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.evaluation.records import NO_CLIP, NOBODY, EvalSample, problem_of
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.predictors import Sample
from emotion_llama.records import Evidence

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.models.features.feature_store import FeatureStore
    from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor


class Measured:
    """The evidence of the main person over the whole clip.

    A benchmark's words are given, or none: files beside the clips are not looked for.

    Args:
        options: of `analysis.Analyzer`.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        from emotion_llama.analysis import Analyzer

        self._analyzer = Analyzer.load("rules", **(options or {}))

    def __call__(self, sample: EvalSample) -> Sample | str:
        """The sample, or why there is none."""
        from emotion_llama.analysis.options import Options

        if sample.media is None:
            return NO_CLIP
        try:
            analysis = self._analyzer.run(sample.media, Options(subtitle=sample.transcript or ""))
        except EmotionLlamaError as error:
            return problem_of(error)
        if not analysis.people:
            return NOBODY
        return Sample(analysis.people[0].segments[0].evidence, sample_id=sample.sample_id)

    def close(self) -> None:
        """Let the face backend go."""
        self._analyzer.close()


def file_sample(sample: EvalSample) -> Sample | str:
    """The clip's file and its words, for predictors that open it themselves; or why there is none."""
    from emotion_llama.media.probe import probe
    from emotion_llama.models.clips import ClipInputs

    if sample.media is None:
        return NO_CLIP
    try:
        clip = probe(sample.media, warn=lambda line: None)
    except EmotionLlamaError as error:
        return problem_of(error)
    return Sample(None, ClipInputs(clip=clip), None, sample.transcript, None, sample.sample_id)


class Encoded:
    """Features of clips, from the first of these that has them: a source by name, what was computed before, the clip.

    In layouts with cues the evidence is measured as well.

    Args:
        predictor: the model, whose encoders compute what is not stored.
        features: a folder of stored features (`models.features.sources`); names are sample ids, or the clips' stems.
        keep: folder of a feature store where features are kept for the next run; None keeps none.
        faces: face backend.

    Raises:
        InputError: `features` holds none, or `keep` is a store of another recipe.
    """

    def __init__(
        self,
        predictor: EmotionLlamaPredictor,
        *,
        features: Path | None = None,
        keep: Path | None = None,
        faces: str = "onnx_mesh",
    ) -> None:
        from emotion_llama.analysis.inputs import CropOptions
        from emotion_llama.models.features.sources import open_features

        self._predictor, self._faces = predictor, faces
        self._options = CropOptions(predictor.frame_policy)
        self._source = None if features is None else open_features(features)
        self._keep = None if keep is None else self._open(keep)
        self._mesh: MeshBackend | None = None
        self._measured: Measured | None = None

    def __call__(self, sample: EvalSample) -> Sample | str:
        """The sample, or why there is none."""
        features = self._features(sample)
        if isinstance(features, str):
            return features
        words = sample.transcript if (sample.transcript or "").strip() else None
        if not self._predictor.layout.has_cues:
            return Sample(None, None, features, words, None, sample.sample_id)
        measured = self._measure(sample)
        if isinstance(measured, str):
            return measured
        return Sample(measured, None, features, words, None, sample.sample_id)

    def _measure(self, sample: EvalSample) -> Evidence | str:
        if sample.media is None:
            raise InputError(
                f"layout 'evidence' measures the raw clip, and {sample.sample_id} has none; use layout 'train'"
            )
        self._measured = self._measured or Measured()
        found = self._measured(sample)
        if isinstance(found, str):
            return found
        evidence = found.evidence or Evidence()
        # A benchmark without words is no clip with an empty subtitle file: cues then say that none are given.
        return replace(evidence, missing=tuple(one for one in evidence.missing if one.what != "transcript"))

    def _features(self, sample: EvalSample) -> ClipFeatures | str:
        for name in (sample.sample_id,) if sample.media is None else (sample.sample_id, sample.media.stem):
            if self._source is not None and name in self._source:
                return self._source[name]
        if sample.media is None:
            return NO_CLIP if self._source is None else "there are no features of this clip, and no clip"
        try:
            return self._of_clip(sample.sample_id, sample.media)
        except EmotionLlamaError as error:
            return problem_of(error)

    def close(self) -> None:
        """Finish what is kept, and let the face backend go."""
        if self._keep is not None:
            self._keep.close()
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None
        if self._measured is not None:
            self._measured.close()

    def _of_clip(self, name: str, path: Path) -> ClipFeatures:
        from emotion_llama.analysis.inputs import open_inputs
        from emotion_llama.media.probe import file_sha256

        if not path.is_file():
            raise InputError(NO_CLIP)
        sha256 = file_sha256(path) if self._keep is not None else ""
        if self._keep is not None and self._keep.holds(name, sha256):
            return self._keep[name]
        with open_inputs(path, self._backend, self._options, warn=lambda line: None) as inputs:
            features: ClipFeatures = self._predictor.extractor.extract(inputs)
        if self._keep is not None:
            self._keep.add(name, path, sha256, features)
        return features

    def _open(self, folder: Path) -> FeatureStore:
        from emotion_llama.analysis.features import run_recipe
        from emotion_llama.models.features.feature_store import FeatureStore

        encoders: Any = self._predictor.extractor.encoders
        about: dict[str, object] = {"model": self._predictor.name}
        recipe = run_recipe(self._predictor.extractor, self._options, encoders.fingerprint(), about)
        return FeatureStore(folder, writable=True, recipe={**recipe, "face_backend": self._faces})

    @property
    def _backend(self) -> Callable[[], MeshBackend]:
        def start() -> MeshBackend:
            from emotion_llama.face.backends import load_backend

            self._mesh = self._mesh or load_backend(self._faces)
            return self._mesh

        return start
