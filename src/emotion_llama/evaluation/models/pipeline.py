"""Classifiers of transformers' `pipeline` as models: "pipeline:TASK@FOLDER", scores over labels in, probabilities out.

Audio classifiers are given the whole clip, image classifiers frames of it (mean of their scores), text classifiers its
transcript. A classifier's labels are taken to the asked ones by name and synonym (`LabelSpace.find`); scores of others
are left out and the rest is made to sum to 1.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MissingDependency
from emotion_llama.evaluation.models.predictor import weights_sha256
from emotion_llama.evaluation.records import NO_CLIP, EvalSample, Model, Output, problem_of
from emotion_llama.labels import LabelSpace
from emotion_llama.media.encoded import read_wav
from emotion_llama.media.probe import probe
from emotion_llama.predictors.base import Task
from emotion_llama.predictors.chat import SAMPLE_RATE_HZ, clip_pictures, clip_sound

TASKS: Mapping[str, str] = {
    "audio-classification": "sound",
    "image-classification": "picture",
    "text-classification": "words",
}


class PipelineModel(Model):
    """A classifier.

    Args:
        task: one of `TASKS`.
        model: a folder, or an id of the hub.
        frames: of a clip, for an image classifier.
        device: "cpu", "cuda", "cuda:1"; None takes a GPU where there is one.
        revision: of a hub id.

    Raises:
        InputError: the task is another, or the model cannot be loaded.
        MissingDependency: transformers is not installed.
    """

    def __init__(
        self, task: str, model: str, *, frames: int = 8, device: str | None = None, revision: str | None = None
    ) -> None:
        if task not in TASKS:
            raise InputError(f"no pipeline task {task!r} (there are: {', '.join(TASKS)})")
        try:
            import torch
            from transformers import pipeline
        except ImportError as error:
            raise MissingDependency("transformers", "a pipeline", "pip install 'emotion-llama[model]'") from error
        place = Path(model).expanduser()
        make: Any = pipeline
        try:
            self._pipe: Any = make(
                task, model=str(place) if place.is_dir() else model, revision=None if place.is_dir() else revision,
                device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
            )  # fmt: skip
        except (OSError, ValueError, KeyError) as error:
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f"the pipeline {task} of {model!r} cannot be loaded: {line[:200]}") from error
        self._takes, self._frames = TASKS[task], frames
        self.name = place.resolve().name if place.is_dir() else model
        hashes = weights_sha256(place) if place.is_dir() else None
        about = {"task": task, "model": model, "revision": revision, "frames": frames}
        self.settings = {"system": "pipeline", **about, "files_sha256": hashes}

    def answer(self, samples: Sequence[EvalSample], task: Task) -> Iterator[Output]:
        """Probabilities over the asked labels for each sample.

        Raises:
            InputError: no labels are asked, or the classifier knows none of them.
        """
        if not task.labels:
            raise InputError(f"{self.name} is a classifier and answers questions for labels only")
        space = LabelSpace("asked", task.labels)
        for sample in samples:
            start = time.perf_counter()
            try:
                output = Output(
                    sample.sample_id, None, self._shares(sample, space), seconds=time.perf_counter() - start
                )
            except InputError:
                raise
            except EmotionLlamaError as error:
                problem = error.message if isinstance(error, AnnotationError) else problem_of(error)
                output = Output(sample.sample_id, problem=problem, seconds=time.perf_counter() - start)
            yield output

    def _shares(self, sample: EvalSample, space: LabelSpace) -> dict[str, float]:
        rows = [
            {str(one["label"]): float(one["score"]) for one in self._pipe(given, top_k=None)}
            for given in self._inputs(sample)
        ]
        scores = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}  # the mean over frames
        sums = dict.fromkeys(space.labels, 0.0)
        for name, score in scores.items():
            if (label := space.find(name)) is not None:
                sums[label] += score
        total = sum(sums.values())
        if not total:
            raise InputError(
                f"{self.name} predicts {', '.join(scores)}; none of them is one of {', '.join(space.labels)}"
            )
        return {label: value / total for label, value in sums.items()}

    def _inputs(self, sample: EvalSample) -> list[Any]:
        """What the classifier is given of a sample; AnnotationError "cannot" where the clip has none of it."""
        if self._takes == "words":
            if not (sample.transcript or "").strip():
                raise AnnotationError("cannot", "the clip has no words", attempts=0)
            return [sample.transcript]
        if sample.media is None:
            raise AnnotationError("cannot", NO_CLIP, attempts=0)
        clip = probe(sample.media, warn=lambda line: None)
        if self._takes == "sound":
            sound_wav = clip_sound(clip)
            if sound_wav is None:
                raise AnnotationError("cannot", "the clip has no sound", attempts=0)
            rate = int(getattr(self._pipe.feature_extractor, "sampling_rate", SAMPLE_RATE_HZ))
            return [{"raw": read_wav(sound_wav, rate), "sampling_rate": rate}]
        if clip.video is None:
            raise AnnotationError("cannot", "the clip has no picture", attempts=0)
        from PIL import Image

        pictures = clip_pictures(clip, self._frames, 1024)
        return [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]


def load_pipeline(spec: str, **options: Any) -> PipelineModel:
    """The classifier of "pipeline:TASK@FOLDER"; options as of the class."""
    task, _, model = spec.removeprefix("pipeline:").partition("@")
    if not model:
        raise InputError(
            f"model {spec!r}: expected pipeline:TASK@FOLDER, such as pipeline:audio-classification@hubert-er/"
        )
    return PipelineModel(task, model, **options)
