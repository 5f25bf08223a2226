"""The annotator that is our own model: its tasks [visual], [audio] and [reason] describe a clip in plain English.

It looks and listens itself, and is never told the label. From a data set's artifacts it gets the peak frame, the
aligned face in it and the sound; the temporal encoder, which wants a face over time, is left out, as any missing
modality is. A question about one modality is given that modality alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emotion_llama.chat.asking import batches
from emotion_llama.chat.configs import EmotionLlamaConfig
from emotion_llama.chat.local_model import need
from emotion_llama.chat.questions import Answer, Question, Task, Where
from emotion_llama.chat.replies import check_text
from emotion_llama.errors import AnnotationError, BackendError, InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.media.image_bytes import read_png
from emotion_llama.media.sound_bytes import read_wav
from emotion_llama.models.known_files import folder_fingerprint
from emotion_llama.predictors.emotion_llama import as_sentence, shortened
from emotion_llama.prompts.answer_parser import parse_tolerant
from emotion_llama.prompts.cues import cue_text
from emotion_llama.prompts.layouts import layout_named
from emotion_llama.prompts.tasks import pick_instruction
from emotion_llama.records import UInt8

TASKS: tuple[Task, ...] = ("visual", "audio", "reason")
SAMPLE_RATE_HZ = 16_000


class OwnModelAnnotator:
    """Asks a model that `emotion-llama convert` or a training run has written. One thread may ask.

    A description comes back as {"text"}, for "reason" with the label that the text names and without sorted clues,
    which the model does not give. Decoding is greedy.

    Raises:
        InputError: the folder holds no model, or a name is unknown.
    """

    name = "emotion-llama"
    where: Where = "main"
    looks_when_reasoning = True  # stages hand picture, face and sound to such an annotator with the task "reason"

    def __init__(self, config: EmotionLlamaConfig) -> None:
        self.config = config
        self.batch_size = config.batch_size
        if not (config.folder / "config.json").is_file():
            raise InputError(
                f"{config.folder} holds no model: config.json is missing; `emotion-llama convert` makes one of "
                "published files"
            )
        if config.layout is not None:
            layout_named(config.layout)
        self._loaded: Any = None
        self._files_sha256 = folder_fingerprint(config.folder)

    def __reduce__(self) -> tuple[type[OwnModelAnnotator], tuple[EmotionLlamaConfig]]:
        return type(self), (self.config,)  # another process loads the model itself

    @property
    def settings(self) -> Mapping[str, object]:
        """Model, its files, layout, instructions and decoding; not the device, and not the batch size."""
        return {
            "annotator": self.name,
            "model": self.model_name,
            "files_sha256": self._files_sha256,
            "layout": self.config.layout,
            "dtype": self.config.dtype,
            "max_new_tokens": self.config.max_new_tokens,
            "instructions": {task: self._instruction(task) for task in TASKS},
        }

    @property
    def model_name(self) -> str:
        """The folder's own name."""
        return self.config.folder.resolve().name

    def check_ready(self) -> None:
        """Make sure that what runs the model is installed; the model is not loaded.

        Raises:
            MissingDependency: torch or transformers is not installed.
        """
        need("torch")
        need("transformers")

    def tasks(self) -> frozenset[Task]:
        """Describing picture and voice, and reasoning."""
        return frozenset(TASKS)

    def answer(self, questions: Sequence[Question]) -> list[Answer | AnnotationError]:
        """One answer, or the reason why there is none, for each question; `batch_size` at a time.

        Raises:
            InputError, MissingDependency: the model cannot be loaded.
            BackendError: the model fails.
        """
        outcomes: dict[int, Answer | AnnotationError] = {}
        able: list[int] = []
        for row, question in enumerate(questions):
            why = self._why_not(question)
            if why is None:
                able.append(row)
            else:
                outcomes[row] = AnnotationError("cannot", why, attempts=0)
        for rows in batches([questions[row] for row in able], self.batch_size):
            picked = [able[row] for row in rows]
            outcomes |= dict(zip(picked, self._batch([questions[row] for row in picked])))
        return [outcomes[row] for row in range(len(questions))]

    # --- one batch, all of one task ---------------------------------------------------------------------------------

    def _batch(self, questions: Sequence[Question]) -> list[Answer | AnnotationError]:
        start = time.monotonic()
        clips = [self._clip_or_error(question) for question in questions]
        left = [row for row, clip in enumerate(clips) if not isinstance(clip, AnnotationError)]
        outcomes: dict[int, Answer | AnnotationError] = {
            row: clip for row, clip in enumerate(clips) if isinstance(clip, AnnotationError)
        }
        replies = self._generate([questions[row] for row in left], [clips[row] for row in left]) if left else []
        seconds = time.monotonic() - start
        for row, (text, is_whole, tokens_in, tokens_out) in zip(left, replies):
            outcomes[row] = self._outcome(questions[row], text, is_whole, (tokens_in, tokens_out), seconds)
        return [outcomes[row] for row in range(len(questions))]

    def _generate(self, questions: Sequence[Question], clips: Sequence[Any]) -> list[tuple[str, bool, int, int]]:
        loaded = self._model()
        import torch

        layout = layout_named(self.config.layout or loaded.processor.prompt_layout)
        batch = loaded.processor(
            list(clips),
            task=questions[0].task,
            instruction=self._instruction(questions[0].task),
            words=[_words(question) for question in questions],
            cues=[cue_text(question.facts.evidence) for question in questions] if layout.has_cues else None,
            layout=layout.name,
        ).to(loaded.device)
        try:
            with torch.inference_mode():
                made = loaded.model.generate(**batch, max_new_tokens=self.config.max_new_tokens, do_sample=False)
        except RuntimeError as error:
            line = str(error).partition("\n")[0][:200]
            raise BackendError(f"the model {self.model_name!r} failed: {line}") from error
        end = loaded.processor.tokenizer.eos_token_id
        replies = []
        for row, mask in zip(made.tolist(), batch["attention_mask"]):
            count = row.index(end) if end in row else len(row)
            text = loaded.processor.decode_answers([row[:count]])[0]
            replies.append((text, end in row, int(mask.sum()), count + (end in row)))
        return replies

    def _outcome(
        self, question: Question, text: str, is_whole: bool, tokens: tuple[int, int], seconds: float
    ) -> Answer | AnnotationError:
        try:
            if not is_whole:
                raise AnnotationError("malformed", "the reply is longer than max_new_tokens allows and was cut off")
            plain = as_sentence(check_text(question, text))
            values: dict[str, object] = {"text": plain}
            if question.task == "reason":
                values |= {"supporting": [], "misleading": [], "label": _label(plain, question.labels)}
        except AnnotationError as error:
            return AnnotationError(error.kind, error.message, 1, *tokens)
        prompt = hashlib.sha256(self._instruction(question.task).encode()).hexdigest()
        return Answer(values, self.model_name, prompt, *tokens, seconds, 1, label_shown=False)

    def _clip_or_error(self, question: Question) -> Any:
        try:
            return self._clip(question)
        except AnnotationError as error:
            return error

    def _clip(self, question: Question) -> Any:
        from emotion_llama.models.clip_media import ClipMedia

        task = question.task
        image = read_png(question.picture_png) if task != "audio" and question.picture_png is not None else None
        face = self._face(question.face_png) if task != "audio" and question.face_png is not None else None
        samples = None
        if task != "visual" and question.sound_wav is not None:
            samples = read_wav(question.sound_wav, SAMPLE_RATE_HZ)
            self._check_length(len(samples) / SAMPLE_RATE_HZ)
        return ClipMedia(image, samples=samples, face_features=face)

    def _face(self, data: bytes) -> Any:
        """[D] the face encoder's vector of one aligned crop, masked as the published features' crops are."""
        from emotion_llama.models.inputs import face_pixel_values

        encoders = self._model().extractor.encoders
        return encoders.face(face_pixel_values(masked_crop(read_png(data))[None], encoders.face_size))[0]

    def _check_length(self, seconds: float) -> None:
        from emotion_llama.models.features.features import LONGEST_WHOLE_SECONDS

        if self._model().extractor.sound.chunk_seconds is None and seconds > LONGEST_WHOLE_SECONDS:
            raise AnnotationError(
                "cannot", f"the sound is {seconds:.0f} s long, the model takes up to {LONGEST_WHOLE_SECONDS:.0f} s",
                attempts=0,
            )  # fmt: skip

    def _instruction(self, task: Task) -> str:
        # The three keys are the tasks of TASKS; a recipe is checked for it.
        return {str(k): v for k, v in self.config.instructions.items()}.get(task) or pick_instruction(task)

    def _why_not(self, question: Question) -> str | None:
        """Why it cannot be asked this; None when it can."""
        if question.task not in TASKS:
            return f"the model knows no task {question.task!r}"
        if question.language != "en":
            return "the model writes English only"
        has_picture, has_sound = question.picture_png is not None, question.sound_wav is not None
        if question.task == "visual" and not has_picture:
            return "the clip has no picture"
        if question.task == "audio" and not has_sound:
            return "the clip has no sound"
        if question.task == "reason" and not (has_picture or has_sound):
            return "the model looks and listens itself, and was given neither picture nor sound"
        from emotion_llama.models.known_files import read_card, warn_if_classifier

        return warn_if_classifier(question.task, read_card(self.config.folder))

    def _model(self) -> Any:
        if self._loaded is None:
            self.check_ready()
            from emotion_llama.models.features.loaded_model import LoadedModel

            self._loaded = LoadedModel(self.config.folder, device=self.config.device, dtype=self.config.dtype)
        return self._loaded


def masked_crop(crop: UInt8) -> UInt8:
    """[112, 112, 3] of an aligned crop of any size: OpenFace's size, and what lies outside the mean face blackened."""
    from emotion_llama.face.align import align_face, template_points

    eyes_and_mouth = template_points(crop.shape[0])  # where they are in an aligned crop
    nose = eyes_and_mouth.mean(axis=0)  # has no part in the alignment
    points = np.vstack([eyes_and_mouth[:2], nose, eyes_and_mouth[2:]])
    return align_face(crop, points, masked=True)


def _words(question: Question) -> str | None:
    """What is said in the clip; for descriptions of one modality it is not told, so that they do not lean on it."""
    if question.task != "reason":
        return None
    transcript = question.facts.evidence.transcript
    words = question.facts.clues.get("subtitle") or ("" if transcript is None else transcript.text)
    return shortened(words) if words.strip() else None


def _label(text: str, labels: Sequence[str]) -> str:
    found = parse_tolerant(text, LabelSpace("the question's", tuple(labels))).label if labels else None
    if found is None:
        raise AnnotationError("malformed", "the text names none of the labels, or does not decide")
    return found
