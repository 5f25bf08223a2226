"""Our own model as an annotator: its tasks [visual], [audio] and [reason], in English, from frame, face and sound."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from emotion_llama.chat.config import Config
from emotion_llama.chat.questions import Question, Task
from emotion_llama.chat.records import Answer, Outcome
from emotion_llama.errors import AnnotationError
from emotion_llama.labels import LabelSpace
from emotion_llama.prompts.tasks import pick_instruction

OWN_TASKS: tuple[Task, ...] = ("visual", "audio", "reason")
SAMPLE_RATE_HZ = 16_000


class EmotionLlamaConfig(Config):
    """Our own model: its tasks [visual], [audio] and [reason], in English."""

    name: Literal["emotion-llama"] = "emotion-llama"
    folder: Path = Field(description="As `emotion-llama convert` or a training run writes it.")
    layout: str | None = Field(default=None, description="Prompt layout; None: the one the weights were trained with.")
    device: str | None = Field(default=None, description="cpu, cuda, cuda:1. None: a GPU if any.")
    dtype: str = Field(default="auto", description="Of the language model.")
    max_new_tokens: int = Field(default=200, ge=1, description="Of a reply.")
    batch_size: int = Field(default=4, ge=1, description="Questions that go through the model at once.")
    instructions: dict[Literal["visual", "audio", "reason"], str] = Field(
        default={}, description="Task -> instruction, in place of the published one."
    )


class OwnModel:
    """Descriptions by our model's tasks, as {"text"}; for "reason" with the label that the text names.

    The model takes frame, face and sound itself, and the label is never in its prompt. The temporal encoder, which
    wants a face over time, is left out. A question about one modality is given that modality alone. The weights are
    loaded at the first question.

    Raises:
        InputError: the folder holds no model, or there is no such layout.
    """

    def __init__(self, config: EmotionLlamaConfig) -> None:
        from emotion_llama.models.folders import check_model_folder
        from emotion_llama.prompts.layouts import layout_named

        check_model_folder(config.folder)
        if config.layout is not None:
            layout_named(config.layout)
        self._config = config
        self._loaded: Any = None

    @property
    def settings(self) -> dict[str, object]:
        """Everything that answers depend on."""
        from emotion_llama.models.folders import folder_fingerprint

        config = self._config
        return {
            "annotator": "emotion-llama",
            "model": config.folder.resolve().name,
            "files_sha256": folder_fingerprint(config.folder),
            "layout": config.layout,
            "dtype": config.dtype,
            "max_new_tokens": config.max_new_tokens,
            "instructions": {task: self.instruction(task) for task in OWN_TASKS},
        }

    def instruction(self, task: Task) -> str:
        """What the model is asked."""
        return {str(k): v for k, v in self._config.instructions.items()}.get(task) or pick_instruction(task)

    def answer(self, questions: Sequence[Question]) -> list[Outcome]:
        """One outcome a question; `batch_size` questions of one task at a time."""
        found: dict[int, Outcome] = {}
        able: dict[Task, list[tuple[int, Any]]] = {}
        for row, question in enumerate(questions):
            try:
                if why := self._why_not(question):
                    raise AnnotationError("cannot", why, attempts=0)
                able.setdefault(question.task, []).append((row, self._sample(question)))
            except AnnotationError as error:  # noqa: PERF203  (one question's error is its own)
                found[row] = error
        size = self._config.batch_size
        for task, rows in able.items():
            for some in (rows[begin : begin + size] for begin in range(0, len(rows), size)):
                found |= self._batch(task, some, questions)
        return [found[row] for row in range(len(questions))]

    def _batch(self, task: Task, rows: Sequence[tuple[int, Any]], questions: Sequence[Question]) -> dict[int, Outcome]:
        from emotion_llama.predictors import Task as Asked

        start = time.monotonic()
        asked = Asked(task, instruction=self.instruction(task), max_new_tokens=self._config.max_new_tokens)
        made = self._predictor().predict([sample for _, sample in rows], asked)
        seconds = time.monotonic() - start
        return {row: self._outcome(questions[row], one, seconds) for (row, _), one in zip(rows, made, strict=True)}

    def _outcome(self, question: Question, made: Any, seconds: float) -> Outcome:
        from emotion_llama.chat.asking import check_text
        from emotion_llama.predictors.model_prompts import as_sentence

        if made.problem is not None:
            return AnnotationError("cannot", made.problem)
        tokens = made.tokens_in or 0, made.tokens_out or 0
        try:
            if made.is_cut_off:
                raise AnnotationError("malformed", "the reply is longer than max_new_tokens allows and was cut off")
            plain = as_sentence(check_text(question, made.raw_text))
            values: dict[str, object] = {"text": plain}
            if question.task == "reason":
                values |= {"supporting": [], "misleading": [], "label": _label(plain, question.labels)}
        except AnnotationError as error:
            return AnnotationError(error.kind, error.message, 1, *tokens)
        prompt = hashlib.sha256(self.instruction(question.task).encode()).hexdigest()
        return Answer(values, made.model, prompt, *tokens, seconds, 1, label_shown=False)

    def _sample(self, question: Question) -> Any:
        import numpy as np

        from emotion_llama.media.encoded import read_png, read_wav
        from emotion_llama.models.clips import ClipInputs
        from emotion_llama.models.inputs import face_pixel_values
        from emotion_llama.predictors import Sample
        from emotion_llama.prompts.cues import cue_text
        from emotion_llama.results import Missing, Prediction

        image, samples, face = None, None, None
        if question.task != "audio" and question.picture_png is not None:
            image = read_png(question.picture_png)
        if question.task != "visual" and question.sound_wav is not None:
            samples = np.asarray(read_wav(question.sound_wav, SAMPLE_RATE_HZ), np.float32)
        predictor = self._predictor()
        if question.task != "audio" and question.face_png is not None:
            encoders = predictor.extractor.encoders
            crop = masked_crop(read_png(question.face_png))
            face = encoders.face(face_pixel_values(crop[None], encoders.face_size))[0]
        missing = [Missing("faces", "one picture shows no movement")]
        missing += [Missing(what, "not given") for what, it in (("frame", image), ("sound", samples)) if it is None]
        inputs = ClipInputs(image, None, samples, tuple(missing), 0.0, "the peak frame")
        facts = question.facts
        encoded = predictor.encode(Sample(None, inputs, None, _transcript(question), cue_text(facts.evidence)))
        if isinstance(encoded, Prediction):
            raise AnnotationError("cannot", encoded.problem or "", attempts=0)
        return replace(encoded, inputs=None, features=replace(encoded.features, face=face))

    def _why_not(self, question: Question) -> str | None:
        from emotion_llama.models.checkpoints.published import warn_if_classifier
        from emotion_llama.models.folders import read_manifest

        if question.task not in OWN_TASKS:
            return f"the model knows no task {question.task!r}"
        if question.language != "en":
            return "the model writes English only"
        has_picture, has_sound = question.picture_png is not None, question.sound_wav is not None
        if question.task == "visual" and not has_picture:
            return "the clip has no picture"
        if question.task == "audio" and not has_sound:
            return "the clip has no sound"
        if question.task == "reason" and not (has_picture or has_sound):
            return "the model takes frame and sound itself, and was given neither"
        return warn_if_classifier(question.task, read_manifest(self._config.folder))

    def _predictor(self) -> Any:
        if self._loaded is None:
            from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor

            c = self._config
            self._loaded = EmotionLlamaPredictor.load(c.folder, layout=c.layout, device=c.device, dtype=c.dtype)
        return self._loaded


def masked_crop(crop: Any) -> Any:
    """[112, 112, 3] of an aligned crop of any size: OpenFace's size, and what lies outside the mean face blackened."""
    import numpy as np

    from emotion_llama.face.align import align_face, template_points

    eyes_and_mouth = template_points(crop.shape[0])  # where they are in an aligned crop
    nose = eyes_and_mouth.mean(axis=0)  # has no part in the alignment
    points = np.vstack([eyes_and_mouth[:2], nose, eyes_and_mouth[2:]])
    return align_face(crop, points, masked=True)


def _transcript(question: Question) -> str | None:
    """What is said in the clip; left out of descriptions of one modality, so that they do not lean on it."""
    if question.task != "reason":
        return None
    transcript = question.facts.evidence.transcript
    words = question.facts.clues.get("subtitle") or ("" if transcript is None else transcript.text)
    return words if words.strip() else None


def _label(text: str, labels: Sequence[str]) -> str:
    from emotion_llama.prompts.answer_parser import parse_tolerant

    found = parse_tolerant(text, LabelSpace("the question's", tuple(labels))).label if labels else None
    if found is None:
        raise AnnotationError("malformed", "the text names none of the labels, or does not decide")
    return found
