"""A predictor as the model of an evaluation: samples are made of the benchmark's, predictions become outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.evaluation.records import NO_CLIP, NOBODY, EvalSample, Model, Output, problem_of
from emotion_llama.media.probe import file_sha256, probe
from emotion_llama.models.clips import ClipFeatures, ClipInputs
from emotion_llama.predictors import PREDICTORS, Predictor, Sample, Task, load_predictor, shipped_folder
from emotion_llama.results import Evidence, Prediction

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.models.features.feature_store import FeatureStore
    from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor

DEFAULT_BATCH = 8


class PredictorModel(Model):
    """Asks a predictor, `batch_size` samples at a time.

    `sample_of` makes the predictor's sample of a benchmark's, or says why there is none. With `counts_details` problems
    differ in what stands behind a colon, which is left out so that they can be counted.
    """

    def __init__(
        self,
        predictor: Predictor,
        sample_of: Callable[[EvalSample], Sample | str],
        settings: Mapping[str, object],
        *,
        name: str | None = None,
        batch_size: int = 1,
        counts_details: bool = False,
    ) -> None:
        self.predictor, self.settings = predictor, settings
        self.name, self.batch_size = name or predictor.name, batch_size
        self.sends_to = getattr(predictor, "sends_to", None)
        self._sample_of, self._counts_details = sample_of, counts_details

    def answer(self, samples: Sequence[EvalSample], task: Task) -> Iterator[Output]:
        """An output for each sample; BackendError where the predictor failed."""
        for begin in range(0, len(samples), self.batch_size):
            some = samples[begin : begin + self.batch_size]
            start = time.perf_counter()
            made = [self._sample_of(one) for one in some]
            able = [one for one in made if isinstance(one, Sample)]
            predictions = iter(self.predictor.predict(able, task) if able else ())
            found = [one if isinstance(one, str) else next(predictions) for one in made]
            seconds = (time.perf_counter() - start) / len(some)
            for sample, one in zip(some, found, strict=True):
                yield self._output(sample.sample_id, one, seconds)

    def probe(self) -> str | None:
        """What a chat model can do, in a line (`ChatModel.probe`), after which the settings say what it is sent."""
        if (probe := getattr(self.predictor, "probe", None)) is None:
            return None
        line = str(probe())
        self.settings = {**self.settings, "chat": self.predictor.settings["chat"]}
        return line

    def close(self) -> None:
        """Let go of what samples are made with, and of connections."""
        for part in (self._sample_of, getattr(self.predictor, "chat", None)):
            close = getattr(part, "close", None)
            if close is not None:
                close()

    def _output(self, sample_id: str, found: Prediction | str, seconds: float) -> Output:
        problem = found if isinstance(found, str) else found.problem
        if problem is not None:
            whole = self._counts_details or isinstance(found, str)
            return Output(sample_id, problem=problem if whole else problem.partition(":")[0], seconds=seconds)
        assert isinstance(found, Prediction)
        return Output(
            sample_id, found.raw_text, found.probabilities, None, seconds, found.tokens_in, found.tokens_out
        )  # fmt: skip


# --- the three kinds --------------------------------------------------------------------------------------------------


def rules_model(table: str | None = None, **options: Any) -> PredictorModel:
    """The rules over measurements; InputError where an option cannot be used."""
    from emotion_llama.analysis.options import installed_versions

    predictor = load_predictor("rules", **({} if table is None else {"table": table}))
    settings = {
        "system": "reader",
        "reader": predictor.name,
        "reader_settings": {key: value for key, value in predictor.settings.items() if key != "label_space"},
        "analyzer": {key: str(value) for key, value in options.items()},
        "versions": installed_versions(),
    }
    return PredictorModel(predictor, Measured(**options), settings)


def own_model(
    folder: str | Path,
    *,
    layout: str | None = None,
    features: str | Path | None = None,
    keep: str | Path | None = None,
    device: str | None = None,
    dtype: str = "auto",
    batch_size: int = DEFAULT_BATCH,
    temperature: float = 1.0,
    faces: str = "onnx_mesh",
) -> PredictorModel:
    """Our own model: label likelihoods and a generated answer of one pass over the prompt.

    In float32 an output does not depend on its batch but for the last bits; in half precision a token that is almost as
    likely as another may change, so that runs keep to the same batches when they go on.

    Args:
        folder: a model's folder, or the name of one that comes with the package.
        layout: prompt layout; None is the one the weights were trained with.
        features: folder of stored features, in place of computing them.
        keep: folder in which computed features are kept.
        device: as of `EmotionLlamaPredictor.load`.
        dtype: likewise.
        batch_size: prompts at a time.
        temperature: divides the label scores.
        faces: face backend.

    Raises:
        InputError: the folder holds no model, or a name or figure cannot be used.
        MissingDependency: torch or transformers is not installed.
    """
    from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor

    if batch_size < 1 or not temperature > 0:
        raise InputError(f"expected batch_size of 1 or more and temperature above 0, got {batch_size}, {temperature}")
    place = shipped_folder(str(folder)) if folder in PREDICTORS else Path(folder).expanduser()
    predictor = EmotionLlamaPredictor.load(place, layout=layout, device=device, dtype=dtype, temperature=temperature)
    stored = None if features is None else Path(features)
    samples = Encoded(predictor, features=stored, keep=None if keep is None else Path(keep), faces=faces)
    settings = {
        "system": "emotion-llama",
        "model": predictor.name,
        "files_sha256": weights_sha256(place),
        "layout": predictor.layout.name,
        "frame_policy": predictor.frame_policy,
        "dtype": str(predictor.model.dtype),
        "batch_size": batch_size,
        "temperature": temperature,
        "features": None if stored is None else str(stored.resolve()),
    }
    name = predictor.name if layout is None else f"{predictor.name} [{layout}]"
    model = PredictorModel(predictor, samples, settings, name=name, batch_size=batch_size)
    model.depends_on_batch, model.needs_clips = True, stored is None
    return model


def chat_model(spec: str, **options: Any) -> PredictorModel:
    """A chat model: "openai:MODEL@URL" or "transformers:FOLDER"; options as of `ChatPredictor.load`.

    Clips are measured for it unless `cues` is false: frames and sound go to it as far as it takes them, cues always.
    """
    from emotion_llama.chat.config import OpenAIConfig
    from emotion_llama.predictors.chat import ChatPredictor

    predictor = ChatPredictor.load(spec, **options)
    about = {key: value for key, value in predictor.settings.items() if key != "label_space"}
    config = predictor.chat.config
    size = config.at_once if isinstance(config, OpenAIConfig) else config.batch_size
    samples = Measured(with_file=True) if predictor.has_cues else file_sample
    return PredictorModel(predictor, samples, {"system": "chat", **about}, batch_size=size, counts_details=True)


def weights_sha256(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model's folder, by name."""
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


# --- samples ----------------------------------------------------------------------------------------------------------


def file_sample(sample: EvalSample) -> Sample | str:
    """The clip's file and its transcript, for predictors that open it themselves; or why there is none."""
    if sample.media is None:
        return NO_CLIP
    try:
        clip = probe(sample.media, warn=lambda line: None)
    except EmotionLlamaError as error:
        return problem_of(error)
    return Sample(None, ClipInputs(clip=clip), None, sample.transcript, None, sample.sample_id)


class Measured:
    """The evidence of the main person over the whole clip; `options` are the analyzer's.

    A benchmark's transcript is given, or none: files beside the clips are not looked for. `with_file` adds the clip's
    file and its transcript, which stay where face or voice cannot be measured.
    """

    def __init__(self, *, with_file: bool = False, **options: Any) -> None:
        from emotion_llama.analysis import Analyzer

        self._analyzer, self._with_file = Analyzer.load("rules", **options), with_file

    def __call__(self, sample: EvalSample) -> Sample | str:
        """The sample, or why there is none."""
        found = file_sample(sample) if self._with_file else None
        if isinstance(found, str):
            return found
        if found is not None:
            cues = self.evidence(sample)
            return found if isinstance(cues, str) else replace(found, evidence=cues)
        evidence = self._evidence(sample)
        return evidence if isinstance(evidence, str) else Sample(evidence, sample_id=sample.sample_id)

    def _evidence(self, sample: EvalSample) -> Evidence | str:
        from emotion_llama.analysis.options import Options

        if sample.media is None:
            return NO_CLIP
        try:
            analysis = self._analyzer.run(sample.media, Options(subtitle=sample.transcript or ""))
        except EmotionLlamaError as error:
            return problem_of(error)
        return analysis.people[0].segments[0].evidence if analysis.people else NOBODY

    def evidence(self, sample: EvalSample) -> Evidence | str:
        """The evidence without the reason for a missing transcript, or why there is none."""
        found = self._evidence(sample)
        return found if isinstance(found, str) else without_transcript(found)

    def close(self) -> None:
        """Let the face backend go."""
        self._analyzer.close()


class Encoded:
    """Features of clips: stored in `features` by sample id or the clip's stem, kept from a run before, or of the clip.

    In layouts with cues the evidence is measured as well.

    Raises:
        InputError: `features` holds none, or `keep` is a store of another recipe.
    """

    def __init__(
        self, predictor: EmotionLlamaPredictor, *, features: Path | None, keep: Path | None, faces: str
    ) -> None:
        from emotion_llama.analysis.inputs import CropOptions
        from emotion_llama.models.features.published_folders import open_features

        self._predictor, self._faces = predictor, faces
        self._options = CropOptions(predictor.frame_policy)
        self._source = None if features is None else open_features(features)
        self._keep = None if keep is None else self._open(keep)
        self._mesh: MeshBackend | None = None
        self._measured = Measured() if predictor.layout.has_cues else None

    def __call__(self, sample: EvalSample) -> Sample | str:
        """The sample, or why there is none."""
        features = self._features(sample)
        if isinstance(features, str):
            return features
        words = sample.transcript if (sample.transcript or "").strip() else None
        evidence = None if self._measured is None else self._evidence(sample, self._measured)
        if isinstance(evidence, str):
            return evidence
        return Sample(evidence, None, features, words, None, sample.sample_id)

    def close(self) -> None:
        """Finish what is kept, and let the face backend go."""
        for part in (self._keep, self._mesh, self._measured):
            if part is not None:
                part.close()
        self._mesh = None

    def _evidence(self, sample: EvalSample, measured: Measured) -> Evidence | str:
        if sample.media is None:
            raise InputError(
                f"layout 'evidence' measures the raw clip, and {sample.sample_id} has none; use layout 'train'"
            )
        return measured.evidence(sample)

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

    def _of_clip(self, name: str, path: Path) -> ClipFeatures:
        from emotion_llama.analysis.inputs import open_inputs

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

    def _backend(self) -> MeshBackend:
        from emotion_llama.face.backends import load_backend

        self._mesh = self._mesh or load_backend(self._faces)
        return self._mesh


def without_transcript(evidence: Evidence) -> Evidence:
    """A benchmark without a transcript is no clip with an empty subtitle file: cues then say that none is given."""
    return replace(evidence, missing=tuple(one for one in evidence.missing if one.what != "transcript"))
