"""Classifiers of transformers' `pipeline` as systems: "pipeline:TASK@FOLDER", scores over labels in, probabilities out.

Sound classifiers hear the whole clip, picture classifiers see frames of it (mean of their scores), text classifiers
read its words. A classifier's labels are taken to the asked ones by name and synonym (`LabelSpace.find`); scores of
others are left out and the rest is made to sum to 1.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MissingDependency
from emotion_llama.evaluation.records import EvalPrompt, EvalSample, Output
from emotion_llama.evaluation.systems.clip_parts import SAMPLE_RATE_HZ, clip_parts
from emotion_llama.evaluation.systems.problems import NO_CLIP, problem_of
from emotion_llama.labels import LabelSpace

TASKS: Mapping[str, str] = {
    "audio-classification": "sound",
    "image-classification": "picture",
    "text-classification": "words",
}
OPTIONS: Mapping[str, Any] = {"frames": 8, "device": None, "revision": None}


class PipelineSystem:
    """A classifier.

    Args:
        task: one of `TASKS`.
        model: a folder, or an id of the hub.
        frames: pictures of a clip that a picture classifier sees.
        device: "cpu", "cuda", "cuda:1"; None takes a GPU where there is one.
        revision: of a hub id.

    Raises:
        InputError: the task is another, or the model cannot be loaded.
        MissingDependency: transformers is not installed.
    """

    batch_size = 1

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
        self._about = {"task": task, "model": model, "revision": revision, "frames": frames}
        self._files = _hashes(place)

    @property
    def settings(self) -> Mapping[str, object]:
        """Task, model and its files."""
        return {"system": "pipeline", **self._about, "files_sha256": self._files}

    def answer(self, cases: Sequence[EvalSample], ask: EvalPrompt) -> Iterator[Output]:
        """Probabilities over the asked labels for each case.

        Raises:
            InputError: no labels are asked, or the classifier knows none of them.
        """
        if not ask.labels:
            raise InputError(f"{self.name} is a classifier and answers questions for labels only")
        space = LabelSpace("asked", ask.labels)
        for case in cases:
            start = time.perf_counter()
            try:
                reply = Output(case.sample_id, None, self._shares(case, space), seconds=time.perf_counter() - start)
            except InputError:
                raise
            except EmotionLlamaError as error:
                problem = error.message if isinstance(error, AnnotationError) else problem_of(error)
                reply = Output(case.sample_id, problem=problem, seconds=time.perf_counter() - start)
            yield reply

    def _shares(self, case: EvalSample, space: LabelSpace) -> dict[str, float]:
        scores = self._scores(case)
        sums = dict.fromkeys(space.labels, 0.0)
        for name, score in scores.items():
            if (label := space.find(name)) is not None:
                sums[label] += score
        total = sum(sums.values())
        if not total:
            raise InputError(f"{self.name} tells {', '.join(scores)}; none of them is one of {', '.join(space.labels)}")
        return {label: value / total for label, value in sums.items()}

    def _scores(self, case: EvalSample) -> dict[str, float]:
        """Label of the classifier -> score, the mean where it sees several frames."""
        rows = [self._told(given) for given in self._inputs(case)]
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def _told(self, given: Any) -> dict[str, float]:
        return {str(one["label"]): float(one["score"]) for one in self._pipe(given, top_k=None)}

    def _inputs(self, case: EvalSample) -> list[Any]:
        """What the classifier is given of a case; AnnotationError "cannot" where the clip has none of it."""
        if self._takes == "words":
            if not (case.transcript or "").strip():
                raise AnnotationError("cannot", "the clip has no words", attempts=0)
            return [case.transcript]
        if case.media is None:
            raise AnnotationError("cannot", NO_CLIP, attempts=0)
        wants_sound = self._takes == "sound"
        parts = clip_parts(
            case.media, num_frames=0 if wants_sound else self._frames, max_side=1024, with_sound=wants_sound
        )
        if wants_sound:
            if parts.sound_wav is None:
                raise AnnotationError("cannot", "the clip has no sound", attempts=0)
            from emotion_llama.media.sound_bytes import read_wav

            rate = int(getattr(self._pipe.feature_extractor, "sampling_rate", SAMPLE_RATE_HZ))
            return [{"raw": read_wav(parts.sound_wav, rate), "sampling_rate": rate}]
        if not parts.pictures_png:
            raise AnnotationError("cannot", "the clip has no picture", attempts=0)
        from PIL import Image

        return [Image.open(io.BytesIO(picture)).convert("RGB") for picture in parts.pictures_png]


def _hashes(place: Path) -> Mapping[str, str] | None:
    from emotion_llama.evaluation.systems.own_model import weights_sha256

    return weights_sha256(place) if place.is_dir() else None


def load(spec: str, options: Mapping[str, Any]) -> PipelineSystem:
    """See `load_system`."""
    from emotion_llama.evaluation.systems import check_options

    task, _, model = spec.removeprefix("pipeline:").partition("@")
    if not model:
        raise InputError(
            f"model {spec!r}: expected pipeline:TASK@FOLDER, such as pipeline:audio-classification@hubert-er/"
        )
    return PipelineSystem(task, model, **check_options("pipeline", options, OPTIONS))
