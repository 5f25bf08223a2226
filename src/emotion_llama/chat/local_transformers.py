"""The annotator that is a model of the transformers library in this process; questions go through it in batches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_llama.chat.asking import Asked, ask, askable, batches
from emotion_llama.chat.configs import TransformersConfig
from emotion_llama.chat.local_model import (
    Conversation,
    Generated,
    LocalModel,
    is_folder,
    need,
    read_modalities,
)
from emotion_llama.chat.questions import Answer, Question, Task, Where
from emotion_llama.errors import AnnotationError
from emotion_llama.models.known_files import folder_fingerprint
from emotion_llama.prompts.merr_prompts import check_folder, prompt_hashes


class TransformersAnnotator:
    """Asks a local model. One thread may ask; the model is loaded with the first question.

    Decoding is greedy. In float32 a batch gives what single questions give; in half precision the last bits of a sum
    depend on the batch, and a reply can differ where two tokens are almost equally likely.

    Raises:
        InputError: the folder of the model or of prompts cannot be used.
    """

    name = "transformers"
    where: Where = "main"

    def __init__(self, config: TransformersConfig) -> None:
        if config.prompts is not None:
            check_folder(config.prompts)
        self.config = config
        self.batch_size = config.batch_size
        self._loaded: LocalModel | None = None
        self._modalities = read_modalities(config)
        self._files_sha256 = folder_fingerprint(Path(config.model).expanduser()) if is_folder(config.model) else None
        self._prompt_hashes = prompt_hashes(self.tasks(), config.prompts)

    def __reduce__(self) -> tuple[type[TransformersAnnotator], tuple[TransformersConfig]]:
        return type(self), (self.config,)  # another process loads the model itself

    @property
    def settings(self) -> Mapping[str, object]:
        """Model and its files, prompts and decoding; not the device, and not the batch size."""
        c = self.config
        return {
            "annotator": self.name,
            "model": self.model_name,
            "files_sha256": self._files_sha256,
            "modalities": list(self._modalities),
            "dtype": c.dtype,
            "bits": c.bits,
            "max_new_tokens": c.max_new_tokens,
            "image_max_side": c.image_max_side,
            "template_options": c.template_options,
            "prompts": self._prompt_hashes,
        }

    @property
    def model_name(self) -> str:
        """The folder's own name, or the id with its revision."""
        if is_folder(self.config.model):
            return Path(self.config.model).expanduser().resolve().name
        return self.config.model if self.config.revision is None else f"{self.config.model}@{self.config.revision}"

    def check_ready(self) -> None:
        """Make sure that what runs the model is installed; the model is not loaded.

        Raises:
            MissingDependency: torch or transformers is not installed.
        """
        need("torch")
        need("transformers")

    def tasks(self) -> frozenset[Task]:
        """What the model's modalities allow."""
        return askable(self._modalities)

    def answer(self, questions: Sequence[Question]) -> list[Answer | AnnotationError]:
        """One answer, or the reason why there is none, for each question; `batch_size` at a time.

        Raises:
            InputError, MissingDependency, BackendError: as `LocalModel`.
        """
        outcomes: list[Answer | AnnotationError | None] = [None] * len(questions)
        for rows in batches(questions, self.batch_size):
            for row, outcome in zip(rows, self._batch([self._turn(questions[row]) for row in rows])):
                outcomes[row] = outcome
        assert all(outcome is not None for outcome in outcomes)
        return [outcome for outcome in outcomes if outcome is not None]

    def put(self, asked: Sequence[Asked]) -> list[Answer | AnnotationError]:
        """The same for questions that are worked out already, whatever they ask; all go through the model at once.

        A batch holds conversations of one form: all with as many pictures, all with sound or all without.
        """
        return self._batch([_Turn(one) for one in asked])

    def _batch(self, turns: Sequence[_Turn]) -> list[Answer | AnnotationError]:
        start = time.monotonic()
        for _ in range(self.config.max_repeats + 1):
            open_turns = [turn for turn in turns if turn.is_open and turn.asked is not None]
            if not open_turns:
                break
            talks = [Conversation(turn.asked, turn.problem) for turn in open_turns if turn.asked is not None]
            for turn, reply in zip(open_turns, self._model().generate(talks)):
                turn.take(reply)
        seconds = time.monotonic() - start
        return [turn.outcome(self.model_name, seconds) for turn in turns]

    def _turn(self, question: Question) -> _Turn:
        try:
            return _Turn(ask(question, self._modalities, self.config.prompts))
        except AnnotationError as error:
            return _Turn(None, error=error)

    def _model(self) -> LocalModel:
        if self._loaded is None:
            self._loaded = LocalModel(self.config)
        return self._loaded


@dataclass
class _Turn:
    """How far one question has come."""

    asked: Asked | None
    values: dict[str, object] | None = None
    error: AnnotationError | None = None
    attempts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def is_open(self) -> bool:
        """Asking (again) may help."""
        return self.values is None and (self.error is None or self.error.kind in ("empty", "malformed"))

    @property
    def problem(self) -> str | None:
        return None if self.error is None else self.error.message

    def take(self, reply: Generated | AnnotationError) -> None:
        assert self.asked is not None
        self.attempts += 1
        if isinstance(reply, AnnotationError):
            self.error = reply
            return
        self.tokens_in += reply.tokens_in
        self.tokens_out += reply.tokens_out
        try:
            if not reply.is_whole:
                raise AnnotationError("malformed", "the reply is longer than max_new_tokens allows and was cut off")
            self.values, self.error = self.asked.check(reply.text), None
        except AnnotationError as error:
            self.error = error

    def outcome(self, model: str, seconds: float) -> Answer | AnnotationError:
        if self.values is not None and self.asked is not None:
            return Answer(
                self.values, model, self.asked.prompt_sha256, self.tokens_in, self.tokens_out, seconds, self.attempts
            )
        assert self.error is not None, "every question is asked at least once"
        return AnnotationError(self.error.kind, self.error.message, self.attempts, self.tokens_in, self.tokens_out)
