"""What our model answers to clips as they are shown to it: likelihoods of labels, and reasons; kept as they come.

Answers are kept by a hash of the weights and of all that is in the prompt, so that a killed run goes on, and what two
conditions ask alike is asked once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emotion_llama.errors import BackendError
from emotion_llama.evaluation.cache import JsonlCache, hash_of
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.predictors import Sample, Task
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.prompts.tasks import pick_instruction
from merr_synth.nano.modalities import Shown

DEFAULT_BATCH = 32
MAX_NEW_TOKENS = 200  # of reasons, as the predictor's default
STEM = "answers"
Progress = Callable[[int, int], None]  # answers made, answers to be made


class Asked(NamedTuple):
    """One clip in one condition: what is shown, in which layout."""

    shown: Shown
    layout: str


class ModelAnswers:
    """Asks a model's folder, greedy, in batches of alike lengths.

    Args:
        folder: a model, as a training run or `emotion-llama convert` writes it.
        kept: folder where answers are kept.
        space: labels to choose from.
        batch_size: prompts at a time.
        device, dtype: as `data.loaded_model.LoadedModel` takes them.

    Raises:
        InputError: the folder holds no model, or another process keeps answers in the same folder.
    """

    def __init__(
        self,
        folder: Path,
        kept: Path,
        *,
        space: LabelSpace = MERR9,
        batch_size: int = DEFAULT_BATCH,
        device: str | None = None,
        dtype: str = "auto",
    ) -> None:
        from emotion_llama.evaluation.models.predictor import weights_sha256

        self.folder, self.space, self._batch_size = folder, space, batch_size
        self._device, self._dtype = device, dtype
        self.files_sha256 = weights_sha256(folder)
        self._cache = JsonlCache(kept, STEM)
        self._loaded: EmotionLlamaPredictor | None = None

    def close(self) -> None:
        """Let another process keep answers."""
        self._cache.close()

    def __enter__(self) -> ModelAnswers:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def labels(
        self, asked: Sequence[Asked], *, progress: Progress = lambda done, left: None
    ) -> list[dict[str, float] | None]:
        """Log-likelihood of each label for each clip; None where nothing is shown, which no model is asked about.

        Raises:
            BackendError: the model gives values that are not finite numbers.
        """
        kept = self._ask(asked, "emotion", self._score, progress)
        return [None if row is None else dict(zip(self.space.labels, row, strict=True)) for row in kept]

    def reasons(
        self, asked: Sequence[Asked], *, task: str = "reason", progress: Progress = lambda done, left: None
    ) -> list[str | None]:
        """The generated text for each clip; None where nothing is shown."""
        return self._ask(asked, task, self._generate, progress)

    # --- what is kept, and what is asked ----------------------------------------------------------------------------

    def _ask(
        self, asked: Sequence[Asked], task: str, answer: Callable[[Sequence[Asked], str], list[Any]], progress: Progress
    ) -> list[Any]:
        """An answer, a JSON value, for each; those that are not kept are made, the shortest prompts first."""
        keys = [None if one.shown.is_empty else self._key(one, task) for one in asked]
        left = {key: one for key, one in zip(keys, asked) if key is not None and key not in self._cache}
        order = sorted(left, key=lambda key: (left[key].layout, _length(left[key])))
        done = 0
        for _, of_layout in groupby(order, lambda key: left[key].layout):
            rows = list(of_layout)
            for some in (rows[begin : begin + self._batch_size] for begin in range(0, len(rows), self._batch_size)):
                self._cache.add(list(zip(some, answer([left[key] for key in some], task), strict=True)))
                done += len(some)
                progress(done, len(order))
        return [None if key is None else self._cache.get(key) for key in keys]

    def _key(self, one: Asked, task: str) -> str:
        labels = list(self.space.labels) if task == "emotion" else MAX_NEW_TOKENS
        shown = one.shown
        return hash_of(
            self.files_sha256, self._dtype, task, pick_instruction(task), labels, one.layout, shown.words, shown.cues,
            media_sha256(shown.media),
        )  # fmt: skip

    def _predictor(self, layout: str) -> EmotionLlamaPredictor:
        if self._loaded is None:
            self._loaded = EmotionLlamaPredictor.load(self.folder, device=self._device, dtype=self._dtype)
        return EmotionLlamaPredictor(self._loaded.model, self._loaded.processor, layout=layout)

    def _score(self, asked: Sequence[Asked], task: str) -> list[list[float]]:
        """Log-likelihoods [B, L] of the labels."""
        question = Task(task, self.space.labels, pick_instruction(task), 0)
        values = self._predictor(asked[0].layout).score([_sample(one) for one in asked], question)
        if not values.isfinite().all():
            raise BackendError(f"{self.folder}: label scores are not finite numbers; ask with dtype float32")
        rows: list[list[float]] = values.double().tolist()
        return rows

    def _generate(self, asked: Sequence[Asked], task: str) -> list[str]:
        question = Task(task, (), pick_instruction(task), MAX_NEW_TOKENS)
        found = self._predictor(asked[0].layout).answer([_sample(one) for one in asked], question)
        if problem := next((one.problem for one in found if one.problem is not None), None):
            raise BackendError(f"{self.folder}: {problem}")
        return [one.raw_text for one in found]


def _sample(one: Asked) -> Sample:
    return Sample(None, None, one.shown.media, one.shown.words, one.shown.cues)


def probabilities_of(scores: Mapping[str, float] | None, temperature: float = 1.0) -> dict[str, float] | None:
    """Softmax of log-likelihoods over a temperature; None of none."""
    if scores is None:
        return None
    highest = max(scores.values())
    weights = {name: math.exp((score - highest) / temperature) for name, score in scores.items()}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def media_sha256(media: ClipFeatures) -> str:
    """A hash of all that is there, by name, shape, type and values."""
    digest = hashlib.sha256()
    for name, value in sorted(media.arrays().items()):
        array = np.ascontiguousarray(value)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _length(one: Asked) -> int:
    """Roughly how long a prompt is: batches of alike lengths hold little filling."""
    media = sum(one.shown.media.present) + 15 * one.shown.media.present[0]
    return len(one.shown.words or "") + len(one.shown.cues or "") + 4 * media


def model_without(folder: Path) -> frozenset[str]:
    """Encoders that a model was trained without, by the card of its run beside it; none where there is no card."""
    import json

    card = folder.resolve().parent / "run_card.json"
    if not card.is_file():
        return frozenset()
    data: Mapping[str, Any] = json.loads(card.read_text(encoding="utf-8")).get("recipe", {}).get("data", {})
    return frozenset(data.get("without", ()))
